"""What the dual evaluation (双评价) hands back: bands and styles of its maps, area tables by unit, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.chain import NO_LIMIT, Chain
from analyses.zonal import areas_in_units
from spatial.catalog import Band, Text
from spatial.compiled import compiled

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = [
    "ECOLOGY_OUT",
    "IMPORTANCE",
    "KNOCK_OUT",
    "NO_LIMIT_COLOUR",
    "REASON_COLOURS",
    "SUITABILITY",
    "AreaTally",
    "Unit",
    "area_rows",
    "class_bands",
    "class_style",
    "classes_of",
    "profile_2020",
    "reason_rows",
    "reason_titles",
    "reporting_units",
]

SUITABILITY: dict[int, tuple[str, Text, str]] = {
    1: ("suitable", Text(zh="适宜", en="Suitable"), "#1a9850"),
    2: ("moderate", Text(zh="一般适宜", en="Moderately suitable"), "#fee08b"),
    3: ("unsuitable", Text(zh="不适宜", en="Unsuitable"), "#d73027"),
}
IMPORTANCE: dict[int, tuple[str, Text, str]] = {
    1: ("extremely_important", Text(zh="极重要", en="Extremely important"), "#00441b"),
    2: ("important", Text(zh="重要", en="Important"), "#41ab5d"),
    3: ("ordinary", Text(zh="一般", en="Ordinary"), "#e5f5e0"),
}
MASKED = 4
"""Class of the 2020 profile: not graded because ecology is 极重要 there."""
KNOCK_OUT = 64
"""Reason codes of the 2020 profile: 64 + reason code of the knock-out chain."""
ECOLOGY_OUT = 120
"""Reason code of the 2020 profile: extremely important for ecology."""
_MASKED_TITLE = Text(zh="生态保护极重要区（不参评）", en="Extremely important for ecology (not graded)")
_GRADE_TITLES = {
    1: Text(zh="1 高", en="1 high"),
    2: Text(zh="2 较高", en="2 rather high"),
    3: Text(zh="3 中", en="3 medium"),
    4: Text(zh="4 较低", en="4 rather low"),
    5: Text(zh="5 低", en="5 low"),
}
_IMPORTANCE_TITLES = {
    1: Text(zh="1 一般", en="1 ordinary"),
    3: Text(zh="3 重要", en="3 important"),
    5: Text(zh="5 极重要", en="5 extremely important"),
}
"""Importance rises with the grade, unlike suitability."""
_PATCH_TITLES = {k: Text(zh=f"{k} {t.zh[2:]}", en=t.en) for k, t in _GRADE_TITLES.items()}


_GRADE_COLOURS = {1: "#1a9850", 2: "#91cf60", 3: "#fee08b", 4: "#fc8d59", 5: "#d73027"}
_IMPORTANCE_COLOURS = {1: "#e5f5e0", 3: "#41ab5d", 5: "#00441b"}
_MASKED_COLOUR = "#00441b"
NO_LIMIT_COLOUR = "#e3e8e0"
"""Colour of «no limit» in maps of the limiting factor."""
REASON_COLOURS = (
    "#88ccee", "#332288", "#f0e442", "#7f3b08", "#0072b2", "#d55e00", "#999999", "#8400cd", "#fdbf6f", "#000000",
    "#aa7744", "#555555",
)  # fmt: skip
"""Colours of limiting factors by their place in the chain; the nearest pair is 18 apart in CIELAB for normal sight and for
protan, deutan and tritan deficiency (Machado et al. 2009, doi 10.1109/TVCG.2009.113). After twelve they repeat."""


def classes_of(name: str) -> Mapping[int, tuple[str, Text, str]]:
    """Classes of a result raster of the dual evaluation by its name."""
    return IMPORTANCE if name == "ecology" else SUITABILITY


def reason_titles(chain: Chain, classes: Mapping[int, tuple[str, Text, str]]) -> dict[int, Text]:
    """Reason code → title; where nothing is important for ecology, that is no «limit»."""
    plain = {NO_LIMIT: Text(zh="一般", en="ordinary")} if classes is IMPORTANCE else {}
    return chain.reasons() | plain


def class_bands(
    chain: Chain, classes: Mapping[int, tuple[str, Text, str]], *, patch: bool, knock_outs: Chain | None
) -> tuple[Band, ...]:
    """Bands of a class raster: class, grade, reason, then patch level and the 2020 profile where there are such."""
    titles = {number: title for number, (_, title, _) in classes.items()}
    reasons = reason_titles(chain, classes)
    grades = _IMPORTANCE_TITLES if classes is IMPORTANCE else _GRADE_TITLES
    bands = [
        Band(name="class", title=chain.title, valid_range=(0, 3), domain=titles),
        Band(name="grade", title=Text(zh="等级", en="Grade"), valid_range=(0, 5), domain=grades),
        Band(
            name="reason",
            title=Text(zh="决定因素", en="Deciding factor")
            if classes is IMPORTANCE
            else Text(zh="限制因素", en="Limiting factor"),
            valid_range=(0, 127),
            domain=reasons,
        ),
    ]
    if patch:
        bands.append(
            Band(
                name="patch",
                title=Text(zh="地块集中连片度", en="Patch concentration"),
                valid_range=(0, 5),
                domain=_PATCH_TITLES,
            )
        )
    if knock_outs is not None:
        bands += [
            Band(
                name="class_2020",
                title=Text(zh=f"{chain.title.zh}（2020 规则）", en=f"{chain.title.en} (2020 rules)"),
                valid_range=(0, MASKED),
                domain=titles | {MASKED: _MASKED_TITLE},
            ),
            Band(
                name="reason_2020",
                title=Text(zh="限制因素（2020 规则）", en="Limiting factor (2020 rules)"),
                valid_range=(0, ECOLOGY_OUT),
                domain=reasons
                | {
                    KNOCK_OUT + code: Text(zh=f"一票否决：{t.zh}", en=f"knock-out: {t.en}")
                    for code, t in knock_outs.reasons().items()
                    if code > 1
                }
                | {ECOLOGY_OUT: Text(zh="生态保护极重要", en="extremely important for ecology")},
            ),
        ]
    return tuple(bands)


def class_style(classes: Mapping[int, tuple[str, Text, str]], bands: Sequence[Band] = ()) -> dict[str, Any]:
    """Style of a class raster: its classes, and under ``bands`` the colours of its other bands by their codes."""
    others = {band.name: _band_style(band, classes) for band in bands if band.name != "class" and band.domain}
    return {
        "type": "classes",
        "band": "class",
        "classes": [
            {"value": number, "color": color, "title": title.model_dump()}
            for number, (_, title, color) in classes.items()
        ],
    } | ({"bands": others} if others else {})


def _band_style(band: Band, classes: Mapping[int, tuple[str, Text, str]]) -> list[dict[str, Any]]:
    colours: Mapping[int, str]
    codes = sorted(band.domain or {})
    if band.name.startswith("class"):
        colours = {number: color for number, (_, _, color) in classes.items()} | {MASKED: _MASKED_COLOUR}
    elif band.name in ("grade", "patch"):
        colours = _IMPORTANCE_COLOURS if band.name == "grade" and classes is IMPORTANCE else _GRADE_COLOURS
    else:
        chained = [code for code in codes if code not in (NO_LIMIT, ECOLOGY_OUT)]
        colours = {code: REASON_COLOURS[k % len(REASON_COLOURS)] for k, code in enumerate(chained)}
        colours |= {NO_LIMIT: NO_LIMIT_COLOUR, ECOLOGY_OUT: _MASKED_COLOUR}
    return [{"value": code, "color": colours[code], "title": (band.domain or {})[code].model_dump()} for code in codes]


def profile_2020(
    suitability: NDArray[np.uint8], reason: NDArray[np.uint8], out: NDArray[np.uint8], ecology: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Class and reason by the 2020 guide: 极重要 is masked, knock-outs are 不适宜, the rest is graded by the 2019 chain.

    Parameters
    ----------
    suitability, reason : uint8
        Of the 2019 chain; 0 = not assessed.
    out : uint8
        Reason code of the knock-out chain, 0 = none.
    ecology : uint8
        Class of ecological importance; 1 = 极重要, 0 = not assessed (masks nothing).

    Examples
    --------
    >>> s, r = np.array([1, 2, 3, 0], np.uint8), np.array([1, 4, 4, 0], np.uint8)
    >>> a, b = profile_2020(s, r, np.array([0, 3, 0, 0], np.uint8), np.array([1, 3, 3, 0], np.uint8))
    >>> a.tolist(), b.tolist()
    ([4, 3, 3, 0], [120, 67, 4, 0])
    """
    classes = suitability.copy()
    reasons = reason.copy()
    hit = out > 1
    classes[hit] = 3
    reasons[hit] = out[hit] + np.uint8(KNOCK_OUT)
    masked = ecology == 1
    classes[masked] = MASKED
    reasons[masked] = ECOLOGY_OUT
    return classes, reasons


