"""What the water watch hands back (监测成果): bands, fields, styles and rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.level_area import fit_level_area, storage_change
from analyses.water.classes import HIGH, MODERATE, NODATA, NOT_WATER
from analyses.water.classes import TITLES as CLASS_TITLES
from analyses.water.occurrence.transitions import NO_CLASS
from analyses.water.occurrence.transitions import NOT_ASSESSED as NO_TRANSITION
from analyses.water.occurrence.transitions import TITLES as TRANSITION_TITLES
from spatial.catalog import Attribute, Band, Text, attribute

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.bodies.delineation import WaterBodies
    from analyses.water.bodies.series import BodySeries
    from analyses.water.occurrence.stack import Observation

__all__ = [
    "BODY_FIELDS",
    "KINDS",
    "SERIES_FIELDS",
    "bodies_frame",
    "bodies_style",
    "date_band",
    "extent_bands",
    "extent_style",
    "frequency_bands",
    "frequency_style",
    "level_area_rows",
    "series_frame",
    "series_style",
    "transition_bands",
    "transition_codes",
    "transition_style",
]

KINDS: dict[str, Text] = {
    "lake": Text(zh="湖库", en="lake or reservoir"),
    "river": Text(zh="河流", en="river"),
    "pond": Text(zh="坑塘", en="pond"),
    "paddy": Text(zh="水田", en="paddy"),
}
_KIND_COLOURS = {"lake": "#2171b5", "river": "#6baed6", "pond": "#9e9ac8", "paddy": "#a1d99b"}
_CLASS_COLOURS = {NOT_WATER: "#00000000", HIGH: "#08519c", MODERATE: "#4292c6", 3: "#9ecae1", 4: "#deebf7"}
_MASK_COLOURS = {250: "#737373", 251: "#fdd0a2", 252: "#f7fbff", 253: "#bdbdbd"}
_TRANSITION_COLOURS = (
    "#0000ff", "#22b14c", "#d1102d", "#99d9ea", "#b5e61d", "#e6a1aa", "#ff7f27", "#ffc90e", "#7f7f7f", "#c3c3c3",
)  # fmt: skip


def date_band(observation: Observation) -> str:
    """Name of the band of a day: ``d20240701``."""
    return f"d{observation.day:%Y%m%d}"


def extent_bands(days: Sequence[Observation]) -> tuple[Band, ...]:
    """One band a day, codes of `analyses.water.classes`."""
    domain = {code: title for code, title in CLASS_TITLES.items() if code != NODATA}
    return tuple(
        Band(
            name=date_band(day),
            title=Text(zh=f"{day.day:%Y-%m-%d} 水体", en=f"Water on {day.day:%Y-%m-%d}"),
            valid_range=(0, NODATA - 1),
            domain=domain,
        )
        for day in days
    )


def extent_style(bands: Sequence[Band]) -> dict[str, Any]:
    """Blues for water, greys for what hid the ground; the newest day is shown first."""
    shown = {code: colour for code, colour in _CLASS_COLOURS.items() if code != NOT_WATER} | _MASK_COLOURS
    return {
        "type": "classes",
        "band": bands[-1].name,
        "classes": [
            {"value": code, "color": colour, "title": CLASS_TITLES[code].model_dump()} for code, colour in shown.items()
        ],
    }


def frequency_bands() -> tuple[Band, ...]:
    """Frequency, the clear count beside the wet count, recurrence."""
    return (
        Band(name="frequency", title=Text(zh="有水频率", en="Water frequency"), unit="%", valid_range=(0, 100)),
        Band(name="wet", title=Text(zh="有水次数", en="Observations with water"), unit="1", valid_range=(0, 65535)),
        Band(name="clear", title=Text(zh="有效次数", en="Clear observations"), unit="1", valid_range=(0, 65535)),
        Band(name="recurrence", title=Text(zh="年际重现率", en="Recurrence"), unit="%", valid_range=(0, 100)),
    )


def frequency_style() -> dict[str, Any]:
    """From pale to blue."""
    colours = ((0, "#ffffff00"), (5, "#f7fcb9"), (10, "#c7e9b4"), (50, "#41b6c4"), (100, "#081d58"))
    return {"type": "ramp", "band": "frequency", "stops": [{"value": v, "color": c} for v, c in colours]}


SEEN_NOT_ASSESSED = 254
"""Code of cells that were seen, but in too few months for a class; 255 is left to those never seen."""


def transition_codes(transition: NDArray[np.uint8], clear: NDArray[Any]) -> NDArray[np.uint8]:
    """Codes of the result raster: «not assessed» told apart from «never seen».

    >>> transition_codes(np.array([1, 255, 255], np.uint8), np.array([9, 2, 0])).tolist()
    [1, 254, 255]
    """
    found = np.where((transition == NO_TRANSITION) & (clear > 0), np.uint8(SEEN_NOT_ASSESSED), transition)
    return np.asarray(found, dtype=np.uint8)


def transition_bands() -> tuple[Band, ...]:
    """Ten classes, and months with water beside months seen."""
    domain = {code: title for code, title in TRANSITION_TITLES.items() if code != NO_TRANSITION}
    return (
        Band(
            name="transition",
            title=Text(zh="水体转变", en="Water transition"),
            valid_range=(0, SEEN_NOT_ASSESSED),
            domain=domain | {SEEN_NOT_ASSESSED: TRANSITION_TITLES[NO_TRANSITION]},
        ),
        Band(name="seasonality", title=Text(zh="有水月数", en="Months with water"), unit="1", valid_range=(0, 12)),
        Band(name="months_seen", title=Text(zh="有效月数", en="Months seen"), unit="1", valid_range=(0, 12)),
    )


def transition_style() -> dict[str, Any]:
    """Colours of the JRC transition map."""
    return {
        "type": "classes",
        "band": "transition",
        "classes": [
            {"value": code, "color": _TRANSITION_COLOURS[code - 1], "title": TRANSITION_TITLES[code].model_dump()}
            for code in range(NO_CLASS + 1, 11)
        ]
        + [{"value": SEEN_NOT_ASSESSED, "color": "#f0f0f0", "title": TRANSITION_TITLES[NO_TRANSITION].model_dump()}],
    }


BODY_FIELDS: tuple[Attribute, ...] = (
    attribute("body", "string", "图斑编号", "Body id", nullable=False),
    attribute("name", "string", "名称", "Name"),
    attribute("kind", "string", "类别", "Kind", domain=KINDS),
    attribute("kind_reason", "string", "类别依据", "Why this kind"),
    attribute("area_km2", "number", "范围面积", "Area of the extent", "km2"),
    attribute("permanent_share", "number", "常年有水份额", "Share always wet", "1"),
    attribute("mean_frequency", "number", "平均频率", "Mean frequency", "1"),
    attribute("mean_clear", "number", "平均有效次数", "Mean clear count", "1"),
    attribute("holes", "integer", "岛洞数", "Islands"),
)
SERIES_FIELDS: tuple[Attribute, ...] = (
    attribute("body", "string", "图斑编号", "Body id", nullable=False),
    attribute("name", "string", "名称", "Name"),
    attribute("kind", "string", "类别", "Kind", domain=KINDS),
    attribute("time", "datetime", "时间", "Time", nullable=False),
    attribute("area_km2", "number", "水面面积", "Water area", "km2"),
    attribute("area_low_km2", "number", "面积下限", "Lower end of the interval", "km2"),
    attribute("area_high_km2", "number", "面积上限", "Upper end of the interval", "km2"),
    attribute("seen_share", "number", "有效份额", "Share seen", "1"),
    attribute(
        "flag",
        "string",
        "来源",
        "How it was found",
        domain={
            "observed": {"zh": "观测", "en": "observed"},
            "filled": {"zh": "补齐", "en": "gap-filled"},
            "prior": {"zh": "先验", "en": "from the dates around"},
            "none": {"zh": "无", "en": "none"},
        },
    ),
    attribute("level_m", "number", "水位", "Water level", "m"),
    attribute("level_index", "number", "水位指数", "Level index", "1"),
)


def level_area_rows(series: Sequence[BodySeries], levels: Mapping[int, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """Level–area relation (水位—面积关系) of each body with a gauge, from its observed dates; one row a knot."""
    rows = []
    for one in series:
        level = levels.get(one.number)
        if level is None:
            continue
        observed = (one.frame["flag"] == "observed").to_numpy() & np.isfinite(level)
        if observed.sum() < 3 or float(np.ptp(level[observed])) < 0.1:
            continue
        curve = fit_level_area(
            level[observed], one.frame["area_m2"].to_numpy(float)[observed], datum=f"gauge zero of {one.name}"
        )
        start = float(curve.level_m[0])
        rows += [
            {
                "body": one.id,
                "name": one.name,
                "level_m": round(float(at), 2),
                "area_km2": round(float(area) / 1e6, 4),
                "storage_from_lowest_m3": round(storage_change(curve, start, float(at)), 0),
                "pairs": curve.pairs,
                "residual_km2": round(curve.residual_m2 / 1e6, 4),
            }
            for at, area in zip(curve.level_m, curve.area_m2, strict=True)
        ]
    return rows


def bodies_frame(bodies: WaterBodies) -> geopandas.GeoDataFrame:
    """Bodies as features, with the columns of `BODY_FIELDS`."""
    frame = bodies.frame.rename(columns={"id": "body"}).copy()
    frame["area_km2"] = (frame["area_m2"] / 1e6).round(6)
    for name in ("permanent_share", "mean_frequency", "mean_clear"):
        frame[name] = frame[name].astype(float).round(4)
    return frame[[*(f.name for f in BODY_FIELDS), "geometry"]].reset_index(drop=True)


def bodies_style() -> dict[str, Any]:
    """Colour by kind."""
    return {
        "type": "categories",
        "field": "kind",
        "classes": [
            {"value": kind, "title": title.model_dump(), "fill": _KIND_COLOURS[kind], "stroke": "#08306b", "width": 0.6}
            for kind, title in KINDS.items()
        ],
        "default": {"fill": "#9ecae1", "stroke": "#08306b", "width": 0.6},
        "label": {"field": "name", "min_zoom": 9},
    }


def series_frame(
    series: Sequence[BodySeries], bodies: WaterBodies, levels: Mapping[int, NDArray[np.float64]]
) -> geopandas.GeoDataFrame:
    """One row a body and date, at a point inside the body.

    Parameters
    ----------
    levels : mapping
        Row of the body → level by date, where a gauge is known.
    """
    import geopandas
    import pandas as pd
    import shapely

    parts = []
    for one in series:
        row = bodies.frame.iloc[one.number]
        table = one.frame
        known = levels.get(one.number)
        point = shapely.point_on_surface(row.geometry)
        index = (table["level_low"].astype(float) + table["level_high"].astype(float)) / 2
        parts.append(
            geopandas.GeoDataFrame(
                {
                    "body": one.id,
                    "name": one.name,
                    "kind": row["kind"],
                    "time": pd.to_datetime(table["time"], utc=True),
                    "area_km2": (table["area_m2"].astype(float) / 1e6).round(6),
                    "area_low_km2": (table["area_low_m2"].astype(float) / 1e6).round(6),
                    "area_high_km2": (table["area_high_m2"].astype(float) / 1e6).round(6),
                    "seen_share": table["seen_share"].astype(float).round(4),
                    "flag": table["flag"],
                    "level_m": np.full(len(table), np.nan) if known is None else known,
                    "level_index": index.round(4),
                },
                geometry=[point] * len(table),
                crs=4490,
            )
        )
    found = pd.concat(parts, ignore_index=True)
    return geopandas.GeoDataFrame(found, geometry="geometry", crs=4490)


def series_style() -> dict[str, Any]:
    """A dot a body."""
    return {
        "type": "single",
        "fill": "#0277bd",
        "stroke": "#ffffff",
        "width": 1.0,
        "radius": 5.0,
        "label": {"field": "name", "min_zoom": 8},
    }
