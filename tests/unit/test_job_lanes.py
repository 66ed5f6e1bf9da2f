"""What is short is declared by the process and counted by what the caller asked for."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from spatial.errors import ServiceUnavailable
from spatial.jobs import crew as crews
from spatial.jobs.lanes import lane_of
from spatial.settings import Settings
from spatial.store.datastore import DataStore

TWENTY = [110.1, 31.7, 110.3, 31.9]
"""20 × 20 cells of the samples' elevation, which has 40 × 60."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lanes")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        found = DataStore.open(Settings())
        sample.publish_inputs(found, folder, rain=False)
        finer = sample.layer("finer")
        found.publish_raster(finer, sample.write_raster(folder / "finer.tif", sample.elevation(), 0.005))
        yield found
        found.close()


@pytest.mark.parametrize(
    ("process", "inputs", "layers", "lane"),
    [
        ("echo", {"message": "x"}, {}, "short"),
        ("echo", {"message": "x", "pause": 1.0}, {}, "short"),
        ("echo", {"message": "x", "pause": 1.1}, {}, "long"),
        ("sample-quick", {"bbox": TWENTY}, {}, "short"),
        ("sample-quick", {"bbox": [110.1, 31.7, 110.31, 31.9]}, {}, "long"),  # 420 cells
        ("sample-quick", {}, {}, "long"),
        # The cells that count are those of the layer that the caller chose: here four times as many.
        ("sample-quick", {"bbox": [110.1, 31.85, 110.3, 31.95]}, {}, "short"),
        ("sample-quick", {"bbox": [110.1, 31.85, 110.3, 31.95]}, {"dem": "finer"}, "long"),
        # What cannot begin ends at once.
        ("sample-quick", {"bbox": [0, 0, 1, 1]}, {}, "short"),
        ("sample-quick", {}, {"dem": "nothing"}, "short"),
        # Nothing is short that does not say so.
        ("sample-lowland", {"bbox": [110.1, 31.7, 110.12, 31.72]}, {}, "long"),
    ],
)
def test_lane_of_an_execution(store, process, inputs, layers, lane):
    assert lane_of(store, process, inputs, layers, waits=False) == lane
    assert lane_of(store, process, inputs, layers, waits=True) == {"short": "interactive"}.get(lane, lane)


def test_a_grid_of_any_size_may_be_short(store, monkeypatch):
    from spatial.jobs.contract import ANY_GRID

    monkeypatch.setattr(sample.Quick, "short_cells", ANY_GRID)
    assert lane_of(store, "sample-quick", {}, waits=False) == "short"


def test_writing_a_report_is_long_work(store, monkeypatch):
    monkeypatch.setattr(sample.Quick, "report", True, raising=False)
    assert lane_of(store, "sample-quick", {"bbox": TWENTY}, waits=False) == "long"  # kept, with its report
    assert lane_of(store, "sample-quick", {"bbox": TWENTY}, waits=True) == "interactive"


def test_a_store_that_is_away_is_told_by_what_comes_next(store, monkeypatch):
    def away(*_):
        raise ServiceUnavailable("不可用", "away")

    monkeypatch.setattr("spatial.jobs.lanes.grid_of_run", away)
    assert lane_of(store, "sample-quick", {}, waits=False) == "short"


class Cluster:
    """What a crew asks of Dask's local cluster."""

    def __init__(self):
        self.scheduler = SimpleNamespace(workers={})
        self.scaled = []

    def scale(self, number):
        self.scaled.append(number)
        self.scheduler.workers = {f"tcp://{i}": SimpleNamespace(nthreads=1) for i in range(number)}


class Client:
    """Keeps what it is given to do: place and name."""

    def __init__(self, *, done=True):
        self.submitted = []
        self.done = done

    def submit(self, function, *named, workers, **_):
        self.submitted.append((workers[0], named[0] if named else function.__name__))
        return SimpleNamespace(done=lambda: self.done)


def test_the_reserve_is_there_only_while_it_is_needed(monkeypatch):
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(crews, "time", clock)
    now, client, cluster = 0.0, Client(), Cluster()
    reserve = crews.Reserve(client, cluster, 2)
    seen = []
    for now, needed, busy in [  # noqa: B007 - the clock reads it
        (0.5, True, False),
        (0.9, False, False),  # a job of a moment: no process is started for it
        (1.2, True, False),
        (1.8, True, False),
        (2.0, True, False),  # full for more than a second since 0.9
        (50.0, True, True),
        (100.0, False, True),  # the main crew is free, but a short job runs
        (159.0, False, False),
        (159.5, True, False),  # needed again in time
        (219.0, False, False),
        (219.4, False, False),
        (219.6, False, False),  # idle for a minute since 159.5
    ]:
        reserve.stand_by(needed, busy=busy)
        reserve.warm_up()
        seen.append(reserve.places)
    assert cluster.scaled == [2, 0]
    assert seen == [0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 0]
    # Each process loads all that there is, one piece after the other.
    pieces = ["warm_up", *crews.LIBRARIES]
    assert [c for c in client.submitted if c[0] == "tcp://1"] == [("tcp://1", name) for name in pieces]
    assert len(client.submitted) == 2 * len(pieces)


def test_a_job_waits_for_one_piece_of_the_warm_up_at_most():
    client, cluster = Client(done=False), Cluster()
    reserve = crews.Reserve(client, cluster, 1)
    cluster.scale(1)
    for _ in range(5):
        reserve.warm_up()
    assert len(client.submitted) == 1
