"""Flags of readings: the order and the size of deliveries make no difference; hand-made series."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.observation.cameras import link_fault
from spatial.observation.quality import flags_of, out_of_range, reach
from spatial.observation.rules import UnitChecks

RULE = UnitChecks(
    unit="m", plausible=(-10, 200), hampel_half_window=3, hampel_sigmas=6, spike_ratio=1.01, flatline_length=4
)


def windowed(values: list[float], cuts: list[int]) -> list[str]:
    """Flags as deliveries one after the other make them: each looks at a window around what is new."""
    near = reach(RULE)
    flags: list[str] = []
    start = 0
    for stop in [*cuts, len(values)]:
        first = max(0, start - 2 * near)
        found = flags_of(np.array(values[first:stop]), RULE)
        flags += [""] * (stop - start)
        for k in range(max(first, start - near), stop):
            flags[k] = found[k - first]
        start = stop
    return flags


@given(
    st.lists(st.sampled_from([24.0, 24.0, 24.01, 24.02, 24.05, 27.0, 19.0]), min_size=1, max_size=70),
    st.lists(st.integers(1, 69), max_size=6),
)
@settings(max_examples=120, deadline=None)
def test_the_size_of_deliveries_makes_no_difference(values: list[float], cuts: list[int]) -> None:
    places = sorted({c for c in cuts if c < len(values)})
    assert windowed(values, places) == flags_of(np.array(values), RULE)


def test_a_flatline_begins_with_the_first_repeat() -> None:
    values = np.array([1.0, 2.0, 2.0, 2.0, 2.0, 3.0])
    assert flags_of(values, RULE) == ["", "", "flatline", "flatline", "flatline", ""]


def test_the_last_value_waits_for_its_successor() -> None:
    level = [24.0, 24.01, 24.03, 24.02, 24.01, 24.03, 24.02]
    assert flags_of(np.array([*level, 27.0]), RULE)[-1] == "spike_unconfirmed"
    assert flags_of(np.array([*level, 27.0, 24.02]), RULE)[-2:] == ["spike", ""]


def test_a_rise_that_lasts_is_an_event() -> None:
    level = [24.0, 24.01, 24.03, 24.02, 24.01, 24.03, 24.02]
    assert set(flags_of(np.array([*level, 27.0, 27.1, *level]), RULE)) == {""}
    assert set(flags_of(np.array([*level, 27.0, 27.1, 27.3, 27.2, 27.25, 27.3, 27.28]), RULE)) == {""}


@pytest.mark.parametrize(("value", "wrong"), [(-10.0, False), (-10.01, True), (200.0, False), (200.5, True)])
def test_range_holds_its_ends(value: float, wrong: bool) -> None:
    assert out_of_range(value, RULE) is wrong
    assert out_of_range(value, None) is False


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("https://video.example.cn/1?x=2", None),
        ("rtsp://10.0.0.14:554/stream1", None),
        ("HTTPS://video.example.cn", None),
        ("http://video.example.cn", "scheme http"),
        ("javascript:alert(1)", "scheme javascript"),
        ("file:///etc/passwd", "scheme file"),
        ("data:text/html,x", "scheme data"),
        ("//video.example.cn/1", "scheme —"),
        ("https:///nohost", "no host"),
        ("https://user:secret@video.example.cn", "password"),
        ("https://video.example.cn/a b", "blanks"),
        ("https://video.example.cn/\n", "blanks"),
        ("https://video.example.cn:99999/", "no address"),
    ],
)
def test_view_links(link: str, fault: str | None) -> None:
    found = link_fault(link, ("https", "rtsp", "rtsps"))
    assert (found is None) if fault is None else (found is not None and fault in found[1])


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ({"type": "picture", "channels": ["red", "green", "blue"]}, None),
        ({"type": "picture", "channels": ["red", "green", "bleu"]}, "did you mean blue"),
        ({"type": "picture", "channels": ["red", "green"]}, "channels"),
        ({"type": "picture"}, "channels"),
        ({"type": "picture", "channels": ["red", "green", "blue"], "band": "red"}, "band"),
    ],
)
def test_the_style_of_a_picture_names_its_bands(style: dict[str, object], words: str | None) -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    from spatial.errors import LayerDefinitionInvalid
    from tiles.styles import Picture, raster_style

    bands = tuple(SimpleNamespace(name=name) for name in ("red", "green", "blue"))
    layer = cast("Any", SimpleNamespace(id="uav", is_vector=False, bands=bands, fields=(), style=style))
    if words is None:
        assert isinstance(raster_style(layer), Picture)
        return
    with pytest.raises(LayerDefinitionInvalid) as caught:
        raster_style(layer)
    assert words in caught.value.en
