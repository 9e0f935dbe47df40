#!/usr/bin/python3
"""The library beside ONNX Runtime and PyTorch on the same subnets, in one run.

    compare.py BUILD [--only MODEL,...] [--batch N] [--threads N] [--quick] [--results FILE]

Every candidate is a process of its own that is told when to run; only one runs at a time, and they take
turns. A figure is the median over all turns. Before anything is timed, all outputs are compared with those
of the same network in float64. Writes build/bench.json; with --results also a page for people.
"""
import argparse
import datetime
import glob
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.path.join("build", "bench")
MODELS = ["demo", "tiny", "ofa-mbv3-small", "ofa-mbv3-large", "ofa-resnet50", "autoformer-tiny",
          "autoformer-tiny-rpe"]
WINOGRAD = {"ofa-resnet50": "ofa-resnet50-winograd"}  # timed once more, under another name
COUNTED_AS = {"autoformer-tiny-rpe": "autoformer-tiny"}  # operations are those without positions
BATCHES, THREADS = (1, 16), (1, 2)

MOST_ERROR, MOST_ERROR_RATIO = 1e-4, 4  # of the largest output; of ONNX Runtime's error
N_COMPILED, N_PAIRS = 200, 15
SHORT = 0.5  # seconds of a run that the state of the caches matters for
TURN, REST = 0.1, 0.1  # seconds of a candidate's turn, and for which the peers' threads may still spin after a turn


class Peer:
    """A process that answers one line with one line."""

    def __init__(self, *command, threads=1):
        environment = dict(os.environ, NODE_PATH=os.path.join(WORK, "node_modules"))
        for name in "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS":
            environment[name] = str(threads)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("compare: a candidate ended at: " + " ".join(map(str, words)))
        return answer.split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


class Candidate:
    """One way to run one network: a peer, and the words between a command and what it is for."""

    def __init__(self, peer, *words):
        self.peer, self.words, self.times = peer, words, []

    def run(self, count):
        return [float(t) for t in self.peer.ask("run", *self.words, count)]

    def error(self, reference):
        path = os.path.join(WORK, "output")
        self.peer.ask("output", *self.words, path)
        output = numpy.fromfile(path, numpy.float32)
        return float(abs(output - reference).max() / abs(reference).max())

    def ms(self):
        return round(statistics.median(self.times) / 1e3, 5)


class Report:
    """What is printed, kept for the page of results; and what failed."""

    def __init__(self):
        self.lines, self.failures = [], []

    def say(self, text=""):
        print(text, flush=True)
        self.lines.append(text)

    def fail(self, text):
        self.failures.append(text)
        self.say("FAILED: " + text)


def prepare(build, model):
    """The folder with all that the candidates read, made anew when its sources have changed."""
    folder = os.path.join(WORK, model)
    digest = hashlib.sha256()
    for path in [os.path.join(HERE, name) for name in ("prepare.py", "torch_net.py")] + sorted(
            glob.glob(os.path.join(HERE, "zoo", "*.py"))):
        with open(path, "rb") as f:
            digest.update(f.read())
    stamp = os.path.join(folder, "stamp")
    if not os.path.exists(stamp) or open(stamp).read() != digest.hexdigest():
        runner = os.path.join(build, "bench_subnet")
        subprocess.run(["/usr/bin/python3", os.path.join(HERE, "prepare.py"), runner, model, folder], check=True)
        with open(stamp, "w") as f:
            f.write(digest.hexdigest())
    return folder


def take_turns(candidates, seconds, rest):
    """Rounds of about 0.1 s for each, for `seconds` in all, with a `rest` before each turn. A turn of short runs begins
    with one that is not counted: its caches are full of what others left."""
    for candidate in candidates:
        candidate.run(2)  # not counted: first touches, and what jit learns
    counts, rounds = [1] * len(candidates), 0
    end = time.monotonic() + seconds
    while rounds < 3 or time.monotonic() < end:
        for i, candidate in enumerate(candidates):
            time.sleep(rest)
            warm = 1 if counts[i] > 1 or not candidate.times or candidate.times[-1] < SHORT * 1e6 else 0
            times = candidate.run(counts[i] + warm)[warm:]
            candidate.times += times
            counts[i] = max(1, int(TURN / max(statistics.median(times) / 1e6, 1e-6)))
        rounds += 1


def check(report, name, errors):
    """Rounding of ours: within what is promised, and near ONNX Runtime's."""
    ours, ort = errors["ours"], errors["ort"]
    if not ours <= MOST_ERROR:
        report.fail("%s: the error %.1e is above %g" % (name, ours, MOST_ERROR))
    if name.split()[0] not in WINOGRAD.values() and not ours <= MOST_ERROR_RATIO * ort:
        report.fail("%s: the error %.1e is above %d times ONNX Runtime's, %.1e" % (name, ours, MOST_ERROR_RATIO,
                                                                                  ort))


