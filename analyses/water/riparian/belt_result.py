"""What ``riparian-vegetation`` hands back (滨岸带植被成果): fields, styles, rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.riparian.vegetation import BROWNING, GREENING, NO_TREND, NOT_ASSESSED
from analyses.water.series.trend import Trend, trend_of
from spatial.catalog import Attribute, Band, Text, attribute

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.extent.scene_maps import InspectedScene
    from analyses.water.riparian.rules import VegetationRule
    from analyses.water.series.rules import TrendRule

__all__ = [
    "BELT_FIELDS",
    "SERIES_FIELDS",
    "belts_frame",
    "belts_style",
    "by_belt",
    "by_reach",
    "series_frame",
    "series_rows",
    "series_style",
    "trend_bands",
    "trend_style",
]

DIRECTIONS = {
    "increasing": ("greening", "变绿", "greening", "#1a9850"),
    "decreasing": ("browning", "变差", "browning", "#b35806"),
    "none": ("none", "无趋势", "no trend", "#bdbdbd"),
    "not_assessed": ("not_assessed", "未评价", "not assessed", "#f0f0f0"),
}
_SHARES = (
    (GREENING, "greening_share"),
    (BROWNING, "browning_share"),
    (NO_TREND, "no_trend_share"),
    (NOT_ASSESSED, "unknown_share"),
)


_DOMAIN = {code: {"zh": zh, "en": en} for code, zh, en, _ in DIRECTIONS.values()}
BELT_FIELDS: tuple[Attribute, ...] = (
    attribute("zone", "string", "带段", "Belt of a reach", nullable=False),
    attribute("site", "string", "水体", "Water body"),
    attribute("reach", "string", "岸段", "Reach"),
    attribute("belt", "string", "带", "Belt", "m"),
    attribute("chainage_from_m", "number", "起点桩号", "Chainage from", "m"),
    attribute("chainage_to_m", "number", "终点桩号", "Chainage to", "m"),
    attribute("area_m2", "number", "椭球面积", "Ellipsoidal area", "m2"),
    attribute("dates", "integer", "有效日期数", "Dates used", "1"),
    attribute("left_out", "integer", "未用日期数", "Dates left out", "1"),
    attribute("clear_share", "number", "平均有效份额", "Mean clear share", "1"),
    attribute("index_mean", "number", "植被指数均值", "Mean of the index", "1"),
    attribute("vegetated_share", "number", "有植被份额", "Vegetated share", "1"),
    attribute("wet_share", "number", "水淹份额", "Share under water", "1"),
    attribute("direction", "string", "趋势", "Trend", domain=_DOMAIN),
    attribute("slope_per_year", "number", "年变化", "Change a year", "1/a"),
    attribute("p", "number", "显著性", "Significance (p)", "1"),
    attribute("reason", "string", "未评价的原因", "Why not assessed"),
    attribute("greening_share", "number", "变绿面积份额", "Share of area greening", "1"),
    attribute("browning_share", "number", "变差面积份额", "Share of area browning", "1"),
    attribute("no_trend_share", "number", "无趋势面积份额", "Share of area without trend", "1"),
    attribute("unknown_share", "number", "未评价面积份额", "Share of area not assessed", "1"),
)
SERIES_FIELDS: tuple[Attribute, ...] = (
    attribute("zone", "string", "带段", "Belt of a reach", nullable=False),
    attribute("site", "string", "水体", "Water body"),
    attribute("reach", "string", "岸段", "Reach"),
    attribute("belt", "string", "带", "Belt", "m"),
    attribute("time", "datetime", "时间", "Time", nullable=False),
    attribute("index", "number", "植被指数", "Vegetation index", "1"),
    attribute("vegetated_share", "number", "有植被份额", "Vegetated share", "1"),
    attribute("wet_share", "number", "水淹份额", "Share under water", "1"),
    attribute("clear_share", "number", "有效份额", "Clear share", "1"),
    attribute("used", "boolean", "参与趋势", "Used for the trend"),
    attribute("scene", "string", "影像", "Scene"),
)


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 4) if whole > 0 else None


def series_rows(
    frame: geopandas.GeoDataFrame,
    scenes: Sequence[InspectedScene],
    sums: NDArray[np.float64],
    zone_m2: NDArray[np.float64],
    rule: VegetationRule,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One row a belt and date, and the belts and dates that were left out, with the reason.

    Of two scenes of one day (UTC) the one that saw more of the belt counts.
    """
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for zone, reach, belt in zip(frame["zone"], frame["reach"], frame["belt"], strict=True):
        clear_by_day: dict[Any, list[tuple[float, int]]] = {}
        for number, scene in enumerate(scenes):
            clear_by_day.setdefault(scene.time.date(), []).append((float(sums[number, zone, 0]), -number))
        best = {-max(found)[1] for found in clear_by_day.values()}
        for number, scene in enumerate(scenes):
            clear, dry, total, plants, wet = (float(v) for v in sums[number, zone])
            share = clear / zone_m2[zone] if zone_m2[zone] > 0 else 0.0
            reason: Text | None = None
            if number not in best:
                reason = Text(zh="同日另有更完整的一景", en="another scene of the day saw more")
            elif share < rule.least_clear_share:
                reason = Text(
                    zh=f"有效份额 {share:.2f} 低于 {rule.least_clear_share:g}（云、云影或影像缺失）",
                    en=f"clear share {share:.2f} below {rule.least_clear_share:g} (cloud, shadow or no data)",
                )
            elif dry <= 0:
                reason = Text(zh="全部为水", en="all under water")
            row = {
                "zone": f"{reach} {belt}",
                "reach": reach,
                "belt": belt,
                "scene": scene.id,
                "time": scene.time.isoformat().replace("+00:00", "Z"),
                "index": round(total / dry, 5) if dry > 0 else None,
                "vegetated_share": _share(plants, clear),
                "wet_share": _share(wet, clear),
                "clear_share": round(float(share), 4),
                "dry_m2": round(dry, 1),
                "used": reason is None,
            }
            rows.append(row)
            if reason is not None:
                kept = {name: row[name] for name in ("zone", "scene", "time", "clear_share")}
                left_out.append(kept | {"reason_zh": reason.zh, "reason_en": reason.en})
    return rows, left_out


