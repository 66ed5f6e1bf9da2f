"""What the scenes of a collection are good for (水色影像检查): kind of reflectance, sensor, scale, mask; each fault by name.

A scene says of itself in its STAC item which reflectance it holds (``onemap:reflectance``: ``rho_w``, ``rrs``, ``rho_rc``,
``surface``, ``toa``), and may name bands of a second kind beside (``onemap:reflectance_bands``:
``{"rho_rc": {"red": "red_rc", …}}``). What it does not say is not guessed: the scene is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from analyses.water import classes
from analyses.water.extent.masks import mask_from_classes, mask_from_quality
from analyses.water.extent.reflectance import Calibration, calibration, to_reflectance
from analyses.water.extent.scene_check import Finding
from analyses.water.quality.block import Source
from analyses.water.quality.optical_quality import ALGORITHMS, REFLECTANCES
from spatial.catalog import Text
from spatial.errors import QualityViolation, SpatialError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.blocks import Window
    from analyses.water.extent.rules import WaterExtentRules
    from analyses.water.quality.rules import OpticalRules, ReflectanceKind, Sensor
    from spatial.jobs.contract import SceneRecord, SceneSeries

__all__ = ["OpticalScene", "SceneRaster", "SceneWater", "inspect_optical", "local_day"]

MaskKind = Literal["scl", "qa_pixel", "fmask"]
_MASKS: tuple[MaskKind, ...] = ("scl", "qa_pixel", "fmask")
_KINDS: dict[str, ReflectanceKind] = {
    "rho_w": "rho_w",
    "water_leaving": "rho_w",
    "rrs": "rrs",
    "rho_rc": "rho_rc",
    "rayleigh_corrected": "rho_rc",
    "surface": "rho_s",
    "rho_s": "rho_s",
    "toa": "toa",
}
_SCL_WATER = 6
"""Water in a Sentinel-2 scene classification."""
_WATER_BIT: dict[str, int] = {"qa_pixel": 7, "fmask": 5}
"""Bit of water: USGS Landsat Collection 2 QA_PIXEL, HLS 2.0 Fmask."""
_SIDE, _LATTICE = 96, 6


def local_day(time: datetime) -> str:
    """Day in China (北京时间) of a time in UTC: two scenes of it are one observation twice."""
    return (time + timedelta(hours=8)).date().isoformat()


@dataclass(frozen=True)
class SceneRaster:
    """Bands of one kind of reflectance of a scene, read as a raster is (float32, NaN = nodata or no reflectance)."""

    layer_id: str
    series: SceneSeries
    index: int
    keys: Mapping[str, str]
    """Common name → asset."""
    how: Mapping[str, Calibration]
    """Asset → scale and offset."""
    plausible: tuple[float, float]

    @property
    def bands(self) -> tuple[str, ...]:
        """Common names."""
        return tuple(self.keys)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """Reflectance of a window; numbers that no reflectance has are nodata (the check of the scene counts them)."""
        key = self.keys[self.bands[band - 1]]
        found = to_reflectance(self.series.read(self.index, key, row, col, height, width), self.how[key])
        low, high = self.plausible
        with np.errstate(invalid="ignore"):
            found[(found < low) | (found > high)] = np.nan
        return found


@dataclass(frozen=True)
class SceneWater:
    """The scene's own classification as a water map (`analyses.water.classes`), read as a raster is."""

    layer_id: str
    series: SceneSeries
    index: int
    band: str
    kind: MaskKind
    rules: WaterExtentRules

    @property
    def bands(self) -> tuple[str, ...]:
        """One band."""
        return ("class",)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """Codes of a window, float32."""
        return self.codes((row, col, height, width)).astype(np.float32)

    def codes(self, window: Window) -> NDArray[np.uint8]:
        """Codes of a window, uint8."""
        stored = self.series.read(self.index, self.band, *window)
        if self.kind == "scl":
            mask, wet = mask_from_classes(stored, self.rules), stored == _SCL_WATER
        else:
            mask = mask_from_quality(stored, self.rules, self.kind)
            wet = (np.asarray(stored).astype(np.uint32) >> np.uint32(_WATER_BIT[self.kind])) & 1 == 1
        seen = np.where(wet, np.uint8(classes.HIGH), np.uint8(classes.NOT_WATER))
        return np.where(mask > 0, mask, seen).astype(np.uint8)


