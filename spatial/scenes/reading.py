"""Reading scenes on the grid of a run (按运行格网读取影像): by window, nearest cell, whatever CRS the files have."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.errors import CRSMismatch, InvalidParameter, LayerEmpty, SourceUnreadable
from spatial.scenes.collection import SceneCollection, touching

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from spatial.scenes.collection import Asset, SceneItem

__all__ = ["SceneReader", "grid_of"]

_ALIGNED = 1e-3
"""Largest offset, in cells, by which a file may lie beside the grid and still be read without warping."""

_OPEN = 64
"""Files kept open at a time; a decade of scenes has hundreds."""


def grid_of(collection: SceneCollection, bbox: tuple[float, float, float, float] | None) -> GeoBox:
    """The EPSG:4490 grid on which a run reads a collection: cells of `SceneCollection.cell_arcsec`, counted from 0° E, 90° N.

    Whichever window is asked for, its cells are those of the whole, so that runs on windows agree.

    Raises
    ------
    InvalidParameter
        The box does not touch the scenes, or is smaller than a cell.
    """
    import math

    from affine import Affine
    from odc.geo.geobox import GeoBox

    step = collection.cell_arcsec / 3600.0
    box = collection.bbox
    if bbox is not None:
        if next(touching(collection.items, bbox), None) is None:
            raise InvalidParameter(
                f"bbox {list(bbox)} 与影像集 {collection.id} 的范围 {[round(v, 5) for v in box]} 不相交",
                f"bbox {list(bbox)} does not touch collection {collection.id}, {[round(v, 5) for v in box]}",
                parameter="bbox",
                value=list(bbox),
                allowed=list(box),
            )
        if bbox[2] - bbox[0] < step or bbox[3] - bbox[1] < step:
            raise InvalidParameter(
                f"bbox {list(bbox)} 小于一个像元（{step:.6g}°），请放大范围",
                f"bbox {list(bbox)} is smaller than a cell ({step:.6g}°); choose a larger one",
                parameter="bbox",
                value=list(bbox),
            )
        box = (max(box[0], bbox[0]), max(box[1], bbox[1]), min(box[2], bbox[2]), min(box[3], bbox[3]))
    col0, col1 = math.floor(box[0] / step + 1e-6), math.ceil(box[2] / step - 1e-6)
    row0, row1 = math.floor((90 - box[3]) / step + 1e-6), math.ceil((90 - box[1]) / step - 1e-6)
    affine = Affine(step, 0, col0 * step, 0, -step, 90 - row0 * step)
    return GeoBox((max(row1 - row0, 1), max(col1 - col0, 1)), affine, "EPSG:4490")


@dataclass(frozen=True, slots=True)
class _File:
    """An opened band of a scene and its place on the run's grid."""

    source: Any
    grid: Any
    """What is read: the file itself, or its warped view."""
    nodata: float
    row: int
    col: int

    def close(self) -> None:
        if self.grid is not self.source:
            self.grid.close()
        self.source.close()


