"""Snapshots of cameras (抓拍): checked by opening them, stored under the SHA-256 of their bytes, then named by one row.

The file is written aside, flushed and renamed before its row is inserted. What dies in between leaves a file without a row,
which nobody sees and which `sweep` removes. Rows stand under layer and camera, so a republication does not touch them.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidFeature, InvalidParameter, NotFound, PayloadTooLarge, UnsupportedMediaType
from spatial.observation.cameras import camera_feature
from spatial.observation.newest import show_newest
from spatial.store.observation_store import ObservationStore, Snapshot
from spatial.store.state import utc_now

if TYPE_CHECKING:
    from spatial.observation.rules import ObservationRules, SnapshotRule
    from spatial.store.datastore import DataStore
    from spatial.store.editing import Editor

__all__ = ["Picture", "add_snapshot", "picture_path", "pictures_dir", "read_picture", "sweep", "thumbnail"]

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png"}
_ORPHAN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A checked picture."""

    content: bytes
    media_type: str
    sha256: str
    width: int
    height: int


def pictures_dir(datastore: DataStore) -> Path:
    """Folder of the files."""
    return datastore.settings.var_dir / "observation" / "snapshots"


def picture_path(folder: Path, sha256: str, media_type: str) -> Path:
    """Where the bytes of a picture stand."""
    return folder / sha256[:2] / f"{sha256}.{_ENDINGS[media_type]}"


def read_picture(content: bytes, media_type: str, rule: SnapshotRule) -> Picture:
    """Check a picture by opening it; a name or a header alone proves nothing.

    Raises
    ------
    UnsupportedMediaType, PayloadTooLarge
    InvalidFeature
        The bytes are no whole picture of the type that they claim.
    """
    if media_type not in rule.types:
        raise UnsupportedMediaType(
            f"抓拍类型 {media_type[:60]!r} 不受支持，请用 Content-Type: {'、'.join(rule.types)}",
            f"snapshots of type {media_type[:60]!r} are not taken; send Content-Type: {', '.join(rule.types)}",
            allowed=list(rule.types),
        )
    if len(content) > rule.max_bytes:
        raise PayloadTooLarge(
            f"抓拍为 {len(content)} 字节，上限 {rule.max_bytes} 字节；请缩小后上传",
            f"the snapshot has {len(content)} bytes, the limit is {rule.max_bytes}; make it smaller",
            limit=rule.max_bytes,
        )
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=[_FORMATS[media_type]]) as picture:
            width, height = picture.size
            if width * height > rule.max_pixels:
                raise PayloadTooLarge(
                    f"抓拍为 {width}×{height} 像素，上限 {rule.max_pixels} 像素",
                    f"the snapshot has {width} × {height} pixels, the limit is {rule.max_pixels}",
                    limit=rule.max_pixels,
                )
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidFeature(
            f"不是完整的 {media_type} 图片，请重新上传",
            f"this is no whole picture of type {media_type}; upload it again",
            parameter="body",
        ) from error
    return Picture(content, media_type, hashlib.sha256(content).hexdigest(), width, height)


def _store(folder: Path, picture: Picture) -> Path:
    """Write the bytes, whole or not at all; the same bytes are kept once."""
    path = picture_path(folder, picture.sha256, picture.media_type)
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


def add_snapshot(
    datastore: DataStore,
    rules: ObservationRules,
    camera: str,
    content: bytes,
    media_type: str,
    at: datetime,
    *,
    name: str = "snapshot",
    editor: Editor | None = None,
    synthetic: bool = False,
) -> Snapshot:
    """Check and keep one snapshot; beyond the number of the rules the oldest of its camera go.

    Raises
    ------
    FeatureNotFound, InvalidParameter, UnsupportedMediaType, PayloadTooLarge, InvalidFeature
    StepNotAllowed
        The camera has a snapshot of that time.
    """
    rule = rules.snapshots
    feature = camera_feature(datastore, rules, camera)
    if at > utc_now() + timedelta(seconds=rule.ahead_s):
        raise InvalidParameter(
            f"time {at.isoformat()} 晚于现在，请核对时钟与时区",
            f"time {at.isoformat()} is after now; check clock and zone",
            parameter="time",
        )
    picture = read_picture(content, media_type, rule)
    folder = pictures_dir(datastore)
    _store(folder, picture)
    row = Snapshot(
        layer_id=rules.cameras.layer,
        camera=str(feature["properties"]["camera"]),
        at=at,
        name=name,
        media_type=media_type,
        bytes=len(content),
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        synthetic=synthetic,
        received=utc_now(),
        principal=None if editor is None else editor.principal,
        address=None if editor is None else editor.address,
    )
    store = ObservationStore(datastore.state)
    old = store.add_snapshot(row, rule.keep)
    if old:
        still = store.hashes({gone.sha256 for gone in old})
        for gone in old:
            if gone.sha256 not in still:
                picture_path(folder, gone.sha256, gone.media_type).unlink(missing_ok=True)
                _thumbnail_path(folder, gone.sha256).unlink(missing_ok=True)
    show_newest(datastore, rules.cameras.layer, rules.readings.show_every_s)
    return row


def _thumbnail_path(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / f"{sha256}.thumb.jpg"


def thumbnail(folder: Path, snapshot: Snapshot, side: int) -> bytes:
    """A JPEG of at most `side` pixels; made once.

    Raises
    ------
    NotFound
        The file is not there any more.
    """
    kept = _thumbnail_path(folder, snapshot.sha256)
    if kept.is_file():
        return kept.read_bytes()
    path = picture_path(folder, snapshot.sha256, snapshot.media_type)
    if not path.is_file():
        raise missing_snapshot(snapshot.id)
    from PIL import Image

    with Image.open(path, formats=[_FORMATS[snapshot.media_type]]) as picture:
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    aside = kept.with_name(f".{uuid.uuid4().hex}.part")
    try:
        aside.write_bytes(out.getvalue())
        aside.replace(kept)
    finally:
        aside.unlink(missing_ok=True)
    return out.getvalue()


def sweep(folder: Path, store: ObservationStore, *, older_than_s: float = _ORPHAN_S) -> list[str]:
    """Remove files that no row names: what an upload left that died before its row; names what it removed."""
    if not folder.is_dir():
        return []
    before = time.time() - older_than_s
    old = [path for path in folder.glob("*/*") if path.is_file() and path.stat().st_mtime <= before]
    if not old:
        return []
    known = store.hashes()
    gone = [path for path in old if path.name.startswith(".") or path.name.partition(".")[0] not in known]
    for path in gone:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in gone)


def missing_snapshot(number: Any) -> NotFound:
    """No row, or no file any more."""
    return NotFound(f"没有抓拍 {number}", f"no snapshot {number}", snapshot=number)
