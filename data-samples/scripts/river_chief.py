"""Synthetic layers of the river chief's desk (合成的河湖长制图层): reaches, management range, works permits, candidates; seed 42.

Lines and outlines are those of the sample layers (rivers, surfaces of the Yangtze and Han, lakes, prefectures); everything
that an authority would decide is made up: division into reaches, persons, units, deadlines, ranges, permits, candidates.
"""

from __future__ import annotations

import itertools
import zlib
from datetime import date, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from corridor_scenes import permits as corridor_permits
from pyproj import Geod, Transformer
from sample_files import SAMPLES, write_features

from spatial.units import geodesic_areas

SEED = 42
CONIC = "+proj=aea +lat_1=29 +lat_2=33 +lat_0=31 +lon_0=112 +ellps=GRS80"
RIVERS = {"长江": "CJ", "汉江": "HJ"}
LAKES = {"洪湖": "HH", "梁子湖": "LZ", "长湖": "CH", "斧头湖": "FT", "汤逊湖": "TX", "东湖": "DH"}
GEOD = Geod(a=6_378_137.0, rf=298.257222101)
_FORWARD = Transformer.from_crs(4490, CONIC, always_xy=True).transform
_BACK = Transformer.from_crs(CONIC, 4490, always_xy=True).transform
PURPOSES = ("码头", "桥梁", "取水口", "穿堤管线", "护岸加固", "航道整治")


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def _plane(shape: Any) -> Any:
    return shapely.transform(shape, lambda xy: np.column_stack(_FORWARD(xy[:, 0], xy[:, 1])))


def _globe(shape: Any) -> Any:
    return shapely.transform(shape, lambda xy: np.column_stack(_BACK(xy[:, 0], xy[:, 1])))


def _persons() -> itertools.chain[str]:
    """合成-甲子, 合成-甲丑 …: names that nobody bears."""
    return itertools.chain(f"合成-{a}{b}" for a in "甲乙丙丁戊己庚辛壬癸" for b in "子丑寅卯辰巳午未申酉戌亥")


def _prefecture_of(points: Any, prefectures: gpd.GeoDataFrame) -> np.ndarray:
    nearest = shapely.STRtree(prefectures.geometry.array).nearest(points)
    return prefectures.name.to_numpy()[nearest]


def _main_course(line: Any) -> Any:
    """The parts of a river in one line from west to east; side arms are left out."""
    parts = sorted(shapely.get_parts(shapely.line_merge(line)), key=lambda part: part.bounds[0])
    course: list[np.ndarray] = []
    for part in parts:
        xy = shapely.get_coordinates(part)
        xy = xy if xy[0, 0] < xy[-1, 0] else xy[::-1]
        if course and xy[-1, 0] <= course[-1][-1, 0] + 0.02:
            continue
        course.append(xy)
    return shapely.LineString(np.concatenate(course))


def _river_reaches(name: str, line: Any, prefectures: gpd.GeoDataFrame, province: Any) -> list[dict[str, Any]]:
    """Reaches of a river, one where it crosses a prefecture; runs under 15 km join the one before."""
    xy = shapely.get_coordinates(_globe(shapely.segmentize(_plane(_main_course(line)), 500)))
    inside = np.flatnonzero(shapely.contains_xy(province, xy[:, 0], xy[:, 1]))
    xy = xy[inside[0] : inside[-1] + 1]
    metres = np.concatenate([[0], np.cumsum(GEOD.line_lengths(xy[:, 0], xy[:, 1]))])
    owner = _prefecture_of(shapely.points(xy), prefectures)
    runs: list[list[Any]] = []
    for i, who in enumerate(owner):
        if runs and (runs[-1][0] == who or set(owner[i : i + 30]) != {who}):
            runs[-1][2] = i
        else:
            runs.append([who, runs[-1][2] if runs else i, i])
    rows = []
    short = dict(zip(prefectures.name, prefectures.short_name, strict=True))
    for number, (who, first, last) in enumerate(runs, 1):
        piece = shapely.simplify(shapely.LineString(xy[first : last + 1]), 0.0004)
        rows.append(
            {
                "code": f"{RIVERS[name]}{number:02d}",
                "name": f"{name}{short[who]}段",
                "water": name,
                "kind": "river",
                "from_m": float(round(metres[first])),
                "to_m": float(round(metres[last])),
                "prefecture": who,
                "geometry": piece,
            }
        )
    return rows


