"""pygeoapi feature provider over our stores, so that ``pygeoapi serve`` shows the same layers.

pygeoapi follows the axis order of the authority: with ``storage_crs`` EPSG:4490 it hands over ``bbox`` and the geometries
of filters with latitude first, which is the wire order that our own code reads.

What the frame of pygeoapi keeps from this provider: a ``bbox`` in a Gauss–Krüger CRS arrives as two transformed corners
only, so at its edges it is not exact; our own ``/ogc`` is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pygeoapi.provider.base import (
    BaseProvider,
    ProviderConnectionError,
    ProviderGenericError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
)

from spatial.crs import STORAGE, ServedCRS, bbox_polygon, parse_crs
from spatial.errors import FeatureNotFound, NotFound, ServiceUnavailable, SpatialError, UserError
from spatial.ogc.item_selection import read_search
from spatial.ogc.parameters import feature_id, joined, parse_datetime, property_conditions
from spatial.ogc.pygeofilter_cql2 import to_cql2
from spatial.ogc.queryables import field_schema
from spatial.ogc.shared import datastore
from spatial.store.vector import ItemQuery, PublishedTable, SortKey

__all__ = ["StoreProvider"]


@contextmanager
def _as_pygeoapi() -> Iterator[None]:
    """Our errors as those that pygeoapi maps to a status."""
    try:
        yield
    except NotFound as error:
        raise ProviderItemNotFoundError(user_msg=str(error)) from error
    except UserError as error:
        raise ProviderInvalidQueryError(user_msg=str(error)) from error
    except ServiceUnavailable as error:
        raise ProviderConnectionError(user_msg=str(error)) from error
    except SpatialError as error:
        raise ProviderGenericError(user_msg=str(error)) from error


class StoreProvider(BaseProvider):
    """A published vector layer; ``data`` of the provider definition is the layer id."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        super().__init__(provider_def)
        with _as_pygeoapi():
            self._storage = parse_crs(provider_def.get("storage_crs", STORAGE.uri))
            self._store = datastore()
            self._table: PublishedTable = self._store.snapshot().vector(str(self.data))
        self.get_fields()

    def get_fields(self) -> dict[str, Any]:
        """Fields as JSON Schema, titles in both languages."""
        if not self._fields:
            for field in self._table.layer.fields:
                schema = field_schema(field)
                title = f"{field.title.zh} / {field.title.en}"
                self._fields[field.name] = {
                    **{k: v for k, v in schema.items() if k in {"type", "format", "enum"}},
                    "title": title,
                }
        return dict(self._fields)

    def query(
        self,
        offset: int = 0,
        limit: int = 10,
        resulttype: str = "results",
        bbox: list[float] | None = None,
        datetime_: str | None = None,
        properties: list[tuple[str, str]] | None = None,
        sortby: list[dict[str, str]] | None = None,
        select_properties: list[str] | None = None,
        skip_geometry: bool = False,
        q: str | None = None,
        filterq: Any = None,
        crs_transform_spec: Any = None,
        **_: Any,
    ) -> dict[str, Any]:
        """A page of features as a GeoJSON dictionary."""
        layer = self._table.layer
        with _as_pygeoapi():
            equals, conditions = property_conditions(layer, dict(properties or ()))
            if filterq is not None:
                conditions.append(to_cql2(filterq))
            wanted = ItemQuery(
                limit=max(limit, 1),
                offset=offset,
                area=bbox_polygon(bbox, self._storage) if bbox else None,
                interval=parse_datetime(datetime_) if datetime_ and layer.time_field else None,
                equals=equals,
                cql2=joined(conditions),
                filter_crs=self._storage,
                crs=self._target(crs_transform_spec),
                properties=tuple(select_properties) if select_properties else None,
                skip_geometry=skip_geometry,
                sort=tuple(SortKey(key["property"], key.get("order") == "-") for key in sortby or ()),
                search=read_search(q) if q else (),
            )
            vectors = self._store.vectors
            found: dict[str, Any] = {"type": "FeatureCollection", "features": [], "numberReturned": 0}
            exact = resulttype == "hits" or self._table.count <= self._store.settings.count_exact_below
            if not wanted.is_filtered:
                found["numberMatched"] = self._table.count
            elif exact:
                found["numberMatched"] = vectors.count(self._table, replace(wanted, offset=0))
            if resulttype == "hits":
                return found
            page = vectors.page(self._table, wanted)
            found["features"] = [json.loads(text) for text in page.features]
            found["numberReturned"] = len(page.features)
            return found

    def get(self, identifier: str, crs_transform_spec: Any = None, **_: Any) -> dict[str, Any]:
        """One feature as a GeoJSON dictionary."""
        with _as_pygeoapi():
            fid = feature_id(str(identifier))
            if fid is None:
                raise FeatureNotFound(
                    f"没有要素 {str(identifier)[:40]!r}",
                    f"no feature {str(identifier)[:40]!r}",
                    layer=self._table.layer.id,
                )
            found: dict[str, Any] = json.loads(
                self._store.vectors.item(self._table, fid, self._target(crs_transform_spec))
            )
            return found

    def _target(self, spec: Any) -> ServedCRS:
        """CRS of the answer; pygeoapi gives no specification where it equals the storage CRS."""
        return self._storage if spec is None else parse_crs(spec.target_crs_uri)

    def __repr__(self) -> str:
        return f"<StoreProvider> {self.data}"
