"""Tables of the analysis benchmarks (分析性能结果表), put into README.md from their JSON files.

.venv/bin/python benchmarks/analysis_report.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import analysis_chain  # noqa: E402
import analysis_province  # noqa: E402
import report  # noqa: E402

__all__ = ["rewrite_readme", "tables"]

MISSING = "尚未在安静的机器上测量。Not measured on a quiet machine yet."


def tables() -> dict[str, str]:
    """Marker → table."""
    found = {}
    for name, module in (("chain", analysis_chain), ("province", analysis_province)):
        there = module.RESULTS.is_file()
        found[name] = module.table(json.loads(module.RESULTS.read_text("utf-8"))) if there else MISSING
    return found


def rewrite_readme() -> None:
    """Put each table between its markers."""
    text = report.README.read_text("utf-8")
    for name, content in tables().items():
        text = report._between(text, name, content)
    report.README.write_text(text, "utf-8")


if __name__ == "__main__":
    rewrite_readme()
