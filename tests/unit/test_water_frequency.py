"""Frequency, transitions, seasonality: hand oracles for all ten classes, exact laws, and bad input."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analyses.water.bodies.rules import WaterBodyRules, water_body_rules
from analyses.water.occurrence.frequency import block_frequency, water_frequency
from analyses.water.occurrence.stack import ArrayStack, RasterStack, merge_day, observations
from analyses.water.occurrence.transitions import TITLES, occurrence_change, transitions, year_states
from spatial.errors import GridMismatch, InvalidParameter, LayerEmpty, QualityViolation

ROOT = Path(__file__).resolve().parents[2]
CODES = np.array([0, 1, 2, 3, 4, 250, 251, 252, 253, 255], np.uint8)


def rules() -> WaterBodyRules:
    text = (ROOT / "layers/rules/water_bodies.yml").read_text(encoding="utf-8")
    return water_body_rules({"water_bodies": yaml.safe_load(text)})


def days(n: int, step: int = 12) -> list[datetime]:
    return [datetime(2019, 1, 3, 3, tzinfo=UTC) + timedelta(days=step * i) for i in range(n)]


def collect(stack, **more):
    found: dict[str, np.ndarray] = {}

    def write(window, arrays_) -> None:
        row, col, height, width = window
        for name, values in arrays_.items():
            if name == "disagreements":
                continue
            into = found.setdefault(name, np.zeros((*values.shape[:-2], *stack.shape), values.dtype))
            into[..., row : row + height, col : col + width] = values

    report = water_frequency(stack, rules(), write, **more)
    return report, found


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 7), st.integers(1, 9)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from(CODES.tolist()))
    ),
    st.integers(1, 6),
)
def test_laws(codes: np.ndarray, block: int) -> None:
    codes[0, 0, 0] = 0
    dates = days(len(codes), 20)
    report, found = collect(ArrayStack(codes, dates), block=block)
    wet = ((codes == 1) | (codes == 2)).sum(axis=0)
    clear = (codes < 250).sum(axis=0)
    assert np.array_equal(found["wet"], wet)
    assert np.array_equal(found["clear"], clear)
    seen = clear > 0
    # frequency × clear = wet, exactly; not a number where nothing was seen.
    assert np.array_equal(np.rint(found["frequency"] * found["clear"])[seen].astype(int), wet[seen])
    assert np.isnan(found["frequency"][~seen]).all()
    assert np.array_equal(found["monthly_wet"].sum(axis=0), wet)
    assert np.array_equal(found["annual_clear"].sum(axis=0), clear)
    assert (found["seasonality"] <= found["months_seen"]).all()
    assert report.clear_cells == clear.sum()


def test_blocks_threads_and_processes_change_nothing() -> None:
    codes = np.random.default_rng(1).choice(CODES, (30, 37, 41))
    stack = ArrayStack(codes, days(30, 25))
    _, whole = collect(stack, block=64)
    for block, threads in ((8, 1), (16, 3)):
        _, other = collect(stack, block=block, threads=threads)
        for name, values in whole.items():
            assert np.array_equal(values, other[name], equal_nan=values.dtype.kind == "f"), name


def months(wet: int, valid: int = 12) -> tuple[int, int]:
    return (1 << wet) - 1, (1 << valid) - 1


LAND, SEASONAL, PERMANENT, THIN = months(0), months(4), months(12), months(2, 2)


@pytest.mark.parametrize(
    ("years", "expected"),
    [
        ((PERMANENT, PERMANENT), "permanent"),
        ((LAND, PERMANENT), "new permanent"),
        ((PERMANENT, LAND), "lost permanent"),
        ((SEASONAL, SEASONAL), "seasonal"),
        ((LAND, SEASONAL), "new seasonal"),
        ((SEASONAL, LAND), "lost seasonal"),
        ((SEASONAL, PERMANENT), "seasonal to permanent"),
        ((PERMANENT, SEASONAL), "permanent to seasonal"),
        ((LAND, PERMANENT, SEASONAL, LAND), "ephemeral permanent"),
        ((LAND, SEASONAL, LAND), "ephemeral seasonal"),
        ((LAND, LAND), "never water"),
        # What lies between does not matter where both ends have water.
        ((SEASONAL, LAND, PERMANENT, SEASONAL), "seasonal"),
        # Years that were hardly seen are no first and no last year.
        ((THIN, LAND, PERMANENT, THIN), "new permanent"),
        ((THIN, PERMANENT), "not assessed"),
        ((THIN, THIN), "not assessed"),
        # A year of which only six months were seen, all wet, is permanent.
        ((months(6, 6), LAND), "lost permanent"),
    ],
)
def test_every_transition_by_hand(years, expected) -> None:
    wet = np.array([w for w, _ in years], np.uint16).reshape(-1, 1, 1)
    valid = np.array([v for _, v in years], np.uint16).reshape(-1, 1, 1)
    found = transitions(wet, valid, np.arange(2000, 2000 + len(years), dtype=np.int16), least_valid_months=3)
    assert TITLES[int(found.transition[0, 0])].en == expected
    assert set(year_states(wet, valid, 3).ravel()) <= {0, 1, 2, 255}


def test_recurrence_counts_years_seen_in_the_season_of_water() -> None:
    # Water in July of 2000 and 2001; 2002 dry in July; 2003 seen in January only, when there never was water.
    july, january = 1 << 6, 1
    wet = np.array([july, july, 0, 0], np.uint16).reshape(4, 1, 1)
    valid = np.array([july | january, july, july, january], np.uint16).reshape(4, 1, 1)
    found = transitions(wet, valid, np.arange(2000, 2004, dtype=np.int16), least_valid_months=1)
    assert found.recurrence[0, 0] == np.float32(2) / np.float32(3)
    assert found.years[0, 0] == 4


def test_transitions_from_scenes() -> None:
    # One cell wet all of 2019 and dry all of 2020; another seen in 2020 only twice.
    dates = [datetime(y, m, 15, 3, tzinfo=UTC) for y in (2019, 2020) for m in range(1, 13)]
    codes = np.zeros((24, 1, 2), np.uint8)
    codes[:12] = 1
    codes[14:, 0, 1] = 253
    _, found = collect(ArrayStack(codes, dates))
    assert [TITLES[int(c)].en for c in found["transition"][0]] == ["lost permanent", "not assessed"]
    assert found["seasonality"].tolist() == [[12, 12]]
    assert found["annual_wet"][:, 0, 0].tolist() == [12, 0]
    assert found["annual_clear"][:, 0, 1].tolist() == [12, 2]


def test_a_flood_seen_only_after_a_cloud_is_no_change() -> None:
    zero = np.zeros((12, 1, 1), np.uint16)
    clear_after, wet_after = zero.copy(), zero.copy()
    clear_after[6], wet_after[6] = 5, 5
    change, norm, common = occurrence_change(zero, zero, wet_after, clear_after)
    assert np.isnan(change).all()
    assert np.isnan(norm).all()
    assert common.tolist() == [[0]]


def test_scenes_of_one_day_are_one_observation() -> None:
    # Two overlapping scenes 14 s apart, and one of the same Beijing day in UTC's evening before.
    dates = [
        datetime(2024, 5, 2, 3, 0, 14, tzinfo=UTC),
        datetime(2024, 5, 2, 3, 0, 0, tzinfo=UTC),
        datetime(2024, 5, 1, 22, 0, tzinfo=UTC),
        datetime(2024, 5, 9, 3, tzinfo=UTC),
    ]
    codes = np.array([[[0, 1, 253]], [[1, 253, 255]], [[255, 255, 255]], [[0, 0, 1]]], np.uint8)
    report, found = collect(ArrayStack(codes, dates))
    assert [o.scenes for o in report.observations] == [(2, 1, 0), (3,)]
    assert [o.day.isoformat() for o in report.merged] == ["2024-05-02"]
    # The earlier of two clear looks holds: the first cell is wet, and the disagreement is counted.
    assert found["wet"].tolist() == [[1, 1, 1]]
    assert found["clear"].tolist() == [[2, 2, 1]]
    assert report.disagreements == 1
    again, _ = merge_day([codes[1], codes[0]])
    assert again.tolist() == [[1, 1, 253]]


def test_bad_input(tmp_path: Path) -> None:
    import rasterio
    from rasterio.transform import from_origin

    ones = np.ones((2, 3, 3), np.uint8)
    with pytest.raises(InvalidParameter, match="时区"):
        collect(ArrayStack(ones, [datetime(2024, 1, 1), datetime(2024, 1, 2, tzinfo=UTC)]))
    with pytest.raises(InvalidParameter, match="no scene"):
        observations([])
    with pytest.raises(InvalidParameter):
        ArrayStack(ones, days(3))
    with pytest.raises(LayerEmpty, match="masked"):
        collect(ArrayStack(np.full((3, 4, 4), 253, np.uint8), days(3)))
    with pytest.raises(QualityViolation, match="7"):
        collect(ArrayStack(np.full((1, 2, 2), 7, np.uint8), days(1)))

    class Short(ArrayStack):
        def read(self, index, row, col, height, width):
            return self.codes[index, :1, :1]

    with pytest.raises(GridMismatch):
        block_frequency(Short(ones, days(2)), observations(days(2)), (0, 0, 3, 3), month_wet_share=0.5)

    def write(name: str, size: int, dtype: str) -> Path:
        profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": dtype, "crs": "EPSG:4490"}
        with rasterio.open(tmp_path / name, "w", **profile, transform=from_origin(113, 31, 1e-4, 1e-4)) as file:
            file.write(np.ones((1, size, size), dtype))
        return tmp_path / name

    a, b, c, d = (
        write("a.tif", 5, "uint8"),
        write("b.tif", 5, "uint8"),
        write("c.tif", 6, "uint8"),
        write("d.tif", 5, "int16"),
    )
    with pytest.raises(GridMismatch, match=r"c\.tif"):
        RasterStack.of([a, c], days(2))
    with pytest.raises(QualityViolation, match=r"d\.tif"):
        RasterStack.of([a, d], days(2))
    stack = pickle.loads(pickle.dumps(RasterStack.of([a, b], days(2))))
    _, found = collect(stack)
    assert found["wet"].tolist() == [[2] * 5] * 5
