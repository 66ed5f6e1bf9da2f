"""Text that XML 1.0 can hold (XML 文本): styles, capabilities and features are written from titles that anybody may type."""

from __future__ import annotations

import re

__all__ = ["legal_text"]

_ILLEGAL = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legal_text(text: str) -> str:
    r"""Text with a question mark for every character that an XML document may not hold.

    Source: XML 1.0 (fifth edition), clause 2.2. A carriage return, which a reader would change, counts among them.

    >>> legal_text("水位\x00 \r3 m")
    '水位? ?3 m'
    """
    return _ILLEGAL.sub("?", text)
