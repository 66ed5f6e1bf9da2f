"""The report of a run: its document, written as Word and PDF; registered as ``default`` in ``spatial.reports``."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from spatial.catalog import Text
from spatial.errors import ServiceUnavailable
from spatial.jobs.reporting import Documents, ReportMaterial, ReportRaster
from spatial.report.document import Block, Document, Figure, Paragraph, Section, with_annex
from spatial.report.drawing import chinese_font
from spatial.report.maps import borders_of, class_legend, panel_map
from spatial.report.pdf import require_weasyprint, write_pdf
from spatial.report.sections import (
    capacity_section,
    class_rows,
    class_section,
    conflict_section,
    example_section,
    factor_section,
    input_section,
    parameter_section,
    provenance_section,
    stations_section,
)
from spatial.report.tables import area_columns, plain_table
from spatial.report.word import require_docx, write_word

__all__ = ["RunReport", "document_of"]

_BEIJING = timezone(timedelta(hours=8))
_MOST_PANELS = 12


class RunReport:
    """Writes the report of any run (see `spatial.jobs.reporting.Writer`)."""

    def require(self) -> None:
        """See that matplotlib, a Chinese font, python-docx, WeasyPrint and Pango are there.

        Raises
        ------
        ServiceUnavailable
            With the line that installs what is missing.
        """
        _require_drawing()
        require_docx()
        require_weasyprint()

    def write(
        self,
        material: ReportMaterial,
        folder: Path,
        stem: str,
        *,
        strict: bool = True,
        step: Callable[[], None] = lambda: None,
    ) -> Documents:
        """Write ``<stem>.docx`` and ``<stem>.pdf`` into a folder.

        Raises
        ------
        ServiceUnavailable
            If `strict` and a library or font is missing.
        """
        try:
            if strict:
                self.require()
            _require_drawing()
        except ServiceUnavailable as error:
            if strict:
                raise
            return Documents(notes=(_told(error),))
        document = document_of(material, step=step)
        folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, Path] = {}
        notes: list[Text] = []
        for kind, writer in _WRITERS.items():
            step()
            target = folder / f"{stem}.{kind}"
            aside = folder / f".{stem}.{os.getpid()}.{kind}"
            try:
                writer(document, aside)
                os.replace(aside, target)
            except ServiceUnavailable as error:
                if strict:
                    raise
                notes.append(_told(error))
                continue
            finally:
                aside.unlink(missing_ok=True)
            files[kind] = target
        return Documents(files, tuple(notes))


_WRITERS: dict[str, Callable[[Document, Path], None]] = {"docx": write_word, "pdf": write_pdf}


def _require_drawing() -> None:
    try:
        chinese_font()
    except ImportError as error:
        raise ServiceUnavailable(
            "缺少 matplotlib，不能写报告；请运行：pip install 'onemap-hubei[report]'",
            "matplotlib is missing: no report; run: pip install 'onemap-hubei[report]'",
        ) from error


def _told(error: ServiceUnavailable) -> Text:
    return Text(zh=error.zh, en=error.en)


def document_of(material: ReportMaterial, *, step: Callable[[], None] = lambda: None) -> Document:
    """The report as a document model, with maps and charts drawn."""
    record = material.result.provenance
    synthetic = bool(record.get("synthetic"))
    borders = borders_of(material.counties)
    classes = [r for r in material.rasters.values() if _is_class(r)]
    sections: list[Section | None] = [
        _summary(material, classes, synthetic),
        _method(material),
        input_section(material),
    ]
    for raster in classes:
        step()
        sections.append(class_section(material, raster, borders, synthetic=synthetic, step=step))
    if "conflicts" in material.rasters:
        step()
        sections.append(conflict_section(material, material.rasters["conflicts"], borders, synthetic=synthetic))
    step()
    sections.append(capacity_section(material, synthetic=synthetic))
    step()
    sections.append(_factor_maps(material, borders, synthetic))
    step()
    sections += [example_section(material), factor_section(material), parameter_section(material)]
    sections += [stations_section(material), _other_tables(material), _notes(material), provenance_section(material)]
    marked = None
    if synthetic:
        marked = Text(zh="含合成数据，不作决策依据", en="Contains synthetic data; not for decisions")
    made = datetime.fromisoformat(str(record["time"])).astimezone(_BEIJING)
    software = f"{record['software']['name']} {record['software']['version']}"
    return Document(
        title=Text(zh=f"{material.title.zh}报告", en=f"{material.title.en}: report"),
        subtitle=_extent_text(record),
        cover=(
            (Text(zh="计算时间", en="Computed"), f"{made:%Y-%m-%d %H:%M}（北京时间 Beijing time）"),
            (Text(zh="方法", en="Method"), str(record["method"]).partition("；docs/")[0]),
            (Text(zh="软件", en="Software"), f"{software}，{record['analysis']} {record['analysis_version']}"),
            (Text(zh="任务", en="Job"), str(record.get("job"))),
            (Text(zh="坐标系", en="CRS"), "CGCS2000（EPSG:4490）；椭球面积 ellipsoidal areas"),
        ),
        sections=with_annex(
            [section for section in sections if section is not None],
            Text(zh="附表", en="Annex: tables by unit"),
        ),
        marked=marked,
        about={
            "author": f"OneMap Hubei 湖北一张图 {record['software']['version']}",
            "subject": f"{record['analysis']} {record.get('job')}",
            "keywords": f"{material.title.zh}, {material.title.en}",
            "created": str(record["time"]),
        },
    )


def _is_class(raster: ReportRaster) -> bool:
    main = raster.style.get("band", raster.bands[0].name)
    return raster.name != "conflicts" and raster.style.get("type") == "classes" and raster.band(str(main)) is not None


def _extent_text(record: Any) -> Text:
    bbox = record.get("parameters", {}).get("bbox")
    if bbox is None:
        return Text(zh="全部范围", en="Whole extent")
    said = ", ".join(f"{v:g}°" for v in bbox)
    return Text(zh=f"范围（西、南、东、北）：{said}", en=f"Extent (west, south, east, north): {said}")


# -- sections that belong to no map ----------------------------------------------------------------------------------------


def _summary(material: ReportMaterial, classes: list[ReportRaster], synthetic: bool) -> Section:
    record = material.result.provenance
    blocks: list[Block] = [Paragraph(material.description)]
    if synthetic:
        made = [one["title"] for one in record["inputs"] if one["synthetic"]]
        blocks.append(
            Paragraph(
                Text(
                    zh=f"本报告含合成数据（{'、'.join(t['zh'] for t in made)}），只作演示，不作决策依据。",
                    en=f"This report contains synthetic data ({', '.join(t['en'] for t in made)}): for demonstration only, not "
                    "for decisions.",
                ),
                "warning",
            )
        )
    blocks += [Paragraph(said, "item") for said in _findings(material, classes)]
    return Section(Text(zh="摘要", en="Summary"), tuple(blocks))


def _findings(material: ReportMaterial, classes: list[ReportRaster]) -> list[Text]:
    found = []
    for raster in classes:
        for suffix, zh, en in (("", "", ""), ("_2020", "（2020 规则）", " (2020 rules)")):
            rows = class_rows(material, f"{raster.name}{suffix}", "totals")
            if not rows:
                continue
            legend = class_legend(raster, str(raster.style.get("band", raster.bands[0].name)))
            if "class" in rows[0]:
                parts = [(Text(zh=r["title_zh"], en=r["title_en"]), r["km2"], r["percent"]) for r in rows]
            else:
                names = area_columns(rows[0])[: len(legend.titles)]
                parts = [(legend.titles[k], rows[0][f"{n}_km2"], rows[0][f"{n}_percent"]) for k, n in enumerate(names)]
            parts = [part for part in parts if part[2] is not None]
            found.append(
                Text(
                    zh=f"{raster.title.zh}{zh}："
                    + "，".join(f"{t.zh} {a:,.0f} km²（{p:.1f}%）" for t, a, p in parts)
                    + "。",
                    en=f"{raster.title.en}{en}: "
                    + ", ".join(f"{t.en.lower()} {a:,.0f} km² ({p:.1f} %)" for t, a, p in parts)
                    + ".",
                )
            )
    found += _capacity_finding(material)
    factors = material.result.factors
    missing = [f for f in factors if not f["assessed"]]
    if factors:
        found.append(
            Text(
                zh=f"单项指标 {len(factors)} 项，未评价 {len(missing)} 项"
                + (f"：{'、'.join(f['title']['zh'] for f in missing)}。" if missing else "。"),
                en=f"{len(factors)} factors, {len(missing)} not assessed"
                + (f": {', '.join(f['title']['en'] for f in missing)}." if missing else "."),
            )
        )
    return found


def _capacity_finding(material: ReportMaterial) -> list[Text]:
    for level in ("county", "prefecture", "province"):
        rows = material.result.tables.get(f"capacity_{level}")
        if rows:
            counts = [sum(row.get("warning") == name for row in rows) for name in ("overloaded", "critical", "within")]
            return [
                Text(
                    zh=f"承载预警（{len(rows)} 个单元）：超载 {counts[0]} 个，临界超载 {counts[1]} 个，不超载 {counts[2]} 个。",
                    en=f"Warnings of carrying capacity ({len(rows)} units): {counts[0]} overloaded, {counts[1]} critical, "
                    f"{counts[2]} not overloaded.",
                )
            ]
    return []


def _method(material: ReportMaterial) -> Section:
    record = material.result.provenance
    method = str(record["method"])
    software = f"{record['software']['name']} {record['software']['version']}"
    return Section(
        Text(zh="方法与软件", en="Method and software"),
        (
            Paragraph(
                Text(zh=f"方法：{method}。", en=f"Method (name of the guide and document of this software): {method}.")
            ),
            Paragraph(
                Text(
                    zh=f"软件：{software}，分析 {record['analysis']} {record['analysis_version']}。因子值逐像元计算，"
                    "按判别链定级；图件、表格与在线查询用同一计算程序。",
                    en=f"Software: {software}, analysis {record['analysis']} {record['analysis_version']}. Factors are computed "
                    "cell by cell and graded by the chain of stations; maps, tables and live queries use the same program.",
                )
            ),
            Paragraph(
                Text(
                    zh="凡标“未对照原文”的阈值取自公开实现、网页摘录、一般知识或本项目约定，正式使用前须与印发文本核对。",
                    en="Thresholds marked «unverified» come from public code, page excerpts, general knowledge or a convention "
                    "of this project: check them against the official text before formal use.",
                ),
                "warning",
            ),
        ),
    )


def _factor_maps(material: ReportMaterial, borders: Any, synthetic: bool) -> Section | None:
    figures: list[Block] = []
    for raster in material.rasters.values():
        if _is_class(raster) or raster.name == "conflicts":
            continue
        bands = [band for band in raster.bands if not band.domain]
        for first in range(0, len(bands), _MOST_PANELS):
            part = bands[first : first + _MOST_PANELS]
            panels = [(raster, band.name, band.title) for band in part]
            picture = panel_map(panels, borders=borders, synthetic=synthetic, columns=3)
            figures.append(Figure(Text(zh=f"{raster.title.zh}", en=raster.title.en), picture))
    if not figures:
        return None
    note = Paragraph(
        Text(
            zh="色标取第 2 至 98 百分位，只为示意。",
            en="Colours span the 2nd to the 98th percentile, for overview only.",
        ),
        "note",
    )
    return Section(Text(zh="单项指标图", en="Maps of the factors"), (note, *figures), new_page=True)


_KNOWN = (
    "by_county", "totals", "by_reason", "parameters", "conflicts_by_unit", "capacity_county", "capacity_prefecture",
    "capacity_province", "capacity_scenarios", "capacity_warning", "capacity_parameters",
)  # fmt: skip


def _other_tables(material: ReportMaterial) -> Section | None:
    named = {f"{r}{p}_{k}" for r in material.rasters for p in ("", "_2020") for k in ("by_unit", "totals", "by_reason")}
    made = [
        plain_table(name, rows)
        for name, rows in material.result.tables.items()
        if name not in _KNOWN and name not in named and isinstance(rows, list) and rows
    ]
    tables = tuple(table for table in made if table is not None)
    return Section(Text(zh="其他结果表", en="Further tables"), tables) if tables else None


def _notes(material: ReportMaterial) -> Section | None:
    notes = [Paragraph(Text(zh=note["zh"], en=note["en"]), "item") for note in material.result.notes]
    return Section(Text(zh="使用说明", en="Notes"), tuple(notes)) if notes else None
