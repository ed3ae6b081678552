"""Control and engine talking to each other: one message set, several carriers."""
