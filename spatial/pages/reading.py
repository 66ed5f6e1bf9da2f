"""Any JSON document as something to read (通用阅读): what is a table, a link, a place on the map, and how it is called."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    from spatial.pages.page import Page

__all__ = [
    "MAX_ROWS", "SPOKEN", "columns", "fact", "form", "has_links_of_its_own", "heading", "label", "layer_map", "map_of",
    "own_column", "own_href", "parsed", "safe", "short", "shown_links", "tables", "template_for", "unit", "unwrapped",
]  # fmt: skip

MAX_ROWS = 200
"""Rows of a list that a page shows; the JSON holds them all."""
MAX_DEPTH = 4
"""Levels of nesting that are laid out; what lies deeper is shown as JSON text."""
_MAX_COLUMNS = 8
_MAX_EMBEDDED_BYTES = 400_000
_QUERIES = frozenset({"position", "radius", "area", "cube", "trajectory", "corridor"})
_COLLECTION = re.compile(r"^/ogc/collections/([a-z0-9][a-z0-9-]{0,60})(?:/|$)")

_LABELS: dict[str, tuple[str, str]] = {
    "id": ("编号", "Id"),
    "title": ("标题", "Title"),
    "name": ("名称", "Name"),
    "description": ("说明", "Description"),
    "keywords": ("关键词", "Keywords"),
    "attribution": ("来源与署名", "Attribution"),
    "license": ("许可", "Licence"),
    "version": ("版本", "Version"),
    "extent": ("范围", "Extent"),
    "spatial": ("空间", "Spatial"),
    "temporal": ("时间", "Temporal"),
    "interval": ("区间", "Interval"),
    "bbox": ("范围（西、南、东、北）", "Box (west, south, east, north)"),
    "boundingBox": ("范围", "Bounding box"),
    "lowerLeft": ("左下角", "Lower left"),
    "upperRight": ("右上角", "Upper right"),
    "centerPoint": ("中心点", "Centre"),
    "coordinates": ("坐标", "Coordinates"),
    "geometry": ("几何", "Geometry"),
    "properties": ("属性", "Properties"),
    "features": ("要素", "Features"),
    "numberMatched": ("符合条件", "Matched"),
    "numberReturned": ("本页", "Shown"),
    "timeStamp": ("时间戳", "Time stamp"),
    "crs": ("坐标参考系", "CRS"),
    "storageCrs": ("存储坐标系", "Storage CRS"),
    "type": ("类型", "Type"),
    "status": ("状态", "Status"),
    "message": ("消息", "Message"),
    "progress": ("进度", "Progress"),
    "created": ("创建时间", "Created"),
    "started": ("开始时间", "Started"),
    "finished": ("完成时间", "Finished"),
    "updated": ("更新时间", "Updated"),
    "jobID": ("任务编号", "Job"),
    "processID": ("处理", "Process"),
    "inputs": ("输入", "Inputs"),
    "outputs": ("输出", "Outputs"),
    "schema": ("结构", "Schema"),
    "metadata": ("元数据", "Metadata"),
    "dataType": ("数据类型", "Data type"),
    "tilesets": ("瓦片集", "Tilesets"),
    "tileMatrixSets": ("瓦片矩阵集", "Tile matrix sets"),
    "tileMatrixSetLimits": ("各级有数据的行列", "Rows and columns with data"),
    "tileMatrix": ("级别", "Level"),
    "minTileRow": ("首行", "First row"),
    "maxTileRow": ("末行", "Last row"),
    "minTileCol": ("首列", "First column"),
    "maxTileCol": ("末列", "Last column"),
    "layers": ("图层", "Layers"),
    "collections": ("数据集", "Collections"),
    "styles": ("样式", "Styles"),
    "processes": ("处理", "Processes"),
    "jobs": ("任务", "Jobs"),
    "parameters": ("参数", "Parameters"),
    "parameter_names": ("参数", "Parameters"),
    "data_queries": ("查询方式", "Queries"),
    "output_formats": ("输出格式", "Formats"),
    "unit": ("单位", "Unit"),
    "theme": ("主题", "Theme"),
    "themes": ("主题", "Themes"),
    "grade": ("密级", "Grade"),
    "synthetic": ("合成示例", "Synthetic sample"),
    "contacts": ("联系方式", "Contacts"),
    "assets": ("文件", "Assets"),
    "facets": ("分面统计", "Facets"),
    "provenance": ("溯源", "Provenance"),
    "conformsTo": ("符合的类", "Conforms to"),
    "default": ("默认值", "Default"),
    "jobControlOptions": ("执行方式", "Execution"),
    "outputTransmission": ("结果形式", "Transmission"),
    "axes": ("轴", "Axes"),
    "domain": ("定义域", "Domain"),
    "ranges": ("取值", "Ranges"),
    "values": ("值", "Values"),
    "legend": ("图例", "Legend"),
    "department": ("部门或来源", "Department or source"),
    "instances": ("历次版本", "Versions"),
    "uri": ("标识地址", "URI"),
    "url": ("网址", "Address"),
    "orderedAxes": ("轴序", "Axis order"),
    "scope": ("适用", "Scope"),
    "stylesheets": ("样式表", "Style sheets"),
    "specification": ("规范", "Specification"),
    "native": ("原生", "Native"),
    "tilingScheme": ("瓦片矩阵集", "Tile matrix set"),
    "tileMatrixSetURI": ("瓦片矩阵集", "Tile matrix set"),
    "tileMatrixSetId": ("瓦片矩阵集", "Tile matrix set"),
    "sampleData": ("示例数据", "Sample data"),
    "attributes": ("字段", "Fields"),
    "required": ("必填", "Required"),
    "link": ("链接", "Link"),
    "href": ("地址", "Address"),
    "rel": ("关系", "Relation"),
    "providers": ("提供者", "Providers"),
    "roles": ("角色", "Roles"),
    "generalGrid": ("格网", "Grid"),
    "gridLimits": ("行列范围", "Rows and columns"),
    "axis": ("轴", "Axes"),
    "axisLabels": ("轴名", "Axis names"),
    "axisLabel": ("轴名", "Axis"),
    "lowerBound": ("下界", "From"),
    "upperBound": ("上界", "To"),
    "resolution": ("分辨率", "Resolution"),
    "uomLabel": ("单位", "Unit"),
    "uom": ("单位", "Unit"),
    "srsName": ("坐标参考系", "CRS"),
    "field": ("波段", "Bands"),
    "label": ("名称", "Label"),
    "definition": ("定义", "Definition"),
    "stac_version": ("STAC 版本", "STAC version"),
    "analysis": ("分析", "Analysis"),
    "result": ("结果", "Result"),
    "rasters": ("栅格", "Rasters"),
    "tables": ("统计表", "Tables"),
    "factors": ("因子", "Factors"),
    "documents": ("报告", "Reports"),
    "reason": ("原因", "Reason"),
    "source": ("来源", "Source"),
    "tiles": ("瓦片地址", "Tile addresses"),
    "minzoom": ("最小级别", "Least level"),
    "maxzoom": ("最大级别", "Greatest level"),
    "bounds": ("范围（西、南、东、北）", "Box (west, south, east, north)"),
}


SPOKEN = frozenset({"title", "description", "summary", "attribution", "label"})
"""Members whose text may be «中文 / English»."""


def tables(document: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a document that are lists of objects: each has a section of its own."""
    return {name: value for name, value in document.items() if name != "links" and form(value) == "table"}


