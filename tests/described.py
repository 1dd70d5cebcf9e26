# SPDX-License-Identifier: GPL-2.0-or-later
"""What pcibackctl prints for programs, held against what is said of it: JSON against docs/pcibackctl.schema.json, traces against the
dissector for Wireshark. For tests/outputs, tests/inside and the lab; needs the modules of Debian's python3, and tshark."""
import calendar
import json
import pathlib
import subprocess
import time

import jsonschema

TREE = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = json.loads((TREE / "docs/pcibackctl.schema.json").read_text())
DISSECTOR = TREE / "tools/install/pcibackd.lua"
FIELDS = ("frame.time_epoch", "pcibackd.function", "pcibackd.register", "pcibackd.value", "pcibackd.error", "pcibackd.offset", "pcibackd.guest")
ERRORS = {"success": 0, "dev_not_found": -1, "invalid_offset": -2, "access_denied": -3, "not_implemented": -4, "op_failed": -5}


def strict(schema):
    """The same, but an object has no key that is not described."""
    if isinstance(schema, dict):
        schema = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema:
            schema["additionalProperties"] = False
    return [strict(each) for each in schema] if isinstance(schema, list) else schema


STRICT = strict(SCHEMA)


def read(text, names):
    """One of the schema's kinds as a value; and what is wrong with it, if anything is."""
    try:
        value = json.loads(text)
    except ValueError:
        return None, f"no JSON: {text[:200]!r}"
    choice = [{"$ref": f"#/$defs/{name}"} for name in names]
    schema = {"$defs": STRICT["$defs"], **(choice[0] if len(choice) == 1 else {"anyOf": choice})}
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if not errors:
        return value, ""
    best = jsonschema.exceptions.best_match(errors)
    return value, f"something else than {' or '.join(names)}: {'/'.join(map(str, best.absolute_path))}: {best.message[:300]}"


def tshark(capture, *words):
    """What it says of a trace, with the dissector."""
    return subprocess.run(["tshark", "-X", f"lua_script:{DISSECTOR}", "-r", capture, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def operations(capture):
    """A trace's operations, as the dissector decodes them: a row of FIELDS each; and what else it says."""
    said = tshark(capture, "-T", "fields", "-E", "separator=|", *(word for field in FIELDS for word in ("-e", field)))
    return [line.split("|") for line in said.stdout.splitlines()], said.stderr


def understood(capture):
    """Whether the dissector knows each packet."""
    said = tshark(capture, "-Y", "_ws.malformed || pcibackd.short || pcibackd.unknown")
    return said.returncode == 0 and not said.stdout


def same(row, told):
    """Whether the dissector shows the operation that `pcibackctl --json trace` tells of."""
    moment, fraction = told["time"][:-1].split(".")
    seconds = calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction}")
    epoch, function, register, value, error, offset, guest = row
    return (abs(float(epoch) - seconds) < 0.01 and function == (told["function"] or "") and register == (told["register"] or "")
            and int(value, 16) == int(told["value"], 16) and int(error) == ERRORS[told["error"]] and int(offset) == told["offset"]
            and guest == told["guest"])
