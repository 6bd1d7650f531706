from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from registry import data, sample, text

# geospatial
POINTS: dict[str, Any] = {"name": ["a", "größe", "c"], "n": [1, 2, 3]}


def places() -> Any:
    import geopandas

    return geopandas.GeoDataFrame(POINTS, geometry=geopandas.points_from_xy([10, 11, 12], [47, 48, 49]), crs="EPSG:4326")


def is_places(frame: Any) -> Any:
    names = next(column for column in frame.columns if column.lower() == "name")
    return (
        type(frame).__name__ == "GeoDataFrame"
        and list(frame[names]) == POINTS["name"]
        and frame.geometry.x.round(6).tolist() == [10, 11, 12]
    )


def vector(extensions: str, driver: str, **options: Any) -> None:
    @sample(extensions, is_places, **options)
    def write(path: Path) -> None:
        places().to_file(path, driver=driver, engine="pyogrio")


vector("geojson", "GeoJSON")
vector("geojsonl geojsonseq", "GeoJSONSeq")
vector("gpkg", "GPKG")


@sample("fgb", lambda f: is_places(f.sort_values("n")))
def flatgeobuf(path: Path) -> None:
    places().to_file(path, driver="FlatGeobuf", engine="pyogrio")


vector("kml", "KML")
vector("gml", "GML")
vector("mif", "MapInfo File")


@sample("shp", is_places)
def shapefile(path: Path) -> None:
    places().to_file(path)


@sample("shz", is_places)
def zipped_shapefile(path: Path) -> None:
    folder = path.with_name("zipped-shape")
    folder.mkdir()
    places().to_file(folder / "p.shp")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)


KML = (
    '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
    + "".join(
        f"<Placemark><name>{n}</name><Point><coordinates>{x},47</coordinates></Point></Placemark>"
        for n, x in zip(POINTS["name"], (10, 11, 12), strict=True)
    )
    + "</Document></kml>"
)


@sample("kmz", is_places)
def kmz(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", KML)


text(
    "gpx",
    '<?xml version="1.0"?><gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>t</name><trkseg>'
    + "".join(f'<trkpt lat="4{i}" lon="1{i}"><ele>{i}</ele></trkpt>' for i in range(5))
    + "</trkseg></trk></gpx>",
    lambda f: f.geometry.x.tolist() == [10, 11, 12, 13, 14] and f["ele"].tolist() == [0, 1, 2, 3, 4],
    note="layer 'track_points'",
)
text(
    "osm",
    '<?xml version="1.0"?><osm version="0.6">'
    + "".join(f'<node id="{i}" lat="47" lon="1{i}" version="1"><tag k="name" v="n{i}"/></node>' for i in range(1, 4))
    + "</osm>",
    lambda f: f["name"].tolist() == ["n1", "n2", "n3"],
)


def protobuf(number: int, value: int | bytes) -> bytes:
    def varint(value: int) -> bytes:
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def pbf() -> bytes:
    def blob(kind: bytes, content: bytes) -> bytes:
        body = protobuf(1, content)
        head = protobuf(1, kind) + protobuf(3, len(body))
        return struct.pack(">I", len(head)) + head + body

    header = protobuf(4, b"OsmSchema-V0.6")
    strings = protobuf(1, b"") + protobuf(1, b"name") + protobuf(1, b"n1")
    node = (
        protobuf(1, 2)
        + protobuf(2, bytes([1]))
        + protobuf(3, bytes([2]))
        + protobuf(8, 470_000_000 * 2)
        + protobuf(9, 110_000_000 * 2)
    )
    block = protobuf(1, strings) + protobuf(2, protobuf(1, node))
    return blob(b"OSMHeader", header) + blob(b"OSMData", block)


data("pbf", pbf(), lambda f: f["name"].tolist() == ["n1"] and f.geometry.y.tolist() == [47])
text("wkt", "POINT (10 47)\nPOLYGON ((0 0, 1 0, 1 1, 0 0))\n", lambda s: s.geom_type.tolist() == ["Point", "Polygon"])
data("wkb", struct.pack("<BIdd", 1, 1, 10.0, 47.0), lambda point: (point.x, point.y) == (10, 47))
GRID = np.arange(20, dtype="float32").reshape(4, 5)


@sample(
    "geotiff gtiff",
    lambda a: a.shape == (4, 5) and a.x.values.tolist()[:2] == [10.25, 10.75] and a.y.values[0] == 48.75 and float(a[1, 2]) == 7,
)
def geotiff(path: Path) -> None:
    import tifffile

    tags = [
        (33550, "d", 3, (0.5, 0.5, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 10.0, 49.0, 0.0), True),
        (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 2, 2048, 0, 1, 4326), True),
    ]
    tifffile.imwrite(path, GRID, extratags=tags, metadata=None)


