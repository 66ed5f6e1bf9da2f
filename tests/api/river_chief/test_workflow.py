"""The way of a case from issue to closure: steps, words, photos, deadlines, two who act at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

B = "/api/v1/river-chief"


def test_from_issue_to_closure_with_a_review_that_fails(web: Any, desk: Any) -> None:
    case = desk.issue(web).json()["id"]
    missing = desk.refused(desk.step(web, case, "check"), 409)
    assert (missing["allowed"], missing["role"]) == (["photo"], "field")
    assert desk.photo(web, case, "field").status_code == 201
    assert desk.step(web, case, "check").json()["properties"]["state"] == "checked"
    judged = desk.step(web, case, "judge", problem=True, kind="building", severity="serious").json()
    assert judged["properties"]["severity"] == "serious"
    assert judged["events"][-1]["details"]["suggested_severity"] == "major"  # the square has 10,000 m²
    started = desk.step(web, case, "rectify", unit="乙县水利局").json()
    # Reach A1 has no days of its own for this: those of the severity.
    due = datetime.fromisoformat(started["properties"]["due"]) + timedelta(hours=8)
    assert (due.date() - (datetime.now(UTC) + timedelta(hours=8)).date()).days == 60
    failed = desk.step(web, case, "review", passed=False, note="未拆除").json()
    assert (failed["properties"]["state"], failed["properties"]["round"]) == ("rectifying", 2)
    desk.photo(web, case, "rectified")
    assert desk.step(web, case, "review", passed=True).json()["properties"]["state"] == "reviewed"
    assert desk.step(web, case, "return", note="上级抽查不合格").json()["properties"]["round"] == 3
    # The photo of the second round does not serve the third.
    assert desk.refused(desk.step(web, case, "review", passed=True), 409)["allowed"] == ["photo"]
    desk.photo(web, case, "rectified")
    desk.step(web, case, "review", passed=True)
    closed = desk.step(web, case, "close", note="").json()
    assert (closed["properties"]["state"], closed["properties"]["outcome"]) == ("closed", "rectified")
    assert closed["properties"]["due"] is None
    assert closed["steps"] == []
    order = [
        "issue",
        "photo",
        "check",
        "judge",
        "rectify",
        "review",
        "photo",
        "review",
        "return",
        "photo",
        "review",
        "close",
    ]
    assert [event["step"] for event in closed["events"]] == order
    assert [event["version"] for event in closed["events"]] == list(range(1, 13))
    assert all(event["actor"].startswith("合成-") and event["at"].endswith("Z") for event in closed["events"])
    assert desk.refused(desk.step(web, case, "check"), 409)["allowed"] == []
    desk.refused(desk.photo(web, case, "other"), 409)


def test_not_a_problem_closes_with_its_reason(web: Any, desk: Any) -> None:
    case = desk.issue(web).json()["id"]
    desk.to(web, case, "checked")
    desk.refused(desk.step(web, case, "judge", problem=False, note=""), 400)
    closed = desk.step(web, case, "judge", problem=False, note="已有许可的护岸").json()
    assert (closed["properties"]["state"], closed["properties"]["outcome"]) == ("closed", "not_a_problem")
    assert closed["events"][-1]["note"] == "已有许可的护岸"


STATES = {
    "issued": ["check"], "checked": ["judge"], "judged": ["rectify"], "rectifying": ["review"],
    "reviewed": ["close", "return"], "closed": [],
}  # fmt: skip
EVERY = ("check", "judge", "rectify", "review", "close", "return")


@pytest.mark.parametrize("state", STATES)
def test_every_other_step_is_refused_and_the_allowed_ones_are_named(web: Any, desk: Any, state: str) -> None:
    case = desk.issue(web).json()["id"]
    if state != "issued":
        desk.to(web, case, state)
    before = web.get(f"{B}/cases/{case}").json()
    for step in EVERY:
        if step not in STATES[state]:
            words = {"judge": {"problem": True}, "review": {"passed": True}}.get(step, {})
            found = desk.refused(desk.step(web, case, step, **words), 409)
            assert found["allowed"] == STATES[state]
            assert found["state"] == state
    after = web.get(f"{B}/cases/{case}").json()
    assert after["events"] == before["events"]
    assert after["properties"]["version"] == before["properties"]["version"]


@pytest.mark.parametrize(
    "body",
    [
        {"step": "judge", "problem": None}, {"step": "judge", "problem": "yes"}, {"step": "judge", "problem": True, "kind": "x"},
        {"step": "judge", "problem": True}, {"step": "judge", "problem": True, "kind": "dumping", "severity": "x"},
        {"step": "judge", "problem": True, "kind": "dumping", "passed": True},
        {"step": "judge", "problem": False, "kind": "dumping"},
        {"step": "judge", "problem": True, "kind": "dumping", "note": " "}, {"step": "fly"}, {"step": 3}, {},
        {"step": "judge", "problem": True, "kind": "dumping", "due": "2020-01-01T00:00:00Z"},
        {"step": "judge", "problem": True, "kind": "dumping", "version": 9},
    ],
)  # fmt: skip
def test_a_step_that_lacks_its_words_is_refused(web: Any, desk: Any, checked_case: int, body: dict[str, Any]) -> None:
    answer = web.get(f"{B}/cases/{checked_case}")
    whole = {"actor": "甲", "note": "理由"} | body
    found = web.post(f"{B}/cases/{checked_case}/steps", json=whole, headers={"If-Match": answer.headers["etag"]})
    desk.refused(found, 400)
    assert web.get(f"{B}/cases/{checked_case}").headers["etag"] == answer.headers["etag"]


@pytest.fixture(scope="module")
def checked_case(web: Any, desk: Any) -> int:
    """A checked case without a kind, that nobody takes further."""
    case = int(desk.issue(web).json()["id"])
    desk.to(web, case, "checked")
    return case


def test_optimistic_locking(web: Any, desk: Any, desk_settings: Any) -> None:
    case = desk.issue(web).json()["id"]
    desk.photo(web, case, "field")
    tag = web.get(f"{B}/cases/{case}", headers={"Accept-Encoding": "gzip"}).headers["etag"]
    assert tag.startswith('"')  # a weak tag would never match
    body = {"step": "check", "actor": "甲", "note": "n"}
    desk.refused(web.post(f"{B}/cases/{case}/steps", json=body), 428)
    desk.refused(desk.step(web, case, "check", tag="nonsense"), 400)
    desk.refused(desk.step(web, case, "check", tag=f"W/{tag}"), 412)
    assert web.get(f"{B}/cases/{case}", headers={"If-None-Match": tag}).status_code == 304
    desk.photo(web, case, "field")  # somebody else adds a photo
    desk.refused(desk.step(web, case, "check", tag=tag), 412)
    assert desk.step(web, case, "check").status_code == 200
    desk.refused(web.post(f"{B}/cases/999999/steps", json=body, headers={"If-Match": '"1"'}), 404)


def test_of_many_who_read_the_same_version_one_gets_through(web: Any, desk: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    case = desk.issue(web).json()["id"]
    desk.photo(web, case, "field")
    tag = web.get(f"{B}/cases/{case}").headers["etag"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda n: desk.step(web, case, "check", tag=tag, actor=f"合成-{n}").status_code, range(6))
        )
    assert sorted(answers) == [200, 412, 412, 412, 412, 412]
    events = web.get(f"{B}/cases/{case}").json()["events"]
    assert [event["step"] for event in events] == ["issue", "photo", "check"]


def test_deadlines_and_overdue(web: Any, desk: Any, desk_app: Any) -> None:
    from sqlalchemy import update

    from spatial.store.case_store import Case

    case = desk.issue(web, unit="逾期县").json()["id"]
    desk.photo(web, case, "field")
    past = datetime.now(UTC) - timedelta(days=1)
    with desk_app.state.datastore.state.session() as session:
        session.execute(update(Case).where(Case.id == case).values(due=past))
    listed = web.get(f"{B}/cases", params={"overdue": "true", "unit": "逾期县"}).json()
    assert [f["id"] for f in listed["features"]] == [case]
    assert "overdue" in listed["features"][0]["properties"]["flags"]
    assert case not in [f["id"] for f in web.get(f"{B}/cases", params={"overdue": "false"}).json()["features"]]
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    done = desk.step(web, case, "check", due=later).json()
    assert done["events"][-1]["late"] is True
    assert done["properties"]["late_steps"] == 1
    assert datetime.fromisoformat(done["properties"]["due"]) == datetime.fromisoformat(later)
    assert done["properties"]["overdue"] is False


def test_history_photos_and_patrols_cannot_be_changed_in_the_database(web: Any, desk: Any, desk_app: Any) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from spatial.errors import StoreUnavailable

    case = desk.issue(web).json()["id"]
    desk.photo(web, case, "field")
    state = desk_app.state.datastore.state
    for statement in (
        "UPDATE river_event SET note = 'x'", "DELETE FROM river_event", "UPDATE river_photo SET name = 'x'",
        "DELETE FROM river_photo",
    ):  # fmt: skip
        with pytest.raises((DBAPIError, StoreUnavailable)), state.session() as session:
            session.execute(text(statement))
    assert len(web.get(f"{B}/cases/{case}").json()["events"]) == 2
