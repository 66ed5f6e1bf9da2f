"""Styles (样式) of layers: the ``style:`` block of a layer YAML, checked, and turned into colours.

One object feeds everything that shows the layer: raster tiles, drawn vector tiles, the legend and the portal. A style
that names a field, a band or a key that does not exist is refused with the nearest name that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spatial.catalog import Catalog, Layer, Text
from spatial.errors import LayerDefinitionInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Categories",
    "Classes",
    "Graduated",
    "Hillshade",
    "Label",
    "Picture",
    "Ramp",
    "RasterStyle",
    "Single",
    "Stop",
    "Style",
    "Symbol",
    "VectorStyle",
    "check_styles",
    "class_index",
    "ramp_colours",
    "raster_style",
    "rgba",
    "style_of",
]

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Symbol(_Model):
    """How one feature is drawn: fill and stroke colours, stroke width and point radius in CSS pixels."""

    fill: Colour | None = None
    stroke: Colour | None = None
    width: float = Field(1.0, ge=0, le=20)
    radius: float = Field(4.0, gt=0, le=50)


class Label(_Model):
    """Text beside a feature (注记), from a field, shown from a zoom on."""

    field: str
    min_zoom: int = Field(0, ge=0, le=24)


class Single(Symbol):
    """All features alike (单一符号)."""

    type: Literal["single"]
    label: Label | None = None


class Category(Symbol):
    """Symbol of one value."""

    value: str | int | float | bool
    title: Text


class Categories(_Model):
    """A symbol per value of a field (分类符号)."""

    type: Literal["categories"]
    field: str
    classes: tuple[Category, ...] = Field(min_length=1)
    default: Symbol | None = None
    label: Label | None = None

    @model_validator(mode="after")
    def _once(self) -> Categories:
        _require_unique([(type(c.value).__name__, c.value) for c in self.classes], "classes: value")
        return self

    def symbol(self, value: Any) -> Symbol | None:
        """Symbol of a feature by its value; `default` for others, None if there is no default."""
        return next((c for c in self.classes if c.value == value and value is not None), self.default)


class Interval(Symbol):
    """Symbol of the values in ``[min, max)``; an absent bound is open."""

    min: float | None = None
    max: float | None = None
    title: Text

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"min {self.min:g} must be below max {self.max:g}")
        return self


class Graduated(_Model):
    """A symbol per interval of a numeric field (分级符号)."""

    type: Literal["graduated"]
    field: str
    classes: tuple[Interval, ...] = Field(min_length=1)
    default: Symbol | None = None
    label: Label | None = None

    @model_validator(mode="after")
    def _disjoint(self) -> Graduated:
        for before, after in pairwise(self.classes):
            if before.max is None or after.min is None or after.min < before.max:
                raise ValueError("classes: intervals must be ascending and must not overlap")
        return self

    def symbol(self, value: Any) -> Symbol | None:
        """Symbol of a feature by its value; `default` outside every interval."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            for c in self.classes:
                if (c.min is None or value >= c.min) and (c.max is None or value < c.max):
                    return c
        return self.default


class RasterClass(_Model):
    """Colour of one class code."""

    value: int
    color: Colour
    title: Text


RasterClasses = Annotated[tuple[RasterClass, ...], Field(min_length=1, max_length=255)]


class Classes(_Model):
    """A colour per class code (分类着色); other codes are transparent.

    Codes of another band mean something else (a class 2, a limiting factor 2): ``bands`` has the classes of such bands.
    """

    type: Literal["classes"]
    band: str | None = None
    classes: RasterClasses
    bands: dict[str, RasterClasses] = {}

    @model_validator(mode="after")
    def _once(self) -> Classes:
        for name, classes in (("classes", self.classes), *self.bands.items()):
            _require_unique([c.value for c in classes], f"{name}: value")
        return self

    def of_band(self, name: str | None) -> Classes:
        """The style of one band; the layer's own where `bands` does not name it."""
        if name not in self.bands:
            return self
        return Classes(type="classes", band=name, classes=self.bands[name])


class Stop(_Model):
    """Colour at one value of a ramp."""

    value: float = Field(allow_inf_nan=False)
    color: Colour


def _ascending(stops: tuple[Stop, ...]) -> tuple[Stop, ...]:
    if any(a.value >= b.value for a, b in pairwise(stops)):
        raise ValueError("stops must ascend by value")
    return stops


