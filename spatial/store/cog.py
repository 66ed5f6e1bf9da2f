"""Result rasters as COGs (云优化 GeoTIFF): each tile is encoded once, by the run itself, and then only copied.

A run writes its blocks into a compressed tiled GeoTIFF, and at half the size into another one. At the end the further
overviews are halved from that, and the tiles of all levels are put into one file in the order of a COG, byte by byte.
GDAL's COG driver would decode and encode everything again, and make its overviews at three times that cost.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TILE", "assemble", "creation_options", "finish_levels", "halve"]

TILE = 256
"""Side of a tile. Small: a live tile reads few cells of many bands."""
_STRIP = 1024
"""Rows halved at once; even, so that no cell depends on it."""


def creation_options() -> dict[str, Any]:
    """How the levels of a result raster are created: one file a level, tiles as they will stand in the COG."""
    return {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "sparse_ok": True,  # a cell that nobody writes reads as nodata
        "bigtiff": "YES",
        "compress": "ZSTD",
        "zstd_level": 1,
        "predictor": 2,
        "num_threads": 2,
        "photometric": "MINISBLACK",  # four bands of classes are no picture with transparency
    }


def _first(values: Any, out: Any) -> None:
    """The upper left of each 2 × 2 cells: an overview cell is a cell of the raster, never a mixture."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = values[2 * r, 2 * c]


def _most_frequent(values: Any, nodata: Any, out: Any) -> None:
    """The most frequent of each 2 × 2 cells, nodata last; of equals the one met first, row by row."""
    rows, cols = values.shape
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            best = nodata
            votes = 0
            for a in range(2 * r, min(2 * r + 2, rows)):
                for b in range(2 * c, min(2 * c + 2, cols)):
                    value = values[a, b]
                    if value == nodata:
                        continue
                    count = 0
                    for d in range(2 * r, min(2 * r + 2, rows)):
                        for e in range(2 * c, min(2 * c + 2, cols)):
                            count += values[d, e] == value
                    if count > votes:
                        votes = count
                        best = value
            out[r, c] = best


def halve(values: NDArray[Any], nodata: float, *, classes: bool) -> NDArray[Any]:
    """A strip at half the size.

    Examples
    --------
    >>> halve(np.array([[1, 2, 3], [2, 0, 3]], np.uint8), 0, classes=True).tolist()
    [[2, 3]]
    >>> halve(np.array([[1.0, 2.0, 3.0]], np.float32), np.nan, classes=False).tolist()
    [[1.0, 3.0]]
    """
    out = np.empty((-(-values.shape[0] // 2), -(-values.shape[1] // 2)), dtype=values.dtype)
    if classes:
        compiled(_most_frequent)(values, values.dtype.type(nodata), out)
    else:
        compiled(_first)(values, out)
    return out


def _level(source: Path, target: Path, *, classes: bool) -> None:
    """Write a raster at half the size."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(source) as below:
        rows, cols = -(-below.height // 2), -(-below.width // 2)
        profile = {"count": below.count, "dtype": below.dtypes[0], "nodata": below.nodata, "crs": below.crs}
        transform = below.transform @ below.transform.scale(2)
        with rasterio.open(
            target, "w", height=rows, width=cols, transform=transform, **profile, **creation_options()
        ) as out:
            for band in range(1, below.count + 1):
                for row in range(0, below.height, _STRIP):
                    height = min(_STRIP, below.height - row)
                    values = below.read(band, window=Window(0, row, below.width, height))
                    half = halve(values, below.nodata, classes=classes)
                    out.write(half, band, window=Window(0, row // 2, cols, half.shape[0]))


def finish_levels(base: Path, half: Path | None, *, classes: bool) -> list[Path]:
    """The overviews of a raster, halved until a tile holds it; the caller removes the files.

    Parameters
    ----------
    half : Path, optional
        The first overview, if it was written with the blocks.
    """
    import rasterio

    levels: list[Path] = []
    below = base
    while True:
        with rasterio.open(below) as dataset:
            if max(dataset.height, dataset.width) <= TILE:
                return levels
        path = base.with_name(f"{base.stem}.{len(levels) + 1}.tif")
        if half is not None and not levels:
            path = half
        else:
            _level(below, path, classes=classes)
        levels.append(path)
        below = path


# -- the file itself: TIFF 6.0, BigTIFF --------------------------------------------------------------------------------

_SUBFILE, _OFFSETS, _COUNTS = 254, 324, 325
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


@dataclass(frozen=True)
class _Directory:
    """The first directory of a BigTIFF, and where its tiles lie."""

    path: Path
    entries: dict[int, _Entry]
    offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]


def _read(path: Path) -> _Directory:
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
    types = {3: "<u2", _LONG: "<u4", _LONG8: "<u8"}
    offsets, counts = (
        np.frombuffer(entries[tag].data, types[entries[tag].type]).astype(np.uint64) for tag in (_OFFSETS, _COUNTS)
    )
    return _Directory(path, entries, offsets, counts)


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


def assemble(target: Path, base: Path, levels: Sequence[Path]) -> None:
    """Put a raster and its overviews into one COG; no tile is decoded.

    Order in the file: directories from the raster to the smallest overview, then tiles from the smallest overview to the
    raster, each row by row and band by band.

    Parameters
    ----------
    base, levels : Path
        Created with `creation_options`, each half the size of the one before.

    Source: TIFF 6.0 (1992), BigTIFF design; OGC 21-026 Cloud Optimized GeoTIFF 1.0.
    """
    found = [_read(path) for path in (base, *levels)]
    made: list[dict[int, _Entry]] = []
    for number, directory in enumerate(found):
        entries = dict(directory.entries)
        if number:
            entries = {tag: entry for tag, entry in entries.items() if tag in _OF_OVERVIEWS}
            entries[_SUBFILE] = _Entry(_LONG, 1, struct.pack("<I", 1))
        entries[_OFFSETS] = _entry(_LONG8, directory.offsets)  # of the right length; the numbers come below
        entries[_COUNTS] = _entry(_LONG, directory.counts)
        made.append(entries)
    mark = _mark(made[0])
    first = 16 + len(mark)
    places = list(np.cumsum([first, *map(_size, made)]))
    end = int(places[-1])
    for entries, directory in reversed(list(zip(made, found, strict=True))):
        # Before a tile its size, after it its last four bytes again, as GDAL's mark of the layout says.
        held = np.where(directory.counts > 0, directory.counts + np.uint64(8), np.uint64(0))
        ends = np.cumsum(held, dtype=np.uint64) + np.uint64(end)
        begins = np.where(directory.counts > 0, ends - directory.counts - np.uint64(4), np.uint64(0))
        entries[_OFFSETS] = _entry(_LONG8, begins)
        end = int(ends[-1])
    with target.open("wb") as out:
        out.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) + mark)
        for number, entries in enumerate(made):
            following = int(places[number + 1]) if number + 1 < len(made) else 0
            out.write(_directory(entries, int(places[number]), following))
        for directory in reversed(found):
            _copy_tiles(directory, out)


def _copy_tiles(directory: _Directory, out: BinaryIO) -> None:
    with directory.path.open("rb") as file:
        for offset, count in zip(directory.offsets.tolist(), directory.counts.tolist(), strict=True):
            if count:
                file.seek(offset)
                tile = file.read(count)
                out.write(struct.pack("<I", count) + tile + tile[-4:].rjust(4, b"\0"))
