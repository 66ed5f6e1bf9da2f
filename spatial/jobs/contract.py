"""What an analysis is: one class with one frozen parameter model, found by entry point ``spatial.analyses``.

An analysis knows no web and no database. It receives its inputs as readers on one grid, writes its result block by block
through a writer, and reports progress. The runner (`spatial.jobs.run`) gives it those, so that the library call, the
command and the OGC process are the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from spatial.catalog import LAYER_ID, Attribute, Band, Layer, Text

if TYPE_CHECKING:
    import geopandas
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox
    from pydantic.fields import FieldInfo

__all__ = [
    "ANY_GRID",
    "Analysis",
    "AnalysisResult",
    "Axis",
    "Explanation",
    "Factor",
    "InputSpec",
    "Inputs",
    "Outputs",
    "Parameters",
    "Progress",
    "RasterInput",
    "RasterOutput",
    "SceneBand",
    "SceneRecord",
    "SceneSeries",
    "bilingual",
    "layer_field",
    "parameter_texts",
]

ANY_GRID = 2**62
"""Value of ``short_cells`` of an analysis whose work does not grow with the grid (see `Analysis`)."""
Progress = Callable[[float, str], None]
"""Called with the share done (0–1) and a short bilingual text; raises `JobDismissed` to stop the work."""


def bilingual(zh: str, en: str, about_zh: str, about_en: str) -> dict[str, JsonValue]:
    """Title and description of a parameter in both languages, for ``Field(json_schema_extra=…)``.

    The process description, the command line and the portal show the one that the reader asked for.
    """
    return {"title_zh": zh, "title_en": en, "description_zh": about_zh, "description_en": about_en}


def layer_field[T: str | None](default: T, zh: str, en: str, about_zh: str, about_en: str) -> T:
    """A parameter that names a layer or a collection of scenes; its form is checked, whether there is one is not.

    Parameters
    ----------
    default : str or None
        None: the analysis does without the layer.
    zh, en, about_zh, about_en : str
        As in `bilingual`.

    Examples
    --------
    >>> class Flow(Parameters):
    ...     river: str = layer_field("yangtze-han", "河流", "River", "中心线。", "Centre lines.")
    >>> Flow(river="hankou-river").river
    'hankou-river'
    """
    return Field(default, pattern=LAYER_ID, json_schema_extra=bilingual(zh, en, about_zh, about_en))


def parameter_texts(name: str, field: FieldInfo) -> tuple[Text, Text]:
    """Title and description of a parameter; a field without `bilingual` texts has its name and its ``description``.

    Examples
    --------
    >>> title, about = parameter_texts("depth_m", Field(1.0, description="Depth, m."))
    >>> title.en, about.en
    ('depth m', 'Depth, m.')
    """
    extra = field.json_schema_extra
    given: Mapping[str, Any] = extra if isinstance(extra, Mapping) else {}
    title = field.title or name.replace("_", " ")
    about = field.description or title
    return (
        Text(zh=given.get("title_zh", title), en=given.get("title_en", title)),
        Text(zh=given.get("description_zh", about), en=given.get("description_en", about)),
    )


class Parameters(BaseModel):
    """Base of every parameter model. ``bbox`` limits a run to a window of the province."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bbox: tuple[float, float, float, float] | None = Field(
        None,
        json_schema_extra=bilingual(
            "范围",
            "Extent",
            "西、南、东、北（度，CRS84 经度在前）；不填则为基准栅格的全部范围。不能小于一个像元。",
            "West, south, east, north in degrees (CRS84); default: the whole base raster. At least one cell.",
        ),
    )


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A layer that the analysis reads. `optional` inputs that are missing make their factor «not assessed»."""

    role: str
    layer: str
    """Id of the layer; of a role of kind ``scenes`` that of a collection of scenes (see `spatial.scenes`)."""
    kind: Literal["raster", "vector", "scenes"]
    title: Text
    optional: bool = False
    resampling: Literal["exact", "bilinear", "nearest"] = "exact"
    """How a raster comes to the run's grid: ``exact`` demands the same grid (`GridMismatch` otherwise)."""
    extent: Literal["window", "whole"] = "window"
    """Features of a vector role: those that touch the run's grid, or all (a road leads out of the window and back)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Position of run cell i on a raster's own axis: ``(origin + i) · step + start``, in cells, 0 = first centre."""

    step: float
    start: float
    origin: int

    def positions(self, first: int, count: int) -> NDArray[np.float64]:
        """Positions of `count` run cells from `first` on; they depend on the cell alone, never on the block."""
        import numpy as np

        cells = np.arange(self.origin + first, self.origin + first + count, dtype=np.float64)
        return cells * self.step + self.start


