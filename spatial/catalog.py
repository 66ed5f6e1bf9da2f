"""The catalogue (资源目录): one YAML file per layer under ``layers/``, checked against ``layers/schema.json``.

Adding a layer is adding a file. This module reads definitions only; which *version* of a layer is published is state
and belongs to `spatial.store.state`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from spatial.errors import LayerDefinitionInvalid, LayerNotFound

__all__ = [
    "LAYER_ID",
    "Attribute",
    "Band",
    "Catalog",
    "Layer",
    "Observed",
    "Quality",
    "Source",
    "Synthetic",
    "Text",
    "Theme",
    "attribute",
    "load_catalog",
]

FieldType = Literal["string", "integer", "number", "boolean", "date", "datetime"]
LAYER_ID = r"^[a-z][a-z0-9-]{0,50}$"
"""Form of the id of a layer or a collection; where `re` reads it, by ``fullmatch`` (``$`` lets a line feed pass)."""
Kind = Literal["vector", "raster", "scenes", "stations"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Model):
    """A text in Chinese and English."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Source(_Model):
    """Where the data of a layer come from."""

    uri: str = Field(description="Path below `ONEMAP_DATA_DIR`; a layer of a container as `file.gpkg#name`.")
    version: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,40}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Checksum of the file at `uri`.")
    licence: str
    attribution: Text
    origin: str = Field(description="Producer, package and version, path: enough to fetch it again.")

    @property
    def path(self) -> str:
        """File part of `uri`."""
        return self.uri.partition("#")[0]

    @property
    def container_layer(self) -> str | None:
        """Layer inside the container, if any."""
        return self.uri.partition("#")[2] or None


class Attribute(_Model):
    """One attribute (字段) of a vector layer."""

    name: str = Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    type: FieldType
    title: Text
    unit: str | None = None
    domain: dict[str, Text] | None = Field(None, description="Code → meaning (值域).")
    nullable: bool = True


def attribute(name: str, kind: FieldType, zh: str, en: str, unit: str | None = None, **more: Any) -> Attribute:
    """A field of a layer that code makes: a result, the cases of a desk.

    Examples
    --------
    >>> attribute("area_m2", "number", "椭球面积", "Ellipsoidal area", "m2").title.en
    'Ellipsoidal area'
    """
    return Attribute(name=name, type=kind, title=Text(zh=zh, en=en), unit=unit, **more)


class Band(_Model):
    """One band (波段) of a raster layer."""

    name: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")
    title: Text
    unit: str | None = None
    valid_range: tuple[float, float]
    domain: dict[int, Text] | None = Field(None, description="Class code → meaning.")


class Synthetic(_Model):
    """Mark of a layer that was made, not observed (合成数据)."""

    seed: int
    recipe: Text


class Observed(_Model):
    """When and with what a picture was taken (影像获取): an orthophoto is one flight a version."""

    time: AwareDatetime = Field(description="When the flight began.")
    gsd_m: float = Field(gt=0, description="Ground sampling distance (地面分辨率) of the delivered picture, m.")
    platform: str = Field(min_length=1, max_length=80)
    sensor: str | None = Field(None, max_length=80)
    source_crs: str = Field(description="CRS of the delivered picture.")


class Quality(_Model):
    """Quality rules (质检规则) that intake enforces."""

    unique: tuple[str, ...] = ()
    min_features: int = Field(1, ge=0)
    within_window: bool = True
    coverage: bool = Field(False, description="Polygons must neither overlap nor leave slivers.")


class Theme(_Model):
    """A node of the layer tree (专题)."""

    id: str
    title: Text
    children: tuple[Theme, ...] = ()


