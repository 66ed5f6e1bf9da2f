"""Explain (解释): why a cell or an area has its class — value, interval, grade, matrix cell, correction, source clause.

The chain comes from the provenance of the factors layer and runs by the kernel of the batch, so that the explanation
cannot differ from the map. The parameters of the what-if tiles explain a scenario.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.chain import Chain
from analyses.whatif import NOT_LOCAL, Recorded, Scenario, factors_of, recorded, result_of, scenario
from spatial.api.cells import CellReader
from spatial.errors import InvalidParameter, PayloadTooLarge, SpatialError
from spatial.store.raster import PublishedRaster, open_raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.store.datastore import Snapshot

__all__ = ["MOST_CELLS", "MOST_VERTICES", "explain_area", "explain_point", "polygon_of"]

MOST_VERTICES = 10_000
MOST_CELLS = 16_000_000
"""Cells of the window of a polygon: about 13 000 km² at 30 m."""
_STRIP = 512
_EDGES = 0.005
_DIGITS = 6
_cells = CellReader()


@dataclass(frozen=True)
class _Subject:
    """One assessment of a run: its factors, its class raster if this server shows it, and its chain."""

    factors: PublishedRaster
    classes: PublishedRaster | None
    found: Recorded


def _subject(snapshot: Snapshot, layer_id: str) -> _Subject:
    asked = snapshot.raster(layer_id)
    named = factors_of(asked.layer)
    factors = asked if named in {None, layer_id} else snapshot.raster(named)
    found = recorded(factors.layer)
    classes = None if factors is asked else asked
    result = result_of(factors.layer)
    if classes is None and result is not None:
        try:
            classes = snapshot.raster(result)
        except SpatialError:
            classes = None  # deleted, or not shown on this server: the factors suffice for all that is local
    return _Subject(factors, classes, found)


def _family(snapshot: Snapshot, layer_id: str) -> list[_Subject]:
    """The assessments of the run that made a layer, the asked one first."""
    first = _subject(snapshot, layer_id)
    job = (first.factors.layer.provenance or {}).get("job")
    others = []
    for layer in snapshot.layers() if job else ():
        record = layer.provenance or {}
        if record.get("job") == job and "chain" in record and layer.id != first.factors.layer.id:
            others.append(_subject(snapshot, layer.id))
    return [first, *others]


# -- a point -------------------------------------------------------------------------------------------------------------


def explain_point(
    snapshot: Snapshot, layer_id: str, lon: float, lat: float, query: Mapping[str, str]
) -> dict[str, Any]:
    """Trace of a cell for every assessment of the run.

    Parameters
    ----------
    lon, lat : float, degrees (EPSG:4490)
    query : mapping
        Changes of a scenario (see `analyses.whatif.scenario`); they apply to the asked assessment.

    Raises
    ------
    InvalidParameter
        The point lies outside the raster (with a hint if its coordinates look swapped), or a change is wrong.
    LayerNotFound
        The layer does not exist or carries no chain.
    """
    family = _family(snapshot, layer_id)
    _require_inside(family[0].factors, lon, lat)
    changed = scenario(family[0].found.chain, query)
    chains = []
    for subject in family:
        plan = changed if subject is family[0] else scenario(subject.found.chain, {})
        if _inside(subject.factors, lon, lat):
            chains.append(_explained(subject, plan, lon, lat))
    return {"lon": lon, "lat": lat, "crs": "EPSG:4490", "layer": layer_id, "chains": chains}


def _explained(subject: _Subject, plan: Scenario, lon: float, lat: float) -> dict[str, Any]:
    found, factors = subject.found, subject.factors
    cell = _cells.values(factors, lon, lat)
    values = {name: cell[number - 1] for name, number in found.bands.items()}
    stored = _stored(subject.classes, lon, lat)
    # What is not local was computed by the run and is read from the map of classes.
    absent = [s for s in plan.chain.stations if s.id in found.absent]
    known = {s.factor: stored[s.factor] for s in absent if s.factor in stored}
    left_out = [s for s in absent if s.factor not in known]
    if left_out:
        plan = plan.local(Recorded(found.chain, found.bands, tuple(s.id for s in left_out)))
    told = plan.trace(values | known)
    missing = _missing(plan, values | known, told)
    document: dict[str, Any] = {
        "layer": factors.layer.id,
        "result_layer": result_of(factors.layer),
        "version": factors.version,
        "synthetic": factors.layer.synthetic is not None,
        **told,
        "changed": plan.changed,
        "assessed": told["class"] is not None,
        "missing": missing,
        "from_run": [{"station": s.id, "title": s.title.model_dump()} for s in absent if s.factor in known],
        "left_out": [{"station": s.id, "title": s.title.model_dump(), "reason": NOT_LOCAL} for s in left_out],
        "stored": {name: stored[name] for name in ("class", "grade", "reason") if name in stored},
    }
    document["summary"] = _summary(document)
    later = (factors.layer.provenance or {}).get("knock_outs")
    if later is not None:
        document["profile_2020"] = _profile_2020(subject, Chain.model_validate(later), values, stored)
    return document


def _profile_2020(
    subject: _Subject, knock_outs: Chain, values: Mapping[str, float | None], stored: Mapping[str, Any]
) -> dict[str, Any]:
    """The rules of 2020 (一票否决) at the cell: what each knock-out found, and the stored class and reason with titles."""
    told = knock_outs.trace({name: values.get(name) for name in knock_outs.factors})
    titles = {band.name: band.domain or {} for band in subject.classes.layer.bands} if subject.classes else {}

    def named(band: str) -> dict[str, Any] | None:
        value = stored.get(band)
        title = titles.get(band, {}).get(value) if value is not None else None
        return None if value is None else {"value": value, "title": title.model_dump() if title else None}

    return {"steps": told["steps"], "class": named("class_2020"), "reason": named("reason_2020")}


def _stored(classes: PublishedRaster | None, lon: float, lat: float) -> dict[str, Any]:
    """Values of the bands of the class raster; 0 and nodata are «none»."""
    if classes is None or not _inside(classes, lon, lat):
        return {}
    bands = [band.name for band in classes.layer.bands]
    return {n: int(v) if v else None for n, v in zip(bands, _cells.values(classes, lon, lat), strict=True)}


def _missing(plan: Scenario, values: Mapping[str, float | None], told: Mapping[str, Any]) -> dict[str, Any] | None:
    """The station for whose factor a cell is not assessed."""
    if told["class"] is not None:
        return None
    for station in plan.chain.stations:
        wanted = station.required if plan.weighted is None else station.factor in plan.factors
        if wanted and values.get(station.factor) is None:
            title = station.title
            return {
                "station": station.id,
                "factor": station.factor,
                "title": title.model_dump(),
                "text": {
                    "zh": f"未评价：此处没有因子“{title.zh}”（{station.factor}）的值",
                    "en": f"not assessed: the factor {title.en} ({station.factor}) has no value here",
                },
            }
    return None


def _summary(told: Mapping[str, Any]) -> dict[str, str]:
    """The chain in one sentence."""
    if told["missing"]:
        return dict(told["missing"]["text"])
    zh, en = [], []
    for step in told["steps"]:
        if step["value"] is None or not (step["changed"] or step["ends"] or step.get("weight")):
            continue
        unit = f" {step['unit']}" if step["unit"] else ""
        cell = step["cell"]
        at = f"[{cell[0]},{cell[1]}]" if cell else ""
        if step.get("weight"):
            zh.append(f"{step['title']['zh']} {step['value']:g}{unit} → {step['level']} 级 × {step['weight']:g}")
            en.append(f"{step['title']['en']} {step['value']:g}{unit} → level {step['level']} × {step['weight']:g}")
        else:
            zh.append(f"{step['title']['zh']} {step['value']:g}{unit} → {at}{step['grade_after']} 级")
            en.append(f"{step['title']['en']} {step['value']:g}{unit} → {at}grade {step['grade_after']}")
    title = told["class_title"] or {"zh": f"{told['class']} 类", "en": f"class {told['class']}"}
    return {"zh": "；".join([*zh, title["zh"]]), "en": "; ".join([*en, title["en"]])}


def _inside(raster: PublishedRaster, lon: float, lat: float) -> bool:
    west, south, east, north = raster.extent
    return west <= lon < east and south < lat <= north


def _require_inside(raster: PublishedRaster, lon: float, lat: float) -> None:
    if _inside(raster, lon, lat):
        return
    west, south, east, north = (round(v, 5) for v in raster.extent)
    swapped = _inside(raster, lat, lon)
    hint_zh = "；经纬度可能颠倒：lon 是经度，lat 是纬度" if swapped else ""
    hint_en = "; the coordinates may be swapped: lon is the longitude, lat the latitude" if swapped else ""
    raise InvalidParameter(
        f"点（经度 {lon:g}，纬度 {lat:g}）在图层 {raster.layer.id} 之外（经度 {west}–{east}，纬度 {south}–{north}）{hint_zh}",
        f"longitude {lon:g}, latitude {lat:g} lies outside layer {raster.layer.id} "
        f"(longitude {west} to {east}, latitude {south} to {north}){hint_en}",
        layer=raster.layer.id,
        parameter="lon, lat",
        extent=[west, south, east, north],
        swapped=swapped,
    )


# -- an area -------------------------------------------------------------------------------------------------------------


def polygon_of(document: Any) -> Any:
    """Polygon or multipolygon of a GeoJSON geometry or feature; longitude first, degrees.

    Raises
    ------
    InvalidParameter
        No polygon, invalid rings, coordinates outside ±180 and ±90 (also when they are metres), a CRS other than CRS84.
    PayloadTooLarge
        Too many vertices.
    """
    import shapely

    if isinstance(document, Mapping) and document.get("type") == "Feature":
        document = document.get("geometry")
    if not isinstance(document, Mapping) or document.get("type") not in {"Polygon", "MultiPolygon"}:
        raise InvalidParameter(
            "请求体应为 GeoJSON 的 Polygon、MultiPolygon 或其 Feature（经度在前）",
            "the body must be a GeoJSON Polygon, MultiPolygon or a Feature of one (longitude first)",
            parameter="body",
        )
    if "crs" in document:
        raise InvalidParameter(
            "GeoJSON 不得带 crs：坐标按 CRS84 经纬度读取",
            "GeoJSON must not have a crs: it is read as CRS84",
            parameter="crs",
        )
    try:
        shape = shapely.geometry.shape(dict(document))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InvalidParameter(
            f"多边形无法读取：{error}", f"the polygon cannot be read: {error}", parameter="body"
        ) from error
    vertices = int(shapely.get_num_coordinates(shape))
    if vertices > MOST_VERTICES:
        raise PayloadTooLarge(
            f"多边形有 {vertices} 个顶点，最多 {MOST_VERTICES} 个；请先简化",
            f"the polygon has {vertices} vertices, at most {MOST_VERTICES}; simplify it first",
            limit=MOST_VERTICES,
        )
    bounds = shape.bounds
    if shape.is_empty or not all(map(math.isfinite, bounds)):
        raise InvalidParameter("多边形是空的", "the polygon is empty", parameter="body")
    if bounds[0] < -180 or bounds[2] > 180 or bounds[1] < -90 or bounds[3] > 90:
        raise InvalidParameter(
            "坐标超出经度 ±180、纬度 ±90：应为经纬度（经度在前），不是米，也不是纬度在前",
            "coordinates outside longitude ±180, latitude ±90: degrees with longitude first, neither metres nor latitude first",
            parameter="body",
        )
    if not shape.is_valid or shape.area == 0:
        raise InvalidParameter(
            f"多边形不成立：{shapely.is_valid_reason(shape)}",
            f"the polygon is invalid: {shapely.is_valid_reason(shape)}",
            parameter="body",
        )
    return shape


def explain_area(snapshot: Snapshot, layer_id: str, shape: Any, query: Mapping[str, str]) -> dict[str, Any]:
    """Areas by class and by reason in a polygon, the most frequent chain, and mean and range of the factors.

    Areas are ellipsoidal, with exact shares of the cells at the edge. «Frequent» is by area, over the cells whose centre
    lies inside (or that the polygon touches, if there is no such cell); cells are alike if every station has the same
    interval.

    Raises
    ------
    InvalidParameter, PayloadTooLarge
    """
    from spatial.units import geodesic_areas

    subject = _subject(snapshot, layer_id)
    found, factors = subject.found, subject.factors
    plan = scenario(found.chain, query)
    window = _window(factors, shape)
    level = _levels_of_run(subject, plan)
    left_out = [s for s in plan.chain.stations if s.id in found.absent and s.factor not in level]
    if left_out:
        plan = plan.local(Recorded(found.chain, found.bands, tuple(s.id for s in left_out)))
    cells = _Cells(subject, plan, level, window, shape)
    total = float(geodesic_areas([shape])[0])
    chain = found.chain
    titles = {n: chain.class_titles.get(n) for n in sorted(set(chain.classes.values()))}
    by_class, none = cells.areas(cells.suitability, titles)
    by_reason, _ = cells.areas(cells.reason, chain.reasons())
    assessed = sum(row["km2"] for row in by_class)
    beyond = total / 1e6 - assessed - none
    return {
        "layer": factors.layer.id,
        "result_layer": result_of(factors.layer),
        "version": factors.version,
        "synthetic": factors.layer.synthetic is not None,
        "crs": "EPSG:4490",
        "chain": chain.id,
        "title": chain.title.model_dump(),
        "changed": plan.changed,
        "area_km2": round(total / 1e6, _DIGITS),
        "assessed_km2": round(assessed, _DIGITS),
        "not_assessed_km2": round(none, _DIGITS),
        # Edges are geodesics here and straight in degrees there: less than that difference is none.
        "outside_km2": round(beyond, _DIGITS) if beyond > _EDGES * total / 1e6 else 0.0,
        "by_class": by_class,
        "by_reason": by_reason,
        "most_frequent": cells.most_frequent(),
        "factors": cells.statistics(),
        "left_out": [{"station": s.id, "title": s.title.model_dump(), "reason": NOT_LOCAL} for s in left_out],
    }


def _levels_of_run(subject: _Subject, plan: Scenario) -> dict[str, int]:
    """Factor that is not local → band of the class raster that keeps its level."""
    classes = subject.classes
    if classes is None or (classes.extent, classes.width, classes.height) != (
        subject.factors.extent, subject.factors.width, subject.factors.height,
    ):  # fmt: skip
        return {}
    names = [band.name for band in classes.layer.bands]
    wanted = {s.factor for s in plan.chain.stations if s.id in subject.found.absent}
    return {name: names.index(name) + 1 for name in sorted(wanted) if name in names}


def _window(raster: PublishedRaster, shape: Any) -> tuple[int, int, int, int]:
    """First row and column, rows and columns of the cells that a polygon may touch."""
    west, south, east, north = raster.extent
    left, low, right, high = shape.bounds
    wide, tall = (east - west) / raster.width, (north - south) / raster.height
    first_col = max(0, math.floor((left - west) / wide))
    last_col = min(raster.width, math.ceil((right - west) / wide))
    first_row = max(0, math.floor((north - high) / tall))
    last_row = min(raster.height, math.ceil((north - low) / tall))
    if first_col >= last_col or first_row >= last_row:
        swapped = low < east and high > west and left < north and right > south
        _require_inside(raster, *(shape.centroid.coords[0]))
        raise InvalidParameter(
            f"多边形在图层 {raster.layer.id} 之外" + ("；坐标可能颠倒，应经度在前" if swapped else ""),
            f"the polygon lies outside layer {raster.layer.id}" + ("; longitude must come first" if swapped else ""),
            layer=raster.layer.id,
            parameter="body",
        )
    rows, columns = last_row - first_row, last_col - first_col
    if rows * columns > MOST_CELLS:
        raise PayloadTooLarge(
            f"多边形的范围有 {rows * columns} 个像元，最多 {MOST_CELLS} 个；请分块，或用结果中的分区统计表",
            f"the window of the polygon has {rows * columns} cells, at most {MOST_CELLS}; "
            "ask for parts, or use the tables by unit",
            limit=MOST_CELLS,
        )
    return first_row, first_col, rows, columns


class _Cells:
    """The cells of a polygon's window, graded by strips; memory holds a few bytes a cell, not the factor values."""

    def __init__(
        self,
        subject: _Subject,
        plan: Scenario,
        level: Mapping[str, int],
        window: tuple[int, int, int, int],
        shape: Any,
    ) -> None:
        from affine import Affine
        from odc.geo.geobox import GeoBox
        from rasterio.features import geometry_mask

        self._plan, self._shape = plan, shape
        row, col, rows, columns = window
        whole = subject.factors.grid.affine
        affine = Affine(whole.a, 0, whole.c + col * whole.a, 0, whole.e, whole.f + row * whole.e)
        self._grid = GeoBox((rows, columns), affine, "EPSG:4490")
        inside = geometry_mask([shape], (rows, columns), affine, invert=True)
        if not inside.any():
            inside = geometry_mask([shape], (rows, columns), affine, invert=True, all_touched=True)
        self.suitability = np.zeros((rows, columns), dtype=np.uint8)
        self.reason = np.zeros((rows, columns), dtype=np.uint8)
        self._most: dict[bytes, list[Any]] = {}
        self._factors: dict[str, list[float]] = {}
        self._read(subject, level, window, inside)

    def _read(
        self, subject: _Subject, level: Mapping[str, int], window: tuple[int, int, int, int], inside: NDArray[np.bool_]
    ) -> None:
        from contextlib import ExitStack

        from rasterio.windows import Window

        from spatial.grid import cell_areas

        row, col, rows, columns = window
        areas = cell_areas(self._grid)
        names = [name for name in self._plan.factors if name in subject.found.bands]
        with ExitStack() as stack:
            factors = stack.enter_context(open_raster(subject.factors.path))
            levels = stack.enter_context(open_raster(subject.classes.path)) if level and subject.classes else None
            for top in range(0, rows, _STRIP):
                count = min(_STRIP, rows - top)
                part = Window(col, row + top, columns, count)
                found = factors.read([subject.found.bands[n] for n in names], window=part, out_dtype="float32")
                if not math.isnan(subject.factors.nodata):
                    found[found == np.float32(subject.factors.nodata)] = np.nan
                values = dict(zip(names, found, strict=True))
                for name, band in level.items():
                    if levels is not None and name in self._plan.factors:
                        stored = levels.read(band, window=part).astype(np.float32)
                        values[name] = np.where(stored == 0, np.float32(np.nan), stored)
                graded = self._plan.run(values)
                self.suitability[top : top + count] = graded.suitability
                self.reason[top : top + count] = graded.reason
                self._count(values, inside[top : top + count], areas[top : top + count])

    def _count(self, values: Mapping[str, NDArray[Any]], inside: NDArray[np.bool_], areas: NDArray[np.float64]) -> None:
        weight = np.broadcast_to(areas[:, None], inside.shape)[inside]
        if weight.size == 0:
            return
        cells = {name: array[inside] for name, array in values.items()}
        for name, array in cells.items():
            known = np.isfinite(array)
            if known.any():
                total = self._factors.setdefault(name, [0.0, 0.0, math.inf, -math.inf])
                total[0] += float((array[known].astype(np.float64) * weight[known]).sum())
                total[1] += float(weight[known].sum())
                total[2] = min(total[2], float(array[known].min()))
                total[3] = max(total[3], float(array[known].max()))
        codes = np.stack([_intervals(s, cells[s.factor]) for s in self._stations(cells)], axis=1)
        alike, first, which = np.unique(codes, axis=0, return_index=True, return_inverse=True)
        area = np.bincount(which.ravel(), weights=weight, minlength=len(alike))
        for k, key in enumerate(alike):
            example = {name: float(array[first[k]]) for name, array in cells.items()}
            self._most.setdefault(key.tobytes(), [0.0, example])[0] += float(area[k])

    def _stations(self, cells: Mapping[str, Any]) -> list[Any]:
        return [s for s in self._plan.chain.stations if s.factor in cells]

    def areas(self, codes: NDArray[np.uint8], titles: Mapping[int, Any]) -> tuple[list[dict[str, Any]], float]:
        """Area of each code in the polygon, with exact shares at the edge; and of code 0, km²."""
        from analyses.zonal import area_by_code

        found = area_by_code(codes, self._grid, [self._shape])[0]
        total = float(found[1:].sum())
        rows = [
            {
                "value": code,
                "title": None if title is None else title.model_dump(),
                "km2": round(float(found[code]) / 1e6, _DIGITS),
                "hm2": round(float(found[code]) / 1e4, 4),
                "mu": round(float(found[code]) * 0.0015, 3),
                "share": round(float(found[code]) / total, _DIGITS) if total else None,
            }
            for code, title in titles.items()
        ]
        return rows, float(found[0]) / 1e6

    def most_frequent(self) -> dict[str, Any] | None:
        """Trace of the combination of intervals with the greatest area, with its share and the values of one such cell."""
        if not self._most:
            return None
        total = sum(area for area, _ in self._most.values())
        # Equal areas: the first in the order of the intervals, so that the answer never changes.
        key = min(self._most, key=lambda k: (-round(self._most[k][0], 3), k))
        area, example = self._most[key]
        told = self._plan.trace({n: None if math.isnan(v) else v for n, v in example.items()})
        return {"share": round(area / total, _DIGITS), "combinations": len(self._most), **told}

    def statistics(self) -> list[dict[str, Any]]:
        """Mean (by area), least and greatest value of each factor."""
        units: dict[str, Any] = {}
        for station in self._plan.chain.stations:
            units.setdefault(station.factor, station)
        return [
            {
                "factor": name,
                "title": units[name].title.model_dump(),
                "unit": units[name].unit,
                "mean": round(total / weight, _DIGITS),
                "min": round(low, _DIGITS),
                "max": round(high, _DIGITS),
            }
            for name, (total, weight, low, high) in self._factors.items()
        ]


def _intervals(station: Any, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Number of the interval of each value from 1; 0 = no value."""
    number = np.searchsorted(station.starts, values.astype(np.float32), side="right") + 1
    return np.where(np.isnan(values), 0, number).astype(np.uint8)
