"""Reader of Mapbox vector tiles (矢量瓦片解码), just enough to draw them: attributes and integer geometries.

Source: Mapbox Vector Tile Specification 2.1; Protocol Buffers wire format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TileFeature", "read_features"]

POINT, LINE, POLYGON = 1, 2, 3
_MOVE, _LINE = 1, 2


@dataclass(frozen=True, slots=True)
class TileFeature:
    """One feature: kind (1 point, 2 line, 3 polygon), attributes, and parts in tile units, each of shape (n, 2)."""

    kind: int
    properties: dict[str, Any]
    parts: list[NDArray[np.int64]]
    extent: int


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a message: int for varints, memoryview for the rest."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        else:
            size = 8 if wire == 1 else 4
        yield number, data[at : at + size]
        at += size


def _packed(data: memoryview) -> NDArray[np.int64]:
    """Packed unsigned varints.

    >>> _packed(memoryview(bytes([0x09, 0xAC, 0x02, 0x00]))).tolist()
    [9, 300, 0]
    """
    raw = np.frombuffer(data, np.uint8)
    last = np.flatnonzero(raw < 0x80)
    if len(last) == 0:
        return np.zeros(0, np.int64)
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(raw)) - np.repeat(first, last - first + 1)
    return np.add.reduceat((raw & 0x7F).astype(np.int64) << (7 * place), first)


def _parts(numbers: NDArray[np.int64], kind: int) -> list[NDArray[np.int64]]:
    """Parts of a geometry: points as one part, each line, each ring (exterior clockwise on the screen).

    >>> [p.tolist() for p in _parts(np.array([9, 50, 34]), POINT)]
    [[[25, 17]]]
    """
    parts: list[NDArray[np.int64]] = []
    cursor = np.zeros(2, np.int64)
    at = 0
    while at < len(numbers):
        command, count = int(numbers[at]) & 7, int(numbers[at]) >> 3
        at += 1
        if command not in (_MOVE, _LINE):
            continue
        raw = numbers[at : at + 2 * count]
        at += 2 * count
        steps = ((raw >> 1) ^ -(raw & 1)).reshape(-1, 2)
        points = cursor + np.cumsum(steps, axis=0)
        if command == _MOVE:
            parts.append(points)
        else:
            parts[-1] = np.concatenate([parts[-1], points])
        if len(points):
            cursor = points[-1]
    return parts if kind != POINT else [np.concatenate(parts)] if parts else []


def _value(data: memoryview) -> Any:
    for number, value in _fields(data):
        if number == 1:
            return bytes(value).decode("utf-8")
        if number in (2, 3):
            return struct.unpack("<f" if number == 2 else "<d", value)[0]
        if number == 4:
            return value - (1 << 64) if value >= 1 << 63 else value
        if number == 5:
            return value
        if number == 6:
            return (value >> 1) ^ -(value & 1)
        if number == 7:
            return bool(value)
    return None


def read_features(tile: bytes) -> Iterator[TileFeature]:
    """Every feature of every layer of a tile, in order."""
    for number, layer in _fields(memoryview(tile)):
        if number != 3:
            continue
        keys: list[str] = []
        values: list[Any] = []
        features: list[memoryview] = []
        extent = 4096
        for part, value in _fields(layer):
            if part == 2:
                features.append(value)
            elif part == 3:
                keys.append(bytes(value).decode("utf-8"))
            elif part == 4:
                values.append(_value(value))
            elif part == 5:
                extent = value
        for feature in features:
            kind, tags, geometry = 0, np.zeros(0, np.int64), np.zeros(0, np.int64)
            for part, value in _fields(feature):
                if part == 2:
                    tags = _packed(value)
                elif part == 3:
                    kind = value
                elif part == 4:
                    geometry = _packed(value)
            properties = {keys[k]: values[v] for k, v in tags.reshape(-1, 2).tolist()}
            yield TileFeature(kind, properties, _parts(geometry, kind), extent)
