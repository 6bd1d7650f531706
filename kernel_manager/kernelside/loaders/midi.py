"""MIDI files, as notes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from .source import Source, Unreadable

_DEFAULT_TEMPO = 500_000
_MAX_EVENTS = 5_000_000


def load_midi(source: Source) -> Any:
    """A DataFrame of the notes: track, channel, note, velocity, start and end in beats; tempo in ``.attrs``."""
    import pandas as pd

    data = source.read()
    if data[:4] != b"MThd" or len(data) < 14:
        raise Unreadable("it is no MIDI file")
    size, form, count, division = struct.unpack(">IHHH", data[4:14])
    if division & 0x8000 or division == 0:
        raise Unreadable("its time is counted in frames of film, which is not supported")
    notes: list[dict[str, Any]] = []
    tempos: list[float] = []
    for track, body in enumerate(_tracks(data, 8 + size, count)):
        notes.extend(_notes(track, body, division, tempos))
    frame = pd.DataFrame(notes, columns=["track", "channel", "note", "velocity", "start", "end"])
    frame.attrs = {"format": form, "beats_per_minute": tempos or [60e6 / _DEFAULT_TEMPO]}
    return frame.sort_values(["start", "track"], kind="stable", ignore_index=True)


def _tracks(data: bytes, at: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        if data[at : at + 4] != b"MTrk" or at + 8 > len(data):
            raise Unreadable("a track of it is missing")
        (size,) = struct.unpack(">I", data[at + 4 : at + 8])
        if at + 8 + size > len(data):
            raise Unreadable("it ends within a track")
        yield data[at + 8 : at + 8 + size]
        at += 8 + size


def _notes(track: int, body: bytes, division: int, tempos: list[float]) -> Iterator[dict[str, Any]]:
    sounding: dict[tuple[int, int], tuple[float, int]] = {}
    for ticks, status, data in _events(body):
        beat = ticks / division
        if status == 0xFF51 and len(data) == 3:
            tempos.append(round(60e6 / max(1, int.from_bytes(data, "big")), 3))
        if status & 0xE0 != 0x80 or status > 0xFF:
            continue
        key = (status & 0x0F, data[0])
        if key in sounding:
            start, velocity = sounding.pop(key)
            yield {"track": track, "channel": key[0], "note": key[1], "velocity": velocity, "start": start, "end": beat}
        if status & 0xF0 == 0x90 and data[1]:
            sounding[key] = (beat, data[1])


def _events(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    at, ticks, running = 0, 0, 0
    try:
        while at < len(body):
            delta, at = _varlen(body, at)
            ticks += delta
            if body[at] & 0x80:
                running, at = body[at], at + 1
            if running in (0xFF, 0xF0, 0xF7):
                kind = body[at] if running == 0xFF else 0
                size, at = _varlen(body, at + (running == 0xFF))
                yield ticks, running << 8 | kind, body[at : at + size]
            elif running >= 0x80:
                size = 1 if 0xC0 <= running < 0xE0 else 2
                if at + size > len(body):
                    raise IndexError
                yield ticks, running, body[at : at + size]
            else:
                raise Unreadable("an event in it has no kind")
            at += size
    except IndexError:
        raise Unreadable("it ends within an event") from None


def _varlen(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(4):
        value = value << 7 | body[at] & 0x7F
        at += 1
        if not body[at - 1] & 0x80:
            break
    return value, at
