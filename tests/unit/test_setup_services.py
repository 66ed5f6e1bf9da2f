"""PostGIS, packages of the distribution, and the rule that tests stay on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import postgis_cluster
import psycopg
import pytest
import system_packages
from postgis_cluster import ClusterError, PrivateCluster


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_cluster_serves_postgis_on_loopback_and_leaves_nothing(tmp_path: Path) -> None:
    with PrivateCluster() as cluster:
        with psycopg.connect(cluster.dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION postgis")
            row = connection.execute("SELECT ST_AsText(ST_Point(114.3, 30.6)), current_setting('listen_addresses')")
            assert row.fetchone() == ("POINT(114.3 30.6)", "127.0.0.1")
        folder, port = cluster.folder, cluster.port
        assert folder is not None
        assert port is not None
        assert is_listening(port)
    assert not folder.exists()
    assert not is_listening(port)


def test_cluster_ends_with_a_killed_owner() -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]);"
        "from postgis_cluster import PrivateCluster; c = PrivateCluster(); c.start();"
        "print(c.port, c.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    deploy = str(Path(postgis_cluster.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script, deploy], capture_output=True, text=True, timeout=90, check=False
    )
    port, folder = done.stdout.split()
    deadline = time.monotonic() + 20
    while (Path(folder).exists() or is_listening(int(port))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_listening(int(port))
    assert not Path(folder).exists()


def test_cluster_without_postgis_names_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgis_cluster, "find_postgis", lambda: None)
    with pytest.raises(ClusterError, match=r"apt-get install .*postgresql-15-postgis-3"):
        PrivateCluster().start()


def test_port_in_use_is_an_error_and_cleans_up() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cluster = PrivateCluster(port=taken.getsockname()[1])
        with pytest.raises(ClusterError, match="did not start"):
            cluster.start()
    assert cluster.folder is not None
    assert not cluster.folder.exists()


def test_pid_file_of_another_process_is_not_stopped(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    assert postgis_cluster.running_pid(tmp_path) is None
    postgis_cluster.stop_server(tmp_path)  # would have ended this test run


def test_session_database_has_postgis_and_a_chinese_collation(postgis_dsn: str) -> None:
    with psycopg.connect(postgis_dsn) as connection:
        assert connection.execute("SELECT postgis_lib_version()").fetchone() is not None
        if not os.environ.get("ONEMAP_TEST_POSTGIS"):
            row = connection.execute("SELECT array_agg(n ORDER BY n) FROM unnest(ARRAY['宜昌', '恩施', '安陆']) AS n")
            assert row.fetchone() == (["安陆", "恩施", "宜昌"],)  # by pinyin, not by code point


def test_missing_packages_without_root_give_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    absent = system_packages.Need("Thing", lambda: False, lambda: ["thing", "fonts-thing"])
    with pytest.raises(system_packages.Missing) as caught:
        system_packages.need([absent], lambda zh, en: None)
    assert "sudo apt-get install -y --no-install-recommends thing fonts-thing" in str(caught.value)
    assert "缺少 Thing" in str(caught.value)


def test_what_is_there_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "apt_install", lambda packages: pytest.fail("installed"))
    system_packages.need([system_packages.Need("Thing", lambda: True, lambda: ["thing"])], lambda zh, en: None)


def test_stub_named_chromium_is_not_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ONEMAP_TEST_CHROMIUM", raising=False)
    assert system_packages.find_chromium() is None
    stub.write_text("#!/bin/sh\necho Chromium 150\n")
    assert system_packages.find_chromium() == stub


def test_tests_cannot_leave_this_machine() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="must not leave this machine"):
        outside.connect(("192.0.2.1", 80))
    with socket.socket() as outside, pytest.raises(AssertionError, match="must not leave this machine"):
        outside.connect_ex(("example.invalid", 80))
