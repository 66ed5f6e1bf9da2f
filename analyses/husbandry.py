"""Livestock (畜牧业) and fishery (渔业) as rule layers: a class and a reason for each cell.

No official grade table was found, so nothing is computed that was not given: both follow from other results and from
where something is forbidden. Classes: 1 适宜, 2 一般适宜, 3 不适宜, 0 not assessed or not applicable; the reason says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation
from spatial.jobs.contract import Factor

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = [
    "FISHERY_REASONS",
    "LIVESTOCK_REASONS",
    "RULE_FILE",
    "FisheryReason",
    "HusbandryRules",
    "LivestockReason",
    "Ruled",
    "ban_waters",
    "fishery",
    "husbandry_rules",
    "livestock",
]

RULE_FILE = "livestock_fishery"

Class = Literal[1, 2, 3]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ZoneRule(Sourced):
    """Where pastoral land (牧区) ends."""

    by: Literal["precipitation", "accumulated_temperature"]
    precipitation_mm: float
    accumulated_temperature: float


class LivestockRule(Sourced):
    """Class of cropping → class of livestock; classes of forbidden and of 极重要 land."""

    classes: dict[int, Class]
    forbidden: Class
    important: Class

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sorted(self.classes) != [1, 2, 3]:
            raise ValueError("classes 1, 2 and 3 of cropping each need a class")
        if [self.classes[k] for k in (1, 2, 3)] != sorted(self.classes.values()):
            raise ValueError("a worse class of cropping must not give a better class of livestock")
        return self


class FisheryRule(Sourced):
    """Water quality that fishery needs (GB 3838-2002 class), and the two classes of the answer."""

    worst_quality: int = Field(ge=1, le=5)
    quality_optional: bool
    suitable: Class
    unsuitable: Class


class BanRule(Sourced):
    """Waters of the Yangtze fishing ban (长江十年禁渔) by name."""

    field: str
    names: tuple[str, ...]
    valid_until: date


class HusbandryRules(_Model):
    """All rules of livestock and fishery."""

    id: Literal["livestock-fishery"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    zone: ZoneRule
    livestock: LivestockRule
    fishery: FisheryRule
    fishing_ban: BanRule


def husbandry_rules(rules: Mapping[str, Any]) -> HusbandryRules:
    """Rules of livestock and fishery out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, RULE_FILE, HusbandryRules)


class LivestockReason(IntEnum):
    """Why a cell has its class of livestock."""

    NOT_ASSESSED = 0
    CROPPING = 1
    FORBIDDEN = 2
    IMPORTANT = 3
    WATER = 4
    PASTORAL = 5


class FisheryReason(IntEnum):
    """Why a cell has its class of fishery."""

    NOT_ASSESSED = 0
    WATER_SURFACE = 1
    LAND = 2
    RESERVE = 3
    DRINKING_WATER = 4
    FISHING_BAN = 5
    QUALITY = 6


LIVESTOCK_REASONS: Mapping[int, Text] = {
    1: Text(zh="随种植业适宜性", en="follows cropping"),
    2: Text(zh="畜禽禁养区", en="livestock is forbidden here"),
    3: Text(zh="生态保护极重要区", en="extremely important for ecology"),
    4: Text(zh="水域", en="water surface"),
    5: Text(zh="牧区：缺草地产量，未评价", en="pastoral zone: grass yield is missing, not assessed"),
}
FISHERY_REASONS: Mapping[int, Text] = {
    1: Text(zh="可养殖、捕捞的水面", en="water surface without a ban"),
    2: Text(zh="非水面", en="no water surface"),
    3: Text(zh="自然保护区", en="nature reserve"),
    4: Text(zh="饮用水水源保护区", en="drinking-water source"),
    5: Text(zh="长江十年禁渔水域", en="ten-year fishing ban of the Yangtze"),
    6: Text(zh="水质不达标", en="water quality not adequate"),
}


@dataclass(frozen=True, slots=True)
class Ruled:
    """A block of a rule layer: class and reason, uint8, and how each rule entered (the same for every block)."""

    suitability: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    listed: tuple[Factor, ...]


