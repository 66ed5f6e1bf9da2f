"""Both land-cover analyses on a seeded scene whose truth is known: oracles, laws, a real store, bad input."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from analyses.landcover.analysis import LandCover
from analyses.landcover.change_analysis import LandCoverChange
from analyses.landcover.features import FeatureStack, normalised_difference
from analyses.landcover.parameters import LandCoverChangeParameters, LandCoverParameters
from analyses.landcover.rules import land_cover_rules
from spatial.catalog import Attribute, Band, Layer, Source, Text
from spatial.errors import (
    CRSMismatch,
    GridMismatch,
    InvalidParameter,
    LayerEmpty,
    LayerNotFound,
    QualityViolation,
    UnknownParameter,
)
from spatial.grid import cell_areas
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.jobs.registry import check_parameters
from spatial.jobs.run import run_analysis
from spatial.settings import Settings
from spatial.store.datastore import DataStore
from tiles.styles import style_of

ROOT = Path(__file__).parents[2]
RULES = {"landcover": yaml.safe_load((ROOT / "layers" / "rules" / "landcover.yml").read_text("utf-8"))}
STEP = 1 / 3600
NORTH, WEST = 30.5, 114.0
PADDY, FOREST, WATER, TOWN, BARE = 1, 6, 10, 12, 13
# blue, green, red, NIR, SWIR 1, SWIR 2
SIGNATURE = {
    PADDY: (0.05, 0.09, 0.07, 0.34, 0.20, 0.10),
    FOREST: (0.03, 0.05, 0.03, 0.30, 0.13, 0.06),
    WATER: (0.06, 0.08, 0.06, 0.04, 0.02, 0.01),
    TOWN: (0.14, 0.16, 0.18, 0.24, 0.27, 0.25),
    BARE: (0.20, 0.26, 0.33, 0.40, 0.48, 0.44),
}


class Array:
    """A raster in memory; `origin` is the run's window on it."""

    version = "1"

    def __init__(self, layer_id: str, values: np.ndarray, unit: str | None, origin: tuple[int, int] = (0, 0)) -> None:
        self.layer_id, self.values, self.unit, self.origin = layer_id, values, unit, origin

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        source = self.values[band - 1]
        rows = np.arange(row, row + height) + self.origin[0]
        cols = np.arange(col, col + width) + self.origin[1]
        out = source[rows.clip(0, source.shape[0] - 1)][:, cols.clip(0, source.shape[1] - 1)].astype(np.float32)
        out[(rows < 0) | (rows >= source.shape[0])] = np.nan
        out[:, (cols < 0) | (cols >= source.shape[1])] = np.nan
        return out


class Short(Array):
    """A reader that does not keep to the run's grid."""

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        return super().read(row, col, height, width, band=band)[:-1]


