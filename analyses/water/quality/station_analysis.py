"""The analysis ``station-quality``: station series → checks → GB 3838 class, TLI(Σ), targets, trends, alerts, one chart table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from analyses.water.quality.outfalls import chainages, outfall_rows, source_rows, write_sources
from analyses.water.quality.rules import trophic_rules
from analyses.water.quality.series import joined_series
from analyses.water.quality.station_checks import CheckedSeries, check_series
from analyses.water.quality.station_output import write_sections, write_series
from analyses.water.quality.station_quality import Section, alert_rows, annual_rows, observation_rows, trend_rows
from analyses.water.quality.station_rules import surface_water_rules
from analyses.water.quality.surface_water_class import target_share
from analyses.water.series.rules import change_rules
from spatial.catalog import Text
from spatial.errors import CRSMismatch, InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import (
    ANY_GRID,
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
    import pandas

    from analyses.water.quality.station_rules import SurfaceWaterRules

__all__ = ["StationQuality", "StationQualityParameters"]

_TROPHIC_EXTRA = {"chl_a": "mg/m3", "sd": "m", "do_saturation": "%"}
"""Columns that enter no class but the trophic state, or the alternative of oxygen."""
_PLAUSIBLE_EXTRA = {"chl_a": (0.0, 2000.0), "sd": (0.0, 30.0), "do_saturation": (0.0, 300.0)}
_SATELLITE_UNITS = {"ndci": "1", "fai": "1", "bloom_percent": "%", "clear_percent": "%"}


class StationQualityParameters(Parameters):
    """Parameters (参数) of the assessment of station series."""

    stations: str = layer_field(
        "water-quality-sections",
        "断面序列图层",
        "Layer of section series",
        "每行一个断面一个时刻；字段名为指标（do、codmn、nh3n、tp …，见 layers/rules/surface_water_class.yml）。",
        "One row a section and time; columns are named by item (do, codmn, nh3n, tp … as in "
        "layers/rules/surface_water_class.yml).",
    )
    satellite: str | None = layer_field(
        None,
        "卫星序列图层",
        "Layer of satellite series",
        "水质遥感分析的湖泊序列；与断面按水体名称并到同一张表。",
        "Lake series of the analysis water-quality; joined with the sections by the name of the water body.",
    )
    outfalls: str | None = layer_field(
        "outfalls",
        "排污口图层",
        "Layer of outfalls",
        "可选：字段 name、water_body；列出断面上游（沿桩号）或同一湖泊的排污口。",
        "Optional: fields name, water_body; outfalls above a section (by chainage) or in the same lake are listed.",
    )
    sources: str | None = layer_field(
        "water-sources",
        "水源地图层",
        "Layer of drinking-water sources",
        "可选：字段 name、zone_km2、target_class；给出保护区与水质状况。",
        "Optional: fields name, zone_km2, target_class; state of the protection zone and of the water.",
    )
    reaches: str | None = layer_field(
        "river-reaches",
        "河段名录",
        "Register of reaches",
        "可选：字段 water、from_m、to_m，桩号向下游递增；没有则河流断面不判上游。",
        "Optional: water, from_m, to_m, chainage rising downstream; without it nothing is upstream of a river section.",
    )
    year: int | None = Field(
        None,
        ge=1980,
        le=2200,
        json_schema_extra=bilingual(
            "评价年度",
            "Year assessed",
            "不填则为有断面可评的最近一年。",
            "Default: the latest year with an assessable section.",
        ),
    )
    units: dict[str, str] = Field(
        {},
        json_schema_extra=bilingual(
            "单位",
            "Units",
            '与标准不同的单位，如 {"tp": "µg/L", "nh3n": "mg/L as NH4"}；未列出的为标准单位（mg/L 等）。',
            'Units that differ from the standard\'s, for example {"tp": "µg/L", "nh3n": "mg/L as NH4"}; others are as in '
            "the standard (mg/L …).",
        ),
    )
    time_zone: str | None = Field(
        None,
        json_schema_extra=bilingual(
            "时区",
            "Time zone",
            "时间没有时区时必填，如 Asia/Shanghai。",
            "Needed where times have none: Asia/Shanghai, say.",
        ),
    )
    station_field: str = Field(
        "station",
        json_schema_extra=bilingual("断面字段", "Field of the section", "断面名称。", "Name of the section."),
    )
    time_field: str = Field(
        "time", json_schema_extra=bilingual("时间字段", "Field of the time", "观测时间。", "Time of the observation.")
    )
    lake_field: str = Field(
        "lake",
        json_schema_extra=bilingual(
            "湖库字段",
            "Field: lake",
            "是否湖库（布尔值）；总磷限值依此不同。",
            "Lake or reservoir (boolean): limits of TP differ.",
        ),
    )
    target_field: str = Field(
        "target_class",
        json_schema_extra=bilingual(
            "目标字段",
            "Field of the target",
            "目标水质 1–5；没有该字段则不评达标。",
            "Target class 1–5; without it no target is judged.",
        ),
    )
    body_field: str = Field(
        "water_body",
        json_schema_extra=bilingual("水体字段", "Field of the water body", "所属水体名称。", "Name of the water body."),
    )


class StationQuality:
    """Assessment of section series (断面水质评价)."""

    id: ClassVar[str] = "station-quality"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="断面水质评价", en="Water quality of sections")
    description: ClassVar[Text] = Text(
        zh="检查测站序列（尖峰、平直线、超范围、重复、缺测、时区），按 GB 3838 单因子法评类别并指出最差指标，湖库给出 TLI(Σ)，"
        "统计断面达标率、趋势与经两次确认的预警；可与卫星序列并到一张表。水温、总氮、粪大肠菌群不参评。",
        en="Checks station series (spikes, flatlines, range, duplicates, gaps, time zones), gives the class of GB 3838 with its "
        "worst indicator, TLI(Σ) of lakes, the share of sections that reach their target, trends, and alerts confirmed by two "
        "observations; joins satellite series in one table. Water temperature, TN and faecal coliform enter no class.",
    )
    method: ClassVar[str] = (
        "GB 3838-2002 表 1；环办〔2011〕22 号；总站生字〔2001〕090 号；Hirsch et al. 1982；Hamed & Rao 1998；"
        "docs/methods/water-quality.md"
    )
    parameters: ClassVar[type[Parameters]] = StationQualityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec(
            "stations", "water-quality-sections", "vector", Text(zh="断面序列", en="Section series"), extent="whole"
        ),
    )
    base: ClassVar[str] = "stations"
    short_cells: ClassVar[int] = ANY_GRID
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {}

    @classmethod
    def inputs_of(cls, parameters: StationQualityParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        found = [replace(cls.inputs[0], layer=parameters.stations)]
        if parameters.satellite is not None:
            title = Text(zh="卫星序列", en="Satellite series")
            found.append(InputSpec("satellite", parameters.satellite, "vector", title, extent="whole"))
        for role, layer, title in (
            ("outfalls", parameters.outfalls, Text(zh="排污口", en="Outfalls")),
            ("sources", parameters.sources, Text(zh="水源地", en="Drinking-water sources")),
            ("reaches", parameters.reaches, Text(zh="河段", en="Reaches")),
        ):
            if layer is not None:
                found.append(InputSpec(role, layer, "vector", title, optional=True, extent="whole"))
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: StationQualityParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Check, classify and report every section.

        Returns
        -------
        AnalysisResult
            Features ``sections`` (one point a section, the year's class), ``series`` (stations: checked values and class of
            every observation), ``sources`` (protection of each drinking-water source); tables ``outfalls`` (those above each
            section), ``sources``, ``sections``, ``targets`` (by year), ``annual``, ``flags``, ``flag_counts``,
            ``trends``, ``alerts``, ``joined``.

        Raises
        ------
        InvalidParameter
            A field that is missing, an unknown unit, times without zone, a year without data.
        LayerEmpty
            No usable observation.
        """
        water, trophic = surface_water_rules(inputs.rules), trophic_rules(inputs.rules)
        change = change_rules(inputs.rules)
        frame = inputs.frames["stations"]
        layer = parameters.stations
        if frame.crs is None or frame.crs.to_epsg() != 4490:
            raise CRSMismatch(
                f"图层 {layer} 的坐标系应为 EPSG:4490", f"layer {layer} must be in EPSG:4490", layer=layer
            )
        if frame.empty:
            raise LayerEmpty(f"图层 {layer} 没有观测", f"layer {layer} has no observation", layer=layer)
        progress(0.0, "检查序列 checking the series")
        sections = _sections(frame, parameters)
        checked, items = self._checked(frame, parameters, water)
        progress(0.4, "评价 assessing")
        table = checked.frame.copy()
        table["station"] = table["station"].astype(str)
        table["water_body"] = table["station"].map(lambda name: sections[name].body)
        observations = observation_rows(table, sections, items, water, trophic)
        annual = annual_rows(table, sections, items, water, trophic)
        year = _year(annual, parameters.year)
        progress(0.7, "趋势与预警 trends and alerts")
        units = {name: water.indicators.by_id[name].unit for name in items}
        extra = {name: unit for name, unit in _TROPHIC_EXTRA.items() if name in table.columns}
        tables: dict[str, Any] = {
            "sections": [row for row in annual if row["year"] == year],
            "targets": _targets(annual),
            "annual": annual,
            "flag_counts": [{"reason": name, "count": n} for name, n in checked.counts().items()],
            "flags": list(checked.flags),
            "trends": trend_rows(table, units | extra, change),
            "alerts": alert_rows(observations, change),
        }
        joined = "satellite" in inputs.frames
        if joined:
            # What a satellite can be held against: the items of the trophic state.
            shared = {name: unit for name, unit in (units | extra).items() if name in trophic.tli.by_id}
            tables["joined"] = self._joined(inputs.frames["satellite"], table, shared)
        progress(0.9, "写出 writing")
        places = frame.drop_duplicates(parameters.station_field).set_index(frame[parameters.station_field].name)
        where = {str(name): point for name, point in places.geometry.items()}
        unknown = self._pressures(inputs, sections, where, tables, water)
        write_sections(outputs, tables["sections"], where, year, told=tables.get("outfalls"), unknown=unknown)
        write_sources(outputs, tables.get("sources", []))
        for row in tables.get("sources", []):
            del row["place"]
        write_series(outputs, table, observations, where, units | extra, water)
        progress(1.0, "完成 done")
        return AnalysisResult(self._factors(tables, items, water, checked, joined), tables, _notes(tables, year))

    def _checked(
        self, frame: geopandas.GeoDataFrame, parameters: StationQualityParameters, water: SurfaceWaterRules
    ) -> tuple[CheckedSeries, list[str]]:
        """Series after the checks, with the columns of the trophic state; and the items that it has."""
        items = [row.id for row in water.indicators.list if row.id in frame.columns]
        if not items:
            raise InvalidParameter(
                f"图层 {parameters.stations} 没有一个指标字段；可用的名称：{'、'.join(water.indicators.by_id)}",
                f"layer {parameters.stations} has no column named by an item; names: {', '.join(water.indicators.by_id)}",
                parameter="stations",
            )
        unknown = sorted(set(parameters.units) - set(items))
        if unknown:
            raise InvalidParameter(
                f"units 中的 {'、'.join(unknown)} 不是图层的指标字段（{'、'.join(items)}）",
                f"units names {', '.join(unknown)}, which are no items of the layer ({', '.join(items)})",
                parameter="units",
            )
        units = {name: parameters.units.get(name, water.indicators.by_id[name].unit) for name in items}
        checked = check_series(
            frame,
            units,
            water,
            station_field=parameters.station_field,
            time_field=parameters.time_field,
            time_zone=parameters.time_zone,
        )
        return _with_extra(checked, frame, parameters), items

    def _pressures(
        self,
        inputs: Inputs,
        sections: Mapping[str, Section],
        where: Mapping[str, Any],
        tables: dict[str, Any],
        water: SurfaceWaterRules,
    ) -> list[str]:
        """Outfalls above the sections and the state of the sources, as tables; sections whose upstream is not known."""
        outfalls, sources = inputs.frames.get("outfalls"), inputs.frames.get("sources")
        told = {name: (s.body, s.lake, where[name]) for name, s in sections.items()}
        unknown: list[str] = []
        if outfalls is not None:
            rivers = chainages(inputs.frames.get("reaches"))
            tables["outfalls"], unknown = outfall_rows(told, outfalls, rivers, water.influence)
        if sources is not None:
            classes = {row["station"]: row["class"] for row in tables["sections"]}
            tables["sources"] = source_rows(sources, told, classes, outfalls, water.influence)
        return unknown

    def _joined(
        self, satellite: geopandas.GeoDataFrame, table: pandas.DataFrame, units: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        name = next((c for c in ("lake", "body", "water_body", "name") if c in satellite.columns), None)
        columns = {c: u for c, u in _SATELLITE_UNITS.items() if c in satellite.columns}
        if name is None or "time" not in satellite.columns or not columns:
            raise InvalidParameter(
                f"卫星序列需要字段 lake（或 body）、time 与 {'、'.join(_SATELLITE_UNITS)} 之一，"
                f"有：{'、'.join(map(str, satellite.columns))}",
                f"satellite series need the fields lake (or body), time and one of {', '.join(_SATELLITE_UNITS)}; "
                f"they have {', '.join(map(str, satellite.columns))}",
                parameter="satellite",
            )
        if "flags" in satellite.columns:
            # What the run over the scenes flagged (too little seen, not ρw …) is no observation to hold a station against.
            satellite = satellite[satellite["flags"].fillna("").astype(str).eq("")]
        return joined_series(table, satellite.rename(columns={name: "body"}), units, columns)

    def _factors(
        self,
        tables: Mapping[str, Any],
        items: list[str],
        water: SurfaceWaterRules,
        checked: CheckedSeries,
        joined: bool,
    ) -> tuple[Factor, ...]:
        excluded = sum(bool(row["excluded"]) for row in checked.flags)
        found = []
        for row in water.indicators.list:
            note = Text(zh="序列中没有此项", en="not in the series")
            if row.id in items and row.assessed:
                note = Text(zh="已评价", en="assessed")
            elif row.id in items:
                note = Text(zh="并列给出，不计入类别", en="beside, no class")
            source = f"{water.indicators.source} [{water.indicators.tag}]"
            found.append(Factor(row.id, row.title, row.id in items and row.assessed, note, source))
        found.append(
            Factor(
                "checks",
                water.checks.title,
                True,
                Text(
                    zh=f"标记 {len(checked.flags)} 处，按规则剔除 {excluded} 处，见表 flags",
                    en=f"{len(checked.flags)} flags, {excluded} values or records left out by rule: table flags",
                ),
                f"{water.checks.source} [{water.checks.tag}]",
            )
        )
        for id, title in (
            ("outfalls", Text(zh="排污口", en="Outfalls")),
            ("sources", Text(zh="水源地", en="Drinking-water sources")),
        ):
            rows = len(tables.get(id, []))
            note = Text(zh=f"{rows} 行，见表 {id}", en=f"{rows} rows, table {id}")
            if id not in tables:
                note = Text(zh="没有图层", en="no layer")
            rule = water.influence
            found.append(Factor(id, title, id in tables, note, f"{rule.source} [{rule.tag}]"))
        count = len(tables.get("joined", []))
        found.append(
            Factor(
                "satellite",
                Text(zh="卫星序列", en="Satellite series"),
                joined and count > 0,
                Text(
                    zh=f"{count} 个值与断面同表" if joined else "未给出图层",
                    en=f"{count} values joined" if joined else "no layer",
                ),
                "docs/methods/water-quality.md",
            )
        )
        return tuple(found)


def _sections(frame: geopandas.GeoDataFrame, parameters: StationQualityParameters) -> dict[str, Section]:
    """Each section with its kind of water and target; contradictions within a section are refused."""
    p = parameters
    lacking = [f for f in (p.station_field, p.time_field, p.lake_field) if f not in frame.columns]
    if lacking:
        raise InvalidParameter(
            f"图层 {p.stations} 缺少字段 {'、'.join(lacking)}；河流与湖库的总磷限值不同，必须说明",
            f"layer {p.stations} lacks the fields {', '.join(lacking)}; it must say which sections are of lakes: the limits of "
            "phosphorus differ",
            parameter="lake_field" if p.lake_field in lacking else "station_field",
            missing=lacking,
        )
    has_target, has_body = p.target_field in frame.columns, p.body_field in frame.columns
    found: dict[str, Section] = {}
    for name, part in frame.groupby(p.station_field, sort=True):
        lake, target = part[p.lake_field].dropna().unique(), None
        if has_target:
            targets = part[p.target_field].dropna().unique()
            if len(targets) > 1:
                raise QualityViolation(
                    f"断面 {name} 的目标水质不一致：{sorted(map(int, targets))}",
                    f"section {name} has several targets: {sorted(map(int, targets))}",
                    section=str(name),
                )
            target = int(targets[0]) if len(targets) else None
            if target is not None and not 1 <= target <= 5:
                raise QualityViolation(
                    f"断面 {name} 的目标水质 {target} 不是 1–5", f"target {target} of section {name} is no class 1–5"
                )
        if len(lake) != 1:
            raise QualityViolation(
                f"断面 {name} 的湖库标记缺失或不一致",
                f"section {name}: lake or river is missing or contradictory",
                section=str(name),
            )
        body = part[p.body_field].dropna().unique() if has_body else []
        found[str(name)] = Section(str(name), str(body[0]) if len(body) else None, bool(lake[0]), target)
    return found


def _with_extra(
    checked: CheckedSeries, frame: geopandas.GeoDataFrame, parameters: StationQualityParameters
) -> CheckedSeries:
    """Chlorophyll, Secchi depth and oxygen saturation beside the checked items; implausible values are left out, flagged."""
    import pandas

    extra = [name for name in _TROPHIC_EXTRA if name in frame.columns]
    if not extra:
        return checked
    side = pandas.DataFrame(
        {
            "station": frame[parameters.station_field],
            "time": _utc(frame[parameters.time_field], parameters.time_zone),
            **{name: pandas.to_numeric(frame[name], errors="coerce").astype(float) for name in extra},
        }
    )
    flags = list(checked.flags)
    for name in extra:
        low, high = _PLAUSIBLE_EXTRA[name]
        outside = side[name].notna() & ~side[name].between(low, high, inclusive="right")
        for row in side.loc[outside, ["station", "time", name]].to_dict("records"):
            flags.append(
                {
                    "station": str(row["station"]),
                    "time": row["time"].isoformat(),
                    "indicator": name,
                    "value": float(row[name]),
                    "reason": "out_of_range",
                    "excluded": True,
                    "zh": "超出合理范围（单位？）",
                    "en": "outside the plausible range (unit?)",
                }
            )
        side.loc[outside, name] = float("nan")
    side = side.groupby(["station", "time"], as_index=False)[extra].first()
    return CheckedSeries(checked.frame.merge(side, on=["station", "time"], how="left"), tuple(flags))


def _utc(column: Any, zone: str | None) -> Any:
    import pandas

    times = pandas.to_datetime(column, errors="coerce")
    if times.dt.tz is None:
        times = times.dt.tz_localize(zone)
    return times.dt.tz_convert("UTC").astype("datetime64[ns, UTC]")


def _year(annual: list[dict[str, Any]], wanted: int | None) -> int:
    years: list[int] = sorted({row["year"] for row in annual})
    if wanted is None:
        assessed: list[int] = [row["year"] for row in annual if row["class"] is not None]
        return max(assessed, default=years[-1])
    if wanted not in years:
        raise InvalidParameter(
            f"没有 {wanted} 年的观测，有：{years[0]}–{years[-1]}",
            f"no observation of {wanted}; there are {years[0]} to {years[-1]}",
            parameter="year",
            value=wanted,
            allowed=years,
        )
    return wanted


def _targets(annual: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Share of sections that reach their target, by year."""
    return [
        {"year": year, **target_share([row for row in annual if row["year"] == year])}
        for year in sorted({row["year"] for row in annual})
    ]


def _notes(tables: Mapping[str, Any], year: int) -> tuple[Text, ...]:
    share = next((row for row in tables["targets"] if row["year"] == year), None)
    notes = [
        Text(
            zh="水温、总氮、粪大肠菌群不参加类别评价；湖库总氮单独列出。年度类别按各次算术平均值。",
            en="water temperature, total nitrogen and faecal coliform enter no class; total nitrogen of lakes stands beside it. "
            "The class of a year is that of the means.",
        )
    ]
    if share is not None and share["reached_percent"] is not None:
        notes.insert(
            0,
            Text(
                zh=f"{year} 年断面达标率 {share['reached_percent']:g} %（{share['reached']}/{share['with_target']}），"
                f"Ⅰ–Ⅲ 类 {share['good_percent']:g} %",
                en=f"{year}: {share['reached_percent']:g} % of sections reach their target ({share['reached']} of "
                f"{share['with_target']}), {share['good_percent']:g} % are of class I–III",
            ),
        )
    return tuple(notes)
