"""Edits in the stores: versions stay as they were, generalised tables show them, crashes and races leave old or new."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from spatial.crs import CRS84
from spatial.errors import FeatureNotFound, PreconditionFailed
from spatial.settings import Settings
from spatial.store.datastore import DataStore
from spatial.store.editing import Conditions, Editor, edit_feature, state_of
from spatial.store.vector import ItemQuery, PublishedTable, RowChange

FIELDS = {"name": "string", "size": "integer"}
WHO = Editor("tester", "127.0.0.1")


def _frame(count: int = 60, vertices: int = 4) -> gpd.GeoDataFrame:
    """Discs on a grid of 0.02°, ids 10, 20, 30 …"""
    i = np.arange(count)
    centres = shapely.points(np.round(np.column_stack([113 + (i % 20) / 50, 30 + (i // 20) / 50]), 3))
    discs = shapely.transform(shapely.buffer(centres, 0.008, quad_segs=vertices), lambda xy: np.round(xy, 9))
    return gpd.GeoDataFrame(
        {"name": [f"n{k}" for k in i], "size": i}, geometry=discs, index=(i + 1) * 10, crs=4490
    ).rename_axis("fid")


def _postgresql(dsn: str) -> dict[str, Any]:
    """Layers and state in PostgreSQL, each in a schema of its own."""
    import uuid

    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from pydantic import SecretStr
    from sqlalchemy import URL

    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA state_{name}".encode())
    known = {k: str(v) for k, v in conninfo_to_dict(dsn).items()}
    query = {k: v for k, v in known.items() if k not in {"user", "password", "dbname"}}
    query["options"] = f"-csearch_path=state_{name},public"
    url = URL.create(
        "postgresql+psycopg", known.get("user"), known.get("password"), database=known.get("dbname"), query=query
    )
    return {"postgis_schema": name, "state_url": SecretStr(url.render_as_string(hide_password=False))}


@pytest.fixture
def datastore(store_settings: Settings, make_layer: Any, tmp_path: Any, request: pytest.FixtureRequest) -> Any:
    """A data store with one editable layer ``discs``."""
    import json

    import yaml

    layers = tmp_path / "layers"
    (layers / "rules").mkdir(parents=True)
    (layers / "rules" / "intake.yml").write_text("window: {west: 107, south: 28, east: 117, north: 34}\n", "utf-8")
    (layers / "schema.json").write_text('{"type": "object"}', "utf-8")
    (layers / "themes.yml").write_text("[{id: base, title: {zh: 基础, en: Base}}]\n", "utf-8")
    layer = make_layer("discs", FIELDS, editable=True)
    text = yaml.safe_dump(json.loads(layer.model_dump_json(exclude_none=True)), allow_unicode=True)
    (layers / "discs.yml").write_text(text, "utf-8")
    own = {"layers_dir": layers, "var_dir": tmp_path / "var", "edit": "open"}
    if store_settings.postgis_dsn is not None:
        own |= _postgresql(store_settings.postgis_dsn.get_secret_value())
    settings = store_settings.model_copy(update=own)
    store = DataStore.open(settings)
    store.publish_vector(layer, getattr(request, "param", _frame)())
    yield store
    store.close()


def _table(datastore: DataStore, version: str | None = None) -> PublishedTable:
    return datastore.snapshot().vector("discs", version)


def _names(datastore: DataStore, table: PublishedTable) -> dict[int, str]:
    frame = datastore.vectors.frame(table)
    assert len(frame) == table.count == datastore.vectors.count(table, ItemQuery())
    assert table.extent == pytest.approx(tuple(frame.total_bounds), abs=1e-9)
    return dict(zip(frame.index, frame["name"], strict=True))


def _disc(x: float, y: float, name: str) -> dict[str, Any]:
    shape = shapely.transform(shapely.Point(x, y).buffer(0.008, quad_segs=4), lambda xy: np.round(xy, 9))
    return {"geometry": shapely.geometry.mapping(shape), "properties": {"name": name}}


def _edit(datastore: DataStore, action: Any, fid: int | None, document: dict[str, Any], tag: str | None = None) -> Any:
    conditions = Conditions(None if tag is None else f'"{tag}-x"')
    return edit_feature(datastore, "discs", action, fid, document, CRS84, conditions, WHO)


def test_every_version_stays_as_it_was(datastore: DataStore) -> None:
    """A chain of edits against a dictionary; every version is compared again at the end."""
    expected = {"1": _names(datastore, _table(datastore))}
    now = dict(expected["1"])
    random = np.random.default_rng(7)
    for step in range(10):
        action = ("create", "replace", "update", "delete")[step % 4]
        fid = None if action == "create" else int(random.choice(list(now)))
        x, y = random.uniform(109, 116), random.uniform(29.5, 33)
        document = _disc(x, y, f"e{step}") if action in {"create", "replace"} else {"properties": {"name": f"e{step}"}}
        edited = _edit(datastore, action, fid, document)
        if action == "delete":
            del now[edited.fid]
        else:
            now[edited.fid] = f"e{step}"
        assert _table(datastore).version == edited.table.version
        expected[edited.table.version] = dict(now)
    assert len(expected) == 11
    for version, names in expected.items():
        table = _table(datastore, version)
        assert _names(datastore, table) == names
        page = datastore.vectors.page(table, ItemQuery(limit=1000))
        assert page.fids == sorted(names)
        gone = set().union(*expected.values()) - set(names)
        for fid in list(gone)[:3]:
            with pytest.raises(FeatureNotFound):
                datastore.vectors.item(table, fid, CRS84)
    assert datastore.published_checksums()["discs"][0] == "1"  # a restart does not deliver the file again


def test_a_delivery_after_edits_starts_anew(datastore: DataStore, make_layer: Any) -> None:
    _edit(datastore, "delete", 10, {})
    edited = _table(datastore).version
    layer = make_layer("discs", FIELDS, editable=True)
    source = layer.source.model_copy(update={"version": "2"})
    datastore.publish_vector(layer.model_copy(update={"source": source}), _frame(20))
    assert (_table(datastore).version, _table(datastore).count) == ("2", 20)
    assert _edit(datastore, "create", None, _disc(114, 31, "new")).fid == 201
    assert _table(datastore).version.startswith("2-r")
    assert 10 not in _names(datastore, _table(datastore, edited))


def test_going_back_and_editing_again_keeps_both_branches(datastore: DataStore) -> None:
    first = _edit(datastore, "update", 10, {"properties": {"name": "first"}}).table
    second = _edit(datastore, "update", 10, {"properties": {"name": "second"}}).table
    datastore.state.flip("discs", first.version)
    third = _edit(datastore, "update", 20, {"properties": {"name": "third"}}).table
    names = {table.version: _names(datastore, _table(datastore, table.version)) for table in (first, second, third)}
    assert [(n[10], n[20]) for n in names.values()] == [("first", "n1"), ("second", "n1"), ("first", "third")]
    fourth = _edit(datastore, "update", 30, {"properties": {"name": "fourth"}}).table
    assert _names(datastore, fourth) == names[third.version] | {30: "fourth"}


def test_a_layer_that_becomes_editable_later(datastore: DataStore, make_layer: Any) -> None:
    """Its table was written without room for edits."""
    plain = make_layer("discs", FIELDS)
    source = plain.source.model_copy(update={"version": "2"})
    datastore.publish_vector(plain.model_copy(update={"source": source}), _frame(20))
    assert not _table(datastore).keeps_edits
    for step in range(2):
        _edit(datastore, "update", 10, {"properties": {"name": f"e{step}"}})
    assert _names(datastore, _table(datastore))[10] == "e1"
    assert _names(datastore, _table(datastore, "2"))[10] == "n0"


def _many() -> gpd.GeoDataFrame:
    return _frame(400, vertices=160)


@pytest.mark.parametrize("datastore", [_many], indirect=True)
def test_generalised_tiles_show_edits(datastore: DataStore) -> None:
    from tiles.mvt import read_features

    assert _table(datastore).generalised

    def names(version: str | None = None) -> set[str]:
        tile = datastore.vectors.tile(_table(datastore, version), "WebMercatorQuad", 9, 416, 211)
        return {f.properties["name"] for f in read_features(tile) if "name" in f.properties}

    before = names()
    assert {"n0", "n1"} <= before
    _edit(datastore, "update", 10, {"properties": {"name": "renamed"}})
    _edit(datastore, "delete", 20, {})
    made = _edit(datastore, "create", None, _disc(113.11, 30.03, "made"))
    assert names() == (before - {"n0", "n1"}) | {"renamed", "made"}
    assert names("1") == before
    edited = datastore.vectors.tile(made.table, "CGCS2000Quad", 8, 416, 85)
    assert "made" in {f.properties.get("name") for f in read_features(edited)}


def test_an_edit_whose_process_died_is_no_version(datastore: DataStore) -> None:
    """The store has written, the state has not: readers have the old version, and the next edit clears what is left."""
    table = _table(datastore)
    before = _names(datastore, table)
    row = (10, shapely.to_wkb(shapely.Point(110, 30).buffer(0.01)), "lost", 1)
    for number in (datastore.snapshot().revision + 1, datastore.snapshot().revision + 5):
        datastore.vectors.edit(table, number, [RowChange(10, row), RowChange(20, None)], lambda number: False)
        assert _names(datastore, _table(datastore)) == before
    edited = _edit(datastore, "update", 30, {"properties": {"name": "kept"}})
    assert _names(datastore, _table(datastore)) == before | {30: "kept"}
    assert _names(datastore, _table(datastore, "1")) == before
    assert edited.table.extent == table.extent


EDITOR = """
import sys
from spatial.crs import CRS84
from spatial.errors import PreconditionFailed, StoreUnavailable
from spatial.settings import Settings
from spatial.store.datastore import DataStore
from spatial.store.editing import Conditions, Editor, edit_feature

