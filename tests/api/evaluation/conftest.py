"""An application with results of an evaluation (评价成果), on each store, for what-if and explain."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

EVALUATED = {"west": 114.0, "north": 31.0, "cell": 1 / 256, "rows": 48, "cols": 64}
"""Cells of 1/256°, so that cell edges are exact numbers; the last row has no slope."""


def evaluation_chain(chain_id: str = "urban") -> Any:
    """Water surface (mask), slope (start), relief (steps), water (matrix), patch concentration (correction, not local)."""
    from types import SimpleNamespace

    from analyses import chain as chains
    from analyses.grading import Correction, GradeTable, Matrix, StepTable
    from spatial.catalog import Text

    def about(zh: str, en: str, unit: str | None = None) -> Any:
        return SimpleNamespace(title=Text(zh=zh, en=en), unit=unit, source=f"试验规则 {en}", tag="own")

    def rising(*edges: float) -> Any:
        rows: list[dict[str, float]] = [{"grade": 1, "to": edges[0]}]
        rows += [{"grade": n, "over": a, "to": b} for n, (a, b) in enumerate(pairwise(edges), 2)]
        return GradeTable.model_validate({"grades": [*rows, {"grade": 5, "over": edges[-1]}]})

    lines = tuple(Correction.model_validate({"grade": 5, "when": [1, 2, 3, 4], "add": 1}) for _ in range(1))
    cells = Matrix.model_validate({"rows": [[max(r, c) for c in range(1, 6)] for r in range(1, 6)]})
    relief = StepTable.model_validate({"steps": [{"over": 100, "to": 200, "add": 1}, {"over": 200, "add": 2}]})
    return chains.Chain(
        id=chain_id,
        title=Text(zh=f"试验评价 {chain_id}", en=f"Trial evaluation {chain_id}"),
        stations=(
            chains.stop("water-surface", "surface", about("水域", "water surface"), 5),
            chains.start("slope", "slope", rising(3, 8, 15, 25), about=about("坡度", "slope", "degree")),
            chains.steps("relief", "relief", relief, about=about("起伏度", "relief", "m")),
            chains.matrix("water", "water", rising(10, 20, 30, 40), cells, about=about("水资源", "water", "mm")),
            chains.correction(
                "patch", "patch", rising(1, 2, 3, 4), lines, about=about("集中连片度", "patches"), required=False
            ),
        ),
        classes={1: 1, 2: 2, 3: 2, 4: 2, 5: 3},
        class_titles={
            1: {"zh": "适宜", "en": "suitable"},
            2: {"zh": "一般", "en": "fair"},
            3: {"zh": "不适宜", "en": "not"},
        },
    )


def evaluation_values(seed: int = 5) -> dict[str, Any]:
    """Factor values of every cell by name; edges of the tables among them."""
    import numpy as np

    shape = (EVALUATED["rows"], EVALUATED["cols"])
    rng = np.random.default_rng(seed)
    values = {
        "surface": (rng.random(shape) < 0.1).astype(np.float32),
        "slope": rng.choice(np.float32([0, 3, 3.25, 8, 15, 15.5, 25, 26]), shape),
        "relief": rng.choice(np.float32([0, 100, 150, 200, 201]), shape),
        "water": rng.choice(np.float32([5, 10, 15, 25, 40, 41]), shape),
        "patch": rng.integers(1, 6, shape).astype(np.float32),
    }
    values["slope"][-1, :] = np.nan
    values["water"][0, :5] = np.nan
    return values


def publish_evaluation(hand_made: Any, datastore: Any, folder: Path, chain_id: str, job: str, seed: int) -> None:
    """Factors and class raster of one chain, as a run publishes them: ``{chain}-factors`` and ``{chain}-classes``."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    from spatial.catalog import Layer

    chain, values = evaluation_chain(chain_id), evaluation_values(seed)
    names = [name for name in values if name != "patch"]
    graded = chain.run(values)
    patch = np.where(graded.grade > 0, values["patch"], 0).astype(np.uint8)
    colours = {1: "#1a9850", 2: "#fee08b", 3: "#d73027"}
    parts = {
        "factors": ([values[n] for n in names], names, "float32", float("nan"), (-1e6, 1e6)),
        "classes": (
            [graded.suitability, graded.grade, graded.reason, patch],
            ["class", "grade", "reason", "patch"],
            "uint8",
            0,
            (0, 127),
        ),
    }
    ids = {"factors": f"{chain_id}-factors", "classes": f"{chain_id}-classes"}
    styles = {
        "factors": {
            "type": "ramp",
            "band": "slope",
            "stops": [{"value": 0, "color": "#000000"}, {"value": 45, "color": "#ffffff"}],
        },
        "classes": {
            "type": "classes",
            "band": "class",
            "classes": [{"value": n, "color": c, "title": chain.class_titles[n].model_dump()} for n, c in colours.items()],
        },
    }  # fmt: skip
    records = {
        "factors": {"job": job, "chain": chain.document(), "result_layer": ids["classes"]},
        "classes": {"job": job, "factors_layer": ids["factors"]},
    }
    for part, (arrays, bands, dtype, nodata, span) in parts.items():
        path = folder / f"{ids[part]}.tif"
        profile = {
            "driver": "GTiff", "width": EVALUATED["cols"], "height": EVALUATED["rows"], "count": len(arrays),
            "dtype": dtype, "nodata": nodata, "crs": "EPSG:4490", "photometric": "minisblack",
            "transform": from_origin(EVALUATED["west"], EVALUATED["north"], EVALUATED["cell"], EVALUATED["cell"]),
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as file:
            for number, array in enumerate(arrays, start=1):
                file.write(array.astype(dtype), number)
        domain = {"1": {"zh": "一", "en": "one"}} if dtype == "uint8" else None
        definition = hand_made.layer_definition(
            ids[part],
            kind="raster",
            theme=["results"],
            fields=[],
            bands=[
                {"name": n, "title": {"zh": n, "en": n}, "valid_range": span, "domain": domain}
                for n in bands
            ],
            style=styles[part],
            provenance=records[part],
        )  # fmt: skip
        datastore.publish_raster(Layer.model_validate(definition), path)


@pytest.fixture(scope="session")
def evaluated_app(
    store_settings: Any, hand_made: Any, own_place: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """An application of its own with two evaluations of one run (urban, agriculture) and a plain raster."""

    def make() -> Any:
        from spatial.asgi import create_app
        from spatial.catalog import Layer

        folder = tmp_path_factory.mktemp("evaluated")
        relief = hand_made.definitions["relief"]
        layers = hand_made.write_layers(folder / "layers", {"relief": relief})
        app = create_app(store_settings.model_copy(update={"layers_dir": layers} | own_place("evaluated")))
        datastore = app.state.datastore
        datastore.publish_raster(Layer.model_validate(relief), hand_made.write_relief(folder / "relief.tif"))
        job = "0f3a9c1e-0000-4000-8000-000000000000"
        publish_evaluation(hand_made, datastore, folder, "urban", job, 5)
        publish_evaluation(hand_made, datastore, folder, "agriculture", job, 6)
        return app

    return kept.get("evaluated app", store_settings.store, make=make)


@pytest.fixture(scope="session")
def evaluated(evaluated_app: Any, store_settings: Any, open_client: Any, kept: Any) -> Any:
    """An HTTP client of the application above, with its chain, values and grid."""
    from types import SimpleNamespace

    found = kept.enter("evaluated client", store_settings.store, make=lambda: open_client(evaluated_app))
    return SimpleNamespace(
        get=found.get,
        post=found.post,
        datastore=evaluated_app.state.datastore,
        chain=evaluation_chain(),
        values=evaluation_values(5),
        **EVALUATED,
    )
