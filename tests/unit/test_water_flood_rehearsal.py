"""The flood rehearsal on the synthetic Hankou: intact dikes, overtopping, breach, detention, forecast, refusals; a real store."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import yaml
from odc.geo.geobox import GeoBox

from analyses.water.flood.dikes import crest_cells
from analyses.water.flood.inundation import BELOW, FLOODED, RELEASED, WATERS
from analyses.water.flood.parameters import FloodRehearsalParameters
from analyses.water.flood.rehearsal import FloodRehearsal
from analyses.water.flood.strips_analysis import FloodStrips, FloodStripsParameters
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation, SpatialError
from spatial.jobs.contract import AnalysisResult, Axis, Inputs
from spatial.jobs.registry import check_parameters
from spatial.settings import PROJECT_ROOT

DATA = PROJECT_ROOT / "data-samples" / "thematic"
FILES = {
    "river": "hankou-river",
    "gauges": "river-gauges",
    "dikes": "hankou-dikes",
    "polders": "polders",
    "detention": "detention-areas",
    "roads": "roads",
    "works": "hankou-works",
    "forecast": "river-levels",
    "counties": "../base/counties",
}
BREACH = (114.2675, 30.5816)
"""On the dike of Hankou (汉口江堤)."""
CELL_M2 = 30.9 * 26.6


@cache
def rules() -> dict[str, Any]:
    folder = PROJECT_ROOT / "layers" / "rules"
    return {name: yaml.safe_load((folder / f"{name}.yml").read_text("utf-8")) for name in ("flood", "landcover")}


@cache
def bands(name: str) -> tuple[np.ndarray, tuple[str, ...], Any]:
    with rasterio.open(DATA / f"{name}.tif") as file:
        return file.read(masked=True).filled(np.nan).astype("float32"), file.descriptions, file.transform


@cache
def frame(role: str) -> geopandas.GeoDataFrame:
    return geopandas.read_file(DATA / f"{FILES[role]}.gpkg")


class Raster:
    version = "1"
    layer: Any = None

    def __init__(self, name: str) -> None:
        self.layer_id, (self.values, self.bands, self.affine) = name, bands(name)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        return self.values[band - 1, row : row + height, col : col + width].copy()


@dataclass
class Strips:
    """A prepared raster of strips, also of a grid that is larger than the run's."""

    values: np.ndarray
    origin: tuple[int, int] = (0, 0)
    layer: Any = None
    layer_id = "strips"
    version = "1"
    bands = ("node",)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        row, col = row + self.origin[0], col + self.origin[1]
        part = self.values[row : row + height, col : col + width].astype("float32")
        return np.where(part == 0, np.float32(np.nan), part)

    @property
    def source_shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    def axes(self) -> tuple[Axis, Axis]:
        return Axis(1.0, 0.0, self.origin[0]), Axis(1.0, 0.0, self.origin[1])


@dataclass
class Memory:
    """Results in memory."""

    shape: tuple[int, int]
    rasters: dict[str, np.ndarray] = field(default_factory=dict)
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)

    def raster(self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Any) -> Any:
        values = np.full((len(bands), *self.shape), nodata, dtype)
        self.rasters[name] = values

        class Writer:
            def write(self, row: int, col: int, part: np.ndarray, *, band: int = 1) -> None:
                values[band - 1, row : row + part.shape[0], col : col + part.shape[1]] = part

        return Writer()

    def features(self, name: str, frame: geopandas.GeoDataFrame, *, fields: Any, **options: Any) -> None:
        assert {f.name for f in fields} <= set(frame.columns)
        self.frames[name] = frame


