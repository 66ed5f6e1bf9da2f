"""Settings (运行配置): the environment ``ONEMAP_*`` and nothing else.

*Content* (layers, styles, rules) is YAML under ``layers/``; *deployment* is the environment. Nothing stands in both.
`docs/reference/settings.md` is generated from this module and checked by a test.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
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
    state_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy address of the state (versions, jobs); default SQLite in `var_dir`. 状态库地址。",
    )
    grades: tuple[Literal["公开", "内部", "敏感"], ...] = Field(
        ("公开",), description="Grades of layers that this server shows, as a JSON list. 对外展示的图层密级。"
    )
    max_page: int = Field(10_000, ge=1, description="Largest `limit`; a larger one is lowered. 单页要素上限。")
    count_exact_below: int = Field(
        20_000, ge=0, description="Layers up to this many features get an exact `numberMatched`. 精确计数阈值。"
    )
    max_body_bytes: int = Field(2_000_000, ge=1024, description="Largest request body. 请求体上限（字节）。")
    dask_scheduler: str | None = Field(
        None, description="Dask scheduler `tcp://…`; default: local worker processes. Dask 调度器地址。"
    )
    dask_workers: int = Field(1, ge=1, description="Local Dask worker processes. 本机 Dask 进程数。")
    run_workers: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Threads of an analysis run; default the processors, at most 4. 每次分析的线程数，默认为处理器数，最多 4。",
    )
    queue_limit: int = Field(50, ge=1, description="Most waiting jobs. 排队任务上限。")
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
    cors_origins: tuple[str, ...] = Field(
        (), description="Web origins that may call the API from a browser, as a JSON list. 允许的跨域来源。"
    )

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
