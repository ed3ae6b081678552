"""Reads settings into tables that are declared, out of TOML and of environment variables.

The declaration is all there is of a setting: its type, default and range, and as a docstring below it
the meaning. The reader, the error texts and the listing for the documentation are made from that, for
any table. Precedence: environment, then file, then default. Values are converted one by one, as an
error says the place, the dotted key, the value seen and the value wanted, and never shows a secret.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo

from penstock.errors import ConfigError

ENVIRONMENT_PREFIX = "PENSTOCK_"
UNITS = {"s": "seconds", "ms": "milliseconds", "kib": "KiB", "mib": "MiB"}

Raw = dict[str, Any]


class Form(Struct, frozen=True):
    """Marks a setting whose value has to look like something, beyond its type.

    `wanted` ends the sentence "it must be ...". `parse` is given text, or a tuple of it for a list;
    it returns the value to keep, and raises ValueError for another shape.
    """

    wanted: str
    parse: Callable[[Any], Any] = lambda value: value


class Secret:
    """Marks a setting that is never shown: not in a repr, not in an error."""


class Section(Struct, frozen=True):
    """A table of settings. Its repr hides the secrets.

    Each field is another section, a tuple of sections, or a setting. Of these a number has both limits
    (`Meta(ge=..., le=...)`), and a path or a list has a `Form`.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """What pretty-printed tracebacks show of it."""
        pairs = []
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            pairs.append((field.name, "<hidden>" if value and Secret in _parts(field.type)[1] else repr(value)))
        return pairs


AnySection = TypeVar("AnySection", bound=Section)


# --- Reading ------------------------------------------------------------------------------------


def read_toml(file: Path) -> Raw:
    """Return the tables of a file.

    Raises:
        ConfigError: it cannot be read, or is not TOML; one line says where.
    """
    try:
        data = file.read_bytes()
        # A byte order mark is not TOML, and some editors write one.
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"line {line}, column 1: Not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).removesuffix(")").rpartition(" (at ")
        last = data.rstrip().count(b"\n") + 1
        why = f"{where}: {what}" if where.startswith("line") else f"line {last}: {what}, and the file ends there"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except RecursionError:
        why = "not TOML that can be read: nested too deeply"
    except ValueError as error:  # an embedded "\0" in the path; an integer of thousands of digits
        raise ConfigError(f"{str(file)!r}: cannot be read: {error}") from None
    raise ConfigError(f"{file}: {why}")


def read(kind: type[AnySection], raw: object, source: str, environ: Mapping[str, str]) -> AnySection:
    """Return the table `raw` as a `kind`, with the environment's values on top.

    `source` says in errors where `raw` came from.

    Raises:
        ConfigError: a setting is unknown, missing or wrong; one line says which.
    """
    _refuse_unknown_variables(kind, environ)
    return _Reader(kind, source, environ).table(kind, raw, "")


class _Reader(Struct, frozen=True):
    root: type[Section]
    source: str
    environ: Mapping[str, str]

    def table(self, kind: type[AnySection], raw: object, key: str) -> AnySection:
        """Return `raw` as a `kind`. `key` is the table's dotted key, "" for the outermost."""
        if not isinstance(raw, dict):
            raise ConfigError(f"{self.source}: {key} is {shown(raw)}; it must be a table, written [{key}]")
        prefix = key and f"{key}."
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name in raw:
            if name not in fields:
                here = [prefix + known for known in fields]
                raise ConfigError(f"{self.source}: {_unknown(prefix + name, here, self.root)}")
        return kind(**{field.name: self._field(field, raw, prefix + name) for name, field in fields.items()})

    def _field(self, field: FieldInfo, raw: Raw, key: str) -> Any:
        section, variable = _section_of(field.type), _variable(key)
        if section and get_origin(field.type) is not tuple:
            return self.table(section, raw.get(field.encode_name, {}), key)
        if variable in self.environ and not section:
            return _convert(field.type, _from_text(field.type, self.environ[variable]), f"${variable}", key)
        if field.encode_name in raw:
            value = raw[field.encode_name]
            return self._tables(section, value, key) if section else _convert(field.type, value, self.source, key)
        if field.required:
            raise ConfigError(f"{self.source}: {key} is missing; it must be {wanted(field.type)}")
        return field.default

    def _tables(self, kind: type[Section], raw: object, key: str) -> tuple[Section, ...]:
        if not isinstance(raw, list):
            plain_key = re.sub(r"\[\d+\]", "", key)
            said = f"{key} is {shown(raw)}; it must be a list of tables, each written [[{plain_key}]]"
            raise ConfigError(f"{self.source}: {said}")
        return tuple(self.table(kind, table, f"{key}[{index}]") for index, table in enumerate(raw))


def _convert(kind: Any, raw: object, source: str, key: str) -> Any:
    plain, marks = _parts(kind)
    try:
        # TOML has the text of a path; the form makes the path.
        value = msgspec.convert(raw, str if Path in (plain, *get_args(plain)) else kind)
        return marks[Form].parse(value) if Form in marks else value
    except ValueError:  # msgspec's ValidationError is one, too
        seen = "<hidden>" if Secret in marks else shown(raw)
        raise ConfigError(f"{source}: {key} is {seen}; it must be {wanted(kind)}") from None


def _from_text(kind: Any, text: str) -> object:
    """Return what an environment variable's text says, as TOML would have given it; else the text."""
    plain, _ = _parts(kind)
    try:
        if get_origin(plain) is tuple and text.lstrip().startswith("["):
            (array,) = tomllib.loads(f"x = {text.strip()}").values()  # "[]\ny = 1" is more than an array
            return array
        if get_origin(plain) is tuple:
            return [entry.strip() for entry in text.split(",") if entry.strip()]
        # Lax: the text of a number counts as one. The range is checked later, with a better message.
        return msgspec.convert(text.strip(), plain, strict=False) if plain in (int, float, bool) else text
    except (ValueError, RecursionError):
        return text


# --- Errors -------------------------------------------------------------------------------------


def wanted(kind: Any) -> str:
    """Return the end of the sentence "it must be ..." for a setting's type."""
    plain, marks = _parts(kind)
    if Form in marks:
        return str(marks[Form].wanted)
    if get_origin(plain) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(plain))
    meta = marks.get(Meta, Meta())
    if plain is str:
        return f"text of {meta.min_length or 0} to {meta.max_length} characters" if meta.max_length else "text"
    if plain is bool:
        return "true or false"
    assert plain in (int, float), f"{kind} needs a Form"
    return f"{'a whole number' if plain is int else 'a number'} from {meta.ge:g} to {meta.le:.15g}"


