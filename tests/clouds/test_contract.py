"""The form of an operation, tried on the habits of all three clouds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from penstock.clouds import members, shape
from penstock.clouds.contract import About, Credentials, Effect, Operation, Paging, Result
from penstock.clouds.members import IN_HEADER, Names, Place
from penstock.errors import InvalidField, MissingField, UnknownField, WrongFormat, WrongType

CLOUDS = Path(__file__).resolve().parents[2] / "src" / "penstock" / "clouds"


class NothingResult(Result):
    """Nothing."""


class Forbid(Operation[NothingResult], frozen=True, rename="pascal"):
    """A ban in the manner of Volcengine: one of two names, and a time with its zone."""

    about = About(action="Forbid", method="POST", effect=Effect.SETS, source="a test")

    app: Annotated[str, Meta(min_length=1, max_length=30, pattern=r"^[A-Za-z0-9_.-]+$")]
    vhost: str | None = None
    domain: str | None = None
    end_time: Annotated[datetime, Meta(tz=True)] | None = None

    def __post_init__(self) -> None:
        if (self.vhost is None) == (self.domain is None):
            raise InvalidField("Vhost and Domain", "both" if self.vhost else "neither", "exactly one of them")


class Folder(Struct, kw_only=True, rename="camel"):
    """A domain with its directories."""

    domain: Annotated[str, Meta(min_length=1)]
    dir: Annotated[list[str], Meta(max_length=2)] = []


class Slice(Struct, kw_only=True, rename="camel"):
    """One slice of a series."""

    time_stamp: str
    flow: Annotated[float, shape.as_decimals(2)]


class FlowRow(Struct, kw_only=True, rename="camel"):
    """One domain."""

    domain: str
    total_flow: Annotated[float | None, shape.as_decimals(2)] = None
    details: list[Slice]


class FlowResult(Result, rename="camel"):
    """A report in the manner of Wangsu."""

    result: list[FlowRow]


class Flow(Operation[FlowResult], frozen=True, rename="camel"):
    """A report in the manner of Wangsu: REST path, camel case, nested lists, a member in a header."""

    about = About(action="Flow", method="POST", path="/api/report/flow", effect=Effect.READS, source="a test")

    domain_dir: Annotated[list[Folder], Meta(min_length=1, max_length=20)]
    data_interval: Literal["5m", "1m"] = "5m"
    language: Annotated[str, IN_HEADER] = msgspec.field(name="Accept-Language", default="zh-CN")


def test_operation_knows_its_result() -> None:
    assert Forbid.result is NothingResult
    assert Flow.result is FlowResult


def test_make_takes_python_names_and_python_values() -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC)
    assert Forbid.make(app="live", vhost="v", end_time=end) == Forbid(app="live", vhost="v", end_time=end)
    flow = Flow.make(domain_dir=[Folder(domain="a", dir=["x"])], language="en-US")
    assert flow.domain_dir == [Folder(domain="a", dir=["x"])]
    assert Flow.make(domain_dir=[{"domain": "a", "dir": ["x"]}], language="en-US") == flow


@pytest.mark.parametrize(
    ("operation", "values", "error", "text"),
    [
        (Forbid, {}, MissingField, "app is missing; it must be text of 1 to 30 characters, matching "),
        (Forbid, {"app": "live", "App": "x"}, UnknownField, "'App' is no parameter here; it must be app"),
        (Forbid, {"app": "live", "vhots": "x"}, UnknownField, "it must be vhost"),
        (Forbid, {"app": "a b", "vhost": "v"}, InvalidField, "app is 'a b'; it must be text"),
        (Forbid, {"app": 5, "vhost": "v"}, InvalidField, "app is 5; it must be text"),
        (Forbid, {"app": "a", "vhost": object()}, InvalidField, "vhost is a object; it must be text"),
        (Forbid, {"app": "a"}, InvalidField, "Vhost and Domain is 'neither'; it must be exactly one of them"),
        (
            Forbid,
            {"app": "a", "vhost": "v", "end_time": datetime(2026, 3, 1)},
            InvalidField,
            "end_time is a datetime; it must be a date and time with its zone",
        ),
        (Flow, {"domain_dir": []}, InvalidField, "domain_dir is a list; it must be a list of 1 to 20 items, each an"),
        (Flow, {"domain_dir": [{"dir": []}]}, MissingField, r"domain_dir\[0\].domain is missing; it must be text, not"),
        (Flow, {"domain_dir": [{"domain": "a", "dir": ["b"] * 3}]}, InvalidField, r"\[0\].dir is a list; .* at most 2"),
        (
            Flow,
            {"domain_dir": [{"domain": "a", "dir": ["b", 5]}]},
            WrongType,
            r"domain_dir\[0\].dir\[1\] is 5; it must",
        ),
        (Flow, {"domain_dir": [{"domain": ""}]}, InvalidField, r"domain_dir\[0\].domain is ''; it must be text, not"),
        (Flow, {"domain_dir": [], "data_interval": "1h"}, InvalidField, "domain_dir"),
    ],
)
def test_make_refuses_with_the_field_the_value_and_the_wanted(
    operation: type[Operation[Any]], values: dict[str, Any], error: type[InvalidField], text: str
) -> None:
    with pytest.raises(error, match=text):
        operation.make(**values)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"app": 5}, WrongType),
        ({"app": []}, WrongType),
        ({"app": "a b"}, WrongFormat),
        ({"app": "a" * 31}, InvalidField),
        ({"app": "a", "end_time": "soon"}, WrongFormat),
        ({"app": "a", "end_time": "2026-03-01T12:00:00"}, WrongFormat),
        ({"app": "a", "end_time": 5}, WrongType),
    ],
)
def test_what_is_wrong_with_a_value_has_its_own_class(given: dict[str, Any], kind: type[InvalidField]) -> None:
    with pytest.raises(InvalidField) as caught:
        Forbid.make(**{"vhost": "v", **given})
    assert type(caught.value) is kind


class Moment(Struct):
    """A time in seconds."""

    second: Annotated[datetime, shape.as_time("seconds")]


class Moments(Struct, kw_only=True):
    """Times in two units, alone and in a list."""

    milli: Annotated[datetime | None, shape.as_time("milliseconds")] = None
    none: Annotated[datetime | None, shape.as_time("seconds")] = None
    inner: list[Moment] = []


def test_times_leave_in_utc_cut_to_their_unit() -> None:
    at = datetime(2026, 3, 1, 20, 0, 1, 987_654, tzinfo=timezone(timedelta(hours=8)))
    plain = shape.encode(Moments(milli=at, inner=[Moment(at)]))
    assert plain == {"milli": "2026-03-01T12:00:01.987Z", "none": None, "inner": [{"second": "2026-03-01T12:00:01Z"}]}
    assert shape.decode(plain, Moments).inner == [Moment(at.replace(microsecond=0))]


def test_wire_names_are_spoken_on_the_wire() -> None:
    with pytest.raises(InvalidField, match="dataInterval is '1h'; it must be one of '1m', '5m'"):
        members.convert({"domainDir": [{"domain": "a"}], "dataInterval": "1h"}, Flow)
    with pytest.raises(UnknownField, match="'data_interval' is no parameter here; it must be dataInterval"):
        members.check_names(Flow, ["data_interval"], Names.WIRE)


def test_member_tells_where_it_travels() -> None:
    places = {member.wire_name: member.place for member in members.members_of(Flow)}
    assert places == {"domainDir": None, "dataInterval": None, "Accept-Language": Place.HEADER}


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (int, "an integer"),
        (Annotated[int, Meta(ge=1)], "an integer of at least 1"),
        (Annotated[float, Meta(gt=0)], "a number above 0"),
        (Annotated[float, Meta(gt=0, le=5)], "a number above 0 and at most 5"),
        (Annotated[int, Meta(le=9)] | None, "an integer of at most 9"),
        (Annotated[float, Meta(ge=0, lt=1)], "a number of at least 0 and below 1"),
        (float, "a number"),
        (bool, "true or false"),
        (Annotated[str, Meta(max_length=5)], "text of at most 5 characters"),
        (Annotated[str, Meta(min_length=2)], "text of at least 2 characters"),
        (Effect, "one of 'reads', 'sets', 'creates'"),
        (Literal["a"], "'a'"),
        (dict[str, int], "an object"),
        (list[int], "a list, each an integer"),
        (bytes, "of another type"),
    ],
)
def test_a_type_is_told_in_words(hint: Any, wanted: str) -> None:
    assert members.describe(msgspec.inspect.type_info(hint)) == wanted


def test_figures_leave_as_text_and_come_back_as_numbers() -> None:
    slices = [Slice(time_stamp="2026-03-01 00:05", flow=1.5), Slice(time_stamp="2026-03-01 00:10", flow=0)]
    result = FlowResult(result=[FlowRow(domain="a", total_flow=1.5, details=slices), FlowRow(domain="b", details=[])])
    plain = shape.encode(result)
    assert plain["result"][0]["totalFlow"] == "1.50"
    assert [each["flow"] for each in plain["result"][0]["details"]] == ["1.50", "0.00"]
    assert plain["result"][1]["totalFlow"] is None
    assert shape.decode(plain, FlowResult) == result


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ({"Result": [{"DOMAIN": "a", "details": None}]}, [FlowRow(domain="a", details=[])]),
        ({"result": {"domain": "a", "details": ""}}, [FlowRow(domain="a", details=[])]),
        ({"result": None}, []),
        ({}, []),
        ({"result": [{"domain": 5, "details": []}]}, [FlowRow(domain="5", details=[])]),
        (
            {"result": [{"domain": "a", "details": [{"timeStamp": "t", "flow": ""}]}]},
            [FlowRow(domain="a", details=[Slice(time_stamp="t", flow=0)])],
        ),
        (
            {"result": [{"domain": "a", "totalFlow": "1", "details": []}]},
            [FlowRow(domain="a", total_flow=1, details=[])],
        ),
    ],
)
def test_answer_that_differs_is_read_leniently(data: Any, result: list[FlowRow]) -> None:
    assert shape.decode(data, FlowResult) == FlowResult(result=result)


@pytest.mark.parametrize("data", [5, [], "x", {"result": [5]}, {"result": [{"domain": "a", "totalFlow": "x"}]}])
def test_answer_that_is_something_else_is_refused(data: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        shape.decode(data, FlowResult)


class PageResult(Result):
    """One page."""

    rows: list[int]


class Page(Operation[PageResult], frozen=True):
    """Pages from 1, and nobody says how many."""

    about = About(action="Page", method="GET", effect=Effect.READS, source="a test")

    page: int = 1
    size: int = 2


def test_pages_without_a_total_end_with_a_short_one() -> None:
    paging = Paging(index="page", size="size", rows="rows")
    assert paging.after(Page(), PageResult(rows=[1, 2])) == Page(page=2)
    assert paging.after(Page(page=2), PageResult(rows=[3])) is None
    assert paging.after(Page(page=2), PageResult(rows=[])) is None


def test_envelope_is_no_part_of_a_result() -> None:
    result = PageResult(rows=[1]).came_in({"rows": [1], "new": 2}, "id-1")
    assert (result.request_id, result.raw["new"]) == ("id-1", 2)
    assert result == PageResult(rows=[1])
    assert msgspec.json.encode(result) == b'{"rows":[1]}'
    assert (PageResult(rows=[]).request_id, PageResult(rows=[]).raw) == ("", {})


def test_secrets_are_never_shown() -> None:
    credentials = Credentials("AK", "the secret", "the token")
    for shown in (
        repr(credentials),
        str(credentials),
        f"{credentials}",
        repr([credentials]),
        repr([*credentials.__rich_repr__()]),
    ):
        assert "AK" in shown
        assert "the" not in shown


@pytest.mark.parametrize(("effect", "is_repeatable"), [("reads", True), ("sets", True), ("creates", False)])
def test_only_what_creates_may_not_be_said_again(effect: str, is_repeatable: bool) -> None:
    assert Effect(effect).is_repeatable is is_repeatable


def test_clouds_are_pure() -> None:
    for path in CLOUDS.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for name in ("asyncio", "socket", "ssl", "time", "httpx2", "logging", "os"):
            assert f"import {name}\n" not in source, path
            assert f"from {name} " not in source, path
        assert ".now(" not in source, path
