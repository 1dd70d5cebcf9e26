# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: Xen in QEMU, a dom0 with a shell, and PV guests.

    with Lab(images, directory) as lab:
        print(lab.sh("xl list"))
        guest = Guest(lab, "disk")

Leaving the block ends QEMU; so does whatever ends this process, a signal or kill -9 included.
"""
import atexit
import base64
import ctypes
import fcntl
import gzip
import json
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

NIC = "0000:00:03.0"   # e1000e: MSI-X with 5 entries, MSI, INTx
DISK = "0000:00:04.0"  # nvme: MSI-X, INTx
LEGACY = "0000:00:05.0"    # e1000: INTx alone, on the level line of
NEIGHBOUR = "0000:00:09.0"  # rtl8139, which stays dom0's (8139cp)
PLUGGABLE = "id=card,netdev=port_net,bus=port0"  # the e1000e below a root port that can be pulled out and put in again
DISK_BYTES = 16 << 20
BOOT_LIMIT = 180       # seconds; 10 to 20 are usual
HARD_LIMIT = 1800      # seconds that one lab may live whatever it does
# What a kernel does to itself at boot that costs seconds in emulation: its search for pages that can be written and
# executed, the tests of its ciphers, and taking the locks' prefixes out where it has one processor.
QUICK = "rodata=off cryptomgr.notests=1 noreplace-smp"


class LabError(Exception):
    """The lab itself, or a command in it, did not do what was asked; the text says which and what it printed."""


def random_disk(path):
    """A disk image of random content, new at each run: what a guest reads can only have come from here."""
    content = random.randbytes(DISK_BYTES)
    path.write_bytes(content)
    return content


def end_with_parent():
    """In the child: have the kernel kill it when this process goes, however it goes."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def request(command, limit):
    """A command as a line for the script serve, and the mark that its answer will end with."""
    number = time.monotonic_ns()
    return f"end-{number}", f"{number} {limit} {base64.b64encode(command.encode()).decode()}"


def answer(mark, text):
    """The status and the output in serve's answer; lines that are no base64 are a kernel's messages in between."""
    status = int(re.search(mark.encode() + rb"-(\d+)", text)[1])
    body = text[text.rindex(mark.replace("end", "begin").encode()):].splitlines()[1:]
    output = gzip.decompress(base64.b64decode(b"".join(line for line in body if re.fullmatch(rb"[A-Za-z0-9+/]+=*", line))))
    return (124 if status == 137 else status), output