def rehearse(
    tmp_path: Path,
    *,
    block: int = 512,
    frames: dict[str, Any] | None = None,
    document: Any = None,
    strips: Strips | None = None,
    versions: dict[str, str] | None = None,
    **parameters: Any,
) -> tuple[AnalysisResult, Memory]:
    if strips is not None:
        parameters["strips"] = "strips"
    checked = check_parameters(FloodRehearsalParameters, parameters, process="flood-rehearsal")
    rasters: dict[str, Any] = {"terrain": Raster("hankou-terrain")}
    if checked.land is not None:
        rasters["land"] = Raster(checked.land)
    if strips is not None:
        rasters["strips"] = strips
    grid = GeoBox(rasters["terrain"].values.shape[1:], rasters["terrain"].affine, "EPSG:4490")
    roles = [r for r in FILES if r != "forecast" or checked.forecast is not None]
    features = {role: frame(role) for role in roles} | (frames or {})
    if checked.dikes is None:
        features.pop("dikes")
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    inputs = Inputs(grid, rasters, features, document or rules(), versions or {}, str(scratch), threads=2)
    outputs = Memory(grid.shape.yx)
    return FloodRehearsal(block).run(inputs, checked, outputs, lambda share, text: None), outputs


@cache
def behind() -> np.ndarray:
    """Cells behind the main dikes, away from the dike itself: each side of the river by its dike and the box."""
    lines = frame("dikes")
    main = shapely.line_merge(shapely.union_all(lines[lines.kind == "main"].geometry.array))
    terrain = Raster("hankou-terrain")
    rows, cols = terrain.values.shape[1:]
    a = terrain.affine
    box = shapely.box(a.c, a.f + rows * a.e, a.c + cols * a.a, a.f)
    pieces = shapely.get_parts(shapely.polygonize([shapely.union_all([main, box.exterior])]))
    stream = shapely.union_all(frame("river").geometry.array)
    dry = [p for p in pieces if not p.intersects(stream)]
    assert len(dry) == 3, "汉口、汉阳、武昌"
    mask = rasterio.features.rasterize([(p.buffer(-0.0012), 1) for p in dry], (rows, cols), transform=a)
    return mask > 0


def under_dikes() -> np.ndarray:
    """Cells that a crest line touches."""
    terrain = Raster("hankou-terrain")
    shape = terrain.values.shape[1:]
    lines = frame("dikes")
    cells = crest_cells(lines.geometry.array, lines.crest_from_m, lines.crest_to_m, terrain.affine, shape).crest
    out = np.zeros(shape, bool)
    out[cells.row, cells.col] = True
    return out


def inside(role: str, name: str) -> np.ndarray:
    terrain = Raster("hankou-terrain")
    row = frame(role)
    shape = row[row.name == name].geometry.iloc[0].buffer(-0.0012)
    return rasterio.features.rasterize([(shape, 1)], terrain.values.shape[1:], transform=terrain.affine) > 0


WET = (FLOODED, RELEASED, WATERS)


# --- the truth of Hankou ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnalysisResult, Memory]:
    return rehearse(tmp_path_factory.mktemp("intact"))


def test_nothing_behind_an_intact_dike_floods(intact: tuple[AnalysisResult, Memory]) -> None:
    result, made = intact
    assert [row["level_m"] for row in result.tables["levels"]] == [27.30, 29.73], (
        "the gauge's own warning and guarantee"
    )
    ground = Raster("hankou-terrain").values[0]
    for codes, level in zip(made.rasters["extent"], (25.50, 27.93), strict=True):
        assert not np.isin(codes[behind()], WET).any()
        # The surface slopes by 0.3 m from Hankou to the end of the box; the inner dikes stand on low ground.
        low = behind() & (ground < level - 0.5) & ~under_dikes()
        assert (codes[low] == BELOW).all(), "low ground behind the dikes is listed apart"
        assert low.sum() * CELL_M2 > 1e8
    share = (ground[behind()] < 25.5).mean()
    assert 0.4 < share < 0.9, "the plain lies below 27.30 m in places"


def test_the_crest_falls_between_the_cells(tmp_path: Path) -> None:
    """Without the crest lines the same terrain leaks: burning them in is what protects."""
    _, made = rehearse(tmp_path, dikes=None, levels_m=[27.30])
    assert np.isin(made.rasters["extent"][0][behind()], WET).mean() > 0.2


