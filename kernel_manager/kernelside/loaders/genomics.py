"""Regions, annotations, variants and alignments of genomes, as DataFrames."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Sequence
from typing import Any

from . import plain
from .source import MAX_UNPACKED, Source, Unreadable

_BED = (
    "chrom",
    "start",
    "end",
    "name",
    "score",
    "strand",
    "thick_start",
    "thick_end",
    "rgb",
    "block_count",
    "block_sizes",
    "block_starts",
)
_VCF = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_GFF = ("seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes")
_SAM = ("qname", "flag", "rname", "pos", "mapq", "cigar", "rnext", "pnext", "tlen", "seq", "qual")
_BASES, _OPERATIONS = "=ACMGRSVTWYHKDBN", "MIDNSHP=X"


def load_text(source: Source) -> str:
    """The text; a last line without its end is said, because programs that write these formats end it."""
    text = plain.load_text(source)
    if not text.endswith("\n"):
        source.note("its last line has no end: the file may be cut off")
    return text


def load_vcf(source: Source) -> Any:
    """A DataFrame of the variants, one column for each sample; the lines of the header are in ``.attrs['header']``."""
    lines = load_text(source).split("\n")
    header = [line for line in lines if line.startswith("##")]
    names = next((line for line in lines if line.startswith("#CHROM")), None)
    if names is None:
        raise Unreadable("it has no line #CHROM")
    columns = names[1:].split("\t")
    if columns[: len(_VCF)] != list(_VCF):
        raise Unreadable("its line #CHROM does not name the eight columns that it has to")
    frame = _frame([line for line in lines if line and not line.startswith("#")], columns, len(columns), numbers=("POS",))
    frame.attrs["header"] = header
    return frame


def load_bed(source: Source) -> Any:
    """A DataFrame of the regions, as many columns as there are."""
    lines = [line for line in load_text(source).split("\n") if line and not line.startswith(("#", "track", "browser"))]
    if not lines:
        raise Unreadable("it holds no regions")
    width = len(lines[0].split("\t"))
    names = [*_BED[:width], *(f"field_{number}" for number in range(len(_BED) + 1, width + 1))]
    if width < 3:
        raise Unreadable("its lines have fewer than three fields between tabulators")
    return _frame(lines, names, width, numbers=("start", "end"))


def load_bedgraph(source: Source) -> Any:
    """A DataFrame: chrom, start, end, value."""
    import pandas as pd

    lines = [line for line in load_text(source).split("\n") if line and not line.startswith(("#", "track", "browser"))]
    frame = _frame(["\t".join(line.split()) for line in lines], ["chrom", "start", "end", "value"], 4, numbers=("start", "end"))
    frame["value"] = pd.to_numeric(frame["value"])
    return frame


def load_wig(source: Source) -> Any:
    """A DataFrame: chrom, start (from 1), span, value."""
    import pandas as pd

    rows: list[tuple[str, int, int, float]] = []
    state: dict[str, str] = {}
    at = 0
    for number, line in enumerate(load_text(source).split("\n"), 1):
        words = line.split()
        if not words or words[0] in ("track", "browser") or line.startswith("#"):
            continue
        try:
            if words[0] in ("fixedStep", "variableStep"):
                state = {"kind": words[0], **dict(word.split("=", 1) for word in words[1:])}
                at = int(state.get("start", 0))
                continue
            span = int(state.get("span", 1))
            if state["kind"] == "fixedStep":
                rows.append((state["chrom"], at, span, float(words[0])))
                at += int(state.get("step", 1))
            else:
                rows.append((state["chrom"], int(words[0]), span, float(words[1])))
        except (ValueError, KeyError, IndexError) as exc:
            raise Unreadable(f"line {number} is no wiggle data") from exc
    if not rows:
        raise Unreadable("it holds no data")
    return pd.DataFrame(rows, columns=["chrom", "start", "span", "value"])


def load_gff(source: Source) -> Any:
    """A DataFrame of the features; ``attributes`` are dicts."""
    text, _, _ = load_text(source).partition("\n##FASTA")
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    frame = _frame(lines, list(_GFF), 9, numbers=("start", "end"))
    frame["attributes"] = [_attributes(value) for value in frame["attributes"]]
    return frame


def _attributes(text: str) -> dict[str, str]:
    from urllib.parse import unquote

    found = {}
    for part in text.strip().rstrip(";").split(";"):
        name, equals, value = (
            part.strip().partition("=") if "=" in part and '"' not in part.split("=")[0] else part.strip().partition(" ")
        )
        if name:
            found[name] = unquote(value) if equals == "=" else value.strip('" ')
    return found


def load_sam(source: Source) -> Any:
    """A DataFrame of the alignments; optional fields are in ``tags``, the header in ``.attrs['header']``."""
    lines = load_text(source).split("\n")
    header = [line for line in lines if line.startswith("@")]
    rows = [line.split("\t", 11) for line in lines if line and not line.startswith("@")]
    if any(len(row) < 11 for row in rows) or not (rows or header):
        raise Unreadable("it has lines with fewer than 11 fields")
    import pandas as pd

    frame = pd.DataFrame([[*row, ""][:12] for row in rows], columns=[*_SAM, "tags"])
    for name in ("flag", "pos", "mapq", "pnext", "tlen"):
        frame[name] = pd.to_numeric(frame[name])
    frame.attrs["header"] = header
    return frame


def load_bam(source: Source) -> Any:
    """A DataFrame of the alignments without their optional fields; the header is in ``.attrs['header']``."""
    import pandas as pd

    data = _bam_data(source)
    if data[:4] != b"BAM\x01":
        raise Unreadable("it is no BAM file")
    try:
        (size,) = struct.unpack_from("<i", data, 4)
        header, at = data[8 : 8 + size].rstrip(b"\0").decode("utf-8", "replace"), 8 + size
        (count,) = struct.unpack_from("<i", data, at)
        names, at = [], at + 4
        for _ in range(count):
            (size,) = struct.unpack_from("<i", data, at)
            names.append(data[at + 4 : at + 3 + size].decode("latin-1"))
            at += 8 + size
        rows = []
        while at < len(data):
            (size,) = struct.unpack_from("<i", data, at)
            if size < 32 or at + 4 + size > len(data):
                raise Unreadable("it ends within an alignment")
            rows.append(_bam_row(data[at + 4 : at + 4 + size], names))
            at += 4 + size
    except (struct.error, IndexError) as exc:
        raise Unreadable(f"it is damaged ({exc})") from exc
    frame = pd.DataFrame(rows, columns=list(_SAM))
    frame.attrs["header"] = header.split("\n")
    return frame


def _bam_data(source: Source) -> bytes:
    with gzip.open(source.path) as stream:
        data = stream.read(MAX_UNPACKED + 1)
    if len(data) > MAX_UNPACKED:
        raise Unreadable(f"it unpacks to more than {MAX_UNPACKED >> 20} MB")
    return data


def _bam_row(block: bytes, names: Sequence[str]) -> tuple[Any, ...]:
    reference, position, name_size, quality, _, operations, flag, length, other, other_position, template = struct.unpack_from(
        "<iiBBHHHiiii", block
    )
    at = 32 + name_size
    cigar = "".join(f"{value >> 4}{_OPERATIONS[value & 15]}" for value in struct.unpack_from(f"<{operations}I", block, at))
    at += 4 * operations
    packed = block[at : at + (length + 1) // 2]
    bases = "".join(_BASES[byte >> 4] + _BASES[byte & 15] for byte in packed)[:length]
    marks = block[at + len(packed) : at + len(packed) + length]
    scores = "*" if not marks or marks[0] == 255 else "".join(chr(mark + 33) for mark in marks)
    mate = "=" if other == reference >= 0 else names[other] if other >= 0 else "*"
    return (
        *(block[32 : 31 + name_size].decode("latin-1"), flag, names[reference] if reference >= 0 else "*", position + 1, quality),
        *(cigar or "*", mate, other_position + 1, template, bases or "*", scores),
    )


def load_maf(source: Source) -> Any:
    """A DataFrame of the mutations. Multiple alignments, which have the same extension, are refused."""
    import pandas as pd

    text = load_text(source)
    if text.startswith("##maf"):
        raise Unreadable(
            "it is a multiple alignment, not a table of mutations; Bio.AlignIO.parse(load_file(…, as_='path'), 'maf') reads it"
        )
    if "Hugo_Symbol" not in text[:20000]:
        raise Unreadable("it has no column Hugo_Symbol")
    return pd.read_csv(io.StringIO(text), sep="\t", comment="#", low_memory=False)


def _frame(lines: Sequence[str], names: Sequence[str], width: int, numbers: Sequence[str]) -> Any:
    import pandas as pd

    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise Unreadable(f"record {number} has {len(row)} fields where {width} were expected")
    frame = pd.DataFrame(rows, columns=list(names))
    for name in numbers:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except ValueError as exc:
            raise Unreadable(f"not all of its {name} are numbers") from exc
    return frame
