#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests of debian_cases: the package in a dom0 that is a real Debian with systemd. One line a test, at the end
'N passed, N failed'. Each test goes on where the one before has ended, so the first that fails is the last that runs.

  debian.py [--directory DIR] PACKAGE
"""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import sys

import debian_cases
from debian_image import DebianImages
from emulator import run
from image import Images
from lab import Lab, LabError
from run import ROOT, run_test

BOOT_LIMIT = 600  # seconds; 60 to 90 are usual
# What systemd and the kernel need not do here.
WORDS = "root=/dev/vda rw fsck.mode=skip apparmor=0 audit=0 systemd.show_status=0"


def newer(package, place):
    """The same package with a higher version."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    run("dpkg-deb", "-R", package, place / "tree")
    control = place / "tree/DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1+newer", control.read_text(), flags=re.MULTILINE))
    run("dpkg-deb", "--root-owner-group", "-b", place / "tree", place / "pcibackd-newer.deb")
    return place / "pcibackd-newer.deb"


def boot(images, name, tests, world_of):
    """Boots from the disk as it is and runs these tests up to the first that fails; returns how many passed."""
    disk = ("-drive", f"file={images.disk},if=none,format=raw,cache=unsafe,id=root", "-device", "virtio-blk-pci,drive=root,addr=10")
    with Lab(images, images.directory / name, cards=disk, words=WORDS, boot_limit=BOOT_LIMIT) as lab:
        print(f"lab: Debian's {name} boot has a shell after {lab.boot_seconds:.0f} s", flush=True)
        world = world_of(lab)
        for passed, test in enumerate(tests):
            if not run_test(test, world):
                with contextlib.suppress(LabError, OSError):  # it may have ended
                    lab.save_log("journal.log", lab.run("journalctl -b --no-pager", 90)[1])
                return passed
    return len(tests)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=pathlib.Path, default=os.environ.get("LAB_DIR", ROOT / "build/lab"))
    parser.add_argument("package", type=pathlib.Path)
    wanted = parser.parse_args()
    base = Images(wanted.directory)
    base.build([])
    images = DebianImages(base, wanted.directory / "boots/debian")
    images.directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(wanted.package, images.directory / "pcibackd.deb")
    depends = run("dpkg-deb", "-f", wanted.package, "Depends").strip()
    images.build(depends, [images.directory / "pcibackd.deb", newer(wanted.package, images.directory / "newer")])
    passed = boot(images, "first", debian_cases.FIRST, debian_cases.World)
    if passed == len(debian_cases.FIRST):
        images.take_boot_files()
        passed += boot(images, "second", debian_cases.AGAIN, debian_cases.World)
    total = len(debian_cases.FIRST) + len(debian_cases.AGAIN)
    print(f"{passed} passed, {total - passed} failed")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
