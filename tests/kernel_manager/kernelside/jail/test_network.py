"""Whom code in a jail can reach: nobody."""

from __future__ import annotations

import os
import socket

from tests.kernel_manager.kernelside.jail.harness import Builder


def test_the_hosts_loopback_cannot_be_reached(builder: Builder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = f"""
        for address in (('127.0.0.1', {port}), ('192.0.2.1', 80), ('2001:db8::1', 80)):
            say(attempt(lambda: socket.create_connection(address, 2)))
        try: socket.getaddrinfo('example.com', 80)
        except socket.gaierror as exc: say('no names')
        """
        assert builder.run(source).answers() == ["ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "no names"]


def test_the_jails_own_loopback_works(builder: Builder) -> None:
    source = """
    with socket.create_server(('127.0.0.1', 0)) as server:
        client = socket.create_connection(server.getsockname())
        server.accept()[0].send(b'x')
        say(client.recv(1).decode(), socket.gethostbyname('localhost'))
    """
    assert builder.run(source).answers() == ["x", "127.0.0.1"]


def test_only_streams_and_datagrams_of_three_families(builder: Builder) -> None:
    source = """
    def make(*arguments):
        socket.socket(*arguments).close()
        return 'made'
    say(*[attempt(lambda a=a: make(*a)) for a in ((1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (10, 1), (2, 1, 6), (10, 2, 17))])
    say(*[attempt(lambda a=a: make(*a)) for a in (
        (2, 3, 1), (2, 3, 255), (10, 3, 58), (17, 3, 768), (17, 2, 768), (16, 3, 4), (16, 2, 15), (40, 1), (38, 5), (44, 3),
        (31, 3), (2, 5, 132), (2, 1, 262), (15, 3, 2), (29, 3, 1))])
    """
    assert builder.run(source).answers() == ["made"] * 8 + ["EPERM"] * 15


def test_netlink_shows_the_jails_own_loopback_and_changes_nothing(builder: Builder) -> None:
    source = """
    def ask(kind, flags, body):
        with socket.socket(16, socket.SOCK_RAW, 0) as netlink:
            netlink.send(struct.pack('=IHHII', 16 + len(body), kind, flags, 1, 0) + body)
            return netlink.recv(65536)
    get_links, set_link, new_route = 18, 19, 24
    answer = ask(get_links, 0x301, struct.pack('=BxHiII', 0, 0, 0, 0, 0))
    say(answer.count(b'\\x03\\x00lo\\x00'), b'eth0' in answer)
    down = struct.pack('=BxHiII', 0, 0, 1, 0, 1)
    say(*[errno.errorcode[-struct.unpack_from('=i', ask(k, 0x5, down), 16)[0]] for k in (set_link, new_route)])
    say(*[name for _, name in socket.if_nameindex()])
    """
    seen = builder.run(source).answers()
    assert seen[1:] == [False, "EPERM", "EPERM", "lo"]


def test_abstract_sockets_of_the_host_cannot_be_reached(builder: Builder) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0jail-{os.getpid()}-{builder.uid}")
        listener.listen()
        source = f"say(attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0jail-{os.getpid()}-{builder.uid}')))"
        assert builder.run(source).answers() == ["ECONNREFUSED"]


def test_with_a_shared_network_names_without_files_stay_out_of_reach(builder: Builder) -> None:
    name = f"jail-shared-{os.getpid()}-{builder.uid}"
    with socket.socket(socket.AF_UNIX) as listener, socket.create_server(("127.0.0.1", 0)) as server:
        listener.bind(f"\0{name}")
        listener.listen()
        source = f"""
        from ctypes import c_long
        say(libc.syscall(c_long(NUMBERS['landlock_create_ruleset']), None, c_long(0), c_long(1)))
        say(attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}')))
        say(attempt(lambda: socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).close()))
        say(open('/etc/resolv.conf').read())
        """
        seen = builder.run(source, network=True, resolvers="nameserver 192.0.2.53\n").answers()
    assert seen[2:] == [None, "nameserver 192.0.2.53\n"]
    assert seen[1] == ("EPERM" if isinstance(seen[0], int) and seen[0] >= 6 else None)
