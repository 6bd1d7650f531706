from __future__ import annotations

import pytest

from notebooks_export.comparison import PicturePair, comparable, difference, normal, picture_pairs, same
from tests.notebooks_export.making import FIGURE, PNG, printed, shown

NO_PICTURES: frozenset[PicturePair] = frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<object at 0x7f3260b6b890>", "<object at 0x7f0000000000>"),
        ("140198273641296", "139999273641111"),
        ("Cell In[3], line 1", "Cell In[12], line 1"),
        ("CPU times: user 1 ms\nWall time: 3 ms", "CPU times: user 2 ms\nWall time: 9 s"),
        ("12.3 μs ± 1 ns per loop", "14 ms ± 2 ms per loop"),
        ("100%|##| 5/5 [00:01<00:00, 12.3it/s]", "100%|##| 5/5 [00:09<00:00, 1.3it/s]"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("/tmp/ipykernel_12/345.py:1: W", "/tmp/ipykernel_99/1.py:1: W"),
        ("<style id='T_ab12c'>", "<style id='T_99999'>"),
    ],
)
def test_what_differs_between_any_two_runs_does_not_count(one: str, other: str) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"), [("2026-01-01 10:00", "2026-01-02 10:00"), ("0.5", "0.6"), ("a", "a b"), ("1.5 s", "2 s")]
)
def test_what_a_person_would_call_different_counts(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_working_folders_do_not_count() -> None:
    assert comparable([printed("in /a/b/c\n")], ["/a/b"]) == comparable([printed("in /x/y/c\n")], ["/x/y"])


def test_text_in_pieces_is_the_same_text() -> None:
    assert comparable([printed("a"), printed("b"), printed("c", "stderr")]) == comparable([printed("ab"), printed("c", "stderr")])
    assert comparable([printed("")]) == []


def test_an_error_counts_by_its_name_and_message() -> None:
    errors = [{"output_type": "error", "ename": "E", "evalue": "x", "traceback": [place]} for place in ("here", "there")]
    assert comparable(errors[:1]) == comparable(errors[1:])
    assert comparable(errors[:1]) != comparable([{**errors[0], "evalue": "y"}])


def test_a_result_and_a_display_of_the_same_are_the_same_and_counts_do_not_matter() -> None:
    one, other = shown("1"), {**shown("1"), "execution_count": 9}
    assert same(comparable([one]), comparable([other]), NO_PICTURES)


def test_pictures_are_the_same_by_bytes_or_by_judgement() -> None:
    one = comparable([FIGURE])
    other = comparable([{**FIGURE, "data": {"text/plain": "<Figure>", "image/png": PNG[:-4] + "AAA="}}])
    (pair,) = picture_pairs(one, other)
    assert same(one, one, NO_PICTURES)
    assert not same(one, other, NO_PICTURES)
    assert same(one, other, frozenset([pair]))
    assert difference(one, other) == "the pictures differ"


def test_a_missing_output_is_a_difference() -> None:
    assert not same(comparable([printed("a"), FIGURE]), comparable([printed("a")]), NO_PICTURES)


def test_a_difference_is_shown_and_bounded() -> None:
    assert difference(comparable([printed("a\nb\n")]), comparable([printed("a\nc\n")])).splitlines()[2:] == [
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]
    long = difference(comparable([printed("x\n" * 5000)]), comparable([printed("y" * 100_000)]))
    assert len(long) < 2_100
    assert long.endswith("…")


def test_a_still_that_a_kernel_drew_is_not_compared() -> None:
    drawn = {
        "output_type": "display_data",
        "data": {"image/png": "AAAA", "text/latex": "$x$"},
        "metadata": {"threadbook": {"still": True}},
    }
    plain = {"output_type": "display_data", "data": {"text/latex": "$x$"}, "metadata": {}}
    assert same(comparable([drawn]), comparable([plain]), frozenset())
    assert not same(comparable([{**drawn, "metadata": {}}]), comparable([plain]), frozenset())
