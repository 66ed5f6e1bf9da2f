"""Vector store on PostGIS (生产矢量存储): psycopg 3, an asynchronous pool for the service, one transaction a publication.

Readers use read-only sessions with a statement timeout; when a caller goes away, the running statement is cancelled.
A database that is down makes every call raise `StoreUnavailable` within seconds; when it is back, so are the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer
from spatial.crs import ServedCRS
from spatial.errors import InvalidFilter, SpatialError, StoreUnavailable
from spatial.settings import Settings
from spatial.store import editing_postgis
from spatial.store.answers import anchor_of, feature_of, joined_page, page_of, records_of
from spatial.store.dialect import POSTGIS, SEPARATOR, quote
from spatial.store.editing_rows import republished
from spatial.store.generalise import generalise
from spatial.store.postgis_tables import write_level, write_table
from spatial.store.postgis_wire import WireConnections
from spatial.store.published_frame import prepare, read_frame, table_name
from spatial.store.shapes import shapes_statement
from spatial.store.statements import (
    Statement,
    anchor_statement,
    count_statement,
    frame_statement,
    item_statement,
    page_statement,
    records_statement,
    returns_json,
    selected_fields,
    tile_source,
    tile_statement,
    tile_values,
)
from spatial.store.vector import ItemQuery, Page, PublishedTable, Records, RowChange

if TYPE_CHECKING:
    import geopandas
    import psycopg
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

__all__ = ["PostGISStore"]

ONE_VALUE = "SELECT string_agg("
"""How the statement of a page begins that comes as one row."""
WAIT_S = 3.0
"""Longest wait for a connection; then the database counts as away."""


class PostGISStore:
    """`VectorStore` on the tables of one PostGIS schema."""

    def __init__(self, settings: Settings) -> None:
        if settings.postgis_dsn is None:
            raise StoreUnavailable(
                "ONEMAP_STORE=postgis 需要设置 ONEMAP_POSTGIS_DSN",
                "ONEMAP_STORE=postgis needs ONEMAP_POSTGIS_DSN",
            )
        self._dsn = settings.postgis_dsn.get_secret_value()
        self._schema = settings.postgis_schema
        # Tiles, pages and single features have connections of their own (`postgis_wire`).
        self._wire_size = max(1, settings.pool_size * 3 // 4)
        self._size = max(1, settings.pool_size - self._wire_size)
        self._timeout = settings.statement_timeout_s
        self._lock = threading.Lock()
        self._pool: ConnectionPool[psycopg.Connection[Any]] | None = None
        # A pool belongs to the event loop in which it was opened.
        self._async_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncConnectionPool[Any]] = (
            weakref.WeakKeyDictionary()
        )
        self._all_wires: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, WireConnections] = (
            weakref.WeakKeyDictionary()
        )
        self._tile_sql: dict[tuple[Any, ...], str] = {}

    # --- connections ----------------------------------------------------------------------------------------------

    def _session(self) -> dict[str, Any]:
        settings = {
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(self._timeout * 1000)),
            "timezone": "UTC",
            "datestyle": "ISO,YMD",
            "intervalstyle": "iso_8601",
            "extra_float_digits": "1",
            "client_min_messages": "error",
            "jit": "off",
            "max_parallel_workers_per_gather": "0",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        return {
            "autocommit": True,
            "prepare_threshold": 0,
            "connect_timeout": 3,
            "options": options,
            "application_name": "onemap",
            "keepalives_idle": 30,
        }

    def _pool_options(self) -> dict[str, Any]:
        return {
            "kwargs": self._session(),
            "min_size": 1,
            "max_size": self._size,
            "timeout": WAIT_S,
            "reconnect_timeout": WAIT_S,
            "max_waiting": self._size * 100,
            "open": False,
            "name": "onemap",
        }

    def _sync_pool(self) -> ConnectionPool[psycopg.Connection[Any]]:
        from psycopg_pool import ConnectionPool

        with self._lock:
            if self._pool is None:
                pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(self._dsn, **self._pool_options())
                pool.open()
                self._pool = pool
            return self._pool

    async def _async_pool(self) -> AsyncConnectionPool[Any]:
        from psycopg_pool import AsyncConnectionPool

        loop = asyncio.get_running_loop()
        pool = self._async_pools.get(loop)
        if pool is None:
            pool = AsyncConnectionPool(self._dsn, **self._pool_options())
            self._async_pools[loop] = pool
            await pool.open()
        return pool

    def _name(self, table: PublishedTable, suffix: str = "") -> str:
        return f"{quote(self._schema)}.{quote(table.table + suffix)}"

    def _wires(self) -> WireConnections:
        loop = asyncio.get_running_loop()
        found = self._all_wires.get(loop)
        if found is None:
            found = self._all_wires[loop] = WireConnections(self._dsn, self._session(), self._wire_size, WAIT_S)
        return found

    def _source(self, table: PublishedTable, suffix: str = "") -> str:
        if not table.keeps_edits:
            return self._name(table, suffix)
        return editing_postgis.source(table, self._name(table), self._name(table, suffix) if suffix else "")

    # --- running --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _explained(self, table: PublishedTable | None) -> Iterator[None]:
        """Turn a database error into one of our tree."""
        import psycopg
        import psycopg_pool

        layer = table.layer.id if table else None
        try:
            yield
        except psycopg.errors.QueryCanceled as error:
            raise StoreUnavailable(
                f"图层 {layer} 的查询超过 {self._timeout:g} 秒，请缩小范围",
                f"query on layer {layer} took more than {self._timeout:g} s; ask for less",
                layer=layer,
            ) from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise StoreUnavailable(
                f"数据库中没有图层 {layer} 的表（模式 {self._schema}）；请检查 ONEMAP_POSTGIS_DSN 或重新发布",
                f"the database has no table of layer {layer} (schema {self._schema}); "
                "check ONEMAP_POSTGIS_DSN or publish again",
                layer=layer,
            ) from error
        except psycopg.DataError as error:
            raise InvalidFilter(
                f"图层 {layer}：过滤表达式的值超出范围（{_first_line(error)}）",
                f"layer {layer}: a value in the filter is out of range ({_first_line(error)})",
                layer=layer,
            ) from error
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests) as error:
            raise self._away(error, layer) from error

    def _away(self, error: Exception, layer: str | None) -> SpatialError:
        about = (f"图层 {layer}：", f"layer {layer}: ") if layer else ("", "")
        return StoreUnavailable(
            f"{about[0]}PostGIS 连接不上（{_first_line(error)}）；请检查数据库是否运行、ONEMAP_POSTGIS_DSN 是否正确，稍后重试",
            f"{about[1]}PostGIS cannot be reached ({_first_line(error)}); check that it runs and ONEMAP_POSTGIS_DSN, "
            "then try again",
            layer=layer,
        )

    def _rows(
        self, statement: Statement, table: PublishedTable | None, *, binary: bool = False
    ) -> list[tuple[Any, ...]]:
        import psycopg

        with self._explained(table):
            pool = self._sync_pool()
            for attempt in (1, 2):
                try:
                    with pool.connection() as connection:
                        cursor = psycopg.RawCursor(connection)
                        return cursor.execute(statement.sql, statement.values, binary=binary).fetchall()
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    # Connections of before a restart are dead; reading again is harmless.
                    if attempt == 2 or isinstance(error, psycopg.errors.QueryCanceled):
                        raise
                    pool.check()
        raise AssertionError("unreachable")

    async def _arows(
        self, statement: Statement, table: PublishedTable, *, binary: bool = False, prepare: bool | None = None
    ) -> list[tuple[Any, ...]]:
        import psycopg

        with self._explained(table):
            pool = await self._async_pool()
            for attempt in (1, 2):
                try:
                    async with pool.connection() as connection:
                        cursor = psycopg.AsyncRawCursor(connection)
                        await cursor.execute(statement.sql, statement.values, binary=binary, prepare=prepare)
                        return await cursor.fetchall()
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    if attempt == 2 or isinstance(error, psycopg.errors.QueryCanceled):
                        raise
                    await pool.check()
        raise AssertionError("unreachable")

    # --- reading --------------------------------------------------------------------------------------------------

    def page(self, table: PublishedTable, query: ItemQuery) -> Page:
        anchor: tuple[Any, ...] = ()
        if query.sort and query.after is not None:
            found = self._rows(anchor_statement(POSTGIS, self._source(table), table, query), table)
            anchor = anchor_of(found, table, query)
        statement = page_statement(POSTGIS, self._source(table), table, query, anchor)
        return page_of(_unpacked(self._rows(statement, table)), query)

    async def apage(self, table: PublishedTable, query: ItemQuery) -> Page:
        anchor = await self._aanchor(table, query) if query.sort else ()
        statement = page_statement(POSTGIS, self._source(table), table, query, anchor)
        # With a filter the plan depends on the values: one generic plan for all of them can be far off.
        scattered = query.is_filtered or query.sort
        bound = _bound(statement.values) if statement.sql.startswith(ONE_VALUE) else None
        if bound is None:
            rows = await self._arows(statement, table, prepare=False if scattered else None)
        else:
            with self._explained(table):
                row = await self._wires().row(statement.sql, bound, prepare=not scattered)
            return joined_page(row[0], row[1], query)
        return page_of(_unpacked(rows), query)

    async def _aanchor(self, table: PublishedTable, query: ItemQuery) -> tuple[Any, ...]:
        if query.after is None:
            return ()
        statement = anchor_statement(POSTGIS, self._source(table), table, query)
        return anchor_of(await self._arows(statement, table), table, query)

    async def arecords(self, table: PublishedTable, query: ItemQuery) -> Records:
        anchor = await self._aanchor(table, query) if query.sort else ()
        statement = records_statement(POSTGIS, self._source(table), table, query, anchor)
        return records_of(await self._arows(statement, table, binary=True, prepare=False), query)

    def count(self, table: PublishedTable, query: ItemQuery) -> int:
        return int(self._rows(count_statement(POSTGIS, self._source(table), table, query), table)[0][0])

    async def acount(self, table: PublishedTable, query: ItemQuery) -> int:
        statement = count_statement(POSTGIS, self._source(table), table, query)
        return int((await self._arows(statement, table, prepare=False))[0][0])

    def item(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        statement = item_statement(POSTGIS, self._source(table), table, fid, crs)
        return feature_of(self._rows(statement, table), table, fid, crs)

    async def aitem(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        statement = item_statement(POSTGIS, self._source(table), table, fid, crs)
        bound = _bound(statement.values)
        if bound is None or not returns_json(crs):
            return feature_of(await self._arows(statement, table), table, fid, crs)
        with self._explained(table):
            row = await self._wires().row(statement.sql, bound)
        return feature_of([(fid, (row[1] or b"").decode())] if row else [], table, fid, crs)

    def _tile_statement(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> Statement:
        return tile_statement(POSTGIS, self._source(table, tile_source(table, tms, z)), table, tms, z, x, y)

    def tile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes:
        [(tile,)] = self._rows(self._tile_statement(table, tms, z, x, y), table, binary=True)
        return bytes(tile or b"")

    async def atile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes:
        key = (table.table, table.edit, table.layer.tile_fields, tms, tile_source(table, tms, z))
        known = self._tile_sql.get(key)
        if known is None:
            statement = self._tile_statement(table, tms, z, x, y)
            if len(self._tile_sql) > 10_000:
                self._tile_sql.clear()
            self._tile_sql[key] = statement.sql
            sql, values = statement.sql, statement.values
        else:
            sql, values = known, tile_values(table, tms, z, x, y)
        with self._explained(table):
            return (await self._wires().row(sql, values))[0] or b""

    async def ashapes(
        self, table: PublishedTable, query: ItemQuery, *, zoom: int | None, most: int
    ) -> list[tuple[Any, ...]]:
        statement = shapes_statement(POSTGIS, self._source, table, query, zoom, most)
        return await self._arows(statement, table, binary=True, prepare=False)

    def frame(self, table: PublishedTable, query: ItemQuery | None = None) -> geopandas.GeoDataFrame:
        statement = frame_statement(POSTGIS, self._source(table), table, query)
        names = [f.name for f in selected_fields(table.layer, query.properties if query else None)]
        return read_frame(table.layer, names, self._rows(statement, table, binary=True))

    # --- writing --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writer(self, layer: str) -> Iterator[psycopg.Connection[Any]]:
        """A connection of its own, whose one transaction is committed at the end or leaves nothing."""
        import psycopg

        options = "-c timezone=UTC -c client_min_messages=error -c maintenance_work_mem=256MB"
        try:
            connection = psycopg.connect(
                self._dsn, connect_timeout=5, options=options, application_name="onemap-publish"
            )
        except psycopg.OperationalError as error:
            raise self._away(error, layer) from error
        with connection:
            try:
                yield connection
            except psycopg.OperationalError as error:
                raise self._away(error, layer) from error
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject) as error:
                raise StoreUnavailable(
                    f"图层 {layer} 不能写入 PostGIS（{_first_line(error)}）；请检查权限与 postgis 扩展",
                    f"layer {layer} cannot be written to PostGIS ({_first_line(error)}); "
                    "check the role's rights and the postgis extension",
                    layer=layer,
                ) from error

    def publish(self, layer: Layer, version: str, frame: geopandas.GeoDataFrame) -> PublishedTable:
        prepared = prepare(layer, frame)
        levels = generalise(layer, prepared)
        table = PublishedTable(
            layer=layer,
            version=version,
            table=table_name(layer.id, version),
            count=len(prepared.fids),
            extent=prepared.extent,
            geometry_type=prepared.geometry_type,
            generalised={level.zoom: level.suffix for level in levels},
            time_extent=prepared.time_extent,
            keeps_edits=layer.editable,
            last_fid=int(prepared.fids.max()),
            tile_grid=prepared.geometry_type in {"Polygon", "MultiPolygon"},
        )
        with self._writer(layer.id) as connection:
            # CREATE SCHEMA IF NOT EXISTS of two processes at once can collide; the lock ends with the transaction.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"onemap:{self._schema}"])
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(self._schema)}".encode())
            self._drop_tables(connection, table.table)
            features = (prepared.fids, prepared.columns, prepared.geometry, prepared.geometry_3857)
            name, keeps = self._name(table), table.keeps_edits
            grid = table.tile_grid
            write_table(
                connection, name, layer.fields, *features, grid=grid, key=not keeps, time_field=layer.time_field
            )
            if keeps:
                editing_postgis.keep_edits(connection, name)
            for level in levels:
                write_level(connection, self._name(table, level.suffix), layer, level, grid=grid)
        return table

    def edit(
        self, table: PublishedTable, edit: int, changes: Sequence[RowChange], published: Callable[[int], bool]
    ) -> PublishedTable:
        if table.keeps_edits:
            with self._writer(table.layer.id) as connection:
                edited = editing_postgis.write_edit(connection, table, self._name(table), edit, changes, published)
            if edited is not None:
                return edited
        rows = self._rows(frame_statement(POSTGIS, self._source(table), table, None), table, binary=True)
        return republished(self.publish, table, edit, rows, changes)

    def _drop_tables(self, connection: psycopg.Connection[Any], name: str) -> None:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s AND (tablename = %s OR tablename ~ %s)",
            [self._schema, name, "^" + _escape_regex(name) + "_z[0-9]+$"],
        ).fetchall()
        for (table,) in found:
            connection.execute(f"DROP TABLE {quote(self._schema)}.{quote(table)}".encode())

    def drop(self, table: PublishedTable) -> None:
        with self._writer(table.layer.id) as connection:
            self._drop_tables(connection, table.table)

    # --- life -----------------------------------------------------------------------------------------------------

    def ping(self) -> None:
        self._rows(Statement("SELECT postgis_lib_version()", []), None)

    async def aclose(self) -> None:
        pool = self._async_pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()
        wires = self._all_wires.pop(asyncio.get_running_loop(), None)
        if wires is not None:
            await wires.aclose()
        self.close()

    def close(self) -> None:
        with self._lock:
            if self._pool is not None:
                self._pool.close()
            self._pool = None


def _bound(values: list[Any]) -> list[str | bytes | None] | None:
    """Values as `WireConnections` binds them (each placeholder is cast in the statement); None if psycopg must do it."""
    found: list[str | bytes | None] = []
    for value in values:
        if value is None or isinstance(value, bytes):
            found.append(value)
        elif isinstance(value, bool):
            found.append("t" if value else "f")
        elif isinstance(value, int):
            found.append(str(int(value)))
        elif isinstance(value, float):
            found.append(repr(float(value)))
        elif isinstance(value, date):
            found.append(value.isoformat())
        elif isinstance(value, str) and "\0" not in value:
            found.append(value)
        else:
            return None
    return found


def _unpacked(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows ``(fid, feature)`` of a page that came as one value; rows with WKB come as they are."""
    if len(rows) == 1 and len(rows[0]) == 2:
        fids, features = rows[0]
        return [] if fids is None else list(zip(map(int, fids.split(",")), features.split(SEPARATOR), strict=True))
    return rows


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def _escape_regex(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else f"\\{c}" for c in name)
