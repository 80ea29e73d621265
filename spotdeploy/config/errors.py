"""Saying what is wrong in a config: the key's path, the value, and what would be right."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from spotdeploy.config.secret import NOT_WRITTEN, is_reference
from spotdeploy.errors import ConfigError
from spotdeploy.text import nearest

_COMPLAINT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<where>[\w.\[\]-]*)`)?", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>.*)`", re.DOTALL)
_BARE: Final = re.compile(r"[\w.\[\]-]+")
_NAME_IT: Final = "put the secret into a variable or a file of yours, and name that here"
_SHOWN: Final = 100
"""Characters of a key or a value that a message shows."""
_MISSING: Final = re.compile(r"Object missing required field `(?P<key>[^`]*)`")
_TYPES: Final = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` (?P<sign>[<>]=?) (?P<bound>[\d.]+)")
_LENGTH: Final = re.compile(r"Expected `array` of length <= (?P<most>\d+)")
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_SIGNS: Final = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_AT: Final = re.compile(r"\(at line (?P<line>\d+), column (?P<column>\d+)\)")
_LONG_NUMBER: Final = re.compile(r"[0-9_]{640,}")
"""The shortest that Python can be told to refuse has 640 digits."""
_WRITE: Final = 'write text as name = "value" and a list as names = ["a", "b"]'
_TWICE: Final = re.compile(
    r"Cannot (?:overwrite a value|declare .* twice|mutate immutable namespace)"
)
_ZONE: Final = re.compile(r"(?P<region>.+?)-?[a-z]")
"""A region and the letter of a zone, as AWS and GCP name zones."""
_NAME: Final = re.compile(r"\^\[a-z\]\(\[a-z0-9-\]\{0,(?P<inner>\d+)\}\[a-z0-9\]\)\?\$")
_NAME_RULE: Final = "should be lower case letters, digits and -, beginning with a letter"


def explain(
    error: msgspec.ValidationError, data: object, into: type[msgspec.Struct], file: str, prefix: str
) -> ConfigError:
    """msgspec's complaint about `data` as our error. `prefix` is the path of `data` in the file."""
    complaint = _COMPLAINT.fullmatch(str(error))
    what, where = complaint.group("what", "where") if complaint else (str(error), "")
    where = where or ""
    path = (prefix + where).strip(".")
    if unknown := _UNKNOWN.fullmatch(what):
        top = _keys(into, "") if path else []
        return _unknown(file, path, unknown["key"], _keys(into, where), top)
    if missing := _MISSING.match(what):
        return ConfigError(
            f"{file}: {_join(path, missing['key'])}: missing, and it has no default",
            hint=f"write {missing['key']} = ... there",
        )
    value = _at(data, where)
    if where.endswith("[...]") and isinstance(value, dict):  # msgspec names no key of a free table
        return _entry(file, path.removesuffix("[...]"), value, what)
    if what.startswith("Expected `str` matching regex"):
        return _shape(file, path, value, _text_at(into, where))
    like = _like(into, where)
    if what.startswith("Invalid enum value"):
        choices = ", ".join(map(str, _choices(into, where)))
        return ConfigError(
            f"{file}: {path}: {_shown(value)} is not a choice", hint=like or f"one of: {choices}"
        )
    hint = _NAME_IT if what.startswith(NOT_WRITTEN) else like
    return ConfigError(f"{file}: {path}: {_plain(what)}{_but(value, what)}", hint=hint)


def explain_toml(error: ValueError, path: Path, text: str) -> ConfigError:
    """A parser's complaint about a file, with the line that it is about and where in it."""
    found = _AT.search(str(error))
    if isinstance(error, UnicodeDecodeError):
        return ConfigError(
            f"{path}: not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}",
            hint="save it as UTF-8",
        )
    if found is None:
        return _nowhere(error, path, text)
    what = str(error)[: found.start()].strip()
    twice = _TWICE.match(what)
    hint = "it is there already: leave one of them out" if twice else _WRITE
    line = text.split("\n")[int(found["line"]) - 1]
    shown, at = _pointed(line, 0 if twice else int(found["column"]) - 1)
    margin = f"{found['line']:>4} | "
    return ConfigError(
        f"{path}: not valid TOML in line {found['line']}: {what}\n"
        f"{margin}{shown}\n{' ' * (len(margin) + at)}^",
        hint=hint,
    )


def _nowhere(error: ValueError, path: Path, text: str) -> ConfigError:
    """What a parser, or Python itself, says of no line."""
    if isinstance(error, tomllib.TOMLDecodeError):  # at the end
        return ConfigError(f"{path}: not valid TOML: {error}", hint=_WRITE)
    number = _LONG_NUMBER.search(text)
    where = f", in line {text.count(chr(10), 0, number.start()) + 1}" if number else ""
    most = sys.get_int_max_str_digits()
    return ConfigError(
        f"{path}: not valid TOML: a number of more than {most} digits{where}",
        hint="write it as text, in quotes",
    )


def _pointed(line: str, at: int) -> tuple[str, int]:
    """A line as it may be shown, without its value, which may be secret; and where in it a place of
    the whole line is."""
    line = "".join(char if char.isprintable() else "?" for char in line.expandtabs(1))
    key, equals, value = line.partition("=")
    shown = f"{key[:_SHOWN]}{equals}{' ...' if equals and value.strip() else ''}"
    end = len(shown.rstrip(".")) if shown.endswith("...") else len(shown)
    return shown, min(at, end)


