"""The queue: every row moves once, whoever asks, on SQLite and on PostgreSQL."""

import multiprocessing
import sqlite3
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, update

from spatial.errors import JobNotFound, QueueFull
from spatial.jobs import queue
from spatial.store.state import Job, State, utc_now


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request, tmp_path):
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/state.sqlite"
    else:
        import uuid

        import psycopg
        from psycopg import sql
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        dsn = request.getfixturevalue("postgis_dsn")
        name = f"jobs_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        parts = conninfo_to_dict(make_conninfo(dsn, dbname=name))
        query = "&".join(f"{k}={v}" for k, v in parts.items() if k != "dbname")
        address = f"postgresql+psycopg:///{name}?{query}"
    found = State(address)
    yield found
    found.close()
    if request.param == "postgresql":
        drop(dsn, name)


def drop(dsn, name):
    import psycopg
    from psycopg import sql

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def add(state, **more):
    return queue.submit(state, "echo", {"message": "x"}, limit=50, **more)


def silence(state, job_id, seconds):
    with state.session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(updated=utc_now() - timedelta(seconds=seconds)))


def test_a_job_goes_its_way_and_keeps_what_it_got(state):
    job = queue.submit(state, "echo", {"message": "你好"}, limit=5, publish=True, answer={"response": "raw"})
    assert (job.status, job.attempt, job.progress) == ("accepted", 0, 0.0)
    assert job.parameters == {"inputs": {"message": "你好"}, "publish": True, "answer": {"response": "raw"}}
    held = queue.claim(state, "w1")
    assert held == queue.Claim(job.id, "w1", 1)
    assert queue.claim(state, "w2") is None
    mine = queue.take_over(state, held, "w1/process")
    assert queue.beat(state, mine, progress=0.4, message="一半 half")
    row = queue.get(state, job.id)
    assert (row.status, row.progress, row.message) == ("running", 0.4, "一半 half")
    assert queue.finish(state, mine, {"message": "你好"})
    row = queue.get(state, job.id)
    assert (row.status, row.progress, row.result) == ("successful", 1.0, {"message": "你好"})
    assert row.created <= row.started <= row.finished
    assert row.finished.tzinfo is not None


def test_oldest_first(state):
    ids = [add(state).id for _ in range(3)]
    assert [queue.claim(state, "w").job_id for _ in range(3)] == ids
    jobs, matched = queue.list_jobs(state, limit=2)
    assert matched == 3
    assert [job.id for job in jobs] == ids[:0:-1]
    assert queue.list_jobs(state, status=("accepted",)) == ([], 0)
    assert queue.list_jobs(state, process=("other",))[1] == 0


def test_the_queue_is_bounded_and_a_refused_job_leaves_no_row(state):
    for _ in range(3):
        queue.submit(state, "echo", {}, limit=3)
    with pytest.raises(QueueFull, match="3"):
        queue.submit(state, "echo", {}, limit=3)
    assert queue.list_jobs(state)[1] == 3
    queue.claim(state, "w")
    queue.submit(state, "echo", {}, limit=3)  # a running job waits no longer


def test_unknown_job(state):
    with pytest.raises(JobNotFound):
        queue.get(state, "nothing")
    with pytest.raises(JobNotFound):
        queue.dismiss(state, "nothing")


def test_only_the_first_start_of_a_claim_gets_through(state):
    add(state)
    held = queue.claim(state, "w")
    assert queue.take_over(state, held, "first") is not None
    assert queue.take_over(state, held, "second") is None


def test_a_lost_run_is_queued_again_and_the_old_one_can_write_nothing(state):
    job = add(state)
    old = queue.claim(state, "w1")
    silence(state, job.id, 60)
    assert queue.reap(state, lost_after_s=30) == {job.id: "accepted"}
    assert queue.reap(state, lost_after_s=30) == {}
    new = queue.claim(state, "w2")
    assert new.attempt == 2
    assert not queue.is_mine(state, old)
    assert not queue.beat(state, old)
    assert not queue.finish(state, old, {"by": "old"})
    assert not queue.fail(state, old, {"detail": "old"})
    assert queue.give_back(state, job.id, 1, zh="旧", en="old") is None
    assert queue.finish(state, new, {"by": "new"})
    assert queue.get(state, job.id).result == {"by": "new"}


def test_after_three_attempts_the_job_fails_with_a_reason(state):
    job = add(state)
    for attempt in (1, 2, 3):
        assert queue.claim(state, "w").attempt == attempt
        silence(state, job.id, 60)
        queue.reap(state, lost_after_s=30)
    row = queue.get(state, job.id)
    assert row.status == "failed"
    assert row.error["title"] == "WorkerLost"
    assert "3" in row.error["detail_zh"]
    assert queue.claim(state, "w") is None


@pytest.mark.parametrize("when", ["waiting", "running", "done"])
def test_dismissal(state, when):
    job = add(state)
    held = None
    if when != "waiting":
        held = queue.claim(state, "w")
    if when == "done":
        assert queue.finish(state, held, {"message": "x"})
    assert queue.dismiss(state, job.id).status == "dismissed"
    assert queue.dismiss(state, job.id).status == "dismissed"
    assert queue.claim(state, "w") is None
    if held:
        assert not queue.beat(state, held)
        assert not queue.finish(state, held, {})
    row = queue.get(state, job.id)
    assert row.result is None
    assert row.finished is not None


