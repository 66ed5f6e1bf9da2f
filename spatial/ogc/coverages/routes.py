"""OGC API – Coverages (draft 19-087): the values of a raster layer, whole or in part.

``/collections/{id}/coverage`` without parameters is the stored COG itself, with byte ranges. With ``bbox`` or ``subset`` it is
the native cells that the box meets, unchanged; with ``crs`` or scaling it is resampled, and ``Content-Interpolation`` says how.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from spatial.building_block import BuildingBlock
from spatial.crs import STORAGE
from spatial.errors import NotFound
from spatial.ogc import queryables
from spatial.ogc.coverages.documents import collection_members, domain_set, field_schema, range_type
from spatial.ogc.coverages.formats import FORMATS, GEOTIFF, pieces, to_coverage_json, write_geotiff, write_netcdf
from spatial.ogc.coverages.openapi import components, paths
from spatial.ogc.coverages.request import COVERAGE_PARAMETERS, read_coverage
from spatial.ogc.data_formats import DataFormat, read_data_call, read_data_format
from spatial.ogc.exchange import JSON, SCHEMA, link, read_call
from spatial.ogc.parameters import DOCUMENT_PARAMETERS
from spatial.store.coverage_grid import MAX_CELLS, CoverageGrid, plan_grid
from spatial.store.raster import published_file

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot
    from spatial.store.raster import PublishedRaster

__all__ = ["COVERAGES"]

MAX_TEXT_VALUES = 1_000_000
"""Most values of an answer as text."""
_CONFORMANCE = tuple(
    f"http://www.opengis.net/spec/ogcapi-coverages-1/1.0/conf/{name}"
    for name in (
        "core",
        "subsetting-spatial",
        "scaling",
        "scaling-spatial",
        "field-selection",
        "crs",
        "geotiff",
        "cog",
        "netcdf",
        "coveragejson",
        "oas30",
    )
)
_SUFFIXES = {"GeoTIFF": "tif", "COG": "tif", "NetCDF": "nc", "CoverageJSON": "covjson"}
_OGC_METHODS = {
    "nearest": "nearest-neighbor",
    "bilinear": "linear",
    "average": "average",
    "mode": "mode",
}


def published_raster(snapshot: Snapshot, layer_id: str, version: str | None = None) -> PublishedRaster:
    """Published version of a raster layer; a vector layer has no coverage (404)."""
    layer = snapshot.catalog[layer_id]
    if layer.is_vector:
        raise NotFound(
            f"图层 {layer_id} 是矢量，没有覆盖数据；请用其要素地址 items",
            f"layer {layer_id} is a vector layer and has no coverage; use its items",
            layer=layer_id,
        )
    return snapshot.raster(layer_id, version)


def temporary(datastore: DataStore) -> Path:
    """Folder of files that live as long as one answer."""
    return datastore.settings.var_dir / "tmp"


async def coverage(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/coverage``."""
    layer_id, snapshot = request.path_params["collection"], datastore.snapshot()
    raster = published_raster(snapshot, layer_id, request.query_params.get("version"))
    call = read_data_call(datastore, request, COVERAGE_PARAMETERS, snapshot)
    asked = read_coverage(raster.layer, call.parameters)
    form = read_data_format(request, call.parameters, FORMATS)
    etag = call.etag(layer_id, raster.version, form.name)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    limit = MAX_TEXT_VALUES if form.name == "CoverageJSON" else MAX_CELLS
    every = tuple(range(len(raster.layer.bands)))
    if asked.is_whole_file and asked.bands == every and form.media == GEOTIFF:
        return FileResponse(
            published_file(raster),
            media_type=GEOTIFF,
            filename=f"{layer_id}.tif",
            content_disposition_type="inline",
            headers={**call.headers(etag), **_bounds_headers(raster.extent, STORAGE), "Accept-Ranges": "bytes"},
        )
    grid = await run_in_threadpool(
        plan_grid,
        raster,
        bands=asked.bands,
        region=asked.region,
        crs=asked.crs,
        scaling=asked.scaling,
        interpolation=asked.interpolation,
        limit=limit,
    )
    headers = {**call.headers(etag), **_headers(grid, form)}
    if form.name == "CoverageJSON":
        identify = call.address(f"/collections/{layer_id}/schema")
        body = await run_in_threadpool(to_coverage_json, grid, identify)
        return Response(body, media_type=form.media, headers=headers)
    folder = temporary(datastore)
    if form.name == "NetCDF":
        file = await run_in_threadpool(write_netcdf, grid, folder)
    else:
        file = await run_in_threadpool(partial(write_geotiff, cog=form.name == "COG"), grid, folder)
    headers["Content-Length"] = str(file.seek(0, 2))
    file.seek(0)
    return StreamingResponse(pieces(file), media_type=form.media, headers=headers)


