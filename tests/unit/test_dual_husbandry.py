"""Livestock and fishery inside the dual evaluation, choices of ecology, and the colours of every band; in memory."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from memory_run import NORTH, STEP, WEST, Array, Memory, cell_box, centre, frame, monthly, rules, same

from analyses.assembly import prepare
from analyses.dual_evaluation import DualEvaluation, DualEvaluationParameters
from analyses.evaluation_result import (
    ECOLOGY_OUT,
    IMPORTANCE,
    REASON_COLOURS,
    SUITABILITY,
    class_bands,
    class_style,
)
from analyses.husbandry import FisheryReason, LivestockReason
from analyses.husbandry_assembly import HUSBANDRY_BANDS, prepare_husbandry
from analyses.npp import npp_service
from analyses.rules import agricultural_rules, read_rules, urban_rules
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, QualityViolation
from spatial.jobs.contract import AnalysisResult, Inputs

SHAPE = (9, 11)
DRYLAND, FOREST, WATER = 2, 4, 10


def layers(shape: tuple[int, int] = SHAPE, seed: int = 5) -> dict[str, np.ndarray]:
    """Quantities (bands, rows, cols) of a small hilly province, by role."""
    random = np.random.default_rng(seed)

    def some(low: float, high: float, bands: int = 1) -> np.ndarray:
        return random.uniform(low, high, (bands, *shape)).astype(np.float32)

    sand, clay = some(10, 60), some(5, 30)
    return {
        "dem": np.cumsum(some(0, 60), axis=2),
        "rain": monthly(shape, 1200) + some(0, 20, 12),
        "temperature": some(8, 24, 12),
        "soil": np.concatenate([sand, 100 - sand - clay, clay, some(0.5, 4)]),
        "ndvi": some(0.2, 0.9),
        "land_use": random.choice([DRYLAND, FOREST, 8, 9, 12], (1, *shape)).astype(np.float32),
    }


UNITS = {"dem": "m", "rain": "mm", "temperature": "degC", "soil": "%", "npp": "gC/(m2·a)"}


@dataclass
class Province:
    rasters: dict[str, np.ndarray] = field(default_factory=layers)
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=rules)

    def inputs(self, folder: Path) -> Inputs:
        rows, cols = self.rasters["dem"].shape[1:]
        box = (WEST, NORTH - rows * STEP, WEST + cols * STEP, NORTH)
        grid = GeoBox.from_bbox(box, crs="EPSG:4490", shape=(rows, cols))
        rasters = {role: Array(role.replace("_", "-"), v, UNITS.get(role)) for role, v in self.rasters.items()}
        return Inputs(grid, rasters, self.frames, self.rules, {}, str(folder))

    def run(
        self, folder: Path, *, block: int = 1024, **parameters: Any
    ) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
        inputs = self.inputs(folder)
        out = Memory(inputs.grid.shape.yx)
        run = DualEvaluation(block).run(inputs, DualEvaluationParameters(**parameters), out, lambda *_: None)
        return out.rasters, run


def counties() -> geopandas.GeoDataFrame:
    rows, cols = SHAPE
    return frame(
        [cell_box(0, 0, rows, 5), cell_box(0, 5, rows, cols - 5)], code=["420101", "420202"], name=["甲县", "乙县"]
    )


def with_waters() -> Province:
    """A lake of six cells, the Yangtze down column 5, another river down column 8; a reserve over part of both."""
    rows, _ = SHAPE
    made = Province()
    made.frames = {
        "counties": counties(),
        "lakes": frame([cell_box(2, 1, 2, 3)], name=["某湖"]),
        "rivers": frame([cell_box(0, 5, rows, 1), cell_box(0, 8, rows, 1)], name=["长江", "汉江"]),
        "reserves": frame(
            [cell_box(3, 0, 2, 7), centre(0, 0)], name=["面", "点"], level=["省级", "国家级"], county=["-", "-"]
        ),
    }
    return made


def notes(result: AnalysisResult) -> dict[str, tuple[bool, str]]:
    return {f.id: (f.assessed, f.note.en) for f in result.factors}


# -- the rule layers of a run


def test_fishery_by_hand(tmp_path: Path) -> None:
    found, result = with_waters().run(tmp_path)
    expected = np.full(SHAPE, FisheryReason.LAND)
    expected[2:4, 1:4] = FisheryReason.WATER_SURFACE
    expected[:, 5] = FisheryReason.FISHING_BAN
    expected[:, 8] = FisheryReason.WATER_SURFACE
    expected[3, 1:4] = expected[3:5, 5] = FisheryReason.RESERVE  # a reserve is the reason before the ban
    assert found["fishery"]["reason"].tolist() == expected.tolist()
    lookup = {FisheryReason.LAND: 0, FisheryReason.WATER_SURFACE: 1}
    assert found["fishery"]["class"].tolist() == [[lookup.get(r, 3) for r in row] for row in expected.tolist()]
    said = notes(result)
    assert said["fishery.ban"] == (True, "1 water surfaces, by name")
    assert said["fishery.reserves"][0]
    assert said["fishery.water-surface"][0]
    for missing in ("fishery.quality", "fishery.drinking-water", "livestock.forbidden"):
        assert said[missing] == (False, "not assessed: no layer")


def test_livestock_follows_cropping_after_the_knock_outs(tmp_path: Path) -> None:
    found, result = with_waters().run(tmp_path)
    surface = found["fishery"]["reason"] != FisheryReason.LAND
    eco = found["ecology"]["class"] == 1
    agri = found["agriculture"]
    # Knock-outs of 2020 without the mask of 极重要, which livestock has itself.
    open_land = ~surface & ~eco
    assert open_land.any()
    assert (eco & ~surface).any()
    assert np.array_equal(found["livestock"]["class"][open_land], agri["class_2020"][open_land])
    known = open_land & (agri["class_2020"] > 0)
    assert (found["livestock"]["reason"][known] == LivestockReason.CROPPING).all()
    assert not found["livestock"]["reason"][open_land & ~known].any()
    assert (found["livestock"]["class"][~open_land] == 3).all()
    assert (found["livestock"]["reason"][eco] == LivestockReason.IMPORTANT).all()
    assert (found["livestock"]["reason"][surface & ~eco] == LivestockReason.WATER).all()
    assert {"livestock", "fishery"} <= set(DualEvaluation.rasters)
    assert not result.explanations.keys() & {"livestock", "fishery"}  # rules, not chains


def test_the_profile_of_capacity_does_not_change_livestock(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    new, _ = with_waters().run(tmp_path, profile="2020")
    old, _ = with_waters().run(tmp_path / "a", profile="2019")
    assert same(new["livestock"], old["livestock"])


@pytest.mark.parametrize("block", [3, 4, 7])
def test_rule_layers_do_not_depend_on_blocks(tmp_path: Path, block: int) -> None:
    (tmp_path / "a").mkdir()
    whole, left = with_waters().run(tmp_path)
    parts, right = with_waters().run(tmp_path / "a", block=block)
    assert whole.keys() == parts.keys()
    assert all(same(whole[name], parts[name]) for name in whole)
    assert left.tables == right.tables


def test_areas_add_up(tmp_path: Path) -> None:
    _, result = with_waters().run(tmp_path)
    for name in ("livestock", "fishery"):
        by_unit, (whole,) = result.tables[f"{name}_by_unit"], result.tables[f"{name}_totals"]
        assert [row["code"] for row in by_unit] == ["420101", "420202"]
        for column in ("suitable_km2", "unsuitable_km2", "assessed_km2", "not_assessed_km2"):
            assert sum(row[column] for row in by_unit) == pytest.approx(whole[column], abs=1e-5)
    fish = result.tables["fishery_totals"][0]
    herd = result.tables["livestock_totals"][0]
    assert fish["not_assessed_km2"] == 0
    assert fish["land_km2"] > 0
    assert fish["assessed_km2"] + fish["land_km2"] == pytest.approx(herd["assessed_km2"] + herd["not_assessed_km2"])
    assert herd["water_surface_km2"] <= fish["assessed_km2"]
    rows = {row["name"]: row for row in result.tables["parameters"]}
    assert rows["livestock.zone"]["value"] == 400
    assert rows["fishery.ban_on"]["value"] == date.today().isoformat()


def test_without_water_surfaces_fishery_is_not_assessed(tmp_path: Path) -> None:
    found, result = Province().run(tmp_path)
    assert not found["fishery"]["class"].any()
    assert not found["fishery"]["reason"].any()
    said = notes(result)
    assert [said[f"fishery.{k}"][0] for k in ("water-surface", "ban", "reserves")] == [False] * 3
    assert found["livestock"]["class"].any()


def test_points_are_no_reserves(tmp_path: Path) -> None:
    made = with_waters()
    made.frames["reserves"] = frame([centre(3, 2), centre(6, 6)], name=["一", "二"], level=["国家级", "国家级"])
    found, result = made.run(tmp_path)
    assert FisheryReason.RESERVE not in found["fishery"]["reason"]
    said = notes(result)
    assert said["fishery.reserves"] == said["ecology.biodiversity"] == (False, "not assessed: points only")


def test_the_ban_ends_on_its_last_day(tmp_path: Path) -> None:
    inputs = with_waters().inputs(tmp_path)
    parameters = DualEvaluationParameters(apply_location=False)
    prepared = prepare(inputs, parameters, titles={}, layers={}, progress=lambda *_: None)
    for day, banned in ((date(2030, 12, 31), 9), (date(2031, 1, 1), 0)):
        made = prepare_husbandry(inputs, prepared, on=day)
        assert made.excluded is not None
        assert int((made.excluded == 1).sum()) == max(banned - 2, 0)
        said = next(f for f in made.factors if f.id == "fishery.ban").note.en
        assert said.startswith("1 water" if banned else "2031-01-01 is outside the ban")


def test_rivers_without_names_are_refused(tmp_path: Path) -> None:
    made = with_waters()
    made.frames["rivers"] = made.frames["rivers"].drop(columns="name")
    with pytest.raises(QualityViolation, match="name"):
        made.run(tmp_path)


def test_the_zones_by_temperature_count_warm_months_only(tmp_path: Path) -> None:
    """Months of 9.9 ℃ add nothing to a ≥10 ℃ sum, which a ≥0 ℃ sum would take for farming land."""
    made = Province()
    made.rules = copy.deepcopy(made.rules)
    made.rules["livestock_fishery"]["zone"]["by"] = "accumulated_temperature"
    shape = SHAPE
    made.rasters["dem"] = np.full((1, *shape), 50, np.float32)
    months = np.full((12, *shape), 9.5, np.float32)
    made.rasters["temperature"] = months
    found, _ = made.run(tmp_path)
    assert (found["livestock"]["reason"] == LivestockReason.PASTORAL).sum() + (
        found["livestock"]["reason"] == LivestockReason.IMPORTANT
    ).sum() == np.prod(shape)
    months[:, :, 6:] = 10.5  # 365 · 10.5 = 3832
    (tmp_path / "b").mkdir()
    found, _ = made.run(tmp_path / "b")
    assert (found["livestock"]["reason"][:, 6:] != LivestockReason.PASTORAL).all()
    del made.rasters["temperature"]
    (tmp_path / "c").mkdir()
    with pytest.raises(InvalidParameter, match="temperature"):
        made.run(tmp_path / "c")


# -- ecology


def test_reserves_are_burned_with_their_level(tmp_path: Path) -> None:
    made = with_waters()
    made.frames["reserves"] = frame(
        [cell_box(0, 0, 2, 4), cell_box(1, 2, 2, 4), cell_box(7, 7)], level=["国家级", "省级", "县级"]
    )
    found, result = made.run(tmp_path)
    expected = np.ones(SHAPE)
    expected[1:3, 2:6] = 3
    expected[0:2, 0:4] = 5  # where two overlap the higher holds
    assert found["ecology_factors"]["biodiversity"].tolist() == expected.tolist()
    assert notes(result)["ecology.biodiversity"][0]
    assert (found["ecology"]["class"][1:2, 1:4] == 1).all()  # the outer cells have no slope


def test_soil_conservation_by_model_by_annex_or_both(tmp_path: Path) -> None:
    bands = {}
    for method in ("model", "annex", "both"):
        folder = tmp_path / method
        folder.mkdir()
        found, _ = with_waters().run(folder, soil_method=method)
        bands[method] = {name for name in found["ecology_factors"] if name.startswith("soil_")}
    assert bands == {
        "model": {"soil_conservation"},
        "annex": {"soil_conservation_annex"},
        "both": {"soil_conservation", "soil_conservation_annex"},
    }


def test_breaks_of_the_sensitivity_index(tmp_path: Path) -> None:
    made = with_waters()
    edges = {}
    for name in ("rule-file", "code", "guide_2017"):
        folder = tmp_path / name
        folder.mkdir()
        _, result = made.run(folder, sensitivity_breaks=name)
        row = next(r for r in result.tables["parameters"] if r["name"] == "ecology.sensitivity_breaks")
        station = next(s for s in result.explanations["ecology"].chain["stations"] if s["id"] == "water_soil_loss")
        edges[name] = (row["value"], station["edges"])
    assert edges["code"] == ("code: 2.33, 3.66", [2.33, 3.66])
    assert edges["rule-file"] == edges["code"]
    assert edges["guide_2017"] == ("guide_2017: 2, 4", [2.0, 4.0])
    with pytest.raises(InvalidParameter, match="guide_2017"):  # names those that there are
        made.run(tmp_path, sensitivity_breaks="guide_2018")


def test_erodibility_on_the_soil_grid(tmp_path: Path) -> None:
    """On a soil raster of the run's own grid, K of a cell is that of its texture: the service is the same but for rounding."""
    from analyses import ecology_assembly

    found, _ = with_waters().run(tmp_path)
    monkey = pytest.MonkeyPatch()
    (tmp_path / "a").mkdir()
    with monkey.context() as patch:
        patch.setattr(ecology_assembly, "MOST_CELLS", 0)
        slow, _ = with_waters().run(tmp_path / "a")
    name = "soil_conservation"
    # Without it the texture is rounded to 1/64 % at the cell, then to ½ % in the table.
    assert np.allclose(found["ecology_factors"][name], slow["ecology_factors"][name], rtol=0.03, atol=1, equal_nan=True)
    broken = with_waters()
    broken.rasters["soil"][0] *= 0.5
    with pytest.raises(QualityViolation, match="add up"):
        broken.run(tmp_path)


