# SPDX-License-Identifier: GPL-2.0-or-later
"""The two processes under a real Xen: what the one that reads what guests write cannot do, while a guest is served. Each
test is a function of a World, as in cases.py."""
import re

from adoption_cases import replace
from cases import check, check_disk_content, start_disk
from lab import DISK

RESTARTED = b"was ended by signal 9; it is started again"


def status(lab, pid):
    """What the kernel says of a process."""
    return dict(line.split(":\t", 1) for line in lab.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)


def test_sandbox(world):
    """A guest reads its disk; its daemon's worker has no right of any kind, and no file open that it was not given. Of what
    somebody who took it over might try, by itself or through the host process, nothing works. The process that starts workers has
    nothing of the host's open. A worker that is killed comes again; without the one that starts it, or the host process, all end, and
    the next daemon serves the guest."""
    lab = world.lab
    backend = world.serve({DISK: {}})
    guest = backend.guest("sandboxed", [DISK])
    start_disk(guest)
    check_disk_content(world, guest)

    parent, starter, worker = backend.processes()
    kernel = status(lab, worker)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        check(int(kernel[name], 16) == 0, f"the worker has {name} {kernel[name]}")
    check(kernel["Uid"].split() == ["65534"] * 4 and kernel["NoNewPrivs"] == "1" and kernel["Seccomp"] == "2", f"the worker is {kernel}")
    check(int(status(lab, parent)["CapEff"], 16) != 0, "the host process has no rights either")
    files = lab.sh(f"ls -l /proc/{worker}/fd | sed -n 's/.*-> //p'").splitlines()
    known = r"socket:|pipe:|anon_inode:|/dev/xen/(evtchn|gntdev)$|/sys/.*/config$|/run/pcibackd\.log$|/dev/null$|/dev/tty\w+$"
    strange = [name for name in files if not re.match(known, name)]
    check(not strange and not any("privcmd" in name or "hypercall" in name for name in files), f"the worker has open {files}")

    names = lab.sh(f"cat /proc/{worker}/task/*/comm").split()
    check(f"guest-{guest.domain}" in names, f"the worker's threads are {names}")

    files = lab.sh(f"ls -l /proc/{starter}/fd | sed -n 's/.*-> //p'").splitlines()
    check(not any(name.startswith(("/dev/xen", "/sys", "/proc")) for name in files), f"the starter has open {files}")

    backend.kill()
    said = lab.sh("pcibackd --check-sandbox --config /etc/pcibackd/pcibackd.toml 2>&1; echo $?", 60).splitlines()
    lab.save_log("sandbox", "\n".join(said).encode())
    check(said[-1] == "0" and not [line for line in said if "NOT REFUSED" in line], "; ".join(said))
    refused = [line for line in said if line.startswith("refused: ")]
    check(len(refused) > 50 and any("served" in line for line in refused) and any("which is not held" in line for line in refused), "; ".join(said))
    backend.start()
    check_disk_content(world, guest)

    parent, starter, worker = backend.processes()
    told = lab.read(backend.log).count(RESTARTED)  # the log is that of all tests of this boot
    replace(backend, [guest], "worker")
    check_disk_content(world, guest)
    now = backend.processes()
    check(now[:2] == (parent, starter) and now[2] != worker, f"the processes were {parent}, {starter}, {worker} and are {now}")
    check(lab.read(backend.log).count(RESTARTED) == told + 1, "the log does not say it")

    lab.sh(f"kill -9 {starter}; for i in $(seq 100); do [ -d /proc/{parent} ] || exit 0; sleep 0.1; done; exit 1")
    check(lab.run("pidof pcibackd")[0], "a process of the daemon is left")
    backend.start()
    check_disk_content(world, guest)


TESTS = (test_sandbox,)
