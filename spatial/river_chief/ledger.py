"""The ledger of cases (台账) as an Excel workbook and as a Word table, for offices that work with these."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spatial.errors import ServiceUnavailable
from spatial.river_chief.documents import flags_of
from spatial.river_chief.pictures import SIDES
from spatial.river_chief.workflow import CHINA

if TYPE_CHECKING:
    from spatial.river_chief.pictures import DocumentPicture
    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import Case, CaseEvent

__all__ = ["COLUMNS", "DOCX", "XLSX", "ledger_rows", "write_excel", "write_word"]

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("number", "图斑编号", "Number", 14),
    ("title", "名称", "Title", 24),
    ("water", "河湖", "River or lake", 10),
    ("reach", "河段", "Reach", 20),
    ("chainage", "桩号", "Chainage", 11),
    ("chief", "责任河湖长", "Chief", 12),
    ("unit", "责任单位", "Unit", 22),
    ("kind", "类型", "Kind", 8),
    ("severity", "严重程度", "Severity", 9),
    ("area_m2", "面积（m²）", "Area (m²)", 12),
    ("state", "状态", "State", 10),
    ("created", "下发时间", "Issued at", 17),
    ("due", "时限", "Due", 17),
    ("closed", "销号时间", "Closed at", 17),
    ("late_steps", "逾期步数", "Late steps", 9),
    ("round", "整改次数", "Rectifications", 9),
    ("remarks", "提示", "Remarks", 28),
    ("last", "最近办理", "Last step", 40),
    ("before", "前时相", "Before", 22),
    ("after", "后时相", "After", 22),
)
"""Name, Chinese and English heading, width in characters."""
_WORD = (
    "number",
    "title",
    "water",
    "reach",
    "chainage",
    "unit",
    "kind",
    "severity",
    "area_m2",
    "state",
    "due",
    "remarks",
)
_FLAGS = {
    "overdue": "逾期", "rebound": "反弹", "duplicate": "疑似重复", "outside_range": "管理范围外",
    "partly_outside_range": "部分在管理范围外", "range_unknown": "管理范围无法判定", "permitted": "有有效许可",
    "partly_permitted": "部分有许可", "permit_expired": "许可不在有效期", "permits_unknown": "许可无法判定",
    "no_reach": "附近无河段", "reach_unknown": "河段无法判定", "synthetic": "合成示例",
}  # fmt: skip
_NO_PICTURES: Mapping[int, Mapping[str, DocumentPicture]] = {}
_EXCEL_PIXELS = 150
"""Longer side of a picture in a cell."""
_OUTCOMES = {"rectified": "整改销号", "not_a_problem": "不是问题"}
_MARK = "合成示例 SYNTHETIC：含合成数据，不得用于决策 / holds synthetic data, not for decisions"


def _local(at: datetime | None) -> str:
    """Time in China for people."""
    return "" if at is None else at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def _plain(text: str) -> str:
    """A text without control characters, which neither file may hold."""
    return "".join(c for c in text if c >= " " or c in "\n\t")


def ledger_rows(
    cases: Sequence[Case], events: Sequence[CaseEvent], rules: DeskRules, now: datetime
) -> list[dict[str, Any]]:
    """One row a case, with the names that `COLUMNS` lists."""
    last = {event.case_id: event for event in events}
    rows = []
    for case in cases:
        kind, severity = rules.kind(case.kind or ""), rules.severity(case.severity or "")
        state = rules.state(case.state).title.zh
        if case.outcome:
            state += f"（{_OUTCOMES[case.outcome]}）"
        event = last.get(case.id)
        step = rules.step(event.step) if event else None
        what = {"issue": "下发", "photo": "上传照片"}.get(event.step, step.title.zh if step else "") if event else ""
        rows.append(
            {
                "id": case.id,
                "number": case.number,
                "title": _plain(case.title),
                "water": case.water or "",
                "reach": case.place.get("name") or "",
                "chainage": case.place.get("chainage") or "",
                "chief": _plain(case.chief or ""),
                "unit": _plain(case.unit or ""),
                "kind": kind.title.zh if kind else "",
                "severity": severity.title.zh if severity else "",
                "area_m2": round(case.area_m2, 1),
                "state": state,
                "created": _local(case.created),
                "due": _local(case.due),
                "closed": _local(case.closed),
                "late_steps": case.late_steps,
                "round": case.round,
                "remarks": "、".join(_FLAGS[flag] for flag in flags_of(case, now)),
                "last": _plain(f"{_local(event.at)} {what} {event.actor} {event.note}".strip()) if event else "",
                "before": case.before.get("date") or "",
                "after": case.after.get("date") or "",
            }
        )
    return rows


def write_excel(
    rows: Sequence[dict[str, Any]],
    *,
    at: datetime,
    filters: str,
    synthetic: bool,
    pictures: Mapping[int, Mapping[str, DocumentPicture]] = _NO_PICTURES,
) -> bytes:
    """The ledger as a workbook; texts are written as texts, so that no cell can be a formula.

    Parameters
    ----------
    pictures : mapping
        Case → side → picture, shown in the cells of the two dates.

    Raises
    ------
    ServiceUnavailable
        openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise _missing("openpyxl") from error
    from openpyxl.drawing.image import Image
    from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, OneCellAnchor
    from openpyxl.drawing.xdr import XDRPositiveSize2D
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.utils.units import pixels_to_EMU

    names = [name for name, *_ in COLUMNS]
    book = Workbook()
    sheet: Any = book.active
    sheet.title = "台账 Ledger"
    sheet.append(["河湖图斑台账 / Ledger of the river chief's desk"])
    sheet.append([_head(rows, at, filters, pictures)])
    sheet.append([_MARK if synthetic else None])
    sheet["A1"].font = Font(size=14, bold=True)
    sheet["A3"].font = Font(color="B22222", bold=True)
    sheet.append([f"{zh}\n{en}" for _, zh, en, _ in COLUMNS])
    for cell in sheet[4]:
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DCE9F5")
        cell.alignment = Alignment(wrap_text=True, vertical="center")
    for number, row in enumerate(rows, start=5):
        for column, (name, *_) in enumerate(COLUMNS, start=1):
            cell = sheet.cell(number, column)
            cell.value = row[name]
            if isinstance(row[name], str):
                cell.data_type = "s"  # a text that begins with = stays a text
            cell.alignment = Alignment(wrap_text=True, vertical="top")
        pair = pictures.get(row["id"], {})
        for role, picture in pair.items():
            shown = Image(io.BytesIO(picture.content))
            scale = _EXCEL_PIXELS / max(picture.width, picture.height)
            shown.width, shown.height = round(picture.width * scale), round(picture.height * scale)
            place = sheet.cell(number, names.index(role) + 1)
            place.value, place.data_type = picture.day or row[role], "s"
            # Below the line with the day.
            start = AnchorMarker(col=names.index(role), row=number - 1, colOff=40_000, rowOff=220_000)
            size = XDRPositiveSize2D(pixels_to_EMU(shown.width), pixels_to_EMU(shown.height))
            shown.anchor = OneCellAnchor(_from=start, ext=size)
            sheet.add_image(shown)
        if pair:
            sheet.row_dimensions[number].height = _EXCEL_PIXELS * 0.75 + 24
    for column, (*_, width) in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "B5"
    sheet.auto_filter.ref = f"A4:{get_column_letter(len(COLUMNS))}{4 + len(rows)}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = "4:4"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def write_word(
    rows: Sequence[dict[str, Any]],
    *,
    at: datetime,
    filters: str,
    synthetic: bool,
    pictures: Mapping[int, Mapping[str, DocumentPicture]] = _NO_PICTURES,
) -> bytes:
    """The ledger as a Word document, landscape, its heading row repeated on every page; the pictures follow the table.

    Raises
    ------
    ServiceUnavailable
        python-docx is not installed.
    """
    try:
        from docx import Document
    except ImportError as error:
        raise _missing("python-docx") from error
    from docx.enum.section import WD_ORIENT
    from docx.oxml.ns import qn
    from docx.oxml.parser import OxmlElement
    from docx.shared import Mm, Pt

    opened = Document()
    style = opened.styles["Normal"]
    style.font.name, style.font.size = "Times New Roman", Pt(8)
    style.element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), "宋体")
    page = opened.sections[0]
    page.orientation = WD_ORIENT.LANDSCAPE
    page.page_width, page.page_height = Mm(297), Mm(210)
    page.left_margin = page.right_margin = Mm(15)
    if synthetic:
        page.header.paragraphs[0].text = _MARK
    opened.add_heading("河湖图斑台账 Ledger of the river chief's desk", level=1)
    opened.add_paragraph(_head(rows, at, filters, pictures))
    chosen = [column for column in COLUMNS if column[0] in _WORD]
    table = opened.add_table(rows=1, cols=len(chosen))
    table.style = "Table Grid"
    for cell, (_, zh, en, _) in zip(table.rows[0].cells, chosen, strict=True):
        cell.text = ""
        cell.paragraphs[0].add_run(zh).bold = True
        cell.paragraphs[0].add_run(f" {en}")
    head = OxmlElement("w:tblHeader")
    head.set(qn("w:val"), "true")
    table.rows[0]._tr.get_or_add_trPr().append(head)
    for row in rows:
        for cell, (name, *_) in zip(table.add_row().cells, chosen, strict=True):
            cell.text = f"{row[name]:.1f}" if name == "area_m2" else str(row[name])
    if pictures:
        opened.add_heading("前后影像 Pictures before and after", level=2)
    for row in rows:
        if row["id"] in pictures:
            _word_pair(opened, row, pictures[row["id"]], Mm(62))
    out = io.BytesIO()
    opened.save(out)
    return out.getvalue()


