"""Computing a grid block by block (分块计算): in this thread, in threads, or on the workers of a Dask cluster.

The work of a block depends on its window only, and the parent applies the results, so that the answer has the same bits
wherever and in whatever order the blocks are computed. A block whose worker dies is sent out again; nothing else is lost.
"""

from __future__ import annotations

import hashlib
import pickle
import queue
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from spatial.errors import ServiceUnavailable

__all__ = ["Arrays", "BlockWork", "Window", "block_windows", "run_blocks"]

Window = tuple[int, int, int, int]
"""First row, first column, height and width of a block."""
Arrays = Mapping[str, Any]
"""Arrays of a block by name; beside them encoded blocks of results (`RasterOutput.encoder`), which travel as they are."""

INLINE_CELLS = 4_000_000
"""A grid of at most so many cells is computed at once, without threads or workers."""
_ATTEMPTS = 4
"""A block whose worker dies so often is given up: the block may be what kills it."""
_LOOK_EVERY_S = 0.5
_COUNT_EVERY_S = 5.0
_NO_WORKER_S = 60.0
_GDAL_CACHE = 128 * 1024 * 1024


class BlockWork(Protocol):
    """What is done with a block; a frozen dataclass that can be pickled (readers, tables, parameters)."""

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """Arrays of the block by name; `given` are those that `run_blocks` was told to send along."""
        ...


def block_windows(rows: int, cols: int, block: int) -> list[Window]:
    """Windows of `block` × `block` cells that cover a grid, row by row.

    Examples
    --------
    >>> block_windows(2, 3, 2)
    [(0, 0, 2, 2), (0, 2, 2, 1)]
    """
    return [
        (row, col, min(block, rows - row), min(block, cols - col))
        for row in range(0, rows, block)
        for col in range(0, cols, block)
    ]


def run_blocks(
    work: BlockWork,
    windows: Sequence[Window],
    *,
    on_result: Callable[[Window, Arrays], None],
    given: Callable[[Window], Arrays] | None = None,
    threads: int = 1,
    scheduler: str | None = None,
    progress: Callable[[float], None] | None = None,
    inline_cells: int | None = None,
) -> None:
    """Do `work` on every window.

    Where: in this thread if the windows have at most `inline_cells` cells (default `INLINE_CELLS`); else on the Dask cluster
    whose worker runs this (if it has more than one thread) or that `scheduler` names; else in `threads` threads.

    Parameters
    ----------
    work : callable
        Called with a window and its given arrays; must release the interpreter's lock in its hot loops to gain from threads.
    on_result : callable
        Called in this thread with each window and its arrays, in no fixed order.
    given : callable, optional
        Arrays that only this process has (masks, travel time), by window; they travel with the block.
    scheduler : str, optional
        ``tcp://…`` of a Dask scheduler. Its workers open the readers of `work` by path.
    progress : callable, optional
        Called with the share of cells done, at least twice a second while waiting; may raise to stop: blocks that have not
        begun are never computed.

    Raises
    ------
    ServiceUnavailable
        If the cluster has no worker for a minute, or a block has lost its worker four times.
    """
    total = sum(height * width for _, _, height, width in windows)
    if total == 0:
        return
    done = 0

    def settle(window: Window, result: Arrays) -> None:
        nonlocal done
        on_result(window, result)
        done += window[2] * window[3]
        tick()

    def tick() -> None:
        if progress is not None:
            progress(done / total)

    if total <= (INLINE_CELLS if inline_cells is None else inline_cells):
        for window in windows:
            settle(window, work(window, given(window) if given else {}))
        return
    with _cluster(scheduler) as client:
        if client is not None:
            _on_cluster(client, work, windows, given, settle, tick)
        else:
            _in_threads(work, windows, given, threads, settle, tick)


