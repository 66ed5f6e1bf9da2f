"""The command: quick help, results on stdout, one paragraph for an error, exit codes; and the same raster as the library."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

    folder = tmp_path_factory.mktemp("cli")
    found = sample.environment(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            patch.setenv(name, value)
        store = DataStore.open(Settings())
        sample.publish_inputs(store, folder)
        store.close()
    return found


def onemap(env, *arguments, **more):
    """The program in a process of its own; for what can only be seen there."""
    command = [sys.executable, "-m", "spatial.cli", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | env | more, capture_output=True, text=True, timeout=120)


def called(env, *arguments, **more):
    """The program in this process, which spares two seconds of imports a call: its exit code, stdout and stderr."""
    from spatial.cli import main
    from spatial.settings import settings

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in (env | more).items():
            patch.setenv(name, value)
        settings.cache_clear()
        try:
            with pytest.raises(SystemExit) as ended:
                main([*map(str, arguments)])
        finally:
            settings.cache_clear()
    return SimpleNamespace(returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue())


def test_help_loads_nothing_heavy(env):
    code = (
        "import sys\nfrom spatial.cli import app\n"
        "heavy = {'numpy', 'rasterio', 'geopandas', 'xarray', 'odc', 'duckdb', 'sqlalchemy', 'pygeoapi', 'distributed',"
        " 'uvicorn', 'starlette', 'shapely', 'pyproj'}\nprint(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stdout + found.stderr
    help_text = onemap(env, "--help")
    assert help_text.returncode == 0
    for command in ("demo", "serve", "worker", "layers", "ingest", "run", "jobs", "doctor", "config", "openapi"):
        assert command in help_text.stdout


def test_run_gives_the_raster_of_the_library(env, tmp_path, monkeypatch):
    out = tmp_path / "a.tif"
    box = "110.1,31.7,110.3,31.85"
    found = onemap(env, "run", "sample-lowland", "--bbox", box, "--threshold-m", "150", "--out", out, "--json")
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    assert document["rasters"] == {"class": str(out)}
    assert document["provenance"]["parameters"]["threshold_m"] == 150.0
    assert found.stderr == ""  # no bar where there is no terminal

    import spatial as sp
    from spatial.settings import settings

    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    try:
        result = sp.run("sample-lowland", bbox=(110.1, 31.7, 110.3, 31.85), threshold_m=150)
    finally:
        settings.cache_clear()
    with rasterio.open(out) as dataset:
        assert np.array_equal(dataset.read(1), result.open().values)
    assert result.tables == document["tables"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "sample-lowland", "--treshold-m", "1"], 2, "threshold"),
        (["run", "sample-lowland", "--threshold-m"], 2, "缺少值"),
        (["run", "sample-lowland", "--threshold-m", "-1"], 2, "[0, 9000]"),
        (["run", "sample-lowland", "--param", "threshold_m"], 2, "名=值"),
        (["run", "sample-lowland", "--bbox", "1,2"], 2, "--bbox"),
        (["run", "sample-lowland", "--bbox", "0,0,1,1"], 2, "不相交"),
        (["run", "sample-lowland", "--out", "/nonexistent/x.tif"], 2, "不存在"),
        (["run", "nothing"], 2, "nothing"),
        (["run", "sample-failing"], 1, "RuntimeError"),
        (["layers", "show", "elevatio"], 2, "elevation"),
        (["layers", "publish"], 2, "--all"),
        (["ingest", "/nonexistent.gpkg", "--layer", "elevation", "--version", "2"], 3, "nonexistent.gpkg"),
        (["jobs", "show", "nothing"], 2, "nothing"),
        (["jobs", "list", "--status", "lost"], 2, "lost"),
        (["config"], 2, "--check"),
    ],
)
def test_errors_are_one_paragraph_with_an_exit_code(env, arguments, code, says):
    found = called(env, *arguments)
    assert found.returncode == code, found.stderr
    assert says in found.stderr
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "sample-failing"], 1, "RuntimeError"),
        (["run", "sample-lowland", "--bbox", "0,0,1,1"], 2, "不相交"),
        (["ingest", "/nonexistent.gpkg", "--layer", "elevation", "--version", "2"], 3, "nonexistent.gpkg"),
    ],
)
def test_the_process_ends_with_that_code_and_says_no_more(env, arguments, code, says):
    found = onemap(env, *arguments)
    assert (found.returncode, found.stdout) == (code, "")
    assert says in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_json_errors_language_and_debug(env):
    found = called(env, "run", "nothing", "--json")
    assert json.loads(found.stderr)["title"] == "ProcessNotFound"
    assert "没有分析" in called(env, "run", "nothing").stderr
    english = onemap(env, "run", "nothing", LANG="en_US.UTF-8", LC_ALL="en_US.UTF-8")
    assert english.stderr.startswith("error: no analysis")
    assert "Traceback" in onemap(env, "run", "nothing", "--debug").stderr
    bad = called(env, "layers", "list", ONEMAP_PORT="x")
    assert bad.returncode == 2
    assert "ONEMAP_PORT" in bad.stderr


def test_lists(env):
    layers = json.loads(called(env, "layers", "list", "--json").stdout)
    assert {layer["id"] for layer in layers} >= {"elevation", "rain"}
    assert called(env, "layers", "list").stdout.count("\t") >= 6
    assert json.loads(called(env, "layers", "show", "elevation", "--json").stdout)["published"]["width"] == 60
    analyses = json.loads(called(env, "run", "--json").stdout)
    assert "sample-lowland" in {a["id"] for a in analyses}
    assert "--threshold-m" in called(env, "run", "sample-lowland", "--help").stdout
    assert json.loads(called(env, "jobs", "list", "--json").stdout) == []


def test_help_of_an_analysis_is_in_the_language_of_the_user(env):
    chinese = onemap(env, "run", "urban-suitability", "--help").stdout
    english = onemap(env, "run", "urban-suitability", "--help", LANG="en_US.UTF-8", LC_ALL="en_US.UTF-8").stdout
    assert "产水系数" in chinese
    assert "Runoff coefficient" not in chinese
    assert "Runoff coefficient" in english
    assert "产水系数" not in english


def test_check_and_doctor_name_every_broken_layer_file(env, tmp_path):
    from spatial.settings import PROJECT_ROOT

    folder = tmp_path / "layers"
    folder.mkdir()
    for name in ("themes.yml", "schema.json", "seats.yml", "lakes.yml", "roads.yml", "counties.yml"):
        shutil.copy(PROJECT_ROOT / "layers" / name, folder)
    here = {"ONEMAP_LAYERS_DIR": str(folder), "ONEMAP_VAR_DIR": str(tmp_path / "var")}
    good = called(env, "layers", "check", "--json", **here)
    assert good.returncode == 0, good.stderr
    assert {row["state"] for row in json.loads(good.stdout)} == {"ok"}

    (folder / "seats.yml").write_text("id: [", "utf-8")
    text = (folder / "counties.yml").read_text("utf-8")
    (folder / "counties.yml").write_text(text.replace("label: {field: name", "label: {field: nam"), "utf-8")
    bad = called(env, "layers", "check", "--json", **here)
    assert bad.returncode == 3
    states = {row["id"]: row["state"] for row in json.loads(bad.stdout)}
    assert states == {"seats": "definition", "counties": "definition", "lakes": "ok", "roads": "ok"}
    assert json.loads(bad.stderr)["title"] == "LayerDefinitionInvalid"
    assert called(env, "layers", "check", "lakes", **here).returncode == 0
    one = called(env, "layers", "check", "counties", **here)
    assert one.returncode == 3
    assert "nam" in one.stderr
    doctor = called(env, "doctor", "--json", **here)
    row = next(row for row in json.loads(doctor.stdout) if row["check"] == "layers")
    assert row["state"] == "failed"
    assert "seats.yml" in row["detail"]
    assert "counties" in row["detail"]
    assert doctor.returncode == 1


def test_doctor(env):
    found = called(env, "doctor", "--json")
    rows = {row["check"]: row for row in json.loads(found.stdout)}
    assert rows["gdal-proj"]["state"] == "ok"
    assert rows["store"]["state"] == "ok"
    assert rows["worker"]["state"] == "warning"
    assert found.returncode == 0
    broken = called(env, "doctor", "--json", ONEMAP_LAYERS_DIR="/nonexistent")
    assert broken.returncode == 1
    assert json.loads(broken.stdout)


def test_a_port_in_use_is_said_before_anything_is_done(env, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        var = tmp_path / "var"
        port = str(taken.getsockname()[1])
        found = onemap(env, "demo", ONEMAP_PORT=port, ONEMAP_VAR_DIR=str(var))
    assert found.returncode == 1
    assert port in found.stderr
    assert "ONEMAP_PORT" in found.stderr
    assert not var.exists()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_its_address_and_stops_cleanly(env, free_port, workers, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "spatial.cli", "serve", "--json"],
        env=os.environ | env | {"ONEMAP_PORT": str(free_port), "ONEMAP_WORKERS": str(workers)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        lines = "".join(iter(process.stdout.readline, "}\n"))
        assert f"http://127.0.0.1:{free_port}" in lines
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/health") as answer:
            assert answer.status == 200
        time.sleep(1.0)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        sample.stop(process, signal.SIGKILL)
