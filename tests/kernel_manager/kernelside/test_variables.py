from __future__ import annotations

import types
from typing import Any

import pytest

from kernel_manager.kernelside.variables import MAX_VARIABLES, variables
from kernel_manager.sessions.variables import Variable, Variables


def listed(namespace: dict[str, Any], hidden: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = variables(namespace, hidden or {})["variables"]
    return found


def test_are_listed_by_name_type_and_size() -> None:
    assert listed({"x": 1, "names": ["a", "b"], "f": len}) == [
        {"name": "x", "type": "int", "shape": None, "columns": None, "value": "1"},
        {"name": "names", "type": "list", "shape": [2], "columns": None},
        {"name": "f", "type": "builtin_function_or_method", "shape": None, "columns": None},
    ]


def test_leave_out_modules_private_names_and_what_was_there_before() -> None:
    provided = object()
    namespace = {"_x": 1, "types": types, "load_file": provided, "quit": 1}
    assert [entry["name"] for entry in listed(namespace, {"load_file": provided, "quit": 2})] == ["quit"]


def test_have_their_values_only_if_these_are_plain_and_cannot_be_secret() -> None:
    class Number(int):
        def __repr__(self) -> str:
            raise AssertionError("asked")

    namespace = {"a": 0.5, "b": None, "huge": 10**5_000, "password": "hunter2", "own": Number(1)}
    assert {entry["name"]: entry.get("value") for entry in listed(namespace)} == {
        "a": "0.5",
        "b": "None",
        "huge": None,
        "password": None,
        "own": None,
    }


def test_run_no_code_of_the_user() -> None:
    class Trap:
        @property
        def shape(self) -> None:
            raise AssertionError("asked")

        def __len__(self) -> int:
            raise AssertionError("asked")

    assert listed({"t": Trap()})[0]["type"] == "Trap"


def test_are_the_last_ones_with_their_number() -> None:
    found = variables({f"v{n}": n for n in range(500)}, {})
    assert (len(found["variables"]), found["total"], found["variables"][-1]["name"]) == (MAX_VARIABLES, 500, "v499")


@pytest.mark.parametrize("reply", [{}, {"variables": 5}, {"variables": [None, {}, {"name": 1, "type": "x"}], "total": "many"}])
def test_of_a_kernel_that_says_nonsense_are_none(reply: dict[str, Any]) -> None:
    assert Variables.of(reply) == Variables((), 0)


def test_of_a_kernel_are_bounded_and_in_one_line_each() -> None:
    entry = {"name": "a\nb" * 1_000, "type": "DataFrame", "shape": [3, "x"], "columns": ["c d", 5] * 100}
    (found,) = Variables.of({"variables": [entry], "total": 9}).listed
    assert isinstance(found, Variable)
    assert len(found.name) <= 100
    assert "\n" not in found.name
    assert (found.shape, set(found.columns), len(found.columns) <= 30) == ((3,), {"c d"}, True)
