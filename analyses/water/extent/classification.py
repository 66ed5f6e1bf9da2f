"""Water extent of a scene (水体范围提取): four methods, one answer: class, diagnostic bits, confidence, and how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.water.classes import HIGH, MODERATE, NODATA, is_clear, is_water
from analyses.water.extent.dswx import dswx_extent, thresholds_used
from analyses.water.extent.reflectance import OPTICAL_BANDS
from analyses.water.extent.thresholds import Groups, edge_sample, groups_at, mixture, otsu, two_groups, valley_depth
from analyses.water.extent.wofs import wofs_extent
from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["IndexMethod", "OpticalMethod", "Threshold", "WaterMap", "index_threshold", "water_extent", "water_index"]

IndexMethod = Literal["mndwi", "awei-nsh", "awei-sh"]
OpticalMethod = Literal["dswx", "wofs", "mndwi", "awei-nsh", "awei-sh"]
Sampling = Literal["edge", "all", "fixed"]

BIT_ABOVE = 1
"""Bit 0 of an index method: the index is above the threshold."""
BIT_FIXED = 2
"""Bit 1: the threshold is the fixed one, because the values gave none to be believed or it was given."""


@dataclass(frozen=True)
class WaterMap:
    """The water of one scene, and how it was found.

    Parameters
    ----------
    codes, bits, confidence : uint8
        Codes of `analyses.water.classes`; bits as the method defines them; percent. Bits and confidence are 255 where masked.
    thresholds : mapping
        Every threshold used, for the record.
    """

    method: str
    codes: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    thresholds: Mapping[str, Any]
    time: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def valid_share(self) -> float:
        """Cells with data of all cells, 0–1."""
        return float(np.mean(self.codes != NODATA)) if self.codes.size else 0.0

    @property
    def clear_share(self) -> float:
        """Cells not masked of those with data, 0–1."""
        valid = int(np.count_nonzero(self.codes != NODATA))
        return int(np.count_nonzero(is_clear(self.codes))) / valid if valid else 0.0

    @property
    def water(self) -> NDArray[np.bool_]:
        """Where the map says water: classes 1 and 2."""
        return is_water(self.codes)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold of an index, how it was found, and what speaks for it."""

    value: float
    how: Literal["edge-otsu", "otsu", "fixed", "given"]
    index: str
    sample: int = 0
    tried: float | None = None
    """What Otsu gave, whether believed or not."""
    ashman: float | None = None
    valley: float | None = None
    groups: Groups | None = None

    def document(self) -> dict[str, Any]:
        """For the record of a result."""
        found: dict[str, Any] = {
            "threshold": round(self.value, 6),
            "threshold_by": self.how,
            "sample_cells": self.sample,
        }
        for name in ("tried", "ashman", "valley"):
            value = getattr(self, name)
            if value is not None:
                found[name] = round(value, 6)
        return found


def water_index(bands: Mapping[str, NDArray[Any]], name: IndexMethod) -> NDArray[np.float32]:
    """A water index.

    Formula, on reflectance:

    - ``mndwi``     (G − S1) / (G + S1)
    - ``awei-nsh``  4 (G − S1) − (0.25 N + 2.75 S2)
    - ``awei-sh``   B + 2.5 G − 1.5 (N + S1) − 0.25 S2

    Returns
    -------
    float32; NaN where a band is, and where the sum of the MNDWI is not positive.

    Source: Xu (2006), doi 10.1080/01431160600589179; Feyisa et al. (2014), doi 10.1016/j.rse.2013.08.029.

    Examples
    --------
    >>> water_index({"green": np.array([[0.09]]), "swir1": np.array([[0.01]])}, "mndwi").round(3)
    array([[0.8]], dtype=float32)
    """
    b = {key: np.asarray(value, dtype=np.float32) for key, value in bands.items()}
    if name == "mndwi":
        total = b["green"] + b["swir1"]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, (b["green"] - b["swir1"]) / total, np.float32(np.nan)).astype(np.float32)
    if name == "awei-nsh":
        return np.asarray(4 * (b["green"] - b["swir1"]) - (np.float32(0.25) * b["nir"] + np.float32(2.75) * b["swir2"]))
    if name == "awei-sh":
        infrared = np.float32(1.5) * (b["nir"] + b["swir1"])
        return np.asarray(b["blue"] + np.float32(2.5) * b["green"] - infrared - np.float32(0.25) * b["swir2"])
    raise InvalidParameter(
        f"未知指数 {name!r}，可用：mndwi、awei-nsh、awei-sh",
        f"unknown index {name!r}; there are: mndwi, awei-nsh, awei-sh",
        parameter="method",
    )