class Layer(_Model):
    """Definition of one layer (图层)."""

    id: str = Field(pattern=LAYER_ID)
    title: Text
    description: Text
    theme: tuple[str, ...] = Field(min_length=1, description="Path in `layers/themes.yml`, from the root.")
    kind: Kind
    source: Source
    crs: str = Field("EPSG:4490", description="CRS that the source file must declare.")
    fields: tuple[Attribute, ...] = ()
    id_field: str | None = Field(None, description="Integer-valued field used as feature id; else 1, 2, 3 … in order.")
    class_field: str | None = Field(None, description="Field by which small polygons are merged in low zooms.")
    tile_fields: tuple[str, ...] | None = Field(None, description="Attributes in vector tiles; default all.")
    time_field: str | None = None
    station_field: str | None = Field(
        None, description="Field that names the station of an observation (测站); default: every feature is a station."
    )
    bands: tuple[Band, ...] = ()
    style: dict[str, Any] = Field(description="See `tiles/styles.py`.")
    grade: Literal["公开", "内部", "敏感"] = "公开"
    quality: Quality = Quality()
    editable: bool = Field(
        False, description="Features may be created, replaced, updated and deleted (OGC API Features P4)."
    )
    locking: Literal["required", "guarded"] = Field(
        "guarded",
        description="Edits without `If-Match`: never, or only if nobody else has changed the feature in the last 30 minutes.",
    )
    synthetic: Synthetic | None = None
    keywords: tuple[str, ...] = ()
    attribution_note: Text | None = None
    department: Text | None = Field(None, description="Responsible department (责任部门); default the attribution.")
    period: tuple[date, date] | None = Field(None, description="First and last day that the data describe (资料时段).")
    min_zoom: int = Field(0, ge=0, le=22)
    max_zoom: int = Field(16, ge=0, le=22)
    series: Literal["readings", "snapshots"] | None = Field(
        None,
        description="Observations that are appended beside the versions: readings of sensors, snapshots of cameras.",
    )
    observed: Observed | None = Field(None, description="Flight that a version of an orthophoto (正射影像) is of.")
    derived_from: tuple[str, ...] = Field((), description="Layers that a result was computed from.")
    provenance: dict[str, Any] | None = Field(None, description="Provenance (溯源) of a computed layer.")

    @field_validator("grade", mode="before")
    @classmethod
    def _refuse_state_secrets(cls, value: Any) -> Any:
        if value in {"涉密", "秘密", "机密", "绝密"}:
            raise ValueError("涉密图层不得进入本系统 / classified layers are refused")
        return value

    @model_validator(mode="after")
    def _names_exist(self) -> Layer:
        names = {f.name for f in self.fields}
        for role in ("id_field", "class_field", "time_field", "station_field"):
            name = getattr(self, role)
            if name is not None and name not in names:
                raise ValueError(f"{role}: no field {name!r}")
        for name in (*(self.tile_fields or ()), *self.quality.unique):
            if name not in names:
                raise ValueError(f"no field {name!r}")
        if self.kind in {"vector", "stations"} and not self.fields:
            raise ValueError("a vector layer needs fields")
        if self.editable and not self.is_vector:
            raise ValueError("only a vector layer can be editable")
        if self.kind == "raster" and not self.bands:
            raise ValueError("a raster layer needs bands")
        if self.series is not None and (
            self.kind != "stations" or self.station_field is None or self.time_field is None
        ):
            raise ValueError("series: only stations with station_field and time_field have one")
        if self.observed is not None and self.kind != "raster":
            raise ValueError("observed: only a raster is a picture")
        if self.period is not None and self.period[0] > self.period[1]:
            raise ValueError("period: the first day is after the last")
        return self

    @property
    def is_vector(self) -> bool:
        """True for layers whose data are features."""
        return self.kind in {"vector", "stations"}

    def field(self, name: str) -> Attribute | None:
        """Field by name, or None."""
        return next((f for f in self.fields if f.name == name), None)

    def display_title(self) -> Text:
        """Title with the watermark of synthetic data (合成数据水印)."""
        if self.synthetic is None or "合成" in self.title.zh:
            return self.title
        return Text(zh=f"{self.title.zh}（合成示例）", en=f"{self.title.en} (synthetic sample)")


