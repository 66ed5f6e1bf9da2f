"""The analysis ``shoreline-watch``: water edges on transects of a lake shore, their retreat, the natural share (岸线监测)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from analyses.water.bodies.gauge_levels import gauge_of
from analyses.water.bodies.level_area import levels_on
from analyses.water.bodies.rules import water_body_rules
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_maps import InspectedScene, inspect_scenes, scene_reflectance
from analyses.water.scene_collection import SCENES, collection_field
from analyses.water.shore.candidate_features import ZONE_VERDICTS
from analyses.water.shore.shoreline import ShorelineRules, Transects, edge_positions, make_transects, shoreline_rules
from analyses.water.shore.shoreline_change import Retreat, bank_retreat, natural_share
from analyses.water.shore.shoreline_outputs import CONTOUR_FIELDS, contour_style, contours_frame, contours_of, zones_of
from spatial.catalog import Attribute, Text, attribute
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    RasterInput,
    bilingual,
    layer_field,
)

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["ShorelineParameters", "ShorelineWatch"]

_YEAR_S = 365.25 * 86_400


class ShorelineParameters(Parameters):
    """Parameters of the shoreline watch (岸线监测)."""

    collection: str = collection_field()
    lake: str = Field(
        "洪湖",
        min_length=1,
        max_length=40,
        json_schema_extra=bilingual(
            "湖泊名称",
            "Name of the lake",
            "湖泊图层字段 name 的值；其外环为基线。",
            "A name of the layer of lakes; its outer ring is the baseline.",
        ),
    )
    lakes: str = layer_field(
        "lakes", "湖泊图层", "Layer of lakes", "含字段 name 的面图层。", "Polygons with a field name."
    )
    levels: str | None = layer_field(
        "lake-levels",
        "水位图层",
        "Layer of water levels",
        "有同名站时按等水位比较，否则不校正并说明。",
        "With a gauge of the name, rates are at equal level.",
    )
    zones: str | None = layer_field(
        "shoreline-zones",
        "岸线四区图层",
        "Layer of the four zones",
        "含字段 zone；没有则人工岸段的分区无法判定。",
        "With a field zone; without it the zone of artificial stretches cannot be told.",
    )
    artificial_codes: tuple[int, ...] = Field(
        (12,),
        min_length=1,
        json_schema_extra=bilingual(
            "人工地类编码",
            "Codes of artificial land cover",
            "土地利用图层中的建设用地等编码（样例：12 城镇建设用地）。",
            "Codes of the land-use layer that are artificial (sample: 12, towns).",
        ),
    )


def _fields(rules: ShorelineRules) -> tuple[Attribute, ...]:
    shores = {
        "natural": Text(zh="自然", en="natural"),
        "artificial": Text(zh="人工", en="artificial"),
        "unknown": Text(zh="未评价", en="not assessed"),
    }
    zones = {zone.id: zone.title for zone in rules.zones.list}
    return (
        attribute("transect", "integer", "断面", "Transect"),
        attribute("chainage_m", "number", "沿岸桩号", "Chainage", "m"),
        attribute("rate_m_per_year", "number", "后退速率", "Rate of retreat", "m/a"),
        attribute("rate_low", "number", "速率下限", "Lower end of the rate", "m/a"),
        attribute("rate_high", "number", "速率上限", "Upper end of the rate", "m/a"),
        attribute("p", "number", "显著性", "Significance (p)", "1"),
        attribute("observations", "integer", "有效次数", "Observations", "1"),
        attribute("level_slope", "number", "每米水位的岸线移动", "Shift for a metre of level", "1"),
        attribute("alert", "boolean", "崩岸预警", "Alert of bank retreat"),
        attribute("shore", "string", "岸段类型", "Kind of shore", domain=shores),
        attribute("zone", "string", "岸线分区", "Zone of the shoreline", domain=zones),
        attribute(
            "zone_verdict",
            "string",
            "人工岸段分区是否允许",
            "Artificial shore allowed in the zone",
            domain=ZONE_VERDICTS,
        ),
    )


class ShorelineWatch:
    """Shoreline watch (岸线监测) of a lake over the scenes of a collection."""

    id: ClassVar[str] = "shoreline-watch"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="岸线监测", en="Shoreline watch")
    description: ClassVar[Text] = Text(
        zh="在湖岸断面上逐景求亚像元水边线，等水位校正后给出后退速率与崩岸预警，并按岸带地类给出自然岸线占比。",
        en="Water edges below the cell on transects of a lake shore, scene by scene; rates of retreat at equal level, alerts, "
        "and the natural share of the shore by the land cover beside it.",
    )
    method: ClassVar[str] = "MNDWI 断面线性内插；Theil–Sen 与 Mann–Kendall；docs/methods/shoreline.md"
    parameters: ClassVar[type[Parameters]] = ShorelineParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        SCENES,
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊", en="Lakes"), extent="whole"),
        InputSpec("levels", "lake-levels", "vector", Text(zh="湖库水位", en="Lake levels"), True, extent="whole"),
        InputSpec("land_use", "land-use", "raster", Text(zh="土地利用", en="Land use"), True, "nearest"),
        InputSpec("zones", "shoreline-zones", "vector", Text(zh="岸线四区", en="Four zones"), True),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {}

    @classmethod
    def inputs_of(cls, parameters: ShorelineParameters) -> tuple[InputSpec, ...]:
        """The collection and layers that the parameters name."""
        scenes, lakes, levels, land, zones = cls.inputs
        found = [replace(scenes, layer=parameters.collection), replace(lakes, layer=parameters.lakes), land]
        if parameters.zones is not None:
            found.append(replace(zones, layer=parameters.zones))
        return (*found, replace(levels, layer=parameters.levels)) if parameters.levels is not None else tuple(found)

    def run(
        self, inputs: Inputs, parameters: ShorelineParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Watch the shore of one lake.

        Returns
        -------
        AnalysisResult
            Features ``transects`` and ``contours`` (water edge of the last clear scene of each year);
            tables ``positions`` (one row a scene), ``scenes``, ``totals``.

        Raises
        ------
        InvalidParameter
            No lake of that name; lists those in the scenes' extent.
        LayerEmpty
            No scene can be used.
        """
        rules = shoreline_rules(inputs.rules)
        extent_rules = water_extent_rules(inputs.rules)
        gauge_rule = water_body_rules(inputs.rules).gauge
        series = inputs.scenes["scenes"]
        cell_m = abs(inputs.grid.affine.a) * 111_320.0
        transects = make_transects(
            _ring(inputs.frames["lakes"], parameters.lake, inputs.grid), rules.transects, cell_m=cell_m
        )
        progress(0.0, "检查影像 checking the scenes")
        inspected = inspect_scenes(series, inputs.grid.shape.yx, extent_rules)
        used = [scene for scene in inspected if scene.usable]
        if not used:
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有可用的影像（{len(inspected)} 景）",
                f"collection {parameters.collection} has no usable scene ({len(inspected)} scenes)",
                layer=parameters.collection,
            )
        window = _window(transects, inputs.grid)
        positions = np.full((len(used), len(transects.origin)), np.nan)
        contours: dict[int, tuple[str, Any, Any]] = {}
        for number, scene in enumerate(used):
            bands, mask = scene_reflectance(series, scene, window, extent_rules)
            green, swir = bands["green"], bands["swir1"]
            with np.errstate(divide="ignore", invalid="ignore"):
                index = (green - swir) / (green + swir)
            if mask is not None:
                index[mask != 0] = np.nan
            row, col = window[:2]
            affine = inputs.grid.affine @ type(inputs.grid.affine).translation(col, row)
            positions[number] = edge_positions(transects, index, affine, threshold=rules.transects.index_threshold)
            edge_lines = contours_of(
                index,
                affine,
                transects,
                threshold=rules.transects.index_threshold,
                clear_share=0.0 if scene.check is None else scene.check.clear_share * scene.check.valid_share,
            )
            if edge_lines is not None:
                contours[scene.time.year] = (scene.id, scene.time, edge_lines)
            progress(0.1 + 0.8 * (number + 1) / len(used), "断面水边线 water edges")
        first, positions, used = _one_a_day(used, positions)
        level = gauge_of(inputs.frames.get("levels"), parameters.lake, gauge_rule)
        levels = None
        if level is not None:
            levels = levels_on([scene.time for scene in used], level[0], level[1], within_hours=gauge_rule.within_hours)
            if np.isfinite(levels).sum() < rules.retreat.least_observations:
                levels = None
        found = bank_retreat(first, positions, rules.retreat, level_m=levels)
        edge = _median(positions)
        share, kind = natural_share(
            transects, edge, _artificial(inputs.rasters.get("land_use"), inputs.grid, parameters), rules
        )
        zone, verdict = zones_of(transects, edge, kind == 0, inputs.frames.get("zones"), rules)
        if contours:
            outputs.features(
                "contours",
                contours_frame(contours),
                fields=CONTOUR_FIELDS,
                title=Text(zh=f"{parameters.lake}水边线", en=f"Water edges of {parameters.lake}"),
                style=contour_style(list(contours)),
                time_field="time",
            )
        outputs.features(
            "transects",
            _frame(transects, found, kind).assign(zone=zone, zone_verdict=verdict),
            fields=_fields(rules),
            title=Text(zh=f"{parameters.lake}岸线断面", en=f"Transects of the shore of {parameters.lake}"),
            style={
                "type": "categories",
                "field": "shore",
                "classes": [
                    {"value": v, "title": {"zh": zh, "en": en}, "stroke": colour, "width": 1.6}
                    for v, zh, en, colour in (
                        ("natural", "自然岸段", "natural", "#1a9850"),
                        ("artificial", "人工岸段", "artificial", "#d73027"),
                        ("unknown", "未评价", "not assessed", "#969696"),
                    )
                ],
                "default": {"stroke": "#969696", "width": 1.6},
            },
        )
        tables = {
            "positions": [
                {
                    "scene": scene.id,
                    "time": scene.time.isoformat().replace("+00:00", "Z"),
                    "level_m": None if levels is None or not np.isfinite(levels[k]) else round(float(levels[k]), 3),
                    "seen": int(np.isfinite(positions[k]).sum()),
                    "median_m": None if np.isnan(positions[k]).all() else round(float(np.nanmedian(positions[k])), 2),
                }
                for k, scene in enumerate(used)
            ],
            "scenes": [scene.document() for scene in inspected],
            "totals": [
                {
                    "lake": parameters.lake,
                    "transects": len(transects.origin),
                    "scenes_used": len(used),
                    "seen_share": round(float(np.isfinite(positions).mean()), 4),
                    "assessed": int(np.isfinite(found.rate_m_per_year).sum()),
                    "alerts": int(found.alert.sum()),
                    "natural_share": None if share is None else round(share, 4),
                    "artificial_forbidden": sum(one == "forbidden" for one in verdict),
                    "contours": len(contours),
                    "at_equal_level": levels is not None,
                    "threshold": rules.transects.index_threshold,
                }
            ],
        }
        progress(1.0, "完成 done")
        return AnalysisResult(_factors(rules, levels is not None, share, "zones" in inputs.frames), tables)


