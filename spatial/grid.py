"""Grids: the one `odc.geo.GeoBox` of a run, and the tile matrix sets (瓦片矩阵集) of the service."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from spatial.errors import GridMismatch, TileOutOfRange
from spatial.units import cell_row_areas

if TYPE_CHECKING:
    import numpy as np
    from morecantile import TileMatrixSet
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["TILE_MATRIX_SETS", "cell_areas", "check_tile", "require_same_grid", "tile_bounds", "tile_matrix_set"]

TILE_MATRIX_SETS: dict[str, int] = {"WebMercatorQuad": 3857, "WorldCRS84Quad": 4326, "CGCS2000Quad": 4490}
"""Tile matrix set id → integer SRID of its tiles (x first)."""


@lru_cache(maxsize=8)
def tile_matrix_set(name: str) -> TileMatrixSet:
    """Tile matrix set by id.

    Raises
    ------
    TileOutOfRange
        If the service has no set of this id (an address that does not exist: 404).
    """
    import morecantile

    if name not in TILE_MATRIX_SETS:
        raise no_matrix_set(name, TILE_MATRIX_SETS)
    if name == "CGCS2000Quad":
        text = (files("tiles") / "tms" / "CGCS2000Quad.json").read_text("utf-8")
        return morecantile.TileMatrixSet.model_validate_json(text)
    return morecantile.tms.get(name)


def no_matrix_set(name: str, known: Iterable[str]) -> TileOutOfRange:
    """The error for a tile matrix set that an address does not have; `known` are those that it has."""
    allowed = list(known)
    return TileOutOfRange(
        f"没有瓦片矩阵集 {name[:60]!r}，可用：{'、'.join(allowed)}",
        f"no tile matrix set {name[:60]!r}; use one of {', '.join(allowed)}",
        parameter="tms",
        allowed=allowed,
    )


def check_tile(tms: str, z: int, x: int, y: int) -> None:
    """Raise `TileOutOfRange` unless the tile lies inside its matrix.

    Examples
    --------
    >>> check_tile("CGCS2000Quad", 0, 1, 0)
    >>> check_tile("CGCS2000Quad", 0, 2, 0)
    Traceback (most recent call last):
    spatial.errors.TileOutOfRange: ...
    """
    matrices = tile_matrix_set(tms).tileMatrices
    if 0 <= z < len(matrices):
        matrix = matrices[z]
        if 0 <= x < matrix.matrixWidth and 0 <= y < matrix.matrixHeight:
            return
        limits = f"x 0–{matrix.matrixWidth - 1}, y 0–{matrix.matrixHeight - 1}"
        parameter = "y" if 0 <= x < matrix.matrixWidth else "x"
    else:
        limits, parameter = f"z 0–{len(matrices) - 1}", "z"
    raise TileOutOfRange(
        f"瓦片 {tms}/{z}/{x}/{y} 越界（{limits}）",
        f"tile {tms}/{z}/{x}/{y} is out of range ({limits})",
        parameter=parameter,
    )


@lru_cache(maxsize=4096)
def tile_bounds(tms: str, z: int, x: int, y: int) -> tuple[float, float, float, float]:
    """West, south, east, north of a tile in the SRID of its set, x first (degrees or metres).

    Examples
    --------
    >>> tile_bounds("CGCS2000Quad", 0, 1, 0)
    (0.0, -90.0, 180.0, 90.0)
    """
    matrix = tile_matrix_set(tms).tileMatrices[z]
    origin = matrix.pointOfOrigin
    left, top = (origin[1], origin[0]) if tms == "CGCS2000Quad" else (origin[0], origin[1])
    width, height = matrix.cellSize * matrix.tileWidth, matrix.cellSize * matrix.tileHeight
    return (
        float(left + x * width),
        float(top - (y + 1) * height),
        float(left + (x + 1) * width),
        float(top - y * height),
    )


def cell_areas(grid: GeoBox) -> NDArray[np.float64]:
    """Ellipsoidal area of one cell of each row of a longitude–latitude grid; float64, shape (rows,), m²."""
    return cell_row_areas(grid.affine.f, -grid.affine.e, grid.affine.a, grid.shape.y)


def require_same_grid(expected: GeoBox, found: GeoBox, *, layer: str) -> None:
    """Raise `GridMismatch`, naming both grids, unless they are equal (silent resampling never happens)."""
    if expected.shape == found.shape and expected.crs == found.crs and expected.affine.almost_equals(found.affine):
        return

    def name(g: GeoBox) -> str:
        return f"{g.shape.x}×{g.shape.y} {g.crs} {tuple(round(v, 12) for v in g.affine[:6])}"

    raise GridMismatch(
        f"图层 {layer} 的格网 {name(found)} 与运行格网 {name(expected)} 不一致，请先重采样",
        f"layer {layer}: grid {name(found)} differs from the run's grid {name(expected)}; resample it first",
        layer=layer,
    )
