"""Faults of a real run: a clear message, and a rerun that ends with the same files."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import h5py
import psutil
import pytest
from kills import REFUSED, KillLoop, made_files
from small_run import TABLE, small_run
from workflow_copies import copied

pytestmark = pytest.mark.slow

RUN = ("--cores", "2", "--max-threads", "1")
DECODER = "results/decoders/mlp/mine/seed0.safetensors"
MLP = ("results/decoders/mlp", "results/evaluations/mlp", TABLE)


@pytest.fixture(scope="module")
def made(repository, tmp_path_factory):
    workflow = small_run(repository, tmp_path_factory.mktemp("made"))
    done = workflow.snakemake(*RUN, "--", TABLE)
    assert done.status == 0, done.text[-3000:]
    return workflow


@pytest.fixture
def another(made, tmp_path):
    """A copy of the finished run, to be spoilt."""
    folder = tmp_path / "another"
    folder.mkdir()
    return copied(made.folder, folder, "results", "resources", ".snakemake")


def remove(workflow, *names):
    for name in names:
        path = workflow.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def start(workflow):
    environment = {**os.environ, "XDG_CACHE_HOME": str(workflow.folder / ".cache")}
    environment.pop("PYTHONPATH", None)
    with open(workflow.folder / "run.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *RUN, "--", TABLE],
            cwd=workflow.folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip


def until(found, seconds=120):
    """What `found` returns as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
    return value


def job_of(started, subcommand):
    """The process of a run that runs this subcommand, or None."""
    for process in psutil.Process(started.pid).children(recursive=True):
        try:
            if process.cmdline()[1:4] == ["-m", "spikeline", subcommand]:
                return process
        except psutil.Error:
            continue
    return None


def logs(workflow):
    return "".join(path.read_text() for path in (workflow.folder / "logs").rglob("*.log"))


def test_a_run_killed_three_times_ends_with_the_same_files(made, repository, tmp_path):
    # Fifty: python tests/kills.py --kills 50
    loop = KillLoop(small_run(repository, tmp_path), made_files(made), seconds=6, seed=1)
    loop(kills=3, attempts=20)
    assert loop.kills == 3


def test_on_a_full_disk_a_step_says_so_and_leaves_nothing_partial(made, repository, tmp_path):
    workflow = small_run(repository, tmp_path)
    target = "results/evaluations/ridge/mine.json"
    disk = tmp_path / "results"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk is simulated with a mounted tmpfs, which takes root")
    try:
        failed = workflow.snakemake(*RUN, "--", target)
        assert failed.status != 0
        assert "No space left on device" in logs(workflow) and "Traceback" not in logs(workflow)
        expected = made_files(made)
        assert all(content == expected[name] for name, content in made_files(workflow).items())
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        done = workflow.snakemake(*RUN, "--", target)
        assert done.status == 0, done.text[-3000:]
        assert (workflow.folder / target).read_bytes() == expected[target]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_damaged_files_are_named_and_made_again_once_removed(made, another):
    damaged = (
        "results/embeddings/mine/mine.h5",
        "results/decoders/mlp/mine/seed0.safetensors",
        "results/evaluations/ridge@shuffle_responses=true/mine.json",
    )
    for name in damaged:
        path = another.folder / name
        content = bytearray(path.read_bytes())
        # The numbers, not the record of where they came from.
        if path.suffix == ".h5":
            with h5py.File(path) as handle:
                place = handle["values"].id.get_offset()
        elif path.suffix == ".safetensors":
            place = len(content) - 40
        else:
            place = content.index(b"0.", 1000)
        content[place + 2] ^= 1
        path.write_bytes(content)
    table = (another.folder / TABLE).read_bytes()
    failed = another.snakemake(*RUN, "--keep-going", "--", TABLE)
    assert failed.status != 0
    told = logs(another)
    assert "Traceback" not in told
    assert f"{damaged[0]}: is damaged" in told
    remove(another, *damaged)
    done = another.snakemake(*RUN, "--", TABLE)
    assert done.status == 0, done.text[-3000:]
    assert (another.folder / TABLE).read_bytes() == table
    # What failed jobs left out and nothing needs any more is not made again.
    expected = made_files(made)
    assert all(content == expected[name] for name, content in made_files(another).items())


