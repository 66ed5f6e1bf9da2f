"""Times as text: what an instant, a date and an interval mean, and what is refused with which advice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial.errors import InvalidParameter
from spatial.rfc3339 import EVERY_PRECISION, INSTANT, Refused, read_interval, read_moment
from spatial.store.cql2_temporal import read_instant


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024-07-01T08:00:00Z", utc(2024, 7, 1, 8), utc(2024, 7, 1, 8)),
        ("2024-07-01t08:00:00z", utc(2024, 7, 1, 8), utc(2024, 7, 1, 8)),
        ("2024-07-01T08:00:00+08:00", utc(2024, 7, 1), utc(2024, 7, 1)),
        ("2024-07-01T08:00:00-05:30", utc(2024, 7, 1, 13, 30), utc(2024, 7, 1, 13, 30)),
        ("2024-07-01T08:00:00.9999999Z", utc(2024, 7, 1, 8, 0, 0, 999999), utc(2024, 7, 1, 8, 0, 0, 999999)),
        ("2024-07-01", utc(2024, 7, 1), utc(2024, 7, 1, 23, 59, 59, 999999)),
        ("9999-12-31", utc(9999, 12, 31), utc(9999, 12, 31, 23, 59, 59, 999999)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 2, 29, 23, 59, 59, 999999)),
        ("2024-12", utc(2024, 12, 1), utc(2024, 12, 31, 23, 59, 59, 999999)),
        ("9999", utc(9999, 1, 1), utc(9999, 12, 31, 23, 59, 59, 999999)),
        ("2024-07-01T08Z", utc(2024, 7, 1, 8), utc(2024, 7, 1, 8, 59, 59, 999999)),
        ("2024-07-01T08:30+08:00", utc(2024, 7, 1, 0, 30), utc(2024, 7, 1, 0, 30, 59, 999999)),
    ],
)
def test_what_a_text_means(text, start, end):
    found = read_moment(text, EVERY_PRECISION)
    assert (found.start, found.end) == (start, end)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2024-07-01T08:00:00", "zone"), ("2024-07-01T08:00:00.5", "zone"), ("2024-07-01T08", "zone"),
        ("2024-07-01T08:00:00 08:00", "plus"), ("2024-07-01T08:00 08:00", "plus"),
        ("", "form"), ("yesterday", "form"), ("2024-13-01", "form"), ("2024-02-30", "form"), ("0000-01-01", "form"),
        ("2024-07-01T24:00:00Z", "form"), ("2024-07-01T08:60:00Z", "form"), ("2024-07-01T08:00:00+24:00", "form"),
        ("2024-07-01T08:00:00+0800", "form"), ("2024-07-01 08:00:00Z", "form"), ("2024-07-01Z", "form"),
        ("0001-01-01T00:00:00+08:00", "form"), ("9999-12-31T23:59:59-08:00", "form"), ("９999-01-01", "form"),
        (" 2024-07-01", "form"), ("2024-07-01\n", "form"), ("2024-07-01T", "form"),
    ],
)  # fmt: skip
def test_what_is_refused(text, reason):
    with pytest.raises(Refused) as refused:
        read_moment(text, EVERY_PRECISION)
    assert refused.value.reason == reason


def test_advice_can_be_followed():
    """The message names the spellings to choose from, and what an unencoded + has become."""
    with pytest.raises(InvalidParameter) as naive:
        read_interval("2024-07-01T08:00:00/..")
    for told in (naive.value.zh, naive.value.en):
        assert "2024-07-01T08:00:00Z" in told
        assert "2024-07-01T08:00:00+08:00" in told
        assert "%2B" in told
    with pytest.raises(InvalidParameter) as space:
        read_interval("../2024-07-01T08:00:00 08:00")
    assert "空格" in space.value.zh
    assert "2024-07-01T08:00:00%2B08:00" in space.value.zh
    assert "arrives as a space" in space.value.en


def test_only_the_precisions_asked_for():
    for text, precisions in (("2024", INSTANT), ("2024-07-01", INSTANT)):
        with pytest.raises(Refused):
            read_moment(text, precisions)
    with pytest.raises(Refused):
        read_moment("2024-07")


@pytest.mark.parametrize("text", ["a/b", "2024-01-01/2024-01-02/2024-01-03", "2024-02-01/2024-01-01", "/x", "*/.."])
def test_an_interval_that_is_none(text):
    with pytest.raises(InvalidParameter):
        read_interval(text)


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=offsets))
def test_every_instant_that_python_writes_is_read_back(moment):
    text = moment.isoformat()
    assert read_moment(text).start == moment
    assert read_instant(text).value == moment
    with pytest.raises(Refused):
        read_moment(text[:-6])
