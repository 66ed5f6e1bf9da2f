"""Features of the classifier (分类特征): reflectance bands, normalised differences, elevation; read by window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.windows import read_window
from spatial.errors import QualityViolation
from spatial.jobs.contract import RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.landcover.rules import LandCoverRules

__all__ = ["FeatureStack", "normalised_difference"]


def normalised_difference(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """(a − b)/(a + b), clipped to −1–1; 0 where the sum is not positive (no contrast), NaN where one is NaN.

    Parameters
    ----------
    a, b : float arrays of one shape, reflectance 0–1

    Returns
    -------
    float32

    Examples
    --------
    >>> normalised_difference(np.array([0.5, 0.1, -0.1]), np.array([0.1, 0.1, 0.1])).round(3).tolist()
    [0.6669999957084656, 0.0, 0.0]
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = x + y
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(total > 0, (x - y) / total, np.where(np.isnan(total), np.nan, 0.0))
    return np.clip(ratio, -1.0, 1.0).astype(np.float32)


@dataclass(frozen=True)
class FeatureStack:
    """What the classifier sees of each cell.

    Attributes
    ----------
    scenes : mapping of str to RasterInput
        Role → scene; each has exactly the bands of the rule, reflectance 0–1, in that order.
    elevation : RasterInput or None
        m.
    rules : LandCoverRules
    indices : bool
        With the spectral indices of the rule file.
    """

    scenes: Mapping[str, RasterInput]
    elevation: RasterInput | None
    rules: LandCoverRules
    indices: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each feature, in order."""
        own = [*self.rules.scene.bands, *(row.id for row in self.rules.indices.list if self.indices)]
        found = [f"{role}.{name}" for role in self.scenes for name in own]
        return (*found, "elevation") if self.elevation is not None else tuple(found)

    def check_bands(self) -> None:
        """Raise `QualityViolation` unless every scene has as many bands as the rule names."""
        expected = len(self.rules.scene.bands)
        for scene in self.scenes.values():
            read_window(scene, 0, 0, 1, 1, expected)
            try:
                scene.read(0, 0, 1, 1, band=expected + 1)
            except IndexError:
                continue
            names = "、".join(self.rules.scene.bands)
            raise QualityViolation(
                f"图层 {scene.layer_id} 的波段多于 {expected} 个，无法确定次序；应为 {names}",
                f"layer {scene.layer_id} has more than {expected} bands, so their order is not certain; expected: "
                f"{', '.join(self.rules.scene.bands)}",
                layer=scene.layer_id,
            )

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        """Features of a window.

        Returns
        -------
        float32 (height × width, features), C order, cells by row; NaN = no data

        Raises
        ------
        QualityViolation
            For reflectance or elevation outside the plausible range (digital numbers, percent, feet).
        """
        columns: list[NDArray[np.float32]] = []
        span = self.rules.scene.plausible
        for scene in self.scenes.values():
            bands = {
                name: read_window(scene, row, col, height, width, number)
                for number, name in enumerate(self.rules.scene.bands, start=1)
            }
            for name, values in bands.items():
                _require(values, span.min, span.max, scene, name)
            columns += bands.values()
            if self.indices:
                columns += [normalised_difference(bands[r.a], bands[r.b]) for r in self.rules.indices.list]
        if self.elevation is not None:
            z = read_window(self.elevation, row, col, height, width)
            limits = self.rules.elevation.plausible
            _require(z, limits.min, limits.max, self.elevation, "elevation")
            columns.append(z)
        return np.stack([np.asarray(c, dtype=np.float32).ravel() for c in columns], axis=1)


def _require(values: NDArray[Any], low: float, high: float, raster: RasterInput, name: str) -> None:
    known = values[np.isfinite(values)]
    if known.size == 0:
        return
    least, most = float(known.min()), float(known.max())
    if low <= least and most <= high:
        return
    zh, en = "请检查单位", "check the unit"
    if name != "elevation":
        zh = "应为 0–1 的反射率，不是 DN 或百分数；请在图层中声明 scale 与 offset，或先换算"
        en = "reflectance 0–1 is needed, not digital numbers or percent; declare scale and offset, or convert it first"
    raise QualityViolation(
        f"图层 {raster.layer_id} 的 {name} 为 {least:g}–{most:g}，超出 {low:g}–{high:g}（声明单位 {raster.unit or '无'}）：{zh}",
        f"layer {raster.layer_id}: {name} {least:g} to {most:g} is outside {low:g} to {high:g} "
        f"(declared unit: {raster.unit or 'none'}): {en}",
        layer=raster.layer_id,
        unit=raster.unit,
        range=[low, high],
    )
