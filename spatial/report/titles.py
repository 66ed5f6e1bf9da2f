"""Titles of the tables and columns of a run (表名与列名) in both languages; a name that is not known here stays as it is."""

from __future__ import annotations

from spatial.catalog import Text

__all__ = ["column_title", "table_title", "word_title"]

_TABLES: dict[str, tuple[str, str]] = {
    "offsets": ("高程基准改正数", "Corrections of the datum"),
    "verdict": ("能否判定", "Whether it can be decided"),
    "warning": ("预警", "Warnings"),
    "exposure": ("影响对象", "What is affected"),
    "exposure_by_county": ("分县影响", "What is affected, by county"),
    "area_exposure": ("民垸与蓄滞洪区内的对象", "What lies in polders and detention areas"),
    "roads": ("受淹道路", "Flooded roads"),
    "works": ("受影响的水利工程", "Works affected"),
    "levels": ("各级水位的淹没", "Flooding by level"),
    "basins": ("连通的低地", "Connected basins"),
    "dike_states": ("堤段状态统计", "Dike sections by state"),
    "dike_sections": ("堤段状态", "Dike sections"),
    "areas": ("民垸与蓄滞洪区的运用", "Use of polders and detention areas"),
    "plan": ("处置预案", "Plan of measures"),
    "schedule": ("启用时序", "Schedule"),
    "breaches": ("溃口", "Breaches"),
    "forecast": ("预报", "Forecast"),
    "daily_levels": ("逐日最高水位", "Highest level of each day"),
    "stations": ("测站", "Stations"),
    "intakes": ("取水口", "Intakes"),
    "navigation": ("航道", "Navigation"),
    "refused": ("未采用的数据", "Data not used"),
}
_COLUMNS: dict[str, tuple[str, str]] = {
    "station": ("测站", "Station"),
    "datum": ("原基准", "Datum"),
    "target": ("目标基准", "Target datum"),
    "add": ("改正数", "Added"),
    "uncertainty": ("标准差", "Standard deviation"),
    "source": ("出处", "Source"),
    "given_for_run": ("本次指定", "Given for this run"),
    "verdict": ("结论", "Verdict"),
    "decidable": ("可判定", "Decidable"),
    "difference": ("水位差", "Difference"),
    "sigma_terrain": ("地形误差", "Error of the terrain"),
    "reason": ("原因", "Reason"),
    "level": ("水位", "Level"),
    "level_terrain": ("水位（地形基准）", "Level (datum of the terrain)"),
    "grade": ("级别", "Grade"),
    "title": ("名称", "Title"),
    "action": ("措施", "Measure"),
    "color": ("颜色", "Colour"),
    "above": ("超过", "Above"),
    "to_next": ("距上一级", "To the next grade"),
    "missing": ("缺少", "Missing"),
    "low_water": ("低水", "Low water"),
    "where": ("位置", "Where"),
    "depth": ("水深", "Depth"),
    "area": ("面积", "Area"),
    "cropland": ("耕地", "Cropland"),
    "built": ("建设用地", "Built-up land"),
    "people": ("人口", "People"),
    "class": ("等级", "Class"),
    "length": ("长度", "Length"),
    "county": ("县", "County"),
    "counties": ("涉及县", "Counties"),
    "roads": ("道路", "Roads"),
    "name": ("名称", "Name"),
    "works": ("水利工程", "Works"),
    "flooded": ("淹没面积", "Flooded"),
    "between_dikes": ("堤间水面", "Between the dikes"),
    "mean_depth": ("平均水深", "Mean depth"),
    "max_depth": ("最大水深", "Greatest depth"),
    "below_not_connected": ("低于水位但不连通", "Below the level, not connected"),
    "parts": ("片数", "Parts"),
    "valid_share": ("有效比例", "Valid share"),
    "flag": ("标识", "Flag"),
    "crest": ("堤顶高程", "Crest"),
    "reserve": ("余量", "Reserve"),
    "lon": ("经度", "Longitude"),
    "lat": ("纬度", "Latitude"),
    "state": ("状态", "State"),
    "status": ("状态", "Status"),
    "sections": ("堤段数", "Sections"),
    "section_names": ("堤段", "Names of the sections"),
    "dike": ("堤防", "Dike"),
    "margin": ("超高", "Freeboard"),
    "water": ("水面高程", "Water"),
    "required": ("要求超高", "Required"),
    "kind": ("类别", "Kind"),
    "operation": ("启用水位", "Level of use"),
    "short": ("尚差", "Short of it"),
    "certainty": ("把握", "Certainty"),
    "day": ("日期", "Day"),
    "time": ("时间", "Time"),
}
_UNITS: dict[str, tuple[str, str]] = {
    "m": ("m", "m"),
    "km": ("km", "km"),
    "km2": ("km²", "km²"),
    "hm2": ("hm²", "hm²"),
    "m2": ("m²", "m²"),
    "mu": ("亩", "mu"),
    "percent": ("%", "%"),
    "h": ("h", "h"),
}
_WORDS: dict[str, tuple[str, str]] = {
    "detention": ("蓄滞洪区", "detention area"),
    "polder": ("民垸", "polder"),
    "dike": ("堤防", "dike"),
    "gauge": ("水文站", "gauge"),
    "operate": ("达到启用条件", "to be used"),
    "none": ("未达到", "not reached"),
    "overtopped": ("漫溢", "overtopped"),
    "low_freeboard": ("超高不足", "freeboard short"),
    "holds": ("安全", "holds"),
    "dry": ("未临水", "dry"),
    "warning": ("超警戒", "above warning"),
    "guarantee": ("超保证", "above guarantee"),
    "flooded": ("淹没区", "flooded"),
    "released": ("启用的蓄滞洪区", "released"),
    "expressway": ("高速公路", "expressway"),
    "national": ("国道", "national road"),
    "provincial": ("省道", "provincial road"),
}
_WORD_COLUMNS = frozenset({"kind", "status", "state", "where", "class", "grade"})


def table_title(name: str) -> Text:
    """Title of a table.

    >>> table_title("plan").zh, table_title("my_own").en
    ('处置预案', 'my own')
    """
    plain = name.replace("_", " ")
    zh, en = _TABLES.get(name, (plain, plain))
    return Text(zh=zh, en=en)


def column_title(key: str) -> Text:
    """Title of a column; the unit that ends its name stands in brackets.

    >>> column_title("cropland_mu").zh, column_title("flooded_km2").en, column_title("title_zh").zh, column_title("x_y").en
    ('耕地（亩）', 'Flooded (km²)', '名称', 'x y')
    """
    name = key.removesuffix("_zh")
    if name in _COLUMNS:
        zh, en = _COLUMNS[name]
        return Text(zh=zh, en=en)
    stem, _, unit = name.rpartition("_")
    if stem in _COLUMNS and unit in _UNITS:
        (zh, en), (unit_zh, unit_en) = _COLUMNS[stem], _UNITS[unit]
        return Text(zh=f"{zh}（{unit_zh}）", en=f"{en} ({unit_en})")
    plain = name.replace("_", " ")
    return Text(zh=plain, en=plain)


def word_title(key: str, value: str) -> Text | None:
    """A coded value of a column in words, None where it is no code known here.

    >>> word_title("kind", "polder").zh, word_title("name", "polder")
    ('民垸', None)
    """
    found = _WORDS.get(value) if key in _WORD_COLUMNS else None
    return Text(zh=found[0], en=found[1]) if found else None
