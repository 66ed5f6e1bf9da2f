"""``demo``, ``serve`` and ``worker``: the long-running programs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, note, open_store, progress_bar, say
from spatial.errors import PortInUse, SpatialError

if TYPE_CHECKING:
    from spatial.settings import Settings

__all__ = ["register"]

_STOP_S = 15.0
Host = Annotated[str | None, typer.Option(help="监听地址 / address to listen on (ONEMAP_HOST)")]
Port = Annotated[int | None, typer.Option(help="监听端口 / port to listen on (ONEMAP_PORT)")]
Workers = Annotated[int | None, typer.Option(help="服务进程数 / server processes (ONEMAP_WORKERS)")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help=say("发布全部图层并启动整套服务", "Publish every layer and start everything"))(demo)
    app.command(help=say("启动 Web 服务", "Start the web server"))(serve)
    app.command(help=say("启动任务执行程序", "Start a worker that executes jobs"))(worker)


def demo(host: Host = None, port: Port = None, workers: Workers = None, as_json: Json = False) -> None:
    """Publish what is not published yet, then run server and worker until Ctrl-C."""
    signal.signal(signal.SIGTERM, _raise_interrupt)
    settings = _settings(host, port, workers)
    if "ONEMAP_EDIT" not in os.environ and settings.host in {"127.0.0.1", "::1", "localhost"}:
        # The editable sample layer is there to be tried; who listens on a network must say so himself.
        os.environ["ONEMAP_EDIT"] = "open"
        settings = _settings(host, port, workers)
    listening = _bind(settings)
    published = _publish_missing()
    _sample_observations()
    with _worker_process(), _sample_scenes(settings):
        _serve(settings, listening, as_json, extra={"published": published})


def serve(host: Host = None, port: Port = None, workers: Workers = None, as_json: Json = False) -> None:
    """Run the web server until Ctrl-C."""
    settings = _settings(host, port, workers)
    _serve(settings, _bind(settings), as_json, extra={})


def worker(
    with_parent: Annotated[int | None, typer.Option("--with-parent", hidden=True)] = None, as_json: Json = False
) -> None:
    """Claim jobs and have Dask execute them, until Ctrl-C or SIGTERM."""
    from spatial.jobs.worker import WorkerProgram
    from spatial.ogc.process_callback import callback_message
    from spatial.settings import settings

    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("spatial").setLevel(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if with_parent is not None:
        threading.Thread(target=_follow_parent, args=(with_parent, stop), daemon=True).start()

    def ready() -> None:
        document = {"worker": program.id, "dask": settings().dask_scheduler or "local"}
        emit(document, as_json, lambda: note(f"任务执行程序 {program.id} 已就绪", f"worker {program.id} is ready"))
        sys.stdout.flush()

    program = WorkerProgram(settings(), ready=ready, message=callback_message)
    program.run(stop)


def _follow_parent(parent: int, stop: threading.Event) -> None:
    """Stop when the program that started this one is gone, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    stop.set()


def _settings(host: str | None, port: int | None, workers: int | None) -> Settings:
    from spatial.settings import settings

    # Through the environment, because the server processes read their settings there.
    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[f"ONEMAP_{name}"] = str(value)
    settings.cache_clear()
    return settings()


