"""Disturbed cells of a corridor (岸线扰动): what changed against all looks before, at equal level and in the same season.

A cell counts as changed on a date when its surface was never seen there before, when the pair «before → after» stands in the
table of the rule file, and when the comparison is fair:

- water that is gone: the water stands at least as high as on a date before on which the cell was wet (drawdown is no 乱占);
- water that is new: it stands no higher than on a date before on which the cell was dry (a flood is no pit);
- what goes with the season: a look of the same season before is there to compare with.

How high the water stands is an index from the scenes themselves (`level_index`), one for each stretch of the range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.candidate_rules import BARE, DARK, SPARSE, SURFACES, WATER, CandidateRules
from analyses.water.shore.surfaces import change_magnitude

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FIELDS", "LevelCounts", "Looks", "changed_cells", "pair_table"]

_BINS = 240
FIELDS: dict[str, Any] = {
    "row": np.uint8,
    "run": np.uint8,
    "first": np.uint8,
    "last": np.uint8,
    "normal": np.uint8,
    "judged": np.uint8,
    "before": np.uint8,
    "after": np.uint8,
    "wet": np.uint8,
    "magnitude": np.float32,
}
"""Arrays of `changed_cells` and their types."""


@dataclass(frozen=True)
class Looks:
    """The dates of a run (观测日期), oldest first; at most 250."""

    days: NDArray[np.int64]
    """Days since 1970-01-01, ascending, each once."""
    season: NDArray[np.int64]
    """Day of the year, 1–366."""
    before: NDArray[np.bool_]
    """Whether the date belongs to the period before."""

    def alike(self, rule_days: int) -> NDArray[np.bool_]:
        """(looks, looks): whether two dates are of the same season."""
        gap = np.abs(self.season[:, None] - self.season[None, :])
        return np.asarray(np.minimum(gap, 365 - gap) <= rule_days)


class LevelCounts:
    """Counts from which the level index (水位指数) of each stretch and date follows.

    On each date the cells that are often wet are wet first. The share of dates on which a cell was wet is therefore its
    height; the index of a date is the height at which wet and dry part best. It orders the dates by level, without a gauge,
    whatever part of the shore the clouds leave. Levels that move the shore by less than half a cell are one level.
    """

    def __init__(self, groups: int, looks: int) -> None:
        self._wet = np.zeros((groups + 1, looks, _BINS + 1), dtype=np.int64)
        self._dry = np.zeros_like(self._wet)
        self._shore = np.zeros(groups + 1, dtype=np.int64)

    def add(self, classes: NDArray[np.uint8], group: NDArray[Any]) -> None:
        """Count a block.

        Parameters
        ----------
        classes : uint8 (looks, rows, cols)
        group : integer (rows, cols)
            Stretch of each cell, 1 …; 0 = outside the range.
        """
        seen = classes > 0
        wet = classes == WATER
        count = seen.sum(axis=0)
        share = wet.sum(axis=0) / np.maximum(count, 1)
        inside = (group > 0) & (count > 1)
        place = group.astype(np.int64) * (_BINS + 1) + np.rint(share * _BINS).astype(np.int64)
        size = self._wet.shape[0] * (_BINS + 1)
        often = share >= 0.5
        shore = np.zeros_like(often)
        for a, b in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
            differ = often[a] != often[b]
            shore[a] |= differ
            shore[b] |= differ
        self._shore += np.bincount(group[shore & inside].astype(np.int64), minlength=self._shore.size)
        for k in range(classes.shape[0]):
            for target, cells in ((self._wet, wet[k] & inside), (self._dry, seen[k] & ~wet[k] & inside)):
                target[:, k] += np.bincount(place[cells], minlength=size).reshape(-1, _BINS + 1)

    def index(self) -> NDArray[np.float32]:
        """Level index, float32 (groups + 1, looks), 0 = lowest, 1 = highest; NaN where a stretch was not seen."""
        # Errors if cells of bin ≥ q were wet: wet ones below q and dry ones from q on.
        below = np.cumsum(self._wet, axis=2) - self._wet
        above = np.cumsum(self._dry[:, :, ::-1], axis=2)[:, :, ::-1]
        errors = below + above
        # `_shore` counts the cells on both sides of the shore: half a cell of movement is a quarter of them.
        least = errors <= errors.min(axis=2, keepdims=True) + (self._shore // 4)[:, None, None]
        bins = np.arange(_BINS + 1)
        middle = (least * bins).sum(axis=2) / least.sum(axis=2)
        seen = (self._wet.sum(axis=2) + self._dry.sum(axis=2)) > 0
        return np.where(seen, 1 - middle / _BINS, np.nan).astype(np.float32)


def pair_table(rules: CandidateRules) -> NDArray[np.uint8]:
    """Surface before × surface after → number of the row of the table, 1 …; 0 = none."""
    table = np.zeros((8, 8), dtype=np.uint8)
    for number, row in enumerate(rules.table.rows, start=1):
        for a in row.from_:
            for b in row.to:
                table[SURFACES[a][0], SURFACES[b][0]] = number
    return table


def changed_cells(
    classes: NDArray[np.uint8],
    features: NDArray[np.float32],
    group: NDArray[Any],
    levels: NDArray[np.float32],
    looks: Looks,
    rules: CandidateRules,
    *,
    least_change: float | None = None,
) -> dict[str, NDArray[Any]]:
    """Judge the cells of a block.

    Parameters
    ----------
    classes : uint8 (looks, rows, cols)
        `surfaces.surface_classes`; 0 = not seen.
    features : float32 (looks, 4, rows, cols)
        `surfaces.change_features`.
    group : integer (rows, cols)
        Stretch of the range, 0 = outside: such cells are not judged.
    levels : float32 (groups + 1, looks)
        `LevelCounts.index`.
    least_change : float, optional
        In place of the rule file's; a lower one never loses a changed cell.

    Returns
    -------
    dict of arrays (rows, cols)
        ``row`` of the table (0 = no change that lasts), ``run`` looks of the change, ``first`` and ``last`` look of it and the
        last ``normal`` look before (numbers from 1, 0 = none), ``judged`` looks after that could be compared, surface
        ``before`` and ``after``, looks before on which it was ``wet``, and the ``magnitude`` of the last look.
    """
    table = pair_table(rules)
    season = np.array([False, *(row.season for row in rules.table.rows)])
    least = rules.change.least if least_change is None else least_change
    margin = np.float32(rules.change.level_margin)
    shape = classes.shape[1:]
    early, late = np.flatnonzero(looks.before), np.flatnonzero(~looks.before)
    alike = looks.alike(rules.change.season_days)
    counts = np.stack([(classes[early] == code).sum(axis=0) for code in range(8)])
    clear = counts[1:].sum(axis=0)
    usual = np.where(clear > 0, counts[1:].argmax(axis=0) + 1, 0).astype(np.uint8)
    had = counts > 0
    # Bare ground was seen where sparse plants were; wet soil where water stood.
    had[BARE] |= had[SPARSE]
    had[DARK] |= had[WATER]
    always_wet = had[WATER] & ~(counts[2:] > 0).any(axis=0)
    level = levels[group]  # (rows, cols, looks)
    wet_from, dry_to = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
    for k in early:
        wet, dry = classes[k] == WATER, classes[k] > WATER
        wet_from[wet] = np.fmin(wet_from, level[..., k])[wet]
        dry_to[dry] = np.fmax(dry_to, level[..., k])[dry]
    out = {name: np.zeros(shape, dtype) for name, dtype in FIELDS.items()}
    for k in early:
        out["normal"][classes[k] > 0] = k + 1
    out["before"] = usual
    out["wet"] = np.minimum(counts[WATER], 255).astype(np.uint8)
    known = (group > 0) & (clear >= rules.change.least_before)
    rows, cols = np.indices(shape)
    for k in late:
        code = classes[k]
        seen = (code > 0) & known
        usual_again = seen & had[code, rows, cols]
        row = table[usual, code]
        row[(usual == WATER) & ~always_wet] = 0
        fair = seen & ~usual_again & (row > 0)
        fair &= ~season[row] | (classes[early[alike[early, k]]] > 0).any(axis=0)
        with np.errstate(invalid="ignore"):
            fair &= (usual != WATER) | (level[..., k] >= wet_from - margin)
            fair &= (code != WATER) | (level[..., k] <= dry_to + margin)
        magnitude = _nearest(features, classes, early, int(k), fair, rules)
        changed = fair & (magnitude >= least)
        started = changed & (out["run"] == 0)
        out["first"][started] = k + 1
        out["run"][changed] += 1
        for name, value in (("last", k + 1), ("row", row), ("after", code), ("magnitude", magnitude)):
            out[name][changed] = value if np.isscalar(value) else np.asarray(value)[changed]
        for name in ("run", "row", "first", "last", "after", "magnitude"):
            out[name][usual_again] = 0
        out["normal"][usual_again] = k + 1
        out["judged"][usual_again | fair] += 1
    return out


def _nearest(
    features: NDArray[np.float32],
    classes: NDArray[np.uint8],
    early: NDArray[Any],
    k: int,
    where: NDArray[np.bool_],
    rules: CandidateRules,
) -> NDArray[np.float32]:
    """Magnitude of the change to the nearest look before, 0 outside `where`."""
    found = np.zeros(where.shape, dtype=np.float32)
    if not where.any():
        return found
    now = features[k][:, where]
    nearest = np.full(now.shape[1], np.inf, dtype=np.float32)
    for b in early:
        size = change_magnitude(features[b][:, where], now, rules.change)
        nearest = np.fmin(nearest, np.where(classes[b][where] > 0, size, np.inf))
    found[where] = np.where(np.isfinite(nearest), nearest, 0)
    return found
