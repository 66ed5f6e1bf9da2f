"""``config`` and ``openapi``: documents that are generated from the catalogue."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from spatial.cli.console import Json, emit, note, open_store, say
from spatial.errors import InvalidParameter, LayerDefinitionInvalid

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help=say("检查或写入 pygeoapi-config.yml", "Check or write pygeoapi-config.yml"))(config)
    app.command(help=say("写出 OpenAPI 文档", "Write the OpenAPI document"))(openapi)


def config(
    check: Annotated[bool, typer.Option("--check", help="与 layers/ 是否一致 / does it fit layers/")] = False,
    write: Annotated[bool, typer.Option("--write", help="按 layers/ 重写 / write it from layers/")] = False,
    as_json: Json = False,
) -> None:
    """Keep ``pygeoapi-config.yml`` in step with ``layers/``."""
    from spatial.ogc.config import CONFIG_FILE
    from spatial.ogc.config import check as fits
    from spatial.ogc.config import write as rewrite
    from spatial.settings import settings

    if check == write:
        raise InvalidParameter("请用 --check 或 --write 之一", "use one of --check and --write", parameter="check")
    folder = settings().layers_dir
    changed = rewrite(folder) if write else not fits(folder)
    if check and changed:
        raise LayerDefinitionInvalid(
            f"{CONFIG_FILE.name} 与 layers/ 不一致，请运行 onemap config --write",
            f"{CONFIG_FILE.name} does not fit layers/; run: onemap config --write",
            file=CONFIG_FILE.name,
        )
    emit(
        {"file": CONFIG_FILE.name, "changed": changed},
        as_json,
        lambda: print(say("已更新", "written") if changed else say("一致，无需更新", "up to date")),
    )


def openapi(
    output: Annotated[Path | None, typer.Option(help="文件；默认输出到屏幕 / file; default stdout")] = None,
    as_json: Json = False,
) -> None:
    """The OpenAPI document of what is published now."""
    from spatial.ogc.openapi import openapi_document
    from spatial.settings import settings

    with open_store() as store:
        document = openapi_document(store.snapshot(), settings().url, settings().max_page)
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if output is None:
        print(text)
        return
    aside = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(text, "utf-8")
        aside.replace(output)
    except OSError as error:
        raise InvalidParameter(
            f"无法写入 {output}（{error.strerror}）", f"cannot write {output} ({error.strerror})", parameter="output"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    if as_json:
        print(json.dumps({"file": str(output)}))
    else:
        note(f"已写入 {output}", f"wrote {output}")
