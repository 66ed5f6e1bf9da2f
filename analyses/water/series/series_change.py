"""The analysis ``series-change``: trend, shift and confirmed alerts of any series of stations, lakes or bodies (序列变化检测)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from analyses.water.series.place_change import PlaceSeries, exceedance_rows, shift_rows, trend_row
from analyses.water.series.rules import change_rules
from spatial.catalog import Text, attribute
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    bilingual,
    layer_field,
)

if TYPE_CHECKING:
    import geopandas

__all__ = ["SeriesChange", "SeriesChangeParameters"]

_PLACES = ("station", "lake", "body", "name")
_KINDS = {
    "above": Text(zh="超过阈值", en="above the threshold"),
    "below": Text(zh="低于阈值", en="below the threshold"),
    "rise": Text(zh="突升（CUSUM）", en="shift upwards (CUSUM)"),
    "fall": Text(zh="突降（CUSUM）", en="shift downwards (CUSUM)"),
}
_STATES = {
    "suspected": Text(zh="疑似", en="suspected"),
    "confirmed": Text(zh="已确认", en="confirmed"),
    "ended": Text(zh="已结束", en="ended"),
    "dismissed": Text(zh="未再出现", en="dismissed"),
}
_DIRECTIONS = {
    "increasing": Text(zh="上升", en="increasing"),
    "decreasing": Text(zh="下降", en="decreasing"),
    "none": Text(zh="无显著趋势", en="no significant trend"),
    "not_assessed": Text(zh="未评价", en="not assessed"),
}


class SeriesChangeParameters(Parameters):
    """Parameters (参数) of change in series."""

    series: str = layer_field(
        "water-quality-sections",
        "序列图层",
        "Layer of series",
        "一行一地一时：断面、湖泊卫星序列、水体面积序列等。",
        "One row a place and time: sections, lakes from orbit, areas of water bodies …",
    )
    place_field: str | None = Field(
        None,
        json_schema_extra=bilingual(
            "地点字段",
            "Field of the place",
            "不填则取 station、lake、body、name 中第一个有的。",
            "Default: the first of station, lake, body, name that there is.",
        ),
    )
    time_field: str = Field(
        "time",
        json_schema_extra=bilingual("时间字段", "Field of the time", "须带时区。", "With its zone."),
    )
    quantities: tuple[str, ...] = Field(
        (),
        json_schema_extra=bilingual(
            "指标", "Quantities", "字段名；不填为全部数值字段。", "Names of fields; default every field of numbers."
        ),
    )
    thresholds: dict[str, float] = Field(
        {},
        json_schema_extra=bilingual(
            "阈值",
            "Thresholds",
            '如 {"tp": 0.2, "do": 5}；没有阈值的指标只检趋势与突变。',
            '{"tp": 0.2, "do": 5}, say; quantities without one are tested for trend and shift only.',
        ),
    )
    below: tuple[str, ...] = Field(
        ("do",),
        json_schema_extra=bilingual(
            "低于即超限",
            "Exceeded from below",
            "这些指标低于阈值才算超限（如溶解氧、水位）。",
            "Quantities that are exceeded below their threshold (oxygen, levels).",
        ),
    )
    use_flagged: bool = Field(
        False,
        json_schema_extra=bilingual(
            "使用有标记的观测",
            "Use flagged observations",
            "默认不用 flags 字段非空的观测；它们既不确认也不解除预警。",
            "By default observations with a text in their field flags are left out: they neither confirm nor end an alert.",
        ),
    )


class SeriesChange:
    """Change in series (序列变化检测与预警)."""

    id: ClassVar[str] = "series-change"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="序列变化检测与预警", en="Change and alerts in series")
    description: ClassVar[Text] = Text(
        zh="对任一站点、湖泊或水体序列逐指标检验趋势（季节 Mann–Kendall、Theil–Sen）、突变（CUSUM 去季节、Pettitt）与超限；"
        "预警须经两次连续有效观测确认，缺测与有标记的观测既不确认也不解除。",
        en="Trend (seasonal Mann–Kendall, Theil–Sen), shift (CUSUM without the season, Pettitt) and exceedance of each quantity "
        "of any series of stations, lakes or bodies; an alert takes two consecutive valid observations, a gap or a flagged one "
        "neither confirms nor ends it.",
    )
    method: ClassVar[str] = (
        "Hirsch et al. 1982；Hamed & Rao 1998；Sen 1968；Page 1954；Pettitt 1979；docs/methods/change-and-alerts.md"
    )
    parameters: ClassVar[type[Parameters]] = SeriesChangeParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("series", "water-quality-sections", "vector", Text(zh="序列", en="Series"), extent="whole"),
    )
    base: ClassVar[str] = "series"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {}

    @classmethod
    def inputs_of(cls, parameters: SeriesChangeParameters) -> tuple[InputSpec, ...]:
        """The layer that the parameters name."""
        return (replace(cls.inputs[0], layer=parameters.series),)

    def run(
        self, inputs: Inputs, parameters: SeriesChangeParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Test every series.

        Returns
        -------
        AnalysisResult
            Features ``trends`` (a point a place and quantity) and ``alerts`` (a point an alert); tables ``trends``, ``alerts``,
            ``left_out`` (what was not tested, with the reason).

        Raises
        ------
        InvalidParameter
            A field that is missing or no number, times without zone, a threshold of a quantity that is not tested.
        LayerEmpty
            No observation.
        """
        rules = change_rules(inputs.rules)
        frame = inputs.frames["series"]
        place, quantities = _fields(frame, parameters)
        left_out: list[dict[str, Any]] = []
        where: dict[str, Any] = {}
        trends: list[dict[str, Any]] = []
        alerts: list[dict[str, Any]] = []
        groups = list(frame.groupby(place, sort=True))
        for number, (name, part) in enumerate(groups):
            progress(number / len(groups), "检验序列 testing the series")
            where[str(name)] = part.geometry.iloc[0].representative_point()
            part, dropped = _tidy(part, parameters)
            left_out += [{"place": str(name), **row} for row in dropped]
            for quantity in quantities:
                series = _series(str(name), part, quantity, parameters)
                if not np.isfinite(series.values).any():
                    continue
                trends.append(trend_row(series, rules))
                shifts, why = shift_rows(series, rules)
                if why is not None:
                    left_out.append({"place": str(name), "quantity": quantity, "reason": f"CUSUM: {why}"})
                alerts += shifts
                if quantity in parameters.thresholds:
                    above = quantity not in parameters.below
                    alerts += exceedance_rows(series, parameters.thresholds[quantity], above, rules)
        if not trends:
            raise LayerEmpty(
                f"图层 {parameters.series} 没有可检验的观测",
                f"layer {parameters.series} has no observation that could be tested",
                layer=parameters.series,
            )
        _write_trends(outputs, trends, where)
        _write_alerts(outputs, alerts, where)
        tables: dict[str, Any] = {
            "trends": trends,
            "alerts": [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in alerts],
            "left_out": left_out,
        }
        progress(1.0, "完成 done")
        said = Text(
            zh=f"{len(where)} 个地点、{len(trends)} 条序列；已确认或已结束的预警 {_count(alerts)} 个",
            en=f"{len(where)} places, {len(trends)} series; {_count(alerts)} alerts confirmed or ended",
        )
        return AnalysisResult(_factors(rules, parameters), tables, (said,))


