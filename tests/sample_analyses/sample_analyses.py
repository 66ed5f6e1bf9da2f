"""Small analyses for the tests of jobs, and a small data store for them to run on.

They are found by entry points, as every analysis is: this folder holds the metadata of a distribution, and tests put it on
``sys.path`` (and on ``PYTHONPATH`` for the programs that they start).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from pydantic import Field
from rasterio.transform import from_origin

from spatial.catalog import Band, Layer, Source, Synthetic, Text
from spatial.jobs.contract import AnalysisResult, Factor, InputSpec, Parameters

FOLDER = Path(__file__).parent
LOWLAND = Text(zh="低地", en="Lowland")
STYLE = {
    "type": "classes",
    "classes": [
        {"value": 0, "color": "#aaaaaa", "title": {"zh": "否", "en": "no"}},
        {"value": 1, "color": "#00aa00", "title": {"zh": "是", "en": "yes"}},
    ],
}


class LowlandParameters(Parameters):
    threshold_m: float = Field(100.0, ge=0, le=9000, description="高程上限（m）。 Highest elevation, m.")
    pause_s: float = Field(0.0, ge=0, le=600, description="总停顿（s）。 Pause over the whole run, s.")
    strict: bool = Field(False, description="严格小于。 Strictly below.")


class Lowland:
    """1 where the ground lies below a threshold, 0 elsewhere; reads and writes by blocks of 7 × 7 cells."""

    id = "sample-lowland"
    version = "1.0"
    title = LOWLAND
    description = Text(zh="低于阈值的地区。", en="Ground below a threshold.")
    method = "test"
    parameters = LowlandParameters
    inputs = (
        InputSpec("dem", "elevation", "raster", Text(zh="高程", en="Elevation")),
        InputSpec("rain", "rain", "raster", Text(zh="降水", en="Rain"), optional=True, resampling="bilinear"),
    )
    base = "dem"
    result_theme = ("results",)
    rasters = {"class": LOWLAND}  # noqa: RUF012

    def run(self, inputs, parameters, outputs, progress):
        band = Band(
            name="class",
            title=LOWLAND,
            valid_range=(0, 1),
            domain={0: Text(zh="否", en="no"), 1: Text(zh="是", en="yes")},
        )
        out = outputs.raster("class", bands=(band,), dtype="uint8", nodata=255, title=LOWLAND, style=STYLE)
        rows, cols = inputs.grid.shape
        low, step = 0, 7
        for row in range(0, rows, step):
            for col in range(0, cols, step):
                height, width = min(step, rows - row), min(step, cols - col)
                z = inputs.rasters["dem"].read(row, col, height, width)
                values = np.where(np.isnan(z), np.nan, (z < parameters.threshold_m).astype("float32"))
                low += int((values == 1).sum())
                out.write(row, col, values)
                progress(row / rows, "按块计算 blocks")
            deadline = time.monotonic() + parameters.pause_s * step / rows
            while time.monotonic() < deadline and not pauses_are_over():
                time.sleep(0.05)
                progress(row / rows, "停顿 pause")
        factor = Factor("elevation", LOWLAND, True, Text(zh="无", en="none"), "test")
        return AnalysisResult(factors=(factor,), tables={"cells": [{"low": low}]})


def pauses_are_over() -> bool:
    """Whether the file named by ``SAMPLE_PAUSES_END`` is there: so a test ends a pause when it has seen what it waited for."""
    named = os.environ.get("SAMPLE_PAUSES_END")
    return bool(named) and Path(named).exists()


class Quick(Lowland):
    """Says that it is short on up to 400 cells, which is not true if it is told to pause."""

    id = "sample-quick"
    short_cells = 400


class Failing(Lowland):
    """Writes a block, then has a bug."""

    id = "sample-failing"

    def run(self, inputs, parameters, outputs, progress):
        super().run(inputs, parameters, outputs, progress)
        raise RuntimeError("a bug")


class Killer(Lowland):
    """Kills its process, as the operating system does when memory runs out."""

    id = "sample-killer"

    def run(self, inputs, parameters, outputs, progress):
        progress(0.1, "x")
        os.kill(os.getpid(), signal.SIGKILL)


def elevation() -> np.ndarray:
    """40 × 60 cells of 0–300 m; one cell without data."""
    z = np.random.default_rng(1).uniform(0, 300, (40, 60)).astype("float32")
    z[3, 4] = -9999
    return z


def layer(layer_id: str, *, synthetic: bool = False) -> Layer:
    title = Text(zh=f"测试{layer_id}", en=layer_id)
    return Layer(
        id=layer_id,
        title=title,
        description=title,
        theme=("base",),
        kind="raster",
        source=Source(uri="x.tif", version="1", sha256="0" * 64, licence="CC0", attribution=title, origin="test"),
        bands=(Band(name="value", title=title, unit="m", valid_range=(-100, 9000)),),
        style={"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 300, "color": "#ffffff"}]},
        synthetic=Synthetic(seed=1, recipe=title) if synthetic else None,
    )


def write_raster(path: Path, values: np.ndarray, cell: float) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype="float32",
        nodata=-9999,
        crs="EPSG:4490",
        transform=from_origin(110, 32, cell, cell),
    ) as dataset:
        dataset.write(values, 1)
    return path


def environment(folder: Path, **more: object) -> dict[str, str]:
    """Environment of a small installation in `folder`, for programs and (through monkeypatch) for this process."""
    from spatial.settings import PROJECT_ROOT

    layers = folder / "layers"
    if not layers.exists():
        layers.mkdir(parents=True)
        for name in ("themes.yml", "schema.json"):
            shutil.copy(PROJECT_ROOT / "layers" / name, layers)
    settings = {
        "layers_dir": layers,
        "var_dir": folder / "var",
        "store": "duckdb",
        "job_heartbeat_s": 0.3,
        "job_lost_after_s": 5,
        "workers": 1,
    } | more
    path = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH", "")]))
    found = {f"ONEMAP_{name.upper()}": str(value) for name, value in settings.items()}
    return found | {"PYTHONPATH": path, "LANG": "zh_CN.UTF-8", "LC_ALL": "zh_CN.UTF-8"}


def publish_inputs(store, folder: Path, *, rain: bool = True) -> None:
    """Publish the input layers of the sample analyses."""
    store.publish_raster(layer("elevation"), write_raster(folder / "elevation.tif", elevation(), 0.01))
    if rain:
        values = np.random.default_rng(2).uniform(0, 10, (8, 12)).astype("float32")
        store.publish_raster(layer("rain", synthetic=True), write_raster(folder / "rain.tif", values, 0.05))


def start_worker(env: dict[str, str]) -> subprocess.Popen:
    """A worker program; returns when it takes jobs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spatial.cli", "worker", "--json"],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = process.stdout.readline()
    assert "{" in line, process.stderr.read()
    return process


def stop(process: subprocess.Popen, number: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition, timeout: float = 30.0, every: float = 0.05):
    """First true value of `condition()`; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise AssertionError("timeout")
