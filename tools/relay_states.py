"""The states of a relay task as a diagram, drawn from the table that the server goes by."""

from __future__ import annotations

from penstock.domain.relays.states import TRANSITIONS, TaskState, Trigger

_START_OR_END = "[*]"


def diagram() -> str:
    """Return it as Mermaid text, in a fence; triggers that lead the same way share an arrow."""
    arrows: dict[tuple[str, str], list[Trigger]] = {}
    for (origin, trigger), targets in TRANSITIONS.items():
        for target in targets:
            arrows.setdefault((_name(origin), _name(target)), []).append(trigger)
    names = [f"    {_name(state)}: {state}" for state in TaskState]
    lines = [f"    {origin} --> {target}: {', '.join(by)}" for (origin, target), by in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *names, *lines, "```"])


def _name(state: TaskState | None) -> str:
    return _START_OR_END if state is None else state.name.lower()
