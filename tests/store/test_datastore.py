"""Publishing through the data store, on both vector stores: versions, one flip, nothing half-written."""

import copy

import geopandas as gpd
import pytest
import shapely

from spatial.catalog import Layer
from spatial.errors import LayerNotFound, LayerNotPublished, QualityViolation, SpatialError, VersionNotFound
from spatial.settings import Settings
from spatial.store.datastore import DataStore
from spatial.store.vector import ItemQuery

LAYER = {
    "id": "plots",
    "title": {"zh": "地块", "en": "Plots"},
    "description": {"zh": "测试", "en": "test"},
    "theme": ["base"],
    "kind": "vector",
    "source": {
        "uri": "plots.gpkg",
        "version": "1",
        "sha256": "0" * 64,
        "licence": "CC0",
        "attribution": {"zh": "自制", "en": "own"},
        "origin": "test",
    },
    "fields": [{"name": "name", "type": "string", "title": {"zh": "名", "en": "Name"}}],
    "style": {"type": "single", "fill": "#ff0000"},
}


def layer(version, **changes):
    document = copy.deepcopy(LAYER) | changes
    document["source"] = LAYER["source"] | {"version": version}
    return Layer.model_validate(document)


def frame(*names):
    boxes = [shapely.box(114 + i / 10, 30, 114.05 + i / 10, 30.05) for i in range(len(names))]
    return gpd.GeoDataFrame({"name": list(names)}, geometry=boxes, crs=4490, index=range(1, len(names) + 1))


@pytest.fixture
def layers_dir(tmp_path):
    folder = tmp_path / "layers"
    folder.mkdir()
    (folder / "themes.yml").write_text("- {id: base, title: {zh: 基础, en: Base}}\n", "utf-8")
    return folder


@pytest.fixture
def store(store_settings, layers_dir, tmp_path):
    """A data store of its own state, over the session's database."""
    opened = DataStore.open(
        store_settings.model_copy(
            update={
                "layers_dir": layers_dir,
                "var_dir": tmp_path / "var",
                "postgis_schema": f"{store_settings.postgis_schema}_{abs(hash(str(tmp_path))) % 10**6}",
            }
        )
    )
    yield opened
    opened.close()


def names(store, table):
    import json

    return [json.loads(text)["properties"]["name"] for text in store.vectors.page(table, ItemQuery(limit=10)).features]


def test_a_version_is_published_and_read(store):
    store.publish_vector(layer("1"), frame("甲", "乙"))
    snapshot = store.snapshot()
    table = snapshot.vector("plots")
    assert (table.version, table.count, names(store, table)) == ("1", 2, ["甲", "乙"])
    assert [entry.id for entry in snapshot.layers()] == ["plots"]


def test_a_snapshot_keeps_what_it_saw_and_old_versions_stay(store):
    store.publish_vector(layer("1"), frame("old"))
    before = store.snapshot()
    store.publish_vector(layer("2"), frame("new", "newer"))
    after = store.snapshot()
    assert names(store, before.vector("plots")) == ["old"]
    assert names(store, after.vector("plots")) == ["new", "newer"]
    assert names(store, after.vector("plots", "1")) == ["old"]
    with pytest.raises(VersionNotFound, match="2, 1"):
        after.vector("plots", "3")


def test_another_process_sees_the_new_version_at_once(store):
    store.publish_vector(layer("1"), frame("old"))
    other = DataStore.open(store.settings)
    try:
        assert names(other, other.snapshot().vector("plots")) == ["old"]
        store.publish_vector(layer("2"), frame("new"))
        assert names(other, other.snapshot().vector("plots")) == ["new"]
    finally:
        other.close()


def test_versions_are_immutable(store):
    store.publish_vector(layer("1"), frame("first"))
    with pytest.raises(QualityViolation, match=r"source\.version"):
        store.publish_vector(layer("1"), frame("second"))
    assert names(store, store.snapshot().vector("plots")) == ["first"]


def test_a_failed_publication_changes_nothing_and_can_be_repeated(store, monkeypatch):
    store.publish_vector(layer("1"), frame("old"))
    revision = store.snapshot().revision

    def crash(*args, **kwargs):
        raise SpatialError("断电", "power cut")

    with monkeypatch.context() as patch:
        patch.setattr(store.state, "publish", crash)
        with pytest.raises(SpatialError, match="power cut"):
            store.publish_vector(layer("2"), frame("new"))
    assert store.snapshot().revision == revision
    assert names(store, store.snapshot().vector("plots")) == ["old"]
    store.publish_vector(layer("2"), frame("new"))
    assert names(store, store.snapshot().vector("plots")) == ["new"]


def test_defined_but_unpublished_and_unknown_layers(store, layers_dir):
    import json

    import yaml

    from spatial.settings import PROJECT_ROOT

    document = json.loads(layer("1").model_dump_json(exclude_none=True))
    (layers_dir / "plots.yml").write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    (layers_dir / "schema.json").write_text((PROJECT_ROOT / "layers" / "schema.json").read_text("utf-8"), "utf-8")
    with pytest.raises(LayerNotPublished, match="onemap layers publish plots"):
        store.snapshot().vector("plots")
    with pytest.raises(LayerNotFound, match="plots"):
        store.snapshot().vector("plot")
    assert store.snapshot().layers() == []


def test_layers_of_other_grades_are_not_shown(store):
    store.publish_vector(layer("1", grade="敏感"), frame("x"))
    with pytest.raises(LayerNotFound):
        store.snapshot().vector("plots")
    inside = DataStore.open(Settings.model_validate({**store.settings.model_dump(), "grades": ("公开", "敏感")}))
    try:
        assert inside.snapshot().vector("plots").count == 1
    finally:
        inside.close()


def test_a_broken_yaml_harms_its_own_layer_only(store, layers_dir):
    store.publish_vector(layer("1"), frame("甲"))
    (layers_dir / "schema.json").write_text("{}", "utf-8")
    (layers_dir / "plots.yml").write_text("id: [broken", "utf-8")
    store.state.flip("plots", "1")
    with pytest.warns(UserWarning, match=r"plots\.yml"):
        snapshot = store.snapshot()
    assert names(store, snapshot.vector("plots")) == ["甲"]
