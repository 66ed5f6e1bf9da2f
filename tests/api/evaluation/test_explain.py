"""Explain: a cell's chain agrees with its stored class; a polygon's areas with hand-counted cells; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spatial.units import cell_row_areas

URL = "/api/v1/explain"


def place(evaluated: Any, row: int, col: int) -> dict[str, Any]:
    """Coordinates inside a cell, off its centre."""
    return {
        "layer": "urban-classes",
        "lon": evaluated.west + (col + 0.3) * evaluated.cell,
        "lat": evaluated.north - (row + 0.6) * evaluated.cell,
    }


def explain(evaluated: Any, row: int, col: int, **query: Any) -> Any:
    answer = evaluated.get(URL, params=place(evaluated, row, col) | query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def box(evaluated: Any, top: float, left: float, bottom: float, right: float) -> dict[str, Any]:
    """A polygon by cell numbers; the upper and the left edge are the first numbers."""
    west, east = (evaluated.west + v * evaluated.cell for v in (left, right))
    north, south = (evaluated.north - v * evaluated.cell for v in (top, bottom))
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


# -- a point -------------------------------------------------------------------------------------------------------------


def test_every_cell_is_explained_as_it_is_stored(evaluated: Any) -> None:
    graded = evaluated.chain.run(evaluated.values)
    rng = np.random.default_rng(1)
    for row, col in {(int(r), int(c)) for r, c in zip(rng.integers(0, 47, 40), rng.integers(5, 64, 40), strict=True)}:
        told = explain(evaluated, row, col)["chains"][0]
        assert told["class"] == graded.suitability[row, col] == told["stored"]["class"]
        assert told["grade"] == graded.grade[row, col] == told["stored"]["grade"]
        code = int(graded.reason[row, col])
        assert told["reason"] == (None if code == 1 else evaluated.chain.stations[code - 2].id)
        assert told["stored"]["reason"] == code
        for step in told["steps"]:
            stored = float(evaluated.values[step["factor"]][row, col])
            assert step["value"] == stored
            assert step["source"].startswith("试验规则")
        assert told["summary"]["zh"]
        assert told["summary"]["en"]


def test_value_interval_grade_cell_and_correction_are_told(evaluated: Any) -> None:
    values = evaluated.values
    wanted = (values["slope"] == 15.5) & (values["relief"] == 100) & (values["water"] == 25) & (values["surface"] == 0)
    wanted &= values["patch"] == 5
    row, col = (int(v[0]) for v in np.nonzero(wanted[:-1]))
    told = explain(evaluated, row, col)["chains"][0]
    steps = {s["station"]: s for s in told["steps"]}
    assert steps["slope"]["interval"] == "15 < v ≤ 25"
    assert (steps["slope"]["level"], steps["slope"]["grade_after"], steps["slope"]["unit"]) == (4, 4, "degree")
    assert not steps["relief"]["changed"]
    assert steps["water"]["cell"] == [4, 3]
    assert steps["water"]["grade_after"] == 4
    assert (steps["patch"]["level"], steps["patch"]["grade_after"]) == (5, 5)
    assert (told["class"], told["class_title"]["zh"], told["reason"]) == (3, "不适宜", "slope")
    assert [s["station"] for s in told["from_run"]] == ["patch"]
    assert told["left_out"] == []
    assert "坡度 15.5 degree → 4 级" in told["summary"]["zh"]


def test_a_mask_ends_the_chain(evaluated: Any) -> None:
    row, col = (int(v[0]) for v in np.nonzero(evaluated.values["surface"][1:-1] == 1))
    told = explain(evaluated, row + 1, col)["chains"][0]
    assert [s["station"] for s in told["steps"]] == ["water-surface"]
    assert told["steps"][0]["ends"]
    assert told["reason"] == "water-surface"


def test_a_run_of_several_chains_answers_for_each_the_asked_one_first(evaluated: Any) -> None:
    for layer, order in (
        ("urban-classes", ["urban", "agriculture"]),
        ("urban-factors", ["urban", "agriculture"]),
        ("agriculture-classes", ["agriculture", "urban"]),
    ):
        told = explain(evaluated, 10, 10, layer=layer)
        assert [c["chain"] for c in told["chains"]] == order
        assert all(c["class"] == c["stored"]["class"] for c in told["chains"])


def test_not_assessed_names_the_factor_that_lacks_a_value(evaluated: Any) -> None:
    values = evaluated.values
    col = int(np.nonzero(values["surface"][-1] == 0)[0][0])
    told = explain(evaluated, 47, col)["chains"][0]
    assert (told["class"], told["assessed"], told["missing"]["factor"]) == (None, False, "slope")
    assert "slope" in told["summary"]["en"]
    col = int(np.nonzero(values["surface"][0, :5] == 0)[0][0])
    assert explain(evaluated, 0, col)["chains"][0]["missing"]["factor"] == "water"


def test_a_scenario_is_explained(evaluated: Any) -> None:
    values, chain = evaluated.values, evaluated.chain
    row, col = 7, 20
    cell = {name: float(array[row, col]) for name, array in values.items()}
    changed = chain.with_edges("slope", [1, 2, 3.1, 20]).without("relief")
    told = explain(evaluated, row, col, **{"edges.slope": "1,2,3.1,20", "off": "relief"})
    first, second = told["chains"]
    assert first["changed"]
    assert not second["changed"]
    assert first["grade"] == changed.trace(cell)["grade"]
    assert "relief" not in [s["station"] for s in first["steps"]]
    whole = explain(evaluated, row, col, **{"weights.slope": "0.5", "weights.water": "0.5"})["chains"][0]
    assert whole["integration"] == "weighted"


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"lon": 31.0, "lat": 89.0}, 400, "lies outside"),
        ({"lon": 30.9, "lat": 114.1}, 400, "swapped"),
        ({"lon": "x"}, 400, "lon must be a number"),
        ({"layer": ""}, 400, "result layer"),
        ({"layer": "nothing"}, 404, "no layer"),
        ({"layer": "relief"}, 404, "no chain"),
        ({"edges.slope": "1"}, 400, "4 rising limits"),
        ({"tolerance": "1"}, 400, "edges.<station>"),
    ],
)
def test_bad_questions(evaluated: Any, change: dict[str, Any], status: int, words: str) -> None:
    answer = evaluated.get(URL, params=place(evaluated, 3, 3) | change)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert words in answer.json()["detail_en"]
    assert answer.json()["detail_zh"]


# -- an area -------------------------------------------------------------------------------------------------------------


def ask(evaluated: Any, document: Any, layer: str = "urban-classes", **query: Any) -> Any:
    return evaluated.post(URL, params={"layer": layer} | query, json=document)


def test_areas_by_class_and_reason_are_those_of_the_cells(evaluated: Any) -> None:
    """Rows 4–9, columns 6–19, with half a cell more on the left: shares of cells count."""
    told = ask(evaluated, box(evaluated, 4, 5.5, 10, 20)).json()
    graded = evaluated.chain.run(evaluated.values)
    weight = np.zeros((evaluated.rows, evaluated.cols))
    weight[4:10, 6:20] = 1
    weight[4:10, 5] = 0.5
    weight *= cell_row_areas(evaluated.north, evaluated.cell, evaluated.cell, evaluated.rows)[:, None]
    for row in told["by_class"]:
        assert row["km2"] * 1e6 == pytest.approx(weight[graded.suitability == row["value"]].sum(), rel=1e-6, abs=2)
    for row in told["by_reason"]:
        assert row["km2"] * 1e6 == pytest.approx(weight[graded.reason == row["value"]].sum(), rel=1e-6, abs=2)
        assert row["mu"] == pytest.approx(row["km2"] * 1500, abs=0.01)
    assert told["assessed_km2"] == pytest.approx(weight.sum() / 1e6, rel=1e-6)
    assert told["area_km2"] == pytest.approx(weight.sum() / 1e6, rel=1e-4)
    assert sum(r["share"] for r in told["by_class"]) == pytest.approx(1, abs=1e-5)
    assert [r["title"]["en"] for r in told["by_class"]] == ["suitable", "fair", "not"]
    slope = next(f for f in told["factors"] if f["factor"] == "slope")
    cells = evaluated.values["slope"][4:10, 6:20]
    assert (slope["min"], slope["max"], slope["unit"]) == (cells.min(), cells.max(), "degree")


def test_the_most_frequent_chain_is_found_by_area(evaluated: Any) -> None:
    told = ask(evaluated, box(evaluated, 1, 1, 46, 63)).json()["most_frequent"]
    inner = (slice(1, 46), slice(1, 63))
    stations = evaluated.chain.stations
    numbers = np.stack(
        [np.searchsorted(s.starts, evaluated.values[s.factor][inner], side="right") for s in stations], axis=-1
    )
    alike, counts = np.unique(numbers.reshape(-1, len(stations)), axis=0, return_counts=True)
    assert told["combinations"] == len(alike)
    assert told["share"] == pytest.approx(counts.max() / counts.sum(), abs=2e-3)
    shown = {s["station"]: s["level"] for s in told["steps"]}
    assert shown["slope"]


def test_a_polygon_within_one_cell_still_has_a_chain(evaluated: Any) -> None:
    told = ask(
        evaluated, {"type": "Feature", "properties": {}, "geometry": box(evaluated, 7.1, 20.1, 7.3, 20.2)}
    ).json()
    point = explain(evaluated, 7, 20)["chains"][0]
    assert told["most_frequent"]["grade"] == point["grade"]
    assert told["most_frequent"]["share"] == 1
    assert sum(r["share"] for r in told["by_class"]) == pytest.approx(1)


def test_a_scenario_and_cells_not_assessed(evaluated: Any) -> None:
    shape = box(evaluated, 40, 0, 48, 64)  # the last row has no slope, but water surfaces are assessed without
    told = ask(evaluated, shape).json()
    areas = cell_row_areas(evaluated.north, evaluated.cell, evaluated.cell, evaluated.rows)
    dry = int((evaluated.values["surface"][-1] == 0).sum())
    assert told["not_assessed_km2"] == pytest.approx(dry * areas[-1] / 1e6, rel=1e-6)
    assert told["outside_km2"] == 0
    wider = ask(evaluated, box(evaluated, 40, 32, 48, 96)).json()
    assert wider["outside_km2"] == pytest.approx(wider["area_km2"] / 2, rel=1e-3)
    changed = ask(evaluated, shape, **{"edges.slope": "0.1,0.2,0.3,0.4"}).json()
    assert changed["changed"]
    assert changed["by_class"][2]["km2"] > told["by_class"][2]["km2"]


def test_blocks_of_rows_do_not_change_the_answer(evaluated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = box(evaluated, 2.2, 3.3, 41.7, 60.1)
    whole = ask(evaluated, shape).json()
    monkeypatch.setattr("spatial.api.explain._STRIP", 7)
    parts = ask(evaluated, shape).json()
    for document in (whole, parts):
        for factor in document["factors"]:
            factor["mean"] = round(factor["mean"], 4)
    assert whole == parts


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({"type": "Point", "coordinates": [114.1, 30.9]}, 400, "Polygon"),
        ([1, 2], 400, "Polygon"),
        ({"type": "Polygon", "coordinates": [[[114, 30], [115]]]}, 400, ""),
        ({"type": "Polygon", "coordinates": []}, 400, "empty"),
        (
            {"type": "Polygon", "coordinates": [[[114, 31], [114.1, 30.9], [114.1, 31], [114, 30.9], [114, 31]]]},
            400,
            "invalid",
        ),
        (
            {"type": "Polygon", "coordinates": [[[30.9, 114.1], [31, 114.1], [31, 114.2], [30.9, 114.1]]]},
            400,
            "longitude first",
        ),
        ({"type": "Polygon", "coordinates": [[[5e5, 3e6], [6e5, 3e6], [6e5, 4e6], [5e5, 3e6]]]}, 400, "metres"),
        ({"type": "Polygon", "coordinates": [[[10, 10], [11, 10], [11, 11], [10, 10]]]}, 400, "outside"),
        ({"type": "Polygon", "crs": {}, "coordinates": [[[114, 30], [115, 30], [115, 31], [114, 30]]]}, 400, "CRS84"),
    ],
)
def test_bad_polygons(evaluated: Any, document: Any, status: int, words: str) -> None:
    answer = ask(evaluated, document)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail_en"]


def test_limits_and_bodies(evaluated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = [[114 + 0.1 * float(np.cos(a)), 30.9 + 0.05 * float(np.sin(a))] for a in np.linspace(0, 2 * np.pi, 11_000)]
    ring[-1] = ring[0]
    answer = ask(evaluated, {"type": "Polygon", "coordinates": [ring]})
    assert (answer.status_code, answer.json()["limit"]) == (413, 10_000)
    monkeypatch.setattr("spatial.api.explain.MOST_CELLS", 100)
    answer = ask(evaluated, box(evaluated, 0, 0, 40, 40))
    assert (answer.status_code, answer.json()["limit"]) == (413, 100)
    bad = evaluated.post(URL, params={"layer": "urban-classes"}, content=b"{")
    assert (bad.status_code, bad.json()["parameter"]) == (400, "body")
    assert ask(evaluated, box(evaluated, 0, 0, 4, 4), layer="relief").status_code == 404


# -- files that stay open ------------------------------------------------------------------------------------------------


def test_cells_are_those_of_a_fresh_read_from_many_threads_with_few_files(evaluated: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from spatial.api.cells import CellReader
    from spatial.store.raster import sample

    snapshot = evaluated.datastore.snapshot()
    rasters = [
        snapshot.raster(f"{chain}-{part}") for chain in ("urban", "agriculture") for part in ("factors", "classes")
    ]
    rng = np.random.default_rng(2)
    points = [
        (rasters[k % 4], 114 + float(x), 31 - float(y)) for k, (x, y) in enumerate(rng.random((80, 2)) * [0.25, 0.1875])
    ]
    reader = CellReader(most=1)  # every other question closes the file of another thread
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda p: list(reader.values(*p)), points))
    assert found == [sample(*p) for p in points]
