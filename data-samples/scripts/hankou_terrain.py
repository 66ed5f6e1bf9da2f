"""Synthetic 30 m terrain of Hankou with dikes, polders and detention areas (合成的汉口地形与堤防); seed 42.

Nothing here is a survey: the course of the Yangtze and Han follows the layer «yangtze-han», everything else is drawn by rule.
Heights are in the 1985 national datum (1985 国家高程基准). The crests follow 29.73 m (吴淞, the highest level of Hankou)
brought to 1985 by −1.80 m, the slope of the water surface, and 2 m; the plain behind them lies below 27.30 m (吴淞) in most
places. The terrain has dike bodies as a 30 m grid sees them: their crest falls between the cells, so that the crest lines must
be burnt in.
"""

from __future__ import annotations

import itertools
import zlib

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from sample_files import write_features, write_raster
from sample_grid import SEED, Grid, stepped
from shapely.ops import substring

GRID = Grid(rasterio.Affine(1 / 3600, 0, 114.17, 0, -1 / 3600, 30.70), 792, 900)
"""1″ cells (about 27 × 31 m), 114.17–114.42 E, 30.48–30.70 N."""
YANGTZE = [
    (114.151, 30.400), (114.2414, 30.4971), (114.2872, 30.5757), (114.2998, 30.5925), (114.3113, 30.6099),
    (114.3538, 30.6562), (114.3756, 30.6724), (114.4018, 30.6840), (114.4297, 30.6903), (114.4581, 30.6906),
]  # fmt: skip
HAN = [(114.100, 30.5998), (114.1705, 30.5980), (114.2300, 30.5870), (114.2860, 30.5745)]
SHIFT = -1.80
"""Level in the 1985 datum minus level in 吴淞 at Hankou, as in layers/rules/flood.yml."""
HIGHEST = 29.73
SLOPE = 2.0e-5
KM0 = 1036.0
"""Chainage (made up) of the first vertex of the Yangtze, km; it grows downstream."""
_X, _Y = 111_320 * np.cos(np.radians(30.59)), 110_860.0
_ORIGIN = np.array([114.29, 30.58])


def _metres(geometry):
    return shapely.transform(geometry, lambda xy: (xy - _ORIGIN) * (_X, _Y))


def _degrees(geometry):
    return shapely.transform(geometry, lambda xy: xy / (_X, _Y) + _ORIGIN)


def _smooth(points) -> shapely.LineString:
    """A centre line with its corners cut (Chaikin), in metres."""
    xy = np.asarray(points)
    for _ in range(3):
        a, b = xy[:-1], xy[1:]
        middle = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        xy = np.vstack([xy[:1], middle, xy[-1:]])
    return _metres(shapely.LineString(xy))


YANGTZE_M, HAN_M = _smooth(YANGTZE), _smooth(HAN)
BOX_M = _metres(shapely.box(114.17, 30.48, 114.42, 30.70))

POLDERS = (
    # name, lon, lat, half axes along and across the river m, crest m (1985), operation level at Hankou m (吴淞), grade
    ("天心洲垸", 114.3950, 30.6700, 1500, 620, 26.90, 28.50, 4),
    ("白沙滩垸", 114.2300, 30.4975, 1200, 500, 26.20, 27.80, 5),
    ("江咀垸", 114.3240, 30.6420, 1100, 420, 28.30, 29.60, 4),
)
DETENTION = (
    # name, outline (what lies on the foreland is cut off), crest of the inner dike m (1985), operation level at Hankou and
    # design level m (吴淞)
    ("北湖蓄滞洪区", ((114.275, 30.652), (114.350, 30.652), (114.385, 30.684), (114.335, 30.694), (114.275, 30.690)),
     29.2, 29.50, 29.00),
    ("西滩蓄滞洪区", ((114.180, 30.515), (114.235, 30.509), (114.270, 30.545), (114.225, 30.566), (114.180, 30.570)),
     29.0, 29.73, 28.60),
)  # fmt: skip


def _ellipse(lon: float, lat: float, along: float, across: float) -> shapely.Polygon:
    """An ellipse whose long axis follows the river."""
    centre = _metres(shapely.Point(lon, lat))
    at = shapely.line_locate_point(YANGTZE_M, centre)
    (x0, y0), (x1, y1) = (shapely.line_interpolate_point(YANGTZE_M, at + d).coords[0] for d in (-200, 200))
    turn = np.arctan2(y1 - y0, x1 - x0)
    t = np.linspace(0, 2 * np.pi, 73)[:-1]
    u, v = along * np.cos(t), across * np.sin(t)
    xy = np.c_[u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)]
    return shapely.Polygon(xy + shapely.get_coordinates(centre)[0])


