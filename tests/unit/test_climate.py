"""Accumulated temperature, dryness, comfort and air capacity: by hand, as laws, and with wrong units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.climate import (
    DAYS,
    Positions,
    accumulated_temperature,
    air_capacity,
    annual_precipitation,
    comfort,
    dryness,
    humidity_share,
    interpolate,
    monthly_temperature,
    positions,
    thi,
    turc_evapotranspiration,
    turc_potential,
)
from analyses.grading import LevelTable
from analyses.rules import AgriculturalRules, UrbanRules, agricultural_rules, urban_rules
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation
from spatial.jobs.contract import Axis

FOLDER = Path(__file__).parents[2] / "layers" / "rules"
WUHAN = np.array([3.9, 6.4, 10.8, 17.2, 22.4, 26.0, 29.0, 28.4, 23.9, 18.1, 11.8, 6.0])
HUMID = np.array([77, 76, 78, 78, 77, 80, 79, 79, 78, 78, 76, 74]) / 100


@pytest.fixture(scope="module")
def urban() -> UrbanRules:
    return urban_rules({"urban_suitability": yaml.safe_load((FOLDER / "urban_suitability.yml").read_text("utf-8"))})


@pytest.fixture(scope="module")
def farm() -> AgriculturalRules:
    return agricultural_rules(
        {"agricultural_suitability": yaml.safe_load((FOLDER / "agricultural_suitability.yml").read_text("utf-8"))}
    )


def everywhere(months: np.ndarray) -> np.ndarray:
    return months[:, np.newaxis, np.newaxis].astype(np.float64)


def one_point(cols: int = 1, rows: int = 1) -> Positions:
    return Positions(np.zeros(rows), np.zeros(cols))


# -- accumulated temperature -------------------------------------------------------------------------------------------


def test_accumulated_temperature_by_hand() -> None:
    """Wuhan at the grid's own height, 600 m above it, and so high that only July stays above 0 ℃."""
    heights = np.array([[100.0, 700.0, 100.0 + 2_850 / 0.6, np.nan]])
    found = accumulated_temperature(everywhere(WUHAN), heights, np.full((1, 1), 100.0), one_point(4))
    whole = sum(d * t for d, t in zip(DAYS, WUHAN, strict=True))
    higher = sum(d * max(t - 3.6, 0) for d, t in zip(DAYS, WUHAN, strict=True))
    assert found[0, 0] == round(whole) == 6224
    assert found[0, 1] == round(higher)
    assert found[0, 2] == round(31 * 0.5)  # 28.5 ℃ cooler: only July (29.0) is left
    assert np.isnan(found[0, 3])


def test_the_lapse_rate_is_taken_before_the_sum() -> None:
    """Known error of public code: 0.6·h/100 taken from the yearly sum: 1,000 m would cost 6 ℃·d and not about 2,100."""
    found = accumulated_temperature(everywhere(WUHAN), np.array([[0.0, 1000.0]]), np.zeros((1, 1)), one_point(2))
    lost = found[0, 0] - found[0, 1]
    assert lost > 300 * 6
    assert lost == pytest.approx(sum(d * min(t, 6.0) for d, t in zip(DAYS, WUHAN, strict=True)), abs=1)


def test_frost_months_add_nothing_and_take_nothing_away() -> None:
    months = np.full(12, -10.0)
    months[6] = 20.0
    found = accumulated_temperature(everywhere(months), np.zeros((1, 1)), np.zeros((1, 1)), one_point())
    assert found.tolist() == [[620.0]]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-200, 4000), min_size=2, max_size=6),
    st.lists(st.floats(-30, 35), min_size=12, max_size=12),
    st.floats(0, 3),
)
def test_higher_is_never_warmer_and_warmer_never_less(heights: list[float], months: list[float], more: float) -> None:
    z = np.sort(np.array([heights]))
    t = everywhere(np.array(months))
    at = one_point(z.shape[1])
    found = accumulated_temperature(t, z, np.zeros((1, 1)), at)
    assert (np.diff(found) <= 0).all()
    assert (found >= 0).all()
    assert (accumulated_temperature(t + more, z, np.zeros((1, 1)), at) >= found).all()


