"""Downloads against a local server that lies, stalls, redirects and breaks off."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bot.attachments import (
    CDN,
    DownloadError,
    Source,
    cleanup_attachment_files,
    download_attachment,
    download_attachments_batch,
    fetch,
)

MB = 2**20


class LocalResolver(AbstractResolver):
    """Every name leads to the loopback."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        pass


class Server:
    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.release = asyncio.Event()

    def url(self, path: str, host: str = "cdn.discordapp.com") -> str:
        return f"http://{host}:{self.port}/{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        match request.path.removeprefix("/"):
            case "big":
                return await self._stream(request, b"x" * (MB // 4), times=8, length=None)
            case "liar":
                return await self._stream(request, b"x" * 10, times=1, length=100)
            case "honest-big":
                return await self._stream(request, b"", times=1, length=5 * MB)
            case "stall":
                response = await self._stream(request, b"x", times=1, length=100, end=False)
                await self.release.wait()
                return response
            case "away":
                raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
            case "to-other-name":
                raise web.HTTPFound(self.url("data.csv", "media.discordapp.net"))
            case "loop":
                raise web.HTTPFound("/loop")
            case "gone":
                raise web.HTTPNotFound
        return web.Response(body=b"a,b\n1,2\n")

    async def _stream(
        self, request: web.Request, chunk: bytes, *, times: int, length: int | None, end: bool = True
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = length
        await response.prepare(request)
        try:
            for _ in range(times):
                await response.write(chunk)
        except ConnectionError:
            pass
        if length is not None and end and request.transport is not None:
            request.transport.close()
        return response


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    application = web.Application()
    application.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    made.release.set()
    await runner.cleanup()


LOCAL = Source(schemes=frozenset({"http"}), private=True, resolver=LocalResolver(), timeout_s=30)


async def failure(url: str, folder: Path, source: Source = LOCAL, max_bytes: int = MB) -> str:
    with pytest.raises(DownloadError) as failed:
        await fetch(url, folder, None, max_bytes, source)
    assert list(folder.iterdir()) == []
    return str(failed.value)


async def test_a_file_arrives_whole_under_the_name_of_its_url(server: Server, folder: Path) -> None:
    path = await download_attachment(server.url("a%20table.csv?ex=1"), folder, source=LOCAL)
    assert path is not None
    assert path.name.endswith("-a table.csv")
    assert path.read_bytes() == b"a,b\n1,2\n"


async def test_a_name_that_is_given_is_made_safe(server: Server, folder: Path) -> None:
    path = await download_attachment(server.url("x"), folder, "../../etc/passwd", source=LOCAL)
    assert path is not None
    assert path.parent == folder


@pytest.mark.parametrize(("path", "why"), [("big", "larger"), ("honest-big", "larger"), ("liar", "connection failed")])
async def test_nothing_stays_of_a_file_that_is_too_large_or_breaks_off(server: Server, folder: Path, path: str, why: str) -> None:
    assert why in await failure(server.url(path), folder)


async def test_a_file_of_exactly_the_limit_is_taken(server: Server, folder: Path) -> None:
    assert (await fetch(server.url("f"), folder, None, 8, LOCAL)).stat().st_size == 8
    with pytest.raises(DownloadError, match="larger"):
        await fetch(server.url("f"), folder, None, 7, LOCAL)


async def test_a_server_that_stalls_is_given_up(server: Server, folder: Path) -> None:
    assert "longer than 0.3 s" in await failure(server.url("stall"), folder, replace(LOCAL, timeout_s=0.3))


async def test_a_redirect_is_followed_within_the_cdn_only(server: Server, folder: Path) -> None:
    assert (await fetch(server.url("to-other-name"), folder, None, MB, LOCAL)).read_bytes() == b"a,b\n1,2\n"
    (folder / "empty").mkdir()
    assert "169.254.169.254 is not Discord's CDN" in await failure(server.url("away"), folder / "empty")
    assert "too many redirects" in await failure(server.url("loop"), folder / "empty")


async def test_a_file_that_is_gone_is_said_to_be(server: Server, folder: Path) -> None:
    assert "404" in await failure(server.url("gone"), folder)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.csv",
        "https://cdn.discordapp.com.example.org/a.csv",
        "https://cdn.discordapp.com@example.org/a.csv",
        "http://cdn.discordapp.com/a.csv",
        "https://cdn.discordapp.com:8080/a.csv",
        "https://127.0.0.1/a.csv",
        "file:///etc/passwd",
        "https://[::1",
        "",
    ],
)
async def test_only_discords_cdn_is_asked(url: str, folder: Path) -> None:
    await failure(url, folder, CDN)


async def test_a_name_of_the_cdn_that_leads_to_a_private_address_is_refused(server: Server, folder: Path) -> None:
    hostile = Source(resolver=LocalResolver())
    assert "private address" in await failure("https://cdn.discordapp.com/a.csv", folder, hostile)
    assert server.asked == []


async def test_a_batch_says_what_it_got_and_a_failure_blocks_nothing(
    server: Server, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wanted = [
        {"url": server.url("a.csv"), "filename": "a.csv", "type": "file"},
        {"url": server.url("gone"), "filename": "b.csv"},
        {"url": "https://example.org", "type": "url"},
        {"url": server.url("a.csv"), "filename": "a.csv"},
    ]
    done = await download_attachments_batch(wanted, folder, source=LOCAL)
    assert [item["downloaded"] for item in done] == [True, False, False, True]
    assert done[1]["error"] == "Discord answered 404"
    assert done[2] == {"url": "https://example.org", "type": "url", "local_path": None, "downloaded": False}
    assert len({item["local_path"] for item in done}) == 3
    assert "Downloaded 2/3 attachments" in caplog.text
    assert cleanup_attachment_files(done) == 2
    assert cleanup_attachment_files(done) == 0
    assert list(folder.iterdir()) == []


async def test_without_attachments_nothing_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await download_attachments_batch([], folder) == []
    assert caplog.text == ""
    assert URL("https://cdn.discordapp.com").is_default_port()
