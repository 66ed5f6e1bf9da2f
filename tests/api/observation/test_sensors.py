"""Readings of sensors: appended over HTTP, answered by EDR and Features, on both stores."""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

B = "/api/v1/sensors"
_days = itertools.count()


@pytest.fixture
def day() -> datetime:
    """A day that no other test writes."""
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=next(_days))


def row(
    at: datetime, value: Any, station: str = "S1", field: str | None = "level_m", unit: Any = "m"
) -> dict[str, Any]:
    found = {"station": station, "time": at.isoformat(), "value": value, "unit": unit}
    return found | ({"field": field} if field else {})


def hourly(day: datetime, values: list[float], station: str = "S1") -> list[dict[str, Any]]:
    return [row(day + timedelta(hours=k), value, station) for k, value in enumerate(values)]


def series(bank: Any, station: str, day: datetime, names: str = "level_m,level_m_flag") -> list[list[str]]:
    """Rows of the EDR location as CSV, of one day."""
    between = f"{day:%Y-%m-%dT%H:%M:%SZ}/{day + timedelta(hours=23):%Y-%m-%dT%H:%M:%SZ}"
    answer = bank.get(
        f"/ogc/collections/sensors/locations/{station}",
        params={"f": "csv", "parameter-name": names, "datetime": between},
    )
    assert answer.status_code in {200, 204}, answer.text
    return [line[3:] for line in csv.reader(io.StringIO(answer.text))][1:] if answer.status_code == 200 else []


def test_readings_become_a_series_of_an_edr_location(bank: Any, day: datetime) -> None:
    made = bank.post(f"{B}/sensors/readings", json={"readings": hourly(day, [24.1, 24.2, 24.3])})
    assert made.status_code == 201, made.text
    assert made.headers["onemap-layer"] == "current"
    assert made.json() == {"layer": "sensors", "accepted": 3, "replaced": 0, "kept": 0, "flagged": [], "shown": True}
    assert series(bank, "S1", day) == [
        [f"{day:%Y-%m-%d}T0{hour}:00:00Z", str(value), "0"] for hour, value in enumerate([24.1, 24.2, 24.3])
    ]
    covered = bank.get(
        "/ogc/collections/sensors/locations/S1",
        params={"f": "CoverageJSON", "parameter-name": "level_m", "datetime": f"{day:%Y-%m-%d}T01:00:00Z/.."},
    ).json()
    domain = (covered["coverages"][0] if "coverages" in covered else covered)["domain"]
    assert domain["axes"]["t"]["values"][0] == f"{day:%Y-%m-%d}T01:00:00Z"


def test_features_hold_the_newest_value_and_only_that(bank: Any) -> None:
    late = datetime(2026, 6, 1, 8, tzinfo=UTC)
    rows = [
        row(late, 25.5, "S2"),
        row(late - timedelta(hours=1), 25.4, "S2"),
        row(late, 33.0, "S2", "turbidity_ntu", "NTU"),
    ]
    assert bank.post(f"{B}/sensors/readings", json=rows).status_code == 201
    [feature] = bank.get("/ogc/collections/sensors/items", params={"sensor": "S2"}).json()["features"]
    assert feature["properties"] == {
        "sensor": "S2", "level_m": 25.5, "level_m_flag": 0, "turbidity_ntu": 33.0, "time": "2026-06-01T08:00:00Z",
    }  # fmt: skip
    assert bank.get("/ogc/collections/sensors/items").json()["numberMatched"] == 2


