"""Answers of EDR queries in their formats: CoverageJSON, EDR-GeoJSON, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import orjson

from spatial.ogc import coverage_json
from spatial.ogc.edr.answers import Cells, Points, Series, StationSeries, Subject

if TYPE_CHECKING:
    from spatial.crs import ServedCRS

__all__ = ["HEADERS", "OPEN", "Answer", "to_coverage_json", "to_csv", "to_geojson"]

Answer = Points | Cells | Series
OPEN = "../.."
"""``datetime`` of what has no time of its own."""
HEADERS = ("name", "zh", "en")
"""Choices of the head of a CSV file: field names, Chinese titles, English titles."""
_WORDS = {
    "x": ("经度", "longitude"),
    "y": ("纬度", "latitude"),
    "e": ("东坐标_m", "easting_m"),
    "n": ("北坐标_m", "northing_m"),
    "along_m": ("里程_m", "along_m"),
    "fraction": ("覆盖比例", "fraction"),
    "area_m2": ("覆盖面积_m2", "covered_area_m2"),
    "station": ("测站", "station"),
    "datetime": ("时间", "datetime"),
    "distance_m": ("距离_m", "distance_m"),
}


# -- CoverageJSON -----------------------------------------------------------------------------------------------------


def _parameters(subject: Subject) -> dict[str, Any]:
    return {f.name: coverage_json.parameter(f, f"{subject.identify}#{f.name}") for f in subject.fields}


def to_coverage_json(subject: Subject, answer: Answer) -> bytes:
    """CoverageJSON: Grid (cells outside the shape are null), Point, MultiPoint or a collection of series."""
    parameters = _parameters(subject)
    if isinstance(answer, Series):
        return coverage_json.dump(_series_collection(subject, answer, parameters))
    if isinstance(answer, Cells) and not subject.crs.projected:
        outside = answer.fraction == 0
        ranges = {
            name: coverage_json.nd_array(
                np.ma.MaskedArray(np.ma.getdata(v), mask=np.ma.getmaskarray(v) | outside), ("y", "x")
            )
            for name, v in answer.values.items()
        }
        domain = coverage_json.grid_domain(answer.grid)
    else:
        # In a projected CRS the cells are no grid: their centres with the values as they are.
        points = _cell_points(answer, subject.crs) if isinstance(answer, Cells) else answer
        single = len(points.xy) == 1
        ranges = {n: coverage_json.nd_array(v[0:1].reshape(()) if single else v, () if single else ("composite",))
                  for n, v in points.values.items()}  # fmt: skip
        if single:
            domain = coverage_json.point_domain(float(points.xy[0, 0]), float(points.xy[0, 1]), subject.crs)
        else:
            domain = coverage_json.points_domain(points.xy.tolist(), subject.crs)
    return coverage_json.dump(
        coverage_json.coverage(domain, parameters, ranges, identifier=subject.layer, title=subject.title)
    )


def _cell_points(cells: Cells, crs: ServedCRS) -> Points:
    """Centres of the covered cells in `crs` and their values."""
    from spatial.crs import transformer

    rows, cols = np.nonzero(cells.fraction)
    x, y = cells.grid.x()[cols], cells.grid.y()[rows]
    if crs.projected:
        x, y = transformer(4490, crs.srid).transform(x, y)
        x, y = np.round(x, crs.digits), np.round(y, crs.digits)
    return Points(np.column_stack([x, y]), {name: v[rows, cols] for name, v in cells.values.items()})


def _series_collection(subject: Subject, answer: Series, parameters: dict[str, Any]) -> dict[str, Any]:
    coverages = []
    for station in answer.stations:
        timed = bool(station.times)
        domain = (
            coverage_json.series_domain(station.x, station.y, station.times, subject.crs)
            if timed
            else coverage_json.point_domain(station.x, station.y, subject.crs)
        )
        ranges = {f.name: _numbers(station.values[f.name], f.type == "integer", timed) for f in subject.fields}  # type: ignore[union-attr]
        document = coverage_json.coverage(domain, parameters, ranges, identifier=station.station)
        del document["parameters"]
        document["onemap:station"] = station.station
        if station.distance_m is not None:
            document["onemap:distance_m"] = round(station.distance_m, 1)
        coverages.append(document)
    kinds = {c["domain"]["domainType"] for c in coverages}
    return coverage_json.collection(kinds.pop() if len(kinds) == 1 else None, parameters, coverages, subject.title)


def _numbers(values: Sequence[float | int | None], integer: bool, timed: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "NdArray", "dataType": "integer" if integer else "float"}
    if timed:
        found |= {"axisNames": ["t"], "shape": [len(values)]}
    return found | {"values": list(values)}


# -- GeoJSON ----------------------------------------------------------------------------------------------------------


def _point(x: float, y: float, crs: ServedCRS) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [y, x] if crs.latitude_first else [x, y]}


def _plain(value: Any) -> Any:
    """A number as JSON writes it; masked is None; 32-bit numbers keep the digits that they have."""
    if value is np.ma.masked or value is None:
        return None
    if isinstance(value, np.floating):
        return float(str(value)) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _properties(subject: Subject, label: str, time: str, endpoint: str) -> dict[str, Any]:
    """What every EDR feature says (1.1, edrProperties)."""
    return {
        "datetime": time,
        "label": label,
        "parameter-name": [f.name for f in subject.fields],
        "edrqueryendpoint": endpoint,
    }


def to_geojson(subject: Subject, answer: Answer) -> bytes:
    """EDR-GeoJSON: a feature a point; of an area one feature with its statistics; a feature a station and time."""
    if isinstance(answer, Points):
        features = [orjson.dumps(feature) for feature in _point_features(subject, answer)]
    elif isinstance(answer, Cells):
        features = [orjson.dumps(_area_feature(subject, answer))]
    else:
        features = [orjson.dumps(feature) for feature in _series_features(subject, answer)]
    parameters = [{"id": name, **found} for name, found in _parameters(subject).items()]
    document = {
        "type": "FeatureCollection",
        # Written one by one: tens of thousands of features as dictionaries are ten times their text.
        "features": orjson.Fragment(b"[" + b",".join(features) + b"]"),
        "parameters": parameters,
        "numberReturned": len(features),
        "links": [
            {"href": subject.endpoint, "rel": "self", "type": "application/geo+json", "title": subject.label},
            *({"href": a, "rel": "alternate", "type": t, "title": subject.label} for t, a in subject.alternates),
            {"href": subject.collection, "rel": "collection", "type": "application/json", "title": subject.label},
        ],
    }
    return orjson.dumps(document)


def _point_features(subject: Subject, answer: Points) -> Iterator[dict[str, Any]]:
    for k, (x, y) in enumerate(answer.xy.tolist()):
        # The address of this one point: that of the query may be as long as its path, and stands here once a point.
        first, second = (y, x) if subject.crs.latitude_first else (x, y)
        endpoint = f"{subject.collection}/position?coords=POINT({first}%20{second})&crs={subject.crs.uri}"
        properties = _properties(subject, subject.label, OPEN, endpoint)
        properties |= {name: _plain(values[k]) for name, values in answer.values.items()}
        if answer.along is not None:
            properties["along_m"] = round(float(answer.along[k]), 2)
        yield {"type": "Feature", "geometry": _point(x, y, subject.crs), "properties": properties}


def _area_feature(subject: Subject, answer: Cells) -> dict[str, Any]:
    """The shape with mean, extremes and covered area of each parameter; of classes the area of each."""
    import shapely

    weights = answer.fraction * answer.area[:, None]
    properties = _properties(subject, subject.label, OPEN, subject.endpoint)
    properties |= {"cells": int((answer.fraction > 0).sum()), "area_m2": round(float(weights.sum()), 2)}
    for field in subject.fields:
        properties |= _statistics(field, answer.values[field.name], answer.fraction, weights)
    shape = answer.shape
    if subject.crs.latitude_first:
        shape = shapely.transform(shape, lambda xy: xy[:, ::-1])
    geometry = orjson.loads(shapely.to_geojson(shape))
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _statistics(field: Any, values: np.ma.MaskedArray[Any, Any], fraction: Any, weights: Any) -> dict[str, Any]:
    used = (fraction > 0) & ~np.ma.getmaskarray(values)
    name, known = field.name, np.ma.getdata(values)[used]
    valid = round(float(weights[used].sum()), 2)
    if not known.size:
        return {name: None, f"{name}_valid_area_m2": valid}
    if field.domain:
        codes, inverse = np.unique(known, return_inverse=True)
        areas = np.bincount(inverse, weights=weights[used])
        return {
            name: _plain(codes[int(np.argmax(areas))]),
            f"{name}_valid_area_m2": valid,
            f"{name}_class_area_m2": {str(_plain(c)): round(float(a), 2) for c, a in zip(codes, areas, strict=True)},
        }
    mean = float(np.average(known.astype(np.float64), weights=weights[used]))
    return {
        name: mean,
        f"{name}_min": _plain(known.min()),
        f"{name}_max": _plain(known.max()),
        f"{name}_valid_area_m2": valid,
    }


def _series_features(subject: Subject, answer: Series) -> Iterator[dict[str, Any]]:
    for station in answer.stations:
        geometry = _point(station.x, station.y, subject.crs)
        endpoint = f"{subject.collection}/locations/{quote(station.station, safe='')}"
        for time, row in _station_rows(subject, station):
            properties = _properties(subject, station.station, time or OPEN, endpoint) | row
            if station.distance_m is not None:
                properties["distance_m"] = round(station.distance_m, 1)
            yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _station_rows(subject: Subject, station: StationSeries) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for k, time in enumerate(station.times or (None,)):
        yield time, {f.name: station.values[f.name][k] for f in subject.fields}


# -- CSV --------------------------------------------------------------------------------------------------------------


def to_csv(subject: Subject, answer: Answer, header: str) -> bytes:
    """A table: a row a point, covered cell, or observation; x before y whatever the CRS, as the head says.

    Parameters
    ----------
    header : {"name", "zh", "en"}
        ``zh`` begins with a byte-order mark, without which Excel garbles Chinese.
    """
    x, y = ("e", "n") if subject.crs.projected else ("x", "y")
    if isinstance(answer, Points):
        head, rows = [x, y, *(("along_m",) if answer.along is not None else ())], _point_rows(answer)
    elif isinstance(answer, Cells):
        head, rows = [x, y, "fraction", "area_m2"], _cell_rows(answer, subject.crs)
    else:
        near = any(station.distance_m is not None for station in answer.stations)
        head = ["station", x, y, *(("distance_m",) if near else ()), "datetime"]
        rows = _series_rows(subject, answer, near)
    return _table(head, subject, rows, header)


def _table(head: Sequence[str], subject: Subject, rows: Iterable[Sequence[Any]], header: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header == "name":
        writer.writerow([*({"e": "x", "n": "y"}.get(word, word) for word in head), *(f.name for f in subject.fields)])
    else:
        place = 0 if header == "zh" else 1
        titles = [f.title.zh if header == "zh" else f.title.en for f in subject.fields]
        units = [f" ({f.unit})" if f.unit and not f.domain else "" for f in subject.fields]
        writer.writerow([*(_WORDS[word][place] for word in head), *map("".join, zip(titles, units, strict=True))])
    writer.writerows(rows)
    return (b"\xef\xbb\xbf" if header == "zh" else b"") + text.getvalue().encode()


def _point_rows(answer: Points) -> Iterator[list[Any]]:
    for k, (x, y) in enumerate(answer.xy.tolist()):
        along = [] if answer.along is None else [round(float(answer.along[k]), 2)]
        yield [x, y, *along, *(_plain(values[k]) for values in answer.values.values())]


def _cell_rows(answer: Cells, crs: ServedCRS) -> Iterator[list[Any]]:
    points = _cell_points(answer, crs)
    rows, cols = np.nonzero(answer.fraction)
    for k, (x, y) in enumerate(points.xy.tolist()):
        part = float(answer.fraction[rows[k], cols[k]])
        area = round(part * float(answer.area[rows[k]]), 2)
        yield [x, y, round(part, 6), area, *(_plain(values[k]) for values in points.values.values())]


def _series_rows(subject: Subject, answer: Series, near: bool) -> Iterator[list[Any]]:
    for station in answer.stations:
        distance = [] if not near else [None if station.distance_m is None else round(station.distance_m, 1)]
        for time, row in _station_rows(subject, station):
            yield [station.station, station.x, station.y, *distance, time, *row.values()]
