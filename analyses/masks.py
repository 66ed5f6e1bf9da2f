"""Features burned into cell masks (栅格化), strip by strip into memory-mapped arrays."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["burn", "release", "scratch_array"]

_STRIP = 512
"""Rows burned at once. Fixed, so that no cell depends on the block size of a run."""


def scratch_array(folder: str, name: str, shape: tuple[int, int], dtype: Any) -> Any:
    """A zeroed array of `shape` in a file of the run's scratch folder; memory-mapped."""
    return np.memmap(Path(folder) / f"{name}.dat", dtype=dtype, mode="w+", shape=shape)


def release(*arrays: Any) -> None:
    """Give the memory of memory-mapped arrays back to the system; their values stay in their files and are read again.

    Pages of a mapped file count as memory of the process as long as they are mapped. Other arrays are left alone.
    """
    for array in arrays:
        mapped = getattr(array, "_mmap", None)  # of numpy.memmap
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)


def burn(
    out: NDArray[np.uint8], affine: Affine, geometries: Any, values: Sequence[int], *, all_touched: bool = False
) -> None:
    """Write the value of each geometry into the cells of `out` that it covers; later ones win.

    Parameters
    ----------
    out : uint8 (rows, cols)
        Changed in place.
    affine : Affine
        Of `out`, in the CRS of the geometries.
    geometries : array of shapely geometries
        Empty ones are left out.
    values : sequence of int, 1–255
    all_touched : bool
        False: a polygon covers the cells whose centre lies inside. True: every cell that it touches (lines, limits).

    Examples
    --------
    >>> from affine import Affine
    >>> import shapely
    >>> mask = np.zeros((2, 2), np.uint8)
    >>> burn(mask, Affine(1, 0, 0, 0, -1, 2), [shapely.box(0, 0, 1, 2)], [7])
    >>> mask.tolist()
    [[7, 0], [7, 0]]
    """
    import shapely
    from rasterio.features import rasterize

    shapes = np.asarray(geometries, dtype=object)
    numbers = np.asarray(values)
    keep = np.array([g is not None and not g.is_empty for g in shapes], dtype=bool)
    shapes, numbers = shapes[keep], numbers[keep]
    if shapes.size == 0:
        return
    bounds = shapely.bounds(shapes)
    rows, cols = out.shape
    for top in range(0, rows, _STRIP):
        bottom = min(top + _STRIP, rows)
        high, low = affine.f + affine.e * (top - 1), affine.f + affine.e * (bottom + 1)
        near = np.flatnonzero((bounds[:, 3] >= low) & (bounds[:, 1] <= high))
        if near.size == 0:
            continue
        strip = np.array(out[top:bottom])
        rasterize(
            [(shapes[k], int(numbers[k])) for k in near],
            out=strip,
            transform=affine @ affine.translation(0, top),
            all_touched=all_touched,
        )
        out[top:bottom] = strip[:, :cols]
    release(out)
