"""Parameters of the analysis ``corridor-candidates`` (四乱疑似图斑参数)."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field

from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["CandidateParameters"]


def _layer(default: str | None, zh: str, en: str, about_zh: str, about_en: str) -> Any:
    return layer_field(default, zh, en, about_zh, about_en)


class CandidateParameters(Parameters):
    """Parameters of the corridor candidates (四乱疑似图斑)."""

    collection: str = _layer(
        "corridor-scenes",
        "光学影像集",
        "Collection of optical scenes",
        "见 onemap scenes list。",
        "See onemap scenes list.",
    )
    radar: str | None = _layer(
        "corridor-radar", "雷达影像集", "Collection of radar scenes",
        "VV、VH 后向散射；没有则不查采砂船。", "Backscatter VV, VH; without it no vessels are looked for.",
    )  # fmt: skip
    range: str = _layer("management-range", "管理范围图层", "Layer of the management range", "面图层。", "Polygons.")
    permits: str | None = _layer(
        "works-permits", "涉河许可图层", "Layer of works permits",
        "含 number、valid_from、valid_to。", "With number, valid_from, valid_to.",
    )  # fmt: skip
    reaches: str | None = _layer(
        "river-reaches", "河段图层", "Layer of reaches", "含 code、name、from_m。", "With code, name, from_m."
    )
    zones: str | None = _layer(
        "shoreline-zones", "岸线四区图层", "Layer of the four zones", "含字段 zone。", "With a field zone."
    )
    water: str | None = _layer(
        None, "水体图", "Water map",
        "编码 1、2 为常水面的栅格；不填则由影像求得。", "Raster whose codes 1 and 2 are lasting water; default: from the scenes.",
    )  # fmt: skip
    changed_after: date | None = Field(
        None,
        json_schema_extra=bilingual(
            "前后时相分界日", "First day of the period after",
            "此日（UTC）以前为前期；不填则首景后一年。", "What is earlier (UTC) is the period before; default: the first year.",
        ),
    )  # fmt: skip
    least_change: float | None = Field(
        None,
        ge=0,
        le=20,
        json_schema_extra=bilingual(
            "变化量下限", "Least magnitude of a change", "不填用规则文件。", "Default: that of the rule file."
        ),
    )