def _forelands() -> shapely.Polygon:
    """Between the dikes: channels, foreland and the polders outside the main dikes."""
    parts = [YANGTZE_M.buffer(950), HAN_M.buffer(320)]
    parts += [_ellipse(lon, lat, along, across).buffer(180) for _, lon, lat, along, across, *_ in POLDERS]
    return shapely.union_all(parts).buffer(250).buffer(-250)


def _level(point_m: shapely.Point, level_wusong: float) -> float:
    """Level of the water surface in the 1985 datum abreast of a point when Hankou has `level_wusong`."""
    hankou = shapely.line_locate_point(YANGTZE_M, _metres(shapely.Point(114.290, 30.580)))
    at = shapely.line_locate_point(YANGTZE_M, point_m)
    return level_wusong + SHIFT - SLOPE * (at - hankou)


def _sections(line_m: shapely.LineString, length: float) -> list[shapely.LineString]:
    count = max(1, round(line_m.length / length))
    ends = np.linspace(0, line_m.length, count + 1)
    return [substring(line_m, a, b) for a, b in itertools.pairwise(ends)]


def _main_dikes() -> list[tuple[str, shapely.LineString]]:
    """The three main dikes, cut at the box."""
    # Beyond the box on purpose, then cut, so that no dike ends before its edge.
    whole = _forelands().boundary.intersection(BOX_M.buffer(60, join_style="mitre"))
    parts = [p for p in shapely.get_parts(shapely.line_merge(whole)) if p.length > 2000]
    names = {}
    for part in parts:
        middle = shapely.line_interpolate_point(part, 0.5, normalized=True)
        x, y = shapely.get_coordinates(_degrees(middle))[0]
        right = shapely.LineString(YANGTZE_M.coords).parallel_offset(500, "right").distance(
            middle
        ) < YANGTZE_M.distance(middle)
        names["武昌江堤" if right else "汉口江堤" if y > 30.595 or x > 114.295 else "汉阳江堤"] = part
    return sorted(names.items())


def _rings() -> list[tuple[str, str, shapely.LineString, float, int]]:
    """Ring dikes of polders and the inner dikes of detention areas."""
    out = []
    for name, lon, lat, along, across, crest, _, grade in POLDERS:
        ring = _ellipse(lon, lat, along, across)
        for part in shapely.get_parts(ring.exterior.intersection(BOX_M)):
            out.append((f"{name}民堤", "polder", part, crest, grade))
    for name, outline, crest, _, _ in DETENTION:
        # Ten metres into the main dike, so that the two meet without a gap.
        ring = _metres(shapely.Polygon(outline)).exterior.difference(_forelands().buffer(-10))
        for part in shapely.get_parts(shapely.line_merge(ring)):
            out.append((f"{name}隔堤", "detention", part, crest, 3))
    return out


def _detention_m(name: str) -> shapely.Polygon:
    """A detention area, up to the main dike."""
    outline = next(d[1] for d in DETENTION if d[0] == name)
    inside = _metres(shapely.Polygon(outline)).difference(_forelands())
    return max(shapely.get_parts(inside), key=lambda p: p.area)


def hankou_dikes() -> None:
    """Crest lines in sections of about 1.5 km with their crest heights at both ends."""
    rows = []
    for name, line in _main_dikes():
        random = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        start = 0.0
        for number, part in enumerate(_sections(line, 1500), start=1):
            ends = [shapely.Point(part.coords[0]), shapely.Point(part.coords[-1])]
            crest = [round(_level(p, HIGHEST) + 2.0, 2) for p in ends]
            rows.append(
                {
                    "name": f"{name}{number:02d}", "dike": name, "kind": "main", "grade": 1,
                    "from_km": round(start / 1000, 3), "to_km": round((start + part.length) / 1000, 3),
                    "crest_from_m": crest[0], "crest_to_m": crest[1], "datum": "1985",
                    "built": int(random.integers(1998, 2006)), "geometry": _degrees(part),
                }
            )  # fmt: skip
            start += part.length
    for name, kind, line, crest, grade in _rings():
        for number, part in enumerate(_sections(line, 1500), start=1):
            rows.append(
                {
                    "name": f"{name}{number:02d}", "dike": name, "kind": kind, "grade": grade,
                    "from_km": round((number - 1) * part.length / 1000, 3), "to_km": round(number * part.length / 1000, 3),
                    "crest_from_m": crest, "crest_to_m": crest, "datum": "1985", "built": None, "geometry": _degrees(part),
                }
            )  # fmt: skip
    frame = gpd.GeoDataFrame(rows, crs=4490)
    frame["built"] = frame.built.astype("Int32")
    write_features("thematic/hankou-dikes", frame, digits=7)


