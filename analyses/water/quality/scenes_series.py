"""Series of lakes and stations out of the blocks of each date (湖泊与测站序列): median, quartiles, clear share, bloom, flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.block import BLOOM
from analyses.water.quality.bloom import share_of
from analyses.water.quality.masks import Reason
from analyses.water.quality.optical_quality import ALGORITHMS, ndci_level
from spatial.errors import InvalidParameter, LayerEmpty

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.quality.block import Block
    from analyses.water.quality.rules import BloomRules, OpticalRules
    from analyses.water.quality.scene_source import OpticalScene
    from analyses.water.quality.scenes_parameters import WaterQualityScenesParameters
    from spatial.jobs.contract import Inputs

__all__ = ["cells_of", "lake_rows", "listed_lakes", "station_rows", "stations_in_lakes"]


def listed_lakes(inputs: Inputs, parameters: WaterQualityScenesParameters) -> geopandas.GeoDataFrame:
    """Polygons that are reported on, with their name as ``place`` (None where they have none)."""
    lakes = inputs.frames["lakes"]
    lakes = lakes[lakes.geometry.geom_type.isin(["Polygon", "MultiPolygon"])].reset_index(drop=True)
    if lakes.empty:
        raise LayerEmpty(
            f"图层 {parameters.lakes} 在影像范围内没有面",
            f"layer {parameters.lakes} has no polygon in the window of the scenes",
            layer=parameters.lakes,
        )
    if parameters.name_field not in lakes.columns:
        raise InvalidParameter(
            f"图层 {parameters.lakes} 没有字段 {parameters.name_field}，有：{'、'.join(map(str, lakes.columns))}",
            f"layer {parameters.lakes} has no field {parameters.name_field}; it has {', '.join(map(str, lakes.columns))}",
            parameter="name_field",
        )
    return lakes.assign(place=lakes[parameters.name_field].where(lakes[parameters.name_field].notna(), None))


def cells_of(name: str, found: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Cells that a quantity may be told of: under floating algae there is no water-leaving light, only FAI and AFAI hold."""
    whole: NDArray[np.bool_] = np.ones(found["bloom"].shape, dtype=bool)
    return whole if name in {"fai", "afai"} else found["bloom"] != BLOOM


def lake_rows(
    scene: OpticalScene,
    work: Block,
    gathered: Mapping[int, Mapping[str, Any]],
    lakes: geopandas.GeoDataFrame,
    rules: OpticalRules,
    bloom: BloomRules,
) -> list[dict[str, Any]]:
    """One row a lake with water on this date."""
    rows = []
    for number in sorted(gathered):
        kept = gathered[number]
        water, seen, hit = (float(v) for v in kept["sums"])
        if water <= 0:
            continue
        share = share_of(number, water, seen, hit, int(kept["cells"]), bloom)
        has_bloom = "fai" in work.formulas and share.bloom_percent is not None
        flags = _flags(scene)
        enough = share.clear_percent >= rules.masks.least_clear_percent
        if not enough:
            flags.append("low-clear")
        row: dict[str, Any] = {
            "place": number - 1,
            "lake": lakes["place"].iloc[number - 1],
            "time": scene.time,
            "scene": scene.id,
            "clear_percent": round(share.clear_percent, 2),
            "pixels": int(kept["cells"]),
            "water_km2": round(water / 1e6, 6),
            **_summary(kept["values"], rules.masks.least_series_cells),
            "bloom_km2": round(hit / 1e6, 6) if has_bloom else None,
            "bloom_percent": round(float(share.bloom_percent or 0.0), 3) if has_bloom else None,
            "grade": share.grade.code if has_bloom and share.grade is not None else None,
        }
        ndci = row.get("ndci")
        row["level"] = int(ndci_level(np.array([ndci]), rules)[0]) if ndci is not None and enough else None
        row["flags"] = ",".join(flags)
        rows.append(row)
    return rows


def _flags(scene: OpticalScene) -> list[str]:
    return [f.code for f in scene.findings if not f.excludes]


def _summary(values: Mapping[str, list[NDArray[Any]]], least: int) -> dict[str, Any]:
    """Median and quartiles of each quantity; none of too few cells."""
    found: dict[str, Any] = {}
    for name, parts in values.items():
        every = np.concatenate(parts) if parts else np.zeros(0)
        known = every[np.isfinite(every)].astype(np.float64)
        low, middle, high = (
            (None, None, None)
            if known.size < least
            else (round(float(v), 5) for v in np.quantile(known, (0.25, 0.5, 0.75)))
        )
        found |= {name: middle, f"{name}_q1": low, f"{name}_q3": high}
    return found


def stations_in_lakes(
    inputs: Inputs, parameters: WaterQualityScenesParameters, lakes: geopandas.GeoDataFrame
) -> geopandas.GeoDataFrame | None:
    """Stations in a lake of the window: one row each, with the lake."""
    import geopandas

    frame = inputs.frames.get("stations")
    if frame is None or frame.empty:
        return None
    if parameters.station_field not in frame.columns:
        raise InvalidParameter(
            f"图层 {parameters.stations} 没有字段 {parameters.station_field}",
            f"layer {parameters.stations} has no field {parameters.station_field}",
            parameter="station_field",
        )
    once = frame.drop_duplicates(parameters.station_field)
    points = geopandas.GeoDataFrame(
        {"station": once[parameters.station_field].astype(str).to_numpy()},
        geometry=once.geometry.representative_point().to_numpy(),
        crs=4490,
    )
    polygons = geopandas.GeoDataFrame({"place": lakes["place"]}, geometry=lakes.geometry.to_numpy(), crs=4490)
    joined = geopandas.sjoin(points, polygons, how="inner", predicate="within").drop_duplicates("station")
    return joined.rename(columns={"place": "lake"}).reset_index(drop=True) if len(joined) else None


def station_rows(
    scene: OpticalScene,
    work: Block,
    stations: geopandas.GeoDataFrame | None,
    shape: tuple[int, int],
    rules: OpticalRules,
) -> list[dict[str, Any]]:
    """The window of cells at each station: half of them must be judged."""
    if stations is None:
        return []
    side = rules.masks.station_window
    rows = []
    for place, row in enumerate(stations.itertuples()):
        point = row.geometry
        col, line = ~work.affine @ (point.x, point.y)
        window = (int(np.floor(line)) - side // 2, int(np.floor(col)) - side // 2, side, side)
        if window[0] < 0 or window[1] < 0 or window[0] + side > shape[0] or window[1] + side > shape[1]:
            continue
        found = work(window, {})
        judged = found["reason"] == Reason.JUDGED
        names = (*(k for k in work.formulas if ALGORITHMS[k].is_index), *work.estimates)
        flags = _flags(scene)
        if 100 * judged.mean() < rules.masks.least_clear_percent:
            flags.append("low-clear")
        least = int(np.ceil(judged.size * rules.masks.least_clear_percent / 100))
        rows.append(
            {
                "place": place,
                "station": row.station,
                "lake": row.lake,
                "time": scene.time,
                "scene": scene.id,
                "clear_percent": round(100 * float(judged.mean()), 2),
                "pixels": int(judged.sum()),
                **_summary({k: [found[k][judged & cells_of(k, found)]] for k in names}, least),
                "bloom": bool((found["bloom"] == BLOOM).any()) if "fai" in work.formulas and judged.any() else None,
                "flags": ",".join(flags),
            }
        )
    return rows