def test_locations_name_the_span_of_the_readings(bank: Any) -> None:
    first = datetime(2024, 3, 1, tzinfo=UTC)
    rows = [row(first + timedelta(hours=k), 3.0 + k / 10, "W1", None) for k in range(4)]
    before = bank.get("/ogc/collections/wells/locations")
    assert before.json()["features"][0]["properties"]["observations"] == 0
    assert bank.get("/ogc/collections/wells/locations/W1").status_code == 204
    assert bank.post(f"{B}/wells/readings", json=rows).status_code == 201
    after = bank.get("/ogc/collections/wells/locations", headers={"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    [found] = after.json()["features"]
    assert found["properties"]["observations"] == 4
    assert found["properties"]["datetime"] == "2024-03-01T00:00:00Z/2024-03-01T03:00:00Z"
    again = bank.get("/ogc/collections/wells/locations", headers={"if-none-match": after.headers["etag"]})
    assert again.status_code == 304
    near = bank.get("/ogc/collections/wells/position", params={"coords": "POINT(114.2 30)", "f": "csv"})
    assert len(near.text.splitlines()) == 5
    box = bank.get(
        "/ogc/collections/wells/area?coords=POLYGON((114 29.9,114.3 29.9,114.3 30.1,114 30.1,114 29.9))&f=csv"
    )
    assert len(box.text.splitlines()) == 5


def test_a_csv_is_read_and_written_alike(bank: Any, day: datetime) -> None:
    text = "\ufeffstation,time,value,unit,field\n" + "".join(
        f"S1,{day + timedelta(hours=k):%Y-%m-%dT%H:%M:%S}+00:00,{30 + k},NTU,turbidity_ntu\n" for k in range(3)
    )
    made = bank.post(f"{B}/sensors/readings", content=text.encode(), headers={"content-type": "text/csv"})
    assert made.status_code == 201, made.text
    told = bank.get(
        f"{B}/sensors/readings",
        params={"f": "csv", "station": "S1", "field": "turbidity_ntu", "from": f"{day:%Y-%m-%d}T01:00:00Z",
                "to": f"{day:%Y-%m-%d}T05:00:00Z"},
    )  # fmt: skip
    assert told.text.splitlines() == [
        "station,time,value,unit,field,flag",
        f"S1,{day:%Y-%m-%d}T02:00:00Z,32.0,NTU,turbidity_ntu,",
        f"S1,{day:%Y-%m-%d}T01:00:00Z,31.0,NTU,turbidity_ntu,",
    ]


def test_a_time_with_another_zone_is_the_same_time(bank: Any, day: datetime) -> None:
    assert bank.post(f"{B}/sensors/readings", json=[row(day, 24.0)]).status_code == 201
    shifted = row(day, 24.0) | {"time": f"{day:%Y-%m-%d}T08:00:00+08:00"}
    assert bank.post(f"{B}/sensors/readings", json=[shifted]).status_code == 409


def test_duplicates_are_refused_kept_or_replaced_as_declared(bank: Any, day: datetime) -> None:
    assert bank.post(f"{B}/sensors/readings", json=hourly(day, [24.1, 24.2])).status_code == 201
    again = hourly(day, [24.15, 24.2, 24.3])
    refused = bank.post(f"{B}/sensors/readings", json=again)
    assert refused.status_code == 409
    assert refused.json()["allowed"] == ["replace", "keep"]
    assert [d["station"] for d in refused.json()["duplicates"]] == ["S1", "S1"]
    assert len(series(bank, "S1", day)) == 2, "nothing of a refused delivery is written"
    kept = bank.post(f"{B}/sensors/readings?duplicates=keep", json=again).json()
    assert (kept["accepted"], kept["kept"], kept["replaced"]) == (1, 2, 0)
    assert [r[1] for r in series(bank, "S1", day)] == ["24.1", "24.2", "24.3"]
    replaced = bank.post(f"{B}/sensors/readings?duplicates=replace", json=again[:1]).json()
    assert (replaced["accepted"], replaced["kept"], replaced["replaced"]) == (0, 0, 1)
    assert [r[1] for r in series(bank, "S1", day)] == ["24.15", "24.2", "24.3"]
    told = bank.get(
        f"{B}/sensors/readings",
        params={
            "station": "S1",
            "field": "level_m",
            "from": f"{day:%Y-%m-%d}T00:00:00Z",
            "to": f"{day:%Y-%m-%d}T00:30:00Z",
        },
    ).json()["readings"]
    assert [p["value"] for p in told[0]["previous"]] == [24.1]


def test_spikes_and_flatlines_are_flagged_and_kept(bank: Any, day: datetime) -> None:
    wave = [24.0 + 0.01 * ((k * 7) % 5) for k in range(10)]
    spiked = [*wave[:5], 27.0, *wave[5:], 250.0]
    made = bank.post(f"{B}/sensors/readings", json=hourly(day, spiked)).json()
    assert [(f["value"], f["flag"]) for f in made["flagged"]] == [(27.0, "spike"), (250.0, "out_of_range")]
    assert [r[2] for r in series(bank, "S1", day)] == ["0"] * 5 + ["2"] + ["0"] * 5 + ["1"]


def test_a_flag_is_revised_by_what_comes_later(bank: Any, day: datetime) -> None:
    wave = [24.0 + 0.01 * ((k * 7) % 5) for k in range(10)]
    bank.post(f"{B}/sensors/readings", json=hourly(day, [*wave, 27.0]))
    assert series(bank, "S1", day)[-1][2] == "3"
    bank.post(f"{B}/sensors/readings", json=[row(day + timedelta(hours=11), 24.02)])
    assert [r[2] for r in series(bank, "S1", day)][-2:] == ["2", "0"]


def test_the_series_survives_a_republication_of_the_stations(bank: Any, day: datetime) -> None:
    bank.post(f"{B}/sensors/readings", json=hourly(day, [24.1, 24.2]))
    bank.republish("sensors", "2")
    assert len(series(bank, "S1", day)) == 2
    later = datetime(2026, 7, 1, tzinfo=UTC)
    assert bank.post(f"{B}/sensors/readings", json=[row(later, 24.9)]).json()["shown"] is True
    features = bank.get("/ogc/collections/sensors/items").json()["features"]
    newest = {f["properties"]["sensor"]: f["properties"]["level_m"] for f in features}
    assert newest["S1"] == 24.9


NOON = datetime(2025, 12, 31, 12, tzinfo=UTC)
GOOD = row(NOON, 24.0)
BAD = {
    "no zone": (GOOD | {"time": "2025-12-31T12:00:00"}, "time", "has no zone"),
    "no time": ({k: v for k, v in GOOD.items() if k != "time"}, "time", "is missing"),
    "time of numbers": (GOOD | {"time": 1767182400}, "time", "is missing"),
    "a day only": (GOOD | {"time": "2025-12-31"}, "time", "has no zone"),
    "after now": (GOOD | {"time": "2125-12-31T12:00:00Z"}, "time", "after now"),
    "before 1900": (GOOD | {"time": "0025-12-31T12:00:00Z"}, "time", "before 1900"),
    "wrong unit": (GOOD | {"unit": "cm"}, "unit", "the unit of level_m is m"),
    "no unit": ({k: v for k, v in GOOD.items() if k != "unit"}, "unit", "the unit of level_m is m"),
    "unknown station": (GOOD | {"station": "S9"}, "station", "there are S1, S2"),
    "station of numbers": (GOOD | {"station": 1}, "station", "there are S1, S2"),
    "no field where there are two": (
        {k: v for k, v in GOOD.items() if k != "field"},
        "field",
        "level_m, turbidity_ntu",
    ),
    "field of another kind": (GOOD | {"field": "sensor"}, "field", "level_m, turbidity_ntu"),
    "flag field": (GOOD | {"field": "level_m_flag"}, "field", "level_m, turbidity_ntu"),
    "text value": (GOOD | {"value": "high"}, "value", "finite number"),
    "no value": (GOOD | {"value": None}, "value", "finite number"),
    "boolean value": (GOOD | {"value": True}, "value", "finite number"),
    "unknown member": (GOOD | {"quality": 1}, "quality", "unknown"),
    "no object": ([1, 2], "row", "must be an object"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_row_is_named_and_nothing_is_written(bank: Any, name: str) -> None:
    wrong, member, words = BAD[name]
    answer = bank.post(f"{B}/sensors/readings", json=[row(NOON + timedelta(hours=1), 24.0), wrong])
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    [problem] = answer.json()["problems"]
    assert (problem["row"], problem["member"]) == (2, member)
    assert words in problem["detail_en"]
    assert series(bank, "S1", NOON) == []


@pytest.mark.parametrize(
    ("send", "status", "words"),
    [
        ({"json": []}, 400, "there are no readings"),
        ({"json": {"rows": []}}, 400, "object with readings"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not valid JSON"),
        ({"content": b"a,b\n1,2\n", "headers": {"content-type": "text/csv"}}, 400, "the header must be"),
        ({"content": "测站,时间".encode("gbk"), "headers": {"content-type": "text/csv"}}, 400, "UTF-8"),
        ({"content": b"<x/>", "headers": {"content-type": "text/xml"}}, 415, "application/json or text/csv"),
        ({"json": [GOOD] * 2}, 400, "twice in this delivery"),
        ({"json": [GOOD] * 10_001}, 413, "at most 10000"),
    ],
)
def test_a_wrong_body_is_refused(bank: Any, send: dict[str, Any], status: int, words: str) -> None:
    answer = bank.post(f"{B}/sensors/readings", **send)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail_en"]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("parcels/readings", 404, "there are sensors, wells"),
        ("cameras/readings", 404, "there are sensors, wells"),
        ("nothing/readings", 404, "there are sensors, wells"),
        ("sensors/readings?duplicates=yes", 400, "refuse, keep or replace"),
        ("sensors/readings?mode=keep", 400, "unknown parameter"),
    ],
)
def test_wrong_addresses(bank: Any, path: str, status: int, words: str) -> None:
    answer = bank.post(f"{B}/{path}", json=[GOOD])
    assert answer.status_code == status
    assert words in answer.json()["detail_en"]


@pytest.mark.parametrize("query", ["station=S9", "field=name", "from=2025-01-01", "limit=0", "f=xml", "to=soon"])
def test_wrong_questions(bank: Any, query: str) -> None:
    assert bank.get(f"{B}/sensors/readings?{query}").status_code == 400


def test_a_crash_in_the_middle_leaves_nothing(bank: Any, day: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.orm import Session

    from spatial.observation.readings import append_readings

    real = Session.flush
    calls = itertools.count()

    def dies(self: Session, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        if any(type(thing).__name__ == "Reading" for thing in self.identity_map.values()) and next(calls) == 0:
            raise RuntimeError("power is out")

    with monkeypatch.context() as patched:
        patched.setattr(Session, "flush", dies)
        with pytest.raises(RuntimeError, match="power"):
            append_readings(bank.datastore, "sensors", hourly(day, [24.1, 24.2]), duplicates="refuse", principal=None)
    assert series(bank, "S1", day) == []
    assert bank.post(f"{B}/sensors/readings", json=hourly(day, [24.1, 24.2])).status_code == 201


def test_many_writers_lose_nothing(bank: Any, day: datetime) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def send(hour: int) -> int:
        return int(
            bank.post(f"{B}/sensors/readings", json=[row(day + timedelta(hours=hour), 24 + hour / 100)]).status_code
        )

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(12))) == {201}
    assert len(series(bank, "S1", day)) == 12


def test_what_is_not_shown_yet_is_shown_later(bank: Any) -> None:
    from spatial.observation.newest import show_newest
    from spatial.observation.readings import append_readings

    store = bank.datastore
    late = datetime(2026, 8, 1, tzinfo=UTC)
    rules = store.settings.layers_dir / "rules" / "observation.yml"
    text = rules.read_text("utf-8")
    try:
        rules.write_text(text.replace("show_every_s: 0", "show_every_s: 3600"), "utf-8")
        done = append_readings(store, "wells", [row(late, 9.0, "W1", None)], duplicates="refuse", principal=None)
        assert done["shown"] is False
    finally:
        rules.write_text(text, "utf-8")
    assert show_newest(store, "wells") is True
    [feature] = bank.get("/ogc/collections/wells/items").json()["features"]
    assert feature["properties"]["depth_m"] == 9.0
