"""Hazard years from daily weather, agro-meteorological and geological hazard levels: by hand, as laws, with wrong units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.hazards import (
    cold_year,
    gale_year,
    hazard_frequency,
    heat_processes,
    hot_year,
    meteorological_hazard,
    meteorological_score,
    rain_year,
    seismic_hazard,
    subsidence_hazard,
    susceptibility_hazard,
    worst_hazard,
)
from analyses.rules import agricultural_rules, urban_rules
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, QualityViolation

FOLDER = Path(__file__).parents[2] / "layers" / "rules"
RAW = yaml.safe_load((FOLDER / "agricultural_suitability.yml").read_text("utf-8"))
METEO = agricultural_rules({"agricultural_suitability": RAW}).meteorological_hazard
YEARS = METEO.years
GEO = urban_rules(
    {"urban_suitability": yaml.safe_load((FOLDER / "urban_suitability.yml").read_text("utf-8"))}
).geohazard


def year(**days: float) -> np.ndarray:
    """365 days with the days given as ``d10=…`` set, one cell."""
    series = np.zeros((365, 1))
    for name, value in days.items():
        series[int(name[1:])] = value
    return series


def span(first: int, count: int, value: float, base: float = 0.0) -> np.ndarray:
    series = np.full((365, 1), base)
    series[first : first + count] = value
    return series


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (span(100, 10, 25.0), 1),  # 250 mm in 10 days
        (span(100, 10, 24.9), 0),  # 249
        (span(100, 20, 17.5), 1),  # 350 in 20 days, 175 in 10
        (span(100, 20, 17.4), 0),
        (span(355, 10, 25.0), 1),  # the last ten days of the year
        (span(0, 11, 24.9), 0),  # 274 in eleven days, but 249 in any ten
    ],
)
def test_rain_year(series: np.ndarray, expected: int) -> None:
    assert rain_year(series, YEARS).tolist() == [expected]


@pytest.mark.parametrize(
    ("hot", "processes"),
    [
        ([35, 35, 35], 1),
        ([35, 35], 0),
        ([35, 38], 1),
        ([38], 0),
        ([35, 35, 35, 30, 38, 36, 30, 36, 36, 36, 36], 3),
        ([34.9, 39, 34.9], 0),
        ([36] * 9, 1),  # one long process is one
    ],
)
def test_heat_processes(hot: list[float], processes: int) -> None:
    series = np.full((60, 1), 30.0)
    series[20 : 20 + len(hot), 0] = hot
    assert heat_processes(series, YEARS).tolist() == [processes]
    series = np.full((len(hot), 1), 0.0)  # a process at the end of the series is closed too
    series[:, 0] = hot
    assert heat_processes(series, YEARS).tolist() == [processes]


def test_hot_year() -> None:
    assert hot_year(span(180, 29, 36.0, 25.0), YEARS).tolist() == [0]  # one process, 29 days
    assert hot_year(span(180, 30, 36.0, 25.0), YEARS).tolist() == [1]
    three = span(180, 3, 36.0, 25.0)
    three[200:203] = three[220:223] = 36.0
    assert hot_year(three, YEARS).tolist() == [1]


def test_gale_year() -> None:
    assert gale_year(span(0, 29, 17.0), YEARS).tolist() == [0]
    assert gale_year(span(0, 30, 17.0), YEARS).tolist() == [1]
    assert gale_year(year(d40=24.5), YEARS).tolist() == [1]
    assert gale_year(year(d40=24.4), YEARS).tolist() == [0]


def test_cold_year_counts_within_the_growth_window_only() -> None:
    series = span(90, 21, 9.0, 20.0)
    assert cold_year(series, YEARS, threshold_c=10.0, window=(80, 200)).tolist() == [1]  # 21 days > 20
    assert cold_year(series, YEARS, threshold_c=10.0, window=(91, 200)).tolist() == [0]  # 20 days
    assert cold_year(series, YEARS, threshold_c=9.0, window=(80, 200)).tolist() == [0]  # below, not at
    with pytest.raises(InvalidParameter, match="window"):
        cold_year(series, YEARS, threshold_c=10.0, window=(200, 400))


def test_a_missing_day_leaves_the_year_open_unless_the_rest_settles_it() -> None:
    wet = span(100, 10, 30.0)
    wet[300] = np.nan
    assert rain_year(wet, YEARS).tolist() == [1]
    dry = span(100, 10, 3.0)
    dry[300] = np.nan
    assert np.isnan(rain_year(dry, YEARS)).all()
    gap = span(180, 7, 36.0, 25.0)  # a gap would cut one process into two
    gap[183] = np.nan
    assert np.isnan(hot_year(gap, YEARS)).all()


def test_frequency_is_the_share_of_known_years() -> None:
    series = np.concatenate([span(10, 10, 30.0), span(10, 10, 1.0), span(10, 10, 30.0), np.full((365, 1), np.nan)])
    found = hazard_frequency(series, [0, 365, 730, 1095, 1460], lambda s: rain_year(s, YEARS))
    assert found.tolist() == [2 / 3]


# -- agro-meteorological -----------------------------------------------------------------------------------------------


def same(f: float) -> dict[str, np.ndarray]:
    return {name: np.array([[f]]) for name in METEO.weights}


@pytest.mark.parametrize(
    ("f", "level"), [(0.0, 5), (0.2, 5), (0.21, 4), (0.4, 3), (0.6, 2), (0.8, 2), (0.81, 1), (1.0, 1)]
)
def test_frequency_edges(f: float, level: int) -> None:
    assert meteorological_hazard(same(f), METEO).tolist() == [[level]]


def test_frequency_edges_survive_float32() -> None:
    assert meteorological_hazard({k: np.float32(v) for k, v in same(0.2).items()}, METEO).tolist() == [[5]]
    assert meteorological_hazard({k: np.float32(v) for k, v in same(0.6).items()}, METEO).tolist() == [[2]]


def test_weighted_score_by_hand() -> None:
    """Rain 0.9 → 1, heat 0.9 → 1, cold 0.5 → 3, wind 0.1 → 5, drought 0.9 → 1: 0.2 + 0.1 + 0.75 + 0.75 + 0.3 = 2.1."""
    f = {"rain": 0.9, "heat": 0.9, "cold": 0.5, "wind": 0.1, "drought": 0.9}
    arrays = {k: np.array([v]) for k, v in f.items()}
    assert meteorological_score(arrays, METEO).tolist() == [2.1]
    assert meteorological_hazard(arrays, METEO).tolist() == [2]
    # 0.2·1 + 0.1·1 + 0.25·1 + 0.15·5 + 0.3·… : a score of exactly 1.8 is 较高, not 高
    arrays |= {"cold": np.array([0.9]), "wind": np.array([0.1]), "drought": np.array([0.9])}
    assert meteorological_score(arrays, METEO).tolist() == [1.6]
    arrays |= {"heat": np.array([0.5])}
    assert meteorological_score(arrays, METEO).tolist() == [1.8]
    assert meteorological_hazard(arrays, METEO).tolist() == [2]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.integers(0, 4), st.floats(0, 1))
def test_a_more_frequent_hazard_is_never_safer(values: list[float], which: int, raised: float) -> None:
    names = list(METEO.weights)
    before = {n: np.array([v]) for n, v in zip(names, values, strict=True)}
    after = before | {names[which]: np.array([max(values[which], raised)])}
    assert meteorological_hazard(after, METEO) <= meteorological_hazard(before, METEO)


def test_frequencies_must_be_shares_and_complete() -> None:
    with pytest.raises(QualityViolation, match="meteorological-hazards"):
        meteorological_hazard(same(35.0), METEO)  # percent
    lacking = same(0.5)
    del lacking["drought"]
    with pytest.raises(InvalidParameter, match="drought"):
        meteorological_hazard(lacking, METEO)
    gap = same(0.9) | {"wind": np.array([[np.nan]])}
    assert np.isnan(meteorological_hazard(gap, METEO)).all()


def test_weights_must_sum_to_one() -> None:
    broken = yaml.safe_load(yaml.safe_dump(RAW))
    broken["meteorological_hazard"]["weights"]["rain"] = 0.3
    with pytest.raises(LayerDefinitionInvalid, match="sum to 1"):
        agricultural_rules({"agricultural_suitability": broken})


# -- geological --------------------------------------------------------------------------------------------------------


def test_worst_hazard_is_the_least_level() -> None:
    nan = np.nan
    found = worst_hazard(
        np.array([[5, 5, 2, nan, 1, nan]]), np.array([[5, 4, 3, 4, nan, nan]]), np.array([[4, 1, 5, 5, 5, 5.0]])
    )
    np.testing.assert_array_equal(found, [[4, 1, 2, nan, 1, nan]])
    with pytest.raises(InvalidParameter):
        worst_hazard()


@pytest.mark.parametrize(
    ("metres", "level"),
    [(0, 1), (30, 1), (30.1, 2), (99.9, 2), (100, 3), (200, 4), (400, 4), (400.1, 5), (np.inf, 5)],
)
def test_fault_distance(metres: float, level: int) -> None:
    assert seismic_hazard(np.array([metres]), None, GEO).tolist() == [level]


def test_acceleration_worsens_the_level() -> None:
    far = np.full(6, 300.0)  # level 4
    pga = np.array([0.05, 0.199, 0.2, 0.299, 0.3, np.nan], np.float32)
    np.testing.assert_array_equal(seismic_hazard(far, pga, GEO), [4, 4, 3, 3, 2, np.nan])
    assert seismic_hazard(np.array([10.0]), np.array([0.4]), GEO).tolist() == [1]  # clipped
    for wrong in (np.array([1.96]), np.array([200.0])):  # m/s², gal
        with pytest.raises(QualityViolation, match="pga"):
            seismic_hazard(np.array([300.0]), wrong, GEO)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0, 0.9), st.floats(0, 0.9))
def test_nearer_or_stronger_is_never_safer(a: float, b: float, p: float, q: float) -> None:
    found = seismic_hazard(np.sort([a, b]), np.array([max(p, q), min(p, q)]), GEO)
    assert found[0] <= found[1]


@pytest.mark.parametrize(
    ("mm", "level"), [(0, 5), (99, 5), (100, 4), (200, 3), (799, 3), (800, 2), (1600, 2), (1601, 1)]
)
def test_cumulative_subsidence(mm: float, level: int) -> None:
    assert subsidence_hazard(np.array([mm]), None, GEO).tolist() == [level]


@pytest.mark.parametrize(("rate", "level"), [(0, 5), (4.9, 5), (5, 4), (10, 3), (30, 2), (50, 2), (50.1, 1)])
def test_subsidence_rate(rate: float, level: int) -> None:
    assert subsidence_hazard(None, np.array([rate]), GEO).tolist() == [level]


def test_subsidence_takes_the_worse_and_knows_its_sign() -> None:
    assert subsidence_hazard(np.array([150.0]), np.array([40.0]), GEO).tolist() == [2]
    with pytest.raises(QualityViolation, match="subsidence"):
        subsidence_hazard(np.array([-900.0]), None, GEO)


def test_susceptibility_codes_need_a_meaning() -> None:
    meaning = {1: "none", 2: "low", 3: "medium", 4: "high"}
    found = susceptibility_hazard(np.array([0, 1, 2, 3, 4]), meaning, GEO)
    np.testing.assert_array_equal(found, [np.nan, 5, 4, 3, 2])
    with pytest.raises(InvalidParameter, match="geohazard"):
        susceptibility_hazard(np.array([7]), meaning, GEO)
