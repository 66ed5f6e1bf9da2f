"""A view of a running server for a test suite: some of its collections only, or whole pages for its boxes.

A suite may look at a few collections only (features10: never more than 20), or want the same of every collection (edr10:
every query). A view is a small proxy on this machine that passes every request on unchanged and

- leaves out the other collections in ``/ogc/collections`` and in the OpenAPI document (`only`);
- where the suite adds ``limit=10`` to a request with ``bbox``, asks for `page` features instead.

Answers are not touched in any other way; links lead through the view, because the server makes them from ``Host``.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
HOP = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


def collections(address: str) -> list[dict[str, Any]]:
    """Collections of a server."""
    with DIRECT.open(f"{address}/ogc/collections?f=json", timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)["collections"]
    return found


def with_items(address: str, at_most: int) -> list[list[str]]:
    """Ids of the collections that have items, in parts of `at_most`."""
    ids = [c["id"] for c in collections(address) if any(link["rel"] == "items" for link in c["links"])]
    return [ids[start : start + at_most] for start in range(0, len(ids), at_most)]


def with_queries(address: str, *names: str) -> list[str]:
    """Ids of the collections that have every one of these EDR queries."""
    return [c["id"] for c in collections(address) if set(names) <= set(c.get("data_queries", {}))]


def _narrowed(path: str, body: bytes, only: Collection[str]) -> bytes:
    place = path.partition("?")[0].rstrip("/")
    if place not in ("/ogc/collections", "/ogc/openapi", "/ogc/api") or not body.startswith(b"{"):
        return body
    document = json.loads(body)
    if "paths" in document:
        variables = document["components"]["parameters"]
        listed = {name for name, variable in variables.items() if variable["name"] == "collectionId"}
        for name in listed:
            schema = variables[name]["schema"]
            schema["enum"] = [value for value in schema["enum"] if value in only]
        empty = {f"#/components/parameters/{name}" for name in listed if not variables[name]["schema"]["enum"]}
        document["paths"] = {
            name: item
            for name, item in document["paths"].items()
            if (not (found := re.match(r"/collections/([^/{]+)", name)) or found.group(1) in only)
            and not any(p.get("$ref") in empty for o in item.values() for p in o.get("parameters", ()))
        }
        for name in listed:
            if not variables[name]["schema"]["enum"]:
                del variables[name]
    else:
        document["collections"] = [c for c in document["collections"] if c["id"] in only]
    return json.dumps(document, ensure_ascii=False).encode()


@contextlib.contextmanager
def view(address: str, only: Collection[str] | None = None, page: int | None = None) -> Iterator[str]:
    """Address of a view; the server's own where nothing is to be changed."""
    if only is None and page is None:
        yield address
        return

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            path = self.path
            if page is not None and re.search(r"[?&]bbox=", path):
                path = re.sub(r"(?<=[?&])limit=10(?=&|$)", f"limit={page}", path)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {k: v for k, v in self.headers.items() if k.lower() not in (*HOP, "accept-encoding")}
            asked = urllib.request.Request(address + path, data=sent, headers=headers, method=self.command)
            try:
                answer = DIRECT.open(asked, timeout=300)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                body = answer.read()
                if only is not None:
                    body = _narrowed(path, body, only)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
