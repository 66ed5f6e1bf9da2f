"""Parameters (参数) of the water of one scene."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analyses.water.scene_collection import collection_field
from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["ExtentParameters"]


class ExtentParameters(Parameters):
    """Parameters of the water of one scene (单景水体提取)."""

    collection: str = collection_field()
    scene: str | None = Field(
        None,
        json_schema_extra=bilingual(
            "影像",
            "Scene",
            "影像编号；不填为最新一景可用的影像。",
            "Its id; default the newest scene that can be used.",
        ),
    )
    method: Literal["dswx", "wofs", "mndwi", "awei-nsh", "awei-sh", "sar"] = Field(
        "dswx",
        json_schema_extra=bilingual(
            "方法",
            "Method",
            "五项投票、WOfS 决策树、指数加阈值，或雷达（VV、VH）。",
            "The vote of five tests, the WOfS tree, an index with a threshold, or radar (VV, VH).",
        ),
    )
    sampling: Literal["edge", "all", "fixed"] = Field(
        "edge",
        json_schema_extra=bilingual(
            "阈值取样",
            "Sample of the threshold",
            "指数方法：边缘两侧、全部像元，或用固定阈值。不成两组时用固定阈值。",
            "Of an index: around edges, all cells, or the fixed threshold, which also holds where there are no two groups.",
        ),
    )
    accept_unmasked: bool = Field(
        False,
        json_schema_extra=bilingual(
            "接受无云掩膜的影像",
            "Take a scene without a cloud mask",
            "云和云影会被当作地面。",
            "Cloud and its shadow count as ground then.",
        ),
    )
    hand: str | None = layer_field(
        None,
        "HAND 图层",
        "HAND layer",
        "雷达：高出最近河道的高度（米）；不填则不参与。",
        "Radar: height above the nearest drainage, m; default: takes no part.",
    )
    slope: str | None = layer_field(
        None,
        "坡度图层",
        "Slope layer",
        "雷达：坡度（度）；不填则不参与。",
        "Radar: slope, degrees; default: takes no part.",
    )
