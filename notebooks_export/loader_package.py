"""The small ``load_file`` of a bundle: the kernel's own sources, without the loaders that the bundle does not need.

Which functions are needed is seen, not guessed: the kernel opens the bundle's files and tells what ran
(:data:`TRACE`). Modules of which something ran stay whole. Of the others only what those refer to stays: constants,
classes and functions that they call; functions that they merely name (in a table of loaders) become stubs that say so. A module
that does more than define stays whole, too.
If the sources are ever written in a way that this does not understand, the whole of them goes into the bundle.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from types import MappingProxyType

#: The package in a bundle.
PACKAGE = "threadbook_load_file"
_ROOT = "load_file.py"
_ALWAYS = frozenset({_ROOT, "file_index.py"})
_LOADERS = "loaders"
_MAX_DATA = 200_000

#: Runs in a kernel: opens files as the session did and prints one JSON line about what ran for that.
TRACE = """\
def _trace(calls):
    import contextlib, io, json, os, sys

    root = os.path.dirname(load_file.__code__.co_filename)
    functions, named, modules = {}, {}, set()

    def watch_names(frame):
        # a loader may be named as "module:function", and run in a process that nobody watches
        code = frame.f_code
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            value = frame.f_locals.get(name)
            if isinstance(value, str) and value.count(":") == 1 and value.replace(":", "_").isidentifier():
                module, _, function = value.partition(":")
                if os.path.exists(os.path.join(root, "loaders", module + ".py")):
                    named.setdefault("loaders/" + module + ".py", set()).add(function)

    def note(module):
        if isinstance(module, str):  # a library may call itself by anything
            modules.add(module.partition(".")[0])

    def watch(frame, event, argument):
        if event == "call":
            name = frame.f_code.co_filename
            if name.startswith(root):
                place = os.path.relpath(name, root).replace(os.sep, "/")
                if frame.f_code.co_name != "<module>":
                    functions.setdefault(place, set()).add(frame.f_code.co_qualname.partition(".")[0])
                    watch_names(frame)
            else:
                note(frame.f_globals.get("__name__"))
        elif event == "c_call":
            note(getattr(argument, "__module__", None))

    opened = []
    for name, options in calls:
        with contextlib.redirect_stderr(io.StringIO()):
            sys.setprofile(watch)
            try:
                load_file(name, **options)
                opened.append(name)
            except Exception:
                pass
            finally:
                sys.setprofile(None)
    print(json.dumps({
        "functions": {place: sorted(names) for place, names in functions.items()},
        "named": {place: sorted(names) for place, names in named.items()},
        "modules": sorted(modules - {""}),
        "opened": opened,
    }))


_trace(%s)
"""

_INIT = '''\
"""``load_file`` for the files of this bundle; part of Threadbook (BSD 3-Clause), with the loaders that these files need."""

from pathlib import Path

from .file_index import FilesTable
from .load_file import make_load_file

_FOLDER = Path(__file__).resolve().parent.parent / "files"
FILES = FilesTable(str(_FOLDER))
list_files = FILES.list_files
#: Files that are not in the bundle, and why.
LEFT_OUT = {left_out}

_load_file = make_load_file(str(_FOLDER))


def load_file(name, *, as_=None, **options):
    try:
        return _load_file(name, as_=as_, **options)
    except FileNotFoundError:
        why = LEFT_OUT.get(str(name))
        if why is None:
            raise
        raise FileNotFoundError(f"{name} is not in this bundle: {why}. Put it into the folder {_FOLDER}.") from None
    except ModuleNotFoundError as exc:
        if not (exc.name or "").startswith(__name__):
            raise
        raise ImportError("this small load_file has loaders for the files of its bundle only") from exc


load_file.__doc__ = _load_file.__doc__
'''

_STUB = """\
def {name}(*arguments, **options):
    raise ImportError("this small load_file has loaders for the files of its bundle only; {name} is not among them")
