"""A kernel's listening sockets, bound before its jail is built and handed in as descriptors.

ZeroMQ takes them (``socket.setsockopt(zmq.USE_FD, descriptor)`` before ``bind`` with the same address), so the code in the
jail never needs to write to the folder they lie in: it is shown read-only or not at all, and no link can be put into it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Final

from .errors import JailError

_BACKLOG: Final = 128


def listen(folder: str, names: Iterable[str]) -> dict[str, int]:
    """Bind and listen on a Unix socket *name* in *folder* for each of *names*; the descriptors, by name.

    Whoever may enter *folder* may connect: its parent folder keeps others out. A path has at most 107 bytes.
    """
    return {name: _listen(os.path.join(folder, name)) for name in names}


def _listen(path: str) -> int:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        os.chmod(path, 0o666)  # noqa: S103  (the folder decides who comes near)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise JailError(f"socket {path}", exc) from exc
    return listener.detach()
