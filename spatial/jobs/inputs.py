"""Opening the inputs of a run on its grid (运行格网), by window, from one snapshot of the catalogue.

The value of a cell depends on the cell and the source only, never on the window or the block that asks for it: the
source position is computed from the cell's index on the *base* raster, so that a run on a part of the province and a run
on the whole agree bit for bit where they overlap.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spatial.crs import STORAGE
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, LayerNotFound, LayerNotPublished
from spatial.jobs.contract import Analysis, Inputs, InputSpec, Parameters, SceneBand, SceneRecord, SceneSeries
from spatial.jobs.reading import GridRaster
from spatial.store.vector import ItemQuery

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from spatial.catalog import Layer
    from spatial.scenes.reading import SceneReader
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["OpenedInputs", "crop", "grid_of_run", "load_rules", "open_inputs", "replaced_inputs", "window_of"]

_ALL = 2**31 - 1
_CELL = 1 / 120
"""Cell of a run that has no raster, degrees."""


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


def _missing(spec: InputSpec, analysis: type[Analysis], error: LayerNotFound | LayerNotPublished) -> Exception:
    return type(error)(
        f"{analysis.id} 缺少必需输入 {spec.title.zh}：{error.zh}",
        f"{analysis.id} needs {spec.title.en}: {error.en}",
        layer=spec.layer,
        role=spec.role,
    )


def replaced_inputs(
    snapshot: Snapshot, analysis: type[Analysis], parameters: Parameters, layers: Mapping[str, str]
) -> dict[str, InputSpec]:
    """Inputs of a run by role, with the layers that the caller chose in the place of the usual ones.

    Raises
    ------
    InvalidParameter
        A role that the run does not have, or a layer of another kind or unit than the usual one.
    LayerNotFound, LayerNotPublished
        Of a layer that the caller chose; even where the role is optional.
    """
    # An analysis whose layers are chosen by its parameters says which they are.
    chosen = getattr(analysis, "inputs_of", None)
    specs = {spec.role: spec for spec in (analysis.inputs if chosen is None else chosen(parameters))}
    for role, layer_id in layers.items():
        spec = specs.get(role)
        if spec is None:
            raise InvalidParameter(
                f"{analysis.id} 没有输入图层 {role!r}，可替换：{'、'.join(specs)}",
                f"{analysis.id} has no input layer {role!r}; these can be replaced: {', '.join(specs)}",
                parameter=role,
                allowed=list(specs),
            )
        _require_alike(snapshot, analysis, spec, layer_id)
        # An input that the caller names must be read, whatever the analysis does without its usual one.
        specs[role] = replace(spec, layer=layer_id, optional=False)
    return specs


def _require_alike(snapshot: Snapshot, analysis: type[Analysis], spec: InputSpec, layer_id: str) -> None:
    """A layer of metres must not stand for one of kilometres: the analysis would not notice."""
    if spec.kind == "scenes":
        return  # every scene is checked for itself: bands, calibration, masks
    layer = snapshot.raster(layer_id).layer if spec.kind == "raster" else snapshot.vector(layer_id).layer
    try:
        usual = snapshot.catalog[spec.layer]
    except LayerNotFound:
        return
    if spec.kind == "raster" and layer.bands[0].unit != usual.bands[0].unit:
        units = tuple(found.bands[0].unit or "1" for found in (layer, usual))
        raise InvalidParameter(
            f"{analysis.id} 的输入 {spec.role}：图层 {layer_id} 的单位是 {units[0]}，应为 {units[1]}（同 {spec.layer}）",
            f"{analysis.id}, input {spec.role}: the unit of layer {layer_id} is {units[0]}, not {units[1]} as of {spec.layer}",
            parameter=spec.role,
            layer=layer_id,
        )
    lacking = sorted({field.name for field in usual.fields} - {field.name for field in layer.fields})
    if spec.kind == "vector" and lacking:
        raise InvalidParameter(
            f"{analysis.id} 的输入 {spec.role}：图层 {layer_id} 缺少字段 {'、'.join(lacking)}",
            f"{analysis.id}, input {spec.role}: layer {layer_id} lacks the fields {', '.join(lacking)}",
            parameter=spec.role,
            layer=layer_id,
        )


@contextmanager
def open_inputs(
    datastore: DataStore,
    snapshot: Snapshot,
    analysis: type[Analysis],
    parameters: Parameters,
    scratch: Path,
    layers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[OpenedInputs]:
    """Open every input of an analysis from one snapshot; closed at the end of the block.

    Parameters
    ----------
    layers : mapping
        Role → layer that takes the place of its usual one.

    Raises
    ------
    InvalidParameter
        `layers` names a role that the run does not have, or a layer that cannot stand for the usual one.
    LayerNotFound, LayerNotPublished
        For a required input that is missing, naming the layer and its role. A missing optional input is left out.
    GridMismatch
        For an ``exact`` raster that is not aligned with the base raster.
    """
    from contextlib import ExitStack

    from spatial.store.raster import open_raster

    specs = replaced_inputs(snapshot, analysis, parameters, layers)
    try:
        base, window = _base_grid(datastore, snapshot, specs[analysis.base], parameters)
    except (LayerNotFound, LayerNotPublished) as error:
        raise _missing(specs[analysis.base], analysis, error) from error
    grid = crop(base, window)
    rasters: dict[str, Any] = {}
    frames: dict[str, geopandas.GeoDataFrame] = {}
    scenes: dict[str, SceneSeries] = {}
    used: dict[str, tuple[InputSpec, Layer, str]] = {}
    missing: list[InputSpec] = []
    with ExitStack() as stack:
        for role, spec in specs.items():
            try:
                if spec.kind == "raster":
                    raster = snapshot.raster(spec.layer)
                    dataset = stack.enter_context(open_raster(raster.path))
                    rasters[role] = GridRaster(dataset, raster, base, window[:2], spec.resampling)
                    used[role] = (spec, raster.layer, raster.version)
                elif spec.kind == "scenes":
                    reader = _scenes(datastore, spec.layer, grid)
                    stack.callback(reader.close)
                    scenes[role] = reader
                    used[role] = (spec, reader.layer, reader.version)
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
            threads=datastore.settings.threads_of_a_run,
            scheduler=datastore.settings.dask_scheduler,
            scenes=scenes,
        )
        yield OpenedInputs(inputs, used, tuple(missing), digests)


def grid_of_run(
    datastore: DataStore,
    snapshot: Snapshot,
    analysis: type[Analysis],
    parameters: Parameters,
    layers: Mapping[str, str] = MappingProxyType({}),
) -> GeoBox:
    """The grid that a run would work on; opens no layer.

    Raises
    ------
    InvalidParameter, LayerNotFound, LayerNotPublished
        As `open_inputs`.
    """
    specs = replaced_inputs(snapshot, analysis, parameters, layers)
    return crop(*_base_grid(datastore, snapshot, specs[analysis.base], parameters))


def _base_grid(
    datastore: DataStore, snapshot: Snapshot, spec: InputSpec, parameters: Parameters
) -> tuple[GeoBox, tuple[int, int, int, int]]:
    """The grid of the base layer and the window of it that the run works on."""
    if spec.kind == "raster":
        base = snapshot.raster(spec.layer).grid
        return base, window_of(base, parameters.bbox)
    if spec.kind == "scenes":
        from spatial.scenes.collection import open_collection
        from spatial.scenes.reading import grid_of

        # Its cells do not depend on the window, so the window itself can be the base.
        base = grid_of(open_collection(datastore.settings.scenes_dir, spec.layer), parameters.bbox)
        return base, (0, 0, base.shape.y, base.shape.x)
    from affine import Affine
    from odc.geo.geobox import GeoBox

    west, south, east, north = snapshot.vector(spec.layer).extent
    col0, col1 = math.floor(west / _CELL), math.ceil(east / _CELL)
    row0, row1 = math.floor((90 - north) / _CELL), math.ceil((90 - south) / _CELL)
    shape = (max(row1 - row0, 1), max(col1 - col0, 1))
    base = GeoBox(shape, Affine(_CELL, 0, col0 * _CELL, 0, -_CELL, 90 - row0 * _CELL), "EPSG:4490")
    return base, window_of(base, parameters.bbox)


def _scenes(datastore: DataStore, collection_id: str, grid: GeoBox) -> _Scenes:
    from spatial.scenes.collection import open_collection
    from spatial.scenes.reading import SceneReader

    return _Scenes(SceneReader(open_collection(datastore.settings.scenes_dir, collection_id), grid))


class _Scenes:
    """Scenes as an analysis reads them (see `SceneSeries`)."""

    def __init__(self, reader: SceneReader) -> None:
        self.layer, self.version = reader.layer, reader.version
        self._reader = reader
        self.records = tuple(
            SceneRecord(
                item.id,
                item.time,
                item.platform,
                {n: SceneBand(a.nodata, a.scale, a.offset, a.unit) for n, a in item.assets.items()},
                item.properties,
            )
            for item in reader.items
        )
        self.refused = tuple((error.zh, error.en) for error in reader.refused)
        """Items of the collection that cannot be used: the reason in Chinese and English."""

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> NDArray[Any]:
        """See `SceneSeries.read`."""
        return self._reader.read(scene, band, row, col, height, width)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


def _area(grid: GeoBox) -> Any:
    import shapely

    box = grid.extent.boundingbox
    return shapely.box(box.left, box.bottom, box.right, box.top)


def load_rules(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Rule files by stem, and their SHA-256."""
    import yaml

    # The reader in Python takes a second for these files, the one in C a tenth of it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rules, digests = {}, {}
    for path in sorted(folder.glob("*.yml")):
        data = path.read_bytes()
        try:
            rules[path.stem] = yaml.load(data, Loader=loader)
        except yaml.YAMLError as error:
            raise LayerDefinitionInvalid(
                f"规则文件 {path.name} 不是合法的 YAML：{error}",
                f"rule file {path.name} is not valid YAML: {error}",
                file=path.name,
            ) from error
        digests[path.stem] = hashlib.sha256(data).hexdigest()
    return rules, digests
