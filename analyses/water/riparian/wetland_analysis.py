"""The analysis ``wetland-integrity``: area and pattern of a wetland against a baseline at equal level (湿地面积与完整性)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.water.bodies.gauge_levels import gauge_of
from analyses.water.bodies.level_area import levels_on
from analyses.water.bodies.rules import water_body_rules
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_maps import InspectedScene, inspect_scenes
from analyses.water.riparian import wetland_result as result
from analyses.water.riparian.belt_analysis import named_shape
from analyses.water.riparian.landscape import LandscapeMeasures, landscape_measures
from analyses.water.riparian.rules import RiparianRules, riparian_rules
from analyses.water.riparian.wetland import OPEN_WATER, UNKNOWN, Pair, Verdict, change_cells, judge
from analyses.water.riparian.wetland_parameters import WetlandIntegrityParameters
from analyses.water.riparian.wetland_periods import (
    Place,
    area_of,
    clear_enough,
    compare,
    look,
    periods_of,
    place_of,
)
from analyses.water.scene_collection import SCENES
from spatial.catalog import Text
from spatial.errors import LayerEmpty
from spatial.jobs.contract import AnalysisResult, Factor, Inputs, InputSpec, Outputs, Parameters, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WetlandIntegrity", "WetlandIntegrityParameters"]


class WetlandIntegrity:
    """Area and integrity of a wetland against a baseline (湿地面积与完整性)."""

    id: ClassVar[str] = "wetland-integrity"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="湿地面积与完整性", en="Area and integrity of a wetland")
    description: ClassVar[Text] = Text(
        zh="以等水位或同季节配对的影像比较基期与现状的湿地面积（开敞水面、水生湿生植被、泥滩），给出增减图斑与景观完整性指标；"
        "水位或季节不可比时为无法判定。",
        en="Wetland of a baseline and of now out of scenes paired at equal level or season: open water, plants, mudflat; "
        "patches of loss and gain, measures of the pattern. Where level or season cannot be matched the verdict is "
        "«cannot be decided».",
    )
    method: ClassVar[str] = "等水位/同季节配对；FRAGSTATS 景观指标；docs/methods/riparian-and-wetland.md"
    parameters: ClassVar[type[Parameters]] = WetlandIntegrityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        SCENES,
        InputSpec("sites", "lakes", "vector", Text(zh="湿地", en="Wetlands"), extent="whole"),
        InputSpec("levels", "lake-levels", "vector", Text(zh="湖库水位", en="Lake levels"), True, extent="whole"),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {"wetland": Text(zh="湿地类型与增减", en="Kinds and change of wetland")}
    equal_rasters: ClassVar[bool] = True

    @classmethod
    def inputs_of(cls, parameters: WetlandIntegrityParameters) -> tuple[InputSpec, ...]:
        """The collection and layers that the parameters name."""
        scenes, sites, levels = cls.inputs
        found = [replace(scenes, layer=parameters.collection), replace(sites, layer=parameters.sites)]
        if parameters.levels is not None:
            found.append(replace(levels, layer=parameters.levels))
        title = Text(zh="基期湿地", en="Wetland in the baseline")
        if parameters.baseline_layer is not None:
            found.append(InputSpec("baseline", parameters.baseline_layer, "vector", title, extent="whole"))
        if parameters.baseline_raster is not None:
            found.append(InputSpec("baseline", parameters.baseline_raster, "raster", title, False, "nearest"))
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: WetlandIntegrityParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Compare one wetland with its baseline.

        Returns
        -------
        AnalysisResult
            Raster ``wetland`` (uint8: change, kind in the baseline, kind now; the last alone where nothing was compared);
            features ``site``, ``candidates`` (loss), ``gains``; tables ``areas``, ``measures``, ``pairs``, ``scenes``,
            ``left_out``, ``changes``, ``totals``.

        Raises
        ------
        InvalidParameter
            No site of that name in the extent of the scenes; a period without scenes.
        LayerEmpty
            No scene can be used.
        """
        import shapely

        rules = riparian_rules(inputs.rules)
        extent_rules = water_extent_rules(inputs.rules)
        box = inputs.grid.extent.boundingbox
        whole = shapely.box(box.left, box.bottom, box.right, box.top)
        chosen = named_shape(inputs.frames["sites"], parameters.site, whole, layer=parameters.sites, parameter="site")
        outline = shapely.union_all(chosen.geometry.array)
        place = place_of(outline, inputs.grid, rules)
        # A window or a tile may hold a part of the site only: what lies beyond it is not known either.
        covered = float(outline.intersection(whole).area / outline.area)
        progress(0.02, "检查影像 checking the scenes")
        inspected = inspect_scenes(inputs.scenes["scenes"], inputs.grid.shape.yx, extent_rules)
        used = [scene for scene in inspected if scene.usable]
        if not used:
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有可用的影像（{len(inspected)} 景）",
                f"collection {parameters.collection} has no usable scene ({len(inspected)} scenes)",
                layer=parameters.collection,
            )
        early, late = periods_of(used, parameters)
        looks = look(inputs.scenes["scenes"], [*early, *late], extent_rules, place, progress)
        early, late, looks, dull = clear_enough(early, late, looks, place, rules)
        gauge_rule = water_body_rules(inputs.rules).gauge
        gauge = gauge_of(inputs.frames.get("levels"), parameters.site, gauge_rule)
        level = [float("nan")] * (len(early) + len(late))
        if gauge is not None:
            times = [scene.time for scene in (*early, *late)]
            level = levels_on(times, gauge[0], gauge[1], within_hours=gauge_rule.within_hours).tolist()
        progress(0.8, "配对与比较 pairing and comparing")
        pairs, compared, reason = compare(inputs, parameters, early, late, looks, level, place, rules)
        verdict = Verdict("undetermined", None, None, None, reason)
        areas: list[dict[str, Any]] = []
        measures: list[dict[str, Any]] = []
        known = place.zone & (compared.after != UNKNOWN)
        pattern = _pattern(compared.after, known, place, rules)
        lost = gained = np.zeros(place.zone.shape, dtype=bool)
        if reason is None:
            known &= compared.before != UNKNOWN
            share = covered * area_of(known, place) / area_of(place.zone, place)
            if share < rules.matching.least_common_share:
                text = f"{100 * share:.0f} %"
                verdict = Verdict(
                    "undetermined", None, None, None,
                    Text(zh=f"两期都可判定的面积只有 {text}", en=f"only {text} of the area is known in both periods"),
                )  # fmt: skip
            else:
                base = area_of(known & (compared.before >= OPEN_WATER), place)
                now = area_of(known & (compared.after >= OPEN_WATER), place)
                verdict = judge(base, now, compared.left_out, rules.change)
            before = np.where(known, compared.before, UNKNOWN).astype(np.uint8)
            after = np.where(known, compared.after, UNKNOWN).astype(np.uint8)
            lost, gained = change_cells(before, after, rules.change.opening_cells)
            pattern = _pattern(after, known, place, rules)
            areas += result.area_rows(before, place.inside, place.zone, place.sides.area_m2, "baseline")
            areas += result.area_rows(after, place.inside, place.zone, place.sides.area_m2, "current")
            measures.append({"period": "baseline", **_pattern(before, known, place, rules).as_dict()})
        else:
            before, after = (
                np.zeros_like(compared.after),
                np.where(place.zone, compared.after, UNKNOWN).astype(np.uint8),
            )
            areas += result.area_rows(after, place.inside, place.zone, place.sides.area_m2, "current")
        measures.append({"period": "current", **pattern.as_dict()})
        evidence = result.ChangeEvidence(
            parameters.collection,
            [None if pair.before < 0 else early[pair.before] for pair in pairs],
            [late[pair.after] for pair in pairs],
            compared.clear,
        )
        changes = {}
        for name, cells, kinds, kind in (
            ("candidates", lost, before, "wetland-loss"),
            ("gains", gained, after, "wetland-gain"),
        ):
            changes[name] = result.change_frame(
                cells, kinds, place.inside, place.grid, place.sides.area_m2, evidence,
                site=parameters.site, kind=kind, least_m2=rules.change.least_area_m2,
            )  # fmt: skip
        row = _site_row(
            parameters, early, late, pairs, verdict, before, after, known, place, pattern, changes, covered=covered
        )
        _write(outputs, self.rasters["wetland"], place, before, after, row, outline, changes, parameters.site)
        tables: dict[str, Any] = {
            "totals": [row],
            "areas": areas,
            "measures": measures,
            "pairs": _pair_rows(pairs, early, late, level),
            "scenes": [scene.document() for scene in inspected],
            "left_out": dull,
            "changes": [
                {
                    key: None if value is None else str(value) if key.startswith("date") else value
                    for key, value in one.items()
                }
                for frame in changes.values()
                for one in frame.drop(columns="geometry").to_dict("records")
            ],
        }
        progress(1.0, "完成 done")
        return AnalysisResult(_factors(rules, verdict, pairs, gauge is not None), tables, _notes())


