"""What code in a jail sees of the host's files, and what it can do to them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.kernel_manager.kernelside.jail.harness import Builder


def test_the_root_shows_only_what_the_policy_names(builder: Builder) -> None:
    seen = builder.run("say(sorted(os.listdir('/')))").answers()
    libraries = {"lib", "lib32", "lib64", "libx32", "opt", "root", "home", "usr"}
    known = {"bin", "dev", "etc", "files", "packages", "proc", "sbin", "tmp", "var", "workspace"}
    assert set(seen[0]) <= known | libraries
    assert {"workspace", "proc", "dev", "tmp", "etc"} <= set(seen[0])


def test_host_files_are_not_there(builder: Builder) -> None:
    secret = builder.folder("secret") / "token"
    secret.write_text("s3cr3t")
    secret.chmod(0o644)
    paths = [str(secret), "/etc/shadow", "/etc/ssh", "/root/.ssh", "/home/somebody", "/var/log", "/sys/kernel", "/run", "/boot"]
    source = f"say(*[attempt(lambda p=p: os.stat(p).st_ino) for p in {paths}])"
    assert builder.run(source).answers() == ["ENOENT"] * len(paths)


def test_dotdot_does_not_lead_out(builder: Builder) -> None:
    source = """
    root = os.stat('/')
    os.chdir('/')
    for _ in range(20): os.chdir('..')
    here = os.stat('.')
    say((root.st_dev, root.st_ino) == (here.st_dev, here.st_ino), sorted(os.listdir('.')) == sorted(os.listdir('/')))
    """
    assert builder.run(source).answers() == [True, True]


def test_nothing_but_the_workspace_and_temporary_folders_can_be_written(builder: Builder) -> None:
    files, packages = builder.folder("files", owned=True), builder.folder("packages", owned=True)
    source = """
    def write(folder):
        with open(f'{folder}/probe', 'w') as file: file.write('x')
        return 'written'
    folders = ['/workspace', '/tmp', '/dev/shm', os.environ['HOME'],
               '/', '/etc', '/usr/bin', '/usr/lib', '/dev', '/var', '/proc/sys/kernel', '/files', '/packages', sys.prefix]
    say(*[attempt(lambda f=f: write(f)) for f in folders])
    """
    seen = builder.run(source, files=str(files), packages=str(packages)).answers()
    assert seen[:4] == ["written"] * 4
    assert set(seen[4:]) <= {"EROFS", "EACCES", "ENOENT"}
    assert seen[11:13] == ["EROFS", "EROFS"]


def test_read_only_files_cannot_be_changed_by_their_own_owner(builder: Builder) -> None:
    shared = builder.folder("shared", owned=True)
    victim = shared / "index.json"
    victim.write_text("{}")
    os.chown(victim, builder.host_uid, builder.host_uid)
    source = """
    path = '/files/index.json'
    say(*[attempt(work) for work in (
        lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: os.truncate(path, 0), lambda: os.unlink(path),
        lambda: os.rename(path, '/files/other'), lambda: os.symlink('/etc/passwd', '/files/link'),
        lambda: os.link(path, '/workspace/hard'), lambda: os.setxattr(path, 'user.x', b'1'), lambda: open(path, 'r+'),
        lambda: os.chmod(os.open(path, os.O_RDONLY), 0o777))])
    """
    seen = builder.run(source, files=str(shared)).answers()
    assert seen == ["EROFS"] * 6 + ["EXDEV"] + ["EROFS"] * 3
    assert victim.read_text() == "{}"


def test_devices_are_the_five_harmless_ones(builder: Builder) -> None:
    source = """
    modes = {name: os.stat(f'/dev/{name}').st_mode for name in os.listdir('/dev')}
    say(*sorted(name for name, mode in modes.items() if stat.S_ISCHR(mode) or stat.S_ISBLK(mode)))
    """
    assert builder.run(source).answers() == ["full", "null", "ptmx", "random", "urandom", "zero"]


def test_device_nodes_cannot_be_made(builder: Builder) -> None:
    source = """
    say(*[attempt(lambda f=f, k=k: os.mknod(f'{f}/sda', k | 0o666, os.makedev(8, 0)))
          for f in ('/workspace', '/tmp', '/dev/shm') for k in (stat.S_IFBLK, stat.S_IFCHR)])
    """
    assert builder.run(source).answers() == ["EPERM"] * 6


def test_attributes_of_the_hosts_devices_stay(builder: Builder) -> None:
    before = Path("/dev/null").stat()
    source = "say(*[attempt(w) for w in (lambda: os.utime('/dev/null', (1, 1)), lambda: os.chmod('/dev/null', 0))])"
    seen = builder.run(source).answers()
    assert seen == ["EROFS", "EROFS"]
    after = Path("/dev/null").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_setuid_files_cannot_be_made(builder: Builder) -> None:
    source = """
    open('/workspace/tool', 'w').close()
    descriptor = os.open('/workspace/tool', os.O_RDONLY)
    say(*[attempt(work) for work in (
        lambda: os.chmod('/workspace/tool', 0o4755), lambda: os.fchmod(descriptor, 0o4755),
        lambda: os.chmod('/workspace/tool', 0o2755),
        lambda: os.open('/workspace/new', os.O_CREAT | os.O_WRONLY, 0o4755), lambda: os.mknod('/workspace/node', 0o104755),
        lambda: os.open('/workspace', os.O_TMPFILE | os.O_WRONLY, 0o4755), lambda: os.chmod('/workspace/tool', 0o1755))])
    say(errno.errorcode[-syscall('fchmodat2', -100, b'/workspace/tool', 0o4755, 0)])
    """
    assert builder.run(source).answers() == ["EPERM"] * 6 + [None] + ["EPERM"]


def test_setuid_programs_of_the_system_give_nothing(builder: Builder) -> None:
    source = """
    found = [p for p in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd', '/usr/bin/newuidmap') if os.path.exists(p)]
    done = subprocess.run(['/usr/bin/id', '-u'], capture_output=True, text=True)
    say(done.stdout.strip(), all(os.statvfs(p).f_flag & os.ST_NOSUID for p in found))
    """
    assert builder.run(source).answers() == ["1000", True]


def test_a_link_in_place_of_the_workspace_is_not_followed(builder: Builder) -> None:
    link = builder.folder("links") / "workspace"
    if not link.is_symlink():
        link.symlink_to("/etc")
    outcome = builder.run("say('inside')", workspace=str(link))
    assert outcome.said == []
    assert outcome.report["failed"].startswith("jail: mount namespace: mount /workspace: ")


def test_mapped_files_give_no_way_around_the_mounts(builder: Builder) -> None:
    source = """
    import glob
    mapped = glob.glob('/proc/self/map_files/*') or ['/proc/self/map_files/' + open('/proc/self/maps').readline().split()[0]]
    say(sorted({attempt(lambda p=p: os.chmod(p, 0o777)) for p in mapped} | {attempt(lambda p=p: open(p, 'r+b')) for p in mapped}))
    """
    assert set(builder.run(source).answers()[0]) <= {"EPERM", "EACCES", "ENOENT"}


def test_hard_links_and_symbolic_links_lead_nowhere_outside(builder: Builder) -> None:
    source = """
    links = {'passwd': '/etc/shadow', 'up': '../../../../../../etc/shadow', 'root': '/proc/1/root/etc/shadow',
             'cwd': '/proc/1/cwd'}
    for name, text in links.items():
        try: os.symlink(text, f'/workspace/{name}')
        except FileExistsError: pass
    say(*[attempt(lambda n=n: open(f'/workspace/{n}').read()) for n in links])
    """
    assert set(builder.run(source).answers()) <= {"ENOENT", "EACCES"}