def unwrapped(document: Any) -> Any:
    """A document whose only member is an object is read as that object: one level of nesting less to look through.

    >>> unwrapped({"result": {"analysis": "echo", "layers": {}}})
    {'analysis': 'echo', 'layers': {}}
    """
    if isinstance(document, Mapping) and len(document) == 1:
        (only,) = document.values()
        if isinstance(only, Mapping) and len(only) > 1 and "href" not in only:
            return only
    return document


def parsed(document: Any) -> Any:
    """A document given as JSON text is read; any other value is the document."""
    if isinstance(document, str | bytes):
        try:
            return orjson.loads(document)
        except orjson.JSONDecodeError:
            return document
    return document


def template_for(document: Any) -> str:
    """Template that suits a document best; ``document.html`` suits all."""
    if isinstance(document, Mapping):
        if "jobControlOptions" in document and "inputs" in document:
            return "process.html"
        if "jobID" in document and "status" in document:
            return "job.html"
        if isinstance(document.get("tileMatrices"), list):
            return "matrixset.html"
        if "openapi" in document and isinstance(document.get("paths"), Mapping):
            return "openapi.html"
    return "document.html"


def heading(document: Any, page: Page) -> str:
    """Title of a document, else the last step of its address."""
    if isinstance(document, Mapping):
        for name in ("title", "id"):
            if isinstance(document.get(name), str | int):
                return str(document[name])
    steps = page.crumbs()
    return steps[-1][1] if steps else page.say("资源", "Resource")


