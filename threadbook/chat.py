"""``threadbook chat``: the conversation with a model, in the terminal."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from bot.agent.agent import Message
from bot.agent.attachments import Attachment, attached
from bot.agent.events import TurnEnded
from bot.agent.models.selection import select
from bot.agent.opening import OpenAgent, open_agent
from kernel_manager import Interpreter
from kernel_manager.config import Settings
from kernel_manager.errors import ThreadbookError, UsageError
from kernel_manager.sessions.history import plain_json
from kernel_manager.sessions.session import Session
from threadbook import app
from threadbook.chat_printing import Summary, TurnPrinter
from threadbook.colon_commands import carry_out, file_to_hand_in, write_notebook
from threadbook.figures import FigureFolder
from threadbook.interrupts import end_as_interrupted, on_interrupt
from threadbook.piped import LineReader
from threadbook.questions import asker
from threadbook.run import existing_files
from threadbook.terminal import Terminal

_STATUSES = {"completed": app.OK, "stopped": app.INTERRUPTED, "limit": app.USAGE, "failed": app.SERVICE_FAILED}
_MAX_MESSAGE = 200_000

HELP = """\
:file PATH         hand a file to the session with the next message
:assistant [NAME]  who answers from now on; without a name: who there is
:usage             what you used today
:export PATH       write the session as a notebook
:restart           start over with a fresh kernel; the variables are gone
:help              this list
Ctrl-C stops an answer, Ctrl-D leaves"""


async def chat(options: argparse.Namespace) -> int:
    """Talk until there is nothing more to say, or say one thing and leave."""
    files = existing_files(options.files)
    if options.json and options.once is None:
        raise UsageError("--json belongs to --once; give --once MESSAGE, too")
    # before anything is opened or built: what is missing is said at once
    select(Settings.load())
    message = _read_message(options.once)
    # the person gets these as events of the turn
    for name in ("bot.agent.turn", "bot.agent.asking"):
        logging.getLogger(name).setLevel(logging.ERROR)
    terminal = Terminal()
    async with app.open_interpreter() as interpreter, open_agent(interpreter) as opened:
        session = await interpreter.session(options.user, options.session)
        talk = _Talk(interpreter, opened, session, terminal, files, options.assistant)
        if message is not None:
            return await talk.once(message, as_json=options.json)
        return await (talk.by_hand() if sys.stdin.isatty() else talk.from_pipe(sys.stdin.fileno()))


def _read_message(argument: str | None) -> str | None:
    if argument is None:
        if sys.stdin is None:
            raise UsageError("stdin is closed, so there is nothing to answer; use a terminal, or give --once MESSAGE")
        return None
    text = sys.stdin.read() if argument == "-" and sys.stdin is not None else argument
    if not text.strip() or len(text) > _MAX_MESSAGE:
        raise UsageError(f"the message has {len(text):,} characters; say something in at most {_MAX_MESSAGE:,}")
    return text


class _Talk:
    """One conversation in one session."""

    def __init__(
        self,
        interpreter: Interpreter,
        opened: OpenAgent,
        session: Session,
        terminal: Terminal,
        files: Sequence[Path],
        assistant_id: str | None,
    ) -> None:
        self._interpreter = interpreter
        self._opened = opened
        self._session = session
        self._terminal = terminal
        self._files = list(files)
        self._assistant_id = assistant_id
        self._ask = asker(terminal)
        self._failed = False
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            ":assistant": self._assistant,
            ":export": self._export,
            ":file": self._file,
            ":help": self._help,
            ":restart": self._restart,
            ":usage": self._usage,
        }

    async def once(self, text: str, *, as_json: bool) -> int:
        """Answer one message; the exit status tells whether it was answered."""
        summary = Summary()
        ended = await self._turn(text, summary, silent=as_json)
        if as_json:
            document = {**summary.to_dict(ended), "session_id": self._session.session_id, "user_id": self._session.user_id}
            self._terminal.pass_on("stdout", json.dumps(plain_json(document), allow_nan=False) + "\n")
        return _STATUSES[ended.status]

    async def by_hand(self) -> int:
        """Prompt for messages."""
        from prompt_toolkit import PromptSession

        who = await self._who()
        self._terminal.line(f"{who} answers in session {self._session.session_id}; :help lists the commands", "stdout")
        prompt: PromptSession[str] = PromptSession(message="> ")

        async def typed() -> str | None:
            self._terminal.line("", "stdout")
            try:
                return await prompt.prompt_async()
            except KeyboardInterrupt:
                return ""
            except EOFError:
                return None

        await self._all(typed, keep_on=True)
        return app.OK

    async def from_pipe(self, descriptor: int) -> int:
        """Answer each line of the descriptor; status 1 if one was not answered."""
        await self._all(LineReader(descriptor).next, keep_on=False)
        return app.CODE_FAILED if self._failed else app.OK

    async def _all(self, source: Callable[[], Awaitable[str | None]], *, keep_on: bool) -> None:
        while (text := await source()) is not None:
            text = text.strip()
            if text in ("exit", "quit", ":exit", ":quit"):
                return
            if not text:
                continue
            try:
                await (carry_out(text, self._commands) if text.startswith(":") else self._answer(text))
            except ThreadbookError as exc:
                if not keep_on:
                    raise
                self._terminal.line(app.explain(exc)[1])

    async def _answer(self, text: str) -> None:
        ended = await self._turn(text, Summary())
        self._failed = self._failed or ended.status != "completed"

    async def _turn(self, text: str, summary: Summary, *, silent: bool = False) -> TurnEnded:
        session = self._session
        attachments = await self._hand_in()
        turn = await self._opened.turn(session, Message(text, session.user_id, attachments), self._assistant_id)
        figures = FigureFolder(session.folder / "figures")
        printer = TurnPrinter(self._terminal, figures, session.session_id, self._ask, summary, silent=silent)
        presses = 0

        def interrupted() -> None:
            nonlocal presses
            presses += 1
            if presses > 1:
                end_as_interrupted()
            self._terminal.line("stopping; Ctrl-C once more does not wait")
            turn.stop()

        with on_interrupt(interrupted):
            async with aclosing(turn.events()) as events, aclosing(printer):
                async for event in events:
                    await printer.show(event)
                    if isinstance(event, TurnEnded):
                        return event
        raise AssertionError("a turn ends with TurnEnded")

    async def _hand_in(self) -> tuple[Attachment, ...]:
        """Make the files that wait the user's, and attachments of the next message."""
        files, self._files = self._files, []
        attachments = []
        for path in files:
            added = await self._interpreter.files.add(self._session.user_id, path.name, path)
            attachments.append(attached(added.file))
            for file in added.removed:
                self._terminal.line(app.one_line(f"removed {file.filename} ({file.file_id}) to make room"))
            if added.note:
                self._terminal.line(app.one_line(added.note))
        return tuple(attachments)

    # Commands.

    async def _help(self, _: str) -> None:
        self._terminal.line(HELP, "stdout")

    async def _file(self, argument: str) -> None:
        path = file_to_hand_in(argument)
        self._files.append(path)
        self._terminal.line(f"handed in with the next message: {path.name}", "stdout")

    async def _assistant(self, argument: str) -> None:
        if argument:
            chosen = await self._opened.assistants.choose(self._session.user_id, argument)
            self._assistant_id = None
            self._terminal.line(f"{chosen.name} answers from now on", "stdout")
            return
        for assistant in await self._opened.assistants.all():
            self._terminal.line(f"{assistant.assistant_id}  {assistant.name}", "stdout")
        self._terminal.line(f"now: {await self._who()}", "stdout")

    async def _who(self) -> str:
        assistants = self._opened.assistants
        chosen = assistants.get(self._assistant_id) if self._assistant_id else assistants.of_user(self._session.user_id)
        return app.one_line((await chosen).name)

    async def _usage(self, _: str) -> None:
        for record in (await self._opened.usage.get(self._session.user_id))[-20:]:
            tokens = f"{record['input_tokens']:,} tokens in ({record['cached_tokens']:,} cached), {record['output_tokens']:,} out"
            line = f"{record['day']} {record['assistant_id']}: {tokens}, {record['runs']} runs, {record['seconds']:.1f} s"
            self._terminal.line(line, "stdout")

    async def _export(self, argument: str) -> None:
        await write_notebook(self._interpreter, self._session, self._terminal, argument)

    async def _restart(self, _: str) -> None:
        await self._session.restart()
        self._terminal.line("a fresh kernel; the variables are gone", "stdout")