def _ring(lakes: geopandas.GeoDataFrame, name: str, grid: GeoBox) -> Any:
    """Outer ring of the largest part of a lake, clockwise, so that the land lies on the left."""
    import shapely

    named = lakes[lakes["name"] == name] if "name" in lakes.columns else lakes.iloc[:0]
    box = grid.extent.boundingbox
    window = shapely.box(box.left, box.bottom, box.right, box.top)
    if named.empty or not named.geometry.intersects(window).any():
        near = lakes[lakes.geometry.intersects(window)]
        have = sorted(near["name"].dropna().unique()) if "name" in near.columns else []
        raise InvalidParameter(
            f"影像范围内没有名为 {name!r} 的湖泊，有：{'、'.join(have) or '无'}",
            f"no lake {name!r} in the extent of the scenes; there are {', '.join(have) or 'none'}",
            parameter="lake",
            value=name,
            allowed=have,
        )
    parts = shapely.get_parts(np.asarray(named.geometry.array, dtype=object))
    largest = max(parts, key=lambda part: float(part.area))
    return shapely.LineString(shapely.orient_polygons(largest, exterior_cw=True).exterior.coords)


def _window(transects: Transects, grid: GeoBox) -> tuple[int, int, int, int]:
    """Cells of the grid that the transects reach, with two more on each side."""
    a = grid.affine
    rows, cols = grid.shape.yx
    col0, col1 = int((transects.lon.min() - a.c) / a.a) - 2, int((transects.lon.max() - a.c) / a.a) + 3
    row0, row1 = int((transects.lat.max() - a.f) / a.e) - 2, int((transects.lat.min() - a.f) / a.e) + 3
    row0, col0, row1, col1 = max(row0, 0), max(col0, 0), min(row1, rows), min(col1, cols)
    return row0, col0, row1 - row0, col1 - col0


