"""The state database: immutability, one flip for all readers, migrations."""

import subprocess
import sys
import threading

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from spatial.errors import QualityViolation, StoreUnavailable
from spatial.store import state as state_module
from spatial.store.state import State


@pytest.fixture
def address(tmp_path):
    return f"sqlite:///{tmp_path}/state.sqlite"


def publish(state, version, layer="dem"):
    state.publish(layer, version, definition={"id": layer}, location={"v": version}, sha256=None)


def test_publishing_flips_one_row_and_raises_the_revision(address):
    state = State(address)
    assert state.revision() == 0
    publish(state, "1")
    publish(state, "2")
    revision, rows = state.current()
    assert (revision, [r.version for r in rows]) == (2, ["2"])
    assert [r.version for r in state.versions("dem")] == ["2", "1"]
    state.flip("dem", "1")
    assert state.current()[1][0].version == "1"
    assert state.current()[1][0].published.tzinfo is not None


def test_a_version_is_never_overwritten(address):
    state = State(address)
    publish(state, "1")
    with pytest.raises(QualityViolation, match="不可改"):
        publish(state, "1")
    assert state.revision() == 1


def test_other_processes_see_a_publication_at_once(address):
    ours, theirs = State(address), State(address)
    assert theirs.revision() == 0
    publish(ours, "1")
    assert theirs.revision() == 1


def test_readers_never_see_revision_and_rows_of_different_times(address):
    state = State(address)
    stop = threading.Event()
    wrong = []

    def read():
        reader = State(address)
        while not stop.is_set():
            revision, rows = reader.current()
            if rows and int(rows[0].version) != revision:
                wrong.append((revision, rows[0].version))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for number in range(1, 40):
        publish(state, str(number))
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []


def test_many_processes_may_open_an_empty_state_together(address):
    code = "import sys; from spatial.store.state import State; print(State(sys.argv[1]).revision())"
    running = [
        subprocess.Popen([sys.executable, "-c", code, address], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [p.communicate(timeout=60)[0].strip() for p in running] == ["0", "0", "0"]


def test_head_is_the_newest_migration():
    config = Config()
    folder = state_module.__file__.replace("state.py", "migrations")
    config.set_main_option("script_location", folder)
    assert ScriptDirectory.from_config(config).get_current_head() == state_module.HEAD


def test_models_and_migrations_agree(address):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    state = State(address)
    with state.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, state_module._Base.metadata) == []


def test_database_away_is_named(tmp_path):
    with pytest.raises(StoreUnavailable, match="ONEMAP_STATE_URL"):
        State("postgresql+psycopg://nobody@127.0.0.1:1/none")
