"""Registering results (成果登记): a STAC item becomes a published raster layer, or a new version of one; all or nothing.

The file of an item is named by a path below the data folder (``ONEMAP_DATA_DIR``), where the operator or another system of
the department has put it. No address is fetched and nothing outside the folder is read. The file passes the checks of
every raster layer, is copied as a COG, and is then served like any other: as tiles, map, coverage, STAC item and record.

Source: STAC API Transaction Extension 1.0.0; RFC 7396 (JSON Merge Patch).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import structlog

from spatial.catalog import LAYER_ID, Band, Layer, Source, Synthetic, Text
from spatial.errors import DataError, FeatureNotFound, InvalidParameter, PreconditionFailed, SourceUnreadable
from spatial.rfc3339 import INSTANT, Refused, read_moment
from spatial.stac.items import RESULTS, Scene, both, file_path, gathered, instant, item_document
from spatial.store.editing import merge_patch
from spatial.store.raster import open_raster

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["Request", "register", "replace", "withdraw"]

_GRADES = ("公开", "内部", "敏感")
_OURS = frozenset(
    {
        "title", "description", "datetime", "start_datetime", "end_datetime", "created", "updated", "version", "license",
        "keywords", "providers", "grade", "theme", "synthetic", "derived_from",
    }
)  # fmt: skip
"""Properties that the layer says; the others are kept as they came."""
_MOST_PROPERTIES = 200
log = structlog.get_logger("onemap")


@dataclass(frozen=True, slots=True)
class Request:
    """A transaction: the item sent, who sends it, and the state that he changes."""

    item: Mapping[str, Any]
    editor: str | None
    base: str
    if_match: str | None = None


def _fault(member: str, zh: str, en: str, value: Any = None) -> InvalidParameter:
    more = {} if value is None else {"value": str(value)[:200]}
    return InvalidParameter(f"条目的 {member} {zh}", f"item: {member} {en}", parameter=member, **more)


def _text(item: Mapping[str, Any], name: str, default: str) -> Text:
    """A bilingual text: ``中文 / English`` or one text for both."""
    value = item.get("properties", {}).get(name, default)
    if not isinstance(value, str) or not value.strip() or len(value) > 4000:
        raise _fault(f"properties.{name}", "应为 1–4000 字的文本", "must be a text of 1 to 4000 characters")
    zh, slash, en = value.partition(" / ")
    return Text(zh=zh.strip() or value, en=en.strip() if slash and en.strip() else value)


def _file(datastore: DataStore, item: Mapping[str, Any], current: Scene | None, base: str) -> tuple[Path, bool]:
    """The file of the item, and whether it is the published COG itself."""
    assets = item.get("assets")
    asset = assets.get("data") if isinstance(assets, Mapping) else None
    href = asset.get("href") if isinstance(asset, Mapping) else None
    if not isinstance(href, str) or not href:
        raise _fault(
            "assets.data.href", "应为数据目录下 GeoTIFF 的路径", "must be the path of a GeoTIFF in the data folder"
        )
    if current is not None and href == base + file_path(current.raster):
        return current.raster.path, True
    path = PurePosixPath(href)
    wrong = "\\" in href or "\x00" in href or ":" in href or path.is_absolute() or ".." in path.parts
    if wrong or path.suffix.lower() not in {".tif", ".tiff"}:
        raise _fault(
            "assets.data.href",
            "只能是数据目录（ONEMAP_DATA_DIR）下 .tif 文件的相对路径，不接受网址、绝对路径和 ..",
            "must be the relative path of a .tif file in the data folder (ONEMAP_DATA_DIR); no URL, absolute path or ..",
            href,
        )
    folder = datastore.settings.data_dir.resolve()
    found = (folder / path).resolve()
    # A symbolic link may lead out of the folder.
    if not found.is_relative_to(folder) or not found.is_file():
        raise SourceUnreadable(
            f"数据目录中没有文件 {href[:120]!r}；请先把 GeoTIFF 放入数据目录",
            f"the data folder has no file {href[:120]!r}; put the GeoTIFF there first",
            file=href[:200],
        )
    return found, False


def _bands(item: Mapping[str, Any], path: Path) -> tuple[Band, ...]:
    """Bands of the file; names, titles, units and valid ranges as the item says them."""
    asset = item["assets"]["data"]
    told = asset.get("bands") or asset.get("raster:bands") or []
    if not isinstance(told, list) or not all(isinstance(band, dict) for band in told):
        raise _fault("assets.data.bands", "应为列表", "must be a list")
    with open_raster(path) as dataset:
        count, descriptions = dataset.count, dataset.descriptions
        if told and len(told) != count:
            raise _fault(
                "assets.data.bands",
                f"有 {len(told)} 个，文件有 {count} 个波段",
                f"has {len(told)}, the file {count} bands",
            )
        ranges = [None if told and _range(told[i]) else _measured(dataset, i + 1) for i in range(count)]
    found = []
    for index in range(count):
        band = told[index] if told else {}
        name = re.sub(r"[^a-z0-9_-]+", "_", str(band.get("name") or descriptions[index] or f"band_{index + 1}").lower())
        name = name if re.match(r"[a-z_]", name) else f"b_{name}"
        limits = _range(band) or ranges[index] or (0.0, 0.0)
        title = str(band.get("description") or band.get("name") or name)[:200]
        zh, slash, en = title.partition(" / ")
        found.append(
            Band(
                name=name[:60],
                title=Text(zh=zh, en=en if slash and en else zh),
                unit=str(band["unit"])[:40] if band.get("unit") else None,
                valid_range=limits,
            )
        )
    return tuple(found)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(band: Mapping[str, Any]) -> tuple[float, float] | None:
    """Minimum and maximum that the item says; the values of the file must lie between them."""
    statistics = band.get("statistics")
    if not isinstance(statistics, Mapping):
        return None
    low, high = statistics.get("minimum"), statistics.get("maximum")
    if low is None or high is None or not (_finite(low) and _finite(high) and low <= high):
        return None
    return float(low), float(high)


def _measured(dataset: Any, index: int) -> tuple[float, float] | None:
    """Minimum and maximum of the finite, valid pixels, block by block; None without any."""
    import numpy as np

    low, high = math.inf, -math.inf
    for _, window in dataset.block_windows(index):
        values = dataset.read(index, window=window, masked=True).compressed()
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else None


def _inputs(item: Mapping[str, Any], snapshot: Snapshot, base: str) -> list[Layer]:
    """Layers that the result was made from, by its ``derived_from`` links and property."""
    names: list[str] = []
    told = item.get("properties", {}).get("derived_from", [])
    names += [str(name) for name in told] if isinstance(told, list) else []
    for entry in item.get("links") or []:
        if isinstance(entry, Mapping) and entry.get("rel") == "derived_from":
            href = str(entry.get("href", ""))
            if not href.startswith(f"{base}/"):
                raise _fault(
                    "links", "的 derived_from 只能指向本服务的条目或数据集", "derived_from must be of this server", href
                )
            parts = href.removeprefix(base).partition("?")[0].strip("/").split("/")
            at = parts[parts.index("collections") + 1 :] if "collections" in parts else []
            if at:
                names.append(at[-1] if at[0] == RESULTS else at[0])
    found = []
    for name in dict.fromkeys(names):
        if name not in snapshot.catalog:
            raise _fault("derived_from", f"中没有图层 {name[:60]!r}", f"names no layer {name[:60]!r}", name)
        found.append(snapshot.catalog[name])
    return found


def _time(properties: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    """First and last moment that the item says, UTC."""
    ends = [properties.get(name) for name in ("start_datetime", "end_datetime")]
    if ends == [None, None]:
        ends = [properties.get("datetime")] * 2
    if ends == [None, None]:
        return None
    try:
        first, last = (read_moment(str(end), INSTANT).start for end in ends)
    except Refused as refused:
        raise _fault("properties.datetime", f"：{refused.zh}", f"is no time: {refused.en}", ends[0]) from None
    if first > last:
        raise _fault("properties.start_datetime", "晚于 end_datetime", "is after end_datetime")
    return first, last


def _layer(
    request: Request, snapshot: Snapshot, layer_id: str, version: str, path: Path, relative: str, sha256: str
) -> Layer:
    item = request.item
    properties = item.get("properties") or {}
    inputs, moments = _inputs(item, snapshot, request.base), _time(properties)
    bands = _bands(item, path)
    least = max((layer.grade for layer in inputs), key=_GRADES.index, default="公开")
    grade = properties.get("grade", least)
    if grade not in _GRADES or _GRADES.index(grade) < _GRADES.index(least):
        raise _fault(
            "properties.grade",
            f"应不低于输入图层的密级（{least}）",
            f"must be at least that of its inputs ({least})",
            grade,
        )
    made = [layer for layer in inputs if layer.synthetic is not None]
    synthetic = None
    if made or properties.get("synthetic") is True:
        names = [layer.display_title() for layer in made]
        synthetic = Synthetic(
            seed=made[0].synthetic.seed if made and made[0].synthetic is not None else 0,
            recipe=Text(
                zh=f"由合成图层计算：{'、'.join(n.zh for n in names)}" if names else "登记者标明为合成示例",
                en=f"computed from synthetic layers: {', '.join(n.en for n in names)}"
                if names
                else "marked as a synthetic sample by who registered it",
            ),
        )
    keywords = properties.get("keywords", [])
    if not isinstance(keywords, list) or len(keywords) > 50 or not all(isinstance(word, str) for word in keywords):
        raise _fault("properties.keywords", "应为至多 50 个文本", "must be at most 50 texts")
    low, high = min(b.valid_range[0] for b in bands), max(b.valid_range[1] for b in bands)
    title = _text(item, "title", layer_id)
    kept = {name: value for name, value in properties.items() if name not in _OURS and not name.startswith("proj:")}
    return Layer(
        id=layer_id,
        title=title,
        description=_text(item, "description", both(title) if title.zh != title.en else title.zh),
        theme=(RESULTS,),
        kind="raster",
        source=Source(
            uri=relative,
            version=version,
            sha256=sha256,
            licence=str(properties.get("license") or "other")[:100],
            attribution=_attribution(properties),
            origin=f"registered over STAC by {request.editor or 'unnamed'}",
        ),
        bands=bands,
        style={
            "type": "ramp",
            "band": bands[0].name,
            "stops": [{"value": low, "color": "#f7fbff"}, {"value": high, "color": "#08306b"}],
        },
        grade=grade,
        synthetic=synthetic,
        keywords=tuple(word[:60] for word in keywords),
        derived_from=tuple(layer.id for layer in inputs),
        period=None if moments is None else (moments[0].date(), moments[1].date()),
        provenance={
            "registered": True,
            "editor": request.editor,
            "time": instant(datetime.now(UTC)),
            "method": str(properties.get("processing:lineage") or "")[:4000],
            "inputs": [{"layer": layer.id, "synthetic": layer.synthetic is not None} for layer in inputs],
            "item": {"properties": kept, "time": None if moments is None else [instant(moment) for moment in moments]},
        },
    )


def _attribution(properties: Mapping[str, Any]) -> Text:
    providers = properties.get("providers")
    if isinstance(providers, list) and providers and isinstance(providers[0], dict) and providers[0].get("name"):
        zh, slash, en = str(providers[0]["name"])[:200].partition(" / ")
        return Text(zh=zh, en=en if slash and en else zh)
    return Text(zh="登记成果", en="registered result")


def _checked(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item, if it is one: members and types of the STAC item specification."""
    properties = item.get("properties")
    if item.get("type") != "Feature":
        raise _fault(
            "type", "应为 Feature；条目集合请逐个提交", "must be Feature; send the items of a collection one by one"
        )
    if not str(item.get("stac_version", "1")).startswith("1."):
        raise _fault("stac_version", "应为 1.x", "must be 1.x", item.get("stac_version"))
    if not isinstance(properties, dict) or len(properties) > _MOST_PROPERTIES:
        raise _fault(
            "properties", f"应为至多 {_MOST_PROPERTIES} 个成员的对象", f"must hold at most {_MOST_PROPERTIES} members"
        )
    if item.get("collection") not in (None, RESULTS):
        raise _fault("collection", f"应为 {RESULTS}", f"must be {RESULTS}", item.get("collection"))
    if not isinstance(item.get("links", []), list):
        raise _fault("links", "应为列表", "must be a list")
    return item


