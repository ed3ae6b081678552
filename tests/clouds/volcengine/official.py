"""Volcengine's own Python SDK, unchanged, behind one method: an action and its members in, the answer out.

All instances of its class share one settings object: host, scheme and keys of the last one made count for
all. So one `Official` at a time is to be used, which sets them all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from volcengine.ApiInfo import ApiInfo
from volcengine.live.v20230101.live_service import LiveService

from penstock.clouds.contract import Credentials
from tools.clients import snake

# The class had it up to 1.0.190, and sent it like its siblings.
RESTART: Final = "RestartPullToPushTask"
# Its keys come before those that a caller gives, and its proxies before the endpoint.
OUTSIDE: Final = ("VOLC_ACCESSKEY", "VOLC_SECRETKEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Official:
    """The client for live streams, version 2023-01-01."""

    def __init__(self, url: str, keys: Credentials) -> None:
        parts = urlsplit(url)
        self.service = LiveService(parts.netloc, keys.access_key, keys.secret_key)
        self.service.set_scheme(parts.scheme)
        self.service.set_ak(keys.access_key)
        self.service.set_sk(keys.secret_key)
        self.service.set_session_token(keys.token)
        self.service.api_info = {
            **self.service.api_info,
            RESTART: ApiInfo("POST", "/", {"Action": RESTART, "Version": "2023-01-01"}, {}, {}),
        }

    def call(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation with members in their wire names; return the whole answer."""
        if action == RESTART:
            return cast("dict[str, Any]", json.loads(self.service.api_post(action, [], json.dumps(dict(members)))))
        return cast("dict[str, Any]", getattr(self.service, snake(action))(dict(members)))

    def signed_query(self, action: str, members: Mapping[str, Any]) -> str:
        """Return the query of a signed URL; the SDK leaves host and path to its caller."""
        return cast("str", self.service.get_sign_url(action, dict(members)))


def told_by(error: Exception) -> dict[str, Any]:
    """Return the metadata of a refusal: the SDK raises a bare Exception of the body, text of a GET, bytes of a POST."""
    (body,) = error.args
    return cast("dict[str, Any]", json.loads(body)["ResponseMetadata"])
