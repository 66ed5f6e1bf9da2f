"""The process ``echo``: gives back what it got. It lets a client, a monitor or a conformance suite try the whole way
of a job (queue, worker, result) without any data.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spatial.catalog import Text
from spatial.jobs.contract import bilingual

__all__ = ["ECHO_ID", "EchoParameters", "echo"]

ECHO_ID = "echo"
TITLE = Text(zh="回显", en="Echo")
DESCRIPTION = Text(
    zh="原样返回输入的文字，用于检查服务、任务队列和执行程序是否正常。",
    en="Gives back the text it got; checks that the service, the queue and the workers are well.",
)
VERSION = "1.0.0"


class EchoParameters(BaseModel):
    """Input of the echo process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str = Field(
        max_length=10_000, json_schema_extra=bilingual("文字", "Text", "要返回的文字。", "Text to give back.")
    )


def echo(parameters: EchoParameters) -> dict[str, Any]:
    """Result document of the echo process.

    >>> echo(EchoParameters(message="你好"))
    {'message': '你好'}
    """
    return {"message": parameters.message}
