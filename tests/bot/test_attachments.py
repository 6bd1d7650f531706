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
from tests.integration.support import until

MB = 2**20


class LocalResolver(AbstractResolver):
    """Names lead to one address after the other, and then to the last one: the loopback, if nothing else is given."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses or ("127.0.0.1",))
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        address = self._addresses[min(self.asked, len(self._addresses) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)]

    async def close(self) -> None:
        pass


class Server:
    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.release = asyncio.Event()
        self.meeting = asyncio.Barrier(3)

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
            case "meet/0" | "meet/1" | "meet/2":
                await self.meeting.wait()
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


LOCAL = Source(schemes=frozenset({"http"}), own=frozenset({"127.0.0.1"}), resolver=LocalResolver(), timeout_s=30)


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


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "no address",
    ],
)
async def test_a_name_of_the_cdn_that_leads_to_a_private_address_is_refused(server: Server, folder: Path, address: str) -> None:
    hostile = Source(resolver=LocalResolver(address))
    assert "private address" in await failure("https://cdn.discordapp.com/a.csv", folder, hostile)
    assert server.asked == []


async def test_an_address_in_place_of_a_name_is_looked_at_too(folder: Path) -> None:
    careless = Source(hosts=frozenset({"127.0.0.1", "::1"}), schemes=frozenset({"https"}))
    assert "private address" in await failure("https://127.0.0.1/a.csv", folder, careless)
    assert "private address" in await failure("https://[::1]/a.csv", folder, careless)


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused(server: Server, folder: Path) -> None:
    resolver = LocalResolver("127.0.0.1", "127.0.0.2")
    assert "private address" in await failure(server.url("to-other-name"), folder, replace(LOCAL, resolver=resolver))
    assert (resolver.asked, server.asked) == (2, ["/to-other-name"])


async def test_what_a_name_led_to_when_it_was_looked_at_is_what_is_connected_to(server: Server, folder: Path) -> None:
    resolver = LocalResolver("127.0.0.1", "10.0.0.1")
    assert (await fetch(server.url("f"), folder, None, MB, replace(LOCAL, resolver=resolver))).exists()
    assert resolver.asked == 1


async def test_a_download_that_is_given_up_leaves_nothing(server: Server, folder: Path) -> None:
    downloading = asyncio.create_task(fetch(server.url("stall"), folder, None, MB, LOCAL))
    await until(lambda: list(folder.iterdir()))
    downloading.cancel()
    await asyncio.wait({downloading})
    assert list(folder.iterdir()) == []


async def test_attachments_come_at_once(server: Server, folder: Path) -> None:
    wanted = [{"url": server.url(f"meet/{n}"), "filename": f"{n}.csv"} for n in range(3)]
    async with asyncio.timeout(30):
        done = await download_attachments_batch(wanted, folder, source=LOCAL)
    assert [item["downloaded"] for item in done] == [True] * 3


async def test_what_discord_says_is_too_large_is_not_asked_for(server: Server, folder: Path) -> None:
    wanted = [{"url": server.url("a.csv"), "filename": "a.csv", "size": 51 * MB}]
    (done,) = await download_attachments_batch(wanted, folder, source=LOCAL)
    assert (done["downloaded"], done["error"]) == (False, "it is larger than 50 MB")
    assert server.asked == []


async def test_a_name_as_long_as_any_is_shortened(server: Server, folder: Path) -> None:
    path = await download_attachment(server.url("x"), folder, "ü" * 400 + ".csv", source=LOCAL)
    assert path is not None
    assert path.suffix == ".csv"


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
