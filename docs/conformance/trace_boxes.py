"""Traces the failures of features10 with the corrected table of axes, one by one, and writes ``boxes.md`` beside this file.

    .venv/bin/python docs/conformance/trace_boxes.py SERVER VERDICTS

SERVER is a running demo (``http://127.0.0.1:8000``), VERDICTS what ``run_cite.py --save`` kept. For every failure the suite's
two requests are made again, with whole pages instead of its ``limit=10``, and compared with what pyproj and shapely say:
each geometry, densified, is projected and intersected with the rectangle of the request.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STEP_DEG = 0.002
"""Sides are cut into pieces of this length before they are projected: a straight side in degrees is a curve in metres."""
HEAD = """# 投影坐标矩形的失败，逐条追查 / The failures of projected boxes, traced one by one

由 `docs/conformance/trace_boxes.py` 生成，请勿手改。套件（更正轴序表后）把数据集范围的西南、东北两角换算到 EPSG 坐标系，
给每个请求加上 `limit=10`，要求结果都在按经纬度范围查询的前 10 个要素之中。“范围内”为经纬度范围查到的全部要素，
“矩形内”为投影矩形查到的全部要素；“核对”为 pyproj 与 shapely 独立算出的结果是否逐个相同；“首页缺”为前 10 个要素中
不在矩形内的个数，“最远”为其离矩形的最大距离。首页缺少的要素由后面的补上，补上的不在前 10 个之中，于是失败。
取整页时每一条都通过。范围只有一个点的数据集（uav-flights）不在此列，见 `cite.yml`。

Written by `docs/conformance/trace_boxes.py`. The suite (with the corrected table of axes) transforms the south-west and
north-east corners of the extent, adds `limit=10` to every request, and wants all features of the answer among the first ten
of the query by degrees. «extent»: all features of the query by degrees; «box»: all features of the query by the
projected rectangle; «checked»: whether pyproj and shapely find the very same features; «missing»: how many of the
first ten lie outside the rectangle, «farthest»: their greatest distance from it. Later features take the places of
those, and are not among the first ten: the test fails. With whole pages every one passes. The collection whose extent is
one point (uav-flights) is not among them, see `cite.yml`.

| 数据集 collection | EPSG | 范围内 extent | 矩形内 box | 核对 checked | 首页缺 missing | 最远 farthest, m |
|---|---|---|---|---|---|---|
"""


def features(server: str, layer: str, **query: str) -> list[dict[str, Any]]:
    """Features of one page of at most 10,000."""
    address = f"{server}/ogc/collections/{layer}/items?" + urllib.parse.urlencode({"limit": "10000", **query})
    with DIRECT.open(address, timeout=120) as answer:
        found: list[dict[str, Any]] = json.load(answer)["features"]
    return found


def failures(path: Path) -> list[tuple[str, int]]:
    """Collection and EPSG code of every failure of the run with the corrected table."""
    found = set()
    for outcome in json.loads(path.read_text("utf-8")):
        if (outcome["suite"], outcome["variant"]) == ("features10", "axes"):
            for status, _, told, _, _ in outcome["others"]:
                if status == "FAIL":
                    layer, crs, *_ = told.split()
                    found.add((layer, int(crs.rpartition("/")[2])))
    return sorted(found)


def trace(server: str, layer: str, code: int) -> tuple[list[Any], bool] | None:
    """Row of the table, and whether it explains the failure; None where the extent is one point (see ``cite.yml``)."""
    import numpy as np
    import shapely
    from pyproj import Transformer

    with DIRECT.open(f"{server}/ogc/collections/{layer}?f=json", timeout=60) as answer:
        west, south, east, north = json.load(answer)["extent"]["spatial"]["bbox"][0]
    if (west, south) == (east, north):
        return None
    forward = Transformer.from_crs(4326, code, always_xy=True).transform
    (x1, y1), (x2, y2) = forward(west, south), forward(east, north)
    whole = features(server, layer, bbox=f"{west},{south},{east},{north}")
    crs = f"http://www.opengis.net/def/crs/EPSG/0/{code}"
    box = {"bbox-crs": crs, "bbox": f"{y1:.7f},{x1:.7f},{y2:.7f},{x2:.7f}"}  # northing first, as EPSG says
    given = {f["id"] for f in features(server, layer, **box)}

    def project(feature: dict[str, Any]) -> Any:
        geometry = shapely.segmentize(shapely.from_geojson(json.dumps(feature["geometry"])), STEP_DEG)
        return shapely.transform(geometry, lambda xy: np.column_stack(forward(xy[:, 0], xy[:, 1])))

    rectangle = shapely.box(x1, y1, x2, y2)
    projected = {f["id"]: project(f) for f in whole}
    expected = {name for name, geometry in projected.items() if shapely.intersects(geometry, rectangle)}
    missing = [f["id"] for f in whole[:10] if f["id"] not in given]
    far = max((shapely.distance(projected[name], rectangle) for name in missing), default=0.0)
    same = given == expected
    row = [layer, code, len(whole), len(given), "相同 same" if same else "不同 differs", len(missing), f"{far:,.0f}"]
    return row, same and given <= set(projected) and bool(missing)


def main() -> int:
    """Write the table; 1 if a failure is not explained by it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("verdicts", type=Path)
    parser.add_argument("--output", type=Path, default=HERE / "boxes.md")
    given = parser.parse_args()
    rows = (trace(given.server, layer, code) for layer, code in failures(given.verdicts))
    found = [row for row in rows if row is not None]
    lines = ["| " + " | ".join(map(str, row)) + " |" for row, _ in found]
    given.output.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")
    unexplained = [row for row, explains in found if not explains]
    for row in unexplained:
        print("不能解释 / not explained:", *row, file=sys.stderr)
    return 1 if unexplained or not found else 0


if __name__ == "__main__":
    raise SystemExit(main())
