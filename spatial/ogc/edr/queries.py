"""Handlers of the EDR queries: position, radius, area, cube, trajectory, corridor, locations; current version or an instance.

A query that meets no data answers 204 (1.1, /req/edr/query_type/no-data). Rasters have no heights and, unless their layer names a
period, no time; ``datetime`` then has no effect, and ``z`` is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from spatial.crs import CRS84, ServedCRS, transform_geometries
from spatial.errors import InvalidParameter, NotFound, OutsideExtent, UnknownProperty
from spatial.ogc import coverage_json
from spatial.ogc.coverages.formats import GEOTIFF, NETCDF, pieces, write_geotiff, write_netcdf
from spatial.ogc.coverages.request import axis_names, read_bands, read_box
from spatial.ogc.data_formats import DataFormat, read_data_call, read_data_format
from spatial.ogc.edr import formats as edr_formats
from spatial.ogc.edr import rasters as edr_rasters
from spatial.ogc.edr.answers import Points, Subject
from spatial.ogc.edr.appended import series_stamp
from spatial.ogc.edr.geometry import corridor
from spatial.ogc.edr.request import read_crs, read_distance, read_interval, read_wkt, refuse_height, to_lonlat
from spatial.ogc.edr.stations import observations, parameters_of, station_index
from spatial.ogc.exchange import Call, link
from spatial.store.coverage_grid import Region, Scaling, plan_grid
from spatial.store.raster import PublishedRaster
from spatial.store.vector import Interval, PublishedTable

if TYPE_CHECKING:
    from spatial.catalog import Attribute, Band
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = [
    "FORMATS",
    "QUERIES",
    "RASTER_QUERIES",
    "STATION_QUERIES",
    "Query",
    "answer",
    "edr_layer",
    "formats_of",
    "locations",
    "parameters_of_query",
    "queries_of",
]

Query = Literal["position", "radius", "area", "cube", "trajectory", "corridor", "locations"]
QUERIES: tuple[Query, ...] = ("position", "radius", "area", "cube", "trajectory", "corridor", "locations")
RASTER_QUERIES: tuple[Query, ...] = ("position", "radius", "area", "cube", "trajectory", "corridor")
STATION_QUERIES: tuple[Query, ...] = ("position", "radius", "area", "cube", "corridor", "locations")

_COVERAGE_JSON = DataFormat(
    "CoverageJSON", coverage_json.COVJSON, ("covjson", "json", "application/json", "application/vnd.cov+json")
)
_GEOJSON = DataFormat("GeoJSON", "application/geo+json")
_CSV = DataFormat("CSV", "text/csv; charset=utf-8")
_NETCDF = DataFormat("NetCDF", NETCDF, ("nc", "netcdf4"))
_GEOTIFF = DataFormat("GeoTIFF", GEOTIFF, ("tif", "tiff"))
FORMATS = (_COVERAGE_JSON, _GEOJSON, _CSV, _NETCDF, _GEOTIFF)

_COMMON = ("parameter-name", "datetime", "crs", "f", "header", "lang")
_OWN: dict[Query, tuple[str, ...]] = {
    "position": ("coords",),
    "radius": ("coords", "within", "within-units"),
    "area": ("coords",),
    "cube": ("bbox", "resolution-x", "resolution-y"),
    "trajectory": ("coords",),
    "corridor": ("coords", "corridor-width", "width-units", "corridor-height", "height-units"),
    "locations": (),
}
_KINDS: dict[str, tuple[str, ...]] = {
    "position": ("POINT", "MULTIPOINT"),
    "radius": ("POINT",),
    "area": ("POLYGON", "MULTIPOLYGON"),
    "trajectory": ("LINESTRING", "MULTILINESTRING"),
    "corridor": ("LINESTRING", "MULTILINESTRING"),
}


def queries_of(published: Published) -> tuple[Query, ...]:
    """Queries that a layer answers; empty for layers that are neither raster nor stations."""
    if isinstance(published, PublishedRaster):
        return RASTER_QUERIES
    if published.layer.kind == "stations":
        return STATION_QUERIES
    return ()


def formats_of(query: Query, *, raster: bool) -> tuple[DataFormat, ...]:
    """Formats of a query, the default first."""
    if query == "cube" and raster:
        return (_COVERAGE_JSON, _NETCDF, _GEOTIFF, _CSV)
    return (_COVERAGE_JSON, _GEOJSON, _CSV)


def parameters_of_query(query: Query, *, raster: bool) -> tuple[str, ...]:
    """Names of the query parameters that a query takes."""
    own = _OWN[query] if raster else tuple(name for name in _OWN[query] if not name.startswith("resolution"))
    return (*own, *_COMMON)


def edr_layer(snapshot: Snapshot, layer_id: str, version: str | None = None) -> PublishedRaster | PublishedTable:
    """Published version of a layer that EDR serves: a raster, or stations.

    Raises
    ------
    LayerNotFound, VersionNotFound, LayerNotPublished, NotFound
    """
    layer = snapshot.catalog[layer_id]
    if not layer.is_vector:
        return snapshot.raster(layer_id, version)
    if layer.kind == "stations":
        return snapshot.vector(layer_id, version)
    raise NotFound(
        f"图层 {layer_id} 不是栅格或测站，没有环境数据检索；请用其要素地址 items",
        f"layer {layer_id} is neither raster nor stations and has no EDR queries; use its items",
        layer=layer_id,
    )


async def answer(datastore: DataStore, request: Request, *, query: Query) -> Response:
    """One query, on ``/collections/{id}`` or one of its instances."""
    layer_id, version = request.path_params["collection"], request.path_params.get("instance")
    snapshot = datastore.snapshot()
    published = edr_layer(snapshot, layer_id, version)
    raster = isinstance(published, PublishedRaster)
    if query not in queries_of(published):
        raise NotFound(
            f"图层 {layer_id} 不支持 {query} 检索；可用：{'、'.join(queries_of(published))}",
            f"layer {layer_id} has no {query} query; it has {', '.join(queries_of(published))}",
            layer=layer_id,
        )
    refuse_height(dict(request.query_params))
    call = read_data_call(datastore, request, parameters_of_query(query, raster=raster), snapshot)
    form = read_data_format(request, call.parameters, formats_of(query, raster=raster))
    crs, interval = read_crs(call.parameters), read_interval(call.parameters)
    _header(call)
    stamp = await _stamp(datastore, published)
    etag = call.etag(layer_id, published.version, form.name, *stamp)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    headers = {**call.headers(etag), "Content-Crs": f"<{crs.uri}>"}
    try:
        if isinstance(published, PublishedRaster):
            _in_period(published, interval)
            return await _raster(call, published, query, crs, form, headers)
        return await _stations(call, published, query, crs, interval, form, headers)
    except OutsideExtent:
        return Response(status_code=204, headers=headers)


async def _stamp(datastore: DataStore, published: Published) -> tuple[int, ...]:
    """For the entity tag: what of the data is no part of the version."""
    if isinstance(published, PublishedRaster) or published.layer.series is None:
        return ()
    return (await run_in_threadpool(series_stamp, datastore, published),)


def _header(call: Call) -> str:
    wanted = call.parameters.get("header", "name")
    if wanted not in edr_formats.HEADERS:
        raise InvalidParameter(
            f"参数 header 的值 {wanted[:40]!r} 无效，可用：{'、'.join(edr_formats.HEADERS)}",
            f"header: {wanted[:40]!r} is not one of {', '.join(edr_formats.HEADERS)}",
            parameter="header",
            allowed=list(edr_formats.HEADERS),
        )
    return wanted


def _in_period(raster: PublishedRaster, interval: Interval | None) -> None:
    """Raise `OutsideExtent` where the layer names its period and the interval misses it."""
    if interval is None or raster.layer.period is None:
        return
    first, last = (datetime.combine(day, time(), UTC) for day in raster.layer.period)
    if (interval.end is not None and interval.end < first) or (
        interval.start is not None and interval.start.date() > last.date()
    ):
        raise OutsideExtent("该时段没有数据", "no data at that time", layer=raster.layer.id)


def _subject(call: Call, published: Published, fields: Sequence[Band | Attribute], crs: ServedCRS) -> Subject:
    layer = published.layer
    return Subject(
        layer=layer.id,
        title=layer.display_title(),
        label=call.title(layer),
        fields=tuple(fields),
        crs=crs,
        identify=call.address(f"/collections/{layer.id}/schema"),
        endpoint=call.here(),
        collection=call.address(_path(layer.id, call.request.path_params.get("instance"))),
        alternates=tuple((form.media, call.here({"f": form.name})) for form in (_COVERAGE_JSON, _CSV)),
    )


def _written(
    call: Call, subject: Subject, found: edr_formats.Answer, form: DataFormat, headers: dict[str, str]
) -> Response:
    if form is _CSV:
        body = edr_formats.to_csv(subject, found, _header(call))
        headers["Content-Disposition"] = f'inline; filename="{subject.layer}.csv"'
    elif form is _GEOJSON:
        body = edr_formats.to_geojson(subject, found)
    else:
        body = edr_formats.to_coverage_json(subject, found)
    return Response(body, media_type=form.media, headers=headers)


# -- rasters ----------------------------------------------------------------------------------------------------------


async def _raster(
    call: Call, raster: PublishedRaster, query: Query, crs: ServedCRS, form: DataFormat, headers: dict[str, str]
) -> Response:
    parameters = call.parameters
    bands = read_bands(raster.layer, parameters.get("parameter-name"), "parameter-name")
    subject = _subject(call, raster, [raster.layer.bands[index] for index in bands], crs)
    if query == "cube":
        return await _cube(call, raster, subject, bands, form, headers)
    shape = read_wkt(parameters, _KINDS[query], crs)
    find: Callable[[], edr_formats.Answer]
    match query:
        case "position":
            find = partial(edr_rasters.position, raster, shape, crs, bands)
        case "trajectory":
            find = partial(edr_rasters.trajectory, raster, shape, crs, bands)
        case "radius":
            within = read_distance(parameters, "within", "within-units")
            find = partial(edr_rasters.cells_of_radius, raster, shape, within, crs, bands)
        case "corridor":
            width = _corridor_width(call)
            find = partial(edr_rasters.cells_of_corridor, raster, shape, width, crs, bands)
        case _:
            find = partial(edr_rasters.cells_of_area, raster, shape, crs, bands)
    return await run_in_threadpool(lambda: _written(call, subject, find(), form, headers))


def _corridor_width(call: Call) -> float:
    """Total width in metres; a height may be given and has no effect, because the data lie on the ground."""
    if "corridor-height" in call.parameters or "height-units" in call.parameters:
        read_distance(call.parameters, "corridor-height", "height-units")
    return read_distance(call.parameters, "corridor-width", "width-units")


def _count(call: Call, name: str) -> int | None:
    """Number of cells along an axis; 0 or nothing is the native resolution."""
    text = call.parameters.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        raise InvalidParameter(
            f"参数 {name} 应为像元数（0 为原分辨率），收到 {text[:40]!r}",
            f"{name} must be a number of cells (0: native), got {text[:40]!r}",
            parameter=name,
        )
    return int(text) or None


def _box(call: Call, crs: ServedCRS) -> Region:
    text = call.parameters.get("bbox")
    if text is None:
        y_first = crs.latitude_first
        order = axis_names(crs)[::-1] if y_first else axis_names(crs)
        raise InvalidParameter(
            f"缺少参数 bbox；四个数，轴序为 {','.join(order)}",
            f"bbox is missing: four numbers in the order {','.join(order)}",
            parameter="bbox",
        )
    return read_box(text, crs)


async def _cube(
    call: Call,
    raster: PublishedRaster,
    subject: Subject,
    bands: tuple[int, ...],
    form: DataFormat,
    headers: dict[str, str],
) -> Response:
    crs = subject.crs
    region = _box(call, crs)
    scaling = Scaling(width=_count(call, "resolution-x"), height=_count(call, "resolution-y"))
    if form in (_NETCDF, _GEOTIFF):
        grid = await run_in_threadpool(partial(plan_grid, raster, bands=bands, region=region, crs=crs, scaling=scaling))
        folder = call.datastore.settings.var_dir / "tmp"
        write = write_netcdf if form is _NETCDF else partial(write_geotiff, cog=False)
        file = await run_in_threadpool(write, grid, folder)
        headers["Content-Length"] = str(file.seek(0, 2))
        file.seek(0)
        suffix = "nc" if form is _NETCDF else "tif"
        headers["Content-Disposition"] = f'inline; filename="{subject.layer}.{suffix}"'
        return StreamingResponse(pieces(file), media_type=form.media, headers=headers)

    def make() -> Response:
        grid, values = edr_rasters.cube(raster, region, crs, bands, scaling)
        if form is _CSV:
            x, y = np.meshgrid(grid.x(), grid.y())
            flat = {name: v.reshape(-1) for name, v in values.items()}
            return _written(call, subject, Points(np.column_stack([x.ravel(), y.ravel()]), flat), form, headers)
        identify = subject.identify
        body = coverage_json.dump(
            coverage_json.coverage(
                coverage_json.grid_domain(grid),
                {f.name: coverage_json.parameter(f, f"{identify}#{f.name}") for f in subject.fields},
                {name: coverage_json.nd_array(v, ("y", "x")) for name, v in values.items()},
                identifier=subject.layer,
                title=subject.title,
            )
        )
        return Response(body, media_type=form.media, headers=headers)

    return await run_in_threadpool(make)


# -- stations ---------------------------------------------------------------------------------------------------------


def _fields(table: PublishedTable, text: str | None) -> tuple[Attribute, ...]:
    known = {f.name: f for f in parameters_of(table.layer)}
    if text is None:
        return tuple(known.values())
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",", maxsplit=1000)))
    for name in wanted:
        if name not in known:
            raise UnknownProperty(
                f"图层 {table.layer.id} 没有参数 {name[:60]!r}；可用：{'、'.join(known)}",
                f"layer {table.layer.id} has no parameter {name[:60]!r}; use {', '.join(known)}",
                layer=table.layer.id,
                parameter="parameter-name",
                allowed=list(known),
            )
    return tuple(known[name] for name in wanted)


async def _stations(
    call: Call,
    table: PublishedTable,
    query: Query,
    crs: ServedCRS,
    interval: Interval | None,
    form: DataFormat,
    headers: dict[str, str],
) -> Response:
    fields = _fields(table, call.parameters.get("parameter-name"))
    chosen = await _chosen(call, table, query, crs)
    found = await observations(call.datastore, table, chosen, fields, interval, crs)
    if not found.stations:
        raise OutsideExtent("没有观测值", "no observations", layer=table.layer.id)
    subject = _subject(call, table, fields, crs)
    return await run_in_threadpool(_written, call, subject, found, form, headers)


async def _chosen(call: Call, table: PublishedTable, query: Query, crs: ServedCRS) -> list[tuple[str, float | None]]:
    """Names of the stations that a query holds, with their distance where it starts at a point.

    A position takes the nearest station, provided that the point lies in the extent of the layer; the answer says how far
    it is.
    """
    if query == "locations":
        return [(call.request.path_params["location"], None)]
    index = await station_index(call.datastore, table)
    if query == "cube":
        region = _box(call, crs)
        return [(name, None) for name in index.inside(_region_shape(region))]
    shape = to_lonlat(read_wkt(call.parameters, _KINDS[query], crs), crs)
    if query == "position":
        return _nearest(table, index, shape)
    if query == "radius":
        within = read_distance(call.parameters, "within", "within-units")
        return [(name, distance) for name, distance in index.within(shape.x, shape.y, within)]
    if query == "corridor":
        shape = await run_in_threadpool(corridor, shape, _corridor_width(call))
    return [(name, None) for name in index.inside(shape)]


def _nearest(table: PublishedTable, index: Any, shape: Any) -> list[tuple[str, float | None]]:
    import shapely

    west, south, east, north = table.extent
    found: dict[str, float] = {}
    for lon, lat in shapely.get_coordinates(shape).tolist():
        if west <= lon <= east and south <= lat <= north:
            for name, distance in index.nearest(lon, lat):
                found[name] = min(distance, found.get(name, distance))
    return list(found.items())


def _region_shape(region: Region) -> Any:
    from spatial.crs import bbox_polygon

    values = [region.west, region.south, region.east, region.north]
    if region.crs.latitude_first:
        values = [region.south, region.west, region.north, region.east]
    return bbox_polygon([float(v) for v in values if v is not None], region.crs)


async def locations(datastore: DataStore, request: Request) -> Response:
    """``/locations``: every station as GeoJSON, with its time span; ``datetime`` leaves those without data out."""
    layer_id, version = request.path_params["collection"], request.path_params.get("instance")
    snapshot = datastore.snapshot()
    published = edr_layer(snapshot, layer_id, version)
    if "locations" not in queries_of(published) or not isinstance(published, PublishedTable):
        raise NotFound(
            f"图层 {layer_id} 没有固定的测站；请用 position、area 等检索",
            f"layer {layer_id} has no stations; use position, area …",
            layer=layer_id,
        )
    refuse_height(dict(request.query_params))
    call = read_data_call(datastore, request, (*_COMMON[:-2], "lang"), snapshot)
    read_data_format(request, {k: v for k, v in call.parameters.items() if k == "f"}, (_GEOJSON_LIST,))
    crs, interval = read_crs(call.parameters), read_interval(call.parameters)
    fields = _fields(published, call.parameters.get("parameter-name"))
    etag = call.etag(layer_id, published.version, "locations", *await _stamp(datastore, published))
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    index = await station_index(datastore, published)
    features = []
    for station in index.stations.values():
        if interval is not None and not _meets(station.first, station.last, interval):
            continue
        place = _wire_point(station.lon, station.lat, crs)
        address = call.address(f"{_path(layer_id, version)}/locations/{_quoted(station.name)}")
        span = edr_formats.OPEN if station.first is None else f"{station.first}/{station.last}"
        properties = {
            "datetime": span,
            "label": station.name,
            "parameter-name": [f.name for f in fields],
            "edrqueryendpoint": address,
            "observations": station.count,
        }
        if published.layer.series == "snapshots":
            properties["snapshots"] = f"{call.base}/api/v1/cameras/{_quoted(station.name)}/snapshots"
        features.append({"type": "Feature", "id": station.name, "geometry": place, "properties": properties})
    document = {
        "type": "FeatureCollection",
        "features": features,
        "numberReturned": len(features),
        "numberMatched": len(features),
        "links": [
            link(call.here(), "self", "application/geo+json", call.say("测站", "Stations")),
            link(
                call.address(f"/collections/{layer_id}"), "collection", "application/json", call.title(published.layer)
            ),
        ],
    }
    return call.answer(document, etag, "application/geo+json", {"Content-Crs": f"<{crs.uri}>"})


_GEOJSON_LIST = DataFormat("GeoJSON", "application/geo+json", ("json", "application/json"))


def _path(layer_id: str, version: str | None) -> str:
    return f"/collections/{layer_id}" + (f"/instances/{version}" if version else "")


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _meets(first: str | None, last: str | None, interval: Interval) -> bool:
    if first is None or last is None:
        return True
    start, end = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (first, last))
    return not ((interval.end and start > interval.end) or (interval.start and end < interval.start))


def _wire_point(lon: float, lat: float, crs: ServedCRS) -> dict[str, Any]:
    import shapely

    point = transform_geometries(shapely.points([[lon, lat]]), CRS84, crs)[0]
    xy = [float(point.x), float(point.y)]
    return {"type": "Point", "coordinates": xy[::-1] if crs.latitude_first else xy}