def _pattern(
    kinds: NDArray[np.uint8], known: NDArray[np.bool_], place: Place, rules: RiparianRules
) -> LandscapeMeasures:
    if not known.any():
        raise LayerEmpty("湿地范围内没有看得见的像元", "no cell of the wetland was seen", layer="scenes")
    return landscape_measures(
        kinds >= OPEN_WATER,
        known,
        place.sides,
        least_patch_m2=rules.landscape.least_patch_m2,
        connect_m=rules.landscape.connect_m,
    )


def _span(scenes: Sequence[InspectedScene]) -> str | None:
    return f"{scenes[0].time:%Y}–{scenes[-1].time:%Y}" if scenes else None


def _site_row(
    parameters: WetlandIntegrityParameters,
    early: Sequence[InspectedScene],
    late: Sequence[InspectedScene],
    pairs: Sequence[Pair],
    verdict: Verdict,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    known: NDArray[np.bool_],
    place: Place,
    pattern: LandscapeMeasures,
    changes: dict[str, Any],
    *,
    covered: float,
) -> dict[str, Any]:
    compared = bool(before.any())

    def km2(kinds: NDArray[np.uint8], *codes: int) -> float:
        return round(area_of(known & (np.isin(kinds, codes) if codes else kinds >= OPEN_WATER), place) / 1e6, 4)

    def percent(value: float | None) -> float | None:
        return None if value is None else round(100 * value, 3)

    found = pattern.as_dict()
    return {
        "site": parameters.site,
        "verdict": verdict.code,
        "reason_zh": verdict.reason.zh if verdict.reason else None,
        "reason_en": verdict.reason.en if verdict.reason else None,
        "baseline": parameters.baseline_layer or parameters.baseline_raster or _span(early),
        "current": _span(late),
        "pairs": len(pairs) if compared else 0,
        "basis": "+".join(sorted({pair.basis for pair in pairs})) if compared else None,
        "covered_share": round(covered, 4),
        "known_share": round(area_of(known, place) / area_of(place.zone, place), 4),
        "baseline_km2": km2(before) if compared else None,
        "area_km2": km2(after),
        "open_water_km2": km2(after, 2),
        "plants_km2": km2(after, 3),
        "mudflat_km2": km2(after, 4),
        "change_percent": percent(verdict.change),
        "change_low_percent": percent(verdict.low),
        "change_high_percent": percent(verdict.high),
        "loss_m2": round(float(changes["candidates"]["area_m2"].sum()), 1) if compared else None,
        "gain_m2": round(float(changes["gains"]["area_m2"].sum()), 1) if compared else None,
        **{
            name: found[name]
            for name in (
                "largest_patch_percent", "patches", "mean_patch_m2", "edge_density_m_ha", "connect_percent",
                "effective_mesh_m2",
            )
        },
    }  # fmt: skip


