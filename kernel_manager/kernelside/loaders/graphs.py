"""Graphs, as NetworkX; RDF, as rdflib."""

from __future__ import annotations

import io
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

_RDF_FORMATS = {".nt": "nt", ".n3": "n3", ".nq": "nquads", ".trig": "trig", ".rdf": "xml", ".owl": "xml", ".ttl": "turtle"}


def load_graphml(source: Source) -> Any:
    """A NetworkX graph."""
    import networkx

    return networkx.read_graphml(io.BytesIO(source.read()))


def load_gexf(source: Source) -> Any:
    """A NetworkX graph."""
    import networkx

    return networkx.read_gexf(io.BytesIO(source.read()))


def load_gml(source: Source) -> Any:
    """A NetworkX graph."""
    import networkx

    return networkx.parse_gml(load_text(source).split("\n"), label=None)


def load_dot(source: Source) -> Any:
    """A NetworkX graph of the first graph."""
    import networkx
    import pydot

    graphs = pydot.graph_from_dot_data(load_text(source))
    if not graphs:
        raise Unreadable("it is not DOT")
    return networkx.nx_pydot.from_pydot(graphs[0])


def load_pajek(source: Source) -> Any:
    """A NetworkX graph."""
    import networkx

    lines = load_text(source).split("\n")
    if not any(line.lower().startswith("*vertices") for line in lines):
        raise Unreadable("it has no *vertices")
    return networkx.parse_pajek(iter(lines))


def load_graph6(source: Source) -> Any:
    """A NetworkX graph, or a list of several."""
    import networkx

    return _lines(source, b">>graph6<<", networkx.from_graph6_bytes)


def load_sparse6(source: Source) -> Any:
    """A NetworkX graph, or a list of several."""
    import networkx

    return _lines(source, b">>sparse6<<", networkx.from_sparse6_bytes)


def _lines(source: Source, header: bytes, parse: Any) -> Any:
    graphs = [parse(line) for line in source.read().removeprefix(header).split(b"\n") if line.strip()]
    if not graphs:
        raise Unreadable("it holds no graph")
    return graphs[0] if len(graphs) == 1 else graphs


def load_edge_list(source: Source, **options: Any) -> Any:
    """A NetworkX graph. Options are those of ``networkx.parse_edgelist`` (``delimiter=``, ``create_using=``, ``data=`` …)."""
    import networkx

    lines = _content(source)
    if not options and any(len(line.split()) < 2 for line in lines):
        raise Unreadable("it has lines with fewer than two nodes")
    if not options and lines and "{" not in lines[0] and len(lines[0].split()) > 2:
        options = {"data": [("weight", float)]}
    return networkx.parse_edgelist(lines, **options)


def load_adjacency_list(source: Source, **options: Any) -> Any:
    """A NetworkX graph. Options are those of ``networkx.parse_adjlist``."""
    import networkx

    return networkx.parse_adjlist(_content(source), **options)


def _content(source: Source) -> list[str]:
    lines = [line for line in load_text(source).split("\n") if line.strip() and not line.startswith("#")]
    if not lines:
        raise Unreadable("it holds no graph")
    return lines


def load_rdf(source: Source) -> Any:
    """An rdflib ``Graph``."""
    import rdflib

    text = load_text(source)
    form = (
        "xml" if text.lstrip().startswith("<?xml") or "<rdf:RDF" in text[:4096] else _RDF_FORMATS.get(source.extension, "turtle")
    )
    kind = rdflib.Dataset if form in ("nquads", "trig") else rdflib.Graph
    graph = kind().parse(data=text, format=form)
    if not len(graph):
        raise Unreadable("it holds no statements")
    return graph
