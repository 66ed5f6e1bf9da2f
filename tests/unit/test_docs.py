"""Documentation that can be checked is checked."""

import re
import subprocess
import sys

import yaml

from spatial.settings import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"


def test_generated_pages_are_fresh():
    done = subprocess.run(
        [sys.executable, DOCS / "generate_reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in [PROJECT_ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_addresses_of_commands_are_plain_ascii():
    """HTTP knows no other characters in an address: curl sends them as they are, and the server must answer 400."""
    wrong = []
    for page in [PROJECT_ROOT / "README.md", *DOCS.rglob("*.md")]:
        for line in page.read_text("utf-8").splitlines():
            address = re.search(r"curl [^#]*?([\"']?)((?:http://127\.0\.0\.1|\$[A-Z]+/)[^\"'\s]*)\1", line)
            if address and not address[2].isascii():
                wrong.append(f"{page.name}: {address[2]}")
    assert wrong == []


def test_the_layer_of_the_how_to_is_valid(tmp_path):
    """The example must stay true to the schema."""
    from spatial.catalog import read_layer

    text = (DOCS / "how-to" / "add-a-layer.md").read_text("utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    document = yaml.safe_load(re.sub(r"(?m)^   ", "", example[1]))
    (tmp_path / "schema.json").write_text((PROJECT_ROOT / "layers" / "schema.json").read_text("utf-8"), "utf-8")
    path = tmp_path / f"{document['id']}.yml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    assert read_layer(path).id == "wetlands"
