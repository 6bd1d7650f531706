"""Structured text: YAML, TOML, INI, properties, property lists, XML, JSON with comments."""

from __future__ import annotations

import re
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

#: Values that a document may have when every alias in it is followed. A billion laughs end here.
MAX_VALUES = 5_000_000
_MAX_DEPTH = 500

# A first line that is a setting and no section; a name for the section that it lacks.
_SETTING = re.compile(r"(?:[ \t]*(?:[#;][^\n]*)?\n)*[ \t]*[A-Za-z_][\w.-]*[ \t]*=")
_TOP = "above the first section"
_TRAILING_COMMENT = re.compile(r"\s+#.*")
_PROPERTY = re.compile(r"(?:export\s+)?((?:\\.|[^\s:=#!\\])(?:\\.|[^:=\s\\])*)\s*(?:[:=]\s*|\s+)?(.*)", re.DOTALL)


def load_yaml(source: Source) -> Any:
    """The Python objects; of several documents a list. Tags that make other objects than plain ones are refused."""
    import yaml

    text = load_text(source)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = list(yaml.load_all(text, Loader=loader))
    except yaml.YAMLError as exc:
        raise Unreadable(_first_lines(exc)) from exc
    for document in documents:
        refuse_bomb(document)
    content = documents[0] if len(documents) == 1 else documents or None
    if isinstance(content, str):
        source.note("it holds no YAML structure, only text")
        return text
    return content


def load_toml(source: Source) -> dict[str, Any]:
    """The table as a dict."""
    import tomllib

    try:
        return tomllib.loads(load_text(source))
    except tomllib.TOMLDecodeError as exc:
        raise Unreadable(f"it is not TOML: {exc}") from exc


def load_ini(source: Source) -> Any:
    """A dict of the sections, each a dict of strings. Settings in another form are given as text, with a note."""
    import configparser

    text = load_text(source)
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    without_section = _SETTING.match(text) is not None
    try:
        parser.read_string(f"[{_TOP}]\n{text}" if without_section else text)
    except configparser.Error as exc:
        if source.extension == ".ini":
            raise Unreadable(f"it is not INI: {_first_lines(exc)}") from exc
        source.note("it is not in the form of INI files: this is its text")
        return text
    sections = {"" if name == _TOP else name: dict(parser[name]) for name in parser.sections()}
    if without_section:
        source.note("what is above its first section is under ''")
    return {"DEFAULT": dict(parser.defaults()), **sections} if parser.defaults() else sections


def load_properties(source: Source) -> dict[str, str]:
    """The properties, or variables of an ``.env``, as a dict of strings; nothing in them is expanded."""
    text = re.sub(r"\\\n[ \t]*", "", load_text(source))
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#!":
            continue
        match = _PROPERTY.fullmatch(stripped)
        if match is None:
            raise Unreadable(f"line {number} is no property")
        value = match[2] if source.extension != ".env" or match[2][:1] in ("'", '"') else _TRAILING_COMMENT.sub("", match[2])
        found[_unescaped(match[1])] = _unquoted(_unescaped(value))
    return found


def _unescaped(text: str) -> str:
    named = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    return re.sub(r"\\(.)", lambda match: named.get(match[1], match[1]), text)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def load_plist(source: Source) -> Any:
    """The Python objects of a property list, binary or XML."""
    import plistlib

    try:
        content = plistlib.loads(source.read())
    except plistlib.InvalidFileException as exc:
        raise Unreadable("it is no property list") from exc
    refuse_bomb(content)
    return content


def load_xml(source: Source, **options: Any) -> dict[str, Any]:
    """The elements as dicts: attributes are ``@name``, text is ``#text``. Options are those of ``xmltodict.parse``."""
    from xml.parsers.expat import ExpatError

    import xmltodict

    try:
        content = xmltodict.parse(source.read(), **options) or {}
    except ExpatError as exc:
        raise Unreadable(f"it is not XML: {exc}") from exc
    except ValueError as exc:
        if "entit" not in str(exc).lower():
            raise
        raise Unreadable("it declares entities, which can make it endless; as_='text' gives its text") from exc
    _refuse_depth(content)
    return content


def load_json5(source: Source) -> Any:
    """The Python objects of JSON with comments, trailing commas and what else JSON5 allows."""
    import json
    from contextlib import suppress

    import json5

    text = load_text(source)
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    try:
        return json5.loads(text)
    except ValueError as exc:
        raise Unreadable(f"it is not JSON5: {_first_lines(exc)}") from exc


def refuse_bomb(content: Any) -> None:
    """Raise :class:`Unreadable` if ``content``, written out, has more than :data:`MAX_VALUES` values or contains itself."""
    sizes: dict[int, int] = {}
    if _size(content, sizes, 0) > MAX_VALUES:
        raise Unreadable(f"its aliases stand for more than {MAX_VALUES:,} values")


def _refuse_depth(content: Any) -> None:
    """Raise :class:`Unreadable` if ``content`` is nested more deeply than it can be shown or walked."""
    level, depth = [content], 0
    while level:
        if depth > _MAX_DEPTH:
            raise Unreadable("it is nested too deeply")
        held = (value.values() if isinstance(value, dict) else value for value in level if isinstance(value, (dict, list)))
        level, depth = [part for values in held for part in values if isinstance(part, (dict, list))], depth + 1


def _size(value: Any, sizes: dict[int, int], depth: int) -> int:
    if not isinstance(value, (dict, list, tuple, set)):
        return 1
    if id(value) in sizes:
        if sizes[id(value)] < 0:
            raise Unreadable("it contains itself")
        return sizes[id(value)]
    if depth > _MAX_DEPTH:
        raise Unreadable("it is nested too deeply")
    sizes[id(value)] = -1
    parts = value.values() if isinstance(value, dict) else value
    total = 1 + sum(_size(part, sizes, depth + 1) for part in parts)
    sizes[id(value)] = total
    return total


def _first_lines(exc: Exception) -> str:
    return " ".join(line.strip() for line in str(exc).splitlines()[:4])[:300]
