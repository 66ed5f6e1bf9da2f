"""Long lists of a page in groups (分组): collections by theme, operations by tag, conformance classes by standard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatial.catalog import Catalog, Layer, Theme
    from spatial.pages.page import Page

__all__ = [
    "by_standard",
    "by_tag",
    "by_theme",
    "filters",
    "half",
    "own",
    "property_names",
    "resource",
    "server_address",
    "shared",
    "type_of",
]

_METHODS = ("get", "post", "put", "patch", "delete")


_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def half(text: Any, page: Page) -> str:
    """The part of a text «中文 / English» that the page speaks; any other text stays whole."""
    whole = "" if text is None else str(text)
    parts = whole.split(" / ")
    middle = len(parts) // 2
    chinese, english = " / ".join(parts[:middle]), " / ".join(parts[middle:])
    if len(parts) % 2 or not _CHINESE.search(chinese) or _CHINESE.match(english):
        return whole
    return chinese if page.language == "zh" else english


def by_standard(classes: Sequence[str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Conformance classes as (standard, [(uri, name)])."""
    found: dict[str, list[tuple[str, str]]] = {}
    for uri in classes:
        standard, _, name = uri.partition("/conf/")
        steps = standard.rstrip("/").split("/")
        found.setdefault(" ".join(steps[-2:]), []).append((uri, name or uri))
    return list(found.items())


def _paths(themes: Sequence[Theme], page: Page, above: tuple[str, ...] = ()) -> dict[str, str]:
    found: dict[str, str] = {}
    for theme in themes:
        titles = (*above, page.text(theme.title))
        found[theme.id] = " › ".join(titles)
        found |= _paths(theme.children, page, titles)
    return found


def by_theme(collections: Sequence[Mapping[str, Any]], page: Page) -> list[tuple[str | None, list[Mapping[str, Any]]]]:
    """Collections as (theme path, members), in their own order; what is no layer comes last."""
    datastore = getattr(page.request.app.state, "datastore", None)
    if datastore is None:
        return [(None, list(collections))]
    catalog: Catalog = datastore.snapshot().catalog
    titles = _paths(catalog.themes, page)
    found: dict[str, list[Mapping[str, Any]]] = {}
    other: list[Mapping[str, Any]] = []
    for collection in collections:
        layer = catalog.layers.get(collection.get("id", ""))
        if layer is None:
            other.append(collection)
        else:
            found.setdefault(titles.get(layer.theme[-1], layer.theme[-1]), []).append(collection)
    groups: list[tuple[str | None, list[Mapping[str, Any]]]] = list(found.items())
    return groups + ([(page.say("目录与其他", "Catalogues and other"), other)] if other else [])


def by_tag(document: Mapping[str, Any], page: Page) -> list[tuple[str, str, list[tuple[str, str, Mapping[str, Any]]]]]:
    """Operations of an OpenAPI document as (tag, its text, [(method, path, operation)])."""
    texts = {tag["name"]: half(tag.get("description", ""), page) for tag in document.get("tags", [])}
    found: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {name: [] for name in texts}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["server"])[0]
                found.setdefault(tag, []).append((method, path, item[method]))
    return [(tag, texts.get(tag, ""), members) for tag, members in found.items() if members]


_ASKED_FOR = frozenset({"position", "radius", "area", "cube", "trajectory", "corridor"})
"""Last steps of paths that answer nothing without a place, whatever their description says is required."""


def resource(document: Mapping[str, Any], path: str, operation: Mapping[str, Any]) -> bool | None:
    """True for an operation that answers a page as it stands, False for one that answers data, None for one that answers
    nothing without values.
    """

    def part(of: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in of:
            return of
        found: Any = document
        for step in str(of["$ref"]).removeprefix("#/").split("/"):
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    if "{" in path or path.rpartition("/")[2] in _ASKED_FOR:
        return None
    if any(part(one).get("required") for one in operation.get("parameters", [])):
        return None
    answer = part(operation.get("responses", {}).get("200", {}))
    return "text/html" in answer.get("content", {})


def server_address(document: Mapping[str, Any]) -> str:
    """Address below which the operations of an OpenAPI document lie."""
    servers = document.get("servers") or [{}]
    return str(servers[0].get("url", "")).rstrip("/")


def shared(parameters: Sequence[Any]) -> list[str]:
    """Names of the parameters that an operation takes from the components."""
    return [str(p["$ref"]).rpartition("/")[2] for p in parameters if "$ref" in p]


def own(parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Parameters that only this operation has."""
    return [p for p in parameters if "$ref" not in p]


def type_of(schema: Any) -> str:
    """A JSON Schema in a few words.

    >>> type_of({"type": "array", "items": {"type": "number"}})
    'array of number'
    >>> type_of({"type": "integer", "minimum": 1, "maximum": 9, "default": 3})
    'integer 1–9, default 3'
    >>> type_of({"type": "number", "maximum": 20000})
    'number ≤ 20000'
    """
    if not isinstance(schema, Mapping):
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for name in ("oneOf", "anyOf"):
        if isinstance(schema.get(name), list):
            return " | ".join(dict.fromkeys(filter(None, (type_of(part) for part in schema[name][:6]))))
    kind = schema.get("type", "")
    text = " | ".join(kind) if isinstance(kind, list) else str(kind)
    if text == "array":
        text = f"array of {type_of(schema.get('items', {})) or 'any'}"
    if "enum" in schema:
        values = [str(value) for value in schema["enum"]]
        text = " | ".join(values[:12]) + (" | …" if len(values) > 12 else "")
    elif "format" in schema:
        text = f"{text} ({schema['format']})" if text else str(schema["format"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        text += f" {low}–{high}"
    elif low is not None:
        text += f" ≥ {low}"
    elif high is not None:
        text += f" ≤ {high}"
    if schema.get("default") not in (None, [], {}):
        text += f", default {json.dumps(schema['default'], ensure_ascii=False)[:60]}"
    return text


def filters(layer: Layer, page: Page) -> list[tuple[str, str]]:
    """Query parameters that narrow a page of features."""
    names = {"bbox", "datetime", "filter", "q", *(f.name for f in layer.fields)}
    return [(name, value) for name, value in page.parameters.items() if name in names]


def property_names(features: Sequence[Mapping[str, Any]]) -> list[str]:
    """Properties that a table of features shows: the plain ones in the order in which they come, nested ones if few."""
    found: dict[str, bool] = {}
    for feature in features[:50]:
        properties = feature.get("properties")
        for name, value in (properties if isinstance(properties, Mapping) else {}).items():
            found[name] = found.get(name, False) or isinstance(value, Mapping | list)
    plain = [name for name, nested in found.items() if not nested][:10]
    return plain + [name for name, nested in found.items() if nested][: max(0, 5 - len(plain))]
