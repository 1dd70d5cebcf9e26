# SPDX-License-Identifier: GPL-2.0-or-later
"""What serves the guests their devices: the daemon, or the kernel's xen-pciback for comparison. Both are used alike:

    with Daemon(lab, {DISK: {}}) as backend:
        guest = backend.guest("disk", [DISK])
"""
import contextlib
import json
import time

from lab import Guest, LabError

# Shell: each process of the daemon's, and its parent.
PARENTS = "parents() { for each in $(pidof pcibackd); do cut -d' ' -f1,4 /proc/$each/stat; done; }"


class Backend:
    """What the two have in common: the guests they serve, and their end."""

    log = None  # the backend's own log in dom0, if it has one

    def __init__(self, lab):
        self.lab = lab
        self.guests = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @contextlib.contextmanager
    def reading(self, _guest):
        """While the guest's configuration reads are measured."""
        yield

    def stop(self):
        """Destroys the guests that are left and ends the backend."""
        for guest in self.guests:
            guest.destroy()
        self.guests = []
        self._stop()


class Daemon(Backend):
    """pcibackd. devices: the policy of each function that it holds, as keys of the settings' [[device]]; keys: of [daemon]."""

    log = "/run/pcibackd.log"
    command = "pcibackd --config /etc/pcibackd/pcibackd.toml"

    def __init__(self, lab, devices, topology="vpci", keys=None):
        super().__init__(lab)
        self._functions = list(devices)
        lab.sh("modprobe pci-stub; modprobe uio_pci_generic; mkdir -p /run/pcibackd /etc/pcibackd")
        lab.write("/etc/pcibackd/pcibackd.toml", settings(devices, {"topology": topology} | (keys or {})))
        lab.sh("pcibackd --check-config --config /etc/pcibackd/pcibackd.toml")
        self.start()

    def start(self):
        """Starts it, also after `kill`, with what it has left behind."""
        self.lab.sh(f"{self.command} >> {self.log} 2>&1 & echo $! > /run/pcibackd.pid")
        self._wait_for(self._functions)

    def processes(self):
        """Its processes: (the host process, the one that starts workers, the worker)."""
        found = dict(line.split() for line in self.lab.sh(f"{PARENTS}; parents").splitlines())
        host = self.lab.sh("cat /run/pcibackd.pid").strip()
        starter = next(pid for pid, parent in found.items() if parent == host)
        return host, starter, next(pid for pid, parent in found.items() if parent == starter)

    def replacement(self, which="host"):
        """What has a shell in dom0 kill it and start another at once: the host process, with which the worker ends; or the
        worker, which the host process starts again."""
        if which == "worker":
            return (f"{PARENTS}; starter=$(parents | grep -w \"$(cat /run/pcibackd.pid)$\" | cut -d' ' -f1); "
                    "kill -9 $(parents | grep -w \"$starter$\" | cut -d' ' -f1)")
        return (f"pid=$(cat /run/pcibackd.pid); kill -9 $pid; while [ -d /proc/$pid ]; do sleep 0.01; done; "
                f"{self.command} >> {self.log} 2>&1 & echo $! > /run/pcibackd.pid")

    def kill(self):
        """It ends without a word, and its guests live on."""
        self.lab.sh("pid=$(cat /run/pcibackd.pid); kill -9 $pid; for i in $(seq 100); do [ -d /proc/$pid ] || exit 0; sleep 0.1; done; exit 1")

    def _wait_for(self, devices, limit=30):
        """Until the daemon answers and holds what it was told to hold."""
        deadline, shown = time.monotonic() + limit, ""
        while time.monotonic() < deadline:
            status, output = self.lab.run("pcibackctl list --json")
            shown = output.decode(errors="replace")
            if not status and {f["address"] for f in json.loads(shown)["functions"]} >= set(devices):
                return
            time.sleep(0.5)
        raise LabError(f"pcibackd does not hold {', '.join(devices)}: {shown}{self.lab.read(self.log).decode()}")

    def guest(self, name, functions, **more):
        """A guest that has the functions from its start on. more: as Guest takes it."""
        guest = Guest(self.lab, name, paused=True, **more)
        self.guests.append(guest)
        for function in functions:
            self.attach(guest, function)
        guest.unpause()
        return guest

    def attach(self, guest, function):
        self.lab.sh(f"pcibackctl attach {guest.domain} {function}", 60)

    def list(self):
        """The daemon's own account of functions and domains."""
        return json.loads(self.lab.sh("pcibackctl list --json"))

    def function(self, address):
        """The daemon's account of one function."""
        return next(f for f in self.list()["functions"] if f["address"] == address)

    def wait_until_held(self, functions, limit=30):
        """Until these functions are held and nobody's."""
        self._wait(lambda held: all(held.get(f) == "held" for f in functions), f"hold {', '.join(functions)}", limit)

    def wait_until_gone(self, functions, limit=60):
        """Until the daemon has forgotten these functions; it is not asked to release them any more."""
        self._wait(lambda held: not set(functions) & set(held), f"let go of {', '.join(functions)}", limit)

    def _wait(self, condition, what, limit):
        deadline, held = time.monotonic() + limit, {}
        while time.monotonic() < deadline:
            held = {f["address"]: f["state"] for f in self.list()["functions"]}
            if condition(held):
                return
            time.sleep(0.5)
        raise LabError(f"pcibackd does not {what}: {held}")

    def _stop(self):
        # A daemon that stops keeps what it holds, for the next one; here others are to have it.
        status, output = self.lab.run("pcibackctl list --json")
        held = set(self._functions) if status else {f["address"] for f in json.loads(output)["functions"]}
        for function in held & set(self._functions):
            self.lab.sh(f"for i in $(seq 100); do pcibackctl release {function} 2>/tmp/why && exit 0; sleep 0.2; done; cat /tmp/why", 60)
        self.lab.sh("pid=$(cat /run/pcibackd.pid); kill $pid 2>/dev/null; "
                    "for i in $(seq 100); do [ -d /proc/$pid ] || exit 0; sleep 0.1; done; kill -9 $pid")


