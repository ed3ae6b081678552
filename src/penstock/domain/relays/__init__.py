"""Relay tasks: what is wanted of each (`tasks`), and what sees that it is so (`running`)."""
