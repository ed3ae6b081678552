"""Penstock measured beside other live-streaming servers: `python -m bench.run --help`, and README.md here."""
