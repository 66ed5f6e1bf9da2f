"""The report as a Word document (.docx) that an office can edit: real headings, tables, captions and page numbers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.errors import ServiceUnavailable
from spatial.report.document import Block, Cell, Column, Document, Figure, Mark, Paragraph, Table, numbered

if TYPE_CHECKING:
    from docx.document import Document as Opened

__all__ = ["require_docx", "write_word"]

_EAST, _EAST_HEADING, _LATIN = "宋体", "黑体", "Times New Roman"
_GREY = "666666"
_WIDTH_MM = 165.0


def require_docx() -> Any:
    """python-docx.

    Raises
    ------
    ServiceUnavailable
        If it is missing, with the line that installs it.
    """
    try:
        import docx
    except ImportError as error:
        raise ServiceUnavailable(
            "缺少 python-docx，不能写 Word 报告；请运行：pip install 'onemap-hubei[report]'",
            "python-docx is missing: no Word report; run: pip install 'onemap-hubei[report]'",
        ) from error
    return docx


def write_word(document: Document, path: Path) -> None:
    """Write a report to `path`.

    Raises
    ------
    ServiceUnavailable
        See `require_docx`.
    """
    opened = require_docx().Document()
    _Writer(opened, document).write()
    opened.save(str(path))


class _Writer:
    def __init__(self, opened: Opened, document: Document) -> None:
        self.opened = opened
        self.document = document
        self.figures = self.tables = 0

    def write(self) -> None:
        from docx.enum.text import WD_BREAK

        self._page()
        self._styles()
        self._properties()
        self._cover()
        self._contents()
        for number, level, section in numbered(self.document.sections):
            if section.new_page or number == "1":
                self.opened.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
            heading = self.opened.add_heading(level=min(level, 3))
            heading.add_run(f"{number}  {section.title.zh}")
            english = heading.add_run(f"  {section.title.en}")
            _font(english, size=10 if level == 1 else 9, color=_GREY, bold=False)
            for block in section.blocks:
                self._block(block)

    # -- the page ----------------------------------------------------------------------------------------------------

    def _page(self) -> None:
        from docx.shared import Mm

        page = self.opened.sections[0]
        page.page_width, page.page_height = Mm(210), Mm(297)
        page.left_margin = page.right_margin = Mm(22.5)
        page.top_margin, page.bottom_margin = Mm(25), Mm(22)
        page.different_first_page_header_footer = True
        head = page.header.paragraphs[0]
        _font(head.add_run(f"{self.document.title.zh}  {self.document.title.en}"), size=8, color=_GREY)
        if self.document.marked is not None:
            _font(
                head.add_run(f"    【{self.document.marked.zh} {self.document.marked.en}】"),
                size=8,
                color="B22222",
                bold=True,
            )
        foot = page.footer.paragraphs[0]
        foot.alignment = _centre()
        for part in ("第 ", "PAGE", " 页 / 共 ", "NUMPAGES", " 页"):
            if part.isascii():
                _field(foot, part, "1")
            else:
                _font(foot.add_run(part), size=8, color=_GREY)

    def _styles(self) -> None:
        from docx.shared import Pt, RGBColor

        styles = self.opened.styles
        for name, east, size, bold, before, after in (
            ("Normal", _EAST, 10.5, False, 0, 4),
            ("Title", _EAST_HEADING, 28, True, 0, 6),
            ("Heading 1", _EAST_HEADING, 15, True, 16, 8),
            ("Heading 2", _EAST_HEADING, 12.5, True, 12, 6),
            ("Heading 3", _EAST_HEADING, 11, True, 8, 4),
            ("Caption", _EAST_HEADING, 9, False, 4, 4),
        ):
            style = styles[name]
            style.font.size, style.font.bold, style.font.italic = Pt(size), bold, False
            style.font.color.rgb = RGBColor(0x22, 0x22, 0x22)
            _east(style.element.get_or_add_rPr(), east)
            style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(after)
        styles["Normal"].paragraph_format.line_spacing = 1.25

    def _properties(self) -> None:
        from datetime import datetime

        properties, about = self.opened.core_properties, self.document.about
        properties.title = f"{self.document.title.zh} {self.document.title.en}"
        properties.author = about.get("author", "")
        properties.subject = about.get("subject", "")
        properties.keywords = about.get("keywords", "")
        properties.language = "zh-CN"
        if "created" in about:
            properties.created = properties.modified = datetime.fromisoformat(about["created"]).replace(tzinfo=None)

    def _cover(self) -> None:
        from docx.enum.table import WD_TABLE_ALIGNMENT
        from docx.shared import Pt

        for _ in range(5):
            self.opened.add_paragraph()
        title = self.opened.add_paragraph(style="Title")
        title.alignment = _centre()
        title.add_run(self.document.title.zh)
        self._centred(self.document.title.en, 15)
        self._centred(self.document.subtitle.zh, 14)
        self._centred(self.document.subtitle.en, 10.5)
        if self.document.marked is not None:
            mark = self.opened.add_paragraph()
            mark.alignment = _centre()
            mark.paragraph_format.space_before = Pt(18)
            _font(
                mark.add_run(f"{self.document.marked.zh}\n{self.document.marked.en}"),
                size=11,
                color="B22222",
                bold=True,
            )
        for _ in range(5):
            self.opened.add_paragraph()
        table = self.opened.add_table(rows=0, cols=2)
        table.alignment = WD_TABLE_ALIGNMENT.CENTER
        for label, value in self.document.cover:
            cells = table.add_row().cells
            _write(cells[0], label, size=9.5)
            _write(cells[1], value, size=9.5)
            _width(cells[0], 55)
            _width(cells[1], 100)

    def _centred(self, text: str, size: float) -> None:
        paragraph = self.opened.add_paragraph()
        paragraph.alignment = _centre()
        _font(paragraph.add_run(text), size=size, color=_GREY)

    def _contents(self) -> None:
        """A table of contents as a field; the entries stand there already, Word adds the page numbers on F9."""
        from docx.enum.text import WD_BREAK

        self.opened.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        heading = self.opened.add_paragraph(style="Heading 1")
        heading.add_run("目录  ")
        _font(heading.add_run("Contents"), size=10, color=_GREY, bold=False)
        _strip_outline(heading)
        entries = [
            (level, f"{number}  {section.title.zh}  {section.title.en}")
            for number, level, section in numbered(self.document.sections)
            if level < 3
        ]
        for k, (level, text) in enumerate(entries):
            paragraph = self.opened.add_paragraph()
            paragraph.paragraph_format.left_indent = _mm(6 * (level - 1))
            if k == 0:
                _char(paragraph, "begin")
                _instruction(paragraph, r'TOC \o "1-2" \h \z \u')
                _char(paragraph, "separate")
            paragraph.add_run(text)
            if k == len(entries) - 1:
                _char(paragraph, "end")

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _block(self, block: Block) -> None:
        if isinstance(block, Paragraph):
            self._paragraph(block)
        elif isinstance(block, Figure):
            self._figure(block)
        else:
            self._table(block)

    def _paragraph(self, block: Paragraph) -> None:
        style = "List Bullet" if block.kind == "item" else None
        paragraph = self.opened.add_paragraph(style=style)
        size = 9 if block.kind == "note" else 10.5
        _font(paragraph.add_run(block.text.zh), size=size, bold=block.kind == "warning")
        if block.text.en != block.text.zh:
            paragraph.add_run().add_break()
            _font(paragraph.add_run(block.text.en), size=size - 1.5, color=_GREY)
        if block.kind == "warning":
            _frame(paragraph)

    def _caption(self, kind_zh: str, kind_en: str, count: int, caption: Text, *, next_too: bool) -> None:
        paragraph = self.opened.add_paragraph(style="Caption")
        paragraph.alignment = _centre()
        paragraph.paragraph_format.keep_with_next = next_too
        paragraph.add_run(f"{kind_zh} ")
        _field(paragraph, f"SEQ {kind_zh} \\* ARABIC", str(count), size=9, color="222222")
        paragraph.add_run(f"  {caption.zh}")
        _font(paragraph.add_run(f"\n{kind_en} {count}. {caption.en}"), size=8, color=_GREY)

    def _figure(self, block: Figure) -> None:
        self.figures += 1
        paragraph = self.opened.add_paragraph()
        paragraph.alignment = _centre()
        paragraph.paragraph_format.keep_with_next = True
        shape = paragraph.add_run().add_picture(io.BytesIO(block.png), width=_mm(block.width_mm))
        described = shape._inline.docPr
        described.set("descr", f"{block.caption.zh} {block.caption.en}")
        described.set("title", block.caption.zh)
        self._caption("图", "Figure", self.figures, block.caption, next_too=False)
        self._note(block.note)

    def _note(self, note: Text | None) -> None:
        if note is not None:
            self._paragraph(Paragraph(Text(zh=f"注：{note.zh}", en=f"Note: {note.en}"), "note"))

    def _table(self, block: Table) -> None:
        self.tables += 1
        self._caption("表", "Table", self.tables, block.caption, next_too=True)
        if not block.rows:
            self._paragraph(Paragraph(Text(zh="（无）", en="(none)"), "note"))
            return
        from docx.oxml import parse_xml

        end = self.opened.element.body.sectPr
        end.addprevious(parse_xml(_table_xml(block)))
        self._note(block.note)
        if block.note is None:
            self.opened.add_paragraph()


# -- what python-docx has no call for --------------------------------------------------------------------------------------


def _centre() -> Any:
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    return WD_ALIGN_PARAGRAPH.CENTER


def _mm(value: float) -> Any:
    from docx.shared import Mm

    return Mm(value)


def _widths(columns: tuple[Column, ...]) -> list[float]:
    whole = sum(column.width for column in columns)
    return [_WIDTH_MM * column.width / whole for column in columns]


def _element(name: str, **attributes: str) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    made = OxmlElement(name)
    for key, value in attributes.items():
        made.set(qn(f"w:{key}"), value)
    return made


def _east(properties: Any, font: str) -> None:
    """Set the font of Chinese characters; without it Word takes the Latin font and shows its fallback."""
    from docx.oxml.ns import qn

    fonts = properties.find(qn("w:rFonts"))
    if fonts is None:
        fonts = _element("w:rFonts")
        properties.insert(0, fonts)
    for key in list(fonts.attrib):
        if "Theme" in key:
            del fonts.attrib[key]
    for script, name in (("ascii", _LATIN), ("hAnsi", _LATIN), ("cs", _LATIN), ("eastAsia", font)):
        fonts.set(qn(f"w:{script}"), name)


def _font(run: Any, *, size: float, color: str | None = None, bold: bool | None = None) -> None:
    from docx.shared import Pt, RGBColor

    run.font.size = Pt(size)
    if bold is not None:
        run.font.bold = bold
    if color is not None:
        run.font.color.rgb = RGBColor.from_string(color)


def _write(cell: Any, value: Text | str, *, size: float) -> None:
    paragraph = cell.paragraphs[0]
    paragraph.paragraph_format.space_after = 0
    if isinstance(value, Text):
        _font(paragraph.add_run(f"{value.zh} "), size=size)
        _font(paragraph.add_run(value.en), size=size - 1, color=_GREY)
    else:
        _font(paragraph.add_run(value), size=size)


def _width(cell: Any, width_mm: float) -> None:
    cell.width = _mm(width_mm)


_SPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_ALIGN = {"left": "left", "center": "center", "right": "right"}


def _table_xml(block: Table) -> str:
    """A table as WordprocessingML: written as text, because a call for each cell takes a hundred times as long."""
    size = 7.0 if block.small else 8.5
    widths = [round(width * 56.7) for width in _widths(block.columns)]  # twentieths of a point
    sides = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="B9C4CF"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    margins = "".join(f'<w:{side} w:w="60" w:type="dxa"/>' for side in ("left", "right"))
    head = "".join(
        _cell_xml(column.title, width, size, "center", head=True, inline=False)
        for column, width in zip(block.columns, widths, strict=True)
    )
    rows = "".join(
        "<w:tr><w:trPr><w:cantSplit/></w:trPr>"
        + "".join(
            _cell_xml(value, width, size, column.align, inline=block.small)
            for value, width, column in zip(row, widths, block.columns, strict=True)
        )
        + "</w:tr>"
        for row in block.rows
    )
    return (
        f'<w:tbl xmlns:w="{_SPACE}"><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:jc w:val="center"/>'
        f'<w:tblBorders>{sides}</w:tblBorders><w:tblLayout w:type="fixed"/><w:tblCellMar>{margins}</w:tblCellMar></w:tblPr>'
        f"<w:tblGrid>{''.join(f'<w:gridCol w:w="{width}"/>' for width in widths)}</w:tblGrid>"
        f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{head}</w:tr>{rows}</w:tbl>"
    )


def _cell_xml(value: Cell, width: int, size: float, align: str, *, head: bool = False, inline: bool = False) -> str:
    runs = []
    if isinstance(value, Mark):
        runs.append(_run_xml("■ ", size, color=value.color.lstrip("#").upper()))
        value = value.text
    if isinstance(value, Text):
        runs.append(_run_xml(value.zh, size, bold=head))
        if value.en != value.zh:
            english = f" {value.en}" if inline else f"\n{value.en}"
            runs.append(_run_xml(english, size - 1, color=_GREY))
    else:
        runs.append(_run_xml("—" if value is None else value, size, bold=head))
    shade = '<w:shd w:val="clear" w:color="auto" w:fill="E8EEF4"/>' if head else ""
    return (
        f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{shade}<w:vAlign w:val="center"/></w:tcPr><w:p><w:pPr>'
        f'<w:spacing w:before="0" w:after="0" w:line="240" w:lineRule="auto"/><w:jc w:val="{_ALIGN[align]}"/></w:pPr>'
        f"{''.join(runs)}</w:p></w:tc>"
    )


def _run_xml(text: str, size: float, *, color: str = "222222", bold: bool = False) -> str:
    from xml.sax.saxutils import escape

    lines = "<w:br/>".join(f'<w:t xml:space="preserve">{escape(_printable(line))}</w:t>' for line in text.split("\n"))
    weight = "<w:b/>" if bold else ""
    half = round(2 * size)
    return f'<w:r><w:rPr>{weight}<w:color w:val="{color}"/><w:sz w:val="{half}"/><w:szCs w:val="{half}"/></w:rPr>{lines}</w:r>'


def _printable(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return "".join(c for c in text if c >= " " or c == "\t")


def _frame(paragraph: Any) -> None:
    borders = _element("w:pBdr")
    for side in ("top", "left", "bottom", "right"):
        borders.append(_element(f"w:{side}", val="single", sz="6", space="4", color="C0392B"))
    paragraph._p.get_or_add_pPr().append(borders)


def _strip_outline(paragraph: Any) -> None:
    """The heading of the contents is no entry of the contents."""
    paragraph._p.get_or_add_pPr().append(_element("w:outlineLvl", val="9"))


def _char(paragraph: Any, kind: str) -> None:
    paragraph.add_run()._r.append(_element("w:fldChar", fldCharType=kind))


def _instruction(paragraph: Any, code: str) -> None:
    from docx.oxml.ns import qn

    made = _element("w:instrText")
    made.set(qn("xml:space"), "preserve")
    made.text = code
    paragraph.add_run()._r.append(made)


def _field(paragraph: Any, code: str, shown: str, *, size: float = 8, color: str = _GREY) -> None:
    """A field (page number, sequence) with the text that it shows until Word counts again."""
    _char(paragraph, "begin")
    _instruction(paragraph, code)
    _char(paragraph, "separate")
    _font(paragraph.add_run(shown), size=size, color=color)
    _char(paragraph, "end")
