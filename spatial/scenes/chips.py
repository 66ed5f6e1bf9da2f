"""A chip (影像切片): the picture of one scene around one place, for an alert card, a case, a report.

Only what who draws chips and who keeps them have to agree on; the drawing is in `tiles.scene_chips`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

__all__ = ["Box", "Chip", "ChipRenderer", "chip_box"]

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees, x = longitude."""

_CHINA = ZoneInfo("Asia/Shanghai")
_LEAST_DEGREES = 0.0027
"""Smallest side of a place for its box, degrees of latitude: about 300 m, which gives a box of about 450 m."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One drawn chip.

    Attributes
    ----------
    content : bytes
    media_type : str
    width, height : int
        Pixels, with the caption below the picture.
    collection, scene : str
        Ids of the STAC collection and item.
    picture : str
        Index or composite that is shown.
    time : datetime
        Of the scene, UTC.
    bbox : tuple
        What the picture (without caption) shows.
    seen_share : float
        Share of its pixels that have data, 0–1.
    synthetic : bool
    """

    content: bytes
    media_type: str
    width: int
    height: int
    collection: str
    scene: str
    picture: str
    time: datetime
    bbox: Box
    seen_share: float
    synthetic: bool

    @property
    def day(self) -> date:
        """Calendar day of the scene in China."""
        return self.time.astimezone(_CHINA).date()


class ChipRenderer(Protocol):
    """Draws the chip of a scene around a shape (EPSG:4490, x = longitude)."""

    def __call__(self, collection: str, scene: str, shape: Any, *, picture: str, size: int) -> Chip:
        """Draw; raises a `spatial.errors.SpatialError` that says why it cannot be drawn."""
        ...


def chip_box(bounds: Box) -> Box:
    """Box to show a place of these bounds in: a square on the ground, half as wide again, at least about 450 m.

    Examples
    --------
    >>> chip_box((114.0, 30.0, 114.02, 30.01))
    (113.995, 29.99201, 114.025, 30.01799)
    """
    west, south, east, north = bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    scale = math.cos(math.radians(lat))
    half = max((east - west) * scale, north - south, _LEAST_DEGREES) * 0.75
    return (
        round(lon - half / scale, 6),
        round(lat - half, 6),
        round(lon + half / scale, 6),
        round(lat + half, 6),
    )
