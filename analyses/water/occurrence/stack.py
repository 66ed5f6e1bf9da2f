"""Dated water maps on one grid (水体分类时间序列), read by window; scenes of one day become one observation.

Nothing here holds more than one window of one scene, so memory does not depend on how many scenes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ArrayStack",
    "ClassStack",
    "Observation",
    "RasterStack",
    "merge_day",
    "observations",
    "read_observation",
    "windows_of",
]


_KEPT = 256
"""Files that a thread keeps open: an open file costs memory, so that more of them must not follow from more scenes."""


class ClassStack(Protocol):
    """Water maps of several dates on one grid; codes of `analyses.water.classes`."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        ...

    @property
    def dates(self) -> Sequence[datetime]:
        """Time of each scene, with a time zone; in any order, dates may repeat."""
        ...

    def read(self, index: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Codes of scene `index` in a window, uint8 (height, width)."""
        ...


@dataclass(frozen=True)
class ArrayStack:
    """A stack in memory, for notebooks and tests: uint8 (scenes, rows, cols)."""

    codes: NDArray[np.uint8]
    dates: Sequence[datetime]

    def __post_init__(self) -> None:
        if self.codes.ndim != 3 or self.codes.dtype != np.uint8 or len(self.codes) != len(self.dates):
            raise InvalidParameter(
                f"水体分类应为 uint8 (景, 行, 列)，景数与日期数相同；现为 {self.codes.dtype} {self.codes.shape}，"
                f"日期 {len(self.dates)} 个",
                f"water maps must be uint8 (scenes, rows, cols), one date each; found {self.codes.dtype} {self.codes.shape} "
                f"and {len(self.dates)} dates",
                parameter="codes",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.codes.shape[1], self.codes.shape[2]

    def read(self, index: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """A view of the window."""
        return self.codes[index, row : row + height, col : col + width]


@dataclass(frozen=True)
class RasterStack:
    """Single-band uint8 rasters (COG) of one grid, one a scene; files stay open, a set of handles for each thread.

    Raises
    ------
    GridMismatch
        When two files differ in size, CRS or transform (checked when the first window is read).
    QualityViolation
        When a file is not uint8.
    """

    paths: tuple[Path, ...]
    dates: tuple[datetime, ...]
    shape: tuple[int, int]
    _open: local = field(default_factory=local, repr=False, compare=False)

    @classmethod
    def of(cls, paths: Sequence[Path], dates: Sequence[datetime]) -> RasterStack:
        """Open the files once to check that they lie on one grid."""
        import rasterio

        if len(paths) != len(dates) or not paths:
            raise InvalidParameter(
                f"每景应有一个文件和一个日期，现为 {len(paths)} 个文件、{len(dates)} 个日期",
                f"each scene needs one file and one date; found {len(paths)} files and {len(dates)} dates",
                parameter="paths",
            )
        first: tuple[Any, ...] | None = None
        for path in paths:
            with rasterio.open(path) as file:
                grid = (file.shape, file.crs, tuple(round(v, 12) for v in file.transform[:6]))
                if file.dtypes[0] != "uint8":
                    raise QualityViolation(
                        f"{path.name} 应为 uint8 水体分类，现为 {file.dtypes[0]}",
                        f"{path.name} must be a uint8 water map, found {file.dtypes[0]}",
                    )
            if first is None:
                first = grid
            elif grid != first:
                raise GridMismatch(
                    f"{path.name} 的格网 {grid} 与 {paths[0].name} 的 {first} 不一致，请先重采样",
                    f"{path.name}: grid {grid} differs from {first} of {paths[0].name}; resample it first",
                )
        assert first is not None
        return cls(tuple(paths), tuple(dates), first[0])

    def read(self, index: int, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Codes of a window; outside no file is read."""
        import rasterio

        handles = self._open.__dict__.setdefault("handles", {})
        window = ((row, row + height), (col, col + width))
        if index not in handles and len(handles) < _KEPT:
            handles[index] = rasterio.open(self.paths[index])
        if index in handles:
            return np.asarray(handles[index].read(1, window=window), dtype=np.uint8)
        with rasterio.open(self.paths[index]) as file:
            return np.asarray(file.read(1, window=window), dtype=np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths, "dates": self.dates, "shape": self.shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_open", local())


@dataclass(frozen=True, slots=True)
class Observation:
    """The scenes of one day (一次观测): `scenes` are indices into the stack, earliest first."""

    day: date
    at: datetime
    """Time of the earliest scene."""
    scenes: tuple[int, ...]

    @property
    def merged(self) -> bool:
        """Whether several scenes were merged."""
        return len(self.scenes) > 1


def observations(dates: Sequence[datetime], *, zone: str = "Asia/Shanghai") -> list[Observation]:
    """One observation a day, in the order of time.

    Parameters
    ----------
    dates : timezone-aware datetimes
    zone : str
        Zone whose calendar day counts.

    Raises
    ------
    InvalidParameter
        When a time has no zone, or there is no scene.

    Examples
    --------
    >>> from datetime import UTC
    >>> found = observations([datetime(2024, 5, 2, 3, tzinfo=UTC), datetime(2024, 5, 1, 3, tzinfo=UTC),
    ...                       datetime(2024, 5, 2, 3, 0, 14, tzinfo=UTC)])
    >>> [(o.day.isoformat(), o.scenes) for o in found]
    [('2024-05-01', (1,)), ('2024-05-02', (0, 2))]
    """
    if len(dates) == 0:
        raise InvalidParameter("没有一景影像，请至少给一景", "there is no scene; give at least one", parameter="scenes")
    naive = [i for i, moment in enumerate(dates) if moment.tzinfo is None or moment.utcoffset() is None]
    if naive:
        raise InvalidParameter(
            f"第 {naive[0]} 景的时间 {dates[naive[0]]} 没有时区（共 {len(naive)} 景），请写明，例如 +00:00",
            f"scene {naive[0]}: time {dates[naive[0]]} has no time zone ({len(naive)} scenes); state it, for example +00:00",
            parameter="dates",
        )
    local_zone = ZoneInfo(zone)
    days: dict[date, list[int]] = {}
    for index in sorted(range(len(dates)), key=lambda i: (dates[i], i)):
        days.setdefault(dates[index].astimezone(local_zone).date(), []).append(index)
    return [Observation(day, dates[scenes[0]], tuple(scenes)) for day, scenes in sorted(days.items())]


def _merge(into: Any, more: Any) -> int:
    disagree = 0
    for r in range(into.shape[0]):
        for c in range(into.shape[1]):
            a = into[r, c]
            b = more[r, c]
            if a >= 250:
                # Clear beats masked; of two masks the one that knows why (cloud) beats no data.
                if b < a:
                    into[r, c] = b
            elif b < 250 and ((a == 1 or a == 2) != (b == 1 or b == 2)):
                disagree += 1
    return disagree


def merge_day(maps: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], int]:
    """Water maps of one day, merged (同日合并), and the number of cells on whose water two clear ones disagree.

    Clear beats masked; of two clear ones the first holds.

    Examples
    --------
    >>> one, two = np.array([[0, 253, 255, 1]], np.uint8), np.array([[1, 2, 253, 253]], np.uint8)
    >>> codes, disagree = merge_day([one, two])
    >>> codes.tolist(), disagree
    ([[0, 2, 253, 1]], 1)
    """
    if len(maps) == 1:
        return maps[0], 0
    into = np.array(maps[0], dtype=np.uint8)
    disagree = sum(int(compiled(_merge)(into, np.ascontiguousarray(more))) for more in maps[1:])
    return into, disagree


def read_observation(
    stack: ClassStack, observation: Observation, row: int, col: int, height: int, width: int
) -> tuple[NDArray[np.uint8], int]:
    """Merged codes of one day in a window, and the number of cells on which its scenes disagree.

    Raises
    ------
    GridMismatch
        When a scene gives another shape than asked for.
    """
    maps = []
    for index in observation.scenes:
        codes = stack.read(index, row, col, height, width)
        if codes.shape != (height, width):
            raise GridMismatch(
                f"第 {index} 景（{observation.day}）的窗口为 {codes.shape}，应为 {(height, width)}；各景须在同一格网上",
                f"scene {index} ({observation.day}) gives a window of {codes.shape}, expected {(height, width)}; "
                "all scenes must lie on one grid",
            )
        maps.append(codes)
    return merge_day(maps)


def windows_of(shape: tuple[int, int], row: int, col: int, height: int, width: int, block: int) -> Iterator[Any]:
    """Windows on the lattice of blocks that cover a window of the grid: (row, col, height, width)."""
    rows, cols = shape
    if row < 0 or col < 0 or row + height > rows or col + width > cols:
        raise ValueError(f"window ({row}, {col}) {height}×{width} lies outside the grid {rows}×{cols}")
    for top in range(row // block * block, row + height, block):
        for left in range(col // block * block, col + width, block):
            r0, r1 = max(row, top), min(row + height, top + block)
            c0, c1 = max(col, left), min(col + width, left + block)
            yield r0, c0, r1 - r0, c1 - c0
