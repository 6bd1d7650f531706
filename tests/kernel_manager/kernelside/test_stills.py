from __future__ import annotations

import pytest

from kernel_manager.kernelside.stills import drawing_size, formula_lines


@pytest.mark.parametrize(
    ("latex", "lines"),
    [
        (r"$\displaystyle \frac{x}{2}$", [r"\frac{x}{2}"]),
        (r"$$\sum\limits_{k=1}^n k$$", [r"\sum_{k=1}^n k"]),
        (r"\[a < b\]", ["a < b"]),
        (r"\begin{align*} a &= b \\ c &= d \end{align*}", ["a = b", "c = d"]),
        (r"\begin{matrix} 1 \end{matrix}", []),
        (r"text with $a$ and $b$", []),
        ("", []),
    ],
)
def test_lines_of_a_formula(latex: str, lines: list[str]) -> None:
    assert formula_lines(latex) == lines


@pytest.mark.parametrize(
    ("tag", "size"),
    [
        ('<svg width="30" height="40">', (30, 40)),
        ("<svg xmlns='x' width='72pt' height='1in'>", (96, 96)),
        ('<svg viewBox="0 0 20.5 10">', (20.5, 10)),
        ('<svg viewBox="-5 -5 20 10" width="100%" height="40">', (20, 40)),
        ('<svg viewBox="0 0 20 10" width="40mm" height="10em">', (40 * 96 / 25.4, 10)),
        ('<svg width="1e99" height="1">', None),
        ('<svg width="-1" height="1">', None),
        ('<svg width="100%" height="100%">', None),
        ("<svg", None),
        ("", None),
    ],
)
def test_size_of_a_drawing(tag: str, size: tuple[float, float] | None) -> None:
    assert drawing_size(tag) == (pytest.approx(size) if size is not None else None)
