"""What a run writes, aside: result rasters block by block, which become COGs at the end, and result features."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spatial.catalog import Attribute, Band, Text
from spatial.store.cog import assemble, creation_options
from spatial.store.tile_pyramid import BlockEncoder, EncodedBlock, TilePyramid

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["BlockOutputs", "WrittenFeatures", "WrittenRaster"]


@dataclass(frozen=True)
class WrittenRaster:
    """A finished result raster, still aside."""

    name: str
    bands: tuple[Band, ...]
    title: Text
    style: Mapping[str, Any]
    empty: Path
    """A raster without tiles that has the tags of this one."""
    tiles: TilePyramid

    def to_cog(self, target: Path) -> None:
        """Put the file together; the parts of it are removed."""
        assemble(target, self.tiles, self.empty)
        self.empty.unlink()
        self.tiles.path.unlink()


@dataclass(frozen=True)
class WrittenFeatures:
    """Result features, still in memory (see `Outputs.features`)."""

    name: str
    frame: geopandas.GeoDataFrame
    fields: tuple[Attribute, ...]
    title: Text
    style: Mapping[str, Any]
    kind: Literal["vector", "stations"] = "vector"
    time_field: str | None = None
    station_field: str | None = None
    id_field: str | None = None
    class_field: str | None = None

    def to_geopackage(self, target: Path) -> None:
        """Write the features as one layer of a GeoPackage, EPSG:4490."""
        self.frame.to_file(target, layer=self.name, driver="GPKG", engine="pyogrio")


def _named(frame: geopandas.GeoDataFrame, fields: tuple[Attribute, ...]) -> geopandas.GeoDataFrame:
    """The fields and a geometry column of the name ``geometry``."""
    found = frame[[*(field.name for field in fields), frame.geometry.name]]
    return found if found.geometry.name == "geometry" else found.rename_geometry("geometry")


class _BlockRaster:
    """One raster on the run's grid; cells never written are nodata (see `RasterOutput`)."""

    def __init__(self, described: WrittenRaster) -> None:
        self.described = described
        self._lock = threading.Lock()

    @property
    def encoder(self) -> BlockEncoder:
        """See `RasterOutput.encoder`."""
        return self.described.tiles.encoder

    def put(self, block: EncodedBlock, *, band: int = 1) -> None:
        """See `RasterOutput.put`."""
        with self._lock:
            self.described.tiles.put(block, band)

    def write(self, row: int, col: int, values: NDArray[Any], *, band: int = 1) -> None:
        """Write a block whose first cell is (row, col); NaN becomes nodata."""
        self.put(self.encoder(row, col, values), band=band)


class BlockOutputs:
    """Where an analysis puts its rasters (see `Outputs`): encoded tiles in the scratch folder of the run."""

    def __init__(self, grid: GeoBox, scratch: Path) -> None:
        self._grid = grid
        self._scratch = scratch
        self._open: dict[str, _BlockRaster] = {}
        self.written_features: list[WrittenFeatures] = []

    def raster(
        self, name: str, *, bands: tuple[Band, ...], dtype: str, nodata: float, title: Text, style: Mapping[str, Any]
    ) -> _BlockRaster:
        """Open the raster `name` on the run's grid."""
        import rasterio

        if name in self._open:
            raise ValueError(f"raster {name!r} is open already")
        rows, cols = self._grid.shape.yx
        empty = self._scratch / f"{name}.empty.tif"
        profile = {"count": len(bands), "dtype": dtype, "nodata": nodata, "crs": "EPSG:4490", **creation_options()}
        with rasterio.open(empty, "w", height=rows, width=cols, transform=self._grid.affine, **profile) as dataset:
            for index, band in enumerate(bands, start=1):
                dataset.set_band_description(index, band.name)
                if band.unit:
                    dataset.set_band_unit(index, band.unit)
        # Overviews of classes hold the most frequent one, of values one of the cells.
        encoder = BlockEncoder((rows, cols), dtype, nodata, any(band.domain for band in bands))
        tiles = TilePyramid(self._scratch / f"{name}.tiles", encoder, len(bands))
        self._open[name] = _BlockRaster(WrittenRaster(name, bands, title, dict(style), empty, tiles))
        return self._open[name]

    def features(
        self,
        name: str,
        frame: geopandas.GeoDataFrame,
        *,
        fields: tuple[Attribute, ...],
        title: Text,
        style: Mapping[str, Any],
        kind: Literal["vector", "stations"] = "vector",
        time_field: str | None = None,
        station_field: str | None = None,
        id_field: str | None = None,
        class_field: str | None = None,
    ) -> None:
        """See `Outputs.features`."""
        if name in self._open or any(name == known.name for known in self.written_features):
            raise ValueError(f"result {name!r} is there already")
        lacking = [field.name for field in fields if field.name not in frame.columns]
        if lacking or frame.crs is None or frame.crs.to_epsg() != 4490:
            raise ValueError(f"features {name!r}: CRS {frame.crs}, missing fields {lacking}")
        self.written_features.append(
            WrittenFeatures(
                name,
                _named(frame, fields),
                fields,
                title,
                dict(style),
                kind,
                time_field,
                station_field,
                id_field,
                class_field,
            )
        )

    def close(self) -> list[WrittenRaster]:
        """Close every raster; they can be put together now."""
        for raster in self._open.values():
            raster.described.tiles.close()
        return [raster.described for raster in self._open.values()]