class Ramp(_Model):
    """Colours linear between stops (渐变着色), clamped outside."""

    type: Literal["ramp"]
    band: str | None = None
    stops: tuple[Stop, ...] = Field(min_length=2, max_length=64)
    title: Text | None = None

    _check = field_validator("stops")(_ascending)


class Hillshade(_Model):
    """Shaded relief (地貌晕渲), grey or over an elevation tint (分层设色)."""

    type: Literal["hillshade"]
    band: str | None = None
    azimuth: float = Field(315, ge=0, le=360)
    altitude: float = Field(45, gt=0, le=90)
    z_factor: float = Field(1, gt=0, le=100)
    tint: tuple[Stop, ...] | None = Field(None, min_length=2, max_length=64)

    @field_validator("tint")
    @classmethod
    def _check(cls, tint: tuple[Stop, ...] | None) -> tuple[Stop, ...] | None:
        return None if tint is None else _ascending(tint)


class Picture(_Model):
    """Three bands of 0–255 as red, green and blue (真彩色影像); a band asked for by name is shown in grey."""

    type: Literal["picture"]
    band: None = None
    channels: tuple[str, str, str]


VectorStyle = Single | Categories | Graduated
RasterStyle = Classes | Ramp | Hillshade | Picture
Style = VectorStyle | RasterStyle
_VECTOR: dict[str, type[Single] | type[Categories] | type[Graduated]] = {
    "single": Single,
    "categories": Categories,
    "graduated": Graduated,
}
_RASTER: dict[str, type[Classes] | type[Ramp] | type[Hillshade] | type[Picture]] = {
    "classes": Classes,
    "ramp": Ramp,
    "hillshade": Hillshade,
    "picture": Picture,
}
_KEYS = sorted(
    {
        name
        for model in (*_VECTOR.values(), *_RASTER.values(), Symbol, Label, Category, Interval, RasterClass, Stop)
        for name in model.model_fields
    }
)


def _require_unique(values: Sequence[Any], what: str) -> None:
    twice = {v for v in values if values.count(v) > 1}
    if twice:
        raise ValueError(f"{what} {sorted(map(str, twice))} stands twice")


def _near(name: str, allowed: Iterable[str]) -> tuple[str, str]:
    """Endings of a message, zh and en, that name the nearest or all allowed names."""
    allowed = list(allowed)
    near = get_close_matches(name, allowed, n=2, cutoff=0.5)
    if near:
        return f"，是否为 {'、'.join(near)}？", f", did you mean {', '.join(near)}?"
    return f"，可用：{'、'.join(allowed)}", f", use one of {', '.join(allowed)}"


def _refuse(layer: Layer, zh: str, en: str) -> LayerDefinitionInvalid:
    return LayerDefinitionInvalid(f"图层 {layer.id} 的样式：{zh}", f"layer {layer.id}, style: {en}", layer=layer.id)


def style_of(layer: Layer) -> Style:
    """Checked style of a layer.

    Raises
    ------
    LayerDefinitionInvalid
        Unknown type, key, field or band (with the nearest that exists), bad colour, intervals or stops out of order.

    Examples
    --------
    >>> from types import SimpleNamespace as N
    >>> layer = N(id="dem", is_vector=False, bands=(N(name="elevation"),), fields=(),
    ...           style={"type": "ramp", "stops": [{"value": 0, "colour": "#000000"}]})
    >>> try:
    ...     style_of(layer)
    ... except LayerDefinitionInvalid as error:
    ...     print("did you mean color?" in error.en)
    True
    """
    kinds: dict[str, Any] = dict(_VECTOR if layer.is_vector else _RASTER)
    found = layer.style.get("type")
    if not isinstance(found, str) or found not in kinds:
        zh, en = _near(str(found), kinds)
        raise _refuse(layer, f"没有类型 {found!r}{zh}", f"no type {found!r}{en}")
    try:
        style: Style = kinds[found].model_validate(layer.style)
    except ValidationError as error:
        problems = [_problem(e) for e in error.errors(include_url=False)[:5]]
        raise _refuse(layer, "；".join(zh for zh, _ in problems), "; ".join(en for _, en in problems)) from error
    _check_names(layer, style)
    return style


def _problem(error: Any) -> tuple[str, str]:
    place = ".".join(str(part) for part in error["loc"]) or "(root)"
    if error["type"] == "extra_forbidden":
        zh, en = _near(str(error["loc"][-1]), _KEYS)
        return f"{place}：没有这个键{zh}", f"{place}: no such key{en}"
    return f"{place}：{error['msg']}", f"{place}: {error['msg']}"


