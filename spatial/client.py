"""The same verbs over HTTP: ``sp.connect(url)``. Speaks OGC API and nothing else, so it works from any machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx2

from spatial import errors
from spatial.errors import ServiceUnavailable, SpatialError

if TYPE_CHECKING:
    import geopandas
    import pandas

__all__ = ["Client", "ClientJob", "connect"]

_EXECUTING = ("accepted", "running")


def connect(url: str, *, timeout: float = 60.0) -> Client:
    """A client of a OneMap server.

    Parameters
    ----------
    url : str
        Address of the server, for example ``http://127.0.0.1:8000``.
    timeout : float
        Seconds to wait for an answer.
    """
    return Client(url, timeout=timeout)


class Client:
    """A client of one server; made by `connect`."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(timeout=timeout, follow_redirects=True, headers={"Accept": "application/json"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request; an error answer raises the error that the server meant.

        Raises
        ------
        SpatialError
            The class is the one named in the server's problem document.
        ServiceUnavailable
            If the server cannot be reached.
        """
        address = path if path.startswith("http") else f"{self.url}{path}"
        try:
            answer = self._http.request(method, address, **options)
        except httpx2.TransportError as error:
            raise ServiceUnavailable(
                f"无法连接 {self.url}（{type(error).__name__}），请检查地址与服务",
                f"cannot reach {self.url} ({type(error).__name__}); check the address and the server",
                url=self.url,
            ) from error
        if answer.status_code >= 400:
            raise _error_of(answer)
        return answer

    def catalog(self) -> pandas.DataFrame:
        """Layers of the server: one row each, indexed by id."""
        import pandas as pd

        document = self.request("GET", "/api/v1/catalogue").json()
        rows = [
            {
                "id": layer["id"],
                "title": layer["title"]["zh"],
                "title_en": layer["title"]["en"],
                "kind": layer["kind"],
                "version": layer["version"],
                "synthetic": layer["synthetic"],
                "count": layer.get("count"),
            }
            for layer in document["layers"]
        ]
        columns = ["id", "title", "title_en", "kind", "version", "synthetic", "count"]
        return pd.DataFrame(rows, columns=columns).set_index("id")

    def items(
        self,
        layer_id: str,
        *,
        bbox: tuple[float, float, float, float] | None = None,
        filter: str | None = None,
        limit: int | None = None,
        page: int = 1000,
        **equals: Any,
    ) -> geopandas.GeoDataFrame:
        """Features of a layer as a GeoDataFrame (longitude, latitude; index = fid), page by page.

        Parameters
        ----------
        bbox : west, south, east, north, optional
            Degrees (CRS84).
        filter : str, optional
            CQL2 text.
        limit : int, optional
            Most features; default all.
        page : int
            Features a request.
        **equals
            Property = value.
        """
        import geopandas as gpd

        features: list[dict[str, Any]] = []
        for found in self._pages(layer_id, bbox, filter, page if limit is None else min(page, limit), equals):
            features += found
            if limit is not None and len(features) >= limit:
                features = features[:limit]
                break
        if not features:
            return gpd.GeoDataFrame(geometry=[], crs="OGC:CRS84")
        frame = gpd.GeoDataFrame.from_features(features, crs="OGC:CRS84")
        frame.index = [feature["id"] for feature in features]
        frame.index.name = "fid"
        return frame

    def _pages(
        self, layer_id: str, bbox: Any, cql: str | None, page: int, equals: Mapping[str, Any]
    ) -> Iterator[list[dict[str, Any]]]:
        query: dict[str, Any] = {"limit": page, "f": "json", **equals}
        if bbox is not None:
            query["bbox"] = ",".join(map(str, bbox))
        if cql is not None:
            query["filter"] = cql
        address: str | None = f"{self.url}/ogc/collections/{layer_id}/items"
        while address is not None:
            document = self.request("GET", address, params=query or None).json()
            yield document["features"]
            query = {}  # the next link carries them all
            address = next((link["href"] for link in document.get("links", ()) if link["rel"] == "next"), None)

    def run(self, analysis: str, **parameters: Any) -> ClientJob:
        """Start an analysis on the server; ``run(…).wait()``."""
        answer = self.request(
            "POST",
            f"/ogc/processes/{analysis}/execution",
            json={"inputs": parameters},
            headers={"Prefer": "respond-async"},
        )
        return ClientJob(self, answer.json())

    def job(self, job_id: str) -> ClientJob:
        """A job by its id."""
        return ClientJob(self, self.request("GET", f"/ogc/jobs/{job_id}").json())


class ClientJob:
    """A job on the server."""

    def __init__(self, client: Client, status: dict[str, Any]) -> None:
        self._client = client
        self._result: dict[str, Any] | None = None
        self.info = status

    @property
    def id(self) -> str:
        """Id of the job."""
        return str(self.info["jobID"])

    @property
    def status(self) -> str:
        """Last known status; `refresh` asks again."""
        return str(self.info["status"])

    def refresh(self) -> ClientJob:
        """Ask the server for the status."""
        self.info = self._client.request("GET", f"/ogc/jobs/{self.id}").json()
        return self

    def wait(
        self, timeout: float | None = None, *, every: float = 0.5, progress: Callable[[float, str], None] | None = None
    ) -> ClientJob:
        """Wait for the end.

        Raises
        ------
        SpatialError
            Why the job failed.
        ServiceUnavailable
            After `timeout` seconds; the job goes on.
        """
        started = time.monotonic()
        while self.refresh().status in _EXECUTING:
            if progress is not None:
                progress(self.info.get("progress", 0) / 100, str(self.info.get("message", "")))
            if timeout is not None and time.monotonic() - started > timeout:
                raise ServiceUnavailable(
                    f"任务 {self.id} 在 {timeout:g} 秒内未完成，仍在执行",
                    f"job {self.id} has not finished within {timeout:g} s; it goes on",
                    job=self.id,
                )
            time.sleep(every)
        if self.status != "successful":
            self._document()  # raises what the server says
        return self

    def dismiss(self) -> ClientJob:
        """Stop the job; a finished one loses its results."""
        self.info = self._client.request("DELETE", f"/ogc/jobs/{self.id}").json()
        return self

    def _document(self) -> dict[str, Any]:
        if self._result is None:
            self._result = self._client.request("GET", f"/ogc/jobs/{self.id}/results").json()
        return self._result

    @property
    def result(self) -> dict[str, Any]:
        """Result document: layers, tables, factors, notes, provenance."""
        document = self._document()
        found: dict[str, Any] = document.get("result", document)
        return found

    @property
    def tables(self) -> dict[str, pandas.DataFrame]:
        """Result tables."""
        import pandas as pd

        return {name: pd.DataFrame(rows) for name, rows in self.result["tables"].items()}

    def download(self, path: str | Path, output: str | None = None) -> Path:
        """Save a result raster (default: the first) as a GeoTIFF; written aside, then renamed."""
        name = output or next(iter(self.result["rasters"]))
        target = Path(path)
        aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            aside.write_bytes(self._client.request("GET", f"/ogc/jobs/{self.id}/results/{name}").content)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        return target

    def __repr__(self) -> str:
        return f"<job {self.id} {self.info.get('processID', '')} {self.status} {self.info.get('progress', 0)}%>"


def _error_of(answer: Any) -> SpatialError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    kind = getattr(errors, str(problem.get("title", "")), None)
    if not (isinstance(kind, type) and issubclass(kind, SpatialError)):
        kind = SpatialError
    fallback = f"HTTP {answer.status_code} {answer.request.url}"
    known = {"title", "detail", "detail_zh", "detail_en", "status", "layer"}
    details = {name: value for name, value in problem.items() if name not in known}
    return kind(
        problem.get("detail_zh", fallback), problem.get("detail_en", fallback), layer=problem.get("layer"), **details
    )
