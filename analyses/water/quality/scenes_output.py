"""Rasters and features of the analysis ``water-quality-scenes``: maps by date, series of lakes and stations, alerts of bloom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.optical_quality import ALGORITHMS
from analyses.water.series.alerts import confirmed_alerts
from analyses.water.series.rules import change_rules
from spatial.catalog import Attribute, Text, attribute

if TYPE_CHECKING:
    import geopandas

    from analyses.water.quality.rules import BloomRules
    from analyses.water.quality.scenes_parameters import WaterQualityScenesParameters
    from spatial.jobs.contract import Outputs

__all__ = ["bloom_alert_rows", "write_alerts", "write_lake_series", "write_station_series"]

_ALERT_GRADE = 3
"""Grade of bloom (局部性水华) from whose lower end on a bloom is an alert."""


def bloom_alert_rows(
    rows: Sequence[Mapping[str, Any]], rules: Mapping[str, Any], collection: str
) -> list[dict[str, Any]]:
    """Blooms beyond the alert's share, confirmed by two consecutive observations (水华预警)."""
    from analyses.water.quality.rules import bloom_rules

    grade = bloom_rules(rules).grades.list[_ALERT_GRADE - 2]
    threshold = float(grade.below if grade.below is not None else grade.to or 0.0)
    rule = change_rules(rules).confirmation
    found = []
    for place in sorted({row["place"] for row in rows}):
        mine = sorted((row for row in rows if row["place"] == place), key=lambda row: row["time"])
        values = [np.nan if row["bloom_percent"] is None else row["bloom_percent"] for row in mine]
        scene = {row["time"]: row["scene"] for row in mine}
        for alert in confirmed_alerts([row["time"] for row in mine], values, threshold, rule):
            before = [row["scene"] for row in mine if row["time"] < alert.began]
            found.append(
                {
                    "place": place,
                    "lake": mine[0]["lake"],
                    "kind": "bloom",
                    "state": alert.state,
                    "time": alert.began,
                    "confirmed": alert.confirmed,
                    "ended": alert.ended,
                    "observations": alert.observations,
                    "peak_percent": alert.peak,
                    "threshold_percent": threshold,
                    "scene_collection": collection,
                    "scene_before": before[-1] if before else "",
                    "scene_after": scene[alert.began],
                }
            )
    return found


def _frame(rows: Sequence[Mapping[str, Any]], points: Any) -> geopandas.GeoDataFrame:
    import geopandas
    import pandas

    frame = pandas.DataFrame([{k: v for k, v in row.items() if k != "place"} for row in rows])
    frame["time"] = pandas.to_datetime(frame["time"], utc=True).astype("datetime64[ms, UTC]")
    return geopandas.GeoDataFrame(frame.assign(spot=geopandas.GeoSeries(points, crs=4490)), geometry="spot", crs=4490)


def _quantities(rows: Sequence[Mapping[str, Any]]) -> tuple[Attribute, ...]:
    """Fields of what was computed, with quartiles."""
    found = []
    for id, algorithm in ALGORITHMS.items():
        if not any(id in row for row in rows):
            continue
        mark = ("", "") if algorithm.is_index else ("，未率定", ", uncalibrated")
        found.append(
            attribute(
                id, "number", f"{algorithm.title.zh}（中位数{mark[0]}）", f"{algorithm.title.en} (median{mark[1]})",
                unit=algorithm.unit,
            )
        )  # fmt: skip
        for end, zh, en in (("q1", "下四分位", "lower quartile"), ("q3", "上四分位", "upper quartile")):
            zh, en = f"{algorithm.title.zh}（{zh}）", f"{algorithm.title.en} ({en})"
            found.append(attribute(f"{id}_{end}", "number", zh, en, unit=algorithm.unit))
    return tuple(found)


def _numbers(frame: geopandas.GeoDataFrame, fields: Sequence[Attribute]) -> geopandas.GeoDataFrame:
    kinds = {"number": "Float64", "integer": "Int64", "boolean": "boolean", "string": "string"}
    types = {f.name: kinds[f.type] for f in fields if f.type in kinds and f.name in frame.columns}
    missing = {f.name: None for f in fields if f.name not in frame.columns}
    return frame.assign(**missing).astype(types)


_COMMON = (
    attribute("clear_percent", "number", "可见比例", "Clear share", unit="%"),
    attribute("pixels", "integer", "参评像元", "Cells judged"),
)
_LAST = (
    attribute("scene", "string", "影像", "Scene"),
    attribute("flags", "string", "标记", "Flags"),
)


