"""The rule file of the pages, checked when it is read (``layers/rules/wetland_sites.yml``)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from analyses.rules import Sourced
from spatial.catalog import Text
from spatial.rule_files import read_rule_file

__all__ = ["SiteEntry", "SiteRules", "read_site_rules"]


class LayersRule(Sourced):
    """Ids of the layers."""

    ramsar: str
    reserves: str
    waters: str
    birds: str
    surveys: str
    cases: str


class PlaceRule(Sourced):
    """What is looked at where no boundary is public."""

    margin_m: float = Field(gt=0, le=20_000)
    radius_m: float = Field(gt=0, le=50_000)
    near_m: float = Field(gt=0, le=200_000)


class SiteEntry(BaseModel):
    """Waters of a listed point."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: str
    name: str
    waters: tuple[str, ...]
    about: Text


class SitesRule(Sourced):
    """Every site that has waters or a sentence."""

    list: tuple[SiteEntry, ...]


class RunsRule(Sourced):
    """Commands that make the figures."""

    water: str
    wetland: str
    vegetation: str


class SiteRules(BaseModel):
    """All rules of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    layers: LayersRule
    place: PlaceRule
    sites: SitesRule
    runs: RunsRule

    def entry(self, layer: str, name: str) -> SiteEntry | None:
        """What the file says of a listed point."""
        return next((site for site in self.sites.list if (site.layer, site.name) == (layer, name)), None)


def read_site_rules(layers_dir: Path) -> SiteRules:
    """The rules beside the layers; an unchanged file is not read again.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rule_file(SiteRules, layers_dir, "wetland_sites")
