"""Optical formulas of water quality: a hand-computed value for each, the refusals, and Harsha Lake as it was measured."""

from __future__ import annotations

import math
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analyses.water.quality.calibration import calibrate, scores
from analyses.water.quality.optical_quality import ALGORITHMS, Spectrum, compute, ndci_level
from analyses.water.quality.rules import optical_rules
from analyses.water.quality.water_optics import Flag, chl_mishra, ndci
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, QualityViolation

ROOT = Path(__file__).parents[2]
RULE_FILE = ROOT / "layers" / "rules" / "optical_quality.yml"
RULES = optical_rules({"optical_quality": yaml.safe_load(RULE_FILE.read_text("utf-8"))})
BANDS = ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir1")


def spectrum(kind: str = "rho_w", sensor: str = "sentinel2", sun: float | None = None, **bands: object) -> Spectrum:
    return Spectrum(kind, sensor, {n: np.atleast_1d(np.asarray(v, float)) for n, v in bands.items()}, sun)


def one(id: str, s: Spectrum, **options: object) -> float:
    return float(compute(id, s, RULES, **options).values[0])


def test_ndci_and_mishra_by_hand() -> None:
    s = spectrum(red=0.02, rededge1=0.03)
    assert one("ndci", s) == pytest.approx(0.2)
    # 14.039 + 86.115 · 0.2 + 194.325 · 0.04
    assert one("chl_mishra", s) == pytest.approx(39.035, abs=1e-4)


def test_mishra_turns_at_its_lowest_point_and_is_flagged_left_of_it() -> None:
    values, flags = chl_mishra([-0.2216, -0.22, -0.30, -0.19], RULES.mishra)
    assert values[0] == pytest.approx(4.4987, abs=1e-3)
    assert values[2] > values[0] < values[3]
    assert flags.tolist() == [Flag.OUT_OF_FIT, 0, Flag.OUT_OF_FIT, 0]


def test_gons_by_hand_and_its_validity() -> None:
    # b = 1.61 · 0.01/(0.082 − 0.006) = 0.2118421; 1.5 · 0.9118421 − 0.40 − 0.2118421^1.05 = 0.7717354; / 0.015
    b = 0.0161 / 0.076
    expected = (1.5 * (0.70 + b) - 0.40 - b**1.05) / 0.015
    assert expected == pytest.approx(51.449, abs=0.001)
    assert one("chl_gons", spectrum(red=0.02, rededge1=0.03, rededge3=0.01)) == pytest.approx(expected, rel=1e-6)
    bad = compute(
        "chl_gons",
        spectrum(
            red=[0.005, 0.02, 0.02, 0.02], rededge1=[0.01, 0.0126, 0.03, 0.03], rededge3=[0.01, 0.01, -0.001, 0.14]
        ),
        RULES,
    )
    assert np.isnan(bad.values).all()
    assert bad.flags.tolist() == [Flag.INVALID, Flag.INVALID, Flag.NEGATIVE, Flag.INVALID]


def test_moses_by_hand_flags_the_band_it_was_not_fitted_at() -> None:
    s = spectrum(red=0.02, rededge1=0.03, rededge2=0.012, rededge3=0.01)
    # 232.29 · (50 − 33.3333) · 0.012 + 23.173
    found = compute("chl_moses", s, RULES)
    assert float(found.values[0]) == pytest.approx(69.631, abs=1e-3)
    assert found.flags[0] == Flag.SUBSTITUTE_BAND
    assert "753" in found.notes[0].en
    assert one("chl_moses", s, nir_band="rededge3") == pytest.approx(61.888, abs=1e-3)
    with pytest.raises(InvalidParameter, match="rededge2"):
        compute("chl_moses", s, RULES, nir_band="nir")


def test_oc3_by_hand_and_only_in_clear_water() -> None:
    # x = log10(0.010/0.008) = 0.09691; 0.3308 − 2.6684 x + 1.5990 x² + 0.5525 x³ − 1.4876 x⁴ = 0.087590
    s = spectrum(coastal=0.010, blue=0.009, green=0.008, red=0.002)
    assert one("chl_oc3", s) == pytest.approx(1.2235, abs=1e-3)
    landsat = spectrum(sensor="landsat8", coastal=0.010, blue=0.009, green=0.008, red=0.002)
    assert one("chl_oc3", landsat) == pytest.approx(1.2302, abs=2e-3)
    turbid = compute("chl_oc3", spectrum(coastal=0.01, blue=0.009, green=0.008, red=0.005), RULES)
    assert np.isnan(turbid.values[0])
    assert turbid.flags[0] == Flag.INVALID


