from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernel_manager.config import Settings
from threadbook.commands import build_parser
from tools import types_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def expected_rows() -> list[str]:
    fields = Settings.model_fields.items()
    return [f"| `{name.upper()}` | {shown_default(name)} | {field.description} |" for name, field in fields]


def shown_default(name: str) -> str:
    if name == "data_dir":
        return "the platform's user data folder"
    default = Settings.model_fields[name].default
    return "–" if default in (None, ()) else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_the_settings_table_is_the_settings_class() -> None:
    table = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    assert table.strip().splitlines()[2:] == expected_rows(), "put these rows into README.md:\n" + "\n".join(expected_rows())


def test_the_table_of_types_is_the_one_that_load_file_has() -> None:
    shown = README.split("<!-- types -->")[1].split("<!-- /types -->")[0]
    assert shown.strip() == types_table.table(), "put what `python -m tools.types_table` prints into README.md"
    assert f"The types, {types_table.count()} extensions:" in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z]+)`", README))))
def test_every_make_target_that_the_readme_names_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:|#)([^)]+)\)", README))))
def test_every_local_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link.split("#")[0]).exists()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`threadbook ([a-z]+(?: (?:build|status|install))?)", README))))
def test_every_command_that_the_readme_names_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*command.split(), "--help"])
    assert ended.value.code == 0
    assert "example" in capsys.readouterr().out
