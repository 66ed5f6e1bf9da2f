"""What a run gives back (分析结果), its provenance (溯源), and the layer that it becomes when it is published."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer, Source, Synthetic, Text
from spatial.errors import InvalidParameter
from spatial.jobs.contract import Analysis, AnalysisResult, Explanation, Parameters
from spatial.jobs.outputs import WrittenFeatures

if TYPE_CHECKING:
    import geopandas
    import xarray
    from odc.geo.geobox import GeoBox

    from spatial.jobs.inputs import OpenedInputs
    from spatial.jobs.outputs import WrittenRaster

__all__ = [
    "GEOPACKAGE",
    "GEOTIFF",
    "RunResult",
    "explanation_links",
    "provenance",
    "result_layer",
    "result_layer_id",
    "software_version",
]

GEOTIFF = "image/tiff; application=geotiff"
"""Media type of a result raster."""
GEOPACKAGE = "application/geopackage+sqlite3"
"""Media type of result features."""
_GRADES = ("公开", "内部", "敏感")


@dataclass(frozen=True)
class RunResult:
    """Result of one run, the same whichever way it was started.

    Attributes
    ----------
    analysis : str
    rasters : mapping of str to Path
        Name → COG, EPSG:4490.
    layers : mapping of str to str
        Name → id of the published layer; empty if it was not published.
    tables : mapping
        Name → list of rows.
    factors : tuple of dict
        How each factor entered the result; one that is missing is «not assessed».
    notes : tuple of dict
    provenance : mapping
    documents : mapping of str to Path
        ``docx``, ``pdf`` → file of the report; empty if none was written.
    features : mapping of str to Path
        Name → GeoPackage, EPSG:4490.
    """

    analysis: str
    rasters: Mapping[str, Path]
    layers: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[dict[str, Any], ...] = ()
    notes: tuple[dict[str, str], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, Path] = field(default_factory=dict)
    features: Mapping[str, Path] = field(default_factory=dict)

    @property
    def not_assessed(self) -> list[str]:
        """Ids of the factors that were not assessed (未评价)."""
        return [f["id"] for f in self.factors if not f["assessed"]]

    def open(self, name: str | None = None) -> xarray.DataArray:
        """A result raster as a georeferenced array (default: the first), nodata as NaN where it is floating point."""
        from spatial.jobs.arrays import open_cog

        name = name or next(iter(self.rasters), "")
        if name not in self.rasters:
            raise InvalidParameter(
                f"结果中没有栅格 {name!r}，现有：{'、'.join(self.rasters)}",
                f"no raster {name!r} in the result; there are {', '.join(self.rasters)}",
                parameter="name",
                allowed=list(self.rasters),
            )
        array = open_cog(self.rasters[name], name=name)
        array.attrs["provenance"] = json.dumps(self.provenance, ensure_ascii=False)
        return array

    def frame(self, name: str) -> geopandas.GeoDataFrame:
        """Result features as a GeoDataFrame, EPSG:4490."""
        import geopandas

        if name not in self.features:
            raise InvalidParameter(
                f"结果中没有要素 {name!r}，现有：{'、'.join(self.features)}",
                f"no features {name!r} in the result; there are {', '.join(self.features)}",
                parameter="name",
                allowed=list(self.features),
            )
        return geopandas.read_file(self.features[name])

    def table(self, name: str) -> Any:
        """A result table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.tables[name])

    def document(self) -> dict[str, Any]:
        """JSON-able form, without the paths of this machine."""
        return {
            "analysis": self.analysis,
            "rasters": {name: {"type": GEOTIFF} for name in self.rasters},
            "features": {name: {"type": GEOPACKAGE} for name in self.features},
            "layers": dict(self.layers),
            "documents": {kind: {"file": path.name} for kind, path in self.documents.items()},
            "tables": dict(self.tables),
            "factors": list(self.factors),
            "not_assessed": self.not_assessed,
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def __repr__(self) -> str:
        parts = [
            f"{kind}: {', '.join(names)}"
            for kind, names in (
                ("rasters", self.rasters),
                ("features", self.features),
                ("tables", self.tables),
                ("documents", self.documents),
                ("not assessed", self.not_assessed),
            )
            if names
        ]
        return f"<{self.analysis} {self.provenance.get('time', '')}; {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(f['title']['zh'])}</td><td>{'已评价' if f['assessed'] else '未评价 not assessed'}</td>"
            f"<td>{html.escape(f['note']['zh'])}</td></tr>"
            for f in self.factors
        )
        rasters = ", ".join(f"{html.escape(n)}: {html.escape(p.name)}" for n, p in self.rasters.items())
        return f"<b>{html.escape(self.analysis)}</b> {rasters}<table><tbody>{rows}</tbody></table>"


@lru_cache(maxsize=1)
def software_version() -> str:
    """Version of the distribution."""
    from importlib.metadata import version

    return version("onemap-hubei")