def _lake_reaches(name: str, outline: Any, prefectures: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """Shore of a lake, clockwise from its northernmost point; lakes over 90 km² have two reaches."""
    ring = shapely.get_coordinates(shapely.simplify(outline.exterior, 0.0008))[:-1]
    if shapely.is_ccw(shapely.LinearRing(ring)):
        ring = ring[::-1]
    ring = np.roll(ring, -int(np.argmax(ring[:, 1])), axis=0)
    ring = np.concatenate([ring, ring[:1]])
    metres = np.concatenate([[0], np.cumsum(GEOD.line_lengths(ring[:, 0], ring[:, 1]))])
    large = geodesic_areas([outline])[0] > 90e6
    cut = int(np.argmin(ring[:, 1])) if large else len(ring) - 1
    spans = [(0, cut), (cut, len(ring) - 1)] if large else [(0, cut)]
    rows = []
    for number, (first, last) in enumerate(spans, 1):
        piece = shapely.LineString(ring[first : last + 1])
        who = _prefecture_of([shapely.centroid(outline)], prefectures)[0]
        rows.append(
            {
                "code": f"{LAKES[name]}{number:02d}",
                "name": f"{name}{('东岸', '西岸')[number - 1]}" if large else f"{name}湖岸",
                "water": name,
                "kind": "lake",
                "from_m": float(round(metres[first])),
                "to_m": float(round(metres[last])),
                "prefecture": who,
                "geometry": piece,
            }
        )
    return rows


def _lakes() -> gpd.GeoDataFrame:
    lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg")
    return lakes[lakes.name.isin(list(LAKES))].sort_values("area_km2", ascending=False).drop_duplicates("name")


def river_reaches() -> None:
    """Reaches with chainage, chief, unit and days."""
    prefectures = gpd.read_file(SAMPLES / "base" / "prefectures.gpkg")
    province = gpd.read_file(SAMPLES / "base" / "province.gpkg").geometry.union_all()
    rivers = gpd.read_file(SAMPLES / "base" / "rivers.gpkg")
    rows: list[dict[str, Any]] = []
    for name in RIVERS:
        rows += _river_reaches(name, rivers.geometry[rivers.name == name].union_all(), prefectures, province)
    for lake in _lakes().itertuples():
        rows += _lake_reaches(lake.name, lake.geometry, prefectures)
    random, persons = _random("river-reaches"), iter(_persons())
    for row in rows:
        row["chief"] = next(persons)
        row["unit"] = f"{row.pop('prefecture')}河湖长制办公室（合成）"
        row["check_days"] = int(random.choice([3, 5, 7]))
        row["rectify_days"] = None if random.random() < 0.6 else int(random.choice([30, 45, 60]))
        row["length_km"] = round(GEOD.geometry_length(row["geometry"]) / 1000, 2)
    frame = gpd.GeoDataFrame(rows, crs=4490)
    frame["rectify_days"] = frame.rectify_days.astype("Int64")
    first, days = ["code", "name", "water", "kind", "from_m", "to_m"], ["check_days", "rectify_days"]
    write_features("thematic/river-reaches", frame[[*first, "length_km", "chief", "unit", *days, "geometry"]])


def management_range() -> None:
    """Surface of the river and 500 m beyond, cut by reach; outline of the lake and 100 m beyond."""
    reaches = gpd.read_file(SAMPLES / "thematic" / "river-reaches.gpkg")
    surfaces = gpd.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg").set_index("name").geometry
    rows = []
    for reach in reaches[reaches.kind == "river"].itertuples():
        beside = _plane(reach.geometry).buffer(3000, cap_style="flat", quad_segs=4)
        surface = shapely.intersection(_plane(surfaces[reach.water]), beside)
        shape = _globe(shapely.simplify(surface.buffer(500, quad_segs=4), 60))
        rows.append((f"{reach.name}管理范围", reach.water, "river", reach.code, shape))
    for lake in _lakes().itertuples():
        shape = _globe(shapely.simplify(_plane(lake.geometry).buffer(100, quad_segs=4), 40))
        rows.append((f"{lake.name}管理范围", lake.name, "lake", None, shape))
    frame = gpd.GeoDataFrame(rows, columns=["name", "water", "kind", "reach", "geometry"], crs=4490)
    frame["area_km2"] = np.round(geodesic_areas(frame.geometry.to_numpy()) / 1e6, 3)
    write_features(
        "thematic/management-range", frame[["name", "water", "kind", "reach", "area_km2", "geometry"]], digits=5
    )


def _bank(reach: Any, share: float, aside_m: float, length_m: float, width_m: float) -> Any:
    """A rectangle beside a reach: at a share of its length, so far aside (right positive)."""
    line = _plane(reach.geometry)
    at = share * line.length
    (ax, ay), (bx, by) = (line.interpolate(at + d).coords[0] for d in (-50, 50))
    direction = np.array([bx - ax, by - ay]) / np.hypot(bx - ax, by - ay)
    right = np.array([direction[1], -direction[0]])
    middle = np.array([(ax + bx) / 2, (ay + by) / 2]) + right * aside_m
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    xy = [middle + direction * a * length_m / 2 + right * b * width_m / 2 for a, b in corners]
    return _globe(shapely.Polygon(xy))


def works_permits() -> None:
    """Twenty rectangles on the banks with a holder, a purpose and a term; a third of the terms has ended."""
    random = _random("works-permits")
    reaches = gpd.read_file(SAMPLES / "thematic" / "river-reaches.gpkg")
    rows = []
    for i, reach in enumerate(reaches.sample(18, random_state=SEED, replace=True).itertuples(), 1):
        aside = random.choice([-1, 1]) * random.uniform(350, 650) if reach.kind == "river" else -random.uniform(0, 60)
        shape = _bank(reach, random.uniform(0.1, 0.9), aside, random.uniform(120, 400), random.uniform(60, 160))
        purpose = str(random.choice(PURPOSES))
        begin = date(2022, 1, 1) + timedelta(days=int(random.integers(0, 900)))
        years = 1 if i % 3 == 0 else int(random.integers(6, 12))
        rows.append(
            {
                "number": f"合成许〔{begin.year}〕{i:02d}号",
                "holder": f"合成-项目单位{i:02d}",
                "purpose": purpose,
                "reach": reach.code,
                "valid_from": begin,
                "valid_to": begin.replace(year=begin.year + years, day=min(begin.day, 28)),
                "geometry": shape,
            }
        )
    # Two on planted disturbances of the synthetic scenes at Wuhan, so that a candidate there is found permitted or expired.
    for one in corridor_permits():
        begin = date(2024, 1, 8) if one["valid"] else date(2023, 3, 6)
        rows.append(
            {
                "number": f"合成许〔{begin.year}〕{len(rows) + 1:02d}号",
                "holder": f"合成-项目单位{len(rows) + 1:02d}",
                "purpose": "码头",
                "reach": "CJ05",
                "valid_from": begin,
                "valid_to": date(2030, 1, 8) if one["valid"] else date(2024, 3, 6),
                "geometry": one["geometry"],
            }
        )
    frame = gpd.GeoDataFrame(rows, crs=4490)
    frame["area_m2"] = np.round(geodesic_areas(frame.geometry.to_numpy()), 1)
    for name in ("valid_from", "valid_to"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[ms]").dt.date
    order = ["number", "holder", "purpose", "reach", "valid_from", "valid_to", "area_m2"]
    write_features("thematic/works-permits", frame[[*order, "geometry"]], digits=7)


def river_candidates() -> None:
    """Twelve places that seem changed: on banks, on permits, outside the range; two lie in the sample scenes."""
    random = _random("river-candidates")
    reaches = gpd.read_file(SAMPLES / "thematic" / "river-reaches.gpkg").set_index("code", drop=False)
    permits = gpd.read_file(SAMPLES / "thematic" / "works-permits.gpkg")
    today = date(2026, 9, 1)
    valid = permits[pd.to_datetime(permits.valid_to).dt.date > today].geometry.iloc[0]
    ended = permits[pd.to_datetime(permits.valid_to).dt.date < today].geometry.iloc[0]
    wuhan = reaches[(reaches.water == "长江") & reaches.name.str.contains("武汉")].iloc[0]
    line = wuhan.geometry
    scene = shapely.box(114.52, 30.47, 114.73, 30.68)
    inside = shapely.intersection(line, scene)
    near = (
        shapely.line_locate_point(line, shapely.line_interpolate_point(inside, [0.3, 0.6], normalized=True))
        / line.length
    )
    lake = [reaches.loc["HH01"], reaches.loc["HH02"], reaches.loc["LZ01"], reaches.loc["FT01"]]
    rows = [
        ("武汉江滩疑似堆场", "dumping", _bank(wuhan, near[0], 600, 260, 90), True),
        ("武汉滩地疑似建房", "building", _bank(wuhan, near[1], -620, 110, 45), True),
        *((f"{r['water']}疑似围垦", "occupation", _bank(r, random.uniform(0.2, 0.8), 70, random.uniform(150, 420),
           random.uniform(40, 120)), False) for r in lake),
        ("汉江疑似采砂", "extraction", _bank(reaches.loc["HJ03"], 0.4, 30, 180, 50), False),
        ("许可范围内的施工", "building", _globe(_plane(valid).buffer(-8)), False),
        ("许可到期后的施工", "building", _globe(_plane(ended).buffer(-5)), False),
        ("管理范围外的动土", "other", _bank(reaches.loc["CJ03"], 0.5, 4200, 160, 120), False),
        ("长湖疑似网箱", "occupation", _bank(reaches.loc["CH01"], 0.5, 220, 90, 60), False),
        ("长江疑似乱占滩地", "occupation", _bank(reaches.loc["CJ04"], 0.35, 680, 340, 150), False),
    ]  # fmt: skip
    frame = gpd.GeoDataFrame([{"name": n, "kind": k, "in_scene": s, "geometry": g} for n, k, g, s in rows], crs=4490)
    count = len(frame)
    frame["before_date"] = date(2024, 10, 12)
    frame["after_date"] = [date(2026, 8, 3) + timedelta(days=int(d)) for d in random.integers(0, 40, count)]
    for name in ("before_date", "after_date"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[ms]").dt.date
    frame["before_layer"] = np.where(frame.in_scene, "surface-reflectance-2024", None)
    frame["after_layer"] = np.where(frame.in_scene, "surface-reflectance", None)
    frame["area_m2"] = np.round(geodesic_areas(frame.geometry.to_numpy()), 1)
    order = ["name", "kind", "before_date", "after_date", "area_m2", "before_layer", "after_layer"]
    write_features("thematic/river-candidates", frame[[*order, "geometry"]], digits=7)


STEPS = (river_reaches, management_range, works_permits, river_candidates)
