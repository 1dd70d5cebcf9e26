# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the lab's images from Debian packages.

What QEMU boots is three files: Xen, a kernel and dom0's root file system. The last is two cpio archives behind each
other, which the kernel unpacks in turn: the base, built once and kept, and the project's programs, packed at each
run. The guest's root file system lies in dom0's, in /boot. Nothing is compressed: software emulation reads memory
faster than it unpacks, and a raw kernel image alone saves some ten seconds a boot.
"""
import fcntl
import hashlib
import lzma
import os
import pathlib
import shutil
import struct
import subprocess

from emulator import PACKAGES_TOOL, Emulator, run

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = "xenstore-utils qemu-system-x86 busybox-static cpio kmod zstd pciutils gcc make libc6-dev libxen-dev"

DOM0_MODULES = ("xen-evtchn xen-gntdev xen-gntalloc xenfs xen-privcmd xen-pciback uio_pci_generic pci-stub fuse aer_inject "
                "e1000e nvme crct10dif_generic 8139cp igb").split()
XEN_PROGRAMS = "xenstored xl xenconsoled xen-init-dom0 lsevtchn libxl-save-helper".split()
DOM0_PROGRAMS = ["/usr/bin/xenstore", "/usr/bin/setpci", "/usr/bin/lspci", "/usr/bin/chrt"]
XENSTORE_NAMES = "ls read write list rm watch exists chmod".split()

GUEST_MODULES = "xen-pcifront xen-gntalloc xen-evtchn e1000e e1000 nvme crct10dif_generic igbvf".split()
GUEST_PROGRAMS = ["/usr/bin/setpci"]

DIRECTORIES = ("bin sbin usr/bin usr/sbin etc/xen proc sys dev run tmp root boot opt/bin "
               "var/lib/xen var/lib/xenstored var/log/xen/console var/lock").split()


class Release:
    """What this release of Debian calls its Xen: the one place that knows."""

    def __init__(self):
        self.xen = run(PACKAGES_TOOL, "--version", "xen").strip()
        self.hypervisor = f"/boot/xen-{self.xen}-amd64.gz"
        # xl starts its helpers from the directory that it was built for.
        self.programs = pathlib.Path(f"/usr/lib/xen-{self.xen}/bin")
        self.packages = [f"xen-hypervisor-{self.xen}-amd64", f"xen-utils-{self.xen}", *PACKAGES.split()]


def install_packages(packages):
    """Installs those that are missing; asks the network for nothing when none is."""
    shown = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Status}\n", *packages],
                           capture_output=True, text=True, check=False).stdout
    present = {line.split()[0] for line in shown.splitlines() if line.endswith("ok installed")}
    missing = [name for name in packages if name not in present]
    if missing:
        print("lab: installing", *missing, flush=True)
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def vmlinux_of(bzimage):
    """The ELF image inside Debian's compressed kernel: an xz stream, of newer ones a zstd one. Where it lies says the
    kernel's header (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length)."""
    data = bzimage.read_bytes()
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (data[0x1F1] + 1) * 512 + offset
    payload = data[start:start + length - 4]  # the image's size follows
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        image = subprocess.run(["zstd", "-dc"], input=payload, capture_output=True, check=True).stdout
    else:
        image = lzma.LZMADecompressor().decompress(payload)
    if not image.startswith(b"\x7fELF"):
        raise RuntimeError(f"{bzimage} holds no ELF image")
    return image


