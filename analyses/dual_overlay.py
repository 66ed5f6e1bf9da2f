"""Second pass of the dual evaluation (双评价叠加): what follows, cell by cell, from the three assessments together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.assembly import Prepared
from analyses.assessment import Finished
from analyses.blocks import Arrays, Window
from analyses.capacity_land import LandLayers, land_areas
from analyses.capacity_rules import CapacityRules
from analyses.conflicts import CONFLICT_BANDS, conflict_areas, conflict_bits
from analyses.evaluation_result import profile_2020
from analyses.fields import Values, values_of
from analyses.husbandry_assembly import Husbandry
from analyses.windows import read_window
from spatial.jobs.contract import Inputs, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Overlay"]


@dataclass(frozen=True)
class Overlay:
    """What the second pass needs beside the assessments; can be pickled.

    Attributes
    ----------
    profile : {"2019", "2020"}
        Rules that capacity and conflicts follow; both are in the class rasters.
    dm2 : int64 (rows,), dm²
        Cell area by row.
    units : int
        Number of county units; 0 without the layer.
    """

    rules: CapacityRules
    husbandry: Husbandry
    profile: Literal["2019", "2020"]
    dem: RasterInput
    land_use: Values | None
    geohazard: Values | None
    dm2: NDArray[np.int64]
    units: int

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        rules: CapacityRules,
        prepared: Prepared,
        husbandry: Husbandry,
        profile: Literal["2019", "2020"],
    ) -> Overlay:
        """The overlay of a run, with the rasters of classes that it reads itself."""
        land_use, geohazard = (
            values_of(inputs.rasters[role], method="nearest") if role in inputs.rasters else None
            for role in ("land_use", "geohazard")
        )
        units = 0 if prepared.units is None else len(prepared.units.codes)
        return cls(rules, husbandry, profile, inputs.rasters["dem"], land_use, geohazard, prepared.dm2, units)

    def block(
        self, window: Window, found: Mapping[str, Finished], given: Arrays
    ) -> tuple[dict[str, NDArray[Any]], frozenset[str]]:
        """One block of the second pass.

        Parameters
        ----------
        given : mapping
            ``inside``, ``surface``, ``excluded``, ``farmland``, ``units`` and ``soil`` (soil environment of the first pass) of
            the window, as far as there are.

        Returns
        -------
        arrays : dict
            ``{raster}:{band}`` → uint8 of the block; with county units also ``land`` and ``conflicts``, int64 (units,
            columns), dm² (`land_areas`, `conflict_areas`).
        present : frozenset of str
            Layers that took part.
        """
        row, col, height, width = window
        arrays: dict[str, NDArray[Any]] = {}
        ecology = found["ecology"].suitability
        knocked: dict[str, NDArray[np.uint8]] = {}
        for name, one in found.items():
            arrays |= {f"{name}:class": one.suitability, f"{name}:grade": one.grade, f"{name}:reason": one.reason}
            if one.patch is not None:
                arrays[f"{name}:patch"] = one.patch
            knocked[name] = one.suitability
            if one.out is not None:
                arrays[f"{name}:class_2020"], arrays[f"{name}:reason_2020"] = profile_2020(
                    one.suitability, one.reason, one.out, ecology
                )
                knocked[name] = np.where(one.out > 1, np.uint8(3), one.suitability)
        # The guide of 2020 is what knows livestock: it follows cropping after the knock-outs, whatever the profile.
        arrays |= self.husbandry.block(window, knocked["agriculture"], ecology, given)
        if self.profile == "2019":
            knocked = {name: one.suitability for name, one in found.items()}
        land_use = _codes(self.land_use, window)
        hazard = _codes(self.geohazard, window)
        farmland = given.get("farmland")
        bits = conflict_bits(
            ecology, knocked["agriculture"], knocked["urban"], land_use, hazard, farmland, rules=self.rules
        )
        if "inside" in given:  # nothing is asked outside the limits, in whatever block a cell lies
            outside = given["inside"] == 0
            bits.bits[outside] = 0
            bits.assessed[outside] = 0
        for band, values in zip(CONFLICT_BANDS, bits.bands(), strict=True):
            arrays[f"conflicts:{band.name}"] = values
        layers = LandLayers(
            agri_grade=found["agriculture"].land,
            urban_grade=found["urban"].land,
            soil_grade=given.get("soil"),
            elevation=read_window(self.dem, row, col, height, width),
            eco_class=ecology,
            agri_class=knocked["agriculture"],
            urban_class=knocked["urban"],
            farmland=farmland,
            land_use=land_use,
        )
        present = layers.present() | ({"geohazard"} if hazard is not None else frozenset())
        if self.units == 0:
            return arrays, present
        dm2 = self.dm2[row : row + height]
        numbers, count = np.ascontiguousarray(given["units"]), self.units
        arrays["land"] = land_areas(numbers, dm2, layers, self.rules, count)
        arrays["conflicts"] = conflict_areas(
            bits,
            numbers,
            dm2,
            count,
            land_use=land_use,
            agri_class=knocked["agriculture"],
            urban_class=knocked["urban"],
            rules=self.rules,
        )
        return arrays, present


def _codes(values: Values | None, window: Window) -> NDArray[np.uint8] | None:
    return None if values is None else np.nan_to_num(values.block(*window)).astype(np.uint8)