def _trend(rows: Sequence[Mapping[str, Any]], rule: TrendRule) -> Trend:
    values = [row["index"] if row["used"] and row["index"] is not None else float("nan") for row in rows]
    return trend_of([row["time"] for row in rows], values, rule)


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [row[name] for row in rows if row["used"] and row[name] is not None]
    return round(float(np.mean(known)), 4) if known else None


def _figures(rows: Sequence[Mapping[str, Any]], cells: NDArray[np.float64], rule: TrendRule) -> dict[str, Any]:
    trend = _trend(rows, rule)
    used = sum(bool(row["used"]) for row in rows)
    total = float(cells.sum())
    return {
        "dates": used,
        "left_out": len(rows) - used,
        "clear_share": _mean(rows, "clear_share"),
        "index_mean": _mean(rows, "index"),
        "vegetated_share": _mean(rows, "vegetated_share"),
        "wet_share": _mean(rows, "wet_share"),
        "direction": DIRECTIONS[trend.direction][0],
        "slope_per_year": None if trend.slope_per_year is None else round(trend.slope_per_year, 6),
        "p": None if trend.p is None else round(trend.p, 6),
        "reason": trend.reason,
        **{name: _share(float(cells[code]), total) for code, name in _SHARES},
    }


def belts_frame(
    frame: geopandas.GeoDataFrame,
    rows: Sequence[Mapping[str, Any]],
    cells: NDArray[np.float64],
    rule: TrendRule,
    *,
    site: str | None,
) -> geopandas.GeoDataFrame:
    """Belts with their figures, columns as `BELT_FIELDS`."""
    import pandas as pd

    by_zone: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_zone.setdefault(row["zone"], []).append(row)
    names = [f"{reach} {belt}" for reach, belt in zip(frame["reach"], frame["belt"], strict=True)]
    figures = pd.DataFrame(
        [_figures(by_zone[name], cells[zone], rule) for name, zone in zip(names, frame["zone"], strict=True)],
        index=frame.index,
    )
    numbers = [f.name for f in BELT_FIELDS if f.type == "number" and f.name in figures]
    figures[numbers] = figures[numbers].astype("float64")
    found = frame.drop(columns=["from_m", "to_m"]).join(figures)
    found["zone"], found["site"], found["area_m2"] = names, site, found["area_m2"].round(1)
    return found[[*(field.name for field in BELT_FIELDS), "geometry"]]