# -- the NPP method


def with_npp() -> Province:
    made = with_waters()
    random = np.random.default_rng(9)
    for name, low, high in (
        ("npp", 100, 1200),
        ("soil_infiltration", 0, 1),
        ("wind_erosivity", 1, 90),
        ("roughness", 1, 4),
    ):
        made.rasters[name] = random.uniform(low, high, (1, *SHAPE)).astype(np.float32)
    return made


def test_npp_end_to_end(tmp_path: Path) -> None:
    found, result = with_npp().run(tmp_path, ecology_method="npp")
    factors = found["ecology_factors"]
    services = ("npp_water", "npp_soil", "npp_sand", "npp_biodiversity")
    assert set(services) <= set(factors)
    made = with_npp()
    step = made.rules["ecological_importance"]["npp"]["step"]
    infiltration = made.rasters["soil_infiltration"][0]
    # Sampled to 1/64, as the run reads them.
    infiltration, npp = (np.rint(v * 64) / 64 for v in (infiltration, made.rasters["npp"][0]))
    rain, slope = np.rint(made.rasters["rain"].sum(axis=0)), found["agriculture_factors"]["slope"]
    values = {"npp": npp, "soil_infiltration": infiltration, "rain": rain, "slope": slope}
    limits = {k: (float(np.nanmin(v)), float(np.nanmax(v))) for k, v in values.items()}
    by_hand = npp_service("npp_water", values, limits, step)
    assert np.array_equal(factors["npp_water"], by_hand, equal_nan=True)
    assert set(np.unique(found["ecology"]["class"][1:-1, 1:-1])) == {1, 2, 3}
    assert {f.id for f in result.factors if f.assessed} >= {f"ecology.{s}" for s in services}
    assert result.explanations["ecology"].chain["stations"][-1]["id"] == "npp_biodiversity"


