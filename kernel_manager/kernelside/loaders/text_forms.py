"""What the first lines of text files say."""

from __future__ import annotations

import re

#: The beginning of the text → the name of the type. Strong enough to win over any extension but that of source code.
_BEGINNINGS = (
    ("BEGIN:VCALENDAR", "calendar"),
    ("BEGIN:VCARD", "contacts"),
    ("{\\rtf", "rtf"),
    ("##fileformat=VCF", "variants"),
    ("##gff-version", "gff"),
    ("%%MatrixMarket", "matrix market"),
    ("# %ECSV", "ecsv"),
    ("WEBVTT", "subtitles"),
    ("[Script Info]", "subtitles"),
    ("ply\n", "ply"),
    ("# vtk DataFile", "vtk"),
    ("$MeshFormat", "gmsh"),
    ("MeshVersionFormatted", "medit"),
    ("# .PCD v", "pcd"),
    ("LOCUS       ", "genbank"),
    ("CLUSTAL ", "alignment"),
    ("# STOCKHOLM", "stockholm"),
    ("#NEXUS", "nexus"),
    ("@relation ", "arff"),
    ("@RELATION ", "arff"),
    ("track type=bedGraph", "bedgraph"),
    ("track type=wiggle_0", "wig"),
    (">>graph6<<", "graph6"),
    (">>sparse6<<", "sparse6"),
    ("##JCAMP-DX", "jcamp"),
    ("##TITLE=", "jcamp"),
    ("BEGIN IONS", "mgf"),
    ("@HD\tVN:", "sam"),
    ("@SQ\tSN:", "sam"),
    ("solid ", "stl"),
    ("OFF\n", "off"),
)
_PATTERNS = (
    (re.compile(r">\S[^\n]*\n[A-Za-z*\-]{2,}\n?(?:[A-Za-z*\-]+\n|>|\Z)"), "fasta"),
    (re.compile(r"@\S[^\n]*\n[A-Za-z.\-]+\n\+[^\n]*\n[!-~]+(?:\n|\Z)"), "fastq"),
    (re.compile(r"data_\S+\s*\n(?:#[^\n]*\n|\s*\n)*(?:loop_|_\w)"), "cif"),
    (re.compile(r"1\s*\n\d\d:\d\d:\d\d,\d{3} --> "), "subtitles"),
    (re.compile(r"TY  - [A-Z]+\s*\n"), "ris"),
    (re.compile(r"\s*0\s*\n\s*SECTION\s*\n\s*2\s*\n\s*HEADER"), "dxf"),
    (re.compile(r"ncols\s+\d+\s*\nnrows\s+\d+\s*\n", re.IGNORECASE), "ascii grid"),
)

#: The root element of XML → the name of the type.
_ROOTS = {
    "svg": "svg", "kml": "kml", "gpx": "gpx", "graphml": "graphml", "gexf": "gexf", "votable": "votable", "rdf": "rdf",
    "fictionbook": "fictionbook", "osm": "osm", "phyloxml": "phyloxml", "gifti": "gifti", "vtkfile": "vtu", "plist": "plist",
    "featurecollection": "geography gml", "html": "web page",
}  # fmt: skip
_EXCEL_2003 = "urn:schemas-microsoft-com:office:spreadsheet"
_ELEMENT = re.compile(r"<(?:([\w.\-]+):)?([A-Za-z_][\w.\-]*)")
_PDB_RECORDS = ("HEADER ", "CRYST1 ", "MODEL  ", "ATOM  ", "HETATM", "REMARK ", "TITLE  ", "COMPND ")
_GEOJSON = re.compile(
    r'"type"\s*:\s*"(?:FeatureCollection|Feature|Point|MultiPoint|LineString|MultiLineString|Polygon|MultiPolygon|GeometryCollection)"'
)

#: Types whose files are text, or may be. A file that is text and is called like one of the others is none of it.
TEXTUAL = frozenset({
    "fixed width", "spss portable", "sas transport", "arff", "json", "json lines", "json5", "yaml", "toml", "ini",
    "properties", "plist", "xml", "protobuf text", "matrix market", "svg", "flat opendocument", "rtf", "fictionbook", "mail",
    "mailbox", "geojson", "geojson lines", "kml", "gpx", "geography gml", "mapinfo", "osm", "wkt", "ascii grid", "pcd",
    "gifti", "nrrd", "votable", "ecsv", "pdb", "cif", "sdf", "mol2", "xyz", "smiles", "jcamp", "mgf", "fasta", "fastq",
    "genbank", "embl", "alignment", "phylip", "stockholm", "nexus", "newick", "phyloxml", "variants", "bed", "bedgraph", "wig",
    "gff", "sam", "maf", "stl", "ply", "obj", "off", "gltf", "vtk", "vtu", "gmsh", "abaqus", "medit", "nastran", "dxf",
    "touchstone", "intel hex", "graphml", "gexf", "graph gml", "dot", "pajek", "graph6", "sparse6", "edge list",
    "adjacency list", "rdf", "calendar", "contacts", "bibtex", "ris", "medline", "endnote", "notebook", "subtitles", "pickle",
})  # fmt: skip


def by_beginning(text: str) -> str | None:
    """The name of the type that the first lines of ``text`` show, or None."""
    text = text.lstrip("\ufeff")
    if text.lstrip().startswith("<"):
        return by_root(text)
    lines = text.lstrip("\n")
    for beginning, name in _BEGINNINGS:
        if lines.startswith(beginning) and (name != "stl" or "facet" in lines[:1000]):
            return name
    if lines.startswith(_PDB_RECORDS) and re.search(r"^(?:ATOM  |HETATM)[ \d]{5} ", lines[:65536], re.MULTILINE):
        return "pdb"
    return next((name for pattern, name in _PATTERNS if pattern.match(lines[:65536])), None)


def by_root(text: str) -> str | None:
    """The name of the type of an XML document by its root element; ``xml`` if it is no other; None if it is no XML."""
    found = _ELEMENT.match(_without_prolog(text[:65536]))
    if not found:
        return "xml" if text.lstrip().startswith("<?xml") else None
    prefix, root = (found[1] or "").lower(), found[2].lower()
    if prefix == "office" and root.startswith("document"):
        return "flat opendocument"
    if root == "workbook" and _EXCEL_2003 in text[:65536]:
        return "spreadsheet xml"
    if root in _ROOTS:
        return _ROOTS[root]
    return "xml" if text.lstrip().startswith("<?xml") else None


def _without_prolog(text: str) -> str:
    """``text`` from its root element on."""
    while True:
        text = text.lstrip()
        if text.startswith("<?"):
            _, _, text = text.partition("?>")
        elif text.startswith("<!--"):
            _, _, text = text.partition("-->")
        elif text.startswith("<!"):
            before, _, after = text.partition(">")
            text = after if "[" not in before else text.partition("]")[2].lstrip().removeprefix(">")
        else:
            return text


def is_web_page_of_tables(text: str) -> bool:
    """Whether the beginning of HTML shows a table."""
    return by_root(text) in ("web page", None) and bool(re.search(r"<table[\s>]", text, re.IGNORECASE))


def is_geojson(text: str) -> bool:
    """Whether JSON is GeoJSON, by its beginning."""
    return bool(_GEOJSON.search(text[:4096])) and bool(re.search(r'"(?:features|geometry|coordinates|geometries)"', text[:65536]))
