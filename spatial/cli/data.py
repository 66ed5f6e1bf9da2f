"""``layers`` and ``ingest``: the catalogue and what is published of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, note, open_store, progress_bar, report_error, say, table

if TYPE_CHECKING:
    from spatial.catalog import Catalog, Layer
    from spatial.errors import LayerDefinitionInvalid
    from spatial.store.datastore import DataStore

__all__ = ["publish_layers", "read_definitions", "register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    layers = typer.Typer(
        help=say("图层目录", "The layers of the catalogue"), no_args_is_help=True, rich_markup_mode=None
    )
    layers.command("list", help=say("列出图层", "List the layers"))(list_layers)
    layers.command("show", help=say("显示一个图层的定义与发布状态", "Show one layer"))(show)
    layers.command("check", help=say("检查图层定义与源文件", "Check definitions and source files"))(check)
    layers.command("publish", help=say("发布图层", "Publish layers"))(publish)
    app.add_typer(layers, name="layers")
    app.command(help=say("将文件作为图层的新版本入库", "Publish a file as a new version of a layer"))(ingest)


def list_layers(
    search: Annotated[str, typer.Option(help="包含的词 / words to look for")] = "", as_json: Json = False
) -> None:
    """Every layer with its title and published version."""
    with open_store() as store:
        snapshot = store.snapshot()
        found = snapshot.catalog.search(search) if search else list(snapshot.catalog.values())
        rows: list[dict[str, Any]] = []
        for layer in found:
            published = snapshot.published(layer.id)
            title = layer.display_title()
            rows.append(
                {
                    "id": layer.id,
                    "title": title.model_dump(),
                    "kind": layer.kind,
                    "theme": list(layer.theme),
                    "version": None if published is None else published.version,
                    "synthetic": layer.synthetic is not None,
                }
            )
    columns = ("id", say("标题", "title"), say("类型", "kind"), say("版本", "version"))
    heading = say("图层", "layers")
    emit(
        rows,
        as_json,
        lambda: table(
            heading,
            columns,
            ((r["id"], say(r["title"]["zh"], r["title"]["en"]), r["kind"], r["version"] or "—") for r in rows),
        ),
    )


def show(layer_id: Annotated[str, typer.Argument(metavar="LAYER")], as_json: Json = False) -> None:
    """Definition and published version of a layer."""
    with open_store() as store:
        snapshot = store.snapshot()
        layer = snapshot.catalog[layer_id]
        document: dict[str, Any] = layer.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        published = snapshot.published(layer_id)
        document["published"] = None if published is None else _described(published)
        document["versions"] = [row.version for row in store.state.versions(layer_id)]

    def show_yaml() -> None:
        import yaml

        print(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), end="")

    emit(document, as_json, show_yaml)


def _described(published: Any) -> dict[str, Any]:
    from spatial.store.vector import PublishedTable

    common = {"id": published.layer.id, "version": published.version, "extent": list(published.extent)}
    if isinstance(published, PublishedTable):
        return common | {"count": published.count, "geometry_type": published.geometry_type}
    return common | {"width": published.width, "height": published.height, "dtype": published.dtype}


def check(
    layer_ids: Annotated[list[str] | None, typer.Argument(metavar="[LAYER]...")] = None, as_json: Json = False
) -> None:
    """Every definition is read, its style too; the source files must be there with the right checksum."""
    from spatial.errors import LayerDefinitionInvalid, SourceUnreadable
    from spatial.intake.publication import file_sha256
    from spatial.settings import settings

    catalog, broken = read_definitions(settings().layers_dir)
    faults = {Path(str(error.details["file"])).stem: error for error in broken}
    wanted = [catalog[i] for i in layer_ids if i not in faults] if layer_ids else list(catalog.values())
    if layer_ids:
        faults = {name: error for name, error in faults.items() if name in layer_ids}
    rows = [
        {"id": name, "source": str(error.details["file"]), "state": "definition", "detail": say(error.zh, error.en)}
        for name, error in faults.items()
    ]
    for layer in wanted:
        if layer.id in faults:
            continue
        path = settings().data_dir / layer.source.path
        state = "missing"
        if path.is_file():
            state = "ok" if file_sha256(path) == layer.source.sha256 else "checksum"
        rows.append({"id": layer.id, "source": layer.source.path, "state": state, "detail": ""})
    columns = ("id", "source", "state", say("说明", "detail"))
    emit(rows, as_json, lambda: table(say("检查", "check"), columns, (r.values() for r in rows)))
    if faults:
        raise LayerDefinitionInvalid(
            f"图层定义有误：{'；'.join(e.zh for e in faults.values())}",
            f"layer definitions are wrong: {'; '.join(e.en for e in faults.values())}",
            layers=list(faults),
        )
    bad = [f"{r['id']} ({r['state']})" for r in rows if r["state"] != "ok"]
    if bad:
        raise SourceUnreadable(
            f"源文件缺失或校验和不符：{'、'.join(bad)}",
            f"source files missing or changed: {', '.join(bad)}",
            layers=bad,
        )


def read_definitions(folder: Path) -> tuple[Catalog, list[LayerDefinitionInvalid]]:
    """The layers of a folder, and an error for each file whose definition or style is wrong (``details["file"]``)."""
    from spatial.catalog import Catalog, load_catalog
    from spatial.errors import LayerDefinitionInvalid
    from tiles.styles import check_styles

    broken: list[LayerDefinitionInvalid] = []
    catalog = load_catalog(folder, broken=broken)
    for layer in catalog.values():
        try:
            check_styles(Catalog({layer.id: layer}, catalog.themes))
        except LayerDefinitionInvalid as error:
            broken.append(LayerDefinitionInvalid(error.zh, error.en, **(error.details | {"file": f"{layer.id}.yml"})))
    return catalog, broken


def publish(
    layer_ids: Annotated[list[str] | None, typer.Argument(metavar="[LAYER]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="全部未发布的图层 / all that are not published")] = False,
    as_json: Json = False,
) -> None:
    """Publish the version that each definition names."""
    from spatial.errors import InvalidParameter

    if not layer_ids and not everything:
        raise InvalidParameter(
            "请给出图层编号，或用 --all 发布全部", "name the layers, or use --all", parameter="LAYER"
        )
    with open_store() as store:
        catalog = store.snapshot().catalog
        have = store.published_checksums()
        wanted = (
            [catalog[i] for i in layer_ids]
            if layer_ids
            else [
                layer
                for layer in catalog.values()
                if layer.provenance is None and have.get(layer.id, ("",))[0] != layer.source.version
            ]
        )
        with progress_bar(say("发布图层", "publishing")) as progress:
            found = publish_layers(store, wanted, progress)
    _show_published(found, as_json)


def publish_layers(
    store: DataStore, layers: Iterable[Layer], progress: Callable[[float, str], None]
) -> list[dict[str, Any]]:
    """Publish layers one after another.

    A layer that breaks a rule does not stop the others: each failure is reported, and the first one raised at the end.
    """
    from spatial.errors import SpatialError
    from spatial.intake import publish_layer

    wanted = list(layers)
    done: list[dict[str, Any]] = []
    failed: list[SpatialError] = []
    for number, layer in enumerate(wanted):
        progress(number / len(wanted), layer.id)
        if not sys.stderr.isatty():
            note(f"发布 {layer.id}", f"publishing {layer.id}")
        try:
            done.append(_described(publish_layer(store, layer)))
        except SpatialError as error:
            report_error(error, as_json=False)
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def _show_published(found: list[dict[str, Any]], as_json: bool) -> None:
    emit(
        found,
        as_json,
        lambda: table(
            say("已发布", "published"),
            ("id", say("版本", "version"), say("规模", "size")),
            ((f["id"], f["version"], f.get("count") or f"{f.get('width')}×{f.get('height')}") for f in found),
        ),
    )


def ingest(
    file: Annotated[Path, typer.Argument(help="文件 / file")],
    layer: Annotated[str, typer.Option(help="目录中的图层 / layer of the catalogue")],
    version: Annotated[str, typer.Option(help="新版本号 / name of the new version")],
    as_json: Json = False,
) -> None:
    """Check a delivered file by the rules of its layer and publish it as a new version."""
    from spatial.intake import ingest_file

    with open_store() as store:
        found = _described(ingest_file(store, layer, file, version=version))
    _show_published([found], as_json)
