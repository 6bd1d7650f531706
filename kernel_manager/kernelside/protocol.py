"""Names and messages that the service and the kernel side share: plain data, standard library only.

A kernel's folder holds ``connection.json`` (written by the service, mode 0600), the folder ``s`` of the ZMQ sockets
(``s/k-1`` … ``s/k-5``), ``init.sock`` (the supervisor), the spool of the running cell and, once it is over,
``exit.json``.

Both the zygote's and the init's socket are ``SOCK_SEQPACKET``: one packet is one JSON object. Requests carry ``v`` (the
protocol's version) and ``op``; replies carry ``ok``; unasked messages carry ``event``.
"""

from __future__ import annotations

import json
import socket
from typing import Any

PROTOCOL_VERSION = 1
MAX_PACKET = 64 * 1024

CONNECTION_FILE = "connection.json"
SOCKETS_FOLDER = "s"
SOCKET_PREFIX = "k"
INIT_SOCKET = "init.sock"
EXIT_FILE = "exit.json"
SPOOL_FILE = "spool"
LOG_FILE = "log"
PENDING_FILES = {"stdout": "stdout.pending", "stderr": "stderr.pending"}

#: In the folder of a user's packages, the link to what is installed now.
OVERLAY = "current"

#: Channel → port number; with the IPC transport port N of ``ip`` is the socket ``{ip}-N``.
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}

#: What ``input()`` gets for "no answer"; Jupyter's own sign for end of file.
END_OF_INPUT = "\x04"


def encode(message: dict[str, Any]) -> bytes:
    """Return ``message`` as one packet."""
    return json.dumps(message, separators=(",", ":")).encode()


def decode(packet: bytes) -> dict[str, Any]:
    """Return the object in ``packet``; raises ValueError for anything else."""
    message = json.loads(packet)
    if not isinstance(message, dict):
        raise ValueError("a packet holds one JSON object")
    return message


def listening_socket(path: str, backlog: int = 64) -> socket.socket:
    """Bind a listening packet socket at ``path`` that only its owner may connect to."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    server.bind(path)
    server.listen(backlog)
    return server
