"""The real application served to a test, as a user's client reaches it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from sample_analyses import wait_for


@contextlib.contextmanager
def serving(env: Mapping[str, str]) -> Iterator[tuple[httpx2.Client, Any]]:
    """The real application under uvicorn in a thread, on a port of its own."""
    import uvicorn

    from spatial.asgi import create_app
    from spatial.settings import Settings

    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        app = create_app(Settings())
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120), app.state.datastore
        finally:
            server.should_exit = True
            thread.join(20)
