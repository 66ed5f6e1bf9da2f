"""The way of a case (图斑流程): 下发 → 核查 → 认定 → 整改 → 复核 → 销号, which step when, and until when.

States, steps, days and severities are rules (``layers/rules/river_chief.yml``); this module is the machine that obeys them.
It knows no database and no web: a step is taken on a `Case` in memory and gives the entry of its history.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from spatial.errors import InvalidParameter, StepNotAllowed
from spatial.store.case_store import Case, CaseEvent

if TYPE_CHECKING:
    from spatial.river_chief.requests import StepRequest
    from spatial.river_chief.rules import DeskRules, StepRule

__all__ = ["CHINA", "allowed_steps", "end_of_day", "is_overdue", "take_step"]

CHINA = ZoneInfo("Asia/Shanghai")
_NOTE_NEEDED = frozenset({"check", "judge", "rectify", "review", "return"})
_LATEST_DUE = timedelta(days=3650)


def end_of_day(at: datetime, days: int) -> datetime:
    """Last second of the calendar day in China that lies `days` after that of `at`, in UTC.

    >>> from datetime import UTC
    >>> end_of_day(datetime(2026, 7, 1, 15, 59, tzinfo=UTC), 7).isoformat()
    '2026-07-08T15:59:59+00:00'
    >>> end_of_day(datetime(2026, 7, 1, 16, 0, tzinfo=UTC), 7).isoformat()  # 2 July in China
    '2026-07-09T15:59:59+00:00'
    """
    from datetime import UTC

    day = at.astimezone(CHINA).date() + timedelta(days=days)
    return datetime.combine(day, time(23, 59, 59), CHINA).astimezone(UTC)


def is_overdue(case: Case, now: datetime) -> bool:
    """True if the next step of an open case is late (逾期)."""
    return case.state != "closed" and case.due is not None and case.due < now


def allowed_steps(state: str, rules: DeskRules) -> tuple[StepRule, ...]:
    """Steps that a case in this state may take."""
    return tuple(step for step in rules.steps.list if state in step.from_)


def first_due(case: Case, rules: DeskRules) -> datetime | None:
    """When a new case must have been checked: days of its reach, else of the rules."""
    days = case.place.get("check_days") or rules.state(case.state).days
    return None if days is None else end_of_day(case.entered, int(days))


def take_step(
    case: Case,
    given: StepRequest,
    rules: DeskRules,
    photos: Mapping[tuple[str, int], int],
    *,
    actor: str,
    now: datetime,
) -> CaseEvent:
    """Take one step on a case; the case is changed in place.

    Parameters
    ----------
    photos : mapping
        (role, round) → photos on file.
    actor : str
        Who takes the step.

    Returns
    -------
    CaseEvent
        Entry of the history, without the ids that the store gives.

    Raises
    ------
    StepNotAllowed
        The state does not allow the step, or photos are missing; ``allowed`` says what can be done.
    InvalidParameter
        The step lacks what it must say.
    """
    step = _require_allowed(case, given.step, rules)
    _require_words(given, step)
    target = _target(given, step)
    if target == step.to:
        _require_photos(case, step, photos)
    event = CaseEvent(
        at=now, step=step.id, from_state=case.state, to_state=target, actor=actor, unit=given.unit, note=given.note,
        due=case.due, late=case.due is not None and now > case.due, details={}, principal=None, address=None,
    )  # fmt: skip
    if step.id == "judge":
        event.details = _judge(case, given, rules, target)
    if event.late:
        case.late_steps += 1
    case.state, case.entered = target, now
    if target == "rectifying":
        case.round += 1
        event.details = event.details | {"round": case.round}
    if target == "closed":
        case.closed = now
        case.outcome = "rectified" if case.round else "not_a_problem"
    case.due = _due(case, given, rules, now)
    if case.due is not None:
        event.details = event.details | {"next_due": _text(case.due)}
    if step.id == "review":
        event.details = event.details | {"passed": given.passed}
    return event


def _require_allowed(case: Case, name: str, rules: DeskRules) -> StepRule:
    step = rules.step(name)
    allowed = allowed_steps(case.state, rules)
    if step is not None and step in allowed:
        return step
    if step is None:
        known = [s.id for s in rules.steps.list]
        raise InvalidParameter(
            f"没有步骤 {name[:40]!r}，可用：{'、'.join(known)}",
            f"no step {name[:40]!r}; there are {', '.join(known)}",
            parameter="step",
            allowed=known,
        )
    state = rules.state(case.state).title
    now_zh = "、".join(f"{s.title.zh}（{s.id}）" for s in allowed) or "无，已销号的图斑不再变动"
    now_en = ", ".join(s.id for s in allowed) or "nothing, a closed case stays as it is"
    raise StepNotAllowed(
        f"图斑 {case.number} 处于“{state.zh}”，不能{step.title.zh}；现在可办：{now_zh}",
        f"case {case.number} is {state.en.lower()}, so '{step.id}' cannot be done; allowed now: {now_en}",
        case=case.id,
        state=case.state,
        step=step.id,
        allowed=[s.id for s in allowed],
    )


def _require_words(given: StepRequest, step: StepRule) -> None:
    if step.id in _NOTE_NEEDED and not given.note:
        raise InvalidParameter(
            f"步骤“{step.title.zh}”须写明情况或理由（note）",
            f"step '{step.id}' needs a note: what was found, or the reason",
            parameter="note",
        )
    for name, wanted in (("problem", step.id == "judge"), ("passed", step.id == "review")):
        value = getattr(given, name)
        if wanted and value is None:
            raise InvalidParameter(
                f"步骤“{step.title.zh}”须给出 {name}（true 或 false）",
                f"step '{step.id}' needs {name}: true or false",
                parameter=name,
            )
        if not wanted and value is not None:
            raise InvalidParameter(
                f"{name} 不属于步骤“{step.title.zh}”，请去掉",
                f"{name} is not part of step '{step.id}', leave it out",
                parameter=name,
            )
    if step.id != "judge" and (given.kind or given.severity):
        raise InvalidParameter(
            "类型与严重程度只在认定时填写", "kind and severity are given when the case is judged", parameter="kind"
        )


def _target(given: StepRequest, step: StepRule) -> str:
    contrary = given.problem is False or given.passed is False
    return step.otherwise if contrary and step.otherwise else step.to


def _require_photos(case: Case, step: StepRule, photos: Mapping[tuple[str, int], int]) -> None:
    have = photos.get((step.role or "", case.round), 0)
    if have < step.photos:
        raise StepNotAllowed(
            f"步骤“{step.title.zh}”前须上传 {step.photos} 张照片（role={step.role}），现有 {have} 张",
            f"step '{step.id}' needs {step.photos} photo(s) with role={step.role} on file, there are {have}",
            case=case.id,
            state=case.state,
            step=step.id,
            allowed=["photo"],
            role=step.role,
        )


def _judge(case: Case, given: StepRequest, rules: DeskRules, target: str) -> dict[str, Any]:
    if target == "closed":
        if given.kind or given.severity:
            raise InvalidParameter(
                "认定为不是问题时不填类型与严重程度", "no kind or severity where there is no problem", parameter="kind"
            )
        case.severity = None
        return {"problem": False}
    kind = given.kind or case.kind
    if kind is None or rules.kind(kind) is None:
        known = [k.id for k in rules.kinds.list]
        raise InvalidParameter(
            f"认定为问题须给出类型 kind：{'、'.join(f'{k.id}（{k.title.zh}）' for k in rules.kinds.list)}",
            f"a problem needs its kind: one of {', '.join(known)}",
            parameter="kind",
            allowed=known,
        )
    suggested = rules.suggested(case.area_m2)
    severity = given.severity or suggested.id
    if rules.severity(severity) is None:
        known = [s.id for s in rules.severities.list]
        raise InvalidParameter(
            f"severity 应为 {'、'.join(known)}",
            f"severity must be one of {', '.join(known)}",
            parameter="severity",
            allowed=known,
        )
    case.kind, case.severity = kind, severity
    return {"problem": True, "kind": kind, "severity": severity, "suggested_severity": suggested.id}


def _due(case: Case, given: StepRequest, rules: DeskRules, now: datetime) -> datetime | None:
    if given.due is not None:
        if case.state == "closed":
            raise InvalidParameter("销号后没有时限", "a closed case has no deadline", parameter="due")
        if not now < given.due <= now + _LATEST_DUE:
            raise InvalidParameter(
                "due 应晚于现在，且在十年之内", "due must lie after now and within ten years", parameter="due"
            )
        return given.due
    if case.state == "rectifying":
        severity = rules.severity(case.severity or "")
        days = case.place.get("rectify_days") or (severity.days if severity else rules.state("rectifying").days)
    else:
        days = rules.state(case.state).days
    return None if days is None else end_of_day(now, int(days))


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