def _pair_rows(
    pairs: Sequence[Pair], early: Sequence[InspectedScene], late: Sequence[InspectedScene], level: Sequence[float]
) -> list[dict[str, Any]]:
    def metres(place: int) -> float | None:
        return round(level[place], 3) if level[place] == level[place] else None

    return [
        {
            "before": None if pair.before < 0 else early[pair.before].id,
            "after": late[pair.after].id,
            "basis": pair.basis,
            "level_before_m": None if pair.before < 0 else metres(pair.before),
            "level_after_m": metres(len(early) + pair.after),
            "level_difference_m": pair.level_difference_m,
            "season_days": pair.season_days,
        }
        for pair in pairs
    ]


def _write(
    outputs: Outputs,
    title: Text,
    place: Place,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    row: dict[str, Any],
    outline: Any,
    changes: dict[str, Any],
    site: str,
) -> None:
    import geopandas

    compared = bool(before.any())
    out = outputs.raster(
        "wetland",
        bands=result.kind_bands(compared=compared),
        dtype="uint8",
        nodata=0,
        title=title,
        style=result.kind_style(compared=compared),
    )
    was, now = before >= OPEN_WATER, after >= OPEN_WATER
    known = (before != UNKNOWN) & (after != UNKNOWN)
    change = np.where(known, np.where(was, np.where(now, 3, 1), np.where(now, 2, 4)), 0).astype(np.uint8)
    for band, values in enumerate((change, before, after) if compared else (after,), start=1):
        out.write(place.window[0], place.window[1], values, band=band)
    frame = geopandas.GeoDataFrame([row], geometry=[outline], crs=4490)
    for field in result.SITE_FIELDS:
        if field.type == "number":
            frame[field.name] = frame[field.name].astype("float64")
    outputs.features(
        "site",
        frame[[*(field.name for field in result.SITE_FIELDS), "geometry"]],
        fields=result.SITE_FIELDS,
        title=Text(zh=f"{site}湿地面积与完整性", en=f"Area and integrity of {site}"),
        style=result.site_style(),
        class_field="verdict",
    )
    for name, zh, en in (
        ("candidates", "湿地减少候选", "Candidates of lost wetland"),
        ("gains", "湿地增加", "Gained wetland"),
    ):
        outputs.features(
            name,
            changes[name],
            fields=result.CHANGE_FIELDS,
            title=Text(zh=f"{site}{zh}", en=f"{en}, {site}"),
            style=result.change_style(name == "candidates"),
            class_field="kind",
        )


