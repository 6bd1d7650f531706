"""What the first bytes of binary files say. Data, and the few decisions that need more than a comparison."""

from __future__ import annotations

import re
import struct

from .source import Source

#: Offset, bytes, name of the type. The first that fits counts.
SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "parquet"),
    (0, b"ARROW1\0\0", "feather"),
    (0, b"FEA1", "feather"),
    (0, b"ORC", "orc"),
    (0, b"Obj\x01", "avro"),
    (0, b"\x89PNG\r\n\x1a\n", "image"),
    (0, b"\xff\xd8\xff", "image"),
    (0, b"GIF87a", "image"),
    (0, b"GIF89a", "image"),
    (0, b"8BPS\0\x01", "image"),
    (0, b"\0\0\x01\0", "image"),
    (0, b"\0\0\x02\0", "image"),
    (0, b"\0\0\0\x0cjP  \r\n", "image"),
    (0, b"\xff\x4f\xff\x51", "image"),
    (0, b"icns", "image"),
    (0, b"DDS ", "image"),
    (0, b"qoif", "image"),
    (0, b"BLP1", "image"),
    (0, b"BLP2", "image"),
    (0, b"\x59\xa6\x6a\x95", "image"),
    (0, b"\x01\xda", "image"),
    (8, b"WEBPVP8", "image"),
    (0, b"\0\0\0\x0cJXL \r\n", "jpeg xl"),
    (0, b"\xff\x0a", "jpeg xl"),
    (0, b"II\xbc\x01", "jpeg xr"),
    (0, b"FUJIFILMCCD-RAW", "raw"),
    (0, b"IIRO", "raw"),
    (0, b"IIU\0", "raw"),
    (8, b"WAVE", "sound"),
    (0, b"RF64", "sound"),
    (0, b"riff\x2e\x91\xcf\x11", "sound"),
    (8, b"AIFF", "sound"),
    (8, b"AIFC", "sound"),
    (8, b"8SVX", "sound"),
    (8, b"16SV", "sound"),
    (0, b".snd", "sound"),
    (0, b"fLaC", "sound"),
    (0, b"caff\0", "sound"),
    (0, b"Creative Voice File\x1a", "sound"),
    (0, b"NIST_1A", "sound"),
    (0, b" paf", "sound"),
    (0, b"fap ", "sound"),
    (0, b"PVF1", "sound"),
    (0, b"2BIT", "sound"),
    (0, b"Extended Instrument:", "sound"),
    (0, b"\x64\xa3", "sound"),
    (0, b"ID3", "sound"),
    (0, b"\xff\xfb", "sound"),
    (0, b"\xff\xfa", "sound"),
    (0, b"\xff\xe3", "sound"),
    (0, b"\xff\xe2", "sound"),
    (0, b"\xff\xfd", "compressed sound"),
    (0, b"\xff\xfc", "compressed sound"),
    (0, b"\xff\xf3", "sound"),
    (0, b"\xff\xf2", "sound"),
    (0, b"\xff\xf1", "compressed sound"),
    (0, b"\xff\xf9", "compressed sound"),
    (0, b"\x0b\x77", "compressed sound"),
    (0, b"#!AMR", "compressed sound"),
    (0, b"MThd", "midi"),
    (8, b"AVI ", "video"),
    (0, b"FLV\x01", "video"),
    (0, b"\0\0\x01\xba", "video"),
    (0, b"\0\0\x01\xb3", "video"),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", "video"),
    (0, b"P6\n", "image"),
    (0, b"P5\n", "image"),
    (0, b"P4\n", "image"),
    (0, b"\x0a\x05\x01\x08", "image"),
    (0, b"%PDF-", "pdf"),
    (0, b"# .PCD v", "pcd"),
    (0, b"# vtk DataFile", "vtk"),
    (0, b"\0\0\x27\x0a\0\0\0\0", "shapefile"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (512, b"\x89HDF\r\n\x1a\n", "hdf5"),
    (0, b"CDF\x01", "netcdf"),
    (0, b"CDF\x02", "netcdf"),
    (0, b"CDF\x05", "netcdf"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"MATLAB 5.0 MAT-file", "matlab"),
    (0, b"MATLAB 7.3 MAT-file", "matlab"),
    (0, b"SR\0\x04", "idl"),
    (0, b"SR\0\x06", "idl"),
    (0, b"root\0\0", "root"),
    (0, b"GGUF", "gguf"),
    (0, b"RDX2\n", "r data"),
    (0, b"RDX3\n", "r data"),
    (0, b"X\n\0\0\0\x02", "r data"),
    (0, b"X\n\0\0\0\x03", "r data"),
    (0, b"$FL2", "spss"),
    (0, b"$FL3", "spss"),
    (0, b"<stata_dta>", "stata"),
    (0, bytes(12) + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0", "sas"),
    (0, b"HEADER RECORD*******L", "sas transport"),
    (8, b"DUCK", "duckdb"),
    (128, b"DICM", "dicom"),
    (344, b"n+1\0", "nifti"),
    (4, b"n+2\0", "nifti"),
    (0, b"\xffBIOSEMI", "edf"),
    (0, b"SIMPLE  =", "fits"),
    (0, b"LASF", "las"),
    (0, b"fgb\x03", "flatgeobuf"),
    (0, b"BAM\x01", "bam"),
    (0, b"MTZ ", "mtz"),
    (208, b"MAP ", "ccp4"),
    (0, b"glTF", "gltf"),
    (0, b"TDSm", "tdms"),
    (0, b"\xd4\xc3\xb2\xa1", "pcap"),
    (0, b"\xa1\xb2\xc3\xd4", "pcap"),
    (0, b"\x4d\x3c\xb2\xa1", "pcap"),
    (0, b"\x0a\x0d\x0d\x0a", "pcap"),
    (0, b"AutoCAD Binary DXF", "dxf"),
    (0, b"\0\x01\0\0\0", "font"),
    (0, b"OTTO", "font"),
    (0, b"true\0", "font"),
    (0, b"ttcf", "font"),
    (0, b"wOFF", "font"),
    (0, b"wOF2", "font"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (257, b"ustar", "tar"),
    (0, b"!<arch>\n", "ar"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (0, b"070707", "cpio"),
    (0, b"\xc7\x71", "cpio"),
    (0, b"bplist00", "plist"),
    (0, b"NRRD000", "nrrd"),
    (0, b"\xd9\xd9\xf7", "cbor"),
)

#: Signatures that are letters and still say what the file is when all of it is text.
EVEN_AS_TEXT = frozenset({"pdf", "sas transport", "stata", "nrrd", "fits", "ar", "sound", "cpio"})
_TOO_SHORT_IN_TEXT = 5

#: Of one container, the type that the extension names wins over the one that the signature names.
SIBLINGS = {
    "hdf5": frozenset({"netcdf", "matlab"}),
    "video": frozenset({"compressed sound"}),
    "sound": frozenset({"compressed sound", "video"}),
    "compressed sound": frozenset({"sound", "video"}),
    "image": frozenset({"raw", "geotiff"}),
    "pickle": frozenset({"joblib"}),
    "cpio": frozenset(),
}

_BMP = re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x40\x6c\x7c]\0\0\0", re.DOTALL)
_EDF = re.compile(rb"0 {7}.{176}\d+ +.{44}-?\d+ *", re.DOTALL)
_MPEG_4 = {
    b"avif": "image", b"avis": "image",
    b"heic": "heif", b"heix": "heif", b"hevc": "heif", b"mif1": "heif", b"msf1": "heif",
    b"crx ": "raw",
    b"M4A ": "compressed sound", b"M4B ": "compressed sound", b"F4A ": "compressed sound",
}  # fmt: skip
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_TS_PACKET = 188
_GEO_KEYS, _DNG_VERSION = 34735, 50706


def by_signature(source: Source) -> str | None:
    """The name of the type that the first bytes name, or None."""
    head, is_text = source.head, source.encoding is not None
    for offset, magic, name in SIGNATURES:
        if head.startswith(magic, offset) and (not is_text or (name in EVEN_AS_TEXT and len(magic) >= _TOO_SHORT_IN_TEXT)):
            return name
    return None if is_text else _by_structure(head)


def _by_structure(head: bytes) -> str | None:
    if head[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(head)
    if head[:4] in (b"II+\0", b"MM\0+"):
        return "image"
    if head[4:8] == b"ftyp":
        return _MPEG_4.get(head[8:12], "video")
    if head.startswith(b"SQLite format 3\0"):
        return "geopackage" if head[68:72] in (b"GPKG", b"GP10", b"GP11") else "sqlite"
    return next((name for name, fits in _STRUCTURES.items() if fits(head)), None)


def _tiff(head: bytes) -> str:
    """A TIFF by the tags of its first directory."""
    order = "<" if head[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", head, 4)
        (count,) = struct.unpack_from(f"{order}H", head, start)
        tags = {struct.unpack_from(f"{order}H", head, start + 2 + 12 * index)[0] for index in range(min(count, 500))}
    except struct.error:
        return "image"
    return "raw" if _DNG_VERSION in tags else "geotiff" if _GEO_KEYS in tags else "image"


def _is_ogg_video(head: bytes) -> bool:
    return head.startswith(b"OggS") and (b"theora" in head[:4096] or b"OVP80" in head[:4096])


def _is_transport_stream(head: bytes) -> bool:
    plain = len(head) > 2 * _TS_PACKET and head[0] == head[_TS_PACKET] == head[2 * _TS_PACKET] == 0x47
    timed = len(head) > 400 and head[4] == head[196] == head[388] == 0x47
    return plain or timed


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and head[8:10] == b'{"' and 2 <= struct.unpack_from("<Q", head)[0] < (100 << 20)


def _is_pickle(head: bytes) -> bool:
    return len(head) > 4 and head[0] == 0x80 and 2 <= head[1] <= 5 and head[2] in b"\x95}](cK\x8c\x88\x89N\x8aGXUJM"


def _is_arrow_stream(head: bytes) -> bool:
    size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"\xff\xff\xff\xff" and 0 < size < (1 << 24) and size % 8 == 0


def _is_dbase(head: bytes) -> bool:
    """By the date in the header, and the end of the list of fields that the header's length promises."""
    if len(head) < 65 or head[0] not in b"\x03\x30\x31\x83\x8b\xf5" or not (1 <= head[2] <= 12 and 1 <= head[3] <= 31):
        return False
    size = int.from_bytes(head[8:10], "little")
    ends = {32 + 32 * count + 1 for count in range(1, 256)}
    return (size in ends and head[size - 1 : size] == b"\r") or (size - 263 in ends and head[size - 264 : size - 263] == b"\r")


_STRUCTURES = {
    "dbase": _is_dbase,
    "feather": _is_arrow_stream,
    "video": lambda head: head.startswith((b"\x1a\x45\xdf\xa3", _ASF)) or _is_ogg_video(head) or _is_transport_stream(head),
    "sound": lambda head: head.startswith(b"OggS"),
    "image": lambda head: _BMP.match(head) is not None,
    "edf": lambda head: _EDF.match(head) is not None,
    "osm": lambda head: b"OSMHeader" in head[:32],
    "safetensors": _is_safetensors,
    "pickle": _is_pickle,
}
