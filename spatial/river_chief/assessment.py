"""Assessment figures by unit (考核指标): what was done in time, how long it took, what came back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spatial.river_chief.documents import stamp
from spatial.river_chief.workflow import is_overdue

if TYPE_CHECKING:
    from spatial.store.case_store import Case, Patrol

__all__ = ["DEFINITIONS", "assess", "figures"]

DEFINITIONS = {
    "cases": {"zh": "期内下发的图斑数", "en": "cases issued in the period"},
    "open": {"zh": "其中未销号", "en": "of these not closed yet"},
    "overdue": {"zh": "其中当前步骤已逾期", "en": "of these whose present step is late"},
    "rectified": {"zh": "其中整改后销号", "en": "of these closed after rectification"},
    "not_a_problem": {"zh": "其中认定为不是问题", "en": "of these judged to be no problem"},
    "closed_in_time": {"zh": "已销号且每一步都按期", "en": "closed with every step in time"},
    "share_closed_in_time": {
        "zh": "closed_in_time ÷ 已销号；没有销号时为空",
        "en": "closed_in_time ÷ closed; null if none",
    },
    "mean_days": {"zh": "下发至销号的平均日数", "en": "mean days from issue to closure"},
    "rebounds": {"zh": "与已整改销号图斑重叠的新图斑", "en": "cases on the place of a rectified one"},
    "second_rectifications": {"zh": "复核未过、再次整改的图斑", "en": "cases rectified more than once"},
    "patrols": {"zh": "期内巡河次数", "en": "patrols in the period"},
    "patrol_km": {"zh": "巡河里程（大地线长）", "en": "kilometres patrolled (geodesic)"},
}


def figures(cases: Sequence[Case], patrols: Sequence[Patrol], now: datetime) -> dict[str, Any]:
    """Figures of some cases and patrols; see `DEFINITIONS`."""
    closed = [case for case in cases if case.state == "closed"]
    days = [(case.closed - case.created).total_seconds() / 86_400 for case in closed if case.closed is not None]
    in_time = sum(case.late_steps == 0 for case in closed)
    return {
        "cases": len(cases),
        "open": len(cases) - len(closed),
        "overdue": sum(is_overdue(case, now) for case in cases),
        "rectified": sum(case.outcome == "rectified" for case in closed),
        "not_a_problem": sum(case.outcome == "not_a_problem" for case in closed),
        "closed_in_time": in_time,
        "share_closed_in_time": round(in_time / len(closed), 4) if closed else None,
        "mean_days": round(sum(days) / len(days), 2) if days else None,
        "rebounds": sum(case.rebound for case in cases),
        "second_rectifications": sum(case.round > 1 for case in cases),
        "patrols": len(patrols),
        "patrol_km": round(sum(patrol.length_m for patrol in patrols) / 1000, 2),
    }


def assess(
    cases: Sequence[Case],
    patrols: Sequence[Patrol],
    *,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
) -> dict[str, Any]:
    """Figures of every unit and of all together.

    Parameters
    ----------
    cases : sequence of Case
    start, end : datetime, optional
        Cases issued and patrols begun from `start` to before `end`; the patrols are expected to be of the period already.
    """
    chosen = [c for c in cases if (start is None or c.created >= start) and (end is None or c.created < end)]
    by_unit: dict[str | None, tuple[list[Case], list[Patrol]]] = defaultdict(lambda: ([], []))
    for case in chosen:
        by_unit[case.unit][0].append(case)
    for patrol in patrols:
        by_unit[patrol.unit][1].append(patrol)
    units = [
        {"unit": unit} | figures(*by_unit[unit], now)
        for unit in sorted(by_unit, key=lambda unit: (unit is None, unit or ""))
    ]
    return {
        "at": stamp(now),
        "from": stamp(start),
        "to": stamp(end),
        "definitions": DEFINITIONS,
        "units": units,
        "total": figures(chosen, patrols, now),
        "synthetic": any(case.synthetic for case in chosen),
    }
