"""From values to a page (渲染): the templates, the script of the map, and the headers that let nothing else run."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from spatial.pages import listing, reading
from spatial.pages.corner import corner
from spatial.pages.page import Page, page_of

__all__ = ["SECURITY_HEADERS", "html_response", "problem_page", "render", "stamp"]

STYLE = (files("spatial.pages") / "templates" / "style.css").read_text("utf-8")
# The style stands inside the page; only its hash and files of this server are let in, so that no injected text runs.
_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
SECURITY_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'sha256-{_HASH}'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_MOST_KEPT = 8
_kept: dict[str, str] = {}
"""API documentation by entity tag: a thousand operations take a fifth of a second, in which nobody else is answered."""
_PORTAL = Path(__file__).parents[1] / "static" / "portal"


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("spatial.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.globals |= {"listing": listing, "reading": reading, "style": Markup(STYLE)}
    made.filters |= {"fact": reading.fact, "short": reading.short, "unit": reading.unit}
    return made


@lru_cache(maxsize=4)
def _built(changed_ns: int) -> str | None:
    found = sorted((_PORTAL / "assets").glob("ogcmap-*.js"))
    return f"assets/{found[-1].name}" if found else None


def _script() -> str | None:
    """Path of the script of the pages below the root, None where the portal is not built; found anew after a build."""
    try:
        return _built(os.stat(_PORTAL / "assets").st_mtime_ns)
    except OSError:
        return None


def stamp() -> str:
    """What every page depends on beside its data: the style and the script, for entity tags."""
    return f"{_HASH} {_script()}"


def render(template: str, page: Page, values: Mapping[str, Any]) -> str:
    """Page from a template; every value is escaped.

    ``document.html`` takes ``document`` (any JSON value, or its text), and if wanted ``heading``, ``layer``, ``rows``
    (mappings with ``id``, ``href``, ``title``, ``text``) and ``map`` (see `reading.map_of`).
    """
    known = {"heading": None, "layer": None, "rows": None, "document": None, "links": None, "map": None, **values}
    if template == "document.html":
        known["document"] = reading.parsed(known["document"])
        template = reading.template_for(known["document"])
        known["heading"] = known["heading"] or reading.heading(known["document"], page)
        known["map"] = known["map"] or reading.map_of(known["document"], page)
    elif template in ("collection.html", "item.html", "items.html"):
        known["map"] = reading.layer_map(template, known, page)
    elif known["map"] is None:
        known["map"] = reading.map_of(known["document"], page)
    known["corner"] = corner(template, known, page)
    known["map_spec"] = known["map"]
    return _environment().get_template(template).render(call=page, script=_script(), **known)


def html_response(
    page: Page, template: str, values: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An HTML answer with the headers that every page bears; `headers` come on top."""
    own = {
        **SECURITY_HEADERS,
        "Vary": "Accept, Accept-Language",
        "Content-Language": "zh-CN" if page.language == "zh" else "en",
    }
    given = dict(headers or {})
    key = f"{given.get('ETag')} {page.path} {page.language}"
    body = _kept.get(key) if template == "openapi.html" and "ETag" in given else None
    if body is None:
        body = render(template, page, values)
        if template == "openapi.html" and "ETag" in given:
            if len(_kept) >= _MOST_KEPT:
                _kept.clear()
            _kept[key] = body
    return Response(
        body,
        status,
        media_type="text/html; charset=utf-8",
        headers={**own, **given},
    )


def problem_page(request: Request, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """An error (RFC 9457 document) as a readable page."""
    status = int(problem.get("status", 500))
    return html_response(
        page_of(request),
        "problem.html",
        {"problem": problem},
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
