"""Running an analysis: the one function behind the library call, the command and the OGC process.

Inputs come from one snapshot, the result is written aside block by block and becomes a COG at the end; a run that fails
or is dismissed leaves nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import LayerNotFound
from spatial.jobs.contract import Analysis, Explanation, Progress
from spatial.jobs.inputs import OpenedInputs, open_inputs
from spatial.jobs.outputs import BlockOutputs, WrittenFeatures, WrittenRaster
from spatial.jobs.registry import analysis as find_analysis
from spatial.jobs.registry import check_parameters
from spatial.jobs.reporting import Documents, Writer, material_of_run, report_writer, wants_report
from spatial.jobs.result import RunResult, explanation_links, provenance, result_layer, result_layer_id
from spatial.store.storage_frame import storage_frame
from spatial.store.window import read_window

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["documents_folder", "no_progress", "results_folder", "run_analysis"]

_GDAL_CACHE = 128 * 1024 * 1024
"""Bytes of GDAL's block cache in a run; without a limit it takes 5 % of the machine."""


def no_progress(share: float, text: str) -> None:
    """A progress callback that does nothing."""


def results_folder(datastore: DataStore, job_id: str) -> Path:
    """Where the rasters of a run stand that are not published."""
    return datastore.settings.var_dir / "results" / job_id


def documents_folder(datastore: DataStore, job_id: str, layers: Mapping[str, str]) -> Path:
    """Where the report of a run stands: beside a published raster, the first by id, else in the results folder."""
    first = min(layers.values(), default=None)
    return results_folder(datastore, job_id) if first is None else datastore.raster_dir / first


def run_analysis(
    datastore: DataStore,
    analysis_id: str,
    parameters: Mapping[str, Any],
    *,
    progress: Progress = no_progress,
    publish: bool = False,
    layers: Mapping[str, str] | None = None,
    out: Path | None = None,
    report: bool | None = None,
    job_id: str | None = None,
    attempt: int = 1,
    may_publish: Callable[[], bool] = lambda: True,
) -> RunResult:
    """Run an analysis and keep its result.

    Parameters
    ----------
    parameters : mapping
        By the parameter model of the analysis; ``bbox`` is in degrees (CRS84).
    progress : callable
        Called with the share done (0–1) and a text; may raise to stop the work.
    publish : bool
        Publish each result raster as a layer.
    layers : mapping, optional
        Role of an input → layer that takes the place of its usual one, for example the result of another run.
    out : Path, optional
        File of the first raster; further ones stand beside it as ``<stem>-<name>.tif``. Default: the results folder.
    report : bool, optional
        Write the report as Word and PDF: beside `out` as ``<stem>-report.docx``, else see `documents_folder`. Default: if
        the analysis has a report (class attribute ``report``) and the result is kept (`publish` or `out`); then a missing
        library costs the document, not the run.
    job_id : str, optional
        Names the published layer; default a new one.
    attempt : int
        Attempts of one job share their published layer.
    may_publish : callable
        Asked right before anything becomes visible; False stops the run (the job belongs to somebody else).

    Raises
    ------
    ProcessNotFound, UnknownParameter, InvalidParameter, LayerNotFound, LayerNotPublished, GridMismatch
    ServiceUnavailable
        If a report was asked for and a library or font that it needs is missing; before anything is computed.
    """
    import rasterio

    analysis = find_analysis(analysis_id)
    checked = check_parameters(analysis.parameters, parameters, process=analysis_id)
    # A result that nobody keeps needs no report: it would cost more than the analysis.
    is_kept = publish or out is not None
    writer = report_writer(analysis_id) if wants_report(analysis, report, kept=is_kept) else None
    if writer is not None and report:
        writer.require()
    job_id = job_id or str(uuid.uuid4())
    snapshot = datastore.snapshot()
    checksums = datastore.published_checksums()
    with (
        _scratch(datastore, f"{job_id}-{attempt}") as scratch,
        rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE),
        open_inputs(datastore, snapshot, analysis, checked, scratch, layers or {}) as opened,
    ):
        outputs = BlockOutputs(opened.inputs.grid, scratch)
        try:
            result = analysis().run(opened.inputs, checked, outputs, _scaled(progress))
        finally:
            written = _in_order(outputs.close(), analysis)
        progress(0.95, "写入结果 writing the result")
        record = provenance(
            analysis,
            checked,
            opened,
            opened.inputs.grid,
            result,
            revision=snapshot.revision,
            job_id=job_id,
            checksums=checksums,
        )
        with ThreadPoolExecutor(opened.inputs.threads) as pool:
            made = pool.map(lambda raster: _to_cog(raster, scratch), written)
            cogs = {raster.name: path for raster, path in zip(written, made, strict=True)}
        done = RunResult(
            analysis=analysis_id,
            rasters=cogs,
            layers=_layer_ids(analysis, written, outputs.written_features, job_id) if publish else {},
            tables=result.tables,
            factors=tuple(
                {
                    "id": f.id,
                    "title": f.title.model_dump(),
                    "assessed": f.assessed,
                    "note": f.note.model_dump(),
                    "source": f.source,
                }
                for f in result.factors
            ),
            notes=tuple(n.model_dump() for n in result.notes),
            provenance=record,
        )
        documents = Documents()
        if writer is not None:
            # Before anything becomes visible: a run has its report or leaves nothing.
            progress(0.97, "撰写报告 writing the report")
            documents = _report(writer, analysis, done, written, result.explanations, opened, scratch, progress, report)
        progress(0.99, "保存结果 keeping the result")
        if not may_publish():
            from spatial.jobs.queue import JobDismissed

            raise JobDismissed(job_id)
        if publish:
            _publish(datastore, analysis, written, cogs, opened, record, done.layers, result.explanations)
            _publish_features(datastore, analysis, outputs.written_features, opened, record, done.layers)
        kept_features = _keep_features(datastore, outputs.written_features, scratch, out, job_id)
        paths = _keep(datastore, written, cogs, done.layers, out, job_id, equal=_equals(analysis))
        kept = _keep_documents(datastore, documents, done.layers, out, job_id)
    return replace(
        done,
        rasters=paths,
        features=kept_features,
        documents=kept,
        notes=(*done.notes, *(note.model_dump() for note in documents.notes)),
    )


