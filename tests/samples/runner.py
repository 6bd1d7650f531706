"""Loads every sample, and damaged copies of it, as a kernel would; one line of JSON for each. Runs in the kernel environment.

``runner.py PACKAGE OVERLAY SHARD SHARDS``; the overlay holds the packages that the environment lacks. Loaders with limits run in forks of this process instead of new programs: that is what
makes a thousand of them take seconds. The way through a new program has tests of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

SEEDS = (1, 2)


class Fork:
    """What ``limited.start`` returns, as a fork."""

    def __init__(self, serve: Any) -> None:
        job_read, job_write = os.pipe()
        answer_read, answer_write = os.pipe()
        self._status: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            try:
                os.close(job_write)
                os.close(answer_read)
                gc.disable()  # It would touch, and so copy, every page.
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nowhere, stream)
                status = serve(os.fdopen(job_read, "rb"), os.fdopen(answer_write, "wb"))
            finally:
                os._exit(status)
        os.close(job_read)
        os.close(answer_write)
        self.stdin, self.stdout = os.fdopen(job_write, "wb"), os.fdopen(answer_read, "rb")

    def kill(self) -> None:
        if self._status is None:
            os.kill(self._pid, 9)

    def wait(self) -> int:
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status


def load_package(folder: str) -> None:
    spec = importlib.util.spec_from_file_location("kernelside", f"{folder}/__init__.py", submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernelside"] = module
    spec.loader.exec_module(module)


def attempt(load_file: Any, name: str, check: Any = None) -> dict[str, Any]:
    """What came of loading one file."""
    notes, began = io.StringIO(), time.monotonic()
    found: dict[str, Any] = {"error": None, "message": "", "right": None}
    with contextlib.redirect_stderr(notes):
        try:
            content = load_file(name)
            found["gives"] = type(content).__name__
            found["right"] = bool(check(content)) if check else None
        except BaseException as exc:
            found["error"], found["message"] = type(exc).__name__, str(exc)
            found["trace"] = traceback.format_exc()[-1500:]
    return {**found, "notes": notes.getvalue(), "seconds": round(time.monotonic() - began, 2)}


def damaged(raw: bytes, seed: int) -> bytes:
    chance, copy = random.Random(seed), bytearray(raw)
    for _ in range((1, 8, 64)[seed % 3]):
        copy[chance.randrange(len(copy))] = chance.randrange(256)
    return bytes(copy)


def run(extension: str, one: Any, load_file: Any, recognise: Any, source_class: Any) -> dict[str, Any]:
    name = f"sample{extension}"
    path = Path(name).absolute()
    one.write(path)
    raw = path.read_bytes()
    found = {"extension": extension, "size": len(raw), "declared": one.type, "note": one.note}
    found["type"] = recognise(source_class(path, name)).type.name
    found["whole"] = attempt(load_file, name, one.check)
    variants = {"empty": (name, b"")}
    if one.first == extension:
        variants |= {"half": (name, raw[: len(raw) // 2]), "renamed": ("renamed.bin", raw)}
        variants |= {f"flipped {seed}": (name, damaged(raw, seed)) for seed in SEEDS}
    for variant, (called, content) in variants.items():
        # A name of its own: notes are said once for each path.
        folder = Path(variant.replace(" ", "-"))
        folder.mkdir(exist_ok=True)
        (folder / called).write_bytes(content)
        found[variant] = attempt(load_file, str(folder / called))
    return found


def add_texts() -> None:
    """Source code and markup: any text will do."""
    registry, types = importlib.import_module("registry"), importlib.import_module("kernelside.file_types")
    content = "line one, größe\n\tline two;\n"
    for row in types.TYPES:
        for extension in row.extensions if row.name in ("text", "plain text") else ():
            if extension not in registry.SAMPLES:
                registry.text(extension[1:], content, lambda loaded: loaded == content, type="text")


def warm_up() -> None:
    """Import what loaders will want, so that no fork has to."""
    types = importlib.import_module("kernelside.file_types")
    wanted = {types.IMPORT_NAMES.get(package, package) for row in types.TYPES for package in row.packages}
    extra = {"pyarrow.parquet", "pyarrow.feather", "pyarrow.orc", "astropy.io.fits", "astropy.io.votable", "astropy.table", "Bio.SeqIO", "Bio.AlignIO", "Bio.Phylo",
             "scipy.io", "lxml.html", "nibabel.freesurfer", "dpkt.pcapng", "safetensors.numpy"}  # fmt: skip
    for module in sorted(wanted | extra):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def main() -> None:
    package, overlay, shard, shards = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sys.path.append(overlay)
    answers = os.fdopen(os.dup(1), "w")
    warnings.simplefilter("ignore")
    load_package(package)
    sys.path.insert(0, str(Path(__file__).parent))
    samples: dict[str, Any] = importlib.import_module("registry").SAMPLES
    for module in ("tables", "media", "papers", "science", "on_demand"):
        importlib.import_module(module)
    add_texts()
    warm_up()
    gc.collect()
    gc.freeze()
    limited, child = (
        importlib.import_module("kernelside.loaders.limited"),
        importlib.import_module("kernelside.loaders.limited_child"),
    )
    vars(limited)["start"] = lambda: Fork(child.serve)
    source, recognition = (
        importlib.import_module("kernelside.loaders.source"),
        importlib.import_module("kernelside.loaders.recognition"),
    )
    only = set(sys.argv[5].split(",")) if len(sys.argv) > 5 else None
    with tempfile.TemporaryDirectory() as folder:
        load_file = importlib.import_module("kernelside.load_file").make_load_file(folder)
        for number, (extension, one) in enumerate(samples.items()):
            if number % shards != shard or (only and extension not in only):
                continue
            work = Path(folder, extension[1:])
            work.mkdir()
            os.chdir(work)
            try:
                found = run(extension, one, load_file, recognition.recognise, source.Source)
            except Exception:
                found = {"extension": extension, "failure": traceback.format_exc()[-2000:]}
            print(json.dumps(found, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
