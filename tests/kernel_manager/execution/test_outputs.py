from __future__ import annotations

import copy
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from kernel_manager.execution.events import (
    DisplayUpdated,
    OutputAdded,
    OutputEvent,
    OutputReplaced,
    OutputsCleared,
    StreamExtended,
)
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import Output

Message = dict[str, Any]

WIDE = OutputLimits(max_text=100_000, max_outputs=1_000, max_total=1_000_000)
MB = 1024**2


def message(msg_type: Any, content: Any) -> Message:
    return {"header": {"msg_type": msg_type}, "msg_type": msg_type, "parent_header": {}, "metadata": {}, "content": content}


def stream(text: Any, name: Any = "stdout") -> Message:
    return message("stream", {"name": name, "text": text})


def shown(data: Any, display_id: Any = None, msg_type: str = "display_data", metadata: Any = None) -> Message:
    transient = {} if display_id is None else {"display_id": display_id}
    return message(msg_type, {"data": data, "metadata": metadata or {}, "transient": transient})


def plain(text: str, display_id: Any = None) -> Message:
    return shown({"text/plain": text}, display_id)


def update(text: str, display_id: Any) -> Message:
    return shown({"text/plain": text}, display_id, "update_display_data")


def result(data: Any, count: Any = 1) -> Message:
    return message("execute_result", {"data": data, "metadata": {}, "execution_count": count})


def error(ename: Any = "ValueError", evalue: Any = "bad", traceback: Any = ("line 1", "line 2")) -> Message:
    lines = list(traceback) if isinstance(traceback, tuple) else traceback
    return message("error", {"ename": ename, "evalue": evalue, "traceback": lines})


def clear(wait: Any = False) -> Message:
    return message("clear_output", {"wait": wait})


def collect(messages: Iterable[Message], limits: OutputLimits = WIDE) -> OutputCollector:
    collector = OutputCollector(limits)
    for msg in messages:
        collector.handle(msg)
    return collector


def outputs(*messages: Message, limits: OutputLimits = WIDE) -> list[Output]:
    found = collect(messages, limits).outputs
    assert_valid(found)
    return found


def text_output(text: str, name: str = "stdout") -> Output:
    return {"output_type": "stream", "name": name, "text": text}


def plain_output(text: str) -> Output:
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def notebook(found: list[Output]) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "cell",
        "source": "",
        "metadata": {},
        "execution_count": None,
        "outputs": found,
    }
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}


def assert_valid(found: list[Output]) -> None:
    """Valid nbformat 4.5, and JSON that any strict reader takes."""
    written = json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    assert json.loads(written) == found
    nbformat.validate(notebook(found), version=4, version_minor=5)


