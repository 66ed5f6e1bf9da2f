"""``doctor dual-evaluation``: does the evaluation of the published data look like the province?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.cli.console import emit, open_store, progress_bar, say, table
from spatial.errors import QualityViolation

if TYPE_CHECKING:
    from analyses.reality import Figures, RealityRules
    from spatial.jobs.result import RunResult
    from spatial.store.datastore import DataStore

__all__ = ["check_dual_evaluation", "measure"]

_ANALYSIS = "dual-evaluation"
_ROWS = 512


def check_dual_evaluation(as_json: bool) -> None:
    """Run the dual evaluation on the published data, compare, print.

    Raises
    ------
    QualityViolation
        If a check fails: exit code 3, the data's.
    """
    from analyses.reality import judge, reality_rules
    from spatial.jobs.inputs import load_rules

    with open_store() as store, progress_bar(_ANALYSIS) as progress:
        rules = reality_rules(load_rules(store.settings.layers_dir / "rules")[0])
        figures = measure(store, rules, progress)
    found = judge(figures, rules)
    rows = [
        {
            "check": check.id,
            "title": say(check.title.zh, check.title.en),
            "value": check.value,
            "expected": check.expected,
            "gap": check.gap,
            "verdict": check.verdict,
            "note": say(check.note.zh, check.note.en),
            "source": check.source,
        }
        for check in found
    ]
    names = ("check", "title", "value", "expected", "gap", "verdict", "note")
    columns = [
        say(zh, en) for zh, en in zip(("编号", "对照", "数值", "应为", "余量", "结论", "说明"), names, strict=True)
    ]
    emit(rows, as_json, lambda: table(f"doctor {_ANALYSIS}", columns, ([r[n] for n in names] for r in rows)))
    failed = [check for check in found if check.verdict == "failed"]
    if failed:
        zh = "；".join(f"{c.title.zh} {c.value:g}，应 {c.expected}" for c in failed)
        en = "; ".join(f"{c.title.en} {c.value:g}, expected {c.expected}" for c in failed)
        raise QualityViolation(
            f"结果与现实不符，请检查输入数据的单位、范围与版本：{zh}",
            f"the result does not fit reality; check units, extent and versions of the inputs: {en}",
            checks=[c.id for c in failed],
        )


def measure(store: DataStore, rules: RealityRules, progress: Callable[[float, str], None]) -> Figures:
    """Figures of a run on the published data; the run itself leaves nothing."""
    from analyses.reality import Figures, unsuitable_percent
    from spatial.jobs.run import run_analysis

    snapshot = store.snapshot()
    synthetic = "land-use" in snapshot.catalog and snapshot.catalog["land-use"].synthetic is not None
    store.settings.var_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.settings.var_dir, prefix="doctor-") as folder:
        result = run_analysis(
            store, _ANALYSIS, {"units": "county"}, out=Path(folder) / "result.tif", report=False, progress=progress
        )
        settlements = _settlements(store, result)
        by_slope = _cropland_by_slope(store, result, rules)
    rows = {str(row["code"]): row for row in result.tables.get("urban_by_unit", ())}
    groups, names = _groups(store, rows)
    west = [*(code for p in rules.west.prefectures for code in groups.get(p, ())), *rules.west.counties]
    shares = {code: unsuitable_percent([rows[c] for c in members if c in rows]) for code, members in groups.items()}
    conflicts = result.tables.get("conflicts_by_unit", ())
    province = result.tables.get("urban_totals", ({},))[0]
    fit = [province.get(f"{name}_percent") for name in ("suitable", "moderate")]
    return Figures(
        cell_m=_cell_m(result),
        land_use_synthetic=synthetic,
        cropland_fit=_fit(conflicts, "cropland_agri_class"),
        towns_fit=_fit(conflicts, "built_urban_class"),
        unsuitable={code: share for code, share in shares.items() if share is not None},
        west=unsuitable_percent([rows[c] for c in dict.fromkeys(west) if c in rows]),
        by_slope=by_slope,
        settlements_fit=settlements,
        province_fit=None if None in fit else float(sum(v for v in fit if v is not None)),
        names=names,
    )


def _cell_m(result: RunResult) -> float:
    """North–south side of a cell."""
    return abs(float(result.provenance["grid"]["transform"][4])) * 111_000


def _fit(rows: Any, name: str) -> float | None:
    """% of the classified area of present use that lies in class 1 or 2."""
    sums = [sum(float(row.get(f"{name}_{k}_km2") or 0) for row in rows) for k in (1, 2, 3)]
    return 100 * (sums[0] + sums[1]) / sum(sums) if sum(sums) > 0 else None


def _groups(store: DataStore, rows: Mapping[str, Any]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Prefecture → county codes, each county by itself too, and names."""
    frame = store.vectors.frame(store.snapshot().vector("counties"), None)
    groups: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for row in frame.to_dict("records"):
        code, above = str(row["code"]), str(row.get("prefecture_code") or row["code"])
        if code in rows:
            groups.setdefault(above, []).append(code)
            names[above] = str(row.get("prefecture") or row.get("name") or above)
    return groups, names


def _settlements(store: DataStore, result: RunResult) -> float | None:
    """% of settlement points in suitable or moderately suitable land for towns."""
    from spatial.errors import LayerNotFound, LayerNotPublished
    from spatial.store.raster import open_raster

    try:
        points = store.vectors.frame(store.snapshot().vector("settlements"), None).geometry
    except (LayerNotFound, LayerNotPublished):
        return None
    with open_raster(result.rasters["urban"]) as raster:
        band = list(raster.descriptions).index("class") + 1
        places = zip(points.x.tolist(), points.y.tolist(), strict=True)
        classes = np.array([values[0] for values in raster.sample(places, indexes=band)])
    classes = classes[classes > 0]
    return float(100 * (classes < 3).mean()) if classes.size else None


def _cropland_by_slope(store: DataStore, result: RunResult, rules: RealityRules) -> tuple[float, ...] | None:
    """% of present cropland by slope class, strip by strip."""
    from rasterio.windows import Window

    from analyses.capacity_rules import capacity_rules
    from analyses.reality import area_by_slope
    from spatial.grid import cell_areas
    from spatial.jobs.inputs import open_inputs
    from spatial.jobs.registry import analysis as find
    from spatial.store.raster import open_raster

    chosen = find(_ANALYSIS)
    edges = rules.cropland_by_slope.edges
    total = np.zeros(len(edges) + 1)
    scratch = result.rasters["urban_factors"].parent
    with open_inputs(store, store.snapshot(), chosen, chosen.parameters(), scratch) as opened:
        if "land_use" not in opened.inputs.rasters:
            return None
        codes = capacity_rules(opened.inputs.rules).land_use.codes["cropland"]
        use, areas = opened.inputs.rasters["land_use"], cell_areas(opened.inputs.grid)
        with open_raster(result.rasters["urban_factors"]) as raster:
            band = list(raster.descriptions).index("slope") + 1
            rows, cols = raster.shape
            for row in range(0, rows, _ROWS):
                count = min(_ROWS, rows - row)
                slope = raster.read(band, window=Window(0, row, cols, count))
                total += area_by_slope(slope, use.read(row, 0, count, cols), areas[row : row + count], codes, edges)
    whole = float(total.sum())
    return tuple((100 * total / whole).tolist()) if whole > 0 else None
