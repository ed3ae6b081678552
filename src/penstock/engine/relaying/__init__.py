"""Relays: media that comes from elsewhere, or from a worker, and is pushed to somebody's server."""
