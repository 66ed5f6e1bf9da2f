"""The desk (河湖长工作台): issues cases, takes their steps, keeps photos and patrols."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter, PayloadTooLarge, StepNotAllowed
from spatial.river_chief.alerts import alert_states
from spatial.river_chief.candidates import open_candidates
from spatial.river_chief.case_layer import show_cases
from spatial.river_chief.documents import case_document, patrol_document, stamp
from spatial.river_chief.evidence import draw_evidence
from spatial.river_chief.matching import Matcher
from spatial.river_chief.origin import case_origin, side_document
from spatial.river_chief.patrols import check_times, measure_track, seen_share
from spatial.river_chief.photos import ROLES, Picture, read_picture
from spatial.river_chief.rules import DeskRules, read_desk_rules
from spatial.river_chief.shapes import area_m2, distance_m, read_shape
from spatial.river_chief.workflow import CHINA, first_due, take_step
from spatial.store.case_store import Case, CaseEvent, CaseFilter, CaseStore, Patrol, Photo
from spatial.store.picture_files import store_picture, sweep
from spatial.store.state import utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from spatial.river_chief.requests import CaseRequest, PatrolRequest, StepRequest
    from spatial.scenes.chips import ChipRenderer
    from spatial.store.datastore import DataStore
    from spatial.store.editing import Editor

__all__ = ["Desk"]


class Desk:
    """The desk over one data store. Every method may wait for a disk or a database: call it in a thread.

    Parameters
    ----------
    datastore : DataStore
        Published layers, and the state database in which the cases are.
    chips : ChipRenderer, optional
        Draws the scenes that an alert names; without it a case has no pictures of its own.
    """

    def __init__(self, datastore: DataStore, chips: ChipRenderer | None = None) -> None:
        self.datastore = datastore
        self.chips = chips
        self.store = CaseStore(datastore.state)
        self.folder = datastore.settings.var_dir / "river-chief" / "photos"
        self._swept = False

    @property
    def rules(self) -> DeskRules:
        """The rules as the file has them now."""
        return read_desk_rules(self.datastore.settings.layers_dir)

    # --- cases ------------------------------------------------------------------------------------------------------

    def document(self, case_id: int) -> dict[str, Any]:
        """A case with history, photos and allowed steps."""
        case = self.store.case(case_id)
        photos = self.store.photos(case_id=case_id)
        return case_document(case, self.store.events([case_id]), photos, self.rules, utc_now())

    def issue(self, given: CaseRequest, editor: Editor) -> Case:
        """A new case (下发): compared with everything published, then written with its history.

        Raises
        ------
        InvalidParameter, InvalidFeature, UnknownCRS, LayerNotFound, FeatureNotFound, StepNotAllowed
        """
        import orjson
        import shapely

        rules, now = self.rules, utc_now()
        actor = _actor(given.actor, editor)
        if given.kind is not None and rules.kind(given.kind) is None:
            known = [kind.id for kind in rules.kinds.list]
            raise InvalidParameter(
                f"kind 应为 {'、'.join(known)}",
                f"kind must be one of {', '.join(known)}",
                parameter="kind",
                allowed=known,
            )
        if given.due is not None and given.due <= now:
            raise InvalidParameter("due 应晚于现在", "due must lie after now", parameter="due")
        matcher = Matcher(self.datastore, rules)
        asked = given
        shape, source, given = case_origin(self.datastore, given, matcher, rules)
        area = area_m2(shape)
        if area <= rules.matching.contact_m2:
            raise InvalidParameter(
                f"图斑面积 {area:.2f} m² 过小（须大于 {rules.matching.contact_m2:g} m²）",
                f"the area of {area:.2f} m² is too small (more than {rules.matching.contact_m2:g} m² is needed)",
                parameter="geometry",
            )
        place = matcher.place(shape, given.reach)
        self._sweep_once()
        pictures = draw_evidence(self.folder, shape, given.before, given.after, self.chips, rules)
        matcher.synthetic = matcher.synthetic or pictures.synthetic
        before_day = asked.before.date or pictures.day("before") or given.before.date
        after_day = asked.after.date or pictures.day("after") or given.after.date
        if before_day and after_day and before_day > after_day:
            raise InvalidParameter(
                f"前时相 {before_day} 晚于后时相 {after_day}",
                f"the picture before ({before_day}) is later than the one after ({after_day})",
                parameter="before",
            )
        before = side_document(self.datastore, given.before, before_day, shape) | {
            "reason": pictures.reasons.get("before")
        }
        after = side_document(self.datastore, given.after, after_day, shape) | {"reason": pictures.reasons.get("after")}
        west, south, east, north = (float(v) for v in shapely.bounds(shape))
        near, _ = self.store.cases(CaseFilter(bbox=(west, south, east, north)))
        rebounds = matcher.rebounds(shape, area, near, after_day)
        on = after_day or now.astimezone(CHINA).date()
        checks = {
            "range": matcher.range(shape, area),
            "permits": matcher.permits(shape, area, on),
            "duplicates": matcher.duplicates(shape, area, near),
            "repeats": matcher.repeats(shape, area, near, after_day),
            "rebounds": rebounds,
        }
        case = Case(
            version=1, state="issued", outcome=None, kind=given.kind, severity=None,
            title=given.title or _default_title(place, now), description=given.description,
            created=now, entered=now, updated=now, due=None, closed=None, late_steps=0, round=0,
            water=place.get("water"), reach=place.get("code"),
            unit=given.unit or place.get("unit"), chief=given.chief or place.get("chief"), place=place,
            before=before, after=after, geometry=orjson.loads(shapely.to_geojson(shape)),
            west=west, south=south, east=east, north=north, area_m2=area, checks=checks, rebound=bool(rebounds),
            synthetic=matcher.synthetic, shown=0, **source,
        )  # fmt: skip
        case.due = given.due or first_due(case, rules)
        event = CaseEvent(
            at=now, step="issue", from_state=None, to_state="issued", actor=actor, unit=None, note=given.description,
            due=None, late=False,
            details=({"next_due": stamp(case.due)} if case.due else {})
            | ({"pictures": pictures.digests()} if pictures.pictures else {}),
            principal=editor.principal, address=editor.address,
        )  # fmt: skip
        self.store.create(case, event, pictures.rows(actor, now))
        return case

    def step(self, case_id: int, given: StepRequest, version: int, editor: Editor) -> Case:
        """Take a step on the version of a case that the caller read.

        Raises
        ------
        FeatureNotFound, PreconditionFailed, StepNotAllowed, InvalidParameter
        """
        rules, actor = self.rules, _actor(given.actor, editor)

        def work(case: Case, session: Session) -> CaseEvent:
            rows = session.query(Photo.role, Photo.round).filter(Photo.case_id == case.id).all()
            photos = Counter((role, number) for role, number in rows)
            event = take_step(case, given, rules, photos, actor=actor, now=utc_now())
            event.principal, event.address = editor.principal, editor.address
            return event

        return self.store.change(case_id, version, work)[0]

    def show(self) -> bool:
        """Bring the published layer up to date; see `spatial.river_chief.case_layer`."""
        return show_cases(self.datastore, self.store, self.rules)

    def alerts(self, layer: str) -> dict[str, Any]:
        """How far the alerts of a layer are."""
        return alert_states(self.datastore, self.store, self.rules, layer)

    def candidates(self, layer: str, limit: int) -> dict[str, Any]:
        """Features of an alert layer that no case was made from yet."""
        return open_candidates(self.datastore, self.store, self.rules, layer, limit)

    # --- photos -----------------------------------------------------------------------------------------------------

    def add_case_photo(
        self, case_id: int, content: bytes, media_type: str, role: str, name: str, actor: str | None, editor: Editor
    ) -> Photo:
        """Add a photo to an open case, with an entry in its history.

        Raises
        ------
        StepNotAllowed
            The case is closed.
        UnsupportedMediaType, PayloadTooLarge, InvalidFeature, InvalidParameter, FeatureNotFound
        """
        rules, who = self.rules, _actor(actor, editor)
        _require_role(role)
        self.store.case(case_id)
        picture = read_picture(content, media_type, rules.attachments)
        self._sweep_once()
        store_picture(self.folder, picture)

        def work(case: Case, session: Session) -> CaseEvent:
            if case.state == "closed":
                raise StepNotAllowed(
                    f"图斑 {case.number} 已销号，不能再加照片", f"case {case.number} is closed and takes no more photos",
                    case=case.id, state=case.state, allowed=[],
                )  # fmt: skip
            if session.query(Photo.id).filter(Photo.case_id == case.id).count() >= rules.attachments.most:
                raise PayloadTooLarge(
                    f"每个图斑至多 {rules.attachments.most} 张照片", f"a case holds at most {rules.attachments.most} photos",
                    limit=rules.attachments.most,
                )  # fmt: skip
            now = utc_now()
            photo = _photo(picture, role, name, who, now, rules, _shape_of(case.geometry))
            photo.case_id, photo.round = case.id, case.round
            session.add(photo)
            session.flush()
            added.append(photo)
            return CaseEvent(
                at=now, step="photo", from_state=case.state, to_state=case.state, actor=who, unit=None, note="",
                due=case.due, late=False,
                details={"photo": photo.id, "role": role, "sha256": photo.sha256, "warnings": photo.details["warnings"]},
                principal=editor.principal, address=editor.address,
            )  # fmt: skip

        added: list[Photo] = []
        self.store.change(case_id, None, work)
        return added[0]

    def add_patrol_photo(
        self, patrol_id: int, content: bytes, media_type: str, name: str, actor: str | None, editor: Editor
    ) -> Photo:
        """Add a photo to a patrol."""
        rules, who = self.rules, _actor(actor, editor)
        patrol = self.store.patrol(patrol_id)
        picture = read_picture(content, media_type, rules.attachments)
        if len(self.store.photos(patrol_id=patrol_id)) >= rules.attachments.most:
            raise PayloadTooLarge(
                f"每次巡河至多 {rules.attachments.most} 张照片", f"a patrol holds at most {rules.attachments.most} photos",
                limit=rules.attachments.most,
            )  # fmt: skip
        self._sweep_once()
        store_picture(self.folder, picture)
        photo = _photo(picture, "patrol", name, who, utc_now(), rules, _shape_of(patrol.track))
        photo.patrol_id = patrol.id
        return self.store.add(photo)

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            sweep(self.folder, self.store.hashes)

    # --- patrols ----------------------------------------------------------------------------------------------------

    def record_patrol(self, given: PatrolRequest, editor: Editor) -> Patrol:
        """Record a patrol with its track.

        Raises
        ------
        InvalidFeature, InvalidParameter, UnknownCRS, FeatureNotFound
        """
        import orjson
        import shapely

        rules, now = self.rules, utc_now()
        actor = _actor(given.actor, editor)
        check_times(given.started, given.ended, now)
        folder = self.datastore.settings.layers_dir
        track = read_shape(given.track, given.crs, folder, kind="LineString", what="track")
        hours = (given.ended - given.started).total_seconds() / 3600
        measured = measure_track(track, hours, rules)
        for case_id in given.cases:
            self.store.case(case_id)
        matcher = Matcher(self.datastore, rules)
        place = matcher.place(track, given.reach)
        if place["status"] == "found":
            reaches = matcher.reaches()
            assert reaches is not None
            line = reaches[reaches["code"] == place["code"]].geometry.iloc[0]
            measured["seen_share"] = round(seen_share(line, track, rules), 4)
        details = {k: v for k, v in measured.items() if k != "length_m"} | {
            "reach_name": place.get("name"), "place": place["status"], "cases": list(given.cases),
            "synthetic": matcher.synthetic,
        }  # fmt: skip
        return self.store.add(
            Patrol(
                at=now, actor=actor, unit=given.unit or place.get("unit"), reach=place.get("code"),
                water=place.get("water"), started=given.started, ended=given.ended,
                track=orjson.loads(shapely.to_geojson(track)), length_m=measured["length_m"], note=given.note,
                details=details, principal=editor.principal, address=editor.address,
            )
        )  # fmt: skip

    def patrol(self, patrol_id: int) -> dict[str, Any]:
        """A patrol with its photos."""
        return patrol_document(self.store.patrol(patrol_id), self.store.photos(patrol_id=patrol_id))


def _actor(given: str | None, editor: Editor) -> str:
    """Who acts: the name in the request, else that of HTTP Basic."""
    actor = given or editor.principal
    if not actor:
        raise InvalidParameter(
            "请给出办理人 actor（或用 HTTP Basic 的用户名）",
            "say who acts: actor (or the user name of HTTP Basic)",
            parameter="actor",
        )
    return actor


def _require_role(role: str) -> None:
    if role not in ROLES:
        raise InvalidParameter(
            f"role 应为 {'、'.join(ROLES)}，收到 {role[:40]!r}",
            f"role must be one of {', '.join(ROLES)}, got {role[:40]!r}",
            parameter="role",
            allowed=list(ROLES),
        )


def _shape_of(document: dict[str, Any]) -> Any:
    import orjson
    import shapely

    return shapely.from_geojson(orjson.dumps(document))


def _photo(picture: Picture, role: str, name: str, actor: str, now: datetime, rules: DeskRules, shape: Any) -> Photo:
    """Row of a photo; what its EXIF block says of place is compared with where it should be."""
    import shapely

    distance = None
    warnings = []
    if picture.lon is None or picture.lat is None:
        warnings.append("no_position")
    else:
        distance = round(distance_m(shape, shapely.Point(picture.lon, picture.lat)), 1)
        if distance > rules.attachments.far_m:
            warnings.append("far")
    return Photo(
        at=now, role=role, round=0, actor=actor, name=name, media_type=picture.media_type, bytes=len(picture.content),
        sha256=picture.sha256, width=picture.width, height=picture.height, case_id=None, patrol_id=None,
        details={
            "lon": picture.lon, "lat": picture.lat, "taken": picture.taken, "distance_m": distance,
            "warnings": warnings,
        },
    )  # fmt: skip


def _default_title(place: dict[str, Any], now: datetime) -> str:
    day: date = now.astimezone(CHINA).date()
    where = " ".join(text for text in (place.get("name"), place.get("chainage")) if text) or "未知河段"
    return f"{where} 疑似问题 {day.isoformat()}"
