"""What kernels should find imported: what a run of typical code in the new environment really imports.

Two programs run in the environment, as the process that kernels are forked from would. The first runs the code and notes every
module that came; the second imports these again and keeps the ones that do not come along with an earlier one. A module that
starts a thread is left out, as a fork takes one thread along only.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kernel_manager.packages.uv import Cancelled
from kernel_manager.provisioning.launcher import kernel_environ

_TIMEOUT_S = 300.0
_POLL_S = 0.05
_MAX_THREADED = 10
_MAX_MODULES = 400

#: Arguments are JSON: what has to import, the lines of code, and the names to leave out.
_RUN = """
import importlib, json, sys
needed, lines, _ = json.loads(sys.argv[1])
for name in needed:
    importlib.import_module(name)
namespace = {"__name__": "__main__"}
for line in lines:
    try:
        exec(line, namespace)
    except Exception as exc:
        print(f"{line}: {exc!r}", file=sys.stderr)
def is_of_environment(module):
    return (getattr(module, "__file__", None) or "").startswith(sys.prefix) and getattr(module, "__spec__", None)
found = [name for name, module in list(sys.modules.items()) if name != "__main__" and is_of_environment(module)]
# a package stands in the list when it is complete, after its parts
parents = [".".join(name.split(".")[:count]) for name in found for count in range(1, name.count(".") + 2)]
sys.__stdout__.write("\\n" + json.dumps(list(dict.fromkeys(parents))))
"""
_REDUCE = """
import importlib, json, os, sys
needed, found, left_out = json.loads(sys.argv[1])
def threads():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
kept, threaded = [], None
for name in [*needed, *(name for name in found if name not in needed)]:
    if name in needed or (name not in sys.modules and not any((name + ".").startswith(other + ".") for other in left_out)):
        try:
            importlib.import_module(name)
        except Exception:
            if name in needed:
                raise
            continue
        if threads() > 1:
            threaded = name
            break
        kept.append(name)
sys.__stdout__.write("\\n" + json.dumps([kept, threaded]))
"""


class WarmUpError(Exception):
    """What has to import does not; the message is the last line that Python said."""


def measure_preload(
    python: Path, needed: Sequence[str], lines: Sequence[str], is_cancelled: Callable[[], bool] = lambda: False
) -> list[str]:
    """The names of modules to import, in order, ``needed`` first; raises WarmUpError, and Cancelled when that is said."""
    with tempfile.TemporaryDirectory(prefix="tb-warm-") as home:
        environ = kernel_environ(python, Path(home), threads=False)

        def run(program: str, *arguments: Any) -> Any:
            return _run([str(python), "-I", "-c", program, json.dumps(arguments)], environ, Path(home), is_cancelled)

        found = run(_RUN, list(needed), list(lines), [])[: _MAX_MODULES * 10]
        left_out: list[str] = []
        while True:
            kept, threaded = run(_REDUCE, list(needed), found, left_out)
            if threaded is None:
                return [str(name) for name in kept][:_MAX_MODULES]
            if threaded in needed or len(left_out) >= _MAX_THREADED:
                raise WarmUpError(f"importing {threaded} starts a thread, so no kernel could be forked")
            left_out.append(threaded)


def _run(command: list[str], environ: dict[str, str], home: Path, is_cancelled: Callable[[], bool]) -> Any:
    out, err = home / "out", home / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=home, env=environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, umask=0o022, process_group=0
        )
        with process:
            _wait(process, is_cancelled)
    if process.returncode != 0:
        said = err.read_text(errors="replace").strip().splitlines()
        raise WarmUpError((said or [f"exit status {process.returncode}"])[-1][:300])
    try:
        return json.loads(out.read_text(errors="replace").rpartition("\n")[2])
    except ValueError as exc:
        raise WarmUpError("the warm-up did not say what it had imported") from exc


def _wait(process: subprocess.Popen[bytes], is_cancelled: Callable[[], bool]) -> None:
    until = time.monotonic() + _TIMEOUT_S
    while process.poll() is None:
        if is_cancelled() or time.monotonic() > until:
            os.killpg(process.pid, 9)
            process.wait()
            if is_cancelled():
                raise Cancelled
            raise WarmUpError(f"it took longer than {_TIMEOUT_S:g} s")
        time.sleep(_POLL_S)
