"""The block engine: the same bits inline, in threads and on Dask workers; lost workers, errors, dismissal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_blocks as sample
from dask_cluster import Cluster

from analyses import blocks
from analyses.blocks import block_windows, run_blocks
from spatial.errors import QualityViolation, ServiceUnavailable

SHAPE = (611, 707)


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A reader as a run has it, on a file."""
    import rasterio
    from rasterio.transform import from_origin

    from spatial.jobs.reading import GridRaster
    from spatial.store.raster import PublishedRaster

    path = tmp_path_factory.mktemp("data") / "dem.tif"
    values = np.random.default_rng(2).gamma(2.0, 300.0, SHAPE).astype(np.float32)
    values[100:130, 50:90] = -9999
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": "float32"}
    with rasterio.open(
        path, "w", crs="EPSG:4490", transform=from_origin(110, 32, 0.001, 0.001), nodata=-9999, tiled=True, **profile
    ) as file:
        file.write(values, 1)
    from sample_analyses import layer

    extent = (110.0, 32 - SHAPE[0] / 1000, 110 + SHAPE[1] / 1000, 32.0)
    published = PublishedRaster(layer("dem"), "1", path, extent, SHAPE[1], SHAPE[0], "float32", -9999.0, ((0, 9000),))
    base = GeoBox(SHAPE, from_origin(110, 32, 0.001, 0.001), "EPSG:4490")
    with rasterio.open(path) as dataset:
        yield GridRaster(dataset, published, base, (0, 0), "exact")


MASK = (np.indices(SHAPE).sum(axis=0) % 7 > 0).astype(np.uint8)


def masked(window: blocks.Window) -> dict[str, np.ndarray]:
    row, col, height, width = window
    return {"mask": MASK[row : row + height, col : col + width]}


def compute(work: Any, block: int, **options: Any) -> tuple[np.ndarray, np.ndarray, list[int]]:
    mean = np.full(SHAPE, -1, np.float32)
    classes = np.full(SHAPE, 9, np.uint8)
    processes = []

    def keep(window: blocks.Window, arrays: blocks.Arrays) -> None:
        row, col, height, width = window
        mean[row : row + height, col : col + width] = arrays["mean"]
        classes[row : row + height, col : col + width] = arrays["class"]
        processes.append(int(arrays["process"][0]))

    options = {"inline_cells": 0, "given": masked} | options
    run_blocks(work, block_windows(*SHAPE, block), on_result=keep, **options)
    return mean, classes, processes


@pytest.fixture(scope="module")
def expected(raster: Any) -> tuple[np.ndarray, np.ndarray]:
    return compute(sample.Neighbourhood(raster), 1000)[:2]


def same(found: tuple[np.ndarray, np.ndarray, list[int]], expected: tuple[np.ndarray, np.ndarray]) -> bool:
    return found[0].tobytes() == expected[0].tobytes() and np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("block", [100, 256, 333])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_and_blocks_do_not_change_a_bit(raster: Any, expected: Any, block: int, threads: int) -> None:
    assert same(compute(sample.Neighbourhood(raster), block, threads=threads), expected)


def test_progress_reaches_one_and_never_falls(raster: Any) -> None:
    shares: list[float] = []
    compute(sample.Neighbourhood(raster), 100, threads=2, progress=shares.append)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


class Stop(Exception):
    pass


def stop_at(share: float) -> Any:
    def progress(done: float) -> None:
        if done >= share:
            raise Stop

    return progress


@pytest.mark.parametrize("threads", [1, 2])
def test_dismissal_stops_before_the_rest(raster: Any, threads: int) -> None:
    started = time.monotonic()
    with pytest.raises(Stop):
        compute(sample.Neighbourhood(raster, pause_s=0.2), 60, threads=threads, progress=stop_at(0.01))
    assert time.monotonic() - started < 5  # 132 blocks of 0.2 s would take 13 s


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_the_work_is_raised_as_it_is(raster: Any, threads: int) -> None:
    with pytest.raises(QualityViolation, match="bad data") as caught:
        compute(sample.Neighbourhood(raster, bad_row=300), 100, threads=threads)
    assert caught.value.details == {"row": 300}


def test_nothing_to_do() -> None:
    run_blocks(lambda window, given: {}, [], on_result=lambda window, arrays: None)


# Dask: a scheduler and two workers, each a program of its own with a folder of its own.


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        found.add_workers(2)
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("block", [100, 333])
def test_two_programs_with_folders_of_their_own_give_the_same_bits(
    raster: Any, expected: Any, cluster: Cluster, block: int
) -> None:
    found = compute(sample.Neighbourhood(raster), block, scheduler=cluster.address)
    assert same(found, expected)
    assert os.getpid() not in found[2]
    assert len(set(found[2])) == 2


def test_dismissal_on_a_cluster(raster: Any, cluster: Cluster) -> None:
    started = time.monotonic()
    with pytest.raises(Stop):
        compute(sample.Neighbourhood(raster, pause_s=0.2), 60, scheduler=cluster.address, progress=stop_at(0.01))
    assert time.monotonic() - started < 5


def test_an_error_of_the_work_comes_back_whole(raster: Any, cluster: Cluster) -> None:
    with pytest.raises(QualityViolation, match="bad data") as caught:
        compute(sample.Neighbourhood(raster, bad_row=300), 100, scheduler=cluster.address)
    assert caught.value.details == {"row": 300}
    assert caught.value.layer == "dem"


