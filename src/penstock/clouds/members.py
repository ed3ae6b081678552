"""The members of a Struct that travels: what each is called, where it goes, what it may hold.

One reading of the types serves three: the check of an operation's limits, in words that name the
member, the value and what is wanted; the wire, which places and renames; and the generated docs.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, inspect

from penstock.errors import InvalidField, MissingField, UnknownField, WrongFormat, WrongType

S = TypeVar("S", bound=Struct)


class Place(Enum):
    """Where a request's member travels, if not where its method says."""

    QUERY = "query"
    BODY = "body"
    PATH = "path"
    HEADER = "header"


class Names(Enum):
    """In which names a mapping holds members, and an error speaks of them."""

    PYTHON = "name"
    WIRE = "wire_name"


# Marks for the types of members: Annotated[int, Meta(ge=1), ZERO_IS_ABSENT]
ZERO_IS_ABSENT: Final = Meta(extra={"zero is absent": True})
IN_QUERY: Final = Meta(extra={"place": Place.QUERY})
IN_PATH: Final = Meta(extra={"place": Place.PATH})
IN_HEADER: Final = Meta(extra={"place": Place.HEADER})
ANY_CASE: Final = Meta(extra={"any case": True})  # a word that is read in upper and lower case


def spelled_too(wire_name: str) -> Meta:
    """Mark a request's member that is read under a second spelling as well; it is sent under its own."""
    return Meta(extra={"spelled too": wire_name})


class Member(Struct, frozen=True, kw_only=True):
    """One member of an operation or a result."""

    name: str
    wire_name: str
    type: Any
    is_required: bool
    default: Any
    wanted: str  # what it may hold, to follow "must be"
    place: Place | None  # None: where the operation's method says
    zero_is_absent: bool
    spelled_too: str  # a second name that it is read under; empty: there is none
    any_case: bool


@cache
def members_of(struct: type[Struct]) -> tuple[Member, ...]:
    """Return the members of a Struct type, in their order."""
    return tuple(map(_member, msgspec.structs.fields(struct)))


def _member(field: msgspec.structs.FieldInfo) -> Member:
    found = extras(field.type)
    return Member(
        name=field.name,
        wire_name=field.encode_name,
        type=field.type,
        is_required=field.required,
        default=None if field.default is msgspec.NODEFAULT else field.default,
        wanted=describe(inspect.type_info(field.type)),
        place=found.get("place"),
        zero_is_absent=found.get("zero is absent", False),
        spelled_too=found.get("spelled too", ""),
        any_case=found.get("any case", False),
    )


def extras(hint: Any) -> dict[str, Any]:
    """Return the marks on a type, those inside of `X | None` too."""
    found: dict[str, Any] = {}
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        for meta in args[1:]:
            found |= getattr(meta, "extra", None) or {}
        found = extras(args[0]) | found
    elif origin in (Union, types.UnionType):
        for arg in args:
            found |= extras(arg)
    return found


def check_names(struct: type[Struct], given: Iterable[str], names: Names = Names.PYTHON) -> None:
    """Refuse names that `struct` does not have.

    Raises:
        UnknownField: names the first of them, and the nearest name that there is.
    """
    known = _names(struct, names)
    for name in given:
        if name not in known:
            lowered = {each.lower(): each for each in known}
            near = lowered.get(name.lower()) or next(iter(get_close_matches(name, known, 1)), "")
            raise UnknownField(name, near or (f"one of {', '.join(known)}" if known else "left out"))


@cache
def _names(struct: type[Struct], names: Names) -> tuple[str, ...]:
    return tuple(getattr(member, names.value) for member in members_of(struct))


def convert(values: Mapping[str, Any], struct: type[S], *, names: Names = Names.WIRE, is_text: bool = False) -> S:
    """Make a Struct of a mapping, with every limit checked; `is_text` reads numbers out of text.

    Raises:
        InvalidField: a member is missing or over its limits.
    """
    try:
        wire = values if names is Names.WIRE else _to_wire(values, struct)
        return msgspec.convert(wire, struct, strict=not is_text)
    except (msgspec.ValidationError, TypeError, RecursionError) as error:
        raise _explained(values, struct, names, is_text) from error


def _to_wire(values: Mapping[str, Any], struct: type[Struct]) -> dict[str, Any]:
    return {
        member.wire_name: msgspec.to_builtins(values[member.name])
        for member in members_of(struct)
        if member.name in values
    }


