"""What every model client does, over real HTTP and server-sent events against a server on the loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from bot.agent import errors
from bot.agent.items import AssistantMessage, Image, Origin, Reasoning, Text, ToolCall, ToolOutput, UserMessage, said
from bot.agent.models import sdk
from bot.agent.models.chat_completions import ChatCompletionsClient
from bot.agent.models.endpoint import Endpoint as Address
from bot.agent.models.protocol import (
    ModelClient,
    ModelEvent,
    ModelOptions,
    ModelRequest,
    ReplyDone,
    ReplyRestarted,
    TextDelta,
    TokenUsage,
)
from bot.agent.models.responses import ResponsesClient
from bot.agent.models.retrying import RetryingClient
from bot.agent.tools import EXECUTE, TOOLS
from tools import endpoint as wire
from tools.endpoint import Endpoint, Play, Reply, Request

PIXEL = Image("image/png", b"\x89PNG picture", "a plot")


@dataclass
class Side:
    """A client and its endpoint, which plays ``script`` from the beginning."""

    client: ModelClient
    endpoint: Endpoint
    script: list[Play | Reply]
    name: str

    async def reply(self, request: ModelRequest | None = None) -> ReplyDone:
        *_, last = await self.events(request)
        assert isinstance(last, ReplyDone)
        return last

    async def events(self, request: ModelRequest | None = None, client: ModelClient | None = None) -> list[ModelEvent]:
        async with aclosing((client or self.client).stream(request or asking())) as events:
            return [event async for event in events]

    @property
    def sent(self) -> dict[str, Any]:
        body = self.endpoint.requests[-1].json
        assert isinstance(body, dict)
        return body

    @property
    def sent_items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.sent.get("input") or self.sent["messages"]
        return items

    def chunk(self, text: str) -> bytes:
        """One event that carries text, without an end."""
        if self.name == "responses":
            return wire.named_sse({"type": "response.output_text.delta", "delta": text, "sequence_number": 1})[0]
        return wire.sse({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})[0]

    def pieces(self, reply: Reply) -> list[bytes]:
        return wire.response_events(reply) if self.name == "responses" else wire.chat_chunks(reply)


CLIENTS: dict[str, Callable[[Address], ModelClient]] = {"chat_completions": ChatCompletionsClient, "responses": ResponsesClient}


@pytest.fixture(params=CLIENTS)
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    script: list[Play | Reply] = []

    def answer(asked: Request) -> Play:
        step = script.pop(0)
        return step if isinstance(step, Play) else wire.play(asked, step)

    async with Endpoint(answer).serving() as endpoint:
        client = CLIENTS[request.param](Address(endpoint.url, "sk-secret", timeout=20))
        yield Side(client, endpoint, script, request.param)
        await client.aclose()


def asking(*items: Any, **changes: Any) -> ModelRequest:
    values: dict[str, Any] = {"model": "m", "instructions": "Be brief.", "items": items or (said("hello"),), "tools": TOOLS}
    return ModelRequest(**{**values, **changes})


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


class TestAReply:
    async def test_streams_its_text_and_ends_with_all_of_it_and_the_usage(self, side: Side) -> None:
        side.script.append(Reply("Grüße, the mean is 42.", prompt_tokens=123, cached_tokens=23, completion_tokens=9))
        events = await side.events()
        assert text_of(events) == "Grüße, the mean is 42."
        assert len(events) > 3
        done = events[-1]
        assert isinstance(done, ReplyDone)
        assert (done.text, done.stop, done.calls) == ("Grüße, the mean is 42.", "end", [])
        assert done.usage == TokenUsage(123, 9, 23)

    async def test_puts_fragments_of_arguments_together_and_keeps_several_calls_in_order(self, side: Side) -> None:
        calls = [("execute_python_code", json.dumps({"code": f"print({n}, 'ü\\n')"})) for n in range(3)]
        side.script.append(Reply("First I look.", calls, size=3))
        done = await side.reply()
        assert [(call.name, call.arguments) for call in done.calls] == calls
        assert len({call.call_id for call in done.calls}) == 3
        assert (done.stop, done.text) == ("tool_calls", "First I look.")

    async def test_arrives_whatever_pieces_the_network_cuts_it_into(self, side: Side) -> None:
        whole = b"".join(side.pieces(Reply("Ünï — ✓", [("list_files", "{}")])))
        side.script.append(Play([whole[start : start + 5] for start in range(0, len(whole), 5)]))
        done = await side.reply()
        assert (done.text, [call.name for call in done.calls]) == ("Ünï — ✓", ["list_files"])

    async def test_streams_each_piece_when_it_comes_and_not_at_the_end(self, side: Side) -> None:
        gate = asyncio.Event()
        rest = side.pieces(Reply("…"))
        side.script.append(Play([side.chunk("early"), gate, *rest]))
        async with aclosing(side.client.stream(asking())) as events:
            first = await anext(events)
            assert first == TextDelta("early")
            gate.set()
            assert isinstance([event async for event in events][-1], ReplyDone)

    async def test_without_usage_says_that_it_is_not_known(self, side: Side) -> None:
        pieces = side.pieces(Reply("hi"))
        if side.name == "responses":
            pieces[-1] = pieces[-1].replace(b'"usage"', b'"usage_is_unknown"')
        else:
            del pieces[-2]
        side.script.append(Play(pieces))
        assert (await side.reply()).usage is None

    async def test_of_which_nobody_wants_the_rest_ends_the_request(self, side: Side) -> None:
        never = asyncio.Event()
        side.script.append(Play([side.chunk("a"), side.chunk("b"), never]))
        async with aclosing(side.client.stream(asking())) as events:
            assert await anext(events) == TextDelta("a")
        never.set()
        async with asyncio.timeout(20):
            await side.endpoint.hung_up.wait()


class TestARequest:
    async def test_carries_instructions_tools_key_and_options(self, side: Side) -> None:
        side.script.append(Reply("ok"))
        await side.reply(asking(options=ModelOptions(temperature=0.5, max_output_tokens=99)))
        sent = side.sent
        assert side.endpoint.requests[0].headers["authorization"] == "Bearer sk-secret"
        assert (sent["model"], sent["stream"], sent["temperature"]) == ("m", True, 0.5)
        assert 99 in (sent.get("max_tokens"), sent.get("max_output_tokens"))
        names = [tool.get("name") or tool["function"]["name"] for tool in sent["tools"]]
        assert names == [tool.name for tool in TOOLS]
        if side.name == "responses":
            assert (sent["instructions"], sent["store"], sent["include"]) == ("Be brief.", False, ["reasoning.encrypted_content"])
        else:
            assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
            assert sent["stream_options"] == {"include_usage": True}

    async def test_that_must_not_call_says_so(self, side: Side) -> None:
        side.script.append(Reply("ok"))
        await side.reply(asking(may_call=False))
        assert side.sent["tool_choice"] == "none"

    async def test_answers_every_call_before_anything_else(self, side: Side) -> None:
        calls = [ToolCall("a", EXECUTE.name, "{}"), ToolCall("b", EXECUTE.name, "{}")]
        outputs = [ToolOutput("a", (Text("one"), PIXEL)), ToolOutput("b", (Text("two"),))]
        side.script.append(Reply("ok"))
        await side.reply(asking(said("hi"), AssistantMessage("I look."), *calls, *outputs, said("and?")))
        items = side.sent_items
        if side.name == "responses":
            kinds = [item.get("type") or item["role"] for item in items]
            assert kinds == ["user", "assistant", *["function_call"] * 2, *["function_call_output"] * 2, "user"]
            assert [part["type"] for part in items[4]["output"]] == ["input_text", "input_image"]
        else:
            assert [item["role"] for item in items] == ["system", "user", "assistant", "tool", "tool", "user"]
            assert [call["id"] for call in items[2]["tool_calls"]] == ["a", "b"]
            assert [part["type"] for part in items[5]["content"]] == ["text", "image_url", "text"]

    async def test_shows_pictures_as_data_urls(self, side: Side) -> None:
        side.script.append(Reply("ok"))
        await side.reply(asking(UserMessage((Text("look"), PIXEL))))
        assert "data:image/png;base64,iVBORyBwaWN0dXJl" in json.dumps(side.sent_items)

    async def test_hands_reasoning_back_as_it_came_but_only_to_where_it_came_from(self, side: Side) -> None:
        side.script += [Reply("Done.", [("list_files", "{}")], thinking="secret thoughts"), Reply("ok"), Reply("ok")]
        first = await side.reply()
        reasoning = [item for item in first.items if isinstance(item, Reasoning)]
        assert [item.origin for item in reasoning] == [Origin(side.endpoint.url, "m")]
        answer = ToolOutput(first.calls[0].call_id, (Text("none"),))
        await side.reply(asking(said("hello"), *first.items, answer))
        assert "secret thoughts" in json.dumps(side.sent_items)
        if side.name == "responses":
            assert reasoning[0].payload in side.sent_items
            assert [item["id"] for item in side.sent_items if "id" in item] == ["rs_1", "msg_1", "fc_0"]
        await side.reply(asking(said("hello"), *first.items, answer, model="another"))
        assert "secret thoughts" not in json.dumps(side.sent_items)
        assert "fc_0" not in json.dumps(side.sent_items)
        assert "list_files" in json.dumps(side.sent_items)

    async def test_without_thinking_that_cannot_be_handed_back_has_no_ids_either(self, side: Side) -> None:
        """Without storage, an endpoint knows neither the ids nor what belonged to them."""
        side.script += [Reply("Done.", [("list_files", "{}")], thinking="thoughts"), Reply("ok")]
        if side.name == "responses":
            pieces = b"".join(side.pieces(side.script.pop(0)))  # type: ignore[arg-type]
            side.script.insert(0, Play([pieces.replace(b'"encrypted_content": "thoughts"', b'"encrypted_content": null')]))
        first = await side.reply()
        await side.reply(asking(said("hello"), *first.items, ToolOutput(first.calls[0].call_id, (Text("none"),))))
        if side.name == "responses":
            assert not any(isinstance(item, Reasoning) for item in first.items)
            assert [item for item in side.sent_items if "id" in item] == []

    async def test_never_has_two_messages_of_people_in_a_row_where_templates_refuse_that(self, side: Side) -> None:
        side.script.append(Reply("ok"))
        await side.reply(asking(said("one"), said("two"), UserMessage((Text("three"), PIXEL)), said("four")))
        if side.name == "chat_completions":
            assert [item["role"] for item in side.sent_items] == ["system", "user"]
        sent = json.dumps(side.sent_items)
        assert [word for word in ("one", "two", "three", "four") if word in sent] == ["one", "two", "three", "four"]
        assert sent.index("two") < sent.index("data:image/png") < sent.index("four")


class TestOptionalParametersThatAreRefused:
    async def test_are_left_out_from_then_on(self, side: Side) -> None:
        name = "include" if side.name == "responses" else "stream_options"
        message = (
            "Encrypted content is not supported with this model." if name == "include" else "Unknown parameter: stream_options"
        )
        side.script += [wire.error(400, message), Reply("one"), Reply("two")]
        assert (await side.reply()).text == "one"
        assert (await side.reply()).text == "two"
        assert [name in request.json for request in side.endpoint.requests] == [True, False, False]

    async def test_are_found_by_the_parameter_that_the_error_names(self, side: Side) -> None:
        side.script += [wire.error(400, "Unsupported value", "unsupported_value", "temperature"), Reply("ok")]
        assert (await side.reply(asking(options=ModelOptions(temperature=0.2)))).text == "ok"
        assert "temperature" not in side.sent


FAILURES: list[tuple[Play, type[errors.ModelError], str]] = [
    (wire.error(401, "Incorrect API key provided: sk-secret"), errors.BadKeyError, "operator has to correct OPENAI_API_KEY"),
    (wire.error(403, "Country not supported"), errors.BadKeyError, "operator"),
    (wire.error(402, "Insufficient credits"), errors.QuotaError, "operator has to add some"),
    (wire.error(429, "You exceeded your current quota", "insufficient_quota"), errors.QuotaError, "operator"),
    (wire.error(429, "Rate limit reached", "rate_limit_exceeded"), errors.RateLimitedError, "wait"),
    (wire.error(404, "The model `m` does not exist", "model_not_found"), errors.UnknownModelError, "correct OPENAI_MODEL"),
    (wire.error(404, 'model "m" not found, try pulling it first'), errors.UnknownModelError, "ollama pull m"),
    (wire.document("404 page not found", 404), errors.BadRequestError, "correct OPENAI_BASE_URL"),
    (wire.error(400, "registry.ollama.ai/library/m does not support tools"), errors.NoToolSupportError, "choose one that can"),
    (
        wire.error(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        errors.NoToolSupportError,
        "operator",
    ),
    (
        wire.error(400, "This model's maximum context length is 4096 tokens", "context_length_exceeded"),
        errors.ContextTooLongError,
        "start a new session",
    ),
    (wire.error(400, "the request exceeds the available context size"), errors.ContextTooLongError, "ask for less"),
    (
        wire.error(400, "Function tools with reasoning_effort are not supported for m. To use function tools, use /v1/responses"),
        errors.BadRequestError,
        "OPENAI_API=responses",
    ),
    (wire.error(400, "The response was filtered", "content_filter"), errors.RefusedError, "differently"),
    (wire.error(400, "m does not support image input"), errors.NoVisionError, "OPENAI_VISION=off"),
    (wire.error(400, "something odd"), errors.BadRequestError, "something odd"),
    (wire.error(500, "boom"), errors.EndpointDownError, "operator"),
    (wire.error(503, "overloaded"), errors.EndpointDownError, "wait"),
]


@pytest.mark.parametrize(
    ("play", "kind", "words"), FAILURES, ids=[f"{play.status}-{kind.__name__}" for play, kind, _ in FAILURES]
)
async def test_a_failure_says_in_one_line_who_has_to_do_what(
    side: Side, play: Play, kind: type[errors.ModelError], words: str
) -> None:
    side.script.append(play)
    with pytest.raises(kind, match=words) as raised:
        await side.events()
    assert "\n" not in str(raised.value)
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_a_failure_never_quotes_the_key_nor_the_address_s_password(status: int) -> None:
    def refuse(_: Request) -> Play:
        return wire.error(status, "the key sk-secret of operator:hunter2 is not welcome")

    async with Endpoint(refuse).serving() as endpoint:
        address = Address(endpoint.url.replace("//", "//operator:hunter2@"), "sk-secret")
        for client in (make(address) for make in CLIENTS.values()):
            with pytest.raises(errors.ModelError) as raised:
                async with aclosing(client.stream(asking())) as events:
                    _ = [event async for event in events]
            assert client.base_url == endpoint.url
            assert not {"sk-secret", "hunter2"} & {word for word in ("sk-secret", "hunter2") if word in str(raised.value)}
            await client.aclose()
    assert "hunter2" not in repr(address)


async def test_a_conversation_that_is_too_long_may_come_with_the_limit(side: Side) -> None:
    side.script.append(wire.error(400, "This model's maximum context length is 4,096 tokens. You sent 9000."))
    with pytest.raises(errors.ContextTooLongError) as raised:
        await side.events()
    assert raised.value.limit == 4_096


class TestABrokenAnswer:
    async def test_that_ends_in_the_middle_is_never_taken_for_complete(self, side: Side) -> None:
        side.script.append(Play([side.chunk("The mean is")], cut=True))
        with pytest.raises(errors.BrokenStreamError, match="ask again"):
            await side.events()

    async def test_that_ends_well_on_the_wire_but_without_its_end_is_not_complete_either(self, side: Side) -> None:
        side.script.append(Play([side.chunk("The mean is")]))
        with pytest.raises(errors.BrokenStreamError):
            await side.events()

    @pytest.mark.parametrize(
        "garbage",
        [
            b"data: {not json\n\n",
            b'data: "a string"\n\n',
            b"data: [1, 2]\n\n",
            b"\xff\xfe\x00garbage\n\n",
            b"data: null\n\n",
            b"data: " + b"[" * 200_000 + b"\n\n",
        ],
    )
    async def test_that_is_garbage_is_an_error_and_no_crash(self, side: Side, garbage: bytes) -> None:
        side.script.append(Play([garbage]))
        with pytest.raises(errors.BrokenStreamError):
            await side.events()

    async def test_that_reports_a_failure_in_mid_stream_is_that_failure(self, side: Side) -> None:
        failure = {"error": {"message": "The server had an error", "code": "server_error", "type": "server_error"}}
        event = wire.sse(failure)
        if side.name == "responses":
            event = wire.named_sse({"type": "response.failed", "response": {"status": "failed", **failure}, "sequence_number": 2})
        side.script.append(Play([side.chunk("The mean"), *event]))
        with pytest.raises(errors.EndpointDownError, match="The server had an error"):
            await side.events()

    async def test_that_stands_still_is_given_up(self, side: Side) -> None:
        client = CLIENTS[side.name](Address(side.endpoint.url, "k", timeout=0.3))
        never = asyncio.Event()
        side.script.append(Play([side.chunk("a"), never]))
        with pytest.raises(errors.EndpointDownError, match="OPENAI_TIMEOUT"):
            await side.events(client=client)
        never.set()
        await client.aclose()

    async def test_that_has_no_end_is_given_up(self, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sdk, "MAX_CHARACTERS", 5_000)
        side.script.append(Play([side.chunk("again and again ")] * 1_000))
        with pytest.raises(errors.EndlessAnswerError, match="max_output_tokens"):
            await side.events(client=RetryingClient(side.client, 3))
        async with asyncio.timeout(20):
            await side.endpoint.hung_up.wait()

    async def test_that_is_html_of_a_proxy_is_an_error(self, side: Side) -> None:
        side.script.append(Play([b"<html>welcome to the proxy</html>"], headers={"Content-Type": "text/html"}))
        with pytest.raises(errors.ModelError):
            await side.events()


class TestAskingAgain:
    def retrying(self, side: Side, waits: list[float], retries: int = 3) -> RetryingClient:
        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        return RetryingClient(side.client, retries, sleep=sleep, spread=lambda: 0.5)

    async def test_waits_as_long_as_the_endpoint_wants(self, side: Side) -> None:
        waits: list[float] = []
        side.script += [
            wire.error(429, "slow down", Retry_After="7"),
            wire.error(503, "busy", retry_after_ms="1500"),
            Reply("ok"),
        ]
        events = await side.events(client=self.retrying(side, waits))
        assert waits == [7.0, 1.5]
        assert [type(event) for event in events[:2]] == [ReplyRestarted, ReplyRestarted]
        assert text_of(events) == "ok"

    async def test_withdraws_what_came_of_an_answer_that_broke_off(self, side: Side) -> None:
        waits: list[float] = []
        side.script += [Play([side.chunk("The me")], cut=True), Reply("The mean is 1.")]
        events = await side.events(client=self.retrying(side, waits))
        restarted = next(number for number, event in enumerate(events) if isinstance(event, ReplyRestarted))
        assert text_of(events[:restarted]) == "The me"
        assert text_of(events[restarted:]) == "The mean is 1."

    async def test_ends_after_as_many_tries_as_were_set_and_waits_longer_each_time(self, side: Side) -> None:
        waits: list[float] = []
        side.script += [wire.error(500, "boom")] * 4
        with pytest.raises(errors.EndpointDownError):
            await side.events(client=self.retrying(side, waits))
        assert waits == [0.5, 1.0, 2.0]

    async def test_does_not_happen_where_it_cannot_help(self, side: Side) -> None:
        waits: list[float] = []
        side.script += [wire.error(401, "no"), wire.error(429, "later", Retry_After="3600")]
        with pytest.raises(errors.BadKeyError):
            await side.events(client=self.retrying(side, waits))
        with pytest.raises(errors.RateLimitedError, match="wait 60 min"):
            await side.events(client=self.retrying(side, waits))
        assert waits == []

    async def test_does_not_make_a_person_wait_twice_for_an_endpoint_that_says_nothing(self, side: Side) -> None:
        never = asyncio.Event()
        side.script.append(Play([never]))
        silent = CLIENTS[side.name](Address(side.endpoint.url, "k", timeout=0.2))
        with pytest.raises(errors.SilentEndpointError, match="OPENAI_TIMEOUT"):
            await side.events(client=RetryingClient(silent, 3))
        never.set()
        await silent.aclose()

    async def test_happens_when_nobody_answers_at_first(self) -> None:
        waits: list[float] = []
        async with Endpoint(lambda asked: wire.play(asked, Reply("up"))).serving() as gone:
            port = gone.port
        client = ChatCompletionsClient(Address(f"http://127.0.0.1:{port}/v1"))

        async def start_server(seconds: float) -> None:
            waits.append(seconds)

        retrying = RetryingClient(client, 1, sleep=start_server, spread=lambda: 0.5)
        with pytest.raises(errors.EndpointDownError, match="nobody answers"):
            async with aclosing(retrying.stream(asking())) as events:
                _ = [event async for event in events]
        assert waits == [0.5]
        await client.aclose()


class TestTheListOfModels:
    async def test_is_what_the_endpoint_says(self, side: Side) -> None:
        side.script.append(wire.models("a", "b"))
        assert await side.client.models() == ["a", "b"]

    @pytest.mark.parametrize("play", [wire.error(404, "no"), Play([b"hello"]), wire.error(405, "no")])
    async def test_may_be_absent(self, side: Side, play: Play) -> None:
        side.script.append(play)
        assert not await side.client.models()

    async def test_fails_for_a_wrong_key(self, side: Side) -> None:
        side.script.append(wire.error(401, "no"))
        with pytest.raises(errors.BadKeyError):
            await side.client.models()
