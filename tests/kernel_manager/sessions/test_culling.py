from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.sessions.culling import LiveKernel, Refusal, idle_too_long, make_room


def kernel(key: str, user: str = "ann", busy: bool = False, last_used: float = 0.0) -> LiveKernel:
    return LiveKernel(session_key=key, user_id=user, busy=busy, last_used=last_used)


def keys(kernels: list[LiveKernel] | Refusal) -> list[str]:
    assert isinstance(kernels, list)
    return [item.session_key for item in kernels]


users = st.sampled_from(["ann", "bob", "cleo"])
kernel_lists = st.lists(
    st.builds(LiveKernel, session_key=st.uuids().map(str), user_id=users, busy=st.booleans(), last_used=st.floats(0, 100)),
    max_size=12,
    unique_by=lambda item: item.session_key,
)


def test_a_kernel_is_idle_too_long_from_the_timeout_on() -> None:
    kernels = [kernel("old", last_used=40), kernel("at-the-limit", last_used=50), kernel("fresh", last_used=51)]
    assert keys(idle_too_long(kernels, now=100, idle_timeout=50)) == ["old", "at-the-limit"]


def test_a_busy_kernel_is_never_idle_too_long() -> None:
    assert idle_too_long([kernel("busy", busy=True)], now=1e9, idle_timeout=1) == []


def test_a_kernel_used_in_the_future_stays() -> None:
    assert idle_too_long([kernel("future", last_used=200)], now=100, idle_timeout=50) == []


@given(kernel_lists, st.floats(0, 200), st.floats(0.1, 100))
def test_what_is_idle_too_long_is_exactly_the_idle_and_old(kernels: list[LiveKernel], now: float, timeout: float) -> None:
    ended = idle_too_long(kernels, now, timeout)
    assert {item.session_key for item in ended} == {
        item.session_key for item in kernels if not item.busy and now - item.last_used >= timeout
    }


def test_nothing_ends_while_there_is_room() -> None:
    assert make_room([kernel("a"), kernel("b", "bob")], "ann", max_kernels=3, max_kernels_per_user=2) == []


def test_the_least_recently_used_idle_kernel_of_anybody_goes_first() -> None:
    kernels = [kernel("a", last_used=3), kernel("b", "bob", last_used=1), kernel("c", "bob", busy=True, last_used=0)]
    assert keys(make_room(kernels, "ann", max_kernels=3, max_kernels_per_user=3)) == ["b"]


def test_the_users_own_kernel_goes_when_the_limit_is_the_users() -> None:
    kernels = [kernel("a", last_used=3), kernel("a2", last_used=4), kernel("b", "bob", last_used=1)]
    assert keys(make_room(kernels, "ann", max_kernels=9, max_kernels_per_user=2)) == ["a"]


def test_ending_an_own_kernel_makes_room_for_both_limits() -> None:
    kernels = [kernel("a", last_used=3), kernel("b", "bob", last_used=1)]
    assert keys(make_room(kernels, "ann", max_kernels=2, max_kernels_per_user=1)) == ["a"]


def test_limits_that_were_lowered_end_more_than_one() -> None:
    kernels = [kernel(str(number), last_used=number) for number in range(5)]
    assert keys(make_room(kernels, "ann", max_kernels=3, max_kernels_per_user=5)) == ["0", "1", "2"]


def test_kernels_used_at_the_same_moment_go_in_the_same_order_every_time() -> None:
    assert keys(make_room([kernel("b"), kernel("a")], "bob", max_kernels=2, max_kernels_per_user=1)) == ["a"]


def test_a_user_whose_kernels_are_all_busy_is_refused_and_told_what_to_do() -> None:
    refusal = make_room([kernel("a", busy=True), kernel("b", "bob")], "ann", max_kernels=9, max_kernels_per_user=1)
    assert isinstance(refusal, Refusal)
    assert "one user may have (1)" in refusal.reason
    assert "interrupt or stop one" in refusal.reason


def test_when_all_kernels_of_everybody_are_busy_the_reason_names_the_setting() -> None:
    refusal = make_room([kernel("a", busy=True), kernel("b", "bob", busy=True)], "cleo", max_kernels=2, max_kernels_per_user=1)
    assert isinstance(refusal, Refusal)
    assert "MAX_KERNELS" in refusal.reason


@given(kernel_lists, users, st.integers(1, 8), st.integers(1, 4))
def test_room_costs_the_fewest_idle_kernels_and_both_limits_hold(
    kernels: list[LiveKernel], user: str, most: int, most_of_user: int
) -> None:
    own = [item for item in kernels if item.user_id == user]
    needed_own = max(0, len(own) + 1 - most_of_user)
    needed = max(needed_own, len(kernels) + 1 - most)
    room = make_room(kernels, user, most, most_of_user)
    if isinstance(room, Refusal):
        idle_own = sum(not item.busy for item in own)
        idle = sum(not item.busy for item in kernels)
        assert idle_own < needed_own or idle < needed
        return
    assert not any(item.busy for item in room)
    assert len(room) == len({item.session_key for item in room}) == needed
    left = [item for item in kernels if item not in room]
    assert len(left) + 1 <= most
    assert sum(item.user_id == user for item in left) + 1 <= most_of_user


@given(kernel_lists, users, st.integers(1, 8))
def test_no_idle_kernel_that_stays_was_used_before_one_that_goes(kernels: list[LiveKernel], user: str, most: int) -> None:
    room = make_room(kernels, user, most, max_kernels_per_user=100)
    if isinstance(room, Refusal) or not room:
        return
    staying = [item.last_used for item in kernels if item not in room and not item.busy]
    assert max(item.last_used for item in room) <= min(staying, default=float("inf"))
