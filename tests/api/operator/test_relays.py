"""Relay tasks, groups and callbacks, as the operator asks for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.admin import relays as verbs
from penstock.domain.relays import tasks
from penstock.domain.relays.board import Pace
from penstock.errors import Conflict, InvalidField, NotFound
from penstock.storage.relay_rows import Delivery, RelayProgress
from tests.api.operator.kit import office
from tests.clock import START
from tests.domain.relays.kit import CALLBACK, FILES, HOUR, ME, SOURCE, STRANGER, TARGET, files, wish
from tests.storage.kit import notice

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (64).to_bytes(4) * 2 + bytes(100)


def asked(**changes: Any) -> verbs.CreateRelay:
    made = verbs.CreateRelay(kind="live", sources=[verbs.Source(url=SOURCE)], target=TARGET, account="1")
    return replace(made, **changes)


async def test_a_task_is_made_for_seven_days_from_now() -> None:
    async with office() as desk:
        shown = (await desk.ask(asked(title="news"))).relay
        assert (shown.account, shown.group, shown.title, shown.state) == ("1", "default", "news", "in effect")
        assert (shown.starts_at, shown.ends_at) == (START, START + timedelta(days=7))
        assert (shown.cloud, shown.access_key, shown.plays) == ("", "", None)


@pytest.mark.parametrize(
    ("window", "starts", "ends"),
    [
        ({"for_s": 60.0}, 0, 60),
        ({"in_s": 30.0, "for_s": 60.0}, 30, 90),
        ({"starts_at": START + timedelta(seconds=5)}, 5, 5 + 7 * 86_400),
        ({"ends_at": START + timedelta(seconds=9)}, 0, 9),
    ],
)
async def test_windows(window: dict[str, Any], starts: float, ends: float) -> None:
    async with office() as desk:
        shown = (await desk.ask(asked(**window))).relay
        assert (shown.starts_at - START, shown.ends_at - START) == (timedelta(seconds=starts), timedelta(seconds=ends))


@pytest.mark.parametrize(
    "window",
    [{"for_s": 1.0, "ends_at": START + HOUR}, {"in_s": 1.0, "starts_at": START + HOUR}, {"for_s": 7 * 86_400 + 1.0}],
)
async def test_windows_that_are_none(window: dict[str, Any]) -> None:
    async with office() as desk:
        with pytest.raises(InvalidField):
            await desk.ask(asked(**window))


async def test_files_with_parts_loops_and_a_watermark() -> None:
    async with office() as desk:
        sources = [verbs.Source(url=FILES[0].url, start_s=1.0, end_s=2.0)]
        mark = verbs.Overlay(picture=PNG, x=0.8, y=0.05, width=0.2)
        shown = (await desk.ask(asked(kind="files", sources=sources, plays=None, overlay=mark))).relay
        assert (shown.sources, shown.plays, shown.watermark) == (sources, None, verbs.Mark(x=0.8, y=0.05, width=0.2))
        with pytest.raises(InvalidField, match="PNG or JPEG"):
            await desk.ask(asked(kind="files", sources=sources, overlay=replace(mark, picture=bytes(200))))


async def test_how_a_task_stands_is_told_beside_what_is_wanted() -> None:
    async with office() as desk:
        id = (await desk.ask(asked())).relay.id
        desk.live.relays.progress[id] = RelayProgress(
            task=id, state="running", bytes_out=500, position_ms=900, failures=2, error="refused", error_side="target"
        )
        desk.live.relays.paces[id] = Pace(rate_kbps=16.0)
        truth = (await desk.ask(verbs.ShowRelay(id=id))).relay.truth
        assert (truth.state, truth.rate_kbps, truth.bytes_out, truth.position_ms) == ("running", 16.0, 500, 900)
        assert (truth.failures, truth.error, truth.error_side) == (2, "refused", "target")


async def test_tasks_of_all_accounts_are_listed_and_narrowed() -> None:
    async with office() as desk:
        await tasks.create(desk.live, ME, wish(title="docs"))
        await tasks.create(desk.live, STRANGER, wish(title="news"))
        assert [each.title for each in (await desk.ask(verbs.ListRelays())).relays].count("docs") == 1
        for ask, titles in (
            (verbs.ListRelays(account="1"), ["docs"]),
            (verbs.ListRelays(title="NEW"), ["news"]),
            (verbs.ListRelays(group="other"), []),
        ):
            assert [each.title for each in (await desk.ask(ask)).relays] == titles
        page = await desk.ask(verbs.ListRelays(limit=1))
        assert (len(page.relays), page.total, page.now) == (1, 2, START)


async def test_a_beginning_of_an_id_will_do_if_only_one_task_has_it() -> None:
    async with office() as desk:
        made = await tasks.create(desk.live, ME, wish())
        other = replace(made, id=made.id[:8] + "0" * 24)
        await desk.live.store.put_relay(other)
        assert (await desk.ask(verbs.ShowRelay(id=made.id))).relay.id == made.id
        assert (await desk.ask(verbs.ShowRelay(id=made.id[:12]))).relay.id == made.id
        with pytest.raises(InvalidField, match="2 tasks begin with it"):
            await desk.ask(verbs.ShowRelay(id=made.id[:6]))
        with pytest.raises(NotFound, match="relays ls"):
            await desk.ask(verbs.ShowRelay(id="0" * 32))


async def test_tasks_are_stopped_restarted_and_removed_whoevers_they_are() -> None:
    async with office() as desk:
        id = (await tasks.create(desk.live, STRANGER, files())).id
        assert (await desk.ask(verbs.StopRelay(id=id))).relay.state == "stopped"
        with pytest.raises(Conflict):
            await desk.ask(verbs.StopRelay(id=id))
        assert (await desk.ask(verbs.RestartRelay(id=id))).relay.state == "in effect"
        await desk.ask(verbs.RestartRelay(id=id, from_start=True))
        await desk.ask(verbs.RemoveRelay(id=id))
        assert (await desk.ask(verbs.ListRelays())).total == 0


async def test_groups() -> None:
    async with office() as desk:
        await desk.ask(verbs.AddGroup(name="sport", account="1", project="tv", tags={"team": "a"}))
        (group,) = (await desk.ask(verbs.ListGroups())).groups
        assert (group.name, group.account, group.project, group.tags) == ("sport", "1", "tv", {"team": "a"})
        await desk.ask(verbs.RemoveGroup(name="sport", account="1"))
        assert (await desk.ask(verbs.ListGroups())).total == 0
        (group,) = (await desk.ask(verbs.ListGroups(deleted=True, account="1"))).groups
        assert group.deleted_at == START


async def test_callbacks_are_listed_shown_and_delivered_again() -> None:
    async with office() as desk:
        task = await tasks.create(desk.live, ME, wish(callback_url=CALLBACK))
        await tasks.stop(desk.live, ME, task.id)
        await desk.live.store.put_notice(notice("another", account="2"))
        (made,) = (await desk.ask(verbs.ListCallbacks(task=task.id[:8]))).callbacks
        assert (made.event, made.sequence, made.state, made.url) == ("stop", 1, "waiting", CALLBACK)
        found = await desk.live.store.find_notice(made.id)
        assert found is not None
        tried = Delivery(notice=made.id, at=START, took_ms=12, status=503)
        await desk.live.store.update_notice(replace(found, state="given up", tries=1, answer="HTTP 503"), tried)
        shown = await desk.ask(verbs.ShowCallback(id=made.id))
        assert (shown.callback.state, shown.callback.answer, shown.facts["state"]) == (
            "given up",
            "HTTP 503",
            "stopped",
        )
        assert [(each.status, each.took_ms) for each in shown.tried] == [(503, 12)]
        again = await desk.ask(verbs.Redeliver(id=made.id))
        assert (again.callback.state, again.callback.tries, len(again.tried)) == ("waiting", 0, 1)
        assert (await desk.ask(verbs.ListCallbacks(account="2"))).total == 1
        assert (await desk.ask(verbs.ListCallbacks(state="given up"))).total == 0
        await tasks.delete(desk.live, ME, task.id)
        assert (await desk.ask(verbs.ListCallbacks(task=task.id))).total == 1
        with pytest.raises(NotFound):
            await desk.ask(verbs.ShowCallback(id=999))
