"""The report of a run as Word and PDF, through the runner: what stands in it, and that no half of it is ever left."""

import builtins
import contextlib
import re
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from spatial.errors import ServiceUnavailable
from spatial.jobs import reporting
from spatial.jobs.queue import JobDismissed
from spatial.jobs.run import documents_folder, run_analysis
from spatial.report.pdf import PANGO_LINE
from spatial.settings import Settings
from spatial.store.datastore import DataStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        found = DataStore.open(Settings())
    sample.publish_inputs(found, folder)
    yield found
    found.close()


@pytest.fixture(scope="module")
def reported(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "low.tif"
    return run_analysis(store, "sample-lowland", {"threshold_m": 120}, out=out, report=True)


def words(path: Path, part: str = "word/document.xml") -> str:
    """Text of every part of a Word file whose name begins so."""
    with zipfile.ZipFile(path) as file:
        return "".join(file.read(name).decode("utf-8") for name in file.namelist() if name.startswith(part))


def test_both_documents_stand_beside_the_result(reported):
    assert {kind: path.name for kind, path in reported.documents.items()} == {
        "docx": "low-report.docx",
        "pdf": "low-report.pdf",
    }
    folder = reported.rasters["class"].parent
    assert sorted(p.name for p in folder.iterdir()) == ["low-report.docx", "low-report.pdf", "low.tif"]
    assert reported.document()["documents"] == {"docx": {"file": "low-report.docx"}, "pdf": {"file": "low-report.pdf"}}


def test_the_word_document_can_be_edited(reported):
    """Real headings, tables whose header row is repeated, numbered captions as fields, Chinese fonts, page numbers."""
    import docx

    opened = docx.Document(str(reported.documents["docx"]))
    headings = [p.text for p in opened.paragraphs if p.style.name.startswith("Heading")]
    assert headings[0].startswith("目录")
    assert any(re.match(r"1 +摘要 +Summary", h) for h in headings)
    assert any("低地" in h and "Lowland" in h for h in headings)
    xml = words(reported.documents["docx"])
    assert xml.count("<w:tblHeader/>") == len(opened.tables) - 1  # not the table of the cover
    assert "SEQ 图" in xml
    assert "SEQ 表" in xml
    assert "NUMPAGES" in words(reported.documents["docx"], "word/footer")
    assert 'w:eastAsia="宋体"' in words(reported.documents["docx"], "word/styles.xml")
    assert len(opened.inline_shapes) == 1
    assert opened.core_properties.title.startswith("低地报告")


def test_inputs_parameters_and_the_synthetic_mark_are_told(reported):
    xml = words(reported.documents["docx"])
    assert "合成" in xml  # the rain layer is synthetic
    assert "不作决策依据" in xml
    assert "elevation" in xml
    assert re.search(r">120<", xml)  # the threshold
    assert reported.provenance["job"] in xml
    assert "Contains synthetic data" in words(reported.documents["docx"], "word/header")


def test_the_pdf_has_its_fonts_inside(reported):
    data = reported.documents["pdf"].read_bytes()
    assert data.startswith(b"%PDF-")
    objects = data
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL):
        with contextlib.suppress(zlib.error):
            objects += zlib.decompress(packed)
    named = set(re.findall(rb"/FontName\s*/(\S+)", objects))
    assert named
    assert len(re.findall(rb"/FontFile[23]?\b", objects)) == len(re.findall(rb"/FontName\b", objects))
    assert any(b"CJK" in name or b"Hei" in name or b"Han" in name for name in named)


def test_a_run_has_no_report_unless_asked_or_by_its_analysis(store, tmp_path, monkeypatch):
    plain = run_analysis(store, "sample-lowland", {}, out=tmp_path / "a.tif")
    assert plain.documents == {}
    monkeypatch.setattr(sample.Lowland, "report", True, raising=False)
    wanted = reporting.wants_report(sample.Lowland, None, kept=True)
    assert wanted
    assert not reporting.wants_report(sample.Lowland, False, kept=True)


def test_a_published_run_keeps_its_report_with_its_layer(store, monkeypatch):
    job = "11111111-2222-4333-8444-555555555555"
    found = run_analysis(store, "sample-lowland", {}, publish=True, report=True, job_id=job)
    folder = documents_folder(store, job, found.layers)
    assert found.documents["pdf"] == folder / "report.pdf"
    assert folder == found.rasters["class"].parent
    assert found.documents["docx"].is_file()


def test_missing_pango_names_the_line_before_anything_is_computed(store, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pango(name, *rest, **named):
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_pango)
    monkeypatch.setattr(sample.Lowland, "run", lambda *_: pytest.fail("computed"))
    with pytest.raises(ServiceUnavailable, match=re.escape(PANGO_LINE)):
        run_analysis(store, "sample-lowland", {}, out=tmp_path / "x.tif", report=True)
    assert not list(tmp_path.iterdir())


def test_missing_pango_costs_the_pdf_and_not_the_run_where_nobody_asked(store, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pango(name, *rest, **named):
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", no_pango)
    monkeypatch.setattr(sample.Lowland, "report", True, raising=False)
    found = run_analysis(store, "sample-lowland", {}, out=tmp_path / "x.tif")
    assert list(found.documents) == ["docx"]
    assert PANGO_LINE in found.notes[-1]["zh"]


@pytest.mark.parametrize("trouble", [RuntimeError("a bug"), JobDismissed("x")])
def test_a_report_that_fails_leaves_nothing(store, tmp_path, monkeypatch, trouble):
    """Not even the rasters: a run is whole or there is none."""

    def fail(*_, **__):
        raise trouble

    monkeypatch.setattr("spatial.report.run_report.write_pdf", fail)
    monkeypatch.setitem(sys.modules["spatial.report.run_report"]._WRITERS, "pdf", fail)
    with pytest.raises(type(trouble)):
        run_analysis(store, "sample-lowland", {}, out=tmp_path / "x.tif", report=True)
    assert not list(tmp_path.iterdir())
    assert not list((store.settings.var_dir / "scratch").iterdir())


def test_without_a_writer_the_error_says_so(store, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "_entries", dict)
    with pytest.raises(ServiceUnavailable, match="--no-report"):
        run_analysis(store, "sample-lowland", {}, out=tmp_path / "x.tif", report=True)
