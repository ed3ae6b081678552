"""Streams written to disk: packets become pieces, pieces become files, and one thread writes them."""
