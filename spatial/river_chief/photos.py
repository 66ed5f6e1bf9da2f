"""Photos of cases and patrols (照片): checked, stored under the SHA-256 of their bytes, then named by one row.

The file is written aside, flushed to the disk and renamed before the row is inserted, and the row stands in the same
transaction as the history of the case. Whatever dies in between leaves no row, so nothing shows; the file without a row
is removed by `sweep` once it is old enough that nobody can be about to name it.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidFeature, NotFound, PayloadTooLarge, UnsupportedMediaType

if TYPE_CHECKING:
    from PIL.Image import Exif

    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import CaseStore

__all__ = ["ROLES", "Picture", "photo_path", "read_picture", "store_picture", "sweep"]

ROLES = ("before", "after", "field", "rectified", "patrol", "other")
"""What a photo shows: earlier and later state, the check in the field, the rectified place, a patrol."""
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_ORPHAN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A checked picture, and what it says of itself."""

    content: bytes
    media_type: str
    sha256: str
    width: int
    height: int
    lon: float | None
    lat: float | None
    taken: str | None
    """Local time without zone, as cameras write it."""


def read_picture(content: bytes, media_type: str, rules: DeskRules) -> Picture:
    """Check a picture by opening it; a name or a header alone proves nothing.

    Raises
    ------
    UnsupportedMediaType, PayloadTooLarge
    InvalidFeature
        The bytes are no whole picture of the type that they claim.
    """
    limits = rules.attachments
    if media_type not in limits.types:
        raise UnsupportedMediaType(
            f"照片类型 {media_type[:60]!r} 不受支持，请用 Content-Type: {'、'.join(limits.types)}",
            f"photos of type {media_type[:60]!r} are not taken; send Content-Type: {', '.join(limits.types)}",
            allowed=list(limits.types),
        )
    if len(content) > limits.max_bytes:
        raise PayloadTooLarge(
            f"照片为 {len(content)} 字节，上限 {limits.max_bytes} 字节；请缩小后上传",
            f"the photo has {len(content)} bytes, the limit is {limits.max_bytes}; make it smaller",
            limit=limits.max_bytes,
        )
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=[_FORMATS[media_type]]) as picture:
            width, height = picture.size
            if width * height > limits.max_pixels:
                raise PayloadTooLarge(
                    f"照片为 {width}×{height} 像素，上限 {limits.max_pixels} 像素",
                    f"the photo has {width} × {height} pixels, the limit is {limits.max_pixels}",
                    limit=limits.max_pixels,
                )
            exif = picture.getexif()
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidFeature(
            f"不是完整的 {media_type} 照片，请重新上传",
            f"this is no whole picture of type {media_type}; upload it again",
            parameter="body",
        ) from error
    lon, lat = _position(exif)
    return Picture(content, media_type, hashlib.sha256(content).hexdigest(), width, height, lon, lat, _taken(exif))


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


def photo_path(folder: Path, sha256: str, media_type: str) -> Path:
    """Where the bytes of a photo stand."""
    return folder / sha256[:2] / f"{sha256}.{_ENDINGS[media_type]}"


def store_picture(folder: Path, picture: Picture) -> Path:
    """Write the bytes, whole or not at all; the same bytes are kept once."""
    path = photo_path(folder, picture.sha256, picture.media_type)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size == len(picture.content):
        os.utime(path)  # young again, so that no sweep takes it before its row is there
        return path
    aside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with aside.open("wb") as handle:
            handle.write(picture.content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def sweep(folder: Path, store: CaseStore, *, older_than_s: float = _ORPHAN_S) -> list[str]:
    """Remove files that no row names: what an upload left that died before its row; names what it removed."""
    if not folder.is_dir():
        return []
    before = time.time() - older_than_s
    old = [path for path in folder.glob("*/*") if path.is_file() and path.stat().st_mtime <= before]
    if not old:
        return []
    known = store.hashes()
    gone = [path for path in old if path.name.startswith(".") or path.stem not in known]
    for path in gone:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in gone)


def missing_photo(photo_id: int) -> NotFound:
    """No row, or no file any more."""
    return NotFound(f"没有照片 {photo_id}", f"no photo {photo_id}", photo=photo_id)
