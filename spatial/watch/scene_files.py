"""The files of an optical scene (影像文件): the grid that their cells nest in, and reading them by block in several threads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.water.classes import TERRAIN_SHADOW
from analyses.water.extent.masks import combine_masks, mask_from_classes, mask_from_quality, terrain_shadow
from analyses.water.extent.reflectance import OPTICAL_BANDS, Calibration
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, SourceUnreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["OpticalScene", "SceneGrid", "SceneReader", "Sun"]


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun stood: degrees; azimuth from north, clockwise."""

    azimuth: float
    elevation: float


@dataclass(frozen=True)
class OpticalScene:
    """Where the files of a scene lie and what is known of it.

    Parameters
    ----------
    bands : mapping
        ``blue, green, red, nir, swir1, swir2`` → file of one band (path or address that GDAL reads). One CRS; the cells of a
        coarse band are whole multiples of the finest.
    calibration : Calibration
        From `analyses.water.extent.reflectance.calibration`: never a guess.
    cloud, cloud_kind
        SCL, QA_PIXEL or Fmask; None = the scene has none, which excludes it unless told otherwise.
    time : datetime, optional
        With its zone.
    sun, dem : optional
        Both, for terrain shadow; `dem` is elevation, m, of any CRS. Needs a projected grid in metres.
    glint : bool, optional
        Whether the geometry allows sun glint (`analyses.water.extent.masks.glint_possible`); None = not known, then none is
        looked for.
    dilated : bool
        Whether the margin of clouds counts as cloud (QA_PIXEL, Fmask).
    """

    bands: Mapping[str, str | Path]
    calibration: Calibration
    cloud: str | Path | None = None
    cloud_kind: Literal["scl", "qa_pixel", "fmask"] = "scl"
    time: datetime | None = None
    sun: Sun | None = None
    dem: str | Path | None = None
    glint: bool | None = None
    dilated: bool = True

    def files(self) -> dict[str, str | Path]:
        """Files on the scene's grid by name: the six bands and ``cloud``."""
        files = {name: self.bands[name] for name in OPTICAL_BANDS}
        return files if self.cloud is None else files | {"cloud": self.cloud}

    def mask(self, values: NDArray[Any], rules: WaterExtentRules) -> NDArray[np.uint8]:
        """Mask codes of the cloud layer."""
        if self.cloud_kind == "scl":
            return mask_from_classes(values, rules)
        return mask_from_quality(values, rules, self.cloud_kind, dilated=self.dilated)


@dataclass(frozen=True)
class SceneGrid:
    """The finest grid of a scene, and for each file how many of its cells one of the file covers on a side."""

    shape: tuple[int, int]
    transform: Any
    crs: Any
    ratios: Mapping[str, int]

    @staticmethod
    def of(scene: OpticalScene) -> SceneGrid:
        """The grid of the scene's files.

        Raises
        ------
        InvalidParameter
            A band is missing; elevation without the sun; a time without its zone.
        SourceUnreadable, CRSMismatch, GridMismatch
            Naming the band.
        """
        missing = [name for name in OPTICAL_BANDS if name not in scene.bands]
        if missing:
            raise InvalidParameter(
                f"缺少波段 {'、'.join(missing)}（有：{'、'.join(scene.bands)}）",
                f"bands {', '.join(missing)} are missing (there are: {', '.join(scene.bands)})",
                parameter="bands",
            )
        if scene.time is not None and scene.time.tzinfo is None:
            raise InvalidParameter("影像时间须带时区", "the time of a scene needs its zone", parameter="time")
        with ExitStack() as stack:
            opened = {name: stack.enter_context(_opened(path, name)) for name, path in scene.files().items()}
            finest = min(opened.values(), key=lambda source: abs(source.transform.a))
            if finest.crs is None:
                raise CRSMismatch("影像没有坐标系，请先定义", "the scene has no CRS; define it first")
            ratios = {name: _ratio(finest, source, name) for name, source in opened.items()}
            grid = SceneGrid(finest.shape, finest.transform, finest.crs, ratios)
        if scene.dem is not None and (scene.sun is None or grid.cell_area_m2 is None):
            raise InvalidParameter(
                "地形阴影需要太阳方位角、高度角（sun）和以米为单位的投影坐标系",
                "terrain shadow needs the sun's position (sun) and a CRS projected in metres",
                parameter="dem",
            )
        return grid

    @property
    def cell_area_m2(self) -> float | None:
        """Area of a cell on the map plane, m²; None where the CRS is not in metres."""
        if self.crs.is_geographic or self.crs.linear_units_factor[1] != 1.0:
            return None
        return float(abs(self.transform.a * self.transform.e))


