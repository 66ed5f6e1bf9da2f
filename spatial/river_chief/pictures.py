"""The pair of pictures of a case in an office document (台账中的前后影像): small, in a format that Word and Excel show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spatial.store.picture_files import picture_path

if TYPE_CHECKING:
    from spatial.store.case_store import Case, CaseStore, Photo

__all__ = ["SIDES", "DocumentPicture", "document_pictures", "picture_of"]

SIDES = ("before", "after")
_LONGEST = 420
"""Pixels of the longer side: enough for 6 cm in print."""


@dataclass(frozen=True, slots=True)
class DocumentPicture:
    """A picture of one side of a case."""

    content: bytes
    width: int
    height: int
    day: str
    name: str


def picture_of(photos: Sequence[Photo], role: str) -> Photo | None:
    """The picture of a side: the one drawn from the scene of the alert, else the newest that was uploaded for it."""
    own = [photo for photo in photos if photo.role == role]
    drawn = next((photo for photo in own if photo.details.get("scene")), None)
    return drawn or (own[-1] if own else None)


def document_pictures(
    store: CaseStore, folder: Path, cases: Sequence[Case], most: int
) -> dict[int, dict[str, DocumentPicture]]:
    """Case → side → picture, of the first `most` cases that have one; a file that is gone or broken is left out."""
    by_case: dict[int, list[Photo]] = {}
    for photo in store.photos_of([case.id for case in cases], SIDES):
        by_case.setdefault(int(photo.case_id or 0), []).append(photo)
    found: dict[int, dict[str, DocumentPicture]] = {}
    for case in cases:
        if len(found) >= most:
            break
        pair = {}
        for role in SIDES:
            chosen = picture_of(by_case.get(case.id, []), role)
            side = case.before if role == "before" else case.after
            picture = None if chosen is None else _read(folder, chosen, str(side.get("date") or ""))
            if picture is not None:
                pair[role] = picture
        if pair:
            found[case.id] = pair
    return found


def _read(folder: Path, photo: Photo, day: str) -> DocumentPicture | None:
    from PIL import Image, ImageOps

    try:
        with Image.open(picture_path(folder, photo.sha256, photo.media_type)) as opened:
            picture = ImageOps.exif_transpose(opened)
            picture.thumbnail((_LONGEST, _LONGEST))
            out = io.BytesIO()
            # What a camera took is kept small as JPEG; a drawn picture has lines and letters.
            if photo.media_type == "image/png":
                picture.convert("RGB").save(out, "PNG")
            else:
                picture.convert("RGB").save(out, "JPEG", quality=85)
    except (OSError, ValueError, SyntaxError):
        return None
    name = str(photo.details.get("scene") or photo.name)
    return DocumentPicture(out.getvalue(), *picture.size, str(photo.details.get("date") or day), name)
