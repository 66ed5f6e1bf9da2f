"""Live what-if tiles (试算瓦片): a chain with other limits, matrices or weights, computed for each tile from factor values.

The tile takes the factor values of the cells under its pixel centres and runs the same kernel as the batch. So on the
native grid an unchanged chain gives the stored map pixel by pixel, but for stations that are not local (集中连片度).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlencode

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from analyses.chain import NO_LIMIT, Graded
from analyses.evaluation_result import NO_LIMIT_COLOUR, REASON_COLOURS
from analyses.whatif import NOT_LOCAL, Recorded, Scenario, adjustable, factors_of, recorded, result_of, scenario
from spatial.catalog import Text
from spatial.errors import InvalidParameter, SpatialError
from spatial.grid import TILE_MATRIX_SETS, tile_matrix_set
from spatial.store.raster import PublishedRaster
from tiles.answers import choice, json_answer, matches, tile_headers
from tiles.matrix import Address, parse_address, touches
from tiles.metadata import MEDIA_TYPES, tilejson_document
from tiles.raster import TilePool, pixel_centres, read_cells
from tiles.render import encode_palette
from tiles.styles import Classes, rgba, style_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["BANDS", "LEFT_OUT", "Plan", "addresses", "graded_cells", "legend", "whatif_tile"]

Shown = Literal["class", "grade", "reason"]
BANDS: tuple[Shown, ...] = ("class", "grade", "reason")
LEFT_OUT = "OneMap-Left-Out"
"""Response header: stations of the run that the picture does not contain."""
_FIXED = ("version", "band")
_FORMATS = {"png": "png", "webp": "webp"}
_GRADES = ("#1a9850", "#91cf60", "#fee08b", "#fc8d59", "#d73027")
_GRADE_TITLES = (
    ("1 级", "Grade 1"),
    ("2 级", "Grade 2"),
    ("3 级", "Grade 3"),
    ("4 级", "Grade 4"),
    ("5 级", "Grade 5"),
)
_CLASSES = ("#1a9850", "#fee08b", "#d73027", "#7b8794")


@dataclass(frozen=True)
class Plan:
    """What a what-if tile is computed from.

    Attributes
    ----------
    raster : PublishedRaster
        Factors.
    found : Recorded
    scenario : Scenario
        With the changes of the request, and without what is not local.
    palette : uint8 array (n, 4)
        Colour of each code of the band that is shown; code 0 is clear.
    """

    raster: PublishedRaster
    found: Recorded
    scenario: Scenario
    shown: Shown
    palette: NDArray[np.uint8]


def graded_cells(
    raster: PublishedRaster,
    found: Recorded,
    plan: Scenario,
    longitudes: NDArray[np.float64],
    latitudes: NDArray[np.float64],
) -> Graded | None:
    """Grade, class and reason at the crossings of two coordinate vectors; None if no point lies in the raster.

    Parameters
    ----------
    plan : Scenario
        Only of stations that have a band.
    longitudes, latitudes : float64 arrays (columns,), (rows,), degrees
    """
    names = plan.factors
    values = read_cells(raster, [found.bands[name] for name in names], longitudes, latitudes)
    if values is None:
        return None
    return plan.run(dict(zip(names, values, strict=True)))


def whatif_tile(plan: Plan, address: Address, *, ext: str, size: int = 256) -> bytes | None:
    """Encoded picture of a tile, or None where nothing is assessed."""
    graded = graded_cells(plan.raster, plan.found, plan.scenario, *pixel_centres(address, size))
    if graded is None:
        return None
    codes = {"class": graded.suitability, "grade": graded.grade, "reason": graded.reason}[plan.shown]
    if not codes.any():
        return None
    marked = plan.raster.layer.synthetic is not None
    return encode_palette(np.minimum(codes, len(plan.palette) - 1), plan.palette, ext, marked=marked)


def _reason_colours(found: Recorded) -> dict[int, str]:
    """The colours of the class layer's limiting factors: by position in the chain."""
    stations = range(len(found.chain.stations))
    return {NO_LIMIT: NO_LIMIT_COLOUR} | {NO_LIMIT + 1 + k: REASON_COLOURS[k % len(REASON_COLOURS)] for k in stations}


