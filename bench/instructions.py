#!/usr/bin/env python3
"""Counts the instructions of fixed work in the core and compares them with the committed numbers.

    bench/instructions.py PROGRAM            fails if a number differs by more than 3 %
    bench/instructions.py PROGRAM --accept   writes the numbers to bench/instructions.json

PROGRAM is build/release/instructions. valgrind counts, which needs no quiet machine; it hides AVX-512, so the same code
runs everywhere that has AVX2. A number that went down is a failure too: accept it, so that the gain is kept.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

WORK = ["receive", "text", "send", "echo", "large", "open"]
ALLOWED = 0.03
NUMBERS = pathlib.Path(__file__).with_suffix(".json")


def count(program, work):
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program, work],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
    found = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or found is None:
        sys.exit(f"valgrind cannot run `{program} {work}`:\n{result.stderr}")
    return int(found.group(1))


def has_avx2():
    try:
        return " avx2 " in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def compiler(program):
    """The numbers are those of one compiler; another one makes others."""
    comment = subprocess.run(["readelf", "-p", ".comment", program], capture_output=True, text=True).stdout
    found = re.search(r"(GCC|clang)[^\n]*?(\d+)\.\d+\.\d+", comment)
    return f"{found.group(1)} {found.group(2)}" if found else "unknown"


def main():
    arguments = [each for each in sys.argv[1:] if each != "--accept"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    program = arguments[0]
    if not has_avx2():
        print("skipped: the numbers are those of a CPU with AVX2")
        sys.exit(77)
    # What the program does before and after the work, most of it in the dynamic linker, is taken off.
    nothing = count(program, "nothing")
    numbers = {work: count(program, work) - nothing for work in WORK}
    if "--accept" in sys.argv:
        NUMBERS.write_text(json.dumps({"compiler": compiler(program), "instructions": numbers}, indent=4) + "\n")
        print(f"written to {NUMBERS}")
        return
    committed = json.loads(NUMBERS.read_text())
    if committed["compiler"] != compiler(program):
        print(f"skipped: the numbers are those of {committed['compiler']}, this is {compiler(program)}")
        sys.exit(77)
    failed = False
    for work, number in numbers.items():
        before = committed["instructions"].get(work, 0)
        change = number / before - 1 if before else float("inf")
        wrong = abs(change) > ALLOWED
        failed = failed or wrong
        print(f"{work:8} {number:12,} instructions, committed {before:12,}  {change:+7.2%}{'  <- too far' if wrong else ''}")
    if failed:
        sys.exit(f"\nIf that is meant to be: bench/instructions.py {program} --accept, and say why in the commit.")


if __name__ == "__main__":
    main()
