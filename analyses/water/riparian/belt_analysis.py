"""The analysis ``riparian-vegetation``: vegetation and its trend in belts along a shore, by reach (滨岸带植被)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_maps import inspect_scenes
from analyses.water.riparian import belt_result as result
from analyses.water.riparian.belts import Reach, cut_reaches, make_belts, shore_lines
from analyses.water.riparian.rules import RiparianRules, riparian_rules
from analyses.water.riparian.vegetation import BROWNING, GREENING, NO_TREND, NOT_ASSESSED, LookAtBelts, discoveries
from analyses.water.scene_collection import SCENES, collection_field
from analyses.water.series.rules import change_rules
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    bilingual,
    layer_field,
)

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["RiparianVegetation", "RiparianVegetationParameters", "named_shape"]

_FIELD = r"^[a-z_][a-z0-9_]{0,62}$"


class RiparianVegetationParameters(Parameters):
    """Parameters (参数) of the vegetation of riparian belts."""

    collection: str = collection_field()
    shore: str = layer_field(
        "lakes", "岸线图层", "Layer of the shore", "水面（面）、岸线或河流（线）。", "Water surfaces, shores or rivers."
    )
    name: str | None = Field(
        "洪湖",
        min_length=1,
        max_length=40,
        json_schema_extra=bilingual(
            "名称",
            "Name",
            "图层字段 name 的值；不填则取影像范围内的全部要素。",
            "A value of the field name; without it every feature in the extent of the scenes.",
        ),
    )
    reach_field: str | None = Field(
        None,
        pattern=_FIELD,
        json_schema_extra=bilingual(
            "岸段字段",
            "Field of the reaches",
            "按该字段分段（如河段编码 code）；不填则按长度切分。",
            "Features with one value of it are one reach, for example code; without it the shore is cut by length.",
        ),
    )
    reach_m: float | None = Field(
        None,
        ge=200,
        le=100_000,
        json_schema_extra=bilingual(
            "岸段长度", "Length of a reach", "米；不填按规则文件。", "Metres; default from the rule file."
        ),
    )
    index: Literal["ndvi", "evi"] = Field(
        "ndvi",
        json_schema_extra=bilingual("植被指数", "Vegetation index", "NDVI 或 EVI。", "NDVI or EVI."),
    )


@dataclass(frozen=True)
class _Looked:
    """What the scenes showed."""

    sums: NDArray[np.float64]
    """(scenes, zones + 1, 5), see `LookAtBelts`."""
    zone_m2: NDArray[np.float64]
    """Area of the cells of each zone."""
    cells: NDArray[np.float64]
    """m² by zone and code of the trend of cells (zones + 1, 5)."""
    limit: float | None
    """Greatest p that counts as a trend."""


class RiparianVegetation:
    """Vegetation and its trend in riparian belts (滨岸带植被).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "riparian-vegetation"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="滨岸带植被", en="Riparian vegetation")
    description: ClassVar[Text] = Text(
        zh="岸线外 0–200、200–500、500–1000 m 各带各岸段的植被指数序列、季节性趋势、有植被份额，以及逐像元变绿与变差的面积份额。",
        en="Vegetation index by date, seasonal trend and vegetated share in belts of 0–200, 200–500 and 500–1000 m "
        "along a shore, by reach, and the share of area that greens or browns cell by cell.",
    )
    method: ClassVar[str] = (
        "测地分带；NDVI/EVI；季节性 Theil–Sen 与 Mann–Kendall，逐像元误发现率控制；docs/methods/riparian-and-wetland.md"
    )
    parameters: ClassVar[type[Parameters]] = RiparianVegetationParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        SCENES,
        InputSpec("shore", "lakes", "vector", Text(zh="岸线", en="Shore"), extent="whole"),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {"trend": Text(zh="滨岸带植被趋势", en="Trend of riparian vegetation")}
    equal_rasters: ClassVar[bool] = True

    def __init__(self, block: int = 256) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: RiparianVegetationParameters) -> tuple[InputSpec, ...]:
        """The collection and layer that the parameters name."""
        scenes, shore = cls.inputs
        return replace(scenes, layer=parameters.collection), replace(shore, layer=parameters.shore)

    def run(
        self, inputs: Inputs, parameters: RiparianVegetationParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Follow the vegetation of every belt.

        Returns
        -------
        AnalysisResult
            Raster ``trend`` (uint8: 1 browning, 2 no trend, 3 greening, 4 not assessed); features ``belts`` and ``series``
            (stations); tables ``series``, ``belts``, ``scenes``, ``left_out``, ``totals``.

        Raises
        ------
        InvalidParameter
            No such shore in the extent of the scenes.
        LayerEmpty
            No scene can be used.
        """
        rules = riparian_rules(inputs.rules)
        extent_rules = water_extent_rules(inputs.rules)
        frame, reaches = self._belts(inputs, parameters, rules)
        progress(0.02, "检查影像 checking the scenes")
        inspected = inspect_scenes(inputs.scenes["scenes"], inputs.grid.shape.yx, extent_rules)
        used = tuple(scene for scene in inspected if scene.usable)
        if not used:
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有可用的影像（{len(inspected)} 景）",
                f"collection {parameters.collection} has no usable scene ({len(inspected)} scenes)",
                layer=parameters.collection,
            )
        look = LookAtBelts(inputs.scenes["scenes"], used, extent_rules, rules.vegetation, parameters.index)
        looked = self._look(inputs, look, frame, outputs, progress)
        rows, left_out = result.series_rows(frame, used, looked.sums, looked.zone_m2, rules.vegetation)
        trend_rule = change_rules(inputs.rules).trend
        belts = result.belts_frame(frame, rows, looked.cells, trend_rule, site=parameters.name)
        outputs.features(
            "belts",
            belts,
            fields=result.BELT_FIELDS,
            title=Text(
                zh=f"{parameters.name or ''}滨岸带植被", en=f"Riparian vegetation of {parameters.name or 'the shore'}"
            ),
            style=result.belts_style(),
            class_field="direction",
        )
        outputs.features(
            "series",
            result.series_frame(frame, rows, site=parameters.name),
            fields=result.SERIES_FIELDS,
            title=Text(zh="滨岸带植被序列", en="Series of riparian vegetation"),
            style=result.series_style(),
            kind="stations",
            time_field="time",
            station_field="zone",
        )
        tables: dict[str, Any] = {
            "belts": result.by_belt(frame, rows, looked.cells, trend_rule),
            "by_reach": result.by_reach(belts),
            "series": rows,
            "left_out": left_out,
            "scenes": [scene.document() for scene in inspected],
            "totals": [
                {
                    "site": parameters.name,
                    "reaches": len(reaches),
                    "belts": len(frame),
                    "area_km2": round(float(frame["area_m2"].sum()) / 1e6, 4),
                    "scenes": len(inspected),
                    "scenes_used": len(used),
                    "index": parameters.index,
                    "vegetated_ndvi": rules.vegetation.vegetated_ndvi,
                    "least_clear_share": rules.vegetation.least_clear_share,
                    "false_discovery_rate": rules.vegetation.fdr,
                    "p_limit": None if looked.limit is None else round(looked.limit, 6),
                    "first": used[0].time.isoformat().replace("+00:00", "Z"),
                    "last": used[-1].time.isoformat().replace("+00:00", "Z"),
                }
            ],
        }
        progress(1.0, "完成 done")
        return AnalysisResult(_factors(rules, len(used)), tables, _notes(rules))

    def _belts(
        self, inputs: Inputs, parameters: RiparianVegetationParameters, rules: RiparianRules
    ) -> tuple[geopandas.GeoDataFrame, list[Reach]]:
        import shapely

        rule = rules.belts
        box = inputs.grid.extent.boundingbox
        window = shapely.box(box.left, box.bottom, box.right, box.top)
        chosen = named_shape(inputs.frames["shore"], parameters.name, window, layer=parameters.shore)
        if parameters.reach_field is None:
            lines, water = shore_lines(shapely.union_all(chosen.geometry.array), window)
            reaches = cut_reaches(lines, parameters.reach_m or rule.reach_m, least_m=rule.least_shore_m)
        else:
            reaches, surfaces = _reaches_of(chosen, parameters.reach_field, window, rule.least_shore_m)
            water = shapely.union_all(surfaces) if surfaces else None
        frame = make_belts(reaches, rule.edges_m, spacing_m=rule.spacing_m, water=water, window=window)
        return frame, reaches

    def _look(
        self, inputs: Inputs, look: LookAtBelts, frame: geopandas.GeoDataFrame, outputs: Outputs, progress: Progress
    ) -> _Looked:
        import shapely
        from affine import Affine
        from rasterio.features import rasterize

        grid = inputs.grid
        count = len(frame)
        area = cell_areas(grid)
        shapes = list(zip(frame.geometry.array, frame["zone"], strict=True))
        tree = shapely.STRtree(np.asarray(frame.geometry.array, dtype=object))
        sums = np.zeros((len(look.scenes), count + 1, 5))
        zone_m2 = np.zeros(count + 1)
        found: list[tuple[Window, NDArray[np.int32], Arrays]] = []

        def zones_of(window: Window) -> NDArray[np.int32]:
            row, col, height, width = window
            affine = grid.affine @ Affine.translation(col, row)
            near = tree.query(_box(grid, window))
            if near.size == 0:
                return np.zeros((height, width), dtype=np.int32)
            burnt = rasterize(
                [shapes[k] for k in sorted(near)], out_shape=(height, width), transform=affine, fill=0, dtype="int32"
            )
            return np.asarray(burnt, dtype=np.int32)

        def settle(window: Window, given: Arrays) -> None:
            nonlocal sums
            zones = zones_of(window)
            rows = area[window[0] : window[0] + window[2]]
            zone_m2[:] += np.bincount(zones.ravel(), weights=np.repeat(rows, window[3]), minlength=count + 1)
            sums += given["sums"]
            found.append((window, zones, given))

        windows = [w for w in block_windows(*grid.shape.yx, self.block) if tree.query(_box(grid, w)).size]
        run_blocks(
            look,
            windows,
            on_result=settle,
            given=lambda w: {"zones": zones_of(w), "cell_m2": area[w[0] : w[0] + w[2]], "count": count},
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.05 + 0.85 * share, "逐景植被 vegetation by scene"),
        )
        p = np.concatenate([given["p"] for _, _, given in found])
        known = discoveries(p, look.rule.fdr)
        limit = float(p[known].max()) if known.any() else None
        out = outputs.raster(
            "trend",
            bands=result.trend_bands(),
            dtype="uint8",
            nodata=0,
            title=self.rasters["trend"],
            style=result.trend_style(),
        )
        cells = np.zeros((count + 1, 5))
        start = 0
        for window, zones, given in found:
            size = given["p"].size
            here = known[start : start + size]
            start += size
            codes = np.where(
                here & (given["sign"] > 0), GREENING, np.where(here & (given["sign"] < 0), BROWNING, NO_TREND)
            )
            codes = np.where(np.isfinite(given["p"]), codes, NOT_ASSESSED).astype(np.uint8)
            block = np.zeros(window[2] * window[3], dtype=np.uint8)
            block[given["place"]] = codes
            out.write(window[0], window[1], block.reshape(window[2], window[3]))
            weight = np.repeat(area[window[0] : window[0] + window[2]], window[3])[given["place"]]
            key = zones.ravel()[given["place"]].astype(np.int64) * 5 + codes
            cells += np.bincount(key, weights=weight, minlength=(count + 1) * 5).reshape(count + 1, 5)
        return _Looked(sums, zone_m2, cells, limit)


def _box(grid: GeoBox, window: Window) -> Any:
    import shapely

    row, col, height, width = window
    west, north = grid.affine @ (col, row)
    east, south = grid.affine @ (col + width, row + height)
    return shapely.box(west, south, east, north)


def named_shape(
    frame: geopandas.GeoDataFrame, name: str | None, window: Any, *, layer: str, parameter: str = "name"
) -> geopandas.GeoDataFrame:
    """Features of a name (None: all) that touch a window.

    Raises
    ------
    InvalidParameter
        There is none; lists those that there are.
    """
    near = frame[frame.geometry.intersects(window)]
    chosen = near if name is None else near[near["name"] == name] if "name" in near.columns else near.iloc[:0]
    if chosen.empty:
        have = sorted(near["name"].dropna().unique())[:20] if "name" in near.columns else []
        raise InvalidParameter(
            f"影像范围内图层 {layer} 没有 {name or '要素'!r}，有：{'、'.join(have) or '无'}",
            f"layer {layer} has no {name or 'feature'!r} in the extent of the scenes; there are {', '.join(have) or 'none'}",
            parameter=parameter,
            value=name,
            allowed=have,
        )
    return chosen


def _reaches_of(
    frame: geopandas.GeoDataFrame, field: str, window: Any, least_m: float
) -> tuple[list[Reach], Sequence[Any]]:
    """Reaches that the features of the layer are, by the value of a field."""
    import shapely

    if field not in frame.columns:
        have = [column for column in frame.columns if column != "geometry"]
        raise InvalidParameter(
            f"岸线图层没有字段 {field!r}，有：{'、'.join(have)}",
            f"the layer of the shore has no field {field!r}; there are {', '.join(have)}",
            parameter="reach_field",
            value=field,
            allowed=have,
        )
    found: list[Reach] = []
    surfaces = []
    for value, rows in frame.groupby(field, sort=False):
        lines, water = shore_lines(shapely.union_all(rows.geometry.array), window)
        pieces = cut_reaches(lines, float("inf"), least_m=least_m)
        if water is not None:
            surfaces.append(water)
        if pieces:
            length = sum(piece.to_m - piece.from_m for piece in pieces)
            found.append(Reach(str(value), shapely.union_all([piece.line for piece in pieces]), 0.0, length))
    return found, surfaces


def _factors(rules: RiparianRules, scenes: int) -> tuple[Factor, ...]:
    belts, plants = rules.belts, rules.vegetation
    return (
        Factor(
            "belts",
            belts.title,
            True,
            Text(
                zh="、".join(f"{edge:g}" for edge in belts.edges_m) + " m，测地距离",
                en=", ".join(f"{edge:g}" for edge in belts.edges_m) + " m, geodesic",
            ),
            f"{belts.source} [{belts.tag}]",
        ),
        Factor(
            "vegetation",
            plants.title,
            True,
            Text(zh=f"{scenes} 景可用", en=f"{scenes} usable scenes"),
            f"{plants.source} [{plants.tag}]",
        ),
    )


def _notes(rules: RiparianRules) -> tuple[Text, ...]:
    return (
        Text(
            zh="指数只取当日无水的晴空像元；带内水淹会改变参与的像元，见 wet_share。逐像元趋势按误发现率 "
            f"{rules.vegetation.fdr:g} 判定，各带各岸段的趋势未做多重比较修正。",
            en="the index is the mean of clear cells without water that day; flooding changes which cells those are, see "
            f"wet_share. Trends by cell are judged at a false discovery rate of {rules.vegetation.fdr:g}; those of belts are "
            "not corrected for their number.",
        ),
        Text(
            zh="植被变绿不等于生态改善：种植、弃耕与湿生植被扩展都会变绿，须现场核实。",
            en="greening is not improvement: planting, fallow land and spreading reeds all look green; check on the ground.",
        ),
    )
