"""Routes of ``/api/v1``: the catalogue that the portal draws, identify and explain at a place, files of raster layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spatial.api.audit import audit_routes
from spatial.api.catalogue import catalogue_document
from spatial.api.explain import explain_area, explain_point, polygon_of
from spatial.api.files import document_file
from spatial.api.identify import identify
from spatial.api.scenes import collections_document, scenes_document
from spatial.errors import InvalidParameter, UnknownParameter
from spatial.exchange import json_document
from spatial.store.raster import published_file

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["routes"]


def _json(document: Any, headers: dict[str, str] | None = None) -> Response:
    import orjson

    return Response(orjson.dumps(document), media_type="application/json", headers=headers)


def _only(request: Request, *allowed: str) -> None:
    for name in request.query_params:
        if name not in allowed:
            raise UnknownParameter(
                f"未知参数 {name!r}，可用：{'、'.join(allowed) or '无'}",
                f"unknown parameter {name!r}; allowed: {', '.join(allowed) or 'none'}",
                parameter=name,
                allowed=list(allowed),
            )


def _number(
    request: Request, name: str, low: float, high: float, default: float | None = None, swapped: str | None = None
) -> float:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        # A latitude beyond 90 beside a longitude within 90 is almost always the other way round.
        hint = swapped is not None and math.isfinite(value)
        raise InvalidParameter(
            f"参数 {name} 应为 {low:g} 至 {high:g} 的数" + ("；lon 是经度，lat 是纬度，是否颠倒？" if hint else ""),
            f"{name} must be a number from {low:g} to {high:g}"
            + ("; lon is the longitude, lat the latitude: are they swapped?" if hint else ""),
            parameter=name,
            value=text,
        )
    return value


def _layer(request: Request) -> str:
    layer = request.query_params.get("layer", "")
    if not layer:
        raise InvalidParameter(
            "参数 layer 应为结果图层的 id", "layer must be the id of a result layer", parameter="layer"
        )
    return layer


def _changes(request: Request, *others: str) -> dict[str, str]:
    """The parameters of a scenario; what they may be depends on the chain of the layer."""
    return {name: text for name, text in request.query_params.items() if name not in {"layer", *others}}


def routes(store: DataStore) -> list[Route]:
    """Routes over one data store."""

    async def catalogue(request: Request) -> Response:
        _only(request)
        snapshot = store.snapshot()
        etag = f'W/"catalogue-{snapshot.revision}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return _json(catalogue_document(snapshot), headers)

    async def identify_point(request: Request) -> Response:
        _only(request, "lon", "lat", "layers", "tolerance")
        lon = _number(request, "lon", -180, 180)
        lat = _number(request, "lat", -90, 90)
        tolerance = _number(request, "tolerance", 0, 1, 0.0)
        snapshot = store.snapshot()
        wanted = [name for name in request.query_params.get("layers", "").split(",") if name]
        if not wanted:
            raise InvalidParameter(
                "参数 layers 应列出图层 id，以逗号分隔",
                "layers must list layer ids, comma-separated",
                parameter="layers",
            )
        if len(wanted) > 30:
            raise InvalidParameter("一次最多识别 30 个图层", "at most 30 layers at once", parameter="layers")
        return _json(await run_in_threadpool(identify, store, snapshot, lon, lat, wanted, tolerance))

    async def explain_at(request: Request) -> Response:
        lon = _number(request, "lon", -180, 180)
        lat = _number(request, "lat", -90, 90, swapped=request.query_params.get("lon"))
        changes = _changes(request, "lon", "lat")
        layer = _layer(request)
        return _json(await run_in_threadpool(explain_point, store.snapshot(), layer, lon, lat, changes))

    async def explain_inside(request: Request) -> Response:
        layer = _layer(request)
        shape = polygon_of(json_document(await request.body()))
        changes = _changes(request)
        return _json(await run_in_threadpool(explain_area, store.snapshot(), layer, shape, changes))

    async def job_file(request: Request) -> Response:
        _only(request)
        job, name = request.path_params["job"][:200], request.path_params["name"]
        path, media_type, filename = await run_in_threadpool(document_file, store, job, name)
        # A result never changes: name and job are the version.
        etag = f'"{job}-{name}-{path.stat().st_size:x}"'
        headers = {"ETag": etag, "Cache-Control": "private, max-age=86400"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type=media_type, filename=filename, headers=headers)

    async def layer_file(request: Request) -> Response:
        _only(request, "version")
        raster = store.snapshot().raster(request.path_params["layer"], request.query_params.get("version"))
        return FileResponse(
            published_file(raster),
            media_type="image/tiff; application=geotiff; profile=cloud-optimized",
            filename=f"{raster.layer.id}_{raster.version}.tif",
        )

    async def scene_collections(request: Request) -> Response:
        _only(request)
        return _json(await run_in_threadpool(collections_document, store.settings.scenes_dir))

    async def scenes(request: Request) -> Response:
        _only(request)
        name = request.path_params["collection"]
        return _json(await run_in_threadpool(scenes_document, store.settings.scenes_dir, name))

    return [
        Route("/api/v1/catalogue", catalogue),
        Route("/api/v1/scenes", scene_collections),
        Route("/api/v1/scenes/{collection}", scenes),
        Route("/api/v1/identify", identify_point),
        Route("/api/v1/explain", explain_at, methods=["GET"]),
        Route("/api/v1/explain", explain_inside, methods=["POST"]),
        Route("/api/v1/jobs/{job}/files/{name}", job_file),
        Route("/api/v1/layers/{layer}/file", layer_file),
        *audit_routes(store),
    ]
