"""Tile addresses (瓦片地址): parsing, the numbering of 天地图, and which tiles a layer touches.

天地图 (Tianditu) names two matrix sets: ``w`` is WebMercatorQuad with the same level numbers; ``c`` is the geographic
quad, whose matrix ids start at 1 with 2×1 tiles, so that its id is the level of CGCS2000Quad plus one.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from spatial.errors import TileOutOfRange
from spatial.grid import TILE_MATRIX_SETS, check_tile, no_matrix_set, tile_bounds, tile_matrix_set
from spatial.units import SEMI_MAJOR_M

__all__ = ["TIANDITU", "Address", "crs_uri", "geographic_bounds", "limits", "parse_address", "touches"]

TIANDITU: dict[str, tuple[str, int]] = {"w": ("WebMercatorQuad", 0), "c": ("CGCS2000Quad", 1)}
"""Name in 天地图's numbering → tile matrix set and what its matrix id is ahead of the level."""

_NUMBER = re.compile(r"^\d{1,10}$", re.ASCII)

Extent = tuple[float, float, float, float]


class Address(NamedTuple):
    """A tile that exists: set of the service, level, column, row."""

    tms: str
    z: int
    x: int
    y: int


def parse_address(tms: str, z: str, x: str, y: str) -> Address:
    """Tile address from texts; ``w`` and ``c`` are 天地图's numbering.

    Raises
    ------
    TileOutOfRange
        Unknown matrix set, not a number, or outside the matrix; the message gives the limits.

    Examples
    --------
    >>> parse_address("c", "1", "1", "0")
    Address(tms='CGCS2000Quad', z=0, x=1, y=0)
    """
    name, ahead = TIANDITU.get(tms, (tms, 0))
    if name not in TILE_MATRIX_SETS:
        raise no_matrix_set(name, (*TILE_MATRIX_SETS, *TIANDITU))
    numbers = {"z": z, "x": x, "y": y}
    bad = next((name for name, text in numbers.items() if not _NUMBER.match(text)), None)
    if bad is not None:
        raise TileOutOfRange(
            f"瓦片编号 {'/'.join(n[:20] for n in numbers.values())} 应为非负整数",
            f"tile numbers {'/'.join(n[:20] for n in numbers.values())} must be non-negative integers",
            parameter=bad,
            value=numbers[bad][:20],
        )
    if int(z) < ahead:
        raise TileOutOfRange(
            f"天地图 {tms} 编号的级别从 {ahead} 开始", f"levels of Tianditu {tms} start at {ahead}", parameter="z"
        )
    address = Address(name, int(z) - ahead, int(x), int(y))
    check_tile(*address)
    return address


def _degrees(x: float, y: float) -> tuple[float, float]:
    return math.degrees(x / SEMI_MAJOR_M), math.degrees(math.atan(math.sinh(y / SEMI_MAJOR_M)))


def geographic_bounds(address: Address) -> Extent:
    """West, south, east, north of a tile in degrees.

    Formula (Web Mercator): λ = x / R, φ = atan(sinh(y / R)), R = 6 378 137 m.
    Source: EPSG Guidance Note 7-2, method 1024.

    Examples
    --------
    >>> [round(v, 6) for v in geographic_bounds(Address("WebMercatorQuad", 1, 1, 0))]
    [0.0, 0.0, 180.0, 85.051129]
    """
    bounds = tile_bounds(*address)
    if TILE_MATRIX_SETS[address.tms] != 3857:
        return bounds
    return *_degrees(bounds[0], bounds[1]), *_degrees(bounds[2], bounds[3])


def touches(address: Address, extent: Extent, margin: float = 0.0) -> bool:
    """True if a tile, widened by a share of its own size, meets an extent (degrees)."""
    west, south, east, north = geographic_bounds(address)
    dx, dy = (east - west) * margin, (north - south) * margin
    return west - dx <= extent[2] and east + dx >= extent[0] and south - dy <= extent[3] and north + dy >= extent[1]


def limits(tms: str, z: int, extent: Extent) -> tuple[int, int, int, int]:
    """First and last column, first and last row (min_x, max_x, min_y, max_y) that an extent in degrees touches.

    Examples
    --------
    >>> limits("CGCS2000Quad", 4, (108.36, 29.03, 116.13, 33.28))
    (25, 26, 5, 5)
    """
    matrix = tile_matrix_set(tms).tileMatrices[z]
    left, _, _, top = tile_bounds(tms, z, 0, 0)
    width, height = matrix.cellSize * matrix.tileWidth, matrix.cellSize * matrix.tileHeight
    west, south, east, north = extent
    if TILE_MATRIX_SETS[tms] == 3857:
        limit = 85.0511287798
        lows = (math.radians(max(west, -180)), math.asinh(math.tan(math.radians(max(south, -limit)))))
        highs = (math.radians(min(east, 180)), math.asinh(math.tan(math.radians(min(north, limit)))))
        west, south, east, north = (v * SEMI_MAJOR_M for v in (*lows, *highs))

    def clamp(value: float, count: int) -> int:
        return max(0, min(count - 1, math.floor(value)))

    return (
        clamp((west - left) / width, matrix.matrixWidth),
        clamp((east - left) / width, matrix.matrixWidth),
        clamp((top - north) / height, matrix.matrixHeight),
        clamp((top - south) / height, matrix.matrixHeight),
    )


def crs_uri(tms: str) -> str:
    """OGC address of the CRS of a tile matrix set."""
    document: dict[str, Any] = tile_matrix_set(tms).model_dump(mode="json", include={"crs"})
    return str(document["crs"])