"""


#: At the end of what stays of a module: loaders are also looked up by name.
_MISSING = """\
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(f"this small load_file has loaders for the files of its bundle only; {name} is not among them")
"""


@cache
def sources() -> Mapping[str, str]:
    """The kernel's own ``load_file`` and everything that it may import of ours, by path."""
    root = resources.files("kernel_manager.kernelside")
    found = dict(_python_files(root.joinpath(_LOADERS), _LOADERS))
    waiting, seen = [_ROOT, *(path for path in found if path.endswith(".py"))], set[str]()
    while waiting:
        path = waiting.pop()
        text = found.get(path) or _read(root, path)
        if path in seen or text is None:
            continue
        seen.add(path)
        found[path] = text
        waiting += _possible_imports(path, ast.parse(text))
    return MappingProxyType(found)


def _python_files(folder: Traversable, path: str) -> Iterator[tuple[str, str]]:
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            yield from _python_files(item, f"{path}/{item.name}")
        elif item.name.endswith((".py", ".toml", ".json", ".txt")):
            text = item.read_text(encoding="utf-8")
            if item.name.endswith(".py") or len(text) <= _MAX_DATA:
                yield f"{path}/{item.name}", text


def _read(root: Traversable, path: str) -> str | None:
    item = root.joinpath(*PurePosixPath(path).parts)
    return item.read_text(encoding="utf-8") if item.is_file() else None


