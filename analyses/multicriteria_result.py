"""What a multi-criteria evaluation hands back: roles and codes, bands, styles, tables (权重表、面积表) and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.combination import orness
from analyses.criteria import Criterion, MultiCriteriaParameters
from analyses.weights import Consistency
from analyses.zonal import areas_in_units
from spatial.catalog import Band, Text
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "EXCLUDED",
    "SCORE_STYLE",
    "TENTHS",
    "Weighting",
    "constraint_role",
    "criterion_bands",
    "criterion_role",
    "factors",
    "notes",
    "status_band",
    "tables",
]

TENTHS = 10
EXCLUDED = TENTHS + 1
"""Codes of the scratch array: 0 no data, 1–10 the tenth of the score, 11 + k excluded by constraint k."""
_METHODS = {
    "wlc": Text(zh="加权线性组合", en="weighted linear combination"),
    "owa": Text(zh="有序加权平均", en="ordered weighted average"),
    "topsis": Text(zh="逼近理想解（TOPSIS）", en="TOPSIS"),
}
_SOURCES = {
    "given": "参数 weights / parameter weights",
    "ahp": "Saaty（1980）The Analytic Hierarchy Process",
    "entropy": "Shannon（1948）doi:10.1002/j.1538-7305.1948.tb01338.x",
    "critic": "Diakoulaki, Mavrotas & Papayannakis（1995）doi:10.1016/0305-0548(94)00059-H",
}
SCORE_STYLE: dict[str, Any] = {
    "type": "ramp",
    "band": "score",
    "title": {"zh": "得分（0–1）", "en": "Score (0–1)"},
    "stops": [
        {"value": 0, "color": "#440154"},
        {"value": 0.25, "color": "#3b528b"},
        {"value": 0.5, "color": "#21918c"},
        {"value": 0.75, "color": "#5ec962"},
        {"value": 1, "color": "#fde725"},
    ],
}


def criterion_role(number: int) -> str:
    """Role of criterion number `number` (from 0) among the inputs."""
    return f"criterion-{number + 1}"


def constraint_role(number: int) -> str:
    """Role of constraint number `number` (from 0) among the inputs."""
    return f"constraint-{number + 1}"


@dataclass(frozen=True)
class Weighting:
    """Weights with where they come from."""

    values: tuple[float, ...]
    consistency: Consistency | None = None


def _name(criterion: Criterion) -> str:
    return f"{criterion.layer.replace('-', '_')}_{criterion.band}"[:63]


def criterion_bands(parameters: MultiCriteriaParameters) -> tuple[Band, ...]:
    """Bands of the raster of standardised criteria."""
    return tuple(
        Band(
            name=_name(c),
            title=Text(zh=f"{c.layer} 波段 {c.band}（标准化）", en=f"{c.layer}, band {c.band} (standardised)"),
            valid_range=(0, 1),
        )
        for c in parameters.criteria
    )


def _status_titles(parameters: MultiCriteriaParameters) -> dict[int, Text]:
    return {1: Text(zh="参评", en="scored")} | {
        2 + k: Text(zh=f"被约束 {c.layer} 排除", en=f"excluded by {c.layer}")
        for k, c in enumerate(parameters.constraints)
    }


def status_band(parameters: MultiCriteriaParameters) -> tuple[tuple[Band, ...], dict[str, Any]]:
    """Band and style of the raster that says which cells were scored."""
    titles = _status_titles(parameters)
    band = Band(name="status", title=Text(zh="参评状态", en="Status"), valid_range=(0, max(titles)), domain=titles)
    colors = ["#1a9850", *(f"#{0x60 + 7 * k:02x}{0x60 + 7 * k:02x}{0x60 + 7 * k:02x}" for k in range(20))]
    classes = [
        {"value": code, "color": colors[code - 1], "title": title.model_dump()} for code, title in titles.items()
    ]
    return (band,), {"type": "classes", "band": "status", "classes": classes}


def _how(criterion: Criterion, span: tuple[float, float] | None) -> Text:
    if span is not None:
        zh = "效益型" if criterion.direction == "benefit" else "成本型"
        given = ("本次范围的极值", "extremes of this window") if criterion.observed else ("给定", "given")
        return Text(
            zh=f"极差标准化 {span[0]:g}–{span[1]:g}（{given[0]}），{zh}",
            en=f"min–max {span[0]:g} to {span[1]:g} ({given[1]}), {criterion.direction}",
        )
    if criterion.points is not None:
        points = " ".join(f"{x:g}→{m:g}" for x, m in criterion.points)
        return Text(zh=f"模糊隶属度 {points}", en=f"fuzzy membership {points}")
    scores = " ".join(f"{c}→{s:g}" for c, s in sorted((criterion.scores or {}).items()))
    return Text(zh=f"类别分值 {scores}", en=f"class scores {scores}")


def factors(parameters: MultiCriteriaParameters, weights: Weighting) -> tuple[Factor, ...]:
    """Every criterion with its weight."""
    return tuple(
        Factor(
            _name(c),
            Text(zh=f"{c.layer} 波段 {c.band}", en=f"{c.layer}, band {c.band}"),
            True,
            Text(zh=f"权重 {w:.6g}", en=f"weight {w:.6g}"),
            _SOURCES[parameters.weighting],
        )
        for c, w in zip(parameters.criteria, weights.values, strict=True)
    )


def tables(
    parameters: MultiCriteriaParameters,
    weights: Weighting,
    spans: tuple[tuple[float, float] | None, ...],
    extremes: NDArray[np.float64],
    areas: NDArray[np.float64],
    inputs: Inputs,
) -> dict[str, Any]:
    """Weights, method, consistency, ellipsoidal areas by tenth of the score and by constraint."""
    rows = []
    for k, (criterion, weight) in enumerate(zip(parameters.criteria, weights.values, strict=True)):
        how = _how(criterion, spans[k])
        band = inputs.rasters[criterion_role(k)].layer.bands[criterion.band - 1]
        rows.append(
            {
                "layer": criterion.layer,
                "band": band.name,
                "title_zh": band.title.zh,
                "title_en": band.title.en,
                "unit": band.unit,
                "minimum": float(extremes[k, 0]),
                "maximum": float(extremes[k, 1]),
                "standardised_zh": how.zh,
                "standardised_en": how.en,
                "weight": weight,
                "weighting": parameters.weighting,
            }
        )
    found: dict[str, Any] = {"weights": rows}
    how = _METHODS[parameters.method]
    order = parameters.order_weights
    found["method"] = [
        {
            "method": parameters.method,
            "title_zh": how.zh,
            "title_en": how.en,
            "order_weights": None if order is None else list(order),
            "orness": None if order is None else orness(order),
            "ideal": parameters.ideal if parameters.method == "topsis" else None,
        }
    ]
    if weights.consistency is not None:
        c = weights.consistency
        found["consistency"] = [
            {
                "order": c.order,
                "lambda_max": c.lambda_max,
                "ci": c.ci,
                "ri": c.ri,
                "cr": c.cr,
                "limit": c.limit,
                "consistent": c.consistent,
            }
        ]
    scored = float(areas[1 : TENTHS + 1].sum())
    found["by_score"] = [
        {
            "from": k / TENTHS,
            "to": (k + 1) / TENTHS,
            **_area(areas[k + 1]),
            "percent": round(100 * float(areas[k + 1]) / scored, 4) if scored else None,
        }
        for k in range(TENTHS)
    ]
    found["excluded"] = [
        {"constraint": k + 1, "layer": c.layer, **_area(areas[EXCLUDED + k])}
        for k, c in enumerate(parameters.constraints)
    ]
    found["not_assessed"] = [_area(areas[0])]
    return found


def _area(m2: float) -> dict[str, float]:
    return {name.removeprefix("a_"): value for name, value in areas_in_units(float(m2), "a").items()}


def notes(parameters: MultiCriteriaParameters, weights: Weighting) -> tuple[Text, ...]:
    """What a reader must know before using the map."""
    said = [
        Text(
            zh="得分是所选准则与权重的结论，不是法定评价；权重与标准化方式须随图公布。",
            en="The score follows from the criteria and weights chosen; it is no statutory assessment. Publish both with it.",
        )
    ]
    observed = any(c.observed for c in parameters.criteria)
    data_driven = parameters.weighting in {"entropy", "critic"}
    if observed or data_driven or (parameters.method == "topsis" and parameters.ideal == "observed"):
        said.append(
            Text(
                zh="标准化、权重或理想解取自本次范围内的像元，换一个范围得分会变，不同范围不可比。",
                en="Standardisation, weights or ideal come from the cells of this window; another window gives other scores.",
            )
        )
    if data_driven:
        said.append(
            Text(
                zh="每个像元等权参与熵权与 CRITIC 的统计（未按面积加权）。",
                en="Each cell counts once in entropy and CRITIC (not weighted by area).",
            )
        )
    c = weights.consistency
    if c is not None and not c.consistent:
        said.append(
            Text(
                zh=f"判断矩阵不一致（CR = {c.cr:.4f} > {c.limit:g}），按参数接受。",
                en=f"The pairwise matrix is inconsistent (CR = {c.cr:.4f} > {c.limit:g}); accepted by parameter.",
            )
        )
    return tuple(said)