def _grid(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, tuple[Axis, Axis]]:
    rng = np.random.default_rng(seed)
    t = WUHAN[:, None, None] + rng.normal(0, 2, (12, 3, 4))
    f = np.clip(HUMID[:, None, None] + rng.normal(0, 0.08, (12, 3, 4)), 0, 1)
    ref = rng.uniform(0, 900, (3, 4))
    z = rng.uniform(0, 3000, (24, 32)).astype(np.float32)
    z[3, 5] = np.nan
    axis = Axis(step=1 / 8, start=-0.4375, origin=0)
    return t, f, ref, z, (axis, axis)


def test_the_kernels_equal_the_plain_arithmetic_cell_by_cell(urban: UrbanRules) -> None:
    t, f, ref, z, axes = _grid(3)
    at = positions(axes, (3, 4), (0, 0, *z.shape))
    fine_t, fine_f, fine_ref = interpolate(t, at), interpolate(f, at), interpolate(ref, at)
    warm = fine_t - 0.6 * (z.astype(np.float64) - fine_ref) / 100
    expected = (np.array(DAYS)[:, None, None] * np.maximum(warm, 0)).sum(axis=0)
    found = accumulated_temperature(t, z, ref, at)
    assert np.isnan(found[3, 5])
    np.testing.assert_allclose(found, expected, atol=0.51)
    levels = urban.comfort.thi.level(thi(warm, fine_f))
    modes = comfort(t, f, z, ref, at, urban.comfort.thi)
    differing = 0
    for r, c in np.ndindex(z.shape):
        if np.isnan(z[r, c]):
            assert np.isnan(modes[r, c])
            continue
        counts = np.bincount(levels[:, r, c], minlength=8)
        differing += int(modes[r, c]) != int(np.argmax(counts))  # argmax: the first, that is the lower of a tie
    assert differing == 0


def test_the_block_changes_no_bit(urban: UrbanRules) -> None:
    t, f, ref, z, axes = _grid(5)
    at = positions(axes, (3, 4), (0, 0, *z.shape))
    whole = (accumulated_temperature(t, z, ref, at), comfort(t, f, z, ref, at, urban.comfort.thi))
    for height, width in ((24, 7), (5, 32), (11, 13)):
        for row in range(0, 24, height):
            for col in range(0, 32, width):
                part = z[row : row + height, col : col + width]
                here = positions(axes, (3, 4), (row, col, *part.shape))
                window = (slice(row, row + height), slice(col, col + width))
                np.testing.assert_array_equal(accumulated_temperature(t, part, ref, here), whole[0][window])
                np.testing.assert_array_equal(comfort(t, f, part, ref, here, urban.comfort.thi), whole[1][window])


def test_beyond_the_climate_grid_there_is_no_value(urban: UrbanRules) -> None:
    t, f, ref, _, _ = _grid(1)
    at = Positions(np.array([0.0, np.nan]), np.array([0.0, np.nan]))
    z = np.zeros((2, 2), np.float32)
    found = accumulated_temperature(t, z, ref, at)
    assert np.isnan(found).tolist() == [[False, True], [True, True]]
    assert np.isnan(comfort(t, f, z, ref, at, urban.comfort.thi)).tolist() == [[False, True], [True, True]]
    axis = Axis(step=1.0, start=-1.0, origin=0)  # run cell 0 lies one cell before the climate grid
    assert np.isnan(positions((axis, axis), (2, 2), (0, 0, 4, 1)).row).tolist() == [True, False, False, True]


