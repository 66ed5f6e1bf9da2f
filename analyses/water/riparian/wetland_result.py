"""What ``wetland-integrity`` hands back (湿地成果): fields, styles, patches, rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.riparian.wetland import KINDS, MUDFLAT, NOT_WETLAND, OPEN_WATER, PLANTS, UNKNOWN_KIND
from spatial.catalog import Attribute, Band, Text, attribute

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.water.extent.scene_maps import InspectedScene

__all__ = [
    "CHANGE_FIELDS",
    "SITE_FIELDS",
    "ChangeEvidence",
    "area_rows",
    "change_frame",
    "change_style",
    "kind_bands",
    "kind_style",
    "site_style",
]

_COLOURS = {
    NOT_WETLAND: "#00000000",
    OPEN_WATER: "#2171b5",
    PLANTS: "#41ab5d",
    MUDFLAT: "#a6761d",
    UNKNOWN_KIND: "#74a9cf",
}
_NAMES = {NOT_WETLAND: "none", OPEN_WATER: "open_water", PLANTS: "plants", MUDFLAT: "mudflat", UNKNOWN_KIND: "wetland"}
_DOMAIN = {_NAMES[code]: title.model_dump() for code, title in KINDS.items()}


CHANGE_FIELDS: tuple[Attribute, ...] = (
    attribute("patch", "string", "图斑编号", "Patch", nullable=False),
    attribute("name", "string", "名称", "Name"),
    attribute("site", "string", "湿地", "Wetland"),
    attribute(
        "kind", "string", "类别", "Kind",
        domain={
            "wetland-loss": {"zh": "湿地减少", "en": "loss of wetland"},
            "wetland-gain": {"zh": "湿地增加", "en": "gain of wetland"},
        },
    ),
    attribute("wetland_kind", "string", "湿地类型", "Kind of wetland", domain=_DOMAIN),
    attribute("area_m2", "number", "椭球面积", "Ellipsoidal area", "m2"),
    attribute("outside_share", "number", "在名录范围以外的份额", "Share outside the listed outline", "1"),
    attribute("date_before", "date", "前期日期", "Date before"),
    attribute("date_after", "date", "后期日期", "Date after"),
    attribute("scene_collection", "string", "影像集", "Collection of scenes"),
    attribute("scene_before", "string", "前期影像", "Scene before"),
    attribute("scene_after", "string", "后期影像", "Scene after"),
    attribute("evidence_zh", "string", "依据", "Evidence (Chinese)"),
    attribute("evidence_en", "string", "依据（英文）", "Evidence"),
)  # fmt: skip
_VERDICTS = {
    "reduced": {"zh": "减少", "en": "reduced"},
    "stable": {"zh": "稳定", "en": "stable"},
    "increased": {"zh": "增加", "en": "increased"},
    "undetermined": {"zh": "无法判定", "en": "cannot be decided"},
}
SITE_FIELDS: tuple[Attribute, ...] = (
    attribute("site", "string", "湿地", "Wetland", nullable=False),
    attribute("verdict", "string", "面积结论", "Verdict on the area", domain=_VERDICTS),
    attribute("reason_zh", "string", "原因", "Reason (Chinese)"),
    attribute("reason_en", "string", "原因（英文）", "Reason"),
    attribute("baseline", "string", "基期", "Baseline"),
    attribute("current", "string", "现状期", "Current period"),
    attribute("pairs", "integer", "影像对数", "Pairs of scenes", "1"),
    attribute("basis", "string", "配对依据", "Basis of the pairs"),
    attribute("covered_share", "number", "影像覆盖份额", "Share of the outline that the scenes cover", "1"),
    attribute("known_share", "number", "可判定份额", "Share known", "1"),
    attribute("baseline_km2", "number", "基期湿地面积", "Wetland in the baseline", "km2"),
    attribute("area_km2", "number", "现状湿地面积", "Wetland now", "km2"),
    attribute("open_water_km2", "number", "开敞水面", "Open water", "km2"),
    attribute("plants_km2", "number", "水生、湿生植被", "Plants", "km2"),
    attribute("mudflat_km2", "number", "泥滩", "Mudflat", "km2"),
    attribute("change_percent", "number", "面积变化", "Change of the area", "%"),
    attribute("change_low_percent", "number", "变化下限", "Lower end of the change", "%"),
    attribute("change_high_percent", "number", "变化上限", "Upper end of the change", "%"),
    attribute("loss_m2", "number", "减少图斑面积", "Patches of loss", "m2"),
    attribute("gain_m2", "number", "增加图斑面积", "Patches of gain", "m2"),
    attribute("largest_patch_percent", "number", "最大斑块指数", "Largest patch index", "%"),
    attribute("patches", "integer", "斑块数", "Patches", "1"),
    attribute("mean_patch_m2", "number", "平均斑块面积", "Mean patch size", "m2"),
    attribute("edge_density_m_ha", "number", "边缘密度", "Edge density", "m/hm2"),
    attribute("connect_percent", "number", "连通度", "Connectedness", "%"),
    attribute("effective_mesh_m2", "number", "有效网格面积", "Effective mesh size", "m2"),
)


def area_rows(
    kinds: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    zone: NDArray[np.bool_],
    cell_m2: NDArray[np.float64],
    period: str,
) -> list[dict[str, Any]]:
    """Area of each kind within the listed outline and beyond it, m²; unknown cells are a row of their own."""
    weight = np.repeat(cell_m2, kinds.shape[1])
    rows = []
    for part, cells in (("inside", inside & zone), ("beyond", zone & ~inside)):
        sums = np.bincount(kinds.ravel(), weights=weight * cells.ravel(), minlength=6)
        for code, title in ((0, Text(zh="未知", en="not known")), *KINDS.items()):
            rows.append(
                {
                    "period": period,
                    "part": part,
                    "kind": "unknown" if code == 0 else _NAMES[code],
                    "title_zh": title.zh,
                    "title_en": title.en,
                    "area_m2": round(float(sums[code]), 1),
                }
            )
    return rows


@dataclass(frozen=True)
class ChangeEvidence:
    """What says when a patch changed: the scenes that were compared and which cells each pair saw."""

    collection: str
    before: Sequence[InspectedScene | None]
    after: Sequence[InspectedScene | None]
    clear: NDArray[np.bool_]
    """(pairs, rows, cols)"""


def change_frame(
    cells: NDArray[np.bool_],
    kinds: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    grid: GeoBox,
    cell_m2: NDArray[np.float64],
    evidence: ChangeEvidence,
    *,
    site: str,
    kind: str,
    least_m2: float,
) -> geopandas.GeoDataFrame:
    """Patches of loss or gain of at least `least_m2` as polygons with `CHANGE_FIELDS`, the largest first.

    Parameters
    ----------
    cells : bool (rows, cols)
    kinds : uint8, the kind of wetland that was lost or gained
    """
    import geopandas
    import pandas as pd
    import shapely
    from rasterio.features import shapes
    from scipy import ndimage

    labels, count = ndimage.label(cells, structure=np.ones((3, 3), dtype=int))
    weight = np.repeat(cell_m2, cells.shape[1])
    areas = np.bincount(labels.ravel(), weights=weight, minlength=count + 1)
    outside = np.bincount(labels.ravel(), weights=weight * ~inside.ravel(), minlength=count + 1)
    kept = [k for k in np.argsort(-areas, kind="stable").tolist() if k and areas[k] >= least_m2]
    outlines: dict[int, list[Any]] = {}
    chosen = np.where(np.isin(labels, kept), labels, 0).astype(np.int32)
    for shape, value in shapes(chosen, mask=chosen > 0, connectivity=8, transform=grid.affine):
        outlines.setdefault(int(value), []).append(shapely.geometry.shape(shape))
    loss = kind == "wetland-loss"
    rows = []
    for number, label in enumerate(kept, start=1):
        where = labels == label
        clear = evidence.clear[:, where].mean(axis=1)
        # The pair that saw most of the patch; of equal ones the latest.
        best = max(range(len(evidence.after)), key=lambda k: (round(float(clear[k]), 6), _when(evidence.after[k])))
        before, after = evidence.before[best], evidence.after[best]
        code = int(np.bincount(kinds[where], minlength=6)[1:].argmax()) + 1
        title = KINDS[code]
        word_zh, word_en = ("减少", "lost") if loss else ("增加", "gained")
        rows.append(
            {
                "patch": f"{'L' if loss else 'G'}{number:03d}",
                "name": f"{site}湿地{word_zh}{number:03d}",
                "site": site,
                "kind": kind,
                "wetland_kind": _NAMES[code],
                "area_m2": round(float(areas[label]), 1),
                "outside_share": round(float(outside[label] / areas[label]), 4),
                "date_before": None if before is None else before.time.date(),
                "date_after": None if after is None else after.time.date(),
                "scene_collection": evidence.collection,
                "scene_before": "" if before is None else before.id,
                "scene_after": "" if after is None else after.id,
                "evidence_zh": f"等水位或同季节配对影像比较：{title.zh} {areas[label] / 1e4:.2f} hm² {word_zh}",
                "evidence_en": f"scenes at equal level or season: {areas[label] / 1e4:.2f} ha of {title.en} {word_en}",
                "geometry": shapely.make_valid(shapely.union_all(outlines[label])),
            }
        )
    columns = [field.name for field in CHANGE_FIELDS]
    if not rows:
        return geopandas.GeoDataFrame(pd.DataFrame(columns=columns), geometry=[], crs=4490)
    return geopandas.GeoDataFrame(rows, geometry="geometry", crs=4490)[[*columns, "geometry"]]


def _when(scene: InspectedScene | None) -> float:
    return 0.0 if scene is None else scene.time.timestamp()


def kind_bands(*, compared: bool) -> tuple[Band, ...]:
    """The change and the kinds of the two periods; where they were not compared the kinds of now alone."""
    domain = dict(KINDS)
    change = {
        1: Text(zh="减少", en="loss"),
        2: Text(zh="增加", en="gain"),
        3: Text(zh="两期均为湿地", en="wetland in both"),
        4: Text(zh="两期均非湿地", en="wetland in neither"),
    }
    current = Band(name="current", title=Text(zh="现状湿地类型", en="Kinds now"), valid_range=(0, 5), domain=domain)
    if not compared:
        return (current,)
    return (
        Band(name="change", title=Text(zh="湿地增减", en="Change of wetland"), valid_range=(0, 4), domain=change),
        Band(
            name="baseline",
            title=Text(zh="基期湿地类型", en="Kinds in the baseline"),
            valid_range=(0, 5),
            domain=domain,
        ),
        current,
    )


def kind_style(*, compared: bool) -> dict[str, Any]:
    """Colours of the change, or of the kinds of now."""
    if not compared:
        kinds = [
            {"value": code, "color": _COLOURS[code], "title": title.model_dump()}
            for code, title in KINDS.items()
            if code != NOT_WETLAND
        ]
        return {"type": "classes", "band": "current", "classes": kinds}
    rows = (
        (1, "#d73027", "减少", "loss"),
        (2, "#1a9850", "增加", "gain"),
        (3, "#9ecae1", "两期均为湿地", "wetland in both"),
    )
    return {
        "type": "classes",
        "band": "change",
        "classes": [{"value": code, "color": colour, "title": {"zh": zh, "en": en}} for code, colour, zh, en in rows],
    }


def change_style(loss: bool) -> dict[str, Any]:
    """Red for loss, green for gain."""
    colour = "#d73027" if loss else "#1a9850"
    return {"type": "single", "fill": f"{colour}55", "stroke": colour, "width": 1.6}


def site_style() -> dict[str, Any]:
    """Colour by verdict."""
    colours = {"reduced": "#d73027", "stable": "#1a9850", "increased": "#2171b5", "undetermined": "#969696"}
    return {
        "type": "categories",
        "field": "verdict",
        "classes": [
            {"value": code, "title": _VERDICTS[code], "fill": f"{colour}33", "stroke": colour, "width": 1.6}
            for code, colour in colours.items()
        ],
        "default": {"fill": "#96969633", "stroke": "#969696", "width": 1.6},
    }
