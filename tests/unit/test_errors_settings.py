"""The error tree and the settings."""

import inspect
import pickle

import pytest
from pydantic import ValidationError

from spatial import errors
from spatial.errors import STATUS, DataError, SpatialError, exit_code, status
from spatial.settings import Settings

KINDS = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, SpatialError)]


def test_every_error_is_exported_and_drawn_in_the_tree():
    names = {kind.__name__ for kind in KINDS}
    assert names <= set(errors.__all__)
    assert all(name in errors.__doc__ for name in names)
    assert errors.__all__ == sorted(errors.__all__, key=lambda n: (n != n.upper(), n[0].islower(), n))


@pytest.mark.parametrize("kind", KINDS)
def test_problem_document_is_bilingual_and_survives_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("出错了", "it broke", layer="dem", allowed=["a"])))
    document = error.problem()
    assert type(error) is kind
    assert document["status"] == status(error)
    assert document["detail_zh"] == "出错了"
    assert document["detail_en"] == "it broke"
    assert document["layer"] == "dem"
    assert document["allowed"] == ["a"]


@pytest.mark.parametrize(
    ("kind", "code", "leave"),
    [
        (errors.InvalidParameter, 400, 2),
        (errors.LayerNotFound, 404, 2),
        (errors.GridMismatch, 422, 3),
        (errors.StoreUnavailable, 503, 1),
        (errors.QueueFull, 429, 1),
        (errors.PayloadTooLarge, 413, 2),
    ],
)
def test_status_and_exit_code(kind, code, leave):
    error = kind("中", "en")
    assert (status(error), exit_code(error)) == (code, leave)


def test_status_map_names_only_our_kinds():
    assert all(issubclass(kind, SpatialError) for kind in STATUS)
    assert issubclass(errors.GridMismatch, DataError)


def test_every_setting_is_described_in_both_languages():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert any("\u4e00" <= c <= "\u9fff" for c in field.description), name


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("ONEMAP_PORT", "8123")
    monkeypatch.setenv("ONEMAP_VAR_DIR", str(tmp_path))
    chosen = Settings()
    assert chosen.url == "http://127.0.0.1:8123"
    assert chosen.state_address == f"sqlite:///{tmp_path}/state.sqlite"
    monkeypatch.setenv("ONEMAP_PORT", "80000")
    with pytest.raises(ValidationError):
        Settings()
