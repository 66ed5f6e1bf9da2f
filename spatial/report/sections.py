"""Sections of the report of a run: method, inputs, class maps, conflicts, capacity, examples, factors, parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.jobs.contract import Explanation
from spatial.jobs.reporting import ReportMaterial, ReportRaster
from spatial.report.charts import bar_chart, stacked_chart
from spatial.report.document import Block, Cell, Column, Figure, Mark, Paragraph, Section, Table, number
from spatial.report.examples import Example, examples_of
from spatial.report.maps import Borders, Legend, class_legend, class_map, panel_map, unit_map
from spatial.report.tables import (
    area_columns,
    area_table,
    capacity_tables,
    checked,
    conflict_table,
    reason_table,
    scenario_table,
    warning_table,
)

if TYPE_CHECKING:
    from analyses.chain import Chain, Station

__all__ = [
    "capacity_section",
    "class_section",
    "conflict_section",
    "example_section",
    "factor_section",
    "input_section",
    "parameter_section",
    "provenance_section",
    "stations_section",
]

_FEW_UNITS = 20
_GREY = "#bdbdbd"


def _t(zh: str, en: str) -> Text:
    return Text(zh=zh, en=en)


# -- class maps ------------------------------------------------------------------------------------------------------------


def class_rows(material: ReportMaterial, name: str, kind: str) -> list[Mapping[str, Any]]:
    """Rows of a table of a class raster, whatever the analysis calls it."""
    tables = material.result.tables
    old = {"by_unit": "by_county"}
    if name == "class" and old.get(kind, kind) in tables:
        return list(tables[old.get(kind, kind)])
    return list(tables.get(f"{name}_{kind}", ()))


def class_section(
    material: ReportMaterial,
    raster: ReportRaster,
    borders: Borders | None,
    *,
    synthetic: bool,
    step: Callable[[], None],
) -> Section:
    """Map, areas, limiting factors and their map of one class raster."""
    main = str(raster.style.get("band", raster.bands[0].name))
    legend = class_legend(raster, main)
    name, title = raster.name, raster.title
    blocks: list[Block] = [
        Figure(_t(f"{title.zh}图", f"Map: {title.en}"), class_map(raster, main, borders=borders, synthetic=synthetic))
    ]
    step()
    totals, units = class_rows(material, name, "totals"), class_rows(material, name, "by_unit")
    if totals:
        blocks.append(_totals(totals, legend, title))
    if units and area_columns(units[0]):
        if 1 < len(units) <= _FEW_UNITS:
            blocks.append(_shares(units, legend, title))
        blocks.append(area_table(units, legend.titles, _t(f"{title.zh}分单元面积", f"{title.en}: areas by unit")))
    blocks += _reasons(material, raster, borders, synthetic)
    step()
    if raster.band("class_2020"):
        blocks += _second_profile(material, raster, legend, borders, synthetic)
        step()
    return Section(title, tuple(blocks), new_page=True)


def _totals(rows: Sequence[Mapping[str, Any]], legend: Legend, title: Text) -> Table:
    """One row a class: from rows by class, or from one row with a column by class."""
    body: list[tuple[Cell, ...]] = []
    if "class" in rows[0]:
        colors = dict(zip(legend.values, legend.colors, strict=True))
        for row in rows:
            text = _t(row["title_zh"], row["title_en"])
            body.append(
                (
                    Mark(text, colors.get(int(row["class"]), _GREY)),
                    number(row.get("km2"), 2),
                    number(row.get("hm2"), 1),
                    number(row.get("mu"), 0),
                    number(row.get("percent"), 2),
                )
            )
    else:
        row = rows[0]
        for k, name in enumerate(area_columns(row)):
            body.append(
                (
                    Mark(legend.titles[k], legend.colors[k]) if k < len(legend.titles) else name,
                    number(row.get(f"{name}_km2"), 2),
                    number(row.get(f"{name}_hm2"), 1),
                    number(row.get(f"{name}_mu"), 0),
                    number(row.get(f"{name}_percent"), 2),
                )
            )
        for name, text in (
            ("masked", _t("生态保护极重要区（不参评）", "Extremely important for ecology (not graded)")),
            ("not_assessed", _t("未评价", "Not assessed")),
        ):
            if row.get(f"{name}_km2"):
                body.append(
                    (text, *(number(row.get(f"{name}_{u}"), d) for u, d in (("km2", 2), ("hm2", 1), ("mu", 0))), None)
                )
    columns = (
        Column(_t("等级", "Class"), width=2.2),
        Column(_t("面积（km²）", "Area (km²)"), "right"),
        Column(_t("公顷（hm²）", "Hectares (hm²)"), "right"),
        Column(_t("亩", "mu"), "right"),
        Column(_t("占比 %", "Share %"), "right", 0.7),
    )
    return Table(_t(f"{title.zh}面积汇总", f"{title.en}: areas in all"), columns, body)


def _shares(units: Sequence[Mapping[str, Any]], legend: Legend, title: Text) -> Figure:
    names = area_columns(units[0])
    parts = [
        (legend.titles[k], [float(row.get(f"{name}_percent") or 0) for row in units], legend.colors[k])
        for k, name in enumerate(names[: len(legend.titles)])
    ]
    picture = stacked_chart(
        [str(row.get("name")) for row in units], parts, axis=_t("占已评价面积 %", "% of the assessed area")
    )
    return Figure(_t(f"{title.zh}分单元占比", f"{title.en}: shares by unit"), picture)


def _reasons(material: ReportMaterial, raster: ReportRaster, borders: Borders | None, synthetic: bool) -> list[Block]:
    rows = class_rows(material, raster.name, "by_reason")
    title, blocks = raster.title, list[Block]()
    if raster.band("reason"):
        picture = class_map(raster, "reason", borders=borders, synthetic=synthetic)
        caption = _t(f"{title.zh}限制因素图", f"Map of the limiting factor: {title.en}")
        note = _t(
            "限制因素为使等级降低最多的一站，同降者取先。",
            "The limiting factor is the station that lowered the grade most.",
        )
        blocks.append(Figure(caption, picture, note=note))
    limiting = [row for row in rows if row["reason"] != 1 and (row.get("percent") or 0) > 0]
    if limiting:
        legend = class_legend(raster, "reason") if raster.band("reason") else Legend((), (), ())
        colors = dict(zip(legend.values, legend.colors, strict=True))
        bars = [
            (_t(r["title_zh"], r["title_en"]), float(r["percent"]), colors.get(int(r["reason"]), _GREY))
            for r in sorted(limiting, key=lambda r: -float(r["percent"]))
        ]
        picture = bar_chart(bars, axis=_t("占已评价面积 %", "% of the assessed area"))
        blocks.append(Figure(_t(f"{title.zh}限制因素占比", f"{title.en}: shares of limiting factors"), picture))
    if rows:
        blocks.append(reason_table(rows, _t(f"{title.zh}限制因素面积", f"{title.en}: areas by limiting factor")))
    return blocks


def _second_profile(
    material: ReportMaterial, raster: ReportRaster, legend: Legend, borders: Borders | None, synthetic: bool
) -> list[Block]:
    title = _t(f"{raster.title.zh}（2020 规则）", f"{raster.title.en} (2020 rules)")
    note = _t(
        "2020 规则：生态保护极重要区不参评，一票否决者为不适宜，其余按判别链分级。",
        "2020 rules: land extremely important for ecology is not graded, knock-outs are unsuitable, the rest follows the chain.",
    )
    blocks: list[Block] = [
        Figure(
            _t(f"{title.zh}图", f"Map: {title.en}"),
            class_map(raster, "class_2020", borders=borders, synthetic=synthetic),
            note=note,
        )
    ]
    totals = class_rows(material, f"{raster.name}_2020", "totals")
    if totals:
        blocks.append(_totals(totals, legend, title))
    return blocks


# -- conflicts and capacity ------------------------------------------------------------------------------------------------


def conflict_section(
    material: ReportMaterial, raster: ReportRaster, borders: Borders | None, *, synthetic: bool
) -> Section:
    """Maps (a)–(f) on one page, and their areas by unit."""
    panels = [(raster, band.name, band.title) for band in raster.bands]
    caption = _t(f"{raster.title.zh}图 (a)–(f)", f"Maps of {raster.title.en.lower()} (a)–(f)")
    blocks: list[Block] = [Figure(caption, panel_map(panels, borders=borders, synthetic=synthetic))]
    rows = list(material.result.tables.get("conflicts_by_unit", ()))
    if rows:
        blocks.append(conflict_table(rows, _t("潜力与冲突分单元面积", "Potential and conflicts: areas by unit")))
    return Section(raster.title, tuple(blocks), new_page=True)


def capacity_section(material: ReportMaterial, *, synthetic: bool) -> Section | None:
    """Carrying capacity: map of warning levels, tables of each level, indicators, scenarios; None without capacity."""
    tables = material.result.tables
    levels = [level for level in ("province", "prefecture", "county") if tables.get(f"capacity_{level}")]
    if not levels:
        return None
    warnings = list(tables.get("capacity_warning", ()))
    colors = {str(w["colour"]): str(w["colour_hex"]) for w in warnings if w.get("colour")}
    blocks: list[Block] = []
    if material.counties is not None and "county" in levels and "code" in material.counties.columns:
        blocks.append(_warning_map(material, list(tables["capacity_county"]), colors, synthetic))
    scenarios = list(tables.get("capacity_scenarios", ()))
    if scenarios:
        blocks.append(scenario_table(scenarios, _t("各情景承载规模与预警单元数", "Capacity and warnings by scenario")))
    finest = _finest(tables, levels)
    parts = []
    for level, zh, en in (
        ("province", "全省", "Province"),
        ("prefecture", "市州", "Prefectures"),
        ("county", "县级", "Counties"),
    ):
        if level not in levels:
            continue
        found: list[Block] = list(capacity_tables(list(tables[f"capacity_{level}"]), colors))
        own = [w for w in warnings if w["level"] == level]
        if own and level == finest:
            found.append(warning_table(own, _t(f"{zh}预警指标", f"Warning indicators: {en.lower()}")))
        parts.append(Section(_t(f"{zh}承载规模", f"{en}: carrying capacity"), tuple(found)))
    return Section(_t("资源环境承载规模", "Carrying capacity"), tuple(blocks), tuple(parts), new_page=True)


_LEVELS = (("province", "全省", "Province"), ("prefecture", "市州", "Prefectures"), ("county", "县级", "Counties"))


def _finest(tables: Mapping[str, Any], levels: Sequence[str]) -> str:
    return max(levels, key=lambda level: len(tables[f"capacity_{level}"]))


def _warning_map(
    material: ReportMaterial, rows: Sequence[Mapping[str, Any]], colors: Mapping[str, str], synthetic: bool
) -> Figure:
    shown = {str(row["code"]): colors.get(str(row.get("colour")), "#ffffff") for row in rows}
    titles = {
        str(row["colour"]): _t(
            f"{row['colour_zh']} {row['warning_zh']}", f"{row['colour_en']}: {row['warning_en']}".lower()
        )
        for row in rows
        if row.get("colour")
    }
    order = [name for name in ("red", "orange", "yellow", "blue", "green") if name in titles]
    legend = Legend(
        tuple(range(len(order))), tuple(colors.get(n, "#ffffff") for n in order), tuple(titles[n] for n in order)
    )
    picture = unit_map(material.counties, shown, legend, synthetic=synthetic)
    return Figure(
        _t("资源环境承载预警图", "Warning levels of carrying capacity"),
        picture,
        note=_t(
            "红、橙为超载（加剧、趋缓），黄、蓝为临界超载（加剧、趋缓），绿为不超载；分级阈值未对照原文。",
            "Red, orange: overloaded (accelerating, slowing); yellow, blue: critical (accelerating, slowing); green: not "
            "overloaded. Thresholds unverified.",
        ),
    )


# -- examples --------------------------------------------------------------------------------------------------------------


def example_section(material: ReportMaterial) -> Section | None:
    """The chain of sample cells, value by value; None if nothing was explained."""
    parts = []
    for name, explanation in material.explanations.items():
        raster = material.rasters.get(name)
        if raster is None:
            continue
        legend = class_legend(raster, str(raster.style.get("band", "class")))
        tables = tuple(_trace_table(example, legend) for example in examples_of(material, name, explanation))
        if tables:
            parts.append(Section(raster.title, tables))
    if not parts:
        return None
    about = Paragraph(
        _t(
            "下列像元的等级由结果栅格中的因子值重新计算，与图上的等级一致。任何像元或地块都可在门户或接口 /api/v1/explain 查询。",
            "The grades of these cells are computed again from the factor values of the result and equal the map. Any cell or "
            "parcel can be asked for in the portal or at /api/v1/explain.",
        )
    )
    return Section(_t("解释示例", "Worked examples"), (about,), tuple(parts), new_page=True)


def _trace_table(example: Example, legend: Legend) -> Table:
    title = dict(zip(legend.values, legend.titles, strict=True)).get(example.stored_class)
    color = dict(zip(legend.values, legend.colors, strict=True)).get(example.stored_class, _GREY)
    place = f"{example.place}，" if example.place else ""
    said = title or _t(str(example.stored_class), str(example.stored_class))
    rows: list[tuple[Cell, ...]] = []
    for at in example.trace["steps"]:
        value = at["value"]
        unit = "" if at["unit"] in (None, "1") else f" {at['unit']}"
        changed = at["grade_before"] != at["grade_after"] and at["grade_before"] is not None
        after = "—" if at["grade_after"] is None else str(at["grade_after"])
        if at["ends"]:
            after += " ■"
        rows.append(
            (
                _t(at["title"]["zh"], at["title"]["en"]),
                "无值 no value" if value is None else f"{value:,.6g}{unit}",
                at["interval"],
                None if at["grade_before"] is None else str(at["grade_before"]),
                Mark(after, "#e67e22") if changed else after,
                at["source"],
                checked(str(at["tag"])),
            )
        )
    reason = example.trace.get("reason_title") or {"zh": "无", "en": "none"}
    rows.append((_t("结论", "Result"), Mark(said, color), None, None, None, f"{reason['zh']} {reason['en']}", None))
    columns = (
        Column(_t("判别站", "Station"), width=1.5),
        Column(_t("因子值", "Value"), width=1.1),
        Column(_t("区间", "Interval"), width=1.2),
        Column(_t("前等级", "Before"), "center", 0.6),
        Column(_t("后等级", "After"), "center", 0.6),
        Column(_t("依据（结论行为限制因素）", "Source (last row: limiting factor)"), width=2.6),
        Column(_t("核对", "Checked"), width=1.6),
    )
    caption = _t(
        f"{said.zh}像元：{place}{example.lon:.4f}°E，{example.lat:.4f}°N",
        f"{said.en} cell at {example.lon:.4f}°E, {example.lat:.4f}°N",
    )
    return Table(caption, columns, rows, small=True)


# -- what decided the result -----------------------------------------------------------------------------------------------


def factor_section(material: ReportMaterial) -> Section:
    """Every factor: assessed or not, why, and its source."""
    rows: list[tuple[Cell, ...]] = []
    for factor in material.result.factors:
        yes = bool(factor["assessed"])
        state = Mark(_t("已评价", "assessed"), "#1a9850") if yes else Mark(_t("未评价", "not assessed"), "#d73027")
        source, _, tag = str(factor["source"]).rpartition(" [")
        rows.append(
            (
                _t(factor["title"]["zh"], factor["title"]["en"]),
                state,
                _t(factor["note"]["zh"], factor["note"]["en"]),
                source or str(factor["source"]),
                checked(tag.rstrip("]")) if source else None,
            )
        )
    columns = (
        Column(_t("单项指标", "Factor"), width=1.5),
        Column(_t("状态", "State"), width=0.9),
        Column(_t("说明", "Note"), width=2.0),
        Column(_t("出处", "Source"), width=2.4),
        Column(_t("核对", "Checked"), width=1.5),
    )
    missing = sum(not f["assessed"] for f in material.result.factors)
    said = Paragraph(
        _t(
            f"共 {len(rows)} 项，已评价 {len(rows) - missing} 项，未评价 {missing} 项。缺少输入的因子列为未评价，不取默认等级。",
            f"{len(rows)} factors: {len(rows) - missing} assessed, {missing} not. A factor without its input is not assessed; no "
            "default grade is ever taken.",
        )
    )
    table = Table(_t("单项指标清单", "Factors"), columns, rows, small=True)
    return Section(
        _t("单项指标与评价状态", "Factors assessed and not assessed"), (said, table), new_page=True, keeps_tables=True
    )


def parameter_section(material: ReportMaterial) -> Section:
    """Values given to the run, and thresholds with source and tag."""
    given = material.result.provenance.get("parameters", {})
    rows: list[tuple[Cell, ...]] = []
    for name, value in given.items():
        title, about = material.parameter_titles.get(name, (_t(name, name), _t("—", "—")))
        rows.append((title, name, _value(value), about))
    blocks: list[Block] = [
        Table(
            _t("运行参数", "Parameters of the run"),
            (
                Column(_t("参数", "Parameter"), width=1.5),
                Column(_t("名称", "Name"), width=1.2),
                Column(_t("取值", "Value"), width=1.0),
                Column(_t("说明", "Description"), width=3.0),
            ),
            rows,
            small=len(rows) > 8,
        )
    ]
    for key, caption in (
        ("parameters", _t("取值与出处", "Values and their sources")),
        ("capacity_parameters", _t("承载规模取值与出处", "Values of carrying capacity and their sources")),
    ):
        found = list(material.result.tables.get(key, ()))
        if found:
            blocks.append(_sourced(found, caption))
    return Section(
        _t("参数、阈值与出处", "Parameters, thresholds and sources"), tuple(blocks), new_page=True, keeps_tables=True
    )


def _sourced(found: Sequence[Mapping[str, Any]], caption: Text) -> Table:
    columns = (
        Column(_t("名称", "Name"), width=1.6),
        Column(_t("取值", "Value"), width=1.1),
        Column(_t("单位", "Unit"), width=0.6),
        Column(_t("出处", "Source"), width=3.0),
        Column(_t("核对", "Checked"), width=1.5),
        Column(_t("起用", "From"), width=0.8),
    )
    rows = [
        (
            str(row["name"]),
            _value(row["value"]),
            None if row.get("unit") in (None, "1") else str(row["unit"]),
            str(row["source"]),
            checked(str(row["tag"])),
            str(row["valid_from"]),
        )
        for row in found
    ]
    note = _t(
        "橙色标记者未对照正式印发原文，正式使用前须核对。",
        "What has an orange mark was not checked against the official text.",
    )
    return Table(caption, columns, rows, note, small=True)


def _value(value: Any) -> str | None:
    if isinstance(value, bool):
        return "是 yes" if value else "否 no"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_value(v)) for v in value)
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def stations_section(material: ReportMaterial) -> Section | None:
    """The chains: each station with its intervals, what they do, source and tag."""
    from analyses.chain import Chain

    tables: list[Block] = []
    for name, explanation in material.explanations.items():
        raster = material.rasters.get(name)
        title = raster.title if raster is not None else _t(name, name)
        for chain, zh, en in _chains(explanation, Chain):
            tables.append(_station_table(chain, _t(f"{title.zh}{zh}", f"{title.en}: {en}")))
    if not tables:
        return None
    note = Paragraph(
        _t(
            "等级 1 最好、5 最差；生态重要性相反，5 为极重要。“后等级”按前等级 1–5 依次列出；第一站只有一个。",
            "Grade 1 is the best, 5 the worst; for ecology 5 is extremely important. «After» lists the grade for grades 1–5 "
            "before; the first station has one only.",
        ),
        "note",
    )
    return Section(_t("判别链与阈值", "Chains and thresholds"), (note, *tables), keeps_tables=True)


def _chains(explanation: Explanation, model: type[Chain]) -> list[tuple[Chain, str, str]]:
    found = [(model.model_validate(explanation.chain), "判别链", "chain")]
    if explanation.knock_outs is not None:
        found.append((model.model_validate(explanation.knock_outs), "一票否决（2020 规则）", "knock-outs (2020 rules)"))
    return found


_KINDS = {
    "start": _t("起始等级", "first grade"),
    "steps": _t("修正", "correction"),
    "matrix": _t("判别矩阵", "matrix"),
    "correction": _t("修正", "correction"),
    "stop": _t("掩膜", "mask"),
    "knock-out": _t("一票否决", "knock-out"),
    "higher": _t("取高", "higher of"),
}


def _station_table(chain: Chain, caption: Text) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for k, station in enumerate(chain.stations, start=1):
        steps = _steps(station)
        rows.append(
            (
                str(k),
                station.title,
                _KINDS.get(station.kind, _t(station.kind, station.kind)),
                "\n".join(interval for interval, _ in steps),
                "\n".join(after for _, after in steps),
                station.source,
                checked(station.tag),
            )
        )
    columns = (
        Column(_t("站", "No."), "center", 0.4),
        Column(_t("判别站", "Station"), width=1.5),
        Column(_t("方式", "Kind"), width=0.9),
        Column(_t("区间（v 为因子值）", "Interval (v = value)"), width=2.1),
        Column(_t("后等级", "After"), "center", 1.0),
        Column(_t("出处", "Source"), width=2.4),
        Column(_t("核对", "Checked"), width=1.5),
    )
    return Table(caption, columns, rows, small=True)


def _steps(station: Station) -> list[tuple[str, str]]:
    unit = "" if station.unit in (None, "1") else f" {station.unit}"
    found = []
    for n, level in enumerate(station.levels):
        after = [station.table[g][level - 1] for g in range(1, 6)]
        said = str(station.table[0][level - 1]) if station.kind == "start" else " ".join(map(str, after))
        if level in station.stops:
            said += " ■"
        found.append((station.interval_text(n) + (unit if station.edges else ""), said))
    return found


# -- inputs and provenance -------------------------------------------------------------------------------------------------


def input_section(material: ReportMaterial) -> Section:
    """Inputs with version, licence, origin and the synthetic mark; missing inputs."""
    record = material.result.provenance
    rows: list[tuple[Cell, ...]] = [
        (
            _t(one["title"]["zh"], one["title"]["en"]),
            str(one["layer"]),
            str(one["version"]),
            Mark(_t("合成", "synthetic"), "#b22222") if one["synthetic"] else _t("实测或公开", "observed or public"),
            _t(one["attribution"]["zh"], one["attribution"]["en"]),
            str(one["licence"]),
            str(one["sha256"])[:12],
        )
        for one in record.get("inputs", ())
    ]
    for one in record.get("missing_inputs", ()):
        title = _t(one["title"]["zh"], one["title"]["en"])
        rows.append((title, str(one["layer"]), None, Mark(_t("缺少", "missing"), "#d73027"), None, None, None))
    columns = (
        Column(_t("输入", "Input"), width=1.6),
        Column(_t("图层", "Layer"), width=1.4),
        Column(_t("版本", "Version"), width=0.8),
        Column(_t("性质", "Nature"), width=1.0),
        Column(_t("来源", "Attribution"), width=2.0),
        Column(_t("许可", "Licence"), width=1.4),
        Column(_t("校验和", "SHA-256"), width=1.1),
    )
    return Section(
        _t("输入数据", "Input data"),
        (Table(_t("输入图层及版本", "Input layers and versions"), columns, rows, small=True),),
        keeps_tables=True,
    )


def provenance_section(material: ReportMaterial) -> Section:
    """What a reader needs to make the same result again."""
    record = material.result.provenance
    grid = record.get("grid", {})
    transform = grid.get("transform", [0, 0, 0, 0, 0, 0])
    facts: list[tuple[Text, str]] = [
        (_t("任务", "Job"), str(record.get("job"))),
        (_t("计算时间", "Computed at"), str(record.get("time"))),
        (_t("软件", "Software"), f"{record['software']['name']} {record['software']['version']}"),
        (_t("分析及版本", "Analysis"), f"{record['analysis']} {record['analysis_version']}"),
        (_t("目录修订", "Catalogue revision"), str(record.get("catalogue_revision"))),
        (
            _t("格网", "Grid"),
            f"{grid.get('crs')}，{grid.get('shape', ['?', '?'])[0]} × {grid.get('shape', ['?', '?'])[1]}，"
            f"{transform[0]:.9g}° × {abs(transform[4]):.9g}°",
        ),
    ]
    facts += [
        (_t(f"规则 {name}", f"Rules {name}"), str(digest)) for name, digest in record.get("rules_sha256", {}).items()
    ]
    facts += [(_t(f"图层 {name}", f"Layer {name}"), layer) for name, layer in material.result.layers.items()]
    columns = (Column(_t("项目", "Item"), width=1.2), Column(_t("内容", "Value"), width=3.2))
    table = Table(_t("溯源", "Provenance"), columns, facts, small=len(facts) > 10)
    return Section(_t("溯源", "Provenance"), (table,))
