"""Water extent of a whole scene (整景水体提取): one COG a band in; class, bits, confidence as COGs out, in its own CRS.

The scene is computed by blocks of whole tiles in threads. A block is read once (a 20 m band at its own resolution), judged in one
compiled pass with its masks, and encoded with its overviews by the thread that computed it: the block sets the memory, and the
cost is that of decoding and encoding.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.classes import FIRST_MASKED, NODATA
from analyses.water.extent.classification import OpticalMethod, Threshold, index_threshold, water_extent
from analyses.water.extent.dswx import thresholds_used, vote_tables
from analyses.water.extent.kernels import vote
from analyses.water.extent.reflectance import OPTICAL_BANDS, to_reflectance
from analyses.water.extent.scene_check import SceneCheck, check_scene
from spatial.errors import InvalidParameter
from spatial.store.cog import assemble, creation_options
from spatial.store.tile_pyramid import BlockEncoder, EncodedBlock, TilePyramid
from spatial.watch.scene_files import OpticalScene, SceneGrid, SceneReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["SceneExtent", "scene_extent"]

_BLOCK = 2048
"""Side of a block in cells of the finest grid: whole tiles of the files (256 to 1024 on a side) and of the results."""
_CACHE = 64 * 1024 * 1024
"""Bytes of GDAL's cache; every tile is decoded once."""
_SAMPLE = 700
"""Rows and columns that are looked at before the scene is computed."""
_RASTERS = {"class": True, "bits": True, "confidence": False}
"""Name of a result → whether its overviews hold the most frequent value (else one of the cells)."""


@dataclass(frozen=True)
class SceneExtent:
    """What came of a scene.

    `files` is empty where the check excluded the scene. Shares are 0–1. `counts` holds the cells of every code that occurs.
    """

    check: SceneCheck
    method: str
    thresholds: Mapping[str, Any]
    files: Mapping[str, Path]
    counts: Mapping[int, int]
    cell_area_m2: float | None
    time: datetime | None
    notes: tuple[str, ...] = ()

    @property
    def valid_share(self) -> float:
        """Cells with data of all cells."""
        total = sum(self.counts.values())
        return 1 - self.counts.get(NODATA, 0) / total if total else self.check.valid_share

    @property
    def clear_share(self) -> float:
        """Cells not masked of those with data."""
        valid = sum(count for code, count in self.counts.items() if code != NODATA)
        clear = sum(count for code, count in self.counts.items() if code < FIRST_MASKED)
        return clear / valid if valid else self.check.clear_share

    def document(self) -> dict[str, Any]:
        """Everything but the rasters, for the record of a run."""
        return {
            "usable": self.check.usable,
            "check": self.check.document(),
            "method": self.method,
            "thresholds": dict(self.thresholds),
            "time": None if self.time is None else self.time.isoformat(),
            "valid_share": round(self.valid_share, 6),
            "clear_share": round(self.clear_share, 6),
            "cells": {str(code): count for code, count in sorted(self.counts.items())},
            "cell_area_m2": self.cell_area_m2,
            "notes": list(self.notes),
        }