def _publish(
    datastore: DataStore, snapshot: Snapshot, request: Request, layer_id: str, version: str, current: Scene | None
) -> Scene:
    from hashlib import file_digest

    item = _checked(request.item)
    path, ready = _file(datastore, item, current, request.base)
    with path.open("rb") as file:
        sha256 = file_digest(file, "sha256").hexdigest()
    relative = (
        f"results/{layer_id}.tif" if ready else path.relative_to(datastore.settings.data_dir.resolve()).as_posix()
    )
    try:
        layer = _layer(request, snapshot, layer_id, version, path, relative, sha256)
    except ValueError as error:
        raise _fault("properties", f"无效：{error}", f"is not valid: {error}") from error
    if layer.grade not in datastore.settings.grades:
        raise _fault(
            "properties.grade",
            f"为 {layer.grade}，本服务只展示 {'、'.join(datastore.settings.grades)}",
            f"is {layer.grade}; this server shows {', '.join(datastore.settings.grades)} only",
        )
    datastore.publish_raster(layer, path, sha256=sha256, ready=ready)
    log.info("result registered", layer=layer_id, version=version, editor=request.editor)
    found = gathered(datastore, datastore.snapshot()).result(layer_id)
    if found is None:
        raise DataError(
            f"成果 {layer_id} 已发布但未列出，请重试", f"result {layer_id} is published but not listed; try again"
        )
    return found


