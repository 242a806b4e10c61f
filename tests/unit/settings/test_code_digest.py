"""The digest of a subcommand's code: what changes it, and what does not."""

from __future__ import annotations

import importlib
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spikeline.cli.main import subcommands

# The package has a function of the module's name in it.
digests = importlib.import_module("spikeline.settings.code_digest")

NUMBER = itertools.count()


@pytest.fixture
def digest(tmp_path):
    """Digest of `spikeline.cli.step` in a package written as {file: text}, free of caches."""

    def of(files: dict[str, str]) -> str:
        source = tmp_path / str(next(NUMBER))
        for name, text in {"__init__.py": "", "cli/__init__.py": "", **files}.items():
            path = source / "spikeline" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return digests.code_digest("spikeline.cli.step", source)

    return of


STEP = '''"""What it does."""
from spikeline import tools


def run(x):
    """Say it."""
    return tools.twice(x)  # the point
'''
TOOLS = "def twice(x):\n    return 2 * x\n"


def test_a_digest_is_sixteen_hex_digits_and_the_same_wherever_the_package_lies(digest):
    first, second = (digest({"cli/step.py": STEP, "tools.py": TOOLS}) for _ in range(2))
    assert first == second
    assert len(first) == 16 and int(first, 16) >= 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # the point", ""),
        ("  # the point", "  # another point\n    # and one more"),
        ('"""What it does."""\n', ""),
        ('    """Say it."""\n', '    """Say it\n\n    at length.\n    """\n'),
        ("\n\n\ndef", "\n\n\n\n\ndef"),
        ("tools.twice(x)", "tools.twice(\n        x,\n    )"),
        ("    ", "  "),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(digest, old, new):
    assert old in STEP
    before = digest({"cli/step.py": STEP, "tools.py": TOOLS})
    assert digest({"cli/step.py": STEP.replace(old, new), "tools.py": TOOLS}) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("tools.twice(x)", "tools.twice(x) + 1"), ("def run(x)", "def run(x, y=0)"), ("return ", "")],
)
def test_a_code_edit_counts(digest, old, new):
    before = digest({"cli/step.py": STEP, "tools.py": TOOLS})
    assert digest({"cli/step.py": STEP.replace(old, new), "tools.py": TOOLS}) != before


def test_a_string_that_is_no_docstring_counts(digest):
    texts = ["def run(x):\n    return 'a'\n", "def run(x):\n    return 'b'\n"]
    assert digest({"cli/step.py": texts[0]}) != digest({"cli/step.py": texts[1]})


@pytest.mark.parametrize(
    "statement",
    [
        "import spikeline.deep.tools",
        "import spikeline.deep.tools as t",
        "from spikeline.deep import tools",
        "from spikeline.deep import tools as t",
        "from spikeline.deep.tools import twice",
        "from spikeline.deep.tools import *",
        "from ..deep import tools",
        "from ..deep.tools import twice",
        "from .helper import twice",
        "from . import helper",
        "def run():\n    from spikeline.deep.tools import twice",
        "class A:\n    import spikeline.deep.tools",
        "try:\n    import os\nfinally:\n    import spikeline.deep.tools",
        "from spikeline import deep",
    ],
)
def test_every_form_of_import_is_followed(digest, statement):
    helper = "from ..deep.tools import twice\n"
    shared = {"cli/step.py": statement + "\n", "cli/helper.py": helper}
    # Reached through a package that imports it in its __init__ as well.
    shared["deep/__init__.py"] = "from . import tools\n" if statement.endswith("deep") else ""
    before = digest({**shared, "deep/tools.py": TOOLS, "other.py": "x = 1\n"})
    assert digest({**shared, "deep/tools.py": TOOLS.replace("2", "3"), "other.py": "x = 1\n"}) != (
        before
    )
    assert digest({**shared, "deep/tools.py": TOOLS, "other.py": "x = 2\n"}) == before


def test_a_parent_package_counts(digest):
    shared = {"cli/step.py": "import spikeline.deep.tools\n", "deep/tools.py": TOOLS}
    before = digest({**shared, "deep/__init__.py": ""})
    assert digest({**shared, "deep/__init__.py": "x = 1\n"}) != before


