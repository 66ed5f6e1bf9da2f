"""Parameters (参数) of the analysis ``wetland-integrity``."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from analyses.water.scene_collection import collection_field
from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["WetlandIntegrityParameters"]


def _year(zh: str, en: str, about_zh: str, about_en: str) -> Any:
    return Field(None, ge=1972, le=2100, json_schema_extra=bilingual(zh, en, about_zh, about_en))


class WetlandIntegrityParameters(Parameters):
    """Parameters (参数) of the integrity of a wetland."""

    collection: str = collection_field()
    sites: str = layer_field(
        "lakes", "湿地图层", "Layer of wetlands", "含字段 name 的面图层。", "Polygons with a field name."
    )
    site: str = Field(
        "洪湖",
        min_length=1,
        max_length=40,
        json_schema_extra=bilingual(
            "湿地名称", "Name of the wetland", "图层字段 name 的值。", "A value of the field name."
        ),
    )
    levels: str | None = layer_field(
        "lake-levels",
        "水位图层",
        "Layer of water levels",
        "有同名站时按等水位配对，否则按同季节。",
        "With a gauge of the name scenes are paired at equal level, else at equal season.",
    )
    baseline_from: int | None = _year(
        "基期起始年", "First year of the baseline", "不填为最早的年份。", "Default: the first year."
    )
    baseline_to: int | None = _year(
        "基期终止年", "Last year of the baseline", "不填为起始年后两年。", "Default: two years after the first."
    )
    current_from: int | None = _year(
        "现状起始年", "First year of the current period", "不填为终止年前两年。", "Default: two years before the last."
    )
    current_to: int | None = _year(
        "现状终止年", "Last year of the current period", "不填为最近的年份。", "Default: the last year."
    )
    baseline_layer: str | None = layer_field(
        None,
        "基期湿地图层",
        "Layer of the baseline",
        "基期湿地的面；须同时给出其水位或月份。",
        "Polygons of the wetland in the baseline; needs its level or months.",
    )
    baseline_raster: str | None = layer_field(
        None,
        "基期地类栅格",
        "Class raster of the baseline",
        "基期地类栅格；须给出湿地编码，及其水位或月份。",
        "Class raster of the baseline; needs its codes of wetland, and its level or months.",
    )
    baseline_codes: tuple[int, ...] = Field(
        (),
        json_schema_extra=bilingual(
            "基期湿地编码", "Codes of wetland", "基期栅格中属湿地的编码。", "Codes of the raster that are wetland."
        ),
    )
    baseline_level_m: float | None = Field(
        None,
        json_schema_extra=bilingual(
            "基期水位", "Level of the baseline", "基期图层对应的水位，米。", "Water level that the baseline shows, m."
        ),
    )
    baseline_months: tuple[int, ...] = Field(
        (),
        json_schema_extra=bilingual(
            "基期月份", "Months of the baseline", "基期图层对应的月份，1–12。", "Months that the baseline shows, 1–12."
        ),
    )

    @model_validator(mode="after")
    def _one_baseline(self) -> Self:
        if self.baseline_layer and self.baseline_raster:
            raise ValueError("baseline_layer and baseline_raster exclude each other")
        if self.baseline_raster and not self.baseline_codes:
            raise ValueError("baseline_raster needs baseline_codes")
        if any(not 1 <= month <= 12 for month in self.baseline_months):
            raise ValueError("baseline_months must be 1 to 12")
        for low, high in ((self.baseline_from, self.baseline_to), (self.current_from, self.current_to)):
            if low is not None and high is not None and low > high:
                raise ValueError("a period must not end before it begins")
        return self
