# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose daemon is killed and started again while they work. Each test is a function of a World, as in cases.py."""
import statistics
import time

from cases import GATEWAY, check, check_disk_content, check_vectors, interrupts, start_disk, start_network
from lab import DISK, NIC

KILLS = 12

# Each reads again and again, and says how often, and what went wrong: the disk past the page cache, and the header of its
# configuration space, which is 16 operations.
READ_DISK = ("wanted=$(dd if=/dev/nvme0n1 bs=256k iflag=direct count=8 2>/dev/null | sha256sum); n=0; bad=0; "
             "while [ ! -e /tmp/stop ]; do n=$((n+1)); sleep 0.2; "
             "[ \"$(dd if=/dev/nvme0n1 bs=256k iflag=direct count=8 2>/dev/null | sha256sum)\" = \"$wanted\" ] || bad=$((bad+1)); "
             "done; echo $n $bad > /tmp/disk")
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


def test_adoption(world):
    """The daemon is killed again and again, either process in turn, while one guest reads its disk and its configuration space,
    and another exchanges packets. Nothing fails, nothing is lost, and afterwards everything that a daemon does for them it does."""
    lab = world.lab
    # All share one emulated processor. On hosts dom0 need not wait for guests that keep theirs busy.
    lab.sh("xl sched-credit2 -d Domain-0 -w 65535")
    network, disk = world.pair()
    backend = world.backend
    start_network(network)
    start_disk(disk)
    network.sh(f"ping -i 0.2 {GATEWAY} > /tmp/ping 2>&1 & echo $! > /tmp/ping.pid")
    disk.sh(f"({READ_DISK}) & ({READ_CONFIG}) & sleep 3")
    before = len(backend.function(NIC)["vectors"]), len(backend.function(DISK)["vectors"])
    times = []
    for number in range(KILLS):
        time.sleep(0.3 * (number % 4))
        times.append(replace(backend, (network, disk), ("host", "worker")[number % 2]))
        time.sleep(2)
    account = backend.list()
    check(all(f["state"] == "leased" for f in account["functions"]) and all(d["connected"] for d in account["domains"]),
          f"pcibackd says {account}")
    check_vectors(world, NIC, "msix", before[0])
    check_vectors(world, DISK, "msix", before[1])
    disk.sh("touch /tmp/stop")
    reads, wrong = results(disk, "disk", 2)
    looks, other, worst = results(disk, "config", 3)
    network.sh("kill -INT $(cat /tmp/ping.pid); sleep 1")
    sent = network.sh("grep transmitted /tmp/ping")
    print(f"  {KILLS} kills: served again after {statistics.median(times):.1f} s, at most {max(times):.1f} s; {reads} reads of the "
          f"disk, {looks} of the configuration space, the slowest {worst * 10} ms; {sent.strip()}", flush=True)
    check(reads >= KILLS and not wrong, f"of {reads} reads of the disk {wrong} gave other bytes")
    # Linux's frontend gives up after 2 s, which a busy emulation may take for what takes hosts a fraction of one.
    slow = sum(took > 1.5 for took in times)
    check(looks >= KILLS and other <= 2 * slow, f"of {looks} reads of the configuration space {other} gave other bytes")
    check(" 0% packet loss" in sent, sent)
    for guest in (network, disk):
        check(slow or "not responding" not in guest.sh("dmesg"), f"the frontend of {guest.name} had to wait too long")
    # And now as if nothing had been.
    check_disk_content(world, disk)
    disk.sh("modprobe -r nvme", 60)
    check_vectors(world, DISK, "intx", 0)
    start_disk(disk)
    seen = interrupts(network, "eth0.*")
    network.sh(f"ping -q -c 5 -i 0.2 {GATEWAY}")
    check(interrupts(network, "eth0.*")["eth0-rx-0"][1] > seen["eth0-rx-0"][1], "the card's interrupts do not come")
    lab.sh(f"pcibackctl detach {network.domain} {NIC}", 60)
    backend.wait_until_held([NIC])
    backend.attach(network, NIC)
    network.sh("for i in $(seq 100); do [ -e /sys/class/net/eth0 ] && exit 0; sleep 0.2; done; exit 1", 60)
    start_network(network)
    lab.sh("xl sched-credit2 -d Domain-0 -w 256")
    world.end()


TESTS = (test_adoption,)