def legend(found: Recorded, result: Layer | None, shown: Shown) -> list[dict[str, Any]]:
    """Value, colour and title of each code of a band; classes in the style of the class layer."""
    chain = found.chain
    if shown == "grade":
        return [
            {"value": n, "color": c, "label": {"zh": zh, "en": en}}
            for n, (c, (zh, en)) in enumerate(zip(_GRADES, _GRADE_TITLES, strict=True), start=1)
        ]
    if shown == "reason":
        colours = _reason_colours(found)
        return [{"value": k, "color": colours[k], "label": title.model_dump()} for k, title in chain.reasons().items()]
    style = style_of(result) if result is not None else None
    used = sorted(set(chain.classes.values()))
    if isinstance(style, Classes) and style.band in {None, "class"}:
        return [
            {"value": c.value, "color": c.color, "label": c.title.model_dump()}
            for c in style.classes
            if c.value in used
        ]
    titles = {n: chain.class_titles.get(n, Text(zh=f"{n} 类", en=f"class {n}")) for n in used}
    return [
        {"value": n, "color": _CLASSES[(n - 1) % len(_CLASSES)], "label": title.model_dump()}
        for n, title in titles.items()
    ]


@lru_cache(maxsize=256)
def _palette(entries: tuple[tuple[int, str], ...]) -> NDArray[np.uint8]:
    colours = np.zeros((max(value for value, _ in entries) + 1, 4), dtype=np.uint8)
    for value, colour in entries:
        colours[value] = rgba(colour)
    colours.setflags(write=False)
    return colours