@pytest.mark.parametrize(
    ("red", "nir", "expected"),
    [
        (0.03, 0.01, 228.1 * 0.03 / (1 - 0.03 / 0.1641)),  # 8.374 FNU, the red band alone
        (0.05, 0.02, 228.1 * 0.05 / (1 - 0.05 / 0.1641)),  # the lower bound: still red
        (0.06, 0.03, 0.5 * 228.1 * 0.06 / (1 - 0.06 / 0.1641) + 0.5 * 3078.9 * 0.03 / (1 - 0.03 / 0.2112)),
        (0.07, 0.04, 3078.9 * 0.04 / (1 - 0.04 / 0.2112)),  # the upper bound: NIR alone
        (0.10, 0.05, 3078.9 * 0.05 / (1 - 0.05 / 0.2112)),  # 201.697 FNU
    ],
)
def test_dogliotti_by_hand(red: float, nir: float, expected: float) -> None:
    assert one("turbidity_dogliotti", spectrum(red=red, nir08=nir)) == pytest.approx(expected, rel=1e-6)


def test_dogliotti_figures_and_flags() -> None:
    found = compute(
        "turbidity_dogliotti",
        spectrum(red=[0.03, 0.06, 0.10, 0.03, 0.10, 0.10], nir08=[0.01, 0.03, 0.05, np.nan, np.nan, 0.22]),
        RULES,
    )
    assert found.values[:3].round(3).tolist() == pytest.approx([8.374, 64.618, 201.697], abs=0.002)
    assert np.isfinite(found.values[3])
    assert np.isnan(found.values[4:]).all()
    assert found.flags.tolist() == [0, Flag.BLENDED, 0, 0, 0, Flag.SATURATED]


def test_dogliotti_reads_below_nechad_at_665() -> None:
    s = spectrum(red=[0.01, 0.03, 0.04], nir08=[0.0, 0.0, 0.0])
    ratio = compute("turbidity_dogliotti", s, RULES).values / compute("turbidity_nechad", s, RULES).values
    assert ((ratio > 0.80) & (ratio < 0.83)).all()  # 17–20 % lower


def test_nechad_by_hand_saturation_and_offset() -> None:
    s = spectrum(red=[0.05, 0.0864, 0.0863], nir08=[0.02, 0.02, 0.02])
    turbidity = compute("turbidity_nechad", s, RULES)
    assert float(turbidity.values[0]) == pytest.approx(282.95 * 0.05 / (1 - 0.05 / 0.1728), rel=1e-6)
    assert turbidity.flags.tolist() == [0, Flag.SATURATED, 0]
    plain, added = compute("spm_nechad", s, RULES), compute("spm_nechad", s, RULES, add_offset=True)
    assert float(plain.values[0]) == pytest.approx(355.85 * 0.05 / (1 - 0.05 / 0.1728), rel=1e-6)
    assert float(added.values[0] - plain.values[0]) == pytest.approx(1.74, abs=1e-4)
    assert "not added" in plain.notes[0].en
    assert "was added" in added.notes[0].en
    assert one("spm_nechad", s, band="nir") == pytest.approx(2971.93 * 0.02 / (1 - 0.02 / 0.2115), rel=1e-6)
    landsat = spectrum(sensor="landsat8", red=0.05, nir=0.02)
    assert one("spm_nechad", landsat) == pytest.approx(289.29 * 0.05 / (1 - 0.05 / 0.1686), rel=1e-6)


def test_novoa_switches_by_the_logarithm() -> None:
    def red(r: float) -> float:
        return 355.85 * r / (1 - r / 0.1728)

    nir = 2971.93 * 0.06 / (1 - 0.06 / 0.2115)
    middle = math.sqrt(0.08 * 0.12)  # halfway in the logarithm: equal weights
    for r, expected in ((0.08, red(0.08)), (middle, (red(middle) + nir) / 2), (0.12, nir), (0.15, nir)):
        assert one("spm_novoa", spectrum(red=r, nir08=0.06)) == pytest.approx(expected, rel=1e-6)
    assert one("spm_novoa", spectrum(red=0.09, nir08=0.06), bounds="bourgneuf") == pytest.approx(nir, rel=1e-6)
    with pytest.raises(InvalidParameter, match="bourgneuf"):
        compute("spm_novoa", spectrum(red=0.1, nir08=0.06), RULES, bounds="yangtze")


