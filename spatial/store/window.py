"""The window of the data (湖北窗口): a feature outside it has swapped or wrong coordinates."""

from __future__ import annotations

from pathlib import Path

from spatial.errors import LayerDefinitionInvalid

__all__ = ["Window", "read_window"]

Window = tuple[float, float, float, float]
"""West, south, east, north, degrees."""


def read_window(layers_dir: Path) -> Window:
    """Window of the data, from ``rules/intake.yml``.

    Raises
    ------
    LayerDefinitionInvalid
        If the rule is missing or not four ascending numbers: without it nothing can be checked, so nothing is published.
    """
    import yaml

    try:
        rule = yaml.safe_load((layers_dir / "rules" / "intake.yml").read_text("utf-8"))["window"]
        west, south, east, north = (float(rule[side]) for side in ("west", "south", "east", "north"))
        if not (west < east and south < north):
            raise ValueError("west < east, south < north")
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise LayerDefinitionInvalid(
            f"rules/intake.yml 缺少可用的 window（{error!r}）；请恢复该文件",
            f"rules/intake.yml has no usable window ({error!r}); restore the file",
            file="rules/intake.yml",
        ) from error
    return west, south, east, north
