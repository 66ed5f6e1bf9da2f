"""Vector store on DuckDB (嵌入式矢量存储): one immutable file a layer version, read by any number of processes.

A version is written into a file beside its place and renamed when it is whole, so nobody ever opens a file that is still
being written. Readers hold one in-memory instance a process and ``ATTACH`` the files read-only.

The instance runs one thread a query: with two, a bbox page of 200,000 parcels takes 24 ms instead of 10, because the
threads wait for each other. Requests run side by side instead, `Settings.duckdb_threads` at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spatial.catalog import Layer
from spatial.crs import ServedCRS
from spatial.errors import InvalidFilter, StoreUnavailable
from spatial.settings import Settings
from spatial.store.answers import anchor_of, feature_of, page_of, records_of
from spatial.store.dialect import COUNT_COLUMN, DUCKDB, column, quote
from spatial.store.editing_rows import republished
from spatial.store.generalise import GeneralisedTable, generalise
from spatial.store.published_frame import PreparedFrame, prepare, read_frame, table_name
from spatial.store.shapes import shapes_statement
from spatial.store.statements import (
    Statement,
    anchor_statement,
    count_statement,
    frame_statement,
    item_statement,
    page_statement,
    records_statement,
    selected_fields,
    tile_source,
    tile_statement,
)
from spatial.store.vector import ItemQuery, Page, PublishedTable, Records, RowChange

if TYPE_CHECKING:
    import duckdb
    import geopandas

__all__ = ["DuckDBStore"]

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

MOST_EDITED = 32
"""Edited versions that stay open although nobody reads them."""
SMALL_BLOCKS_BELOW = 20_000
"""Features up to which a version that others follow soon is written in small blocks: 0.1 MB a file, not 1.3 MB."""
LEFT_OVER_S = 6 * 3600
"""Age after which what a killed writer left is removed by the next one."""
WARM_UP = (
    "SELECT ST_AsGeoJSON(g), ST_AsMVTGeom(g, ST_Extent(ST_MakeEnvelope(0, 0, 2, 2)), 4096, 64, true) "
    "FROM (SELECT ST_GeomFromWKB($1::blob) AS g) WHERE ST_Intersects(g, ST_MakeEnvelope(0, 0, 2, 2))"
)
WARM_POINT = bytes.fromhex("0101000000000000000000f03f000000000000f03f")


@cache
def extension_path() -> Path:
    """The spatial extension inside the installed package ``duckdb-extension-spatial``; no network is used."""
    try:
        import duckdb_extension_spatial as package
    except ImportError as error:
        raise StoreUnavailable(
            "缺少 DuckDB 空间扩展，请安装：pip install 'onemap-hubei[server]'",
            "the DuckDB spatial extension is missing; install it: pip install 'onemap-hubei[server]'",
        ) from error
    found = sorted(Path(package.__file__).parent.glob("extensions/*/spatial.duckdb_extension"))
    if not found:
        raise StoreUnavailable(
            "包 duckdb-extension-spatial 中没有扩展文件，请重新安装",
            "the package duckdb-extension-spatial holds no extension file; install it again",
        )
    return found[-1]


class DuckDBStore:
    """`VectorStore` on DuckDB files below ``{var_dir}/vector``."""

    def __init__(self, settings: Settings) -> None:
        self.folder = (settings.var_dir / "vector").resolve()
        self._memory = settings.duckdb_memory
        self._timeout = settings.statement_timeout_s
        self._lock = threading.Lock()
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._attached: dict[str, str] = {}
        self._serial = 0
        self._edited: dict[str, float] = {}
        self._writer: duckdb.DuckDBPyConnection | None = None
        self._write_lock = threading.Lock()
        self._written = 0
        self._threads = ThreadPoolExecutor(settings.duckdb_threads, thread_name_prefix="duckdb")

    # --- connection -----------------------------------------------------------------------------------------------

    def _connect(self, database: str, threads: int) -> duckdb.DuckDBPyConnection:
        import duckdb

        connection = duckdb.connect(database, config={"threads": threads, "memory_limit": self._memory})
        connection.execute(f"LOAD '{str(extension_path()).replace(chr(39), chr(39) * 2)}'")
        # GLOBAL: without it cursors do not inherit the axis order and transforms give inf with no error.
        connection.execute("SET GLOBAL geometry_always_xy = true")
        # A statement of over two seconds would draw a bar on stdout, which is the result of a command or a script.
        connection.execute("SET enable_progress_bar = false")
        return connection

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        # A cursor for every call: one connection shared by threads gives wrong rows, silently.
        if self._instance is None:
            with self._lock:
                if self._instance is None:
                    instance = self._connect(":memory:", 1)
                    folder = str(self.folder).replace("'", "''")
                    instance.execute(f"SET GLOBAL temp_directory = '{folder}/.spill'")
                    instance.execute(f"SET GLOBAL allowed_directories = ['{folder}']")
                    instance.execute("SET GLOBAL enable_external_access = false")
                    instance.execute("SET GLOBAL lock_configuration = true")
                    instance.execute(WARM_UP, [WARM_POINT]).fetchall()
                    self._instance = instance
        return self._instance.cursor()

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.duckdb"

    def _source(self, table: PublishedTable, suffix: str = "") -> str:
        alias = self._attached.get(table.table)
        if alias is None:
            alias = self._attach(table)
        if table.edit:
            self._edited[table.table] = time.monotonic()
            if len(self._edited) > MOST_EDITED:
                self._release()
        return f"{alias}.{quote('features' + suffix)}"

    def _release(self) -> None:
        """Close files of edited versions that nobody has read lately; a layer gets a file with every edit."""
        before = time.monotonic() - 3 * self._timeout
        for name in [name for name, used in list(self._edited.items()) if used < before]:
            self._edited.pop(name, None)
            self._detach(name)

    def _attach(self, table: PublishedTable) -> str:
        import duckdb

        cursor = self._cursor()
        with self._lock:
            if table.table in self._attached:
                return self._attached[table.table]
            path = self._path(table.table)
            if not path.is_file():
                raise StoreUnavailable(
                    f"图层 {table.layer.id} 的数据文件 {path.name} 不见了；请检查 ONEMAP_VAR_DIR 或重新发布",
                    f"data file {path.name} of layer {table.layer.id} is missing; "
                    "check ONEMAP_VAR_DIR or publish again",
                    layer=table.layer.id,
                )
            self._serial += 1
            alias = f"v{self._serial}"
            try:
                cursor.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS {alias} (READ_ONLY)")
            except duckdb.Error as error:
                raise StoreUnavailable(
                    f"图层 {table.layer.id} 的数据文件 {path.name} 打不开（{_told(error, path)}），请重新发布",
                    f"data file {path.name} of layer {table.layer.id} cannot be opened ({_told(error, path)}); publish again",
                    layer=table.layer.id,
                ) from error
            self._attached[table.table] = alias
            return alias

    def _detach(self, name: str) -> None:
        with self._lock:
            alias = self._attached.pop(name, None)
        if alias is not None:
            # A reader may be in the middle of it; then the file goes with the process.
            with contextlib.suppress(Exception):
                self._cursor().execute(f"DETACH {alias}")

    # --- running --------------------------------------------------------------------------------------------------

    def _rows(self, cursor: duckdb.DuckDBPyConnection, statement: Statement, table: PublishedTable) -> Rows:
        with contextlib.closing(cursor):
            return self._fetched(cursor, statement, table)

    def _fetched(self, cursor: duckdb.DuckDBPyConnection, statement: Statement, table: PublishedTable) -> Rows:
        import duckdb

        try:
            return cursor.execute(statement.sql, statement.values).fetchall()
        except duckdb.InterruptException as error:
            raise StoreUnavailable(
                f"图层 {table.layer.id} 的查询被中断（超过 {self._timeout:g} 秒或客户端已离开），请缩小范围",
                f"query on layer {table.layer.id} was interrupted (over {self._timeout:g} s, or the client left); ask for less",
                layer=table.layer.id,
            ) from error
        except (duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.InvalidInputException) as error:
            raise InvalidFilter(
                f"图层 {table.layer.id}：过滤表达式的值超出范围（{_first_line(error)}）",
                f"layer {table.layer.id}: a value in the filter is out of range ({_first_line(error)})",
                layer=table.layer.id,
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise StoreUnavailable(
                f"图层 {table.layer.id} 的查询超过内存上限 ONEMAP_DUCKDB_MEMORY={self._memory}",
                f"query on layer {table.layer.id} needs more than ONEMAP_DUCKDB_MEMORY={self._memory}",
                layer=table.layer.id,
            ) from error

    async def _async(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        loop = asyncio.get_running_loop()
        running: list[duckdb.DuckDBPyConnection] = []
        gone = threading.Event()

        def call() -> T:
            cursor = self._cursor()
            running.append(cursor)
            if gone.is_set():
                raise StoreUnavailable(
                    f"DuckDB 繁忙：查询等待超过 {self._timeout:g} 秒，请稍后重试",
                    f"DuckDB is busy: the query waited more than {self._timeout:g} s; try again",
                )
            return work(cursor)

        submitted = self._threads.submit(call)

        def interrupt() -> None:
            # Again and again: a query that has not begun yet would not notice a single interrupt.
            gone.set()
            if not submitted.done():
                for cursor in running:
                    cursor.interrupt()
                loop.call_later(0.05, interrupt)

        timer = loop.call_later(self._timeout, interrupt)
        try:
            return await asyncio.wrap_future(submitted)
        except asyncio.CancelledError:
            interrupt()
            raise
        finally:
            timer.cancel()

    # --- reading --------------------------------------------------------------------------------------------------

    def _page(self, cursor: duckdb.DuckDBPyConnection, table: PublishedTable, query: ItemQuery) -> Page:
        statement = page_statement(DUCKDB, self._source(table), table, query, self._anchor(table, query))
        return page_of(self._rows(cursor, statement, table), query)

    def _anchor(self, table: PublishedTable, query: ItemQuery) -> tuple[Any, ...]:
        if not query.sort or query.after is None:
            return ()
        statement = anchor_statement(DUCKDB, self._source(table), table, query)
        return anchor_of(self._rows(self._cursor(), statement, table), table, query)

    def _records(self, cursor: duckdb.DuckDBPyConnection, table: PublishedTable, query: ItemQuery) -> Records:
        statement = records_statement(DUCKDB, self._source(table), table, query, self._anchor(table, query))
        return records_of(self._rows(cursor, statement, table), query)

    def _count(self, cursor: duckdb.DuckDBPyConnection, table: PublishedTable, query: ItemQuery) -> int:
        return int(self._rows(cursor, count_statement(DUCKDB, self._source(table), table, query), table)[0][0])

    def _item(self, cursor: duckdb.DuckDBPyConnection, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        statement = item_statement(DUCKDB, self._source(table), table, fid, crs)
        return feature_of(self._rows(cursor, statement, table), table, fid, crs)

    def _tile(
        self, cursor: duckdb.DuckDBPyConnection, table: PublishedTable, tms: str, z: int, x: int, y: int
    ) -> bytes:
        source = self._source(table, tile_source(table, tms, z))
        with contextlib.closing(cursor):
            try:
                found = self._fetched(cursor, tile_statement(DUCKDB, source, table, tms, z, x, y), table)
            except InvalidFilter:
                # ST_AsMVTGeom clips on the grid of the tile; a polygon that crosses itself there ends the whole statement.
                statement = tile_statement(DUCKDB, source, table, tms, z, x, y, mended=True)
                try:
                    found = self._fetched(cursor, statement, table)
                except InvalidFilter as error:
                    raise StoreUnavailable(
                        f"图层 {table.layer.id} 的瓦片 {tms}/{z}/{x}/{y} 中有无法裁剪的图形",
                        f"tile {tms}/{z}/{x}/{y} of layer {table.layer.id} holds a geometry that cannot be clipped",
                        layer=table.layer.id,
                    ) from error
        [(tile, count)] = found
        return bytes(tile) if count else b""

    def page(self, table: PublishedTable, query: ItemQuery) -> Page:
        return self._page(self._cursor(), table, query)

    async def apage(self, table: PublishedTable, query: ItemQuery) -> Page:
        return await self._async(lambda cursor: self._page(cursor, table, query))

    async def arecords(self, table: PublishedTable, query: ItemQuery) -> Records:
        return await self._async(lambda cursor: self._records(cursor, table, query))

    def count(self, table: PublishedTable, query: ItemQuery) -> int:
        return self._count(self._cursor(), table, query)

    async def acount(self, table: PublishedTable, query: ItemQuery) -> int:
        return await self._async(lambda cursor: self._count(cursor, table, query))

    def item(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        return self._item(self._cursor(), table, fid, crs)

    async def aitem(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        return await self._async(lambda cursor: self._item(cursor, table, fid, crs))

    def tile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes:
        return self._tile(self._cursor(), table, tms, z, x, y)

    async def atile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes:
        return await self._async(lambda cursor: self._tile(cursor, table, tms, z, x, y))

    async def ashapes(
        self, table: PublishedTable, query: ItemQuery, *, zoom: int | None, most: int
    ) -> list[tuple[Any, ...]]:
        statement = shapes_statement(DUCKDB, self._source, table, query, zoom, most)
        return await self._async(lambda cursor: self._rows(cursor, statement, table))

    def frame(self, table: PublishedTable, query: ItemQuery | None = None) -> geopandas.GeoDataFrame:
        statement = frame_statement(DUCKDB, self._source(table), table, query)
        names = [f.name for f in selected_fields(table.layer, query.properties if query else None)]
        return read_frame(table.layer, names, self._rows(self._cursor(), statement, table))

    # --- writing --------------------------------------------------------------------------------------------------

    def publish(self, layer: Layer, version: str, frame: geopandas.GeoDataFrame) -> PublishedTable:
        return self._publish(layer, version, frame, often=layer.editable or layer.series is not None)

    def _publish_often(self, layer: Layer, version: str, frame: geopandas.GeoDataFrame) -> PublishedTable:
        # Not every layer that gets edits is editable by a caller: the cases of the river chiefs change by their workflow.
        return self._publish(layer, version, frame, often=True)

    def _publish(self, layer: Layer, version: str, frame: geopandas.GeoDataFrame, *, often: bool) -> PublishedTable:
        prepared = prepare(layer, frame)
        levels = generalise(layer, prepared)
        name = table_name(layer.id, version)
        small = often and len(prepared.fids) <= SMALL_BLOCKS_BELOW
        with self._new_file(name) as path, self._writing(path, "BLOCK_SIZE 16384" if small else "") as connection:
            _write_features(connection, layer, prepared)
            for level in levels:
                _write_level(connection, layer, level)
            connection.execute("CHECKPOINT")
        return PublishedTable(
            layer=layer,
            version=version,
            table=name,
            count=len(prepared.fids),
            extent=prepared.extent,
            geometry_type=prepared.geometry_type,
            generalised={level.zoom: level.suffix for level in levels},
            time_extent=prepared.time_extent,
            last_fid=int(prepared.fids.max()),
        )

    def edit(
        self, table: PublishedTable, edit: int, changes: Sequence[RowChange], published: Callable[[int], bool]
    ) -> PublishedTable:
        statement = frame_statement(DUCKDB, self._source(table), table, None)
        return republished(self._publish_often, table, edit, self._rows(self._cursor(), statement, table), changes)

    @contextlib.contextmanager
    def _writing(self, path: Path, options: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose tables go into a new file; the instance is kept, to load the extension costs half a second."""
        with self._write_lock:
            if self._writer is None:
                writer = self._connect(":memory:", 2)
                # Strings packed with FSST cost 20 µs each when single rows are fetched (a bbox page: 24 ms, not 4).
                writer.execute("SET GLOBAL force_compression = 'uncompressed'")
                writer.execute("SET GLOBAL preserve_insertion_order = true")
                self._writer = writer
            self._written += 1
            alias = f"w{self._written}"
            cursor = self._writer.cursor()
            quoted = str(path).replace("'", "''")
            cursor.execute(f"ATTACH '{quoted}' AS {alias}{f' ({options})' if options else ''}")
            try:
                cursor.execute(f"USE {alias}")
                yield cursor
            finally:
                cursor.execute("USE memory")
                cursor.execute(f"DETACH {alias}")
                cursor.close()

    @contextlib.contextmanager
    def _new_file(self, name: str) -> Iterator[Path]:
        # Written aside and renamed: a reader sees the whole file or none, a killed writer leaves only its folder.
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_over in self.folder.glob(".writing-*"):
            with contextlib.suppress(OSError):
                if time.time() - left_over.stat().st_mtime > LEFT_OVER_S:
                    shutil.rmtree(left_over)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=self.folder) as aside:
            path = Path(aside) / "version.duckdb"
            yield path
            with path.open("rb+") as written:
                os.fsync(written.fileno())
            self._detach(name)
            path.replace(self._path(name))

    def drop(self, table: PublishedTable) -> None:
        self._detach(table.table)
        self._path(table.table).unlink(missing_ok=True)

    # --- life -----------------------------------------------------------------------------------------------------

    def ping(self) -> None:
        import duckdb

        try:
            self._cursor().execute("SELECT 1").fetchall()
        except duckdb.Error as error:
            raise StoreUnavailable(
                f"DuckDB 不可用：{_first_line(error)}", f"DuckDB does not answer: {_first_line(error)}"
            ) from error

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            if self._instance is not None:
                self._instance.close()
            self._instance = None
            self._attached.clear()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
            self._writer = None

    async def aclose(self) -> None:
        self.close()


