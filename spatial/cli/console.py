"""What all commands share: language, output, progress bar, and one paragraph for an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.errors import SpatialError, exit_code

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["Json", "emit", "language", "note", "open_store", "progress_bar", "report_error", "say", "table"]

Json = Annotated[bool, typer.Option("--json", help="结果为 JSON / print the result as JSON")]


def language() -> str:
    """``zh`` unless the environment (LC_ALL, LC_MESSAGES, LANG) says English.

    >>> language() in {"zh", "en"}
    True
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "en" if value.lower().startswith("en") else "zh"
    return "zh"


def say(zh: str, en: str) -> str:
    """One of two texts, by the language of the user."""
    return zh if language() == "zh" else en


def note(zh: str, en: str) -> None:
    """A message on stderr."""
    print(say(zh, en), file=sys.stderr, flush=True)


def emit(document: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print the result: JSON, or what `show` prints."""
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2, default=str))
    else:
        show()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table; on a pipe as tab-separated lines, which other programs can read."""
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join("" if cell is None else str(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=title)
    for column in columns:
        shown.add_column(column)
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(shown)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, str], None]]:
    """Progress on stderr: a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.fields[name]}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, name=title)
        yield lambda share, text: bar.update(task, completed=share, description=text)


@contextmanager
def open_store() -> Iterator[DataStore]:
    """The data store of the environment, closed at the end."""
    from spatial.settings import settings
    from spatial.store.datastore import DataStore

    store = DataStore.open(settings())
    try:
        yield store
    finally:
        store.close()


def report_error(error: BaseException, *, as_json: bool) -> int:
    """Print one paragraph on stderr that says what, where and what to do; returns the exit code."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        error = _setting_error(error)
    if as_json:
        problem = error.problem() if isinstance(error, SpatialError) else _unexpected(error).problem()
        print(json.dumps(problem, ensure_ascii=False, default=str), file=sys.stderr)
    else:
        ours = error if isinstance(error, SpatialError) else _unexpected(error)
        prefix = say("错误", "error")
        print(f"{prefix}: {say(ours.zh, ours.en)}", file=sys.stderr)
    return exit_code(error)


def _unexpected(error: BaseException) -> SpatialError:
    what = f"{type(error).__name__}: {error}"
    return SpatialError(f"程序内部错误 {what}；加 --debug 查看详情", f"internal error {what}; add --debug for details")


def _setting_error(error: Any) -> SpatialError:
    from spatial.errors import InvalidParameter

    items = error.errors(include_url=False)
    names = ", ".join(f"ONEMAP_{'_'.join(map(str, item['loc'])).upper()}" for item in items)
    reasons = "; ".join(str(item["msg"]) for item in items)
    return InvalidParameter(
        f"环境变量 {names} 不合法：{reasons}", f"environment {names} is not valid: {reasons}", parameter=names
    )
