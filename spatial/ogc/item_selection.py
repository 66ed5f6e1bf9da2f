"""Which properties, in which order, with which words (字段选择、排序、检索词): parameters of ``/items`` beyond the filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spatial.errors import InvalidParameter, UnknownProperty
from spatial.store.vector import SortKey

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = ["read_properties", "read_search", "read_sort"]

_LONGEST_SEARCH, _MOST_WORDS = 200, 10


def _names(layer: Layer, parameter: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        _require(layer, parameter, name)
    return names


def _require(layer: Layer, parameter: str, name: str) -> None:
    if layer.field(name) is None:
        known = [f.name for f in layer.fields]
        raise UnknownProperty(
            f"图层 {layer.id} 没有字段 {name[:80]!r}；可用：{'、'.join(known)}",
            f"layer {layer.id} has no property {name[:80]!r}; use one of {', '.join(known)}",
            layer=layer.id,
            parameter=parameter,
            allowed=known,
        )


def read_properties(layer: Layer, parameters: Mapping[str, str]) -> tuple[str, ...] | None:
    """Fields of ``properties``, or all but those of ``exclude-properties``; None is all.

    Raises
    ------
    InvalidParameter
        Both are given.
    UnknownProperty
    """
    wanted, excluded = parameters.get("properties"), parameters.get("exclude-properties")
    if wanted is not None and excluded is not None:
        raise InvalidParameter(
            "参数 properties 与 exclude-properties 只能给出一个",
            "give either properties or exclude-properties, not both",
            parameter="exclude-properties",
        )
    if wanted is not None:
        return _names(layer, "properties", wanted)
    if excluded is not None:
        left_out = _names(layer, "exclude-properties", excluded)
        return tuple(f.name for f in layer.fields if f.name not in left_out)
    return None


def read_sort(layer: Layer, text: str) -> tuple[SortKey, ...]:
    """Keys of ``sortby``: ``-level,+name`` is by level, highest first, then by name.

    A ``+`` that a client did not encode arrives as a space and means the same.

    Raises
    ------
    InvalidParameter
        Empty, or a key twice.
    UnknownProperty
    """
    keys: list[SortKey] = []
    for part in text.split(","):
        descending = part.startswith("-")
        name = part[1:] if part.startswith(("-", "+", " ")) else part
        if not name or name in {key.name for key in keys}:
            raise InvalidParameter(
                f"参数 sortby 应为逗号分隔、互不相同的字段名，降序在前面加 -，收到 {text[:80]!r}",
                f"sortby must be different property names separated by commas, - in front for descending, got {text[:80]!r}",
                parameter="sortby",
                value=text[:200],
            )
        _require(layer, "sortby", name)
        keys.append(SortKey(name, descending))
    return tuple(keys)


def read_search(text: str) -> tuple[tuple[str, ...], ...]:
    """Words of ``q``: those separated by spaces must all occur, commas separate alternatives.

    >>> read_search("武汉 bridge,长江")
    (('武汉', 'bridge'), ('长江',))
    """
    groups = tuple(tuple(group.split()) for group in text.replace("，", ",").split(",") if group.strip())
    if not groups or len(text) > _LONGEST_SEARCH or sum(map(len, groups)) > _MOST_WORDS or "\x00" in text:
        raise InvalidParameter(
            f"参数 q 应为 1–{_MOST_WORDS} 个词（共不超过 {_LONGEST_SEARCH} 字）：空格表示同时包含，逗号表示任一",
            f"q must be 1–{_MOST_WORDS} words (at most {_LONGEST_SEARCH} characters): a space means both, a comma either",
            parameter="q",
            value=text[:200],
        )
    return groups
