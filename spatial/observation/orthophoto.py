"""Orthophotos of drones (无人机正射影像): a delivered GeoTIFF, checked, becomes one dated version of a raster layer.

A layer is a place, a version is a flight. The picture is brought to EPSG:4490 (bilinear; a picture that is on such a grid
already keeps its pixels), three bands of 1–255 with 0 as nodata: a black pixel becomes 1, one step brighter, so that it
stays apart from no data. It is then a raster like any other: tiles, map, coverage, STAC item with time, gsd and platform.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import LAYER_ID, Band, Layer, Observed, Source, Synthetic, Text
from spatial.errors import CRSMismatch, InvalidParameter, LayerEmpty, PayloadTooLarge, QualityViolation
from spatial.observation.flights import show_flights
from spatial.observation.rules import read_observation_rules
from spatial.store.raster import PublishedRaster, open_raster
from spatial.store.window import read_window

if TYPE_CHECKING:
    from spatial.observation.rules import OrthophotoRule
    from spatial.store.datastore import DataStore

__all__ = ["Delivery", "Flight", "add_orthophoto", "read_delivery", "read_moment"]

_BLOCK = 1024
_CHANNELS = (("red", "红", "Red"), ("green", "绿", "Green"), ("blue", "蓝", "Blue"))
_ZONE = re.compile(r"(?:[Zz]|[+-]\d{2}:?\d{2})$")


@dataclass(frozen=True, slots=True)
class Flight:
    """What the caller says of a delivery.

    Attributes
    ----------
    time : datetime
        When the flight began, with its zone.
    title : Text or None
        Needed by the first flight of a layer; later ones keep it.
    nodata : int or None
        Value that means no data in every band, where the file declares none.
    """

    layer: str
    time: datetime
    platform: str
    title: Text | None = None
    sensor: str | None = None
    nodata: int | None = None
    licence: str = "internal use"
    attribution: Text | None = None
    synthetic: Synthetic | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a checked file is."""

    crs: str
    gsd_m: float
    bounds: tuple[float, float, float, float]
    """West, south, east, north, EPSG:4490."""
    width: int
    height: int
    margin: str
    """What says where the picture has no data: ``alpha``, ``nodata``, ``mask`` or ``none``."""


def read_moment(text: str | None, *, parameter: str = "date") -> datetime:
    """A moment with its zone.

    Raises
    ------
    InvalidParameter
        Nothing was given, no RFC 3339 time, or one without zone.

    Examples
    --------
    >>> read_moment("2026-03-05T10:00:00+08:00").isoformat()
    '2026-03-05T02:00:00+00:00'
    """
    if not text:
        raise InvalidParameter(
            f"缺少 {parameter}：请给出带时区的时间，如 2026-03-05T10:00:00+08:00",
            f"{parameter} is missing: give a time with its zone, such as 2026-03-05T10:00:00+08:00",
            parameter=parameter,
        )
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not _ZONE.search(text.strip()):
        why = ("不是 RFC 3339 时间", "is no RFC 3339 time") if found is None else ("没有时区", "has no zone")
        raise InvalidParameter(
            f"{parameter} {text[:40]!r} {why[0]}；请写成 2026-03-05T10:00:00+08:00",
            f"{parameter} {text[:40]!r} {why[1]}; write 2026-03-05T10:00:00+08:00",
            parameter=parameter,
            value=text[:80],
        )
    return found.astimezone(UTC)


def _refuse(file: str, zh: str, en: str, **details: Any) -> QualityViolation:
    return QualityViolation(f"正射影像 {file}：{zh}", f"orthophoto {file}: {en}", file=file, **details)


