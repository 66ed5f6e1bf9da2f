"""The list of flights (航摄架次) as a layer of stations: one feature a flight, one station a place, in EDR a series.

It is a copy of what the versions of the orthophotos say, written anew after each flight. Dying in between leaves the list
one flight behind; the next flight, or `show_flights`, catches up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer, Source, Synthetic, Text, attribute
from spatial.errors import LayerNotFound
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["FLIGHTS", "flight_rows", "show_flights"]

FLIGHTS = "uav-flights"
"""Id of the layer."""


def flight_rows(datastore: DataStore) -> list[dict[str, Any]]:
    """Every flight of every orthophoto layer that this server shows, oldest first; geometry as the middle of the picture."""
    from sqlalchemy import select

    from spatial.store.state import LayerVersion
    from spatial.units import geodesic_areas

    snapshot = datastore.snapshot()
    layers = [layer for layer in snapshot.layers() if layer.observed is not None]
    with datastore.state.session() as session:
        query = select(LayerVersion).where(LayerVersion.layer_id.in_([layer.id for layer in layers]))
        versions = session.scalars(query).all()
    import shapely

    rows = []
    for row in versions:
        layer = Layer.model_validate(row.definition)
        if layer.observed is None:
            continue
        west, south, east, north = row.location["extent"]
        box = shapely.box(west, south, east, north)
        rows.append(
            {
                "site": layer.id,
                "title": layer.title.zh,
                "title_en": layer.title.en,
                "time": layer.observed.time,
                "gsd_m": layer.observed.gsd_m,
                "extent_m2": round(float(geodesic_areas([box])[0]), 1),
                "platform": layer.observed.platform,
                "version": row.version,
                "synthetic": layer.synthetic is not None,
                "lon": round((west + east) / 2, 9),
                "lat": round((south + north) / 2, 9),
                "bbox": [west, south, east, north],
            }
        )
    return sorted(rows, key=lambda row: (row["time"], row["site"]))


def _layer(version: str, *, synthetic: bool) -> Layer:
    made = Synthetic(seed=0, recipe=Text(zh="含合成示例影像的架次", en="flights among which are synthetic samples"))
    return Layer(
        id=FLIGHTS,
        title=Text(zh="无人机航摄架次", en="Drone flights"),
        description=Text(
            zh="每个正射影像图层的各架次：时间、分辨率、平台；位置为影像中心",
            en="Flights of every orthophoto layer: time, resolution, platform; placed in the middle of the picture",
        ),
        theme=("thematic", "monitoring"),
        kind="stations",
        source=Source(
            uri="observation/flights",
            version=version,
            sha256="0" * 64,
            licence="CC0-1.0" if synthetic else "internal use",
            attribution=Text(zh="四源观测接入", en="Observations of the bank"),
            origin="spatial.observation",
        ),
        fields=(
            attribute("site", "string", "航摄区", "Site", nullable=False),
            attribute("title", "string", "名称", "Title"),
            attribute("title_en", "string", "英文名称", "English title"),
            attribute("time", "datetime", "航摄时间", "Time", nullable=False),
            attribute("gsd_m", "number", "地面分辨率", "Ground sampling distance", unit="m"),
            attribute("extent_m2", "number", "外接范围面积", "Area of the extent", unit="m2"),
            attribute("platform", "string", "平台", "Platform"),
            attribute("version", "string", "影像版本", "Version of the picture"),
            attribute("synthetic", "boolean", "合成示例", "Synthetic sample"),
        ),
        time_field="time",
        station_field="site",
        style={
            "type": "single", "fill": "#6a1b9a", "stroke": "#ffffff", "width": 1.5, "radius": 6,
            "label": {"field": "title", "min_zoom": 10},
        },
        synthetic=made if synthetic else None,
        keywords=("无人机", "航摄", "UAV", "flight"),
    )  # fmt: skip


def show_flights(datastore: DataStore) -> PublishedTable | None:
    """Write the list of flights as a new version of its layer, if it changed; None if there is no flight."""
    import geopandas
    import pandas as pd
    import shapely

    with datastore.state.editing(FLIGHTS):
        rows = flight_rows(datastore)
        if not rows:
            return None
        try:
            current = datastore.snapshot().published(FLIGHTS)
        except LayerNotFound:
            current = None
        names = [f.name for f in _layer("1", synthetic=False).fields]
        if isinstance(current, PublishedTable):
            held = datastore.vectors.frame(current)
            known = set(zip(held["site"], held["version"], strict=True))
            if known == {(row["site"], row["version"]) for row in rows}:
                return current
        number = 1 + max((int(v.version) for v in datastore.state.versions(FLIGHTS) if v.version.isdigit()), default=0)
        frame = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="fid"))[names]
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        points = shapely.points([(row["lon"], row["lat"]) for row in rows])
        layer = _layer(str(number), synthetic=any(row["synthetic"] for row in rows))
        return datastore.publish_vector(layer, geopandas.GeoDataFrame(frame, geometry=points, crs=4490))
