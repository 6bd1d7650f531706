from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernel_manager.errors import UsageError
from kernel_manager.sessions.names import check_id, folder_name

SAFE = re.compile(r"[a-z0-9_][a-z0-9_-]{0,99}")
AWKWARD = ["", "..", "../../etc", ".", "/", "-rf", "a" * 10_240, "🐍", "a\0b", "a\n", "\udc80"]
AWKWARD += ["con", "CON", "com1", "Alice", "alice ", "ﬁ"]


def kind_of(value: object) -> str:
    """An id for a parameter that is no good as one itself."""
    return type(value).__name__


any_id = st.one_of(st.text(), st.text("aA-._/ é", max_size=6), st.sampled_from(AWKWARD))


@pytest.mark.parametrize("plain", ["local", "default", "123456789012345678", "_x", "a-b_c", "0", "a" * 40])
def test_a_plain_id_is_its_own_folder_name(plain: str) -> None:
    assert folder_name(plain) == plain


@pytest.mark.parametrize("awkward", [*AWKWARD, "a" * 41], ids=kind_of)
def test_an_awkward_id_gets_another_name(awkward: str) -> None:
    assert folder_name(awkward) != awkward


def test_the_name_of_an_awkward_id_is_readable() -> None:
    assert folder_name("Müller & Söhne").startswith("m-ller-s-hne-")
    assert folder_name("../../etc").startswith("etc-")


@given(any_id)
@example("a" * 10_240)
def test_every_folder_name_is_safe_and_short(identifier: str) -> None:
    name = folder_name(identifier)
    assert SAFE.fullmatch(name)
    assert name not in {"con", "nul", "aux", "prn", "com1", "lpt9"}


@given(any_id, any_id)
def test_two_ids_never_share_a_folder_even_if_case_is_ignored(one: str, other: str) -> None:
    assert (folder_name(one).casefold() == folder_name(other).casefold()) == (one == other)


@given(any_id)
def test_a_folder_name_used_as_an_id_is_not_the_same_folder(identifier: str) -> None:
    name = folder_name(identifier)
    assert name == identifier or folder_name(name) != name


def test_names_do_not_change_between_versions() -> None:
    assert folder_name("Alice") == "alice-3bc51062973c458d5a6f2d8d64a023246354ad7e"


@pytest.mark.parametrize(
    ("value", "expected"), [("local", "local"), (123456789012345678, "123456789012345678"), ("日本 🐍", "日本 🐍")]
)
def test_an_id_may_be_text_or_a_number(value: str | int, expected: str) -> None:
    assert check_id(value, "the user id") == expected


@pytest.mark.parametrize(
    "value", ["", "  ", "a\nb", "a\0", "\x1b[31m", "\udc80", "x" * 201, 10**5000, -(10**300), True], ids=kind_of
)
def test_a_bad_id_is_refused_in_one_line_that_says_what_it_may_be(value: str | int) -> None:
    with pytest.raises(UsageError, match=r"the session id .*1 to 200 printable characters") as caught:
        check_id(value, "the session id")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@given(st.one_of(st.text(max_size=250), st.integers()))
def test_what_passes_is_short_printable_and_not_empty(value: str | int) -> None:
    try:
        checked = check_id(value, "the user id")
    except UsageError:
        return
    assert checked == str(value)
    assert checked.isprintable()
    assert 0 < len(checked) <= 200
