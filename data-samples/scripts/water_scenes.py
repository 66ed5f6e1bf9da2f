"""A synthetic decade of three lakes (合成的十年湖泊影像): dated scenes with known truth, as STAC collections; seed 42.

The outlines of Honghu and Liangzi are real (``base/lakes.gpkg``), that of Danjiangkou is drawn by a recipe; everything else
is made: a bank that falls into the lake, a level that goes with the season, fields, paddies that stand under water in early
summer, fish ponds, towns, reclaimed plots (围垦) and one that was given back (退垸还湖), clouds with their shadow. A cell
that the shore crosses holds the mixture, so that the true area is known below the cell.

    python data-samples/scripts/water_scenes.py FOLDER [--lake honghu-scenes]

Each collection holds ``collection.json``, ``items/*.json``, one COG a band, and ``truth.json``: area by date, the planted
changes. Some scenes are bad on purpose (no cloud mask, all cloud, half a tile, the same day twice): a watch must notice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.warp import reproject
from scipy import ndimage

SEED = 42
SAMPLES = Path(__file__).resolve().parents[1]
SECOND = 1 / 3600
FINE = 3
"""Parts of a cell's side on which shore and truth are computed."""
BANDS = ("blue", "green", "red", "rededge1", "nir", "swir1", "swir2")
SCALE = 1e-4
STEP = 50
"""Stored numbers are multiples of this, which keeps the files small and is finer than the sensor noise."""
NODATA = 0
SPECTRA: dict[str, tuple[float, ...]] = {
    "water": (0.055, 0.075, 0.060, 0.050, 0.030, 0.014, 0.010),
    "crop": (0.045, 0.080, 0.060, 0.130, 0.330, 0.200, 0.110),
    "bare": (0.085, 0.110, 0.140, 0.170, 0.210, 0.290, 0.240),
    "town": (0.120, 0.130, 0.140, 0.155, 0.190, 0.240, 0.210),
    "paddy": (0.050, 0.070, 0.060, 0.065, 0.070, 0.045, 0.030),
    "cloud": (0.420, 0.420, 0.430, 0.440, 0.450, 0.360, 0.280),
}
"""Reflectance of the right order of magnitude for a turbid plain lake and its surroundings; from no satellite."""


@dataclass(frozen=True)
class Plot:
    """A change that was planted (植入的变化): from `date` on land instead of lake, or lake instead of land."""

    kind: str
    date: datetime
    hectares: float
    bearing: float
    """Where on the shore, share of its length."""


@dataclass(frozen=True)
class Lake:
    """One collection of scenes."""

    id: str
    zh: str
    en: str
    name: str
    """Name in ``base/lakes.gpkg``, or of the drawn outline."""
    dates: tuple[datetime, ...]
    mean_level: float
    swing: float
    """Half the range of the level over the year, m."""
    trend: float = 0.0
    """Rise of the level, m a year."""
    fields_above: float = 2.0
    """Height over the mean level from which there are fields, m; the highest water must stay below it."""
    plots: tuple[Plot, ...] = ()
    utm: int | None = None
    """EPSG code in which the scenes are delivered; default the grid of degrees itself."""
    bad: dict[int, str] = field(default_factory=dict)
    """Number of a scene → what is wrong with it."""


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 3, 0, tzinfo=UTC)


def _seasons(years: range, months: tuple[int, ...]) -> tuple[datetime, ...]:
    return tuple(_day(year, month, 5 + (7 * year + 3 * month) % 20) for year in years for month in months)


