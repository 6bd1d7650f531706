"""Sequences, alignments and trees, through Biopython."""

from __future__ import annotations

import io
from typing import Any

from .plain import load_text
from .source import Source, Unreadable


def load_fasta(source: Source) -> list[Any]:
    """The records (``Bio.SeqRecord``)."""
    text = load_text(source)
    if not text.lstrip().startswith(">"):
        raise Unreadable("it does not begin with '>'")
    return _records(text, "fasta")


def load_fastq(source: Source) -> list[Any]:
    """The records with their qualities in ``letter_annotations``."""
    return _records(load_text(source), "fastq")


def load_genbank(source: Source) -> list[Any]:
    """The records with features and annotations."""
    return _records(_ended(load_text(source)), "genbank")


def load_embl(source: Source) -> list[Any]:
    """The records with features and annotations."""
    return _records(_ended(load_text(source)), "embl")


def _ended(text: str) -> str:
    if not text.rstrip().endswith("//"):
        raise Unreadable("its last record has no end (//): the file is cut off")
    return text


def _records(text: str, form: str) -> list[Any]:
    from Bio import SeqIO

    records = list(SeqIO.parse(io.StringIO(text), form))
    if not records:
        raise Unreadable("it holds no records")
    return records


def load_clustal(source: Source) -> Any:
    """A ``MultipleSeqAlignment``."""
    return _alignment(source, "clustal")


def load_phylip(source: Source) -> Any:
    """A ``MultipleSeqAlignment``."""
    try:
        return _alignment(source, "phylip")
    except (ValueError, Unreadable):
        return _alignment(source, "phylip-relaxed")


def load_stockholm(source: Source) -> Any:
    """A ``MultipleSeqAlignment``."""
    _ended(load_text(source))
    return _alignment(source, "stockholm")


def _alignment(source: Source, form: str) -> Any:
    from Bio import AlignIO

    alignments = list(AlignIO.parse(io.StringIO(load_text(source)), form))
    if not alignments:
        raise Unreadable("it holds no alignment")
    return alignments[0] if len(alignments) == 1 else alignments


def load_nexus(source: Source) -> Any:
    """A ``MultipleSeqAlignment`` if it has data, else its trees."""
    import re

    text = load_text(source)
    if re.search(r"begin\s+(data|characters)\s*;", text, re.IGNORECASE):
        return _alignment(source, "nexus")
    return _tree(text, "nexus")


def load_newick(source: Source) -> Any:
    """A ``Bio.Phylo`` tree, or a list of several."""
    text = load_text(source)
    if not text.rstrip().endswith(";"):
        raise Unreadable("it has no ';' at its end: the file is cut off, or no Newick tree")
    return _tree(text, "newick")


def load_phyloxml(source: Source) -> Any:
    """A ``Bio.Phylo`` tree, or a list of several."""
    return _tree(load_text(source), "phyloxml")


def _tree(text: str, form: str) -> Any:
    from Bio import Phylo

    stream = io.BytesIO(text.encode()) if form == "phyloxml" else io.StringIO(text)
    trees = list(Phylo.parse(stream, form))
    if not trees:
        raise Unreadable("it holds no tree")
    return trees[0] if len(trees) == 1 else trees
