"""What the land-cover analyses hand back: bands, styles, tables and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.accuracy import area_adjusted, error_matrix
from analyses.landcover.change import DM2
from analyses.landcover.rules import SAME_GROUP, UNCHANGED, LandCoverRules
from analyses.zonal import area_by_code, areas_in_units
from spatial.catalog import Band, Text
from spatial.errors import CRSMismatch, GridMismatch, QualityViolation
from spatial.jobs.contract import Factor
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.landcover.applicability import Applicability
    from analyses.landcover.change import Transitions
    from analyses.landcover.classifier import CrossValidation
    from analyses.landcover.samples import Samples

__all__ = [
    "accuracy",
    "by_unit",
    "change_bands",
    "change_style",
    "change_titles",
    "check_grid",
    "class_areas",
    "class_bands",
    "class_style",
    "class_titles",
    "probability_bands",
    "probability_style",
    "reference_codes",
    "transition_rows",
    "unit_style",
    "validation_rows",
]

INSIDE, OUTSIDE = 1, 2
"""Values of the band ``applicable``; 0 where it was not assessed."""


def check_grid(grid: GeoBox) -> None:
    """Raise unless the run's grid is north up in EPSG:4490."""
    if grid.crs is None or grid.crs.to_epsg() != 4490:
        raise CRSMismatch(
            f"运行格网的坐标系应为 EPSG:4490，得到 {grid.crs}", f"the run's grid must be EPSG:4490, found {grid.crs}"
        )
    a = grid.affine
    if a.b or a.d or a.a <= 0 or a.e >= 0:
        raise GridMismatch(
            f"运行格网应北向上、无旋转，得到 {tuple(a[:6])}", f"the run's grid must be north up, found {tuple(a[:6])}"
        )


def class_titles(rules: LandCoverRules, codes: Sequence[int]) -> dict[int, Text]:
    """Title of each class."""
    return {code: rules.by_code[code].title for code in codes}


def class_bands(rules: LandCoverRules, codes: Sequence[int], *, assessed: bool) -> tuple[Band, ...]:
    """Bands of the class raster; ``applicable`` only where the area of applicability was computed."""
    found = [
        Band(
            name="class",
            title=Text(zh="地表覆盖", en="Land cover"),
            valid_range=(0, max(codes)),
            domain=class_titles(rules, codes),
        )
    ]
    if assessed:
        found.append(
            Band(
                name="applicable",
                title=Text(zh="适用域", en="Area of applicability"),
                valid_range=(0, OUTSIDE),
                domain={
                    INSIDE: Text(zh="适用域内", en="inside the area of applicability"),
                    OUTSIDE: Text(zh="适用域外（与样本差异过大）", en="outside (too unlike the samples)"),
                },
            )
        )
    return tuple(found)


def class_style(rules: LandCoverRules, codes: Sequence[int]) -> dict[str, Any]:
    """Colours of the classes."""
    return {
        "type": "classes",
        "band": "class",
        "classes": [
            {"value": c, "color": rules.by_code[c].color, "title": rules.by_code[c].title.model_dump()} for c in codes
        ],
    }


def probability_bands(rules: LandCoverRules, codes: Sequence[int]) -> tuple[Band, ...]:
    """One band a class that the classifier knows."""
    return tuple(
        Band(
            name=f"p_{rules.by_code[c].id}",
            title=Text(zh=f"{rules.by_code[c].title.zh}概率", en=f"Probability of {rules.by_code[c].title.en.lower()}"),
            unit="1",
            valid_range=(0, 1),
        )
        for c in codes
    )


def probability_style(bands: Sequence[Band]) -> dict[str, Any]:
    """White to blue, 0–1, of the first class."""
    return unit_style(bands[0].name, bands[0].title, ("#ffffff", "#6baed6", "#08306b"), 1.0)


def unit_style(band: str, title: Text, colours: Sequence[str], top: float) -> dict[str, Any]:
    """A ramp from 0 to `top`."""
    stops = np.linspace(0, top, len(colours)).round(4).tolist()
    return {
        "type": "ramp",
        "band": band,
        "title": title.model_dump(),
        "stops": [{"value": v, "color": c} for v, c in zip(stops, colours, strict=True)],
    }


def change_titles(rules: LandCoverRules) -> dict[int, Text]:
    """Title of each kind of change."""
    return {
        UNCHANGED: Text(zh="未变化", en="No change"),
        **{row.code: row.title for row in rules.changes.list},
        SAME_GROUP: Text(zh="组内转换", en="Change within a group"),
    }