def _refuse_unknown_variables(root: type[Section], environ: Mapping[str, str]) -> None:
    known = [variable for key, _, _ in _fields(root) if (variable := _variable(key))]
    lists = {key.partition("[")[0] for key, _, _ in _fields(root) if "[" in key}
    for name in sorted(environ):
        # Without "__" it may be somebody else's: PENSTOCK_CONFIG, an SDK's profile, a deploy script's.
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name and name not in known:
            nearest = f"${_nearest(name, known, [])}"
            file_only = [
                f" ({key}s are set in the file alone)" for key in lists if name.startswith(f"{_variable(key)}__")
            ]
            raise ConfigError(f"${_printable(name)} is not a setting; the nearest is {nearest}{''.join(file_only)}")


def _unknown(key: str, here: list[str], root: type[Section]) -> str:
    """Return the sentence about an unknown key, which names the nearest of its own table or another."""
    elsewhere = [known for known, _, _ in _fields(root) if "[" not in known]
    return f"{_printable(key)} is not a setting; the nearest is {_nearest(key, here, elsewhere)}"


def _nearest(key: str, here: list[str], elsewhere: list[str]) -> str:
    """Return the known key most like `key`; one of the same last word in another table comes first."""
    last = key.rpartition(".")[2]
    moved = [known for known in elsewhere if known.rpartition(".")[2] == last]
    # Bounded, as difflib takes quadratic time and a key may be of any length.
    return difflib.get_close_matches(key[:100], moved or [*here, *elsewhere], n=1, cutoff=0)[0]


def shown(value: object) -> str:
    """Return a value for an error text: one line of at most 100 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) > sys.maxsize:
        return "a number beyond 64 bits"  # repr() of one with thousands of digits is an error
    if isinstance(value, dict):
        return "a table"
    # Only texts, for the same reason: anything may be nested in a list.
    if isinstance(value, list) and not all(isinstance(entry, str) for entry in value):
        return "a list"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _printable(name: str) -> str:
    """Return a name as it is when it is one plain word, else quoted and cut."""
    return name if re.fullmatch(r"[A-Za-z0-9_.\[\]-]{1,100}", name, re.ASCII) else shown(name)


# --- What there is to set -----------------------------------------------------------------------


class Setting(Struct, frozen=True):
    """One setting as documentation shows it; all parts are text."""

    key: str  # dotted; a list of tables is written account[].vhost[].name
    type: str  # what it must be
    default: str  # in TOML, "" where a value is required
    variable: str  # environment variable, "" where there is none
    description: str
    unit: str  # "" where the number counts things or the value is no number


def settings_of(root: type[Section]) -> Iterator[Setting]:
    """Yield every setting, in the order of declaration. The meanings are read from the source."""
    for key, field, owner in _fields(root):
        yield Setting(
            key=key,
            type=wanted(field.type),
            default="" if field.required else _toml(field.default),
            variable=_variable(key),
            description=_docstrings(owner).get(field.name, ""),
            unit=UNITS.get(key.rpartition("_")[2], ""),
        )


def _fields(table: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo, type[Section]]]:
    """Yield the key and the field of every setting, and the section that declares it."""
    for field in msgspec.structs.fields(table):
        key = prefix + field.encode_name
        if section := _section_of(field.type):
            yield from _fields(section, f"{key}[]." if get_origin(field.type) is tuple else f"{key}.")
        else:
            yield key, field, table


def _docstrings(table: type[Section]) -> dict[str, str]:
    """Return the text below each field; only the source has it."""
    (declaration,) = ast.parse(inspect.getsource(table)).body
    assert isinstance(declaration, ast.ClassDef)
    found = {}
    for pair in pairwise(declaration.body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _toml(value: object) -> str:
    # TOML writes texts, numbers and lists of them as JSON does, and has no null.
    return msgspec.json.encode("" if value is None else value, enc_hook=str).decode()


def _variable(key: str) -> str:
    """Return the environment variable of a dotted key; "" inside a list of tables."""
    return "" if "[" in key else ENVIRONMENT_PREFIX + key.upper().replace(".", "__")


def _parts(kind: Any) -> tuple[Any, dict[type, Any]]:
    """Return an annotation's bare type, and its marks by their types."""
    plain, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    return plain, {mark if isinstance(mark, type) else type(mark): mark for mark in marks}


def _section_of(kind: Any) -> type[Section] | None:
    """Return the section that a field holds, one or many; None for a setting."""
    inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
    return inner if isinstance(inner, type) and issubclass(inner, Section) else None
