"""Parameters of the dual evaluation (双评价参数)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analyses.suitability import UrbanSuitabilityParameters
from spatial.jobs.contract import bilingual, layer_field

__all__ = ["DualEvaluationParameters", "Level"]

Level = Literal["county", "prefecture", "province"]


class DualEvaluationParameters(UrbanSuitabilityParameters):
    """Parameters (参数) of the dual evaluation; the values used stand in the result."""

    units: Level = Field(
        "county",
        json_schema_extra=bilingual(
            "统计单元",
            "Reporting units",
            "面积表和承载力表的单元：county 县级、prefecture 市州、province 全省。",
            "Units of the tables: county, prefecture or province.",
        ),
    )
    land_use: str = layer_field(
        "land-use",
        "土地利用图层",
        "Land-use layer",
        "土地利用的图层编号；可用地表覆盖分类（land-cover）发布的结果，类别代码须相同。",
        "Layer of land use; a published result of land-cover does, its class codes are the same.",
    )
    profile: Literal["2019", "2020"] = Field(
        "2020",
        json_schema_extra=bilingual(
            "承载规模与冲突采用的规则",
            "Rules for capacity and conflicts",
            "2020：扣除生态极重要和一票否决区；2019：只用判别矩阵。两套适宜性结果总是一并给出。",
            "2020 takes off extremely important and knocked-out land; 2019 uses the matrices only. Both are always given.",
        ),
    )
    water_indicator: Literal["precipitation", "dryness", "quota"] = Field(
        "precipitation",
        json_schema_extra=bilingual(
            "农业水资源指标",
            "Water indicator for farming",
            "precipitation 年降水、dryness 干燥度、quota 用水总量控制指标模数，三选一。",
            "Annual precipitation, dryness, or the modulus of the water quota.",
        ),
    )
    ecology_method: Literal["model", "npp"] = Field(
        "model",
        json_schema_extra=bilingual(
            "生态评价方法",
            "Method for ecology",
            "model 模型评价法；npp NPP 定量指标法。两法结果差异大，一次运行只用一种。",
            "Model method or NPP method; the two differ much and are never mixed in a run.",
        ),
    )
    soil_method: Literal["model", "annex", "both"] = Field(
        "model",
        json_schema_extra=bilingual(
            "水土保持评价方法",
            "Method for soil conservation",
            "model 按 RUSLE 服务量排序；annex 按 2020 指南附录的坡度与覆盖度；both 两者取高值。只用于模型评价法。",
            "model ranks the RUSLE service; annex uses slope and cover of the 2020 annex; both takes the higher. Model method "
            "only.",
        ),
    )
    sensitivity_breaks: str = Field(
        "rule-file",
        max_length=40,
        json_schema_extra=bilingual(
            "敏感性指数分级",
            "Classes of the sensitivity index",
            "rule-file 用规则文件的默认；或写规则文件中一组分级的名称，如 code（2.33、3.66）、guide_2017（2.0、4.0）。",
            "rule-file: the default of the rule file; or the name of a set in it, such as code (2.33, 3.66) or guide_2017 "
            "(2.0, 4.0).",
        ),
    )
