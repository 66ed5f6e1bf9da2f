"""The report of a run (成果报告): what a writer is given, and how it is found: entry points of ``spatial.reports``.

A writer is registered under the id of its analysis, or as ``default`` for all others. This module knows no writer, so
that running needs none of the libraries that draw and typeset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spatial.catalog import Band, Text
from spatial.errors import ServiceUnavailable
from spatial.jobs.contract import Analysis, Explanation, parameter_texts

if TYPE_CHECKING:
    import geopandas

    from spatial.jobs.outputs import WrittenRaster
    from spatial.jobs.result import RunResult

__all__ = [
    "DEFAULT",
    "GROUP",
    "MEDIA_TYPES",
    "Documents",
    "ReportMaterial",
    "ReportRaster",
    "Writer",
    "material_of_run",
    "report_writer",
    "wants_report",
]

GROUP = "spatial.reports"
DEFAULT = "default"
MEDIA_TYPES: dict[str, str] = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pdf": "application/pdf",
}
"""Media type by the ending of a document."""


@dataclass(frozen=True)
class ReportRaster:
    """A result raster as the report draws it."""

    name: str
    title: Text
    path: Path
    bands: tuple[Band, ...]
    style: Mapping[str, Any]

    def band(self, name: str) -> int | None:
        """Number of a band from 1; None if there is none of this name."""
        return next((k for k, band in enumerate(self.bands, start=1) if band.name == name), None)


@dataclass(frozen=True)
class ReportMaterial:
    """Everything that a report is made of."""

    result: RunResult
    title: Text
    description: Text
    rasters: Mapping[str, ReportRaster]
    explanations: Mapping[str, Explanation] = field(default_factory=dict)
    parameter_titles: Mapping[str, tuple[Text, Text]] = field(default_factory=dict)
    """Parameter → title and description."""
    counties: geopandas.GeoDataFrame | None = None
    """County units with ``code`` and ``name`` (EPSG:4490), for borders and maps of units."""


@dataclass(frozen=True)
class Documents:
    """What a writer wrote."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """``docx``, ``pdf`` → file."""
    notes: tuple[Text, ...] = ()
    """Why a document is missing."""


class Writer(Protocol):
    """Writes the documents of a run; made without arguments by its entry point."""

    def require(self) -> None:
        """See that every library and font is there.

        Raises
        ------
        ServiceUnavailable
            With the line that installs what is missing.
        """
        ...

    def write(
        self,
        material: ReportMaterial,
        folder: Path,
        stem: str,
        *,
        strict: bool = True,
        step: Callable[[], None] = lambda: None,
    ) -> Documents:
        """Write ``<stem>.docx`` and ``<stem>.pdf``, each aside first and then renamed.

        Parameters
        ----------
        strict : bool
            A library or font that is missing is an error; otherwise that document is left out, with a note.
        step : callable
            Called between the parts of the work; may raise to stop it.
        """
        ...


@lru_cache(maxsize=1)
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def report_writer(analysis_id: str) -> Writer:
    """The writer of an analysis.

    Raises
    ------
    ServiceUnavailable
        If none is installed.
    """
    entries = _entries()
    entry = entries.get(analysis_id, entries.get(DEFAULT))
    if entry is None:
        raise ServiceUnavailable(
            f"没有安装报告程序（入口点组 {GROUP}），请重新安装本软件；不要报告则用 --no-report",
            f"no report writer is installed (entry points {GROUP}): install this package again, or use --no-report",
            process=analysis_id,
        )
    made: Writer = entry.load()()
    return made


def wants_report(analysis: type[Analysis], asked: bool | None, *, kept: bool) -> bool:
    """Whether a run writes a report: as asked, else if its result is kept and the analysis says so (``report = True``)."""
    return kept and bool(getattr(analysis, "report", False)) if asked is None else asked


def material_of_run(
    analysis: type[Analysis],
    result: RunResult,
    written: list[WrittenRaster],
    explanations: Mapping[str, Explanation],
    counties: geopandas.GeoDataFrame | None,
) -> ReportMaterial:
    """Material of a run that has just ended."""
    fields = analysis.parameters.model_fields
    return ReportMaterial(
        result,
        analysis.title,
        analysis.description,
        {r.name: ReportRaster(r.name, r.title, result.rasters[r.name], r.bands, r.style) for r in written},
        explanations,
        {name: parameter_texts(name, info) for name, info in fields.items()},
        counties,
    )
