"""RUSLE factors: hand oracles, laws, units that would be wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.ecology_rules import EcologicalRules, ecological_rules
from analyses.erosion import (
    cover_management,
    cover_management_table,
    default_slope_length,
    erodibility_epic,
    erosion_tables,
    ls_factor,
    ls_table,
    rain_erosivity_daily,
    rain_erosivity_monthly,
    slope_length_factor,
    slope_steepness_factor,
    soil_conservation,
    soil_erodibility,
    soil_loss,
)
from spatial.errors import InvalidParameter, QualityViolation

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1 / 3600


@pytest.fixture(scope="module")
def rules() -> EcologicalRules:
    text = (ROOT / "layers/rules/ecological_importance.yml").read_text(encoding="utf-8")
    return ecological_rules({"ecological_importance": yaml.safe_load(text)})


def f32(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


# -- R


def test_daily_erosivity_by_hand(rules: EcologicalRules) -> None:
    days = np.arange("2019-01-01", "2021-01-01", dtype="datetime64[D]")
    rain = np.zeros((days.size, 1, 2))
    rain[days == np.datetime64("2019-07-03")] = [[60.0, 11.99]]
    rain[days == np.datetime64("2020-02-29")] = [[20.0, 12.0]]
    by_hand = [(0.3937 * 60**1.7265 + 0.3101 * 20**1.7265) / 2, 0.3101 * 12**1.7265 / 2]
    assert rain_erosivity_daily(rain, days, rules.erosivity_daily)[0] == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize(("day", "alpha"), [("04-30", 0.3101), ("05-01", 0.3937), ("09-30", 0.3937), ("10-01", 0.3101)])
def test_daily_erosivity_changes_alpha_with_the_season(rules: EcologicalRules, day: str, alpha: float) -> None:
    days = np.arange("2021-01-01", "2022-01-01", dtype="datetime64[D]")
    rain = np.where(days == np.datetime64(f"2021-{day}"), 30.0, 0.0)
    assert float(rain_erosivity_daily(rain, days, rules.erosivity_daily)) == pytest.approx(alpha * 30**1.7265, rel=1e-6)


def test_daily_erosivity_wants_whole_years_and_millimetres(rules: EcologicalRules) -> None:
    days = np.arange("2021-01-01", "2021-07-01", dtype="datetime64[D]")
    with pytest.raises(InvalidParameter, match="whole years"):
        rain_erosivity_daily(np.zeros(days.size), days, rules.erosivity_daily)
    whole = np.arange("2021-01-01", "2022-01-01", dtype="datetime64[D]")
    with pytest.raises(QualityViolation, match="unit"):
        rain_erosivity_daily(np.full(whole.size, 2500.0), whole, rules.erosivity_daily)


def test_monthly_erosivity_by_hand_and_in_si(rules: EcologicalRules) -> None:
    months = [20, 40, 70, 110, 145, 175, 185, 140, 100, 80, 50, 25]
    year = sum(months)
    us = sum(1.735 * 10 ** (1.5 * math.log10(p * p / year) - 0.8188) for p in months)
    found = float(rain_erosivity_monthly(np.array(months, dtype=float)[:, None], rules.erosivity_monthly)[0])
    assert found == round(us * 17.02)
    assert 87 < us < 271  # the range of Hubei in US units; in SI every cell would be in the highest class
    assert found > 1480


def test_monthly_erosivity_without_rain_or_value(rules: EcologicalRules) -> None:
    months = np.zeros((12, 2), np.float32)
    months[3, 1] = np.nan
    found = rain_erosivity_monthly(months, rules.erosivity_monthly)
    assert found[0] == 0
    assert np.isnan(found[1])
    with pytest.raises(InvalidParameter, match="12 layers"):
        rain_erosivity_monthly(np.zeros((4, 2)), rules.erosivity_monthly)


# -- K


def test_erodibility_by_hand() -> None:
    # sand 40, silt 40, clay 20, carbon 1 %: 0.36230 · 0.88546 · 0.92088 · 0.99989
    by_hand = (
        (0.2 + 0.3 * math.exp(-0.0256 * 40 * 0.6))
        * (40 / 60) ** 0.3
        * (1 - 0.25 / (1 + math.exp(3.72 - 2.95)))
        * (1 - 0.7 * 0.6 / (0.6 + math.exp(-5.51 + 22.9 * 0.6)))
    )
    assert float(erodibility_epic(40, 40, 20, 1)) == pytest.approx(by_hand, rel=1e-12)
    found = float(soil_erodibility(f32(40), f32(40), f32(20), f32(1))[0, 0])
    assert found == pytest.approx((-0.01383 + 0.51575 * by_hand) * 0.1317, abs=2**-17)


@given(
    st.floats(0, 100), st.floats(0, 1), st.floats(0, 12),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_erodibility_table_is_near_the_formula(sand: float, share: float, carbon: float) -> None:
    silt = (100 - sand) * share
    clay = 100 - sand - silt
    exact = max(0, (-0.01383 + 0.51575 * float(erodibility_epic(sand, silt, clay, carbon))) * 0.1317)
    found = float(soil_erodibility(f32(sand), f32(silt), f32(clay), f32(carbon))[0, 0])
    near_no_fines = silt + clay < 5 or silt < 2  # the root of the silt share is steep there
    assert found == pytest.approx(exact, abs=0.03 if near_no_fines else 0.0006)
    assert found >= 0


def test_pure_sand_and_missing_soil() -> None:
    found = soil_erodibility(f32(100, 40), f32(0, np.nan), f32(0, 20), f32(0, 1))
    assert found[0, 0] == 0  # negative by the correction: clipped
    assert np.isnan(found[0, 1])


# -- LS


def test_slope_factor_by_hand() -> None:
    # The unit plot of 9 % (5.14°) and 22.13 m has LS = 1, by definition of RUSLE.
    assert float(slope_steepness_factor(5.139)) == pytest.approx(1, abs=0.005)
    by_hand = {3: 10.8, 8: 16.8, 20: 21.91}
    for degrees, factor in by_hand.items():
        offset = {3: 0.03, 8: -0.5, 20: -0.96}[degrees]
        expected = factor * math.sin(math.radians(degrees)) + offset
        assert float(slope_steepness_factor(degrees)) == pytest.approx(expected, rel=1e-12)
    assert float(slope_steepness_factor(28.8099)) == pytest.approx(9.5988, abs=2e-3)  # no jump at 28.81°


def test_length_factor_by_hand() -> None:
    s = math.sin(math.radians(10))
    beta = (s / 0.0896) / (3 * s**0.8 + 0.56)
    assert float(slope_length_factor(10, 88.52)) == pytest.approx(4 ** (beta / (1 + beta)), rel=1e-12)
    assert slope_length_factor(np.array([0.0, 30]), 22.13).tolist() == [1, 1]


@given(st.floats(1, 300), st.floats(1, 300))
@settings(max_examples=40, deadline=None)
def test_ls_rises_with_slope_and_length(a: float, b: float) -> None:
    low, high = sorted((a, b))
    # S has no step down at its own limits (5.14°, 10.2°); with λ < 22.13 m a steeper slope has the shorter L.
    assert (np.diff(ls_table(max(low, 22.13))) >= 0).all()
    assert (ls_table(high) >= ls_table(low)).all()


def test_ls_of_missing_and_extreme_slopes() -> None:
    found = ls_factor(np.array([0, np.nan, 90], np.float32), 30.75)
    assert np.isnan(found[1])
    assert found[2] == ls_factor(np.array([60], np.float32), 30.75)[0] or found[2] > 9


def test_slope_length_is_the_cell_but_never_a_kilometre(rules: EcologicalRules) -> None:
    assert default_slope_length(SECOND, rules) == pytest.approx(30.8, abs=0.1)
    assert default_slope_length(1 / 120, rules) == 122  # 925 m would multiply LS by 4
    assert default_slope_length(SECOND, rules) == default_slope_length(SECOND * (1 + 1e-9), rules)


# -- C


def test_cover_management_by_class(rules: EcologicalRules) -> None:
    step = rules.cover.step
    cover = (np.array([50, 128, 400, 512, 800, 921, 922]) * step).astype(np.float32)
    forest = cover_management(np.full(7, 4, np.uint8), cover, rules.cover_management, step)
    # 50 % itself belongs to 50–70; 921/1024 is just below 90 %, 922/1024 just above.
    assert forest == pytest.approx([0.10, 0.08, 0.06, 0.02, 0.004, 0.004, 0.001], rel=1e-6)
    half = np.array([0.5], np.float32)
    for code, value in {1: 0, 10: 0, 11: 0, 12: 0.01, 13: 0.7, 3: 0.089, 8: 0.085, 9: 0.09}.items():
        found = cover_management(np.array([code], np.uint8), half, rules.cover_management, step)
        assert float(found[0]) == pytest.approx(value)


def test_dryland_formula_takes_a_fraction(rules: EcologicalRules) -> None:
    step, rule = rules.cover.step, rules.cover_management
    two = np.full(3, 2, np.uint8)
    found = cover_management(two, np.array([0, 0.5, 1], np.float32), rule, step)
    assert found == pytest.approx([1, 0.221 - 0.595 * math.log10(0.5), 0.221], rel=1e-6)
    # The guard against public code that feeds percent: 0.221 − 0.595 · lg 50 = −0.79.
    with pytest.raises(QualityViolation, match="percent"):
        cover_management(two, np.array([0, 50, 100], np.float32), rule, step)


def test_c_falls_with_cover_and_knows_no_other_code(rules: EcologicalRules) -> None:
    table = cover_management_table(rules.cover_management, rules.cover.step)
    known = table[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]]
    assert (np.diff(known, axis=1) <= 0).all()
    assert ((known >= 0) & (known <= 1)).all()
    assert np.isnan(table[0]).all()
    assert table.shape[0] == 15  # the last row stands for every higher code
    assert np.isnan(table[14]).all()
    unknown = cover_management(
        np.array([200], np.uint8), np.array([0.5], np.float32), rules.cover_management, rules.cover.step
    )
    assert np.isnan(unknown).all()


# -- A


def test_soil_loss_and_conservation_by_hand(rules: EcologicalRules) -> None:
    tables = erosion_tables(rules, slope_length=22.13)
    slope = f32(10, 10, 10, 0)
    r, k, cover = f32(3000, 3000, 3000, np.nan), f32(0.03, 0.03, 0.03, 0.03), f32(0.95, 0.95, 0.95, 0.95)
    use = np.array([[4, 2, 10, 4]], np.uint8)
    ls = 16.8 * math.sin(math.radians(10)) - 0.5  # L = 1 on the unit plot's length
    rkls = 3000 * 0.03 * ls
    lost = soil_loss(tables, r=r, k=k, slope=slope, cover=cover, land_use=use)[0]
    kept = soil_conservation(tables, r=r, k=k, slope=slope, cover=cover, land_use=use)[0]
    dryland = 0.221 - 0.595 * math.log10(0.95)
    assert lost[:3] == pytest.approx([rkls * 0.001, rkls * dryland, 0], abs=0.26 + rkls * 1e-3)
    assert kept[:3] == pytest.approx([rkls * 0.999, 0, 0], abs=0.26 + rkls * 1e-3)  # cropland and water are not counted
    assert np.isnan(lost[3])
    assert np.isnan(kept[3])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_laws_of_soil_loss(seed: int) -> None:
    text = (ROOT / "layers/rules/ecological_importance.yml").read_text(encoding="utf-8")
    tables = erosion_tables(ecological_rules({"ecological_importance": yaml.safe_load(text)}), slope_length=30.75)
    random = np.random.default_rng(seed)
    shape = (7, 11)
    values = {
        "r": random.uniform(0, 6000, shape).astype(np.float32),
        "k": random.uniform(0, 0.06, shape).astype(np.float32),
        "slope": (random.integers(0, 60 * 64, shape) / 64).astype(np.float32),
        "cover": (random.integers(0, 1025, shape) / 1024).astype(np.float32),
    }
    use = random.integers(0, 15, shape).astype(np.uint8)
    lost = soil_loss(tables, **values, land_use=use)
    for name, more in (("r", 100), ("k", 0.01), ("slope", 5)):
        worse = soil_loss(tables, **(values | {name: values[name] + np.float32(more)}), land_use=use)
        assert (worse[~np.isnan(lost)] >= lost[~np.isnan(lost)]).all()
    greener = soil_loss(tables, **(values | {"cover": np.minimum(values["cover"] + 0.25, 1)}), land_use=use)
    assert (greener[~np.isnan(lost)] <= lost[~np.isnan(lost)]).all()
    # Any block gives the same bits.
    part = (slice(2, 5), slice(3, 9))
    cut = soil_loss(tables, **{n: v[part] for n, v in values.items()}, land_use=use[part])
    assert cut.tobytes() == lost[part].tobytes()
