"""Putting an assessment together (装配): which inputs a run has, which factors follow, what is not assessed and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assessment import Assessment, Block, Late, Terrain
from analyses.blocks import Window
from analyses.location import TravelTime
from analyses.masks import release
from analyses.patches import patch_areas
from analyses.preparation import Units, burned, check_grid, find_travel_time, inside_of, unit_numbers
from analyses.rules import PatchRule, Sourced, UrbanRules, urban_rules
from analyses.sources import Climate, FromField, climate_of, reference_elevation
from analyses.stations import FactorSpec
from analyses.terrain import cell_size, relief_side
from spatial.catalog import Band, Text
from spatial.grid import cell_areas
from spatial.jobs.contract import Factor, Inputs
from spatial.units import whole_dm2

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "NO_PATH_MIN",
    "RAMP",
    "Assembly",
    "Landform",
    "Prepared",
    "factor_bands",
    "factor_list",
    "patch_levels",
    "prepare",
]

NO_PATH_MIN = 65536.0
"""Minutes that stand for «no path leads here» (an island, a far bank): beyond every limit, and a number that can be stored."""

_PATCH_BLOCK = 512
"""Side of the blocks that patches are labelled in: a divisor of every run's block, else blocks are labelled again."""

RAMP: dict[str, Any] = {
    "type": "ramp",
    "band": "slope",
    "title": {"zh": "坡度（°）", "en": "Slope (°)"},
    "stops": [
        {"value": 0, "color": "#ffffe5"},
        {"value": 3, "color": "#fff7bc"},
        {"value": 8, "color": "#fec44f"},
        {"value": 15, "color": "#ec7014"},
        {"value": 25, "color": "#993404"},
        {"value": 45, "color": "#3f1500"},
    ],
}


@dataclass(frozen=True)
class Prepared:
    """What every assessment of a run shares.

    Attributes
    ----------
    inside, surface, farmland : uint8 (rows, cols) or None
        Limits, water surfaces (湖泊、河流水面), permanent basic farmland.
    units : Units or None
    travel, why_no_travel
        Minutes to the centres, or why there are none.
    dm2 : int64 (rows,)
        Cell area by row.
    masks : mapping
        What travels with the blocks, by name.
    temperature : Climate or None
        Monthly temperature, ℃, with the height that its cells stand for.
    """

    terrain: Terrain
    urban: UrbanRules
    cell_m: float
    inside: NDArray[np.uint8] | None
    surface: NDArray[np.uint8] | None
    farmland: NDArray[np.uint8] | None
    units: Units | None
    travel: TravelTime | None
    why_no_travel: Text | None
    dm2: NDArray[np.int64]
    masks: Mapping[str, Any]
    temperature: Climate | None


@dataclass(frozen=True)
class Assembly:
    """An assessment with what its result says of itself.

    Attributes
    ----------
    late : callable, optional
        Completes the assembly from what pass 1 kept, and makes the values of its late factors; patches need none.
    patch : PatchRule, optional
    """

    assessment: Assessment
    factors: tuple[Factor, ...]
    bands: tuple[Band, ...]
    style: Mapping[str, Any]
    parameters: tuple[dict[str, Any], ...] = ()
    notes: tuple[Text, ...] = ()
    patch: PatchRule | None = None
    masks: Mapping[str, Any] = field(default_factory=dict)
    """What travels with the blocks for this assessment alone."""
    late: Callable[[Assembly, Mapping[str, NDArray[Any]]], tuple[Assembly, Late]] | None = field(default=None)