def _bounds_headers(bounds: tuple[float, float, float, float], crs: Any) -> dict[str, str]:
    west, south, east, north = bounds
    corners = (south, west, north, east) if crs.latitude_first else bounds
    return {"Content-Crs": f"<{crs.uri}>", "Content-Bbox": ",".join(f"{value!r}" for value in corners)}


def _headers(grid: CoverageGrid, form: DataFormat) -> dict[str, str]:
    """What the answer is: CRS, box, interpolation, file name (core, /req/core/response-headers)."""
    name = f"{grid.raster.layer.id}.{_SUFFIXES[form.name]}"
    found = {**_bounds_headers(grid.bounds, grid.crs), "Content-Disposition": f'inline; filename="{name}"'}
    if grid.offset is None:
        words = [f"[ogc-interpolation:{_OGC_METHODS[method]}]" for method in grid.methods]
        found["Content-Interpolation"] = words[0]
        if len(set(words)) > 1:
            fields = zip((grid.raster.layer.bands[band].name for band in grid.bands), words, strict=True)
            found["Content-Interpolation"] += f"; fields={','.join(f'{field}({word})' for field, word in fields)}"
    return found


async def _document(datastore: DataStore, request: Request, *, kind: str) -> Response:
    layer_id, snapshot = request.path_params["collection"], datastore.snapshot()
    raster = published_raster(snapshot, layer_id)
    call = read_call(datastore, request, DOCUMENT_PARAMETERS, snapshot)
    etag = call.etag(layer_id, raster.version, kind)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    document = domain_set(raster) if kind == "domainset" else range_type(raster, call.language)
    if call.format == "html":
        heading = call.say("格网", "Domain set") if kind == "domainset" else call.say("波段", "Range type")
        return call.page("document.html", etag, {"document": document, "layer": raster.layer, "heading": heading})
    return call.answer(document, etag)


async def schema(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/schema``: bands of a raster; fields of a vector layer are told by `queryables`."""
    layer_id, snapshot = request.path_params["collection"], datastore.snapshot()
    if snapshot.catalog[layer_id].is_vector:
        return await queryables.schema(datastore, request)
    raster = published_raster(snapshot, layer_id)
    call = read_call(datastore, request, DOCUMENT_PARAMETERS, snapshot)
    etag = call.etag(layer_id, raster.version, "schema")
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": call.address(f"/collections/{layer_id}/schema"),
        "type": "object",
        "title": call.title(raster.layer),
        "description": call.text(raster.layer.description),
        "properties": field_schema(raster, call.language),
    }
    if call.format == "html":
        links = [link(call.address(f"/collections/{layer_id}"), "collection", JSON, call.title(raster.layer))]
        values = {"layer": raster.layer, "document": document, "kind": "schema", "links": links}
        return call.page("queryables.html", etag, values)
    return call.answer(document, etag, SCHEMA)


def _routes(datastore: DataStore) -> list[Route]:
    path = "/ogc/collections/{collection}"
    return [
        Route(f"{path}/coverage", partial(coverage, datastore), methods=["GET"]),
        Route(f"{path}/coverage/domainset", partial(_document, datastore, kind="domainset"), methods=["GET"]),
        Route(f"{path}/coverage/rangetype", partial(_document, datastore, kind="rangetype"), methods=["GET"]),
        Route(f"{path}/schema", partial(schema, datastore), methods=["GET"]),
    ]


COVERAGES = BuildingBlock(
    name="coverages",
    title="覆盖数据 / coverages",
    conformance=_CONFORMANCE,
    routes=_routes,
    paths=paths,
    components=components,
    collection=collection_members,
)
