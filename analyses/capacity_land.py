"""Land areas by unit (单元土地面积) for carrying capacity: exact int64 sums over blocks, the same for every block size.

Every condition is judged in three values: true, false, or unknown where a raster that it needs has no data. A condition
with one false part is false; else one unknown part makes it unknown. Unknown land is counted apart, never as suitable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.capacity_rules import CapacityRules, Profile
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["LAND_COLUMNS", "LandAreas", "LandLayers", "cut_units", "land_areas", "land_notes"]

_CONDITIONS = (
    "agri_land_2019",
    "agri_land_2020",
    "urban_land_2019",
    "urban_land_2020",
    "urban_land_2020_less_farmland",
)
LAND_COLUMNS: tuple[str, ...] = (
    "unit",
    *(name for condition in _CONDITIONS for name in (condition, f"{condition}_unknown")),
    *(f"agri_grade_{k}" for k in range(1, 6)),
    *(f"urban_grade_{k}" for k in range(1, 6)),
    *(f"eco_{k}" for k in range(1, 4)),
    *(f"agri_class_{k}" for k in range(1, 4)),
    *(f"urban_class_{k}" for k in range(1, 4)),
    "permanent_farmland",
    "water_surface",
    "cropland_in_use",
    "built_in_use",
)
"""Columns of `LandAreas`. ``…_unknown`` is land whose condition could not be judged; ``…_in_use`` is the land-use raster."""
_AT = {name: k for k, name in enumerate(LAND_COLUMNS)}
_AGRI_GRADE, _URBAN_GRADE = _AT["agri_grade_1"] - 1, _AT["urban_grade_1"] - 1
_ECO, _AGRI_CLASS, _URBAN_CLASS = _AT["eco_1"] - 1, _AT["agri_class_1"] - 1, _AT["urban_class_1"] - 1
_FARMLAND, _WATER, _CROPLAND, _BUILT = (
    _AT[name] for name in ("permanent_farmland", "water_surface", "cropland_in_use", "built_in_use")
)
_WATER_LEFT_OUT, _WATER_COUNTED, _IS_CROPLAND, _IS_BUILT, _OTHER_LAND = 1, 2, 3, 4, 5
_NEEDS: dict[str, tuple[str, ...]] = {
    "agri_land_2019": ("agri_grade",),
    "agri_land_2020": ("eco_class", "agri_class"),
    "urban_land_2019": ("urban_grade",),
    "urban_land_2020": ("eco_class", "urban_class"),
    "urban_land_2020_less_farmland": ("eco_class", "urban_class", "farmland"),
    "agri_grade": ("agri_grade",),
    "urban_grade": ("urban_grade",),
    "eco": ("eco_class",),
    "agri_class": ("agri_class",),
    "urban_class": ("urban_class",),
    "permanent_farmland": ("farmland",),
    "water_surface": ("land_use",),
    "cropland_in_use": ("land_use",),
    "built_in_use": ("land_use",),
    "unit": (),
}


@dataclass(frozen=True, slots=True)
class LandLayers:
    """Rasters of one block, all of one shape; None = the layer is missing.

    Attributes
    ----------
    agri_grade, urban_grade : uint8
        Land grades (农业、城镇土地资源等级) 1–5, before the judgement matrix; 0 no data.
    soil_grade : uint8
        Soil environment (土壤环境) 1, 3, 5; 0 no data.
    elevation : float32, m, NaN no data
    eco_class : uint8
        1 极重要, 2 重要, 3 一般; 0 no data.
    agri_class, urban_class : uint8
        1 适宜, 2 一般适宜, 3 不适宜; 0 no data.
    farmland : uint8
        Permanent basic farmland (永久基本农田): 1 inside, 0 outside.
    land_use : uint8
        Codes of the rule file; 0 no data.
    """

    agri_grade: NDArray[np.uint8] | None = None
    urban_grade: NDArray[np.uint8] | None = None
    soil_grade: NDArray[np.uint8] | None = None
    elevation: NDArray[np.float32] | None = None
    eco_class: NDArray[np.uint8] | None = None
    agri_class: NDArray[np.uint8] | None = None
    urban_class: NDArray[np.uint8] | None = None
    farmland: NDArray[np.uint8] | None = None
    land_use: NDArray[np.uint8] | None = None

    def present(self) -> frozenset[str]:
        """Names of the layers that are there."""
        return frozenset(name for name in self.__slots__ if getattr(self, name) is not None)


def _tally(
    units: Any,
    dm2: Any,
    agri: Any,
    urban: Any,
    soil: Any,
    elevation: Any,
    eco: Any,
    agri_class: Any,
    urban_class: Any,
    farmland: Any,
    use: Any,
    has: Any,
    limits: Any,
    groups: Any,
    out: Any,
) -> None:
    """Add one block to `out` (units, columns). Compiled by numba without fastmath; 1 true, 2 false, 0 unknown."""
    rows, cols = units.shape
    grade_max = limits[0]
    soil_max = limits[1]
    elevation_max = limits[2]
    state = np.zeros(5, np.uint8)
    for r in range(rows):
        area = dm2[r]
        for c in range(cols):
            unit = units[r, c]
            if unit == 0:
                continue
            row = out[unit - 1]
            row[0] += area

            dry = 1
            if has[8]:
                group = groups[use[r, c]]
                dry = 0 if group == 0 else (2 if group == _WATER_LEFT_OUT else 1)
                if group in (_WATER_LEFT_OUT, _WATER_COUNTED):
                    row[_WATER] += area
                elif group == _IS_CROPLAND:
                    row[_CROPLAND] += area
                elif group == _IS_BUILT:
                    row[_BUILT] += area
            ground = 1
            if has[3]:
                height = elevation[r, c]
                ground = 0 if np.isnan(height) else (1 if height < elevation_max else 2)
            clean = 1
            if has[2]:
                value = soil[r, c]
                clean = 0 if value == 0 else (1 if value <= soil_max else 2)
            eco_state = 0
            if has[4]:
                value = eco[r, c]
                if 1 <= value <= 3:
                    row[_ECO + value] += area
                    eco_state = 2 if value == 1 else 1
            outside = 1
            if has[7] and farmland[r, c] != 0:
                outside = 2
                row[_FARMLAND] += area
            agri_land = 0
            if has[0]:
                value = agri[r, c]
                if 1 <= value <= 5:
                    row[_AGRI_GRADE + value] += area
                    agri_land = 1 if value <= grade_max else 2
            urban_land = 0
            if has[1]:
                value = urban[r, c]
                if 1 <= value <= 5:
                    row[_URBAN_GRADE + value] += area
                    urban_land = 1 if value <= grade_max else 2
            agri_fit = 0
            if has[5]:
                value = agri_class[r, c]
                if 1 <= value <= 3:
                    row[_AGRI_CLASS + value] += area
                    agri_fit = 2 if value == 3 else 1
            urban_fit = 0
            if has[6]:
                value = urban_class[r, c]
                if 1 <= value <= 3:
                    row[_URBAN_CLASS + value] += area
                    urban_fit = 2 if value == 3 else 1

            # A false part decides; else an unknown part leaves the condition unknown.
            state[0] = (
                2 if agri_land == 2 or clean == 2 or ground == 2 or dry == 2 else agri_land * clean * ground * dry
            )
            state[1] = 2 if eco_state == 2 or agri_fit == 2 or dry == 2 else eco_state * agri_fit * dry
            state[2] = 2 if urban_land == 2 or dry == 2 else urban_land * dry
            state[3] = 2 if eco_state == 2 or urban_fit == 2 or dry == 2 else eco_state * urban_fit * dry
            state[4] = 2 if state[3] == 2 or outside == 2 else state[3] * outside
            for k in range(5):
                if state[k] == 1:
                    row[1 + 2 * k] += area
                elif state[k] == 0:
                    row[2 + 2 * k] += area


def land_areas(
    units: NDArray[np.uint16], dm2: NDArray[np.int64], layers: LandLayers, rules: CapacityRules, count: int
) -> NDArray[np.int64]:
    """Areas of one block by unit; add the arrays of all blocks and hand the sum to `LandAreas`.

    Formula (2019): A_l = Σ cells [agri land grade ≤ 4 ∧ soil environment ≤ 3 ∧ elevation < 5000 m ∧ no water surface];
    B_l = Σ [urban land grade ≤ 4 ∧ no water surface]. (2020): outside 极重要 and 不适宜, B_l also less permanent farmland.
    Soil, elevation, land use that are missing leave their part out (`LandAreas.notes` says so).

    Parameters
    ----------
    units : uint16 (rows, cols)
        1 … `count` = position of the unit in the list of codes + 1; 0 none.
    dm2 : int64 (rows,), dm²
        Cell area by row, see `spatial.units.whole_dm2`.
    layers : LandLayers
    rules : CapacityRules
    count : int
        Number of units.

    Returns
    -------
    int64 (count, len(LAND_COLUMNS)), dm²

    Raises
    ------
    GridMismatch
        If a layer has another shape than `units`.
    InvalidParameter
        If a unit number exceeds `count`.

    Source: 双评价指南 承载规模; public implementation CUGGISRS/spj (2019-08). Water, farmland: this project.
    """
    if int(dm2.shape[0]) != units.shape[0]:
        raise GridMismatch(
            f"行面积有 {dm2.shape[0]} 行，单元栅格有 {units.shape[0]} 行",
            f"row areas have {dm2.shape[0]} rows, the unit raster {units.shape[0]}",
        )
    if units.size and int(units.max()) > count:
        raise InvalidParameter(
            f"单元栅格的值 {int(units.max())} 超过单元数 {count}",
            f"value {int(units.max())} of the unit raster exceeds the number of units {count}",
            parameter="units",
        )
    out = np.zeros((count, len(LAND_COLUMNS)), dtype=np.int64)
    names = LandLayers.__slots__
    present = layers.present()
    arrays: list[Any] = []
    for name in names:
        dtype = np.float32 if name == "elevation" else np.uint8
        array = getattr(layers, name)
        if array is None:
            array = np.zeros((0, 0), dtype=dtype)
        elif array.shape != units.shape:
            raise GridMismatch(
                f"栅格 {name} 的形状 {array.shape} 与单元栅格 {units.shape} 不一致",
                f"raster {name} has shape {array.shape}, the unit raster {units.shape}",
                layer=name,
            )
        arrays.append(np.ascontiguousarray(array, dtype=dtype))
    agri, urban, soil, elevation, eco, agri_class, urban_class, farmland, use = arrays
    compiled(_tally)(
        np.ascontiguousarray(units, dtype=np.uint16),
        np.ascontiguousarray(dm2, dtype=np.int64),
        agri,
        urban,
        soil,
        elevation,
        eco,
        agri_class,
        urban_class,
        farmland,
        use,
        np.array([name in present for name in names], dtype=np.bool_),
        np.array([rules.land.grade_max, rules.land.soil_grade_max, rules.land.elevation_below_m], dtype=np.float64),
        _use_groups(rules),
        out,
    )
    return out


def _use_groups(rules: CapacityRules) -> NDArray[np.uint8]:
    """uint8 (256,): group of each land-use code as the kernel needs it; 0 no data."""
    table = np.zeros(256, dtype=np.uint8)
    water = _WATER_LEFT_OUT if rules.land_exclusions.water_surface else _WATER_COUNTED
    numbers = {"water": water, "cropland": _IS_CROPLAND, "built": _IS_BUILT}
    for group, codes in rules.land_use.codes.items():
        table[list(codes)] = numbers.get(group, _OTHER_LAND)
    return table


@dataclass(frozen=True)
class LandAreas:
    """Land areas of every unit of a run (单元土地面积表).

    Attributes
    ----------
    codes : tuple of str
        Unit codes in the order of the unit raster.
    dm2 : int64 (n, len(LAND_COLUMNS))
        Sum of `land_areas` over all blocks.
    present : frozenset of str
        Layers that took part (`LandLayers.present`).
    whole_km2 : mapping, optional
        Code → ellipsoidal area of the whole unit, km². Far less on the grid means that the run's window cuts it.
    cut : frozenset of str, optional
        Codes of the units that reach beyond the run's grid, see `cut_units`.
    """

    codes: tuple[str, ...]
    dm2: NDArray[np.int64]
    present: frozenset[str]
    whole_km2: Mapping[str, float] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.dm2.shape != (len(self.codes), len(LAND_COLUMNS)) or self.dm2.dtype != np.int64:
            raise InvalidParameter(
                f"面积表应为 int64 {(len(self.codes), len(LAND_COLUMNS))}，实为 {self.dm2.dtype} {self.dm2.shape}",
                f"areas must be int64 {(len(self.codes), len(LAND_COLUMNS))}, found {self.dm2.dtype} {self.dm2.shape}",
                parameter="dm2",
            )
        if len(set(self.codes)) != len(self.codes):
            raise QualityViolation("土地面积表中单元代码重复", "the land areas hold a unit code twice", layer="units")

    def known(self, column: str) -> bool:
        """Whether the layers of `column` took part."""
        stem = column if column in _NEEDS else column.removesuffix("_unknown")
        needs = _NEEDS.get(stem) or _NEEDS.get(stem.rpartition("_")[0], ())
        return set(needs) <= self.present

    def km2(self, code: str, column: str) -> float | None:
        """Area in km²; None if the unit is not there or a layer is missing.

        >>> a = LandAreas(("420102",), np.full((1, len(LAND_COLUMNS)), 5 * 10**8), frozenset({"eco_class"}))
        >>> a.km2("420102", "unit"), a.km2("420102", "eco_1"), a.km2("420102", "agri_grade_1"), a.km2("1", "unit")
        (5.0, 5.0, None, None)
        """
        if code not in self.codes or not self.known(column):
            return None
        return int(self.dm2[self.codes.index(code), _AT[column]]) / 1e8

    def frame(self) -> pd.DataFrame:
        """One row a unit, km²; NaN where a layer is missing."""
        import pandas as pd

        values: Sequence[NDArray[np.float64]] = [
            self.dm2[:, k] / 1e8 if self.known(name) else np.full(len(self.codes), np.nan)
            for k, name in enumerate(LAND_COLUMNS)
        ]
        return pd.DataFrame(dict(zip(LAND_COLUMNS, values, strict=True)), index=pd.Index(self.codes, name="code"))


def cut_units(codes: Sequence[str], geometries: Any, bounds: tuple[float, float, float, float]) -> frozenset[str]:
    """Codes of the units that reach beyond the grid: what they can carry must not be judged from a part of them.

    Parameters
    ----------
    codes : sequence of str
    geometries : array of polygons, EPSG:4490
    bounds : west, south, east, north, degrees
        Of the run's grid.

    Examples
    --------
    >>> import shapely
    >>> sorted(cut_units(["a", "b"], [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 3, 1)], (0, 0, 2, 1)))
    ['b']
    """
    import shapely

    box = shapely.bounds(np.asarray(geometries, dtype=object))
    west, south, east, north = bounds
    edge = 1e-9  # degrees, 0.1 mm: rounding of the grid's corner
    beyond = (
        (box[:, 0] < west - edge) | (box[:, 1] < south - edge) | (box[:, 2] > east + edge) | (box[:, 3] > north + edge)
    )
    return frozenset(code for code, out in zip(codes, beyond, strict=True) if out)


def land_notes(land: LandAreas, rules: CapacityRules, profile: Profile) -> tuple[Text, ...]:
    """Parts of the land constraint that were left out because their layer is missing."""
    parts = [("land_use", "现状用地（水面未扣除）", "land use (water surfaces are not left out)")]
    if profile == "2019":
        parts += [
            ("soil_grade", "土壤环境", "soil environment"),
            ("elevation", "高程上限", "elevation limit"),
        ]
    elif rules.land_exclusions.permanent_farmland_2020:
        parts.append(("farmland", "永久基本农田（未扣除）", "permanent basic farmland (not left out)"))
    return tuple(
        Text(zh=f"土地约束缺少：{zh}，面积偏大", en=f"the land constraint lacks {en}: its area is an upper bound")
        for layer, zh, en in parts
        if layer not in land.present
    )
