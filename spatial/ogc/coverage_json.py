"""CoverageJSON (OGC 21-069r2): parameters, reference systems, domains and ranges.

Numbers stand as they are stored (32-bit numbers with the digits of 32 bits); nodata is ``null``. Axes ``x`` and ``y`` are
longitude or easting and latitude or northing; ``referencing.coordinates`` lists them in the order of the CRS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from spatial.catalog import Attribute, Band, Text
from spatial.crs import ServedCRS

if TYPE_CHECKING:
    import numpy as np

    from spatial.building_block import Language
    from spatial.store.coverage_grid import CoverageGrid

__all__ = [
    "COVJSON",
    "UCUM",
    "collection",
    "coverage",
    "dump",
    "grid_domain",
    "nd_array",
    "parameter",
    "parameter_name",
    "point_domain",
    "points_domain",
    "series_domain",
    "ucum",
]

COVJSON = "application/prs.coverage+json"
"""The registered media type (IANA, RFC 6838 personal tree), which EDR 1.1, /req/covjson/definition, names too.

``application/vnd.cov+json`` was never registered; it is understood where a client asks for it.
"""
UCUM = "http://www.opengis.net/def/uom/UCUM/"
GREGORIAN = "Gregorian"
_SYMBOLS = {
    "°C": "Cel", "℃": "Cel", "degC": "Cel", "°": "deg", "degree": "deg", "hm2": "har", "hm²": "har", "km²": "km2",
    "m²": "m2", "m³": "m3", "m³/s": "m3/s", "person": "{person}", "m2/person": "m2/{person}",
    "m3/(person·a)": "m3/({person}.a)", "m3/mu": "m3/{mu}", "亩": "{mu}",
}  # fmt: skip
"""Unit of the catalogue → UCUM symbol, where they differ."""


def ucum(unit: str) -> str:
    """UCUM symbol of a unit of the catalogue.

    >>> ucum("degC"), ucum("mm"), ucum("hm2")
    ('Cel', 'mm', 'har')
    """
    return _SYMBOLS.get(unit, unit)


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _unit(unit: str) -> dict[str, Any]:
    return {"label": {"en": unit}, "symbol": {"value": ucum(unit), "type": UCUM}}


def parameter(field: Band | Attribute, identifier: str) -> dict[str, Any]:
    """Parameter object of a band or a field; classes are categories and have no unit.

    Parameters
    ----------
    identifier : str
        Address that names the observed property.
    """
    observed: dict[str, Any] = {"id": identifier, "label": _both(field.title)}
    found: dict[str, Any] = {"type": "Parameter", "description": _both(field.title), "observedProperty": observed}
    codes = _codes(field)
    if codes:
        observed["categories"] = [{"id": f"{identifier}/{code}", "label": _both(text)} for code, text in codes.items()]
        found["categoryEncoding"] = {f"{identifier}/{code}": code for code in codes}
    elif field.unit is not None:
        found["unit"] = _unit(field.unit)
    return found


def _codes(field: Band | Attribute) -> dict[int, Text]:
    """Class codes that are integers; CoverageJSON encodes no others."""
    return {int(code): text for code, text in (field.domain or {}).items() if str(code).lstrip("-").isdigit()}


def parameter_name(field: Band | Attribute, identifier: str, language: Language, data_type: str) -> dict[str, Any]:
    """Entry of ``parameter_names`` of an EDR collection (1.1, /req/edr/rc-parameters): texts in one language."""
    title = field.title.zh if language == "zh" else field.title.en
    found: dict[str, Any] = {
        "type": "Parameter",
        "id": field.name,
        "label": title,
        "description": title,
        "data-type": data_type,
        "observedProperty": {"id": identifier, "label": title},
    }
    codes = _codes(field)
    if codes:
        found["observedProperty"]["categories"] = [
            {"id": f"{identifier}/{code}", "label": text.zh if language == "zh" else text.en}
            for code, text in codes.items()
        ]
        found["categoryEncoding"] = {f"{identifier}/{code}": code for code in codes}
    elif field.unit is not None:
        found["unit"] = {"label": field.unit, "symbol": {"value": ucum(field.unit), "type": UCUM}}
    return found


def _referencing(crs: ServedCRS, *, time: bool = False) -> list[dict[str, Any]]:
    kind = "ProjectedCRS" if crs.projected else "GeographicCRS"
    found: list[dict[str, Any]] = [
        {"coordinates": ["y", "x"] if crs.latitude_first else ["x", "y"], "system": {"type": kind, "id": crs.uri}}
    ]
    if time:
        found.append({"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": GREGORIAN}})
    return found


def _axis(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    if len(values) == 1:
        return {"values": [float(values[0])]}
    return {"start": float(values[0]), "stop": float(values[-1]), "num": len(values)}


def grid_domain(grid: CoverageGrid) -> dict[str, Any]:
    """Domain of cells: centres, from the west and from the north."""
    return {
        "type": "Domain",
        "domainType": "Grid",
        "axes": {"x": _axis(grid.x()), "y": _axis(grid.y())},
        "referencing": _referencing(grid.crs),
    }


def point_domain(x: float, y: float, crs: ServedCRS) -> dict[str, Any]:
    """Domain of one place."""
    axes = {"x": {"values": [x]}, "y": {"values": [y]}}
    return {"type": "Domain", "domainType": "Point", "axes": axes, "referencing": _referencing(crs)}


def points_domain(points: Sequence[Sequence[float]], crs: ServedCRS) -> dict[str, Any]:
    """Domain of many places, in their order."""
    composite = {"dataType": "tuple", "coordinates": ["x", "y"], "values": [list(point) for point in points]}
    return {
        "type": "Domain",
        "domainType": "MultiPoint",
        "axes": {"composite": composite},
        "referencing": _referencing(crs),
    }


def series_domain(x: float, y: float, times: Sequence[str], crs: ServedCRS) -> dict[str, Any]:
    """Domain of one place at many times (ISO 8601, UTC)."""
    axes = {"x": {"values": [x]}, "y": {"values": [y]}, "t": {"values": list(times)}}
    return {
        "type": "Domain",
        "domainType": "PointSeries",
        "axes": axes,
        "referencing": _referencing(crs, time=True),
    }


def nd_array(values: np.ma.MaskedArray[Any, Any], axes: Sequence[str]) -> dict[str, Any]:
    """Range of one parameter; masked values are ``null``."""
    import numpy as np

    integer = values.dtype.kind in "iu"
    flat: Any = values.reshape(-1)
    if not integer:
        # orjson writes float32 with the digits of 32 bits, and NaN as null.
        flat = np.ascontiguousarray(np.ma.filled(flat, np.nan))
    elif np.ma.is_masked(values):
        flat = flat.tolist()
    else:
        flat = np.ascontiguousarray(np.ma.getdata(flat))
    found: dict[str, Any] = {"type": "NdArray", "dataType": "integer" if integer else "float"}
    if axes:
        found |= {"axisNames": list(axes), "shape": list(values.shape)}
    return found | {"values": flat}


def coverage(
    domain: Mapping[str, Any],
    parameters: Mapping[str, Any],
    ranges: Mapping[str, Any],
    *,
    identifier: str | None = None,
    title: Text | None = None,
) -> dict[str, Any]:
    """A coverage document; `title` carries the mark of synthetic data."""
    found: dict[str, Any] = {"type": "Coverage"}
    if identifier is not None:
        found["id"] = identifier
    if title is not None:
        found["title"] = _both(title)
    return found | {"domain": domain, "parameters": parameters, "ranges": ranges}


def collection(
    domain_type: str | None, parameters: Mapping[str, Any], coverages: Sequence[Mapping[str, Any]], title: Text
) -> dict[str, Any]:
    """Several coverages that share their parameters, and their kind of domain unless it is None."""
    found: dict[str, Any] = {"type": "CoverageCollection", "title": _both(title)}
    if domain_type is not None:
        found["domainType"] = domain_type
    return found | {"parameters": parameters, "coverages": list(coverages)}


def dump(document: Mapping[str, Any]) -> bytes:
    """The JSON text."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
