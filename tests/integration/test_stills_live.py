"""Formulas, drawings and charts get a picture where they are made: in the jail."""

from __future__ import annotations

import io

from PIL import Image

from kernel_manager import Session
from tests.integration.following import figures, shown

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{0}"><rect width="9" height="9"/></svg>'
FORMULA = """\
import matplotlib.pyplot

class F:
    def __init__(self, text): self.text = text
    def _repr_latex_(self): return self.text

"""


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.load()
        return image.size


async def test_a_formula_has_a_picture_and_keeps_its_text(session: Session) -> None:
    result = await session.execute(FORMULA + r"F(r'$\displaystyle \frac{x}{2}$')")
    (png,) = figures(result)
    assert 20 < size(png)[0] < 200
    assert shown(result, "text/latex") == [r"$\displaystyle \frac{x}{2}$"]
    assert (await session.execute("matplotlib.pyplot.get_fignums()")).outputs[0]["data"]["text/plain"] == "[]"


async def test_a_formula_that_cannot_be_drawn_stays_text(session: Session) -> None:
    hostile = [
        r"$\foo{$",
        "$" + "{" * 2_000 + "$",
        "x" * 100_000,
        r"$\frac{" * 200 + "$",
        "$" + r"\sqrt{" * 300 + "}" * 300 + "$",
    ]
    result = await session.execute(FORMULA + f"for text in {hostile!r}: display(F(text))", timeout=60)
    assert result.status == "ok"
    assert len(shown(result, "text/latex")) == len(hostile)
    assert figures(result) == []


async def test_a_drawing_has_a_picture(session: Session) -> None:
    result = await session.execute(f"from IPython.display import SVG\nSVG('{SVG.format('30pt')}')")
    assert [size(png) for png in figures(result)] == [(80, 80)]


async def test_a_hostile_drawing_costs_no_more_than_a_picture(session: Session) -> None:
    bomb = "<!DOCTYPE svg [" + "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9)) + "]>" + SVG.format("&a9;")
    drawings = [
        SVG.format(100_000),
        SVG.format("1e99"),
        SVG.format("-1"),
        SVG.format("1000in"),
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 900000000"/>',
        "<svg",
        bomb,
        SVG.format(50).replace("rect", "g" * 3_000_000),
    ]
    result = await session.execute(
        f"from IPython.display import SVG\nfor text in {drawings!r}:\n    display({{'image/svg+xml': text}}, raw=True)\n"
        "    class Drawing:\n        def _repr_svg_(self): return text\n    display(Drawing())",
        timeout=60,
    )
    assert result.status == "ok"
    assert all(max(size(png)) <= 2_000 for png in figures(result))


async def test_a_chart_of_altairs_is_drawn_without_a_browser(session: Session) -> None:
    altair = """class TopLevelMixin:
    def to_json(self, indent): return "{}"
    def _repr_html_(self): return "<script></script>"
"""
    result = await session.execute(
        f"open('altair.py', 'w').write({altair!r})\n"
        "open('vl_convert.py', 'w').write('def vegalite_to_png(text, scale): return text.encode()')\n"
        "import altair\naltair.TopLevelMixin()"
    )
    assert figures(result) == [b"{}"]
    assert shown(result, "text/html") == ["<script></script>"]


async def test_a_figure_knows_what_it_was_saved_as(session: Session) -> None:
    code = "import io, pathlib, matplotlib.pyplot as plt\nplt.plot([1])\n"
    saved = "plt.savefig('a.png')\nplt.savefig(io.BytesIO())\nplt.gcf().savefig(pathlib.Path('b.pdf'), dpi=40)"
    result = await session.execute(f"{code}{saved}\nplt.show()")
    assert result.outputs[0]["metadata"]["threadbook"]["figure"]["saved"] == ["a.png", "b.pdf"]
