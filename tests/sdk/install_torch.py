"""Installs one version of torch into the interpreter that runs this, without gigabytes of CUDA where possible.

The SDK's client needs torch for its tensors only, never a GPU. Many registries have a CUDA build alone for
Linux; it will not import without two gigabytes of CUDA libraries, of which a machine without a GPU uses
none. So three ways are tried, the first that imports wins:

1. the package by itself (enough for CPU builds);
2. the package and empty stand-ins for the libraries that it misses, made by the machine's C compiler;
   every function in them answers 100, CUDA's own code for "no device";
3. the package with all that it declares.

For test environments only: with stand-ins, torch reports that there is no GPU, also where there is one.
"""

import ctypes
import platform
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from sysconfig import get_path

# The driver's and the libraries' functions that are not versioned symbols, so nothing says whose they are.
UNVERSIONED = re.compile(r"(cu|nccl)\w+")


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *arguments], check=True)


def imports() -> bool:
    probe = "import torch; assert torch.ones(2).sum() == 2"
    return subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0


def read(option: str, library: Path) -> list[str]:
    command = ["readelf", "-W", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def cannot_load(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return True
    return False


def missing_libraries(folder: Path) -> set[str]:
    lines = (line for library in folder.glob("*.so") for line in read("--dynamic", library))
    needed = {match[1] for line in lines if (match := re.search(r"\(NEEDED\).*\[(.+)\]", line))}
    return {name for name in needed if not (folder / name).exists() and cannot_load(name)}


def versions(library: Path) -> Iterator[tuple[str, str]]:
    """(version, library that has it) of what one library needs from others."""
    owner = ""
    for line in read("--version-info", library):
        if found := re.search(r"Version: \d+\s+File: (\S+)", line):
            owner = found[1]
        elif found := re.search(r"Name: (\S+)\s+Flags:.*Version:", line):
            yield found[1], owner


def undefined(library: Path) -> Iterator[tuple[str, str]]:
    """(function, its version or "") of what one library expects others to define."""
    for line in read("--dyn-syms", library):
        columns = line.split()
        if len(columns) >= 8 and columns[6] == "UND":
            name, _, version = columns[7].partition("@")
            yield name, version.lstrip("@")


def stand_in(path: Path, version: str, functions: Iterable[str]) -> None:
    source = "".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(functions))
    command = ["cc", "-w", "-fno-builtin", "-shared", "-nostdlib", "-x", "c", "-", f"-Wl,-soname,{path.name}"]
    script = path.with_suffix(".map")
    if version:
        script.write_text(f"{version} {{ *; }};\n")
        command.append(f"-Wl,--version-script={script}")
    subprocess.run([*command, "-o", str(path)], input=source, text=True, check=True)
    script.unlink(missing_ok=True)


def write_stand_ins(folder: Path) -> None:
    missing = missing_libraries(folder)
    owners = {v: o for library in folder.glob("*.so") for v, o in versions(library) if o in missing}
    functions: dict[str, set[str]] = defaultdict(set)
    nobodys: set[str] = set()
    for library in folder.glob("*.so"):
        for name, version in undefined(library):
            if version in owners:
                functions[version].add(name)
            elif not version and UNVERSIONED.fullmatch(name):
                nobodys.add(name)
    for version, owner in owners.items():
        stand_in(folder / owner, version, functions[version])
    for name in missing - set(owners.values()):
        stand_in(folder / name, "", nobodys)


def main(version: str) -> None:
    pip("--no-deps", f"torch=={version}")
    if imports():
        return
    if platform.system() == "Linux" and shutil.which("cc") and shutil.which("readelf"):
        print(f"torch {version} is a CUDA build; giving it empty CUDA libraries instead of gigabytes")
        write_stand_ins(Path(get_path("platlib"), "torch", "lib"))
        if imports():
            return
    print(f"torch {version}: installing everything that it declares (several gigabytes)")
    pip("--force-reinstall", "--no-deps", f"torch=={version}")
    pip(f"torch=={version}")


if __name__ == "__main__":
    main(sys.argv[1])