store = DataStore.open(Settings())
store.snapshot().vector("discs")
print("ready", flush=True)
for line in sys.stdin:
    number, fid, tag = line.split()
    change = {"properties": {"name": f"{sys.argv[1]}-{number}"}}
    who = Editor(sys.argv[1], None)
    answer = None
    while answer is None:
        try:
            edit_feature(store, "discs", "update", int(fid), change, CRS84, Conditions(f'"{tag}-x"'), who)
            answer = "won"
        except PreconditionFailed:
            answer = "lost"
        except StoreUnavailable as error:  # on a machine that is very busy the lock is waited for in vain: try again
            print(error, file=sys.stderr, flush=True)
    print(answer, flush=True)
"""


def _editor(settings: Settings, name: str) -> subprocess.Popen[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("ONEMAP_")}
    for key in ("store", "var_dir", "layers_dir", "postgis_schema", "edit", "postgis_dsn", "state_url"):
        value = getattr(settings, key)
        if value is not None:
            own[f"ONEMAP_{key.upper()}"] = str(getattr(value, "get_secret_value", lambda value=value: value)())
    command = [sys.executable, "-c", EDITOR, name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)


def _ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def test_of_two_processes_one_wins(datastore: DataStore) -> None:
    """Both send the state that they read; every round one change is made and the other one refused."""
    editors = [_editor(datastore.settings, name) for name in ("a", "b")]
    rounds = 3
    try:
        for process in editors:
            _ready(process)
        for number in range(rounds):
            tag = state_of(datastore.vectors.item(_table(datastore), 10, CRS84))
            for process in editors:
                assert process.stdin is not None
                process.stdin.write(f"{number} 10 {tag}\n")
                process.stdin.flush()
            answers = [process.stdout.readline().strip() for process in editors if process.stdout is not None]
            assert sorted(answers) == ["lost", "won"]
            winner = "ab"[answers.index("won")]
            assert _names(datastore, _table(datastore))[10] == f"{winner}-{number}"
        # Different features: nothing is lost, though each makes a version of the whole.
        for number, process in enumerate(editors):
            tag = state_of(datastore.vectors.item(_table(datastore), 20 + 10 * number, CRS84))
            assert process.stdin is not None
            process.stdin.write(f"{rounds} {20 + 10 * number} {tag}\n")
            process.stdin.flush()
        assert [process.stdout.readline().strip() for process in editors if process.stdout is not None] == [
            "won",
            "won",
        ]
        names = _names(datastore, _table(datastore))
        assert (names[20], names[30]) == (f"a-{rounds}", f"b-{rounds}")
    finally:
        for process in editors:
            process.kill()
            process.wait()


def test_a_killed_editor_leaves_old_or_new(datastore: DataStore) -> None:
    """kill -9 in the middle of a stream of edits: what is current is whole, and the next edit works."""
    process = _editor(datastore.settings, "k")
    _ready(process)
    assert process.stdin is not None
    # Of the stream only the first edit fits the state; the others take the lock, read and are refused.
    tag = state_of(datastore.vectors.item(_table(datastore), 10, CRS84))
    process.stdin.write("".join(f"{n} 10 {tag}\n" for n in range(20)))
    process.stdin.flush()
    time.sleep(0.12)
    process.kill()
    process.wait()
    names = _names(datastore, _table(datastore))
    assert len(names) == 60
    assert names[10] in {"n0", "k-0"}
    _edit(datastore, "update", 10, {"properties": {"name": "after"}})
    assert _names(datastore, _table(datastore)) == names | {10: "after"}


def test_a_publication_meanwhile_is_not_undone(
    datastore: DataStore, make_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version that an edit began with is no longer current when it ends: the edit is made anew on the new one."""
    store = datastore.vectors
    edit, done = store.edit, []

    def slow(table: PublishedTable, *rest: Any) -> PublishedTable:
        made = edit(table, *rest)
        if not done:
            done.append(table.version)
            layer = make_layer("discs", FIELDS, editable=True)
            source = layer.source.model_copy(update={"version": "2"})
            datastore.publish_vector(layer.model_copy(update={"source": source}), _frame(20))
        return made

    monkeypatch.setattr(store, "edit", slow)
    tag = state_of(store.item(_table(datastore), 10, CRS84))
    edited = _edit(datastore, "update", 10, {"properties": {"name": "kept"}}, tag)
    assert done == ["1"]
    assert edited.table.version.startswith("2-r")
    assert len(_names(datastore, _table(datastore))) == 20
    assert _names(datastore, _table(datastore))[10] == "kept"
    with pytest.raises(PreconditionFailed):
        _edit(datastore, "update", 10, {"properties": {"name": "late"}}, tag)


