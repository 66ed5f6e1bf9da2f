"""Our pygeoapi plugins: the provider through pygeoapi's own functions on both stores, and ``pygeoapi serve`` for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

BASE = "http://www.opengis.net/def/crs"
CRS84 = f"{BASE}/OGC/1.3/CRS84"
ARC_30 = 3320113.398


def epsg(code):
    return f"{BASE}/EPSG/0/{code}"


@pytest.fixture(scope="module", autouse=True)
def _installed_analyses_only():
    """Hide the sample analyses that other test modules put on the path: a user's server does not have them."""
    from spatial.jobs import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [place for place in sys.path if "sample_analyses" not in place])
        registry._entries.cache_clear()
        yield
    registry._entries.cache_clear()


# --- the configuration ------------------------------------------------------------------------------------------------


def test_the_configuration_fits_the_layers(project_root):
    from spatial.ogc.config import CONFIG_FILE, check

    assert project_root / "pygeoapi-config.yml" == CONFIG_FILE
    assert check(project_root / "layers"), "pygeoapi-config.yml 与 layers/ 不一致，请运行 / run: onemap config --write"


def test_the_configuration_is_valid_for_pygeoapi(project_root, monkeypatch):
    from pygeoapi.config import validate_config
    from pygeoapi.util import yaml_load

    monkeypatch.setenv("ONEMAP_PYGEOAPI_PORT", "5123")
    with (project_root / "pygeoapi-config.yml").open(encoding="utf-8") as file:
        config = yaml_load(file)
    assert validate_config(config)
    assert config["server"]["bind"]["port"] == 5123


def test_a_new_layer_is_a_new_resource_and_the_hand_written_part_stays(tmp_path, hand_made):
    from spatial.errors import LayerDefinitionInvalid
    from spatial.ogc import config

    folder = hand_made.write_layers(tmp_path / "layers", {"parcels": hand_made.definitions["parcels"]})
    file = tmp_path / "pygeoapi-config.yml"
    file.write_text(f"server: {{}}  # by hand\n{config.BEGIN}\nold: 1\n{config.END}\n# tail\n", "utf-8")
    assert not config.check(folder, file)
    assert config.write(folder, file)
    assert config.check(folder, file)
    assert not config.write(folder, file)
    text = file.read_text("utf-8")
    assert text.startswith("server: {}  # by hand\n")
    assert text.endswith("# tail\n")
    assert "合成示例" in text
    hand_made.write_layers(folder, {"gauges": hand_made.definitions["gauges"]})
    assert not config.check(folder, file)
    file.write_text("server: {}\n", "utf-8")
    with pytest.raises(LayerDefinitionInvalid, match="marker"):
        config.write(folder, file)


# --- the provider, on both stores --------------------------------------------------------------------------------------


@pytest.fixture
def provider(datastore):
    from spatial.ogc.provider import StoreProvider
    from spatial.ogc.shared import share

    share(datastore)

    def make(layer_id):
        definition = {"name": "x", "type": "feature", "data": layer_id, "id_field": "fid", "storage_crs": epsg(4490)}
        return StoreProvider(definition)

    return make


def spec(target):
    from pygeoapi.crs import create_crs_transform_spec

    return create_crs_transform_spec(
        {"storage_crs": epsg(4490), "crs": [CRS84, *map(epsg, (4490, 4326, 3857, 4547))]}, target
    )


def ids(document):
    return [feature["id"] for feature in document["features"]]


