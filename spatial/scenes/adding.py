"""Adding scenes (影像入库): a STAC collection or single items, checked, copied aside, and made visible in one step."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from spatial.errors import QualityViolation, SourceUnreadable
from spatial.scenes.collection import check_id, read_collection, read_item, write_document

__all__ = ["add_collection"]


def add_collection(source: Path, folder: Path, *, collection_id: str | None = None) -> dict[str, Any]:
    """Add the scenes of a STAC collection on disk; those that are there already stay as they are.

    Parameters
    ----------
    source : Path
        Folder with ``collection.json`` and ``items/*.json``.
    folder : Path
        Folder of all collections.
    collection_id : str, optional
        Default the ``id`` of the collection.

    Returns
    -------
    dict
        ``collection``, ``added``, ``known``, and ``refused``: the scenes that cannot be used, with the reason.

    Raises
    ------
    SourceUnreadable
        The collection cannot be read or has no usable scene; nothing is added then.
    InvalidParameter
        The id cannot name a collection.
    QualityViolation
        A scene of the same id but with other bands is there.
    """
    path = source / "collection.json"
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceUnreadable(
            f"{path} 不能读取：{error}；请给出含 collection.json 的文件夹",
            f"{path} cannot be read: {error}; give a folder with collection.json",
            file=path.name,
        ) from error
    name = check_id(collection_id or str(document.get("id", "")))
    found = read_collection(source, name)
    target = folder / name
    added, known = [], []
    for item in found.items:
        place = target / "items" / f"{item.id}.json"
        if place.is_file():
            if set(read_item(place).assets) != set(item.assets):
                raise QualityViolation(
                    f"影像 {item.id} 已存在且波段不同；请换一个条目编号",
                    f"scene {item.id} is there with other bands; give the item another id",
                    layer=name,
                )
            known.append(item.id)
            continue
        for asset in item.assets.values():
            _copy(asset.path, target / asset.path.relative_to(source.resolve()))
        # The item makes the scene visible, so it comes last.
        write_document(place, json.loads(item.path.read_text("utf-8")))
        added.append(item.id)
    if added or not (target / "collection.json").is_file():
        write_document(target / "collection.json", document | {"id": name})
    refused = [{"zh": error.zh, "en": error.en} for error in found.refused]
    return {"collection": name, "added": added, "known": known, "refused": refused}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
