"""The shoreline on transects (岸线断面): where the water edge crosses each of them, below the cell, on each date.

A transect crosses the baseline (bank or lake shore) at a right angle; distance along it is geodesic, positive towards the land.
The edge is where the water index falls through its threshold, between two samples by linear interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import geopandas
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["ShorelineRules", "Transects", "edge_positions", "index_contours", "make_transects", "shoreline_rules"]


class TransectRule(Sourced):
    """Where transects stand and how they are sampled."""

    spacing_m: float = Field(gt=0)
    half_length_m: float = Field(gt=0)
    step_cells: float = Field(gt=0, le=1)
    index_threshold: float
    smooth_m: float = Field(gt=0)


class RetreatRule(Sourced):
    """When a bank that retreats is an alert."""

    alert_m_per_year: float = Field(gt=0)
    least_observations: int = Field(ge=4)
    alpha: float = Field(gt=0, lt=1)


class NaturalRule(Sourced):
    """What makes a stretch of shore artificial."""

    width_m: float = Field(gt=0)
    artificial_share: float = Field(gt=0, le=1)


class Zone(BaseModel):
    """One of the four zones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    verdict: str
    rule: Text


class ZonesRule(Sourced):
    """The four zones and what they allow."""

    list: tuple[Zone, ...] = Field(min_length=1)
    touch_m2: float = Field(ge=0)

    @model_validator(mode="after")
    def _once(self) -> ZonesRule:
        if len({zone.id for zone in self.list}) != len(self.list):
            raise ValueError("a zone is listed twice")
        return self


class ShorelineRules(BaseModel):
    """All rules of the shoreline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    transects: TransectRule
    retreat: RetreatRule
    natural: NaturalRule
    zones: ZonesRule


def shoreline_rules(rules: Mapping[str, Any]) -> ShorelineRules:
    """Rules of the shoreline out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, "shoreline", ShorelineRules)


@dataclass(frozen=True)
class Transects:
    """Transects of a baseline, and the points at which they are sampled."""

    origin: NDArray[np.float64]
    """Crossings with the baseline, (n, 2) degrees, x first."""
    azimuth: NDArray[np.float64]
    """Direction towards the land, degrees clockwise from north, (n,)."""
    chainage_m: NDArray[np.float64]
    """Distance along the baseline, geodesic, (n,)."""
    distance_m: NDArray[np.float64]
    """Distances of the samples from the baseline, negative towards the water, (k,)."""
    lon: NDArray[np.float64]
    """(n, k)"""
    lat: NDArray[np.float64]

    def frame(self) -> geopandas.GeoDataFrame:
        """Transects as lines, EPSG:4490, with ``transect`` (number) and ``chainage_m``."""
        import geopandas
        import shapely

        ends = np.stack([self.lon[:, [0, -1]], self.lat[:, [0, -1]]], axis=-1)
        return geopandas.GeoDataFrame(
            {"transect": np.arange(1, len(self.origin) + 1), "chainage_m": self.chainage_m.round(1)},
            geometry=[shapely.LineString(line) for line in ends],
            crs=4490,
        )


def make_transects(baseline: Any, rule: TransectRule, *, cell_m: float, land_on: str = "left") -> Transects:
    """Transects of a baseline.

    Parameters
    ----------
    baseline : shapely LineString or LinearRing, EPSG:4490
    cell_m : float
        Side of a cell of the scenes, m.
    land_on : {"left", "right"}
        Where the land lies when one goes along the baseline. The outer ring of a lake polygon that runs clockwise has land
        on its left.

    Raises
    ------
    InvalidParameter
        A baseline shorter than the spacing, or `land_on` unknown.

    Examples
    --------
    >>> import shapely
    >>> from datetime import date
    >>> rule = TransectRule(title=Text(zh="断", en="t"), source="s", tag="own", valid_from=date(2026, 1, 1), spacing_m=1000,
    ...                     half_length_m=100, step_cells=1, index_threshold=0.124, smooth_m=500)
    >>> found = make_transects(shapely.LineString([(114, 30), (114.05, 30)]), rule, cell_m=50)
    >>> len(found.origin), found.azimuth.round().tolist()[0] % 360, found.distance_m.tolist()
    (5, 0.0, [-100.0, -50.0, 0.0, 50.0, 100.0])
    """
    from pyproj import Geod

    if land_on not in {"left", "right"}:
        raise InvalidParameter(
            f"land_on 应为 left 或 right，得到 {land_on!r}",
            f"land_on must be left or right, found {land_on!r}",
            parameter="land_on",
        )
    geod = Geod(ellps="GRS80")
    xy = np.asarray(baseline.coords, dtype=np.float64)[:, :2]
    lengths = geod.line_lengths(xy[:, 0], xy[:, 1])
    along = np.concatenate([[0.0], np.cumsum(np.atleast_1d(np.asarray(lengths, dtype=np.float64)))])
    if along[-1] < rule.spacing_m:
        raise InvalidParameter(
            f"基线长 {along[-1]:.0f} m，短于断面间距 {rule.spacing_m:g} m",
            f"the baseline is {along[-1]:.0f} m long, shorter than the spacing of {rule.spacing_m:g} m",
            parameter="baseline",
        )
    chainage = np.arange(rule.spacing_m / 2, along[-1], rule.spacing_m)
    lon, lat = np.interp(chainage, along, xy[:, 0]), np.interp(chainage, along, xy[:, 1])
    half = rule.smooth_m / 2
    before, after = np.clip(chainage - half, 0, None), np.clip(chainage + half, None, along[-1])
    forward, _, _ = geod.inv(
        np.interp(before, along, xy[:, 0]), np.interp(before, along, xy[:, 1]),
        np.interp(after, along, xy[:, 0]), np.interp(after, along, xy[:, 1]),
    )  # fmt: skip
    azimuth = np.asarray(forward) + (-90.0 if land_on == "left" else 90.0)
    count = int(np.ceil(rule.half_length_m / (rule.step_cells * cell_m)))
    distance = np.arange(-count, count + 1) * (rule.step_cells * cell_m)
    shape = (chainage.size, distance.size)
    x, y, _ = geod.fwd(
        np.repeat(lon, distance.size),
        np.repeat(lat, distance.size),
        np.repeat(azimuth, distance.size),
        np.tile(distance, chainage.size),
    )
    return Transects(
        np.column_stack([lon, lat]),
        azimuth,
        chainage,
        np.asarray(distance, dtype=np.float64),
        np.asarray(x).reshape(shape),
        np.asarray(y).reshape(shape),
    )


