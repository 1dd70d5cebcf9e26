#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures pcibackd beside the kernel's xen-pciback in one boot, beside itself in one process, or beside a bare loop of system
calls, which is the least that a process in user space can take for a read (dom0/bare_loop.c): the cost of a configuration
read, how long it takes from an attach to the guest's driver, and how many interrupts a second pass on a line that dom0 shares.
The two take turns, each with new guests, so that neither has the better hour.

The machine's clock counts instructions, 16 ns each, which is about what emulation takes: times then say how much work was
done, and are the same in each run. --clock host takes the real ones; they differ from run to run by more than what is to
be seen. Either way 1 ms of each configuration read is the frontend's, whoever answers: it waits with a time-out that is
long past (pcifront gives jiffies where Xen takes nanoseconds), so it does not sleep, and on the lab's one processor Xen
lets it spin until its minimal time slice is over (sched_ratelimit_us). "Without the slice" is what is left.

With --processors 2 dom0 has one and the guest the other, as on hosts, and the daemon looks for what follows an operation by
itself. Such a machine's clock is the host's; the emulation stalls for seconds now and then, so only medians of pages mean
something. Between two pages the guest rests, as it does between two scans of a bus.

  bench.py [--only daemon|kernel] [--against kernel|one-process|bare-loop] [--clock instructions|host] [--processors N] [--programs DIR] [--directory DIR] [--turns N] [--reads N] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

import emulator
from backend import BareLoop, Daemon, Kernel, OneProcess
from bench_line import line_turn
from cases import FUNCTION
from image import Images
from lab import DISK, Guest, Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKENDS = {"pcibackd": Daemon, "xen-pciback": Kernel, "one process": OneProcess, "bare loop": BareLoop}
OTHERS = {"kernel": "xen-pciback", "one-process": "one process", "bare-loop": "bare loop"}
ACCESSES = 1024  # a read of 4 KiB is that many configuration reads of 4 bytes
SLICE_US = 1000  # Xen's default


def attach_times(lab, backend):
    """Attaches the disk to a running guest; returns it, and milliseconds until the function was there and its driver bound,
    as dom0 learns of it on the guest's console."""
    guest = Guest(lab, "bench")
    backend.guests.append(guest)
    guest.sh("modprobe nvme", 90)
    guest.sh("guest_clock probe 0000:00:00.0 60 > /dev/console 2>&1 &")
    lab.sh(f"guest_clock watch {guest.log} $(wc -c < {guest.log}) 90 probe-add probe-bind > /tmp/watch & sleep 1")
    started = int(lab.sh("guest_clock now"))
    backend.attach(guest, DISK)
    lab.sh("for i in $(seq 300); do grep -q bind /tmp/watch && exit 0; sleep 0.2; done; cat /tmp/watch; exit 1", 90)
    seen = {word: int(when) for word, when in (line.split() for line in lab.sh("cat /tmp/watch").splitlines())}
    return guest, {"appears_ms": (seen["probe-add"] - started) / 1000, "driver_ms": (seen["probe-bind"] - started) / 1000}


def turn(lab, backend_type, reads):
    """A guest with a disk, of one backend: microseconds of each 4-byte configuration read, and its attach; and one with a card on
    a shared line: interrupts a second."""
    with backend_type(lab, {DISK: {}}) as backend:
        guest, attach = attach_times(lab, backend)
        guest.sh("for i in $(seq 100); do [ -e /dev/nvme0n1 ] && exit 0; sleep 0.2; done; exit 1")
        with backend.reading(guest):
            if lab.processors > 1:
                times = [guest.sh(f"sleep 2; guest_clock config {FUNCTION}/config 1", 60).strip() for _ in range(reads)]
            else:
                times = guest.sh(f"guest_clock config {FUNCTION}/config {reads}", 60 + 10 * reads).split()
        figures = {"read_us": [int(t) / ACCESSES for t in times], **attach}
    return figures | line_turn(lab, backend_type)


def summary(turns):
    """The turns of one backend as figures."""
    reads = [read for one in turns for read in one["read_us"]]
    return {"reads": len(reads), "read_us_mean": statistics.mean(reads),
            "read_us_median": statistics.median(reads), "read_us_min": min(reads), "read_us_max": max(reads),
            "beyond_slice_us_mean": statistics.mean(reads) - SLICE_US,
            "appears_ms": statistics.mean(one["appears_ms"] for one in turns),
            "driver_ms": statistics.mean(one["driver_ms"] for one in turns),
            "driver_ms_min": min(one["driver_ms"] for one in turns),
            **{key: statistics.mean(one[key] for one in turns) for key in ("guest_interrupts", "dom0_interrupts")}}


def show(results, clock):
    print(f"\n{f'in the lab (clock: {clock})':<30}" + "".join(f"{name:>14}" for name in results) + ("         ratio" if len(results) == 2 else ""))
    for key, label in (("read_us_mean", "configuration read, mean, us"), ("read_us_median", "the median, us"),
                       ("read_us_min", "fastest 4 KiB, us a read"), ("beyond_slice_us_mean", "without the slice, mean, us"),
                       ("appears_ms", "attach to function, ms"), ("driver_ms", "attach to driver bound, ms"),
                       ("driver_ms_min", "the fastest, ms"), ("guest_interrupts", "shared line, to guest, 1/s"),
                       ("dom0_interrupts", "shared line, to dom0, 1/s")):
        values = [figures[key] for figures in results.values()]
        ratio = f"{values[0] / values[1]:>14.3f}" if len(values) == 2 else ""
        print(f"{label:<30}" + "".join(f"{value:>14.1f}" for value in values) + ratio)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("daemon", "kernel"))
    parser.add_argument("--against", choices=OTHERS, default="kernel")
    parser.add_argument("--clock", choices=("instructions", "host"), default="instructions")
    parser.add_argument("--processors", type=int, default=1)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--directory", type=pathlib.Path, default=os.environ.get("LAB_DIR", ROOT / "build/lab"))
    parser.add_argument("--turns", type=int, default=2, help="guests of each backend")
    parser.add_argument("--reads", type=int, default=8, help="reads of 4 KiB in each guest")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/lab/bench.json")
    wanted = parser.parse_args()
    if wanted.processors > 1:
        wanted.clock = "host"
    names = {"daemon": ["pcibackd"], "kernel": ["xen-pciback"]}.get(wanted.only, ["pcibackd", OTHERS[wanted.against]])
    programs = [wanted.programs / name for name in ("pcibackd", "pcibackctl")] if "pcibackd" in names else []
    turns = {name: [] for name in names}
    images = Images(wanted.directory)
    images.build(programs)
    newer = emulator.newer(images.directory) if wanted.processors > 1 else None
    with Lab(images, images.directory / "boots/bench", counted=16 if wanted.clock == "instructions" else 0, emulator=newer,
             processors=wanted.processors) as lab:
        for number in range(wanted.turns):
            for name in names if number % 2 == 0 else reversed(names):
                started = time.monotonic()
                turns[name].append(turn(lab, BACKENDS[name], wanted.reads))
                print(f"bench: turn {number + 1} of {name}: {turns[name][-1]['driver_ms']:.0f} ms to the driver, "
                      f"{statistics.mean(turns[name][-1]['read_us']):.0f} us a read ({time.monotonic() - started:.0f} s)", flush=True)
        lab.save_logs()
    results = {name: summary(done) for name, done in turns.items()}
    show(results, wanted.clock)
    wanted.json.write_text(json.dumps({"clock": wanted.clock, "processors": wanted.processors, "results": results, "turns": turns}, indent=1) + "\n")
    print(f"written to {wanted.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
