"""The state database: immutability, one flip for all readers, migrations."""

import subprocess
import sys
import threading
import time

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


class Counting:
    """A connection that counts what it is asked."""

    def __init__(self, connection):
        self.connection, self.asked = connection, 0

    def execute(self, sql):
        self.asked += 1
        return self.connection.execute(sql)


def test_the_database_is_asked_for_the_revision_only_after_a_publication(address, monkeypatch):
    monkeypatch.setattr(state_module, "_ASK_AGAIN_S", 60.0)
    ours, theirs = State(address), State(address)
    assert theirs.revision() == 0
    theirs._reader = Counting(theirs._reader)
    changes = [
        lambda: publish(ours, "1"),
        lambda: publish(ours, "2"),
        lambda: ours.flip("dem", "1"),
        lambda: publish(ours, "1", layer="other"),
        lambda: ours.withdraw("other"),
    ]
    for number, change in enumerate(changes, 1):
        change()
        assert [theirs.revision() for _ in range(3)] == [number] * 3
        assert theirs._reader.asked == number
    with pytest.raises(QualityViolation):
        publish(ours, "1")
    assert theirs.revision() == 5


def test_a_writer_that_dies_leaves_every_reader_asking(address):
    ours, theirs = State(address), State(address)
    assert theirs.revision() == 0
    assert ours._beacon.mark() is not None
    ours._beacon.begin()
    with ours.session() as session:
        session.execute(state_module.text("UPDATE catalogue_revision SET revision = 7"))
    assert theirs.revision() == 7
    publish(ours, "1")
    assert theirs.revision() == 8
    assert ours._beacon.mark() is not None, "the next publication mends the mark"


def test_a_change_by_another_program_is_seen_soon(address):
    ours = State(address)
    assert ours.revision() == 0
    with state_module.sqlite3.connect(address.removeprefix("sqlite:///")) as other:
        other.execute("UPDATE catalogue_revision SET revision = 5")
    time.sleep(state_module._ASK_AGAIN_S + 0.05)
    assert ours.revision() == 5


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

    from spatial.store import case_store, observation_store

    # Their tables are among those compared.
    assert case_store.Case.metadata is observation_store.Reading.metadata is state_module._Base.metadata
    state = State(address)
    with state.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, state_module._Base.metadata) == []


def test_database_away_is_named(tmp_path):
    with pytest.raises(StoreUnavailable, match="ONEMAP_STATE_URL"):
        State("postgresql+psycopg://nobody@127.0.0.1:1/none")