def prepare(
    inputs: Inputs,
    parameters: Any,
    *,
    titles: Mapping[str, Text],
    layers: Mapping[str, str],
    progress: Callable[[float, str], None],
    by_unit: bool = True,
) -> Prepared:
    """Check the grid, burn the masks, find travel time, and read what climate needs.

    Without `by_unit` the cells get no unit number (an analysis whose tables cut the cells at the borders needs none).

    Raises
    ------
    CRSMismatch, GridMismatch, InvalidParameter, LayerDefinitionInvalid, QualityViolation
    """
    check_grid(inputs)
    urban = urban_rules(inputs.rules)
    progress(0.0, "读取边界与水面 limits and water surfaces")
    inside = inside_of(inputs, parameters)
    surface = burned(inputs, ("lakes", "rivers"), "surface")
    farmland = burned(inputs, ("farmland",), "farmland")
    units = unit_numbers(inputs) if by_unit else None
    progress(0.15, "计算通行时间 travel time")
    travel, why = find_travel_time(
        inputs,
        parameters,
        urban,
        titles=titles,
        layers=layers,
        progress=lambda s: progress(0.15 + 0.85 * s, "计算通行时间 travel time"),
    )
    affine, rows = inputs.grid.affine, inputs.grid.shape.y
    size = cell_size(affine.f, -affine.e, affine.a, 0, rows)
    cell_m = float(np.sqrt(size.x.mean() * size.y.mean()))
    terrain = Terrain(
        inputs.rasters["dem"],
        affine.f,
        -affine.e,
        affine.a,
        relief_side(cell_m, urban.relief.window_area_ha, urban.relief.minimum_side),
        (urban.elevation.plausible.min, urban.elevation.plausible.max),
        urban.slope.step,
        urban.relief.step,
    )
    masks: dict[str, Any] = {}
    for name, mask in (("inside", inside), ("surface", surface)):
        if mask is not None:
            masks[name] = mask
    if travel is not None:
        masks["minutes"] = _Minutes(travel, urban.location)
    return Prepared(
        terrain, urban, cell_m, inside, surface, farmland, units, travel, why, whole_dm2(cell_areas(inputs.grid)), masks,
        _temperature(inputs, urban),
    )  # fmt: skip


@dataclass(frozen=True)
class _Minutes:
    """Travel time of a window, rounded as it is stored; `NO_PATH_MIN` where no path leads, NaN where it is not known."""

    travel: TravelTime
    rule: Sourced

    def __call__(self, window: Window) -> NDArray[np.float32]:
        minutes = self.travel.read(*window)
        return self.rule.quantised(np.where(np.isinf(minutes), np.float32(NO_PATH_MIN), minutes))


def _temperature(inputs: Inputs, rules: UrbanRules) -> Climate | None:
    from analyses.climate import MONTHS, monthly_temperature

    if "temperature" not in inputs.rasters:
        return None
    raster = inputs.rasters["temperature"]
    months = np.stack([raster.source(band=m) for m in range(1, MONTHS + 1)])
    checked = monthly_temperature(
        months, rules.comfort.plausible_monthly_c, layer=raster.layer_id, declared=raster.unit
    )
    return climate_of(raster, checked, reference_elevation(inputs.rasters["dem"], raster))


def annual_rain(inputs: Inputs, span: Any, *, times: float = 1.0, step: float | None = None) -> FromField:
    """Annual precipitation (年降水量), mm, times a factor: summed on its own grid, then read bilinearly at the cells.

    Raises
    ------
    QualityViolation
        For sums outside the plausible range (wrong unit).
    """
    from analyses.climate import MONTHS, annual_precipitation
    from analyses.fields import Field

    raster = inputs.rasters["rain"]
    months = np.stack([raster.source(band=m) for m in range(1, MONTHS + 1)])
    total = annual_precipitation(months, span, layer=raster.layer_id, declared=raster.unit)
    return FromField(Field(total.astype(np.float32), *raster.axes(), "bilinear"), times, step)


def factor_bands(sources: Mapping[str, Any], specs: Mapping[str, FactorSpec]) -> tuple[Band, ...]:
    """Bands of a raster of factors; a band has the name of its factor."""
    bands = []
    for name in sources:
        spec = specs.get(name)
        rule = None if spec is None else spec.rule
        bands.append(
            Band(
                name=name,
                title=Text(zh=name, en=name) if rule is None else rule.title,
                unit=None if spec is None else spec.unit,
                valid_range=(-1e7, 1e7),
            )
        )
    return tuple(bands)


