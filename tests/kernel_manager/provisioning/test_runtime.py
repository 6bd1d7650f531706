from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from kernel_manager.errors import StorageError
from kernel_manager.kernelside import protocol
from kernel_manager.provisioning.live_kernel import ExitReport
from kernel_manager.provisioning.runtime import KernelFolder, Runtime


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    runtime = Runtime(tmp_path / "r")
    runtime.open()
    return runtime


def test_folders_and_connection_files_are_for_their_owner_alone(runtime: Runtime) -> None:
    folder = runtime.create()
    for path in (runtime.root, folder.path, folder.path / "s"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.connection_file.stat().st_mode) == 0o600


def test_every_kernel_has_a_key_and_sockets_of_its_own(runtime: Runtime) -> None:
    one, other = runtime.create().connection(), runtime.create().connection()
    assert one["key"] != other["key"]
    assert one["ip"] != other["ip"]
    assert len(one["key"]) >= 32


def test_opening_twice_is_fine(runtime: Runtime) -> None:
    runtime.open()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r").chmod(mode)
    with pytest.raises(StorageError, match="not a folder of this user alone; remove it or set RUNTIME_DIR"):
        Runtime(tmp_path / "r").open()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "r").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="set RUNTIME_DIR"):
        Runtime(tmp_path / "r").open()


def test_a_path_too_long_for_sockets_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long for sockets; set RUNTIME_DIR"):
        Runtime(tmp_path / ("x" * 100)).open()


def test_a_socket_file_alone_is_no_supervisor(runtime: Runtime) -> None:
    folder = runtime.create()
    assert not folder.is_supervised()
    server = protocol.listening_socket(str(folder.init_socket))
    assert folder.is_supervised()
    server.close()
    assert not folder.is_supervised()


def test_an_exit_report_is_read_by_name_and_a_missing_one_says_nothing(tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path)
    assert ExitReport.read(folder) == ExitReport()
    folder.exit_file.write_text(json.dumps({"exit_code": 3, "killed_by": None, "of_a_later_version": 1}))
    assert ExitReport.read(folder) == ExitReport(exit_code=3)


def test_packets_are_json_objects_only() -> None:
    assert protocol.decode(protocol.encode({"op": "hello"})) == {"op": "hello"}
    with pytest.raises(ValueError, match="one JSON object"):
        protocol.decode(b"[1]")


def test_the_sockets_are_packet_sockets(tmp_path: Path) -> None:
    server = protocol.listening_socket(str(tmp_path / "x.sock"))
    try:
        assert server.type == socket.SOCK_SEQPACKET
        assert not server.get_inheritable()
    finally:
        server.close()
