"""Short work does not stand behind long work, whatever dies meanwhile; still one row and one result each."""

import contextlib
import os
import signal
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
from served import serving

from spatial.jobs import queue

QUICK = "/ogc/processes/sample-quick/execution"
LOWLAND = "/ogc/processes/sample-lowland/execution"
ECHO = "/ogc/processes/echo/execution"
ASYNC = {"Prefer": "respond-async"}
SMALL = [110.1, 31.8, 110.3, 32.0]  # 400 cells: what «sample-quick» calls short
LIMIT_S = 2


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Served, with a worker program whose one place for all jobs a long one holds."""
    folder = tmp_path_factory.mktemp("lanes")
    env = sample.environment(folder, queue_limit=3, short_limit_s=LIMIT_S, job_lost_after_s=20)
    env["SAMPLE_PAUSES_END"] = str(folder / "go on")
    with serving(env) as (client, store):
        sample.publish_inputs(store, folder, rain=False)
        worker = sample.start_worker(env)
        try:
            held = client.post(LOWLAND, json={"inputs": {"pause_s": 600}}, headers=ASYNC).json()["jobID"]
            sample.wait_for(lambda: queue.get(store.state, held).status == "running")
            waiting = client.post(LOWLAND, json={"inputs": {}}, headers=ASYNC).json()["jobID"]
            client.post(ECHO, json={"inputs": {"message": "the reserve is there"}})
            yield client, store, env, (held, waiting)
        finally:
            sample.stop(worker)


@pytest.fixture
def client(installation):
    return installation[0]


@pytest.fixture
def store(installation):
    return installation[1]


@pytest.fixture(autouse=True)
def long_work_goes_on(installation):
    """Before and after each test but the last a long job runs and another one waits behind it."""
    _, store, env, (held, waiting) = installation
    yield
    if Path(env["SAMPLE_PAUSES_END"]).exists():
        return
    assert queue.get(store.state, held).status == "running"
    assert queue.get(store.state, waiting).status == "accepted"


def computing(store, job_id):
    """The process that computes a job, once its run is in the middle."""

    def look():
        job = queue.get(store.state, job_id)
        return job if job.status == "running" and "pause" in job.message else None

    return int(sample.wait_for(look).worker.rpartition("/")[2].split("-")[-2])


def newest(store, process):
    return queue.list_jobs(store.state, process=(process,), limit=1)[0][0]


@contextlib.contextmanager
def at_the_same_time(function, *arguments, **named):
    """Call a function in a thread; gives a list that holds its answer afterwards."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments, **named)))
    thread.start()
    yield found
    thread.join(60)


def test_a_short_execution_is_answered_while_long_ones_run_and_wait(client, store):
    started = time.monotonic()
    answer = client.post(QUICK, json={"inputs": {"bbox": SMALL}, "outputs": {"class": {}}})
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - started < 30
    job = newest(store, "sample-quick")
    assert (job.lane, job.status, job.attempt) == ("interactive", "successful", 1)
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        z = sample.elevation()[:20, 10:30]
        assert np.array_equal(dataset.read(1), np.where(z == -9999, 255, z < 100).astype("uint8"))
    queued = client.post(QUICK, json={"inputs": {"bbox": SMALL}}, headers=ASYNC)
    done = sample.wait_for(lambda: queue.get(store.state, queued.json()["jobID"]).status == "successful")
    assert done
    assert newest(store, "sample-quick").lane == "short"


def test_what_is_larger_than_short_waits_for_its_turn(client, store):
    queued = client.post(QUICK, json={"inputs": {}}, headers=ASYNC).json()["jobID"]
    client.post(ECHO, json={"inputs": {"message": "came later"}})
    job = queue.get(store.state, queued)
    assert (job.lane, job.status) == ("long", "accepted")
    client.delete(f"/ogc/jobs/{queued}")


def test_a_full_lane_of_long_jobs_shuts_out_no_short_one(client):
    more = [client.post(LOWLAND, json={"inputs": {}}, headers=ASYNC) for _ in range(3)]
    assert [answer.status_code for answer in more] == [201, 201, 429]
    assert more[2].headers["retry-after"]
    assert client.post(ECHO, json={"inputs": {"message": "x"}}).status_code == 200
    for answer in more[:2]:
        client.delete(answer.headers["location"])


def test_a_run_that_is_longer_than_it_said_makes_room_for_a_short_one_and_gives_one_result(client, store):
    slow = client.post(QUICK, json={"inputs": {"bbox": SMALL, "pause_s": 300}}, headers=ASYNC).json()["jobID"]
    computing(store, slow)
    time.sleep(LIMIT_S + 1)
    assert queue.get(store.state, slow).status == "running"  # nobody waits for its place
    assert client.post(ECHO, json={"inputs": {"message": "x"}}).status_code == 200
    moved = queue.get(store.state, slow)
    assert (moved.lane, moved.status, moved.attempt, moved.worker) == ("long", "accepted", 1, None)
    assert f"sample-quick-{slow[:8]}" not in store.snapshot().catalog
    client.delete(f"/ogc/jobs/{slow}")


def test_killing_the_process_of_the_reserve_resumes_its_job(client, store):
    inputs = {"bbox": SMALL, "pause_s": 2}
    with at_the_same_time(client.post, QUICK, json={"inputs": inputs}) as answers:
        sample.wait_for(lambda: newest(store, "sample-quick").status == "running")
        job = newest(store, "sample-quick")
        os.kill(computing(store, job.id), signal.SIGKILL)
    assert answers[0].status_code == 200, answers[0].text
    ended = queue.get(store.state, job.id)
    assert (ended.status, ended.attempt, ended.lane) == ("successful", 2, "interactive")


def test_a_client_that_leaves_takes_its_short_job_with_it(client, store):
    with pytest.raises(httpx2.ReadTimeout):
        client.post(QUICK, json={"inputs": {"bbox": SMALL, "pause_s": 30}}, timeout=1.5)
    job_id = newest(store, "sample-quick").id
    sample.wait_for(lambda: queue.get(store.state, job_id).status == "dismissed")
    assert client.post(ECHO, json={"inputs": {"message": "x"}}).status_code == 200


def test_killing_the_worker_program_ends_its_reserve_and_another_one_resumes_every_job(installation):
    """The last one here: the worker program of this module is gone then."""
    client, store, env, (held, waiting) = installation
    short = client.post(QUICK, json={"inputs": {"bbox": SMALL, "pause_s": 300}}, headers=ASYNC).json()["jobID"]
    pids = [computing(store, job_id) for job_id in (held, short)]
    program = int(queue.get(store.state, held).worker.split("/")[0].split("-")[-2])
    os.kill(program, signal.SIGKILL)
    sample.wait_for(lambda: all(gone(pid) for pid in pids), 60)
    Path(env["SAMPLE_PAUSES_END"]).touch()
    another = sample.start_worker(env)
    try:
        for job_id in (held, waiting, short):
            job = sample.wait_for(lambda i=job_id: (j := queue.get(store.state, i)).status in queue.FINAL and j, 120)
            assert (job.status, job.attempt) == ("successful", 1 if job_id == waiting else 2), job.message
            layer = f"{job.process}-{job_id[:8]}"
            assert len(store.state.versions(layer)) == 1
    finally:
        sample.stop(another)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
