"""Training as the analysis does it: test by whole polygons, train on all, delimit where to believe it; and say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analyses.landcover.applicability import Applicability, applicability
from analyses.landcover.classifier import Classifier, CrossValidation, cross_validate, grouped_folds, train
from analyses.landcover.parameters import LandCoverParameters
from analyses.landcover.rules import LandCoverRules
from analyses.landcover.samples import Samples
from spatial.catalog import Text
from spatial.errors import QualityViolation
from spatial.jobs.contract import Factor

__all__ = ["Trained", "factors", "notes", "train_land_cover"]


@dataclass(frozen=True)
class Trained:
    """A classifier with what is known of it."""

    classifier: Classifier
    validation: CrossValidation
    samples: Samples
    """All samples, those of classes that are not mapped too."""
    area: Applicability | None
    left_out: tuple[int, ...]
    """Classes with one polygon that are not mapped."""


def train_land_cover(
    samples: Samples,
    features: tuple[str, ...],
    parameters: LandCoverParameters,
    *,
    folds: int = 5,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Trained:
    """Test by whole polygons, train on all samples, and delimit where the classifier may be believed.

    Raises
    ------
    QualityViolation
        With fewer than two polygons, or fewer than two classes that can be mapped.
    """
    fold = grouped_folds(samples, folds)
    left_out = samples.single if parameters.untested_classes == "leave_out" else ()
    kept = tuple(code for code in samples.classes if code not in left_out)
    if len(kept) < 2:
        raise QualityViolation(
            f"可制图的类别不足两类：{list(left_out)} 各只有一个多边形，无法检验；请每类至少画两个多边形",
            f"fewer than two classes can be mapped: {list(left_out)} have a single polygon each and cannot be tested; "
            "draw at least two polygons a class",
            classes=list(left_out),
        )
    options: dict[str, Any] = {
        "method": parameters.method,
        "trees": parameters.trees,
        "seed": parameters.seed,
        "threads": threads,
    }
    validation = cross_validate(samples, fold, importance=parameters.assess_applicability, progress=progress, **options)
    used = np.isin(samples.y, kept)
    return Trained(
        train(samples.only(kept), features, **options),
        validation,
        samples,
        applicability(samples.x[used], fold[used], validation.importance) if parameters.assess_applicability else None,
        left_out,
    )


def factors(trained: Trained, rules: LandCoverRules, estimate: Factor | None) -> tuple[Factor, ...]:
    """How the classifier was tested, class by class what could not be, and the estimates."""
    found = trained.validation
    fold = rules.cross_validation
    said = [
        Factor(
            "cross-validation",
            fold.title,
            True,
            Text(
                zh=f"按多边形分组的精度 {found.accuracy:.3f}，kappa {found.kappa:.3f}；{len(trained.samples.y)} 个像元",
                en=f"accuracy by whole polygons {found.accuracy:.3f}, kappa {found.kappa:.3f}; "
                f"{len(trained.samples.y)} cells",
            ),
            f"{fold.source} [{fold.tag}]",
        )
    ]
    for code in found.untested:
        row = rules.by_code[code]
        out = code in trained.left_out
        said.append(
            Factor(
                f"class-{code}",
                row.title,
                False,
                Text(
                    zh="只有一个多边形，不可学习（无法检验）" + ("，未制图" if out else "；仍按参数制图，精度不明"),
                    en="a single polygon: not learnable (cannot be tested)"
                    + (", not mapped" if out else "; mapped by parameter, accuracy unknown"),
                ),
                f"{fold.source} [{fold.tag}]",
            )
        )
    for code in trained.samples.lost:
        said.append(
            Factor(
                f"class-{code}",
                rules.by_code[code].title,
                False,
                Text(
                    zh="样本像元在影像上都没有数据，未制图",
                    en="none of its sample cells has data on the scene: not mapped",
                ),
                f"{fold.source} [{fold.tag}]",
            )
        )
    area = trained.area
    said.append(
        Factor(
            "applicability",
            Text(zh="适用域", en="Area of applicability"),
            area is not None,
            Text(zh="按参数关闭", en="switched off by parameter")
            if area is None
            else Text(
                zh=f"相异指数阈值 {area.threshold:.4f}", en=f"threshold of the dissimilarity {area.threshold:.4f}"
            ),
            "Meyer & Pebesma 2021, doi 10.1111/2041-210X.13650",
        )
    )
    said.append(
        estimate
        or Factor(
            "accuracy",
            Text(zh="面积与精度估计（Olofsson 2014）", en="Area and accuracy estimates (Olofsson 2014)"),
            False,
            Text(zh="没有独立参考样本图层", en="no layer of independent reference samples"),
            f"{rules.reference_sample.source} [{rules.reference_sample.tag}]",
        )
    )
    return tuple(said)


def notes(trained: Trained, rules: LandCoverRules) -> tuple[Text, ...]:
    """What a reader must know before using the map."""
    said = [
        Text(
            zh="totals 为像元计数的面积，不是面积估计；对外使用请用独立参考样本的 accuracy 表（带置信区间）。",
            en="totals are areas by pixel counting, not area estimates; publish those of the table accuracy (with "
            "intervals), which needs an independent reference sample.",
        ),
        Text(
            zh="交叉验证的精度只适用于适用域内、与样本相似的地方。",
            en="the cross-validated accuracy holds inside the area of applicability only, where cells resemble the samples.",
        ),
    ]
    if trained.validation.untested:
        names = [rules.by_code[c].title for c in trained.validation.untested]
        said.append(
            Text(
                zh=f"只有一个样本多边形的类别：{'、'.join(t.zh for t in names)}；其像元在交叉验证中全部计为错误。",
                en=f"classes with a single sample polygon: {', '.join(t.en for t in names)}; in the cross-validation all "
                "their cells count as errors.",
            )
        )
    if trained.samples.dropped or trained.samples.conflicts:
        said.append(
            Text(
                zh=f"样本像元中 {trained.samples.dropped} 个无数据、{trained.samples.conflicts} 个被不同类别的多边形重叠，未用。",
                en=f"of the sample cells {trained.samples.dropped} have no data and {trained.samples.conflicts} lie under "
                "polygons of different classes; they were not used.",
            )
        )
    return tuple(said)
