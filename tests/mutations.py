"""Files and settings that are almost right: what hypothesis changes in valid ones."""

from __future__ import annotations

import copy
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeline.errors import InputError

# The same examples at every run; a counterexample is not remembered, since it would be met again.
FIXED = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}
# What one example may take: a small file that asks for more is a bomb.
SECONDS, MORE_BYTES = 5, 2 << 30
# Texts that end strings, headers and numbers, or mean something to a shell, YAML or a template.
TRICKY = [
    "", "\0", "\n", "../../x", "/etc/passwd", "$(touch x)", "`x`", "'; x", "{x}", "{{x}}", "%s",
    "\ud800", "µ", "é" * 300, "!!python/object/apply:os.system [x]", "nan", "1e999", "-0",
]  # fmt: skip

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(TRICKY)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TRICKY) | st.text(), inner)
    ),
    max_leaves=5,
)


class TooLong(BaseException):
    """No reader may take it for damage."""


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """The content after one to four flips, cuts, insertions, removals or repetitions."""
    place = st.integers(0, max(0, len(content) - 1))
    change = st.tuples(st.sampled_from(sorted(_CHANGES)), place, st.binary(min_size=1, max_size=8))
    return st.lists(change, min_size=1, max_size=4).map(lambda changes: _changed(content, changes))


def altered(value: Any) -> st.SearchStrategy[Any]:
    """JSON in which one to three values, found at any depth, are others, missing, or renamed."""
    steps = st.lists(st.integers(0, 1000), max_size=8)
    change = st.tuples(steps, st.sampled_from(("replace", "remove", "rename")), JSON)
    return st.lists(change, min_size=1, max_size=3).map(lambda changes: _altered(value, changes))


def fuzz(
    strategy: st.SearchStrategy[Any],
    read: Callable[[Any], Any],
    examples: int,
    record_property: Callable[[str, Any], None],
) -> None:
    """Read that many examples; each is read, or refused by one line of an InputError."""
    ran = 0
    before = resource.getrlimit(resource.RLIMIT_AS)

    @settings(max_examples=examples, **FIXED)
    @given(strategy)
    def attempt(example: Any) -> None:
        nonlocal ran
        ran += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            read(example)
        except InputError as error:
            assert str(error) and "\n" not in str(error)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def too_long(*_: Any) -> None:
        raise TooLong(f"takes more than {SECONDS} s of the processor")

    usual = signal.signal(signal.SIGVTALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MORE_BYTES, before[1]))
    try:
        attempt()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGVTALRM, usual)
    record_property("fuzz examples", ran)


def _address_space() -> int:
    """Bytes that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _flip(content: bytearray, place: int, payload: bytes) -> bytearray:
    content[place] ^= payload[0] or 1
    return content


def _overwrite(content: bytearray, place: int, payload: bytes) -> bytearray:
    content[place : place + len(payload)] = payload
    return content


_CHANGES: dict[str, Callable[[bytearray, int, bytes], bytearray]] = {
    "flip": _flip,
    "overwrite": _overwrite,
    "cut": lambda content, place, payload: content[:place],
    "insert": lambda content, place, payload: content[:place] + payload + content[place:],
    "remove": lambda content, place, payload: content[:place] + content[place + len(payload) :],
    "repeat": lambda content, place, payload: content + content[place:],
}


def _changed(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    changing = bytearray(content)
    for kind, place, payload in changes:
        if changing:
            changing = _CHANGES[kind](changing, place % len(changing), payload)
    return bytes(changing)


def _altered(value: Any, changes: list[tuple[list[int], str, Any]]) -> Any:
    whole = {"": copy.deepcopy(value)}
    for steps, kind, other in changes:
        holder, key = whole, ""
        for step in steps:
            inner = holder[key]
            if not isinstance(inner, (dict, list)) or not inner:
                break
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            holder, key = inner, keys[step % len(keys)]
        if kind == "replace" or holder is whole:
            holder[key] = copy.deepcopy(other)
        elif kind == "remove" or isinstance(holder, list):
            del holder[key]
        else:
            holder[str(other)] = holder.pop(key)
    return whole[""]
