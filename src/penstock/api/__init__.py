"""The server half of the management API: bytes in, verified and counted operations through, answers out.

Cloud-neutral but for the handlers: what a dialect's requests look like stands in `clouds/`, what an
operation does in `domain/`. In between stand one gateway for all dialects and one HTTP server for every
door of the control process.
"""
