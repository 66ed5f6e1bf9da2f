"""Filters that would harm the process are refused before a parser sees them."""

import json

import pytest

from spatial.errors import InvalidFilter
from spatial.store.cql2_text import MAX_BYTES, parse_filter

TEXTS = {
    "brackets": "(" * 5000 + "a=1" + ")" * 5000,
    "nots": "NOT " * 5000 + "a=1",
    "nots and brackets": "NOT (" * 3000 + "a=1" + ")" * 3000,
    "signs": "a = " + "-" * 3000 + "1",
    "spaced signs": "a = " + "- " * 3000 + "1",
    "operators": " AND ".join(["a=1"] * 1000),
    "powers": "a = " + "^".join(["2"] * 2000),
    "functions": "casei(" * 2000 + "a" + ")" * 2000 + " = 'x'",
    "length": "a = '" + "x" * MAX_BYTES + "'",
    "multibyte length": "a = '" + "汉" * (MAX_BYTES // 3) + "'",
    "open string": "a = '" + "(" * 3000,
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_over_a_limit(name):
    with pytest.raises(InvalidFilter, match="filter"):
        parse_filter(TEXTS[name])


@pytest.mark.parametrize(
    "text",
    [
        '{"op":"not","args":[' * 3000 + "true" + "]}" * 3000,
        "[" * 30000,
        json.dumps({"op": "and", "args": [{"op": "isNull", "args": [{"property": "a"}]}] * 1001}),
        '{"op": "=", "args": [NaN, 1]}',
        '{"op": "="',
        '"a"',
        "7",
    ],
    ids=["nested", "brackets", "operators", "nan", "cut", "text", "number"],
)
def test_json_over_a_limit_or_no_filter(text):
    with pytest.raises(InvalidFilter, match="filter"):
        parse_filter(text, "cql2-json")


def test_decoded_json_is_guarded_too():
    deep = True
    for _ in range(5000):
        deep = {"op": "not", "args": [deep]}
    with pytest.raises(InvalidFilter, match="filter"):
        parse_filter(deep)


def test_just_inside_the_limits():
    assert parse_filter("NOT (" * 45 + "a=1" + ")" * 45)["op"] == "not"
    assert parse_filter("(" * 100 + "a=1" + ")" * 100)["op"] == "="
    assert parse_filter(" OR ".join(["a=1"] * 500))["op"] == "or"
    assert parse_filter("a = '((((((('' NOT NOT NOT'")["args"][1] == "(((((((' NOT NOT NOT"


def test_unknown_language():
    with pytest.raises(InvalidFilter, match="cql2-json"):
        parse_filter("a=1", "ecql")
