"""The one place where everything is put together: routes, error answers, health, metrics and the portal's files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from spatial.application import Application, Envelope
from spatial.compression import Compression
from spatial.errors import MethodNotAllowed, NotFound, SpatialError, StoreUnavailable
from spatial.settings import Settings
from spatial.settings import settings as environment_settings

if TYPE_CHECKING:
    from starlette.types import Scope

    from spatial.building_block import BuildingBlock
    from spatial.store.datastore import DataStore

__all__ = ["building_blocks", "create_app"]

PORTAL = Path(__file__).parent / "static" / "portal"
_CSP = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'"
)
log = structlog.get_logger("onemap")


def _plain_tracebacks() -> None:
    """Log errors as Python prints them, unless the operator has set up logging.

    Where rich is installed structlog would draw the variables of every frame: passwords among them, and minutes of work
    with the whole OpenAPI document in one of them, in which this process answers nobody.
    """
    if structlog.is_configured():
        return
    processors = [
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if isinstance(processor, structlog.dev.ConsoleRenderer)
        else processor
        for processor in structlog.get_config()["processors"]
    ]
    structlog.configure(processors=processors)


def create_app(settings: Settings | None = None) -> Starlette:
    """The application of one server process.

    Parameters
    ----------
    settings : Settings, optional
        Default: the environment.
    """
    import tiles
    from spatial import api, ogc
    from spatial.observation.routes import UPLOADS as SNAPSHOTS
    from spatial.observation.routes import routes as observation_routes
    from spatial.ogc.processes import routes as process_routes
    from spatial.river_chief.routes import UPLOADS as PHOTOS
    from spatial.river_chief.routes import routes as river_chief_routes
    from spatial.store.datastore import DataStore
    from spatial.wetland.routes import routes as wetland_routes
    from tiles.lane import TileLane
    from tiles.scene_chips import chip_renderer

    _plain_tracebacks()
    chosen = settings or environment_settings()
    store = DataStore.open(chosen)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await store.aclose()

    blocks = building_blocks()
    routes: list[BaseRoute] = [
        *(route for block in blocks for route in block.routes(store)),
        *tiles.routes(store),
        *process_routes(store),
        *ogc.routes(store),
        *api.routes(store),
        *river_chief_routes(store, chip_renderer(store)),
        *observation_routes(store),
        *wetland_routes(store),
        *_operations(store),
        *_portal(),
    ]
    middleware = [
        Middleware(Envelope, limit=chosen.max_body_bytes, uploads=SNAPSHOTS | PHOTOS),
        Middleware(Compression),
    ]
    if chosen.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(chosen.cors_origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            # What an editor on another origin sends: whose it is, what it changes, in which CRS, what it wants back.
            allow_headers=["Authorization", "Content-Crs", "If-Match", "If-None-Match", "Prefer"],
            expose_headers=[
                "Content-Bbox",
                "Content-Crs",
                "Content-Datetime",
                "Content-Disposition",
                "Content-Location",
                "ETag",
                "Link",
                "Location",
                "OGC-NumberMatched",
                "OGC-NumberReturned",
                "OneMap-Cut-Fields",
                "OneMap-Left-Out",
                "OneMap-Synthetic",
                "OneMap-Version",
                "Preference-Applied",
            ],
        )
        middleware.insert(0, cors)
    app = Application(
        lane=TileLane(store),
        problem=_problem,
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={SpatialError: _problem, HTTPException: _http_problem, Exception: _unexpected},
    )
    app.state.datastore = store
    app.state.building_blocks = blocks
    return app


def building_blocks() -> tuple[BuildingBlock, ...]:
    """The standards beyond Features, Tiles and Processes, in the order in which the documents name them."""
    from spatial.ogc.coverages.routes import COVERAGES
    from spatial.ogc.edr.routes import EDR
    from spatial.ogc.feature_queries import FEATURE_QUERIES
    from spatial.ogc.records.routes import RECORDS
    from spatial.ogc.transactions import TRANSACTIONS
    from spatial.stac.routing import STAC
    from tiles.dataset_tiles import DATASET_TILES
    from tiles.maps.routes import MAPS
    from tiles.styles_api import STYLES
    from tiles.wms.routes import WMS

    # Records first: its collection is no layer, so its fixed addresses must win over those with a variable.
    return (RECORDS, FEATURE_QUERIES, TRANSACTIONS, COVERAGES, EDR, STAC, MAPS, STYLES, DATASET_TILES, WMS)


def _problem_response(request: Request, document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    from spatial.pages import problem_page, wants_html

    headers = {**(headers or {}), "Vary": "Accept, Accept-Language"}
    if wants_html(request):
        return problem_page(request, document, headers)
    return JSONResponse(
        document, status_code=document["status"], media_type="application/problem+json", headers=headers
    )


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, SpatialError)
    document = error.problem() | {"instance": request.url.path}
    if document["status"] >= 500:
        log.error("request failed", path=request.url.path, error=document["title"], detail=error.en)
    return _problem_response(request, document, error.headers() or None)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        path = request.url.path
        missing = NotFound(
            f"没有地址 {path}；目录见 /ogc 与 /api/v1/catalogue", f"nothing at {path}; see /ogc and /api/v1/catalogue"
        )
        return _problem_response(request, missing.problem() | {"instance": path})
    if error.status_code == 405:
        allow = [method for method in (error.headers or {}).get("Allow", "").split(", ") if method]
        wrong = MethodNotAllowed(
            f"{request.url.path} 不接受 {request.method[:20]}，可用：{'、'.join(allow)}",
            f"{request.url.path} does not take {request.method[:20]}; allowed: {', '.join(allow)}",
            allow=allow,
        )
        document = wrong.problem() | {"instance": request.url.path}
        return _problem_response(request, document, wrong.headers())
    document = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "detail": f"请求方法或形式不被接受 / {error.detail}",
        "instance": request.url.path,
    }
    return _problem_response(request, document, dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.exception("unexpected error", path=request.url.path, exc_info=error)
    ours = SpatialError(
        "服务内部错误，已记录；请联系管理员", "internal error; it has been logged, please tell the operator"
    )
    return _problem_response(request, ours.problem() | {"instance": request.url.path})


def _operations(store: DataStore) -> list[BaseRoute]:
    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        await run_in_threadpool(store.vectors.ping)
        snapshot = store.snapshot()
        if not snapshot.layers():
            raise StoreUnavailable(
                "尚未发布任何图层；请运行 onemap layers publish --all",
                "no layer is published; run: onemap layers publish --all",
            )
        return JSONResponse({"status": "ready", "revision": snapshot.revision, "layers": len(snapshot.layers())})

    async def metrics(request: Request) -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]


def _portal() -> list[BaseRoute]:
    """The built web map; without a build a plain page says how to build it."""

    async def index(request: Request) -> Response:
        page = PORTAL / "index.html"
        if not page.is_file():
            text = "门户尚未构建，请运行 make portal / the portal is not built, run: make portal\n"
            return Response(text, media_type="text/plain; charset=utf-8", status_code=503)
        return FileResponse(page, headers={"Content-Security-Policy": _CSP, "Cache-Control": "no-cache"})

    found: list[BaseRoute] = [Route("/", index)]
    if PORTAL.is_dir():
        found.append(Mount("/", _PortalFiles(directory=PORTAL)))
    return found


class _PortalFiles(StaticFiles):
    """Files of the portal; those with a hash in their name never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if path.startswith("assets/"):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
