"""Parameters (参数) of the analysis ``water-quality``."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["Estimate", "WaterQualityParameters"]

Kind = Literal["rho_w", "rrs", "rho_rc", "rho_s", "toa"]
Estimate = Literal[
    "chl_mishra",
    "chl_gons",
    "chl_moses",
    "chl_oc3",
    "turbidity_dogliotti",
    "turbidity_nechad",
    "spm_nechad",
    "spm_novoa",
    "secchi",
]


class WaterQualityParameters(Parameters):
    """Parameters (参数) of water quality from one scene."""

    scene: str = layer_field(
        "lake-water-reflectance",
        "影像图层",
        "Scene layer",
        "一景影像，波段以通用名命名（coastal、blue、green、red、rededge1–3、nir、nir08、swir1）；其格网即结果格网。",
        "One scene; bands have their common names (coastal, blue, green, red, rededge1–3, nir, nir08, swir1); its grid is "
        "that of the result.",
    )
    reflectance: Kind = Field(
        json_schema_extra=bilingual(
            "反射率类型",
            "Kind of reflectance",
            "必须声明：rho_w 离水、rrs 遥感、rho_rc 瑞利校正、rho_s 地表（Sen2Cor）、toa 表观。公式所需的类型不符即不评价。",
            "To be declared: rho_w water-leaving, rrs remote-sensing, rho_rc Rayleigh-corrected, rho_s surface (Sen2Cor), toa. A "
            "formula that needs another kind is not assessed.",
        ),
    )
    sensor: Literal["sentinel2", "landsat8"] = Field(
        json_schema_extra=bilingual(
            "传感器",
            "Sensor",
            "决定波长与系数（landsat8 含 9 号）。",
            "Sets wavelengths and coefficients (landsat8: 9 too).",
        ),
    )
    scene_2: str | None = layer_field(
        None,
        "同一景的另一种反射率",
        "The same scene in another reflectance",
        "例如影像为离水反射率时，FAI 与水华所需的瑞利校正反射率；同一格网。",
        "For example the Rayleigh-corrected one that FAI and bloom need beside water-leaving reflectance; same grid.",
    )
    reflectance_2: Kind | None = Field(
        None,
        json_schema_extra=bilingual(
            "第二个反射率类型", "Kind of the second", "给出 scene_2 时必填。", "Needed with scene_2."
        ),
    )
    water_map: str | None = layer_field(
        None,
        "水体图",
        "Water map",
        "水体提取的分类结果（含云、云影、耀斑、冰雪编码），同一格网。",
        "Result of water extent (with its codes of cloud, shadow, glint, snow), on the same grid.",
    )
    clouds: Literal["masked", "declared_clear"] = Field(
        "masked",
        json_schema_extra=bilingual(
            "云",
            "Clouds",
            "masked：由水体图给出；没有水体图时须声明 declared_clear（无云），水面取湖泊图层。",
            "masked: by the water map; without one you must declare the scene declared_clear, and the lakes layer is the water.",
        ),
    )
    lakes: str = layer_field("lakes", "湖泊图层", "Lakes", "统计单元（面）。", "Polygons that are reported on.")
    name_field: str = Field(
        "name", json_schema_extra=bilingual("名称字段", "Field of the name", "湖泊名称。", "Name of the lake.")
    )
    macrophytes: str | None = layer_field(
        None,
        "水草图层",
        "Macrophytes",
        "1 为水生植被的栅格（多期影像得出）；没有时水华可能含水草。",
        "Raster with 1 for macrophytes (from many dates); without it bloom may hold plants.",
    )
    estimates: tuple[Estimate, ...] = Field(
        (),
        json_schema_extra=bilingual(
            "未率定估计",
            "Uncalibrated estimates",
            "按公开系数的估计，只可比较高低，不是浓度。",
            "By published coefficients; they rank, they are no concentrations.",
        ),
    )
    sun_zenith_deg: float | None = Field(
        None,
        ge=0,
        lt=80,
        json_schema_extra=bilingual(
            "太阳天顶角", "Sun zenith angle", "透明度用（度）。", "For the Secchi depth, degrees."
        ),
    )
    time: AwareDatetime | None = Field(
        None,
        json_schema_extra=bilingual(
            "成像时间",
            "Time of the scene",
            "带时区，如 2024-07-05T03:00:00Z；给出后另写湖泊序列，可与断面同图。",
            "With its zone, 2024-07-05T03:00:00Z say; then lake series are written too, for one chart with the sections.",
        ),
    )
    matchups: str | None = layer_field(
        None,
        "星地匹配图层",
        "Matchups",
        "字段为匹配点的指数、实测值与分组（日期或地点）；至少 30 组，分组交叉验证通过才给出浓度。",
        "Fields: index at the matchup, measured value, group (date or place); at least 30, and the grouped test must pass.",
    )
    index_field: str = Field(
        "ndci", json_schema_extra=bilingual("指数字段", "Field of the index", "匹配点的 NDCI。", "NDCI at the matchup.")
    )
    measured_field: str = Field(
        "chl_a",
        json_schema_extra=bilingual(
            "实测字段", "Field of the measurement", "叶绿素 a，mg/m³。", "Chlorophyll a, mg/m³."
        ),
    )
    group_field: str = Field(
        "date",
        json_schema_extra=bilingual(
            "分组字段",
            "Field of the group",
            "日期或地点，同组不分到训练与检验两边。",
            "Date or place; a group is never split.",
        ),
    )