def label(name: str, page: Page) -> str | None:
    """What a member is called, None for members that only their name says."""
    known = _LABELS.get(name)
    return page.say(*known) if known else None


def safe(href: Any) -> bool:
    """True for an address that may be followed: never ``javascript:`` and its like, which data could hold."""
    return isinstance(href, str) and (
        urlsplit(href).scheme in {"http", "https"} if ":" in href.partition("/")[0] else href.startswith(("/", "?"))
    )


def own_href(value: Mapping[str, Any]) -> str | None:
    """Where an entry of a list has its own page: its ``self`` link."""
    links = value.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, Mapping) and link.get("rel") == "self" and safe(link.get("href")):
            return str(link["href"])
    return None


def has_links_of_its_own(rows: Sequence[Mapping[str, Any]]) -> bool:
    """True if entries of a list have links but no page: then the table shows the links."""
    return any(row.get("links") and own_href(row) is None for row in rows[:50])


def own_column(names: Sequence[str]) -> str | None:
    """Column of a table that leads to the page of an entry: what it is called, else the first.

    >>> own_column(["type", "stac_version", "id", "title"])
    'id'
    """
    return next((name for name in ("id", "title", "name") if name in names), names[0] if names else None)


def form(value: Any, depth: int = 0) -> str:
    """How a value is laid out: ``fact``, ``link``, ``facts`` (in one line), ``table``, ``links``, ``map``, ``json``."""
    if value is None or isinstance(value, bool | int | float | str):
        return (
            "link"
            if isinstance(value, str) and value.startswith(("http://", "https://")) and " " not in value
            else "fact"
        )
    if depth >= MAX_DEPTH:
        return "json"
    if isinstance(value, Mapping):
        return "map" if value else "empty"
    if not isinstance(value, Sequence):
        return "json"
    if not value:
        return "empty"
    if all(isinstance(part, Mapping) for part in value):
        return "links" if all("href" in part for part in value) else "table"
    if all(not isinstance(part, Mapping | list) for part in value):
        return "facts"
    return "numbers" if _only_numbers(value) else "json"


def _only_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(_only_numbers(part) for part in value[:50])
    return isinstance(value, int | float)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Members that a table of objects shows: those with short values come first; links are left out, and what is nested
    where every entry has a page of its own, which shows it.
    """
    found: dict[str, int] = {}
    listed = all(own_href(row) is not None for row in rows[:50])
    for row in rows[:50]:
        for name, value in row.items():
            nested = form(value) not in {"fact", "link", "facts", "empty"} or value == {}
            if name in {"links", "stac_extensions", "geometry"} or (listed and nested):
                continue
            found[name] = max(found.get(name, 0), 1 if isinstance(value, Mapping | list) else 0)
    plain = [name for name, nested in found.items() if not nested]
    return [*plain, *(name for name, nested in found.items() if nested)][:_MAX_COLUMNS]


def fact(value: Any) -> str:
    """A value in one line; a long or nested one is cut as JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.15g}"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 200 else text[:200] + " …"


def short(value: Any) -> str:
    """A number as a page shows it, ten significant digits: 1 cm on the Earth in degrees; the JSON has them all.

    >>> short(108.205293782551), short(29.036144), short(0.000166628649635037), short(7)
    ('108.2052938', '29.036144', '0.0001666286496', '7')
    """
    return f"{value:.10g}" if isinstance(value, float) else fact(value)


_EXPONENTS = re.compile(r"(?<=[a-zA-Z])([23])(?![0-9])")


def unit(name: Any) -> str:
    """A unit as it is printed; nothing for numbers that have none.

    >>> unit("km2"), unit("m3/km2"), unit("degC"), unit("ug/L"), unit("1/L"), unit("1"), unit(None)
    ('km²', 'm³/km²', '°C', 'µg/L', '/L', '', '')
    """
    text = "" if name in (None, "1") else str(name).removeprefix("1") if str(name).startswith("1/") else str(name)
    text = re.sub(r"\bdegC\b", "°C", re.sub(r"\bug\b", "µg", re.sub(r"^degree$", "°", text)))
    return _EXPONENTS.sub(lambda found: "²" if found[1] == "2" else "³", text)