def _one_shape(*arrays: NDArray[Any] | None) -> None:
    shapes = {np.shape(a) for a in arrays if a is not None}
    if len(shapes) != 1:
        raise GridMismatch(f"输入的块大小不一：{sorted(shapes)}", f"the input blocks differ in shape: {sorted(shapes)}")


def _listed(id: str, zh: str, en: str, given: bool, rule: Sourced) -> Factor:
    note = Text(zh="已应用", en="applied") if given else Text(zh="未评价：没有图层", en="not assessed: no layer")
    return Factor(id, Text(zh=zh, en=en), given, note, f"{rule.source} [{rule.tag}]")


_CROPPING, _FORBIDDEN, _IMPORTANT, _WATER, _PASTORAL = (
    int(r)
    for r in (
        LivestockReason.CROPPING,
        LivestockReason.FORBIDDEN,
        LivestockReason.IMPORTANT,
        LivestockReason.WATER,
        LivestockReason.PASTORAL,
    )
)
_SURFACE, _LAND, _RESERVE, _DRINKING, _BAN, _QUALITY = (
    int(r)
    for r in (
        FisheryReason.WATER_SURFACE,
        FisheryReason.LAND,
        FisheryReason.RESERVE,
        FisheryReason.DRINKING_WATER,
        FisheryReason.FISHING_BAN,
        FisheryReason.QUALITY,
    )
)


def _flags(mask: NDArray[Any] | None) -> NDArray[np.uint8]:
    """A mask as flat bytes, 0 = no; empty without one."""
    if mask is None:
        return np.zeros(0, dtype=np.uint8)
    found = np.asarray(mask)
    if found.dtype != np.uint8:
        found = (found != 0).view(np.uint8)
    return np.ascontiguousarray(found).reshape(-1)


def _herd(
    crops: Any, split: Any, forbidden: Any, important: Any, water: Any, lookup: Any, limit: Any, bans: Any, out: Any,
    reason: Any,
) -> None:  # fmt: skip
    """The first that holds is the reason: forbidden, important, water, no value, pastoral, cropping."""
    for i in range(crops.size):
        if forbidden.size > 0 and forbidden[i] != 0:
            out[i], reason[i] = bans[0], _FORBIDDEN
        elif important.size > 0 and important[i] != 0:
            out[i], reason[i] = bans[1], _IMPORTANT
        elif water.size > 0 and water[i] != 0:
            out[i], reason[i] = bans[2], _WATER
        elif split[i] != split[i] or (crops[i] == 0 and split[i] >= limit):
            out[i], reason[i] = 0, 0
        elif split[i] < limit:
            out[i], reason[i] = 0, _PASTORAL
        else:
            out[i], reason[i] = lookup[crops[i]], _CROPPING


def _fish(
    water: Any, quality: Any, reserves: Any, drinking: Any, ban: Any, worst: Any, suitable: Any, unsuitable: Any, out: Any,
    reason: Any,
) -> None:  # fmt: skip
    """The first that holds is the reason: land, reserve, drinking water, ban, quality."""
    for i in range(water.size):
        if water[i] == 0:
            out[i], reason[i] = 0, _LAND
        elif reserves.size > 0 and reserves[i] != 0:
            out[i], reason[i] = unsuitable, _RESERVE
        elif drinking.size > 0 and drinking[i] != 0:
            out[i], reason[i] = unsuitable, _DRINKING
        elif ban.size > 0 and ban[i] != 0:
            out[i], reason[i] = unsuitable, _BAN
        elif quality.size > 0 and quality[i] != quality[i]:
            out[i], reason[i] = 0, 0
        elif quality.size > 0 and quality[i] > worst:
            out[i], reason[i] = unsuitable, _QUALITY
        else:
            out[i], reason[i] = suitable, _SURFACE