class Images:
    """The images in a directory; xen, vmlinux and initrd are what the emulator is started with."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.release = Release()
        self.emulator = None
        self.xen = self.directory / "xen"
        self.vmlinux = self.directory / "vmlinux"
        self.initrd = self.directory / "dom0.cpio"
        self._kernel = self.directory / "kernel"
        self._base = self.directory / "dom0-base.cpio"
        self._key_file = self.directory / "base.key"

    def build(self, programs):
        """Brings the images and the emulator up to date; programs are host files that land in dom0's /opt/bin with their libraries.
        Whoever else builds them here meanwhile waits."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._build(programs)

    def _build(self, programs):
        install_packages(self.release.packages)
        self.emulator = Emulator()
        self._unpack_kernel()
        key = self._key()
        if not (self._base.exists() and self._key_file.exists() and self._key_file.read_text() == key):
            print("lab: building the base images", flush=True)
            self._build_guest()
            self._build_dom0()
            self._key_file.write_text(key)
        self._add_programs(programs)

    def _key(self):
        """What the base was built from: the files beside this one, and the packages' and kernel's versions."""
        digest = hashlib.sha256()
        for source in [HERE / "image.py", HERE / "serve", *sorted((HERE / "dom0").iterdir()), *sorted((HERE / "guest").iterdir())]:
            digest.update(source.read_bytes())
        digest.update(run("dpkg-query", "-W", *self.release.packages).encode())
        digest.update(self._version().encode())
        return digest.hexdigest()

    def _version(self):
        return next((self._kernel / "lib/modules").iterdir()).name

    def _unpack_kernel(self):
        """Debian's kernel package is unpacked rather than installed: the host's boot loader is none of the lab's business."""
        if not (self._kernel / "boot").exists():
            names = run("apt-cache", "depends", "linux-image-amd64").split()
            image = next(name for name in names if name.startswith("linux-image-") and name.endswith("-amd64")
                         and name != "linux-image-amd64")
            run("apt-get", "download", "-qq", image, cwd=self.directory)
            package = next(self.directory.glob("linux-image-*.deb"))
            unpacked = self.directory / "kernel.new"
            shutil.rmtree(unpacked, ignore_errors=True)
            run("dpkg", "-x", package, unpacked)
            join_module_folders(unpacked)
            run("/sbin/depmod", "-b", unpacked, next((unpacked / "lib/modules").iterdir()).name)
            unpacked.rename(self._kernel)
            package.unlink()
        if not self.vmlinux.exists():
            self.vmlinux.write_bytes(vmlinux_of(self._kernel / f"boot/vmlinuz-{self._version()}"))
        if not self.xen.exists():
            self.xen.write_bytes(subprocess.run(["gunzip", "-c", self.release.hypervisor], capture_output=True, check=True).stdout)

    def _build_guest(self):
        root = self._root("guest", GUEST_MODULES)
        with_libraries(root, "usr/bin", GUEST_PROGRAMS)
        for program in ("guest_clock", "raise_line", "take_over"):
            run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", root / f"bin/{program}", HERE / f"guest/{program}.c")
        shutil.copy(self._build_module("hostile_pcifront"), root / "lib/hostile_pcifront.ko")
        for name in ("init", "poweroff"):
            shutil.copy(HERE / "guest" / name, root / ("init" if name == "init" else "sbin/poweroff"))
        pack(root, self.directory / "guest.cpio")

    def _build_module(self, name):
        """A kernel module of the guest's, built against the headers of its kernel."""
        version = self._version()
        install_packages([f"linux-headers-{version}"])
        place = self.directory / "module"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        shutil.copy(HERE / f"guest/{name}.c", place)
        (place / "Kbuild").write_text(f"obj-m := {name}.o\n")
        run("make", "-s", "-C", f"/usr/src/linux-headers-{version}", f"M={place.resolve()}", "modules")
        run("strip", "--strip-debug", place / f"{name}.ko")
        return place / f"{name}.ko"

    def _build_dom0(self):
        root = self._root("dom0", DOM0_MODULES)
        with_libraries(root, "usr/bin", [*(self.release.programs / name for name in XEN_PROGRAMS), *DOM0_PROGRAMS])
        for name in XENSTORE_NAMES:
            (root / f"usr/bin/xenstore-{name}").symlink_to("xenstore")
        place = root / str(self.release.programs).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to("/usr/bin")
        device_model = self.directory / "device_model"
        run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", device_model, HERE / "dom0/device_model.c", "-lxenctrl")
        with_libraries(root, "usr/bin", [device_model])
        run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", root / "usr/bin/bare_loop", HERE / "dom0/bare_loop.c")
        shutil.copy(HERE / "dom0/init", root / "init")
        shutil.copy(HERE / "dom0/guest-line", root / "usr/bin/guest-line")
        shutil.copy(self.vmlinux, root / "boot/vmlinux")
        shutil.copy(self.directory / "guest.cpio", root / "boot/guest.cpio")
        # The timing program serves dom0 too, so that both sides read the same clock in the same way.
        shutil.copy(self.directory / "guest/bin/guest_clock", root / "usr/bin/guest_clock")
        pack(root, self._base)

    def _root(self, name, modules):
        """An empty root file system with busybox and the modules that were named, with what they depend on."""
        root, version = self.directory / name, self._version()
        shutil.rmtree(root, ignore_errors=True)
        for folder in DIRECTORIES:
            (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        shutil.copy(HERE / "serve", root / "bin/serve")
        for applet in run("/bin/busybox", "--list").split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        tree = root / "lib/modules" / version
        tree.mkdir(parents=True)
        join_module_folders(root)
        modules_of_kernel = (self._kernel / "lib/modules" / version).resolve()
        for file in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
            shutil.copy(self._kernel / "lib/modules" / version / file, tree)
        for module in modules:
            for line in run("/sbin/modprobe", "-d", self._kernel, "-S", version, "--show-depends", module).splitlines():
                if line.startswith("insmod "):
                    source = pathlib.Path(line.split()[1])
                    copy_module(source, tree / source.resolve().relative_to(modules_of_kernel))
        run("/sbin/depmod", "-b", root, version)
        return root

    def _add_programs(self, programs):
        root = self.directory / "programs"
        shutil.rmtree(root, ignore_errors=True)
        (root / "opt/bin").mkdir(parents=True)
        with_libraries(root, "opt/bin", programs)
        archive = self.directory / "programs.cpio"
        pack(root, archive)
        with self.initrd.open("wb") as out:
            for part in (self._base, archive):
                with part.open("rb") as source:
                    shutil.copyfileobj(source, out)


def join_module_folders(root):
    """A release's kernel has its modules in /lib or in /usr/lib, and its tools look in one of the two: makes them the same."""
    for here, there in (("lib/modules", "../usr/lib/modules"), ("usr/lib/modules", "../../lib/modules")):
        if not (root / here).exists():
            (root / here).parent.mkdir(parents=True, exist_ok=True)
            (root / here).symlink_to(there)


def copy_module(source, target):
    """Copies a kernel module, without the compression that newer kernels' packages give it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".xz":
        target.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
    else:
        shutil.copy(source, target)


def with_libraries(root, folder, programs):
    """Copies programs into a root file system with the shared libraries that they name, stripped of debug information."""
    for program in programs:
        target = root / folder / pathlib.Path(program).name
        shutil.copy(program, target)
        run("strip", "--strip-debug", target)
        # libxenstore's pthread_cancel loads libgcc_s at run time; no program names it.
        libraries = [word for word in run("ldd", program).split() if word.startswith("/")]
        for library in [*libraries, "/lib/x86_64-linux-gnu/libgcc_s.so.1"]:
            place = root / library.lstrip("/")
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)


def pack(root, archive):
    """Writes a directory as a cpio archive, the format of an initramfs."""
    names = run("find", ".", "-mindepth", "1", "-printf", "%P\n", cwd=root)
    with archive.open("wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], input=names.encode(), stdout=out, cwd=root, check=True)
