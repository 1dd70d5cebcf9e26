# SPDX-License-Identifier: GPL-2.0-or-later
"""What the administrator sees of guests on a real Xen: each command of pcibackctl that reads, as text and as JSON, and a trace of a
guest's whole boot. Each test is a function of a World, as in cases.py."""
import json
import pathlib
import sys

from cases import FUNCTION, check
from lab import DISK, LEGACY, NIC, Guest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import described  # noqa: E402

NAME = "observed"  # the guest, which the tests share if they can


def values_of(lab, words, fails=False):
    """What pcibackctl says to these words for programs, which the schema describes; and how it ends."""
    status, output = lab.run(f"pcibackctl --json {words}")
    text = output.decode(errors="replace")
    names = ["error"] if fails else described.SCHEMA["commands"][words.split()[0]]
    values = []
    for line in text.splitlines():
        value, complaint = described.read(line, names)
        check(not complaint, f"'{words}' prints {complaint}")
        values.append(value)
    check(values and (status != 0) == fails, f"'{words}' ends with {status}: {text[:300]}")
    return values, status


def told(lab, words, **more):
    """The same, and what it says to people."""
    values, status = values_of(lab, words, **more)
    plain = lab.run(f"pcibackctl {words} 2>&1")
    check(plain[0] == status, f"'{words}' ends with {plain[0]} as text, and with {status} as JSON")
    return plain[1].decode(errors="replace"), values


def check_text(lab, words, *parts, **more):
    """The same; each of these parts is in the text. Returns the value, or the first of several."""
    text, values = told(lab, words, **more)
    for part in parts:
        check(part in text, f"'{words}' does not say '{part}': {text}")
    return values[0]


def fetch(lab, path, name):
    """A file of dom0's, beside the logs."""
    lab.save_log(name, lab.read(path))
    return lab.logs / name


def new_guest(world):
    """A backend, and a guest with the disk that does not run yet."""
    backend = world.serve({NIC: {}, DISK: {}, LEGACY: {}})
    guest = Guest(world.lab, NAME, paused=True)
    backend.guests.append(guest)
    backend.attach(guest, DISK)
    return backend, guest


def start_disk(guest):
    guest.sh("modprobe nvme", 90)
    guest.sh("for i in $(seq 100); do [ -e /dev/nvme0n1 ] && exit 0; sleep 0.2; done; exit 1", 60)


def traced_boot(world, guest):
    """The guest runs from its first instruction on under two traces: the files of both."""
    lab = world.lab
    lab.sh(f"pcibackctl trace {NAME} -w /run/boot.pcapng 2> /dev/null & pcibackctl --json trace {NAME} > /run/boot.json 2> /dev/null & "
           "pcibackctl --json watch > /run/watch.json & sleep 1")
    guest.unpause()
    start_disk(guest)
    lab.sh("killall pcibackctl; for i in $(seq 50); do pidof pcibackctl > /dev/null || exit 0; sleep 0.1; done; exit 1")
    watched = [json.loads(line) for line in lab.read("/run/watch.json").decode().splitlines()]
    check(["connected"] == [one["event"] for one in watched if one["guest"]], f"watch tells of {watched}")
    return fetch(lab, "/run/boot.pcapng", "boot.pcapng"), fetch(lab, "/run/boot.json", "boot.json")


def test_trace_of_a_boot(world):
    """Every operation of a guest's boot is in the trace, and tshark shows each with its register, value and error."""
    backend, guest = new_guest(world)
    capture, lines = traced_boot(world, guest)
    served = next(one for one in backend.list()["domains"] if one["domain"] == guest.domain)
    operations = [json.loads(line) for line in lines.read_text().splitlines()]
    check(not any("lost" in one for one in operations), "the trace has lost some")
    rows, said = described.operations(capture)
    check(len(rows) == len(operations) == served["operations"],
          f"{served['operations']} operations, {len(operations)} are told of, tshark shows {len(rows)}: {said}")
    for row, one in zip(rows, operations):
        check(described.same(row, one), f"the dissector shows {row} of {one}")
    check(described.understood(capture), "the dissector does not understand some packets")
    kinds = {one["operation"] for one in operations}
    check({"conf_read", "conf_write", "enable_msix"} <= kinds, f"the boot had no more than {kinds}")
    print(f"  {len(rows)} operations of a boot, {len({one['register'] for one in operations if one['register']})} registers", flush=True)


def check_functions(lab, guest):
    """list, lines, explain, config, writes: what has the disk, and how."""
    name = f"{guest.name} ({guest.domain})"
    held = check_text(lab, "list", DISK, name, "leased", "connected", "msix")
    check({each["address"]: each["state"] for each in held["functions"]} == {NIC: "held", DISK: "leased", LEGACY: "held"}, f"list: {held}")
    check_text(lab, "lines", DISK, name)
    check_text(lab, f"explain {DISK}", f"verdict: {name} has {DISK}, and it works")
    check_text(lab, f"explain {guest.name}", f"verdict: {name} has {DISK}, and it works")
    check_text(lab, f"explain {NIC}", f"verdict: {NIC} is held, clean, and no guest has it.", f"pcibackctl attach GUEST {NIC}")
    check_text(lab, f"explain {guest.name[:-1]}", f'did you mean "{guest.name}"?', fails=True)
    check_text(lab, "explain 0000:1f:1f.7", "0000:1f:1f.7", "verdict: ")
    check_text(lab, f"writes {DISK}", DISK)
    # What it says that the guest reads is what the guest reads.
    config = bytes.fromhex(check_text(lab, f"config {DISK}", "Vector table", "MSI-X")["guest"])
    read = bytes.fromhex(guest.sh(f"od -An -v -tx1 {FUNCTION}/config | tr -d ' \\n'"))
    check(config == read, f"config and the guest differ at {[hex(i) for i, (one, other) in enumerate(zip(config, read)) if one != other]}")


def check_daemon(lab, guest):
    """actors, metrics, top, doctor, report: the daemon and its host."""
    actors = check_text(lab, "actors", f"domain {guest.name} ({guest.domain})", f"guest-{guest.domain}", "device " + DISK)
    check(all(each["answers"] for each in actors["actors"]), f"an actor does not answer: {actors}")
    labels = f'{{domain="{guest.domain}"}}'
    served = next(one for one in values_of(lab, "list")[0][0]["domains"] if one["domain"] == guest.domain)
    check_text(lab, "metrics", f"pcibackd_guest_operations_total{labels} {served['operations']}\n", f"pcibackd_guest_connected{labels} 1\n")
    check(len(values_of(lab, "top -n 2 -d 0.2")[0]) == 2, "top -n 2 does not tell twice")
    version = lab.sh("xl info xen_version").strip()
    doctor = check_text(lab, "doctor", f"Xen {version}, a PV dom0", "Xen drives it", "the firmware describes one (DMAR)", f"{DISK}, and it works")
    check(doctor["problems"] == 0, f"doctor finds problems in a lab that works: {doctor}")
    for words in ("report", "report --names"):
        text, values = told(lab, words)
        check((guest.name in text) == (guest.name in json.dumps(values)) == ("--names" in words), f"{words}: {text}")


def test_looking(world):
    """Each command that reads says in a real dom0 what it says on the simulated host: to people, and to programs by the schema."""
    guest = next((each for each in world.backend.guests if each.name == NAME), None) if world.backend else None
    if not guest:
        _, guest = new_guest(world)
        guest.unpause()
        start_disk(guest)
    check_functions(world.lab, guest)
    check_daemon(world.lab, guest)
    world.end()


TESTS = [test_trace_of_a_boot, test_looking]