text(
    "asc grd",
    "ncols 3\nnrows 2\nxllcorner 10\nyllcorner 47\ncellsize 0.5\nNODATA_value -9999\n1 2 3\n4 -9999 6\n",
    lambda a: a.shape == (2, 3) and float(a[0, 2]) == 3 and np.isnan(a.values[1, 1]) and a.y.values.tolist() == [47.75, 47.25],
)
data(
    "hgt",
    np.arange(1201 * 1201, dtype="int64").astype(">i2").tobytes()[: 1201 * 1201 * 2],
    lambda a: a.shape == (1201, 1201) and float(a[0, 5]) == 5,
    note="no coordinates",
)


@sample("las laz", lambda f: f["x"].tolist() == [1.25, 2.5, 3.75] and f["intensity"].tolist() == [5, 6, 7])
def las(path: Path) -> None:
    import laspy

    cloud = laspy.create(point_format=3, file_version="1.2")
    cloud.header.scales = [0.01] * 3
    cloud.x, cloud.y, cloud.z = np.array([1.25, 2.5, 3.75]), np.zeros(3), np.zeros(3)
    cloud.intensity = np.array([5, 6, 7], dtype="uint16")
    cloud.write(str(path))


PCD = b"# .PCD v0.7\nVERSION 0.7\nFIELDS x y\nSIZE 4 4\nTYPE F F\nCOUNT 1 1\nWIDTH 3\nHEIGHT 1\nPOINTS 3\nDATA binary\n"
data("pcd", PCD + np.array([[1, 2], [3, 4], [5, 6]], "<f4").tobytes(), lambda f: f.values.tolist() == [[1, 2], [3, 4], [5, 6]])

# medical
VOLUME = np.arange(60, dtype="int16").reshape(3, 4, 5)


@sample("dcm dicom dic", lambda d: d.PatientName == "Roe^Jane" and d.pixel_array[1, 2] == 7)
def dicom(path: Path) -> None:
    import pydicom
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        pydicom.uid.ExplicitVRLittleEndian,
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.3",
    )
    item = pydicom.Dataset()
    item.file_meta, item.PatientName, item.Rows, item.Columns = meta, "Roe^Jane", 4, 5
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 0
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.PixelData = np.arange(20, dtype="uint16").tobytes()
    item["PixelData"].VR = "OW"
    item.save_as(path, enforce_file_format=True)


def is_volume(image: Any) -> Any:
    return np.array_equal(np.asarray(image.dataobj), VOLUME) and image.affine[0][0] == 2


@sample("nii", is_volume)
def nifti(path: Path) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(VOLUME, np.diag([2, 2, 2, 1])), path)


@sample("mgh mgz", is_volume)
def mgh(path: Path) -> None:
    import nibabel

    raw = nibabel.freesurfer.MGHImage(VOLUME, np.diag([2.0, 2, 2, 1])).to_bytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".mgz" else raw)


@sample("gii", lambda image: np.array_equal(image.darrays[0].data, np.arange(6, dtype="float32").reshape(2, 3)))
def gifti(path: Path) -> None:
    import nibabel

    array = nibabel.gifti.GiftiDataArray(np.arange(6, dtype="float32").reshape(2, 3), intent="NIFTI_INTENT_POINTSET")
    path.write_bytes(nibabel.GiftiImage(darrays=[array]).to_bytes())


