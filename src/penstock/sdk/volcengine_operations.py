"""The operations of volcengine as methods. Made from its contract by `python -m tools.clients`; change it there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Unpack

from penstock.clouds.volcengine import relays, streams
from penstock.sdk.client import AsyncClient, Client
from penstock.sdk.options import Options
from penstock.sdk.paging import async_paged, paged


class VolcengineOperations(Client):
    """Every operation of volcengine."""

    @paged(streams.DescribeLiveStreamInfoByPage, streams.LiveStream)
    def describe_live_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        stream_type: Literal["origin", "trans"] | None = None,
        source_type: Literal["push", "relay"] | None = None,
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeLiveStreamInfoByPageResult:
        """Page through the streams on air, of every vhost of the account or of what is named, latest first."""
        asked = streams.DescribeLiveStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            stream_type=stream_type,
            source_type=source_type,
            query_type=query_type,
        )
        return self.call(asked, **options)

    @paged(streams.DescribeClosedStreamInfoByPage, streams.ClosedStream)
    def describe_closed_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        end_time_from: datetime,
        end_time_to: datetime,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        source_type: Literal["push", "relay"] | None = None,
        sort: Literal["asc", "desc"] = "desc",
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeClosedStreamInfoByPageResult:
        """Page through the publishes that ended in a span of time, both its ends included; a row for each publish."""
        asked = streams.DescribeClosedStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            end_time_from=end_time_from,
            end_time_to=end_time_to,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            source_type=source_type,
            sort=sort,
            query_type=query_type,
        )
        return self.call(asked, **options)

    @paged(streams.DescribeForbiddenStreamInfoByPage, streams.ForbiddenStream)
    def describe_forbidden_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        sort: Literal["asc", "desc"] = "desc",
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeForbiddenStreamInfoByPageResult:
        """Page through the bans, of every vhost of the account or of what is named."""
        asked = streams.DescribeForbiddenStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            sort=sort,
            query_type=query_type,
        )
        return self.call(asked, **options)

    def kill_stream(
        self,
        *,
        vhost: str,
        app: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.KillStreamResult:
        """Cut a stream's publisher and its players. It may come back at once."""
        asked = streams.KillStream.make(
            vhost=vhost,
            app=app,
            stream=stream,
        )
        return self.call(asked, **options)

    def forbid_stream(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        end_time: datetime | None = None,
        priority: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ForbidStreamResult:
        """Cut a stream's publisher and refuse it until a time, at most 90 days from now.

        A second ban moves the end of the first, either way.
        """
        asked = streams.ForbidStream.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
            end_time=end_time,
            priority=priority,
        )
        return self.call(asked, **options)

    def resume_stream(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        priority: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ResumeStreamResult:
        """Lift a stream's ban, whichever of its names it was made under."""
        asked = streams.ResumeStream.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
            priority=priority,
        )
        return self.call(asked, **options)

    def describe_live_stream_state(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        **options: Unpack[Options],
    ) -> streams.DescribeLiveStreamStateResult:
        """Tell whether a stream is on air or banned; a ban comes first.

        Both `vhost` and `domain` may be said here, as in the cloud's own sample, when the domain is the vhost's.
        """
        asked = streams.DescribeLiveStreamState.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
        )
        return self.call(asked, **options)

    def create_pull_to_push_task(
        self,
        *,
        type: Literal[0, 1],
        start_time: int,
        end_time: int,
        title: str = "",
        callback_url: str = "",
        src_addr: str = "",
        vod_src_addrs: Sequence[relays.VodSource] = (),
        src_addr_s: Sequence[str] = (),
        offset_s: Sequence[float] = (),
        offset: float | None = None,
        cycle_mode: int | None = None,
        play_times: int = 0,
        pre_download: int = 1,
        continue_strategy: int = 0,
        dst_addr: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        watermark: relays.Watermark | None = None,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.CreatePullToPushTaskResult:
        """Make a task that takes a live source, or plays files, and pushes that to an address for a span of time.

        The source of `type` 0 is `src_addr`; of `type` 1 it is `vod_src_addrs`, or `src_addr_s` with `offset_s` or
        `offset`, and `cycle_mode`. It is pushed to `dst_addr`, or else to rtmp://`domain`/`app`/`stream`. The span is
        seven days at most. A key of a sub-account has to say `group_name`; the main account's group is `default`.
        """
        asked = relays.CreatePullToPushTask.make(
            type=type,
            start_time=start_time,
            end_time=end_time,
            title=title,
            callback_url=callback_url,
            src_addr=src_addr,
            vod_src_addrs=vod_src_addrs,
            src_addr_s=src_addr_s,
            offset_s=offset_s,
            offset=offset,
            cycle_mode=cycle_mode,
            play_times=play_times,
            pre_download=pre_download,
            continue_strategy=continue_strategy,
            dst_addr=dst_addr,
            domain=domain,
            app=app,
            stream=stream,
            watermark=watermark,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def delete_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.DeletePullToPushTaskResult:
        """End a task, if it runs, and take it away."""
        asked = relays.DeletePullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def update_pull_to_push_task(
        self,
        *,
        task_id: str,
        type: Literal[0, 1],
        start_time: int,
        end_time: int,
        title: str = "",
        callback_url: str = "",
        src_addr: str = "",
        vod_src_addrs: Sequence[relays.VodSource] = (),
        src_addr_s: Sequence[str] = (),
        offset_s: Sequence[float] = (),
        offset: float | None = None,
        cycle_mode: int | None = None,
        play_times: int = 0,
        pre_download: int = 1,
        continue_strategy: int = 0,
        dst_addr: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        watermark: relays.Watermark | None = None,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.UpdatePullToPushTaskResult:
        """Give a task new settings in place of all old ones; what is left out has its default again.

        The rules are those of `create_pull_to_push_task`. The group stays: `group_name` is compared, and not changed.
        """
        asked = relays.UpdatePullToPushTask.make(
            task_id=task_id,
            type=type,
            start_time=start_time,
            end_time=end_time,
            title=title,
            callback_url=callback_url,
            src_addr=src_addr,
            vod_src_addrs=vod_src_addrs,
            src_addr_s=src_addr_s,
            offset_s=offset_s,
            offset=offset,
            cycle_mode=cycle_mode,
            play_times=play_times,
            pre_download=pre_download,
            continue_strategy=continue_strategy,
            dst_addr=dst_addr,
            domain=domain,
            app=app,
            stream=stream,
            watermark=watermark,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def restart_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.RestartPullToPushTaskResult:
        """Put a task that was stopped into service again. The cloud itself took this operation back in 2025."""
        asked = relays.RestartPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def continue_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.ContinuePullToPushTaskResult:
        """Put a task that was stopped into service again, where `continue_strategy` has its files go on."""
        asked = relays.ContinuePullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def relaunch_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.RelaunchPullToPushTaskResult:
        """Put a task that was stopped into service again, its files from the beginning."""
        asked = relays.RelaunchPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return self.call(asked, **options)

    def stop_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.StopPullToPushTaskResult:
        """Take a task that waits or runs out of service; its settings stay."""
        asked = relays.StopPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return self.call(asked, **options)

    @paged(relays.ListPullToPushTask, relays.Task)
    def list_pull_to_push_task(
        self,
        *,
        group_name: str = "",
        title: str = "",
        page: int = 1,
        size: int = 20,
        **options: Unpack[Options],
    ) -> relays.ListPullToPushTaskResult:
        """Page through the tasks, of every group or of one, latest first."""
        asked = relays.ListPullToPushTask.make(
            group_name=group_name,
            title=title,
            page=page,
            size=size,
        )
        return self.call(asked, **options)

    def create_pull_to_push_group(
        self,
        *,
        name: str,
        project_name: str,
        tags: Sequence[relays.Tag] = (),
        **options: Unpack[Options],
    ) -> relays.CreatePullToPushGroupResult:
        """Make a group of tasks inside of a project."""
        asked = relays.CreatePullToPushGroup.make(
            name=name,
            project_name=project_name,
            tags=tags,
        )
        return self.call(asked, **options)

    def update_pull_to_push_group(
        self,
        *,
        name: str,
        tags: Sequence[relays.Tag] = (),
        **options: Unpack[Options],
    ) -> relays.UpdatePullToPushGroupResult:
        """Give a group new tags in place of all old ones."""
        asked = relays.UpdatePullToPushGroup.make(
            name=name,
            tags=tags,
        )
        return self.call(asked, **options)

    def delete_pull_to_push_group(
        self,
        *,
        name: str,
        **options: Unpack[Options],
    ) -> relays.DeletePullToPushGroupResult:
        """Delete a group without tasks; it stays in lists that ask for deleted ones."""
        asked = relays.DeletePullToPushGroup.make(
            name=name,
        )
        return self.call(asked, **options)

    @paged(relays.ListPullToPushGroup, relays.TaskGroup)
    def list_pull_to_push_group(
        self,
        *,
        page_num: int,
        page_size: int,
        status_list: Sequence[int] = (),
        **options: Unpack[Options],
    ) -> relays.ListPullToPushGroupResult:
        """Page through the groups, those that are available or as `status_list` says."""
        asked = relays.ListPullToPushGroup.make(
            page_num=page_num,
            page_size=page_size,
            status_list=status_list,
        )
        return self.call(asked, **options)


class AsyncVolcengineOperations(AsyncClient):
    """Every operation of volcengine, for asyncio."""

    @async_paged(streams.DescribeLiveStreamInfoByPage, streams.LiveStream)
    async def describe_live_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        stream_type: Literal["origin", "trans"] | None = None,
        source_type: Literal["push", "relay"] | None = None,
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeLiveStreamInfoByPageResult:
        """Page through the streams on air, of every vhost of the account or of what is named, latest first."""
        asked = streams.DescribeLiveStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            stream_type=stream_type,
            source_type=source_type,
            query_type=query_type,
        )
        return await self.call(asked, **options)

    @async_paged(streams.DescribeClosedStreamInfoByPage, streams.ClosedStream)
    async def describe_closed_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        end_time_from: datetime,
        end_time_to: datetime,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        source_type: Literal["push", "relay"] | None = None,
        sort: Literal["asc", "desc"] = "desc",
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeClosedStreamInfoByPageResult:
        """Page through the publishes that ended in a span of time, both its ends included; a row for each publish."""
        asked = streams.DescribeClosedStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            end_time_from=end_time_from,
            end_time_to=end_time_to,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            source_type=source_type,
            sort=sort,
            query_type=query_type,
        )
        return await self.call(asked, **options)

    @async_paged(streams.DescribeForbiddenStreamInfoByPage, streams.ForbiddenStream)
    async def describe_forbidden_stream_info_by_page(
        self,
        *,
        page_num: int,
        page_size: int,
        vhost: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        sort: Literal["asc", "desc"] = "desc",
        query_type: Literal["strict", "fuzzy"] = "strict",
        **options: Unpack[Options],
    ) -> streams.DescribeForbiddenStreamInfoByPageResult:
        """Page through the bans, of every vhost of the account or of what is named."""
        asked = streams.DescribeForbiddenStreamInfoByPage.make(
            page_num=page_num,
            page_size=page_size,
            vhost=vhost,
            domain=domain,
            app=app,
            stream=stream,
            sort=sort,
            query_type=query_type,
        )
        return await self.call(asked, **options)

    async def kill_stream(
        self,
        *,
        vhost: str,
        app: str,
        stream: str,
        **options: Unpack[Options],
    ) -> streams.KillStreamResult:
        """Cut a stream's publisher and its players. It may come back at once."""
        asked = streams.KillStream.make(
            vhost=vhost,
            app=app,
            stream=stream,
        )
        return await self.call(asked, **options)

    async def forbid_stream(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        end_time: datetime | None = None,
        priority: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ForbidStreamResult:
        """Cut a stream's publisher and refuse it until a time, at most 90 days from now.

        A second ban moves the end of the first, either way.
        """
        asked = streams.ForbidStream.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
            end_time=end_time,
            priority=priority,
        )
        return await self.call(asked, **options)

    async def resume_stream(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        priority: int | None = None,
        **options: Unpack[Options],
    ) -> streams.ResumeStreamResult:
        """Lift a stream's ban, whichever of its names it was made under."""
        asked = streams.ResumeStream.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
            priority=priority,
        )
        return await self.call(asked, **options)

    async def describe_live_stream_state(
        self,
        *,
        app: str,
        stream: str,
        vhost: str = "",
        domain: str = "",
        **options: Unpack[Options],
    ) -> streams.DescribeLiveStreamStateResult:
        """Tell whether a stream is on air or banned; a ban comes first.

        Both `vhost` and `domain` may be said here, as in the cloud's own sample, when the domain is the vhost's.
        """
        asked = streams.DescribeLiveStreamState.make(
            app=app,
            stream=stream,
            vhost=vhost,
            domain=domain,
        )
        return await self.call(asked, **options)

    async def create_pull_to_push_task(
        self,
        *,
        type: Literal[0, 1],
        start_time: int,
        end_time: int,
        title: str = "",
        callback_url: str = "",
        src_addr: str = "",
        vod_src_addrs: Sequence[relays.VodSource] = (),
        src_addr_s: Sequence[str] = (),
        offset_s: Sequence[float] = (),
        offset: float | None = None,
        cycle_mode: int | None = None,
        play_times: int = 0,
        pre_download: int = 1,
        continue_strategy: int = 0,
        dst_addr: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        watermark: relays.Watermark | None = None,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.CreatePullToPushTaskResult:
        """Make a task that takes a live source, or plays files, and pushes that to an address for a span of time.

        The source of `type` 0 is `src_addr`; of `type` 1 it is `vod_src_addrs`, or `src_addr_s` with `offset_s` or
        `offset`, and `cycle_mode`. It is pushed to `dst_addr`, or else to rtmp://`domain`/`app`/`stream`. The span is
        seven days at most. A key of a sub-account has to say `group_name`; the main account's group is `default`.
        """
        asked = relays.CreatePullToPushTask.make(
            type=type,
            start_time=start_time,
            end_time=end_time,
            title=title,
            callback_url=callback_url,
            src_addr=src_addr,
            vod_src_addrs=vod_src_addrs,
            src_addr_s=src_addr_s,
            offset_s=offset_s,
            offset=offset,
            cycle_mode=cycle_mode,
            play_times=play_times,
            pre_download=pre_download,
            continue_strategy=continue_strategy,
            dst_addr=dst_addr,
            domain=domain,
            app=app,
            stream=stream,
            watermark=watermark,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def delete_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.DeletePullToPushTaskResult:
        """End a task, if it runs, and take it away."""
        asked = relays.DeletePullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def update_pull_to_push_task(
        self,
        *,
        task_id: str,
        type: Literal[0, 1],
        start_time: int,
        end_time: int,
        title: str = "",
        callback_url: str = "",
        src_addr: str = "",
        vod_src_addrs: Sequence[relays.VodSource] = (),
        src_addr_s: Sequence[str] = (),
        offset_s: Sequence[float] = (),
        offset: float | None = None,
        cycle_mode: int | None = None,
        play_times: int = 0,
        pre_download: int = 1,
        continue_strategy: int = 0,
        dst_addr: str = "",
        domain: str = "",
        app: str = "",
        stream: str = "",
        watermark: relays.Watermark | None = None,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.UpdatePullToPushTaskResult:
        """Give a task new settings in place of all old ones; what is left out has its default again.

        The rules are those of `create_pull_to_push_task`. The group stays: `group_name` is compared, and not changed.
        """
        asked = relays.UpdatePullToPushTask.make(
            task_id=task_id,
            type=type,
            start_time=start_time,
            end_time=end_time,
            title=title,
            callback_url=callback_url,
            src_addr=src_addr,
            vod_src_addrs=vod_src_addrs,
            src_addr_s=src_addr_s,
            offset_s=offset_s,
            offset=offset,
            cycle_mode=cycle_mode,
            play_times=play_times,
            pre_download=pre_download,
            continue_strategy=continue_strategy,
            dst_addr=dst_addr,
            domain=domain,
            app=app,
            stream=stream,
            watermark=watermark,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def restart_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.RestartPullToPushTaskResult:
        """Put a task that was stopped into service again. The cloud itself took this operation back in 2025."""
        asked = relays.RestartPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def continue_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.ContinuePullToPushTaskResult:
        """Put a task that was stopped into service again, where `continue_strategy` has its files go on."""
        asked = relays.ContinuePullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def relaunch_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.RelaunchPullToPushTaskResult:
        """Put a task that was stopped into service again, its files from the beginning."""
        asked = relays.RelaunchPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    async def stop_pull_to_push_task(
        self,
        *,
        task_id: str,
        group_name: str = "",
        **options: Unpack[Options],
    ) -> relays.StopPullToPushTaskResult:
        """Take a task that waits or runs out of service; its settings stay."""
        asked = relays.StopPullToPushTask.make(
            task_id=task_id,
            group_name=group_name,
        )
        return await self.call(asked, **options)

    @async_paged(relays.ListPullToPushTask, relays.Task)
    async def list_pull_to_push_task(
        self,
        *,
        group_name: str = "",
        title: str = "",
        page: int = 1,
        size: int = 20,
        **options: Unpack[Options],
    ) -> relays.ListPullToPushTaskResult:
        """Page through the tasks, of every group or of one, latest first."""
        asked = relays.ListPullToPushTask.make(
            group_name=group_name,
            title=title,
            page=page,
            size=size,
        )
        return await self.call(asked, **options)

    async def create_pull_to_push_group(
        self,
        *,
        name: str,
        project_name: str,
        tags: Sequence[relays.Tag] = (),
        **options: Unpack[Options],
    ) -> relays.CreatePullToPushGroupResult:
        """Make a group of tasks inside of a project."""
        asked = relays.CreatePullToPushGroup.make(
            name=name,
            project_name=project_name,
            tags=tags,
        )
        return await self.call(asked, **options)

    async def update_pull_to_push_group(
        self,
        *,
        name: str,
        tags: Sequence[relays.Tag] = (),
        **options: Unpack[Options],
    ) -> relays.UpdatePullToPushGroupResult:
        """Give a group new tags in place of all old ones."""
        asked = relays.UpdatePullToPushGroup.make(
            name=name,
            tags=tags,
        )
        return await self.call(asked, **options)

    async def delete_pull_to_push_group(
        self,
        *,
        name: str,
        **options: Unpack[Options],
    ) -> relays.DeletePullToPushGroupResult:
        """Delete a group without tasks; it stays in lists that ask for deleted ones."""
        asked = relays.DeletePullToPushGroup.make(
            name=name,
        )
        return await self.call(asked, **options)

    @async_paged(relays.ListPullToPushGroup, relays.TaskGroup)
    async def list_pull_to_push_group(
        self,
        *,
        page_num: int,
        page_size: int,
        status_list: Sequence[int] = (),
        **options: Unpack[Options],
    ) -> relays.ListPullToPushGroupResult:
        """Page through the groups, those that are available or as `status_list` says."""
        asked = relays.ListPullToPushGroup.make(
            page_num=page_num,
            page_size=page_size,
            status_list=status_list,
        )
        return await self.call(asked, **options)
