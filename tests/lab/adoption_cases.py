# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose daemon is killed and started again while they work. Each test is a function of a World, as in cases.py."""
import os
import statistics
import time

from cases import GATEWAY, check, check_disk_content, check_vectors, interrupts, start_disk, start_network
from kill_cases import check_no_more, kept_open, left_behind
from lab import DISK, LEGACY, NIC
from line_cases import dom0_answers, start_card, start_neighbour

KILLS = int(os.environ.get("LAB_KILLS", "12"))
CONNECTIONS = 4  # of the worker to the host process: as many as it has ever needed at once
READS = 8  # of the disk in each turn, one at a time: so many interrupts

# Each reads again and again, and says how often, and what went wrong: the disk past the page cache, and the header of its
# configuration space, which is 16 operations.
READ = f"dd if=/dev/nvme0n1 bs=128k iflag=direct count={READS} 2>/dev/null | sha256sum"
READ_DISK = (f"wanted=$({READ}); n=0; bad=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); sleep 0.2; "
             f"[ \"$({READ})\" = \"$wanted\" ] || bad=$((bad+1)); done; echo $n $bad > /tmp/disk")
HEADER = "dd if=/sys/bus/pci/devices/0000:00:00.0/config bs=64 count=1 2>/dev/null | sha256sum"
READ_CONFIG = (f"wanted=$({HEADER}); n=0; bad=0; worst=0; "
               "while [ ! -e /tmp/stop ]; do n=$((n+1)); sleep 0.05; read from _ < /proc/uptime; "
               f"[ \"$({HEADER})\" = \"$wanted\" ] || bad=$((bad+1)); "
               "read to _ < /proc/uptime; took=$(( ${to%.*}${to#*.} - ${from%.*}${from#*.} )); [ $took -gt $worst ] && worst=$took; "
               "done; echo $n $bad $worst > /tmp/config")


def replace(backend, guests, which):
    """Kills one of the daemon's processes and starts another daemon; returns the seconds until it serves all guests again, as
    its log has it: to ask it would take the emulated processor longer than it takes itself."""
    said = f"grep -c 'is served again, with' {backend.log}"
    times = backend.lab.sh(f"before=$({said}); read from _ < /proc/uptime; {backend.replacement(which)}; "
                           f"for i in $(seq 300); do [ $({said}) -ge $((before + {len(guests)})) ] && break; sleep 0.05; done; "
                           "read to _ < /proc/uptime; echo $from $to; exit $((i == 300))", 90).split()
    return float(times[1]) - float(times[0])


def results(guest, name, count):
    """What a loop in the guest has counted."""
    return [int(word) for word in guest.sh(f"for i in $(seq 600); do [ -e /tmp/{name} ] && break; sleep 0.1; done; cat /tmp/{name}", 90).split()][:count]


def started_work(world):
    """Three guests at work: one exchanges packets, one reads its disk and its configuration space, and one exchanges packets by a card
    whose line dom0's own card shares."""
    network, disk = world.pair()
    start_neighbour(world.lab)
    line = world.backend.guest("line", [LEGACY])
    start_network(network)
    start_disk(disk)
    start_card(line)
    for guest in (network, line):
        guest.sh(f"ping -i 0.2 {GATEWAY} > /tmp/ping 2>&1 & echo $! > /tmp/ping.pid")
    return network, disk, line


def completions(guest):
    """How many interrupts of its disk's own queue the guest has had."""
    return interrupts(guest, "nvme0q.*")["nvme0q1"][1]


