"""The server half of what answers calls: the clouds' APIs, and the operator's admin socket."""
