"""The table of file types that ``load_file`` opens. Plain data: it imports no library, so that either side may read it.

Each row names a type, its kind, what a person calls it, its extensions, what opens it (``module:function`` in
:mod:`loaders`), what that gives, and the distributions that it needs. Of several rows with one extension the first is what
the extension stands for; content decides first in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The kinds, as the README groups them.
KINDS = {
    "table": "Tables and spreadsheets",
    "columnar": "Columnar files",
    "structured": "Structured data",
    "array": "Arrays, models and R data",
    "image": "Images",
    "audio": "Audio",
    "video": "Video",
    "document": "Documents and mail",
    "geospatial": "Geospatial",
    "medical": "Medical",
    "astronomy": "Astronomy",
    "chemistry": "Chemistry and structures",
    "biology": "Biology",
    "mesh": "3-D",
    "engineering": "Engineering",
    "graph": "Graphs",
    "organizer": "Calendars, contacts, bibliographies, notebooks, subtitles",
    "font": "Fonts",
    "archive": "Archives and compressed files",
    "text": "Text, markup and source code",
    "bytes": "Anything else",
}

#: Distribution → the name that it is imported by, where the two differ.
IMPORT_NAMES = {
    "beautifulsoup4": "bs4",
    "biopython": "Bio",
    "fonttools": "fontTools",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pymongo": "bson",
    "pynrrd": "nrrd",
    "python-calamine": "python_calamine",
    "python-docx": "docx",
    "python-pptx": "pptx",
    "pyyaml": "yaml",
    "resvg-py": "resvg_py",
}


@dataclass(frozen=True, slots=True)
class FileType:
    """One row. ``loader`` and ``table_loader`` (for ``as_='table'``; by default made of what ``loader`` gives) are names.

    ``limited`` types are opened in a process of their own with limits on time and memory, because what reads them is native
    code, or code that trusts its input.
    """

    name: str
    kind: str
    label: str
    extensions: tuple[str, ...]
    loader: str
    gives: str
    packages: tuple[str, ...] = ()
    limited: bool = True
    table_loader: str = ""
    may_be_empty: bool = False


def _here(
    name: str, kind: str, label: str, extensions: str, loader: str, gives: str, packages: str = "", **more: object
) -> FileType:
    """A row whose loader runs in the kernel itself. Extensions and packages are separated by blanks."""
    return _limited(name, kind, label, extensions, loader, gives, packages, limited=False, **more)


def _limited(
    name: str, kind: str, label: str, extensions: str, loader: str, gives: str, packages: str = "", **more: object
) -> FileType:
    dotted = tuple(f".{extension}" for extension in extensions.split())
    return FileType(name, kind, label, dotted, loader, gives, tuple(packages.split()), **more)  # type: ignore[arg-type]


_FRAME = "DataFrame"
_IMAGE = "Pillow image"
_GEO = "GeoDataFrame"
_DOCUMENT = "Document (text, pages, tables, metadata)"
_ARCHIVE = "Archive (members, read, load)"

_TABLES = (
    _here("table", "table", "a delimited table", "csv tsv tab psv ssv", "table:load_table", _FRAME, "pandas"),
    _here("fixed width", "table", "a table of fixed width", "fwf", "fixed_width:load_fixed_width", _FRAME, "pandas"),
    _here(
        *("spreadsheet", "table", "an Excel workbook", "xlsx xlsm xltx xltm xls xlt xlsb xlam xla"),
        *("spreadsheet:load_spreadsheet", _FRAME, "pandas python-calamine openpyxl"),
    ),
    _here(
        *("opendocument sheet", "table", "an OpenDocument spreadsheet", "ods ots"),
        *("spreadsheet:load_spreadsheet", _FRAME, "pandas python-calamine"),
    ),
    _limited(
        *("spreadsheet xml", "table", "an Excel workbook in XML", "", "spreadsheet_xml:load_spreadsheet_xml", _FRAME),
        "pandas lxml",
    ),
    _limited("html table", "table", "a web page with tables", "", "webpages:load_html_table", _FRAME, "pandas lxml"),
    _limited("spss", "table", "SPSS data", "sav zsav", "statistics:load_spss", _FRAME, "pyreadstat"),
    _limited("spss portable", "table", "SPSS portable data", "por", "statistics:load_spss_portable", _FRAME, "pyreadstat"),
    _limited("stata", "table", "Stata data", "dta", "statistics:load_stata", _FRAME, "pandas"),
    _limited("sas", "table", "SAS data", "sas7bdat", "statistics:load_sas", _FRAME, "pyreadstat"),
    _limited(
        "sas transport", "table", "a SAS transport file", "xpt xport", "statistics:load_sas_transport", _FRAME, "pyreadstat"
    ),
    _limited("dbase", "table", "a dBase table", "dbf", "statistics:load_dbase", _FRAME, "dbfread"),
    _limited("arff", "table", "an ARFF table", "arff", "statistics:load_arff", _FRAME, "scipy"),
    _limited("sqlite", "table", "an SQLite database", "sqlite sqlite3 db db3 s3db sl3 mbtiles", "databases:load_sqlite", _FRAME),
    _limited("duckdb", "table", "a DuckDB database", "duckdb ddb", "databases:load_duckdb", _FRAME, "duckdb"),
)

_COLUMNAR = (
    _here("parquet", "columnar", "Parquet", "parquet pq parq geoparquet", "columnar:load_parquet", _FRAME, "pandas pyarrow"),
    _here(
        "feather",
        "columnar",
        "Feather (Arrow)",
        "feather ftr arrow arrows ipc",
        "columnar:load_feather",
        _FRAME,
        "pandas pyarrow",
    ),
    _limited("orc", "columnar", "ORC", "orc", "columnar:load_orc", _FRAME, "pandas pyarrow"),
    _limited("avro", "columnar", "Avro", "avro", "columnar:load_avro", _FRAME, "fastavro"),
)

_STRUCTURED = (
    _here(
        *("json", "structured", "JSON", "json har webmanifest jsonld topojson sarif avsc", "structured:load_json", "objects"),
        table_loader="structured:load_json_table",
    ),
    _here(
        "json lines", "structured", "JSON lines", "jsonl ndjson jsonlines ldjson", "structured:load_json_lines", _FRAME, "pandas"
    ),
    _here("json5", "structured", "JSON with comments", "json5 jsonc hjson", "settings:load_json5", "objects", "json5"),
    _here("yaml", "structured", "YAML", "yaml yml", "settings:load_yaml", "objects", "pyyaml"),
    _here("toml", "structured", "TOML", "toml", "settings:load_toml", "dict"),
    _here("ini", "structured", "INI settings", "ini cfg conf", "settings:load_ini", "dict of sections"),
    _here("properties", "structured", "properties", "properties env", "settings:load_properties", "dict"),
    _here("plist", "structured", "a property list", "plist", "settings:load_plist", "objects"),
    _here("xml", "structured", "XML", "xml xsd xsl xslt rss atom wsdl opml xspf", "settings:load_xml", "dict", "xmltodict"),
    _here(
        "protobuf text",
        "structured",
        "protobuf text",
        "textproto pbtxt prototxt txtpb",
        "protobuf_text:load_protobuf_text",
        "dict",
    ),
    _limited("bson", "structured", "BSON", "bson", "packed_objects:load_bson", "list of documents", "pymongo"),
    _limited("cbor", "structured", "CBOR", "cbor", "packed_objects:load_cbor", "objects", "cbor2"),
    _limited("messagepack", "structured", "MessagePack", "msgpack mpk", "packed_objects:load_messagepack", "objects", "msgpack"),
)

_ARRAYS = (
    _here("npy", "array", "a NumPy array", "npy", "arrays:load_npy", "NumPy array", "numpy"),
    _here("npz", "array", "NumPy arrays", "npz", "arrays:load_npz", "dict of NumPy arrays", "numpy"),
    _limited("matlab", "array", "MATLAB data", "mat", "arrays:load_matlab", "dict of NumPy arrays", "scipy h5py"),
    _limited("idl", "array", "IDL data", "idlsav", "arrays:load_idl", "dict of NumPy arrays", "scipy"),
    _limited(
        "matrix market",
        "array",
        "a Matrix Market matrix",
        "mtx",
        "arrays:load_matrix_market",
        "SciPy sparse or NumPy array",
        "scipy",
    ),
    _limited(
        "safetensors", "array", "safetensors", "safetensors", "arrays:load_safetensors", "dict of NumPy arrays", "safetensors"
    ),
    _limited(
        "hdf5",
        "array",
        "HDF5",
        "h5 hdf5 hdf he5 h5ad loom",
        "hierarchies:load_hdf5",
        "dict of NumPy arrays by path, .attrs",
        "h5py",
    ),
    _limited(
        "netcdf", "array", "netCDF", "nc nc4 netcdf cdf", "hierarchies:load_netcdf", "xarray Dataset", "xarray h5netcdf scipy"
    ),
    _limited("zarr", "array", "zipped Zarr", "zarr", "hierarchies:load_zarr", "xarray Dataset or dict of arrays", "zarr"),
    _limited("root", "array", "a ROOT file", "root", "hierarchies:load_root", "DataFrame or dict of objects", "uproot"),
    _here("pickle", "array", "a pickle", "pkl pickle p", "pickles:load_pickle", "what was pickled"),
    _here("joblib", "array", "a joblib file", "joblib jl2", "pickles:load_joblib", "what was dumped", "joblib"),
    _here("onnx", "array", "an ONNX model", "onnx", "model_files:load_onnx", "dict (metadata)"),
    _here("gguf", "array", "a GGUF model", "gguf", "model_files:load_gguf", "dict (metadata)"),
    _limited("r data", "array", "R data", "rds rda rdata", "r_data:load_r", "DataFrame or dict of objects", "rdata"),
)

_IMAGES = (
    _here(
        *("image", "image", "an image"),
        "png apng jpg jpeg jpe jfif gif bmp dib tif tiff webp ico cur icns avif jp2 j2k jpx jpc j2c jpf psd tga pcx ppm pgm "
        "pbm pnm pfm qoi dds sgi rgb rgba bw xbm xpm blp im msp mpo ras sun spider btf",
        *("images:load_image", _IMAGE, "pillow"),
    ),
    _limited("heif", "image", "a HEIF image", "heic heif hif", "photographs:load_heif", _IMAGE, "pillow-heif"),
    _limited(
        "raw", "image", "a camera's raw image", "dng cr2 nef arw orf rw2 pef srw raf", "photographs:load_raw", _IMAGE, "rawpy"
    ),
    _limited("jpeg xl", "image", "JPEG XL", "jxl", "photographs:load_with_imagecodecs", "NumPy array", "imagecodecs"),
    _limited("jpeg xr", "image", "JPEG XR", "jxr wdp hdp", "photographs:load_with_imagecodecs", "NumPy array", "imagecodecs"),
    _limited("svg", "image", "an SVG drawing", "svg svgz", "drawings:load_svg", _IMAGE, "resvg-py"),
)

_AUDIO = (
    _limited(
        *("sound", "audio", "audio"),
        "wav wave aif aiff aifc au snd flac ogg oga opus mp3 caf w64 rf64 voc sf pvf paf avr svx iff xi htk nist sph",
        *("sound:load_sound", "(samples, rate)", "soundfile"),
    ),
    _limited(
        "compressed sound",
        "audio",
        "audio",
        "m4a m4b aac wma ac3 eac3 mp2 mka amr",
        "sound:load_with_av",
        "(samples, rate)",
        "av",
    ),
    _here("midi", "audio", "a MIDI file", "mid midi kar", "midi:load_midi", "DataFrame of notes", "pandas"),
)

_VIDEO = (
    _limited(
        *("video", "video", "video"),
        "mp4 m4v mov mkv webm avi mpg mpeg wmv asf flv m2ts mts 3gp 3g2 ogv vob f4v mxf",
        *("video:load_video", "Video (metadata, frame, frames)", "av pillow"),
    ),
)

_DOCUMENTS = (
    _limited("pdf", "document", "a PDF document", "pdf", "pdf:load_pdf", _DOCUMENT, "pypdfium2 pypdf"),
    _limited("word", "document", "a Word document", "docx docm dotx dotm", "office:load_word", _DOCUMENT, "python-docx"),
    _limited(
        *("powerpoint", "document", "a PowerPoint presentation", "pptx pptm potx ppsx ppsm potm"),
        *("office:load_powerpoint", _DOCUMENT, "python-pptx"),
    ),
    _limited(
        "opendocument",
        "document",
        "an OpenDocument file",
        "odt ott odp otp odg odf",
        "opendocument:load_opendocument",
        _DOCUMENT,
        "lxml",
    ),
    _limited(
        "flat opendocument", "document", "a flat OpenDocument file", "fodt fods fodp", "opendocument:load_flat", _DOCUMENT, "lxml"
    ),
    _limited("rtf", "document", "rich text", "rtf", "books:load_rtf", _DOCUMENT, "striprtf"),
    _limited("epub", "document", "an EPUB book", "epub", "books:load_epub", _DOCUMENT, "lxml"),
    _limited("fictionbook", "document", "a FictionBook", "fb2", "books:load_fictionbook", _DOCUMENT, "lxml"),
    _limited("mail", "document", "an e-mail", "eml mht mhtml emlx", "mail:load_mail", "Mail (headers, text, attachments)"),
    _limited("mailbox", "document", "a mailbox", "mbox mbx", "mail:load_mailbox", _FRAME, "pandas"),
    _limited(
        "outlook",
        "document",
        "an Outlook message",
        "msg oft",
        "mail:load_outlook",
        "Mail (headers, text, attachments)",
        "olefile",
    ),
)

_GEOSPATIAL = (
    _limited("geojson", "geospatial", "GeoJSON", "geojson", "geospatial:load_geojson", _GEO, "geopandas pyogrio"),
    _limited(
        "geojson lines", "geospatial", "GeoJSON lines", "geojsonl geojsonseq", "geospatial:load_vector", _GEO, "geopandas pyogrio"
    ),
    _limited("shapefile", "geospatial", "a shapefile", "shp shz", "geospatial:load_shapefile", _GEO, "geopandas pyogrio"),
    _limited("geopackage", "geospatial", "a GeoPackage", "gpkg", "geospatial:load_vector", _GEO, "geopandas pyogrio"),
    _limited("kml", "geospatial", "KML", "kml", "geospatial:load_vector", _GEO, "geopandas pyogrio"),
    _limited("kmz", "geospatial", "KMZ", "kmz", "geospatial:load_kmz", _GEO, "geopandas pyogrio"),
    _limited("gpx", "geospatial", "a GPX track", "gpx", "geospatial:load_gpx", _GEO, "geopandas pyogrio"),
    _limited("geography gml", "geospatial", "GML", "gml", "geospatial:load_vector", _GEO, "geopandas pyogrio"),
    _limited("flatgeobuf", "geospatial", "FlatGeobuf", "fgb", "geospatial:load_vector", _GEO, "geopandas pyogrio"),
    _limited("mapinfo", "geospatial", "MapInfo data", "mif", "geospatial:load_vector", _GEO, "geopandas pyogrio"),
    _limited("osm", "geospatial", "OpenStreetMap data", "osm pbf", "geospatial:load_osm", _GEO, "geopandas pyogrio"),
    _limited("wkt", "geospatial", "well-known text", "wkt", "geospatial:load_wkt", "Shapely geometry or GeoSeries", "shapely"),
    _limited("wkb", "geospatial", "well-known binary", "wkb", "geospatial:load_wkb", "Shapely geometry", "shapely"),
    _limited(
        "geotiff", "geospatial", "a GeoTIFF", "geotiff gtiff", "rasters:load_geotiff", "xarray DataArray", "tifffile xarray"
    ),
    _limited(
        "ascii grid", "geospatial", "an ESRI ASCII grid", "asc grd", "rasters:load_ascii_grid", "xarray DataArray", "xarray"
    ),
    _limited("srtm", "geospatial", "an SRTM tile", "hgt", "rasters:load_srtm", "xarray DataArray", "xarray"),
    _limited("las", "geospatial", "a point cloud", "las laz", "point_clouds:load_las", _FRAME, "laspy lazrs"),
    _limited("pcd", "geospatial", "a point cloud", "pcd", "point_clouds:load_pcd", _FRAME, "pandas"),
)

_SCIENCE = (
    _limited("dicom", "medical", "a DICOM file", "dcm dicom dic", "medical:load_dicom", "pydicom Dataset", "pydicom"),
    _limited("nifti", "medical", "a NIfTI image", "nii", "medical:load_nifti", "nibabel image", "nibabel"),
    _limited("mgh", "medical", "a FreeSurfer image", "mgh mgz", "medical:load_mgh", "nibabel image", "nibabel"),
    _limited("gifti", "medical", "a GIfTI surface", "gii", "medical:load_gifti", "nibabel image", "nibabel"),
    _limited("edf", "medical", "EDF signals", "edf bdf rec", "medical:load_edf", "DataFrame by time, .attrs", "pyedflib"),
    _limited("nrrd", "medical", "an NRRD image", "nrrd", "medical:load_nrrd", "NumPy array", "pynrrd"),
    _limited("fits", "astronomy", "FITS", "fits fit fts", "astronomy:load_fits", "astropy HDUList", "astropy"),
    _limited("votable", "astronomy", "a VOTable", "vot votable", "astronomy:load_votable", "astropy Table", "astropy"),
    _limited("ecsv", "astronomy", "ECSV", "ecsv", "astronomy:load_ecsv", "astropy Table", "astropy"),
    _limited("pdb", "chemistry", "a PDB structure", "pdb ent pqr", "chemistry:load_pdb", "gemmi Structure", "gemmi"),
    _limited("cif", "chemistry", "CIF", "cif mmcif", "chemistry:load_cif", "gemmi Structure or dict", "gemmi"),
    _limited("mtz", "chemistry", "an MTZ reflection file", "mtz", "chemistry:load_mtz", _FRAME, "gemmi"),
    _limited("ccp4", "chemistry", "an electron density map", "ccp4 mrc map", "chemistry:load_ccp4", "NumPy array", "gemmi"),
    _limited(
        "sdf",
        "chemistry",
        "molecules (SDF)",
        "sdf mol sd",
        "molecules:load_sdf",
        "list of molecules (atoms, bonds, data)",
        "pandas",
    ),
    _limited(
        "mol2", "chemistry", "molecules (MOL2)", "mol2", "molecules:load_mol2", "list of molecules (atoms, bonds)", "pandas"
    ),
    _limited("xyz", "chemistry", "molecules (XYZ)", "xyz", "molecules:load_xyz", "DataFrame of atoms", "pandas"),
    _limited("smiles", "chemistry", "SMILES", "smi smiles", "molecules:load_smiles", _FRAME, "pandas"),
    _limited("jcamp", "chemistry", "a JCAMP-DX spectrum", "jdx dx jcamp", "molecules:load_jcamp", "DataFrame, .attrs", "pandas"),
    _limited("mgf", "chemistry", "mass spectra (MGF)", "mgf", "molecules:load_mgf", "list of spectra", "pandas"),
    _limited(
        "fasta",
        "biology",
        "FASTA sequences",
        "fasta fa fna faa ffn fas mpfa frn",
        "biology:load_fasta",
        "list of SeqRecord",
        "biopython",
    ),
    _limited("fastq", "biology", "FASTQ reads", "fastq fq", "biology:load_fastq", "list of SeqRecord", "biopython"),
    _limited(
        "genbank", "biology", "a GenBank record", "gb gbk genbank gbff", "biology:load_genbank", "list of SeqRecord", "biopython"
    ),
    _limited("embl", "biology", "an EMBL record", "embl", "biology:load_embl", "list of SeqRecord", "biopython"),
    _limited("alignment", "biology", "an alignment", "aln clustal clw", "biology:load_clustal", "Bio alignment", "biopython"),
    _limited("phylip", "biology", "a PHYLIP alignment", "phy phylip", "biology:load_phylip", "Bio alignment", "biopython"),
    _limited(
        "stockholm",
        "biology",
        "a Stockholm alignment",
        "sto stk stockholm",
        "biology:load_stockholm",
        "Bio alignment",
        "biopython",
    ),
    _limited("nexus", "biology", "NEXUS", "nex nexus nxs", "biology:load_nexus", "Bio alignment or trees", "biopython"),
    _limited("newick", "biology", "a Newick tree", "nwk newick tree tre", "biology:load_newick", "Bio.Phylo tree", "biopython"),
    _limited("phyloxml", "biology", "a phyloXML tree", "phyloxml", "biology:load_phyloxml", "Bio.Phylo tree", "biopython"),
    _limited("variants", "biology", "variants (VCF)", "vcf", "genomics:load_vcf", "DataFrame, .attrs", "pandas"),
    _limited("bed", "biology", "regions (BED)", "bed", "genomics:load_bed", _FRAME, "pandas"),
    _limited("bedgraph", "biology", "a bedGraph track", "bedgraph bdg", "genomics:load_bedgraph", _FRAME, "pandas"),
    _limited("wig", "biology", "a wiggle track", "wig", "genomics:load_wig", _FRAME, "pandas"),
    _limited("gff", "biology", "annotations (GFF)", "gff gff3 gff2 gtf", "genomics:load_gff", _FRAME, "pandas"),
    _limited("sam", "biology", "alignments (SAM)", "sam", "genomics:load_sam", "DataFrame, .attrs", "pandas"),
    _limited("bam", "biology", "alignments (BAM)", "bam", "genomics:load_bam", "DataFrame, .attrs", "pandas"),
    _limited("maf", "biology", "mutations (MAF)", "maf", "genomics:load_maf", _FRAME, "pandas"),
)

_ENGINEERING = (
    _limited("stl", "mesh", "a 3-D mesh (STL)", "stl", "meshes:load_trimesh", "trimesh Trimesh", "trimesh"),
    _limited("ply", "mesh", "a 3-D mesh (PLY)", "ply", "meshes:load_trimesh", "trimesh Trimesh or PointCloud", "trimesh"),
    _limited("obj", "mesh", "a 3-D mesh (OBJ)", "obj", "meshes:load_trimesh", "trimesh Trimesh", "trimesh"),
    _limited("off", "mesh", "a 3-D mesh (OFF)", "off", "meshes:load_trimesh", "trimesh Trimesh", "trimesh"),
    _limited("gltf", "mesh", "a 3-D scene (glTF)", "gltf glb", "meshes:load_trimesh", "trimesh Scene", "trimesh"),
    _limited("3mf", "mesh", "a 3-D model (3MF)", "3mf", "meshes:load_trimesh", "trimesh Scene", "trimesh lxml networkx"),
    _limited("vtk", "mesh", "a mesh (VTK)", "vtk", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("vtu", "mesh", "a mesh (VTU)", "vtu", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("gmsh", "mesh", "a mesh (Gmsh)", "msh", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("abaqus", "mesh", "a mesh (Abaqus)", "inp", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("medit", "mesh", "a mesh (Medit)", "mesh", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("nastran", "mesh", "a mesh (Nastran)", "nas fem", "meshes:load_meshio", "meshio Mesh", "meshio"),
    _limited("tdms", "engineering", "TDMS measurements", "tdms", "engineering:load_tdms", "dict of DataFrames", "nptdms"),
    _limited("pcap", "engineering", "captured packets", "pcap pcapng cap", "engineering:load_pcap", _FRAME, "dpkt"),
    _limited("dxf", "engineering", "a DXF drawing", "dxf", "engineering:load_dxf", _GEO, "geopandas pyogrio"),
    _limited(
        "touchstone",
        "engineering",
        "network parameters (Touchstone)",
        "s1p s2p s3p s4p",
        "engineering:load_touchstone",
        _FRAME,
        "pandas",
    ),
    _limited(
        "intel hex", "engineering", "an Intel HEX image", "hex ihex", "engineering:load_intel_hex", "dict of bytes by address"
    ),
    _limited("graphml", "graph", "a graph (GraphML)", "graphml", "graphs:load_graphml", "NetworkX graph", "networkx"),
    _limited("gexf", "graph", "a graph (GEXF)", "gexf", "graphs:load_gexf", "NetworkX graph", "networkx"),
    _limited("graph gml", "graph", "a graph (GML)", "", "graphs:load_gml", "NetworkX graph", "networkx"),
    _limited("dot", "graph", "a graph (DOT)", "dot gv", "graphs:load_dot", "NetworkX graph", "networkx pydot"),
    _limited("pajek", "graph", "a graph (Pajek)", "net pajek", "graphs:load_pajek", "NetworkX graph", "networkx"),
    _limited("graph6", "graph", "a graph (graph6)", "g6 graph6", "graphs:load_graph6", "NetworkX graph", "networkx"),
    _limited("sparse6", "graph", "a graph (sparse6)", "s6 sparse6", "graphs:load_sparse6", "NetworkX graph", "networkx"),
    _limited(
        "edge list", "graph", "a graph (edge list)", "edgelist edges", "graphs:load_edge_list", "NetworkX graph", "networkx"
    ),
    _limited(
        "adjacency list",
        "graph",
        "a graph (adjacency list)",
        "adjlist",
        "graphs:load_adjacency_list",
        "NetworkX graph",
        "networkx",
    ),
    _limited("rdf", "graph", "RDF", "ttl nt n3 nq trig rdf owl", "graphs:load_rdf", "rdflib Graph", "rdflib"),
)

_ORGANIZERS = (
    _limited(
        "calendar",
        "organizer",
        "a calendar",
        "ics ical ifb icalendar",
        "organizers:load_calendar",
        "icalendar Calendar",
        "icalendar",
    ),
    _here("contacts", "organizer", "contacts (vCard)", "vcard", "organizers:load_contacts", _FRAME, "pandas"),
    _limited("bibtex", "organizer", "a bibliography (BibTeX)", "bib bibtex", "organizers:load_bibtex", _FRAME, "bibtexparser"),
    _here("ris", "organizer", "a bibliography (RIS)", "ris", "organizers:load_ris", _FRAME, "pandas"),
    _here("medline", "organizer", "a bibliography (MEDLINE)", "nbib medline", "organizers:load_medline", _FRAME, "pandas"),
    _here("endnote", "organizer", "a bibliography (EndNote)", "enw", "organizers:load_endnote", _FRAME, "pandas"),
    _here(
        "notebook", "organizer", "a Jupyter notebook", "ipynb", "organizers:load_notebook", "nbformat NotebookNode", "nbformat"
    ),
    _here("subtitles", "organizer", "subtitles", "srt vtt sbv ass ssa lrc", "subtitles:load_subtitles", _FRAME, "pandas"),
)

_FONTS = (
    _limited("font", "font", "a font", "ttf otf woff woff2 ttc otc", "fonts:load_font", "fontTools TTFont", "fonttools brotli"),
)

_ARCHIVES = (
    _here(
        "zip",
        "archive",
        "a ZIP archive",
        "zip jar war ear apk whl egg cbz ipa xpi nupkg aar vsix",
        "archives:load_zip",
        _ARCHIVE,
        "pandas",
    ),
    _here("tar", "archive", "a tar archive", "tar tgz tbz2 tbz txz tzst tlz gem", "archives:load_tar", _ARCHIVE, "pandas"),
    _limited("7z", "archive", "a 7-Zip archive", "7z cb7", "archives:load_7z", _ARCHIVE, "pandas py7zr"),
    _limited("rar", "archive", "a RAR archive", "rar cbr", "archives:load_rar", "Archive (members only)", "pandas rarfile"),
    _here("ar", "archive", "an ar archive", "ar deb a lib", "archives:load_ar", _ARCHIVE, "pandas"),
    _here("cpio", "archive", "a cpio archive", "cpio", "archives:load_cpio", _ARCHIVE, "pandas"),
    # What is packed alone opens as what is in it; these stand for what is not known by anything else.
    _here(
        "packed",
        "archive",
        "a compressed file",
        "gz gzip bz2 xz lzma zst zstd lz4 br",
        "plain:load_unpacked",
        "what is in it, or bytes",
    ),
)

_SOURCE_CODE = (
    "py pyi pyx pxd r jl m c h cc cpp cxx c++ hpp hh hxx cs java kt kts scala sc groovy go rs swift dart js mjs cjs jsx ts tsx "
    "cts vue svelte astro php rb erb pl pm raku lua sh bash zsh fish ksh csh ps1 psm1 bat cmd sql hs lhs ml mli fs fsx fsi clj "
    "cljs cljc edn ex exs erl hrl elm purs nim zig cr d v vhd vhdl sv svh f f77 f90 f95 f03 for pas pp dpr adb ads cob cbl cpy "
    "lisp cl lsp el scm ss rkt tcl vb vbs bas asm s nasm cu cuh glsl vert frag hlsl wgsl metal proto thrift graphql gql "
    "gradle cmake mk dockerfile tf tfvars hcl nix awk sed css scss sass less styl diff patch sol move cairo "
    "vy abap apex do ado sas sps mod "
    "stan bugs jags gms ampl lp mps wl wls mathematica sage ipy coffee ls hx as pde ino scad gd gdshader qml ahk applescript "
    "nsi iss ebnf g4 y l lex yacc bnf ql pro prolog cypher sparql rq xq xquery jq j2 jinja jinja2 mustache hbs ejs pug haml slim "
    "twig liquid"
)
_MARKUP = (
    "md markdown mdx rst adoc asciidoc org textile wiki mediawiki tex ltx sty cls dtx sub log rmd qmd rnw "
    "typ man pod tei dtd rng rnc sgml eps ps gcode ngc step stp iges igs ifc prj cpg lock gitignore editorconfig pem crt csr "
    "po pot strings srx tmx xlf xliff resx nfo diz readme license me changes todo plantuml puml mmd mermaid"
)


_TEXTS = (
    _here(
        *("text", "text", "text", f"{_SOURCE_CODE} {_MARKUP}", "plain:load_text", "str"),
        table_loader="table:load_table",
        may_be_empty=True,
    ),
    _here(
        *("web page", "text", "a web page", "html htm xhtml shtml", "plain:load_text", "str"),
        table_loader="webpages:load_page_as_table",
        may_be_empty=True,
    ),
    #: Text whose extension says nothing about what is in it.
    _here(
        "plain text",
        "text",
        "text",
        "txt text dat data out prn",
        "plain:load_text",
        "str",
        table_loader="table:load_table",
        may_be_empty=True,
    ),
    _here(
        "bytes",
        "bytes",
        "a file of unknown type",
        "",
        "plain:load_bytes",
        "bytes",
        table_loader="table:load_table",
        may_be_empty=True,
    ),
)

TYPES: tuple[FileType, ...] = (
    *_TABLES,
    *_COLUMNAR,
    *_STRUCTURED,
    *_ARRAYS,
    *_IMAGES,
    *_AUDIO,
    *_VIDEO,
    *_DOCUMENTS,
    *_GEOSPATIAL,
    *_SCIENCE,
    *_ENGINEERING,
    *_ORGANIZERS,
    *_FONTS,
    *_ARCHIVES,
    *_TEXTS,
)

BY_NAME = {row.name: row for row in TYPES}
BY_EXTENSION: dict[str, FileType] = {}
for _row in TYPES:
    for _extension in _row.extensions:
        BY_EXTENSION.setdefault(_extension, _row)
BY_EXTENSION.setdefault("", BY_NAME["plain text"])
