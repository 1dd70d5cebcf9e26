#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the lab's tests in boots of their own, two beside each other: one line a test, at the end 'N passed, N failed'.

The boot of virtual functions takes an emulator newer than Debian 12's, which is fetched from the release's backports once.

It takes Debian's python3, whose modules it needs.

  run.py [--backend daemon|kernel] [--programs DIR] [--directory DIR] [TEST...]

The kernel's backend stands in for the daemon when the lab itself is in question; it fails test_disk_msix, for it gives
an NVMe disk no MSI-X, pays no heed to a policy, serves no frontend that begins again, and needs no directory from
pcibackd-sysfs; and it fails what asks the daemon for its account.
"""
import argparse
import concurrent.futures
import os
import pathlib
import sys
import time
import traceback

import adoption_cases
import aer_cases
import cases
import device_model_cases
import emulator
import hostile_cases
import igb_cases
import kill_cases
import line_cases
import look_cases
import pciehp_cases
import removal_cases
import reserved_cases
import restart_cases
import sandbox_cases
import sriov_cases
import xl_cases
from backend import Daemon, Kernel
from image import Images
from lab import NEIGHBOUR, NIC, Lab, end_with_parent

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What shares a boot. Emulation keeps one processor busy, so as many run as there are processors: the longest come first.
BOOTS = {"host": (xl_cases, aer_cases, sriov_cases, device_model_cases), "removal": (removal_cases,),
         "guests": (cases, restart_cases, sandbox_cases, look_cases), "adoption": (adoption_cases,), "kills": (kill_cases,),
         "lines": (line_cases,), "hostile": (hostile_cases,), "igb": (igb_cases,), "slots": (pciehp_cases, reserved_cases)}

# The boots whose machine has something that the others' have not.
EXTRA = {"igb": ("-device", "pcie-root-port,id=igb-port,chassis=3,slot=3,addr=7", "-netdev", "user,id=igb,restrict=on",
                 "-device", "igb,netdev=igb,bus=igb-port,romfile="),
         "slots": ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")}
# And those whose Xen is told something: of memory that the firmware reserves for two functions, which the emulated one does not.
XEN_WORDS = {"slots": f"rmrr=0xf0-0xf1={NIC},{NEIGHBOUR}"}
# And those that take an emulator newer than the release's.
NEWER = {"igb"}
# And those that compare times, whose clock counts instructions: what else this host does makes no difference then. So many
# nanoseconds each: a frontend waits 2 s for its backend, in which a host does a hundred times what emulation does.
COUNTED = {"hostile": 16, "adoption": 4}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("daemon", "kernel"), default="daemon")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin", help="where pcibackd and pcibackctl are")
    parser.add_argument("--directory", type=pathlib.Path, default=os.environ.get("LAB_DIR", ROOT / "build/lab"))
    parser.add_argument("tests", nargs="*", help="names of tests; all without")
    return parser.parse_args()


def run_test(test, world):
    """Runs one test and prints its line; returns whether it passed."""
    started = time.monotonic()
    try:
        test(world)
        outcome = "passed"
    except Exception as error:  # a test that fails in whatever way does not end the others
        outcome = "FAILED"
        world.lab.save_log(f"{test.__name__}.traceback", traceback.format_exc().encode())
        reason = f"{type(error).__name__}: {error}"
    print(f"lab: {outcome} {test.__name__} ({time.monotonic() - started:.0f} s)", flush=True)
    if outcome == "FAILED":
        print("  " + reason, flush=True)
    return outcome == "passed"


def run_boot(images, name, tests, backend_type):
    """Boots, runs these tests, and returns how many passed."""
    newer = emulator.newer(images.directory) if name in NEWER else None
    with Lab(images, images.directory / "boots" / name, counted=COUNTED.get(name, 0), emulator=newer, cards=EXTRA.get(name, ()),
             xen_words=XEN_WORDS.get(name, "")) as lab:
        print(f"lab: dom0 of {name} is up after {lab.boot_seconds:.0f} s", flush=True)
        world = cases.World(lab, backend_type)
        passed = sum(run_test(test, world) for test in tests)
        lab.save_logs()
    return passed


def run_all(images, boots, backend_type):
    """Runs each boot in a process of its own, as many at once as there are processors; returns how many tests passed."""
    passed = 0
    workers = min(len(boots), os.cpu_count())
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
        running = {pool.submit(run_boot, images, name, tests, backend_type): name for name, tests in boots.items()}
        for done in concurrent.futures.as_completed(running):
            try:
                passed += done.result()
            except (Exception, SystemExit) as error:  # its tests have not passed; the other boot's may
                print(f"lab: {running[done]}: {type(error).__name__}: {error}", flush=True)
    return passed


def main():
    wanted = arguments()
    known = {test.__name__ for modules in BOOTS.values() for module in modules for test in module.TESTS}
    if unknown := set(wanted.tests) - known:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    boots = {name: [test for module in modules for test in module.TESTS if not wanted.tests or test.__name__ in wanted.tests]
             for name, modules in BOOTS.items()}
    boots = {name: tests for name, tests in boots.items() if tests}
    is_daemon = wanted.backend == "daemon"
    names = ("pcibackd", "pcibackctl", "pcibackd-guard", "pcibackd-sysfs", "pcibackd-with-sysfs")
    images = Images(wanted.directory)
    images.build([wanted.programs / name for name in names] if is_daemon else [])
    passed = run_all(images, boots, Daemon if is_daemon else Kernel)
    total = sum(len(tests) for tests in boots.values())
    print(f"{passed} passed, {total - passed} failed")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
