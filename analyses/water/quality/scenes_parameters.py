"""Parameters (参数) of the analysis ``water-quality-scenes``."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from analyses.water.quality.parameters import Estimate
from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["WaterQualityScenesParameters"]


class WaterQualityScenesParameters(Parameters):
    """Parameters (参数) of water quality over the scenes of a collection."""

    collection: str = layer_field(
        "honghu-optical-scenes",
        "影像集",
        "Collection of scenes",
        "条目须声明反射率类型（onemap:reflectance）；见 onemap scenes list。",
        "Its items must declare their kind of reflectance (onemap:reflectance); see onemap scenes list.",
    )
    first: date | None = Field(
        None,
        json_schema_extra=bilingual(
            "起始日期",
            "First day",
            "含当日（北京时间）；不填为最早一景。",
            "Inclusive (day in China); default the oldest scene.",
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
        "湖泊或水体图层",
        "Lakes or water bodies",
        "统计单元（面），如湖泊名录或水体监测的图斑。",
        "Polygons that are reported on: listed lakes, or the bodies of a water watch.",
    )
    name_field: str = Field(
        "name", json_schema_extra=bilingual("名称字段", "Field of the name", "水体名称。", "Name of the water body.")
    )
    stations: str | None = layer_field(
        "water-quality-sections",
        "测站图层",
        "Layer of stations",
        "可选：测站处 3×3 像元的序列，供星地匹配。",
        "Optional: a series of 3 × 3 cells at each station, for matchups.",
    )
    station_field: str = Field(
        "station", json_schema_extra=bilingual("测站字段", "Field of the station", "测站名称。", "Name of the station.")
    )
    estimates: tuple[Estimate, ...] = Field(
        (),
        json_schema_extra=bilingual(
            "未率定估计",
            "Uncalibrated estimates",
            "按公开系数的估计，只可比较高低，不是浓度；影像须声明所需的反射率。",
            "By published coefficients; they rank, they are no concentrations. The scenes must declare the reflectance needed.",
        ),
    )
    maps: Literal["all", "latest", "none"] = Field(
        "all",
        json_schema_extra=bilingual(
            "逐日图",
            "Dated maps",
            "结果中保留的逐日等级图与指数图：全部（至多 60 期，保留最新）、仅最新一期、不保留。",
            "Maps of level and index by date kept in the result: all (at most 60, the newest), the newest, none.",
        ),
    )
    accept_surface_reflectance: bool = Field(
        False,
        json_schema_extra=bilingual(
            "接受地表反射率",
            "Accept surface reflectance",
            "用陆地校正的地表反射率（如 Sen2Cor）计算指数；结果标明“地表反射率的指数，不是离水反射率的”，估计量仍不计算。",
            "Indices of the surface reflectance of a land correction (Sen2Cor, say); the result is stamped «index of surface "
            "reflectance, not ρw», and estimates stay refused.",
        ),
    )
    accept_unmasked: bool = Field(
        False,
        json_schema_extra=bilingual(
            "接受无云掩膜的影像",
            "Take scenes without a cloud mask",
            "云会被当作水面；水面取湖泊图层。",
            "Cloud counts as water then, and the polygons are the water.",
        ),
    )
