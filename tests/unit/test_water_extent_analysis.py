"""The analysis ``water-extent``: one scene of a collection, any method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from odc.geo.geobox import GeoBox

from analyses.water.classes import CLOUD
from analyses.water.extent.analysis import WaterExtent
from analyses.water.extent.classification import water_extent
from analyses.water.extent.parameters import ExtentParameters
from analyses.water.extent.reflectance import OPTICAL_BANDS
from analyses.water.extent.rules import water_extent_rules
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.grid import cell_areas
from spatial.jobs.contract import Inputs, SceneBand, SceneRecord

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "layers/rules/water_extent.yml").read_text("utf-8"))
RULES = water_extent_rules({"water_extent": DOCUMENT})
SIDE = 200
GRID = GeoBox.from_bbox((113.0, 29.8, 113.02, 29.82), "EPSG:4490", shape=(SIDE, SIDE))
WATER = (700, 800, 650, 350, 180, 120)
PLANTS = (400, 700, 450, 3200, 1800, 900)
SOIL = (900, 1200, 1500, 2300, 2900, 2300)
LAKE = np.hypot(*(np.indices((SIDE, SIDE)) - SIDE / 2)) < 60


@dataclass
class Series:
    """Scenes in memory."""

    records: tuple[SceneRecord, ...]
    values: Mapping[tuple[str, str], np.ndarray]
    layer: Any = None
    version: str = "1"
    refused: tuple[tuple[str, str], ...] = ()

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> np.ndarray:
        return self.values[self.records[scene].id, band][row : row + height, col : col + width].copy()


@dataclass
class Kept:
    """Rasters of a run in memory."""

    rasters: dict[str, np.ndarray] = field(default_factory=dict)

    def raster(self, name: str, *, bands: Any, dtype: str, nodata: float, **_: Any) -> Any:
        values = self.rasters[name] = np.full((len(bands), SIDE, SIDE), nodata, dtype)

        class Raster:
            def write(self, row: int, col: int, part: np.ndarray, *, band: int = 1) -> None:
                values[band - 1, row : row + part.shape[0], col : col + part.shape[1]] = part

        return Raster()


def optical(
    name: str, day: int, *, mask: bool = True, cloudy: bool = False
) -> tuple[SceneRecord, dict[tuple[str, str], np.ndarray]]:
    rng = np.random.default_rng(day)
    share = rng.random((SIDE, SIDE))
    values = {}
    for k, band in enumerate(OPTICAL_BANDS):
        key = "nir08" if band == "nir" else band
        ground = np.where(LAKE, WATER[k], share * PLANTS[k] + (1 - share) * SOIL[k]) * rng.normal(1, 0.05, LAKE.shape)
        values[name, key] = (ground + 1000).round().astype(np.uint16)
    if mask:
        values[name, "scl"] = np.full((SIDE, SIDE), 9 if cloudy else 4, np.uint8)
        values[name, "scl"][:20, :20] = 9
    bands = {band: SceneBand(nodata=0) for _, band in values}
    properties = {"processing:level": "L2A", "s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": False}
    return SceneRecord(name, datetime(2026, 7, day, 3, tzinfo=UTC), "sentinel-2b", bands, properties), values


def inputs(*scenes: tuple[SceneRecord, dict[tuple[str, str], np.ndarray]]) -> Inputs:
    values = {key: array for _, found in scenes for key, array in found.items()}
    series = Series(tuple(record for record, _ in scenes), values)
    return Inputs(GRID, {}, {}, {"water_extent": DOCUMENT}, {}, "", scenes={"scenes": series})  # type: ignore[dict-item]


def run(given: Inputs, **parameters: Any) -> tuple[Any, np.ndarray]:
    kept = Kept()
    result = WaterExtent(block=128).run(given, ExtentParameters(**parameters), kept, lambda share, text: None)  # type: ignore[arg-type]
    return result, kept.rasters["extent"]


@pytest.mark.parametrize("method", ["dswx", "wofs", "mndwi", "awei-nsh", "awei-sh"])
def test_the_newest_usable_scene_is_mapped(method: str) -> None:
    result, extent = run(inputs(optical("a", 1), optical("b", 5), optical("c", 9, cloudy=True)), method=method)
    totals = result.tables["totals"][0]
    assert totals["scene"] == "b"
    assert totals["time"] == "2026-07-05T03:00:00Z"
    assert [row["used"] for row in result.tables["scenes"]] == [False, True, False]
    assert result.tables["scenes"][2]["codes"] == ["all-cloud"]
    assert (extent[0, :20, :20] == CLOUD).all()
    wet = (extent[0] == 1) | (extent[0] == 2)
    clear = extent[0] < 250
    assert (wet == LAKE)[clear].mean() > 0.99
    areas = np.broadcast_to(np.asarray(cell_areas(GRID)).reshape(SIDE, -1)[:, :1], (SIDE, SIDE))
    assert totals["water_km2"] == pytest.approx(areas[wet].sum() / 1e6, abs=1e-6)
    assert totals["clear_share"] == pytest.approx(1 - 400 / SIDE**2)
    names = {row["name"] for row in result.tables["thresholds"]}
    assert names & {"t1_mndwi", "rows", "threshold"}


def test_blocks_change_nothing_and_the_numbers_are_those_of_the_library() -> None:
    from analyses.water.extent.reflectance import calibration, to_reflectance

    scene = optical("a", 1)
    _, extent = run(inputs(scene))
    how = calibration(RULES, "sentinel-2-l2a", baseline="05.10", offset_applied=False)
    bands = {b: to_reflectance(scene[1]["a", "nir08" if b == "nir" else b], how) for b in OPTICAL_BANDS}
    mask = np.where(scene[1]["a", "scl"] == 9, CLOUD, 0).astype(np.uint8)
    expected = water_extent(bands, RULES, mask=mask)
    for values, plain in zip(extent, (expected.codes, expected.bits, expected.confidence), strict=True):
        np.testing.assert_array_equal(values, plain)


def test_scenes_that_cannot_be_used_are_refused_with_the_reason() -> None:
    with pytest.raises(LayerEmpty, match="cloud"):
        run(inputs(optical("a", 1, cloudy=True)))
    with pytest.raises(LayerEmpty, match="no cloud mask"):
        run(inputs(optical("a", 1, mask=False)))
    result, _ = run(inputs(optical("a", 1, mask=False)), accept_unmasked=True)
    assert result.tables["totals"][0]["scene"] == "a"
    with pytest.raises(InvalidParameter, match="no scene z"):
        run(inputs(optical("a", 1)), scene="z")
    older, _ = run(inputs(optical("a", 1), optical("b", 5)), scene="a")
    assert older.tables["totals"][0]["scene"] == "a"


def radar(unit: str | None) -> tuple[SceneRecord, dict[tuple[str, str], np.ndarray]]:
    rng = np.random.default_rng(2)
    vv = (np.where(LAKE, -20.0, -9.0) + rng.normal(0, 1, LAKE.shape)).astype(np.float32)
    vh = (np.where(LAKE, -28.0, -15.0) + rng.normal(0, 1, LAKE.shape)).astype(np.float32)
    bands = {name: SceneBand(nodata=None, unit=unit) for name in ("vv", "vh")}
    record = SceneRecord("s1", datetime(2026, 7, 2, 10, tzinfo=UTC), "sentinel-1a", bands, {})
    return record, {("s1", "vv"): vv, ("s1", "vh"): vh}


def test_radar_scenes() -> None:
    result, extent = run(inputs(optical("a", 1), radar("dB")), method="sar")
    assert (((extent[0] == 1) | (extent[0] == 2)) == LAKE).mean() > 0.99
    assert any(row["name"] == "vv_db" for row in result.tables["thresholds"])
    assert any("hand not given" in note.en for note in result.notes)
    with pytest.raises(QualityViolation, match="unit"):
        run(inputs(radar(None)), method="sar")
    with pytest.raises(QualityViolation, match="not in power"):
        run(inputs(radar("power")), method="sar")
    with pytest.raises(LayerEmpty, match="vv or vh"):
        run(inputs(optical("a", 1)), method="sar")


def test_hand_and_slope_are_read_only_for_radar() -> None:
    roles = [spec.role for spec in WaterExtent.inputs_of(ExtentParameters(method="sar", hand="hand", slope="slope"))]
    assert roles == ["scenes", "hand", "slope"]
    assert len(WaterExtent.inputs_of(ExtentParameters(hand="hand", slope="slope"))) == 1
    assert WaterExtent.inputs_of(ExtentParameters(collection="other"))[0].layer == "other"
