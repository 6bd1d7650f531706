from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from kernel_manager.errors import SettingsError
from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.base import Base
from kernel_manager.packages.requirement import normalised, parse_requirement

APPROVED = ApprovedPackages.load()
RECORD: dict[str, Any] = json.loads(
    resources.files("kernel_manager.packages").joinpath("approved_record.json").read_text(encoding="utf-8")
)


class TestTheList:
    def test_has_at_least_a_hundred_distributions(self) -> None:
        assert len(APPROVED) >= 100

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("sklearn", "scikit-learn"),
            ("sklearn.linear_model.LinearRegression", "scikit-learn"),
            ("cv2", "opencv-python-headless"),
            ("PIL.Image", "pillow"),
            ("bs4", "beautifulsoup4"),
            ("yaml", "pyyaml"),
            ("docx", "python-docx"),
            ("fitz", "pymupdf"),
            ("Bio.SeqIO", "biopython"),
            ("mpl_toolkits.mplot3d", "matplotlib"),
            ("mpl_toolkits.basemap.Basemap", "basemap"),
            ("seaborn", "seaborn"),
        ],
    )
    def test_knows_what_modules_come_from(self, module: str, name: str) -> None:
        found = APPROVED.imported_as(module)
        assert found is not None
        assert found.name == name

    def test_names_each_distribution_and_each_import_once(self) -> None:
        imports = [name for package in APPROVED for name in package.imports]
        assert len(imports) == len(set(imports))
        assert [package.name for package in APPROVED if package.name != normalised(package.name)] == []

    def test_has_a_lower_bound_for_every_version(self) -> None:
        assert [package.name for package in APPROVED if not package.versions.startswith(">=")] == []

    def test_approves_what_the_environment_has_where_both_name_it(self) -> None:
        base = {item.name: item for text in Base.load("full").requirements if (item := parse_requirement(text)) is not None}
        assert {"numpy", "pandas", "pillow", "seaborn"} <= base.keys() & {package.name for package in APPROVED}


class TestTheRecord:
    def test_is_of_all_approved_distributions(self) -> None:
        assert RECORD.keys() == {package.name for package in APPROVED}

    def test_has_every_import_name_as_the_wheel_that_was_looked_at_has_it(self) -> None:
        lacking = {package.name: set(package.imports) - set(RECORD[package.name]["modules"]) for package in APPROVED}
        assert {name: names for name, names in lacking.items() if names} == {}

    def test_is_of_versions_that_are_approved(self) -> None:
        versions = {package: Version(RECORD[package.name]["version"]) for package in APPROVED}
        assert [package.name for package, found in versions.items() if found not in SpecifierSet(package.versions)] == []


class TestAdvice:
    @pytest.mark.parametrize(
        ("module", "said"),
        [
            ("scikit_learn", "the package scikit-learn is imported as `sklearn`"),
            ("cv", "opencv-python-headless is imported as `cv2`"),
            ("beautifulsoup4", "the package beautifulsoup4 is imported as `bs4`"),
            ("Pillow", "the package pillow is imported as `PIL`"),
            ("seabron", "did you mean `seaborn`?"),
            ("skleran.linear_model", "did you mean `sklearn`?"),
            ("Matplotlib", "the package matplotlib is imported as `matplotlib`"),
            ("Seaborns", "did you mean `seaborn`?"),
            ("zzqqxx", "no approved package has one; do without it, or ask the operator to approve it"),
        ],
    )
    def test_names_what_was_probably_meant_or_what_to_do(self, module: str, said: str) -> None:
        assert said in APPROVED.advice(module)

    @pytest.mark.parametrize(
        ("wanted", "said"),
        [
            ("nosuchthing", "it is not an approved package; do without it"),
            ("scikit-lern", "did you mean scikit-learn?"),
            ("git+https://example.invalid/x", "no addresses, paths or options"),
            ("-r/etc/passwd", "no addresses, paths or options"),
            ("x\x1b[2J\n" + "y" * 500, "no addresses, paths or options"),
        ],
    )
    def test_refusals_are_one_short_printable_line(self, wanted: str, said: str) -> None:
        line = APPROVED.refusal(wanted)
        assert said in line
        assert line.isprintable()
        assert len(line) < 250

    @pytest.mark.parametrize("name", ["opencv-python", "SKLEARN", "scikit_learn", "pil"])
    def test_people_may_use_the_name_they_know(self, name: str) -> None:
        assert APPROVED.requirement_of(name) is not None

    def test_companions_are_approved_themselves(self) -> None:
        companions = {name for package in APPROVED for name in package.companions}
        assert companions == {"vl-convert-python"}
        assert all(APPROVED.named(name) for name in companions)


class TestAnOperatorsFile:
    def test_adds_and_changes_entries(self, tmp_path: Path) -> None:
        file = tmp_path / "own.toml"
        file.write_text('[packages]\nown_tool = { imports = ["own"] }\npolars = { imports = ["polars"], versions = "==1.2" }\n')
        packages = ApprovedPackages.load(file)
        assert packages.imported_as("own.part") == Approved("own-tool", ("own",))
        assert packages.constraints["polars"] == "polars==1.2"
        assert len(packages) == len(APPROVED) + 1

    def test_can_replace_the_built_in_ones(self, tmp_path: Path) -> None:
        file = tmp_path / "own.toml"
        file.write_text('replace = true\n[packages]\nown = { imports = ["own"] }\n')
        assert [package.name for package in ApprovedPackages.load(file)] == ["own"]
        file.write_text("replace = true\n")
        assert len(ApprovedPackages.load(file)) == 0

    @pytest.mark.parametrize(
        "text",
        [
            "[packages",
            "[packages]\nx = 1",
            "[packages]\nx = {}",
            '[packages]\nx = { imports = "x" }',
            '[packages]\nx = { imports = ["../x"] }',
            '[packages]\nx = { imports = ["x"], with = "y" }',
            '[packages]\nx = { imports = ["x"], versions = "@ https://example.invalid" }',
            '[packages]\n"--index-url" = { imports = ["x"] }',
            "packages = 3",
        ],
    )
    def test_that_is_wrong_is_named_in_one_line(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "own.toml"
        file.write_text(text)
        with pytest.raises(SettingsError, match=r"own\.toml") as caught:
            ApprovedPackages.load(file)
        assert "\n" not in str(caught.value)

    def test_that_is_missing_or_endless_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="APPROVED_PACKAGES: "):
            ApprovedPackages.load(tmp_path / "missing.toml")
        (tmp_path / "long.toml").write_text("#" * 1_100_000)
        with pytest.raises(SettingsError, match="larger than"):
            ApprovedPackages.load(tmp_path / "long.toml")
