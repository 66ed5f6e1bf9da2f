"""Reality checks of the dual evaluation: figures by hand, verdicts only where the data can carry one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from analyses.reality import Figures, area_by_slope, judge, reality_rules, unsuitable_percent
from spatial.errors import LayerDefinitionInvalid, QualityViolation
from spatial.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load((PROJECT_ROOT / "layers" / "rules" / "reality_checks.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def rules(document):
    return reality_rules({"reality_checks": document})


GOOD = Figures(
    cell_m=30,
    land_use_synthetic=False,
    cropland_fit=74.0,
    towns_fit=78.0,
    unsuitable={"429021": 85.0, "422800": 42.0, "421000": 0.5},
    west=70.0,
    by_slope=(59.08, 17.31, 14.64, 6.66, 2.31),
    settlements_fit=94.8,
    province_fit=78.4,
)


def verdicts(figures, rules):
    return {check.id: check.verdict for check in judge(figures, rules)}


def test_fine_real_data_are_judged_by_the_bounds_for_them(rules):
    found = verdicts(GOOD, rules)
    assert {k for k, v in found.items() if v == "ok"} == {
        "cropland-fit", "towns-fit", "west", *(f"cropland-slope-{k}" for k in range(1, 6))
    }  # fmt: skip
    assert "failed" not in found.values()


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"cropland_fit": 69.99}, "cropland-fit"),
        ({"towns_fit": 74.9}, "towns-fit"),
        ({"west": 49.0}, "west"),
        ({"by_slope": (62.2, 14.2, 14.64, 6.66, 2.31)}, "cropland-slope-1"),
    ],
)
def test_what_does_not_fit_fails(rules, change, failing):
    found = verdicts(replace(GOOD, **change), rules)
    assert found[failing] == "failed"


def test_coarse_data_are_judged_by_the_bounds_of_open_data_only(rules):
    found = verdicts(replace(GOOD, cell_m=900), rules)
    assert {k for k, v in found.items() if v != "not judged"} == {
        "unsuitable-429021", "unsuitable-422800", "unsuitable-421000", "towns-above-province"
    }  # fmt: skip
    assert verdicts(replace(GOOD, cell_m=900, unsuitable={"421000": 2.1}), rules)["unsuitable-421000"] == "failed"
    assert verdicts(replace(GOOD, cell_m=900, settlements_fit=88.0), rules)["towns-above-province"] == "failed"


def test_synthetic_land_use_gives_figures_and_gaps_but_no_verdict(rules):
    found = {c.id: c for c in judge(replace(GOOD, land_use_synthetic=True, by_slope=(98.1, 1.8, 0.1, 0, 0)), rules)}
    assert found["cropland-slope-1"].verdict == "not judged"
    assert found["cropland-slope-1"].gap == pytest.approx(3 - (98.1 - 59.08))
    assert "合成" in found["cropland-slope-1"].note.zh
    assert found["west"].verdict == "ok"  # needs no land use


def test_a_missing_figure_is_never_a_pass(rules):
    found = judge(Figures(cell_m=30, land_use_synthetic=False), rules)
    assert {check.verdict for check in found} == {"not judged"}
    assert {check.value for check in found} == {None}


def test_unsuitable_share_leaves_water_out():
    rows = [
        {"assessed_km2": 100.0, "unsuitable_km2": 40.0, "water_surface_km2": 20.0},
        {"assessed_km2": 20.0, "unsuitable_km2": 0.0, "water_surface_km2": 0.0},
    ]
    assert unsuitable_percent(rows) == pytest.approx(100 * 20 / 100)
    assert unsuitable_percent([{"assessed_km2": 5.0, "unsuitable_km2": 5.0, "water_surface_km2": 5.0}]) is None


def test_slope_classes_do_not_depend_on_strips():
    rng = np.random.default_rng(3)
    slope = rng.choice(np.float32([0, 2, 2.5, 6, 14, 15.5, 25, 26, np.nan]), (40, 30))
    use = rng.integers(0, 5, (40, 30))
    areas = rng.uniform(1, 2, 40)
    whole = area_by_slope(slope, use, areas, (1, 2), (2, 6, 15, 25))
    parts = sum(
        area_by_slope(slope[k : k + 7], use[k : k + 7], areas[k : k + 7], (1, 2), (2, 6, 15, 25))
        for k in range(0, 40, 7)
    )
    assert whole == pytest.approx(parts)
    assert whole.sum() == pytest.approx((areas[:, None] * (np.isin(use, (1, 2)) & ~np.isnan(slope))).sum())


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("cropland_by_slope", "percent"), [50, 20, 10, 5, 2], "sum to 87"),
        (("cropland_by_slope", "edges"), [6, 2, 15, 25], "rise"),
        (("towns_fit", "percent_min"), 140, "less than or equal to 100"),
    ],
)
def test_wrong_rules_are_refused(document, path, value, says):
    broken = json.loads(json.dumps(document, default=str))
    broken[path[0]][path[1]] = value
    with pytest.raises(LayerDefinitionInvalid, match=says):
        reality_rules({"reality_checks": broken})
    with pytest.raises(LayerDefinitionInvalid, match="missing"):
        reality_rules({})


def test_the_command_fails_with_the_data_exit_code(monkeypatch, rules, tmp_path):
    from spatial.cli import app, reality

    monkeypatch.setenv("ONEMAP_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("ONEMAP_STORE", "duckdb")
    monkeypatch.setattr(reality, "measure", lambda *_: replace(GOOD, cropland_fit=10.0))
    found = CliRunner().invoke(app, ["doctor", "dual-evaluation", "--json"])
    assert isinstance(found.exception, QualityViolation)
    assert found.exception.details["checks"] == ["cropland-fit"]
    assert {row["check"]: row["verdict"] for row in json.loads(found.stdout)}["cropland-fit"] == "failed"
    monkeypatch.setattr(reality, "measure", lambda *_: GOOD)
    assert CliRunner().invoke(app, ["doctor", "dual-evaluation"]).exit_code == 0
