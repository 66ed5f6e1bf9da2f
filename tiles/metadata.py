"""Documents that describe tiles: TileJSON 3.0, OGC tile sets (瓦片集) and tile matrix sets (瓦片矩阵集)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from spatial.catalog import Layer
from spatial.grid import TILE_MATRIX_SETS, tile_matrix_set
from spatial.store.datastore import Published
from spatial.store.vector import PublishedTable
from tiles.matrix import crs_uri, limits

__all__ = [
    "MEDIA_TYPES",
    "matrix_set_document",
    "matrix_sets_document",
    "tilejson_document",
    "tileset_document",
    "tilesets_document",
]

MVT = "application/vnd.mapbox-vector-tile"
MEDIA_TYPES: dict[str, str] = {"mvt": MVT, "png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_TYPES = {"string": "String", "date": "String", "datetime": "String", "boolean": "Boolean"}
_SCHEMA_TYPES = {"date": ("string", "date"), "datetime": ("string", "date-time")}


def _tile_fields(layer: Layer) -> list[Any]:
    return [f for f in layer.fields if layer.tile_fields is None or f.name in layer.tile_fields]


def _titles(layer: Layer) -> tuple[str, str]:
    title, description = layer.display_title(), layer.description
    return f"{title.zh} / {title.en}", f"{description.zh} / {description.en}"


def _rounded(extent: tuple[float, ...]) -> list[float]:
    return [round(v, 7) for v in extent]


def tilejson_document(
    published: Published, *, tms: str, ext: str, base: str, band: str | None = None
) -> dict[str, Any]:
    """TileJSON 3.0 of a layer in one tile matrix set; its addresses are pinned to the version.

    Source: TileJSON 3.0.0. ``tile_matrix_set``, ``crs``, ``layer_version``, ``synthetic`` and ``legend`` are additions.
    """
    layer = published.layer
    name, description = _titles(layer)
    query = f"?version={published.version}" + (f"&band={band}" if band else "")
    west, south, east, north = published.extent
    deepest = len(tile_matrix_set(tms).tileMatrices) - 1
    high = min(layer.max_zoom, deepest)
    low = min(layer.min_zoom, high)
    document: dict[str, Any] = {
        "tilejson": "3.0.0",
        "name": name,
        "description": description,
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [f"{base}/tiles/{layer.id}/{tms}/{{z}}/{{x}}/{{y}}.{ext}{query}"],
        "minzoom": low,
        "maxzoom": high,
        "bounds": _rounded(published.extent),
        "center": [round((west + east) / 2, 6), round((south + north) / 2, 6), min(max(7, low), high)],
        "attribution": f"{layer.source.attribution.zh} / {layer.source.attribution.en}",
        "legend": f"{base}/tiles/{layer.id}/legend.png?version={published.version}",
        "tile_matrix_set": tms,
        "crs": crs_uri(tms),
        "layer_version": published.version,
        "synthetic": layer.synthetic is not None,
    }
    if isinstance(published, PublishedTable) and ext == "mvt":
        document["vector_layers"] = [
            {
                "id": layer.id,
                "description": name,
                "minzoom": low,
                "maxzoom": high,
                "fields": {f.name: _field_text(f) for f in _tile_fields(layer)},
            }
        ]
    return document


def _field_text(field: Any) -> str:
    unit = f" ({field.unit})" if field.unit else ""
    return f"{_TYPES.get(field.type, 'Number')}: {field.title.zh} / {field.title.en}{unit}"


def _link(href: str, rel: str, media_type: str, title: str, *, templated: bool = False) -> dict[str, Any]:
    return {"href": href, "rel": rel, "type": media_type, "title": title} | ({"templated": True} if templated else {})


TileKind = Literal["vector", "map"]


def _tiles_path(base: str, layer: Layer, kind: TileKind) -> str:
    return f"{base}/ogc/collections/{layer.id}/" + ("tiles" if kind == "vector" else "map/tiles")


def tileset_document(published: Published, *, tms: str, kind: TileKind, base: str) -> dict[str, Any]:
    """Metadata of one tile set, with the rows and columns that hold data at every level.

    Source: OGC 17-083r4 (Two Dimensional Tile Matrix Set and Tile Set Metadata), §9.
    """
    layer = published.layer
    name, description = _titles(layer)
    path = f"{_tiles_path(base, layer, kind)}/{tms}"
    matrices = tile_matrix_set(tms).tileMatrices
    west, south, east, north = _rounded(published.extent)
    template = f"{path}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    if kind == "vector":
        items = [_link(template, "item", MVT, "Mapbox vector tiles", templated=True)]
    else:
        items = [
            _link(f"{template}?f={f}", "item", MEDIA_TYPES["jpg" if f == "jpeg" else f], f"{f} tiles", templated=True)
            for f in ("png", "webp", "jpeg")
        ]
    document: dict[str, Any] = {
        "title": name,
        "description": description,
        "attribution": f"{layer.source.attribution.zh} / {layer.source.attribution.en}",
        "license": layer.source.licence,
        "version": published.version,
        "keywords": list(layer.keywords),
        "dataType": kind,
        "crs": crs_uri(tms),
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84_URI},
        "centerPoint": {
            "coordinates": [round((west + east) / 2, 6), round((south + north) / 2, 6)],
            "crs": CRS84_URI,
            "tileMatrix": str(min(7, len(matrices) - 1)),
        },
        "tileMatrixSetLimits": [_limit(tms, z, published.extent) for z in range(len(matrices))],
        "links": [
            _link(path, "self", "application/json", "This document"),
            _link(f"{base}/ogc/tileMatrixSets/{tms}", SCHEME, "application/json", f"Definition of {tms}"),
            _link(f"{base}/ogc/collections/{layer.id}", "collection", "application/json", "Collection"),
            _link(f"{base}/tiles/{layer.id}/legend.png", "preview", "image/png", "图例 / legend"),
            *items,
        ],
    }
    uri = getattr(tile_matrix_set(tms), "uri", None)
    if uri:
        document["tileMatrixSetURI"] = str(uri)
    if isinstance(published, PublishedTable):
        document["layers"] = [_vector_layer(published)] if kind == "vector" else []
    return {k: v for k, v in document.items() if v not in ([], None)}


def _limit(tms: str, z: int, extent: tuple[float, float, float, float]) -> dict[str, Any]:
    first, last, top, bottom = limits(tms, z, extent)
    return {"tileMatrix": str(z), "minTileRow": top, "maxTileRow": bottom, "minTileCol": first, "maxTileCol": last}


def _vector_layer(table: PublishedTable) -> dict[str, Any]:
    properties = {}
    for field in _tile_fields(table.layer):
        kind, form = _SCHEMA_TYPES.get(field.type, (field.type, None))
        properties[field.name] = {"title": f"{field.title.zh} / {field.title.en}", "type": kind} | (
            {"format": form} if form else {}
        )
    dimension = {"Point": 0, "LineString": 1, "Polygon": 2}.get(table.geometry_type.removeprefix("Multi"))
    layer = {
        "id": table.layer.id,
        "title": _titles(table.layer)[0],
        "dataType": "vector",
        "propertiesSchema": {"type": "object", "properties": properties},
    }
    return layer if dimension is None else layer | {"geometryDimension": dimension}


def tilesets_document(published: Published, *, kind: TileKind, base: str) -> dict[str, Any]:
    """List of the tile sets of a layer, one per tile matrix set.

    Source: OGC 20-057 (OGC API – Tiles), §10.
    """
    layer = published.layer
    path = _tiles_path(base, layer, kind)
    sets = []
    for tms in TILE_MATRIX_SETS:
        uri = getattr(tile_matrix_set(tms), "uri", None)
        sets.append(
            {
                "title": f"{_titles(layer)[0]} · {tms}",
                "dataType": kind,
                "crs": crs_uri(tms),
                **({"tileMatrixSetURI": str(uri)} if uri else {}),
                "links": [
                    _link(f"{path}/{tms}", "self", "application/json", tms),
                    _link(f"{base}/ogc/tileMatrixSets/{tms}", SCHEME, "application/json", f"Definition of {tms}"),
                ],
            }
        )
    return {
        "links": [
            _link(path, "self", "application/json", "This document"),
            _link(f"{base}/ogc/collections/{layer.id}", "collection", "application/json", "Collection"),
        ],
        "tilesets": sets,
    }


@lru_cache(maxsize=8)
def _matrix_set(tms: str) -> dict[str, Any]:
    document: dict[str, Any] = tile_matrix_set(tms).model_dump(mode="json", by_alias=True, exclude_none=True)
    return document


def matrix_set_document(tms: str) -> dict[str, Any]:
    """Definition of a tile matrix set (JSON of OGC 17-083r4)."""
    return _matrix_set(tms)


def matrix_sets_document(base: str) -> dict[str, Any]:
    """List of the tile matrix sets of the service."""
    sets = []
    for tms in TILE_MATRIX_SETS:
        definition = _matrix_set(tms)
        kept = {k: definition[k] for k in ("id", "title", "uri", "crs") if k in definition}
        link = _link(f"{base}/ogc/tileMatrixSets/{tms}", "self", "application/json", str(definition["title"]))
        sets.append(kept | {"links": [link]})
    return {
        "tileMatrixSets": sets,
        "links": [_link(f"{base}/ogc/tileMatrixSets", "self", "application/json", "This document")],
    }
