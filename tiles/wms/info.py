"""What a map shows at one pixel (地图查询): features and raster values, as GeoJSON, GML, HTML or plain text."""

from __future__ import annotations

import asyncio
import html
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from spatial.errors import SourceUnreadable
from spatial.store.raster import PublishedRaster, sample
from spatial.store.vector import ItemQuery, PublishedTable
from tiles.maps.vector import symbols_reach
from tiles.raster import unreadable
from tiles.styles import Categories, Graduated, Single
from tiles.wms.gml import gml_document

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore
    from tiles.maps.grid import MapGrid
    from tiles.maps.picture import MapLayer
    from tiles.wms.request import InfoRequest

__all__ = ["feature_info"]

_GML = {"application/vnd.ogc.gml": False, "application/vnd.ogc.gml/3.1.1": True, "text/xml": False}
"""Format of an answer in GML → whether it is GML 3.1.1."""
_NEAR = 5.0
"""Pixels around the pointer in which lines and points count as hit."""


async def feature_info(datastore: DataStore, wanted: InfoRequest) -> tuple[bytes, str]:
    """Answer of GetFeatureInfo and its media type."""
    place = _place(wanted.grid, wanted.column, wanted.row)
    found = [await _of_layer(datastore, layer, wanted, place) for layer in wanted.layers]
    if wanted.format == "application/json":
        features = [feature for _, features in found for feature in features]
        document = {"type": "FeatureCollection", "numberReturned": len(features), "features": features}
        return orjson.dumps(document), "application/json"
    if wanted.format in _GML:
        kind = "text/xml; charset=utf-8" if wanted.format == "text/xml" else wanted.format
        body = await asyncio.to_thread(gml_document, found, wanted.grid.crs, third=_GML[wanted.format])
        return body, kind
    if wanted.format == "text/html":
        return _html(found).encode(), "text/html; charset=utf-8"
    return _text(found).encode(), "text/plain; charset=utf-8"


def _place(grid: MapGrid, column: int, row: int) -> tuple[float, float] | None:
    """Longitude and latitude of the centre of a pixel; None outside the area of the CRS."""
    one = grid.rows(row, row + 1)
    west, south, _, north = one.extent
    dx = one.pixel[0]
    pixel = type(grid)(grid.crs, (west + column * dx, south, west + (column + 1) * dx, north), 1, 1)
    longitude, latitude = pixel.geographic_centre
    inside = np.isfinite([longitude, latitude]).all() and -180 <= longitude <= 180 and -90 <= latitude <= 90
    return (longitude, latitude) if inside else None


async def _of_layer(
    datastore: DataStore, layer: MapLayer, wanted: InfoRequest, place: tuple[float, float] | None
) -> tuple[MapLayer, list[dict[str, Any]]]:
    if place is None:
        return layer, []
    published = layer.published
    if isinstance(published, PublishedRaster):
        from rasterio.errors import RasterioError

        try:
            values = await asyncio.to_thread(sample, published, *place)
        except (SourceUnreadable, RasterioError) as error:
            raise unreadable(published) from error
        return layer, _pixel(published, values, place)
    return layer, await _features(datastore, published, layer, wanted, place)


async def _features(
    datastore: DataStore, table: PublishedTable, layer: MapLayer, wanted: InfoRequest, place: tuple[float, float]
) -> list[dict[str, Any]]:
    import shapely

    if "Polygon" in table.geometry_type:
        area: Any = shapely.Point(*place)
    else:
        style = layer.style
        reach = symbols_reach(style) if isinstance(style, Single | Categories | Graduated) else 0.0
        near = max(_NEAR, reach)
        # The box of the symbols in longitude and latitude, by the size of a pixel on the ground.
        dx = near * wanted.grid.ground[0] / (111_319.49 * max(0.05, float(np.cos(np.radians(place[1])))))
        dy = near * wanted.grid.ground[1] / 110_574.0
        area = shapely.box(place[0] - dx, place[1] - dy, place[0] + dx, place[1] + dy)
    page = await datastore.vectors.apage(table, ItemQuery(limit=wanted.count, area=area, interval=wanted.when))
    found = []
    for text in page.features:
        feature = orjson.loads(text)
        found.append(feature | {"id": f"{table.layer.id}.{feature['id']}", "layer": table.layer.id})
    return found


def _pixel(raster: PublishedRaster, values: list[float | None], place: tuple[float, float]) -> list[dict[str, Any]]:
    """The pixel as a feature: value of every band, with the name of its class; nothing where every band is empty."""
    if all(v is None for v in values):
        return []
    properties: dict[str, Any] = {}
    for band, value in zip(raster.layer.bands, values, strict=True):
        properties[band.name] = value
        if band.domain and value is not None and int(value) in band.domain:
            label = band.domain[int(value)]
            properties[f"{band.name}_class"] = f"{label.zh} / {label.en}"
    return [
        {
            "type": "Feature",
            "id": f"{raster.layer.id}.pixel",
            "layer": raster.layer.id,
            "geometry": {"type": "Point", "coordinates": [round(v, 9) for v in place]},
            "properties": properties,
        }
    ]


def _named(layer: MapLayer, feature: dict[str, Any]) -> list[tuple[str, str]]:
    """Attributes with their titles, units and class names, ready to be read."""
    known = layer.published.layer
    rows = []
    for name, value in feature["properties"].items():
        attribute = known.field(name)
        band = next((b for b in known.bands if b.name == name), None)
        about = attribute or band
        title = f"{about.title.zh} / {about.title.en}" if about is not None else name
        text = "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
        if attribute is not None and attribute.domain and text in attribute.domain:
            label = attribute.domain[text]
            text = f"{text} {label.zh} / {label.en}"
        if about is not None and about.unit and text:
            text = f"{text} {about.unit}"
        rows.append((title, text))
    return rows


def _text(found: list[tuple[MapLayer, list[dict[str, Any]]]]) -> str:
    lines: list[str] = []
    for layer, features in found:
        title = layer.published.layer.display_title()
        lines.append(f"{layer.published.layer.id}: {title.zh} / {title.en}")
        if not features:
            lines.append("  此处没有数据 / nothing here")
        for feature in features:
            lines.append(f"  {feature['id']}")
            lines += [f"    {name} = {value}" for name, value in _named(layer, feature)]
    return "\n".join(lines) + "\n"


def _html(found: list[tuple[MapLayer, list[dict[str, Any]]]]) -> str:
    parts = []
    for layer, features in found:
        title = layer.published.layer.display_title()
        parts.append(f"<h3>{html.escape(f'{title.zh} / {title.en}')}</h3>")
        if not features:
            parts.append("<p>此处没有数据 / nothing here</p>")
        for feature in features:
            rows = "".join(
                f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
                for name, value in _named(layer, feature)
            )
            parts.append(f"<table><caption>{html.escape(str(feature['id']))}</caption>{rows}</table>")
    style = "body{font:13px sans-serif}table{border-collapse:collapse}"
    style += "th,td{border:1px solid #ccc;padding:2px 6px;text-align:left}"
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>GetFeatureInfo</title>'
        f"<style>{style}</style></head><body>{''.join(parts)}</body></html>"
    )
