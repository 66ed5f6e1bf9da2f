"""Settings (运行配置): the environment ``ONEMAP_*`` and nothing else.

*Content* (layers, styles, rules) is YAML under ``layers/``; *deployment* is the environment. Nothing stands in both.
`docs/reference/settings.md` is generated from this module and checked by a test.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["PROJECT_ROOT", "Settings", "settings"]

PROJECT_ROOT = Path(__file__).resolve().parents[1]
"""Folder that holds ``layers/`` and ``data-samples/`` in a checkout."""


class Settings(BaseSettings):
    """Every setting, with its default for one machine."""

    model_config = SettingsConfigDict(env_prefix="ONEMAP_", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on. 监听地址。")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on. 监听端口。")
    workers: int = Field(2, ge=1, le=64, description="Server processes. 服务进程数。")
    public_url: str | None = Field(
        None,
        description="Public address before every link, e.g. `https://map.example.cn`; "
        "default `http://{host}:{port}`. 对外地址。",
    )
    layers_dir: Path = Field(PROJECT_ROOT / "layers", description="Folder of layer YAML files. 图层目录。")
    data_dir: Path = Field(
        PROJECT_ROOT, description="Folder that relative `source.uri` of layers start from. 源数据根目录。"
    )
    var_dir: Path = Field(PROJECT_ROOT / "var", description="Folder of everything written at run time. 运行数据目录。")
    scenes_path: Path | None = Field(
        None, description="Folder of the collections of scenes; default `var_dir/scenes`. 影像集目录。"
    )
    store: Literal["duckdb", "postgis"] = Field("duckdb", description="Vector store. 矢量存储引擎。")
    postgis_dsn: SecretStr | None = Field(
        None, description="libpq address of PostGIS; required by `ONEMAP_STORE=postgis`. PostGIS 连接串。"
    )
    postgis_schema: str = Field(
        "onemap", pattern=r"^[a-z_][a-z0-9_]{0,40}$", description="Schema of the layer tables. 图层所在模式。"
    )
    pool_size: int = Field(8, ge=1, le=100, description="PostGIS connections a process. 每进程连接数。")
    statement_timeout_s: float = Field(20.0, gt=0, description="Longest database statement, seconds. 语句超时（秒）。")
    duckdb_memory: str = Field(
        "1GB", pattern=r"^\d+(MB|GB)$", description="DuckDB memory limit a process. DuckDB 内存上限。"
    )
    duckdb_threads: int = Field(2, ge=1, description="DuckDB threads a process. DuckDB 线程数。")
    tile_cache_mb: int = Field(
        2048,
        ge=0,
        description="Finished tiles kept on disk below `var_dir/cache`, MB for all processes together; 0 keeps none. "
        "磁盘瓦片缓存上限（MB），0 为不缓存。",
    )
    tile_memory_mb: int = Field(
        48, ge=0, description="Tiles kept ready in memory, MB a process; 0 keeps none. 每进程内存中的瓦片（MB）。"
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis for finished tiles instead of the disk, for several machines: `redis://host:6379/0`; its "
        "`maxmemory` says how much is kept. 多机共用的瓦片缓存（Redis）。",
    )
    state_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy address of the state (versions, jobs); default SQLite in `var_dir`. 状态库地址。",
    )
    grades: tuple[Literal["公开", "内部", "敏感"], ...] = Field(
        ("公开",), description="Grades of layers that this server shows, as a JSON list. 对外展示的图层密级。"
    )
    max_page: int = Field(10_000, ge=1, description="Largest `limit`; a larger one is lowered. 单页要素上限。")
    max_export: int = Field(
        200_000, ge=1, description="Most features in a file (`f=gpkg` …); more are refused. 单个导出文件的要素上限。"
    )
    count_exact_below: int = Field(
        20_000, ge=0, description="Layers up to this many features get an exact `numberMatched`. 精确计数阈值。"
    )
    max_body_bytes: int = Field(
        2_000_000,
        ge=1024,
        description="Largest request body; rules limit uploaded pictures. 请求体上限（字节）；上传图片见规则文件。",
    )
    dask_scheduler: str | None = Field(
        None, description="Dask scheduler `tcp://…`; default: local worker processes. Dask 调度器地址。"
    )
    dask_workers: int = Field(1, ge=1, description="Local Dask worker processes. 本机 Dask 进程数。")
    short_workers: int = Field(
        1,
        ge=0,
        le=16,
        description="Processes in reserve for short jobs, started only while long ones hold every other place; 0: none. "
        "长任务占满时为短任务另开的进程数，0 为不开。",
    )
    short_limit_s: float = Field(
        30.0,
        gt=0,
        description="Run in the reserve, seconds, after which it makes room for a short job that waits, and begins again among "
        "the long ones. 备用进程中的任务超过此时间（秒）且有短任务等待时，改排长任务。",
    )
    run_workers: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Threads of an analysis run; default the processors, at most 4. 每次分析的线程数，默认为处理器数，最多 4。",
    )
    queue_limit: int = Field(
        50, ge=1, description="Most waiting jobs, of each of three lanes. 每条队列的等待任务上限。"
    )
    job_heartbeat_s: float = Field(
        5.0, gt=0, description="Seconds between signs of life of a running job. 任务心跳（秒）。"
    )
    job_lost_after_s: float = Field(
        30.0, gt=0, description="Silence after which a job counts as lost. 任务失联判定（秒）。"
    )
    results_keep_hours: float = Field(
        24.0,
        gt=0,
        description="Hours that files of unpublished results stay in `var_dir/results`; a worker removes older ones. "
        "未发布结果文件的保留时间（小时），过期由任务执行程序清除。",
    )
    sync_timeout_s: float = Field(120.0, gt=0, description="Longest synchronous execution. 同步执行上限（秒）。")
    edit: Literal["off", "key", "open"] = Field(
        "off",
        description="Who may edit features of layers marked `editable`: nobody, whoever sends `ONEMAP_EDIT_KEY`, everybody. "
        "要素编辑权限：关闭、凭密钥、完全开放。",
    )
    edit_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of `ONEMAP_EDIT=key`, at least 16 characters: `Authorization: Bearer …`, or the password of Basic. "
        "编辑密钥（不少于 16 个字符）。",
    )
    callback_hosts: tuple[str, ...] = Field(
        (),
        description="Who may be called back when a job ends, as a JSON list: hosts `gis.example.cn` or "
        "`gis.example.cn:8443`, and networks `10.8.0.0/16` for hosts with a private address; empty: nobody. "
        "任务完成后允许回调的主机（内网地址另列网段）；空为不允许。",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins that may call the API from a browser, as a JSON list. 允许的跨域来源。"
    )

    @model_validator(mode="after")
    def _key_is_given(self) -> Settings:
        if self.edit == "key" and self.edit_key is None:
            raise ValueError("ONEMAP_EDIT=key 需要设置 ONEMAP_EDIT_KEY / ONEMAP_EDIT=key needs ONEMAP_EDIT_KEY")
        return self

    @property
    def scenes_dir(self) -> Path:
        """Folder of the collections of scenes (STAC)."""
        return self.scenes_path or self.var_dir / "scenes"

    @property
    def url(self) -> str:
        """Public base address without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def threads_of_a_run(self) -> int:
        """Threads that one analysis run may use."""
        return self.run_workers or min(os.cpu_count() or 1, 4)

    @property
    def state_address(self) -> str:
        """SQLAlchemy address of the state database."""
        if self.state_url is not None:
            return self.state_url.get_secret_value()
        return f"sqlite:///{self.var_dir / 'state.sqlite'}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once. Tests clear with ``settings.cache_clear()``."""
    return Settings()
