"""Writes ``docs/conformance/requirements.md``: every requirement of a standard and the tests that prove it.

    python docs/generate_conformance.py [--check]

The tests name requirements by ``@pytest.mark.requirement(standard, *ids)``; they are read, not run. The requirements that
there are stand in ``docs/conformance/requirements.yml``, so that those without a test show, and those that we do not have
with the reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ROOT / "docs" / "conformance" / "requirements.yml"
PAGE = ROOT / "docs" / "conformance" / "requirements.md"


class UnreadableMark(ValueError):
    """A mark whose arguments are not plain texts."""


def marks(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Standard, requirement and test (``tests/api/test_x.py::test_y``) of every mark in the test files."""
    for path in sorted(folder.rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = _names(tree)
        place = path.relative_to(folder.parent).as_posix()
        for function in _functions(tree):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.requirement":
                    where = f"{place}::{function.name}"
                    standard, *ids = (_text(argument, names, where) for argument in decorator.args)
                    yield from ((standard, found, where) for found in ids)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _names(tree: ast.Module) -> dict[str, str]:
    """Texts that a module gives names."""
    found: dict[str, str] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant | ast.Tuple):
            continue
        for target in node.targets:
            names = [target] if isinstance(target, ast.Name) else getattr(target, "elts", [])
            values = [node.value] if isinstance(target, ast.Name) else getattr(node.value, "elts", [])
            for name, value in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[name.id] = value.value
    return found


def _text(argument: ast.expr, names: dict[str, str], where: str) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    if isinstance(argument, ast.Name) and argument.id in names:
        return names[argument.id]
    raise UnreadableMark(f"{where}: requirement marks take plain texts, found {ast.unparse(argument)}")


class TestedButMissing(ValueError):
    """A requirement that is listed as not implemented, and has a test."""


def _absent(standard: str, entry: dict[str, Any], tests: dict[str, list[str]]) -> dict[str, str]:
    """Reason by requirement, of those that are not implemented or do not apply."""
    found = {name: group["reason"] for group in entry.get("not_implemented", ()) for name in group["requirements"]}
    for name in found:
        if name in tests:
            raise TestedButMissing(f"{standard} {name}: {', '.join(tests[name])}")
    return found


def page(folder: Path, known: dict[str, dict[str, Any]]) -> str:
    """The page; a requirement that a test names and the list lacks is shown as well."""
    proved: dict[str, dict[str, list[str]]] = {}
    for standard, found, test in marks(folder):
        proved.setdefault(standard, {}).setdefault(found, []).append(test)
    standards = [*known, *sorted(set(proved) - set(known))]
    lines = [
        "<!-- 由 docs/generate_conformance.py 生成，请勿手改 / generated, do not edit -->",
        "",
        "# 各标准的要求与测试 / Requirements and their tests",
        "",
        "未实现的要求多属未声明的符合性类，或不适用；每一条的理由见各表。 / Most requirements that are not implemented belong "
        "to conformance classes that are not declared, or do not apply; the tables give the reason for each.",
        "",
        "| 标准 / standard | 要求 / requirements | 已测试 / tested | 未测试 / not tested | 未实现 / not implemented |",
        "|---|---|---|---|---|",
    ]
    body: list[str] = []
    for standard in standards:
        entry = known.get(standard, {})
        listed = entry.get("requirements") or []
        tests = proved.get(standard, {})
        absent = _absent(standard, entry, tests)
        ids = sorted({*(listed if isinstance(listed, list) else []), *tests, *absent})
        title = str(entry.get("title", standard))
        anchor = standard.replace("/", "-").replace(".", "-")
        untested = len(ids) - len(tests) - len(absent)
        lines.append(f"| [{title}](#{anchor}) | {len(ids)} | {len(tests)} | {untested} | {len(absent)} |")
        body += ["", f'<a id="{anchor}"></a>', "", f"## {title}", ""]
        if entry.get("note"):
            body += [str(entry["note"]), ""]
        body += ["| 要求 / requirement | 测试 / tests |", "|---|---|"]
        for found in ids:
            places = "<br>".join(f"`{test}`" for test in sorted(set(tests.get(found, ()))))
            why = f"未实现 / not implemented：{absent[found]}" if found in absent else "未测试 / not tested"
            body.append(f"| {found} | {places or why} |")
    return "\n".join([*lines, *body]) + "\n"


def main() -> int:
    """Write the page, or with ``--check`` only compare it."""
    known = yaml.safe_load(KNOWN.read_text("utf-8"))
    text = page(ROOT / "tests", known)
    if "--check" in sys.argv:
        same = PAGE.is_file() and PAGE.read_text("utf-8") == text
        if not same:
            print(
                "docs/conformance/requirements.md 已过期，请运行 / is out of date, run: python docs/generate_conformance.py"
            )
        return 0 if same else 1
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
