"""Which collections (数据集) an operation of the OpenAPI document stands for.

What is the same for every collection is described once, with the collection as a variable of the path whose values are
listed. Only what differs from one to the next (the attributes of its features, the bands of its coverage) has a path of its
own, which by the specification goes before a path with variables. So the document grows by a few kB a layer: one that
described every address of every layer reached 3.9 MB at 104 layers, beyond the 3 MiB of text that parsers built on SnakeYAML
accept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.ogc.openapi_components import parameter

if TYPE_CHECKING:
    from spatial.store.datastore import Snapshot

__all__ = ["COLLECTION", "collection_parameter", "collection_parameters"]

COLLECTION = "/collections/{collectionId}"
"""Path of what is described once for several collections."""


def collection_parameter(ids: list[str], zh: str = "", en: str = "") -> dict[str, Any]:
    """The variable of the path, with the collections that it may name.

    >>> collection_parameter(["dem"])["schema"]
    {'type': 'string', 'enum': ['dem']}
    """
    return parameter(
        "collectionId",
        f"数据集{zh}",
        f"collection{en}",
        {"type": "string", "enum": ids},
        place="path",
        required=True,
    )


def collection_parameters(snapshot: Snapshot) -> dict[str, Any]:
    """Components ``collectionId`` (every layer), ``vectorCollectionId``, ``rasterCollectionId`` and ``styleId`` of a layer.

    A kind of which there is no layer has none: a list of no values is not allowed.
    """
    layers = [published.layer for published in snapshot.current()]
    kinds = {
        "collectionId": ([layer.id for layer in layers], "", ""),
        "vectorCollectionId": ([layer.id for layer in layers if layer.is_vector], "（矢量）", " of features"),
        "rasterCollectionId": ([layer.id for layer in layers if not layer.is_vector], "（栅格）", " of a raster"),
    }
    style = parameter(
        "styleId",
        "样式：default；多波段栅格另有以波段命名的样式，见数据集的 styles",
        "style: default; rasters of several bands have one more named by each band, see the styles of the collection",
        {"type": "string", "example": "default"},
        place="path",
        required=True,
    )
    found = {name: collection_parameter(ids, zh, en) for name, (ids, zh, en) in kinds.items() if ids}
    return found | ({"styleId": style} if found else {})