def test_fai_and_afai_by_hand() -> None:
    s = spectrum("rho_rc", red=0.04, rededge2=0.07, nir08=0.10, swir1=0.02)
    # baseline at 865 nm between 665 and 1614: 0.04 − 0.02 · 200/949
    assert one("fai", s) == pytest.approx(0.10 - (0.04 - 0.02 * 200 / 949), abs=1e-6)
    assert one("afai", s) == pytest.approx(0.07 - (0.04 + 0.06 * 75 / 200), abs=1e-6)


def test_secchi_by_hand_in_clear_and_turbid_water() -> None:
    """The whole chain once more in plain scalar arithmetic."""

    def oracle(r: tuple[float, ...], sun: float) -> float:
        aw, bbw = (0.00693, 0.015, 0.0596, 0.439), (0.0025, 0.00158, 0.0009, 0.00034)
        rr = [v / (0.52 + 1.7 * v) for v in r]
        u = [(-0.08945 + math.sqrt(0.08945**2 + 4 * 0.1247 * v)) / (2 * 0.1247) for v in rr]
        if r[3] < 0.0015:
            x = math.log10((rr[0] + rr[1]) / (rr[2] + 5 * rr[3] ** 2 / rr[1]))
            a0, at, nm0 = aw[2] + 10 ** (-1.146 - 1.366 * x - 0.469 * x * x), 2, 555
        else:
            a0, at, nm0 = aw[3] + 0.39 * (r[3] / (r[0] + r[1])) ** 1.14, 3, 670
        bbp0 = u[at] * a0 / (1 - u[at]) - bbw[at]
        eta = 2 * (1 - 1.2 * math.exp(-0.9 * rr[0] / rr[2]))
        kd = []
        for k, nm in enumerate((443, 490, 555, 670)):
            bb = bbp0 * (nm0 / nm) ** eta + bbw[k]
            a = (1 - u[k]) * bb / u[k]
            kd.append((1 + 0.005 * sun) * a + (1 - 0.265 * bbw[k] / bb) * 4.259 * (1 - 0.52 * math.exp(-10.8 * a)) * bb)
        kd.append(0.2 * kd[1] + 0.75 * kd[2])
        least = kd.index(min(kd))
        return math.log(abs(0.14 - r[2 if least == 4 else least]) / 0.013) / (2.5 * min(kd))

    clear, turbid = (0.004, 0.005, 0.004, 0.0006), (0.010, 0.015, 0.025, 0.022)
    for bands, low, high in ((clear, 5, 25), (turbid, 0.2, 1.5)):
        s = spectrum("rrs", sun=40.0, **dict(zip(("coastal", "blue", "green", "red"), bands, strict=True)))
        found = one("secchi", s)
        assert found == pytest.approx(oracle(bands, 40.0), rel=1e-5)
        assert low < found < high
    bad = compute("secchi", spectrum("rrs", coastal=[0.0, np.nan], blue=0.01, green=0.01, red=0.01), RULES)
    assert np.isnan(bad.values).all()
    assert bad.flags.tolist() == [Flag.NEGATIVE, 0]
    assert "not given" in bad.notes[0].en


def test_every_formula_refuses_another_reflectance() -> None:
    for id, algorithm in ALGORITHMS.items():
        needed = algorithm.rule(RULES).reflectance
        for kind in ("rho_w", "rrs", "rho_rc", "rho_s", "toa"):
            s = spectrum(kind, **dict.fromkeys(BANDS, 0.02))
            if kind == needed:
                compute(id, s, RULES)
                continue
            with pytest.raises(InvalidParameter) as error:
                compute(id, s, RULES)
            assert error.value.details["value"] == kind
            assert error.value.details["allowed"] == [needed]


def test_only_rho_w_and_rrs_convert() -> None:
    s = spectrum("rrs", red=0.02, rededge1=0.03)
    assert one("ndci", s.as_kind("rho_w")) == pytest.approx(0.2)
    for kind in ("rho_s", "toa", "rho_rc"):
        with pytest.raises(InvalidParameter, match="atmospheric correction"):
            spectrum(kind, red=0.02).as_kind("rho_w")


