"""Legends (图例) from the same style object as the tiles: JSON entries and a small picture."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiles.styles import Categories, Classes, Graduated, Hillshade, Picture, Ramp, Single, Stop, Symbol, rgba, style_of

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = ["chinese_font", "legend_document", "legend_entries", "legend_picture"]

_OTHER = {"zh": "其他", "en": "Other"}
_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
_FONT_NAMES = (
    "NotoSansCJK-Regular",
    "NotoSansSC",
    "SourceHanSans",
    "wqy-microhei",
    "wqy-zenhei",
    "msyh",
    "simhei",
    "PingFang",
    "DroidSansFallback",
)


def _shape(geometry_type: str | None) -> str:
    kind = (geometry_type or "Polygon").removeprefix("Multi")
    return {"Point": "point", "LineString": "line"}.get(kind, "polygon")


def _drawn(symbol: Symbol, shape: str) -> dict[str, Any]:
    main = symbol.stroke or symbol.fill if shape == "line" else symbol.fill or symbol.stroke
    entry: dict[str, Any] = {"shape": shape, "color": main}
    entry |= {k: v for k, v in (("fill", symbol.fill), ("stroke", symbol.stroke)) if v}
    if symbol.stroke or shape == "line":
        entry["width"] = symbol.width
    if shape == "point":
        entry["radius"] = symbol.radius
    return entry


def _ramp(stops: Iterable[Stop]) -> dict[str, Any]:
    listed = [{"value": s.value, "color": s.color} for s in stops]
    return {"shape": "ramp", "color": listed[-1]["color"], "stops": listed}


def legend_entries(layer: Layer, geometry_type: str | None = None, band: str | None = None) -> list[dict[str, Any]]:
    """What a reader must know to read the layer (or one band of a class raster), in drawing order.

    Each entry has ``label`` {zh, en}, ``shape`` (polygon, line, point, pixel, ramp) and ``color``; further, where they
    apply, ``fill``, ``stroke``, ``width``, ``radius``, ``value``, ``min``, ``max``, ``stops``, ``unit``.
    """
    style = style_of(layer)
    title = layer.title.model_dump()
    if isinstance(style, Classes):
        return [
            {"label": c.title.model_dump(), "shape": "pixel", "color": c.color, "value": c.value}
            for c in style.of_band(band).classes
        ]
    if isinstance(style, Picture):
        shown = next((b for b in layer.bands if b.name == band), None)
        if shown is None:
            return [{"label": {"zh": "真彩色影像", "en": "True colour"}, "shape": "pixel", "color": "#8a9a7b"}]
        dark = (Stop(value=0, color="#000000"), Stop(value=255, color="#ffffff"))
        return [{"label": shown.title.model_dump(), **_ramp(dark)}]
    if isinstance(style, Ramp | Hillshade):
        shown = next((b for b in layer.bands if b.name == (band or style.band)), layer.bands[0])
        unit = {"unit": shown.unit} if shown.unit else {}
        if isinstance(style, Ramp):
            label = (style.title or shown.title).model_dump()
            return [{"label": label, **_ramp(style.stops), **unit}]
        if style.tint:
            return [{"label": shown.title.model_dump(), **_ramp(style.tint), **unit}]
        grey = (Stop(value=0, color="#000000"), Stop(value=1, color="#ffffff"))
        return [{"label": {"zh": "背光—向光", "en": "shade to light"}, **_ramp(grey)}]
    shape = _shape(geometry_type)
    if isinstance(style, Single):
        return [{"label": title, **_drawn(style, shape)}]
    entries: list[dict[str, Any]] = []
    if isinstance(style, Categories):
        entries = [{"label": c.title.model_dump(), **_drawn(c, shape), "value": c.value} for c in style.classes]
    elif isinstance(style, Graduated):
        for c in style.classes:
            bounds = {k: v for k, v in (("min", c.min), ("max", c.max)) if v is not None}
            entries.append({"label": c.title.model_dump(), **_drawn(c, shape), **bounds})
        field = layer.field(style.field)
        if field is not None and field.unit:
            entries = [entry | {"unit": field.unit} for entry in entries]
    if style.default is not None:
        entries.append({"label": dict(_OTHER), **_drawn(style.default, shape), "default": True})
    return entries


def legend_document(
    layer: Layer, version: str, geometry_type: str | None = None, band: str | None = None
) -> dict[str, Any]:
    """``legend.json``: entries, and what every map of the layer has to say of it (watermark, attribution)."""
    style = style_of(layer)
    field = style.field if isinstance(style, Categories | Graduated) else None
    return {
        "layer": layer.id,
        "version": version,
        "title": layer.display_title().model_dump(),
        "synthetic": layer.synthetic is not None,
        "attribution": layer.source.attribution.model_dump(),
        "type": style.type,
        **({"field": field} if field else {}),
        **({"band": band} if band else {}),
        "entries": legend_entries(layer, geometry_type, band),
    }


@lru_cache(maxsize=1)
def chinese_font() -> str | None:
    """File of a font with Chinese characters, or None."""
    for folder in _FONT_FOLDERS:
        root = Path(folder).expanduser()
        if not root.is_dir():
            continue
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in {".ttc", ".ttf", ".otf"})
        for name in _FONT_NAMES:
            for path in files:
                if path.name.lower().startswith(name.lower()):
                    return str(path)
    return None


def legend_picture(document: dict[str, Any], language: str = "zh") -> bytes:
    """``legend.png`` of a legend document; English where the machine has no Chinese font."""
    from PIL import Image, ImageDraw, ImageFont

    path = chinese_font()
    if path is None:
        language = "en"
    font: Any = ImageFont.truetype(path, 13) if path else ImageFont.load_default(13)
    bold: Any = ImageFont.truetype(path, 15) if path else ImageFont.load_default(15)
    title = document["title"][language]
    rows = [
        (
            e,
            e["label"][language]
            + (f"（{e['unit']}）" if language == "zh" and "unit" in e else f" ({e['unit']})" if "unit" in e else ""),
        )
        for e in document["entries"]
    ]
    width = int(max([bold.getlength(title), *(font.getlength(text) + 44 for _, text in rows), 190])) + 24
    heights = [46 if e["shape"] == "ramp" else 22 for e, _ in rows]
    picture = Image.new("RGBA", (min(width, 900), 34 + sum(heights) + 8), (255, 255, 255, 255))
    pen = ImageDraw.Draw(picture, "RGBA")
    pen.text((10, 8), title, font=bold, fill=(20, 20, 20, 255))
    top = 34
    for (entry, text), height in zip(rows, heights, strict=True):
        if entry["shape"] == "ramp":
            _draw_ramp(pen, entry, text, top, font)
        else:
            _draw_symbol(pen, entry, top)
            pen.text((46, top + 1), text, font=font, fill=(40, 40, 40, 255))
        top += height
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG", compress_level=6)
    return out.getvalue()


def _draw_symbol(pen: Any, entry: dict[str, Any], top: int) -> None:
    fill = rgba(entry.get("fill") or entry["color"]) if entry.get("fill") or not entry.get("stroke") else None
    line = rgba(entry["stroke"]) if entry.get("stroke") else None
    width = max(1, round(entry.get("width", 1)))
    box = (12, top + 3, 36, top + 16)
    if entry["shape"] == "line":
        pen.line((12, top + 10, 36, top + 10), fill=rgba(entry["color"] or "#000000"), width=width)
    elif entry["shape"] == "point":
        r = min(7.0, entry.get("radius", 4))
        pen.ellipse((24 - r, top + 10 - r, 24 + r, top + 10 + r), fill=fill, outline=line, width=width)
    else:
        pen.rectangle(box, fill=fill, outline=line, width=width)


def _draw_ramp(pen: Any, entry: dict[str, Any], text: str, top: int, font: Any) -> None:
    import numpy as np

    from tiles.styles import ramp_colours

    stops = [Stop(**s) for s in entry["stops"]]
    low, high = stops[0].value, stops[-1].value
    pen.text((12, top - 1), text, font=font, fill=(40, 40, 40, 255))
    for i, colour in enumerate(ramp_colours(stops, np.linspace(low, high, 160)).tolist()):
        pen.line((12 + i, top + 17, 12 + i, top + 28), fill=tuple(colour))
    pen.text((12, top + 28), f"{low:g}", font=font, fill=(40, 40, 40, 255))
    end = f"{high:g}"
    pen.text((172 - font.getlength(end), top + 28), end, font=font, fill=(40, 40, 40, 255))
