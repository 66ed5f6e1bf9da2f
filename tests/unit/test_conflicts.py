"""Potential and conflict maps (a)–(f): hand oracle, three-valued logic, missing rasters, blocks."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.capacity_rules import CapacityRules, UseGroup, capacity_rules
from analyses.conflicts import (
    CONFLICT_BANDS,
    CONFLICT_COLUMNS,
    CONFLICT_STYLE,
    QUESTIONS,
    conflict_areas,
    conflict_bits,
    conflict_factors,
    conflict_rows,
)
from spatial.errors import GridMismatch

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "layers/rules/carrying_capacity.yml").read_text("utf-8"))
RULES = capacity_rules({"carrying_capacity": DOCUMENT})
PADDY, DRYLAND, ORCHARD, FOREST, GRASS, WATER, WETLAND, TOWN = 1, 2, 3, 5, 9, 10, 11, 12
ALL = ("eco_class", "agri_class", "urban_class", "land_use", "geohazard", "farmland")


def cell(
    eco: int,
    agri: int,
    urban: int,
    use: int,
    hazard: int | None = 5,
    farmland: int | None = 0,
    rules: CapacityRules = RULES,
) -> tuple[str, str]:
    """Letters that are yes and letters that were not assessed, of one cell."""
    arrays = [None if v is None else np.array([[v]], np.uint8) for v in (eco, agri, urban, use, hazard, farmland)]
    bands = conflict_bits(*arrays, rules=rules).bands()[:, 0, 0]
    letters = "abcdef"
    return (
        "".join(x for x, band in zip(letters, bands, strict=True) if band == 1),
        "".join(x for x, band in zip(letters, bands, strict=True) if band == 0),
    )


@pytest.mark.parametrize(
    ("eco", "agri", "urban", "use", "hazard", "farmland", "yes"),
    [
        (1, 1, 1, PADDY, 5, 0, "a"),  # protected, and farmed where farming suits
        (1, 3, 1, DRYLAND, 5, 0, "ab"),
        (1, 3, 3, TOWN, 5, 0, "ac"),
        (1, 1, 3, TOWN, 1, 0, "acd"),
        (1, 1, 1, ORCHARD, 5, 0, "a"),
        (1, 1, 1, FOREST, 1, 0, ""),  # natural forest conflicts with nothing
        (2, 3, 3, TOWN, 1, 0, "d"),
        (2, 3, 3, TOWN, 2, 0, ""),
        (2, 2, 2, FOREST, 5, 0, "ef"),
        (3, 1, 3, GRASS, 5, 0, "e"),
        (3, 3, 2, GRASS, 5, 0, "f"),
        (3, 1, 1, PADDY, 5, 0, "f"),  # cropland is no cropland potential, but it can be built on
        (3, 1, 1, PADDY, 5, 1, ""),  # unless it is permanent basic farmland
        (3, 1, 1, GRASS, 5, 1, "e"),
        (3, 1, 1, TOWN, 5, 0, ""),
        (3, 1, 1, WATER, 5, 0, ""),
        (3, 1, 1, WETLAND, 5, 0, ""),
        (1, 1, 1, GRASS, 5, 0, ""),  # no potential inside 极重要
    ],
)
def test_by_hand(eco, agri, urban, use, hazard, farmland, yes):
    assert cell(eco, agri, urban, use, hazard, farmland) == (yes, "")


class TestThreeValues:
    def test_an_unknown_part_leaves_the_question_open(self):
        assert cell(0, 1, 1, PADDY) == ("", "af")

    def test_a_false_part_decides_without_the_others(self):
        # forest is no use of (a)–(d) whatever the classes are; potentials stay open
        assert cell(0, 0, 0, FOREST, 0) == ("", "ef")
        assert cell(1, 0, 0, 0, 5) == ("", "abc")  # (e), (f) false inside 极重要; (d) false without hazard

    def test_a_code_that_no_group_names_is_no_data(self):
        assert cell(1, 1, 1, 99)[1] == "a"
        assert cell(1, 3, 3, 99, 1)[1] == "abcd"

    def test_a_missing_raster_is_assessed_nowhere(self):
        # even (d) on forest, where a cell alone would be «no»: the map has no hazard at all
        assert cell(1, 3, 1, FOREST, None) == ("", "d")
        yes, open_ = cell(1, 3, 1, PADDY, None)
        assert (yes, open_) == ("ab", "d")
        factors = {f.id: f for f in conflict_factors(set(ALL) - {"geohazard"}, RULES)}
        assert not factors["conflict-d"].assessed
        assert "geohazard" in factors["conflict-d"].note.en
        assert factors["conflict-a"].assessed
        assert "人工商品林" in factors["conflict-a"].note.zh

    def test_without_farmland_the_urban_potential_is_an_upper_bound(self):
        assert cell(3, 1, 1, PADDY, farmland=None) == ("f", "")
        factors = {f.id: f for f in conflict_factors(set(ALL) - {"farmland"}, RULES)}
        assert factors["conflict-f"].assessed
        assert "upper bound" in factors["conflict-f"].note.en

    def test_our_exclusion_of_farmland_can_be_switched_off(self):
        document = json.loads(json.dumps(DOCUMENT, default=str))
        document["potential_exclusions"]["urban_permanent_farmland"] = False
        assert cell(3, 1, 1, PADDY, farmland=1, rules=capacity_rules({"carrying_capacity": document})) == ("f", "")

    def test_every_combination_against_plain_logic(self):
        """The kernel against sets and words, for every class and use."""
        groups: dict[int, UseGroup] = {c: g for g, codes in RULES.land_use.codes.items() for c in codes}
        values = list(itertools.product((1, 2, 3), (1, 2, 3), (1, 2, 3), sorted(groups), (1, 3), (0, 1)))
        arrays = [np.array([[v[k] for v in values]], np.uint8) for k in range(6)]
        bands = conflict_bits(*arrays, rules=RULES).bands()[:, 0]
        assert (bands != 0).all()
        for k, (eco, agri, urban, use, hazard, farmland) in enumerate(values):
            group = groups[use]
            expected = (
                eco == 1 and group in {"cropland", "orchard", "plantation", "built"},
                eco == 1 and group == "cropland" and agri == 3,
                eco == 1 and group == "built" and urban == 3,
                hazard == 1 and group == "built",
                eco != 1 and agri != 3 and group not in {"cropland", "built", "water", "wetland"},
                eco != 1 and urban != 3 and group not in {"built", "water", "wetland"} and not farmland,
            )
            assert tuple(bands[:, k] == 1) == expected, values[k]


class TestAreas:
    units = np.array([[1, 1, 2], [1, 2, 0]], np.uint16)
    dm2 = np.array([10**8, 2 * 10**8], np.int64)
    layers: ClassVar[dict[str, Any]] = {
        "eco_class": np.array([[1, 1, 3], [1, 3, 1]], np.uint8),
        "agri_class": np.array([[1, 3, 2], [1, 1, 1]], np.uint8),
        "urban_class": np.array([[1, 1, 3], [3, 1, 1]], np.uint8),
        "land_use": np.array([[PADDY, ORCHARD, GRASS], [TOWN, PADDY, PADDY]], np.uint8),
        "geohazard": np.array([[5, 5, 5], [1, 5, 5]], np.uint8),
        "farmland": np.zeros((2, 3), np.uint8),
    }

    def sums(self, layers: dict[str, Any] | None = None, count: int = 2) -> np.ndarray:
        given = layers or self.layers
        bits = conflict_bits(**given, rules=RULES)
        return conflict_areas(
            bits,
            self.units,
            self.dm2,
            count,
            land_use=given["land_use"],
            agri_class=given["agri_class"],
            urban_class=given["urban_class"],
            rules=RULES,
        )

    def test_by_hand(self):
        rows = conflict_rows(self.sums(), [("a", "甲", [1]), ("b", "乙", [2])], RULES, present=ALL)
        a, b = rows
        assert (a["code"], b["code"]) == ("a", "b")
        # unit a: paddy 1 km², orchard 1 km², town 2 km² inside 极重要
        assert (a["eco_use_km2"], a["eco_use_hm2"], a["eco_use_mu"]) == (4.0, 400.0, 6000.0)
        assert (a["eco_use_cropland_km2"], a["eco_use_orchard_km2"], a["eco_use_built_km2"]) == (1.0, 1.0, 2.0)
        assert a["eco_use_plantation_km2"] is None  # the land use knows none
        assert (a["eco_built_km2"], a["hazard_built_km2"], a["eco_cropland_km2"]) == (2.0, 2.0, 0.0)
        # unit b: grass 1 km² of class 2 for farming; paddy 2 km² fit for towns
        assert (b["cropland_potential_km2"], b["cropland_potential_class_2_km2"]) == (1.0, 1.0)
        assert (b["urban_potential_km2"], b["urban_potential_class_1_km2"]) == (2.0, 2.0)
        assert (b["cropland_agri_class_1_km2"], b["cropland_agri_class_fit_percent"]) == (2.0, 100.0)
        assert (a["built_urban_class_3_km2"], a["built_urban_class_fit_percent"]) == (2.0, 0.0)
        json.dumps(rows, allow_nan=False)
        (whole,) = conflict_rows(self.sums(), [("420000", "全省", [1, 2])], RULES, present=ALL)
        assert (whole["eco_use_km2"], whole["urban_potential_km2"]) == (4.0, 2.0)

    def test_a_missing_raster_gives_none_not_zero(self):
        given = self.layers | {"geohazard": None, "agri_class": None}
        (a,) = conflict_rows(
            self.sums(given), [("a", "甲", [1])], RULES, present={"eco_class", "urban_class", "land_use", "farmland"}
        )
        for name in ("hazard_built_km2", "eco_cropland_km2", "cropland_potential_km2", "cropland_agri_class_1_km2"):
            assert a[name] is None
        assert a["eco_use_km2"] == 4.0

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), height=st.integers(1, 30), width=st.integers(1, 30))
    def test_any_block_size_gives_the_same_bits_and_states_add_up(self, seed, height, width):
        rng = np.random.default_rng(seed)
        shape = (31, 23)
        units, dm2 = rng.integers(0, 5, shape).astype(np.uint16), rng.integers(80_000, 82_000, shape[0])
        layers = {name: rng.integers(0, 4, shape).astype(np.uint8) for name in ALL}
        layers["land_use"] = rng.integers(0, 14, shape).astype(np.uint8)

        def run(window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
            part = {name: array[window] for name, array in layers.items()}
            bits = conflict_bits(**part, rules=RULES)
            given = {k: part[k] for k in ("land_use", "agri_class", "urban_class")}
            return bits.bands(), conflict_areas(bits, units[window], dm2[window[0]], 4, rules=RULES, **given)

        bands, whole = run((slice(None), slice(None)))
        parts, stitched = np.zeros_like(whole), np.empty_like(bands)
        for r in range(0, shape[0], height):
            for c in range(0, shape[1], width):
                window = (slice(r, r + height), slice(c, c + width))
                stitched[:, *window], sums = run(window)
                parts += sums
        assert np.array_equal(stitched, bands)
        assert np.array_equal(parts, whole)
        total = np.array([dm2[np.nonzero(units == u)[0]].sum() for u in range(1, 5)])
        for k in range(6):
            assert np.array_equal(whole[:, 3 * k : 3 * k + 3].sum(axis=1), total)

    def test_shapes(self):
        with pytest.raises(GridMismatch):
            conflict_bits(np.ones((2, 2), np.uint8), None, None, np.ones((2, 3), np.uint8), rules=RULES)
        with pytest.raises(GridMismatch):
            conflict_bits(None, None, None, None, rules=RULES)


def test_bands_and_style_agree():
    assert [band.name for band in CONFLICT_BANDS] == list(QUESTIONS)
    assert CONFLICT_STYLE["band"] == CONFLICT_BANDS[0].name
    assert len(CONFLICT_COLUMNS) == len(set(CONFLICT_COLUMNS)) == 18 + 4 + 12
    for band in CONFLICT_BANDS:
        assert set(band.domain or {}) == {1, 2}
