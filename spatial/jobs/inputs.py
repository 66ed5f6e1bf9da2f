"""Opening the inputs of a run on its grid (运行格网), by window, from one snapshot of the catalogue.

The value of a cell depends on the cell and the source only, never on the window or the block that asks for it: the
source position is computed from the cell's index on the *base* raster, so that a run on a part of the province and a run
on the whole agree bit for bit where they overlap.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.crs import STORAGE
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid, LayerNotFound, LayerNotPublished
from spatial.jobs.contract import Analysis, Inputs, InputSpec, Parameters
from spatial.store.vector import ItemQuery

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Snapshot
    from spatial.store.raster import PublishedRaster

__all__ = ["OpenedInputs", "crop", "load_rules", "open_inputs", "window_of"]

_ALL = 2**31 - 1
_CELL_TOLERANCE = 1e-3
"""Largest offset, in cells, by which a raster may lie beside the base grid and still count as aligned."""


@dataclass(frozen=True)
class OpenedInputs:
    """The inputs of a run, and what provenance says of them."""

    inputs: Inputs
    used: dict[str, tuple[InputSpec, Layer, str]]
    """Role → specification, layer, version."""
    missing: tuple[InputSpec, ...]
    rules_sha256: dict[str, str]


def window_of(grid: GeoBox, bbox: tuple[float, float, float, float] | None) -> tuple[int, int, int, int]:
    """First row, first column, height and width of the cells of a north-up grid that a box touches.

    Raises
    ------
    InvalidParameter
        If the box lies outside the grid (the message says where the grid is) or is smaller than a cell.

    Examples
    --------
    >>> from odc.geo.geobox import GeoBox
    >>> grid = GeoBox.from_bbox((110, 30, 111, 31), crs="EPSG:4490", resolution=0.25)
    >>> window_of(grid, (110.3, 30.3, 110.6, 30.6))
    (1, 1, 2, 2)
    """
    rows, cols = grid.shape.y, grid.shape.x
    if bbox is None:
        return 0, 0, rows, cols
    a = grid.affine
    west, south, east, north = bbox

    def cells(low: float, high: float, size: int) -> tuple[int, int]:
        # An edge that lies on a cell border up to rounding must not pull in the next cell.
        first, last = math.floor(low + 1e-6), math.ceil(high - 1e-6)
        return max(first, 0), min(max(last, first + 1), size)

    row0, row1 = cells((north - a.f) / a.e, (south - a.f) / a.e, rows)
    col0, col1 = cells((west - a.c) / a.a, (east - a.c) / a.a, cols)
    if row0 >= row1 or col0 >= col1:
        box = [round(v, 6) for v in (a.c, a.f + rows * a.e, a.c + cols * a.a, a.f)]
        raise InvalidParameter(
            f"bbox {list(bbox)} 与基准栅格范围 {box} 不相交",
            f"bbox {list(bbox)} lies outside the base raster {box}",
            parameter="bbox",
            value=list(bbox),
            allowed=box,
        )
    # An analysis of one cell by a box that does not even hold it would be taken for that of the place.
    if (east - west) / a.a < 1 - 1e-6 or (south - north) / a.e < 1 - 1e-6:
        raise InvalidParameter(
            f"bbox {list(bbox)} 小于一个像元（{a.a:.6g}° × {-a.e:.6g}°），请放大范围",
            f"bbox {list(bbox)} is smaller than a cell ({a.a:.6g}° × {-a.e:.6g}°); choose a larger one",
            parameter="bbox",
            value=list(bbox),
            cell=[a.a, -a.e],
        )
    return row0, col0, row1 - row0, col1 - col0


def crop(grid: GeoBox, window: tuple[int, int, int, int]) -> GeoBox:
    """The part of a grid that a window covers."""
    row, col, height, width = window
    return grid[row : row + height, col : col + width]


class _Raster:
    """A published raster read on the run's grid (see `RasterInput`)."""

    def __init__(
        self, dataset: Any, raster: PublishedRaster, base: GeoBox, origin: tuple[int, int], method: str
    ) -> None:
        self.layer_id = raster.layer.id
        self.version = raster.version
        self.unit = raster.layer.bands[0].unit
        self._dataset = dataset
        self._method = method
        self._lock = threading.Lock()  # a GDAL dataset belongs to one thread at a time
        source, target = dataset.transform, base.affine
        # Source index of the centre of base cell i: i × step + start.
        self._row = (target.e / source.e, (target.f + target.e / 2 - source.f) / source.e - 0.5, origin[0])
        self._col = (target.a / source.a, (target.c + target.a / 2 - source.c) / source.a - 0.5, origin[1])
        if method == "exact":
            self._require_aligned(base, raster)

    def _require_aligned(self, base: GeoBox, raster: PublishedRaster) -> None:
        span = max(*base.shape, *self._dataset.shape)
        for step, start, _ in (self._row, self._col):
            if abs(step - 1) * span > _CELL_TOLERANCE or abs(start - round(start)) > _CELL_TOLERANCE:

                def name(g: GeoBox) -> str:
                    return f"{g.shape.x}×{g.shape.y} {tuple(round(v, 12) for v in g.affine[:6])}"

                raise GridMismatch(
                    f"图层 {self.layer_id} 的格网 {name(raster.grid)} 与运行格网 {name(base)} 不对齐，请先重采样",
                    f"layer {self.layer_id}: grid {name(raster.grid)} is not aligned with the run's grid {name(base)}; "
                    "resample it first",
                    layer=self.layer_id,
                )

    @staticmethod
    def _positions(axis: tuple[float, float, int], first: int, count: int) -> NDArray[np.float64]:
        step, start, origin = axis
        return np.arange(origin + first, origin + first + count, dtype=np.float64) * step + start

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """Window of the run's grid; see `RasterInput.read`."""
        rows = self._positions(self._row, row, height)
        cols = self._positions(self._col, col, width)
        if self._method == "bilinear":
            return self._bilinear(rows, cols, band)
        # Halves go up, as everywhere in GDAL: a centre on the border of two source cells takes the right or lower one.
        i, j = np.floor(rows + 0.5).astype(np.int64), np.floor(cols + 0.5).astype(np.int64)
        block = self._fetch(int(i[0]), int(i[-1]) + 1, int(j[0]), int(j[-1]) + 1, band)
        if self._method == "exact":
            return block.astype(np.float32)
        return block[np.ix_(i - i[0], j - j[0])].astype(np.float32)

    def _bilinear(self, rows: NDArray[np.float64], cols: NDArray[np.float64], band: int) -> NDArray[np.float32]:
        """Mean of the four nearest centres by distance; cells without data take no part.

        NaN where the cell that holds the point has no data, so that a coast does not creep seawards.
        """
        i, j = np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64)
        block = self._fetch(int(i[0]), int(i[-1]) + 2, int(j[0]), int(j[-1]) + 2, band)
        v, u = (rows - i)[:, None], (cols - j)[None, :]
        total = np.zeros((rows.size, cols.size))
        weights = np.zeros_like(total)
        own = np.full(total.shape, np.nan)
        for down in (0, 1):
            for right in (0, 1):
                values = block[np.ix_(i - i[0] + down, j - j[0] + right)]
                weight = (v if down else 1 - v) * (u if right else 1 - u)
                valid = ~np.isnan(values)
                total += np.where(valid, values, 0.0) * weight
                weights += np.where(valid, weight, 0.0)
                own = np.where(((v >= 0.5) == bool(down)) & ((u >= 0.5) == bool(right)), values, own)
        with np.errstate(invalid="ignore", divide="ignore"):
            result = np.where(np.isnan(own), np.nan, total / weights)
        return result.astype(np.float32)

    def _fetch(self, row0: int, row1: int, col0: int, col1: int, band: int) -> NDArray[np.float64]:
        """Source cells ``[row0, row1) × [col0, col1)`` as float64, NaN for nodata and outside the raster."""
        from rasterio.windows import Window

        block = np.full((row1 - row0, col1 - col0), np.nan)
        height, width = self._dataset.shape
        r0, r1, c0, c1 = max(row0, 0), min(row1, height), max(col0, 0), min(col1, width)
        if r0 >= r1 or c0 >= c1:
            return block
        with self._lock:
            values = self._dataset.read(band, window=Window(c0, r0, c1 - c0, r1 - r0))
        nodata = self._dataset.nodata
        inside = values.astype(np.float64)
        if nodata is not None and not math.isnan(nodata):
            inside[values == np.asarray(nodata).astype(values.dtype)] = np.nan
        scale, offset = self._dataset.scales[band - 1], self._dataset.offsets[band - 1]
        if (scale, offset) != (1.0, 0.0):
            inside = inside * scale + offset
        block[r0 - row0 : r1 - row0, c0 - col0 : c1 - col0] = inside
        return block


