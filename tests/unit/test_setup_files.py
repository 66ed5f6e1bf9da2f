"""The files of the set-up say the same: locks, image, compose, nginx, pre-commit, Makefile, CI."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "deploy/uv.lock.txt", "deploy/node.lock.txt"]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def pins(name: str) -> dict[str, str]:
    """Name to version of a lock."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", text(name), re.MULTILINE))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(text("deploy/compose.yml"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_index_address(name: str) -> None:
    logical = text(name).replace("\\\n", " ").strip().splitlines()
    assert logical
    assert all("--hash=sha256:" in line for line in logical)
    assert "://" not in text(name)
    assert "--index" not in text(name)


def test_development_lock_holds_the_lock_for_running() -> None:
    running, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert running.items() <= development.items()


def test_locks_answer_pyproject() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    wanted = [*project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted.extend(extra)
    for lock, requirements in [
        ("requirements.lock", wanted),
        ("requirements-dev.lock", [*wanted, *project["dependency-groups"]["dev"]]),
    ]:
        locked = pins(lock)
        for requirement in map(Requirement, requirements):
            version = locked.get(normal(requirement.name))
            assert version is not None, f"{lock}: {requirement.name} missing; run `make lock`"
            assert requirement.specifier.contains(version, prereleases=True), f"{lock}: {requirement}; run `make lock`"


def test_portal_lock_has_no_registry_address() -> None:
    assert '"resolved": "http' not in text("portal/package-lock.json")


def test_image_is_built_from_the_lock_and_runs_as_a_plain_user() -> None:
    dockerfile = text("Dockerfile")
    assert re.search(r"COPY requirements\.lock", dockerfile)
    assert re.search(r"pip install --require-hashes .*-r requirements\.lock", dockerfile)
    assert "npm ci" in dockerfile
    last = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER onemap$", last, re.MULTILINE)
    assert last.index("USER onemap") < last.index("CMD [")
    assert "HEALTHCHECK" in last
    assert "/health" in last
    assert "fonts-noto-cjk" in last


def test_everything_the_image_copies_reaches_the_builder() -> None:
    ignored = text(".dockerignore").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text("Dockerfile"), re.MULTILINE):
        for source in line.split()[:-1]:
            assert f"!{source.split('/')[0]}" in ignored, source


def test_compose_has_every_part_and_only_nginx_is_reachable(compose: Any) -> None:
    services = compose["services"]
    assert {"server", "worker", "scheduler", "db", "nginx"} <= services.keys()
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert services["nginx"]["ports"] == ["${ONEMAP_HTTP:-127.0.0.1:8080}:8080"]
    assert compose["networks"]["inside"]["internal"] is True
    assert services["server"]["command"] == ["onemap", "serve"]
    assert services["worker"]["command"] == ["onemap", "worker"]


def test_compose_holds_no_password_and_only_known_settings(compose: Any) -> None:
    from spatial.settings import Settings

    known = {f"ONEMAP_{field.upper()}" for field in Settings.model_fields}
    for name in ("server", "worker", "publish"):
        environment = compose["services"][name]["environment"]
        assert {key for key in environment if key.startswith("ONEMAP_")} <= known
    settings = [line for line in text("deploy/compose.yml").splitlines() if not line.startswith("#")]
    values = re.sub(r"\$\{[^}]*\}", "$", "\n".join(settings))
    for match in re.finditer(r"(?i)(?:password[=:] ?\"?|onemap:(?=[^ ]*@))(.)", values):
        assert match.group(1) == "$"


def test_compose_waits_only_for_services_that_exist(compose: Any) -> None:
    services = compose["services"]
    for service in services.values():
        for other, condition in service.get("depends_on", {}).items():
            assert other in services
            if condition["condition"] == "service_healthy" and other != "server":  # the server's is in the image
                assert "healthcheck" in services[other]


def test_nginx_caches_tiles_by_their_whole_address() -> None:
    nginx = text("deploy/nginx.conf")
    assert nginx.count("{") == nginx.count("}")
    assert re.search(r"location ~ \^/\(tiles/.*proxy_cache tiles;.*proxy_cache_key \$request_uri", nginx, re.DOTALL)
    assert "server server:8000;" in nginx


def test_hooks_run_what_make_lint_runs() -> None:
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    used = {hook["entry"].split(" --force-exclude")[0].removeprefix(".venv/bin/") for hook in hooks}
    lint = text("Makefile").split("\nlint:")[1].split("\n\n")[0]
    steps = {line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in lint.splitlines()[1:]}
    assert used == steps


def test_make_answers_for_every_target() -> None:
    targets = ["demo", "test", "test-clients", "lint", "openapi", "config", "docs", "bench", "clean", "help"]
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert all(re.search(rf"^  make {target} +\S", shown, re.MULTILINE) for target in targets)


def test_ci_runs_the_commands_of_the_readme() -> None:
    ci = text(".ci/run")
    assert ci.index("make test\n") < ci.index("make test-clients")
    assert "set -eu" in ci
    readme = text("README.md")
    assert "make demo" in readme
    assert "make test" in readme


@pytest.mark.parametrize(
    "name", ["Makefile", ".ci/run", "README.md", "CONTRIBUTING.md", "Dockerfile", "deploy/compose.yml"]
)
def test_no_path_of_one_machine(name: str) -> None:
    assert not re.search(r"/(root|home|work|Users)/\w", text(name))
