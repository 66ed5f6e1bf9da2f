"""OGC API Processes over a real queue, with real worker programs and Dask."""

import io
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample
from served import serving

LOWLAND = "/ogc/processes/sample-lowland/execution"
ECHO = "/ogc/processes/echo/execution"
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    env = sample.environment(folder, queue_limit=4)
    with serving(env) as (client, store):
        sample.publish_inputs(store, folder)
        yield client, store, env


@pytest.fixture(scope="module")
def worker(installation):
    process = sample.start_worker(installation[2])
    yield process
    sample.stop(process)


@pytest.fixture
def client(installation):
    return installation[0]


@pytest.fixture
def store(installation):
    return installation[1]


def finished(client, answer, timeout=120):
    """Status of an asynchronous job at its end."""
    assert answer.status_code == 201, answer.text
    address = answer.headers["location"]

    def look():
        status = client.get(address).json()
        return status if status["status"] not in {"accepted", "running"} else None

    return sample.wait_for(look, timeout)


# Without a worker: these must run before the worker of this module starts, so they stand first.


def test_a_synchronous_execution_without_a_worker_says_what_to_do(client):
    answer = client.post(ECHO, json={"inputs": {"message": "x"}})
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "onemap worker" in answer.json()["detail_zh"]
    assert answer.headers["retry-after"]


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/dismiss/job-dismiss-op",
    "/req/dismiss/job-dismiss-success",
    "/req/core/job-results-exception/results-not-ready",
)
def test_the_queue_is_bounded_and_a_waiting_job_can_be_dismissed(client):
    jobs = [client.post(ECHO, json={"inputs": {"message": "x"}}, headers=ASYNC) for _ in range(4)]
    assert [j.status_code for j in jobs] == [201] * 4
    full = client.post(ECHO, json={"inputs": {"message": "x"}}, headers=ASYNC)
    assert full.status_code == 429
    assert full.json()["title"] == "QueueFull"
    for job in jobs:
        status = client.get(job.headers["location"]).json()
        assert status["status"] == "accepted"
        assert job.headers["location"] in [link["href"] for link in status["links"] if link["rel"] == "monitor"]
        not_ready = client.get(f"{job.headers['location']}/results")
        assert not_ready.status_code == 404
        assert not_ready.json()["type"].endswith("/result-not-ready")
        assert client.delete(job.headers["location"]).json()["status"] == "dismissed"
    assert client.get("/ogc/jobs?status=accepted").json()["numberMatched"] == 0


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/core/process-list",
    "/req/core/process-list-success",
    "/req/core/pl-limit-definition",
    "/req/core/pl-limit-response",
    "/req/core/process",
    "/req/core/process-success",
    "/req/ogc-process-description/json-encoding",
    "/req/ogc-process-description/inputs-def",
    "/req/ogc-process-description/input-def",
    "/req/ogc-process-description/outputs-def",
    "/req/ogc-process-description/output-def",
)
def test_process_list_and_description(client):
    listed = client.get("/ogc/processes").json()
    assert {"echo", "sample-lowland", "urban-suitability"} <= {p["id"] for p in listed["processes"]}
    page, seen = client.get("/ogc/processes?limit=7").json(), []
    while True:
        seen += [p["id"] for p in page["processes"]]
        more = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not more:
            break
        page = client.get(more[0]).json()
    assert seen == [p["id"] for p in listed["processes"]]
    assert any(link["rel"] == "prev" for link in page["links"])
    assert client.get("/ogc/processes?offset=-1").status_code == 400
    for process in listed["processes"]:
        assert set(process["jobControlOptions"]) == {"sync-execute", "async-execute", "dismiss"}
    found = client.get("/ogc/processes/sample-lowland").json()
    threshold = found["inputs"]["threshold_m"]
    assert threshold["schema"] == {"type": "number", "minimum": 0, "maximum": 9000, "default": 100.0}
    assert (threshold["minOccurs"], threshold["maxOccurs"]) == (0, 1)
    assert found["inputs"]["bbox"]["schema"]["minItems"] == 4
    assert found["outputs"]["class"]["schema"]["contentMediaType"] == "image/tiff; application=geotiff"
    assert "result" in found["outputs"]
    assert client.get("/ogc/processes/echo").json()["inputs"]["message"]["minOccurs"] == 1
    assert "$ref" not in client.get("/ogc/processes/urban-suitability").text
    assert client.get("/ogc/processes/echo?lang=en").json()["title"] == "Echo"
    assert client.get("/ogc/processes/echo").json()["title"] == "回显"


