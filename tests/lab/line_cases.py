# SPDX-License-Identifier: GPL-2.0-or-later
"""An interrupt line that a guest's card shares with a card of dom0's. Each test is a function of a World, as in cases.py."""
import re
import time

from aer_cases import wait_for
from cases import FUNCTION, GATEWAY, check
from lab import LEGACY, NEIGHBOUR

MASTER, INTX_DISABLE = 0x0004, 0x0400  # in COMMAND
ACKNOWLEDGED = 20000  # a fifth of what the kernel counts for a verdict
RAISE = f"raise_line {FUNCTION}/resource0"  # then for how many seconds, and how many microseconds between two


def line_counts(lab):
    """How often the shared line has interrupted dom0, and how often dom0's kernel has given it up."""
    text = lab.sh("grep -w 21: /proc/interrupts; dmesg | grep -c 'nobody cared' || true").split()
    return int(text[1]), int(text[-1])


def dom0_answers(lab):
    """Whether dom0's own card on the shared line gets its interrupts. The kernel still asks the drivers of a line that
    it has given up, ten times a second, so that an answer alone says nothing."""
    before = line_counts(lab)[0]
    return not lab.run(f"ping -q -c 3 -w 5 {GATEWAY}")[0] and line_counts(lab)[0] > before


def start_neighbour(lab):
    """Has dom0's driver take the other card of the line, and the kernel count the line's interrupts anew."""
    name = f"$(ls /sys/bus/pci/devices/{NEIGHBOUR}/net)"
    lab.sh(f"modprobe 8139cp; ip link set {name} down; ip link set {name} up; ip addr replace 10.0.2.15/24 dev {name}; sleep 2")


def let_run(lab, microseconds):
    """For how long Xen lets a domain run although another could: 1000 if nothing else is said. A guest that raises its
    line without any pause gets no more than 120 interrupts a second through then, without it some thousands."""
    lab.sh(f"xl sched-credit2 -s -p Pool-0 -r {microseconds}")


# Has the shell in dom0 wait until the line has interrupted dom0 so often in all, or no more (the drivers of a line that is given
# up are asked ten times a second), or so many times 2 s are over. Says how often it did, and the most per mille that dom0 has left
# unclaimed, as its kernel counts it for its verdict: over 999 of 100,000 it gives the line up, but it counts the unclaimed ones
# anew when none has come for 100 ms (kernel/irq/spurious.c, note_interrupt). So nothing runs meanwhile that takes time.
WAIT = """n=0 worst=0 look=0
while [ $look -lt {looks} ]; do
  sleep 2; look=$((look + 1)); before=$n
  IFS=, read n _ < /sys/kernel/irq/21/per_cpu_count
  { read _ count; read _ unclaimed; } < /proc/irq/21/spurious
  share=$((unclaimed * 1000 / (count > 1000 ? count : 1000))) # of the first few it says nothing
  [ $share -le $worst ] || worst=$share
  [ $n -lt {total} ] && [ $((n - before)) -ge 40 ] || break
done
echo $n $worst"""


