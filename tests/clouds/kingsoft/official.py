"""Kingsoft's own Python SDKs, unchanged, each behind one method: an action and its members in, the answer out.

- `Kscore`: the client of ksc-sdk-python, for one endpoint. It names operations in headers.
- `Wrapper`: what the same package's README shows, `getKlsClient`. It knows no endpoint but the cloud's
  own, so that it is led elsewhere as an HTTP proxy leads it.
- `Second`: kingsoftcloud-sdk-python, the second generation. It has no ListRealtimePubStreamsInfo.

Whatever they raise comes through as it is.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import kscore.kls
import kscore.session
from ksyun.client.kls.v20170101 import client as second
from ksyun.client.kls.v20170101 import models
from ksyun.common.credential import Credential
from ksyun.common.profile.client_profile import ClientProfile
from ksyun.common.profile.http_profile import HttpProfile

from penstock.clouds.contract import Credentials

REGION: Final = "cn-beijing-6"
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# Its requests hold these and no more.
NOT_IN_SECOND: Final = frozenset(
    {
        "ListRealtimePubStreamsInfo", "CreateRecordTask", "CancelRecordTask", "StartStreamRecord", "StopStreamRecord",
        "ListRecordingTasks", "ListHistoryRecordTasks", "GetRecordTask",
    }
)  # fmt: skip


class Official(Protocol):
    """One official client."""

    def call(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation with members in their wire names; return the whole answer."""


class Kscore:
    """ksc-sdk-python's client."""

    def __init__(self, url: str, keys: Credentials, *, region: str = REGION) -> None:
        session = kscore.session.get_session()
        self._client = session.create_client(
            "kls",
            region,
            use_ssl=url.startswith("https:"),
            endpoint_url=url,
            ks_access_key_id=keys.access_key,
            ks_secret_access_key=keys.secret_key,
            ks_session_token=keys.token or None,
        )

    def call(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self._client, _snake(action))(**members)
        return answer


class Wrapper:
    """ksc-sdk-python's `getKlsClient`; `point_at` has to come before."""

    def __init__(self, keys: Credentials) -> None:
        self._client = kscore.kls.getKlsClient("kls", REGION, False, keys.access_key, keys.secret_key)

    @staticmethod
    def point_at(url: str, setenv: Callable[[str, str], None]) -> None:
        for name in ("HTTP_PROXY", "http_proxy"):
            setenv(name, url)

    def call(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        method = getattr(self._client, action)
        # Half of its methods take one dict, the others keywords.
        takes_dict = "param" in inspect.signature(method).parameters
        answer: dict[str, Any] = method(dict(members)) if takes_dict else method(**members)
        return answer


class Second:
    """kingsoftcloud-sdk-python's client; everything by one HTTP method."""

    def __init__(self, url: str, keys: Credentials, method: str) -> None:
        parts = urlsplit(url)
        profile = HttpProfile(protocol=parts.scheme, endpoint=parts.netloc, reqMethod=method, reqTimeout=20)
        credential = Credential(keys.access_key, keys.secret_key)
        self._client = second.KlsClient(credential, REGION, profile=ClientProfile(httpProfile=profile))

    def call(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        request = getattr(models, f"{action}Request")()
        for name, value in members.items():
            assert hasattr(request, name), f"{action} has no {name} there"
            setattr(request, name, value)
        answer: dict[str, Any] = json.loads(getattr(self._client, action)(request))
        return answer


def _snake(action: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower()