def read_delivery(
    path: Path, rule: OrthophotoRule, window: tuple[float, float, float, float], nodata: int | None = None
) -> Delivery:
    """Check a delivered picture.

    Raises
    ------
    SourceUnreadable
        No GeoTIFF.
    CRSMismatch
        No CRS, or no georeference.
    PayloadTooLarge
        More pixels than the rules allow.
    QualityViolation
        Other than three bands of 8 bits with or without alpha, a margin that nothing declares, a ground sampling distance
        that cannot be, or a place outside the window of the data (swapped axes, wrong zone).
    """
    from pyproj import CRS

    with open_raster(path) as dataset:
        name = path.name
        if dataset.crs is None:
            raise CRSMismatch(
                f"正射影像 {name} 没有坐标系；请用 gdal_edit.py -a_srs EPSG:4547 之类写入实际坐标系",
                f"orthophoto {name} has no CRS; write the real one, as by gdal_edit.py -a_srs EPSG:4547",
                file=name,
            )
        if dataset.transform.is_identity:
            raise CRSMismatch(
                f"正射影像 {name} 没有地理参考（仿射变换为单位阵）；请先正射纠正或写入六参数",
                f"orthophoto {name} is not georeferenced (identity transform); rectify it first",
                file=name,
            )
        if dataset.width * dataset.height > rule.max_pixels:
            raise PayloadTooLarge(
                f"正射影像 {name} 为 {dataset.width}×{dataset.height} 像元，上限 {rule.max_pixels}；请分幅",
                f"orthophoto {name} has {dataset.width} × {dataset.height} pixels, the limit is {rule.max_pixels}; split it",
                file=name,
                limit=rule.max_pixels,
            )
        margin = _margin(dataset, rule, nodata)
        crs = CRS.from_user_input(dataset.crs)
        bounds = _geographic_bounds(dataset)
        west, south, east, north = window
        if not (west <= bounds[0] and bounds[2] <= east and south <= bounds[1] and bounds[3] <= north):
            shown = ", ".join(f"{v:.4f}" for v in bounds)
            raise _refuse(
                name,
                f"范围 {shown}（经度在前）超出数据窗口；请核对坐标系、带号与轴序",
                f"its extent {shown} (longitude first) lies outside the data window; check CRS, zone and axis order",
                bounds=list(bounds),
            )
        gsd = _ground_distance(dataset)
        if not rule.gsd_m[0] <= gsd <= rule.gsd_m[1]:
            raise _refuse(
                name,
                f"地面分辨率 {gsd:.4g} 米不在 {rule.gsd_m[0]:g}–{rule.gsd_m[1]:g} 米内；请核对坐标单位",
                f"ground sampling distance {gsd:.4g} m is not within {rule.gsd_m[0]:g} to {rule.gsd_m[1]:g} m; check the unit",
                gsd_m=gsd,
            )
        text = f"EPSG:{code}" if (code := crs.to_epsg()) else crs.name
        return Delivery(text, gsd, bounds, dataset.width, dataset.height, margin)


def _margin(dataset: Any, rule: OrthophotoRule, nodata: int | None) -> str:
    """What declares the margin; raises for wrong bands and for a margin that nothing declares."""
    import numpy as np
    from rasterio.enums import ColorInterp, MaskFlags
    from rasterio.windows import Window

    name = Path(dataset.name).name
    alpha = dataset.count == 4 and dataset.colorinterp[3] == ColorInterp.alpha
    if set(dataset.dtypes) != {"uint8"} or not (dataset.count == 3 or alpha):
        raise _refuse(
            name,
            f"应为 8 位 RGB 或 RGBA，文件有 {dataset.count} 个波段、类型 {'、'.join(sorted(set(dataset.dtypes)))}",
            f"must be 8-bit RGB or RGBA; the file has {dataset.count} bands of {', '.join(sorted(set(dataset.dtypes)))}",
            bands=dataset.count,
        )
    if alpha:
        return "alpha"
    if dataset.nodata is not None or nodata is not None:
        return "nodata"
    if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        return "mask"
    side = min(rule.corner_pixels, dataset.width, dataset.height)
    right, bottom = dataset.width - side, dataset.height - side
    for left, top in ((0, 0), (right, 0), (0, bottom), (right, bottom)):
        corner = dataset.read(window=Window(left, top, side, side))
        for value in (0, 255):
            if np.all(corner == value):
                raise _refuse(
                    name,
                    f"一角全为 {value}，而文件没有透明波段也没有 nodata；请用 --nodata {value} 声明空白",
                    f"a corner is all {value} and the file has neither alpha nor nodata; declare the margin: --nodata {value}",
                    nodata=value,
                )
    return "none"


