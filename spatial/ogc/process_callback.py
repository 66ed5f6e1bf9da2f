"""What a subscriber is sent: the results of a successful job, the status of a running or failed one.

Source: OGC 18-062r2, clause 14 (requirements class *callback*): ``jobSuccess`` has the results as its body, the others
the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.ogc.process_documents import result_document, status_info

if TYPE_CHECKING:
    from spatial.store.state import Callback, Job

__all__ = ["callback_message"]


@dataclass(frozen=True, slots=True)
class _Subscriber:
    """Addresses and language of the caller who left before the job ended."""

    base: str
    language: str

    def say(self, zh: str, en: str) -> str:
        return zh if self.language == "zh" else en

    def address(self, path: str) -> str:
        return f"{self.base}/ogc{path}"


def callback_message(job: Job, row: Callback) -> dict[str, Any]:
    """JSON document of one message."""
    place = _Subscriber(row.base, row.language)
    if row.event == "success":
        outputs = (job.parameters.get("answer") or {}).get("outputs", {})
        return result_document(job, place, outputs)
    return status_info(job, place) | ({"exception": job.error} if job.error else {})
