"""Check a config mapping against a schema, fill its defaults, and say errors in one line.

The schema is JSON Schema with one keyword of our own: ``x-kinds`` on a section maps each value
that an entry's ``kind`` may take to the closed schema of such an entry.
"""

from __future__ import annotations

import copy
import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from spikeline.errors import InputError
from spikeline.settings import relations


def _is_number(checker: Any, value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _matches_whole(
    validator: Any, pattern: str, value: Any, schema: Any
) -> Iterator[jsonschema.ValidationError]:
    # Python's $ also stands before a line end, which would come with the name into paths.
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


# JSON Schema calls 5.0 an integer and takes infinity; as a count or a time they fail later.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _matches_whole},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)
# Ten times what any config or its parts need.
MAX_VALUES, MAX_DEPTH = 1_000_000, 100
SCHEMA = Path(__file__).with_name("config.schema.yaml")


@cache
def load_schema() -> dict[str, Any]:
    """The schema of the config; anchors and merge keys let entries share properties."""
    return load_yaml(SCHEMA)


def load_yaml(path: str | Path) -> Any:
    """What a YAML file holds, read with the C parser where there is one: ten times as fast."""
    with open(path, encoding="utf-8") as handle:
        return yaml.load(handle, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def unknown(what: str, name: str, known: Iterable[str], where: str = "config") -> InputError:
    """The error for a name that is not there: lists the known ones, nearest first."""
    known = list(map(str, known))
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return InputError(f"{where}: unknown {what} {name!r}: known are {known}{hint}")


def validated(instance: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of `instance` with defaults filled.

    Raises:
        InputError: on the first violation, naming the place below `where`.
    """
    check_size(instance, where)
    filled = with_defaults(instance, schema)
    errors = _Validator(schema).iter_errors(filled)
    first = jsonschema.exceptions.best_match(errors)
    if first is not None:
        # Of alternatives, not the nearest one's complaint: that none fits is the point.
        while first.parent is not None:
            first = first.parent
        raise _one_line(first, where)
    return filled


def check_size(values: Any, where: str) -> None:
    """Raise InputError where values hold each other without end, or too many of each other.

    In YAML a few lines of anchors and aliases can stand for billions of values.
    """
    count, level = 0, [values]
    for _ in range(MAX_DEPTH):
        inner = []
        for value in level:
            if isinstance(value, Mapping):
                inner.extend(value.values())
            elif isinstance(value, (list, tuple)):
                inner.extend(value)
            if count + len(inner) > MAX_VALUES:
                raise InputError(f"{where}: holds more than {MAX_VALUES} values; shorten it")
        count, level = count + len(inner), inner
        if not level:
            return
    raise InputError(f"{where}: lists and objects lie in each other deeper than {MAX_DEPTH}")


def validated_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The whole config checked and filled: top level, each section's entries by kind, relations.

    Raises:
        InputError: on the first violation, naming the section, the entry and the key.
    """
    filled = validated(config, schema, "config")
    _check_defaults(filled, schema)
    for section, section_schema in schema["properties"].items():
        kinds = section_schema.get("x-kinds")
        if kinds is None:
            if entry_schema(section_schema) is None:
                relations.check(section, None, filled.get(section, {}), f"config {section}")
            else:
                for name, entry in filled.get(section, {}).items():
                    relations.check(section, None, entry, f"config {section}.{name}")
            continue
        for name, entry in filled.get(section, {}).items():
            entry = with_section_defaults(entry, filled.get("defaults", {}).get(section, {}), kinds)
            place = f"config {section}.{name}"
            filled[section][name] = validated_entry(section, entry, kinds, place)
    return filled


def _check_defaults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """A default that no kind of its section has would be dropped without a word."""
    for section, defaults in config.get("defaults", {}).items():
        kinds = schema["properties"][section].get("x-kinds", {})
        known = {key for kind in kinds.values() for key in kind["properties"]} - {"kind"}
        for key in defaults:
            if key not in known:
                raise unknown("key", key, sorted(known), f"config defaults.{section}")


def with_section_defaults(
    entry: Mapping[str, Any], defaults: Mapping[str, Any], kinds: Mapping[str, Any]
) -> dict[str, Any]:
    """`entry` over those of the section's defaults that its kind has."""
    kind = entry.get("kind")
    # Anything may stand there: what is no kind is said by `kind_schema`.
    properties = kinds.get(kind, {}).get("properties", {}) if isinstance(kind, str) else {}
    return {**{key: value for key, value in defaults.items() if key in properties}, **entry}


def entry_schema(section: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of the named entries of a section whose entries have no kind; else None."""
    entries = section.get("additionalProperties")
    return entries if isinstance(entries, Mapping) and "properties" in entries else None


def kind_schema(entry: Mapping[str, Any], kinds: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The closed schema of an entry, found by its `kind`."""
    if "kind" not in entry:
        raise InputError(f"{where}: the key 'kind' is missing; known kinds are {list(kinds)}")
    if not isinstance(entry["kind"], str) or entry["kind"] not in kinds:
        raise unknown("kind", entry["kind"], kinds, where)
    return kinds[entry["kind"]]


def validated_entry(
    section: str, entry: Mapping[str, Any], kinds: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """A copy of an entry with defaults filled; its keys are checked, and so is how they fit.

    Args:
        kinds: `x-kinds` of the section.

    Raises:
        InputError: on the first violation, naming the key below `where`.
    """
    filled = validated(entry, kind_schema(entry, kinds, where), where)
    relations.check(section, filled["kind"], filled, where)
    return filled


def validated_entries(
    section: str, given: Mapping[str, Mapping[str, Any]], where: str
) -> dict[str, dict[str, Any]]:
    """Entries of a section by name, each checked and filled by its kind.

    Raises:
        InputError: on the first violation, naming the entry below `where`.
    """
    kinds = load_schema()["properties"][section]["x-kinds"]
    return {
        name: validated_entry(section, entry, kinds, f"{where}.{name}")
        for name, entry in given.items()
    }


def with_defaults(instance: Any, schema: Mapping[str, Any]) -> Any:
    """A copy of `instance` with the schema's defaults filled at every depth; nothing is checked."""
    if not isinstance(instance, Mapping):
        return copy.deepcopy(instance)
    filled = {key: copy.deepcopy(value) for key, value in instance.items()}
    for key, subschema in schema.get("properties", {}).items():
        if key not in filled and "default" in subschema:
            filled[key] = copy.deepcopy(subschema["default"])
        if key in filled:
            filled[key] = with_defaults(filled[key], subschema)
    rest = schema.get("additionalProperties")
    if isinstance(rest, Mapping):
        for key in filled.keys() - schema.get("properties", {}).keys():
            filled[key] = with_defaults(filled[key], rest)
    return filled


def _one_line(error: jsonschema.ValidationError, where: str) -> InputError:
    place = ".".join(map(str, error.absolute_path))
    place = where if not place else f"{where}{' ' if where == 'config' else '.'}{place}"
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {})
        extra = next((key for key in error.instance if key not in known), None)
        if extra is not None and error.validator_value is False:
            return unknown("key", extra, known, place)
    if error.validator == "oneOf" and isinstance(error.instance, Mapping):
        choices = [" and ".join(map(repr, option.get("required", ()))) for option in (
            error.validator_value
        )]  # fmt: skip
        if all(choices):
            return InputError(f"{place}: give exactly one of the keys {', '.join(choices)}")
        return InputError(f"{place}: the keys {list(error.instance)} do not go together")
    about = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    message = " ".join(error.message.split())
    return InputError(f"{place}: {message}" + (f" ({about})" if about else ""))
