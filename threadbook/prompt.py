"""The console's prompt on a terminal: editing, history, completion from the kernel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as MenuItem
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus, has_selection
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.styles import Style
from pygments.lexers.python import PythonLexer

from kernel_manager.sessions.session import Completion
from threadbook.completeness import is_whole, next_indent

_STYLE = Style.from_dict({"prompt": "ansigreen", "number": "ansibrightgreen bold"})
_KERNEL_ANSWERS_S = 2.0


class Kernel(Protocol):
    """What a prompt asks a session."""

    async def complete(self, code: str, cursor: int) -> Completion:
        """Return completions at ``cursor``."""

    async def is_complete(self, code: str) -> str:
        """Return whether the code is a whole cell, in Jupyter's words."""


class Prompt:
    """Reads one cell after the other from the person at the terminal."""

    def __init__(
        self,
        kernel: Kernel,
        history_file: Path,
        commands: Iterable[str],
        *,
        input: Input | None = None,  # noqa: A002 - prompt_toolkit's name
        output: Output | None = None,
    ) -> None:
        """``commands`` are the words that are completed at the beginning of a line and take one line only."""
        self._kernel = kernel
        self._commands = tuple(commands)
        self._deciding = False
        self._typed_meanwhile: list[KeyPress] = []
        self._session: PromptSession[str] = PromptSession(
            lexer=PygmentsLexer(PythonLexer),
            completer=_KernelCompleter(kernel, self._commands),
            complete_while_typing=False,
            history=_History(history_file),
            enable_history_search=True,
            key_bindings=self._bindings(),
            multiline=True,
            prompt_continuation=_continuation,
            style=_STYLE,
            input=input,
            # The screen is for the person even if stdout goes elsewhere.
            output=output or create_output(always_prefer_tty=True),
        )

    async def read(self, number: int) -> str:
        """Return the next cell, prompting for it as number ``number``. Raises :class:`EOFError` on Ctrl-D."""
        message = FormattedText([("class:prompt", "In ["), ("class:number", str(number)), ("class:prompt", "]: ")])
        return await self._session.prompt_async(message)

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        editing = has_focus(DEFAULT_BUFFER) & ~has_selection
        choosing = Condition(_is_choosing)

        @bindings.add("enter", filter=editing & ~choosing)
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not buffer.document.on_last_line:
                buffer.newline()
            else:
                self._deciding = True
                _ = event.app.create_background_task(self._run_or_continue(event.app, buffer))

        @bindings.add(Keys.Any, filter=Condition(lambda: self._deciding), eager=True)
        def _(event: KeyPressEvent) -> None:
            self._typed_meanwhile += event.key_sequence

        @bindings.add("enter", filter=editing & choosing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.complete_state = None

        @bindings.add("escape", "enter", filter=editing)
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @bindings.add("tab", filter=editing & Condition(_at_indent))
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("    ")

        @bindings.add("c-c", filter=has_focus(DEFAULT_BUFFER))
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.reset()

        return bindings

    async def _run_or_continue(self, app: Application[str], buffer: Buffer) -> None:
        """Ask the kernel. What is typed until it answers comes after what Enter does, here or at the next prompt."""
        try:
            whole = await self._is_whole(buffer.text)
        finally:
            self._deciding = False
        if whole:
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + next_indent(buffer.document.text_before_cursor))
        keys, self._typed_meanwhile = self._typed_meanwhile, []
        app.key_processor.feed_multiple(keys)
        if not whole:
            app.key_processor.process_keys()

    async def _is_whole(self, text: str) -> bool:
        if not text.strip() or text.lstrip().startswith(self._commands):
            return True
        status = "unknown"
        with suppress(TimeoutError):
            status = await asyncio.wait_for(self._kernel.is_complete(text), _KERNEL_ANSWERS_S)
        return is_whole(text) if status == "unknown" else status != "incomplete"


class _KernelCompleter(Completer):
    """Completes by asking the kernel."""

    def __init__(self, kernel: Kernel, commands: tuple[str, ...]) -> None:
        self._kernel = kernel
        self._commands = commands

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[MenuItem]:
        """See prompt_toolkit; the kernel answers asynchronously only."""
        return ()

    async def get_completions_async(self, document: Document, complete_event: CompleteEvent) -> AsyncGenerator[MenuItem, None]:
        """See prompt_toolkit."""
        if document.text.startswith(":"):
            for command in self._commands:
                if command.startswith(document.text):
                    yield MenuItem(command, start_position=-len(document.text))
            return
        found = await self._kernel.complete(document.text, document.cursor_position)
        for match in found.matches:
            if match.isprintable():
                yield MenuItem(match, start_position=found.start - document.cursor_position)


class _History(FileHistory):
    """What was typed, in a file for its owner only. Not being able to write it is no reason to stop."""

    def __init__(self, path: Path) -> None:
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        super().__init__(str(path))

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        with suppress(OSError, UnicodeError):
            super().store_string(string)


def _continuation(width: int, line_number: int, wrap_count: int) -> str:
    return "...: ".rjust(width)


def _is_choosing() -> bool:
    """Whether one of the offered completions is selected."""
    state = get_app().current_buffer.complete_state
    return state is not None and state.current_completion is not None


def _at_indent() -> bool:
    """Whether there is nothing to complete before the cursor."""
    return not get_app().current_buffer.document.current_line_before_cursor.strip()