def _factors(rules: RiparianRules, verdict: Verdict, pairs: Sequence[Pair], gauge: bool) -> tuple[Factor, ...]:
    compared = verdict.change is not None
    reason = verdict.reason or Text(zh=f"{len(pairs)} 对影像", en=f"{len(pairs)} pairs of scenes")
    return (
        Factor("matching", rules.matching.title, compared, reason, f"{rules.matching.source} [{rules.matching.tag}]"),
        Factor(
            "level",
            Text(zh="水位", en="Water level"),
            gauge,
            Text(zh="有水位站，按等水位配对" if gauge else "没有水位站，按同季节配对",
                 en="a gauge: pairs at equal level" if gauge else "no gauge: pairs at equal season"),
            f"{rules.matching.source} [{rules.matching.tag}]",
        ),
        Factor(
            "kinds",
            rules.kinds.title,
            True,
            Text(zh="开敞水面、水生湿生植被、泥滩", en="open water, plants, mudflat"),
            f"{rules.kinds.source} [{rules.kinds.tag}]",
        ),
        Factor(
            "landscape",
            rules.landscape.title,
            True,
            Text(zh="NP、MPS、LPI、ED、CONNECT、m_eff", en="NP, MPS, LPI, ED, CONNECT, m_eff"),
            f"{rules.landscape.source} [{rules.landscape.tag}]",
        ),
    )  # fmt: skip


def _notes() -> tuple[Text, ...]:
    return (
        Text(
            zh="从不露出水面的湿地（常年被植被覆盖、光学影像看不到水）不计入；名录范围以外只计与湖相连的湿地和较大的开敞水面，"
            "鱼塘也会计入后者。减少图斑是候选，须现场核实。",
            en="wetland whose water no optical scene sees (plants that always cover it) is not counted; beyond the listed "
            "outline only wetland joined to it and larger open water count, the latter includes fish ponds. Patches of loss "
            "are candidates, to be checked on the ground.",
        ),
    )
