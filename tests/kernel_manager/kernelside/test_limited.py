"""Loaders in a process of their own: the limits hold, and whatever happens there, the kernel lives and says one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kernel_manager import kernelside

PACKAGE = Path(kernelside.__file__).parent

# A package of the same name with one more loader; the limits are short, so that the tests are.
LOADER = """
import os, signal, sys, time

def crash(source): os.kill(os.getpid(), signal.SIGSEGV)
def leave(source): os._exit(7)
def hang(source): time.sleep(1000)
def spin(source):
    while True: pass
def swallow(source): return bytearray(8 << 30)
def shout(source):
    print("x" * 100_000); sys.stdout.flush(); os.write(1, b"y" * 100_000); os.write(2, b"z" * 100_000)
    return "said"
def large(source): return bytes(700 << 20)
def unpicklable(source): return lambda: source.name
def missing(source): import no_such_package
def note(source, *, word="?"):
    source.note("a note"); return word
def where(source): return os.getpid()
def threads(source): return len(os.listdir("/proc/self/task"))
"""

WORKER = """
import importlib.util, json, os, sys
package = sys.argv[1]
spec = importlib.util.spec_from_file_location("kernelside", package + "/__init__.py", submodule_search_locations=[package])
sys.modules["kernelside"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from pathlib import Path
from kernelside.loaders import limited
from kernelside.loaders.source import Source, Unreadable
source = Source(Path(sys.argv[2]), "name.x")
limited.LIMIT_S = float(sys.argv[5])
try:
    result = limited.load("odd:" + sys.argv[3], source, json.loads(sys.argv[4]))
    print(json.dumps(["ok", result() if callable(result) else result, source.notes]))
except (Unreadable, ImportError, TypeError) as exc:
    print(json.dumps([type(exc).__name__, str(exc), source.notes]))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package as it is, with the module ``odd`` among the loaders."""
    folder = tmp_path / "kernelside"
    loaders = folder / "loaders"
    loaders.mkdir(parents=True)
    for path in PACKAGE.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    for path in (PACKAGE / "loaders").glob("*.py"):
        (loaders / path.name).write_bytes(path.read_bytes())
    (loaders / "odd.py").write_text(LOADER)
    return folder


def load(package: Path, loader: str, options: str = "{}", limit: float = 20) -> str:
    file = package.parent / "name.x"
    file.write_bytes(b"x")
    command = [sys.executable, "-I", "-c", WORKER, str(package), str(file), loader, options, str(limit)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_crash_is_an_error_that_names_the_signal(package: Path) -> None:
    assert load(package, "crash") == '["Unreadable", "the library that reads it crashed on it (SIGSEGV)", []]'


def test_an_exit_is_an_error(package: Path) -> None:
    assert "the process that opened it ended with status 7" in load(package, "leave")


@pytest.mark.parametrize("loader", ["hang", "spin"])
def test_what_takes_too_long_is_ended(package: Path, loader: str) -> None:
    assert "opening it took longer than 1 s" in load(package, loader, limit=1)


def test_what_takes_too_much_memory_is_ended(package: Path) -> None:
    assert "opening it takes more than 768 MB of memory" in load(package, "swallow")


def test_an_answer_that_is_too_large_is_refused(package: Path) -> None:
    assert "what is in it comes to more than 640 MB" in load(package, "large")


def test_what_libraries_print_goes_nowhere(package: Path) -> None:
    assert load(package, "shout") == '["ok", "said", []]'


def test_what_cannot_be_pickled_is_made_in_the_kernel(package: Path) -> None:
    assert load(package, "unpicklable") == '["ok", "name.x", []]'


def test_a_missing_package_is_an_import_error(package: Path) -> None:
    assert load(package, "missing") == '["ModuleNotFoundError", "No module named \'no_such_package\'", []]'


def test_options_and_notes_pass(package: Path) -> None:
    assert load(package, "note", '{"word": "w"}') == '["ok", "w", ["a note"]]'


def test_a_wrong_option_is_the_callers_error(package: Path) -> None:
    assert load(package, "note", '{"wrod": "w"}').startswith('["TypeError", "note() got an unexpected keyword argument')


def test_it_is_another_process(package: Path) -> None:
    assert load(package, "where") != load(package, "where")
