"""Packages of the distribution that the tests need: PostGIS, Chromium, Pango, a Chinese font, QGIS and GDAL's tools.

Standard library only, Python >= 3.8. As root they are installed with apt; otherwise the exact line to run is the error.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from postgis_cluster import find_postgis

VENV = Path(__file__).resolve().parents[1] / ".venv"
NO_MAIN_CLUSTER = Path("/etc/postgresql-common/createcluster.d/onemap-setup.conf")


class Missing(Exception):
    """A package is missing and cannot be installed from here; the message holds the line to run."""

    def __init__(self, what: Sequence[str], packages: Sequence[str], why: str = "") -> None:
        line = install_line(packages)
        super().__init__(
            "错误：缺少 {0}。请运行：\n    {1}\nError: {0} missing{2}. Run:\n    {1}".format(", ".join(what), line, why)
        )


class Need:
    """One thing, how to see that it is there, and which packages bring it."""

    def __init__(self, name: str, is_there: Callable[[], bool], packages: Callable[[], list[str]]) -> None:
        self.name, self.is_there, self.packages = name, is_there, packages


def install_line(packages: Sequence[str]) -> str:
    """What a user types to install these packages."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return "{0}apt-get update && {0}apt-get install -y --no-install-recommends {1}".format(sudo, " ".join(packages))


def runs(command: Sequence[str], patience_s: float = 30.0) -> bool:
    """Whether a program is there and answers: a distribution may put a stub under its name."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=patience_s,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_chromium() -> Path | None:
    """Chromium that answers: ``ONEMAP_TEST_CHROMIUM``, else by its usual names on PATH."""
    named = os.environ.get("ONEMAP_TEST_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    for name in names:
        path = shutil.which(name)
        if path and runs([path, "--version"]):
            return Path(path)
    return None


def has_chinese_font() -> bool:
    """Whether fontconfig knows a font with Chinese characters."""
    try:
        listed = subprocess.run(["fc-list", ":lang=zh-cn", "family"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return bool(listed.stdout.strip())


def postgis_packages() -> list[str]:
    """The distribution's newest PostGIS for PostgreSQL 15 or later; Debian 12's name where apt cannot tell."""
    for refresh in (False, True):
        if refresh and os.geteuid() == 0:
            runs(["apt-get", "update", "-qq"], 300.0)
        try:
            listed = subprocess.run(
                ["apt-cache", "search", "--names-only", r"^postgresql-[0-9]+-postgis-3$"], stdout=subprocess.PIPE
            ).stdout.decode()
        except OSError:
            break
        versions = sorted(int(number) for number in re.findall(r"^postgresql-(\d+)-postgis-3 ", listed, re.MULTILINE))
        if versions:
            return [f"postgresql-{versions[-1]}-postgis-3"]
    return ["postgresql-15-postgis-3"]


def has_qgis() -> bool:
    """Whether the distribution's Python can import QGIS."""
    return runs(["/usr/bin/python3", "-c", "import qgis.core"])


def browser_driver_runs() -> bool:
    """Whether Playwright's own program, installed with the Python packages, finds its system library."""
    drivers = VENV.glob("lib/python3*/site-packages/playwright/driver/node")
    return all(runs([str(driver), "--version"]) for driver in drivers)


def has_pango() -> bool:
    """Whether the libraries that set PDF reports are there (WeasyPrint loads them when it is imported)."""
    names = ("libpango-1.0.so.0", "libpangoft2-1.0.so.0", "libharfbuzz-subset.so.0")
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            return False
    return True


def pango_packages() -> list[str]:
    """What PDF reports need beside a font."""
    return ["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"]


def for_tests() -> list[Need]:
    """What ``make test`` needs beside Python and Node."""
    needs = []
    if not os.environ.get("ONEMAP_TEST_POSTGIS"):
        needs.append(Need("PostGIS", lambda: find_postgis() is not None, postgis_packages))
    if not os.environ.get("ONEMAP_TEST_CHROMIUM"):
        needs.append(Need("Chromium", lambda: find_chromium() is not None, lambda: ["chromium"]))
    # Small where PostGIS is: both need the same library.
    needs.append(Need("GDAL (ogr2ogr)", lambda: runs(["ogr2ogr", "--version"]), lambda: ["gdal-bin"]))
    needs.append(Need("libatomic (Playwright)", browser_driver_runs, lambda: ["libatomic1"]))
    needs.append(Need("Pango", has_pango, pango_packages))
    needs.append(Need("中文字体 (a Chinese font)", has_chinese_font, lambda: ["fontconfig", "fonts-noto-cjk"]))
    return needs


def for_clients() -> list[Need]:
    """What ``make test-clients`` needs on top: it is large."""
    return [
        Need("QGIS", has_qgis, lambda: ["qgis", "python3-qgis"]),
        Need("GRASS", lambda: runs(["grass", "--version"]), lambda: ["grass-core"]),
    ]


def need(needs: Sequence[Need], say: Callable[[str, str], None]) -> None:
    """See that all is there; install what is missing if root; raise `Missing` with the line to run otherwise."""
    missing = [one for one in needs if not one.is_there()]
    if not missing:
        return
    names = [one.name for one in missing]
    packages = [package for one in missing for package in one.packages()]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing(names, packages)
    say("用 apt 安装 {}".format(" ".join(packages)), "installing with apt (root)")
    apt_install(packages)
    still = [one.name for one in missing if not one.is_there()]
    if still:
        raise Missing(still, packages, " (apt-get ran, but it is still not there)")


def apt_install(packages: Sequence[str]) -> None:
    """Install, with fresh package lists if the ones here do not know the packages; no database cluster is started."""
    made = not NO_MAIN_CLUSTER.exists()
    if made:
        NO_MAIN_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        NO_MAIN_CLUSTER.write_text("create_main_cluster = false\n")
    quiet = ["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", *quiet, "install", "-y", "--no-install-recommends", *packages]
    try:
        if not apt(command, environment):
            apt(["apt-get", *quiet, "update"], environment)
            apt(command, environment)
    finally:
        if made:
            NO_MAIN_CLUSTER.unlink()


def apt(command: Sequence[str], environment: dict[str, str]) -> bool:
    """Run apt quietly; its output is shown only if it fails."""
    done = subprocess.run(
        list(command), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        print(done.stdout.decode("utf-8", "replace")[-2000:], flush=True)
    return done.returncode == 0
