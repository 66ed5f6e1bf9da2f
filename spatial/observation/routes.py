"""Routes of observations, ``/api/v1/observation``, ``/api/v1/cameras…``, ``/api/v1/snapshots…``, ``/api/v1/sensors…``."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spatial.catalog import Text
from spatial.errors import InvalidParameter, UnsupportedMediaType
from spatial.exchange import (
    editor_of,
    json_answer,
    json_document,
    media_type_of,
    name_of,
    number_in_path,
    only,
    unchanged,
    whole,
)
from spatial.observation import cameras as registered
from spatial.observation import readings as sensors
from spatial.observation.flights import FLIGHTS, flight_rows
from spatial.observation.openapi import openapi_document
from spatial.observation.orthophoto import read_moment
from spatial.observation.rules import read_observation_rules
from spatial.observation.snapshots import add_snapshot, missing_snapshot, pictures_dir, thumbnail
from spatial.store.observation_store import FLAG_CODES, ObservationStore
from spatial.store.picture_files import picture_path

if TYPE_CHECKING:
    from datetime import datetime

    from spatial.observation.rules import ObservationRules
    from spatial.store.datastore import DataStore
    from spatial.store.observation_store import Reading, Snapshot

__all__ = ["UPLOADS", "routes"]

UPLOADS = {"/api/v1/cameras/{camera}/snapshots": 5_200_000}
"""Routes where bodies may be larger than others, and how large: a snapshot over its own limit should be told so by name."""
GEOJSON = "application/geo+json"
_READ_ONLY = Text(
    zh="本服务未开放写入，视频与传感器只读；请管理员设置 ONEMAP_EDIT",
    en="writing is switched off, cameras and sensors are read-only; ask the operator to set ONEMAP_EDIT",
)
MOST = 10_000
Address = tuple[str, str, Callable[[Request], Awaitable[Response]]]
"""Path below ``/api/v1``, method, and what answers."""


def _instant(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def snapshot_document(row: Snapshot) -> dict[str, Any]:
    """A snapshot as clients see it."""
    return {
        "id": row.id,
        "camera": row.camera,
        "time": _instant(row.at),
        "name": row.name,
        "media_type": row.media_type,
        "bytes": row.bytes,
        "width": row.width,
        "height": row.height,
        "synthetic": row.synthetic,
        "href": f"/api/v1/snapshots/{row.id}",
        "thumbnail": f"/api/v1/snapshots/{row.id}/thumbnail",
    }


def reading_document(row: Reading) -> dict[str, Any]:
    """A reading as clients see it."""
    found: dict[str, Any] = {
        "station": row.station, "field": row.field, "time": _instant(row.at), "value": row.value, "flag": row.flag,
    }  # fmt: skip
    return found | ({"previous": row.previous} if row.previous else {})


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    # A plus sign in a query is a blank unless it is written %2B.
    return None if text is None else read_moment(text.replace(" ", "+"), parameter=name)


def _rules(datastore: DataStore) -> ObservationRules:
    return read_observation_rules(datastore.settings.layers_dir)


def _overview(datastore: DataStore) -> list[Address]:
    """What there is to observe with, its OpenAPI document, the flights."""
    settings = datastore.settings

    async def root(request: Request) -> Response:
        only(request)

        def work() -> dict[str, Any]:
            found, snapshot = _rules(datastore), datastore.snapshot()
            layers = snapshot.layers()
            return {
                "editing": settings.edit,
                "cameras": next((x.id for x in layers if x.id == found.cameras.layer and x.series == "snapshots"), None),
                "sectors": {"radius_m": found.cameras.sector_m},
                "sensors": [
                    {"layer": x.id, "title": x.display_title().model_dump(), "synthetic": x.synthetic is not None}
                    for x in layers
                    if x.series == "readings"
                ],
                "flights": next((x.id for x in layers if x.id == FLIGHTS), None),
                "snapshots": {"types": list(found.snapshots.types), "max_bytes": found.snapshots.max_bytes,
                              "keep": found.snapshots.keep},
                "flags": FLAG_CODES,
                "links": [{"rel": "service-desc", "href": "/api/v1/observation/api"}],
            }  # fmt: skip

        return json_answer(await run_in_threadpool(work))

    async def api(request: Request) -> Response:
        only(request)
        return json_answer(
            openapi_document(_rules(datastore), settings.url), media_type="application/vnd.oai.openapi+json;version=3.0"
        )

    async def flights(request: Request) -> Response:
        only(request)

        def work() -> dict[str, Any]:
            rows = []
            for row in flight_rows(datastore):
                item = f"{row['site']}_{row['version']}".lower().replace(".", "-")
                rows.append(
                    row
                    | {"time": _instant(row["time"])}
                    | {"stac": f"/stac/collections/{row['site']}/items/{item}"}
                    | {"tiles": f"/tiles/{row['site']}/tilejson.json?version={row['version']}"}
                )
            return {"flights": rows}

        return json_answer(await run_in_threadpool(work))

    return [
        ("/observation", "GET", root),
        ("/observation/api", "GET", api),
        ("/observation/flights", "GET", flights),
    ]


def _cameras(datastore: DataStore) -> list[Address]:
    """Cameras: the list, one, a new one, a change."""
    store = ObservationStore(datastore.state)

    def with_last(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        layer_id = _rules(datastore).cameras.layer
        newest, spans = store.newest_snapshots(layer_id), store.snapshot_spans(layer_id)
        for feature in features:
            properties = feature["properties"]
            last, span = newest.get(properties["camera"]), spans.get(properties["camera"])
            properties["snapshots"] = 0 if span is None else span.count
            properties["last_snapshot"] = None if last is None else snapshot_document(last)
        return features

    async def cameras(request: Request) -> Response:
        only(request)
        found = await run_in_threadpool(lambda: with_last(registered.camera_features(datastore, _rules(datastore))))
        document = {"type": "FeatureCollection", "features": found, "numberReturned": len(found)}
        return json_answer(document, media_type=GEOJSON)

    async def camera(request: Request) -> Response:
        only(request)
        code = request.path_params["camera"]
        found = await run_in_threadpool(
            lambda: with_last([registered.camera_feature(datastore, _rules(datastore), code)])[0]
        )
        return json_answer(found, media_type=GEOJSON)

    async def register(request: Request) -> Response:
        only(request)
        editor = editor_of(datastore.settings, request, _READ_ONLY)
        document = json_document(await request.body())
        await run_in_threadpool(registered.register_camera, datastore, _rules(datastore), document, editor)
        code = document["properties"]["camera"]
        found = await run_in_threadpool(registered.camera_feature, datastore, _rules(datastore), code)
        headers = {"Location": f"/api/v1/cameras/{quote(code)}"}
        return json_answer(found, status=201, headers=headers, media_type=GEOJSON)

    async def change(request: Request) -> Response:
        only(request)
        editor = editor_of(datastore.settings, request, _READ_ONLY)
        code, patch = request.path_params["camera"], json_document(await request.body())
        await run_in_threadpool(registered.change_camera, datastore, _rules(datastore), code, patch, editor)
        return json_answer(
            await run_in_threadpool(registered.camera_feature, datastore, _rules(datastore), code), media_type=GEOJSON
        )

    return [
        ("/cameras", "GET", cameras),
        ("/cameras", "POST", register),
        ("/cameras/{camera}", "GET", camera),
        ("/cameras/{camera}", "PATCH", change),
    ]


def _snapshots(datastore: DataStore) -> list[Address]:
    """Snapshots of a camera: the list, a new one, the picture, the small picture."""
    store = ObservationStore(datastore.state)
    folder = pictures_dir(datastore)

    async def snapshots(request: Request) -> Response:
        only(request, "from", "to", "limit", "offset")
        code = request.path_params["camera"]
        limit, offset = whole(request, "limit", 1, MOST, 100), whole(request, "offset", 0, 10_000_000, 0)
        since, until = _moment(request, "from"), _moment(request, "to")

        def work() -> dict[str, Any]:
            found = _rules(datastore)
            registered.camera_feature(datastore, found, code)
            rows, matched = store.snapshots(
                found.cameras.layer, [code], since=since, until=until, limit=limit, offset=offset
            )
            return {
                "camera": code,
                "snapshots": [snapshot_document(row) for row in rows],
                "numberMatched": matched,
                "numberReturned": len(rows),
            }

        return json_answer(await run_in_threadpool(work))

    async def add(request: Request) -> Response:
        only(request, "time", "name")
        editor = editor_of(datastore.settings, request, _READ_ONLY)
        at = _moment(request, "time") or read_moment(None, parameter="time")
        name = name_of(request, "snapshot")
        content, kind = await request.body(), media_type_of(request)
        code = request.path_params["camera"]
        made = await run_in_threadpool(
            lambda: add_snapshot(datastore, _rules(datastore), code, content, kind, at, name=name, editor=editor)
        )
        return json_answer(snapshot_document(made), status=201, headers={"Location": f"/api/v1/snapshots/{made.id}"})

    async def picture(request: Request) -> Response:
        only(request)
        number = number_in_path(request, "snapshot")
        found = await run_in_threadpool(store.snapshot, number)
        path = None if found is None else picture_path(folder, found.sha256, found.media_type)
        if found is None or path is None or not path.is_file():
            raise missing_snapshot(number)
        # The bytes of a snapshot never change: their hash is its tag.
        headers = {"ETag": f'"{found.sha256}"', "Cache-Control": "private, max-age=86400"}
        return unchanged(request, headers) or FileResponse(path, media_type=found.media_type, headers=headers)

    async def small(request: Request) -> Response:
        only(request)
        number = number_in_path(request, "snapshot")
        found = await run_in_threadpool(store.snapshot, number)
        if found is None:
            raise missing_snapshot(number)
        side = _rules(datastore).snapshots.thumbnail_px
        headers = {"ETag": f'"{found.sha256}-{side}"', "Cache-Control": "private, max-age=86400"}
        return unchanged(request, headers) or Response(
            await run_in_threadpool(thumbnail, folder, found, side), media_type="image/jpeg", headers=headers
        )

    return [
        ("/cameras/{camera}/snapshots", "GET", snapshots),
        ("/cameras/{camera}/snapshots", "POST", add),
        ("/snapshots/{snapshot}", "GET", picture),
        ("/snapshots/{snapshot}/thumbnail", "GET", small),
    ]


def _sensors(datastore: DataStore) -> list[Address]:
    """Readings of sensors: the list, new ones."""
    store = ObservationStore(datastore.state)

    async def readings(request: Request) -> Response:
        only(request, "station", "field", "from", "to", "limit", "f")
        layer_id, asked = request.path_params["layer"], request.query_params
        limit = whole(request, "limit", 1, MOST, 1000)
        since, until = _moment(request, "from"), _moment(request, "to")
        form = asked.get("f", "json")
        if form not in {"json", "csv"}:
            raise InvalidParameter(
                "f 应为 json 或 csv", "f must be json or csv", parameter="f", allowed=["json", "csv"]
            )

        def work() -> Response:
            layer = sensors.sensor_layer(datastore, layer_id)
            known, fields = sensors.stations_of(datastore, layer), sensors.measured_fields(layer)
            for name, among in (("station", known), ("field", set(fields))):
                if name in asked and asked[name] not in among:
                    raise InvalidParameter(
                        f"参数 {name} 应为 {'、'.join(sorted(among)[:20])} 之一，收到 {asked[name][:40]!r}",
                        f"{name} must be one of {', '.join(sorted(among)[:20])}, got {asked[name][:40]!r}",
                        parameter=name,
                        allowed=sorted(among)[:50],
                    )
            rows = store.readings(
                layer.id,
                [asked["station"]] if "station" in asked else known,
                fields=[asked["field"]] if "field" in asked else None,
                since=since,
                until=until,
                limit=limit,
                newest_first=True,
            )
            units = {name: field.unit for name, field in fields.items()}
            if form == "csv":
                out = io.StringIO()
                table = csv.writer(out, lineterminator="\n")
                table.writerow(("station", "time", "value", "unit", "field", "flag"))
                for r in rows:
                    table.writerow((r.station, _instant(r.at), r.value, units.get(r.field), r.field, r.flag))
                return Response(
                    out.getvalue(),
                    media_type="text/csv; charset=utf-8",
                    headers={"Cache-Control": "no-cache",
                             "Content-Disposition": f'inline; filename="{layer.id}-readings.csv"'},
                )  # fmt: skip
            return json_answer(
                {
                    "layer": layer.id,
                    "units": units,
                    "synthetic": layer.synthetic is not None,
                    "readings": [reading_document(row) for row in rows],
                    "numberReturned": len(rows),
                }
            )

        return await run_in_threadpool(work)

    async def append(request: Request) -> Response:
        only(request, "duplicates")
        editor = editor_of(datastore.settings, request, _READ_ONLY)
        declared = request.query_params.get("duplicates", "refuse")
        if declared not in {"refuse", "keep", "replace"}:
            raise InvalidParameter(
                "duplicates 应为 refuse、keep 或 replace",
                "duplicates must be refuse, keep or replace",
                parameter="duplicates",
                allowed=["refuse", "keep", "replace"],
            )
        content, kind, layer_id = await request.body(), media_type_of(request), request.path_params["layer"]

        def work() -> dict[str, Any]:
            rows: Any
            if kind == "text/csv":
                rows = sensors.read_csv_rows(content)
            elif kind in {"", "application/json"}:
                document = json_document(content)
                rows = document.get("readings") if isinstance(document, dict) else document
                if not isinstance(rows, list):
                    raise InvalidParameter(
                        "请求体应为读数数组，或含 readings 数组的对象",
                        "the body must be an array of readings, or an object with readings",
                        parameter="readings",
                    )
            else:
                raise UnsupportedMediaType(
                    f"请求体类型 {kind[:60]!r} 不受支持，请用 application/json 或 text/csv",
                    f"a body of type {kind[:60]!r} is not read here; send application/json or text/csv",
                    allowed=["application/json", "text/csv"],
                )
            duplicates = cast("sensors.Duplicates", declared)
            return sensors.append_readings(datastore, layer_id, rows, duplicates=duplicates, principal=editor.principal)

        done = await run_in_threadpool(work)
        headers = {"OneMap-Layer": "current" if done["shown"] else "behind"}
        return json_answer(done, status=201, headers=headers)

    return [
        ("/sensors/{layer}/readings", "GET", readings),
        ("/sensors/{layer}/readings", "POST", append),
    ]


def routes(datastore: DataStore) -> list[Route]:
    """Routes over one data store."""
    table = [*_overview(datastore), *_cameras(datastore), *_snapshots(datastore), *_sensors(datastore)]
    return [Route(f"/api/v1{path}", endpoint, methods=[method]) for path, method, endpoint in table]
