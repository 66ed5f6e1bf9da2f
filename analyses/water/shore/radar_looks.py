"""The radar series of a run (雷达序列): each scene read and searched for bright targets, each fault listed with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.extent.reflectance import to_decibel
from analyses.water.shore.candidate_rules import DredgerRule
from analyses.water.shore.dredgers import Target, VesselPlace, bright_targets, vessel_places
from spatial.errors import QualityViolation, SpatialError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.water.extent.rules import WaterExtentRules
    from spatial.jobs.contract import SceneRecord, SceneSeries

__all__ = ["RadarSearch", "cell_sides", "search_radar"]


@dataclass(frozen=True)
class RadarSearch:
    """What the radar series showed."""

    places: tuple[VesselPlace, ...]
    times: tuple[datetime, ...]
    """Of the looks: days (UTC) with a usable scene."""
    ids: tuple[str, ...]
    scenes: tuple[dict[str, Any], ...]
    collection: str

    @property
    def looks(self) -> int:
        """Number of looks."""
        return len(self.times)


def cell_sides(grid: GeoBox) -> tuple[float, float]:
    """Height and width of the cell in the middle of a grid of degrees, m (GRS80)."""
    from pyproj import Geod

    a = grid.affine
    x, y = a.c + a.a * grid.shape.x / 2, a.f + a.e * grid.shape.y / 2
    geod = Geod(ellps="GRS80")
    height = geod.inv(x, y, x, y + abs(a.e))[2]
    width = geod.inv(x, y, x + a.a, y)[2]
    return float(height), float(width)


def _backscatter(
    series: SceneSeries, index: int, record: SceneRecord, shape: tuple[int, int], extent: WaterExtentRules
) -> dict[str, NDArray[np.float32]]:
    """VV and VH in dB.

    Raises
    ------
    QualityViolation
        Neither polarisation, or a unit that is not stated.
    """
    names = [name for name in ("vv", "vh") if name in record.bands]
    if not names:
        raise QualityViolation(
            f"雷达影像 {record.id} 没有 vv 或 vh，有：{'、'.join(sorted(record.bands))}",
            f"radar scene {record.id} has neither vv nor vh; it has {', '.join(sorted(record.bands))}",
            reason="band-missing",
        )
    found = {}
    for name in names:
        band = record.bands[name]
        if band.unit not in {"dB", "power", "amplitude"}:
            raise QualityViolation(
                f"雷达影像 {record.id} 的波段 {name} 未写明单位（dB、power 或 amplitude），得到 {band.unit!r}",
                f"radar scene {record.id}, band {name}: state its unit (dB, power or amplitude); found {band.unit!r}",
                reason="unit",
            )
        stored = series.read(index, name, 0, 0, *shape)
        values = stored.astype(np.float32) * np.float32(band.scale) + np.float32(band.offset)
        if band.nodata is not None:
            values[stored == band.nodata] = np.nan
        found[name] = to_decibel(values, band.unit, extent)
    return found


def _by_body(
    targets: list[Target],
    looks: int,
    water: NDArray[np.bool_],
    sides: tuple[float, float],
    cell_m2: NDArray[np.float64],
    rule: DredgerRule,
) -> list[VesselPlace]:
    """Places, water body by water body: a lake without ships must not thin out the ships of the river."""
    from scipy import ndimage

    labels, count = ndimage.label(water, structure=np.ones((3, 3), dtype=bool))
    owner = np.array(
        [labels[int(-target.y_m / sides[0]), int(target.x_m / sides[1])] for target in targets], dtype=np.int64
    )
    found: list[VesselPlace] = []
    for label in range(1, count + 1):
        own = [target for target, body in zip(targets, owner, strict=True) if body == label]
        if own:
            area = float(((labels == label).sum(axis=1) * cell_m2).sum())
            found += vessel_places(own, looks, area, rule)
    return found


def search_radar(
    series: SceneSeries,
    water: NDArray[np.bool_],
    grid: GeoBox,
    cell_m2: NDArray[np.float64],
    rule: DredgerRule,
    extent: WaterExtentRules,
) -> RadarSearch:
    """Targets of every scene on water, grouped by place. Scenes of one day (UTC) are one look."""
    targets: list[Target] = []
    rows: list[dict[str, Any]] = []
    days: dict[Any, int] = {}
    times, ids = [], []
    sides = cell_sides(grid)
    for index, record in enumerate(series.records):
        row: dict[str, Any] = {"scene": record.id, "time": record.time.isoformat().replace("+00:00", "Z")}
        try:
            band = _backscatter(series, index, record, water.shape, extent)
        except SpatialError as error:
            rows.append(row | {"used": False, "targets": None, "reason_zh": error.zh, "reason_en": error.en})
            continue
        day = record.time.date()
        if day not in days:
            days[day] = len(days)
            times.append(record.time)
            ids.append(record.id)
        found = bright_targets(band.get("vv"), band.get("vh"), water, sides, rule, look=days[day])
        targets += found
        rows.append(row | {"used": True, "targets": len(found), "reason_zh": "", "reason_en": ""})
    rows += [{"scene": None, "time": None, "used": False, "targets": None, "reason_zh": zh, "reason_en": en}
             for zh, en in series.refused]  # fmt: skip
    return RadarSearch(
        tuple(_by_body(targets, len(times), water, sides, cell_m2, rule)),
        tuple(times),
        tuple(ids),
        tuple(rows),
        series.layer.id,
    )
