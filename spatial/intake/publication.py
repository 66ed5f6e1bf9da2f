"""From a source file to a published version (入库发布); nothing is published unless everything is right."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from spatial.catalog import Layer
from spatial.errors import LayerDefinitionInvalid, SourceUnreadable

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published

__all__ = ["file_sha256", "ingest_file", "publish_layer"]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def publish_layer(store: DataStore, layer: Layer) -> Published:
    """Publish the version that the layer's YAML names, from ``source.uri``.

    Raises
    ------
    SourceUnreadable
        If the file is missing or its checksum is not the declared one.
    DataError
        Of any other kind, if the data break a rule of the layer.
    """
    path = store.settings.data_dir / layer.source.path
    if not path.is_file():
        raise SourceUnreadable(
            f"图层 {layer.id} 的源文件 {layer.source.path} 不存在；请检查 source.uri 与 ONEMAP_DATA_DIR",
            f"layer {layer.id}: source file {layer.source.path} does not exist; check source.uri and ONEMAP_DATA_DIR",
            layer=layer.id,
            file=layer.source.path,
        )
    checksum = file_sha256(path)
    if checksum != layer.source.sha256:
        raise SourceUnreadable(
            f"图层 {layer.id} 的源文件 {layer.source.path} 校验和不符"
            f"（文件 {checksum[:12]}…，声明 {layer.source.sha256[:12]}…）；请恢复文件，或提高 source.version 并更新 sha256",
            f"layer {layer.id}: checksum of {layer.source.path} is {checksum[:12]}…, declared {layer.source.sha256[:12]}…; "
            "restore the file, or raise source.version and update sha256",
            layer=layer.id,
            file=layer.source.path,
        )
    return _publish(store, layer, path, layer.source.container_layer, checksum)


def ingest_file(store: DataStore, layer_id: str, path: Path, *, version: str) -> Published:
    """Publish a delivered file as a new version of a layer that the catalogue defines (数据汇交).

    Raises
    ------
    LayerNotFound, SourceUnreadable, DataError
        As `publish_layer`; the current version stays as it is.
    """
    layer = store.snapshot().catalog[layer_id]
    if not path.is_file():
        raise SourceUnreadable(
            f"文件 {path.name} 不存在", f"file {path.name} does not exist", layer=layer_id, file=path.name
        )
    source = {**layer.source.model_dump(), "version": version, "sha256": file_sha256(path), "uri": path.name}
    try:
        layer = Layer.model_validate({**layer.model_dump(), "source": source})
    except ValueError as error:
        raise LayerDefinitionInvalid(
            f"版本号 {version!r} 不合法：只用字母、数字、点、横线、下划线",
            f"version {version!r} is not valid: letters, digits, dot, hyphen and underscore only",
            layer=layer_id,
        ) from error
    return _publish(store, layer, path, None, layer.source.sha256)


def _publish(store: DataStore, layer: Layer, path: Path, container_layer: str | None, checksum: str) -> Published:
    if layer.kind == "raster":
        return store.publish_raster(layer, path, sha256=checksum)
    if layer.is_vector:
        from spatial.intake.features import read_features, read_window

        window = read_window(store.settings.layers_dir)
        return store.publish_vector(layer, read_features(layer, path, container_layer, window=window), sha256=checksum)
    raise LayerDefinitionInvalid(
        f"图层 {layer.id} 的类型 {layer.kind} 尚不能发布",
        f"layer {layer.id}: kind {layer.kind} cannot be published yet",
        layer=layer.id,
    )
