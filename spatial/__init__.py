"""OneMap Hubei (湖北一张图): the platform package.

::

    import spatial as sp

    sp.catalog()                                        # what there is
    dem = sp.open_layer("dem", bbox=(114.0, 30.3, 114.6, 30.8))
    cube = sp.open_scenes("honghu-scenes", time=("2018-01-01", "2018-12-31"), bands=["green", "swir1"])
    result = sp.run("urban-suitability", bbox=(114.0, 30.3, 114.6, 30.8), offroad_speed_kmh=5)
    server = sp.connect("http://127.0.0.1:8000")        # the same verbs over HTTP

Importing this package is cheap; each verb loads what it needs (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spatial.client import connect
    from spatial.library import catalog, open_layer, open_scenes, run

__all__ = ["catalog", "connect", "open_layer", "open_scenes", "run"]

_HOME = {
    "connect": "spatial.client",
    "open_layer": "spatial.library",
    "open_scenes": "spatial.library",
    "run": "spatial.library",
}


def __getattr__(name: str) -> Any:
    if name == "catalog":
        # The verb and the module share a name; the module can be called (end of `spatial.catalog`).
        return import_module("spatial.catalog")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
