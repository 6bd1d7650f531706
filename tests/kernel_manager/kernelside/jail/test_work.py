"""What data science does must go on in a jail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel_manager.kernelside.jail.harness import Builder


def test_files_of_the_workspace_come_and_go(builder: Builder) -> None:
    source = """
    import shutil, sqlite3, tempfile, mmap, fcntl
    os.chdir('/workspace')
    os.makedirs('a/b', exist_ok=True)
    with open('a/b/x', 'w+b') as file:
        file.write(bytes(4096)); file.flush(); os.fsync(file.fileno())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        view = mmap.mmap(file.fileno(), 4096); view[0] = 1; view.flush(); view.close()
    shutil.copytree('a', 'c', dirs_exist_ok=True); os.replace('c/b/x', 'd')
    os.symlink('d', 'e'); os.link('d', 'f'); os.mkfifo('g')
    os.chmod('d', 0o600); os.utime('d'); os.truncate('d', 10); os.setxattr('d', 'user.note', b'1')
    shutil.rmtree('a'); shutil.rmtree('c'); [os.unlink(n) for n in 'defg']
    database = sqlite3.connect('base.sqlite'); database.execute('pragma journal_mode=wal'); database.execute('create table t (x)')
    database.execute('insert into t values (1)'); database.commit()
    say(database.execute('select * from t').fetchone()); database.close()
    [os.unlink(n) for n in os.listdir('.') if n.startswith('base')]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file: say(folder.startswith('/tmp'))
    say(os.getcwd(), sorted(os.listdir('.')))
    """
    workspace = str(builder.folder("workspace-of-files"))
    assert builder.run(source, workspace=workspace).answers() == [[1], True, "/workspace", []]


def test_what_the_jail_writes_belongs_to_the_kernels_user_on_the_host(builder: Builder) -> None:
    builder.run("open('/workspace/result', 'w').write('42'); say(os.stat('/workspace/result').st_uid)").answers()
    result = builder.folder("workspace") / "result"
    assert (result.read_text(), result.stat().st_uid) == ("42", builder.host_uid)
    result.unlink()


def test_a_file_that_is_replaced_on_the_host_is_seen_at_once(builder: Builder) -> None:
    files = builder.folder("files-live")
    index = files / "index.json"
    index.write_text("1")
    running = builder.start(
        "say(open('/files/index.json').read()); input(); say(open('/files/index.json').read())", files=str(files)
    )
    assert running.line() == ["1"]
    (files / "new").write_text("2")
    (files / "new").replace(index)
    running.tell()
    assert running.line() == ["2"]
    assert running.finish().exit_code == 0


def test_processes_pipes_and_signals(builder: Builder) -> None:
    source = """
    import asyncio, select, signal
    say(subprocess.run('echo a | tr a b; exit 3', shell=True, capture_output=True, text=True).stdout, os.system('true'))
    async def main():
        process = await asyncio.create_subprocess_exec('/bin/echo', 'async', stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return out.decode().strip()
    say(asyncio.run(main()))
    child = subprocess.Popen(['/bin/sleep', '100'])
    os.pidfd_open(child.pid); child.send_signal(signal.SIGINT); say(child.wait())
    signal.signal(signal.SIGALRM, lambda *_: say('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
    poll = select.epoll(); poll.register(os.eventfd(1)); say(len(poll.poll(1)))
    os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(1); os.setpgid(0, 0) if os.getpgid(0) != os.getpid() else None
    say(len(os.getrandom(8)), os.cpu_count() > 0)
    """
    assert builder.run(source).answers() == ["b\n", 0, "async", -2, "alarm", 1, 8, True]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(builder: Builder, method: str) -> None:
    source = f"""
    script = '''
    import multiprocessing, multiprocessing.shared_memory
    def square(x): return x * x
    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        with context.Pool(2) as pool: print(pool.map(square, [1, 2, 3]))
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=100)
        memory.close(); memory.unlink()
        lock = context.Lock(); queue = context.Queue()
        with lock: process = context.Process(target=queue.put, args=(5,)); process.start(); print(queue.get()); process.join()
    '''
    import textwrap
    open('/workspace/parallel.py', 'w').write(textwrap.dedent(script))
    done = subprocess.run([sys.executable, '/workspace/parallel.py'], capture_output=True, text=True)
    say(done.stdout, done.stderr)
    """
    assert builder.run(source).answers() == ["[1, 4, 9]\n5\n", ""]


def test_terminals_for_shell_commands(builder: Builder) -> None:
    source = """
    import pty
    pid, leader = pty.fork()
    if pid == 0: os.execv('/bin/sh', ['sh', '-c', 'tty; test -t 0 && echo terminal'])
    out = b''
    while True:
        try: chunk = os.read(leader, 1000)
        except OSError: break
        if not chunk: break
        out += chunk
    os.waitpid(pid, 0)
    say(out.decode().split())
    """
    assert builder.run(source).answers() == [["/dev/pts/0", "terminal"]]


def test_time_zones_fonts_and_certificates_are_found(builder: Builder) -> None:
    source = """
    import ssl, zoneinfo
    say(attempt(lambda: str(zoneinfo.ZoneInfo('Europe/Berlin'))) if os.path.isdir('/usr/share/zoneinfo') else 'Europe/Berlin')
    os.environ['TZ'] = 'Europe/Berlin'; time.tzset(); say(time.strftime('%Z', time.gmtime(0)) != '')
    say(os.path.isdir('/etc/ssl/certs') and len(ssl.create_default_context().get_ca_certs()) >= 0, sys.getfilesystemencoding())
    """
    assert builder.run(source).answers()[0] == "Europe/Berlin"


def _has(python: Path, *modules: str) -> bool:
    return (
        subprocess.run([python, "-c", f"import {', '.join(modules)}"], check=False, capture_output=True, cwd="/").returncode == 0
    )


def test_numpy_pandas_and_matplotlib(root_builder: Builder) -> None:
    if not _has(root_builder.python, "numpy", "pandas", "matplotlib"):
        pytest.skip("the kernel environment has no NumPy")
    source = """
    import warnings; warnings.simplefilter('ignore')
    os.environ['MPLCONFIGDIR'] = '/tmp/matplotlib'
    import numpy, pandas
    matrix = numpy.random.default_rng(0).random((400, 400))
    say(bool(numpy.isfinite(matrix @ matrix).all()), len(os.listdir('/proc/self/task')) >= 1)
    pandas.DataFrame({'x': range(1000)}).to_csv('/workspace/x.csv')
    say(int(pandas.read_csv('/workspace/x.csv').x.sum()))
    import matplotlib; matplotlib.use('agg')
    import matplotlib.pyplot as plt
    plt.plot([1, 2]); plt.savefig('/workspace/x.png'); say(os.stat('/workspace/x.png').st_size > 1000)
    """
    assert root_builder.run(source).answers() == [True, True, 499500, True]


def test_zeromq_takes_a_listener_that_was_bound_outside(root_builder: Builder) -> None:
    if not _has(root_builder.python, "zmq"):
        pytest.skip("the kernel environment has no ZeroMQ")
    folder = root_builder.folder("zmq", owned=False)
    (folder / "kernel-1").unlink(missing_ok=True)
    source = f"""
    import zmq
    context = zmq.Context()
    listener = next(fd for fd in range(3, 20) if attempt(lambda: stat.S_ISSOCK(os.fstat(fd).st_mode)) is True)
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.USE_FD, listener)
    router.bind('ipc://{folder}/kernel-1')
    own = context.socket(zmq.DEALER); own.connect('ipc://{folder}/kernel-1'); own.send(b'hi')
    identity, message = router.recv_multipart(); router.send_multipart([identity, message.upper()])
    say(own.recv().decode())
    pull = context.socket(zmq.PULL); pull.bind_to_random_port('tcp://127.0.0.1')  # asks for the machine's interfaces
    own.close(); router.close(); pull.close(); context.term()
    """
    assert root_builder.run(source, sockets=str(folder)).answers() == ["HI"]
    assert [path.name for path in folder.iterdir()] == ["kernel-1"]
