"""Editing one feature of a published layer (要素编辑): who may, from which state, and how it becomes a version.

Published versions are immutable, so every edit makes a new one: ``2026.1-r57`` is version ``2026.1`` as edited by edit 57.
Readers see the old version or the new one; a page's ``next`` link stays in the version that it began with.

An edit holds the lock of its layer over all processes from reading the feature to flipping the current version. The flip
also checks that the version that was edited still is the current one, so a publication in between is not lost either. The
store writes first, then one transaction of the state adds the version, its audit and the flip: whatever dies in between,
readers have the old version.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import orjson

from spatial.crs import CRS84, ServedCRS
from spatial.errors import (
    FeatureNotFound,
    InvalidParameter,
    NotAuthenticated,
    PreconditionFailed,
    PreconditionRequired,
    QualityViolation,
    StoreUnavailable,
)
from spatial.store.editing_rules import Faults, check_rules, read_geometry, read_properties, read_value, require_all
from spatial.store.state import AuditEntry, StaleVersion, utc_now
from spatial.store.vector import PublishedTable, RowChange
from spatial.store.window import read_window

if TYPE_CHECKING:
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

__all__ = ["GUARD", "Action", "Conditions", "Edited", "Editor", "edit_feature", "identify_editor", "state_of"]

Action = Literal["create", "replace", "update", "delete"]
GUARD = timedelta(minutes=30)
"""How long the change of one editor is safe from another one who does not say which state he changes."""
DEEPEST = 64
"""Most levels of objects in a merge patch."""
_ATTEMPTS = 3
_TAG = re.compile(r'\s*(W/)?"([^"\x00-\x20]*)"\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits: the name given with the key, and the network address."""

    principal: str | None
    address: str | None

    def made(self, entry: AuditEntry) -> bool:
        """True if this editor made a change: by name where there is one, else by address."""
        if self.principal or entry.principal:
            return self.principal == entry.principal
        return self.address == entry.address


def identify_editor(settings: Settings, authorization: str | None, address: str | None) -> Editor:
    """The editor behind a request, where editing is on.

    The key comes as ``Bearer KEY`` or as the password of ``Basic``, whose user name is the name in the audit. Without keys
    (``ONEMAP_EDIT=open``) a name is taken as it is given.

    Raises
    ------
    NotAuthenticated
        Without the right key.
    """
    scheme, _, given = (authorization or "").partition(" ")
    name, key = None, given.strip()
    if scheme.lower() == "basic":
        try:
            name, _, key = b64decode(given.strip(), validate=True).decode("utf-8").partition(":")
        except ValueError:
            key = ""
        name = (name or "").strip()[:100] or None
    if settings.edit == "key":
        expected = "" if settings.edit_key is None else settings.edit_key.get_secret_value()
        if not expected or not hmac.compare_digest(key.encode(), expected.encode()):
            raise NotAuthenticated(
                "编辑需要密钥：请用 Authorization: Bearer <密钥>，或 Basic 认证（用户名为编辑者，密码为密钥）",
                "editing needs the key: send Authorization: Bearer <key>, or Basic with your name and the key as password",
            )
    return Editor(name, address)


