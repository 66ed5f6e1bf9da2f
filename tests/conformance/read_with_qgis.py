"""Read a running service with QGIS, without a screen; for the Python that QGIS is installed for, not for the project's.

    QT_QPA_PLATFORM=offscreen /usr/bin/python3 read_with_qgis.py http://127.0.0.1:8000 project.qgz

Builds a project of every collection (OGC API Features), one vector tile layer and WMTS layers, saves it, opens the saved
file in a fresh project, and prints as JSON what that project's layers hold.
"""

import json
import sys
import urllib.parse
import urllib.request

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDataSourceUri,
    QgsFeatureRequest,
    QgsGeometry,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsPointXY,
    QgsProject,
    QgsRaster,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
    QgsVectorTileLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QDate, QDateTime, QSize, Qt

BOX = (114.0, 30.0, 115.0, 31.0)
PAGE = 200
WMTS_SETS = {
    "WebMercatorQuad": "EPSG:3857",
    "WorldCRS84Quad": "EPSG:4326",
    "CGCS2000Quad": "EPSG:4490",
    "c": "EPSG:4490",
    "CGCS2000_3GK_CM114": "EPSG:4547",
}
BOXES = {
    "EPSG:3857": (12635000, 3513000, 12813000, 3662000),
    "EPSG:4547": (452000, 3320000, 605000, 3497000),
}
"""Map of a layer in a projected CRS; the others have degrees."""
WMS_CRS = ("EPSG:4326", "EPSG:4490", "EPSG:3857", "EPSG:4547")
ASKED = (114.3, 30.6)
"""Where the maps are asked what they show, longitude first."""


