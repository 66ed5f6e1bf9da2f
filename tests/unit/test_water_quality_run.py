"""Both water-quality analyses whole: a scene and series whose truth is known, blocks, a real store, refusals."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from analyses.water.quality.analysis import WaterQuality
from analyses.water.quality.masks import Reason
from analyses.water.quality.parameters import WaterQualityParameters
from analyses.water.quality.series import joined_series, matchups
from analyses.water.quality.station_analysis import StationQuality, StationQualityParameters
from analyses.water.quality.station_checks import check_series
from analyses.water.quality.station_rules import surface_water_rules
from analyses.water.shore.corridor_analysis import CorridorChangeAnalysis, CorridorChangeParameters
from spatial.catalog import Attribute, Band, Layer, Source, Text
from spatial.errors import CRSMismatch, InvalidParameter, LayerEmpty, QualityViolation
from spatial.grid import cell_areas
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.jobs.run import run_analysis
from spatial.settings import Settings
from spatial.store.datastore import DataStore

ROOT = Path(__file__).parents[2]
NAMES = ("optical_quality", "bloom", "surface_water_class", "trophic_state", "change_alerts")
RULES = {n: yaml.safe_load((ROOT / "layers" / "rules" / f"{n}.yml").read_text("utf-8")) for n in NAMES}
SECTIONS = ROOT / "data-samples" / "thematic" / "water-quality-sections.gpkg"
OPTICAL_SERIES = ROOT / "data-samples" / "thematic" / "lake-optical-series.gpkg"
STEP, WEST, NORTH = 0.0002, 114.0, 30.5
ROWS, COLS = 60, 80
ONE, TWO = (5, 55, 5, 40), (10, 50, 45, 75)  # rows and columns of two lakes


class Array:
    """A raster in memory with named bands; beyond it NaN."""

    version = "1"

    def __init__(self, layer_id: str, bands: Mapping[str, np.ndarray]) -> None:
        self.layer_id, self.unit = layer_id, "1"
        self.bands = tuple(bands)
        self.values = np.stack([np.asarray(b, np.float32) for b in bands.values()])

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        source = self.values[band - 1]
        rows, cols = np.arange(row, row + height), np.arange(col, col + width)
        out = source[rows.clip(0, ROWS - 1)][:, cols.clip(0, COLS - 1)].copy()
        out[(rows < 0) | (rows >= ROWS)] = np.nan
        out[:, (cols < 0) | (cols >= COLS)] = np.nan
        return out


class Writer:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
        self.values[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values


@dataclass
class Memory:
    """Results in memory: bands and features by name."""

    bands: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)

    def raster(self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Any) -> Writer:
        values = np.full((len(bands), ROWS, COLS), nodata, dtype=dtype)
        self.bands |= {band.name: values[k] for k, band in enumerate(bands)}
        return Writer(values)

    def features(self, name: str, frame: geopandas.GeoDataFrame, *, fields: Any, **more: Any) -> None:
        assert {f.name for f in fields} <= set(frame.columns)
        assert frame.crs is not None
        self.frames[name] = frame


GRID = GeoBox((ROWS, COLS), Affine(STEP, 0, WEST, 0, -STEP, NORTH), "EPSG:4490")


def box(rows: tuple[int, int, int, int]) -> shapely.Polygon:
    r0, r1, c0, c1 = rows
    return shapely.box(WEST + c0 * STEP, NORTH - r1 * STEP, WEST + c1 * STEP, NORTH - r0 * STEP)


def part(rows: tuple[int, int, int, int]) -> tuple[slice, slice]:
    return slice(rows[0], rows[1]), slice(rows[2], rows[3])


LAKES = geopandas.GeoDataFrame({"name": ["东湖", "西湖"]}, geometry=[box(ONE), box(TWO)], crs=4490)


def codes() -> np.ndarray:
    """Water in both lakes, cloud over two thirds of the second."""
    found = np.zeros((ROWS, COLS))
    found[part(ONE)] = found[part(TWO)] = 1
    found[10:50, 45:66] = 253
    found[0, 0] = np.nan
    return found


def scene(kind: str = "rho_w") -> Array:
    """NDCI 0.2 in the first lake, a patch of bloom of 20 × 10 cells in it; NDCI −0.05 in the second."""
    red, edge = np.full((ROWS, COLS), 0.05), np.full((ROWS, COLS), 0.06)
    red[part(ONE)], edge[part(ONE)] = 0.02, 0.03
    red[part(TWO)], edge[part(TWO)] = 0.021, 0.019
    nir, swir1 = np.full((ROWS, COLS), 0.01), np.full((ROWS, COLS), 0.005)
    if kind == "rho_rc":
        red, edge = red + 0.02, edge + 0.02
        nir[20:40, 15:25], swir1[20:40, 15:25] = 0.15, 0.03
    red[50, 30] = -0.01 if kind != "rho_rc" else red[50, 30]
    red[45, 20] = 0.09 if kind != "rho_rc" else red[45, 20]
    scale = 1 / np.pi if kind == "rrs" else 1.0
    bands = {"red": red, "rededge1": edge, "rededge2": edge, "nir08": nir, "swir1": swir1}
    return Array(f"scene-{kind}", {n: b * scale for n, b in bands.items()})


def run(
    parameters: Mapping[str, Any] = {}, *, block: int = 1024, rasters: Mapping[str, Any] | None = None, **frames: Any
) -> tuple[AnalysisResult, Memory]:
    given = {"scene": "scene-rho-w", "reflectance": "rho_w", "sensor": "sentinel2", "water_map": "map"} | dict(
        parameters
    )
    found = {"scene": scene(), "water": Array("map", {"class": codes()})} if rasters is None else dict(rasters)
    inputs = Inputs(GRID, found, {"lakes": LAKES, **frames}, RULES, {}, "/nonexistent")
    memory = Memory()
    result = WaterQuality(block).run(inputs, WaterQualityParameters(**given), memory, lambda s, t: None)
    return result, memory


BOTH = {"scene_2": "scene-rho-rc", "reflectance_2": "rho_rc", "time": datetime(2024, 7, 5, 3, tzinfo=UTC)}


def both() -> dict[str, Any]:
    return {"scene": scene(), "scene_2": scene("rho_rc"), "water": Array("map", {"class": codes()})}


def test_index_level_reason_and_bloom_of_each_cell() -> None:
    result, memory = run(BOTH, rasters=both())
    reason, ndci, level, bloom = (memory.bands[k] for k in ("reason", "ndci", "level", "bloom"))
    assert reason[30, 20] == Reason.JUDGED
    assert float(ndci[30, 20]) == pytest.approx(0.2)
    assert level[30, 20] == 5
    assert reason[5, 20] == reason[6, 20] == Reason.SHORE
    assert reason[7, 20] == Reason.JUDGED
    assert reason[30, 50] == Reason.CLOUD
    assert float(ndci[30, 70]) == pytest.approx(-0.05)
    assert level[30, 70] == 2
    assert reason[30, 42] == Reason.NOT_WATER
    assert reason[0, 0] == Reason.NODATA
    assert reason[50, 30] == Reason.NEGATIVE
    assert reason[45, 20] == Reason.SATURATED
    assert np.isnan(ndci[reason != Reason.JUDGED]).all()
    assert (level[reason != Reason.JUDGED] == 0).all()
    assert (bloom == 2).sum() == 200
    assert (bloom[20:40, 15:25] == 2).all()
    assert not result.notes[0].en.startswith("0 ")


def test_lakes_have_their_share_of_bloom_and_the_cloudy_one_has_none() -> None:
    result, memory = run(BOTH, rasters=both())
    east, west = result.tables["lakes"]
    area = cell_areas(GRID)[0]
    judged = 46 * 31 - 2  # two cells of shore on every side; one negative, one saturated
    assert east["lake"] == "东湖"
    assert east["water_km2"] == pytest.approx(50 * 35 * area / 1e6, rel=1e-4)
    assert east["clear_percent"] == pytest.approx(100 * judged / (50 * 35), abs=0.01)
    assert east["bloom_percent"] == pytest.approx(100 * 200 / judged, abs=0.01)
    assert (east["grade"], east["grade_zh"]) == (3, "局部性水华")
    assert east["ndci"] == pytest.approx(0.2, abs=0.001)
    assert (west["ndci"], west["level"], west["bloom_percent"], west["grade"]) == (None, None, None, None)
    assert "clear share" in west["reason"]
    series = memory.frames["series"]
    assert series["lake"].tolist() == ["东湖", "西湖"]
    assert str(series["time"].iloc[0]) == "2024-07-05 03:00:00+00:00"
    assert memory.frames["lakes"]["grade"].iloc[0] == "3"
    counts = {row["reason"]: row["cells"] for row in result.tables["reasons"]}
    assert sum(counts.values()) == ROWS * COLS
    assert counts[Reason.CLOUD] == 40 * 21


@pytest.mark.parametrize("block", [7, 16, 33])
def test_no_bit_depends_on_the_block(block: int) -> None:
    (whole, a), (parts, b) = run(BOTH, rasters=both()), run(BOTH, rasters=both(), block=block)
    for name, values in a.bands.items():
        assert np.array_equal(values, b.bands[name], equal_nan=True), name
    for one, other in zip(whole.tables["lakes"], parts.tables["lakes"], strict=True):
        assert {k: v for k, v in one.items() if k != "water_km2"} == {
            k: v for k, v in other.items() if k != "water_km2"
        }


def test_remote_sensing_reflectance_is_the_same_light() -> None:
    plain = run()[1].bands["ndci"]
    other = run({"reflectance": "rrs"}, rasters={"scene": scene("rrs"), "water": Array("map", {"class": codes()})})
    assert np.allclose(plain, other[1].bands["ndci"], equal_nan=True, atol=1e-6)


def test_a_formula_of_another_reflectance_is_not_assessed() -> None:
    result, memory = run()
    factors = {f.id: f for f in result.factors}
    assert factors["ndci"].assessed
    assert not factors["fai"].assessed
    assert "needs reflectance rho_rc" in factors["fai"].note.en
    assert not factors["bloom"].assessed
    assert not factors["macrophytes"].assessed
    assert not factors["concentration"].assessed
    assert (memory.bands["bloom"] <= 1).all()
    assert result.tables["lakes"][0]["bloom_percent"] is None
    only = run(
        {"reflectance": "rho_rc"}, rasters={"scene": scene("rho_rc"), "water": Array("map", {"class": codes()})}
    )[0]
    assert {f.id for f in only.factors if f.assessed} == {"fai", "afai", "clouds", "bloom"}


def test_macrophytes_are_no_bloom() -> None:
    plants = np.zeros((ROWS, COLS))
    plants[20:40, 15:20] = 1
    result, memory = run(BOTH | {"macrophytes": "plants"}, rasters=both() | {"plants": Array("plants", {"p": plants})})
    assert (memory.bands["bloom"] == 2).sum() == 100
    assert (memory.bands["reason"] == Reason.MACROPHYTES).sum() == 100
    assert len(result.notes) == 2


def test_estimates_rank_and_say_so() -> None:
    result, memory = run({"estimates": ("chl_mishra", "turbidity_nechad")})
    assert float(memory.bands["chl_mishra"][30, 20]) == pytest.approx(39.035, abs=1e-3)
    factor = next(f for f in result.factors if f.id == "chl_mishra")
    assert "uncalibrated" in factor.note.en


def matchup_frame(n: int, noise: float = 0.05) -> geopandas.GeoDataFrame:
    rng = np.random.default_rng(4)
    index = rng.uniform(-0.1, 0.3, n)
    columns = {
        "ndci": index,
        "chl_a": np.exp(2 + 5 * index + rng.normal(0, noise, n)),
        "date": [f"2024-0{1 + k % 6}-01" for k in range(n)],
    }
    return geopandas.GeoDataFrame(columns, geometry=[shapely.Point(114, 30)] * n, crs=4490)


def test_a_concentration_needs_matchups_that_pass() -> None:
    result, memory = run({"matchups": "m"}, matchups=matchup_frame(40))
    assert float(memory.bands["chl_a"][30, 20]) == pytest.approx(np.exp(3.0), rel=0.03)
    held = result.tables["calibration"][0]
    assert held["count"] == 40
    assert 2 < held["symmetric_accuracy_percent"] < 8
    assert next(f for f in result.factors if f.id == "concentration").assessed
    with pytest.raises(QualityViolation, match="29 usable matchups"):
        run({"matchups": "m"}, matchups=matchup_frame(29))
    with pytest.raises(QualityViolation, match="does not beat"):
        run({"matchups": "m"}, matchups=matchup_frame(40).assign(ndci=np.random.default_rng(1).uniform(-0.1, 0.3, 40)))
    with pytest.raises(InvalidParameter, match="lack the fields chl_a"):
        run({"matchups": "m"}, matchups=matchup_frame(40).drop(columns="chl_a"))


@pytest.mark.parametrize(
    ("parameters", "rasters", "error", "match"),
    [
        ({"water_map": None}, {"scene": scene()}, InvalidParameter, "no cloud mask"),
        ({"scene_2": "other"}, None, InvalidParameter, "belong together"),
        ({"reflectance": "rho_s"}, None, InvalidParameter, "needs reflectance rho_w"),
        ({"reflectance": "toa"}, None, InvalidParameter, "no formula can be fed"),
        ({"sensor": "landsat8"}, None, InvalidParameter, "landsat8 lacks its bands"),
        ({"estimates": ("secchi",)}, None, InvalidParameter, "lacks the bands coastal"),
        (
            {},
            {"scene": scene(), "water": Array("map", {"class": np.full((ROWS, COLS), 253)})},
            LayerEmpty,
            "cloud or cloud shadow 4800",
        ),
        (
            {},
            {
                "scene": Array("dn", {"red": np.full((ROWS, COLS), 200.0), "rededge1": np.full((ROWS, COLS), 300.0)}),
                "water": Array("map", {"class": codes()}),
            },
            QualityViolation,
            "no reflectance",
        ),
    ],
)
def test_scenes_that_cannot_be_judged(parameters: Any, rasters: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        run(parameters, rasters=rasters)


def test_a_scene_declared_clear_needs_no_map_and_says_so() -> None:
    result, memory = run({"water_map": None, "clouds": "declared_clear"}, rasters={"scene": scene()})
    assert memory.bands["reason"][30, 50] == Reason.JUDGED
    factor = next(f for f in result.factors if f.id == "clouds")
    assert not factor.assessed
    assert "not checked" in factor.note.en


# Stations


def sections() -> geopandas.GeoDataFrame:
    return geopandas.read_file(SECTIONS)


def assess(frame: geopandas.GeoDataFrame | None = None, **parameters: Any) -> tuple[AnalysisResult, Memory]:
    frames = {"stations": sections() if frame is None else frame}
    if "satellite" in parameters:
        frames["satellite"] = geopandas.read_file(OPTICAL_SERIES)
    inputs = Inputs(GRID, {}, frames, RULES, {}, "/nonexistent")
    memory = Memory()
    return StationQuality().run(inputs, StationQualityParameters(**parameters), memory, lambda s, t: None), memory


def test_the_sample_sections_everything_planted_is_found_and_nothing_else() -> None:
    rules = surface_water_rules(RULES)
    frame = sections()
    units = {name: row.unit for name, row in rules.indicators.by_id.items() if name in frame.columns}
    found = check_series(frame, units, rules)
    assert found.counts() == {"duplicate": 1, "flatline": 9, "gap": 2, "out_of_range": 2, "spike": 3}
    spikes = {(r["station"], r["time"][:7], r["indicator"]) for r in found.flags if r["reason"] == "spike"}
    assert spikes == {
        ("长江·沙市", "2021-06", "nh3n"),
        ("汉江·襄阳", "2022-07", "tp"),
        ("梁子湖·湖心", "2023-09", "codmn"),
    }
    # The event of two months at Huangshi is none.
    kept = found.frame[(found.frame["station"] == "长江·黄石") & (found.frame["nh3n"] > 1.5)]
    assert len(kept) == 2


def test_station_quality_of_the_sample() -> None:
    result, memory = assess(satellite="lake-optical-series")
    rows = {row["station"]: row for row in result.tables["sections"]}
    assert len(rows) == 12
    assert {row["year"] for row in rows.values()} == {2024}
    # By hand, from the checked values: the mean of each item, the worst class.
    frame = memory.frames["series"]
    part_of = frame[(frame["station"] == "洪湖·湖心") & (frame["time"].dt.tz_convert("Asia/Shanghai").dt.year == 2024)]
    tp = part_of["tp"].mean()
    assert 0.1 < tp <= 0.2
    assert rows["洪湖·湖心"]["class"] == 5
    assert rows["洪湖·湖心"]["worst"] == "总磷"
    assert rows["洪湖·湖心"]["reached"] is False
    assert rows["洪湖·湖心"]["tn_class"] is not None
    assert rows["长江·宜昌"]["tn_class"] is None
    assert rows["长江·宜昌"]["tli"] is None
    assert rows["东湖·湖心"]["trophic_zh"] == "轻度富营养"
    last = result.tables["targets"][-1]
    reached = sum(row["reached"] for row in rows.values())
    assert (last["year"], last["reached"], last["with_target"]) == (2024, reached, 12)
    assert memory.frames["sections"]["class"].tolist() == [str(row["class"]) for row in result.tables["sections"]]
    event = [a for a in result.tables["alerts"] if a["station"] == "长江·黄石"]
    assert [(a["began"][:7], a["confirmed"][:7], a["worst"]) for a in event if a["confirmed"]] == [
        ("2023-03", "2023-04", "氨氮")
    ]
    trends = {(r["station"], r["quantity"]): r["direction"] for r in result.tables["trends"]}
    assert trends["东湖·湖心", "chl_a"] == "decreasing"
    assert trends["汉江·仙桃", "tp"] == "increasing"
    assert trends["洪湖·湖心", "tp"] == "increasing"
    joined = {(r["body"], r["source"], r["quantity"]) for r in result.tables["joined"]}
    assert ("洪湖", "satellite", "ndci") in joined
    assert ("洪湖", "station", "chl_a") in joined
    assert not any(body == "长江" for body, _, _ in joined)
    assert "cu" in {f.id for f in result.factors if not f.assessed}


def test_a_year_of_few_months_is_not_assessed() -> None:
    frame = sections()
    local = frame["time"].dt.tz_convert("Asia/Shanghai")
    few = frame[(local.dt.year < 2024) | (local.dt.month <= 7)]
    result, _ = assess(few)
    rows = [row for row in result.tables["annual"] if row["year"] == 2024]
    assert all(row["class"] is None and row["reason"] == "7 < 8 months" for row in rows)
    assert result.tables["targets"][-1]["reached_percent"] is None
    assert {row["year"] for row in result.tables["sections"]} == {2023}
    assert {row["year"] for row in assess(few, year=2024)[0].tables["sections"]} == {2024}


def test_units_in_the_parameters() -> None:
    frame = sections()
    plain = {r["station"]: r["class"] for r in assess(frame)[0].tables["sections"]}
    frame["tp"] = frame["tp"] * 1000
    other = assess(frame, units={"tp": "µg/L"})[0]
    assert {r["station"]: r["class"] for r in other.tables["sections"]} == plain


@pytest.mark.parametrize(
    ("change", "parameters", "error", "match"),
    [
        (lambda f: f.drop(columns="lake"), {}, InvalidParameter, "which sections are of lakes"),
        (lambda f: f.assign(target_class=np.arange(len(f)) % 3 + 1), {}, QualityViolation, "several targets"),
        (lambda f: f.assign(target_class=7), {}, QualityViolation, "no class 1–5"),
        (lambda f: f.assign(lake=None), {}, QualityViolation, "missing or contradictory"),
        (lambda f: f[["station", "lake", "time", "geometry"]], {}, InvalidParameter, "no column named by an item"),
        (lambda f: f, {"year": 1999}, InvalidParameter, "no observation of 1999"),
        (lambda f: f, {"units": {"tp": "kg"}}, InvalidParameter, "the unit of total phosphorus"),
        (lambda f: f, {"units": {"hg": "mg/L"}}, InvalidParameter, "no items of the layer"),
        (lambda f: f.iloc[:0], {}, LayerEmpty, "no observation"),
        (lambda f: f.set_crs(4326, allow_override=True), {}, CRSMismatch, "EPSG:4490"),
        (lambda f: f.assign(time=f["time"].dt.tz_localize(None)), {}, InvalidParameter, "no zone"),
    ],
)
def test_series_that_cannot_be_assessed(change: Any, parameters: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        assess(change(sections()), **parameters)


def test_matchups_take_the_nearest_pass_within_the_hours() -> None:
    def at(*days: float) -> Any:
        return pandas.Timestamp("2024-07-01", tz="UTC") + pandas.to_timedelta(list(days), unit="D")

    station = pandas.DataFrame({"water_body": ["A", "A", "B"], "time": at(0, 10, 0), "chl_a": [5.0, 9.0, 1.0]})
    satellite = pandas.DataFrame({"body": ["A", "A", "A"], "time": at(0.2, 1.0, 12), "ndci": [0.1, 0.2, 0.3]})
    found = matchups(station, satellite, "chl_a", "ndci", longest_hours=24)
    assert found[["body", "index", "measured", "date"]].values.tolist() == [["A", 0.1, 5.0, "2024-07-01"]]
    assert found["hours"].iloc[0] == pytest.approx(4.8)
    with pytest.raises(InvalidParameter, match="no zone"):
        joined_series(
            station.assign(station="s", time=station["time"].dt.tz_localize(None)),
            satellite,
            {"chl_a": "mg/m3"},
            {"ndci": "1"},
        )


# The corridor


def test_corridor_change_counts_the_banks_alone() -> None:
    """A river of ten columns; one kilometre holds 52 columns of 0.0002° of longitude at 30.5° N, more than there are."""
    land = yaml.safe_load((ROOT / "layers" / "rules" / "landcover.yml").read_text("utf-8"))
    before, after = np.full((ROWS, COLS), 1.0), np.full((ROWS, COLS), 1.0)
    before[:, 35:45] = after[:, 35:45] = 10
    after[10:20, 45:55] = 12  # towns on the bank
    after[10:20, :3] = 12  # too far away
    after[30, 47] = np.nan
    river = geopandas.GeoDataFrame({"name": ["江"]}, geometry=[box((-60, 120, 35, 45))], crs=4490)
    rasters = {"earlier": Array("a", {"class": before}), "later": Array("b", {"class": after})}
    inputs = Inputs(GRID, rasters, {"river": river}, RULES | {"landcover": land}, {}, "/nonexistent")
    results = []
    for block in (1024, 13):
        memory = Memory()
        given = CorridorChangeParameters(earlier="a", later="b", distance_m=300)
        results.append((CorridorChangeAnalysis(block).run(inputs, given, memory, lambda s, t: None), memory))
    (result, memory), (_, other) = results
    # 300 m are 15.6 columns: 15 or 16 on each side by their centres.
    columns = np.flatnonzero(memory.bands["change"][5] > 0)
    assert columns.tolist() == [*range(19, 35), *range(45, 61)]
    cells = {(r["from"], r["to"]): r["cells"] for r in result.tables["transition"]}
    assert cells == {(1, 1): 60 * 32 - 100 - 1, (1, 12): 100}
    assert result.tables["compared"][0]["valid_percent"] == pytest.approx(100 * (1 - 1 / 1920), abs=1e-3)
    assert np.array_equal(memory.bands["change"], other.bands["change"])
    assert len(memory.frames["corridor"]) == 1
    wide = CorridorChangeParameters(earlier="a", later="b", distance_m=300, include_river=True)
    whole = CorridorChangeAnalysis().run(inputs, wide, Memory(), lambda s, t: None)
    assert {(r["from"], r["to"]): r["cells"] for r in whole.tables["transition"]}[10, 10] == 600
    far = geopandas.GeoDataFrame({"name": ["远"]}, geometry=[shapely.box(111.0, 30.0, 111.1, 30.1)], crs=4490)
    away = Inputs(GRID, rasters, {"river": far}, RULES | {"landcover": land}, {}, "/nonexistent")
    with pytest.raises(InvalidParameter, match="no river of layer"):
        CorridorChangeAnalysis().run(away, given, Memory(), lambda s, t: None)
    with pytest.raises(InvalidParameter, match="choose two layers"):
        CorridorChangeAnalysis().run(
            inputs, CorridorChangeParameters(earlier="a", later="a"), Memory(), lambda s, t: None
        )


# A real store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataStore]:
    for name, value in sample.environment(tmp_path / "site").items():
        monkeypatch.setenv(name, value)
    rules = tmp_path / "site" / "layers" / "rules"
    rules.mkdir()
    for name in (*NAMES, "intake"):
        shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", rules)
    found = DataStore.open(Settings())
    classes = {"water-quality": WaterQuality, "station-quality": StationQuality}
    monkeypatch.setattr("spatial.jobs.run.find_analysis", classes.__getitem__)
    yield found
    found.close()


def described(id: str, **more: Any) -> Layer:
    title = Text(zh="试", en="test")
    source = Source(uri="x", version="1", sha256="0" * 64, licence="CC0", attribution=title, origin="test")
    return Layer(id=id, title=title, description=title, theme=("base",), source=source, **more)


def publish_raster(store: DataStore, folder: Path, array: Array, id: str, dtype: str, nodata: float) -> None:
    path = folder / f"{id}.tif"
    values = np.where(np.isnan(array.values), nodata, array.values).astype(dtype)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=ROWS,
        width=COLS,
        count=len(values),
        dtype=dtype,
        nodata=nodata,
        crs="EPSG:4490",
        transform=GRID.affine,
    ) as dataset:
        dataset.write(values)
    title = Text(zh="波段", en="band")
    style = {
        "type": "ramp",
        "band": array.bands[0],
        "stops": [{"value": 0, "color": "#000000"}, {"value": 1, "color": "#ffffff"}],
    }
    bands = tuple(Band(name=n, title=title, unit="1", valid_range=(-1, 255)) for n in array.bands)
    store.publish_raster(described(id, kind="raster", bands=bands, style=style), path)


def published(store: DataStore, id: str, frame: geopandas.GeoDataFrame, fields: Mapping[str, str]) -> None:
    frame = frame.reset_index(drop=True)
    frame.index = np.arange(1, len(frame) + 1)
    title = Text(zh="字段", en="field")
    attributes = tuple(Attribute(name=n, type=t, title=title) for n, t in fields.items())
    style = {"type": "single", "fill": "#ff0000"}
    store.publish_vector(described(id, kind="vector", fields=attributes, style=style), frame[[*fields, "geometry"]])


def test_both_analyses_in_a_real_store(tmp_path: Path, store: DataStore) -> None:
    publish_raster(store, tmp_path, scene(), "scene-rho-w", "float32", -9999)
    publish_raster(store, tmp_path, scene("rho_rc"), "scene-rho-rc", "float32", -9999)
    publish_raster(store, tmp_path, Array("map", {"class": codes()}), "map", "uint8", 255)
    published(store, "lakes", LAKES, {"name": "string"})
    result = run_analysis(
        store,
        "water-quality",
        {
            "scene": "scene-rho-w",
            "reflectance": "rho_w",
            "sensor": "sentinel2",
            "scene_2": "scene-rho-rc",
            "reflectance_2": "rho_rc",
            "water_map": "map",
            "time": "2024-07-05T03:00:00Z",
        },
        publish=True,
        job_id="aaaa-0000",
    )
    expected, memory = run(BOTH, rasters=both())
    assert result.tables["lakes"][0]["bloom_percent"] == expected.tables["lakes"][0]["bloom_percent"]
    with rasterio.open(result.rasters["level"]) as written:
        assert np.array_equal(written.read(2), memory.bands["reason"])
    assert {"level", "index", "lakes", "series"} <= set(result.layers)
    assert store.snapshot().vector(result.layers["series"]).layer.kind == "stations"
    frame = sections()
    kinds = {c: "number" for c in frame.columns if frame[c].dtype.kind == "f"}
    kinds |= {
        "station": "string",
        "water_body": "string",
        "lake": "boolean",
        "target_class": "integer",
        "time": "datetime",
    }
    published(store, "water-quality-sections", frame, kinds)
    found = run_analysis(
        store, "station-quality", {"satellite": result.layers["series"]}, publish=True, job_id="bbbb-0000"
    )
    assert found.tables["targets"][-1]["sections"] == 12
    assert set(found.layers) == {"sections", "series"}
    assert {r["body"] for r in found.tables["joined"]} == {"东湖"}
