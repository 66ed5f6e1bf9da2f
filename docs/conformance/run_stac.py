"""Runs stac-api-validator against a running server and writes ``stac.md`` beside this file.

    .venv/bin/python docs/conformance/run_stac.py VALIDATOR STORE=SERVER... [--schemas FOLDER]

VALIDATOR is the program ``stac-api-validator`` (``pip install stac-api-validator`` into an environment of its own), SERVER the
address of a running demo on that store, one or several. The validator reads JSON schemas from the network; without one
``--schemas`` gives a folder with a folder a host (``schemas.stacspec.org``, ``stac-extensions.github.io``, ``geojson.org``,
``proj.org``), which a proxy on this machine serves to the validator alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from run_cite import DIRECT, Schemas, SchemaServer  # noqa: E402

CLASSES = (
    "core",
    "browseable",
    "collections",
    "item-search",
    "features",
    "filter",
    "item-search#sort",
    "item-search#fields",
    "item-search#query",
)
PROGRAM = """
import os, urllib3
place = os.environ.get("https_proxy")
if place:  # pystac asks for schemas past the proxy
    class Manager(urllib3.PoolManager):
        far = urllib3.ProxyManager(place, ca_certs=os.environ["SSL_CERT_FILE"])
        def request(self, method, url, *rest, **more):
            ask = self.far.request if url.startswith("https:") else super().request
            return ask(method, url, *rest, **more)
    urllib3.PoolManager = Manager
from stac_api_validator.__main__ import main
main()
"""
PROVINCE = {"type": "Polygon", "coordinates": [[[108, 29], [116, 29], [116, 33], [108, 33], [108, 29]]]}


@contextlib.contextmanager
def proxy(folder: Path | None) -> Iterator[dict[str, str]]:
    """Environment in which the validator finds the schemas in `folder`."""
    if folder is None:
        yield {}
        return
    hosts = sorted(found.name for found in folder.iterdir() if found.is_dir())
    with tempfile.TemporaryDirectory(prefix="stac-proxy-") as scratch:
        key, certificate, both = (Path(scratch) / name for name in ("key.pem", "cert.pem", "both.pem"))
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=schemas"]
        command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)]
        subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        both.write_text(certificate.read_text() + key.read_text())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        handler = type("Handler", (Schemas,), {"folder": folder, "context": context})
        with SchemaServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_address[1]}"
            found = {name: address for base in ("http_proxy", "https_proxy") for name in (base, base.upper())}
            trusted = {name: str(certificate) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
            yield found | trusted | {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
            server.shutdown()


def run(validator: Path, server: str, environment: dict[str, str]) -> tuple[list[str], list[str], str]:
    """Errors, warnings and the whole report."""
    with DIRECT.open(f"{server}/stac/search?limit=1", timeout=60) as answer:
        (item,) = json.load(answer)["features"]
    command = [
        str(validator.with_name("python")),
        "-c",
        PROGRAM,
        "--root-url",
        f"{server}/stac",
        "--collection",
        item["collection"],
    ]
    command += ["--geometry", json.dumps(PROVINCE), "--fields-nested-property", "properties.proj:code"]
    for name in CLASSES:
        command += ["--conformance", name]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=1800
    )
    report = done.stdout + done.stderr
    parts = {"Errors": [], "Warnings": []}  # type: dict[str, list[str]]
    current: list[str] | None = None
    for line in report.splitlines():
        if found := re.match(r"(Errors|Warnings): ?(none)?", line):
            current = parts[found.group(1)]
        elif line.startswith("- ") and current is not None:
            current.append(line[2:])
    if "Errors:" not in report:
        raise SystemExit(f"no report:\n{report[-3000:]}")
    return parts["Errors"], parts["Warnings"], report


def main() -> int:
    """Run and write the page; 1 if the validator found an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("validator", type=Path)
    parser.add_argument("server", nargs="+", help="store=address, for example duckdb=http://127.0.0.1:8000")
    parser.add_argument("--schemas", type=Path)
    given = parser.parse_args()
    version = subprocess.run(
        [str(given.validator), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()
    today = datetime.now(UTC).date().isoformat()
    lines = [
        "# stac-api-validator",
        "",
        "由 `docs/conformance/run_stac.py` 生成，请勿手改；对象为 `onemap demo` 的 `/stac`。 / Written by "
        "`docs/conformance/run_stac.py`; `/stac` of `onemap demo` is tested.",
        "",
        f"版本 release: {version[-1]}；检查的类 classes: {'、'.join(CLASSES)}",
        "",
        "| 存储 store | 日期 date | 错误 errors | 警告 warnings |",
        "|---|---|---|---|",
    ]
    told: list[str] = []
    failed = False
    with proxy(given.schemas) as environment:
        for named in given.server:
            store, _, server = named.partition("=")
            errors, warnings, report = run(given.validator, server, environment)
            if failed := failed or bool(errors):
                print(report[-6000:], file=sys.stderr)
            lines.append(f"| {store} | {today} | {len(errors)} | {len(warnings)} |")
            for word, found in (("错误 error", errors), ("警告 warning", warnings)):
                kinds: dict[str, list[str]] = {}
                for text in found:
                    kinds.setdefault(text.partition("]")[0] + "]", []).append(text)
                told += [f"- {store}，{word} {kind} × {len(texts)}：{texts[0][:240]}" for kind, texts in kinds.items()]
    told += [
        "",
        "警告的说明：第一条查询非洲的一个范围，湖北的数据不在其中；其余是说 `fields` 的答复除所求外还有 `type`、"
        "`stac_version`、`id`、`collection`，没有它们就不是 STAC 条目。 / The warnings: the first asks for a box in Africa, "
        "where Hubei has no data. The others say that an answer with `fields` holds `type`, `stac_version`, `id` and "
        "`collection` besides what was asked for; without them it would be no STAC item.",
    ]
    text = "\n".join([*lines, *([""] if told else []), *told]) + "\n"
    (HERE / "stac.md").write_text(re.sub(r"http://127\.0\.0\.1:\d+", "…", text), "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
