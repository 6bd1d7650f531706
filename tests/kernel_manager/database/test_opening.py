from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel_manager.config import Settings
from kernel_manager.database.mongo import MongoDatabase
from kernel_manager.database.opening import adopted, database_at, database_of, redacted
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.errors import SettingsError, UsageError


async def name_of(settings: Settings) -> str:
    """The name of MongoDB's database."""
    database = database_of(settings)
    assert isinstance(database, MongoDatabase)
    await database.close()
    return str(database._database.name)


class TestChoosing:
    async def test_an_sqlite_file_in_the_data_folder_if_nothing_is_set(self) -> None:
        settings = Settings.load()
        assert database_of(settings).location == f"sqlite:///{settings.data_dir}/threadbook.sqlite3"
        assert not settings.data_dir.exists()

    @pytest.mark.parametrize("name", ["MONGODB_URI", "MONGODB_URL", "MONGODB_CONNECTION_STRING", "DATABASE_URL"])
    async def test_every_name_of_the_setting_selects_mongodb(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "mongodb://user:pass@db.example/?retryWrites=true")
        assert await name_of(Settings.load()) == "code-interpreter-db"
        assert database_of(Settings.load()).location == "mongodb://db.example/"

    async def test_the_uri_of_mongodb_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", "sqlite:////x.db")
        monkeypatch.setenv("MONGODB_URI", "mongodb://db.example/")
        assert isinstance(database_of(Settings.load()), MongoDatabase)

    async def test_the_name_of_the_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MONGODB_URI", "mongodb://db.example/theirs")
        assert await name_of(Settings.load()) == "theirs"
        monkeypatch.setenv("MONGODB_DATABASE_NAME", "mine")
        assert await name_of(Settings.load()) == "mine"

    @pytest.mark.parametrize(("url", "path"), [("sqlite:////abs/a.db", "/abs/a.db"), ("sqlite:///a%20b.db", "{cwd}/a b.db")])
    def test_paths_of_sqlite(self, url: str, path: str) -> None:
        assert database_at(url).location == f"sqlite:///{path.format(cwd=Path.cwd())}"

    @pytest.mark.parametrize(
        "url", ["sqlite:///", "sqlite:///:memory:", "postgres://h/", "mongodb://", "mongodb://h:port/", "mongodb://u:p@@h"]
    )
    def test_what_is_no_database_is_refused_without_its_password(self, url: str) -> None:
        with pytest.raises(SettingsError) as caught:
            database_at(url)
        assert "u:p" not in str(caught.value)
        assert "DATABASE_URL" in str(caught.value)


class TestSecrets:
    @pytest.mark.parametrize("name", ["DATABASE_URL", "MONGODB_URL"])
    def test_no_error_and_no_settings_show_a_password(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv(name, "postgres://ada:secret@h/")
        with pytest.raises(SettingsError, match=r"DATABASE_URL|MONGODB_URI") as caught:
            Settings.load()
        assert "secret" not in str(caught.value)
        monkeypatch.setenv(name, "mongodb://ada:secret@h/")
        assert "secret" not in repr(Settings.load())
        assert "secret" not in Settings.load().model_dump_json()

    @given(password=st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=8, max_size=30))
    def test_a_redacted_uri_never_has_the_password_however_badly_it_is_escaped(self, password: str) -> None:
        shown = redacted(f"mongodb://ada:{password}@host.example/db?authSource=admin")
        assert shown in ("mongodb://host.example/db", "mongodb://…")


class TestHandedIn:
    def test_one_of_ours_is_used_as_it_is(self, tmp_path: Path) -> None:
        ours = SqliteDatabase(tmp_path / "x")
        assert adopted(ours) is ours

    def test_anything_else_is_refused(self) -> None:
        with pytest.raises(UsageError, match="a dict is no database"):
            adopted({})
