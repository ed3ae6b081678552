"""Packets to players: what is on air, who watches it, and how much was sent. No sockets."""
