"""What a sensitivity analysis hands back: bands and styles, area intervals, the ranked table of limits, notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.chain import Chain
from analyses.perturbation import Spread, Variant
from analyses.whatif import NOT_LOCAL
from spatial.catalog import Band, Text
from spatial.jobs.contract import Factor, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "area_table",
    "class_colors",
    "factors",
    "notes",
    "one_at_a_time_table",
    "probability_bands",
    "probability_style",
]

_COLORS = ("#1a9850", "#fee08b", "#d73027", "#7b3294", "#4d4d4d", "#2166ac")
_CHANGED = 7


def _title(chain: Chain, number: int) -> Text:
    return chain.class_titles.get(number, Text(zh=f"{number} 类", en=f"class {number}"))


def class_colors(result: RasterInput | None) -> dict[int, str]:
    """Colour of each class: as in the style of the result layer, else green to red."""
    colors = dict(enumerate(_COLORS, start=1))
    style = {} if result is None else result.layer.style
    if style.get("band", "class") == "class":
        colors |= {int(one["value"]): str(one["color"]) for one in style.get("classes", [])}
    return colors


def probability_bands(chain: Chain, numbers: Sequence[int]) -> tuple[Band, ...]:
    """Bands ``p1`` … (share of the simulations) and ``entropy``."""
    bands = [
        Band(
            name=f"p{n}",
            title=Text(zh=f"{_title(chain, n).zh}的概率", en=f"Probability of {_title(chain, n).en}"),
            valid_range=(0, 1),
        )
        for n in numbers
    ]
    title = Text(zh="类别熵（0 确定，1 各类相等）", en="Entropy of the class (0 sure, 1 all equal)")
    return (*bands, Band(name="entropy", title=title, valid_range=(0, 1)))


def probability_style(chain: Chain, numbers: Sequence[int]) -> dict[str, Any]:
    """Ramp of the probability of the first class."""
    title = _title(chain, numbers[0])
    return {
        "type": "ramp",
        "band": f"p{numbers[0]}",
        "title": {"zh": f"{title.zh}的概率", "en": f"Probability of {title.en}"},
        "stops": [
            {"value": 0, "color": "#d73027"},
            {"value": 0.5, "color": "#ffffbf"},
            {"value": 1, "color": "#1a9850"},
        ],
    }


def area_table(chain: Chain, recorded: NDArray[np.float64], simulated: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Area of each class: as recorded, and over the simulations (km²).

    Parameters
    ----------
    recorded : float64 (8,), m²
        By class.
    simulated : float64 (simulations, 8), m²

    Notes
    -----
    Percentiles interpolate linearly between the ordered areas; the standard deviation is that of a sample.
    """
    rows = []
    whole = float(recorded[1:_CHANGED].sum())
    for n in sorted(set(chain.classes.values())):
        row: dict[str, Any] = {
            "class": n,
            "title_zh": _title(chain, n).zh,
            "title_en": _title(chain, n).en,
            "recorded_km2": _km2(recorded[n]),
            "recorded_percent": round(100 * float(recorded[n]) / whole, 4) if whole else None,
        }
        if len(simulated):
            areas = np.sort(simulated[:, n])
            p5, p95 = np.percentile(areas, [5, 95])
            row |= {
                "mean_km2": _km2(areas.mean()),
                "sd_km2": _km2(areas.std(ddof=1)) if len(areas) > 1 else None,
                "p5_km2": _km2(p5),
                "p95_km2": _km2(p95),
                "minimum_km2": _km2(areas[0]),
                "maximum_km2": _km2(areas[-1]),
            }
        rows.append(row)
    return rows


def _km2(m2: Any) -> float:
    return round(float(m2) / 1e6, 6)


