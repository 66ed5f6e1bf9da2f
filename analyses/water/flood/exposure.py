"""What stands in the water (受影响对象): people, cropland, roads and works by class of depth."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.units import whole_dm2

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["AreaTally", "depth_classes", "line_lengths", "points_in_water"]


def depth_classes(depth: NDArray[Any], edges_m: Iterable[float]) -> NDArray[np.uint8]:
    """Class of a depth: 0 dry or no data, 1 … n + 1; a depth on an edge belongs to the deeper class.

    Examples
    --------
    >>> depth_classes(np.array([np.nan, -0.1, 0.0, 0.5, 9.0]), [0.5, 1.0]).tolist()
    [0, 0, 1, 2, 3]
    """
    edges = np.asarray(list(edges_m), np.float32)
    d = np.asarray(depth, np.float32)
    out = (np.searchsorted(edges, d, side="right") + 1).astype(np.uint8)
    out[~(d >= 0)] = 0
    return out


def class_names(edges_m: Iterable[float]) -> list[str]:
    """Names of the depth classes, for tables.

    >>> class_names([0.5, 1.0])
    ['0–0.5', '0.5–1', '≥1']
    """
    ends = [0.0, *edges_m]
    return [f"{a:g}–{b:g}" for a, b in itertools.pairwise(ends)] + [f"≥{ends[-1]:g}"]


@dataclass
class AreaTally:
    """Sums by class of depth, block by block, in whole numbers: the same for every size of block."""

    row_areas_m2: NDArray[np.float64]
    edges_m: tuple[float, ...]
    cropland: frozenset[int] = frozenset()
    built: frozenset[int] = frozenset()
    _dm2: NDArray[np.int64] = field(init=False)
    _micro_people: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._areas = whole_dm2(self.row_areas_m2)
        self._dm2 = np.zeros((3, len(self.edges_m) + 2), np.int64)
        self._micro_people = np.zeros(len(self.edges_m) + 2, np.int64)

    def add(self, row: int, depth: NDArray[Any], land: NDArray[Any] | None, density: NDArray[Any] | None) -> None:
        """Count a block.

        Parameters
        ----------
        row : int
            First row of the block.
        depth : float (rows, cols), m
            NaN where nothing is counted.
        land : (rows, cols), optional
            Codes of land cover.
        density : (rows, cols), optional
            People a km²; NaN and negative count none.
        """
        classes = depth_classes(depth, self.edges_m)
        size = len(self.edges_m) + 2
        wet = classes > 0
        masks = [wet]
        if land is not None:
            masks += [wet & np.isin(land, list(self.cropland)), wet & np.isin(land, list(self.built))]
        for k in range(classes.shape[0]):
            for number, mask in enumerate(masks):
                counts = np.bincount(classes[k][mask[k]], minlength=size)
                self._dm2[number] += counts * self._areas[row + k]
            if density is not None:
                d = np.nan_to_num(np.asarray(density[k], np.float64), nan=0.0)
                # People of a cell in millionths: whole, so that the order of blocks does not matter.
                people = np.rint(np.maximum(d, 0.0) * float(self.row_areas_m2[row + k])).astype(np.int64)
                np.add.at(self._micro_people, classes[k], people)

    def rows(self, *, land: bool, people: bool) -> list[dict[str, Any]]:
        """One row a class of depth and one of all; None where it was not assessed."""
        out = []
        for number, name in enumerate([*class_names(self.edges_m), "all"], start=1):
            pick: Any = slice(1, None) if name == "all" else slice(number, number + 1)
            dm2 = self._dm2[:, pick].sum(axis=1)
            out.append(
                {
                    "depth_m": name,
                    "area_km2": round(int(dm2[0]) / 1e8, 4),
                    "cropland_km2": round(int(dm2[1]) / 1e8, 4) if land else None,
                    "cropland_mu": round(int(dm2[1]) / 100 * 15 / 1e4, 1) if land else None,
                    "built_km2": round(int(dm2[2]) / 1e8, 4) if land else None,
                    "people": round(int(self._micro_people[pick].sum()) / 1e6) if people else None,
                }
            )
        return out


def line_lengths(
    lines: Any, names: Any, depth: Any, affine: Affine, edges_m: tuple[float, ...], *, step_cells: float = 0.5
) -> list[dict[str, Any]]:
    """Length of roads under water by class of depth (淹没道路), km, geodesic.

    A line is cut into pieces of at most `step_cells` cells; a piece takes the depth of the cell of its middle.

    Parameters
    ----------
    lines : array of LineString, EPSG:4490
    depth : array-like (rows, cols)
        m; NaN = not under water.
    """
    import shapely
    from pyproj import Geod

    geod = Geod(ellps="GRS80")
    kinds = sorted({str(n) for n in names})
    total = {kind: np.zeros(len(edges_m) + 2) for kind in kinds}
    shape = depth.shape
    step = step_cells * affine.a
    for line, name in zip(lines, names, strict=True):
        for part in shapely.get_parts(line):
            xy = shapely.get_coordinates(shapely.segmentize(part, step))
            if len(xy) < 2:
                continue
            middle = (xy[1:] + xy[:-1]) / 2
            c = np.floor((middle[:, 0] - affine.c) / affine.a).astype(int)
            r = np.floor((middle[:, 1] - affine.f) / affine.e).astype(int)
            inside = (r >= 0) & (r < shape[0]) & (c >= 0) & (c < shape[1])
            if not inside.any():
                continue
            length = geod.inv(xy[:-1, 0][inside], xy[:-1, 1][inside], xy[1:, 0][inside], xy[1:, 1][inside])[2]
            classes = depth_classes(np.asarray(depth[r[inside], c[inside]]), edges_m)
            np.add.at(total[str(name)], classes, length)
    titles = class_names(edges_m)
    return [
        {"class": kind, "depth_m": title, "length_km": round(float(total[kind][number]) / 1000, 3)}
        for kind in kinds
        for number, title in enumerate(titles, start=1)
    ]


def points_in_water(points: Any, depth: Any, affine: Affine) -> NDArray[np.float32]:
    """Depth at points (工程设施所在水深), m; NaN where no water stands or outside the grid."""
    import shapely

    xy = shapely.get_coordinates(shapely.centroid(points))
    c = np.floor((xy[:, 0] - affine.c) / affine.a).astype(int)
    r = np.floor((xy[:, 1] - affine.f) / affine.e).astype(int)
    inside = (r >= 0) & (r < depth.shape[0]) & (c >= 0) & (c < depth.shape[1])
    out = np.full(len(xy), np.nan, np.float32)
    out[inside] = np.asarray(depth[r[inside], c[inside]])
    return out
