# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose kernel does its backend all the harm it can. Each test is a function of a World, as in cases.py."""
import os
import re
import statistics

from cases import FUNCTION, check, check_disk_content, start_disk
from lab import DISK, NIC

MINUTES = float(os.environ.get("LAB_HOSTILE_MINUTES", "0.7"))
RATE = 1500  # operations a second: more than a decent guest's of this machine, fewer than it could be made to serve
SLOWER = 2
MORE_MEMORY_KIB = 1024
LINES_A_MINUTE = 10
LINES_AT_ONCE = 40  # of all kinds, to begin with
TICKS = 100  # a second, in /proc/PID/stat
ACCOUNT = re.compile(r"hostile: done, (\d+) connections, (\d+) answers, (\d+) unanswered, (\d+) times MSI-X, (\d+) events, (\d+) nodes, (\d+) resets")


def account(backend):
    """What the daemon has cost so far: dom0's uptime, seconds of the processor, KiB of memory of its own, lines of its log."""
    host, _, worker = backend.processes()
    text = backend.lab.sh(f"cut -d' ' -f1 /proc/uptime; cat /proc/{host}/stat /proc/{worker}/stat; "
                          f"grep -h RssAnon /proc/{host}/status /proc/{worker}/status; wc -l < {backend.log}").splitlines()
    spent = sum(int(word) for line in text[1:3] for word in line.rsplit(")", 1)[1].split()[11:13])
    return float(text[0]), spent / TICKS, sum(int(line.split()[1]) for line in text[3:5]), int(text[5])


def read_page(guest):
    """Microseconds of a read of the 4 KiB of a configuration space, which is 1024 operations."""
    return int(guest.sh(f"guest_clock config {FUNCTION}/config 1", 120))


def test_hostile_frontend(world):
    """A guest attacks its backend from two processors, with its page, its events, its nodes, its grants, its interrupts and its card,
    while another reads its disk: that one hardly notices, and the daemon neither grows nor fills its log. Compared is with the
    time while the same guest keeps its processors busy with nothing. Then both leave, and the next guest has both functions."""
    lab = world.lab
    lab.sh("xl sched-credit2 -d Domain-0 -w 65535")
    backend = world.serve({NIC: {}, DISK: {}}, keys={"access_rate": RATE})
    disk = backend.guest("victim", [DISK])
    start_disk(disk)
    hostile = backend.guest("hostile", [NIC], processors=2)
    hostile.sh("echo pci-0 > /sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront; insmod /lib/hostile_pcifront.ko harmless=1 seconds=600", 90)
    calm = [read_page(disk) for _ in range(5)]
    hostile.sh("rmmod hostile_pcifront; dmesg -c > /dev/null")
    backend.list()
    before = account(backend)
    # What it is asked it answers late from now on, and so it is left alone until it has ended.
    hostile.sh(f"(sleep 1; insmod /lib/hostile_pcifront.ko seconds={MINUTES * 60:.0f}) > /dev/null 2>&1 &")
    disturbed = []
    while float(lab.sh("cut -d' ' -f1 /proc/uptime")) - before[0] < MINUTES * 60:
        disturbed.append(read_page(disk))
    after = account(backend)
    said = ACCOUNT.search(hostile.sh("for i in $(seq 60); do dmesg | grep 'hostile: done' && exit 0; sleep 1; done; dmesg | tail; exit 1", 180))
    check_disk_content(world, disk)
    took, spent, grown, lines = (later - earlier for earlier, later in zip(before, after))
    connections, answered, _, switched, events, nodes, resets = (int(word) for word in said.groups())
    slower = statistics.median(disturbed) / statistics.median(calm)
    print(f"  {took:.0f} s, {connections} connections, {answered} answers, {switched} times MSI-X, {events} events, {nodes} nodes, {resets} resets; "
          f"{len(disturbed)} pages read by the other guest, {slower:.2f} times as slow; the daemon took {100 * spent / took:.0f} % of the processor, "
          f"{grown} KiB and {lines} lines of its log", flush=True)
    check(connections > 1 and answered > 100 and switched > 0 and events > 10000 and nodes > 100 and resets > 100, f"it was not hostile: {said[0]}")
    check(slower <= SLOWER, f"the other guest's reads take {slower:.2f} times as long: {calm}, then {disturbed}")
    check(grown <= MORE_MEMORY_KIB, f"the daemon has grown by {grown} KiB")
    check(lines <= max(LINES_AT_ONCE, LINES_A_MINUTE * took / 60), f"the daemon has written {lines} lines in {took:.0f} s")
    hostile.sh("rmmod hostile_pcifront")
    for guest in (hostile, disk):
        guest.shut_down()
        backend.guests.remove(guest)
    backend.wait_until_held([NIC, DISK])
    heir = backend.guest("heir", [NIC, DISK])
    start_disk(heir)
    check_disk_content(world, heir)
    lab.sh("xl sched-credit2 -d Domain-0 -w 256")
    world.end()


TESTS = (test_hostile_frontend,)