def _sampled(
    values: NDArray[Any], affine: Affine, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear samples of a grid; NaN where one of the four cells has no data or the point lies outside."""
    col = (lon - affine.c) / affine.a - 0.5
    row = (lat - affine.f) / affine.e - 0.5
    j, i = np.floor(col).astype(np.int64), np.floor(row).astype(np.int64)
    inside = (i >= 0) & (j >= 0) & (i + 1 < values.shape[0]) & (j + 1 < values.shape[1])
    i, j = np.where(inside, i, 0), np.where(inside, j, 0)
    u, v = col - j, row - i
    top = values[i, j] * (1 - u) + values[i, j + 1] * u
    low = values[i + 1, j] * (1 - u) + values[i + 1, j + 1] * u
    return np.where(inside, top * (1 - v) + low * v, np.nan)


def edge_positions(
    transects: Transects, index: NDArray[np.float32], affine: Affine, *, threshold: float
) -> NDArray[np.float64]:
    """Position of the water edge on each transect (水边线位置), m from the baseline, positive towards the land; NaN = unknown.

    The edge is the fall of the index through the threshold that lies nearest the baseline, going from the water to the land.
    It is unknown where a sample beside it is masked, or where the transect has no such fall.

    Parameters
    ----------
    index : float32 (rows, cols)
        Water index on a longitude–latitude grid, NaN = masked.

    Examples
    --------
    >>> # a bank that lies 12 m landwards of the baseline is found at 12.0, whatever the cell
    """
    samples = _sampled(index, affine, transects.lon, transects.lat)
    wet = samples[:, :-1] - threshold
    dry = samples[:, 1:] - threshold
    falls = (wet > 0) & (dry <= 0)  # False beside NaN
    with np.errstate(invalid="ignore", divide="ignore"):
        share = wet / (wet - dry)
    at = transects.distance_m[:-1] + share * np.diff(transects.distance_m)
    far = np.where(falls, np.abs(at), np.inf)
    nearest = far.argmin(axis=1)
    rows = np.arange(len(samples))
    found: NDArray[np.float64] = np.where(np.isfinite(far[rows, nearest]), at[rows, nearest], np.nan)
    # A masked sample between the baseline and the edge could hide a nearer one.
    hidden = np.isnan(samples)
    for k in np.flatnonzero(np.isfinite(found)):
        low, high = sorted((0.0, float(found[k])))
        between = (transects.distance_m >= low) & (transects.distance_m <= high)
        if hidden[k, between].any():
            found[k] = np.nan
    return found


def index_contours(index: NDArray[np.float32], affine: Affine, *, threshold: float) -> list[Any]:
    """Lines along which a water index takes its threshold (亚像元等值线), EPSG:4490, by contourpy; none through masked cells."""
    import shapely
    from contourpy import contour_generator

    rows, cols = index.shape
    x = affine.c + (np.arange(cols) + 0.5) * affine.a
    y = affine.f + (np.arange(rows) + 0.5) * affine.e
    lines: list[Any] = list(contour_generator(x, y, np.ma.masked_invalid(index)).lines(threshold))
    return [shapely.LineString(line) for line in lines if len(line) > 1]
