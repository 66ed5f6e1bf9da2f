"""Make synthetic observations (合成的观测): two flights, two snapshots a camera, a week of hourly readings; seed 42.

``python data-samples/scripts/observation_samples.py`` writes into the stores that the settings name what is not there yet.
Everything drawn bears the words 合成示例 / SYNTHETIC.
"""

from __future__ import annotations

import io
import math
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

SEED = 42
SITE = "uav-honghu-north"
PLACE = (113.35804, 29.93258)
"""Middle of the flights: the north bank of Honghu."""
SIDE, GSD = 600, 0.5
FLIGHTS = (datetime(2026, 4, 12, 2, 0, tzinfo=UTC), datetime(2026, 9, 18, 2, 0, tzinfo=UTC))
SHOTS = (datetime(2026, 8, 18, 1, 0, tzinfo=UTC), datetime(2026, 9, 18, 1, 0, tzinfo=UTC))
WEEK = datetime(2026, 10, 1, 0, 0, tzinfo=UTC)
HOURS = 168


def _font(size: int) -> tuple[Any, bool]:
    """A font, and whether it has Chinese characters."""
    from PIL import ImageFont

    from tiles.legend import chinese_font

    path = chinese_font()
    return (ImageFont.truetype(path, size), True) if path else (ImageFont.load_default(size), False)


def _noise(random: np.random.Generator, shape: tuple[int, int], step: int) -> np.ndarray:
    """Smooth noise of about -1 … 1."""
    rows, cols = (n // step + 3 for n in shape)
    coarse = random.normal(0, 0.5, (rows, cols))
    y, x = np.arange(shape[0]) / step, np.arange(shape[1]) / step
    i, j = y.astype(int), x.astype(int)
    v, u = (y - i)[:, None], (x - j)[None, :]
    top = coarse[i][:, j] * (1 - u) + coarse[i][:, j + 1] * u
    return top * (1 - v) + (coarse[i + 1][:, j] * (1 - u) + coarse[i + 1][:, j + 1] * u) * v


def orthophoto(flight: int) -> np.ndarray:
    """RGBA (4, 600, 600): water to the south-east, reed, a dike with a road, ponds and fields; the second flight has a heap."""
    random = np.random.default_rng([SEED, 7])
    shape = (SIDE, SIDE)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    angle = math.radians(112)
    # Metres from the shore towards the lake.
    out = ((x - SIDE / 2) * math.sin(angle) - (y - SIDE / 2) * math.cos(angle)) * GSD
    along = ((x - SIDE / 2) * math.cos(angle) + (y - SIDE / 2) * math.sin(angle)) * GSD
    out = out + 6 * _noise(random, shape, 90) + 2 * _noise(random, shape, 25)
    level = (4.0, 0.0)[flight]  # the lake stands higher in September
    fine, wide = _noise(random, shape, 3), _noise(random, shape, 60)
    picture = np.zeros((3, *shape))

    def paint(mask: np.ndarray, colour: tuple[int, int, int], rough: float = 10.0) -> None:
        for band, value in enumerate(colour):
            picture[band][mask] = (value + rough * fine + 6 * wide)[mask]

    paint(np.ones(shape, bool), (112, 128, 72))
    field = (np.floor((along + 300) / 38) + np.floor((out + 300) / 55)).astype(int) % 3
    for kind, colour in enumerate(((126, 138, 70), (150, 142, 92), (96, 124, 62))):
        paint((field == kind) & (out < -40), colour)
    pond = (np.abs((along + 300) % 62 - 31) < 24) & (out < -52) & (out > -110)
    paint(pond, (70, 96, 92), 4)
    paint((out >= -40) & (out < -14), (118, 132, 78))
    paint((out >= -34) & (out < -24), (96, 112, 66))  # the dike
    paint((out >= -30.5) & (out < -26), (176, 172, 162), 6)  # its road
    paint((out >= -14) & (out < 14 + level), (104, 122, 58), 22)  # reed
    paint(out >= 10 + level, (58, 84, 84), 5)
    ripple = 4 * np.sin((along + 2 * out) / 3.5)
    picture[:, out >= 10 + level] += ripple[out >= 10 + level]
    nets = (out > 40) & (out < 110) & (np.abs(along) < 90) & ((np.abs(out % 35) < 0.8) | (np.abs(along % 30) < 0.8))
    if flight == 0:
        paint(nets, (150, 150, 140), 4)
    else:
        heap = np.hypot(along + 45, out + 8) < 13 + 3 * _noise(random, shape, 20)
        paint(heap, (172, 140, 104), 26)
    paint((np.abs(along - 70) < 6) & (np.abs(out + 46) < 5), (168, 92, 78), 6)  # a house
    rgb = np.clip(np.rint(picture), 0, 255).astype("uint8")
    rgb = _watermarked(rgb, FLIGHTS[flight])
    inside = np.abs(x - SIDE / 2) + np.abs(y - SIDE / 2) < SIDE * 0.86  # corners that the flight did not cover
    return np.concatenate([np.where(inside, rgb, 0), np.where(inside, 255, 0).astype("uint8")[None]])


def _watermarked(rgb: np.ndarray, when: datetime) -> np.ndarray:
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0)))
    pen = ImageDraw.Draw(picture, "RGBA")
    font, chinese = _font(30)
    text = ("合成示例 " if chinese else "") + f"SYNTHETIC {when:%Y-%m-%d}"
    pen.text((110, 270), text, font=font, fill=(255, 255, 255, 110))
    return np.asarray(picture).transpose(2, 0, 1)


