"""What an EDR query finds, before it is written in a format (检索结果)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spatial.catalog import Attribute, Band, Text
from spatial.crs import ServedCRS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spatial.store.coverage_grid import CoverageGrid

__all__ = ["Cells", "Points", "Series", "StationSeries", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the answer is about.

    Attributes
    ----------
    fields : tuple of Band or Attribute
        Parameters of the answer, in order.
    label : str
        Title in the language of the request.
    identify : str
        Address to which ``#name`` is added to name an observed property.
    endpoint : str
        Address of this query.
    collection : str
        Address of the collection or instance.
    alternates : tuple of (str, str)
        Media type and address of this query in its other formats.
    """

    layer: str
    title: Text
    label: str
    fields: tuple[Band | Attribute, ...]
    crs: ServedCRS
    identify: str
    endpoint: str
    collection: str
    alternates: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Points:
    """Values at places, in their order.

    Attributes
    ----------
    xy : float64, shape (n, 2)
        x first, in the CRS of the answer.
    values : mapping of name to masked array, shape (n,)
    along : float64, shape (n,), or None
        Geodesic distance along a path, m.
    """

    xy: NDArray[np.float64]
    values: Mapping[str, np.ma.MaskedArray[Any, Any]]
    along: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of a raster that a shape covers.

    Attributes
    ----------
    fraction : float64, shape (rows, columns)
        Part of each cell that the shape covers, 0 … 1.
    area : float64, shape (rows,)
        Ellipsoidal area of one cell of each row, m².
    values : mapping of name to masked array, shape (rows, columns)
    shape : shapely geometry
        The shape, x first, in the CRS of the answer.
    """

    grid: CoverageGrid
    fraction: NDArray[np.float64]
    area: NDArray[np.float64]
    values: Mapping[str, np.ma.MaskedArray[Any, Any]]
    shape: Any


@dataclass(frozen=True, slots=True)
class StationSeries:
    """Observations of one station, oldest first.

    Attributes
    ----------
    times : tuple of str
        RFC 3339, UTC; empty where the layer has no time.
    values : mapping of name to list
        Numbers or None; as long as `times`, or one where there is no time.
    distance_m : float or None
        Geodesic distance from the place asked for.
    """

    station: str
    x: float
    y: float
    times: tuple[str, ...]
    values: Mapping[str, Sequence[float | int | None]]
    distance_m: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Observations of several stations."""

    stations: list[StationSeries] = field(default_factory=list)