def state_of(feature: str) -> str:
    """Name of the state of a feature, from its GeoJSON text in CRS84."""
    return blake2b(feature.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Conditions:
    """``If-Match`` and ``If-None-Match`` of a request.

    The entity tag of a feature is ``"state-representation"``: the first part names the state of the feature, which all its
    representations share, and only it is compared.
    """

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, state: str | None, layer_id: str, fid: int) -> None:
        """Raise `PreconditionFailed` if the feature (`state`; None: it does not exist) is not as the headers say.

        Source: RFC 9110 §13.1.1 (strong comparison) and §13.1.2 (weak comparison).
        """
        if self.if_match is not None:
            strong = {tag for weak, tag in _tags("If-Match", self.if_match) if not weak}
            fits = state is not None and ("*" in strong or state in {tag.partition("-")[0] for tag in strong})
            if not fits:
                raise PreconditionFailed(
                    f"图层 {layer_id} 的要素 {fid} 在读取后已被他人修改或删除，未写入；请重新读取，合并后用新的 ETag 再试",
                    f"feature {fid} of layer {layer_id} was changed or deleted since it was read, nothing was written; "
                    "read it again, merge, and send its new ETag",
                    layer=layer_id,
                    feature=fid,
                )
        if self.if_none_match is not None and state is not None:
            held = {tag.partition("-")[0] for _, tag in _tags("If-None-Match", self.if_none_match)}
            if "*" in held or state in held:
                raise PreconditionFailed(
                    f"图层 {layer_id} 的要素 {fid} 已是 If-None-Match 所列的状态，未写入",
                    f"feature {fid} of layer {layer_id} is in a state that If-None-Match lists, nothing was written",
                    layer=layer_id,
                    feature=fid,
                )


