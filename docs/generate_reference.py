"""Write the generated pages of ``docs/reference/`` (``--check`` only compares): settings, layers, errors.

Usage: ``python docs/generate_reference.py [--check]``
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from spatial.catalog import load_catalog
from spatial.errors import STATUS, SpatialError, exit_code, status
from spatial.settings import PROJECT_ROOT, Settings

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- 由 docs/generate_reference.py 生成，请勿手改 / generated, do not edit -->\n\n"


def settings_page() -> str:
    """Every setting with its type, default and meaning."""
    lines = [
        "# 运行配置 / Settings\n",
        "全部由环境变量给出；布尔与列表用 JSON。/ All by environment variables; lists as JSON.\n",
        "| 变量 / variable | 类型 / type | 默认 / default | 含义 / meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default if field.default is not PydanticUndefined else ""
        if isinstance(default, Path):
            default = "." if default == PROJECT_ROOT else f"./{default.relative_to(PROJECT_ROOT)}"
        kind = getattr(field.annotation, "__name__", str(field.annotation)).replace("|", "\\|")
        kind = kind.replace("typing.", "").replace("pathlib.", "").replace("pydantic.types.", "")
        lines.append(f"| `ONEMAP_{name.upper()}` | `{kind}` | `{default}` | {field.description} |")
    return "\n".join(lines) + "\n"


def layers_page() -> str:
    """Every layer of the catalogue with its kind, source and licence."""
    catalog = load_catalog(PROJECT_ROOT / "layers")
    lines = [
        "# 图层 / Layers\n",
        "「合成」图层由配方与种子生成，不代表真实管控边界。/ Synthetic layers are made from a recipe and a seed; "
        "they are no real control lines.\n",
        "| id | 名称 / title | 专题 / theme | 类型 / kind | 合成 / synthetic | 许可 / licence |",
        "|---|---|---|---|---|---|",
    ]
    for layer in catalog.values():
        title = layer.display_title()
        synthetic = f"是 yes (seed {layer.synthetic.seed})" if layer.synthetic else "否 no"
        lines.append(
            f"| `{layer.id}` | {title.zh} / {title.en} | {'/'.join(layer.theme)} | {layer.kind} | {synthetic} | "
            f"{layer.source.licence.replace('|', '/')} |"
        )
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Every error with its status and exit code."""
    lines = [
        "# 错误 / Errors\n",
        "HTTP 以 `application/problem+json`（RFC 9457）返回；命令行以退出码返回。/ problem+json over HTTP, exit codes on the "
        "command line.\n",
        "| 名称 / type | HTTP | 退出码 / exit | 含义 / meaning |",
        "|---|---|---|---|",
    ]

    def walk(kind: type[SpatialError], depth: int) -> None:
        example = kind("", "")
        first = (kind.__doc__ or "").splitlines()[0]
        indent = "&nbsp;&nbsp;" * depth
        lines.append(f"| {indent}`{kind.__name__}` | {status(example)} | {exit_code(example)} | {first} |")
        for child in kind.__subclasses__():
            walk(child, depth + 1)

    assert SpatialError in STATUS
    walk(SpatialError, 0)
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "layers.md": layers_page, "errors.md": errors_page}


def main(arguments: list[str]) -> int:
    """Write the pages, or say which one is stale."""
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, NOTE + make()
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, "utf-8")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run: python docs/generate_reference.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