def test_a_second_run_at_once_is_refused_and_the_first_ends_well(made, another):
    remove(another, *MLP)
    first = start(another)
    until(lambda: job_of(first, "train"))
    second = another.snakemake(*RUN, "--", TABLE)
    assert second.status != 0 and "locked" in second.text
    assert first.wait(timeout=300) == 0, (another.folder / "run.log").read_text()[-3000:]
    assert made_files(another) == made_files(made)


def test_a_file_removed_in_mid_run_fails_that_run_and_the_next_mends_it(made, another):
    remove(another, *MLP)
    started = start(another)
    until(lambda: (another.folder / DECODER).exists())
    remove(another, DECODER)
    status = started.wait(timeout=300)
    assert status == 0 or DECODER in (another.folder / "run.log").read_text() + logs(another)
    done = another.snakemake(*RUN, "--", TABLE, DECODER)
    assert done.status == 0, done.text[-3000:]
    assert made_files(another) == made_files(made)


def test_an_orphan_that_ends_after_its_successor_changes_nothing(made, another):
    remove(another, *MLP)
    config = another.config
    another.configure({**config, "models": {**config["models"], "mlp": {
        **config["models"]["mlp"], "noise_std": 0.9, "epochs": 40}}})  # fmt: skip
    interrupted = start(another)
    orphan = until(lambda: job_of(interrupted, "train"))
    # It has read its options and not yet written: the successor runs while it is stopped.
    until(lambda: "epoch" in logs(another) or list((another.folder / "results/.states").glob("*")))
    orphan.suspend()
    interrupted.send_signal(signal.SIGKILL)
    interrupted.wait()
    assert another.snakemake("--unlock").status == 0
    another.configure(config)
    done = another.snakemake(*RUN, "--", TABLE)
    assert done.status == 0, done.text[-3000:]
    expected = made_files(made)
    assert made_files(another) == expected
    # Its successor's log took the place of its own, which is read by the open file.
    with open(f"/proc/{orphan.pid}/fd/2", encoding="utf-8") as said:
        orphan.resume()
        psutil.wait_procs([orphan], timeout=120)
        assert not orphan.is_running()
        assert REFUSED in said.read()
    assert made_files(another) == expected
    assert another.plan(TABLE).nothing


class Cut(http.server.BaseHTTPRequestHandler):
    """Gives half of a file, then hangs up; whole once `whole` is set."""

    content, whole = b"", False

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        part = self.content if self.whole else self.content[: len(self.content) // 2]
        self.wfile.write(part)

    def log_message(self, *arguments):
        pass


def test_a_network_that_drops_mid_fetch_leaves_no_file_and_the_next_run_has_it(another):
    Cut.content, Cut.whole = (another.folder / "own/images.zip").read_bytes(), False
    packed = "resources/stimuli/mine.zip"
    before = (another.folder / packed).read_bytes()
    module = another.folder / "src/spikeline/sources/download.py"
    module.write_text(module.read_text().replace("pause: float = 5.0", "pause: float = 0.01"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = another.config
        address = f"http://127.0.0.1:{server.server_port}/images.zip"
        config["stimuli"]["mine"]["images"] = address
        another.configure(config)
        failed = another.snakemake(*RUN, "--", packed)
        assert failed.status != 0
        assert f"{address}: cannot be downloaded" in logs(another)
        assert list((another.folder / "resources/archives").rglob("*")) == []
        Cut.whole = True
        done = another.snakemake(*RUN, "--", packed)
        server.shutdown()
    assert done.status == 0, done.text[-3000:]
    names = [content.split(b"{")[0] for content in (before, (another.folder / packed).read_bytes())]
    assert names[0] == names[1]
