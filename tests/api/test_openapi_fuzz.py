"""schemathesis over the whole OpenAPI document: no 5xx, and no answer that the document does not describe.

A bounded run: every operation, a few generated requests each. The long run with the same rules:

    ONEMAP_FUZZ_EXAMPLES=200 .venv/bin/python -m pytest tests/api/test_openapi_fuzz.py
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

TOLD = 500
EXAMPLES = int(os.environ.get("ONEMAP_FUZZ_EXAMPLES", "3"))


@pytest.fixture(scope="module")
def fuzzed_app(tmp_path_factory, hand_made):
    """The application over DuckDB; what is queued is never executed, because no worker runs."""
    from spatial.asgi import create_app
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("fuzz")
    layers = hand_made.write_layers(folder / "layers", hand_made.definitions)
    app = create_app(Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers, queue_limit=100_000))
    hand_made.publish_all(app.state.datastore, folder)
    return app


def test_no_operation_breaks_or_answers_otherwise_than_it_says(fuzzed_app):
    try:
        import schemathesis
    except ImportError:
        pytest.fail("缺少 schemathesis，请运行 / missing, run: uv pip install schemathesis", pytrace=False)
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import checks
    from starlette.testclient import TestClient

    schema = schemathesis.openapi.from_asgi("/ogc/openapi", fuzzed_app)
    wanted = [
        checks.not_a_server_error,
        *(
            checks.CHECKS.get_one(name)
            for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
        ),
    ]
    faults: Counter[str] = Counter()
    asked = 0
    bounded = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with TestClient(fuzzed_app, base_url="http://onemap.test", raise_server_exceptions=False) as client:

        def ask(case):
            nonlocal asked
            asked += 1
            label = case.operation.label
            # Without a worker a synchronous execution is rightly refused with 503.
            headers = {"Prefer": "respond-async"} if label.endswith("/execution") else {}
            try:
                answer = case.call(session=client, headers=headers)
            except Exception as error:  # what a server logs and answers with 500
                faults[f"{label} 500 {type(error).__name__}: {str(error)[:TOLD]!r}"] += 1
                return
            try:
                case.validate_response(answer, checks=wanted)
            except* Exception as group:
                for fault in group.exceptions:
                    faults[f"{label} {answer.status_code} {type(fault).__name__}: {str(fault)[:TOLD]!r}"] += 1

        for found in schema.get_all_operations():
            operation = found.ok()
            try:
                given(case=operation.as_strategy())(bounded(lambda case: ask(case)))()
            except Unsatisfiable:
                faults[f"{operation.label}: nothing can be generated from its schema"] += 1
    assert asked > 100
    assert not faults, "\n".join(f"× {count} {text}" for text, count in faults.most_common(80))
