"""Map pictures: the layer's colours, what the legend shows, a scale bar that is true, cheap reads of large rasters."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from spatial.catalog import Band, Text
from spatial.errors import ServiceUnavailable
from spatial.jobs.reporting import ReportRaster
from spatial.report import drawing, maps
from spatial.store.raster import write_cog

TITLES = {1: Text(zh="适宜", en="suitable"), 2: Text(zh="一般", en="fair"), 3: Text(zh="不适宜", en="unsuitable")}
COLORS = {1: "#1a9850", 2: "#fee08b", 3: "#d73027"}


def class_raster(folder: Path, values: np.ndarray, *, cell: float = 0.01, cog: bool = False) -> ReportRaster:
    """Two bands: classes, and limiting factors 1 (no limit) or 4."""
    path = folder / "classes.tif"
    profile = {
        "driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 2, "dtype": "uint8", "nodata": 0,
        "crs": "EPSG:4490", "transform": from_origin(110, 32, cell, cell), "tiled": True, "blockxsize": 512,
        "blockysize": 512, "photometric": "minisblack",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
        file.write(np.where(values == 3, 4, np.where(values > 0, 1, 0)).astype(np.uint8), 2)
    if cog:
        target = folder / "classes.cog.tif"
        write_cog(path, target, classes=True)
        path = target
    style = {
        "type": "classes",
        "band": "class",
        "classes": [{"value": v, "color": c, "title": TITLES[v].model_dump()} for v, c in COLORS.items()],
    }
    bands = (
        Band(name="class", title=Text(zh="等级", en="class"), valid_range=(0, 3), domain=TITLES),
        Band(
            name="reason",
            title=Text(zh="限制因素", en="reason"),
            valid_range=(0, 9),
            domain={1: Text(zh="无限制", en="no limit"), 4: Text(zh="坡度", en="slope")},
        ),
    )
    return ReportRaster("class", Text(zh="例图", en="example"), path, bands, style)


def colours(png: bytes) -> dict[tuple[int, ...], float]:
    """Share of each colour."""
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return {tuple(int(v) for v in c): n / len(pixels) for c, n in zip(found, counts, strict=True)}


def near(shares: dict[tuple[int, ...], float], color: str) -> float:
    wanted = tuple(int(color[k : k + 2], 16) for k in (1, 3, 5))
    return sum(n for c, n in shares.items() if max(abs(a - b) for a, b in zip(c, wanted, strict=True)) <= 3)


def test_a_map_has_the_colours_of_the_style_by_area(tmp_path: Path) -> None:
    values = np.ones((60, 80), dtype=np.uint8)
    values[:, 40:] = 3
    values[:10] = 0
    raster = class_raster(tmp_path, values)
    shares = colours(maps.class_map(raster, "class", borders=None, synthetic=False))
    assert near(shares, COLORS[1]) == pytest.approx(near(shares, COLORS[3]), rel=0.1)
    assert near(shares, COLORS[1]) > 0.15
    assert near(shares, COLORS[2]) < 0.002


def test_synthetic_maps_carry_a_watermark(tmp_path: Path) -> None:
    raster = class_raster(tmp_path, np.ones((60, 80), dtype=np.uint8))
    plain, marked = (maps.class_map(raster, "class", borders=None, synthetic=s) for s in (False, True))
    assert plain != marked
    assert near(colours(marked), COLORS[1]) < 0.97 * near(colours(plain), COLORS[1])
    assert plain == maps.class_map(raster, "class", borders=None, synthetic=False)


def test_legends(tmp_path: Path) -> None:
    raster = class_raster(tmp_path, np.ones((4, 4), dtype=np.uint8))
    styled = maps.class_legend(raster, "class")
    assert styled.colors == tuple(COLORS.values())
    assert styled.titles == tuple(TITLES.values())
    reasons = maps.class_legend(raster, "reason")
    assert reasons.values == (1, 4)
    assert reasons.colors[0] == "#f2f2f2"  # no limit
    assert reasons.colors[1] not in {*COLORS.values(), "#f2f2f2"}


@pytest.mark.parametrize(("west", "east", "latitude"), [(108.3, 116.2, 31.0), (114.2, 114.4, 30.5), (110, 111, 0.0)])
def test_the_scale_bar_is_true_at_its_latitude(west: float, east: float, latitude: float) -> None:
    from pyproj import Geod

    km, degrees = maps.scale_bar_km(west, east, latitude)
    assert degrees < 0.4 * (east - west)
    length = Geod(ellps="GRS80").line_length([west, west + degrees], [latitude, latitude]) / 1000
    assert length == pytest.approx(km, rel=2e-3)  # the line is a geodesic, the bar runs along the parallel
    assert float(f"{km:.0e}") == km


def test_a_large_raster_is_read_through_its_overviews(tmp_path: Path) -> None:
    values = np.ones((6000, 8000), dtype=np.uint8)
    values[:3000] = 3
    raster = class_raster(tmp_path, values, cell=0.001, cog=True)
    begin = time.perf_counter()
    found, box = maps._read(raster, 1, 1500)
    assert time.perf_counter() - begin < 2
    assert max(found.shape) == 1500
    assert (found[: found.shape[0] // 2 - 2] == 3).all()
    assert box == pytest.approx((110, 118, 26, 32))


def test_values_beyond_reach_do_not_hide_the_others() -> None:
    figure = drawing.figure(60, 60)
    axes, bar = figure.add_axes((0, 0.2, 1, 0.8)), figure.add_axes((0, 0, 1, 0.1))
    values = np.ma.MaskedArray(np.linspace(0, 100, 400, dtype=np.float32).reshape(20, 20))
    values[:, -3:] = 65535
    maps._numbers(axes, bar, values, (0, 1, 0, 1))
    assert axes.images[0].get_clim()[1] <= 100


def test_without_a_chinese_font_the_line_that_installs_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing.chinese_font.cache_clear()
    monkeypatch.setattr(drawing, "_FAMILIES", ("No Such Font",))
    try:
        with pytest.raises(ServiceUnavailable, match="fonts-noto-cjk"):
            drawing.chinese_font()
    finally:
        drawing.chinese_font.cache_clear()
