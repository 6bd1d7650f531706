"""Whether a cell that failed for a missing package may run again: only if nothing of it had taken effect. Pure.

The statements before the one that failed have to be imports, definitions or docstrings, and the one that failed has to be an
import, or one that only reads: ``df = pd.read_excel("a.xls")``, ``load_file("b.mat").head()``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from kernel_manager.packages.plain_source import plain_source

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CELL_FRAME = re.compile(r"(?:Cell )?In ?\[(\d+)\], (?:in \S+, )?line (\d+)")
_READERS = re.compile(r"load_file|read_\w+|open_\w+|head|tail|describe|info|sample|copy")
_DECORATORS = frozenset(
    ("dataclass", "property", "staticmethod", "classmethod", "abstractmethod", "cache", "lru_cache", "cached_property")
) | frozenset(("contextmanager", "asynccontextmanager", "overload", "override", "final", "wraps", "total_ordering"))
_SHOWS = frozenset(("print", "display", "len", "list", "type", "sorted"))


def had_no_effect(code: str, execution_count: int | None, traceback: Sequence[str]) -> bool:
    """Whether nothing but imports and definitions had run when the error was raised; False when that cannot be told."""
    tree = plain_source(code).tree
    line = _failing_line(execution_count, traceback)
    if tree is None or line is None:
        return False
    for statement in tree.body:
        if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            return isinstance(statement, ast.Import | ast.ImportFrom) or _only_reads(statement)
        if not _is_harmless(statement):
            return False
    return False


def _failing_line(execution_count: int | None, traceback: Sequence[str]) -> int | None:
    """The line of the cell in which the error came up; None if code of this or another cell was called on the way."""
    text = _COLOURS.sub("", "\n".join(traceback))
    frames = _CELL_FRAME.findall(text)
    if len(frames) != 1 or execution_count is None or int(frames[0][0]) != execution_count:
        return None
    return int(frames[0][1])


def _is_harmless(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            defaults = [*statement.args.defaults, *(item for item in statement.args.kw_defaults if item is not None)]
            return all(map(_is_known, statement.decorator_list)) and not any(map(_has_call, defaults))
        case ast.ClassDef():
            parts = [*statement.bases, *(item.value for item in statement.keywords)]
            known = all(map(_is_known, statement.decorator_list))
            return known and not any(map(_has_call, parts)) and all(map(_is_harmless_in_class, statement.body))
    return False


def _is_known(decorator: ast.expr) -> bool:
    """Whether a decorator is one that only changes what it decorates."""
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) in _DECORATORS


def _is_harmless_in_class(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return not _has_call(statement)
    return _is_harmless(statement)


def _only_reads(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=value):
            pass
        case ast.Assign(targets=targets, value=value) if all(isinstance(target, ast.Name) for target in targets):
            pass
        case _:
            return False
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    changes = [node for node in ast.walk(value) if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)]
    return bool(calls) and not changes and all(map(_is_reader, calls))


def _is_reader(call: ast.Call) -> bool:
    match call.func:
        case ast.Attribute(attr=name):
            return _READERS.fullmatch(name) is not None
        case ast.Name(id=name):
            return name in _SHOWS or _READERS.fullmatch(name) is not None
    return False


def _has_call(node: ast.AST) -> bool:
    return any(isinstance(child, ast.Call | ast.Await | ast.NamedExpr) for child in ast.walk(node))