def test_a_breach_floods_what_it_opens_and_nothing_else(tmp_path: Path) -> None:
    for level in (27.30, 29.73):
        result, made = rehearse(tmp_path, levels_m=[level], scenario="breach", breaches=[BREACH])
        codes = made.rasters["extent"][0]
        south = np.zeros(codes.shape, bool)
        south[480:] = True  # south of the Han
        assert np.isin(codes[behind()], RELEASED).sum() * CELL_M2 > 3e7
        assert not np.isin(codes[behind() & south], WET).any()
        assert result.tables["breaches"][0]["section"].startswith("汉口江堤")
        states = {row["name"]: row["state"] for row in result.tables["dike_sections"]}
        assert list(states.values()).count("breached") == 1
        people = [r for r in result.tables["exposure"] if r["where"] == "released" and r["depth_m"] == "all"]
        assert people[0]["people"] > 100_000
        assert people[0]["area_km2"] > 30


def test_polders_are_overtopped_by_their_crests(intact: tuple[AnalysisResult, Memory]) -> None:
    _, made = intact
    low, high = made.rasters["extent"]
    for name, floods in (("天心洲垸", True), ("白沙滩垸", True), ("江咀垸", False)):
        cells = inside("polders", name)
        assert not np.isin(low[cells], WET).any(), name
        assert np.isin(high[cells], RELEASED).all() == floods, name
    dikes = made.frames["dikes"].set_index(["name", "level_m"]).state
    assert dikes["天心洲垸民堤01", 27.30] == "holds"
    assert dikes["天心洲垸民堤01", 29.73] == "overtopped"
    assert dikes["江咀垸民堤01", 29.73] == "low_freeboard"
    assert set(dikes[[n.startswith(("武昌", "汉口江", "汉阳")) for n, _ in dikes.index]]) == {"holds"}


def test_extent_is_monotone_and_tables_agree_with_rasters(intact: tuple[AnalysisResult, Memory]) -> None:
    result, made = intact
    low, high = made.rasters["extent"]
    assert (np.isin(high, WET) >= np.isin(low, WET)).all()
    shallow, deep = made.rasters["depth"]
    wet = np.isfinite(shallow)
    assert np.allclose((deep - shallow)[wet], 2.43, atol=0.011), "one gauge: the surfaces are parallel"
    for row, codes in zip(result.tables["levels"], (low, high), strict=True):
        assert np.isin(codes, WET).sum() * CELL_M2 / 1e6 == pytest.approx(row["flooded_km2"], rel=0.01)
        assert (codes == BELOW).sum() * CELL_M2 / 1e6 == pytest.approx(row["below_not_connected_km2"], rel=0.01)


def test_basins_have_their_controlling_crest(intact: tuple[AnalysisResult, Memory]) -> None:
    """Behind the main dikes the lowest way in is over a crest, about 2 m above the highest level."""
    result, made = intact
    basins = pd.DataFrame(result.tables["basins"])
    large = basins[(basins.level_m == 29.73) & (basins.area_km2 > 20)]
    assert len(large) >= 4
    assert (large.reserve_m > 1.5).all()
    crests = frame("dikes")
    assert (large.crest_m >= crests[crests.kind == "main"].crest_to_m.min() - 0.05).all()
    polder = basins[(basins.level_m == 27.30) & np.isclose(basins.crest_m, 26.90)]
    assert len(polder) == 1, "天心洲垸 at 26.90 m"
    assert len(made.frames["basins"]) == len(basins)


def test_probability_knows_the_dikes(intact: tuple[AnalysisResult, Memory]) -> None:
    _, made = intact
    p = made.rasters["probability"][1]
    assert p[behind()].max() == 0.0, "two metres of crest are seven standard deviations"
    deep = made.rasters["depth"][1] > 2
    assert (p[deep] == 1).all()
    assert (made.rasters["probability"][1] >= made.rasters["probability"][0])[np.isfinite(p)].all()


