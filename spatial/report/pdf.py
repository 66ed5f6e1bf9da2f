"""The report as PDF: an HTML page with print styles, set by WeasyPrint with embedded fonts. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatial.errors import ServiceUnavailable
from spatial.report.document import Document, Figure, Paragraph, Section, Table, numbered

__all__ = ["PANGO_LINE", "html_of", "require_weasyprint", "write_pdf"]

PANGO_LINE = "apt-get update && apt-get install -y libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk"
_ADDRESS = "figure:{}"
_TEMPLATES = Path(__file__).with_name("templates")


def require_weasyprint() -> Any:
    """WeasyPrint, ready to use.

    Raises
    ------
    ServiceUnavailable
        If it or Pango is missing, with the line that installs it.
    """
    try:
        import weasyprint
    except ImportError as error:
        raise ServiceUnavailable(
            "缺少 WeasyPrint，不能写 PDF 报告；请运行：pip install 'onemap-hubei[report]'",
            "WeasyPrint is missing: no PDF report; run: pip install 'onemap-hubei[report]'",
        ) from error
    except OSError as error:  # its C libraries are loaded on import
        raise ServiceUnavailable(
            f"缺少 Pango 库，不能写 PDF 报告；请运行：{PANGO_LINE}",
            f"the Pango library is missing: no PDF report; run: {PANGO_LINE}",
            reason=str(error).splitlines()[0][:200],
        ) from error
    return weasyprint


def html_of(document: Document) -> str:
    """The report as one HTML page; picture k has the address ``figure:k``."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests |= {
        "figure": lambda block: isinstance(block, Figure),
        "table": lambda block: isinstance(block, Table),
        "paragraph": lambda block: isinstance(block, Paragraph),
        "mark": lambda cell: hasattr(cell, "color"),
        "bilingual": lambda cell: hasattr(cell, "zh"),
    }
    environment.globals["address"] = _ADDRESS.format
    style = (_TEMPLATES / "report.css").read_text("utf-8")
    page = environment.get_template("report.html.j2")
    return page.render(document=document, sections=list(_counted(document)), style=style)


def _counted(document: Document) -> Iterator[tuple[str, int, Section, list[tuple[int, Any]]]]:
    figures = tables = 0
    for number, level, section in numbered(document.sections):
        blocks: list[tuple[int, Any]] = []
        for block in section.blocks:
            if isinstance(block, Figure):
                figures += 1
                blocks.append((figures, block))
            elif isinstance(block, Table):
                tables += 1
                blocks.append((tables, block))
            else:
                blocks.append((0, block))
        yield number, level, section, blocks


def write_pdf(document: Document, path: Path) -> None:
    """Write a report to `path`.

    Raises
    ------
    ServiceUnavailable
        See `require_weasyprint`.
    """
    weasyprint = require_weasyprint()
    page = weasyprint.HTML(string=html_of(document), url_fetcher=_fetcher(weasyprint, document))
    page.write_pdf(str(path))


def _fetcher(weasyprint: Any, document: Document) -> Any:
    """Answers with the pictures of the document by their addresses; no other address is ever asked."""
    found = [block for _, _, _, blocks in _counted(document) for _, block in blocks if isinstance(block, Figure)]
    pictures = {_ADDRESS.format(k): block.png for k, block in enumerate(found, start=1)}

    class Pictures(weasyprint.urls.URLFetcher):
        def fetch(self, url: str, headers: Any = None) -> Any:
            if url not in pictures:
                raise ValueError(f"报告不取外部资源 / a report fetches nothing: {url[:80]}")
            return weasyprint.urls.URLFetcherResponse(url, pictures[url], {"Content-Type": "image/png"})

    return Pictures()