LAKES = (
    Lake(
        "honghu-scenes",
        "洪湖影像（合成）",
        "Scenes of Honghu (synthetic)",
        "洪湖",
        _seasons(range(2015, 2025), (1, 4, 7, 10)),
        24.5,
        0.9,
        plots=(
            Plot("reclaimed", _day(2017, 6, 1), 35.0, 0.12),
            Plot("reclaimed", _day(2020, 2, 1), 12.0, 0.45),
            Plot("reclaimed", _day(2022, 5, 1), 4.0, 0.80),
            Plot("restored", _day(2018, 9, 1), 60.0, 0.63),
        ),
        bad={7: "no-mask", 19: "all-cloud", 30: "half", 33: "twice"},
    ),
    Lake(
        "liangzi-scenes",
        "梁子湖影像（合成）",
        "Scenes of Liangzi Lake (synthetic)",
        "梁子湖",
        _seasons(range(2015, 2025), (4, 10)),
        17.5,
        0.7,
        plots=(Plot("reclaimed", _day(2019, 6, 1), 8.0, 0.3),),
    ),
    Lake(
        "danjiangkou-scenes",
        "丹江口水库影像（合成，岸线亦为合成）",
        "Scenes of Danjiangkou reservoir (synthetic, outline too)",
        "丹江口水库（合成轮廓）",
        _seasons(range(2015, 2025), (5, 11)),
        158.0,
        5.0,
        trend=0.9,
        fields_above=17.0,
        utm=32649,
    ),
)


def level(lake: Lake, when: datetime) -> float:
    """Water level, m: highest in July, with a slow trend and a wobble from year to year."""
    year = when.year + (when.timetuple().tm_yday - 1) / 365.25
    season = np.cos(2 * np.pi * (year - 0.54))
    wobble = 0.25 * np.sin(2 * np.pi * year / 3.7) + 0.15 * np.sin(2 * np.pi * year / 1.9 + len(lake.id))
    return float(lake.mean_level + lake.swing * (season + wobble) + lake.trend * (year - 2015))


def _drawn() -> shapely.Polygon:
    """A reservoir with arms (合成轮廓), about where Danjiangkou lies; no survey of it."""
    random = np.random.default_rng([SEED, 7])
    spine = shapely.LineString([(111.18, 32.78), (111.30, 32.72), (111.42, 32.66), (111.48, 32.58)])
    parts = [spine.buffer(0.022)]
    for share in np.linspace(0.08, 0.95, 9):
        start = spine.interpolate(share, normalized=True)
        turn, reach = random.uniform(0, 2 * np.pi), random.uniform(0.03, 0.075)
        tip = shapely.Point(start.x + reach * np.cos(turn), start.y + 0.8 * reach * np.sin(turn))
        parts.append(shapely.LineString([start, tip]).buffer(random.uniform(0.004, 0.010)))
    return shapely.union_all(parts).buffer(0.002).buffer(-0.002)


def outline(lake: Lake) -> shapely.Geometry:
    """Shore of a lake, EPSG:4490."""
    lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg")
    found = lakes[lakes["name"] == lake.name]
    return found.geometry.iloc[0] if len(found) else _drawn()


