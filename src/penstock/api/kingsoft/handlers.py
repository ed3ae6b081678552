"""Which function answers which operation of KLS."""

from __future__ import annotations

from typing import Any, Final

from penstock.api.gateway import Handler
from penstock.api.kingsoft import bans, history, realtime, records
from penstock.clouds.contract import Operation
from penstock.clouds.kingsoft import records as contract
from penstock.clouds.kingsoft import streams
from penstock.domain.live import Live

HANDLERS: Final[dict[type[Operation[Any]], Handler[Live]]] = {
    streams.ListRealtimeStreamsInfo: realtime.list_realtime_streams_info,
    streams.ListRealtimePubStreamsInfo: realtime.list_realtime_pub_streams_info,
    streams.ListHistoryPubStreamsInfo: history.list_history_pub_streams_info,
    streams.ListHistoryPubStreamsErrInfo: history.list_history_pub_streams_err_info,
    streams.ListStreamDurations: history.list_stream_durations,
    streams.ForbidStream: bans.forbid_stream,
    streams.ResumeStream: bans.resume_stream,
    streams.GetBlacklist: bans.get_blacklist,
    streams.CheckBlacklist: bans.check_blacklist,
    contract.CreateRecordTask: records.create_record_task,
    contract.CancelRecordTask: records.cancel_record_task,
    contract.StartStreamRecord: records.start_stream_record,
    contract.StopStreamRecord: records.stop_stream_record,
    contract.ListRecordingTasks: records.list_recording_tasks,
    contract.ListHistoryRecordTasks: records.list_history_record_tasks,
    contract.GetRecordTask: records.get_record_task,
}
