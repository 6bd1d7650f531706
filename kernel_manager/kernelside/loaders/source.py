"""One file as a loader sees it."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from . import compression
from .encoding import candidates, detect, doubt

#: Bytes from which the kind, the encoding and the dialect of a file are told.
HEAD_SIZE = 128 * 1024

#: Bytes that a file may come to when it is unpacked. A bomb ends here and not in the kernel's death.
MAX_UNPACKED = 512 << 20

_CHUNK = 1 << 20


class Unreadable(Exception):  # noqa: N818 - a reason on its way into the error that names file and kind
    """Why a file cannot be opened as what it was taken for, in half a sentence."""


class Source:
    """A file on disk, its bytes unpacked if they are compressed, and the notes that go with what it is opened as."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Add something that the person has to know about how the file was read."""
        self.notes.append(text)

    @cached_property
    def compression(self) -> str | None:
        """How the file is packed (``gzip``, ``bz2``, ``xz``, ``zstd``), by its first bytes, or None."""
        with self.path.open("rb") as file:
            return compression.recognise(file.read(compression.MAGIC_SIZE), self.name)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked; all of them if they are fewer than :data:`HEAD_SIZE`."""
        return b"".join(self._chunks(HEAD_SIZE))[:HEAD_SIZE]

    def first_line(self, enough: int) -> bytes:
        """The bytes before the first line feed, at most ``enough`` of them."""
        data = b""
        for chunk in self._chunks(enough):
            before, end, _ = chunk.partition(b"\n")
            data += before
            if end:
                break
        return data[:enough]

    @property
    def is_whole(self) -> bool:
        """Whether :attr:`head` is the whole file."""
        return len(self.head) < HEAD_SIZE

    @cached_property
    def encoding(self) -> str | None:
        """The encoding of the text in the file, as its head shows it; None if it is not text."""
        return detect(self.head, whole=self.is_whole)

    def sample(self, encoding: str) -> str:
        """The text of the head, whole lines only, each line end a single line feed."""
        text = codecs.getincrementaldecoder(encoding)("replace").decode(self.head, self.is_whole)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text if self.is_whole else text[: text.rfind("\n") + 1] or text

    @cached_property
    def extension(self) -> str:
        """The extension in lower case with its dot, without that of the compression: ``.csv`` of ``a.CSV.gz``."""
        name = PurePath(self.name.lower())
        while self.compression and name.suffix in compression.EXTENSIONS:
            if meant := compression.EXTENSIONS[name.suffix]:
                return meant
            name = PurePath(name.stem)
        return name.suffix

    def encodings(self) -> tuple[str, ...]:
        """The encodings to try on the whole file, in order. Raises :class:`Unreadable` if it is not text."""
        if self.encoding is None:
            raise Unreadable("it holds binary data, not text")
        return candidates(self.encoding)

    def text(self) -> str:
        """The whole text, its line ends as they are; a note tells when its encoding was a guess."""
        data, (*first, last) = self.read(), self.encodings()
        for encoding in first:
            try:
                return self._decoded(data, encoding)
            except UnicodeDecodeError:
                continue
        return self._decoded(data, last)

    def _decoded(self, data: bytes, encoding: str) -> str:
        text = data.decode(encoding)
        if note := doubt(encoding):
            self.note(note)
        return text

    def read(self) -> bytes:
        """All bytes, unpacked. Raises :class:`Unreadable` when they unpack to more than :data:`MAX_UNPACKED`."""
        return self._unpacked().getvalue() if self.compression else self.path.read_bytes()

    def for_reader(self) -> Any:
        """What a library's reader takes: the path as a string, or the unpacked bytes as a file."""
        return self._unpacked() if self.compression else str(self.path)

    @contextmanager
    def file(self, extension: str = "") -> Iterator[str]:
        """The path of a file with the unpacked bytes and, if it has to be, an ``extension`` that a library goes by."""
        if not self.compression and (not extension or self.path.suffix.lower() == extension):
            yield str(self.path)
            return
        with TemporaryDirectory(prefix="load-") as folder:
            copy = Path(folder, f"file{extension}")
            if self.compression:
                copy.write_bytes(self.read())
            else:
                copy.symlink_to(self.path)
            yield str(copy)

    def _unpacked(self) -> io.BytesIO:
        unpacked = io.BytesIO()
        for chunk in self._chunks(MAX_UNPACKED):
            unpacked.write(chunk)
        if unpacked.tell() > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB; read it in pieces from as_='path'")
        unpacked.seek(0)
        return unpacked

    def _chunks(self, enough: int) -> Iterator[bytes]:
        """Blocks of the unpacked bytes until more than ``enough`` of them came."""
        read = 0
        with closing(self._open()) as stream:
            while read <= enough and (chunk := self._read_chunk(stream)):
                read += len(chunk)
                yield chunk

    def _open(self) -> Any:
        try:
            return compression.open_unpacked(self.path, self.compression)
        except Exception as exc:
            if self.compression is None or isinstance(exc, (MemoryError, ImportError)):
                raise
            raise Unreadable(f"its {self.compression} data is damaged ({exc})") from exc

    def _read_chunk(self, stream: Any) -> bytes:
        try:
            chunk: bytes = stream.read(_CHUNK)
        except Exception as exc:
            if self.compression is None or isinstance(exc, MemoryError):
                raise
            raise Unreadable(f"its {self.compression} data is damaged ({exc})") from exc
        return chunk
