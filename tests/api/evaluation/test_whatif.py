"""What-if tiles: the stored map where nothing is changed, the changed chain where it is, and what is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from analyses.weighted import Weighted
from analyses.whatif import recorded, scenario
from tiles.raster import pixel_centres, read_cells
from tiles.whatif import graded_cells

PATH = "/tiles/urban-factors/whatif/CGCS2000Quad"
Z = 7
"""Level of CGCS2000Quad: 256 pixels on 180/2^7 = 1.40625°, so a pixel is 1.40625 cells."""


def address(lon: float, lat: float, z: int = Z) -> str:
    span = 180 / 2**z
    return f"{z}/{int((lon + 180) / span)}/{int((90 - lat) / span)}"


def tile(evaluated: Any, z: int = Z, layer: str = "urban-factors", **query: str) -> tuple[np.ndarray, Any]:
    at = address(114.1, 30.9, z)
    answer = evaluated.get(f"/tiles/{layer}/whatif/CGCS2000Quad/{at}.png", params=query)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")), answer


def expected(evaluated: Any, codes: np.ndarray, colours: dict[int, str], z: int = Z) -> np.ndarray:
    """Colours of the tile from the codes of the native cells, by plain loops over coordinates."""
    span = 180 / 2**z
    _, x, y = (int(v) for v in address(114.1, 30.9, z).split("/"))
    out = np.zeros((256, 256, 4), np.uint8)
    for i in range(256):
        lat = 90 - (y + (i + 0.5) / 256) * span
        row = int(np.floor((evaluated.north - lat) / evaluated.cell))
        for j in range(256):
            col = int(np.floor((-180 + (x + (j + 0.5) / 256) * span - evaluated.west) / evaluated.cell))
            if 0 <= row < evaluated.rows and 0 <= col < evaluated.cols and codes[row, col]:
                out[i, j] = (*bytes.fromhex(colours[int(codes[row, col])][1:]), 255)
    return out


CLASSES = {1: "#1a9850", 2: "#fee08b", 3: "#d73027"}


def colours_of(evaluated: Any, band: str) -> dict[int, str]:
    legend = evaluated.get("/tiles/urban-factors/whatif.json").json()["legends"][band]
    return {e["value"]: e["color"] for e in legend}


# -- the same as the batch -----------------------------------------------------------------------------------------------


def test_on_the_native_grid_it_is_the_stored_map_pixel_by_pixel(evaluated: Any) -> None:
    """The run without its patches, at every native cell centre; the stored map has patches, so they are put back."""
    snapshot = evaluated.datastore.snapshot()
    factors, classes = snapshot.raster("urban-factors"), snapshot.raster("urban-classes")
    found = recorded(factors.layer)
    assert found.absent == ("patch",)
    lon = evaluated.west + (np.arange(evaluated.cols) + 0.5) * evaluated.cell
    lat = evaluated.north - (np.arange(evaluated.rows) + 0.5) * evaluated.cell
    live = graded_cells(factors, found, scenario(found.chain, {}).local(found), lon, lat)
    assert live is not None
    batch = evaluated.chain.without("patch").run(evaluated.values)
    assert np.array_equal(live.grade, batch.grade)
    assert np.array_equal(live.suitability, batch.suitability)
    assert np.array_equal(live.reason, batch.reason)
    stored = read_cells(classes, [1, 2, 3, 4], lon, lat)
    assert stored is not None
    patched = evaluated.chain.tail("patch", {"patch": np.nan_to_num(stored[3])}, live)
    assert np.array_equal(patched.suitability, np.nan_to_num(stored[0]))
    assert np.array_equal(patched.grade, np.nan_to_num(stored[1]))
    assert set(np.unique(live.suitability)) == {0, 1, 2, 3}


@pytest.mark.parametrize("band", ["class", "grade", "reason"])
@pytest.mark.parametrize("z", [7, 8, 11])
def test_a_tile_shows_the_chain_on_the_cells_under_its_pixels(evaluated: Any, band: str, z: int) -> None:
    batch = evaluated.chain.without("patch").run(evaluated.values)
    codes = {"class": batch.suitability, "grade": batch.grade, "reason": batch.reason}[band]
    picture, answer = tile(evaluated, z, band=band)
    assert np.array_equal(picture, expected(evaluated, codes, colours_of(evaluated, band), z))
    assert answer.headers["OneMap-Left-Out"] == "patch"


def test_the_class_layer_leads_to_the_same_picture(evaluated: Any) -> None:
    direct, _ = tile(evaluated)
    followed, _ = tile(evaluated, layer="urban-classes")
    assert np.array_equal(direct, followed)


def test_low_levels_take_an_overview_and_far_tiles_are_empty(evaluated: Any) -> None:
    for z in (0, 2, 4, 6, 16):
        answer = evaluated.get(f"{PATH}/{address(114.1, 30.9, z)}.png")
        assert answer.status_code in {200, 204}
    assert evaluated.get(f"{PATH}/7/0/0.png").status_code == 204
    for set_name in ("WebMercatorQuad", "WorldCRS84Quad"):
        assert evaluated.get(f"/tiles/urban-factors/whatif/{set_name}/4/0/0.png").status_code == 204


# -- changes -------------------------------------------------------------------------------------------------------------


def test_each_change_is_the_changed_chain(evaluated: Any) -> None:
    chain, values = evaluated.chain.without("patch"), evaluated.values
    flat = [[3] * 5] * 4 + [[5] * 5]
    cases = [
        ({"edges.slope": "1,2,4,20"}, chain.with_edges("slope", [1, 2, 4, 20])),
        ({"matrix.water": ";".join(",".join(map(str, r)) for r in flat)}, chain.with_matrix("water", flat)),
        ({"matrix.water": ",".join(str(v) for r in flat for v in r)}, chain.with_matrix("water", flat)),
        ({"shift.relief": "2:2,3:0"}, chain.with_shift("relief", {2: 2, 3: 0})),
        ({"off": "relief,patch"}, chain.without("relief")),
        (
            {"edges.slope": "1,2,4,20", "off": "water-surface"},
            chain.with_edges("slope", [1, 2, 4, 20]).without("water-surface"),
        ),
    ]
    unchanged, _ = tile(evaluated)
    for query, changed in cases:
        picture, _ = tile(evaluated, **query)
        assert np.array_equal(picture, expected(evaluated, changed.run(values).suitability, CLASSES)), query
        assert not np.array_equal(picture, unchanged), query


def test_reasons_keep_their_colours_when_a_station_is_off(evaluated: Any) -> None:
    chain = evaluated.chain
    off = chain.without("patch", "relief").run(evaluated.values).reason
    codes = np.zeros(256, np.uint8)
    codes[1] = 1
    for k, name in enumerate(["water-surface", "slope", "water"], start=2):
        codes[k] = chain.code(name)
    picture, _ = tile(evaluated, off="relief", band="reason")
    assert np.array_equal(picture, expected(evaluated, codes[off], colours_of(evaluated, "reason")))


def test_weights_average_the_grades_and_masks_come_first(evaluated: Any) -> None:
    picture, _ = tile(evaluated, **{"weights.slope": "0.6", "weights.water": "0.4"})
    whole = Weighted(evaluated.chain.without("patch"), {"slope": 0.6, "water": 0.4}).run(evaluated.values)
    assert np.array_equal(picture, expected(evaluated, whole.suitability, CLASSES))


def test_weighted_hand_oracle(evaluated: Any) -> None:
    """Slope 10° is grade 3, water 41 grade 5, 15 grade 2: 0.5·3 + 0.5·5 = 4; 0.5·3 + 0.5·2 = 2.5, a half goes to 3."""
    both = Weighted(evaluated.chain, {"slope": 0.5, "water": 0.5})
    cells = {
        "surface": np.float32([0, 0, 1, 0, np.nan]),
        "slope": np.float32([10, 10, 10, np.nan, 0]),
        "water": np.float32([41, 15, 15, 15, 5]),
    }
    found = both.run(cells)
    assert found.grade.tolist() == [4, 3, 5, 0, 1]
    assert found.suitability.tolist() == [2, 2, 3, 0, 1]
    assert found.reason.tolist() == [
        5,
        3,
        2,
        0,
        1,
    ]  # water 0.5·4 > slope 0.5·2; slope 0.5·2 > water 0.5·1; mask; –; none
    told = both.trace({"surface": 0, "slope": 10, "water": 41})
    assert [s.get("part") for s in told["steps"]] == [None, 1.5, 2.5]
    assert (told["grade"], told["reason"]) == (4, "water")
    assert both.unused == ("relief", "patch")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"edges.slop": "1,2,3,4"}, "edges.slope"),
        ({"edges.water-surface": "0.7"}, "edges.slope"),
        ({"edges.slope": "1,2,3"}, "4 rising limits"),
        ({"edges.slope": "1,3,2,4"}, "rising limits"),
        ({"edges.slope": "1,2,three,4"}, "its form is"),
        ({"edges.slope": "1,2,3,nan"}, "rising limits"),
        ({"edges.slope": ",".join(["1.0000000"] * 60)}, "exceeds"),
        ({"matrix.slope": "1"}, "matrix.water"),
        ({"matrix.water": "1,2,3"}, "its form is"),
        ({"matrix.water": ",".join(["5", "4", "3", "2", "1"] * 5)}, "never better"),
        ({"shift.relief": "9:1"}, "levels"),
        ({"shift.relief": "2"}, "its form is"),
        ({"off": "slope"}, "cannot be left out"),
        ({"off": "nothing"}, "relief"),
        ({"weights.slope": "0.5"}, "sum to 1"),
        ({"weights.slope": "0.5", "weights.water": "x"}, "its form is"),
        ({"weights.slope": "1.5", "weights.water": "-0.5"}, "between 0 and 1"),
        ({"weights.relief": "1"}, "weights.slope"),
        ({"weights.patch": "1"}, "whole map"),
        ({"weights.water": "1", "off": "water"}, "is off and has a weight"),
        ({"band": "colour"}, "class, grade, reason"),
        ({"colour": "red"}, "edges.<station>"),
    ],
)
def test_bad_parameters_are_400_and_name_what_is_allowed(evaluated: Any, query: dict[str, str], words: str) -> None:
    answer = evaluated.get(f"{PATH}/{address(114.1, 30.9)}.png", params=query)
    assert answer.status_code == 400
    document = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert words in document["detail_en"]
    assert document["detail_zh"]
    assert document["parameter"] in {*query, "weights", "off"}


def test_layers_without_a_chain_and_wrong_addresses_are_404(evaluated: Any) -> None:
    assert evaluated.get(f"/tiles/relief/whatif/CGCS2000Quad/{address(114.1, 30.9)}.png").status_code == 404
    assert "no chain" in evaluated.get("/tiles/relief/whatif.json").json()["detail_en"]
    assert evaluated.get("/tiles/nothing/whatif.json").status_code == 404
    assert evaluated.get(f"{PATH}/7/999/0.png").status_code == 404
    assert evaluated.get(f"/tiles/urban-factors/whatif/NoSet/{address(114.1, 30.9)}.png").status_code == 404
    assert evaluated.get(f"{PATH}/{address(114.1, 30.9)}.jpg").status_code == 400
    assert evaluated.get(f"{PATH}/{address(114.1, 30.9)}.png", params={"version": "9"}).status_code == 404


# -- caching and metadata ------------------------------------------------------------------------------------------------


def test_the_etag_names_the_scenario_not_its_spelling(evaluated: Any) -> None:
    url = f"{PATH}/{address(114.1, 30.9)}.png"
    plain, changed, same = (
        evaluated.get(url, params=q).headers["etag"]
        for q in ({}, {"edges.slope": "2,8,15,25"}, {"edges.slope": "2.0, 8,15,25.0"})
    )
    assert plain != changed == same
    again = evaluated.get(url, headers={"If-None-Match": plain})
    assert (again.status_code, again.content) == (304, b"")
    assert "max-age=60" in again.headers["cache-control"]
    pinned = evaluated.get(url, params={"version": "1"}).headers["cache-control"]
    assert pinned == "public, max-age=86400, must-revalidate"


def test_the_document_holds_what_the_sliders_need_and_a_working_template(evaluated: Any) -> None:
    document = evaluated.get(
        "/tiles/urban-classes/whatif.json", params={"tms": "CGCS2000Quad", "edges.slope": "1,2,4,20"}
    ).json()
    json.dumps(document)
    assert (document["layer"], document["result_layer"]) == ("urban-factors", "urban-classes")
    stations = {s["id"]: s for s in document["stations"]}
    assert list(stations) == ["water-surface", "slope", "relief", "water", "patch"]
    assert stations["slope"]["edges"] == [3, 8, 15, 25]
    assert stations["slope"]["range"] == [0, 26]
    assert stations["slope"]["unit"] == "degree"
    assert stations["slope"]["change"] == {
        "edges": True,
        "matrix": False,
        "shift": False,
        "weights": True,
        "off": False,
    }
    assert stations["water"]["matrix"][0] == [1, 2, 3, 4, 5]
    assert stations["patch"]["left_out"]
    assert [x["station"] for x in document["left_out"]] == ["patch"]
    assert document["left_out"][0]["reason"]["zh"]
    assert [e["color"] for e in document["legends"]["class"]] == list(CLASSES.values())
    assert [e["value"] for e in document["legends"]["reason"]] == [1, 2, 3, 4, 5, 6]
    assert document["scenario"]["changed"]
    assert document["tilejson"] == "3.0.0"
    _, x, y = address(114.1, 30.9).split("/")
    url = document["tiles"][0].format(z=Z, x=x, y=y)
    picture = evaluated.get(url[url.index("/tiles/") :])
    assert picture.status_code == 200
    direct = evaluated.get(f"{PATH}/{address(114.1, 30.9)}.png", params={"edges.slope": "1,2,4,20"})
    assert picture.content == direct.content


def test_pixels_do_not_depend_on_the_tile_that_shows_them(evaluated: Any) -> None:
    """Two tiles of different levels read different windows; at one longitude and latitude they find the same cell."""
    from tiles.matrix import Address

    factors = evaluated.datastore.snapshot().raster("urban-factors")
    _, x, y = (int(v) for v in address(114.1, 30.9, 9).split("/"))
    lon, lat = pixel_centres(Address("CGCS2000Quad", 9, x, y), 256)
    whole = read_cells(factors, [2], lon, lat)
    part = read_cells(factors, [2], lon[100:110], lat[40:60])
    assert whole is not None
    assert part is not None
    assert np.array_equal(whole[:, 40:60, 100:110], part, equal_nan=True)