class SceneReader:
    """The open files of one thread."""

    def __init__(self, scene: OpticalScene, grid: SceneGrid, rules: WaterExtentRules, stack: ExitStack) -> None:
        self._scene, self._grid, self._rules = scene, grid, rules
        self._opened = {name: stack.enter_context(_opened(path, name)) for name, path in scene.files().items()}
        self._elevation = stack.enter_context(self._warped(stack)) if scene.dem is not None else None

    def band(
        self, name: str, top: int, left: int, rows: int, cols: int, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The cells of a file that cover a block of the grid, at the file's own resolution; `top` and `left` are multiples of it.

        Raises
        ------
        SourceUnreadable
            Naming the band (a damaged tile).
        """
        k = self._grid.ratios[name]
        return self._read(
            name, window=((top // k, -(-(top + rows) // k)), (left // k, -(-(left + cols) // k))), out=out
        )

    def _read(self, name: str, **how: Any) -> NDArray[Any]:
        from rasterio.errors import RasterioError

        try:
            return np.asarray(self._opened[name].read(1, **how))
        except RasterioError as error:
            raise SourceUnreadable(f"波段 {name} 读取失败：{error}", f"band {name} cannot be read: {error}") from error

    def dtype(self, name: str) -> str:
        """Type of the digital numbers."""
        return str(self._opened[name].dtypes[0])

    def overview(self, name: str, shape: tuple[int, int]) -> NDArray[Any]:
        """The whole file at about one size, the nearest cells: from an overview where the file has any."""
        return self._read(name, out_shape=shape)

    def mask(self, top: int, left: int, rows: int, cols: int) -> NDArray[np.uint8]:
        """What hides a block, at the resolution of the cloud layer (of the grid where there is none)."""
        k = self._grid.ratios.get("cloud", 1)
        rows, cols = -(-(top + rows) // k) - top // k, -(-(left + cols) // k) - left // k
        hidden: NDArray[np.uint8] | None = None
        if self._scene.cloud is not None:
            hidden = self._scene.mask(self.band("cloud", top, left, rows * k, cols * k), self._rules)
        if self._elevation is not None:
            dark = self._shadow(top // k, left // k, rows, cols, k)
            hidden = combine_masks(hidden, np.where(dark, np.uint8(TERRAIN_SHADOW), np.uint8(0)).astype(np.uint8))
        return np.zeros((rows, cols), dtype=np.uint8) if hidden is None else hidden

    def _shadow(self, top: int, left: int, rows: int, cols: int, k: int) -> NDArray[np.bool_]:
        sun, limits, transform = self._scene.sun, self._rules.masks.terrain, self._grid.transform
        assert sun is not None
        assert self._elevation is not None
        z = self._elevation.read(1, window=((top, top + rows + 2), (left, left + cols + 2)), masked=True)
        return terrain_shadow(
            np.ma.filled(z.astype(np.float32), np.nan),
            cell_x=abs(transform.a) * k,
            cell_y=abs(transform.e) * k,
            sun_azimuth=sun.azimuth,
            sun_elevation=sun.elevation,
            incidence=limits.incidence,
            backslope=limits.backslope,
        )

    def _warped(self, stack: ExitStack) -> Any:
        """Elevation on the grid of the mask, one cell larger on every side."""
        from affine import Affine
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        assert self._scene.dem is not None
        source = stack.enter_context(_opened(self._scene.dem, "dem"))
        if source.crs is None:
            raise CRSMismatch("高程没有坐标系", "the elevation has no CRS")
        k, a = self._grid.ratios.get("cloud", 1), self._grid.transform
        rows, cols = (-(-side // k) for side in self._grid.shape)
        around = Affine(a.a * k, 0, a.c - a.a * k, 0, a.e * k, a.f - a.e * k)
        # Where there is no elevation nothing is known; a 0 there would be a cliff.
        hollow = -32768.0 if source.nodata is None else source.nodata
        form = {"crs": self._grid.crs, "transform": around, "height": rows + 2, "width": cols + 2, "nodata": hollow}
        return WarpedVRT(source, resampling=Resampling.bilinear, **form)


def _opened(path: str | Path, name: str) -> Any:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        return rasterio.open(path)
    except RasterioError as error:
        raise SourceUnreadable(
            f"波段 {name} 无法打开：{error}", f"band {name} cannot be opened: {error}", file=Path(path).name
        ) from error


def _ratio(finest: Any, source: Any, name: str) -> int:
    """Cells of the finest grid on a side of a cell of `source`."""
    if source.crs != finest.crs:
        raise CRSMismatch(
            f"波段 {name} 的坐标系 {source.crs} 与 {finest.crs} 不同",
            f"band {name} has CRS {source.crs}, not {finest.crs}",
        )
    fine, coarse = finest.transform, source.transform
    k = max(int(coarse.a / fine.a + 0.5), 1)
    step = 0.01 * abs(fine.a)
    fits = (
        fine.a > 0 > fine.e
        and not (fine.b or fine.d or coarse.b or coarse.d)
        and abs(coarse.a - k * fine.a) * source.width < step
        and abs(coarse.e - k * fine.e) * source.height < step
        and abs(coarse.c - fine.c) < step
        and abs(coarse.f - fine.f) < step
        and source.shape == tuple(-(-side // k) for side in finest.shape)
    )
    if not fits:
        raise GridMismatch(
            f"波段 {name} 的格网 {source.shape} {tuple(coarse[:6])} 与最细的 {finest.shape} {tuple(fine[:6])} 不套合，请先重采样",
            f"band {name}: grid {source.shape} {tuple(coarse[:6])} does not nest with the finest, {finest.shape} "
            f"{tuple(fine[:6])}; resample it first",
            band=name,
        )
    return k
