"""Routes of the pages, ``/api/v1/wetlands`` and ``/api/v1/wetlands/{site}``; JSON, or HTML for a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.errors import InvalidParameter, UnknownParameter
from spatial.pages import html_response, page_of, wants_html
from spatial.wetland.chart import area_chart
from spatial.wetland.document import site_document, site_map, sites_document
from spatial.wetland.rules import read_site_rules
from spatial.wetland.sites import PATH

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["routes"]

_HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Language"}


def _check(request: Request) -> None:
    for name in request.query_params:
        if name not in {"f", "lang"}:
            raise UnknownParameter(
                f"未知参数 {name[:40]!r}，可用：f、lang", f"unknown parameter {name[:40]!r}; allowed: f, lang",
                parameter=name, allowed=["f", "lang"],
            )  # fmt: skip
    wanted = request.query_params.get("f")
    if wanted is not None and wanted not in {"json", "html"}:
        raise InvalidParameter(
            f"f 应为 json 或 html，收到 {wanted[:40]!r}",
            f"f must be json or html, got {wanted[:40]!r}",
            parameter="f",
            value=wanted[:40],
            allowed=["json", "html"],
        )


def _json(document: Any) -> Response:
    import orjson

    return Response(orjson.dumps(document), media_type="application/json", headers=_HEADERS)


def routes(datastore: DataStore) -> list[Route]:
    """Routes over one data store."""
    folder = datastore.settings.layers_dir

    async def listed(request: Request) -> Response:
        _check(request)
        document = await run_in_threadpool(lambda: sites_document(datastore, read_site_rules(folder)))
        if not wants_html(request):
            return _json(document)
        page = page_of(request)
        values = {
            "document": document,
            "heading": page.say("湿地与保护区", "Wetlands and reserves"),
            "map": _points(document),
        }
        return html_response(page, "wetlands.html", values, headers={"Cache-Control": "no-cache"})

    async def one(request: Request) -> Response:
        _check(request)
        wanted = request.path_params["site"]
        document = await run_in_threadpool(lambda: site_document(datastore, read_site_rules(folder), wanted))
        if not wants_html(request):
            return _json(document)
        chart = area_chart(document["water"].get("series", ()))
        values = {"document": document, "chart": chart, "map": site_map(document)}
        return html_response(page_of(request), "wetland.html", values, headers={"Cache-Control": "no-cache"})

    return [Route(PATH, listed), Route(f"{PATH}/{{site}}", one)]


def _points(document: dict[str, Any]) -> dict[str, Any]:
    """Map of the list: a point a site."""
    sites = document["sites"]
    lon, lat = [site["lon"] for site in sites], [site["lat"] for site in sites]
    features = [
        {
            "type": "Feature",
            "id": site["id"],
            "geometry": {"type": "Point", "coordinates": [site["lon"], site["lat"]]},
            "properties": {},
        }
        for site in sites
    ]
    return {
        "bbox": [min(lon) - 0.2, min(lat) - 0.2, max(lon) + 0.2, max(lat) + 0.2],
        "geojson": {"type": "FeatureCollection", "features": features},
    }
