#!/usr/bin/env python3
"""Runs the lab's tests: one line a test, at the end 'N passed, N failed'.

  run.py [--backend daemon|kernel] [--programs DIR] [--directory DIR] [TEST...]

The kernel's backend stands in for the daemon when the lab itself is in question; it fails test_disk_msix, for it gives
an NVMe disk no MSI-X, pays no heed to a policy, and needs no directory from pcibackd-sysfs.
"""
import argparse
import os
import pathlib
import sys
import time
import traceback

import aer_cases
import cases
import line_cases
import sriov_cases
import xl_cases
from backend import Daemon, Kernel
from lab import Lab

ROOT = pathlib.Path(__file__).resolve().parents[2]


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


def main():
    wanted = arguments()
    modules = (cases, xl_cases, aer_cases, line_cases, sriov_cases)
    tests = [test for module in modules for test in module.TESTS if not wanted.tests or test.__name__ in wanted.tests]
    unknown = set(wanted.tests) - {test.__name__ for test in tests}
    if unknown:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}")
    names = ("pcibackd", "pcibackctl", "pcibackd-sysfs", "pcibackd-with-sysfs")
    programs = [wanted.programs / name for name in names] if wanted.backend == "daemon" else []
    with Lab(wanted.directory, programs) as lab:
        print(f"lab: dom0 is up after {lab.boot_seconds:.0f} s", flush=True)
        world = cases.World(lab, Daemon if wanted.backend == "daemon" else Kernel)
        passed = sum(run_test(test, world) for test in tests)
        lab.save_logs()
    print(f"{passed} passed, {len(tests) - passed} failed")
    return 0 if passed == len(tests) else 1


if __name__ == "__main__":
    sys.exit(main())
