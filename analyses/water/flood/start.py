"""What a rehearsal starts from: gauge, levels, series or forecast, offsets of the datum, grades; no terrain is read yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.flood.datum import ReferredLevel, refer_level
from analyses.water.flood.forecast import Horizon, horizons_of, issue_of, note_on_maps, standing_levels
from analyses.water.flood.parameters import FloodRehearsalParameters, GivenOffset
from analyses.water.flood.reach import Gauge, gauge_of
from analyses.water.flood.rules import DatumOffset, FloodRules, SeriesRule, Terrain, flood_rules
from analyses.water.flood.series import LevelSeries, check_series
from analyses.water.flood.warning import flood_grade, low_water_grade
from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    import geopandas

__all__ = ["Run", "begin", "checked_series", "grade_levels", "offset_rows", "offsets_of"]


@dataclass
class Run:
    """What the steps of one run hand on."""

    inputs: Inputs
    parameters: FloodRehearsalParameters
    rules: FloodRules
    terrain: Terrain
    gauge: Gauge
    levels: list[float]
    series: LevelSeries | None
    notes: list[Text] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    scenes: dict[float, Any] = field(default_factory=dict)
    """Level → scene with the scenario of that level."""
    horizons: list[Horizon] = field(default_factory=list)
    maps: dict[float, float] = field(default_factory=dict)
    """Level → mapped level that stands for it."""
    level_sd: dict[float, float | None] = field(default_factory=dict)
    """Mapped level → standard deviation of the level, where it is known."""

    @property
    def offsets(self) -> tuple[DatumOffset, ...]:
        """Offsets of this run first, then those of the rules."""
        return offsets_of(self.parameters.offsets, self.rules)

    def frame(self, role: str) -> geopandas.GeoDataFrame | None:
        """Features of an optional role, None where there are none."""
        found = self.inputs.frames.get(role)
        return found if found is not None and len(found) else None

    def factor(self, name: str, zh: str, en: str, assessed: bool, note: Text, source: str) -> None:
        """Say how something entered the result."""
        self.factors.append(Factor(name, Text(zh=zh, en=en), assessed, note, source))

    def referred(self, level: float, gauge: Gauge | None = None) -> ReferredLevel:
        """A level of a gauge in the datum of the terrain."""
        at = gauge or self.gauge
        return refer_level(
            level,
            station=at.name,
            datum=at.datum,
            target=self.terrain.datum,
            offsets=self.offsets,
            layer=self.parameters.gauges,
        )


def offsets_of(given: Iterable[GivenOffset], rules: FloodRules) -> tuple[DatumOffset, ...]:
    """Offsets of a run: those given for it, marked as such in their source, then those of the rules."""
    mine = tuple(
        DatumOffset(**(one.model_dump() | {"source": f"本次运行给出 given for this run: {one.source}"}))
        for one in given
    )
    return mine + rules.offsets.list


def offset_rows(given: Iterable[GivenOffset], rules: FloodRules, stations: set[str]) -> list[dict[str, Any]]:
    """Offsets of the stations of a run, as they stand on its result."""
    mine = tuple(given)
    return [
        {**one.model_dump(), "given_for_run": number < len(mine)}
        for number, one in enumerate(offsets_of(mine, rules))
        if one.station in stations
    ]


def begin(inputs: Inputs, parameters: FloodRehearsalParameters) -> Run:
    """Gauge, levels and series; nothing of the terrain is read yet."""
    rules = flood_rules(inputs.rules)
    terrain = rules.terrains.of(parameters.terrain)
    gauge = gauge_of(inputs.frames["gauges"], parameters.station, layer=parameters.gauges)
    run = Run(inputs, parameters, rules, terrain, gauge, list(parameters.levels_m or ()), None)
    if parameters.forecast is not None:
        _forecast(run)
    if not run.levels:
        lines = [gauge.row.get(name) for name in ("warning_m", "guarantee_m")]
        run.levels = [float(v) for v in lines if v is not None and v == v]
        if not run.levels:
            raise InvalidParameter(
                f"测站 {gauge.name} 没有警戒、保证水位，请给出 levels_m",
                f"gauge {gauge.name} has no warning or guarantee level; give levels_m",
                parameter="levels_m",
            )
    run.levels.sort()
    for level in run.levels:
        run.level_sd.setdefault(level, parameters.level_sd_m)
    stations = {gauge.name, *parameters.other_levels}
    run.tables["offsets"] = offset_rows(parameters.offsets, rules, stations)
    return run


def _forecast(run: Run) -> None:
    """The series or forecast: its crest, and the lead times that are rehearsed."""
    parameters, gauge = run.parameters, run.gauge
    layer = str(parameters.forecast)
    frame = run.inputs.frames["forecast"]
    chosen, issued = issue_of(frame[frame["station"] == gauge.name], parameters.issued, layer=layer)
    run.series = series = checked_series(chosen, gauge, run.rules.series, layer=layer)
    at = int(np.argmax(series.levels_m))
    peak = float(series.levels_m[at])
    row: dict[str, Any] = {
        "station": gauge.name,
        "values": len(series.times),
        "left_out": len(series.flagged),
        "first": series.times[0].isoformat(),
        "last": series.times[-1].isoformat(),
        "crest_m": peak,
        "crest_time": series.times[at].isoformat(),
    }
    run.tables["forecast"] = [row]
    run.tables["series_flags"] = series.rows()
    if series.flagged:
        kinds = ", ".join(sorted({flag for _, flag, _ in series.flagged}))
        run.notes.append(
            Text(
                zh=f"水位序列剔除 {len(series.flagged)} 个可疑值（{kinds}），见 series_flags",
                en=f"{len(series.flagged)} doubtful values of the series left out ({kinds}), see series_flags",
            )
        )
    if issued is None:
        if peak not in run.levels:
            run.levels.append(peak)
        return
    sd = series.sd_m
    row |= {"issued": issued.isoformat(), "crest_sd_m": None if sd is None else round(float(sd[at]), 3)}
    run.horizons = horizons_of(issued, parameters.horizons_h, series.times, series.levels_m, sd)
    asked = [h.level_m for h in run.horizons if h.level_m is not None]
    apart = run.terrain.sigma_m / run.rules.precision.k
    run.maps = standing_levels([*asked, peak, *run.levels], apart)
    run.levels = sorted(set(run.maps.values()))
    if len(run.levels) > _MOST_MAPS:
        raise InvalidParameter(
            f"预见期与水位需要 {len(run.levels)} 张图，超过 {_MOST_MAPS}，请减少 horizons_h 或 levels_m",
            f"lead times and levels ask for {len(run.levels)} maps, more than {_MOST_MAPS}; give fewer horizons_h or levels_m",
            parameter="horizons_h",
        )
    said = note_on_maps(run.maps, apart)
    if said is not None:
        run.notes.append(said)
    for horizon in [*run.horizons, Horizon(0.0, series.times[at], peak, None if sd is None else float(sd[at]))]:
        if horizon.level_m is not None:
            head = run.maps[horizon.level_m]
            known = [v for v in (run.level_sd.get(head), horizon.sd_m) if v is not None]
            run.level_sd[head] = max(known) if known else None


_MOST_MAPS = 12


def checked_series(frame: geopandas.GeoDataFrame, gauge: Gauge, rule: SeriesRule, *, layer: str) -> LevelSeries:
    """The series of a gauge, checked; `frame` holds its rows alone.

    Raises
    ------
    QualityViolation
        If a field is missing or no value can be used.
    """
    missing = [c for c in ("station", "time", "level_m") if c not in frame.columns]
    if missing:
        raise QualityViolation(
            f"序列图层 {layer} 缺字段 {missing}", f"series layer {layer} lacks the fields {missing}", layer=layer
        )
    low, high = gauge.row.get("alert_m"), gauge.row.get("guarantee_m")
    plausible = None
    if low is not None and high is not None and low == low and high == high:
        plausible = (float(low) - rule.below_alert_m, float(high) + rule.above_guarantee_m)
    times = [t.to_pydatetime() if hasattr(t, "to_pydatetime") else t for t in frame["time"]]
    times = [t if isinstance(t, datetime) and t == t else None for t in times]
    sd = frame["sd_m"].astype("float64").tolist() if "sd_m" in frame.columns else None
    found = check_series(gauge.name, times, frame["level_m"].tolist(), rule, plausible_m=plausible, sd_m=sd)
    if not found.times:
        raise QualityViolation(
            f"序列图层 {layer} 中测站 {gauge.name} 没有可用的值（{len(found.flagged)} 个被剔除，例如缺时区、缺测）",
            f"series layer {layer} has no usable value of gauge {gauge.name} ({len(found.flagged)} left out, "
            "for want of a time zone or a value)",
            layer=layer,
            flags=sorted({flag for _, flag, _ in found.flagged}),
        )
    return found


def grade_levels(run: Run) -> None:
    """Grade of every level (预警), of every lead time, and low water by the lines of the gauge."""
    rows = []
    for level in run.levels:
        grade = flood_grade(level, run.gauge.row, run.rules.warning)
        low = low_water_grade(level, run.gauge.row, run.rules.low_water)
        rows.append({"station": run.gauge.name, "level_m": level, **grade, "low_water": low["grade"]})
    if run.series is not None:
        for row in rows:
            above = [t for t, v in zip(run.series.times, run.series.levels_m, strict=True) if v >= row["level_m"]]
            row["first_reached"] = above[0].isoformat() if above else None
    run.tables["warning"] = rows
    if run.horizons:
        run.tables["horizons"] = [_horizon_row(run, horizon) for horizon in run.horizons]
    assessed = any(row["low_water"] is not None for row in rows)
    run.factor(
        "low_water",
        "旱限与生态水位",
        "Low water",
        assessed,
        Text(zh="按规则分级", en="graded by the rules")
        if assessed
        else Text(
            zh=f"测站图层没有 {run.gauge.name} 的旱限、生态水位；低水分析见 low-water",
            en=f"the gauges have no low levels of {run.gauge.name}; for low water see the analysis low-water",
        ),
        run.rules.low_water.source,
    )


def _horizon_row(run: Run, horizon: Horizon) -> dict[str, Any]:
    row: dict[str, Any] = {
        "lead_h": horizon.lead_h,
        "time": horizon.time.isoformat(),
        "level_m": horizon.level_m,
        "sd_m": None if horizon.sd_m is None else round(horizon.sd_m, 3),
    }
    if horizon.level_m is None:
        return row | {
            "assessed": False,
            "reason": {"zh": "超出预报期，不外推", "en": "beyond the forecast, not drawn on"},
        }
    head = run.maps[horizon.level_m]
    return row | {
        "assessed": True,
        "map_level_m": head,
        "band": f"level_{run.levels.index(head) + 1}",
        **flood_grade(horizon.level_m, run.gauge.row, run.rules.warning),
    }
