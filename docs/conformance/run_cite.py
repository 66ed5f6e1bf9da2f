"""Runs the released OGC CITE suites (OGC 官方测试套件) against the demo on both stores and writes ``cite.md`` beside this file.

    .venv/bin/python docs/conformance/run_cite.py FOLDER [--schemas FOLDER] [--store duckdb] [--check]

FOLDER holds the jars of the suites: ``ets-ogcapi-features10-1.9-aio.jar``, ``ets-ogcapi-tiles10-1.2-aio.jar``,
``ets-ogcapi-processes10-1.3-aio.jar``, ``ets-ogcapi-edr10-1.3-aio.jar`` (Java 17). Where the plain jar of a suite lies
beside its ``-aio`` jar it comes first on the class path: the suite's own axis table must win over that of its library.

The Processes suite reads schemas from ``schemas.opengis.net``. Without a network ``--schemas`` gives a folder
``schemas.opengis.net/ogcapi/processes/part1/1.0/openapi/schemas/*.yaml``, which a proxy on this machine serves to the suite
alone. Every failure and every skip must have its explanation in ``cite.yml``; exit code 1 where one has none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from xml.sax.saxutils import escape

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "deploy")]

from cite_view import view, with_items, with_queries  # noqa: E402

SUITES = {"features10": "1.9", "tiles10": "1.2", "processes10": "1.3", "edr10": "1.3"}
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
AT_MOST = 20
"""features10 never looks at more collections in one run, whatever it is told."""
PAGE = 10_000
QUERIES = ("position", "area", "trajectory", "corridor")
"""edr10 wants these of every collection that it looks at."""
VARIANTS = {"features10": ("", "axes", "pages"), "tiles10": ("",), "processes10": ("",), "edr10": ("", "queries")}
"""How a suite is run; "" is the result, the others are evidence or a view (`LABELS`)."""
LABELS = {
    "": "",
    "axes": "，轴序表更正 / axis table corrected",
    "pages": "，轴序表更正且取整页 / axis table corrected, whole pages",
    "queries": "，具备全部查询的数据集 / the collections that have every query",
}


@dataclass
class Outcome:
    """What one suite said of one server."""

    suite: str
    release: str
    store: str
    counts: Counter[str] = field(default_factory=Counter)
    others: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """Status, test, parameters, message of everything that did not pass → how often."""
    variant: str = ""

    @property
    def name(self) -> str:
        """Suite and variant, as the page shows them."""
        return self.suite + LABELS[self.variant]

    def add(self, other: Outcome) -> None:
        """Take the verdicts of another part of the same run."""
        self.counts.update(other.counts)
        self.others.update(other.others)


# -- the server under test ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def demo(store: str, **settings: str) -> Iterator[str]:
    """The demo with all sample layers and a worker; gives its address."""
    from postgis_cluster import PrivateCluster, free_port

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cite-")))
        # A folder of scenes that is named is not filled with the sample scenes, whose results would be published one after
        # the other while the suites run.
        scenes = {"scenes_path": str(folder / "scenes")}
        own = {"store": store, "host": "127.0.0.1", "port": str(free_port()), "var_dir": str(folder / "var")}
        own |= scenes | settings
        if store == "postgis":
            own |= {"postgis_dsn": stack.enter_context(_database(PrivateCluster())), "postgis_schema": "cite"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ONEMAP_")}
        environment |= {f"ONEMAP_{name.upper()}": value for name, value in own.items()}
        log = stack.enter_context((folder / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "spatial.cli", "demo"], env=environment, stdout=log, stderr=log
        )
        try:
            address = f"http://127.0.0.1:{own['port']}"
            _wait(process, address, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def _database(cluster: Any) -> Iterator[str]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    dsn = cluster.start()
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE cite")
        own = make_conninfo(dsn, dbname="cite")
        with psycopg.connect(own, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION postgis")
        yield own
    finally:
        cluster.stop()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), DIRECT.open(f"{address}/ready", timeout=30):
            break
        time.sleep(0.5)
    else:
        raise SystemExit(f"onemap demo did not start:\n{log.read_text('utf-8')[-3000:]}")
    deadline = time.monotonic() + 120
    while b"\xe5\xb7\xb2\xe5\xb0\xb1\xe7\xbb\xaa" not in log.read_bytes():  # 已就绪: the worker takes jobs
        if time.monotonic() > deadline:
            raise SystemExit("the worker of the demo did not start")
        time.sleep(0.5)


# -- the suites --------------------------------------------------------------------------------------------------------


class Schemas(BaseHTTPRequestHandler):
    """A proxy that answers from a folder, http and https; nothing leaves this machine."""

    folder: ClassVar[Path]
    context: ClassVar[ssl.SSLContext]

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.secure_host = self.path.partition(":")[0]
        self.close_connection = False

    def do_GET(self) -> None:
        place = self.path.partition("://")[2] if "://" in self.path else f"{self.secure_host}{self.path}"
        path = (self.folder / place).resolve()
        found = path.is_relative_to(self.folder.resolve()) and path.is_file()
        body = path.read_bytes() if found else b""
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/yaml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class SchemaServer(socketserver.ThreadingTCPServer):
    """The proxy; a thread a connection."""

    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def schema_proxy(folder: Path | None, scratch: Path) -> Iterator[list[str]]:
    """Arguments for Java by which a suite finds the schemas in `folder`."""
    if folder is None:
        yield []
        return
    store, certificate, word = scratch / "trust.p12", scratch / "proxy.pem", "changeit"
    name = "schemas.opengis.net"
    keytool = ["keytool", "-storetype", "PKCS12", "-keystore", str(store), "-storepass", word, "-alias", "proxy"]
    subprocess.run(
        [
            *keytool,
            "-genkeypair",
            "-keyalg",
            "RSA",
            "-dname",
            f"CN={name}",
            "-ext",
            f"san=dns:{name}",
            "-validity",
            "9",
        ],
        check=True,
        capture_output=True,
    )
    _write_pem(store, word, certificate)
    trust = scratch / "anchors.p12"
    exported = scratch / "proxy.crt"
    subprocess.run([*keytool, "-exportcert", "-file", str(exported)], check=True, capture_output=True)
    importing = ["keytool", "-importcert", "-noprompt", "-storetype", "PKCS12", "-keystore", str(trust)]
    importing += ["-storepass", word, "-alias", "proxy", "-file", str(exported)]
    subprocess.run(importing, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = type("Handler", (Schemas,), {"folder": folder, "context": context})
    with SchemaServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        yield [
            *(f"-D{kind}.proxyHost=127.0.0.1" for kind in ("http", "https")),
            *(f"-D{kind}.proxyPort={port}" for kind in ("http", "https")),
            "-Dhttp.nonProxyHosts=127.0.0.1|localhost",
            f"-Djavax.net.ssl.trustStore={trust}",
            f"-Djavax.net.ssl.trustStorePassword={word}",
        ]
        server.shutdown()


def _write_pem(store: Path, word: str, target: Path) -> None:
    command = ["openssl", "pkcs12", "-in", str(store), "-passin", f"pass:{word}", "-nodes", "-out", str(target)]
    subprocess.run(command, check=True, capture_output=True)


def arguments_of(suite: str, address: str, variant: str) -> dict[str, str]:
    """Properties of a run: every collection, the echo process, a tile in the middle of the province."""
    found = {"iut": f"{address}/ogc"}
    match suite:
        case "features10":
            found["noofcollections"] = "-1"
        case "processes10":
            found["echoprocessid"] = "echo"
        case "edr10":
            found["apiDefinition"] = f"{address}/ogc/openapi"
            if variant == "queries":
                found["noofcollections"] = (
                    "1000"  # With -1 its tests of queries run over no collection and are skipped.
                )
        case "tiles10":
            found |= {
                "noofcollections": "-1",
                "tilematrixsetdefinitionuri": "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad",
                "urltemplatefortiles": f"{address}/ogc/collections/counties/tiles/WebMercatorQuad/"
                "{tileMatrix}/{tileRow}/{tileCol}",
                "tilematrix": "7",
                "mintilerow": "51",
                "maxtilerow": "53",
                "mintilecol": "102",
                "maxtilecol": "104",
            }
    return found


def class_path(folder: Path, suite: str) -> list[Path]:
    """Jars of a suite, its own first."""
    whole = sorted(folder.glob(f"ets-ogcapi-{suite}-*-aio.jar"))
    if not whole:
        raise SystemExit(f"没有 / missing in {folder}: ets-ogcapi-{suite}-{SUITES[suite]}-aio.jar")
    plain = whole[-1].with_name(whole[-1].name.replace("-aio", ""))
    return [*([plain] if plain.is_file() else []), whole[-1]]


def corrected_axes(jars: list[Path], scratch: Path) -> Path:
    """A folder with the suite's table of CRSs in which the axis order is that of EPSG for every CRS that we serve.

    The released table marks EPSG:4258 and 4326 only, so the suite sends longitude first for EPSG:4490 and x first for
    EPSG:4524–4527, whose first axes are latitude and northing.
    """
    import zipfile

    from pyproj import CRS

    from spatial.crs import SERVED

    name = "proj4/nad/epsg"
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            if name in archive.namelist():
                text = archive.read(name).decode("utf-8")
                break
    codes = {int(uri.rpartition("/")[2]) for uri in SERVED if "/EPSG/" in uri}
    # From the EPSG registry itself, not from what this server believes.
    north_first = {code for code in codes if CRS.from_epsg(code).axis_info[0].direction == "north"}

    def mark(found: re.Match[str]) -> str:
        line = found.group(0)
        return (
            line
            if int(found.group(1)) not in north_first or "+axis" in line
            else line.replace("+no_defs", "+axis=neu +no_defs")
        )

    target = scratch / "axes" / name
    target.parent.mkdir(parents=True)
    target.write_text(re.sub(r"^<(\d+)>.*$", mark, text, flags=re.MULTILINE), "utf-8")
    return scratch / "axes"


def run_suite(folder: Path, suite: str, address: str, store: str, schemas: Path | None, variant: str = "") -> Outcome:
    """Run one suite over all its parts; its verdicts."""
    parts: list[list[str] | None] = [None]
    if suite == "features10":
        parts = [*with_items(address, AT_MOST)]
    elif variant == "queries":
        parts = [with_queries(address, *QUERIES)]
    page = PAGE if variant == "pages" else None
    release = class_path(folder, suite)[-1].name.split("-")[3]
    outcome = Outcome(suite, release, store, variant=variant)
    for part in parts:
        with view(address, part, page) as place:
            outcome.add(run_part(folder, suite, place, store, schemas, variant))
    return outcome


def run_part(folder: Path, suite: str, address: str, store: str, schemas: Path | None, variant: str) -> Outcome:
    """Run one suite once."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cite-suite-")))
        arguments = arguments_of(suite, address, variant)
        entries = "".join(f'<entry key="{k}">{escape(v)}</entry>' for k, v in arguments.items())
        properties = scratch / "arguments.xml"
        properties.write_text(
            f'<?xml version="1.0" encoding="UTF-8"?><properties version="1.0">{entries}</properties>', "utf-8"
        )
        jars = class_path(folder, suite)
        places = [str(jar) for jar in jars]
        if variant in ("axes", "pages"):
            places.insert(0, str(corrected_axes(jars, scratch)))
        options = stack.enter_context(schema_proxy(schemas, scratch))
        main = f"org.opengis.cite.ogcapi{suite}.TestNGController"
        command = ["java", *options, "-cp", os.pathsep.join(places), main, "-o", str(scratch), str(properties)]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        found = sorted(scratch.glob("testng/*/testng-results.xml"))
        if not found:
            raise SystemExit(f"{suite} gave no result:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return read_results(found[-1], suite, jars[-1].name.split("-")[3], store, variant)


def read_results(path: Path, suite: str, release: str, store: str, variant: str) -> Outcome:
    """Verdicts of a TestNG report."""
    outcome = Outcome(suite, release, store, variant=variant)
    for tested in ET.parse(path).iter("class"):
        name = tested.get("name", "").rpartition(".")[2]
        for method in tested.iter("test-method"):
            status = method.get("status", "")
            # A set-up that fails takes tests with it; they stand there as skipped, with its reason lost.
            if method.get("is-config") and status == "PASS":
                continue
            outcome.counts[status if not method.get("is-config") else "SETUP"] += 1
            if status != "PASS":
                values = [(p.findtext("value") or "").strip() for p in method.iter("param")]
                told = " ".join(v for v in values if v and "@" not in v)[:200]
                message = " ".join((method.findtext(".//message") or "").split())[:300]
                outcome.others[(status, f"{name}.{method.get('name')}", told, message)] += 1
    return outcome


# -- the page ----------------------------------------------------------------------------------------------------------


def explanation(
    outcome: Outcome, case: tuple[str, str, str, str], known: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """Entry of ``cite.yml`` that explains a failure or skip."""
    status, test, told, message = case
    for entry in known:
        if (
            entry["suite"] == outcome.suite
            and entry["status"] == status
            and outcome.variant in entry.get("variants", [outcome.variant])
            and re.fullmatch(entry["test"], test)
            and re.search(entry.get("parameters", ""), told)
            and re.search(entry.get("message", ""), message)
        ):
            return entry
    return None


def page(outcomes: list[Outcome], known: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """The page, and what has no explanation."""
    today = datetime.now(UTC).date().isoformat()
    lines = [
        "# OGC CITE 官方测试套件 / OGC CITE suites",
        "",
        "由 `docs/conformance/run_cite.py` 生成，请勿手改；对象为 `onemap demo` 的全部数据集。没有附注的行是套件本身的结果，"
        "带附注的行是旁证。 / Written by `docs/conformance/run_cite.py`; every collection of `onemap demo` is tested. "
        "Rows without a remark are the results of the suites as they are, rows with one are evidence.",
        "",
        "| 套件 suite | 版本 release | 存储 store | 日期 date | 通过 passed | 失败 failed | 跳过 skipped |",
        "|---|---|---|---|---|---|---|",
    ]
    unexplained = []
    explained: dict[str, Counter[str]] = {}
    texts = {entry["id"]: entry for entry in known}
    for outcome in outcomes:
        name = outcome.name
        counts = outcome.counts
        passed, failed, skipped = (f"{counts[key]:,}" for key in ("PASS", "FAIL", "SKIP"))
        lines.append(f"| {name} | {outcome.release} | {outcome.store} | {today} | {passed} | {failed} | {skipped} |")
        for case, count in outcome.others.items():
            entry = explanation(outcome, case, known)
            if entry is None:
                unexplained.append(f"{name} {outcome.store}: {' | '.join(case)} (× {count})")
            else:
                explained.setdefault(entry["id"], Counter())[f"{name} {outcome.store}"] += count
    lines += ["", "## 失败与跳过的说明 / Failures and skips explained", ""]
    for key in sorted(explained):
        entry = texts[key]
        where = "；".join(f"{name}: {count}" for name, count in sorted(explained[key].items()))
        word = {"FAIL": "失败 failed", "SKIP": "跳过 skipped"}[entry["status"]]
        lines += [
            f"### {entry['suite']} · {entry['title']}（{word}）",
            "",
            f"{where}",
            "",
            entry["zh"],
            "",
            entry["en"],
            "",
        ]
    if unexplained:
        lines += ["### 尚无说明 / Without explanation", "", *(f"- {text}" for text in unexplained), ""]
    return "\n".join(lines).rstrip() + "\n", unexplained


def saved(outcomes: list[Outcome]) -> str:
    """Outcomes as JSON, so that the page can be written again when an explanation changes."""
    return json.dumps(
        [
            {**vars(o), "counts": dict(o.counts), "others": [[*case, count] for case, count in o.others.items()]}
            for o in outcomes
        ],
        ensure_ascii=False,
    )


def restored(text: str) -> list[Outcome]:
    """What `saved` wrote."""
    found = []
    for entry in json.loads(text):
        others = Counter({tuple(case): count for *case, count in entry["others"]})
        found.append(Outcome(**{**entry, "counts": Counter(entry["counts"]), "others": others}))
    return found


def main() -> int:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", type=Path, nargs="?", help="folder of the suites' jars")
    parser.add_argument("--save", type=Path, help="keep the verdicts in this file")
    parser.add_argument(
        "--again", type=Path, nargs="+", help="write the page from verdicts that were kept, without running anything"
    )
    parser.add_argument("--schemas", type=Path, help="folder of schemas.opengis.net, where there is no network")
    parser.add_argument("--store", choices=("duckdb", "postgis", "both"), default="both")
    parser.add_argument("--suite", choices=tuple(SUITES), action="append", help="only this suite (may be repeated)")
    parser.add_argument("--server", help="test a server that runs already, without starting the demo")
    parser.add_argument("--output", type=Path, default=HERE / "cite.md")
    given = parser.parse_args()
    if given.again:
        kept = [outcome for path in given.again for outcome in restored(path.read_text("utf-8"))]
        return write(
            sorted(kept, key=lambda o: (o.store, list(SUITES).index(o.suite), list(LABELS).index(o.variant))),
            given.output,
        )
    if given.suites is None:
        parser.error("give the folder of the suites' jars")
    if shutil.which("java") is None:
        raise SystemExit("没有 java（需要 17），请安装 / java 17 is missing, install: openjdk-17-jre-headless")
    outcomes: list[Outcome] = []
    for store in ("duckdb", "postgis") if given.store == "both" else (given.store,):
        with contextlib.nullcontext(given.server) if given.server else demo(store) as address:
            for suite in given.suite or SUITES:
                for variant in VARIANTS[suite]:
                    outcome = run_suite(given.suites, suite, address, store, given.schemas, variant)
                    outcomes.append(outcome)
                    if given.save:
                        given.save.write_text(saved(outcomes), "utf-8")
                    print(store, outcome.name, dict(outcome.counts), file=sys.stderr, flush=True)
    return write(outcomes, given.output)


def write(outcomes: list[Outcome], output: Path) -> int:
    """Write the page; 1 if something has no explanation."""
    known = yaml.safe_load((HERE / "cite.yml").read_text("utf-8"))
    text, unexplained = page(outcomes, known)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    aside.write_text(text, "utf-8")
    aside.replace(output)
    for line in unexplained:
        print(line, file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main())
