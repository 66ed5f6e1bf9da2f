"""Snapshots of cameras (抓拍): checked files, each named by one row (`spatial.store.picture_files`).

Rows stand under layer and camera, so a republication does not touch them.
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.errors import InvalidParameter, NotFound
from spatial.observation.cameras import camera_feature
from spatial.observation.newest import show_newest
from spatial.store.observation_store import ObservationStore, Snapshot
from spatial.store.picture_files import FORMATS, picture_path, read_picture, store_picture, write_whole
from spatial.store.state import utc_now

if TYPE_CHECKING:
    from spatial.observation.rules import ObservationRules
    from spatial.store.datastore import DataStore
    from spatial.store.editing import Editor

__all__ = ["add_snapshot", "missing_snapshot", "pictures_dir", "thumbnail"]

_SNAPSHOT = Text(zh="抓拍", en="snapshot")


def pictures_dir(datastore: DataStore) -> Path:
    """Folder of the files."""
    return datastore.settings.var_dir / "observation" / "snapshots"


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
    picture = read_picture(content, media_type, rule, _SNAPSHOT)
    folder = pictures_dir(datastore)
    store_picture(folder, picture)
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

    with Image.open(path, formats=[FORMATS[snapshot.media_type]]) as picture:
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    write_whole(kept, out.getvalue(), flush=False)
    return out.getvalue()


def missing_snapshot(number: Any) -> NotFound:
    """No row, or no file any more."""
    return NotFound(f"没有抓拍 {number}", f"no snapshot {number}", snapshot=number)
