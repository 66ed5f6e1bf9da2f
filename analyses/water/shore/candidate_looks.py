"""The work of a block for the corridor candidates: classify every date, then judge the changes (逐块分类与判别)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.blocks import Arrays, Window
from analyses.water.extent.scene_maps import InspectedScene, scene_reflectance
from analyses.water.shore.candidate_rules import CandidateRules
from analyses.water.shore.disturbance import Looks, changed_cells
from analyses.water.shore.surfaces import change_features, surface_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules
    from spatial.jobs.contract import SceneSeries

__all__ = ["ClassifyLooks", "JudgeLooks", "LookFile", "by_day", "looks_of"]


def by_day(scenes: Sequence[InspectedScene]) -> tuple[tuple[InspectedScene, ...], ...]:
    """Scenes of one day (UTC) are one look: where the first did not see, the next one counts."""
    days: dict[Any, list[InspectedScene]] = {}
    for scene in scenes:
        days.setdefault(scene.time.date(), []).append(scene)
    return tuple(tuple(days[day]) for day in sorted(days))


def looks_of(days: Sequence[tuple[InspectedScene, ...]], before: NDArray[np.bool_]) -> Looks:
    """Dates of the looks."""
    first = [scenes[0].time for scenes in days]
    return Looks(
        np.array([int(time.timestamp() // 86_400) for time in first], dtype=np.int64),
        np.array([time.timetuple().tm_yday for time in first], dtype=np.int64),
        before,
    )


@dataclass(frozen=True)
class LookFile:
    """Codes or deviations of every look in one file of the scratch folder."""

    path: str
    shape: tuple[int, int, int]
    dtype: str

    def opened(self, mode: Literal["r", "r+", "w+"] = "r") -> Any:
        """(looks, rows, cols), mapped from the file."""
        return np.memmap(Path(self.path), dtype=self.dtype, mode=mode, shape=self.shape)


@dataclass(frozen=True)
class ClassifyLooks:
    """Surface of every look of a block, and its infrared for the search for nets."""

    series: SceneSeries
    days: tuple[tuple[InspectedScene, ...], ...]
    rules: CandidateRules
    extent: WaterExtentRules

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """``codes`` uint8 and ``infrared`` float16 (looks, rows, cols)."""
        shape = (len(self.days), *window[2:])
        codes = np.zeros(shape, dtype=np.uint8)
        infrared = np.full(shape, np.nan, dtype=np.float16)
        for k, scenes in enumerate(self.days):
            for scene in scenes:
                bands, mask = scene_reflectance(self.series, scene, window, self.extent)
                found = surface_classes(bands, mask, self.rules.surface, self.extent)
                new = (codes[k] == 0) & (found > 0)
                codes[k][new] = found[new]
                infrared[k][new] = ((bands["nir"] + bands["swir1"]) / 2)[new]
        return {"codes": codes, "infrared": infrared}


@dataclass(frozen=True)
class JudgeLooks:
    """Changed cells of a block; the codes of its looks were found before."""

    series: SceneSeries
    days: tuple[tuple[InspectedScene, ...], ...]
    looks: Looks
    levels: NDArray[np.float32]
    codes: LookFile
    rules: CandidateRules
    extent: WaterExtentRules
    least_change: float | None

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """Arrays of `disturbance.changed_cells`; `given` holds the ``group`` of the cells."""
        row, col, height, width = window
        group = given["group"]
        codes = np.asarray(self.codes.opened()[:, row : row + height, col : col + width])
        features = np.full((len(self.days), 4, height, width), np.nan, dtype=np.float32)
        for k, scenes in enumerate(self.days):
            taken = np.zeros((height, width), dtype=bool)
            for scene in scenes:
                bands, mask = scene_reflectance(self.series, scene, window, self.extent)
                # The same cells as when they were classified: those that this scene saw first.
                seen = np.isfinite(sum(bands.values())) & ~taken
                if mask is not None:
                    seen &= mask == 0
                features[k][:, seen] = change_features(bands)[:, seen]
                taken |= seen
        return changed_cells(
            codes, features, group, self.levels, self.looks, self.rules, least_change=self.least_change
        )
