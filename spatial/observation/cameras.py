"""Cameras (视频点位): where they stand and look, and their view links; registered and changed by checked requests only.

The layer holds position, azimuth, field of view, height, status and a view link. The link is a text for people and players:
this server never opens it. Only the schemes of the rules are taken, no user names or passwords, and a link that came into
the layer another way and does not fit is not passed on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spatial.crs import CRS84, parse_crs
from spatial.errors import FeatureNotFound, InvalidFeature, InvalidParameter, LayerNotFound, StepNotAllowed
from spatial.store.editing import Conditions, edit_feature

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.observation.rules import ObservationRules
    from spatial.store.datastore import DataStore
    from spatial.store.editing import Edited, Editor

__all__ = [
    "CameraProperties", "camera_feature", "camera_features", "camera_layer", "change_camera", "link_fault",
    "register_camera",
]  # fmt: skip

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
Text200 = Annotated[str, Field(min_length=1, max_length=200)]


class CameraProperties(BaseModel):
    """What is said of a camera; those of a change are all optional."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: Annotated[str, Field(pattern=_CODE)]
    name: Text200
    water: Annotated[str, Field(max_length=100)] | None = None
    azimuth_deg: Annotated[float, Field(ge=0, lt=360, allow_inf_nan=False)] | None = None
    fov_deg: Annotated[float, Field(gt=0, le=360, allow_inf_nan=False)] | None = None
    height_m: Annotated[float, Field(ge=0, le=500, allow_inf_nan=False)] | None = None
    range_m: Annotated[float, Field(gt=0, le=20_000, allow_inf_nan=False)] | None = None
    status: Literal["online", "offline", "maintenance"] = "online"
    stream: Annotated[str, Field(max_length=500)] | None = None


def camera_layer(datastore: DataStore, rules: ObservationRules) -> Layer:
    """The published layer of cameras.

    Raises
    ------
    LayerNotFound
    """
    layer_id = rules.cameras.layer
    for layer in datastore.snapshot().layers():
        if layer.id == layer_id and layer.series == "snapshots":
            return layer
    raise LayerNotFound(
        f"视频点位图层 {layer_id} 未发布；请运行 onemap layers publish {layer_id}",
        f"the layer of cameras {layer_id} is not published; run: onemap layers publish {layer_id}",
        layer=layer_id,
    )


def link_fault(link: str, schemes: tuple[str, ...]) -> tuple[str, str] | None:
    """Why a view link is not taken, zh and en; None if it is.

    Examples
    --------
    >>> link_fault("https://video.example.cn/1", ("https", "rtsp"))
    >>> link_fault("javascript:alert(1)", ("https", "rtsp"))[1]
    'has the scheme javascript; use https, rtsp'
    """
    if re.search(r"[\x00-\x20\x7f\\<>\"]", link):
        return "含空白或控制字符", "holds blanks or control characters"
    try:
        parts = urlsplit(link)
        _ = parts.port
    except ValueError:
        return "不是合法地址", "is no address"
    if parts.scheme.lower() not in schemes:
        shown = parts.scheme[:20] or "—"
        return f"的协议为 {shown}，可用：{'、'.join(schemes)}", f"has the scheme {shown}; use {', '.join(schemes)}"
    if not parts.hostname:
        return "没有主机", "has no host"
    if parts.username is not None or parts.password is not None:
        return "不得含用户名或口令", "must not hold a user name or password"
    return None


def camera_features(datastore: DataStore, rules: ObservationRules) -> list[dict[str, Any]]:
    """Every camera as a GeoJSON feature in CRS84; a link that does not fit is left out and ``stream_refused`` says why."""
    layer = camera_layer(datastore, rules)
    table = datastore.snapshot().vector(layer.id)
    from spatial.store.vector import ItemQuery

    page = datastore.vectors.page(table, ItemQuery(limit=10_000))
    return [_shown(orjson.loads(text), rules) for text in page.features]


def _shown(feature: dict[str, Any], rules: ObservationRules) -> dict[str, Any]:
    properties = feature["properties"]
    link = properties.get("stream")
    fault = None if not link else link_fault(link, rules.cameras.schemes)
    if fault is not None:
        properties["stream"] = None
        properties["stream_refused"] = {"zh": f"地址{fault[0]}", "en": f"the link {fault[1]}"}
    return feature


