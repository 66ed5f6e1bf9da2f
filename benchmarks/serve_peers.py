"""Peers for tiles (瓦片对照服务): Martin (Rust, compiled once into ``.peers/martin``) and stock TiTiler.

Martin reads a copy of the parcels that is stored in EPSG:3857 already, as its documentation advises: the same geometries
that ours reads, without a transformation.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import peers
import yaml
from processes import Server

__all__ = ["TILES_COPY_SQL", "martin_server", "titiler_server"]

MARTIN = "1.14.0"
PACKAGES = ("titiler.application==2.4.*", *peers.SERVING)
TILES_COPY_SQL = """
CREATE SCHEMA tiles;
CREATE TABLE tiles.parcels AS
  SELECT fid, code, county, landuse, owner, grade, year, price, quality, slope, protected, surveyed,
    geom_3857::geometry(Polygon, 3857) AS geom
  FROM onemap.bench_parcels__1 ORDER BY fid;
ALTER TABLE tiles.parcels ADD PRIMARY KEY (fid);
CREATE INDEX ON tiles.parcels USING gist (geom);
"""
COLUMNS = {
    **dict.fromkeys(("code", "county", "landuse", "owner"), "text"),
    **dict.fromkeys(("grade", "year"), "int8"),
    **dict.fromkeys(("price", "quality", "slope"), "float8"),
    "protected": "bool",
    "surveyed": "date",
}


def install_martin() -> Path:
    """The program, compiled if it is not there; that takes eight minutes on two cores."""
    folder = peers.HOME / "martin"
    program = folder / "bin" / "martin"
    if program.is_file():
        return program
    cargo = shutil.which("cargo")
    if cargo is None:
        raise SystemExit("编译 Martin 需要 cargo / cargo is needed to compile Martin: https://doc.rust-lang.org/cargo")
    print(f"编译 Martin {MARTIN} 到 {folder} / compiling Martin", file=sys.stderr)
    features = ["--no-default-features", "--features", "postgres,mbtiles"]
    command = [cargo, "install", "martin", "--version", MARTIN, "--locked", *features, "--root", str(folder)]
    subprocess.run(command, check=True)
    return program


def martin_server(name: str, database_port: int, port: int, folder: Path, *, cache_mb: int) -> Server:
    """Martin with two threads; `cache_mb` 0 caches nothing."""
    source: dict[str, Any] = {
        "schema": "tiles",
        "table": "parcels",
        "srid": 3857,
        "geometry_column": "geom",
        "geometry_type": "POLYGON",
        "id_column": "fid",
        "extent": 4096,
        "buffer": 64,
        "clip_geom": True,
        "properties": COLUMNS,
    }
    document = {
        "listen_addresses": f"127.0.0.1:{port}",
        "worker_processes": 2,
        "cache_size_mb": cache_mb,
        "postgres": {
            "connection_string": f"postgresql://postgres:trusted@127.0.0.1:{database_port}/postgres",
            "auto_publish": False,
            "pool_size": 8,
            "tables": {"parcels": source},
        },
    }
    config = folder / f"{name}.yml"
    config.write_text(yaml.safe_dump(document), "utf-8")
    return Server(
        name, [str(install_martin()), "--config", str(config)], {"RUST_LOG": "warn"}, port, "/catalog", folder
    )


def titiler_server(port: int, folder: Path) -> Server:
    """The stock TiTiler application."""
    python = peers.install("titiler", PACKAGES)
    command = peers.uvicorn(python, "titiler.application.main:app", port)
    return Server(
        "titiler", command, {"GDAL_CACHEMAX": "512", "TITILER_API_CORS_ORIGINS": "*"}, port, "/healthz", folder
    )
