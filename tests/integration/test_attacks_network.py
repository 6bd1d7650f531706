"""Attacks over sockets: the host's loopback and services, the world, other kernels, and the jail's own plumbing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.integration.attacks import Attacker

pytestmark = pytest.mark.slow


@pytest.fixture
def tcp_port() -> Iterator[int]:
    """A service on this machine's loopback; it must never see a connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_the_hosts_loopback_is_not_there(spy: Attacker, tcp_port: int, host: str) -> None:
    assert spy.sees(f"attempt(socket.create_connection, ({host!r}, {tcp_port}), 3)") == "ECONNREFUSED"
    spy.service.goes_on()


def test_an_abstract_socket_of_the_host_is_not_there(spy: Attacker) -> None:
    name = f"\0threadbook-{id(spy)}"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(name)
        server.listen()
        assert spy.sees(f"attempt(socket.socket(socket.AF_UNIX).connect, {name!r})") == "ECONNREFUSED"
    spy.service.goes_on()


_WORLD: list[Any] = [
    pytest.param("attempt(socket.create_connection, ('1.1.1.1', 53), 3)", {"ENETUNREACH"}, id="the world"),
    pytest.param("attempt(socket.create_connection, ('169.254.169.254', 80), 3)", {"ENETUNREACH"}, id="a cloud's metadata"),
    pytest.param("attempt(socket.create_connection, ('10.0.0.1', 22), 3)", {"ENETUNREACH"}, id="the local network"),
    pytest.param("attempt(socket.create_connection, ('2606:4700:4700::1111', 53), 3)", {"ENETUNREACH"}, id="the world by IPv6"),
    pytest.param(
        "attempt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b'x', ('8.8.8.8', 53))", {"ENETUNREACH"}, id="UDP"
    ),
    pytest.param("attempt(lambda: subprocess.run(['getent', 'hosts', 'example.com']).returncode)", {2}, id="DNS"),
    pytest.param("[name for _, name in socket.if_nameindex()]", {"lo"}, id="interfaces"),
    pytest.param("attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)", {"EPERM"}, id="raw sockets"),
    pytest.param("attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)", {"EPERM"}, id="packet sockets"),
    pytest.param("attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 15)", {"EPERM"}, id="kernel events by netlink"),
    pytest.param("attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 9)", {"EPERM"}, id="audit by netlink"),
    pytest.param("attempt(socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)", {"EPERM"}, id="the hypervisor"),
    pytest.param("attempt(socket.socket, socket.AF_ALG, socket.SOCK_SEQPACKET)", {"EPERM"}, id="the kernel's crypto"),
    pytest.param("attempt(socket.socket, 31, socket.SOCK_RAW, 0)", {"EPERM"}, id="bluetooth"),
    pytest.param("attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 132)", {"EPERM"}, id="SCTP"),
    pytest.param("attempt(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 262)", {"EPERM"}, id="MPTCP"),
    pytest.param(
        "import fcntl; attempt(fcntl.ioctl, socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0))", {"EPERM"}, id="lo down"
    ),
    pytest.param("attempt(socket.socket().bind, ('127.0.0.1', 80))", {"EACCES", "EPERM", None}, id="a privileged port"),
]


@pytest.mark.parametrize(("code", "expected"), _WORLD)
def test_there_is_no_way_to_the_world(spy: Attacker, code: str, expected: set[Any]) -> None:
    seen = spy.sees(f"seen = {code}\nseen" if not code.startswith("import") else code)
    assert (seen[0] if isinstance(seen, list) else seen) in expected
    spy.service.goes_on()


def test_its_own_loopback_works(attacker: Attacker) -> None:
    code = """
    server = socket.create_server(('127.0.0.1', 0))
    client = socket.create_connection(server.getsockname())
    other, _ = server.accept()
    client.sendall(b'hello'); other.recv(5)
    """
    assert attacker.sees(code) == b"hello"


def test_neither_the_zygote_nor_another_kernel_can_be_reached(attacker: Attacker) -> None:
    service = attacker.service
    attacker.run("0")
    paths = [*service.runtime.glob("*.sock"), *service.victim.kernel_folder().rglob("*"), *attacker.kernel_folder().rglob("*")]
    names = [str(path) for path in paths if path.is_socket() or path.is_file()]
    assert len(names) > 10
    code = f"""
    def knock(path, kind):
        with socket.socket(socket.AF_UNIX, kind) as client:
            return attempt(client.connect, path)
    seen = {{knock(path, kind) for path in {names!r} for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)}}
    sorted(seen | {{attempt(read, path) for path in {names!r}}})
    """
    assert attacker.sees(code) == ["ENOENT"]


def test_the_folder_of_its_sockets_cannot_be_changed(attacker: Attacker) -> None:
    attacker.run("0")
    folder = attacker.kernel_folder()
    before = sorted(str(path) for path in folder.rglob("*"))
    code = f"""
    folder = {str(folder)!r}
    [attempt(os.listdir, folder), attempt(os.mkdir, folder + '/evil'), attempt(os.symlink, '/', folder + '/s/link')]
    """
    assert attacker.sees(code) == ["ENOENT"] * 3
    assert sorted(str(path) for path in folder.rglob("*")) == before
    assert attacker.sees("1 + 1") == 2
