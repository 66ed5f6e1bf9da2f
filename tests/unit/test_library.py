"""``import spatial as sp``: light, complete, and it returns ordinary data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

import spatial as sp
from spatial.errors import InvalidParameter, LayerNotFound, UnknownCRS, VersionNotFound


@pytest.fixture(scope="module", autouse=True)
def installation(tmp_path_factory):
    from spatial.library import _store
    from spatial.settings import settings

    folder = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        settings.cache_clear()
        store = _store()
        sample.publish_inputs(store, folder)
        yield
        settings.cache_clear()
    store.close()


def test_every_public_name_exists_and_nothing_else_is_promised():
    assert sp.__all__ == ["catalog", "connect", "open_layer", "open_scenes", "run"]
    for name in sp.__all__:
        assert callable(getattr(sp, name)), name
        assert name in dir(sp)
    with pytest.raises(AttributeError):
        _ = sp.nothing


def test_importing_the_package_loads_nothing():
    code = "import sys; before = set(sys.modules); import spatial; print(sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pydantic" not in found.stdout
    assert "spatial." not in found.stdout


def test_the_verb_and_the_module_share_a_name_in_any_order():
    check = "assert callable(sp.catalog)"
    code = f"import spatial as sp; {check}; import spatial.catalog; {check}; from spatial.catalog import Layer"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_catalog():
    catalog = sp.catalog()
    assert set(catalog) == {"elevation", "rain"}
    assert "elevation" in repr(catalog)
    assert "合成" in repr(catalog)
    assert "<table>" in catalog._repr_html_()
    assert list(catalog.search("rain")) == ["rain"]
    with pytest.raises(LayerNotFound, match="elevation"):
        catalog["elevatio"]


def test_open_raster():
    array = sp.open_layer("elevation", bbox=(110.1, 31.7, 110.3, 31.85))
    z = sample.elevation()
    assert np.array_equal(array.values, z[15:30, 10:30])
    assert array.attrs["units"] == "m"
    assert array.attrs["version"] == "1"
    assert array.odc.crs.to_epsg() == 4490
    assert float(array.longitude[0]) == pytest.approx(110.105)
    assert np.isnan(sp.open_layer("elevation").values[3, 4])
    moved = sp.open_layer("elevation", crs="EPSG:4545", resolution=2000)
    assert moved.odc.geobox.resolution.x == 2000
    assert moved.odc.crs.to_epsg() == 4545


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"crs": "EPSG:9999"}, UnknownCRS),
        ({"bbox": (0, 0, 1, 1)}, InvalidParameter),
        ({"bbox": (1, 2, 3)}, InvalidParameter),
        ({"version": "9"}, VersionNotFound),
    ],
)
def test_bad_arguments(named, error):
    with pytest.raises(error):
        sp.open_layer("elevation", **named)


def test_run_and_publish():
    result = sp.run("sample-lowland", threshold_m=150, publish=True)
    layer = result.layers["class"]
    assert np.array_equal(sp.open_layer(layer).values, result.open("class").values)
    assert layer in sp.catalog()
    with pytest.raises(InvalidParameter, match="class"):
        result.open("nothing")
