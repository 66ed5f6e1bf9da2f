"""Tables of the dual evaluation (双评价统计表): areas by unit, class and reason, conflicts, capacity; sums over the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import Assembly, Prepared
from analyses.blocks import Arrays
from analyses.capacity_land import LAND_COLUMNS, LandAreas, cut_units
from analyses.capacity_result import CapacityResult, capacity_factors, capacity_result
from analyses.capacity_rules import CapacityRules
from analyses.conflicts import CONFLICT_COLUMNS, conflict_factors, conflict_rows
from analyses.dual_parameters import DualEvaluationParameters
from analyses.evaluation_result import AreaTally, area_rows, classes_of, reason_rows, reason_titles, reporting_units
from analyses.husbandry_assembly import HUSBANDRY_BANDS, husbandry_rows
from spatial.catalog import Text
from spatial.jobs.contract import Factor, Inputs
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Sums", "tallies"]

_2020 = "_2020"


def tallies(
    names: Sequence[str], units: int, numbers: NDArray[np.uint16], dm2: NDArray[np.int64], arrays: Arrays
) -> dict[str, NDArray[np.int64]]:
    """``tally/{table}`` → areas of one block of `Overlay.block`, in any thread or worker; `Sums.add` takes them.

    Parameters
    ----------
    names : sequence of str
        `Sums.names`.
    numbers : uint16 (rows, cols)
        County units of the block.
    dm2 : int64 (rows,)
    """
    found = {}
    for name in names:
        base, suffix = (name.removesuffix(_2020), _2020) if name.endswith(_2020) else (name, "")
        classes, reasons = arrays[f"{base}:class{suffix}"], arrays[f"{base}:reason{suffix}"]
        found[f"tally/{name}"] = AreaTally.of_block(units, numbers, classes, reasons, dm2)
    return found


class Sums:
    """Sums of a run by unit, exact whole dm², so that no order of blocks changes them.

    Parameters
    ----------
    made : mapping
        Assessments by name; one with knock-outs has a second table for the 2020 profile.
    """

    def __init__(self, made: Mapping[str, Assembly], prepared: Prepared) -> None:
        self._units = prepared.units
        count = 0 if self._units is None else len(self._units.codes)
        names = [
            f"{name}{suffix}"
            for name, assembly in made.items()
            for suffix in ("", *((_2020,) if assembly.assessment.knock_outs is not None else ()))
        ]
        self._tallies = {name: AreaTally(count) for name in (*names, *HUSBANDRY_BANDS)}
        self._land = np.zeros((count, len(LAND_COLUMNS)), dtype=np.int64)
        self._conflicts = np.zeros((count, len(CONFLICT_COLUMNS)), dtype=np.int64)
        self.present: set[str] = set()
        """Layers that took part."""

    @property
    def names(self) -> tuple[str, ...]:
        """Tables of areas; none without county units."""
        return () if self._units is None else tuple(self._tallies)

    def add(self, arrays: Arrays) -> None:
        """Take the areas of one block (`tallies`, `Overlay.block`); in one thread."""
        self.present.update(arrays["present"])
        if self._units is None:
            return
        for name, tally in self._tallies.items():
            tally.areas += arrays[f"tally/{name}"]
        self._land += arrays["land"]
        self._conflicts += arrays["conflicts"]

    def tables(
        self,
        inputs: Inputs,
        parameters: DualEvaluationParameters,
        rules: CapacityRules,
        made: Mapping[str, Assembly],
    ) -> tuple[dict[str, Any], list[Factor], list[Text]]:
        """Tables, and what conflicts and capacity say of their inputs; no tables without county units."""
        if self._units is None:  # the maps of conflicts are there all the same
            return {}, [*conflict_factors(self.present, rules), *capacity_factors([], rules)], []
        found: dict[str, Any] = {}
        notes: list[Text] = []
        counties = inputs.frames["counties"]
        units = reporting_units(counties, parameters.units, part=parameters.bbox is not None)
        province = reporting_units(counties, "province", part=parameters.bbox is not None)
        everything = tuple(range(1, len(self._units.codes) + 1))
        for name, tally in self._tallies.items():
            if name in HUSBANDRY_BANDS:
                found[f"{name}_by_unit"] = husbandry_rows(name, tally, units)
                found[f"{name}_totals"] = husbandry_rows(name, tally, province)
                continue
            chain = made[name.removesuffix(_2020)].assessment.chain
            classes = classes_of(name.removesuffix(_2020))
            water = chain.code("water-surface") if any(s.id == "water-surface" for s in chain.stations) else None
            found[f"{name}_by_unit"] = area_rows(tally, units, classes, water)
            found[f"{name}_totals"] = area_rows(tally, province, classes, water)
            if not name.endswith(_2020):
                found[f"{name}_by_reason"] = reason_rows(tally, everything, reason_titles(chain, classes))
        found["conflicts_by_unit"] = conflict_rows(
            self._conflicts, [(u.code, u.name, u.members) for u in units], rules, present=self.present
        )
        factors = list(conflict_factors(self.present, rules))
        if "capacity" in inputs.frames:
            carried = self._capacity(inputs, parameters, rules, self._units.codes)
            found |= carried.tables
            factors += carried.factors
            notes += carried.notes
        else:
            factors += capacity_factors([], rules)
        return found, factors, notes

    def _capacity(
        self, inputs: Inputs, parameters: DualEvaluationParameters, rules: CapacityRules, codes: tuple[str, ...]
    ) -> CapacityResult:
        frame = inputs.frames["counties"]
        whole = dict(zip(codes, (geodesic_areas(frame.geometry.array) / 1e6).tolist(), strict=True))
        box = inputs.grid.extent.boundingbox
        cut = cut_units(codes, frame.geometry.array, (box.left, box.bottom, box.right, box.top))
        areas = LandAreas(codes, self._land, frozenset(self.present), whole, cut)
        table = inputs.frames["capacity"]
        ours = rules.table.columns.code.column
        if ours in table.columns and table[ours].astype(str).isin(codes).any():
            table = table[table[ours].astype(str).isin(codes)]  # else the check of the table says what is wrong with it
        return capacity_result(table, areas, rules, profile=parameters.profile)