def size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(len(key) + size(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(size, value))
    return len(value) if isinstance(value, str) else 8


class TestJupyterMeaning:
    def test_consecutive_messages_of_one_stream_are_one_output(self) -> None:
        assert outputs(stream("a"), stream("b\n"), stream("e", "stderr"), stream("c")) == [
            text_output("ab\n"),
            text_output("e", "stderr"),
            text_output("c"),
        ]

    def test_carriage_returns_stay(self) -> None:
        assert outputs(stream("1%\r"), stream("2%\r\n"), stream("\x1b[31mred\x08")) == [text_output("1%\r2%\r\n\x1b[31mred\x08")]

    def test_a_stream_is_not_merged_across_another_output(self) -> None:
        assert [out["output_type"] for out in outputs(stream("a"), plain("x"), stream("b"))] == [
            "stream",
            "display_data",
            "stream",
        ]

    def test_a_mime_bundle_is_kept_whole(self) -> None:
        data = {
            "text/plain": "<Figure>",
            "image/png": "iVBORw0KGgo=",
            "image/svg+xml": "<svg/>",
            "text/html": "<b>ü</b>",
            "text/latex": "$x$",
            "text/markdown": "# x",
            "application/json": [1, 2.5, None, True, {"a": "b"}],
            "application/vnd.plotly.v1+json": {"data": [{"y": [1, 2]}], "layout": {}},
            "application/vnd.vegalite.v5+json": {"mark": "bar", "encoding": {}},
            "application/javascript": "1",
        }
        metadata = {"image/png": {"width": 10, "height": 20}, "isolated": True}
        assert outputs(shown(data, metadata=metadata)) == [{"output_type": "display_data", "data": data, "metadata": metadata}]

    def test_a_result_has_its_execution_count(self) -> None:
        assert outputs(result({"text/plain": "3"}, 7)) == [
            {"output_type": "execute_result", "data": {"text/plain": "3"}, "metadata": {}, "execution_count": 7}
        ]

    def test_an_error_has_name_value_and_traceback(self) -> None:
        collector = collect([error()])
        assert collector.outputs == [
            {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["line 1", "line 2"]}
        ]
        assert collector.failed
        assert not collect([stream("x")]).failed

    def test_a_cleared_error_is_still_a_failure(self) -> None:
        assert collect([error(), clear()]).failed

    def test_an_update_replaces_every_output_with_its_id(self) -> None:
        collector = OutputCollector(WIDE)
        for msg in (plain("one", "a"), plain("other", "b"), shown({"text/plain": "two"}, "a", "execute_result")):
            collector.handle(msg)
        events = collector.handle(shown({"text/html": "new"}, "a", "update_display_data", {"m": 1}))
        new = {"data": {"text/html": "new"}, "metadata": {"m": 1}}
        replaced = {"output_type": "display_data", **new}
        result_replaced = {"output_type": "execute_result", "execution_count": None, **new}
        assert collector.outputs == [replaced, plain_output("other"), result_replaced]
        assert events == [
            OutputReplaced(0, replaced),
            OutputReplaced(2, result_replaced),
            DisplayUpdated("a", {"text/html": "new"}, {"m": 1}),
        ]

    def test_an_update_of_another_cells_display_changes_nothing_here(self) -> None:
        collector = collect([plain("x", "a")])
        assert collector.handle(update("y", "b")) == [DisplayUpdated("b", {"text/plain": "y"}, {})]
        assert collector.outputs == [plain_output("x")]

    def test_an_update_without_an_id_is_ignored(self) -> None:
        collector = collect([plain("x", "a")])
        assert collector.handle(update("y", None)) == []
        assert collector.outputs == [plain_output("x")]

    def test_showing_an_id_again_updates_its_earlier_outputs(self) -> None:
        collector = collect([plain("one", "a")])
        assert collector.handle(plain("two", "a")) == [
            OutputReplaced(0, plain_output("two")),
            DisplayUpdated("a", {"text/plain": "two"}, {}),
            OutputAdded(1, plain_output("two")),
        ]

    def test_what_is_told_of_ever_new_displays_is_bounded(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=10, max_total=20_000)
        collector = OutputCollector(limits)
        told: dict[str, DisplayUpdated] = {}
        for number in range(200):
            for event in collector.handle(update("x" * 8_000, f"d{number}")):
                assert isinstance(event, DisplayUpdated)
                told[event.display_id] = event
        assert told["d0"].data == {"text/plain": "x" * 8_000}
        assert any("left out" in event.data["text/plain"] for event in told.values())
        assert sum(size(event.data) for event in told.values()) <= 20_000

    def test_updates_of_one_display_are_told_however_many_there_are(self) -> None:
        collector = OutputCollector(OutputLimits(max_text=100, max_outputs=10, max_total=20_000))
        for number in range(200):
            text = f"{number}" + "x" * 8_000
            assert collector.handle(update(text, "a")) == [DisplayUpdated("a", {"text/plain": text}, {})]

    def test_display_ids_name_positions(self) -> None:
        collector = collect([stream("x"), plain("1", "a"), plain("2", "b"), plain("3"), plain("4", "a")])
        assert collector.display_ids == {"a": [1, 4], "b": [2]}

    def test_clearing_takes_effect_at_once(self) -> None:
        collector = collect([stream("x"), plain("1", "a")])
        assert collector.handle(clear()) == [OutputsCleared()]
        assert (collector.outputs, collector.display_ids) == ([], {})
        assert collector.handle(stream("y")) == [OutputAdded(0, text_output("y"))]

    def test_clearing_with_wait_comes_with_the_next_output(self) -> None:
        collector = collect([stream("x")])
        assert collector.handle(clear(wait=True)) == []
        assert collector.outputs == [text_output("x")]
        assert collector.handle(stream("y")) == [OutputsCleared(), OutputAdded(0, text_output("y"))]
        assert collector.handle(stream("z")) == [StreamExtended(0, "z")]

    def test_an_update_does_not_end_the_wait(self) -> None:
        collector = collect([plain("x", "a"), clear(wait=True)])
        collector.handle(update("y", "a"))
        assert collector.outputs == [plain_output("y")]
        assert collector.handle(error())[0] == OutputsCleared()

    def test_messages_that_are_no_outputs_are_ignored(self) -> None:
        others = ("status", "execute_input", "comm_open", "execute_reply", "input_request", "no_such_type")
        assert outputs(*(message(msg_type, {"text": "x", "data": {}}) for msg_type in others)) == []

    def test_outputs_and_events_are_copies(self) -> None:
        collector = OutputCollector(WIDE)
        [event] = collector.handle(shown({"application/json": {"a": [1]}}))
        assert isinstance(event, OutputAdded)
        event.output["data"]["application/json"]["a"].append(2)
        collector.outputs[0]["data"]["application/json"]["a"].append(3)
        assert collector.outputs[0]["data"] == {"application/json": {"a": [1]}}


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
IDS = st.none() | st.sampled_from(["a", "b"])
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | TEXT
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5)
DATA = st.one_of(
    st.dictionaries(st.sampled_from(["text/plain", "text/html", "image/png"]), TEXT, max_size=3),
    st.dictionaries(st.sampled_from(["application/json", "application/vnd.plotly.v1+json"]), JSON, max_size=2),
)
WELL_FORMED = st.one_of(
    st.builds(stream, TEXT, st.sampled_from(["stdout", "stderr"])),
    st.builds(shown, DATA, IDS, metadata=st.dictionaries(TEXT, TEXT, max_size=2)),
    st.builds(shown, DATA, IDS, st.just("update_display_data")),
    st.builds(result, DATA, st.integers(0, 9)),
    st.builds(error, TEXT, TEXT, st.lists(TEXT, max_size=3)),
    st.builds(clear, st.booleans()),
)