class RasterInput(Protocol):
    """A raster read by window on the run's grid."""

    layer: Layer
    """Its definition: bands with units and classes, provenance."""
    layer_id: str
    version: str
    unit: str | None

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """float32 (height, width), NaN = nodata.

        `row` and `col` may be negative and the window may reach beyond the run's grid (halo): inside the raster it holds
        data there too, so that a run on a window and a run on the province agree; outside the raster it is NaN.
        """
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands in their order; an analysis asks for a band by its name, never by its place."""
        ...

    @property
    def source_shape(self) -> tuple[int, int]:
        """Rows and columns of the raster itself."""
        ...

    def source(self, *, band: int = 1) -> NDArray[np.float32]:
        """The whole raster on its own grid, float32, NaN = nodata; for rasters much coarser than the run's grid."""
        ...

    def axes(self) -> tuple[Axis, Axis]:
        """Where the run's rows and columns lie among the raster's own."""
        ...


@dataclass(frozen=True, slots=True)
class SceneBand:
    """How the numbers of one band of a scene are meant: ``value = stored · scale + offset``."""

    nodata: float | None
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scene (影像): when, by what, and its bands by common name."""

    id: str
    time: datetime
    """In UTC, with its zone."""
    platform: str
    bands: Mapping[str, SceneBand]
    properties: Mapping[str, Any]
    """Properties of the STAC item as they are: processing baseline, provider's flags, sun angles …"""


class SceneSeries(Protocol):
    """Scenes of one collection in the order of their time, read by window on the run's grid."""

    layer: Layer
    """The collection as a layer definition of kind ``scenes``: title, licence, mark of synthetic data."""
    version: str

    records: tuple[SceneRecord, ...]
    """The scenes that touch the run's grid, oldest first."""
    refused: tuple[tuple[str, str], ...]
    """Scenes of the collection that cannot be read at all: the reason in Chinese and English."""

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> NDArray[Any]:
        """Stored numbers (height, width) in the file's dtype, nearest cell; outside the scene its nodata value."""
        ...


@dataclass(frozen=True)
class Inputs:
    """Everything an analysis may read."""

    grid: GeoBox
    """Run grid, EPSG:4490, north up."""
    rasters: Mapping[str, RasterInput]
    """Role → raster; missing optional roles are absent."""
    frames: Mapping[str, geopandas.GeoDataFrame]
    """Role → features in EPSG:4490 that touch the grid's extent; all of them where the role's `extent` is ``whole``."""
    rules: Mapping[str, Any]
    """Rule files under ``layers/rules/`` by stem."""
    versions: Mapping[str, str]
    """Layer id → version, for provenance."""
    scratch: str
    """Folder for temporary files of this run; removed afterwards."""
    threads: int = 1
    """Threads that the run may use (`analyses.blocks.run_blocks`)."""
    scheduler: str | None = None
    """Dask scheduler whose workers compute the blocks; None: this process."""
    scenes: Mapping[str, SceneSeries] = field(default_factory=dict)
    """Role → scenes; missing optional roles are absent."""


