"""``pygeoapi-config.yml``: server metadata written by hand, resources generated from ``layers/``.

The generated part stands between two marker lines; `check` tells whether it still is what `render` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial.catalog import Catalog, Layer, load_catalog
from spatial.crs import SERVED, STORAGE
from spatial.errors import LayerDefinitionInvalid

__all__ = ["CONFIG_FILE", "check", "render", "resources", "write"]

CONFIG_FILE = Path(__file__).resolve().parents[2] / "pygeoapi-config.yml"
BEGIN = "# --- generated from layers/ by `onemap config --write`; do not edit below ---"
END = "# --- end of the generated part ---"
WINDOW = [107.5, 28.5, 117.0, 34.0]
"""Hubei's window; the true extent of a layer is known only when it is published, and then `/ogc` says it."""
PROCESSOR = "spatial.ogc.process_plugins.AnalysisProcessor"
TILES = "tiles.pygeoapi_provider.StoreTileProvider"


def _collection(layer: Layer) -> dict[str, Any]:
    title = layer.display_title()
    keywords = list(layer.keywords) or [*layer.theme]
    feature: dict[str, Any] = {
        "type": "feature",
        "name": "spatial.ogc.provider.StoreProvider",
        "data": layer.id,
        "id_field": "fid",
        "crs": list(SERVED),
        "storage_crs": STORAGE.uri,
    }
    if layer.time_field is not None:
        feature["time_field"] = layer.time_field
    kind = ("pbf", "application/vnd.mapbox-vector-tile") if layer.is_vector else ("png", "image/png")
    tile = {
        "type": "tile",
        "name": TILES,
        "data": layer.id,
        "options": {"zoom": {"min": layer.min_zoom, "max": layer.max_zoom}},
        "format": {"name": kind[0], "mimetype": kind[1]},
    }
    return {
        "type": "collection",
        "title": {"zh": title.zh, "en": title.en},
        "description": {"zh": layer.description.zh, "en": layer.description.en},
        "keywords": keywords,
        "links": [],
        "extents": {"spatial": {"bbox": WINDOW, "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
        "providers": [feature, tile] if layer.is_vector else [tile],
    }


def _processes() -> dict[str, Any]:
    from spatial.jobs.processes import process_ids

    return {name: {"type": "process", "processor": {"name": PROCESSOR, "analysis": name}} for name in process_ids()}


def resources(catalog: Catalog) -> dict[str, Any]:
    """Resources of pygeoapi: every public layer in the order of the layer tree, then every process."""
    found = {layer.id: _collection(layer) for layer in catalog.values() if layer.grade == "公开"}
    return {**found, **_processes()}


def render(catalog: Catalog, before: str) -> str:
    """Text of the file: the hand-written part of `before`, then the resources of `catalog`."""
    import yaml

    head, marker, rest = before.partition(BEGIN)
    if not marker or END not in rest:
        raise LayerDefinitionInvalid(
            f"pygeoapi-config.yml 缺少标记行 {BEGIN!r} 或 {END!r}",
            f"pygeoapi-config.yml lacks the marker {BEGIN!r} or {END!r}",
            file="pygeoapi-config.yml",
        )

    class Plain(yaml.SafeDumper):
        """Writes no anchors; they would make the file hard to read."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    body = yaml.dump(
        {"resources": resources(catalog)},
        Dumper=Plain,
        allow_unicode=True,
        sort_keys=False,
        default_flow_style=None,
        width=130,
    )
    return f"{head}{BEGIN}\n{body}{END}{rest.partition(END)[2]}"


def check(layers_dir: Path, file: Path = CONFIG_FILE) -> bool:
    """True if the file is what `write` would write."""
    text = file.read_text("utf-8")
    return render(load_catalog(layers_dir), text) == text


def write(layers_dir: Path, file: Path = CONFIG_FILE) -> bool:
    """Write the generated part; True if the file changed."""
    text = file.read_text("utf-8")
    new = render(load_catalog(layers_dir), text)
    if new != text:
        aside = file.with_suffix(".yml.new")
        aside.write_text(new, "utf-8")
        aside.replace(file)
    return new != text
