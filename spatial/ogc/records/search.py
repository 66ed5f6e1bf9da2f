"""Full-text search (全文检索) of the catalogue in Chinese and English, with ranking.

Chinese is written without spaces, so it is compared by pairs of neighbouring characters (bigrams, 二元组): a term is found
where it stands as it is or, from three pairs on, where at least two thirds of its pairs occur, so that ``生态红线`` finds
``生态保护红线``. English words are found at the beginning of a word, in both cases and without plural s. Words separated by
spaces must follow each other, commas separate alternatives. Between two Chinese words a space says nothing, because the text
has none there: ``数字 高程`` is also sought as ``数字高程``.

Source: OGC 20-004r1, /req/record-core-query-parameters/q-response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from spatial.errors import InvalidParameter
from spatial.store.text_search import fold_width_and_case

if TYPE_CHECKING:
    from spatial.ogc.records.sources import Resource

__all__ = ["Term", "rank", "read_terms"]

_LONGEST, _MOST_TERMS = 200, 20
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PARTS = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_ENOUGH = 2 / 3
_FIELDS = (8.0, 5.0, 4.0, 3.0, 2.0, 1.0)
"""Weight of a match in title, keywords, theme, department, description, and the names of fields and bands."""


@dataclass(frozen=True, slots=True)
class Term:
    """One alternative of ``q``: parts that must follow each other, each Chinese or a word."""

    parts: tuple[str, ...]

    @property
    def joined(self) -> tuple[str, ...]:
        """The parts, Chinese neighbours written together as in a Chinese text.

        >>> Term(("数字", "高程", "dem")).joined
        ('数字高程', 'dem')
        """
        found: list[str] = []
        for part in self.parts:
            if found and _IS_CJK.match(part) and _IS_CJK.match(found[-1]):
                found[-1] += part
            else:
                found.append(part)
        return tuple(found)


def read_terms(text: str) -> tuple[Term, ...]:
    """Terms of ``q``; a comma (also ``，`` and ``、``) separates alternatives.

    Raises
    ------
    InvalidParameter
        Nothing to search for, or too much of it.

    Examples
    --------
    >>> read_terms("生态红线, land cover")
    (Term(parts=('生态红线',)), Term(parts=('land', 'cover')))
    """
    groups = [group for group in re.split(r"[,，、]", text) if group.strip()]
    terms = tuple(Term(parts) for group in groups if (parts := tuple(_PARTS.findall(fold_width_and_case(group)))))
    if not terms or len(text) > _LONGEST or len(groups) > _MOST_TERMS:
        raise InvalidParameter(
            f"参数 q 应为 1–{_MOST_TERMS} 个检索词（逗号表示任一，共不超过 {_LONGEST} 字），收到 {text[:80]!r}",
            f"q must be 1–{_MOST_TERMS} search terms (a comma means either, at most {_LONGEST} characters), got {text[:80]!r}",
            parameter="q",
            value=text[:200],
        )
    return terms


@dataclass(frozen=True, slots=True)
class _Field:
    """A searched text: its parts in order, and the pairs of neighbouring Chinese characters in it."""

    parts: tuple[str, ...]
    pairs: frozenset[str]


def _field(texts: Iterable[str]) -> _Field:
    parts: list[str] = []
    for text in texts:
        parts += _PARTS.findall(fold_width_and_case(text))
        parts.append("")  # a phrase does not reach from one text into the next
    chinese = [part for part in parts if _IS_CJK.match(part)]
    return _Field(tuple(parts), frozenset(a + b for part in chinese for a, b in pairwise(part)))


@lru_cache(maxsize=4096)
def _fields(resource_key: _Key) -> tuple[_Field, ...]:
    found = resource_key.resource
    themes = [text for node in found.theme for text in (node.title.zh, node.title.en, node.id)]
    return (
        _field((found.title.zh, found.title.en)),
        _field(found.keywords),
        _field(themes),
        _field((found.department.zh, found.department.en)),
        _field((found.description.zh, found.description.en)),
        _field(found.more_words),
    )


class _Key:
    """A resource by identity: the index of one revision lives as long as it is used."""

    __slots__ = ("resource",)

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def __hash__(self) -> int:
        return id(self.resource)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.resource is self.resource


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _same(wanted: str, part: str) -> bool:
    if _IS_CJK.match(wanted):
        return wanted in part
    return part.startswith(wanted) or part.startswith(_stem(wanted))


def _match(term: Term, field: _Field) -> float:
    """1 where the term stands as it is, less where only most pairs of it occur, 0 where it does not match."""
    for parts in dict.fromkeys((term.parts, term.joined)):
        for start in range(len(field.parts) - len(parts) + 1):
            if all(_same(wanted, field.parts[start + n]) for n, wanted in enumerate(parts)):
                return 1.0
    return 0.6 * _share(term, field.pairs)


def _share(term: Term, pairs: frozenset[str]) -> float:
    """Share of the pairs of a Chinese term that occur, 0 if too few do."""
    if len(term.parts) > 1 or not _IS_CJK.match(term.parts[0]):
        return 0.0
    wanted = [a + b for a, b in pairwise(term.parts[0])]
    share = sum(pair in pairs for pair in wanted) / len(wanted) if len(wanted) > 2 else 0.0
    return share if share >= _ENOUGH - 1e-9 else 0.0


def rank(resource: Resource, terms: Sequence[Term]) -> float:
    """Relevance of a resource, 0 if it does not match: the weighted fields in which a term is found, summed over terms."""
    fields = _fields(_Key(resource))
    total = 0.0
    for term in terms:
        found = sum(weight * _match(term, field) for weight, field in zip(_FIELDS, fields, strict=True))
        total += found or 0.3 * _share(term, frozenset().union(*(field.pairs for field in fields)))
    return total
