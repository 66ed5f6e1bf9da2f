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

__all__ = ["UNKNOWN", "ReferredLevel", "canonical_datum", "known_offset", "refer_level"]

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


def known_offset(
    station: str, datum: object, target: object, offsets: Iterable[DatumOffset]
) -> tuple[float, float, str] | None:
    """What is added to a level of the station, its standard deviation (m) and source; None where no offset is known.

    The first offset of the station between the two datums holds; one of the other direction is turned round.
    """
    here, there = canonical_datum(datum), canonical_datum(target)
    if here is None or there is None:
        return None
    if here == there:
        return 0.0, 0.0, "same datum"
    for offset in offsets:
        pair = canonical_datum(offset.datum), canonical_datum(offset.target)
        if offset.station == station and pair == (here, there):
            return offset.add_m, offset.uncertainty_m, offset.source
        if offset.station == station and pair == (there, here):
            return -offset.add_m, offset.uncertainty_m, offset.source
    return None


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
            f"测站 {station} 的高程基准未注明（{datum}），水位不能与别的高程相比；请先查明基准并写入测站图层的 datum 字段"
            "（只给改正数不够：不知道从哪个基准改起）",
            f"the datum of station {station} is unknown ({datum}), its level cannot be compared with other heights; find it out "
            "and state it in the field datum of the gauges (an offset alone does not help: from which datum?)",
            layer=layer or None,
            station=station,
            reason="datum-missing",
        )
    if there is None:
        raise QualityViolation(
            f"测站 {station} 的水位要换算到的基准未注明（{target}）：地形的写在 layers/rules/flood.yml 的 "
            "terrains，要素的写在其 datum 字段",
            f"the datum to bring the level of station {station} to is unknown ({target}): state that of a terrain under terrains "
            "in layers/rules/flood.yml, that of a feature in its field datum",
            layer=layer or None,
            station=station,
            reason="datum-missing",
        )
    found = known_offset(station, datum, target, offsets)
    if found is not None:
        return ReferredLevel(level_m + found[0], there, *found)
    raise QualityViolation(
        f"测站 {station} 没有从 {datum} 到 {target} 的高程基准改正数，不能推算，也不按零处理。请向水文部门取得该站改正数后，"
        f"在本次运行的参数 offsets 中给出（station={station}、datum={datum}、target={target}、add_m、uncertainty_m、source，"
        "出处与不确定度必填），或写入 layers/rules/flood.yml 的 offsets",
        f"station {station} has no offset from {datum} to {target} and none is assumed, not even zero. Ask the hydrological "
        f"service for it and give it in the parameter offsets of the run (station={station}, datum={datum}, target={target}, "
        "add_m, uncertainty_m, source; source and uncertainty are required), or under offsets in layers/rules/flood.yml",
        layer=layer or None,
        station=station,
        reason="datum-missing",
        datum=str(datum),
        target=str(target),
        parameter="offsets",
    )
