"""Volcengine Live, API version 2023-01-01: seven operations on live streams, twelve on relays.

`signing` is Volcengine's HMAC-SHA256, in headers and in the query, and `checks` are the server's side of
it; `streams` and `relays` declare the operations; `codes` is the table of errors; `wire` is the form of
requests and answers, for both halves.
"""
