"""The runtime folder: sockets and connection files of live kernels, for the service's own user only."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.errors import StorageError
from kernel_manager.kernelside import protocol

#: Linux's limit for the path of a Unix socket, terminating zero included.
SOCKET_PATH_LIMIT = 108
_KERNEL_ID_BYTES = 6
ZYGOTE_SOCKETS = "z-*.sock"


@dataclass(frozen=True, slots=True)
class KernelFolder:
    """The folder of one kernel. It exists from before the kernel's start until somebody has read how it ended."""

    path: Path

    @property
    def kernel_id(self) -> str:
        """Twelve hexadecimal digits."""
        return self.path.name

    @property
    def connection_file(self) -> Path:
        """Jupyter's connection file: what a client needs, the key included."""
        return self.path / protocol.CONNECTION_FILE

    @property
    def init_socket(self) -> Path:
        """Where the kernel's supervisor listens."""
        return self.path / protocol.INIT_SOCKET

    @property
    def exit_file(self) -> Path:
        """How the kernel ended; empty until it has, see :attr:`is_reported`."""
        return self.path / protocol.EXIT_FILE

    @property
    def is_reported(self) -> bool:
        """Whether the supervisor has written down how the kernel ended: the last thing that it does."""
        try:
            with self.exit_file.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) == b"\n"
        except OSError:
            return False

    @property
    def spool(self) -> Path:
        """The running cell's messages."""
        return self.path / protocol.SPOOL_FILE

    def pending(self, stream: str) -> Path:
        """Text of ``stream`` that was not yet published when the kernel ended."""
        return self.path / protocol.PENDING_FILES[stream]

    def connection(self) -> dict[str, Any]:
        """Read the connection file; raises StorageError if it is gone."""
        try:
            info: dict[str, Any] = json.loads(self.connection_file.read_text())
        except (OSError, ValueError) as exc:
            raise StorageError(f"{self.connection_file} is gone or damaged; restart the session") from exc
        return info

    def is_supervised(self) -> bool:
        """Whether the kernel's supervisor is there; a socket file alone proves nothing."""
        return Runtime.is_listening(self.init_socket)

    def log(self) -> str:
        """The last lines that the kernel's start wrote about itself."""
        try:
            return (self.path / protocol.LOG_FILE).read_text(errors="replace")[-4_000:]
        except OSError:
            return ""

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


class Runtime:
    """All kernels' folders of one data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> None:
        """Make the folder, or raise StorageError if it is not safe to use."""
        try:
            self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
            _check_private(self.root)
            (self.root / "k").mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise StorageError(f"the runtime folder {self.root} cannot be used ({exc.strerror}); set RUNTIME_DIR") from exc
        longest = self.folder("0" * 2 * _KERNEL_ID_BYTES).path / protocol.SOCKETS_FOLDER / f"{protocol.SOCKET_PREFIX}-5"
        if len(os.fsencode(longest)) >= SOCKET_PATH_LIMIT:
            raise StorageError(f"the runtime folder's path {self.root} is too long for sockets; set RUNTIME_DIR to a shorter one")

    def folder(self, kernel_id: str) -> KernelFolder:
        """The folder of a kernel that may or may not exist."""
        return KernelFolder(self.root / "k" / kernel_id)

    def folders(self) -> list[KernelFolder]:
        """The folders that exist."""
        try:
            return [KernelFolder(path) for path in sorted((self.root / "k").iterdir())]
        except FileNotFoundError:
            return []

    def zygote_sockets(self) -> list[Path]:
        """The sockets of zygotes, whether they listen or not."""
        return sorted(self.root.glob(ZYGOTE_SOCKETS))

    @staticmethod
    def is_listening(path: Path) -> bool:
        """Whether somebody listens at a socket of packets."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                return False
        return True

    def create(self, key: str | None = None, kernel_id: str | None = None) -> KernelFolder:
        """Make the folder of a new kernel, with its connection file. ``key`` signs the messages."""
        folder = self.folder(kernel_id or secrets.token_hex(_KERNEL_ID_BYTES))
        sockets = folder.path / protocol.SOCKETS_FOLDER
        try:
            folder.path.mkdir(mode=0o700)
            sockets.mkdir(mode=0o700)
            connection = {
                "transport": "ipc",
                "ip": str(sockets / protocol.SOCKET_PREFIX),
                "key": key or secrets.token_hex(32),
                "signature_scheme": "hmac-sha256",
                **protocol.PORTS,
            }
            write_private(folder.connection_file, json.dumps(connection))
        except OSError as exc:
            raise StorageError(f"cannot write below {self.root} ({exc.strerror}); free some space or set RUNTIME_DIR") from exc
        return folder


def write_private(path: Path, text: str) -> None:
    """Write a small file that only its owner can read and that need not survive a power cut."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _check_private(path: Path) -> None:
    """Refuse a folder that somebody else made or can enter: under a shared /tmp anybody could have been first."""
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise StorageError(f"{path} is not a folder of this user alone; remove it or set RUNTIME_DIR to another place")
