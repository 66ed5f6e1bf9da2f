"""The command ``onemap``. Results go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 our fault, 2 the caller's, 3 the data's. Heavy imports stand inside the commands, so that ``--help``
is there at once.
"""

from __future__ import annotations

import sys

import typer

from spatial.cli import analysis, data, diagnosis, documents, jobs, observation, reports, scenes, serving
from spatial.cli.console import report_error, say

__all__ = ["app", "main"]

app = typer.Typer(
    name="onemap",
    help=say("湖北一张图：数据目录、服务、分析。", "OneMap Hubei: catalogue, services, analyses."),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
serving.register(app)
data.register(app)
analysis.register(app)
reports.register(app)
scenes.register(app)
observation.register(app)
jobs.register(app)
diagnosis.register(app)
documents.register(app)


@app.callback()
def _onemap() -> None:
    """Global options: --debug 显示出错堆栈 shows the traceback."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the program; ends the process with the right exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [a for a in given if a != "--debug"]
    try:
        app(args=given, prog_name="onemap")
    except Exception as error:
        if debug:
            raise
        sys.exit(report_error(error, as_json="--json" in given))
