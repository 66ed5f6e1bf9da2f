"""Readings of sensors (传感器读数): a delivery of rows is checked whole, flagged, and appended in one transaction.

Rows name station, time with zone, value, unit, and the field where the layer measures several. A time that is there
already is refused, kept or replaced, as the delivery declares; what was replaced stays on record.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.errors import InvalidParameter, LayerNotFound, PayloadTooLarge, StepNotAllowed
from spatial.observation.newest import show_newest
from spatial.observation.orthophoto import read_moment
from spatial.observation.quality import flags_of, out_of_range, reach
from spatial.observation.rules import read_observation_rules
from spatial.store.observation_store import FLAG_CODES, ObservationStore, Reading
from spatial.store.state import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spatial.catalog import Attribute, Layer
    from spatial.observation.rules import ObservationRules
    from spatial.store.datastore import DataStore

__all__ = ["Duplicates", "Row", "append_readings", "measured_fields", "read_csv_rows", "sensor_layer", "stations_of"]

Duplicates = Literal["refuse", "keep", "replace"]
COLUMNS = ("station", "time", "value", "unit", "field")
MOST_PROBLEMS = 20
_FLAG = "_flag"


@dataclass(frozen=True, slots=True)
class Row:
    """One checked reading."""

    station: str
    field: str
    at: datetime
    value: float

    @property
    def key(self) -> tuple[str, str, datetime]:
        """What there is one reading of."""
        return self.station, self.field, self.at


def sensor_layer(datastore: DataStore, layer_id: str) -> Layer:
    """A published layer whose series are readings.

    Raises
    ------
    LayerNotFound
        Lists the layers that there are.
    """
    snapshot = datastore.snapshot()
    known = [layer for layer in snapshot.layers() if layer.series == "readings"]
    for layer in known:
        if layer.id == layer_id:
            return layer
    names = [layer.id for layer in known]
    raise LayerNotFound(
        f"没有传感器图层 {layer_id[:60]!r}，现有：{'、'.join(names) or '无'}",
        f"no layer of sensors {layer_id[:60]!r}; there are {', '.join(names) or 'none'}",
        layer=layer_id[:60],
        allowed=names,
    )


def measured_fields(layer: Layer) -> dict[str, Attribute]:
    """Fields that are measured: numbers, without ids, times and flags."""
    roles = {layer.id_field, layer.station_field, layer.time_field}
    return {
        f.name: f
        for f in layer.fields
        if f.type == "number" and f.unit is not None and f.name not in roles and not f.name.endswith(_FLAG)
    }


def stations_of(datastore: DataStore, layer: Layer) -> set[str]:
    """Names of the stations of the current version."""
    from spatial.store.vector import ItemQuery

    assert layer.station_field is not None
    table = datastore.snapshot().vector(layer.id)
    frame = datastore.vectors.frame(table, ItemQuery(properties=(layer.station_field,)))
    return {str(name) for name in frame[layer.station_field]}


def read_csv_rows(content: bytes) -> list[dict[str, Any]]:
    """Rows of a CSV with a header of `COLUMNS` (UTF-8, with or without a mark).

    Raises
    ------
    InvalidParameter
        Other columns, or bytes that are no UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidParameter("CSV 应为 UTF-8 编码", "the CSV must be UTF-8", parameter="body") from error
    reader = csv.DictReader(io.StringIO(text))
    header = [name.strip() for name in reader.fieldnames or ()]
    if not {"station", "time", "value", "unit"} <= set(header) or not set(header) <= set(COLUMNS):
        raise InvalidParameter(
            f"CSV 的表头应为 station,time,value,unit（多个测量字段时加 field），收到 {','.join(header)[:120]}",
            f"the header must be station,time,value,unit (and field where a layer measures several), got "
            f"{','.join(header)[:120]}",
            parameter="body",
        )
    reader.fieldnames = header
    return [{name: value for name, value in row.items() if name in COLUMNS and value != ""} for row in reader]