def by_nbclient(messages: list[Message]) -> list[Output]:
    """Return what nbclient collects, with consecutive outputs of one stream merged as frontends do."""
    client = NotebookClient(nbformat.from_dict(notebook([])))  # type: ignore[no-untyped-call]
    cell = client.nb.cells[0]
    client.reset_execution_trackers()
    client.clear_before_next_output = False
    for msg in copy.deepcopy(messages):
        client.process_message(msg, cell, 0)
    merged: list[Output] = []
    for output in json.loads(json.dumps(cell["outputs"])):
        last = merged[-1] if merged else None
        if last and output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            merged.append(output)
    return merged


def mirrored(events: Iterable[OutputEvent]) -> list[Output]:
    """Return the outputs as someone knows them who sees the events only."""
    known: list[Output] = []
    for event in events:
        match event:
            case OutputAdded(index, output):
                assert index == len(known)
                known.append(dict(output))
            case StreamExtended(index, text):
                known[index]["text"] += text
            case OutputReplaced(index, output):
                known[index] = dict(output)
            case OutputsCleared():
                known.clear()
            case DisplayUpdated():
                pass
    return known


@given(st.lists(WELL_FORMED, max_size=20))
def test_outputs_are_those_of_nbclient(messages: list[Message]) -> None:
    assert collect(messages).outputs == by_nbclient(messages)


@given(st.lists(WELL_FORMED, max_size=20))
def test_events_tell_the_same_as_the_outputs(messages: list[Message]) -> None:
    collector = OutputCollector(WIDE)
    assert mirrored(event for msg in messages for event in collector.handle(msg)) == collector.outputs