def test_modules_that_import_each_other_are_followed_once(digest):
    assert digest({"cli/step.py": "import spikeline.a", "a.py": "import spikeline.b",
                   "b.py": "import spikeline.a"})  # fmt: skip


def test_a_rule_about_which_settings_are_allowed_does_not_count(digest):
    step = "from spikeline.settings.relations import check\n"
    made = {"settings/__init__.py": "", "cli/step.py": step}
    before = digest({**made, "settings/relations.py": "def check(x): return 1\n"})
    assert digest({**made, "settings/relations.py": "def check(x): return 2\n"}) == before


def test_code_that_moves_to_another_module_counts(digest):
    here = {"cli/step.py": "import spikeline.a, spikeline.b", "a.py": TOOLS, "b.py": ""}
    assert digest(here) != digest({**here, "a.py": "", "b.py": TOOLS})


def test_the_digest_of_a_module_that_is_not_there_is_refused(digest):
    with pytest.raises(ModuleNotFoundError, match=r"spikeline\.cli\.step"):
        digest({"cli/other.py": ""})


# --- the real package ----------------------------------------------------------------------------

MODULES = {name: f"spikeline.cli.{name.replace('-', '_')}" for name in subcommands()}
# Each subcommand is imported in a child of one process that has paid for the large libraries.
IMPORTED = """
import importlib, json, os, sys
for library in (
    "numpy", "h5py", "torch", "torch_brain.data", "pandas", "scipy.signal", "scipy.stats",
    "matplotlib.figure", "PIL.Image", "jsonschema", "yaml", "tqdm",
):
    try:
        importlib.import_module(library)
    except ImportError:
        pass
assert not any(name.split(".")[0] == "spikeline" for name in sys.modules)
for module in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        importlib.import_module(module)
        loaded = sorted(name for name in sys.modules if name.split(".")[0] == "spikeline")
        print(json.dumps([module, loaded]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, module
"""


@pytest.fixture(scope="module")
def imported(environment) -> dict[str, set[str]]:
    """What importing each subcommand really loads of the package, as Python itself says."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *MODULES.values()],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {module: set(loaded) for module, loaded in map(json.loads, done.stdout.splitlines())}


def test_all_that_a_subcommand_loads_is_in_its_digest(imported):
    assert set(imported) == set(MODULES.values())
    for module, loaded in imported.items():
        assert loaded - set(digests.CHECKS) <= set(digests.reachable_modules(module)), module


def test_no_subcommand_depends_on_the_dispatcher():
    for name, module in MODULES.items():
        # which completes the command line itself, and is no step
        if name == "completion":
            continue
        assert "spikeline.cli.main" not in digests.reachable_modules(module)


def test_a_code_edit_of_any_module_changes_exactly_the_subcommands_that_use_it(
    imported, tmp_path, monkeypatch
):
    source = tmp_path / "src"
    shutil.copytree(
        digests.SOURCE / digests.PACKAGE,
        source / digests.PACKAGE,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    unedited = {module: digests.code_digest(module, source) for module in MODULES.values()}
    parsed = digests._parsed
    for path in sorted((source / digests.PACKAGE).rglob("*.py")):
        name = _module_name(path.relative_to(source))
        text = path.read_text(encoding="utf-8")

        def digests_after(appended: str, path: Path = path, text: str = text) -> dict[str, str]:
            path.write_text(text + appended, encoding="utf-8")
            # Only the edited file is parsed again.
            monkeypatch.setattr(
                digests,
                "_parsed",
                lambda p: parsed.__wrapped__(p) if p == path else parsed(p),
            )
            digests.code_digest.cache_clear()
            return {module: digests.code_digest(module, source) for module in MODULES.values()}

        assert digests_after("\n\n# a comment\n") == unedited, name
        after = digests_after("\n\nEDITED = 1\n")
        changed = {module for module in unedited if after[module] != unedited[module]}
        path.write_text(text, encoding="utf-8")
        counts = name not in digests.CHECKS
        loading = {module for module, loaded in imported.items() if counts and name in loaded}
        using = {m for m in MODULES.values() if name in digests.reachable_modules(m, source)}
        assert loading <= changed == using, name


def test_each_subcommand_depends_on_itself_alone_among_subcommands():
    for module in MODULES.values():
        others = set(MODULES.values()) - {module}
        assert not others & set(digests.reachable_modules(module)), module


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
