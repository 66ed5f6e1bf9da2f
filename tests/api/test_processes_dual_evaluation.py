"""The dual evaluation as an OGC process on the sample data: asynchronous with progress, links, dismissal half-way."""

import contextlib
import io
import json
import sys
import threading
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

EXECUTION = "/ogc/processes/dual-evaluation/execution"
ASYNC = {"Prefer": "respond-async"}
WINDOW = {"bbox": [110.9, 30.3, 111.6, 30.9], "units": "county"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """The application under uvicorn with the layers of the evaluation, and a worker program."""
    import uvicorn

    from analyses.dual_evaluation import DualEvaluation
    from spatial.asgi import create_app
    from spatial.catalog import load_catalog
    from spatial.intake import publish_layer
    from spatial.settings import PROJECT_ROOT, Settings

    folder = tmp_path_factory.mktemp("dual")
    # A busy machine may hold a sign of life back; a job taken for lost begins again and its progress falls to 0.
    env = sample.environment(folder, layers_dir=PROJECT_ROOT / "layers", job_lost_after_s=120)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in env.items():
            patch.setenv(name, value)
        app = create_app(Settings())
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        sample.wait_for(lambda: server.started)
        stack.callback(thread.join, 20)
        stack.callback(setattr, server, "should_exit", True)
        store = app.state.datastore
        catalog = load_catalog(PROJECT_ROOT / "layers")
        for layer in {spec.layer for spec in DualEvaluation.inputs} & set(catalog):
            publish_layer(store, catalog[layer])
        stack.callback(sample.stop, sample.start_worker(env))
        port = server.servers[0].sockets[0].getsockname()[1]
        yield httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300), store


@pytest.fixture
def client(installation):
    return installation[0]


@pytest.fixture
def store(installation):
    return installation[1]


def test_it_is_described_with_its_parameters_in_both_languages(client):
    for lang, title in (("zh", "双评价"), ("en", "Dual evaluation")):
        found = client.get(f"/ogc/processes/dual-evaluation?lang={lang}").json()
        assert found["title"] == title
        assert set(found["jobControlOptions"]) == {"sync-execute", "async-execute", "dismiss"}
        assert {"units", "profile", "water_indicator", "ecology_method", "bbox"} <= set(found["inputs"])
        assert found["inputs"]["units"]["schema"]["enum"] == ["county", "prefecture", "province"]
        assert {"ecology", "agriculture", "urban", "conflicts", "urban_factors", "result"} <= set(found["outputs"])


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"units": "village"}, "county"),
        ({"profile": "2021"}, "2020"),
        ({"water_indicator": "rain"}, "precipitation"),
        ({"runoff_coefficient": 47}, "[0.01, 1]"),
        ({"unit": "county"}, "units"),
    ],
)
def test_bad_parameters_are_refused_at_once(client, inputs, says):
    answer = client.post(EXECUTION, json={"inputs": inputs})
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail_zh"]


def test_dismissed_half_way_it_leaves_nothing(client, store):
    """Before the whole run, so that the first result of this installation would be the dismissed one."""
    before = set(store.snapshot().catalog)
    answer = client.post(EXECUTION, json={"inputs": {}}, headers=ASYNC)
    assert answer.status_code == 201, answer.text
    job = answer.headers["location"]

    def half_way():
        status = client.get(job).json()
        assert status["status"] in {"accepted", "running"}, status
        return status.get("progress", 0) >= 30

    sample.wait_for(half_way, 120, every=0.02)
    assert client.delete(job).json()["status"] == "dismissed"
    scratch = store.settings.var_dir / "scratch"
    sample.wait_for(lambda: not list(scratch.iterdir()), 60)
    time.sleep(0.5)
    assert set(store.snapshot().catalog) == before
    assert not (store.settings.var_dir / "results" / answer.json()["jobID"]).exists()
    assert client.get(f"{job}/results").status_code == 404
    assert client.get(job).json()["status"] == "dismissed"


def test_asynchronous_with_progress_maps_tables_and_links(client, store):
    answer = client.post(EXECUTION, json={"inputs": WINDOW}, headers=ASYNC)
    job = answer.headers["location"]
    seen = []

    def look():
        status = client.get(job).json()
        seen.append((status.get("progress", 0), status["message"]))
        return status if status["status"] not in {"accepted", "running"} else None

    status = sample.wait_for(look, 300, every=0.05)
    assert status["status"] == "successful", status
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert len({share for share in shares if 0 < share < 100}) >= 3, "no progress between start and end"
    assert {link["rel"].rpartition("/")[2] for link in status["links"]} >= {"self", "results", "collection"}

    results = client.get(f"{job}/results").json()
    document = results["result"]
    assert set(document["layers"]) >= {"ecology", "agriculture", "urban", "conflicts", "ecology_factors"}
    for name, layer in document["layers"].items():
        assert layer in store.snapshot().catalog, name
        assert client.get(f"/tiles/{layer}/tilejson.json").status_code == 200
    with rasterio.open(io.BytesIO(client.get(results["urban"]["href"]).content)) as urban:
        assert urban.descriptions == ("class", "grade", "reason", "patch", "class_2020", "reason_2020")
        assert urban.crs.to_epsg() == 4490
        assert {1, 2, 3} <= set(np.unique(urban.read(1)))
    by_unit = document["tables"]["urban_by_unit"]
    assert sum(row["assessed_km2"] for row in by_unit) > 1000
    # A window cuts its counties: what they can carry must not be judged from a part of them, and the reader is told.
    cut = [row for row in document["tables"]["capacity_county"] if row["agri_status"] != "assessed"]
    assert cut
    said = " ".join(note["zh"] for note in document["notes"])
    assert "截断" in said
    assert "排序" in said
    assert ".tif" not in json.dumps(document["rasters"])
