# SPDX-License-Identifier: GPL-2.0-or-later
"""The way of an interrupt on a line that a guest's card shares with one of dom0's: how many a second get through to the guest,
and to dom0, whose handler acknowledges each for the guest's card. The guest's card raises the line again as soon as it is served."""
from lab import LEGACY
from line_cases import RAISE, let_run, line_counts, start_card, start_neighbour

SECONDS = 20


def guest_count(guest):
    """How often the guest's card has interrupted it."""
    return int(guest.sh("awk '/eth0/ {print $2}' /proc/interrupts"))


def line_turn(lab, backend_type):
    """One guest of one backend: interrupts a second."""
    start_neighbour(lab)
    let_run(lab, 0 if lab.processors == 1 else 1000)
    try:
        with backend_type(lab, {LEGACY: {}}) as backend:
            guest = backend.guest("line", [LEGACY], extra="iomem=relaxed")
            start_card(guest)
            before, (dom0, given_up) = guest_count(guest), line_counts(lab)
            guest.sh(f"{RAISE} {SECONDS} 0", SECONDS + 60)
            after, (dom0_after, given_up_after) = guest_count(guest), line_counts(lab)
    finally:
        let_run(lab, 1000)
    if given_up_after != given_up:
        raise RuntimeError("dom0's kernel has given up the line")
    return {"guest_interrupts": (after - before) / SECONDS, "dom0_interrupts": (dom0_after - dom0) / SECONDS}
