from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import plistlib
import sqlite3
import struct
import tomllib
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from registry import data, sample, text

FRAME = pd.DataFrame({"n": list(range(40)), "x": [i / 4 for i in range(40)], "s": [f"row {i} ä" for i in range(40)]})
ASCII = pd.DataFrame({"n": [float(i) for i in range(40)], "x": [i / 4 for i in range(40)], "s": [f"row {i}" for i in range(40)]})


def same(frame: Any) -> bool:
    return list(frame["n"]) == list(FRAME["n"]) and list(frame["x"]) == list(FRAME["x"]) and list(frame["s"]) == list(FRAME["s"])


def same_ascii(frame: Any) -> bool:
    return list(frame["n"]) == list(ASCII["n"]) and [str(value) for value in frame["s"]] == list(ASCII["s"])


for extension, sep in (("csv", ","), ("tsv tab", "\t"), ("psv", "|"), ("ssv", ";")):
    text(extension, FRAME.to_csv(index=False, sep=sep), same)
text(
    "fwf",
    "city    pop   area\n" + "".join(f"town{i:<4}{i * 100:>5}{i / 4:>7}\n" for i in range(1, 30)),
    lambda f: list(f.columns) == ["city", "pop", "area"] and list(f["pop"])[:2] == [100, 200] and len(f) == 29,
)
sample("xlsx xltx xltm xlsm xlam", same)(
    lambda path: FRAME.to_excel(path.with_name("a.xlsx"), index=False) or path.with_name("a.xlsx").replace(path)
)
sample("ods ots", same)(lambda path: path.write_bytes(ods()))


def ods() -> bytes:
    rows = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
            if isinstance(value, str)
            else f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
            for value in row
        )
        + "</table:table-row>"
        for row in [list(FRAME.columns), *FRAME.itertuples(index=False)]
    )
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text", "manifest")
    )
    content = f'<office:document-content {names} office:version="1.2"><office:body><office:spreadsheet><table:table table:name="May">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        archive.writestr("mimetype", kind)
        archive.writestr("content.xml", content, zipfile.ZIP_DEFLATED)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest {names}><manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
            '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>',
        )
    return stream.getvalue()


