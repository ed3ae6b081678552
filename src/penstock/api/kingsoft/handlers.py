"""KLS as the gateway knows it: which function answers which operation."""

from __future__ import annotations

from typing import Any, Final

from penstock.api.gateway import Dialect, Handler
from penstock.api.kingsoft import bans, history, realtime
from penstock.clouds.contract import Operation
from penstock.clouds.kingsoft import signing, streams, wire

HANDLERS: Final[dict[type[Operation[Any]], Handler]] = {
    streams.ListRealtimeStreamsInfo: realtime.list_realtime_streams_info,
    streams.ListRealtimePubStreamsInfo: realtime.list_realtime_pub_streams_info,
    streams.ListHistoryPubStreamsInfo: history.list_history_pub_streams_info,
    streams.ListHistoryPubStreamsErrInfo: history.list_history_pub_streams_err_info,
    streams.ListStreamDurations: history.list_stream_durations,
    streams.ForbidStream: bans.forbid_stream,
    streams.ResumeStream: bans.resume_stream,
    streams.GetBlacklist: bans.get_blacklist,
    streams.CheckBlacklist: bans.check_blacklist,
}

DIALECT: Final = Dialect(wire=wire, scheme=signing.ALGORITHM, is_meant=wire.is_meant, handlers=HANDLERS)