def test_npp_does_not_depend_on_blocks(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    whole, _ = with_npp().run(tmp_path, ecology_method="npp")
    parts, _ = with_npp().run(tmp_path / "a", ecology_method="npp", block=4)
    assert same(whole["ecology"], parts["ecology"])
    assert same(whole["ecology_factors"], parts["ecology_factors"])


def test_npp_without_its_layers_names_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="net primary productivity"):
        with_waters().run(tmp_path, ecology_method="npp")
    flat = with_npp()
    flat.rasters["soil_infiltration"][:] = 0.5
    with pytest.raises(QualityViolation, match="soil_infiltration"):
        flat.run(tmp_path, ecology_method="npp")


def test_only_the_npp_method_asks_for_its_layers() -> None:
    ask = DualEvaluation.inputs_of
    assert ask(DualEvaluationParameters()) == DualEvaluation.inputs
    roles = {spec.role for spec in ask(DualEvaluationParameters(ecology_method="npp"))}
    assert {"npp", "soil_infiltration", "wind_erosivity", "roughness"} <= roles


def test_sandy_desertification_lacks_wind_days_only(tmp_path: Path) -> None:
    _, result = with_waters().run(tmp_path)
    assert notes(result)["ecology.sandy_desertification"] == (False, "not assessed: lacks days with wind over 6 m/s")
    made = with_waters()
    made.rasters["sand_wind_days"] = np.full((1, *SHAPE), 12, np.float32)
    (tmp_path / "a").mkdir()
    found, result = made.run(tmp_path / "a")
    assert notes(result)["ecology.sandy_desertification"][0]
    assert np.isfinite(found["ecology_factors"]["sandy_desertification"]).any()