class TestBounds:
    @pytest.mark.parametrize("total", [10, 100, 101, 102, 999, 5_000, 20_000])
    @pytest.mark.parametrize("step", [1, 7, 30_000])
    def test_the_middle_of_a_stream_is_cut_exactly(self, total: int, step: int) -> None:
        text = "".join(chr(ord("a") + number % 26) for number in range(total))
        limits = OutputLimits(max_text=101, max_outputs=2, max_total=0)
        [found] = outputs(*(stream(text[at : at + step]) for at in range(0, total, step)), limits=limits)
        if total <= 101:
            assert found["text"] == text
        else:
            assert found["text"] == f"{text[:51]}\n… {total - 101:,} characters cut …\n{text[-50:]}"

    def test_the_cut_may_span_streams(self) -> None:
        limits = OutputLimits(max_text=8, max_outputs=10, max_total=0)
        found = outputs(stream("aaa"), stream("bbb", "stderr"), stream("ccc"), stream("ddd", "stderr"), limits=limits)
        assert [out["text"] for out in found] == [
            "aaa",
            "b\n… 2 characters cut …\n",
            "… 2 characters cut …\nc",
            "ddd",
        ]

    def test_without_room_for_text_only_the_cut_is_said(self) -> None:
        assert outputs(stream("abc"), limits=OutputLimits(0, 2, 0)) == [text_output("… 3 characters cut …\n")]

    def test_the_first_and_last_outputs_are_kept(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=5, max_total=10_000)
        found = outputs(*(plain(str(number)) for number in range(1_234)), limits=limits)
        assert found == [
            *(plain_output(str(number)) for number in (0, 1, 2)),
            text_output("… 1,229 outputs cut …\n", "stderr"),
            *(plain_output(str(number)) for number in (1_232, 1_233)),
        ]

    def test_exactly_as_many_outputs_as_allowed_are_not_cut(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=5, max_total=10_000)
        assert outputs(*(plain(str(number)) for number in range(5)), limits=limits) == [plain_output(str(n)) for n in range(5)]

    def test_display_ids_count_the_marker(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=4, max_total=10_000)
        collector = collect([plain(str(number), f"id{number}") for number in range(9)], limits)
        assert collector.display_ids == {"id0": [0], "id1": [1], "id7": [3], "id8": [4]}
        collector.handle(update("new", "id8"))
        collector.handle(update("gone", "id5"))
        assert [out["data"]["text/plain"] for out in collector.outputs if "data" in out] == ["0", "1", "7", "new"]

    def test_the_error_at_the_end_of_a_flood_is_kept_and_announced(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=4, max_total=1_000)
        collector = collect([plain("x" * 100) for _ in range(50)], limits)
        events = collector.handle(error())
        assert collector.outputs[-1]["traceback"] == ["line 1", "line 2"]
        assert OutputAdded(50, collector.outputs[-1]) in events

    def test_an_output_too_big_by_itself_says_what_it_was(self) -> None:
        png = "A" * 30_000
        [found] = outputs(shown({"text/plain": "<Figure>", "image/png": png}), limits=OutputLimits(100, 10, 20_000))
        assert found["data"] == {
            "text/plain": "<Figure>\n… left out: text/plain (8 characters), image/png (30,000 characters); "
            "the outputs of one cell may take 20,000 bytes …"
        }

    def test_a_huge_result_stays_a_result_with_both_ends_of_its_text(self) -> None:
        [found] = outputs(result({"text/plain": "A" * 50_000 + "Z" * 50_000}, 4), limits=OutputLimits(100, 10, 20_000))
        assert (found["output_type"], found["execution_count"]) == ("execute_result", 4)
        text = found["data"]["text/plain"]
        assert text.startswith("A" * 1_000 + "\n… 98,000 characters cut …\n" + "Z" * 1_000)
        assert "left out" in text

    def test_the_first_and_the_newest_figures_keep_their_data(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=100, max_total=10_000)
        found = outputs(*(shown({"image/png": f"{number:02}" + "A" * 1_000}) for number in range(50)), limits=limits)
        whole = [out["data"]["image/png"][:2] for out in found if "image/png" in out["data"]]
        assert whole == ["00", "01", "02", "03", "45", "46", "47", "48", "49"]
        assert size(found) < 10_000 + 42 * 300

    def test_outputs_that_were_cut_make_room(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=4, max_total=10_000)
        small, big = [plain("x" * 500) for _ in range(50)], shown({"image/png": "A" * 7_000})
        assert outputs(*small, big, limits=limits)[-1]["data"] == {"image/png": "A" * 7_000}

    def test_figures_that_had_to_go_are_announced(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=100, max_total=10_000)
        collector = OutputCollector(limits)
        messages = [shown({"image/png": f"{number:02}" + "A" * 1_000}) for number in range(50)]
        assert mirrored(event for msg in messages for event in collector.handle(msg)) == collector.outputs

    def test_growing_updates_stay_within_the_total(self) -> None:
        limits = OutputLimits(max_text=100, max_outputs=50, max_total=50_000)
        collector = collect([plain("x", "a") for _ in range(40)], limits)
        for length in (10, 1_000, 10_000, 60_000, 2_000):
            collector.handle(update("y" * length, "a"))
            assert size(collector.outputs) < limits.max_total + 50 * 3_000
        collector.handle(update("z", "a"))
        assert collector.outputs == [plain_output("z")] * 40

    def test_a_huge_error_keeps_both_ends(self) -> None:
        limits = OutputLimits(max_text=5_000, max_outputs=10, max_total=50_000)
        lines = [f"line {number}" for number in range(100_000)]
        [found] = outputs(error("E" * 10_000, "v" * 10_000_000, lines), limits=limits)
        assert size(found) < 12_000
        assert "cut" in found["evalue"]
        [traceback] = found["traceback"]
        assert traceback.startswith("line 0\nline 1\n")
        assert traceback.endswith("line 99998\nline 99999")

    def test_a_flood_of_errors_is_bounded(self) -> None:
        limits = OutputLimits(max_text=5_000, max_outputs=10, max_total=20_000)
        collector = collect([error("E", "v" * 4_000, ["t" * 4_000]) for _ in range(100)], limits)
        assert_valid(collector.outputs)
        assert size(collector.outputs) < 20_000 + 10 * 3_000
        assert collector.outputs[-1]["traceback"] == ["t" * 4_000]

    @pytest.mark.parametrize(
        "value",
        [
            {"a": [[] for _ in range(100_000)]},
            {str(number): number for number in range(100_000)},
            {"x" * 1_000_000: 1},
            [0] * 100_000,
        ],
    )
    def test_a_bomb_of_json_is_replaced(self, value: Any) -> None:
        limits = OutputLimits(max_text=100, max_outputs=10, max_total=100_000)
        found = outputs(shown({"application/json": value}), shown({}, metadata={"bomb": value}), limits=limits)
        assert size(found) < 2_000
        assert all("left out" in out["data"]["text/plain"] for out in found)

    def test_a_million_mime_types_are_replaced(self) -> None:
        data = {f"text/x-{number}": "" for number in range(1_000_000)}
        [found] = outputs(shown(data), limits=OutputLimits(100, 10, 100_000))
        assert "999,992 more" in found["data"]["text/plain"]

    def test_deep_nesting_is_cut_and_the_rest_stays(self) -> None:
        deep: Any = "bottom"
        for _ in range(100_000):
            deep = [deep]
        [found] = outputs(shown({"application/json": {"deep": deep, "flat": 1}}))
        assert found["data"]["application/json"]["flat"] == 1
        assert "nested deeper than 64 levels" in json.dumps(found, ensure_ascii=False)

    def test_limits_that_keep_nothing_are_refused(self) -> None:
        with pytest.raises(ValueError, match="max_outputs"):
            OutputLimits(max_text=1, max_outputs=1, max_total=1)

    def test_events_of_a_stream_end_when_the_text_is_full(self) -> None:
        collector = OutputCollector(OutputLimits(max_text=10, max_outputs=4, max_total=100))
        assert collector.handle(stream("12345678")) == [OutputAdded(0, text_output("12345678"))]
        [event] = collector.handle(stream("90ab"))
        assert isinstance(event, StreamExtended)
        assert event.text.startswith("90\n… more text follows")
        assert collector.handle(stream("cd")) == []
        assert collector.handle(stream("e", "stderr")) == [OutputAdded(1, text_output("", "stderr"))]

    def test_outputs_past_the_number_are_not_announced(self) -> None:
        collector = OutputCollector(OutputLimits(max_text=10, max_outputs=4, max_total=10_000))
        events = [event for number in range(100) for event in collector.handle(plain(str(number)))]
        assert [event.index for event in events if isinstance(event, OutputAdded)] == [0, 1, 2, 3]
        assert collector.handle(stream("x")) == []
        assert collector.handle(stream("y")) == []
        assert collector.handle(clear()) == [OutputsCleared()]
        assert collector.handle(plain("x")) == [OutputAdded(0, plain_output("x"))]


