"""Reading a window of a raster (按窗口读栅格), with the two faults that no analysis may pass over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from spatial.errors import GridMismatch, QualityViolation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WindowReader", "read_window"]


class WindowReader(Protocol):
    """A raster (`spatial.jobs.contract.RasterInput`), or what looks like one, such as the bands of a scene."""

    @property
    def layer_id(self) -> str:
        """Where the values come from, for messages."""
        ...

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """float32 (height, width), NaN = nodata."""
        ...


def read_window(
    raster: WindowReader, row: int, col: int, height: int, width: int, band: int = 1
) -> NDArray[np.float32]:
    """One band of a window: float32 (height, width), NaN = nodata.

    Parameters
    ----------
    row, col, height, width : int
        As of `spatial.jobs.contract.RasterInput.read`, cells of the run's grid.
    band : int
        From 1.

    Raises
    ------
    GridMismatch
        If the reader does not keep to the run's grid.
    QualityViolation
        If the raster has no such band.
    """
    try:
        values = raster.read(row, col, height, width, band=band)
    except IndexError as error:
        raise QualityViolation(
            f"图层 {raster.layer_id} 没有第 {band} 波段，请核对波段数与次序",
            f"layer {raster.layer_id} has no band {band}; check the number and the order of its bands",
            layer=raster.layer_id,
            band=band,
        ) from error
    if values.shape != (height, width):
        raise GridMismatch(
            f"图层 {raster.layer_id} 返回 {values.shape}，应为 {(height, width)}，请先重采样到运行格网",
            f"layer {raster.layer_id} gave {values.shape}, expected {(height, width)}; resample it to the run's grid",
            layer=raster.layer_id,
        )
    return values
