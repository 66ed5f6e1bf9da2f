"""Training samples (训练样本): labelled polygons → cells, each cell with its class and its polygon as the group.

Cells of one polygon resemble each other. Who lets some of them train and others test measures memory, not skill; the
group travels with every cell so that this cannot happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import CRSMismatch, LayerEmpty, QualityViolation

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.landcover.features import FeatureStack

__all__ = ["Samples", "TrainingCells", "labels", "labels_of", "on_grid", "read_samples", "thinned", "training_cells"]


@dataclass(frozen=True)
class TrainingCells:
    """Cells of a grid under labelled polygons, in order of polygon, row, column.

    Attributes
    ----------
    row, col : int64 (n,)
        On the run's grid; may lie outside of it.
    label : int64 (n,)
    group : int64 (n,)
        Position of the polygon in the layer.
    conflicts : int
        Cells left out because polygons of different classes overlap there.
    """

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    conflicts: int


@dataclass(frozen=True)
class Samples:
    """Training table.

    Attributes
    ----------
    x : float32 (n, features)
    y : int64 (n,)
        Class codes.
    group : int64 (n,)
        Polygon of each row.
    dropped : int
        Cells left out because they have no data (partly or wholly, by what the classifier can take).
    conflicts : int
        Cells left out because polygons of different classes overlap there.
    lost : tuple of int
        Classes none of whose cells have data.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    group: NDArray[np.int64]
    dropped: int = 0
    conflicts: int = 0
    lost: tuple[int, ...] = ()

    @property
    def classes(self) -> tuple[int, ...]:
        """Class codes, ascending."""
        return tuple(int(c) for c in np.unique(self.y))

    def polygons(self, code: int) -> int:
        """Number of polygons of a class."""
        return int(np.unique(self.group[self.y == code]).size)

    @property
    def single(self) -> tuple[int, ...]:
        """Classes with one polygon only: what is learnt of them cannot be tested (不可学习)."""
        return tuple(c for c in self.classes if self.polygons(c) < 2)

    def only(self, classes: tuple[int, ...]) -> Samples:
        """The samples of some classes."""
        return self.where(np.isin(self.y, classes))

    def valid(self, *, partial: bool) -> Samples:
        """Without cells that have no data; with `partial` those stay that have some features."""
        known = np.isfinite(self.x)
        keep = known.any(axis=1) if partial else known.all(axis=1)
        lost = tuple(c for c in self.classes if not keep[self.y == c].any())
        return replace(self.where(keep), dropped=self.dropped + int((~keep).sum()), lost=self.lost + lost)

    def where(self, keep: NDArray[np.bool_]) -> Samples:
        """The samples where `keep` is True."""
        return replace(self, x=self.x[keep], y=self.y[keep], group=self.group[keep])


def on_grid(frame: geopandas.GeoDataFrame, grid: GeoBox, *, layer: str) -> geopandas.GeoDataFrame:
    """The features in the CRS of the grid, reprojected if need be.

    Raises
    ------
    CRSMismatch
        If the layer or the grid declares no CRS.
    """
    if frame.crs is None or grid.crs is None:
        raise CRSMismatch(
            f"样本图层 {layer} 没有坐标系，无法与影像对齐，请声明坐标系",
            f"sample layer {layer} has no CRS and cannot be laid on the scene; declare it",
            layer=layer,
        )
    target = grid.crs.to_wkt()
    return frame if frame.crs == target else frame.to_crs(target)


def labels(values: Any, mapping: Mapping[str, int], known: Mapping[int, Any], *, layer: str) -> NDArray[np.int64]:
    """Class codes of the scheme from what a sample layer says.

    Parameters
    ----------
    values : sequence
        Codes or names.
    mapping : mapping of str to int
        What the layer says → code; empty: the layer holds the codes themselves.
    known : mapping
        The codes of the scheme.

    Raises
    ------
    QualityViolation
        For a missing or unknown label, naming it.

    Examples
    --------
    >>> labels(["rice", "lake"], {"rice": 1, "lake": 10}, {1: "", 10: ""}, layer="s").tolist()
    [1, 10]
    >>> labels([1.0, 10.0], {}, {1: "", 10: ""}, layer="s").tolist()
    [1, 10]
    """

    def text(value: Any) -> str:
        # A column with gaps comes as float: 1.0 is the code 1.
        return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)

    named = [text(v) for v in values]
    table = dict(mapping) or {str(code): code for code in known}
    wrong = sorted({name for name in named if table.get(name) not in known})
    if wrong:
        raise QualityViolation(
            f"样本图层 {layer} 的类别 {wrong[:10]} 不在分类体系中，请用 class_mapping 对应到编码 {sorted(known)}",
            f"sample layer {layer}: class {wrong[:10]} is not of the scheme; map it to a code of {sorted(known)} by "
            "class_mapping",
            layer=layer,
            classes=wrong[:10],
        )
    return np.array([table[name] for name in named], dtype=np.int64)


def labels_of(
    frame: geopandas.GeoDataFrame, name: str, mapping: Mapping[str, int], known: Mapping[int, Any], *, layer: str
) -> NDArray[np.int64]:
    """`labels` of a field of a layer.

    Raises
    ------
    QualityViolation
        Also if the layer has no such field.
    """
    if name not in frame.columns:
        columns = [str(c) for c in frame.columns if c != frame.geometry.name]
        raise QualityViolation(
            f"样本图层 {layer} 没有字段 {name!r}，现有：{'、'.join(columns)}；请用参数指明类别字段",
            f"sample layer {layer} has no field {name!r}, only {', '.join(columns)}; name the field of the class",
            layer=layer,
            field=name,
        )
    return labels(frame[name].tolist(), mapping, known, layer=layer)


