"""A `{model}` is a config entry's name, alone or with overrides: `mlp@noise_std=0.2@regions=V4+IT`.

Overrides are checked like the entry itself. A name has one canonical form: keys sorted, values
written one way, nothing that repeats the entry's own value, so one model has one path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import Any

from spikeline.errors import InputError
from spikeline.settings.schema import unknown, validated_entry, with_section_defaults

ENTRY_NAME = r"[A-Za-z][A-Za-z0-9_-]*"


def parse_name(name: str) -> tuple[str, dict[str, str]]:
    """Split `entry@key=value@key=value` into the entry and its overrides, still as text."""
    if "," in name:
        # Remote jobs get their wildcards in a list that Snakemake splits at commas.
        raise InputError(f"model {name!r}: a name has no comma; join a list's items with '+'")
    entry, *parts = name.split("@")
    overrides: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise InputError(f"model {name!r}: {part!r} is no override; write key=value")
        if key in overrides:
            raise InputError(f"model {name!r}: {key!r} is overridden twice; keep one")
        overrides[key] = value
    return entry, overrides


def format_value(value: Any) -> str:
    """The text of a value in a name: lists joined by '+' ('none' if empty), shortest floats."""
    if isinstance(value, (list, tuple)):
        if not value:
            return "none"
        return "+".join(map(format_value, value))
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, float):
        text = f"{value:g}" if float(f"{value:g}") == value else repr(value)
        return text.replace("e+", "e")  # '+' joins the items of a list
    return str(value)


def parse_value(text: str, schema: Mapping[str, Any], where: str) -> Any:
    """Read an override's text as the type that the schema of its key asks for."""
    types = schema.get("type", "string")
    types = [types] if isinstance(types, str) else list(types)
    if "null" in types and text == "none":
        return None
    if "array" in types:
        if text == "none" and not schema.get("minItems"):
            return []
        return [parse_value(item, schema.get("items", {}), where) for item in text.split("+")]
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    for type_name, read in (("integer", int), ("number", float)):
        if type_name in types:
            try:
                value = read(text)
            except ValueError:
                continue
            if math.isfinite(value):
                return value
    if "string" in types:
        return text
    raise InputError(f"{where}: {text!r} is not of type {' or '.join(types)}")


