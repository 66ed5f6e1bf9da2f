"""Forms of an answer, other layers in the place of the usual ones, and callbacks of OGC API Processes."""

import email
import http.server
import io
import json
import sys
import threading
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample
from served import serving
from sqlalchemy import select

SUITE = "ogcapi-processes-1/1.0"
LOWLAND = "/ogc/processes/sample-lowland/execution"
ECHO = "/ogc/processes/echo/execution"
ASYNC = {"Prefer": "respond-async"}
GEOTIFF = "image/tiff; application=geotiff"
BOX = [110.1, 31.7, 110.3, 31.85]


class Subscriber(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; answers what ``statuses`` says, then 200."""

    received: list = []  # noqa: RUF012
    statuses: list = []  # noqa: RUF012

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, dict(self.headers), json.loads(body)))
        status = self.statuses.pop(0) if self.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/redirected")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def subscriber():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Subscriber)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory, subscriber):
    folder = tmp_path_factory.mktemp("forms")
    hosts = json.dumps([subscriber, "127.0.0.0/8", "gis.example.cn"])
    env = sample.environment(folder, queue_limit=20, callback_hosts=hosts)
    with serving(env) as (client, store):
        sample.publish_inputs(store, folder)
        low = sample.layer("low-ground")
        store.publish_raster(low, sample.write_raster(folder / "low.tif", low_ground(), 0.01))
        feet = sample.layer("in-feet")
        feet = feet.model_copy(update={"bands": (feet.bands[0].model_copy(update={"unit": "ft"}),)})
        store.publish_raster(feet, sample.write_raster(folder / "feet.tif", sample.elevation(), 0.01))
        yield client, store, env


@pytest.fixture(scope="module")
def worker(installation):
    process = sample.start_worker(installation[2])
    yield process
    sample.stop(process)


@pytest.fixture
def client(installation, worker):
    return installation[0]


@pytest.fixture
def store(installation):
    return installation[1]


def low_ground():
    """The elevation of the samples, halved; its one cell without data stays without."""
    z = sample.elevation()
    return np.where(z == -9999, z, z / 2)


def finished(client, answer):
    assert answer.status_code == 201, answer.text
    address = answer.headers["location"]

    def look():
        status = client.get(address).json()
        return status if status["status"] not in {"accepted", "running"} else None

    return sample.wait_for(look, 60)


def parts_of(answer):
    text = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.content
    message = email.message_from_bytes(text)
    assert message.is_multipart()
    return {part["Content-ID"].strip("<>"): part for part in message.get_payload()}


@pytest.mark.requirement(SUITE, "/req/core/process-execute-sync-raw-value-one", "/req/core/process-execute-inputs")
def test_one_named_output_is_the_output_itself(client):
    answer = client.post(ECHO, json={"inputs": {"message": "你好"}, "outputs": {"message": {}}})
    assert (answer.text, answer.headers["content-type"]) == ("你好", "text/plain; charset=utf-8")
    number = client.post(ECHO, json={"inputs": {"message": "x", "numbers": [1]}, "outputs": {"numbers": {}}})
    assert (number.json(), number.headers["content-type"]) == ([1], "application/json")


def test_a_format_that_an_output_has_not_is_refused(client):
    def asked(form):
        return client.post(ECHO, json={"inputs": {"message": "a"}, "outputs": {"message": {"format": form}}})

    assert asked({"mediaType": "Text/Plain; charset=utf-8"}).text == "a"
    assert asked({}).text == "a"
    for wrong in ({"mediaType": "image/png"}, {"mediaType": 5}, "text/plain", ["text/plain"]):
        answer = asked(wrong)
        assert answer.status_code == 400, wrong
        assert answer.json()["allowed"] == ["text/plain"]


@pytest.mark.requirement(
    SUITE,
    "/req/core/process-execute-input-array",
    "/req/core/process-execute-input-inline-bbox",
    "/req/core/process-execute-input-inline-object",
    "/req/core/process-execute-input-mixed-type",
    "/req/core/process-execute-default-outputs",
    "/req/ogc-process-description/input-mixed-type",
    "/req/ogc-process-description/output-mixed-type",
)
def test_echo_gives_back_every_kind_of_input(client):
    area = {"bbox": [51.9, 7, 52, 7.1], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
    inputs = {"message": "a", "numbers": [1, 2], "area": area, "mixed": {"value": {"x": 1}}}
    assert client.post(ECHO, json={"inputs": inputs}).json() == inputs | {"mixed": {"x": 1}}
    assert client.post(ECHO, json={"inputs": {"message": "a", "mixed": "b"}}).json() == {"message": "a", "mixed": "b"}
    described = client.get("/ogc/processes/echo").json()
    assert "oneOf" in described["inputs"]["mixed"]["schema"]
    assert "oneOf" in described["outputs"]["mixed"]["schema"]
    for wrong in ({"numbers": ["x"]}, {"area": {"bbox": [1]}}, {"mixed": 5}, {"pause": 11}):
        assert client.post(ECHO, json={"inputs": {"message": "a"} | wrong}).status_code == 400


@pytest.mark.requirement(SUITE, "/req/core/process-execute-sync-raw-value-multi")
def test_several_raw_outputs_are_parts(client):
    wanted = {"outputs": {"message": {"transmissionMode": "value"}, "numbers": {}}}
    answer = client.post(ECHO, json={"inputs": {"message": "你好", "numbers": [3]}} | wanted)
    assert answer.headers["content-type"].startswith("multipart/related;")
    parts = parts_of(answer)
    assert parts["message"].get_payload(decode=True).decode() == "你好"
    assert parts["message"].get_content_type() == "text/plain"
    assert json.loads(parts["numbers"].get_payload(decode=True)) == [3]


@pytest.mark.requirement(
    SUITE, "/req/core/process-execute-sync-raw-mixed-multi", "/req/core/process-execute-sync-raw-ref"
)
def test_raw_outputs_by_value_and_by_reference(client):
    both = {"class": {"transmissionMode": "value"}, "result": {"transmissionMode": "reference"}}
    answer = client.post(LOWLAND, json={"inputs": {"bbox": BOX}, "outputs": both, "response": "raw"})
    parts = parts_of(answer)
    assert parts["class"].get_content_type() == "image/tiff"
    with rasterio.open(io.BytesIO(parts["class"].get_payload(decode=True))) as dataset:
        assert dataset.shape == (15, 20)
    assert parts["result"].get_payload().strip() == ""
    place = parts["result"]["Content-Location"]
    assert client.get(place).json()["analysis"] == "sample-lowland"
    both["class"]["transmissionMode"] = "reference"
    links = client.post(LOWLAND, json={"inputs": {"bbox": BOX}, "outputs": both})
    assert links.status_code == 204
    assert {'rel="class"', 'rel="result"'} <= {
        part.strip() for part in links.headers["link"].replace(",", ";").split(";")
    }


def results_of(client, path, body):
    """Answer of ``results`` of an asynchronous run."""
    status = finished(client, client.post(path, json=body, headers=ASYNC))
    assert status["status"] == "successful", status
    return client.get(f"/ogc/jobs/{status['jobID']}/results")


@pytest.mark.requirement(
    SUITE,
    "/req/core/job-results-async-raw-value-one",
    "/req/core/job-results-async-raw-value-multi",
    "/req/core/job-results-async-raw-mixed-multi",
    "/req/core/job-results-async-raw-ref",
)
def test_raw_results_of_an_asynchronous_run_are_those_of_a_synchronous_one(client):
    one = {"inputs": {"message": "你好"}, "outputs": {"message": {}}, "response": "raw"}
    answer = results_of(client, ECHO, one)
    assert (answer.status_code, answer.text) == (200, "你好")
    assert answer.headers["content-type"] == client.post(ECHO, json=one).headers["content-type"]
    several = {"inputs": {"message": "a", "numbers": [3]}, "outputs": {"message": {}, "numbers": {}}, "response": "raw"}
    answer = results_of(client, ECHO, several)
    assert answer.headers["content-type"].startswith("multipart/related;")
    assert json.loads(parts_of(answer)["numbers"].get_payload(decode=True)) == [3]
    both = {"class": {"transmissionMode": "value"}, "result": {"transmissionMode": "reference"}}
    mixed = {"inputs": {"bbox": BOX}, "outputs": both, "response": "raw"}
    parts = parts_of(results_of(client, LOWLAND, mixed))
    with rasterio.open(io.BytesIO(parts["class"].get_payload(decode=True))) as dataset:
        assert dataset.shape == (15, 20)
    assert parts["result"].get_payload().strip() == ""
    assert client.get(parts["result"]["Content-Location"]).json()["analysis"] == "sample-lowland"
    both["class"]["transmissionMode"] = "reference"
    links = results_of(client, LOWLAND, mixed)
    assert (links.status_code, links.content) == (204, b"")
    assert 'rel="class"' in links.headers["link"]


@pytest.mark.requirement(SUITE, "/req/json/definition")
@pytest.mark.requirement(SUITE, "/req/core/pl-links")
def test_documents_are_json_unless_html_is_asked_for(client):
    status = finished(client, client.post(ECHO, json={"inputs": {"message": "x"}}, headers=ASYNC))
    for path in ("/ogc/", "/ogc/conformance", "/ogc/processes", "/ogc/processes/echo", f"/ogc/jobs/{status['jobID']}"):
        answer = client.get(path, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), path
        page = client.get(path, headers={"Accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html"), path
    document = client.post(ECHO, json={"inputs": {"message": "x"}, "response": "document"})
    assert document.headers["content-type"] == "application/json"
    for path, other in (("/ogc/processes", "text/html"), ("/ogc/processes?f=html", None)):
        if other is None:
            assert "f=json" in client.get(path).text
            continue
        links = {link["rel"]: link["type"] for link in client.get(path).json()["links"]}
        assert (links["self"], links["alternate"]) == ("application/json", other)


@pytest.mark.requirement(
    SUITE,
    "/req/job-list/datetime-definition",
    "/req/job-list/datetime-response",
    "/req/job-list/duration-definition",
    "/req/job-list/processID-mandatory",
)
def test_jobs_by_time_and_by_duration(client):
    long = finished(client, client.post(ECHO, json={"inputs": {"message": "x", "pause": 2}}, headers=ASYNC))
    short = finished(client, client.post(ECHO, json={"inputs": {"message": "x"}}, headers=ASYNC))

    def found(**query):
        jobs = client.get("/ogc/jobs", params={"limit": "1000", **query}).json()["jobs"]
        assert all(job["processID"] for job in jobs)
        return {job["jobID"] for job in jobs}

    both = {long["jobID"], short["jobID"]}
    assert found(datetime=long["created"]) & both == {long["jobID"]}
    assert found(datetime=f"{short['created']}/..") & both == {short["jobID"]}
    assert found(datetime=f"../{long['created']}") & both == {long["jobID"]}
    assert found(datetime=f"{long['created']}/{short['created']}") & both == both
    assert found(datetime="2000-01-01/2001-01-01") == set()
    assert found(minDuration="2") & both == {long["jobID"]}
    assert found(maxDuration="1") & both == {short["jobID"]}
    assert found(minDuration="0", maxDuration="600") >= both
    assert found(minDuration="86400") == set()
    for wrong in (
        {"datetime": "never"},
        {"minDuration": "-1"},
        {"minDuration": "x"},
        {"minDuration": "9", "maxDuration": "1"},
    ):
        assert client.get("/ogc/jobs", params=wrong).status_code == 400, wrong
    named = client.get("/ogc/openapi").json()["paths"]["/jobs"]["get"]["parameters"]
    parameters = {p["name"]: p for p in named if "name" in p}
    assert parameters["datetime"]["schema"] == {"type": "string"}
    for name in ("minDuration", "maxDuration"):
        schema = parameters[name]["schema"]
        assert (parameters[name]["in"], parameters[name]["required"]) == ("query", False)
        assert (schema["type"], schema["items"]["type"]) == ("array", "integer")


@pytest.mark.requirement(SUITE, "/req/core/process-execute-sync-document", "/req/core/job-results-async-document")
def test_a_document_holds_values_or_addresses(client):
    wanted = {"class": {"transmissionMode": "value"}, "result": {"transmissionMode": "reference"}}
    body = {"inputs": {"bbox": BOX}, "outputs": wanted, "response": "document"}
    document = client.post(LOWLAND, json=body).json()
    assert (document["class"]["encoding"], document["class"]["mediaType"]) == ("base64", GEOTIFF)
    import base64

    with rasterio.open(io.BytesIO(base64.b64decode(document["class"]["value"]))) as dataset:
        assert dataset.shape == (15, 20)
    assert client.get(document["result"]["href"]).json()["analysis"] == "sample-lowland"
    status = finished(client, client.post(LOWLAND, json=body, headers=ASYNC))
    results = client.get(f"/ogc/jobs/{status['jobID']}/results").json()
    assert set(results) == {"class", "result"}
    assert results["class"]["encoding"] == "base64"


@pytest.mark.requirement(
    SUITE,
    "/req/core/process-execute-auto-execution-mode",
    "/req/core/process-execute-default-execution-mode",
    "/req/core/job-results-success-sync",
    "/req/core/process-execute-success-async",
)
def test_preferences_and_the_job_of_a_synchronous_answer(client):
    answer = client.post(ECHO, json={"inputs": {"message": "x"}}, headers={"Prefer": "respond-sync, wait=5"})
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "respond-sync"
    address, relation = answer.headers["link"].split(";")[:2]
    assert relation.strip() == 'rel="monitor"'
    assert client.get(address.strip("<> ")).json()["status"] == "successful"
    assert "preference-applied" not in client.post(ECHO, json={"inputs": {"message": "x"}}).headers
    answer = client.post(ECHO, json={"inputs": {"message": "x"}}, headers={"Prefer": 'wait=1, Respond-Async; a="b"'})
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "respond-async")
    finished(client, answer)


def test_preferences_may_come_in_several_headers(client):
    headers = [("Prefer", "return=minimal"), ("Prefer", "respond-async")]
    answer = client.post(ECHO, json={"inputs": {"message": "x"}}, headers=headers)
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "respond-async")
    finished(client, answer)


def nested(levels):
    return '{"a":' * levels + "1" + "}" * levels


def echoed(value):
    return '{"inputs": {"message": "x", "mixed": {"value": ' + value + "}}}"


@pytest.mark.parametrize(
    ("process", "body", "says"),
    [
        # Members that would be passed over in silence.
        (ECHO, '{"inputs": {"message": {"value": "x", "junk": 1}}}', "junk"),
        (ECHO, '{"inputs": {"message": "x", "mixed": {"value": 1, "x": 2}}}', "value"),
        (ECHO, '{"inputs": {"message": {"value": "eA==", "encoding": "base64"}}}', "encoding"),
        (ECHO, '{"inputs": {"message": "x"}, "outputs": {"message": {"junk": 1}}}', "transmissionMode"),
        (LOWLAND, '{"inputs": {"bbox": {"bbox": [110.1, 31.7, 110.3, 31.85], "junk": 1}}}', "junk"),
        # A bounding box in another CRS, or in none that there is.
        (LOWLAND, '{"inputs": {"bbox": {"bbox": [110.1, 31.7, 110.3, 31.85], "crs": "EPSG:4326"}}}', "CRS84"),
        (LOWLAND, '{"inputs": {"bbox": {"bbox": [110.1, 31.7, 110.3, 31.85], "crs": "notCRS84"}}}', "CRS84"),
        (LOWLAND, '{"inputs": {"bbox": {"bbox": [110.1, 31.7, 110.3, 31.85], "crs": null}}}', "CRS84"),
        # Deeper than anything that can be kept and written again.
        (ECHO, echoed(nested(65)), "64"),
        (ECHO, echoed(nested(900)), "64"),
        (ECHO, '{"inputs": {"message": "x", "numbers": [99999999999999999999999]}}', "numbers"),
    ],
)
def test_what_would_be_misread_is_refused(client, process, body, says):
    answer = client.post(process, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert says in problem["detail_zh"]
    assert says in problem["detail_en"]


@pytest.mark.parametrize("crs", ["CRS84", "[OGC:CRS84]", "urn:ogc:def:crs:OGC:1.3:CRS84"])
def test_a_box_names_its_crs_in_any_usual_spelling(client, crs):
    body = {"inputs": {"bbox": {"bbox": BOX, "crs": crs}}, "outputs": {"class": {}}}
    assert client.post(LOWLAND, json=body).headers["content-type"] == GEOTIFF


def test_a_deep_value_comes_back_whole(client):
    value = json.loads(nested(60))
    answer = client.post(ECHO, json={"inputs": {"message": "x", "mixed": {"value": value}}})
    assert answer.json()["mixed"] == value


@pytest.mark.requirement(
    "ogcapi-processes-3/draft", "/req/collection-input/collection-access", "/req/collection-input/referenced-collection"
)
@pytest.mark.parametrize("form", ["../collections/low-ground", "{base}/ogc/collections/low-ground"])
def test_an_input_may_name_another_collection(client, form):
    address = form.format(base=str(client.base_url).rstrip("/"))
    body = {"inputs": {"bbox": BOX, "threshold_m": 15, "dem": {"collection": address}}, "outputs": {"class": {}}}
    answer = client.post(LOWLAND, json=body)
    assert answer.status_code == 200, answer.text
    with rasterio.open(io.BytesIO(answer.content)) as dataset:
        assert np.array_equal(dataset.read(1), (low_ground()[15:30, 10:30] < 15).astype("uint8"))
    described = client.get("/ogc/processes/sample-lowland?lang=en").json()["inputs"]["dem"]
    assert described["schema"]["required"] == ["collection"]
    assert "elevation" in described["description"]


@pytest.mark.requirement("ogcapi-processes-3/draft", "/req/collection-input/collection-access")
def test_the_published_result_of_one_run_is_the_input_of_the_next(client, store):
    """Values 0 and 1 have no unit, so they cannot stand for metres; as rain, whose unit is mm in metres here, neither."""
    status = finished(client, client.post(LOWLAND, json={"inputs": {"bbox": BOX}}, headers=ASYNC))
    layer = f"sample-lowland-{status['jobID'][:8]}"
    refused = client.post(LOWLAND, json={"inputs": {"dem": {"collection": f"../collections/{layer}"}}})
    assert (refused.status_code, refused.json()["parameter"]) == (400, "dem")
    assert "unit" in refused.json()["detail_en"]
    feet = client.post(LOWLAND, json={"inputs": {"dem": {"collection": "../collections/in-feet"}}}, headers=ASYNC)
    assert feet.status_code == 400
    # Every layer of the samples is in metres; a run on another elevation keeps it in its provenance.
    body = {"inputs": {"bbox": BOX, "dem": {"collection": "../collections/low-ground"}}}
    second = finished(client, client.post(LOWLAND, json=body, headers=ASYNC))
    provenance = client.get(f"/ogc/jobs/{second['jobID']}/results").json()["result"]["provenance"]
    assert ("dem", "low-ground") in [(i["role"], i["layer"]) for i in provenance["inputs"]]


# -- callbacks ---------------------------------------------------------------------------------------------------------


def rows_of(store, job_id):
    from spatial.store.state import Callback

    with store.state.session() as session:
        return {row.event: row for row in session.scalars(select(Callback).where(Callback.job_id == job_id))}


@pytest.mark.requirement(SUITE, "/req/callback/job-callback")
def test_subscribers_are_told_of_success_progress_and_failure(client, store, subscriber):
    Subscriber.received.clear()
    uris = {f"{event}Uri": f"http://{subscriber}/{event}?k=1" for event in ("success", "inProgress", "failed")}
    body = {"inputs": {"message": "x", "pause": 2}, "subscriber": uris}
    job = finished(client, client.post(ECHO, json=body, headers=ASYNC))["jobID"]
    told = sample.wait_for(lambda: [r for r in Subscriber.received if r[0] == "/success?k=1"], 10)[0]
    assert told[2] == {"message": "x"}
    assert told[1]["OneMap-Job"] == job
    progress = [document for path, _, document in Subscriber.received if path == "/inProgress?k=1"]
    assert [(document["jobID"], document["status"]) for document in progress] == [(job, "running")]
    sample.wait_for(lambda: all(row.closed for row in rows_of(store, job).values()), 10)
    assert {event: row.note for event, row in rows_of(store, job).items()} == {
        "success": "delivered",
        "inProgress": "delivered",
        "failed": "no longer needed",
    }
    Subscriber.received.clear()
    failing = client.post("/ogc/processes/sample-failing/execution", json={"subscriber": uris}, headers=ASYNC)
    job = finished(client, failing)["jobID"]
    told = sample.wait_for(lambda: [r for r in Subscriber.received if r[0] == "/failed?k=1"], 10)[0]
    assert (told[2]["status"], told[2]["exception"]["status"]) == ("failed", 500)
    assert told[2]["links"][0]["href"].startswith(str(client.base_url).rstrip("/"))


def test_a_message_survives_a_restart_and_a_refusal_and_redirects_are_not_followed(installation, worker, subscriber):
    client, store, env = installation
    from spatial.store.state import Callback, utc_now

    sample.stop(worker, 9)  # killed: the message stays in the database
    Subscriber.received.clear()
    Subscriber.statuses[:] = [302, 503]
    body = {"inputs": {"message": "y"}, "subscriber": {"successUri": f"http://{subscriber}/late"}}
    answer = client.post(ECHO, json=body, headers=ASYNC)
    job = answer.json()["jobID"]
    fresh = sample.start_worker(env)
    try:
        for count in (1, 2):
            sample.wait_for(lambda count=count: rows_of(store, job)["success"].attempts == count, 30)
            sample.wait_for(lambda: rows_of(store, job)["success"].note, 5)
            with store.state.session() as session:  # the pause is over
                session.get(Callback, (job, "success")).due = utc_now() - timedelta(seconds=1)
        sample.wait_for(lambda: rows_of(store, job)["success"].closed, 30)
    finally:
        sample.stop(fresh)
    assert [path for path, _, _ in Subscriber.received] == ["/late"] * 3
    assert rows_of(store, job)["success"].note == "delivered"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://gis.example.org/done", "gis.example.org"),
        ("http://gis.example.cn:9000/done", "9000"),
        ("ftp://gis.example.cn/done", "http"),
        ("http://user:word@gis.example.cn/done", "http"),
        ("http://gis.example.cn@127.0.0.1/done", "http"),
        ("http://127.0.0.1:1/done", "127.0.0.1"),
        ("http:///done", "http"),
        ("http://[::1/done", "http"),
        ("http://gis.example.cn/a b", "http"),
        (5, "http"),
    ],
)
def test_only_listed_hosts_are_called_back(installation, address, says):
    client = installation[0]
    body = {"inputs": {"message": "x"}, "subscriber": {"successUri": address}}
    answer = client.post(ECHO, json=body, headers=ASYNC)
    assert answer.status_code == 400
    assert says in answer.json()["detail_zh"]
    assert answer.json()["parameter"] == "subscriber.successUri"


def test_a_listed_name_with_a_private_address_is_not_called(monkeypatch):
    """A name of the list that leads into the network (by DNS) is refused unless that network is listed too."""
    import socket

    from spatial.jobs import callbacks

    def found(name, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    with pytest.raises(callbacks.NotDelivered, match=r"10\.1\.2\.3"):
        callbacks.post("http://gis.example.cn/x", {}, ["gis.example.cn"])
    for forbidden in ("127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0", "224.0.0.1"):
        assert not callbacks._may_call(forbidden, ["gis.example.cn"])
    assert callbacks._may_call("10.1.2.3", ["10.1.0.0/16"])


def test_the_class_is_declared_only_where_somebody_may_be_called(installation, tmp_path):
    name = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/callback"
    assert name in installation[0].get("/ogc/conformance").json()["conformsTo"]
    env = sample.environment(tmp_path, callback_hosts="[]")
    with serving(env) as (client, _):
        assert name not in client.get("/ogc/conformance").json()["conformsTo"]
        body = {"inputs": {"message": "x"}, "subscriber": {"successUri": "http://gis.example.cn/"}}
        answer = client.post(ECHO, json=body, headers=ASYNC)
    assert (answer.status_code, answer.json()["parameter"]) == (400, "subscriber")
