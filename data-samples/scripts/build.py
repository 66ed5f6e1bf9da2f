"""Make every sample file anew: ``python data-samples/scripts/build.py [step …]``.

Base, thematic and control layers need the reference data pack (``ONEMAP_REFERENCE_DATA``, default ``../shared/data``); the
synthetic climate, soil, land use, county, hazard, scene and site layers need only the samples themselves. Afterwards the
checksums in ``layers/*.yml`` and ``data-samples/SOURCES.md`` are brought up to date.
"""

from __future__ import annotations

import hashlib
import re
import sys
from importlib import import_module
from pathlib import Path

from rich.progress import track

sys.path.insert(0, str(Path(__file__).parent))

import base_layers
from sample_files import SAMPLES

LAYERS = SAMPLES.parent / "layers"
MODULES = (
    "thematic_layers",
    "control_lines",
    "climate_layers",
    "soil_layers",
    "land_use",
    "land_use_earlier",
    "county_capacity",
    "hazard_layers",
    "reflectance",
    "site_marks",
    "river_levels",
    "hankou_terrain",
    "low_water",
    "river_chief",
    "shoreline_zones",
    "lake_levels",
    "water_quality",
    "lake_reflectance",
    "observation_layers",
    "birds",
)
"""Modules of the further steps, each after what it reads."""


def refresh_checksums() -> None:
    """Write the checksum of each source file into its layer YAML and into SOURCES.md."""
    sums = {
        path.relative_to(SAMPLES.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(SAMPLES.rglob("*"))
        if path.suffix in {".gpkg", ".tif", ".csv"}
    }
    for path in LAYERS.glob("*.yml"):
        text = path.read_text("utf-8")
        uri = re.search(r"(?m)^  uri: ([^\s#]+)", text)
        if uri and uri[1] in sums:
            path.write_text(re.sub(r"(?m)^  sha256: .*$", f"  sha256: {sums[uri[1]]}", text), "utf-8")
    sources = SAMPLES / "SOURCES.md"
    if sources.is_file():
        text = sources.read_text("utf-8")
        for name, digest in sums.items():
            row = rf"(?m)^(\| `{re.escape(name.removeprefix('data-samples/'))}` \|.*\| )`[0-9a-f]*` \|$"
            text = re.sub(row, rf"\g<1>`{digest}` |", text)
        sources.write_text(text, "utf-8")


def main(wanted: list[str]) -> None:
    """Run the steps named, or all of them."""
    steps = [*base_layers.STEPS]
    for name in MODULES:
        steps += import_module(name).STEPS
    chosen = [step for step in steps if not wanted or step.__name__ in wanted]
    for step in track(chosen, description="样例数据 / sample data"):
        step()
    refresh_checksums()


if __name__ == "__main__":
    main(sys.argv[1:])