@dataclass(frozen=True)
class OpticalScene:
    """A scene and what was found."""

    index: int
    id: str
    time: datetime
    kind: ReflectanceKind | None = None
    """Declared kind of its bands of common names."""
    sources: tuple[Source, ...] = ()
    """Reflectances as they are declared."""
    stand_ins: tuple[Source, ...] = ()
    """Surface reflectance in the place of another kind, where the run accepts it; for indices only."""
    water: SceneWater | None = None
    findings: tuple[Finding, ...] = ()
    clear_share: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether it takes part."""
        return bool(self.sources) and not any(f.excludes for f in self.findings)

    def flagged(self, code: str, excludes: bool, text: Text) -> OpticalScene:
        """The scene with one more finding."""
        return replace(self, findings=(*self.findings, Finding(code, excludes, text)))

    def document(self) -> dict[str, Any]:
        """Row of the list of scenes in a result."""
        return {
            "scene": self.id,
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "used": self.usable,
            "codes": [f.code for f in self.findings],
            "reason_zh": "；".join(f.text.zh for f in self.findings),
            "reason_en": "; ".join(f.text.en for f in self.findings),
            "reflectance": self.kind,
            "clear_share": None if self.clear_share is None else round(self.clear_share, 4),
        }


def _kind_of(record: SceneRecord) -> ReflectanceKind:
    """Declared kind; a Sentinel-2 or Landsat product says it by its level."""
    told = record.properties.get("onemap:reflectance")
    if told in _KINDS:
        return _KINDS[cast(str, told)]
    level = str(record.properties.get("processing:level") or record.properties.get("s2:product_type") or "").upper()
    platform = record.platform.lower()
    if told is None and platform.startswith("sentinel-2") and level.endswith(("L2A", "MSI2A")):
        return "rho_s"
    if told is None and platform.startswith("sentinel-2") and level.endswith(("L1C", "MSI1C")):
        return "toa"
    if told is None and platform.startswith("landsat-") and level in {"L2SP", "L2SR", "L2"}:
        return "rho_s"
    raise QualityViolation(
        f"影像 {record.id} 未声明反射率类型（条目属性 onemap:reflectance={told!r}，应为 {'、'.join(_KINDS)} 之一）；"
        "不同公式所需的反射率不同，不猜测",
        f"scene {record.id} does not declare its kind of reflectance (item property onemap:reflectance={told!r}; one of "
        f"{', '.join(_KINDS)}); each formula needs its own, none is guessed",
        reason="kind-unknown",
    )


def _sensor_of(record: SceneRecord) -> Sensor:
    platform, told = record.platform.lower(), record.properties.get("onemap:sensor")
    if platform.startswith("sentinel-2") or told == "sentinel2":
        return "sentinel2"
    if platform.startswith(("landsat-8", "landsat-9")) or told == "landsat8":
        return "landsat8"
    raise QualityViolation(
        f"影像 {record.id} 的平台 {record.platform} 没有水色波长，请写明 onemap:sensor（sentinel2 或 landsat8）",
        f"scene {record.id}: platform {record.platform} has no wavelengths here; state onemap:sensor (sentinel2, landsat8)",
        reason="sensor-unknown",
    )


def _calibrations(record: SceneRecord, kind: str, rules: WaterExtentRules) -> dict[str, Calibration]:
    """Scale and offset of each band: the item's own where it declares its reflectance, else those of the product."""
    if "onemap:reflectance" in record.properties:
        return {
            name: Calibration(band.scale, band.offset, band.nodata, "raster:bands")
            for name, band in record.bands.items()
            if name not in _MASKS
        }
    platform = record.platform.lower()
    name = ("sentinel-2-l2a" if kind == "rho_s" else "sentinel-2-l1c") if platform.startswith("sentinel-2") else ""
    flag = record.properties.get(rules.sensors.flag)
    one = calibration(
        rules,
        name or f"landsat-{platform.removeprefix('landsat-')[:1]}-c2-l2",
        baseline=record.properties.get("s2:processing_baseline") or record.properties.get("processing:version"),
        provider=record.properties.get("onemap:provider"),
        offset_applied=flag if isinstance(flag, bool) else None,
    )
    return {name: one for name in record.bands if name not in _MASKS}


