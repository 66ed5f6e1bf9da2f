"""QGIS loads the style file of every layer, and draws with it what our own map shows (`style_with_qgis.py`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.clients

PYTHON = "/usr/bin/python3"
SIZE = (600, 400)
RENDERERS = {
    "classes": "paletted",
    "ramp": "singlebandpseudocolor",
    "hillshade": "hillshade",
    "picture": "multibandcolor",
}
COMPARED = {
    "dem": (114.0, 30.4, 114.15, 30.5),
    "landcover": (114.0, 30.4, 114.6, 30.8),
    "ndvi": (114.0, 30.4, 114.15, 30.5),
    "soil": (114.0, 30.4, 114.15, 30.5),
    "functional-zones": (110.0, 29.5, 114.5, 32.5),
    "lakes": (113.5, 29.8, 114.4, 30.4),
    "rivers": (112.0, 30.0, 115.0, 32.0),
    "settlements": (112.0, 30.0, 115.0, 32.0),
}


@pytest.fixture(scope="module")
def shown(demo_server, samples, tmp_path_factory):
    """What QGIS said of the styles of every sample layer, and the pictures of ours and of QGIS."""
    from system_packages import has_qgis, install_line

    if not has_qgis():
        pytest.fail(
            f"没有 QGIS，请运行 / QGIS is missing, run:\n    {install_line(['qgis', 'python3-qgis'])}", pytrace=False
        )
    folder = tmp_path_factory.mktemp("qgis-styles")
    jobs = []
    with httpx.Client(base_url=f"{demo_server}/ogc", timeout=120, trust_env=False) as client:

        def save(name, path, **query):
            answer = client.get(path, params=query)
            assert answer.status_code == 200, (path, answer.text[:300])
            (folder / name).write_bytes(answer.content)
            return str(folder / name)

        for layer_id in (*samples.vectors, *samples.rasters):
            path, vector = f"/collections/{layer_id}", layer_id in samples.vectors
            job = {"id": layer_id, "qml": save(f"{layer_id}.qml", f"{path}/styles/default", f="qml")}
            if vector:
                job["sld"] = save(f"{layer_id}.sld", f"{path}/styles/default", f="sld11")
                most = 10000 if layer_id in COMPARED else 2
                job["data"] = save(f"{layer_id}.gpkg", f"{path}/items", f="gpkg", limit=most)
            else:
                job["data"] = str(samples.root / samples.layers[layer_id]["source"]["uri"])
            if layer_id in COMPARED:
                box = COMPARED[layer_id]
                job |= {"bbox": box, "size": SIZE, "png": str(folder / f"{layer_id}.qgis.png")}
                wanted = {"crs": "EPSG:4490", "bbox": ",".join(map(str, box)), "width": SIZE[0], "height": SIZE[1]}
                save(f"{layer_id}.png", f"{path}/map", transparent="true", f="png", **wanted)
            jobs.append(job)
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    environment = {
        k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("PYTHON", "VIRTUAL"))
    } | {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    environment["GDAL_PAM_ENABLED"] = "NO"  # no statistics written beside the sample files
    script = Path(__file__).with_name("style_with_qgis.py")
    done = subprocess.run(
        [PYTHON, str(script), str(folder / "jobs.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pictures = {
        name: [np.asarray(Image.open(folder / f).convert("RGBA")) for f in (f"{name}.png", f"{name}.qgis.png")]
        for name in COMPARED
    }
    return json.loads(done.stdout), pictures


def test_every_style_is_loaded(shown, samples):
    said, _ = shown
    for layer_id, found in said.items():
        layer = samples.layers[layer_id]
        assert found["valid"], layer_id
        assert found["qml"][1] is True, (layer_id, found["qml"])
        if layer_id in samples.rasters:
            assert found["renderer"] == RENDERERS[layer["style"]["type"]], layer_id
            continue
        assert found["sld"][1] is True, (layer_id, found["sld"])
        classes = layer["style"].get("classes", [])
        assert found["renderer"] == "RuleRenderer"
        assert len(found["rules"]) == 1 + len(classes) + ("default" in layer["style"]), layer_id
        assert ("合成示例" in found["rules"][0]) == bool(layer.get("synthetic")), layer_id
        label = layer["style"].get("label")
        assert found["labelled"] is bool(label), layer_id
        assert found["label"] == (label and label["field"]), layer_id
        for field in layer["fields"]:
            assert found["aliases"][field["name"]].startswith(field["title"]["zh"]), (layer_id, field["name"])


@pytest.mark.parametrize("layer_id", ["landcover", "functional-zones", "lakes"])
def test_areas_have_the_colours_of_our_map(shown, layer_id):
    ours, theirs = (p.astype(int) for p in shown[1][layer_id])
    # Smoothed edges and the mark of a synthetic layer are left out: pixels whose neighbours are of the same colour.
    even = ours[..., 3] > 0
    for axis in (0, 1):
        for step in (-1, 1):
            even &= (np.roll(ours, step, axis) == ours).all(-1)
    assert even.mean() > 0.02, layer_id
    same = (np.abs(ours - theirs).max(-1) <= 3)[even].mean()
    assert same > 0.97, (layer_id, same)


@pytest.mark.parametrize("layer_id", ["dem", "ndvi", "soil"])
def test_ramps_have_the_colours_of_the_style(shown, samples, layer_id):
    import rasterio

    layer = samples.layers[layer_id]
    west, south, east, north = COMPARED[layer_id]
    x = west + (np.arange(SIZE[0]) + 0.5) * (east - west) / SIZE[0]
    y = north - (np.arange(SIZE[1]) + 0.5) * (north - south) / SIZE[1]
    stops = layer["style"]["stops"]
    band = [b["name"] for b in layer["bands"]].index(layer["style"].get("band", layer["bands"][0]["name"])) + 1
    with rasterio.open(samples.root / layer["source"]["uri"]) as file:
        columns = ((x - file.bounds.left) / file.res[0]).astype(int)
        rows = ((file.bounds.top - y) / file.res[1]).astype(int)
        values = file.read(band, masked=True)[rows][:, columns]
    colours = [
        np.interp(values.filled(0), [s["value"] for s in stops], [int(s["color"][i : i + 2], 16) for s in stops])
        for i in (1, 3, 5)
    ]
    theirs = shown[1][layer_id][1].astype(int)
    known = ~np.ma.getmaskarray(values)
    assert known.mean() > 0.5
    assert (np.abs(np.stack(colours, -1) - theirs[..., :3]).max(-1) <= 1.5)[known].mean() > 0.97, layer_id
    ours = shown[1][layer_id][0].astype(int)
    if layer_id == "dem":
        # Our own map is smoothed between cells.
        assert (np.abs(ours - theirs).max(-1) <= 12).mean() > 0.98


@pytest.mark.parametrize("layer_id", ["rivers", "settlements"])
def test_lines_and_points_have_the_colours_of_our_map(shown, samples, layer_id):
    ours, theirs = shown[1][layer_id]
    style = samples.layers[layer_id]["style"]
    symbols = style.get("classes", [style])
    colours = {bytes.fromhex((s.get("fill") or s["stroke"])[1:7]) for s in symbols}
    found = [{bytes(c) for c in p[p[..., 3] == 255][:, :3].tolist()} & colours for p in (ours, theirs)]
    assert found[0]
    assert found[0] <= found[1], layer_id
    drawn = [(p[..., 3] > 100).mean() for p in (ours, theirs)]
    assert drawn[1] == pytest.approx(drawn[0], rel=0.25), layer_id
