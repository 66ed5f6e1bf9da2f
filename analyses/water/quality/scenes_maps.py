"""Maps of level and index by date (逐期图): kept aside until it is known which dates have a value, then a band a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.blocks import block_windows
from analyses.masks import scratch_array
from analyses.water.quality.block import BLOOM
from analyses.water.quality.masks import Reason
from analyses.water.quality.optical_quality import ALGORITHMS
from analyses.water.quality.scene_source import OpticalScene, local_day
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from analyses.blocks import Arrays, Window
    from analyses.water.quality.rules import OpticalRules
    from spatial.jobs.contract import Outputs

__all__ = ["BLOOM_CODE", "DatedMaps"]

BLOOM_CODE = 7
"""Code of bloom beside the levels 1–6 in the raster ``level``."""
_BLOOM_COLOUR = "#1b5e20"
MOST_DATES = 60
"""Most dated maps in one result raster."""
_MOST_CELLS = 4_000_000_000
"""Most cells of all dates that are kept aside (5 bytes each)."""
_NODATA = 255
_STOPS = {"ndci": (-0.2, 0.0, 0.1, 0.2, 0.5), "fai": (-0.02, 0.0, 0.02, 0.05, 0.1)}
_COLOURS = ("#313695", "#74add1", "#a6d96a", "#fee08b", "#a50026")


class DatedMaps:
    """Rasters ``level`` (uint8) and ``index`` (float32) of the dates that are kept.

    Parameters
    ----------
    which : {"all", "latest", "none"}
    main : str
        Index that is shown: ``ndci``, or ``fai`` where no scene gives it.
    """

    def __init__(
        self, folder: str, shape: tuple[int, int], used: Sequence[OpticalScene], which: str, main: str
    ) -> None:
        self.main, self.shape = main, shape
        self.kept = {"all": list(used)[-MOST_DATES:], "latest": list(used)[-1:], "none": []}[which]
        cells = shape[0] * shape[1] * len(self.kept)
        if cells > _MOST_CELLS:
            raise InvalidParameter(
                f"{len(self.kept)} 期图共 {cells:.3g} 个像元，过大；请选 maps=latest 或缩小 bbox、时段",
                f"maps of {len(self.kept)} dates hold {cells:.3g} cells: too many; choose maps=latest, a smaller bbox or period",
                parameter="maps",
            )
        self._aside = {
            scene.index: (
                scratch_array(folder, f"level-{scene.index}", shape, np.uint8),
                scratch_array(folder, f"index-{scene.index}", shape, np.float32),
            )
            for scene in self.kept
        }
        self._valued: set[int] = set()

    def take(self, scene: OpticalScene, window: Window, found: Arrays) -> None:
        """Maps of a date in a window."""
        if scene.index not in self._aside:
            return
        row, col, height, width = window
        place = (slice(row, row + height), slice(col, col + width))
        level, index = self._aside[scene.index]
        codes = np.where(found["bloom"] == BLOOM, np.uint8(BLOOM_CODE), found["level"])
        level[place] = np.where(found["reason"] == Reason.NOT_WATER, np.uint8(_NODATA), codes)
        index[place] = found[self.main] if self.main in found else np.float32(np.nan)
        if self.main in found and np.isfinite(found[self.main]).any():
            self._valued.add(scene.index)

    def publish(self, outputs: Outputs, titles: Mapping[str, Text], rules: OpticalRules, block: int) -> None:
        """Write the rasters; a date without any value has no band (table ``scenes`` and the series say why)."""
        shown = [scene for scene in self.kept if scene.index in self._valued]
        if not shown:
            return
        days = [local_day(scene.time) for scene in shown]
        names = [f"d{day.replace('-', '')}" for day in days]
        levels = rules.ndci_levels.levels
        domain = {0: Text(zh="未评价", en="not assessed")} | {row.code: row.title for row in levels}
        domain[BLOOM_CODE] = Text(zh="水华", en="bloom")
        classes = [{"value": row.code, "color": row.color, "title": row.title.model_dump()} for row in levels]
        classes.append({"value": BLOOM_CODE, "color": _BLOOM_COLOUR, "title": domain[BLOOM_CODE].model_dump()})
        said = ALGORITHMS[self.main].title
        level = outputs.raster(
            "level",
            bands=tuple(
                Band(
                    name=name,
                    title=Text(zh=f"{day} 相对等级与水华", en=f"Level and bloom on {day}"),
                    valid_range=(0, BLOOM_CODE),
                    domain=domain,
                )
                for name, day in zip(names, days, strict=True)
            ),
            dtype="uint8",
            nodata=_NODATA,
            title=titles["level"],
            style={"type": "classes", "band": names[-1], "classes": classes},
        )
        stops: list[dict[str, Any]] = [
            {"value": v, "color": c} for v, c in zip(_STOPS[self.main], _COLOURS, strict=True)
        ]
        index = outputs.raster(
            "index",
            bands=tuple(
                Band(
                    name=name,
                    title=Text(zh=f"{day} {said.zh}", en=f"{said.en} on {day}"),
                    unit="1",
                    valid_range=(-2.0, 2.0),
                )
                for name, day in zip(names, days, strict=True)
            ),
            dtype="float32",
            nodata=float("nan"),
            title=titles["index"],
            style={"type": "ramp", "band": names[-1], "stops": stops},
        )
        for row, col, height, width in block_windows(*self.shape, block):
            place = (slice(row, row + height), slice(col, col + width))
            for number, scene in enumerate(shown, start=1):
                codes, values = self._aside[scene.index]
                level.write(row, col, np.asarray(codes[place]), band=number)
                index.write(row, col, np.asarray(values[place]), band=number)
