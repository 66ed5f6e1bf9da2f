"""A small province in memory for tests of the dual evaluation: every input of a run, made by hand or seeded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import memory_run as memory
import numpy as np
from memory_run import NORTH, STEP, WEST, Array, Memory, cell_box, centre, frame, monthly, same
from odc.geo.geobox import GeoBox
from shapely import LineString

from analyses.chain import Chain
from analyses.dual_evaluation import DualEvaluation, DualEvaluationParameters
from spatial.jobs.contract import AnalysisResult, Inputs

ASSESSMENTS = ("ecology", "agriculture", "urban")
PADDY, DRYLAND, FOREST, GRASS, WATER, WETLAND, TOWN = 1, 2, 4, 9, 10, 11, 12


@dataclass
class Province:
    """Inputs of a run; `rasters`: role → layer, values (bands, rows, cols), unit, cells of the province in one cell."""

    rasters: dict[str, tuple[str, np.ndarray, str, int]]
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=memory.rules)
    crs: str = "EPSG:4490"

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.rasters["dem"][1].shape[1:]
        return rows, cols

    @property
    def grid(self) -> GeoBox:
        rows, cols = self.shape
        box = (WEST, NORTH - rows * STEP, WEST + cols * STEP, NORTH)
        return GeoBox.from_bbox(box, crs=self.crs, shape=(rows, cols))

    def inputs(
        self,
        folder: Path,
        window: tuple[int, int, int, int] | None = None,
        threads: int = 1,
        scheduler: str | None = None,
    ) -> Inputs:
        row, col, height, width = window or (0, 0, *self.shape)
        grid = self.grid[row : row + height, col : col + width]
        rasters = {
            role: Array(layer, values, unit, (row, col), times)
            for role, (layer, values, unit, times) in self.rasters.items()
        }
        return Inputs(grid, rasters, self.frames, self.rules, {}, str(folder), threads=threads, scheduler=scheduler)

    def run(
        self,
        folder: Path,
        *,
        block: int = 1024,
        window: tuple[int, int, int, int] | None = None,
        threads: int = 1,
        scheduler: str | None = None,
        progress: Any = lambda share, text: None,
        **parameters: Any,
    ) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
        inputs = self.inputs(folder, window, threads, scheduler)
        out = Memory(inputs.grid.shape.yx)
        result = DualEvaluation(block).run(inputs, DualEvaluationParameters(**parameters), out, progress)
        assert set(out.rasters) == set(DualEvaluation.rasters)
        return out.rasters, result

    def without(self, role: str) -> Province:
        return Province(
            {r: v for r, v in self.rasters.items() if r != role},
            {r: f for r, f in self.frames.items() if r != role},
            self.rules,
        )

    def change(self, role: str, how: Callable[[np.ndarray], np.ndarray | None]) -> None:
        layer, values, unit, times = self.rasters[role]
        values = values.astype(np.float32)
        changed = how(values)
        self.rasters[role] = (layer, values if changed is None else changed, unit, times)


def full(shape: tuple[int, int], *values: float) -> np.ndarray:
    return np.stack([np.full(shape, v, np.float32) for v in values])


def even(rows: int = 8, cols: int = 8) -> Province:
    """A flat dryland at 30 m with 1,200 mm, 16 ℃, a loam, clean soil, no hazard: the best grade of everything."""
    shape = (rows, cols)
    return Province(
        {
            "dem": ("dem", full(shape, 30), "m", 1),
            "rain": ("rain-monthly", monthly(shape), "mm", 1),
            "temperature": ("temperature-monthly", full(shape, *[16] * 12), "degC", 1),
            "humidity": ("humidity-monthly", full(shape, *[70] * 12), "%", 1),
            "wind": ("wind", full(shape, 4, 2), "m/s", 1),
            "geohazard": ("geohazard", full(shape, 5), "1", 1),
            "soil": ("soil", full(shape, 40, 40, 20, 1.2), "%", 1),
            "soil_quality": ("soil-quality", full(shape, 6, 0.1, 0.1, 10, 30, 60), "mg/kg", 1),
            "meteorological_hazards": ("meteorological-hazards", full(shape, *[0.1] * 5), "1", 1),
            "carbonate": ("carbonate", full(shape, 0), "%", 1),
            "ndvi": ("ndvi", full(shape, 0.8, 0.3), "1", 1),
            "land_use": ("land-use", full(shape, DRYLAND), "1", 1),
        }
    )


def counties(rows: int, cols: int) -> geopandas.GeoDataFrame:
    west = (cols - 4) // 2
    return frame(
        [cell_box(2, 2, rows - 4, west), cell_box(2, 2 + west, rows - 4, cols - 4 - west)],
        code=["420101", "420202"],
        name=["甲县", "乙县"],
        prefecture_code=["420100", "420200"],
        prefecture=["甲市", "乙市"],
    )


def capacity() -> geopandas.GeoDataFrame:
    rows = {
        "code": ["420101", "420202"],
        "name": ["甲县", "乙县"],
        "prefecture": ["甲市", "乙市"],
        "water_total_m3": [1e8, 3e7],
        "k_agri": [0.5, 0.4],
        "k_urban": [0.4, 0.5],
        "k_eco": [0.1, 0.1],
        "irrigation_quota_m3_per_mu": [400.0, 350.0],
        "irrigation_efficiency": [0.5, 0.55],
        "water_demand_per_capita_m3": [200.0, 190.0],
        "urban_land_per_capita_m2": [100.0, 95.0],
        "population": [100_000, 60_000],
        "urban_population": [50_000, 20_000],
        "cropland_km2": [40.0, 30.0],
        "rainfed_share": [0.4, 0.5],
        "built_up_km2": [5.0, 2.0],
    }
    return frame([centre(4, 4), centre(18, 26)], **rows)


def varied(rows: int = 26, cols: int = 34, seed: int = 3) -> Province:
    """A small province with every input on grids of their own, every class in it, two counties."""
    rng = np.random.default_rng(seed)
    dem = np.cumsum(np.cumsum(rng.normal(0, 16, (rows, cols)), axis=0), axis=1).astype(np.float32)
    dem[:, 24:] += rng.uniform(0, 1100, (rows, cols - 24))  # mountains in the east
    dem += 20 - dem.min()

    def coarse(times: int, low: Any, high: Any, bands: int = 1) -> np.ndarray:
        shape = (bands, -(-rows // times), -(-cols // times))
        return rng.uniform(low, high, shape).astype(np.float32)

    season = (13 - 12 * np.cos(2 * np.pi * np.arange(12) / 12))[:, None, None].astype(np.float32)
    sand, clay = coarse(3, 5, 60), coarse(3, 3, 30)
    quality = np.concatenate(
        [
            coarse(4, 4.8, 8),
            coarse(4, 0.05, 0.9),
            coarse(4, 0.02, 0.3),
            coarse(4, 5, 30),
            coarse(4, 20, 60),
            coarse(4, 30, 90),
        ]
    )
    quality[1].flat[::11] = 5.0  # cadmium above the control value
    use = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], (1, rows, cols)).astype(np.float32)
    hazard = rng.choice([1, 2, 3, 4, 5], (1, rows, cols), p=[0.1, 0.1, 0.1, 0.2, 0.5]).astype(np.float32)
    use[0, 13, 5:7], hazard[0, 13, 5:7] = TOWN, 1  # a town where no town may be, in a national reserve
    return Province(
        {
            "dem": ("dem", dem[np.newaxis], "m", 1),
            "rain": ("rain-monthly", coarse(6, 40, 160, 12), "mm", 6),
            "temperature": ("temperature-monthly", season + coarse(6, -2, 2, 12), "degC", 6),
            "humidity": ("humidity-monthly", coarse(9, 55, 90, 12), "%", 9),
            "wind": ("wind", np.concatenate([coarse(2, 0.5, 6), coarse(2, 1, 45)]), "m/s", 2),
            "geohazard": ("geohazard", hazard, "1", 1),
            "soil": ("soil", np.concatenate([sand, 100 - sand - clay, clay, coarse(3, 0.5, 3)]), "%", 3),
            "soil_quality": ("soil-quality", quality, "mg/kg", 4),
            "meteorological_hazards": ("meteorological-hazards", coarse(5, 0, 1, 5), "1", 5),
            "carbonate": ("carbonate", np.maximum(coarse(2, -40, 100), 0), "%", 2),
            "ndvi": ("ndvi", np.concatenate([coarse(1, 0.05, 0.95), coarse(1, 0, 0.05)]), "1", 1),
            "land_use": ("land-use", use, "1", 1),
        },
        {
            "counties": counties(rows, cols),
            "lakes": frame([cell_box(8, 6, 3, 4)]),
            "rivers": frame([cell_box(0, 20, rows, 1)], name=["长江"]),
            "roads": frame(
                [
                    LineString([centre(4, 4), centre(18, 26)]),
                    LineString([centre(4, 4), centre(4, 24), centre(18, 26)]),
                ],
                **{"class": ["provincial", "expressway"]},
            ),
            "seats": frame([centre(4, 4), centre(18, 26)], level=["province", "county"]),
            "reserves": frame(
                [cell_box(12, 4, 4, 5), cell_box(15, 20, 5, 5)], name=["一", "二"], level=["国家级", "省级"]
            ),
            "farmland": frame([cell_box(5, 12, 6, 9)]),
            "capacity": capacity(),
        },
    )


def chain_of(result: AnalysisResult, name: str) -> Chain:
    return Chain.model_validate(result.explanations[name].chain)


def knock_outs_of(result: AnalysisResult, name: str) -> Chain:
    return Chain.model_validate(result.explanations[name].knock_outs)


def assessed(result: AnalysisResult) -> dict[str, bool]:
    return {factor.id: factor.assessed for factor in result.factors}


def identical(left: dict[str, dict[str, np.ndarray]], right: dict[str, dict[str, np.ndarray]]) -> bool:
    return set(left) == set(right) and all(same(left[name], right[name]) for name in left)