def write_lake_series(
    outputs: Outputs,
    rows: Sequence[Mapping[str, Any]],
    lakes: geopandas.GeoDataFrame,
    parameters: WaterQualityScenesParameters,
    bloom: BloomRules,
) -> None:
    """One feature a lake and date; lakes without a name have none of their own."""
    named = [row for row in rows if row["lake"] is not None]
    if not named:
        return
    spots = lakes.geometry.representative_point()
    fields = (
        attribute("lake", "string", "湖泊（水体）", "Lake or water body", nullable=False),
        attribute("time", "datetime", "时间", "Time", nullable=False),
        *_quantities(named),
        attribute("level", "integer", "NDCI 相对等级", "Relative level of NDCI"),
        *_COMMON,
        attribute("water_km2", "number", "水面面积", "Water surface", unit="km2"),
        attribute("bloom_percent", "number", "水华面积比例", "Share under bloom", unit="%"),
        attribute("bloom_km2", "number", "水华面积", "Area under bloom", unit="km2"),
        attribute(
            "grade", "integer", "水华程度", "Grade of bloom", domain={str(g.code): g.title for g in bloom.grades.list}
        ),
        *_LAST,
    )
    frame = _numbers(_frame(named, [spots.iloc[row["place"]] for row in named]), fields)
    outputs.features(
        "series",
        frame,
        fields=fields,
        title=Text(zh="湖泊卫星水质序列", en="Water quality of lakes from orbit"),
        style={"type": "single", "fill": "#558b2f", "stroke": "#ffffff", "width": 1.0, "radius": 5.0},
        kind="stations",
        time_field="time",
        station_field="lake",
    )


def write_station_series(
    outputs: Outputs,
    rows: Sequence[Mapping[str, Any]],
    stations: geopandas.GeoDataFrame | None,
    parameters: WaterQualityScenesParameters,
) -> None:
    """One feature a station and date: the window of cells at the station."""
    if stations is None or not rows:
        return
    fields = (
        attribute("station", "string", "测站", "Station", nullable=False),
        attribute("lake", "string", "湖泊（水体）", "Lake or water body"),
        attribute("time", "datetime", "时间", "Time", nullable=False),
        *_quantities(rows),
        *_COMMON,
        attribute("bloom", "boolean", "有水华", "Bloom"),
        *_LAST,
    )
    points = [stations.geometry.iloc[row["place"]] for row in rows]
    outputs.features(
        "stations",
        _numbers(_frame(rows, points), fields),
        fields=fields,
        title=Text(zh="测站处卫星水质序列", en="Water quality from orbit at stations"),
        style={"type": "single", "fill": "#33691e", "stroke": "#ffffff", "width": 1.0, "radius": 4.0},
        kind="stations",
        time_field="time",
        station_field="station",
    )


_STATES = {
    "suspected": Text(zh="疑似", en="suspected"),
    "confirmed": Text(zh="已确认", en="confirmed"),
    "ended": Text(zh="已结束", en="ended"),
    "dismissed": Text(zh="未再出现", en="dismissed"),
}
_COLOURS = {"suspected": "#fdd835", "confirmed": "#c62828", "ended": "#6d4c41", "dismissed": "#bdbdbd"}


def write_alerts(outputs: Outputs, rows: Sequence[Mapping[str, Any]], lakes: geopandas.GeoDataFrame) -> None:
    """One polygon an alert: the lake."""
    import geopandas
    import pandas

    if not rows:
        return
    frame = pandas.DataFrame([{k: v for k, v in row.items() if k != "place"} for row in rows])
    for name in ("time", "confirmed", "ended"):
        frame[name] = pandas.to_datetime(frame[name], utc=True).astype("datetime64[ms, UTC]")
    shapes = geopandas.GeoSeries([lakes.geometry.iloc[row["place"]] for row in rows], crs=4490)
    outputs.features(
        "alerts",
        geopandas.GeoDataFrame(frame.assign(area=shapes), geometry="area", crs=4490),
        fields=(
            attribute("lake", "string", "湖泊（水体）", "Lake or water body"),
            attribute("kind", "string", "类别", "Kind", domain={"bloom": Text(zh="水华", en="bloom")}),
            attribute("state", "string", "状态", "State", domain=_STATES),
            attribute("time", "datetime", "首次观测", "First observed", nullable=False),
            attribute("confirmed", "datetime", "确认", "Confirmed"),
            attribute("ended", "datetime", "结束", "Ended"),
            attribute("observations", "integer", "观测次数", "Observations"),
            attribute("peak_percent", "number", "最大比例", "Highest share", unit="%"),
            attribute("threshold_percent", "number", "阈值", "Threshold", unit="%"),
            attribute("scene_collection", "string", "影像集", "Collection"),
            attribute("scene_before", "string", "前期影像", "Scene before"),
            attribute("scene_after", "string", "后期影像", "Scene after"),
        ),
        title=Text(zh="水华预警", en="Alerts of bloom"),
        style={
            "type": "categories",
            "field": "state",
            "classes": [
                {"value": k, "title": v.model_dump(), "fill": f"{_COLOURS[k]}80", "stroke": _COLOURS[k], "width": 1.5}
                for k, v in _STATES.items()
            ],
            "default": {"fill": "#bdbdbd80", "stroke": "#757575", "width": 1.0},
            "label": {"field": "lake", "min_zoom": 8},
        },
        time_field="time",
        class_field="state",
    )
