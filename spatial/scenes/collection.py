"""A collection of scenes (影像集) on disk: a STAC collection, one STAC item a scene, one COG a band.

::

    <scenes folder>/<collection>/collection.json
    <scenes folder>/<collection>/items/<item>.json     assets by relative address

Bands have their common names (``blue``, ``green``, ``swir1``, ``scl`` …), as the key of an asset or in its ``eo:bands``.

Source: STAC 1.0.0 and 1.1.0 (item, collection), extensions eo, proj, raster.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from spatial.catalog import LAYER_ID, Band, Layer, Source, Synthetic, Text
from spatial.errors import InvalidParameter, LayerNotFound, SourceUnreadable

__all__ = [
    "Asset",
    "SceneCollection",
    "SceneItem",
    "check_id",
    "collection_ids",
    "open_collection",
    "read_collection",
    "read_item",
    "touching",
    "write_document",
]

_ID = re.compile(LAYER_ID)
_ALIASES = {
    "swir16": "swir1",
    "swir22": "swir2",
    "rededge": "rededge1",
    "rededge071": "rededge1",
    "rededge075": "rededge2",
    "rededge078": "rededge3",
}
"""Common names of later versions of the eo extension, and of others for the same band."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One band of a scene."""

    path: Path
    nodata: float | None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class SceneItem:
    """One scene (影像)."""

    id: str
    time: datetime
    """In UTC, with its zone."""
    platform: str
    bbox: tuple[float, float, float, float]
    """West, south, east, north, degrees, CRS84."""
    assets: Mapping[str, Asset]
    properties: Mapping[str, Any]
    path: Path
    """File of the item."""


def _unreadable(path: Path, zh: str, en: str) -> SourceUnreadable:
    return SourceUnreadable(f"影像条目 {path.name}：{zh}", f"scene item {path.name}: {en}", file=path.name)


def _time(path: Path, properties: Mapping[str, Any]) -> datetime:
    text = properties.get("datetime") or properties.get("start_datetime")
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        raise _unreadable(path, f"datetime {text!r} 不是 RFC 3339 时间", f"datetime {text!r} is not RFC 3339") from None
    if found.tzinfo is None:
        raise _unreadable(
            path, f"datetime {text!r} 没有时区，请写明 Z 或 +08:00", f"datetime {text!r} has no zone; write Z or +08:00"
        )
    return found.astimezone(UTC)


def _nodata(value: Any) -> float | None:
    if value is None:
        return None
    return math.nan if value == "nan" else float(value)


def _assets(path: Path, document: Mapping[str, Any]) -> dict[str, Asset]:
    found: dict[str, Asset] = {}
    for key, asset in document.get("assets", {}).items():
        href = str(asset.get("href", ""))
        if not href.lower().endswith((".tif", ".tiff")):
            continue
        bands = asset.get("bands") or asset.get("eo:bands") or [{}]
        told = (asset.get("raster:bands") or [{}])[0] | {k: v for k, v in asset.items() if k.startswith("raster:")}
        name = str(bands[0].get("eo:common_name") or bands[0].get("common_name") or key).lower()
        place = (path.parent / href).resolve()
        # An item must not name files outside its collection.
        if path.parent.parent.resolve() not in place.parents:
            raise _unreadable(path, f"资产 {key} 指向影像集之外", f"asset {key} lies outside the collection")
        found[_ALIASES.get(name, name)] = Asset(
            place,
            _nodata(told.get("nodata", asset.get("nodata"))),
            float(told.get("scale", told.get("raster:scale", 1.0))),
            float(told.get("offset", told.get("raster:offset", 0.0))),
            told.get("unit", asset.get("unit")),
        )
    return found


def read_item(path: Path) -> SceneItem:
    """One STAC item.

    Raises
    ------
    SourceUnreadable
        Not JSON, no time or a time without zone, no bounding box, no GeoTIFF asset, an asset outside the collection.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _unreadable(path, f"不能读取（{error}）", f"cannot be read ({error})") from error
    box = document.get("bbox") or []
    if len(box) not in {4, 6}:
        raise _unreadable(path, "没有 bbox", "has no bbox")
    west, south, east, north = (box[0], box[1], box[len(box) // 2], box[len(box) // 2 + 1])
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise _unreadable(path, f"bbox {box} 次序或范围有误（经度在前）", f"bbox {box}: wrong order or range (x first)")
    assets = _assets(path, document)
    if not assets:
        raise _unreadable(path, "没有 GeoTIFF 波段", "has no GeoTIFF band")
    properties = document.get("properties", {})
    return SceneItem(
        id=str(document.get("id") or path.stem),
        time=_time(path, properties),
        platform=str(properties.get("platform", "unknown")),
        bbox=(float(west), float(south), float(east), float(north)),
        assets=assets,
        properties=properties,
        path=path,
    )


@dataclass(frozen=True)
class SceneCollection:
    """Scenes of one collection, oldest first."""

    id: str
    folder: Path
    document: Mapping[str, Any]
    items: tuple[SceneItem, ...]
    refused: tuple[SourceUnreadable, ...]
    """Items that cannot be used, each with its reason."""

    @cached_property
    def version(self) -> str:
        """Digest of the items and of their files' sizes: changes when a scene arrives or is replaced."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(item.path.read_bytes())
            for name, asset in sorted(item.assets.items()):
                size = asset.path.stat().st_size if asset.path.is_file() else -1
                digest.update(f"{name}:{size};".encode())
        return digest.hexdigest()[:16]

    @property
    def analysis(self) -> str:
        """The analysis that a watch over the collection runs: ``onemap:analysis`` of its document, default the water watch."""
        return str(self.document.get("onemap:analysis", "water-watch"))

    @property
    def cell_arcsec(self) -> float:
        """Side of a cell of the grid on which runs work, seconds of arc; from ``gsd`` (30 m → 1″, 10 m → 1/3″)."""
        gsd = self.document.get("summaries", {}).get("gsd") or [item.properties.get("gsd", 30) for item in self.items]
        return min(float(value) for value in gsd) / 30.0

    @cached_property
    def bbox(self) -> tuple[float, float, float, float]:
        """Union of the scenes' boxes, degrees, CRS84."""
        boxes = [item.bbox for item in self.items]
        return (
            min(b[0] for b in boxes),
            min(b[1] for b in boxes),
            max(b[2] for b in boxes),
            max(b[3] for b in boxes),
        )

    @cached_property
    def layer(self) -> Layer:
        """The collection as a layer definition, for provenance and the mark of synthetic data."""
        told = self.document
        title = Text.model_validate(told.get("onemap:title") or {"zh": told.get("title", self.id), "en": self.id})
        made = told.get("onemap:synthetic")
        names = sorted({name for item in self.items for name in item.assets})
        credits = ", ".join(p["name"] for p in told.get("providers", ()) if p.get("name")) or self.id
        return Layer(
            id=self.id,
            title=title,
            description=Text.model_validate(
                told.get("onemap:description") or {"zh": told.get("description", self.id), "en": self.id}
            ),
            theme=("base", "land-cover"),
            kind="scenes",
            source=Source(
                uri=f"scenes/{self.id}",
                version=self.version,
                sha256=hashlib.sha256(self.version.encode()).hexdigest(),
                licence=str(told.get("license", "unknown")),
                attribution=Text(zh=credits, en=credits),
                origin=f"STAC collection {self.id}",
            ),
            bands=tuple(Band(name=n, title=Text(zh=n, en=n), valid_range=(-1e9, 1e9)) for n in names),
            style={"type": "none"},
            synthetic=None if made is None else Synthetic.model_validate(made),
        )


