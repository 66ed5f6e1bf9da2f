"""Charts of a report: shares of limiting factors, shares of classes by unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spatial.catalog import Text
from spatial.report.drawing import INK, figure, font, png, wrapped

__all__ = ["bar_chart", "stacked_chart"]


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_linewidth(0.5)
    axes.tick_params(length=0, pad=3)
    axes.grid(True, axis="x", linewidth=0.3, color="#bbbbbb")
    axes.set_axisbelow(True)
    for label in axes.get_xticklabels():
        label.set_fontproperties(font(7))


def bar_chart(
    rows: Sequence[tuple[Text, float, str]], *, axis: Text, digits: int = 1, width_mm: float = 165.0
) -> bytes:
    """Horizontal bars, the first row on top.

    Parameters
    ----------
    rows : sequence of (title, value, colour)
    axis : Text
        What the bars measure, with its unit.
    """
    height = 16 + 8.2 * len(rows)
    drawn = figure(width_mm, height)
    left = 58.0
    axes = drawn.add_axes((left / width_mm, 11 / height, 1 - (left + 14) / width_mm, 1 - 13 / height))
    at = range(len(rows))
    values = [value for _, value, _ in rows]
    axes.barh(at, values, color=[c for _, _, c in rows], height=0.66, edgecolor="#666666", linewidth=0.3)
    axes.set_yticks(at, [wrapped(f"{t.zh} {t.en}", 46) for t, _, _ in rows])
    for label in axes.get_yticklabels():
        label.set_fontproperties(font(6.5))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max([*values, 1e-9]) * 1.12)
    for k, value in enumerate(values):
        axes.text(value, k, f" {value:,.{digits}f}", va="center", fontproperties=font(7), color=INK)
    axes.set_xlabel(f"{axis.zh} {axis.en}", fontproperties=font(7), labelpad=2)
    _plain(axes)
    return png(drawn)


def stacked_chart(
    names: Sequence[str],
    parts: Sequence[tuple[Text, Sequence[float], str]],
    *,
    axis: Text,
    width_mm: float = 165.0,
) -> bytes:
    """Horizontal bars of 100 %, one a unit.

    Parameters
    ----------
    names : sequence of str
    parts : sequence of (title, values by name in percent, colour)
    """
    height = 24 + 5.4 * len(names)
    drawn = figure(width_mm, height)
    left = 32.0
    axes = drawn.add_axes((left / width_mm, 11 / height, 1 - (left + 6) / width_mm, 1 - 21 / height))
    begin = [0.0] * len(names)
    for title, values, color in parts:
        axes.barh(
            range(len(names)), values, left=begin, color=color, height=0.72, label=f"{title.zh} {title.en}",
            edgecolor="#666666", linewidth=0.25,
        )  # fmt: skip
        begin = [a + b for a, b in zip(begin, values, strict=True)]
    axes.set_yticks(range(len(names)), names)
    for label in axes.get_yticklabels():
        label.set_fontproperties(font(7))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"{axis.zh} {axis.en}", fontproperties=font(7), labelpad=2)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(len(parts), 4),
        frameon=False,
        prop=font(7),
        borderaxespad=0.3,
    )
    _plain(axes)
    return png(drawn)
