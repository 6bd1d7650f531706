"""Calendars, contacts, bibliographies and notebooks."""

from __future__ import annotations

import re
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

_RIS_TAG = re.compile(r"([A-Z][A-Z0-9])  - ?(.*)")
_MEDLINE_TAG = re.compile(r"([A-Z]{2,4}) *- (.*)")
_ENDNOTE_TAG = re.compile(r"%(\S) ?(.*)")
_VCARD_LINE = re.compile(r"(?:[\w\-]+\.)?([A-Za-z\-]+)((?:;[^:]*)?):(.*)")


def load_calendar(source: Source) -> Any:
    """An icalendar ``Calendar``; ``walk('VEVENT')`` gives its events."""
    import icalendar

    text = load_text(source)
    if "END:VCALENDAR" not in text:
        raise Unreadable("it has no END:VCALENDAR: the file is cut off, or no calendar")
    calendars = icalendar.Calendar.from_ical(text, multiple=True)
    return calendars[0] if len(calendars) == 1 else calendars


def load_contacts(source: Source) -> Any:
    """A DataFrame, one row for each contact: the properties by name, several values as lists."""
    import pandas as pd

    text = re.sub(r"\n[ \t]", "", load_text(source))
    contacts: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for line in text.split("\n"):
        match = _VCARD_LINE.fullmatch(line.rstrip())
        if match is None:
            continue
        name, value = match[1].upper(), match[3]
        if (name, value.upper()) == ("BEGIN", "VCARD"):
            current = {}
        elif (name, value.upper()) == ("END", "VCARD") and current is not None:
            contacts.append(current)
            current = None
        elif current is not None:
            _add(current, name.lower(), _decoded(value, match[2]))
    if current is not None or not contacts:
        raise Unreadable("it ends within a contact" if current is not None else "it holds no contacts")
    return pd.DataFrame(contacts)


def _decoded(value: str, parameters: str) -> str:
    if "QUOTED-PRINTABLE" in parameters.upper():
        import quopri

        return quopri.decodestring(value.encode()).decode("utf-8", "replace")
    return re.sub(r"\\([,;\\])", r"\1", value.replace("\\n", "\n").replace("\\N", "\n"))


def load_bibtex(source: Source) -> Any:
    """A DataFrame, one row for each entry: type, key, and the fields."""
    import bibtexparser
    import pandas as pd

    library = bibtexparser.parse_string(load_text(source))
    if library.failed_blocks:
        failed = library.failed_blocks[0]
        raise Unreadable(f"the entry at line {(failed.start_line or 0) + 1} is damaged")
    if not library.entries:
        raise Unreadable("it holds no entries")
    return pd.DataFrame(
        [{"type": e.entry_type, "key": e.key, **{f.key.lower(): f.value for f in e.fields}} for e in library.entries]
    )


def load_ris(source: Source) -> Any:
    """A DataFrame, one row for each reference; tags that occur several times (``AU``) are lists."""
    return _references(source, _RIS_TAG, "TY", "ER")


def load_medline(source: Source) -> Any:
    """A DataFrame, one row for each reference; tags that occur several times (``AU``) are lists."""
    return _references(source, _MEDLINE_TAG, "PMID", "")


def load_endnote(source: Source) -> Any:
    """A DataFrame, one row for each reference; tags that occur several times (``A``) are lists."""
    return _references(source, _ENDNOTE_TAG, "0", "")


def _references(source: Source, pattern: re.Pattern[str], first: str, last: str) -> Any:
    import pandas as pd

    references: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    tag = ""
    for number, line in enumerate(load_text(source).split("\n"), 1):
        match = pattern.fullmatch(line)
        if match is None:
            if line.strip() and (current is None or not tag):
                raise Unreadable(f"line {number} has no tag")
            if line.strip() and current is not None:
                _extend(current, tag, line.strip())
            continue
        tag = match[1]
        if tag == last:
            current = None
            continue
        if tag == first:
            current = {}
            references.append(current)
        if current is None:
            raise Unreadable(f"line {number} belongs to no reference")
        _add(current, tag, match[2].strip())
    if not references or (last and current is not None):
        raise Unreadable("it ends within a reference" if references else "it holds no references")
    return pd.DataFrame(references)


def _add(entry: dict[str, Any], name: str, value: str) -> None:
    if name in entry:
        known = entry[name]
        entry[name] = [*known, value] if isinstance(known, list) else [known, value]
    else:
        entry[name] = value


def _extend(entry: dict[str, Any], name: str, more: str) -> None:
    known = entry[name]
    entry[name] = [*known[:-1], f"{known[-1]} {more}"] if isinstance(known, list) else f"{known} {more}"


def load_notebook(source: Source) -> Any:
    """An nbformat ``NotebookNode`` of version 4."""
    import json

    import nbformat

    from .structured import load_json

    content = load_json(source)
    if not isinstance(content, dict) or "nbformat" not in content:
        raise Unreadable("it is JSON, but no notebook")
    try:
        notebook = nbformat.reads(json.dumps(content), as_version=4)
        nbformat.validate(notebook)
    except nbformat.ValidationError as exc:
        raise Unreadable(f"it is no valid notebook: {str(exc).splitlines()[0]}") from exc
    return notebook
