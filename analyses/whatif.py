"""What if (情景试算): a published chain with other limits, matrices, corrections or weights, as query parameters say.

The factors raster of a run carries its chain in the provenance. A live tile and an explanation rebuild the chain from
there, change it, and run the same kernel as the batch did.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from analyses.chain import Chain, Graded, Station
from analyses.weighted import GRADED_KINDS, Weighted
from spatial.errors import InvalidParameter, LayerNotFound, QualityViolation, SpatialError, UnknownParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from spatial.catalog import Layer

__all__ = ["NOT_LOCAL", "Recorded", "Scenario", "adjustable", "factors_of", "recorded", "result_of", "scenario"]

CHANGES = ("edges", "matrix", "shift", "weights")
"""Kinds of parameter that name a station: ``edges.slope=3,8,15,25``."""
NOT_LOCAL = {
    "zh": "不是逐像元的因子（如集中连片度），须按整幅计算，实时瓦片不含它",
    "en": "not a factor of single cells (such as patch concentration): it needs the whole map; live tiles leave it out",
}
_MOST = 400
"""Characters of one parameter."""
_KEPT = 32


@dataclass(frozen=True)
class Recorded:
    """The chain that a factors layer carries.

    Attributes
    ----------
    chain : Chain
        All stations of the run.
    bands : mapping of str to int
        Factor → number (from 1) of its band in the factors raster.
    absent : tuple of str
        Stations whose factor has no band: not local.
    """

    chain: Chain
    bands: Mapping[str, int]
    absent: tuple[str, ...]


def factors_of(layer: Layer) -> str | None:
    """Id of the factors layer: the layer itself if it carries a chain, else the one that its provenance names."""
    record = layer.provenance or {}
    if "chain" in record:
        return layer.id
    named = record.get("factors_layer")
    return named if isinstance(named, str) else None


def result_of(layer: Layer) -> str | None:
    """Id of the class layer that belongs to a factors layer."""
    named = (layer.provenance or {}).get("result_layer")
    return named if isinstance(named, str) else None


_chains: OrderedDict[int, tuple[Layer, Recorded]] = OrderedDict()


def recorded(layer: Layer) -> Recorded:
    """Chain of a factors layer.

    Raises
    ------
    LayerNotFound
        The layer carries no chain.
    QualityViolation
        The recorded chain cannot be read, or the factor of its first grade has no band.
    """
    known = _chains.get(id(layer))
    if known is not None and known[0] is layer:
        return known[1]
    document = (layer.provenance or {}).get("chain")
    if document is None:
        raise LayerNotFound(
            f"图层 {layer.id} 没有判别链；试算与解释只用于适宜性、重要性评价的结果图层",
            f"layer {layer.id} carries no chain; what-if and explain are for results of the evaluations",
            layer=layer.id,
        )
    try:
        chain = Chain.model_validate(document)
    except ValidationError as error:
        raise QualityViolation(
            f"图层 {layer.id} 的判别链无法读取，请重新运行分析",
            f"layer {layer.id}: its chain cannot be read; run the analysis again",
            layer=layer.id,
        ) from error
    bands = {band.name: number for number, band in enumerate(layer.bands, start=1)}
    absent = [s for s in chain.stations if s.factor not in bands]
    first = next((s for s in absent if s.kind == "start"), None)
    if first is not None:
        raise QualityViolation(
            f"图层 {layer.id} 没有波段 {first.factor}，而站 {first.id} 由它给出起始等级；请重新运行分析",
            f"layer {layer.id} has no band {first.factor}, from which station {first.id} gives the first grade; run it again",
            layer=layer.id,
        )
    found = Recorded(chain, bands, tuple(s.id for s in absent))
    # Kept with the layer itself, so that an id of a freed object is never taken for another layer.
    _chains[id(layer)] = (layer, found)
    if len(_chains) > _KEPT:
        _chains.popitem(last=False)
    return found


@dataclass(frozen=True)
class Scenario:
    """A chain after the changes of a request.

    Attributes
    ----------
    base : Chain
        As recorded; reason codes are its codes, whatever stations are off.
    chain : Chain
        With the changes.
    weighted : Weighted or None
        Set if weights are given.
    off : tuple of str
    changed : bool
        Whether anything differs from the recorded chain.
    """

    base: Chain
    chain: Chain
    weighted: Weighted | None
    off: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs from the recorded chain."""
        return self.weighted is not None or self.chain != self.base

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors that are read."""
        return self.chain.factors if self.weighted is None else self.weighted.factors

    @property
    def digest(self) -> str:
        """Text that is equal for equal scenarios."""
        weights = sorted(self.weighted.weights.items()) if self.weighted else []
        text = self.chain.model_dump_json() + repr(weights)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def local(self, found: Recorded) -> Scenario:
        """The scenario without the stations that have no band."""
        absent = [s.id for s in self.chain.stations if s.id in found.absent]
        if self.weighted is not None:
            for name in absent:
                if self.weighted.weights.get(name):
                    raise InvalidParameter(
                        f"站 {name!r} 不能加权：{NOT_LOCAL['zh']}",
                        f"station {name!r} cannot be weighted: {NOT_LOCAL['en']}",
                        parameter=f"weights.{name}",
                    )
        if not absent:
            return self
        chain = self.chain.without(*absent)
        weighted = self.weighted and Weighted(
            chain, {k: w for k, w in self.weighted.weights.items() if k not in absent}
        )
        return Scenario(self.base, chain, weighted, self.off)

    def run(self, values: Mapping[str, NDArray[Any]]) -> Graded:
        """Grade, class and reason of a block; the reason has the codes of the recorded chain."""
        found = self.chain.run(values) if self.weighted is None else self.weighted.run(values)
        if len(self.chain.stations) == len(self.base.stations):
            return found
        codes = np.array([0, 1, *(self.base.code(s.id) for s in self.chain.stations)], dtype=np.uint8)
        return Graded(found.grade, found.suitability, codes[found.reason], codes[found.raw], found.worst)

    def trace(self, values: Mapping[str, float | None]) -> dict[str, JsonValue]:
        """Why a cell has its class."""
        return self.chain.trace(values) if self.weighted is None else self.weighted.trace(values)


def adjustable(station: Station) -> dict[str, bool]:
    """What a request may change at a station.

    A mask is 0 or 1: its limit is no threshold.
    """
    return {
        "edges": bool(station.edges) and station.kind != "stop",
        "matrix": station.kind == "matrix",
        "shift": station.kind in {"correction", "steps"},
        "weights": station.kind in GRADED_KINDS,
        "off": station.kind != "start",
    }


def scenario(chain: Chain, query: Mapping[str, str], others: tuple[str, ...] = ()) -> Scenario:
    """The chain as the parameters of a request change it.

    Parameters
    ----------
    query : mapping
        ``edges.<station>=a,b,…``, ``matrix.<station>=`` 25 grades row by row, ``shift.<station>=level:add,…``,
        ``weights.<station>=w``, ``off=station,…``; and `others`, which are passed over.

    Raises
    ------
    UnknownParameter, InvalidParameter
        Naming the parameter and what is allowed.

    Examples
    --------
    >>> from analyses.chain import Station
    >>> slope = Station(id="slope", title={"zh": "坡", "en": "s"}, kind="start", factor="slope", edges=(3,),
    ...                 closed=("below",), levels=(1, 5), table=((1, 2, 3, 4, 5),) * 6, compare=(1,) * 6, source="-", tag="own")
    >>> chain = Chain(id="c", title={"zh": "例", "en": "c"}, stations=(slope,), classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3})
    >>> scenario(chain, {"edges.slope": "7"}).chain.station("slope").edges
    (7.0,)
    """
    base, weights = chain, {}
    off: tuple[str, ...] = ()
    for name, text in query.items():
        if name in others:
            continue
        if len(text) > _MOST:
            raise InvalidParameter(
                f"参数 {name[:60]} 超过 {_MOST} 个字符", f"{name[:60]} exceeds {_MOST} characters", parameter=name[:60]
            )
        if name == "off":
            off = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
            continue
        kind, _, station_id = name.partition(".")
        station = next((s for s in base.stations if s.id == station_id), None)
        if kind not in CHANGES or station is None or not adjustable(station)[kind]:
            raise _unknown(base, name, kind, others)
        try:
            if kind == "edges":
                chain = chain.with_edges(station_id, _numbers(text))
            elif kind == "matrix":
                chain = chain.with_matrix(station_id, _matrix(text))
            elif kind == "shift":
                chain = chain.with_shift(station_id, _shift(text))
            else:
                weights[station_id] = _numbers(text, 1)[0]
        except ValueError as error:
            raise InvalidParameter(
                f"参数 {name} 的值 {text[:60]!r} 不能读取；形式：{_FORMS[kind]}",
                f"{name}={text[:60]!r} cannot be read; its form is {_FORMS[kind]}",
                parameter=name,
                value=text[:60],
            ) from error
        except SpatialError as error:
            error.details["parameter"] = name
            raise
    known = [s.id for s in base.stations if adjustable(s)["off"]]
    for station_id in off:
        if station_id not in known:
            raise InvalidParameter(
                f"参数 off 中的 {station_id[:60]!r} 不能去掉，可用：{'、'.join(known)}",
                f"off: {station_id[:60]!r} cannot be left out; use {', '.join(known)}",
                parameter="off",
                value=station_id[:60],
                allowed=known,
            )
        if weights.get(station_id):
            raise InvalidParameter(
                f"站 {station_id} 既被去掉又有权重", f"station {station_id} is off and has a weight", parameter="off"
            )
    if len(off) == len(base.stations):
        raise InvalidParameter(
            "参数 off 去掉了全部的站，至少留一个",
            "off leaves no station; keep at least one",
            parameter="off",
            allowed=known,
        )
    if off:
        chain = chain.without(*off)
    return Scenario(base, chain, Weighted(chain, weights) if weights else None, off)


_FORMS = {
    "edges": "3,8,15,25",
    "matrix": "1,1,2,3,5;1,2,3,4,5;…（25）",
    "shift": "level:add,level:add",
    "weights": "0.25",
}


def _unknown(chain: Chain, name: str, kind: str, others: tuple[str, ...]) -> UnknownParameter | InvalidParameter:
    names = [s.id for s in chain.stations if kind in CHANGES and adjustable(s)[kind]]
    if kind in CHANGES and "." in name:
        return InvalidParameter(
            f"参数 {name[:60]!r}：没有可这样修改的站，可用：{'、'.join(f'{kind}.{n}' for n in names) or '无'}",
            f"{name[:60]!r}: no station that can be changed so; use {', '.join(f'{kind}.{n}' for n in names) or 'none'}",
            parameter=name[:60],
            allowed=[f"{kind}.{n}" for n in names],
        )
    allowed = [*others, "off", *(f"{kind}.<station>" for kind in CHANGES)]
    return UnknownParameter(
        f"没有参数 {name[:60]!r}，可用：{'、'.join(allowed)}；站：{'、'.join(s.id for s in chain.stations)}",
        f"no parameter {name[:60]!r}; use {', '.join(allowed)}; stations: {', '.join(s.id for s in chain.stations)}",
        parameter=name[:60],
        allowed=allowed,
        stations=[s.id for s in chain.stations],
    )


def _numbers(text: str, count: int | None = None) -> list[float]:
    numbers = [float(part) for part in text.split(",")]
    if count is not None and len(numbers) != count:
        raise ValueError(text)
    return numbers


def _matrix(text: str) -> list[list[int]]:
    cells = [int(part) for part in re.split(r"[,;]", text)]
    if len(cells) != 25:
        raise ValueError(text)
    return [cells[i : i + 5] for i in range(0, 25, 5)]


def _shift(text: str) -> dict[int, int]:
    pairs = [part.split(":") for part in text.split(",")]
    return {int(level): int(add) for level, add in pairs}
