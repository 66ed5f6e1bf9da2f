"""From levels at gauges to a level at every node of the rivers in the extent (河网水位)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.flood.rules import FloodRules
from analyses.water.flood.strips import RiverNodes
from analyses.water.flood.surface import surface_by_distance
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Gauge", "gauge_of", "node_levels", "station_place"]


@dataclass(frozen=True)
class Gauge:
    """One gauge of the gauges layer."""

    name: str
    river: str
    lon: float
    lat: float
    datum: object
    row: Mapping[str, Any]


def gauge_of(frame: geopandas.GeoDataFrame, name: str, *, layer: str) -> Gauge:
    """The gauge of a name.

    Raises
    ------
    LayerEmpty
        If the layer has no feature.
    InvalidParameter
        If no gauge, or more than one, has the name.
    """
    if not len(frame):
        raise LayerEmpty(f"测站图层 {layer} 没有要素", f"gauges layer {layer} has no feature", layer=layer)
    found = frame[frame["name"] == name]
    if len(found) != 1:
        raise InvalidParameter(
            f"测站图层 {layer} 中名为 {name} 的测站有 {len(found)} 个，应为 1 个",
            f"{len(found)} gauges of layer {layer} are named {name}; there should be one",
            parameter="station",
            value=name,
            layer=layer,
        )
    row = found.iloc[0]
    return Gauge(name, str(row.get("river")), float(row.geometry.x), float(row.geometry.y), row.get("datum"), dict(row))


def station_place(
    gauge: Gauge, rivers: geopandas.GeoDataFrame, nodes: RiverNodes, rules: FloodRules, *, layer: str
) -> tuple[int, float]:
    """Number of the river and chainage (m) of a gauge: the nearest node of the centre line of its river.

    Raises
    ------
    InvalidParameter
        If its river has no centre line here, or the gauge lies too far from it.
    """
    from pyproj import Geod

    numbers = [k for k, name in enumerate(rivers["name"]) if str(name) == gauge.river]
    if not numbers:
        raise InvalidParameter(
            f"河道图层 {layer} 没有测站 {gauge.name} 所在的 {gauge.river}",
            f"layer {layer} has no centre line of {gauge.river}, the river of gauge {gauge.name}",
            parameter="station",
            value=gauge.name,
            layer=layer,
        )
    mine = np.flatnonzero(np.isin(nodes.river, numbers))
    count = mine.size
    away = Geod(ellps="GRS80").inv(
        np.full(count, gauge.lon), np.full(count, gauge.lat), nodes.lon[mine], nodes.lat[mine]
    )[2]
    best = int(np.argmin(away))
    if away[best] > rules.surface.gauge_snap_m:
        raise InvalidParameter(
            f"测站 {gauge.name} 距 {gauge.river} 中心线 {away[best] / 1000:.1f} km，超过 "
            f"{rules.surface.gauge_snap_m / 1000:g} km，该站不在此河段",
            f"gauge {gauge.name} lies {away[best] / 1000:.1f} km from the centre line of {gauge.river}, more than "
            f"{rules.surface.gauge_snap_m / 1000:g} km: it is not on this reach",
            parameter="station",
            value=gauge.name,
            layer=layer,
        )
    return int(nodes.river[mine[best]]), float(nodes.chainage_m[mine[best]])


def node_levels(
    rivers: geopandas.GeoDataFrame,
    nodes: RiverNodes,
    levels: Mapping[int, list[tuple[float, float]]],
    rules: FloodRules,
) -> tuple[NDArray[np.float64], list[Text]]:
    """Level at every node, float64 (nodes + 1,), ``[0]`` NaN, and what was assumed.

    A river with gauges has its own surface. One without that joins such a river stands level with it at the mouth (回水); one
    that does not is NaN: not assessed.

    Parameters
    ----------
    levels : mapping
        Number of the river → (chainage, level) in m, datum of the terrain.
    """
    out = np.full(nodes.size + 1, np.nan)
    said: list[Text] = []
    names = [str(n) for n in rivers["name"]]
    surfaces = {}
    for number, pairs in levels.items():
        mine = nodes.river == number
        s = nodes.chainage_m[mine]
        known = rules.surface.slope_of(names[number])
        if len(pairs) == 1 or s.min() < min(p[0] for p in pairs) or s.max() > max(p[0] for p in pairs):
            slope = 0.0 if known is None else known.slope
            said.append(
                Text(
                    zh=f"{names[number]}：{len(pairs)} 个测站，站外按比降 {slope:g} 外延"
                    + ("（规则没有该河比降，按水平）" if known is None else f"（{known.source}）"),
                    en=f"{names[number]}: {len(pairs)} gauge(s); beyond them the slope of the surface is {slope:g}"
                    + (" (no slope of this river in the rules: level)" if known is None else ""),
                )
            )
        else:
            slope = 0.0
        surfaces[number] = surface_by_distance(pairs, start_m=float(s.min()), end_m=float(s.max()), slope=slope)
        out[1:][mine] = surfaces[number].at(s)
    for number, name in enumerate(names):
        if number in surfaces or not (nodes.river == number).any():
            continue
        joins, km = rivers.iloc[number].get("joins"), rivers.iloc[number].get("joins_km")
        target = [k for k in surfaces if names[k] == joins]
        level = surfaces[target[0]].at(float(km) * 1000) if target and km == km and km is not None else np.nan
        if np.isfinite(level):
            out[1:][nodes.river == number] = float(level)
            said.append(
                Text(
                    zh=f"{name} 没有给出水位：按汇入 {joins} 处的回水水平推算",
                    en=f"{name} has no level given: level with {joins} at its mouth (backwater)",
                )
            )
        else:
            said.append(Text(zh=f"{name} 没有水位，未评", en=f"{name} has no level: its strips are not assessed"))
    return out, said