@pytest.mark.parametrize("factor", [100.0, 10_000.0])
def test_digital_numbers_and_percent_are_refused(factor: float) -> None:
    """NDCI itself would not notice: a ratio has no scale."""
    with pytest.raises(QualityViolation, match="no reflectance"):
        compute("ndci", spectrum(red=0.02 * factor, rededge1=0.03 * factor), RULES)


def test_bands_and_sensors_that_lack_are_named() -> None:
    with pytest.raises(InvalidParameter, match="rededge1"):
        compute("ndci", spectrum(red=0.02), RULES)
    with pytest.raises(InvalidParameter, match="landsat8 lacks"):
        compute("ndci", spectrum(sensor="landsat8", red=0.02), RULES)
    with pytest.raises(InvalidParameter, match="no formula"):
        compute("cdom", spectrum(red=0.02), RULES)


def test_negative_and_missing_bands_give_no_value() -> None:
    found = compute("ndci", spectrum(red=[-0.01, np.nan, 0.0], rededge1=[0.02, 0.02, 0.0]), RULES)
    assert np.isnan(found.values).all()
    assert found.flags.tolist() == [Flag.NEGATIVE, 0, 0]


def test_an_estimate_never_calls_itself_a_concentration() -> None:
    for id in ("chl_mishra", "spm_nechad"):
        s = spectrum(red=0.02, rededge1=0.03, nir08=0.01)
        found = compute(id, s, RULES)
        assert not found.calibrated
        assert "no concentration" in found.notes[-1].en


def test_levels_have_closed_lower_ends() -> None:
    assert ndci_level(np.array([-0.2, -0.1, 0.0, 0.1, 0.2, 0.4, 0.9, np.nan]), RULES).tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
        6,
        0,
    ]


@given(st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_ndci_is_antisymmetric_and_bounded(a: float, b: float) -> None:
    x, y = ndci(a, b)[0], ndci(b, a)[0]
    assert float(x) == pytest.approx(-float(y))
    assert -1 <= float(x) <= 1


@given(st.lists(st.floats(0.0, 0.0863), min_size=2, max_size=8, unique=True))
def test_turbidity_rises_with_the_red_band(reds: list[float]) -> None:
    reds.sort()
    values = compute("turbidity_nechad", spectrum(red=reds, nir08=np.zeros(len(reds))), RULES).values
    assert (np.diff(values) >= 0).all()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: d["ndci"].pop("source"),
        lambda d: d["ndci"].update(reflectance="l2a"),
        lambda d: d["ndci_levels"].update(edges=[0.1, 0.0]),
        lambda d: d["mishra"].update(extra=1),
        lambda d: d["nechad_spm"]["bands"][0].update(c=0),
    ],
)
def test_a_broken_rule_file_is_refused(break_it) -> None:
    document = yaml.safe_load(RULE_FILE.read_text("utf-8"))
    break_it(document)
    with pytest.raises(LayerDefinitionInvalid, match=r"optical_quality\.yml"):
        optical_rules({"optical_quality": document})


# Calibration


def test_scores_by_hand() -> None:
    found = scores([2.0, 4.0, 8.0], [4.0, 4.0, 2.0])
    assert found.rmse == pytest.approx(math.sqrt((4 + 0 + 36) / 3))
    assert found.mdape_percent == pytest.approx(75.0)
    assert found.log_bias == pytest.approx((math.log(2) + 0 - math.log(4)) / 3)
    assert found.symmetric_accuracy_percent == pytest.approx(100.0)
    with pytest.raises(QualityViolation):
        scores([0.0], [1.0])