def test_nodata_of_a_climate_cell_reaches_its_neighbours_only(urban: UrbanRules) -> None:
    t = np.full((12, 1, 3), 20.0)
    t[4, 0, 2] = np.nan
    f = np.full((12, 1, 3), 0.7)
    at = Positions(np.zeros(1), np.array([0.0, 0.5, 1.0, 1.5, 2.0]))
    z, ref = np.zeros((1, 5)), np.zeros((1, 3))
    assert np.isnan(accumulated_temperature(t, z, ref, at)).tolist() == [[False, False, False, True, True]]
    assert np.isnan(comfort(t, f, z, ref, at, urban.comfort.thi)).tolist() == [[False, False, False, True, True]]
    t[4, 0, 2], f[7, 0, 2] = 20.0, np.nan
    assert np.isnan(comfort(t, f, z, ref, at, urban.comfort.thi)).tolist() == [[False, False, False, True, True]]


# -- the formulas as they are written, against the kernels -------------------------------------------------------------

SHAPES = [(7, 300), (40, 129), (3, 1), (1, 128)]
"""Blocks narrower and wider than the stretches of the kernels."""

STEPS = [1 / 1800, 1 / 33, 1 / 5, 1.0, 1.7, -1 / 300]
"""Run cells per climate cell from 1,800 to less than one, and an axis that runs the other way."""


def plain_heat(t: np.ndarray, z: np.ndarray, ref: np.ndarray, at: Positions) -> np.ndarray:
    """Σ days·t over the months ≥ 0 ℃, on whole arrays, in the order of the kernel."""
    drop = 0.6 / 100.0 * (z.astype(np.float64) - interpolate(ref, at))
    total = np.zeros(z.shape)
    for days, month in zip(DAYS, interpolate(t, at), strict=True):
        v = month - drop
        total = total + np.where(v < 0, 0.0, days * v)
    return np.rint(total).astype(np.float32)


def plain_thi(
    t: np.ndarray, f: np.ndarray, z: np.ndarray, ref: np.ndarray, at: Positions, moist: Positions
) -> np.ndarray:
    """THI of each month and cell, on whole arrays, in the order of the kernel."""
    warm, k = interpolate(t * 1.8 + 32.0, at), interpolate(0.55 * (1.0 - f), moist)
    fahrenheit = warm - 0.6 * 1.8 / 100.0 * (z.astype(np.float64) - interpolate(ref, at))
    return np.asarray(fahrenheit - k * (fahrenheit - 58.0))


def plain_mode(index: np.ndarray, table: LevelTable) -> np.ndarray:
    """Most frequent level, of equals the lower: `argmax` takes the first; NaN if a month has no value."""
    levels = table.level(index)
    counts = np.stack([(levels == n).sum(axis=0) for n in range(1, 16)])
    return np.where(np.isnan(index).any(axis=0), np.nan, counts.argmax(axis=0) + 1.0)


def _block(rng: np.random.Generator, shape: tuple[int, int], step: float) -> tuple[np.ndarray, ...]:
    t = WUHAN[:, None, None] + rng.normal(0, rng.choice([0.3, 4]), (12, 5, 6))
    f = np.clip(HUMID[:, None, None] + rng.normal(0, 0.08, (12, 4, 7)), 0, 1)
    ref = rng.uniform(0, 900, (5, 6))
    waves = np.sin(np.arange(shape[1]) / 40) + rng.normal(0, 0.1, shape)
    z = (rng.uniform(0, 1500) + rng.choice([0, 20, 1000]) * waves).astype(np.float32)
    return t, f, ref, z


