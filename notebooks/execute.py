"""Run the code cells of a notebook and keep their outputs: ``python notebooks/execute.py notebooks/dual-evaluation.ipynb``.

Small on purpose: cells run in this process; text, HTML and figures become outputs. It needs the sample layers to be
published (``onemap layers publish --all``).
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["execute", "main"]


def execute(notebook: dict[str, Any]) -> dict[str, Any]:
    """Run every code cell in order and replace its outputs; returns the names that the cells have defined."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(cells, start=1):
        cell["execution_count"] = count
        cell["outputs"] = _run("".join(cell["source"]), names, count)
    return names


def _run(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    from matplotlib import pyplot

    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())})
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    if value is not None and not figures:
        data = {"text/plain": _lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = _lines(value._repr_html_())
        outputs.append({"output_type": "execute_result", "execution_count": count, "data": data, "metadata": {}})
    for figure in figures:
        raw = io.BytesIO()
        figure.savefig(raw, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
        picture = base64.b64encode(raw.getvalue()).decode("ascii")
        outputs.append({"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}})
        pyplot.close(figure)
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(arguments: list[str]) -> int:
    """Execute notebooks in place; a notebook that fails is left as it was."""
    for name in arguments:
        path = Path(name)
        notebook = json.loads(path.read_text("utf-8"))
        execute(notebook)
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            aside.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", "utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
