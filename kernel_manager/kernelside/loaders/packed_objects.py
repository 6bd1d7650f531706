"""Structured data in binary form: BSON, CBOR, MessagePack."""

from __future__ import annotations

import io
from typing import Any

from .source import Source, Unreadable

_MAX_DOCUMENTS = 5_000_000


def load_bson(source: Source) -> list[dict[str, Any]]:
    """The documents, one after the other, as of ``mongodump``."""
    import bson

    try:
        return list(bson.decode_file_iter(io.BytesIO(source.read())))
    except bson.errors.BSONError as exc:
        raise Unreadable(f"it is not BSON: {exc}") from exc


def load_cbor(source: Source, **options: Any) -> Any:
    """The Python objects; of several values in sequence a list. Options are those of ``cbor2.CBORDecoder``."""
    import cbor2

    data = io.BytesIO(source.read())
    size, values = len(data.getvalue()), []
    while data.tell() < size:
        values.append(cbor2.load(data, **{"read_size": 1, **options}))
    return values[0] if len(values) == 1 else values


def load_messagepack(source: Source, **options: Any) -> Any:
    """The Python objects; of several values in sequence a list. Options are those of ``msgpack.Unpacker``."""
    import msgpack

    data = source.read()
    unpacker = msgpack.Unpacker(**{"strict_map_key": False, "timestamp": 3, "max_buffer_size": len(data), **options})
    unpacker.feed(data)
    values = list(unpacker)
    if unpacker.tell() != len(data):
        raise Unreadable(f"it is not MessagePack from byte {unpacker.tell()} on")
    return values[0] if len(values) == 1 else values