def hankou_river() -> None:
    """Centre lines with the chainage of their ends, drawn downstream; the Han ends in the Yangtze."""
    at = shapely.line_locate_point(YANGTZE_M, shapely.Point(HAN_M.coords[-1]))
    rows = [
        {"name": "长江", "from_km": KM0, "to_km": KM0 + YANGTZE_M.length / 1000, "joins": None, "joins_km": None,
         "geometry": _degrees(YANGTZE_M)},
        {"name": "汉江", "from_km": 0.0, "to_km": HAN_M.length / 1000, "joins": "长江", "joins_km": KM0 + at / 1000,
         "geometry": _degrees(HAN_M)},
    ]  # fmt: skip
    frame = gpd.GeoDataFrame(rows, crs=4490)
    for column in ("from_km", "to_km", "joins_km"):
        frame[column] = frame[column].astype("float64").round(3)
    write_features("thematic/hankou-river", frame)


def polders() -> None:
    """Polders on the foreland (民垸) with the level at Hankou from which they are given up."""
    rows = []
    for name, lon, lat, along, across, crest, operation, _ in POLDERS:
        shape = _degrees(_ellipse(lon, lat, along, across).intersection(BOX_M))
        rows.append(
            {
                "name": name,
                "station": "汉口",
                "operation_m": operation,
                "datum": "吴淞",
                "crest_m": crest,
                "people": 0,
                "geometry": shape,
            }
        )
    frame = gpd.GeoDataFrame(rows, crs=4490)
    random = np.random.default_rng([SEED, zlib.crc32(b"polders")])
    frame["people"] = (np.round(random.uniform(300, 2600, len(frame)) / 10) * 10).astype("int64")
    write_features("thematic/polders", frame)


def detention_areas() -> None:
    """Detention areas (蓄滞洪区) behind the main dikes with operation and design levels and the place of the inlet."""
    rows = []
    mains = shapely.union_all([line for _, line in _main_dikes()])
    for name, _, _, operation, design in DETENTION:
        shared = max(shapely.get_parts(mains.intersection(_detention_m(name).buffer(5))), key=shapely.length)
        gate = shapely.line_interpolate_point(shared, 0.5, normalized=True)
        gate_lon, gate_lat = shapely.get_coordinates(_degrees(gate))[0]
        rows.append(
            {
                "name": name, "station": "汉口", "operation_m": operation, "design_m": design, "datum": "吴淞",
                "inlet_lon": round(float(gate_lon), 6), "inlet_lat": round(float(gate_lat), 6), "inlet_width_m": 300.0,
                "geometry": _degrees(_detention_m(name)),
            }
        )  # fmt: skip
    write_features("thematic/detention-areas", gpd.GeoDataFrame(rows, crs=4490))


def hankou_works() -> None:
    """Pumping stations and sluices (泵站、水闸) at the foot of the main dikes and in the polders."""
    rows = []
    for name, line in _main_dikes():
        for number, share in enumerate((0.2, 0.5, 0.8), start=1):
            point = shapely.line_interpolate_point(line, share, normalized=True)
            inland = shapely.get_point(shapely.shortest_line(BOX_M.difference(_forelands().buffer(120)), point), 0)
            rows.append({"name": f"{name[:2]}泵站{number}", "kind": "pump", "geometry": _degrees(inland)})
    for name, lon, lat, *_ in POLDERS:
        rows.append({"name": f"{name}排水闸", "kind": "sluice", "geometry": shapely.Point(lon, lat)})
    write_features("thematic/hankou-works", gpd.GeoDataFrame(rows, crs=4490))


def _distance(geometry_m, mask: np.ndarray) -> np.ndarray:
    """Distance of the cell centres in `mask` to a geometry, m; infinite elsewhere."""
    lon, lat = np.broadcast_arrays(GRID.lon, GRID.lat)
    x, y = (lon - _ORIGIN[0]) * _X, (lat - _ORIGIN[1]) * _Y
    out = np.full(GRID.shape, np.inf)
    shapely.prepare(geometry_m)
    out[mask] = shapely.distance(shapely.points(x[mask], y[mask]), geometry_m)
    return out