def factor_list(
    specs: Sequence[FactorSpec],
    available: Mapping[str, Text],
    missing: Mapping[str, Text],
    titles: Mapping[str, Text],
    inputs: Inputs,
    prefix: str,
) -> tuple[Factor, ...]:
    """Every factor of the method: assessed and how, or why not; a missing one never gets a default grade."""
    found = []
    for spec in specs:
        cited = f"{spec.rule.source} [{spec.rule.tag}]"
        if spec.id in available:
            found.append(Factor(f"{prefix}{spec.id}", spec.title, True, available[spec.id], cited))
            continue
        note = missing.get(spec.id)
        if note is None:
            needs = [role.replace("-", "_") for role in spec.needs]
            lacking = [r for r in needs if r not in inputs.rasters and r not in inputs.frames]
            zh = "、".join(titles[r].zh if r in titles else r for r in lacking) or "—"
            en = ", ".join(titles[r].en if r in titles else r for r in lacking) or "—"
            note = Text(zh=f"缺少输入：{zh}", en=f"missing input: {en}")
        found.append(Factor(f"{prefix}{spec.id}", spec.title, False, note, cited))
    return tuple(found)


@dataclass(frozen=True)
class Landform:
    """Kind of landform (地貌) of each cell by its relief: 0 plain, 1 hill, 2 mountain; for the size classes of patches."""

    rule: PatchRule

    def __call__(self, block: Block) -> NDArray[Any]:
        """uint8, 0–2; cells without relief count as plain (they have no grade either)."""
        level = self.rule.landform_by_relief.grade(block.relief)
        return np.maximum(level, 1).astype(np.uint8) - np.uint8(1)


def patch_levels(assembly: Assembly, kept: Mapping[str, NDArray[Any]], prepared: Prepared, threads: int) -> Late:
    """Patch concentration (地块集中连片度): level 1 高 … 5 低 of each cell's patch of equal grade.

    Patches are of the grades before this correction. Grade 5 (water surfaces too) is never corrected by it; cells that
    are not assessed belong to no patch: level 0.
    """
    if assembly.patch is None:
        raise ValueError("this assessment has no patch rule")
    rule = assembly.patch
    packed = kept[f"{assembly.assessment.id}:packed"]
    kinds = kept[f"{assembly.assessment.id}:landform"]
    found = patch_areas(_GradeView(packed), prepared.dm2, block=_PATCH_BLOCK, threads=threads)
    release(packed)
    edges = np.array([_edges(rule, form) for form in ("plain", "hill", "mountain")], dtype=np.int64)

    def late(window: Window) -> Mapping[str, NDArray[Any]]:
        row, col, height, width = window
        cut = np.asarray(kinds[row : row + height, col : col + width])
        size = found.levels(row, col, height, width, edges, kinds=cut)
        # Size classes count from the smallest; levels of the rule from 高.
        level = np.where(size == 0, np.uint8(0), np.uint8(6) - size).astype(np.uint8)
        return {"patch": level}

    return late


class _GradeView:
    """The grades of packed cells, unpacked block by block."""

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, packed: NDArray[np.uint16]) -> None:
        self._packed = packed
        self.shape = packed.shape

    def __getitem__(self, cut: Any) -> NDArray[np.uint8]:
        return (np.asarray(self._packed[cut]) & np.uint16(7)).astype(np.uint8)


def _edges(rule: PatchRule, form: Any) -> list[int]:
    """Lower ends of the size classes of a landform, whole dm², ascending."""
    rows = sorted(rule.landforms[form].grades, key=lambda row: row.start)
    # 1 亩 = 10⁴/15 m²; multiplied before it is divided, so that 150 亩 is 10⁷ dm² exactly.
    return [int(np.ceil(row.start * 1e8 if rule.area_unit == "km2" else row.start * 1e6 / 15)) for row in rows[1:]]