def test_an_edit_takes_little_disk_though_no_caller_may_edit_the_layer(tmp_path: Any, make_layer: Any) -> None:
    """The cases of the river chiefs: not ``editable``, yet every step of their workflow is a version of its own."""
    from spatial.store.vector import open_vector_store

    store = open_vector_store(Settings(store="duckdb", var_dir=tmp_path))
    try:
        first = store.publish(make_layer("discs", FIELDS), "1", _frame())
        (known,) = store.folder.glob("*.duckdb")
        edited = store.edit(first, 1, [RowChange(10, None)], lambda number: False)
        (added,) = set(store.folder.glob("*.duckdb")) - {known}
        assert edited.count == first.count - 1 == store.count(edited, ItemQuery())
        assert added.stat().st_size < 300_000 < known.stat().st_size
    finally:
        store.close()


def test_nothing_is_drawn_on_stdout(tmp_path: Any) -> None:
    """DuckDB holds a program without a file (``python -c``, a notebook) for a terminal and draws a bar of progress there."""
    told = (
        "from spatial.settings import Settings; from spatial.store.duckdb_store import DuckDBStore; import sys; "
        "asked = \"SELECT current_setting('enable_progress_bar')\"; "
        "store = DuckDBStore(Settings(store='duckdb', var_dir=sys.argv[1])); "
        "print(store._cursor().execute(asked).fetchone(), store._connect(':memory:', 1).cursor().execute(asked).fetchone())"
    )
    found = subprocess.run([sys.executable, "-c", told, str(tmp_path)], capture_output=True, text=True, check=True)
    assert found.stdout == "(False,) (False,)\n"
