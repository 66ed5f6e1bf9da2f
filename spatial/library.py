"""The verbs of the library: ``sp.catalog()``, ``sp.open_layer(…)``, ``sp.run(…)``. They work on this machine's data."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter, LayerNotPublished

if TYPE_CHECKING:
    import geopandas
    import xarray

    from spatial.catalog import Layer
    from spatial.jobs.contract import Progress
    from spatial.jobs.result import RunResult
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["CatalogView", "catalog", "open_layer", "open_scenes", "run"]

_lock = threading.Lock()
_stores: dict[Any, DataStore] = {}


def _store() -> DataStore:
    """One data store for each settings of this process (tests and notebooks change them)."""
    from spatial.settings import settings
    from spatial.store.datastore import DataStore

    chosen = settings()
    with _lock:
        key = (chosen.state_address, chosen.store, str(chosen.layers_dir))
        if key not in _stores:
            _stores[key] = DataStore.open(chosen)
        return _stores[key]


@dataclass(frozen=True)
class CatalogView(Mapping[str, "Layer"]):
    """The catalogue as a mapping from id to layer, with a readable form."""

    layers: Mapping[str, Layer]
    snapshot: Snapshot

    def __getitem__(self, layer_id: str) -> Layer:
        if layer_id not in self.layers:
            return self.snapshot.catalog[layer_id]  # names near ids in its error
        return self.layers[layer_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def search(self, text: str) -> CatalogView:
        """Layers whose id, title, description or keywords contain every word."""
        found = {layer.id: layer for layer in self.snapshot.catalog.search(text) if layer.id in self.layers}
        return CatalogView(found, self.snapshot)

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        rows: list[tuple[str, str, str, str, str]] = []
        for layer in self.layers.values():
            published = self.snapshot.published(layer.id)
            title = layer.display_title()
            rows.append((layer.id, title.zh, title.en, layer.kind, "—" if published is None else published.version))
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        width = max((len(r[0]) for r in rows), default=0)
        lines = [f"{r[0]:<{width}}  {r[3]:<8} {r[4]:<12} {r[1]} / {r[2]}" for r in rows]
        return "\n".join([f"<{len(rows)} layers>", *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{c}</th>" for c in ("id", "标题", "title", "kind", "version"))
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def catalog() -> CatalogView:
    """Every layer of the catalogue; ``catalog()["dem"]``, ``catalog().search("高程")``."""
    snapshot = _store().snapshot()
    return CatalogView(dict(snapshot.catalog.items()), snapshot)


def open_layer(
    layer_id: str,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    version: str | None = None,
) -> xarray.DataArray | geopandas.GeoDataFrame:
    """A published layer as ordinary data: rasters as `xarray.DataArray`, features as `geopandas.GeoDataFrame`.

    Parameters
    ----------
    layer_id : str
    bbox : west, south, east, north, optional
        Degrees (CRS84). Rasters: the cells that it touches; features: those that intersect it.
    crs : str, optional
        CRS of the result, for example ``EPSG:4547``; default EPSG:4490. Coordinates are x first.
    resolution : float, optional
        Cell size in units of `crs`; rasters only.
    version : str, optional
        Default: the current one.

    Returns
    -------
    xarray.DataArray or geopandas.GeoDataFrame
        ``attrs`` hold id, version, title, attribution and, for rasters, the unit.

    Raises
    ------
    LayerNotFound, VersionNotFound, LayerNotPublished, InvalidParameter, UnknownCRS
    """
    from spatial.crs import CRS84, bbox_polygon, parse_crs

    store = _store()
    snapshot = store.snapshot()
    layer = snapshot.catalog[layer_id]
    target = None if crs is None else parse_crs(crs)
    area = None if bbox is None else bbox_polygon(bbox, CRS84)
    if layer.is_vector:
        if resolution is not None:
            raise InvalidParameter(
                f"图层 {layer_id} 是矢量，没有 resolution",
                f"layer {layer_id} is a vector layer; it has no resolution",
                parameter="resolution",
                layer=layer_id,
            )
        from spatial.store.vector import ItemQuery

        table = snapshot.vector(layer_id, version)
        frame = store.vectors.frame(table, None if area is None else ItemQuery(limit=2**31 - 1, area=area))
        if target is not None and target.srid != 4490:
            frame = frame.to_crs(target.srid)
        frame.attrs.update(_attributes(layer, table.version))
        return frame
    if layer.kind != "raster":
        raise LayerNotPublished(
            f"图层 {layer_id} 的类型 {layer.kind} 尚不能读取",
            f"layer {layer_id}: kind {layer.kind} cannot be opened yet",
            layer=layer_id,
        )
    from spatial.jobs.arrays import open_cog

    raster = snapshot.raster(layer_id, version)
    array = open_cog(
        raster.path,
        name=layer_id,
        bbox=bbox,
        crs=None if target is None else f"EPSG:{target.srid}",
        resolution=resolution,
        categorical=any(band.domain for band in layer.bands),
    )
    units = {band.unit for band in layer.bands}
    array.attrs.update(_attributes(layer, raster.version))
    if len(units) == 1 and None not in units:
        array.attrs["units"] = units.pop()
    if array.ndim == 3:
        array = array.assign_coords(band=[band.name for band in layer.bands])
    return array


def open_scenes(
    collection: str,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    time: tuple[str, str] | None = None,
    bands: Sequence[str] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    scaled: bool = True,
) -> xarray.Dataset:
    """Scenes of a collection as a lazy cube (time, y, x), one variable a band; see `spatial.scenes.cube.open_cube`.

    Raises
    ------
    LayerNotFound
        Lists the collections that there are.
    InvalidParameter, LayerEmpty
    """
    from spatial.scenes.collection import open_collection
    from spatial.scenes.cube import open_cube
    from spatial.settings import settings

    found = open_collection(settings().scenes_dir, collection)
    return open_cube(found, bbox=bbox, time=time, bands=bands, crs=crs, resolution=resolution, scaled=scaled)


def _attributes(layer: Layer, version: str) -> dict[str, Any]:
    title = layer.display_title()
    return {
        "layer": layer.id,
        "version": version,
        "long_name": title.zh,
        "title": f"{title.zh} / {title.en}",
        "attribution": layer.source.attribution.zh,
        "synthetic": layer.synthetic is not None,
    }


def run(
    analysis: str,
    *,
    publish: bool = False,
    out: Any = None,
    report: bool | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> RunResult:
    """Run an analysis on this machine's data; the same run as ``onemap run`` and the OGC process.

    Parameters
    ----------
    analysis : str
        For example ``urban-suitability``; `parameters` are its own, by name.
    publish : bool
        Publish the result rasters as layers.
    out : path, optional
        File of the first result raster.
    report : bool, optional
        Write the report as Word and PDF (``result.documents``); default: if the analysis has one.
    progress : callable, optional
        Called with the share done (0–1) and a text.

    Raises
    ------
    ProcessNotFound, UnknownParameter, InvalidParameter, LayerNotFound, LayerNotPublished, DataError
    """
    from pathlib import Path

    from spatial.jobs.run import no_progress, run_analysis

    target = None if out is None else Path(out)
    said = progress or no_progress
    return run_analysis(_store(), analysis, parameters, publish=publish, out=target, report=report, progress=said)
