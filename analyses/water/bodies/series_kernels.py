"""Compiled kernels of the area series (面积序列的逐像元核): strata of cells, the ring around a body, counts, shore cells."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ring", "shore", "stratify", "tally", "widened"]


def stratify(
    body: Any,
    wet: Any,
    clear: Any,
    changed: Any,
    top: int,
    left: int,
    boxes: Any,
    sides: Any,
    first: Any,
    bins: int,
    out: Any,
) -> None:
    """Stratum of each cell before empty ones are left out: cell of the body's box × bin of occurrence, then change polygons."""
    for r in range(body.shape[0]):
        for c in range(body.shape[1]):
            k = body[r, c]
            if k < 0:
                out[r, c] = -1
                continue
            side = sides[k]
            if changed[r, c]:
                out[r, c] = first[k] + side * side * bins + changed[r, c] - 1
                continue
            # Cells of the ring around the box go to its outermost cells.
            i = min(max((top + r - boxes[k, 0]) * side // boxes[k, 2], 0), side - 1)
            j = min(max((left + c - boxes[k, 1]) * side // boxes[k, 3], 0), side - 1)
            n = clear[r, c]
            b = 0
            if n > 0:
                b = min(int(wet[r, c] * bins // n), bins - 1)
            out[r, c] = first[k] + (i * side + j) * bins + b


def ring(label: Any, wet: Any, clear: Any, extent: float, least: int, reach: int, out: Any) -> None:
    """Bodies spread into rarely wet cells, step by step; a cell that two reach at once goes to the smaller number."""
    rows, cols = label.shape
    step = np.zeros((rows, cols), np.uint8)
    for r in range(rows):
        for c in range(cols):
            out[r, c] = label[r, c]
            step[r, c] = 1 if label[r, c] > 0 else 0
    for k in range(1, reach + 1):
        grown = False
        for r in range(rows):
            for c in range(cols):
                if step[r, c] != 0 or wet[r, c] < least or wet[r, c] >= extent * clear[r, c] - 1e-9:
                    continue
                best = 0
                for d in range(4):
                    y = r + (1 if d == 0 else (-1 if d == 1 else 0))
                    x = c + (1 if d == 2 else (-1 if d == 3 else 0))
                    near = 0 <= y < rows and 0 <= x < cols and step[y, x] == k
                    if near and (best == 0 or out[y, x] < best):
                        best = out[y, x]
                if best:
                    out[r, c] = best
                    step[r, c] = k + 1
                    grown = True
        if not grown:
            break


def tally(
    codes: Any,
    at: Any,
    rows: Any,
    body: Any,
    inner: Any,
    stratum: Any,
    area: Any,
    seen: Any,
    wet: Any,
    cells: Any,
    areas: Any,
) -> None:
    """Wet and dry cells of a block by body and by stratum, and their areas; cells of the ring count when wet."""
    flat = codes.ravel()
    for k in range(at.size):
        code = flat[at[k]]
        if code >= 250:
            continue
        b = body[k]
        s = stratum[k]
        seen[s] += 1
        water = code == 1 or code == 2
        if water:
            wet[s] += 1
        # Wet and dry of the polygon; wet of the ring.
        kind = (0 if water else 1) if inner[k] else 2
        if kind < 2 or water:
            cells[kind, b] += 1
            areas[kind, b] += area[rows[k]]


def shore(codes: Any, above: int, before: int, label: Any, area: Any, top: int, found: Any) -> None:
    """Area of the cells of partial water that touch water, by body; `codes` is wider than `label` by what lies around it."""
    rows, cols = codes.shape
    for r in range(label.shape[0]):
        for c in range(label.shape[1]):
            k = label[r, c]
            if k < 0:
                continue
            y = r + above
            x = c + before
            if codes[y, x] != 3 and codes[y, x] != 4:
                continue
            touches = False
            for i in range(max(y - 1, 0), min(y + 2, rows)):
                for j in range(max(x - 1, 0), min(x + 2, cols)):
                    touches = touches or codes[i, j] == 1 or codes[i, j] == 2
            if touches:
                found[k] += area[top + r]


def widened(body: Any, out: Any) -> None:
    """Bodies with one more cell all around; a cell between two goes to the smaller number."""
    rows, cols = body.shape
    for r in range(rows):
        for c in range(cols):
            best = body[r, c]
            if best < 0:
                for i in range(max(r - 1, 0), min(r + 2, rows)):
                    for j in range(max(c - 1, 0), min(c + 2, cols)):
                        k = body[i, j]
                        if k >= 0 and (best < 0 or k < best):
                            best = k
            out[r, c] = best