def test_detention_areas_open_at_their_level_and_fill_to_their_design(tmp_path: Path) -> None:
    result, made = rehearse(tmp_path, levels_m=[29.00, 29.60], scenario="detention")
    north, west = inside("detention", "北湖蓄滞洪区"), inside("detention", "西滩蓄滞洪区")
    low, high = made.rasters["extent"]
    assert not np.isin(low[north | west], WET).any(), "29.00 m: below the operation levels"
    assert np.isin(high[north], RELEASED).mean() > 0.97
    assert not np.isin(high[west], WET).any(), "its operation level is 29.73 m"
    depth, ground = made.rasters["depth"][1], Raster("hankou-terrain").values[0]
    assert (depth + ground)[north & np.isfinite(depth)].max() == pytest.approx(29.00 - 1.80, abs=0.02)
    assert not np.isin(high[behind() & ~frame_mask("detention")], WET).any(), "the inner dikes hold"
    assert [row["name"] for row in result.tables["breaches"]] == ["北湖蓄滞洪区"]
    named, _ = rehearse(tmp_path, levels_m=[29.00], scenario="detention", opened=["西滩蓄滞洪区"])
    assert named.tables["breaches"][0]["name"] == "西滩蓄滞洪区"


def frame_mask(role: str) -> np.ndarray:
    terrain = Raster("hankou-terrain")
    shapes = [(g.buffer(0.0012), 1) for g in frame(role).geometry]
    return rasterio.features.rasterize(shapes, terrain.values.shape[1:], transform=terrain.affine) > 0


def test_plan_list(intact: tuple[AnalysisResult, Memory]) -> None:
    plan = pd.DataFrame(intact[0].tables["plan"])
    low, high = (plan[plan.level_m == v].set_index("name").status for v in (27.30, 29.73))
    assert low["汉口"] == "warning"
    assert high["汉口"] == "guarantee"
    assert "天心洲垸" not in low.index
    assert set(high[["天心洲垸", "白沙滩垸", "江咀垸", "北湖蓄滞洪区", "西滩蓄滞洪区"]]) == {"operate"}
    areas = intact[1].frames["plans"]
    assert areas[(areas.level_m == 29.73) & (areas.name == "天心洲垸")].flooded_km2.iloc[0] > 2.5


def test_no_block_size_changes_a_bit(intact: tuple[AnalysisResult, Memory], tmp_path: Path) -> None:
    result, made = rehearse(tmp_path, block=333)
    for name, values in made.rasters.items():
        assert np.array_equal(values, intact[1].rasters[name], equal_nan=True), name
    assert result.tables == intact[0].tables


# --- strips prepared once ---------------------------------------------------------------------------------------------


def prepared(frame_of_river: Any = None) -> np.ndarray:
    """Strips as `flood-strips` makes them."""
    terrain = Raster("hankou-terrain")
    grid = GeoBox(terrain.values.shape[1:], terrain.affine, "EPSG:4490")
    river = frame("river") if frame_of_river is None else frame_of_river
    outputs = Memory(grid.shape.yx)
    inputs = Inputs(grid, {"terrain": terrain}, {"river": river}, rules(), {}, "", threads=2)
    result = FloodStrips(block=100).run(inputs, FloodStripsParameters(), outputs, lambda share, text: None)
    assert result.tables["totals"][0]["valid_share"] == 1.0
    return outputs.rasters["strips"][0]


def test_prepared_strips_give_the_same_bits(intact: tuple[AnalysisResult, Memory], tmp_path: Path) -> None:
    values = prepared()
    assert values.dtype == np.uint16
    result, made = rehearse(tmp_path, strips=Strips(values))
    for name, raster in made.rasters.items():
        assert np.array_equal(raster, intact[1].rasters[name], equal_nan=True), name
    assert result.tables == intact[0].tables
    notes = {
        r: next(f for f in run.factors if f.id == "strips").note.en for r, run in (("with", result), ("own", intact[0]))
    }
    assert "prepared layer strips" in notes["with"]
    assert notes["own"] == "made in the run"