class Lab:
    """One boot. Logs end up in DIRECTORY/logs: xen.log (Xen's and dom0's console) and what save_log adds."""

    def __init__(self, images, directory, counted=0, emulator=None, cards=(), processors=1, words="", xen_words="", boot_limit=BOOT_LIMIT):
        """images: an image.Images that has been built, or another's with the same files; a directory is one lab's at a time.
        words: more of them for the command line of dom0's kernel; xen_words: of Xen's.
        cards: more devices, as words of QEMU's command line.
        emulator: another than the installed QEMU, such as emulator.newer's.
        processors: dom0 stays on the first. More than one take an emulator.newer, and cannot be counted.
        counted: the machine's clocks count the instructions that it executes, so many nanoseconds each, a power of two, so
        that a time says how much work was done, and not what else the computer was busy with. 16: its seconds are about
        real ones, for so long emulation takes for one; 4: it is a faster machine, whose seconds take longer. 0: they do not."""
        self.directory = pathlib.Path(directory)
        self.counted = counted
        self.processors = processors
        self.words, self.xen_words = words, xen_words
        self.boot_limit = boot_limit
        self.cards = list(cards)
        self.emulator = emulator or images.emulator
        self.logs = self.directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = (self.directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LabError(f"another lab runs in {self.directory}") from error
        for old in self.logs.iterdir():
            old.unlink()
        self.images = images
        self.disk = random_disk(self.directory / "nvme.img")
        self.console = self.logs / "xen.log"
        self.boot_seconds = 0.0
        self._qemu = None
        self._shell = None

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, lambda got, _: sys.exit(f"lab: ended by {signal.Signals(got).name}"))
        signal.alarm(HARD_LIMIT)
        atexit.register(self.close)
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends QEMU. May be called at any time and more than once."""
        signal.alarm(0)
        if self._qemu:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        self._lock.close()

    def _boot(self):
        started = time.monotonic()
        port = self.directory / "shell.sock"
        port.unlink(missing_ok=True)
        self._qemu = subprocess.Popen(self._command(port), env=self.emulator.environment, stdin=subprocess.DEVNULL,
                                      stdout=(self.logs / "qemu.log").open("w"), stderr=subprocess.STDOUT,
                                      preexec_fn=end_with_parent)
        while not port.exists():
            self._check_alive(started)
            time.sleep(0.05)
        self._shell = socket.socket(socket.AF_UNIX)
        self._shell.connect(str(port))
        self._shell.settimeout(1)
        self._read_until(rb"LAB-READY ([0-9.]+)", self.boot_limit, "boot")
        self.boot_seconds = time.monotonic() - started

    def _command(self, port):
        # With two processors QEMU 7.2 loses timer interrupts under Xen. The emulated VT-d has no working
        # interrupt remapping, hence no-intremap.
        # The slot modulo 4 gives the line. Without mitigation, which newer ones always have, the e1000 raises it as often
        # as it is told.
        legacy = "e1000,netdev=legacy,addr=5,romfile=" + (",mitigation=off" if self.emulator.has("e1000", "mitigation") else "")
        return [*self.emulator.command, "-machine", "q35", "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2",
                "-accel", "tcg,thread=multi" if self.processors > 1 else "tcg",
                *(["-icount", f"shift={self.counted.bit_length() - 1}"] if self.counted else []),
                "-smp", str(self.processors), "-m", "2048", "-display", "none", "-nodefaults", "-no-reboot",
                "-chardev", f"file,id=xen,path={self.console}", "-serial", "chardev:xen",
                "-qmp", f"unix:{self.directory}/monitor.sock,server=on,wait=off",
                "-chardev", f"socket,id=shell,path={port},server=on,wait=off", "-serial", "chardev:shell",
                "-kernel", str(self.images.xen),
                "-append", "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem=896M,max:896M "
                           "dom0_max_vcpus=1 iommu=no-intremap" + (" dom0_vcpus_pin " if self.processors > 1 else " ") + self.xen_words,
                "-initrd", f"{self.images.vmlinux} console=hvc0 {QUICK} {self.words},{self.images.initrd}",
                "-device", "intel-iommu",
                "-netdev", "user,id=net,restrict=on", "-device", "e1000e,netdev=net,addr=3",
                "-drive", f"file={self.directory}/nvme.img,if=none,format=raw,id=disk",
                "-device", "nvme,drive=disk,serial=lab0,addr=4",
                "-device", "pcie-root-port,id=sriov-port,chassis=1,slot=1,addr=8", "-device", "nvme-subsys,id=sriov-nvme",
                "-device", "nvme,serial=lab1,subsys=sriov-nvme,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=4,"
                           "max_ioqpairs=6,msix_qsize=7,bus=sriov-port",
                "-device", "pcie-root-port,id=port0,chassis=2,slot=2,addr=6",
                "-netdev", "user,id=port_net,restrict=on", "-device", f"e1000e,{PLUGGABLE}",
                "-netdev", "user,id=legacy,restrict=on", "-device", legacy,
                "-netdev", "user,id=neighbour,restrict=on", "-device", "rtl8139,netdev=neighbour,addr=9,romfile=", *self.cards]

    def _check_alive(self, started):
        if self._qemu.poll() is not None or time.monotonic() - started > BOOT_LIMIT:
            raise LabError(f"QEMU did not start: {(self.logs / 'qemu.log').read_text()}")

    def _read_until(self, pattern, limit, what):
        """What the shell's port says up to and with the pattern; returns the match and the text before it."""
        seen, end, deadline = b"", re.compile(pattern), time.monotonic() + limit
        while not (found := end.search(seen)):
            if time.monotonic() > deadline or self._qemu.poll() is not None:
                tail = self.console.read_text(errors="replace").splitlines()[-15:]
                raise LabError(f"no answer within {limit} s: {what}\nthe line said {seen[-200:]!r}, Xen's console\n" + "\n".join(tail))
            try:
                seen += self._shell.recv(65536)
            except TimeoutError:
                continue
        return found, seen[:found.start()]

    def monitor(self, execute, **arguments):
        """Has QEMU do something to the machine, a command of its own protocol (QMP); returns what it answers."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(str(self.directory / "monitor.sock"))
            answers = line.makefile("rb")
            json.loads(answers.readline())  # its greeting
            for command in ({"execute": "qmp_capabilities"}, {"execute": execute, "arguments": arguments}):
                line.sendall(json.dumps(command).encode() + b"\n")
                while "event" in (answer := json.loads(answers.readline())):
                    continue
                if "error" in answer:
                    raise LabError(f"QEMU: {command}: {answer['error']}")
        return answer["return"]

    def run(self, command, limit=60):
        """Runs a shell command in dom0; returns its status (124 for too late) and what it printed on both outputs, as bytes."""
        mark, line = request(command, limit)
        self._shell.sendall(line.encode() + b"\n")
        found, text = self._read_until(mark.encode() + rb"-(\d+)\r?\n", limit + 30, command)
        return answer(mark, text + found[0])

    def sh(self, command, limit=60):
        """The same for a command that has to succeed: returns its output as text."""
        status, output = self.run(command, limit)
        text = output.decode(errors="replace")
        if status:
            raise LabError(f"dom0: '{command}' ended with {status}: {text.strip()}")
        return text

    def read(self, path):
        """A file of dom0's, as bytes."""
        status, content = self.run(f"cat {shlex.quote(path)}")
        if status:
            raise LabError(f"dom0: {path} cannot be read")
        return content

    def write(self, path, text):
        """Writes a small file in dom0."""
        encoded = base64.b64encode(text.encode()).decode()
        self.sh(f"echo {encoded} | base64 -d > {shlex.quote(path)}")

    def wait_for_end(self, limit=120):
        """Until the machine has switched itself off or restarts, as a command in dom0 has told it to."""
        try:
            self._qemu.wait(limit)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the machine has not ended within {limit} s") from error

    def save_log(self, name, content):
        """Keeps a log beside the lab's own."""
        (self.logs / name).write_bytes(content)

    def save_logs(self):
        """Brings out what lies in dom0: the guests' consoles and the daemon's and xl's logs."""
        for path in self.sh("ls /var/log/xen/console/*.log /var/log/xen/*.log /run/*.log 2>/dev/null || true").split():
            self.save_log(pathlib.Path(path).name, self.read(path))


