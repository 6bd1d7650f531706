"""A service process that runs what attackers ask for; requests and answers are lines of JSON.

``{"id", "op": "run", "user", "session", "code", "timeout"}`` is answered by ``{"id", "event": "output"}`` at its first output and
by ``{"id", "result"}``; ``{"id", "op": "stop" | "pid", "user", "session"}`` by ``{"id", "result"}``. Questions stay unanswered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kernel_manager import CellFinished, CellStarted, Interpreter, Session, Settings, ThreadbookError, open_interpreter


def say(**message: Any) -> None:
    sys.stdout.write(f"{json.dumps(message)}\n")
    sys.stdout.flush()


async def run(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    told = False
    async for event in session.run(request["code"], timeout=request.get("timeout")):
        if isinstance(event, CellFinished):
            return event.result.to_dict()
        if not told and not isinstance(event, CellStarted):
            told = True
            say(id=request["id"], event="output")
    raise AssertionError("the cell did not say that it was over")


async def answer(interpreter: Interpreter, request: dict[str, Any]) -> None:
    try:
        session = await interpreter.session(request["user"], request["session"])
        result: Any = None
        if request["op"] == "run":
            result = await run(session, request)
        elif request["op"] == "stop":
            await session.stop()
        else:
            result = (await session.info()).kernel_pid
        say(id=request["id"], result=result)
    except ThreadbookError as exc:
        say(id=request["id"], error=str(exc))


async def main(settings: Settings) -> None:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with open_interpreter(settings) as interpreter:
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                group.create_task(answer(interpreter, json.loads(line)))
        await interpreter.stop_all()


if __name__ == "__main__":
    asyncio.run(main(Settings(**json.loads(sys.argv[1]))))
