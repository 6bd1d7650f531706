"""The table of file types: each extension has a real sample that opens as the table says, and damaged copies that end well."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kernel_manager import kernelside
from kernel_manager.kernelside.file_types import BY_EXTENSION, IMPORT_NAMES, KINDS, TYPES, FileType
from kernel_manager.packages.approved import ApprovedPackages
from kernel_manager.packages.base import Base
from kernel_manager.packages.environments import Environment
from kernel_manager.packages.installer import Installer, InstallLimits, Wanted
from kernel_manager.packages.overlay import Overlay

# All samples are opened in the fixture, whose time is the first test's; on a machine that is busy it may take minutes.
pytestmark = pytest.mark.timeout(300)

PACKAGE = Path(kernelside.__file__).parent
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
SHARDS = 2
LIMIT_S = 10.0

#: What opens with a package that is not in the base environment.
ON_DEMAND = {"duckdb", "zarr", "jpeg xl", "jpeg xr"}

#: Formats in which a part of a file cannot be told from a whole one: lines or frames without a count, a checksum or an end.
CUT_OR_WHOLE = frozenset({
    "table", "fixed width", "yaml", "ini", "properties", "toml", "text", "plain text", "web page", "json lines", "mailbox",
    "medline",
    "endnote", "ris", "subtitles", "smiles", "fasta", "fastq", "genbank", "embl", "alignment", "bed", "bedgraph", "wig", "gff",
    "maf", "sam", "obj", "abaqus", "edge list", "adjacency list", "rdf", "wkt", "touchstone", "xyz", "calendar", "mail", "tar",
    "fits", "sound", "compressed sound", "video", "geojson lines", "mgf", "mol2", "phylip",
})  # fmt: skip

#: Binary formats whose content says what they are, whatever they are called.
TOLD_BY_CONTENT = frozenset({
    "spreadsheet", "opendocument sheet", "spss", "stata", "sas", "sas transport", "dbase", "sqlite", "parquet", "feather", "orc",
    "avro", "npy", "npz", "matlab", "hdf5", "safetensors", "pickle", "gguf", "r data", "heif", "raw", "svg", "sound",
    "compressed sound", "midi", "video", "pdf", "word", "powerpoint", "opendocument", "rtf", "epub", "outlook", "geopackage",
    "kml", "gpx", "flatgeobuf", "osm", "geotiff", "las", "dicom", "nifti", "edf", "nrrd", "fits", "mtz", "ccp4", "bam",
    "gltf", "3mf", "tdms", "pcap", "font", "zip", "tar", "7z", "rar", "ar", "cpio", "shapefile", "pcd", "vtk",
})  # fmt: skip

EXTENSIONS = sorted(extension for row in TYPES for extension in row.extensions if BY_EXTENSION[extension] is row)


@pytest.fixture(scope="module")
def overlay(kernel_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service installs for a user who opens all that is on demand: from uv's cache, or else from the index."""
    approved, made = ApprovedPackages.load(), Overlay(tmp_path_factory.mktemp("overlay") / kernel_environment.generation)
    names = {package for row in TYPES if row.name in ON_DEMAND for package in row.packages}
    wanted = [Wanted.plainly(package) for package in map(approved.named, sorted(names)) if package is not None]
    made.prepare()
    Installer(kernel_environment.root.parent, approved, InstallLimits(1 << 30, 240)).install(made, wanted)
    return made.current


