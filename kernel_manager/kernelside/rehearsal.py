"""A rehearsal before the fork: the whole way of a first cell, through real sockets, and then everything is undone.

What runs for the first time is slow and dirties memory: modules are imported, caches filled, byte code specialised.
Done once in the zygote, it is neither in a kernel. Afterwards no socket, no thread and no trace in the namespace is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session
from tornado import ioloop

from .handles import open_for_kernel
from .protocol import CONNECTION_FILE, PORTS

CELLS = (
    "1 + 1",
    "x = 1",
    "import matplotlib.pyplot as plt, pandas as pd, numpy as np",
    "print('text')",
    "pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
    "plt.figure(); plt.plot([1, 2, 3], label='y'); plt.title('t'); plt.xlabel('x'); plt.legend(); plt.show()",
    "fig, ax = plt.subplots(); ax.bar(['a', 'b'], [1, 2]); ax.hist([1, 2, 2, 3])",
    "import io; pd.read_csv(io.StringIO('a,b\\n1,x\\n2,y')).describe()",
    "1 / 0",
)
_CELL_TIMEOUT_S = 30.0


def rehearse(app: Any) -> None:
    """Run :data:`CELLS` in ``app``'s kernel as a client would, and forget them."""
    own = dict(app.kernel.shell.user_ns)
    with tempfile.TemporaryDirectory(prefix="tb-") as folder, _standard_streams(), _pipes() as (stdout, stderr):
        connection = {"transport": "ipc", "ip": os.path.join(folder, "k"), "key": "rehearsal", **PORTS}
        with open(os.path.join(folder, CONNECTION_FILE), "w") as file:
            json.dump(connection, file)
        app.attach(open_for_kernel(folder, (stdout, stderr), news=-1))
        try:
            ioloop.IOLoop.current().run_sync(lambda: _play(connection))
        finally:
            app.detach()
    _forget(app, own)


async def _play(connection: dict[str, Any]) -> None:
    context = zmq.asyncio.Context()
    session = Session(key=connection["key"].encode())
    shell, iopub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
    iopub.subscribe(b"")
    try:
        shell.connect(f"ipc://{connection['ip']}-{connection['shell_port']}")
        iopub.connect(f"ipc://{connection['ip']}-{connection['iopub_port']}")
        for cell in CELLS:
            await _request(session, shell, "execute_request", {"code": cell, "silent": False, "store_history": True})
        await _request(session, shell, "complete_request", {"code": "import nump", "cursor_pos": 11})
        await _request(session, shell, "is_complete_request", {"code": "x = 1"})
        await _request(session, shell, "kernel_info_request", {})
    finally:
        shell.close(linger=0)
        iopub.close(linger=0)
        context.term()


async def _request(session: Session, shell: Any, msg_type: str, content: dict[str, Any]) -> None:
    session.send(shell, msg_type, content)
    await asyncio.wait_for(shell.recv_multipart(), _CELL_TIMEOUT_S)


def _forget(app: Any, own: dict[str, Any]) -> None:
    """Put the shell back to where it was; ``own`` is its namespace from before."""
    shell = app.kernel.shell
    shell.history_manager.reset(new_session=False)
    shell.reset(new_session=True)
    # a reset drops what makes the namespace a module (__spec__ and the like), and new processes want that
    shell.user_ns.update({name: value for name, value in own.items() if name.startswith("__")})
    shell.execution_count = 1
    shell._last_traceback = None
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@contextlib.contextmanager
def _standard_streams() -> Iterator[None]:
    """Keep the process's own descriptors 1 and 2, and its streams, as they are."""
    saved = sys.stdout, sys.stderr, sys.displayhook
    try:
        yield
    finally:
        sys.stdout, sys.stderr, sys.displayhook = saved


@contextlib.contextmanager
def _pipes() -> Iterator[Sequence[int]]:
    """Two pipes that nobody writes to."""
    ends = [os.pipe(), os.pipe()]
    try:
        yield [read for read, _ in ends]
    finally:
        for end in ends:
            for fd in end:
                with contextlib.suppress(OSError):
                    os.close(fd)
