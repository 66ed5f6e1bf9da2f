"""The process ``echo``: gives back what it got. It lets a client, a monitor or a conformance suite try the whole way
of a job (queue, worker, result) with every kind of input, without any data.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from spatial.catalog import Text
from spatial.jobs.contract import bilingual

__all__ = ["ECHO_ID", "OUTPUTS", "SHORT_PAUSE_S", "EchoParameters", "echo"]

ECHO_ID = "echo"
TITLE = Text(zh="回显", en="Echo")
DESCRIPTION = Text(
    zh="原样返回输入（文字、数组、范围、文字或对象），用于检查服务、任务队列和执行程序是否正常。",
    en="Gives back what it got (text, array, box, text or object); checks that the service, the queue and the workers are well.",
)
VERSION = "1.1.0"
SHORT_PAUSE_S = 1.0
"""A longer pause makes it long work: nobody's check is to stand behind it."""
_MIXED: dict[str, Any] = {"oneOf": [{"type": "string", "maxLength": 10_000}, {"type": "object"}]}


class EchoBox(BaseModel):
    """A bounding box and its CRS, as a client writes it; only given back, so nothing is asked of its numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bbox: list[float] = Field(min_length=4, max_length=6)
    crs: str = Field("http://www.opengis.net/def/crs/OGC/1.3/CRS84", max_length=500)


class EchoParameters(BaseModel):
    """Inputs of the echo process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = Field(
        max_length=10_000, json_schema_extra=bilingual("文字", "Text", "要返回的文字。", "Text to give back.")
    )
    mixed: Annotated[str | dict[str, Any] | None, WithJsonSchema(_MIXED)] = Field(
        None, json_schema_extra=bilingual("文字或对象", "Text or object", "要返回的文字或对象。", "Text or object.")
    )
    numbers: list[int] | None = Field(
        None, max_length=1000, json_schema_extra=bilingual("数组", "Array", "要返回的整数。", "Integers to give back.")
    )
    area: EchoBox | None = Field(
        None, json_schema_extra=bilingual("范围", "Box", "要返回的范围及其坐标系。", "Bounding box with its CRS.")
    )
    pause: float = Field(
        0.0,
        ge=0,
        le=10,
        json_schema_extra=bilingual("停顿", "Pause", "完成前等待的秒数。", "Seconds to wait before the end."),
    )


OUTPUTS: dict[str, tuple[Text, dict[str, Any]]] = {
    "message": (
        Text(zh="原文", en="The same text"),
        {"type": "string", "contentMediaType": "text/plain"},
    ),
    "mixed": (
        Text(zh="同一文字或对象", en="The same text or object"),
        {"oneOf": [{"type": "string"}, {"type": "object"}]},
    ),
    "numbers": (Text(zh="同一数组", en="The same array"), {"type": "array", "items": {"type": "integer"}}),
    "area": (
        Text(zh="同一范围", en="The same box"),
        {
            "type": "object",
            "properties": {"bbox": {"type": "array", "items": {"type": "number"}}, "crs": {"type": "string"}},
        },
    ),
}
"""Output → title and schema; an input that was not given has no output."""


def echo(
    parameters: EchoParameters, progress: Callable[[float, str], None] = lambda share, text: None
) -> dict[str, Any]:
    """Result document of the echo process.

    >>> echo(EchoParameters(message="你好", numbers=[1, 2]))
    {'message': '你好', 'numbers': [1, 2]}
    """
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < parameters.pause:
        time.sleep(min(0.1, parameters.pause - passed))
        progress(passed / parameters.pause, "停顿 pause")
    found = parameters.model_dump(mode="json", exclude={"pause"})
    return {name: value for name, value in found.items() if value is not None}