@pytest.mark.parametrize(
    ("crs", "expected"),
    [
        (None, (114, 30)),
        (CRS84, (114, 30)),
        (epsg(4490), (30, 114)),
        (epsg(4326), (30, 114)),
        (epsg(4547), (ARC_30, 500000)),
    ],
)
def test_provider_coordinates(provider, crs, expected):
    found = provider("gauges")
    assert found.get("4", crs_transform_spec=spec(crs))["geometry"]["coordinates"] == pytest.approx(expected, abs=2e-3)
    page = found.query(crs_transform_spec=spec(crs))
    assert page["features"][3]["geometry"]["coordinates"] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("bbox", "crs"),
    [
        ([113.9, 29.9, 114.1, 30.1], CRS84),
        ([29.9, 113.9, 30.1, 114.1], epsg(4490)),
        ([29.9, 113.9, 30.1, 114.1], epsg(4326)),
        ([ARC_30 - 1000, 499000, ARC_30 + 1000, 501000], epsg(4547)),
    ],
)
def test_provider_bbox_as_pygeoapi_hands_it_over(provider, bbox, crs):
    from pygeoapi.crs import transform_bbox

    assert ids(provider("gauges").query(bbox=transform_bbox(bbox, crs, epsg(4490)))) == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level > 3", [4, 5]),
        ("level BETWEEN 2 AND 3", [2, 3]),
        ("level NOT BETWEEN 2 AND 4", [1, 5]),
        ("name LIKE '站%' AND level <> 2", [1, 3, 4, 5]),
        ("name IN ('站1', '站5')", [1, 5]),
        ("NOT (level < 5)", [5]),
        ("time IS NULL", [1]),
        ("CASEI(name) = '站2'", [2]),
        ("level * 2 = 6 OR level - 1 = 0", [1, 3]),
        ("time > DATE('2024-07-01')", [4, 5]),
        ("S_INTERSECTS(geometry, POLYGON((113.9 29.9, 114.1 29.9, 114.1 30.1, 113.9 30.1, 113.9 29.9)))", [4]),
    ],
)
def test_provider_filters_as_pygeoapi_hands_them_over(provider, text, expected):
    from pygeoapi.crs import modify_pygeofilter
    from pygeofilter.parsers.cql2_text import parse

    tree = modify_pygeofilter(parse(text), filter_crs_uri=CRS84, storage_crs_uri=epsg(4490))
    found = provider("gauges")
    assert ids(found.query(filterq=tree)) == expected
    assert found.query(filterq=tree, resulttype="hits")["numberMatched"] == len(expected)


def test_provider_pages_properties_and_fields(provider):
    found = provider("parcels")
    assert ids(found.query(offset=1, limit=2)) == [2, 3]
    assert ids(found.query(properties=[("use", "1")])) == [1, 3]
    page = found.query(select_properties=["name"], skip_geometry=True, limit=1)
    assert page["features"][0]["properties"] == {"name": "武汉一号"}
    assert page["features"][0]["geometry"] is None
    assert found.fields["use"]["enum"] == [1, 2]
    assert ids(provider("gauges").query(datetime_="2024-07-01/2024-07-01")) == [2, 3]


def test_provider_errors_are_those_of_pygeoapi(provider):
    from pygeoapi.provider import base
    from pygeofilter.parsers.cql2_text import parse

    with pytest.raises(base.ProviderItemNotFoundError):
        provider("gauges").get("99")
    with pytest.raises(base.ProviderItemNotFoundError):
        provider("gauges").get("x")
    with pytest.raises(base.ProviderItemNotFoundError):
        provider("nothing")
    with pytest.raises(base.ProviderConnectionError):
        provider("draft")
    for wrong in ({"sortby": [{"property": "nothing", "order": "+"}]}, {"q": ","}, {"properties": [("level", "x")]}):
        with pytest.raises(base.ProviderInvalidQueryError):
            provider("gauges").query(**wrong)
    for text in ("nothing > 1", "S_INTERSECTS(geometry, BBOX(1, 2, 3, 4))"):
        with pytest.raises(base.ProviderInvalidQueryError):
            provider("gauges").query(filterq=parse(text))


# --- the real server --------------------------------------------------------------------------------------------------


