"""Notebooks for tests, and what two runs of one notebook may differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import nbformat
from nbformat import NotebookNode

_DIFFERENT = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0x…"),
    (re.compile(r"ipykernel_\d+"), "ipykernel_…"),
    (re.compile(r"(?m)^(CPU times|Wall time): .*"), r"\1: …"),
    (re.compile(r"\d[\d.]* [nμm]?s ± .*"), "…"),
)


def notebook_of(cells: Sequence[str]) -> NotebookNode:
    """A notebook of code cells; those that fail on purpose are tagged by their first line."""
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "source": source,
                "metadata": {"tags": ["raises-exception"] if source.startswith("# fails") else []},
                "outputs": [],
                "execution_count": None,
            }
            for number, source in enumerate(cells)
        ],
    }
    notebook: NotebookNode = nbformat.from_dict(content)  # type: ignore[no-untyped-call]
    return notebook


def comparable(outputs: Iterable[Any]) -> list[Any]:
    """Outputs without addresses, process ids and times, and with consecutive text of one stream as one.

    What our kernels note about figures is left out: it stands in the metadata, under a name of its own; so are stills.
    """
    merged: list[Any] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output["output_type"] == "stream" and (last.get("output_type"), last.get("name")) == ("stream", output["name"]):
            last["text"] += output["text"]
        else:
            merged.append(_without_still(output))
    if any(output.get("ename") == "SystemExit" for output in merged):
        # IPython's hint goes to stderr, which a plain kernel publishes before the error or after it
        merged.sort(key=lambda output: str(output["output_type"]))
    return [_without_differences(output) for output in merged]


def _without_still(output: Any) -> dict[str, Any]:
    still = output.get("metadata", {}).get("threadbook", {}).get("still", False)
    data = {mime: value for mime, value in output.get("data", {}).items() if not (still and mime == "image/png")}
    return {**output, **({"data": data} if data else {})}


def _without_differences(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_differences(item) for key, item in value.items() if key != "threadbook"}
    if isinstance(value, list):
        return [_without_differences(item) for item in value]
    if isinstance(value, str):
        for pattern, replacement in _DIFFERENT:
            value = pattern.sub(replacement, value)
    return value
