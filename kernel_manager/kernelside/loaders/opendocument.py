"""OpenDocument: text, presentations, drawings, and their flat form."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from .document import Document, frame_of
from .source import MAX_UNPACKED, Source, Unreadable
from .xml_text import local_name, parse_xml

_PARAGRAPHS = ("p", "h")
_MAX_REPEATED = 1000
_MAX_CELLS = 2_000_000


def load_opendocument(source: Source) -> Document:
    """Text, pages, tables and metadata."""
    with zipfile.ZipFile(io.BytesIO(source.read())) as archive:
        parts = [_member(archive, name) for name in ("content.xml", "meta.xml")]
    if not parts[0]:
        raise Unreadable("it has no content.xml")
    return _document(parse_xml(parts[0]), parse_xml(parts[1]) if parts[1] else None)


def load_flat(source: Source) -> Document:
    """The same of the flat form, which is one XML file."""
    root = parse_xml(source.read())
    return _document(root, root)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        member = archive.getinfo(name)
    except KeyError:
        return b""
    if member.file_size > MAX_UNPACKED // 8:
        raise Unreadable(f"its {name} unpacks to more than {MAX_UNPACKED >> 23} MB")
    return archive.read(member)


def _document(content: Any, meta: Any) -> Document:
    bodies = [element for element in content.iter() if local_name(element) == "body"]
    if not bodies:
        raise Unreadable("it has no body")
    body = bodies[0]
    pages = [_text(element) for element in body.iter() if local_name(element) == "page"]
    tables = [frame_of(_rows(element)) for element in body.iter() if local_name(element) == "table"]
    text = _text(body)
    return Document(text, pages or [text], tables, _metadata(meta))


def _text(element: Any) -> str:
    return "\n".join(_inline(part) for part in element.iter() if local_name(part) in _PARAGRAPHS)


def _inline(paragraph: Any) -> str:
    pieces = [paragraph.text or ""]
    for child in paragraph:
        name = local_name(child)
        if name == "s":
            count = next((value for key, value in child.attrib.items() if key.endswith("}c")), "1")
            pieces.append(" " * min(int(count) if count.isdigit() else 1, _MAX_REPEATED))
        elif name in ("tab", "line-break"):
            pieces.append("\t" if name == "tab" else "\n")
        elif name:
            pieces.append(_inline(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _rows(table: Any) -> list[list[str]]:
    rows, cells = [], 0
    for row in table.iter():
        if local_name(row) != "table-row":
            continue
        line: list[str] = []
        for cell in row:
            if local_name(cell) in ("table-cell", "covered-table-cell"):
                line.extend([_text(cell)] * _repeated(cell))
        cells += len(line)
        if cells > _MAX_CELLS:
            raise Unreadable("a table in it is absurdly large")
        while line and not line[-1]:
            line.pop()
        rows.append(line)
    while rows and not rows[-1]:
        rows.pop()
    return rows


def _repeated(cell: Any) -> int:
    count = next((value for key, value in cell.attrib.items() if key.endswith("}number-columns-repeated")), "1")
    return min(int(count), _MAX_REPEATED) if count.isdigit() else 1


def _metadata(root: Any) -> dict[str, str]:
    names = {"title", "creator", "initial-creator", "subject", "description", "creation-date", "date", "generator", "language"}
    elements = root.iter() if root is not None else ()
    return {local_name(element): element.text for element in elements if local_name(element) in names and element.text}
