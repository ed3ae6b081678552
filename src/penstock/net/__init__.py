"""Connections from here into the world, all of them behind one guard."""
