"""Land cover within the corridor by reach and bank (沿江廊道分河段、分左右岸的地类占用).

Bank: left and right looking downstream, which is the way a reach's line runs (桩号递增方向).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.change import DM2
from spatial.catalog import Attribute, Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import geopandas
    from affine import Affine
    from numpy.typing import NDArray

    from analyses.blocks import Window
    from analyses.landcover.rules import LandCoverRules
    from spatial.jobs.contract import Outputs

__all__ = ["BankZones", "Occupation", "bank_zones", "write_banks"]

_BANKS = {"left": Text(zh="左岸", en="left bank"), "right": Text(zh="右岸", en="right bank")}
_DEGREE_M = 111_320.0


@dataclass(frozen=True)
class BankZones:
    """Which reach and bank a place belongs to: zone 2k + 1 is the left bank of reach k, 2k + 2 its right bank, 0 none."""

    reaches: tuple[Mapping[str, Any], ...]
    """``code``, ``reach``, ``water`` of each reach."""
    starts: NDArray[np.float64]
    """(segments, 2): first end of each piece of line, longitude and latitude."""
    ends: NDArray[np.float64]
    of_reach: NDArray[np.int64]
    within_m: float
    """A place farther from every line belongs to none."""

    @property
    def count(self) -> int:
        """Number of zones, the one of no reach included."""
        return 2 * len(self.reaches) + 1

    def of(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Zone of each place, by the nearest line.

        Examples
        --------
        >>> zones = BankZones(({},), np.array([[114.0, 30.0]]), np.array([[114.1, 30.0]]), np.array([0]), 3000.0)
        >>> zones.of(np.array([114.05, 114.05, 114.05]), np.array([30.01, 29.99, 30.5])).tolist()  # the river runs east
        [1, 2, 0]
        """
        import shapely

        out = np.zeros(lon.size, dtype=np.uint16)
        if not lon.size or not self.of_reach.size:
            return out
        # Metres near enough for choosing a line: the scale of a degree of longitude is that of the middle latitude.
        scale = np.array([np.cos(np.deg2rad(float(np.median(lat)))), 1.0]) * _DEGREE_M
        a, b = self.starts * scale, self.ends * scale
        tree = shapely.STRtree(np.asarray(shapely.linestrings(np.stack([a, b], axis=1))))
        xy = np.column_stack([lon, lat]) * scale
        place, segment = tree.query_nearest(shapely.points(xy), max_distance=self.within_m, all_matches=False)
        along, aside = b[segment] - a[segment], xy[place] - a[segment]
        left = along[:, 0] * aside[:, 1] - along[:, 1] * aside[:, 0] >= 0
        out[place] = (2 * self.of_reach[segment] + np.where(left, 1, 2)).astype(np.uint16)
        return out

    def of_cells(self, affine: Affine, window: Window, inside: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Zone of each cell of a window that is inside the corridor, 0 elsewhere."""
        row, col = window[:2]
        rows, cols = np.nonzero(inside)
        out = np.zeros(inside.shape, dtype=np.uint16)
        lon = np.asarray(affine.c + (col + cols + 0.5) * affine.a, dtype=np.float64)
        lat = np.asarray(affine.f + (row + rows + 0.5) * affine.e, dtype=np.float64)
        out[rows, cols] = self.of(lon, lat)
        return out


def bank_zones(frame: geopandas.GeoDataFrame | None, within_m: float, *, layer: str) -> BankZones | None:
    """Zones of a register of reaches (河段名录); lakes' shores have no bank and are passed over.

    Raises
    ------
    InvalidParameter
        No field of a name.
    """
    import shapely

    if frame is None or frame.empty:
        return None
    name = next((c for c in ("name", "reach", "code") if c in frame.columns), None)
    if name is None:
        raise InvalidParameter(
            f"河段图层 {layer} 需要字段 name 或 code，有：{'、'.join(map(str, frame.columns))}",
            f"the reaches {layer} need a field name or code; they have {', '.join(map(str, frame.columns))}",
            parameter="reaches",
        )
    lines = frame[frame.geometry.geom_type.isin(["LineString", "MultiLineString"])]
    if "kind" in lines.columns:
        lines = lines[lines["kind"] == "river"]
    order = [c for c in ("water", "from_m") if c in lines.columns]
    lines = lines.sort_values(order) if order else lines
    reaches, starts, ends, of_reach = [], [], [], []
    for k, (_, row) in enumerate(lines.iterrows()):
        told = {"reach": str(row[name]), "code": row.get("code"), "water": row.get("water")}
        reaches.append({key: None if value is None or value != value else str(value) for key, value in told.items()})
        for part in shapely.get_parts(row[lines.geometry.name]):
            xy = shapely.get_coordinates(part)
            starts.append(xy[:-1])
            ends.append(xy[1:])
            of_reach.append(np.full(len(xy) - 1, k))
    if not reaches:
        return None
    return BankZones(tuple(reaches), np.concatenate(starts), np.concatenate(ends), np.concatenate(of_reach), within_m)


class Occupation:
    """Areas of the classes on both dates by zone, dm², filled block by block; only cells that both maps know."""

    def __init__(self, zones: int) -> None:
        self.earlier = np.zeros((zones, 256), dtype=np.int64)
        self.later = np.zeros((zones, 256), dtype=np.int64)

    def add(
        self,
        zone: NDArray[np.uint16],
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        area_dm2: NDArray[np.int64],
    ) -> None:
        """Count a block; `area_dm2` of a cell of each row."""
        size = self.earlier.size
        common = (before > 0) & (after > 0)
        for row in np.flatnonzero(common.any(axis=1)).tolist():
            known = common[row]
            number = zone[row][known].astype(np.int64) * 256
            for target, codes in ((self.earlier, before), (self.later, after)):
                target += np.bincount(number + codes[row][known], minlength=size).reshape(target.shape) * area_dm2[row]

    def rows(self, zones: BankZones | None, rules: LandCoverRules) -> list[dict[str, Any]]:
        """One row a reach, bank and class."""
        found = []
        for number in np.flatnonzero(self.earlier.sum(axis=1)).tolist():
            whole = self.later[number].sum()
            place = _place(zones, number)
            for code in sorted(rules.by_code):
                before, after = int(self.earlier[number, code]), int(self.later[number, code])
                if not before and not after:
                    continue
                found.append(
                    place
                    | {
                        "class": code,
                        "class_zh": rules.by_code[code].title.zh,
                        "class_en": rules.by_code[code].title.en,
                        "earlier_km2": _km2(before),
                        "later_km2": _km2(after),
                        "change_km2": _km2(after - before),
                        "share_percent": round(100 * after / whole, 4),
                    }
                )
        return found

    def summary(self, zones: BankZones | None, rules: LandCoverRules) -> list[dict[str, Any]]:
        """One row a reach and bank: built-up, cropland and natural land on both dates."""
        groups = {
            "built": [c.code for c in rules.classes.list if c.group == "built"],
            "cropland": [c.code for c in rules.classes.list if c.group == "cropland"],
            "natural": [c.code for c in rules.classes.list if c.natural],
        }
        found = []
        for number in np.flatnonzero(self.earlier.sum(axis=1)).tolist():
            whole = int(self.later[number].sum())
            row: dict[str, Any] = {"zone": number, **_place(zones, number), "zone_km2": _km2(whole)}
            for name, codes in groups.items():
                before, after = (int(kept[number, codes].sum()) for kept in (self.earlier, self.later))
                row |= {
                    f"{name}_percent": round(100 * after / whole, 3),
                    f"{name}_change_km2": _km2(after - before),
                }
            found.append(row)
        return found


def _km2(dm2: int) -> float:
    return round(dm2 / DM2 / 1e6, 6)


def _place(zones: BankZones | None, number: int) -> dict[str, Any]:
    if zones is None or number == 0:
        return {"reach": None, "code": None, "water": None, "bank": None}
    bank = "left" if number % 2 else "right"
    return {**zones.reaches[(number - 1) // 2], "bank": bank}


def write_banks(
    outputs: Outputs, rows: Sequence[Mapping[str, Any]], zone: NDArray[np.uint16], affine: Affine, distance: float
) -> None:
    """One polygon a reach and bank: the outline of its cells."""
    import geopandas
    import pandas
    import shapely
    from rasterio.features import shapes

    outlines: dict[int, list[Any]] = {}
    for shape, number in shapes(zone.astype(np.int32), mask=zone > 0, transform=affine):
        outlines.setdefault(int(number), []).append(shapely.geometry.shape(shape))
    shown = [row for row in rows if row["zone"] in outlines and row["bank"] is not None]
    if not shown:
        return
    frame = pandas.DataFrame([{k: v for k, v in row.items() if k != "zone"} for row in shown])
    place = geopandas.GeoSeries([shapely.union_all(outlines[row["zone"]]) for row in shown], crs=4490)
    numbers = (
        ("zone_km2", "可比面积", "Area compared", "km2"),
        ("built_percent", "建设用地比例", "Share of built-up land", "%"),
        ("built_change_km2", "建设用地变化", "Change of built-up land", "km2"),
        ("cropland_percent", "耕地比例", "Share of cropland", "%"),
        ("cropland_change_km2", "耕地变化", "Change of cropland", "km2"),
        ("natural_percent", "自然生态用地比例", "Share of natural land", "%"),
        ("natural_change_km2", "自然生态用地变化", "Change of natural land", "km2"),
    )
    outputs.features(
        "banks",
        geopandas.GeoDataFrame(frame.assign(place=place), geometry="place", crs=4490),
        fields=(
            Attribute(name="reach", type="string", title=Text(zh="河段", en="Reach")),
            Attribute(name="code", type="string", title=Text(zh="河段编码", en="Code of the reach")),
            Attribute(name="water", type="string", title=Text(zh="河流", en="River")),
            Attribute(name="bank", type="string", title=Text(zh="岸别", en="Bank"), domain=_BANKS),
            *(
                Attribute(name=name, type="number", title=Text(zh=zh, en=en), unit=unit)
                for name, zh, en, unit in numbers
            ),
        ),
        title=Text(zh=f"沿江 {distance:g} 米地类占用", en=f"Land within {distance:g} m of the river"),
        style={
            "type": "graduated",
            "field": "built_percent",
            "classes": [
                {
                    **({} if low is None else {"min": low}),
                    **({} if high is None else {"max": high}),
                    "title": {"zh": f"建设用地 {said} %", "en": f"built-up {said} %"},
                    "fill": f"{colour}b0",
                    "stroke": "#37474f",
                    "width": 0.8,
                }
                for low, high, said, colour in (
                    (None, 5, "< 5", "#1a9850"),
                    (5, 10, "5–10", "#a6d96a"),
                    (10, 20, "10–20", "#fee08b"),
                    (20, 40, "20–40", "#f46d43"),
                    (40, None, "≥ 40", "#a50026"),
                )
            ],
            "default": {"fill": "#bdbdbdb0", "stroke": "#37474f", "width": 0.8},
        },
    )
