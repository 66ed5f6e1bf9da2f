"""Parameters (参数) of the land-cover analyses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analyses.landcover.classifier import Method
from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["LandCoverChangeParameters", "LandCoverParameters"]


class LandCoverParameters(Parameters):
    """Parameters (参数) of the land-cover classification."""

    scene: str = layer_field(
        "surface-reflectance",
        "影像图层",
        "Scene layer",
        "地表反射率（0–1），波段依次为 蓝、绿、红、近红外、短波红外 1、短波红外 2；其格网即结果格网。",
        "Surface reflectance (0–1), bands blue, green, red, NIR, SWIR 1, SWIR 2; its grid is that of the result.",
    )
    scene_2: str | None = layer_field(
        None,
        "另一季节的影像图层",
        "Scene of another season",
        "同一格网、同样波段；冬夏两季可分开水田与旱地、常绿与落叶林。",
        "Same grid and bands; summer and winter part paddy from dryland and evergreen from deciduous forest.",
    )
    samples: str = layer_field(
        "landcover-samples",
        "训练样本图层",
        "Layer of training samples",
        "已判读的多边形（或点），每个多边形一类。",
        "Interpreted polygons (or points), one class each.",
    )
    reference: str | None = layer_field(
        None,
        "参考样本图层",
        "Layer of reference samples",
        "独立的概率样本（简单随机、系统，或按本图类别分层），用于面积与精度估计；不能取自训练地块。",
        "An independent probability sample (simple random, systematic, or stratified by this map) for area and "
        "accuracy estimates; not taken from training polygons.",
    )
    elevation: str | None = layer_field(
        None, "高程图层", "Elevation layer", "作为一个特征（m）；不填则不用。", "Used as a feature (m); default: none."
    )
    class_field: str = Field(
        "class",
        json_schema_extra=bilingual(
            "类别字段", "Class field", "样本图层中的类别字段。", "Field of the samples that holds the class."
        ),
    )
    class_mapping: dict[str, int] = Field(
        {},
        json_schema_extra=bilingual(
            "类别对应",
            "Class mapping",
            "样本中的类别 → 用地编码 1–13；不填则样本中就是编码。",
            "Class in the samples → land-use code 1–13; default: the samples hold the codes.",
        ),
    )
    method: Method = Field(
        "random_forest",
        json_schema_extra=bilingual(
            "分类器",
            "Classifier",
            "random_forest 随机森林；gradient_boosting 直方图梯度提升（可用部分波段缺失的像元）。",
            "random_forest, or gradient_boosting (histogram; also takes cells with some features missing).",
        ),
    )
    trees: int = Field(
        300,
        ge=10,
        le=2000,
        json_schema_extra=bilingual(
            "树的数量", "Trees", "随机森林中树的数量。", "Number of trees of the random forest."
        ),
    )
    indices: bool = Field(
        True,
        json_schema_extra=bilingual(
            "使用光谱指数",
            "Use spectral indices",
            "NDVI、MNDWI、NDBI 作为特征。",
            "NDVI, MNDWI and NDBI as features.",
        ),
    )
    all_touched: bool = Field(
        False,
        json_schema_extra=bilingual(
            "取所有触及的像元",
            "All cells touched",
            "样本多边形触及的像元都算；默认只取中心在内的像元（更纯）。",
            "Take every cell that a polygon touches; by default those with the centre inside (purer).",
        ),
    )
    samples_per_class: int = Field(
        5000,
        ge=10,
        le=100_000,
        json_schema_extra=bilingual(
            "每类最多样本数",
            "Most samples a class",
            "超出时随机抽取（按 seed），每个多边形至少保留一个。",
            "Drawn at random beyond it (by seed); every polygon keeps at least one.",
        ),
    )
    untested_classes: Literal["leave_out", "map"] = Field(
        "leave_out",
        json_schema_extra=bilingual(
            "无法检验的类别",
            "Classes that cannot be tested",
            "只有一个多边形的类别：leave_out 不制图；map 照样制图（精度不明）。",
            "Classes with a single polygon: leave_out of the map, or map them although nothing is known of their accuracy.",
        ),
    )
    assess_applicability: bool = Field(
        True,
        json_schema_extra=bilingual(
            "计算适用域",
            "Area of applicability",
            "计算相异指数与适用域；关闭则列为未评价。",
            "Compute dissimilarity and area of applicability; if off it is listed as not assessed.",
        ),
    )
    outside: Literal["keep", "blank"] = Field(
        "keep",
        json_schema_extra=bilingual(
            "适用域外",
            "Outside the area",
            "keep 保留类别并标记；blank 不给类别。",
            "keep the class and mark it, or leave the cell blank.",
        ),
    )
    seed: int = Field(
        0,
        ge=0,
        le=2**31 - 1,
        json_schema_extra=bilingual("随机种子", "Seed", "同一种子，同一结果。", "The same seed gives the same result."),
    )


class LandCoverChangeParameters(Parameters):
    """Parameters (参数) of the change between two land-cover maps."""

    earlier: str = layer_field(
        "land-use-earlier",
        "前期地类图层",
        "Earlier map",
        "第一波段为用地编码 1–13；其格网即结果格网。",
        "Land-use codes 1–13 in the first band; its grid is that of the result.",
    )
    later: str = layer_field(
        "land-use", "后期地类图层", "Later map", "同一格网、同一编码。", "The same grid and the same codes."
    )
    reference: str | None = layer_field(
        None,
        "参考样本图层",
        "Layer of reference samples",
        "独立的概率样本，判读两期地类；用于变化面积的估计和置信区间。",
        "An independent probability sample with both dates interpreted, for estimates of the areas of change.",
    )
    earlier_field: str = Field(
        "earlier",
        json_schema_extra=bilingual(
            "前期字段", "Earlier field", "参考样本中前期地类的字段。", "Field of the earlier class in the reference."
        ),
    )
    later_field: str = Field(
        "later",
        json_schema_extra=bilingual(
            "后期字段", "Later field", "参考样本中后期地类的字段。", "Field of the later class in the reference."
        ),
    )
