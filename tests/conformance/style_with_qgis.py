"""Load style files on layers with QGIS, without a screen, and draw them; for the Python that QGIS is installed for.

    QT_QPA_PLATFORM=offscreen /usr/bin/python3 style_with_qgis.py jobs.json

``jobs.json`` is a list of ``{"id", "data", "qml", "sld", "bbox", "size", "png"}``; ``sld`` and ``png`` may be absent. Prints as
JSON what QGIS said of each style, and writes the picture in EPSG:4490, without smoothing and without labels.
"""

import json
import sys

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize, Qt


def draw(layer, bbox, size, path):
    """A picture of one layer."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4490"))
    settings.setExtent(QgsRectangle(*bbox))
    settings.setOutputSize(QSize(*size))
    settings.setOutputDpi(96)
    settings.setBackgroundColor(Qt.transparent)
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    settings.setFlag(QgsMapSettings.DrawLabeling, False)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(path)
    return [str(e.message) for e in job.errors()]


def main(path):
    """Do the jobs."""
    found = {}
    with open(path, encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        raster = job["data"].endswith(".tif")
        layer = QgsRasterLayer(job["data"], job["id"]) if raster else QgsVectorLayer(job["data"], job["id"], "ogr")
        said = {"valid": layer.isValid()}
        if "sld" in job:
            said["sld"] = list(layer.loadSldStyle(job["sld"]))
        said["qml"] = list(layer.loadNamedStyle(job["qml"]))
        said["renderer"] = layer.renderer().type()
        if not raster:
            said["rules"] = [rule.label() for rule in layer.renderer().rootRule().descendants()]
            said["label"] = layer.labeling().settings().fieldName if layer.labeling() else None
            said["labelled"] = layer.labelsEnabled()
            said["aliases"] = {field.name(): field.alias() for field in layer.fields()}
        said["errors"] = [] if "png" not in job else draw(layer, job["bbox"], job["size"], job["png"])
        found[job["id"]] = said
    print(json.dumps(found, ensure_ascii=True))


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    try:
        main(sys.argv[1])
    finally:
        application.exitQgis()
