"""Lines such as ``:export PATH``, which console and chat understand alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from kernel_manager import Interpreter, Session
from kernel_manager.errors import UsageError
from threadbook import app
from threadbook.run import existing_files
from threadbook.terminal import Terminal

Commands = Mapping[str, Callable[[str], Awaitable[None]]]


async def carry_out(line: str, commands: Commands) -> None:
    """Do what a line asks for; raises UsageError for what nobody knows."""
    name, _, argument = line.partition(" ")
    command = commands.get(name)
    if command is None:
        raise UsageError(f"there is no command {name}; :help lists those that there are")
    await command(argument.strip())


def file_to_hand_in(argument: str) -> Path:
    """The file that ``:file`` names; raises UsageError."""
    (path,) = existing_files([_path(argument)])
    return path


async def write_notebook(interpreter: Interpreter, session: Session, terminal: Terminal, argument: str) -> None:
    """``:export``: write the session to the path given, or beside."""
    from notebooks_export.exporting import export_session

    made = await export_session(interpreter, session)
    for note in made.notes:
        terminal.line(app.one_line(note))
    path = made.write(_path(argument) if argument else None)
    terminal.line(f"notebook: {path}", "stdout")


def _path(argument: str) -> Path:
    return Path(argument).expanduser()
