"""Worked examples (解释示例): the chain of a few sample cells, value by value, from the result rasters themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.jobs.contract import Explanation
from spatial.jobs.reporting import ReportMaterial, ReportRaster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.chain import Chain

__all__ = ["Example", "examples_of"]

_SAMPLE = 400
"""Cells a side of the picture in which sample cells are looked for."""
_TRIES = 25


@dataclass(frozen=True)
class Example:
    """A cell, where it lies, what is stored there, and its chain."""

    lon: float
    lat: float
    place: str | None
    stored_class: int
    trace: Mapping[str, Any]


def examples_of(material: ReportMaterial, name: str, explanation: Explanation) -> list[Example]:
    """One example for each class of a result raster: a cell with the most frequent limiting factor of its class.

    The choice is the same at every run. A cell counts only if its trace gives the class that is stored there.
    """
    from rasterio.enums import Resampling

    from analyses.chain import Chain
    from spatial.store.raster import open_raster

    classes, factors = material.rasters[name], material.rasters.get(explanation.factors)
    number, reason = classes.band("class"), classes.band("reason")
    if factors is None or number is None:
        return []
    chain = Chain.model_validate(explanation.chain)
    found = []
    with open_raster(classes.path) as a, open_raster(factors.path) as b:
        rows, cols = a.shape
        share = min(1.0, _SAMPLE / max(rows, cols))
        shape = (max(1, round(rows * share)), max(1, round(cols * share)))
        codes = a.read(number, out_shape=shape, resampling=Resampling.nearest)
        why = codes if reason is None else a.read(reason, out_shape=shape, resampling=Resampling.nearest)
        for value in sorted({int(v) for v in chain.classes.values()}):
            for row, col in _candidates(codes, why, value):
                at = (int((row + 0.5) / shape[0] * rows), int((col + 0.5) / shape[1] * cols))
                example = _example(material, chain, (classes, a), (factors, b), at)
                if example is not None and example.stored_class == value:
                    found.append(example)
                    break
    return found


def _candidates(codes: NDArray[Any], why: NDArray[Any], value: int) -> list[tuple[int, int]]:
    """Cells of a class with its most frequent reason, from the middle of the map's reading order outwards."""
    inside = codes == value
    if not inside.any():
        return []
    counts = np.bincount(why[inside].astype(np.int64))
    cells = np.argwhere(inside & (why == int(counts.argmax())))
    # A third of the way, so that the examples of different classes do not stand side by side.
    first = len(cells) // 3
    order = [(first + k * max(1, len(cells) // _TRIES)) % len(cells) for k in range(_TRIES)]
    return [(int(cells[k][0]), int(cells[k][1])) for k in dict.fromkeys(order)]


def _example(
    material: ReportMaterial,
    chain: Chain,
    classes: tuple[ReportRaster, Any],
    factors: tuple[ReportRaster, Any],
    at: tuple[int, int],
) -> Example | None:
    from rasterio.windows import Window

    cell = Window(at[1], at[0], 1, 1)
    values: dict[str, float | None] = {}
    for raster, dataset in (
        classes,
        factors,
    ):  # a factor has its value in the factors raster, a patch level in the other
        read = dataset.read(window=cell)[:, 0, 0]
        for band, value in zip(raster.bands, read.tolist(), strict=True):
            nothing = math.isnan(value) or (dataset.nodata is not None and value == dataset.nodata)
            values[band.name] = None if nothing else float(value)
    stored = int(values.get("class") or 0)
    absent = [s.id for s in chain.stations if s.factor not in values and s.kind != "start"]
    told = (chain.without(*absent) if absent else chain).trace(values)
    if told["class"] != stored:
        return None
    lon, lat = classes[1].xy(*at)
    return Example(float(lon), float(lat), _place(material, float(lon), float(lat)), stored, told)


def _place(material: ReportMaterial, lon: float, lat: float) -> str | None:
    units = material.counties
    if units is None or "name" not in units.columns:
        return None
    import shapely

    inside = shapely.contains_xy(units.geometry.to_numpy(), lon, lat)
    return str(units["name"].to_numpy()[inside][0]) if inside.any() else None