# -- rules and colours


def test_a_rule_file_is_read_the_same_everywhere() -> None:
    from analyses.husbandry import HusbandryRules

    assert read_rules(rules(), "livestock_fishery", HusbandryRules).id == "livestock-fishery"
    with pytest.raises(LayerDefinitionInvalid, match=r"layers/rules/livestock_fishery\.yml is missing"):
        read_rules({}, "livestock_fishery", HusbandryRules)
    broken = copy.deepcopy(rules())
    del broken["livestock_fishery"]["zone"]["source"]
    with pytest.raises(LayerDefinitionInvalid, match=r"zone\.source"):
        read_rules(broken, "livestock_fishery", HusbandryRules)


def test_the_reasons_of_ecology_name_the_ranked_services(tmp_path: Path) -> None:
    """The chain is complete only after the first pass; the band that is published must know all of it."""
    titles: dict[str, Any] = {}

    class Watching(Memory):
        def raster(self, name: str, *, bands: Any, style: Any, **more: Any) -> Any:
            titles[name] = ({b.name: b.domain for b in bands}, style)
            return super().raster(name, bands=bands, style=style, **more)

    made = with_waters()
    inputs = made.inputs(tmp_path)
    out = Watching(inputs.grid.shape.yx)
    DualEvaluation().run(inputs, DualEvaluationParameters(), out, lambda *_: None)
    for name in ("ecology", "agriculture", "urban", "livestock", "fishery"):
        domains, style = titles[name]
        for band, domain in domains.items():
            shown = set(np.unique(out.rasters[name][band]).tolist()) - {0}
            assert shown <= set(domain), (name, band)
            if band != "class":
                assert [c["value"] for c in style["bands"][band]] == sorted(domain)
    reasons = titles["ecology"][0]["reason"]
    assert {t.en for t in reasons.values()} >= {"ordinary", "Water conservation", "Soil conservation"}


