"""Folding of letters: the small table that a literal needs finds what the whole table finds; languages and their edges."""

from __future__ import annotations

import unicodedata

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.store.cql2_sql import _folded, _Operand
from spatial.store.letter_folding import ACCENTS, CASES, fold, folding

NAMES = [("casei",), ("accenti",), ("casei", "accenti"), ("accenti", "casei")]
LETTERS = st.text(st.sampled_from("aAàÀāĀбБσΣςοΟⅳⅣａＡ武z%'\\µμ"), max_size=4)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as found:
        yield found


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), LETTERS, LETTERS | st.none())
def test_the_table_for_a_literal_finds_what_the_whole_table_finds(connection, names, text, literal):
    wanted = fold(text, names) if literal is None else literal
    operand = _Operand("string", "$1::varchar", folds=names)
    answers = []
    for sql in (_folded(operand), _folded(operand, wanted)):
        answers.append(connection.execute(f"SELECT ({sql}) = $2::varchar", [text, wanted]).fetchone()[0])
    assert answers == [fold(text, names) == wanted] * 2


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ÉCOLE Ārù", "école ārù"), ("МОСКВА Ёлка", "москва ёлка"), ("ΟΔΟΣ ὁδός", "οδοσ ὁδόσ"), ("ⅣＡ类", "ⅳａ类"),
        ("5 µg", "5 μg"), ("İ ẞ 武汉", "İ ẞ 武汉"),
    ],
)  # fmt: skip
def test_languages(text, folded):
    assert fold(text, ("casei",)) == folded


def test_the_tables_are_sound():
    """One letter for one, nothing folds twice, and where Unicode folds to one letter that is the letter."""
    for before, after in (CASES, ACCENTS):
        assert len(before) == len(after) == len(set(before))
        assert not set(before) & set(after)
        assert not set("'\\") & set(before + after)
    for letter, small in zip(*CASES, strict=True):
        if len(letter.casefold()) == 1:
            assert small == letter.casefold(), unicodedata.name(letter)
    assert fold("ÉÀ", ("casei", "accenti")) == fold("ÉÀ", ("accenti", "casei")) == "ea"
    assert folding(()) == {}