def moved(**changes: Any) -> geopandas.GeoDataFrame:
    river = frame("river").copy()
    if "by" in changes:
        river.geometry = river.geometry.translate(changes["by"], 0)
    if "rows" in changes:
        river = river.iloc[changes["rows"]]
    return river


@pytest.mark.parametrize(
    "river",
    [lambda: moved(by=0.004), lambda: moved(by=0.0003), lambda: moved(rows=[0]), lambda: moved(rows=[1, 0])],
    ids=["moved", "moved by a cell", "a river less", "other order"],
)
def test_strips_of_another_river_are_refused(tmp_path: Path, river: Any) -> None:
    with pytest.raises(QualityViolation, match="run flood-strips again") as caught:
        rehearse(tmp_path, strips=Strips(prepared(river())))
    assert caught.value.details["reason"] == "strips-out-of-date"


def test_strips_of_another_grid_width_or_version_are_refused(tmp_path: Path) -> None:
    values = prepared()
    with pytest.raises(QualityViolation, match="out of date"):
        rehearse(tmp_path, strips=Strips(np.roll(values, 3, axis=1)))
    narrow = copy.deepcopy(rules())
    narrow["flood"]["surface"]["strip_limit_m"] = 8000
    with pytest.raises(QualityViolation, match="row "):
        rehearse(tmp_path, strips=Strips(values), document=narrow)
    record = {"inputs": [{"role": "river", "layer": "hankou-river", "version": "1"}]}
    with pytest.raises(QualityViolation, match="version 2"):
        rehearse(
            tmp_path, strips=Strips(values, layer=SimpleNamespace(provenance=record)), versions={"hankou-river": "2"}
        )


# --- forecast --------------------------------------------------------------------------------------------------------


def test_forecast_gives_crest_and_flood_days(tmp_path: Path) -> None:
    mine = frame("forecast")
    mine = mine[mine.station == "汉口"]
    result, made = rehearse(tmp_path, forecast="river-levels")
    peak = mine.level_m.max()
    assert [row["level_m"] for row in result.tables["levels"]] == [peak]
    days = made.rasters["days"][0]
    assert not days[behind()].any()
    foreland = (made.rasters["extent"][0] == FLOODED) & (days < 92)
    ground = Raster("hankou-terrain").values[0]
    assert days.max() == len(mine) == 92
    row, col = np.argwhere(foreland & (days > 5))[0]
    assert ground[row, col] < peak - 1.8 + 0.3
    higher = foreland & (ground > ground[row, col] + 1)
    assert days[higher].mean() < days[row, col] + 10
    assert len(result.tables["daily_levels"]) == 92


def test_a_bad_series_is_flagged_and_its_spike_is_no_crest(tmp_path: Path) -> None:
    bad = frame("forecast").copy()
    mine = bad.index[bad.station == "汉口"]
    true = bad.loc[mine, "level_m"].max()
    bad.loc[mine[10], "level_m"] = 34.0
    bad.loc[mine[20], "level_m"] = 99.0
    again = bad.loc[[mine[30]]].assign(level_m=lambda d: d.level_m + 1)
    bad = pd.concat([bad, again, bad.loc[[mine[40]]]], ignore_index=True)
    loose = copy.deepcopy(rules())
    loose["flood"]["series"]["spike_m_per_h"] = 0.05
    result, _ = rehearse(tmp_path, forecast="river-levels", frames={"forecast": bad}, document=loose)
    flags = sorted(row["flag"] for row in result.tables["series_flags"])
    assert flags == ["conflict", "conflict", "duplicate", "range", "spike"]
    assert result.tables["levels"][-1]["level_m"] == true
    assert any("5" in note.en for note in result.notes)


def forecast(**changes: Any) -> dict[str, Any]:
    made = geopandas.read_file(DATA / "river-forecast.gpkg")
    return {"forecast": made.assign(**changes) if changes else made}


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnalysisResult, Memory]:
    return rehearse(tmp_path_factory.mktemp("ahead"), frames=forecast(), forecast="river-forecast")


