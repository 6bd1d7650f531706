from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.execution.events import OutputAdded, OutputsCleared, StreamExtended
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import Output
from tests.threadbook.fakes import stream, value
from threadbook.remainder import NOT_LIVE, remainder


class Mirror:
    """What somebody sees who follows the events."""

    def __init__(self, limits: OutputLimits) -> None:
        self.collector = OutputCollector(limits)
        self.shown: dict[int, str | None] = {}

    def send(self, msg_type: str, **content: Any) -> None:
        for event in self.collector.handle({"header": {"msg_type": msg_type}, "content": content}):
            match event:
                case OutputAdded():
                    self.shown[event.index] = event.output.get("text")
                case StreamExtended():
                    self.shown[event.index] = (self.shown[event.index] or "") + event.text
                case OutputsCleared():
                    self.shown.clear()

    def left(self) -> list[Output]:
        return remainder(self.collector.outputs, self.shown)


def printed(number: int) -> dict[str, Any]:
    return {"data": {"text/plain": str(number)}, "metadata": {}, "execution_count": number}


def test_nothing_is_left_of_a_cell_within_its_limits() -> None:
    mirror = Mirror(OutputLimits(max_text=100, max_outputs=10, max_total=10_000))
    mirror.send("stream", name="stdout", text="one")
    mirror.send("stream", name="stdout", text="two")
    mirror.send("execute_result", **printed(1))
    assert mirror.left() == []


def test_the_end_of_a_long_text_is_left() -> None:
    mirror = Mirror(OutputLimits(max_text=20, max_outputs=10, max_total=10_000))
    mirror.send("stream", name="stdout", text="a" * 15)
    mirror.send("stream", name="stdout", text="b" * 90)
    assert str(mirror.shown[0]).endswith(NOT_LIVE)
    (left,) = mirror.left()
    assert left["name"] == "stdout"
    assert left["text"].startswith("\n… 85 characters cut …\n") or left["text"].startswith("… 85 characters cut …\n")
    assert left["text"].endswith("b" * 10)


def test_streams_that_came_after_the_limit_are_left_whole() -> None:
    mirror = Mirror(OutputLimits(max_text=20, max_outputs=10, max_total=10_000))
    mirror.send("stream", name="stdout", text="a" * 25)
    mirror.send("stream", name="stderr", text="error\n")
    assert mirror.left()[-1] == stream("error\n", "stderr")


def test_a_text_that_was_shown_whole_is_not_shown_again_when_its_middle_is_cut_later() -> None:
    mirror = Mirror(OutputLimits(max_text=20, max_outputs=10, max_total=10_000))
    mirror.send("stream", name="stdout", text="a" * 18)
    mirror.send("stream", name="stderr", text="b" * 18)
    assert [output["name"] for output in mirror.left()] == ["stderr"]


def test_outputs_after_the_limit_are_left_and_those_before_it_are_not() -> None:
    mirror = Mirror(OutputLimits(max_text=100, max_outputs=4, max_total=10_000))
    for number in range(5):
        mirror.send("execute_result", **printed(number))
    assert mirror.left() == [stream("… 1 outputs cut …\n", "stderr"), value("4", 4)]


def test_of_very_many_outputs_the_last_ones_are_left() -> None:
    mirror = Mirror(OutputLimits(max_text=100, max_outputs=4, max_total=10_000))
    for number in range(2_000):
        mirror.send("execute_result", **printed(number))
    assert mirror.left() == [stream("… 1,996 outputs cut …\n", "stderr"), value("1998", 1998), value("1999", 1999)]


def test_an_error_that_was_announced_past_the_limit_is_not_left() -> None:
    mirror = Mirror(OutputLimits(max_text=100, max_outputs=2, max_total=10_000))
    for number in range(5):
        mirror.send("execute_result", **printed(number))
    mirror.send("error", ename="E", evalue="v", traceback=[])
    assert [output["output_type"] for output in mirror.left()] == ["stream"]


def test_what_is_added_to_the_result_is_left() -> None:
    assert remainder([stream("a"), stream("note\n", "stderr")], {0: "a"}) == [stream("note\n", "stderr")]


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab\n", max_size=30)), max_size=30), st.integers(2, 8))
def test_whoever_sees_both_has_seen_the_end(pieces: list[tuple[str, str]], max_outputs: int) -> None:
    mirror = Mirror(OutputLimits(max_text=40, max_outputs=max_outputs, max_total=10_000))
    for name, text in pieces:
        mirror.send("stream", name=name, text=text)
    outputs, left = mirror.collector.outputs, mirror.left()
    assert all(output["name"] in ("stdout", "stderr") for output in left)
    if outputs and left:
        assert outputs[-1]["text"].endswith(left[-1]["text"]) or len(outputs) - 1 in mirror.shown
    elif outputs:
        assert outputs[-1]["text"] == mirror.shown[len(outputs) - 1]
