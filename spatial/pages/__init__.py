"""HTML pages (网页) of the resources: one family of templates for every standard, Chinese and English, nothing from outside.

Below `spatial.ogc`, `spatial.stac` and `tiles`, which do not import each other but answer pages of one family. A handler
that has a JSON document needs no template: ``html_response(page, "document.html", {"document": document}, …)`` makes a
readable page of any, with a map where the document says where it lies.
"""

from spatial.pages.page import Page, page_of, wants_html
from spatial.pages.rendering import SECURITY_HEADERS, html_response, problem_page, render, stamp

__all__ = ["SECURITY_HEADERS", "Page", "html_response", "page_of", "problem_page", "render", "stamp", "wants_html"]
