"""Indices and composites of scenes (影像指数与合成): what a tile of a scene can show, from ``layers/rules/scene_indices.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from spatial.catalog import Text
from spatial.errors import InvalidParameter
from spatial.rule_files import read_rule_file
from tiles.styles import Stop, ramp_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SceneIndex", "index_colours", "scene_index", "scene_indices"]


class SceneIndex(BaseModel):
    """One picture of a scene."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    kind: Literal["rgb", "difference", "baseline"]
    bands: tuple[str, ...]
    range: tuple[float, float] | None = None
    """Reflectance that becomes black and white, of a composite."""
    wavelengths: tuple[float, float, float] | None = None
    """nm, of a baseline: peak, left, right."""
    stops: tuple[tuple[float, str], ...] = ()
    source: str

    @model_validator(mode="after")
    def _fits(self) -> SceneIndex:
        if len(self.bands) != {"rgb": 3, "difference": 2, "baseline": 3}[self.kind]:
            raise ValueError(f"{self.id}: wrong number of bands for {self.kind}")
        if (self.kind == "rgb") != (self.range is not None) or (self.kind == "rgb") == bool(self.stops):
            raise ValueError(f"{self.id}: a composite has a range, an index has stops")
        if (self.kind == "baseline") != (self.wavelengths is not None):
            raise ValueError(f"{self.id}: a baseline, and it alone, has wavelengths")
        return self


class _RuleFile(BaseModel):
    """The rule file; what it says of itself is not needed here."""

    model_config = ConfigDict(frozen=True)

    indices: tuple[SceneIndex, ...]


def scene_indices(layers_dir: Path) -> tuple[SceneIndex, ...]:
    """Every index of the rule file, in its order; none where there is no such file.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is no YAML or breaks the model.
    """
    if not (layers_dir / "rules" / "scene_indices.yml").is_file():
        return ()
    return read_rule_file(_RuleFile, layers_dir, "scene_indices").indices


def scene_index(layers_dir: Path, name: str) -> SceneIndex:
    """One index.

    Raises
    ------
    InvalidParameter
        Lists those that there are.
    """
    known = scene_indices(layers_dir)
    for index in known:
        if index.id == name:
            return index
    names = [index.id for index in known]
    raise InvalidParameter(
        f"没有影像指数 {name[:40]!r}，可用：{'、'.join(names)}",
        f"no index {name[:40]!r}; use one of {', '.join(names)}",
        parameter="index",
        allowed=names,
    )


def index_values(index: SceneIndex, bands: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Values of an index (not of a composite), NaN where a band has no data.

    Examples
    --------
    >>> ndwi = SceneIndex(id="x", title=Text(zh="x", en="x"), kind="difference", bands=("green", "nir"),
    ...                   stops=((0, "#000000"),), source="x")
    >>> index_values(ndwi, [np.float32([0.75, np.nan]), np.float32([0.25, 0.1])]).tolist()
    [0.5, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if index.kind == "difference":
            a, b = bands
            return np.asarray((a - b) / (a + b), dtype=np.float32)
        assert index.wavelengths is not None
        peak, left, right = bands
        at, low, high = index.wavelengths
        return np.asarray(peak - (left + (right - left) * np.float32((at - low) / (high - low))), dtype=np.float32)


def index_colours(index: SceneIndex, bands: Sequence[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Red, green, blue, alpha of each pixel, shape (rows, cols, 4); clear where a band has no data."""
    if index.kind == "rgb":
        assert index.range is not None
        low, high = index.range
        values = np.stack(bands, axis=-1)
        hollow = ~np.isfinite(values).all(axis=-1)
        colours = np.full((*hollow.shape, 4), 255, dtype=np.uint8)
        stretched = np.nan_to_num((values - low) / (high - low))
        colours[..., :3] = np.rint(np.clip(stretched, 0, 1) * 255)
    else:
        value = index_values(index, bands)
        hollow = ~np.isfinite(value)
        stops = [Stop(value=at, color=colour) for at, colour in index.stops]
        colours = ramp_colours(stops, np.nan_to_num(value))
    colours[hollow] = 0
    return colours
