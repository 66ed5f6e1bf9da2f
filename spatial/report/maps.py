"""Map pictures (专题图) of result rasters: the layer's own colours, borders, graticule, scale bar, north arrow, legend.

The picture is drawn on longitude and latitude with the aspect of the middle latitude, where the scale bar is true. Rasters
are read at the size of the picture through the overviews of the COG, so that a province at 30 m costs little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Text
from spatial.jobs.reporting import ReportRaster
from spatial.report.drawing import INK, figure, font, png, wrapped

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Borders", "Legend", "borders_of", "class_legend", "class_map", "panel_map", "scale_bar_km", "unit_map"]

_EDGE = "#4d4d4d"
_WATERMARK = "合成数据 SYNTHETIC DATA"
_PIXELS = 1500
"""Longer side of what is read for a whole map."""
QUALITATIVE = (
    "#a6cee3", "#1f78b4", "#b2df8a", "#33a02c", "#fb9a99", "#e31a1c", "#fdbf6f", "#ff7f00", "#cab2d6", "#6a3d9a",
    "#ffff99", "#b15928", "#8dd3c7", "#bebada", "#fb8072", "#80b1d3", "#fccde5", "#bc80bd", "#ccebc5", "#ffed6f",
)  # fmt: skip
"""Colours of limiting factors, from ColorBrewer (Paired, Set3)."""


@dataclass(frozen=True, slots=True)
class Legend:
    """Values of a band with their colours and titles."""

    values: tuple[int, ...]
    colors: tuple[str, ...]
    titles: tuple[Text, ...]


@dataclass(frozen=True)
class Borders:
    """Lines of the units as (n, 2) arrays of longitude and latitude."""

    lines: tuple[NDArray[np.float64], ...]
    strong: tuple[NDArray[np.float64], ...] = ()
    """Of the units above (市州)."""


def borders_of(units: geopandas.GeoDataFrame | None) -> Borders | None:
    """Borders for a map of a province: vertices closer than about 200 m are left out."""
    if units is None or not len(units):
        return None
    import shapely

    thin = _lines(shapely.simplify(units.geometry.to_numpy(), 0.002))
    if "prefecture_code" not in units.columns:
        return Borders(thin)
    above = units.dissolve(by="prefecture_code")
    return Borders(thin, _lines(shapely.simplify(above.geometry.to_numpy(), 0.002)))


def _lines(shapes: Any) -> tuple[NDArray[np.float64], ...]:
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shapely.boundary(shapes)))
    return tuple(shapely.get_coordinates(part) for part in parts if not part.is_empty)


def class_legend(raster: ReportRaster, band: str) -> Legend:
    """Legend of a band: the raster's style where it draws this band, else its domain in qualitative colours."""
    own = (raster.style.get("bands") or {}).get(band)
    if own:
        return Legend(
            tuple(int(c["value"]) for c in own),
            tuple(str(c["color"]) for c in own),
            tuple(Text.model_validate(c["title"]) for c in own),
        )
    styled = {int(c["value"]): c for c in raster.style.get("classes", ())}
    domain = next((b.domain for b in raster.bands if b.name == band), None) or {}
    if raster.style.get("type") == "classes" and raster.style.get("band", band) == band and styled:
        titles = {value: Text.model_validate(c["title"]) for value, c in styled.items()}
        return Legend(tuple(styled), tuple(str(c["color"]) for c in styled.values()), tuple(titles.values()))
    values = tuple(sorted(domain))
    shared = set(styled) & set(values)
    alike = all(Text.model_validate(styled[v]["title"]) == domain[v] for v in shared)
    if shared and alike and len(set(values) - shared) <= 1:
        # Another band with the same classes (2020 rules): the same colours, and grey for what was not graded.
        colors = tuple(str(styled[v]["color"]) if v in styled else "#bdbdbd" for v in values)
    else:
        spare = iter(QUALITATIVE * (1 + len(values) // len(QUALITATIVE)))
        colors = tuple("#f2f2f2" if domain[v].en == "no limit" else next(spare) for v in values)
    return Legend(values, colors, tuple(domain[v] for v in values))


# -- reading ---------------------------------------------------------------------------------------------------------------


def _read(raster: ReportRaster, band: int, most: int) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """Masked values of a band at the size of the picture, and west, east, south, north."""
    from rasterio.enums import Resampling

    from spatial.store.raster import open_raster

    with open_raster(raster.path) as dataset:
        rows, cols = dataset.shape
        share = min(1.0, most / max(rows, cols))
        shape = (max(1, round(rows * share)), max(1, round(cols * share)))
        values = dataset.read(band, out_shape=shape, resampling=Resampling.nearest)
        b, nodata = dataset.bounds, dataset.nodata
    hidden = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=np.bool_)
    if nodata is not None and not math.isnan(nodata):
        hidden |= values == values.dtype.type(nodata)
    return np.ma.MaskedArray(values, hidden), (b.left, b.right, b.bottom, b.top)


def _coloured(values: NDArray[Any], legend: Legend) -> tuple[NDArray[np.uint8], list[int]]:
    """RGB picture, white where there is nothing, and the positions in the legend that occur."""
    from matplotlib.colors import to_rgb

    table = np.full((256, 3), 255, dtype=np.uint8)
    for value, color in zip(legend.values, legend.colors, strict=True):
        table[value] = np.round(np.array(to_rgb(color)) * 255)
    codes = np.ma.filled(values, 255).astype(np.uint8)
    masked = np.ma.getmaskarray(values)
    shown = table[codes]
    shown[masked] = 255
    there = set(np.unique(codes[~masked]).tolist())
    return shown, [k for k, value in enumerate(legend.values) if value in there]


# -- the frame of a map ----------------------------------------------------------------------------------------------------


def _extent(extent: tuple[float, float, float, float], borders: Borders | None) -> tuple[float, float, float, float]:
    """West, east, south, north of the picture: the raster where the units are."""
    west, east, south, north = extent
    if borders is not None and borders.lines:
        xy = np.vstack(borders.lines)
        inside = (xy[:, 0] >= west) & (xy[:, 0] <= east) & (xy[:, 1] >= south) & (xy[:, 1] <= north)
        if inside.any():
            low, high = xy[inside].min(axis=0), xy[inside].max(axis=0)
            west, south = max(west, float(low[0])), max(south, float(low[1]))
            east, north = min(east, float(high[0])), min(north, float(high[1]))
    pad = 0.02 * max(east - west, north - south)
    return west - pad, east + pad, south - pad, north + pad


def _step(span: float, wanted: int = 6) -> float:
    steps = (10.0, 5.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
    return next((s for s in steps if span / s >= wanted * 0.6), steps[-1])


def _degrees(value: float, letter: str, step: float) -> str:
    digits = 0 if step >= 1 else 2 if step in (0.25, 0.05, 0.02, 0.01) else 1 if step >= 0.1 else 3
    return f"{value:.{digits}f}°{letter}"


def scale_bar_km(west: float, east: float, latitude: float) -> tuple[float, float]:
    """Length of a scale bar (km), a round number of about a quarter of the map, and its width in degrees there.

    >>> km, degrees = scale_bar_km(108, 116, 31)
    >>> km, round(degrees, 3)
    (200.0, 2.095)
    """
    from pyproj import Geod

    whole = Geod(a=6378137.0, rf=298.257222101).line_length([west, east], [latitude, latitude]) / 1000  # CGCS2000
    wanted = whole / 4
    base = 10.0 ** math.floor(math.log10(wanted))
    length = max((m * base for m in (1, 2, 5) if m * base <= wanted * 1.1), default=base)
    return length, length / whole * (east - west)


def _frame(axes: Any, extent: tuple[float, float, float, float], *, ticks: bool, size: float = 7) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    west, east, south, north = extent
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(1 / math.cos(math.radians((south + north) / 2)), adjustable="box")
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(_EDGE)
    if not ticks:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for axis, low, high, letters in ((axes.xaxis, west, east, "EW"), (axes.yaxis, south, north, "NS")):
        step = _step(high - low)
        at = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        axis.set_major_locator(FixedLocator(at))
        axis.set_major_formatter(FixedFormatter([_degrees(abs(v), letters[v < 0], step) for v in at]))
    axes.tick_params(direction="out", length=2.5, width=0.5, color=_EDGE, top=True, right=True)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(font(size))
    for label in axes.get_yticklabels():
        label.set_rotation(90)
        label.set_va("center")
    axes.grid(True, linewidth=0.3, color="#9a9a9a", alpha=0.5, linestyle=(0, (4, 4)))


def _draw_borders(axes: Any, borders: Borders | None, width: float = 0.35) -> None:
    from matplotlib.collections import LineCollection

    if borders is None:
        return
    axes.add_collection(LineCollection(list(borders.lines), colors=_EDGE, linewidths=width, zorder=3))
    if borders.strong:
        axes.add_collection(LineCollection(list(borders.strong), colors="#1a1a1a", linewidths=2.2 * width, zorder=4))


def _furniture(axes: Any, extent: tuple[float, float, float, float]) -> None:
    """North arrow and scale bar."""
    west, east, south, north = extent
    axes.annotate(
        "北 N", xy=(0.957, 0.965), xytext=(0.957, 0.85), xycoords="axes fraction", ha="center", va="top",
        fontproperties=font(8, bold=True), color=INK, zorder=9,
        arrowprops={"arrowstyle": "-|>,head_width=0.35,head_length=0.8", "color": INK, "linewidth": 1.2},
    )  # fmt: skip
    latitude = (south + north) / 2
    km, width = scale_bar_km(west, east, latitude)
    x, y = west + 0.03 * (east - west), south + 0.045 * (north - south)
    height = 0.012 * (north - south)
    # A light ground, because the map may fill the frame.
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "zorder": 8.5}
    axes.add_patch(
        _ground(x - 0.018 * (east - west), y - 3.4 * height, 1.2 * width + 0.02 * (east - west), 8.2 * height, paper)
    )
    axes.add_patch(_ground(0.915, 0.79, 0.085, 0.21, paper | {"transform": axes.transAxes}))
    for k, color in enumerate((INK, "white", INK, "white")):
        axes.add_patch(_box(x + k * width / 4, y, width / 4, height, color))
    for share in (0.0, 0.5, 1.0):
        text = f"{km * share:g}" + (" km" if share == 1.0 else "")
        axes.text(x + share * width, y + 1.6 * height, text, ha="center", fontproperties=font(7), color=INK, zorder=9)
    axes.text(
        x,
        y - 0.6 * height,
        f"{latitude:.1f}°N 处 at this latitude",
        va="top",
        fontproperties=font(5),
        color=_EDGE,
        zorder=9,
    )


def _ground(x: float, y: float, width: float, height: float, look: dict[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **look)


def _box(x: float, y: float, width: float, height: float, color: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=color, edgecolor=INK, linewidth=0.5, zorder=9)


def _watermark(axes: Any, width_mm: float) -> None:
    """Across the map, as wide as the map allows; dark letters with a light edge stand out on every colour."""
    from matplotlib.patheffects import withStroke

    drawn = axes.text(
        0.5, 0.5, _WATERMARK, transform=axes.transAxes, ha="center", va="center", rotation=22, alpha=0.11,
        color="#000000", fontproperties=font(0.19 * width_mm, bold=True), zorder=8, clip_on=True,
    )  # fmt: skip
    drawn.set_path_effects([withStroke(linewidth=0.012 * width_mm, foreground="#ffffff", alpha=0.2)])


def _draw_legend(axes: Any, legend: Legend, shown: Sequence[int], *, blank: bool = True) -> None:
    """Swatches with Chinese and English titles; what does not occur on the map is left out."""
    from matplotlib.patches import Patch

    keys = [Patch(facecolor=legend.colors[k], edgecolor=_EDGE, linewidth=0.4) for k in shown]
    titles = [f"{wrapped(legend.titles[k].zh, 22)}\n{wrapped(legend.titles[k].en, 22)}" for k in shown]
    if blank:
        keys.append(Patch(facecolor="white", edgecolor=_EDGE, linewidth=0.4))
        titles.append("未评价\nNot assessed")
    axes.axis("off")
    drawn = axes.legend(
        keys, titles, loc="upper left", bbox_to_anchor=(0.0, 1.0), frameon=False, prop=font(6.8), borderaxespad=0,
        title="图例 Legend", handlelength=1.6, handleheight=1.1, labelspacing=0.7,
    )  # fmt: skip
    drawn.get_title().set_fontproperties(font(8, bold=True))
    drawn._legend_box.align = "left"


def _height(extent: tuple[float, float, float, float], width_mm: float) -> float:
    west, east, south, north = extent
    shape = (north - south) / ((east - west) * math.cos(math.radians((south + north) / 2)))
    return min(max(width_mm * shape, 40.0), 190.0)


# -- maps ------------------------------------------------------------------------------------------------------------------


def class_map(
    raster: ReportRaster, band: str, *, borders: Borders | None, synthetic: bool, width_mm: float = 165.0
) -> bytes:
    """One band of classes as a map with everything that a printed map needs.

    Parameters
    ----------
    raster : ReportRaster
        EPSG:4490, north up.
    band : str
    borders : Borders, optional
    synthetic : bool
        Draw the watermark 合成数据.

    Returns
    -------
    bytes
        PNG.
    """
    legend = class_legend(raster, band)
    number = raster.band(band) or 1
    values, box = _read(raster, number, _PIXELS)
    picture, shown = _coloured(values, legend)
    extent = _extent(box, borders)
    right = 38.0
    height = _height(extent, width_mm - right - 14) + 12
    drawn = figure(width_mm, height)
    axes = drawn.add_axes((9 / width_mm, 7 / height, 1 - (right + 13) / width_mm, 1 - 11 / height))
    axes.imshow(picture, extent=box, origin="upper", interpolation="nearest", zorder=1)
    _draw_borders(axes, borders)
    _frame(axes, extent, ticks=True)
    _furniture(axes, extent)
    if synthetic:
        _watermark(axes, width_mm - right - 14)
    _draw_legend(drawn.add_axes((1 - right / width_mm, 7 / height, right / width_mm, 1 - 11 / height)), legend, shown)
    return png(drawn)


def panel_map(
    panels: Sequence[tuple[ReportRaster, str, Text]],
    *,
    borders: Borders | None,
    synthetic: bool,
    columns: int = 2,
    width_mm: float = 165.0,
) -> bytes:
    """Several bands side by side, small: classes with one legend below, numbers with a colour bar each."""
    pixels = _PIXELS // columns
    rows = math.ceil(len(panels) / columns)
    classes = any(b.domain for b in panels[0][0].bands if b.name == panels[0][1])
    first, box = _read(panels[0][0], panels[0][0].band(panels[0][1]) or 1, pixels)
    extent = _extent(box, borders)
    wide = width_mm / columns - 4
    map_high, head, foot, below = _height(extent, wide), 7.5, 1.5 if classes else 7.5, 9.0 if classes else 0.0
    tall = head + map_high + foot
    height = rows * tall + below
    drawn = figure(width_mm, height)
    legend: Legend | None = None
    shown: set[int] = set()
    for k, (raster, band, title) in enumerate(panels):
        values = first if k == 0 else _read(raster, raster.band(band) or 1, pixels)[0]
        left, bottom = (k % columns) * width_mm / columns + 2, height - (k // columns + 1) * tall + foot
        axes = drawn.add_axes((left / width_mm, bottom / height, wide / width_mm, map_high / height))
        unit = next((b.unit for b in raster.bands if b.name == band), None)
        axes.set_title(_panel_title(title, unit, wide), fontproperties=font(6.2), pad=2, color=INK, linespacing=1.15)
        if classes:
            legend = class_legend(raster, band)
            picture, there = _coloured(values, legend)
            shown |= set(there)
            axes.imshow(picture, extent=box, origin="upper", interpolation="nearest", zorder=1)
        else:
            bar = drawn.add_axes(
                ((left + 0.06 * wide) / width_mm, (bottom - 2.8) / height, 0.88 * wide / width_mm, 1.5 / height)
            )
            _numbers(axes, bar, values, box)
        _draw_borders(axes, borders, 0.18)
        _frame(axes, extent, ticks=False)
        if synthetic:
            _watermark(axes, wide)
    if legend is not None:
        _row_legend(drawn, legend, sorted(shown))
    return png(drawn)


def _panel_title(title: Text, unit: str | None, wide: float) -> str:
    said = "" if unit in (None, "1") else f"（{unit}）"
    width = int(wide / 1.15)
    return "\n".join((wrapped(f"{title.zh}{said}", width).split("\n")[0], wrapped(title.en, width).split("\n")[0]))


def _numbers(axes: Any, bar: Any, values: NDArray[Any], box: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    found = np.ma.compressed(values)
    if found.size:
        # A code for «beyond reach» far above every value would hide them all.
        most = found.max()
        rest = found[found < most]
        if rest.size and float(most) > 10 * float(np.percentile(rest, 99)):
            values, found = np.ma.masked_equal(values, most), rest
    low, high = (0.0, 1.0) if not found.size else (float(v) for v in np.percentile(found, (2, 98)))
    if low == high:
        high = low + 1.0
    picture = axes.imshow(
        values, extent=box, origin="upper", interpolation="nearest", zorder=1, cmap="viridis", vmin=low, vmax=high
    )
    scale = axes.figure.colorbar(picture, cax=bar, orientation="horizontal")
    scale.outline.set_linewidth(0.3)
    scale.locator = MaxNLocator(4)
    scale.update_ticks()
    bar.tick_params(length=1.2, width=0.3, pad=1)
    for label in bar.get_xticklabels():
        label.set_fontproperties(font(5))


def _row_legend(drawn: Any, legend: Legend, shown: Sequence[int]) -> None:
    from matplotlib.patches import Patch

    keys = [Patch(facecolor=legend.colors[k], edgecolor=_EDGE, linewidth=0.4) for k in shown]
    titles = [f"{legend.titles[k].zh} {legend.titles[k].en}" for k in shown]
    keys.append(Patch(facecolor="white", edgecolor=_EDGE, linewidth=0.4))
    titles.append("未评价 Not assessed")
    drawn.legend(
        keys, titles, loc="lower center", ncols=min(len(keys), 4), frameon=False, prop=font(6.5), handlelength=1.4,
        columnspacing=1.2, borderaxespad=0.4,
    )  # fmt: skip


def unit_map(
    units: geopandas.GeoDataFrame,
    colors: Mapping[str, str],
    legend: Legend,
    *,
    code: str = "code",
    synthetic: bool,
    width_mm: float = 165.0,
) -> bytes:
    """Units filled by a colour of their own: warning levels of carrying capacity, for example.

    Parameters
    ----------
    units : GeoDataFrame
        EPSG:4490, with the column `code`.
    colors : mapping
        Code → ``#rrggbb``; a unit without one is hatched, «not assessed».
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import PathPatch

    borders = borders_of(units)
    west, south, east, north = units.total_bounds
    extent = _extent((west, east, south, north), borders)
    right = 38.0
    height = _height(extent, width_mm - right - 14) + 12
    drawn = figure(width_mm, height)
    axes = drawn.add_axes((9 / width_mm, 7 / height, 1 - (right + 13) / width_mm, 1 - 11 / height))
    groups: dict[str, list[Any]] = {}
    for name, shape in zip(units[code].astype(str), units.geometry.simplify(0.002), strict=True):
        groups.setdefault(colors.get(name, "#ffffff"), []).append(PathPatch(_path(shape)))
    for color, patches in groups.items():
        axes.add_collection(PatchCollection(patches, facecolor=color, edgecolor="none", zorder=1))
    _draw_borders(axes, borders)
    _frame(axes, extent, ticks=True)
    _furniture(axes, extent)
    if synthetic:
        _watermark(axes, width_mm - right - 14)
    shown = [k for k, color in enumerate(legend.colors) if color in groups]
    blank = "#ffffff" in groups
    _draw_legend(
        drawn.add_axes((1 - right / width_mm, 7 / height, right / width_mm, 1 - 11 / height)),
        legend,
        shown,
        blank=blank,
    )
    return png(drawn)


def _path(shape: Any) -> Any:
    import shapely
    from matplotlib.path import Path

    vertices, codes = [], []
    for polygon in shapely.get_parts(shape):
        if polygon.geom_type != "Polygon":
            continue
        for ring in (polygon.exterior, *polygon.interiors):
            xy = shapely.get_coordinates(ring)
            vertices.append(xy)
            codes.append(np.array([Path.MOVETO, *[Path.LINETO] * (len(xy) - 2), Path.CLOSEPOLY], dtype=np.uint8))
    return Path(np.vstack(vertices), np.concatenate(codes)) if vertices else Path(np.zeros((1, 2)))