def hankou_terrain() -> None:
    """Terrain (m, 1985) and land cover with people of the box."""
    river = GRID.burned([_degrees(_forelands())]) > 0
    # The plain behind the dikes: mostly below 25.50 m (27.30 m 吴淞), with hollows and a few hills.
    plain = 24.7 + 1.4 * GRID.noise("hankou-plain", 2.5) + 0.35 * GRID.noise("hankou-field", 0.5)
    for lon, lat, high, km in (
        (114.255, 30.553, 62, 0.35),
        (114.312, 30.546, 55, 0.45),
        (114.352, 30.528, 85, 0.6),
        (114.405, 30.515, 60, 0.9),
        (114.212, 30.640, 22, 0.8),
    ):
        plain = plain + high * GRID.near(lon, lat, km)
    rise = np.clip((GRID.lon - 114.36) / 0.06, 0, 1) * np.clip((30.585 - GRID.lat) / 0.05, 0, 1)
    plain = plain + 14 * rise
    lakes = (GRID.noise("hankou-lakes", 0.9) > 1.55) & ~river & (plain < 26)
    plain = np.where(lakes, np.minimum(plain, 18.2), plain)
    for name, *_ in DETENTION:
        inside = GRID.burned([_degrees(_detention_m(name))]) > 0
        plain = np.where(inside, np.minimum(plain, 19.4 + 0.5 * GRID.noise("hankou-detention", 0.9)), plain)
    foreland = 23.1 + 0.5 * GRID.noise("hankou-foreland", 0.7)
    z = np.where(river, foreland, plain)
    for line, half, bed in ((YANGTZE_M, 600.0, 4.0), (HAN_M, 170.0, 9.0)):
        d = _distance(line, river)
        channel = bed + (20.0 - bed) * np.clip(d / half, 0, 1) ** 2 + 0.4 * GRID.noise("hankou-bed", 0.6)
        z = np.where(
            d < half, np.minimum(z, channel), np.where(d < half + 120, np.minimum(z, 20.0 + (d - half) / 120 * 3.2), z)
        )
    polder = np.zeros(GRID.shape, bool)
    for _, lon, lat, along, across, *_ in POLDERS:
        inside = GRID.burned([_degrees(_ellipse(lon, lat, along, across))]) > 0
        polder |= inside
        z = np.where(inside, 22.6 + 0.4 * GRID.noise("hankou-polder", 0.5), z)
    water = (z < 20.2) & river | lakes
    z = z + 0.08 * GRID.noise("hankou-error", 0.08)
    dikes = gpd.read_file(str(write_path("hankou-dikes")))
    for row in dikes.itertuples():
        line = _metres(row.geometry)
        close = GRID.burned([_degrees(line.buffer(60))], touched=True) > 0
        d = _distance(line, close)
        crest = (row.crest_from_m + row.crest_to_m) / 2 - 0.05
        z = np.where(close, np.maximum(z, crest - np.maximum(d - 4.0, 0.0) / 3.0), z)
    write_raster("thematic/hankou-terrain", stepped(z, 1 / 16, -50, 500), GRID.transform, -9999.0, ["elevation"])
    _land(z, water, river, polder)


def write_path(name: str):
    """Path of a thematic sample file."""
    from sample_files import SAMPLES

    return SAMPLES / "thematic" / f"{name}.gpkg"


def _land(z: np.ndarray, water: np.ndarray, river: np.ndarray, polder: np.ndarray) -> None:
    """Land use (codes of «land-use») and people a km²."""
    urban = GRID.near(114.275, 30.600, 5.0) + GRID.near(114.315, 30.545, 4.5) + GRID.near(114.245, 30.552, 3.0)
    land = np.full(GRID.shape, 2)
    land[GRID.noise("hankou-paddy", 0.7) > 0.1] = 1
    land[urban + 0.18 * GRID.noise("hankou-town", 0.5) > 0.52] = 12
    for name, *_ in DETENTION:
        inside = GRID.burned([_degrees(_detention_m(name))]) > 0
        land = np.where(inside & (land == 12), 1, land)
    land[z > 34] = 6
    land[river] = 9
    land[polder] = 2
    land[water] = 10
    people = np.where(land == 12, 6000 + 14000 * np.clip(urban, 0, 1), np.where(land <= 2, 350, 0))
    people = np.where(polder & ~water, 420, people)
    write_raster(
        "thematic/hankou-land",
        np.stack([land.astype("float32"), stepped(people, 50, 0, 40000)]),
        GRID.transform,
        -1.0,
        ["land_use", "people"],
    )


STEPS = (hankou_dikes, hankou_river, polders, detention_areas, hankou_works, hankou_terrain)
"""The terrain reads the dikes: in this order."""
