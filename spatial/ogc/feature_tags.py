"""Strong entity tags (强实体标签) of features that can be edited.

The tag of a feature is ``"state-representation"``. The state names what is stored; every representation of the feature has
the same, and edits compare only that. The rest names the representation: CRS, format, language, address, software.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from spatial.crs import CRS84
from spatial.ogc.exchange import software_version
from spatial.store.editing import state_of

if TYPE_CHECKING:
    from spatial.ogc.exchange import Call
    from spatial.store.vector import PublishedTable

__all__ = ["read_tag", "tag"]


def tag(call: Call, path: str, parameters: Mapping[str, str], state: str) -> str:
    """Strong tag of the representation that `path` below the base address gives for `parameters`.

    Source: RFC 9110 §8.8.3.
    """
    known = (software_version(), call.base, path, sorted(parameters.items()), call.language, call.format)
    return f'"{state}-{blake2b(repr(known).encode(), digest_size=4).hexdigest()}"'


async def read_tag(call: Call, table: PublishedTable, fid: int) -> str:
    """Strong tag of the feature that a GET request asks for; `FeatureNotFound` if there is none."""
    state = state_of(await call.datastore.vectors.aitem(table, fid, CRS84))
    return tag(call, call.request.scope["path"], call.parameters, state)