def scene_extent(
    scene: OpticalScene,
    out: Path,
    rules: WaterExtentRules,
    *,
    method: OpticalMethod = "dswx",
    threads: int = 2,
    accept_unmasked: bool = False,
    **thresholds: float,
) -> SceneExtent:
    """Water of a whole scene as COGs.

    Parameters
    ----------
    out : Path
        Folder to be made: ``class.tif``, ``bits.tif``, ``confidence.tif`` (uint8, 255 = nodata, on the scene's finest grid) and
        ``extent.json``. It appears when everything is written, or not at all.
    threads : int
        Never changes a bit of the result.
    accept_unmasked : bool
        Take a scene without a cloud mask.
    **thresholds
        Of the vote, in place of those of the rule file.

    Returns
    -------
    SceneExtent
        Without files where the check excludes the scene: see its findings.

    Raises
    ------
    InvalidParameter
        `out` exists; see also `SceneGrid.of`, `analyses.water.extent.classification.water_extent`.
    SourceUnreadable, CRSMismatch, GridMismatch
        Naming the band.
    """
    if out.exists():
        raise InvalidParameter(f"结果目录 {out.name} 已存在", f"the folder {out.name} exists already", parameter="out")
    grid = SceneGrid.of(scene)
    sample, hidden = _sampled(scene, grid, rules)
    check = check_scene(sample, rules, mask=hidden, accept_unmasked=accept_unmasked)
    judge = _Judge(scene, grid, rules, method, dict(thresholds), sample, hidden)
    found = SceneExtent(check, method, judge.used, {}, {}, grid.cell_area_m2, scene.time, judge.notes)
    if not check.usable:
        return found
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    aside.mkdir(parents=True)
    try:
        counts = _write(judge, aside, threads)
        files = {name: out / f"{name}.tif" for name in _RASTERS}
        counted = {code: int(count) for code, count in enumerate(counts) if count}
        found = SceneExtent(check, method, judge.used, files, counted, grid.cell_area_m2, scene.time, judge.notes)
        (aside / "extent.json").write_text(json.dumps(found.document(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        os.replace(aside, out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return found


def _sampled(
    scene: OpticalScene, grid: SceneGrid, rules: WaterExtentRules
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.uint8] | None]:
    """The whole scene at a small size: reflectance and mask."""
    import rasterio

    shape = (min(_SAMPLE, grid.shape[0]), min(_SAMPLE, grid.shape[1]))
    with rasterio.Env(GDAL_CACHEMAX=_CACHE), ExitStack() as stack:
        reader = SceneReader(scene, grid, rules, stack)
        bands = {name: to_reflectance(reader.overview(name, shape), scene.calibration) for name in OPTICAL_BANDS}
        hidden = None if scene.cloud is None else scene.mask(reader.overview("cloud", shape), rules)
    return bands, hidden


class _Judge:
    """The method with its thresholds: turns a block of the files into class, bits and confidence."""

    def __init__(
        self,
        scene: OpticalScene,
        grid: SceneGrid,
        rules: WaterExtentRules,
        method: OpticalMethod,
        thresholds: dict[str, float],
        sample: Mapping[str, NDArray[np.float32]],
        hidden: NDArray[np.uint8] | None,
    ) -> None:
        self.scene, self.grid, self.rules, self.method, self._given = scene, grid, rules, method, thresholds
        self._threshold: Threshold | None = None
        notes = [scene.calibration.source] if scene.calibration.source else []
        if scene.glint is None:
            notes.append("glint not looked for: geometry unknown")
        if scene.dem is None:
            notes.append("terrain shadow not looked for: no elevation given")
        if method == "mndwi" or method == "awei-nsh" or method == "awei-sh":
            # One threshold for the scene: blocks with one each would show their borders.
            self._threshold = index_threshold(sample, rules, method, mask=hidden)
            self.used: dict[str, Any] = self._threshold.document()
            notes.append("threshold found on the scene at reduced size")
        elif method == "dswx":
            self.used = dict(thresholds_used(rules, thresholds))
        else:
            self.used = {"rows": len(rules.wofs.rows)}
        self.notes = tuple(notes)
        self._tables = vote_tables(rules, glint=bool(scene.glint), nodata=scene.calibration.nodata, **thresholds)
        self._scale = np.full(6, scene.calibration.scale, dtype=np.float32)
        self._offset = np.full(6, scene.calibration.offset, dtype=np.float32)
        ratios = [grid.ratios[name] for name in OPTICAL_BANDS]
        # Visible bands on the grid, infrared ones on one coarser: as the compiled pass takes them.
        self._fused = method == "dswx" and ratios[:3] == [1, 1, 1] and ratios[3] == ratios[4] == ratios[5]

    def block(self, reader: SceneReader, top: int, left: int, rows: int, cols: int) -> NDArray[np.uint8]:
        """uint8 (3, rows, cols)."""
        hidden = reader.mask(top, left, rows, cols)
        if not self._fused:
            return self._plain(reader, hidden, top, left, rows, cols)
        k = self.grid.ratios["nir"]
        fine = np.empty((3, rows, cols), dtype=reader.dtype("green"))
        coarse = np.empty((3, -(-rows // k), -(-cols // k)), dtype=reader.dtype("nir"))
        for j, name in enumerate(OPTICAL_BANDS[:3]):
            reader.band(name, top, left, rows, cols, fine[j])
        for j, name in enumerate(OPTICAL_BANDS[3:]):
            reader.band(name, top, left, rows, cols, coarse[j])
        out = np.empty((3, rows, cols), dtype=np.uint8)
        vote(fine, coarse, hidden, scale=self._scale, offset=self._offset, tables=self._tables, out=out)
        return out

    def _plain(
        self, reader: SceneReader, hidden: NDArray[np.uint8], top: int, left: int, rows: int, cols: int
    ) -> NDArray[np.uint8]:
        bands = {}
        for name in OPTICAL_BANDS:
            values = to_reflectance(reader.band(name, top, left, rows, cols), self.scene.calibration)
            bands[name] = _repeated(values, self.grid.ratios[name], rows, cols)
        found = water_extent(
            bands,
            self.rules,
            method=self.method,
            mask=_repeated(hidden, self.grid.ratios.get("cloud", 1), rows, cols),
            glint=bool(self.scene.glint),
            threshold=self._threshold,
            tests=self._given,
        )
        return np.stack([found.codes, found.bits, found.confidence])


def _repeated(values: NDArray[Any], k: int, rows: int, cols: int) -> NDArray[Any]:
    return values if k == 1 else np.repeat(np.repeat(values, k, axis=0), k, axis=1)[:rows, :cols]


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, shape[0], _BLOCK):
        for left in range(0, shape[1], _BLOCK):
            yield top, left, min(_BLOCK, shape[0] - top), min(_BLOCK, shape[1] - left)


def _write(judge: _Judge, folder: Path, threads: int) -> NDArray[np.int64]:
    """Compute every block in threads, write the rasters; cells by code."""
    import rasterio

    grid = judge.grid
    encoders = {name: BlockEncoder(grid.shape, "uint8", NODATA, most) for name, most in _RASTERS.items()}
    pyramids = {name: TilePyramid(folder / f"{name}.tiles", encoders[name], 1) for name in _RASTERS}
    counts = np.zeros(256, dtype=np.int64)
    lock = threading.Lock()
    mine = threading.local()

    with ExitStack() as stack:

        def compute(block: tuple[int, int, int, int]) -> None:
            with rasterio.Env(GDAL_CACHEMAX=_CACHE):
                if not hasattr(mine, "reader"):
                    with lock:
                        mine.reader = SceneReader(judge.scene, grid, judge.rules, stack)
                found = judge.block(mine.reader, *block)
            tally = np.bincount(found[0].ravel(), minlength=256)
            encoded: list[EncodedBlock] = [
                encoder(block[0], block[1], values) for encoder, values in zip(encoders.values(), found, strict=True)
            ]
            with lock:
                counts[:] += tally
                for pyramid, tiles in zip(pyramids.values(), encoded, strict=True):
                    pyramid.put(tiles, 1)

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(compute, _blocks(grid.shape)):
                pass
    for name, pyramid in pyramids.items():
        pyramid.close()
        empty = folder / f"{name}.empty.tif"
        profile = {"count": 1, "dtype": "uint8", "nodata": NODATA, "crs": grid.crs, **creation_options()}
        height, width = grid.shape
        with rasterio.open(empty, "w", height=height, width=width, transform=grid.transform, **profile) as dataset:
            dataset.set_band_description(1, name)
            dataset.update_tags(METHOD=judge.method, THRESHOLDS=json.dumps(judge.used))
            if judge.scene.time is not None:
                dataset.update_tags(DATETIME=judge.scene.time.isoformat())
        assemble(folder / f"{name}.tif", pyramid, empty)
        empty.unlink()
        pyramid.path.unlink()
    return counts
