"""Who asks for an action, whichever door the question came through."""

from __future__ import annotations

from msgspec import Struct

from penstock.errors import DryRun


class Caller(Struct, frozen=True, kw_only=True):
    """A key that is known, and the account that it acts for."""

    account: str
    access_key: str
    sub_account: bool = False
    cloud: str = ""  # the dialect that it spoke; "": the operator, by the admin socket
    dry_run: bool = False

    def about_to_act(self) -> None:
        """To be called by each action after its last check and before its first change.

        Raises:
            DryRun: the caller only wanted to know whether it would work.
        """
        if self.dry_run:
            raise DryRun("it would have worked; nothing was done, as DryRun is set")