class SceneReader:
    """Scenes of a collection that touch a grid (see `spatial.jobs.contract.SceneSeries`).

    Pickled, the reader carries the addresses of the files: in another process it opens them itself.
    """

    def __init__(self, collection: SceneCollection, grid: GeoBox) -> None:
        box = grid.extent.boundingbox
        self.layer = collection.layer
        self.version = collection.version
        self.refused = collection.refused
        self.items: tuple[SceneItem, ...] = tuple(
            touching(collection.items, (box.left, box.bottom, box.right, box.top))
        )
        if not self.items:
            raise LayerEmpty(
                f"影像集 {collection.id} 在运行范围内没有影像",
                f"collection {collection.id} has no scene in the window of the run",
                layer=collection.id,
            )
        self._grid = grid
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[int, str], _File] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_files"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _files=OrderedDict())

    def has(self, scene: int, band: str) -> bool:
        """Whether a scene has a band."""
        return band in self.items[scene].assets

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> NDArray[np.generic]:
        """Stored numbers of a window of the run's grid; see `SceneSeries.read`.

        Raises
        ------
        SourceUnreadable
            The file is missing, damaged or holds more than one band; names scene and band.
        CRSMismatch
            The file has no CRS.
        InvalidParameter
            The scene has no such band; lists those that it has.
        """
        import numpy as np
        from rasterio.windows import Window

        rows, cols = self._grid.shape.yx
        top, left, bottom, right = max(row, 0), max(col, 0), min(row + height, rows), min(col + width, cols)
        asset = self._asset(scene, band)
        with self._reading(scene, band, asset) as file:
            out = np.full((height, width), file.nodata, dtype=file.grid.dtypes[0])
            # The cells of the file that the window covers, counted on the run's grid.
            top, bottom = max(top, file.row), min(bottom, file.row + file.grid.height)
            left, right = max(left, file.col), min(right, file.col + file.grid.width)
            if top < bottom and left < right:
                window = Window(left - file.col, top - file.row, right - left, bottom - top)
                out[top - row : bottom - row, left - col : right - col] = file.grid.read(1, window=window)
        return out

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    def _asset(self, scene: int, band: str) -> Asset:
        item = self.items[scene]
        if band not in item.assets:
            raise InvalidParameter(
                f"影像 {item.id} 没有波段 {band}，有：{'、'.join(sorted(item.assets))}",
                f"scene {item.id} has no band {band}; it has {', '.join(sorted(item.assets))}",
                parameter="band",
                value=band,
                allowed=sorted(item.assets),
            )
        return item.assets[band]

    @contextmanager
    def _reading(self, scene: int, band: str, asset: Asset) -> Iterator[_File]:
        """The opened band, in the hands of this thread alone."""
        import rasterio

        item = self.items[scene]
        key = (scene, band)
        with self._lock:
            found = self._files.pop(key, None)
        try:
            if found is None:
                found = self._opened(item, band, asset)
            yield found
        except rasterio.errors.RasterioError as error:
            if found is not None:
                found.close()
                found = None
            raise SourceUnreadable(
                f"影像 {item.id} 的波段 {band} 不能读取：{error}",
                f"scene {item.id}, band {band} cannot be read: {error}",
                layer=self.layer.id,
                file=asset.path.name,
            ) from error
        finally:
            if found is not None:
                with self._lock:
                    # Two threads may have opened the same band; one of the two is kept.
                    spare = self._files.pop(key, None)
                    self._files[key] = found
                    old = self._files.popitem(last=False)[1] if len(self._files) > _OPEN else None
                for unused in (spare, old):
                    if unused is not None:
                        unused.close()

    def _opened(self, item: SceneItem, band: str, asset: Asset) -> _File:
        import rasterio
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        from spatial.store.raster import SAFE_GDAL

        with rasterio.Env(**SAFE_GDAL):
            dataset = rasterio.open(asset.path, driver="GTiff")
        if dataset.crs is None or dataset.count != 1:
            dataset.close()
            if dataset.count != 1:
                raise SourceUnreadable(
                    f"影像 {item.id} 的波段 {band} 的文件含 {dataset.count} 个波段，应每波段一个文件",
                    f"scene {item.id}, band {band}: the file holds {dataset.count} bands; one file a band is needed",
                    layer=self.layer.id,
                )
            raise CRSMismatch(
                f"影像 {item.id} 的波段 {band} 没有坐标系",
                f"scene {item.id}, band {band} has no CRS",
                layer=self.layer.id,
            )
        nodata = dataset.nodata if dataset.nodata is not None else asset.nodata
        if nodata is None:
            # Without it a cell outside the scene would read as a value.
            dataset.close()
            raise SourceUnreadable(
                f"影像 {item.id} 的波段 {band} 没有声明无数据值（nodata）",
                f"scene {item.id}, band {band} declares no nodata value",
                layer=self.layer.id,
            )
        place = self._place(dataset)
        if place is not None:
            return _File(dataset, dataset, nodata, *place)
        rows, cols = self._grid.shape.yx
        warped = WarpedVRT(
            dataset,
            crs="EPSG:4490",
            transform=self._grid.affine,
            width=cols,
            height=rows,
            resampling=Resampling.nearest,
            src_nodata=nodata,
            nodata=nodata,
            tolerance=0.05,
        )
        return _File(dataset, warped, nodata, 0, 0)

    def _place(self, dataset: Any) -> tuple[int, int] | None:
        """First row and column of a file on the run's grid if its cells are cells of the grid, else None."""
        if dataset.crs.to_epsg() != 4490:
            return None
        a, b = dataset.transform, self._grid.affine
        span = max(dataset.shape)
        if a.b or a.d or abs(a.a / b.a - 1) * span > _ALIGNED or abs(a.e / b.e - 1) * span > _ALIGNED:
            return None
        col, row = (a.c - b.c) / b.a, (a.f - b.f) / b.e
        if abs(col - round(col)) > _ALIGNED or abs(row - round(row)) > _ALIGNED:
            return None
        return round(row), round(col)