class Writer:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
        self.values[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values


@dataclass
class Memory:
    """Result rasters in memory, by band name."""

    shape: tuple[int, int]
    bands: dict[str, np.ndarray] = field(default_factory=dict)
    described: dict[str, Any] = field(default_factory=dict)

    def raster(
        self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Mapping[str, Any]
    ) -> Writer:
        values = np.full((len(bands), *self.shape), nodata, dtype=dtype)
        self.bands |= {band.name: values[k] for k, band in enumerate(bands)}
        self.described[name] = (bands, style)
        return Writer(values)


def grid_of(shape: tuple[int, int], crs: str = "EPSG:4490") -> GeoBox:
    rows, cols = shape
    return GeoBox.from_bbox((WEST, NORTH - rows * STEP, WEST + cols * STEP, NORTH), crs=crs, shape=shape)


def box(row: int, col: int, height: int = 1, width: int = 1) -> shapely.Polygon:
    return shapely.box(
        WEST + col * STEP, NORTH - (row + height) * STEP, WEST + (col + width) * STEP, NORTH - row * STEP
    )


def centre(row: int, col: int) -> shapely.Point:
    return shapely.Point(WEST + (col + 0.5) * STEP, NORTH - (row + 0.5) * STEP)


def frame(geometries: list[Any], crs: str | None = "EPSG:4490", **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, geometry=geometries, crs=crs)


def truth() -> np.ndarray:
    """48 × 64 cells: paddy and forest above, water and town below, a strip of bare land that no sample knows."""
    land = np.zeros((48, 64), np.uint8)
    land[:24, :32], land[:24, 32:], land[24:, :32], land[24:, 32:] = PADDY, FOREST, WATER, TOWN
    land[20:28, 28:36] = BARE
    return land


def reflectance(land: np.ndarray, seed: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = np.full((256, 6), np.nan)
    for code, bands in SIGNATURE.items():
        table[code] = bands
    scene = np.moveaxis(table[land], -1, 0)
    return (scene * rng.normal(1, 0.04, scene.shape)).astype(np.float32)


def polygons(classes: tuple[int, ...] = (PADDY, FOREST, WATER, TOWN), each: int = 3) -> geopandas.GeoDataFrame:
    corner = {PADDY: (0, 0), FOREST: (0, 36), WATER: (28, 0), TOWN: (28, 36), BARE: (20, 28)}
    shapes, codes = [], []
    for code in classes:
        row, col = corner[code]
        for k in range(each if code != BARE else 1):
            shapes.append(box(row + 1 + 6 * k, col + 2 + 7 * k, 4, 5))
            codes.append(code)
    return frame(shapes, **{"class": codes})


@dataclass
class Case:
    """Inputs of one classification."""

    scene: np.ndarray = field(default_factory=lambda: reflectance(truth()))
    samples: geopandas.GeoDataFrame = field(default_factory=polygons)
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    more: dict[str, Array] = field(default_factory=dict)
    reader: type[Array] = Array
    crs: str = "EPSG:4490"
    threads: int = 1

    def run(
        self, tmp_path: Path, *, block: int = 512, window: tuple[int, int, int, int] | None = None, **parameters: Any
    ) -> tuple[Memory, AnalysisResult]:
        shape = self.scene.shape[1:]
        row, col, height, width = window or (0, 0, *shape)
        grid = grid_of(shape, self.crs)[row : row + height, col : col + width]
        rasters = {"scene": self.reader("surface-reflectance", self.scene, "1", (row, col)), **self.more}
        frames = {"samples": self.samples, **self.frames}
        inputs = Inputs(grid, rasters, frames, RULES, {}, str(tmp_path), threads=self.threads)
        given = check_parameters(LandCoverParameters, {"trees": 30} | parameters, process="land-cover")
        out = Memory(grid.shape.yx)
        return out, LandCover(block).run(inputs, given, out, lambda share, text: None)


def factors(result: AnalysisResult) -> dict[str, Any]:
    return {f.id: f for f in result.factors}


# Classification


@pytest.mark.parametrize("method", ["random_forest", "gradient_boosting"])
def test_a_scene_of_known_truth(tmp_path: Path, method: str) -> None:
    out, result = Case().run(tmp_path, method=method)
    land, found = truth(), out.bands
    known = land != BARE
    assert (found["class"][known] == land[known]).mean() > 0.99
    # What no sample knows gets a class as well, but lies outside the area of applicability.
    assert (found["applicable"][~known] == 2).all()
    assert (found["applicable"][known] == 1).mean() > 0.9
    chances = np.stack([found[f"p_{name}"] for name in ("paddy", "mixed_forest", "water", "town")])
    assert chances.sum(axis=0) == pytest.approx(1, abs=3 / 1024)
    assert np.array_equal(np.array([1, 6, 10, 12])[chances.argmax(axis=0)][known], found["class"][known])
    assert (found["entropy"] >= 0).all()
    assert (found["entropy"] <= 1).all()
    assert found["entropy"][:18, :24].mean() < 0.2
    assert (chances * 1024 == np.rint(chances * 1024)).all()
    total = result.tables["totals"]
    assert sum(r["km2"] for r in total) == pytest.approx(cell_areas(grid_of(land.shape)).sum() * 64 / 1e6, rel=1e-6)
    check = result.tables["cross_validation"][0]
    assert check["accuracy"] == check["accuracy_learnable"] > 0.95
    assert check["polygons"] == 12
    assert not factors(result)["accuracy"].assessed
    assert json.dumps(result.tables, allow_nan=False)
    assert {r["feature"] for r in result.tables["importance"]} >= {"scene.nir", "scene.ndvi", "scene.mndwi"}


@pytest.mark.parametrize("method", ["random_forest", "gradient_boosting"])
def test_the_same_bits_for_every_block_thread_and_window(tmp_path: Path, method: str) -> None:
    case = Case()
    case.scene[:, 5:9, 40:60] = np.nan
    whole, result = case.run(tmp_path, method=method)
    case.threads = 3
    blocks, again = case.run(tmp_path, method=method, block=7)
    part, _ = case.run(tmp_path, method=method, window=(10, 20, 21, 33))
    for name, values in whole.bands.items():
        assert np.array_equal(values, blocks.bands[name], equal_nan=values.dtype.kind == "f"), name
        # Samples outside of the window train all the same.
        cut = values[10:31, 20:53]
        assert np.array_equal(cut, part.bands[name], equal_nan=values.dtype.kind == "f"), name
    assert result.tables == again.tables
    assert (whole.bands["class"][5:9, 40:60] == 0).all()
    assert np.isnan(whole.bands["entropy"][5:9, 40:60]).all()


def test_the_work_of_a_block_travels_to_another_process() -> None:
    from analyses.landcover.analysis import _Predict
    from analyses.landcover.samples import read_samples, training_cells
    from analyses.landcover.training import train_land_cover

    stack = FeatureStack({"scene": Array("s", reflectance(truth()), "1")}, None, land_cover_rules(RULES))
    shapes = polygons()
    cells = training_cells(shapes.geometry.array, shapes["class"], grid_of((48, 64)))
    samples = read_samples(cells, stack, partial=False, layer="s")
    trained = train_land_cover(samples, stack.names, LandCoverParameters(trees=10))
    work = _Predict(stack, trained.classifier, trained.area, blank_outside=False)
    here, there = work((3, 5, 20, 30), {}), pickle.loads(pickle.dumps(work))((3, 5, 20, 30), {})
    assert all(np.array_equal(here[n], there[n], equal_nan=here[n].dtype.kind == "f") for n in here)


def test_a_class_with_one_polygon_is_named_and_left_out(tmp_path: Path) -> None:
    case = Case(samples=polygons((PADDY, FOREST, WATER, TOWN, BARE)))
    out, result = case.run(tmp_path)
    assert BARE not in out.bands["class"]
    named = factors(result)[f"class-{BARE}"]
    assert not named.assessed
    assert "single polygon" in named.note.en
    assert any("裸地" in n.zh for n in result.notes)
    row = next(r for r in result.tables["cross_validation_by_class"] if r["class"] == BARE)
    assert (row["learnable"], row["polygons"], row["recall"]) == (False, 1, 0)
    check = result.tables["cross_validation"][0]
    assert check["accuracy"] < check["accuracy_learnable"]
    out, result = case.run(tmp_path, untested_classes="map")
    assert (out.bands["class"][truth() == BARE] == BARE).mean() > 0.9
    assert "unknown" in factors(result)[f"class-{BARE}"].note.en


def test_a_class_without_data_is_named(tmp_path: Path) -> None:
    case = Case()
    case.scene[:, 24:, 32:] = np.nan  # a cloud over the town
    out, result = case.run(tmp_path)
    assert TOWN not in out.bands["class"]
    assert not factors(result)[f"class-{TOWN}"].assessed
    assert any("no data" in n.en for n in result.notes)


def test_outside_can_be_left_blank(tmp_path: Path) -> None:
    kept, _ = Case().run(tmp_path)
    blank, result = Case().run(tmp_path, outside="blank")
    outside = kept.bands["applicable"] == 2
    assert (blank.bands["class"][outside] == 0).all()
    assert np.array_equal(blank.bands["class"][~outside], kept.bands["class"][~outside])
    area = cell_areas(grid_of(truth().shape))
    assert sum(r["km2"] for r in result.tables["totals"]) == pytest.approx(
        (~outside * area[:, None]).sum() / 1e6, rel=1e-6
    )
    off, result = Case().run(tmp_path, assess_applicability=False)
    assert "applicable" not in off.bands
    assert "applicability" not in off.described
    assert not factors(result)["applicability"].assessed
    assert np.array_equal(off.bands["class"], kept.bands["class"])


def test_cells_with_gaps(tmp_path: Path) -> None:
    case = Case()
    case.scene[4, 2:6, 2:6] = np.nan  # SWIR 1 is missing
    forest, _ = case.run(tmp_path)
    assert (forest.bands["class"][2:6, 2:6] == 0).all()
    boosting, _ = case.run(tmp_path, method="gradient_boosting")
    assert (boosting.bands["class"][2:6, 2:6] > 0).all()
    assert (boosting.bands["applicable"][2:6, 2:6] == 2).all()  # nothing can be said of their distance


def test_a_second_season_and_elevation_are_features(tmp_path: Path) -> None:
    second = Array("winter", reflectance(truth(), 9), "1")
    height = Array("dem", np.full((1, *truth().shape), 25.0), "m")
    case = Case(more={"scene_2": second, "elevation": height})
    _, result = case.run(tmp_path, scene_2="winter", elevation="dem")
    names = [r["feature"] for r in result.tables["importance"]]
    assert len(names) == 19
    assert names[-1] == "elevation"
    assert "scene_2.ndvi" in names


def test_labels_are_mapped(tmp_path: Path) -> None:
    samples = polygons()
    names = {PADDY: "水稻", FOREST: "林", WATER: "水", TOWN: "城"}
    words = samples.assign(kind=[names[c] for c in samples["class"]]).drop(columns="class")
    plain, _ = Case().run(tmp_path)
    mapping = {word: code for code, word in names.items()}
    mapped, _ = Case(samples=words).run(tmp_path, class_field="kind", class_mapping=mapping)
    assert np.array_equal(plain.bands["class"], mapped.bands["class"])


def test_samples_in_another_crs(tmp_path: Path) -> None:
    plain, _ = Case().run(tmp_path)
    moved, _ = Case(samples=polygons().to_crs("EPSG:4547")).run(tmp_path)
    assert np.array_equal(plain.bands["class"], moved.bands["class"])


def test_estimates_from_a_reference_sample(tmp_path: Path) -> None:
    land = truth()
    rng = np.random.default_rng(3)
    rows, cols = rng.integers(0, 48, 400), rng.integers(0, 64, 400)
    reference = frame(
        [centre(r, c) for r, c in zip(rows, cols, strict=True)], **{"class": land[rows, cols].astype(int)}
    )
    _, result = Case(frames={"reference": reference}).run(tmp_path, reference="points")
    factor = factors(result)["accuracy"]
    assert factor.assessed
    assert "training polygons" in factor.note.en
    estimates = {r["class"]: r for r in result.tables["accuracy"]}
    exact = {code: (land == code) @ np.ones(64) @ cell_areas(grid_of(land.shape)) / 1e6 for code in np.unique(land)}
    # Bare land is on no map; the reference finds its area all the same.
    for code in (PADDY, FOREST, WATER, TOWN, BARE):
        assert abs(estimates[code]["area_km2"] - exact[code]) <= 2 * estimates[code]["area_ci_km2"] + 1e-6
    assert estimates[BARE]["mapped_km2"] == 0
    assert sum(r["area_km2"] for r in estimates.values()) == pytest.approx(sum(exact.values()), rel=1e-6)
    few = reference.iloc[:3]
    _, result = Case(frames={"reference": few}).run(tmp_path, reference="points")
    assert not factors(result)["accuracy"].assessed
    assert "accuracy" not in result.tables


def test_county_table(tmp_path: Path) -> None:
    counties = frame([box(0, 0, 48, 32), box(0, 32, 48, 32)], code=["b", "a"], name=["乙", "甲"])
    _, result = Case(frames={"counties": counties}).run(tmp_path)
    rows = result.tables["by_county"]
    assert [r["code"] for r in rows] == ["a", "b"]
    total = {r["class"]: r["km2"] for r in result.tables["totals"]}
    for code, km2 in total.items():
        assert sum(r[f"{code}_km2"] for r in rows) == pytest.approx(km2, rel=1e-5)


def test_a_run_can_be_stopped_while_it_trains(tmp_path: Path) -> None:
    class Dismissed(Exception):
        pass

    told: list[float] = []

    def progress(share: float, text: str) -> None:
        told.append(share)
        if share > 0.1:
            raise Dismissed

    grid = grid_of((48, 64))
    rasters = {"scene": Array("surface-reflectance", reflectance(truth()), "1")}
    inputs = Inputs(grid, rasters, {"samples": polygons()}, RULES, {}, str(tmp_path))
    out = Memory(grid.shape.yx)
    with pytest.raises(Dismissed):
        LandCover().run(inputs, LandCoverParameters(trees=10), out, progress)
    assert told[-1] < 0.25
    assert not out.described


# Bad input of the classification


def digital_numbers() -> np.ndarray:
    return reflectance(truth()) * 10_000


@pytest.mark.parametrize(
    ("case", "parameters", "error", "words"),
    [
        (lambda: Case(scene=digital_numbers()), {}, QualityViolation, "digital numbers"),
        (lambda: Case(scene=reflectance(truth()) * 100), {}, QualityViolation, "percent"),
        (lambda: Case(scene=reflectance(truth())[:5]), {}, QualityViolation, "no band 6"),
        (lambda: Case(scene=np.repeat(reflectance(truth()), 2, axis=0)), {}, QualityViolation, "more than 6 bands"),
        (
            lambda: Case(more={"scene_2": Array("winter", reflectance(truth())[:4], "1")}),
            {"scene_2": "winter"},
            QualityViolation,
            "winter has no band 6",
        ),
        (lambda: Case(scene=np.full((6, 48, 64), np.nan)), {}, LayerEmpty, "no sample on valid data"),
        (lambda: Case(samples=polygons().iloc[:0]), {}, LayerEmpty, "no feature"),
        (
            lambda: Case(samples=polygons().set_geometry(polygons().geometry.translate(5, 0))),
            {},
            LayerEmpty,
            "check extent and CRS",
        ),
        (lambda: Case(samples=polygons().set_crs(None, allow_override=True)), {}, CRSMismatch, "no CRS"),
        (lambda: Case(crs="EPSG:4326"), {}, CRSMismatch, "EPSG:4490"),
        (lambda: Case(samples=polygons(each=1)), {}, QualityViolation, "at least two polygons"),
        (lambda: Case(samples=polygons((PADDY,))), {}, QualityViolation, "fewer than two classes"),
        (lambda: Case(samples=polygons((PADDY,), each=1)), {}, QualityViolation, "too few"),
        (lambda: Case(samples=polygons().rename(columns={"class": "dl"})), {}, QualityViolation, "'class'"),
        (lambda: Case(samples=polygons().assign(**{"class": 99})), {}, QualityViolation, "class_mapping"),
        (lambda: Case(reader=Short), {}, GridMismatch, "resample"),
        (
            lambda: Case(more={"elevation": Array("dem", np.full((1, 48, 64), 25_000.0), "dm")}),
            {"elevation": "dem"},
            QualityViolation,
            "declared unit: dm",
        ),
        (Case, {"trees": 5}, InvalidParameter, "trees"),
        (Case, {"method": "svm"}, InvalidParameter, "method"),
        (Case, {"tree": 50}, UnknownParameter, "trees"),
        (Case, {"scene": "../x"}, InvalidParameter, "scene"),
    ],
)
def test_bad_input(tmp_path: Path, case: Any, parameters: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        case().run(tmp_path, **parameters)


def test_a_window_without_data(tmp_path: Path) -> None:
    case = Case()
    case.scene[:, 22:27, 26:40] = np.nan
    with pytest.raises(LayerEmpty, match="all nodata or cloud"):
        case.run(tmp_path, window=(23, 27, 3, 12))
    with pytest.raises(InvalidParameter, match="bbox"):
        case.run(tmp_path, window=(23, 27, 3, 12), bbox=(114.0, 30.4, 114.1, 30.5))


def test_normalised_difference_laws() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 200))
    found = normalised_difference(a, b)
    assert (np.abs(found) <= 1).all()
    assert np.array_equal(found, -normalised_difference(b, a))
    assert normalised_difference(a * 2, b * 2) == pytest.approx(found, abs=1e-6)
    assert np.isnan(normalised_difference(np.array([np.nan]), np.array([0.1]))[0])
    stack = FeatureStack({"scene": Array("s", reflectance(truth()), "1")}, None, land_cover_rules(RULES), indices=False)
    assert stack.names == tuple(f"scene.{b}" for b in ("blue", "green", "red", "nir", "swir1", "swir2"))
    assert stack.read(0, 0, 2, 3).shape == (6, 6)


# Change


def later_truth() -> np.ndarray:
    land = truth()
    land[2:8, 20:28] = TOWN  # 48 cells of paddy built up
    land[30:34, 20:24] = PADDY  # 16 cells of water reclaimed
    return land


def change(
    tmp_path: Path,
    earlier: np.ndarray,
    later: np.ndarray,
    *,
    block: int = 1024,
    frames: dict[str, geopandas.GeoDataFrame] | None = None,
    reader: type[Array] = Array,
    names: tuple[str, str] = ("a", "b"),
    **parameters: Any,
) -> tuple[Memory, AnalysisResult]:
    parameters |= {"earlier": names[0], "later": names[1]}
    grid = grid_of(earlier.shape)
    rasters = {"earlier": Array("a", earlier[None], None), "later": reader("b", later[None], None)}
    given = check_parameters(LandCoverChangeParameters, parameters, process="land-cover-change")
    out = Memory(earlier.shape)
    inputs = Inputs(grid, rasters, frames or {}, RULES, {}, str(tmp_path))
    return out, LandCoverChange(block).run(inputs, given, out, lambda share, text: None)


def test_change_by_hand(tmp_path: Path) -> None:
    earlier, later = truth().astype(np.float32), later_truth().astype(np.float32)
    earlier[47, 60], later[0, 0] = np.nan, np.nan
    out, result = change(tmp_path, earlier, later)
    kinds = out.bands["change"]
    assert (kinds == 2).sum() == 48
    assert (kinds == 3).sum() == 16
    assert kinds[47, 60] == kinds[0, 0] == 0
    assert out.bands["earlier"][0, 0] == 0  # known on one date only: not compared
    assert (out.bands["earlier"][2, 20], out.bands["later"][2, 20]) == (PADDY, TOWN)
    row = next(r for r in result.tables["transition"] if (r["from"], r["to"]) == (PADDY, TOWN))
    area = cell_areas(grid_of(earlier.shape))
    assert row["cells"] == 48
    assert row["km2"] == pytest.approx(8 * area[2:8].sum() / 1e6, abs=1e-6)
    assert row["hm2"] == pytest.approx(row["km2"] * 100, rel=1e-4)
    compared = result.tables["compared"][0]
    assert compared["only_later_hm2"] == pytest.approx(area[47] / 1e4, abs=1e-3)
    assert compared["only_earlier_hm2"] == pytest.approx(area[0] / 1e4, abs=1e-3)
    paddy = next(r for r in result.tables["by_class"] if r["class"] == PADDY)
    assert paddy["net_km2"] == pytest.approx(paddy["later_km2"] - paddy["earlier_km2"], abs=2e-6)
    assert paddy["net_km2"] == pytest.approx(paddy["gain_km2"] - paddy["loss_km2"], abs=2e-6)
    assert next(r for r in result.tables["by_change"] if r["class"] == 2)["km2"] == row["km2"]
    assert json.dumps(result.tables, allow_nan=False)


@pytest.mark.parametrize("block", [1, 7, 50])
def test_change_has_the_same_bits_for_every_block(tmp_path: Path, block: int) -> None:
    rng = np.random.default_rng(2)
    earlier, later = (rng.choice([0, 1, 2, 6, 10, 11, 12], (23, 31)).astype(np.float32) for _ in range(2))
    whole, result = change(tmp_path, earlier, later)
    parts, again = change(tmp_path, earlier, later, block=block)
    assert all(np.array_equal(whole.bands[n], parts.bands[n]) for n in whole.bands)
    assert result.tables == again.tables
    sums: dict[int, float] = {}
    for row in result.tables["transition"]:
        sums[row["from"]] = sums.get(row["from"], 0) + row["km2"]
    for row in result.tables["by_class"]:
        assert sums[row["class"]] == pytest.approx(row["earlier_km2"], abs=2e-5)


def test_estimates_of_change(tmp_path: Path) -> None:
    earlier, later = truth(), later_truth()
    mapped = later.copy()
    mapped[4:10, 40:48] = TOWN  # 48 cells of forest that the later map takes for town
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, 48, 1500), rng.integers(0, 64, 1500)
    reference = frame(
        [centre(r, c) for r, c in zip(rows, cols, strict=True)],
        earlier=earlier[rows, cols].astype(int),
        later=later[rows, cols].astype(int),
    )
    _, result = change(
        tmp_path, earlier.astype(float), mapped.astype(float), frames={"reference": reference}, reference="points"
    )
    rows_by = {r["class"]: r for r in result.tables["accuracy"]}
    assert rows_by[4]["mapped_km2"] > 0.03
    assert rows_by[4]["area_km2"] == pytest.approx(0, abs=1e-9)
    assert factors(result)["accuracy"].assessed
    with pytest.raises(QualityViolation, match="before"):
        change(
            tmp_path,
            earlier.astype(float),
            mapped.astype(float),
            frames={"reference": reference},
            reference="points",
            earlier_field="before",
        )


