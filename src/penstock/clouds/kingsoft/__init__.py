"""Kingsoft Cloud KLS, API version 2017-01-01: nine operations on live streams.

`signing` is AWS Signature Version 4 with KLS's names and checks; `streams` declares the operations;
`codes` is the table of errors; `wire` is the form of requests and answers, for both halves.
"""
