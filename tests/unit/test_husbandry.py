"""Livestock and fishery: each rule, its reason, and what is missing."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analyses.husbandry import (
    FISHERY_REASONS,
    LIVESTOCK_REASONS,
    FisheryReason,
    HusbandryRules,
    LivestockReason,
    ban_waters,
    fishery,
    husbandry_rules,
    livestock,
)
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid, QualityViolation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def document() -> dict[str, Any]:
    text = (ROOT / "layers/rules/livestock_fishery.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture
def rules(document: dict[str, Any]) -> HusbandryRules:
    return husbandry_rules({"livestock_fishery": document})


def cells(*values: float, dtype: str = "uint8") -> np.ndarray:
    return np.array([values], dtype=dtype)


def test_livestock_follows_cropping_and_the_bans_go_before(rules: HusbandryRules) -> None:
    found = livestock(
        rules,
        cells(1, 2, 3, 0, 1, 1, 1, 1),
        rain=np.full((1, 8), 1100.0),
        forbidden=cells(0, 0, 0, 0, 1, 0, 0, 1),
        important=cells(0, 0, 0, 0, 0, 1, 0, 1),
        water=cells(0, 0, 0, 0, 0, 0, 1, 1),
    )
    assert found.suitability.tolist() == [[1, 2, 3, 0, 3, 3, 3, 3]]
    r = LivestockReason
    expected = [r.CROPPING, r.CROPPING, r.CROPPING, r.NOT_ASSESSED, r.FORBIDDEN, r.IMPORTANT, r.WATER, r.FORBIDDEN]
    assert found.reason.tolist() == [expected]
    assert found.suitability.dtype == found.reason.dtype == np.uint8
    assert all(f.assessed for f in found.listed)


def test_pastoral_zone_is_not_assessed(rules: HusbandryRules) -> None:
    found = livestock(rules, cells(1, 1, 1), rain=np.array([[399.9, 400.0, np.nan]]))
    assert found.suitability.tolist() == [[0, 1, 0]]
    assert found.reason.tolist() == [[LivestockReason.PASTORAL, LivestockReason.CROPPING, LivestockReason.NOT_ASSESSED]]
    assert [f.assessed for f in found.listed] == [False, False]  # no layer of 禁养区: listed, never «none»


def test_the_zone_can_be_split_by_temperature(document: dict[str, Any]) -> None:
    changed = copy.deepcopy(document)
    changed["zone"]["by"] = "accumulated_temperature"
    rules = husbandry_rules({"livestock_fishery": changed})
    found = livestock(rules, cells(1, 1), accumulated_temperature=np.array([[3199.0, 5200.0]]))
    assert found.suitability.tolist() == [[0, 1]]
    with pytest.raises(InvalidParameter, match="accumulated_temperature"):
        livestock(rules, cells(1), rain=np.array([[900.0]]))


def test_fishery_rules_in_order(rules: HusbandryRules) -> None:
    found = fishery(
        rules,
        cells(1, 1, 1, 1, 1, 1, 0),
        quality=np.array([[3, 4, np.nan, 2, 2, 5, 2]]),
        reserves=cells(0, 0, 0, 1, 0, 1, 1),
        drinking_water=cells(0, 0, 0, 0, 1, 1, 1),
        ban=cells(0, 0, 0, 0, 0, 1, 1),
    )
    assert found.suitability.tolist() == [[1, 3, 0, 3, 3, 3, 0]]
    r = FisheryReason
    expected = [r.WATER_SURFACE, r.QUALITY, r.NOT_ASSESSED, r.RESERVE, r.DRINKING_WATER, r.RESERVE, r.LAND]
    assert found.reason.tolist() == [expected]


def test_missing_water_quality_is_listed_or_refused(rules: HusbandryRules, document: dict[str, Any]) -> None:
    found = fishery(rules, cells(1, 0))
    assert found.suitability.tolist() == [[1, 0]]
    assert {f.id: f.assessed for f in found.listed}["fishery-quality"] is False
    document["fishery"]["quality_optional"] = False
    with pytest.raises(InvalidParameter, match="water quality"):
        fishery(husbandry_rules({"livestock_fishery": document}), cells(1))


def test_every_reason_has_a_title() -> None:
    assert sorted(LIVESTOCK_REASONS) == [r for r in LivestockReason if r]
    assert sorted(FISHERY_REASONS) == [r for r in FisheryReason if r]


def test_ban_ends_with_its_last_day(rules: HusbandryRules) -> None:
    import geopandas
    import shapely

    frame = geopandas.GeoDataFrame(
        {"name": ["长江", "汉江"]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)], crs=4490
    )
    rule = rules.fishing_ban
    assert len(ban_waters(frame, rule, on=date(2026, 11, 22), layer="yangtze-han")) == 1
    assert len(ban_waters(frame, rule, on=date(2031, 1, 1), layer="yangtze-han")) == 0
    with pytest.raises(QualityViolation, match="no field name"):
        ban_waters(frame.drop(columns="name"), rule, layer="yangtze-han")


def test_bad_input(rules: HusbandryRules, document: dict[str, Any]) -> None:
    with pytest.raises(GridMismatch):
        livestock(rules, cells(1, 1), rain=np.array([[900.0]]))
    with pytest.raises(QualityViolation, match="1–6"):
        fishery(rules, cells(1), quality=np.array([[30.0]]))
    with pytest.raises(LayerDefinitionInvalid, match="missing"):
        husbandry_rules({})
    document["livestock"]["classes"] = {1: 3, 2: 2, 3: 1}
    with pytest.raises(LayerDefinitionInvalid, match="worse class"):
        husbandry_rules({"livestock_fishery": document})