def test_colours_of_reasons() -> None:
    chain_rules = urban_rules(rules())
    from analyses.urban import urban_chain, urban_factors

    chain = urban_chain(chain_rules, {s.id for s in urban_factors(chain_rules)} - {"water-quota"})
    bands = class_bands(chain, SUITABILITY, patch=True, knock_outs=None)
    style = class_style(SUITABILITY, bands)
    assert style["band"] == "class"
    assert set(style["bands"]) == {"grade", "reason", "patch"}
    colours = {c["value"]: c["color"] for c in style["bands"]["reason"]}
    assert set(colours) == set(chain.reasons())
    assert len(set(colours.values())) == len(colours) <= 13
    assert colours[2] == REASON_COLOURS[0]
    assert colours[1] not in REASON_COLOURS
    eco = class_style(IMPORTANCE, class_bands(chain, IMPORTANCE, patch=False, knock_outs=None))
    assert [c["value"] for c in eco["bands"]["grade"]] == [1, 3, 5]  # importance rises with the grade
    assert ECOLOGY_OUT not in {c["value"] for c in eco["bands"]["reason"]}


def test_reason_colours_are_told_apart_by_everybody() -> None:
    """CIELAB distance of the nearest pair, for normal sight and under each deficiency (Machado et al. 2009, severity 1)."""
    deficiencies = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    srgb = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in REASON_COLOURS]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for seen in deficiencies:
        xyz = np.clip(linear @ np.array(seen).T, 0, 1) @ to_xyz.T / [0.9505, 1, 1.089]
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 999 * np.eye(len(lab))
        assert apart.min() > 18


def test_husbandry_bands_have_titles_for_every_code() -> None:
    for name, bands in HUSBANDRY_BANDS.items():
        assert [b.name for b in bands] == ["class", "reason"], name
        style = class_style(SUITABILITY, bands)
        assert {c["value"] for c in style["bands"]["reason"]} == set(bands[1].domain or {})
    assert agricultural_rules(rules()).id  # the rules that livestock leans on are read by the same reader
