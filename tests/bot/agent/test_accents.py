"""What endpoints do to Chat Completions, and what is tolerated: each case was seen at one of them."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from bot.agent.errors import RefusedError
from bot.agent.items import Item, said
from bot.agent.models.chat_completions import ChatCompletionsClient
from bot.agent.models.endpoint import Endpoint as Address
from bot.agent.models.protocol import ModelEvent, ModelRequest, ReplyDone, ReplyRestarted, TextDelta
from tools import endpoint as wire
from tools.endpoint import Endpoint, Play, Request


async def events_of(*chunks: Any) -> list[ModelEvent]:
    async with Endpoint(lambda _: Play(wire.sse(*chunks, done=True))).serving() as endpoint:
        client = ChatCompletionsClient(Address(endpoint.url))
        try:
            async with aclosing(client.stream(ModelRequest("m", "i", [said("hi")]))) as events:
                return [event async for event in events]
        finally:
            await client.aclose()


async def done_of(*chunks: Any) -> ReplyDone:
    last = (await events_of(*chunks))[-1]
    assert isinstance(last, ReplyDone)
    return last


def delta(finish: str | None = None, **values: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": values, "finish_reason": finish}]}


def call(arguments: Any, name: str | None = None, **values: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return delta(tool_calls=[{"type": "function", "function": function, **values}])


async def test_the_finish_reason_stop_beside_calls_is_a_wish_to_call() -> None:
    done = await done_of(call('{"code": "1"}', "execute_python_code", index=0, id="a"), delta("stop"))
    assert (done.stop, [item.arguments for item in done.calls]) == ("tool_calls", ['{"code": "1"}'])


async def test_calls_without_ids_get_some() -> None:
    done = await done_of(call("{}", "a", index=0), call("{}", "b", index=1), delta("tool_calls"))
    assert [item.name for item in done.calls] == ["a", "b"]
    assert all(item.call_id for item in done.calls)
    assert done.calls[0].call_id != done.calls[1].call_id


async def test_calls_that_all_have_the_same_id_get_ids_of_their_own() -> None:
    done = await done_of(
        call("{}", "f", index=0, id="f"), call('{"n"', "f", index=1, id="f"), call(": 1}", index=1), delta("stop")
    )
    assert [item.arguments for item in done.calls] == ["{}", '{"n": 1}']
    assert done.calls[0].call_id != done.calls[1].call_id


async def test_calls_without_indexes_are_told_apart_by_their_names() -> None:
    chunks = [call('{"x"', "a"), call(": 1}"), call("{}", "b"), delta("tool_calls")]
    assert [(item.name, item.arguments) for item in (await done_of(*chunks)).calls] == [("a", '{"x": 1}'), ("b", "{}")]


async def test_parallel_calls_that_all_have_index_0_are_told_apart_by_their_ids() -> None:
    done = await done_of(call("{}", "a", index=0, id="1"), call("{}", "b", index=0, id="2"), delta("tool_calls"))
    assert [item.name for item in done.calls] == ["a", "b"]


async def test_fragments_of_parallel_calls_may_be_mixed() -> None:
    start = [call("", "a", index=0, id="1"), call("", "b", index=1, id="2")]
    rest = [call('{"n":', index=1), call('{"m":', index=0), call("2}", index=1), call("1}", index=0), delta("tool_calls")]
    assert [item.arguments for item in (await done_of(*start, *rest)).calls] == ['{"m":1}', '{"n":2}']


async def test_an_id_and_a_name_that_are_repeated_in_every_fragment_make_one_call() -> None:
    chunks = [call('{"a"', "f", index=0, id="1"), call(": 1}", "f", index=0, id="1"), delta("tool_calls")]
    assert [(item.name, item.arguments) for item in (await done_of(*chunks)).calls] == [("f", '{"a": 1}')]


async def test_arguments_may_come_as_an_object() -> None:
    done = await done_of(call({"code": "1"}, "f", index=0, id="1"), delta("stop"))
    assert json.loads(done.calls[0].arguments) == {"code": "1"}


async def test_what_stands_beside_a_call_is_kept_with_it() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    done = await done_of(call("{}", "f", index=0, id="1", extra_content=signature), delta("tool_calls"))
    assert done.calls[0].extra == {"extra_content": signature}


async def test_thinking_in_the_text_is_not_shown() -> None:
    events = await events_of(
        *(delta(content=part) for part in ["<thi", "nk>hm, ", "42?</th", "ink>\n\n", "It is", " 42."]), delta("stop")
    )
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "It is 42."


async def test_thinking_without_its_opening_tag_is_withdrawn() -> None:
    events = await events_of(delta(content="hm, 42?"), delta(content="\n</think>\n\nIt is 42."), delta("stop"))
    withdrawn = next(number for number, event in enumerate(events) if isinstance(event, ReplyRestarted))
    assert "".join(event.text for event in events[withdrawn:] if isinstance(event, TextDelta)) == "It is 42."
    assert isinstance(events[-1], ReplyDone)
    assert events[-1].text == "It is 42."


async def test_an_answer_that_speaks_of_the_tag_stays_whole() -> None:
    text = "Close it with `</think>` and go on; a < b."
    events = await events_of(*(delta(content=letter) for letter in text), delta("stop"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text


async def test_content_may_be_a_list_null_or_missing() -> None:
    done = await done_of(delta(content=None), delta(content=[{"type": "text", "text": "ok"}]), delta(), delta("stop"))
    assert done.text == "ok"


async def test_a_chunk_without_choices_and_fields_of_other_kinds_do_no_harm() -> None:
    odd = [{"choices": []}, {"choices": None}, {}, {"choices": ["x"]}, delta(tool_calls=None), delta(tool_calls=["x"])]
    done = await done_of(*odd, {"choices": [{"delta": None}]}, delta("stop", content="ok"), {"usage": {"prompt_tokens": "many"}})
    assert (done.text, done.usage and done.usage.input) == ("ok", 0)


async def test_thinking_that_is_not_taken_back_is_left_out_from_then_on() -> None:
    sent: list[str] = []

    def answer(request: Request) -> Play:
        sent.append(json.dumps(request.json["messages"]))
        if "reasoning_content" in sent[-1]:
            return wire.error(400, "'messages.1' : for 'role:assistant' ... property 'reasoning_content' is unsupported")
        return wire.play(request, wire.Reply("ok", thinking="hm"))

    async with Endpoint(answer).serving() as endpoint:
        client = ChatCompletionsClient(Address(endpoint.url))
        items: list[Item] = [said("hi")]
        for _ in range(3):
            async with aclosing(client.stream(ModelRequest("m", "i", items))) as events:
                *_, done = [event async for event in events]
            assert isinstance(done, ReplyDone)
            items += [*done.items, said("and?")]
        await client.aclose()
    assert ["reasoning_content" in text for text in sent] == [False, True, False, False]


async def test_a_cut_answer_and_a_filtered_one_say_so() -> None:
    assert (await done_of(delta("length", content="too lo"))).stop == "length"
    assert (await done_of(delta("content_filter", content="some"))).stop == "refused"
    assert (await done_of(delta("stop", refusal="No."))).stop == "refused"
    with pytest.raises(RefusedError, match="differently"):
        await done_of(delta("content_filter"))
