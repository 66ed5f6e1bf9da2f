"""Photos of cases and patrols (照片): checked files with what their EXIF block says of place and time.

A photo is a row in the same transaction as the history of the case; its file stands before (`spatial.store.picture_files`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.errors import NotFound
from spatial.store.picture_files import PictureFile, PictureLimits, opened_picture
from spatial.store.picture_files import read_picture as read_file

if TYPE_CHECKING:
    from PIL.Image import Exif

__all__ = ["PHOTO", "ROLES", "Picture", "missing_photo", "read_picture"]

PHOTO = Text(zh="照片", en="photo")
ROLES = ("before", "after", "field", "rectified", "patrol", "other")
"""What a photo shows: earlier and later state, the check in the field, the rectified place, a patrol."""


@dataclass(frozen=True, slots=True)
class Picture(PictureFile):
    """A checked picture, and what it says of itself."""

    lon: float | None
    lat: float | None
    taken: str | None
    """Local time without zone, as cameras write it."""


def read_picture(content: bytes, media_type: str, limits: PictureLimits) -> Picture:
    """Check a picture and read its EXIF block.

    Raises
    ------
    UnsupportedMediaType, PayloadTooLarge
    InvalidFeature
        The bytes are no whole picture of the type that they claim.
    """
    file = read_file(content, media_type, limits, PHOTO)
    with opened_picture(content, media_type, PHOTO) as picture:
        exif = picture.getexif()
    lon, lat = _position(exif)
    return Picture(content, media_type, file.sha256, file.width, file.height, lon, lat, _taken(exif))


def _position(exif: Exif) -> tuple[float | None, float | None]:
    """Longitude and latitude of the EXIF block; None without both."""
    from PIL.ExifTags import GPS, IFD

    try:
        gps = exif.get_ifd(IFD.GPSInfo)
        lat = _degrees(gps[GPS.GPSLatitude]) * (-1 if gps.get(GPS.GPSLatitudeRef) in ("S", b"S") else 1)
        lon = _degrees(gps[GPS.GPSLongitude]) * (-1 if gps.get(GPS.GPSLongitudeRef) in ("W", b"W") else 1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        return None, None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        return None, None
    return round(lon, 7), round(lat, 7)


def _degrees(parts: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return degrees + minutes / 60 + seconds / 3600


def _taken(exif: Exif) -> str | None:
    from PIL.ExifTags import IFD, Base

    try:
        text = exif.get_ifd(IFD.Exif).get(Base.DateTimeOriginal) or exif.get(Base.DateTime)
        return datetime.strptime(str(text).strip("\x00 "), "%Y:%m:%d %H:%M:%S").isoformat() if text else None
    except (ValueError, KeyError, TypeError):
        return None


def missing_photo(photo_id: int) -> NotFound:
    """No row, or no file any more."""
    return NotFound(f"没有照片 {photo_id}", f"no photo {photo_id}", photo=photo_id)
