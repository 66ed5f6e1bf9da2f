"""Labelling by blocks (分块标注连通域): the kernels that patches of equal grade and flooded ground share.

A block is labelled, the labels along its rim are numbered, and the numbers of two blocks that lie beside each other are
joined. All three are meant for `spatial.compiled.compiled`; they work on plain arrays, so that they run uncompiled too.

Source: two-pass labelling with union–find (Wu, Otoo and Suzuki 2009, doi 10.1007/s10044-008-0109-y).
"""

from __future__ import annotations

from typing import Any

__all__ = ["join_lines", "label_cells", "number_rim"]


def label_cells(grades: Any, row_areas: Any, labels: Any, parent: Any, area: Any) -> int:
    """Patches of one block: `labels` by cell (0 = no patch), `area` by label; number of labels.

    `parent` leads from each label to its patch's first label, whose `area` is that of the patch inside the block.
    """
    height, width = grades.shape
    count = 0
    for r in range(height):
        cell = row_areas[r]
        for c in range(width):
            grade = grades[r, c]
            if grade == 0:
                labels[r, c] = 0
                continue
            # Cells above and left of this one; two that touch each other carry labels that are joined already.
            label = 0
            other = 0
            if r > 0:
                if grades[r - 1, c] == grade:
                    label = labels[r - 1, c]
                elif c + 1 < width and grades[r - 1, c + 1] == grade:
                    label = labels[r - 1, c + 1]
                    if c > 0:
                        if grades[r - 1, c - 1] == grade:
                            other = labels[r - 1, c - 1]
                        elif grades[r, c - 1] == grade:
                            other = labels[r, c - 1]
                elif c > 0 and grades[r - 1, c - 1] == grade:
                    label = labels[r - 1, c - 1]
            if label == 0 and c > 0 and grades[r, c - 1] == grade:
                label = labels[r, c - 1]
            if label == 0:
                count += 1
                label = count
                parent[count] = count
                area[count] = 0
            elif other != 0 and other != label:
                while parent[label] != label:
                    parent[label] = parent[parent[label]]
                    label = parent[label]
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if other < label:
                    parent[label] = other
                    label = other
                else:
                    parent[other] = label
            labels[r, c] = label
            area[label] += cell
    for label in range(1, count + 1):
        first = parent[parent[label]]
        parent[label] = first
        if first != label:
            area[first] += area[label]
    return count


def number_rim(labels: Any, parent: Any, area: Any, node: Any, sides: Any, areas: Any) -> int:
    """Number the patches along the rim of a block: `sides` by rim cell (−1 = no patch), `areas` by number; their count.

    `sides` holds the top row, the bottom row, the left column and the right column one after the other.
    """
    height, width = labels.shape
    count = 0
    for k in range(sides.size):
        if k < width:
            label = labels[0, k]
        elif k < 2 * width:
            label = labels[height - 1, k - width]
        elif k < 2 * width + height:
            label = labels[k - 2 * width, 0]
        else:
            label = labels[k - 2 * width - height, width - 1]
        if label == 0:
            sides[k] = -1
            continue
        first = parent[label]
        if node[first] < 0:
            node[first] = count
            areas[count] = area[first]
            count += 1
        sides[k] = node[first]
    return count


def join_lines(nodes_a: Any, nodes_b: Any, grades_a: Any, grades_b: Any, parent: Any) -> None:
    """Join the patches of two lines of cells that lie beside each other, corners included."""
    for i in range(nodes_a.size):
        if nodes_a[i] < 0:
            continue
        for j in range(max(i - 1, 0), min(i + 2, nodes_b.size)):
            if nodes_b[j] < 0 or grades_a[i] != grades_b[j]:
                continue
            a = nodes_a[i]
            b = nodes_b[j]
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b