def _places(rng: np.random.Generator, grid: tuple[int, int], shape: tuple[int, int], step: float) -> Positions:
    """Partly beyond the grid (NaN), partly held at its border, partly on its centres."""
    axes = [np.round((rng.uniform(-0.5, n - 0.5) + step * np.arange(count)) * 64) / 64 if rng.random() < 0.3
            else rng.uniform(-0.5, n - 0.5) + step * np.arange(count) for n, count in zip(grid, shape, strict=True)]  # fmt: skip
    held = [axis.clip(0, n - 1) for axis, n in zip(axes, grid, strict=True)]
    if rng.random() < 0.5:
        held = [np.where(np.abs(axis - h) > 0.5, np.nan, h) for axis, h in zip(axes, held, strict=True)]
    return Positions(*held)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernels_equal_the_written_formulas_bit_for_bit(
    urban: UrbanRules, shape: tuple[int, int], step: float
) -> None:
    for seed in range(6):
        rng = np.random.default_rng([seed, *shape])
        t, f, ref, z = _block(rng, shape, step)
        if seed % 3 == 1:
            z[rng.random(shape) < 0.2] = np.nan
            z[:, : shape[1] // 2] = np.nan
        if seed % 3 == 2:
            for field in (t, f, ref):
                field[rng.random(field.shape) < 0.02] = np.nan
        at, moist = _places(rng, (5, 6), shape, step), _places(rng, (4, 7), shape, step)
        np.testing.assert_array_equal(accumulated_temperature(t, z, ref, at), plain_heat(t, z, ref, at))
        index = plain_thi(t, f, z, ref, at, moist)
        # Edges that are the THI of cells themselves: one bit more or less would be another level.
        known = index[np.isfinite(index)]
        tables = [urban.comfort.thi]
        if known.size:
            edges = np.unique(rng.choice(known, 9)).tolist()
            levels = rng.integers(1, 16, len(edges) + 1).tolist()
            starts, stops = [{}, *({"from": e} for e in edges)], [*({"below": e} for e in edges), {}]
            rows = [{"level": n, **a, **b} for n, a, b in zip(levels, starts, stops, strict=True)]
            tables.append(LevelTable.model_validate({"levels": rows}))
        for table in tables:
            found = comfort(t, f, z, ref, at, table, at_humidity=moist)
            np.testing.assert_array_equal(found, plain_mode(index, table))


def test_more_levels_than_the_counter_holds_are_refused() -> None:
    table = LevelTable.model_validate({"levels": [{"level": 1, "below": 60}, {"level": 16, "from": 60}]})
    t = np.full((12, 1, 1), 20.0)
    with pytest.raises(InvalidParameter, match="level 16"):
        comfort(t, t, np.zeros((1, 1)), np.zeros((1, 1)), one_point(), table)


# -- comfort -----------------------------------------------------------------------------------------------------------

THI = [
    (31.99, 1), (32, 2), (39.9, 2), (40, 3), (45, 4), (50, 5), (55.9, 5), (56, 6), (60, 7), (64.99, 7), (65, 6), (69.9, 6),
    (70, 5), (75, 4), (80, 3), (85, 2), (90, 2), (90.01, 1),
]  # fmt: skip


@pytest.mark.parametrize(("value", "level"), THI)
def test_thi_edges(urban: UrbanRules, value: float, level: int) -> None:
    assert urban.comfort.thi.level(np.array([value])).tolist() == [level]


def test_thi_by_hand() -> None:
    """68 °F at 50 %: 68 − 0.55·0.5·10 = 65.25; saturated air is its own temperature; at 58 °F humidity plays no part."""
    found = thi(np.array([20.0, 20.0, (58 - 32) / 1.8]), np.array([0.5, 1.0, 0.1]))
    np.testing.assert_allclose(found, [65.25, 68.0, 58.0])


def constant(level: int) -> float:
    """A temperature, ℃, whose THI in saturated air has this level."""
    return ({1: 20, 2: 36, 3: 42, 4: 47, 5: 53, 6: 58, 7: 62}[level] - 32) / 1.8


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([7] * 12, 7),
        ([1] * 5 + [7] * 4 + [6] * 3, 1),
        ([7] * 6 + [3] * 6, 3),  # a tie: the lower
        ([2] * 4 + [5] * 4 + [6] * 4, 2),
        ([1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 4], 4),
    ],
)
def test_the_year_takes_the_mode_and_of_equals_the_lower(urban: UrbanRules, levels: list[int], expected: int) -> None:
    t = everywhere(np.array([constant(n) for n in levels]))
    found = comfort(t, np.ones_like(t), np.zeros((1, 1)), np.zeros((1, 1)), one_point(), urban.comfort.thi)
    assert found.tolist() == [[float(expected)]]