def _entry(file: str, path: str, table: dict[str, object], what: str) -> ConfigError:
    """The first entry of a table of texts that is none, or of a table of references."""
    fits = str if what.startswith("Expected `str`") else dict
    found = (key for key, value in table.items() if not isinstance(value, fits))
    if what.startswith(NOT_WRITTEN):
        found = (key for key, value in table.items() if not is_reference(str(value)))
    where = f"{file}: {_join(path, quoted(next(found)))}"
    if what.startswith(NOT_WRITTEN):
        return ConfigError(f"{where}: {what}", hint=_NAME_IT)
    hint = "write it in quotes" if what.startswith("Expected `str`") else None
    return ConfigError(f"{where}: {_plain(what)}", hint=hint)


def _shape(file: str, path: str, value: object, text: _Text) -> ConfigError:
    """Text that does not have the form it should, with one that has, or one like it."""
    if text.example is None:
        rule = _name_rule(text.pattern) or f"should match {text.pattern}"
        return ConfigError(f"{file}: {path}: {rule}{_but(value, rule)}")
    zone = _ZONE.fullmatch(str(value))
    region = zone["region"] if zone and re.search(text.pattern, zone["region"]) else None
    return ConfigError(
        f'{file}: {path}: should be like "{text.example}"{_but(value, "")}',
        hint=f"did you mean {region}?" if region else None,
    )


def _name_rule(pattern: str) -> str | None:
    longest = _NAME.fullmatch(pattern)
    if longest is None:
        return None
    return f"{_NAME_RULE}, at most {int(longest['inner']) + 2} characters"


def _unknown(file: str, path: str, key: str, known: list[str], top: list[str]) -> ConfigError:
    """`top` are the keys that stand above all tables, where `path` is that of a table."""
    near = nearest(key, known)
    hint = f"did you mean {_join(path, near)}?" if near else f"known: {', '.join(known)}"
    if key in top:
        hint = f"{key} belongs to no table: write it above the first line in brackets"
    return ConfigError(f"{file}: {_join(path, quoted(key))}: unknown key", hint=hint)


def _plain(what: str) -> str:
    """Say "Expected `int`, got `str`" the way people say it."""
    if match := _TYPES.match(what):
        expected, got = (
            " or ".join(_WORDS.get(word, word) for word in side.split(" | "))
            for side in match.groups()
        )
        return f"should be {expected.removesuffix(' or nothing')}, not {got}"
    if match := _BOUND.match(what):
        return f"should be {_SIGNS[match['sign']]} {match['bound'].removesuffix('.0')}"
    if match := _LENGTH.match(what):
        return f"should have {match['most']} entries at most"
    return what[0].lower() + what[1:] if what.startswith("Expected") else what


def _but(value: object, what: str) -> str:
    if value is None or isinstance(value, dict | list) or repr(value) in what:
        return ""
    if what.startswith(NOT_WRITTEN):
        return ""
    return f" (it is {_shown(value)})"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def quoted(key: str) -> str:
    """The key as a file would have it: quoted where it is not bare, so that it is one line."""
    key = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}..."
    return key if _BARE.fullmatch(key) and key.isprintable() else json.dumps(key)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _steps(where: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", where)


def _at(data: object, where: str) -> object:
    for step in _steps(where):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and step.isdigit():
            data = data[int(step)]
        else:
            return None
    return data


def _keys(into: type[msgspec.Struct], where: str) -> list[str]:
    """The keys of the table at that path."""
    kind = _table_of(_type_at(into, where))
    if isinstance(kind, msgspec.inspect.StructType):
        return [field.encode_name for field in kind.fields]
    return []


def _choices(into: type[msgspec.Struct], where: str) -> list[object]:
    """The values that may stand at that path."""
    kind = _type_at(into, where)
    if isinstance(kind, msgspec.inspect.EnumType):
        return [member.value for member in kind.cls]
    return list(kind.values) if isinstance(kind, msgspec.inspect.LiteralType) else []


def _like(into: type[msgspec.Struct], where: str) -> str | None:
    """Examples of what may be written at that path, where it takes more than one kind of value."""
    kind = _type_at(into, where)
    examples = getattr(kind, "extra_json_schema", None) or {}
    if not isinstance(getattr(kind, "type", None), msgspec.inspect.UnionType):
        return None
    return f"such as {' or '.join(map(json.dumps, examples.get('examples', ())))}"


def _type_at(into: type[msgspec.Struct], where: str) -> msgspec.inspect.Type | None:
    kind: msgspec.inspect.Type | None = msgspec.inspect.type_info(into)
    for step in _steps(where):
        kind = _step(kind, step)
    return kind


@dataclass(frozen=True, slots=True)
class _Text:
    """The form of a text."""

    pattern: str
    example: str | None


def _text_at(into: type[msgspec.Struct], where: str) -> _Text:
    """The form of the text at that path."""
    kind, example = _type_at(into, where), None
    if isinstance(kind, msgspec.inspect.Metadata):
        example = (kind.extra_json_schema or {}).get("examples", [None])[0]
        kind = kind.type
    pattern = getattr(kind, "pattern", None)
    return _Text(pattern or "", example)


def _step(kind: msgspec.inspect.Type | None, step: str) -> msgspec.inspect.Type | None:
    kind = _table_of(kind)
    if isinstance(kind, msgspec.inspect.StructType):
        found = [field.type for field in kind.fields if field.encode_name == step]
        return _not_none(found[0]) if found else None
    if isinstance(kind, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
        return kind.item_type
    return kind.value_type if isinstance(kind, msgspec.inspect.DictType) else None


def _table_of(kind: msgspec.inspect.Type | None) -> msgspec.inspect.Type | None:
    """What has something below it, where something else may stand in its place."""
    if isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind
    return next((one for one in kind.types if isinstance(one, msgspec.inspect.StructType)), None)


def _not_none(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind
    return next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
