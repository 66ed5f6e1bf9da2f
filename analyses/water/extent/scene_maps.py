"""From the scenes of a collection to dated water maps (影像 → 水体分类): what each scene is, whether it can be used, its map.

A scene that the metadata do not explain, or that fails a check, is left out with its reason; nothing is repaired or guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.blocks import Arrays, Window
from analyses.water.classes import NODATA
from analyses.water.extent.dswx import vote_tables
from analyses.water.extent.kernels import vote
from analyses.water.extent.masks import mask_from_classes, mask_from_quality
from analyses.water.extent.reflectance import (
    OPTICAL_BANDS,
    Calibration,
    band_mapping,
    calibration,
    sensor,
    to_reflectance,
)
from analyses.water.extent.scene_check import Finding, SceneCheck, check_scene
from spatial.catalog import Text
from spatial.errors import SpatialError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules
    from spatial.jobs.contract import SceneRecord, SceneSeries

__all__ = [
    "InspectedScene",
    "MapScenes",
    "SceneSource",
    "ScratchMaps",
    "inspect_scenes",
    "scene_reflectance",
    "scene_source",
]

MaskKind = Literal["scl", "qa_pixel", "fmask"]
_LATTICE = 6
_SIDE = 96
"""A scene is checked on `_LATTICE`² windows of this side, evenly spread."""


@dataclass(frozen=True)
class SceneSource:
    """How the numbers of a scene become reflectance and mask."""

    sensor: str
    bands: tuple[str, ...]
    """Key of each band of `OPTICAL_BANDS`."""
    calibrations: tuple[Calibration, ...]
    mask_band: str | None
    mask_kind: MaskKind | None
    told: str
    """Why this calibration, for the record."""


def _sensor_of(record: SceneRecord) -> str:
    """Id of the sensor in the rule file, by what the item says of itself.

    Raises
    ------
    QualityViolation
        The item does not say what its numbers are.
    """
    from spatial.errors import QualityViolation

    properties, platform = record.properties, record.platform.lower()
    if platform.startswith("sentinel-2"):
        level = str(properties.get("processing:level") or properties.get("s2:product_type") or "").upper()
        for ending, name in (("L2A", "sentinel-2-l2a"), ("MSI2A", "sentinel-2-l2a"), ("L1C", "sentinel-2-l1c")):
            if level.endswith(ending):
                return name
        raise QualityViolation(
            f"影像 {record.id} 未写明产品级别（processing:level）",
            f"scene {record.id} does not state its product level (processing:level)",
            reason="level-unknown",
        )
    if platform.startswith("landsat-"):
        return f"landsat-{platform.removeprefix('landsat-')[:1]}-c2-l2"
    if properties.get("onemap:reflectance") in {"surface", "toa"}:
        return "generic"
    raise QualityViolation(
        f"影像 {record.id} 的平台 {record.platform} 未知，且未写明像元值为反射率（onemap:reflectance）",
        f"scene {record.id}: platform {record.platform} is unknown, and the item does not state that its values are reflectance "
        "(onemap:reflectance)",
        reason="sensor-unknown",
    )


def scene_source(record: SceneRecord, rules: WaterExtentRules) -> SceneSource:
    """What a scene is, decided by its metadata alone.

    Raises
    ------
    QualityViolation, InvalidParameter
        Sensor, level or offset unknown; a band missing.
    """
    name = _sensor_of(record)
    keys = band_mapping(sensor(rules, name), dict(record.bands))
    found = tuple(keys[band] for band in OPTICAL_BANDS)
    if name == "generic":
        how = tuple(
            Calibration(record.bands[k].scale, record.bands[k].offset, record.bands[k].nodata, "raster:bands")
            for k in found
        )
        told = f"generic: scale and offset of the item, {record.properties['onemap:reflectance']} reflectance"
    else:
        flag = record.properties.get(rules.sensors.flag)
        one = calibration(
            rules,
            name,
            baseline=record.properties.get("s2:processing_baseline") or record.properties.get("processing:version"),
            provider=record.properties.get("onemap:provider"),
            offset_applied=flag if isinstance(flag, bool) else None,
        )
        how, told = (one,) * len(found), one.source
    kinds: tuple[MaskKind, ...] = ("scl", "qa_pixel", "fmask")
    mask = next((kind for kind in kinds if kind in record.bands), None)
    return SceneSource(name, found, how, mask, mask, told)


@dataclass(frozen=True)
class InspectedScene:
    """A scene of the collection and what was found."""

    index: int
    id: str
    time: datetime
    source: SceneSource | None
    check: SceneCheck | None
    refused: Text | None = None
    """Why its metadata or its file exclude it."""

    @property
    def usable(self) -> bool:
        """Whether it takes part."""
        return self.source is not None and self.check is not None and self.check.usable

    def document(self) -> dict[str, Any]:
        """Row of the list of scenes in a result."""
        findings: Sequence[Finding] = () if self.check is None else self.check.findings
        zh = "；".join(f.text.zh for f in findings) if self.refused is None else self.refused.zh
        en = "; ".join(f.text.en for f in findings) if self.refused is None else self.refused.en
        return {
            "scene": self.id,
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "used": self.usable,
            "codes": [f.code for f in findings] if self.refused is None else ["refused"],
            "reason_zh": zh,
            "reason_en": en,
            "valid_share": None if self.check is None else round(self.check.valid_share, 4),
            "clear_share": None if self.check is None else round(self.check.clear_share, 4),
            "calibration": None if self.source is None else self.source.told,
        }


def _read(
    series: SceneSeries, index: int, source: SceneSource, window: Window
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    bands = np.stack([series.read(index, band, *window) for band in source.bands])
    return bands, None if source.mask_band is None else series.read(index, source.mask_band, *window)


def _mask(stored: NDArray[Any], source: SceneSource, rules: WaterExtentRules) -> NDArray[np.uint8]:
    if source.mask_kind == "scl":
        return mask_from_classes(stored, rules)
    assert source.mask_kind is not None
    return mask_from_quality(stored, rules, "qa_pixel" if source.mask_kind == "qa_pixel" else "fmask")


def scene_reflectance(
    series: SceneSeries, scene: InspectedScene, window: Window, rules: WaterExtentRules
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.uint8] | None]:
    """Reflectance by band of `OPTICAL_BANDS`, NaN where there is none, and the mask (None: the scene has none)."""
    source = scene.source
    assert source is not None
    found = {
        name: to_reflectance(series.read(scene.index, key, *window), how)
        for name, key, how in zip(OPTICAL_BANDS, source.bands, source.calibrations, strict=True)
    }
    if source.mask_band is None:
        return found, None
    return found, _mask(series.read(scene.index, source.mask_band, *window), source, rules)


def _sample(shape: tuple[int, int]) -> list[Window]:
    """Windows evenly spread over a grid, which together are all of it where it is small."""
    places = []
    for size in shape:
        side = min(_SIDE, -(-size // _LATTICE))
        places.append([(round(k * (size - side) / max(_LATTICE - 1, 1)), side) for k in range(_LATTICE)])
    return [(row, col, height, width) for row, height in places[0] for col, width in places[1]]


def inspect_scenes(
    series: SceneSeries,
    shape: tuple[int, int],
    rules: WaterExtentRules,
    wanted: Callable[[datetime], bool] = lambda time: True,
) -> list[InspectedScene]:
    """Check each scene of a `wanted` time on an evenly spread sample; in the order of time."""
    found = []
    for index, record in enumerate(series.records):
        if not wanted(record.time):
            continue
        try:
            source = scene_source(record, rules)
            bands, masks = [], []
            for window in _sample(shape):
                numbers, stored = _read(series, index, source, window)
                bands.append(numbers.reshape(len(source.bands), -1))
                if stored is not None:
                    masks.append(_mask(stored, source, rules).ravel())
            values = np.concatenate(bands, axis=1)
            reflectance = {
                name: to_reflectance(values[k], source.calibrations[k]) for k, name in enumerate(OPTICAL_BANDS)
            }
            check = check_scene(reflectance, rules, mask=np.concatenate(masks) if masks else None)
            found.append(InspectedScene(index, record.id, record.time, source, check))
        except SpatialError as error:
            found.append(InspectedScene(index, record.id, record.time, None, None, Text(zh=error.zh, en=error.en)))
    return found


@dataclass(frozen=True)
class MapScenes:
    """Work of a block: the water maps of all usable scenes by the vote of five tests, uint8 (scenes, rows, cols)."""

    series: SceneSeries
    scenes: tuple[InspectedScene, ...]
    rules: WaterExtentRules
    thresholds: Mapping[str, float]

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """Codes of `analyses.water.classes`, scenes in their order."""
        height, width = window[2:]
        codes = np.empty((len(self.scenes), height, width), dtype=np.uint8)
        out = np.empty((3, height, width), dtype=np.uint8)
        for place, scene in enumerate(self.scenes):
            source = scene.source
            assert source is not None
            numbers, stored = _read(self.series, scene.index, source, window)
            mask = np.zeros((height, width), np.uint8) if stored is None else _mask(stored, source, self.rules)
            how = source.calibrations
            hollow = np.zeros((height, width), dtype=bool)
            for k, one in enumerate(how):
                if one.nodata is not None and one.nodata == one.nodata:
                    hollow |= numbers[k] == one.nodata
            mask = np.where(hollow, np.uint8(NODATA), mask)
            vote(
                np.ascontiguousarray(numbers[:3]),
                np.ascontiguousarray(numbers[3:]),
                mask,
                scale=np.array([c.scale for c in how], dtype=np.float32),
                offset=np.array([c.offset for c in how], dtype=np.float32),
                tables=vote_tables(self.rules, glint=False, nodata=None, **self.thresholds),
                out=out,
            )
            codes[place] = out[0]
        return {"codes": codes}


@dataclass(frozen=True)
class ScratchMaps:
    """Water maps of several dates in one file of the scratch folder (see `analyses.water.occurrence.stack.ClassStack`)."""

    path: str
    shape: tuple[int, int]
    dates: tuple[datetime, ...]

    def opened(self, mode: Literal["r", "r+", "w+"] = "r") -> np.memmap[Any, np.dtype[np.uint8]]:
        """uint8 (scenes, rows, cols), mapped from the file."""
        return np.memmap(self.path, dtype=np.uint8, mode=mode, shape=(len(self.dates), *self.shape))

    def read(self, index: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Codes of scene `index` in a window."""
        return np.asarray(self.opened()[index, row : row + height, col : col + width])
