# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the lab's other dom0: a real Debian of this release, with systemd, on a disk.

The base is unpacked and set up once (debian/prepare, in a chroot), and kept until what it was made from changes; each run
copies its disk and puts into it what the run brings. Kernel and initramfs are Debian's own, taken from that disk, for QEMU
starts them without a boot loader.
"""
import fcntl
import hashlib
import pathlib
import shutil
import subprocess

from emulator import run
from image import HERE, vmlinux_of

ROOT = HERE.parents[1]
DISK_SIZE = "3G"  # of which a third is used; the file is sparse


class DebianImages:
    """As image.Images, for Lab: xen, vmlinux and initrd are what the emulator is started with, and disk is dom0's root."""

    def __init__(self, images, directory):
        """images: image.Images that were built, whose Xen, emulator and guest are used; a directory is one lab's at a time."""
        self.images, self.emulator, self.xen = images, images.emulator, images.xen
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.disk = self.directory / "root.img"
        self.vmlinux = self.directory / "vmlinux"
        self.initrd = self.directory / "initrd"
        self._base = images.directory / "debian"
        self._base_disk = self._base / "base.img"

    def build(self, depends, files):
        """A fresh disk, with these host files in /root. depends: what apt is to have installed, as in a package's Depends."""
        self._base.mkdir(parents=True, exist_ok=True)
        with (self._base / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._build_base(depends)
            run("cp", "--sparse=always", "--reflink=auto", self._base_disk, self.disk)
        # What the lab itself brings is newer than the base may be.
        boot = [self.images.vmlinux, self.images.directory / "guest.cpio"]
        self._debugfs("cd /root", *(f"write {file} {pathlib.Path(file).name}" for file in files),
                      "cd /boot", *(f"write {file} {file.name}" for file in boot))
        self.take_boot_files()

    def take_boot_files(self):
        """Kernel and initramfs as they are on the disk now: what a boot loader would start."""
        shown = self._debugfs("ls -p /boot").split()
        names = [word.split("/")[5] for word in shown if word.count("/") >= 6]
        kernel, packed = (next(name for name in names if name.startswith(start)) for start in ("vmlinuz-", "initrd.img-"))
        for name in (kernel, packed):
            self._debugfs(f"dump /boot/{name} {self.directory / name}")
        self.vmlinux.write_bytes(vmlinux_of(self.directory / kernel))
        with self.initrd.open("wb") as out:  # an emulator unpacks slowly
            subprocess.run(["zstd", "-dc", self.directory / packed], stdout=out, check=True)

    def _debugfs(self, *commands):
        """Reads and writes the disk's file system, which is mounted nowhere."""
        script = self.directory / "debugfs"
        script.write_text("".join(f"{command}\n" for command in commands))
        done = subprocess.run(["debugfs", "-w", "-f", script, self.disk], capture_output=True, text=True, check=True)
        # It ends with 0 whatever happened, and tells of errors between its greeting and its prompts.
        if errors := [line for line in done.stderr.splitlines() if not line.startswith("debugfs ") and "Allocated inode" not in line]:
            raise RuntimeError(f"debugfs: {' '.join(errors)}")
        return done.stdout

    def _build_base(self, depends):
        codename = run("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
        digest = hashlib.sha256("\0".join((codename, depends, self.images.release.xen)).encode())
        for source in (HERE / "serve", HERE / "dom0/guest-line", HERE / "debian_image.py", *sorted((HERE / "debian").iterdir()),
                       self.images.directory / "guest/bin/guest_clock"):
            digest.update(source.read_bytes())
        key = self._base / "base.key"
        if self._base_disk.exists() and key.exists() and key.read_text() == digest.hexdigest():
            return
        print("lab: building a Debian with systemd", flush=True)
        key.unlink(missing_ok=True)
        run(ROOT / "tests/chroot", self._base, codename, "/pcibackd/tests/lab/debian/prepare", self.images.release.xen, depends)
        root = self._base / "root"
        shutil.copy(self.images.directory / "guest/bin/guest_clock", root / "usr/local/bin/guest_clock")
        self._base_disk.unlink(missing_ok=True)
        run("mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-d", root, self._base_disk, DISK_SIZE)
        key.write_text(digest.hexdigest())
