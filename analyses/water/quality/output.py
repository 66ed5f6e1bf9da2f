"""Rasters and features of the analysis ``water-quality``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.block import BLOOM, NO_BLOOM, NOT_JUDGED
from analyses.water.quality.masks import REASONS
from analyses.water.quality.optical_quality import ALGORITHMS, ndci_level
from spatial.catalog import Band, Text, attribute

if TYPE_CHECKING:
    from datetime import datetime

    import geopandas

    from analyses.water.quality.bloom import BloomShare
    from analyses.water.quality.rules import BloomRules, OpticalRules
    from spatial.jobs.contract import Outputs, RasterOutput

__all__ = ["lake_rows", "open_rasters", "write_lakes"]

_RANGES = {"1": (-2.0, 2.0), "mg/m3": (0.0, 5000.0), "FNU": (0.0, 10_000.0), "g/m3": (0.0, 10_000.0), "m": (0.0, 60.0)}


def open_rasters(
    outputs: Outputs, indices: Sequence[str], estimates: Sequence[str], rules: OpticalRules, *, concentration: bool
) -> dict[str, RasterOutput]:
    """Open the result rasters of a run; ``index`` and ``estimates`` only where they have a band."""
    levels = rules.ndci_levels
    domain = {0: Text(zh="未评价", en="not assessed")} | {row.code: row.title for row in levels.levels}
    opened = {
        "level": outputs.raster(
            "level",
            bands=(
                Band(name="level", title=levels.title, valid_range=(0, 6), domain=domain),
                Band(
                    name="reason",
                    title=Text(zh="是否参评及原因", en="Judged, or why not"),
                    valid_range=(0, max(REASONS)),
                    domain={int(k): v for k, v in REASONS.items()},
                ),
                Band(
                    name="bloom",
                    title=Text(zh="水华", en="Bloom"),
                    valid_range=(0, BLOOM),
                    domain={
                        NOT_JUDGED: Text(zh="未评价", en="not assessed"),
                        NO_BLOOM: Text(zh="无水华", en="no bloom"),
                        BLOOM: Text(zh="水华", en="bloom"),
                    },
                ),
            ),
            dtype="uint8",
            nodata=255,
            title=Text(zh="水质相对等级与水华", en="Relative level of water quality, and bloom"),
            style={
                "type": "classes",
                "band": "level",
                "classes": [
                    {"value": row.code, "color": row.color, "title": row.title.model_dump()} for row in levels.levels
                ],
            },
        )
    }
    nan = float("nan")
    if indices:
        opened["index"] = outputs.raster(
            "index",
            bands=tuple(Band(name=k, title=ALGORITHMS[k].title, unit="1", valid_range=_RANGES["1"]) for k in indices),
            dtype="float32",
            nodata=nan,
            title=Text(zh="水质遥感指数", en="Indices of water quality"),
            style={
                "type": "ramp",
                "band": indices[0],
                "stops": [
                    {"value": v, "color": c}
                    for v, c in zip(
                        (-0.2, 0.0, 0.1, 0.2, 0.5), ("#313695", "#74add1", "#a6d96a", "#fee08b", "#a50026"), strict=True
                    )
                ],
            },
        )
    if estimates:
        opened["estimates"] = outputs.raster(
            "estimates",
            bands=tuple(
                Band(
                    name=k,
                    title=Text(zh=f"{ALGORITHMS[k].title.zh}，未率定", en=f"{ALGORITHMS[k].title.en}, uncalibrated"),
                    unit=ALGORITHMS[k].unit,
                    valid_range=_RANGES[ALGORITHMS[k].unit],
                )
                for k in estimates
            ),
            dtype="float32",
            nodata=nan,
            title=Text(
                zh="水质估计（未率定，只可比较高低）", en="Estimates of water quality (uncalibrated: they rank only)"
            ),
            style=_ramp(estimates[0], _top(ALGORITHMS[estimates[0]].unit)),
        )
    if concentration:
        title = Text(zh="叶绿素 a（本地率定）", en="Chlorophyll a (calibrated locally)")
        opened["concentration"] = outputs.raster(
            "concentration",
            bands=(Band(name="chl_a", title=title, unit="mg/m3", valid_range=_RANGES["mg/m3"]),),
            dtype="float32",
            nodata=nan,
            title=title,
            style=_ramp("chl_a", 60.0),
        )
    return opened


def _top(unit: str) -> float:
    return {"m": 3.0, "FNU": 100.0, "g/m3": 100.0}.get(unit, 60.0)


def _ramp(band: str, top: float) -> dict[str, Any]:
    colours = ("#313695", "#74add1", "#ffffbf", "#f46d43", "#a50026")
    return {
        "type": "ramp",
        "band": band,
        "stops": [{"value": round(top * k / 4, 3), "color": c} for k, c in enumerate(colours)],
    }


def lake_rows(
    shares: Sequence[BloomShare],
    medians: Mapping[int, float],
    names: Sequence[Any],
    rules: OpticalRules,
    *,
    has_bloom: bool,
) -> list[dict[str, Any]]:
    """One row a lake: areas, clear share, median NDCI with its level, bloom and grade; no value where too little was seen."""
    rows = []
    least = rules.masks.least_clear_percent
    for share in shares:
        median = medians.get(share.lake)
        seen = share.clear_percent >= least and share.reason is None
        level = int(ndci_level(np.array([median]), rules)[0]) if median is not None and seen else None
        name = names[share.lake - 1]
        bloom = has_bloom and share.bloom_percent is not None
        rows.append(
            {
                "place": share.lake - 1,
                "lake": None if name is None or name != name else str(name),
                "water_km2": round(share.water_m2 / 1e6, 6),
                "clear_percent": round(share.clear_percent, 2),
                "ndci": round(median, 4) if median is not None and seen else None,
                "level": level,
                "bloom_km2": round(share.bloom_m2 / 1e6, 6) if bloom else None,
                "bloom_percent": round(float(share.bloom_percent or 0.0), 3) if bloom else None,
                "grade": share.grade.code if bloom and share.grade is not None else None,
                "grade_zh": share.grade.title.zh if bloom and share.grade is not None else None,
                "reason": None if seen else f"clear share {share.clear_percent:.0f} % (least {least:g} %)",
            }
        )
    return rows


def write_lakes(
    outputs: Outputs,
    rows: Sequence[Mapping[str, Any]],
    lakes: geopandas.GeoDataFrame,
    time: datetime | None,
    bloom: BloomRules,
) -> None:
    """Lakes as polygons with their result; with the time of the scene also one observation a lake, kind ``stations``."""
    import geopandas
    import pandas

    if not rows:
        return
    grades = bloom.grades.list
    shapes = [lakes.geometry.iloc[int(row["place"])] for row in rows]
    frame = pandas.DataFrame([{k: v for k, v in row.items() if k not in ("place", "grade_zh")} for row in rows])
    frame["grade"] = [None if row["grade"] is None else str(row["grade"]) for row in rows]
    frame = frame.astype(dict.fromkeys(("ndci", "bloom_km2", "bloom_percent"), "Float64") | {"level": "Int64"})
    series = [
        attribute("clear_percent", "number", "晴空比例", "Clear share", unit="%"),
        attribute("ndci", "number", "NDCI（湖面中位数）", "NDCI (median of the lake)", unit="1"),
        attribute("bloom_percent", "number", "水华面积比例", "Share under bloom", unit="%"),
    ]
    outputs.features(
        "lakes",
        geopandas.GeoDataFrame(frame.assign(shape=geopandas.GeoSeries(shapes, crs=4490)), geometry="shape"),
        fields=(
            attribute("lake", "string", "湖泊", "Lake"),
            attribute("water_km2", "number", "水面面积", "Water surface", unit="km2"),
            *series,
            attribute("level", "integer", "NDCI 相对等级", "Relative level of NDCI"),
            attribute("bloom_km2", "number", "水华面积", "Area under bloom", unit="km2"),
            attribute("grade", "string", "水华程度", "Grade of bloom", domain={str(g.code): g.title for g in grades}),
            attribute("reason", "string", "未评价原因", "Why not assessed"),
        ),
        title=Text(zh="湖泊水质与水华", en="Water quality and bloom of lakes"),
        style={
            "type": "categories",
            "field": "grade",
            "classes": [
                {
                    "value": str(g.code),
                    "title": g.title.model_dump(),
                    "fill": g.color,
                    "stroke": "#37474f",
                    "width": 0.6,
                }
                for g in grades
            ],
            "default": {"fill": "#bdbdbd", "stroke": "#37474f", "width": 0.6},
            "label": {"field": "lake", "min_zoom": 9},
        },
        class_field="grade",
    )
    if time is None:
        return
    named = frame["lake"].notna().to_numpy()
    if not named.any():
        return
    points = geopandas.GeoSeries(shapes, crs=4490).representative_point()
    dated = frame.assign(time=pandas.Timestamp(time).tz_convert("UTC"), spot=points)[named]
    outputs.features(
        "series",
        geopandas.GeoDataFrame(dated, geometry="spot", crs=4490),
        fields=(
            attribute("lake", "string", "湖泊", "Lake", nullable=False),
            attribute("time", "datetime", "时间", "Time", nullable=False),
            *series,
        ),
        title=Text(zh="湖泊卫星水质序列", en="Water quality of lakes from orbit"),
        style={"type": "single", "fill": "#558b2f", "stroke": "#ffffff", "width": 1.0, "radius": 5.0},
        kind="stations",
        time_field="time",
        station_field="lake",
    )
