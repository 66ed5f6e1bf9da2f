"""Writers of the file formats (文件写出): each reads record batches one by one and leaves one file.

The work is done by GDAL (pyogrio) and Arrow. What they leave open is decided here: x stands first and the CRS is declared
(CRS84 as EPSG:4326, which every GIS knows and which in a file is the same order), a file says what it is and whether it
is synthetic, and what a Shapefile cannot hold is told in a note beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.crs import ServedCRS
from spatial.errors import InvalidParameter
from spatial.ogc.formats.table import FeatureTable, geometries

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["WRITERS", "Written", "describe", "file_crs"]

Batches = Iterable["pa.RecordBatch"]
SYNTHETIC = ("合成示例数据，不是真实管控成果", "synthetic sample, not real data")
"""Mark of made-up data inside every file that can hold a text."""


@dataclass(slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : Path
    cut : dict of str to int
        Field → number of texts that the format could not hold whole.
    """

    path: Path
    cut: dict[str, int] = field(default_factory=dict)


def file_crs(crs: ServedCRS) -> str:
    """CRS that a file declares; in files x is always first, so CRS84 and EPSG:4326 are one.

    >>> from spatial.crs import CRS84
    >>> file_crs(CRS84)
    'EPSG:4326'
    """
    return f"EPSG:{crs.srid}"


def describe(content: FeatureTable) -> dict[str, Any]:
    """What a file says about itself: layer, version, title, source, licence, and the mark of synthetic data."""
    layer = content.table.layer
    title = layer.display_title()
    found: dict[str, Any] = {
        "layer": layer.id,
        "version": content.table.version,
        "title": f"{title.zh} / {title.en}",
        "description": f"{layer.description.zh} / {layer.description.en}",
        "attribution": f"{layer.source.attribution.zh} / {layer.source.attribution.en}",
        "licence": layer.source.licence,
        "synthetic": layer.synthetic is not None,
    }
    if layer.synthetic is not None:
        found["mark"] = " / ".join(SYNTHETIC)
        found["recipe"] = f"{layer.synthetic.recipe.zh} / {layer.synthetic.recipe.en}"
    return found


def _summary(content: FeatureTable) -> str:
    """The same as one text."""
    about = describe(content)
    parts = [about["mark"]] if "mark" in about else []
    parts += [about["description"], f"版本 version {about['version']}", about["attribution"], about["licence"]]
    return "; ".join(parts)


def _write_gdal(content: FeatureTable, batches: Batches, path: Path, driver: str, **options: Any) -> None:
    import pyarrow as pa
    import pyogrio

    schema = options.pop("schema", None) or content.schema()
    geometry: dict[str, Any] = {}
    if content.with_geometry:
        kind = content.table.geometry_type
        geometry = {
            "geometry_name": content.geometry_column,
            "geometry_type": "Unknown" if kind == "Geometry" else kind,
            "crs": file_crs(content.crs),
        }
    reader = pa.RecordBatchReader.from_batches(schema, iter(batches))
    pyogrio.write_arrow(reader, path, layer=content.table.layer.id, driver=driver, **geometry, **options)


