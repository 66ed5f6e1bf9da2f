"""The peers (对照服务): pygeoapi and tipg, each installed into an environment of its own under ``benchmarks/.peers/``.

Both read one copy of the published table, made in the database, that says EPSG:4326: the numbers are the same, but on
EPSG:4490 pygeoapi's ``bbox`` finds nothing and tipg would transform every row.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import yaml
from processes import Server

__all__ = ["COPY_SQL", "install", "pygeoapi_server", "tipg_server"]

HOME = Path(__file__).resolve().parent / ".peers"
SERVING = ("uvicorn", "uvloop", "httptools")
PACKAGES = {
    "pygeoapi": ("pygeoapi==0.24.0", "psycopg2-binary", "sqlalchemy", "geoalchemy2", "starlette", *SERVING),
    "tipg": ("tipg==1.6.*", *SERVING),
}
COPY_SQL = """
CREATE SCHEMA peers;
CREATE TABLE peers.parcels AS
  SELECT fid, code, county, landuse, owner, grade, year, price, quality, slope, protected, surveyed,
    ST_SetSRID(geom, 4326)::geometry(Polygon, 4326) AS geom
  FROM onemap.bench_parcels__1 ORDER BY fid;
ALTER TABLE peers.parcels ADD PRIMARY KEY (fid);
CREATE INDEX ON peers.parcels USING gist (geom);
CREATE TABLE peers.points AS
  SELECT fid, name, kind, value, ST_SetSRID(geom, 4326)::geometry(Point, 4326) AS geom
  FROM onemap.bench_points__1 ORDER BY fid;
ALTER TABLE peers.points ADD PRIMARY KEY (fid);
CREATE INDEX ON peers.points USING gist (geom);
"""


def find_uv() -> str | None:
    """A uv of this checkout, or on PATH."""
    local = HOME.parents[1] / ".tools" / "bin" / "uv"
    return str(local) if local.is_file() else shutil.which("uv")


def install(name: str, packages: tuple[str, ...] | None = None) -> Path:
    """Python of the peer's own environment, made if it is not there; `packages` default to those of `PACKAGES`."""
    packages = packages or PACKAGES[name]
    folder = HOME / name
    python = folder / "bin" / "python"
    mark = folder / "installed.txt"
    wanted = "\n".join(packages)
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return python
    print(f"安装 {name} 到 {folder} / installing {name}", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=find_uv() is None)
    uv = find_uv()
    pip = (
        [uv, "pip", "install", "--quiet", "--python", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "-q"]
    )
    subprocess.run([*pip, *packages], check=True, env={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"})
    mark.write_text(wanted, "utf-8")
    return python


def versions(name: str) -> str:
    """Version of the installed peer."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    done = subprocess.run([str(HOME / name / "bin" / "python"), "-c", code], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def uvicorn(python: Path, app: str, port: int, *more: str) -> list[str]:
    """The same command line for every server: two processes, uvloop, httptools, no access log."""
    options = ["--workers", "2", "--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log"]
    return [str(python), "-m", "uvicorn", app, *more, "--host", "127.0.0.1", "--port", str(port), *options]


def _pygeoapi_resource(table: str, database_port: int, extent: list[float]) -> dict[str, Any]:
    return {
        "type": "collection",
        "title": table,
        "description": table,
        "keywords": [table],
        "links": [],
        "extents": {"spatial": {"bbox": extent, "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
        "providers": [
            {
                "type": "feature",
                "name": "PostgreSQL",
                "data": {
                    "host": "127.0.0.1",
                    "port": database_port,
                    "dbname": "postgres",
                    "user": "postgres",
                    "password": "trusted",
                    "search_path": ["peers", "public"],
                },
                "id_field": "fid",
                "table": table,
                "geom_field": "geom",
            }
        ],
    }


def pygeoapi_server(database_port: int, port: int, folder: Path) -> Server:
    """Stock pygeoapi as Starlette with its PostgreSQL provider."""
    python = install("pygeoapi")
    extent = [108.36, 29.03, 116.13, 33.27]
    name = {"en": "benchmark"}
    document = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": f"http://127.0.0.1:{port}",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "gzip": False,
            "languages": ["en-US"],
            "pretty_print": False,
            "admin": False,
            "limits": {"default_items": 10, "max_items": 10000},
            "map": {"url": "/none/{z}/{x}/{y}.png", "attribution": "none"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": name,
                "description": name,
                "keywords": {"en": ["benchmark"]},
                "keywords_type": "theme",
                "terms_of_service": "none",
                "url": "http://127.0.0.1",
            },
            "license": {"name": "none", "url": "http://127.0.0.1"},
            "provider": {"name": "benchmark", "url": "http://127.0.0.1"},
            "contact": {"name": "benchmark", "email": "you@example.org"},
        },
        "resources": {table: _pygeoapi_resource(table, database_port, extent) for table in ("parcels", "points")},
    }
    config, openapi = folder / "pygeoapi.yml", folder / "pygeoapi-openapi.json"
    config.write_text(yaml.safe_dump(document), "utf-8")
    environment = {"PYGEOAPI_CONFIG": str(config), "PYGEOAPI_OPENAPI": str(openapi)}
    made = subprocess.run(
        [
            str(python.with_name("pygeoapi")),
            "openapi",
            "generate",
            str(config),
            "--format",
            "json",
            "--output-file",
            str(openapi),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if made.returncode != 0:
        raise RuntimeError(f"pygeoapi openapi generate: {made.stdout[-1000:]}{made.stderr[-2000:]}")
    command = uvicorn(python, "pygeoapi.starlette_app:APP", port)
    return Server("pygeoapi", command, environment, port, "/collections/parcels/items?limit=1&f=json", folder)


def tipg_server(database_port: int, port: int, folder: Path) -> Server:
    """The stock tipg application; its tiles may hold every feature, with our buffer."""
    python = install("tipg")
    environment = {
        "DATABASE_URL": f"postgresql://postgres:trusted@127.0.0.1:{database_port}/postgres",
        "TIPG_DB_SCHEMAS": '["peers"]',
        "TIPG_MAX_FEATURES_PER_TILE": "1000000",
        "TIPG_TILE_BUFFER": "64",
    }
    command = uvicorn(python, "tipg.main:app", port)
    return Server("tipg", command, environment, port, "/collections/peers.parcels/items?limit=1&f=geojson", folder)
