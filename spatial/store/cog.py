"""Result rasters as COGs (云优化 GeoTIFF): encoded tiles are copied into one file; nothing is decoded or encoded again.

GDAL's COG driver would decode and encode every tile a second time, in one process, and make the overviews at three times
the cost of `spatial.store.tile_pyramid`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from spatial.store.tile_pyramid import LEADER, TILE, ZSTD_LEVEL, Level, TilePyramid, levels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["assemble", "creation_options"]

_PIECE = 8 * 1024 * 1024
"""Bytes copied at once, about."""


def creation_options() -> dict[str, Any]:
    """Form of the tiles as GDAL names it; `BlockEncoder` makes tiles of this form."""
    return {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "sparse_ok": True,  # a cell that nobody writes reads as nodata
        "bigtiff": "YES",
        "compress": "ZSTD",
        "zstd_level": ZSTD_LEVEL,
        "predictor": 2,
        "photometric": "MINISBLACK",  # four bands of classes are no picture with transparency
    }


# -- the file itself: TIFF 6.0, BigTIFF --------------------------------------------------------------------------------

_SUBFILE, _WIDTH, _LENGTH, _OFFSETS, _COUNTS = 254, 256, 257, 324, 325
_PLANES = 284


_OF_OVERVIEWS = {
    254, 256, 257, 258, 259, 262, 277, 284, 317, 322, 323, 324, 325, 338, 339, 42113,
}  # fmt: skip
"""Tags that an overview has: its form, and nodata. Georeference and names stand in the first directory only."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type."""
_LONG, _LONG8 = 4, 16


@dataclass(frozen=True, slots=True)
class _Entry:
    type: int
    count: int
    data: bytes


def _read(path: Path) -> dict[int, _Entry]:
    """Entries of the first directory of a BigTIFF."""
    with path.open("rb") as file:
        order, version, width, _, first = struct.unpack("<2sHHHQ", file.read(16))
        if (order, version, width) != (b"II", 43, 8):
            raise ValueError(f"{path.name} is not a little-endian BigTIFF")
        file.seek(first)
        (count,) = struct.unpack("<Q", file.read(8))
        raw = file.read(20 * count)
        entries = {}
        for k in range(count):
            tag, kind, number, value = struct.unpack("<HHQ8s", raw[20 * k : 20 * k + 20])
            size = _SIZES[kind] * number
            if size > 8:
                file.seek(struct.unpack("<Q", value)[0])
                value = file.read(size)
            entries[tag] = _Entry(kind, number, value[:size])
    return entries


def _entry(kind: int, values: NDArray[Any]) -> _Entry:
    data = values.astype("<u8" if kind == _LONG8 else "<u4").tobytes()
    return _Entry(kind, values.size, data)


def _size(entries: dict[int, _Entry]) -> int:
    """Bytes of a directory with the values that do not fit into it."""
    return 16 + sum(20 + (len(e.data) + 7 & ~7 if len(e.data) > 8 else 0) for e in entries.values())


def _directory(entries: dict[int, _Entry], at: int, following: int) -> bytes:
    """A directory that stands at `at`; its long values follow it."""
    table, long = b"", b""
    start = at + 16 + 20 * len(entries)
    for tag, entry in sorted(entries.items()):
        value = entry.data
        if len(value) > 8:
            value = struct.pack("<Q", start + len(long))
            long += entry.data + bytes(-len(entry.data) % 8)
        table += struct.pack("<HHQ8s", tag, entry.type, entry.count, value.ljust(8, b"\0"))
    return struct.pack("<Q", len(entries)) + table + struct.pack("<Q", following) + long


def _mark(entries: dict[int, _Entry]) -> bytes:
    """What GDAL expects behind the header of a COG; a writer that edits the file puts YES over NO and the space."""
    apart = entries[_PLANES].data[0] == 2
    layout = (
        b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
        b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
        + (b"INTERLEAVE=BAND\n" if apart else b"")
        + b"KNOWN_INCOMPATIBLE_EDITION=NO\n "
    )
    whole = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(layout) + layout
    return whole + bytes(-len(whole) % 8)


def assemble(target: Path, pyramid: TilePyramid, empty: Path) -> None:
    """Put the tiles of a closed pyramid into one COG; no tile is decoded.

    Order in the file: directories from the raster to the smallest overview, then tiles from the smallest overview to the
    raster, each row by row and band by band.

    Parameters
    ----------
    empty : Path
        A raster of the same size without tiles, created with `creation_options`: its tags become those of the file.

    Source: TIFF 6.0 (1992), BigTIFF design; OGC 21-026 Cloud Optimized GeoTIFF 1.0.
    """
    tags = _read(empty)
    made: list[dict[int, _Entry]] = []
    for number, ((rows, cols), level) in enumerate(zip(levels_of(*pyramid.encoder.shape), pyramid.levels, strict=True)):
        entries = dict(tags)
        if number:
            entries = {tag: entry for tag, entry in entries.items() if tag in _OF_OVERVIEWS}
            entries[_SUBFILE] = _Entry(_LONG, 1, struct.pack("<I", 1))
            entries[_WIDTH], entries[_LENGTH] = (_Entry(_LONG, 1, struct.pack("<I", size)) for size in (cols, rows))
        entries[_OFFSETS] = _entry(_LONG8, level.offsets)  # of the right length; the numbers come below
        entries[_COUNTS] = _entry(_LONG, level.counts)
        made.append(entries)
    mark = _mark(made[0])
    first = 16 + len(mark)
    places = list(np.cumsum([first, *map(_size, made)]))
    end = int(places[-1])
    for entries, level in reversed(list(zip(made, pyramid.levels, strict=True))):
        counts = level.counts.ravel()
        held = np.where(counts > 0, counts + np.uint64(2 * LEADER.size), np.uint64(0))
        ends = np.cumsum(held, dtype=np.uint64) + np.uint64(end)
        begins = np.where(counts > 0, ends - counts - np.uint64(LEADER.size), np.uint64(0))
        entries[_OFFSETS] = _entry(_LONG8, begins)
        end = int(ends[-1])
    with target.open("wb") as out:
        out.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) + mark)
        for number, entries in enumerate(made):
            following = int(places[number + 1]) if number + 1 < len(made) else 0
            out.write(_directory(entries, int(places[number]), following))
        with pyramid.path.open("rb") as tiles:
            for level in reversed(pyramid.levels):
                _copy_tiles(level, tiles, out)


def _copy_tiles(level: Level, tiles: BinaryIO, out: BinaryIO) -> None:
    """Copy tiles with their leaders; those that lie side by side in both files go at once."""
    start = stop = 0
    for offset, count in zip(level.offsets.ravel().tolist(), level.counts.ravel().tolist(), strict=True):
        if not count:
            continue
        if offset - LEADER.size != stop or stop - start > _PIECE:
            _copy(tiles, out, start, stop)
            start = offset - LEADER.size
        stop = offset + count + LEADER.size
    _copy(tiles, out, start, stop)


def _copy(source: BinaryIO, out: BinaryIO, start: int, stop: int) -> None:
    if stop > start:
        source.seek(start)
        out.write(source.read(stop - start))
