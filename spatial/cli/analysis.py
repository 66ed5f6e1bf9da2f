"""``run``: an analysis from the command line, by the same function as the library call and the OGC process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, note, open_store, progress_bar, say, table
from spatial.errors import InvalidParameter, UnknownParameter

if TYPE_CHECKING:
    from pydantic import BaseModel

    from spatial.jobs.result import RunResult

__all__ = ["read_parameters", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help=say(
            "运行分析；onemap run 列出全部分析，onemap run <分析> --help 列出其参数",
            "Run an analysis; `onemap run` lists them, `onemap run ANALYSIS --help` lists the parameters",
        ),
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )(run)


def run(
    context: typer.Context,
    analysis: Annotated[str | None, typer.Argument(help="分析 / analysis, e.g. urban-suitability")] = None,
    bbox: Annotated[str | None, typer.Option(help="范围：西,南,东,北（度） / west,south,east,north")] = None,
    param: Annotated[list[str] | None, typer.Option(help="参数 名=值，可重复 / name=value, repeatable")] = None,
    out: Annotated[Path | None, typer.Option(help="结果 GeoTIFF / file of the result raster")] = None,
    publish: Annotated[
        bool | None,
        typer.Option(
            "--publish/--no-publish",
            help="发布为图层；默认：有报告的分析且没有 --out 时发布 / publish the result as layers; "
            "default: if the analysis has a report and there is no --out",
        ),
    ] = None,
    report: Annotated[
        bool | None,
        typer.Option(
            "--report/--no-report",
            help="写 Word 与 PDF 报告；默认由分析决定 / write a Word and PDF report; default: as the analysis says",
        ),
    ] = None,
    show_help: Annotated[bool, typer.Option("--help", "-h", help="说明 / this help")] = False,
    as_json: Json = False,
) -> None:
    """Run an analysis."""
    from spatial.jobs.registry import analysis as find

    if analysis is None or analysis.startswith("-"):
        if show_help:
            print(context.get_help())
        else:
            _list_analyses(as_json)
        return
    chosen = find(analysis)
    model = chosen.parameters
    if show_help:
        print(context.get_help())
        _list_parameters(analysis, model, as_json)
        return
    parameters = read_parameters(model, [*(param or [])], context.args)
    if bbox is not None:
        parameters["bbox"] = _numbers(bbox)
    if out is not None and not out.resolve().parent.is_dir():
        raise InvalidParameter(
            f"--out 的目录 {out.parent} 不存在", f"--out: folder {out.parent} does not exist", parameter="out"
        )
    from spatial.jobs.run import run_analysis

    if publish is None:
        publish = out is None and bool(getattr(chosen, "report", False))
    with open_store() as store, progress_bar(analysis) as progress:
        result = run_analysis(store, analysis, parameters, progress=progress, publish=publish, out=out, report=report)
    document = result.document() | {
        "rasters": {name: str(path) for name, path in result.rasters.items()},
        "features": {name: str(path) for name, path in result.features.items()},
        "documents": {kind: str(path) for kind, path in result.documents.items()},
    }
    emit(document, as_json, lambda: _show(result))


def read_parameters(model: type[BaseModel], pairs: list[str], options: list[str]) -> dict[str, Any]:
    """Parameters from ``--param name=value`` and from options made of the model's fields.

    ``--runoff-coefficient 0.5`` and ``--runoff-coefficient=0.5`` set a value, ``--apply-relief``,
    ``--apply-relief false`` and ``--no-apply-relief`` a yes or no.

    Raises
    ------
    InvalidParameter, UnknownParameter
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InvalidParameter(
                f"--param 应写作 名=值，收到 {pair!r}", f"--param must be name=value, got {pair!r}", parameter="param"
            )
        found[name.strip().replace("-", "_")] = _value(text)
    waiting = list(options)
    while waiting:
        option = waiting.pop(0)
        if not option.startswith("--"):
            raise InvalidParameter(f"多余的参数 {option!r}", f"unexpected argument {option!r}", parameter=option)
        name, equals, text = option[2:].partition("=")
        name = name.replace("-", "_")
        if name.startswith("no_") and name not in model.model_fields and name[3:] in model.model_fields:
            found[name[3:]] = False
        elif equals:
            found[name] = _value(text)
        elif name in model.model_fields and model.model_fields[name].annotation is bool:
            found[name] = _value(waiting.pop(0).lower()) if waiting and waiting[0].lower() in _YES_NO else True
        elif waiting and not waiting[0].startswith("--"):
            found[name] = _value(waiting.pop(0))
        elif name in model.model_fields:
            raise InvalidParameter(f"选项 {option} 缺少值", f"option {option} needs a value", parameter=name)
        else:
            _unknown(model, option)
    return found


