"""Building blocks (构件) of the OGC API: what each standard adds to the documents that all standards share.

The landing page, the conformance declaration, the collections and the OpenAPI document name what the server can do. A
standard (Maps, Coverages, EDR, Records …) lives in modules of its own and says here what it adds to them, so that those
documents need not know it. ``spatial.asgi`` lists the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from starlette.routing import Route

    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["BuildingBlock", "Language", "Link"]

Link = dict[str, str]
"""``href``, ``rel``, ``type``, ``title`` of a link."""
Language = Literal["zh", "en"]


def _no_routes(datastore: DataStore) -> list[Route]:
    return []


def _no_paths(snapshot: Snapshot) -> dict[str, Any]:
    return {}


def _no_components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    return {}


def _no_links(base: str, language: Language) -> list[Link]:
    return []


def _no_members(snapshot: Snapshot) -> dict[str, Any]:
    return {}


def _no_collections(call: Any) -> list[dict[str, Any]]:
    return []


def _nothing(base: str, language: Language, published: Published) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class BuildingBlock:
    """What one standard adds.

    Attributes
    ----------
    name : str
        Short English name, also the tag of its operations in the OpenAPI document.
    title : str
        Chinese / English, for that tag.
    conformance : tuple of str
        Requirements classes that are implemented and tested.
    routes : callable
        Datastore → routes with full paths (``/ogc/…``).
    paths : callable
        Snapshot → OpenAPI 3.0.3 path items by path below ``/ogc``; operations added to a path that another block has are
        merged by method.
    components : callable
        Snapshot → OpenAPI components by section (``parameters``, ``schemas``, ``responses``).
    landing_links : callable
        Base address (before ``/ogc``) and language → links of the landing page.
    landing : callable
        Snapshot → further members of the landing page.
    collection : callable
        Base address, language and published layer → members of the collection document; its ``links`` are appended, other
        members are set.
    listed : callable
        Request as `spatial.ogc.exchange.Call` → documents of collections that are no layer, for the list of collections;
        their addresses are routes of this block.
    """

    name: str
    title: str
    conformance: tuple[str, ...] = ()
    routes: Callable[[DataStore], list[Route]] = _no_routes
    paths: Callable[[Snapshot], dict[str, Any]] = _no_paths
    components: Callable[[Snapshot], Mapping[str, Mapping[str, Any]]] = _no_components
    landing_links: Callable[[str, Language], list[Link]] = _no_links
    landing: Callable[[Snapshot], dict[str, Any]] = _no_members
    collection: Callable[[str, Language, Published], dict[str, Any]] = _nothing
    listed: Callable[[Any], list[dict[str, Any]]] = _no_collections
