"""An application with cameras and sensors, on DuckDB with SQLite and on PostGIS with PostgreSQL, where everybody may write."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _field(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "title": _text(name, name)} | more


def definitions(hand_made: Any) -> dict[str, dict[str, Any]]:
    """``cameras``, ``sensors`` (level and turbidity), ``wells`` (one quantity), ``parcels`` (no stations)."""
    camera = [
        _field("camera", nullable=False), _field("name"), _field("water"), *(_field(n, "number") for n in
        ("azimuth_deg", "fov_deg", "height_m", "range_m")), _field("status"), _field("stream"),
        _field("snapshot", "integer"), _field("snapshot_time", "datetime"),
    ]  # fmt: skip
    sensor = [
        _field("sensor", nullable=False), _field("level_m", "number", unit="m"), _field("level_m_flag", "integer"),
        _field("turbidity_ntu", "number", unit="NTU"), _field("time", "datetime"),
    ]  # fmt: skip
    well = [_field("well", nullable=False), _field("depth_m", "number", unit="m"), _field("time", "datetime")]
    stations: dict[str, Any] = {"kind": "stations"}
    return {
        "cameras": hand_made.layer_definition(
            "cameras", fields=camera, time_field="snapshot_time", station_field="camera", series="snapshots", **stations
        ),
        "sensors": hand_made.layer_definition(
            "sensors", fields=sensor, time_field="time", station_field="sensor", series="readings", **stations
        ),
        "wells": hand_made.layer_definition(
            "wells", fields=well, time_field="time", station_field="well", series="readings", **stations
        ),
        "parcels": hand_made.definitions["parcels"],
    }


def frames(hand_made: Any) -> dict[str, Any]:
    """Two cameras, two sensors 0.1° apart, one well."""
    import geopandas
    import numpy as np
    import pandas as pd
    import shapely

    def frame(columns: dict[str, Any], points: list[tuple[float, float]]) -> Any:
        index = pd.Index(range(1, len(points) + 1), name="fid")
        return geopandas.GeoDataFrame(columns, geometry=shapely.points(points), index=index, crs=4490)

    def no_time(n: int) -> Any:
        return pd.to_datetime(pd.Series([pd.NaT] * n, index=range(1, n + 1)), utc=True)

    def none(n: int) -> Any:
        return pd.array([None] * n, dtype="Int64")

    return {
        "cameras": frame(
            {"camera": ["C1", "C2"], "name": ["甲点", "乙点"], "water": ["甲湖", None], "azimuth_deg": [90.0, 180.0],
             "fov_deg": [60.0, 60.0], "height_m": [10.0, 12.0], "range_m": [500.0, np.nan], "status": ["online", "offline"],
             "stream": ["https://video.example.cn/1", "javascript:alert(1)"], "snapshot": none(2), "snapshot_time": no_time(2)},
            [(114.0, 30.0), (114.1, 30.0)],
        ),
        "sensors": frame(
            {"sensor": ["S1", "S2"], "level_m": [np.nan, np.nan], "level_m_flag": none(2), "turbidity_ntu": [np.nan, np.nan],
             "time": no_time(2)},
            [(114.0, 30.0), (114.1, 30.1)],
        ),
        "wells": frame({"well": ["W1"], "depth_m": [3.5], "time": no_time(1)}, [(114.2, 30.0)]),
        "parcels": hand_made.parcels_frame(),
    }  # fmt: skip


@pytest.fixture(scope="session")
def bank_settings(
    store_settings: Any, hand_made: Any, own_databases: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Settings of one store and its kind of state database; newest values are shown at once, three snapshots are kept."""

    def make() -> Any:
        folder = _bank_layers(hand_made, tmp_path_factory.mktemp("layers"))
        own = {"layers_dir": folder, "var_dir": tmp_path_factory.mktemp("var"), "edit": "open"}
        return store_settings.model_copy(update=own | own_databases())

    return kept.get("bank settings", store_settings.store, make=make)


def _bank_layers(hand_made: Any, place: Path) -> Path:
    folder = hand_made.write_layers(place, definitions(hand_made))
    (folder / "rules").mkdir()
    shutil.copy(ROOT / "layers" / "rules" / "intake.yml", folder / "rules")
    rules = (ROOT / "layers" / "rules" / "observation.yml").read_text("utf-8")
    changed = rules.replace("show_every_s: 600", "show_every_s: 0").replace("keep: 500", "keep: 3")
    assert changed.count("show_every_s: 0") == changed.count("keep: 3") == 1
    (folder / "rules" / "observation.yml").write_text(changed, "utf-8")
    themes = folder / "themes.yml"
    themes.write_text(
        themes.read_text("utf-8")
        + "- {id: thematic, title: {zh: 专题, en: Thematic}, children: [{id: monitoring, title: {zh: 监测, en: Monitoring}}]}\n",
        "utf-8",
    )
    return folder


@pytest.fixture(scope="session")
def bank_app(bank_settings: Any, hand_made: Any, kept: Any) -> Any:
    def make() -> Any:
        from spatial.asgi import create_app
        from spatial.catalog import Layer

        app = create_app(bank_settings)
        known = definitions(hand_made)
        for layer_id, frame in frames(hand_made).items():
            app.state.datastore.publish_vector(Layer.model_validate(known[layer_id]), frame)
        return app

    return kept.get("bank app", bank_settings.store, make=make)


def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 48), colour: str = "#4488cc") -> bytes:
    """A small picture."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="session")
def bank(bank_app: Any, bank_settings: Any, hand_made: Any, open_client: Any, kept: Any) -> Any:
    """HTTP client with the data store, ``picture`` and ``republish``."""
    from spatial.catalog import Layer

    def republish(layer_id: str, version: str) -> None:
        changed = definitions(hand_made)[layer_id]
        changed["source"] = changed["source"] | {"version": version}
        bank_app.state.datastore.publish_vector(Layer.model_validate(changed), frames(hand_made)[layer_id])

    client = kept.enter("bank client", bank_settings.store, make=lambda: open_client(bank_app))
    return SimpleNamespace(
        get=client.get, post=client.post, patch=client.patch, app=bank_app,
        datastore=bank_app.state.datastore, picture=picture, republish=republish,
    )  # fmt: skip
