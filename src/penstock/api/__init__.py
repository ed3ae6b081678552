"""The server half of the clouds' APIs, and the operator's socket: over the domain, in the control process.

`http` has the sockets, `gateway` what all clouds have in common, and a package for each cloud its handlers.
"""
