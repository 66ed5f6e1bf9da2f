"""The one error tree, and the one map from an error to an HTTP status and an exit code.

::

    SpatialError                     ours               500  exit 1
    ├── UserError                    the caller's       400  exit 2
    │   ├── InvalidParameter
    │   ├── UnknownParameter
    │   ├── UnknownProperty
    │   ├── UnknownCRS
    │   ├── InvalidFilter
    │   ├── NotAuthenticated                            401
    │   ├── Forbidden                                   403
    │   ├── MethodNotAllowed                            405
    │   ├── NotAcceptable                               406
    │   ├── StepNotAllowed                              409
    │   ├── PreconditionFailed                          412
    │   ├── UnsupportedMediaType                        415
    │   ├── PreconditionRequired                        428
    │   ├── PayloadTooLarge                             413
    │   └── NotFound                                    404
    │       ├── LayerNotFound
    │       ├── VersionNotFound
    │       ├── FeatureNotFound
    │       ├── OutsideExtent
    │       ├── TileOutOfRange
    │       ├── ProcessNotFound
    │       ├── JobNotFound
    │       └── ResultNotReady
    ├── DataError                    the data's         422  exit 3
    │   ├── SourceUnreadable
    │   ├── LayerDefinitionInvalid
    │   ├── CRSMismatch
    │   ├── NodataMissing
    │   ├── LayerEmpty
    │   ├── QualityViolation
    │   ├── InvalidFeature
    │   └── GridMismatch
    ├── ServiceUnavailable           try again          503  exit 1
    │   ├── AnalysisUnavailable
    │   ├── StoreUnavailable
    │   └── LayerNotPublished
    ├── QueueFull                                       429  exit 1
    └── PortInUse                                       500  exit 1

A message says what is wrong, where (layer id, file, parameter) and what to do, in Chinese and in English.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "EXIT_CODES",
    "STATUS",
    "AnalysisUnavailable",
    "CRSMismatch",
    "DataError",
    "FeatureNotFound",
    "Forbidden",
    "GridMismatch",
    "InvalidFeature",
    "InvalidFilter",
    "InvalidParameter",
    "JobNotFound",
    "LayerDefinitionInvalid",
    "LayerEmpty",
    "LayerNotFound",
    "LayerNotPublished",
    "MethodNotAllowed",
    "NodataMissing",
    "NotAcceptable",
    "NotAuthenticated",
    "NotFound",
    "OutsideExtent",
    "PayloadTooLarge",
    "PortInUse",
    "PreconditionFailed",
    "PreconditionRequired",
    "ProcessNotFound",
    "QualityViolation",
    "QueueFull",
    "ResultNotReady",
    "ServiceUnavailable",
    "SourceUnreadable",
    "SpatialError",
    "StepNotAllowed",
    "StoreUnavailable",
    "TileOutOfRange",
    "UnknownCRS",
    "UnknownParameter",
    "UnknownProperty",
    "UnsupportedMediaType",
    "UserError",
    "VersionNotFound",
    "exit_code",
    "status",
]


class SpatialError(Exception):
    """Root of every error that this project raises on purpose.

    Parameters
    ----------
    zh, en : str
        One sentence each: what, where, what to do.
    layer : str, optional
        Id of the layer concerned.
    **details
        Extra members of the problem+json document, for example ``allowed=[...]``.

    Examples
    --------
    >>> e = InvalidParameter("limit 应为 1–10000", "limit must be 1–10000", parameter="limit", value="0")
    >>> e.problem()["status"], e.problem()["parameter"]
    (400, 'limit')
    """

    def __init__(self, zh: str, en: str, *, layer: str | None = None, **details: Any) -> None:
        super().__init__(f"{zh} / {en}")
        self.zh = zh
        self.en = en
        self.layer = layer
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (Dask workers); keyword arguments must survive the pickle.
        return (_rebuild, (type(self), self.zh, self.en, self.layer, self.details))

    def headers(self) -> dict[str, str]:
        """Headers that belong to the status of this error."""
        match status(self):
            case 401:
                return {"WWW-Authenticate": 'Basic realm="OneMap", charset="UTF-8", Bearer realm="OneMap"'}
            case 405:
                return {"Allow": ", ".join(self.details.get("allow", ()))}
            case 429 | 503:
                return {"Retry-After": "5"}
        return {}

    def problem(self) -> dict[str, Any]:
        """RFC 9457 document of this error (bilingual)."""
        name = type(self).__name__
        document: dict[str, Any] = {
            "type": f"urn:onemap:error:{name}",
            "title": name,
            "status": status(self),
            "detail": f"{self.zh} / {self.en}",
            "detail_zh": self.zh,
            "detail_en": self.en,
        }
        if self.layer is not None:
            document["layer"] = self.layer
        return document | self.details


def _rebuild(kind: type[SpatialError], zh: str, en: str, layer: str | None, details: dict[str, Any]) -> SpatialError:
    return kind(zh, en, layer=layer, **details)


class UserError(SpatialError):
    """The request cannot be carried out as it stands."""


class InvalidParameter(UserError):
    """A known parameter has a value outside its range or form."""


class UnknownParameter(UserError):
    """A parameter that this address does not have."""


class UnknownProperty(UserError):
    """A property that the layer does not have."""


class UnknownCRS(UserError):
    """A coordinate reference system (坐标参考系) that is not served."""


class InvalidFilter(UserError):
    """A CQL2 filter that cannot be parsed or is not allowed."""


class NotAuthenticated(UserError):
    """The request lacks a valid key (密钥)."""


class Forbidden(UserError):
    """Who asks is known, or need not be, but may not do this."""


class MethodNotAllowed(UserError):
    """The address does not take this HTTP method; ``allow`` lists those that it takes."""


class NotAcceptable(UserError):
    """No representation of the kind asked for."""


class StepNotAllowed(UserError):
    """The state of a thing does not allow this step now (状态冲突); ``allowed`` lists those that it allows."""


class PreconditionFailed(UserError):
    """The feature is no longer as the caller read it (``If-Match``)."""


class UnsupportedMediaType(UserError):
    """The request body is of a type that is not read here."""


class PreconditionRequired(UserError):
    """The request must say which state it changes (``If-Match``)."""


class PayloadTooLarge(UserError):
    """A request body or text over the limit."""


class NotFound(UserError):
    """Nothing stands at this address."""


class LayerNotFound(NotFound):
    """No layer (图层) of this id."""


class VersionNotFound(NotFound):
    """The layer has no such version (版本)."""


class FeatureNotFound(NotFound):
    """The layer has no feature (要素) of this id."""


class OutsideExtent(NotFound):
    """The box or geometry asked for lies outside the data (范围之外)."""


class TileOutOfRange(NotFound):
    """The tile (瓦片) lies outside the matrix or the layer."""


class ProcessNotFound(NotFound):
    """No process (处理) of this id."""


class JobNotFound(NotFound):
    """No job (任务) of this id."""


class ResultNotReady(NotFound):
    """The job has not finished, so it has no result yet."""


class DataError(SpatialError):
    """Data that break a rule."""


class SourceUnreadable(DataError):
    """A source file is missing, damaged or of an unknown format."""


class LayerDefinitionInvalid(DataError):
    """A layer YAML breaks ``layers/schema.json``."""


class CRSMismatch(DataError):
    """The CRS of a source is missing or not the declared one."""


class NodataMissing(DataError):
    """A raster without an explicit nodata value."""


class LayerEmpty(DataError):
    """A source without any feature or valid pixel."""


class QualityViolation(DataError):
    """The data break a quality rule (质检规则) of the layer."""


class InvalidFeature(DataError):
    """A feature sent for editing breaks the schema of its layer; ``problems`` lists every fault."""


class GridMismatch(DataError):
    """Rasters that do not lie on one grid; both grids are named."""


class ServiceUnavailable(SpatialError):
    """Something that the service needs is away; trying again can help."""


class StoreUnavailable(ServiceUnavailable):
    """The database or the file behind a layer cannot be reached."""


class LayerNotPublished(ServiceUnavailable):
    """The layer is defined, but no version of it is published yet."""


class AnalysisUnavailable(ServiceUnavailable):
    """An analysis is installed, but its code cannot be loaded; the others work."""


class QueueFull(SpatialError):
    """The bounded job queue has no place left."""


class PortInUse(SpatialError):
    """Another program listens on the port."""


STATUS: dict[type[SpatialError], int] = {
    SpatialError: 500,
    UserError: 400,
    NotAuthenticated: 401,
    Forbidden: 403,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    StepNotAllowed: 409,
    PreconditionFailed: 412,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    PreconditionRequired: 428,
    NotFound: 404,
    DataError: 422,
    ServiceUnavailable: 503,
    QueueFull: 429,
}
EXIT_CODES: dict[type[SpatialError], int] = {SpatialError: 1, UserError: 2, DataError: 3}


def _nearest(error: BaseException, table: dict[type[SpatialError], int]) -> int:
    return next((table[kind] for kind in type(error).__mro__ if kind in table), table[SpatialError])


def status(error: BaseException) -> int:
    """HTTP status of an error, by its nearest ancestor in `STATUS`.

    >>> status(TileOutOfRange("瓦片越界", "tile out of range")), status(KeyError("x"))
    (404, 500)
    """
    return _nearest(error, STATUS)


def exit_code(error: BaseException) -> int:
    """Exit code of the command line: 1 ours, 2 the user's, 3 the data's."""
    return _nearest(error, EXIT_CODES)
