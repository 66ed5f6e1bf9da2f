"""Lists, register, assessment, ledger, and the cases as a layer."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

B = "/api/v1/river-chief"


def test_lists_filter_and_page(web: Any, desk: Any) -> None:
    made = [desk.issue(web, unit="列表县", title=f"第{i}处 100%").json()["id"] for i in range(3)]
    own = {"unit": "列表县"}
    first = web.get(f"{B}/cases", params=own | {"limit": 2}).json()
    assert [f["id"] for f in first["features"]] == made[:0:-1]
    assert first["numberMatched"] == 3
    following = next(link["href"] for link in first["links"] if link["rel"] == "next")
    assert [f["id"] for f in web.get(following).json()["features"]] == made[:1]
    assert web.get(f"{B}/cases", params=own | {"q": "第1处 100%"}).json()["numberMatched"] == 1
    assert web.get(f"{B}/cases", params=own | {"state": "closed"}).json()["numberMatched"] == 0
    box = ",".join(str(v) for v in first["features"][0]["bbox"])
    assert web.get(f"{B}/cases", params=own | {"bbox": box}).json()["numberMatched"] == 1
    assert web.get(f"{B}/cases", params=own | {"water": "甲河", "reach": "A1"}).json()["numberMatched"] == 3
    for bad in (
        {"state": "x"},
        {"overdue": "1"},
        {"limit": "0"},
        {"offset": "-1"},
        {"bbox": "1,2,3"},
        {"bbox": "a,b,c,d"},
        {"x": "1"},
    ):
        desk.refused(web.get(f"{B}/cases", params=bad), 400)


def test_the_file_of_a_river(web: Any, desk: Any) -> None:
    listed = web.get(f"{B}/waters").json()
    assert [w["name"] for w in listed["waters"]] == ["甲河"]
    assert listed["waters"][0]["reaches"] == 2
    before = web.get(f"{B}/waters/甲河").json()
    desk.issue(web, geometry=desk.square(114.9, 30.04))
    found = web.get(f"{B}/waters/甲河").json()
    second = found["reaches"][1]
    assert (second["from"], second["to"], second["chief"], second["unit"]) == ("K50+000", "K97+000", "合成-乙", "乙县")
    assert (second["check_days"], second["rectify_days"]) == (7, 45)
    assert second["cases"] == before["reaches"][1]["cases"] + 1
    assert found["figures"]["cases"] == before["figures"]["cases"] + 1
    assert found["permits"]["count"] == 2
    assert found["permits"]["valid"] == 1
    assert found["range"]["area_km2"] == pytest.approx(2 * 0.1 * 110.8 * 96.5, rel=0.01)
    desk.refused(web.get(f"{B}/waters/乙河"), 404)


def test_assessment_by_unit(web: Any, desk: Any, desk_app: Any) -> None:
    from spatial.store.case_store import Case

    unit = {"unit": "考核县"}
    done, late, plain, waiting = (desk.issue(web, **unit).json()["id"] for _ in range(4))
    desk.to(web, done, "closed")
    desk.to(web, late, "closed")
    desk.to(web, plain, "checked")
    desk.step(web, plain, "judge", problem=False)
    with desk_app.state.datastore.state.session() as session:
        # Two, four and three days for the closed ones; one of them late; the open one overdue.
        for case, days in ((done, 2), (late, 4), (plain, 3)):
            row = session.get(Case, case)
            row.created = row.closed - timedelta(days=days)
            row.late_steps = int(case == late)
        session.get(Case, waiting).due = datetime.now(UTC) - timedelta(days=1)
    web.post(f"{B}/patrols", json=desk.patrol(**unit))
    row = next(row for row in web.get(f"{B}/assessment").json()["units"] if row["unit"] == "考核县")
    expected = {
        "cases": 4, "open": 1, "overdue": 1, "rectified": 2, "not_a_problem": 1, "closed_in_time": 2, "rebounds": 0,
        "patrols": 1,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["share_closed_in_time"] == pytest.approx(2 / 3, abs=1e-4)
    assert row["mean_days"] == pytest.approx(3.0, abs=0.01)
    none = web.get(f"{B}/assessment", params={"to": "2020-01-01"}).json()
    assert none["total"]["cases"] == 0
    assert none["total"]["share_closed_in_time"] is None
    desk.refused(web.get(f"{B}/assessment", params={"from": "yesterday"}), 400)


def test_the_ledger_as_excel_and_word(web: Any, desk: Any) -> None:
    from docx import Document
    from openpyxl import load_workbook

    title = '=HYPERLINK("http://example.org";"x")'
    case = desk.issue(web, unit="台账县", title=title).json()["properties"]
    answer = web.get(f"{B}/ledger.xlsx", params={"unit": "台账县"})
    assert "attachment" in answer.headers["content-disposition"]
    sheet = load_workbook(io.BytesIO(answer.content)).active
    assert sheet["A5"].value == case["number"]
    assert sheet["B5"].value == title
    assert sheet["B5"].data_type == "s"  # a text, no formula
    assert sheet["J5"].value == pytest.approx(case["area_m2"])
    assert sheet["K5"].value == "已下发"
    assert sheet.max_row == 5
    assert sheet["A3"].value is None
    word = Document(io.BytesIO(web.get(f"{B}/ledger.docx", params={"unit": "台账县"}).content))
    cells = [cell.text for cell in word.tables[0].rows[1].cells]
    assert case["number"] in cells
    assert title in cells
    everything = load_workbook(io.BytesIO(web.get(f"{B}/ledger.xlsx").content)).active
    assert everything.max_row - 4 == web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"]


def test_cases_are_a_layer_that_features_cannot_edit(web: Any, desk: Any) -> None:
    answer = desk.issue(web, title="图层可见")
    case = answer.json()["id"]
    assert answer.headers["onemap-layer"] == "current"
    item = f"/ogc/collections/river-cases/items/{case}"
    assert web.get(item, headers={"Accept": "application/geo+json"}).json()["properties"]["state"] == "issued"
    old = web.get("/ogc/collections/river-cases", headers={"Accept": "application/json"}).json()
    desk.to(web, case, "checked")
    assert web.get(item, headers={"Accept": "application/geo+json"}).json()["properties"]["state"] == "checked"
    found = web.get(
        "/ogc/collections/river-cases/items",
        params={"f": "json", "filter": f"state = 'checked' AND id = {case}"},
    ).json()
    assert found["numberMatched"] == 1
    assert old["id"] == "river-cases"
    desk.refused(web.delete(item), 405)
    desk.refused(
        web.patch(item, json={"state": "closed"}, headers={"Content-Type": "application/merge-patch+json"}), 405
    )
    assert any(layer["id"] == "river-cases" for layer in web.get("/api/v1/catalogue").json()["layers"])
