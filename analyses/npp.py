"""The method of NPP indicators (NPP 定量指标法), an alternative to the model method; a run uses one of them.

Each service is the mean net primary productivity (净初级生产力) times factors brought to 0–1 between their least and
greatest value in the run. Least and greatest do not depend on the order of the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from analyses.grading import quantise
from analyses.ranking import value_range
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NPP_NEEDS", "Extent", "npp_service"]

NPP_NEEDS: Mapping[str, tuple[str, ...]] = {
    "npp_water": ("npp", "soil_infiltration", "rain", "slope"),
    "npp_soil": ("npp", "erodibility", "slope"),
    "npp_sand": ("npp", "erodibility", "wind_erosivity", "roughness"),
    "npp_biodiversity": ("npp", "rain", "temperature", "elevation"),
}
"""Service → quantities that it is made of."""

_FALLING = {"npp_water": {"slope"}, "npp_soil": {"slope", "erodibility"}, "npp_biodiversity": {"elevation"}}
"""Quantities that enter as 1 − factor."""


class Extent:
    """Least and greatest value of each quantity over any number of blocks.

    Examples
    --------
    >>> e = Extent()
    >>> e.add({"slope": np.array([2.0, np.nan])}); e.add({"slope": np.array([8.0])})
    >>> e.limits
    {'slope': (2.0, 8.0)}
    """

    def __init__(self) -> None:
        self.limits: dict[str, tuple[float, float]] = {}

    def add(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Widen by a block."""
        for name, block in values.items():
            found = value_range(block)
            if found is not None:
                low, high = self.limits.get(name, found)
                self.limits[name] = (min(low, found[0]), max(high, found[1]))

    def merge(self, other: Self) -> None:
        """Widen by the extent of other blocks."""
        for name, (low, high) in other.limits.items():
            self.add({name: np.array([low, high])})


def npp_service(
    service: str, values: Mapping[str, NDArray[Any]], limits: Mapping[str, tuple[float, float]], step: float
) -> NDArray[np.float32]:
    """One service of the NPP method.

    Formulas (F normalised to 0–1): WR = NPP·F_sic·F_pre·(1 − F_slo); S_pro = NPP·(1 − K)·(1 − F_slo);
    S_ws = NPP·K·F_q·D; S_bio = NPP·F_pre·F_tem·(1 − F_alt).

    Parameters
    ----------
    service : {"npp_water", "npp_soil", "npp_sand", "npp_biodiversity"}
    values : mapping
        The quantities of `NPP_NEEDS`: npp gC/(m²·a), rain mm, temperature ℃, slope °, elevation m, erodibility SI, soil
        infiltration, climatic wind erosivity, roughness; one shape, NaN = no value.
    limits : mapping
        Least and greatest of each quantity in the run (`Extent.limits`).
    step : float

    Returns
    -------
    float32, same shape, gC/(m²·a), multiples of `step`, ≥ 0

    Raises
    ------
    InvalidParameter
        If the limits of a quantity are not given.
    QualityViolation
        If a quantity has one value everywhere: it cannot be normalised.

    Source: 生态保护红线划定指南（2017）NPP 定量指标评估方法.

    Examples
    --------
    >>> v = {"npp": np.array([800.0]), "erodibility": np.array([0.02]), "slope": np.array([10.0])}
    >>> npp_service("npp_soil", v, {"erodibility": (0.0, 0.04), "slope": (0.0, 40.0)}, 0.0625).tolist()
    [300.0]
    """
    product = np.asarray(values["npp"], dtype=np.float64)
    for name in NPP_NEEDS[service][1:]:
        if name not in limits:
            raise InvalidParameter(
                f"NPP 法缺少因子 {name} 的全域最小、最大值，请先统计（Extent）",
                f"the NPP method lacks least and greatest {name} of the run; find them first (Extent)",
                parameter="npp_limits",
            )
        low, high = limits[name]
        if not low < high:
            raise QualityViolation(
                f"NPP 法的因子 {name} 处处为 {low:g}，无法归一化；请换数据或改用模型评价法",
                f"the NPP factor {name} is {low:g} everywhere and cannot be normalised; use other data or the model method",
                factor=name,
            )
        share = np.clip((np.asarray(values[name], dtype=np.float64) - low) / (high - low), 0, 1)
        product = product * (1 - share if name in _FALLING.get(service, set()) else share)
    return quantise(product, step)