class _WhatIfService:
    """The handlers; the raster threads are those of the other tiles."""

    def __init__(self, datastore: DataStore, pool: TilePool) -> None:
        self._datastore = datastore
        self._base = datastore.settings.url
        self._pool = pool
        self._warming: asyncio.Task[None] | None = None

    async def tile(self, request: Request) -> Response:
        """A tile; ``{y}@2x`` is 512 pixels."""
        path, query = request.path_params, dict(request.query_params)
        row, _, scale = path["y"].partition("@")
        if scale not in {"", "2x"}:
            raise InvalidParameter(
                f"瓦片倍率 @{scale[:10]} 不支持；可用 @2x",
                f"tile scale @{scale[:10]} is not served; use @2x",
                parameter="y",
            )
        ext = choice(path["ext"], _FORMATS, "ext")
        address = parse_address(path["tms"], path["z"], path["x"], row)
        size = 512 if scale else 256
        raster, found, result = _found(self._datastore.snapshot(), path["layer"], query.get("version"))
        shown = _shown(query)
        plan = scenario(found.chain, query, _FIXED)
        local = plan.local(found)
        entries = tuple((e["value"], e["color"]) for e in legend(found, result, shown))
        named = [raster.version, "whatif", entries, local.digest, *address, ext, shown, size]
        named.append(raster.layer.synthetic is not None)
        headers = tile_headers(raster.layer, named, pinned="version" in query)
        missing = [s.id for s in plan.chain.stations if s.id in found.absent]
        if missing:
            headers[LEFT_OUT] = ",".join(missing)
        if matches(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        body = None
        if touches(address, raster.extent):
            work = Plan(raster, found, local, shown, _palette(entries))
            body = await self._pool.run(whatif_tile, work, address, ext=ext, size=size)
        if body is None:
            return Response(status_code=204, headers=headers)
        return Response(body, media_type=MEDIA_TYPES[ext], headers=headers)

    async def document(self, request: Request) -> Response:
        """What can be changed, with TileJSON members; the parameters of a scenario are kept in its tile addresses."""
        query = dict(request.query_params)
        tms = query.get("tms", "WebMercatorQuad")
        tile_matrix_set(tms)
        raster, found, result = _found(self._datastore.snapshot(), request.path_params["layer"], query.get("version"))
        shown = _shown(query)
        plan = scenario(found.chain, query, (*_FIXED, "tms"))
        if self._warming is None:
            # Who reads this will move a slider next; the kernel takes seconds to compile the first time on a machine.
            self._warming = asyncio.create_task(self._pool.run(_warm, plan.local(found)))
        document = _document(self._base, raster, found, result, plan, tms=tms, shown=shown, query=query)
        return json_answer(request, document, raster.layer)


def _warm(plan: Scenario) -> None:
    plan.run({name: np.zeros((1, 1), dtype=np.float32) for name in plan.factors})


def addresses(datastore: DataStore, pool: TilePool) -> Sequence[tuple[str, Callable[[Request], Any]]]:
    """Paths of this module and their handlers."""
    service = _WhatIfService(datastore, pool)
    return [
        ("/tiles/{layer}/whatif.json", service.document),
        ("/tiles/{layer}/whatif/{tms}/{z}/{x}/{y}.{ext}", service.tile),
    ]


def _found(snapshot: Snapshot, layer_id: str, version: str | None) -> tuple[PublishedRaster, Recorded, Layer | None]:
    """Factors raster, its chain, and the class layer if this server shows it."""
    asked = snapshot.raster(layer_id, version)
    factors = factors_of(asked.layer)
    raster = asked if factors in {None, layer_id} else snapshot.raster(factors)
    found = recorded(raster.layer)
    named = result_of(raster.layer)
    try:
        result = asked.layer if factors != layer_id else snapshot.raster(named).layer if named else None
    except SpatialError:
        result = None  # deleted or not shown here: the factors are enough, in default colours
    return raster, found, result


def _shown(query: Mapping[str, str]) -> Shown:
    return cast("Shown", choice(query.get("band", "class"), {name: name for name in BANDS}, "band"))


def _document(
    base: str,
    raster: PublishedRaster,
    found: Recorded,
    result: Layer | None,
    plan: Scenario,
    *,
    tms: str,
    shown: Shown,
    query: Mapping[str, str],
) -> dict[str, Any]:
    layer, chain = raster.layer, found.chain
    changes = {k: v for k, v in query.items() if k not in {*_FIXED, "tms"}}
    pinned = {"version": raster.version} | ({"band": shown} if shown != "class" else {}) | changes
    template = f"/tiles/{layer.id}/whatif/{{tms}}/{{z}}/{{x}}/{{y}}.png"
    document = tilejson_document(raster, tms=tms, ext="png", base=base)
    document["tiles"] = [f"{base}{template.replace('{tms}', tms)}?{urlencode(pinned, safe=',:;')}"]
    del document["legend"]
    weighted = plan.weighted
    return document | {
        "layer": layer.id,
        "result_layer": result_of(layer),
        "title": (result or layer).display_title().model_dump(),
        "chain": {"id": chain.id, "title": chain.title.model_dump()},
        "templates": {name: f"{template.replace('{tms}', name)}?version={raster.version}" for name in TILE_MATRIX_SETS},
        "bands": list(BANDS),
        "stations": [_station(s, raster, found) for s in chain.stations],
        "classes": {str(grade): number for grade, number in chain.classes.items()},
        "legends": {name: legend(found, result, name) for name in BANDS},
        "left_out": [
            {"station": s.id, "title": s.title.model_dump(), "reason": NOT_LOCAL}
            for s in chain.stations
            if s.id in found.absent
        ],
        "scenario": {
            "changed": plan.changed,
            "off": list(plan.off),
            "parameters": changes,
            "weights": dict(weighted.weights) if weighted else None,
            "unused": list(weighted.unused) if weighted else [],
        },
    }


def _station(station: Any, raster: PublishedRaster, found: Recorded) -> dict[str, Any]:
    band = found.bands.get(station.factor)
    span = None
    if band is not None:
        low, high = raster.statistics[band - 1]
        span = [round(low, 6), round(high, 6)]
    table = [list(row) for row in station.table]
    return {
        "id": station.id,
        "title": station.title.model_dump(),
        "kind": station.kind,
        "factor": station.factor,
        "unit": station.unit,
        "range": span,
        "edges": list(station.edges),
        "closed": list(station.closed),
        "intervals": [station.interval_text(n) for n in range(len(station.levels))],
        "levels": list(station.levels),
        "table": table,
        "matrix": table[1:] if station.kind == "matrix" else None,
        "required": station.required,
        "left_out": station.id in found.absent,
        "change": adjustable(station),
        "source": station.source,
        "tag": station.tag,
    }