def _geographic_bounds(dataset: Any) -> tuple[float, float, float, float]:
    """Extent in EPSG:4490, longitude first; a CRS that has no way there is told by an infinite number."""
    import math

    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    try:
        found = transform_bounds(dataset.crs, "EPSG:4490", *dataset.bounds, densify_pts=21)
    except RasterioError:
        found = (math.inf,) * 4
    west, south, east, north = (float(v) for v in found)
    return west, south, east, north


def _ground_distance(dataset: Any) -> float:
    """Ground sampling distance, m: the mean of the geodesic lengths of a pixel's sides in the middle of the picture."""
    from pyproj import Geod, Transformer

    width, height = dataset.width, dataset.height
    ends = [(width / 4, height / 2), (3 * width / 4, height / 2), (width / 2, height / 4), (width / 2, 3 * height / 4)]
    x, y = zip(*(dataset.transform @ end for end in ends), strict=True)
    lon, lat = Transformer.from_crs(dataset.crs, "EPSG:4490", always_xy=True).transform(x, y)
    geod = Geod(ellps="GRS80")
    across = geod.inv(lon[0], lat[0], lon[1], lat[1])[2] / (width / 2)
    down = geod.inv(lon[2], lat[2], lon[3], lat[3])[2] / (height / 2)
    return round(float(across + down) / 2, 4)


def _to_storage(path: Path, target: Path, nodata: int | None) -> None:
    """The picture on a north-up EPSG:4490 grid: three bands of 1–255, 0 where there is no data; block by block."""
    import numpy as np
    import rasterio
    from rasterio.enums import ColorInterp, Resampling
    from rasterio.vrt import WarpedVRT
    from rasterio.windows import Window

    with open_raster(path) as dataset:
        alpha = dataset.count == 4 and dataset.colorinterp[3] == ColorInterp.alpha
        options: dict[str, Any] = {"crs": "EPSG:4490", "resampling": Resampling.bilinear, "warp_mem_limit": 128}
        if not alpha:
            options["add_alpha"] = True
            if nodata is not None:
                options["src_nodata"] = nodata
        with WarpedVRT(dataset, **options) as warped:
            profile = {
                "driver": "GTiff", "width": warped.width, "height": warped.height, "count": 3, "dtype": "uint8",
                "crs": "EPSG:4490", "transform": warped.transform, "nodata": 0, "photometric": "RGB", "tiled": True,
                "blockxsize": 512, "blockysize": 512, "compress": "ZSTD", "zstd_level": 1, "bigtiff": "IF_SAFER",
            }  # fmt: skip
            with rasterio.open(target, "w", **profile) as out:
                for top in range(0, warped.height, _BLOCK):
                    for left in range(0, warped.width, _BLOCK):
                        size = min(_BLOCK, warped.width - left), min(_BLOCK, warped.height - top)
                        window = Window(left, top, *size)
                        values = warped.read(window=window)
                        out.write(np.where(values[3] >= 128, np.maximum(values[:3], 1), 0), window=window)


def _earlier(datastore: DataStore, flight: Flight) -> Layer | None:
    """The layer as it is now, if it exists; `InvalidParameter` if it is something else."""
    catalog = datastore.snapshot().catalog
    rows = datastore.state.versions(flight.layer)
    if flight.layer not in catalog and not rows:
        return None
    layer = catalog.layers.get(flight.layer) or Layer.model_validate(rows[0].definition)
    if layer.observed is None:
        raise InvalidParameter(
            f"图层 {flight.layer} 不是正射影像图层，请换一个编号",
            f"layer {flight.layer} is no layer of orthophotos; choose another id",
            parameter="layer",
            layer=flight.layer,
        )
    return layer


