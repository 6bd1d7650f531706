"""Rich text and electronic books."""

from __future__ import annotations

import io
import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote

from .document import Document
from .source import MAX_UNPACKED, Source, Unreadable
from .xml_text import html_text, local_name, parse_xml

_METADATA = {"title", "creator", "language", "publisher", "date", "identifier", "description", "subject"}


def load_rtf(source: Source) -> Document:
    """The text."""
    from striprtf.striprtf import rtf_to_text

    raw = source.read().decode("latin-1")
    if not raw.rstrip("\0 \r\n").endswith("}"):
        source.note("its last brace is missing: the file may be cut off")
    text = rtf_to_text(raw, errors="replace")
    return Document(text, [text])


def load_epub(source: Source) -> Document:
    """Text by chapter, in reading order, and metadata."""
    with zipfile.ZipFile(io.BytesIO(source.read())) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
        package_name = _package_name(archive)
        package = parse_xml(archive.read(package_name))
        chapters, missing = [], 0
        for name in _spine(package, posixpath.dirname(package_name)):
            try:
                chapters.append(html_text(archive.read(name)))
            except KeyError:
                missing += 1
    if missing:
        source.note(f"{missing} of its chapters are missing")
    if not chapters:
        raise Unreadable("it has no chapters")
    found = {local_name(element): element.text for element in package.iter() if local_name(element) in _METADATA and element.text}
    return Document("\n\n".join(chapters), chapters, [], found)


def _package_name(archive: zipfile.ZipFile) -> str:
    container = parse_xml(archive.read("META-INF/container.xml"))
    for element in container.iter():
        if local_name(element) == "rootfile" and element.get("full-path"):
            return str(element.get("full-path"))
    raise Unreadable("it names no package")


def _spine(package: Any, folder: str) -> list[str]:
    items = {element.get("id"): element.get("href") or "" for element in package.iter() if local_name(element) == "item"}
    order = [element.get("idref") for element in package.iter() if local_name(element) == "itemref"]
    return [posixpath.normpath(posixpath.join(folder, unquote(items[name]))) for name in order if items.get(name)]


def load_fictionbook(source: Source) -> Document:
    """Text by section and metadata."""
    root = parse_xml(source.read())
    if local_name(root) != "FictionBook":
        raise Unreadable("it is no FictionBook")
    bodies = [element for element in root if local_name(element) == "body"]
    sections = [_lines(part) for body in bodies for part in body if local_name(part)]
    names = {"book-title": "title", "lang": "language", "genre": "genre", "date": "date"}
    metadata = {
        names[local_name(element)]: element.text for element in root.iter() if local_name(element) in names and element.text
    }
    author = next((element for element in root.iter() if local_name(element) == "author"), None)
    if author is not None:
        metadata["creator"] = " ".join("".join(author.itertext()).split())
    return Document("\n\n".join(sections), sections, [], metadata)


def _lines(element: Any) -> str:
    paragraphs = [part for part in element.iter() if local_name(part) in ("p", "v", "subtitle")]
    return "\n".join("".join(part.itertext()).strip() for part in paragraphs)
