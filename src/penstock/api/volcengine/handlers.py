"""Which function answers which operation of Volcengine Live. What has none here is unknown to a caller."""

from __future__ import annotations

from typing import Any, Final

from penstock.api.gateway import Handler
from penstock.api.volcengine import bans, groups, relays
from penstock.api.volcengine import streams as on_air
from penstock.clouds.contract import Operation
from penstock.clouds.volcengine import relays as tasks
from penstock.clouds.volcengine import streams
from penstock.domain.live import Live

HANDLERS: Final[dict[type[Operation[Any]], Handler[Live]]] = {
    streams.DescribeLiveStreamInfoByPage: on_air.describe_live_stream_info_by_page,
    streams.DescribeClosedStreamInfoByPage: on_air.describe_closed_stream_info_by_page,
    streams.DescribeForbiddenStreamInfoByPage: bans.describe_forbidden_stream_info_by_page,
    streams.KillStream: bans.kill_stream,
    streams.ForbidStream: bans.forbid_stream,
    streams.ResumeStream: bans.resume_stream,
    streams.DescribeLiveStreamState: on_air.describe_live_stream_state,
    tasks.CreatePullToPushTask: relays.create_task,
    tasks.UpdatePullToPushTask: relays.update_task,
    tasks.StopPullToPushTask: relays.stop_task,
    tasks.RestartPullToPushTask: relays.restart_task,
    tasks.ContinuePullToPushTask: relays.continue_task,
    tasks.RelaunchPullToPushTask: relays.relaunch_task,
    tasks.DeletePullToPushTask: relays.delete_task,
    tasks.ListPullToPushTask: relays.list_tasks,
    tasks.CreatePullToPushGroup: groups.create_group,
    tasks.UpdatePullToPushGroup: groups.update_group,
    tasks.DeletePullToPushGroup: groups.delete_group,
    tasks.ListPullToPushGroup: groups.list_groups,
}
