"""What a report holds, whichever file it becomes: sections of paragraphs, tables and figures, in Chinese and English.

The writers (`spatial.report.word`, `spatial.report.pdf`) number figures and tables in the order in which they stand, so
that both files agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from spatial.catalog import Text

__all__ = [
    "LONG",
    "Block",
    "Cell",
    "Column",
    "Document",
    "Figure",
    "Mark",
    "Paragraph",
    "Section",
    "Table",
    "number",
    "numbered",
    "with_annex",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell with a colour: a class, a warning level, or a value that was not checked."""

    text: Text | str
    color: str
    """``#rrggbb`` of the swatch."""


Cell = str | Text | Mark | None
"""What a table holds; None is written as a dash."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text; a ``warning`` is framed, a ``note`` is small."""

    text: Text
    kind: Literal["body", "note", "warning", "item"] = "body"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: Text
    align: Literal["left", "right", "center"] = "left"
    width: float = 1.0
    """Share of the table's width, relative to the others."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header row that is repeated on each page."""

    caption: Text
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]
    note: Text | None = None
    small: bool = False
    """Long tables are set smaller."""

    def __post_init__(self) -> None:
        wrong = next((row for row in self.rows if len(row) != len(self.columns)), None)
        if wrong is not None:
            raise ValueError(f"table {self.caption.en!r}: {len(self.columns)} columns, a row of {len(wrong)}: {wrong}")


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture."""

    caption: Text
    png: bytes
    width_mm: float = 165.0
    note: Text | None = None


Block = Paragraph | Table | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it."""

    title: Text
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()
    new_page: bool = False
    keeps_tables: bool = False
    """Its tables are its content: long ones stay."""


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: Text
    subtitle: Text
    cover: tuple[tuple[Text, str], ...]
    """Label and value, on the first page."""
    sections: tuple[Section, ...]
    marked: Text | None = None
    """Mark at the head of every page, for synthetic data."""
    about: dict[str, str] = field(default_factory=dict)
    """Properties of the file: ``author``, ``subject``, ``keywords``, ``created`` (ISO 8601)."""


LONG = 20
"""Rows beyond which a table goes to the annex."""


def with_annex(sections: Sequence[Section], title: Text) -> tuple[Section, ...]:
    """The sections with their long tables at the end, in a section of their own; where one stood, a line points to it."""
    moved: list[Table] = []

    def shortened(section: Section) -> Section:
        blocks: list[Block] = []
        for block in section.blocks:
            if isinstance(block, Table) and len(block.rows) > LONG and not section.keeps_tables:
                moved.append(block)
                said = Text(
                    zh=f"{block.caption.zh}（{len(block.rows)} 行）见附表。",
                    en=f"{block.caption.en} ({len(block.rows)} rows): see the annex.",
                )
                blocks.append(Paragraph(said, "note"))
            else:
                blocks.append(block)
        return replace(section, blocks=tuple(blocks), parts=tuple(shortened(part) for part in section.parts))

    found = tuple(shortened(section) for section in sections)
    if not moved:
        return found
    parts = tuple(Section(table.caption, (table,)) for table in moved)
    return (*found, Section(title, (), parts, new_page=True))


def numbered(sections: Sequence[Section], above: str = "") -> Iterator[tuple[str, int, Section]]:
    """Number, level (from 1) and section, in reading order.

    >>> part = Section(Text(zh="乙", en="b"))
    >>> [(n, level) for n, level, _ in numbered((Section(Text(zh="甲", en="a"), parts=(part,)), part))]
    [('1', 1), ('1.1', 2), ('2', 1)]
    """
    for k, section in enumerate(sections, start=1):
        own = f"{above}{k}"
        yield own, own.count(".") + 1, section
        yield from numbered(section.parts, f"{own}.")


def number(value: float | int | None, digits: int = 1) -> str | None:
    """A number with thousands in groups; None stays None (written as a dash).

    >>> number(113522.60689), number(0.004, 2), number(None)
    ('113,522.6', '0.00', None)
    """
    return None if value is None else f"{value:,.{digits}f}"
