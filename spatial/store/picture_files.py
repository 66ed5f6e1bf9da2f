"""Uploaded pictures as files (图片文件): checked by opening them, stored under the SHA-256 of their bytes, named by a row.

The file is written aside, flushed to the disk and renamed before its row is inserted. What dies in between leaves a file
without a row, which nobody sees and which `sweep` removes once it is old enough that nobody can be about to name it.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spatial.errors import InvalidFeature, PayloadTooLarge, UnsupportedMediaType

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatial.catalog import Text

__all__ = [
    "FORMATS",
    "PictureFile",
    "PictureLimits",
    "opened_picture",
    "picture_path",
    "read_picture",
    "store_picture",
    "sweep",
    "too_large",
    "write_whole",
]

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
"""Media type → format as Pillow names it."""
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
_ORPHAN_S = 3600.0


class PictureLimits(Protocol):
    """What a picture may be; a section of a rule file."""

    @property
    def types(self) -> Sequence[str]:
        """Media types, of JPEG, PNG and WebP."""

    @property
    def max_bytes(self) -> int:
        """Bytes of the file."""

    @property
    def max_pixels(self) -> int:
        """Pixels, width × height."""


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A checked picture."""

    content: bytes
    media_type: str
    sha256: str
    width: int
    height: int


def read_picture(content: bytes, media_type: str, limits: PictureLimits, what: Text) -> PictureFile:
    """Check a picture by opening it; a name or a header alone proves nothing.

    Parameters
    ----------
    what : Text
        What the picture is, for the messages: 照片, photo.

    Raises
    ------
    UnsupportedMediaType, PayloadTooLarge
    InvalidFeature
        The bytes are no whole picture of the type that they claim.
    """
    if media_type not in limits.types:
        raise UnsupportedMediaType(
            f"{what.zh}类型 {media_type[:60]!r} 不受支持，请用 Content-Type: {'、'.join(limits.types)}",
            f"{what.en}s of type {media_type[:60]!r} are not taken; send Content-Type: {', '.join(limits.types)}",
            allowed=list(limits.types),
        )
    if len(content) > limits.max_bytes:
        raise too_large(limits, what)
    with opened_picture(content, media_type, what) as picture:
        width, height = picture.size
        if width * height > limits.max_pixels:
            raise PayloadTooLarge(
                f"{what.zh}为 {width}×{height} 像素，上限 {limits.max_pixels} 像素",
                f"the {what.en} has {width} × {height} pixels, the limit is {limits.max_pixels}",
                limit=limits.max_pixels,
            )
        picture.load()
    return PictureFile(content, media_type, hashlib.sha256(content).hexdigest(), width, height)


def too_large(limits: PictureLimits, what: Text) -> PayloadTooLarge:
    """The file has more bytes than it may."""
    return PayloadTooLarge(
        f"{what.zh}过大，上限 {limits.max_bytes} 字节；请缩小后上传",
        f"the {what.en} is too large, the limit is {limits.max_bytes} bytes; make it smaller",
        limit=limits.max_bytes,
    )


@contextmanager
def opened_picture(content: bytes, media_type: str, what: Text) -> Iterator[Image]:
    """The picture opened as the type that it claims; whatever Pillow dislikes while it is open is `InvalidFeature`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=[FORMATS[media_type]]) as picture:
            yield picture
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidFeature(
            f"不是完整的 {media_type} {what.zh}，请重新上传",
            f"this is no whole picture of type {media_type}; upload it again",
            parameter="body",
        ) from error


def picture_path(folder: Path, sha256: str, media_type: str) -> Path:
    """Where the bytes of a picture stand."""
    return folder / sha256[:2] / f"{sha256}.{_ENDINGS[media_type]}"


def store_picture(folder: Path, picture: PictureFile) -> Path:
    """Write the bytes, whole or not at all; the same bytes are kept once."""
    path = picture_path(folder, picture.sha256, picture.media_type)
    if path.is_file() and path.stat().st_size == len(picture.content):
        os.utime(path)  # young again, so that no sweep takes it before its row is there
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, picture.content, flush=True)
    return path


def write_whole(path: Path, content: bytes, *, flush: bool) -> None:
    """Write a file aside and rename it, so that it is there whole or not at all; `flush` it to the disk before."""
    aside = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with aside.open("wb") as handle:
            handle.write(content)
            if flush:
                handle.flush()
                os.fsync(handle.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path, known: Callable[[], Collection[str]], *, older_than_s: float = _ORPHAN_S) -> list[str]:
    """Remove files that no row names: what an upload left that died before its row; names what it removed.

    Parameters
    ----------
    known : callable
        Gives the SHA-256 of all rows; asked only where there are old files.
    """
    if not folder.is_dir():
        return []
    before = time.time() - older_than_s
    old = [path for path in folder.glob("*/*") if path.is_file() and path.stat().st_mtime <= before]
    if not old:
        return []
    named = known()
    # What was made from a picture (a thumbnail) bears its name with another ending.
    gone = [path for path in old if path.name.startswith(".") or path.name.partition(".")[0] not in named]
    for path in gone:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in gone)
