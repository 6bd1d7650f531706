"""``threadbook sessions``, ``attach`` and ``stop``: the sessions there are."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Iterable
from datetime import datetime

from kernel_manager.execution.artifacts import shown_name
from kernel_manager.sessions.session import SessionInfo
from threadbook import app
from threadbook.interrupts import on_interrupt
from threadbook.table import aligned


async def list_sessions(options: argparse.Namespace) -> int:
    """Print a line for each session, or all of them as JSON."""
    async with app.open_interpreter() as interpreter:
        infos = await interpreter.sessions()
    if options.json:
        print(json.dumps([dataclasses.asdict(info) for info in infos], indent=2))
    elif infos:
        print("\n".join(session_table(infos)))
    else:
        app.report("no sessions yet; `threadbook run '1 + 1'` makes one")
    return app.OK


def session_table(infos: Iterable[SessionInfo]) -> list[str]:
    """Return the lines of the listing; the session used last comes first."""
    rows = [("SESSION", "USER", "STATE", "KERNEL", "CELLS", "LAST USED")]
    for info in sorted(infos, key=lambda info: info.last_used or info.created_at or "", reverse=True):
        pid = str(info.kernel_pid) if info.kernel_pid is not None else "-"
        used = local_time(info.last_used) if info.last_used else "-"
        rows.append((shown_name(info.session_id), shown_name(info.user_id), info.state, pid, str(info.cells), used))
    return aligned(rows)


def local_time(moment: str) -> str:
    """Return a moment (ISO 8601) to the second, in the time zone of this machine."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


async def attach(options: argparse.Namespace) -> int:
    """Let a Jupyter console use the kernel until the person leaves it; the kernel goes on."""
    async with app.open_interpreter() as interpreter:
        session = await interpreter.session(options.user, options.session, create=False)
        if (await session.info()).state in ("busy", "starting"):
            app.report(f"session {session.session_id} is in use; waiting")
        app.report(f"attaching to session {session.session_id}; Ctrl-D leaves, and the kernel stays")
        async with session.recording() as connection_file:
            interrupting: set[asyncio.Task[None]] = set()
            # The console gets the terminal's Ctrl-C as well, but only we may signal the kernel.
            with on_interrupt(lambda: interrupting.add(asyncio.create_task(session.interrupt()))):
                command = [sys.executable, "-P", "-m", "threadbook.attached", "--existing", str(connection_file)]
                console = await asyncio.create_subprocess_exec(*command)
                status = await console.wait()
    if status != 0:
        app.report(f"the console ended with status {status}; the kernel goes on")
        return app.SERVICE_FAILED
    return app.OK


async def stop(options: argparse.Namespace) -> int:
    """End one kernel, or all of them."""
    async with app.open_interpreter() as interpreter:
        if options.all:
            count = await interpreter.stop_all()
            print(f"ended {count} kernel{'s' if count != 1 else ''}")
            return app.OK
        session = await interpreter.session(options.user, options.session, create=False)
        had_kernel = (await session.info()).kernel_pid is not None
        await session.stop()
    print(f"stopped session {session.session_id}" if had_kernel else f"session {session.session_id} has no kernel")
    return app.OK
