"""Which lane of the queue a job waits in (短任务与长任务), so that short work does not stand behind long work.

What is short is declared, not guessed: an analysis says up to how many cells of its grid a run is short
(``short_cells``, see `spatial.jobs.contract.Analysis`), and `lane_of` counts the cells that the caller asked for. A run
whose result is kept with a report is long. The clock
checks the declaration: a run that holds a place in reserve longer than `Settings.short_limit_s` while a short job waits for
it begins again among the long ones. How the lanes are worked off is told in `spatial.jobs.worker`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spatial.errors import SpatialError
from spatial.jobs import echo
from spatial.jobs.inputs import grid_of_run
from spatial.jobs.queue import Lane
from spatial.jobs.registry import analysis as find_analysis
from spatial.jobs.registry import check_parameters
from spatial.jobs.reporting import wants_report

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["lane_of"]


def lane_of(
    datastore: DataStore,
    process_id: str,
    inputs: Mapping[str, Any],
    layers: Mapping[str, str] = MappingProxyType({}),
    *,
    waits: bool,
) -> Lane:
    """Lane of an execution: ``interactive`` or ``short`` if it is short, else ``long``.

    Parameters
    ----------
    inputs : mapping
        Parameters of the process, already checked.
    layers : mapping
        Role of an input → layer that takes the place of its usual one.
    waits : bool
        Somebody waits for the answer (a synchronous execution): before those who come back for theirs.
    """
    if not _is_short(datastore, process_id, inputs, layers, kept=not waits):
        return "long"
    return "interactive" if waits else "short"


def _is_short(
    datastore: DataStore, process_id: str, inputs: Mapping[str, Any], layers: Mapping[str, str], *, kept: bool
) -> bool:
    if process_id == echo.ECHO_ID:
        return float(inputs.get("pause", 0.0)) <= echo.SHORT_PAUSE_S
    analysis = find_analysis(process_id)
    most = getattr(analysis, "short_cells", None)
    if most is None or wants_report(analysis, None, kept=kept):
        return False  # a report takes longer than a short run
    parameters = check_parameters(analysis.parameters, inputs, process=process_id)
    try:
        grid = grid_of_run(datastore, datastore.snapshot(), analysis, parameters, layers)
    except SpatialError:
        return True  # it ends at once, with this error
    return bool(int(grid.shape.y) * int(grid.shape.x) <= most)
