"""Codec setup records: what a stream says of itself before its first frame."""
