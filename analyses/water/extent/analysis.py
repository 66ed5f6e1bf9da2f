"""The analysis ``water-extent``: the water of one scene of a collection by a method of choice (单景水体提取)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.water.classes import NODATA, TITLES, is_clear, is_water
from analyses.water.extent.classification import (
    IndexMethod,
    OpticalMethod,
    Sampling,
    Threshold,
    WaterMap,
    index_threshold,
    water_extent,
)
from analyses.water.extent.parameters import ExtentParameters
from analyses.water.extent.reflectance import OPTICAL_BANDS, to_decibel
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.sar import sar_extent
from analyses.water.extent.scene_maps import InspectedScene, inspect_scenes, scene_reflectance
from analyses.water.scene_collection import SCENES
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    RasterInput,
    SceneSeries,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["WaterExtent"]

_SAMPLE_SIDE, _SAMPLE_WINDOWS = 512, 4
"""A threshold is sought on up to 4 × 4 windows of this side, evenly spread."""
_MOST_RADAR_CELLS = 40_000_000
"""A radar scene is judged as a whole (its segments know no blocks)."""


@dataclass(frozen=True)
class _Optical:
    """Work of a block: class, bits, confidence, uint8 (3, rows, cols)."""

    series: SceneSeries
    scene: InspectedScene
    rules: WaterExtentRules
    method: OpticalMethod
    threshold: Threshold | None

    def bands(self, window: Window) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.uint8] | None]:
        """Reflectance and mask."""
        return scene_reflectance(self.series, self.scene, window, self.rules)

    def map(self, window: Window) -> WaterMap:
        """The water of a window."""
        bands, mask = self.bands(window)
        return water_extent(bands, self.rules, method=self.method, mask=mask, threshold=self.threshold)

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """See `analyses.blocks.run_blocks`."""
        found = self.map(window)
        return {"found": np.stack([found.codes, found.bits, found.confidence])}


class WaterExtent:
    """Water of one scene (单景水体提取)."""

    id: ClassVar[str] = "water-extent"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="单景水体提取", en="Water of one scene")
    description: ClassVar[Text] = Text(
        zh="由一景光学或雷达影像提取水体：类别、逐项检验的位、置信度；云、影、雪、无数据另有编码。"
        "有问题的影像写明原因并拒绝。",
        en="Water of one optical or radar scene: class, bits of the tests, confidence; codes of their own for cloud, shadow, "
        "snow and no data. A scene with a fault is refused with the reason.",
    )
    method: ClassVar[str] = (
        "OPERA DSWx-HLS 五项投票；DEA WOfS 决策树；MNDWI、AWEI 加边缘 Otsu；Sentinel-1 阈值与隶属度；docs/methods/water-extent.md"
    )
    parameters: ClassVar[type[Parameters]] = ExtentParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (SCENES,)
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {"extent": Text(zh="水体", en="Water")}

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: ExtentParameters) -> tuple[InputSpec, ...]:
        """The collection, and HAND and slope where they are named."""
        found = [replace(cls.inputs[0], layer=parameters.collection)]
        for role, layer, title in (
            ("hand", parameters.hand, Text(zh="高出最近河道的高度", en="Height above the nearest drainage")),
            ("slope", parameters.slope, Text(zh="坡度", en="Slope")),
        ):
            if layer is not None and parameters.method == "sar":
                found.append(InputSpec(role, layer, "raster", title, optional=True, resampling="bilinear"))
        return tuple(found)

    def run(self, inputs: Inputs, parameters: ExtentParameters, outputs: Outputs, progress: Progress) -> AnalysisResult:
        """Map the water of one scene.

        Returns
        -------
        AnalysisResult
            Raster ``extent`` with the bands class, bits, confidence (uint8, 255 = nodata); tables ``scenes`` (the one used,
            and those passed over with the reason), ``thresholds``, ``totals`` (areas on the ellipsoid).

        Raises
        ------
        InvalidParameter
            The collection has no such scene; a radar window that is too large.
        LayerEmpty
            No scene can be used.
        """
        rules = water_extent_rules(inputs.rules)
        series = inputs.scenes["scenes"]
        if parameters.scene is not None and parameters.scene not in {record.id for record in series.records}:
            raise InvalidParameter(
                f"影像集 {parameters.collection} 在该范围内没有影像 {parameters.scene}",
                f"collection {parameters.collection} has no scene {parameters.scene} in this extent",
                parameter="scene",
            )
        shape = inputs.grid.shape.yx
        extent = outputs.raster(
            "extent", bands=_bands(), dtype="uint8", nodata=NODATA, title=self.rasters["extent"], style=_style()
        )
        areas = np.asarray(cell_areas(inputs.grid), dtype=np.float64).reshape(shape[0], -1)[:, 0]
        tally = np.zeros((256, 2))

        def settle(window: Window, found: Arrays) -> None:
            row, col, height, _ = window
            for band, values in enumerate(found["found"], start=1):
                extent.write(row, col, values, band=band)
            for code in np.unique(found["found"][0]).tolist():
                held = (found["found"][0] == code).sum(axis=1)
                tally[code] += held.sum(), held @ areas[row : row + height]

        progress(0.0, "检查影像 checking the scenes")
        if parameters.method == "sar":
            scene, record, used, notes = self._radar(inputs, parameters, rules, settle)
        else:
            scene, record, used, notes = self._optical(inputs, parameters, rules, parameters.method, settle, progress)
        progress(1.0, "完成 done")
        codes = np.arange(256, dtype=np.uint8)
        total, clear = tally[:, 0].sum(), tally[is_clear(codes), 0].sum()
        valid = total - tally[NODATA, 0]
        totals = {
            "method": parameters.method,
            "scene": scene,
            "time": record["time"],
            "valid_share": round(float(valid / total), 6),
            "clear_share": round(float(clear / valid), 6) if valid else 0.0,
            "water_km2": round(float(tally[is_water(codes), 1].sum()) / 1e6, 6),
            "clear_km2": round(float(tally[is_clear(codes), 1].sum()) / 1e6, 6),
        }
        tables = {
            "scenes": [row for row in notes if isinstance(row, dict)],
            "thresholds": [{"name": name, "value": value} for name, value in used.items()],
            "totals": [totals],
            "classes": [
                {
                    "code": int(code),
                    "zh": TITLES[int(code)].zh,
                    "en": TITLES[int(code)].en,
                    "km2": round(float(tally[code, 1]) / 1e6, 6),
                }
                for code in np.flatnonzero(tally[:, 0])
                if int(code) in TITLES
            ],
        }
        said = tuple(Text(zh=row, en=row) for row in notes if isinstance(row, str))
        factor = Factor("water", self.title, True, Text(zh=f"影像 {scene}", en=f"scene {scene}"), rules.method)
        return AnalysisResult((factor,), tables, said)

    def _optical(
        self,
        inputs: Inputs,
        parameters: ExtentParameters,
        rules: WaterExtentRules,
        method: OpticalMethod,
        settle: Any,
        progress: Progress,
    ) -> tuple[str, dict[str, Any], dict[str, Any], list[Any]]:
        series = inputs.scenes["scenes"]
        shape = inputs.grid.shape.yx
        wanted = {record.time for record in series.records if parameters.scene in (None, record.id)}
        inspected = [
            s for s in inspect_scenes(series, shape, rules, wanted.__contains__) if parameters.scene in (None, s.id)
        ]
        rows = [scene.document() for scene in inspected]
        fit = [scene for scene in inspected if _fits(scene, parameters.accept_unmasked)]
        if not fit:
            reasons = "; ".join(sorted({row["reason_en"] for row in rows}))[:300]
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有可用的影像（共 {len(rows)} 景，原因见英文）：{reasons}",
                f"collection {parameters.collection}: none of {len(rows)} scenes can be used: {reasons}",
                layer=parameters.collection,
                scenes=rows,
            )
        chosen = fit[-1]
        work = _Optical(series, chosen, rules, method, None)
        used: dict[str, Any] = {}
        if method in ("mndwi", "awei-nsh", "awei-sh"):
            found = _sought(work, shape, method, parameters.sampling)
            used, work = found.document(), replace(work, threshold=found)
        else:
            used = dict(work.map((0, 0, 1, 1)).thresholds)
        run_blocks(
            work,
            block_windows(*shape, self.block),
            on_result=settle,
            threads=inputs.threads,
            progress=lambda share: progress(0.1 + 0.8 * share, "提取水体 mapping water"),
            inline_cells=self.block * self.block,
        )
        mine = next(row for row in rows if row["scene"] == chosen.id)
        for row in rows:
            row["used"] = row is mine
        return chosen.id, mine, used, [*rows, mine["calibration"]]

    def _radar(
        self, inputs: Inputs, parameters: ExtentParameters, rules: WaterExtentRules, settle: Any
    ) -> tuple[str, dict[str, Any], dict[str, Any], list[Any]]:
        series = inputs.scenes["scenes"]
        height, width = inputs.grid.shape.yx
        if height * width > _MOST_RADAR_CELLS:
            raise InvalidParameter(
                f"雷达方法一次最多 {_MOST_RADAR_CELLS:,} 个像元，当前 {height * width:,}；请缩小 bbox",
                f"radar takes at most {_MOST_RADAR_CELLS:,} cells, here {height * width:,}; give a smaller bbox",
                parameter="bbox",
            )
        window = (0, 0, height, width)
        fit = [
            (index, record)
            for index, record in enumerate(series.records)
            if {"vv", "vh"} & set(record.bands) and parameters.scene in (None, record.id)
        ]
        if not fit:
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有含 vv 或 vh 的影像",
                f"collection {parameters.collection} has no scene with vv or vh",
                layer=parameters.collection,
            )
        index, record = fit[-1]
        backscatter = {}
        for name in ("vv", "vh"):
            if name in record.bands:
                band = record.bands[name]
                if band.unit is None:
                    raise QualityViolation(
                        f"影像 {record.id} 未写明波段 {name} 的单位（dB、power、amplitude）",
                        f"scene {record.id} does not state the unit of {name} (dB, power, amplitude)",
                        reason="unit",
                    )
                stored = series.read(index, name, *window).astype(np.float32)
                hollow = ~np.isfinite(stored) if band.nodata is None else (stored == band.nodata) | ~np.isfinite(stored)
                values = stored * np.float32(band.scale) + np.float32(band.offset)
                backscatter[name] = to_decibel(np.where(hollow, np.float32(np.nan), values), band.unit, rules)
        found = sar_extent(
            backscatter,
            rules,
            hand=_layer(inputs.rasters.get("hand"), window),
            slope=_layer(inputs.rasters.get("slope"), window),
            time=record.time,
        )
        settle(window, {"found": np.stack([found.codes, found.bits, found.confidence])})
        row = {"scene": record.id, "time": record.time.isoformat().replace("+00:00", "Z"), "used": True, "codes": []}
        row |= {"reason_zh": "", "reason_en": "", "valid_share": found.valid_share, "clear_share": found.clear_share}
        return record.id, row, dict(found.thresholds), [row, *found.notes]


def _layer(raster: RasterInput | None, window: Window) -> NDArray[np.float32] | None:
    return None if raster is None else raster.read(*window)


def _fits(scene: InspectedScene, accept_unmasked: bool) -> bool:
    """Whether the scene can be used; a missing cloud mask alone may be accepted."""
    if scene.source is None or scene.check is None:
        return False
    excluding = {finding.code for finding in scene.check.findings if finding.excludes}
    return not excluding or (accept_unmasked and excluding == {"no-cloud-mask"})


def _sought(work: _Optical, shape: tuple[int, int], method: IndexMethod, sampling: Sampling) -> Threshold:
    """The threshold of an index on windows spread over the grid, laid side by side with a gap, so that no edge lies between."""
    parts: list[list[tuple[int, int]]] = []
    for size in shape:
        count = min(_SAMPLE_WINDOWS, -(-size // _SAMPLE_SIDE))
        side = min(_SAMPLE_SIDE, -(-size // count))
        parts.append([(round(k * (size - side) / max(count - 1, 1)), side) for k in range(count)])
    bands: dict[str, list[NDArray[np.float32]]] = {name: [] for name in OPTICAL_BANDS}
    masks = []
    for top, height in parts[0]:
        for left, width in parts[1]:
            values, mask = work.bands((top, left, height, width))
            for name in OPTICAL_BANDS:
                bands[name].append(np.pad(values[name], ((0, 0), (0, 1)), constant_values=np.nan))
            hidden = np.zeros((height, width), dtype=np.uint8) if mask is None else mask
            masks.append(np.pad(hidden, ((0, 0), (0, 1)), constant_values=NODATA))
    joined = {name: np.concatenate(values, axis=1) for name, values in bands.items()}
    return index_threshold(joined, work.rules, method, mask=np.concatenate(masks, axis=1), sampling=sampling)


def _bands() -> tuple[Band, ...]:
    return (
        Band(
            name="class",
            title=Text(zh="水体类别", en="Water class"),
            valid_range=(0, NODATA - 1),
            domain={code: title for code, title in TITLES.items() if code != NODATA},
        ),
        Band(name="bits", title=Text(zh="检验的位", en="Bits of the tests"), valid_range=(0, NODATA - 1)),
        Band(name="confidence", title=Text(zh="置信度", en="Confidence"), unit="%", valid_range=(0, 100)),
    )


def _style() -> dict[str, Any]:
    colours = {
        1: "#08519c",
        2: "#3182bd",
        3: "#9ecae1",
        4: "#deebf7",
        250: "#636363",
        251: "#fdd49e",
        252: "#f7f7f7",
        253: "#bdbdbd",
    }
    return {
        "type": "classes",
        "band": "class",
        "classes": [
            {"value": code, "color": colour, "title": TITLES[code].model_dump()} for code, colour in colours.items()
        ],
    }
