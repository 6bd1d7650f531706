from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.kernelside import output_limits
from kernel_manager.kernelside.output_limits import (
    DISPLAY_BURST,
    DISPLAYS_HELD,
    DisplayLimiter,
    TextBuffer,
    shorten_content,
    size_of,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def display(number: int, *, update: str | None = None) -> dict[str, Any]:
    transient = {"display_id": update} if update else {}
    return {
        "msg_type": "update_display_data" if update else "display_data",
        "content": {"data": {"text/plain": str(number)}, "transient": transient},
    }


@given(st.lists(st.text(max_size=30), max_size=40))
def test_text_within_the_limit_is_kept_whole(pieces: list[str]) -> None:
    buffer = TextBuffer(limit=4_000)
    for piece in pieces:
        buffer.write(piece)
    assert buffer.take() == "".join(pieces)


@given(st.lists(st.text(max_size=120), max_size=60))
def test_head_and_tail_of_any_text_are_kept_and_the_cut_is_counted(pieces: list[str]) -> None:
    buffer = TextBuffer(limit=100)
    for piece in pieces:
        buffer.write(piece)
    text, kept = "".join(pieces), buffer.take()
    if len(text) <= 100:
        assert kept == text
    else:
        assert kept == text[:50] + output_limits.cut_note(len(text) - 100) + text[-50:]


def test_one_huge_text_is_not_copied_whole() -> None:
    buffer = TextBuffer(limit=100)
    buffer.write("x" * 50_000_000)
    assert "49,999,900 characters cut" in buffer.take()


def test_a_burst_of_displays_passes_at_once() -> None:
    limiter = DisplayLimiter(Clock())
    sent = [message for number in range(DISPLAY_BURST) for message in limiter.admit(display(number))]
    assert [message["content"]["data"]["text/plain"] for message in sent] == [str(number) for number in range(DISPLAY_BURST)]


def test_of_a_flood_the_last_displays_come_at_the_end_in_order() -> None:
    limiter = DisplayLimiter(Clock())
    for number in range(DISPLAY_BURST + 1_000):
        limiter.admit(display(number))
    last = [message["content"]["data"]["text/plain"] for message in limiter.finish()]
    assert last == [str(number) for number in range(DISPLAY_BURST + 1_000 - DISPLAYS_HELD, DISPLAY_BURST + 1_000)]
    assert limiter.cut == 1_000 - DISPLAYS_HELD


def test_what_waits_goes_first_when_there_is_room_again() -> None:
    clock = Clock()
    limiter = DisplayLimiter(clock)
    for number in range(DISPLAY_BURST + 2):
        limiter.admit(display(number))
    clock.now += 1.0
    sent = limiter.admit(display(9_999))
    texts = [message["content"]["data"]["text/plain"] for message in sent]
    assert texts == [str(DISPLAY_BURST), str(DISPLAY_BURST + 1), "9999"]


def test_an_update_replaces_the_one_that_waits() -> None:
    limiter = DisplayLimiter(Clock())
    for number in range(DISPLAY_BURST + 500):
        limiter.admit(display(number, update="bar"))
    held = limiter.finish()
    assert [message["content"]["data"]["text/plain"] for message in held] == [str(DISPLAY_BURST + 499)]
    assert limiter.cut == 0


def large(number: int, size: int) -> dict[str, Any]:
    return {
        "msg_type": "display_data",
        "content": {"data": {"image/png": "x" * size, "text/plain": str(number)}, "transient": {}},
    }


def test_of_large_displays_no_more_pass_at_once_than_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_limits, "DISPLAY_SIZE_BURST", 10_000)
    monkeypatch.setattr(output_limits, "DISPLAY_SIZE_PER_SECOND", 1_000.0)
    monkeypatch.setattr(output_limits, "DISPLAY_SIZE_HELD", 3_500)
    clock = Clock()
    limiter = DisplayLimiter(clock)
    sent = [message for number in range(100) for message in limiter.admit(large(number, 1_000))]
    assert len(sent) == 10
    clock.now += 1.5
    assert [message["content"]["data"]["text/plain"] for message in limiter.admit(large(100, 1_000))] == ["98", "99"]
    assert [message["content"]["data"]["text/plain"] for message in limiter.finish()] == ["100"]
    assert limiter.cut == 88


def test_a_display_larger_than_all_bounds_passes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_limits, "DISPLAY_SIZE_BURST", 100)
    monkeypatch.setattr(output_limits, "DISPLAY_SIZE_HELD", 100)
    limiter = DisplayLimiter(Clock())
    assert len(limiter.admit(large(1, 1_000))) == 1
    assert limiter.admit(large(2, 1_000)) == []
    assert [message["content"]["data"]["text/plain"] for message in limiter.finish()] == ["2"]


@given(st.recursive(st.text() | st.floats() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_the_size_of_a_message_is_about_that_of_its_texts(value: Any) -> None:
    assert size_of({"data": value}) >= size_of(value) >= 0


def test_a_new_cell_has_its_whole_burst() -> None:
    limiter = DisplayLimiter(Clock())
    for number in range(DISPLAY_BURST + 50):
        limiter.admit(display(number))
    limiter.begin()
    assert limiter.admit(display(1)) == [display(1)]
    assert limiter.cut == 0


def test_long_text_of_a_result_is_cut_in_the_middle() -> None:
    content = {"data": {"text/plain": "a" * 1_000_000}}
    shorten_content(content)
    assert "characters cut" in content["data"]["text/plain"]
    assert len(content["data"]["text/plain"]) < 300_000


def test_a_picture_over_the_limit_becomes_a_note_and_no_broken_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_limits, "VALUE_LIMIT", 1_000)
    content = {"data": {"image/png": "x" * 2_000, "text/plain": "<Figure>"}}
    shorten_content(content)
    assert content["data"] == {"text/plain": "(image/png of 2,000 characters left out: more than 1,000)\n<Figure>"}


def test_a_traceback_keeps_both_ends() -> None:
    content: dict[str, Any] = {"traceback": [str(number) for number in range(10_000)], "evalue": "e"}
    shorten_content(content)
    assert content["traceback"][0] == "0"
    assert content["traceback"][-1] == "9999"
    assert "9,600 entries cut" in content["traceback"][200]
