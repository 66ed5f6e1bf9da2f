"""Parameters (参数) of the flood rehearsal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spatial.jobs.contract import Parameters, bilingual, layer_field

__all__ = ["FloodRehearsalParameters", "GivenOffset", "offsets_field"]


class GivenOffset(BaseModel):
    """An offset of the datum at one station given for one run (本次运行的高程基准改正数).

    Level in `target` = level in `datum` + `add_m`. Source and uncertainty are required: nobody can check a bare number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    station: str = Field(min_length=1, max_length=60)
    datum: str = Field(min_length=1, max_length=40)
    target: str = Field(min_length=1, max_length=40)
    add_m: float = Field(ge=-50, le=50)
    uncertainty_m: float = Field(gt=0, le=5)
    """Standard deviation, m."""
    source: str = Field(min_length=8, max_length=400)


def offsets_field() -> Any:
    """The parameter ``offsets``, alike in every analysis that refers levels of gauges."""
    return Field(
        (),
        max_length=40,
        json_schema_extra=bilingual(
            "高程基准改正数",
            "Datum offsets",
            "本次运行使用的改正数：station、datum、target、add_m（m）、uncertainty_m（标准差，m）、source（出处，必填）；"
            "优先于规则文件，写入结果的溯源。",
            "Offsets for this run: station, datum, target, add_m (m), uncertainty_m (standard deviation, m), source (required); "
            "taken before those of the rule file and stamped on the result.",
        ),
    )