def shown_links(links: Any) -> list[dict[str, Any]]:
    """Links of a document for a list: without ``self`` and ``alternate``, which the corner has, and without unsafe ones."""
    if not isinstance(links, list):
        return []
    found: list[dict[str, Any]] = []
    for link in links:
        if not isinstance(link, Mapping) or link.get("rel") in {"self", "alternate"}:
            continue
        href = link.get("href")
        if safe(href) and href not in (other["href"] for other in found):
            # A template, a query that wants a place, and an address that wants a POST are shown, not linked.
            template = bool(link.get("templated")) or "{" in str(href)
            template = template or str(href).rpartition("/")[2] in _QUERIES
            template = template or str(link.get("rel", "")).endswith("/execute") or link.get("method", "GET") != "GET"
            found.append({**link, "templated": template, "short": str(link.get("rel", "")).rpartition("/")[2]})
    return found


# --- the map -----------------------------------------------------------------------------------------------------------


def _box(value: Any) -> list[float] | None:
    """West, south, east, north of a bbox of four or six numbers in degrees."""
    if not isinstance(value, list | tuple) or len(value) not in (4, 6):
        return None
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in value):
        return None
    west, south, east, north = value if len(value) == 4 else (value[0], value[1], value[3], value[4])
    inside = -180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90
    return [west, south, east, north] if inside and west <= east else None


def _extent(document: Mapping[str, Any]) -> list[float] | None:
    extent = document.get("extent")
    if isinstance(extent, Mapping) and isinstance(extent.get("spatial"), Mapping):
        boxes = extent["spatial"].get("bbox")
        if isinstance(boxes, list) and boxes:
            return _box(boxes[0] if isinstance(boxes[0], list) else boxes)
    bounding = document.get("boundingBox")
    if isinstance(bounding, Mapping) and "CRS84" in str(bounding.get("crs", "CRS84")):
        return _box([*bounding.get("lowerLeft", []), *bounding.get("upperRight", [])])
    return _box(document.get("bbox")) or _box(document.get("bounds"))


def _geojson(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Geometries of a GeoJSON document in degrees; None without any, or with too many to stand in a page."""
    match document.get("type"):
        case "FeatureCollection":
            features = document.get("features")
        case "Feature":
            features = [document]
        case _:
            return None
    if not isinstance(features, list):
        return None
    bare = [
        {"type": "Feature", "id": f.get("id"), "geometry": f["geometry"], "properties": {}}
        for f in features
        if isinstance(f, Mapping) and isinstance(f.get("geometry"), Mapping)
    ]
    if not bare or len(orjson.dumps(bare)) > _MAX_EMBEDDED_BYTES:
        return None
    return {"type": "FeatureCollection", "features": bare}


def _axes(document: Mapping[str, Any]) -> list[float] | None:
    """Box of a CoverageJSON domain whose axes are degrees."""
    domain = document.get("domain")
    axes = domain.get("axes") if isinstance(domain, Mapping) else None
    if not isinstance(axes, Mapping):
        return None
    ends: list[tuple[float, float]] = []
    for name in ("x", "y"):
        axis = axes.get(name)
        if not isinstance(axis, Mapping):
            return None
        values = axis.get("values") or [axis.get("start"), axis.get("stop")]
        if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
            return None
        ends.append((min(values), max(values)))
    (west, east), (south, north) = ends
    return _box([west, south, east, north])


def map_of(document: Any, page: Page) -> dict[str, Any] | None:
    """What the map of a page shows, None if the document lies nowhere.

    Returns
    -------
    dict
        ``layer`` (its tiles are drawn), ``bbox`` (degrees), ``geojson`` (longitude, latitude).
    """
    if not isinstance(document, Mapping):
        return None
    layer = _COLLECTION.match(page.path)
    found: dict[str, Any] = {}
    projected = "crs" in page.parameters and "CRS84" not in page.parameters["crs"]
    geojson = None if projected else _geojson(document)
    box = _extent(document) or _axes(document)
    if geojson is not None:
        found["geojson"] = geojson
    if box is not None:
        found["bbox"] = box
    if found and layer is not None:
        found["layer"] = layer[1]
    return found or None


def layer_map(template: str, values: Mapping[str, Any], page: Page) -> dict[str, Any]:
    """Map of the pages of a collection: its tiles, and the features of the page as the GeoJSON that the page also is."""
    layer = values["layer"]
    published = values.get("table") or values.get("published")
    found: dict[str, Any] = {"layer": layer.id, "synthetic": layer.synthetic is not None}
    if published is not None:
        found["bbox"] = [round(v, 7) for v in published.extent]
        found["version"] = published.version
    if template != "collection.html":
        # CRS84 whatever the page was asked in: the map reads longitude, latitude. Relative, so that it is asked of the host
        # that the page came from, which is all that the policy allows.
        found["features"] = "?" + page.here({"f": "json", "crs": None, "lang": None}).partition("?")[2]
    return found