COLUMNS = "%-21s %5s %7s | %8s %8s %8s %8s | %6s %6s %6s %6s | %8s %6s | %7s %7s %7s | %7s"
HEADING = COLUMNS % ("model", "batch", "threads", "ours ms", "ORT", "torch", "jit", "x ORT", "torch", "jit", "alone",
                     "GFLOP/s", "% peak", "error", "ORT", "torch", "binding")


def row_of(name, batch, threads, ours, alone, others, errors, gflop, peak):
    ort, eager, jit, identity = (candidate.ms() for candidate in others)
    ms = ours.ms()
    return {"model": name, "batch": batch, "threads": threads, "ours_ms": ms, "ort_ms": ort, "torch_ms": eager,
            "torch_jit_ms": jit, "one_thread_ms": alone.ms(), "gflops": round(gflop / ms * 1e3, 2),
            "peak_percent": round(gflop / ms * 1e5 / peak, 1), "ort_binding_ms": identity, "errors": errors}


def line_of(row):
    ours, errors = row["ours_ms"], row["errors"]
    peers = [row["ort_ms"], row["torch_ms"], row["torch_jit_ms"]]
    return COLUMNS % ((row["model"], row["batch"], row["threads"]) + tuple("%.3f" % ms for ms in [ours] + peers) +
                      tuple("%.2f" % (ms / ours) for ms in peers + [row["one_thread_ms"]]) +
                      ("%.1f" % row["gflops"], "%.0f" % row["peak_percent"]) +
                      tuple("%.1e" % errors[peer] for peer in ("ours", "ort", "torch")) +
                      ("%.3f" % row["ort_binding_ms"],))


def bench_rows(report, runner, model, folder, gflop, batches, threads, peak, quick):
    """The rows of one model and number of threads: for every batch, and with Winograd where it is wanted."""
    rows = []
    peer_torch = ["/usr/bin/python3", os.path.join(HERE, "peer_torch.py"), folder, str(threads)]
    peer_ort = ["node", os.path.join(HERE, "peer_ort.js"), folder, str(threads)]
    with Peer(*peer_torch, threads=threads) as torch, Peer(*peer_ort) as ort, Peer(runner, folder) as library:
        for batch in batches:
            modes = {model: "direct"}
            if model in WINOGRAD:
                modes[WINOGRAD[model]] = "winograd"
            ours = {name: Candidate(library, batch, threads, mode) for name, mode in modes.items()}
            alone = {name: Candidate(library, batch, 1, mode) for name, mode in modes.items()} if threads > 1 else ours
            others = [Candidate(ort, "batch", batch), Candidate(torch, "eager", batch),
                      Candidate(torch, "jit", batch), Candidate(ort, "identity", batch)]
            reference = numpy.fromfile(os.path.join(folder, "reference%d" % batch))
            errors = dict(zip(("ort", "torch", "jit"), (other.error(reference) for other in others[:3])))
            own = {name: candidate.error(reference) for name, candidate in ours.items()}
            all_of_us = list(dict.fromkeys([*ours.values(), *alone.values()]))
            take_turns(all_of_us + others, 1 if quick else 4, REST if threads > 1 else 0)
            for name, candidate in ours.items():
                row = row_of(name, batch, threads, candidate, alone[name], others, dict(errors, ours=own[name]),
                             gflop * batch, peak)
                report.say(line_of(row))
                check(report, "%s batch %d threads %d" % (name, batch, threads), row["errors"])
                rows.append(row)
    return rows


def bench_switch(runner, model, folder):
    """A never-seen subnet, and two requests at once."""
    with Peer(runner, folder) as library:
        *compile_us, plan_bytes = map(float, library.ask("compile", N_COMPILED))
        *fresh_us, _ = map(float, library.ask("compile", N_COMPILED, "keep"))
        two_at_once = map(float, library.ask("pair", N_PAIRS))
    return {"model": model, "compile_us": statistics.median(compile_us), "compile_kept_us": statistics.median(fresh_us),
            "plan_bytes": int(plan_bytes), "two_at_once": statistics.median(two_at_once)}


def machine():
    with open("/proc/cpuinfo") as f:
        info = f.read()
    name, family = (re.search(key + r"\s*: (.*)", info).group(1) for key in ("model name", "cpu family"))
    widest = next((flag for flag in ("avx512f", "avx2", "asimd") if flag in info), "no vectors")
    return "%s (family %s, %s), %d cores" % (name, family, widest, os.cpu_count())


