"""Scenes as a cube (影像立方体): an `xarray.Dataset` (time, y, x) loaded when it is needed, by odc-stac and Dask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter, LayerEmpty
from spatial.scenes.collection import SceneCollection, touching
from spatial.scenes.reading import grid_of

if TYPE_CHECKING:
    import xarray

__all__ = ["open_cube"]


def open_cube(
    collection: SceneCollection,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    time: tuple[str, str] | None = None,
    bands: Sequence[str] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    chunk: int = 1024,
    scaled: bool = True,
) -> xarray.Dataset:
    """A lazy cube of a collection.

    Parameters
    ----------
    bbox : west, south, east, north, optional
        Degrees (CRS84).
    time : (first, last), optional
        Dates or RFC 3339 times; a date means the whole day in UTC.
    bands : sequence of str, optional
        Common names; default every band that each scene has.
    crs, resolution : optional
        Target grid; default the grid of runs (EPSG:4490).
    chunk : int
        Side of a Dask chunk in cells; one scene a chunk.
    scaled : bool
        Reflectance = stored · scale + offset, NaN where there is no data. False gives the stored numbers.

    Returns
    -------
    xarray.Dataset
        One variable a band, dims (time, y, x), nearest cell; nothing is read before it is computed.

    Raises
    ------
    InvalidParameter
        A band that not every scene has, or a time that cannot be read.
    LayerEmpty
        No scene in the window and period.
    """
    import odc.stac
    import pyproj
    import pystac

    items = list(touching(collection.items, bbox or collection.bbox))
    if time is not None:
        first, last = _moment(time[0], last=False), _moment(time[1], last=True)
        items = [item for item in items if first <= item.time <= last]
    if not items:
        raise LayerEmpty(
            f"影像集 {collection.id} 在所给范围与时段内没有影像",
            f"collection {collection.id} has no scene in this window and period",
            layer=collection.id,
        )
    common = set.intersection(*(set(item.assets) for item in items))
    wanted = sorted(common) if bands is None else list(bands)
    missing = [name for name in wanted if name not in common]
    if missing:
        raise InvalidParameter(
            f"并非每景都有波段 {'、'.join(missing)}；共有：{'、'.join(sorted(common))}",
            f"not every scene has {', '.join(missing)}; all have {', '.join(sorted(common))}",
            parameter="bands",
            allowed=sorted(common),
        )
    found = [pystac.Item.from_dict(_absolute(item)) for item in items]
    grid: dict[str, Any] = {"geobox": grid_of(collection, bbox)}
    if crs is not None or resolution is not None:
        west, south, east, north = bbox or collection.bbox
        step = resolution if resolution is not None else (collection.cell_arcsec * 30.0)
        grid = {"crs": crs or "EPSG:4490", "resolution": step, "bbox": (west, south, east, north)}
        if resolution is None and (crs is None or pyproj.CRS(crs).is_geographic):
            grid["resolution"] = collection.cell_arcsec / 3600
    cube = odc.stac.load(
        found,
        bands=wanted,
        chunks={"x": chunk, "y": chunk},
        resampling="nearest",
        groupby="id",
        fail_on_error=True,
        **grid,
    )
    if not scaled:
        return cube
    first_item = items[0]
    for name in wanted:
        asset = first_item.assets[name]
        if any((item.assets[name].scale, item.assets[name].offset) != (asset.scale, asset.offset) for item in items):
            raise InvalidParameter(
                f"波段 {name} 各景的缩放或偏移不同，请用 scaled=False 读取原值后逐景换算",
                f"band {name} has another scale or offset in some scene; read stored numbers with scaled=False",
                parameter="scaled",
            )
        if (asset.scale, asset.offset) != (1.0, 0.0):
            data = cube[name]
            values = data.astype("float32") * asset.scale + asset.offset
            cube[name] = (values if asset.nodata is None else values.where(data != asset.nodata)).assign_attrs(
                units=asset.unit or "1"
            )
    return cube


def _absolute(item: Any) -> dict[str, Any]:
    """The item with the bands under their common names, at absolute addresses."""
    document: dict[str, Any] = json.loads(item.path.read_text("utf-8"))
    document["links"] = []
    if not document.get("geometry"):
        west, south, east, north = item.bbox
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        document["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    document["assets"] = {
        name: {
            "href": str(asset.path),
            "type": "image/tiff; application=geotiff",
            "roles": ["data"],
            "raster:bands": [{"nodata": asset.nodata, **_dtype(document, name)}],
        }
        for name, asset in item.assets.items()
    }
    return document


def _dtype(document: dict[str, Any], name: str) -> dict[str, Any]:
    told = (document["assets"].get(name, {}).get("raster:bands") or [{}])[0].get("data_type")
    return {"data_type": told} if told else {}


def _moment(text: str, *, last: bool) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InvalidParameter(
            f"时间 {text!r} 应为 2024-07-01 或 2024-07-01T03:00:00Z",
            f"{text!r} is no time; write 2024-07-01 or 2024-07-01T03:00:00Z",
            parameter="time",
            value=text,
        ) from None
    if found.tzinfo is not None:
        return found
    if len(text) > 10:
        raise InvalidParameter(
            f"时间 {text!r} 没有时区", f"{text!r} has no time zone; write Z or +08:00", parameter="time", value=text
        )
    return found.replace(hour=23 if last else 0, minute=59 if last else 0, second=59 if last else 0, tzinfo=UTC)
