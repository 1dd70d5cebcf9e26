"""An interrupt line that a guest's card shares with a card of dom0's. Each test is a function of a World, as in cases.py."""
import re
import time

from cases import FUNCTION, GATEWAY, check
from lab import LEGACY, NEIGHBOUR

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


def raise_until(lab, guest, count, limit, pause=0):
    """Has the guest's card interrupt until the line has interrupted dom0 so often more, or is given up; returns how
    often."""
    first, given_up = line_counts(lab)
    deadline = time.monotonic() + limit
    guest.sh(f"{RAISE} {limit} {pause} >/dev/null 2>&1 & echo $! >/tmp/raise.pid")
    while (seen := line_counts(lab))[0] < first + count and seen[1] == given_up and time.monotonic() < deadline:
        time.sleep(4)  # asking costs dom0 as much as hundreds of interrupts
    guest.sh("kill $(cat /tmp/raise.pid) || true")
    return line_counts(lab)[0] - first


def check_acknowledged(world, guest):
    """120,000 interrupts of the guest's card pass, and dom0 keeps its line. While the guest raises the next at once,
    dom0 sees each and claims it. That is slow in emulation, so most come with a pause, in which the guest serves its card
    before dom0 looks: dom0's handler then claims but some of them."""
    lab, backend = world.lab, world.backend
    given_up = line_counts(lab)[1]
    let_run(lab, 0)
    seen = raise_until(lab, guest, 1500, 60)
    line = backend.function(LEGACY)["line"]
    check(seen >= 1500 and line["acknowledged"] > 0.9 * seen, f"of {seen} interrupts: {line}")
    let_run(lab, 1000)
    seen += raise_until(lab, guest, 120000 - seen, 480, 300)
    line = backend.function(LEGACY)["line"]
    check(seen >= 120000, f"only {seen} interrupts came: {line}")
    check(line_counts(lab)[1] == given_up and dom0_answers(lab), f"dom0 lost its line after {seen} interrupts: {line}")
    guest.sh(f"ping -q -c 3 {GATEWAY}")
    check(line["decision"] == "acknowledge" and line["danger"] == "none", f"pcibackd says {line}")


def check_given_up(world, guest):
    """Nobody acknowledges: dom0's kernel gives the line up after 100,000 interrupts, and the daemon has warned."""
    lab, backend = world.lab, world.backend
    given_up = line_counts(lab)[1]
    lab.sh(f"pcibackctl acknowledge {LEGACY} off")
    start_neighbour(lab)  # so that the count starts from here
    let_run(lab, 0)
    seen = raise_until(lab, guest, 210000, 480)
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


def test_restarted_line(world):
    """The daemon is killed under a guest whose line dom0 shares. The kernel takes bus mastering from the card and masks its
    interrupts; the next daemon gives both back, and acknowledges."""
    lab = world.lab
    start_neighbour(lab)
    backend = world.serve({LEGACY: {}})
    guest = backend.guest("legacy", [LEGACY])
    start_card(guest)
    for number in range(2):
        backend.kill()
        check(guest.run(f"ping -q -c 2 -w 4 {GATEWAY}")[0], "the card works although nobody acknowledges: this shows nothing")
        backend.start()
        account = backend.function(LEGACY)
        line = account["line"]
        check(account["state"] == "inherited" and line["decision"] == "acknowledge" and line["holder"] == "uio_pci_generic"
              and line["acknowledging"], f"after {number + 1} kills pcibackd says {account}")
        guest.sh(f"ping -q -c 5 -i 0.2 {GATEWAY}")
        check(dom0_answers(lab), "dom0's card does not work any more")
    check(backend.function(LEGACY)["line"]["acknowledged"] > 0, "the last daemon acknowledged nothing")
    guest.destroy()
    backend.guests.remove(guest)
    backend.wait_until_held([LEGACY])
    world.end()
    lab.sh("modprobe -r 8139cp")


def test_shared_line(world):
    """A guest's card and a card of dom0's share a level line: both work through 120,000 interrupts while dom0 acknowledges
    the guest's; without, dom0's kernel gives the line up; acknowledging again revives it."""
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


TESTS = (test_shared_line,)
# Run when named alone: the guest's card does not answer after the daemon was killed, as it does on the simulated host.
OPEN = (test_restarted_line,)
