from __future__ import annotations

from pathlib import Path

import pytest
from platformdirs import user_data_path
from pydantic import ValidationError

from kernel_manager.config import Settings
from kernel_manager.errors import SettingsError

LONGEST_SOCKET_PATH = 107  # of sun_path's 108 bytes, one ends it
SOCKET_OF_A_KERNEL = Path("k") / ("f" * 12) / "s-5"


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no setting at all, as on a machine where nobody has chosen anything."""
    monkeypatch.delenv("DATA_DIR")
    monkeypatch.delenv("ENVIRONMENTS_DIR")


@pytest.mark.usefixtures("unset")
class TestDefaults:
    def test_are_those_of_the_public_contract(self) -> None:
        settings = Settings.load()
        assert settings.data_dir == user_data_path("threadbook", appauthor=False)
        assert settings.code_execution_timeout == 300
        assert settings.max_file_size_mb == 50

    def test_environments_lie_in_the_data_folder(self) -> None:
        assert Settings.load().environments_path == Settings.load().data_dir / "environments"

    def test_every_setting_has_one_and_says_what_it_means(self) -> None:
        assert [name for name, field in Settings.model_fields.items() if field.is_required() or not field.description] == []


class TestReading:
    def test_the_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DATA_DIR", str(tmp_path / "d"))
        monkeypatch.setenv("MAX_KERNELS", "7")
        monkeypatch.setenv("KERNEL_PROVISIONER", "local")
        settings = Settings.load()
        assert (settings.data_dir, settings.max_kernels, settings.kernel_provisioner) == (tmp_path / "d", 7, "local")

    def test_a_file_in_the_working_folder_with_settings_of_others_in_it(self) -> None:
        Path(".env").write_text("MAX_KERNELS=7\nmax_outputs=9\n# a comment\nSOMETHING_ELSE=1\n")
        settings = Settings.load()
        assert (settings.max_kernels, settings.max_outputs) == (7, 9)

    def test_the_environment_comes_before_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path(".env").write_text("MAX_KERNELS=7\n")
        monkeypatch.setenv("MAX_KERNELS", "8")
        assert Settings.load().max_kernels == 8

    def test_an_empty_value_is_an_unset_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAX_KERNELS", "")
        assert Settings.load().max_kernels == Settings.model_fields["max_kernels"].default

    def test_settings_do_not_change_afterwards(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Settings.load().max_kernels = 3  # type: ignore[misc]


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("MAX_KERNELS", "0", "greater than or equal to 1"),
            ("MAX_KERNELS", "many", "valid integer"),
            ("CODE_EXECUTION_TIMEOUT", "0", "greater than 0"),
            ("CODE_EXECUTION_TIMEOUT", "nan", "less than or equal to 86400"),
            ("CODE_EXECUTION_TIMEOUT", "1e9", "less than or equal to 86400"),
            ("INTERRUPT_GRACE", "-1", "greater than or equal to 0"),
            ("KERNEL_PROVISIONER", "docker", "'auto', 'zygote' or 'local'"),
        ],
    )
    def test_a_bad_value_gets_one_line_that_names_the_setting(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError) as caught:
            Settings.load()
        message = str(caught.value)
        assert message.startswith(f"{name}={value!r}: ")
        assert expected in message
        assert "\n" not in message

    def test_two_bad_values_are_both_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAX_KERNELS", "0")
        monkeypatch.setenv("MAX_OUTPUTS", "0")
        with pytest.raises(SettingsError, match=r"MAX_KERNELS=.*; MAX_OUTPUTS="):
            Settings.load()


class TestRuntimePath:
    @pytest.mark.parametrize("base", [None, "/run/user/4294967294"])
    def test_leaves_room_for_the_sockets_of_a_kernel(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str | None
    ) -> None:
        if base is None:
            monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        else:
            monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        monkeypatch.setenv("DATA_DIR", str(tmp_path / ("very-long-name" * 10)))
        assert len(bytes(Settings.load().runtime_path / SOCKET_OF_A_KERNEL)) <= LONGEST_SOCKET_PATH

    def test_is_one_for_each_data_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        paths = set()
        for folder in ("/srv/a", "/srv/b", "/srv/a"):
            monkeypatch.setenv("DATA_DIR", folder)
            paths.add(Settings.load().runtime_path)
        assert len(paths) == 2

    def test_is_where_the_operator_wants_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNTIME_DIR", "/srv/r")
        assert Settings.load().runtime_path.parent == Path("/srv/r")

    def test_a_data_folder_named_relatively_is_the_same_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATA_DIR", "here")
        relative = Settings.load().runtime_path
        monkeypatch.setenv("DATA_DIR", str(Path("here").absolute()))
        assert Settings.load().runtime_path == relative


def test_environments_can_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENVIRONMENTS_DIR", str(tmp_path / "e"))
    assert Settings.load().environments_path == tmp_path / "e"


def test_a_home_folder_and_a_relative_path_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA_DIR", "~/book")
    monkeypatch.setenv("RUNTIME_DIR", "run")
    settings = Settings.load()
    assert settings.data_dir == tmp_path / "book"
    assert settings.runtime_dir == Path.cwd() / "run"


def test_a_dotenv_file_that_is_no_text_gives_one_line() -> None:
    Path(".env").write_bytes(b"MAX_KERNELS=\xff\xfe")
    with pytest.raises(SettingsError, match=r"^\.env cannot be read .*; make it readable UTF-8 text or remove it$"):
        Settings.load()


class TestIds:
    def test_are_numbers_separated_by_commas_or_spaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DISCORD_CHANNELS", "123, 456  789")
        monkeypatch.setenv("DISCORD_OPERATORS", "42")
        settings = Settings.load()
        assert (settings.discord_channels, settings.discord_operators, settings.discord_roles) == ((123, 456, 789), (42,), ())

    @pytest.mark.parametrize("value", ["ada", "1;2", "-3", "0", "9" * 30])
    def test_that_are_none_are_refused_by_name(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("DISCORD_ROLES", value)
        with pytest.raises(SettingsError, match="DISCORD_ROLES"):
            Settings.load()