def _bind(settings: Settings) -> socket.socket:
    """Take the port before anything else is done.

    Raises
    ------
    PortInUse
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((settings.host, settings.port))
        # Two sockets may be bound to a port as long as neither listens; listening makes it ours.
        taken.listen(2048)
    except OSError as error:
        taken.close()
        raise PortInUse(
            f"无法监听 {settings.host}:{settings.port}（{error.strerror}）；请关闭占用它的程序，或换端口：ONEMAP_PORT=8001",
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); "
            "stop the program that uses it or choose another port: ONEMAP_PORT=8001",
            port=settings.port,
        ) from error
    taken.set_inheritable(True)
    return taken


def _publish_missing() -> list[str]:
    from spatial.cli.data import publish_layers

    with open_store() as store:
        catalog = store.snapshot().catalog
        have = store.published_checksums()
        wanted = [
            layer
            for layer in catalog.values()
            if layer.provenance is None and have.get(layer.id, ("",))[0] != layer.source.version
        ]
        if not wanted:
            return []
        note(f"正在发布 {len(wanted)} 个图层…", f"publishing {len(wanted)} layers…")
        with progress_bar(say("发布图层", "publishing")) as progress:
            return [found["id"] for found in publish_layers(store, wanted, progress)]


def _sample_observations() -> None:
    """Make the sample flights, snapshots and readings where nothing was observed yet; a few seconds."""
    from spatial.cli.observation import samples_missing, samples_program

    with open_store() as store:
        if not samples_missing(store):
            return
    note("正在生成四源示例（几秒）", "making the samples of drones, cameras and sensors (seconds)")
    done = subprocess.run(samples_program(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        # A demo without these samples is still a demo.
        note(f"四源示例未生成：{done.stderr[-300:]}", f"the samples were not made: {done.stderr[-300:]}")


@contextlib.contextmanager
def _sample_scenes(settings: Settings) -> Iterator[None]:
    """Make the sample scenes beside the server, when there are none, and put the watch over them into the queue."""
    from spatial.cli.scenes import sample_command
    from spatial.scenes.collection import collection_ids, open_collection

    if collection_ids(settings.scenes_dir) or settings.scenes_path is not None:
        yield
        return
    note("正在后台生成示例影像（约一分钟）", "making the sample scenes in the background (about a minute)")
    process = subprocess.Popen(
        sample_command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )

    def watch() -> None:
        if process.wait() == 0:
            with open_store() as store:
                for name in collection_ids(settings.scenes_dir):
                    analysis = open_collection(settings.scenes_dir, name).analysis
                    if not analysis:  # a collection that others read beside their own
                        continue
                    queue.submit(store.state, analysis, {"collection": name}, limit=settings.queue_limit, publish=True)
                # The sections stand beside the satellite series of their lakes.
                queue.submit(store.state, "station-quality", {}, limit=settings.queue_limit, publish=True)

    from spatial.jobs import queue

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        process.terminate()


@contextlib.contextmanager
def _worker_process() -> Iterator[None]:
    """A worker program beside the server, started again if it dies; stopped at the end."""
    over = threading.Event()
    command = [sys.executable, "-m", "spatial.cli", "worker", "--with-parent", str(os.getpid())]
    running: list[subprocess.Popen[bytes]] = []

    def keep() -> None:
        while not over.is_set():
            # A group of its own: Ctrl-C reaches the server first, which then stops the worker in order.
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
            running[:] = [process]
            process.wait()
            if not over.is_set():
                note("任务执行程序退出，正在重启", "the worker ended; starting it again")
                over.wait(2.0)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        for process in running:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        thread.join(_STOP_S)


def _serve(settings: Settings, listening: socket.socket, as_json: bool, extra: dict[str, Any]) -> None:
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(
        "spatial.asgi:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http="spatial.ready_protocol:ReadyProtocol",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        # A process of a machine at its limit may not get to answer within the usual five seconds; to be killed for it, with
        # the requests that it was at, would make matters worse.
        timeout_worker_healthcheck=60,
    )
    threading.Thread(target=_announce, args=(settings, as_json, extra), daemon=True).start()
    server = uvicorn.Server(config)
    # Without a handler of ours a SIGTERM that comes between two of uvicorn's would end this process without its clean-up.
    signal.signal(signal.SIGTERM, _raise_interrupt)
    failed = False
    try:
        if settings.workers > 1:
            processes = Multiprocess(config, sockets=[listening])
            processes.run()
            failed = any(process.exitcode == STARTUP_FAILURE for process in processes.processes)
        else:
            server.run(sockets=[listening])
            failed = not server.started
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    if failed:
        raise SpatialError(
            "Web 服务启动失败，原因见上面的日志；可先运行 onemap doctor",
            "the web server did not start; the log above says why; try: onemap doctor",
        )
    note("已停止", "stopped")


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _announce(settings: Settings, as_json: bool, extra: dict[str, Any]) -> None:
    """Say where the map is as soon as it answers."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host
    address = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"{address}/health", timeout=5):
                break
        except OSError:
            time.sleep(0.2)
    emit(
        {"url": settings.url, "workers": settings.workers} | extra,
        as_json,
        lambda: print(
            say(
                f"湖北一张图已启动：{settings.url}  （Ctrl-C 停止）",
                f"OneMap Hubei is running: {settings.url}  (Ctrl-C stops)",
            )
        ),
    )
    sys.stdout.flush()
