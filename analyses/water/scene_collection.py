"""The collection of scenes (影像集) that an analysis of water reads: its parameter and its input, alike in all of them."""

from __future__ import annotations

from spatial.catalog import Text
from spatial.jobs.contract import InputSpec, layer_field

__all__ = ["SCENES", "collection_field"]

SCENES = InputSpec("scenes", "honghu-scenes", "scenes", Text(zh="影像集", en="Collection of scenes"))
"""The input; an analysis puts the collection that its parameters name in place of the sample."""


def collection_field() -> str:
    """The parameter ``collection``; default the sample of Honghu."""
    return layer_field(
        SCENES.layer, "影像集", "Collection of scenes", "见 onemap scenes list。", "See onemap scenes list."
    )