class Models:
    """The `models` section of a validated config, asked by name.

    Args:
        config: the validated config (entries filled with defaults).
        kinds: the schema of each model kind (`x-kinds` of the section).
    """

    def __init__(self, config: Mapping[str, Any], kinds: Mapping[str, Any]):
        self.entries: Mapping[str, Any] = config.get("models", {})
        self.defaults: Mapping[str, Any] = config.get("defaults", {}).get("models", {})
        self.kinds = kinds
        self._resolved: dict[str, tuple[str, dict[str, Any]]] = {}

    def settings(self, name: str) -> dict[str, Any]:
        """The resolved settings of a model, overrides applied and checked."""
        return self._resolve(name)[1]

    def canonical(self, name: str) -> str:
        """The one way to write `name`."""
        return self._resolve(name)[0]

    def checked(self, name: str) -> dict[str, Any]:
        """Settings of a name that must already be canonical, as a path must be."""
        canonical, settings = self._resolve(name)
        if canonical != name:
            raise InputError(f"model {name!r}: write it as {canonical!r}")
        return settings

    def with_overrides(self, name: str, overrides: Mapping[str, Any]) -> str:
        """The canonical name of `name` with further overrides (typed or text values)."""
        entry, own = parse_name(name)
        merged = {**own, **{key: _as_text(value) for key, value in overrides.items()}}
        return self.canonical(entry + "".join(f"@{key}={text}" for key, text in merged.items()))

    def trained_name(self, name: str) -> str:
        """`name` without the overrides that only evaluation reads: the path of the decoder."""
        properties = self._properties(parse_name(name)[0])
        only_tested = {k for k, v in properties.items() if v.get("x-stage") == "evaluation"}
        if self._pretrained_on_repetitions(self.settings(name)):
            only_tested.remove("reserved_repetitions")
        return self.without_overrides(name, only_tested)

    def pretrained_name(self, name: str, read: Collection[str]) -> str:
        """`name` reduced to the overrides that pretraining reads: the path of the encoder.

        Args:
            read: the settings of pretraining.
        """
        settings = self.settings(name)
        unread = settings.keys() - set(read)
        if not self._pretrained_on_repetitions(settings):
            unread.add("reserved_repetitions")
        return self.without_overrides(name, unread)

    def without_overrides(self, name: str, keys: Collection[str]) -> str:
        """The canonical name of `name` without its overrides of these settings."""
        entry, overrides = parse_name(name)
        kept = {key: text for key, text in overrides.items() if key not in keys}
        return self.with_overrides(entry, kept)

    @staticmethod
    def _pretrained_on_repetitions(settings: Mapping[str, Any]) -> bool:
        return settings.get("pretraining_data") == "test_phase"

    def training_settings(self, name: str) -> dict[str, Any]:
        """The settings that training reads: not those of evaluation, nor those that name inputs."""
        return self._of_stage(name, None)

    def evaluation_settings(self, name: str) -> dict[str, Any]:
        """The settings that only evaluation reads."""
        return self._of_stage(name, "evaluation")

    def _of_stage(self, name: str, stage: str | None) -> dict[str, Any]:
        properties = self._properties(parse_name(name)[0])
        return {
            key: value
            for key, value in self.settings(name).items()
            if properties.get(key, {}).get("x-stage") == stage
        }

    def members(self, name: str) -> list[str]:
        """The canonical names that an ensemble combines; overrides reach each that knows them."""
        return self._members(self.settings(name), parse_name(name)[1])

    def grid(self, ablation: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """(canonical name, varied settings) of each condition that an ablation spans."""
        vary = ablation.get("vary", {})
        bases = ablation.get("models") or [ablation["base"]]
        conditions = []
        for base in bases:
            for values in product(*vary.values()):
                varied = dict(zip(vary, values, strict=True))
                conditions.append((self.with_overrides(base, varied), varied))
        return conditions

    def _properties(self, entry: str) -> dict[str, Any]:
        if entry not in self.entries:
            raise unknown("model", entry, self.entries)
        return self.kinds[self.entries[entry]["kind"]]["properties"]

    def _members(self, settings: Mapping[str, Any], overrides: Mapping[str, str]) -> list[str]:
        own = self.kinds["ensemble"]["properties"]
        passed = {key: text for key, text in overrides.items() if key not in own}
        names = []
        for member in settings["of"]:
            schemas = self._accepted(parse_name(member)[0])
            known = {key: text for key, text in passed.items() if key in schemas}
            names.append(self.with_overrides(member, known))
        return names

    def _accepted(self, entry: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
        """Each setting that may be overridden, with its schema; an ensemble adds its members'."""
        accepted = {k: v for k, v in self._properties(entry).items() if k != "kind"}
        if self.entries[entry]["kind"] == "ensemble":
            if entry in above:
                raise InputError(f"config models.{entry}: the ensemble contains itself")
            for member in self.entries[entry]["of"]:
                of_member = self._accepted(parse_name(member)[0], (*above, entry))
                accepted = {**of_member, **accepted}
        return accepted

    def _resolve(self, name: str) -> tuple[str, dict[str, Any]]:
        if name not in self._resolved:
            self._resolved[name] = self._resolve_uncached(name)
        return self._resolved[name]

    def _resolve_uncached(self, name: str) -> tuple[str, dict[str, Any]]:
        entry_name, overrides = parse_name(name)
        properties = self._properties(entry_name)
        where = f"model {name!r}"
        entry = with_section_defaults(self.entries[entry_name], self.defaults, self.kinds)
        accepted = self._accepted(entry_name)
        typed = {}
        for key, text in overrides.items():
            if key not in accepted:
                raise unknown("setting", key, accepted, where)
            value = parse_value(text, accepted[key], f"{where}: {key}")
            if accepted[key].get("uniqueItems"):
                value = sorted(value, key=_place(entry.get(key, [])))
            typed[key] = value
        own = {key: value for key, value in typed.items() if key in properties}
        settings = validated_entry("models", {**entry, **own}, self.kinds, where)
        # What an ensemble hands on is written out: its members may differ in it.
        differing = {k: v for k, v in typed.items() if k not in own or v != entry.get(k)}
        canonical = entry_name + "".join(
            f"@{key}={format_value(differing[key])}" for key in sorted(differing)
        )
        if settings["kind"] == "ensemble":
            self._members(settings, overrides)
        return canonical, settings


def _place(own: list[Any]) -> Callable[[Any], tuple[int, str]]:
    """Sorts a set written as a list: in the entry's own order, then by name."""
    return lambda item: (own.index(item) if item in own else len(own), str(item))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else format_value(value)
