"""The command line: it lists its subcommands, helps, and says a user's mistake in one line."""

from __future__ import annotations

import argparse
import errno
import json
import re
import shlex
import subprocess
import sys
import types

import pytest

from spikeline.cli import main as dispatcher
from spikeline.cli._options import secret, settings_of
from spikeline.cli.main import imported, main, subcommands
from spikeline.errors import InputError
from spikeline.settings.steps import completed

KNOWN = subcommands()
# Those that load no torch can be asked in this process.
LIGHT = {
    "convert-allen", "convert-arrays", "convert-ibl", "convert-macaque-v4", "convert-spikes",
    "convert-trials", "convert-tvsd", "fetch-allen", "fetch-allen-templates", "fetch-dataset",
    "fetch-file", "fetch-ibl", "fetch-ibl-login", "import-embeddings", "pack-stimuli", "show",
    "validate", "window-responses",
}  # fmt: skip


def test_every_rules_subcommand_is_there():
    assert set(KNOWN) >= LIGHT | {
        "simulate-ventral", "train-clip", "embed", "fit", "train", "combine", "evaluate",
        "tabulate",
    }  # fmt: skip


def test_every_subcommand_has_one_line_of_help():
    for name, text in KNOWN.items():
        assert text.endswith(".") and 20 <= len(text) <= 100, name


def test_the_front_page_lists_every_subcommand(spikeline):
    done = spikeline()
    assert done.returncode == 0 and done.stderr == ""
    for name, text in KNOWN.items():
        assert any(line.split()[:1] == [name] and text in line for line in done.stdout.splitlines())


def test_the_version_is_printed(capsys):
    import spikeline

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == spikeline.__version__


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_help_is_enough_to_use_a_subcommand(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: spikeline {name}") and KNOWN[name] in text


def test_every_option_of_a_subcommand_has_a_help_text():
    for name in KNOWN:
        parser = argparse.ArgumentParser()
        imported(name).add_arguments(parser)
        for action in parser._actions:
            assert action.help, (name, action.dest)


def example_of(name: str) -> list[str]:
    """The words of the one example in a subcommand's help, as a shell would part them."""
    (example,) = re.findall(r"^Example:\n((?: {4}.*\n?)+)", imported(name).__doc__, re.M)
    return shlex.split(example.replace("\\\n", " ").partition(" > ")[0])


@pytest.mark.parametrize("name", KNOWN)
def test_the_help_of_a_subcommand_has_an_example_that_parses(name):
    program, subcommand, *words = example_of(name)
    assert (program, subcommand) == ("spikeline", name)
    parser = argparse.ArgumentParser(exit_on_error=False)
    imported(name).add_arguments(parser)
    options = vars(parser.parse_args(words))
    # Both forecaster's steps read the same settings.
    step = name.replace("validate-forecaster", "evaluate-forecaster")
    if options.get("settings", "").startswith("{"):
        completed(step, json.loads(options["settings"]))


def test_completion_knows_every_subcommand_and_its_options(capsys, tmp_path):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "spikeline.bash"
    script.write_text(capsys.readouterr().out)

    def completions(*words: str) -> list[str]:
        code = (
            f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_spikeline;'
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        asked = ["bash", "-c", code, "bash", *words]
        return subprocess.run(asked, capture_output=True, text=True).stdout.split()

    assert set(completions("spikeline", "")) >= set(KNOWN)
    assert completions("spikeline", "convert-tv") == ["convert-tvsd"]
    assert "--norm-mua" in completions("spikeline", "convert-tvsd", "--n")
    assert "--responses" not in completions("spikeline", "convert-tvsd", "--")


def test_an_unknown_subcommand_lists_the_known_ones_and_the_nearest(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["convert-tvds"])
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert "'convert-tvds'" in text and "did you mean 'convert-tvsd'" in text
    for name in KNOWN:
        assert name in text


@pytest.fixture
def failing(monkeypatch):
    """Make the subcommand `show` raise something."""

    def install(error):
        def run(options):
            raise error

        module = types.ModuleType("spikeline.cli.show")
        module.run, module.add_arguments = run, lambda parser: None
        monkeypatch.setitem(sys.modules, "spikeline.cli.show", module)

    return install


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.mat: is truncated"), "spikeline show: a.mat: is truncated\n"),
        (InputError("a.mat: is\ntruncated"), "spikeline show: a.mat: is truncated\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.h5"),
         "spikeline show: a.h5: No space left on device\n"),
        (OSError(errno.ENOSPC, "No space left on device"),
         "spikeline show: No space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.h5"),
         "spikeline show: a.h5: Permission denied\n"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a.h5"),
         "spikeline show: a.h5: Is a directory\n"),
        (MemoryError(), "spikeline show: out of memory; give the job more\n"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_exit_status_1(failing, capsys, error, line):
    failing(error)
    assert main(["show"]) == 1
    captured = capsys.readouterr()
    assert captured.err == line and captured.out == ""


def test_an_interrupted_command_says_so(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["show"]) == 130
    assert capsys.readouterr().err == "spikeline show: interrupted\n"


def test_an_error_of_the_program_keeps_its_traceback(failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["show"])


def test_a_missing_option_is_named(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["fetch-file"])
    assert caught.value.code == 2
    assert "--location" in capsys.readouterr().err


def options(text):
    return types.SimpleNamespace(settings=text)


def test_settings_are_json_or_a_file_that_holds_it(tmp_path):
    (tmp_path / "s.json").write_text('{"min_units": 5}')
    assert settings_of(options('{"min_units": 5}'), "validate") == {"min_units": 5}
    assert settings_of(options(str(tmp_path / "s.json")), "validate") == {"min_units": 5}


@pytest.mark.parametrize("text", ["{", "[1]", "5", "gone.json", '{"a": NaN}', "{'a': 1}"])
def test_settings_that_are_no_json_object_are_refused(text):
    with pytest.raises(InputError, match="--settings"):
        settings_of(options(text), "validate")


def test_a_missing_setting_is_named_in_one_line(tmp_path, capsys):
    for name in ("a.npy", "b.zip"):
        (tmp_path / name).write_bytes(b"")
    status = main(["convert-tvsd", "--norm-mua", "a", "--things-imgs", "b", "--settings", "{}",
                   "--output", str(tmp_path / "a.h5")])  # fmt: skip
    text = capsys.readouterr().err
    assert status == 1 and text.count("\n") == 1 and "regions" in text


def test_a_secret_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("THINGS_PASSWORD", "geheim")
    assert secret("THINGS_PASSWORD") == b"geheim"
    monkeypatch.setenv("THINGS_PASSWORD", "")
    assert secret("THINGS_PASSWORD") is None
    assert secret(None) is None and secret("SPIKELINE_NO_SUCH_VARIABLE") is None


def test_clients_and_the_front_page_need_neither_yaml_nor_jsonschema(environment):
    code = """
import sys
sys.modules["yaml"] = sys.modules["jsonschema"] = None  # an import of either fails
from spikeline.cli.main import main
for name in sys.argv[1:]:
    try:
        main([name])
    except SystemExit as left:
        assert left.code in (0, 2), name
"""
    clients = [
        name
        for name in KNOWN
        if name.startswith(("fetch-allen", "fetch-ibl", "write-alf", "write-nwb"))
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, "--help", *clients],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert len(clients) == 6 and done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_dispatcher_needs_no_subcommands_imports():
    loaded = set(vars(dispatcher))
    assert not loaded & {"numpy", "h5py", "torch"}