def get(address):
    """A JSON document."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def oapif_layer(server, collection):
    """A collection as the data source manager of QGIS adds it."""
    uri = QgsDataSourceUri()
    uri.setParam("url", server + "/ogc")
    uri.setParam("typename", collection["id"])
    uri.setParam("pageSize", str(PAGE))
    uri.setParam("restrictToRequestBBOX", "0")
    return QgsVectorLayer(uri.uri(False), collection["title"], "OAPIF")


def wmts_layer(server, layer_id, tms, crs):
    """A WMTS layer as the data source manager adds it."""
    parameters = {
        "contextualWMSLegend": "0",
        "crs": crs,
        "dpiMode": "7",
        "featureCount": "10",
        "format": "image/png",
        "layers": layer_id,
        "styles": "default",
        "tileMatrixSet": tms,
        "url": server + "/tiles/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
    }
    return QgsRasterLayer(urllib.parse.urlencode(parameters), f"wmts-{layer_id}-{tms}", "wms")


def wms_layer(server, layer_id, crs):
    """A WMS layer as the data source manager adds it."""
    parameters = {
        "contextualWMSLegend": "0",
        "crs": crs,
        "dpiMode": "7",
        "featureCount": "10",
        "format": "image/png",
        "layers": layer_id,
        "styles": "",
        "url": server + "/tiles/wms",
    }
    return QgsRasterLayer(urllib.parse.urlencode(parameters), f"wms-{layer_id}-{crs}", "wms")


def identified(layer, crs, form):
    """What the identify tool of QGIS finds at `ASKED`: attributes and where the geometry lies, in longitude and latitude."""
    ours = QgsCoordinateReferenceSystem("EPSG:4490")
    there = QgsCoordinateTransform(ours, QgsCoordinateReferenceSystem(crs), QgsProject.instance())
    place = there.transform(QgsPointXY(*ASKED))
    reach = 0.05 if layer.crs().isGeographic() else 5000
    box = QgsRectangle(place.x() - reach, place.y() - reach, place.x() + reach, place.y() + reach)
    answer = layer.dataProvider().identify(place, form, box, 101, 101)
    found = {"valid": answer.isValid(), "features": [], "texts": []}
    for value in answer.results().values():
        if form != QgsRaster.IdentifyFormatFeature:
            found["texts"].append(value if isinstance(value, str) else "".join(map(str, value)))
            continue
        for store in value if isinstance(value, list) else []:
            for feature in store.features():
                names = [field.name() for field in feature.fields()]
                back = QgsCoordinateTransform(store.crs(), ours, QgsProject.instance())
                geometry = feature.geometry()
                geometry.transform(back)
                found["features"].append(
                    {
                        "properties": dict(zip(names, map(plain, feature.attributes()), strict=True)),
                        "holds": geometry.contains(QgsPointXY(*ASKED)),
                        "near": geometry.distance(QgsGeometry.fromPointXY(QgsPointXY(*ASKED))),
                    }
                )
    return found


def vector_tiles(server, layer_id):
    """A vector tile layer by an XYZ address."""
    address = f"{server}/tiles/{layer_id}/WebMercatorQuad/{{z}}/{{x}}/{{y}}.mvt"
    uri = urllib.parse.urlencode({"type": "xyz", "url": address, "zmin": "0", "zmax": "14"}, safe=":/{}")
    return QgsVectorTileLayer(uri, "tiles-" + layer_id)


def plain(value):
    """A value of an attribute as JSON holds it."""
    if isinstance(value, QDate):
        return value.toString(Qt.ISODate)
    if isinstance(value, QDateTime):
        return value.toUTC().toString(Qt.ISODate)
    if value is None or (hasattr(value, "isNull") and value.isNull()):
        return None
    return value


def describe(layer):
    """What a vector layer holds, read feature by feature."""
    names = [field.name() for field in layer.fields()]
    features = []
    extent = QgsRectangle()
    extent.setMinimal()
    for feature in layer.getFeatures():
        geometry = feature.geometry()
        extent.combineExtentWith(geometry.boundingBox())
        attributes = [plain(v) for v in feature.attributes()]
        features.append([attributes, geometry.asWkb().toHex().data().decode()])
    request = QgsFeatureRequest().setFilterRect(QgsRectangle(*BOX)).setFlags(QgsFeatureRequest.ExactIntersect)
    return {
        "title": layer.name(),
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "geometry": QgsWkbTypes.displayString(layer.wkbType()),
        "declared_extent": rectangle(layer.extent()),
        "extent": rectangle(extent),
        "counted": layer.featureCount(),
        "fields": {field.name(): field.typeName() for field in layer.fields()},
        "names": names,
        "features": features,
        "in_box": sum(1 for _ in layer.getFeatures(request)),
    }


def rectangle(box):
    """West, south, east, north."""
    return [box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()]


def count(layer, expression):
    """Number of features that an attribute filter of the layer leaves."""
    accepted = layer.setSubsetString(expression)
    found = [f["name"] for f in layer.getFeatures()]
    layer.setSubsetString("")
    return {"accepted": accepted, "names": found}


def picture(layer, crs, box, size=256):
    """Share of drawn pixels, and the colour in the middle, of a map of one layer."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem(crs))
    settings.setExtent(QgsRectangle(*box))
    settings.setOutputSize(QSize(size, size))
    settings.setBackgroundColor(Qt.transparent)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    drawn = sum(image.pixelColor(x, y).alpha() > 0 for x in range(0, size, 4) for y in range(0, size, 4))
    middle = image.pixelColor(size // 2, size // 2)
    return {
        "drawn": drawn / (size / 4) ** 2,
        "middle": [middle.red(), middle.green(), middle.blue(), middle.alpha()],
        "errors": [str(e.message) for e in job.errors()],
    }


def identify_all(server):
    """The identify tool on areas, lines and a raster, in every CRS and form; of features QGIS asks in GML by itself."""
    forms = {
        "feature": QgsRaster.IdentifyFormatFeature,
        "html": QgsRaster.IdentifyFormatHtml,
        "text": QgsRaster.IdentifyFormatText,
    }
    found = {}
    for layer_id in ("counties", "rivers", "landcover"):
        for crs in WMS_CRS:
            layer = wms_layer(server, layer_id, crs)
            for name, form in forms.items():
                found[f"{layer_id} {crs} {name}"] = (
                    identified(layer, crs, form) if layer.isValid() else {"valid": False}
                )
    return found


def main(server, path):
    """Build, save, open again, read."""
    project = QgsProject.instance()
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:4490"))
    collections = [c for c in get(server + "/ogc/collections")["collections"] if c["itemType"] == "feature"]
    for collection in collections:
        layer = oapif_layer(server, collection)
        layer.setCustomProperty("collection", collection["id"])
        project.addMapLayer(layer)
    project.addMapLayer(vector_tiles(server, "counties"))
    for tms, crs in WMTS_SETS.items():
        project.addMapLayer(wmts_layer(server, "landcover", tms, crs))
    if not project.write(path):
        raise SystemExit("the project cannot be written: " + path)
    project.clear()

    if not project.read(path):
        raise SystemExit("the project cannot be read again: " + path)
    found = {"qgis": Qgis.QGIS_VERSION, "collections": {}, "pictures": {}, "filters": {}}
    for layer in project.mapLayers().values():
        if isinstance(layer, QgsVectorLayer):
            collection_id = layer.customProperty("collection")
            found["collections"][collection_id] = describe(layer)
            if collection_id == "river-gauges":
                for expression in ("\"river\" = '长江'", "\"name\" LIKE '%口%'", "\"valid_from\" >= '2023-01-01'"):
                    found["filters"][expression] = count(layer, expression)
            continue
        if not layer.isValid():
            found["pictures"][layer.name()] = {"valid": False}
            continue
        box = BOXES.get(layer.crs().authid(), (113.5, 30.0, 115.1, 31.6))
        found["pictures"][layer.name()] = {
            "valid": True,
            "crs": layer.crs().authid(),
            "extent": rectangle(layer.extent()),
            **picture(layer, layer.crs().authid(), box),
        }
    found["identified"] = identify_all(server)
    print(json.dumps(found, ensure_ascii=True))


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    try:
        main(sys.argv[1].rstrip("/"), sys.argv[2])
    finally:
        QgsProject.instance().clear()
        application.exitQgis()
