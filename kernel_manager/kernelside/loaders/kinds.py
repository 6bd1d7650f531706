"""The table of what ``load_file`` opens: kind → what a person calls it, its loader, its extensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .columnar import load_feather, load_parquet
from .images import load_image
from .plain import load_bytes, load_text
from .spreadsheet import load_spreadsheet
from .structured import load_json, load_json_lines, load_json_table
from .table import load_table

Loader = Callable[..., Any]

_SOURCE_CODE = (
    "py pyi pyx r jl m c h cc cpp cxx hpp hh cs java kt kts scala groovy go rs swift dart js mjs cjs jsx ts tsx vue svelte "
    "php rb pl pm lua sh bash zsh fish ps1 bat cmd sql hs ml mli fs fsx clj cljs ex exs erl hrl elm nim zig v vhd vhdl sv f "
    "f90 f95 for pas adb ads cob lisp el scm rkt tcl vb asm s cu cl glsl proto thrift graphql gradle cmake mk dockerfile tf "
    "hcl nix awk sed css scss sass less diff patch"
)
_MARKUP = (
    "md markdown rst adoc org tex bib ltx sty cls html htm xhtml xml xsl xslt xsd svg rss atom yaml yml toml ini cfg conf "
    "properties env srt vtt sub log rmd qmd"
)
_RASTER = (
    "png apng jpg jpeg jpe jfif gif bmp dib tif tiff webp ico cur icns avif jp2 j2k jpx psd tga pcx ppm pgm pbm pnm pfm qoi "
    "dds sgi xbm xpm"
)


def _extensions(names: str) -> tuple[str, ...]:
    return tuple(f".{name}" for name in names.split())


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: ``load(source, **options)`` opens it, ``load_as_table`` makes a DataFrame of it for ``as_='table'``."""

    name: str
    label: str
    load: Loader
    extensions: tuple[str, ...] = ()
    load_as_table: Loader = load_table

    @property
    def needs_content(self) -> bool:
        """Whether an empty file cannot be one of this kind."""
        return self.load not in (load_text, load_bytes)


TABLE = Kind("table", "a delimited table", load_table, _extensions("csv tsv tab psv ssv"))
JSON = Kind("json", "JSON", load_json, _extensions("json geojson topojson ipynb har webmanifest"), load_json_table)
JSON_LINES = Kind("json lines", "JSON lines", load_json_lines, _extensions("jsonl ndjson jsonlines"), load_json_lines)
SPREADSHEET = Kind(
    "spreadsheet", "an Excel workbook", load_spreadsheet, _extensions("xlsx xlsm xltx xltm xls xlt"), load_spreadsheet
)
PARQUET = Kind("parquet", "Parquet", load_parquet, _extensions("parquet pq parq"), load_parquet)
FEATHER = Kind("feather", "Feather (Arrow)", load_feather, _extensions("feather ftr arrow arrows ipc"), load_feather)
IMAGE = Kind("image", "an image", load_image, _extensions(_RASTER))
TEXT = Kind("text", "text", load_text, _extensions(_SOURCE_CODE + " " + _MARKUP))
#: Text whose extension says nothing about what is in it.
PLAIN_TEXT = Kind("text", "text", load_text, ("", *_extensions("txt text dat data asc out prn")))
BYTES = Kind("bytes", "a file of unknown type", load_bytes)

KINDS = (TABLE, JSON, JSON_LINES, SPREADSHEET, PARQUET, FEATHER, IMAGE, TEXT, PLAIN_TEXT, BYTES)

BY_EXTENSION = {extension: kind for kind in KINDS for extension in kind.extensions}