def test_worker_signs_of_life(state):
    assert not queue.worker_alive(state, lost_after_s=10)
    queue.worker_beat(state, "w1")
    queue.worker_beat(state, "w1")
    assert queue.worker_alive(state, lost_after_s=10)
    assert not queue.worker_alive(state, lost_after_s=-1)
    queue.worker_leaves(state, "w1")
    assert not queue.worker_alive(state, lost_after_s=10)


def test_threads_never_claim_the_same_job(state):
    ids = {add(state).id for _ in range(20)}
    got = []

    def take():
        while (held := queue.claim(state, threading.current_thread().name)) is not None:
            got.append(held.job_id)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 20
    assert set(got) == ids


def claim_all(address, answers):
    state = State(address)
    found = []
    while (held := queue.claim(state, "p")) is not None:
        found.append(held.job_id)
    answers.put(found)


def test_processes_never_claim_the_same_job(tmp_path):
    address = f"sqlite:///{tmp_path}/state.sqlite"
    state = State(address)
    ids = sorted(add(state).id for _ in range(30))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=claim_all, args=(address, answers)) for _ in range(3)]
    state.close()
    for process in processes:
        process.start()
    found = [job_id for _ in processes for job_id in answers.get(timeout=20)]
    for process in processes:
        process.join()
    assert sorted(found) == ids


def test_each_lane_is_bounded_for_itself(state):
    for _ in range(2):
        queue.submit(state, "echo", {}, limit=2, lane="long")
    with pytest.raises(QueueFull):
        queue.submit(state, "echo", {}, limit=2, lane="long")
    for lane in queue.SHORT_LANES:
        queue.submit(state, "echo", {}, limit=2, lane=lane)
    assert queue.list_jobs(state, status=("accepted",))[1] == 4


def test_short_places_take_short_jobs_and_those_first_whose_caller_waits(state):
    lanes = ("long", "short", "short", "interactive", "long", "interactive")
    ids = [queue.submit(state, "echo", {}, limit=9, lane=lane).id for lane in lanes]
    short = [queue.claim(state, "w", lanes=queue.SHORT_LANES, oldest=False) for _ in range(3)]
    assert [ids.index(held.job_id) for held in short] == [3, 5, 1]
    # A place for all takes the oldest, so that no lane starves.
    assert [ids.index(queue.claim(state, "w").job_id) for _ in range(3)] == [0, 2, 4]
    assert queue.claim(state, "w") is None
    assert queue.claim(state, "w", lanes=queue.SHORT_LANES, oldest=False) is None


def test_a_run_that_proves_long_begins_again_among_the_long_and_the_first_can_write_nothing(state):
    job_id = add(state, lane="interactive").id
    first = queue.take_over(state, queue.claim(state, "w", lanes=queue.SHORT_LANES), "w/reserve")
    assert queue.move_to_long(state, job_id, 1)
    assert not queue.move_to_long(state, job_id, 1)
    row = queue.get(state, job_id)
    assert (row.status, row.lane, row.worker, row.progress) == ("accepted", "long", None, 0.0)
    assert "长任务" in row.message
    assert queue.claim(state, "w", lanes=queue.SHORT_LANES, oldest=False) is None
    second = queue.claim(state, "w")
    assert second == queue.Claim(job_id, "w", 2)
    assert not queue.beat(state, first)
    assert not queue.finish(state, first, {"message": "first"})
    assert queue.finish(state, second, {"message": "second"})
    assert not queue.move_to_long(state, job_id, 2)
    assert queue.get(state, job_id).result == {"message": "second"}


def test_ids_that_a_database_cannot_hold_are_unknown(state):
    with pytest.raises(JobNotFound):
        queue.get(state, "a\x00b")
    assert queue.list_jobs(state, process=("a\x00b",)) == ([], 0)


def test_jobs_by_duration_however_many_there_are(state):
    if "sqlite" in state.address:
        # More jobs than a database takes names in one statement: usually some ten thousand, here 30.
        state.engine.dispose()
        event.listen(state.engine, "connect", lambda raw, _: raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 30))
    now, count = utc_now(), 400
    seconds = [n % 10 for n in range(count)]
    rows = [
        {
            "id": f"{n:06}", "process": "echo", "status": "successful", "created": now + timedelta(seconds=n),
            "started": now, "finished": now + timedelta(seconds=s), "updated": now, "progress": 1.0, "message": "",
            "parameters": {}, "attempt": 1, "lane": "long",
        }
        for n, s in enumerate(seconds)
    ]  # fmt: skip
    with state.session() as session:
        for row in rows:
            session.execute(insert(Job), row)
    add(state)  # never started: it has no duration
    jobs, matched = queue.list_jobs(state, seconds=(3, 4), limit=3, offset=1)
    assert matched == count // 5
    assert [int(job.id) for job in jobs] == [count - 7, count - 16, count - 17]
    assert queue.list_jobs(state, seconds=(10, None)) == ([], 0)
