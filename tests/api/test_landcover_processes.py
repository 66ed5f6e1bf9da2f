"""Land cover on the sample scenes: 2019 by command, 2024 and the change as OGC processes, and the way into land use."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample
from served import serving

ROOT = Path(__file__).parents[2]
LAYERS = ("surface-reflectance", "surface-reflectance-2024", "landcover-samples", "landcover-reference", "counties")
BBOX = (114.5, 30.47, 114.74, 30.7)
"""Most of the scenes, so that each class has its reference units."""
QUICK = {"trees": 20, "samples_per_class": 150, "reference": "landcover-reference"}
BARE = 13


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """The sample layers in a store of their own, served, with a worker."""
    from spatial.catalog import load_catalog
    from spatial.intake.publication import publish_layer

    env = sample.environment(tmp_path_factory.mktemp("landcover"), layers_dir=ROOT / "layers", data_dir=ROOT)
    with serving(env) as (client, store):
        catalog = load_catalog(ROOT / "layers")
        for name in LAYERS:
            publish_layer(store, catalog[name])
        worker = sample.start_worker(env)
        try:
            yield client, store, env
        finally:
            sample.stop(worker)


@pytest.fixture(scope="module")
def commanded(installation):
    """The scene of 2019 by the command line, published."""
    command = [sys.executable, "-m", "spatial.cli", "run", "land-cover", "--bbox", ",".join(map(str, BBOX))]
    for name, value in QUICK.items():
        command += ["--param", f"{name}={value}"]
    command += ["--publish", "--json"]
    done = subprocess.run(command, env=os.environ | installation[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def executed(client, process, inputs):
    """Results document of an asynchronous execution."""
    answer = client.post(
        f"/ogc/processes/{process}/execution", json={"inputs": inputs}, headers={"Prefer": "respond-async"}
    )
    assert answer.status_code == 201, answer.text
    address = answer.headers["location"]

    def look():
        status = client.get(address).json()
        return status if status["status"] not in {"accepted", "running"} else None

    status = sample.wait_for(look, 120)
    results = client.get(f"{address}/results").json()
    assert status["status"] == "successful", results
    assert status["progress"] == 100
    return results


@pytest.fixture(scope="module")
def processed(installation):
    """The scene of 2024 as a process: its results document."""
    return executed(
        installation[0],
        "land-cover",
        QUICK | {"bbox": list(BBOX), "scene": "surface-reflectance-2024", "class_field": "class_2024"},
    )


def test_the_process_hands_out_and_publishes_its_map(installation, processed):
    client, store, _ = installation
    layer = store.snapshot().catalog[processed["result"]["layers"]["class"]]
    assert layer.theme == ("results", "land-cover")
    assert "合成" in layer.display_title().zh
    assert set(layer.derived_from) >= {"surface-reflectance-2024", "landcover-samples", "landcover-reference"}
    assert client.get(f"/tiles/{layer.id}/tilejson.json").status_code == 200
    answer = client.get(processed["class"]["href"])
    published = store.snapshot().raster(layer.id)
    with rasterio.open(io.BytesIO(answer.content)) as a, rasterio.open(published.path) as b:
        assert a.descriptions == ("class", "applicable")
        assert np.array_equal(a.read(), b.read())
        assert set(np.unique(a.read(1)).tolist()) <= set(range(13)), "bare land is not mapped"


def test_what_the_planner_must_know_is_said(commanded):
    said = {factor["id"]: factor for factor in commanded["factors"]}
    assert said["cross-validation"]["assessed"]
    assert said["accuracy"]["assessed"], said["accuracy"]["note"]
    assert commanded["not_assessed"] == [f"class-{BARE}"]
    assert "不可学习" in said[f"class-{BARE}"]["note"]["zh"]
    (tested,) = commanded["tables"]["cross_validation"]
    assert tested["accuracy_learnable"] > 0.85
    assert BARE not in {row["class"] for row in commanded["tables"]["totals"]}
    bare = next(row for row in commanded["tables"]["accuracy"] if row["class"] == BARE)
    assert bare["mapped_km2"] == 0 < bare["area_km2"], "what the map leaves out the reference sample still finds"


def test_the_quarry_is_outside_the_area_of_applicability(commanded):
    with rasterio.open(commanded["rasters"]["class"]) as dataset:
        row, col = dataset.index(114.7010, 30.5010)
        quarry = dataset.read(2)[row - 5 : row + 6, col - 5 : col + 6]
        assert dataset.descriptions[1] == "applicable"
        assert (quarry == 2).mean() > 0.7 > 0.4 > (dataset.read(2) == 2).mean()


def test_the_change_between_the_published_maps(installation, commanded, processed):
    earlier, later = commanded["layers"]["class"], processed["result"]["layers"]["class"]
    found = executed(installation[0], "land-cover-change", {"earlier": earlier, "later": later})["result"]
    kinds = {row["class"]: row["km2"] for row in found["tables"]["by_change"]}
    assert kinds[2] > 3, "cropland became town"
    assert kinds[1] > 0.8 * sum(kinds.values()), "most stayed"
    (compared,) = found["tables"]["compared"]
    assert compared["only_earlier_km2"] > 0 < compared["only_later_km2"], "clouds of one date are no change"
    town = next(row for row in found["tables"]["by_class"] if row["class"] == 12)
    assert town["later_km2"] > town["earlier_km2"]


def test_the_map_becomes_a_version_of_land_use(installation, commanded, tmp_path):
    """As docs/methods/land-cover.md shows: the most frequent class of each 30″ cell, the old one where nothing is known."""
    from rasterio.warp import Resampling, reproject

    from spatial.intake.publication import ingest_file

    path = tmp_path / "land-use-2019.tif"
    shutil.copy(ROOT / "data-samples" / "base" / "land-use.tif", path)
    with rasterio.open(commanded["rasters"]["class"]) as fine, rasterio.open(path, "r+") as use:
        old = use.read(1)
        new = old.copy()
        reproject(
            rasterio.band(fine, 1), new, src_nodata=0, dst_transform=use.transform, dst_crs=use.crs, dst_nodata=0,
            resampling=Resampling.mode, init_dest_nodata=False,
        )  # fmt: skip
        use.write(new, 1)
        row, col = use.index(114.62, 30.585)
    changed = new != old
    assert changed.any()
    assert not (new == 0).any()
    box = np.zeros_like(changed)
    box[row - 14 : row + 15, col - 15 : col + 16] = True
    assert not changed[~box].any(), "nothing changes outside the window"
    ingest_file(installation[1], "land-use", path, version="2019-land-cover")
    raster = installation[1].snapshot().raster("land-use")
    assert raster.version == "2019-land-cover"
    with rasterio.open(raster.path) as served:
        assert np.array_equal(served.read(1), new)
