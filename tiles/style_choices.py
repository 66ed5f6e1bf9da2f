"""The styles that a layer and the dataset offer (可用样式): each has an id, and says which layers and bands it shows.

A layer has the style ``default`` of its YAML. A raster with several bands has one style a band more, named by the band. Of
the dataset as a whole, ``default`` is the base map (boundaries, waters and places), and every layer's default style
bears the id of the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial.catalog import Layer, Text
from spatial.errors import LayerNotPublished, NotFound
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import Published, Snapshot

__all__ = [
    "DEFAULT",
    "StyleChoice",
    "base_layers",
    "dataset_style",
    "dataset_styles",
    "layer_style",
    "layer_styles",
    "published",
]

DEFAULT = "default"
_BASE_MAP = Text(zh="基础底图", en="Base map")
_BASE_THEMES = {"administrative", "hydrography", "places", "transport"}
"""Branches of the first theme that make a base map; a theme without branches is one as a whole."""
_DRAWN_LAST = {"Polygon": 0, "LineString": 1, "Point": 2}


@dataclass(frozen=True, slots=True)
class StyleChoice:
    """A style: its id, title and description, the layers that it shows from below, and the band of a raster."""

    id: str
    title: Text
    description: Text
    layers: tuple[Published, ...]
    band: str | None = None

    @property
    def synthetic(self) -> bool:
        """True if it shows a synthetic layer."""
        return any(p.layer.synthetic is not None for p in self.layers)


def published(snapshot: Snapshot, layer_id: str, version: str | None = None) -> Published:
    """A version of a layer of any kind; raises like `Snapshot.vector`."""
    layer = snapshot.catalog[layer_id]
    if version is not None:
        return snapshot.vector(layer_id, version) if layer.is_vector else snapshot.raster(layer_id, version)
    found = snapshot.published(layer_id)
    if found is None:
        raise LayerNotPublished(
            f"图层 {layer_id} 已定义但尚未发布；请运行 onemap layers publish {layer_id}",
            f"layer {layer_id} is defined but not published; run: onemap layers publish {layer_id}",
            layer=layer_id,
        )
    return found


def layer_styles(found: Published) -> list[StyleChoice]:
    """Styles of a layer, the default first."""
    layer = found.layer
    title = layer.display_title()
    choices = [StyleChoice(DEFAULT, title, layer.description, (found,))]
    if len(layer.bands) > 1:
        choices += [
            StyleChoice(
                band.name,
                Text(zh=f"{title.zh}：{band.title.zh}", en=f"{title.en}: {band.title.en}"),
                layer.description,
                (found,),
                band.name,
            )
            for band in layer.bands
            if band.name != DEFAULT
        ]
    return choices


def layer_style(found: Published, style_id: str) -> StyleChoice:
    """Style of a layer by id; `NotFound` names those that there are."""
    choices = layer_styles(found)
    chosen = next((c for c in choices if c.id == style_id), None)
    if chosen is None:
        raise _no_style(style_id, [c.id for c in choices], found.layer)
    return chosen


def _no_style(style_id: str, allowed: list[str], layer: Layer | None = None) -> NotFound:
    zh, en = (f"图层 {layer.id} ", f"layer {layer.id} has ") if layer else ("", "there is ")
    return NotFound(
        f"{zh}没有样式 {style_id[:60]!r}，可用：{'、'.join(allowed)}",
        f"{en}no style {style_id[:60]!r}; use one of {', '.join(allowed)}",
        parameter="style",
        allowed=allowed,
        **({"layer": layer.id} if layer else {}),
    )


def base_layers(snapshot: Snapshot) -> list[Published]:
    """Layers of the base map, from below: areas, lines, points of the first theme; none that is synthetic."""
    vectors = [p for p in snapshot.current() if isinstance(p, PublishedTable)]
    theme = next((p.layer.theme[0] for p in vectors), None)
    own: list[Published] = [
        p
        for p in vectors
        if p.layer.theme[0] == theme
        and (len(p.layer.theme) == 1 or p.layer.theme[1] in _BASE_THEMES)
        and p.layer.synthetic is None
    ]

    def order(p: Published) -> int:
        kind = p.geometry_type if isinstance(p, PublishedTable) else ""
        return _DRAWN_LAST.get(kind.removeprefix("Multi"), 1)

    return sorted(own, key=order)


def dataset_styles(snapshot: Snapshot) -> list[StyleChoice]:
    """Styles of the dataset as a whole: the base map, then each layer's default."""
    base = base_layers(snapshot)
    names = "、".join(p.layer.display_title().zh for p in base), ", ".join(p.layer.display_title().en for p in base)
    choices = []
    if base:
        choices.append(StyleChoice(DEFAULT, _BASE_MAP, Text(zh=names[0], en=names[1]), tuple(base)))
    for found in snapshot.current():
        title = found.layer.display_title()
        choices.append(StyleChoice(found.layer.id, title, found.layer.description, (found,)))
    return choices


def dataset_style(snapshot: Snapshot, style_id: str) -> StyleChoice:
    """Style of the dataset by id; `NotFound` names those that there are."""
    choices = dataset_styles(snapshot)
    chosen = next((c for c in choices if c.id == style_id), None)
    if chosen is None:
        raise _no_style(style_id, [c.id for c in choices])
    return chosen