@pytest.mark.parametrize(
    ("later", "options", "error", "words"),
    [
        (np.full((48, 64), 17.0), {}, QualityViolation, "17"),
        (np.full((48, 64), 0.5), {}, QualityViolation, "0.5"),
        (np.full((48, 64), np.nan), {}, LayerEmpty, "in common"),
        (np.full((48, 64), 1.0), {"reader": Short}, GridMismatch, "resample"),
        (np.full((48, 64), 1.0), {"names": ("land-use", "land-use")}, InvalidParameter, "two layers"),
    ],
)
def test_bad_input_of_change(
    tmp_path: Path, later: np.ndarray, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        change(tmp_path, truth().astype(float), later, **options)


# A real store


def described(layer_id: str, **more: Any) -> Layer:
    title = Text(zh=f"测试{layer_id}", en=layer_id)
    return Layer(
        id=layer_id,
        title=title,
        description=title,
        theme=("base",),
        source=Source(uri="x", version="1", sha256="0" * 64, licence="CC0", attribution=title, origin="test"),
        **more,
    )


def publish_scene(store: DataStore, folder: Path, layer_id: str, land: np.ndarray, seed: int) -> None:
    """Digital numbers with a declared scale, as products come."""
    values = np.rint(reflectance(land, seed) * 10_000)
    values[:, 40:44, 50:60] = -9999
    path = folder / f"{layer_id}.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=land.shape[0],
        width=land.shape[1],
        count=6,
        dtype="int16",
        nodata=-9999,
        crs="EPSG:4490",
        transform=grid_of(land.shape).affine,
    ) as dataset:
        dataset.write(values.astype(np.int16))
        dataset.scales = [0.0001] * 6
    title = Text(zh="反射率", en="Reflectance")
    names = ("blue", "green", "red", "nir", "swir1", "swir2")
    stops = [{"value": 0, "color": "#000000"}, {"value": 1, "color": "#ffffff"}]
    store.publish_raster(
        described(
            layer_id,
            kind="raster",
            bands=tuple(Band(name=n, title=title, unit="1", valid_range=(0, 20_000)) for n in names),
            style={"type": "ramp", "band": "red", "stops": stops},
        ),
        path,
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataStore]:
    for name, value in sample.environment(tmp_path / "site").items():
        monkeypatch.setenv(name, value)
    rules = tmp_path / "site" / "layers" / "rules"
    rules.mkdir()
    shutil.copy(ROOT / "layers" / "rules" / "landcover.yml", rules)
    found = DataStore.open(Settings())
    classes = {"land-cover": LandCover, "land-cover-change": LandCoverChange}
    monkeypatch.setattr("spatial.jobs.run.find_analysis", classes.__getitem__)
    yield found
    found.close()


