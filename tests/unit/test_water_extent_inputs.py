"""Water extent: what goes in. Offsets, scaling, masks, and scenes that are flagged or refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml

from analyses.water.classes import CLOUD, NODATA, SNOW
from analyses.water.extent.masks import (
    glint_angle,
    glint_possible,
    mask_from_classes,
    mask_from_quality,
    terrain_shadow,
)
from analyses.water.extent.reflectance import (
    OPTICAL_BANDS,
    band_mapping,
    calibration,
    sensor,
    to_decibel,
    to_reflectance,
)
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_check import band_order_findings, check_scene
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation

ROOT = Path(__file__).parents[2]
RULES = water_extent_rules(
    {"water_extent": yaml.safe_load((ROOT / "layers/rules/water_extent.yml").read_text("utf-8"))}
)
L2A = "sentinel-2-l2a"

# -- the offset of Sentinel-2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sentinel-2-l1c", "sentinel-2-l2a"])
@pytest.mark.parametrize(
    ("baseline", "flag", "provider", "offset"),
    [
        ("02.14", None, None, 0.0),
        ("03.01", None, None, 0.0),
        ("03.01", False, "earth-search", 0.0),
        ("N0301", None, "esa", 0.0),
        ("04.00", None, "esa", -0.1),
        ("N0400", None, "esa", -0.1),
        ("05.10", None, "copernicus-dataspace", -0.1),
        ("05.10", False, "planetary-computer", -0.1),
        ("05.10", False, None, -0.1),
        ("05.10", False, "earth-search", -0.1),
        ("05.10", True, "earth-search", 0.0),
        ("05.10", True, None, 0.0),
        (None, True, "earth-search", 0.0),
        # Not decided: an error, never a guess.
        ("05.10", None, None, "offset-unknown"),
        ("05.10", None, "earth-search", "offset-unknown"),
        (None, None, "esa", "offset-unknown"),
        (None, None, None, "offset-unknown"),
        (None, False, "earth-search", "offset-unknown"),
        ("05.10", True, "esa", "offset-contradiction"),
    ],
)
def test_baseline_and_flag_decide_the_offset(
    name: str, baseline: str | None, flag: bool | None, provider: str | None, offset: float | str
) -> None:
    if isinstance(offset, str):
        with pytest.raises(QualityViolation) as caught:
            calibration(RULES, name, baseline=baseline, provider=provider, offset_applied=flag)
        assert caught.value.details["reason"] == offset
        assert "baseline" in caught.value.en or "flag" in caught.value.en
        return
    found = calibration(RULES, name, baseline=baseline, provider=provider, offset_applied=flag)
    assert (found.scale, found.offset, found.nodata) == (1e-4, offset, 0)
    assert found.source.startswith(name)


def test_bad_metadata_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="unknown sensor"):
        calibration(RULES, "modis")
    with pytest.raises(InvalidParameter, match="unknown provider"):
        calibration(RULES, L2A, baseline="05.10", provider="somebody")
    for text in ("5", "vier", "05.1", ""):
        with pytest.raises(InvalidParameter, match="processing baseline"):
            calibration(RULES, L2A, baseline=text, provider="esa")


def test_digital_numbers_of_each_sensor() -> None:
    numbers = np.array([0, 1000, 2500], np.uint16)
    s2 = to_reflectance(numbers, calibration(RULES, L2A, baseline="05.10", provider="esa"))
    np.testing.assert_allclose(s2, [np.nan, 0.0, 0.15], atol=1e-7)
    old = to_reflectance(numbers, calibration(RULES, L2A, baseline="02.14"))
    np.testing.assert_allclose(old, [np.nan, 0.1, 0.25], atol=1e-7)
    # Landsat Collection 2: 7273 is 0.0, 43636 is 1.0 (USGS valid range).
    for name in ("landsat-5-c2-l2", "landsat-7-c2-l2", "landsat-8-c2-l2", "landsat-9-c2-l2"):
        found = to_reflectance(np.array([0, 7273, 43636], np.uint16), calibration(RULES, name))
        np.testing.assert_allclose(found, [np.nan, 0.0, 1.0], atol=2e-5)
        assert found.dtype == np.float32


def test_landsat_bands_of_the_same_ground_give_the_same_water() -> None:
    """One ground seen by Landsat 5 and 9: other band numbers, the same map."""
    from analyses.water.extent.classification import water_extent

    ground = dict(
        zip(
            OPTICAL_BANDS,
            np.array([[0.04, 0.06, 0.04, 0.02, 0.01, 0.01], [0.05, 0.08, 0.06, 0.3, 0.2, 0.1]]).T,
            strict=True,
        )
    )
    maps = []
    for name in ("landsat-5-c2-l2", "landsat-9-c2-l2", "landsat-8-c2-l2", "landsat-7-c2-l2"):
        row, how = sensor(RULES, name), calibration(RULES, name)
        files = {
            row.bands[band]: np.round((values + 0.2) / 2.75e-5).astype(np.uint16) for band, values in ground.items()
        }
        keys = band_mapping(row, files)
        assert keys["green"] == ("SR_B2" if name[8] in "57" else "SR_B3")
        bands = {band: to_reflectance(files[key], how) for band, key in keys.items()}
        for method in ("dswx", "wofs"):
            maps.append(water_extent(bands, RULES, method=method).codes.tolist())  # type: ignore[arg-type]
    assert maps == [[1, 0]] * 8
    with pytest.raises(InvalidParameter, match="swir2"):
        band_mapping(sensor(RULES, "landsat-8-c2-l2"), dict.fromkeys(("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6"), 0))
    # The vote of Sentinel-2 takes B8A, under its common or its own name.
    names = ("B02", "B03", "B04", "B08", "B8A", "B11", "B12")
    assert band_mapping(sensor(RULES, L2A), dict.fromkeys(names, 0))["nir"] == "B8A"
    assert (
        band_mapping(sensor(RULES, L2A), {"nir08": 0, "blue": 0, "green": 0, "red": 0, "swir1": 0, "swir2": 0})["nir"]
        == "nir08"
    )


@pytest.mark.parametrize(
    ("values", "unit", "fails"),
    [
        ([-25.0, -12.0, 2.0, np.nan], "dB", False),
        ([0.01, 0.1, 0.4], "dB", True),  # powers
        ([-25.0, -200.0], "dB", True),
        ([-25.0, -12.0], "power", True),  # decibels
        ([0.01, 0.1, 0.0], "power", False),
        ([0.1, 0.3], "amplitude", False),
        ([0.1], "linear", True),
    ],
)
def test_units_of_backscatter(values: list[float], unit: str, fails: bool) -> None:
    array = np.array(values, np.float32)
    if fails:
        with pytest.raises((QualityViolation, InvalidParameter)):
            to_decibel(array, unit, RULES)
    else:
        found = to_decibel(array, unit, RULES)
        assert found.dtype == np.float32
        assert np.nanmax(found) < 3


# -- masks -------------------------------------------------------------------------------------------------------------


def test_scene_classification() -> None:
    found = mask_from_classes(np.arange(12, dtype=np.uint8), RULES)
    assert found.tolist() == [NODATA, NODATA, 0, CLOUD, 0, 0, 0, 0, CLOUD, CLOUD, CLOUD, SNOW]
    with pytest.raises(InvalidParameter, match="0–11"):
        mask_from_classes(np.array([21824], np.uint16), RULES)


def test_landsat_quality_bits() -> None:
    # Clear land 21824, clear water 21952, fill 1, cloud 22280, shadow 23888, snow 30048, dilated 21826, cirrus 54596 (USGS).
    values = np.array([21824, 21952, 1, 22280, 23888, 30048, 21826, 54596], np.uint16)
    assert mask_from_quality(values, RULES, "qa_pixel").tolist() == [0, 0, NODATA, CLOUD, CLOUD, SNOW, CLOUD, CLOUD]
    assert mask_from_quality(values, RULES, "qa_pixel", dilated=False)[6] == 0


def test_fmask_bits() -> None:
    values = np.array([0, 0b100000, 0b10, 0b100, 0b1000, 0b10000, 0b1, 255, 0b11000000], np.uint8)
    assert mask_from_quality(values, RULES, "fmask").tolist() == [0, 0, CLOUD, CLOUD, CLOUD, SNOW, CLOUD, NODATA, 0]
    assert mask_from_quality(values, RULES, "fmask", dilated=False)[3] == 0


def test_terrain_shadow_by_hand() -> None:
    """A ridge from west to east, 45° on both sides, the sun in the south at 30°: the north side is dark, level ground is not."""
    z = np.concatenate([np.zeros(5), np.arange(0, 60, 10.0), np.arange(40, -10, -10.0), np.zeros(5)])
    elevation = np.repeat(z[:, None], 7, axis=1)
    limits = RULES.masks.terrain
    sun = {"sun_elevation": 30.0, "incidence": limits.incidence, "backslope": limits.backslope}
    dark = terrain_shadow(elevation, cell_x=10, cell_y=10, sun_azimuth=180, **sun)
    rises = np.gradient(z)[1:-1] > 1  # rising southwards: the slope faces north
    np.testing.assert_array_equal(dark, np.repeat(rises[:, None], 5, axis=1))
    np.testing.assert_array_equal(terrain_shadow(elevation, cell_x=10, cell_y=10, sun_azimuth=0, **sun)[::-1], dark)
    # cos i of the dark slope: sin 30 cos 45 − cos 30 sin 45 < 0; of the level ground sin 30 = cos 60°, i > 40°, yet not dark.
    elevation[8, 3] = np.nan
    assert not terrain_shadow(elevation, cell_x=10, cell_y=10, sun_azimuth=180, **sun)[6:9, 2].any()
    with pytest.raises(InvalidParameter, match="elevation"):
        terrain_shadow(elevation, cell_x=10, cell_y=10, sun_azimuth=180, **sun | {"sun_elevation": -3.0})


def test_glint_needs_the_geometry() -> None:
    assert glint_angle(sun_zenith=20, view_zenith=10, relative_azimuth=180) == pytest.approx(10)
    assert glint_angle(sun_zenith=60, view_zenith=0, relative_azimuth=77) == pytest.approx(60)
    assert glint_possible(RULES, sun_zenith=20, view_zenith=8, relative_azimuth=150) is True
    assert glint_possible(RULES, sun_zenith=60, view_zenith=8, relative_azimuth=0) is False
    assert glint_possible(RULES, sun_zenith=None, view_zenith=8, relative_azimuth=0) is None


# -- scenes that are flagged or excluded -------------------------------------------------------------------------------

WATER = (0.06, 0.07, 0.05, 0.03, 0.015, 0.01)
PLANTS = (0.04, 0.07, 0.045, 0.32, 0.18, 0.09)
SOIL = (0.09, 0.12, 0.16, 0.23, 0.29, 0.23)


def landscape(seed: int = 0, side: int = 60) -> dict[str, np.ndarray]:
    """A lake, plants and soil in varying parts."""
    rng = np.random.default_rng(seed)
    share = rng.random((side, side))
    lake = np.hypot(*(np.indices((side, side)) - side / 2)) < side / 4
    bands = {}
    for number, name in enumerate(OPTICAL_BANDS):
        ground = share * PLANTS[number] + (1 - share) * SOIL[number]
        values = np.where(lake, WATER[number], ground) * rng.normal(1, 0.04, lake.shape)
        bands[name] = values.astype(np.float32)
    return bands


def clear(bands: dict[str, np.ndarray]) -> np.ndarray:
    return np.zeros(bands["green"].shape, np.uint8)


def codes(bands: dict[str, np.ndarray], mask: np.ndarray | None, **more: bool) -> dict[str, bool]:
    """Finding → whether it excludes."""
    check = check_scene(bands, RULES, mask=mask, **more)
    document = check.document()
    assert document["usable"] == check.usable == (not any(finding.excludes for finding in check.findings))
    assert all(finding.text.zh and finding.text.en for finding in check.findings)
    return {finding.code: finding.excludes for finding in check.findings}


def test_a_good_scene_has_no_findings() -> None:
    bands = landscape()
    assert codes(bands, clear(bands)) == {}


def test_bad_scenes_are_flagged_with_a_reason() -> None:
    good = landscape()
    mask = clear(good)
    assert codes(good, None) == {"no-cloud-mask": True}
    assert codes(good, None, accept_unmasked=True) == {"no-cloud-mask": False}
    assert codes(good, np.full_like(mask, CLOUD)) == {"all-cloud": True}
    half = mask.copy()
    half[:30] = CLOUD
    assert codes(good, half) == {}
    assert codes({k: v * 10_000 for k, v in good.items()}, mask) == {"scale": True}
    assert codes({k: v * 100 for k, v in good.items()}, mask) == {"scale": True}
    assert codes({k: v / 10_000 for k, v in good.items()}, mask) == {"scale": True}
    assert codes({k: v - np.float32(0.1) for k, v in good.items()}, mask)["negative"] is True
    few = {k: v.copy() for k, v in good.items()}
    few["blue"][:2, :10] = -0.01
    assert codes(few, mask) == {"negative": False}
    torn = {k: v.copy() for k, v in good.items()}
    torn["swir1"][:, :12] = np.nan
    assert codes(torn, mask) == {"partial-tile": False}
    torn["swir1"][:] = np.nan
    assert codes(torn, mask) == {"no-data": True}
    odd = {k: v.copy() for k, v in good.items()}
    odd["nir"][3, 3] = 1.7
    assert codes(odd, mask) == {"out-of-range": False}


def test_missing_bands_and_other_shapes_are_refused() -> None:
    good = landscape()
    with pytest.raises(InvalidParameter, match="swir1"):
        check_scene({k: v for k, v in good.items() if k != "swir1"}, RULES, mask=clear(good))
    with pytest.raises(GridMismatch):
        check_scene(good, RULES, mask=np.zeros((3, 3), np.uint8))


ORDERS = {
    "RGB for BGR": (2, 1, 0, 3, 4, 5),
    "red and NIR": (0, 1, 3, 2, 4, 5),
    "NIR and SWIR1": (0, 1, 2, 4, 3, 5),
    "SWIR2 first": (0, 1, 2, 3, 5, 4),
    "backwards": (5, 4, 3, 2, 1, 0),
    "NIR first": (3, 0, 1, 2, 4, 5),
    "SWIR first": (4, 5, 0, 1, 2, 3),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_wrong_band_orders_are_found(order: tuple[int, ...]) -> None:
    good = landscape()
    arrays = list(good.values())
    wrong = {name: arrays[k] for name, k in zip(OPTICAL_BANDS, order, strict=True)}
    assert codes(wrong, clear(good)) == {"band-order": True}


def test_band_order_on_real_scenes(reference_data: Path) -> None:
    """No false alarm on real scenes; how many of the 719 wrong orders are found on each."""
    import rasterio

    water = reference_data / "water"
    if not (water / "nc_landsat_lulc").is_dir():
        pytest.skip("reference data water/ is absent")
    scenes = {}
    with rasterio.open(water / "sen1floods11_spain" / "Spain_7370579_S2Hand.tif") as source:
        scenes["Spain, Sentinel-2"] = source.read([2, 3, 4, 9, 12, 13]).astype(np.float32) * 1e-4
    names = [f"lsat7_2000_{number}0.tif" for number in (1, 2, 3, 4, 5, 7)]
    parts = []
    for name in names:
        with rasterio.open(water / "nc_landsat_lulc" / name) as source:
            parts.append(source.read(1, masked=True).astype(np.float32).filled(np.nan) / 510)
    scenes["Wake County, Landsat 7 DN"] = np.stack(parts)
    with rasterio.open(water / "olinda_l7" / "L7_ETMs.tif") as source:
        scenes["Olinda, Landsat 7 DN"] = source.read().astype(np.float32) / 510
    for name, stack in scenes.items():
        seen = stack.reshape(6, -1)
        seen = seen[:, np.isfinite(seen).all(axis=0)][:, ::37]
        assert band_order_findings(seen, RULES) == []
        found = sum(bool(band_order_findings(seen[list(order)], RULES)) for order in itertools.permutations(range(6)))
        print(f"{name}: {found} of 719 wrong orders found")
        assert found >= 600