def test_the_lapse_rate_in_fahrenheit_has_no_32(urban: UrbanRules) -> None:
    """Known error of public code: 0.6 ℃ turned into 33.08 °F; 100 m must cost 1.08 °F."""
    t = everywhere(
        np.full(12, (61.08 - 32) / 1.8)
    )  # level 7; 100 m higher 60.0 °F or a hair below, 200 m higher 58.9: 6
    found = comfort(
        t, np.ones_like(t), np.array([[0.0, 99.0, 200.0]]), np.zeros((1, 1)), one_point(3), urban.comfort.thi
    )
    assert found.tolist() == [[7.0, 7.0, 6.0]]


def test_edges_off_the_quarter_degree_are_kept() -> None:
    """A planner may set any edge: the quick search must not round it."""
    table = LevelTable.model_validate(
        {"levels": [{"level": 1, "below": 60.1}, {"level": 2, "from": 60.1, "below": 60.2}, {"level": 3, "from": 60.2}]}
    )
    temperatures = np.array([60.05, 60.0999, 60.15, 60.25, 90.0, -40.0])
    for t, expected in zip(temperatures, [1, 1, 2, 3, 3, 1], strict=True):
        months = everywhere(np.full(12, (t - 32) / 1.8))
        found = comfort(months, np.ones_like(months), np.zeros((1, 1)), np.zeros((1, 1)), one_point(), table)
        assert found.tolist() == [[expected]], t


def test_humidity_may_lie_on_its_own_grid(urban: UrbanRules) -> None:
    t = np.broadcast_to(everywhere(np.full(12, 30.0)), (12, 1, 1)).copy()
    f = np.zeros((12, 1, 2))
    f[:, :, 1] = 1.0
    at, moist = one_point(3), Positions(np.zeros(1), np.array([0.0, 0.5, 1.0]))
    found = comfort(t, f, np.zeros((1, 3)), np.zeros((1, 1)), at, urban.comfort.thi, at_humidity=moist)
    expected = urban.comfort.thi.level(thi(np.full(3, 30.0), np.array([0.0, 0.5, 1.0])))
    assert found[0].tolist() == expected.tolist()
    with pytest.raises(GridMismatch, match="at_humidity"):
        comfort(t, f, np.zeros((1, 3)), np.zeros((1, 1)), at, urban.comfort.thi)


# -- water -------------------------------------------------------------------------------------------------------------


def test_annual_precipitation_and_dryness_by_hand(farm: AgriculturalRules) -> None:
    months = np.full((12, 1, 2), 100.0)
    months[0, 0, 1] = np.nan
    year = annual_precipitation(months, farm.precipitation.plausible, layer="rain-monthly")
    assert year[0, 0] == 1200
    assert np.isnan(year[0, 1])
    assert farm.precipitation.grade(year).tolist() == [[1, 0]]
    assert dryness(np.array([600.0, 601.0, 1200.0, 3600.0]), np.full(4, 1200.0)).tolist() == [0.5, 0.5009765625, 1, 3]
    found = farm.dryness.grade(dryness(np.array([600.0, 601.0, 1200.0, 3600.0, 8400.0, 8410.0]), np.full(6, 1200.0)))
    assert found.tolist() == [1, 2, 3, 4, 4, 5]


def test_turc_by_hand() -> None:
    """T = 16 ℃: L = 300 + 400 + 204.8 = 904.8 mm; P = 1100 mm: ET = 1100/√(0.9 + 1.478) = 713 mm."""
    assert float(turc_potential(np.array([16.0]))[0]) == pytest.approx(904.8)
    assert float(turc_evapotranspiration(np.array([1100.0]), np.array([16.0]))[0]) == pytest.approx(713.3, abs=0.1)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 4000), st.floats(0, 4000), st.floats(-20, 30), st.floats(0, 5))
def test_turc_never_exceeds_rain_and_grows_with_both(p: float, more: float, t: float, warmer: float) -> None:
    a = turc_evapotranspiration(np.array([p]), np.array([t]))
    assert 0 <= a[0] <= p
    assert turc_evapotranspiration(np.array([p + more]), np.array([t]))[0] >= a[0] - 1e-9
    assert turc_evapotranspiration(np.array([p]), np.array([t + warmer]))[0] >= a[0] - 1e-9