class Ground:
    """What lies still: bank, fields, ponds, planted plots; on the fine grid where the shore matters."""

    def __init__(self, lake: Lake, *, cell: float = SECOND, margin: float = 0.03) -> None:
        self.lake, self.cell = lake, cell
        shape = outline(lake)
        west, south, east, north = shape.bounds
        col0, col1 = int((west - margin) / cell), int((east + margin) / cell) + 1
        row0, row1 = int((90 - north - margin) / cell), int((90 - south + margin) / cell) + 1
        self.rows, self.cols = row1 - row0, col1 - col0
        self.affine = Affine(cell, 0, col0 * cell, 0, -cell, 90 - row0 * cell)
        self.fine = self.affine * Affine.scale(1 / FINE)
        size = (self.rows * FINE, self.cols * FINE)
        latitude = np.deg2rad((south + north) / 2)
        self.metres = (cell / FINE * 110_900.0, cell / FINE * 111_320.0 * np.cos(latitude))
        inside = rasterize([shape], size, transform=self.fine, dtype="uint8").astype(bool)
        inward = ndimage.distance_transform_edt(inside, sampling=self.metres).astype(np.float32)
        outward = ndimage.distance_transform_edt(~inside, sampling=self.metres).astype(np.float32)
        random = np.random.default_rng([SEED, 11, len(lake.id)])
        rough = ndimage.zoom(random.normal(0, 1, (size[0] // 48 + 2, size[1] // 48 + 2)), 48, order=1)
        # A bank of 1 : 80 that ends at a low dike, and a flat bed: a level moves the shore by tens of metres.
        top = max(1.2 * abs(lake.swing) + 4.0, lake.fields_above + 2.0)
        self.height = np.where(inside, -inward / 80.0, np.minimum(outward / 80.0, top))
        self.height += 0.06 * rough[: size[0], : size[1]]
        self.height = self.height.astype(np.float32)
        # Far below and far above nothing follows the level: the bed is deep, the land is diked.
        self.height = np.clip(self.height, -60, 60)
        self.plots = [(plot, self._plot(plot, shape)) for plot in lake.plots]
        self._land(random)

    def _plot(self, plot: Plot, shape: shapely.Geometry) -> shapely.Polygon:
        shore = max(shapely.get_parts(shapely.get_exterior_ring(shapely.get_parts(shape))), key=shapely.length)
        here = shore.interpolate(plot.bearing, normalized=True)
        ahead = shore.interpolate(plot.bearing + 0.002, normalized=True)
        side = np.sqrt(plot.hectares * 10_000)
        lon = 111_320.0 * np.cos(np.deg2rad(here.y))
        along = np.array([(ahead.x - here.x) * lon, (ahead.y - here.y) * 110_900.0])
        along /= np.hypot(*along)
        across = np.array([-along[1], along[0]])
        inner = shapely.Point(here.x + 400 * across[0] / lon, here.y + 400 * across[1] / 110_900.0)
        if shape.contains(inner) != (plot.kind == "reclaimed"):
            across = -across
        # Reclaimed plots begin where it is always wet, given back ones where it is always dry.
        first = 60.0 + 80.0 * (1.5 * abs(self.lake.swing) + 0.4)
        corners = [(-0.6, first), (0.6, first), (0.6, first + side / 1.2), (-0.6, first + side / 1.2)]
        points = [
            (
                here.x + (a * side * along[0] + b * across[0]) / lon,
                here.y + (a * side * along[1] + b * across[1]) / 110_900.0,
            )
            for a, b in corners
        ]
        return shapely.Polygon(points)

    def _land(self, random: np.random.Generator) -> None:
        shape = (self.rows, self.cols)
        rows, cols = np.indices(shape, dtype=np.float32)
        bend = ndimage.zoom(random.normal(0, 3, (shape[0] // 32 + 2, shape[1] // 32 + 2)), 32, order=1)
        fields = ((rows + bend[: shape[0], : shape[1]]) // 9).astype(int), ((cols - bend[: shape[0], : shape[1]]) // 7)
        number = (fields[0] * 4099 + fields[1].astype(int)) % 65_521
        draw = random.random(65_521)[number]
        far = self._mean(self.height) > self.lake.fields_above
        self.use = np.where(draw < 0.10, 1, np.where(draw < 0.22, 2, np.where(draw < 0.34, 3, 0))).astype(np.uint8)
        self.use[~far] = 0
        towns = ndimage.gaussian_filter(random.random(shape), 14) > 0.5 + 0.021
        self.use[towns & far] = 2
        self.ponds = (draw > 0.985) & far & ~towns
        self.tone = (0.9 + 0.2 * random.random(65_521)[(number * 31) % 65_521]).astype(np.float32)

    def _mean(self, fine: np.ndarray) -> np.ndarray:
        return fine.reshape(self.rows, FINE, self.cols, FINE).mean(axis=(1, 3))

    def height_at(self, when: datetime) -> np.ndarray:
        """Height above the mean level, m, with the plots that were changed by then; fine grid."""
        height = self.height
        for plot, shape in self.plots:
            if when >= plot.date:
                mask = rasterize([shape], height.shape, transform=self.fine, dtype="uint8").astype(bool)
                height = np.where(mask, np.float32(9.0 if plot.kind == "reclaimed" else -9.0), height)
        return height

    def given_back(self, when: datetime) -> np.ndarray:
        """Share of each cell that is a plot given back by then: water, but a body of its own behind the shore."""
        found = np.zeros(self.height.shape, bool)
        for plot, shape in self.plots:
            if plot.kind == "restored" and when >= plot.date:
                found |= rasterize([shape], found.shape, transform=self.fine, dtype="uint8").astype(bool)
        return self._mean(found).astype(np.float32)

    def water(self, when: datetime) -> np.ndarray:
        """Share of each cell that is lake, float32 0–1."""
        rise = level(self.lake, when) - self.lake.mean_level
        return self._mean(self.height_at(when) < rise).astype(np.float32)

    def cell_m2(self) -> np.ndarray:
        """Ellipsoidal area of a cell by row, m²."""
        from odc.geo.geobox import GeoBox

        from spatial.grid import cell_areas

        return np.asarray(cell_areas(GeoBox((self.rows, self.cols), self.affine, "EPSG:4490")), dtype=np.float64)


def _clouds(random: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[np.ndarray, np.ndarray]:
    """Cloud and shadow masks; `share` of the cells is cloud."""
    if share <= 0:
        return np.zeros(shape, bool), np.zeros(shape, bool)
    if share >= 1:
        return np.ones(shape, bool), np.zeros(shape, bool)
    coarse = tuple(n // 24 + 3 for n in shape)
    noise = ndimage.zoom(ndimage.gaussian_filter(random.normal(0, 1, coarse), 1.2), 24, order=1)
    noise = noise[: shape[0], : shape[1]] + 0.05 * random.normal(0, 1, shape)
    cloud = ndimage.binary_opening(noise > np.quantile(noise, 1 - share), iterations=2)
    shadow = np.roll(cloud, (14, -9), (0, 1)) & ~cloud
    return cloud, shadow


def cover_of(lake: Lake, number: int) -> float:
    """Share of cloud of a scene: four in ten clear, the others up to 60 %."""
    if lake.bad.get(number) == "all-cloud":
        return 1.0
    random = np.random.default_rng([SEED, 17, number, len(lake.id)])
    return 0.0 if random.random() < 0.4 else float(np.round(random.uniform(0.05, 0.6), 2))


def scene(ground: Ground, number: int, when: datetime) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Stored numbers by band, scene classification (Sentinel-2 SCL codes), and the true share of lake."""
    lake = ground.lake
    random = np.random.default_rng([SEED, 23, number, len(lake.id)])
    share = ground.water(when)
    shape = share.shape
    green = 0.5 + 0.5 * np.cos(2 * np.pi * (when.timetuple().tm_yday / 365.25 - 0.55))
    flooded = when.month in {5, 6, 7}
    wet = np.maximum(share, ground.ponds)
    blend = {name: np.zeros(shape, np.float32) for name in ("water", "crop", "bare", "town", "paddy")}
    dry = 1 - wet
    use = ground.use
    blend["water"] = wet
    blend["town"] = dry * (use == 2)
    paddy = (use == 3) if flooded else np.zeros(shape, bool)
    blend["paddy"] = dry * paddy
    field_share = dry * ((use == 0) | (use == 1) | ((use == 3) & ~paddy))
    blend["crop"] = field_share * np.where(use == 1, 0.15, 0.25 + 0.7 * green)
    blend["bare"] = field_share - blend["crop"]
    cloud, shadow = _clouds(random, shape, cover_of(lake, number))
    half = np.zeros(shape, bool)
    if lake.bad.get(number) == "half":
        rows, cols = np.indices(shape)
        half = rows * shape[1] + cols * shape[0] * 0.8 > 0.75 * shape[0] * shape[1]
    bands = {}
    for place, band in enumerate(BANDS):
        value = sum(blend[name] * np.float32(SPECTRA[name][place]) for name in blend)
        value = value * np.where(wet > 0.5, 1.0, ground.tone)
        value = np.where(shadow, 0.45 * value, np.where(cloud, SPECTRA["cloud"][place], value))
        value = value + random.normal(0, 0.0015, shape).astype(np.float32)
        stored = np.clip(np.rint(value / SCALE / STEP), 1, 400).astype(np.uint16) * STEP
        bands[band] = np.where(half, NODATA, stored).astype(np.uint16)
    scl = np.where(wet > 0.5, 6, np.where(blend["crop"] > 0.3, 4, 5)).astype(np.uint8)
    scl[shadow] = 3
    scl[cloud] = 9
    scl[half] = 0
    return bands, scl, share


def _write(path: Path, values: np.ndarray, affine: Affine, crs: str, nodata: int) -> None:
    profile = {"driver": "COG", "dtype": values.dtype, "count": 1, "crs": crs, "transform": affine, "nodata": nodata}
    options = {"compress": "ZSTD", "level": 3, "predictor": "YES", "blocksize": 512, "overview_resampling": "nearest"}
    height, width = values.shape
    with rasterio.open(path, "w", height=height, width=width, **profile, **options) as file:
        file.write(values, 1)


def _warped(values: np.ndarray, affine: Affine, target: tuple[Affine, int, int], epsg: int, nodata: int) -> np.ndarray:
    out = np.full(target[1:], nodata, values.dtype)
    reproject(
        values,
        out,
        src_transform=affine,
        src_crs="EPSG:4326",  # the null transform: CGCS2000 and WGS 84 differ by less than a metre
        dst_transform=target[0],
        dst_crs=f"EPSG:{epsg}",
        src_nodata=nodata,
        dst_nodata=nodata,
        resampling=Resampling.nearest,
    )
    return out


def _item(ground: Ground, number: int, when: datetime, folder: Path, name: str) -> dict[str, float | str]:
    lake = ground.lake
    bands, scl, share = scene(ground, number, when)
    layers: dict[str, tuple[np.ndarray, int]] = {band: (values, NODATA) for band, values in bands.items()}
    if lake.bad.get(number) != "no-mask":
        layers["scl"] = (scl, 0)
    affine, crs = ground.affine, "EPSG:4490"
    west, north = affine.c, affine.f
    east, south = west + ground.cols * ground.cell, north - ground.rows * ground.cell
    target = None
    if lake.utm is not None:
        crs = f"EPSG:{lake.utm}"
        left, bottom, right, top = rasterio.warp.transform_bounds("EPSG:4326", crs, west, south, east, north)
        left, top = np.floor(left / 30) * 30, np.ceil(top / 30) * 30
        size = (int((top - bottom) // 30), int((right - left) // 30))
        target = (Affine(30, 0, left, 0, -30, top), *size)
    place = folder / "data" / name
    place.mkdir(parents=True, exist_ok=True)
    assets = {}
    for band, (values, nodata) in layers.items():
        if target is not None and lake.utm is not None:
            values = _warped(values, affine, target, lake.utm, nodata)
        _write(place / f"{band}.tif", values, affine if target is None else target[0], crs, nodata)
        told: dict[str, object] = {"nodata": nodata, "data_type": str(values.dtype)}
        if band != "scl":
            told |= {"scale": SCALE, "offset": 0.0, "unit": "1"}
        assets[band] = {
            "href": f"../data/{name}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "eo:bands": [{"name": band}],
            "raster:bands": [told],
        }
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": lake.id,
        "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "datetime": when.isoformat().replace("+00:00", "Z"),
            "platform": "synthetic",
            "instruments": ["synthetic"],
            "gsd": 30,
            "eo:cloud_cover": round(100 * cover_of(lake, number), 1),
            "proj:epsg": lake.utm or 4490,
            "onemap:reflectance": "surface",
            "onemap:synthetic": True,
        },
        "assets": assets,
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
    }
    (folder / "items").mkdir(exist_ok=True)
    (folder / "items" / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    apart = ground.given_back(when)
    areas = [float((part.sum(axis=1, dtype=np.float64) * ground.cell_m2()).sum()) for part in (share - apart, apart)]
    time = document["properties"]["datetime"]
    return {"scene": name, "time": time, "lake_m2": round(areas[0], 1), "given_back_m2": round(areas[1], 1)}


def _numbered(lake: Lake) -> Iterator[tuple[int, datetime, str]]:
    for number, when in enumerate(lake.dates):
        name = f"{lake.id.removesuffix('-scenes')}-{when:%Y%m%d}"
        yield number, when, name
        if lake.bad.get(number) == "twice":
            yield number, when.replace(hour=4), f"{name}-b"


def make(lake: Lake, out: Path, said: Callable[[str], None] = lambda text: None) -> Path:
    """Write a collection aside and rename it; one that is there already is left as it is."""
    target = out / lake.id
    if (target / "collection.json").is_file():
        return target
    aside = out / f".{lake.id}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    ground = Ground(lake)
    scenes = list(_numbered(lake))
    with ThreadPoolExecutor(2) as pool:
        rows = []
        for row in pool.map(lambda s: _item(ground, s[0], s[1], aside, s[2]), scenes):
            rows.append(row)
            said(f"{lake.id} {len(rows)}/{len(scenes)}")
    plots = [
        {
            "kind": plot.kind,
            "date": plot.date.isoformat(),
            "hectares": plot.hectares,
            "geometry": shapely.geometry.mapping(shape),
        }
        for plot, shape in ground.plots
    ]
    truth = {"areas": rows, "plots": plots, "outline": shapely.geometry.mapping(outline(lake))}
    (aside / "truth.json").write_text(json.dumps(truth, ensure_ascii=False) + "\n", "utf-8")
    west, north = ground.affine.c, ground.affine.f
    box = [west, north - ground.rows * ground.cell, west + ground.cols * ground.cell, north]
    times = sorted(row["time"] for row in rows)
    recipe = {
        "zh": "轮廓内外的缓坡与随季节变化的水位决定水面，农田、坑塘、城镇与云由种子生成，岸线处按比例混合",
        "en": "A gentle bank and a level that goes with the season make the water; fields, ponds, towns and clouds are drawn "
        "from a seed; cells at the shore hold the mixture",
    }
    document = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": lake.id,
        "title": lake.zh,
        "description": f"{lake.zh} / {lake.en}",
        "license": "CC0-1.0" if lake.utm else "ODbL-1.0",
        "providers": [{"name": "OneMap Hubei (synthetic)", "roles": ["producer"]}]
        + ([] if lake.utm else [{"name": "© OpenStreetMap contributors (outline)", "roles": ["licensor"]}]),
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[times[0], times[-1]]]}},
        "summaries": {"gsd": [30], "platform": ["synthetic"]},
        "onemap:title": {"zh": lake.zh, "en": lake.en},
        "onemap:description": recipe,
        "onemap:synthetic": {"seed": SEED, "recipe": recipe},
        "links": [
            {"rel": "item", "href": f"./items/{row['scene']}.json", "type": "application/geo+json"} for row in rows
        ],
    }
    (aside / "collection.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    aside.rename(target)
    return target


def main() -> None:
    """Write the collections that are asked for, default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lake", action="append", choices=[lake.id for lake in LAKES])
    arguments = parser.parse_args()
    for lake in LAKES:
        if arguments.lake is None or lake.id in arguments.lake:
            make(lake, arguments.folder, lambda text: print(f"\r{text}  ", end="", file=sys.stderr, flush=True))
    if arguments.lake is None:
        from lake_optical_scenes import HONGHU
        from lake_optical_scenes import make as make_optical

        make_optical(HONGHU, arguments.folder)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
