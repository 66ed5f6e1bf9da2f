"""Whether a scene can be used (影像可用性检查): scaling, negative values, band order, cloud mask, cloud, coverage.

Nothing is repaired: every finding has a code and a reason, and a rule says whether it excludes the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from analyses.water.classes import CLOUD, NODATA
from analyses.water.extent.reflectance import OPTICAL_BANDS
from spatial.catalog import Text
from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["Finding", "SceneCheck", "band_order_findings", "check_scene"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found wrong with a scene.

    `code` is one of ``no-data, partial-tile, scale, negative, out-of-range, band-order, no-cloud-mask, all-cloud``.
    """

    code: str
    excludes: bool
    text: Text

    def document(self) -> dict[str, object]:
        """For the list in a result."""
        return {"code": self.code, "excludes": self.excludes, "zh": self.text.zh, "en": self.text.en}


@dataclass(frozen=True, slots=True)
class SceneCheck:
    """What was found, and the shares that decided it (0–1).

    `valid_share`: cells with data of all cells; `clear_share`: cells not masked of the valid ones.
    """

    findings: tuple[Finding, ...]
    valid_share: float
    clear_share: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether no finding excludes the scene."""
        return not any(finding.excludes for finding in self.findings)

    def document(self) -> dict[str, object]:
        """For the list in a result."""
        return {
            "usable": self.usable,
            "valid_share": round(self.valid_share, 6),
            "clear_share": round(self.clear_share, 6),
            "findings": [finding.document() for finding in self.findings],
            "figures": {name: round(value, 6) for name, value in self.figures.items()},
        }


def check_scene(
    bands: Mapping[str, NDArray[np.float32]],
    rules: WaterExtentRules,
    *,
    mask: NDArray[np.uint8] | None,
    accept_unmasked: bool = False,
) -> SceneCheck:
    """Check a scene, or an evenly spaced sample of it.

    Parameters
    ----------
    bands : mapping
        ``blue, green, red, nir, swir1, swir2``: float32 reflectance of one shape; NaN = nodata.
    mask : uint8, optional
        0 clear, else a code of `analyses.water.classes`; None = the scene has no cloud mask.
    accept_unmasked : bool
        A scene without a cloud mask is flagged but not excluded (for chips chosen by hand).

    Raises
    ------
    InvalidParameter
        If a band is missing.
    GridMismatch
        If bands or mask differ in shape.

    Examples
    --------
    >>> # a scene whose digital numbers were taken for reflectance: check.findings[0].code == "scale", not usable
    """
    missing = [name for name in OPTICAL_BANDS if name not in bands]
    if missing:
        raise InvalidParameter(
            f"缺少波段 {'、'.join(missing)}", f"bands {', '.join(missing)} are missing", parameter="bands"
        )
    shapes = {name: np.shape(bands[name]) for name in OPTICAL_BANDS}
    if mask is not None:
        shapes["mask"] = mask.shape
    if len(set(shapes.values())) != 1:
        raise GridMismatch(f"波段或掩膜大小不一：{shapes}", f"bands or mask differ in shape: {shapes}")
    values = np.stack([np.asarray(bands[name], dtype=np.float32).ravel() for name in OPTICAL_BANDS])
    codes = None if mask is None else mask.ravel()
    valid = np.isfinite(values).all(axis=0)
    if codes is not None:
        valid &= codes != NODATA
    clear = valid if codes is None else valid & (codes == 0)
    valid_share = float(valid.mean()) if valid.size else 0.0
    clear_share = int(clear.sum()) / max(int(valid.sum()), 1)
    rule = rules.plausible
    found: list[Finding] = []
    figures: dict[str, float] = {}
    if codes is None:
        found.append(
            Finding(
                "no-cloud-mask",
                not accept_unmasked,
                Text(
                    zh="影像没有云掩膜：云和云影会被当作地面，请提供 SCL、QA_PIXEL 或 Fmask",
                    en="the scene has no cloud mask: cloud and shadow would count as ground; give SCL, QA_PIXEL or Fmask",
                ),
            )
        )
    if valid_share < rule.empty:
        found.append(_share("no-data", True, valid_share, "几乎没有有效像元", "hardly any cell holds data"))
        return SceneCheck(tuple(found), valid_share, clear_share, figures)
    if valid_share < rule.partial:
        found.append(
            _share("partial-tile", False, valid_share, "影像不满幅：有效像元", "partial tile: cells with data")
        )
    if codes is not None and clear_share < rule.least_clear:
        cloud = float(np.mean(codes[valid] == CLOUD))
        found.append(
            _share(
                "all-cloud", True, cloud, "几乎全部为云或被遮挡：云占", "cloud or other masks cover nearly all: cloud"
            )
        )
    # Under cloud nothing can be said of scaling and order; what the mask leaves is looked at, else everything with data.
    seen = values[:, clear if clear.sum() >= rules.band_order.least_cells else valid]
    found += _scale_findings(seen, rules, figures)
    if not any(finding.code == "scale" for finding in found) and clear_share >= rule.least_clear:
        found += band_order_findings(seen, rules, figures)
    return SceneCheck(tuple(found), valid_share, clear_share, figures)


def _share(code: str, excludes: bool, share: float, zh: str, en: str) -> Finding:
    return Finding(code, excludes, Text(zh=f"{zh} {share:.2%}", en=f"{en} {share:.2%}"))


def _scale_findings(seen: NDArray[np.float32], rules: WaterExtentRules, figures: dict[str, float]) -> list[Finding]:
    """Wrong scale or offset, and values that no surface has."""
    rule = rules.plausible
    found: list[Finding] = []
    high, bright = float(np.quantile(seen, 0.999)), float(np.quantile(seen, 0.99))
    figures |= {"q999": high, "q99": bright}
    if high > rule.most or bright < rule.least:
        zh = "像元值或百分数" if high > rule.most else "被除了两次的反射率"
        en = "digital numbers or percent" if high > rule.most else "reflectance divided twice"
        text = Text(
            zh=f"反射率缩放有误：99% 分位 {bright:.4g}，99.9% 分位 {high:.4g}，像是{zh}；应为 0–1",
            en=f"reflectance scaled wrong: 99 % quantile {bright:.4g}, 99.9 % quantile {high:.4g}, looks like {en}; must be 0–1",
        )
        return [Finding("scale", True, text)]
    negative = float(np.mean((seen[:3] < -1e-5).any(axis=0)))  # a digital number of exactly 0 may round below it
    figures["negative_share"] = negative
    if negative > rule.negative_flag:
        excludes = negative > rule.negative_exclude
        zh = "可见光反射率为负的像元" if not excludes else "可见光反射率为负的像元过多，偏移可能被减了两次："
        en = (
            "cells with a negative visible band"
            if not excludes
            else "too many cells with a negative visible band, offset taken twice?"
        )
        found.append(_share("negative", excludes, negative, zh, en))
    span = rule.cell_range
    outside = float(np.mean(((seen < span.min) | (seen > span.max)).any(axis=0)))
    figures["outside_share"] = outside
    if outside > 0:
        found.append(
            _share(
                "out-of-range",
                False,
                outside,
                "反射率超出合理范围、作无数据的像元",
                "cells out of range, taken as no data",
            )
        )
    return found


def band_order_findings(
    seen: NDArray[np.float32], rules: WaterExtentRules, figures: dict[str, float] | None = None
) -> list[Finding]:
    """Signs that the bands are not blue, green, red, NIR, SWIR1, SWIR2.

    Five laws that surfaces of land and water keep (r is the correlation over cells):

    1. r(green, red) ≥ r(green, NIR) − margin: visible bands go together, NIR goes its own way.
    2. r(red, SWIR1) ≥ r(blue, SWIR1) − margin: the farther from the blue, the more like the SWIR.
    3. SWIR2 > 1.15 SWIR1 in few cells: water, plants and most soils are darker at 2.2 µm.
    4. Where there is land, some of it is green: NIR > 1.5 red.
    5. Plants (NIR or SWIR1 above 2.5 red) are brighter in the NIR than in the SWIR, which the water in the leaf absorbs.

    Parameters
    ----------
    seen : float32 (6, cells)
        Reflectance of clear cells in the order of `OPTICAL_BANDS`.

    Returns
    -------
    list of Finding
        Empty where nothing speaks against the order; too few cells say nothing.
    """
    rule = rules.band_order
    figures = {} if figures is None else figures
    cells = seen.shape[1]
    if cells < rule.least_cells:
        return []
    if cells > rule.sample:
        seen = seen[:, :: -(-cells // rule.sample)]
    blue, green, red, nir, swir1, swir2 = seen.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.corrcoef(np.stack([blue, green, red, nir, swir1]))
    land = swir1 > rule.land_swir1
    land_share = float(land.mean())
    green_share = float(np.mean(nir[land] > rule.vegetation_ratio * red[land])) if land.any() else 1.0
    plants = np.maximum(nir, swir1) > rule.plant_ratio * red
    dry_share = float(np.mean(swir1[plants] > nir[plants])) if plants.mean() > rule.plant_share else 0.0
    figures |= {
        "r_green_red": float(r[1, 2]),
        "r_green_nir": float(r[1, 3]),
        "r_red_swir1": float(r[2, 4]),
        "r_blue_swir1": float(r[0, 4]),
        "swir2_brighter_share": float(np.mean(swir2 > rule.swir_ratio * swir1)),
        "land_share": land_share,
        "vegetation_share": green_share,
        "swir1_over_nir_in_plants": dry_share,
    }
    broken = []
    if r[1, 3] > r[1, 2] + rule.margin:
        broken.append(
            (
                f"绿与近红外的相关（{r[1, 3]:.2f}）高于绿与红（{r[1, 2]:.2f}）",
                f"green goes with NIR ({r[1, 3]:.2f}) more than with red ({r[1, 2]:.2f})",
            )
        )
    if r[0, 4] > r[2, 4] + rule.margin:
        broken.append(
            (
                f"蓝与短波红外的相关（{r[0, 4]:.2f}）高于红（{r[2, 4]:.2f}）",
                f"blue goes with SWIR1 ({r[0, 4]:.2f}) more than red does ({r[2, 4]:.2f})",
            )
        )
    share = figures["swir2_brighter_share"]
    if share > rule.swir_share:
        broken.append(
            (f"{share:.0%} 的像元 SWIR2 亮于 SWIR1", f"SWIR2 is brighter than SWIR1 in {share:.0%} of the cells")
        )
    if land_share > rule.land_share and green_share < rule.vegetation_share:
        broken.append(
            (
                f"陆地像元中只有 {green_share:.1%} 有植被的近红外",
                f"only {green_share:.1%} of the land cells have the NIR of plants",
            )
        )
    if dry_share > 0.5:
        broken.append(
            (
                f"植被像元中 {dry_share:.0%} 的 SWIR1 亮于近红外",
                f"SWIR1 is brighter than NIR in {dry_share:.0%} of the plants",
            )
        )
    if not broken:
        return []
    zh = "；".join(part for part, _ in broken)
    en = "; ".join(part for _, part in broken)
    text = Text(
        zh=f"波段次序可能有误：{zh}。应为蓝、绿、红、近红外、短波红外 1、2",
        en=f"the bands seem to be in a wrong order: {en}; must be blue, green, red, NIR, SWIR1, SWIR2",
    )
    return [Finding("band-order", True, text)]
