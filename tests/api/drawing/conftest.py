"""An application with layers that are easy to see, on each store, for maps, styles and WMS."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


CODE_COLOURS = [f"#{40 * (i % 4) + 20:02x}{60 * (i // 4) + 10:02x}c8" for i in range(16)]
"""Colour of the codes 1–16 of ``codes``, row by row."""
_KINDS = [(1, "#ff0000", "red"), (2, "#00ff00", "green")]


def drawn_definitions(hand_made: Any) -> dict[str, dict[str, Any]]:
    """``squares``, ``road``, ``dots`` (with times), ``specks`` (2,116), ``made`` (synthetic), ``codes``, ``height``."""
    layer = hand_made.layer_definition
    kind = {"name": "kind", "type": "integer", "title": _text("类别", "Kind")}
    steps = [{"value": 0, "color": "#000000"}, {"value": 1000, "color": "#ffffff"}]
    bands = [
        {"name": n, "title": _text(n, n), "valid_range": [0, 20], "domain": {"1": _text("一", "one")}}
        for n in ("codes", "other")
    ]
    colours = [
        {"value": n + 1, "color": c, "title": _text(f"类{n + 1}", f"class {n + 1}")} for n, c in enumerate(CODE_COLOURS)
    ]
    other = [{"value": 1, "color": "#123456", "title": _text("其他", "other")}]
    categories = [{"value": v, "fill": c, "title": _text(c, name)} for v, c, name in _KINDS]
    return {
        "squares": layer(
            "squares",
            title=_text("方格 <&>", "Squares <&>"),
            fields=[kind],
            style={"type": "categories", "field": "kind", "classes": categories},
        ),
        "road": layer("road", style={"type": "single", "stroke": "#0000ff", "width": 4}),
        "dots": layer(
            "dots",
            kind="stations",
            fields=[
                {"name": "level", "type": "number", "title": _text("水位", "Level"), "unit": "m"},
                {"name": "time", "type": "datetime", "title": _text("时间", "Time")},
            ],
            time_field="time",
            style={"type": "single", "fill": "#000000", "radius": 6},
        ),
        "specks": layer("specks", style={"type": "single", "fill": "#ff00ff"}),
        "made": layer(
            "made",
            style={"type": "single", "fill": "#ffff00"},
            synthetic={"seed": 1, "recipe": _text("一格", "one box")},
        ),
        "codes": layer(
            "codes",
            kind="raster",
            fields=[],
            bands=bands,
            style={"type": "classes", "band": "codes", "classes": colours, "bands": {"other": other}},
        ),
        "height": layer(
            "height",
            kind="raster",
            fields=[],
            bands=[{"name": "height", "title": _text("高程", "Height"), "unit": "m", "valid_range": [0, 1000]}],
            style={"type": "ramp", "stops": steps},
        ),
    }


def _drawn_frames() -> dict[str, Any]:
    import geopandas
    import numpy as np
    import pandas as pd
    import shapely

    def frame(columns: dict[str, Any], geometry: Any) -> Any:
        index = pd.Index(range(1, len(geometry) + 1), name="fid")
        return geopandas.GeoDataFrame(columns, geometry=geometry, index=index, crs="EPSG:4490")

    hole = shapely.box(113, 30, 114, 31) - shapely.box(113.4, 30.4, 113.6, 30.6)
    i = np.arange(2_116)
    x, y = 112 + (i % 46) * 0.004, 29 + (i // 46) * 0.004
    # 33 vertices each, so that a tile of all of them would be too heavy and generalised tables are made.
    specks = shapely.segmentize(shapely.box(x, y, x + 0.002, y + 0.002), 0.00025)
    times = pd.to_datetime(["2024-07-01T00:00:00Z", None, "2024-08-01T00:00:00Z"], utc=True)
    return {
        "squares": frame({"kind": np.array([1, 2])}, [shapely.box(112, 30, 113, 31), hole]),
        "road": frame({"name": ["路"]}, [shapely.LineString([(112, 31.5), (114, 31.5)])]),
        "dots": frame(
            {"level": [1.5, 2.5, 3.5], "time": times}, [shapely.Point(lon, 29.5) for lon in (112.5, 113.0, 113.5)]
        ),
        "specks": frame({"name": [""] * 2_116}, specks),
        "made": frame({"name": ["合成"]}, [shapely.box(112, 30, 114, 32)]),
    }


def _drawn_app(hand_made: Any, settings: Any, folder: Path) -> Any:
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    definitions = drawn_definitions(hand_made)
    app = create_app(settings.model_copy(update={"layers_dir": hand_made.write_layers(folder / "layers", definitions)}))
    for layer_id, found in _drawn_frames().items():
        app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), found)
    codes = np.arange(1, 17, dtype="uint8").reshape(4, 4)
    rasters = {
        "codes": ([codes, np.ones_like(codes)], 0, from_origin(112, 32, 0.5, 0.5)),
        # 10 × 10 cells of 0.2°; the height in the middle of a cell is 500 m for each degree east of 112°.
        "height": ([np.tile(np.arange(50, 1000, 100, dtype="int16"), (10, 1))], -1, from_origin(112, 32, 0.2, 0.2)),
    }
    for layer_id, (bands, nodata, transform) in rasters.items():
        path = folder / f"{layer_id}.tif"
        profile = {
            "driver": "GTiff", "width": bands[0].shape[1], "height": bands[0].shape[0], "count": len(bands),
            "dtype": bands[0].dtype, "nodata": nodata, "crs": "EPSG:4490", "transform": transform,
            "photometric": "minisblack",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as file:
            for number, values in enumerate(bands, start=1):
                file.write(values, number)
        app.state.datastore.publish_raster(Layer.model_validate(definitions[layer_id]), path)
    return app


@pytest.fixture(scope="session")
def drawn_app(
    store_settings: Any, hand_made: Any, own_place: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """An application of its own with the layers of `drawn_definitions`."""

    def make() -> Any:
        settings = store_settings.model_copy(update=own_place("drawn"))
        return _drawn_app(hand_made, settings, tmp_path_factory.mktemp("drawn"))

    return kept.get("drawn app", store_settings.store, make=make)


@pytest.fixture(scope="session")
def drawn(drawn_app: Any, store_settings: Any, open_client: Any, kept: Any) -> Any:
    """An HTTP client of the application above: ``get``, ``picture`` (RGBA array) and the colours of the codes."""
    import io
    from types import SimpleNamespace

    import numpy as np
    from PIL import Image

    found = kept.enter("drawn client", store_settings.store, make=lambda: open_client(drawn_app))

    def picture(path: str, **parameters: Any) -> Any:
        answer = found.get(path, params={k.replace("_", "-"): v for k, v in parameters.items()})
        assert answer.status_code == 200, (answer.status_code, answer.text[:600])
        assert answer.headers["content-type"].startswith("image/"), answer.text[:600]
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))

    return SimpleNamespace(
        get=found.get,
        picture=picture,
        datastore=drawn_app.state.datastore,
        codes=[tuple(bytes.fromhex(c[1:])) for c in CODE_COLOURS],
    )


RED, GREEN, NOTHING = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)


A, F = 6378137.0, 1 / 298.257222101


def _gauss_kruger(lon, lat, meridian):
    """Easting and northing by the series of the Gauss–Krüger projection (GB/T 17798), without PROJ; to a few mm."""
    e2 = F * (2 - F)
    ep2 = e2 / (1 - e2)
    phi, dl = math.radians(lat), math.radians(lon - meridian)
    n = F / (2 - F)
    arc = A / (1 + n) * (
        (1 + n**2 / 4 + n**4 / 64) * phi
        - (3 / 2 * n - 3 / 16 * n**3) * math.sin(2 * phi)
        + (15 / 16 * n**2 - 15 / 64 * n**4) * math.sin(4 * phi)
        - 35 / 48 * n**3 * math.sin(6 * phi)
    )  # fmt: skip
    radius = A / math.sqrt(1 - e2 * math.sin(phi) ** 2)
    t, eta, m = math.tan(phi), ep2 * math.cos(phi) ** 2, dl * math.cos(phi)
    north = arc + radius * t * (
        m**2 / 2 + (5 - t**2 + 9 * eta + 4 * eta**2) * m**4 / 24 + (61 - 58 * t**2 + t**4) * m**6 / 720
    )
    east = radius * (m + (1 - t**2 + eta) * m**3 / 6 + (5 - 18 * t**2 + t**4 + 14 * eta - 58 * t**2 * eta) * m**5 / 120)
    return 500000 + east, north


def _at(picture, extent, x, y):
    """Colour of the pixel that holds a place; the extent is x first."""
    west, south, east, north = extent
    height, width = picture.shape[:2]
    return tuple(picture[int((north - y) / (north - south) * height), int((x - west) / (east - west) * width)].tolist())


def _box(answer):
    """Content-Bbox as numbers, in wire order."""
    return [float(v) for v in answer.headers["content-bbox"].split(",")]


def _squares(lon, lat):
    """Colour of ``squares`` at a place, by the definition of the layer."""
    if not (112 < lon < 114 and 30 < lat < 31) or (113.4 < lon < 113.6 and 30.4 < lat < 30.6):
        return NOTHING
    return RED if lon < 113 else GREEN


@pytest.fixture(scope="session")
def at() -> Any:
    """`_at`."""
    return _at


@pytest.fixture(scope="session")
def box() -> Any:
    """`_box`."""
    return _box


@pytest.fixture(scope="session")
def gauss_kruger() -> Any:
    """`_gauss_kruger`."""
    return _gauss_kruger


@pytest.fixture(scope="session")
def squares() -> Any:
    """`_squares`."""
    return _squares
