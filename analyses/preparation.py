"""What a run prepares before its blocks (准备): grid check, limits, water surfaces, units, travel time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.location import TravelTime, centres, travel_time
from analyses.masks import burn, scratch_array
from spatial.catalog import Text
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, QualityViolation
from spatial.jobs.contract import Inputs, Parameters

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.rules import UrbanRules

__all__ = ["Units", "burned", "check_grid", "find_travel_time", "inside_of", "unit_numbers"]

WATER_ROLES = ("lakes", "rivers")


def check_grid(inputs: Inputs) -> None:
    """Raise `CRSMismatch` or `GridMismatch` unless the run's grid is north up in EPSG:4490."""
    grid = inputs.grid
    if grid.crs is None or grid.crs.to_epsg() != 4490:
        raise CRSMismatch(
            f"运行格网的坐标系应为 EPSG:4490，得到 {grid.crs}", f"the run's grid must be EPSG:4490, found {grid.crs}"
        )
    a = grid.affine
    if a.b or a.d or a.a <= 0 or a.e >= 0:
        raise GridMismatch(
            f"运行格网应北向上、无旋转，得到 {tuple(a[:6])}", f"the run's grid must be north up, found {tuple(a[:6])}"
        )


def burned(inputs: Inputs, roles: Sequence[str], name: str, *, all_touched: bool = False) -> NDArray[np.uint8] | None:
    """1 where a feature of these roles lies, memory-mapped; None if none of them was supplied."""
    frames = [inputs.frames[role] for role in roles if role in inputs.frames]
    if not frames:
        return None
    mask: NDArray[np.uint8] = scratch_array(inputs.scratch, name, inputs.grid.shape.yx, np.uint8)
    for frame in frames:
        burn(mask, inputs.grid.affine, frame.geometry.array, [1] * len(frame), all_touched=all_touched)
    return mask


def inside_of(inputs: Inputs, parameters: Parameters) -> NDArray[np.uint8] | None:
    """Cells that a county unit touches; None without the layer (then everything is assessed).

    Raises
    ------
    InvalidParameter
        If no unit lies in the window.
    """
    inside = burned(inputs, ("counties",), "inside", all_touched=True)
    if inside is not None and not inside.any():
        raise InvalidParameter(
            "所选范围内没有县级单元，请把 bbox 移到省域内",
            "no county unit lies in this window; move bbox into the province",
            parameter="bbox",
            value=None if parameters.bbox is None else list(parameters.bbox),
        )
    return inside


@dataclass(frozen=True)
class Units:
    """County units on the run's grid.

    Attributes
    ----------
    numbers : uint16 (rows, cols), memory-mapped
        1 … n = position in `codes` + 1; 0 none. A cell belongs to the unit that holds its centre, so that units add up.
    codes, names : tuple of str
    """

    numbers: NDArray[np.uint16]
    codes: tuple[str, ...]
    names: tuple[str, ...]


def unit_numbers(inputs: Inputs) -> Units | None:
    """Numbers of the county units; None without the layer.

    Raises
    ------
    QualityViolation
        If the layer has no code, or a code twice.
    """
    if "counties" not in inputs.frames:
        return None
    frame = inputs.frames["counties"]
    if "code" not in frame.columns:
        raise QualityViolation(
            "县级单元图层缺少字段 code，请补充", "the layer of county units has no field code; add it", layer="counties"
        )
    codes = tuple(str(v) for v in frame["code"])
    if len(set(codes)) != len(codes):
        twice = sorted({c for c in codes if codes.count(c) > 1})
        raise QualityViolation(
            f"县级单元代码重复：{'、'.join(twice)}",
            f"unit codes occur twice: {', '.join(twice)}",
            layer="counties",
        )
    numbers = scratch_array(inputs.scratch, "units", inputs.grid.shape.yx, np.uint16)
    burn(numbers, inputs.grid.affine, frame.geometry.array, range(1, len(codes) + 1))
    names = tuple(str(v) for v in frame["name"]) if "name" in frame.columns else codes
    return Units(numbers, codes, names)


def find_travel_time(
    inputs: Inputs,
    parameters: Any,
    rules: UrbanRules,
    *,
    titles: Mapping[str, Text],
    layers: Mapping[str, str],
    progress: Callable[[float], None],
) -> tuple[TravelTime | None, Text | None]:
    """Minutes to the centres, or why location is not assessed.

    Parameters
    ----------
    parameters : UrbanParameters
    titles, layers : mapping
        By role, for messages.
    """
    if not parameters.apply_location:
        return None, Text(zh="按参数关闭", en="switched off by parameter")
    frames: dict[str, geopandas.GeoDataFrame] = dict(inputs.frames)
    lacking = [titles[role] for role in ("roads", "seats") if role not in frames]
    if lacking:
        return None, Text(
            zh=f"缺少输入：{'、'.join(t.zh for t in lacking)}", en=f"missing input: {', '.join(t.en for t in lacking)}"
        )
    row = rules.location.rows[parameters.location_row]
    seats = centres(frames["seats"], row.centres, layers["seats"])
    if seats.empty:
        return None, Text(zh="驻地图层中没有所需级别的中心", en="the seats layer has no centre of this level")
    travel = travel_time(
        inputs.grid,
        seats=seats,
        roads=frames["roads"],
        road_layer=layers["roads"],
        speeds_kmh=rules.speeds.roads,
        offroad_kmh=parameters.offroad_speed_kmh,
        barriers=() if parameters.water_passable else [frames[r] for r in WATER_ROLES if r in frames],
        extent=[frames[r] for r in ("counties", "roads", "seats") if r in frames],
        cover_window="counties" not in frames,
        scratch=inputs.scratch,
        coarsen=parameters.location_coarsen,
        threads=inputs.threads,
        progress=progress,
    )
    return travel, None