def test_a_file_that_the_worker_cannot_see_is_named(raster: Any, cluster: Cluster, tmp_path: Path) -> None:
    import copy

    elsewhere = copy.copy(raster)
    elsewhere._path = tmp_path / "not-mounted.tif"
    with pytest.raises(ServiceUnavailable, match=r"not-mounted\.tif; mount the data under the same path"):
        compute(sample.Neighbourhood(elsewhere), 333, scheduler=cluster.address)


def test_a_job_in_a_worker_spreads_its_blocks_over_the_cluster(raster: Any, expected: Any, cluster: Cluster) -> None:
    """Each worker has one thread: the job must lend its own to the blocks or wait for ever."""
    import distributed

    with distributed.Client(cluster.address, set_as_default=False) as client:
        work = sample.Neighbourhood(raster)
        futures = [client.submit(sample.run_in_a_job, work, SHAPE, 100 + n, pure=False) for n in range(2)]
        for mean, processes, own in client.gather(futures):
            assert np.array_equal(np.where(MASK == 1, mean, np.nan), expected[0], equal_nan=True)
            assert len(processes) == 2
            assert own in processes


def test_a_killed_worker_costs_its_blocks_only(raster: Any, expected: Any, tmp_path: Path) -> None:
    found = Cluster(tmp_path)
    try:
        found.add_workers(2)
        work = replace(sample.Neighbourhood(raster), kill_once=str(tmp_path / "killed"), pause_s=0.02)
        result = compute(work, 100, scheduler=found.address)
    finally:
        found.close()
    assert (tmp_path / "killed").exists()
    assert same(result, expected)
    assert len(result[2]) == len(block_windows(*SHAPE, 100))


def test_a_cluster_without_workers_is_an_error(raster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_NO_WORKER_S", 1.0)
    found = Cluster(tmp_path)
    try:
        with pytest.raises(ServiceUnavailable, match="start one with: dask worker"):
            compute(sample.Neighbourhood(raster), 100, scheduler=found.address)
    finally:
        found.close()


def test_a_block_that_kills_every_worker_is_given_up(raster: Any, cluster: Cluster) -> None:
    class Killed:
        """Stands in for a future whose worker has died."""

        def __init__(self, number: int) -> None:
            self.key = f"block-{number}"

        def add_done_callback(self, call: Any) -> None:
            call(self)

        def result(self) -> Any:
            import distributed

            raise distributed.CancelledError(self.key)

    class Client:
        sent = 0

        def nthreads(self) -> dict[str, int]:
            return {"worker": 1}

        def submit(self, *_: Any, **__: Any) -> Killed:
            self.sent += 1
            return Killed(self.sent)

        def cancel(self, *_: Any, **__: Any) -> None:
            pass

    client = Client()
    with pytest.raises(ServiceUnavailable, match="lost its worker 4 times"):
        blocks._on_cluster(
            client, sample.Neighbourhood(raster), [(0, 0, 9, 9)], None, lambda window, arrays: None, lambda: None
        )
    assert client.sent == 4


@pytest.mark.parametrize(
    ("analysis", "parameters"),
    [
        ("urban-suitability", {"bbox": [110.0, 30.0, 112.0, 31.5], "apply_location": False}),
        ("dual-evaluation", {"bbox": [110.4, 30.4, 111.2, 31.2]}),
    ],
)
def test_an_analysis_on_a_cluster_has_the_same_bits(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analysis: str, parameters: dict[str, Any]
) -> None:
    """A part of the sample: in one thread, in three, on the workers; whatever the block, tables included."""
    import rasterio

    from spatial.catalog import load_catalog
    from spatial.intake import publish_layer
    from spatial.jobs.registry import analysis as find_analysis
    from spatial.jobs.run import run_analysis
    from spatial.settings import PROJECT_ROOT, Settings
    from spatial.store.datastore import DataStore

    monkeypatch.setattr(blocks, "INLINE_CELLS", 0)
    payloads: list[int] = []
    pickled = blocks._pickled
    monkeypatch.setattr(blocks, "_pickled", lambda work: payloads.append(len(pickled(work))) or pickled(work))
    chosen: Any = find_analysis(analysis)
    places: dict[str, tuple[int, dict[str, Any]]] = {
        "one": (1024, {"run_workers": 1}),
        "three": (100, {"run_workers": 3}),
        "cluster": (77, {"dask_scheduler": cluster.address}),
    }
    found: dict[str, Any] = {}
    for name, (block, options) in places.items():
        settings = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path / "var", store="duckdb", **options)
        store = DataStore.open(settings)
        try:
            if name == "one":
                catalog = load_catalog(settings.layers_dir)
                for layer in {spec.layer for spec in chosen.inputs} & set(catalog):
                    publish_layer(store, catalog[layer])
            monkeypatch.setattr(chosen, "__init__", lambda self, size=block: setattr(self, "block", size))
            result = run_analysis(store, analysis, parameters, out=tmp_path / f"{name}.tif", report=False)
        finally:
            store.close()
        found[name] = {"tables": result.tables}
        for raster, path in result.rasters.items():
            with rasterio.open(path) as file:
                found[name][raster] = file.read().tobytes()
    assert next(v for k, v in found["one"].items() if k != "tables").strip(b"\0")
    assert found["three"] == found["one"]
    assert found["cluster"] == found["one"]
    # Both passes went to the workers, and no array of the size of the grid went with the work itself.
    assert len(payloads) == 2
    assert max(payloads) < 8_000_000
