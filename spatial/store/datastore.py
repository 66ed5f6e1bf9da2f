"""The data of one process (数据总入口): catalogue, state and stores in one object; readers take a `Snapshot`.

A snapshot is one revision of the catalogue. A request or a run takes one and keeps it, so that it sees the old data or
the new, never a mix.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import Catalog, Layer, load_catalog
from spatial.errors import (
    LayerDefinitionInvalid,
    LayerNotFound,
    LayerNotPublished,
    QualityViolation,
    VersionNotFound,
)
from spatial.settings import Settings
from spatial.store.raster import PublishedRaster, publish_cog
from spatial.store.state import AuditEntry, LayerVersion, State
from spatial.store.vector import PublishedTable, VectorStore

if TYPE_CHECKING:
    import geopandas

__all__ = ["DataStore", "Published", "Snapshot"]

Published = PublishedTable | PublishedRaster

MOST_OLD = 200
"""Old versions whose description is kept in memory; an edited layer has thousands."""
MOST_NAMED = 50
"""Versions that an error names."""


@dataclass(frozen=True)
class Snapshot:
    """What is published at one revision of the catalogue; immutable."""

    revision: int
    catalog: Catalog
    """Layers of the YAML files and computed result layers that this server shows."""
    times: Mapping[str, datetime]
    """Layer id → time of publication of its current version."""
    _current: Mapping[str, Published]
    _owner: DataStore

    @property
    def settings(self) -> Settings:
        """Settings of the process."""
        return self._owner.settings

    def layers(self) -> list[Layer]:
        """Published layers, in catalogue order."""
        return [layer for layer_id, layer in self.catalog.items() if layer_id in self._current]

    def current(self) -> list[Published]:
        """Current versions of the published layers, in catalogue order."""
        return [self._current[layer.id] for layer in self.layers()]

    def published(self, layer_id: str) -> Published | None:
        """Current version of a layer, or None if it is not published; `LayerNotFound` if it does not exist."""
        self.catalog[layer_id]
        return self._current.get(layer_id)

    def vector(self, layer_id: str, version: str | None = None) -> PublishedTable:
        """A version (default: the current one) of a vector layer.

        Raises
        ------
        LayerNotFound, VersionNotFound, LayerNotPublished
        """
        found = self._find(layer_id, version)
        if isinstance(found, PublishedTable):
            return found
        raise LayerNotFound(
            f"图层 {layer_id} 是栅格，没有要素；请用瓦片、地图或识别接口",
            f"layer {layer_id} is a raster and has no features; use its tiles, map or identify",
            layer=layer_id,
        )

    def raster(self, layer_id: str, version: str | None = None) -> PublishedRaster:
        """A version (default: the current one) of a raster layer; raises like `vector`."""
        found = self._find(layer_id, version)
        if isinstance(found, PublishedRaster):
            return found
        raise LayerNotFound(
            f"图层 {layer_id} 是矢量，没有像元", f"layer {layer_id} is a vector layer and has no pixels", layer=layer_id
        )

    def _find(self, layer_id: str, version: str | None) -> Published:
        self.catalog[layer_id]
        current = self._current.get(layer_id)
        if current is None:
            raise LayerNotPublished(
                f"图层 {layer_id} 已定义但尚未发布；请运行 onemap layers publish {layer_id}",
                f"layer {layer_id} is defined but not published; run: onemap layers publish {layer_id}",
                layer=layer_id,
            )
        if version is None or version == current.version:
            return current
        return self._owner.old_version(layer_id, version)


class DataStore:
    """Catalogue, state and stores of one process. Open one with `DataStore.open` and close it."""

    def __init__(self, settings: Settings, state: State, vectors: VectorStore) -> None:
        self.settings = settings
        self.state = state
        self.vectors = vectors
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._old: dict[tuple[str, str], Published] = {}

    @classmethod
    def open(cls, settings: Settings) -> DataStore:
        """Open the stores that the settings name; a database that is away is met at the first use, not here."""
        from spatial.store.vector import open_vector_store

        return cls(settings, State(settings.state_address), open_vector_store(settings))

    @property
    def raster_dir(self) -> Path:
        """Folder of the COGs."""
        return self.settings.var_dir / "raster"

    def snapshot(self) -> Snapshot:
        """The newest snapshot: one tiny query, and a reload only if the catalogue changed."""
        revision = self.state.revision()
        current = self._snapshot
        if current is not None and current.revision == revision:
            return current
        with self._lock:
            if self._snapshot is None or self._snapshot.revision != revision:
                self._snapshot = self._load()
            return self._snapshot

    def _load(self) -> Snapshot:
        revision, rows = self.state.current()
        broken: list[LayerDefinitionInvalid] = []
        files = load_catalog(self.settings.layers_dir, broken=broken)
        for error in broken:
            # A bad file harms its own layer only: the version published before is still served as it was.
            warnings.warn(error.en, stacklevel=2)
        computed = {row.layer_id: Layer.model_validate(row.definition) for row in rows if row.layer_id not in files}
        everything = files.with_layers(computed)
        shown = Catalog(
            {i: layer for i, layer in everything.layers.items() if layer.grade in self.settings.grades},
            everything.themes,
        )
        current: dict[str, Published] = {}
        for row in rows:
            if row.layer_id in shown:
                current[row.layer_id] = self._published(row, shown[row.layer_id])
        return Snapshot(revision, shown, {row.layer_id: row.published for row in rows}, current, self)

    def _published(self, row: LayerVersion, layer: Layer) -> Published:
        stored = Layer.model_validate(row.definition)
        # Titles and styles follow the file at once; what describes the stored bytes stays as it was published.
        layer = layer.model_copy(update={"fields": stored.fields, "bands": stored.bands, "kind": stored.kind})
        location: dict[str, Any] = dict(row.location)
        if layer.is_vector:
            span = location.pop("time_extent")
            return PublishedTable(
                layer=layer,
                version=row.version,
                table=location["table"],
                count=location["count"],
                extent=tuple(location["extent"]),
                geometry_type=location["geometry_type"],
                generalised={int(zoom): suffix for zoom, suffix in location["generalised"].items()},
                time_extent=None
                if span is None
                else (datetime.fromisoformat(span[0]), datetime.fromisoformat(span[1])),
                base=location.get("base", ""),
                edit=location.get("edit", 0),
                keeps_edits=location.get("keeps_edits", False),
                last_fid=location.get("last_fid"),
                tile_grid=location.get("tile_grid", False),
            )
        return PublishedRaster(
            layer=layer,
            version=row.version,
            path=self.raster_dir / row.layer_id / location["path"],
            extent=tuple(location["extent"]),
            width=location["width"],
            height=location["height"],
            dtype=location["dtype"],
            nodata=float(location["nodata"]),
            statistics=tuple((low, high) for low, high in location["statistics"]),
        )

    def old_version(self, layer_id: str, version: str) -> Published:
        """A version that is not the current one.

        Raises
        ------
        VersionNotFound
            Lists the versions that there are.
        """
        key = (layer_id, version)
        if key not in self._old:
            row = self.state.version(layer_id, version)
            if row is None:
                have = [r.version for r in self.state.versions(layer_id)][:MOST_NAMED]
                raise VersionNotFound(
                    f"图层 {layer_id} 没有版本 {version!r}，现有：{'、'.join(have)}",
                    f"layer {layer_id} has no version {version!r}; there are {', '.join(have)}",
                    layer=layer_id,
                    allowed=have,
                )
            if len(self._old) >= MOST_OLD:
                self._old.pop(next(iter(self._old)), None)
            self._old[key] = self._published(row, Layer.model_validate(row.definition))
        return self._old[key]

    def publish_vector(
        self, layer: Layer, frame: geopandas.GeoDataFrame, *, sha256: str | None = None
    ) -> PublishedTable:
        """Write a new version from a clean frame and make it the current one; all or nothing.

        Parameters
        ----------
        layer : Layer
            ``layer.source.version`` names the version.
        frame : GeoDataFrame, EPSG:4490
            Fields of the layer, index = fid (unique integers), coordinates rounded to 9 decimals.

        Raises
        ------
        QualityViolation
            If the version exists already.
        """
        version = layer.source.version
        with self.state.exclusive():
            self._require_new(layer.id, version)
            table = self.vectors.publish(layer, version, frame)
            self._record(layer, version, _table_location(table), sha256)
        return table

    def publish_raster(
        self, layer: Layer, path: Path, *, sha256: str | None = None, ready: bool = False, current: bool = True
    ) -> PublishedRaster:
        """Write a new version from a GeoTIFF and make it the current one; all or nothing.

        `ready` says that `spatial.store.raster.write_cog` made the file: it is not encoded again. Without `current` the
        version stands beside the current one, as an earlier flight beside a later one.
        """
        version = layer.source.version
        with self.state.exclusive():
            self._require_new(layer.id, version)
            raster = publish_cog(layer, version, path, self.raster_dir, ready=ready)
            self._record(layer, version, raster.location(), sha256, current=current)
        return raster

    def _require_new(self, layer_id: str, version: str) -> None:
        if self.state.version(layer_id, version) is not None:
            raise QualityViolation(
                f"图层 {layer_id} 的版本 {version} 已发布且不可改；请提高 source.version",
                f"layer {layer_id}: version {version} is published and immutable; raise source.version",
                layer=layer_id,
            )

    def publish_edit(self, before: PublishedTable, after: PublishedTable, audit: Sequence[AuditEntry]) -> None:
        """Make an edited version the current one, with its audit; `StaleVersion` if `before` no longer is."""
        row = self.state.version(before.layer.id, before.version)
        self.state.publish(
            before.layer.id,
            after.version,
            definition=before.layer.model_dump(mode="json") if row is None else row.definition,
            location=_table_location(after),
            sha256=None if row is None else row.sha256,
            replaces=before.version,
            audit=audit,
        )

    def _record(
        self, layer: Layer, version: str, location: Mapping[str, Any], sha256: str | None, *, current: bool = True
    ) -> None:
        definition = layer.model_dump(mode="json")
        self.state.publish(layer.id, version, definition=definition, location=location, sha256=sha256, current=current)

    def published_checksums(self) -> dict[str, tuple[str, str | None]]:
        """Layer id → (current version as delivered, without its edits; checksum of its source)."""
        return {row.layer_id: (row.location.get("base") or row.version, row.sha256) for row in self.state.current()[1]}

    def unpublished(self, catalog: Iterable[str]) -> list[str]:
        """Those of the given layers that have no published version."""
        have = self.published_checksums()
        return [layer_id for layer_id in catalog if layer_id not in have]

    def close(self) -> None:
        """Close the stores (outside an event loop)."""
        self.vectors.close()
        self.state.close()

    async def aclose(self) -> None:
        """Close the stores from inside the event loop that used them."""
        await self.vectors.aclose()
        self.state.close()


def _table_location(table: PublishedTable) -> dict[str, Any]:
    """JSON-able form of a published table without its layer and version."""
    span = table.time_extent
    return {
        "table": table.table,
        "count": table.count,
        "extent": list(table.extent),
        "geometry_type": table.geometry_type,
        "generalised": {str(zoom): suffix for zoom, suffix in table.generalised.items()},
        "time_extent": None if span is None else [span[0].isoformat(), span[1].isoformat()],
        "base": table.base,
        "edit": table.edit,
        "keeps_edits": table.keeps_edits,
        "last_fid": table.last_fid,
        "tile_grid": table.tile_grid,
    }
