"""The two periods of a wetland out of the scenes (两期湿地的确定): place, scenes that saw enough, pairs, kinds of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.blocks import Window
from analyses.water.classes import PARTIAL_CONSERVATIVE, is_clear, is_water
from analyses.water.extent.scene_maps import InspectedScene, MapScenes, scene_reflectance
from analyses.water.riparian.landscape import CellSides, cell_sides
from analyses.water.riparian.vegetation import ndvi
from analyses.water.riparian.wetland import (
    NOT_WETLAND,
    OPEN_WATER,
    UNKNOWN,
    UNKNOWN_KIND,
    Pair,
    connected_wetland,
    match_scenes,
    wetland_kinds,
)
from analyses.water.shore.corridor_change import geodesic_buffer
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.water.extent.rules import WaterExtentRules
    from analyses.water.riparian.rules import RiparianRules
    from analyses.water.riparian.wetland_parameters import WetlandIntegrityParameters
    from spatial.jobs.contract import Inputs, Progress, SceneSeries

__all__ = ["Compared", "Looks", "Place", "area_of", "clear_enough", "compare", "look", "periods_of", "place_of"]


@dataclass(frozen=True)
class Place:
    """The window of the site on the run's grid."""

    window: Window
    grid: GeoBox
    inside: NDArray[np.bool_]
    zone: NDArray[np.bool_]
    sides: CellSides


@dataclass(frozen=True)
class Looks:
    """Dated maps of the site."""

    codes: NDArray[np.uint8]
    """(scenes, rows, cols), codes of `analyses.water.classes`."""
    greenness: NDArray[np.float32]
    """NDVI of looks without water, NaN elsewhere."""


