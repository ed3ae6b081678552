"""Sockets: one file a door."""