def _report(
    writer: Writer,
    analysis: type[Analysis],
    done: RunResult,
    written: list[WrittenRaster],
    explanations: Mapping[str, Explanation],
    opened: OpenedInputs,
    scratch: Path,
    progress: Progress,
    asked: bool | None,
) -> Documents:
    counties = opened.inputs.frames.get("counties")
    material = material_of_run(analysis, done, written, explanations, counties)
    step = partial(progress, 0.97, "撰写报告 writing the report")
    return writer.write(material, scratch / "documents", "report", strict=asked is True, step=step)


def _scaled(progress: Progress) -> Progress:
    # The analysis has the first 95 %; the rest is writing and publishing.
    return lambda share, text: progress(0.95 * min(max(share, 0.0), 1.0), text)


@contextmanager
def _scratch(datastore: DataStore, name: str) -> Iterator[Path]:
    parent = datastore.settings.var_dir / "scratch"
    job_id = name.rpartition("-")[0]
    for old in parent.glob(f"{job_id}-*"):  # of an attempt whose process was killed
        shutil.rmtree(old, ignore_errors=True)
    folder = parent / name
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _to_cog(raster: WrittenRaster, scratch: Path) -> Path:
    target = scratch / f"{raster.name}.cog.tif"
    raster.to_cog(target)
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_order(written: list[WrittenRaster], analysis: type[Analysis]) -> list[WrittenRaster]:
    """The rasters in the order of the analysis's `rasters`, whose first is the result, not in that of their opening."""
    place = {name: number for number, name in enumerate(analysis.rasters)}
    return sorted(written, key=lambda raster: place.get(raster.name, len(place)))


def _layer_ids(
    analysis: type[Analysis], written: list[WrittenRaster], features: list[WrittenFeatures], job_id: str
) -> dict[str, str]:
    rasters = {
        raster.name: result_layer_id(analysis.id, job_id, raster.name if index or _equals(analysis) else None)
        for index, raster in enumerate(written)
    }
    # No feature found is a result, but no layer.
    return rasters | {f.name: result_layer_id(analysis.id, job_id, f.name) for f in features if len(f.frame)}


