"""Old unpublished results go; what is young, running or not ours stays."""

import os
import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from spatial.jobs import queue
from spatial.jobs.retention import prune_results
from spatial.store.state import Job, State, utc_now

HOUR = 3600.0


@pytest.fixture
def state(tmp_path):
    found = State(f"sqlite:///{tmp_path}/state.sqlite")
    yield found
    found.close()


def folder(results, name, *, hours):
    """A result folder whose last file was written so long ago."""
    place = results / name
    place.mkdir(parents=True)
    (place / "class.tif").write_bytes(b"x")
    then = time.time() - hours * HOUR
    for path in (place / "class.tif", place):
        os.utime(path, (then, then))
    return place


def job(state, *, status, ended_hours_ago=100.0):
    job_id = queue.submit(state, "echo", {}, limit=50).id
    then = utc_now() - timedelta(hours=ended_hours_ago)
    finished = then if status in queue.FINAL else None
    with state.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(status=status, finished=finished, updated=then))
    return job_id


def test_only_old_folders_of_finished_runs_go(state, tmp_path):
    results = tmp_path / "results"
    old = [job(state, status=status) for status in ("successful", "failed", "dismissed")]
    for job_id in old:
        folder(results, job_id, hours=25)
    library = folder(results, "3d0c0d5e-library-run", hours=25)
    kept = [
        folder(results, job(state, status="running"), hours=500),
        folder(results, job(state, status="accepted"), hours=500),
        folder(results, job(state, status="successful"), hours=23),
        folder(results, job(state, status="successful", ended_hours_ago=1), hours=25),
        folder(results, "young-library-run", hours=1),
    ]
    (results / "note.txt").write_text("a file is no result")
    assert sorted(prune_results(state, results, keep_hours=24)) == sorted([*old, library.name])
    assert sorted(path.name for path in results.iterdir()) == sorted([*(k.name for k in kept), "note.txt"])
    assert all((k / "class.tif").is_file() for k in kept)
    assert prune_results(state, results, keep_hours=24) == []


def test_a_file_written_later_makes_a_folder_young(state, tmp_path):
    place = folder(tmp_path / "results", "x", hours=25)
    (place / "class.tif").write_bytes(b"new")
    os.utime(place, (0, 0))
    assert prune_results(state, tmp_path / "results", keep_hours=24) == []


def test_links_are_not_followed_and_a_half_removed_folder_is_finished(state, tmp_path):
    elsewhere = folder(tmp_path / "elsewhere", "data", hours=99)
    results = tmp_path / "results"
    folder(results, ".half-removed", hours=99)
    (results / "link").symlink_to(elsewhere, target_is_directory=True)
    assert prune_results(state, results, keep_hours=24) == ["half-removed"]
    assert (elsewhere / "class.tif").is_file()
    assert prune_results(state, tmp_path / "nothing", keep_hours=24) == []


def test_the_worker_prunes_by_its_setting(state, tmp_path):
    from spatial.jobs.worker import WorkerProgram
    from spatial.settings import Settings

    settings = Settings(var_dir=tmp_path, results_keep_hours=2)
    assert Settings().results_keep_hours == 24
    old, young = folder(tmp_path / "results", "a", hours=3), folder(tmp_path / "results", "b", hours=1)
    program = WorkerProgram(settings)
    program._prune()
    program._state.close()
    assert (old.exists(), young.exists()) == (False, True)