def _count(alerts: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["state"] in {"confirmed", "ended"} for row in alerts)


def _factors(rules: Any, parameters: SeriesChangeParameters) -> tuple[Factor, ...]:
    found = []
    for id, rule in (("trend", rules.trend), ("cusum", rules.cusum), ("pettitt", rules.pettitt)):
        found.append(Factor(id, rule.title, True, rule.title, f"{rule.source} [{rule.tag}]"))
    note = Text(
        zh="、".join(f"{k} {v:g}" for k, v in parameters.thresholds.items()) or "未给出阈值",
        en=", ".join(f"{k} {v:g}" for k, v in parameters.thresholds.items()) or "no threshold was given",
    )
    rule = rules.confirmation
    found.append(Factor("exceedance", rule.title, bool(parameters.thresholds), note, f"{rule.source} [{rule.tag}]"))
    return tuple(found)


def _fields(frame: geopandas.GeoDataFrame, parameters: SeriesChangeParameters) -> tuple[str, list[str]]:
    """Field of the place, and the quantities."""
    import pandas

    p = parameters
    if frame.empty:
        raise LayerEmpty(f"图层 {p.series} 没有观测", f"layer {p.series} has no observation", layer=p.series)
    place = p.place_field or next((c for c in _PLACES if c in frame.columns), None)
    for parameter, name in (("place_field", place), ("time_field", p.time_field)):
        if name is None or name not in frame.columns:
            raise InvalidParameter(
                f"图层 {p.series} 没有字段 {name or '、'.join(_PLACES)}，有：{'、'.join(map(str, frame.columns))}",
                f"layer {p.series} has no field {name or ', '.join(_PLACES)}; it has {', '.join(map(str, frame.columns))}",
                parameter=parameter,
            )
    if not isinstance(frame[p.time_field].dtype, pandas.DatetimeTZDtype):
        raise InvalidParameter(
            f"图层 {p.series} 的 {p.time_field} 不是带时区的时间",
            f"layer {p.series}: {p.time_field} holds no times with a zone",
            parameter="time_field",
        )
    numeric = [
        c
        for c in frame.columns
        if c not in {place, p.time_field, frame.geometry.name}
        and pandas.api.types.is_numeric_dtype(frame[c])
        and not pandas.api.types.is_bool_dtype(frame[c])
    ]
    wrong = [q for q in p.quantities if q not in numeric]
    if wrong or not numeric:
        raise InvalidParameter(
            f"图层 {p.series} 的 {'、'.join(wrong) or '字段'} 不是数值字段，可用：{'、'.join(numeric)}",
            f"layer {p.series}: {', '.join(wrong) or 'no field'} is a field of numbers; there are {', '.join(numeric)}",
            parameter="quantities",
            allowed=numeric,
        )
    chosen = list(p.quantities) or numeric
    stray = sorted(set(p.thresholds) - set(chosen))
    if stray:
        raise InvalidParameter(
            f"thresholds 中的 {'、'.join(stray)} 不在检验的指标中（{'、'.join(chosen)}）",
            f"thresholds names {', '.join(stray)}, not among the quantities tested ({', '.join(chosen)})",
            parameter="thresholds",
        )
    return str(place), chosen