FLOODS: dict[str, Callable[[int], Message]] = {
    "one stream, one character each": lambda _: stream("x"),
    "one stream, wide characters": lambda _: stream("\U0001f600"),
    "two streams in turn": lambda number: stream("xy", "stdout" if number % 2 else "stderr"),
    "long lines": lambda _: stream("x" * 20_000),
    "empty texts": lambda number: stream("", "stdout" if number % 2 else "stderr"),
    "figures": lambda number: shown({"image/png": f"{number}" * 500, "text/plain": "<Figure>"}),
    "display ids": lambda number: plain("x", f"id{number}"),
    "one display id": lambda number: plain(str(number), "same"),
    "updates of unknown displays": lambda number: update("x" * 100, f"id{number}"),
    "errors": lambda number: error("E", f"{number}" * 100, ["x" * 100] * 20),
    "malformed": lambda _: shown(5),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_memory_does_not_grow_with_a_flood(flood: Callable[[int], Message]) -> None:
    limits = OutputLimits(max_text=5_000, max_outputs=20, max_total=100_000)
    collector = OutputCollector(limits)
    tracemalloc.start()
    try:
        for number in range(3_000):
            collector.handle(flood(number))
        early, _ = tracemalloc.get_traced_memory()
        for number in range(3_000, 9_000):
            collector.handle(flood(number))
        late, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400_000
    assert late - early < 50_000
    assert_valid(collector.outputs)


def test_a_huge_text_is_not_copied_whole() -> None:
    msg = stream("x" * 200_000_000)
    collector = OutputCollector(OutputLimits(max_text=512_000, max_outputs=200, max_total=32 * MB))
    tracemalloc.start()
    try:
        collector.handle(msg)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MB


def test_the_work_per_message_does_not_grow() -> None:
    collector = OutputCollector(OutputLimits(max_text=512_000, max_outputs=200, max_total=32 * MB))
    calls: list[int] = []

    def count(_frame: Any, event: str, _arg: Any) -> None:
        if event in ("call", "c_call"):
            calls[-1] += 1

    for _ in range(4):
        for _ in range(50_000):
            collector.handle(stream("0123456789"))
        calls.append(0)
        sys.setprofile(count)
        try:
            for _ in range(1_000):
                collector.handle(stream("0123456789"))
        finally:
            sys.setprofile(None)
    assert max(calls) < 2 * min(calls)


LONELY = st.text(st.characters(), max_size=12)
NUMBERS = st.booleans() | st.integers() | st.floats() | st.builds(pow, st.just(10), st.just(5_000))
GARBAGE = st.recursive(
    st.none() | NUMBERS | LONELY | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LONELY | st.integers() | st.none(), inner, max_size=4),
    max_leaves=10,
)
MIMES = st.sampled_from(
    ["text/plain", "image/png", "application/json", "application/x+json", "application/json\n", "x\n+json", "model/gltf+json", ""]
)
HOSTILE = st.one_of(
    WELL_FORMED,
    st.builds(stream, GARBAGE, GARBAGE),
    st.builds(shown, GARBAGE, GARBAGE, metadata=GARBAGE),
    st.builds(shown, st.dictionaries(MIMES | LONELY, GARBAGE, max_size=4), IDS, metadata=GARBAGE),
    st.builds(shown, GARBAGE, IDS, st.just("update_display_data")),
    st.builds(result, st.dictionaries(MIMES, GARBAGE, max_size=3), GARBAGE),
    st.builds(error, GARBAGE, GARBAGE, GARBAGE),
    st.builds(clear, GARBAGE),
    st.builds(
        message,
        st.sampled_from(["stream", "display_data", "execute_result", "update_display_data", "error", "clear_output"]) | GARBAGE,
        GARBAGE,
    ),
    st.dictionaries(st.sampled_from(["header", "content", "metadata"]), GARBAGE, max_size=3),
)
TIGHT = st.builds(OutputLimits, st.integers(0, 30), st.integers(2, 6), st.integers(0, 600))


