"""Who makes the calls that are measured: our client, bare httpx2, and the cloud's own SDK.

`python -m bench.callers NAME OPERATION PORT CALLS` makes them over one kept connection, and prints what each took as a
JSON line. A process makes one kind of call, so that none carries what another has loaded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

_WARM = 200  # calls before the measured ones
_ACCESS_KEY, _SECRET_KEY = "AKbench", "a-secret-key-of-forty-characters-or-so-1"
_PLACE = {"UniqueName": "demo", "App": "live", "Pubdomain": "push.demo.test", "Stream": "s1"}
_BAN = {**_PLACE, "ForbidTillUnixTime": -1}
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}

Call = Callable[[], Any]


def ours(operation: str, url: str) -> Call:
    from penstock import Kingsoft  # noqa: PLC0415  only what is measured is loaded, here and below

    kls = Kingsoft(access_key=_ACCESS_KEY, secret_key=_SECRET_KEY, endpoint=url)
    if operation == "CheckBlacklist":
        return lambda: kls.check_blacklist(unique_name="demo", app="live", pubdomain="push.demo.test", stream="s1")
    return lambda: kls.forbid_stream(
        unique_name="demo", app="live", pubdomain="push.demo.test", stream="s1", forbid_till_unix_time=-1
    )


def httpx(operation: str, url: str) -> Call:
    """The same requests without a signature, and their answers as JSON: what nobody could do without."""
    import httpx2  # noqa: PLC0415

    client = httpx2.Client(base_url=url, headers=_JSON)
    named = {"Action": operation, "Version": "2017-01-01"}
    if operation == "CheckBlacklist":
        return lambda: client.get("/", params=named | _PLACE).json()
    return lambda: client.post("/", params=named, json=_BAN).json()


def kscore(operation: str, url: str) -> Call:
    from kscore.session import get_session  # noqa: PLC0415

    client = get_session().create_client(
        "kls", "cn-beijing-6", endpoint_url=url, ks_access_key_id=_ACCESS_KEY, ks_secret_access_key=_SECRET_KEY
    )
    if operation == "CheckBlacklist":
        return lambda: client.check_blacklist(**_PLACE)
    return lambda: client.forbid_stream(**_BAN)


CALLERS: dict[str, Callable[[str, str], Call]] = {"penstock": ours, "httpx2": httpx, "ksc-sdk-python": kscore}
OPERATIONS = ("CheckBlacklist", "ForbidStream")  # a GET and a POST


def measured(call: Call, calls: int) -> dict[str, float]:
    """Microseconds of CPU (kernel's included) and of the clock that each call took."""
    for _ in range(_WARM):
        call()
    start, used = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call()
    used, passed = time.process_time() - used, time.perf_counter() - start
    return {"cpu_us": 1e6 * used / calls, "wall_us": 1e6 * passed / calls}


if __name__ == "__main__":
    name, operation, port, calls = sys.argv[1:]
    print(json.dumps(measured(CALLERS[name](operation, f"http://127.0.0.1:{port}"), int(calls))), flush=True)
