"""Lineage of water bodies (图斑沿革): which body of an earlier set became which, by split, merger or simply on; stable ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.water.bodies.rules import LineageRule
from spatial.errors import CRSMismatch, InvalidParameter

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = ["RELATIONS", "Lineage", "lineage"]

RELATIONS = {
    "same": "one body became one / 延续",
    "split": "one became several / 分裂",
    "merge": "several became one / 合并",
    "complex": "several became several / 重组",
    "new": "no body before / 新出现",
    "lost": "no body after / 不再成斑",
}


@dataclass(frozen=True)
class Lineage:
    """Relations of two sets of bodies."""

    bodies: gpd.GeoDataFrame
    """The later set; ``id`` is the inherited one, ``first_id`` that of its own geometry."""
    links: pd.DataFrame
    """One row a pair: ``earlier_id, id, overlap_m2, share_earlier, share_later, relation``; new and lost have no partner."""


def lineage(earlier: gpd.GeoDataFrame, later: gpd.GeoDataFrame, rule: LineageRule) -> Lineage:
    """Carry the ids of an earlier set of bodies over to a later one.

    Two bodies are related when they overlap by at least ``overlap_share`` of the smaller one. Of the bodies that come from one
    earlier body the one with the largest overlap keeps its id; a merged body keeps the id of the part with the largest
    overlap. Every other body keeps the id of its own point; no id occurs twice.

    Parameters
    ----------
    earlier, later : GeoDataFrame
        Columns ``id``, ``area_m2``; same CRS.

    Raises
    ------
    CRSMismatch
        The CRSs differ.
    InvalidParameter
        ``id`` or ``area_m2`` is missing, or an id occurs twice in a set.
    """
    import pandas as pd
    import shapely

    for name, frame in (("earlier", earlier), ("later", later)):
        if {"id", "area_m2"} - set(frame.columns) or frame["id"].duplicated().any():
            raise InvalidParameter(
                f"{name} 须有互不相同的 id 和 area_m2 字段",
                f"{name} needs unique ids and the column area_m2",
                parameter=name,
            )
    if len(earlier) and len(later) and earlier.crs != later.crs:
        raise CRSMismatch(
            f"两期图斑的坐标系不同：{earlier.crs} 与 {later.crs}",
            f"the sets differ in CRS: {earlier.crs} and {later.crs}",
        )
    old, new = earlier.geometry.to_numpy(), later.geometry.to_numpy()
    if len(old) and len(new):
        i, j = shapely.STRtree(new).query(old, predicate="intersects")
        planar_old, planar_new = shapely.area(old), shapely.area(new)
        common = shapely.area(shapely.intersection(old[i], new[j]))
        related = common >= rule.overlap_share * np.minimum(planar_old[i], planar_new[j])
        i, j, common = i[related], j[related], common[related]
    else:
        i, j, common = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
        planar_old, planar_new = np.ones(len(old)), np.ones(len(new))
    heirs, parents = np.bincount(i, minlength=len(old)), np.bincount(j, minlength=len(new))

    ids = later["id"].astype(str).to_numpy(dtype=object).copy()
    old_ids = earlier["id"].astype(str).to_numpy(dtype=object)
    taken_old, taken_new = set[int](), set[int]()
    for k in np.lexsort((j, i, -common)):  # the largest overlap first, ties by row
        if int(i[k]) not in taken_old and int(j[k]) not in taken_new:
            ids[j[k]] = old_ids[i[k]]
            taken_old.add(int(i[k]))
            taken_new.add(int(j[k]))
    # An own id that another body has inherited gets a mark.
    before = set(old_ids)
    seen: set[str] = {str(ids[k]) for k in taken_new}
    for k in range(len(ids)):
        if k not in taken_new:
            mark, own = 1, str(ids[k])
            while ids[k] in seen or ids[k] in before:
                mark += 1
                ids[k] = f"{own}-{mark}"
            seen.add(str(ids[k]))

    def relation(a: int, b: int) -> str:
        if heirs[a] == 1 and parents[b] == 1:
            return "same"
        if parents[b] == 1:
            return "split"
        # Merged, unless one of the parts went elsewhere too.
        return "merge" if (heirs[i[j == b]] == 1).all() else "complex"

    old_m2 = earlier["area_m2"].to_numpy()
    rows = [
        {
            "earlier_id": old_ids[a], "id": ids[b], "overlap_m2": float(c / planar_old[a] * old_m2[a]),
            "share_earlier": float(c / planar_old[a]), "share_later": float(c / planar_new[b]), "relation": relation(a, b),
        }
        for a, b, c in zip(i.tolist(), j.tolist(), common.tolist(), strict=True)
    ]  # fmt: skip
    nothing = {"overlap_m2": 0.0, "share_earlier": 0.0, "share_later": 0.0}
    rows += [{"earlier_id": old_ids[a], "id": None, **nothing, "relation": "lost"} for a in np.flatnonzero(heirs == 0)]
    rows += [{"earlier_id": None, "id": ids[b], **nothing, "relation": "new"} for b in np.flatnonzero(parents == 0)]
    columns = ["earlier_id", "id", "overlap_m2", "share_earlier", "share_later", "relation"]
    # Plain objects, so that a missing partner is None and not a NaN among strings.
    links = pd.DataFrame(rows, columns=columns, dtype=object)
    links = links.astype(dict.fromkeys(("overlap_m2", "share_earlier", "share_later"), float))
    return Lineage(later.assign(first_id=later["id"], id=ids), links)