def _equals(analysis: type[Analysis]) -> bool:
    """Whether no raster of the analysis is the result and the others its explanation: then each bears its name."""
    return bool(getattr(analysis, "equal_rasters", False))


def _publish(
    datastore: DataStore,
    analysis: type[Analysis],
    written: list[WrittenRaster],
    cogs: Mapping[str, Path],
    opened: OpenedInputs,
    record: Mapping[str, Any],
    layers: Mapping[str, str],
    explanations: Mapping[str, Explanation],
) -> None:
    current = datastore.snapshot()
    links = explanation_links(explanations, layers)
    for raster in written:
        layer_id = layers[raster.name]
        digest = _sha256(cogs[raster.name])
        layer = result_layer(layer_id, analysis, raster, opened, {**record, **links.get(raster.name, {})}, digest)
        if not _published_by(current, layer_id, str(record["job"])):
            datastore.publish_raster(layer, cogs[raster.name], sha256=digest, ready=True)


def _publish_features(
    datastore: DataStore,
    analysis: type[Analysis],
    features: list[WrittenFeatures],
    opened: OpenedInputs,
    record: Mapping[str, Any],
    layers: Mapping[str, str],
) -> None:
    current = datastore.snapshot()
    for written in features:
        layer_id = layers.get(written.name)
        if layer_id is None or _published_by(current, layer_id, str(record["job"])):
            continue
        window = read_window(datastore.settings.layers_dir)
        digest = hashlib.sha256(written.frame.to_wkb().to_csv().encode()).hexdigest()
        layer = result_layer(layer_id, analysis, written, opened, record, digest)
        datastore.publish_vector(layer, storage_frame(layer, written.frame, window=window), sha256=digest)


def _keep_features(
    datastore: DataStore, features: list[WrittenFeatures], scratch: Path, out: Path | None, job_id: str
) -> dict[str, Path]:
    """Move the features, as GeoPackages, to where the caller finds them."""
    paths: dict[str, Path] = {}
    for written in features:
        aside = scratch / f"{written.name}.gpkg"
        written.to_geopackage(aside)
        folder = results_folder(datastore, job_id) if out is None else out.parent
        paths[written.name] = folder / (aside.name if out is None else f"{out.stem}-{aside.name}")
        _move(aside, paths[written.name])
    return paths


def _published_by(snapshot: Any, layer_id: str, job_id: str) -> bool:
    """True if an earlier attempt of this job got as far as publishing before it was lost."""
    try:
        layer = snapshot.catalog[layer_id]
    except LayerNotFound:
        return False
    return bool(layer.provenance and layer.provenance.get("job") == job_id)


def _keep(
    datastore: DataStore,
    written: list[WrittenRaster],
    cogs: Mapping[str, Path],
    layers: Mapping[str, str],
    out: Path | None,
    job_id: str,
    *,
    equal: bool,
) -> dict[str, Path]:
    """Move the rasters to where the caller finds them, each in one step."""
    snapshot = datastore.snapshot()
    paths: dict[str, Path] = {}
    for index, raster in enumerate(written):
        if out is not None:
            whole = index == 0 and not equal
            target = out if whole else out.with_name(f"{out.stem}-{raster.name}.tif")
        elif raster.name in layers:
            paths[raster.name] = _published_path(datastore, snapshot, layers[raster.name])
            continue
        else:
            target = results_folder(datastore, job_id) / f"{raster.name}.tif"
        _move(cogs[raster.name], target)
        paths[raster.name] = target
    return paths


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    # The scratch folder lies on another file system: copy beside the target, then rename.
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _keep_documents(
    datastore: DataStore, documents: Documents, layers: Mapping[str, str], out: Path | None, job_id: str
) -> dict[str, Path]:
    folder = documents_folder(datastore, job_id, layers) if out is None else out.parent
    paths = {}
    for kind, source in documents.files.items():
        paths[kind] = folder / (source.name if out is None else f"{out.stem}-{source.name}")
        _move(source, paths[kind])
    return paths


def _published_path(datastore: DataStore, snapshot: Any, layer_id: str) -> Path:
    try:
        return Path(snapshot.raster(layer_id).path)
    except LayerNotFound:  # of a grade that this server does not show
        return datastore.raster_dir / layer_id / "1.tif"
