"""What the analysis ``water-quality`` does with one block: masks, indices, levels, bloom, and the sums of each lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from analyses.water import classes
from analyses.water.quality.bloom import bloom_cells
from analyses.water.quality.calibration import Calibration
from analyses.water.quality.masks import Reason, reasons
from analyses.water.quality.optical_quality import ALGORITHMS, Estimate, Spectrum, compute, ndci_level
from analyses.water.quality.rules import BloomRules, OpticalRules
from analyses.windows import WindowReader, read_window
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from analyses.blocks import Arrays, Window
    from analyses.water.quality.rules import ReflectanceKind, Sensor

__all__ = ["BINS", "BandReader", "Block", "Formula", "Source", "choose"]

BINS = 2000
"""Bins of NDCI over −1–1: the median of a lake is known to 0.001."""
NOT_JUDGED, NO_BLOOM, BLOOM = 0, 1, 2


class BandReader(WindowReader, Protocol):
    """What is read here: a raster (`spatial.jobs.contract.RasterInput`), or the bands of a scene that look like one."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands in their order."""
        ...


@dataclass(frozen=True)
class Source:
    """A raster with its declared reflectance."""

    role: str
    raster: BandReader
    kind: ReflectanceKind
    sensor: Sensor
    sun_zenith_deg: float | None

    def spectrum(self, window: Window, bands: tuple[str, ...], kind: ReflectanceKind) -> Spectrum:
        """Reflectance of a window, as `kind`."""
        place = {name: k for k, name in enumerate(self.raster.bands, start=1)}
        values = {name: read_window(self.raster, *window, band=place[name]) for name in bands}
        return Spectrum(self.kind, self.sensor, values, self.sun_zenith_deg).as_kind(kind)


@dataclass(frozen=True)
class Formula:
    """A formula and the source that can feed it."""

    id: str
    source: Source
    bands: tuple[str, ...]
    kind: ReflectanceKind


def choose(id: str, sources: tuple[Source, ...], rules: OpticalRules) -> Formula | Text:
    """The source that feeds a formula, or why there is none."""
    algorithm = ALGORITHMS[id]
    kind = algorithm.rule(rules).reflectance
    why: list[Text] = []
    for source in sources:
        alike = source.kind == kind or {source.kind, kind} == {"rho_w", "rrs"}
        if not alike:
            why.append(
                Text(
                    zh=f"需要 {kind} 反射率，{source.raster.layer_id} 声明为 {source.kind}",
                    en=f"needs reflectance {kind}; {source.raster.layer_id} is declared {source.kind}",
                )
            )
            continue
        needed = algorithm.bands.get(source.sensor)
        if needed is None:
            why.append(Text(zh=f"{source.sensor} 没有所需波段", en=f"{source.sensor} lacks its bands"))
            continue
        if id == "chl_moses":
            needed = ("red", "rededge1", "rededge2")
        has = source.raster.bands
        if algorithm.is_index and "nir08" in needed and "nir08" not in has and "nir" in has:
            needed = tuple("nir" if band == "nir08" else band for band in needed)
        lacking = [band for band in needed if band not in has]
        if not lacking:
            return Formula(id, source, needed, kind)
        why.append(
            Text(
                zh=f"{source.raster.layer_id} 缺少波段 {'、'.join(lacking)}",
                en=f"{source.raster.layer_id} lacks the bands {', '.join(lacking)}",
            )
        )
    return Text(zh="；".join(w.zh for w in why), en="; ".join(w.en for w in why))


