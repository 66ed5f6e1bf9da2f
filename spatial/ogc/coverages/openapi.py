"""OpenAPI of coverages: a path for each raster layer, with its bands as choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.crs import SERVED, STORAGE
from spatial.ogc.coverage_json import COVJSON
from spatial.ogc.coverages.formats import FORMATS, GEOTIFF, NETCDF
from spatial.ogc.coverages.request import COVERAGE_PARAMETERS, INTERPOLATIONS
from spatial.ogc.exchange import JSON
from spatial.ogc.openapi_collections import COLLECTION
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import DOCUMENT, get_operation
from spatial.store.raster import PublishedRaster

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import Snapshot

__all__ = ["components", "paths"]

_BINARY = {"schema": {"type": "string", "format": "binary"}}


def components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Parameters, answers and schemas that the paths share."""
    text, positive = {"type": "string"}, {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    cells = {"type": "integer", "minimum": 1, "maximum": 1_000_000}
    crs = {"type": "string", "format": "uri", "enum": list(SERVED)}
    found = {
        "coverage-bbox": parameter(
            "bbox",
            "范围：两角坐标，轴序见 bbox-crs（默认经度、纬度）；与 subset 只用一个",
            "two corners in the axis order of bbox-crs (default longitude, latitude); not together with subset",
            {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}},
        ),
        "subset": parameter(
            "subset",
            "子集：Lat(30:31),Lon(114:115)；投影坐标系用 E、N；* 为边界；单个值取其所在的行或列",
            "subset: Lat(30:31),Lon(114:115); E and N in projected CRSs; * is the edge; one value takes its row or column",
            text,
        ),
        "subset-crs": parameter("subset-crs", "subset 的坐标系，默认 CRS84", "CRS of subset, default CRS84", crs),
        "coverage-crs": parameter(
            "crs", "返回的坐标系，默认 EPSG:4490", "CRS of the answer, default EPSG:4490", {**crs, "default": STORAGE.uri}
        ),
        "scale-factor": parameter(
            "scale-factor", "像元数除以此数", "the number of cells is divided by it along both axes", positive
        ),
        "scale-axes": parameter(
            "scale-axes", "各轴像元数除以此数：Lat(2),Lon(2)", "as scale-factor, by axis: Lat(2),Lon(2)", text
        ),
        "scale-size": parameter(
            "scale-size",
            "各轴像元数：Lat(256),Lon(256)（别名 scaleSize）",
            "cells along each axis: Lat(256),Lon(256) (alias scaleSize)",
            text,
        ),
        "scaleSize": parameter("scaleSize", "scale-size 的别名", "alias of scale-size, as GDAL writes it", text),
        "coverage-width": parameter("width", "列数", "columns", cells),
        "coverage-height": parameter("height", "行数", "rows", cells),
        "resolution": parameter(
            "resolution",
            "像元大小（返回坐标系的单位）：Lat(0.01),Lon(0.01)；空值为原分辨率",
            "size of a cell in units of the CRS of the answer: Lat(0.01),Lon(0.01); empty: native",
            text,
        ),
        "interpolation": parameter(
            "interpolation",
            "重采样方法；默认分类值用 nearest，其余缩小 2 倍以上用 average，否则 bilinear",
            "resampling; default nearest for classes, else average where coarser by 2 or more, bilinear otherwise",
            {"type": "string", "enum": list(INTERPOLATIONS)},
        ),
        "coverage-f": parameter(
            "f", "返回格式", "Format of the answer", {"type": "string", "enum": [f.name for f in FORMATS], "default": "GeoTIFF"}
        ),
    }  # fmt: skip
    json_object = {"type": "object"}
    documents = {
        "description": "文档 / a document",
        "content": {JSON: {"schema": json_object}, "text/html": {"schema": {"type": "string"}}},
    }
    problem = {"application/problem+json": {"schema": ref("schemas", "exception")}}
    headers = {
        name: {"description": description, "schema": text}
        for name, description in (
            ("Content-Crs", "坐标系 / CRS of the answer"),
            ("Content-Bbox", "范围，按坐标系轴序 / box in the axis order of the CRS"),
            ("Content-Interpolation", "重采样方法 / resampling applied"),
            ("ETag", "版本标记 / entity tag"),
        )
    }
    return {
        "parameters": found,
        "responses": {
            "Coverage": {
                "description": "覆盖数据 / the coverage",
                "headers": headers,
                "content": {
                    GEOTIFF: _BINARY,
                    NETCDF: _BINARY,
                    COVJSON: {"schema": ref("schemas", "coverageJSON")},
                },
            },
            "CoveragePart": {"description": "文件的一段字节 / a byte range of the file", "content": {GEOTIFF: _BINARY}},
            "CoverageDocument": documents,
            "TooManyCells": {"description": "像元过多，说明中有办法 / too many cells; says what to do", "content": problem},
        },
        "schemas": {"coverageJSON": _coverage_json_schema()},
    }  # fmt: skip


def _coverage_json_schema() -> dict[str, Any]:
    """Schema of a CoverageJSON document."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": ["Coverage", "CoverageCollection"]},
            "id": {"type": "string"},
            "title": {"type": "object", "additionalProperties": {"type": "string"}},
            "domainType": {"type": "string"},
            "domain": {"type": "object"},
            "parameters": {"type": "object"},
            "ranges": {"type": "object"},
            "coverages": {"type": "array", "items": {"type": "object"}},
        },
    }


def _layer_paths(layer: Layer) -> dict[str, Any]:
    path, title = f"/collections/{layer.id}", layer.display_title()
    names = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": [band.name for band in layer.bands]}}
    own = {
        "bbox": ref("parameters", "coverage-bbox"),
        "crs": ref("parameters", "coverage-crs"),
        "f": ref("parameters", "coverage-f"),
        "width": ref("parameters", "coverage-width"),
        "height": ref("parameters", "coverage-height"),
        "properties": parameter("properties", "返回的波段", "bands to return, in this order", names),
        "exclude-properties": parameter("exclude-properties", "不返回的波段", "bands to leave out", names),
    }
    query = [own.get(name) or ref("parameters", name) for name in COVERAGE_PARAMETERS]
    whole = get_operation(
        "coverages", f"{layer.id}.getCoverage", f"{title.zh}：覆盖数据", f"{title.en}: coverage", "Coverage", query
    )
    whole["responses"] |= {
        "206": ref("responses", "CoveragePart"),
        "413": ref("responses", "TooManyCells"),
    }
    return {f"{path}/coverage": {"get": whole}}


def _shared_paths() -> dict[str, Any]:
    given = [ref("parameters", "rasterCollectionId"), *DOCUMENT]
    found = {}
    for part, zh, en in (("domainset", "格网", "Domain set"), ("rangetype", "波段", "Range type")):
        operation = get_operation("coverages", f"coverage.{part}", zh, en, "CoverageDocument", given)
        found[f"{COLLECTION}/coverage/{part}"] = {"get": operation}
    return found


def paths(snapshot: Snapshot) -> dict[str, Any]:
    """Paths of the raster layers: the coverage of each with its bands as choices, and what all have in common."""
    rasters = [p for p in snapshot.current() if isinstance(p, PublishedRaster)]
    found = _shared_paths() if rasters else {}
    for published in rasters:
        found |= _layer_paths(published.layer)
    return found
