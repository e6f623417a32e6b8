"""Holds a document against the schema, key by key.

msgspec's own `convert()` of a whole document stops at the first mistake; a person who has made five wants to
hear of five. So the tables are walked here, and msgspec is asked about one value at a time.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, NoReturn, get_args, get_origin

import msgspec

from loopwright.policies._settings import read as read_policy
from loopwright.supervision._spec import NAME, RestartRule
from loopwright.supervision.config._document import COMMAND, RULES, Document, Policy, RestartTable, ServiceTable
from loopwright.supervision.config._keys import meant
from loopwright.supervision.config._mistakes import Findings, Unfit, Where, dotted, found, show

__all__ = ["walk"]

A_SERVICE = f"a table [services.NAME] with at least a command, {COMMAND}"


class _WrongError(Exception):
    """The way out of reading one value: it is wrong, and has been noted."""


def walk(document: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """The document's values, converted; the wrong ones are left out and noted in `findings`."""
    return _table(document, Document, (), findings)


def _table(
    raw: dict[str, Any],
    schema: type[msgspec.Struct],
    where: Where,
    findings: Findings,
    outer: type[msgspec.Struct] | None = None,
) -> dict[str, Any]:
    fields = _fields(schema)
    values: dict[str, Any] = {}
    misspelt: set[str | None] = set()
    for key, value in raw.items():
        if key not in fields:
            misspelt.add(meant(key, schema, outer))
            findings.add((*where, key), "an unknown key", _instead(key, value, raw, schema, outer))
            continue
        try:
            values[key] = _value(value, _declared(fields[key].type), (*where, key), findings)
        except _WrongError:
            continue
    for key, field in fields.items():
        if field.required and key not in raw and key not in misspelt:
            findings.add((*where, key), "nothing", A_SERVICE if schema is Document else COMMAND)
    return values


def _value(raw: Any, declared: Any, where: Where, findings: Findings) -> Any:
    """One value, converted. `_WrongError` if it cannot be."""
    if declared is RestartTable:
        if not isinstance(raw, dict):
            return {"rule": _rule(raw, where, findings)}
        return _table(raw, RestartTable, where, findings, outer=ServiceTable)
    if declared == Policy:
        return _policy(raw, where, findings)
    if get_origin(declared) is dict:
        return _services(_dict(raw, A_SERVICE, where, findings), where, findings)
    if get_origin(declared) is Annotated:
        free = "each" in (_meta(declared).extra or {})
        return _free_table(raw, declared, where, findings) if free else _leaf(raw, declared, where, findings)
    return _table(_dict(raw, f"a table [{dotted(where)}]", where, findings), declared, where, findings)


def _rule(raw: Any, where: Where, findings: Findings) -> RestartRule:
    """`restart = "never"`, which is short for a table with this as its rule."""
    try:
        return msgspec.convert(raw, RestartRule)
    except msgspec.ValidationError:
        _refuse(found(raw), f"one of {RULES}, or a table [{dotted(where)}]", where, findings)


def _policy(raw: Any, where: Where, findings: Findings) -> str:
    """A policy as text, from text or from a table; what it may say is known where policies are made, not here."""
    if not isinstance(raw, str | dict):
        _refuse(found(raw), str(_meta(Policy).description), where, findings)
    settings, mistakes = read_policy(raw)
    for mistake in mistakes:
        findings.add((*where, mistake.key) if mistake.key else where, mistake.found, mistake.right)
    if mistakes:
        raise _WrongError
    return str(settings)


def _services(raw: dict[str, Any], where: Where, findings: Findings) -> dict[str, Any]:
    if not raw:
        findings.add(where, "no services", A_SERVICE)
    services: dict[str, Any] = {}
    for name, table in raw.items():
        if not NAME.fullmatch(name):
            wanted = "a name of letters A to Z, digits, - and _ that begins with a letter or digit"
            findings.add((*where, name), f"{show(name)} as a service's name", wanted)
        if isinstance(table, dict):
            services[name] = _table(table, ServiceTable, (*where, name), findings)
        elif name in ServiceTable.__struct_fields__:
            findings.add((*where, name), found(table), f"{name} in a table of the service's own, [services.NAME]")
        else:
            findings.add((*where, name), found(table), A_SERVICE)
    return services


def _free_table(raw: Any, declared: Any, where: Where, findings: Findings) -> dict[str, str]:
    """A table with names of the person's own choosing: each one and its value is checked by itself."""
    meta = _meta(declared)
    extra = meta.extra or {}
    values: dict[str, str] = {}
    for name, value in _dict(raw, str(meta.description), where, findings).items():
        try:
            extra["name"](name)
            values[name] = msgspec.convert(extra["each"](value), str)
        except Unfit as unfit:
            findings.add((*where, name), unfit.found or found(value), unfit.right or "text in quotes")
        except msgspec.ValidationError:
            findings.add((*where, name), found(value), "text in quotes")
    return values


def _leaf(raw: Any, declared: Any, where: Where, findings: Findings) -> Any:
    meta = _meta(declared)
    read = (meta.extra or {}).get("read")
    try:
        return msgspec.convert(read(raw) if read else raw, declared)
    except Unfit as unfit:
        _refuse(unfit.found or found(raw), unfit.right or str(meta.description), where, findings)
    except msgspec.ValidationError:
        # Its own sentence says less than the schema's description, and names Python's types instead of
        # TOML's.
        _refuse(found(raw), str(meta.description), where, findings)


def _dict(raw: Any, right: str, where: Where, findings: Findings) -> dict[str, Any]:
    if not isinstance(raw, dict):
        _refuse(found(raw), right, where, findings)
    return raw


def _refuse(what: str, right: str, where: Where, findings: Findings) -> NoReturn:
    findings.add(where, what, right)
    raise _WrongError


def _instead(
    key: str,
    value: Any,
    raw: dict[str, Any],
    schema: type[msgspec.Struct],
    outer: type[msgspec.Struct] | None,
) -> str:
    """What would be right where `key` is unknown."""
    instead = meant(key, schema, outer)
    if instead == "services" and isinstance(value, dict) and all(isinstance(each, dict) for each in value.values()):
        # [service.web]: the letter is missing in one header of many
        return ", ".join(f"[{dotted((instead, name))}]" for name in value)
    if instead in raw:
        return f"to leave it out: {instead} is there already"
    if instead is not None:
        return instead
    if schema is Document and isinstance(value, dict) and not value.keys().isdisjoint(ServiceTable.__struct_fields__):
        return f"[{dotted(('services', key))}]"
    return f"one of {', '.join(sorted(schema.__struct_fields__))}"


@functools.cache  # msgspec evaluates the annotations anew at every call: with 200 services, that is most of the time
def _fields(schema: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(schema)}


def _declared(annotation: Any) -> Any:
    """The annotation without `| UnsetType`, which only says that the key may be left out."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated or msgspec.UnsetType not in parts:
        return annotation
    (declared,) = (part for part in parts if part is not msgspec.UnsetType)
    return declared


def _meta(declared: Any) -> msgspec.Meta:
    meta: msgspec.Meta = declared.__metadata__[0]
    return meta