@dataclass(frozen=True)
class Block:
    """Work of a block (see `analyses.blocks.run_blocks`)."""

    formulas: Mapping[str, Formula]
    estimates: tuple[str, ...]
    water: BandReader | None
    plants: BandReader | None
    rules: OpticalRules
    bloom: BloomRules
    affine: Affine
    cell_m2: NDArray[np.float64]
    """Area of a cell of each row of the run's grid."""
    lakes: tuple[bytes, ...]
    """WKB; the number of a lake is its place + 1."""
    bounds: NDArray[np.float64]
    """(lakes, 4): west, south, east, north."""
    calibration: Calibration | None

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """Arrays of the block; sums by lake are those of the block alone."""
        row, col, height, width = window
        halo = self.rules.masks.shore_pixels
        wide = (row - halo, col - halo, height + 2 * halo, width + 2 * halo)
        inner = (slice(halo, halo + height), slice(halo, halo + width))
        lakes = self._lakes(wide)
        found = {name: self.compute(name, wide) for name in self.formulas if ALGORITHMS[name].is_index}
        spectra = self._spectra(wide)
        fai = found["fai"].values if "fai" in found else None
        floating = None
        if fai is not None and "red_rc" in spectra:
            floating = bloom_cells(fai, spectra["red_rc"], self.bloom) & (lakes > 0)
        reason = reasons(
            self._codes(wide, lakes, spectra),
            self.rules,
            fai=fai,
            swir1=spectra.get("swir1"),
            red=spectra.get("red"),
            saturated_from=self.rules.masks.saturation * self.rules.nechad_turbidity.at(665).c,
            plants=self._plants(wide),
            floating=floating,
        )[inner]
        judged = reason == Reason.JUDGED
        lakes = lakes[inner]
        out: dict[str, NDArray[Any]] = {"reason": reason}
        for name, estimate in found.items():
            out[name] = np.where(judged, estimate.values[inner], np.nan).astype(np.float32)
        for name in self.estimates:
            out[name] = np.where(judged, self.compute(name, window).values, np.nan).astype(np.float32)
        level = np.zeros((height, width), dtype=np.uint8)
        if "ndci" in out:
            level = ndci_level(out["ndci"], self.rules)
        out["level"] = level
        bloom = np.full((height, width), NOT_JUDGED, dtype=np.uint8)
        if floating is not None:
            bloom[judged] = np.where(floating[inner][judged], BLOOM, NO_BLOOM)
        out["bloom"] = bloom
        if self.calibration is not None:
            out["concentration"] = self.calibration.predict(out["ndci"])
        out["lake_of"] = lakes
        return out | self._sums(window, lakes, reason, bloom, out.get("ndci"))

    def compute(self, name: str, window: Window) -> Estimate:
        """One formula in a window, masked by nothing."""
        formula = self.formulas[name]
        spectrum = formula.source.spectrum(window, formula.bands, formula.kind)
        return compute(name, spectrum, self.rules)

    def _spectra(self, window: Window) -> dict[str, NDArray[Any]]:
        """Bands that masks need: red (of the scene of NDCI), red and SWIR 1 of that of FAI."""
        bands: dict[str, NDArray[Any]] = {}
        if "ndci" in self.formulas:
            formula = self.formulas["ndci"]
            bands["red"] = formula.source.spectrum(window, ("red",), formula.kind).bands["red"]
        if "fai" in self.formulas:
            formula = self.formulas["fai"]
            found = formula.source.spectrum(window, ("red", "swir1"), formula.kind).bands
            bands["red_rc"], bands["swir1"] = found["red"], found["swir1"]
        return bands

    def _codes(
        self, window: Window, lakes: NDArray[np.int32], spectra: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.uint8]:
        """Water map of the window; without one the lakes are the water."""
        if self.water is not None:
            stored = read_window(self.water, *window)
            known = np.isfinite(stored) & (stored >= 0) & (stored <= 255)
            return np.where(known, stored, classes.NODATA).astype(np.uint8)
        codes = np.where(lakes > 0, classes.HIGH, classes.NOT_WATER).astype(np.uint8)
        for band in spectra.values():
            codes[~np.isfinite(band)] = classes.NODATA
        return codes

    def codes(self, window: Window) -> NDArray[np.uint8] | None:
        """Water map of a window; None where there is no map."""
        if self.water is None:
            return None
        return self._codes(window, np.zeros(window[2:], dtype=np.int32), {})

    def _plants(self, window: Window) -> NDArray[np.bool_] | None:
        if self.plants is None:
            return None
        found: NDArray[np.bool_] = read_window(self.plants, *window) == 1
        return found

    def _lakes(self, window: Window) -> NDArray[np.int32]:
        import shapely
        from affine import Affine
        from rasterio.features import rasterize

        row, col, height, width = window
        affine = self.affine @ Affine.translation(col, row)
        west, north = affine.c, affine.f
        east, south = west + width * affine.a, north + height * affine.e
        b = self.bounds
        near = np.flatnonzero((b[:, 0] < east) & (b[:, 2] > west) & (b[:, 1] < north) & (b[:, 3] > south))
        if near.size == 0:
            return np.zeros((height, width), dtype=np.int32)
        shapes = [(shapely.from_wkb(self.lakes[k]), int(k) + 1) for k in near]
        return np.asarray(rasterize(shapes, out_shape=(height, width), transform=affine, fill=0, dtype="int32"))

    def _sums(
        self,
        window: Window,
        lakes: NDArray[np.int32],
        reason: NDArray[np.uint8],
        bloom: NDArray[np.uint8],
        index: NDArray[Any] | None,
    ) -> dict[str, NDArray[Any]]:
        """Of each lake that the block touches: water, seen and bloom (m²), judged cells, histogram of NDCI."""
        row, _, height, width = window
        area = np.broadcast_to(self.cell_m2[row : row + height, np.newaxis], (height, width))
        numbers = np.unique(lakes[lakes > 0])
        place = np.searchsorted(numbers, lakes)
        n = numbers.size
        wet = (lakes > 0) & (reason != Reason.NOT_WATER)
        judged = (lakes > 0) & (reason == Reason.JUDGED)
        hit = judged & (bloom == BLOOM)
        sums = (
            np.stack([np.bincount(place[w], weights=area[w], minlength=n)[:n] for w in (wet, judged, hit)])
            if n
            else np.zeros((3, 0))
        )
        cells = np.bincount(place[judged], minlength=n)[:n]
        histogram = np.zeros((n, BINS), dtype=np.int64)
        if index is not None and n:
            known = judged & np.isfinite(index)
            slot = np.clip(((index[known].astype(np.float64) + 1) * BINS / 2).astype(np.int64), 0, BINS - 1)
            histogram = np.bincount(place[known] * BINS + slot, minlength=n * BINS).reshape(n, BINS)
        counts = np.bincount(reason.ravel(), minlength=len(Reason) + 1).astype(np.int64)
        return {"lakes": numbers, "sums": sums, "cells": cells, "histogram": histogram, "reasons": counts}


def require_sources(scene: str, second: str | None, kind_2: str | None) -> None:
    """A second scene must have its kind declared, and another kind alone is meant for none."""
    if (second is None) != (kind_2 is None):
        raise InvalidParameter(
            f"scene_2 与 reflectance_2 须同时给出（scene={scene}）",
            f"scene_2 and reflectance_2 belong together (scene={scene})",
            parameter="reflectance_2",
        )
