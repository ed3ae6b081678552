"""The client half: typed clients of the clouds, sync and async.

`client` is what all of them are, over `attempts` (one call with its retries, pure) and `transport`
(httpx2). `credentials` and `profiles` find keys; `paging` and `waiting` go beyond one call. A cloud's
methods are generated from its contract (`tools/clients.py`).
"""
