"""Parameters (参数) of the water watch."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["WatchParameters"]


class WatchParameters(Parameters):
    """Parameters of the water watch (水体监测)."""

    collection: str = layer_field(
        "honghu-scenes",
        "影像集",
        "Collection of scenes",
        "见 /api/v1/scenes 或 onemap scenes list。",
        "See /api/v1/scenes or onemap scenes list.",
    )
    first: date | None = Field(
        None,
        json_schema_extra=bilingual(
            "起始日期", "First day", "含当日；不填为最早一景。", "Inclusive; default the oldest scene."
        ),
    )
    last: date | None = Field(
        None,
        json_schema_extra=bilingual(
            "结束日期", "Last day", "含当日；不填为最新一景。", "Inclusive; default the newest scene."
        ),
    )
    lakes: str = layer_field(
        "lakes",
        "湖泊名录图层",
        "Layer of listed lakes",
        "含字段 name 的面图层；名录湖泊不按形状归为坑塘或河流。",
        "Polygons with a field name; a listed lake is never taken for a pond or river by its shape.",
    )
    levels: str | None = layer_field(
        "lake-levels",
        "水位图层",
        "Layer of water levels",
        "站点序列，字段 lake、time、level_m；同名湖泊用它做同水位比较，缺则用水位指数。",
        "Station series with lake, time, level_m; lakes of that name are compared at equal level, others by the level index.",
    )
    protection: str | None = layer_field(
        "lake-protection-lines",
        "湖泊保护线图层",
        "Layer of protection lines of lakes",
        "面图层，字段 name、water_km2（须保持的水面），可有 zone、level_m、area_km2、ecological_level_m；"
        "缺则“面积不减”为无法判定。其中的水体也作为名录水体。",
        "Polygons with name, water_km2 (water to be kept), optional zone, level_m, area_km2, ecological_level_m; without it "
        "«area not reduced» cannot be judged. Its waters count as listed too.",
    )
    shore: str | None = layer_field(
        None,
        "岸段图层",
        "Layer of shore sections",
        "shoreline-watch 的断面成果或岸段图层，字段 shore（natural、artificial、unknown）；用于自然岸线保有率。",
        "Transects of a run of shoreline-watch or sections of the shore with a field shore (natural, artificial, unknown), "
        "for the natural share of the shore.",
    )
    earlier: str | None = layer_field(
        None,
        "上一次的水体图斑",
        "Bodies of an earlier run",
        "上一次 water-watch 成果的图斑图层；图斑编号由它继承，并列出分裂、合并、新出现、不再成斑。",
        "Layer of bodies of an earlier run of water-watch: ids are inherited from it; what split, merged, came and went is "
        "listed.",
    )
    least_clear: float = Field(
        10,
        ge=1,
        le=1000,
        json_schema_extra=bilingual(
            "最少有效次数",
            "Least clear observations",
            "图斑内平均有效观测少于它则不成为水体图斑（规则文件的 60 次针对几十年的影像集）。",
            "A body with a smaller mean clear count is dropped (the rule file's 60 is meant for decades of scenes).",
        ),
    )
    series_area_ha: float = Field(
        10,
        ge=0.1,
        le=1e6,
        json_schema_extra=bilingual(
            "成序列的最小面积",
            "Least area for a series",
            "公顷；更小的图斑只有面与频率。",
            "ha; smaller bodies have polygon and frequency only.",
        ),
    )
    dated_maps: Literal["all", "latest", "none"] = Field(
        "all",
        json_schema_extra=bilingual(
            "逐日水体图",
            "Dated water maps",
            "结果中保留的逐日水体分类图：全部（至多 120 幅，保留最新）、仅最新一幅、不保留。",
            "Water maps by date kept in the result: all (at most 120, the newest), the newest, none.",
        ),
    )
