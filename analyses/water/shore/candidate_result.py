"""What the corridor candidates hand back beside the layers (成果表): rows, totals, factors, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analyses.water.shore.candidate_parameters import CandidateParameters
from analyses.water.shore.candidate_rules import CandidateRules
from analyses.water.shore.radar_looks import RadarSearch
from spatial.catalog import Text
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    import geopandas
    import numpy as np
    from numpy.typing import NDArray

    from analyses.water.extent.scene_maps import InspectedScene

__all__ = ["candidate_rows", "factors_of", "notes_of", "totals_row"]


def candidate_rows(frame: geopandas.GeoDataFrame) -> list[dict[str, Any]]:
    """Candidates as JSON-able rows, without their geometry."""
    import pandas as pd

    def plain(value: Any) -> Any:
        if value is None or (not isinstance(value, str) and pd.isna(value)):
            return None
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return value.item() if hasattr(value, "item") else value

    return [{k: plain(v) for k, v in row.items()} for row in frame.drop(columns="geometry").to_dict("records")]


def totals_row(
    frame: geopandas.GeoDataFrame,
    days: Sequence[tuple[InspectedScene, ...]],
    early: NDArray[np.bool_],
    shares: Mapping[str, float],
    radar: RadarSearch | None,
    netted: bool,
    rules: CandidateRules,
    parameters: CandidateParameters,
) -> dict[str, Any]:
    """The one row of totals: dates, valid share, counts, thresholds."""
    dates = [scenes[0].time.date().isoformat() for scenes in days]
    before = [day for day, was in zip(dates, early, strict=True) if was]
    after = [day for day, was in zip(dates, early, strict=True) if not was]
    return {
        "collection": parameters.collection,
        "before": before,
        "after": after,
        "range_km2": round(shares["range_m2"] / 1e6, 4),
        "valid_percent": round(100 * shares["valid_share"], 2),
        "candidates": len(frame),
        "confirmed": int(frame["confirmed"].astype(bool).sum()),
        "permitted": int((frame["permit"] == "permitted").sum()),
        **{kind: int((frame["kind"] == kind).sum()) for kind in ("occupation", "extraction", "dumping", "building")},
        "area_ha": round(float(frame["area_m2"].sum()) / 1e4, 3),
        "radar_looks": 0 if radar is None else radar.looks,
        "vessels_staying": 0 if radar is None else sum(place.kind == "staying" for place in radar.places),
        "nets_searched": netted,
        "thresholds": {
            "least_change": rules.change.least if parameters.least_change is None else parameters.least_change,
            "least_m2": rules.change.least_m2,
            "season_days": rules.change.season_days,
            "cfar_factor": rules.dredgers.factor,
            "net_factor": rules.nets.factor,
        },
    }


def factors_of(inputs: Inputs, rules: CandidateRules, radar: RadarSearch | None, netted: bool) -> tuple[Factor, ...]:
    """What was judged, and what was not for want of a layer."""

    def factor(name: str, zh: str, en: str, ok: bool, yes: Text, no: Text, source: str) -> Factor:
        return Factor(name, Text(zh=zh, en=en), ok, yes if ok else no, source)

    unknown = Text(zh="没有该图层，无法判定", en="no such layer: cannot be told")
    used = Text(zh="已核对", en="checked")
    return (
        factor("disturbance", "四乱变化图斑", "Disturbances", True,
               Text(zh="只在前后都看得清的像元上、同水位同季节比较", en="on common valid cells, at equal level and season"),
               unknown, rules.change.source),
        factor("vessels", "驻留船只", "Vessels that stay", radar is not None and radar.looks > 0,
               Text(zh="雷达逐日目标；停泊船与采砂船不可区分",
                    en="radar targets by date; ships at anchor and dredgers look alike"),
               Text(zh="没有可用的雷达序列，光学影像不足以判断，未查",
                    en="no usable radar series; optical scenes do not tell, not looked for"),
               rules.dredgers.source),
        factor("nets", "围网", "Enclosure nets", netted,
               Text(zh="湖面线状纹理", en="lines on lake water"),
               Text(zh="范围内没有湖面或观测太少，未查", en="no lake in the range or too few looks: not looked for"),
               rules.nets.source),
        factor("permits", "涉河许可", "Works permits", "permits" in inputs.frames, used, unknown, rules.change.source),
        factor("zones", "岸线四区", "Four zones", "zones" in inputs.frames, used, unknown, "layers/rules/shoreline.yml"),
        factor("reaches", "河段桩号", "Reach and chainage", "reaches" in inputs.frames, used, unknown, rules.change.source),
    )  # fmt: skip


def notes_of(shares: Mapping[str, float]) -> tuple[Text, ...]:
    """What a reader must know."""
    return (
        Text(
            zh=f"图斑只是疑似，须现场核查认定；管理范围内可比较面积占 {100 * shares['valid_share']:.1f} %，其余不是“没有变化”。",
            en=f"Candidates only: to be checked in the field. {100 * shares['valid_share']:.1f} % of the range could be "
            "compared; the rest is not «unchanged».",
        ),
    )
