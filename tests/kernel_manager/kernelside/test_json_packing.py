from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.kernelside.json_packing import packed

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.recursive(PLAIN, st.lists, max_leaves=20)))
def test_what_json_can_carry_comes_back(message: dict[str, Any]) -> None:
    assert json.loads(packed(message)) == message


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_are_null(number: float) -> None:
    assert json.loads(packed({"a": [1.5, {"b": (number, "text")}]})) == {"a": [1.5, {"b": [None, "text"]}]}


def test_times_are_iso_8601() -> None:
    assert json.loads(packed({"date": datetime(2026, 11, 1, tzinfo=UTC)})) == {"date": "2026-11-01T00:00:00Z"}


def test_keys_that_are_numbers_become_text() -> None:
    assert json.loads(packed({1: "a", 2.5: "b", None: "c"})) == {"1": "a", "2.5": "b", "null": "c"}


def test_half_a_character_is_an_error_that_the_caller_knows() -> None:
    with pytest.raises(UnicodeEncodeError):
        packed({"text": "\ud800"})
