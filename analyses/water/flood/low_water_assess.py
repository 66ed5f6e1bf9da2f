"""What the low-water analysis finds at each gauge and intake; what cannot be assessed is listed with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analyses.water.flood.datum import canonical_datum, refer_level
from analyses.water.flood.forecast import issue_of
from analyses.water.flood.low_water import below_line, daily_means, forecast_below, intake_row, missing_days, ship_depth
from analyses.water.flood.low_water_parameters import LowWaterParameters
from analyses.water.flood.reach import Gauge, gauge_of
from analyses.water.flood.rules import FloodRules
from analyses.water.flood.start import checked_series, offsets_of
from analyses.water.flood.warning import low_water_grade
from spatial.errors import InvalidParameter, QualityViolation
from spatial.jobs.contract import Inputs

if TYPE_CHECKING:
    import geopandas

    from analyses.water.flood.series import LevelSeries

__all__ = ["GaugeLevels", "LowWaterState", "assess_gauge", "assess_intakes"]

_LINES = ("drought_m", "ecological_m")


@dataclass
class LowWaterState:
    """What is collected over the gauges of a run."""

    rules: FloodRules
    parameters: LowWaterParameters
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    levels: dict[str, GaugeLevels] = field(default_factory=dict)
    points: list[tuple[dict[str, Any], Any]] = field(default_factory=list)

    def add(self, table: str, row: dict[str, Any]) -> None:
        self.tables.setdefault(table, []).append(row)

    def refuse(self, kind: str, name: str, error: QualityViolation | InvalidParameter) -> None:
        """List what cannot be assessed; an error if the user named that gauge."""
        if kind == "station" and name in self.parameters.stations:
            raise error
        reason = error.details.get("reason")
        self.add("refused", {"kind": kind, "name": name, "reason": reason, "about": {"zh": error.zh, "en": error.en}})


@dataclass(frozen=True)
class GaugeLevels:
    """Daily levels of one gauge in its own datum."""

    gauge: Gauge
    days: list[tuple[str, float]]
    ahead: list[tuple[str, float]]
    ahead_sd: list[float] | None


def assess_gauge(state: LowWaterState, inputs: Inputs, name: str) -> None:
    """Daily levels, lines, forecast and grade of one gauge."""
    parameters, rule = state.parameters, state.rules.low_water
    gauge = gauge_of(inputs.frames["gauges"], name, layer=parameters.gauges)
    mine = inputs.frames["series"]
    mine = mine[mine["station"] == name]
    observed, forecast = _split(state, mine, gauge)
    lines = _lines(state, inputs, gauge)
    days = daily_means(observed.times, observed.levels_m)
    ahead: list[tuple[str, float]] = []
    sd: list[float] | None = None
    if forecast is not None:
        after = [k for k, t in enumerate(forecast.times) if t > observed.times[-1]]
        ahead = daily_means([forecast.times[k] for k in after], forecast.levels_m[after])
        if forecast.sd_m is not None and after:
            spread = dict(daily_means([forecast.times[k] for k in after], forecast.sd_m[after]))
            sd = [spread[day] for day, _ in ahead]
        # The day of the last observation is known already.
        keep = [k for k, (day, _) in enumerate(ahead) if day > days[-1][0]]
        ahead, sd = [ahead[k] for k in keep], None if sd is None else [sd[k] for k in keep]
    state.levels[name] = GaugeLevels(gauge, days, ahead, sd)
    now = days[-1][1]
    grade = low_water_grade(now, lines | {"station": name}, rule)
    if grade["grade"] is None:
        raise QualityViolation(
            f"测站 {name} 没有旱限水位、生态水位，未评；请在低水特征值图层或测站图层补充，并注明依据",
            f"gauge {name} has no drought or ecological level: not assessed; add them to the layer of lines or of gauges, "
            "with their basis",
            reason="lines-missing",
            station=name,
        )
    lowest = min((level for _, level in ahead), default=None)
    worst = None if lowest is None else low_water_grade(lowest, lines | {"station": name}, rule)
    state.add(
        "warning",
        {
            "station": name,
            "river": gauge.river,
            "day": days[-1][0],
            "level_m": round(now, 3),
            "datum": str(gauge.datum),
            **grade,
        }
        | {
            "forecast_grade": None if worst is None else worst["grade"],
            "forecast_title": None if worst is None else worst["title"],
        },
    )
    found = {}
    for column in _LINES:
        line = lines.get(column)
        if line is None or line != line:
            continue
        row = {"station": name, "line": column.removesuffix("_m"), **below_line(days, float(line))}
        row["values"], row["missing_days"] = len(days), missing_days(days)
        if ahead:
            told = forecast_below(float(line), ahead, sd, state.rules.plans.certain_k)
            row |= {f"forecast_{key}": value for key, value in told.items()}
        state.add("stations", row)
        found[column] = row
    ships = ship_depth(lines, now, lowest)
    if ships is not None:
        state.add("navigation", {"station": name, "river": gauge.river, **ships})
    for day, level in [*days, *ahead]:
        state.add("daily", {"station": name, "day": day, "level_m": round(level, 3), "forecast": day > days[-1][0]})
    drought, ecological = found.get("drought_m", {}), found.get("ecological_m", {})
    properties = {
        "name": name, "river": gauge.river, "datum": str(gauge.datum), "day": days[-1][0], "level_m": round(now, 3),
        "grade": grade["grade"], "drought_m": drought.get("line_m"), "ecological_m": ecological.get("line_m"),
        "days_drought": drought.get("days_below"), "first_drought": drought.get("first_day"),
        "days_ecological": ecological.get("days_below"), "first_ecological": ecological.get("first_day"),
        "lowest_m": (drought or ecological)["lowest_m"], "lowest_day": (drought or ecological)["lowest_day"],
        "forecast_lowest_m": None if lowest is None else round(lowest, 3),
        "forecast_grade": None if worst is None else worst["grade"],
        "reaches_drought": drought.get("forecast_reached"), "reaches_ecological": ecological.get("forecast_reached"),
        "ship_short_m": None if ships is None else ships["short_m"],
    }  # fmt: skip
    state.points.append((properties, gauge.row["geometry"]))


def assess_intakes(state: LowWaterState, inputs: Inputs) -> None:
    """Intakes of the assessed gauges: their lowest level against the level at the intake, in one datum."""
    frame = inputs.frames.get("intakes")
    if frame is None:
        return
    for _, found in frame.iterrows():
        row = dict(found)
        name, station = str(row["name"]), str(row["station"])
        if state.parameters.stations and station not in state.parameters.stations:
            continue
        base = {key: row.get(key) for key in ("name", "kind", "station", "lowest_m", "datum", "people", "irrigated_mu")}
        try:
            if station not in state.levels:
                raise QualityViolation(
                    f"取水口 {name} 的控制站 {station} 没有可用水位",
                    f"gauge {station} of intake {name} has no usable level",
                    reason="no-level",
                )
            told = _intake(state, row)
        except QualityViolation as error:
            state.refuse("intake", name, error)
            told = {"state": "not_assessed"}
        state.add("intakes", base | told)


def _split(state: LowWaterState, mine: geopandas.GeoDataFrame, gauge: Gauge) -> tuple[LevelSeries, LevelSeries | None]:
    """Observed and forecast series of a gauge, both checked."""
    layer, rule = state.parameters.series, state.rules.series
    if not len(mine):
        raise InvalidParameter(
            f"序列图层 {layer} 没有测站 {gauge.name} 的值",
            f"series layer {layer} has no value of gauge {gauge.name}",
            parameter="stations",
            value=gauge.name,
        )
    ahead = mine.iloc[:0]
    seen = mine
    if "kind" in mine.columns:
        ahead, seen = mine[mine["kind"] == "forecast"], mine[mine["kind"] != "forecast"]
    observed = checked_series(seen.drop(columns=["sd_m"], errors="ignore"), gauge, rule, layer=layer)
    flagged = observed.rows()
    forecast = None
    if len(ahead):
        chosen, issued = issue_of(ahead, state.parameters.issued, layer=layer)
        forecast = checked_series(chosen, gauge, rule, layer=layer)
        flagged += forecast.rows()
        state.add(
            "forecast",
            {"station": gauge.name, "issued": None if issued is None else issued.isoformat(), "values": len(chosen)},
        )
    for row in flagged:
        state.add("series_flags", row)
    return observed, forecast


def _lines(state: LowWaterState, inputs: Inputs, gauge: Gauge) -> dict[str, Any]:
    """Lines of a gauge in its own datum; those of a layer of their own are referred, or refused."""
    columns = (*_LINES, "shoal_bed_m", "kept_depth_m")
    own = {c: gauge.row[c] for c in columns if gauge.row.get(c) is not None and gauge.row[c] == gauge.row[c]}
    frame = inputs.frames.get("lines")
    if frame is None or gauge.name not in set(frame["station"]):
        return own
    found = frame[frame["station"] == gauge.name]
    if len(found) != 1:
        raise QualityViolation(
            f"低水特征值图层 {state.parameters.lines} 中测站 {gauge.name} 有 {len(found)} 行，应为 1 行",
            f"layer {state.parameters.lines} has {len(found)} rows of gauge {gauge.name}; there should be one",
            reason="lines-twice",
            layer=state.parameters.lines,
        )
    row = dict(found.iloc[0])
    out: dict[str, Any] = {}
    for column in columns:
        value = row.get(column)
        if value is None or value != value:
            continue
        # A depth has no datum; heights come to that of the gauge, by its offset or not at all.
        out[column] = (
            float(value)
            if column == "kept_depth_m"
            else refer_level(
                float(value),
                station=gauge.name,
                datum=row.get("datum"),
                target=gauge.datum,
                offsets=offsets_of(state.parameters.offsets, state.rules),
                layer=str(state.parameters.lines),
            ).level_m
        )
    return out | own


def _intake(state: LowWaterState, row: dict[str, Any]) -> dict[str, Any]:
    """Levels of the gauge brought to the intake and its datum."""
    known = state.levels[str(row["station"])]
    lowest = row.get("lowest_m")
    if lowest is None or lowest != lowest:
        raise QualityViolation(
            f"取水口 {row['name']} 没有最低取水水位",
            f"intake {row['name']} has no lowest level",
            reason="lowest-missing",
        )
    shift = refer_level(
        0.0,
        station=known.gauge.name,
        datum=known.gauge.datum,
        target=row.get("datum"),
        offsets=offsets_of(state.parameters.offsets, state.rules),
        layer=str(state.parameters.intakes),
    )
    fall = row.get("fall_m")
    add = shift.level_m - (float(fall) if fall is not None and fall == fall else 0.0)
    ahead = [(day, level + add) for day, level in known.ahead]
    same = canonical_datum(known.gauge.datum) == canonical_datum(row.get("datum"))
    # The error of the offset adds to that of the forecast.
    base = known.ahead_sd if known.ahead_sd is not None else None
    sd = None if base is None else [(v**2 + shift.uncertainty_m**2) ** 0.5 for v in base]
    told = intake_row(float(lowest), known.days[-1][1] + add, ahead, sd, state.rules.plans.certain_k)
    return told | {"offset_m": None if same else shift.offset_m, "offset_source": None if same else shift.source}