def index_threshold(
    bands: Mapping[str, NDArray[Any]],
    rules: WaterExtentRules,
    name: IndexMethod,
    *,
    mask: NDArray[np.uint8] | None = None,
    sampling: Sampling = "edge",
    bins: int | None = None,
) -> Threshold:
    """The threshold of an index on a scene: Otsu on a sample around edges, if that falls into two groups, else the fixed one.

    Parameters
    ----------
    mask : uint8, optional
        Masked cells take no part.
    sampling : {"edge", "all", "fixed"}
        From around Canny edges, from all cells, or no search at all.
    bins : int, optional
        Of the histogram, between the least and the greatest value.

    Source: Otsu (1979); Donchyts et al. (2016); guard: Ashman et al. (1994), D > 2, or a valley in the histogram.
    """
    row = next(row for row in rules.indices.list if row.id == name)
    if sampling == "fixed":
        return Threshold(row.fixed, "fixed", name)
    values = water_index(bands, name)
    if mask is not None:
        values = np.where(mask == 0, values, np.float32(np.nan))
    rule = rules.indices
    lowest, highest = row.range
    values = np.where((values >= lowest) & (values <= highest), values, np.float32(np.nan))
    sample = edge_sample(values, rule.canny) if sampling == "edge" else values[np.isfinite(values)]
    if sample.size < rule.least_sample or float(np.ptp(sample)) == 0:
        return Threshold(row.fixed, "fixed", name, int(sample.size))
    counts, edges = np.histogram(sample, bins=bins or rule.bins)
    tried = otsu(counts, edges)
    # Ashman's D of fitted groups: the halves of a single normal group, cut at its middle, already have D = 2.7.
    fitted = mixture(sample, start=tried)[1]
    valley = valley_depth(counts, int(np.searchsorted(edges, tried, side="right")) - 1)
    believed = two_groups(fitted, valley, ashman=rule.ashman, depth=rule.valley, least=rule.least_group)
    how: Literal["edge-otsu", "otsu", "fixed"] = "edge-otsu" if sampling == "edge" else "otsu"
    return Threshold(
        tried if believed else row.fixed,
        how if believed else "fixed",
        name,
        int(sample.size),
        tried,
        fitted.ashman,
        valley,
        groups_at(sample, tried) if believed else None,
    )


