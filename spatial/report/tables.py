"""Tables of a report from the rows of a run: areas of classes, limiting factors, conflicts, capacity, and any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spatial.catalog import Text
from spatial.report.document import Cell, Column, Mark, Table, number
from spatial.report.titles import column_title, table_title, word_title

__all__ = [
    "UNVERIFIED",
    "area_columns",
    "area_table",
    "capacity_tables",
    "checked",
    "conflict_table",
    "plain_table",
    "reason_table",
    "scenario_table",
    "warning_table",
]

Row = Mapping[str, Any]
_NAME = Column(Text(zh="单元", en="Unit"), width=1.5)
_CODE = Column(Text(zh="代码", en="Code"), width=1.0)

UNVERIFIED = Text(zh="未对照原文", en="unverified")
_AMBER = "#f4a261"
_TAGS: dict[str, Text] = {
    "V-law": Text(zh="已对照原文", en="checked"),
    "V-code": Text(zh="公开实现，未对照原文", en="public code, unverified"),
    "V-page": Text(zh="网页摘录，未对照原文", en="page excerpt, unverified"),
    "GK": Text(zh="一般知识，未对照原文", en="general knowledge, unverified"),
    "own": Text(zh="本项目约定，未对照原文", en="own convention, unverified"),
}


def checked(tag: str) -> Cell:
    """How far a threshold was checked; whatever was not compared with the official text carries a coloured mark.

    >>> checked("V-law").zh, checked("GK").text.zh, checked("?").text.zh
    ('已对照原文', '一般知识，未对照原文', '未对照原文')
    """
    title = _TAGS.get(tag, UNVERIFIED)
    return title if tag == "V-law" else Mark(title, _AMBER)


# -- areas -----------------------------------------------------------------------------------------------------------------


def area_columns(row: Row) -> list[str]:
    """Names of the classes whose area and share a row holds.

    >>> area_columns({"suitable_km2": 1.0, "suitable_percent": 5.0, "unsuitable_land_percent": 3.0})
    ['suitable']
    """
    return [k[:-8] for k in row if k.endswith("_percent") and f"{k[:-8]}_km2" in row]


_EXTRA: dict[str, Text] = {
    "masked_km2": Text(zh="极重要区不参评（km²）", en="Not graded, ecology (km²)"),
    "water_surface_km2": Text(zh="其中水域（km²）", en="Of it water (km²)"),
    "not_assessed_km2": Text(zh="未评价（km²）", en="Not assessed (km²)"),
}


def area_table(rows: Sequence[Row], titles: Sequence[Text], caption: Text) -> Table:
    """Areas (km²) and shares of each class, one row a unit."""
    names = area_columns(rows[0])
    columns = [_CODE, _NAME]
    for k, name in enumerate(names):
        title = titles[k] if k < len(titles) else Text(zh=name, en=name)
        columns.append(Column(Text(zh=f"{title.zh}（km²）", en=f"{title.en} (km²)"), "right", 1.2))
        columns.append(Column(Text(zh="占比 %", en="share %"), "right", 0.8))
    extra = [name for name in _EXTRA if any(row.get(name) for row in rows)]
    columns += [Column(_EXTRA[name], "right", 1.1) for name in extra]
    body = []
    for row in rows:
        cells: list[Cell] = [row.get("code"), row.get("name")]
        for name in names:
            cells += [number(row.get(f"{name}_km2"), 2), number(row.get(f"{name}_percent"), 1)]
        body.append((*cells, *(number(row.get(name), 2) for name in extra)))
    note = Text(
        zh="面积为 CGCS2000 椭球面积；占比以已评价面积为 100 %。1 km² = 100 hm² = 1500 亩。",
        en="Ellipsoidal areas (CGCS2000); shares of the assessed area. 1 km² = 100 hm² = 1500 mu.",
    )
    return Table(caption, tuple(columns), body, note, small=len(rows) > 20)


def reason_table(rows: Sequence[Row], caption: Text) -> Table:
    """Area and share of each limiting factor; the greatest first, «no limit» last."""
    ordered = sorted(rows, key=lambda r: (r["reason"] == 1, -float(_area(r) or 0)))
    body = [
        (
            Text(zh=row["title_zh"], en=row["title_en"]),
            number(_area(row), 2),
            number(row.get("area_mu", row.get("mu")), 0),
            number(row.get("percent"), 2),
        )
        for row in ordered
    ]
    columns = (
        Column(Text(zh="限制因素", en="Limiting factor"), width=2.4),
        Column(Text(zh="面积（km²）", en="Area (km²)"), "right"),
        Column(Text(zh="面积（亩）", en="Area (mu)"), "right"),
        Column(Text(zh="占比 %", en="Share %"), "right", 0.7),
    )
    return Table(caption, columns, body)


def _area(row: Row) -> float | None:
    found = row.get("area_km2", row.get("km2"))
    return None if found is None else float(found)


# -- conflicts -------------------------------------------------------------------------------------------------------------

_QUESTIONS: tuple[tuple[str, Text], ...] = (
    ("eco_use", Text(zh="(a) 极重要区现状利用", en="(a) Use in extremely important land")),
    ("eco_cropland", Text(zh="(b) 极重要区农业不适宜耕地", en="(b) Cropland there, unsuitable")),
    ("eco_built", Text(zh="(c) 极重要区城镇不适宜建设用地", en="(c) Built-up there, unsuitable")),
    ("hazard_built", Text(zh="(d) 地灾极高区建设用地", en="(d) Built-up, extreme hazard")),
    ("cropland_potential", Text(zh="(e) 耕地潜力", en="(e) Cropland potential")),
    ("urban_potential", Text(zh="(f) 城镇建设潜力", en="(f) Urban potential")),
)


def conflict_table(rows: Sequence[Row], caption: Text) -> Table:
    """Areas (km²) of potential and conflict by unit; a dash where a raster was missing."""
    columns = (_CODE, _NAME, *(Column(title, "right", 1.3) for _, title in _QUESTIONS))
    body = [
        (row.get("code"), row.get("name"), *(number(row.get(f"{name}_km2"), 2) for name, _ in _QUESTIONS))
        for row in rows
    ]
    if len(rows) > 1:
        sums = []
        for name, _ in _QUESTIONS:
            known = [float(row[f"{name}_km2"]) for row in rows if row.get(f"{name}_km2") is not None]
            sums.append(number(sum(known), 2) if known else None)
        body.append(("", "合计 Total", *sums))
    note = Text(
        zh="单位 km²；“—”为缺输入、未评价，不等于零。(a) 含耕地、园地、人工林、建设用地。",
        en="In km²; a dash means not assessed (an input is missing), not zero. (a) cropland, orchard, plantation, built-up.",
    )
    return Table(caption, columns, body, note, small=len(rows) > 20)


# -- carrying capacity -----------------------------------------------------------------------------------------------------


def _swatch(row: Row) -> Cell:
    """Value of an indicator with its colour."""
    value = number(row.get("value"), 3)
    if value is None or row.get("colour") is None:
        return value
    return Mark(f"{value} {row['colour_zh']} {row['colour_en']}", str(row["colour_hex"]))


def capacity_tables(rows: Sequence[Row], colors: Mapping[str, str]) -> list[Table]:
    """Agriculture (irrigated and rain-fed apart) and towns under both constraints, one row a unit.

    Parameters
    ----------
    rows : rows of ``capacity_<level>``
    colors : mapping
        Colour name → ``#rrggbb``.
    """
    small = len(rows) > 20

    def warning(row: Row) -> Cell:
        if row.get("warning") is None:
            return None
        text = Text(zh=f"{row['warning_zh']}·{row['colour_zh']}", en=f"{row['colour_en']}")
        return Mark(text, colors.get(str(row.get("colour")), "#bdbdbd"))

    def limit(row: Row, kind: str) -> Cell:
        zh, en = row.get(f"{kind}_binding_zh"), row.get(f"{kind}_binding_en")
        return Text(zh=str(zh), en=str(en)) if row.get(f"{kind}_binding") else None

    def km2(title_zh: str, title_en: str) -> Column:
        return Column(Text(zh=f"{title_zh}（km²）", en=f"{title_en} (km²)"), "right", 1.1)

    binding = Column(Text(zh="短板", en="Limit"), width=0.9)
    index = Column(Text(zh="承载指数", en="Index"), "right", 0.8)
    warned = Column(Text(zh="预警", en="Warning"), width=1.4)
    agri = Table(
        Text(zh="农业承载规模（灌溉、雨养分列）", en="Carrying capacity of agriculture, irrigated and rain-fed apart"),
        (
            _NAME,
            km2("水约束：灌溉", "Water: irrigated"),
            km2("雨养", "rain-fed"),
            km2("水约束合计", "By water"),
            km2("土地约束", "By land"),
            km2("承载规模", "Capacity"),
            binding,
            km2("现状耕地", "Present cropland"),
            index,
            Column(Text(zh="只计灌溉的指数", en="Index, irrigated only"), "right", 0.9),
        ),
        [
            (
                row.get("name"),
                number(row.get("agri_irrigated_km2"), 1),
                number(row.get("agri_rainfed_km2"), 1),
                number(row.get("agri_water_km2"), 1),
                number(row.get("agri_land_km2"), 1),
                number(row.get("agri_capacity_km2"), 1),
                limit(row, "agri"),
                number(row.get("agri_current_km2"), 1),
                number(row.get("agri_index"), 3),
                number(row.get("agri_index_irrigated_only"), 3),
            )
            for row in rows
        ],
        Text(
            zh="承载规模取水、土两约束的较小值（短板原理）；指数 = 现状 ÷ 承载规模，大于 1 为超载。雨养耕地决定农业结论，分列。",
            en="Capacity is the least of both constraints; index = present ÷ capacity, above 1 overloaded. Rain-fed cropland "
            "decides the verdict and stands apart.",
        ),
        small=small,
    )
    towns = Table(
        Text(zh="城镇承载规模与预警", en="Carrying capacity of towns, and warning level"),
        (
            _NAME,
            km2("水约束", "By water"),
            km2("土地约束", "By land"),
            km2("承载规模", "Capacity"),
            binding,
            km2("现状建设用地", "Present built-up"),
            index,
            Column(Text(zh="可承载人口", en="People it can carry"), "right", 1.2),
            Column(Text(zh="现状城镇人口", en="Present urban people"), "right", 1.2),
            warned,
        ),
        [
            (
                row.get("name"),
                number(row.get("urban_water_km2"), 1),
                number(row.get("urban_land_km2"), 1),
                number(row.get("urban_capacity_km2"), 1),
                limit(row, "urban"),
                number(row.get("urban_current_km2"), 1),
                number(row.get("urban_index"), 3),
                number(row.get("urban_capacity_people"), 0),
                number(row.get("urban_current_people"), 0),
                warning(row),
            )
            for row in rows
        ],
        Text(
            zh="预警为各项指标中最差者，阈值未对照原文（GK）。",
            en="The warning is the worst of the indicators; its thresholds are unverified (GK).",
        ),
        small=small,
    )
    return [agri, towns]


def warning_table(rows: Sequence[Row], caption: Text) -> Table:
    """Indicators of the warning side by side, one row a unit."""
    names = list(dict.fromkeys(str(row["indicator"]) for row in rows))
    titles = {str(row["indicator"]): Text(zh=row["title_zh"], en=row["title_en"]) for row in rows}
    columns = (_NAME, *(Column(titles[name], width=1.2) for name in names))
    units: dict[str, dict[str, Row]] = {}
    for row in rows:
        units.setdefault(str(row["code"]), {})[str(row["indicator"])] = row
    body = [
        (str(next(iter(found.values()))["name"]), *(_swatch(found.get(name, {})) for name in names))
        for found in units.values()
    ]
    note = Text(
        zh="“—”为缺输入、未评价。分级阈值 GK：未对照原文。",
        en="A dash means not assessed (an input is missing). Thresholds GK: unverified.",
    )
    return Table(caption, columns, body, note, small=len(body) > 20)


def scenario_table(rows: Sequence[Row], caption: Text) -> Table:
    """Scenarios: number of units by warning level, and the capacity of all together."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((str(row["scenario_zh"]), str(row["scenario_en"])), []).append(row)
    columns = (
        Column(Text(zh="情景", en="Scenario"), width=1.6),
        Column(Text(zh="农业承载（km²）", en="Agriculture (km²)"), "right"),
        Column(Text(zh="城镇承载（km²）", en="Towns (km²)"), "right"),
        Column(Text(zh="可承载城镇人口", en="Urban people"), "right", 1.2),
        Column(Text(zh="超载单元", en="Overloaded"), "right", 0.8),
        Column(Text(zh="临界单元", en="Critical"), "right", 0.8),
        Column(Text(zh="不超载单元", en="Not overloaded"), "right", 0.8),
    )
    body = []
    for (zh, en), each in found.items():
        levels = sorted({str(row["level"]) for row in each}, key=("county", "prefecture", "province").index)
        each = [row for row in each if row["level"] == levels[0]]

        def total(name: str, of: Sequence[Row] = each) -> float | None:
            known = [float(row[name]) for row in of if row.get(name) is not None]
            return sum(known) if known else None

        counts = [sum(row.get("warning") == level for row in each) for level in ("overloaded", "critical", "within")]
        body.append(
            (
                Text(zh=zh, en=en),
                number(total("agri_capacity_km2"), 1),
                number(total("urban_capacity_km2"), 1),
                number(total("urban_capacity_people"), 0),
                *(str(c) for c in counts),
            )
        )
    note = Text(
        zh="各单元之和（单元之间不调水）；情景系数为示例（own），未对照原文。",
        en="Sums of the units (no water moved between them); scenario factors are examples (own), unverified.",
    )
    return Table(caption, columns, body, note)


