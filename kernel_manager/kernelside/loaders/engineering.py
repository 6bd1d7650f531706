"""Measurements, captured packets, drawings, network parameters, memory images."""

from __future__ import annotations

import io
import math
import re
import socket
import struct
from typing import Any

from .plain import load_text
from .source import MAX_UNPACKED, Source, Unreadable

_MAX_PACKETS = 2_000_000
_UNITS = {"HZ": 1.0, "KHZ": 1e3, "MHZ": 1e6, "GHZ": 1e9}


def load_tdms(source: Source) -> dict[str, Any]:
    """A DataFrame for each group, its channels as columns; the file's properties in ``.attrs``."""
    import pandas as pd
    from nptdms import TdmsFile

    with TdmsFile.open(io.BytesIO(source.read())) as file:
        size = sum(len(channel) * 8 for group in file.groups() for channel in group.channels())
        if size > MAX_UNPACKED:
            raise Unreadable(f"its channels come to {size >> 20} MB; nptdms reads parts of them")
        frames = {}
        for group in file.groups():
            frames[group.name] = pd.DataFrame({channel.name: pd.Series(channel[:]) for channel in group.channels()})
            frames[group.name].attrs = {**file.properties, **group.properties}
    if not frames:
        raise Unreadable("it holds no groups")
    return frames


def load_pcap(source: Source) -> Any:
    """A DataFrame of the packets: time, length, source, destination, protocol, ports, payload (bytes)."""
    import dpkt
    import pandas as pd

    data = io.BytesIO(source.read())
    reader = dpkt.pcapng.Reader(data) if source.head.startswith(b"\x0a\x0d\x0d\x0a") else dpkt.pcap.Reader(data)
    rows = []
    try:
        for moment, packet in reader:
            rows.append({"time": float(moment), "length": len(packet), **_packet(packet, reader.datalink())})
            if len(rows) == _MAX_PACKETS:
                source.note(f"the first {_MAX_PACKETS:,} packets were read")
                break
    except (dpkt.Error, ValueError) as exc:
        if not rows:
            raise
        source.note(f"it is damaged after packet {len(rows)} ({type(exc).__name__}): what comes after is missing")
    if source.head[:4] != b"\x0a\x0d\x0d\x0a" and not _ends_with_packet(data.getvalue()):
        source.note("it ends within a packet: the file is cut off or damaged")
    frame = pd.DataFrame(
        rows, columns=["time", "length", "source", "destination", "protocol", "source_port", "destination_port", "payload"]
    )
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    return frame.astype({"source_port": "Int64", "destination_port": "Int64"})


def _ends_with_packet(data: bytes) -> bool:
    order, at = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">", 24
    while at + 16 <= len(data):
        at += 16 + int(struct.unpack_from(f"{order}I", data, at + 8)[0])
    return at == len(data)


def _packet(packet: bytes, link: int) -> dict[str, Any]:
    import dpkt

    try:
        inner = dpkt.ethernet.Ethernet(packet).data if link == dpkt.pcap.DLT_EN10MB else dpkt.ip.IP(packet)
    except (dpkt.Error, ValueError, IndexError, AttributeError):
        return {"protocol": "?", "payload": packet}
    family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(getattr(inner, "src", b"") or b""))
    if family is None or isinstance(inner, dpkt.arp.ARP):
        return {"protocol": type(inner).__name__, "payload": packet}
    above = inner.data
    return {
        "source": socket.inet_ntop(family, inner.src),
        "destination": socket.inet_ntop(family, inner.dst),
        "protocol": type(above).__name__ if not isinstance(above, bytes) else type(inner).__name__,
        "source_port": getattr(above, "sport", None),
        "destination_port": getattr(above, "dport", None),
        "payload": bytes(getattr(above, "data", b"") or b"") if not isinstance(above, bytes) else above,
    }


def load_dxf(source: Source) -> Any:
    """A GeoDataFrame of the entities: layer, type, text, geometry."""
    from .geospatial import load_vector

    text = source.read().rstrip()
    if not source.head.startswith(b"AutoCAD Binary") and not text.endswith(b"EOF"):
        raise Unreadable("it has no EOF at its end: the file is cut off")
    frame = load_vector(source)
    if frame.empty:
        source.note("it holds no entities that can be read")
    return frame


def load_touchstone(source: Source) -> Any:
    """A DataFrame by frequency in Hz of the complex parameters (``S11`` …); the reference resistance is in ``.attrs``."""
    import pandas as pd

    ports = int(found[1]) if (found := re.fullmatch(r"\.s(\d+)p", source.extension)) else 2
    lines = [line.split("!")[0].strip() for line in load_text(source).split("\n")]
    options = next((line[1:].upper().split() for line in lines if line.startswith("#")), [])
    unit = next((_UNITS[word] for word in options if word in _UNITS), 1e9)
    form = next((word for word in options if word in ("RI", "MA", "DB")), "MA")
    parameter = next((word for word in options if word in ("S", "Y", "Z", "H", "G")), "S")
    try:
        numbers = [float(word) for line in lines if line and line[0] not in "#[" for word in line.split()]
    except ValueError as exc:
        raise Unreadable(f"it has something else than numbers ({exc})") from exc
    width = 1 + 2 * ports * ports
    if not numbers or len(numbers) % width:
        raise Unreadable(f"it has {len(numbers)} numbers, which are no rows of {width}")
    names = [f"{parameter}{row}{column}" for row in range(1, ports + 1) for column in range(1, ports + 1)]
    if ports == 2:
        names = [f"{parameter}{pair}" for pair in ("11", "21", "12", "22")]
    rows = [numbers[at : at + width] for at in range(0, len(numbers), width)]
    values = [[_complex(row[1 + 2 * index], row[2 + 2 * index], form) for index in range(len(names))] for row in rows]
    frame = pd.DataFrame(values, columns=names, index=pd.Index([row[0] * unit for row in rows], name="Hz"))
    frame.attrs = {"resistance": float(options[options.index("R") + 1]) if "R" in options[:-1] else 50.0}
    return frame


def _complex(first: float, second: float, form: str) -> complex:
    if form == "RI":
        return complex(first, second)
    size = 10 ** (first / 20) if form == "DB" else first
    return complex(size * math.cos(math.radians(second)), size * math.sin(math.radians(second)))


def load_intel_hex(source: Source) -> dict[int, bytes]:
    """The bytes of each run of addresses, by its first address."""
    blocks: dict[int, bytearray] = {}
    base, last, ended = 0, -1, False
    for number, line in enumerate(load_text(source).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = bytes.fromhex(line.strip().removeprefix(":"))
        except ValueError as exc:
            raise Unreadable(f"line {number} is no record") from exc
        if not line.startswith(":") or len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
            raise Unreadable(f"line {number} is damaged: its length or checksum is wrong")
        kind, data, address = record[3], record[4:-1], base + int.from_bytes(record[1:3], "big")
        if kind == 0:
            start = (
                next((first for first, block in blocks.items() if first + len(block) == address), None)
                if address == last
                else None
            )
            blocks.setdefault(address if start is None else start, bytearray()).extend(data)
            last = address + len(data)
        elif kind in (2, 4):
            base = int.from_bytes(data, "big") << (4 if kind == 2 else 16)
        ended = ended or kind == 1
    if not ended:
        raise Unreadable("it has no end record: the file is cut off")
    return {address: bytes(block) for address, block in blocks.items()}
