"""Ecological importance (生态保护重要性): which factors a run has, their values by block, ranking and the chain.

Importance has one direction everywhere inside: 5 极重要 extremely, 3 重要 important, 1 一般 general; a higher value of a
service or of a sensitivity never gives a lower importance. The classes 1, 2, 3 of the map are made from it at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.chain import Chain, Station, higher
from analyses.erosion import ErosionTables, erosion_tables, soil_conservation, soil_erodibility
from analyses.fragility import (
    FragilityTables,
    fragility_tables,
    rocky_desertification,
    sandy_desertification,
    water_soil_loss,
)
from analyses.grading import CLASS_VALUES, GradeTable
from analyses.npp import NPP_NEEDS, npp_service
from analyses.ranking import ServiceHistogram, Thresholds, value_range
from analyses.services import (
    annex_soil_conservation,
    land_use_codes,
    runoff_table,
    sand_fixation,
    vegetation_cover,
    water_conservation,
)
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import Factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.assessment import Block, Source
    from analyses.ecology_rules import EcologicalRules
    from analyses.rules import Sourced

__all__ = [
    "ABSENT",
    "EcologyEngine",
    "EcologyPlan",
    "EcologySource",
    "ecological_chain",
    "ecology_engine",
    "fallen_out",
    "ndvi_limits",
    "pack",
    "plan_ecology",
    "unpack",
]

Method = Literal["model", "npp"]
Soil = Literal["model", "annex", "both"]

ABSENT = 65535
"""Packed value of a cell without value."""

_CLASS_TITLES = {
    1: Text(zh="极重要", en="extremely important"),
    2: Text(zh="重要", en="important"),
    3: Text(zh="一般", en="general"),
}

# Quantity → quantities that it can be made of, if it is not supplied itself.
_MADE_OF = {
    "cover": (("ndvi",),),
    "erodibility": (("sand", "silt", "clay", "organic_carbon"),),
    "water_balance": (("evapotranspiration",), ("temperature",)),
}

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "water_soil_loss": ("erosivity", "relief", "sand", "clay", "cover", "land_use"),
    "rocky_desertification": ("carbonate", "slope", "cover", "land_use"),
    "sandy_desertification": ("dryness", "sand_wind_days", "sand", "clay", "cover", "land_use"),
    "biodiversity": ("biodiversity",),
    "soil_conservation_annex": ("slope", "cover", "land_use"),
    "sand_fixation": ("sand", "gale_days", "cover"),
    "water_conservation": ("rain", "water_balance", "land_use"),
    "soil_conservation": ("erosivity", "erodibility", "slope", "cover", "land_use"),
    **NPP_NEEDS,
}
_MONITORED = {
    "water_soil_loss": "erosion_intensity",
    "rocky_desertification": "karst_grade",
    "sandy_desertification": "sand_grade",
}
_NAMES = {
    "erodibility": Text(zh="土壤可蚀性", en="soil erodibility"),
    "land_use": Text(zh="土地利用", en="land use"),
    "water_balance": Text(zh="蒸散量或年平均气温", en="evapotranspiration or mean annual temperature"),
}


def _about(rules: EcologicalRules, factor: str) -> Sourced:
    if factor.startswith("npp_"):
        titles: dict[str, Text] = dict(rules.npp.titles.items())
        return rules.npp.model_copy(update={"title": titles[factor]})
    if factor == "soil_conservation_annex":
        return rules.soil_conservation_rule
    if factor == "sand_fixation":
        return rules.sand_fixation_rule
    found: Sourced = getattr(rules, factor)
    return found


@dataclass(frozen=True)
class EcologyPlan:
    """What a run assesses.

    Attributes
    ----------
    factors : tuple of str
        In the order of the chain: fragility, graded services, then the ranked services.
    services : tuple of str
        Those whose limits follow from the ranking of the whole map.
    monitored : tuple of str
        Sensitivities read from a monitored layer instead of the index.
    listed : tuple of Factor
        Every factor of the method, the missing ones with what they lack.
    """

    method: Method
    factors: tuple[str, ...]
    services: tuple[str, ...]
    monitored: tuple[str, ...]
    listed: tuple[Factor, ...]

    @property
    def local(self) -> tuple[str, ...]:
        """Factors that every cell knows by itself (before the ranking)."""
        return tuple(f for f in self.factors if f not in self.services)


def _lacks(available: Collection[str], needs: Collection[str]) -> list[str]:
    def has(name: str) -> bool:
        ways = _MADE_OF.get(name, ())
        return name in available or any(all(part in available for part in way) for way in ways)

    return [name for name in needs if not has(name)]


def plan_ecology(
    rules: EcologicalRules, available: Collection[str], *, method: Method = "model", soil: Soil = "model"
) -> EcologyPlan:
    """Which factors can be assessed with the quantities at hand; the others are listed, never given a default.

    Parameters
    ----------
    rules : EcologicalRules
    available : collection of str
        Quantities: rain, temperature or evapotranspiration, erosivity, slope, ls (optional), relief, ndvi or cover, sand, silt,
        clay, organic_carbon (or erodibility), land_use, carbonate, dryness, sand_wind_days, gale_days, biodiversity,
        erosion_intensity, karst_grade, sand_grade; npp, soil_infiltration, elevation, wind_erosivity, roughness.
    method : {"model", "npp"}
        One method for all services of a run: the two differ too much to be mixed.
    soil : {"model", "annex", "both"}
        Soil conservation by the ranked RUSLE model, by the annex rule of slope and cover, or the higher of both.

    Raises
    ------
    InvalidParameter
        If not one factor can be assessed, or the NPP method is asked for without any of its services.
    """
    services = ["water_conservation"] if method == "model" else list(NPP_NEEDS)
    graded = ["biodiversity"] if method == "model" else []
    if method == "model" and soil in ("model", "both"):
        services.append("soil_conservation")
    if method == "model" and soil in ("annex", "both"):
        graded.append("soil_conservation_annex")
    if rules.sand_fixation_rule.applies:
        graded.append("sand_fixation")
    factors: list[str] = []
    monitored: list[str] = []
    listed: list[Factor] = []
    for name in (*_MONITORED, *graded, *services):
        needs: tuple[str, ...] = _NEEDS[name]
        layer = _MONITORED.get(name)
        if layer in available:
            monitored.append(name)
            needs = ()
        lacking = _lacks(available, needs)
        about = getattr(rules.monitored, name) if name in monitored else _about(rules, name)
        if not lacking:
            factors.append(name)
        titles = [_title(rules, n) for n in lacking]
        note = Text(zh="已评价", en="assessed")
        if lacking:
            note = Text(
                zh=f"未评价：缺{'、'.join(t.zh for t in titles)}",
                en=f"not assessed: lacks {', '.join(t.en for t in titles)}",
            )
        elif name in monitored:
            note = Text(zh="按监测图层", en="from the monitored layer")
        listed.append(Factor(name, about.title, not lacking, note, f"{about.source} [{about.tag}]"))
    if method == "npp" and not any(f in NPP_NEEDS for f in factors):
        missing = sorted({n for s in NPP_NEEDS.values() for n in _lacks(available, s)})
        raise InvalidParameter(
            f"NPP 定量指标法缺少 {'、'.join(_title(rules, n).zh for n in missing)}，请补充图层或改用模型评价法",
            f"the NPP method lacks {', '.join(_title(rules, n).en for n in missing)}; supply layers or use the model method",
            parameter="ecology_method",
            value=method,
        )
    if not factors:
        raise InvalidParameter(
            "生态保护重要性没有一项可以评价，请至少提供土地利用、植被指数与降水",
            "no factor of ecological importance can be assessed; supply at least land use, NDVI and rain",
            parameter="ecology_method",
        )
    return EcologyPlan(
        method, tuple(factors), tuple(f for f in factors if f in services), tuple(monitored), tuple(listed)
    )


def _title(rules: EcologicalRules, quantity: str) -> Text:
    found = rules.inputs.get(quantity)
    return _NAMES[quantity] if found is None else found.title


@dataclass(frozen=True)
class EcologyEngine:
    """Values of the factors of a block; can be sent to another process.

    Attributes
    ----------
    ndvi_limits : (float, float), optional
        NDVI of bare soil and of full vegetation (`ndvi_limits`); needed where cover comes from NDVI.
    npp_limits : mapping
        Least and greatest of each quantity in the run, for the NPP method (`analyses.npp.Extent`).
    layers : mapping
        Quantity → layer id, for messages.
    """

    rules: EcologicalRules
    plan: EcologyPlan
    erosion: ErosionTables
    fragility: FragilityTables
    runoff: NDArray[np.float64]
    ndvi_limits: tuple[float, float] | None = None
    npp_limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)

    def check(self, quantity: str, values: NDArray[Any], *, part: bool = False) -> NDArray[Any]:
        """The values, refused outside the plausible range of the rule file; `part`: they are a block of the data.

        Raises
        ------
        QualityViolation
            Naming the layer, the range and the unit expected.
        """
        rule = self.rules.inputs.get(quantity)
        found = None if rule is None else value_range(values)
        if rule is not None and found is not None:
            rule.range.require(
                np.array(found), what=rule.title, unit=rule.unit, layer=self.layers.get(quantity, quantity), part=part
            )
        return values

    def factor(self, name: str, get: Callable[[str], NDArray[Any]]) -> NDArray[np.float32]:
        """One factor of a block.

        Parameters
        ----------
        name : str
            One of `EcologyPlan.factors`.
        get : callable
            Quantity → array of the block (float32; land use uint8 or float32), raising KeyError for what is not there.
            It should keep what it computed: cover and land use are asked for several times.

        Returns
        -------
        float32, rounded to the factor's step, NaN = no value
        """
        rules = self.rules
        if name in self.plan.monitored:
            return self.check(_MONITORED[name], get(_MONITORED[name])).astype(np.float32, copy=False)
        if name in NPP_NEEDS:
            values = {q: get(q) for q in NPP_NEEDS[name]}
            return npp_service(name, values, self.npp_limits, rules.npp.step)
        if name == "biodiversity":
            return self._biodiversity(get("biodiversity"))
        if name == "sand_fixation":
            return sand_fixation(get("sand"), get("gale_days"), get("cover"), rules.sand_fixation_rule)
        land_use = get("land_use")
        if name == "water_conservation":
            given = {k: get(k) for k in (self._balance(get),)}
            return water_conservation(
                get("rain"), land_use, self.runoff, rules.evapotranspiration, rules.water_conservation.step, **given
            )
        cover = get("cover")
        if name == "soil_conservation":
            return soil_conservation(
                self.erosion,
                r=get("erosivity"),
                k=get("erodibility"),
                slope=get("slope"),
                cover=cover,
                land_use=land_use,
                ls=self._topography(get),
            )
        if name == "soil_conservation_annex":
            return annex_soil_conservation(get("slope"), cover, land_use, rules.soil_conservation_rule)
        if name == "water_soil_loss":
            return water_soil_loss(
                self.fragility, r=get("erosivity"), relief=get("relief"), sand=get("sand"), clay=get("clay"), cover=cover,
                land_use=land_use,
            )  # fmt: skip
        if name == "rocky_desertification":
            return rocky_desertification(
                self.fragility, carbonate=get("carbonate"), slope=get("slope"), cover=cover, land_use=land_use
            )
        return sandy_desertification(
            self.fragility, dryness=get("dryness"), sand_wind_days=get("sand_wind_days"), sand=get("sand"),
            clay=get("clay"), cover=cover, land_use=land_use,
        )  # fmt: skip

    @staticmethod
    def _balance(get: Callable[[str], NDArray[Any]]) -> str:
        try:
            get("evapotranspiration")
        except KeyError:
            return "temperature"
        return "evapotranspiration"

    @staticmethod
    def _topography(get: Callable[[str], NDArray[Any]]) -> NDArray[Any] | None:
        """LS with the slope above each cell, or None: then LS follows from the slope of the cell and one slope length."""
        try:
            return get("ls")
        except KeyError:
            return None

    def _biodiversity(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """A mask of reserves: 0 (outside) is 1 一般, 3 and 5 as burned."""
        grades = np.asarray(values, dtype=np.float32)
        return np.where(grades == 0, np.float32(1), grades)

    def quantity(self, name: str, read: Callable[[str], NDArray[Any]], *, part: bool = False) -> NDArray[Any]:
        """A checked quantity of a block, made of others where it is not supplied.

        Parameters
        ----------
        read : callable
            Supplied quantity → array, raising KeyError for what is not supplied.
        """
        try:
            found = read(name)
        except KeyError:
            if name == "cover":
                if self.ndvi_limits is None:
                    raise InvalidParameter(
                        "由 NDVI 求覆盖度需要裸土与全覆盖的 NDVI，请先求分位数",
                        "cover from NDVI needs the NDVI of bare soil and of full vegetation; find the percentiles first",
                        parameter="ndvi_limits",
                    ) from None
                return vegetation_cover(self.quantity("ndvi", read, part=part), self.ndvi_limits, self.rules.cover.step)
            if name == "erodibility":
                return self._erodibility(*(self.quantity(q, read, part=part) for q in _MADE_OF["erodibility"][0]))
            raise
        if name == "land_use":
            return land_use_codes(found, layer=self.layers.get(name, "land-use"))
        if name == "biodiversity":
            return found
        return self.check(name, found, part=part)

    def _erodibility(
        self, sand: NDArray[Any], silt: NDArray[Any], clay: NDArray[Any], carbon: NDArray[Any]
    ) -> NDArray[np.float32]:
        found = value_range(np.asarray(sand) + silt + clay)
        span = self.rules.texture_sum
        if found is not None and (found[0] < span.min or found[1] > span.max):
            layer = self.layers.get("sand", "soil")
            raise QualityViolation(
                f"图层 {layer} 的砂、粉、黏粒之和为 {found[0]:g}–{found[1]:g}，应在 {span.min:g}–{span.max:g} %，请检查单位",
                f"layer {layer}: sand, silt and clay add up to {found[0]:g} to {found[1]:g}, not {span.min:g} to "
                f"{span.max:g} %; check the unit",
                layer=layer,
                expected_unit="%",
            )
        return soil_erodibility(sand, silt, clay, carbon)

    def block(self, supplied: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Every factor of the plan for a block whose quantities are given as arrays."""
        kept: dict[str, NDArray[Any]] = {}

        def get(name: str) -> NDArray[Any]:
            if name not in kept:
                kept[name] = self.quantity(name, supplied.__getitem__)
            return kept[name]

        return {name: self.factor(name, get) for name in self.plan.factors}


