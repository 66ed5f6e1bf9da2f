"""Rivers, lakes, ponds and paddies (河流、湖库、坑塘、水田): which kind of water a body is, and where a river leaves a lake.

The lake list (名录) comes first; the rest is a candidate by shape and season, with its reason, to be looked at by people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.terrain import metres_per_degree
from analyses.water.bodies.rules import WaterBodyRules
from analyses.water.bodies.runs import Runs, paint
from spatial.catalog import Text
from spatial.errors import CRSMismatch, InvalidParameter

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["TITLES", "body_kinds", "split_rivers"]

TITLES: dict[str, Text] = {
    "river": Text(zh="河流", en="river"),
    "lake": Text(zh="湖库", en="lake or reservoir"),
    "pond": Text(zh="坑塘（候选）", en="pond (candidate)"),
    "paddy": Text(zh="水田（候选）", en="paddy (candidate)"),
}


def body_kinds(
    frame: gpd.GeoDataFrame,
    in_river: NDArray[np.bool_],
    rules: WaterBodyRules,
    *,
    listed: gpd.GeoDataFrame | None = None,
    has_rivers: bool = False,
) -> tuple[list[str], list[str], list[Any], list[Any]]:
    """Kind, reason, id and name of the listed lake of each body.

    Order: in the lake list → lake; in the river layer, or long and thin → river; regular, short in season and hardly
    permanent → paddy; small and regular → pond; else lake.

    Parameters
    ----------
    frame : GeoDataFrame
        ``area_m2``, ``permanent_share``, ``wet_months`` (NaN = unknown), ``compactness``, ``elongation``, ``length_m``.
    in_river : bool (n,)
        Bodies cut out by the river layer or by width.
    listed : GeoDataFrame with ``id`` and ``name``

    Raises
    ------
    InvalidParameter, CRSMismatch
        A lake list without ``id`` or ``name``, or of another CRS.
    """
    n, kinds = len(frame), rules.kinds
    listed_id: list[Any] = [None] * n
    name: list[Any] = [None] * n
    if listed is not None and len(listed) and n:
        _match_list(frame, listed, kinds.lake_list_share, listed_id, name)
    kind, reason = [], []
    for i, row in enumerate(frame.itertuples()):
        months, found = row.wet_months, "lake"
        if listed_id[i] is not None:
            why = f"名录 list: {name[i]}"
        elif in_river[i]:
            found, why = "river", "河流图层 river layer" if has_rivers else "窄于阈值 narrow part"
        elif row.length_m >= kinds.river_length_m or row.elongation >= kinds.river_elongation:
            found, why = "river", f"长宽比 elongation {row.elongation:.1f}"
        elif (
            np.isfinite(months)
            and months < kinds.paddy_months
            and row.permanent_share <= kinds.paddy_permanent_share
            and row.compactness >= kinds.pond_compactness
        ):
            found, why = "paddy", f"有水 {months:.1f} 月 months, 规整度 compactness {row.compactness:.2f}"
        elif row.area_m2 <= kinds.pond_area_m2 and row.compactness >= kinds.pond_compactness:
            found, why = "pond", f"{row.area_m2 / 1e4:.2f} hm², 规整度 compactness {row.compactness:.2f}"
        else:
            why = "其余 otherwise"
        kind.append(found)
        reason.append(why)
    return kind, reason, listed_id, name


def _match_list(
    frame: gpd.GeoDataFrame, listed: gpd.GeoDataFrame, share: float, listed_id: list[Any], name: list[Any]
) -> None:
    """The listed lake that covers most of each body, where the overlap is `share` of the smaller of the two."""
    import shapely

    missing = {"id", "name"} - set(listed.columns)
    if missing:
        raise InvalidParameter(
            f"湖泊名录缺少字段 {sorted(missing)}", f"the lake list lacks columns {sorted(missing)}", parameter="listed"
        )
    if listed.crs is None or listed.crs != frame.crs:
        raise CRSMismatch(
            f"湖泊名录的坐标系 {listed.crs} 与图斑的 {frame.crs} 不同，请先转换",
            f"CRS {listed.crs} of the lake list differs from {frame.crs} of the bodies; convert it first",
        )
    lakes = shapely.make_valid(listed.geometry.to_numpy())
    bodies = frame.geometry.to_numpy()
    lake, body = shapely.STRtree(bodies).query(lakes, predicate="intersects")
    common = shapely.area(shapely.intersection(lakes[lake], bodies[body]))
    of_smaller = common / np.minimum(shapely.area(lakes)[lake], shapely.area(bodies)[body])
    for k in np.argsort(common, kind="stable"):  # the largest overlap is written last
        if of_smaller[k] >= share:
            listed_id[body[k]] = listed["id"].iloc[lake[k]]
            name[body[k]] = listed["name"].iloc[lake[k]]


def split_rivers(
    runs: Runs,
    labelled: tuple[NDArray[np.int32], int],
    grid: GeoBox,
    rules: WaterBodyRules,
    *,
    listed: gpd.GeoDataFrame | None = None,
) -> tuple[list[tuple[int, int, NDArray[np.bool_]]], set[tuple[int, int]]]:
    """Thin parts of long bodies (河湖分割), as windows of river cells; and bodies too large to be split.

    A body is long when (long side of its box)² / area reaches ``river_elongation``. Where it is wider than twice
    ``split_half_width_m`` it may be a lake: what an opening by that half width leaves, if it is large enough and not itself
    long, is cut off from the river. To a lake go back: what lies in a listed water (a reservoir with its arms), remains smaller
    than a lake, and arms (库湾) no longer than the lake itself and with a small share of its area that touch no other lake.

    Parameters
    ----------
    listed : GeoDataFrame, optional
        Listed waters, CRS of the grid.

    Returns
    -------
    windows : list of (row, col, bool array), True = river
    too large : set of (row, col) of windows above ``split_cells``
    """
    from scipy import ndimage

    label, number = labelled
    kinds = rules.kinds
    order = np.argsort(label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(1, number + 2))
    top = runs.row[order][ends[:-1]]
    bottom = np.maximum.reduceat(runs.row[order], ends[:-1]) + 1
    left = np.minimum.reduceat(runs.start[order], ends[:-1])
    right = np.maximum.reduceat(runs.end[order], ends[:-1])
    cells = np.add.reduceat((runs.end - runs.start)[order].astype(np.int64), ends[:-1])
    latitude = grid.affine.f + grid.affine.e * (top + bottom) / 2
    per_x, per_y = metres_per_degree(latitude)
    dx, dy = per_x * grid.affine.a, per_y * -grid.affine.e
    length = np.hypot((right - left) * dx, (bottom - top) * dy)
    area = cells * dx * dy
    # A body without a part wider than the width has nothing to split; it is a river by its shape.
    long = (length**2 >= kinds.river_elongation * area) & (area >= kinds.split_least_m2)
    pieces: list[tuple[int, int, NDArray[np.bool_]]] = []
    large: set[tuple[int, int]] = set()
    for k in np.flatnonzero(long):
        height, width = int(bottom[k] - top[k]), int(right[k] - left[k])
        if height * width > kinds.split_cells:
            large.add((int(top[k]), int(left[k])))
            continue
        own = order[ends[k] : ends[k + 1]]
        body = paint(runs.take(own), np.ones(own.size, np.int32), int(top[k]), int(left[k]), height, width) > 0
        size = (float(dy[k]), float(dx[k]))
        named = None
        if listed is not None and len(listed):
            named = _burnt(listed, grid, int(top[k]), int(left[k]), height, width)
        river = _river_part(body, size, rules, ndimage, named)
        if river is not None:
            pieces.append((int(top[k]), int(left[k]), river))
    return pieces, large


def _burnt(
    listed: gpd.GeoDataFrame, grid: GeoBox, top: int, left: int, height: int, width: int
) -> NDArray[np.bool_] | None:
    """Cells of a window that lie in a listed water; None where there is none."""
    import shapely
    from rasterio.features import rasterize

    a, b, c, d, e, f = tuple(grid.affine)[:6]
    corner = type(grid.affine)(a, b, c + left * a, d, e, f + top * e)
    box = shapely.box(corner.c, corner.f + height * e, corner.c + width * a, corner.f)
    near = listed.geometry[shapely.intersects(listed.geometry.to_numpy(), box)]
    if near.empty:
        return None
    return np.asarray(rasterize(list(near), (height, width), transform=corner, dtype="uint8"), dtype=bool)


def _river_part(
    body: NDArray[np.bool_],
    size: tuple[float, float],
    rules: WaterBodyRules,
    ndimage: Any,
    listed: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_] | None:
    """River cells of one body; None when nothing is cut off.

    Parameters
    ----------
    listed : bool, optional
        Cells of listed waters: a part that lies in them by ``lake_list_share`` is no river.
    """
    kinds = rules.kinds
    cell = size[0] * size[1]
    padded = np.pad(body, 1)
    core = ndimage.distance_transform_edt(padded, sampling=size) > kinds.split_half_width_m
    if not core.any():
        return None
    near = ndimage.distance_transform_edt(~core, sampling=size) <= kinds.split_half_width_m
    named = np.zeros_like(padded) if listed is None else np.pad(listed, 1)
    parts, number = ndimage.label(near & padded)
    lake = np.zeros(number + 1, bool)
    areas, spans = np.zeros(number + 1), np.zeros(number + 1)
    for i, box in enumerate(ndimage.find_objects(parts), start=1):
        mine = parts[box] == i
        areas[i] = int(mine.sum()) * cell
        spans[i] = np.hypot((box[0].stop - box[0].start) * size[0], (box[1].stop - box[1].start) * size[1])
        compact = spans[i] ** 2 < kinds.river_elongation * areas[i]
        lake[i] = areas[i] >= kinds.split_least_m2 and (
            compact or float(named[box][mine].mean()) >= kinds.lake_list_share
        )
    lakes = np.where(lake[parts], parts, 0)
    if not lakes.any():
        return None
    rest, number = ndimage.label(padded & (lakes == 0))
    around = ndimage.grey_dilation(lakes, footprint=ndimage.generate_binary_structure(2, 1))
    for i, box in enumerate(ndimage.find_objects(rest), start=1):
        mine = rest[box] == i
        touched = np.unique(around[box][mine])
        touched = touched[touched > 0]
        if touched.size == 0:
            continue
        area = int(mine.sum()) * cell
        span = np.hypot((box[0].stop - box[0].start) * size[0], (box[1].stop - box[1].start) * size[1])
        largest = touched[np.argmax(areas[touched])]
        arm = area <= kinds.arm_share * areas[largest] and span <= kinds.arm_reach * spans[largest]
        if float(named[box][mine].mean()) >= kinds.lake_list_share or (
            touched.size == 1 and (area < kinds.split_least_m2 or arm)
        ):
            lakes[box][mine] = largest
    return np.asarray((padded & (lakes == 0))[1:-1, 1:-1], dtype=bool) if (padded & (lakes == 0)).any() else None
