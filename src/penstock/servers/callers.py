"""Calls by what a URL says: which protocol to which end (engine.relaying.ports.Caller)."""

from __future__ import annotations

from penstock.engine.relaying.ports import Call, SourceOwner, TargetOwner
from penstock.servers.calling import Exchange
from penstock.servers.flv_client import FlvPull
from penstock.servers.rtmp_client import RtmpPull, RtmpPush


class Callers:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def pull(self, url: str, owner: SourceOwner, *, is_own: bool = False) -> Call:
        if url.lower().startswith("http"):
            return FlvPull(self._exchange, url, owner)
        return RtmpPull(self._exchange, url, owner, is_own=is_own)

    def push(self, url: str, owner: TargetOwner, *, is_own: bool = False) -> Call:
        return RtmpPush(self._exchange, url, owner, is_own=is_own)