def by_belt(
    frame: geopandas.GeoDataFrame, rows: Sequence[Mapping[str, Any]], cells: NDArray[np.float64], rule: TrendRule
) -> list[dict[str, Any]]:
    """The belts over all reaches: the mean of the index weighted by the dry area that was seen."""
    found = []
    for belt, part in frame.groupby("belt", sort=False):
        by_scene: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row["belt"] == belt:
                by_scene.setdefault(row["scene"], []).append(row)
        merged = []
        for scene, several in by_scene.items():
            used = [row for row in several if row["used"]]
            weight = sum(row["dry_m2"] for row in used)
            whole = {"scene": scene, "time": several[0]["time"], "used": bool(used) and weight > 0}
            for name in ("index", "vegetated_share", "wet_share", "clear_share"):
                known = [(row[name], row["dry_m2"]) for row in used if row[name] is not None]
                total = sum(w for _, w in known)
                whole[name] = sum(v * w for v, w in known) / total if total > 0 else None
            merged.append(whole)
        merged.sort(key=lambda row: row["time"])
        zones = part["zone"].to_numpy()
        found.append(
            {
                "belt": belt,
                "area_m2": round(float(part["area_m2"].sum()), 1),
                **_figures(merged, cells[zones].sum(axis=0), rule),
            }
        )
    return found


def by_reach(belts: geopandas.GeoDataFrame) -> list[dict[str, Any]]:
    """The belts as rows, without their outline."""
    import pandas as pd

    rows = belts.drop(columns="geometry").to_dict("records")
    return [{name: None if pd.isna(value) else value for name, value in row.items()} for row in rows]


def series_frame(
    frame: geopandas.GeoDataFrame, rows: Sequence[Mapping[str, Any]], *, site: str | None
) -> geopandas.GeoDataFrame:
    """The series as one point a belt and date, columns as `SERIES_FIELDS`."""
    import geopandas
    import pandas as pd

    points = dict(
        zip(
            (f"{reach} {belt}" for reach, belt in zip(frame["reach"], frame["belt"], strict=True)),
            frame.geometry.representative_point(),
            strict=True,
        )
    )
    data = pd.DataFrame([{field.name: row.get(field.name) for field in SERIES_FIELDS} for row in rows])
    data["site"] = site
    data["time"] = pd.to_datetime(data["time"], utc=True)
    numbers = [field.name for field in SERIES_FIELDS if field.type == "number"]
    data[numbers] = data[numbers].astype("float64")
    return geopandas.GeoDataFrame(data, geometry=[points[row["zone"]] for row in rows], crs=4490)


def belts_style() -> dict[str, Any]:
    """Green, brown and grey."""
    return {
        "type": "categories",
        "field": "direction",
        "classes": [
            {"value": code, "title": {"zh": zh, "en": en}, "fill": f"{colour}99", "stroke": colour, "width": 0.8}
            for code, zh, en, colour in DIRECTIONS.values()
        ],
        "default": {"fill": "#f0f0f099", "stroke": "#969696", "width": 0.8},
    }


def series_style() -> dict[str, Any]:
    """Small points."""
    return {"type": "single", "fill": "#1a9850", "stroke": "#ffffff", "width": 0.8, "radius": 4.0}


_CELLS = (
    (BROWNING, "变差", "browning", "#b35806"),
    (NO_TREND, "无趋势", "no trend", "#d9d9d9"),
    (GREENING, "变绿", "greening", "#1a9850"),
    (NOT_ASSESSED, "未评价", "not assessed", "#f7f7f7"),
)


def trend_bands() -> tuple[Band, ...]:
    """Code of the trend of each cell."""
    return (
        Band(
            name="trend",
            title=Text(zh="植被趋势", en="Trend of vegetation"),
            valid_range=(0, 4),
            domain={code: Text(zh=zh, en=en) for code, zh, en, _ in _CELLS},
        ),
    )


def trend_style() -> dict[str, Any]:
    """Colours of the codes."""
    return {
        "type": "classes",
        "band": "trend",
        "classes": [{"value": code, "color": colour, "title": {"zh": zh, "en": en}} for code, zh, en, colour in _CELLS],
    }
