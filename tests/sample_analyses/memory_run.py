"""Inputs and outputs of a run in memory: the readers and writers of `spatial.jobs.contract`, without a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
import yaml

from spatial.jobs.contract import Axis

RULES_FOLDER = Path(__file__).parents[2] / "layers" / "rules"
STEP = 1 / 120
WEST, NORTH = 111, 31


@cache
def _rules() -> dict[str, Any]:
    return {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in sorted(RULES_FOLDER.glob("*.yml"))}


def rules(*stems: str) -> dict[str, Any]:
    """Rule files by stem; without stems all of them."""
    found = _rules()
    return {stem: found[stem] for stem in stems or found}


@cache
def _bands(layer_id: str) -> tuple[str, ...]:
    """Names of the bands of a layer of the catalogue."""
    definition = yaml.safe_load((RULES_FOLDER.parent / f"{layer_id}.yml").read_text("utf-8"))
    return tuple(band["name"] for band in definition["bands"])


class Array:
    """A raster (bands, rows, cols) in memory, its upper left corner on that of the province.

    Its cells are `times` × `times` cells of the province; `origin` is the run's window on the province.
    """

    version = "1"

    def __init__(
        self, layer_id: str, values: np.ndarray, unit: str | None, origin: tuple[int, int] = (0, 0), times: int = 1
    ) -> None:
        self.layer_id, self.values, self.unit, self.origin, self.times = layer_id, values, unit, origin, times

    @property
    def bands(self) -> tuple[str, ...]:
        return _bands(self.layer_id)

    @property
    def source_shape(self) -> tuple[int, int]:
        return self.values.shape[1], self.values.shape[2]

    def source(self, *, band: int = 1) -> np.ndarray:
        return self.values[band - 1].astype(np.float32)

    def axes(self) -> tuple[Axis, Axis]:
        step = 1 / self.times
        return Axis(step, step / 2 - 0.5, self.origin[0]), Axis(step, step / 2 - 0.5, self.origin[1])

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        source = self.values[band - 1]
        rows = (np.arange(row, row + height) + self.origin[0]) // self.times
        cols = (np.arange(col, col + width) + self.origin[1]) // self.times
        out = source[rows.clip(0, source.shape[0] - 1)][:, cols.clip(0, source.shape[1] - 1)].astype(np.float32)
        out[(rows < 0) | (rows >= source.shape[0])] = np.nan
        out[:, (cols < 0) | (cols >= source.shape[1])] = np.nan
        return out


class Writer:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
        self.put((row, col, values), band=band)

    @staticmethod
    def encoder(row: int, col: int, values: np.ndarray) -> tuple[int, int, np.ndarray]:
        return row, col, values.copy()

    def put(self, block: tuple[int, int, np.ndarray], *, band: int = 1) -> None:
        row, col, values = block
        self.values[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values


@dataclass
class Memory:
    """Result rasters in memory: raster → band → values."""

    shape: tuple[int, int]
    rasters: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def raster(
        self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Mapping[str, Any]
    ) -> Writer:
        values = np.full((len(bands), *self.shape), nodata, dtype=dtype)
        self.rasters[name] = {band.name: values[k] for k, band in enumerate(bands)}
        return Writer(values)


def monthly(shape: tuple[int, int], annual_mm: float = 1200.0) -> np.ndarray:
    return np.full((12, *shape), annual_mm / 12, dtype=np.float32)


def frame(geometries: list[Any], **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, geometry=geometries, crs="EPSG:4490")


def centre(row: int, col: int) -> shapely.Point:
    return shapely.Point(WEST + (col + 0.5) * STEP, NORTH - (row + 0.5) * STEP)


def cell_box(row: int, col: int, height: int = 1, width: int = 1) -> shapely.Polygon:
    return shapely.box(
        WEST + col * STEP, NORTH - (row + height) * STEP, WEST + (col + width) * STEP, NORTH - row * STEP
    )


def same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> bool:
    """Whether two runs gave the same bands, bit for bit."""
    return set(left) == set(right) and all(
        np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left
    )
