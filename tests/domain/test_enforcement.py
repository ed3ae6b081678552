"""Publishers that the rules of now would refuse are dropped, others are not."""

from __future__ import annotations

from msgspec import structs

from penstock.domain import accounts, bans, enforcement
from penstock.domain.live import Live
from penstock.link.messages import EndReason
from penstock.model import StreamId
from penstock.storage.rows import Ban, Seed, Vhost
from tests.clock import START
from tests.domain.kit import CLIENT, DEMO, ME, OTHER, SEED, ScriptedEngine


def publishing(live: Live, stream: StreamId, account: str = "1") -> None:
    session = live.sessions.admit(stream, CLIENT, account=account, push_domain="push.demo.test")
    live.sessions.began(session.lease, START)


async def test_a_ban_that_an_engine_did_not_hear_of_is_enforced_when_it_is_back(
    live: Live, engine: ScriptedEngine
) -> None:
    await bans.ban(live, ME, DEMO)
    engine.dropped.clear()
    publishing(live, DEMO)
    publishing(live, OTHER)
    await enforcement.enforce(live)
    assert engine.dropped == [(DEMO, EndReason.BANNED, "while control was away")]


async def test_a_stream_whose_vhost_was_taken_out_of_the_settings_ends(live: Live, engine: ScriptedEngine) -> None:
    publishing(live, DEMO)
    publishing(live, StreamId("signed", "live", "cam"))
    kept = tuple(vhost for vhost in SEED.vhosts if vhost.name != "demo")
    domains = tuple(domain for domain in SEED.domains if domain.vhost != "demo")
    await accounts.seed(live, Seed(accounts=SEED.accounts, keys=SEED.keys, vhosts=kept, domains=domains))
    assert engine.dropped == [(DEMO, EndReason.KICKED, "its vhost or app is gone")]


async def test_a_name_that_another_account_has_now_starts_without_the_bans_of_before(
    live: Live, engine: ScriptedEngine
) -> None:
    shop = StreamId("shop", "live", "cam")
    await accounts.add_vhost(live, Vhost(name="shop", account="1"), push_domains=["push.shop.test"], pull_domains=[])
    await bans.ban(live, ME, shop)
    await accounts.remove_vhost(live, "shop")
    # Its owner of before finds it again ...
    await accounts.add_vhost(live, Vhost(name="shop", account="1"), push_domains=[], pull_domains=[])
    assert isinstance(live.bans.find(shop, START), Ban)
    await accounts.remove_vhost(live, "shop")
    # ... and the next one does not.
    await accounts.add_vhost(live, Vhost(name="shop", account="2"), push_domains=[], pull_domains=[])
    assert live.bans.find(shop, START) is None
    assert await live.store.find_ban(shop, START) is None


async def test_a_key_that_leaked_is_taken_back_from_who_publishes_by_it(live: Live, engine: ScriptedEngine) -> None:
    signed = StreamId("signed", "live", "cam")
    publishing(live, signed)
    publishing(live, DEMO)
    await accounts.seed(live, SEED)
    assert engine.dropped == []

    def rekeyed(**changes: str) -> Seed:
        vhosts = (structs.replace(vhost, **changes) if vhost.name == "signed" else vhost for vhost in SEED.vhosts)
        return structs.replace(SEED, vhosts=tuple(vhosts))

    await accounts.seed(live, rekeyed(publish_key="another-key"))
    assert engine.dropped == [(signed, EndReason.KICKED, "its vhost has another publish_key")]
    # Where anybody may publish, nobody is cut; once it takes a signature again, who came without one is.
    publishing(live, signed)
    await accounts.seed(live, rekeyed(publish_auth="none", publish_key=""))
    assert len(engine.dropped) == 1
    await accounts.seed(live, SEED)
    assert len(engine.dropped) == 2
