"""The server itself, as the operator asks for it."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from penstock.admin import server as verbs
from penstock.admin.owners import AddAccount, AddKey
from penstock.admin.streams import BanStream, ListBans
from penstock.admin.verbs import VERBS
from penstock.api.operator.desk import Desk
from penstock.api.operator.handlers import HANDLERS
from penstock.config import Api, Config
from penstock.domain.clock import DomainClock
from penstock.domain.explain import Explanations
from penstock.errors import ConfigError, Denied, InvalidField, NotFound
from penstock.storage.rows import ExplainEntry
from tests.api.operator.kit import Reload, office
from tests.clock import START
from tests.domain.kit import opened

ENTRY = ExplainEntry(
    request_id="id-1",
    at=START,
    cloud="kingsoft",
    action="ForbidStream",
    access_key="AKone",
    outcome="SignatureDoesNotMatch",
    rule="BadSignature: the signature is another one",
    canonical_request="POST\n/",
    string_to_sign="AWS4-HMAC-SHA256",
)


def test_every_verb_has_its_handler() -> None:
    assert list(HANDLERS) == list(VERBS)


async def test_environment_is_where_the_server_listens_and_a_first_key() -> None:
    async with office() as desk:
        found = await desk.ask(verbs.GetEnvironment())
        assert (found.account, found.access_key, found.secret_key) == ("1", "AKone", "secret-of-one")
        assert (found.endpoint, found.tls_endpoint, found.ca) == ("http://127.0.0.1:8080", "", "")
        found = await desk.ask(verbs.GetEnvironment(account="2"))
        assert found.access_key == "AKtwo"


async def test_accounts_own_key_comes_before_a_sub_accounts() -> None:
    async with office() as desk:
        await desk.ask(AddAccount(id="3"))
        await desk.ask(AddKey(account="3", access_key="AKa-sub", sub_account=True))
        await desk.ask(AddKey(account="3", access_key="AKb"))
        assert (await desk.ask(verbs.GetEnvironment(account="3"))).access_key == "AKb"


async def test_account_without_a_key_is_told() -> None:
    async with office() as desk:
        await desk.ask(AddAccount(id="3"))
        with pytest.raises(NotFound, match="account 3 has no key; make one with `penstock keys add`"):
            await desk.ask(verbs.GetEnvironment(account="3"))
        with pytest.raises(NotFound, match="there is no account 9"):
            await desk.ask(verbs.GetEnvironment(account="9"))


async def test_desk_tells_the_ports_that_the_doors_have(tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path)
    async with opened() as live:
        with (
            socket.create_server(("0.0.0.0", 0)) as api,
            socket.create_server(("::1", 0), family=socket.AF_INET6) as tls,
        ):
            desk = Desk.of(live, Explanations(live.registry), Reload(), config, {"api": api, "api_tls": tls})
            assert desk.endpoint == f"http://127.0.0.1:{api.getsockname()[1]}"
            assert desk.tls_endpoint == f"https://[::1]:{tls.getsockname()[1]}"
            assert desk.ca == str(tmp_path / "tls" / "ca.pem")
            own = structs.replace(config, api=Api(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"))
            assert Desk.of(live, Explanations(live.registry), Reload(), own, {"api_tls": tls}).ca == ""
        nothing = Desk.of(live, Explanations(live.registry), Reload(), config, {})
        assert (nothing.endpoint, nothing.tls_endpoint, nothing.ca) == ("", "", "")


async def test_reload_tells_what_changed_or_why_not() -> None:
    async with office() as desk:
        done = await desk.ask(verbs.Reload())
        assert (done.changed, done.restart) == (["accounts"], ["media.latency"])
        desk.reload.outcome = ConfigError("penstock.toml: data_dir is 5")
        with pytest.raises(ConfigError):
            await desk.ask(verbs.Reload())


async def test_request_is_explained_written_down_or_not_yet() -> None:
    async with office() as desk:
        with pytest.raises(NotFound, match="nothing is known of a request 'id-1'"):
            await desk.ask(verbs.Explain(request_id="id-1"))
        desk.desk.explanations.put(ENTRY)
        found = await desk.ask(verbs.Explain(request_id="id-1"))
        assert (found.rule, found.canonical_request) == (ENTRY.rule, ENTRY.canonical_request)
        await desk.desk.explanations.flush(desk.live)
        assert await desk.ask(verbs.Explain(request_id="id-1")) == found


async def test_ninety_days_pass_in_a_turn() -> None:
    async with office() as desk:
        await desk.ask(BanStream(stream="demo/live/cam"))
        shown = await desk.ask(verbs.TurnClock(by_s=89 * 86_400.0))
        assert (shown.now - shown.real, shown.ahead_s) == (timedelta(days=89), 89 * 86_400.0)
        assert (await desk.ask(ListBans())).total == 1
        shown = await desk.ask(verbs.TurnClock(to=START + timedelta(days=90)))
        assert shown.now == START + timedelta(days=90)
        assert (await desk.ask(ListBans())).total == 0
        shown = await desk.ask(verbs.ResetClock())
        assert (shown.now, shown.ahead_s) == (START, 0.0)
        assert await desk.ask(verbs.ShowClock()) == shown


async def test_clock_is_turned_one_way_at_a_time() -> None:
    async with office() as desk:
        for ask in (verbs.TurnClock(), verbs.TurnClock(by_s=1.0, to=START)):
            with pytest.raises(InvalidField, match="not both"):
                await desk.ask(ask)


async def test_server_without_dev_keeps_its_clock() -> None:
    async with office() as desk:
        desk.live.clock = DomainClock(desk.clock)
        assert not (await desk.ask(verbs.ShowClock())).is_turnable
        with pytest.raises(Denied, match="--dev"):
            await desk.ask(verbs.TurnClock(by_s=1.0))
