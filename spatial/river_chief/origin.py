"""Where a case comes from (图斑来源): an alert feature of a published layer or a geometry by hand, and its two sides."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from spatial.errors import FeatureNotFound, InvalidParameter, LayerNotFound
from spatial.river_chief.candidates import filled
from spatial.river_chief.shapes import read_shape
from spatial.scenes.chips import chip_box
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    from spatial.river_chief.matching import Matcher
    from spatial.river_chief.requests import CaseRequest, Side
    from spatial.river_chief.rules import DeskRules
    from spatial.store.datastore import DataStore

__all__ = ["case_origin", "side_document"]


def case_origin(
    datastore: DataStore, given: CaseRequest, matcher: Matcher, rules: DeskRules
) -> tuple[Any, dict[str, Any], CaseRequest]:
    """Geometry and origin of a new case, and the request filled from its alert feature.

    Raises
    ------
    InvalidParameter, InvalidFeature, UnknownCRS, LayerNotFound, FeatureNotFound
    """
    empty = dict.fromkeys(("source_layer", "source_version", "source_feature", "source_key"))
    if (given.source is None) == (given.geometry is None):
        raise InvalidParameter(
            "请给出 source（由预警要素下发）或 geometry（手工下发），二者取一",
            "give either source (an alert feature) or geometry (by hand)",
            parameter="geometry",
        )
    if given.source is None:
        folder = datastore.settings.layers_dir
        return read_shape(given.geometry, given.crs, folder, kind="MultiPolygon", what="geometry"), empty, given
    if given.crs is not None:
        raise InvalidParameter("crs 只与 geometry 同用", "crs goes with geometry only", parameter="crs")
    layer = given.source.layer
    if not rules.is_candidate_layer(layer):
        raise InvalidParameter(
            f"图层 {layer[:60]!r} 的要素不可下发为图斑；可用的图层见 rules/river_chief.yml 的 layers.candidates",
            f"features of layer {layer[:60]!r} cannot be issued as cases; see layers.candidates in rules/river_chief.yml",
            parameter="source.layer",
        )
    table = datastore.snapshot().vector(layer)
    matcher.synthetic = matcher.synthetic or table.layer.synthetic is not None
    rows = datastore.vectors.frame(table, ItemQuery(ids=(given.source.feature,)))
    if rows.empty:
        raise FeatureNotFound(
            f"图层 {layer} 没有要素 {given.source.feature}", f"layer {layer} has no feature {given.source.feature}",
            layer=layer, feature=given.source.feature,
        )  # fmt: skip
    import shapely

    shape = rows.geometry.iloc[0]
    if shapely.get_dimensions(shape) != 2:
        raise InvalidParameter(
            f"图层 {layer} 的要素 {given.source.feature} 不是面", f"feature {given.source.feature} of {layer} is no polygon",
            parameter="source",
        )  # fmt: skip
    if shape.geom_type == "Polygon":
        shape = shapely.multipolygons([shape])
    feature = str(given.source.feature)
    source = {
        "source_layer": layer, "source_version": table.version, "source_feature": feature,
        "source_key": f"{layer}@{table.version}#{feature}",
    }  # fmt: skip
    return shape, source, filled(given, rows.iloc[0], table.layer, rules)


def side_document(datastore: DataStore, side: Side, day: date | None, shape: Any) -> dict[str, Any]:
    """One side of the comparison, with the address of its picture where a raster layer is named; raises `LayerNotFound`."""
    import shapely

    found: dict[str, Any] = {
        "date": day and day.isoformat(), "layer": side.layer, "version": None,
        "collection": side.collection, "scene": side.scene,
    }  # fmt: skip
    if side.layer is None:
        return found | {"image": None, "bbox": None}
    published = datastore.snapshot().published(side.layer)
    if published is None or isinstance(published, PublishedTable):
        raise LayerNotFound(
            f"图层 {side.layer} 不是已发布的栅格，不能作前后影像",
            f"layer {side.layer} is no published raster and cannot show before or after",
            layer=side.layer,
        )
    west, south, east, north = (float(v) for v in shapely.bounds(shape))
    box = list(chip_box((west, south, east, north)))
    return found | {
        "version": published.version,
        "bbox": box,
        "image": f"/ogc/collections/{side.layer}/map?bbox={','.join(map(str, box))}&width=360&height=360&f=png",
    }
