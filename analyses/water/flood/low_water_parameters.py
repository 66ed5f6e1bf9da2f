"""Parameters (参数) of the low-water analysis."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from analyses.water.flood.parameters import GivenOffset, offsets_field
from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["LowWaterParameters"]


class LowWaterParameters(Parameters):
    """Parameters (参数) of the low-water analysis."""

    stations: tuple[str, ...] = Field(
        (),
        max_length=60,
        json_schema_extra=bilingual(
            "水文站",
            "Gauges",
            "站名；不填则序列图层中的全部测站（不能评的列出原因）；指名的站不能评时报错。",
            "Names; default: all gauges of the series, those that cannot be assessed listed with the reason; a gauge that is "
            "named and cannot be assessed is an error.",
        ),
    )
    series: str = layer_field(
        "low-water-levels",
        "水位序列图层",
        "Layer of level series",
        "站点序列（station、time、level_m）；有 kind=forecast 的行作预报（issue_time、sd_m 可选）。",
        "Series (station, time, level_m); rows of kind = forecast are the forecast (issue_time, sd_m optional).",
    )
    lines: str | None = layer_field(
        "low-water-lines",
        "低水特征值图层",
        "Lines of low water",
        "每站旱限水位、生态水位、浅滩河床与维护水深；null 则取测站图层同名字段。",
        "Drought and ecological level, bed of the shoal and depth kept; null: fields of the same name of the gauges.",
    )
    gauges: str = layer_field("river-gauges", "测站图层", "Gauges", "带基准的测站。", "Gauges with their datum.")
    intakes: str | None = layer_field(
        "water-intakes",
        "取水口图层",
        "Intakes",
        "最低取水水位 lowest_m、基准 datum、控制站 station；null 则不评取水口。",
        "Lowest level lowest_m, datum, gauge station; null: intakes are not assessed.",
    )
    issued: datetime | None = Field(
        None,
        json_schema_extra=bilingual(
            "预报发布时间",
            "Issue time",
            "取该次发布的预报（带时区）；不填取最新一次。",
            "The forecast issued at that time (with zone); default: the latest.",
        ),
    )
    offsets: tuple[GivenOffset, ...] = offsets_field()