def _geopackage(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    path = folder / "features.gpkg"
    about = describe(content)
    options = {"IDENTIFIER": about["title"], "DESCRIPTION": _summary(content), "FID": content.id_column}
    if content.with_geometry:
        options["GEOMETRY_NAME"] = content.free_name("geom", "geometry", "feature geometry")
    # 1.2 is what desktop programs of the last years read without a warning.
    _write_gdal(content, batches, path, "GPKG", dataset_options={"VERSION": "1.2"}, layer_options=options)
    return Written(path)


def _flatgeobuf(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    if not content.with_geometry:
        raise InvalidParameter(
            "FlatGeobuf 必须含几何；请去掉 skipGeometry 或改用 f=csv、gpkg、parquet",
            "FlatGeobuf needs geometries; leave skipGeometry out or use f=csv, gpkg or parquet",
            parameter="skipGeometry",
        )
    path = folder / "features.fgb"
    options = {
        "TITLE": describe(content)["title"],
        "DESCRIPTION": _summary(content),
        "SPATIAL_INDEX": "YES" if content.with_index else "NO",
        "TEMPORARY_DIR": str(folder),
    }
    _write_gdal(content, batches, path, "FlatGeobuf", layer_options=options)
    return Written(path)


def _csv(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    import pyarrow as pa
    import pyarrow.csv
    import shapely

    path = folder / "features.csv"
    schema = content.schema()
    plain = [
        schema.field(name) for name in schema.names if name != content.geometry_column or not content.with_geometry
    ]
    plain = [pa.field(f.name, pa.string()) if pa.types.is_timestamp(f.type) else f for f in plain]
    if content.with_geometry and content.is_point:
        x, y = ("easting", "northing") if content.crs.projected else ("longitude", "latitude")
        plain += [pa.field(content.free_name(name, f"{name}_"), pa.float64()) for name in (x, y)]
    elif content.with_geometry:
        plain.append(pa.field(content.free_name("wkt", "geometry_wkt"), pa.string()))
    written = pa.schema(plain)
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")  # without it Excel reads Chinese as the local code page
        with pyarrow.csv.CSVWriter(file, written) as writer:
            for batch in batches:
                columns = [
                    _iso(batch.column(f.name)) if pa.types.is_timestamp(f.type) else batch.column(f.name)
                    for f in schema
                    if not (content.with_geometry and f.name == content.geometry_column)
                ]
                if content.with_geometry:
                    found = geometries(batch, content.geometry_column)
                    if content.is_point:
                        columns += [pa.array(v(found), from_pandas=True) for v in (shapely.get_x, shapely.get_y)]
                    else:
                        texts = shapely.to_wkt(found, rounding_precision=content.crs.digits, trim=True)
                        columns.append(pa.array(texts, pa.string()))
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=written))
    return Written(path)


def _iso(times: pa.Array) -> pa.Array:
    """Datetimes as RFC 3339 texts in UTC, fraction without trailing zeros."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.strftime(times, "%Y-%m-%dT%H:%M:%S")  # the seconds have six decimals
    return pc.binary_join_element_wise(pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), pa.scalar("Z"), "")


def _projjson(crs: ServedCRS) -> Any:
    from pyproj import CRS

    return json.loads((CRS.from_user_input("OGC:CRS84") if crs.name == "CRS84" else CRS.from_epsg(crs.srid)).to_json())


def _parquet(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    import pyarrow.parquet
    import shapely

    path = folder / "features.parquet"
    kinds: set[str] = set()
    bounds: list[float] | None = None
    with pyarrow.parquet.ParquetWriter(path, content.schema(), compression="snappy") as writer:
        for batch in batches:
            writer.write_batch(batch)
            if content.with_geometry:
                found = geometries(batch, content.geometry_column)
                found = found[~shapely.is_missing(found)]
                kinds |= {geometry.geom_type for geometry in found}
                if len(found):
                    west, south, east, north = map(float, shapely.total_bounds(found))
                    old = bounds or [west, south, east, north]
                    bounds = [min(old[0], west), min(old[1], south), max(old[2], east), max(old[3], north)]
        added = {"onemap": json.dumps(describe(content), ensure_ascii=False)}
        if content.with_geometry:
            column: dict[str, Any] = {"encoding": "WKB", "geometry_types": sorted(kinds), "crs": _projjson(content.crs)}
            if bounds is not None:
                column["bbox"] = bounds
            geo = {
                "version": "1.1.0",
                "primary_column": content.geometry_column,
                "columns": {content.geometry_column: column},
            }
            added["geo"] = json.dumps(geo)
        writer.add_key_value_metadata(added)
    return Written(path)


def _arrow(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    import pyarrow as pa

    path = folder / "features.arrows"
    schema = content.schema()
    if content.with_geometry:
        extension = {
            "ARROW:extension:name": "geoarrow.wkb",
            "ARROW:extension:metadata": json.dumps({"crs": _projjson(content.crs), "crs_type": "projjson"}),
        }
        place = schema.get_field_index(content.geometry_column)
        schema = schema.set(place, schema.field(place).with_metadata(extension))
    schema = schema.with_metadata({"onemap": json.dumps(describe(content), ensure_ascii=False)})
    with pa.ipc.new_stream(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema) if batch.schema != schema else batch.replace_schema_metadata(None))
    return Written(path)


def _shapefile(content: FeatureTable, batches: Batches, folder: Path) -> Written:
    from spatial.ogc.formats.shapefile import write_shapefile

    return write_shapefile(content, batches, folder, _write_gdal)


WRITERS: dict[str, Callable[[FeatureTable, Batches, Path], Written]] = {
    "gpkg": _geopackage,
    "fgb": _flatgeobuf,
    "shp": _shapefile,
    "csv": _csv,
    "parquet": _parquet,
    "arrow": _arrow,
}
"""By format; each writes into the folder given and tells the path of the one file that is sent."""
