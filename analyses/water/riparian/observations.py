"""Observations of species (物种观测): places of protected ones generalised, counts by season and species."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.riparian.rules import ObservationRule

__all__ = ["Generalised", "Season", "generalise", "generalised_frame", "season_of", "species_counts"]

Season = Literal["spring", "summer", "autumn", "winter"]
_NAMES: tuple[Season, ...] = ("winter", "spring", "summer", "autumn")


@dataclass(frozen=True)
class Generalised:
    """Places after generalisation (位置概化)."""

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    uncertainty_m: NDArray[np.float64]
    """Half the diagonal of the cell, geodesic: dwc:coordinateUncertaintyInMeters."""


def generalise(lon: ArrayLike, lat: ArrayLike, degrees: float) -> Generalised:
    """Put points at the centre of the cell of a grid of `degrees` that holds them; the grid begins at 0° E 0° N.

    The result of a result is the same: nothing more is lost, and nothing can be won back by doing it again.

    Raises
    ------
    InvalidParameter
        Cell not positive, a coordinate that is no longitude or latitude.

    Examples
    --------
    >>> found = generalise([113.3172], [29.8331], 0.05)
    >>> found.lon.tolist(), found.lat.tolist(), round(float(found.uncertainty_m[0]))
    ([113.325], [29.825], 3677)
    """
    from pyproj import Geod

    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    if not degrees > 0:
        raise InvalidParameter(
            f"网格大小应为正数，得到 {degrees:g}",
            f"the size of a cell must be positive, got {degrees:g}",
            parameter="degrees",
        )
    if not ((np.abs(x) <= 180) & (np.abs(y) <= 90)).all():
        raise InvalidParameter(
            "坐标超出经纬度范围；请检查经纬度次序",
            "a coordinate is no longitude and latitude; check the axis order",
            parameter="lon",
        )

    def centre(values: NDArray[np.float64]) -> NDArray[np.float64]:
        # A point on the edge of two cells belongs to the eastern or northern one, whatever rounding did to it.
        return np.round((np.floor(values / degrees + 1e-9) + 0.5) * degrees, 9)

    cx, cy = centre(x), centre(y)
    half = degrees / 2
    reach = Geod(ellps="GRS80").inv(cx, cy, cx + half, np.clip(cy + half, -90, 90))[2]
    return Generalised(cx, cy, np.asarray(reach))


def generalised_frame(
    frame: geopandas.GeoDataFrame, rule: ObservationRule, *, grade_field: str = "protection_grade"
) -> geopandas.GeoDataFrame:
    """The public copy of observations: points of protected species on the coarse grid, of others on the fine one.

    Parameters
    ----------
    frame : GeoDataFrame of points, EPSG:4490, with a field of the grade: "1", "2", or None

    Returns
    -------
    GeoDataFrame
        With ``coordinate_uncertainty_m`` and ``data_generalizations``; nothing of the precise place is left.
    """
    import geopandas

    found = frame.copy()
    guarded = frame[grade_field].isin(rule.grades).to_numpy()
    coarse = generalise(frame.geometry.x, frame.geometry.y, rule.grid_degrees)
    fine = generalise(frame.geometry.x, frame.geometry.y, rule.other_degrees)
    found["coordinate_uncertainty_m"] = np.where(guarded, coarse.uncertainty_m, fine.uncertainty_m).round(0)
    found["data_generalizations"] = [
        f"centre of a cell of {rule.grid_degrees if is_guarded else rule.other_degrees:g} degrees"
        for is_guarded in guarded
    ]
    lon, lat = np.where(guarded, coarse.lon, fine.lon), np.where(guarded, coarse.lat, fine.lat)
    return found.set_geometry(geopandas.points_from_xy(lon, lat, crs=frame.crs))


def season_of(day: date) -> tuple[Season, int]:
    """Season of a day (物候季节) and the year that it is counted to: December belongs to the next year's winter.

    >>> season_of(date(2023, 12, 20)), season_of(date(2024, 7, 1))
    (('winter', 2024), ('summer', 2024))
    """
    return _NAMES[day.month % 12 // 3], day.year + (day.month == 12)


def species_counts(rows: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Counts by species (物种统计): greatest single count, mean of the surveys that met it, surveys, by season.

    Counts of several days are never added up: the same birds are met again.

    Parameters
    ----------
    rows : collection of mappings
        ``scientific_name``, ``vernacular_name_zh``, ``vernacular_name_en``, ``protection_grade``, ``individual_count``,
        ``event_date`` (date), ``survey`` (id of the place and day).

    Examples
    --------
    >>> bird = {"scientific_name": "Grus grus", "vernacular_name_zh": "灰鹤", "vernacular_name_en": "common crane"}
    >>> bird |= {"protection_grade": "2"}
    >>> rows = [bird | {"individual_count": n, "event_date": date(2024, 1, n), "survey": str(n)} for n in (4, 6)]
    >>> found = species_counts(rows)[0]
    >>> found["most"], found["mean"], found["surveys"], found["winter_most"], found["summer_most"]
    (6, 5.0, 2, 6, None)
    """
    by_species: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_species.setdefault(row["scientific_name"], []).append(row)
    found = []
    for name, several in by_species.items():
        # One survey may hold several flocks of a species: those were there at the same time.
        per_survey: dict[str, int] = {}
        for row in several:
            per_survey[row["survey"]] = per_survey.get(row["survey"], 0) + int(row["individual_count"])
        seasons: dict[Season, list[int]] = {season: [] for season in _NAMES}
        for survey, count in per_survey.items():
            day = next(row["event_date"] for row in several if row["survey"] == survey)
            seasons[season_of(day)[0]].append(count)
        first = several[0]
        found.append(
            {
                "scientific_name": name,
                "vernacular_name_zh": first["vernacular_name_zh"],
                "vernacular_name_en": first["vernacular_name_en"],
                "protection_grade": first["protection_grade"],
                "most": max(per_survey.values()),
                "mean": round(float(np.mean(list(per_survey.values()))), 1),
                "surveys": len(per_survey),
                "last_seen": max(row["event_date"] for row in several).isoformat(),
                **{f"{season}_most": max(counts, default=None) for season, counts in seasons.items()},
            }
        )
    return sorted(found, key=lambda row: (row["protection_grade"] or "9", -row["most"], row["scientific_name"]))
