"""A digest of the code that a module runs: itself and every `spikeline` module it imports.

Taken over the syntax tree without docstrings, so comments, layout and docstrings do not count.
Nothing is imported or run: the imports are read from the source, function-level ones included.

Left out are the modules that check settings: a job gets its settings complete, and a new rule about
which ones are allowed changes no result.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "spikeline"
CHECKS = tuple(f"{PACKAGE}.settings.{name}" for name in ("steps", "schema", "relations"))
SOURCE = Path(__file__).resolve().parents[2]


@cache
def code_digest(module: str, source: Path = SOURCE) -> str:
    """Sixteen hex digits that change when code reachable from `module` changes.

    Raises:
        ModuleNotFoundError: there is no such module; a constant digest would never change.
    """
    if _file_of(module, source) is None:
        raise ModuleNotFoundError(f"no module {module!r} below {source}")
    digest = hashlib.sha256()
    for name in reachable_modules(module, source):
        digest.update(f"{name}\n{_parsed(_file_of(name, source))[1]}\n".encode())
    return digest.hexdigest()[:16]


def module_digests(module: str, source: Path = SOURCE) -> dict[str, str]:
    """Eight hex digits for each module that `code_digest` is over, to tell which one changed."""
    names = reachable_modules(module, source)
    return {name: _parsed(_file_of(name, source))[1][:8] for name in names}


@cache
def reachable_modules(module: str, source: Path = SOURCE) -> tuple[str, ...]:
    """Sorted names of `module`, its parent packages, and all they import but `CHECKS`."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name in CHECKS or _file_of(name, source) is None:
            continue
        seen.add(name)
        waiting += _imported(name, source)
        parts = name.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
    return tuple(sorted(seen))


@cache
def _file_of(name: str, source: Path) -> Path | None:
    path = source.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parsed(path: Path) -> tuple[tuple[tuple[int, str, tuple[str, ...]], ...], str]:
    """Imports of a file as (level, module, names), and a digest of its code without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    imports = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            imports.append((node.level, node.module or "", names))
        elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tuple(imports), hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _statements(block: ast.AST) -> Iterator[ast.AST]:
    """A block and every statement in it: imports and docstrings are nowhere else."""
    yield block
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        for statement in getattr(block, part, ()):
            yield from _statements(statement)


@cache
def _imported(name: str, source: Path) -> list[str]:
    path = _file_of(name, source)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for level, base, names in _parsed(path)[0]:
        if level:
            parents = package.split(".")[: len(package.split(".")) - level + 1]
            base = ".".join([*parents, *([base] if base else [])])
        # `from package import module`: each name may itself be a module.
        found += [base, *(f"{base}.{item}" for item in names)]
    return [item for item in found if item.split(".")[0] == PACKAGE]
