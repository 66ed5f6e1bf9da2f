"""The layer definitions: valid by schema and model, true checksums, licences told, and a layer is one file."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from spatial.catalog import load_catalog, read_layer
from spatial.errors import LayerDefinitionInvalid

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ROOT / "layers"
FILES = sorted(path for path in LAYERS.glob("*.yml") if path.name != "themes.yml")
ASKED = {
    "province", "prefectures", "counties", "lakes", "rivers", "settlements", "airports", "dem", "hillshade", "landcover",
    "ndvi", "rain-monthly", "temperature-monthly", "nightlights", "ecological-redline", "permanent-farmland",
    "urban-growth-boundary", "functional-zones", "ramsar-sites", "nature-reserves", "weather-stations", "river-gauges",
    "yangtze-han", "roads", "seats", "land-use", "humidity-monthly", "wind", "soil", "soil-quality", "carbonate",
    "meteorological-hazards", "geohazard", "hazard-points", "county-capacity", "surface-reflectance",
    "surface-reflectance-2024", "landcover-samples", "landcover-reference",
}  # fmt: skip
MADE = {
    "ecological-redline", "permanent-farmland", "urban-growth-boundary", "functional-zones", "yangtze-han", "roads",
    "land-use", "humidity-monthly", "wind", "soil", "soil-quality", "carbonate", "meteorological-hazards", "geohazard",
    "hazard-points", "county-capacity", "surface-reflectance", "surface-reflectance-2024", "landcover-samples",
    "landcover-reference",
}  # fmt: skip


def test_every_layer_asked_for_is_in_the_catalogue() -> None:
    assert set(load_catalog(LAYERS)) >= ASKED


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_checksum_is_that_of_the_file(path: Path) -> None:
    source = read_layer(path).source
    assert hashlib.sha256((ROOT / source.path).read_bytes()).hexdigest() == source.sha256


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_licence_and_checksum_stand_in_sources(path: Path) -> None:
    source = read_layer(path).source
    name = source.path.removeprefix("data-samples/")
    text = (ROOT / "data-samples" / "SOURCES.md").read_text("utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    assert source.licence in row
    assert source.sha256 in row


def test_made_layers_say_so_with_seed_and_recipe() -> None:
    catalog = load_catalog(LAYERS)
    for name in MADE:
        synthetic = catalog[name].synthetic
        assert synthetic is not None, name
        assert "合成" in catalog[name].display_title().zh
        assert "synthetic" in catalog[name].display_title().en.casefold()


def test_adding_a_layer_is_adding_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "layers"
    shutil.copytree(LAYERS, folder)
    before = set(load_catalog(folder))
    document = yaml.safe_load((folder / "seats.yml").read_text("utf-8"))
    document |= {"id": "my-layer", "title": {"zh": "我的图层", "en": "My layer"}}
    (folder / "my-layer.yml").write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    assert set(load_catalog(folder)) - before == {"my-layer"}


BREAKS = {
    "no title": lambda d: d.pop("title"),
    "English missing": lambda d: d["title"].pop("en"),
    "unknown key": lambda d: d.update(colour="red"),
    "bad id": lambda d: d.update(id="Not An Id"),
    "short checksum": lambda d: d["source"].update(sha256="abc"),
    "unknown kind": lambda d: d.update(kind="table"),
    "classified": lambda d: d.update(grade="涉密"),
    "unknown style": lambda d: d.update(style={"type": "pie"}),
    "bad colour": lambda d: d.update(style={"type": "single", "fill": "red"}),
    "unknown field type": lambda d: d["fields"][0].update(type="blob"),
    "zoom out of range": lambda d: d.update(max_zoom=40),
    "unknown unique field": lambda d: d.update(quality={"unique": ["nothing"]}),
    "unknown theme": lambda d: d.update(theme=["base", "nowhere"]),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_definition_is_refused_by_name(tmp_path: Path, name: str) -> None:
    for file in ("schema.json", "themes.yml"):
        shutil.copy(LAYERS / file, tmp_path / file)
    document = yaml.safe_load((LAYERS / "seats.yml").read_text("utf-8"))
    BREAKS[name](document)
    (tmp_path / "seats.yml").write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    with pytest.raises(LayerDefinitionInvalid, match=r"seats\.yml"):
        load_catalog(tmp_path)


def test_schema_itself_is_a_2020_12_schema_that_knows_the_style() -> None:
    schema = json.loads((LAYERS / "schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    document = yaml.safe_load((LAYERS / "landcover.yml").read_text("utf-8"))
    jsonschema.validate(document, schema)
    broken = copy.deepcopy(document)
    broken["style"]["classes"][0]["color"] = "blue"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_style_names_only_fields_bands_and_codes_of_its_layer() -> None:
    for layer in load_catalog(LAYERS).values():
        style = layer.style
        fields, bands = {f.name: f for f in layer.fields}, {b.name: b for b in layer.bands}
        if style.get("label"):
            assert style["label"]["field"] in fields, layer.id
        if style.get("field"):
            assert style["field"] in fields, layer.id
        if style["type"] == "categories" and fields[style["field"]].domain:
            # Codes of a domain are written as text, also those of an integer field.
            assert {str(c["value"]) for c in style["classes"]} <= set(fields[style["field"]].domain), layer.id
        if style.get("band"):
            assert style["band"] in bands, layer.id
        if style["type"] == "classes":
            band = bands[style.get("band") or layer.bands[0].name]
            assert {c["value"] for c in style["classes"]} == set(band.domain or ()), layer.id
        if stops := style.get("stops"):
            values = [stop["value"] for stop in stops]
            assert values == sorted(values), layer.id


def test_unverified_upstream_is_marked_as_not_for_publication() -> None:
    for layer in load_catalog(LAYERS).values():
        if re.search(r"not verified", layer.source.licence):
            assert layer.attribution_note is not None, layer.id
            assert "不用于出版" in layer.attribution_note.zh, layer.id
