"""What the documents say of a raster as a coverage: grid, bands, extent, links (覆盖数据说明)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.building_block import Language, Link
from spatial.crs import CRS84, SERVED, STORAGE
from spatial.ogc.coverages.formats import FORMATS, GEOTIFF
from spatial.ogc.exchange import JSON, REL, SCHEMA, link
from spatial.store.raster import PublishedRaster
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import Published

__all__ = ["collection_members", "domain_set", "field_schema", "range_type", "temporal_extent"]


def domain_set(raster: PublishedRaster) -> dict[str, Any]:
    """The grid as a CIS 1.1 domain set, longitude first (the form that GDAL reads)."""
    west, south, east, north = raster.extent
    sides = (("Lon", west, east, raster.width), ("Lat", south, north, raster.height))
    return {
        "type": "DomainSet",
        "generalGrid": {
            "type": "GeneralGrid",
            "srsName": CRS84.uri,
            "axisLabels": ["Lon", "Lat"],
            "axis": [
                {
                    "type": "RegularAxis",
                    "axisLabel": label,
                    "lowerBound": low,
                    "upperBound": high,
                    "resolution": (high - low) / cells,
                    "uomLabel": "degree",
                }
                for label, low, high, cells in sides
            ],
            "gridLimits": {
                "type": "GridLimits",
                "srsName": "http://www.opengis.net/def/crs/OGC/0/Index2D",
                "axisLabels": ["i", "j"],
                "axis": [
                    {"type": "IndexAxis", "axisLabel": name, "lowerBound": 0, "upperBound": cells - 1}
                    for name, (_, _, _, cells) in zip(("i", "j"), sides, strict=True)
                ],
            },
        },
    }


_CIS_TYPES = {
    "uint8": "unsignedByte",
    "int8": "signedByte",
    "int16": "signedShort",
    "uint16": "unsignedShort",
    "int32": "signedInt",
    "uint32": "unsignedInt",
    "float32": "float32",
    "float64": "float64",
}


def range_type(raster: PublishedRaster, language: Language) -> dict[str, Any]:
    """The bands as a CIS 1.1 range type."""
    fields = []
    for band in raster.layer.bands:
        title = band.title.zh if language == "zh" else band.title.en
        field: dict[str, Any] = {
            "type": "Category" if band.domain else "Quantity",
            "name": band.name,
            "label": title,
            "definition": f"ogcType:{_CIS_TYPES.get(raster.dtype, raster.dtype)}",
        }
        if not band.domain and band.unit:
            field["uom"] = {"type": "UnitReference", "code": band.unit}
        fields.append(field)
    return {"type": "DataRecord", "field": fields}


def field_schema(raster: PublishedRaster, language: Language) -> dict[str, Any]:
    """JSON Schema of the bands (Common part 3; /req/core/coverage-fields-schema)."""
    properties: dict[str, Any] = {}
    for position, band in enumerate(raster.layer.bands, start=1):
        integer = not raster.dtype.startswith("float")
        found: dict[str, Any] = {
            "title": band.title.zh if language == "zh" else band.title.en,
            "type": "integer" if integer else "number",
            "x-ogc-propertySeq": position,
            "x-ogc-variableType": "categoricalNominal" if band.domain else "continuous",
            "minimum": band.valid_range[0],
            "maximum": band.valid_range[1],
        }
        if band.unit is not None and not band.domain:
            found["x-ogc-unit"] = band.unit
        if band.domain:
            found["enum"] = sorted(band.domain)
            found["x-enum-titles"] = {
                str(code): text.zh if language == "zh" else text.en for code, text in sorted(band.domain.items())
            }
        properties[band.name] = found
    return properties


def temporal_extent(published: Published) -> dict[str, Any]:
    """Interval of the data: of the observations, or the period that the layer names; open where neither is known."""
    interval: list[str | None] = [None, None]
    if isinstance(published, PublishedTable) and published.time_extent is not None:
        interval = [moment.isoformat().replace("+00:00", "Z") for moment in published.time_extent]
    elif published.layer.period is not None:
        first, last = published.layer.period
        interval = [f"{first.isoformat()}T00:00:00Z", f"{last.isoformat()}T23:59:59Z"]
    return {"interval": [interval], "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"}


def collection_members(base: str, language: Language, published: Published) -> dict[str, Any]:
    """What a raster adds to its collection document; nothing for a vector layer."""
    if not isinstance(published, PublishedRaster):
        return {}
    layer = published.layer
    path = f"{base}/ogc/collections/{layer.id}"
    west, south, east, north = published.extent
    cell_x, cell_y = (east - west) / published.width, (north - south) / published.height
    zh = language == "zh"
    title = "覆盖数据" if zh else "Coverage"
    # First the address without a format: GDAL takes it and adds its parameters.
    links: list[Link] = [link(f"{path}/coverage", f"{REL}/coverage", GEOTIFF, title)]
    links += [
        link(f"{path}/coverage?f={form.name}", f"{REL}/coverage", form.media, f"{title} ({form.name})")
        for form in FORMATS
    ]
    links += [
        link(f"{path}/coverage/domainset", f"{REL}/coverage-domainset", JSON, "格网" if zh else "Domain set"),
        link(f"{path}/coverage/rangetype", f"{REL}/coverage-rangetype", JSON, "波段" if zh else "Range type"),
        link(f"{path}/schema", f"{REL}/schema", SCHEMA, "波段结构" if zh else "Schema of the bands"),
    ]
    return {
        "crs": list(SERVED),
        "storageCrs": STORAGE.uri,
        "extent": {
            "spatial": {
                "bbox": [[west, south, east, north]],
                "crs": CRS84.uri,
                "storageCrsBbox": [[south, west, north, east]],
                "grid": [
                    {"cellsCount": published.width, "resolution": cell_x, "firstCoordinate": west + cell_x / 2},
                    {"cellsCount": published.height, "resolution": cell_y, "firstCoordinate": south + cell_y / 2},
                ],
            },
            "temporal": temporal_extent(published),
        },
        "links": links,
    }