def test_every_lead_time_has_its_map_and_none_shows_less_water(ahead: tuple[AnalysisResult, Memory]) -> None:
    result, made = ahead
    rows = result.tables["horizons"]
    mine = forecast()["forecast"]
    mine = mine[mine.station == "汉口"].set_index("time").level_m
    issued = mine.index[0]
    assert [row["level_m"] for row in rows] == [mine[issued + pd.Timedelta(hours=h)] for h in (24, 48, 72, 96, 120)]
    assert [row["grade"] for row in rows] == ["warning"] * 5
    levels = [row["level_m"] for row in result.tables["levels"]]
    assert levels == sorted({row["map_level_m"] for row in rows}), "the crest shares the map of the fourth day"
    assert all(row["level_m"] <= row["map_level_m"] <= row["level_m"] + 0.25 for row in rows)
    assert np.diff(levels).min() > 0.25, "maps differ by more than the error of the terrain"
    assert made.rasters["extent"].shape[0] == len(levels)
    assert [row["band"] for row in rows] == ["level_1", "level_2", "level_3", "level_4", "level_4"]
    assert not np.isin(made.rasters["extent"][:, behind()], WET).any()
    assert any("share" in n.en or "stands for them" in n.en for n in result.notes)


def test_the_plan_list_says_when_who_and_how_sure(ahead: tuple[AnalysisResult, Memory]) -> None:
    result, made = ahead
    rows = {row["name"]: row for row in result.tables["schedule"]}
    assert list(rows) == ["白沙滩垸", "天心洲垸", "北湖蓄滞洪区", "江咀垸", "西滩蓄滞洪区"], "in the order of time"
    # The crest is 29.60 ± 0.282 m: 29.50 and 29.60 m are reached only within the uncertainty, 29.73 m may be.
    sure = {name: row["certainty"] for name, row in rows.items()}
    assert (sure["白沙滩垸"], sure["天心洲垸"]) == ("sure", "sure")
    assert (sure["北湖蓄滞洪区"], sure["江咀垸"]) == ("within_uncertainty", "within_uncertainty")
    assert sure["西滩蓄滞洪区"] == "possible"
    assert rows["西滩蓄滞洪区"]["reached"] is None
    # 29.47 m at 14:00, 29.56 m at 20:00 Beijing time: 29.50 m a third of the way.
    assert rows["北湖蓄滞洪区"]["reached"] == "2024-07-31T16:00+08:00"
    assert rows["北湖蓄滞洪区"]["until"] == "2024-08-01T17:00+08:00"
    # Who lives there: the raster of people inside the polygon, by county.
    cells = inside("detention", "北湖蓄滞洪区")
    density = bands("hankou-land")[0][1]
    whole = rasterio.features.rasterize(
        [(g, 1) for g in frame("detention")[frame("detention").name == "北湖蓄滞洪区"].geometry],
        cells.shape, transform=Raster("hankou-terrain").affine,
    )  # fmt: skip
    assert rows["北湖蓄滞洪区"]["people"] == pytest.approx((density[whole > 0] * CELL_M2 / 1e6).sum(), rel=0.01)
    parts = [p for p in result.tables["area_exposure"] if p["name"] == "北湖蓄滞洪区"]
    assert sum(p["people"] for p in parts) == rows["北湖蓄滞洪区"]["people"]
    assert {p["county"] for p in parts} == {"江岸区", "东西湖区", "黄陂区"}
    assert rows["北湖蓄滞洪区"]["works"] == "汉口泵站3"
    assert set(made.frames["plans"].certainty.dropna()) >= {"sure", "within_uncertainty", "possible"}
    county = pd.DataFrame(result.tables["exposure_by_county"])
    flooded = pd.DataFrame(result.tables["exposure"])
    flooded = flooded[(flooded["where"] == "flooded") & (flooded.depth_m == "all")].set_index("level_m")
    assert np.allclose(county.groupby("level_m").area_km2.sum(), flooded.area_km2, atol=0.001)
    assert np.allclose(county.groupby("level_m").people.sum(), flooded.people, atol=5)


