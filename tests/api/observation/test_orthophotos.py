"""Orthophotos: from a delivered GeoTIFF to tiles, map, coverage, STAC and EDR, on both stores."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PLACE = (114.05, 30.05)
CGCS2000_114E = "EPSG:4547"
_numbers = itertools.count()
FIRST = datetime(2026, 3, 5, 2, tzinfo=UTC)
RED, BLUE = (200, 40, 30), (20, 60, 180)


def corner(crs: str) -> tuple[float, float]:
    from pyproj import Transformer

    x, y = Transformer.from_crs(4490, crs, always_xy=True).transform(*PLACE)
    return float(x), float(y)


def write(
    path: Path,
    *,
    crs: str | None = CGCS2000_114E,
    bands: int = 4,
    dtype: str = "uint8",
    step: float = 0.5,
    at: tuple[float, float] | None = None,
    georeferenced: bool = True,
    black_corner: bool = False,
    **profile: Any,
) -> Path:
    """80 × 60 pixels: the west half red, the east half blue; with alpha the first 10 rows are not flown."""
    import rasterio
    from rasterio.transform import from_origin

    x, y = at or (corner(crs) if crs else (500_000.0, 3_300_000.0))
    values = np.empty((bands, 60, 80), dtype)
    for k in range(min(bands, 3)):
        values[k, :, :40], values[k, :, 40:] = RED[k], BLUE[k]
    if bands == 4:
        values[3] = 255
        values[:, :10] = 0
    if black_corner:
        values[:3, :20, :20] = 0
    own: dict[str, Any] = {"transform": from_origin(x, y, step, step)} if georeferenced else {}
    if bands >= 3:
        own |= {"photometric": "RGB"} | ({"alpha": "YES"} if bands == 4 else {})
    with rasterio.open(
        path, "w", driver="GTiff", width=80, height=60, count=bands, dtype=dtype, crs=crs, **own, **profile
    ) as file:
        file.write(values)
    return path


def flight(layer: str, time: datetime = FIRST, **more: Any) -> Any:
    from spatial.catalog import Text
    from spatial.observation.orthophoto import Flight

    return Flight(layer, time, "M350 RTK", title=Text(zh="甲岸", en="Bank A"), **more)


@pytest.fixture
def site() -> str:
    """A layer id of this test alone."""
    return f"uav-{next(_numbers)}"


def colours(answer: Any) -> np.ndarray:
    from PIL import Image

    assert answer.status_code == 200, answer.text[:900]
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_a_flight_is_served_as_tiles_map_coverage_and_stac(bank: Any, site: str, tmp_path: Path) -> None:
    from spatial.grid import TILE_MATRIX_SETS
    from spatial.observation.orthophoto import add_orthophoto

    assert "WebMercatorQuad" in TILE_MATRIX_SETS
    made = add_orthophoto(bank.datastore, write(tmp_path / "a.tif"), flight(site, sensor="P1"))
    assert made.layer.observed is not None
    assert made.layer.observed.gsd_m == pytest.approx(0.5, rel=1e-3)
    west, south, east, north = made.extent
    box = f"{west},{south},{east},{north}"
    drawn = colours(bank.get(f"/ogc/collections/{site}/map?bbox={box}&width=200&height=150&f=png"))
    assert tuple(drawn[100, 30, :3]) == pytest.approx(RED, abs=2)
    assert tuple(drawn[100, 170, :3]) == pytest.approx(BLUE, abs=2)
    assert drawn[100, 30, 3] == 255
    assert drawn[5, 100, 3] == 0, "what was not flown is transparent"
    zoom = 20
    col = int((west + (east - west) / 4 + 180) / 360 * 2**zoom)
    lat = np.radians((south + north) / 2 - 0.00005)
    row = int((1 - np.log(np.tan(lat) + 1 / np.cos(lat)) / np.pi) / 2 * 2**zoom)
    for path in (f"/tiles/{site}/WebMercatorQuad/{zoom}/{col}/{row}.png",
                 f"/ogc/collections/{site}/map/tiles/WebMercatorQuad/{zoom}/{row}/{col}?f=png"):  # fmt: skip
        tile = colours(bank.get(path)).reshape(-1, 4)
        assert (np.abs(tile[:, :3].astype(int) - RED).max(axis=1) <= 2).any(), path
    grey = colours(bank.get(f"/tiles/{site}/WebMercatorQuad/{zoom}/{col}/{row}.png?band=red")).reshape(-1, 4)
    assert (np.abs(grey[:, :3].astype(int) - RED[0]).max(axis=1) <= 2).any(), "one band is shown in grey"
    [item] = bank.get(f"/stac/collections/{site}/items").json()["features"]
    assert item["properties"]["datetime"] == "2026-03-05T02:00:00Z"
    assert item["properties"]["gsd"] == pytest.approx(0.5, rel=1e-3)
    assert (item["properties"]["platform"], item["properties"]["instruments"]) == ("M350 RTK", ["P1"])
    assert item["properties"]["onemap:source_crs"] == CGCS2000_114E
    assert item["bbox"] == pytest.approx([west, south, east, north], abs=1e-8)
    legend = bank.get(f"/tiles/{site}/legend.json").json()["entries"]
    assert legend[0]["label"]["zh"] == "真彩色影像"
    sld = bank.get(f"/ogc/styles/{site}?f=sld11")
    assert "RedChannel" in sld.text


def test_gdal_reads_coverage_and_cog(bank: Any, site: str, tmp_path: Path) -> None:
    import rasterio
    from rio_cogeo import cog_validate

    from spatial.observation.orthophoto import add_orthophoto

    add_orthophoto(bank.datastore, write(tmp_path / "a.tif"), flight(site))
    [item] = bank.get(f"/stac/collections/{site}/items").json()["features"]
    files = {
        "cog": bank.get(item["assets"]["data"]["href"].removeprefix("http://onemap.test")).content,
        "coverage": bank.get(f"/ogc/collections/{site}/coverage?f=tif").content,
    }
    for name, content in files.items():
        path = tmp_path / f"{name}.tif"
        path.write_bytes(content)
        with rasterio.open(path) as dataset:
            assert (dataset.count, dataset.dtypes[0], dataset.nodata) == (3, "uint8", 0.0)
            assert dataset.crs.to_epsg() == 4490
            values = [int(v) for v in next(dataset.sample([(PLACE[0] + 0.00008, PLACE[1] - 0.00018)]))]
            assert values == pytest.approx(RED, abs=1)
    assert cog_validate(tmp_path / "cog.tif")[0]


@pytest.mark.parametrize(
    ("crs", "step", "bands"),
    [
        (CGCS2000_114E, 0.5, 4),
        ("EPSG:32650", 0.5, 4),
        ("EPSG:4490", 5e-6, 3),
        ("EPSG:4326", 5e-6, 4),
        ("EPSG:3857", 0.6, 3),
    ],
)
def test_the_picture_lies_where_it_was_flown(bank: Any, tmp_path: Path, crs: str, step: float, bands: int) -> None:
    from spatial.observation.orthophoto import add_orthophoto

    site = f"uav-{next(_numbers)}"
    made = add_orthophoto(bank.datastore, write(tmp_path / "a.tif", crs=crs, step=step, bands=bands), flight(site))
    west, _, _, north = made.extent
    assert (west, north) == pytest.approx(PLACE, abs=2e-5)
    assert made.statistics[0][0] >= 1, "0 is no data"


def test_flights_are_dated_and_the_latest_is_current(bank: Any, site: str, tmp_path: Path) -> None:
    from spatial.observation.orthophoto import add_orthophoto

    store, path = bank.datastore, write(tmp_path / "a.tif")
    times = [datetime(2026, month, 5, 2, tzinfo=UTC) for month in (3, 9, 1)]
    for time in times:
        add_orthophoto(store, path, flight(site, time))
    assert store.snapshot().raster(site).version == "20260905T020000Z"
    items = bank.get(f"/stac/collections/{site}/items").json()["features"]
    assert [i["properties"]["datetime"][:7] for i in items] == ["2026-09", "2026-03", "2026-01"]
    found = bank.get(f"/stac/search?collections={site}&datetime=2026-02-01T00:00:00Z/2026-04-01T00:00:00Z").json()
    assert [i["id"] for i in found["features"]] == [f"{site}_20260305t020000z"]
    interval = bank.get(f"/stac/collections/{site}").json()["extent"]["temporal"]["interval"][0]
    assert interval == ["2026-01-05T02:00:00Z", "2026-09-05T02:00:00Z"]
    for version in ("20260105T020000Z", "20260305T020000Z"):
        assert bank.get(f"/ogc/collections/{site}/map?version={version}&width=50").status_code == 200
    lines = bank.get(f"/ogc/collections/uav-flights/locations/{site}?f=csv&parameter-name=gsd_m").text.splitlines()
    assert [line.split(",")[3][:7] for line in lines[1:]] == ["2026-01", "2026-03", "2026-09"]
    told = [f["version"] for f in bank.get("/api/v1/observation/flights").json()["flights"] if f["site"] == site]
    assert told == ["20260105T020000Z", "20260305T020000Z", "20260905T020000Z"]


def test_a_black_pixel_stays_apart_from_no_data(bank: Any, site: str, tmp_path: Path) -> None:
    import rasterio

    from spatial.observation.orthophoto import add_orthophoto

    path = write(tmp_path / "a.tif", crs="EPSG:4490", step=5e-6)
    with rasterio.open(path, "r+") as file:
        values = file.read()
        values[:3, 30:40, 10:20] = 0
        file.write(values)
    made = add_orthophoto(bank.datastore, path, flight(site))
    with rasterio.open(made.path) as file:
        values = file.read()
        assert values[:, 35, 15].tolist() == [1, 1, 1]
        assert values[:, 5, 15].tolist() == [0, 0, 0]
        assert values[:, 35, 5].tolist() == list(RED)


BAD = {
    "no CRS": ({"crs": None}, {}, "CRSMismatch", "has no CRS"),
    "not georeferenced": ({"georeferenced": False}, {}, "CRSMismatch", "not georeferenced"),
    "16 bits": ({"dtype": "uint16"}, {}, "QualityViolation", "8-bit RGB"),
    "one band": ({"bands": 1}, {}, "QualityViolation", "8-bit RGB"),
    "undeclared margin": ({"bands": 3, "black_corner": True}, {}, "QualityViolation", "--nodata 0"),
    "outside the province": ({"crs": "EPSG:4490", "step": 5e-6, "at": (10.0, 30.0)}, {}, "QualityViolation", "outside"),
    "axes swapped": ({"crs": "EPSG:4490", "step": 5e-6, "at": (30.05, 89.0)}, {}, "QualityViolation", "outside"),
    "wrong zone": ({"at": (38_500_000.0, 3_325_000.0)}, {}, "QualityViolation", "outside"),
    "wrong unit": ({"step": 50.0}, {}, "QualityViolation", "ground sampling distance"),
    "bad id": ({}, {"layer": "UAV_1"}, "InvalidParameter", "cannot name a layer"),
    "taken id": ({}, {"layer": "parcels"}, "InvalidParameter", "no layer of orthophotos"),
    "no title": ({}, {"title": None}, "InvalidParameter", "needs --title"),
    "no zone": ({}, {"time": datetime(2026, 3, 5)}, "InvalidParameter", "has no zone"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_delivery_is_refused_and_leaves_nothing(bank: Any, site: str, tmp_path: Path, name: str) -> None:
    from dataclasses import replace

    from spatial import errors
    from spatial.observation.orthophoto import add_orthophoto

    how, changes, kind, words = BAD[name]
    store = bank.datastore
    layers, revision = {layer.id for layer in store.snapshot().layers()}, store.snapshot().revision
    with pytest.raises(getattr(errors, kind)) as caught:
        add_orthophoto(store, write(tmp_path / "a.tif", **how), replace(flight(site), **changes))
    assert words in caught.value.en
    assert caught.value.zh
    assert {layer.id for layer in store.snapshot().layers()} == layers
    assert store.snapshot().revision == revision
    assert not list((store.settings.var_dir / "tmp").glob("*"))


def test_a_declared_margin_is_no_data(bank: Any, site: str, tmp_path: Path) -> None:
    import rasterio

    from spatial.observation.orthophoto import add_orthophoto

    path = write(tmp_path / "a.tif", crs="EPSG:4490", step=5e-6, bands=3, black_corner=True)
    made = add_orthophoto(bank.datastore, path, flight(site, nodata=0))
    with rasterio.open(made.path) as file:
        assert file.read(1)[5, 5] == 0
        assert file.read(1)[30, 5] == RED[0]


def test_no_picture_at_all(bank: Any, site: str, tmp_path: Path) -> None:
    from spatial.errors import SourceUnreadable
    from spatial.observation.orthophoto import add_orthophoto

    path = tmp_path / "a.tif"
    path.write_bytes(b"no picture")
    for wrong in (path, tmp_path / "nothing.tif"):
        with pytest.raises(SourceUnreadable):
            add_orthophoto(bank.datastore, wrong, flight(site))


def test_the_same_flight_is_refused(bank: Any, site: str, tmp_path: Path) -> None:
    from spatial.errors import QualityViolation
    from spatial.observation.orthophoto import add_orthophoto

    path = write(tmp_path / "a.tif")
    add_orthophoto(bank.datastore, path, flight(site))
    with pytest.raises(QualityViolation, match="immutable"):
        add_orthophoto(bank.datastore, path, flight(site))


def test_a_crash_between_file_and_row_publishes_nothing(
    bank: Any, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial.observation.orthophoto import add_orthophoto
    from spatial.store.state import State

    store = bank.datastore

    def dies(*_: Any, **__: Any) -> None:
        raise RuntimeError("power is out")

    with monkeypatch.context() as patched:
        patched.setattr(State, "publish", dies)
        with pytest.raises(RuntimeError, match="power"):
            add_orthophoto(store, write(tmp_path / "a.tif"), flight(site))
    assert site not in store.snapshot().catalog
    assert bank.get(f"/ogc/collections/{site}").status_code == 404
    assert not list((store.settings.var_dir / "tmp").glob("*"))
    add_orthophoto(store, tmp_path / "a.tif", flight(site))
    assert bank.get(f"/ogc/collections/{site}").status_code == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "is missing"), ("", "is missing"), ("2026-03-05", "has no zone"), ("2026-03-05T10:00:00", "has no zone"),
     ("soon", "is no RFC 3339")],
)  # fmt: skip
def test_a_date_needs_its_zone(text: str | None, words: str) -> None:
    from spatial.errors import InvalidParameter
    from spatial.observation.orthophoto import read_moment

    with pytest.raises(InvalidParameter) as caught:
        read_moment(text)
    assert words in caught.value.en