def record(kind: int, payload: bytes = b"") -> bytes:
    """One record of the binary workbook format."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, length = len(payload), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 127 else 0)])
        size >>= 7
        if not size:
            return head + length + payload


def wide(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode("utf-16-le")


@sample("xlsb", same)
def xlsb(path: Path) -> None:
    cells = b""
    for number, row in enumerate([list(FRAME.columns), *FRAME.itertuples(index=False)]):
        cells += record(0, struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 1) + struct.pack("<II", 0, 2))
        for column, value in enumerate(row):
            place = struct.pack("<II", column, 0)
            cells += record(6, place + wide(value)) if isinstance(value, str) else record(5, place + struct.pack("<d", value))
    sheet = record(129) + record(148, struct.pack("<4I", 0, len(FRAME), 0, 2)) + record(145) + cells + record(146) + record(130)
    book = (
        record(131) + record(143) + record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("May")) + record(144) + record(132)
    )
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/>'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.bin"/></Relationships>',
        )
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>',
        )
        archive.writestr("xl/workbook.bin", book)
        archive.writestr("xl/worksheets/sheet1.bin", sheet)


sample("xls xla xlt", lambda f: f.to_dict("list") == {"a": [1.0, 2.5], "t": ["x", "y"]})(
    lambda path: path.write_bytes((Path(__file__).parent / "files" / "sample.xls").read_bytes())
)


# Written by ReadStat, the library that reads them; its Python package does not offer that.
@sample(
    "sas7bdat", lambda f: f["name"].tolist() == ["a", "größe", "c"] and f["x"].tolist()[:2] == [1.5, 2.5] and f["x"].isna()[2]
)
def sas(path: Path) -> None:
    path.write_bytes((Path(__file__).parent / "files" / "sample.sas7bdat").read_bytes())


@sample("sav zsav", same)
def spss(path: Path) -> None:
    import pyreadstat

    pyreadstat.write_sav(FRAME, str(path), compress=path.suffix == ".zsav")


@sample("por", lambda f: list(f["N"]) == list(ASCII["n"]))
def spss_portable(path: Path) -> None:
    import pyreadstat

    pyreadstat.write_por(ASCII.rename(columns=str.upper), str(path))


@sample("dta", same)
def stata(path: Path) -> None:
    FRAME.to_stata(path, write_index=False, version=118)


@sample("xpt xport", lambda f: list(f.iloc[:, 0]) == list(ASCII["n"]))
def sas_transport(path: Path) -> None:
    import pyreadstat

    pyreadstat.write_xport(ASCII, str(path))


@sample("dbf", lambda f: list(f["n"]) == list(FRAME["n"]) and list(f["s"])[:2] == ["row 0", "row 1"])
def dbase(path: Path) -> None:
    import geopandas

    geometry = geopandas.points_from_xy(ASCII["x"], ASCII["x"])
    geopandas.GeoDataFrame(ASCII.astype({"n": int}), geometry=geometry).to_file(path.with_suffix(".shp"))
    for other in (".shp", ".shx", ".cpg", ".prj"):
        path.with_suffix(other).unlink(missing_ok=True)


text(
    "arff",
    "@relation r\n@attribute n numeric\n@attribute c {a,b}\n@data\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30)),
    lambda f: list(f["n"]) == list(range(30)) and list(f["c"])[:2] == ["a", "b"],
)


@sample("sqlite sqlite3 db db3 s3db sl3 mbtiles", same, note="others: 'second'")
def sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        FRAME.to_sql("first", connection, index=False)
        FRAME.to_sql("second", connection, index=False)


# columnar
sample("parquet pq parq", same)(lambda path: FRAME.to_parquet(path))
sample("feather ftr arrow ipc", same)(lambda path: FRAME.to_feather(path, compression="uncompressed"))
sample("orc", same)(lambda path: FRAME.to_orc(path))


@sample("arrows", same)
def arrow_stream(path: Path) -> None:
    import pyarrow as pa

    table = pa.Table.from_pandas(FRAME)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@sample("geoparquet", lambda f: type(f).__name__ == "GeoDataFrame" and f.geometry.x.tolist() == list(FRAME["x"]))
def geoparquet(path: Path) -> None:
    import geopandas

    geopandas.GeoDataFrame(FRAME, geometry=geopandas.points_from_xy(FRAME["x"], FRAME["x"])).to_parquet(path)


@sample("avro", same)
def avro(path: Path) -> None:
    import fastavro

    fields = [{"name": "n", "type": "long"}, {"name": "x", "type": "double"}, {"name": "s", "type": "string"}]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, FRAME.to_dict("records"))


# structured
DOCUMENT: dict[str, Any] = {"name": "größe", "list": [1, 2, {"deep": True}], "value": 1.5, "more": {"a": "x" * 40, "b": "y" * 40}}
text("json har webmanifest jsonld topojson sarif avsc", json.dumps(DOCUMENT), lambda c: c == DOCUMENT)
text("jsonl ndjson jsonlines ldjson", FRAME.to_json(orient="records", lines=True), same)
text("json5 jsonc hjson", "// comment\n" + json.dumps(DOCUMENT)[:-1] + ",}", lambda c: c == DOCUMENT)
text(
    "yaml yml",
    "name: größe\nlist:\n- 1\n- 2\n- deep: true\nvalue: 1.5\nmore:\n  a: " + "x" * 40 + "\n  b: " + "y" * 40 + "\n",
    lambda c: c == DOCUMENT,
)
TOML = 'name = "größe"\nlist = [1, 2, {deep = true}]\nvalue = 1.5\n[more]\na = "xxxx"\n'
text("toml", TOML, lambda c: c == tomllib.loads(TOML))
text(
    "ini cfg conf", "; c\n[one]\na = 1\nb: x y\n[two]\nc = ä\n", lambda c: c == {"one": {"a": "1", "b": "x y"}, "two": {"c": "ä"}}
)
text("properties env", "# c\na=1\nb.c = 'x y'\nd=\\\n  ä\n", lambda c: c == {"a": "1", "b.c": "x y", "d": "ä"})
sample("plist", lambda c: c == DOCUMENT)(lambda path: path.write_bytes(plistlib.dumps(DOCUMENT, fmt=plistlib.FMT_BINARY)))
text(
    "xml xsd xsl xslt rss atom wsdl opml xspf",
    '<?xml version="1.0"?>\n<r a="1"><item>x</item><item>größe</item></r>\n',
    lambda c: c == {"r": {"@a": "1", "item": ["x", "größe"]}},
)
text(
    "textproto pbtxt prototxt txtpb",
    '# c\nname: "gr\\303\\266\\303\\237e"\nlayer { id: 1 kind: CONV }\nlayer { id: 2 rate: 1.5e0 }\nflags: [true, false]\n',
    lambda c: c == {"name": "größe", "layer": [{"id": 1, "kind": "CONV"}, {"id": 2, "rate": 1.5}], "flags": [True, False]},
)


@sample("bson", lambda c: c == [DOCUMENT, {"b": 2}])
def bson_file(path: Path) -> None:
    import bson

    path.write_bytes(bson.encode(DOCUMENT) + bson.encode({"b": 2}))


@sample("cbor", lambda c: c == DOCUMENT)
def cbor(path: Path) -> None:
    import cbor2

    path.write_bytes(cbor2.dumps(DOCUMENT))


@sample("msgpack mpk", lambda c: c == DOCUMENT)
def messagepack(path: Path) -> None:
    import msgpack

    path.write_bytes(msgpack.packb(DOCUMENT))


# compressed
CSV = FRAME.to_csv(index=False).encode()


def packed(name: str) -> Any:
    import brotli
    import lz4.frame
    import zstandard

    return {
        ".gz": gzip.compress,
        ".gzip": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".lzma": lambda raw: lzma.compress(raw, format=lzma.FORMAT_ALONE),
        ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
        ".zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
        ".lz4": lambda raw: lz4.frame.compress(raw, content_checksum=True),
        ".br": brotli.compress,
    }[name](CSV)


sample("gz gzip bz2 xz lzma zst zstd lz4 br", same, type="table")(lambda path: path.write_bytes(packed(path.suffix)))

# arrays
ARRAY = np.arange(240, dtype="float64").reshape(12, 20)


def equal(value: Any) -> bool:
    return bool(np.array_equal(np.asarray(value), ARRAY))


sample("npy", equal)(lambda path: np.save(path, ARRAY))
sample("npz", lambda c: list(c) == ["a", "b"] and equal(c["a"]))(lambda path: np.savez(path, a=ARRAY, b=np.arange(3)))


@sample("mat", lambda c: equal(c["a"]) and c["t"] == "text")
def matlab(path: Path) -> None:
    import scipy.io

    scipy.io.savemat(path, {"a": ARRAY, "t": "text"}, do_compression=True)


@sample("mtx", lambda c: c.shape == (5, 4) and c.todense()[1, 2] == 3.5)
def matrix_market(path: Path) -> None:
    import scipy.io
    import scipy.sparse

    scipy.io.mmwrite(path, scipy.sparse.coo_matrix(([1.0, 3.5], ([0, 1], [0, 2])), shape=(5, 4)))


@sample("safetensors", lambda c: equal(c["a"]))
def safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": ARRAY}, str(path))


@sample(
    "h5 hdf5 hdf he5 h5ad loom",
    lambda c: equal(c["/g/a"]) and c.attrs["/g/a"]["units"] == "m" and list(c["/names"]) == ["x", "ä"],
)
def hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        item = file.create_dataset("g/a", data=ARRAY, compression="gzip", fletcher32=True)
        item.attrs["units"] = "m"
        file["names"] = ["x", "ä"]


@sample("nc nc4", lambda c: equal(c["a"].values) and c["a"].attrs["units"] == "K" and list(c.coords) == ["t"])
def netcdf(path: Path) -> None:
    import xarray

    dataset = xarray.Dataset({"a": (("t", "x"), ARRAY, {"units": "K"})}, coords={"t": np.arange(12)})
    dataset.to_netcdf(path, engine="h5netcdf")


@sample("netcdf cdf", lambda c: equal(c["a"].values))
def netcdf_classic(path: Path) -> None:
    import xarray

    xarray.Dataset({"a": (("t", "x"), ARRAY)}).to_netcdf(path, engine="scipy")


@sample("root", lambda c: list(c["n"]) == list(range(40)))
def root(path: Path) -> None:
    import uproot

    with uproot.recreate(path) as file:
        file["tree"] = {"n": np.arange(40), "x": np.arange(40) / 4}


sample("pkl pickle p", same)(lambda path: FRAME.to_pickle(path))


@sample("joblib jl2", equal)
def joblib_file(path: Path) -> None:
    import joblib

    joblib.dump(ARRAY, path)


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    raw = value.encode() if isinstance(value, str) else value
    assert len(raw) < 128
    return bytes([number << 3 | 2, len(raw)]) + raw


def value_info(name: str) -> bytes:
    shape = field(1, field(1, 3)) + field(1, field(2, "n"))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


GRAPH = (
    field(1, field(4, "Relu"))
    + field(1, field(4, "Relu"))
    + field(2, "net")
    + field(11, value_info("x"))
    + field(12, value_info("y"))
)
data(
    "onnx",
    field(1, 9) + field(2, "maker") + field(3, "1.0") + field(7, GRAPH) + field(8, field(2, 17)),
    lambda c: (
        (c["operations"], c["inputs"], c["opsets"])
        == ({"Relu": 2}, [{"name": "x", "element_type": 1, "shape": [3, "n"]}], {"": 17})
    ),
)


def counted(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


GGUF = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + counted("general.name") + struct.pack("<I", 8) + counted("tiny")
GGUF += counted("tokens") + struct.pack("<IIQ", 9, 4, 3) + struct.pack("<3I", 1, 2, 3)
GGUF += counted("w") + struct.pack("<IQQIQ", 2, 4, 8, 0, 0)
data(
    "gguf", GGUF, lambda c: c["metadata"] == {"general.name": "tiny", "tokens": [1, 2, 3]} and c["tensors"][0]["shape"] == [4, 8]
)


@sample("rds", lambda c: list(c["n"]) == list(range(40)))
def rds(path: Path) -> None:
    import rdata

    rdata.write_rds(str(path), FRAME[["n", "x"]])


@sample("rda rdata", lambda c: list(c["frame"]["n"]) == list(range(40)))
def rda(path: Path) -> None:
    import rdata

    rdata.write_rda(str(path), {"frame": FRAME[["n", "x"]], "a": np.array([1.0, 2.0])})


def idl_string(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">i", len(raw)) + raw + b"\0" * (-len(raw) % 4)


@sample("idlsav", lambda c: c["v"] == 2.5)
def idl(path: Path) -> None:
    body = idl_string("V") + struct.pack(">ii", 5, 0) + struct.pack(">i", 7) + struct.pack(">d", 2.5)
    start = 4
    variable = struct.pack(">iIIi", 2, start + 16 + len(body), 0, 0) + body
    end = struct.pack(">iIIi", 6, 0, 0, 0)
    path.write_bytes(b"SR\0\x04" + variable + end)
