"""Chips of scenes (影像切片): the picture of a scene around a place, with the outline, the date and the mark drawn in.

Colours are those of the scene tiles. The caption stands below the picture and covers nothing of it.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import FeatureNotFound, InvalidParameter
from spatial.scenes.chips import Chip, chip_box
from spatial.scenes.collection import open_collection
from tiles.render import FORMATS
from tiles.scene_indices import SceneIndex, index_colours, scene_index, scene_indices
from tiles.scene_pixels import read_box

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from spatial.scenes.chips import Box, ChipRenderer
    from spatial.scenes.collection import SceneCollection, SceneItem
    from spatial.store.datastore import DataStore

__all__ = [
    "LEAST_SIZE",
    "MOST_DEGREES",
    "MOST_SIZE",
    "PICTURE",
    "SIZE",
    "chip_renderer",
    "draw_chip",
    "drawable",
    "scene_item",
]

MOST_DEGREES = 1.0
"""Widest box of a chip, degrees: it shows a place, not a scene."""
LEAST_SIZE, SIZE, MOST_SIZE = 64, 256, 1024
"""Longer side of the picture, pixels."""

PICTURE = "false-color"
"""What a chip shows if nobody says otherwise: water and land differ most in it. A scene without its bands shows another one."""

_HOLLOW = (208, 208, 208)
_OUTLINE, _HALO = (255, 31, 31), (255, 255, 255)
_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "SourceHanSansSC-Regular.otf",
    "SourceHanSansCN-Regular.otf",
    "msyh.ttc",
    "simhei.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
)
_MARK = ("合成示例 SYNTHETIC", "SYNTHETIC")
"""With and without Chinese characters."""


def scene_item(collection: SceneCollection, name: str) -> SceneItem:
    """A scene of a collection.

    Raises
    ------
    FeatureNotFound
        Names the scene and the collection.
    """
    for item in collection.items:
        if item.id == name:
            return item
    raise FeatureNotFound(
        f"影像集 {collection.id} 没有影像 {name[:80]!r}",
        f"collection {collection.id} has no scene {name[:80]!r}",
        layer=collection.id,
        item=name[:200],
    )


def draw_chip(
    collection: SceneCollection,
    item: SceneItem,
    index: SceneIndex,
    box: Box,
    *,
    size: int = SIZE,
    outline: Any = None,
    ext: str = "png",
) -> Chip:
    """Draw a chip: pixels as wide as high on the ground at the middle of the box, the nearest cell of the scene each.

    Parameters
    ----------
    box : tuple
        Degrees, at most `MOST_DEGREES` a side.
    size : int
        Longer side of the picture, `LEAST_SIZE` to `MOST_SIZE`; the caption is added below.
    outline : shapely geometry, optional
        EPSG:4490, x = longitude.

    Raises
    ------
    InvalidParameter
        Box or size out of their limits, box outside the scene, no data there, or a band of the index is missing.
    SourceUnreadable
    """
    from PIL import Image, ImageDraw

    _check_box(item, box, size)
    missing = [name for name in index.bands if name not in item.assets]
    if missing:
        raise InvalidParameter(
            f"影像 {item.id} 缺少指数 {index.id} 所需的波段 {'、'.join(missing)}",
            f"scene {item.id} lacks {', '.join(missing)}, which {index.id} needs",
            parameter="picture",
            value=index.id,
        )
    west, south, east, north = box
    across, down = (east - west) * math.cos(math.radians((south + north) / 2)), north - south
    longer = max(across, down)
    width, height = max(2, round(size * across / longer)), max(2, round(size * down / longer))
    colours = index_colours(index, [read_box(item.assets[name], box, width, height) for name in index.bands])
    seen = float((colours[..., 3] == 255).mean())
    if seen == 0:
        raise InvalidParameter(
            f"影像 {item.id} 在 bbox {_said(box)} 内没有数据",
            f"scene {item.id} has no data within {_said(box)}",
            parameter="bbox",
            scene=item.id,
        )
    picture = Image.fromarray(_opaque(colours))
    draw = ImageDraw.Draw(picture)
    if outline is not None:
        _draw_outline(draw, outline, box, width, height)
    synthetic = collection.layer.synthetic is not None
    chip = Chip(
        b"", FORMATS[ext], 0, 0, collection.id, item.id, index.id, item.time, box, round(seen, 4), synthetic
    )  # fmt: skip
    whole = _captioned(picture, chip, index)
    out = io.BytesIO()
    if ext == "jpg":
        whole.save(out, "JPEG", quality=90)
    elif ext == "webp":
        whole.save(out, "WEBP", quality=90, method=2)
    else:
        whole.save(out, "PNG", compress_level=6)
    from dataclasses import replace

    return replace(chip, content=out.getvalue(), width=whole.width, height=whole.height)


def _said(box: Box) -> str:
    return ",".join(f"{v:.5f}" for v in box)


def _check_box(item: SceneItem, box: Box, size: int) -> None:
    west, south, east, north = box
    if not LEAST_SIZE <= size <= MOST_SIZE:
        raise InvalidParameter(
            f"size 应为 {LEAST_SIZE} 至 {MOST_SIZE} 像素，收到 {size}",
            f"size must be {LEAST_SIZE} to {MOST_SIZE} pixels, got {size}",
            parameter="size",
        )
    if not (west < east and south < north):
        raise InvalidParameter(
            f"bbox {_said(box)} 没有面积，或跨越 180° 经线",
            f"bbox {_said(box)} has no area, or crosses the antimeridian",
            parameter="bbox",
        )
    if east - west > MOST_DEGREES or north - south > MOST_DEGREES:
        raise InvalidParameter(
            f"bbox 边长至多 {MOST_DEGREES:g}°，收到 {east - west:.4f}° × {north - south:.4f}°；更大的范围请用影像瓦片",
            f"bbox may be {MOST_DEGREES:g}° a side, got {east - west:.4f}° × {north - south:.4f}°; use the tiles of the scene",
            parameter="bbox",
        )
    if max(east - west, north - south) > 50 * min(east - west, north - south):
        raise InvalidParameter(
            f"bbox {_said(box)} 过于狭长（长短边之比至多 50）",
            f"bbox {_said(box)} is too narrow (one side at most 50 times the other)",
            parameter="bbox",
        )
    if west >= item.bbox[2] or east <= item.bbox[0] or south >= item.bbox[3] or north <= item.bbox[1]:
        raise InvalidParameter(
            f"bbox {_said(box)} 在影像 {item.id} 之外；该影像的范围为 {_said(item.bbox)}（经度,纬度）",
            f"bbox {_said(box)} lies outside scene {item.id}, whose box is {_said(item.bbox)} (longitude first)",
            parameter="bbox",
            scene=item.id,
            allowed=list(item.bbox),
        )


def _opaque(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green, blue with grey where there is no data: a document has no background to shine through."""
    alpha = colours[..., 3:].astype(np.uint16)
    grey = np.array(_HOLLOW, dtype=np.uint16)
    return np.ascontiguousarray(((colours[..., :3] * alpha + grey * (255 - alpha) + 127) // 255).astype(np.uint8))


def _draw_outline(draw: ImageDraw, shape: Any, box: Box, width: int, height: int) -> None:
    import shapely

    west, south, east, north = box
    rings = [
        [((x - west) / (east - west) * width, (north - y) / (north - south) * height) for x, y in ring.coords]
        for part in shapely.get_parts(shape)
        for ring in ([part.exterior, *part.interiors] if part.geom_type == "Polygon" else [part])
    ]
    stroke = max(2, round(max(width, height) / 128))
    for colour, wide in ((_HALO, 2 * stroke), (_OUTLINE, stroke)):
        for ring in rings:
            if len(ring) > 1:
                draw.line(ring, fill=colour, width=wide, joint="curve")


@lru_cache(maxsize=8)
def _font(size: int) -> tuple[Any, bool]:
    """A font, and whether it has Chinese characters."""
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size), True
        except OSError:
            continue
    return ImageFont.load_default(size), False


def _captioned(picture: Image, chip: Chip, index: SceneIndex) -> Image:
    """The picture with day, name of the picture and scene below it; the mark of a synthetic scene stands first."""
    from PIL import Image, ImageDraw

    font, chinese = _font(max(11, round(max(picture.size) / 20)))
    small, _ = _font(max(9, round(max(picture.size) / 28)))
    name = index.title.zh if chinese else index.title.en
    dark, pale = (28, 40, 51), (208, 214, 220)
    lines = [
        (chip.day.isoformat(), font, (255, 255, 255), dark),
        (name, small, pale, dark),
        (f"{chip.collection} / {chip.scene}", small, pale, dark),
    ]
    if chip.synthetic:
        lines.insert(0, (_MARK[0 if chinese else 1], font, (90, 40, 0), (255, 213, 128)))
    tall = [sum(f.getmetrics()) + 4 for _, f, _, _ in lines]
    whole = Image.new("RGB", (picture.width, picture.height + sum(tall)), (28, 40, 51))
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    top = picture.height
    for (text, face, ink, ground), high in zip(lines, tall, strict=True):
        draw.rectangle((0, top, whole.width, top + high - 1), fill=ground)
        draw.text((4, top + 2), _fitting(text, face, whole.width - 8), font=face, fill=ink)
        top += high
    return whole


def _fitting(text: str, face: Any, width: int) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def chip_renderer(datastore: DataStore) -> ChipRenderer:
    """What draws a chip for who keeps it: PNG, which Word and Excel show too."""

    def render(collection: str, scene: str, shape: Any, *, picture: str, size: int) -> Chip:
        settings = datastore.settings
        opened = open_collection(settings.scenes_dir, collection)
        item = scene_item(opened, scene)
        index = drawable(item, picture, settings.layers_dir)
        west, south, east, north = (float(v) for v in shape.bounds)
        return draw_chip(opened, item, index, chip_box((west, south, east, north)), size=size, outline=shape)

    return render


def drawable(item: SceneItem, wanted: str, layers_dir: Path) -> SceneIndex:
    """The picture asked for, or the first one that the bands of the scene allow: better another picture than none."""
    index = scene_index(layers_dir, wanted)
    known = (index, *scene_indices(layers_dir))
    return next((one for one in known if all(band in item.assets for band in one.bands)), index)