def versions():
    with open(os.path.join(WORK, "node_modules", "onnxruntime-node", "package.json")) as f:
        ort = json.load(f)["version"]
    torch = subprocess.run(["/usr/bin/python3", "-c", "import torch; print(torch.__version__)"], capture_output=True,
                           text=True, check=True).stdout.strip()
    return "ONNX Runtime %s, PyTorch %s" % (ort, torch)


NOTES = """
Milliseconds are medians. jit: torch.jit.trace and freeze. x: the time of a peer by ours; alone: that of our own
on one thread, by turns in the same minutes. GFLOP/s: two for every multiply-add that the plan counts (direct sums; the
tables of relative positions are not counted). %% peak: of fused multiply-adds on registers, measured as %s GFLOP/s
on %s threads. error: max|a - b| / max|b| against the same network in float64, for ours, ORT and torch. binding:
the milliseconds that ORT's binding for node takes for an identity network, the input handed back but for all rows and
columns except the first; its figures contain them."""

PAGE = """\
# Figures

What `make bench %s` printed and wrote here; how it measures is in `compare.py`.

```text
%s
```
"""

SWITCHING = "%-21s %21s %18s %23s %25s"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("--only", type=lambda text: text.replace(",", " ").split(), help="some of: " + " ".join(MODELS))
    parser.add_argument("--batch", type=int, choices=BATCHES)
    parser.add_argument("--threads", type=int, choices=THREADS)
    parser.add_argument("--quick", action="store_true", help="a second for each row")
    parser.add_argument("--results", metavar="FILE", help="write a page with all that is printed")
    options = parser.parse_args()
    unknown = set(options.only or ()) - set(MODELS)
    if unknown:
        parser.error("there is no model %s; models are %s" % (" ".join(unknown), " ".join(MODELS)))
    return options


def command(options):
    """The variables of make that these options come from."""
    given = {"ONLY": ",".join(options.only or ()), "BATCH": options.batch, "THREADS": options.threads,
             "QUICK": int(options.quick), "RESULTS": 1}
    return " ".join("%s=%s" % variable for variable in given.items() if variable[1])


def bench_networks(report, options):
    runner, models = os.path.join(options.build, "bench_subnet"), options.only or MODELS
    batches = [options.batch] if options.batch else BATCHES
    counted = [COUNTED_AS.get(model, model) for model in models]
    folders = {model: prepare(options.build, model) for model in dict.fromkeys(models + counted)}
    with Peer(runner, folders[models[0]]) as library:
        peaks = {threads: max(float(library.ask("peak", threads)[0]) for _ in range(5)) for threads in THREADS}
    report.say(HEADING)
    rows, switches = [], []
    for model, like in zip(models, counted):
        with Peer(runner, folders[like]) as library:
            gflop = 2e-9 * float(library.ask("info", 1, 1, "direct")[0])
        for threads in [options.threads] if options.threads else THREADS:
            rows += bench_rows(report, runner, model, folders[model], gflop, batches, threads, peaks[threads],
                               options.quick)
        switches.append(bench_switch(runner, model, folders[model]))
    report.say(NOTES % (" and ".join("%.0f" % peaks[t] for t in THREADS), " and ".join(map(str, THREADS))))
    report.say("\n" + SWITCHING % ("model", "choices to plan, us", "plans all kept", "bytes of largest plan",
                                   "two workers by one"))
    for row in switches:
        report.say(SWITCHING % (row["model"], "%.1f" % row["compile_us"], "%.1f" % row["compile_kept_us"],
                                row["plan_bytes"], "%.2f" % row["two_at_once"]))
    return {"models": rows, "switching": switches, "peak_gflops": peaks}


def bench_demo(report, build):
    """What the demo costs through the library and through HTTP."""
    report.say()
    with subprocess.Popen([os.path.join(HERE, "bench.sh"), build], stdout=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout:
            report.say(line.rstrip())
    if demo.returncode:
        report.fail("bench.sh")


def main():
    options, report = arguments(), Report()
    report.say("%s; %s; %s" % (machine(), versions(), datetime.date.today()))
    report.say("Load of the machine before the run: %.2f; above 0.3 other programs disturb it.\n" % os.getloadavg()[0])
    figures = bench_networks(report, options)
    with open(os.path.join("build", "bench.json"), "w") as f:
        json.dump(figures, f, indent=1)
    if not options.only:
        bench_demo(report, options.build)
    if options.results:
        with open(options.results, "w") as f:
            f.write(PAGE % (command(options), "\n".join(report.lines)))
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