def _possible_imports(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                yield from _targets(path, node, alias.name)


def _targets(path: str, node: ast.ImportFrom, name: str) -> tuple[str, str]:
    """Where a relative import may lead: to a module of that name, or to a name in a module."""
    parts = PurePosixPath(path).parts[: -node.level] if node.level <= len(PurePosixPath(path).parts) else ()
    base = [*parts, *(node.module.split(".") if node.module else [])]
    return "/".join([*base, f"{name}.py"]), ("/".join(base) + ".py" if node.module else "/".join([*base, "__init__.py"]))


def package_files(
    found: Mapping[str, str], ran: Mapping[str, Collection[str]] | None, left_out: Mapping[str, str]
) -> dict[str, str]:
    """The files of the package, by path below the bundle.

    ``found`` are the :func:`sources`, ``ran`` says which functions of them ran (None: it is not known, so all stay),
    ``left_out`` which files are not in the bundle and why.
    """
    try:
        kept = dict(found) if ran is None else _Pruning(found, ran).run()
        for path, text in kept.items():
            if path.endswith(".py"):
                compile(text, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, KeyError, RecursionError):
        kept = dict(found)
    init = _INIT.replace("{left_out}", ascii(dict(left_out)))
    return {f"{PACKAGE}/__init__.py": init, **{f"{PACKAGE}/{path}": text for path, text in sorted(kept.items())}}


@dataclass(slots=True)
class _Module:
    """A module that did not run, as far as others need it."""

    path: str
    text: str
    tree: ast.Module
    whole: set[str] = field(default_factory=set)
    stubs: set[str] = field(default_factory=set)


class _Pruning:
    def __init__(self, found: Mapping[str, str], ran: Mapping[str, Collection[str]]) -> None:
        self._found = found
        self._trees = {path: ast.parse(text) for path, text in found.items() if path.endswith(".py")}
        self._used = {path for path in self._trees if ran.get(path) or path in _ALWAYS or path.endswith("__init__.py")}
        self._parts: dict[str, _Module] = {}

    def run(self) -> dict[str, str]:
        used: set[str] = set()
        while used != self._used:
            self._follow_whole_modules()
            used = set(self._used)
            for path in sorted(used):
                self._need_imports_of(path, self._trees[path])
        kept = {path: text for path, text in self._found.items() if path in self._used or not path.endswith(".py")}
        return {path: _rendered(part) for path, part in self._parts.items() if path not in self._used} | kept

    def _follow_whole_modules(self) -> None:
        """What is imported as a module, and not for names in it, stays whole; so does what is started by its file's name."""
        waiting = list(self._used)
        while waiting:
            path = waiting.pop()
            for module in (*_whole_modules(path, self._trees[path]), *_named_files(path, self._trees[path])):
                if module in self._trees and module not in self._used:
                    self._used.add(module)
                    waiting.append(module)

    def _need_imports_of(self, path: str, tree: ast.AST) -> None:
        """Have everything there that a module, or a part of it, imports from modules that did not run."""
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        for node in _relative_imports(tree):
            for alias in node.names:
                module = _targets(path, node, alias.name)[1]
                if module in self._trees and module not in self._used:
                    self._need(module, alias.name, called=(alias.asname or alias.name) in called)

    def _need(self, path: str, name: str, *, called: bool) -> None:
        if any(map(_acts, self._trees[path].body)):
            self._used.add(path)
            self._parts.pop(path, None)
            return
        part = self._parts.setdefault(path, _Module(path, self._found[path], self._trees[path]))
        if name in part.whole:
            return
        definition = _definition(part.tree, name)
        if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef) and not called:
            part.stubs.add(name)
            return
        part.stubs.discard(name)
        part.whole.add(name)
        if definition is None:
            self._pass_on(part, name, called=called)
            return
        used = _names_in(definition)
        calls = {node.func.id for node in ast.walk(definition) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        for other in used:
            if _definition(part.tree, other) is not None:
                self._need(path, other, called=True)
        for other in used:
            self._pass_on(part, other, called=other in calls)
        self._need_imports_of(path, definition)

    def _pass_on(self, part: _Module, name: str, *, called: bool) -> None:
        """A name that the module has itself imported from another one of ours."""
        for node in part.tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        whole, module = _targets(part.path, node, alias.name)
                        if whole in self._trees:
                            self._used.add(whole)
                            self._parts.pop(whole, None)
                        elif module in self._trees and module not in self._used:
                            self._need(module, alias.name, called=called)


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement of a module may change what another one defined (a loop that fills a table), so that none can go."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return False
        case ast.Assign(targets=targets):
            return not all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
        case ast.AnnAssign():
            return False
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return False
    return True


def _whole_modules(path: str, tree: ast.Module) -> Iterator[str]:
    for node in _relative_imports(tree):
        for alias in node.names:
            yield _targets(path, node, alias.name)[0]


def _named_files(path: str, tree: ast.Module) -> Iterator[str]:
    """Modules beside this one whose file names are written out in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            yield str(PurePosixPath(path).with_name(PurePosixPath(node.value).name or "x.py"))


def imports_of_loaders(found: Mapping[str, str], ran: Mapping[str, Collection[str]]) -> set[str]:
    """The top-level modules that these functions import, and those of their own module that they name.

    What a loader imports in a process of its own is not seen when it runs.
    """
    modules: set[str] = set()
    for path, names in ran.items():
        with suppress(SyntaxError):
            for statement in _reachable(ast.parse(found.get(path, "")), names):
                modules |= set(_absolute_imports(statement))
    return modules


def _reachable(tree: ast.Module, names: Collection[str]) -> list[ast.stmt]:
    """The definitions of these names, and of what they name in turn."""
    waiting, seen, found = list(names), set(names), []
    while waiting:
        definition = _definition(tree, waiting.pop())
        if definition is not None:
            found.append(definition)
            new = _names_in(definition) - seen
            seen |= new
            waiting += new
    return found


def _absolute_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _relative_imports(tree: ast.AST) -> list[ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


def _defined_names(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Assign():
            return {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        case ast.AnnAssign(target=ast.Name() as target):
            return {target.id}
        case _:
            return set()


def _definition(tree: ast.Module, name: str) -> ast.stmt | None:
    return next((statement for statement in tree.body if name in _defined_names(statement)), None)


def _names_in(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def _rendered(part: _Module) -> str:
    """The text of what stays of a module, in its own order."""
    lines = part.text.splitlines()
    kept = [statement for statement in part.tree.body if _defined_names(statement) & part.whole]
    used = set().union(*(_names_in(statement) for statement in kept)) | part.whole
    imports = [text for statement in part.tree.body if (text := _import_text(statement, used))]
    bodies = []
    for statement in kept:
        first = min([statement.lineno, *(decorator.lineno for decorator in getattr(statement, "decorator_list", []))])
        bodies.append("\n".join(lines[first - 1 : statement.end_lineno]) + "\n")
    bodies += [_STUB.replace("{name}", name) for name in sorted(part.stubs)]
    return "\n".join(['"""What the loaders of this bundle need of this module."""\n', *imports, *bodies, _MISSING])


def _import_text(statement: ast.stmt, used: set[str]) -> str:
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return "from __future__ import annotations\n"
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = [alias for alias in statement.names if (alias.asname or alias.name).partition(".")[0] in used]
        if names:
            statement = ast.copy_location(type(statement)(**{**dict(ast.iter_fields(statement)), "names": names}), statement)
            return ast.unparse(statement) + "\n"
    return ""
