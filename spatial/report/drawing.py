"""Drawing without a screen: the Chinese font, figures as PNG, a frame of axes; safe in any thread (no pyplot)."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spatial.errors import ServiceUnavailable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FONT_LINE", "INK", "chinese_font", "figure", "font", "png", "wrapped"]

FONT_LINE = "apt-get update && apt-get install -y fonts-noto-cjk"
INK = "#222222"
_FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Sans CJK JP",
)
_DPI = 200


@lru_cache(maxsize=1)
def chinese_font() -> str:
    """Name of an installed font with Chinese characters.

    Raises
    ------
    ServiceUnavailable
        With the line that installs one.
    """
    from matplotlib import font_manager

    names = {entry.name for entry in font_manager.fontManager.ttflist}
    found = next((name for name in _FAMILIES if name in names), None)
    if found is None:
        raise ServiceUnavailable(
            f"没有中文字体，地图会缺字；请运行：{FONT_LINE}",
            f"no Chinese font: maps would miss their characters; run: {FONT_LINE}",
        )
    return found


def font(size: float, *, bold: bool = False) -> Any:
    """The Chinese font at a size in points."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(family=chinese_font(), size=size, weight="bold" if bold else "regular")


def figure(width_mm: float, height_mm: float) -> Figure:
    """An empty white figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as New

    made = New(figsize=(width_mm / 25.4, height_mm / 25.4), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(made)
    return made


def png(drawn: Figure) -> bytes:
    """The figure as PNG with a palette of 255 colours, a third of the size; the same bytes for the same figure."""
    from PIL import Image

    raw = io.BytesIO()
    drawn.savefig(raw, format="png", dpi=_DPI, metadata={"Software": None})
    raw.seek(0)
    with Image.open(raw) as opened:
        small = opened.convert("RGB").quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    out = io.BytesIO()
    small.save(out, format="PNG", dpi=(_DPI, _DPI))
    return out.getvalue()


def wrapped(text: str, width: int) -> str:
    r"""A text in lines of about `width` half-width columns; Chinese characters count two.

    >>> wrapped("地质灾害易发性修正", 8)
    '地质灾害\n易发性修\n正'
    """
    lines, line, used = [], "", 0
    for word in _words(text):
        size = sum(2 if c > "\u2e7f" else 1 for c in word)
        if line and used + size > width:
            lines.append(line.rstrip())
            line, used = "", 0
        line, used = line + word, used + size
    return "\n".join([*lines, line.rstrip()])


def _words(text: str) -> list[str]:
    words: list[str] = []
    for c in text:
        # Letters stay together, and a space ends a word; a Chinese character is a word of its own.
        joins = bool(words) and c <= "\u2e7f" and words[-1][-1] <= "\u2e7f" and words[-1][-1] != " "
        if joins or (c == " " and words):
            words[-1] += c
        else:
            words.append(c)
    return words
