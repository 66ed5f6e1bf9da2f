"""The document of a site (湿地专页文档), the same for JSON and HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from spatial.wetland import figures
from spatial.wetland.sites import PATH, Site, find_site, place_of, sites_of, table_of

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore
    from spatial.wetland.rules import SiteRules

__all__ = ["site_document", "site_map", "sites_document"]


def _href(site: Site) -> str:
    return f"{PATH}/{quote(site.id)}"


def _summary(site: Site) -> dict[str, Any]:
    return {
        "id": site.id,
        "kind": site.kind,
        "name": site.name,
        "title": site.title.model_dump(),
        "lon": round(site.lon, 5),
        "lat": round(site.lat, 5),
        "area_hm2": site.facts.get("area_hm2"),
        "designated": site.facts.get("designated"),
        "waters": list(site.waters),
        "layer": site.layer.id,
        "fid": site.fid,
        "href": _href(site),
    }


def sites_document(datastore: DataStore, rules: SiteRules) -> dict[str, Any]:
    """Every listed site.

    Raises
    ------
    LayerNotPublished
    """
    return {
        "title": rules.title.model_dump(),
        "sites": [_summary(site) for site in sites_of(datastore, rules)],
        "source": rules.sites.source,
    }


def site_document(datastore: DataStore, rules: SiteRules, wanted: str) -> dict[str, Any]:
    """Everything that is known of one site; ``geometry`` members are GeoJSON, longitude and latitude.

    Raises
    ------
    FeatureNotFound, LayerNotPublished
    """
    import orjson
    import shapely

    from spatial.units import geodesic_areas

    site = find_site(datastore, rules, wanted)
    place = place_of(datastore, rules, site)
    used = figures.Used()
    used.add(site.layer)
    waters = table_of(datastore.snapshot(), rules.layers.waters)
    if place.waters is not None and waters is not None:
        used.add(waters.layer)
    collections = figures.collections_of(datastore, place)
    water = figures.water_area(datastore, rules, site, collections, used)
    wetland = figures.wetland_area(datastore, rules, site, collections, used)
    plants = figures.vegetation(datastore, rules, site, collections, used)
    birds = figures.birds(datastore, rules, site, used)
    found = figures.alerts(datastore, rules, place, used)
    geometry = shapely.simplify(place.shape, 1e-4)
    return {
        **_summary(site),
        "about": None if site.about is None else site.about.model_dump(),
        "facts": [
            {
                "name": attribute.name,
                "title": attribute.title.model_dump(),
                "unit": attribute.unit,
                "value": site.facts[attribute.name],
            }
            for attribute in site.layer.fields
        ],
        "facts_source": {
            "attribution": site.layer.source.attribution.model_dump(),
            "origin": site.layer.source.origin,
            "quality": site.facts.get("quality"),
        },
        "place": {
            "basis": place.basis.model_dump(),
            "bbox": [round(float(v), 6) for v in place.shape.bounds],
            "area_km2": round(float(geodesic_areas([place.shape])[0]) / 1e6, 3),
            "geometry": orjson.loads(shapely.to_geojson(shapely.set_precision(geometry, 1e-6))),
        },
        "water": water,
        "wetland": wetland,
        "vegetation": plants,
        "birds": birds,
        "alerts": [
            {**alert, "geometry": orjson.loads(shapely.to_geojson(shapely.simplify(alert["geometry"], 1e-5)))}
            for alert in found
        ],
        "scenes": collections,
        "synthetic": bool(used.synthetic),
        "synthetic_layers": [{"id": layer.id, "title": layer.display_title().model_dump()} for layer in used.synthetic],
        "links": [
            {"rel": "self", "href": _href(site), "type": "application/json"},
            {"rel": "alternate", "href": f"{_href(site)}?f=html", "type": "text/html"},
            {"rel": "up", "href": PATH, "type": "application/json"},
            *(
                {
                    "rel": "item",
                    "href": f"/ogc/collections/{layer.id}",
                    "type": "application/json",
                    "title": f"{layer.display_title().zh} / {layer.display_title().en}",
                }
                for layer in used.layers.values()
            ),
        ],
    }


def site_map(document: dict[str, Any]) -> dict[str, Any]:
    """What the map of a page shows: the place, the listed point and the alerts."""
    shapes = [
        document["place"]["geometry"],
        {"type": "Point", "coordinates": [document["lon"], document["lat"]]},
        *(alert["geometry"] for alert in document["alerts"]),
    ]
    return {
        "bbox": document["place"]["bbox"],
        "synthetic": document["synthetic"],
        "geojson": {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "id": number, "geometry": shape, "properties": {}}
                for number, shape in enumerate(shapes)
            ],
        },
    }
