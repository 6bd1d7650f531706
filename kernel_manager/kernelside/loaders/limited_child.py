"""The program that opens one file for :mod:`limited`: a job on stdin, the answer on stdout, both pickled."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import resource
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_CPU_S = 15
_FILE_SIZE = 1 << 30


def main() -> None:
    """Take the job from stdin; what libraries print goes nowhere."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    os._exit(serve(jobs, answers))


def serve(jobs: IO[bytes], answers: IO[bytes]) -> int:
    """Do the job within the limits and return the exit status."""
    job = pickle.load(jobs)  # noqa: S301  (from the kernel that started this)
    tempfile.tempdir = job["temporary"]
    sys.path.extend(entry for entry in job["path_list"] if entry not in sys.path)
    _load_package(job["package"])
    package = importlib.import_module(f"{job['package']}.loaders")
    limited = importlib.import_module(f"{job['package']}.loaders.limited")
    _limit(limited.MEMORY)
    warnings.simplefilter("ignore")
    answer = _answer(package, job)
    try:
        pickle.Pickler(answers, protocol=5).dump(answer)
        answers.flush()
    except MemoryError:
        return int(limited.OUT_OF_MEMORY)
    except BrokenPipeError:
        return 1
    except Exception:  # noqa: BLE001  (objects refuse to be pickled in many ways; the kernel then loads by itself)
        return int(limited.UNPICKLABLE)
    return 0


def _answer(package: Any, job: dict[str, Any]) -> dict[str, Any]:
    source_module = importlib.import_module(f"{job['package']}.loaders.source")
    source = source_module.Source(Path(job["path"]), job["name"])
    try:
        found: dict[str, Any] = {"status": "ok", "result": package.resolve(job["loader"])(source, **job["options"])}
    except source_module.Unreadable as exc:
        found = {"status": "unreadable", "reason": str(exc)}
    except MemoryError:
        found = {"status": "memory"}
    except ImportError as exc:
        found = {"status": "missing", "reason": str(exc), "name": exc.name}
    except BaseException as exc:  # noqa: BLE001  (Rust's panics are no Exception)
        found = _failure(exc, job["options"])
    return {**found, "notes": source.notes}


def _failure(exc: BaseException, options: dict[str, Any]) -> dict[str, Any]:
    if isinstance(exc, TypeError) and options:
        return {"status": "options", "reason": str(exc)}
    if "cannot allocate" in str(exc).lower() or "out of memory" in str(exc).lower():
        return {"status": "memory"}
    lines = str(exc).strip().splitlines()
    return {"status": "unreadable", "reason": f"it cannot be read: {(lines[0] if lines else type(exc).__name__)[:300]}"}


def _limit(memory: int) -> None:
    used = _data_size()
    for limit, value in (
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _FILE_SIZE),
        (resource.RLIMIT_DATA, used + memory),
    ):
        _, hard = resource.getrlimit(limit)
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (wanted, hard))


def _data_size() -> int:
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as statm:
        return int(statm.read().split()[5]) * resource.getpagesize()
    return 0


def _load_package(name: str) -> None:
    """Make the package that this file is in importable, by its name, without putting any folder on ``sys.path``."""
    if name in sys.modules:
        return
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
