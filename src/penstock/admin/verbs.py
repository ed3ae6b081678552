"""Every verb by its name."""

from __future__ import annotations

from typing import Any, Final

from penstock.admin import owners, records, relays, server, streams
from penstock.admin.contract import Ask

VERBS: Final[dict[str, type[Ask[Any]]]] = {
    ask.verb: ask
    for ask in (
        server.GetEnvironment,
        server.Reload,
        streams.ListStreams,
        streams.ShowStream,
        streams.KickStream,
        streams.BanStream,
        streams.UnbanStream,
        streams.ListBans,
        relays.ListRelays,
        relays.ShowRelay,
        relays.CreateRelay,
        relays.StopRelay,
        relays.RestartRelay,
        relays.RemoveRelay,
        relays.ListGroups,
        relays.AddGroup,
        relays.RemoveGroup,
        relays.ListCallbacks,
        relays.ShowCallback,
        relays.Redeliver,
        records.ListRecords,
        records.StartRecord,
        records.StopRecord,
        records.ShowRecord,
        records.RemoveRecord,
        records.MakeUrls,
        owners.ListAccounts,
        owners.AddAccount,
        owners.RemoveAccount,
        owners.ListVhosts,
        owners.AddVhost,
        owners.RemoveVhost,
        owners.ListKeys,
        owners.AddKey,
        owners.RemoveKey,
        server.Explain,
        server.ShowClock,
        server.TurnClock,
        server.ResetClock,
    )
}