@sample(
    "edf bdf rec",
    lambda f: (
        list(f.columns) == ["one", "two"]
        and len(f) == 200
        and abs(f["one"].iloc[50] - 50) < 1
        and f.attrs["units"]["one"] == "uV"
    ),
)
def edf(path: Path) -> None:
    import pyedflib

    kind = pyedflib.FILETYPE_BDF if path.suffix == ".bdf" else pyedflib.FILETYPE_EDF
    with pyedflib.EdfWriter(str(path), 2, file_type=kind) as file:
        header = {
            "dimension": "uV",
            "sample_frequency": 100,
            "physical_min": -200,
            "physical_max": 200,
            "digital_min": -32768,
            "digital_max": 32767,
            "transducer": "",
            "prefilter": "",
        }
        file.setSignalHeaders([{**header, "label": label} for label in ("one", "two")])
        file.writeSamples([np.arange(200.0), np.zeros(200)])


@sample("nrrd", lambda a: np.array_equal(a, VOLUME))
def nrrd_file(path: Path) -> None:
    import nrrd

    nrrd.write(str(path), VOLUME)


# astronomy
@sample("fits fit fts", lambda units: np.array_equal(units[0].data, GRID) and units[1].data["n"].tolist() == [1, 2, 3])
def fits_file(path: Path) -> None:
    from astropy.io import fits

    table = fits.BinTableHDU.from_columns([fits.Column("n", "J", array=np.array([1, 2, 3]))])
    fits.HDUList([fits.PrimaryHDU(GRID), table]).writeto(path.with_name("a.fits"), overwrite=True, checksum=True)
    path.with_name("a.fits").replace(path)


@sample("vot votable ecsv", lambda table: table["n"].tolist() == [1, 2, 3] and str(table["n"].unit) == "m")
def astropy_table(path: Path) -> None:
    from astropy.table import Table

    table = Table({"n": [1, 2, 3], "s": ["a", "b", "c"]})
    table["n"].unit = "m"
    table.write(path, format="ascii.ecsv" if path.suffix == ".ecsv" else "votable", overwrite=True)


# chemistry
def structure() -> Any:
    import gemmi

    made = gemmi.Structure()
    made.name = "1ABC"
    model, chain, residue, atom = gemmi.Model(1), gemmi.Chain("A"), gemmi.Residue(), gemmi.Atom()
    residue.name, residue.seqid, atom.name, atom.element, atom.pos = (
        "GLY",
        gemmi.SeqId("1"),
        "CA",
        gemmi.Element("C"),
        gemmi.Position(1, 2, 3),
    )
    residue.add_atom(atom)
    chain.add_residue(residue)
    model.add_chain(chain)
    made.add_model(model)
    made.setup_entities()
    return made


def is_structure(made: Any) -> Any:
    return made[0]["A"][0].name == "GLY" and made[0]["A"][0][0].pos.z == 3


sample("pdb ent", is_structure)(lambda path: path.write_text(structure().make_pdb_string()))
text("pqr", "ATOM      1  CA  GLY A   1       1.000   2.000   3.000  0.5000 1.7000\nTER\nEND\n", is_structure)
sample("cif mmcif", is_structure)(lambda path: path.write_text(structure().make_mmcif_document().as_string()))


@sample("mtz", lambda f: list(f.columns) == ["H", "K", "L", "F"] and f["F"].tolist() == [10, 20] and f.attrs["cell"][0] == 10)
def mtz(path: Path) -> None:
    import gemmi

    made = gemmi.Mtz(with_base=True)
    made.spacegroup, made.cell = gemmi.SpaceGroup("P 1"), gemmi.UnitCell(10, 10, 10, 90, 90, 90)
    made.add_dataset("d")
    made.add_column("F", "F")
    made.set_data(np.array([[1, 0, 0, 10], [0, 1, 0, 20]], "float32"))
    made.write_to_file(str(path))


@sample("ccp4 mrc map", lambda a: a.shape == (4, 4, 4) and a[1, 2, 3] == 7)
def ccp4(path: Path) -> None:
    import gemmi

    made = gemmi.Ccp4Map()
    values = np.zeros((4, 4, 4), "float32")
    values[1, 2, 3] = 7
    made.grid = gemmi.FloatGrid(values, gemmi.UnitCell(4, 4, 4, 90, 90, 90), gemmi.SpaceGroup("P 1"))
    made.update_ccp4_header()
    made.write_ccp4_map(str(path))


