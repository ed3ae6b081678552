"""How a result looks on the wire where that differs from its Python type, in both directions.

Sending is exact: a number marked `AS_TEXT` leaves as text, one marked `also(...)` leaves under both
of its names. Reading is lenient, as clouds differ from their own documents: numbers are read out of
text always, and only an answer that does not fit as it is goes through `_mended`, where names match
whatever their case, and what is missing or null becomes the type's zero. `Result.raw` keeps the truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, inspect

from penstock.clouds.members import extras

S = TypeVar("S", bound=Struct)

AS_TEXT: Final = Meta(extra={"as text": "{}"})  # 614 travels as "614"


def as_decimals(places: int) -> Meta:
    """Mark a number that travels as text with so many decimals: 1.5 as "1.50"."""
    return Meta(extra={"as text": f"{{:.{places}f}}"})


def as_time(unit: str) -> Meta:
    """Mark a time that travels in UTC, cut to whole "seconds" or "milliseconds": 2026-03-01T12:00:00Z."""
    return Meta(extra={"as time": unit})


def also(wire_name: str) -> Meta:
    """Mark a member that is sent under a second name too; reading takes the first."""
    return Meta(extra={"also": wire_name})


class _Plan(Struct, frozen=True):
    """What to change in the builtins of one Struct type; empty where nothing is."""

    texts: tuple[tuple[str, str], ...] = ()  # wire name, format
    times: tuple[tuple[str, str], ...] = ()  # wire name, unit
    copies: tuple[tuple[str, str], ...] = ()  # wire name, second name
    inner: tuple[tuple[str, _Plan], ...] = ()  # wire name of a Struct or a list of them


def encode(result: Struct) -> dict[str, Any]:
    """Return a result, or any Struct of these marks, as plain dicts and lists, ready for the envelope."""
    plain: dict[str, Any] = msgspec.to_builtins(result, builtin_types=(datetime,))
    _apply(_plan(type(result)), plain)
    return plain


def _apply(plan: _Plan, plain: Any) -> None:
    if isinstance(plain, list):
        for each in plain:
            _apply(plan, each)
    elif isinstance(plain, dict):
        for name, form in plan.texts:
            if plain.get(name) is not None:
                plain[name] = form.format(plain[name])
        for name, unit in plan.times:
            if plain.get(name) is not None:
                plain[name] = format_time(plain[name], unit)
        for name, second in plan.copies:
            plain[second] = plain[name]
        for name, inner in plan.inner:
            _apply(inner, plain.get(name))


def format_time(at: datetime, unit: str) -> str:
    """Return an aware time in RFC 3339, in UTC, cut to its unit."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=unit) + "Z"


@cache
def _plan(struct: type[Struct]) -> _Plan:
    texts, times, copies, inner = [], [], [], []
    for field in msgspec.structs.fields(struct):
        found = extras(field.type)
        if "as text" in found:
            texts.append((field.encode_name, found["as text"]))
        if "as time" in found:
            times.append((field.encode_name, found["as time"]))
        if "also" in found:
            copies.append((field.encode_name, found["also"]))
        nested = _struct_inside(field.type)
        if nested is not None and _plan(nested) != _Plan():
            inner.append((field.encode_name, _plan(nested)))
    return _Plan(tuple(texts), tuple(times), tuple(copies), tuple(inner))


def _struct_inside(hint: Any) -> type[Struct] | None:
    """The Struct in `X`, `list[X]`, `X | None` or an Annotated one of them."""
    if get_origin(hint) is None:
        return hint if isinstance(hint, type) and issubclass(hint, Struct) else None
    return next((found for each in get_args(hint) if (found := _struct_inside(each)) is not None), None)


def decode(data: Any, struct: type[S]) -> S:
    """Read a result leniently.

    Raises:
        msgspec.ValidationError: it is something else altogether.
    """
    try:
        return msgspec.convert(data, struct, strict=False)
    except msgspec.ValidationError:
        mended = _mended(data, inspect.type_info(struct))
        return msgspec.convert(mended, struct, strict=False)


def _mended(value: Any, node: inspect.Type) -> Any:
    if isinstance(node, inspect.Metadata):
        return _mended(value, node.type)
    if isinstance(node, inspect.UnionType):
        others = [each for each in node.types if not isinstance(each, inspect.NoneType)]
        return _mended(value, others[0]) if value is not None and len(others) == 1 else value
    if isinstance(node, inspect.StructType):
        return _mended_object(value, node)
    if isinstance(node, inspect.ListType):
        items = value if isinstance(value, list) else [] if value in (None, "") else [value]
        return [_mended(each, node.item_type) for each in items]
    if isinstance(node, inspect.DateTimeType):
        return _mended_time(value)
    return _mended_number(value, node) if isinstance(node, inspect.IntType | inspect.FloatType) else _text(value, node)


def _mended_object(value: Any, node: inspect.StructType) -> Any:
    if value is not None and not isinstance(value, Mapping):
        return value
    lowered = {str(name).lower(): each for name, each in (value or {}).items()}
    found = {}
    for field in node.fields:
        # The exact name wins over one that differs by case.
        there = (
            value[field.encode_name] if value and field.encode_name in value else lowered.get(field.encode_name.lower())
        )
        if there is not None or field.required:
            found[field.encode_name] = _mended(there, field.type)
    return found


def _mended_number(value: Any, node: inspect.IntType | inspect.FloatType) -> Any:
    if value is None or value == "":
        return 0
    if isinstance(node, inspect.IntType) and isinstance(value, str | float):
        try:
            return round(float(value))
        except (ValueError, OverflowError):
            return value
    return value


def _mended_time(value: Any) -> Any:
    # Volcengine's older samples have times without a zone; its documents say that all are in UTC.
    return f"{value}Z" if isinstance(value, str) and _WITHOUT_ZONE.fullmatch(value) else value


_WITHOUT_ZONE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)


def _text(value: Any, node: inspect.Type) -> Any:
    if isinstance(node, inspect.StrType) and not isinstance(value, str):
        return "" if value is None else str(value)
    return value
