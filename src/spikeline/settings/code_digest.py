"""A digest of the code that a module runs: itself and every `spikeline` module it imports.

Taken over the syntax tree without docstrings, so comments, layout and docstrings do not count.
Nothing is imported or run: the imports are read from the source, function-level ones included.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "spikeline"
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
        digest.update(f"{name}\n{_normalised(_file_of(name, source))}\n".encode())
    return digest.hexdigest()[:16]


@cache
def reachable_modules(module: str, source: Path = SOURCE) -> tuple[str, ...]:
    """Sorted names of `module`, its parent packages, and all they import from the package."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or _file_of(name, source) is None:
            continue
        seen.add(name)
        waiting += _imported(name, source)
        parts = name.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
    return tuple(sorted(seen))


def _file_of(name: str, source: Path) -> Path | None:
    path = source.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imported(name: str, source: Path) -> list[str]:
    path = _file_of(name, source)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            found.append(base)
            # `from package import module`: each name may itself be a module.
            found += [f"{base}.{alias.name}" for alias in node.names]
    return [item for item in found if item.split(".")[0] == PACKAGE]


@cache
def _normalised(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))
