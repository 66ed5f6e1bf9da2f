"""Work by blocks for the tests of the block engine; importable in the Dask workers that they start."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spatial.errors import QualityViolation


@dataclass(frozen=True)
class Neighbourhood:
    """Mean of 5 × 5 cells of a raster by an order-sensitive float32 sum, plus a mask that travels with the block."""

    raster: Any
    pause_s: float = 0.0
    kill_once: str | None = None
    """File that the first worker creates before it kills itself."""
    bad_row: int | None = None

    def __call__(self, window, given):
        row, col, height, width = window
        if self.bad_row is not None and row <= self.bad_row < row + height:
            raise QualityViolation("坏数据", "bad data", layer="dem", row=self.bad_row)
        if self.kill_once is not None and row > 0:
            try:
                Path(self.kill_once).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.pause_s)
        around = self.raster.read(row - 2, col - 2, height + 4, width + 4)
        total = np.zeros((height, width), np.float32)
        for i in range(5):
            for j in range(5):
                total += around[i : i + height, j : j + width] / np.float32(3 + i * j)
        mask = given["mask"] if "mask" in given else np.ones((height, width), np.uint8)
        return {
            "mean": np.where(mask == 1, total, np.float32(np.nan)),
            "class": (total > 1500).astype(np.uint8) * mask,
            "process": np.array([os.getpid()]),
        }


def run_in_a_job(work, shape, block, pause_s=0.0):
    """A run inside a task of a Dask worker, which itself spreads blocks over the cluster."""
    from analyses.blocks import block_windows, run_blocks

    mean = np.full(shape, np.nan, np.float32)
    processes = set()

    def keep(window, arrays):
        row, col, height, width = window
        mean[row : row + height, col : col + width] = arrays["mean"]
        processes.add(int(arrays["process"][0]))

    for _ in range(2):  # a run asks more than once
        run_blocks(work, block_windows(*shape, block), on_result=keep, inline_cells=0)
    return mean, processes, os.getpid()
