"""Result rasters as COGs (云优化 GeoTIFF), fast: our own overviews, then one encoding by GDAL's COG driver.

GDAL's driver makes overviews by reading and averaging the whole raster again, three to five times the cost of encoding
it. Here each level is halved from the one before by a compiled loop, and the driver takes the levels as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["write_result_cog"]

_TILE = 512
_STRIP = 1024
"""Rows halved at once; even, so that no cell depends on it."""


def _first(values: Any, out: Any) -> None:
    """The upper left of each 2 × 2 cells: an overview cell is a cell of the raster, never a mixture."""
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[r, c] = values[2 * r, 2 * c]


def _most_frequent(values: Any, nodata: Any, out: Any) -> None:
    """The most frequent of each 2 × 2 cells, nodata last; of equals the one met first, row by row."""
    rows, cols = values.shape
    for r in range(out.shape[0]):
        for c in range(out.shape[1]):
            best = nodata
            votes = 0
            for a in range(2 * r, min(2 * r + 2, rows)):
                for b in range(2 * c, min(2 * c + 2, cols)):
                    value = values[a, b]
                    if value == nodata:
                        continue
                    count = 0
                    for d in range(2 * r, min(2 * r + 2, rows)):
                        for e in range(2 * c, min(2 * c + 2, cols)):
                            count += values[d, e] == value
                    if count > votes:
                        votes = count
                        best = value
            out[r, c] = best


def _halve(values: NDArray[Any], nodata: float, *, classes: bool) -> NDArray[Any]:
    """A strip at half the size.

    Examples
    --------
    >>> _halve(np.array([[1, 2, 3], [2, 0, 3]], np.uint8), 0, classes=True).tolist()
    [[2, 3]]
    >>> _halve(np.array([[1.0, 2.0, 3.0]], np.float32), np.nan, classes=False).tolist()
    [[1.0, 3.0]]
    """
    out = np.empty((-(-values.shape[0] // 2), -(-values.shape[1] // 2)), dtype=values.dtype)
    if classes:
        compiled(_most_frequent)(values, values.dtype.type(nodata), out)
    else:
        compiled(_first)(values, out)
    return out


def _level(source: Any, target: Path, *, classes: bool) -> None:
    """Write the raster `source` (open) at half the size, uncompressed."""
    import rasterio
    from rasterio.windows import Window

    rows, cols = -(-source.height // 2), -(-source.width // 2)
    with rasterio.open(
        target,
        "w",
        driver="GTiff",
        height=rows,
        width=cols,
        count=source.count,
        dtype=source.dtypes[0],
        nodata=source.nodata,
        crs=source.crs,
        transform=source.transform @ source.transform.scale(2),
        tiled=True,
        blockxsize=_TILE,
        blockysize=_TILE,
        interleave="band",
        bigtiff="IF_SAFER",
    ) as out:
        for band in range(1, source.count + 1):
            for row in range(0, source.height, _STRIP):
                height = min(_STRIP, source.height - row)
                values = source.read(band, window=Window(0, row, source.width, height))
                half = _halve(values, source.nodata, classes=classes)
                out.write(half, band, window=Window(0, row // 2, cols, half.shape[0]))


_TYPES = {
    "uint8": "Byte",
    "uint16": "UInt16",
    "int16": "Int16",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}


def _virtual(source: Any, path: Path, levels: list[Path]) -> str:
    """The raster with its overviews as one virtual dataset (VRT)."""
    a = source.transform
    bands = []
    for band in range(1, source.count + 1):
        above = "".join(
            f'<Overview><SourceFilename relativeToVRT="0">{escape(str(level))}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand></Overview>"
            for level in levels
        )
        bands.append(
            f'<VRTRasterBand dataType="{_TYPES[source.dtypes[band - 1]]}" band="{band}" '
            f'blockXSize="{_TILE}" blockYSize="{_TILE}">'
            f"<Description>{escape(source.descriptions[band - 1] or '')}</Description>"
            f"<UnitType>{escape(source.units[band - 1] or '')}</UnitType>"
            f"<NoDataValue>{source.nodata}</NoDataValue>"
            f'<SimpleSource><SourceFilename relativeToVRT="0">{escape(str(path))}</SourceFilename>'
            f"<SourceBand>{band}</SourceBand></SimpleSource>{above}</VRTRasterBand>"
        )
    return (
        f'<VRTDataset rasterXSize="{source.width}" rasterYSize="{source.height}"><SRS>EPSG:4490</SRS>'
        f"<GeoTransform>{a.c!r}, {a.a!r}, {a.b!r}, {a.f!r}, {a.d!r}, {a.e!r}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def write_result_cog(source: Path, target: Path, *, classes: bool, threads: int = 2) -> None:
    """Write a raster of a run as a COG; pixels stay as they are.

    Overviews halve until a tile holds the raster: the most frequent class, or for values one of the four cells, so that a
    live tile at any level grades values that belong together.

    Parameters
    ----------
    source : Path
        Uncompressed tiled GeoTIFF in EPSG:4490 with nodata, as `spatial.jobs.outputs` writes it. Its folder takes the levels
        while this works.
    """
    import rasterio
    from rasterio.shutil import copy

    levels: list[Path] = []
    try:
        with rasterio.open(source) as dataset:
            below: Any = dataset
            while max(below.height, below.width) > _TILE:
                path = source.with_name(f".{source.stem}.{len(levels) + 1}.tif")
                levels.append(path)
                _level(below, path, classes=classes)
                if below is not dataset:
                    below.close()
                below = rasterio.open(path)
            if below is not dataset:
                below.close()
            document = _virtual(dataset, source.absolute(), [level.absolute() for level in levels])
        virtual = source.with_name(f".{source.stem}.vrt")
        virtual.write_text(document, "utf-8")
        levels.append(virtual)
        copy(
            virtual,
            target,
            driver="COG",
            compress="ZSTD",
            level=1,
            predictor="STANDARD" if classes else "YES",
            interleave="BAND",
            blocksize=_TILE,
            num_threads=str(threads),
            bigtiff="IF_SAFER",
            overviews="FORCE_USE_EXISTING" if len(levels) > 1 else "NONE",
        )
    finally:
        for path in levels:
            path.unlink(missing_ok=True)