def change_bands(rules: LandCoverRules) -> tuple[Band, ...]:
    """Kind of change, and the class on each date (0 where the two dates are not both known)."""
    codes = sorted(rules.by_code)
    titles = change_titles(rules)
    return (
        Band(
            name="change",
            title=Text(zh="变化类型", en="Kind of change"),
            valid_range=(0, max(titles)),
            domain=dict(sorted(titles.items())),
        ),
        *(
            Band(name=name, title=title, valid_range=(0, max(codes)), domain=class_titles(rules, codes))
            for name, title in (
                ("earlier", Text(zh="前期地类", en="Earlier class")),
                ("later", Text(zh="后期地类", en="Later class")),
            )
        ),
    )


def change_style(rules: LandCoverRules) -> dict[str, Any]:
    """Colours of the kinds of change; what did not change stays pale."""
    colours = {UNCHANGED: "#f2f2f2", **{r.code: r.color for r in rules.changes.list}, SAME_GROUP: "#d9d9d9"}
    return {
        "type": "classes",
        "band": "change",
        "classes": [
            {"value": k, "color": colours[k], "title": title.model_dump()}
            for k, title in sorted(change_titles(rules).items())
        ],
    }


def class_areas(dm2: NDArray[np.int64], titles: Mapping[int, Text]) -> list[dict[str, Any]]:
    """Area of each code by pixel counting; `dm2` is int64 (256,)."""
    whole = int(dm2[list(titles)].sum())
    return [
        {
            "class": code,
            "title_zh": title.zh,
            "title_en": title.en,
            **_area(int(dm2[code]) / DM2),
            "percent": round(100 * int(dm2[code]) / whole, 4) if whole else None,
        }
        for code, title in sorted(titles.items())
    ]


def _area(m2: float) -> dict[str, float]:
    return {name.removeprefix("a_"): value for name, value in areas_in_units(m2, "a").items()}


def by_unit(
    codes: NDArray[np.uint8], grid: GeoBox, units: geopandas.GeoDataFrame, titles: Mapping[int, Text]
) -> list[dict[str, Any]]:
    """Area of each code in each county unit, km²; units that hold none are left out."""
    areas = area_by_code(codes, grid, units.geometry.array)
    whole = geodesic_areas(units.geometry.array)
    rows = []
    for k in np.flatnonzero(areas[:, list(titles)].sum(axis=1) > 0).tolist():
        row: dict[str, Any] = {
            name: next((str(units[c].iloc[k]) for c in columns if c in units.columns), None)
            for name, columns in (("code", ("code", "adcode")), ("name", ("name", "name_zh")))
        }
        row["unit_km2"] = round(float(whole[k]) / 1e6, 6)
        row |= {f"{code}_km2": round(float(areas[k, code]) / 1e6, 6) for code in sorted(titles)}
        rows.append(row)
    return sorted(rows, key=lambda row: str(row["code"]))


def transition_rows(found: Transitions, rules: LandCoverRules) -> list[dict[str, Any]]:
    """The transition matrix as rows: one for each pair of classes that occurs."""
    rows = []
    before = found.area_dm2.sum(axis=1)
    for i, j in np.argwhere(found.cells > 0).tolist():
        earlier, later = rules.by_code[found.classes[i]], rules.by_code[found.classes[j]]
        rows.append(
            {
                "from": earlier.code,
                "from_zh": earlier.title.zh,
                "from_en": earlier.title.en,
                "to": later.code,
                "to_zh": later.title.zh,
                "to_en": later.title.en,
                "change": int(rules.kinds[earlier.code, later.code]),
                "cells": int(found.cells[i, j]),
                **_area(int(found.area_dm2[i, j]) / DM2),
                "percent_of_from": round(100 * int(found.area_dm2[i, j]) / int(before[i]), 4),
            }
        )
    return rows


