"""Values of query parameters that maps, map tiles and WMS share (地图参数): numbers, colours, times, subsets; read strictly."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from spatial.errors import InvalidParameter, UnknownParameter
from spatial.rfc3339 import EVERY_PRECISION, read_interval
from spatial.store.vector import Interval

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["colour", "flag", "interval", "number", "numbers", "pixels", "single_query", "subsets"]

Colour = tuple[int, int, int]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_AXIS = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\(([^()]*)\)\s*(,|$)", re.ASCII)


def single_query(request: Request, allowed: Collection[str], repeated: Collection[str] = ()) -> dict[str, str]:
    """Query parameters by name, each known and given once; those in `repeated` are joined by commas.

    Raises
    ------
    UnknownParameter, InvalidParameter
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            raise UnknownParameter(
                f"没有参数 {name[:60]!r}，可用：{'、'.join(allowed)}",
                f"no parameter {name[:60]!r}; use one of {', '.join(allowed)}",
                parameter=name[:60],
                allowed=list(allowed),
            )
        if name in found and name not in repeated:
            raise InvalidParameter(f"参数 {name} 重复给出", f"parameter {name} is given twice", parameter=name)
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def wrong(parameter: str, text: str, zh: str, en: str) -> InvalidParameter:
    """A parameter that has a bad value: what it should be, and what came."""
    return InvalidParameter(
        f"参数 {parameter} 应为{zh}，收到 {text[:80]!r}",
        f"{parameter} must be {en}, got {text[:80]!r}",
        parameter=parameter,
        value=text[:200],
    )


def number(text: str, parameter: str) -> float:
    """A finite number."""
    if not _NUMBER.fullmatch(text.strip()) or not math.isfinite(float(text)):
        raise wrong(parameter, text, "一个数", "a number")
    return float(text)


def numbers(text: str, parameter: str, counts: Collection[int]) -> list[float]:
    """Finite numbers separated by commas, as many as one of `counts`."""
    parts = text.split(",")
    if len(parts) not in counts or not all(_NUMBER.fullmatch(p.strip()) and math.isfinite(float(p)) for p in parts):
        many = " 或 ".join(map(str, counts)), " or ".join(map(str, counts))
        raise wrong(parameter, text, f" {many[0]} 个以逗号分隔的数", f"{many[1]} numbers separated by commas")
    return [float(p) for p in parts]


def pixels(text: str, parameter: str, most: int) -> int:
    """A number of pixels: a whole number from 1 to `most`.

    Raises
    ------
    InvalidParameter
        The message gives the largest size that is served.
    """
    if not re.fullmatch(r"\+?\d{1,9}", text.strip(), re.ASCII) or not 1 <= int(text) <= most:
        raise InvalidParameter(
            f"参数 {parameter} 应为 1–{most} 的整数（像素），收到 {text[:40]!r}",
            f"{parameter} must be a whole number of pixels from 1 to {most}, got {text[:40]!r}",
            parameter=parameter,
            value=text[:200],
            maximum=most,
        )
    return int(text)


def flag(text: str, parameter: str) -> bool:
    """``true`` or ``false``, in any case."""
    if text.lower() not in {"true", "false"}:
        raise wrong(parameter, text, " true 或 false", "true or false")
    return text.lower() == "true"


def colour(text: str, parameter: str) -> Colour:
    """Red, green, blue of ``0xRRGGBB``, ``#RRGGBB``, ``RRGGBB`` or a W3C colour name.

    Examples
    --------
    >>> colour("0xFF8000", "bgcolor"), colour("LightBlue", "bgcolor")
    ((255, 128, 0), (173, 216, 230))
    """
    from PIL import ImageColor

    digits = re.fullmatch(r"(?:0[xX]|#)?([0-9a-fA-F]{6})", text.strip())
    if digits:
        r, g, b = bytes.fromhex(digits[1])
        return r, g, b
    named = ImageColor.colormap.get(text.strip().lower())
    if not isinstance(named, str):
        raise wrong(parameter, text, "颜色 0xRRGGBB 或 W3C 颜色名", "a colour, 0xRRGGBB or a W3C colour name")
    r, g, b = bytes.fromhex(named[1:])
    return r, g, b


def interval(text: str, parameter: str = "datetime") -> Interval:
    """Interval of a time or ``start/end`` (open: ``..``, ``*`` or empty); both ends included, UTC.

    A time is an instant with its zone, or a whole year, month, day, hour or minute.

    Examples
    --------
    >>> interval("2024-07-01T08:00:00+08:00/..").start.isoformat()
    '2024-07-01T00:00:00+00:00'
    """
    found = read_interval(
        "/".join(part.strip() for part in text.split("/")),
        parameter,
        precisions=EVERY_PRECISION,
        open_ends=("", "..", "*"),
    )
    return Interval(*found)


def subsets(text: str) -> dict[str, str]:
    """What stands in the brackets of each axis of ``subset=Lat(30:31),Lon(114:115)``.

    Examples
    --------
    >>> subsets('Lat(30:31),time("2024-01-01":*)')
    {'Lat': '30:31', 'time': '"2024-01-01":*'}
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _AXIS.match(text, at)
        if match is None or match[1] in found:
            raise wrong(
                "subset",
                text,
                "形如 Lat(30:31),Lon(114:115) 且各轴一次",
                "like Lat(30:31),Lon(114:115), each axis once",
            )
        found[match[1]] = match[2]
        at = match.end()
    if not found:
        raise wrong("subset", text, "形如 Lat(30:31),Lon(114:115)", "like Lat(30:31),Lon(114:115)")
    return found
