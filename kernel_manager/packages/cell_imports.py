"""What a cell wants to import or to have installed, read from its syntax tree before it runs. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kernel_manager.packages.plain_source import plain_source

_MAX_MODULES = 200
_IMPORTERS = frozenset(("import_module", "__import__"))
#: Where a statement holds others.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
#: Without one of these words there is nothing to read.
_MAY_IMPORT = re.compile(r"import|\binstall\b")
#: For code that is no Python: a line that looks like an import.
_LOOKS_LIKE = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w. ,]+))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CellImports:
    """``modules`` are dotted names (``from a import b`` is ``a.b``), ``wanted`` and ``refused`` are as in PipLine."""

    modules: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read_imports(code: str) -> CellImports:
    """Read a cell; also inside functions, ``%pip install`` lines and ``importlib.import_module('literal')``."""
    if not _MAY_IMPORT.search(code):
        return CellImports()
    source = plain_source(code)
    names = _modules(source.tree, source.text) if source.tree is not None else _lookalikes(source.text)
    return CellImports(
        modules=tuple(dict.fromkeys(names))[:_MAX_MODULES],
        wanted=tuple(item for line in source.pip_lines for item in line.wanted),
        refused=tuple(item for line in source.pip_lines for item in line.refused),
    )


def _modules(tree: ast.Module, text: str) -> Iterator[str]:
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0 and statement.module:
            module = statement.module
            yield from (module if alias.name == "*" else f"{module}.{alias.name}" for alias in statement.names)
    if any(name in text for name in _IMPORTERS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := _imported_by_call(node)):
                yield name


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Every statement, in blocks of blocks too; expressions are not entered, which is most of the work of ast.walk."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        for block in _BLOCKS:
            for child in getattr(node, block, ()):
                if isinstance(child, ast.stmt):
                    yield child
                waiting.append(child)


def _imported_by_call(call: ast.Call) -> str | None:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    if name not in _IMPORTERS or not call.args:
        return None
    argument = call.args[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value if all(part.isidentifier() for part in argument.value.split(".")) else None
    return None


def _lookalikes(text: str) -> Iterator[str]:
    for match in _LOOKS_LIKE.finditer(text):
        for name in (match[1] or match[2]).split(","):
            words = name.split()
            if words and all(part.isidentifier() for part in words[0].split(".")):
                yield words[0]
