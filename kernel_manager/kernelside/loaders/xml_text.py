"""XML and HTML as text, parsed so that entities expand to nothing and nothing is fetched."""

from __future__ import annotations

from typing import Any

from .source import Unreadable

_BLOCKS = frozenset(
    {"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "br", "title", "section", "blockquote", "pre", "dt", "dd"}
)
_SILENT = frozenset({"script", "style", "head"})


def parse_xml(data: bytes) -> Any:
    """The root element (lxml)."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as exc:
        raise Unreadable(f"it is not XML: {exc}") from exc
    if root is None:
        raise Unreadable("it is not XML")
    return root


def local_name(element: Any) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def html_text(data: bytes | str) -> str:
    """The text of HTML, a line for each block."""
    from lxml import etree, html

    if not data.strip():
        return ""
    if isinstance(data, bytes) and b"charset" not in data[:1000]:
        data = data.decode("utf-8", "replace")
    if isinstance(data, str) and data.lstrip().startswith("<?xml"):
        data = data.partition("?>")[2]
    try:
        root = html.fromstring(data)
    except (etree.ParserError, ValueError):
        return ""
    etree.strip_elements(root, *_SILENT, with_tail=False)
    pieces: list[str] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        name = local_name(element)
        if event == "start":
            pieces.append((element.text or "") if name else "")
            continue
        if name in _BLOCKS:
            pieces.append("\n")
        pieces.append(element.tail or "")
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)