def raise_until(lab, guest, count, limit, pause=0):
    """Has the guest's card interrupt until the line has interrupted dom0 so often more, or is given up; returns how
    often, and the most that dom0 left unclaimed meanwhile."""
    first, _ = line_counts(lab)
    guest.sh(f"{RAISE} {limit} {pause} >/dev/null 2>&1 & echo $! >/tmp/raise.pid")
    began = time.monotonic()
    said = lab.sh(WAIT.replace("{looks}", str(limit // 2)).replace("{total}", str(first + count)), limit + 60).split()
    took, worst = time.monotonic() - began, int(said[1]) / 1000
    guest.sh("kill $(cat /tmp/raise.pid) || true")
    seen = line_counts(lab)[0] - first
    print(f"  {seen} interrupts in {took:.0f} s, {100 * worst:.1f} % of a window unclaimed at most", flush=True)
    return seen, worst


def check_acknowledged(world, guest):
    """Interrupts of the guest's card pass, and dom0 claims enough to keep its line by far. While the guest raises the next at
    once, dom0 sees each and claims it. That is slow in emulation, so most come with a pause, in which the guest serves its
    card before dom0 looks: dom0's handler then claims but some of them."""
    lab, backend = world.lab, world.backend
    given_up = line_counts(lab)[1]
    let_run(lab, 0)
    seen, _ = raise_until(lab, guest, 1500, 60)
    line = backend.function(LEGACY)["line"]
    check(seen >= 1500 and line["acknowledged"] > 0.9 * seen, f"of {seen} interrupts: {line}")
    let_run(lab, 1000)
    more, worst = raise_until(lab, guest, ACKNOWLEDGED, 480, 300)
    line = backend.function(LEGACY)["line"]
    check(more >= ACKNOWLEDGED, f"only {more} interrupts came: {line}")
    check(worst < 0.9, f"dom0 left {100 * worst:.1f} % unclaimed: {line}")
    check(line_counts(lab)[1] == given_up and dom0_answers(lab), f"dom0 lost its line after {seen + more} interrupts: {line}")
    guest.sh(f"ping -q -c 3 {GATEWAY}")
    check(line["decision"] == "acknowledge" and line["danger"] == "none", f"pcibackd says {line}")


def check_given_up(world, guest):
    """Nobody acknowledges: dom0's kernel gives the line up after 100,000 interrupts, and the daemon has warned."""
    lab, backend = world.lab, world.backend
    given_up = line_counts(lab)[1]
    lab.sh(f"pcibackctl acknowledge {LEGACY} off")
    start_neighbour(lab)  # so that the count starts from here
    let_run(lab, 0)
    seen, _ = raise_until(lab, guest, 210000, 480)
    line = backend.function(LEGACY)["line"]
    check(line_counts(lab)[1] == given_up + 1, f"dom0 still has its line after {seen} interrupts: {line}")
    check("Disabling IRQ #21" in lab.sh("dmesg"), "dom0's kernel says nothing of line 21")
    check(not dom0_answers(lab), "dom0's card has its interrupts although the kernel gave its line up")
    guest.sh(f"ping -q -c 3 {GATEWAY}")
    log = lab.read(backend.log)
    check(re.search(rb"error: line 21: dom0 claims hardly any", log), "the daemon did not warn")
    check(re.search(rb"critical: line 21: dom0's kernel has given it up", log), "the daemon did not tell")
    check(backend.function(LEGACY)["line"]["danger"] == "given up", f"pcibackd says {line}")


def start_card(guest):
    guest.sh("modprobe e1000; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; sleep 3")
    guest.sh(f"ping -q -c 3 {GATEWAY}")


def command(lab):
    """The card's COMMAND."""
    return int(lab.sh(f"setpci -s {LEGACY} COMMAND"), 16)


def test_restarted_line(world):
    """The daemon is killed under a guest whose line dom0 shares. dom0's handler masks the card's next interrupt for good, but
    the card goes on mastering the bus, and loses no descriptor; the next daemon lets its interrupts through, acknowledges, and
    serves the guest."""
    lab = world.lab
    start_neighbour(lab)
    backend = world.serve({LEGACY: {}})
    guest = backend.guest("legacy", [LEGACY])
    start_card(guest)
    for number in range(2):
        backend.kill()
        # Where the guest is faster than dom0's handler nothing is masked: with enough interrupts it once is not.
        guest.sh(f"ping -q -i 0.005 -w 30 {GATEWAY} >/dev/null 2>&1 &")
        wait_for(40, "dom0's handler masks the card's INTx", lambda: command(lab) & INTX_DISABLE)
        guest.sh("killall ping")
        check(guest.run(f"ping -q -c 2 -w 4 {GATEWAY}")[0], "the card works although its INTx is masked")
        check(command(lab) & MASTER, "the card does not master the bus any more")
        backend.start()
        wait_for(10, "the guest is served again", lambda: backend.function(LEGACY)["state"] == "leased")
        account = backend.function(LEGACY)
        line = account["line"]
        check(account["state"] == "leased" and line["decision"] == "acknowledge" and line["holder"] == "uio_pci_generic"
              and line["acknowledging"], f"after {number + 1} kills pcibackd says {account}")
        guest.sh(f"ping -q -c 5 -i 0.2 {GATEWAY}; setpci -s 0:0.0 COMMAND")
        check(dom0_answers(lab), "dom0's card does not work any more")

    def acknowledges():  # an interrupt that the guest has served before dom0 looks is not claimed
        guest.sh(f"ping -q -c 20 -i 0.01 {GATEWAY}")
        return backend.function(LEGACY)["line"]["acknowledged"] > 0
    wait_for(60, "the last daemon acknowledges", acknowledges)
    guest.destroy()
    backend.guests.remove(guest)
    backend.wait_until_held([LEGACY])
    world.end()
    lab.sh("modprobe -r 8139cp")


def test_shared_line(world):
    """A guest's card and a card of dom0's share a level line: both work while dom0 acknowledges the guest's interrupts, of
    which its kernel counts enough as claimed; without, it gives the line up; acknowledging again revives it."""
    lab = world.lab
    start_neighbour(lab)
    check(dom0_answers(lab), "dom0's card does not work to begin with")
    backend = world.serve({LEGACY: {}})
    guest = backend.guest("legacy", [LEGACY], extra="iomem=relaxed")
    start_card(guest)
    line = backend.function(LEGACY)["line"]
    check(line["decision"] == "acknowledge" and line["holder"] == "uio_pci_generic", f"pcibackd says {line}")
    try:
        check_acknowledged(world, guest)
        check_given_up(world, guest)
        lab.sh(f"pcibackctl acknowledge {LEGACY} on")
        check(dom0_answers(lab), "dom0's card does not work again")
        guest.sh(f"ping -q -c 3 {GATEWAY}")
    finally:
        let_run(lab, 1000)
    world.end()
    lab.sh("modprobe -r 8139cp")


TESTS = (test_restarted_line, test_shared_line)
