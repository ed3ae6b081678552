"""Errors: what they say, and that an answer of a cloud is caught by its kind."""

from __future__ import annotations

import pickle
import re

import pytest

from penstock import errors
from penstock.errors import ApiError, CallError, InvalidField, MissingField, NotFound, UnknownField, UnknownVhost


def test_the_drawn_tree_names_every_error() -> None:
    drawn = re.findall(r"\w+", errors.__doc__ or "")
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(classes) > 30
    assert [each.__name__ for each in classes if each.__name__ not in drawn] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidField("Limit", 0, "from 1 to 5000"), "Limit is 0; it must be from 1 to 5000"),
        (InvalidField("Type", "both", "push"), "Type is 'both'; it must be push"),
        (InvalidField("Type", "a\nb", "push"), r"Type is 'a\nb'; it must be push"),
        (InvalidField("Type", {"secret": 1}, "push"), "Type is a dict; it must be push"),
        (InvalidField("Limit", 10**5000, "less"), "Limit is a number beyond 64 bits; it must be less"),
        (MissingField("App", "text"), "App is missing; it must be text"),
        (UnknownField("app", "App"), "'app' is no parameter here; it must be App"),
    ],
)
def test_message_names_field_value_and_wanted(error: InvalidField, text: str) -> None:
    assert str(error) == text


def test_long_value_is_cut() -> None:
    assert len(str(InvalidField("Type", "x" * 10_000, "push"))) < 120


def test_answer_is_caught_by_its_kind_and_carries_the_facts() -> None:
    with pytest.raises(NotFound) as caught:
        raise ApiError.of(UnknownVhost)("kingsoft", "6406", "not match", request_id="id-1", status=200)
    assert isinstance(caught.value, ApiError | CallError)
    error: object = caught.value
    assert isinstance(error, ApiError)
    assert (error.cloud, error.code, error.message, error.request_id, error.status, error.kind) == (
        "kingsoft",
        "6406",
        "not match",
        "id-1",
        200,
        UnknownVhost,
    )
    assert str(error) == "kingsoft answers 6406: not match (request id-1)"
    assert type(error).__name__ == "UnknownVhost"
    assert ApiError.of(UnknownVhost) is type(error)


@pytest.mark.parametrize("kind", [None, NotFound, InvalidField, errors.BadSignature])
def test_answer_can_be_pickled(kind: type[errors.PenstockError] | None) -> None:
    error = ApiError.of(kind)("kingsoft", "1", "m", request_id="r", status=200)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.kind is kind
