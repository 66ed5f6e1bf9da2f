"""Routes of the desk, ``/api/v1/river-chief/…``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spatial.crs import CRS84
from spatial.errors import FeatureNotFound, InvalidParameter, LayerNotFound
from spatial.exchange import (
    body_within,
    editor_of,
    json_answer,
    media_type_of,
    name_of,
    number_in_path,
    only,
    unchanged,
    whole,
)
from spatial.river_chief import assessment, ledger, register
from spatial.river_chief.desk import Desk
from spatial.river_chief.documents import PATH, case_feature, patrol_document, photo_document
from spatial.river_chief.exchange import READ_ONLY, day_parameter, json_body, tag_of, version_read
from spatial.river_chief.openapi import openapi_document
from spatial.river_chief.photos import PHOTO, missing_photo
from spatial.river_chief.pictures import document_pictures
from spatial.river_chief.requests import CaseRequest, PatrolRequest, StepRequest, read_request
from spatial.river_chief.rules import PHOTO_BOUND
from spatial.store.case_store import CaseFilter
from spatial.store.picture_files import picture_path, too_large
from spatial.store.state import utc_now

if TYPE_CHECKING:
    from spatial.scenes.chips import ChipRenderer
    from spatial.store.case_store import Case
    from spatial.store.datastore import DataStore

__all__ = ["UPLOADS", "routes"]

UPLOADS = {f"{PATH}/{owner}/photos": PHOTO_BOUND + 200_000 for owner in ("cases/{case}", "patrols/{patrol}")}
"""Routes where bodies may be larger than others, and how large: the rule of the photos stops them earlier, by its name."""
GEOJSON = "application/geo+json"
_FILTERS = ("state", "unit", "kind", "water", "reach", "overdue", "rebound", "bbox", "q")
MOST = 1000
MOST_EXPORT = 20_000
Address = tuple[str, str, Callable[[Request], Awaitable[Response]]]
"""Path below that of the desk, method, and what answers."""
_KEEP_BYTES = "no-cache, no-transform"
"""A compressed answer would get a weak tag, which never matches in ``If-Match``."""


def _number(request: Request, name: str) -> int:
    return number_in_path(request, name, FeatureNotFound)


def _flag(request: Request, name: str) -> bool | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if text not in {"true", "false"}:
        raise InvalidParameter(
            f"参数 {name} 应为 true 或 false", f"{name} must be true or false", parameter=name, value=text[:40]
        )
    return text == "true"


def _filter(request: Request, desk: Desk) -> CaseFilter:
    asked = request.query_params
    states = tuple(name for name in asked.get("state", "").split(",") if name)
    known = [state.id for state in desk.rules.states.list]
    for name in states:
        if name not in known:
            raise InvalidParameter(
                f"state 应为 {'、'.join(known)}，收到 {name[:40]!r}",
                f"state must be of {', '.join(known)}, got {name[:40]!r}",
                parameter="state",
                allowed=known,
            )
    box = None
    if "bbox" in asked:
        from spatial.crs import bbox_polygon

        try:
            numbers = [float(part) for part in asked["bbox"].split(",")]
        except ValueError as error:
            raise InvalidParameter(
                "bbox 应为 西,南,东,北 四个数", "bbox must be four numbers: west,south,east,north", parameter="bbox"
            ) from error
        west, south, east, north = bbox_polygon(numbers, CRS84).bounds
        box = (west, south, east, north)
    return CaseFilter(
        states=states,
        unit=asked.get("unit"),
        kind=asked.get("kind"),
        water=asked.get("water"),
        reach=asked.get("reach"),
        overdue=_flag(request, "overdue"),
        rebound=_flag(request, "rebound"),
        bbox=box,
        text=asked.get("q") or None,
    )


def _filter_text(request: Request) -> str:
    """The filters of a list, for the head of an export."""
    parts = [f"{name}={request.query_params[name]}" for name in _FILTERS if name in request.query_params]
    return "筛选 " + "，".join(parts) if parts else "全部图斑"


def _desk_document(desk: Desk) -> dict[str, Any]:
    """What a client needs to draw the desk: states, steps, kinds, units, layers, limits."""
    rules, snapshot = desk.rules, desk.datastore.snapshot()
    settings = desk.datastore.settings

    def status(layer_id: str) -> dict[str, Any]:
        try:
            published = snapshot.published(layer_id)
        except LayerNotFound:
            published = None
        return {
            "id": layer_id,
            "published": published is not None,
            "version": published.version if published else None,
            "synthetic": published is not None and published.layer.synthetic is not None,
        }

    candidates = [
        {"id": layer.id, "title": layer.display_title().model_dump(), "synthetic": layer.synthetic is not None}
        for layer in snapshot.layers()
        if layer.is_vector and rules.is_candidate_layer(layer.id)
    ]
    layers = rules.layers
    return {
        "title": rules.title.model_dump(),
        "editing": settings.edit,
        "states": [state.model_dump() for state in rules.states.list],
        "steps": [step.model_dump(by_alias=True) for step in rules.steps.list],
        "kinds": [kind.model_dump() for kind in rules.kinds.list],
        "severities": [severity.model_dump() for severity in rules.severities.list],
        "units": desk.store.units(),
        "candidate_layers": candidates,
        "layers": {name: status(getattr(layers, name)) for name in ("reaches", "permits", "range", "cases")},
        "photos": {
            "types": list(rules.attachments.types),
            "max_bytes": rules.attachments.max_bytes,
        },
        "links": [
            {"rel": "service-desc", "href": f"{PATH}/api", "type": "application/vnd.oai.openapi+json;version=3.0"},
            *({"rel": "item", "href": f"{PATH}/{name}", "type": "application/json"} for name in _PARTS),
        ],
    }


_PARTS = ("cases", "candidates", "patrols", "waters", "assessment", "ledger.xlsx", "ledger.docx")


async def _case_answer(desk: Desk, case_id: int, request: Request | None, **more: Any) -> Response:
    document = await run_in_threadpool(desk.document, case_id)
    body = orjson.dumps(document)
    tag = tag_of(document["properties"]["version"], body)
    headers = {"ETag": tag, "Cache-Control": _KEEP_BYTES} | more.pop("headers", {})
    held = None if request is None else unchanged(request, headers)
    return held or Response(body, media_type=GEOJSON, headers=headers, **more)


def _overview(desk: Desk) -> list[Address]:
    """The desk and its OpenAPI document."""

    async def root(request: Request) -> Response:
        only(request)
        return json_answer(await run_in_threadpool(_desk_document, desk))

    async def api(request: Request) -> Response:
        only(request)
        return json_answer(
            openapi_document(desk.rules, desk.datastore.settings.url),
            media_type="application/vnd.oai.openapi+json;version=3.0",
        )

    return [
        ("", "GET", root),
        ("/api", "GET", api),
    ]


def _cases(desk: Desk) -> list[Address]:
    """Cases, their steps, candidates, alerts."""

    async def cases(request: Request) -> Response:
        only(request, *_FILTERS, "limit", "offset")
        limit, offset = whole(request, "limit", 1, MOST, 100), whole(request, "offset", 0, 10_000_000, 0)
        wanted, now = _filter(request, desk), utc_now()
        found, matched = await run_in_threadpool(desk.store.cases, wanted, limit=limit, offset=offset, now=now)
        links = [{"rel": "self", "href": f"{PATH}/cases", "type": GEOJSON}]
        if offset + len(found) < matched:
            query = dict(request.query_params) | {"offset": str(offset + len(found)), "limit": str(limit)}
            links.append({"rel": "next", "href": f"{PATH}/cases?{urlencode(query)}", "type": GEOJSON})
        rules = desk.rules
        document = {
            "type": "FeatureCollection",
            "features": [case_feature(case, rules, now) for case in found],
            "numberMatched": matched,
            "numberReturned": len(found),
            "links": links,
        }
        return json_answer(document, media_type=GEOJSON)

    async def changed(case: Case, **more: Any) -> Response:
        shown = await run_in_threadpool(desk.show)
        headers = {"OneMap-Layer": "current" if shown else "behind"} | more.pop("headers", {})
        return await _case_answer(desk, case.id, None, headers=headers, **more)

    async def issue(request: Request) -> Response:
        only(request)
        editor = editor_of(desk.datastore.settings, request, READ_ONLY)
        given = read_request(CaseRequest, await json_body(request))
        made = await run_in_threadpool(desk.issue, given, editor)
        return await changed(made, status_code=201, headers={"Location": f"{PATH}/cases/{made.id}"})

    async def case(request: Request) -> Response:
        only(request)
        return await _case_answer(desk, _number(request, "case"), request)

    async def step(request: Request) -> Response:
        only(request)
        editor = editor_of(desk.datastore.settings, request, READ_ONLY)
        case_id = _number(request, "case")
        given = read_request(StepRequest, await json_body(request))
        await run_in_threadpool(desk.store.case, case_id)
        version = version_read(request)
        return await changed(await run_in_threadpool(desk.step, case_id, given, version, editor))

    async def candidates(request: Request) -> Response:
        only(request, "layer", "limit")
        layer = request.query_params.get("layer", "")
        limit = whole(request, "limit", 1, MOST, 50)
        return json_answer(await run_in_threadpool(desk.candidates, layer, limit), media_type=GEOJSON)

    async def alerts(request: Request) -> Response:
        only(request, "layer")
        return json_answer(await run_in_threadpool(desk.alerts, request.query_params.get("layer", "")))

    return [
        ("/cases", "GET", cases),
        ("/cases", "POST", issue),
        ("/cases/{case}", "GET", case),
        ("/cases/{case}/steps", "POST", step),
        ("/candidates", "GET", candidates),
        ("/alerts", "GET", alerts),
    ]


def _photos(desk: Desk) -> list[Address]:
    """Photos of cases and patrols."""

    async def upload(request: Request) -> tuple[bytes, str, str, str | None]:
        """Content, media type, name and actor of an upload."""
        limits = desk.rules.attachments
        content = await body_within(request, limits.max_bytes, lambda: too_large(limits, PHOTO))
        actor = (request.query_params.get("actor") or "").strip()[:100] or None
        return content, media_type_of(request), name_of(request, "photo"), actor

    async def add_photo(request: Request) -> Response:
        only(request, "role", "name", "actor")
        editor = editor_of(desk.datastore.settings, request, READ_ONLY)
        role, case_id = request.query_params.get("role", "field"), _number(request, "case")
        content, kind, name, actor = await upload(request)
        made = await run_in_threadpool(desk.add_case_photo, case_id, content, kind, role, name, actor, editor)
        await run_in_threadpool(desk.show)
        return json_answer(photo_document(made), status=201, headers={"Location": f"{PATH}/photos/{made.id}"})

    async def add_patrol_photo(request: Request) -> Response:
        only(request, "name", "actor")
        editor = editor_of(desk.datastore.settings, request, READ_ONLY)
        patrol_id = _number(request, "patrol")
        content, kind, name, actor = await upload(request)
        made = await run_in_threadpool(desk.add_patrol_photo, patrol_id, content, kind, name, actor, editor)
        return json_answer(photo_document(made), status=201, headers={"Location": f"{PATH}/photos/{made.id}"})

    async def photo(request: Request) -> Response:
        only(request)
        number = _number(request, "photo")
        found = await run_in_threadpool(desk.store.photo, number)
        path = None if found is None else picture_path(desk.folder, found.sha256, found.media_type)
        if found is None or path is None or not path.is_file():
            raise missing_photo(number)
        # The bytes of a photo never change: their hash is its tag.
        headers = {"ETag": f'"{found.sha256}"', "Cache-Control": "private, max-age=86400"}
        return unchanged(request, headers) or FileResponse(
            path, media_type=found.media_type, filename=found.name, content_disposition_type="inline", headers=headers
        )

    return [
        ("/cases/{case}/photos", "POST", add_photo),
        ("/photos/{photo}", "GET", photo),
        ("/patrols/{patrol}/photos", "POST", add_patrol_photo),
    ]


def _patrols(desk: Desk) -> list[Address]:
    """Patrols: the list, a new one, one."""

    async def patrols(request: Request) -> Response:
        only(request, "water", "unit", "from", "to", "limit")
        found = await run_in_threadpool(
            desk.store.patrols,
            water=request.query_params.get("water"),
            unit=request.query_params.get("unit"),
            since=day_parameter(request, "from"),
            until=day_parameter(request, "to", end=True),
            limit=whole(request, "limit", 1, MOST, 100),
        )
        features = [patrol_document(row) for row in found]
        document = {"type": "FeatureCollection", "features": features, "numberReturned": len(features)}
        return json_answer(document, media_type=GEOJSON)

    async def record_patrol(request: Request) -> Response:
        only(request)
        editor = editor_of(desk.datastore.settings, request, READ_ONLY)
        given = read_request(PatrolRequest, await json_body(request))
        made = await run_in_threadpool(desk.record_patrol, given, editor)
        headers = {"Location": f"{PATH}/patrols/{made.id}"}
        return json_answer(patrol_document(made, []), status=201, headers=headers, media_type=GEOJSON)

    async def patrol(request: Request) -> Response:
        only(request)
        found = await run_in_threadpool(desk.patrol, _number(request, "patrol"))
        return json_answer(found, media_type=GEOJSON)

    return [
        ("/patrols", "GET", patrols),
        ("/patrols", "POST", record_patrol),
        ("/patrols/{patrol}", "GET", patrol),
    ]


def _figures(desk: Desk) -> list[Address]:
    """Register of waters, assessment, ledger."""

    async def waters(request: Request) -> Response:
        only(request)
        return json_answer(await run_in_threadpool(register.waters, desk.datastore, desk.store, desk.rules, utc_now()))

    async def water(request: Request) -> Response:
        only(request)
        name = request.path_params["name"][:100]
        found = await run_in_threadpool(register.water_file, desk.datastore, desk.store, desk.rules, name, utc_now())
        return json_answer(found)

    async def assess(request: Request) -> Response:
        only(request, "from", "to")
        start, end = day_parameter(request, "from"), day_parameter(request, "to", end=True)

        def work() -> dict[str, Any]:
            found, _ = desk.store.cases(CaseFilter())
            walked = desk.store.patrols(since=start, until=end)
            return assessment.assess(found, walked, now=utc_now(), start=start, end=end)

        return json_answer(await run_in_threadpool(work))

    async def export(request: Request) -> Response:
        only(request, *_FILTERS)
        wanted, ending = _filter(request, desk), request.path_params["ending"]
        filters = _filter_text(request)

        def work() -> bytes:
            now = utc_now()
            found, matched = desk.store.cases(wanted, limit=MOST_EXPORT, now=now)
            if matched > MOST_EXPORT:
                raise InvalidParameter(
                    f"符合条件的图斑有 {matched} 个，一次至多导出 {MOST_EXPORT} 个；请加筛选",
                    f"{matched} cases match, at most {MOST_EXPORT} go into one file; narrow the filter",
                    parameter="state",
                )
            rows = ledger.ledger_rows(found, desk.store.events([c.id for c in found]), desk.rules, now)
            limits = desk.rules.evidence
            most = limits.most_in_excel if ending == "xlsx" else limits.most_in_word
            pictures = document_pictures(desk.store, desk.folder, found, most)
            write = ledger.write_excel if ending == "xlsx" else ledger.write_word
            return write(rows, at=now, filters=filters, synthetic=any(c.synthetic for c in found), pictures=pictures)

        headers = {
            "Content-Disposition": f'attachment; filename="river-chief-ledger.{ending}"',
            "Cache-Control": "no-store",
        }
        kind = ledger.XLSX if ending == "xlsx" else ledger.DOCX
        return Response(await run_in_threadpool(work), media_type=kind, headers=headers)

    async def excel(request: Request) -> Response:
        request.path_params["ending"] = "xlsx"
        return await export(request)

    async def word(request: Request) -> Response:
        request.path_params["ending"] = "docx"
        return await export(request)

    return [
        ("/waters", "GET", waters),
        ("/waters/{name}", "GET", water),
        ("/assessment", "GET", assess),
        ("/ledger.xlsx", "GET", excel),
        ("/ledger.docx", "GET", word),
    ]


def routes(datastore: DataStore, chips: ChipRenderer | None = None) -> list[Route]:
    """Routes over one data store; `chips` draws the scenes that alerts name."""
    desk = Desk(datastore, chips)
    table = [*_overview(desk), *_cases(desk), *_photos(desk), *_patrols(desk), *_figures(desk)]
    return [Route(f"{PATH}{path}", endpoint, methods=[method]) for path, method, endpoint in table]