def add_orthophoto(datastore: DataStore, path: Path, flight: Flight) -> PublishedRaster:
    """Publish one flight as a version of its layer; the latest flight is the current version.

    Raises
    ------
    InvalidParameter
        The layer id cannot be one, is taken by another kind of layer, or its first flight has no title.
    SourceUnreadable, CRSMismatch, PayloadTooLarge, LayerEmpty, QualityViolation
        As `read_delivery`; also if the flight is there already. Nothing is published then.
    """
    from hashlib import file_digest

    if not re.fullmatch(LAYER_ID, flight.layer):
        raise InvalidParameter(
            f"图层编号 {flight.layer[:60]!r} 不合法：小写字母开头，只用小写字母、数字与连字符，至多 51 个",
            f"{flight.layer[:60]!r} cannot name a layer: lower-case letters, digits and hyphens, a letter first, at most 51",
            parameter="layer",
        )
    rules = read_observation_rules(datastore.settings.layers_dir).orthophoto
    if flight.time.tzinfo is None:
        raise InvalidParameter("date 没有时区", "date has no zone", parameter="date")
    earlier = _earlier(datastore, flight)
    title = flight.title or (None if earlier is None else earlier.title)
    if title is None:
        raise InvalidParameter(
            f"图层 {flight.layer} 的第一个架次需要 --title（中文/English）",
            f"the first flight of layer {flight.layer} needs --title (中文/English)",
            parameter="title",
        )
    window = read_window(datastore.settings.layers_dir)
    delivery = read_delivery(path, rules, window, flight.nodata)
    with path.open("rb") as file:
        sha256 = file_digest(file, "sha256").hexdigest()
    layer = _layer(flight, delivery, earlier, title, sha256)
    latest = max((row.observed.time for row in _flights(datastore, flight.layer) if row.observed), default=None)
    folder = datastore.settings.var_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        ready = Path(aside) / "orthophoto.tif"
        _to_storage(path, ready, flight.nodata)
        newest = latest is None or flight.time >= latest
        try:
            published = datastore.publish_raster(layer, ready, sha256=sha256, current=newest)
        except LayerEmpty as error:
            raise _refuse(path.name, "没有有效像元", "has no valid pixel") from error
    show_flights(datastore)
    return published


def _flights(datastore: DataStore, layer_id: str) -> list[Layer]:
    return [Layer.model_validate(row.definition) for row in datastore.state.versions(layer_id)]


def _layer(flight: Flight, delivery: Delivery, earlier: Layer | None, title: Text, sha256: str) -> Layer:
    moment = flight.time.astimezone(UTC)
    attribution = flight.attribution or (Text(zh="航摄单位", en="Survey unit") if earlier is None else None)
    synthetic = flight.synthetic or (None if earlier is None else earlier.synthetic)
    return Layer(
        id=flight.layer,
        title=title,
        description=Text(
            zh=f"无人机正射影像，{moment:%Y-%m-%d %H:%M} UTC，地面分辨率 {delivery.gsd_m:g} 米，{flight.platform}",
            en=f"Drone orthophoto of {moment:%Y-%m-%d %H:%M} UTC, {delivery.gsd_m:g} m on the ground, {flight.platform}",
        ),
        theme=("thematic", "monitoring"),
        kind="raster",
        source=Source(
            uri=f"orthophotos/{flight.layer}.tif",
            version=f"{moment:%Y%m%dT%H%M%SZ}",
            sha256=sha256,
            licence=flight.licence,
            attribution=attribution
            or (earlier.source.attribution if earlier else Text(zh="航摄单位", en="Survey unit")),
            origin=f"{flight.platform}, {delivery.crs}, {delivery.width}×{delivery.height}",
        ),
        bands=tuple(Band(name=n, title=Text(zh=zh, en=en), valid_range=(1, 255)) for n, zh, en in _CHANNELS),
        style={"type": "picture", "channels": [name for name, _, _ in _CHANNELS]},
        synthetic=synthetic,
        keywords=("无人机", "正射影像", "orthophoto", "UAV"),
        period=(moment.date(), moment.date()),
        observed=Observed(
            time=moment,
            gsd_m=delivery.gsd_m,
            platform=flight.platform,
            sensor=flight.sensor,
            source_crs=delivery.crs,
        ),
        max_zoom=22,
    )
