"""PDF documents."""

from __future__ import annotations

from typing import Any

from .document import Document
from .source import Source, Unreadable

_MAX_PAGES = 3000
_MAX_TEXT = 50_000_000


def load_pdf(source: Source, *, password: str | None = None) -> Document:
    """Text by page and metadata. Pages that are pictures have no text, and that is said."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(source.read(), password=password)
    except pypdfium2.PdfiumError as exc:
        if "assword" in str(exc):
            raise Unreadable("it is protected with a password; password='…' opens it") from exc
        raise Unreadable(f"it cannot be read: {exc}") from exc
    try:
        return _read(source, pdf)
    finally:
        pdf.close()


def _read(source: Source, pdf: Any) -> Document:
    import pypdfium2

    if len(pdf) == 0:
        raise Unreadable("it has no pages that can be read")
    pages, damaged, length = [], [], 0
    for number in range(min(len(pdf), _MAX_PAGES)):
        try:
            text = pdf[number].get_textpage().get_text_bounded().replace("\r\n", "\n")
        except pypdfium2.PdfiumError:
            damaged.append(number + 1)
            text = ""
        length += len(text)
        if length > _MAX_TEXT:
            raise Unreadable("its text is absurdly long; open it from as_='path'")
        pages.append(text)
    if len(damaged) == len(pages):
        raise Unreadable("none of its pages can be read")
    _note(source, pdf, pages, damaged)
    metadata = {name.lower(): value for name, value in pdf.get_metadata_dict(skip_empty=True).items()}
    return Document("\n\n".join(page for page in pages if page), pages, [], metadata)


def _note(source: Source, pdf: Any, pages: list[str], damaged: list[int]) -> None:
    if damaged:
        source.note(f"pages that cannot be read: {', '.join(map(str, damaged[:20]))}")
    empty = sum(not page.strip() for page in pages) - len(damaged)
    if empty:
        source.note(f"{empty} of {len(pages)} pages have no text (pictures, perhaps: their text is not recognised)")
    if len(pdf) > len(pages):
        source.note(f"of its {len(pdf)} pages the first {len(pages)} were read")
