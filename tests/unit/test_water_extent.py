"""Water extent: the vote, the tree, indices, radar, on hand-made spectra, by law, and on real labelled data."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.water.classes import CLOUD, FIRST_MASKED, GLINT, NODATA, SNOW, TERRAIN_SHADOW, is_water
from analyses.water.extent.classification import index_threshold, water_extent, water_index
from analyses.water.extent.dswx import CLASS_OF_BITS, CONFIDENCE_OF_BITS, dswx_bits, dswx_extent, vote_tables
from analyses.water.extent.kernels import vote
from analyses.water.extent.masks import combine_masks
from analyses.water.extent.reflectance import OPTICAL_BANDS, Calibration, calibration, to_decibel, to_reflectance
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.sar import BITS, backscatter_threshold, sar_extent
from analyses.water.extent.thresholds import canny_edges, groups_at, mixture, otsu
from analyses.water.extent.wofs import wofs_extent, wofs_rows
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "layers/rules/water_extent.yml").read_text("utf-8"))
RULES = water_extent_rules({"water_extent": DOCUMENT})
S2_CHIP = (
    "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "b9", "b10", "swir1", "swir2",
)  # fmt: skip


def spectra(*rows: tuple[float, ...]) -> dict[str, np.ndarray]:
    """Reflectance × 10,000, one spectrum a row: blue, green, red, NIR, SWIR1, SWIR2."""
    columns = np.array(rows, dtype=np.float64).T / 10_000
    return {name: column.astype(np.float32) for name, column in zip(OPTICAL_BANDS, columns, strict=True)}


def scores(water: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """IoU, overall, user's and producer's accuracy, kappa; label −1 is no data."""
    seen, wet = label >= 0, label == 1
    tp, fp = (water & wet & seen).sum(), (water & ~wet & seen).sum()
    fn, tn = (~water & wet & seen).sum(), (~water & ~wet & seen).sum()
    total = tp + fp + fn + tn
    agreed = (tp + tn) / total
    chance = ((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn)) / total**2
    return {
        "oa": agreed,
        "user": tp / (tp + fp),
        "producer": tp / (tp + fn),
        "iou": tp / (tp + fp + fn),
        "kappa": (agreed - chance) / (1 - chance),
    }


# -- the rule file -----------------------------------------------------------------------------------------------------


def test_a_broken_rule_file_is_refused() -> None:
    with pytest.raises(LayerDefinitionInvalid, match=r"layers/rules/water_extent\.yml is missing"):
        water_extent_rules({})
    broken = DOCUMENT | {"dswx": DOCUMENT["dswx"] | {"t1_mndwi": 1240}}
    with pytest.raises(LayerDefinitionInvalid, match="t1_mndwi"):
        water_extent_rules({"water_extent": broken})


# -- the vote ----------------------------------------------------------------------------------------------------------


def test_every_pattern_has_the_class_of_dswx() -> None:
    high = {0b01111, 0b10111, 0b11011, 0b11101, 0b11110, 0b11111}
    moderate = {0b00111, 0b01011, 0b01101, 0b01110, 0b10011, 0b10101, 0b10110, 0b11001, 0b11010, 0b11100}
    aggressive = {0b00011, 0b00101, 0b00110, 0b01001, 0b01010, 0b01100, 0b10000, 0b10001, 0b10010, 0b10100}
    expected = [
        1 if b in high else 2 if b in moderate else 3 if b == 0b11000 else 4 if b in aggressive else 0
        for b in range(32)
    ]
    assert CLASS_OF_BITS.tolist() == expected
    # Three of five agree at least; all five at most.
    assert CONFIDENCE_OF_BITS[[0, 0b1, 0b11, 0b111, 0b1111, 0b11111]].tolist() == [100, 80, 60, 60, 80, 100]


@pytest.mark.parametrize(
    ("spectrum", "bits"),
    [
        ((700, 800, 650, 350, 180, 120), 0b11111),  # clear water
        ((400, 700, 450, 3200, 1800, 900), 0b00000),  # plants
        ((900, 1200, 1500, 2300, 2900, 2300), 0b00000),  # bare soil
        # T1: (G − S1) / (G + S1) is 0.124 at 562 and 438; the other four do not hold.
        ((1001, 561, 100, 1600, 438, 1100), 0b00000),
        ((1001, 563, 100, 1600, 438, 1100), 0b00001),
        # T2: G + R against N + S1.
        ((1001, 900, 1600, 1600, 900, 1100), 0b00000),
        ((1001, 900, 1602, 1600, 900, 1100), 0b00010),
        # T3: B + 2.5 G − 1.5 (N + S1) − 0.25 S2 = 1275 + 2000 − 3000 − 275 = 0.
        ((1273, 800, 100, 1600, 400, 1100), 0b00001),
        ((1277, 800, 100, 1600, 400, 1100), 0b00101),
        # T4: S1 < 900 with MNDWI −0.28 and NDVI 0.65 (T5 holds not: blue).
        ((1001, 500, 300, 1400, 898, 1100), 0b01000),
        ((1001, 500, 300, 1400, 902, 1100), 0b00000),
        # T4: NIR < 1500.
        ((1001, 500, 300, 1498, 850, 1100), 0b01000),
        ((1001, 500, 300, 1502, 850, 1100), 0b00000),
        # T4: NDVI < 0.7: 1400 against 248 is 0.6990, against 246 is 0.7011.
        ((1001, 500, 248, 1400, 850, 1100), 0b01000),
        ((1001, 500, 246, 1400, 850, 1100), 0b00000),
        # T4: MNDWI > −0.44: 280 and 720 give it exactly.
        ((1001, 281, 300, 1400, 720, 1100), 0b01000),
        ((1001, 279, 300, 1400, 720, 1100), 0b00000),
        # T5: blue < 1000, SWIR1 < 3000, SWIR2 < 1000, NIR < 2500, MNDWI > −0.5.
        ((998, 1100, 300, 2400, 2990, 990), 0b10000),
        ((1002, 1100, 300, 2400, 2990, 990), 0b00000),
        ((990, 1100, 300, 2400, 2998, 990), 0b10000),
        ((990, 1100, 300, 2400, 3002, 990), 0b00000),
        ((990, 1100, 300, 2400, 2900, 998), 0b10000),
        ((990, 1100, 300, 2400, 2900, 1002), 0b00000),
        ((990, 1100, 300, 2498, 2900, 990), 0b10000),
        ((990, 1100, 300, 2502, 2900, 990), 0b00000),
        ((990, 701, 300, 2400, 2100, 990), 0b10000),
        ((990, 699, 300, 2400, 2100, 990), 0b00000),
        # Over dark water the correction makes the SWIR negative: that is dark, not dry.
        ((200, 300, 150, -20, -30, -10), 0b11111),
    ],
)
def test_each_test_of_the_vote_on_both_sides_of_its_threshold(spectrum: tuple[float, ...], bits: int) -> None:
    assert f"{dswx_bits(spectra(spectrum), RULES)[0]:05b}" == f"{bits:05b}"


REFLECTANCE = st.floats(-0.125, 1.0, width=32)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(*[REFLECTANCE] * 6), min_size=1, max_size=30),
    st.floats(-0.9, 0.9),
    st.floats(0, 0.8),
)
def test_lowering_the_first_threshold_never_shrinks_the_water(
    rows: list[tuple[float, ...]], high: float, by: float
) -> None:
    bands = {
        name: np.array(column, np.float32) for name, column in zip(OPTICAL_BANDS, zip(*rows, strict=True), strict=True)
    }
    before = is_water(dswx_extent(bands, RULES, t1_mndwi=high)[0])
    after = is_water(dswx_extent(bands, RULES, t1_mndwi=max(high - by, -0.99))[0])
    assert not (before & ~after).any()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["dswx", "wofs", "mndwi", "awei-nsh", "awei-sh"]))
def test_masks_always_win(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    bands = {name: rng.uniform(0, 0.4, (7, 9)).astype(np.float32) for name in OPTICAL_BANDS}
    mask = rng.choice(np.array([0, TERRAIN_SHADOW, GLINT, SNOW, CLOUD, NODATA], np.uint8), (7, 9))
    bands["green"][rng.random((7, 9)) < 0.1] = np.nan
    found = water_extent(bands, RULES, method=method, mask=mask, sampling="fixed", glint=method == "dswx")  # type: ignore[arg-type]
    hollow = np.isnan(bands["green"])
    np.testing.assert_array_equal(found.codes[(mask != 0) & ~hollow], mask[(mask != 0) & ~hollow])
    assert (found.codes[hollow] >= FIRST_MASKED).all()
    masked = found.codes >= FIRST_MASKED
    assert (found.bits[masked] == 255).all()
    assert (found.confidence[masked] == 255).all()
    assert (found.confidence[~masked] <= 100).all()
    assert (found.confidence[~masked] >= 50).all() or method == "wofs"


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize(
    ("how", "dtype"),
    [
        (Calibration(1e-4, -0.1, 0), np.uint16),
        (Calibration(2.75e-5, -0.2, 0), np.uint16),
        (Calibration(1e-4, 0.0, None), np.int16),
        (Calibration(1.0, 0.0, None), np.float32),
    ],
)
def test_the_compiled_vote_equals_the_plain_one_cell_by_cell(k: int, m: int, how: Calibration, dtype: type) -> None:
    rng = np.random.default_rng(k * 10 + m)
    rows, cols = 61, 83
    shapes = {"fine": (3, rows, cols), "coarse": (3, -(-rows // k), -(-cols // k))}
    pixels = {}
    for name, shape in shapes.items():
        if dtype == np.float32:
            pixels[name] = rng.uniform(-0.05, 0.5, shape).astype(np.float32)
            pixels[name][rng.random(shape) < 0.02] = np.nan
            pixels[name][rng.random(shape) < 0.01] = 40.0
        else:
            zero = round(-how.offset / how.scale)
            pixels[name] = (zero + rng.integers(-200, round(0.4 / how.scale), shape)).astype(dtype)
            pixels[name][rng.random(shape) < 0.02] = 0
    mask = rng.choice(np.array([0, 0, 0, 0, SNOW, CLOUD, NODATA], np.uint8), (-(-rows // m), -(-cols // m)))
    out = np.empty((3, rows, cols), np.uint8)
    scale, offset = np.full(6, how.scale, np.float32), np.full(6, how.offset, np.float32)
    for glint in (False, True):
        tables = vote_tables(RULES, glint=glint, nodata=how.nodata)
        vote(pixels["fine"], pixels["coarse"], mask, scale=scale, offset=offset, tables=tables, out=out)
        repeated = np.repeat(np.repeat(pixels["coarse"], k, axis=1), k, axis=2)[:, :rows, :cols]
        bands = dict(zip(OPTICAL_BANDS, [to_reflectance(a, how) for a in (*pixels["fine"], *repeated)], strict=True))
        whole = np.repeat(np.repeat(mask, m, axis=0), m, axis=1)[:rows, :cols]
        expected = dswx_extent(bands, RULES, mask=whole, glint=glint)
        for got, plain in zip(out, expected, strict=True):
            np.testing.assert_array_equal(got, plain)
        assert {0, 1, 2, CLOUD, NODATA} <= set(np.unique(out[0]).tolist())
        assert (GLINT in out[0]) == glint


def test_unknown_thresholds_methods_and_shapes_are_refused() -> None:
    bands = spectra((700, 800, 650, 350, 180, 120))
    with pytest.raises(InvalidParameter, match="t9"):
        water_extent(bands, RULES, tests={"t9": 1.0})
    with pytest.raises(InvalidParameter, match="belong to dswx"):
        water_extent(bands, RULES, method="wofs", tests={"t1_mndwi": 0.1})
    with pytest.raises(InvalidParameter, match="unknown method"):
        water_extent(bands, RULES, method="ndwi")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameter, match="swir2"):
        water_extent({k: v for k, v in bands.items() if k != "swir2"}, RULES)
    with pytest.raises(GridMismatch):
        water_extent(bands, RULES, mask=np.zeros((2, 2), np.uint8))
    record = water_extent(bands, RULES, tests={"t1_mndwi": 0.05})
    assert record.thresholds["t1_mndwi"] == 0.05
    assert record.thresholds["t4_nir"] == 0.15


# -- the tree ----------------------------------------------------------------------------------------------------------


def seven_rows(b1: float, b2: float, b3: float, b4: float, b5: float, b7: float) -> set[int]:
    """The tree written down a second time, as the seven rows of the published table, whole numbers."""
    n52, n43, n72 = (b5 - b2) / (b5 + b2), (b4 - b3) / (b4 + b3), (b7 - b2) / (b7 + b2)
    rows = [
        n52 <= -0.01 and b1 <= 2083.5 and b7 <= 323.5 and n43 <= 0.61,
        n52 <= -0.01 and 1400.5 < b1 <= 2083.5 and b7 > 323.5 and n43 <= -0.01,
        n52 <= -0.01 and b1 <= 1400.5 and b7 > 323.5 and n72 > -0.23 and b1 <= 379,
        n52 <= -0.01 and b1 <= 1400.5 and b7 > 323.5 and n72 <= -0.23 and (n43 <= 0.22 or b1 <= 473),
        -0.01 < n52 <= 0.12 and b1 <= 334.5 and n43 <= 0.54,
        0.12 < n52 <= 0.23
        and b1 <= 334.5
        and n43 <= 0.54
        and ((b3 <= 364.5 and b1 <= 129.5) or (b3 > 364.5 and b1 <= 300.5)),
        0.23 < n52 <= 0.34 and b1 <= 249.5 and n43 <= 0.45 and b3 <= 364.5 and b1 <= 129.5,
    ]
    return {number for number, holds in enumerate(rows, start=1) if holds}


SIDES = [
    # row, threshold, spectrum inside (blue, green, red, NIR, SWIR1, SWIR2), spectrum outside, rows that hold outside
    (1, "n52 ≤ −0.01", (1000, 101, 100, 100, 99, 300), (1000, 101, 100, 100, 100, 300), set()),
    (1, "b1 ≤ 2083.5", (2083, 1010, 100, 100, 500, 300), (2084, 1010, 100, 100, 500, 300), set()),
    (1, "b7 ≤ 323.5", (1000, 1010, 100, 200, 500, 323), (1000, 1010, 100, 200, 500, 324), set()),
    (1, "n43 ≤ 0.61", (1000, 1010, 39, 161, 500, 300), (1000, 1010, 39, 162, 500, 300), set()),
    (2, "n52 ≤ −0.01", (1800, 101, 1010, 900, 99, 400), (1800, 101, 1010, 900, 100, 400), set()),
    (2, "b1 > 1400.5", (1401, 1500, 1010, 900, 700, 1200), (1400, 1500, 1010, 900, 700, 1200), set()),
    (2, "b1 ≤ 2083.5", (2083, 1500, 1010, 900, 700, 400), (2084, 1500, 1010, 900, 700, 400), set()),
    # n43 ≤ −0.01 implies n43 ≤ 0.61: below b7 = 323.5 row 1 takes over.
    (2, "b7 > 323.5", (1800, 1500, 1010, 900, 700, 324), (1800, 1500, 1010, 900, 700, 323), {1}),
    (2, "n43 ≤ −0.01", (1800, 1500, 101, 99, 700, 400), (1800, 1500, 101, 100, 700, 400), set()),
    (3, "n52 ≤ −0.01", (300, 101, 500, 2000, 99, 500), (300, 101, 500, 2000, 100, 500), set()),
    (3, "b1 ≤ 379", (379, 600, 500, 900, 500, 500), (380, 600, 500, 900, 500, 500), set()),
    (3, "b7 > 323.5", (300, 400, 500, 2500, 300, 324), (300, 400, 500, 2500, 300, 323), set()),
    # b1 ≤ 379 implies b1 ≤ 473: at n72 = −0.23 row 4 takes over.
    (3, "n72 > −0.23", (300, 615, 500, 900, 300, 386), (300, 615, 500, 900, 300, 385), {4}),
    (4, "n52 ≤ −0.01", (1000, 1010, 500, 500, 990, 400), (1000, 1010, 500, 500, 991, 400), set()),
    (4, "b1 ≤ 1400.5", (1400, 1000, 500, 500, 700, 400), (1401, 1000, 500, 500, 700, 400), set()),
    (4, "b7 > 323.5", (400, 1000, 500, 2500, 700, 324), (400, 1000, 500, 2500, 700, 323), set()),
    (4, "n72 ≤ −0.23", (1000, 615, 500, 500, 300, 385), (1000, 615, 500, 500, 300, 386), set()),
    (4, "n43 ≤ 0.22", (1000, 1000, 39, 61, 700, 400), (1000, 1000, 39, 62, 700, 400), set()),
    (4, "b1 ≤ 473", (473, 1000, 500, 2500, 700, 400), (474, 1000, 500, 2500, 700, 400), set()),
    # Below n52 = −0.01, b1 ≤ 334.5 and n43 ≤ 0.54 always meet one of rows 1, 3 and 4.
    (5, "n52 > −0.01", (300, 1010, 400, 400, 991, 500), (300, 1010, 400, 400, 990, 500), {4}),
    (5, "n52 ≤ 0.12", (334, 440, 400, 400, 560, 500), (334, 440, 400, 400, 561, 500), set()),
    (5, "b1 ≤ 334.5", (334, 500, 400, 400, 520, 500), (335, 500, 400, 400, 520, 500), set()),
    (5, "n43 ≤ 0.54", (300, 500, 23, 77, 520, 500), (300, 500, 23, 78, 520, 500), set()),
    # Below n52 = 0.12 row 5 takes over.
    (6, "n52 > 0.12", (100, 440, 300, 300, 561, 500), (100, 440, 300, 300, 560, 500), {5}),
    (6, "n52 ≤ 0.23", (300, 385, 400, 400, 615, 500), (300, 385, 400, 400, 616, 500), set()),
    (6, "n43 ≤ 0.54", (100, 400, 23, 77, 560, 500), (100, 400, 23, 78, 560, 500), set()),
    (6, "b3 > 364.5", (200, 400, 365, 300, 560, 500), (200, 400, 364, 300, 560, 500), set()),
    (6, "b3 ≤ 364.5: b1 ≤ 129.5", (129, 400, 364, 300, 560, 500), (130, 400, 364, 300, 560, 500), set()),
    (6, "b3 > 364.5: b1 ≤ 300.5", (300, 400, 365, 300, 560, 500), (301, 400, 365, 300, 560, 500), set()),
    # Below n52 = 0.23 row 6 takes over.
    (7, "n52 > 0.23", (100, 385, 300, 300, 616, 500), (100, 385, 300, 300, 615, 500), {6}),
    (7, "n52 ≤ 0.34", (100, 330, 300, 300, 670, 500), (100, 330, 300, 300, 671, 500), set()),
    (7, "b1 ≤ 129.5", (129, 360, 300, 300, 640, 500), (130, 360, 300, 300, 640, 500), set()),
    (7, "n43 ≤ 0.45", (100, 360, 55, 145, 640, 500), (100, 360, 55, 146, 640, 500), set()),
    (7, "b3 ≤ 364.5", (100, 360, 364, 300, 640, 500), (100, 360, 365, 300, 640, 500), set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "threshold", "inside", "outside", "others"), SIDES, ids=[f"row {r}: {t}" for r, t, *_ in SIDES]
)
def test_one_spectrum_on_each_side_of_every_threshold_of_the_tree(
    row: int, threshold: str, inside: tuple[int, ...], outside: tuple[int, ...], others: set[int]
) -> None:
    assert sum(a != b for a, b in zip(inside, outside, strict=True)) == 1, threshold
    bits, _ = wofs_rows(spectra(inside, outside), RULES)
    held = [{i + 1 for i in range(7) if bit >> i & 1} for bit in bits.tolist()]
    assert held == [{row}, others]
    assert [seven_rows(*inside), seven_rows(*outside)] == held
    classes, _, _ = wofs_extent(spectra(inside, outside), RULES)
    assert classes.tolist() == [1, 1 if others else 0]


def test_the_limits_left_out_of_the_rule_file_are_implied_by_the_others() -> None:
    """Row 3: b1 ≤ 1400.5; row 6: b1 ≤ 334.5; row 7: b1 ≤ 249.5. The second transcription has them; both agree everywhere."""
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 2500, (200_000, 6))
    rows[:100_000] = rng.integers(1, 700, (100_000, 6))
    bits, agreement = wofs_rows(spectra(*rows.tolist()), RULES)
    expected = np.array([sum(1 << (n - 1) for n in seven_rows(*row)) for row in rows[::20].tolist()])
    np.testing.assert_array_equal(bits[::20], expected)
    assert all((bits >> i & 1).any() for i in range(7))
    assert agreement.min() >= round(100 / 13)
    assert agreement.max() == 100


def test_the_tree_agrees_with_the_reference_output(reference_data: Path) -> None:
    xarray = pytest.importorskip("xarray")
    folder = reference_data / "water" / "wofs_reference"
    if not folder.is_dir():
        pytest.skip("reference data water/wofs_reference is absent")
    names = ("nbart_blue", "nbart_green", "nbart_red", "nbart_nir", "nbart_swir_1", "nbart_swir_2")
    with xarray.open_dataset(folder / "sample_c3_sr.nc", mask_and_scale=False) as scene:
        raw = np.stack([scene[name].values[0] for name in names])
    with xarray.open_dataset(folder / "sample_wofl.nc") as result:
        flags = result["water"].values[0]
    clear = (np.isfinite(raw) & (raw != -999)).all(axis=0) & np.isin(flags, [0, 128])
    bands = {name: (values * 1e-4).astype(np.float32) for name, values in zip(OPTICAL_BANDS, raw, strict=True)}
    found = water_extent(bands, RULES, method="wofs", mask=np.where(clear, 0, CLOUD).astype(np.uint8))
    same = int((found.water == (flags == 128))[clear].sum())
    rows = [int((found.bits[clear] >> i & 1).sum()) for i in range(7)]
    print(f"WOfS: {same} of {int(clear.sum())} clear cells as the reference; cells by row {rows}")
    assert (same, int(clear.sum())) == (667, 667)
    assert rows == [592, 0, 0, 7, 0, 0, 0]


# -- the labelled chip -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chip(reference_data: Path) -> dict[str, np.ndarray]:
    """Digital numbers of Sentinel-2, decibels of Sentinel-1 and the hand-drawn label of the Spanish flood chip."""
    import rasterio

    folder = reference_data / "water" / "sen1floods11_spain"
    if not folder.is_dir():
        pytest.skip("reference data water/sen1floods11_spain is absent")
    found = {}
    with rasterio.open(folder / "Spain_7370579_S2Hand.tif") as source:
        found |= dict(zip(S2_CHIP, source.read(), strict=True))
    with rasterio.open(folder / "Spain_7370579_S1Hand.tif") as source:
        found["vv"], found["vh"] = source.read()
    with rasterio.open(folder / "Spain_7370579_LabelHand.tif") as source:
        found["label"] = source.read(1)
    return found


def reflectance(chip: dict[str, np.ndarray], how: Calibration, nir: str = "nir08") -> dict[str, np.ndarray]:
    return {name: to_reflectance(chip[nir if name == "nir" else name], how) for name in OPTICAL_BANDS}


def test_the_vote_on_the_labelled_chip(chip: dict[str, np.ndarray]) -> None:
    how = calibration(RULES, "sentinel-2-l1c", baseline="02.08")
    table = {}
    for nir in ("nir", "nir08"):
        bands = reflectance(chip, how, nir)
        found = water_extent(bands, RULES)
        table[f"vote {nir}"] = scores(found.water, chip["label"])
        table[f"4 of 5 {nir}"] = scores(found.codes == 1, chip["label"])
        table[f"T2 alone {nir}"] = scores((found.bits & 2) > 0, chip["label"])
        table[f"with conservative {nir}"] = scores(np.isin(found.codes, [1, 2, 3]), chip["label"])
        table[f"with aggressive {nir}"] = scores(np.isin(found.codes, [1, 2, 3, 4]), chip["label"])
        table[f"wofs {nir}"] = scores(water_extent(bands, RULES, method="wofs").water, chip["label"])
    for name, row in table.items():
        print(f"{name:25}", {key: round(float(value), 4) for key, value in row.items()})
    assert table["vote nir08"]["iou"] >= 0.75
    assert table["vote nir"]["iou"] >= 0.75
    expected = {
        "vote nir": 0.753, "vote nir08": 0.756, "4 of 5 nir": 0.721, "T2 alone nir": 0.784, "T2 alone nir08": 0.759,
        "with conservative nir08": 0.753, "with aggressive nir08": 0.701, "wofs nir": 0.716,
    }  # fmt: skip
    for name, iou in expected.items():
        assert table[name]["iou"] == pytest.approx(iou, abs=0.001), name
    assert table["vote nir"]["kappa"] == pytest.approx(0.804, abs=0.001)


def test_a_forgotten_or_doubled_offset_still_looks_like_a_map(chip: dict[str, np.ndarray]) -> None:
    """What the refusal of an unknown offset protects from."""
    forgotten = water_extent(reflectance(chip, Calibration(1e-4, 0.1, 0)), RULES)
    doubled = water_extent(reflectance(chip, Calibration(1e-4, -0.1, 0)), RULES)
    ious = [scores(found.water, chip["label"])["iou"] for found in (forgotten, doubled)]
    # Without the floor that takes negative reflectance as dark, the doubled one falls apart.
    b = {name: values.astype(np.float64) for name, values in reflectance(chip, Calibration(1e-4, -0.1, 0)).items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        mndwi = (b["green"] - b["swir1"]) / (b["green"] + b["swir1"])
        ndvi = (b["nir"] - b["red"]) / (b["nir"] + b["red"])
    votes = (
        (mndwi > 0.124).astype(int)
        + (b["green"] + b["red"] > b["nir"] + b["swir1"])
        + (b["blue"] + 2.5 * b["green"] - 1.5 * (b["nir"] + b["swir1"]) - 0.25 * b["swir2"] > 0)
        + ((mndwi > -0.44) & (b["swir1"] < 0.09) & (b["nir"] < 0.15) & (ndvi < 0.7))
        + ((mndwi > -0.5) & (b["blue"] < 0.1) & (b["swir1"] < 0.3) & (b["swir2"] < 0.1) & (b["nir"] < 0.25))
    )
    ious.append(scores(votes >= 3, chip["label"])["iou"])
    print(
        "IoU with the offset forgotten, taken twice, taken twice without the floor:", [round(float(i), 4) for i in ious]
    )
    assert ious == pytest.approx([0.712, 0.730, 0.2466], abs=0.001)


def test_indices_on_the_labelled_chip(chip: dict[str, np.ndarray]) -> None:
    bands = reflectance(chip, calibration(RULES, "sentinel-2-l1c", baseline="02.08"), "nir")
    found = {}
    for method, sampling in itertools.product(("mndwi", "awei-nsh", "awei-sh"), ("edge", "all", "fixed")):
        threshold = index_threshold(bands, RULES, method, sampling=sampling)  # type: ignore[arg-type]
        result = water_extent(bands, RULES, method=method, threshold=threshold)  # type: ignore[arg-type]
        found[method, sampling] = threshold, scores(result.water, chip["label"])["iou"]
        print(method, sampling, threshold.document(), f"IoU {found[method, sampling][1]:.4f}")
    assert found["mndwi", "all"][0].value == pytest.approx(0.157, abs=0.001)
    assert found["mndwi", "all"][1] == pytest.approx(0.719, abs=0.001)
    assert found["mndwi", "fixed"][1] == pytest.approx(0.708, abs=0.001)
    assert found["awei-nsh", "fixed"][1] == pytest.approx(0.717, abs=0.001)
    assert found["awei-sh", "fixed"][1] == pytest.approx(0.708, abs=0.001)
    # Around edges the AWEI falls into no two groups here: the guard takes the fixed threshold.
    assert {found[name, "edge"][0].how for name in ("awei-nsh", "awei-sh")} == {"fixed"}
    assert found["mndwi", "edge"][0].how == "edge-otsu"


def test_radar_on_the_labelled_chip(chip: dict[str, np.ndarray]) -> None:
    decibel = {name: to_decibel(chip[name], "dB", RULES) for name in ("vv", "vh")}
    label = np.where(np.isfinite(decibel["vv"]) & np.isfinite(decibel["vh"]), chip["label"], -1)
    for name, threshold, iou in (("vv", -13.77, 0.567), ("vh", -21.82, 0.566)):
        values = decibel[name][np.isfinite(decibel[name])]
        counts, edges = np.histogram(values, bins=256)
        tried = otsu(counts, edges)
        assert tried == pytest.approx(threshold, abs=0.01)
        assert scores(decibel[name] < tried, label)["iou"] == pytest.approx(iou, abs=0.001)
    rows = {}
    for by in ("em", "otsu"):
        found = sar_extent(decibel, RULES, by=by)  # type: ignore[arg-type]
        rows[by] = scores(found.water, label)["iou"]
        print("SAR VV + VH", by, dict(found.thresholds), f"IoU {rows[by]:.4f}", found.notes)
    assert rows["em"] >= 0.56
    assert rows["otsu"] >= 0.58


# -- the Ucayali -------------------------------------------------------------------------------------------------------

UCAYALI_KM2 = {1985: 113.6, 1990: 89.8, 1995: 95.1, 2000: 104.5, 2005: 76.5, 2010: 96.7, 2015: 97.7, 2020: 90.3}


def test_areas_of_the_ucayali(reference_data: Path) -> None:
    """MNDWI and Otsu over all valid cells; the listed areas lie on a sphere of 111.32 km a degree."""
    import rasterio
    from odc.geo.geobox import GeoBox

    from spatial.grid import cell_areas

    folder = reference_data / "water" / "ucayali_river_landsat"
    if not folder.is_dir():
        pytest.skip("reference data water/ucayali_river_landsat is absent")
    worst = 0.0
    for year, listed in UCAYALI_KM2.items():
        with rasterio.open(folder / f"{year}.tif") as source:
            values, transform = source.read(masked=True), source.transform
        valid = ~np.ma.getmaskarray(values).any(axis=0)
        swir1, _, _, green = (np.where(valid, band, np.nan).astype(np.float32) for band in values.data)
        bands = {"green": green, "swir1": swir1}
        threshold = index_threshold(bands, RULES, "mndwi", sampling="all")
        assert threshold.how == "otsu"
        wet = water_extent(bands, RULES, method="mndwi", threshold=threshold).water.sum(axis=1)
        rows = np.arange(valid.shape[0])
        latitude = transform.f + transform.e * (rows + 0.5)
        sphere = float((wet * transform.a * -transform.e * 111.32**2 * np.cos(np.radians(latitude))).sum())
        areas = cell_areas(GeoBox(valid.shape, transform, "EPSG:4490"))
        ellipsoid = float((wet * areas.reshape(valid.shape[0], -1)[:, 0]).sum() / 1e6)
        off = sphere / listed - 1
        worst = max(worst, abs(off))
        print(f"{year}: T {threshold.value:.4f}, sphere {sphere:.2f} km² ({off:+.2%}), ellipsoid {ellipsoid:.2f} km²")
        assert sphere == pytest.approx(listed, rel=0.01)
        assert 0.99 < ellipsoid / sphere < 1.0
    assert worst < 0.01


# -- thresholds --------------------------------------------------------------------------------------------------------


def test_otsu_agrees_with_scikit_image() -> None:
    from skimage.filters import threshold_otsu

    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.1, 0.05, 4000), rng.normal(0.6, 0.1, 1000)])
    counts, edges = np.histogram(values, bins=256)
    theirs = float(threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2)))
    # Between the groups lie empty bins, all as good: theirs is the first, ours the middle one.
    np.testing.assert_array_equal(values > otsu(counts, edges), values > theirs)
    with pytest.raises(ValueError, match="two bins"):
        otsu(np.array([0, 3, 0]), np.arange(4))


def test_edges_agree_with_scikit_image() -> None:
    from skimage.feature import canny

    rng = np.random.default_rng(2)
    rows, cols = np.ogrid[:120, :150]
    image = ((rows - 60) ** 2 + (cols - 75) ** 2 < 40**2) * 1.0 + rng.normal(0, 0.05, (120, 150))
    ours = canny_edges(image.astype(np.float32), RULES.indices.canny)
    theirs = canny(image, sigma=1.0, low_threshold=0.85, high_threshold=0.95, use_quantiles=True)
    from scipy.ndimage import binary_dilation

    # Where one has an edge the other has one within a cell.
    assert binary_dilation(theirs, np.ones((3, 3)))[ours].mean() > 0.95
    assert binary_dilation(ours, np.ones((3, 3)))[theirs].mean() > 0.95
    # No edge beside missing cells, and none on a flat image.
    image[:, :20] = np.nan
    assert not canny_edges(image, RULES.indices.canny)[:, :21].any()
    assert not canny_edges(np.ones((30, 30), np.float32), RULES.indices.canny).any()


@pytest.mark.parametrize(
    ("name", "two"), [("normal", False), ("skewed", False), ("water and land", True), ("little water", True)]
)
def test_only_two_groups_give_a_threshold(name: str, two: bool) -> None:
    rng = np.random.default_rng(3)
    mndwi = {
        "normal": rng.normal(-0.3, 0.1, 40_000),
        "skewed": rng.gamma(2, 0.08, 40_000) - 0.6,
        "water and land": np.concatenate([rng.normal(-0.4, 0.08, 20_000), rng.normal(0.5, 0.1, 20_000)]),
        "little water": np.concatenate([rng.normal(-0.4, 0.08, 38_000), rng.normal(0.5, 0.1, 2_000)]),
    }[name].clip(-0.99, 0.99)
    green = np.full(mndwi.shape, 0.1, np.float32)
    swir1 = (green * (1 - mndwi) / (1 + mndwi)).astype(np.float32)
    found = index_threshold({"green": green, "swir1": swir1}, RULES, "mndwi", sampling="all")
    print(name, found.document())
    assert found.how == ("otsu" if two else "fixed")
    assert found.value == 0.124 or two
    result = water_extent({"green": green, "swir1": swir1}, RULES, method="mndwi", threshold=found)
    assert result.thresholds["threshold_by"] == found.how
    if not two:
        assert set(result.confidence.tolist()) == {50}
        # The halves of one normal group look apart: D of a hard cut is no guard.
        assert groups_at(mndwi, float(np.median(mndwi))).ashman > 2
        assert mixture(mndwi, start=float(np.median(mndwi)))[1].ashman < 2


def test_edge_threshold_does_not_depend_on_the_share_of_water() -> None:
    rng = np.random.default_rng(4)
    found = []
    for radius in (12, 60):
        rows, cols = np.ogrid[:160, :200]
        lake = (rows - 80) ** 2 + (cols - 100) ** 2 < radius**2
        green = np.where(lake, 0.08, 0.09) + rng.normal(0, 0.004, lake.shape)
        swir1 = np.where(lake, 0.02, 0.22) + rng.normal(0, 0.004, lake.shape)
        bands = {"green": green.astype(np.float32), "swir1": swir1.astype(np.float32)}
        threshold = index_threshold(bands, RULES, "mndwi")
        found.append(threshold.value)
        assert threshold.how == "edge-otsu"
        assert (water_extent(bands, RULES, method="mndwi", threshold=threshold).water == lake).mean() > 0.999
    assert abs(found[0] - found[1]) < 0.1


def test_an_index_with_no_contrast_is_no_data() -> None:
    values = water_index(
        {"green": np.array([0.0, 0.2], np.float32), "swir1": np.array([0.0, 0.1], np.float32)}, "mndwi"
    )
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(1 / 3)


# -- radar -------------------------------------------------------------------------------------------------------------


def radar_scene(seed: int = 5) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    lake = np.zeros((300, 300), bool)
    lake[40:180, 30:170] = True
    vv = np.where(lake, -20.0, -9.0) + rng.normal(0, 1.0, lake.shape)
    vh = np.where(lake, -28.0, -15.0) + rng.normal(0, 1.0, lake.shape)
    return {"vv": vv.astype(np.float32), "vh": vh.astype(np.float32)}, lake


def test_radar_finds_a_lake_and_terrain_excludes_its_double() -> None:
    backscatter, lake = radar_scene()
    found = sar_extent(backscatter, RULES)
    assert (found.water == lake).mean() > 0.995
    assert found.thresholds["vv_by"] in {"tiles", "cap"}
    assert found.thresholds["vv_db"] <= RULES.sar.cap_vv
    hand = np.where(np.arange(300)[None, :] < 100, 2.0, 80.0) * np.ones((300, 1))
    slope = np.where(np.arange(300)[:, None] < 100, 1.0, 25.0) * np.ones((1, 300))
    by_hand = sar_extent(backscatter, RULES, hand=hand.astype(np.float32))
    assert not by_hand.water[:, 100:].any()
    assert (by_hand.water[:, :100] == lake[:, :100]).mean() > 0.995
    by_slope = sar_extent(backscatter, RULES, slope=slope.astype(np.float32))
    assert not by_slope.water[100:].any()
    assert ((by_slope.bits & BITS["slope"]) > 0)[:100].all()
    assert (by_hand.confidence[by_hand.codes < FIRST_MASKED] <= 100).all()


def test_radar_threshold_is_capped_and_taken_from_low_tiles() -> None:
    backscatter, lake = radar_scene()
    bright = backscatter["vv"] + np.float32(8)  # rough water: the groups part at about −7 dB
    found = backscatter_threshold(bright, RULES.sar.cap_vv, RULES)
    assert (found.value, found.how) == (-15.5, "cap")
    assert found.tried is not None
    assert found.tried > -15.5
    hand = np.full(lake.shape, 100, np.float32)
    assert backscatter_threshold(backscatter["vv"], RULES.sar.cap_vv, RULES, hand=hand).tiles == 0
    flat = np.random.default_rng(0).normal(-9, 1, (200, 200)).astype(np.float32)
    none = backscatter_threshold(flat, RULES.sar.cap_vv, RULES)
    assert (none.value, none.how, none.tried) == (-15.5, "cap", None)
    result = sar_extent({"vv": flat}, RULES)
    assert not result.water.any()
    assert any("no two groups" in note for note in result.notes)


def test_single_dark_cells_are_no_water_and_masks_win_in_radar_too() -> None:
    backscatter, lake = radar_scene()
    backscatter["vv"][250, 250] = backscatter["vh"][250, 250] = -35
    backscatter["vv"][0, 0] = backscatter["vh"][0, 0] = np.nan
    mask = np.zeros(lake.shape, np.uint8)
    mask[50:60, 50:60] = TERRAIN_SHADOW
    found = sar_extent(backscatter, RULES, mask=mask)
    assert not found.water[250, 250]
    assert found.codes[0, 0] == NODATA
    assert (found.codes[50:60, 50:60] == TERRAIN_SHADOW).all()
    with pytest.raises(InvalidParameter, match="vv or vh"):
        sar_extent({}, RULES)
    with pytest.raises(GridMismatch):
        sar_extent(backscatter, RULES, hand=np.zeros((2, 2), np.float32))


def test_masks_combine_by_strength() -> None:
    assert combine_masks(None, None) is None
    codes = np.array([0, GLINT, TERRAIN_SHADOW, SNOW, CLOUD, NODATA], np.uint8)
    for a, b in itertools.product(range(6), repeat=2):
        found = combine_masks(codes[[a]], codes[[b]])
        assert found is not None
        assert found[0] == codes[max(a, b)]
