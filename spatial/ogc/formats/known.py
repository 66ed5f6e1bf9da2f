"""File formats (文件格式) of the features: names, media types and file endings; who asks for which one.

GeoJSON and HTML are answers of the address itself; the formats here are files. In a file x stands first (longitude,
easting) whatever the CRS: that is the rule of every one of these formats, and their CRS is declared inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spatial.catalog import Text

__all__ = ["FILE_FORMATS", "FileFormat", "FileFormatName", "file_media_types", "possible_formats"]

FileFormatName = Literal["gpkg", "fgb", "shp", "csv", "parquet", "arrow"]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One file format.

    Attributes
    ----------
    name : str
        Value of ``f``.
    media_types : tuple of str
        The one that is sent first, then what clients also write in ``Accept``.
    ending : str
        File ending without the dot.
    title : Text
    """

    name: FileFormatName
    media_types: tuple[str, ...]
    ending: str
    title: Text

    @property
    def media_type(self) -> str:
        """Media type of the answer."""
        return self.media_types[0]


def _format(name: FileFormatName, media_types: tuple[str, ...], ending: str, zh: str, en: str) -> FileFormat:
    return FileFormat(name, media_types, ending, Text(zh=zh, en=en))


FILE_FORMATS: Mapping[str, FileFormat] = {
    found.name: found
    for found in (
        _format(
            "gpkg",
            ("application/geopackage+sqlite3", "application/vnd.opengeospatial.geopackage+sqlite3"),
            "gpkg",
            "GeoPackage 文件",
            "GeoPackage file",
        ),
        _format(
            "fgb",
            ("application/flatgeobuf", "application/vnd.flatgeobuf", "application/x-flatgeobuf"),
            "fgb",
            "FlatGeobuf 文件",
            "FlatGeobuf file",
        ),
        _format(
            "shp",
            ("application/zip", "application/x-zip-compressed", "application/x-shapefile", "application/vnd.shp"),
            "zip",
            "Shapefile（zip，UTF-8）",
            "Shapefile (zip, UTF-8)",
        ),
        _format("csv", ("text/csv",), "csv", "CSV 表格（UTF-8）", "CSV table (UTF-8)"),
        _format(
            "parquet",
            ("application/vnd.apache.parquet", "application/x-parquet", "application/parquet"),
            "parquet",
            "GeoParquet 文件",
            "GeoParquet file",
        ),
        _format(
            "arrow",
            ("application/vnd.apache.arrow.stream",),
            "arrows",
            "Arrow 流（GeoArrow）",
            "Arrow stream (GeoArrow)",
        ),
    )
}
"""By the value of ``f``, in the order in which links name them."""


def file_media_types() -> dict[str, FileFormatName]:
    """Media type → name of the format."""
    return {kind: found.name for found in FILE_FORMATS.values() for kind in found.media_types}


def possible_formats(geometry_type: str, *, with_geometry: bool = True) -> list[FileFormat]:
    """Formats that can hold features of a geometry type.

    A Shapefile holds one type only; a FlatGeobuf holds nothing without geometries.

    >>> [f.name for f in possible_formats("Geometry")]
    ['gpkg', 'fgb', 'csv', 'parquet', 'arrow']
    """
    left_out = set()
    if with_geometry and geometry_type == "Geometry":
        left_out.add("shp")
    if not with_geometry:
        left_out.add("fgb")
    return [found for found in FILE_FORMATS.values() if found.name not in left_out]
