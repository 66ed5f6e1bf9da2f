"""The tiles of a result raster (瓦片金字塔): cut, halved for the overviews and encoded where their cells were computed.

A run cuts its blocks into tiles, halves them for the overviews, and encodes both, in the thread or on the worker that
computed the block (`BlockEncoder`). The parent appends the encoded tiles to one file (`TilePyramid`); only tiles that lie
in several blocks are put together there. `spatial.store.cog` makes a file of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEADER", "TILE", "ZSTD_LEVEL", "BlockEncoder", "EncodedBlock", "Level", "TilePyramid", "halve", "levels_of"]

TILE = 256
"""Side of a tile. Small: a live tile reads few cells of many bands."""
ZSTD_LEVEL = 1
_BUFFER = 4 * 1024 * 1024
LEADER = struct.Struct("<I")
"""Before a tile its size, after it its last four bytes again, as GDAL's mark of a COG's layout says."""


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
            best = values[2 * r, 2 * c]
            if 2 * r + 1 < rows and 2 * c + 1 < cols:
                other = values[2 * r, 2 * c + 1]
                if best == other and best == values[2 * r + 1, 2 * c] and best == values[2 * r + 1, 2 * c + 1]:
                    out[r, c] = best  # as nearly everywhere in a map of classes
                    continue
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
    """Values at half the size.

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


def levels_of(rows: int, cols: int) -> list[tuple[int, int]]:
    """Rows and columns of a raster and of its overviews, halved until a tile holds it.

    >>> levels_of(300, 700)
    [(300, 700), (150, 350), (75, 175)]
    """
    found = [(rows, cols)]
    while max(found[-1]) > TILE:
        found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
    return found


def _differences(values: Any, bits: Any, nodata: Any, pad: Any, out: Any, filled: Any) -> None:
    """Each cell less the one before it in its row, tile by tile, as unsigned integers that wrap."""
    rows, cols = values.shape
    size = out.shape[1]
    across = (cols + size - 1) // size
    for tile in range(out.shape[0]):
        top = tile // across * size
        left = tile % across * size
        found = False
        for r in range(size):
            before = bits.dtype.type(0)
            for c in range(size):
                now = pad
                if top + r < rows and left + c < cols:
                    now = bits[top + r, left + c]
                    value = values[top + r, left + c]
                    found = found or (value == value and value != nodata)
                out[tile, r, c] = now - before
                before = now
        filled[tile] = found


Emit = Callable[[int, int, int, bytes], None]
"""Takes an encoded tile: level, row and column of the tile, bytes (none = all nodata)."""
Rest = Callable[[int, int, int, "NDArray[Any]"], None]
"""Takes cells of a tile that the block does not fill: level, first row and column, values."""


@dataclass(frozen=True)
class EncodedBlock:
    """A block as encoded tiles of the raster and its overviews, and the cells of tiles that lie in other blocks too."""

    tiles: tuple[tuple[int, int, int, bytes], ...]
    rest: tuple[tuple[int, int, int, NDArray[Any]], ...]