def register(datastore: DataStore, request: Request) -> Scene:
    """Publish a new result.

    Raises
    ------
    InvalidParameter
        The item is not valid, its id is taken, or its file is not named by a path below the data folder.
    SourceUnreadable, CRSMismatch, NodataMissing, LayerEmpty, QualityViolation
        The file is not there or breaks a rule; nothing is published.
    """
    item = _checked(request.item)
    layer_id = item.get("id")
    if not isinstance(layer_id, str) or not re.fullmatch(LAYER_ID, layer_id):
        raise _fault(
            "id", "应由小写字母、数字和连字符组成，以字母开头，至多 51 字符",
            "must be lower-case letters, digits and hyphens, a letter first, at most 51", layer_id,
        )  # fmt: skip
    snapshot = datastore.snapshot()
    earlier = datastore.state.versions(layer_id)
    # What was registered here and withdrawn may come back; its versions go on counting.
    taken = layer_id in snapshot.catalog or layer_id in {RESULTS, "catalogue"} or layer_id in _file_layers(datastore)
    if taken or any(not (row.definition.get("provenance") or {}).get("registered") for row in earlier):
        raise _fault(
            "id", f"{layer_id} 已被占用；替换请用 PUT", f"{layer_id} is taken; to replace it use PUT", layer_id
        )
    return _publish(datastore, snapshot, request, layer_id, _next_version(datastore, layer_id), None)