def append_readings(
    datastore: DataStore,
    layer_id: str,
    rows: Sequence[Any],
    *,
    duplicates: Duplicates,
    principal: str | None,
) -> dict[str, Any]:
    """Check a delivery, flag it and write it; all rows or none.

    Returns
    -------
    dict
        ``layer``, ``accepted``, ``replaced``, ``kept``, ``flagged`` (rows that got a flag), ``shown`` (whether the layer
        shows the newest values already).

    Raises
    ------
    LayerNotFound
    PayloadTooLarge
        More rows than the rules allow.
    InvalidParameter
        Names every row that is wrong (the first 20) and why.
    StepNotAllowed
        Times that are there already, unless the delivery declares what to do; lists them.
    """
    layer = sensor_layer(datastore, layer_id)
    rules = read_observation_rules(datastore.settings.layers_dir)
    if len(rows) > rules.readings.max_rows:
        raise PayloadTooLarge(
            f"一次至多 {rules.readings.max_rows} 行读数，收到 {len(rows)} 行；请分批",
            f"at most {rules.readings.max_rows} rows at once, got {len(rows)}; send them in parts",
            limit=rules.readings.max_rows,
        )
    checked = _checked(datastore, layer, rows, rules)
    store = ObservationStore(datastore.state)
    with datastore.state.editing(f"{layer.id}-readings"):
        wanted: dict[tuple[str, str], set[datetime]] = {}
        for row in checked:
            wanted.setdefault((row.station, row.field), set()).add(row.at)
        held = store.readings_at(layer.id, wanted)
        if held and duplicates == "refuse":
            raise _duplicate(layer.id, list(held))
        new = [row for row in checked if row.key not in held]
        changed = [row for row in checked if row.key in held] if duplicates == "replace" else []
        flags = _flags(store, layer, [*new, *changed], rules)
        store.append(
            layer.id,
            [{"station": r.station, "field": r.field, "at": r.at, "value": r.value} for r in new],
            {held[r.key].id: (r.value, principal) for r in changed},
            flags,
            principal=principal,
        )
    written = {row.key: row for row in (*new, *changed)}
    return {
        "layer": layer.id,
        "accepted": len(new),
        "replaced": len(changed),
        "kept": len(held) - len(changed),
        "flagged": [
            {
                "station": s,
                "field": f,
                "time": at.isoformat(),
                "value": written[s, f, at].value,
                "flag": flags[s, f, at],
            }
            for s, f, at in sorted(written)
            if flags.get((s, f, at))
        ],
        "shown": show_newest(datastore, layer.id, rules.readings.show_every_s),
    }


def _duplicate(layer_id: str, keys: Sequence[tuple[str, str, datetime]]) -> StepNotAllowed:
    listed = [{"station": s, "field": f, "time": at.isoformat()} for s, f, at in sorted(keys)][:MOST_PROBLEMS]
    first = f"{listed[0]['station']} {listed[0]['time']}"
    return StepNotAllowed(
        f"图层 {layer_id} 已有 {len(keys)} 条同站同时刻的读数（如 {first}），整批未写入；"
        "确需更正请加 duplicates=replace，略过请加 duplicates=keep",
        f"layer {layer_id} has {len(keys)} readings of these stations and times (such as {first}), nothing was written; "
        "add duplicates=replace to correct them or duplicates=keep to pass over them",
        layer=layer_id,
        duplicates=listed,
        allowed=["replace", "keep"],
    )


def _checked(datastore: DataStore, layer: Layer, rows: Sequence[Any], rules: ObservationRules) -> list[Row]:
    """Rows in their types; raises with every fault."""
    if not rows:
        raise InvalidParameter("没有读数", "there are no readings", parameter="readings")
    fields, stations = measured_fields(layer), stations_of(datastore, layer)
    latest = utc_now() + timedelta(seconds=rules.readings.ahead_s)
    problems: list[dict[str, Any]] = []
    found: list[Row] = []
    seen: set[tuple[str, str, datetime]] = set()
    for number, given in enumerate(rows, start=1):
        faults: list[tuple[str, str, str]] = []
        row = _row(given, fields, stations, latest, faults)
        if row is not None and not faults:
            if row.key in seen:
                faults.append(("time", "本批中重复", "stands twice in this delivery"))
            seen.add(row.key)
            found.append(row)
        problems += [{"row": number, "member": m, "detail_zh": zh, "detail_en": en} for m, zh, en in faults]
        if len(problems) >= MOST_PROBLEMS:
            break
    if problems:
        zh = "；".join(f"第 {p['row']} 行 {p['member']} {p['detail_zh']}" for p in problems[:5])
        en = "; ".join(f"row {p['row']}, {p['member']}: {p['detail_en']}" for p in problems[:5])
        raise InvalidParameter(
            f"图层 {layer.id} 的读数有误，整批未写入：{zh}",
            f"readings of layer {layer.id}, nothing was written: {en}",
            layer=layer.id,
            parameter=problems[0]["member"],
            problems=problems,
        )
    return found