def training_cells(geometries: Any, codes: Any, grid: GeoBox, *, all_touched: bool = False) -> TrainingCells:
    """Cells under labelled geometries, whole layer, wherever the run's window is.

    A geometry that holds no cell centre (small polygon, point) takes the cells that it touches. A cell under geometries
    of different classes is left out; under several of one class it belongs to the first.

    Parameters
    ----------
    geometries : array of shapely geometries, CRS of the grid
    codes : integer array of the same length, class codes
    grid : GeoBox, north up
    all_touched : bool
        Every cell that a geometry touches, not only those whose centre lies inside: more cells, but mixed ones.

    Examples
    --------
    >>> import shapely
    >>> from odc.geo.geobox import GeoBox
    >>> grid = GeoBox.from_bbox((0, 0, 4, 4), crs="EPSG:4490", resolution=1.0)
    >>> found = training_cells([shapely.box(0, 2, 2, 4), shapely.Point(3.2, 0.2)], [1, 2], grid)
    >>> list(zip(found.row.tolist(), found.col.tolist(), found.label.tolist(), found.group.tolist()))
    [(0, 0, 1, 0), (0, 1, 1, 0), (1, 0, 1, 0), (1, 1, 1, 0), (3, 3, 2, 1)]
    """
    import shapely

    shapes, given = np.asarray(geometries, dtype=object), np.asarray(codes, dtype=np.int64)
    parts: list[NDArray[np.int64]] = []
    for k, shape in enumerate(shapes):
        if shape is None or shapely.is_empty(shape):
            continue
        cells = _cells_of(shape, grid, all_touched)
        parts.append(np.column_stack([cells, np.full(len(cells), given[k]), np.full(len(cells), k)]))
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return TrainingCells(empty, empty, empty, empty, 0)
    table = np.concatenate(parts).astype(np.int64)
    _, first, inverse = np.unique(table[:, :2], axis=0, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    own = table[first[inverse], 2]
    mixed = np.zeros(first.size, dtype=bool)
    np.logical_or.at(mixed, inverse, own != table[:, 2])
    keep = np.zeros(len(table), dtype=bool)
    keep[first[~mixed]] = True
    kept = table[keep]
    return TrainingCells(kept[:, 0], kept[:, 1], kept[:, 2], kept[:, 3], int(mixed.sum()))


def _cells_of(shape: Any, grid: GeoBox, all_touched: bool) -> NDArray[np.int64]:
    """Row and column of the cells of one geometry; int64 (n, 2), by row."""
    from affine import Affine
    from rasterio.features import rasterize

    a = grid.affine
    west, south, east, north = shape.bounds
    row0, row1 = int(np.floor((north - a.f) / a.e)) - 1, int(np.ceil((south - a.f) / a.e)) + 1
    col0, col1 = int(np.floor((west - a.c) / a.a)) - 1, int(np.ceil((east - a.c) / a.a)) + 1
    size = (max(row1 - row0, 1), max(col1 - col0, 1))
    transform = Affine(a.a, a.b, a.c + col0 * a.a, a.d, a.e, a.f + row0 * a.e)
    for touched in (all_touched, True):
        mask = rasterize([(shape, 1)], out_shape=size, transform=transform, all_touched=touched, dtype="uint8")
        if mask.any() or touched:
            break
    rows, cols = np.nonzero(mask)
    return np.column_stack([rows + row0, cols + col0]).astype(np.int64)


def read_samples(cells: TrainingCells, features: FeatureStack, *, partial: bool, layer: str) -> Samples:
    """Features of the training cells.

    Parameters
    ----------
    partial : bool
        Keep cells where some features have no data (a classifier that can take them); cells without any never stay.

    Raises
    ------
    LayerEmpty
        If no cell is left: no samples, or none on the scene.
    """
    x = np.full((cells.row.size, len(features.names)), np.nan, dtype=np.float32)
    for polygon in np.unique(cells.group):
        mine = np.flatnonzero(cells.group == polygon)
        row, col = cells.row[mine], cells.col[mine]
        top, left = int(row.min()), int(col.min())
        height, width = int(row.max()) - top + 1, int(col.max()) - left + 1
        values = features.read(top, left, height, width)
        x[mine] = values[(row - top) * width + (col - left)]
    found = Samples(x, cells.label, cells.group, conflicts=cells.conflicts).valid(partial=partial)
    if found.y.size == 0:
        raise LayerEmpty(
            f"样本图层 {layer} 在影像的有效范围内没有样本（共 {len(x)} 个像元）；请核对范围与坐标系",
            f"sample layer {layer} has no sample on valid data of the scene ({len(x)} cells in all); check extent and CRS",
            layer=layer,
        )
    return found


def thinned(samples: Samples, most: int, seed: int) -> Samples:
    """At most `most` cells of each class, drawn at random (seeded), order kept; every polygon keeps at least one.

    Examples
    --------
    >>> s = Samples(np.zeros((9, 1), np.float32), np.repeat([1, 2], [6, 3]), np.arange(9) // 3)
    >>> thinned(s, 3, 0).y.tolist()
    [1, 1, 1, 2, 2, 2]
    """
    keep = np.zeros(samples.y.size, dtype=bool)
    for code in samples.classes:
        mine = np.flatnonzero(samples.y == code)
        if mine.size <= most:
            keep[mine] = True
            continue
        # A generator of its own: more samples of one class must not change what is drawn of another.
        drawn = mine[np.random.default_rng([seed, code]).permutation(mine.size)]
        _, first = np.unique(samples.group[drawn], return_index=True)
        keep[drawn[first]] = True
        rest = np.delete(drawn, first)
        keep[rest[: max(most - first.size, 0)]] = True
    return samples.where(keep)