def test_issues_are_told_apart_and_nothing_is_drawn_on(tmp_path: Path) -> None:
    old = forecast()["forecast"]
    old = old.assign(issue_time=old.issue_time - pd.Timedelta(days=1), level_m=old.level_m + 5)
    both = {"forecast": pd.concat([forecast()["forecast"], old], ignore_index=True)}
    result, _ = rehearse(tmp_path, frames=both, forecast="river-forecast", horizons_h=[24, 150], land=None)
    assert result.tables["forecast"][0]["issued"] == "2024-07-28T00:00:00+00:00", "the latest"
    first, beyond = result.tables["horizons"]
    assert first["level_m"] == 27.32
    assert (beyond["level_m"], beyond["assessed"]) == (None, False)
    with pytest.raises(InvalidParameter, match="2024-07-27"):
        rehearse(tmp_path, frames=both, forecast="river-forecast", issued="2024-07-01T00:00:00Z")
    with pytest.raises(InvalidParameter, match="no issue to choose"):
        rehearse(tmp_path, forecast="river-levels", issued="2024-07-01T00:00:00Z")
    bare = forecast(issue_time=old.issue_time.dt.tz_localize(None))
    with pytest.raises(QualityViolation, match="without a zone"):
        rehearse(tmp_path, frames=bare, forecast="x")
    unsure, _ = rehearse(tmp_path, frames=forecast(sd_m=np.nan), forecast="river-forecast", horizons_h=[96], land=None)
    assert {row["certainty"] for row in unsure.tables["schedule"]} == {None}, "an unknown uncertainty is not zero"


def test_an_offset_of_the_run_is_used_and_stamped(tmp_path: Path) -> None:
    gauges = frame("gauges").copy()
    gauges.loc[gauges.name == "汉口", "name"] = "武汉关"
    with pytest.raises(QualityViolation, match="武汉关 has no offset"):
        rehearse(tmp_path, frames={"gauges": gauges}, station="武汉关", levels_m=[27.30], land=None)
    given = {
        "station": "武汉关",
        "datum": "吴淞",
        "target": "1985",
        "add_m": -1.80,
        "uncertainty_m": 0.2,
        "source": "测试用的水文部门函件",
    }
    result, _ = rehearse(
        tmp_path, frames={"gauges": gauges}, station="武汉关", levels_m=[27.30], land=None, offsets=[given]
    )
    assert result.tables["levels"][0]["level_terrain_m"] == 25.5
    surface = next(f for f in result.factors if f.id == "surface")
    assert "given for this run: 测试用的水文部门函件" in surface.source
    assert "± 0.20" in surface.note.en
    assert result.tables["offsets"] == [
        {**given, "source": f"本次运行给出 given for this run: {given['source']}", "given_for_run": True}
    ]


def test_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    bare = frame("forecast").copy()
    bare["time"] = bare.time.dt.tz_localize(None)
    with pytest.raises(QualityViolation, match="no usable value") as caught:
        rehearse(tmp_path, forecast="river-levels", frames={"forecast": bare})
    assert caught.value.details["flags"] == ["no_zone"]


# --- undecidable, flagged, refused -----------------------------------------------------------------------------------


def test_a_coarse_terrain_gives_no_map(tmp_path: Path) -> None:
    coarse = copy.deepcopy(rules())
    coarse["flood"]["terrains"]["list"][0]["sigma_m"] = 3.0
    result, made = rehearse(tmp_path, document=coarse)
    assert made.rasters == {}
    assert made.frames == {}
    verdict = result.tables["verdict"][0]
    assert (verdict["decidable"], verdict["verdict"]["zh"]) == (False, "无法判定")
    assert "3 m" in result.notes[0].en
    assert not next(f for f in result.factors if f.id == "precision").assessed
    assert result.tables["warning"][1]["grade"] == "guarantee", "the grade of the level needs no terrain"


def test_close_levels_are_undecidable_too(tmp_path: Path) -> None:
    _, made = rehearse(tmp_path, levels_m=[27.30, 27.45])
    assert made.rasters == {}


