"""The corner «use this address» (取用): URL, curl, Python and desktop lines of a page, ready to copy and true as they stand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from spatial.pages.page import Page

__all__ = ["Snippet", "corner"]


class Snippet(NamedTuple):
    """One thing to copy; `language` names what it is for."""

    name: str
    text: str
    language: str


def _requests(address: str) -> str:
    return (
        "import requests\n"
        f"answer = requests.get({address!r}, timeout=60)\n"
        "answer.raise_for_status()\n"
        "document = answer.json()\n"
        "print(document)"
    )


def _geopandas(address: str) -> str:
    return f"import geopandas\nurl = {address!r}\nfeatures = geopandas.read_file(url)\nprint(features.head())"


def _owslib(service: str, layer_id: str) -> str:
    return (
        "from owslib.ogcapi.features import Features\n"
        f"service = Features({service!r})\n"
        f"page = service.collection_items({layer_id!r}, limit=100)\n"
        'print(page["numberReturned"], page["features"][0]["properties"])'
    )


def _rasterio(address: str) -> str:
    return (
        f"import rasterio\nwith rasterio.open({address!r}) as raster:\n"
        "    print(raster.crs, raster.bounds)\n"
        "    overview = raster.read(1, out_shape=(100, 100))\nprint(overview)"
    )


def _example(schema: Any) -> Any:
    """Example value of an input from its schema, None where the schema gives none."""
    if not isinstance(schema, Mapping):
        return None
    if "example" in schema:
        return schema["example"]
    for name in ("examples", "enum"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    if schema.get("type") == "string" and not {"pattern", "format"} & set(schema):
        return "hello"
    return schema.get("minimum") if schema.get("type") in ("number", "integer") else None


def _execution(document: Mapping[str, Any], page: Page) -> list[Snippet]:
    """The curl and Python lines that start a process; required inputs have the example that the description gives."""
    address = page.address(f"/ogc/processes/{document.get('id')}/execution")
    required = {
        name: _example(described.get("schema"))
        for name, described in document["inputs"].items()
        if isinstance(described, Mapping) and described.get("minOccurs", 1)
    }
    missing = [name for name, value in required.items() if value is None]
    body = {"inputs": required}
    curl = (
        f"curl -X POST {shlex.quote(address)} \\\n  -H 'Content-Type: application/json' -H 'Prefer: respond-async' \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
    python = (
        "import requests\n"
        f"url = {address!r}\n"
        f"body = {body!r}\n"
        'job = requests.post(url, json=body, headers={"Prefer": "respond-async"}, timeout=60)\n'
        'print(job.status_code, job.headers.get("Location"), job.json())'
    )
    hint = page.say(f"（先填写 {'、'.join(missing)}）", f" (fill in {', '.join(missing)} first)") if missing else ""
    return [Snippet("curl" + hint, curl, "sh"), Snippet("Python" + hint, python, "python")]


def _tileset(document: Mapping[str, Any], page: Page) -> list[Snippet]:
    """What QGIS wants to know of a tile set: an XYZ template in Web Mercator, WMTS in every other scheme."""
    is_map = document.get("dataType") == "map"
    if not str(document.get("crs", "")).endswith("/3857"):
        wmts = page.address("/tiles/wmts/1.0.0/WMTSCapabilities.xml")
        return (
            [Snippet(page.say("QGIS：添加 WMS/WMTS 图层", "QGIS: add WMS/WMTS layer"), wmts, "url")] if is_map else []
        )
    found = next((link.get("href") for link in document.get("links", []) if link.get("rel") == "item"), None)
    if found is None:
        return []
    for ours, theirs in (("tileMatrix", "z"), ("tileRow", "y"), ("tileCol", "x")):
        found = found.replace(f"{{{ours}}}", f"{{{theirs}}}")
    kind = "XYZ" if is_map else "Vector Tiles"
    return [Snippet(page.say(f"QGIS：新建 {kind} 连接", f"QGIS: new {kind} connection"), found, "url")]


def corner(template: str, values: Mapping[str, Any], page: Page) -> list[Snippet]:
    """What the corner of a page offers."""
    if template == "problem.html":
        return []
    # Without `lang`: titles follow the Accept-Language of the program that asks.
    address = page.here({"f": "json", "lang": None})
    program = [Snippet("curl", f"curl {shlex.quote(address)}", "sh"), Snippet("Python", _requests(address), "python")]
    layer, document = values.get("layer"), values.get("document")
    desktop: list[Snippet] = []
    service = page.address("/ogc")
    if template in ("collection.html", "items.html", "item.html") and layer is not None:
        if layer.is_vector:
            python = _owslib(service, layer.id) if template == "collection.html" else _geopandas(address)
            program[1] = Snippet("Python", python, "python")
            desktop.append(Snippet("GDAL", f'ogr2ogr {layer.id}.gpkg "OAPIF:{service}" {layer.id}', "sh"))
            desktop.append(
                Snippet(
                    page.say("QGIS：添加 WFS / OGC API 要素图层", "QGIS: add WFS / OGC API - Features layer"),
                    service,
                    "url",
                )
            )
        else:
            file = page.address(f"/api/v1/layers/{layer.id}/file")
            program[1] = Snippet("Python", _rasterio(file), "python")
            desktop.append(Snippet("GDAL", f"gdalinfo {shlex.quote('/vsicurl/' + file)}", "sh"))
            wmts = page.address("/tiles/wmts/1.0.0/WMTSCapabilities.xml")
            desktop.append(Snippet(page.say("QGIS：添加 WMS/WMTS 图层", "QGIS: add WMS/WMTS layer"), wmts, "url"))
    elif template == "process.html":
        program = _execution(document or {}, page)
    elif template in ("landing.html", "collections.html"):
        desktop.append(Snippet("GDAL", f'ogrinfo "OAPIF:{service}"', "sh"))
        desktop.append(
            Snippet(
                page.say("QGIS：添加 WFS / OGC API 要素图层", "QGIS: add WFS / OGC API - Features layer"),
                service,
                "url",
            )
        )
    elif isinstance(document, Mapping) and document.get("type") in ("FeatureCollection", "Feature"):
        program[1] = Snippet("Python", _geopandas(address), "python")
    elif isinstance(document, Mapping) and "tileMatrixSetLimits" in document:
        desktop += _tileset(document, page)
    return [Snippet("URL", address, "url"), *program, *desktop]