class OneProcess(Daemon):
    """pcibackd without the split into a process with rights and one without."""

    command = Daemon.command + " --one-process"


class BareLoop(Daemon):
    """pcibackd, but for the reads that are measured: those a bare loop serves (dom0/bare_loop.c)."""

    @contextlib.contextmanager
    def reading(self, guest):
        function, = self._functions
        page, port = (self.lab.sh(f"xenstore-read /local/domain/{guest.domain}/device/pci/0/{node}").strip()
                      for node in ("pci-op-ref", "event-channel"))
        self.kill()
        self.lab.sh(f"bare_loop {guest.domain} {page} {port} /sys/bus/pci/devices/{function}/config > /run/bare 2>&1 & echo $! > /run/bare.pid; "
                    "for i in $(seq 50); do grep -q serves /run/bare && exit 0; sleep 0.1; done; cat /run/bare; exit 1")
        yield
        self.lab.sh("pid=$(cat /run/bare.pid); kill -9 $pid; while [ -d /proc/$pid ]; do sleep 0.1; done")
        self.start()


def settings(devices, keys):
    """The daemon's settings file for these devices, with these keys of [daemon]."""
    text = "[daemon]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in ({"log_level": "info"} | keys).items())
    for address, policy in devices.items():
        text += f'\n[[device]]\naddress = "{address}"\n'
        for key, value in ({"hold": True} | policy).items():
            text += f"{key} = {json.dumps(value)}\n"
    return text


class Kernel(Backend):
    """Linux's xen-pciback. It knows no policy but permissive, which no test asks of it."""

    def __init__(self, lab, devices, topology="vpci"):
        super().__init__(lab)
        self._functions = list(devices)
        lab.sh(f"modprobe xen-pciback passthrough={int(topology == 'passthrough')}")
        for function in devices:
            lab.sh(f"xl pci-assignable-add {function}")

    def guest(self, name, functions, **more):
        """A guest that has the functions from its start on. more: as Guest takes it."""
        guest = Guest(self.lab, name, functions, **more)
        self.guests.append(guest)
        return guest

    def attach(self, guest, function):
        self.lab.sh(f"xl pci-attach {guest.domain} {function}", 60)

    def _stop(self):
        for function in self._functions:
            self.lab.sh(f"xl pci-assignable-remove {function}")
        self.lab.sh("rmmod xen-pciback")
