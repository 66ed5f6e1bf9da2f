"""The analysis ``land-cover``: samples → tested classifier → class, probability, entropy and area of applicability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.landcover.applicability import Applicability
from analyses.landcover.change import DM2
from analyses.landcover.classifier import PROBABILITY_STEP, Classifier, entropy
from analyses.landcover.features import FeatureStack
from analyses.landcover.parameters import LandCoverParameters
from analyses.landcover.result import (
    INSIDE,
    OUTSIDE,
    accuracy,
    by_unit,
    check_grid,
    class_areas,
    class_bands,
    class_style,
    class_titles,
    probability_bands,
    probability_style,
    reference_codes,
    unit_style,
    validation_rows,
)
from analyses.landcover.rules import LandCoverRules, land_cover_rules
from analyses.landcover.samples import Samples, labels_of, on_grid, read_samples, thinned, training_cells
from analyses.landcover.training import Trained, factors, notes, train_land_cover
from analyses.masks import scratch_array
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
)

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["LandCover"]

SCENES = ("scene", "scene_2")


@dataclass(frozen=True)
class _Predict:
    """What is done with a block."""

    features: FeatureStack
    classifier: Classifier
    area: Applicability | None
    blank_outside: bool

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        height, width = window[2:]
        x = self.features.read(*window)
        n = x.shape[0]
        valid = self.classifier.valid(x)
        code = np.zeros(n, dtype=np.uint8)
        applicable = np.zeros(n, dtype=np.uint8)
        probability = np.full((n, len(self.classifier.classes)), np.nan, dtype=np.float32)
        disorder = np.full(n, np.nan, dtype=np.float32)
        index = np.full(n, np.nan, dtype=np.float32)
        if valid.any():
            p = self.classifier.probabilities(x[valid])
            # Of classes that are equally probable the one with the smallest code.
            code[valid] = np.asarray(self.classifier.classes, dtype=np.uint8)[p.argmax(axis=1)]
            probability[valid] = np.rint(p / PROBABILITY_STEP) * PROBABILITY_STEP
            disorder[valid] = np.rint(entropy(p) / PROBABILITY_STEP) * PROBABILITY_STEP
            if self.area is not None:
                found = self.area.index(x[valid])
                index[valid] = found
                applicable[valid] = np.where(self.area.inside(found), INSIDE, OUTSIDE)
                if self.blank_outside:
                    code[applicable == OUTSIDE] = 0
        return {
            "class": code.reshape(height, width),
            "applicable": applicable.reshape(height, width),
            "probability": np.ascontiguousarray(probability.T).reshape(-1, height, width),
            "entropy": disorder.reshape(height, width),
            "dissimilarity": index.reshape(height, width),
            "valid": np.array([int(valid.sum())]),
        }


class LandCover:
    """Land-cover classification (地表覆盖分类) of a scene from labelled polygons.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "land-cover"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="地表覆盖分类", en="Land-cover classification")
    description: ClassVar[Text] = Text(
        zh="由影像和样本多边形训练分类器（随机森林或直方图梯度提升），按多边形分组交叉验证，给出类别、概率、熵与适用域；"
        "有独立参考样本时给出面积与精度的估计和置信区间。",
        en="Trains a classifier (random forest or histogram gradient boosting) on sample polygons of a scene, tests it by "
        "whole polygons, and gives class, probabilities, entropy and area of applicability; with an independent reference "
        "sample also areas and accuracies with confidence intervals.",
    )
    method: ClassVar[str] = (
        "随机森林 Breiman 2001；直方图梯度提升 Ke et al. 2017；适用域 Meyer & Pebesma 2021；面积与精度 Olofsson et al. 2014；"
        "docs/methods/land-cover.md"
    )
    parameters: ClassVar[type[Parameters]] = LandCoverParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("scene", "surface-reflectance", "raster", Text(zh="影像", en="Scene")),
        InputSpec("samples", "landcover-samples", "vector", Text(zh="训练样本", en="Training samples"), extent="whole"),
        InputSpec("counties", "counties", "vector", Text(zh="县级单元", en="County units"), True, extent="whole"),
    )
    base: ClassVar[str] = "scene"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "land-cover")
    rasters: ClassVar[dict[str, Text]] = {
        "class": title,
        "probability": Text(zh="地表覆盖各类概率", en="Class probabilities of land cover"),
        "entropy": Text(zh="地表覆盖不确定性（熵）", en="Uncertainty of land cover (entropy)"),
        "applicability": Text(zh="地表覆盖适用域（相异指数）", en="Applicability of land cover (dissimilarity index)"),
    }

    def __init__(self, block: int = 512) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: LandCoverParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        scene, samples, counties = cls.inputs
        found = [replace(scene, layer=parameters.scene), replace(samples, layer=parameters.samples), counties]
        if parameters.scene_2 is not None:
            found.append(
                InputSpec(
                    "scene_2", parameters.scene_2, "raster", Text(zh="另一季节影像", en="Scene of another season")
                )
            )
        if parameters.elevation is not None:
            found.append(
                InputSpec(
                    "elevation",
                    parameters.elevation,
                    "raster",
                    Text(zh="高程", en="Elevation"),
                    resampling="bilinear",
                )
            )
        if parameters.reference is not None:
            found.append(
                InputSpec(
                    "reference",
                    parameters.reference,
                    "vector",
                    Text(zh="参考样本", en="Reference samples"),
                    extent="whole",
                )
            )
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: LandCoverParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Classify every cell of the run's grid; the samples of the whole layer train, wherever the window is.

        Returns
        -------
        AnalysisResult
            Rasters ``class`` (uint8: class, applicable), ``probability`` (float32, one band a class), ``entropy``
            (float32, 0–1), ``applicability`` (float32, dissimilarity index); tables ``totals``, ``by_county``,
            ``cross_validation``, ``cross_validation_by_class``, ``importance``, ``accuracy``, ``error_matrix``.

        Raises
        ------
        CRSMismatch, GridMismatch
            If the run's grid is not north up in EPSG:4490, the samples have no CRS, or a reader does not keep to the grid.
        LayerEmpty
            If no sample lies on valid data, or the window has no valid cell.
        QualityViolation
            For digital numbers instead of reflectance, bands that are missing or too many, labels that are not of the
            scheme, a samples layer without the class field, too few polygons or classes.
        """
        check_grid(inputs.grid)
        rules = land_cover_rules(inputs.rules)
        features = FeatureStack(
            {role: inputs.rasters[role] for role in SCENES if role in inputs.rasters},
            inputs.rasters.get("elevation"),
            rules,
            parameters.indices,
        )
        features.check_bands()
        progress(0.0, "读取样本 reading the samples")
        samples = self._samples(inputs, parameters, features, rules)
        progress(0.05, "训练与检验 training and testing")
        trained = train_land_cover(
            samples,
            features.names,
            parameters,
            folds=rules.cross_validation.folds,
            threads=inputs.threads,
            progress=lambda share: progress(0.05 + 0.2 * share, "训练与检验 training and testing"),
        )
        progress(0.25, "分类 classifying")
        codes, dm2 = self._map(inputs, parameters, outputs, features, trained, rules, progress)
        progress(0.95, "统计 statistics")
        titles = class_titles(rules, trained.classifier.classes)
        counties = inputs.frames.get("counties")
        tables: dict[str, Any] = {"totals": class_areas(dm2, titles)}
        if counties is not None and len(counties):
            tables["by_county"] = by_unit(codes, inputs.grid, counties, titles)
        tables |= validation_rows(trained.validation, samples, rules, trained.area)
        if trained.area is not None:
            weights = zip(features.names, trained.validation.importance, strict=True)
            tables["importance"] = [{"feature": name, "importance": round(float(w), 6)} for name, w in weights]
        estimate = self._accuracy(inputs, parameters, codes, dm2, rules, tables)
        result = AnalysisResult(factors(trained, rules, estimate), tables, notes(trained, rules))
        progress(1.0, "完成 done")
        return result

    def _samples(
        self, inputs: Inputs, parameters: LandCoverParameters, features: FeatureStack, rules: LandCoverRules
    ) -> Samples:
        layer = parameters.samples
        frame = on_grid(inputs.frames["samples"], inputs.grid, layer=layer)
        if frame.empty:
            raise LayerEmpty(
                f"样本图层 {layer} 没有要素，请先画样本",
                f"sample layer {layer} has no feature; draw samples first",
                layer=layer,
            )
        codes = labels_of(frame, parameters.class_field, parameters.class_mapping, rules.by_code, layer=layer)
        cells = training_cells(frame.geometry.array, codes, inputs.grid, all_touched=parameters.all_touched)
        found = read_samples(cells, features, partial=parameters.method == "gradient_boosting", layer=layer)
        return thinned(found, parameters.samples_per_class, parameters.seed)

    def _map(
        self,
        inputs: Inputs,
        parameters: LandCoverParameters,
        outputs: Outputs,
        features: FeatureStack,
        trained: Trained,
        rules: LandCoverRules,
        progress: Progress,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Write the rasters block by block; codes (memory-mapped) and dm² by code."""
        codes = trained.classifier.classes
        nan = float("nan")
        classes = outputs.raster(
            "class",
            bands=class_bands(rules, codes, assessed=trained.area is not None),
            dtype="uint8",
            nodata=0,
            title=self.title,
            style=class_style(rules, codes),
        )
        bands = probability_bands(rules, codes)
        chances = outputs.raster(
            "probability",
            bands=bands,
            dtype="float32",
            nodata=nan,
            title=self.rasters["probability"],
            style=probability_style(bands),
        )
        band = Band(name="entropy", title=Text(zh="归一化熵", en="Normalised entropy"), unit="1", valid_range=(0, 1))
        disorder = outputs.raster(
            "entropy",
            bands=(band,),
            dtype="float32",
            nodata=nan,
            title=self.rasters["entropy"],
            style=unit_style("entropy", band.title, ("#1a9850", "#fee08b", "#d73027"), 1.0),
        )
        index = None
        if trained.area is not None:
            band = Band(
                name="dissimilarity",
                title=Text(zh="相异指数", en="Dissimilarity index"),
                unit="1",
                valid_range=(0, 1e9),
            )
            index = outputs.raster(
                "applicability",
                bands=(band,),
                dtype="float32",
                nodata=nan,
                title=self.rasters["applicability"],
                style=unit_style(
                    "dissimilarity",
                    band.title,
                    ("#1a9850", "#fee08b", "#d73027"),
                    2 * max(trained.area.threshold, 0.05),
                ),
            )
        area = np.rint(cell_areas(inputs.grid) * DM2).astype(np.int64)
        kept: NDArray[np.uint8] = scratch_array(inputs.scratch, "land-cover", inputs.grid.shape.yx, np.uint8)
        dm2 = np.zeros(256, dtype=np.int64)
        valid = 0

        def settle(window: Window, found: Arrays) -> None:
            nonlocal valid
            row, col, height, width = window
            count = int(found["valid"][0])
            valid += count
            if count == 0:
                return  # what nobody writes is no data
            classes.write(row, col, found["class"], band=1)
            disorder.write(row, col, found["entropy"])
            for number, values in enumerate(found["probability"], start=1):
                chances.write(row, col, values, band=number)
            if index is not None:
                classes.write(row, col, found["applicable"], band=2)
                index.write(row, col, found["dissimilarity"])
            kept[row : row + height, col : col + width] = found["class"]
            for k in range(height):
                dm2[:] += np.bincount(found["class"][k], minlength=256) * area[row + k]

        run_blocks(
            _Predict(features, trained.classifier, trained.area, parameters.outside == "blank"),
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=settle,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.25 + 0.7 * share, "分类 classifying"),
            inline_cells=self.block * self.block,
        )
        if valid == 0:
            _no_data(parameters)
        dm2[0] = 0
        return kept, dm2

    def _accuracy(
        self,
        inputs: Inputs,
        parameters: LandCoverParameters,
        codes: NDArray[np.uint8],
        dm2: NDArray[np.int64],
        rules: LandCoverRules,
        tables: dict[str, Any],
    ) -> Factor | None:
        """Estimates from the reference sample, if there is one; adds their tables."""
        if "reference" not in inputs.frames or parameters.reference is None:
            return None
        layer = parameters.reference
        frame = on_grid(inputs.frames["reference"], inputs.grid, layer=layer)
        truth = labels_of(frame, parameters.class_field, parameters.class_mapping, rules.by_code, layer=layer)
        mapped, where = reference_codes(frame, inputs.grid, codes)
        inside = _within(frame, where, on_grid(inputs.frames["samples"], inputs.grid, layer=parameters.samples))
        titles = class_titles(rules, sorted(rules.by_code))
        rows, matrix, factor = accuracy(mapped[~inside], truth[where][~inside], dm2, titles, rules)
        if rows:
            tables |= {"accuracy": rows, "error_matrix": matrix}
        if inside.any():
            factor = replace(
                factor,
                note=Text(
                    zh=f"{factor.note.zh}；{int(inside.sum())} 个落在训练多边形内，已去掉",
                    en=f"{factor.note.en}; {int(inside.sum())} inside training polygons were left out",
                ),
            )
        return factor


def _within(
    reference: geopandas.GeoDataFrame, where: NDArray[np.intp], samples: geopandas.GeoDataFrame
) -> NDArray[np.bool_]:
    """Which reference units touch a training polygon: they would test the classifier on what it knows."""
    import shapely

    tree = shapely.STRtree(np.asarray(samples.geometry.array, dtype=object))
    shapes = np.asarray(reference.geometry.array, dtype=object)[where]
    result = np.zeros(where.size, dtype=bool)
    if where.size:
        result[np.unique(tree.query(shapes, predicate="intersects")[0])] = True
    return result


def _no_data(parameters: LandCoverParameters) -> None:
    layer = parameters.scene
    if parameters.bbox is not None:
        raise InvalidParameter(
            f"bbox {list(parameters.bbox)} 内图层 {layer} 没有数据，请换一个范围",
            f"layer {layer} has no data in bbox {list(parameters.bbox)}; choose another one",
            parameter="bbox",
            value=list(parameters.bbox),
            layer=layer,
        )
    raise LayerEmpty(
        f"图层 {layer} 没有有效像元（全为无数据或云），请换一景",
        f"layer {layer} has no valid cell (all nodata or cloud); choose another scene",
        layer=layer,
    )