SDF = (
    "water\n  x\n\n  3  2  0  0  0  0            999 V2000\n"
    "    0.0000    0.0000    0.0000 O   0  0\n    0.9572    0.0000    0.0000 H   0  0\n   -0.2400    0.9266    0.0000 H   0  0\n"
    "  1  2  1  0\n  1  3  1  0\nM  END\n"
)
text(
    "sdf sd",
    SDF + "> <mass>\n18.0\n\n$$$$\n",
    lambda m: m[0].name == "water" and list(m[0].atoms["element"]) == ["O", "H", "H"] and m[0].data == {"mass": "18.0"},
)
text("mol", SDF, lambda m: len(m[0].bonds) == 2)
text(
    "mol2",
    "@<TRIPOS>MOLECULE\nwater\n2 1\nSMALL\n@<TRIPOS>ATOM\n1 O 0 0 0 O.3\n2 H 0.9 0 0 H\n@<TRIPOS>BOND\n1 1 2 1\n",
    lambda m: m[0].name == "water" and list(m[0].atoms["type"]) == ["O.3", "H"] and len(m[0].bonds) == 1,
)
text(
    "xyz",
    "3\nwater\nO 0 0 0\nH 0.9572 0 0\nH -0.24 0.9266 0\n",
    lambda f: list(f["element"]) == ["O", "H", "H"] and f["x"][1] == 0.9572,
)
text(
    "smi smiles",
    "CCO ethanol\nc1ccccc1 benzene ring\n",
    lambda f: f.values.tolist() == [["CCO", "ethanol"], ["c1ccccc1", "benzene ring"]],
)
text(
    "jdx dx jcamp",
    "##TITLE=s\n##JCAMP-DX=4.24\n##XFACTOR=1\n##YFACTOR=0.5\n##FIRSTX=1\n##LASTX=4\n##NPOINTS=4\n##XYDATA=(X++(Y..Y))\n1 2 4\n3 6 8\n##END=\n",
    lambda f: f.values.tolist() == [[1, 1], [2, 2], [3, 3], [4, 4]] and f.attrs["TITLE"] == "s",
)
text(
    "mgf",
    "BEGIN IONS\nTITLE=a\nPEPMASS=500.1\n100.5 10\n200.5 20\nEND IONS\n",
    lambda s: s[0]["title"] == "a" and s[0]["peaks"]["mz"].tolist() == [100.5, 200.5],
)

# biology
SEQUENCE = "ACGTACGTACGTACGTACGTACGTACGTACGT"


def is_sequences(records: Any) -> Any:
    return [record.id for record in records] == ["one", "two"] and str(records[0].seq) == SEQUENCE


def record(name: str) -> Any:
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    return SeqRecord(
        Seq(SEQUENCE),
        id=name,
        name=name,
        annotations={"molecule_type": "DNA"},
        letter_annotations={"phred_quality": [30] * len(SEQUENCE)},
    )


SEQUENCE_FORMS = {
    "fasta fa fna faa ffn fas mpfa frn": "fasta",
    "fastq fq": "fastq",
    "gb gbk genbank gbff": "genbank",
    "embl": "embl",
}


def sequences(extensions: str, form: str) -> None:
    @sample(extensions, is_sequences)
    def write(path: Path) -> None:
        from Bio import SeqIO

        SeqIO.write([record("one"), record("two")], path, form)


for names, form in SEQUENCE_FORMS.items():
    sequences(names, form)

ALIGNMENT_FORMS = {
    "aln clustal clw": "clustal",
    "phy phylip": "phylip",
    "sto stk stockholm": "stockholm",
    "nex nexus nxs": "nexus",
}


def alignment(extensions: str, form: str) -> None:
    @sample(extensions, is_sequences)
    def write(path: Path) -> None:
        from Bio import AlignIO
        from Bio.Align import MultipleSeqAlignment

        AlignIO.write(MultipleSeqAlignment([record("one"), record("two")]), path, form)


for names, form in ALIGNMENT_FORMS.items():
    alignment(names, form)

text(
    "nwk newick tree tre",
    "((a:1,b:2)x:1,c:3);\n",
    lambda t: sorted(leaf.name for leaf in t.get_terminals()) == ["a", "b", "c"] and t.total_branch_length() == 7,
)


@sample("phyloxml", lambda t: sorted(leaf.name for leaf in t.get_terminals()) == ["a", "b", "c"])
def phyloxml(path: Path) -> None:
    from Bio import Phylo

    Phylo.convert(io.StringIO("((a:1,b:2)x:1,c:3);"), "newick", path, "phyloxml")


