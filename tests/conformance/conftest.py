"""Clients of other people against the running service, on both stores.

``ONEMAP_TEST_SERVER=http://host:port`` tests a server that already runs with the sample layers instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

GIVEN = os.environ.get("ONEMAP_TEST_SERVER", "").rstrip("/")


class Answer(NamedTuple):
    """What a GDAL program printed, and the addresses that it asked."""

    text: str
    requests: list[str]


class Samples:
    """The sample layers as their files hold them, read without the service's own code."""

    def __init__(self, root: Path) -> None:
        import yaml

        self.root = root
        files = sorted(p for p in (root / "layers").glob("*.yml") if p.name != "themes.yml")
        self.layers: dict[str, dict[str, Any]] = {p.stem: yaml.safe_load(p.read_text("utf-8")) for p in files}
        self.vectors = [name for name, layer in self.layers.items() if layer["kind"] in ("vector", "stations")]
        self.rasters = [name for name, layer in self.layers.items() if layer["kind"] == "raster"]
        self._frames: dict[str, Any] = {}

    def fields(self, layer_id: str) -> list[dict[str, Any]]:
        """Fields whose values are those of the file; stations with readings show the newest ones in the others."""
        layer = self.layers[layer_id]
        return [f for f in layer["fields"] if "series" not in layer or f["type"] == "string"]

    def frame(self, layer_id: str) -> Any:
        """GeoDataFrame with the declared fields; index = feature id."""
        import pyogrio

        if layer_id not in self._frames:
            layer = self.layers[layer_id]
            path, _, inner = layer["source"]["uri"].partition("#")
            frame = pyogrio.read_dataframe(self.root / path, layer=inner or None)
            names = [field["name"] for field in layer["fields"]]
            frame = frame[[*names, "geometry"]]
            frame.index = (
                frame[layer["id_field"]].astype("int64") if layer.get("id_field") else range(1, len(frame) + 1)
            )
            self._frames[layer_id] = frame.sort_index()
        return self._frames[layer_id]


@pytest.fixture(scope="session")
def samples(project_root: Path) -> Samples:
    """The sample layers."""
    return Samples(project_root)


@pytest.fixture(scope="session")
def postgis_demo_server(start_demo: Callable[..., str], postgis_dsn: str) -> str:
    """The demo on PostGIS. A fixture without parameters: one that has them is made anew for every file."""
    return start_demo(store="postgis", postgis_dsn=postgis_dsn, postgis_schema=f"t_{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session", params=["given"] if GIVEN else ["duckdb", "postgis"])
def published_server(request: pytest.FixtureRequest) -> str:
    """Address of a running server with all sample layers, on each store in turn."""
    if request.param == "given":
        return GIVEN
    if request.param == "duckdb":
        return str(request.getfixturevalue("demo_server"))
    return str(request.getfixturevalue("postgis_demo_server"))


@pytest.fixture(scope="session")
def ogc(published_server: str) -> str:
    """Address of the OGC landing page."""
    return f"{published_server}/ogc"


@pytest.fixture(scope="session")
def run_gdal(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Answer]:
    """Run a program of the distribution's GDAL in a scratch folder (it leaves a cache behind); any complaint fails."""
    from system_packages import install_line

    folder = tmp_path_factory.mktemp("gdal")

    def run(program: str, *arguments: str) -> Answer:
        found = shutil.which(program)
        if found is None:
            line = install_line(["gdal-bin"])
            pytest.fail(f"没有 {program}，请运行 / {program} is missing, run:\n    {line}", pytrace=False)
        environment = {
            k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "https_proxy", "all_proxy")
        }
        environment |= {"CPL_DEBUG": "HTTP", "GDAL_HTTP_TIMEOUT": "60", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [found, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        complaints = [line for line in done.stderr.splitlines() if re.match(r"(ERROR|Warning)\b", line)]
        assert done.returncode == 0, done.stderr[-3000:]
        assert not complaints, complaints
        return Answer(done.stdout, re.findall(r"Fetch\((.*)\)$", done.stderr, re.MULTILINE))

    return run


@pytest.fixture(scope="session")
def same_features() -> Callable[..., None]:
    """Compare features as a client read them with the source: ids, attributes, geometry within `tolerance`."""

    def compare(got: Any, expected: Any, fields: list[dict[str, Any]], *, tolerance: float = 1e-6) -> None:
        import numpy as np
        import pandas as pd
        import shapely

        assert list(got.index) == list(expected.index)
        for field in fields:
            name = field["name"]
            ours, theirs = got[name], expected[name]
            gaps = theirs.isna().to_numpy()
            assert (ours.isna().to_numpy() == gaps).all(), name
            ours, theirs = ours[~gaps], theirs[~gaps]
            if field["type"] in ("integer", "number", "boolean"):
                np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-12, err_msg=name)
            elif field["type"] in ("date", "datetime"):
                assert (pd.to_datetime(ours).to_numpy() == pd.to_datetime(theirs).to_numpy()).all(), name
            else:
                assert list(ours.astype(str)) == list(theirs.astype(str)), name
        a, b = (shapely.normalize(np.asarray(shapely.force_2d(f.geometry.array))) for f in (got, expected))
        parts = [shapely.get_num_geometries(g) for g in (a, b)]
        assert (parts[0] == parts[1]).all()
        # A single geometry and a collection of one are the same feature: layers have one geometry type.
        coordinates = [shapely.get_coordinates(g) for g in (a, b)]
        assert coordinates[0].shape == coordinates[1].shape
        assert np.abs(coordinates[0] - coordinates[1]).max() < tolerance

    return compare
