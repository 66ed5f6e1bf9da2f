"""Cases, photos and patrols as JSON documents (接口文档); times in UTC, titles in Chinese and English."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spatial.river_chief.workflow import allowed_steps, is_overdue

if TYPE_CHECKING:
    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import Case, CaseEvent, Patrol, Photo

__all__ = ["PATH", "case_document", "case_feature", "flags_of", "patrol_document", "photo_document", "stamp"]

PATH = "/api/v1/river-chief"


def stamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def flags_of(case: Case, now: datetime) -> list[str]:
    """What a reader should see at a glance, worst first."""
    checks = case.checks
    found = {
        "overdue": is_overdue(case, now),
        "rebound": case.rebound,
        "duplicate": bool(checks.get("duplicates")),
        "outside_range": checks.get("range", {}).get("status") == "outside",
        "partly_outside_range": checks.get("range", {}).get("status") == "partly",
        "range_unknown": checks.get("range", {}).get("status") == "unknown",
        "permitted": checks.get("permits", {}).get("status") == "covered",
        "partly_permitted": checks.get("permits", {}).get("status") == "partly",
        "permit_expired": checks.get("permits", {}).get("status") == "expired",
        "permits_unknown": checks.get("permits", {}).get("status") == "unknown",
        "no_reach": case.place.get("status") == "none",
        "reach_unknown": case.place.get("status") == "unknown",
        "synthetic": case.synthetic,
    }
    return [name for name, holds in found.items() if holds]


def _title(rule: Any) -> dict[str, str] | None:
    return None if rule is None else rule.title.model_dump()


def _properties(case: Case, rules: DeskRules, now: datetime) -> dict[str, Any]:
    return {
        "number": case.number,
        "version": case.version,
        "title": case.title,
        "state": case.state,
        "state_title": _title(rules.state(case.state)),
        "outcome": case.outcome,
        "kind": case.kind,
        "kind_title": _title(rules.kind(case.kind or "")),
        "severity": case.severity,
        "severity_title": _title(rules.severity(case.severity or "")),
        "water": case.water,
        "reach": case.reach,
        "reach_name": case.place.get("name"),
        "chainage": case.place.get("chainage"),
        "unit": case.unit,
        "chief": case.chief,
        "area_m2": round(case.area_m2, 1),
        "area_mu": round(case.area_m2 * 15 / 10_000, 2),
        "created": stamp(case.created),
        "updated": stamp(case.updated),
        "due": stamp(case.due),
        "overdue": is_overdue(case, now),
        "closed": stamp(case.closed),
        "late_steps": case.late_steps,
        "round": case.round,
        "flags": flags_of(case, now),
        "synthetic": case.synthetic,
    }


def case_feature(case: Case, rules: DeskRules, now: datetime) -> dict[str, Any]:
    """A case in a list: a GeoJSON feature in CRS84."""
    return {
        "type": "Feature",
        "id": case.id,
        "bbox": [case.west, case.south, case.east, case.north],
        "geometry": case.geometry,
        "properties": _properties(case, rules, now),
    }


def case_document(
    case: Case, events: Sequence[CaseEvent], photos: Sequence[Photo], rules: DeskRules, now: datetime
) -> dict[str, Any]:
    """A case with its history, photos, comparisons and the steps that it may take."""
    feature = case_feature(case, rules, now)
    feature["properties"] |= {
        "description": case.description,
        "place": case.place,
        "source": {
            "layer": case.source_layer, "version": case.source_version, "feature": case.source_feature,
        },
        "before": case.before,
        "after": case.after,
        "checks": case.checks,
    }  # fmt: skip
    on_file = {(photo.role, photo.round) for photo in photos}
    steps = [
        {
            "step": step.id,
            "title": step.title.model_dump(),
            "to": step.to,
            "otherwise": step.otherwise,
            "photos": step.photos,
            "role": step.role,
            "photos_on_file": sum((photo.role, photo.round) == (step.role, case.round) for photo in photos)
            if step.role
            else None,
            "ready": not step.photos or (step.role or "", case.round) in on_file,
        }
        for step in allowed_steps(case.state, rules)
    ]
    return feature | {
        "suggested_severity": rules.suggested(case.area_m2).id,
        "steps": steps,
        "events": [_event(event, rules) for event in events],
        "photos": [photo_document(photo) for photo in photos],
        "links": [
            {"rel": "self", "href": f"{PATH}/cases/{case.id}", "type": "application/geo+json"},
            {"rel": "collection", "href": f"{PATH}/cases", "type": "application/geo+json"},
        ],
    }


def _event(event: CaseEvent, rules: DeskRules) -> dict[str, Any]:
    step = rules.step(event.step)
    return {
        "at": stamp(event.at),
        "step": event.step,
        "title": _title(step) or _OTHER.get(event.step),
        "from": event.from_state,
        "to": event.to_state,
        "actor": event.actor,
        "unit": event.unit,
        "note": event.note,
        "due": stamp(event.due),
        "late": event.late,
        "details": event.details,
        "principal": event.principal,
        "version": event.version,
    }


_OTHER = {"issue": {"zh": "下发", "en": "Issue"}, "photo": {"zh": "上传照片", "en": "Photo"}}


def photo_document(photo: Photo) -> dict[str, Any]:
    """A photo: what it is, who sent it, where it says it was taken."""
    return {
        "id": photo.id,
        "at": stamp(photo.at),
        "role": photo.role,
        "round": photo.round,
        "actor": photo.actor,
        "name": photo.name,
        "type": photo.media_type,
        "bytes": photo.bytes,
        "sha256": photo.sha256,
        "width": photo.width,
        "height": photo.height,
        "href": f"{PATH}/photos/{photo.id}",
    } | photo.details


def patrol_document(patrol: Patrol, photos: Sequence[Photo] | None = None) -> dict[str, Any]:
    """A patrol as a GeoJSON feature in CRS84; `photos` only where one patrol is asked for."""
    feature: dict[str, Any] = {
        "type": "Feature",
        "id": patrol.id,
        "geometry": patrol.track,
        "properties": {
            "recorded": stamp(patrol.at),
            "actor": patrol.actor,
            "unit": patrol.unit,
            "water": patrol.water,
            "reach": patrol.reach,
            "started": stamp(patrol.started),
            "ended": stamp(patrol.ended),
            "length_m": patrol.length_m,
            "note": patrol.note,
        }
        | patrol.details,
    }
    return feature if photos is None else feature | {"photos": [photo_document(photo) for photo in photos]}