@pytest.fixture(scope="module")
def outcomes(kernel_python: Path, overlay: Path) -> dict[str, Any]:
    """What came of every sample and its damaged copies: each shard in one process of the kernel environment."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [str(kernel_python), "-I", str(SAMPLES / "runner.py"), str(PACKAGE), str(overlay)]
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        answers = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(SHARDS)]
        shards = [
            stack.enter_context(
                subprocess.Popen([*command, str(number), str(SHARDS)], stdout=answer, stderr=subprocess.DEVNULL, env=environment)
            )
            for number, answer in enumerate(answers)
        ]
        for shard, answer in zip(shards, answers, strict=True):
            assert shard.wait() == 0
            answer.seek(0)
            found |= {row["extension"]: row for row in map(json.loads, answer)}
    return found


def outcomes_of(row: FileType, outcomes: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for extension in row.extensions:
        if BY_EXTENSION[extension] is row:
            assert "failure" not in outcomes[extension], outcomes[extension].get("failure")
            yield extension, outcomes[extension]


@pytest.mark.slow
@pytest.mark.parametrize("row", TYPES, ids=lambda row: row.name)
def test_samples_open_as_their_type_with_their_content(outcomes: dict[str, Any], row: FileType) -> None:
    for extension, outcome in outcomes_of(row, outcomes):
        whole = outcome["whole"]
        assert whole["error"] is None, (extension, whole["message"])
        assert outcome["type"] == (outcome["declared"] or row.name), extension
        assert whole["right"] is True, (extension, whole)
        assert outcome["note"] in whole["notes"], extension
        assert outcome["size"] > 0
        # Under a name that says nothing, too, it is no error: content decides, or the note says that these are bytes.
        renamed = outcome.get("renamed", whole)
        assert renamed["error"] is None, (extension, renamed)
        if row.name in TOLD_BY_CONTENT and extension != ".htk":
            assert renamed["gives"] == whole["gives"], (extension, renamed)


@pytest.mark.slow
@pytest.mark.parametrize("row", TYPES, ids=lambda row: row.name)
def test_damage_ends_in_one_error_or_in_what_is_there(outcomes: dict[str, Any], row: FileType) -> None:
    for extension, outcome in outcomes_of(row, outcomes):
        for variant in ("half", "empty", "renamed", "flipped 1", "flipped 2"):
            found = outcome.get(variant, outcome["whole"])
            assert found["error"] in (None, "UnreadableFileError", "MissingPackageError"), (extension, variant, found)
            assert "\n" not in found["message"], (extension, variant, found)
            assert found["seconds"] < LIMIT_S, (extension, variant, found)


@pytest.mark.slow
@pytest.mark.parametrize("row", TYPES, ids=lambda row: row.name)
def test_a_file_that_lacks_its_half_or_all_of_it_is_an_error_or_is_said(outcomes: dict[str, Any], row: FileType) -> None:
    for extension, outcome in outcomes_of(row, outcomes):
        half, empty = outcome.get("half"), outcome["empty"]
        if half is not None and outcome["type"] not in CUT_OR_WHOLE:
            assert half["error"] == "UnreadableFileError" or half["notes"], (extension, half)
        if row.may_be_empty:
            assert (empty["error"], empty["gives"]) == (None, "str"), (extension, empty)
        else:
            assert "it is empty" in empty["message"], (extension, empty)


def test_the_table_has_at_least_250_extensions_and_none_twice_in_a_row() -> None:
    assert len(EXTENSIONS) >= 250
    for row in TYPES:
        assert len(row.extensions) == len(set(row.extensions)), row.name
        assert all(extension.startswith(".") and extension == extension.lower() for extension in row.extensions)


@pytest.mark.parametrize("row", TYPES, ids=lambda row: row.name)
def test_a_row_names_a_kind_and_a_loader_that_exist(row: FileType) -> None:
    assert row.kind in KINDS
    for loader in filter(None, (row.loader, row.table_loader)):
        module, function = loader.split(":")
        assert f"\ndef {function}(" in (PACKAGE / "loaders" / f"{module}.py").read_text(encoding="utf-8")


def test_names_are_unique_and_no_extension_is_claimed_by_two_types_but_on_purpose() -> None:
    assert len({row.name for row in TYPES}) == len(TYPES)
    claimed: dict[str, list[str]] = {}
    for row in TYPES:
        for extension in row.extensions:
            claimed.setdefault(extension, []).append(row.name)
    assert {extension: names for extension, names in claimed.items() if len(names) > 1} == {}


def test_packages_are_in_the_base_environment_but_those_on_demand() -> None:
    names = {requirement.partition(">")[0].partition("[")[0] for requirement in Base.load().requirements}

    missing = {row.name: set(row.packages) - names for row in TYPES if set(row.packages) - names}

    assert set(missing) == ON_DEMAND
    assert set(IMPORT_NAMES) <= names


def test_every_committed_sample_is_small() -> None:
    for path in (SAMPLES / "files").iterdir():
        assert path.stat().st_size <= 20 * 1024, path