# -- any other table -------------------------------------------------------------------------------------------------------

_MOST_COLUMNS, _MOST_ROWS = 8, 150


def plain_table(name: str, rows: Sequence[Any]) -> Table | None:
    """A table that this module does not know, by the titles of `titles`; None if its rows are no mappings."""
    known = [row for row in rows if isinstance(row, Mapping)]
    if not known or len(known) != len(rows):
        return None
    keys = [key for key in dict.fromkeys(k for row in known for k in row) if not key.endswith("_en")]
    shown = keys[:_MOST_COLUMNS]

    def cell(row: Row, key: str) -> Cell:
        value = row.get(key)
        if key.endswith("_zh") and row.get(f"{key[:-3]}_en"):
            return Text(zh=str(value or "—"), en=str(row[f"{key[:-3]}_en"]))
        if isinstance(value, Mapping) and isinstance(value.get("zh"), str) and isinstance(value.get("en"), str):
            return Text(zh=value["zh"], en=value["en"])
        if isinstance(value, bool):
            return Text(zh="是", en="yes") if value else Text(zh="否", en="no")
        if isinstance(value, str) and (said := word_title(key, value)) is not None:
            return said
        if isinstance(value, float):
            return f"{value:,.6g}"
        return None if value is None else str(value)[:200]

    left = []
    if len(keys) > len(shown):
        left.append(f"{len(keys) - len(shown)} 列 columns")
    if len(known) > _MOST_ROWS:
        left.append(f"{len(known) - _MOST_ROWS} 行 rows")
    note = None
    if left:
        said = "、".join(left)
        note = Text(zh=f"另有 {said} 见结果文档。", en=f"{said} more stand in the result document.")
    columns = tuple(
        Column(
            column_title(key),
            "right" if any(isinstance(r.get(key), float | int) for r in known) else "left",
        )
        for key in shown
    )
    return Table(
        table_title(name),
        columns,
        [tuple(cell(row, key) for key in shown) for row in known[:_MOST_ROWS]],
        note,
        small=len(known) > 20,
    )