def _next_version(datastore: DataStore, layer_id: str) -> str:
    numbers = [int(row.version) for row in datastore.state.versions(layer_id) if row.version.isdigit()]
    return str(max(numbers, default=0) + 1)


def _current(
    datastore: DataStore, snapshot: Snapshot, item_id: str, request_match: str | None, tag: str | None
) -> Scene:
    scene = gathered(datastore, snapshot).result(item_id)
    if scene is None:
        raise FeatureNotFound(
            f"成果中没有条目 {item_id[:80]!r}", f"the results have no item {item_id[:80]!r}", item=item_id[:200]
        )
    if item_id in _file_layers(datastore):
        raise InvalidParameter(
            f"成果 {item_id} 由图层文件定义，不能在此改动",
            f"result {item_id} is defined by a layer file and cannot be changed here",
            parameter="itemId",
        )
    if request_match is not None and request_match.strip() != "*":
        held = {part.strip().removeprefix("W/") for part in request_match.split(",")}
        if tag is None or tag.removeprefix("W/") not in held:
            raise PreconditionFailed(
                f"成果 {item_id} 已被改动，请重新读取后再提交",
                f"result {item_id} was changed meanwhile; read it again first",
                layer=item_id,
            )
    return scene


def _file_layers(datastore: DataStore) -> set[str]:
    return {path.stem for path in datastore.settings.layers_dir.glob("*.yml")}


def replace(datastore: DataStore, item_id: str, request: Request, tag: Any, *, merge: bool) -> Scene:
    """Publish a new version of a result from a whole item, or from a merge patch of the item that it is now.

    Parameters
    ----------
    tag : callable
        Scene → its entity tag, for ``If-Match``.
    """
    snapshot = datastore.snapshot()
    found = gathered(datastore, snapshot).result(item_id)
    current = _current(datastore, snapshot, item_id, request.if_match, None if found is None else tag(found))
    item = request.item
    if merge:
        whole = item_document(current, request.base, gathered(datastore, snapshot))
        item = merge_patch(whole, dict(item))
    if item.get("id") not in (None, item_id):
        raise _fault("id", f"应为 {item_id}", f"must be {item_id}", item.get("id"))
    changed = Request(item, request.editor, request.base, request.if_match)
    return _publish(datastore, snapshot, changed, item_id, _next_version(datastore, item_id), current)


def withdraw(datastore: DataStore, item_id: str, if_match: str | None, editor: str | None, tag: Any) -> None:
    """Take a result out of the catalogue; its versions stay on record."""
    snapshot = datastore.snapshot()
    found = gathered(datastore, snapshot).result(item_id)
    _current(datastore, snapshot, item_id, if_match, None if found is None else tag(found))
    datastore.state.withdraw(item_id)
    log.info("result withdrawn", layer=item_id, editor=editor)
