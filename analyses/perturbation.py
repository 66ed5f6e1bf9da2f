"""Changing the tables of a chain for a sensitivity analysis (敏感性分析): random draws and one limit at a time.

A draw belongs to its simulation, not to a block or a cell: simulation s of a seed has the same limits wherever it is run,
and the first hundred of two hundred simulations are the hundred of a shorter run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np

from analyses.chain import Chain, Station
from analyses.grading import WORST
from analyses.weighted import Weighted
from analyses.whatif import adjustable
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Spread", "Variant", "draw", "one_at_a_time"]

_CUT = 3.0
"""Normal deviates beyond three standard deviations count as three."""
_EDGES, _MATRIX, _WEIGHTS = range(3)
"""Each kind of change has its own stream: switching one on leaves the others as they were."""


@dataclass(frozen=True)
class Spread:
    """How uncertain the tables of a chain are (不确定程度).

    Attributes
    ----------
    seed : int
    distribution : {"normal", "uniform"}
        Of the limits: standard deviation, or half the range.
    relative : float
        Spread of each limit as a share of its value, 0–0.3.
    absolute : mapping of str to float
        Station → spread in the unit of its factor; goes before `relative`.
    matrix : float
        Probability that a cell of a judgement matrix goes up or down by one grade, as far as the matrix stays monotone.
    weights : mapping of str to float
        Station → weight; weighted integration instead of the tables (see `analyses.weighted`).
    weight : float
        Spread of each weight as a share of its value; the weights are scaled to the sum 1 again.
    held : frozenset of str
        Stations whose limits stay: their values are levels already (patch concentration as it was found).
    """

    seed: int = 1
    distribution: Literal["normal", "uniform"] = "normal"
    relative: float = 0.1
    absolute: Mapping[str, float] = field(default_factory=dict)
    matrix: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    weight: float = 0.0
    held: frozenset[str] = frozenset()

    def check(self, chain: Chain) -> None:
        """Refuse a spread or a weight for a station that has none.

        Raises
        ------
        InvalidParameter
        """
        allowed = [s.id for s in chain.stations if adjustable(s)["edges"] and s.id not in self.held]
        for name in self.absolute:
            if name not in allowed:
                raise InvalidParameter(
                    f"spreads 中的站 {name!r} 没有可变的阈值，可用：{'、'.join(allowed)}",
                    f"spreads: station {name!r} has no limits to vary; use one of {', '.join(allowed)}",
                    parameter="spreads",
                    value=name,
                    allowed=allowed,
                )
        if self.weights:
            Weighted(chain, self.weights)

    def of(self, station: Station) -> tuple[float, ...]:
        """Spread of each limit of a station, in the unit of its factor."""
        if not adjustable(station)["edges"] or station.id in self.held:
            return (0.0,) * len(station.edges)
        if station.id in self.absolute:
            return (self.absolute[station.id],) * len(station.edges)
        return tuple(abs(edge) * self.relative for edge in station.edges)


def draw(chain: Chain, spread: Spread, simulation: int) -> Chain | Weighted:
    """The chain of one simulation.

    Parameters
    ----------
    simulation : int
        From 0; with the seed it decides every draw.

    Source: PCG64 by ``numpy.random.Generator.random``; normal deviates by the inverse distribution function.

    Examples
    --------
    >>> from analyses.chain import Station
    >>> slope = Station(id="slope", title={"zh": "坡", "en": "s"}, kind="start", factor="slope", edges=(3, 8),
    ...                 closed=("below",) * 2, levels=(1, 3, 5), table=((1, 2, 3, 4, 5),) * 6, compare=(1,) * 6,
    ...                 source="-", tag="own")
    >>> chain = Chain(id="c", title={"zh": "例", "en": "c"}, stations=(slope,), classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3})
    >>> draw(chain, Spread(relative=0.0), 7) == chain
    True
    >>> draw(chain, Spread(), 7) == draw(chain, Spread(), 7)
    True
    """
    limits = np.random.default_rng([spread.seed, simulation, _EDGES])
    cells = np.random.default_rng([spread.seed, simulation, _MATRIX])
    for station in chain.stations:
        if adjustable(station)["edges"]:
            deviates = _deviates(limits.random(len(station.edges)), spread.distribution)
            moved = sorted(edge + d * s for edge, d, s in zip(station.edges, deviates, spread.of(station), strict=True))
            chain = chain.with_edges(station.id, _rising(moved))
        if station.kind == "matrix" and spread.matrix > 0:
            chain = chain.with_matrix(station.id, _changed(station.table[1:], cells, spread.matrix))
    if not spread.weights:
        return chain
    return Weighted(chain, _weights(spread, np.random.default_rng([spread.seed, simulation, _WEIGHTS])))


def _deviates(uniform: NDArray[np.float64], distribution: str) -> list[float]:
    if distribution == "uniform":
        return [2 * float(u) - 1 for u in uniform]
    standard = NormalDist()
    # `random` can give 0, where the inverse is infinite.
    return [min(max(standard.inv_cdf(max(float(u), 1e-12)), -_CUT), _CUT) for u in uniform]


def _rising(edges: Sequence[float]) -> list[float]:
    """Rising limits; equal neighbours are parted by the smallest step, so that their interval is empty."""
    found: list[float] = []
    for edge in edges:
        found.append(edge if not found or edge > found[-1] else math.nextafter(found[-1], math.inf))
    return found


def _changed(rows: Sequence[Sequence[int]], rng: np.random.Generator, probability: float) -> list[list[int]]:
    """A matrix whose cells go up or down by one with a probability, row by row, where it stays monotone."""
    cells = [list(row) for row in rows]
    chance, way = rng.random((WORST, WORST)), rng.random((WORST, WORST))
    for i in range(WORST):
        for j in range(WORST):
            if chance[i, j] >= probability:
                continue
            new = cells[i][j] + (1 if way[i, j] < 0.5 else -1)
            least = max(1, cells[i - 1][j] if i else 1, cells[i][j - 1] if j else 1)
            most = min(WORST, cells[i + 1][j] if i < WORST - 1 else WORST, cells[i][j + 1] if j < WORST - 1 else WORST)
            if least <= new <= most:
                cells[i][j] = new
    return cells


def _weights(spread: Spread, rng: np.random.Generator) -> dict[str, float]:
    names = sorted(spread.weights)
    deviates = _deviates(rng.random(len(names)), spread.distribution)
    moved = [spread.weights[n] * max(0.0, 1 + d * spread.weight) for n, d in zip(names, deviates, strict=True)]
    total = math.fsum(moved)
    return {n: w / total for n, w in zip(names, moved, strict=True)}


@dataclass(frozen=True)
class Variant:
    """The chain with one thing changed (单因素变化).

    Attributes
    ----------
    kind : {"edge", "off", "weight"}
    number : int
        Of the limit, from 1; 0 for a station as a whole.
    side : {-1, 0, 1}
        Below, off, above.
    value, used : float
        The limit as it is and as it is here, in the unit of the factor.
    """

    station: Station
    kind: Literal["edge", "off", "weight"]
    number: int
    side: int
    value: float
    used: float
    chain: Chain | Weighted


def one_at_a_time(chain: Chain, spread: Spread) -> list[Variant]:
    """Every limit moved down and up by its spread, every weight too, and every station that can be left out, left out.

    A limit stops half-way to its neighbour, so that the order of the classes holds.

    Examples
    --------
    >>> from analyses.chain import Station
    >>> slope = Station(id="slope", title={"zh": "坡", "en": "s"}, kind="start", factor="slope", edges=(3, 8),
    ...                 closed=("below",) * 2, levels=(1, 3, 5), table=((1, 2, 3, 4, 5),) * 6, compare=(1,) * 6,
    ...                 source="-", tag="own")
    >>> chain = Chain(id="c", title={"zh": "例", "en": "c"}, stations=(slope,), classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3})
    >>> [(v.number, v.side, v.used) for v in one_at_a_time(chain, Spread(absolute={"slope": 4}))]
    [(1, -1, -1.0), (1, 1, 5.5), (2, -1, 5.5), (2, 1, 12.0)]
    """
    found: list[Variant] = []

    def integrated(changed: Chain) -> Chain | Weighted:
        return Weighted(changed, spread.weights) if spread.weights else changed

    for station in chain.stations:
        for k, (edge, by) in enumerate(zip(station.edges, spread.of(station), strict=True)):
            if by == 0:
                continue
            for side in (-1, 1):
                new = edge + side * by
                if side < 0 and k > 0:
                    new = max(new, (station.edges[k - 1] + edge) / 2)
                if side > 0 and k < len(station.edges) - 1:
                    new = min(new, (station.edges[k + 1] + edge) / 2)
                edges = (*station.edges[:k], new, *station.edges[k + 1 :])
                moved = integrated(chain.with_edges(station.id, edges))
                found.append(Variant(station, "edge", k + 1, side, edge, new, moved))
    if spread.weights:
        found += _weight_variants(chain, spread)
    else:
        for station in chain.stations:
            if adjustable(station)["off"] and len(chain.stations) > 1:
                found.append(Variant(station, "off", 0, 0, math.nan, math.nan, chain.without(station.id)))
    return found


def _weight_variants(chain: Chain, spread: Spread) -> list[Variant]:
    found = []
    for name in sorted(spread.weights):
        weight = spread.weights[name]
        others = math.fsum(w for n, w in spread.weights.items() if n != name)
        if weight == 0 or others == 0 or spread.weight == 0:
            continue
        for side in (-1, 1):
            new = min(max(weight * (1 + side * spread.weight), 0.0), 1.0)
            scaled = {n: new if n == name else w * (1 - new) / others for n, w in spread.weights.items()}
            found.append(Variant(chain.station(name), "weight", 0, side, weight, new, Weighted(chain, scaled)))
    return found