_YES_NO = ("true", "false")


def _unknown(model: type[BaseModel], option: str) -> None:
    from difflib import get_close_matches

    known = [f"--{name.replace('_', '-')}" for name in model.model_fields]
    near = get_close_matches(option, known, n=3)
    zh = f"；是否为 {'、'.join(near)}？" if near else f"；可用：{'、'.join(known)}"
    en = f"; did you mean {', '.join(near)}?" if near else f"; there are {', '.join(known)}"
    raise UnknownParameter(f"没有选项 {option}{zh}", f"no option {option}{en}", parameter=option, near=near)


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, lists), else the text itself.

    >>> _value("0.5"), _value("true"), _value("county")
    (0.5, True, 'county')
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _numbers(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise InvalidParameter(
            f"--bbox 应为 西,南,东,北 四个数，收到 {text!r}",
            f"--bbox must be west,south,east,north, got {text!r}",
            parameter="bbox",
            value=text,
        )
    return numbers


def _list_analyses(as_json: bool) -> None:
    from spatial.jobs.processes import processes

    known = [info for info in processes() if info.is_analysis]
    rows: list[dict[str, Any]] = [{"id": p.id, "title": p.title.model_dump(), "version": p.version} for p in known]
    columns = ("id", say("标题", "title"), say("版本", "version"))
    emit(
        rows,
        as_json,
        lambda: table(
            say("分析", "analyses"),
            columns,
            ((r["id"], say(r["title"]["zh"], r["title"]["en"]), r["version"]) for r in rows),
        ),
    )


def _list_parameters(analysis: str, model: type[BaseModel], as_json: bool) -> None:
    from spatial.jobs.contract import parameter_texts
    from spatial.jobs.registry import limits

    schema = model.model_json_schema()["properties"]
    rows = [
        {
            "option": f"--{name.replace('_', '-')}",
            "default": None if field.is_required() else field.default,
            "allowed": limits(schema[name]),
            "title": say(title.zh, title.en),
            "description": say(about.zh, about.en),
        }
        for name, field in model.model_fields.items()
        for title, about in (parameter_texts(name, field),)
    ]
    columns = (
        say("选项", "option"),
        say("默认", "default"),
        say("允许", "allowed"),
        say("名称", "title"),
        say("说明", "description"),
    )
    emit(rows, as_json, lambda: table(analysis, columns, (r.values() for r in rows)))


def _show(result: RunResult) -> None:
    rows: list[tuple[str, Any]] = [(name, path) for name, path in result.rasters.items()]
    rows += list(result.features.items())
    rows += [(say("图层", "layer"), layer) for layer in result.layers.values()]
    rows += [(say("报告", "report"), path) for path in result.documents.values()]
    table(result.analysis, (say("结果", "result"), say("位置", "where")), rows)
    if sys.stdout.isatty() and "by_county" in result.tables and result.tables["by_county"]:
        first = result.tables["by_county"]
        table("by_county", first[0], (row.values() for row in first))
    for factor in result.factors:
        title, text = factor["title"], factor["note"]
        state = ("已评价", "assessed") if factor["assessed"] else ("未评价", "not assessed")
        note(f"{title['zh']}：{state[0]} {text['zh']}", f"{title['en']}: {state[1]} {text['en']}")
    for text in result.notes:
        note(text["zh"], text["en"])
