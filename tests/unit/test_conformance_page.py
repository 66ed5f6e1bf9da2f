"""The table of requirements fits the marks in the tests."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_conformance", ROOT / "docs" / "generate_conformance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(generator):
    known = yaml.safe_load(generator.KNOWN.read_text("utf-8"))
    assert generator.PAGE.read_text("utf-8") == generator.page(ROOT / "tests", known), (
        "请运行 / run: python docs/generate_conformance.py"
    )


def test_every_mark_names_a_standard_and_requirements(generator):
    found = list(generator.marks(ROOT / "tests"))
    assert len(found) > 200
    for standard, requirement, where in found:
        assert re.fullmatch(r"[a-z0-9-]+/(\d[\d.]*|draft)", standard), where
        assert re.fullmatch(
            r"/(req|rec|per|conf)/[A-Za-z0-9._/-]+|[a-z][a-zA-Z0-9:/._#-]*|https?://\S+", requirement
        ), where


def test_marks_are_read_without_running(generator, tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_x.py").write_text(
        'import pytest\nS = "a/1.0"\n@pytest.mark.requirement(S, "/req/x/y")\ndef test_z():\n    raise SystemExit\n'
    )
    assert list(generator.marks(folder)) == [("a/1.0", "/req/x/y", "tests/test_x.py::test_z")]
    text = generator.page(folder, {"a/1.0": {"title": "A", "requirements": ["/req/x/y", "/req/x/z"]}})
    assert "| /req/x/z | 未测试 / not tested |" in text
    absent = [{"reason": "无此数据 / no such data", "requirements": ["/req/x/z"]}]
    known = {"a/1.0": {"title": "A", "requirements": ["/req/x/y"], "not_implemented": absent}}
    text = generator.page(folder, known)
    assert "| [A](#a-1-0) | 2 | 1 | 0 | 1 |" in text
    assert "| /req/x/z | 未实现 / not implemented：无此数据 / no such data |" in text
    absent[0]["requirements"].append("/req/x/y")
    with pytest.raises(generator.TestedButMissing):
        generator.page(folder, known)
    (folder / "test_x.py").write_text("import pytest\n@pytest.mark.requirement(*ids)\ndef test_z(): pass\n")
    with pytest.raises(generator.UnreadableMark):
        list(generator.marks(folder))


def test_explanations_of_the_suites_can_be_read():
    """Every entry of cite.yml has what the page shows, and its patterns compile."""
    entries = yaml.safe_load((ROOT / "docs" / "conformance" / "cite.yml").read_text("utf-8"))
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert {"suite", "status", "test", "title", "zh", "en"} <= set(entry)
        for name in ("test", "parameters", "message"):
            re.compile(entry.get(name, ""))
