"""Features of the analysis ``station-quality``: a point a section, and the checked series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analyses.water.quality.surface_water_class import CLASSES, COLOURS
from spatial.catalog import Attribute, Text

if TYPE_CHECKING:
    import geopandas
    import pandas

    from analyses.water.quality.station_rules import SurfaceWaterRules
    from spatial.jobs.contract import Outputs

__all__ = ["write_sections", "write_series"]

_EXTRA_TITLES = {
    "chl_a": ("叶绿素 a", "Chlorophyll a"),
    "sd": ("透明度", "Secchi depth"),
    "do_saturation": ("溶解氧饱和度", "Oxygen saturation"),
}
_DOMAIN = {str(code): title for code, title in CLASSES.items()}


def _at(frame: pandas.DataFrame, where: Mapping[str, Any]) -> geopandas.GeoDataFrame:
    import geopandas

    return geopandas.GeoDataFrame(
        frame.assign(
            place=geopandas.GeoSeries([where[name] for name in frame["station"]], index=frame.index, crs=4490)
        ),
        geometry="place",
    )


def _style(field: str) -> dict[str, Any]:
    return {
        "type": "categories",
        "field": field,
        "classes": [
            {
                "value": str(c),
                "title": t.model_dump(),
                "fill": COLOURS[c],
                "stroke": "#37474f",
                "width": 1.0,
                "radius": 6.0,
            }
            for c, t in CLASSES.items()
        ],
        "default": {"fill": "#bdbdbd", "stroke": "#37474f", "width": 1.0, "radius": 6.0},
        "label": {"field": "station", "min_zoom": 8},
    }


def _text(name: str, zh: str, en: str, **more: Any) -> Attribute:
    return Attribute(name=name, type=more.pop("type", "string"), title=Text(zh=zh, en=en), **more)


def write_sections(
    outputs: Outputs,
    rows: list[dict[str, Any]],
    where: Mapping[str, Any],
    year: int,
    *,
    told: Sequence[Mapping[str, Any]] | None = None,
    unknown: Sequence[str] = (),
) -> None:
    """One point a section with the class of the year, and how many outfalls act on it (None: not known)."""
    import pandas

    def count(station: str, wanted: Callable[[Mapping[str, Any]], bool]) -> int | None:
        if told is None or station in unknown:
            return None
        return sum(1 for row in told if row["station"] == station and wanted(row))

    frame = pandas.DataFrame(
        [
            {
                "station": row["station"],
                "water_body": row["body"],
                "year": row["year"],
                "class": None if row["class"] is None else str(row["class"]),
                "worst": row["worst"],
                "target": row["target"],
                "reached": row["reached"],
                "tli": row["tli"],
                "trophic": row["trophic_zh"],
                "months": row["months"],
                "outfalls": count(row["station"], lambda found: True),
                "outfalls_open": count(row["station"], lambda found: found["status"] != "done"),
            }
            for row in rows
        ]
    ).astype({"target": "Int64", "reached": "boolean", "tli": "Float64", "months": "Int64", "year": "Int64"})
    frame = frame.astype({"outfalls": "Int64", "outfalls_open": "Int64"})
    outputs.features(
        "sections",
        _at(frame, where),
        fields=(
            _text("station", "断面", "Section", nullable=False),
            _text("water_body", "水体", "Water body"),
            _text("year", "年度", "Year", type="integer"),
            _text("class", "水质类别", "Class", domain=_DOMAIN),
            _text("worst", "最差指标", "Worst indicator"),
            _text("target", "目标水质", "Target class", type="integer"),
            _text("reached", "达标", "Target reached", type="boolean"),
            _text("tli", "综合营养状态指数", "TLI(Σ)", type="number", unit="1"),
            _text("trophic", "营养状态", "Trophic state"),
            _text("months", "监测月数", "Months", type="integer"),
            _text("outfalls", "上游排污口", "Outfalls upstream", type="integer"),
            _text("outfalls_open", "其中未完成整治", "Of them not rectified", type="integer"),
        ),
        title=Text(zh=f"断面水质类别 {year}", en=f"Class of sections {year}"),
        style=_style("class"),
        class_field="class",
    )


def write_series(
    outputs: Outputs,
    table: pandas.DataFrame,
    observations: list[dict[str, Any]],
    where: Mapping[str, Any],
    units: Mapping[str, str],
    water: SurfaceWaterRules,
) -> None:
    """Checked values and class of every observation, one feature each: kind ``stations``."""
    frame = table[["station", "water_body", "time", *units]].copy()
    frame["water_class"] = [row["class"] for row in observations]
    frame["worst"] = [row["worst"] for row in observations]
    frame["tli"] = [row["tli"] for row in observations]
    frame = frame.astype({"water_class": "Float64", "tli": "Float64"})
    titles = {row.id: (row.title.zh, row.title.en) for row in water.indicators.list} | _EXTRA_TITLES
    fields = [
        _text("station", "断面", "Section", nullable=False),
        _text("water_body", "水体", "Water body"),
        _text("time", "时间", "Time", type="datetime", nullable=False),
        *(_text(name, *titles[name], type="number", unit=unit) for name, unit in units.items()),
        _text("water_class", "水质类别（1–5，6 为劣Ⅴ）", "Class (1–5, 6 = worse than V)", type="number", unit="1"),
        _text("worst", "最差指标", "Worst indicator"),
        _text("tli", "综合营养状态指数", "TLI(Σ)", type="number", unit="1"),
    ]
    outputs.features(
        "series",
        _at(frame, where),
        fields=tuple(fields),
        title=Text(zh="断面水质序列（检查后）", en="Series of sections (checked)"),
        style={"type": "single", "fill": "#00695c", "stroke": "#ffffff", "width": 1.0, "radius": 5.0},
        kind="stations",
        time_field="time",
        station_field="station",
    )