def check_id(collection_id: str) -> str:
    """The id, if it can name a collection.

    Raises
    ------
    InvalidParameter
    """
    if not _ID.fullmatch(collection_id):
        raise InvalidParameter(
            f"影像集编号 {collection_id!r} 不合法：小写字母开头，只用小写字母、数字与连字符，至多 51 个",
            f"{collection_id!r} cannot name a collection: lower-case letters, digits and hyphens, a letter first, at most 51",
            parameter="collection",
            value=collection_id,
        )
    return collection_id


def collection_ids(folder: Path) -> list[str]:
    """Ids of the collections below the scenes folder, in alphabetical order; none where the folder does not exist."""
    return [path.parent.name for path in sorted(folder.glob("*/collection.json")) if _ID.fullmatch(path.parent.name)]


_READ: dict[Path, tuple[tuple[int, ...], SceneCollection]] = {}
"""Collections as they were read last; a folder in which nothing was added, renamed or removed is not read again."""


def open_collection(folder: Path, collection_id: str) -> SceneCollection:
    """A collection of scenes; an item that cannot be used is left out and named in ``refused``.

    Raises
    ------
    LayerNotFound
        Lists the collections that there are.
    SourceUnreadable
        If the collection's own document is not JSON, or none of its items can be used.
    """
    place = folder / collection_id
    if not _ID.fullmatch(collection_id) or not (place / "collection.json").is_file():
        have = collection_ids(folder)
        raise LayerNotFound(
            f"没有影像集 {collection_id!r}，现有：{'、'.join(have) or '无（请运行 make demo 或 onemap scenes add）'}",
            f"no collection of scenes {collection_id!r}; there are {', '.join(have) or 'none'}",
            layer=collection_id,
            allowed=have,
        )
    return read_collection(place, collection_id)


def read_collection(place: Path, collection_id: str) -> SceneCollection:
    """The collection in a folder, under an id of the caller's; see `open_collection`."""
    folder = place / "items"
    # A document is renamed into place, which changes the time of its folder.
    state = tuple(p.stat().st_mtime_ns if p.exists() else 0 for p in (place / "collection.json", folder))
    known = _READ.get(place)
    if known is not None and known[0] == state and known[1].id == collection_id:
        return known[1]
    try:
        document = json.loads((place / "collection.json").read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceUnreadable(
            f"影像集 {collection_id} 的 collection.json 不能读取：{error}",
            f"collection {collection_id}: collection.json cannot be read: {error}",
            layer=collection_id,
        ) from error
    items, refused = _items(sorted(folder.glob("*.json")))
    if not items:
        first = refused[0] if refused else None
        raise SourceUnreadable(
            f"影像集 {collection_id} 没有可用的影像" + (f"：{first.zh}" if first else ""),
            f"collection {collection_id} has no scene that can be used" + (f": {first.en}" if first else ""),
            layer=collection_id,
        )
    found = SceneCollection(collection_id, place, document, items, refused)
    _READ[place] = (state, found)
    return found


def _items(paths: Sequence[Path]) -> tuple[tuple[SceneItem, ...], tuple[SourceUnreadable, ...]]:
    items, refused = [], []
    for path in paths:
        try:
            items.append(read_item(path))
        except SourceUnreadable as error:
            refused.append(error)
    return tuple(sorted(items, key=lambda item: (item.time, item.id))), tuple(refused)


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a STAC document aside and rename it, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    os.replace(aside, path)


def touching(items: Sequence[SceneItem], bbox: tuple[float, float, float, float]) -> Iterator[SceneItem]:
    """Scenes whose box touches a box (west, south, east, north, degrees)."""
    for item in items:
        west, south, east, north = item.bbox
        if west < bbox[2] and east > bbox[0] and south < bbox[3] and north > bbox[1]:
            yield item
