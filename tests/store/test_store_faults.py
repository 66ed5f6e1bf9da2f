"""What happens when the database, the disk or the writer fails, or the caller goes away."""

import asyncio
import contextlib
import pickle
import signal
import subprocess
import sys
import time

import psycopg
import pytest

from spatial.errors import StoreUnavailable
from spatial.settings import Settings
from spatial.store.statements import Statement
from spatial.store.vector import ItemQuery, open_vector_store


@pytest.fixture
def cluster():
    from postgis_cluster import PrivateCluster

    with PrivateCluster() as own:
        with psycopg.connect(own.dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION postgis")
        yield own


def test_a_database_that_goes_down_and_comes_back(cluster, make_layer, make_frame):
    from postgis_cluster import find_postgis, stop_server

    store = open_vector_store(Settings(store="postgis", postgis_dsn=cluster.dsn))
    table = store.publish(make_layer(), "1", make_frame(20))

    async def run():
        try:
            assert len((await store.apage(table, ItemQuery())).fids) == 10
            assert store.count(table, ItemQuery()) == 20
            with psycopg.connect(cluster.dsn, autocommit=True) as administrator:
                administrator.execute("CHECKPOINT")  # the test cluster runs without fsync
            stop_server(cluster.data)
            for ask in (lambda: store.apage(table, ItemQuery()), lambda: asyncio.to_thread(store.ping)):
                begin = time.monotonic()
                with pytest.raises(StoreUnavailable, match="ONEMAP_POSTGIS_DSN"):
                    await ask()
                assert time.monotonic() - begin < 15
            with pytest.raises(StoreUnavailable):
                store.publish(make_layer(), "2", make_frame(5))
            cluster._launch(find_postgis())
            for ask in (
                lambda: store.acount(table, ItemQuery()),
                lambda: asyncio.to_thread(store.count, table, ItemQuery()),
            ):
                assert await eventually(ask) == 20
        finally:
            await store.aclose()

    async def eventually(ask):
        for _ in range(20):
            with contextlib.suppress(StoreUnavailable):
                return await ask()
        return None

    asyncio.run(run())


def test_sessions_ended_by_the_administrator_are_replaced(postgis_dsn, make_layer, make_frame):
    store = open_vector_store(Settings(store="postgis", postgis_dsn=postgis_dsn, postgis_schema="t_ended"))
    table = store.publish(make_layer(), "1", make_frame(20))
    ours = "application_name = 'onemap' AND datname = current_database()"
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"

    async def run():
        try:
            await asyncio.gather(*(store.apage(table, ItemQuery()) for _ in range(20)))
            with psycopg.connect(postgis_dsn, autocommit=True) as administrator:
                administrator.execute(end)
            assert len((await store.apage(table, ItemQuery())).fids) == 10
        finally:
            await store.aclose()

    asyncio.run(run())
    store.drop(table)


def test_no_database_at_start(free_port, make_layer, make_frame):
    store = open_vector_store(Settings(store="postgis", postgis_dsn=f"host=127.0.0.1 port={free_port} user=x"))
    with pytest.raises(StoreUnavailable, match="PostGIS"):
        store.ping()
    with pytest.raises(StoreUnavailable, match="test-plots"):
        store.publish(make_layer(), "1", make_frame(5))
    store.close()


def test_readers_cannot_write_and_are_timed(postgis_dsn):
    store = open_vector_store(Settings(store="postgis", postgis_dsn=postgis_dsn, statement_timeout_s=0.2))
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        store._rows(Statement("CREATE TABLE public.intruder (a int)", []), None)
    with pytest.raises(StoreUnavailable, match=r"0\.2"):
        store._rows(Statement("SELECT pg_sleep(5)", []), None)
    store.close()


def test_a_cancelled_request_cancels_its_statement(postgis_dsn, make_layer, make_frame):
    store = open_vector_store(Settings(store="postgis", postgis_dsn=postgis_dsn, postgis_schema="t_cancel"))
    table = store.publish(make_layer(), "1", make_frame(5))
    mark = "SELECT pg_sleep(60) /* cancelled-request */"
    ours = "query LIKE '%cancelled-request%' AND state = 'active' AND pid <> pg_backend_pid()"
    running = f"SELECT count(*) FROM pg_stat_activity WHERE {ours}"

    async def run():
        task = asyncio.create_task(store._arows(Statement(mark, []), table))
        with psycopg.connect(postgis_dsn, autocommit=True) as watcher:
            while watcher.execute(running).fetchone()[0] == 0:
                await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(100):
                if watcher.execute(running).fetchone()[0] == 0:
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail("the statement goes on after the caller has gone")
        assert await store.acount(table, ItemQuery()) == 5
        await store.aclose()

    asyncio.run(run())
    store.drop(table)


@pytest.mark.parametrize("wait", [0, 0.05, 1], ids=["before it begins", "while it begins", "while it runs"])
def test_duckdb_is_interrupted_when_the_caller_goes(tmp_path, wait):
    store = open_vector_store(Settings(var_dir=tmp_path, duckdb_threads=1))

    async def run():
        task = asyncio.create_task(
            store._async(
                lambda cursor: cursor.execute(
                    "SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)"
                ).fetchall()
            )
        )
        await asyncio.sleep(wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        begin = time.monotonic()
        await store._async(lambda cursor: cursor.execute("SELECT 1").fetchall())
        return time.monotonic() - begin

    assert asyncio.run(run()) < 10
    store.close()


def test_a_duckdb_query_over_its_time_is_stopped(tmp_path, make_layer, make_frame):
    store = open_vector_store(Settings(var_dir=tmp_path, statement_timeout_s=1.5, duckdb_threads=1))
    table = store.publish(make_layer(), "1", make_frame(5))
    slow = Statement("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)", [])

    store.count(table, ItemQuery())  # opens the instance, which takes a second or two

    async def run():
        with pytest.raises(StoreUnavailable, match=r"1\.5"):
            await store._async(lambda cursor: store._rows(cursor, slow, table))
        assert await store.acount(table, ItemQuery()) == 5

    asyncio.run(run())
    store.close()


def test_a_missing_or_damaged_file_is_named(tmp_path, make_layer, make_frame):
    writer = open_vector_store(Settings(var_dir=tmp_path))
    table = writer.publish(make_layer(), "1", make_frame(5))
    writer.close()
    path = next((tmp_path / "vector").glob("*.duckdb"))
    path.write_bytes(b"not a database" * 1000)
    reader = open_vector_store(Settings(var_dir=tmp_path))
    with pytest.raises(StoreUnavailable, match=path.name):
        reader.page(table, ItemQuery())
    path.unlink()
    with pytest.raises(StoreUnavailable, match="ONEMAP_VAR_DIR"):
        reader.page(table, ItemQuery())
    reader.close()


def test_duckdb_reads_no_other_file(tmp_path):
    import duckdb

    store = open_vector_store(Settings(var_dir=tmp_path))
    with pytest.raises(duckdb.PermissionException):
        store._cursor().execute("SELECT * FROM read_text('/etc/hostname')").fetchall()
    with pytest.raises(duckdb.Error):
        store._cursor().execute("SET GLOBAL enable_external_access = true")
    store.close()


PUBLISH_AND_DIE = """
import os, pickle, signal, sys
import spatial.store.duckdb_store as on_duckdb
import spatial.store.postgis_store as on_postgis
from spatial.store.vector import open_vector_store

with open(sys.argv[1], "rb") as file:
    settings, layer, frame = pickle.load(file)
module, name = (on_duckdb, "_write") if settings.store == "duckdb" else (on_postgis, "write_table")

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "before the end" and settings.store == "duckdb":
    on_duckdb.os.fsync = die
else:
    write = getattr(module, name)
    setattr(module, name, lambda *args, **kwargs: (write(*args, **kwargs), die()))
open_vector_store(settings).publish(layer, "killed", frame)
"""


@pytest.mark.parametrize("stage", ["after the features", "before the end"])
def test_a_writer_that_is_killed_leaves_nothing(store_settings, make_layer, make_frame, tmp_path, stage):
    layer = make_layer("test-killed")
    work = tmp_path / "work.pickle"
    work.write_bytes(pickle.dumps((store_settings, layer, make_frame(50))))
    child = subprocess.run([sys.executable, "-c", PUBLISH_AND_DIE, str(work), stage], timeout=120)
    assert child.returncode == -signal.SIGKILL
    store = open_vector_store(store_settings)
    if store_settings.store == "duckdb":
        assert not list((store_settings.var_dir / "vector").glob("test_killed*"))
    else:
        with psycopg.connect(store_settings.postgis_dsn.get_secret_value()) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'test_killed%'").fetchone()
        assert found == (0,)
    table = store.publish(layer, "killed", make_frame(50))
    assert store.count(table, ItemQuery()) == 50
    store.drop(table)
    store.close()