def _missing(spec: InputSpec, analysis: type[Analysis], error: LayerNotFound | LayerNotPublished) -> Exception:
    return type(error)(
        f"{analysis.id} 缺少必需输入 {spec.title.zh}：{error.zh}",
        f"{analysis.id} needs {spec.title.en}: {error.en}",
        layer=spec.layer,
        role=spec.role,
    )


@contextmanager
def open_inputs(
    datastore: DataStore, snapshot: Snapshot, analysis: type[Analysis], parameters: Parameters, scratch: Path
) -> Iterator[OpenedInputs]:
    """Open every input of an analysis from one snapshot; closed at the end of the block.

    Raises
    ------
    LayerNotFound, LayerNotPublished
        For a required input that is missing, naming the layer and its role. A missing optional input is left out.
    GridMismatch
        For an ``exact`` raster that is not aligned with the base raster.
    """
    from contextlib import ExitStack

    from spatial.store.raster import open_raster

    specs = {spec.role: spec for spec in analysis.inputs}
    base_spec = specs[analysis.base]
    try:
        base_raster = snapshot.raster(base_spec.layer)
    except (LayerNotFound, LayerNotPublished) as error:
        raise _missing(base_spec, analysis, error) from error
    base = base_raster.grid
    window = window_of(base, parameters.bbox)
    grid = crop(base, window)
    rasters: dict[str, Any] = {}
    frames: dict[str, geopandas.GeoDataFrame] = {}
    used: dict[str, tuple[InputSpec, Layer, str]] = {}
    missing: list[InputSpec] = []
    with ExitStack() as stack:
        for role, spec in specs.items():
            try:
                if spec.kind == "raster":
                    raster = snapshot.raster(spec.layer)
                    dataset = stack.enter_context(open_raster(raster.path))
                    rasters[role] = _Raster(dataset, raster, base, window[:2], spec.resampling)
                    used[role] = (spec, raster.layer, raster.version)
                else:
                    table = snapshot.vector(spec.layer)
                    whole = spec.extent == "whole"
                    query = None if whole else ItemQuery(limit=_ALL, area=_area(grid), crs=STORAGE)
                    frames[role] = datastore.vectors.frame(table, query)
                    used[role] = (spec, table.layer, table.version)
            except (LayerNotFound, LayerNotPublished) as error:
                if not spec.optional:
                    raise _missing(spec, analysis, error) from error
                missing.append(spec)
        rules, digests = load_rules(datastore.settings.layers_dir / "rules")
        inputs = Inputs(
            grid=grid,
            rasters=rasters,
            frames=frames,
            rules=rules,
            versions={layer.id: version for _, layer, version in used.values()},
            scratch=str(scratch),
        )
        yield OpenedInputs(inputs, used, tuple(missing), digests)


def _area(grid: GeoBox) -> Any:
    import shapely

    box = grid.extent.boundingbox
    return shapely.box(box.left, box.bottom, box.right, box.top)


def load_rules(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Rule files by stem, and their SHA-256."""
    import yaml

    rules, digests = {}, {}
    for path in sorted(folder.glob("*.yml")):
        data = path.read_bytes()
        try:
            rules[path.stem] = yaml.safe_load(data)
        except yaml.YAMLError as error:
            raise LayerDefinitionInvalid(
                f"规则文件 {path.name} 不是合法的 YAML：{error}",
                f"rule file {path.name} is not valid YAML: {error}",
                file=path.name,
            ) from error
        digests[path.stem] = hashlib.sha256(data).hexdigest()
    return rules, digests
