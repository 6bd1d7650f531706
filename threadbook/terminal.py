"""stdout and stderr of this process, as a person or another program sees them."""

from __future__ import annotations

import os
import re
import sys
from typing import Literal, TextIO

from threadbook.control_sequences import RESET, ControlFilter, plain

StreamName = Literal["stdout", "stderr"]

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_LAST_COLOURS = re.compile(rf"(?:{_COLOUR.pattern})+\Z")


class Terminal:
    """Writes what code sends and what the command itself has to say, so that neither disturbs the other.

    The command's own lines begin on a line of their own. If both streams are terminals they are one screen,
    else each is by itself: a program that reads stdout gets the code's output and nothing else.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Use the streams of this process unless told otherwise."""
        stdout, stderr = _Device(out or sys.stdout), _Device(err or sys.stderr)
        if stdout.is_terminal and stderr.is_terminal:
            stdout.screen = stderr.screen = _Screen()
        self._devices: dict[str, _Device] = {"stdout": stdout, "stderr": stderr}

    def is_terminal(self, name: StreamName = "stdout") -> bool:
        """Whether a person looks at the stream."""
        return self._devices[name].is_terminal

    def pass_on(self, name: StreamName, text: str) -> None:
        """Write a piece of a stream that code sends."""
        device = self._devices[name]
        self._write(device, device.filter.feed(text))

    def block(self, name: StreamName, text: str) -> None:
        """Write a whole text of the code's making (a result, a traceback) on lines of its own."""
        device = self._devices[name]
        self.end_line(name)
        shown = plain(text, colours=device.has_colours)
        self._write(device, shown if shown.endswith("\n") else f"{shown}\n")
        self._end_colours(device)

    def line(self, text: str, name: StreamName = "stderr") -> None:
        """Write a line of the command's own, on a line of its own."""
        self.end_line(name)
        self._write(self._devices[name], f"{text}\n")

    def end_line(self, name: StreamName = "stdout") -> None:
        """Begin a new line unless there is nothing on this one."""
        device = self._devices[name]
        for sharing in self._devices.values():
            if sharing.screen is device.screen:
                self._write(sharing, sharing.filter.end())
                self._end_colours(sharing)
        if not device.screen.is_at_start:
            self._write(device, "\n")

    def ask(self, prompt: str) -> None:
        """Write the beginning of a line that a person is to finish."""
        self.pass_on(self._where_asked, prompt)

    def answered(self, *, visibly: bool) -> None:
        """Take note that the person ended the line, which shows unless the terminal was told to hide what is typed."""
        if visibly:
            self._devices[self._where_asked].screen.is_at_start = True
        else:
            self.end_line(self._where_asked)

    @property
    def _where_asked(self) -> StreamName:
        return "stdout" if self.is_terminal("stdout") else "stderr"

    def restart_line(self) -> None:
        """Let the next text overwrite the line that is being written; what is above it stays."""
        device = self._devices["stdout"]
        if device.is_terminal and not device.screen.is_at_start:
            self._write(device, f"{device.filter.end()}\r\x1b[K")
            device.screen.is_at_start = True

    def _end_colours(self, device: _Device) -> None:
        if device.is_coloured:
            self._write(device, RESET)
            device.is_coloured = False

    @staticmethod
    def _write(device: _Device, text: str) -> None:
        if text:
            device.write(text)


class _Screen:
    """What can be said of the place where a stream's text appears."""

    def __init__(self) -> None:
        self.is_at_start = True


class _Device:
    """One of the streams."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.is_terminal = _is_terminal(stream)
        self.has_colours = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.is_coloured = False
        self.filter = ControlFilter(colours=self.has_colours)
        self.screen = _Screen()

    def write(self, text: str) -> None:
        self.is_coloured = self.is_coloured or _COLOUR.search(text) is not None
        if visible := _LAST_COLOURS.sub("", text):
            self.screen.is_at_start = visible.endswith("\n")
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