def camera_feature(datastore: DataStore, rules: ObservationRules, camera: str) -> dict[str, Any]:
    """One camera.

    Raises
    ------
    FeatureNotFound
        Lists the cameras that there are.
    """
    known = camera_features(datastore, rules)
    for feature in known:
        if feature["properties"].get("camera") == camera:
            return feature
    names = sorted(str(f["properties"].get("camera")) for f in known)
    raise FeatureNotFound(
        f"没有视频点 {camera[:60]!r}，现有：{'、'.join(names[:20]) or '无'}",
        f"no camera {camera[:60]!r}; there are {', '.join(names[:20]) or 'none'}",
        layer=rules.cameras.layer,
        allowed=names[:50],
    )


def _properties(given: Any, rules: ObservationRules) -> dict[str, Any]:
    """Checked properties of a whole camera; raises with every fault."""
    if not isinstance(given, dict):
        raise InvalidParameter("properties 应为对象", "properties must be an object", parameter="properties")
    try:
        checked = CameraProperties.model_validate(given)
    except ValidationError as error:
        problems = [
            {"member": ".".join(str(part) for part in e["loc"]) or "properties", "detail": e["msg"]}
            for e in error.errors()
        ][:20]
        text = "; ".join(f"{p['member']}: {p['detail']}" for p in problems[:5])
        raise InvalidFeature(
            f"视频点位有误：{text}", f"the camera does not fit: {text}", layer=rules.cameras.layer, problems=problems
        ) from error
    if checked.stream:
        fault = link_fault(checked.stream, rules.cameras.schemes)
        if fault is not None:
            raise InvalidFeature(
                f"查看地址 stream {fault[0]}",
                f"the view link stream {fault[1]}",
                layer=rules.cameras.layer,
                parameter="stream",
                problems=[{"member": "stream", "detail": fault[1]}],
            )
    return checked.model_dump()


def register_camera(datastore: DataStore, rules: ObservationRules, document: Any, editor: Editor) -> Edited:
    """Add a camera from a GeoJSON feature; ``crs`` beside it names another CRS than CRS84.

    Raises
    ------
    InvalidParameter, InvalidFeature
        A property that does not fit, a link that is not taken, a place outside the window (swapped axes).
    StepNotAllowed
        The code is taken.
    """
    if not isinstance(document, dict) or document.get("type") != "Feature":
        raise InvalidParameter("请求体应为 GeoJSON Feature", "the body must be a GeoJSON Feature", parameter="body")
    properties = _properties(document.get("properties"), rules)
    layer = camera_layer(datastore, rules)
    code = properties["camera"]
    crs = parse_crs(str(document["crs"])) if isinstance(document.get("crs"), str) else CRS84
    with datastore.state.editing(f"{layer.id}-register"):
        if any(f["properties"].get("camera") == code for f in camera_features(datastore, rules)):
            raise StepNotAllowed(
                f"视频点 {code} 已存在；修改请用 PATCH",
                f"camera {code} exists; to change it use PATCH",
                layer=layer.id,
                allowed=["PATCH"],
            )
        feature = {"type": "Feature", "geometry": document.get("geometry"), "properties": properties}
        return edit_feature(datastore, layer.id, "create", None, feature, crs, Conditions(), editor)


def change_camera(datastore: DataStore, rules: ObservationRules, camera: str, patch: Any, editor: Editor) -> Edited:
    """Change properties or the place of a camera; its code stays.

    Raises
    ------
    FeatureNotFound, InvalidParameter, InvalidFeature
    """
    if not isinstance(patch, dict) or not set(patch) <= {"type", "properties", "geometry", "crs"}:
        raise InvalidParameter(
            "请求体应含 properties 或 geometry", "the body must hold properties or geometry", parameter="body"
        )
    current = camera_feature(datastore, rules, camera)
    changes = patch.get("properties") or {}
    if not isinstance(changes, dict):
        raise InvalidParameter("properties 应为对象", "properties must be an object", parameter="properties")
    if changes.get("camera", camera) != camera:
        raise InvalidFeature(
            f"视频点编号 {camera} 不能改", f"the code {camera} of a camera cannot be changed", parameter="camera"
        )
    own = {name: current["properties"].get(name) for name in CameraProperties.model_fields}
    checked = _properties({k: v for k, v in {**own, **changes}.items() if v is not None or k in changes}, rules)
    document: dict[str, Any] = {"type": "Feature", "properties": {name: checked[name] for name in changes}}
    if "geometry" in patch:
        document["geometry"] = patch["geometry"]
    crs = parse_crs(str(patch["crs"])) if isinstance(patch.get("crs"), str) else CRS84
    return edit_feature(
        datastore, rules.cameras.layer, "update", int(current["id"]), document, crs, Conditions(if_match="*"), editor
    )
