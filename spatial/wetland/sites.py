"""Sites of the lists (名录): Ramsar sites and nature reserves as published, with the place that a page looks at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from analyses.water.shore.corridor_change import geodesic_buffer
from spatial.catalog import Layer, Text
from spatial.errors import FeatureNotFound, LayerNotPublished
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    import geopandas

    from spatial.store.datastore import DataStore, Snapshot
    from spatial.wetland.rules import SiteRules

__all__ = ["PATH", "Place", "Site", "find_site", "frame_of", "place_of", "sites_of", "table_of"]

PATH = "/api/v1/wetlands"


@dataclass(frozen=True)
class Site:
    """A listed site (名录中的一处)."""

    id: str
    kind: Literal["ramsar", "reserve"]
    name: str
    title: Text
    layer: Layer
    fid: int
    facts: dict[str, Any]
    lon: float
    lat: float
    waters: tuple[str, ...]
    about: Text | None


@dataclass(frozen=True)
class Place:
    """Where a page looks (查看范围)."""

    shape: Any
    """Longitude and latitude."""
    basis: Text
    waters: geopandas.GeoDataFrame | None


def table_of(snapshot: Snapshot, layer_id: str) -> PublishedTable | None:
    """A vector layer if it is published."""
    found = snapshot.published(layer_id) if layer_id in snapshot.catalog else None
    return found if isinstance(found, PublishedTable) else None


def frame_of(
    datastore: DataStore, table: PublishedTable | None, query: ItemQuery | None = None
) -> geopandas.GeoDataFrame | None:
    """Features of a layer, None where it is not published."""
    return None if table is None else datastore.vectors.frame(table, query)


def sites_of(datastore: DataStore, rules: SiteRules) -> list[Site]:
    """Every site of the lists that are published: Ramsar sites first, by number.

    Raises
    ------
    LayerNotPublished
        Neither list is published.
    """
    snapshot = datastore.snapshot()
    found: list[Site] = []
    kinds: tuple[tuple[Literal["ramsar", "reserve"], str], ...] = (
        ("ramsar", rules.layers.ramsar),
        ("reserve", rules.layers.reserves),
    )
    seen = False
    for kind, layer_id in kinds:
        table = table_of(snapshot, layer_id)
        if table is None:
            continue
        seen = True
        for fid, row in datastore.vectors.frame(table).iterrows():
            found.append(_site(kind, table.layer, int(fid), row, rules))
    if not seen:
        raise LayerNotPublished(
            f"图层 {rules.layers.ramsar} 与 {rules.layers.reserves} 均未发布，没有湿地专页；"
            f"请运行 onemap layers publish {rules.layers.ramsar} {rules.layers.reserves}",
            f"neither layer {rules.layers.ramsar} nor {rules.layers.reserves} is published, so there is no page; "
            f"run: onemap layers publish {rules.layers.ramsar} {rules.layers.reserves}",
            layer=rules.layers.ramsar,
        )
    return sorted(found, key=lambda site: (site.kind, site.id))


def _plain(value: Any) -> Any:
    import pandas as pd

    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()[:10]
    return value.item() if hasattr(value, "item") else value


def _site(kind: Literal["ramsar", "reserve"], layer: Layer, fid: int, row: Any, rules: SiteRules) -> Site:
    name = str(row["name"])
    facts = {field.name: _plain(row[field.name]) for field in layer.fields}
    entry = rules.entry(layer.id, name)
    if kind == "ramsar":
        # A number that the list itself doubts («2184?») still names the site; the page says that it is doubted.
        digits = re.sub(r"\D", "", str(facts.get("site_no") or "")) or str(fid)
        site_id, title = f"ramsar-{digits}", Text(zh=f"{name}国际重要湿地", en=str(facts.get("name_en") or name))
    else:
        site_id, title = f"reserve-{name}", Text(zh=f"{name}国家级自然保护区", en=f"{name} National Nature Reserve")
    point = row.geometry.representative_point()
    return Site(
        site_id, kind, name, title, layer, fid, facts, float(point.x), float(point.y),
        () if entry is None else entry.waters, None if entry is None else entry.about,
    )  # fmt: skip


def find_site(datastore: DataStore, rules: SiteRules, wanted: str) -> Site:
    """A site by its id, or by its name (of two of a name the Ramsar site).

    Raises
    ------
    FeatureNotFound
        Names the sites that there are.
    """
    sites = sites_of(datastore, rules)
    for site in (*(s for s in sites if s.id == wanted), *(s for s in sites if s.name == wanted)):
        return site
    have = [f"{site.id} {site.name}" if site.kind == "ramsar" else site.id for site in sites]
    raise FeatureNotFound(
        f"名录中没有湿地或保护区 {wanted[:40]!r}，现有：{'、'.join(have)}",
        f"the lists have no wetland or reserve {wanted[:40]!r}; there are {', '.join(have)}",
        layer=rules.layers.ramsar,
        allowed=have,
    )


def place_of(datastore: DataStore, rules: SiteRules, site: Site) -> Place:
    """Where the page of a site looks: its waters and a margin, or a circle around the listed point."""
    import numpy as np
    import shapely

    rule = rules.place
    point = shapely.Point(site.lon, site.lat)
    table = table_of(datastore.snapshot(), rules.layers.waters)
    if site.waters and table is not None:
        near = geodesic_buffer(point, rule.near_m)
        frame = datastore.vectors.frame(table, ItemQuery(area=near))
        chosen = frame[frame["name"].isin(site.waters)]
        if len(chosen):
            outline = shapely.union_all(np.asarray(chosen.geometry.array, dtype=object))
            names = "、".join(site.waters)
            return Place(
                geodesic_buffer(outline, rule.margin_m),
                Text(
                    zh=f"{names}水体轮廓（图层 {table.layer.id}）外扩 {rule.margin_m:g} m；不是湿地或保护区的法定边界",
                    en=f"outline of {names} (layer {table.layer.id}) and {rule.margin_m:g} m around it; "
                    "not the legal boundary of the site",
                ),
                chosen,
            )
    return Place(
        geodesic_buffer(point, rule.radius_m),
        Text(
            zh=f"名录点周围 {rule.radius_m:g} m 的圆；没有公开边界，也没有水体轮廓",
            en=f"a circle of {rule.radius_m:g} m around the listed point; no boundary is public and there is no outline",
        ),
        None,
    )
