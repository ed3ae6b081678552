"""What this room raises of itself; what a request cannot have is a `DomainError`, as everywhere."""

from penstock.errors import PenstockError


class StorageError(PenstockError):
    """The store cannot be opened, read or written."""
