"""KLS's operations over the domain: each translates, and leaves the deciding to it."""
