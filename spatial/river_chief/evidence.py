"""The pair of pictures of a case (前后影像): drawn from the scenes that its alert names, and kept with the case like photos.

The pictures are bytes of the case from then on: they stay when the scenes are gone. What cannot be drawn never stops a case;
the reason is noted in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from spatial.errors import SpatialError
from spatial.river_chief.photos import Picture, read_picture
from spatial.store.picture_files import store_picture

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from spatial.river_chief.requests import Side
    from spatial.river_chief.rules import DeskRules
    from spatial.scenes.chips import Chip, ChipRenderer
    from spatial.store.case_store import Photo

__all__ = ["Evidence", "draw_evidence"]

log = structlog.get_logger("onemap")
_NO_RENDERER = {"zh": "本服务不能绘制影像", "en": "this server draws no scenes"}
_NO_COLLECTION = {"zh": "未说明影像属于哪个影像集", "en": "the collection of the scene is not told"}
_FAILED = {"zh": "绘制影像时出错，已记录", "en": "drawing the scene failed; it has been logged"}


@dataclass
class Evidence:
    """The pictures that were drawn, and why others were not."""

    pictures: dict[str, tuple[Chip, Picture]] = field(default_factory=dict)
    """Role (``before``, ``after``) → chip and its checked bytes, which stand in the folder already."""
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    """Role → why there is no picture although a scene was named."""

    @property
    def synthetic(self) -> bool:
        """True if a scene is synthetic."""
        return any(chip.synthetic for chip, _ in self.pictures.values())

    def day(self, role: str) -> date | None:
        """Day of the scene of a role."""
        found = self.pictures.get(role)
        return None if found is None else found[0].day

    def rows(self, actor: str, now: datetime) -> list[Photo]:
        """The pictures as photos of the case."""
        from spatial.store.case_store import Photo

        return [
            Photo(
                at=now, role=role, round=0, actor=actor, name=f"{role}-{chip.scene}.png"[:120],
                media_type=picture.media_type, bytes=len(picture.content), sha256=picture.sha256, width=picture.width,
                height=picture.height, case_id=None, patrol_id=None,
                details={
                    "lon": None, "lat": None, "taken": None, "distance_m": None, "warnings": [],
                    "collection": chip.collection, "scene": chip.scene, "picture": chip.picture,
                    "date": chip.day.isoformat(), "bbox": list(chip.bbox), "seen_share": chip.seen_share,
                    "synthetic": chip.synthetic,
                },
            )
            for role, (chip, picture) in self.pictures.items()
        ]  # fmt: skip

    def digests(self) -> dict[str, str]:
        """Role → SHA-256 of its picture, for the history."""
        return {role: picture.sha256 for role, (_, picture) in self.pictures.items()}


def draw_evidence(
    folder: Path, shape: Any, before: Side, after: Side, chips: ChipRenderer | None, rules: DeskRules
) -> Evidence:
    """Draw and store the pictures of both sides; never raises because of a picture."""
    found = Evidence()
    for role, side in (("before", before), ("after", after)):
        if not side.scene:
            continue
        if chips is None or not side.collection:
            found.reasons[role] = _NO_RENDERER if chips is None else _NO_COLLECTION
            continue
        wanted = rules.evidence
        try:
            chip = chips(side.collection, side.scene, shape, picture=wanted.picture, size=wanted.size)
            picture = read_picture(chip.content, chip.media_type, rules.attachments)
            store_picture(folder, picture)
        except SpatialError as error:
            found.reasons[role] = {"zh": error.zh, "en": error.en}
        except Exception:
            # A fault of the drawing must not keep an office from its case.
            log.exception("chip not drawn", collection=side.collection, scene=side.scene, role=role)
            found.reasons[role] = _FAILED
        else:
            found.pictures[role] = (chip, picture)
    return found