@dataclass(frozen=True)
class BlockEncoder:
    """Turns a block of one band into encoded tiles; can be pickled.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the raster.
    dtype : str
    nodata : float
        NaN in a block becomes nodata.
    classes : bool
        Overviews hold the most frequent class, else one of the cells.
    """

    shape: tuple[int, int]
    dtype: str
    nodata: float
    classes: bool

    def __call__(self, row: int, col: int, values: NDArray[Any]) -> EncodedBlock:
        """Encode the block whose first cell is (row, col).

        Raises
        ------
        ValueError
            If it does not lie on the raster.
        """
        height, width = values.shape
        rows, cols = self.shape
        if row < 0 or col < 0 or row + height > rows or col + width > cols:
            raise ValueError(f"block ({row}, {col}) {height}×{width} lies outside the grid {rows}×{cols}")
        if values.dtype.kind == "f" and not np.isnan(self.nodata):
            values = np.where(np.isnan(values), self.nodata, values)
        values = values.astype(self.dtype, copy=False)
        tiles: list[tuple[int, int, int, bytes]] = []
        rest: list[tuple[int, int, int, NDArray[Any]]] = []
        self.cut(
            0,
            row,
            col,
            values,
            lambda level, down, right, data: tiles.append((level, down, right, data)),
            lambda level, top, left, part: rest.append((level, top, left, part)),
        )
        return EncodedBlock(tuple(tiles), tuple(rest))

    def cut(self, level: int, row: int, col: int, values: NDArray[Any], emit: Emit, rest: Rest) -> None:
        """Give the whole tiles of a block to `emit`, with those of the overviews that they fill, all else to `rest`."""
        rows, cols = levels_of(*self.shape)[level]
        height, width = values.shape
        top, bottom = _whole_tiles(row, height, rows)
        left, right = _whole_tiles(col, width, cols)
        if top >= bottom or left >= right:
            for piece in _parts(row, col, values):
                rest(level, *piece)
            return
        inner = np.ascontiguousarray(values[top - row : bottom - row, left - col : right - col])
        across = -(-inner.shape[1] // TILE)
        for number, data in enumerate(self.encode(inner)):
            emit(level, top // TILE + number // across, left // TILE + number % across, data)
        frame = (
            (row, col, top - row, width),
            (bottom, col, row + height - bottom, width),
            (top, col, bottom - top, left - col),
            (top, right, bottom - top, col + width - right),
        )
        for first, start, high, wide in frame:
            if high > 0 and wide > 0:
                side = values[first - row : first - row + high, start - col : start - col + wide]
                for piece in _parts(first, start, side):
                    rest(level, *piece)
        if max(rows, cols) > TILE:
            self.cut(level + 1, top // 2, left // 2, halve(inner, self.nodata, classes=self.classes), emit, rest)

    def encode(self, values: NDArray[Any]) -> list[bytes]:
        """Tiles row by row as they stand in the file: horizontal differences (predictor 2), ZSTD; none where all is nodata.

        All tiles at once: threads that meet at the interpreter's lock for each tile would wait for one another.

        Source: TIFF 6.0 (1992), section 14; RFC 8878.
        """
        import zstandard

        tiles = -(-values.shape[0] // TILE) * -(-values.shape[1] // TILE)
        bits = values.view(f"u{values.dtype.itemsize}")
        nodata = values.dtype.type(self.nodata)
        differences = np.empty((tiles, TILE, TILE), dtype=bits.dtype)
        filled = np.empty(tiles, dtype=np.bool_)
        compiled(_differences)(values, bits, nodata, nodata.view(bits.dtype), differences, filled)
        found = [b""] * tiles
        numbers = np.flatnonzero(filled).tolist()
        if numbers:
            made = zstandard.ZstdCompressor(level=ZSTD_LEVEL).multi_compress_to_buffer(
                [differences[number].data for number in numbers]
            )
            for k, number in enumerate(numbers):
                found[number] = made[k].tobytes()
        return found


def _whole_tiles(first: int, size: int, end: int) -> tuple[int, int]:
    """From and to where a block fills whole tiles of an axis; the last tile of the axis may be short."""
    start = -(-first // TILE) * TILE
    stop = first + size
    return start, stop if stop == end else stop // TILE * TILE


def _parts(row: int, col: int, values: NDArray[Any]) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """A block cut at the borders of tiles."""
    height, width = values.shape
    for top in (row, *range((row // TILE + 1) * TILE, row + height, TILE)):
        low = min((top // TILE + 1) * TILE, row + height)
        for left in (col, *range((col // TILE + 1) * TILE, col + width, TILE)):
            far = min((left // TILE + 1) * TILE, col + width)
            yield top, left, np.array(values[top - row : low - row, left - col : far - col])


@dataclass
class _Open:
    """A tile that is not filled yet."""

    values: NDArray[Any]
    missing: int


@dataclass
class Level:
    """Where the tiles of one level lie in the file, by band, tile row and tile column; 0 = no tile."""

    offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    opened: dict[tuple[int, int, int], _Open] = field(default_factory=dict)


class TilePyramid:
    """The encoded tiles of a raster and its overviews in one file, in the order in which they come.

    Every cell is put once. Not for several threads at once.
    """

    def __init__(self, path: Path, encoder: BlockEncoder, bands: int) -> None:
        self.path = path
        self.encoder = encoder
        self._file = path.open("wb", buffering=_BUFFER)
        self._end = 0
        self.levels = []
        for rows, cols in levels_of(*encoder.shape):
            size = (bands, -(-rows // TILE), -(-cols // TILE))
            self.levels.append(Level(np.zeros(size, np.uint64), np.zeros(size, np.uint64)))

    def put(self, block: EncodedBlock, band: int) -> None:
        """Take a block of a band (from 1)."""
        for level, down, right, data in block.tiles:
            self._append(band, level, down, right, data)
        for part in block.rest:
            self._keep(band, *part)

    def _append(self, band: int, level: int, down: int, right: int, data: bytes) -> None:
        if not data:
            return
        place = self.levels[level]
        if place.counts[band - 1, down, right]:
            raise ValueError(f"tile ({down}, {right}) of level {level}, band {band} was put twice")
        self._file.write(LEADER.pack(len(data)) + data + data[-4:].rjust(4, b"\0"))
        place.offsets[band - 1, down, right] = self._end + LEADER.size
        place.counts[band - 1, down, right] = len(data)
        self._end += len(data) + 2 * LEADER.size

    def _keep(self, band: int, level: int, row: int, col: int, values: NDArray[Any]) -> None:
        """Cells of one tile that come one after the other."""
        rows, cols = levels_of(*self.encoder.shape)[level]
        key = band, row // TILE, col // TILE
        top, left = key[1] * TILE, key[2] * TILE
        place = self.levels[level].opened.get(key)
        if place is None:
            shape = min(TILE, rows - top), min(TILE, cols - left)
            whole = np.full(shape, self.encoder.nodata, dtype=self.encoder.dtype)
            place = self.levels[level].opened[key] = _Open(whole, whole.size)
        place.values[row - top : row - top + values.shape[0], col - left : col - left + values.shape[1]] = values
        place.missing -= values.size
        if place.missing <= 0:
            self._fill(band, level, key)

    def _fill(self, band: int, level: int, key: tuple[int, int, int]) -> None:
        """A tile is complete: encode it, and pass its cells on to the next overview."""
        values = self.levels[level].opened.pop(key).values
        self.encoder.cut(
            level,
            key[1] * TILE,
            key[2] * TILE,
            values,
            lambda *tile: self._append(band, *tile),
            lambda *part: self._keep(band, *part),
        )

    def close(self) -> None:
        """Complete the tiles that nobody filled (the rest is nodata) and close the file."""
        for number, level in enumerate(self.levels):
            while level.opened:
                key = next(iter(level.opened))
                self._fill(key[0], number, key)
        self._file.close()