def _sources(
    series: SceneSeries,
    index: int,
    rules: OpticalRules,
    extent: WaterExtentRules,
    accept_surface: bool,
) -> tuple[ReflectanceKind, tuple[Source, ...], tuple[Source, ...]]:
    record = series.records[index]
    kind, sensor = _kind_of(record), _sensor_of(record)
    how = _calibrations(record, kind, extent)
    span = (rules.masks.plausible.min, rules.masks.plausible.max)
    height = record.properties.get("view:sun_elevation")
    zenith = 90.0 - float(height) if isinstance(height, int | float) else None
    apart: dict[str, dict[str, str]] = {}
    for name, bands in dict(record.properties.get("onemap:reflectance_bands") or {}).items():
        if name not in _KINDS or not isinstance(bands, Mapping):
            raise QualityViolation(
                f"影像 {record.id} 的 onemap:reflectance_bands 有未知的反射率类型 {name}",
                f"scene {record.id}: onemap:reflectance_bands names an unknown kind {name}",
                reason="kind-unknown",
            )
        apart[name] = {str(common): str(key) for common, key in bands.items() if str(key) in how}
    taken = {key for bands in apart.values() for key in bands.values()}
    own = {name: name for name in how if name not in taken}
    found = []
    for one, keys in ((kind, own), *((_KINDS[name], bands) for name, bands in apart.items())):
        raster = SceneRaster(f"{series.layer.id}/{record.id}", series, index, keys, how, span)
        found.append(Source("scene", raster, one, sensor, zenith))
    stand_ins: tuple[Source, ...] = ()
    if kind == "rho_s" and accept_surface:
        needed: tuple[ReflectanceKind, ...] = ("rho_w", "rho_rc")
        stand_ins = tuple(replace(found[0], role="surface", kind=one) for one in needed)
    return kind, tuple(found), stand_ins