class FloodRehearsalParameters(Parameters):
    """Parameters (参数) of the flood rehearsal (洪水预演)."""

    station: str = Field(
        "汉口",
        min_length=1,
        json_schema_extra=bilingual(
            "水文站",
            "Gauge",
            "水位所在的测站，取自测站图层的 name 字段。",
            "Gauge of the levels, field name of the gauges layer.",
        ),
    )
    levels_m: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        max_length=6,
        json_schema_extra=bilingual(
            "水位",
            "Levels",
            "该站水位（m，本站基准），1–6 个；不填则取警戒与保证水位，给了预报序列则取其洪峰。",
            "Levels at the gauge (m, its own datum), 1 to 6; default: its warning and guarantee levels, or the crest of the "
            "forecast.",
        ),
    )
    other_levels: dict[str, float] = Field(
        {},
        json_schema_extra=bilingual(
            "其他站水位",
            "Levels at other gauges",
            "同河其他站的同时水位，用于沿程内插；只能与一个水位同用。",
            "Levels at other gauges of the same river at the same time, to interpolate along it; with one level only.",
        ),
    )
    forecast: str | None = layer_field(
        None,
        "预报或实测水位序列图层",
        "Layer of level series",
        "站点序列图层（station、time、level_m）；给出后预演其洪峰并计算淹没天数。",
        "Layer of series (station, time, level_m); its crest is rehearsed and flood days are counted.",
    )
    issued: datetime | None = Field(
        None,
        json_schema_extra=bilingual(
            "预报发布时间",
            "Issue time",
            "取该次发布的预报（带时区）；不填取最新一次。序列图层须有 issue_time 字段。",
            "The forecast issued at that time (with zone); default: the latest. The series needs the field issue_time.",
        ),
    )
    horizons_h: tuple[float, ...] = Field(
        (24.0, 48.0, 72.0, 96.0, 120.0),
        max_length=12,
        json_schema_extra=bilingual(
            "预见期",
            "Lead times",
            "自发布时间起逐个预演的小时数；只用于带发布时间的预报。",
            "Hours after the issue time that are rehearsed one by one; for a forecast with an issue time only.",
        ),
    )
    level_sd_m: float | None = Field(
        None,
        ge=0,
        le=5,
        json_schema_extra=bilingual(
            "水位不确定度",
            "Uncertainty of the levels",
            "给定水位的标准差（m）；预报自带 sd_m 时以预报为准；不填则措施不注明是否可靠。",
            "Standard deviation of the levels given (m); a forecast with sd_m has its own; default: not known.",
        ),
    )
    scenario: Literal["intact", "breach", "detention"] = Field(
        "intact",
        json_schema_extra=bilingual(
            "堤防情景",
            "Scenario of the dikes",
            "intact 堤防完好（超过堤顶即漫溢）；breach 指定点溃口；detention 启用蓄滞洪区。",
            "intact: dikes hold (and are overtopped above their crest); breach: at given points; detention: areas opened.",
        ),
    )
    breaches: tuple[tuple[float, float], ...] = Field(
        (),
        max_length=20,
        json_schema_extra=bilingual(
            "溃口位置",
            "Breaches",
            "溃口点的经度、纬度（CRS84，经度在前），吸附到最近堤线。",
            "Longitude and latitude of each breach (CRS84), moved to the nearest dike.",
        ),
    )
    breach_width_m: float | None = Field(
        None,
        gt=0,
        le=20000,
        json_schema_extra=bilingual("溃口宽", "Width of the breach", "m；不填取规则值。", "m; default: by the rules."),
    )
    breach_sill_m: float | None = Field(
        None,
        json_schema_extra=bilingual(
            "口门底高程",
            "Sill of the breach",
            "m，地形基准；不填取堤脚两侧地面的较高者。",
            "m, datum of the terrain; default: the higher ground at the foot of the dike.",
        ),
    )
    opened: tuple[str, ...] = Field(
        (),
        max_length=20,
        json_schema_extra=bilingual(
            "启用的蓄滞洪区",
            "Detention areas opened",
            "名称；不填则启用达到运用水位的。",
            "Names; default: those whose operation level is reached.",
        ),
    )
    terrain: str = layer_field(
        "hankou-terrain",
        "地形图层",
        "Terrain layer",
        "高程（m），其格网即结果格网；基准与误差须在 flood.yml 中。",
        "Elevation (m), its grid is that of the result; datum and error must be in flood.yml.",
    )
    river: str = layer_field(
        "hankou-river",
        "河道中心线图层",
        "Centre lines",
        "带两端里程的中心线，向下游绘制。",
        "Centre lines with chainage, drawn downstream.",
    )
    strips: str | None = layer_field(
        None,
        "断面条带图层",
        "Strips",
        "flood-strips 预先算好的断面条带；与地形格网、河道不符即报错；不填则现算，结果相同。",
        "Strips prepared by flood-strips, refused when out of date; default: made in the run, same result.",
    )
    dikes: str | None = layer_field(
        "hankou-dikes",
        "堤防图层",
        "Dike layer",
        "带堤顶高程的堤线；null 则无堤。",
        "Crest lines with heights; null: no dikes.",
    )
    gauges: str = layer_field(
        "river-gauges",
        "测站图层",
        "Gauges",
        "带特征水位与基准的测站。",
        "Gauges with levels and datum.",
    )
    land: str | None = layer_field(
        "hankou-land",
        "土地利用图层",
        "Land-use layer",
        "波段 land_use，可另有 people（人/km²）；null 则不统计耕地与人口。",
        "Band land_use and, if there is one, people (per km²); null: cropland and people are not assessed.",
    )
    offsets: tuple[GivenOffset, ...] = offsets_field()

    @field_validator("horizons_h")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < v <= 24 * 30 for v in value) or list(value) != sorted(set(value)):
            raise ValueError("lead times ascend, in hours, at most 720 / 预见期须递增，以小时计，不超过 720")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.scenario == "breach" and not self.breaches:
            raise ValueError("scenario breach needs breaches / 溃口情景须给出溃口位置 breaches")
        if self.scenario != "breach" and self.breaches:
            raise ValueError("breaches need scenario=breach / 给出溃口位置时 scenario 须为 breach")
        if self.scenario != "detention" and self.opened:
            raise ValueError("opened needs scenario=detention / 给出蓄滞洪区时 scenario 须为 detention")
        if self.levels_m is not None:
            if not all(-100 < v < 9000 for v in self.levels_m):
                raise ValueError("levels must be heights in m / 水位须为以 m 计的高程")
            if len(set(self.levels_m)) < len(self.levels_m):
                raise ValueError("a level is given twice / 水位重复")
        for lon, lat in self.breaches:
            if not (70 <= lon <= 140 and 0 <= lat <= 60):
                raise ValueError("breaches are (longitude, latitude) / 溃口位置为（经度，纬度）")
        if self.other_levels and (self.levels_m is None or len(self.levels_m) != 1):
            raise ValueError("other_levels need exactly one level / other_levels 只能与一个水位同用")
        if self.issued is not None and (self.forecast is None or self.issued.tzinfo is None):
            raise ValueError("issued needs a forecast and a time zone / issued 须与 forecast 同用并带时区")
        return self
