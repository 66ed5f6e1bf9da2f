"""Riparian belts and their vegetation: areas by hand, planted greening and browning, laws."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod
from scipy import stats

from analyses.water.riparian.belt_analysis import RiparianVegetation, RiparianVegetationParameters
from analyses.water.riparian.belts import belt_names, cut_reaches, make_belts, shore_lines
from analyses.water.riparian.rules import RiparianRules, riparian_rules
from analyses.water.riparian.vegetation import cell_trends, discoveries, evi, ndvi
from analyses.water.shore.corridor_change import geodesic_buffer
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, LayerEmpty
from spatial.jobs.contract import AnalysisResult, Inputs, SceneBand, SceneRecord
from spatial.settings import PROJECT_ROOT
from spatial.units import geodesic_areas

GEOD = Geod(ellps="GRS80")
EDGES = (200.0, 500.0, 1000.0)
RULE_FILES = PROJECT_ROOT / "layers" / "rules"


def _rules() -> dict[str, Any]:
    names = ("riparian_wetland", "water_extent", "change_alerts", "water_bodies")
    return {name: yaml.safe_load((RULE_FILES / f"{name}.yml").read_text("utf-8")) for name in names}


@pytest.fixture(scope="module")
def rules() -> RiparianRules:
    return riparian_rules(_rules())


# --- belts ---------------------------------------------------------------------------------------------------------------


def test_areas_along_a_straight_shore_are_those_computed_by_hand() -> None:
    """A meridian is a geodesic: between two parallels a belt on one side has the area (to − from) · length."""
    west, south, east, north = 114.0, 30.0, 114.2, 30.1
    shore = shapely.LineString([(114.1, 29.95), (114.1, 30.15)])
    length = GEOD.inv(114.1, south, 114.1, north)[2]
    window = shapely.box(west, south, east, north)
    reaches = cut_reaches([shore], 1e6)
    both = make_belts(reaches, EDGES, spacing_m=50, window=window)
    assert both["belt"].tolist() == ["0-200", "200-500", "500-1000"]
    expected = np.array([200.0, 300.0, 500.0]) * length
    assert both["area_m2"].to_numpy() == pytest.approx(2 * expected, rel=2e-6)
    water = shapely.box(113.9, 29.9, 114.1, 30.2)
    land = make_belts(reaches, EDGES, spacing_m=50, window=window, water=water)
    assert land["area_m2"].to_numpy() == pytest.approx(expected, rel=2e-6)
    assert all(part.bounds[0] >= 114.1 - 1e-9 for part in land.geometry)


def test_reaches_cut_the_shore_in_equal_parts_and_meet_half_way() -> None:
    shore = shapely.LineString([(114.0, 30.0), (114.0, 30.09)])
    total = GEOD.line_length(*zip(*shore.coords, strict=True))
    reaches = cut_reaches([shore], 5000)
    assert [round(r.to_m - r.from_m, 3) for r in reaches] == [pytest.approx(total / 2, abs=0.01)] * 2
    assert sum(GEOD.line_length(*zip(*r.line.coords, strict=True)) for r in reaches) == pytest.approx(total, abs=0.01)
    belts = make_belts(reaches, EDGES, spacing_m=50)
    by_reach = belts.groupby("reach")["area_m2"].sum()
    # The border may be off by half the spacing: 25 m of a corridor 2 km wide.
    assert abs(by_reach["R01"] - by_reach["R02"]) <= 2 * 25 * 2000
    upper = belts[belts["reach"] == "R02"]
    assert all(part.centroid.y > 30.045 for part in upper.geometry)


def test_a_lake_has_its_belts_on_land_only_and_islands_none() -> None:
    ring = shapely.Point(114.0, 30.0).buffer(0.05)
    lake = shapely.Polygon(ring.exterior, [shapely.Point(114.0, 30.0).buffer(0.01).exterior])
    window = shapely.box(113.8, 29.8, 114.2, 30.2)
    lines, water = shore_lines(lake, window)
    belts = make_belts(cut_reaches(lines, 5000), EDGES, spacing_m=50, water=water, window=window)
    assert shapely.union_all(belts.geometry.array).intersection(ring).area < 1e-12
    # Around an ellipse in metres of this size the ring of 1 km is about perimeter · 1000 + π · 1000².
    perimeter = GEOD.line_length(*ring.exterior.coords.xy)
    assert belts["area_m2"].sum() == pytest.approx(perimeter * 1000 + np.pi * 1e6, rel=2e-3)


def test_the_edge_of_the_window_is_no_shore() -> None:
    lines, water = shore_lines(shapely.box(113.0, 29.0, 114.0, 31.0), shapely.box(113.9, 29.9, 114.1, 30.1))
    assert [line.length for line in lines] == pytest.approx([0.2])
    assert water is not None
    assert shore_lines(shapely.box(113.0, 29.0, 114.0, 31.0), shapely.box(113.5, 29.5, 113.6, 29.6))[0] == []


@settings(max_examples=10, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.floats(0, 0.05).map(lambda v: round(v, 4)), st.floats(0, 0.05).map(lambda v: round(v, 4))),
        min_size=2, max_size=5, unique=True,
    ),
    reach_m=st.sampled_from([700.0, 2500.0, 1e6]),
)  # fmt: skip
def test_belts_are_disjoint_and_sum_to_the_buffer(points: list[tuple[float, float]], reach_m: float) -> None:
    line = shapely.LineString([(113.5 + x, 30.2 + y) for x, y in points])
    reaches = cut_reaches([line], reach_m)
    belts = make_belts(reaches, EDGES, spacing_m=50)
    whole = geodesic_buffer(shapely.union_all([r.line for r in reaches]), 1000)
    assert belts["area_m2"].sum() == pytest.approx(float(geodesic_areas([whole])[0]), rel=1e-6)
    shapes = belts.geometry.to_list()
    tree = shapely.STRtree(shapes)
    for one, other in zip(*tree.query(shapes, predicate="overlaps"), strict=True):
        assert shapely.intersection(shapes[one], shapes[other]).area * 1e10 < 1.0  # m², of slivers between vertices
    assert set(belts["belt"]) <= set(belt_names(EDGES))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: make_belts([], EDGES, spacing_m=50), "没有岸线"),
        (lambda: cut_reaches([shapely.LineString([(0, 0), (1, 1)])], 0.0), "岸段长度"),
        (lambda: cell_trends(np.zeros((2, 3)), [1], [2020], least_years=3, least_looks=4), "不符"),
        (lambda: riparian_rules({}), "riparian_wetland.yml"),
    ],
)
def test_bad_input_says_what_is_wrong(call: Any, text: str) -> None:
    with pytest.raises((InvalidParameter, LayerDefinitionInvalid), match=text):
        call()


def test_rules_refuse_belts_out_of_order() -> None:
    document = _rules()["riparian_wetland"]
    document["belts"]["edges_m"] = [500, 200]
    with pytest.raises(LayerDefinitionInvalid, match="edges_m"):
        riparian_rules({"riparian_wetland": document})


# --- index and trend -----------------------------------------------------------------------------------------------------


def test_indices_by_hand(rules: RiparianRules) -> None:
    blue, red, nir = np.float32([0.03, 0.03, 0.0]), np.float32([0.05, 0.2, 0.0]), np.float32([0.45, 0.2, 0.0])
    assert ndvi(red, nir)[:2] == pytest.approx([0.8, 0.0])
    assert np.isnan(ndvi(red, nir)[2])
    assert evi(blue, red, nir)[:2] == pytest.approx([2.5 * 0.4 / 1.525, 0.0])
    assert evi(blue, red, nir)[2] == 0  # 0 / 1
    bright = evi(np.float32([0.5]), np.float32([0.3]), np.float32([0.9]))  # 1.5 / (0.9 + 1.8 − 3.75 + 1) < −1
    assert np.isnan(bright[0])


def test_trend_of_a_cell_is_that_of_scipy_for_one_month() -> None:
    random = np.random.default_rng(3)
    x = (random.normal(0, 0.05, (12, 40)) + np.linspace(0, 0.02, 40) * np.arange(12)[:, None]).astype(np.float32)
    years = np.arange(2010, 2022)
    slope, p, sign = cell_trends(x, np.full(12, 7), years, least_years=5, least_looks=10)
    for k in range(40):
        found = stats.kendalltau(years, x[:, k])
        assert slope[k] == pytest.approx(stats.theilslopes(x[:, k], years).slope, abs=1e-6)
        s = round(float(found.statistic) * 66)
        z = (abs(s) - 1) / np.sqrt(12 * 11 * 29 / 18) if s else 0.0
        assert p[k] == pytest.approx(2 * stats.norm.sf(z), rel=1e-4)
        assert sign[k] == (np.sign(s) if p[k] < 1 else 0)


def test_months_are_never_compared_with_other_months() -> None:
    """A site seen in winter first and in summer later greens by the calendar only."""
    months = [1] * 6 + [7] * 6
    years = [2015, 2016, 2017, 2018, 2019, 2020] * 2
    x = np.array([[0.2]] * 6 + [[0.7]] * 6, dtype=np.float32)
    slope, p, sign = cell_trends(x, months, years, least_years=5, least_looks=10)
    assert (slope[0], p[0], sign[0]) == (0.0, 1.0, 0)
    thin = cell_trends(x[:8], months[:8], years[:8], least_years=5, least_looks=10)
    assert np.isnan(thin[1]).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=40), st.floats(0.01, 0.4))
def test_discoveries_grow_with_the_rate_and_are_never_above_it(values: list[float], rate: float) -> None:
    few, more = discoveries(values, rate), discoveries(values, rate * 2)
    assert (~few | more).all()
    chosen = np.array(values, dtype=float)[few]
    assert chosen.size == 0 or chosen.max() <= rate


def test_fields_of_noise_hold_no_trend() -> None:
    """α = 0.05 alone would find a trend in one cell of twenty."""
    random = np.random.default_rng(11)
    x = random.normal(0.5, 0.05, (30, 3000)).astype(np.float32)
    months, years = np.tile([1, 4, 7], 10), np.repeat(np.arange(2015, 2025), 3)
    _, p, _ = cell_trends(x, months, years, least_years=5, least_looks=10)
    assert 0.02 < (p < 0.05).mean() < 0.07
    assert discoveries(p, 0.10).sum() <= 3


# --- the analysis on planted scenes --------------------------------------------------------------------------------------

STEP = 1 / 3600
GRID = GeoBox((90, 240), Affine(STEP, 0, 114.0, 0, -STEP, 30.025), "EPSG:4490")
SPECTRA = {
    "water": (0.055, 0.075, 0.060, 0.030, 0.014, 0.010),
    "crop": (0.045, 0.080, 0.060, 0.330, 0.200, 0.110),
    "bare": (0.085, 0.110, 0.140, 0.210, 0.240, 0.200),
}
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
SHORE_ROW = 60


class Planted:
    """Scenes of a bank: water in the south, land in the north; its west greens, its east browns, the middle stays."""

    def __init__(self, years: range, months: tuple[int, ...], cloudy: Mapping[int, slice]) -> None:
        self.times = [datetime(year, month, 10, 3, tzinfo=UTC) for year in years for month in months]
        band = SceneBand(nodata=0, scale=1e-4)
        bands = dict.fromkeys(BANDS, band) | {"scl": SceneBand(nodata=None)}
        self.records = tuple(
            SceneRecord(f"s{k:02d}", time, "aerial", bands, {"onemap:reflectance": "surface"})
            for k, time in enumerate(self.times)
        )
        self.refused: tuple[tuple[str, str], ...] = ()
        self.version = "1"
        self.layer: Any = None
        self.cloudy = cloudy
        self.made: dict[tuple[int, str], np.ndarray] = {}

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> np.ndarray:
        if (scene, band) not in self.made:
            self.made[scene, band] = self._make(scene, band)
        return self.made[scene, band][row : row + height, col : col + width]

    def _make(self, scene: int, band: str) -> np.ndarray:
        rows, cols = GRID.shape.yx
        if band == "scl":
            codes = np.full((rows, cols), 5, np.uint8)
            if scene in self.cloudy:
                codes[:, self.cloudy[scene]] = 9
            return codes
        random = np.random.default_rng([scene, BANDS.index(band)])
        years = (self.times[scene] - self.times[0]).days / 365.25
        plants = np.full(cols, 0.5)
        plants[:80] += 0.03 * years
        plants[160:] -= 0.03 * years
        plants += 0.15 * np.sin(2 * np.pi * self.times[scene].month / 12)
        place = BANDS.index(band)
        land = plants * SPECTRA["crop"][place] + (1 - plants) * SPECTRA["bare"][place]
        value = np.tile(land, (rows, 1))
        value[SHORE_ROW:] = SPECTRA["water"][place]
        value = value + random.normal(0, 0.004, value.shape)
        return np.clip(np.rint(value / 1e-4), 1, 65_000).astype(np.uint16)


class Kept:
    """Keeps what an analysis writes."""

    def __init__(self) -> None:
        self.frames: dict[str, gpd.GeoDataFrame] = {}
        self.cells = np.zeros(GRID.shape.yx, np.uint8)

    def raster(self, name: str, **more: Any) -> Kept:
        return self

    def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
        part = self.cells[row : row + values.shape[0], col : col + values.shape[1]]
        part[values > 0] = values[values > 0]

    def features(self, name: str, frame: gpd.GeoDataFrame, **more: Any) -> None:
        assert [field.name for field in more["fields"]] + ["geometry"] == list(frame.columns)
        self.frames[name] = frame


def _run(series: Planted, **parameters: Any) -> tuple[AnalysisResult, Kept]:
    lat = 30.025 - SHORE_ROW * STEP
    parts = [shapely.LineString([(114.0 + k * 80 * STEP, lat), (114.0 + (k + 1) * 80 * STEP, lat)]) for k in range(3)]
    shore = gpd.GeoDataFrame({"name": ["岸"] * 3, "code": ["west", "middle", "east"]}, geometry=parts, crs=4490)
    inputs = Inputs(
        grid=GRID, rasters={}, frames={"shore": shore}, rules=_rules(), versions={}, scratch="",
        scenes=MappingProxyType({"scenes": series}),
    )  # fmt: skip
    kept = Kept()
    asked = RiparianVegetationParameters.model_validate(
        {"collection": "c", "shore": "s", "name": "岸", "reach_field": "code"} | parameters
    )
    found = RiparianVegetation(block=64).run(inputs, asked, kept, lambda share, text: None)  # type: ignore[arg-type]
    return found, kept


@pytest.fixture(scope="module")
def planted() -> tuple[AnalysisResult, Kept]:
    return _run(Planted(range(2015, 2023), (3, 6, 9), {4: slice(0, 70), 9: slice(0, 240)}))


def test_planted_greening_and_browning_are_found_and_no_other(planted: tuple[AnalysisResult, Kept]) -> None:
    belts = planted[1].frames["belts"].set_index(["reach", "belt"])
    for belt in ("0-200", "200-500", "500-1000"):
        west, middle, east = (belts.loc[(name, belt)] for name in ("west", "middle", "east"))
        assert (west["direction"], middle["direction"], east["direction"]) == ("greening", "none", "browning")
        # Of the land: what is always under water is not assessed.
        assert west["greening_share"] / (1 - west["unknown_share"]) > 0.95
        assert east["browning_share"] / (1 - east["unknown_share"]) > 0.95
        # The planted 0.03 a year of cover between NDVI 0.2 of soil and 0.69 of crop, less at denser cover.
        assert 0.012 < west["slope_per_year"] < 0.020
        assert -0.020 < east["slope_per_year"] < -0.012
        assert abs(middle["slope_per_year"]) < 0.001
    # A false discovery rate of 0.1: of the cells called greening or browning at most one in ten is of the middle reach.
    area = belts["area_m2"] * (belts["greening_share"] + belts["browning_share"])
    assert 0 < area["middle"].sum() / area.sum() <= 0.10


def test_clouded_dates_are_listed_with_their_reason(planted: tuple[AnalysisResult, Kept]) -> None:
    result = planted[0]
    assert [row["used"] for row in result.tables["scenes"]].count(False) == 1  # the wholly clouded one
    left = [row for row in result.tables["left_out"] if row["scene"] == "s04"]
    assert {row["zone"].split()[0] for row in left} == {"west"}
    assert all("0.5" in row["reason_zh"] and "cloud" in row["reason_en"] for row in left)
    belts = planted[1].frames["belts"]
    assert belts[belts["reach"] == "west"]["dates"].unique().tolist() == [22]
    assert belts[belts["reach"] == "east"]["dates"].unique().tolist() == [23]


def test_shares_add_up_and_the_water_is_told(planted: tuple[AnalysisResult, Kept]) -> None:
    belts = planted[1].frames["belts"]
    shares = belts[["greening_share", "browning_share", "no_trend_share", "unknown_share"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=3e-4)
    # A line has its belts on both sides: half of the first belt is water.
    first = belts[belts["belt"] == "0-200"]
    assert first["wet_share"].to_numpy() == pytest.approx(0.5, abs=0.08)
    assert set(np.unique(planted[1].cells)) <= {0, 1, 2, 3, 4}
    series = planted[1].frames["series"]
    assert len(series) == 9 * 23
    assert str(series["time"].dt.tz) == "UTC"


def test_short_series_are_not_assessed_with_the_reason() -> None:
    result, kept = _run(Planted(range(2020, 2023), (3, 6, 9), {}), index="evi")
    assert set(kept.frames["belts"]["direction"]) == {"not_assessed"}
    assert kept.frames["belts"]["reason"].str.contains("9 < 10").all()
    assert result.tables["totals"][0]["index"] == "evi"


def test_unknown_shore_field_and_all_cloud() -> None:
    series = Planted(range(2020, 2022), (6,), {0: slice(0, 240), 1: slice(0, 240)})
    with pytest.raises(LayerEmpty, match="没有可用的影像"):
        _run(series)
    with pytest.raises(InvalidParameter, match="岸"):
        _run(series, name="无")
    with pytest.raises(InvalidParameter, match="code"):
        _run(series, reach_field="nothing")
