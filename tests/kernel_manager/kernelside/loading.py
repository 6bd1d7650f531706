"""``load_file`` as tests call it: in a process of the kernel environment's Python, on files of a shelf."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.files.shelf import Shelf

# Reads jobs, one JSON object per line, and answers each with one.
WORKER = """
import contextlib, importlib.util, io, json, os, sys

package = sys.argv[1]
spec = importlib.util.spec_from_file_location("kernelside", package + "/__init__.py", submodule_search_locations=[package])
sys.modules["kernelside"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from kernelside.load_file import make_load_file

imported = sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__", "kernelside"})
functions = {}
for line in sys.stdin:
    job = json.loads(line)
    os.chdir(job["work"])
    load_file = functions.setdefault(job["files"], make_load_file(job["files"]))
    names = {"load_file": load_file, "imported": imported}
    answer, notes = {"value": None, "error": None, "message": ""}, io.StringIO()
    with contextlib.redirect_stderr(notes):
        try:
            exec(job["setup"], names)
            answer["value"] = eval(job["expression"], names)
        except Exception as exc:
            answer["error"], answer["message"] = [kind.__name__ for kind in type(exc).__mro__], str(exc)
    answer["notes"] = notes.getvalue()
    print(json.dumps(answer, default=str), flush=True)
"""

FRAME = "(lambda df: [df.to_dict('list'), {str(name): str(kind) for name, kind in df.dtypes.items()}])"


@dataclass(frozen=True, slots=True)
class Answer:
    value: Any
    error: list[str] | None
    message: str
    notes: str


class Kernel:
    """What a kernel is to these tests: a user's files, a working folder, and code that runs there."""

    def __init__(self, worker: subprocess.Popen[str], folder: Path) -> None:
        self._worker = worker
        self.files = folder / "files"
        self.work = folder / "work"
        self.work.mkdir()
        self.shelf = Shelf(self.files, 1 << 30)

    def put(self, name: str, content: bytes | str) -> str:
        """Hand a file in; its file_id."""
        data = content.encode() if isinstance(content, str) else content
        return self.shelf.add(io.BytesIO(data), name).file_id

    def run(self, expression: str, setup: str = "") -> Answer:
        job = {"work": str(self.work), "files": str(self.files), "expression": expression, "setup": setup}
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.write(json.dumps(job) + "\n")
        self._worker.stdin.flush()
        return Answer(**json.loads(self._worker.stdout.readline()))

    def value(self, expression: str, setup: str = "") -> Any:
        answer = self.run(expression, setup)
        assert answer.error is None, answer.message
        return answer.value

    def table(self, name: str, content: bytes | str, arguments: str = "") -> tuple[dict[str, list[Any]], dict[str, str], str]:
        """A DataFrame's columns, their types, and the notes."""
        self.put(name, content)
        answer = self.run(f"{FRAME}(load_file({name!r}{arguments}))")
        assert answer.error is None, answer.message
        columns, types = answer.value
        return columns, types, answer.notes

    def failure(self, name: str, content: bytes | str, arguments: str = "") -> str:
        """The message with which a damaged file is refused."""
        self.put(name, content)
        answer = self.run(f"load_file({name!r}{arguments})")
        assert answer.error is not None, answer.value
        assert answer.error[:2] == ["UnreadableFileError", "ValueError"], answer.message
        assert "\n" not in answer.message
        assert answer.message.startswith(name)
        return answer.message
