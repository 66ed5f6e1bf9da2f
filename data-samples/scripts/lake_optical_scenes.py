"""A synthetic year of Honghu in water colours (合成的洪湖水色影像): ρw and Rayleigh-corrected bands with known truth; seed 42.

Only the outline is real (``base/lakes.gpkg``). Chlorophyll falls from the western bays to the eastern shore and is highest in
August, when a bloom covers the north-east; a bed of plants stands from March to November; clouds pass. Some scenes are bad on
purpose (kind of reflectance not declared, all cloud, a band missing, numbers not scaled, the same day twice).

    python data-samples/scripts/lake_optical_scenes.py FOLDER

The collection holds ``collection.json``, ``items/*.json``, one COG a band, and ``truth.json``: by scene the median NDCI of the
open water, the share under bloom, the chlorophyll that was planted.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

SEED = 42
SAMPLES = Path(__file__).resolve().parents[1]
CELL = 2 / 3600
MARGIN = 0.012
SCALE = 1e-4
NODATA = 0
WATER_BANDS = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir1")
RAYLEIGH_BANDS = ("red", "rededge2", "nir08", "swir1")
"""Bands that are there a second time as Rayleigh-corrected reflectance, ``red_rc`` …: FAI and bloom need it."""
LAND = (0.06, 0.09, 0.08, 0.13, 0.22, 0.26, 0.28, 0.28, 0.20)
CLOUD = 0.45
NDCI_SLOPE, NDCI_AT = 0.075, 9.0
"""NDCI = slope · ln(chlorophyll / at)."""


@dataclass(frozen=True)
class Recipe:
    """One collection."""

    id: str
    zh: str
    en: str
    name: str
    """Name in ``base/lakes.gpkg``."""
    dates: tuple[datetime, ...]
    usual_chl: float = 22.0
    """Chlorophyll a of the lake in spring, mg/m³."""
    bloom_months: tuple[int, ...] = (8,)
    bad: Mapping[int, str] = field(default_factory=dict)
    """Number of a scene → what is wrong with it: no-kind, all-cloud, no-rededge1, not-scaled, twice."""


def _month(month: int) -> datetime:
    return datetime(2024, month, 8 + (0, 1, 0, -1)[month % 4], 3, 0, tzinfo=UTC)


HONGHU = Recipe(
    "honghu-optical-scenes",
    "洪湖水色影像（合成）",
    "Water-colour scenes of Honghu (synthetic)",
    "洪湖",
    (*(_month(month) for month in range(1, 13)), datetime(2024, 8, 23, 3, tzinfo=UTC)),
    bad={1: "all-cloud", 5: "twice", 10: "no-kind"},
)


def _random(*key: int) -> np.random.Generator:
    return np.random.default_rng([SEED, 31, *key])


class Lake:
    """What does not change: grid, outline, gradient of chlorophyll, place of bloom and plants."""

    def __init__(self, recipe: Recipe) -> None:
        lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg")
        shape = shapely.union_all(lakes.geometry[lakes["name"] == recipe.name].to_numpy())
        west, south, east, north = shape.bounds
        col0, col1 = int((west - MARGIN) / CELL), int((east + MARGIN) / CELL) + 1
        row0, row1 = int((90 - north - MARGIN) / CELL), int((90 - south + MARGIN) / CELL) + 1
        self.shape = (row1 - row0, col1 - col0)
        self.affine = Affine(CELL, 0, col0 * CELL, 0, -CELL, 90 - row0 * CELL)
        self.water = rasterize([shape], self.shape, transform=self.affine, dtype="uint8").astype(bool)
        rows, cols = np.indices(self.shape)
        inside = np.argwhere(self.water)
        (top, left), (bottom, right) = inside.min(0), inside.max(0)
        self.across = (cols - left) / (right - left)  # 0 at the western end, 1 at the eastern
        self.down = (rows - top) / (bottom - top)
        self.open = ndimage.binary_erosion(self.water, iterations=3)
        """Water beyond the margin of the shore."""
        ragged = 0.25 * self.smooth(1, 6)
        bloom = np.hypot((self.across - 0.78) / 0.30, (self.down - 0.30) / 0.42)
        self.bloom = self.water & (bloom < 1 + ragged)
        plants = np.hypot((self.across - 0.22) / 0.09, (self.down - 0.62) / 0.13)
        self.plants = self.water & (plants < 1 + ragged) & ~self.bloom

    def smooth(self, key: int, sigma: float) -> np.ndarray:
        """A smooth field with mean 0 and standard deviation 1."""
        found = ndimage.gaussian_filter(_random(key).normal(size=self.shape), sigma)
        return (found - found.mean()) / found.std()

    def chlorophyll(self, recipe: Recipe, number: int, when: datetime) -> np.ndarray:
        """mg/m³ of every cell."""
        season = np.cos(2 * np.pi * (when.timetuple().tm_yday - 220) / 365.25)
        gradient = np.exp(0.5 * (0.5 - self.across))
        return recipe.usual_chl * np.exp(0.45 * season) * gradient * np.exp(0.10 * self.smooth(100 + number, 6))


def cover_of(recipe: Recipe, number: int) -> float:
    """Share of cloud of a scene."""
    if recipe.bad.get(number) == "all-cloud":
        return 1.0
    random = _random(number, 3)
    return 0.0 if random.random() < 0.5 else float(np.round(random.uniform(0.05, 0.35), 2))


def scene(lake: Lake, recipe: Recipe, number: int, when: datetime) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    """Reflectance by asset, scene classification (SCL), and the truth."""
    random = _random(number, 5)
    chl = lake.chlorophyll(recipe, number, when)
    ndci = NDCI_SLOPE * np.log(chl / NDCI_AT)
    red = 0.022 * np.exp(0.2 * lake.smooth(200 + number, 7))
    usual = {
        "blue": 0.75 * red / (1 + 0.015 * chl),
        "green": 1.45 * red,
        "red": red,
        "rededge1": red * (1 + ndci) / (1 - ndci),
        "rededge2": 0.42 * red,
        "rededge3": 0.40 * red,
        "nir": 0.32 * red,
        "nir08": 0.30 * red,
        "swir1": np.full(lake.shape, 0.002),
    }
    bloom = lake.bloom if when.month in recipe.bloom_months else np.zeros(lake.shape, bool)
    plants = lake.plants if 3 <= when.month <= 11 else np.zeros(lake.shape, bool)
    share = cover_of(recipe, number)
    noise = ndimage.gaussian_filter(random.normal(size=lake.shape), 9)
    cloud = noise > np.quantile(noise, 1 - share) if 0 < share < 1 else np.full(lake.shape, share >= 1)
    shadow = np.roll(cloud, (9, -7), (0, 1)) & ~cloud
    bands: dict[str, np.ndarray] = {}
    for place, name in enumerate(WATER_BANDS):
        values = np.where(lake.water, usual[name], LAND[place] * np.exp(0.12 * lake.smooth(300, 2)))
        values = values * (1 + random.normal(0, 0.015, lake.shape))
        if name == "rededge1":
            values = np.where(bloom, 0.055, values)
        bands[name] = values
    for name in RAYLEIGH_BANDS:
        values = bands[name] + np.where(lake.water, 0.012, 0.004)
        for where, near in ((bloom, 0.14), (plants, 0.24)):
            floating = {"red": 0.035, "rededge2": 0.8 * near, "nir08": near, "swir1": 0.04}[name]
            values = np.where(where, floating, values)
        bands[f"{name}_rc"] = values
    for name, values in bands.items():
        bands[name] = np.where(cloud, CLOUD, np.where(shadow, 0.5 * values, values))
    scl = np.where(lake.water, 6, np.where(lake.smooth(300, 2) > -0.8, 4, 5)).astype(np.uint8)
    scl[bloom | plants] = 4  # as Sen2Cor takes floating plants for land
    scl[shadow] = 3
    scl[cloud] = 9
    seen = lake.open & ~cloud & ~shadow & ~plants
    truth = {
        "clear_percent": round(100 * float((lake.water & ~cloud & ~shadow).sum() / lake.water.sum()), 2),
        "ndci": round(float(np.median(ndci[seen & ~bloom])), 4) if (seen & ~bloom).any() else None,
        "chl_a": round(float(np.median(chl[seen & ~bloom])), 2) if (seen & ~bloom).any() else None,
        "bloom_percent": round(100 * float((bloom & seen).sum() / max(seen.sum(), 1)), 2),
    }
    return bands, scl, truth


def _write(path: Path, values: np.ndarray, affine: Affine) -> None:
    with rasterio.open(
        path, "w", driver="COG", dtype=values.dtype, count=1, height=values.shape[0], width=values.shape[1],
        crs="EPSG:4490", transform=affine, nodata=NODATA, compress="ZSTD", level=3, predictor="YES", blocksize=512,
        overview_resampling="nearest",
    ) as file:  # fmt: skip
        file.write(values, 1)


def _item(lake: Lake, recipe: Recipe, number: int, when: datetime, folder: Path, name: str) -> dict[str, object]:
    bands, scl, truth = scene(lake, recipe, number, when)
    wrong = recipe.bad.get(number)
    if wrong == "no-rededge1":
        del bands["rededge1"]
    place = folder / "data" / name
    place.mkdir(parents=True)
    assets = {}
    for band, values in (*bands.items(), ("scl", scl)):
        told: dict[str, object] = {"nodata": NODATA, "data_type": "uint8" if band == "scl" else "uint16"}
        stored = values
        if band != "scl":
            stored = np.clip(np.rint(values / SCALE), 1, 20_000).astype(np.uint16)
            told |= {"scale": 1.0 if wrong == "not-scaled" else SCALE, "offset": 0.0, "unit": "1"}
        _write(place / f"{band}.tif", stored, lake.affine)
        assets[band] = {
            "href": f"../data/{name}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "eo:bands": [{"name": band}],
            "raster:bands": [told],
        }
    west, north = lake.affine.c, lake.affine.f
    east, south = west + lake.shape[1] * CELL, north - lake.shape[0] * CELL
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties: dict[str, object] = {
        "datetime": when.isoformat().replace("+00:00", "Z"),
        "platform": "synthetic",
        "instruments": ["synthetic"],
        "gsd": 60,
        "eo:cloud_cover": round(100 * cover_of(recipe, number), 1),
        "proj:epsg": 4490,
        "view:sun_elevation": round(58 + 22 * float(np.cos(2 * np.pi * (when.timetuple().tm_yday - 172) / 365.25)), 1),
        "onemap:sensor": "sentinel2",
        "onemap:reflectance": "rho_w",
        "onemap:reflectance_bands": {"rho_rc": {name: f"{name}_rc" for name in RAYLEIGH_BANDS}},
        "onemap:synthetic": True,
    }
    if wrong == "no-kind":
        del properties["onemap:reflectance"]
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/view/v1.0.0/schema.json",
        ],
        "id": name,
        "collection": recipe.id,
        "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
        "assets": assets,
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
    }
    (folder / "items").mkdir(exist_ok=True)
    (folder / "items" / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return {"scene": name, "time": properties["datetime"], "wrong": wrong, **truth}


def make(recipe: Recipe, out: Path) -> Path:
    """Write a collection aside and rename it; one that is there already is left as it is."""
    target = out / recipe.id
    if (target / "collection.json").is_file():
        return target
    aside = out / f".{recipe.id}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    lake = Lake(recipe)
    rows = []
    for number, when in enumerate(recipe.dates):
        name = f"{recipe.id.removesuffix('-scenes')}-{when:%Y%m%d}"
        rows.append(_item(lake, recipe, number, when, aside, name))
        if recipe.bad.get(number) == "twice":
            rows.append(_item(lake, recipe, number, when.replace(hour=4), aside, f"{name}-b"))
    (aside / "truth.json").write_text(json.dumps({"scenes": rows}, ensure_ascii=False) + "\n", "utf-8")
    west, north = lake.affine.c, lake.affine.f
    box = [west, north - lake.shape[0] * CELL, west + lake.shape[1] * CELL, north]
    times = sorted(str(row["time"]) for row in rows)
    made = {
        "zh": "轮廓为真实湖泊；叶绿素自西向东递减、八月最高，八月东北部有水华，三至十一月有一片水草；云由种子生成",
        "en": "Real outline; chlorophyll falls from west to east and is highest in August, when a bloom lies in the north-east; "
        "a bed of plants from March to November; clouds are drawn from a seed",
    }
    document = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": recipe.id,
        "title": recipe.zh,
        "description": f"{recipe.zh} / {recipe.en}",
        "license": "ODbL-1.0",
        "providers": [
            {"name": "OneMap Hubei (synthetic)", "roles": ["producer"]},
            {"name": "© OpenStreetMap contributors (outline)", "roles": ["licensor"]},
        ],
        "extent": {"spatial": {"bbox": [box]}, "temporal": {"interval": [[times[0], times[-1]]]}},
        "summaries": {"gsd": [60], "platform": ["synthetic"]},
        "onemap:analysis": "water-quality-scenes",
        "onemap:title": {"zh": recipe.zh, "en": recipe.en},
        "onemap:description": made,
        "onemap:synthetic": {"seed": SEED, "recipe": made},
        "links": [
            {"rel": "item", "href": f"./items/{row['scene']}.json", "type": "application/geo+json"} for row in rows
        ],
    }
    (aside / "collection.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    aside.rename(target)
    return target


def main() -> None:
    """Write the sample collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    make(HONGHU, parser.parse_args().folder)


if __name__ == "__main__":
    main()
