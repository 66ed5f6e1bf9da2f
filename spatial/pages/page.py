"""What every page knows of its request (页面): language, own address, breadcrumb, and whether HTML is wanted at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request

    from spatial.catalog import Layer, Text

__all__ = ["Crumb", "Language", "Page", "page_of", "wants_html", "weighted"]

Language = Literal["zh", "en"]
Crumb = tuple[str | None, str]
"""Address (None: not an address of its own) and text of one step of the breadcrumb."""

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_STEPS: dict[str, tuple[str, str]] = {
    "ogc": ("服务首页", "Service"),
    "stac": ("STAC", "STAC"),
    "collections": ("数据集", "Collections"),
    "items": ("要素", "Items"),
    "queryables": ("可查询字段", "Queryables"),
    "sortables": ("可排序字段", "Sortables"),
    "schema": ("字段结构", "Schema"),
    "tiles": ("瓦片集", "Tilesets"),
    "map": ("地图", "Map"),
    "styles": ("样式", "Styles"),
    "legend": ("图例", "Legend"),
    "metadata": ("元数据", "Metadata"),
    "coverage": ("覆盖", "Coverage"),
    "locations": ("位置", "Locations"),
    "position": ("点查询", "Position"),
    "radius": ("缓冲查询", "Radius"),
    "area": ("面查询", "Area"),
    "cube": ("立方体查询", "Cube"),
    "trajectory": ("轨迹查询", "Trajectory"),
    "corridor": ("走廊查询", "Corridor"),
    "processes": ("分析处理", "Processes"),
    "jobs": ("任务", "Jobs"),
    "results": ("结果", "Results"),
    "tileMatrixSets": ("瓦片矩阵集", "Tile matrix sets"),
    "conformance": ("符合性声明", "Conformance"),
    "openapi": ("接口文档", "API"),
    "api": ("接口文档", "API"),
    "search": ("检索", "Search"),
    "instances": ("历次版本", "Versions"),
    "facets": ("分面统计", "Facets"),
    "domainset": ("格网", "Grid"),
    "rangetype": ("波段", "Bands"),
    "catalogue": ("资源目录", "Resource catalogue"),
    "wetlands": ("湿地与保护区", "Wetlands and reserves"),
}
# Steps that answer a picture or data, or nothing at all: the breadcrumb names them without a link.
_NO_PAGE = frozenset({"map", "coverage", "legend", "position", "radius", "area", "cube", "trajectory", "corridor"})


def weighted(header: str) -> list[str]:
    """Names of an ``Accept``-like header, best first; those with q=0 are left out.

    >>> weighted("image/webp;q=0.5, image/png, text/html;q=0")
    ['image/png', 'image/webp']
    """
    entries = []
    for position, part in enumerate(header.split(",")[:50]):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for option in options:
            if option.startswith("q="):
                try:
                    weight = float(option[2:])
                except ValueError:
                    weight = 0.0
        if name and weight > 0:
            entries.append((-weight, position, name))
    return [name for _, _, name in sorted(entries)]


def wants_html(request: Request) -> bool:
    """True if ``?f=`` says HTML or, without it, ``Accept`` puts HTML before everything that JSON could answer."""
    wanted = request.query_params.get("f")
    if wanted is not None:
        return wanted.strip().lower() in {"html", *_HTML}
    for kind in weighted(request.headers.get("accept", "")):
        if kind in _HTML:
            return True
        if kind in {"*/*", "application/*"} or "json" in kind:
            return False
    return False


def _language(request: Request) -> Language:
    tags = [request.query_params.get("lang", ""), *weighted(request.headers.get("accept-language", ""))]
    for tag in tags:
        match tag.strip().lower().replace("_", "-").partition("-")[0]:
            case "zh":
                return "zh"
            case "en":
                return "en"
    return "zh"


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what the templates ask.

    Attributes
    ----------
    base : str
        Address before ``/ogc`` and ``/stac`` in every link, without a slash at its end.
    """

    request: Request
    base: str
    language: Language

    @property
    def path(self) -> str:
        """Path of the request."""
        path: str = self.request.scope["path"]
        return path

    @property
    def parameters(self) -> dict[str, str]:
        """Query of the request."""
        return dict(self.request.query_params)

    @property
    def root(self) -> str:
        """Relative address of the root: right below every prefix and host name that a proxy answers for."""
        return "../" * (self.path.count("/") - 1) or "./"

    def say(self, zh: str, en: str) -> str:
        """One of two texts."""
        return zh if self.language == "zh" else en

    def text(self, text: Text) -> str:
        """A bilingual text."""
        return text.zh if self.language == "zh" else text.en

    def title(self, layer: Layer) -> str:
        """Title of a layer with the mark of synthetic data."""
        return self.text(layer.display_title())

    def address(self, path: str, query: Mapping[str, str | None] | None = None) -> str:
        """Absolute address of a path of this server."""
        kept = {name: value for name, value in (query or {}).items() if value is not None}
        text = urlencode(kept, quote_via=quote, safe=",:/.")
        return f"{self.base}{quote(path)}" + (f"?{text}" if text else "")

    def page(self, path: str) -> str:
        """Address of another page, in the language of this one."""
        return self.address(path, {"lang": self.language})

    def here(self, changes: Mapping[str, str | None] | None = None) -> str:
        """Address of this page with some parameters changed; None removes one."""
        return self.address(self.path, self.parameters | dict(changes or {}))

    def crumbs(self) -> list[Crumb]:
        """The way from the landing page to here; the last step is this page."""
        names = [name for name in self.path.split("/") if name]
        found: list[Crumb] = []
        # Our own interface has pages below /api/v1, none of /api and /api/v1 themselves.
        own = names[:2] == ["api", "v1"] and len(names) > 2
        if own:
            found.append((self.page("/ogc"), self.say(*_STEPS["ogc"])))
        for number, name in enumerate(names, start=1):
            if own and number <= 2:
                continue
            layer = number == 3 and names[1] == "collections" and name != "catalogue"
            known = None if layer else _STEPS.get(name)
            text = self.say(*known) if known else unquote(name)
            is_page = names[0] in {"ogc", "stac"} and name not in _NO_PAGE
            # A style itself is a style sheet, no page.
            is_page = is_page and (number < 2 or names[number - 2] != "styles")
            is_page = number < len(names) and (is_page or (own and name == "wetlands"))
            query = {"f": "html", "lang": self.language} if own else {"lang": self.language}
            found.append((self.address("/" + "/".join(names[:number]), query) if is_page else None, text))
        return found

    def follow(self, href: str, kind: str | None = None) -> str:
        """Address that a link of a document goes to from a page: our own documents keep the language."""
        parts = urlsplit(href)
        own = href.startswith((f"{self.base}/ogc", f"{self.base}/stac"))
        if (
            not own
            or parts.query
            or "{" in href
            or "%7B" in href
            or (kind and "json" not in kind and "html" not in kind)
        ):
            return href
        return f"{href}?lang={self.language}"


def page_of(request: Request, base: str | None = None, language: Language | None = None) -> Page:
    """Page of a request; the base address is the configured public one, else the one that the client used."""
    if base is None:
        datastore = getattr(request.app.state, "datastore", None)
        configured = datastore is not None and datastore.settings.public_url is not None
        base = datastore.settings.url if configured and datastore is not None else str(request.base_url)
    return Page(request, base.rstrip("/"), language or _language(request))
