"""An OpenAI-compatible endpoint on this machine that answers by a script: to try things out, and for tests.

::

    python -m tools.endpoint              serve on http://127.0.0.1:8765/v1 until Ctrl-C
    python -m tools.endpoint --port 9000

It speaks Chat Completions and Responses over real HTTP and server-sent events. The model ``demo`` has two ideas: it loads
the newest file of the conversation and computes what the question names, and then says what came out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MAX_BODY = 64 * 2**20
_MAX_HEADERS = 64 * 2**10


@dataclass(frozen=True)
class Request:
    """A request as it came; ``json`` is its body, None if it has none."""

    method: str
    path: str
    headers: Mapping[str, str]
    json: Any


#: What goes over the wire next: bytes to send, seconds to wait, something to wait for; or something is called.
Piece = bytes | float | asyncio.Event | Callable[[], object]


@dataclass(frozen=True)
class Play:
    """An answer: status, headers and the pieces of the body. With ``cut`` the connection breaks off after them."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Answer = Callable[[Request], Play | Awaitable[Play]]


class Endpoint:
    """A server that answers each request with what ``answer`` returns, and keeps the requests."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[Request] = []
        self.port = 0
        #: Set when a client has hung up.
        self.hung_up = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Endpoint]:
        """Serve on the loopback; port 0 takes any."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_MAX_HEADERS)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connected(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                found = self._answer(request)
                play = found if isinstance(found, Play) else await found
                await _write(writer, play)
                if play.cut:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.hung_up.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = min(int(headers.get("content-length", 0)), _MAX_BODY)
    body = await reader.readexactly(length)
    return Request(method, path, headers, json.loads(body) if body else None)


async def _write(writer: asyncio.StreamWriter, play: Play) -> None:
    headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **play.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {play.status} Played\r\n{head}\r\n".encode())
    for piece in play.pieces:
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        elif isinstance(piece, float):
            await asyncio.sleep(piece)
        elif not isinstance(piece, bytes):
            piece()
        elif piece:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
    if not play.cut:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


def sse(*events: Any, done: bool = False) -> list[bytes]:
    """Return events of Chat Completions as they stream: a dictionary each, text as it is."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return [f"data: {line}\n\n".encode() for line in [*lines, *(["[DONE]"] if done else [])]]


def named_sse(*events: Mapping[str, Any]) -> list[bytes]:
    """Return events of Responses as they stream, named after their types."""
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def document(body: Any, status: int = 200, **headers: str) -> Play:
    """Return an answer that is one JSON document."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Play([json.dumps(body).encode()], status, {"Content-Type": "application/json", **named})


def error(status: int, message: str, code: str | None = None, param: str | None = None, **headers: str) -> Play:
    """Return an error as endpoints say it."""
    body = {"error": {"message": message, "type": "error", "code": code, "param": param}}
    return document(body, status, **headers)


def models(*names: str) -> Play:
    """Return a list of models."""
    return document(
        {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in names]}
    )


# Replies in both dialects.


@dataclass(frozen=True)
class Reply:
    """What the model says: words, then calls as ``(name, arguments)``; ``thinking`` comes before both."""

    text: str = ""
    calls: Sequence[tuple[str, str]] = ()
    thinking: str = ""
    prompt_tokens: int = 100
    cached_tokens: int = 20
    completion_tokens: int = 10
    size: int = 7


def chat_chunks(reply: Reply) -> list[bytes]:
    """Return a reply as chunks of Chat Completions, with arguments in fragments and the usage last."""

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": part}) for part in _parts(reply.thinking, reply.size)]
    events += [chunk({"content": part}) for part in _parts(reply.text, reply.size)]
    for number, (name, arguments) in enumerate(reply.calls):
        start = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [start]}))
        parts = _parts(arguments, reply.size)
        events += [chunk({"tool_calls": [{"index": number, "function": {"arguments": part}}]}) for part in parts]
    events.append(chunk({}, "tool_calls" if reply.calls else "stop"))
    usage = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }
    events.append({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return sse(*events, done=True)


def response_events(reply: Reply) -> list[bytes]:
    """Return a reply as events of Responses."""
    output: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}]
    if reply.thinking:
        item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": reply.thinking}
        output.append(item)
        events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    if reply.text:
        content = [{"type": "output_text", "text": reply.text, "annotations": []}]
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
        events += [
            {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": part}
            for part in _parts(reply.text, reply.size)
        ]
        output.append(message)
        events.append({"type": "response.output_item.done", "output_index": len(output) - 1, "item": message})
    for number, (name, arguments) in enumerate(reply.calls):
        call = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name, "status": "completed"}
        events += [
            {"type": "response.function_call_arguments.delta", "item_id": f"fc_{number}", "output_index": 0, "delta": part}
            for part in _parts(arguments, reply.size)
        ]
        output.append({**call, "arguments": arguments})
        events.append({"type": "response.output_item.done", "output_index": len(output) - 1, "item": output[-1]})
    usage = {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
    done = {"id": "r", "object": "response", "status": "completed", "output": output, "usage": usage}
    events.append({"type": "response.completed", "response": done})
    return named_sse(*({**event, "sequence_number": number} for number, event in enumerate(events)))


def play(request: Request, reply: Reply) -> Play:
    """Return a reply in the dialect that was asked for."""
    return Play(response_events(reply) if request.path.endswith("/responses") else chat_chunks(reply))


def _parts(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


# The model for trying things out.


def demonstrate(request: Request) -> Play:
    """Answer as the model ``demo``."""
    if request.path.endswith("/models"):
        return models("demo")
    if not request.path.endswith(("/chat/completions", "/responses")):
        return error(404, "there is no such path")
    texts = _texts(request.json.get("messages") or request.json.get("input") or [])
    kind, last = texts[-1] if texts else ("user", "")
    tokens = len(json.dumps(request.json)) // 4  # about what a real one would count
    if kind == "result":
        output = re.search(r"<output>\n(.*?)\n</output>", last, re.DOTALL)
        return play(request, Reply(f"Here is what came out:\n\n{output[1] if output else last}", prompt_tokens=tokens))
    said = next((text for kind, text in reversed(texts) if kind == "user" and "<variables" not in text[:20]), "")
    calls = [("execute_python_code", json.dumps({"code": _code(said)}))]
    return play(request, Reply("I load the file and look.", calls, prompt_tokens=tokens))


def _code(question: str) -> str:
    name = re.search(r"<attachment>\n(\S+) \(", question)
    column = re.search(r"(mean|sum|min|max|median) of (\w+)", question, re.IGNORECASE)
    load = f"df = load_file({name[1]!r})\n" if name else ""
    return f"{load}df[{column[2]!r}].{column[1].lower()}()" if column else f"{load}df.describe()" if name else "6 * 7"


def _texts(items: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for item in items:
        content = item.get("content", item.get("output"))
        text = content if isinstance(content, str) else " ".join(str(part.get("text") or "") for part in content or ())
        is_result = item.get("role") == "tool" or item.get("type") == "function_call_output"
        found.append(("result" if is_result else str(item.get("role")), text))
    return found


async def _serve(port: int) -> None:
    async with Endpoint(demonstrate).serving(port) as endpoint:
        print(f"OPENAI_BASE_URL={endpoint.url} OPENAI_MODEL=demo", flush=True)
        await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.endpoint", description="An endpoint that answers by a script.")
    parser.add_argument("--port", type=int, default=8765)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args(arguments).port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