def _tags(header: str, text: str) -> list[tuple[bool, str]]:
    """Entity tags of a header: weak or not, and the opaque text; ``*`` as it is."""
    if text.strip() == "*":
        return [(False, "*")]
    found, at = [], 0
    while at < len(text):
        match = _TAG.match(text, at)
        if match is None:
            raise InvalidParameter(
                f'{header} 应为带引号的 ETag（如 "3f…-9a…"）或 *，收到 {text[:80]!r}',
                f'{header} must be quoted entity tags such as "3f…-9a…", or *, got {text[:80]!r}',
                parameter=header,
                value=text[:200],
            )
        found.append((match[1] is not None, match[2]))
        at = match.end()
    return found


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit made: the new version, the feature in it, and its state (None: deleted)."""

    table: PublishedTable
    fid: int
    state: str | None


@dataclass(frozen=True, slots=True)
class _Current:
    text: str
    state: str


def edit_feature(
    datastore: DataStore,
    layer_id: str,
    action: Action,
    fid: int | None,
    document: Mapping[str, Any],
    crs: ServedCRS,
    conditions: Conditions,
    editor: Editor,
) -> Edited:
    """Create, replace, update or delete one feature, as one version.

    Parameters
    ----------
    fid : int or None
        The feature; None to create one.
    document : mapping
        GeoJSON feature; for an update only the members to change (RFC 7396); empty to delete.
    crs : ServedCRS
        CRS of the coordinates of `document`, in their wire order.

    Raises
    ------
    FeatureNotFound, PreconditionFailed, PreconditionRequired, InvalidFeature, QualityViolation, StoreUnavailable
    """
    for _ in range(_ATTEMPTS):
        with datastore.state.editing(layer_id):
            snapshot = datastore.snapshot()
            table = snapshot.vector(layer_id)
            work = _Edit(datastore, table, action, fid, crs, editor)
            try:
                return work.run(document, conditions, snapshot.revision + 1)
            except StaleVersion:
                continue
    raise StoreUnavailable(
        f"图层 {layer_id} 正在发布新版本，请稍后重试",
        f"a new version of layer {layer_id} is being published; try again",
        layer=layer_id,
    )


class _Edit:
    """One edit of one version, under the lock of the layer."""

    def __init__(
        self,
        datastore: DataStore,
        table: PublishedTable,
        action: Action,
        fid: int | None,
        crs: ServedCRS,
        editor: Editor,
    ) -> None:
        self.datastore, self.store, self.table = datastore, datastore.vectors, table
        self.layer, self.action, self.fid = table.layer, action, fid
        self.crs, self.editor = crs, editor

    def run(self, document: Mapping[str, Any], conditions: Conditions, edit: int) -> Edited:
        current = None if self.fid is None else self._current(self.fid, conditions)
        change = self._change(document, current)
        state = self.datastore.state
        made = self.store.edit(
            self.table,
            edit,
            [change],
            lambda number: state.version(self.layer.id, self.table.edited_version(number)) is not None,
        )
        after = None if change.row is None else self.store.item(made, change.fid, CRS84)
        name = None if after is None else state_of(after)
        entry = AuditEntry(
            at=utc_now(),
            layer_id=self.layer.id,
            base_version=self.table.version,
            version=made.version,
            fid=change.fid,
            action=self.action,
            principal=self.editor.principal,
            address=self.editor.address,
            before_hash=None if current is None else current.state,
            after_hash=name,
            before=None if current is None else orjson.loads(current.text),
            after=None if after is None else orjson.loads(after),
        )
        try:
            self.datastore.publish_edit(self.table, made, [entry])
        except BaseException:
            if made.table != self.table.table:
                self.store.drop(made)
            raise
        return Edited(made, change.fid, name)

    # --- the state that is changed ----------------------------------------------------------------------------------

    def _current(self, fid: int, conditions: Conditions) -> _Current:
        try:
            text = self.store.item(self.table, fid, CRS84)
        except FeatureNotFound:
            conditions.check(None, self.layer.id, fid)
            raise
        current = _Current(text, state_of(text))
        conditions.check(current.state, self.layer.id, fid)
        if conditions.if_match is None:
            self._guard(fid)
        return current

    def _guard(self, fid: int) -> None:
        """An edit that does not say which state it changes may not undo the work of somebody else."""
        layer = self.layer
        if layer.locking == "required":
            reason = ("本图层要求", "the layer requires it")
        else:
            last = last_change(self.datastore, layer.id, fid)
            if last is None or self.editor.made(last) or _age(last.at) > GUARD:
                return
            minutes = int(GUARD.total_seconds() // 60)
            reason = (f"他人在 {minutes} 分钟内改过该要素", f"somebody else changed it within {minutes} minutes")
        raise PreconditionRequired(
            f"修改图层 {layer.id} 的要素 {fid} 需要 If-Match（{reason[0]}）：请先读取该要素，再以其 ETag 作为 If-Match 发送",
            f"changing feature {fid} of layer {layer.id} needs If-Match ({reason[1]}): "
            "read the feature and send its ETag as If-Match",
            layer=layer.id,
            feature=fid,
        )

    # --- the state that it becomes ----------------------------------------------------------------------------------

    def _change(self, document: Mapping[str, Any], current: _Current | None) -> RowChange:
        if self.action == "delete":
            assert self.fid is not None
            self._require_some_left()
            return RowChange(self.fid, None)
        faults = Faults(self.layer)
        if self.action == "update":
            assert current is not None
            values, geometry = self._merged(document, current, faults)
        else:
            properties = document.get("properties")
            values = read_properties(self.layer, properties if isinstance(properties, Mapping) else {}, faults)
            geometry = self._geometry(document.get("geometry"), faults)
        fid = self._identify(values, faults)
        require_all(self.layer, values, faults)
        check_rules(self.store, self.table, self.fid, values, geometry, faults)
        faults.settle()
        import shapely

        return RowChange(fid, (fid, shapely.to_wkb(geometry), *(values[f.name] for f in self.layer.fields)))

    def _geometry(self, document: Any, faults: Faults) -> Any:
        window = read_window(self.datastore.settings.layers_dir) if self.layer.quality.within_window else None
        return read_geometry(self.table, document, self.crs, window, faults)

    def _merged(self, patch: Mapping[str, Any], current: _Current, faults: Faults) -> tuple[dict[str, Any], Any]:
        """Values and geometry after a merge patch; what it does not name stays exactly as it is stored."""
        import shapely

        held = orjson.loads(current.text)
        values = {f.name: read_value(f, held["properties"][f.name]) for f in self.layer.fields}
        changes = patch.get("properties", {})
        if changes is None or not isinstance(changes, Mapping):
            faults.add("properties", "应为对象", "must be an object")
            changes = {}
        values |= read_properties(self.layer, changes, faults)
        if "geometry" not in patch:
            return values, shapely.from_geojson(orjson.dumps(held["geometry"]))
        if self.crs.projected or self.crs.latitude_first:
            held = orjson.loads(self.store.item(self.table, held["id"], self.crs))
        return values, self._geometry(merge_patch(held["geometry"], patch["geometry"]), faults)

    def _identify(self, values: dict[str, Any], faults: Faults) -> int:
        """Id of the feature; where a field of the layer is the id, both agree."""
        name = self.layer.id_field
        new = self._next_fid() if self.fid is None else self.fid
        if name is None:
            return new
        given = values.get(name)
        if given is None:
            faults.found = [f for f in faults.found if f["property"] != name]
            values[name] = new
            return new
        if self.fid is not None and given != self.fid:
            faults.add(
                name,
                f"是要素编号，不能改（应为 {self.fid}）",
                f"is the feature id and cannot be changed from {self.fid}",
            )
            return new
        if self.fid is None:
            if not isinstance(given, int | float) or given != int(given) or not 0 <= given < 2**63:
                faults.add(name, "是要素编号，应为非负整数", "is the feature id and must be an integer of at least 0")
                return new
            if self._exists(int(given)):
                faults.add(name, f"的值 {int(given)} 已被使用", f"has the value {int(given)}, which is taken")
        return int(given)

    def _exists(self, fid: int) -> bool:
        try:
            self.store.item(self.table, fid, CRS84)
        except FeatureNotFound:
            return False
        return True

    def _next_fid(self) -> int:
        last = self.table.last_fid
        if last is None:  # published before ids were kept
            from spatial.store.vector import ItemQuery

            last = int(self.store.frame(self.table, ItemQuery(properties=())).index.max())
        return last + 1

    def _require_some_left(self) -> None:
        least = max(1, self.layer.quality.min_features)
        if self.table.count - 1 < least:
            raise QualityViolation(
                f"图层 {self.layer.id} 至少应有 {least} 个要素，未删除",
                f"layer {self.layer.id} must keep at least {least} features, nothing was deleted",
                layer=self.layer.id,
            )


def merge_patch(target: Any, patch: Any, *, depth: int = 0) -> Any:
    """JSON Merge Patch.

    Raises
    ------
    InvalidParameter
        Objects nested deeper than `DEEPEST`.

    Source: RFC 7396 §2.

    >>> merge_patch({"a": "b", "c": {"d": "e", "f": "g"}}, {"a": "z", "c": {"f": None}})
    {'a': 'z', 'c': {'d': 'e'}}
    """
    if not isinstance(patch, Mapping):
        return patch
    if depth >= DEEPEST:
        raise InvalidParameter(
            f"请求体嵌套超过 {DEEPEST} 层", f"the body nests objects more than {DEEPEST} deep", parameter="body"
        )
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value, depth=depth + 1)
    return merged


def last_change(datastore: DataStore, layer_id: str, fid: int) -> AuditEntry | None:
    """The last audited change of a feature."""
    from sqlalchemy import select

    with datastore.state.session() as session:
        query = select(AuditEntry).where(AuditEntry.layer_id == layer_id, AuditEntry.fid == fid)
        return session.scalars(query.order_by(AuditEntry.id.desc()).limit(1)).first()


def changes(
    datastore: DataStore, *, layer_id: str | None, fid: int | None, before: int | None, limit: int
) -> list[AuditEntry]:
    """Audited changes, the newest first; `before` is the id of the last one of the page before."""
    from sqlalchemy import select

    query = select(AuditEntry)
    if layer_id is not None:
        query = query.where(AuditEntry.layer_id == layer_id)
    if fid is not None:
        query = query.where(AuditEntry.fid == fid)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    with datastore.state.session() as session:
        return list(session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit)).all())


def _age(at: datetime) -> timedelta:
    return utc_now() - at