def validation_rows(
    validation: CrossValidation, samples: Samples, rules: LandCoverRules, area: Applicability | None
) -> dict[str, list[dict[str, Any]]]:
    """Tables of the cross-validation: in all, by class, and what the features weigh."""
    column = validation.matrix.sum(axis=0)
    line = validation.matrix.sum(axis=1)

    def share(part: int, whole: int) -> float | None:
        return round(part / whole, 4) if whole else None

    by_class = []
    for k, code in enumerate(validation.classes):
        hit = int(validation.matrix[k, k])
        by_class.append(
            {
                "class": code,
                "title_zh": rules.by_code[code].title.zh,
                "title_en": rules.by_code[code].title.en,
                "polygons": samples.polygons(code),
                "cells": int(column[k]),
                "recall": share(hit, int(column[k])),
                "precision": share(hit, int(line[k])),
                "learnable": code not in validation.untested,
            }
        )
    learnable = validation.accuracy_learnable
    total = {
        "protocol": "GroupKFold by polygon, unshuffled",
        "folds": int(np.unique(validation.fold).size),
        "samples": int(samples.y.size),
        "polygons": int(np.unique(samples.group).size),
        "accuracy": round(validation.accuracy, 4),
        "accuracy_learnable": None if np.isnan(learnable) else round(learnable, 4),
        "kappa": None if np.isnan(validation.kappa) else round(validation.kappa, 4),
        "threshold": None if area is None else round(area.threshold, 6),
    }
    return {"cross_validation": [total], "cross_validation_by_class": by_class}


def reference_codes(
    frame: geopandas.GeoDataFrame, grid: GeoBox, codes: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Code of the map at each reference point (first band of `codes`), and which points lie on mapped cells.

    Returns
    -------
    int64 (m,), intp (m,)
        Codes, and positions of those points in `frame`.
    """
    import shapely

    points = shapely.centroid(np.asarray(frame.geometry.array, dtype=object))
    a = grid.affine
    col = np.floor((shapely.get_x(points) - a.c) / a.a)
    row = np.floor((shapely.get_y(points) - a.f) / a.e)
    rows, cols = grid.shape.yx
    inside = np.flatnonzero((row >= 0) & (row < rows) & (col >= 0) & (col < cols))
    found = np.asarray(codes[row[inside].astype(np.int64), col[inside].astype(np.int64)], dtype=np.int64)
    return found[found > 0], inside[found > 0]


def accuracy(
    mapped: NDArray[np.int64],
    reference: NDArray[np.int64],
    dm2: NDArray[np.int64],
    titles: Mapping[int, Text],
    rules: LandCoverRules,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Factor]:
    """Area-adjusted estimates from an independent reference sample, or why there are none.

    Returns
    -------
    rows by class, error matrix as rows, factor
    """
    title = Text(zh="面积与精度估计（Olofsson 2014）", en="Area and accuracy estimates (Olofsson 2014)")
    source = f"{rules.reference_sample.source} [{rules.reference_sample.tag}]"
    present = [c for c in sorted(titles) if dm2[c] > 0 or (reference == c).any()]
    try:
        matrix = error_matrix(mapped, reference, present)
        found = area_adjusted(matrix, dm2[present] / DM2)
    except QualityViolation as error:
        return [], [], Factor("accuracy", title, False, Text(zh=error.zh, en=error.en), source)
    # A class that only the reference knows (left out of the map) is no stratum.
    least = int(matrix.sum(axis=1)[dm2[present] > 0].min())
    note = Text(
        zh=f"总体精度 {found.overall:.3f} ± {found.z * found.se_overall:.3f}（95 %），参考样本 {int(matrix.sum())} 个",
        en=f"overall accuracy {found.overall:.3f} ± {found.z * found.se_overall:.3f} (95 %), {int(matrix.sum())} units",
    )
    if least < rules.reference_sample.least_per_class:
        note = Text(
            zh=f"{note.zh}；最少的一类只有 {least} 个，少于建议的 {rules.reference_sample.least_per_class} 个",
            en=f"{note.en}; the smallest class has {least}, fewer than the {rules.reference_sample.least_per_class} advised",
        )
    rows = [
        {
            "class": row["class"],
            "title_zh": titles[row["class"]].zh,
            "title_en": titles[row["class"]].en,
            **{k: v for k, v in row.items() if k.endswith(("accuracy", "accuracy_ci"))},
            "mapped_km2": round(row["mapped_area"] / 1e6, 6),
            "area_km2": round(row["area"] / 1e6, 6),
            "area_ci_km2": round(row["area_ci"] / 1e6, 6),
        }
        for row in found.rows(present)
    ]
    counts = [
        {"map": code, **{f"reference_{other}": int(matrix[k, m]) for m, other in enumerate(present)}}
        for k, code in enumerate(present)
    ]
    return rows, counts, Factor("accuracy", title, True, note, source)
