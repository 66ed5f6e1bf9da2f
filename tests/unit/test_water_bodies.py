"""Water bodies: runs and polygons against GDAL and scipy, the hybrid rule, kinds, ids and lineage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox

from analyses.water.bodies.delineation import ArrayFrequency, WaterBodies, find_bodies
from analyses.water.bodies.geohash import geohash
from analyses.water.bodies.lineage import lineage
from analyses.water.bodies.rules import WaterBodyRules, water_body_rules
from analyses.water.bodies.runs import join_strips, label_runs, paint, polygons, strip_runs
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, LayerEmpty
from spatial.units import geodesic_areas

ROOT = Path(__file__).resolve().parents[2]
CELL = Affine(1e-4, 0, 113.2, 0, -1e-4, 30.6)


def rules(**bodies: float) -> WaterBodyRules:
    text = (ROOT / "layers/rules/water_bodies.yml").read_text(encoding="utf-8")
    found = water_body_rules({"water_bodies": yaml.safe_load(text)})
    return found.model_copy(update={"bodies": found.bodies.model_copy(update={"least_area_m2": 0, **bodies})})


def find(wet, clear=None, *, rule: WaterBodyRules | None = None, **more) -> WaterBodies:
    wet = np.asarray(wet, np.uint16)
    clear = np.full(wet.shape, 100, np.uint16) if clear is None else np.asarray(clear, np.uint16)
    return find_bodies(ArrayFrequency(wet, clear), GeoBox(wet.shape, CELL, "EPSG:4490"), rule or rules(), **more)


@settings(max_examples=120, deadline=None)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 1, 1, 1, 2]))
    ),
    st.integers(1, 12),
)
def test_polygons_equal_gdal(grades: np.ndarray, strip: int) -> None:
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import from_origin
    from scipy.ndimage import label as scipy_label

    rows, cols = grades.shape
    strips = [strip_runs(grades[top : top + strip], top, rows) for top in range(0, rows, strip)]
    runs = join_strips(strips)
    label, number = label_runs(runs)
    assert number == sum(scipy_label(grades == grade)[1] for grade in (1, 2))
    made = polygons(runs, label, number, (1.0, 0, 0, 0, -1.0, rows))
    assert shapely.is_valid(made).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(made)).all()
    image = paint(runs, label, 0, 0, rows, cols)
    for k in range(1, number + 1):
        mask = image == k
        parts = [
            shapely.geometry.shape(s)
            for s, _ in shapes(mask.astype(np.uint8), mask, transform=from_origin(0, rows, 1, 1))
        ]
        assert made[k - 1].equals(shapely.union_all(parts))
    cut = paint(runs, label, rows // 2, cols // 3, rows - rows // 2, cols - cols // 3)
    assert np.array_equal(cut, image[rows // 2 :, cols // 3 :])


def test_hybrid_threshold_by_hand() -> None:
    #        a body: 5 % extent around a 10 % location     5 % alone is none     4 % joins nothing
    wet = [[5, 12, 5, 0, 6, 6, 0, 50, 4, 50]]
    found = find(wet)
    assert found.frame["cells"].tolist() == [3, 1, 1]
    assert found.rejected.set_index("reason")["count"].to_dict() == {
        "too_small": 0,
        "no_location": 1,
        "too_few_clear": 0,
    }
    assert found.frame["location_area_m2"].iloc[0] == pytest.approx(found.frame["area_m2"].iloc[0] / 3)


def test_filtered_by_observations_after_cells_became_bodies() -> None:
    # The middle of the lake was hidden by cloud mostly: filtered by cell it would be a doughnut.
    clear = np.full((5, 5), 90)
    clear[1:4, 1:4] = 20
    found = find(clear, clear)
    assert found.frame["cells"].tolist() == [25]
    assert found.frame["holes"].tolist() == [0]
    few = find(np.full((5, 5), 20), np.full((5, 5), 20))
    assert len(few.frame) == 0
    assert few.rejected.set_index("reason")["count"]["too_few_clear"] == 1


def test_area_is_ellipsoidal_and_islands_are_kept() -> None:
    wet = np.full((300, 300), 90)
    wet[100:140, 100:160] = 0
    found = find(wet)
    row = found.frame.iloc[0]
    assert row["holes"] == 1
    assert row["area_m2"] == pytest.approx(geodesic_areas([row.geometry])[0], rel=1e-6)
    assert row["cells"] == 90_000 - 2400


def test_threads_and_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import analyses.water.bodies.delineation as module

    rng = np.random.default_rng(5)
    wet = (np.kron(rng.random((30, 30)), np.ones((10, 10))) * 40).astype(np.uint16)
    one = find(wet)
    monkeypatch.setattr(module, "STRIP", 7)
    two = find(wet, threads=3)
    assert one.frame.drop(columns="geometry").equals(two.frame.drop(columns="geometry"))
    assert all(a.equals(b) for a, b in zip(one.frame.geometry, two.frame.geometry, strict=True))
    assert one.frame["id"].is_unique


def lake_and_river() -> np.ndarray:
    y, x = np.indices((260, 900))
    wet = np.where((y - 130) ** 2 + (x - 200) ** 2 < 100**2, 100, 0)
    wet[125:133, 250:900] = 100  # a river 80 m wide out of a lake 2 km across
    return wet


def test_river_is_split_from_lake_by_width() -> None:
    found = find(lake_and_river())
    lake = found.frame.loc[found.frame["kind"] == "lake"].iloc[0]
    river = found.frame.loc[found.frame["kind"] == "river"]
    assert lake["cells"] == pytest.approx(np.pi * 100**2, rel=0.01)
    assert river["cells"].sum() == pytest.approx(600 * 8, rel=0.05)
    assert lake["cells"] + river["cells"].sum() == int((lake_and_river() > 0).sum())


def test_arms_of_a_reservoir_stay_with_it_and_a_listed_water_is_not_cut() -> None:
    """A reservoir with three narrow arms, one of them longer than itself: a river, unless the list says otherwise."""
    import geopandas as gpd
    from shapely import box

    wet = np.zeros((700, 500), int)
    wet[20:140, 150:310] = 95  # 19,200 cells
    wet[70:78, 20:150] = 95  # a bay of 130 cells
    wet[60:68, 310:440] = 95
    wet[140:680, 200:208] = 95  # 540 cells long
    reservoir, bays, river = 120 * 160, 2 * 8 * 130, 8 * 540
    frame = find(wet).frame
    assert frame.loc[frame["kind"] == "lake", "cells"].tolist() == pytest.approx([reservoir + bays], rel=0.01)
    assert frame.loc[frame["kind"] == "river", "cells"].sum() == pytest.approx(river, rel=0.02)
    whole = find(wet).grid.extent.boundingbox
    listed = gpd.GeoDataFrame({"id": ["R"], "name": ["水库"]}, geometry=[box(*whole)], crs="EPSG:4490")
    (one,) = find(wet, listed=listed).frame.itertuples()
    assert (one.kind, one.name, one.cells) == ("lake", "水库", int((wet > 0).sum()))


def test_river_is_split_by_a_layer() -> None:
    wet = lake_and_river()
    mask = np.zeros(wet.shape, bool)
    mask[120:140, 302:] = True
    found = find(wet, rivers=lambda r, c, h, w: mask[r : r + h, c : c + w])
    assert found.frame.groupby("kind")["cells"].sum().to_dict() == {
        "lake": int(wet.sum() // 100) - 8 * 598,
        "river": 8 * 598,
    }


def test_ponds_paddies_and_listed_lakes() -> None:
    import geopandas as gpd
    from shapely import box

    wet = np.zeros((60, 130), int)
    months = np.zeros(wet.shape, np.uint8)
    wet[5:25, 5:35], months[5:25, 5:35] = 95, 12  # a fish pond
    wet[5:25, 45:75], months[5:25, 45:75] = 35, 4  # a paddy
    wet[5:25, 85:115], months[5:25, 85:115] = 95, 12  # as a pond, but in the list
    listed = gpd.GeoDataFrame(
        {"id": ["L1"], "name": ["月湖"]}, geometry=[box(113.2085, 30.5975, 113.2115, 30.5995)], crs="EPSG:4490"
    )
    more = {"months": lambda r, c, h, w: months[r : r + h, c : c + w], "listed": listed}
    frame = find(wet, **more).frame
    assert frame["kind"].tolist() == ["pond", "paddy", "lake"]
    assert frame["name"].tolist() == [None, None, "月湖"]
    assert frame["kind_reason"].str.len().min() > 0
    with pytest.raises(CRSMismatch):
        find(wet, listed=listed.to_crs("EPSG:4547"))
    with pytest.raises(InvalidParameter, match="name"):
        find(wet, listed=listed.drop(columns="name"))


def test_bad_input() -> None:
    counts = ArrayFrequency(np.ones((4, 4), np.uint16), np.full((4, 4), 90, np.uint16))
    with pytest.raises(GridMismatch):
        find_bodies(counts, GeoBox((4, 5), CELL, "EPSG:4490"), rules())
    with pytest.raises(CRSMismatch, match="4490"):
        find_bodies(counts, GeoBox((4, 4), Affine(10, 0, 5e5, 0, -10, 3.4e6), "EPSG:4547"), rules())
    with pytest.raises(LayerEmpty):
        find(np.zeros((4, 4)), np.zeros((4, 4)))
    with pytest.raises(InvalidParameter, match="more wet than clear"):
        find(np.full((4, 4), 9), np.full((4, 4), 8))
    dry = find(np.zeros((4, 4)))
    assert len(dry.frame) == 0
    assert "geometry" in dry.frame


def bodies_of(*windows: tuple[int, int, int, int]):
    wet = np.zeros((40, 120), int)
    for r0, r1, c0, c1 in windows:
        wet[r0:r1, c0:c1] = 90
    return find(wet).frame


def test_lineage_same_split_merge_new_lost() -> None:
    rule = rules().lineage
    before = bodies_of((0, 10, 0, 10), (0, 10, 20, 50), (20, 30, 0, 10), (20, 30, 20, 30), (20, 30, 60, 70))
    after = bodies_of((0, 10, 0, 9), (0, 10, 20, 40), (0, 10, 42, 50), (20, 30, 0, 30), (0, 10, 100, 110))
    found = lineage(before, after, rule)
    old, ids = before["id"].tolist(), found.bodies["id"].tolist()
    relation = {(r.earlier_id, r.id): r.relation for r in found.links.itertuples()}
    # rows of `after`: the same, larger part, smaller part, new one, merged
    assert ids[0] == old[0]
    assert relation[old[0], ids[0]] == "same"
    assert ids[1] == old[1]
    assert relation[old[1], ids[1]] == relation[old[1], ids[2]] == "split"
    assert ids[2] not in old
    merged = ids[4]
    assert merged in (old[2], old[3])
    assert relation[old[2], merged] == relation[old[3], merged] == "merge"
    assert relation[None, ids[3]] == "new"
    assert relation[old[4], None] == "lost"
    assert len(set(ids)) == len(ids)
    share = found.links.set_index(["earlier_id", "id"])["share_earlier"]
    assert share[old[0], ids[0]] == pytest.approx(0.9)


def test_lineage_of_nothing_and_of_itself() -> None:
    rule, one = rules().lineage, bodies_of((0, 10, 0, 10), (20, 30, 20, 30))
    assert lineage(one, one, rule).bodies["id"].tolist() == one["id"].tolist()
    assert lineage(one.iloc[:0], one, rule).links["relation"].tolist() == ["new", "new"]
    assert lineage(one, one.iloc[:0], rule).links["relation"].tolist() == ["lost", "lost"]
    with pytest.raises(CRSMismatch):
        lineage(one, one.to_crs("EPSG:4547"), rule)


def test_geohash_known_values() -> None:
    assert geohash(np.array([-5.6, 113.2]), np.array([42.6, 30.6]), 5)[0] == "ezs42"
    assert len(geohash(113.2, 30.6, 12)[0]) == 12