def ecology_engine(
    rules: EcologicalRules,
    plan: EcologyPlan,
    *,
    slope_length: float,
    ndvi_limits: tuple[float, float] | None = None,
    npp_limits: Mapping[str, tuple[float, float]] | None = None,
    layers: Mapping[str, str] | None = None,
) -> EcologyEngine:
    """The engine of a run with its lookup tables.

    Parameters
    ----------
    slope_length : float, m
        λ of RUSLE where no quantity ``ls`` is supplied; see `analyses.erosion.default_slope_length`.
    """
    return EcologyEngine(
        rules,
        plan,
        erosion_tables(rules, slope_length=slope_length),
        fragility_tables(rules),
        runoff_table(rules),
        ndvi_limits,
        npp_limits or {},
        layers or {},
    )


@dataclass(frozen=True)
class EcologySource:
    """A factor of ecological importance as a source of a block run.

    Attributes
    ----------
    factor : str
    engine : EcologyEngine
    quantities : mapping
        Quantity → source, for all that is supplied.
    """

    factor: str
    engine: EcologyEngine
    quantities: Mapping[str, Source]

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, NaN = no value."""

        def read(name: str) -> NDArray[Any]:
            return self.quantities[name](block)

        def get(name: str) -> NDArray[Any]:
            return block.once(f"ecology:{name}", partial(self.engine.quantity, name, read, part=True))

        return self.engine.factor(self.factor, get)


def ndvi_limits(histogram: ServiceHistogram, rules: EcologicalRules, *, layer: str = "ndvi") -> tuple[float, float]:
    """NDVI of bare soil and of full vegetation: area-weighted percentiles of a histogram.

    Raises
    ------
    LayerEmpty
        Without a single value.
    QualityViolation
        If both percentiles are one value: cover cannot be told from it.
    """
    low, high = (histogram.percentile(share) for share in rules.cover.percentiles)
    if low is None or high is None:
        raise LayerEmpty(f"图层 {layer} 没有有效的 NDVI", f"layer {layer} has no NDVI value", layer=layer)
    if not low < high:
        raise QualityViolation(
            f"图层 {layer} 的 NDVI 分位数同为 {low:g}，求不出覆盖度；请用 ndvi_limits 指定",
            f"layer {layer}: both NDVI percentiles are {low:g}, cover cannot be found; give ndvi_limits",
            layer=layer,
        )
    return low, high


def pack(values: NDArray[Any], step: float) -> NDArray[np.uint16]:
    """A service as whole steps for the time between the passes; `ABSENT` = no value, 65534 = that or more.

    >>> pack(np.array([1.5, np.nan], np.float32), 0.5).tolist()
    [3, 65535]
    """
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0) / step).clip(0, ABSENT - 1), ABSENT).astype(np.uint16)


def unpack(packed: NDArray[np.uint16], step: float) -> NDArray[np.float32]:
    """The service out of `pack`; float32.

    >>> unpack(np.array([3, 65535], np.uint16), 0.5).tolist()
    [1.5, nan]
    """
    return np.where(packed == ABSENT, np.nan, packed.astype(np.float64) * step).astype(np.float32)


def _ranked(limits: Thresholds) -> GradeTable:
    rows = [{"grade": 1, "below": limits.important}, {"grade": 5, "from": limits.extremely}]
    if limits.important < limits.extremely:
        rows.insert(1, {"grade": 3, "from": limits.important, "below": limits.extremely})
    return GradeTable.model_validate({"grades": rows})


def _unranked(rules: EcologicalRules, service: str) -> Station:
    """Stands in for a service before the ranking, where no other factor is there: grade 1 wherever it has a value."""
    about = _about(rules, service)
    return Station(
        id=service, title=about.title, kind="higher", factor=service, unit=about.unit, levels=(1,),
        table=((1,), *((g,) for g in range(1, 6))), compare=(0,) * 6, source=about.source, tag=about.tag,
    )  # fmt: skip


def ecological_chain(
    rules: EcologicalRules,
    plan: EcologyPlan,
    thresholds: Mapping[str, Thresholds | None],
    *,
    breaks: str | None = None,
) -> Chain:
    """The chain «higher of» over all factors of the plan; grade 5 极重要, 3 重要, 1 一般.

    The reason of a cell is the first factor that reaches its final grade. A cell without a value of an assessed factor
    is not assessed.

    Parameters
    ----------
    thresholds : mapping
        Service → limits by `ServiceHistogram.thresholds`. A service that is absent (not ranked yet) or None (0
        everywhere) is left out; so an empty mapping gives the stations that every cell knows by itself.
    breaks : str, optional
        Name of the set of breaks of the sensitivity index.

    Raises
    ------
    InvalidParameter
        If `breaks` is unknown, or no station is left.

    Source: 双评价指南（2020-01 试行）：服务功能重要性与生态脆弱性取高值.
    """
    sensitivity = rules.sensitivity_breaks.table(breaks)
    stations: list[Station] = []
    pending: list[str] = []
    for name in plan.factors:
        about = _about(rules, name)
        if name in plan.monitored:
            table: GradeTable = getattr(rules.monitored, name)
            about = getattr(rules.monitored, name)
        elif name in plan.services:
            limits = thresholds.get(name)
            if limits is None:
                pending += [name] if name not in thresholds else []
                continue
            table = _ranked(limits)
            about = about.model_copy(update={"source": f"{about.source}；{rules.ranking.source}"})
        elif name in _MONITORED:
            table = sensitivity
        else:
            table = CLASS_VALUES
        stations.append(higher(name, name, table, about=about, required=True))
    if not stations and pending:
        stations.append(_unranked(rules, pending[0]))
    if not stations:
        raise InvalidParameter(
            "生态保护重要性没有一项可以分级：各项服务量处处为 0",
            "no factor of ecological importance can be graded: every service is 0 everywhere",
            parameter="ecology_method",
        )
    return Chain(
        id="ecological-importance",
        title=rules.title,
        stations=tuple(stations),
        classes=rules.classes.grades,
        class_titles=_CLASS_TITLES,
    )


def fallen_out(plan: EcologyPlan, thresholds: Mapping[str, Thresholds | None]) -> tuple[Factor, ...]:
    """The factors of the plan after the ranking: a service that is 0 everywhere is «not assessed», and says so."""
    zero = Text(
        zh="未评价：服务量处处为 0，无从排序", en="not assessed: the service is 0 everywhere, nothing can be ranked"
    )
    return tuple(
        Factor(f.id, f.title, False, zero, f.source) if f.id in plan.services and thresholds.get(f.id) is None else f
        for f in plan.listed
    )