def _one_a_day(
    scenes: list[InspectedScene], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[InspectedScene]]:
    """Time in years, positions and scenes, one a day (UTC): the mean of what the scenes of a day saw."""
    days: dict[Any, list[int]] = {}
    for number, scene in enumerate(scenes):
        days.setdefault(scene.time.date(), []).append(number)
    kept = sorted(days)
    merged = np.full((len(kept), positions.shape[1]), np.nan)
    for k, day in enumerate(kept):
        rows = positions[days[day]]
        seen = np.isfinite(rows)
        count = seen.sum(axis=0)
        merged[k] = np.where(count > 0, np.where(seen, rows, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    first = [scenes[days[day][0]] for day in kept]
    return np.array([scene.time.timestamp() / _YEAR_S for scene in first]), merged, first


def _median(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.full(positions.shape[1], np.nan)
    for k in range(found.size):
        known = positions[:, k][np.isfinite(positions[:, k])]
        if known.size:
            found[k] = float(np.median(known))
    return found


def _artificial(raster: RasterInput | None, grid: GeoBox, parameters: ShorelineParameters) -> Any:
    """Whether points lie on artificial land: 1, 0, NaN = unknown."""
    if raster is None:
        return lambda lon, lat: np.full(np.shape(lon), np.nan)
    values = raster.read(0, 0, *grid.shape.yx)
    a = grid.affine
    codes = np.asarray(parameters.artificial_codes, dtype=np.float32)

    def at(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        col = np.floor((lon - a.c) / a.a).astype(int)
        row = np.floor((lat - a.f) / a.e).astype(int)
        inside = (row >= 0) & (row < values.shape[0]) & (col >= 0) & (col < values.shape[1])
        found = np.where(inside, values[np.where(inside, row, 0), np.where(inside, col, 0)], np.nan)
        return np.where(np.isnan(found), np.nan, np.isin(found, codes).astype(float))

    return at


def _frame(transects: Transects, found: Retreat, kind: NDArray[np.int8]) -> geopandas.GeoDataFrame:
    names = {1: "natural", 0: "artificial", -1: "unknown"}
    return transects.frame().assign(
        rate_m_per_year=found.rate_m_per_year.round(3),
        rate_low=found.low.round(3),
        rate_high=found.high.round(3),
        p=found.p.round(5),
        observations=found.observations,
        level_slope=found.level_slope.round(2),
        alert=found.alert,
        shore=[names[int(k)] for k in kind],
    )


def _factors(rules: ShorelineRules, at_level: bool, share: float | None, zoned: bool) -> tuple[Factor, ...]:
    return (
        Factor(
            "level",
            Text(zh="等水位校正", en="Correction to equal level"),
            at_level,
            Text(zh="有水位资料，已校正" if at_level else "没有足够的水位，涨落与崩岸未分开",
                 en="levels known, corrected" if at_level else "too few levels: rise and retreat are not parted"),
            rules.retreat.source,
        ),
        Factor(
            "natural",
            Text(zh="自然岸线占比", en="Natural share of the shore"),
            share is not None,
            Text(zh="按岸带土地利用" if share is not None else "没有土地利用数据",
                 en="by land use beside the shore" if share is not None else "no land use"),
            rules.natural.source,
        ),
        Factor(
            "zones",
            Text(zh="岸线四区", en="Four zones of the shoreline"),
            zoned,
            Text(zh="人工岸段已按分区核对" if zoned else "没有四区图层，无法判定",
                 en="artificial stretches checked by zone" if zoned else "no layer of the zones: cannot be told"),
            rules.zones.source,
        ),
    )  # fmt: skip
