"""Taking a session away: a package that only this machine has, and a plain Jupyter that knows nothing of this project."""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from kernel_manager import Session
from kernel_manager.packages.uv import find_uv, uv_environ
from notebooks_export.comparison import comparable, picture_pairs, same
from notebooks_export.pictures import show_the_same
from tests.wheels import make_wheel

#: A package that is in no environment and on no index; cells that import it have it installed.
PACKAGE = "threadbook-sums"
MODULE = "threadbook_sums"
VERSION = "2.5"


def offer_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let :data:`PACKAGE` be approved, and found by uv in a folder; everything else comes from uv's cache."""
    wheels = folder / "wheels"
    wheels.mkdir()
    make_wheel(wheels, PACKAGE, "def total(values):\n    return round(sum(values), 3)\n", version=VERSION)
    approved = folder / "approved.toml"
    approved.write_text(f'[packages]\n{PACKAGE} = {{ imports = ["{MODULE}"] }}\n')
    monkeypatch.setenv("APPROVED_PACKAGES", str(approved))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_OFFLINE", "1")


def unpacked(bundle: bytes, folder: Path) -> Path:
    """Unpack a bundle; return its folder."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        archive.extractall(folder)
    (found,) = folder.iterdir()
    return found


def environment_of(requirements: Path, target: Path) -> Path:
    """A new virtual environment with exactly these requirements, from uv's cache if that has them; return its Python."""
    uv, environ = str(find_uv()), uv_environ(os.environ)
    base = getattr(sys, "_base_executable", None) or sys.executable
    subprocess.run([uv, "venv", "--quiet", "--no-project", "--python", base, target], env=environ, check=True)
    python = target / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--no-build", "--python", str(python), "-r", str(requirements)]
    if subprocess.run([*install, "--offline"], env=environ, capture_output=True, check=False).returncode != 0:
        environ.pop("UV_OFFLINE", None)
        subprocess.run(install, env=environ, check=True)
    return python


async def run_elsewhere(nb: NotebookNode, folder: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> NotebookNode:
    """Run All, in a plain kernel of another environment; return the notebook as it is then."""
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernels = folder.parent / "jupyter" / "kernels" / "elsewhere"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(folder.parent / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("IPYTHONDIR", str(folder.parent / "ipython"))
    client = NotebookClient(copy.deepcopy(nb), kernel_name="elsewhere", timeout=90, resources={"metadata": {"path": str(folder)}})
    return await client.async_execute()


async def assert_nothing_differs(before: NotebookNode, after: NotebookNode, session: Session) -> None:
    """Compare all cells of a session with those of another run; ``session`` looks at the pictures."""
    cells = list(zip(code_cells(before), code_cells(after), strict=True))
    assert cells
    for one, other in cells:
        shown, now = comparable(one.outputs), comparable(other.outputs)
        pairs = picture_pairs(shown, now)
        alike = frozenset(pairs) if all(await show_the_same(session, pairs)) else frozenset()
        assert same(shown, now, alike), (one.source, shown, now)


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """The code cells that are the session's own."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and "part" not in cell.metadata.threadbook]


def read_valid(content: bytes) -> NotebookNode:
    """The notebook of a file, which must be valid."""
    nb: NotebookNode = nbformat.reads(content.decode(), as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(nb)
    return nb
