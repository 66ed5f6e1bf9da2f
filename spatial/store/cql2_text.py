"""CQL2 filters (过滤表达式) as they arrive: text or JSON, guarded before any parser sees them.

The text parser is the ``cql2`` package. It recurses, and deep nesting would end the whole process, so a text is scanned
first: at most 64 kB, 100 levels, 100 signs or NOTs in a row and 1,000 operators.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from spatial.errors import InvalidFilter
from spatial.store.cql2_temporal import instant_fault

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_OPERATORS", "parse_filter"]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 100
MAX_OPERATORS = 1_000

_TOKEN = re.compile(
    r"""(?P<string>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")|(?P<open>\()|(?P<close>\))|(?P<word>[^\W\d]\w*)
    |(?P<operator><>|<=|>=|[=<>+\-*/^%])|(?P<blank>\s+)|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_TIME_WITHOUT_ZONE = re.compile(r"'\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d[\d:.]*( \d\d:\d\d)?'$")
_OPERATORS = {"and", "or", "not", "like", "between", "in", "is", "div"}


def parse_filter(filter_: str | Mapping[str, Any], lang: str = "cql2-text") -> Mapping[str, Any]:
    """CQL2 JSON of a filter in ``cql2-text`` (alias ``cql-text``) or ``cql2-json`` (text or already decoded).

    Raises
    ------
    InvalidFilter
        Not CQL2, or over one of the limits.

    Examples
    --------
    >>> parse_filter("名称 LIKE '武%' AND pop > 10")["op"]
    'and'
    >>> parse_filter("NOT " * 101 + "a = 1")
    Traceback (most recent call last):
    spatial.errors.InvalidFilter: ...
    """
    if lang in {"cql2-json", "cql-json"} or isinstance(filter_, Mapping):
        return _from_json(filter_)
    if lang not in {"cql2-text", "cql-text"}:
        raise InvalidFilter(
            f"filter-lang {lang!r} 不支持，可用：cql2-text、cql2-json",
            f"filter-lang {lang!r} is not supported; use cql2-text or cql2-json",
            allowed=["cql2-text", "cql2-json"],
        )
    _check_size(filter_)
    _check_text(filter_)
    if lang == "cql-text":
        filter_ = _from_draft(filter_)
    import cql2

    try:
        document = cql2.parse_text(filter_).to_json()
    except Exception as error:  # the package's own errors share no base class
        detail = " ".join(str(error).split())[:300]
        raise InvalidFilter(
            f"filter 不是合法的 CQL2 文本：{detail}", f"filter is not valid CQL2 text: {detail}", parameter="filter"
        ) from error
    return _boolean_root(document)


def _from_draft(text: str) -> str:
    """CQL2 text of a filter in the draft that GDAL writes: its ``ILIKE`` became ``CASEI``.

    >>> _from_draft("a ILIKE 'wu%' AND b = 'x ILIKE y'")
    "CASEI(a) LIKE CASEI('wu%') AND b = 'x ILIKE y'"
    """
    tokens = [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(text)]
    words = [index for index, (kind, _) in enumerate(tokens) if kind != "blank"]
    texts = [token for _, token in tokens]
    for place in range(1, len(words) - 1):
        operator, pattern = words[place], words[place + 1]
        if tokens[operator][0] != "word" or texts[operator].lower() != "ilike" or tokens[pattern][0] != "string":
            continue
        negated = place > 1 and texts[words[place - 1]].lower() == "not"
        operand = words[place - 2 if negated else place - 1]
        if tokens[operand][0] in {"word", "name"}:
            texts[operand] = f"CASEI({texts[operand]})"
            texts[operator] = "LIKE"
            texts[pattern] = f"CASEI({texts[pattern]})"
    return "".join(texts)


def _from_json(filter_: str | Mapping[str, Any]) -> Mapping[str, Any]:
    document: Any = filter_
    if isinstance(filter_, str):
        _check_size(filter_)
        # Brackets inside strings count too; no sensible text holds a hundred.
        depth = deepest = 0
        for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", filter_):
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
        _check_depth(deepest, 2 * MAX_DEPTH + 10)
        try:
            document = json.loads(filter_, parse_constant=_refuse_constant)
        except ValueError as error:
            raise InvalidFilter(
                f"filter 不是合法的 JSON：{error}", f"filter is not valid JSON: {error}", parameter="filter"
            ) from error
    _check_tree(document)
    return _boolean_root(document)


def _boolean_root(document: Any) -> Mapping[str, Any]:
    if isinstance(document, bool):
        # A bare TRUE or FALSE; the visitor knows the form.
        return {"op": "=", "args": [document, True]}
    if not isinstance(document, Mapping):
        raise InvalidFilter("filter 应为一个布尔表达式", "filter must be one boolean expression", parameter="filter")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _check_size(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise InvalidFilter(
            f"filter 长 {size} 字节，上限 {MAX_BYTES}",
            f"filter has {size} bytes; the limit is {MAX_BYTES}",
            parameter="filter",
        )


def _check_depth(depth: int, limit: int = MAX_DEPTH) -> None:
    if depth > limit:
        raise InvalidFilter(
            f"filter 嵌套超过 {MAX_DEPTH} 层", f"filter is nested deeper than {MAX_DEPTH}", parameter="filter"
        )


def _check_operators(count: int) -> None:
    if count > MAX_OPERATORS:
        raise InvalidFilter(
            f"filter 的运算符超过 {MAX_OPERATORS} 个",
            f"filter has more than {MAX_OPERATORS} operators",
            parameter="filter",
        )


def _check_text(text: str) -> None:
    depth = deepest = operators = run = 0
    word = ""
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group().lower()
        if kind == "blank":
            continue
        if kind == "word":
            word = token
        elif kind == "string" and word in {"timestamp", "interval"} and _TIME_WITHOUT_ZONE.match(token):
            # The package would add a Z; whose time it is, only the caller knows.
            zh, en = instant_fault(match.group().strip("'"))
            raise InvalidFilter(f"filter：{zh}", f"filter: {en}", parameter="filter")
        if kind == "open":
            depth += 1
            deepest = max(deepest, depth)
        elif kind == "close":
            depth -= 1
        is_operator = kind == "operator" or (kind == "word" and token in _OPERATORS)
        operators += is_operator
        # An opening bracket between two NOTs does not end the run: the parser recurses for both.
        run = run + 1 if is_operator or (kind == "open" and run) else 0
        _check_depth(max(deepest, run))
        _check_operators(operators)


def _check_tree(document: Any) -> None:
    operators = 0
    level = [document]
    depth = 0
    while level:
        depth += 1
        _check_depth(depth, 2 * MAX_DEPTH + 10)
        below: list[Any] = []
        for node in level:
            if isinstance(node, Mapping):
                operators += "op" in node
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        _check_operators(operators)
        level = below
