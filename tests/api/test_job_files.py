"""Documents of a job: links in status and results, the files themselves, and what is not there."""

import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from spatial.jobs import queue
from spatial.jobs.execution import execute_job, withdraw_results

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """An application, and a job of an analysis with a report, executed in this process."""
    from spatial.asgi import create_app
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        patch.setattr(sample.Lowland, "report", True, raising=False)
        app = create_app(Settings())
        store = app.state.datastore
        sample.publish_inputs(store, folder)
        done = executed(store, publish=True)
        with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
            yield client, store, done


def executed(store, *, publish):
    """A job at its end; texts of its progress are kept."""
    job = queue.submit(store.state, "sample-lowland", {}, limit=10, publish=publish, answer={})
    held = queue.claim(store.state, "tests")
    assert execute_job(store, held) == "successful"
    return queue.get(store.state, job.id)


def test_status_and_results_link_the_documents(installation):
    client, _, job = installation
    status = client.get(f"/ogc/jobs/{job.id}").json()
    links = {link["href"]: link["type"] for link in status["links"] if link["rel"] == "related"}
    base = f"http://onemap.test/api/v1/jobs/{job.id}/files"
    assert {k.partition("/api/")[2]: v for k, v in links.items()} == {
        f"v1/jobs/{job.id}/files/report.docx": WORD,
        f"v1/jobs/{job.id}/files/report.pdf": "application/pdf",
    }
    documents = client.get(f"/ogc/jobs/{job.id}/results").json()["result"]["documents"]
    assert documents["pdf"]["type"] == "application/pdf"
    assert documents["docx"]["href"].endswith(base.partition("/api/")[2] + "/report.docx")


@pytest.mark.parametrize(
    ("name", "kind", "magic"), [("report.docx", WORD, b"PK"), ("report.pdf", "application/pdf", b"%PDF")]
)
def test_the_files_come_with_type_name_and_etag(installation, name, kind, magic):
    client, _, job = installation
    address = f"/api/v1/jobs/{job.id}/files/{name}"
    found = client.get(address)
    assert found.status_code == 200
    assert found.headers["content-type"] == kind
    assert found.content.startswith(magic)
    assert f"sample-lowland-{job.id[:8]}" in found.headers["content-disposition"]
    again = client.get(address, headers={"If-None-Match": found.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("{job}/files/other.pdf", "NotFound"),
        ("{job}/files/class.tif", "NotFound"),
        ("{job}/files/..%2Freport.pdf", None),
        ("nobody/files/report.pdf", "JobNotFound"),
    ],
)
def test_what_is_not_there_is_a_problem(installation, path, title):
    client, _, job = installation
    found = client.get("/api/v1/jobs/" + path.format(job=job.id))
    assert found.status_code == 404
    assert found.headers["content-type"].startswith("application/problem+json")
    if title is not None:
        assert found.json()["title"] == title
        assert found.json()["detail_zh"]


def test_unknown_parameters_are_refused(installation):
    client, _, job = installation
    assert client.get(f"/api/v1/jobs/{job.id}/files/report.pdf?x=1").status_code == 400


def test_the_command_finds_the_report_by_job_and_by_layer(installation, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from spatial.cli import app, reports
    from spatial.errors import InvalidParameter, LayerNotFound

    class Held:
        def __enter__(self):
            return installation[1]

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(reports, "open_store", Held)
    job = installation[2]
    for source in (job.id, next(iter(job.result["layers"].values()))):
        found = CliRunner().invoke(app, ["report", source, "--out", str(tmp_path), "--json"])
        assert found.exit_code == 0, found.exception
        assert (tmp_path / f"{source}-report.pdf").read_bytes().startswith(b"%PDF")
    assert CliRunner().invoke(app, ["report", job.id, "--out", str(tmp_path / "a.docx")]).exit_code == 0
    assert (tmp_path / "a.docx").is_file()
    assert isinstance(CliRunner().invoke(app, ["report", job.id, "--out", "a.odt"]).exception, InvalidParameter)
    assert isinstance(CliRunner().invoke(app, ["report", "no-such-layer"]).exception, LayerNotFound)


def test_a_job_that_keeps_nothing_has_no_report(installation):
    client, store, _ = installation
    job = executed(store, publish=False)
    assert job.result["documents"] == {}
    gone = client.get(f"/api/v1/jobs/{job.id}/files/report.docx")
    assert gone.status_code == 404
    assert gone.json()["title"] == "NotFound"
    assert not [link for link in client.get(f"/ogc/jobs/{job.id}").json()["links"] if link["rel"] == "related"]


def test_a_dismissed_job_loses_its_report(installation):
    client, store, job = installation
    assert client.get(f"/api/v1/jobs/{job.id}/files/report.pdf").status_code == 200
    withdraw_results(store, job)
    gone = client.get(f"/api/v1/jobs/{job.id}/files/report.pdf")
    assert gone.status_code == 404
    assert gone.json()["title"] == "ResultNotReady"
