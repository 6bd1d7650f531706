from __future__ import annotations

from bot.agent.packages import name_packages, read_lock

LOCK = """\
# made by uv
numpy==2.4.1 \\
    --hash=sha256:00
pandas==3.1.0
certifi==2026.1.1
ipykernel==7.4.0
scipy==1.17.0
"""


def test_what_people_ask_for_is_named_and_what_that_needs_is_not() -> None:
    found = name_packages(read_lock(LOCK), ["zarr", "scipy", "sympy", "scikit-learn"])
    assert found.there == ("numpy 2.4", "pandas 3.1", "scipy")
    assert found.installable == ("scikit-learn", "sympy", "zarr")


def test_without_an_environment_there_is_nothing_yet() -> None:
    assert name_packages({}, ["zarr"]).there == ()
    assert read_lock("") == {}
