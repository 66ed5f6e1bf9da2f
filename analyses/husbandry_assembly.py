"""Livestock and fishery put together (畜牧业、渔业): what a run has of their masks, and their classes block by block.

Both follow from results of the second pass (class of cropping, importance for ecology), so they are found there; only the
masks are made before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import Prepared, annual_rain
from analyses.assessment import Block, Source, Terrain
from analyses.blocks import Arrays, Window
from analyses.evaluation_result import SUITABILITY, AreaTally, Unit, area_rows
from analyses.husbandry import (
    FISHERY_REASONS,
    LIVESTOCK_REASONS,
    FisheryReason,
    HusbandryRules,
    LivestockReason,
    ban_waters,
    fishery,
    husbandry_rules,
    livestock,
)
from analyses.masks import burn, scratch_array
from analyses.rules import Sourced
from analyses.sources import AccumulatedTemperature
from analyses.zonal import areas_in_units
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HUSBANDRY_BANDS", "Husbandry", "PreparedHusbandry", "husbandry_rows", "prepare_husbandry"]

_BAN, _RESERVE = 1, 2
_WARM_C = 10.0
"""The rule of the zones is about days of at least 10 ℃ (≥10 ℃ 活动积温); its limit stands in the rule file."""
_CLASS_TITLES = {number: title for number, (_, title, _) in SUITABILITY.items()}


def _bands(title: Text, reasons: Mapping[int, Text]) -> tuple[Band, ...]:
    return (
        Band(name="class", title=title, valid_range=(0, 3), domain=_CLASS_TITLES),
        Band(
            name="reason",
            title=Text(zh="理由", en="Reason"),
            valid_range=(0, max(reasons)),
            domain=dict(reasons),
        ),
    )


HUSBANDRY_BANDS: Mapping[str, tuple[Band, ...]] = {
    "livestock": _bands(Text(zh="畜牧业生产适宜性", en="Suitability for livestock"), LIVESTOCK_REASONS),
    "fishery": _bands(Text(zh="渔业生产适宜性", en="Suitability for fishery"), FISHERY_REASONS),
}
"""Bands of the two rasters (uint8, nodata 0)."""


@dataclass(frozen=True)
class Husbandry:
    """The two rule layers of a run, block by block; can be pickled.

    Attributes
    ----------
    zone : Source
        Rain (mm) or ≥10 ℃ accumulated temperature (℃·d), whichever splits pastoral from farming land.
    banned, reserved : bool
        Whether that part of the mask ``excluded`` was supplied at all.
    """

    rules: HusbandryRules
    terrain: Terrain
    zone: Source
    banned: bool
    reserved: bool

    def block(
        self, window: Window, cropping: NDArray[np.uint8], ecology: NDArray[np.uint8], given: Arrays
    ) -> dict[str, NDArray[np.uint8]]:
        """``{livestock,fishery}:{class,reason}`` of a window.

        Parameters
        ----------
        cropping : uint8
            Class of agricultural suitability after the knock-outs of 2020; 0 = not assessed.
        ecology : uint8
            Class of ecological importance; 1 = 极重要.
        given : mapping
            ``surface``, ``excluded`` (1 waters of the fishing ban, 2 nature reserves) and ``inside`` of the window, as far as
            there are.
        """
        split = self.zone(Block(window, {}, self.terrain))
        surface = given.get("surface")
        by_rain = self.rules.zone.by == "precipitation"
        herd = livestock(
            self.rules,
            cropping,
            rain=split if by_rain else None,
            accumulated_temperature=None if by_rain else split,
            important=ecology == 1,
            water=surface,
        )
        found = {"livestock:class": herd.suitability, "livestock:reason": herd.reason}
        if surface is None:
            found |= {f"fishery:{band}": np.zeros(window[2:], dtype=np.uint8) for band in ("class", "reason")}
        else:
            excluded = given.get("excluded")
            fish = fishery(
                self.rules,
                surface,
                reserves=excluded == _RESERVE if excluded is not None and self.reserved else None,
                ban=excluded == _BAN if excluded is not None and self.banned else None,
            )
            found |= {"fishery:class": fish.suitability, "fishery:reason": fish.reason}
        if "inside" in given:
            outside = given["inside"] == 0
            for values in found.values():
                values[outside] = 0
        return found


@dataclass(frozen=True)
class PreparedHusbandry:
    """The rule layers of a run with what its result says of them.

    Attributes
    ----------
    layers : Husbandry
    excluded : uint8 (rows, cols) or None
        1 waters of the fishing ban, 2 nature reserves; None without either.
    """

    layers: Husbandry
    excluded: NDArray[np.uint8] | None
    factors: tuple[Factor, ...]
    parameters: tuple[dict[str, Any], ...]


def prepare_husbandry(inputs: Inputs, prepared: Prepared, *, on: date | None = None) -> PreparedHusbandry:
    """Livestock and fishery of a run: rules, masks, and what is not assessed.

    Parameters
    ----------
    on : date, optional
        Day of the evaluation, for rules with a last day; default today.

    Raises
    ------
    InvalidParameter
        If the rule file splits the zones by temperature and there is no temperature.
    QualityViolation
        If the river layer has no field of names.
    """
    rules = husbandry_rules(inputs.rules)
    day = date.today() if on is None else on
    reserves = inputs.frames.get("reserves")
    areas = None
    if reserves is not None:
        polygons = np.asarray(reserves.geometry.geom_type.isin(["Polygon", "MultiPolygon"]), dtype=bool)
        areas = reserves.geometry.array[polygons] if polygons.any() else None
    waters = None
    if "rivers" in inputs.frames:
        waters = ban_waters(inputs.frames["rivers"], rules.fishing_ban, on=day, layer="yangtze-han")
    excluded = None
    if areas is not None or waters is not None:
        excluded = scratch_array(inputs.scratch, "fishery-excluded", inputs.grid.shape.yx, np.uint8)
        # Reserves last: where both hold, the reserve is the reason.
        for shapes, value in ((waters, _BAN), (areas, _RESERVE)):
            if shapes is not None:
                burn(excluded, inputs.grid.affine, shapes, [value] * len(shapes))
    return PreparedHusbandry(
        Husbandry(rules, prepared.terrain, _zone(inputs, rules, prepared), waters is not None, areas is not None),
        excluded,
        _factors(
            rules, prepared, day, None if waters is None else len(waters), reserves is not None, areas is not None
        ),
        _parameters(rules, day),
    )


def _zone(inputs: Inputs, rules: HusbandryRules, prepared: Prepared) -> Source:
    if rules.zone.by == "precipitation":
        return annual_rain(inputs, prepared.urban.water.plausible_annual_precipitation_mm, step=1.0)
    if prepared.temperature is None:
        raise InvalidParameter(
            "规则文件以积温划分牧区与农区，但没有气温图层，请提供，或在规则文件中改用降水",
            "the rule file splits the pastoral zone by temperature and there is no temperature layer; supply it, or name "
            "precipitation in the rule file",
            parameter="accumulated_temperature",
        )
    return AccumulatedTemperature(prepared.temperature, prepared.urban.comfort.lapse_c_per_100m, _WARM_C)


def _factor(id: str, zh: str, en: str, rule: Sourced, note: Text | None) -> Factor:
    said = Text(zh="未评价：没有图层", en="not assessed: no layer") if note is None else note
    return Factor(id, Text(zh=zh, en=en), note is not None, said, f"{rule.source} [{rule.tag}]")


def _factors(
    rules: HusbandryRules, prepared: Prepared, day: date, banned: int | None, reserves: bool, areal: bool
) -> tuple[Factor, ...]:
    applied = Text(zh="已应用", en="applied")
    ban = rules.fishing_ban
    about_ban = None
    if banned is not None:
        about_ban = Text(zh=f"{banned} 个水面（按名称）", en=f"{banned} water surfaces, by name")
        if not ban.valid_from <= day <= ban.valid_until:
            about_ban = Text(
                zh=f"{day.isoformat()} 不在禁渔期（{ban.valid_from}–{ban.valid_until}），不扣除",
                en=f"{day.isoformat()} is outside the ban ({ban.valid_from} to {ban.valid_until}): nothing taken off",
            )
    points = Factor(
        "fishery.reserves",
        Text(zh="自然保护区", en="Nature reserves"),
        False,
        Text(zh="未评价：只有点", en="not assessed: points only"),
        f"{rules.fishery.source} [{rules.fishery.tag}]",
    )
    water = None if prepared.surface is None else Text(zh="湖泊与河流图层", en="lakes and rivers layers")
    return (
        _factor(
            "livestock.cropping",
            "种植业适宜性",
            "Suitability for cropping",
            rules.livestock,
            Text(zh="2019 判别矩阵加 2020 一票否决", en="2019 matrices with the knock-outs of 2020"),
        ),
        _factor("livestock.zone", "牧区与农区", "Pastoral and farming zone", rules.zone, applied),
        _factor("livestock.important", "生态保护极重要区", "Extremely important for ecology", rules.livestock, applied),
        _factor("livestock.water-surface", "水域", "Water surface", rules.livestock, water),
        _factor("livestock.forbidden", "畜禽禁养区", "Areas where livestock is forbidden", rules.livestock, None),
        _factor("fishery.water-surface", "水面", "Water surface", rules.fishery, water),
        _factor("fishery.ban", "长江十年禁渔水域", "Waters of the Yangtze fishing ban", ban, about_ban),
        points
        if reserves and not areal
        else _factor(
            "fishery.reserves", "自然保护区", "Nature reserves", rules.fishery, applied if areal else None
        ),
        _factor("fishery.drinking-water", "饮用水水源保护区", "Drinking-water sources", rules.fishery, None),
        _factor("fishery.quality", "水质", "Water quality", rules.fishery, None),
    )  # fmt: skip


def _parameters(rules: HusbandryRules, day: date) -> tuple[dict[str, Any], ...]:
    zone = rules.zone
    by_rain = zone.by == "precipitation"
    rows: tuple[tuple[str, Any, str | None, Sourced], ...] = (
        ("livestock.zone", zone.precipitation_mm if by_rain else zone.accumulated_temperature,
         "mm" if by_rain else "degC·d", zone),
        ("fishery.ban_on", day.isoformat(), None, rules.fishing_ban),
    )  # fmt: skip
    return tuple(
        {
            "name": name, "value": value, "unit": unit, "source": rule.source, "tag": rule.tag,
            "valid_from": rule.valid_from.isoformat(),
        }
        for name, value, unit, rule in rows
    )  # fmt: skip


def husbandry_rows(name: str, tally: AreaTally, units: Sequence[Unit]) -> list[dict[str, Any]]:
    """Areas of a rule layer by unit; of fishery, land is told apart from water that was not assessed."""
    if name == "livestock":
        return area_rows(tally, units, SUITABILITY, int(LivestockReason.WATER))
    rows = area_rows(tally, units, SUITABILITY, None)
    for unit, row in zip(units, rows, strict=True):
        unknown = tally.areas[list(unit.members), 0].sum(axis=0)
        land = int(unknown[FisheryReason.LAND])
        row |= areas_in_units(land / 100.0, "land") | areas_in_units(
            (int(unknown.sum()) - land) / 100.0, "not_assessed"
        )
    return rows