def livestock(
    rules: HusbandryRules,
    cropping: NDArray[np.uint8],
    *,
    rain: NDArray[Any] | None = None,
    accumulated_temperature: NDArray[Any] | None = None,
    forbidden: NDArray[Any] | None = None,
    important: NDArray[Any] | None = None,
    water: NDArray[Any] | None = None,
) -> Ruled:
    """Suitability for livestock (畜牧业生产适宜性).

    Farming zone: the class of cropping; where livestock is forbidden (禁养区), ecology is 极重要 or water stands: 不适宜.
    Pastoral zone (rain < 400 mm, or ≥10 ℃ accumulated temperature < 3200 ℃·d, as the rule file says): not assessed.

    Parameters
    ----------
    rules : HusbandryRules
    cropping : uint8
        Class of agricultural suitability 1–3, 0 = not assessed.
    rain : float, mm a year
    accumulated_temperature : float, ℃·d, of days of at least 10 ℃
        The one that the zone rule names is required.
    forbidden, important, water : bool or uint8, optional
        0 = no. What is missing is listed as not assessed.

    Returns
    -------
    Ruled
        Reasons by `LivestockReason`.

    Raises
    ------
    InvalidParameter
        If the quantity that splits the zones is missing.

    Source: 双评价指南（2020-01 试行）农业生产适宜性：畜牧业.

    Examples
    --------
    >>> import pathlib, yaml
    >>> rules = husbandry_rules({RULE_FILE: yaml.safe_load(pathlib.Path(f"layers/rules/{RULE_FILE}.yml").read_text())})
    >>> found = livestock(rules, np.array([1, 2, 1, 1], np.uint8), rain=np.array([900.0, 900, 900, 350]),
    ...                   forbidden=np.array([0, 0, 1, 0]))
    >>> found.suitability.tolist(), found.reason.tolist()
    ([1, 2, 3, 0], [1, 1, 2, 5])
    """
    zone = rules.zone
    split, limit = (
        (rain, zone.precipitation_mm)
        if zone.by == "precipitation"
        else (accumulated_temperature, zone.accumulated_temperature)
    )
    if split is None:
        name = "年降水量" if zone.by == "precipitation" else "≥10 ℃ 积温"
        raise InvalidParameter(
            f"划分牧区与农区需要{name}，请提供，或在规则文件中换用另一指标",
            f"the pastoral zone is split by {zone.by}; supply it or name the other indicator in the rule file",
            parameter=zone.by,
        )
    _one_shape(cropping, split, forbidden, important, water)
    crops = np.ascontiguousarray(cropping, dtype=np.uint8)
    if crops.size and crops.max() > 3:
        raise QualityViolation(
            f"种植业适宜性等级应为 0–3，得到 {crops.max()}",
            f"classes of cropping are 0–3, found {crops.max()}",
            range=[0, 3],
        )
    classes = rules.livestock.classes
    suitability, reason = np.empty(crops.shape, np.uint8), np.empty(crops.shape, np.uint8)
    compiled(_herd)(
        crops.reshape(-1),
        np.ascontiguousarray(split).reshape(-1),
        *(_flags(mask) for mask in (forbidden, important, water)),
        np.array([0, classes[1], classes[2], classes[3]], dtype=np.uint8),
        float(limit),
        np.array([rules.livestock.forbidden, rules.livestock.important, max(classes.values())], dtype=np.uint8),
        suitability.reshape(-1),
        reason.reshape(-1),
    )
    listed = (
        _listed(
            "livestock-forbidden",
            "畜禽禁养区",
            "areas where livestock is forbidden",
            forbidden is not None,
            rules.livestock,
        ),
        _listed(
            "livestock-important",
            "生态保护极重要区",
            "extremely important for ecology",
            important is not None,
            rules.livestock,
        ),
    )
    return Ruled(suitability, reason, listed)