def _tidy(part: Any, parameters: SeriesChangeParameters) -> tuple[Any, list[dict[str, Any]]]:
    """Observations by time, of repeated times the first; flagged ones without their values."""
    time = parameters.time_field
    ordered = part.dropna(subset=[time]).sort_values(time, kind="stable")
    told: list[dict[str, Any]] = []
    twice = int(ordered[time].duplicated().sum())
    if twice:
        told.append({"quantity": None, "reason": f"{twice} repeated times: the first was kept"})
    ordered = ordered.drop_duplicates(time)
    if not parameters.use_flagged and "flags" in ordered.columns:
        flagged = ordered["flags"].fillna("").astype(str).ne("")
        if flagged.any():
            told.append({"quantity": None, "reason": f"{int(flagged.sum())} flagged observations were left out"})
            ordered = ordered[~flagged]
    return ordered, told


def _series(name: str, part: Any, quantity: str, parameters: SeriesChangeParameters) -> PlaceSeries:
    import pandas

    times = pandas.DatetimeIndex(part[parameters.time_field]).tz_convert("UTC")
    values = pandas.to_numeric(part[quantity], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return PlaceSeries(name, quantity, times, values)


def _points(rows: Sequence[Mapping[str, Any]], where: Mapping[str, Any], columns: Sequence[str]) -> Any:
    import geopandas
    import pandas

    frame = pandas.DataFrame([{c: row[c] for c in columns} for row in rows])
    spots = geopandas.GeoSeries([where[row["place"]] for row in rows], crs=4490)
    return geopandas.GeoDataFrame(frame.assign(spot=spots), geometry="spot", crs=4490)


def _write_trends(outputs: Outputs, rows: Sequence[Mapping[str, Any]], where: Mapping[str, Any]) -> None:
    columns = ("place", "quantity", "direction", "n", "slope_per_year", "p", "pettitt_p", "pettitt_time")
    frame = _points(rows, where, columns).astype(
        dict.fromkeys(("slope_per_year", "p", "pettitt_p"), "Float64") | {"n": "Int64"}
    )
    colours = {"increasing": "#c62828", "decreasing": "#1565c0", "none": "#9e9e9e", "not_assessed": "#e0e0e0"}
    outputs.features(
        "trends",
        frame,
        fields=(
            attribute("place", "string", "地点", "Place", nullable=False),
            attribute("quantity", "string", "指标", "Quantity", nullable=False),
            attribute("direction", "string", "趋势", "Trend", domain=_DIRECTIONS),
            attribute("n", "integer", "观测次数", "Observations"),
            attribute("slope_per_year", "number", "每年变化", "Change a year"),
            attribute("p", "number", "p 值", "p", unit="1"),
            attribute("pettitt_p", "number", "Pettitt p 值", "p of Pettitt", unit="1"),
            attribute("pettitt_time", "string", "突变时间", "Time of the change"),
        ),
        title=Text(zh="序列趋势", en="Trends of series"),
        style={
            "type": "categories",
            "field": "direction",
            "classes": [
                {
                    "value": k,
                    "title": v.model_dump(),
                    "fill": colours[k],
                    "stroke": "#ffffff",
                    "width": 1.0,
                    "radius": 5.0,
                }
                for k, v in _DIRECTIONS.items()
            ],
            "default": {"fill": "#9e9e9e", "stroke": "#ffffff", "width": 1.0, "radius": 5.0},
            "label": {"field": "place", "min_zoom": 9},
        },
        class_field="direction",
    )


def _write_alerts(outputs: Outputs, rows: Sequence[Mapping[str, Any]], where: Mapping[str, Any]) -> None:
    import pandas

    if not rows:
        return
    columns = (
        "place", "quantity", "kind", "state", "began", "confirmed", "ended", "observations", "peak", "threshold", "seasonal",
    )  # fmt: skip
    frame = _points(rows, where, columns).rename(columns={"began": "time"})
    for name in ("time", "confirmed", "ended"):
        frame[name] = pandas.to_datetime(frame[name], utc=True).astype("datetime64[ms, UTC]")
    frame = frame.astype({"threshold": "Float64", "peak": "Float64", "observations": "Int64", "seasonal": "boolean"})
    colours = {"suspected": "#fdd835", "confirmed": "#c62828", "ended": "#6d4c41", "dismissed": "#bdbdbd"}
    outputs.features(
        "alerts",
        frame,
        fields=(
            attribute("place", "string", "地点", "Place", nullable=False),
            attribute("quantity", "string", "指标", "Quantity", nullable=False),
            attribute("kind", "string", "类别", "Kind", domain=_KINDS),
            attribute("state", "string", "状态", "State", domain=_STATES),
            attribute("time", "datetime", "首次观测", "First observed", nullable=False),
            attribute("confirmed", "datetime", "确认", "Confirmed"),
            attribute("ended", "datetime", "结束", "Ended"),
            attribute("observations", "integer", "观测次数", "Observations"),
            attribute("peak", "number", "极值", "Peak"),
            attribute("threshold", "number", "阈值", "Threshold"),
            attribute("seasonal", "boolean", "已去季节", "Season taken out"),
        ),
        title=Text(zh="序列预警", en="Alerts of series"),
        style={
            "type": "categories",
            "field": "state",
            "classes": [
                {
                    "value": k,
                    "title": v.model_dump(),
                    "fill": colours[k],
                    "stroke": "#37474f",
                    "width": 1.0,
                    "radius": 6.0,
                }
                for k, v in _STATES.items()
            ],
            "default": {"fill": "#bdbdbd", "stroke": "#37474f", "width": 1.0, "radius": 6.0},
            "label": {"field": "place", "min_zoom": 9},
        },
        time_field="time",
        class_field="state",
    )
