"""layout.py FROZEN CURRENT: C that compiles if every struct of the frozen header begins the current one.

Members keep their names, places and sizes; new ones stand behind them. Enumerators keep their values.
"""
import re
import sys


def read(path):
    with open(path) as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def members(body):
    """Names of the direct members of a struct."""
    flat = re.sub(r"\{[^{}]*\}", "", body)
    while "{" in flat:
        flat = re.sub(r"\{[^{}]*\}", "", flat)
    for line in flat.split(";"):
        function = re.search(r"\(\*\s*(\w+)\)", line)
        if function:
            yield function[1]
        elif line.strip():
            for part in re.sub(r"\[[^\]]*\]", "", line).split(","):
                yield re.findall(r"\w+", part)[-1]


def main(frozen, current):
    text = read(frozen)
    # The frozen names get a prefix, so that both headers fit into one file.
    old = re.sub(r"\b(sn|SN|SUPERNET)_", r"old_\1_", text)
    print(old)
    print(f'#include "{current}"')
    n = 0
    for name, body in re.findall(r"typedef struct sn_\w+ \{(.*?)\n\} (sn_\w+);", text, flags=re.S):
        name, body = body, name
        for member in members(body):
            print(f'_Static_assert(offsetof(old_{name}, {member}) == offsetof({name}, {member}) && '
                  f'sizeof(((old_{name} *)0)->{member}) == sizeof((({name} *)0)->{member}), '
                  f'"{name}.{member} has moved: plug-ins that exist would read another member");')
            n += 1
    text += "enum {" + ", ".join(re.findall(r"X\((SN_\w+),", text)) + "}"
    for body in re.findall(r"enum(?: \w+)? \{(.*?)\}", text, flags=re.S):
        for constant in re.findall(r"\b(SN_\w+)", body):
            # Counts and versions grow; names inside of values are seen twice, which does no harm.
            if constant.endswith("_COUNT") or constant in ("SN_PLUGIN_ABI", "SN_STATUS_MAP"):
                continue
            print(f'_Static_assert((int)old_{constant} == (int){constant}, "{constant} has another value");')
            n += 1
    assert n > 100, n


main(*sys.argv[1:])