def matchups(n: int = 60, noise: float = 0.1, seed: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    index = rng.uniform(-0.1, 0.4, n)
    return index, np.exp(2.0 + 5.0 * index + rng.normal(0, noise, n)), [f"2024-0{1 + k % 6}" for k in range(n)]


def test_calibration_finds_the_law_and_its_error() -> None:
    x, y, dates = matchups(240)
    found = calibrate(x, y, dates, RULES.calibration, unit="mg/m3", grouped_by="date")
    assert (found.intercept, found.slope) == pytest.approx((2.0, 5.0), abs=0.15)
    assert found.groups == 6
    assert found.held_out.count == 240
    assert 3 < found.held_out.symmetric_accuracy_percent < 12  # median |N(0, 0.1)| = 0.067
    assert found.constant.symmetric_accuracy_percent > 5 * found.held_out.symmetric_accuracy_percent
    low, high = found.index_range
    assert np.isnan(found.predict(np.array([low - 0.01, high + 0.01, np.nan]))).all()
    assert float(found.predict(np.array([0.1]))[0]) == pytest.approx(math.exp(2.5), rel=0.05)


def test_groups_are_never_split() -> None:
    """Values that depend on the date alone: the index says nothing on a date not seen, however well it fits."""
    rng = np.random.default_rng(8)
    dates = np.repeat(np.arange(8), 6)
    level, shift = rng.normal(0, 1, 8), rng.normal(0, 0.2, 8)
    x = shift[dates] + rng.normal(0, 0.001, 48)
    with pytest.raises(QualityViolation, match="does not beat the constant"):
        calibrate(x, np.exp(level[dates]), dates.tolist(), RULES.calibration, unit="mg/m3", grouped_by="date")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, g: (x[:29], y[:29], g[:29]), "29 usable matchups"),
        (lambda x, y, g: (x, np.where(np.arange(60) < 35, -1.0, y), g), "25 usable matchups"),
        (lambda x, y, g: (x, y, ["one"] * 60), "1 groups"),
        (lambda x, y, g: (np.full(60, 0.1), y, g), "does not vary"),
        (lambda x, y, g: (np.random.default_rng(0).permutation(x), y, g), "does not beat"),
    ],
)
def test_a_concentration_is_refused_with_a_reason(change, message: str) -> None:
    with pytest.raises(QualityViolation, match=message):
        calibrate(*change(*matchups()), RULES.calibration, unit="mg/m3", grouped_by="date")


def test_matchups_of_unequal_length_are_refused() -> None:
    x, y, g = matchups()
    with pytest.raises(InvalidParameter, match="one length"):
        calibrate(x, y[:-1], g, RULES.calibration, unit="mg/m3", grouped_by="date")


# Real data


@pytest.fixture(scope="module")
def harsha(reference_data: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NDCI on the nearest pixel, measured chlorophyll a and the place of 42 samples."""
    folder = reference_data / "water" / "harsha_lake_s2"
    if not folder.is_dir():
        pytest.skip(f"没有参考数据 / no reference data: {folder.name}")
    points = geopandas.read_file(folder / "Harsha_Simple_Points_CRS.gpkg")
    with rasterio.open(folder / "S2_Harsha.tif") as scene:
        points = points.to_crs(scene.crs)
        where = [scene.index(p.x, p.y) for p in points.geometry]
        red, edge = (scene.read(number) / 10_000 for number in (4, 5))
    r, e = (np.array([band[at] for at in where]) for band in (red, edge))
    xy = np.column_stack([points.geometry.x, points.geometry.y])
    # The plain formula: the file does not say what reflectance it holds (it looks like that at the top of the atmosphere).
    return ndci(r, e)[0], points["Chl_ugL"].to_numpy(float), xy


def test_harsha_ndci_ranks_but_the_published_level_is_wrong(harsha) -> None:
    index, chl, _ = harsha
    assert np.isfinite(index).sum() == 42
    assert np.corrcoef(index, chl)[0, 1] >= 0.60
    mishra = chl_mishra(index, RULES.mishra)[0]
    assert (mishra - chl).mean() == pytest.approx(10.9, abs=0.1)  # measured 3.9–11.7, published coefficients 15–25
    assert scores(chl, mishra).symmetric_accuracy_percent > 100  # off by a factor above 2 (seen: 2.42)
    assert mishra.min() == pytest.approx(15.4, abs=0.1)
    assert mishra.max() == pytest.approx(24.6, abs=0.1)


def test_harsha_local_calibration_by_place(harsha) -> None:
    """Places of 1 km held out: the local model takes the bias away."""
    index, chl, xy = harsha
    place = [f"{int(x // 1000)}-{int(y // 1000)}" for x, y in xy]
    found = calibrate(index, chl, place, RULES.calibration, unit="mg/m3", grouped_by="place")
    assert abs(found.held_out.log_bias) < 0.1
    assert found.held_out.rmse < 2.0
    assert found.held_out.symmetric_accuracy_percent < 25
