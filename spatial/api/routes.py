"""Routes of ``/api/v1``: the catalogue that the portal draws, identify at a point, files of raster layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spatial.api.catalogue import catalogue_document
from spatial.api.identify import identify
from spatial.errors import InvalidParameter, UnknownParameter

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


def _number(request: Request, name: str, low: float, high: float, default: float | None = None) -> float:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise InvalidParameter(
            f"参数 {name} 应为 {low:g} 至 {high:g} 的数",
            f"{name} must be a number from {low:g} to {high:g}",
            parameter=name,
            value=text,
        )
    return value


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

    async def layer_file(request: Request) -> Response:
        _only(request, "version")
        raster = store.snapshot().raster(request.path_params["layer"], request.query_params.get("version"))
        return FileResponse(
            raster.path,
            media_type="image/tiff; application=geotiff; profile=cloud-optimized",
            filename=f"{raster.layer.id}_{raster.version}.tif",
        )

    return [
        Route("/api/v1/catalogue", catalogue),
        Route("/api/v1/identify", identify_point),
        Route("/api/v1/layers/{layer}/file", layer_file),
    ]