def _explained(values: Mapping[str, Any], struct: type[Struct], names: Names, is_text: bool) -> InvalidField:
    """Find the member that a conversion stumbled over, one at a time."""
    for member in members_of(struct):
        name = getattr(member, names.value)
        if name not in values:
            if member.is_required:
                return MissingField(name, member.wanted)
            continue
        try:
            msgspec.convert(msgspec.to_builtins(values[name]), member.type, strict=not is_text)
        except msgspec.ValidationError as error:
            return _named(name, values[name], member, str(error))
        except (TypeError, RecursionError):
            return WrongType(name, values[name], member.wanted)
    raise AssertionError(f"{struct.__name__}: no member is wrong alone; rules between members raise InvalidField")


def _named(name: str, value: Any, member: Member, message: str) -> InvalidField:
    """Say what is wrong, and where: msgspec tells the place inside of a list or object behind `$`."""
    said, _, path = message.partition(" - at `$")
    path = path.removesuffix("`")
    if missing := _MISSING.fullmatch(said):
        path = f"{path}.{missing[1]}"
    if not path:
        return _kind(said)(name, value, member.wanted)
    inner, node = _inside(msgspec.to_builtins(value), inspect.type_info(member.type), path)
    if missing:
        return MissingField(f"{name}{path}", describe(node))
    return _kind(said)(f"{name}{path}", inner, describe(node))


def _kind(said: str) -> type[InvalidField]:
    return next((kind for words, kind in _KINDS.items() if words in said), InvalidField)


_MISSING: Final = re.compile("Object missing required field `(.+)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def _inside(value: Any, node: inspect.Type, path: str) -> tuple[Any, inspect.Type]:
    """Follow a path like `[0].Category` into a value and its type."""
    for name, index in _STEP.findall(path):
        node = _bare(node)
        if isinstance(node, inspect.StructType):
            node = next(field.type for field in node.fields if field.encode_name == name)
            value = value.get(name)
        elif isinstance(node, inspect.ListType | inspect.VarTupleType):
            node, value = node.item_type, value[int(index)]
    return value, node


def _bare(node: inspect.Type) -> inspect.Type:
    """A type without its marks, and without None beside it."""
    if isinstance(node, inspect.Metadata):
        return _bare(node.type)
    if isinstance(node, inspect.UnionType):
        return next((_bare(each) for each in node.types if not isinstance(each, inspect.NoneType)), node)
    return node


# What msgspec says of a value that is not even of the right kind.
_KINDS: Final = {
    ", got `": WrongType,
    " matching regex ": WrongFormat,
    "RFC3339": WrongFormat,
    "with a timezone": WrongFormat,
}


def describe(node: inspect.Type) -> str:
    """Say what a type lets in: "an integer from 1 to 5000", "one of 'rtmp', 'hls'"."""
    if isinstance(node, inspect.Metadata):
        return describe(node.type)
    if isinstance(node, inspect.UnionType):
        return " or ".join(describe(each) for each in node.types if not isinstance(each, inspect.NoneType))
    if isinstance(node, inspect.LiteralType):
        return _one_of(node.values)
    if isinstance(node, inspect.EnumType):
        return _one_of(each.value for each in node.cls)
    if isinstance(node, inspect.ListType | inspect.VarTupleType | inspect.SetType):
        return f"a list{_lengths(node, 'items')}, each {describe(node.item_type)}"
    make = _WORDS.get(type(node))
    return make(node) if make else "of another type"


def _one_of(values: Iterable[object]) -> str:
    shown = [repr(value) for value in values]
    return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"


def _lengths(node: Any, unit: str) -> str:
    low, high = node.min_length, node.max_length
    if high is not None:
        return f" of {low} to {high} {unit}" if low else f" of at most {high} {unit}"
    if low:
        return f" of at least {low} {unit}" if low > 1 else ", not empty"
    return ""


def _bounds(node: Any) -> str:
    low, high = node.ge, node.le
    if node.gt is not None:
        return f" above {node.gt}" + (f" and at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}" + (f" and below {node.lt}" if node.lt is not None else "")
    return f" of at most {high}" if high is not None else ""


def _text(node: Any) -> str:
    pattern = f", matching {node.pattern}" if node.pattern else ""
    return f"text{_lengths(node, 'characters')}{pattern}"


_WORDS: Final[Mapping[type[inspect.Type], Callable[[Any], str]]] = {
    inspect.StrType: _text,
    inspect.IntType: lambda node: f"an integer{_bounds(node)}",
    inspect.FloatType: lambda node: f"a number{_bounds(node)}",
    inspect.BoolType: lambda _: "true or false",
    inspect.DateTimeType: lambda node: f"a date and time{' with its zone' if node.tz else ''}",
    inspect.DateType: lambda _: "a date",
    inspect.StructType: lambda node: f"an object with {', '.join(field.encode_name for field in node.fields)}",
    inspect.DictType: lambda _: "an object",
}
