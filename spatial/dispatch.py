"""Finding the route of a request (路由分发) at a cost that does not grow with the number of routes.

Starlette tries the pattern of each route in turn: with more than a hundred of them that is a tenth of a millisecond before
anything is done. Here the routes are sorted once by what their path shows at a glance (number of segments, first and last
segment), and only those that can match are tried, in the same order and with the same rules. One rule is added: a method that
the routes of an address do not take is refused with all that they take, before anything mounted below them is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route, Router

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["IndexedRouter"]

Shape = tuple[int, str]


class IndexedRouter(Router):
    """Starlette's router with an index; what the index does not settle goes the ordinary way (404, redirects)."""

    def __init__(self, router: Router) -> None:
        # Everything else (lifespan, default answer) stays the router's.
        self.__dict__.update(router.__dict__)
        self.middleware_stack = self.app
        self.index(router.routes)

    def index(self, routes: Sequence[BaseRoute]) -> None:
        """Sort the routes; to be called again when they change."""
        self._endings: dict[Shape, dict[str, list[BaseRoute]]] = {}
        self._others: dict[Shape, list[BaseRoute]] = {}
        self._loose = [route for route in routes if not _fixed(route)]
        fixed = [route.path for route in routes if isinstance(route, Route) and _fixed(route)]
        for shape in {_shape(path) for path in fixed}:
            endings = {_last(path) for path in fixed if _shape(path) == shape and "{" not in _last(path)}
            self._others[shape] = [r for r in routes if _may_match(r, shape, None)]
            self._endings[shape] = {e: [r for r in routes if _may_match(r, shape, e)] for e in endings}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("root_path"):
            await super().app(scope, receive, send)
            return
        path: str = scope["path"]
        shape = _shape(path)
        endings = self._endings.get(shape)
        candidates = self._loose if endings is None else endings.get(_last(path)) or self._others[shape]
        allowed: set[str] = set()
        for route in candidates:
            match, child = route.matches(scope)
            if match is Match.PARTIAL and isinstance(route, Route):
                allowed |= route.methods or set()
            elif match is Match.FULL:
                if allowed and not isinstance(route, Route):
                    # The address is one of ours and does not take the method: not for the files of the portal.
                    raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
                scope.setdefault("router", self)
                scope["route"] = route
                scope.update(child)
                await route.handle(scope, receive, send)
                return
        await super().app(scope, receive, send)


def _fixed(route: BaseRoute) -> bool:
    """True for a route whose path has a fixed number of segments and a literal first one."""
    return isinstance(route, Route) and ":path}" not in route.path and "{" not in _shape(route.path)[1]


def _shape(path: str) -> Shape:
    """Number of slashes and first segment.

    >>> _shape("/ogc/collections/{id}"), _shape("/")
    ((3, 'ogc'), (1, ''))
    """
    return path.count("/"), path.split("/", 2)[1] if path.startswith("/") else path


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _may_match(route: BaseRoute, shape: Shape, ending: str | None) -> bool:
    """Whether a route can match a path of this shape that ends with a segment (None: with no literal one)."""
    if not isinstance(route, Route) or not _fixed(route):
        return True
    last = _last(route.path)
    return _shape(route.path) == shape and ("{" in last or last == ending)
