"""Reading vector deliveries (矢量汇交): CRS, attributes, geometry and quality rules, to the form that the stores keep.

The form that the stores keep is made by `spatial.store.storage_frame`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spatial.catalog import Layer
from spatial.errors import SourceUnreadable
from spatial.store.storage_frame import storage_frame
from spatial.store.window import Window, read_window

if TYPE_CHECKING:
    import geopandas

__all__ = ["Window", "read_features", "read_window"]


def read_features(layer: Layer, path: Path, container_layer: str | None, *, window: Window) -> geopandas.GeoDataFrame:
    """Read a file into storage form.

    Parameters
    ----------
    layer : Layer
    path : Path
    container_layer : str or None
        Layer inside the container, such as a GeoPackage.
    window : Window
        Where the features must lie, unless the layer's quality rules say otherwise.

    Raises
    ------
    SourceUnreadable
        Missing layer, damaged file, unknown format.
    CRSMismatch
        No CRS in the file, or another than ``layer.crs``.
    LayerEmpty
        No features.
    QualityViolation
        A field is missing or of another type, a code is not in its domain, an id repeats, a geometry cannot be repaired,
        or the features lie outside the province.
    """
    return storage_frame(layer, _read(layer, path, container_layer), window=window)


def _read(layer: Layer, path: Path, container_layer: str | None) -> geopandas.GeoDataFrame:
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        return pyogrio.read_dataframe(path, layer=container_layer, fid_as_index=False)
    except (DataSourceError, DataLayerError, UnicodeDecodeError, ValueError) as error:
        raise SourceUnreadable(
            f"图层 {layer.id} 的源 {path.name} 无法读取：{error}",
            f"layer {layer.id}: source {path.name} cannot be read: {error}",
            layer=layer.id,
            file=path.name,
        ) from error