@settings(max_examples=300)
@given(st.lists(HOSTILE, max_size=20), TIGHT | st.just(WIDE))
def test_whatever_comes_the_outputs_are_valid_and_bounded(messages: list[Message], limits: OutputLimits) -> None:
    collector = OutputCollector(limits)
    events = [event for msg in messages for event in collector.handle(msg)]
    found = collector.outputs
    assert_valid(found)
    assert len(found) <= limits.max_outputs + 1
    streams = [out["text"] for out in found if out["output_type"] == "stream"]
    assert sum(map(len, streams)) <= limits.max_text + 60 * len(streams)
    assert size([out for out in found if out["output_type"] != "stream"]) <= limits.max_total + 5_000 * len(found)
    assert collector.failed == any(_is_error(msg) for msg in messages)
    for positions in collector.display_ids.values():
        assert all(found[position]["output_type"] in ("display_data", "execute_result") for position in positions)
    for event in events:
        if isinstance(event, (OutputAdded, OutputReplaced)):
            assert_valid([event.output])


def _is_error(msg: Message) -> bool:
    header = msg.get("header")
    return isinstance(header, dict) and header.get("msg_type") == "error"


class TestHostileMessages:
    def test_lone_surrogates_are_replaced(self) -> None:
        found = outputs(stream("a\ud800b"), shown({"text/plain": "\udfff", "application/json": {"\ud800": "\udc00"}}))
        assert found[0]["text"] == "a\ufffdb"
        assert found[1]["data"] == {"text/plain": "\ufffd", "application/json": {"\ufffd": "\ufffd"}}

    def test_numbers_that_json_lacks_become_null(self) -> None:
        value = [float("nan"), float("inf"), -float("inf"), 1.5, 10**5_000, 2**64]
        [found] = outputs(shown({"application/json": value}))
        assert found["data"]["application/json"] == [None, None, None, 1.5, None, 2**64]

    @pytest.mark.parametrize("content", [None, 5, [], "x", {}, {"text": None}, {"text": ["a"]}, {"text": 5, "name": 5}])
    def test_a_malformed_stream_is_said(self, content: Any) -> None:
        [found] = outputs(message("stream", content))
        assert found == text_output("… a malformed output of the kernel was left out …\n", "stderr")

    @pytest.mark.parametrize("content", [None, 5, [], {}, {"data": None}, {"data": [1]}, {"data": {"text/html": 5}}])
    def test_a_malformed_display_is_said(self, content: Any) -> None:
        [found] = outputs(message("display_data", content))
        assert found == plain_output("… a malformed output of the kernel was left out …")

    def test_a_bad_representation_goes_and_the_others_stay(self) -> None:
        [found] = outputs(shown({"text/plain": "ok", "image/png": 5, "x\ny": "z", "text/html": ["<b>", "</b>"]}))
        assert found["data"] == {"text/plain": "ok", "text/html": "<b></b>"}

    def test_an_unknown_stream_name_is_stdout(self) -> None:
        assert outputs(stream("a", "stdlog"), stream("b", 5), stream("c", "stdout")) == [text_output("abc")]

    def test_a_malformed_error_is_an_error(self) -> None:
        collector = collect([message("error", None)])
        assert collector.outputs == [{"output_type": "error", "ename": "Error", "evalue": "", "traceback": []}]
        assert collector.failed

    @pytest.mark.parametrize("display_id", [5, "", [], "x" * 1_001, None])
    def test_a_display_id_that_is_none_names_nothing(self, display_id: Any) -> None:
        collector = collect([plain("x", display_id)])
        assert collector.display_ids == {}

    @pytest.mark.parametrize("count", [-1, True, "1", 1.0, 2**70])
    def test_an_execution_count_that_is_none_is_null(self, count: Any) -> None:
        [found] = outputs(result({"text/plain": "x"}, count))
        assert found["execution_count"] is None
