"""Documents that describe tiles: TileJSON 3.0, OGC tile sets (瓦片集) and tile matrix sets (瓦片矩阵集)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from spatial.catalog import Layer
from spatial.errors import TileOutOfRange
from spatial.grid import TILE_MATRIX_SETS, tile_matrix_set
from spatial.store.datastore import Published
from spatial.store.vector import PublishedTable
from tiles.custom_sets import CUSTOM_SETS, custom_limits, matrix_set, set_crs
from tiles.matrix import crs_uri, limits

__all__ = [
    "MEDIA_TYPES",
    "dataset_tileset_document",
    "dataset_tilesets_document",
    "matrix_set_document",
    "matrix_sets_document",
    "require_within_limits",
    "tilejson_document",
    "tileset_document",
    "tilesets_document",
]

MVT = "application/vnd.mapbox-vector-tile"
MEDIA_TYPES: dict[str, str] = {"mvt": MVT, "png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
SLD = "application/vnd.ogc.sld+xml;version=1.1"
STYLES_REL = "http://www.opengis.net/def/rel/ogc/1.0/styles"
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
    about = {
        "title": name,
        "description": description,
        "attribution": f"{layer.source.attribution.zh} / {layer.source.attribution.en}",
        "license": layer.source.licence,
        "version": published.version,
        "keywords": list(layer.keywords),
    }
    collection = f"{base}/ogc/collections/{layer.id}"
    links = [
        _link(collection, "collection", "application/json", "数据集 / Collection"),
        _link(f"{collection}/styles", STYLES_REL, "application/json", "样式 / styles"),
        _link(f"{base}/tiles/{layer.id}/legend.png", "preview", "image/png", "图例 / legend"),
    ]
    style: dict[str, Any] = {"id": "default", "title": name}
    style["links"] = [
        _link(f"{collection}/styles/default?f={form}", "stylesheet", media, form)
        for form, media in (("mapbox", "application/vnd.mapbox.style+json"), ("sld11", SLD))
    ]
    path = f"{_tiles_path(base, layer, kind)}/{tms}"
    return _tileset([published], about, path, tms=tms, kind=kind, base=base, links=links, style=style)


def dataset_tileset_document(
    chosen: Sequence[Published], query: str, *, tms: str, kind: TileKind, base: str
) -> dict[str, Any]:
    """Metadata of one tile set of several layers.

    Parameters
    ----------
    query : str
        ``collections=…`` of the request, or empty for the layers of the base map.

    Source: OGC 20-057 (OGC API – Tiles), §§11 and 13; OGC 17-083r4, §9.
    """
    titles = [_titles(p.layer)[0] for p in chosen]
    about = {
        "title": "湖北一张图 / OneMap Hubei",
        "description": "；".join(titles),
        "attribution": "；".join(
            dict.fromkeys(f"{p.layer.source.attribution.zh} / {p.layer.source.attribution.en}" for p in chosen)
        ),
    }
    links = [_link(f"{base}/ogc/styles", STYLES_REL, "application/json", "样式 / styles")]
    path = f"{base}/ogc/{'tiles' if kind == 'vector' else 'map/tiles'}/{tms}"
    return _tileset(chosen, about, path, tms=tms, kind=kind, base=base, links=links, query=query)


def _tileset(
    chosen: Sequence[Published],
    about: dict[str, Any],
    path: str,
    *,
    tms: str,
    kind: TileKind,
    base: str,
    links: list[dict[str, Any]],
    query: str = "",
    style: dict[str, Any] | None = None,
) -> dict[str, Any]:
    matrices = matrix_set(tms).tileMatrices
    extent = _union([p.extent for p in chosen])
    west, south, east, north = _rounded(extent)
    template = f"{path}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    if kind == "vector":
        items = [_item(template, query, MVT, "Mapbox vector tiles")]
    else:
        items = [
            _item(
                template,
                "&".join(filter(None, (query, f"f={f}"))),
                MEDIA_TYPES["jpg" if f == "jpeg" else f],
                f"{f} tiles",
            )
            # Some clients take the first that they know, OpenLayers the last: both must be able to be transparent.
            for f in ("png", "jpeg", "webp")
        ]
    document: dict[str, Any] = {
        **about,
        "dataType": kind,
        "crs": set_crs(tms).uri if tms in CUSTOM_SETS else crs_uri(tms),
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84_URI},
        "centerPoint": {
            "coordinates": [round((west + east) / 2, 6), round((south + north) / 2, 6)],
            "crs": CRS84_URI,
            "tileMatrix": str(min(3 if tms in CUSTOM_SETS else 7, len(matrices) - 1)),
        },
        "tileMatrixSetLimits": [_limit(tms, z, extent) for z in range(len(matrices))],
        "layers": [_vector_layer(p) if isinstance(p, PublishedTable) else _raster_layer(p) for p in chosen],
        "links": [
            _link(path + (f"?{query}" if query else ""), "self", "application/json", "本文档 / This document"),
            _link(
                f"{base}/ogc/tileMatrixSets/{tms}", SCHEME, "application/json", f"{tms} 的定义 / Definition of {tms}"
            ),
            *links,
            *items,
        ],
    }
    if style is not None:
        document["style"] = style
    uri = getattr(matrix_set(tms), "uri", None)
    if uri:
        document["tileMatrixSetURI"] = str(uri)
    return {k: v for k, v in document.items() if v not in ([], None)}


def require_within_limits(chosen: Sequence[Published], tms: str, z: str, row: str, col: str) -> None:
    """Refuse a tile outside the limits that the tile set tells (`dataset_tileset_document`).

    Source: OGC 20-057, /req/core/tc-error.

    Raises
    ------
    TileOutOfRange
    """
    found = _limit(tms, int(z), _union([p.extent for p in chosen]))
    rows, cols = (found["minTileRow"], found["maxTileRow"]), (found["minTileCol"], found["maxTileCol"])
    if not (rows[0] <= int(row) <= rows[1] and cols[0] <= int(col) <= cols[1]):
        raise TileOutOfRange(
            f"瓦片 {tms}/{z}/{row}/{col} 在数据范围之外（行 {rows[0]}–{rows[1]}，列 {cols[0]}–{cols[1]}）",
            f"tile {tms}/{z}/{row}/{col} lies outside the data (rows {rows[0]} to {rows[1]}, columns {cols[0]} to {cols[1]})",
        )


def _item(template: str, query: str, media_type: str, title: str) -> dict[str, Any]:
    return _link(f"{template}?{query}" if query else template, "item", media_type, title, templated=True)


def _union(extents: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    west, south = min(e[0] for e in extents), min(e[1] for e in extents)
    return west, south, max(e[2] for e in extents), max(e[3] for e in extents)


def _limit(tms: str, z: int, extent: tuple[float, float, float, float]) -> dict[str, Any]:
    first, last, top, bottom = (custom_limits if tms in CUSTOM_SETS else limits)(tms, z, extent)
    return {"tileMatrix": str(z), "minTileRow": top, "maxTileRow": bottom, "minTileCol": first, "maxTileCol": last}


def _raster_layer(raster: Published) -> dict[str, Any]:
    layer = raster.layer
    west, south, east, north = _rounded(raster.extent)
    return {
        "id": layer.id,
        "title": _titles(layer)[0],
        "dataType": "coverage",
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84_URI},
    }


def _vector_layer(table: PublishedTable) -> dict[str, Any]:
    properties = {}
    for field in _tile_fields(table.layer):
        kind, form = _SCHEMA_TYPES.get(field.type, (field.type, None))
        properties[field.name] = {"title": f"{field.title.zh} / {field.title.en}", "type": kind} | (
            {"format": form} if form else {}
        )
    dimension = {"Point": 0, "LineString": 1, "Polygon": 2}.get(table.geometry_type.removeprefix("Multi"))
    west, south, east, north = _rounded(table.extent)
    layer = {
        "id": table.layer.id,
        "title": _titles(table.layer)[0],
        "dataType": "vector",
        "boundingBox": {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84_URI},
        "propertiesSchema": {"type": "object", "properties": properties},
    }
    return layer if dimension is None else layer | {"geometryDimension": dimension}


def tilesets_document(published: Published, *, kind: TileKind, base: str) -> dict[str, Any]:
    """List of the tile sets of a layer, one per tile matrix set.

    Source: OGC 20-057 (OGC API – Tiles), §10.
    """
    layer = published.layer
    path = _tiles_path(base, layer, kind)
    links = [
        _link(path, "self", "application/json", "本文档 / This document"),
        _link(f"{base}/ogc/collections/{layer.id}", "collection", "application/json", "数据集 / Collection"),
    ]
    return {"links": links, "tilesets": _tilesets(_titles(layer)[0], path, kind=kind, base=base)}


def dataset_tilesets_document(chosen: Sequence[Published], query: str, *, kind: TileKind, base: str) -> dict[str, Any]:
    """List of the tile sets of the dataset, each with its limits and templates; see `dataset_tileset_document`."""
    path = f"{base}/ogc/{'tiles' if kind == 'vector' else 'map/tiles'}"
    links = [
        _link(path + (f"?{query}" if query else ""), "self", "application/json", "本文档 / This document"),
        _link(f"{base}/ogc", "up", "application/json", "服务首页 / Landing page"),
    ]
    name = "湖北一张图 / OneMap Hubei"
    sets = _tilesets(name, path, kind=kind, base=base, query=query)
    # A client that reads the list alone can ask for tiles (the OGC suite does).
    names = (*TILE_MATRIX_SETS, *(CUSTOM_SETS if kind == "map" else ()))
    for tms, entry in zip(names, sets, strict=True):
        whole = dataset_tileset_document(chosen, query, tms=tms, kind=kind, base=base)
        entry["tileMatrixSetId"] = tms
        entry["tileMatrixSetLimits"] = whole["tileMatrixSetLimits"]
        entry["links"] = [*entry["links"], *(link for link in whole["links"] if link["rel"] == "item")]
    return {"links": links, "tilesets": sets}


def _tilesets(name: str, path: str, *, kind: TileKind, base: str, query: str = "") -> list[dict[str, Any]]:
    sets = []
    # The matrix sets of our own serve map tiles only: see `tiles.custom_sets`.
    for tms in (*TILE_MATRIX_SETS, *(CUSTOM_SETS if kind == "map" else ())):
        uri = getattr(matrix_set(tms), "uri", None)
        address = f"{path}/{tms}" + (f"?{query}" if query else "")
        sets.append(
            {
                "title": f"{name} · {tms}",
                "dataType": kind,
                "crs": set_crs(tms).uri if tms in CUSTOM_SETS else crs_uri(tms),
                **({"tileMatrixSetURI": str(uri)} if uri else {}),
                "links": [
                    _link(address, "self", "application/json", tms),
                    _link(
                        f"{base}/ogc/tileMatrixSets/{tms}",
                        SCHEME,
                        "application/json",
                        f"{tms} 的定义 / Definition of {tms}",
                    ),
                ],
            }
        )
    return sets


@lru_cache(maxsize=16)
def _matrix_set(tms: str) -> dict[str, Any]:
    document: dict[str, Any] = matrix_set(tms).model_dump(mode="json", by_alias=True, exclude_none=True)
    return document


def matrix_set_document(tms: str) -> dict[str, Any]:
    """Definition of a tile matrix set (JSON of OGC 17-083r4)."""
    return _matrix_set(tms)


def matrix_sets_document(base: str) -> dict[str, Any]:
    """List of the tile matrix sets of the service."""
    sets = []
    for tms in (*TILE_MATRIX_SETS, *CUSTOM_SETS):
        definition = _matrix_set(tms)
        kept = {k: definition[k] for k in ("id", "title", "uri", "crs") if k in definition}
        link = _link(f"{base}/ogc/tileMatrixSets/{tms}", "self", "application/json", str(definition["title"]))
        sets.append(kept | {"links": [link]})
    return {
        "tileMatrixSets": sets,
        "links": [_link(f"{base}/ogc/tileMatrixSets", "self", "application/json", "本文档 / This document")],
    }
