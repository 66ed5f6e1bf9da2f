"""HTML of the OGC resources: one family of small templates, Chinese and English, nothing from outside, no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

if TYPE_CHECKING:
    from spatial.ogc.exchange import Call

__all__ = ["CONTENT_SECURITY_POLICY", "render"]

STYLE = (files("spatial.ogc") / "templates" / "style.css").read_text("utf-8")
# The style stands inside the page; its hash is the only thing that the policy lets in, so that no injected text runs.
_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("spatial.ogc"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(template: str, call: Call, values: Mapping[str, Any]) -> str:
    """Page from a template; every value is escaped."""
    return _environment().get_template(template).render(call=call, style=Markup(STYLE), **values)