def write_orthophoto(path: Path, flight: int) -> Path:
    """A GeoTIFF as a survey unit delivers it: EPSG:4547, alpha."""
    import rasterio
    from pyproj import Transformer
    from rasterio.transform import from_origin

    x, y = Transformer.from_crs(4490, 4547, always_xy=True).transform(*PLACE)
    corner = round(x) - SIDE * GSD / 2, round(y) + SIDE * GSD / 2
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=4, dtype="uint8", crs="EPSG:4547",
        transform=from_origin(*corner, GSD, GSD), photometric="RGB", alpha="YES", compress="deflate",
    ) as out:  # fmt: skip
        out.write(orthophoto(flight))
    return path


def snapshot(camera: str, name: str, when: datetime, number: int) -> bytes:
    """A drawn view: sky, far bank, water; 640 × 360 JPEG."""
    from PIL import Image, ImageDraw

    random = np.random.default_rng([SEED, number, int(when.timestamp())])
    height, width, horizon = 360, 640, 130
    picture = np.zeros((height, width, 3))
    rise = np.linspace(0, 1, horizon)[:, None]
    picture[:horizon] = (np.array([120, 160, 200]) * (1 - rise) + np.array([205, 218, 226]) * rise)[:, None, :]
    depth = np.linspace(0, 1, height - horizon)[:, None]
    picture[horizon:] = (np.array([128, 150, 150]) * (1 - depth) + np.array([66, 92, 88]) * depth)[:, None, :]
    y, x = np.mgrid[horizon:height, 0:width]
    wave = np.sin(x / (6 + (y - horizon) / 9) + 7 * np.sin(y / 9 + number)) * (2 + (y - horizon) / 22)
    picture[horizon:] += wave[..., None]
    far = horizon - 8 - 7 * np.abs(np.sin(np.arange(width) / 47 + number)) - random.uniform(0, 4, width)
    for column in range(width):
        picture[int(far[column]) : horizon + 3, column] = (74, 96, 70)
    picture += random.normal(0, 2.5, picture.shape)
    image = Image.fromarray(np.clip(picture, 0, 255).astype("uint8"))
    pen = ImageDraw.Draw(image, "RGBA")
    bank = 40 + 12 * (number % 3) + (18 if when == SHOTS[0] else 0)  # the water stands higher in the second one
    pen.polygon([(0, height), (0, height - bank * 2), (width * 0.55, height - bank * 0.3), (width * 0.7, height)],
                fill=(122, 112, 84, 255))  # fmt: skip
    pole_x = 470
    pen.rectangle((pole_x, 150, pole_x + 14, 330), fill=(240, 240, 240, 255), outline=(60, 60, 60, 255))
    for k in range(9):
        pen.rectangle((pole_x, 150 + 20 * k, pole_x + 14, 160 + 20 * k), fill=(200, 40, 40, 255))
    font, chinese = _font(17)
    local = (when + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M")
    pen.rectangle((0, 0, width, 28), fill=(0, 0, 0, 130))
    pen.text((8, 4), f"{camera} {name if chinese else ''}  {local}", font=font, fill=(255, 255, 255, 255))
    mark, _ = _font(44)
    pen.text((130, 190), "合成示例 SYNTHETIC" if chinese else "SYNTHETIC", font=mark, fill=(255, 255, 255, 105))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return out.getvalue()


def readings() -> list[dict[str, Any]]:
    """Hourly level and turbidity of four stations; Longwangmiao has a spike (hour 60) and is stuck for 30 hours (from 100)."""
    from observation_layers import SENSORS

    base = {"HH-S1": (24.35, 18.0), "HH-S2": (24.33, 14.0), "HK-S1": (19.40, 62.0), "HK-S2": (19.36, 58.0)}
    rows = []
    hours = np.arange(HOURS)
    for number, (code, *_) in enumerate(SENSORS):
        random = np.random.default_rng([SEED, 11, number])
        level, turbidity = base[code]
        levels = level + 0.03 * np.sin(hours / 24 * 2 * np.pi) + np.cumsum(random.normal(0, 0.004, HOURS))
        rain = np.clip(hours - 70, 0, None)
        turbid = turbidity * (1 + 1.4 * rain / 8 * np.exp(1 - rain / 8)) * np.exp(random.normal(0, 0.04, HOURS))
        levels = np.round(levels, 3)
        if code == "HK-S1":
            levels[60] += 3.2
            levels[100:130] = levels[100]
        for hour in range(HOURS):
            time = (WEEK + timedelta(hours=hour)).isoformat()
            rows.append({"station": code, "field": "level_m", "time": time, "value": float(levels[hour]), "unit": "m"})
            value = round(float(turbid[hour]), 1)
            rows.append({"station": code, "field": "turbidity_ntu", "time": time, "value": value, "unit": "NTU"})
    return rows


def add_samples(store: DataStore) -> dict[str, int]:
    """Add what is not there yet; says how much."""
    from observation_layers import CAMERAS

    from spatial.catalog import Synthetic, Text
    from spatial.observation.newest import show_newest
    from spatial.observation.orthophoto import Flight, add_orthophoto
    from spatial.observation.readings import append_readings
    from spatial.observation.rules import read_observation_rules
    from spatial.observation.snapshots import add_snapshot
    from spatial.store.observation_store import ObservationStore

    rules = read_observation_rules(store.settings.layers_dir)
    kept = ObservationStore(store.state)
    published = {layer.id for layer in store.snapshot().layers()}
    done = {"flights": 0, "snapshots": 0, "readings": 0}
    recipe = Text(
        zh="手工规则绘制的 0.5 米影像：湖面、芦苇、围堤、鱼塘与农田；第二个架次撤去围网、岸边多一处堆土",
        en="0.5 m picture drawn by rules: lake, reed, dike, ponds and fields; the second flight lacks the nets and has a heap",
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, when in enumerate(FLIGHTS):
            if store.state.version(SITE, f"{when:%Y%m%dT%H%M%SZ}") is None:
                path = write_orthophoto(Path(folder) / f"flight-{number}.tif", number)
                title = Text(zh="洪湖北岸无人机正射影像", en="Drone orthophoto of the north bank of Honghu")
                flight = Flight(
                    SITE, when, "合成多旋翼 / synthetic multirotor", title=title, sensor="RGB",
                    licence="CC0-1.0", attribution=Text(zh="合成示例，非真实影像", en="Synthetic sample, not a real picture"),
                    synthetic=Synthetic(seed=SEED, recipe=recipe),
                )  # fmt: skip
                add_orthophoto(store, path, flight)
                done["flights"] += 1
    if rules.cameras.layer in published and not kept.snapshot_spans(rules.cameras.layer):
        for number, (code, name, *_) in enumerate(CAMERAS):
            for when in SHOTS:
                content = snapshot(code, name, when, number)
                add_snapshot(store, rules, code, content, "image/jpeg", when, name=f"{code}.jpg", synthetic=True)
                done["snapshots"] += 1
        show_newest(store, rules.cameras.layer)
    if "bank-sensors" in published and not kept.reading_spans("bank-sensors"):
        rows = readings()
        append_readings(store, "bank-sensors", rows, duplicates="refuse", principal="samples")
        show_newest(store, "bank-sensors")
        done["readings"] += len(rows)
    return done


def main() -> int:
    """Add the samples to the stores of the settings."""
    import json

    from spatial.settings import settings
    from spatial.store.datastore import DataStore

    store = DataStore.open(settings())
    try:
        print(json.dumps(add_samples(store)))
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main())
