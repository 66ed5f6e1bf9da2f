"""Arithmetic of CQL2: what has no value, what no double holds, and the same in memory as in DuckDB's SQL."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatial.errors import InvalidFilter
from spatial.store.cql2_arithmetic import ARITHMETIC, BeyondDouble, arithmetic_sql, calculate
from spatial.store.cql2_text import parse_filter
from spatial.store.dialect import DUCKDB
from spatial.store.record_filter import compile_record_filter


@pytest.fixture(scope="module")
def in_duckdb():
    connection = duckdb.connect()

    def ask(op, a, b):
        sql = arithmetic_sql(DUCKDB, op, "$1::double", "$2::double")
        return connection.execute(f"SELECT {sql}", [a, b]).fetchone()[0]

    yield ask
    connection.close()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ARITHMETIC),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5).map(float),
)
@example("%", 1e300, 1e-300)
@example("^", -8.0, 1 / 3)
@example("*", 1e-200, 1e-200)
@example("/", 5e-324, 2.0)
def test_memory_and_duckdb_calculate_alike(in_duckdb, op, a, b):
    try:
        expected = calculate(op, a, b)
    except BeyondDouble:
        with pytest.raises(duckdb.InvalidInputException, match="out of range"):
            in_duckdb(op, a, b)
    else:
        found = in_duckdb(op, a, b)
        assert found == (expected if expected is None or op != "^" else pytest.approx(expected, rel=1e-14))


def matches(text, record):
    return compile_record_filter(parse_filter(text), {"n": "number", "place": "geometry"}, lambda r, name: r.get(name))(
        record
    )


@pytest.mark.parametrize(
    "text", ["9^9^9^9 > 1", "n * 1e308 > 1", "10 ^ -400 = 0", f"n > {'9' * 400}", "1e308*10 IS NULL"]
)
def test_records_refuse_what_no_double_holds(text):
    with pytest.raises(InvalidFilter, match="out of"):
        matches(text, {"n": 10})


def test_records_know_no_value_where_there_is_none():
    assert matches("n / 0 IS NULL AND 0 ^ -1 IS NULL AND (-8) ^ 0.5 IS NULL", {"n": 3})
    assert not matches("n / 0 > 1 OR NOT (n / 0 > 1)", {"n": 3})


def test_a_collection_stands_for_its_whole_in_memory():
    """Half the square lies in each member: within the whole, within neither."""
    import shapely

    halves = "POLYGON((0 0,1 0,1 1,0 1,0 0)), POLYGON((1 0,2 0,2 1,1 1,1 0))"
    square = {"place": shapely.box(0.5, 0.2, 1.5, 0.8)}
    assert matches(f"S_WITHIN(place, GEOMETRYCOLLECTION({halves}))", square)
    assert matches(f"S_DISJOINT(place, GEOMETRYCOLLECTION({halves}))", {"place": shapely.Point(3, 3)})
    assert not matches(f"S_DISJOINT(place, GEOMETRYCOLLECTION({halves}))", square)
    with pytest.raises(InvalidFilter, match="mixes"):
        matches(f"S_WITHIN(place, GEOMETRYCOLLECTION({halves}, POINT(9 9)))", square)