def water_extent(
    bands: Mapping[str, NDArray[np.float32]],
    rules: WaterExtentRules,
    *,
    method: OpticalMethod = "dswx",
    mask: NDArray[np.uint8] | None = None,
    glint: bool = False,
    sampling: Sampling = "edge",
    threshold: Threshold | float | None = None,
    time: datetime | None = None,
    tests: Mapping[str, float] | None = None,
) -> WaterMap:
    """Water of a scene by one of the optical methods.

    Parameters
    ----------
    bands : mapping
        float32 reflectance of one shape, NaN = nodata: ``blue, green, red, nir, swir1, swir2`` (an index needs only its own).
    method : str
        ``dswx`` the vote of five tests; ``wofs`` the tree; ``mndwi``, ``awei-nsh``, ``awei-sh`` an index.
    mask : uint8, optional
        0 clear, else what hides the cell; it always wins.
    glint : bool
        Look for sun glint (``dswx`` only): where the geometry allows it.
    sampling, threshold
        Of the index methods: how the threshold is found, or the threshold itself.
    tests : mapping, optional
        Thresholds of ``dswx`` in place of those of the rule file, by its names (``{"t1_mndwi": 0.05}``).

    Raises
    ------
    InvalidParameter
        Unknown method; a band is missing; thresholds of another method.
    GridMismatch
        Bands or mask of different shapes.
    """
    needed = {"mndwi": ("green", "swir1"), "awei-nsh": ("green", "nir", "swir1", "swir2")}.get(method)
    needed = needed or tuple(name for name in OPTICAL_BANDS if method != "awei-sh" or name != "red")
    _require(bands, needed, mask)
    tests = tests or {}
    if tests and method != "dswx":
        raise InvalidParameter(
            f"阈值 {'、'.join(tests)} 只用于 dswx", f"thresholds {', '.join(tests)} belong to dswx", parameter="tests"
        )
    if method == "dswx":
        codes, bits, confidence = dswx_extent(bands, rules, mask=mask, glint=glint, **tests)
        return WaterMap(method, codes, bits, confidence, thresholds_used(rules, tests), time)
    if method == "wofs":
        codes, bits, confidence = wofs_extent(bands, rules, mask=mask)
        used = {"rows": len(rules.wofs.rows), "uncertainty": rules.wofs.uncertainty}
        return WaterMap(method, codes, bits, confidence, used, time)
    if method not in ("mndwi", "awei-nsh", "awei-sh"):
        raise InvalidParameter(
            f"未知方法 {method!r}，可用：dswx、wofs、mndwi、awei-nsh、awei-sh",
            f"unknown method {method!r}; there are: dswx, wofs, mndwi, awei-nsh, awei-sh",
            parameter="method",
        )
    if isinstance(threshold, int | float):
        threshold = Threshold(float(threshold), "given", method)
    found = threshold or index_threshold(bands, rules, method, mask=mask, sampling=sampling)
    return _by_index(bands, method, found, mask, time)


def _by_index(
    bands: Mapping[str, NDArray[np.float32]],
    method: IndexMethod,
    found: Threshold,
    mask: NDArray[np.uint8] | None,
    time: datetime | None,
) -> WaterMap:
    """Class, bits, confidence of an index against its threshold.

    Confidence: probability of the group that the cell was given to, two normal groups; 50 where nothing supports the threshold.
    """
    values = water_index(bands, method)
    above = values > np.float32(found.value)
    believed = found.groups is not None
    bits = np.where(above, np.uint8(BIT_ABOVE), np.uint8(0)) | np.uint8(0 if believed else BIT_FIXED)
    confidence = np.full(values.shape, 50, dtype=np.uint8)
    if found.groups is not None:
        upper = found.groups.upper_probability(values)
        sure = np.where(above, upper, 1 - upper)
        confidence = np.rint(100 * np.clip(np.nan_to_num(sure, nan=0.5), 0.5, 1.0)).astype(np.uint8)
    codes = np.where(above, np.where(confidence >= 90, np.uint8(HIGH), np.uint8(MODERATE)), np.uint8(0)).astype(
        np.uint8
    )
    hidden = np.zeros(values.shape, dtype=np.uint8) if mask is None else mask.copy()
    hidden[~np.isfinite(values)] = NODATA
    masked = hidden != 0
    codes[masked] = hidden[masked]
    bits = bits.astype(np.uint8)
    bits[masked] = confidence[masked] = NODATA
    return WaterMap(method, codes, bits, confidence, found.document(), time)


def _require(bands: Mapping[str, Any], needed: tuple[str, ...], mask: NDArray[Any] | None) -> None:
    missing = [name for name in needed if name not in bands]
    if missing:
        raise InvalidParameter(
            f"缺少波段 {'、'.join(missing)}（有：{'、'.join(bands)}）",
            f"bands {', '.join(missing)} are missing (there are: {', '.join(bands)})",
            parameter="bands",
        )
    shapes = {name: np.shape(bands[name]) for name in needed}
    if mask is not None:
        shapes["mask"] = mask.shape
    if len(set(shapes.values())) != 1:
        raise GridMismatch(f"波段或掩膜大小不一：{shapes}", f"bands or mask differ in shape: {shapes}")