class RasterOutput(Protocol):
    """A raster written by block on the run's grid; each cell of a band at most once, cells never written are nodata."""

    def write(self, row: int, col: int, values: NDArray[Any], *, band: int = 1) -> None:
        """Write a block whose first cell is (row, col): `encoder` and `put` in one."""
        ...

    @property
    def encoder(self) -> Callable[[int, int, NDArray[Any]], Any]:
        """Makes of first row, first column and values of a block what `put` takes; can be pickled, for any thread or worker."""
        ...

    def put(self, block: Any, *, band: int = 1) -> None:
        """Take a block that `encoder` made."""
        ...


class Outputs(Protocol):
    """Where an analysis puts its result."""

    def raster(
        self, name: str, *, bands: tuple[Band, ...], dtype: str, nodata: float, title: Text, style: Mapping[str, Any]
    ) -> RasterOutput:
        """Open the raster `name` on the run's grid; it is written aside and becomes a COG at the end."""
        ...

    def features(
        self,
        name: str,
        frame: geopandas.GeoDataFrame,
        *,
        fields: tuple[Attribute, ...],
        title: Text,
        style: Mapping[str, Any],
        kind: Literal["vector", "stations"] = "vector",
        time_field: str | None = None,
        station_field: str | None = None,
        id_field: str | None = None,
        class_field: str | None = None,
    ) -> None:
        """Keep the features `name` (EPSG:4490, columns as `fields`): a GeoPackage, and a vector layer when published.

        ``stations`` has one feature an observation, named by `station_field` and dated by `time_field`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Factor:
    """How one factor (单项指标) entered the result."""

    id: str
    title: Text
    assessed: bool
    note: Text
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a live tile and the explanation of a cell need (see `analyses.chain`)."""

    factors: str
    """Raster of the factor values; its bands have the names of the chain's factors."""
    chain: Mapping[str, Any]
    """The chain as JSON, with the limits and tables that the run used."""
    knock_outs: Mapping[str, Any] | None = None
    """The chain of the 2020 profile's knock-outs (一票否决), where there is one."""


@dataclass(frozen=True)
class AnalysisResult:
    """What an analysis returns besides its rasters."""

    factors: tuple[Factor, ...]
    tables: Mapping[str, Any] = field(default_factory=dict)
    """Name → list of rows (JSON-able), for example ``by_county``."""
    notes: tuple[Text, ...] = ()
    explanations: Mapping[str, Explanation] = field(default_factory=dict)
    """Result raster → how each of its cells came to its class."""


class Analysis(Protocol):
    """One question; the class is registered under the entry point group ``spatial.analyses``.

    An analysis that can be quick has a class attribute ``short_cells`` besides: the largest run grid, in cells, on which every
    run takes at most five seconds of processor time and 500 MB (`ANY_GRID`: on every grid). Such a run does not stand behind
    long ones (`spatial.jobs.lanes`). Without it every run is long. The value is measured, not estimated:
    ``docs/decisions/0013-lanes-of-the-queue.md`` has the figures.
    """

    id: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[Text]
    description: ClassVar[Text]
    method: ClassVar[str]
    """Clause of the method that it follows, for provenance."""
    parameters: ClassVar[type[Parameters]]
    inputs: ClassVar[tuple[InputSpec, ...]]
    """Layers that every run reads. An analysis whose parameters choose them has a classmethod
    ``inputs_of(parameters) -> tuple[InputSpec, ...]`` beside it, which is asked instead."""
    base: ClassVar[str]
    """Role of the raster whose grid is the run's grid. Of a role of kind ``scenes`` it is the grid of that collection, of
    kind ``vector`` one of 30″ cells over its features, for runs that write no raster."""
    result_theme: ClassVar[tuple[str, ...]]
    rasters: ClassVar[Mapping[str, Text]]
    """Result rasters: name → title; the first is the result, the others explain it (unless the class has
    ``equal_rasters = True``: then each layer and file bears the name of its raster). Result features have names of
    their own, which are titled where they are made (`Outputs.features`)."""

    def run(self, inputs: Inputs, parameters: Any, outputs: Outputs, progress: Progress) -> AnalysisResult: ...