def _check_names(layer: Layer, style: Style) -> None:
    if isinstance(style, Classes | Ramp | Hillshade | Picture):
        names = [band.name for band in layer.bands]
        if style.band is not None and style.band not in names:
            zh, en = _near(style.band, names)
            raise _refuse(layer, f"没有波段 {style.band!r}{zh}", f"no band {style.band!r}{en}")
        for name in style.bands if isinstance(style, Classes) else style.channels if isinstance(style, Picture) else ():
            if name not in names:
                zh, en = _near(name, names)
                raise _refuse(layer, f"没有波段 {name!r}{zh}", f"no band {name!r}{en}")
        return
    names = [field.name for field in layer.fields]
    wanted = [] if isinstance(style, Single) else [style.field]
    wanted += [style.label.field] if style.label else []
    # A field that is not in the tiles cannot colour them.
    shown = [n for n in names if layer.tile_fields is None or n in layer.tile_fields]
    for name in wanted:
        if name not in names:
            zh, en = _near(name, names)
            raise _refuse(layer, f"没有字段 {name!r}{zh}", f"no field {name!r}{en}")
        if name not in shown:
            raise _refuse(
                layer, f"字段 {name!r} 不在 tile_fields 中，无法着色", f"field {name!r} is not among tile_fields"
            )
    if isinstance(style, Graduated):
        field = layer.field(style.field)
        if field is not None and field.type not in {"integer", "number"}:
            raise _refuse(layer, f"字段 {field.name!r} 不是数值型", f"field {field.name!r} is not numeric")


def raster_style(layer: Layer) -> RasterStyle:
    """Checked style of a raster layer; raises like `style_of`."""
    style = style_of(layer)
    if not isinstance(style, Classes | Ramp | Hillshade | Picture):
        raise TypeError(f"{layer.id} is a vector layer")
    return style


def check_styles(catalog: Catalog) -> None:
    """Raise `LayerDefinitionInvalid` for the first layer whose style is wrong."""
    for layer in catalog.values():
        style_of(layer)


@lru_cache(maxsize=4096)
def rgba(colour: str) -> tuple[int, int, int, int]:
    """Red, green, blue, alpha (0–255) of ``#rrggbb`` or ``#rrggbbaa``.

    >>> rgba("#ff8000"), rgba("#00000080")
    ((255, 128, 0, 255), (0, 0, 0, 128))
    """
    r, g, b, *a = bytes.fromhex(colour[1:])
    return r, g, b, a[0] if a else 255


def class_index(style: Classes, values: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Palette index of each pixel: 0 where masked or not in a class, else 1 + position of its class.

    Examples
    --------
    >>> t = {"zh": "水", "en": "water"}
    >>> style = Classes(type="classes", classes=[{"value": 7, "color": "#0000ff", "title": t},
    ...                                          {"value": 3, "color": "#00ff00", "title": t}])
    >>> class_index(style, np.array([[3, 7], [9, 7]]), np.array([[False, False], [False, True]]))
    array([[2, 1],
           [0, 0]], dtype=uint8)
    """
    codes = np.array([c.value for c in style.classes])
    order = np.argsort(codes)
    place = np.minimum(np.searchsorted(codes, values, sorter=order), len(codes) - 1)
    candidate = order[place]
    hit = (codes[candidate] == values) & ~mask
    index: NDArray[np.uint8] = np.where(hit, candidate + 1, 0).astype(np.uint8)
    return index


def ramp_colours(stops: Sequence[Stop], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Red, green, blue, alpha of each value, linear between stops and clamped; shape ``values.shape + (4,)``.

    Examples
    --------
    >>> stops = [Stop(value=0, color="#000000"), Stop(value=100, color="#64c8fe")]
    >>> ramp_colours(stops, np.array([-5.0, 50.0, 900.0])).tolist()
    [[0, 0, 0, 255], [50, 100, 127, 255], [100, 200, 254, 255]]
    """
    at = np.array([s.value for s in stops])
    colours = np.array([rgba(s.color) for s in stops], dtype=np.float64)
    out = np.empty((*values.shape, 4), dtype=np.uint8)
    for channel in range(4):
        column = colours[:, channel]
        out[..., channel] = column[0] if (column == column[0]).all() else np.rint(np.interp(values, at, column))
    return out