def one_at_a_time_table(
    chain: Chain, variants: Sequence[Variant], recorded: NDArray[np.float64], found: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """What each limit, weight or station by itself changes, ranked by the area that changes class.

    Parameters
    ----------
    recorded : float64 (8,), m²
    found : float64 (variants, 8), m²
    """
    numbers = sorted(set(chain.classes.values()))
    groups: dict[tuple[str, str, int], dict[str, Any]] = {}
    for variant, areas in zip(variants, found, strict=True):
        station = variant.station
        row = groups.setdefault(
            (station.id, variant.kind, variant.number),
            {
                "rank": 0,
                "station": station.id,
                "title_zh": station.title.zh,
                "title_en": station.title.en,
                "factor": station.factor,
                "unit": station.unit if variant.kind == "edge" else None,
                "kind": variant.kind,
                "edge": variant.number or None,
                "value": None if variant.kind == "off" else variant.value,
                "changed_km2": 0.0,
            },
        )
        side = {-1: "minus", 0: "off", 1: "plus"}[variant.side]
        if variant.side:
            row[f"{side}_value"] = variant.used
        row[f"{side}_changed_km2"] = _km2(areas[_CHANGED])
        for n in numbers:
            row[f"{side}_class_{n}_km2"] = _km2(areas[n] - recorded[n])
        row["changed_km2"] = max(row["changed_km2"], _km2(areas[_CHANGED]))
    # Limits are ranked among limits: to leave a station out is no small change.
    rows = sorted(groups.values(), key=lambda r: (r["kind"] == "off", -r["changed_km2"], r["station"], r["edge"] or 0))
    for rank, row in enumerate(rows, start=1):
        row["rank"] = rank
    return rows


def factors(chain: Chain, spread: Spread, lacking: Sequence[str]) -> tuple[Factor, ...]:
    """Every station of the recorded chain: how its limits were varied, or why it takes no part."""
    listed = []
    for station in chain.stations:
        if station.id in lacking:
            note = Text(**NOT_LOCAL)
        elif station.id in spread.held:
            note = Text(zh="按原结果保持不变", en="held as found in the result")
        else:
            by = spread.of(station)
            limits = "，".join(f"{e:g}±{s:.4g}" for e, s in zip(station.edges, by, strict=True) if s)
            unit = f" {station.unit}" if station.unit else ""
            note = Text(
                zh=f"阈值 {limits}{unit}" if limits else "阈值不变",
                en=f"limits {limits.replace('，', ', ')}{unit}" if limits else "limits unchanged",
            )
        listed.append(
            Factor(
                station.id,
                station.title,
                station.id not in lacking,
                note,
                f"{station.source} [{station.tag}]",
            )
        )
    return tuple(listed)


def notes(sample: int, simulations: int, lacking: Sequence[str], held: frozenset[str]) -> tuple[Text, ...]:
    """What a reader must know before using the map."""
    said = [
        Text(
            zh="概率只反映所给阈值、矩阵、权重的不确定，不含数据误差与方法误差；各阈值独立抽取。",
            en="The probabilities hold the stated uncertainty of limits, matrices and weights only, not that of the data or "
            "of the method; limits are drawn independently.",
        )
    ]
    said.append(
        Text(
            zh="面积按整个像元计（含边界上的像元），与按政区多边形切分的统计表略有差别。",
            en="Areas count whole cells, those on the border too: they differ a little from tables cut by unit polygons.",
        )
    )
    if 0 < simulations < 100:
        said.append(
            Text(
                zh=f"只模拟了 {simulations} 次，5–95 % 区间很粗；建议不少于 100 次。",
                en=f"only {simulations} simulations: the 5–95 % interval is rough; use at least 100.",
            )
        )
    if sample > 1:
        said.append(
            Text(
                zh=f"每 {sample} 行 {sample} 列抽取一个像元，面积为估计值，没有概率图。",
                en=f"one cell in {sample} × {sample} was sampled: areas are estimates, and there is no map.",
            )
        )
    if lacking:
        names = "、".join(lacking)
        said.append(
            Text(
                zh=f"未含站 {names}（{NOT_LOCAL['zh']}），“原判别链”的面积因此与发布的等级图不同；"
                "给出 result 图层即可按原结果保持它们。",
                en=f"without the stations {names.replace('、', ', ')} ({NOT_LOCAL['en']}): the recorded areas differ from "
                "the published classes; name the result layer to hold them as they were found.",
            )
        )
    if held:
        names = "、".join(sorted(held))
        said.append(
            Text(
                zh=f"站 {names} 的值取自原结果，没有随阈值重算。",
                en=f"the values of {names.replace('、', ', ')} are those of the result; they were not found anew for each draw.",
            )
        )
    return tuple(said)
