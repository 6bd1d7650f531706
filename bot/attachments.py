"""Downloads what people attach: from Discord's CDN only, streamed, bounded in size and time, never half a file left behind."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from kernel_manager.files.names import safe_filename

logger = logging.getLogger(__name__)

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
MAX_SIZE_MB = 50
TIMEOUT_S = 60.0
_CHUNK = 64 * 1024
_MAX_REDIRECTS = 5
_CONCURRENT = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Kinds of an attachment that are no file of Discord's.
_NOT_FILES = frozenset({"url", "embed", "link"})


class DownloadError(Exception):
    """An attachment could not be had; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where downloads may come from, and how names become addresses.

    ``schemes`` and ``own`` (addresses of this machine that are allowed besides public ones, with any port) are for tests
    against a local server; no setting changes them.
    """

    hosts: frozenset[str] = CDN_HOSTS
    schemes: frozenset[str] = frozenset({"https"})
    own: frozenset[str] = frozenset()
    resolver: AbstractResolver | None = None
    timeout_s: float = TIMEOUT_S

    def check(self, url: URL) -> None:
        """Raise DownloadError unless the URL is one of Discord's CDN."""
        if url.scheme not in self.schemes or url.host not in self.hosts:
            raise DownloadError(f"{url.host or 'the address'} is not Discord's CDN")
        if not self.own and not url.is_default_port():
            raise DownloadError("the address names a port")
        if _is_address(url.host):
            # nobody resolves it, so nobody else would look at it
            self.check_address(url.host, url.host)

    def check_address(self, host: str, address: str) -> None:
        """Raise DownloadError unless what a host's name leads to is public."""
        if address not in self.own and not _is_public(address):
            raise DownloadError(f"{host} leads to a private address")