text(
    "vcf",
    "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\nchr1\t100\t.\tA\tG\t50\tPASS\tDP=3\tGT\t0/1\n",
    lambda f: f["POS"].tolist() == [100] and f["s1"].tolist() == ["0/1"] and f.attrs["header"] == ["##fileformat=VCFv4.2"],
)
text(
    "bed",
    "track name=x\nchr1\t10\t20\tone\t5\t+\nchr2\t30\t40\ttwo\t6\t-\n",
    lambda f: f["start"].tolist() == [10, 30] and f["strand"].tolist() == ["+", "-"],
)
text("bedgraph bdg", "track type=bedGraph\nchr1\t10\t20\t1.5\nchr1\t20\t30\t2.5\n", lambda f: f["value"].tolist() == [1.5, 2.5])
text(
    "wig",
    "fixedStep chrom=chr1 start=10 step=5\n1\n2\nvariableStep chrom=chr2 span=2\n100 3\n",
    lambda f: f["start"].tolist() == [10, 15, 100] and f["span"].tolist() == [1, 1, 2],
)
text(
    "gff gff3",
    "##gff-version 3\nchr1\tx\tgene\t1\t9\t.\t+\t.\tID=g1;Name=a%20b\n",
    lambda f: f["attributes"][0] == {"ID": "g1", "Name": "a b"} and f["end"][0] == 9,
)
text(
    "gff2 gtf",
    'chr1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g1"; transcript_id "t 1";\n',
    lambda f: f["attributes"][0] == {"gene_id": "g1", "transcript_id": "t 1"},
)
SAM = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:1000\nr1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\tNM:i:0\n"
text("sam", SAM, lambda f: f["pos"].tolist() == [5] and f["seq"].tolist() == ["ACGT"] and f["tags"].tolist() == ["NM:i:0"])


def bam() -> bytes:
    head = b"@HD\tVN:1.6\n"
    out = (
        b"BAM\x01"
        + struct.pack("<i", len(head))
        + head
        + struct.pack("<i", 1)
        + struct.pack("<i", 5)
        + b"chr1\0"
        + struct.pack("<i", 1000)
    )
    row = (
        struct.pack("<iiBBHHHiiii", 0, 4, 3, 60, 0, 1, 0, 4, -1, -1, 0)
        + b"r1\0"
        + struct.pack("<I", 4 << 4)
        + bytes([0x12, 0x48])
        + bytes([40] * 4)
    )
    return gzip.compress(out + struct.pack("<i", len(row)) + row)


data("bam", bam(), lambda f: f[["pos", "cigar", "seq", "qual"]].values.tolist() == [[5, "4M", "ACGT", "IIII"]])
text(
    "maf",
    "#version 2.4\nHugo_Symbol\tChromosome\tStart_Position\nTP53\t17\t7577121\n",
    lambda f: f["Start_Position"].tolist() == [7577121],
)


# meshes
def is_box(loaded: Any) -> Any:
    meshes = list(getattr(loaded, "geometry", {"": loaded}).values())
    return len(meshes[0].faces) == 12 and abs(meshes[0].area - 6) < 1e-5


@sample("stl ply obj off gltf glb 3mf", is_box)
def box(path: Path) -> None:
    import trimesh

    made = trimesh.creation.box()
    if path.suffix == ".gltf":
        # One file: the buffer goes into it.
        import base64

        files = trimesh.exchange.gltf.export_gltf(made.scene())
        model = json.loads(files["model.gltf"])
        for buffer in model["buffers"]:
            buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(files[buffer["uri"]]).decode()
        path.write_text(json.dumps(model))
        return
    raw = made.scene().export(file_type="3mf") if path.suffix == ".3mf" else made.export(file_type=path.suffix[1:])
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)


@sample("vtk vtu msh inp mesh nas fem", lambda mesh: len(mesh.points) == 4 and mesh.cells[0].data.tolist()[0] == [0, 1, 2])
def finite_elements(path: Path) -> None:
    import meshio

    forms = {
        ".vtk": "vtk",
        ".vtu": "vtu",
        ".msh": "gmsh",
        ".inp": "abaqus",
        ".mesh": "medit",
        ".nas": "nastran",
        ".fem": "nastran",
    }
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    meshio.Mesh(points, [("triangle", np.array([[0, 1, 2], [1, 3, 2]]))]).write(path, file_format=forms[path.suffix])


