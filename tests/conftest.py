"""How tests share two cores; fixtures of several: real data, the command line, a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from matlab_files import write_matlab73

ROOT = Path(__file__).resolve().parents[1]

# Read when numpy and torch are first imported, by subprocesses as well. The threads of two
# workers on two cores would mostly spin while they wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# Files that share what a slow fixture of the session makes, by the file they run with.
SHARING = {
    "tests/integration/test_kill_resume.py": "tests/integration/test_workflow.py",
    "tests/integration/test_reconstruction.py": "tests/integration/test_workflow.py",
    "tests/integration/test_report.py": "tests/integration/test_workflow.py",
    "tests/integration/test_clients.py": "tests/integration/test_horizon_workflow.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file at a time to each worker, in the order of collection; files that share, together."""
    from xdist.scheduler import LoadFileScheduling

    class SharedFixtures(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = super()._split_scope(nodeid)
            return SHARING.get(path, path)

    return SharedFixtures(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top folder of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings: $SPIKELINE_DATA, or ../shared/data next to the checkout."""
    folder = Path(os.environ.get("SPIKELINE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}; set SPIKELINE_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a subprocess that runs this checkout's code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="session")
def spikeline(environment) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m spikeline ARGUMENTS...` as a user or a rule does."""

    def run(*arguments: object, **more) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spikeline", *map(str, arguments)],
            env={**environment, **more.pop("env", {})},
            capture_output=True,
            text=True,
            timeout=120,
            **more,
        )

    return run


@pytest.fixture
def tiny_disk(tmp_path) -> Iterator[Path]:
    """A mounted file system of 64 kB."""
    folder = tmp_path / "tiny_disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("a small disk is simulated with mount, which is not installed")
    if mounted.returncode:
        pytest.skip("a small disk is simulated with a mounted tmpfs, which takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def image_lists() -> Callable[..., dict[str, list[str]]]:
    """`image_list_fields`, for a test that spoils the lists in its own way."""
    return image_list_fields


# --- TVSD's two files, written by hand as MATLAB lays them out -----------------------------------

TVSD_REGIONS = {"V1": [[0, 6]], "IT": [[6, 9]], "V4": [[9, 12]]}
TRAIN_ROWS, TEST_ROWS, REPETITIONS, ELECTRODES = 20, 5, 3, 12


def norm_mua_fields() -> dict[str, np.ndarray]:
    """THINGS_normMUA.mat's fields, as h5py reads them (MATLAB's axes reversed)."""
    rng = np.random.default_rng(0)
    repetitions = rng.normal(size=(REPETITIONS, TEST_ROWS, ELECTRODES))
    pairs = [(a, b) for a in range(REPETITIONS) for b in range(a)]
    correlation = [
        [np.corrcoef(repetitions[a, :, e], repetitions[b, :, e])[0, 1] for e in range(ELECTRODES)]
        for a, b in pairs
    ]
    return {
        "train_MUA": rng.normal(size=(TRAIN_ROWS, ELECTRODES)),
        "test_MUA": repetitions.mean(axis=0),
        "test_MUA_reps": repetitions,
        "SNR": rng.uniform(1, 5, size=(4, ELECTRODES)),
        "SNR_max": rng.uniform(1, 5, size=(ELECTRODES, 1)),
        "oracle": rng.uniform(0, 1, size=(ELECTRODES, 1)),
        "reliab": np.array(correlation),
        "tb": np.arange(-100.0, 200.0)[:, None],
    }


def image_list_fields(train: int = TRAIN_ROWS, test: int = TEST_ROWS) -> dict[str, list[str]]:
    """things_imgs.mat's fields: backslashes in things_path, as in the published file."""
    fields: dict[str, list[str]] = {}
    for split, rows in (("train", train), ("test", test)):
        concepts = [f"{split}_concept_{row % 4}" for row in range(rows)]
        files = [f"{concept}_{row:02d}s.jpg" for row, concept in enumerate(concepts)]
        fields[f"{split}_imgs/class"] = concepts
        fields[f"{split}_imgs/things_path"] = [
            f"{c}\\{f}" for c, f in zip(concepts, files, strict=True)
        ]
        fields[f"{split}_imgs/local_path"] = files
    return fields


@dataclass
class TvsdFiles:
    """A small recording in TVSD's layout, to be spoilt by a test."""

    folder: Path
    fields: dict[str, np.ndarray]
    images: dict[str, list[str]]
    regions: dict[str, list[list[int]]]

    def write(self) -> tuple[Path, Path]:
        return (
            write_matlab73(self.folder / "THINGS_normMUA.mat", self.fields),
            write_matlab73(self.folder / "things_imgs.mat", self.images),
        )


@pytest.fixture
def tvsd_files(tmp_path) -> TvsdFiles:
    regions = {name: [list(pair) for pair in ranges] for name, ranges in TVSD_REGIONS.items()}
    return TvsdFiles(tmp_path / "monkeyF", norm_mua_fields(), image_list_fields(), regions)


def _keep_nothing_finite(files: TvsdFiles) -> None:
    files.fields["train_MUA"][:] = np.nan


def _keep_part(share: float, name: str = "THINGS_normMUA.mat") -> Callable[[Path], None]:
    def truncate(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return truncate


def _save_as_v5(folder: Path) -> None:
    scipy.io.savemat(folder / "THINGS_normMUA.mat", norm_mua_fields())


def _swap(*names: str) -> Callable[[TvsdFiles], None]:
    def swap(files: TvsdFiles) -> None:
        for name in names:
            files.fields[name] = files.fields[name].T

    return swap


# What is wrong -> (change before writing, change of the written files, words of the message).
BAD_TVSD: dict[str, tuple[Callable | None, Callable | None, tuple[str, ...]]] = {
    "truncated to half": (None, _keep_part(0.5), ("THINGS_normMUA.mat", "truncated")),
    "truncated by a little": (None, _keep_part(0.99), ("THINGS_normMUA.mat", "truncated")),
    "truncated to the header": (None, _keep_part(0.01), ("THINGS_normMUA.mat", "truncated")),
    "an empty file": (None, _keep_part(0.0), ("THINGS_normMUA.mat", "MATLAB v7.3")),
    "a truncated image list": (None, _keep_part(0.7, "things_imgs.mat"), ("things_imgs.mat",)),
    "MATLAB v5": (None, _save_as_v5, ("THINGS_normMUA.mat", "v5", "v7.3")),
    "not MATLAB at all": (
        None,
        lambda folder: (folder / "THINGS_normMUA.mat").write_text("<html>log in</html>"),
        ("THINGS_normMUA.mat", "not a MATLAB v7.3 file"),
    ),
    "a missing file": (
        None,
        lambda folder: (folder / "THINGS_normMUA.mat").unlink(),
        ("THINGS_normMUA.mat", "no such file"),
    ),
    "transposed axes": (
        _swap("train_MUA", "test_MUA", "test_MUA_reps", "SNR_max", "oracle", "reliab"),
        None,
        ("THINGS_normMUA.mat", "train_MUA", "(12, 20)", "swapped"),
    ),
    "transposed test axes": (_swap("test_MUA"), None, ("test_MUA", "(12, 5)", "swapped")),
    "transposed repetitions": (_swap("test_MUA_reps"), None, ("test_MUA_reps", "swapped")),
    "a transposed table": (_swap("reliab"), None, ("reliab", "(12, 3)", "(3, 12)")),
    **{
        f"no {name}": (
            lambda files, name=name: files.fields.pop(name),
            None,
            ("THINGS_normMUA.mat", f"field {name} is missing"),
        )
        for name in ("train_MUA", "test_MUA", "test_MUA_reps", "SNR_max", "oracle", "reliab")
    },
    "no test_imgs": (
        lambda files: [files.images.pop(k) for k in list(files.images) if k.startswith("test")],
        None,
        ("things_imgs.mat", "test_imgs"),
    ),
    "no things_path": (
        lambda files: files.images.pop("train_imgs/things_path"),
        None,
        ("things_imgs.mat", "train_imgs.things_path"),
    ),
    "an image list of numbers": (
        lambda files: files.images.update({"train_imgs/class": np.arange(20.0)}),
        None,
        ("things_imgs.mat", "train_imgs/class"),
    ),
    "an image list that is not a struct": (
        lambda files: (
            [files.images.pop(k) for k in list(files.images) if k.startswith("test")],
            files.images.update(test_imgs=np.zeros(5)),
        ),
        None,
        ("things_imgs.mat", "test_imgs is not a struct"),
    ),
    "an image list that is a struct of structs": (
        lambda files: files.images.update(
            {"train_imgs/class/inner": files.images.pop("train_imgs/class")}
        ),
        None,
        ("things_imgs.mat", "train_imgs/class is not a cell array"),
    ),
    "a text field": (
        lambda files: files.fields.update(train_MUA=np.array([b"x"] * 12)),
        None,
        ("THINGS_normMUA.mat", "train_MUA"),
    ),
    "a field that is a group": (
        lambda files: files.fields.update({"oracle/inner": files.fields.pop("oracle")}),
        None,
        ("THINGS_normMUA.mat", "oracle"),
    ),
    "other electrodes than the region map": (
        lambda files: files.regions.update(V4=[[9, 11]]),
        None,
        ("THINGS_normMUA.mat", "12 electrodes", "11"),
    ),
    "a region map with a gap": (
        lambda files: files.regions.update(V4=[[9, 11]], V1=[[0, 6], [12, 13]]),
        None,
        ("THINGS_normMUA.mat", "12:13"),
    ),
    "a region map with an overlap": (
        lambda files: files.regions.update(IT=[[5, 8]]),
        None,
        ("THINGS_normMUA.mat", "electrode 5", "twice"),
    ),
    "a longer image list": (
        lambda files: files.images.update(image_list_fields(train=21)),
        None,
        ("things_imgs.mat", "train_imgs", "21 images", "20"),
    ),
    "a shorter test image list": (
        lambda files: files.images.update(image_list_fields(test=4)),
        None,
        ("things_imgs.mat", "test_imgs", "4 images", "5"),
    ),
    "lists of different length in one split": (
        lambda files: files.images.update({"train_imgs/class": ["a"] * 19}),
        None,
        ("things_imgs.mat", "train_imgs", "19", "20"),
    ),
    "no subject's test images": (
        lambda files: (
            files.fields.update(
                test_MUA=np.zeros((0, 12)), test_MUA_reps=np.zeros((REPETITIONS, 0, 12))
            ),
            files.images.update(image_list_fields(test=0)),
        ),
        None,
        ("THINGS_normMUA.mat", "test_MUA is empty"),
    ),
    "no repetitions": (
        lambda files: files.fields.update(
            test_MUA_reps=np.zeros((0, TEST_ROWS, 12)), reliab=np.zeros((0, 12))
        ),
        None,
        ("THINGS_normMUA.mat", "test_MUA_reps"),
    ),
    "a mean of other repetitions": (
        lambda files: files.fields.update(test_MUA=files.fields["test_MUA"] + 1),
        None,
        ("THINGS_normMUA.mat", "test_MUA_reps"),
    ),
    "no finite electrode": (_keep_nothing_finite, None, ("THINGS_normMUA.mat", "no electrode")),
}


@pytest.fixture(params=list(BAD_TVSD))
def bad_tvsd(request, tvsd_files) -> tuple[TvsdFiles, tuple[Path, Path], tuple[str, ...]]:
    """Files in TVSD's layout with one thing wrong, and what the message must say."""
    before, after, said = BAD_TVSD[request.param]
    if before:
        before(tvsd_files)
    paths = tvsd_files.write()
    if after:
        after(tvsd_files.folder)
    return tvsd_files, paths, said


def pytest_terminal_summary(terminalreporter) -> None:
    """How many inputs the tests of hostile ones and of fuzzed ones tried."""
    for what in ("hostile inputs", "fuzz examples"):
        counts = [
            value
            for reports in terminalreporter.stats.values()
            for report in reports
            for name, value in getattr(report, "user_properties", ())
            if name == what and getattr(report, "when", "") == "call"
        ]
        if counts:
            terminalreporter.write_line(f"{what}: {sum(counts)}")