def fetch(address):
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def pygeoapi_server(tmp_path_factory, hand_made):
    """``pygeoapi serve`` in a process of its own, over a DuckDB store that another process has published."""
    from postgis_cluster import free_port

    from spatial.ogc import config
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

    folder = tmp_path_factory.mktemp("pygeoapi")
    layers = hand_made.write_layers(folder / "layers", hand_made.definitions)
    store = DataStore.open(Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers))
    try:
        hand_made.publish_all(store, folder)
    finally:
        store.close()
    file = folder / "pygeoapi-config.yml"
    file.write_text(config.CONFIG_FILE.read_text("utf-8"), "utf-8")
    config.write(layers, file)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PYGEOAPI_CONFIG": str(file),
        "PYGEOAPI_OPENAPI": str(folder / "openapi.yml"),
        "ONEMAP_STORE": "duckdb",
        "ONEMAP_VAR_DIR": str(folder / "var"),
        "ONEMAP_LAYERS_DIR": str(layers),
        "ONEMAP_PYGEOAPI_PORT": str(port),
        "ONEMAP_PYGEOAPI_URL": address,
    }
    program = str(Path(sys.executable).parent / "pygeoapi")
    # The layer without data would end the generator; served, it harms only itself.
    generate = [
        program,
        "openapi",
        "generate",
        str(file),
        "--no-fail-on-invalid-collection",
        "-of",
        str(folder / "openapi.yml"),
    ]
    made = subprocess.run(generate, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([program, "serve"], env=environment, stdout=log, stderr=log)
        try:
            for _ in range(200):
                try:
                    fetch(f"{address}/conformance?f=json")
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert server.poll() is None, (folder / "log").read_text()[-2000:]
                    time.sleep(0.2)
            else:
                pytest.fail((folder / "log").read_text()[-2000:])
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def test_pygeoapi_serve_reads_items_with_bbox_and_crs(pygeoapi_server):
    def items(**parameters):
        query = urllib.parse.urlencode({"f": "json"} | {k.replace("_", "-"): v for k, v in parameters.items()})
        return fetch(f"{pygeoapi_server}/collections/gauges/items?{query}")

    everything = items()
    assert everything["numberMatched"] == 5
    assert everything["features"][0]["geometry"]["coordinates"] == [111.0, 30.0]
    assert ids(items(bbox="113.9,29.9,114.1,30.1")) == [4]
    assert ids(items(bbox="29.9,113.9,30.1,114.1", bbox_crs=epsg(4490))) == [4]
    assert items(crs=epsg(4490))["features"][3]["geometry"]["coordinates"] == [30.0, 114.0]
    found = items(crs=epsg(4547), bbox="113.9,29.9,114.1,30.1")["features"][0]["geometry"]["coordinates"]
    assert found == pytest.approx((ARC_30, 500000), abs=2e-3)
    assert ids(items(filter="level > 3 AND name LIKE '站%'")) == [4, 5]
    single = fetch(f"{pygeoapi_server}/collections/gauges/items/2?f=json")
    assert single["properties"]["name"] == "站2"


def test_pygeoapi_serve_shows_collections_processes_and_tiles(pygeoapi_server):
    document = fetch(f"{pygeoapi_server}/collections?f=json")
    by_id = {c["id"]: c for c in document["collections"]}
    assert {"parcels", "gauges", "grid-points"} <= set(by_id)
    assert "合成" in by_id["parcels"]["title"]
    assert by_id["gauges"]["storageCrs"] == epsg(4490)
    english = fetch(f"{pygeoapi_server}/collections/parcels?f=json&lang=en-US")
    assert english["title"] == "Parcels (synthetic sample)"
    processes = {p["id"] for p in fetch(f"{pygeoapi_server}/processes?f=json&limit=100")["processes"]}
    assert "urban-suitability" in processes
    tile = f"{pygeoapi_server}/collections/gauges/tiles/WebMercatorQuad/0/0/0?f=pbf"
    with urllib.request.urlopen(tile, timeout=20) as answer:
        assert b"gauges" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as error:
        fetch(f"{pygeoapi_server}/collections/gauges/items?f=json&filter=nothing%20%3E%201")
    assert error.value.code == 400
    with pytest.raises(urllib.error.HTTPError) as error:
        fetch(f"{pygeoapi_server}/collections/gauges/items/99?f=json")
    assert error.value.code == 404


def test_sorting_and_text_search_reach_the_store(provider):
    found = provider("gauges").query(sortby=[{"property": "level", "order": "-"}], q="站", limit=2)
    assert [feature["id"] for feature in found["features"]] == [5, 4]
    assert provider("gauges").query(q="站3")["numberMatched"] == 1