def check_disk_work(disk, before):
    """The disk's guest has read what it should, and was told of each read; its frontend was answered."""
    disk.sh("touch /tmp/stop")
    reads, wrong = results(disk, "disk", 2)
    looks, other, worst = results(disk, "config", 3)
    told = completions(disk) - before
    print(f"  {reads} reads of the disk, {told} interrupts of it; {looks} of the configuration space, {other} of them failed, "
          f"the slowest took {worst * 10} ms", flush=True)
    check(reads >= KILLS and not wrong, f"of {reads} reads of the disk {wrong} gave other bytes")
    check(told == READS * (reads + 1), f"for {READS * (reads + 1)} commands to the disk {told} interrupts came")
    check(looks >= KILLS and not other, f"of {looks} reads of the configuration space {other} gave other bytes")


def check_packets(guest):
    """Each packet that the guest has sent was answered."""
    guest.sh("kill -INT $(cat /tmp/ping.pid); sleep 1")
    sent = guest.sh("grep transmitted /tmp/ping").strip()
    print(f"  {guest.name}: {sent}", flush=True)
    check(" 0% packet loss" in sent, f"{guest.name}: {sent}")


def check_everything_works(world, network, disk):
    """As if nothing had been: drivers begin again, a card is taken and given."""
    check_disk_content(world, disk)
    disk.sh("modprobe -r nvme", 60)
    check_vectors(world, DISK, "intx", 0)
    start_disk(disk)
    seen = interrupts(network, "eth0.*")
    network.sh(f"ping -q -c 5 -i 0.2 {GATEWAY}")
    check(interrupts(network, "eth0.*")["eth0-rx-0"][1] > seen["eth0-rx-0"][1], "the card's interrupts do not come")
    world.lab.sh(f"pcibackctl detach {network.domain} {NIC}", 60)
    world.backend.wait_until_held([NIC])
    world.backend.attach(network, NIC)
    network.sh("for i in $(seq 100); do [ -e /sys/class/net/eth0 ] && exit 0; sleep 0.2; done; exit 1", 60)
    start_network(network)


def test_adoption(world):
    """The daemon is killed again and again, either process in turn, while three guests work. Nothing fails, nothing is lost, nothing is
    left open, and afterwards everything that a daemon does for them it does. The machine's clock counts instructions: what follows
    closely for a processor does so for the guests, whatever else this host does."""
    lab = world.lab
    # All share one emulated processor. On hosts dom0 need not wait for guests that keep theirs busy.
    lab.sh("xl sched-credit2 -d Domain-0 -w 65535")
    guests = network, disk, line = started_work(world)
    backend, domains = world.backend, [guest.domain for guest in guests]
    told = completions(disk)
    disk.sh(f"({READ_DISK}) & ({READ_CONFIG}) & sleep 3")
    vectors = {address: len(backend.function(address)["vectors"]) for address in (NIC, DISK)}
    times, open_then = [], None
    for number in range(KILLS):
        time.sleep(0.3 * (number % 4))
        times.append(replace(backend, guests, ("host", "worker")[number % 2]))
        time.sleep(2)
        if number == 1:  # either process is another than at first
            open_then = kept_open(lab)
    open_now, account = kept_open(lab), backend.list()
    print(f"  {KILLS} kills: served again after {statistics.median(times):.1f} s, at most {max(times):.1f} s", flush=True)
    check(all(f["state"] == "leased" for f in account["functions"]) and all(d["connected"] for d in account["domains"]),
          f"pcibackd says {account}")
    for address, count in vectors.items():
        check_vectors(world, address, "msix", count)
    check_disk_work(disk, told)
    for guest in (network, line):
        check_packets(guest)
    for guest in guests:
        check("not responding" not in guest.sh("dmesg"), f"the frontend of {guest.name} had to wait too long")
    check(dom0_answers(lab), "dom0's own card on the line does not work")
    check_no_more((open_then[0] + CONNECTIONS, *open_then[1:]), open_now)
    check_everything_works(world, network, disk)
    lab.sh("xl sched-credit2 -d Domain-0 -w 256")
    world.end()
    left = left_behind(lab, domains)
    check(not left, f"left behind: {left[:20]}")
    lab.sh("modprobe -r 8139cp")


TESTS = (test_adoption,)