# -- air ---------------------------------------------------------------------------------------------------------------


def test_air_capacity_is_the_worse_of_both(urban: UrbanRules) -> None:
    calm = np.array([[5.0, 5.01, 10.0, 30.0, 30.01, 3.0, np.nan]])
    wind = np.array([[5.01, 5.0, 3.0, 2.0, 9.0, 1.0, 4.0]])
    found = air_capacity(calm, wind, calm=urban.air.calm_percent, speed=urban.air.wind_speed)
    assert found[0, :6].tolist() == [1, 2, 3, 4, 5, 5]
    assert np.isnan(found[0, 6])
    alone = air_capacity(None, wind, calm=urban.air.calm_percent, speed=urban.air.wind_speed)
    assert alone[0].tolist() == [1, 2, 2, 3, 1, 5, 2]  # [lower, upper): 3 m/s is in 3–5
    with pytest.raises(QualityViolation):
        air_capacity(None, None, calm=urban.air.calm_percent, speed=urban.air.wind_speed)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 20), st.floats(0, 20))
def test_calmer_or_slower_air_is_never_better(a: float, b: float, v: float, w: float) -> None:
    rules = yaml.safe_load((FOLDER / "urban_suitability.yml").read_text("utf-8"))
    air = urban_rules({"urban_suitability": rules}).air
    found = air_capacity(np.sort([a, b]), np.array([max(v, w), min(v, w)]), calm=air.calm_percent, speed=air.wind_speed)
    assert found[1] >= found[0]


# -- wrong units -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "months",
    [WUHAN + 273.15, WUHAN * 1.8 + 32, WUHAN * 10],
    ids=["Kelvin", "Fahrenheit", "tenths of a degree"],
)
def test_temperature_in_another_unit_is_refused(urban: UrbanRules, months: np.ndarray) -> None:
    with pytest.raises(QualityViolation, match="temperature-monthly") as caught:
        monthly_temperature(
            everywhere(months), urban.comfort.plausible_monthly_c, layer="temperature-monthly", declared="degF"
        )
    assert "degF" in caught.value.zh
    assert caught.value.details["range"] == [-45, 45]


def test_humidity_as_a_share_is_refused(urban: UrbanRules) -> None:
    span = urban.comfort.plausible_humidity_percent
    assert humidity_share(everywhere(HUMID * 100), span, layer="humidity-monthly")[0, 0, 0] == pytest.approx(0.77)
    with pytest.raises(QualityViolation, match="humidity-monthly"):
        humidity_share(everywhere(HUMID), span, layer="humidity-monthly", declared="1")


@pytest.mark.parametrize("factor", [0.001, 0.1 / 12, 10.0], ids=["m", "too small", "tenths of mm"])
def test_precipitation_in_another_unit_is_refused(farm: AgriculturalRules, factor: float) -> None:
    with pytest.raises(QualityViolation, match="rain-monthly"):
        annual_precipitation(np.full((12, 1, 1), 100.0) * factor, farm.precipitation.plausible, layer="rain-monthly")


def test_eleven_months_are_no_year(farm: AgriculturalRules) -> None:
    with pytest.raises(GridMismatch, match="twelve months"):
        annual_precipitation(np.full((11, 1, 1), 100.0), farm.precipitation.plausible, layer="rain-monthly")


def test_wind_and_calm_ranges_know_their_units(urban: UrbanRules) -> None:
    from spatial.catalog import Text

    what = Text(zh="静风日数", en="calm days")
    with pytest.raises(QualityViolation):
        urban.air.calm_plausible.require(np.array([0.1, 0.3]), what=what, unit="%", layer="wind")
    with pytest.raises(QualityViolation):
        urban.air.wind_plausible.require(np.array([3.0, 40.0]), what=what, unit="m/s", layer="wind")
    urban.air.calm_plausible.require(np.array([0.0, np.nan]), what=what, unit="%", layer="wind")