def _windows(shape: tuple[int, int]) -> list[Window]:
    """Windows evenly spread over a grid; together all of it where it is small."""
    places = []
    for size in shape:
        side = min(_SIDE, -(-size // _LATTICE))
        places.append([(round(k * (size - side) / max(_LATTICE - 1, 1)), side) for k in range(_LATTICE)])
    return [(row, col, height, width) for row, height in places[0] for col, width in places[1]]


def inspect_optical(
    series: SceneSeries,
    shape: tuple[int, int],
    rules: OpticalRules,
    extent: WaterExtentRules,
    *,
    accept_surface: bool = False,
    accept_unmasked: bool = False,
    wanted: Callable[[datetime], bool] = lambda time: True,
) -> list[OpticalScene]:
    """Check each scene of a `wanted` time on an evenly spread sample, in the order of time.

    Returns
    -------
    list of OpticalScene
        Codes that exclude: ``refused`` (kind, sensor, scale or file unknown), ``scale``, ``no-cloud-mask``, ``all-cloud``,
        ``no-data``, ``no-formula``, ``duplicate-date`` (of one day the clearer scene stays, of equal ones the earlier).
        Codes that flag: ``missing-band``, ``surface-reflectance``, ``out-of-range``.
    """
    found = []
    for index, record in enumerate(series.records):
        if not wanted(record.time):
            continue
        scene = OpticalScene(index, record.id, record.time)
        try:
            found.append(_inspected(scene, series, shape, rules, extent, accept_surface, accept_unmasked))
        except SpatialError as error:
            found.append(scene.flagged("refused", True, Text(zh=error.zh, en=error.en)))
    return _once_a_day(found)


def _inspected(
    scene: OpticalScene,
    series: SceneSeries,
    shape: tuple[int, int],
    rules: OpticalRules,
    extent: WaterExtentRules,
    accept_surface: bool,
    accept_unmasked: bool,
) -> OpticalScene:
    record = series.records[scene.index]
    kind, sources, stand_ins = _sources(series, scene.index, rules, extent, accept_surface)
    mask = next((name for name in _MASKS if name in record.bands), None)
    water = None if mask is None else SceneWater(series.layer.id, series, scene.index, mask, mask, extent)
    scene = replace(scene, kind=kind, sources=sources, stand_ins=stand_ins, water=water)
    if water is None:
        text = Text(
            zh="影像没有云掩膜（SCL、QA_PIXEL 或 Fmask）：云会被当作水面",
            en="no cloud mask (SCL, QA_PIXEL or Fmask): cloud would count as water",
        )
        scene = scene.flagged("no-cloud-mask", not accept_unmasked, text)
    if stand_ins:
        text = Text(
            zh="以地表反射率计算指数（用户接受）：是地表反射率的指数，不是离水反射率的",
            en="index of surface reflectance, not ρw (accepted by the user)",
        )
        scene = scene.flagged("surface-reflectance", False, text)
    return _with_bands(_with_values(scene, shape, rules, extent), rules)


def _with_values(
    scene: OpticalScene, shape: tuple[int, int], rules: OpticalRules, extent: WaterExtentRules
) -> OpticalScene:
    """Shares of cloud and data, and whether the numbers are reflectance."""
    windows = _windows(shape)
    codes = None
    if scene.water is not None:
        codes = np.concatenate([scene.water.codes(window).ravel() for window in windows])
    high, bright, valid, outside = 0.0, 0.0, None, 0
    for source in scene.sources:
        raster = cast(SceneRaster, source.raster)
        for key in raster.keys.values():
            stored = [raster.series.read(scene.index, key, *window).ravel() for window in windows]
            values = to_reflectance(np.concatenate(stored), raster.how[key])
            known = np.isfinite(values)
            valid = known if valid is None else valid & known
            seen = values[known if codes is None else known & classes.is_clear(codes)]
            if seen.size == 0:
                continue
            bright = max(bright, float(np.quantile(seen, 0.99)))
            high = max(high, float(np.quantile(seen, 0.999)))
            outside += int(((seen < raster.plausible[0]) | (seen > raster.plausible[1])).sum())
    data = np.zeros(0, bool) if valid is None else valid
    clear = data if codes is None else data & classes.is_clear(codes)
    share = int(clear.sum()) / max(int(data.sum()), 1)
    scene = replace(scene, clear_share=share, figures={"q999": high})
    if data.mean() < extent.plausible.empty:
        return scene.flagged("no-data", True, Text(zh="几乎没有有效像元", en="hardly any cell holds data"))
    if share < extent.plausible.least_clear:
        text = Text(
            zh=f"几乎全部为云或被遮挡：可见 {share:.1%}",
            en=f"cloud or other masks cover nearly all: {share:.1%} was seen",
        )
        return scene.flagged("all-cloud", True, text)
    if high > rules.masks.plausible.max or bright < rules.masks.dim_below:
        looks = high > rules.masks.plausible.max
        text = Text(
            zh=f"反射率缩放有误：99.9% 分位最高 {high:.4g}，最亮波段 99% 分位 {bright:.3g}，"
            + ("像是像元值或百分数" if looks else "像是被除了两次")
            + "；应为 0–1",
            en=f"reflectance scaled wrong: highest 99.9 % quantile {high:.4g}, 99 % quantile of the brightest band {bright:.3g}: "
            + ("digital numbers or percent" if looks else "divided twice")
            + "; must be 0–1",
        )
        return scene.flagged("scale", True, text)
    if outside:
        text = Text(
            zh=f"抽样中 {outside} 个值超出反射率范围，作无数据",
            en=f"{outside} values of the sample are outside the range of reflectance: taken as no data",
        )
        scene = scene.flagged("out-of-range", False, text)
    return scene


def _with_bands(scene: OpticalScene, rules: OpticalRules) -> OpticalScene:
    """Which indices the scene cannot give because a band is missing; without any it takes no part."""
    from analyses.water.quality.block import Formula, choose

    given = (*scene.sources, *scene.stand_ins)
    missing, fed, why = [], 0, []
    for algorithm in ALGORITHMS.values():
        if not algorithm.is_index:
            continue
        found = choose(algorithm.id, given, rules)
        if isinstance(found, Formula):
            fed += 1
            continue
        why.append(Text(zh=f"{algorithm.title.zh} {found.zh}", en=f"{algorithm.title.en} {found.en}"))
        needs = algorithm.rule(rules).reflectance
        of_kind = [s for s in given if s.kind == needs or {s.kind, needs} == {"rho_w", "rrs"}]
        if of_kind and algorithm.bands.get(of_kind[0].sensor):
            missing.append(why[-1])
    zh, en = "；".join(w.zh for w in why), "; ".join(w.en for w in why)
    if fed == 0:
        kind = REFLECTANCES[scene.kind] if scene.kind is not None else Text(zh="未知", en="unknown")
        text = Text(zh=f"没有一个指数可用（声明为{kind.zh}）：{zh}", en=f"no index can be fed ({kind.en}): {en}")
        return scene.flagged("no-formula", True, text)
    if missing:
        text = Text(zh="；".join(m.zh for m in missing), en="; ".join(m.en for m in missing))
        return scene.flagged("missing-band", False, text)
    return scene


def _once_a_day(scenes: Sequence[OpticalScene]) -> list[OpticalScene]:
    """Of several usable scenes of one day the clearest stays, of equal ones the earliest."""
    best: dict[str, OpticalScene] = {}
    for scene in scenes:
        if scene.usable:
            kept = best.get(local_day(scene.time))
            if kept is None or (scene.clear_share or 0.0) > (kept.clear_share or 0.0):
                best[local_day(scene.time)] = scene
    out = []
    for scene in scenes:
        kept = best.get(local_day(scene.time))
        if scene.usable and kept is not None and kept.index != scene.index:
            text = Text(
                zh=f"与 {kept.id} 同一天（{local_day(scene.time)}），保留更清晰的一景",
                en=f"same day as {kept.id} ({local_day(scene.time)}): the clearer scene stays",
            )
            scene = scene.flagged("duplicate-date", True, text)
        out.append(scene)
    return out
