"""Tile matrix sets of our own (自定义瓦片矩阵集): CGCS2000 3° Gauss–Krüger, at the scales of the national map series.

Each is a file below ``tiles/tms`` and serves map tiles only: the vector tables hold longitude, latitude and Web Mercator, so
a vector tile in a Gauss–Krüger zone would have to transform every geometry at every request. Maps do that, and their tiles
are maps.

The origin of a set stands in the axis order of its CRS: northing, easting. Its axes are called N and E: EPSG calls them X and
Y, which clients such as OpenLayers and morecantile take for easting and northing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from spatial.crs import STORAGE, ServedCRS, parse_crs
from spatial.errors import TileOutOfRange
from spatial.grid import TILE_MATRIX_SETS, no_matrix_set, tile_bounds, tile_matrix_set
from tiles.maps.grid import Extent, MapGrid, project_extent

if TYPE_CHECKING:
    from morecantile import TileMatrixSet

__all__ = ["CUSTOM_SETS", "custom_limits", "custom_set", "matrix_set", "set_crs", "tile_grid"]

CUSTOM_SETS: dict[str, str] = {f"CGCS2000_3GK_CM{105 + 3 * n}": f"EPSG:{4544 + n}" for n in range(1, 5)}
"""Id of a set → its CRS: central meridians 108°, 111°, 114° and 117° E."""
_TILE = 256


@lru_cache(maxsize=8)
def custom_set(name: str) -> TileMatrixSet:
    """A tile matrix set of our own, by id.

    Examples
    --------
    >>> custom_set("CGCS2000_3GK_CM114").tileMatrices[3].scaleDenominator
    1000000.0
    """
    import morecantile

    text = (files("tiles") / "tms" / f"{name}.json").read_text("utf-8")
    return morecantile.TileMatrixSet.model_validate_json(text)


def matrix_set(name: str) -> TileMatrixSet:
    """A tile matrix set of the service or of our own; `TileOutOfRange` names those that there are."""
    if name in CUSTOM_SETS:
        return custom_set(name)
    if name not in TILE_MATRIX_SETS:
        raise no_matrix_set(name, (*TILE_MATRIX_SETS, *CUSTOM_SETS))
    return tile_matrix_set(name)


def set_crs(name: str) -> ServedCRS:
    """CRS of a tile matrix set; WorldCRS84Quad is CRS84."""
    if name in CUSTOM_SETS:
        return parse_crs(CUSTOM_SETS[name])
    srid = TILE_MATRIX_SETS[name]
    return parse_crs("CRS84" if srid == 4326 else f"EPSG:{srid}")


def tile_grid(name: str, z: str, x: str, y: str) -> MapGrid:
    """Pixels of the tile of an address.

    Raises
    ------
    TileOutOfRange
        No such set, not a number, or outside the matrix; the message gives the limits.

    Examples
    --------
    >>> tile_grid("CGCS2000_3GK_CM114", "3", "14", "4").extent
    (503520.0, 3641600.0, 575200.0, 3713280.0)
    """
    matrices = matrix_set(name).tileMatrices
    numbers = {"z": z, "x": x, "y": y}
    bad = next((n for n, text in numbers.items() if not (text.isascii() and text.isdigit() and len(text) < 10)), None)
    if bad is None:
        level, column, row = int(z), int(x), int(y)
        beyond = f"z 0–{len(matrices) - 1}"
        bad = "z"
        if level < len(matrices):
            matrix = matrices[level]
            beyond = f"x 0–{matrix.matrixWidth - 1}, y 0–{matrix.matrixHeight - 1}"
            if column < matrix.matrixWidth and row < matrix.matrixHeight:
                return MapGrid(set_crs(name), _bounds(name, level, column, row), _TILE, _TILE)
            bad = "x" if column >= matrix.matrixWidth else "y"
    else:
        beyond = "0–"
    address = "/".join(text[:20] for text in (z, x, y))
    raise TileOutOfRange(
        f"瓦片 {name}/{address} 越界（{beyond}）", f"tile {name}/{address} is out of range ({beyond})", parameter=bad
    )


def _bounds(name: str, z: int, x: int, y: int) -> Extent:
    if name not in CUSTOM_SETS:
        return tile_bounds(name, z, x, y)
    matrix = custom_set(name).tileMatrices[z]
    top, left = matrix.pointOfOrigin
    side = float(matrix.cellSize) * _TILE
    return (
        round(left + x * side, 6),
        round(top - (y + 1) * side, 6),
        round(left + (x + 1) * side, 6),
        round(top - y * side, 6),
    )


def custom_limits(name: str, z: int, extent: Extent) -> tuple[int, int, int, int]:
    """First and last column, first and last row of a set of our own that an extent in degrees touches."""
    found = project_extent(extent, STORAGE, set_crs(name))
    assert found is not None, "Hubei lies in every zone"
    matrix: Any = custom_set(name).tileMatrices[z]
    top, left = matrix.pointOfOrigin
    side = float(matrix.cellSize) * _TILE

    def clamp(value: float, count: int) -> int:
        return max(0, min(count - 1, math.floor(value)))

    return (
        clamp((found[0] - left) / side, matrix.matrixWidth),
        clamp((found[2] - left) / side, matrix.matrixWidth),
        clamp((top - found[3]) / side, matrix.matrixHeight),
        clamp((top - found[1]) / side, matrix.matrixHeight),
    )