def fishery(
    rules: HusbandryRules,
    water: NDArray[Any],
    *,
    quality: NDArray[Any] | None = None,
    reserves: NDArray[Any] | None = None,
    drinking_water: NDArray[Any] | None = None,
    ban: NDArray[Any] | None = None,
) -> Ruled:
    """Suitability for fishery (渔业生产适宜性) of water surfaces.

    A water surface is 适宜 unless it lies in a nature reserve, a drinking-water source or waters of the Yangtze ban, or its
    quality is worse than the rule's class (Ⅲ). Land is class 0 with the reason 非水面.

    Parameters
    ----------
    rules : HusbandryRules
    water : bool or uint8
        Not 0 = water surface.
    quality : float, optional
        Class of GB 3838-2002, 1–6 (6 = 劣Ⅴ); NaN = not measured, such water is not assessed.
    reserves, drinking_water, ban : bool or uint8, optional
        0 = no. What is missing is listed as not assessed.

    Returns
    -------
    Ruled
        Reasons by `FisheryReason`.

    Raises
    ------
    InvalidParameter
        If quality is missing and the rule file demands it.
    QualityViolation
        If quality is not 1–6.

    Source: 双评价指南（2020-01 试行）农业生产适宜性：渔业; GB 3838-2002.

    Examples
    --------
    >>> import pathlib, yaml
    >>> rules = husbandry_rules({RULE_FILE: yaml.safe_load(pathlib.Path(f"layers/rules/{RULE_FILE}.yml").read_text())})
    >>> found = fishery(rules, np.array([1, 1, 1, 0]), quality=np.array([2.0, 4, 3, 2]), ban=np.array([0, 0, 1, 0]))
    >>> found.suitability.tolist(), found.reason.tolist()
    ([1, 3, 3, 0], [1, 6, 5, 2])
    """
    rule = rules.fishery
    _one_shape(water, quality, reserves, drinking_water, ban)
    if quality is None and not rule.quality_optional:
        raise InvalidParameter(
            "渔业适宜性需要水质类别（GB 3838-2002），请提供图层",
            "suitability for fishery needs the class of water quality (GB 3838-2002); supply the layer",
            parameter="water_quality",
        )
    q = np.zeros(0)
    if quality is not None:
        q = np.ascontiguousarray(quality, dtype=np.float64).reshape(-1)
        known = q[np.isfinite(q)]
        if known.size and (known.min() < 1 or known.max() > 6):
            raise QualityViolation(
                f"水质类别为 {known.min():g}–{known.max():g}，应为 1–6（6 为劣Ⅴ类）",
                f"classes of water quality are {known.min():g} to {known.max():g}, must be 1–6 (6 = worse than V)",
                range=[1, 6],
            )
    shape = np.shape(water)
    suitability, reason = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    compiled(_fish)(
        _flags(water),
        q,
        *(_flags(mask) for mask in (reserves, drinking_water, ban)),
        float(rule.worst_quality),
        np.uint8(rule.suitable),
        np.uint8(rule.unsuitable),
        suitability.reshape(-1),
        reason.reshape(-1),
    )
    listed = (
        _listed("fishery-quality", "水质", "water quality", quality is not None, rule),
        _listed("fishery-reserves", "自然保护区", "nature reserves", reserves is not None, rule),
        _listed(
            "fishery-drinking-water", "饮用水水源保护区", "drinking-water sources", drinking_water is not None, rule
        ),
        _listed(
            "fishery-ban", "长江十年禁渔水域", "waters of the Yangtze fishing ban", ban is not None, rules.fishing_ban
        ),
    )
    return Ruled(suitability, reason, listed)


def ban_waters(frame: geopandas.GeoDataFrame, rule: BanRule, *, on: date | None = None, layer: str) -> Any:
    """Water polygons of the fishing ban by name; none after its last day.

    Parameters
    ----------
    frame : GeoDataFrame
        Water surfaces with the field that the rule names.
    on : date, optional
        Day of the evaluation; default today.
    layer : str
        For messages.

    Returns
    -------
    array of geometries

    Raises
    ------
    QualityViolation
        If the field is missing.
    """
    if rule.field not in frame.columns:
        raise QualityViolation(
            f"图层 {layer} 缺少字段 {rule.field}，请补充",
            f"layer {layer} has no field {rule.field}; add it",
            layer=layer,
        )
    day = date.today() if on is None else on
    within = rule.valid_from <= day <= rule.valid_until
    chosen = frame[frame[rule.field].isin(rule.names)] if within else frame.iloc[:0]
    return chosen.geometry.array