CDN = Source()
#: Translators of IPv6 to IPv4 read the last 32 bits of these.
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    """Whether an address is one of the public network, whichever way it is written."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in network for network in _TRANSLATED):
            return False
        inner = found.ipv4_mapped or found.sixtofour or found.teredo
        if inner is not None and not all(map(_is_public, map(str, inner if isinstance(inner, tuple) else (inner,)))):
            return False
    return found.is_global and not found.is_multicast and not found.is_unspecified


class _CheckingResolver(AbstractResolver):
    """Refuses names that lead into this machine or its network, at the moment of connecting, to what it hands out."""

    def __init__(self, inner: AbstractResolver, source: Source) -> None:
        self._inner = inner
        self._source = source

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            self._source.check_address(host, result["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


async def download_attachment(
    url: str, temp_dir: str | Path, filename: str | None = None, max_size_mb: float = MAX_SIZE_MB, *, source: Source = CDN
) -> Path | None:
    """Download one attachment into ``temp_dir`` and return where it lies; None if it could not be had, as the log says.

    Without ``filename`` the URL names the file. At most ``max_size_mb`` MB and 60 seconds; nothing stays of a failure.
    """
    try:
        return await fetch(url, Path(temp_dir), filename, int(max_size_mb * 2**20), source)
    except DownloadError as exc:
        logger.warning("an attachment was not downloaded: %s", exc)
        return None


async def download_attachments_batch(
    attachments: Sequence[dict[str, Any]], temp_dir: str | Path, max_size_mb: float = MAX_SIZE_MB, *, source: Source = CDN
) -> list[dict[str, Any]]:
    """Download attachments at once and return them, in order, with ``local_path`` (str or None) and ``downloaded`` added.

    An attachment is a mapping with ``url`` and, if known, ``filename`` and ``type``; those of type ``url`` and ``embed`` are
    skipped. A failed one has ``error``, and blocks nothing.
    """
    gate = asyncio.Semaphore(_CONCURRENT)

    async def one(attachment: dict[str, Any]) -> dict[str, Any]:
        if _is_no_file(attachment):
            return {**attachment, "local_path": None, "downloaded": False}
        async with gate:
            try:
                name = attachment.get("filename")
                limit = int(max_size_mb * 2**20)
                if _announced(attachment) > limit:
                    raise DownloadError(f"it is larger than {max_size_mb:g} MB")
                path = await fetch(str(attachment.get("url", "")), Path(temp_dir), name, limit, source)
            except DownloadError as exc:
                logger.warning("an attachment was not downloaded: %s", exc)
                return {**attachment, "local_path": None, "downloaded": False, "error": str(exc)}
        return {**attachment, "local_path": str(path), "downloaded": True}

    done = list(await asyncio.gather(*map(one, attachments)))
    tried = [item for item in done if not _is_no_file(item)]
    if tried:
        logger.info("Downloaded %d/%d attachments", sum(item["downloaded"] for item in tried), len(tried))
    return done


def _announced(attachment: dict[str, Any]) -> int:
    size = attachment.get("size")
    return size if isinstance(size, int) else 0


def _is_no_file(attachment: dict[str, Any]) -> bool:
    return str(attachment.get("type", "")).lower() in _NOT_FILES


def cleanup_attachment_files(attachments: Iterable[dict[str, Any]]) -> int:
    """Remove what was downloaded for these attachments; return how many files went."""
    removed = 0
    for attachment in attachments:
        path = attachment.get("local_path")
        if not path:
            continue
        try:
            Path(path).unlink()
        except FileNotFoundError:
            continue
        except OSError as exc:
            logger.warning("a downloaded attachment cannot be removed: %s", exc)
            continue
        removed += 1
    return removed


async def fetch(url: str, folder: Path, filename: str | None, max_bytes: int, source: Source = CDN) -> Path:
    """Download a file into ``folder`` and return its path, which no other download has. Raises DownloadError."""
    try:
        address = URL(url)
        source.check(address)
        name = safe_filename(filename or unquote(address.name))
        async with asyncio.timeout(source.timeout_s):
            return await _fetch(address, folder, name, max_bytes, source)
    except TimeoutError as exc:
        raise DownloadError(f"it took longer than {source.timeout_s:g} s") from exc
    except (aiohttp.ClientError, ValueError) as exc:
        raise DownloadError(f"the connection failed ({type(exc).__name__})") from exc
    except OSError as exc:
        raise DownloadError(f"it cannot be stored ({exc.strerror or exc})") from exc


async def _fetch(url: URL, folder: Path, name: str, max_bytes: int, source: Source) -> Path:
    resolver = _CheckingResolver(source.resolver or aiohttp.ThreadedResolver(), source)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
    # trust_env is off: a proxy would resolve names where nobody checks them
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False) as client:
        for _ in range(_MAX_REDIRECTS + 1):
            source.check(url)
            async with client.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response:
                if response.status in _REDIRECTS:
                    url = url.join(URL(response.headers.get("Location", "")))
                    continue
                if response.status != 200:
                    raise DownloadError(f"Discord answered {response.status}")
                return await _store(response, folder, name, max_bytes)
    raise DownloadError("too many redirects")


async def _store(response: aiohttp.ClientResponse, folder: Path, name: str, max_bytes: int) -> Path:
    if (response.content_length or 0) > max_bytes:
        raise DownloadError(f"it is larger than {max_bytes / 2**20:g} MB")
    path = folder / f"{secrets.token_hex(8)}-{name}"
    creating = asyncio.create_task(asyncio.to_thread(_create, path))
    try:
        stream = await asyncio.shield(creating)
    except asyncio.CancelledError:
        # a thread cannot be stopped: what it makes goes when it is made
        creating.add_done_callback(lambda made: _discard(made, path))
        raise
    try:
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise DownloadError(f"it is larger than {max_bytes / 2**20:g} MB")
            await asyncio.to_thread(stream.write, chunk)
        if response.content_length is not None and size != response.content_length:
            raise DownloadError("it broke off")
        await asyncio.to_thread(stream.close)
    except BaseException:
        stream.close()
        path.unlink(missing_ok=True)
        raise
    return path


def _discard(made: asyncio.Task[BinaryIO], path: Path) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()
        path.unlink(missing_ok=True)


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