@dataclass(frozen=True)
class Compared:
    """Two periods."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    left_out: list[tuple[float, float]]
    clear: NDArray[np.bool_]
    """(pairs, rows, cols): seen on both dates."""


def place_of(outline: Any, grid: GeoBox, rules: RiparianRules) -> Place:
    """Cells of the site and of its margin, on the part of the grid that holds them."""
    from rasterio.features import rasterize

    margin = rules.kinds.margin_m
    zone = outline if margin == 0 else geodesic_buffer(outline, margin)
    west, south, east, north = zone.bounds
    a = grid.affine
    rows, cols = grid.shape.yx
    row0, row1 = max(int((north - a.f) / a.e), 0), min(int((south - a.f) / a.e) + 1, rows)
    col0, col1 = max(int((west - a.c) / a.a), 0), min(int((east - a.c) / a.a) + 1, cols)
    part = grid[row0:row1, col0:col1]
    shape = part.shape.yx

    def cells(geometry: Any) -> NDArray[np.bool_]:
        burnt = rasterize([(geometry, 1)], out_shape=shape, transform=part.affine, fill=0, dtype="uint8")
        return np.asarray(burnt).astype(bool)

    return Place((row0, col0, row1 - row0, col1 - col0), part, cells(outline), cells(zone), cell_sides(part))


def periods_of(
    used: Sequence[InspectedScene], parameters: WetlandIntegrityParameters
) -> tuple[list[InspectedScene], list[InspectedScene]]:
    """Scenes of the baseline (none where a layer is the baseline) and of the current period."""
    first, last = used[0].time.year, used[-1].time.year
    to = parameters.current_to or last
    since = parameters.current_from or to - 2
    late = [scene for scene in used if since <= scene.time.year <= to]
    if not late:
        raise InvalidParameter(
            f"现状期 {since}–{to} 没有可用影像；可用影像为 {first}–{last} 年",
            f"no usable scene in the current period {since} to {to}; the scenes are of {first} to {last}",
            parameter="current_from",
            value=since,
        )
    if parameters.baseline_layer or parameters.baseline_raster:
        return [], late
    start = parameters.baseline_from or first
    end = parameters.baseline_to or start + 2
    early = [scene for scene in used if start <= scene.time.year <= end]
    if not early or end >= since:
        raise InvalidParameter(
            f"基期 {start}–{end} 没有可用影像或与现状期 {since}–{to} 重叠；可用影像为 {first}–{last} 年",
            f"the baseline {start} to {end} has no usable scene or overlaps with {since} to {to}; "
            f"the scenes are of {first} to {last}",
            parameter="baseline_from",
            value=start,
        )
    return early, late


def look(
    series: SceneSeries, scenes: list[InspectedScene], rules: WaterExtentRules, place: Place, progress: Progress
) -> Looks:
    """Water maps and greenness of the site, scene by scene."""
    codes = MapScenes(series, tuple(scenes), rules, {})(place.window, {})["codes"]
    greenness = np.full(codes.shape, np.nan, dtype=np.float32)
    for number, scene in enumerate(scenes):
        bands, _ = scene_reflectance(series, scene, place.window, rules)
        dry = is_clear(codes[number]) & ~is_water(codes[number])
        greenness[number] = np.where(dry, ndvi(bands["red"], bands["nir"]), np.nan)
        progress(0.1 + 0.7 * (number + 1) / len(scenes), "逐景湿地 mapping the scenes")
    return Looks(codes, greenness)


def clear_enough(
    early: list[InspectedScene], late: list[InspectedScene], looks: Looks, place: Place, rules: RiparianRules
) -> tuple[list[InspectedScene], list[InspectedScene], Looks, list[dict[str, Any]]]:
    """Without the scenes that saw too little of the site, and those that saw it twice on one day."""
    scenes = [*early, *late]
    whole = area_of(place.zone, place)
    share = [area_of(place.zone & is_clear(codes), place) / whole for codes in looks.codes]
    best: dict[Any, int] = {}
    for number, scene in enumerate(scenes):
        day = scene.time.date()
        if day not in best or share[number] > share[best[day]]:
            best[day] = number
    keep, dull = [], []
    for number, scene in enumerate(scenes):
        twin = best[scene.time.date()] != number
        if twin or share[number] < rules.matching.least_clear_share:
            least = rules.matching.least_clear_share
            dull.append(
                {
                    "scene": scene.id,
                    "time": scene.time.isoformat().replace("+00:00", "Z"),
                    "clear_share": round(share[number], 4),
                    "reason_zh": "同日另有更完整的一景" if twin else f"有效份额低于 {least:g}",
                    "reason_en": "another scene of the day saw more" if twin else f"clear share below {least:g}",
                }
            )
        else:
            keep.append(number)
    split = len(early)
    return (
        [scenes[k] for k in keep if k < split],
        [scenes[k] for k in keep if k >= split],
        Looks(looks.codes[keep], looks.greenness[keep]),
        dull,
    )


def compare(
    inputs: Inputs,
    parameters: WetlandIntegrityParameters,
    early: list[InspectedScene],
    late: list[InspectedScene],
    looks: Looks,
    level: Sequence[float],
    place: Place,
    rules: RiparianRules,
) -> tuple[list[Pair], Compared, Text | None]:
    """Pairs, the two periods, and why they cannot be compared (then the current period stands alone)."""
    rule = rules.matching
    one, two = np.array(level[: len(early)]), np.array(level[len(early) :])
    drawn = parameters.baseline_layer is not None or parameters.baseline_raster is not None
    reason: Text | None = None
    if drawn:
        pairs = [
            Pair(-1, k, "level" if parameters.baseline_level_m is not None else "season", None, 0.0)
            for k, scene in enumerate(late)
            if (
                abs(two[k] - parameters.baseline_level_m) <= rule.level_m
                if parameters.baseline_level_m is not None
                else scene.time.month in parameters.baseline_months
            )
        ]
        if parameters.baseline_level_m is None and not parameters.baseline_months:
            reason = Text(
                zh="基期图层没有水位，也没有月份，无法区分萎缩与水位涨落；请给出 baseline_level_m 或 baseline_months",
                en="the baseline has neither a level nor months: shrinking and drawdown cannot be told apart; give "
                "baseline_level_m or baseline_months",
            )
    else:
        pairs = match_scenes([s.time for s in early], [s.time for s in late], one, two, rule)
    if reason is None and len(pairs) < rule.least_pairs:
        reason = Text(
            zh=f"等水位或同季节的影像只有 {len(pairs)} 对，少于 {rule.least_pairs} 对",
            en=f"only {len(pairs)} pairs of scenes at equal level or season, {rule.least_pairs} are needed",
        )
    if reason is not None:
        pairs = [Pair(-1, k, "season", None, 0.0) for k in range(len(late))]
    after = [len(early) + pair.after for pair in pairs]
    before = after if drawn or reason is not None else [pair.before for pair in pairs]
    clear = is_clear(looks.codes[before]) & is_clear(looks.codes[after])
    raw_now = _Counts(looks, after, clear, place, rules)
    cell_m2, least = place.sides.area_m2, rules.change.least_area_m2
    if reason is not None or drawn:
        now = connected_wetland(raw_now.kinds(), place.inside, cell_m2, least)
        if reason is not None:
            return pairs, Compared(np.zeros_like(now), now, [], clear), reason
        then = _drawn_baseline(inputs, parameters, place)
        known = place.zone & (then != UNKNOWN) & (now != UNKNOWN)
        base = area_of(known & (then >= OPEN_WATER), place)
        found = [connected_wetland(raw_now.kinds(k), place.inside, cell_m2, least) for k in range(len(pairs))]
        return (
            pairs,
            Compared(then, now, [(base, area_of(known & (f >= OPEN_WATER), place)) for f in found], clear),
            None,
        )
    raw_then = _Counts(looks, before, clear, place, rules)

    def both(k: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        one, two = raw_then.kinds(k), raw_now.kinds(k)
        return (
            connected_wetland(one, place.inside, cell_m2, least, two),
            connected_wetland(two, place.inside, cell_m2, least, one),
        )

    then, now = both()
    left_out = []
    for k in range(len(pairs)):
        one, two = both(k)
        known = place.zone & (one != UNKNOWN) & (two != UNKNOWN)
        left_out.append((area_of(known & (one >= OPEN_WATER), place), area_of(known & (two >= OPEN_WATER), place)))
    return pairs, Compared(then, now, left_out, clear), None


class _Counts:
    """Counts of a period over its paired looks, from which its kinds follow, with all looks or with one left out."""

    def __init__(
        self, looks: Looks, chosen: list[int], clear: NDArray[np.bool_], place: Place, rules: RiparianRules
    ) -> None:
        codes = looks.codes[chosen]
        self.clear, self.place, self.rules = clear, place, rules
        self.water = is_water(codes) & clear
        self.wet = (is_water(codes) | (codes == PARTIAL_CONSERVATIVE)) & clear
        self.sums = tuple(np.asarray(v.sum(axis=0), dtype=np.int32) for v in (clear, self.wet, self.water))
        # fmax passes over NaN without the warning that nanmax gives for cells never seen dry.
        greenness = np.where(clear, looks.greenness[chosen], np.float32(np.nan))
        self.greenest = np.fmax.reduce(greenness, axis=0).astype(np.float32)

    def kinds(self, left_out: int | None = None) -> NDArray[np.uint8]:
        """Kinds inside the zone, unknown beyond it."""
        count, wet, water = self.sums
        if left_out is not None:
            count, wet, water = count - self.clear[left_out], wet - self.wet[left_out], water - self.water[left_out]
        found = wetland_kinds(
            count, wet, water, self.greenest, self.rules.kinds, least_looks=self.rules.matching.least_looks
        )
        return np.where(self.place.zone, found, UNKNOWN).astype(np.uint8)


def _drawn_baseline(inputs: Inputs, parameters: WetlandIntegrityParameters, place: Place) -> NDArray[np.uint8]:
    """The baseline of a layer of polygons or of a class raster; its kinds are not known."""
    import shapely
    from rasterio.features import rasterize

    if parameters.baseline_layer is not None:
        box = place.grid.extent.boundingbox
        window = shapely.box(box.left, box.bottom, box.right, box.top)
        frame = inputs.frames["baseline"]
        near = frame[frame.geometry.intersects(window) & frame.geom_type.isin(["Polygon", "MultiPolygon"])]
        if near.empty:
            raise InvalidParameter(
                f"图层 {parameters.baseline_layer} 在湿地范围内没有面",
                f"layer {parameters.baseline_layer} has no polygon near the wetland",
                parameter="baseline_layer",
            )
        burnt = rasterize(
            [(shape, 1) for shape in near.geometry], out_shape=place.zone.shape, transform=place.grid.affine, fill=0,
            dtype="uint8",
        )  # fmt: skip
        return np.where(np.asarray(burnt) == 1, UNKNOWN_KIND, NOT_WETLAND).astype(np.uint8)
    values = inputs.rasters["baseline"].read(*place.window)
    found = np.where(np.isin(values, parameters.baseline_codes), UNKNOWN_KIND, NOT_WETLAND)
    return np.where(np.isnan(values), UNKNOWN, found).astype(np.uint8)


def area_of(cells: NDArray[np.bool_], place: Place) -> float:
    """Ellipsoidal area of cells of the window, m²."""
    return float((cells.sum(axis=1) * place.sides.area_m2).sum())
