"""Every verb's handler."""

from __future__ import annotations

from typing import Final

from penstock.api.admin import Handler
from penstock.api.operator import callbacks, owners, records, relays, server, streams
from penstock.api.operator.desk import Desk

HANDLERS: Final[dict[str, Handler[Desk]]] = {
    "env": server.get_environment,
    "reload": server.reload,
    "streams.ls": streams.list_streams,
    "streams.show": streams.show_stream,
    "streams.kick": streams.kick_stream,
    "streams.ban": streams.ban_stream,
    "streams.unban": streams.unban_stream,
    "bans.ls": streams.list_bans,
    "relays.ls": relays.list_relays,
    "relays.show": relays.show_relay,
    "relays.create": relays.create_relay,
    "relays.stop": relays.stop_relay,
    "relays.restart": relays.restart_relay,
    "relays.rm": relays.remove_relay,
    "relays.groups.ls": relays.list_groups,
    "relays.groups.add": relays.add_group,
    "relays.groups.rm": relays.remove_group,
    "callbacks.ls": callbacks.list_callbacks,
    "callbacks.show": callbacks.show_callback,
    "callbacks.redeliver": callbacks.redeliver,
    "records.ls": records.list_records,
    "records.start": records.start_record,
    "records.stop": records.stop_record,
    "records.show": records.show_record,
    "records.rm": records.remove_record,
    "records.url": records.make_urls,
    "accounts.ls": owners.list_accounts,
    "accounts.add": owners.add_account,
    "accounts.rm": owners.remove_account,
    "vhosts.ls": owners.list_vhosts,
    "vhosts.add": owners.add_vhost,
    "vhosts.rm": owners.remove_vhost,
    "keys.ls": owners.list_keys,
    "keys.add": owners.add_key,
    "keys.rm": owners.remove_key,
    "explain": server.explain,
    "clock.show": server.show_clock,
    "clock.turn": server.turn_clock,
    "clock.reset": server.reset_clock,
}
