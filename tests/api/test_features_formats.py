"""Features as files, over both stores: every file is read back by pyogrio, geopandas or pyarrow, and by the system's GDAL."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
import zipfile
from urllib.parse import urlsplit

import pytest

PARCELS = "/ogc/collections/parcels/items"
FORMATS = ("gpkg", "fgb", "shp", "csv", "parquet", "arrow")
MEDIA = {
    "gpkg": "application/geopackage+sqlite3",
    "fgb": "application/flatgeobuf",
    "shp": "application/zip",
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
ENDING = {"shp": "zip", "arrow": "arrows"}


@pytest.fixture(scope="module")
def samples(datastore, hand_made):
    """A layer for every geometry type, with a gap in every column and a gap among the geometries."""
    import geopandas
    import pandas as pd
    import shapely
    from shapely import LineString, MultiLineString, MultiPoint, Point, box

    from spatial.catalog import Layer

    shapes = {
        "points": [Point(114, 30), None, Point(114.5, 30.25)],
        "multipoints": [MultiPoint([(114, 30), (114.1, 30)]), Point(1, 2), None],
        "lines": [LineString([(114, 30), (114.5, 30.5)]), LineString([(113, 30), (114.5, 30.5)]), None],
        "multilines": [MultiLineString([[(114, 30), (115, 31)], [(1, 1), (2, 2)]]), None, LineString([(0, 0), (1, 1)])],
        "holes": [box(114, 30, 115, 31).difference(box(114.2, 30.2, 114.4, 30.4)), box(1, 1, 2, 2), None],
        "multipolygons": [shapely.union_all([box(114, 30, 115, 31), box(116, 30, 117, 31)]), box(1, 1, 2, 2), None],
        "mixed": [Point(114, 30), box(114, 30, 115, 31), None],
    }
    names = {
        "text": "string",
        "whole": "integer",
        "ratio": "number",
        "flag": "boolean",
        "day": "date",
        "moment": "datetime",
        "population_2020": "integer",
        "population_2021": "integer",
        "fid": "string",
        "geometry": "string",
    }
    fields = [{"name": n, "type": t, "title": {"zh": n, "en": n}, "unit": "人"} for n, t in names.items()]
    rows = {
        "text": ["湖北“武汉”,\n换行", None, "武" * 100],
        "whole": pd.array([2**53 + 1, None, -5], dtype="Int64"),
        "ratio": [1 / 3, None, 20.0],
        "flag": pd.array([True, None, False], dtype="boolean"),
        "day": pd.to_datetime(pd.Series(["2024-02-29", None, "1900-01-01"])).to_numpy(),
        "moment": pd.to_datetime(
            pd.Series(["2024-07-01T00:00:00.5Z", None, "1969-12-31T16:00:00Z"]), utc=True, format="ISO8601"
        ).array,
        "population_2020": pd.array([1, None, 3], dtype="Int64"),
        "population_2021": pd.array([4, None, 6], dtype="Int64"),
        "fid": ["own", None, ""],
        "geometry": ["text too", None, "x"],
    }
    for name, geometry in shapes.items():
        layer = Layer.model_validate(hand_made.layer_definition(f"shape-{name}", fields=fields))
        index = pd.Index([7, 8, 9], name="key")
        columns = {n: v for n, v in rows.items() if n != "geometry"}
        frame = geopandas.GeoDataFrame(columns, index=index, crs="EPSG:4490", geometry=geometry)
        frame = frame.rename_geometry("shape")
        frame["geometry"] = rows["geometry"]
        datastore.publish_vector(layer, frame)
    return {name: list(values) for name, values in shapes.items()}


@pytest.fixture
def download(client, tmp_path):
    """Ask for a file that must come; gives the answer and the path."""

    def ask(collection, form, **parameters):
        answer = client.get(f"/ogc/collections/{collection}/items", params={"f": form, **parameters})
        assert answer.status_code == 200, answer.text[:600]
        assert answer.headers["content-type"] == MEDIA[form]
        path = tmp_path / f"{collection}-{len(list(tmp_path.iterdir()))}.{ENDING.get(form, form)}"
        path.write_bytes(answer.content)
        return answer, path

    return ask


def read(path, form):
    """GeoDataFrame of a file, whose feature ids are the index."""
    import geopandas
    import pandas as pd
    import pyarrow as pa
    import shapely

    if form == "parquet":
        frame = geopandas.read_parquet(path)
    elif form == "arrow":
        with pa.ipc.open_stream(path) as stream:
            table = stream.read_all()
        place = next(i for i, f in enumerate(table.schema) if b"ARROW:extension:name" in (f.metadata or {}))
        field = table.schema.field(place)
        assert field.metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
        crs = json.loads(field.metadata[b"ARROW:extension:metadata"])["crs"]
        data = table.drop_columns([field.name]).to_pandas()
        geometry = shapely.from_wkb(table.column(field.name).to_pylist())
        frame = geopandas.GeoDataFrame(data, geometry=geopandas.GeoSeries(geometry, crs=crs)).rename_geometry("shape")
    elif form == "csv":
        data = pd.read_csv(path)
        key = "wkt" if "wkt" in data else None
        geometry = (
            geopandas.GeoSeries.from_wkt(data["wkt"])
            if key
            else geopandas.points_from_xy(*(data[c] for c in list(data)[-2:]))
        )
        frame = geopandas.GeoDataFrame(data, geometry=geometry)
    else:
        frame = geopandas.read_file(f"/vsizip/{path}" if form == "shp" else path, fid_as_index=form == "gpkg")
        if form == "gpkg":
            return frame
    return frame.set_index(frame.columns[0])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_holds_the_features(download, form):
    answer, path = download("parcels", form)
    frame = read(path, form).sort_index()  # the index of a FlatGeobuf has an order of its own
    assert list(frame.index) == [1, 2, 3, 4]
    assert list(frame["name"])[:3] == ["武汉一号", 'O\'Brien "地块"', "<b>三号</b>"]
    assert frame["area"].tolist()[:3] == [1.5, 20.0, 300.25]
    assert frame["use"].tolist()[:3] == [1, 2, 1]
    assert frame.geometry.to_numpy()[1].bounds == (114.2, 30.0, 114.3, 30.1)
    disposition = answer.headers["content-disposition"]
    assert f'filename="parcels-1-synthetic.{ENDING.get(form, form)}"' in disposition
    assert "filename*=UTF-8''parcels-1-%E5%90%88%E6%88%90" in disposition
    assert answer.headers["onemap-synthetic"]
    assert (answer.headers["ogc-numbermatched"], answer.headers["ogc-numberreturned"]) == ("4", "4")
    assert int(answer.headers.get("content-length", len(answer.content))) == len(answer.content)
    assert "link" not in answer.headers


CORNERS = {
    None: (114.2, 30.0),
    "EPSG:4326": (114.2, 30.0),
    "EPSG:4490": (114.2, 30.0),
    "EPSG:3857": (12712685.86, 3503549.84),
    "EPSG:4526": (38519299.85, 3320182.86),
    "EPSG:4547": (519299.85, 3320182.86),
}
EVERYWHERE = [(form, crs) for form in FORMATS for crs in (None, "EPSG:4490", "EPSG:4547")]


@pytest.mark.parametrize(
    ("form", "crs"), [*EVERYWHERE, *(("gpkg", crs) for crs in CORNERS if ("gpkg", crs) not in EVERYWHERE)]
)
def test_x_is_first_in_every_crs(download, form, crs):
    from pyproj import Transformer

    answer, path = download("parcels", form, ids="2", **({} if crs is None else {"crs": crs}))
    frame = read(path, form)
    to = Transformer.from_crs(4490, crs or 4326, always_xy=True)
    ring = [to.transform(x, y) for x, y in [(114.2, 30.0), (114.3, 30.0), (114.2, 30.1), (114.3, 30.1)]]
    west, south = min(x for x, _ in ring), min(y for _, y in ring)
    assert frame.total_bounds[:2] == pytest.approx((west, south), abs=1e-3)
    assert (west, south) == pytest.approx(CORNERS[crs], rel=1e-4)  # a rough place by hand; swapped axes are far off
    if form != "csv":
        wanted = crs or ("OGC:CRS84" if form in {"parquet", "arrow"} else "EPSG:4326")
        assert frame.crs is not None
        assert frame.crs.equals(wanted, ignore_axis_order=True), frame.crs
    if crs:
        assert f"-{crs.replace(':', '')}-synthetic" in answer.headers["content-disposition"]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["points", "multipoints", "lines", "multilines", "holes", "multipolygons", "mixed"])
def test_every_geometry_type_and_gap(client, download, samples, kind, form):
    import shapely

    collection = f"shape-{kind}"
    if (kind, form) == ("mixed", "shp"):
        answer = client.get(f"/ogc/collections/{collection}/items?f=shp")
        assert (answer.status_code, answer.json()["parameter"]) == (400, "f")
        return
    _, path = download(collection, form)
    frame = read(path, form)
    assert sorted(frame.index) == [7, 8, 9]
    frame = frame.sort_index()
    for found, wanted in zip(frame.geometry, samples[kind], strict=True):
        if wanted is None:
            assert found is None or found.is_empty or str(found) == "POINT (NaN NaN)"
        else:
            assert shapely.equals(shapely.normalize(found), shapely.normalize(wanted))
    text, day = ("text", "day")
    assert frame[text].to_list()[0] == "湖北“武汉”,\n换行"
    assert str(frame[day].to_list()[2])[:10] == "1900-01-01"
    assert "2024-07-01" in str(frame["moment"].to_list()[0])
    if form not in {"csv"}:
        assert frame["whole"].to_list()[0] == 2**53 + 1 or form == "shp" or str(frame["whole"].dtype) == "float64"
    assert bool(frame["flag"].to_list()[0]) is True
    assert frame["ratio"].to_list()[0] == pytest.approx(1 / 3, abs=1e-14)


def test_geopackage_keeps_types_ids_and_its_description(download, tmp_path):
    import sqlite3

    import pyogrio

    _, path = download("parcels", "gpkg")
    found = pyogrio.read_info(path)
    assert dict(zip(found["fields"], found["dtypes"], strict=True)) == {
        "name": "object", "use": "int64", "area": "float64", "protected": "bool", "surveyed": "datetime64[D]",
    } | ({"use": found["dtypes"][1]})  # fmt: skip
    with sqlite3.connect(path) as database:
        table, identifier, description, srs = database.execute(
            "SELECT table_name, identifier, description, srs_id FROM gpkg_contents"
        ).fetchone()
        fids = [fid for (fid,) in database.execute("SELECT fid FROM parcels ORDER BY 1")]
        version = database.execute("PRAGMA user_version").fetchone()[0]
    assert (table, srs, fids, version) == ("parcels", 4326, [1, 2, 3, 4], 10200)
    assert "合成示例" in identifier
    assert "synthetic sample, not real data" in description


def test_csv_opens_in_excel(download, client, samples):
    answer, path = download("gauges", "csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    lines = path.read_text("utf-8-sig").splitlines()
    assert lines[0].replace('"', "") == "fid,name,level,time,longitude,latitude"
    assert lines[1] == '1,"站1",1,,111,30'
    assert lines[3] == '3,"站3",3,"2024-07-01T12:00:00Z",113,30'
    _, projected = download("gauges", "csv", crs="EPSG:4547", limit="1", properties="name")
    header = projected.read_text("utf-8-sig").splitlines()[0].replace('"', "")
    assert header == "fid,name,easting,northing"
    _, polygons = download("parcels", "csv", ids="1")
    row = polygons.read_text("utf-8-sig").splitlines()[1]
    assert row.startswith('1,"武汉一号",1,1.5,true,2024-01-01,"POLYGON ((')
    _, bare = download("shape-points", "csv", ids="7", skipGeometry="true", properties="text,fid,moment")
    assert bare.read_text("utf-8-sig") == (
        '"feature_id","text","moment","fid"\n7,"湖北“武汉”,\n换行","2024-07-01T00:00:00.5Z","own"\n'
    )


def test_shapefile_parts_names_and_note(download, samples):
    answer, path = download("shape-multipolygons", "shp")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        stem = "shape-multipolygons"
        assert names == {f"{stem}.{e}" for e in ("shp", "shx", "dbf", "prj", "cpg")} | {"README.txt"}
        assert archive.read(f"{stem}.cpg") == b"UTF-8"
        assert b"GCS_WGS_1984" in archive.read(f"{stem}.prj")
        note = archive.read("README.txt").decode("utf-8-sig")
    frame = read(path, "shp")
    assert list(frame.columns)[:-1] == [
        "text", "whole", "ratio", "flag", "day", "moment", "population", "populati_1", "fid", "geometry_1",
    ] or list(frame.columns)[6:8] == ["population", "populati_1"]  # fmt: skip
    assert "population = population_2020" in note
    assert "populati_1 = population_2021" in note
    # 100 characters of three bytes: 84 fit into 254 bytes.
    assert frame["text"].to_list()[2] == "武" * 84
    assert answer.headers["onemap-cut-fields"] == "text"
    assert "text 有 1 个值超过 254 字节" in note
    _, synthetic = download("parcels", "shp")
    with zipfile.ZipFile(synthetic) as archive:
        assert "合成示例数据" in archive.read("README.txt").decode("utf-8-sig")


def test_parquet_is_geoparquet_1_1(download):
    import pyarrow.parquet

    _, path = download("parcels", "parquet", crs="EPSG:4490")
    metadata = pyarrow.parquet.read_metadata(path).metadata
    geo = json.loads(metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    assert (geo["version"], column["encoding"], column["geometry_types"]) == ("1.1.0", "WKB", ["Polygon"])
    assert column["bbox"] == [114.0, 30.0, 114.3, 30.3]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4490}
    about = json.loads(metadata[b"onemap"])
    assert (about["layer"], about["version"], about["synthetic"]) == ("parcels", "1", True)


def test_arrow_and_flatgeobuf_say_what_they_are(download):
    import pyarrow as pa
    import pyogrio

    _, path = download("parcels", "arrow")
    with pa.ipc.open_stream(path) as stream:
        assert "mark" in json.loads(stream.schema.metadata[b"onemap"])
        assert stream.schema.field("surveyed").type == pa.date32()
    _, path = download("parcels", "fgb")
    metadata = pyogrio.read_info(path)["layer_metadata"]
    assert "合成示例" in metadata["TITLE"]


@pytest.mark.parametrize("form", ["gpkg", "fgb", "shp", "csv"])
def test_the_gdal_of_the_system_reads_it(download, form):
    if shutil.which("ogrinfo") is None:
        pytest.fail("没有 ogrinfo，请运行 / no ogrinfo, run:\n    apt-get install gdal-bin", pytrace=False)
    _, path = download("parcels", form, crs="EPSG:4547")
    source = f"/vsizip/{path}" if form == "shp" else str(path)
    options = ["-oo", "GEOM_POSSIBLE_NAMES=wkt", "-oo", "KEEP_GEOM_COLUMNS=NO"] if form == "csv" else []
    found = subprocess.run(["ogrinfo", "-al", *options, source], capture_output=True, text=True, check=True, timeout=60)
    assert "Feature Count: 4" in found.stdout
    assert "武汉一号" in found.stdout
    assert "POLYGON ((500000 3320" in found.stdout.replace("MULTIPOLYGON (((", "POLYGON ((") or "50000" in found.stdout
    if form != "csv":
        assert "CGCS2000" in found.stdout
        assert "ERROR" not in found.stderr


def test_filters_order_and_selection_reach_the_file(download):
    _, path = download(
        "grid-points", "parquet", filter="row > 10", bbox="114.5,30,114.595,31", sortby="-row", limit="15", offset="2"
    )
    frame = read(path, "parquet")
    assert frame["row"].tolist() == [49] * 8 + [48] * 7
    _, path = download("gauges", "gpkg", datetime="2024-07-01T12:00:00Z/..", properties="level", q="站4")
    frame = read(path, "gpkg")
    assert (list(frame.index), list(frame.columns)) == ([4], ["level", "geometry"])


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_written_by_blocks_and_is_whole(download, form, monkeypatch):
    from spatial.ogc.formats import answer as formats_answer

    monkeypatch.setattr(formats_answer, "BLOCK", 700)
    answer, path = download("grid-points", form)
    assert answer.headers["ogc-numberreturned"] == "5000"
    assert sorted(read(path, form).index) == list(range(1, 5001))


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_features_is_a_file(download, form):
    answer, path = download("parcels", form, filter="use = 99")
    assert answer.headers["ogc-numberreturned"] == "0"
    if form != "csv":
        assert len(read(path, form)) == 0


@pytest.mark.parametrize("form", ["gpkg", "shp", "csv", "parquet"])
def test_without_geometry(download, form):
    import pandas as pd
    import pyogrio

    _, path = download("parcels", form, skipGeometry="true")
    if form == "csv":
        frame = pd.read_csv(path)
    elif form == "parquet":
        frame = pd.read_parquet(path)
    else:
        frame = pyogrio.read_dataframe(f"/vsizip/{path}" if form == "shp" else path, fid_as_index=form == "gpkg")
        frame = frame.reset_index() if form == "gpkg" else frame
    assert "geometry" not in frame
    assert frame["fid"].tolist() == [1, 2, 3, 4]


def test_a_limit_that_leaves_features_out_says_so_and_leads_on(client):
    seen, address = [], "/ogc/collections/grid-points/items?f=parquet&limit=2000&filter=row%20%3E%203"
    while address:
        answer = client.get(address)
        seen += list(read(io.BytesIO(answer.content), "parquet").index)
        assert answer.headers["ogc-numbermatched"] == "4600"
        address = answer.links["next"]["url"] if "link" in answer.headers else None
        assert address is None or "version=1" in address
    assert seen == list(range(401, 5001))


def test_the_link_to_the_next_file_stands_by_itself(client):
    """The format came from Accept; whoever follows the link with another program gets a file too."""
    answer = client.get("/ogc/collections/grid-points/items?limit=10", headers={"Accept": "text/csv"})
    link = answer.links["next"]
    following = client.get(link["url"], headers={"Accept": "*/*"})
    assert following.headers["content-type"].startswith(link["type"])


def test_more_than_a_file_may_hold_is_refused_and_not_cut(client, datastore, monkeypatch):
    monkeypatch.setattr(datastore, "settings", datastore.settings.model_copy(update={"max_export": 1000}))
    for query in ("f=csv", "f=csv&limit=1001", "f=csv&after=10", "f=gpkg&filter=row%20%3C%2020"):
        answer = client.get(f"/ogc/collections/grid-points/items?{query}")
        assert (answer.status_code, answer.json()["maximum"]) == (400, 1000)
    for query, count in (
        ("limit=1000", 1000),
        ("after=4001", 999),
        ("limit=9999&offset=4500", 500),
        ("limit=10&after=9", 10),
    ):
        answer = client.get(f"/ogc/collections/grid-points/items?f=csv&{query}")
        assert (answer.status_code, answer.text.count("\n") - 1) == (200, count)


def test_a_file_is_not_sent_again(client):
    first = client.get(f"{PARCELS}?f=gpkg")
    tag = first.headers["etag"]
    assert client.get(f"{PARCELS}?f=gpkg", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"{PARCELS}?f=fgb", headers={"If-None-Match": tag}).status_code == 200
    head = client.head(f"{PARCELS}?f=gpkg")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", MEDIA["gpkg"])
    assert head.headers["etag"] == tag


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/geopackage+sqlite3", "application/geopackage+sqlite3"),
        ("application/flatgeobuf, application/geo+json;q=0.5", "application/flatgeobuf"),
        ("application/geo+json, application/flatgeobuf", "application/geo+json"),
        ("text/csv", "text/csv"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("image/png, */*;q=0.1", "application/geo+json"),
    ],
)
def test_the_accept_header_chooses(client, accept, kind):
    answer = client.get(PARCELS, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("accept", ["image/png", "application/pdf, application/gml+xml", "application/xml;q=0.3"])
def test_what_cannot_be_sent_is_406_and_names_what_there_is(client, accept):
    answer = client.get(PARCELS, headers={"Accept": accept})
    assert answer.status_code == 406
    assert {"application/geo+json", "text/csv", "application/flatgeobuf"} <= set(answer.json()["allowed"])


def test_bad_requests_for_files(client):
    for query in (
        "f=dxf", "f=", "f=gpkg&limit=0", "f=gpkg&properties=nothing", "f=csv&crs=EPSG:2154", "f=csv&resulttype=hits",
        "f=fgb&skipGeometry=true", "f=gpkg&filter=nothing%20%3D%201", "f=shp&sortby=x", "f=gpkg&f=csv", "f=gpkg&bbbox=1",
    ):  # fmt: skip
        answer = client.get(f"{PARCELS}?{query}")
        assert answer.status_code == 400, query
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert "gpkg" in client.get(f"{PARCELS}?f=dxf").json()["allowed"]
    assert client.get(f"{PARCELS}?f=gpkg&version=9").status_code == 404
    assert client.get("/ogc/collections/relief/items?f=gpkg").status_code == 404
    assert client.get(f"{PARCELS}/1?f=gpkg").status_code == 400  # one feature is no file
    assert client.get("/ogc/collections/parcels?f=gpkg").status_code == 400


def test_alternates_and_items_links_name_every_format(client, get):
    page = get("/collections/parcels/items")
    alternates = {link["type"]: link["href"] for link in page["links"] if link["rel"] == "alternate"}
    assert set(alternates) == {"text/html", *(kind.partition(";")[0] for kind in MEDIA.values())}
    for kind, address in alternates.items():
        answer = client.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
    filtered = get("/collections/parcels/items", limit=2, q="号")
    address = next(link["href"] for link in filtered["links"] if link["type"] == "text/csv")
    assert client.get(address).text.count("\n") == 3
    collection = get("/collections/parcels")
    items = {link["type"]: link["href"] for link in collection["links"] if link["rel"] == "items"}
    assert set(items) == {"application/geo+json", *alternates}


def test_no_link_leads_to_a_format_that_cannot_hold_the_features(client, get, samples):
    for path, parameters in (
        ("/collections/shape-mixed", {}),
        ("/collections/shape-mixed/items", {}),
        ("/collections/parcels/items", {"skipGeometry": "true"}),
        ("/collections/parcels/items", {"resulttype": "hits"}),
    ):
        links = [link for link in get(path, **parameters)["links"] if link["rel"] in {"alternate", "items"}]
        assert [client.get(link["href"]).status_code for link in links] == [200] * len(links)


def test_openapi_names_the_formats_on_items_only(get):
    document = get("/openapi")

    def formats(path):
        for parameter in document["paths"][path]["get"]["parameters"]:
            found = (
                document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
                if "$ref" in parameter
                else parameter
            )
            if found["name"] == "f":
                return found["schema"]["enum"]
        raise AssertionError(path)

    assert set(formats("/collections/parcels/items")) == {"json", "html", *FORMATS}
    assert set(formats("/collections/parcels/items/{featureId}")) == {"json", "html"}
    names = {
        (p.get("$ref") or p.get("name")).rpartition("/")[2]
        for p in document["paths"]["/collections/parcels/items"]["get"]["parameters"]
    }
    assert {"q", "ids", "sortby", "exclude-properties"} <= names


# -- nothing stays behind ----------------------------------------------------------------------------------------------


def exports(datastore):
    folder = datastore.settings.var_dir / "exports"
    return list(folder.iterdir()) if folder.is_dir() else []


def test_a_flatgeobuf_keeps_the_order_that_was_asked_for(download):
    _, path = download("parcels", "fgb", sortby="-area")
    assert list(read(path, "fgb").index) == [3, 2, 1, 4]


def test_the_temporary_file_is_gone_while_it_is_sent(client, datastore):
    for form in FORMATS:
        with client.stream("GET", f"/ogc/collections/grid-points/items?f={form}") as answer:
            assert answer.status_code == 200
            assert exports(datastore) == []
            answer.read()


def test_a_failure_in_the_middle_leaves_no_file_and_is_an_error(client, datastore, monkeypatch):
    from spatial.errors import StoreUnavailable
    from spatial.ogc.formats import answer as formats_answer

    monkeypatch.setattr(formats_answer, "BLOCK", 1000)
    real, calls = datastore.vectors.arecords, []

    async def breaks(table, query):
        calls.append(query.after)
        if len(calls) > 2:
            raise StoreUnavailable("数据库断开", "the database is away", layer=table.layer.id)
        return await real(table, query)

    monkeypatch.setattr(datastore.vectors, "arecords", breaks)
    for form in FORMATS:
        calls.clear()
        answer = client.get(f"/ogc/collections/grid-points/items?f={form}")
        assert (answer.status_code, answer.json()["layer"]) == (503, "grid-points"), form
        assert exports(datastore) == []


def test_what_a_killed_process_left_is_removed(client, datastore):
    import os

    folder = datastore.settings.var_dir / "exports" / "gpkg-left"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    assert client.get(f"{PARCELS}?f=csv").status_code == 200
    assert exports(datastore) == []


async def leave(app, address, when):
    """Send a request straight into the application and close the connection as soon as `when()` is true."""
    path, query = urlsplit(address).path, urlsplit(address).query
    gone = asyncio.Event()
    sent = []
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(b"host", b"onemap.test")], "client": ("127.0.0.1", 1), "server": ("onemap.test", 80), "state": {},
    }  # fmt: skip
    first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if first:
            return first.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def client_leaves():
        for _ in range(600):
            if await when():
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the request never got so far")
        gone.set()

    started = asyncio.get_running_loop().time()
    await asyncio.wait_for(asyncio.gather(app(scope, receive, send), client_leaves()), 30)
    return sent, asyncio.get_running_loop().time() - started


SLOW = {
    "page": "/ogc/collections/grid-points/items?limit=1",
    "file": "/ogc/collections/grid-points/items?f=gpkg",
}


@pytest.mark.parametrize("kind", SLOW)
async def test_a_client_that_leaves_ends_the_query(api_app, api_settings, kind, monkeypatch):
    import psycopg

    from spatial.ogc.formats import answer as formats_answer
    from spatial.store import duckdb_store, postgis_store, statements

    store = api_app.state.datastore
    slow = "SELECT pg_sleep(60)" if api_settings.store == "postgis" else (
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 8"
    )  # fmt: skip
    monkeypatch.setattr(formats_answer, "BLOCK", 1000)
    begun = []

    def endless(*arguments):
        begun.append(arguments)
        return statements.Statement(slow, [])

    real = statements.records_statement
    for module in (duckdb_store, postgis_store):
        if kind == "page":
            monkeypatch.setattr(module, "page_statement", endless)
        else:
            # The file is begun: two blocks are written when the third hangs.
            def third_hangs(*arguments):
                begun.append(arguments)
                return statements.Statement(slow, []) if len(begun) > 2 else real(*arguments)

            monkeypatch.setattr(module, "records_statement", third_hangs)

    async def running():
        if api_settings.store != "postgis":
            await asyncio.sleep(0.3)
            return len(begun) > (2 if kind == "file" else 0)
        return await sleeping()

    async def sleeping():
        dsn = api_settings.postgis_dsn.get_secret_value()
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
                "AND query LIKE 'SELECT pg_sleep%' AND pid <> pg_backend_pid()"
            )
            return (await cursor.fetchone())[0] > 0

    try:
        sent, seconds = await leave(api_app, SLOW[kind], running)
        assert seconds < 15
        assert sent == []
        if api_settings.store == "postgis":
            for _ in range(40):
                if not await sleeping():
                    break
                await asyncio.sleep(0.05)
            assert not await sleeping()
        for _ in range(100):
            if not exports(store):
                break
            await asyncio.sleep(0.05)
        assert exports(store) == []
        # The next request is served as if nothing had been.
        monkeypatch.undo()
        rows = await store.vectors.arecords(store.snapshot().vector("grid-points"), statements.ItemQuery(limit=3))
        assert [row[0] for row in rows.rows] == [1, 2, 3]
    finally:
        if api_settings.store == "postgis":
            await store.vectors.aclose()  # the connections of this event loop


async def test_only_so_many_files_are_written_at_a_time(client, datastore, monkeypatch):
    from spatial.ogc.formats import answer as formats_answer

    monkeypatch.setattr(formats_answer, "_waiting", formats_answer.RUNNING + formats_answer.WAITING)
    answer = client.get(f"{PARCELS}?f=gpkg")
    assert (answer.status_code, answer.json()["title"]) == (429, "QueueFull")
    assert answer.headers["retry-after"]
