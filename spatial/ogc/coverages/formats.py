"""Files of coverages (覆盖数据文件): GeoTIFF, COG, NetCDF (CF-1.8), written strip by strip and removed from the folder at once.

A file is opened and its name removed before the first byte is sent, so nothing stays behind, whatever the client does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from spatial.catalog import Layer
from spatial.ogc import coverage_json
from spatial.ogc.coverage_json import COVJSON
from spatial.ogc.data_formats import DataFormat
from spatial.store.coverage import decode, packing, read_grid, read_strips
from spatial.store.coverage_grid import CoverageGrid

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["FORMATS", "GEOTIFF", "NETCDF", "pieces", "to_coverage_json", "write_geotiff", "write_netcdf"]

GEOTIFF = "image/tiff; application=geotiff"
NETCDF = "application/x-netcdf"
_PIECE = 256 * 1024
FORMATS = (
    DataFormat("GeoTIFF", GEOTIFF, ("tif", "tiff")),
    DataFormat("COG", GEOTIFF, ("cloud-optimized",)),
    DataFormat("NetCDF", NETCDF, ("nc", "netcdf4", "application/netcdf")),
    DataFormat(
        "CoverageJSON",
        COVJSON,
        ("covjson", "json", "application/json", "application/vnd.cov+json"),
    ),
)


@contextmanager
def _aside(folder: Path, suffix: str) -> Iterator[Path]:
    """A name of its own for a file that is gone after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="coverage-", suffix=suffix, dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Bytes of an open file; it is closed at the end."""
    with file:
        while piece := file.read(_PIECE):
            yield piece


def write_geotiff(grid: CoverageGrid, folder: Path, *, cog: bool) -> BinaryIO:
    """An answer as GeoTIFF (or COG) with names, units, scale, offset and nodata of its bands; an open file without a name."""
    import rasterio
    from rasterio.shutil import copy

    layer = grid.raster.layer
    floating = grid.raster.dtype.startswith("float")
    tiled = grid.width >= 256 and grid.height >= 256
    profile = {
        "driver": "GTiff",
        "width": grid.width,
        "height": grid.height,
        "count": len(grid.bands),
        "dtype": grid.raster.dtype,
        "nodata": grid.raster.nodata,
        "crs": f"EPSG:{grid.crs.srid}",
        "transform": grid.affine,
        "compress": "DEFLATE",
        "zlevel": 4,
        "predictor": 3 if floating else 2,
        "interleave": "band",
        "photometric": "minisblack",
        "bigtiff": "IF_SAFER",
        **({"tiled": True, "blockxsize": 256, "blockysize": 256} if tiled else {}),
    }
    packed = packing(grid.raster)
    with _aside(folder, ".tif") as path:
        with rasterio.open(path, "w", **profile) as target:
            for place, band in enumerate(grid.bands, start=1):
                target.set_band_description(place, layer.bands[band].name)
                target.set_band_unit(place, layer.bands[band].unit or "")
            if any(not packed[band].is_plain for band in grid.bands):
                target.scales = [packed[band].scale for band in grid.bands]
                target.offsets = [packed[band].offset for band in grid.bands]
            target.update_tags(**_texts(layer), AREA_OR_POINT="Area")
            for first, strip in read_strips(grid):
                window = rasterio.windows.Window(0, first, grid.width, strip.shape[1])
                target.write(strip, window=window)
        if not cog:
            return path.open("rb")
        with _aside(folder, ".cog.tif") as final:
            classes = any(layer.bands[band].domain for band in grid.bands)
            copy(path, final, driver="COG", compress="DEFLATE", overview_resampling="MODE" if classes else "AVERAGE")
            return final.open("rb")


def _texts(layer: Layer) -> dict[str, str]:
    title = layer.display_title()
    return {
        "TITLE": f"{title.zh} / {title.en}",
        "COPYRIGHT": f"{layer.source.attribution.zh} / {layer.source.attribution.en}",
        "LICENCE": layer.source.licence,
        "VERSION": layer.source.version,
    }


def _pyproj(grid: CoverageGrid) -> CRS:
    from pyproj import CRS

    return CRS.from_epsg(grid.crs.srid)


def write_netcdf(grid: CoverageGrid, folder: Path) -> BinaryIO:
    """An answer as NetCDF-4 by CF-1.8: 1-D coordinates, grid mapping ``crs``, units, ``_FillValue``; an open file without a name.

    Source: CF Conventions 1.8, §4 (coordinates), §5.6 (grid mapping), §8.1 (packing).
    """
    import h5netcdf
    import numpy as np

    layer, packed = grid.raster.layer, packing(grid.raster)
    names = ("x", "y") if grid.crs.projected else ("lon", "lat")
    bands = {band: _variable(layer.bands[band].name, names) for band in grid.bands}
    with _aside(folder, ".nc") as path:
        with h5netcdf.File(path, "w") as file:
            texts = _texts(layer)
            file.attrs.update(
                {
                    "Conventions": "CF-1.8",
                    "title": texts["TITLE"],
                    "institution": texts["COPYRIGHT"],
                    "license": texts["LICENCE"],
                    "source": f"{layer.id} {grid.raster.version}",
                }
            )
            file.dimensions = {names[1]: grid.height, names[0]: grid.width}
            for name, values, attributes in (
                (names[1], grid.y(), _axis_attributes(grid, "y")),
                (names[0], grid.x(), _axis_attributes(grid, "x")),
            ):
                axis = file.create_variable(name, (name,), dtype="f8", data=values)
                axis.attrs.update(attributes)
            mapping = file.create_variable("crs", (), dtype="i4", data=np.int32(0))
            known = {k: v for k, v in _pyproj(grid).to_cf().items() if isinstance(v, str | float | int) and v != ""}
            # GDAL reads spatial_ref and GeoTransform, others crs_wkt and the coordinates.
            a = grid.affine
            known |= {"spatial_ref": known["crs_wkt"], "GeoTransform": f"{a.c!r} {a.a!r} 0 {a.f!r} 0 {a.e!r}"}
            mapping.attrs.update(known)
            chunk = (min(grid.height, 256), min(grid.width, 256))
            fill = np.asarray(grid.raster.nodata).astype(grid.raster.dtype)[()]
            for band, name in bands.items():
                variable = file.create_variable(
                    name,
                    (names[1], names[0]),
                    dtype=grid.raster.dtype,
                    fillvalue=fill,
                    chunks=chunk,
                    compression="gzip",
                    compression_opts=4,
                    shuffle=True,
                )
                variable.attrs.update(_band_attributes(layer, band))
                if not packed[band].is_plain:
                    variable.attrs["scale_factor"] = packed[band].scale
                    variable.attrs["add_offset"] = packed[band].offset
            for first, strip in read_strips(grid):
                for place, name in enumerate(bands.values()):
                    file.variables[name][first : first + strip.shape[1], :] = strip[place]
        return path.open("rb")


def _variable(name: str, taken: tuple[str, str]) -> str:
    """A CF name: letters, digits and underscores, not that of an axis."""
    clean = name.replace("-", "_")
    return f"{clean}_value" if clean in {*taken, "crs"} else clean


def _axis_attributes(grid: CoverageGrid, axis: str) -> dict[str, str]:
    if grid.crs.projected:
        return {
            "standard_name": f"projection_{axis}_coordinate",
            "long_name": "Easting" if axis == "x" else "Northing",
            "units": "m",
            "axis": axis.upper(),
        }
    if axis == "x":
        return {"standard_name": "longitude", "long_name": "Longitude", "units": "degrees_east", "axis": "X"}
    return {"standard_name": "latitude", "long_name": "Latitude", "units": "degrees_north", "axis": "Y"}


def _band_attributes(layer: Layer, index: int) -> dict[str, Any]:
    import numpy as np

    band = layer.bands[index]
    found: dict[str, Any] = {"long_name": f"{band.title.zh} / {band.title.en}", "grid_mapping": "crs"}
    if band.domain:
        found["flag_values"] = np.array(sorted(band.domain), dtype="i4")
        found["flag_meanings"] = " ".join(
            "_".join(band.domain[code].en.replace(",", " ").split()) for code in sorted(band.domain)
        )
    else:
        found["units"] = coverage_json.ucum(band.unit) if band.unit else "1"
    return found


def to_coverage_json(grid: CoverageGrid, identify: str) -> bytes:
    """An answer as CoverageJSON; `identify` is the address of the schema that names the bands."""
    layer, packed = grid.raster.layer, packing(grid.raster)
    stored = read_grid(grid)
    parameters: dict[str, Any] = {}
    ranges: dict[str, Any] = {}
    for place, index in enumerate(grid.bands):
        band = layer.bands[index]
        parameters[band.name] = coverage_json.parameter(band, f"{identify}#{band.name}")
        values = decode(stored[place], grid.raster.nodata, packed[index])
        ranges[band.name] = coverage_json.nd_array(values, ("y", "x"))
    domain = coverage_json.grid_domain(grid)
    return coverage_json.dump(
        coverage_json.coverage(domain, parameters, ranges, identifier=layer.id, title=layer.display_title())
    )