def test_scenes_to_maps_to_change_in_a_real_store(tmp_path: Path, store: DataStore) -> None:
    publish_scene(store, tmp_path, "scene-2015", truth(), 4)
    publish_scene(store, tmp_path, "scene-2025", later_truth(), 5)
    shapes = polygons().sort_values("class", kind="stable").reset_index(drop=True)
    shapes.index = np.arange(1, len(shapes) + 1)
    title = Text(zh="类别", en="Class")
    store.publish_vector(
        described(
            "landcover-samples",
            kind="vector",
            fields=(Attribute(name="class", type="integer", title=title),),
            style={"type": "single", "fill": "#ff0000"},
        ),
        shapes,
    )
    with pytest.raises(LayerNotFound, match="surface-reflectance"):
        run_analysis(store, "land-cover", {})
    maps = {}
    for year in (2015, 2025):
        result = run_analysis(
            store,
            "land-cover",
            {"scene": f"scene-{year}", "trees": 40, "seed": 1},
            publish=True,
            job_id=f"{year}aaaa-0000",
        )
        maps[year] = result.layers["class"]
        assert set(result.layers) == {"class", "probability", "entropy", "applicability"}
        assert result.provenance["missing_inputs"][0]["layer"] == "counties"
        assert {i["layer"] for i in result.provenance["inputs"]} == {f"scene-{year}", "landcover-samples"}
        style_of(store.snapshot().raster(maps[year]).layer)
        with rasterio.open(result.rasters["class"]) as written:
            assert written.count == 2
            assert (written.read(1)[40:44, 50:60] == 0).all()
    result = run_analysis(
        store, "land-cover-change", {"earlier": maps[2015], "later": maps[2025]}, publish=True, job_id="cccc-0000"
    )
    style_of(store.snapshot().raster(result.layers["change"]).layer)
    built = next(r for r in result.tables["transition"] if (r["from"], r["to"]) == (PADDY, TOWN))
    assert 45 <= built["cells"] <= 51
    window = run_analysis(
        store,
        "land-cover-change",
        {
            "earlier": maps[2015],
            "later": maps[2025],
            "bbox": [WEST, NORTH - 12 * STEP, WEST + 26 * STEP, NORTH],
        },
        out=tmp_path / "part.tif",
    )
    with rasterio.open(window.rasters["change"]) as part, rasterio.open(result.rasters["change"]) as whole:
        assert np.array_equal(part.read(), whole.read()[:, :12, :26])
