"""Reading settings into any tables that are declared; `test_config` reads Penstock's own, and damaged files."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from penstock.errors import ConfigError
from penstock.settings import Form, Raw, Secret, Section, Setting, read, read_toml, settings_of, shown, wanted

Addresses = Annotated[
    tuple[str, ...], Form("a list of addresses", lambda texts: tuple(str(ipaddress.ip_address(t)) for t in texts))
]


class Keeper(Section, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=2, max_length=4)]
    """Who keeps it."""

    nickname: str = ""


class Gate(Section, frozen=True, kw_only=True):
    """A table within the table."""

    height_ms: Annotated[int, Meta(ge=1, le=9)] = 3
    """How long it takes
    to open."""

    flow_s: Annotated[float, Meta(ge=0.5, le=2)] = 1.0
    state: Literal["open", "shut"] = "shut"
    code: Annotated[str, Secret] = "1234"
    keepers: tuple[Keeper, ...] = msgspec.field(name="keeper", default=())


class Dam(Section, frozen=True, kw_only=True):
    """The outermost table."""

    place: Annotated[Path, Form("a path", Path)] = Path("here")
    """Where it is."""

    leaks: bool = False
    addresses: Addresses = ("::1",)
    gate: Gate = Gate()


def read_dam(raw: object, **environ: str) -> Dam:
    return read(Dam, raw, "dam.toml", environ)


def error_of(raw: object, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_dam(raw, **environ)
    return str(caught.value)


def test_what_is_not_given_has_its_default() -> None:
    assert read_dam({}) == read_dam({"gate": {}}) == Dam()


def test_values_of_all_types_arrive_in_their_fields() -> None:
    keepers = [{"name": "Bo"}, {"name": "Al", "nickname": "A"}]
    gate = {"height_ms": 9, "flow_s": 2, "state": "open", "code": "x", "keeper": keepers}
    dam = read_dam({"place": "a/b", "leaks": True, "addresses": ["::0"], "gate": gate})
    assert (dam.place, dam.leaks, dam.addresses) == (Path("a/b"), True, ("::",))
    assert (dam.gate.height_ms, dam.gate.flow_s, dam.gate.state, dam.gate.code) == (9, 2.0, "open", "x")
    assert dam.gate.keepers == (Keeper(name="Bo"), Keeper(name="Al", nickname="A"))


@pytest.mark.parametrize(
    ("variable", "text", "raw"),
    [
        ("PENSTOCK_PLACE", "a/b", {"place": "a/b"}),
        ("PENSTOCK_LEAKS", "true", {"leaks": True}),
        ("PENSTOCK_ADDRESSES", "10.0.0.1, ::2", {"addresses": ["10.0.0.1", "::2"]}),
        ("PENSTOCK_ADDRESSES", ' ["::2"]', {"addresses": ["::2"]}),
        ("PENSTOCK_ADDRESSES", "", {"addresses": []}),
        ("PENSTOCK_GATE__HEIGHT_MS", " 5 ", {"gate": {"height_ms": 5}}),
        ("PENSTOCK_GATE__FLOW_S", "0.75", {"gate": {"flow_s": 0.75}}),
        ("PENSTOCK_GATE__CODE", " 5 ", {"gate": {"code": " 5 "}}),
    ],
)
def test_a_variable_says_what_toml_would(variable: str, text: str, raw: Raw) -> None:
    assert read_dam({}, **{variable: text}) == read_dam(raw)


def test_a_variable_wins_over_a_wrong_value_too() -> None:
    assert read_dam({"gate": {"height_ms": "wrong"}}, PENSTOCK_GATE__HEIGHT_MS="5").gate.height_ms == 5


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"leaks": 1}, "leaks is 1; it must be true or false"),
        ({"place": 1}, "place is 1; it must be a path"),
        ({"addresses": ["x"]}, "addresses is ['x']; it must be a list of addresses"),
        ({"gate": 1}, "gate is 1; it must be a table, written [gate]"),
        ({"gate": {"height_ms": 10}}, "gate.height_ms is 10; it must be a whole number from 1 to 9"),
        ({"gate": {"flow_s": 0.4}}, "gate.flow_s is 0.4; it must be a number from 0.5 to 2"),
        ({"gate": {"state": "ajar"}}, 'gate.state is \'ajar\'; it must be "open" or "shut"'),
        ({"gate": {"code": 1}}, "gate.code is <hidden>; it must be text"),
        ({"gate": {"keeper": {}}}, "gate.keeper is a table; it must be a list of tables, each written [[gate.keeper]]"),
        ({"gate": {"keeper": [{}]}}, "gate.keeper[0].name is missing; it must be text of 2 to 4 characters"),
        ({"gate": {"keeper": [{"name": "Bo"}, {"name": "B"}]}}, "gate.keeper[1].name is 'B'; it must be text of 2"),
        ({"leak": True}, "leak is not a setting; the nearest is leaks"),
        ({"gate": {"leaks": True}}, "gate.leaks is not a setting; the nearest is leaks"),
        ({"gate": {"keeper": [{"nick": ""}]}}, "gate.keeper[0].nick is not a setting; the nearest is gate.keeper[0]."),
    ],
)
def test_an_error_says_source_key_value_and_what_is_wanted(raw: Raw, said: str) -> None:
    assert error_of(raw).startswith(f"dam.toml: {said}")


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("PENSTOCK_GATE__HEIGHT_MS", "10", "gate.height_ms is 10; it must be a whole number from 1 to 9"),
        ("PENSTOCK_GATE__HEIGHT_MS", "1.5", "gate.height_ms is '1.5'; it must be a whole number"),
        ("PENSTOCK_ADDRESSES", "[]\ny = 1", "addresses is '[]\\ny = 1'; it must be a list of addresses"),
        ("PENSTOCK_GATE__HIGHT_MS", "1", "$PENSTOCK_GATE__HEIGHT_MS"),
    ],
)
def test_an_error_about_a_variable_names_it(variable: str, text: str, said: str) -> None:
    message = error_of({}, **{variable: text})
    assert message.startswith(f"${variable}")
    assert said in message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        ({}, "a table"),
        (["a"], "['a']"),
        ([["a"]], "a list"),
        (2**63, "a number beyond 64 bits"),
        ("x" * 200, f"'{'x' * 96}..."),
    ],
)
def test_a_value_is_shown_in_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("kind", [Path, tuple[str, ...], Path | None])
def test_a_type_without_words_needs_a_form(kind: Any) -> None:
    with pytest.raises(AssertionError, match="needs a Form"):
        wanted(kind)


def test_a_file_is_read_into_tables(tmp_path: Path) -> None:
    (tmp_path / "dam.toml").write_text("leaks = true\n[gate]\nheight_ms = 4")
    assert read_toml(tmp_path / "dam.toml") == {"leaks": True, "gate": {"height_ms": 4}}


def test_a_repr_hides_secrets() -> None:
    assert repr(Gate()) == "Gate(height_ms=3, flow_s=1.0, state='shut', code=<hidden>, keepers=())"


def test_every_setting_is_listed_in_the_order_of_declaration() -> None:
    assert list(settings_of(Dam))[:4] == [
        Setting("place", "a path", '"here"', "PENSTOCK_PLACE", "Where it is.", ""),
        Setting("leaks", "true or false", "false", "PENSTOCK_LEAKS", "", ""),
        Setting("addresses", "a list of addresses", '["::1"]', "PENSTOCK_ADDRESSES", "", ""),
        Setting(
            "gate.height_ms",
            "a whole number from 1 to 9",
            "3",
            "PENSTOCK_GATE__HEIGHT_MS",
            "How long it takes to open.",
            "milliseconds",
        ),
    ]
    assert list(settings_of(Dam))[-2] == Setting(
        "gate.keeper[].name", "text of 2 to 4 characters", "", "", "Who keeps it.", ""
    )
