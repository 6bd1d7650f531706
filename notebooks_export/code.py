"""What the code of cells says about itself: imports, files, and what cannot be the same twice. Nothing is run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Longer code is not looked at: it is data rather than code.
MAX_PARSED = 1_000_000

_MAGIC = re.compile(r"^(\s*)(?:[%!]|\?{1,2}\w|[\w.]+\?{1,2}\s*$)")
_ASSIGNED_MAGIC = re.compile(r"^([\w., \t]+=\s*)[%!].*$")
_FOREIGN_CELL = re.compile(r"\s*%%(?!time\b|timeit\b|capture\b|prun\b)")
_IMPORT_LINE = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_LOAD_FILE = "load_file"
#: What a kernel has besides ``load_file``: they show all files, whatever they are called.
_LISTS = frozenset({"list_files", "FILES"})
_MENTIONED = re.compile(r"\b(?:load_file|list_files|FILES)\b")
_LISTED = re.compile(r"\b(?:list_files|FILES)\b")


@dataclass(frozen=True, slots=True)
class Load:
    """A call of ``load_file`` with a name that is written out, and those of its options that are."""

    name: str
    options: dict[str, object] = field(default_factory=dict)


def parse(code: str) -> ast.Module | None:
    """The syntax tree of a cell without its magics, or None if it is not Python."""
    if len(code) > MAX_PARSED or _FOREIGN_CELL.match(code):
        return None
    plain = "\n".join(_plain_line(line) for line in code.split("\n"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _plain_line(line: str) -> str:
    if line.startswith("%%"):
        return ""
    if assigned := _ASSIGNED_MAGIC.match(line):
        return f"{assigned[1]}None"
    return f"{magic[1]}pass" if (magic := _MAGIC.match(line)) else line


def imported_names(code: str) -> set[str]:
    """The top-level modules that a cell imports."""
    tree = parse(code)
    if tree is None:
        return set() if _FOREIGN_CELL.match(code) else set(_IMPORT_LINE.findall(code[:MAX_PARSED]))
    return set(_imports_of(tree))


def _imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def loads(code: str) -> tuple[list[Load], bool]:
    """The files that a cell opens with ``load_file``, and whether it opens or lists others that only running tells."""
    tree = parse(code)
    if tree is None:
        return [], re.search(r"\b(?:load_file|list_files)\s*\(", code) is not None
    found, dynamic = [], _lists_files(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == _LOAD_FILE:
            name = node.args[0] if node.args else next((item.value for item in node.keywords if item.arg == "name"), None)
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.append(Load(name.value, dict(_literal_options(node.keywords))))
            else:
                dynamic = True
    return found, dynamic


def _lists_files(tree: ast.Module) -> bool:
    """Whether the code looks at what files there are, with names that it has not given to something else."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in _LISTS]
    own = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return any(node.id not in own for node in names)


def _literal_options(keywords: Iterable[ast.keyword]) -> Iterator[tuple[str, object]]:
    for keyword in keywords:
        if keyword.arg not in (None, "name"):
            try:
                yield str(keyword.arg), ast.literal_eval(keyword.value)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue


def mentions_load_file(code: str) -> bool:
    """Whether a cell uses ``load_file`` or what lists files."""
    return _MENTIONED.search(code) is not None


def mentions_listing(code: str) -> bool:
    """Whether a cell uses what lists files, ``list_files`` or ``FILES``."""
    return _LISTED.search(code) is not None


def literals(code: str) -> set[str]:
    """The short texts that a cell has written out: one of them may be the name of a file."""
    tree = parse(code)
    if tree is None:
        return set()
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {str(node.value) for node in nodes if 0 < len(str(node.value)) <= 255 and "\n" not in str(node.value)}


_CAUSES = (
    (r"\bgetpass\b", "asks for a password, which is never kept"),
    (
        r"\b(?:datetime|date|Timestamp)\.(?:now|today|utcnow)\(|\btime\.(?:time|ctime|localtime|gmtime|strftime)\(",
        "uses the current time",
    ),
    (r"\b(?:perf_counter|process_time|monotonic)\(|%%?time(?:it)?\b|\btimeit\b", "measures time"),
    (r"\bgetpid\(|\bgettempdir\b|\bmkdtemp\b|\bmkstemp\b|\bid\(", "shows what every process has anew"),
    (r"\buuid[14]?\b|\bsecrets\b|\burandom\b", "makes unique values"),
    (r"\brandom\b|\bdefault_rng\(\s*\)|\brand(?:n|int)?\(|\.sample\(|\bshuffle\(", "uses random numbers"),
    (r"\bset\(|\bhash\(", "depends on the order of sets, which changes"),
    (r"\brequests\.|\burlopen\b|\bhttpx?\b|\bsocket\b", "uses the network"),
)


def why_not_repeatable(code: str) -> str | None:
    """Why the cell may show something else at each run, as far as its code tells, or None."""
    return next((why for pattern, why in _CAUSES if re.search(pattern, code)), None)
