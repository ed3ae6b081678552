"""The operations of kingsoft as methods. Made from its contract by `python -m tools.clients`; change it there."""

from __future__ import annotations

from typing import Literal, Unpack

from penstock.clouds.kingsoft import records, streams
from penstock.sdk.client import AsyncClient, Client
from penstock.sdk.options import Options
from penstock.sdk.paging import async_paged, paged


class KingsoftOperations(Client):
    """Every operation of kingsoft."""

    def list_realtime_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        stream: str = "",
        domain_ids: str = "",
        pull_protocol: Literal["http+flv", "rtmp", "hls"] = "http+flv",
        type: Literal["push", "pull"] | None = None,
        **options: Unpack[Options],
    ) -> streams.ListRealtimeStreamsInfoResult:
        """Give, for an application or one stream, the momentary quality, players and bandwidth.

        Without `type` that is both sides, with `push` or `pull` the publisher's or the players' alone.
        The players counted are those of one protocol, on the playback domains asked for.
        """
        asked = streams.ListRealtimeStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            stream=stream,
            domain_ids=domain_ids,
            pull_protocol=pull_protocol,
            type=type,
        )
        return self.call(asked, **options)

    @paged(streams.ListRealtimePubStreamsInfo, streams.PublishedStream)
    def list_realtime_pub_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        **options: Unpack[Options],
    ) -> streams.ListRealtimePubStreamsInfoResult:
        """Page through what the publishers on one push domain and application send; sampled every 100 s."""
        asked = streams.ListRealtimePubStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
        )
        return self.call(asked, **options)

    @paged(streams.ListHistoryPubStreamsInfo, streams.StreamHistory)
    def list_history_pub_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ListHistoryPubStreamsInfoResult:
        """Page through past publishes, with the reason that each ended.

        The last 28 days can be asked for, at most 5 at a time; without times, from 00:00 five days ago
        until now.
        """
        asked = streams.ListHistoryPubStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
        )
        return self.call(asked, **options)

    @paged(streams.ListHistoryPubStreamsErrInfo, streams.StreamHistory)
    def list_history_pub_streams_err_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ListHistoryPubStreamsErrInfoResult:
        """Page through attempts to publish that were refused or failed; windows as for the history."""
        asked = streams.ListHistoryPubStreamsErrInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
        )
        return self.call(asked, **options)

    def list_stream_durations(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        start_unix_time: int,
        end_unix_time: int,
        stream: str = "",
        **options: Unpack[Options],
    ) -> streams.ListStreamDurationsResult:
        """List how long streams were published, from 00:00 of one day to 00:00 of a later one.

        The last 60 days can be asked for.
        """
        asked = streams.ListStreamDurations.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
            stream=stream,
        )
        return self.call(asked, **options)

    def forbid_stream(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        forbid_till_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ForbidStreamResult:
        """Drop a stream's publisher and refuse it until a time, or (with 1) only drop it.

        None and -1 stand for 90 days, which no time may be beyond.
        """
        asked = streams.ForbidStream.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            forbid_till_unix_time=forbid_till_unix_time,
        )
        return self.call(asked, **options)

    def resume_stream(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.ResumeStreamResult:
        """Lift a stream's ban; RetCode 8201 when there is none."""
        asked = streams.ResumeStream.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return self.call(asked, **options)

    def get_blacklist(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        **options: Unpack[Options],
    ) -> streams.GetBlacklistResult:
        """List the banned streams of one application on one push domain."""
        asked = streams.GetBlacklist.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
        )
        return self.call(asked, **options)

    def check_blacklist(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.CheckBlacklistResult:
        """Tell whether one stream is banned."""
        asked = streams.CheckBlacklist.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return self.call(asked, **options)

    def create_record_task(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        end_unix_time: int,
        start_unix_time: int | None = None,
        mp4_vod_enable: Literal[0, 1] = 0,
        ks3_full_path_m3u8: str = "",
        ks3_file_name_m3u8: str = "",
        ks3_full_path_mp4: str = "",
        **options: Unpack[Options],
    ) -> records.CreateRecordTaskResult:
        """Record a stream from one time to another, whenever it is on air in between.

        It makes one file, or folder of HLS, for each publish. The paths in KS3 are kept with the task and
        told again; the files are on the server.
        """
        asked = records.CreateRecordTask.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            end_unix_time=end_unix_time,
            start_unix_time=start_unix_time,
            mp4_vod_enable=mp4_vod_enable,
            ks3_full_path_m3u8=ks3_full_path_m3u8,
            ks3_file_name_m3u8=ks3_file_name_m3u8,
            ks3_full_path_mp4=ks3_full_path_mp4,
        )
        return self.call(asked, **options)

    def cancel_record_task(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.CancelRecordTaskResult:
        """Take a task back whose time has not come."""
        asked = records.CancelRecordTask.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_id=rec_id,
        )
        return self.call(asked, **options)

    def start_stream_record(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> records.StartStreamRecordResult:
        """Record a stream that is on air, as HLS, until it is stopped."""
        asked = records.StartStreamRecord.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return self.call(asked, **options)

    def stop_stream_record(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.StopStreamRecordResult:
        """End a recording, and finish its file; answered once that is done."""
        asked = records.StopStreamRecord.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_id=rec_id,
        )
        return self.call(asked, **options)

    @paged(records.ListRecordingTasks, records.RecordTask)
    def list_recording_tasks(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        rec_type: Literal[0, 1, 2] = 0,
        order_time: Literal[0, 1] = 0,
        marker: int = 1,
        limit: int = 1000,
        rec_status_type: Literal[0, 1, 2] = 0,
        **options: Unpack[Options],
    ) -> records.ListRecordingTasksResult:
        """Page through the recordings that are planned or under way."""
        asked = records.ListRecordingTasks.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_type=rec_type,
            order_time=order_time,
            marker=marker,
            limit=limit,
            rec_status_type=rec_status_type,
        )
        return self.call(asked, **options)

    @paged(records.ListHistoryRecordTasks, records.RecordTask)
    def list_history_record_tasks(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        rec_type: Literal[0, 1, 2] = 0,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        order_time: Literal[0, 1] = 0,
        marker: int = 1,
        limit: int = 1000,
        **options: Unpack[Options],
    ) -> records.ListHistoryRecordTasksResult:
        """Page through the recordings that are over, by the time of their start; without times, all that are known."""
        asked = records.ListHistoryRecordTasks.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_type=rec_type,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
            order_time=order_time,
            marker=marker,
            limit=limit,
        )
        return self.call(asked, **options)

    def get_record_task(
        self,
        *,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.GetRecordTaskResult:
        """Tell everything of one recording, with a signed URL for each file; RetCode 6000 where it made none."""
        asked = records.GetRecordTask.make(
            rec_id=rec_id,
        )
        return self.call(asked, **options)


class AsyncKingsoftOperations(AsyncClient):
    """Every operation of kingsoft, for asyncio."""

    async def list_realtime_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        stream: str = "",
        domain_ids: str = "",
        pull_protocol: Literal["http+flv", "rtmp", "hls"] = "http+flv",
        type: Literal["push", "pull"] | None = None,
        **options: Unpack[Options],
    ) -> streams.ListRealtimeStreamsInfoResult:
        """Give, for an application or one stream, the momentary quality, players and bandwidth.

        Without `type` that is both sides, with `push` or `pull` the publisher's or the players' alone.
        The players counted are those of one protocol, on the playback domains asked for.
        """
        asked = streams.ListRealtimeStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            stream=stream,
            domain_ids=domain_ids,
            pull_protocol=pull_protocol,
            type=type,
        )
        return await self.call(asked, **options)

    @async_paged(streams.ListRealtimePubStreamsInfo, streams.PublishedStream)
    async def list_realtime_pub_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        **options: Unpack[Options],
    ) -> streams.ListRealtimePubStreamsInfoResult:
        """Page through what the publishers on one push domain and application send; sampled every 100 s."""
        asked = streams.ListRealtimePubStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
        )
        return await self.call(asked, **options)

    @async_paged(streams.ListHistoryPubStreamsInfo, streams.StreamHistory)
    async def list_history_pub_streams_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ListHistoryPubStreamsInfoResult:
        """Page through past publishes, with the reason that each ended.

        The last 28 days can be asked for, at most 5 at a time; without times, from 00:00 five days ago
        until now.
        """
        asked = streams.ListHistoryPubStreamsInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
        )
        return await self.call(asked, **options)

    @async_paged(streams.ListHistoryPubStreamsErrInfo, streams.StreamHistory)
    async def list_history_pub_streams_err_info(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        order_time: Literal[0, 1] = 0,
        marker: int = 0,
        limit: int = 1000,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ListHistoryPubStreamsErrInfoResult:
        """Page through attempts to publish that were refused or failed; windows as for the history."""
        asked = streams.ListHistoryPubStreamsErrInfo.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            order_time=order_time,
            marker=marker,
            limit=limit,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
        )
        return await self.call(asked, **options)

    async def list_stream_durations(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        start_unix_time: int,
        end_unix_time: int,
        stream: str = "",
        **options: Unpack[Options],
    ) -> streams.ListStreamDurationsResult:
        """List how long streams were published, from 00:00 of one day to 00:00 of a later one.

        The last 60 days can be asked for.
        """
        asked = streams.ListStreamDurations.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
            stream=stream,
        )
        return await self.call(asked, **options)

    async def forbid_stream(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        forbid_till_unix_time: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ForbidStreamResult:
        """Drop a stream's publisher and refuse it until a time, or (with 1) only drop it.

        None and -1 stand for 90 days, which no time may be beyond.
        """
        asked = streams.ForbidStream.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            forbid_till_unix_time=forbid_till_unix_time,
        )
        return await self.call(asked, **options)

    async def resume_stream(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.ResumeStreamResult:
        """Lift a stream's ban; RetCode 8201 when there is none."""
        asked = streams.ResumeStream.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return await self.call(asked, **options)

    async def get_blacklist(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        **options: Unpack[Options],
    ) -> streams.GetBlacklistResult:
        """List the banned streams of one application on one push domain."""
        asked = streams.GetBlacklist.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
        )
        return await self.call(asked, **options)

    async def check_blacklist(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.CheckBlacklistResult:
        """Tell whether one stream is banned."""
        asked = streams.CheckBlacklist.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return await self.call(asked, **options)

    async def create_record_task(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        end_unix_time: int,
        start_unix_time: int | None = None,
        mp4_vod_enable: Literal[0, 1] = 0,
        ks3_full_path_m3u8: str = "",
        ks3_file_name_m3u8: str = "",
        ks3_full_path_mp4: str = "",
        **options: Unpack[Options],
    ) -> records.CreateRecordTaskResult:
        """Record a stream from one time to another, whenever it is on air in between.

        It makes one file, or folder of HLS, for each publish. The paths in KS3 are kept with the task and
        told again; the files are on the server.
        """
        asked = records.CreateRecordTask.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            end_unix_time=end_unix_time,
            start_unix_time=start_unix_time,
            mp4_vod_enable=mp4_vod_enable,
            ks3_full_path_m3u8=ks3_full_path_m3u8,
            ks3_file_name_m3u8=ks3_file_name_m3u8,
            ks3_full_path_mp4=ks3_full_path_mp4,
        )
        return await self.call(asked, **options)

    async def cancel_record_task(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.CancelRecordTaskResult:
        """Take a task back whose time has not come."""
        asked = records.CancelRecordTask.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_id=rec_id,
        )
        return await self.call(asked, **options)

    async def start_stream_record(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        **options: Unpack[Options],
    ) -> records.StartStreamRecordResult:
        """Record a stream that is on air, as HLS, until it is stopped."""
        asked = records.StartStreamRecord.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
        )
        return await self.call(asked, **options)

    async def stop_stream_record(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.StopStreamRecordResult:
        """End a recording, and finish its file; answered once that is done."""
        asked = records.StopStreamRecord.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_id=rec_id,
        )
        return await self.call(asked, **options)

    @async_paged(records.ListRecordingTasks, records.RecordTask)
    async def list_recording_tasks(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        rec_type: Literal[0, 1, 2] = 0,
        order_time: Literal[0, 1] = 0,
        marker: int = 1,
        limit: int = 1000,
        rec_status_type: Literal[0, 1, 2] = 0,
        **options: Unpack[Options],
    ) -> records.ListRecordingTasksResult:
        """Page through the recordings that are planned or under way."""
        asked = records.ListRecordingTasks.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_type=rec_type,
            order_time=order_time,
            marker=marker,
            limit=limit,
            rec_status_type=rec_status_type,
        )
        return await self.call(asked, **options)

    @async_paged(records.ListHistoryRecordTasks, records.RecordTask)
    async def list_history_record_tasks(
        self,
        *,
        unique_name: str,
        app: str,
        pubdomain: str,
        stream: str = "",
        rec_type: Literal[0, 1, 2] = 0,
        start_unix_time: int | None = None,
        end_unix_time: int | None = None,
        order_time: Literal[0, 1] = 0,
        marker: int = 1,
        limit: int = 1000,
        **options: Unpack[Options],
    ) -> records.ListHistoryRecordTasksResult:
        """Page through the recordings that are over, by the time of their start; without times, all that are known."""
        asked = records.ListHistoryRecordTasks.make(
            unique_name=unique_name,
            app=app,
            pubdomain=pubdomain,
            stream=stream,
            rec_type=rec_type,
            start_unix_time=start_unix_time,
            end_unix_time=end_unix_time,
            order_time=order_time,
            marker=marker,
            limit=limit,
        )
        return await self.call(asked, **options)

    async def get_record_task(
        self,
        *,
        rec_id: int,
        **options: Unpack[Options],
    ) -> records.GetRecordTaskResult:
        """Tell everything of one recording, with a signed URL for each file; RetCode 6000 where it made none."""
        asked = records.GetRecordTask.make(
            rec_id=rec_id,
        )
        return await self.call(asked, **options)