class AreaTally:
    """Areas by unit and class and reason, exact whole dm²: the same sum for every block size and order.

    Parameters
    ----------
    units : int
        Number of units; unit 0 is «none» and is not counted.
    """

    def __init__(self, units: int) -> None:
        self.areas = np.zeros((units + 1, 5, 128), dtype=np.int64)

    @staticmethod
    def of_block(
        units: int,
        numbers: NDArray[np.uint16],
        classes: NDArray[np.uint8],
        reasons: NDArray[np.uint8],
        dm2: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """Areas of one block, to be added to `areas`; `dm2` is the cell area by row of the block."""
        found = np.zeros((units + 1, 5, 128), dtype=np.int64)
        compiled(_count)(np.ascontiguousarray(numbers), classes, reasons, dm2, found)
        return found

    def by_class(self, members: Sequence[int]) -> NDArray[np.int64]:
        """dm² by class 0–4 in the units of these numbers."""
        return np.asarray(self.areas[list(members)].sum(axis=(0, 2)))

    def by_reason(self, members: Sequence[int]) -> NDArray[np.int64]:
        """dm² by reason of assessed cells in the units of these numbers."""
        return np.asarray(self.areas[list(members)][:, 1:].sum(axis=(0, 1)))


def _count(units: Any, classes: Any, reasons: Any, dm2: Any, areas: Any) -> None:
    for r in range(units.shape[0]):
        area = dm2[r]
        for c in range(units.shape[1]):
            unit = units[r, c]
            if unit != 0:
                areas[unit, classes[r, c], reasons[r, c]] += area


@dataclass(frozen=True, slots=True)
class Unit:
    """A reporting unit: code, name, and the numbers of the county cells that belong to it."""

    code: str
    name: str
    members: tuple[int, ...]


def reporting_units(counties: geopandas.GeoDataFrame, level: str, *, part: bool = False) -> list[Unit]:
    """Units of a level out of the county units; province-administered counties (直管县市) stand by themselves.

    With `part`, the run covers a window: all units together are then «所选范围», not the province.
    """
    codes = [str(c) for c in counties["code"]]
    names = [str(n) for n in counties["name"]] if "name" in counties.columns else codes
    found: dict[str, tuple[str, list[int]]]
    if level == "county":
        found = {code: (name, [k]) for k, (code, name) in enumerate(zip(codes, names, strict=True), start=1)}
    elif level == "province":
        found = {codes[0][:2] + "0000": ("所选范围" if part else "全省", list(range(1, len(codes) + 1)))}
    else:
        found = {}
        lacking = "prefecture_code" not in counties.columns
        above = [c[:4] + "00" for c in codes] if lacking else [str(c) for c in counties["prefecture_code"]]
        titles = above if "prefecture" not in counties.columns else [str(n) for n in counties["prefecture"]]
        for k, (code, title) in enumerate(zip(above, titles, strict=True), start=1):
            found.setdefault(code, (title, []))[1].append(k)
    return [Unit(code, name, tuple(members)) for code, (name, members) in sorted(found.items())]


def area_rows(
    tally: AreaTally, units: Sequence[Unit], classes: Mapping[int, tuple[str, Text, str]], water_reason: int | None
) -> list[dict[str, Any]]:
    """One row a unit: areas of each class (km², hm², 亩) and shares of what was assessed, with and without water."""
    rows = []
    for unit in units:
        by_class = tally.by_class(unit.members) / 100.0
        assessed = float(by_class[1:].sum())
        row: dict[str, Any] = {"code": unit.code, "name": unit.name}
        for number, (name, _, _) in classes.items():
            area = float(by_class[number])
            row |= areas_in_units(area, name)
            row[f"{name}_percent"] = round(100 * area / assessed, 4) if assessed else None
        if by_class[MASKED]:
            row |= areas_in_units(float(by_class[MASKED]), "masked")
        if water_reason is not None:
            water = float(tally.by_reason(unit.members)[water_reason]) / 100.0
            land = assessed - water
            row["water_surface_km2"] = areas_in_units(water, "w")["w_km2"]
            row["unsuitable_land_percent"] = round(100 * (float(by_class[3]) - water) / land, 4) if land > 0 else None
        row |= areas_in_units(assessed, "assessed") | areas_in_units(float(by_class[0]), "not_assessed")
        rows.append(row)
    return rows


def reason_rows(tally: AreaTally, members: Sequence[int], titles: Mapping[int, Text]) -> list[dict[str, Any]]:
    """One row a limiting factor: area and share of what was assessed."""
    by_reason = tally.by_reason(members) / 100.0
    total = float(by_reason.sum())
    return [
        {"reason": code, "title_zh": title.zh, "title_en": title.en}
        | areas_in_units(float(by_reason[code]), "area")
        | {"percent": round(100 * float(by_reason[code]) / total, 4) if total else None}
        for code, title in titles.items()
        if by_reason[code]
    ]