def _head(
    rows: Sequence[dict[str, Any]],
    at: datetime,
    filters: str,
    pictures: Mapping[int, Mapping[str, DocumentPicture]],
) -> str:
    text = f"导出 {_local(at)}（北京时间）；{filters}；共 {len(rows)} 条"
    return text + f"；附 {len(pictures)} 个图斑的前后影像，其余见案卷" if pictures else text


def _word_pair(opened: Any, row: dict[str, Any], pair: Mapping[str, DocumentPicture], width: Any) -> None:
    """Number and title of a case, and its pictures side by side."""
    head = opened.add_paragraph()
    head.add_run(f"{row['number']} {row['title']}").bold = True
    head.paragraph_format.keep_with_next = True
    table = opened.add_table(rows=2, cols=2)
    for column, role in enumerate(SIDES):
        picture = pair.get(role)
        zh, en = next((zh, en) for name, zh, en, _ in COLUMNS if name == role)
        place = table.cell(0, column).paragraphs[0]
        place.paragraph_format.keep_with_next = True
        if picture is None:
            place.add_run("未记录 not recorded")
        else:
            place.add_run().add_picture(io.BytesIO(picture.content), width=width)
        day = picture.day if picture is not None and picture.day else row[role]
        table.cell(1, column).text = f"{zh} {en} {day} {picture.name if picture else ''}".strip()


def _missing(package: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"缺少 {package}，不能导出台账；请运行：pip install 'onemap-hubei[report]'",
        f"{package} is missing: no ledger; run: pip install 'onemap-hubei[report]'",
    )
