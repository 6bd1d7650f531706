"""The folder of a kernel's sockets, which the service trusts."""

from __future__ import annotations

import socket

from tests.kernel_manager.kernelside.jail.harness import Builder


def test_the_sockets_folder_cannot_be_changed_and_still_serves_both_sides(builder: Builder) -> None:
    folder = builder.folder("k1", owned=False)
    (folder / "kernel-1").unlink(missing_ok=True)
    source = f"""
    folder = {str(folder)!r}
    path = folder + '/kernel-1'
    say(*[attempt(work) for work in (
        lambda: os.unlink(path), lambda: os.rename(path, folder + '/x'), lambda: os.symlink('/etc', folder + '/link'),
        lambda: os.mkdir(folder + '/sub'), lambda: os.chmod(path, 0o777), lambda: os.rename(folder, folder + '.old'),
        lambda: socket.socket(socket.AF_UNIX).bind(folder + '/own'))])
    number = next(fd for fd in range(3, 20) if attempt(lambda: stat.S_ISSOCK(os.fstat(fd).st_mode)) is True)
    listener = socket.socket(fileno=number)
    own = socket.socket(socket.AF_UNIX)
    own.connect(path)
    listener.accept()[0].send(b'!')
    say(own.recv(1).decode(), listener.getsockname())
    connection, _ = listener.accept()
    connection.send(connection.recv(100).upper())
    """
    running = builder.start(source, sockets=str(folder))
    seen = running.line()
    assert set(seen) <= {"EROFS", "EACCES", "EPERM", "EBUSY"}
    assert running.line() == ["!", str(folder / "kernel-1")]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "kernel-1"))
        client.send(b"hello")
        assert client.recv(100) == b"HELLO"
    assert running.finish().exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["kernel-1"]


def test_another_kernels_sockets_are_not_there(builder: Builder) -> None:
    own, other = builder.folder("own", owned=False), builder.folder("other", owned=False)
    (own / "kernel-1").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        (other / "kernel-1").unlink(missing_ok=True)
        listener.bind(str(other / "kernel-1"))
        (other / "kernel-1").chmod(0o777)
        listener.listen()
        source = f"say(attempt(lambda: socket.socket(socket.AF_UNIX).connect({str(other / 'kernel-1')!r})))"
        assert builder.run(source, sockets=str(own)).answers() == ["ENOENT"]
