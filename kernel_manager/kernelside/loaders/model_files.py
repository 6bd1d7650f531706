"""What model files say about themselves: ONNX and GGUF, read without their libraries and without their weights."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from .source import Source, Unreadable

_MAX_ITEMS = 1_000_000
_MAX_SHOWN = 1000


def load_onnx(source: Source) -> dict[str, Any]:
    """Version, producer, opsets, inputs, outputs, the number of nodes by operation, and metadata."""
    model = _fields(memoryview(source.read()))
    if 7 not in model or 1 not in model:
        raise Unreadable("it has no graph")
    graph = _fields(model[7][0])
    operations: dict[str, int] = {}
    for node in graph.get(1, []):
        kind = _text(_fields(node), 4)
        operations[kind] = operations.get(kind, 0) + 1
    return {
        "ir_version": model[1][0],
        "producer": f"{_text(model, 2)} {_text(model, 3)}".strip(),
        "opsets": {_text(opset, 1): opset.get(2, [0])[0] for opset in map(_fields, model.get(8, []))},
        "name": _text(graph, 2),
        "inputs": [_value_info(entry) for entry in graph.get(11, [])],
        "outputs": [_value_info(entry) for entry in graph.get(12, [])],
        "operations": operations,
        "initializers": [_text(_fields(entry), 8) for entry in graph.get(5, [])[:_MAX_SHOWN]],
        "metadata": {_text(entry, 1): _text(entry, 2) for entry in map(_fields, model.get(14, []))},
    }


def _value_info(data: memoryview) -> dict[str, Any]:
    info = _fields(data)
    tensor = _nested(info, 2, 1)
    shape = []
    for dimension in _nested(tensor, 2).get(1, []) if tensor else []:
        sizes = _fields(dimension)
        shape.append(sizes[1][0] if 1 in sizes else _text(sizes, 2) or None)
    return {"name": _text(info, 1), "element_type": tensor.get(1, [0])[0], "shape": shape}


def _nested(fields: dict[int, list[Any]], *path: int) -> dict[int, list[Any]]:
    for number in path:
        if number not in fields:
            return {}
        fields = _fields(fields[number][0])
    return fields


def _text(fields: dict[int, list[Any]], number: int) -> str:
    values = fields.get(number)
    return bytes(values[0]).decode("utf-8", "replace") if values and isinstance(values[0], memoryview) else ""


def _fields(data: memoryview) -> dict[int, list[Any]]:
    """The fields of a protobuf message: numbers, or views of what has a length."""
    if not isinstance(data, memoryview):
        raise Unreadable("it is no ONNX model")
    found: dict[int, list[Any]] = {}
    for number, value in _walk(data):
        found.setdefault(number, []).append(value)
    return found


def _walk(data: memoryview) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, number = key & 7, key >> 3
        if number == 0:
            raise Unreadable("it is no protobuf message")
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = (8, at) if kind == 1 else (4, at) if kind == 5 else _varint(data, at) if kind == 2 else (-1, at)
        if size < 0 or at + size > len(data):
            raise Unreadable("it ends too early, or is no protobuf message")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Unreadable("it ends too early")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Unreadable("it is no protobuf message")


def load_gguf(source: Source) -> dict[str, Any]:
    """Version, metadata (long lists shortened) and the tensors with their shapes."""
    reader = _Gguf(source.read())
    if reader.take(4) != b"GGUF":
        raise Unreadable("it does not begin as GGUF does")
    version = reader.number("I")
    tensors, pairs = reader.number("Q"), reader.number("Q")
    if max(tensors, pairs) > _MAX_ITEMS:
        raise Unreadable("it promises an absurd number of entries")
    metadata = {reader.text(): reader.value(reader.number("I")) for _ in range(pairs)}
    listed = []
    for _ in range(tensors):
        name, sides = reader.text(), reader.number("I")
        if sides > 8:
            raise Unreadable("a tensor has an absurd number of dimensions")
        shape = [reader.number("Q") for _ in range(sides)]
        listed.append({"name": name, "shape": shape, "type": reader.number("I")})
        reader.number("Q")
    return {"version": version, "metadata": metadata, "tensors": listed}


class _Gguf:
    _KINDS = ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d")

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise Unreadable("it ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == 8:
            return self.text()
        if kind == 9:
            return self._array(depth)
        if not 0 <= kind < len(self._KINDS):
            raise Unreadable(f"it has a value of the unknown type {kind}")
        return self.number(self._KINDS[kind])

    def _array(self, depth: int) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if depth > 4 or count > len(self._data):
            raise Unreadable("a list in it is longer than the file")
        values = [self.value(kind, depth + 1) for _ in range(count)]
        return values if count <= _MAX_SHOWN else [*values[:_MAX_SHOWN], f"… {count - _MAX_SHOWN} more"]
