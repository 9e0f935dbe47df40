#!/usr/bin/env python3
"""Put mistakes of the past back, one at a time, and see that a fuzz target finds each.

    tests/fuzz/reintroduce.py [--seconds 3600] [--only NAME,...]

In a copy of the tree below build/bugs, which `make fuzz` must have built before. Prints how long
each took; a mistake that no longer fits the sources is named, for its line here must follow them.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time

# name, target, file, what is there, what was there
BUGS = [
    ("scratch is asked for at the largest batch only", "fuzz_pipeline", "core/compile/infer.c",
     "    if (is_steady(p, s)) return most;\n    for (int64_t batch = 1; batch <= p->info.max_batch",
     "    return most;\n    for (int64_t batch = 1; batch <= p->info.max_batch"),
    ("axes that are equal at the largest batch are broadcast at every one", "fuzz_pipeline", "core/tensor/growth.c",
     "same = y_dim == x_dim && y_more == x_more;", "same = y_dim == x_dim;"),
    ("an absent input reaches what only changes shapes", "fuzz_pipeline", "core/compile/lower.c",
     "if (s.kind == STEP_ALIAS && (n->n_in == 0 || in[0] == VALUE_ABSENT))", "if (s.kind == STEP_ALIAS && n->n_in == 0)"),
    ("an export loses second outputs", "fuzz_pipeline", "core/export/spec.c",
     "for (int zeros = 0; out > 0 && zeros <= 3; zeros++)", "for (int zeros = 0; out > 1 && zeros <= 3; zeros++)"),
    ("an output that is too small is written past its end", "fuzz_pipeline", "core/run/run.c",
     'rc = check_tensor("output", i, &out[i], p->info.out[i].dtype, &shape, err);', "(void)shape, (void)out;"),
    ("no scratch memory is taken for some", "fuzz_pipeline", "core/run/run.c",
     "if (!scratch || (uintptr_t)scratch % SN_ALIGN_BYTES)", "if ((uintptr_t)scratch % SN_ALIGN_BYTES)"),
    ("too few weights of a distribution are read past their end", "fuzz_pipeline", "core/run/run.c",
     "if (n && n[i] != c->n_candidates)", "if (n && n[i] > c->n_candidates)"),
    ("the cost forgets steps that are fused", "fuzz_pipeline", "core/compile/infer.c",
     "p->info.cost.params += cost.params;",
     "if (p->mode == SN_TRAIN || !s->module->op->affine) p->info.cost.params += cost.params;"),
    ("an expression reads a label that was given a list", "fuzz_pipeline", "core/subnet/draft.c",
     "if (n == 1 || !reader) return SN_OK;", "if (n >= 1 || !reader) return SN_OK;"),
    ("a decided value keeps a kind that no candidate has", "fuzz_pipeline", "core/subnet/draft.c",
     "const bool as_given = draft->net->nni && c->several &&", "const bool as_given = draft->net->nni &&"),
    ("an index overflows", "fuzz_pipeline", "core/subnet/draft.c",
     "    if (!net->nni || v->as.integer >= 0) return false;\n", ""),
    ("unknown keys of a binary request's metadata are passed over", "fuzz_http", "api/v1/forward/said.c",
     'api_fail_unknown(p, "__metadata__", key, API_FORWARD_WORDS "|format");', "continue;"),
    ("what a request was charged is not given back", "fuzz_http", "api/serve.c",
     "account_discharge(&api->account, ACCOUNT_REQUESTS, call.n_charged);", ";"),
    ("the sign of zero is lost in JSON", "fuzz_tensor_json", "api/http/number.c",
     'return (size_t)sprintf(to, signbit(x) ? "-0.0" : "0");', 'return (size_t)sprintf(to, "0");'),
]

TREE = "build/bugs"


def copy_tree():
    """Sources and objects with their times, so that only what changes is compiled."""
    os.makedirs(TREE, exist_ok=True)
    subprocess.run(["cp", "-a", "-u", "Makefile", "api", "core", "deploy", "server", "tests", TREE], check=True)
    os.makedirs(TREE + "/build/release/core/kernel", exist_ok=True)
    subprocess.run(["cp", "-au", "build/fuzz", TREE + "/build/"], check=True)
    subprocess.run(["cp", "-au", "build/release/core/kernel/packed", TREE + "/build/release/core/kernel/"], check=True)


def build(target):
    return subprocess.run(["make", "-C", TREE, f"build/fuzz/{target}"], stdout=subprocess.DEVNULL).returncode == 0


def search(target, seconds):
    """How long until it ends with an error, and what it said; None: it did not."""
    work = f"{TREE}/found/{target}"
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    corpus = [d for d in (f"tests/fuzz/corpus/{target}", f"tests/fuzz/regression/{target}") if os.path.isdir(d)]
    started = time.monotonic()
    run = subprocess.run([f"{TREE}/build/fuzz/{target}", f"-max_total_time={seconds}", "-seed=1", "-entropic=0", "-max_len=4096",
                          "-timeout=20", "-rss_limit_mb=4096", f"-artifact_prefix={work}/", work] + corpus,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    took = time.monotonic() - started
    if run.returncode == 0:
        return None
    said = re.search(r"not so: .*|ERROR: AddressSanitizer: .*|runtime error: .*|Assertion .*|ERROR: .*|deadly signal", run.stdout)
    return took, said.group(0)[:110] if said else "it ended"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=int, default=3600)
    p.add_argument("--only", default="", help="texts, one of which is in the name")
    args = p.parse_args()
    only = [w for w in args.only.split(",") if w]
    found, missed = 0, 0

    copy_tree()
    for name, target, path, now, then in BUGS:
        if only and not any(w in name for w in only):
            continue
        source = open(path).read()
        if source.count(now) != 1:
            print(f"not ok: {name}: {path} has changed, so must this list", flush=True)
            missed += 1
            continue
        broken = f"{TREE}/{path}"
        with open(broken, "w") as f:
            f.write(source.replace(now, then))
        built = build(target)
        result = search(target, args.seconds) if built else None
        if result:
            found += 1
            print(f"ok: {name}: {target} after {result[0]:.0f} s: {result[1]}", flush=True)
        else:
            missed += 1
            why = f"did not find it in {args.seconds} s" if built else "does not compile with it"
            print(f"not ok: {name}: {target} {why}", flush=True)
        with open(broken, "w") as f:
            f.write(source)
    print(f"{found} passed, {missed} failed")
    sys.exit(missed != 0)


main()
