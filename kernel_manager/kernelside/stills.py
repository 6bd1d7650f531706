"""A picture for what only a browser could show: formulas, drawings and charts get an ``image/png`` beside what they are.

It is drawn here, in the jail, where a hostile formula or drawing harms nobody but its author; without a browser, and without
the network. What cannot be drawn stays as it is.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

#: Characters of what is drawn at all.
MAX_FORMULA = 4_000
MAX_DRAWING = 2_000_000
MAX_CHART = 4_000_000
#: Pixels of the longer side of a drawing.
MAX_SIDE = 2_000
_MAX_LINES = 40
_FONT_SIZE = 16
_DPI = 160
_PAD_INCHES = 0.12
#: What Matplotlib's own TeX does not know and a formula reads the same without.
_IGNORED = re.compile(r"\\(?:displaystyle|textstyle|limits|nolimits|nonumber|big[lr]?|Big[lr]?)(?![A-Za-z])")
_ROWS = re.compile(r"\\begin\{(align|aligned|gather|gathered|equation|eqnarray|split)(\*?)\}(.*?)\\end\{\1\2\}", re.DOTALL)
_SVG_TAG = re.compile(r"<svg\b[^>]{0,20000}>", re.IGNORECASE)
_NUMBER = r"(\d{1,12}(?:\.\d{0,12})?(?:e[+-]?\d{1,2})?)"
_VIEW_BOX = re.compile(rf"""\bviewBox\s*=\s*["'][^"']{{0,99}}?{_NUMBER}[\s,]+{_NUMBER}\s*["']""", re.IGNORECASE)
_SCREEN_DPI = 96
_UNITS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}


def still_of(obj: Any, data: Mapping[str, Any]) -> bytes | None:
    """Return a PNG of an object whose mime bundle has no picture; None if it needs none or cannot be drawn."""
    if any(mime.startswith("image/") and mime != "image/svg+xml" for mime in data):
        return None
    try:
        return _drawn(obj, data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  (what cannot be drawn is shown as it is; panics of Rust are no Exception)
        return None


def _drawn(obj: Any, data: Mapping[str, Any]) -> bytes | None:
    if isinstance(formula := data.get("text/latex"), str):
        return formula_png(formula) or _pretty_png(obj)
    if isinstance(drawing := data.get("image/svg+xml"), str):
        return drawing_png(drawing)
    return _chart_png(obj)


# --- formulas ---------------------------------------------------------------------------------------------------------


def formula_png(latex: str) -> bytes | None:
    """Return a PNG of a formula in LaTeX; None if Matplotlib's own TeX does not know all of it."""
    if len(latex) > MAX_FORMULA or "matplotlib" not in sys.modules:
        return None
    lines = formula_lines(latex)
    if not lines or len(lines) > _MAX_LINES:
        return None
    return _text_png("\n".join(f"${line}$" for line in lines), parse=True)


def formula_lines(latex: str) -> list[str]:
    """Return the lines of a formula, each without the signs around it."""
    text = _ROWS.sub(lambda found: found[3], latex.strip())
    for sign in ("$$", "$"):
        if text.startswith(sign) and text.endswith(sign) and len(text) > 2 * len(sign):
            text = text[len(sign) : -len(sign)]
    text = text.removeprefix(r"\[").removesuffix(r"\]")
    if r"\begin" in text or "$" in text:
        return []
    rows = (_IGNORED.sub("", row).replace("&", " ") for row in re.split(r"\\\\(?:\[[^\]]*\])?", text))
    return [" ".join(row.split()) for row in rows if row.strip()]


def _pretty_png(obj: Any) -> bytes | None:
    """SymPy writes matrices and the like as lines of characters, too."""
    sympy = sys.modules.get("sympy")
    if sympy is None or not isinstance(obj, (sympy.Basic, sympy.MatrixBase)):
        return None
    text = sympy.pretty(obj, use_unicode=True, wrap_line=False)
    lines = text.split("\n")
    if len(lines) > _MAX_LINES or max(map(len, lines)) > 200:
        return None
    return _text_png(text.replace("$", r"\$"), family="monospace")


def _text_png(text: str, *, parse: bool = False, family: str | None = None) -> bytes:
    """A picture of text, as large as the text is. Nothing of pyplot is touched: its state is the user's."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"mathtext.fontset": "cm", "text.usetex": False, "savefig.facecolor": "white", "text.color": "black"}):
        figure = Figure(figsize=(0.1, 0.1), dpi=_DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        figure.text(0, 0, text, fontsize=_FONT_SIZE, family=family, parse_math=parse, color="black", linespacing=1.4)
        stream = io.BytesIO()
        canvas.print_figure(stream, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=_PAD_INCHES, facecolor="white")
    return stream.getvalue()


# --- drawings and charts ----------------------------------------------------------------------------------------------


def drawing_png(svg: str) -> bytes | None:
    """Return a PNG of an SVG, on white."""
    if len(svg) > MAX_DRAWING or importlib.util.find_spec("resvg_py") is None:
        return None
    import resvg_py

    size = drawing_size(svg)
    if size is None:
        return None
    zoom = min(2.0, MAX_SIDE / max(size))
    # without a resolution, sizes in points count as none
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, background="white", dpi=_SCREEN_DPI, zoom=zoom, **_fonts()))


def drawing_size(svg: str) -> tuple[float, float] | None:
    """Return width and height that a drawing gives itself, in pixels; None if it does not, or if they cannot be."""
    tag = _SVG_TAG.search(svg)
    if tag is None:
        return None
    box = _VIEW_BOX.search(tag.group())
    inside = [float(number) for number in box.groups()] if box is not None else [None, None]
    sizes = []
    for name, other in zip(("width", "height"), inside, strict=True):
        found = re.search(rf"""\b{name}\s*=\s*["']\s*{_NUMBER}\s*([a-z%]*)\s*["']""", tag.group(), re.IGNORECASE)
        factor = _UNITS.get(found[2].lower()) if found is not None else None
        sizes.append(float(found[1]) * factor if found is not None and factor is not None else other)
    width, height = sizes
    return (width, height) if width and height and 0 < width < 1e9 and 0 < height < 1e9 else None


def _fonts() -> dict[str, Any]:
    """Matplotlib's fonts: a machine may have none of its own."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    import matplotlib

    folder = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
    families = {"sans_serif_family": "DejaVu Sans", "serif_family": "DejaVu Serif", "monospace_family": "DejaVu Sans Mono"}
    return {"font_dirs": [folder], "font_family": "DejaVu Sans", **families}


def _chart_png(obj: Any) -> bytes | None:
    """Altair's charts, if the library is there that draws them without a browser."""
    altair = sys.modules.get("altair")
    kind = getattr(altair, "TopLevelMixin", None)
    if kind is None or not isinstance(obj, kind) or importlib.util.find_spec("vl_convert") is None:
        return None
    import vl_convert

    specification = obj.to_json(indent=None)
    if len(specification) > MAX_CHART:
        return None
    return bytes(vl_convert.vegalite_to_png(specification, scale=2))


def in_bundle(png: bytes) -> str:
    """Return a picture as mime bundles have it."""
    return base64.b64encode(png).decode("ascii")
