"""Word documents and PowerPoint presentations."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from .document import Document, frame_of
from .source import MAX_UNPACKED, Source, Unreadable

_PROPERTIES = ("title", "author", "subject", "keywords", "created", "modified", "last_modified_by")
# python-docx and python-pptx refuse macros and templates by the type that the package declares.
_OFFICE = b"application/vnd.openxmlformats-officedocument."
_WORD, _POWERPOINT = _OFFICE + b"wordprocessingml.%s.main+xml", _OFFICE + b"presentationml.%s.main+xml"
_MICROSOFT = b"application/vnd.ms-%s.main+xml"
_PLAIN_TYPES = {
    _MICROSOFT % b"word.document.macroEnabled": _WORD % b"document",
    _WORD % b"template": _WORD % b"document",
    _MICROSOFT % b"word.template.macroEnabledTemplate": _WORD % b"document",
    _MICROSOFT % b"powerpoint.presentation.macroEnabled": _POWERPOINT % b"presentation",
    _POWERPOINT % b"template": _POWERPOINT % b"presentation",
    _POWERPOINT % b"slideshow": _POWERPOINT % b"presentation",
    _MICROSOFT % b"powerpoint.slideshow.macroEnabled": _POWERPOINT % b"presentation",
    _MICROSOFT % b"powerpoint.template.macroEnabled": _POWERPOINT % b"presentation",
}


def load_word(source: Source) -> Document:
    """Text in reading order, tables and metadata."""
    import docx
    from docx.table import Table

    document = docx.Document(_as_plain(source))
    parts, tables = [], []
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            rows = [[cell.text for cell in row.cells] for row in block.rows]
            tables.append(frame_of(rows))
            parts.append("\n".join("\t".join(row) for row in rows))
        else:
            parts.append(block.text)
    return Document("\n".join(parts), ["\n".join(parts)], tables, _properties(document.core_properties))


def load_powerpoint(source: Source) -> Document:
    """Text by slide with its notes, tables and metadata."""
    import pptx

    presentation = pptx.Presentation(_as_plain(source))
    slides, tables = [], []
    for slide in presentation.slides:
        texts = []
        for shape in _shapes(slide.shapes):
            if getattr(shape, "has_table", False) and shape.has_table:
                rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
                tables.append(frame_of(rows))
                texts.append("\n".join("\t".join(row) for row in rows))
            elif shape.has_text_frame and shape.text_frame.text:
                texts.append(shape.text_frame.text)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            texts.append(f"Notes: {slide.notes_slide.notes_text_frame.text}")
        slides.append("\n".join(texts))
    return Document("\n\n".join(slides), slides, tables, _properties(presentation.core_properties))


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _properties(properties: Any) -> dict[str, Any]:
    return {name: value for name in _PROPERTIES if (value := getattr(properties, name, None))}


def _as_plain(source: Source) -> io.BytesIO:
    """The package, declared as what the libraries take."""
    data = io.BytesIO(source.read())
    with zipfile.ZipFile(data) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
            raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
        types = archive.read("[Content_Types].xml")
        plain = types
        for other, main in _PLAIN_TYPES.items():
            plain = plain.replace(other, main)
        if plain == types:
            data.seek(0)
            return data
        copy = io.BytesIO()
        with zipfile.ZipFile(copy, "w") as target:
            for member in archive.infolist():
                target.writestr(member.filename, plain if member.filename == "[Content_Types].xml" else archive.read(member))
    copy.seek(0)
    return copy