# engineering
@sample("tdms", lambda c: c["group"]["one"].tolist() == [0, 1, 2, 3] and c["group"].attrs["by"] == "me")
def tdms(path: Path) -> None:
    from nptdms import ChannelObject, RootObject, TdmsWriter

    with TdmsWriter(str(path)) as file:
        file.write_segment(
            [
                RootObject({"by": "me"}),
                ChannelObject("group", "one", np.arange(4.0)),
                ChannelObject("group", "two", np.arange(2.0)),
            ]
        )


@sample(
    "pcap pcapng cap",
    lambda f: (
        f[["source", "protocol", "destination_port"]].values.tolist() == [["10.0.0.1", "UDP", 53]] * 3
        and f["payload"][0] == b"hello"
    ),
)
def pcap(path: Path) -> None:
    import dpkt

    datagram = dpkt.udp.UDP(sport=1234, dport=53, data=b"hello", ulen=13)
    packet = dpkt.ip.IP(src=b"\x0a\0\0\1", dst=b"\x0a\0\0\2", p=17, data=datagram, len=33)
    frame = bytes(dpkt.ethernet.Ethernet(src=bytes(6), dst=bytes(6), data=packet))
    kind = dpkt.pcapng.Writer if path.suffix == ".pcapng" else dpkt.pcap.Writer
    with path.open("wb") as file:
        writer = kind(file)
        for second in range(3):
            writer.writepkt(frame, ts=1_700_000_000 + second)


@sample("dxf", lambda f: f.geometry.geom_type.tolist() == ["Point"] * 3)
def dxf(path: Path) -> None:
    import geopandas

    geopandas.GeoDataFrame({"Layer": ["0"] * 3}, geometry=geopandas.points_from_xy([10, 11, 12], [1, 2, 3])).to_file(
        path, driver="DXF"
    )


text(
    "s1p",
    "! c\n# MHz S RI R 75\n1 0.5 0\n2 0.25 -0.5\n",
    lambda f: f.index.tolist() == [1e6, 2e6] and f["S11"].tolist() == [0.5, 0.25 - 0.5j] and f.attrs["resistance"] == 75,
)
text("s2p", "# GHz S MA R 50\n1 1 0 2 0 3 0 4 0\n", lambda f: f.iloc[0].to_dict() == {"S11": 1, "S21": 2, "S12": 3, "S22": 4})
text("s3p", "# Hz S RI\n1 " + " ".join(f"{i} 0" for i in range(9)) + "\n", lambda f: f["S33"].tolist() == [8])
text("s4p", "# Hz S RI\n1 " + " ".join(f"{i} 0" for i in range(16)) + "\n", lambda f: f["S44"].tolist() == [15])
text("hex ihex", ":0400000001020304F2\n:0400040005060708DE\n:00000001FF\n", lambda c: c == {0: bytes([1, 2, 3, 4, 5, 6, 7, 8])})


# graphs
def is_graph(graph: Any) -> Any:
    return len(graph) == 4 and graph.number_of_edges() == 3


def graph(extensions: str, write: str) -> None:
    @sample(extensions, is_graph)
    def made(path: Path) -> None:
        import networkx

        getattr(networkx, write)(networkx.path_graph(4), path)


for names, function in (("graphml", "write_graphml"), ("gexf", "write_gexf"), ("net pajek", "write_pajek"), ("g6 graph6", "write_graph6"),
                        ("s6 sparse6", "write_sparse6"), ("edgelist edges", "write_edgelist"), ("adjlist", "write_adjlist")):  # fmt: skip
    graph(names, function)
text("dot gv", "graph g { a -- b; b -- c; c -- d }\n", is_graph)
TRIPLES = '<http://e.org/a> <http://e.org/p> "größe" .\n<http://e.org/a> <http://e.org/q> <http://e.org/b> .\n'
text("ttl nt n3", TRIPLES, lambda g: len(g) == 2)
text("nq trig", TRIPLES, lambda g: len(g) == 2)
text(
    "rdf owl",
    '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="http://e.org/">'
    '<rdf:Description rdf:about="http://e.org/a"><e:p>x</e:p><e:q>y</e:q></rdf:Description></rdf:RDF>',
    lambda g: len(g) == 2,
)
