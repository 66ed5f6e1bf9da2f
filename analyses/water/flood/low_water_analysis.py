"""The analysis ``low-water`` (枯水分析): gauges and forecast against 旱限水位 and 生态水位, intakes, ships."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from analyses.water.flood.findings import typed
from analyses.water.flood.low_water_assess import LowWaterState, assess_gauge, assess_intakes
from analyses.water.flood.low_water_parameters import LowWaterParameters
from analyses.water.flood.low_water_result import INTAKE_FIELDS, STATION_FIELDS, intake_style, station_style
from analyses.water.flood.rules import flood_rules
from analyses.water.flood.start import offset_rows
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import ANY_GRID, AnalysisResult, Factor, Inputs, InputSpec, Outputs, Parameters, Progress

__all__ = ["LowWater", "LowWaterParameters"]


class LowWater:
    """Low water (枯水) at gauges, with forecast, intakes and depth for ships."""

    id: ClassVar[str] = "low-water"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="枯水分析", en="Low water")
    description: ClassVar[Text] = Text(
        zh="各站低于旱限水位、生态水位的天数、首日、最低值，预报何时低于及其可靠程度，受影响的取水口与航道水深，枯水预警等级。"
        "缺特征值、基准或改正数的一律「未评」，列出原因。",
        en="Days below the drought and the ecological level of each gauge, the first day and the lowest level, when a forecast "
        "falls below them and how sure that is, intakes and depth for ships, grades of warning. Without lines, datum or offset a "
        "gauge or intake is not assessed, with the reason.",
    )
    method: ClassVar[str] = "日平均水位与旱限、生态水位比较；docs/methods/flood-and-drought.md"
    parameters: ClassVar[type[Parameters]] = LowWaterParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("series", "low-water-levels", "vector", Text(zh="水位序列", en="Level series"), extent="whole"),
        InputSpec("gauges", "river-gauges", "vector", Text(zh="水文站", en="Gauges"), extent="whole"),
        InputSpec("lines", "low-water-lines", "vector", Text(zh="低水特征值", en="Lines"), True, extent="whole"),
        InputSpec("intakes", "water-intakes", "vector", Text(zh="取水口", en="Intakes"), True, extent="whole"),
    )
    base: ClassVar[str] = "gauges"
    short_cells: ClassVar[int] = ANY_GRID
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {}

    @classmethod
    def inputs_of(cls, parameters: LowWaterParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        named = {name: getattr(parameters, name) for name in ("series", "gauges", "lines", "intakes")}
        return tuple(replace(spec, layer=named[spec.role]) for spec in cls.inputs if named[spec.role] is not None)

    def run(
        self, inputs: Inputs, parameters: LowWaterParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Assess every gauge and intake.

        Returns
        -------
        AnalysisResult
            Features ``gauges`` and ``intakes``; tables ``stations`` (one row a gauge and line), ``warning``, ``intakes``,
            ``navigation``, ``daily``, ``refused``, ``series_flags``, ``offsets``.

        Raises
        ------
        LayerEmpty
            If the series has no row.
        QualityViolation, InvalidParameter
            If a gauge that the user named cannot be assessed.
        """
        state = LowWaterState(flood_rules(inputs.rules), parameters)
        frame = inputs.frames["series"]
        if not len(frame):
            raise LayerEmpty(
                f"序列图层 {parameters.series} 没有要素",
                f"layer {parameters.series} has no feature",
                layer=parameters.series,
            )
        names = list(parameters.stations) or sorted(str(n) for n in frame["station"].unique())
        for number, name in enumerate(names):
            progress(0.05 + 0.7 * number / len(names), f"{name}")
            try:
                assess_gauge(state, inputs, name)
            except (QualityViolation, InvalidParameter) as error:
                state.refuse("station", name, error)
        assess_intakes(state, inputs)
        self._publish(state, inputs, outputs)
        state.tables["offsets"] = offset_rows(parameters.offsets, state.rules, set(state.levels))
        progress(1.0, "完成 done")
        return AnalysisResult(tuple(_factors(state)), state.tables, tuple(_notes(state)))

    def _publish(self, state: LowWaterState, inputs: Inputs, outputs: Outputs) -> None:
        import geopandas as gpd

        if state.points:
            frame = gpd.GeoDataFrame([p for p, _ in state.points], geometry=[g for _, g in state.points], crs=4490)
            outputs.features(
                "gauges",
                typed(frame, STATION_FIELDS),
                fields=STATION_FIELDS,
                title=Text(zh="枯水分析：测站", en="Low water: gauges"),
                style=station_style(state.rules.low_water),
                class_field="grade",
            )
        rows = state.tables.get("intakes", [])
        source = inputs.frames.get("intakes")
        if rows and source is not None:
            places = dict(zip(source["name"], source.geometry, strict=True))
            columns = [f.name for f in INTAKE_FIELDS]
            frame = gpd.GeoDataFrame(
                [{c: row.get(c) for c in columns} for row in rows],
                geometry=[places[row["name"]] for row in rows],
                crs=4490,
            )
            outputs.features(
                "intakes",
                typed(frame, INTAKE_FIELDS),
                fields=INTAKE_FIELDS,
                title=Text(zh="枯水分析：取水口", en="Low water: intakes"),
                style=intake_style(),
                class_field="state",
            )


def _factors(state: LowWaterState) -> list[Factor]:
    refused = state.tables.get("refused", [])
    stations = [r for r in refused if r["kind"] == "station"]
    rule = state.rules.low_water
    done = len(state.tables.get("warning", []))
    out = [
        Factor(
            "low_water",
            Text(zh="旱限与生态水位", en="Low water"),
            done > 0,
            Text(zh=f"评 {done} 站，未评 {len(stations)} 站", en=f"{done} gauges assessed, {len(stations)} not"),
            rule.source,
        )
    ]
    rows = state.tables.get("intakes", [])
    known = sum(r["state"] != "not_assessed" for r in rows)
    out.append(
        Factor(
            "intakes",
            Text(zh="取水口", en="Intakes"),
            known > 0,
            Text(zh=f"评 {known} 处，未评 {len(rows) - known} 处", en=f"{known} assessed, {len(rows) - known} not"),
            rule.source,
        )
    )
    ships = "navigation" in state.tables
    about = Text(zh="按浅滩河床与维护水深", en="by the bed of the shoal and the depth kept")
    none = Text(zh="没有浅滩河床高程与维护水深", en="no bed of shoals and depth kept")
    out.append(Factor("navigation", Text(zh="航道水深", en="Depth for ships"), ships, about if ships else none, ""))
    return out


def _notes(state: LowWaterState) -> list[Text]:
    refused = state.tables.get("refused", [])
    if not refused:
        return []
    names = "、".join(str(r["name"]) for r in refused)
    return [
        Text(
            zh=f"未评：{names}；原因见表 refused，补齐基准、改正数（参数 offsets）或特征值后可评",
            en=f"not assessed: {names}; for the reasons see the table refused; give datum, offset (parameter offsets) or lines",
        )
    ]
