"""Kingsoft's own SDKs, unchanged: `ksc-sdk-python` (kscore) and `kingsoftcloud-sdk-python` (ksyun)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from kscore.exceptions import ClientError
from kscore.kls import getKlsClient
from kscore.session import get_session
from ksyun.client.kls.v20170101 import models
from ksyun.client.kls.v20170101.client import KlsClient
from ksyun.common.credential import Credential
from ksyun.common.exception.ksyun_sdk_exception import KsyunSDKException
from ksyun.common.profile.client_profile import ClientProfile
from ksyun.common.profile.http_profile import HttpProfile

from penstock.clouds.contract import Credentials
from tools.clients import snake

__all__ = ["ACTIONS_OF_KSYUN", "ClientError", "Kscore", "Ksyun", "KsyunSDKException", "Wrapper"]

REGION: Final = "cn-beijing-6"
# These wrapper methods take one mapping; the others take each parameter by name.
_TAKES_MAPPING: Final = ("ForbidStream", "ResumeStream", "ListRealtimeStreamsInfo")
ACTIONS_OF_KSYUN: Final = (
    "ListRealtimeStreamsInfo",
    "ListHistoryPubStreamsInfo",
    "ListHistoryPubStreamsErrInfo",
    "ListStreamDurations",
    "ForbidStream",
    "ResumeStream",
    "GetBlacklist",
    "CheckBlacklist",
)

Answer = Mapping[str, Any]


class Kscore:
    """The client of `ksc-sdk-python`: `kscore.session.get_session().create_client("kls", ...)`."""

    def __init__(self, endpoint: str, keys: Credentials, region: str = REGION) -> None:
        self.client = get_session().create_client(
            "kls",
            region,
            endpoint_url=endpoint,
            ks_access_key_id=keys.access_key,
            ks_secret_access_key=keys.secret_key,
            ks_session_token=keys.token or None,
        )

    def call(self, action: str, **parameters: object) -> Answer:
        """Call by the wire's names; return the whole answer."""
        answer: Answer = getattr(self.client, snake(action))(**parameters)
        return answer


class Wrapper:
    """The wrapper around it, `kscore.kls.getKlsClient`. It fills in what its caller leaves out."""

    def __init__(self, endpoint: str, keys: Credentials) -> None:
        self.wrapper = getKlsClient("kls", REGION, True, keys.access_key, keys.secret_key)
        # It takes no endpoint; every method goes by this attribute.
        self.wrapper.client = Kscore(endpoint, keys).client

    def call(self, action: str, **parameters: object) -> Answer:
        method: Callable[..., Answer] = getattr(self.wrapper, action)
        return method(parameters) if action in _TAKES_MAPPING else method(**parameters)


class Ksyun:
    """The client of `kingsoftcloud-sdk-python`, which has eight of the operations and one method for all."""

    def __init__(self, endpoint: str, keys: Credentials, method: str = "POST", path: str = "/") -> None:
        scheme, _, host = endpoint.partition("://")
        profile = HttpProfile(reqTimeout=10)
        profile.endpoint, profile.scheme, profile.reqMethod, profile.path = host, scheme, method, path
        client_profile = ClientProfile()
        client_profile.httpProfile = profile
        self.client = KlsClient(Credential(keys.access_key, keys.secret_key), REGION, client_profile)

    def call(self, action: str, **parameters: object) -> Answer:
        request = getattr(models, f"{action}Request")()
        for name, value in parameters.items():
            assert hasattr(request, name), f"{action} of ksyun has no {name}"
            setattr(request, name, value)
        answer: Answer = json.loads(getattr(self.client, action)(request))
        return answer
