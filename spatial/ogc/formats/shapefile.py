"""Shapefile as a zip (UTF-8), with a note that says what the format could not hold.

A DBF table has field names of at most ten bytes, texts of at most 254 bytes, no time of day and no truth values; a
Shapefile has one geometry type. Names are shortened and texts cut here, where it can be counted and told.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter
from spatial.ogc.formats.table import FeatureTable

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial.ogc.formats.writers import Written

__all__ = ["short_names", "write_shapefile"]

NAME_BYTES, TEXT_BYTES = 10, 254
NOTE = "README.txt"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names of at most ten bytes, all different whatever their case; a name that fits stays.

    >>> short_names(["fid", "population", "population_2020", "population_2021"])
    {'fid': 'fid', 'population': 'population', 'population_2020': 'populati_1', 'population_2021': 'populati_2'}
    """
    found = {name: name for name in names if len(name.encode()) <= NAME_BYTES and name.isascii()}
    taken = {name.lower() for name in found.values()}
    for name in names:
        if name in found:
            continue
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
        number = 0
        short = plain[:NAME_BYTES]
        while short.lower() in taken:
            number += 1
            short = f"{plain[: NAME_BYTES - 1 - len(str(number))]}_{number}"
        found[name] = short
        taken.add(short.lower())
    return {name: found[name] for name in names}


def _cut(text: str | None) -> str | None:
    """Text of at most 254 bytes in UTF-8, never in the middle of a character."""
    if text is None or len(text) * 4 <= TEXT_BYTES:
        return text
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[:TEXT_BYTES].decode(errors="ignore")


def write_shapefile(
    content: FeatureTable,
    batches: Iterable[pa.RecordBatch],
    folder: Path,
    write_gdal: Callable[..., None],
) -> Written:
    """Write the parts, the note, and the zip of both."""
    import pyarrow as pa

    from spatial.ogc.formats.writers import Written, _iso

    layer = content.table.layer
    if content.with_geometry and content.table.geometry_type == "Geometry":
        raise InvalidParameter(
            f"图层 {layer.id} 含多种几何类型，Shapefile 只能存一种；请用 f=gpkg",
            f"layer {layer.id} has several geometry types, a Shapefile holds one; use f=gpkg",
            layer=layer.id,
            parameter="f",
        )
    source = content.schema()
    names = short_names([name for name in source.names if name != content.geometry_column or not content.with_geometry])
    cut: dict[str, int] = {}
    types = {pa.bool_(): pa.int16(), pa.timestamp("us", tz="UTC"): pa.string()}
    target = pa.schema([pa.field(names.get(f.name, f.name), types.get(f.type, f.type)) for f in source])

    def fitted() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = []
            for column, old in zip(batch.columns, source, strict=True):
                if pa.types.is_string(old.type):
                    texts = column.to_pylist()
                    short = [_cut(text) for text in texts]
                    changed = sum(a != b for a, b in zip(texts, short, strict=True))
                    if changed:
                        cut[old.name] = cut.get(old.name, 0) + changed
                    column = pa.array(short, pa.string())
                elif pa.types.is_boolean(old.type):
                    column = column.cast(pa.int8()).cast(pa.int16())
                elif pa.types.is_timestamp(old.type):
                    column = _iso(column)
                columns.append(column)
            yield pa.RecordBatch.from_arrays(columns, schema=target)

    parts = folder / "parts"
    parts.mkdir()
    # Without geometries GDAL writes the table alone.
    path = parts / (f"{layer.id}.shp" if content.with_geometry else f"{layer.id}.dbf")
    write_gdal(content, fitted(), path, "ESRI Shapefile", schema=target, encoding="UTF-8")
    (parts / NOTE).write_text(_note(content, names, cut), "utf-8-sig")
    whole = folder / "features.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for part in sorted(parts.iterdir()):
            archive.write(part, part.name)
    return Written(whole, cut)


def _note(content: FeatureTable, names: dict[str, str], cut: dict[str, int]) -> str:
    from spatial.ogc.formats.writers import describe, file_crs

    about: dict[str, Any] = describe(content)
    lines = [about["title"]]
    lines += [about[key] for key in ("mark", "recipe") if key in about]
    lines += [
        about["description"],
        f"版本 / version: {about['version']}",
        f"来源 / source: {about['attribution']}; {about['licence']}",
        f"坐标系 / CRS: {file_crs(content.crs)}（x 在前 / x first）",
        "编码 / encoding: UTF-8",
        "",
        "字段 / fields（Shapefile 名 = 原名）:",
    ]
    fields = {f.name: f for f in content.fields}
    for name, short in names.items():
        known = fields.get(name)
        title = "要素编号 / feature id" if known is None else f"{known.title.zh} / {known.title.en}"
        unit = f" [{known.unit}]" if known is not None and known.unit else ""
        lines.append(f"  {short} = {name}: {title}{unit}")
    lines += [
        "",
        "是否型为 1/0，时间为 UTC 文本，小数保留 15 位；需要完整内容请用 f=gpkg。",
        "Truth values are 1/0, times are UTC texts, numbers have 15 decimals; f=gpkg holds everything.",
    ]
    for name, count in cut.items():
        lines.append(
            f"注意：字段 {name} 有 {count} 个值超过 {TEXT_BYTES} 字节，已截短 / "
            f"{count} values of {name} are longer than {TEXT_BYTES} bytes and were cut"
        )
    return "\r\n".join(lines) + "\r\n"
