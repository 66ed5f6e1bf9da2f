"""The bootstrap believes no name on PATH: it runs every candidate and reads what it prints."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = 'echo "answer 3 13 1 CPython 0 /opt/real/python3.13"'
Program = Callable[[str, str], Path]


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("onemap_bootstrap", ROOT / "deploy" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.delenv("ONEMAP_PYTHON", raising=False)
    return module


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Write an executable into a folder that is first on an otherwise bare PATH."""

    def write(name: str, body: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    (tmp_path / "bin").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{tmp_path}/second")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return write


@pytest.mark.parametrize(
    "body",
    [
        "echo 'pyenv: python3.13: command not found' >&2; exit 127",
        "echo 'answer 3 11 7 CPython 0 /x/python3'",
        "echo 'answer 3 15 0 CPython 0 /x/python3'",
        "echo 'answer 3 12 4 PyPy 0 /x/pypy'",
        "echo 'answer 3 14 0 CPython 1 /x/python3.14t'",
        "echo 'Python 3.13.1'",
        "echo 'answer 3 13 1 CPython 0 /x/python3'; exit 1",
        "exit 0",
    ],
    ids=["shim-fails", "too-old", "too-new", "pypy", "free-threaded", "other-text", "fails-after-answer", "silent"],
)
def test_unusable_candidate_is_passed_over(bootstrap: ModuleType, program: Program, body: str) -> None:
    program("bin/python3.13", body)
    assert bootstrap.find_python() is None
    program("bin/python3.12", GOOD)
    found = bootstrap.find_python()
    assert (found.path, found.version) == (Path("/opt/real/python3.13"), (3, 13, 1))


def test_hanging_candidate_costs_only_the_patience(bootstrap: ModuleType, program: Program) -> None:
    hanging = program("bin/python3.13", "/bin/sleep 30")  # a child of the shell keeps the pipe open
    good = program("bin/python3", GOOD)
    begun = time.monotonic()
    found = bootstrap.find_python([hanging, good], patience_s=0.3)
    assert found.version == (3, 13, 1)
    assert time.monotonic() - begun < 5


def test_second_folder_of_path_is_asked_when_the_first_is_a_dead_shim(bootstrap: ModuleType, program: Program) -> None:
    program("bin/python3", "exit 127")
    program("second/python3", GOOD)
    assert bootstrap.find_python().version == (3, 13, 1)


def test_folder_of_path_that_may_not_be_read_is_passed_over(
    bootstrap: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("second/python3", GOOD)
    real_stat = os.stat

    def stat(path: object, *details: object, **more: object) -> object:
        if "/bin/python3" in str(path) and "second" not in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real_stat(path, *details, **more)  # type: ignore[arg-type, call-overload]

    monkeypatch.setattr(os, "stat", stat)
    assert bootstrap.find_python().version == (3, 13, 1)


def test_pyenv_versions_come_after_path_and_3_12_first(bootstrap: ModuleType, program: Program) -> None:
    for version in ("3.11.7", "3.13.0", "3.12.1"):
        numbers = version.replace(".", " ")
        program(f"pyenv/versions/{version}/bin/python3", f"echo 'answer {numbers} CPython 0 /pyenv/{version}'")
    assert bootstrap.find_python().path == Path("/pyenv/3.12.1")
    program("bin/python3", GOOD)
    assert bootstrap.find_python().path == Path("/opt/real/python3.13")


def test_named_python_wins(bootstrap: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("bin/python3.14", GOOD)
    named = program("mine", "echo 'answer 3 12 9 CPython 0 /mine'")
    monkeypatch.setenv("ONEMAP_PYTHON", str(named))
    assert bootstrap.find_python().path == Path("/mine")


def test_the_python_of_this_test_is_found(bootstrap: ModuleType) -> None:
    found = bootstrap.ask_python(Path(sys.executable))
    assert found.version == tuple(sys.version_info[:3])
    assert found.path.is_absolute()


@pytest.mark.parametrize(
    ("printed", "is_found"),
    [("uv 0.13.9 (x86_64)", True), ("uv 0.1.2", False), ("", False), ("not a version", False)],
)
def test_uv_is_run_before_it_is_believed(bootstrap: ModuleType, program: Program, printed: str, is_found: bool) -> None:
    bootstrap.TOOLS = Path("/nowhere")
    program("bin/uv", f"echo '{printed}'")
    assert (bootstrap.find_uv() is not None) is is_found


def test_no_uv_and_no_pip_is_said_plainly(
    bootstrap: ModuleType, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.TOOLS = tmp_path / "tools"
    monkeypatch.setattr(sys, "executable", str(program("bin/python3", "exit 1")))
    with pytest.raises(bootstrap.SetupError, match=r"python3-pip(.|\n)*Error: there is no uv.*python3-pip"):
        bootstrap.get_uv(None)


def test_mirror_of_pip_is_handed_to_uv(
    bootstrap: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    settings = "global.cert='/etc/ca.crt'\nglobal.index-url='https://mirror.example.cn/simple'\nglobal.timeout='60'"
    pip = program("bin/pip", f'echo "{settings}"')
    expected = {"UV_DEFAULT_INDEX": "https://mirror.example.cn/simple", "SSL_CERT_FILE": "/etc/ca.crt"}
    if Path("/etc/uv/uv.toml").is_file():
        expected = {}
    assert bootstrap.index_of_pip([str(pip)]) == expected
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example.cn/simple")
    assert bootstrap.index_of_pip([str(pip)]) == {}


@pytest.mark.parametrize(
    ("version", "is_used"), [("v22.12.0", True), ("v24.1.0", True), ("v22.11.0", False), ("v20.20.2", False)]
)
def test_node_of_path_only_if_new_enough(
    bootstrap: ModuleType, program: Program, monkeypatch: pytest.MonkeyPatch, version: str, is_used: bool
) -> None:
    monkeypatch.setattr(
        bootstrap, "get_uv", lambda found: pytest.fail("asked for the wheel") if is_used else Path("/bin/uv")
    )
    monkeypatch.setattr(
        bootstrap, "run", lambda *details, **more: (_ for _ in ()).throw(bootstrap.SetupError("", "wheel"))
    )
    monkeypatch.setattr(bootstrap, "TOOLS", Path("/nowhere"))
    node = program("bin/node", f"echo {version}")
    program("bin/npm", "echo 11.0.0")
    if is_used:
        assert bootstrap.node_folder() == node.parent
    else:
        with pytest.raises(bootstrap.SetupError, match="wheel"):
            bootstrap.node_folder()


def test_portal_stamp_sees_sources_and_not_packages(bootstrap: ModuleType, tmp_path: Path) -> None:
    bootstrap.ROOT, bootstrap.PORTAL = tmp_path, tmp_path / "portal"
    (tmp_path / "portal" / "src").mkdir(parents=True)
    source = tmp_path / "portal" / "src" / "main.ts"
    source.write_text("1")
    before = bootstrap.digest_of(bootstrap.portal_sources())
    (tmp_path / "portal" / "node_modules").mkdir()
    (tmp_path / "portal" / "node_modules" / "x.js").write_text("x")
    assert bootstrap.digest_of(bootstrap.portal_sources()) == before
    source.write_text("2")
    assert bootstrap.digest_of(bootstrap.portal_sources()) != before


def test_launcher_takes_the_first_python_that_answers(program: Program, tmp_path: Path) -> None:
    program("bin/python3", "exit 127")
    program("second/python3", f'exec {sys.executable} "$@"')
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "python"), "-c", "print('ran')"],
        env={"PATH": f"{os.environ['PATH']}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ran\n")


def test_launcher_without_any_python_says_so(program: Program, tmp_path: Path) -> None:
    for tool in ("sleep", "kill"):
        program(f"bin/{tool}", f'exec /bin/{tool} "$@"')
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "python"), "-c", "print('ran')"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "没有找到可用的 Python" in done.stderr
    assert "no working Python" in done.stderr
