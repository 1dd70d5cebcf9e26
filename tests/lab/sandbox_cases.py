# SPDX-License-Identifier: GPL-2.0-or-later
"""The two processes under a real Xen: what the one that reads what guests write cannot do, while a guest is served. Each
test is a function of a World, as in cases.py."""
import re

from cases import check, check_disk_content, start_disk
from lab import DISK


def processes(lab):
    """The daemon's two processes: (the host process, the worker)."""
    parent = lab.sh("cat /run/pcibackd.pid").strip()
    children = [pid for pid in lab.sh("pidof pcibackd").split() if pid != parent]
    check(len(children) == 1, f"beside {parent} there is {children}")
    return parent, children[0]


def status(lab, pid):
    """What the kernel says of a process."""
    return dict(line.split(":\t", 1) for line in lab.sh(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)


def test_sandbox(world):
    """A guest reads its disk; its daemon's worker has no right of any kind, and no file open that it was not given. Of what
    somebody who took it over might try, by itself or through the host process, nothing works. Either process ends with the
    other, and the next daemon serves the guest."""
    lab = world.lab
    backend = world.serve({DISK: {}})
    guest = backend.guest("sandboxed", [DISK])
    start_disk(guest)
    check_disk_content(world, guest)

    parent, worker = processes(lab)
    kernel = status(lab, worker)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        check(int(kernel[name], 16) == 0, f"the worker has {name} {kernel[name]}")
    check(kernel["Uid"].split() == ["65534"] * 4 and kernel["NoNewPrivs"] == "1" and kernel["Seccomp"] == "2", f"the worker is {kernel}")
    check(int(status(lab, parent)["CapEff"], 16) != 0, "the host process has no rights either")
    files = lab.sh(f"ls -l /proc/{worker}/fd | sed -n 's/.*-> //p'").splitlines()
    known = r"socket:|pipe:|anon_inode:|/dev/xen/(evtchn|gntdev)$|/sys/.*/config$|/run/pcibackd\.log$|/dev/null$|/dev/tty\w+$"
    strange = [name for name in files if not re.match(known, name)]
    check(not strange and not any("privcmd" in name or "hypercall" in name for name in files), f"the worker has open {files}")

    backend.kill()
    said = lab.sh("pcibackd --check-sandbox --config /etc/pcibackd/pcibackd.toml 2>&1; echo $?", 60).splitlines()
    lab.save_log("sandbox", "\n".join(said).encode())
    check(said[-1] == "0" and not [line for line in said if "NOT REFUSED" in line], "; ".join(said))
    refused = [line for line in said if line.startswith("refused: ")]
    check(len(refused) > 50 and any("served" in line for line in refused) and any("which is not held" in line for line in refused), "; ".join(said))
    backend.start()
    check_disk_content(world, guest)

    parent, worker = processes(lab)
    lab.sh(f"kill -9 {worker}; for i in $(seq 100); do [ -d /proc/{parent} ] || exit 0; sleep 0.1; done; exit 1")
    backend.start()
    check_disk_content(world, guest)


TESTS = (test_sandbox,)
