"""EDR queries on stations (测站检索): which stations, which observations.

A layer of kind ``stations`` holds one feature an observation; `station_field` names its station. Versions are immutable, so the
list of stations is read once a version and kept; it decides which stations a shape holds, the store gives their observations.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import orjson
from starlette.concurrency import run_in_threadpool

from spatial.crs import CRS84, ServedCRS, transform_geometries
from spatial.errors import NotFound, PayloadTooLarge
from spatial.ogc.edr.answers import Series, StationSeries
from spatial.ogc.edr.appended import appended_rows, appended_spans, time_text
from spatial.ogc.edr.geometry import distances
from spatial.store.vector import Interval, ItemQuery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.catalog import Attribute, Layer
    from spatial.store.datastore import DataStore
    from spatial.store.observation_store import SeriesSpan
    from spatial.store.vector import PublishedTable

__all__ = ["MAX_ROWS", "Station", "StationIndex", "observations", "parameters_of", "station_index"]

MAX_ROWS = 200_000
"""Most observations of one answer."""
_BATCH = 10_000
_KEPT = 32


@dataclass(frozen=True, slots=True)
class Station:
    """One station: place (EPSG:4490), first and last time (RFC 3339, UTC), number of observations."""

    name: str
    lon: float
    lat: float
    first: str | None
    last: str | None
    count: int


@dataclass(frozen=True)
class StationIndex:
    """All stations of one version, by name."""

    stations: dict[str, Station]
    names: list[str]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    def nearest(self, lon: float, lat: float) -> list[tuple[str, float]]:
        """The nearest station and its geodesic distance, m."""
        found = distances(lon, lat, self.lon, self.lat)
        best = int(np.argmin(found))
        return [(self.names[best], float(found[best]))]

    def within(self, lon: float, lat: float, radius_m: float) -> list[tuple[str, float]]:
        """Stations no further than `radius_m`, nearest first, with their geodesic distance, m."""
        found = distances(lon, lat, self.lon, self.lat)
        near = np.flatnonzero(found <= radius_m)
        return [(self.names[k], float(found[k])) for k in near[np.argsort(found[near], kind="stable")]]

    def inside(self, shape: Any) -> list[str]:
        """Stations in a shape (longitude and latitude) or on its border."""
        import shapely

        return [self.names[k] for k in np.flatnonzero(shapely.intersects_xy(shape, self.lon, self.lat))]


class _Kept:
    """Indexes of one datastore, the last used ones, and the locks of those that are being read."""

    def __init__(self) -> None:
        self.indexes: OrderedDict[tuple[str, str], StationIndex] = OrderedDict()
        self.locks: dict[tuple[str, str], asyncio.Lock] = {}


_kept: WeakKeyDictionary[DataStore, _Kept] = WeakKeyDictionary()


def parameters_of(layer: Layer) -> tuple[Attribute, ...]:
    """Fields that are measured: numbers that are neither id nor station."""
    roles = {layer.id_field, layer.station_field, layer.time_field}
    return tuple(f for f in layer.fields if f.type in {"number", "integer"} and f.name not in roles)


def _no_such(layer: str, station: str) -> NotFound:
    return NotFound(
        f"图层 {layer} 没有测站 {station[:60]!r}；清单见 /ogc/collections/{layer}/locations",
        f"layer {layer} has no station {station[:60]!r}; see /ogc/collections/{layer}/locations",
        layer=layer,
    )


async def station_index(datastore: DataStore, table: PublishedTable) -> StationIndex:
    """Stations of a version; the first caller reads, others wait for him."""
    if table.layer.series is not None:
        index = await _read_index(datastore, table)
        return _with_spans(index, await run_in_threadpool(appended_spans, datastore, table))
    if table.layer.editable:
        # Its rows may change under the same version.
        return await _read_index(datastore, table)
    kept, key = _kept.setdefault(datastore, _Kept()), (table.layer.id, table.version)
    found = kept.indexes.get(key)
    if found is None:
        async with kept.locks.setdefault(key, asyncio.Lock()):
            found = kept.indexes.get(key) or await _read_index(datastore, table)
            kept.indexes[key] = found
            while len(kept.indexes) > _KEPT:
                kept.indexes.popitem(last=False)
        kept.locks.pop(key, None)
    kept.indexes.move_to_end(key)
    return found


def _with_spans(index: StationIndex, spans: Mapping[str, SeriesSpan]) -> StationIndex:
    """The index with the spans of an appended series; a station without observations has no time."""
    stations = {}
    for name, station in index.stations.items():
        span = spans.get(name)
        first, last = (None, None) if span is None else (time_text(span.first), time_text(span.last))
        stations[name] = replace(station, first=first, last=last, count=0 if span is None else span.count)
    return replace(index, stations=stations)


async def _read_index(datastore: DataStore, table: PublishedTable) -> StationIndex:
    layer = table.layer
    wanted = tuple(name for name in (layer.station_field, layer.time_field) if name is not None)
    found: dict[str, Station] = {}
    query = ItemQuery(limit=_BATCH, properties=wanted)
    while True:
        page = await datastore.vectors.apage(table, query)
        for text in page.features:
            feature = orjson.loads(text)
            if feature["geometry"] is None:
                continue
            name, time = _station(layer, feature), _time(layer, feature)
            x, y = feature["geometry"]["coordinates"][:2]
            known = found.get(name)
            if known is None:
                found[name] = Station(name, x, y, time, time, 1)
            else:
                times = [t for t in (known.first, known.last, time) if t is not None]
                first, last = (min(times), max(times)) if times else (None, None)
                found[name] = replace(known, lon=x, lat=y, first=first, last=last, count=known.count + 1)
        if not page.more:
            break
        query = replace(query, after=page.fids[-1])
        await asyncio.sleep(0)
    names = sorted(found)
    lon = np.array([found[name].lon for name in names])
    lat = np.array([found[name].lat for name in names])
    return StationIndex({name: found[name] for name in names}, names, lon, lat)


def _station(layer: Layer, feature: dict[str, Any]) -> str:
    if layer.station_field is None:
        return str(feature["id"])
    return str(feature["properties"][layer.station_field])


def _time(layer: Layer, feature: dict[str, Any]) -> str | None:
    """Time of an observation in one spelling, so that texts sort as times do."""
    text = None if layer.time_field is None else feature["properties"][layer.time_field]
    if text is None or len(text) == 10:
        return text if text is None else f"{text}T00:00:00Z"
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.isoformat().replace("+00:00", "Z")


async def observations(
    datastore: DataStore,
    table: PublishedTable,
    chosen: Sequence[tuple[str, float | None]],
    fields: Sequence[Attribute],
    interval: Interval | None,
    crs: ServedCRS,
) -> Series:
    """Observations of the stations `chosen` (name, distance), those without any left out.

    Raises
    ------
    NotFound
        A station that the layer does not have.
    PayloadTooLarge
        More than 200,000 observations.
    """
    import shapely

    layer, index = table.layer, await station_index(datastore, table)
    for name, _ in chosen:
        if name not in index.stations:
            raise _no_such(layer.id, name)
    if not chosen:
        return Series()
    places = shapely.MultiPoint([(index.stations[name].lon, index.stations[name].lat) for name, _ in chosen])
    names = {name for name, _ in chosen}
    roles = tuple(name for name in (layer.station_field, layer.time_field) if name is not None)
    query = ItemQuery(
        limit=_BATCH,
        area=None if len(chosen) == len(index.names) else places,
        interval=interval if layer.time_field is not None else None,
        properties=tuple(dict.fromkeys((*roles, *(f.name for f in fields)))),
        skip_geometry=True,
    )
    rows: dict[str, dict[str | None, dict[str, Any]]] = {name: {} for name in names}
    if layer.series is not None:
        query = replace(query, interval=None)  # the time of a feature is that of its newest value
    total = 0
    while True:
        page = await datastore.vectors.apage(table, query)
        for text in page.features:
            feature = orjson.loads(text)
            name = _station(layer, feature)
            if name in names:
                rows[name][_time(layer, feature)] = feature["properties"]
                total += 1
        _require_few(layer, total)
        if not page.more:
            break
        query = replace(query, after=page.fids[-1])
    if layer.series is not None:
        features = {name: next(iter(found.values()), {}) for name, found in rows.items()}
        rows = await run_in_threadpool(appended_rows, datastore, table, features, names, interval, MAX_ROWS)
        _require_few(layer, sum(map(len, rows.values())))
    moved = _mover(index, crs)
    found = []
    for name, distance in chosen:
        kept = _in_time(rows[name])
        if kept:
            x, y = moved(name)
            values = {f.name: [properties[f.name] for _, properties in kept] for f in fields}
            times = tuple(time for time, _ in kept if time is not None)
            found.append(StationSeries(name, x, y, times, values, distance))
    return Series(found)


def _require_few(layer: Layer, count: int) -> None:
    if count > MAX_ROWS:
        raise PayloadTooLarge(
            f"图层 {layer.id}：所求观测值超过 {MAX_ROWS} 条；请用 datetime 缩短时段或少选测站",
            f"layer {layer.id}: more than {MAX_ROWS} observations; use a shorter datetime or fewer stations",
            layer=layer.id,
            limit=MAX_ROWS,
        )


def _in_time(rows: dict[str | None, dict[str, Any]]) -> list[tuple[str | None, dict[str, Any]]]:
    """Observations in the order of time; those without a time only where none has one."""
    timed = sorted(time for time in rows if time is not None)
    return [(time, rows[time]) for time in timed] if timed else list(rows.items())


def _mover(index: StationIndex, crs: ServedCRS) -> Callable[[str], tuple[float, float]]:
    """Place of a station in `crs`, x first."""
    import shapely

    def place(name: str) -> tuple[float, float]:
        station = index.stations[name]
        point = transform_geometries(shapely.points([[station.lon, station.lat]]), CRS84, crs)[0]
        return float(point.x), float(point.y)

    return place
