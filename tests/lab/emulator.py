# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulator: QEMU as this release of Debian has it, or a newer one.

Debian 12's QEMU 7.2 has no card with virtual functions and a driver of Linux's (igb), loses timer interrupts with two
processors under Xen, and crashes in nested virtualisation. The one of the release's backports has none of that. It is
unpacked beside the images rather than installed: the host keeps its own.
"""
import os
import pathlib
import re
import shutil
import subprocess

PACKAGES_TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/packages"
PROGRAM = "qemu-system-x86_64"
NEW = 10  # the first version that is new enough


def run(*command, **options):
    """Runs a command and returns what it printed; its failure is an exception that shows its errors."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Emulator:
    """A QEMU that can be started: `command` in front of its arguments, with `environment`."""

    def __init__(self, root=None):
        """root: where its packages were unpacked; none for the one that is installed."""
        self.environment = dict(os.environ)
        self.command = [PROGRAM]
        if root:
            folders = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu"]
            self.environment["LD_LIBRARY_PATH"] = ":".join(str(folder) for folder in folders)
            self.command = [str(root / "usr/bin" / PROGRAM)]
            for folder in ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"):
                self.command += ["-L", str(root / folder)]
        self.version = int(re.search(r"version (\d+)", self.ask("--version"))[1])

    def ask(self, *arguments):
        """What it prints of itself."""
        return run(*self.command, *arguments, env=self.environment)

    def has(self, device, key=None):
        """Whether it emulates a device, and one with this property."""
        try:
            properties = self.ask("-device", f"{device},help")
        except RuntimeError:
            return False
        return not key or re.search(rf"^\s*{key}=", properties, re.MULTILINE) is not None


def newer(directory):
    """A QEMU that is new enough: the installed one, or the backports', which is unpacked into DIRECTORY once."""
    if shutil.which(PROGRAM) and (installed := Emulator()).version >= NEW:
        return installed
    root = pathlib.Path(directory) / "qemu"
    if not root.exists():
        _unpack(root)
    return Emulator(root)


def _unpack(root):
    """Fetches the backports' QEMU and all that this host lacks to run it, with apt's own mirror and keys; apt's sources
    and what is installed stay as they are."""
    codename = run("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
    place = root.with_name("qemu.apt")
    shutil.rmtree(place, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True)
    sources = place / "sources.list"
    sources.write_text(run(PACKAGES_TOOL, "--sources", codename) + run(PACKAGES_TOOL, "--sources", f"{codename}-backports"))
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={place}/lists", "-o", f"Dir::Cache={place}/cache", "-o", "Debug::NoLocking=1",
           "-o", "APT::Sandbox::User=root"]
    print("lab: fetching QEMU of", f"{codename}-backports", flush=True)
    run(*apt, "update")
    run(*apt, "-y", "--download-only", "--no-install-recommends", "-t", f"{codename}-backports", "install", "qemu-system-x86")
    unpacked = root.with_name("qemu.new")
    shutil.rmtree(unpacked, ignore_errors=True)
    for package in sorted((place / "cache/archives").glob("*.deb")):
        run("dpkg", "-x", package, unpacked)
    unpacked.rename(root)
    shutil.rmtree(place)
