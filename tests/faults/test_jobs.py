"""Whatever dies, a job is resumed or fails with a reason: never lost, never two results."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from spatial.jobs import queue
from spatial.settings import Settings
from spatial.store.datastore import DataStore


@pytest.fixture
def installation(tmp_path, monkeypatch):
    env = sample.environment(tmp_path) | {"SAMPLE_PAUSES_END": str(tmp_path / "go on")}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    store = DataStore.open(Settings())
    sample.publish_inputs(store, tmp_path, rain=False)
    yield store, env
    store.close()


def submit(store, process="sample-lowland", **inputs):
    return queue.submit(store.state, process, inputs, limit=10, publish=True).id


def reaches(store, job_id, *statuses, timeout=120):
    def look():
        job = queue.get(store.state, job_id)
        return job if job.status in statuses else None

    return sample.wait_for(look, timeout)


def computing(store, job_id):
    """The job once its run is in the middle, and the process that computes it."""

    def look():
        job = queue.get(store.state, job_id)
        return job if job.status == "running" and "pause" in job.message else None

    job = sample.wait_for(look, 120)
    return job, int(job.worker.rpartition("/")[2].split("-")[-2])


def end_pauses(env):
    """Let every run of `sample-lowland` go on without pauses from now on."""
    Path(env["SAMPLE_PAUSES_END"]).touch()


def only_result(store, job):
    """The result layer of the job, which must be the only one."""
    found = [layer for layer in store.snapshot().catalog.values() if layer.provenance]
    assert [layer.id for layer in found] == [f"sample-lowland-{job.id[:8]}"]
    assert len(store.state.versions(found[0].id)) == 1
    path = store.snapshot().raster(found[0].id).path
    import rasterio

    with rasterio.open(path) as dataset:
        values = dataset.read(1)
    z = sample.elevation()
    assert np.array_equal(values, np.where(z == -9999, 255, z < 100).astype("uint8"))


def test_killing_the_computing_process_resumes_the_job(installation):
    store, env = installation
    worker = sample.start_worker(env)
    try:
        job_id = submit(store, pause_s=300)
        _, pid = computing(store, job_id)
        os.kill(pid, signal.SIGKILL)
        end_pauses(env)
        job = reaches(store, job_id, "successful", "failed")
        assert (job.status, job.attempt) == ("successful", 2), job.message
        only_result(store, job)
        assert not list((store.settings.var_dir / "scratch").iterdir())
    finally:
        sample.stop(worker)


def test_killing_the_worker_program_lets_another_one_resume(installation):
    store, env = installation
    first = sample.start_worker(env)
    job_id = submit(store, pause_s=300)
    _, pid = computing(store, job_id)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    # With its program goes the process that computes; only then may the next attempt run without pauses.
    sample.wait_for(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid))
    end_pauses(env)
    assert queue.get(store.state, job_id).status == "running"  # nobody could say anything
    second = sample.start_worker(env)
    try:
        job = reaches(store, job_id, "successful", "failed")
        assert (job.status, job.attempt) == ("successful", 2), job.message
        only_result(store, job)
    finally:
        sample.stop(second)


def test_a_stopped_worker_gives_its_job_back(installation):
    store, env = installation
    worker = sample.start_worker(env)
    job_id = submit(store, pause_s=300)
    computing(store, job_id)
    sample.stop(worker)
    assert worker.returncode == 0
    job = queue.get(store.state, job_id)
    assert (job.status, job.worker) == ("accepted", None)
    assert not queue.worker_alive(store.state, lost_after_s=60)


def test_a_job_that_kills_its_worker_fails_after_three_attempts_and_others_go_on(installation):
    store, env = installation
    worker = sample.start_worker(env)
    try:
        job = reaches(store, submit(store, "sample-killer"), "failed", timeout=240)
        assert job.attempt == 3
        assert job.error["title"] == "WorkerLost"
        assert "3" in job.error["detail_zh"]
        assert reaches(store, submit(store), "successful", "failed").status == "successful"
    finally:
        sample.stop(worker)


def test_a_run_that_lost_its_claim_publishes_nothing(installation, monkeypatch):
    from spatial.jobs import execution

    store, _ = installation
    job_id = submit(store)
    held = queue.claim(store.state, "zombie")
    run = execution.run_analysis

    def stolen(*arguments, **named):
        # While this run computes, its job is given to somebody else.
        queue.give_back(store.state, job_id, 1, zh="失联", en="lost")
        return run(*arguments, **named)

    monkeypatch.setattr(execution, "run_analysis", stolen)
    assert execution.execute_job(store, held) == "dismissed"
    assert queue.get(store.state, job_id).status == "accepted"
    assert not [layer for layer in store.snapshot().catalog.values() if layer.provenance]
    monkeypatch.setattr(execution, "run_analysis", run)
    assert execution.execute_job(store, queue.claim(store.state, "other")) == "successful"
    only_result(store, queue.get(store.state, job_id))


def test_a_job_killed_between_publication_and_finish_has_one_result(installation, monkeypatch):
    from spatial.jobs import execution

    store, _ = installation
    job_id = submit(store)
    first = queue.claim(store.state, "w1")
    monkeypatch.setattr(execution.queue, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        execution.execute_job(store, first)
    monkeypatch.undo()
    assert f"sample-lowland-{job_id[:8]}" in store.snapshot().catalog
    queue.give_back(store.state, job_id, 1, zh="失联", en="lost")
    assert execution.execute_job(store, queue.claim(store.state, "w2")) == "successful"
    only_result(store, queue.get(store.state, job_id))


def test_the_store_going_away_queues_the_job_again(installation, monkeypatch):
    from spatial.errors import StoreUnavailable
    from spatial.jobs import execution

    store, _ = installation
    job_id = submit(store)

    def away(*_, **__):
        raise StoreUnavailable("数据库断开", "the database is away")

    monkeypatch.setattr(execution, "run_analysis", away)
    assert execution.execute_job(store, queue.claim(store.state, "w")) == "queued again"
    job = queue.get(store.state, job_id)
    assert job.status == "accepted"
    assert "数据库断开" in job.message


def test_a_killed_demo_leaves_no_worker_behind(installation, free_port, tmp_path):
    _, env = installation
    # A folder of scenes that is named is not filled: making the sample scenes would go on for a minute.
    env["ONEMAP_SCENES_PATH"] = str(tmp_path / "scenes")
    process = subprocess.Popen(
        [sys.executable, "-m", "spatial.cli", "demo", "--json"],
        env=os.environ | env | {"ONEMAP_PORT": str(free_port)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert "{" in process.stdout.readline()
        children = sample.wait_for(lambda: workers_below(process.pid))
    finally:
        process.kill()
        process.wait()
    sample.wait_for(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists() and not is_zombie(pid)], 60)


def workers_below(parent):
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "worker" in line]


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_progress_of_a_dismissed_job_stops_the_run_at_once(installation):
    from spatial.jobs import execution

    store, _ = installation
    job_id = submit(store, pause_s=60)
    held = queue.claim(store.state, "w")
    import threading

    threading.Timer(1.0, lambda: queue.dismiss(store.state, job_id)).start()
    started = time.monotonic()
    assert execution.execute_job(store, held) == "dismissed"
    assert time.monotonic() - started < 30
    assert not list((store.settings.var_dir / "scratch").iterdir())


def test_a_job_that_ends_in_the_moment_of_its_dismissal_leaves_nothing(installation, monkeypatch):
    from spatial.jobs import execution

    store, _ = installation
    job_id = submit(store)
    dismiss = queue.dismiss

    def a_moment_too_late(state, name):
        assert execution.execute_job(store, queue.claim(state, "w")) == "successful"
        return dismiss(state, name)

    monkeypatch.setattr(queue, "dismiss", a_moment_too_late)
    assert execution.dismiss_job(store, job_id).status == "dismissed"
    assert f"sample-lowland-{job_id[:8]}" not in store.snapshot().catalog
