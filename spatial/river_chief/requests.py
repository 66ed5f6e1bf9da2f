"""What the desk is sent (请求体): checked models; a body that does not fit them is an `InvalidParameter`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spatial.errors import InvalidParameter

__all__ = ["CaseRequest", "PatrolRequest", "Side", "SourceRef", "StepRequest", "read_request"]


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _written(value: Any) -> Any:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("a text may not hold U+0000")
        return value.strip()
    # Numbers are times since 1970 to pydantic; here a time is written as a text with its zone.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("must be a text")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_utc)]
Name = Annotated[str, BeforeValidator(_written), Field(min_length=1, max_length=100)]
Code = Annotated[str, BeforeValidator(_written), Field(min_length=1, max_length=100)]
LongText = Annotated[str, BeforeValidator(_written), Field(max_length=4000)]
Day = Annotated[date, BeforeValidator(_written)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRef(_Request):
    """The alert feature that a case is made from: layer and feature id, of the version published now."""

    layer: Code
    feature: Annotated[int, Field(ge=0, lt=2**63, strict=True)]


class Side(_Request):
    """One side of the comparison (前后影像): its day, and the raster layer or the scene that shows it."""

    date: Day | None = None
    layer: Code | None = None
    collection: Code | None = None
    scene: Code | None = None


class CaseRequest(_Request):
    """A new case (下发): from an alert feature, or by hand with a geometry."""

    actor: Name | None = None
    title: Annotated[str, BeforeValidator(_written), Field(min_length=1, max_length=200)] | None = None
    description: LongText = ""
    kind: Code | None = None
    source: SourceRef | None = None
    geometry: dict[str, Any] | None = None
    crs: Code | None = None
    before: Side = Side()
    after: Side = Side()
    reach: Code | None = None
    unit: Name | None = None
    chief: Name | None = None
    due: Instant | None = None


class StepRequest(_Request):
    """One step of a case."""

    step: Code
    actor: Name | None = None
    unit: Name | None = None
    note: LongText = ""
    problem: Annotated[bool, Field(strict=True)] | None = None
    passed: Annotated[bool, Field(strict=True)] | None = None
    kind: Code | None = None
    severity: Code | None = None
    due: Instant | None = None


class PatrolRequest(_Request):
    """A patrol (巡河): who, when, where along."""

    actor: Name | None = None
    unit: Name | None = None
    reach: Code | None = None
    started: Instant
    ended: Instant
    track: dict[str, Any]
    crs: Code | None = None
    note: LongText = ""
    cases: Annotated[tuple[Annotated[int, Field(ge=1, lt=2**31, strict=True)], ...], Field(max_length=200)] = ()


def read_request[Model: BaseModel](model: type[Model], document: Any) -> Model:
    """A body as its model.

    Raises
    ------
    InvalidParameter
        Names every member that is wrong.
    """
    if not isinstance(document, dict):
        raise InvalidParameter("请求体应为 JSON 对象", "the body must be a JSON object", parameter="body")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [
            {"member": ".".join(str(part) for part in e["loc"]) or "body", "detail": e["msg"]} for e in error.errors()
        ][:20]
        text = "; ".join(f"{p['member']}: {p['detail']}" for p in problems[:5])
        raise InvalidParameter(
            f"请求体有误：{text}。可用成员：{'、'.join(model.model_fields)}",
            f"the body does not fit: {text}; members: {', '.join(model.model_fields)}",
            parameter=problems[0]["member"],
            problems=problems,
        ) from error