def test_a_level_below_the_bed_is_flagged(tmp_path: Path) -> None:
    result, made = rehearse(tmp_path, levels_m=[1.0])
    assert result.tables["levels"][0]["flag"] == "level_below_bed"
    assert result.tables["levels"][0]["flooded_km2"] == 0
    assert not np.isin(made.rasters["extent"], WET).any()
    assert any("below all ground" in note.en for note in result.notes)


def no_datum(role: str) -> dict[str, Any]:
    changed = frame(role).copy()
    changed["datum"] = None
    return {role: changed}


@pytest.mark.parametrize(
    ("frames", "parameters", "error", "match"),
    [
        (lambda: no_datum("gauges"), {}, QualityViolation, "datum of station 汉口"),
        (lambda: no_datum("dikes"), {}, QualityViolation, "crest heights"),
        (lambda: {"dikes": frame("dikes").assign(datum="吴淞")}, {}, QualityViolation, "one datum"),
        (lambda: {"dikes": frame("dikes").assign(crest_to_m=np.nan)}, {}, QualityViolation, "no crest height"),
        (lambda: {}, {"land": "hankou-terrain"}, InvalidParameter, "no band land_use"),
        (lambda: {}, {"station": "武汉"}, InvalidParameter, "0 gauges"),
        (lambda: {}, {"station": "宜昌"}, InvalidParameter, "not on this reach"),
        (lambda: {}, {"station": "襄阳", "levels_m": [67.0]}, InvalidParameter, "not on this reach"),
        (lambda: {}, {"terrain": "hillshade"}, QualityViolation, "datum and error of terrain"),
        (lambda: {}, {"scenario": "breach", "breaches": [(114.20, 30.65)]}, InvalidParameter, "nearest dike"),
        (lambda: {}, {"scenario": "detention", "opened": ["洪湖"]}, InvalidParameter, "no detention area"),
        (lambda: {}, {"dikes": None, "scenario": "breach", "breaches": [BREACH]}, InvalidParameter, "nothing to breach"),
        (lambda: {"river": frame("river").iloc[:0]}, {}, LayerEmpty, "no feature"),
        (lambda: {"river": frame("river").assign(to_km=0.0)}, {}, InvalidParameter, "chainage grows"),
        (lambda: {"detention": frame("detention").assign(datum="未注明")}, {"scenario": "detention"}, QualityViolation, "datum"),
        (lambda: {}, {"other_levels": {"宜昌": 50.0}, "levels_m": [27.3]}, InvalidParameter, "not on this reach"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(
    tmp_path: Path, frames: Any, parameters: dict[str, Any], error: type[SpatialError], match: str
) -> None:
    with pytest.raises(error, match=match) as caught:
        rehearse(tmp_path, frames=frames(), **parameters)
    assert caught.value.zh
    assert caught.value.en


@pytest.mark.parametrize(
    "parameters",
    [
        {"levels_m": []},
        {"levels_m": [27.3, 27.3]},
        {"levels_m": [27.3, float("nan")]},
        {"levels_m": [1e5]},
        {"scenario": "breach"},
        {"breaches": [BREACH]},
        {"scenario": "breach", "breaches": [(30.6155, 114.3035)]},
        {"scenario": "breach", "breaches": [BREACH], "breach_width_m": 0},
        {"opened": ["x"]},
        {"other_levels": {"黄石": 24.0}},
        {"scenario": "flood"},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        check_parameters(FloodRehearsalParameters, parameters, process="flood-rehearsal")


def test_what_is_missing_is_not_assessed(tmp_path: Path) -> None:
    empty = {role: frame(role).iloc[:0] for role in ("roads", "works", "polders", "detention")}
    result, made = rehearse(tmp_path, land=None, frames=empty, levels_m=[27.30])
    assessed = {f.id: f.assessed for f in result.factors}
    assert not any(assessed[name] for name in ("people", "cropland", "roads", "works", "low_water"))
    row = result.tables["exposure"][0]
    assert (row["people"], row["cropland_km2"]) == (None, None)
    assert "plans" not in made.frames