def provenance(
    analysis: type[Analysis],
    parameters: Parameters,
    opened: OpenedInputs,
    grid: GeoBox,
    result: AnalysisResult,
    *,
    revision: int,
    job_id: str | None,
    checksums: Mapping[str, tuple[str, str | None]],
) -> dict[str, Any]:
    """Inputs with versions, every parameter (defaults included), software, time, method, and what was not assessed.

    Parameters
    ----------
    checksums : mapping
        Layer id → (version, checksum of the file that was published as it). A delivered version has another file than the
        one that the layer's definition names.
    """

    def checksum(layer: Layer, version: str) -> str | None:
        published, found = checksums.get(layer.id, (None, None))
        return found if published == version else layer.source.sha256

    return {
        "analysis": analysis.id,
        "analysis_version": analysis.version,
        "title": analysis.title.model_dump(),
        "method": analysis.method,
        "software": {"name": "onemap-hubei", "version": software_version()},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "job": job_id,
        "parameters": parameters.model_dump(mode="json"),
        "inputs": [
            {
                "role": role,
                "layer": layer.id,
                "version": version,
                "title": layer.display_title().model_dump(),
                "sha256": checksum(layer, version),
                "licence": layer.source.licence,
                "attribution": layer.source.attribution.model_dump(),
                "synthetic": layer.synthetic is not None,
                "resampling": spec.resampling if spec.kind == "raster" else None,
            }
            for role, (spec, layer, version) in opened.used.items()
        ],
        "missing_inputs": [
            {"role": spec.role, "layer": spec.layer, "title": spec.title.model_dump()} for spec in opened.missing
        ],
        "not_assessed": [f.id for f in result.factors if not f.assessed],
        "synthetic": any(layer.synthetic is not None for _, layer, _ in opened.used.values()),
        "rules_sha256": opened.rules_sha256,
        "catalogue_revision": revision,
        "grid": {
            "crs": "EPSG:4490",
            "shape": [int(grid.shape.y), int(grid.shape.x)],
            "transform": [float(v) for v in grid.affine[:6]],
        },
    }


def explanation_links(explanations: Mapping[str, Explanation], layers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By raster, what its layer's provenance says of the chain behind it.

    A result names its ``factors_layer``; a layer of factors holds the ``chain`` and names its ``result_layer``.
    """
    links: dict[str, dict[str, Any]] = {}
    for result, told in explanations.items():
        links.setdefault(result, {})["factors_layer"] = layers[told.factors]
        links.setdefault(told.factors, {}).update(
            chain=dict(told.chain),
            knock_outs=None if told.knock_outs is None else dict(told.knock_outs),
            result_layer=layers[result],
        )
    return links


def result_layer_id(analysis_id: str, job_id: str, raster: str | None = None) -> str:
    """Id of the layer that a job publishes; the same for every attempt, so that a job never has two results.

    >>> result_layer_id("urban-suitability", "0f3a9c1e-0000-4000-8000-000000000000")
    'urban-suitability-0f3a9c1e'
    """
    name = f"{analysis_id}-{job_id.replace('-', '')[:8]}"
    return (name if raster is None else f"{name}-{raster.replace('_', '-')}")[:51]


def result_layer(
    layer_id: str,
    analysis: type[Analysis],
    written: WrittenRaster | WrittenFeatures,
    opened: OpenedInputs,
    record: Mapping[str, Any],
    sha256: str,
) -> Layer:
    """Definition of the published result: style of the analysis, provenance, and the synthetic mark of its inputs."""
    layers = [layer for _, layer, _ in opened.used.values()]
    made = [(layer.display_title(), layer.synthetic.seed) for layer in layers if layer.synthetic is not None]
    credits = list(dict.fromkeys((a.zh, a.en) for a in (layer.source.attribution for layer in layers)))
    not_assessed = [f.title for f in opened.missing]
    stamp = str(record["time"])
    described: dict[str, Any]
    if isinstance(written, WrittenFeatures):
        ending = "gpkg"
        described = {
            "kind": written.kind,
            "fields": written.fields,
            "time_field": written.time_field,
            "station_field": written.station_field,
            "id_field": written.id_field,
            "class_field": written.class_field,
        }
    else:
        ending = "tif"
        described = {"kind": "raster", "bands": written.bands}
    return Layer(
        id=layer_id,
        title=Text(zh=f"{written.title.zh}（{stamp[:10]}）", en=f"{written.title.en} ({stamp[:10]})"),
        description=Text(
            zh=f"{analysis.description.zh} 计算时间 {stamp}。"
            + (f" 缺少输入：{'、'.join(t.zh for t in not_assessed)}。" if not_assessed else ""),
            en=f"{analysis.description.en} Computed at {stamp}."
            + (f" Missing inputs: {', '.join(t.en for t in not_assessed)}." if not_assessed else ""),
        ),
        theme=analysis.result_theme,
        source=Source(
            uri=f"results/{layer_id}.{ending}",
            version="1",
            sha256=sha256,
            licence="; ".join(dict.fromkeys(layer.source.licence for layer in layers)),
            attribution=Text(
                zh=f"湖北一张图计算；输入：{'、'.join(zh for zh, _ in credits)}",
                en=f"computed by OneMap Hubei; inputs: {', '.join(en for _, en in credits)}",
            ),
            origin=f"{analysis.id} {analysis.version}, onemap-hubei {software_version()}, job {record['job']}",
        ),
        style=dict(written.style),
        # A result shows at least as much as its most restricted input.
        grade=max((layer.grade for layer in layers), key=_GRADES.index, default="公开"),
        synthetic=Synthetic(
            seed=made[0][1],
            recipe=Text(
                zh=f"由合成图层计算：{'、'.join(title.zh for title, _ in made)}",
                en=f"computed from synthetic layers: {', '.join(title.en for title, _ in made)}",
            ),
        )
        if made
        else None,
        keywords=("分析结果", "result", analysis.id),
        derived_from=tuple(dict.fromkeys(layer.id for layer in layers)),
        provenance=dict(record),
        **described,
    )
