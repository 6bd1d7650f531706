"""The cells that let a notebook run where Threadbook is not: packages, ``load_file``, answers to ``input()``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources

from kernel_manager.sessions.history import Answer
from notebooks_export.cells import NotebookCell, setup_cell
from notebooks_export.surroundings import Requirement, Surroundings

_MAX_ANSWERS = 1_000
#: Why a file is not there that the session had.
GONE = "it was no longer there when this notebook was made: it had expired or was deleted"


def packages_cell(surroundings: Surroundings) -> NotebookCell | None:
    """The cell that installs what is missing; None if nothing is needed."""
    if not surroundings.requirements:
        return None
    version = f" with Python {surroundings.python_version}" if surroundings.python_version else ""
    code = _template("packages.py").replace("{python}", version)
    return setup_cell("packages", code.replace("{packages}", _lines(map(str, surroundings.requirements))))


def load_file_cell(surroundings: Surroundings, left_out: Iterable[tuple[str, str]] = ()) -> NotebookCell:
    """The cell that has ``load_file`` defined wherever the notebook runs.

    ``left_out`` are names of data files and why they are not beside the notebook.
    """
    aliases = {}
    for file in surroundings.data:
        for name in (file.file_id, file.original_name):
            if name and name != file.name:
                aliases[name] = file.place.rpartition("/")[2]
    gone = dict.fromkeys(surroundings.missing, GONE)
    gone.update(left_out)
    names = [file.name for file in surroundings.data if file.file_id]
    code = _template("load_file.py").replace("{files}", _lines(names))
    code = code.replace("{aliases}", _mapping(aliases)).replace("{gone}", _mapping(gone))
    return setup_cell("load-file", code)


def answers_cell(answers: Sequence[Answer]) -> NotebookCell | None:
    """The cell that answers ``input()`` as it was answered in the session; None if nothing was asked."""
    if not answers:
        return None
    pairs = [f"({answer.prompt!a}, {answer.answer!a})" for answer in answers[:_MAX_ANSWERS]]
    return setup_cell("answers", _template("answers.py").replace("{answers}", _block(pairs)))


def requirements_text(requirements: Iterable[Requirement], python_version: str | None) -> str:
    """The content of a ``requirements.txt``."""
    head = f"# made with Python {python_version}\n" if python_version else ""
    return head + "".join(f"{requirement}\n" for requirement in requirements)


def _template(name: str) -> str:
    return resources.files("notebooks_export").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def _lines(items: Iterable[str]) -> str:
    return _block([ascii(item) for item in items])


def _mapping(items: dict[str, str]) -> str:
    return _block([f"{name!a}: {value!a}" for name, value in items.items()])


def _block(items: Sequence[str]) -> str:
    return "".join(f"\n    {item}," for item in items) + ("\n" if items else "")
