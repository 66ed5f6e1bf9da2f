"""From changed cells to patches (图斑): what belongs together, of which kind, since when, how sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.candidate_rules import CandidateRules

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from analyses.water.shore.disturbance import Looks

__all__ = ["Patch", "cell_polygons", "find_patches"]

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Patch:
    """One candidate of 乱占、乱采、乱堆 or 乱建."""

    kind: str
    subject: str
    """Id of the row of the table, or ``spoil``."""
    shape: Any
    """Polygon along the cells, EPSG:4490."""
    area_m2: float
    before: int
    after: int
    """Surface codes that most of its cells had before and have now."""
    first: int
    last: int
    normal: int
    """Numbers of the looks, from 0; `normal` is −1 where there is none."""
    looks: int
    """Looks in which it is seen changed, median of its cells."""
    confirmed: bool
    magnitude: float
    row0: int
    col0: int
    cells: NDArray[np.bool_]
    """Its cells, from (row0, col0) on."""


def _most(values: NDArray[Any]) -> int:
    return int(np.bincount(values).argmax())


def find_patches(
    found: Mapping[str, NDArray[Any]],
    looks: Looks,
    cell_m2: NDArray[np.float64],
    affine: Affine,
    rules: CandidateRules,
) -> list[Patch]:
    """Patches of at least the minimum area, the largest first.

    Changed cells that touch (8-connected) are one patch if one kind has the share ``dominant`` of it, else one a kind, where
    parts below the minimum join the largest one. A patch must hold 2 × 2 cells: a row of single cells is a shore that moved.
    Heaps near a pit are its spoil.

    Parameters
    ----------
    found : mapping
        Arrays (rows, cols) of `disturbance.changed_cells`.
    cell_m2 : float (rows,)
        Ellipsoidal area of a cell by row.
    """
    from scipy import ndimage

    changed = np.asarray(found["row"]) > 0
    labels, _ = ndimage.label(changed, structure=_EIGHT)
    core = ndimage.binary_opening(changed, structure=np.ones((2, 2), dtype=bool))
    solid = np.unique(labels[core])
    kinds = np.array([""] + [row.kind for row in rules.table.rows])
    order = sorted(set(kinds[1:]))
    number = np.array([0] + [order.index(kind) + 1 for kind in kinds[1:]], dtype=np.uint8)
    patches: list[Patch] = []
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None or label not in solid:
            continue
        cells = labels[place] == label
        area = np.broadcast_to(cell_m2[place[0]][:, None], cells.shape)
        if float(area[cells].sum()) < rules.change.least_m2:
            continue
        kind = np.where(cells, number[np.asarray(found["row"][place])], 0)
        for part in _parts(kind, cells, area, rules):
            patches.append(_patch(part, place, found, looks, cell_m2, affine, rules))
    patches.sort(key=lambda patch: -patch.area_m2)
    return _with_spoil(patches, rules)


def _parts(
    kind: NDArray[Any], cells: NDArray[np.bool_], area: NDArray[np.float64], rules: CandidateRules
) -> list[NDArray[np.bool_]]:
    """The component whole, or cut by kind; no cell is lost."""
    from scipy import ndimage

    weights = np.bincount(kind[cells], weights=area[cells])
    if weights.max() >= rules.change.dominant * weights.sum():
        return [cells]
    parts: list[tuple[float, NDArray[np.bool_]]] = []
    spare = np.zeros_like(cells)
    for one in np.flatnonzero(weights):
        labels, count = ndimage.label(kind == one, structure=_EIGHT)
        for label in range(1, count + 1):
            piece = labels == label
            size = float(area[piece].sum())
            if size >= rules.change.least_m2:
                parts.append((size, piece))
            else:
                spare |= piece
    if not parts:
        return [cells]
    parts.sort(key=lambda part: -part[0])
    return [parts[0][1] | spare, *(piece for _, piece in parts[1:])]


def _patch(
    cells: NDArray[np.bool_],
    place: Any,
    found: Mapping[str, NDArray[Any]],
    looks: Looks,
    cell_m2: NDArray[np.float64],
    affine: Affine,
    rules: CandidateRules,
) -> Patch:
    values = {name: np.asarray(found[name][place])[cells] for name in found}
    row = _most(values["row"])
    rule = rules.table.rows[row - 1]
    span = looks.days[values["last"].astype(int) - 1] - looks.days[values["first"].astype(int) - 1]
    days = np.array([0, *(one.confirm_days for one in rules.table.rows)])
    sure = (values["run"] >= 2) & (span >= days[values["row"]])
    same = values["row"] == row
    row0, col0 = place[0].start, place[1].start
    return Patch(
        rule.kind,
        rule.id,
        cell_polygons(cells, row0, col0, affine),
        float((cells.sum(axis=1) * cell_m2[place[0]]).sum()),
        _most(values["before"][same]),
        _most(values["after"][same]),
        _most(values["first"]) - 1,
        _most(values["last"]) - 1,
        _most(values["normal"]) - 1,
        int(np.median(values["run"])),
        bool(sure.mean() >= 0.5),
        float(np.mean(values["magnitude"])),
        row0,
        col0,
        cells,
    )


def _with_spoil(patches: Sequence[Patch], rules: CandidateRules) -> list[Patch]:
    """Heaps beside a pit belong to the digging (采挖弃料)."""
    from analyses.water.shore.corridor_change import geodesic_buffer

    pits = [patch.shape for patch in patches if patch.kind == "extraction"]
    if not pits or rules.change.spoil_within_m == 0:
        return list(patches)
    near = [geodesic_buffer(pit, rules.change.spoil_within_m) for pit in pits]
    return [
        replace(patch, kind="extraction", subject="spoil")
        if patch.kind == "dumping" and any(zone.intersects(patch.shape) for zone in near)
        else patch
        for patch in patches
    ]


def cell_polygons(cells: NDArray[np.bool_], row0: int, col0: int, affine: Affine) -> Any:
    """Outline of the cells of a patch, EPSG:4490; cells that touch at a corner make several parts."""
    import shapely
    from rasterio.features import shapes

    here = affine @ type(affine).translation(col0, row0)
    parts: list[Any] = [
        shapely.geometry.shape(outline)
        for outline, _ in shapes(cells.astype(np.uint8), mask=cells, transform=here, connectivity=4)
    ]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
