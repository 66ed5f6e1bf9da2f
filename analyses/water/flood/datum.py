"""Vertical datums (高程基准) of gauges: a level comes to the datum of the terrain by the station's own offset, or not at all.

吴淞 and 1985 国家高程基准 differ by another amount at each station, so that no general offset exists; a missing one is an
error, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial.errors import QualityViolation

if TYPE_CHECKING:
    from analyses.water.flood.rules import DatumOffset

__all__ = ["UNKNOWN", "ReferredLevel", "canonical_datum", "refer_level"]

UNKNOWN = frozenset({"", "未注明", "不详", "unknown", "none", "nan", "<na>"})
"""What a table writes where it does not know the datum."""

_NAMES = {
    "吴淞": "wusong",
    "吴淞高程": "wusong",
    "吴淞基面": "wusong",
    "冻结吴淞": "wusong",
    "wusong": "wusong",
    "1985": "1985",
    "85": "1985",
    "1985国家高程基准": "1985",
    "国家85": "1985",
    "85黄海": "1985",
    "cgvd1985": "1985",
    "egm96": "egm96",
    "egm2008": "egm2008",
}


@dataclass(frozen=True, slots=True)
class ReferredLevel:
    """A level in the datum of the terrain, and how it came there."""

    level_m: float
    datum: str
    offset_m: float
    """Added to the level of the station."""
    uncertainty_m: float
    """Standard deviation of the offset, m."""
    source: str


def canonical_datum(name: object) -> str | None:
    """Short name of a datum; None where it is not known.

    Examples
    --------
    >>> canonical_datum("吴淞"), canonical_datum("1985国家高程基准"), canonical_datum("未注明"), canonical_datum(None)
    ('wusong', '1985', None, None)
    """
    if name is None:
        return None
    text = str(name).strip().replace(" ", "").replace("（", "").replace("）", "")
    if text.lower() in UNKNOWN:
        return None
    return _NAMES.get(text) or _NAMES.get(text.lower())


def refer_level(
    level_m: float, *, station: str, datum: object, target: object, offsets: Iterable[DatumOffset], layer: str = ""
) -> ReferredLevel:
    """The level of a station in another datum.

    Formula: z = level + offset(station, from, to); from = to gives offset 0 and uncertainty 0.

    Parameters
    ----------
    level_m : float, m
        In the datum of the station.
    datum, target : str
        Datum of the station's levels and of the terrain.
    offsets : iterable of DatumOffset
        Known offsets (`layers/rules/flood.yml`); one of the other direction is turned round.

    Raises
    ------
    QualityViolation
        With ``reason="datum-missing"``: the datum of the station or of the terrain is unknown, or no offset is known.
    """
    here, there = canonical_datum(datum), canonical_datum(target)
    if here is None:
        raise QualityViolation(
            f"测站 {station} 的高程基准未注明（{datum}），水位不能与地形相比；请在测站图层的 datum 字段写明基准",
            f"the datum of station {station} is unknown ({datum}), its level cannot be compared with the terrain; "
            "state it in the field datum of the gauges",
            layer=layer or None,
            station=station,
            reason="datum-missing",
        )
    if there is None:
        raise QualityViolation(
            f"地形的高程基准未注明（{target}），请在 layers/rules/flood.yml 的 terrains 中写明",
            f"the datum of the terrain is unknown ({target}); state it under terrains in layers/rules/flood.yml",
            layer=layer or None,
            station=station,
            reason="datum-missing",
        )
    if here == there:
        return ReferredLevel(level_m, there, 0.0, 0.0, "same datum")
    for offset in offsets:
        if offset.station != station:
            continue
        pair = canonical_datum(offset.datum), canonical_datum(offset.target)
        if pair == (here, there):
            return ReferredLevel(level_m + offset.add_m, there, offset.add_m, offset.uncertainty_m, offset.source)
        if pair == (there, here):
            return ReferredLevel(level_m - offset.add_m, there, -offset.add_m, offset.uncertainty_m, offset.source)
    raise QualityViolation(
        f"测站 {station} 没有从 {datum} 到 {target} 的高程基准改正数，不能推算；请在 layers/rules/flood.yml 的 offsets 中"
        "补充，并注明出处与不确定度",
        f"station {station} has no offset from {datum} to {target} and none is assumed; add it under offsets in "
        "layers/rules/flood.yml with source and uncertainty",
        layer=layer or None,
        station=station,
        reason="datum-missing",
    )
