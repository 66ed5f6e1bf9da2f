"""The model of a report: numbering, the annex, and what the tables of a run become."""

import pytest

from spatial.catalog import Text
from spatial.report.document import LONG, Column, Mark, Paragraph, Section, Table, numbered, with_annex
from spatial.report.tables import (
    area_table,
    capacity_tables,
    checked,
    conflict_table,
    plain_table,
    reason_table,
    warning_table,
)


def text(name: str) -> Text:
    return Text(zh=f"{name}题", en=name)


def table(rows: int) -> Table:
    return Table(text("t"), (Column(text("a")), Column(text("b"))), [(str(k), None) for k in range(rows)])


def test_long_tables_go_to_an_annex_and_leave_a_line() -> None:
    sections = [
        Section(text("one"), (table(LONG + 1), table(LONG))),
        Section(text("two"), (table(LONG + 1),), keeps_tables=True),
    ]
    found = with_annex(sections, text("annex"))
    assert [s.title.en for s in found] == ["one", "two", "annex"]
    line, short = found[0].blocks
    assert isinstance(line, Paragraph)
    assert f"{LONG + 1} rows" in line.text.en
    assert short is sections[0].blocks[1]
    assert found[1] == sections[1]
    assert found[2].parts[0].blocks == (sections[0].blocks[0],)
    assert [number for number, _, _ in numbered(found)] == ["1", "2", "3", "3.1"]
    assert with_annex(sections[1:], text("annex")) == tuple(sections[1:])


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, a row of 1"):
        Table(text("t"), (Column(text("a")), Column(text("b"))), [("x",)])


@pytest.mark.parametrize("tag", ["GK", "own", "V-code", "V-page", "anything"])
def test_what_was_not_compared_with_the_official_text_is_marked(tag: str) -> None:
    found = checked(tag)
    assert isinstance(found, Mark)
    assert isinstance(found.text, Text)
    assert "未对照原文" in found.text.zh
    assert "unverified" in found.text.en
    assert not isinstance(checked("V-law"), Mark)


def test_areas_by_unit() -> None:
    rows = [
        {
            "code": "420102", "name": "江岸区", "good_km2": 1234.5, "good_percent": 60.04, "bad_km2": 0.0,
            "bad_percent": None, "water_surface_km2": 2.0, "bad_land_percent": 3.0, "not_assessed_km2": 0.0,
        }
    ]  # fmt: skip
    found = area_table(rows, (text("good"), text("bad")), text("areas"))
    assert [c.title.en for c in found.columns] == [
        "Code", "Unit", "good (km²)", "share %", "bad (km²)", "share %", "Of it water (km²)"
    ]  # fmt: skip
    assert found.rows == [("420102", "江岸区", "1,234.50", "60.0", "0.00", None, "2.00")]


def test_limiting_factors_are_ordered_by_area_and_no_limit_is_last() -> None:
    rows = [
        {"reason": 1, "title_zh": "无限制", "title_en": "no limit", "km2": 90.0, "mu": 1.0, "percent": 90.0},
        {"reason": 2, "title_zh": "坡度", "title_en": "slope", "area_km2": 1.0, "area_mu": 1500.0, "percent": 1.0},
        {"reason": 3, "title_zh": "水", "title_en": "water", "area_km2": 9.0, "area_mu": 13500.0, "percent": 9.0},
    ]
    found = reason_table(rows, text("reasons"))
    assert [row[0].en for row in found.rows] == ["water", "slope", "no limit"]  # type: ignore[union-attr]
    assert found.rows[0][1:] == ("9.00", "13,500", "9.00")


def test_a_conflict_that_was_not_assessed_is_a_dash_and_no_zero() -> None:
    rows = [{"code": "1", "name": "甲", "eco_use_km2": 1.0}, {"code": "2", "name": "乙", "eco_use_km2": 2.5}]
    found = conflict_table(rows, text("conflicts"))
    assert found.rows[-1][1:4] == ("合计 Total", "3.50", None)
    assert found.rows[0][3] is None


def test_capacity_has_irrigated_and_rain_fed_apart_and_warning_colours() -> None:
    row = {
        "name": "甲", "agri_irrigated_km2": 5.0, "agri_rainfed_km2": 2.0, "agri_water_km2": 7.0, "agri_land_km2": 9.0,
        "agri_capacity_km2": 7.0, "agri_binding": "water", "agri_binding_zh": "水资源", "agri_binding_en": "water",
        "agri_current_km2": 6.0, "agri_index": 0.857, "warning": "critical", "warning_zh": "临界超载",
        "warning_en": "Critical", "colour": "yellow", "colour_zh": "黄色", "colour_en": "Yellow",
    }  # fmt: skip
    agri, towns = capacity_tables([row], {"yellow": "#ffdd00"})
    assert agri.rows[0][1:4] == ("5.0", "2.0", "7.0")
    assert towns.rows[0][1] is None
    warned = towns.rows[0][-1]
    assert isinstance(warned, Mark)
    assert warned.color == "#ffdd00"


def test_indicators_stand_side_by_side() -> None:
    rows = [
        {
            "code": "1", "name": "甲", "indicator": name, "title_zh": name, "title_en": name, "value": value,
            "colour": colour, "colour_zh": "红", "colour_en": "Red", "colour_hex": "#ff0000",
        }
        for name, value, colour in (("x", 1.5, "red"), ("y", None, None))
    ]  # fmt: skip
    found = warning_table(rows, text("warnings"))
    assert len(found.columns) == 3
    assert found.rows == [("甲", Mark("1.500 红 Red", "#ff0000"), None)]


def test_a_table_that_nobody_knows_is_shown_as_it_is() -> None:
    found = plain_table("some_rows", [{"title_zh": "甲", "title_en": "a", "value": 0.1234567, "yes": True}])
    assert found is not None
    assert found.rows == [(Text(zh="甲", en="a"), "0.123457", Text(zh="是", en="yes"))]
    wide = plain_table("wide", [{f"c{k}": k for k in range(12)}])
    assert wide is not None
    assert wide.note is not None
    assert "4 列" in wide.note.zh
    assert plain_table("no_rows", [1, 2]) is None


def test_tables_of_a_flood_rehearsal_are_titled_in_both_languages() -> None:
    """No key of the result document stands in a Chinese table; what is not known keeps its name."""
    row = {"level_m": 29.7, "kind": "polder", "name": "天心洲", "status": "operate", "action": {"zh": "转移", "en": "move"},
           "cropland_mu": 1200.5, "flooded_km2": 3.1, "given_for_run": False, "odd_thing": 1}  # fmt: skip
    table = plain_table("plan", [row])
    assert table is not None
    assert (table.caption.zh, table.caption.en) == ("处置预案", "Plan of measures")
    assert [c.title.zh for c in table.columns] == [
        "水位（m）", "类别", "名称", "状态", "措施", "耕地（亩）", "淹没面积（km²）", "本次指定", "odd thing",
    ][: len(table.columns)]  # fmt: skip
    cells = table.rows[0]
    assert (cells[1].zh, cells[1].en) == ("民垸", "polder")
    assert cells[2] == "天心洲"
    assert cells[3].zh == "达到启用条件"