class Guest:
    """A PV guest of Debian's kernel, running from create to shut_down or destroy."""

    def __init__(self, lab, name, functions=(), paused=False, xl="xl", extra="", processors=1):
        """`xl` create. Without functions it still may get some later: that takes passthrough and the host's memory map.
        extra: more words for the kernel's command line. processors: how many it has."""
        self.lab, self.name = lab, name
        self.log = f"/var/log/xen/console/guest-{name}.log"
        pci = f"pci=[{', '.join(repr(function) for function in functions)}]\n" if functions else ""
        lab.write(f"/etc/xen/{name}.cfg", f'name="{name}"\ntype="pv"\nkernel="/boot/vmlinux"\n'
                  f'ramdisk="/boot/guest.cpio"\nmemory=192\nvcpus={processors}\nextra="console=hvc0 loglevel=4 {QUICK} {extra}"\n'
                  f'on_poweroff="destroy"\non_crash="destroy"\npassthrough="enabled"\ne820_host=1\n{pci}')
        lab.sh(f"{xl} create {'-p ' if paused else ''}/etc/xen/{name}.cfg", 90)
        if lab.processors > 1:
            lab.sh(f"xl vcpu-pin {name} 0 1 1")
        self._find()

    @classmethod
    def running(cls, lab, name):
        """One that somebody else has created."""
        guest = cls.__new__(cls)
        guest.lab, guest.name, guest.log = lab, name, f"/var/log/xen/console/guest-{name}.log"
        guest._find()
        return guest

    def _find(self):
        self.domain = int(self.lab.sh(f"xl domid {self.name}"))
        self._tty = self.lab.sh(f"xenstore-read /local/domain/{self.domain}/console/tty").strip()
        self.lab.sh(f"touch {self.log}")

    def unpause(self):
        self.lab.sh(f"xl unpause {self.name}")

    def run(self, command, limit=60):
        """Runs a shell command in the guest; returns its status (124 for too late) and its output as bytes.
        A guest that still boots runs it when it is up."""
        mark, line = request(command, limit)
        status, text = self.lab.run(f"guest-line {self.log} {self._tty} {line}", limit + 30)
        return (status, text) if status else answer(mark, text)

    def sh(self, command, limit=60):
        """The same for a command that has to succeed: returns its output as text."""
        status, output = self.run(command, limit)
        text = output.decode(errors="replace")
        if status:
            raise LabError(f"guest {self.name}: '{command}' ended with {status}: {text.strip()}")
        return text

    def dmesg(self):
        """The guest's kernel log; kept with the other logs too."""
        text = self.sh("dmesg")
        self.lab.save_log(f"dmesg-{self.name}-{self.domain}.log", text.encode())
        return text

    def shut_down(self, limit=60):
        """Has the toolstack ask the guest's kernel to power off, and waits until the domain is gone."""
        self.lab.sh(f"xl shutdown -w {self.name}; while xl domid {self.name} >/dev/null 2>&1; do sleep 0.2; done", limit)

    def destroy(self):
        """Ends the guest, as xl does it; no error when it is gone already."""
        self.lab.run(f"xl destroy {self.domain}", 60)