def _told(error: Exception, path: Path) -> str:
    """First line of what DuckDB says, without the folder: an answer must not tell where this machine keeps its files."""
    return _first_line(error).replace(str(path), path.name)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _write_features(connection: duckdb.DuckDBPyConnection, layer: Layer, prepared: PreparedFrame) -> None:
    _write(
        connection, layer.fields, "features", prepared.fids, prepared.columns, prepared.geometry, prepared.geometry_3857
    )


def _write_level(connection: duckdb.DuckDBPyConnection, layer: Layer, level: GeneralisedTable) -> None:
    fields = selected_fields(layer, layer.tile_fields)
    name = "features" + level.suffix
    _write(connection, fields, name, level.fids, level.columns, level.geometry, level.geometry_3857, level.counts)


def _write(
    connection: duckdb.DuckDBPyConnection,
    fields: Any,
    name: str,
    fids: Any,
    columns: Any,
    geometry: Any,
    geometry_3857: Any,
    counts: Any = None,
) -> None:
    import pandas as pd
    import shapely

    source = pd.DataFrame({f"c{i}": columns[f.name] for i, f in enumerate(fields)})
    source["fid"] = pd.array(fids, dtype="Int64")
    source["wkb"] = shapely.to_wkb(geometry)
    source["wkb_3857"] = shapely.to_wkb(geometry_3857)
    if counts is not None:
        source["counts"] = pd.array(counts, dtype="Int64")
    key = "PRIMARY KEY" if name == "features" else ""
    definitions = [f"fid bigint {key}"]
    definitions += [f"{column(f.name)} {DUCKDB.types[f.type]}" for f in fields]
    definitions += ["geom geometry", "geom_3857 geometry"]
    selected = ["fid", *(f"c{i}::{DUCKDB.types[f.type]}" for i, f in enumerate(fields))]
    selected += ["ST_GeomFromWKB(wkb::blob)", "ST_GeomFromWKB(wkb_3857::blob)"]
    if counts is not None:
        definitions.append(f"{quote(COUNT_COLUMN)} bigint")
        selected.append("counts")
    connection.execute(f"SET pandas_analyze_sample = {len(source) + 1}")
    connection.execute(f"CREATE TABLE {quote(name)} ({', '.join(definitions)})")
    connection.register("written", source)
    connection.execute(f"INSERT INTO {quote(name)} SELECT {', '.join(selected)} FROM written")
    connection.unregister("written")
    for geometry_column in ("geom", "geom_3857"):
        connection.execute(
            f"CREATE INDEX {quote(f'{name}_{geometry_column}')} ON {quote(name)} USING RTREE ({geometry_column})"
        )
