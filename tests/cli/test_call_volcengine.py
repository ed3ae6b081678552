"""`penstock call volcengine`: what it has beside the other clouds' calls, times and lists and objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest

from penstock.clouds.contract import Credentials
from penstock.clouds.http import HttpRequest, HttpResponse
from penstock.clouds.volcengine import relays, streams
from tests.cli.kit import Commands
from tests.clock import ManualClock
from tests.sdk.cloud import as_ours_back
from tests.sdk.served import served
from tests.sdk.volcengine_cloud import Cloud

KEYS = Credentials("AKtest", "it's$ecret")
STREAM = ("Vhost=demo", "App=live", "Stream=s1")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud in memory behind a real port; its keys and URL are in the environment."""
    cloud = Cloud(KEYS, clock=ManualClock(datetime.now(UTC)))

    def answer(request: HttpRequest) -> HttpResponse:
        sent = httpx2.Request(
            request.method, f"http://any{request.target}", headers=list(request.headers), content=request.body
        )
        return as_ours_back(cloud.handle(sent))

    with served(answer) as url:
        monkeypatch.setenv("VOLC_ACCESSKEY", KEYS.access_key)
        monkeypatch.setenv("VOLC_SECRETKEY", KEYS.secret_key)
        monkeypatch.setenv("PENSTOCK_VOLCENGINE_ENDPOINT", url)
        yield cloud


def test_times_and_names_of_either_kind(penstock: Commands, cloud: Cloud) -> None:
    ran = penstock("call", "volcengine", "ForbidStream", *STREAM, "end_time=2027-01-01T08:00:00+08:00")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"request +id-1\n", ran.out)
    end = datetime(2027, 1, 1, tzinfo=UTC)
    assert cloud.asked == [streams.ForbidStream.make(vhost="demo", app="live", stream="s1", end_time=end)]


def test_lists_and_objects_are_json(penstock: Commands, cloud: Cloud) -> None:
    tags = '[{"Key": "team", "Value": "a"}]'
    assert penstock("call", "volcengine", "UpdatePullToPushGroup", "Name=news", f"Tags={tags}").code == 0
    assert penstock("call", "volcengine", "ListPullToPushGroup", "PageNum=1", "PageSize=5", "StatusList=[1]").code == 0
    assert cloud.asked == [
        relays.UpdatePullToPushGroup.make(name="news", tags=[relays.Tag(key="team", value="a")]),
        relays.ListPullToPushGroup.make(page_num=1, page_size=5, status_list=[1]),
    ]


def test_people_get_objects_opened_and_programs_the_answer(penstock: Commands, cloud: Cloud) -> None:
    ran = penstock("call", "volcengine", "ListPullToPushTask")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(r"^Pagination.TotalCount +2$", ran.out, re.MULTILINE)
    assert "VodSrcAddrs.SrcAddr" in ran.out
    assert "Watermark.Ratio" in ran.out
    # A picture is no text for people.
    assert max(map(len, ran.out.splitlines())) < 2500
    told = json.loads(penstock("call", "volcengine", "ListPullToPushTask", "--json").out)
    assert told["answer"]["Result"]["Pagination"]["TotalCount"] == 2
    assert cloud.asked == [relays.ListPullToPushTask()] * 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("UpdatePullToPushGroup", "Name=news", "Tags=team"), "Tags is 'team'; it must be JSON"),
        (("UpdatePullToPushGroup", "Name=news", 'Tags=[{"Key": 5, "Value": "a"}]'), "Tags[0].Key is 5"),
        (("ForbidStream", "App=live", "Stream=s1"), "Vhost is missing"),
        (("ForbidStream", *STREAM, "EndTime=soon"), "EndTime is 'soon'; it must be a date and time with its zone"),
        (("forbidstream", *STREAM), "no operation 'forbidstream'; it must be ForbidStream"),
    ],
)
def test_wrong_words_are_told_before_anything_is_sent(
    penstock: Commands, cloud: Cloud, words: tuple[str, ...], why: str
) -> None:
    ran = penstock("call", "volcengine", *words)
    assert (ran.code, ran.out) == (2, "")
    assert why in ran.err
    assert cloud.requests == []


def test_refusal_has_code_and_request_id(penstock: Commands, cloud: Cloud) -> None:
    ran = penstock("call", "volcengine", "ResumeStream", "Vhost=demo", "App=live", "Stream=free")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "penstock: volcengine answers ResourceNotFound: there is no ban (request id-1)\n"
    assert len(cloud.requests) == 1