def test_parameters_are_described_in_the_language_asked_for(client):
    zh, en = (client.get(f"/ogc/processes/urban-suitability?lang={lang}").json()["inputs"] for lang in ("zh", "en"))
    assert (zh["runoff_coefficient"]["title"], en["runoff_coefficient"]["title"]) == ("产水系数", "Runoff coefficient")
    assert (zh["bbox"]["title"], en["bbox"]["title"]) == ("范围", "Extent")
    for name, described in en.items():
        assert described["title"].isascii(), name
        assert not any("\u3000" <= c <= "\u9fff" for c in described["description"]), name
        assert any("\u4e00" <= c <= "\u9fff" for c in zh[name]["title"]), name
        assert any("\u4e00" <= c <= "\u9fff" for c in zh[name]["description"]), name
        assert described["schema"] == zh[name]["schema"]
        assert not {"title_zh", "title_en", "description_zh", "description_en", "description"} & set(
            described["schema"]
        )


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/core/process-execute-request",
    "/req/core/process-execute-input-validation",
    "/req/core/process-exception/no-such-process",
)
@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "says"),
    [
        (ECHO, b"null", {"content-type": "application/json"}, 400, "JSON"),
        (ECHO, b"[]", {"content-type": "application/json"}, 400, "JSON"),
        (ECHO, b"", {"content-type": "application/json"}, 400, "JSON"),
        (ECHO, b"{", {"content-type": "application/json"}, 400, "JSON"),
        (ECHO, b"[" * 5000, {"content-type": "application/json"}, 400, "JSON"),
        (ECHO, b"{}", {}, 415, "Content-Type"),
        (ECHO, b"<x/>", {"content-type": "text/xml"}, 415, "Content-Type"),
        (ECHO, b'{"inputs": []}', {"content-type": "application/json"}, 400, "inputs"),
        (ECHO, b'{"inputs": {}}', {"content-type": "application/json"}, 400, "message"),
        (ECHO, b'{"inputs": {"messag": "x"}}', {"content-type": "application/json"}, 400, "message"),
        (ECHO, b'{"inputs": {"message": 5}}', {"content-type": "application/json"}, 400, "message"),
        (ECHO, b'{"inputs": {"message": {"href": "http://x"}}}', {"content-type": "application/json"}, 400, "href"),
        (ECHO, b'{"inputs": {"message": "x"}, "outputs": {"y": {}}}', {"content-type": "application/json"}, 400, "y"),
        (ECHO, b'{"inputs": {"message": "x"}, "response": "z"}', {"content-type": "application/json"}, 400, "response"),
        (
            ECHO,
            b'{"inputs": {"message": "x"}, "subscriber": {"successUri": "http://x"}}',
            {"content-type": "application/json"},
            400,
            "subscriber",
        ),
        (ECHO, b'{"message": "x"}', {"content-type": "application/json"}, 400, "inputs"),
        (LOWLAND, b'{"inputs": {"dem": {"process": "x"}}}', {"content-type": "application/json"}, 400, "collection"),
        (LOWLAND, b'{"inputs": {"dem": {"href": "http://x"}}}', {"content-type": "application/json"}, 400, "href"),
        (
            LOWLAND,
            b'{"inputs": {"dem": {"collection": "http://other.example/ogc/collections/elevation"}}}',
            {"content-type": "application/json"},
            400,
            "dem",
        ),
        (
            LOWLAND,
            b'{"inputs": {"dem": {"collection": "../collections/elevation", "filter": "1=1"}}}',
            {"content-type": "application/json"},
            400,
            "collection",
        ),
        (
            LOWLAND,
            b'{"inputs": {"nothing": {"collection": "../collections/elevation"}}}',
            {"content-type": "application/json"},
            400,
            "nothing",
        ),
        (
            LOWLAND,
            b'{"inputs": {"dem": {"collection": "../collections/nothing"}}}',
            {"content-type": "application/json"},
            404,
            "nothing",
        ),
        (LOWLAND, b'{"inputs": {"threshold_m": -1}}', {"content-type": "application/json"}, 400, "[0, 9000]"),
        (LOWLAND, b'{"inputs": {"treshold_m": 1}}', {"content-type": "application/json"}, 400, "threshold_m"),
        (LOWLAND, b'{"inputs": {"bbox": [1, 2]}}', {"content-type": "application/json"}, 400, "bbox"),
        (LOWLAND, b'{"inputs": {"bbox": [111, 31, 110, 32]}}', {"content-type": "application/json"}, 400, "bbox"),
        ("/ogc/processes/nothing/execution", b"{}", {"content-type": "application/json"}, 404, "nothing"),
        (f"{ECHO}?foo=1", b"{}", {"content-type": "application/json"}, 400, "foo"),
    ],
)
def test_bad_requests(client, path, content, headers, status, says):
    answer = client.post(path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert says in document["detail_zh"]
    assert document["detail_en"]


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0", "/req/core/job-exception-no-such-job", "/req/core/job-results-exception/no-such-job"
)
@pytest.mark.parametrize("path", ["/ogc/jobs/nothing", "/ogc/jobs/nothing/results", "/ogc/jobs/nothing/results/class"])
def test_unknown_job(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/no-such-job")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "status=lost", "foo=1"])
def test_bad_job_list_queries(client, query):
    assert client.get(f"/ogc/jobs?{query}").status_code == 400


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/core/process-execute-op",
    "/req/core/process-execute-sync-document",
    "/req/core/process-execute-sync-raw-value-one",
    "/req/core/test-process",
)
def test_echo_synchronous(client, worker):
    answer = client.post(ECHO, json={"inputs": {"message": "你好"}})
    assert (answer.status_code, answer.json()) == (200, {"message": "你好"})
    raw = client.post(ECHO, json={"inputs": {"message": "你好"}, "outputs": {"message": {}}, "response": "raw"})
    assert (raw.headers["content-type"], raw.text) == ("text/plain; charset=utf-8", "你好")
    qualified = client.post(ECHO, json={"inputs": {"message": {"value": "a"}}, "response": "document"})
    assert qualified.json() == {"message": "a"}


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/core/job",
    "/req/core/job-success",
    "/req/core/job-results",
    "/req/core/job-results-async-document",
)
def test_synchronous_and_asynchronous_results_agree_and_only_the_latter_is_published(client, store, worker):
    inputs = {"threshold_m": 150, "bbox": [110.1, 31.7, 110.3, 31.85]}
    answer = client.post(LOWLAND, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["result"]["layers"] == {}
    sync = client.get(document["class"]["href"])
    assert sync.headers["content-type"] == "image/tiff; application=geotiff"

    answer = client.post(LOWLAND, json={"inputs": inputs}, headers=ASYNC)
    assert answer.headers["preference-applied"] == "respond-async"
    status = finished(client, answer)
    assert status["status"] == "successful", status
    assert status["progress"] == 100
    assert status["created"] <= status["started"] <= status["finished"]
    rels = {link["rel"].rpartition("/")[2] for link in status["links"]}
    assert {"self", "results", "collection", "tilesets-map"} <= rels
    results = client.get(f"{answer.headers['location']}/results").json()
    for found in (document, results):  # an address, not the name of a file here
        place = found["result"]["rasters"]["class"]
        assert place == {"href": found["class"]["href"], "type": "image/tiff; application=geotiff"}
    layer_id = results["result"]["layers"]["class"]
    assert layer_id == f"sample-lowland-{status['jobID'][:8]}"
    asynchronous = client.get(results["class"]["href"])
    with rasterio.open(io.BytesIO(sync.content)) as a, rasterio.open(io.BytesIO(asynchronous.content)) as b:
        assert np.array_equal(a.read(), b.read())
        assert a.transform == b.transform
        values = a.read(1)
    expected = sample.elevation()[15:30, 10:30]
    assert np.array_equal(values, (expected < 150).astype("uint8"))

    layer = store.snapshot().catalog[layer_id]
    assert layer.derived_from == ("elevation", "rain")
    assert "合成" in layer.display_title().zh  # one input is synthetic
    assert layer.provenance["parameters"] == {
        "bbox": inputs["bbox"],
        "threshold_m": 150.0,
        "pause_s": 0.0,
        "strict": False,
    }
    assert {(i["layer"], i["version"]) for i in layer.provenance["inputs"]} == {("elevation", "1"), ("rain", "1")}
    assert client.get(f"/tiles/{layer_id}/tilejson.json").status_code == 200
    assert results["result"]["tables"]["cells"] == [{"low": int((expected < 150).sum())}]

    gone = client.delete(answer.headers["location"])
    assert gone.json()["status"] == "dismissed"
    assert client.get(f"{answer.headers['location']}/results").status_code == 404
    assert layer_id not in store.snapshot().catalog


@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/core/process-execute-sync-raw-ref")
def test_raw_raster_and_reference(client, worker):
    body = {"inputs": {}, "outputs": {"class": {"transmissionMode": "value"}}, "response": "raw"}
    raw = client.post(LOWLAND, json=body)
    assert raw.headers["content-type"] == "image/tiff; application=geotiff"
    with rasterio.open(io.BytesIO(raw.content)) as dataset:
        assert dataset.shape == (40, 60)
        assert dataset.nodata == 255
        assert dataset.read(1)[3, 4] == 255
    body["outputs"]["class"]["transmissionMode"] = "reference"
    reference = client.post(LOWLAND, json=body)
    assert reference.status_code == 204
    assert "results/class" in reference.headers["link"]


@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/core/job-results-failed")
def test_a_failed_job_gives_its_problem(client, worker):
    answer = client.post(LOWLAND, json={"inputs": {"bbox": [0, 0, 1, 1]}})  # found out only at the run
    assert answer.status_code == 400
    assert answer.json()["title"] == "InvalidParameter"
    status = finished(client, client.post("/ogc/processes/sample-failing/execution", json={}, headers=ASYNC))
    assert status["status"] == "failed"
    assert any(link["rel"].endswith("exceptions") for link in status["links"])
    results = client.get(f"/ogc/jobs/{status['jobID']}/results")
    assert results.status_code == 500
    assert "RuntimeError" in results.json()["detail_zh"]
    assert "a bug" not in results.text  # what a bug says stays in the log


@pytest.mark.parametrize(
    ("bbox", "zh", "en"),
    [
        ([0, 0, 1, 1], "不相交", "outside the base raster"),
        ([110.1, 31.7, 110.1, 31.7], "没有面积", "no area"),
        ([110.3, 31.7, 110.1, 31.85], "次序颠倒", "reversed"),
        ([110.1, 31.7, 110.101, 31.701], "小于一个像元", "smaller than a cell"),
    ],
)
def test_a_box_that_holds_nothing_is_refused(client, worker, bbox, zh, en):
    answer = client.post(LOWLAND, json={"inputs": {"bbox": bbox}})
    problem = answer.json()
    assert (answer.status_code, problem["title"], problem["parameter"]) == (400, "InvalidParameter", "bbox")
    assert zh in problem["detail_zh"]
    assert en in problem["detail_en"]


@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/dismiss/job-dismiss-success")
def test_dismissing_a_running_job_stops_it_and_leaves_nothing(client, store, worker):
    answer = client.post(LOWLAND, json={"inputs": {"pause_s": 300}}, headers=ASYNC)
    job = answer.headers["location"]
    sample.wait_for(lambda: "pause" in client.get(job).json()["message"], 60)
    assert client.delete(job).json()["status"] == "dismissed"
    scratch = store.settings.var_dir / "scratch"
    sample.wait_for(lambda: not list(scratch.iterdir()), 20)
    job_id = answer.json()["jobID"]
    assert f"sample-lowland-{job_id[:8]}" not in store.snapshot().catalog
    assert not (store.settings.var_dir / "results" / job_id).exists()
    assert client.post(ECHO, json={"inputs": {"message": "next"}}).json() == {"message": "next"}


@pytest.mark.requirement(
    "ogcapi-processes-1/1.0",
    "/req/job-list/job-list-op",
    "/req/job-list/job-list-success",
    "/req/job-list/links",
    "/req/job-list/limit-definition",
    "/req/job-list/limit-response",
    "/req/job-list/type-definition",
    "/req/job-list/type-response",
    "/req/job-list/processID-definition",
    "/req/job-list/processid-response",
    "/req/job-list/status-definition",
    "/req/job-list/status-response",
    "/req/html/content",
)
def test_job_list_pages_and_filters(client, worker):
    client.post(ECHO, json={"inputs": {"message": "1"}})
    client.post(ECHO, json={"inputs": {"message": "2"}})
    first = client.get("/ogc/jobs?limit=1&processID=echo&status=successful").json()
    assert len(first["jobs"]) == 1
    following = next(link["href"] for link in first["links"] if link["rel"] == "next")
    second = client.get(following).json()
    assert second["jobs"][0]["jobID"] != first["jobs"][0]["jobID"]
    assert {j["processID"] for j in second["jobs"]} == {"echo"}
    assert client.get("/ogc/jobs?type=other").json()["jobs"] == []
    assert client.get("/ogc/jobs", headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")


def test_the_http_client_speaks_the_same_verbs(client, worker, tmp_path):
    import spatial as sp
    from spatial.errors import InvalidParameter, LayerNotFound

    with sp.connect(str(client.base_url)) as server:
        job = server.run("sample-lowland", threshold_m=150).wait(120, every=0.1)
        assert job.tables["cells"].loc[0, "low"] == int(((z := sample.elevation()) < 150).sum() - (z == -9999).sum())
        path = job.download(tmp_path / "x.tif")
        with rasterio.open(path) as dataset:
            assert dataset.shape == (40, 60)
        with pytest.raises(InvalidParameter, match="9000"):
            server.run("sample-lowland", threshold_m=-1)
        with pytest.raises(LayerNotFound):
            server.items("nothing")
        assert "elevation" in server.catalog().index


def test_pygeoapi_plugins_run_the_same_thing(store, worker, monkeypatch):
    from pygeoapi.util import RequestedProcessExecutionMode

    from spatial.ogc import shared
    from spatial.ogc.processes import AnalysisProcessor, JobManager

    monkeypatch.setattr(shared, "_shared", (os.getpid(), store))
    definition = {"name": "x", "analysis": "sample-lowland"}
    media, document = AnalysisProcessor(definition).execute({"threshold_m": 150})
    assert media == "application/json"
    assert document["not_assessed"] == []
    manager = JobManager({"name": "x", "processes": {"sample-lowland": {"processor": definition}}})
    job_id, _, result, status, _ = manager.execute_process("sample-lowland", {"threshold_m": 150})
    assert status.value == "successful"
    assert result["tables"] == document["tables"]
    assert manager.get_job(job_id)["status"] == "successful"
    job_id, _, _, status, _ = manager.execute_process(
        "sample-lowland", {}, execution_mode=RequestedProcessExecutionMode.respond_async
    )
    sample.wait_for(lambda: manager.get_job(job_id)["status"] == "successful", 60)
    assert manager.get_jobs(limit=1)["jobs"][0]["identifier"] == job_id


def test_a_synchronous_execution_over_time_is_dismissed(installation, worker):
    _, _, env = installation
    with serving(env | {"ONEMAP_SYNC_TIMEOUT_S": "1.0"}) as (client, _):
        started = time.monotonic()
        answer = client.post(LOWLAND, json={"inputs": {"pause_s": 300}})
        assert answer.status_code == 503
        assert "respond-async" in answer.json()["detail_zh"]
        assert time.monotonic() - started < 20
        assert client.get(f"/ogc/jobs/{answer.json()['job']}").json()["status"] == "dismissed"


def test_this_module_needs_the_sample_distribution():
    assert os.path.isfile(sample.FOLDER / "onemap_sample_analyses-1.0.dist-info" / "entry_points.txt")


@pytest.fixture
def broken_extension(monkeypatch):
    """An installed analysis whose module does not exist, beside the ones that work."""
    from importlib.metadata import EntryPoint

    from spatial.jobs import registry

    sound = registry._entries()
    broken = EntryPoint("broken-extension", "module_that_is_not_there:Analysis", registry.GROUP)
    monkeypatch.setattr(registry, "_entries", lambda: dict(sorted({**sound, broken.name: broken}.items())))
    registry.analysis.cache_clear()
    yield broken.name
    registry.analysis.cache_clear()


def test_a_broken_analysis_harms_no_other(client, broken_extension):
    listed = [p["id"] for p in client.get("/ogc/processes?limit=1000").json()["processes"]]
    assert "urban-suitability" in listed
    assert broken_extension not in listed
    assert client.get("/ogc/collections").status_code == 200
    assert client.get("/ogc/processes/urban-suitability").status_code == 200
    for answer in (
        client.get(f"/ogc/processes/{broken_extension}"),
        client.post(f"/ogc/processes/{broken_extension}/execution", json={"inputs": {}}),
    ):
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert "module_that_is_not_there" in answer.json()["detail"]
