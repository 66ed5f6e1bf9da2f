"""A process (处理) is what a job can execute: every analysis, and ``echo``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from spatial.catalog import Text
from spatial.errors import AnalysisUnavailable, ProcessNotFound
from spatial.jobs import echo
from spatial.jobs.contract import InputSpec
from spatial.jobs.registry import analysis, analysis_ids, check_parameters

__all__ = ["ProcessInfo", "check_inputs", "process", "process_ids", "processes"]


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """Description of a process."""

    id: str
    version: str
    title: Text
    description: Text
    keywords: tuple[str, ...]
    parameters: type[BaseModel]
    rasters: Mapping[str, Text]
    """Result rasters by name; empty for `echo`."""
    method: str | None = None
    layers: tuple[InputSpec, ...] = ()
    """Layers that every run reads; those that parameters choose are not among them."""

    @property
    def is_analysis(self) -> bool:
        """True for everything but `echo`."""
        return self.id != echo.ECHO_ID


def process_ids() -> list[str]:
    """Ids of all processes."""
    return [*analysis_ids(), echo.ECHO_ID]


def process(process_id: str) -> ProcessInfo:
    """Description of a process.

    Raises
    ------
    ProcessNotFound
    """
    if process_id == echo.ECHO_ID:
        return ProcessInfo(
            echo.ECHO_ID, echo.VERSION, echo.TITLE, echo.DESCRIPTION, ("echo", "回显"), echo.EchoParameters, {}
        )
    if process_id not in analysis_ids():
        raise ProcessNotFound(
            f"没有处理 {process_id!r}，现有：{'、'.join(process_ids())}",
            f"no process {process_id!r}; there are {', '.join(process_ids())}",
            process=process_id,
            allowed=process_ids(),
        )
    found = analysis(process_id)
    return ProcessInfo(
        found.id,
        found.version,
        found.title,
        found.description,
        tuple(dict.fromkeys((*found.result_theme, "analysis", "分析"))),
        found.parameters,
        getattr(found, "rasters", {"class": found.title}),
        found.method,
        getattr(found, "inputs", ()),
    )


def processes() -> Iterator[ProcessInfo]:
    """Descriptions of all processes whose code can be loaded; a broken extension is left out (the log names it)."""
    for name in process_ids():
        try:
            yield process(name)
        except AnalysisUnavailable:
            continue


def check_inputs(process_id: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of an execution, checked, as JSON-able values of what the caller gave (defaults are filled in at the run).

    Raises
    ------
    ProcessNotFound, UnknownParameter, InvalidParameter
    """
    info = process(process_id)
    return check_parameters(info.parameters, inputs, process=process_id).model_dump(mode="json", exclude_unset=True)