def _row(
    given: Any,
    fields: Mapping[str, Attribute],
    stations: set[str],
    latest: datetime,
    faults: list[tuple[str, str, str]],
) -> Row | None:
    if not isinstance(given, dict):
        faults.append(("row", "应为对象", "must be an object"))
        return None
    for name in given:
        if name not in COLUMNS:
            faults.append(
                (str(name)[:40], f"未知成员，可用：{'、'.join(COLUMNS)}", f"unknown; use {', '.join(COLUMNS)}")
            )
    station = given.get("station")
    if not isinstance(station, str) or station not in stations:
        known = sorted(stations)[:20]
        shown = str(station)[:40]
        faults.append(
            (
                "station",
                f"没有测站 {shown!r}，现有：{'、'.join(known)}",
                f"no station {shown!r}; there are {', '.join(known)}",
            )
        )
    name = given.get("field", next(iter(fields)) if len(fields) == 1 else None)
    field = fields.get(name) if isinstance(name, str) else None
    if field is None:
        listed = ", ".join(fields)
        faults.append(("field", f"应为 {listed} 之一", f"must be one of {listed}"))
    elif given.get("unit") != field.unit:
        got = str(given.get("unit"))[:20]
        faults.append(
            (
                "unit",
                f"为 {got!r}，字段 {field.name} 的单位是 {field.unit}",
                f"{got!r}: the unit of {field.name} is {field.unit}",
            )
        )
    at = _moment(given.get("time"), latest, faults)
    value = _value(given.get("value"), faults)
    if faults or field is None or at is None or value is None or not isinstance(station, str):
        return None
    return Row(station, field.name, at, value)


def _moment(text: Any, latest: datetime, faults: list[tuple[str, str, str]]) -> datetime | None:
    try:
        found = read_moment(text if isinstance(text, str) else None, parameter="time")
    except InvalidParameter as error:
        faults.append(("time", error.zh.removeprefix("time "), error.en.removeprefix("time ")))
        return None
    if found > latest:
        faults.append(
            (
                "time",
                f"{found.isoformat()} 晚于现在，请核对时钟与时区",
                f"{found.isoformat()} is after now: clock, zone?",
            )
        )
    if found < datetime(1900, 1, 1, tzinfo=UTC):
        faults.append(("time", f"{found.isoformat()} 早于 1900 年", f"{found.isoformat()} is before 1900"))
    return found.replace(microsecond=0)


def _value(given: Any, faults: list[tuple[str, str, str]]) -> float | None:
    value: float | None = None
    if isinstance(given, int | float) and not isinstance(given, bool):
        value = float(given)
    elif isinstance(given, str):
        try:
            value = float(given)
        except ValueError:
            value = None
    if value is None or not math.isfinite(value):
        faults.append(
            ("value", f"应为有限数，收到 {str(given)[:20]!r}", f"must be a finite number, got {str(given)[:20]!r}")
        )
        return None
    return value


def _flags(
    store: ObservationStore, layer: Layer, rows: Sequence[Row], rules: ObservationRules
) -> dict[tuple[str, str, datetime], str]:
    """Flags of the rows, and of those around them that change."""
    fields = measured_fields(layer)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.station, row.field), []).append(row)
    found: dict[tuple[str, str, datetime], str] = {}
    for (station, name), group in groups.items():
        checks = rules.checks.of_unit(fields[name].unit)
        if checks is None:
            found |= {row.key: "" for row in group}
            continue
        near = reach(checks)
        times = [row.at for row in group]
        held: dict[datetime, Reading] = {
            r.at: r for r in store.around(layer.id, station, name, min(times), max(times), 2 * near)
        }
        values = {at: reading.value for at, reading in held.items()}
        for row in group:
            if out_of_range(row.value, checks):
                found[row.key] = "out_of_range"
                values.pop(row.at, None)
            else:
                values[row.at] = row.value
        order = sorted(values)
        flags = flags_of(np.array([values[at] for at in order], dtype=np.float64), checks)
        first = next((k for k, at in enumerate(order) if at >= min(times)), len(order))
        last = next((k for k in range(len(order) - 1, -1, -1) if order[k] <= max(times)), -1)
        fresh = set(times)
        for k in range(max(0, first - near), min(len(order), last + near + 1)):
            at = order[k]
            if at in fresh or held[at].flag != flags[k]:
                found[station, name, at] = flags[k]
    assert set(found.values()) <= set(FLAG_CODES)
    return found