def _in_threads(
    work: BlockWork,
    windows: Sequence[Window],
    given: Callable[[Window], Arrays] | None,
    threads: int,
    settle: Callable[[Window, Arrays], None],
    tick: Callable[[], None],
) -> None:
    def compute(window: Window) -> Arrays:
        return work(window, given(window) if given else {})

    if threads <= 1:
        for window in windows:
            settle(window, compute(window))
        return
    waiting = deque(windows)
    running: dict[Future[Arrays], Window] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="block") as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * threads:
                    window = waiting.popleft()
                    running[pool.submit(compute, window)] = window
                ended, _ = wait(running, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    settle(running.pop(future), future.result())
                if not ended:
                    tick()
        except BaseException:
            for future in running:
                future.cancel()
            raise


_seceded = threading.local()


@contextmanager
def _cluster(scheduler: str | None) -> Iterator[Any]:
    """A Dask client, or None where there is no cluster worth its messages."""
    distributed: Any = sys.modules.get("distributed")  # not imported: then this is no worker
    worker = None
    if distributed is not None:
        try:
            worker = distributed.get_worker()
        except ValueError:
            worker = None
    if worker is not None:
        client = distributed.get_client()
        if sum(client.nthreads().values()) <= 1:
            yield None
            return
        # This thread only waits from now on: the worker may compute a block in its place. It never comes back to the pool,
        # where it would wait for the tasks of others.
        if not getattr(_seceded, "done", False):
            distributed.secede()
            _seceded.done = True
        yield client
    elif scheduler is not None:
        import distributed

        # Blocks go between this process and the workers, not through the scheduler as well.
        with distributed.Client(scheduler, set_as_default=False, direct_to_workers=True) as client:
            yield client
    else:
        yield None


def _on_cluster(
    client: Any,
    work: BlockWork,
    windows: Sequence[Window],
    given: Callable[[Window], Arrays] | None,
    settle: Callable[[Window, Arrays], None],
    tick: Callable[[], None],
) -> None:
    payload = _compressed(_pickled(work))
    digest = hashlib.sha256(payload).hexdigest()
    waiting: deque[tuple[Window, int]] = deque((window, 1) for window in windows)
    running: dict[str, tuple[Any, Window, int]] = {}
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    crew = _Crew(client)
    try:
        while waiting or running:
            tick()
            limit = 2 * crew.count()
            while waiting and len(running) < limit:
                window, attempt = waiting.popleft()
                arrays = _pack(given(window)) if given else {}
                # Dask must not answer one block with another's result: no key from the arguments.
                future = client.submit(_compute, digest, payload, window, arrays, pure=False, retries=0)
                running[future.key] = (future, window, attempt)
                future.add_done_callback(ended.put)
            try:
                future = ended.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                continue
            if future.key not in running:
                continue
            _, window, attempt = running.pop(future.key)
            result = _result(future)
            if result is not None:
                settle(window, _unpack(result))
            elif attempt < _ATTEMPTS:
                waiting.append((window, attempt + 1))
            else:
                raise ServiceUnavailable(
                    f"分块 {window} 的执行进程 {_ATTEMPTS} 次中止（常因内存不足），请减小分块或查看 Dask 日志",
                    f"block {window} lost its worker {_ATTEMPTS} times (often for want of memory); "
                    "use smaller blocks or look at the Dask log",
                    window=list(window),
                )
    finally:
        if running:
            client.cancel([future for future, _, _ in running.values()], force=True)


class _Crew:
    """Counts the threads of a cluster now and then; workers come and go."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._threads = 0
        self._counted = float("-inf")
        self._seen = time.monotonic()

    def count(self) -> int:
        now = time.monotonic()
        if now - self._counted >= (_COUNT_EVERY_S if self._threads else _LOOK_EVERY_S):
            self._threads = sum(self._client.nthreads().values())
            self._counted = now
        if self._threads:
            self._seen = now
        elif now - self._seen > _NO_WORKER_S:
            raise ServiceUnavailable(
                f"Dask 集群 {_NO_WORKER_S:g} 秒内没有执行进程，请启动 dask worker",
                f"the Dask cluster has had no worker for {_NO_WORKER_S:g} s; start one with: dask worker",
            )
        return self._threads


def _result(future: Any) -> Any:
    """What a block gave, or None if its worker is gone; the error of the work itself is raised."""
    distributed: Any = sys.modules["distributed"]
    try:
        return future.result()
    except (distributed.scheduler.KilledWorker, distributed.comm.CommClosedError, distributed.CancelledError):
        return None


def _pickled(work: BlockWork) -> bytes:
    from distributed.protocol import pickle as by_value

    dumps: Any = by_value.dumps  # by value where a worker could not import it
    data: bytes = dumps(work)
    return data


@lru_cache(maxsize=2)
def _opened(digest: str, payload: bytes) -> BlockWork:
    work: BlockWork = pickle.loads(_expanded(payload))
    return work


_opening = threading.Lock()


def _compute(digest: str, payload: bytes, window: Window, given: Mapping[str, Any]) -> dict[str, Any]:
    """One block in a Dask worker; the readers of the work stay open there for the next block."""
    import rasterio

    with _opening:
        work = _opened(digest, payload)
    with rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE):
        try:
            return _pack(work(window, _unpack(given)))
        except FileNotFoundError as error:
            raise ServiceUnavailable(
                f"执行进程所在主机 {socket.gethostname()} 上没有文件 {error.filename}，请以相同路径挂载数据目录",
                f"the worker on {socket.gethostname()} has no file {error.filename}; mount the data under the same path",
            ) from error


@dataclass(frozen=True, slots=True)
class _Packed:
    """An array on its way between processes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _compressed(data: Any) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(data)


def _expanded(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompress(data)


def _pack(arrays: Arrays) -> dict[str, Any]:
    """Classes and masks compress well and fast; measured values, and what is encoded already, travel as they are."""
    packed: dict[str, Any] = {}
    for name, value in arrays.items():
        packed[name] = value
        if isinstance(value, np.ndarray) and value.dtype.kind != "f":
            whole = np.ascontiguousarray(value)
            packed[name] = _Packed(whole.dtype.str, whole.shape, _compressed(whole.data))
    return packed


def _unpack(packed: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.frombuffer(bytearray(_expanded(value.data)), dtype=value.dtype).reshape(value.shape)
        if isinstance(value, _Packed)
        else value
        for name, value in packed.items()
    }