@dataclass(frozen=True)
class Catalog(Mapping[str, Layer]):
    """All layers by id, in file order; an immutable mapping."""

    layers: dict[str, Layer]
    themes: tuple[Theme, ...]

    def __getitem__(self, layer_id: str) -> Layer:
        try:
            return self.layers[layer_id]
        except KeyError:
            from difflib import get_close_matches

            near = get_close_matches(layer_id, self.layers, n=3)
            zh = f"；是否为 {'、'.join(near)}？" if near else ""
            en = f"; did you mean {', '.join(near)}?" if near else ""
            raise LayerNotFound(
                f"没有图层 {layer_id!r}{zh}", f"no layer {layer_id!r}{en}", layer=layer_id, near=near
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __contains__(self, layer_id: object) -> bool:
        return layer_id in self.layers

    def search(self, text: str) -> list[Layer]:
        """Layers whose id, title, description or keywords contain every word of `text` (case-insensitive)."""
        words = text.casefold().split()

        def haystack(layer: Layer) -> str:
            parts = [layer.id, layer.title.zh, layer.title.en, layer.description.zh, layer.description.en]
            return " ".join([*parts, *layer.keywords]).casefold()

        return [layer for layer in self.layers.values() if all(w in haystack(layer) for w in words)]

    def with_layers(self, extra: Mapping[str, Layer]) -> Catalog:
        """A new catalogue that also has `extra` (computed layers)."""
        return Catalog({**self.layers, **extra}, self.themes)


@lru_cache(maxsize=4)
def _schema(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def read_layer(path: Path) -> Layer:
    """One layer YAML, checked by ``schema.json`` beside it and by the model; an unchanged file is not read again.

    Raises
    ------
    LayerDefinitionInvalid
        Names the file, the place in it and the rule.
    """
    found = path.stat()
    return _read_layer(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1024)
def _read_layer(path: Path, _changed_ns: int, _size: int) -> Layer:
    import jsonschema
    import yaml

    try:
        document = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LayerDefinitionInvalid(
            f"{path.name} 不是合法的 YAML：{error}", f"{path.name} is not valid YAML: {error}", file=path.name
        ) from error
    schema = _schema(path.parent / "schema.json")
    problems = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(document), key=lambda e: list(map(str, e.absolute_path))
    )
    if problems:
        places = [f"{'/'.join(map(str, e.absolute_path)) or '(root)'}: {e.message}" for e in problems[:5]]
        raise LayerDefinitionInvalid(
            f"{path.name} 不符合 schema.json：{'；'.join(places)}",
            f"{path.name} breaks schema.json: {'; '.join(places)}",
            file=path.name,
            problems=places,
        )
    try:
        layer = Layer.model_validate(document)
    except ValueError as error:
        raise LayerDefinitionInvalid(f"{path.name}：{error}", f"{path.name}: {error}", file=path.name) from error
    if layer.id != path.stem:
        raise LayerDefinitionInvalid(
            f"{path.name}：id {layer.id!r} 应与文件名一致",
            f"{path.name}: id {layer.id!r} must equal the file name",
            file=path.name,
        )
    return layer


def load_catalog(folder: Path, *, broken: list[LayerDefinitionInvalid] | None = None) -> Catalog:
    """Every ``*.yml`` of a folder (``themes.yml`` is the layer tree).

    Parameters
    ----------
    folder : Path
    broken : list, optional
        Collects the errors of files that are not valid, which are then left out; without it the first one is raised.

    Raises
    ------
    LayerDefinitionInvalid
    """
    import yaml

    themes_file = folder / "themes.yml"
    if not themes_file.is_file():
        raise LayerDefinitionInvalid(
            f"图层目录 {folder} 缺少 themes.yml；请检查 ONEMAP_LAYERS_DIR",
            f"no themes.yml in {folder}; check ONEMAP_LAYERS_DIR",
            file="themes.yml",
        )
    themes = tuple(Theme.model_validate(t) for t in yaml.safe_load(themes_file.read_text("utf-8")))
    known = set(_paths(themes))
    layers: dict[str, Layer] = {}
    for path in sorted(folder.glob("*.yml")):
        if path.name == "themes.yml":
            continue
        try:
            layer = _read_placed(path, known)
        except LayerDefinitionInvalid as error:
            if broken is None:
                raise
            broken.append(error)
        else:
            layers[layer.id] = layer
    order = {path: i for i, path in enumerate(_paths(themes))}
    return Catalog(dict(sorted(layers.items(), key=lambda kv: (order[kv[1].theme], kv[0]))), themes)


def _read_placed(path: Path, themes: set[tuple[str, ...]]) -> Layer:
    """A layer whose theme stands in the layer tree."""
    layer = read_layer(path)
    if layer.theme not in themes:
        raise LayerDefinitionInvalid(
            f"{path.name}：themes.yml 中没有专题 {'/'.join(layer.theme)}",
            f"{path.name}: no theme {'/'.join(layer.theme)} in themes.yml",
            file=path.name,
        )
    return layer


def _paths(themes: tuple[Theme, ...], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for theme in themes:
        yield (*prefix, theme.id)
        yield from _paths(theme.children, (*prefix, theme.id))


class _CallableModule(ModuleType):
    """Lets ``sp.catalog()`` be the verb of the library although this module bears the same name."""

    def __call__(self) -> Any:
        # By name: the library stands above this module, and imports point one way.
        return import_module("spatial.library").catalog()


sys.modules[__name__].__class__ = _CallableModule
