"""Memory is charged before it is taken: whatever clients ask for, the daemon stays below the
limits that were configured and a fixed reserve, and gives back what a burst has taken."""
import json
import os
import re
import struct
import sys
import tempfile
import threading

from client import Daemon, answer, ask, check, finish

MB = 1 << 20
RESERVE = 24 * MB  # of the program itself: code, stacks, what lies between two objects
JSON = "Content-Type: application/json"
SIDE = 2236  # a weight of 20 MB


def write_model(folder, spec, tensors):
    header, at = {}, 0
    for name, shape in tensors:
        n = 4
        for d in shape:
            n *= d
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n]}
        at += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.mkdir(folder)
    with open(folder + "/spec.json", "w") as f:
        json.dump({"format": "supernet/1", "name": "test", **spec}, f)
    with open(folder + "/weights.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + at)


def write_models(root):
    write_model(root + "/big",
                {"inputs": [{"name": "x", "dtype": "F32", "shape": ["N", SIDE]}],
                 "choices": {"w": [SIDE - 1, SIDE]},
                 "model": {"type": "Sequential", "layers": [
                     {"name": "a", "type": "Linear", "in_features": SIDE, "out_features": "w"}]}},
                [["a.weight", [SIDE, SIDE]], ["a.bias", [SIDE]]])
    labels = ["label%d" % i for i in range(1500)]
    write_model(root + "/wide",
                {"inputs": [{"name": "x", "dtype": "F32", "shape": ["N", 4]}],
                 "choices": {l: [0.1, 0.2, 0.3, 0.4] for l in labels},
                 "model": {"type": "Sequential",
                           "layers": [{"name": l, "type": "Dropout", "p": l} for l in labels]}},
                [])


class Meter:
    """What a daemon has taken at most since it was started."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.measures = "san" not in open("/proc/%d/maps" % daemon.process.pid).read()
        self.before = self.read("VmHWM")

    def read(self, what):
        with open("/proc/%d/status" % self.daemon.process.pid) as f:
            return int(re.search(what + r":\s+(\d+) kB", f.read()).group(1)) * 1024

    def below(self, sentence, n_bytes):
        taken = self.read("VmHWM") - self.before
        check("%s: less than %d MB more" % (sentence, n_bytes // MB),
              not self.measures or taken < n_bytes, "%.1f MB" % (taken / MB))

    def back(self, sentence):
        more = self.read("RssAnon")
        check("%s: given back" % sentence, not self.measures or more < RESERVE, "%.1f MB" % (more / MB))


def metrics(daemon):
    with daemon.connect() as s:
        return ask(s, "GET", "/metrics")[2].decode()


def held(daemon, purpose):
    return int(re.search(r'memory_bytes\{purpose="%s"\} (\d+)' % purpose, metrics(daemon)).group(1))


def call(daemon, method, path, body=b"", *headers):
    with daemon.connect() as s:
        status, _, data = ask(s, method, "/v1/supernets/" + path, body, JSON, *headers)
        return status, data


def slow_readers(root):
    d = Daemon("--supernet", "big=%s/big" % root, "--workers", "2", "--buffer-memory", "1M", "--max-body", "1M",
               "--plan-cache", "1M", "--max-scratch", "1M")
    meter = Meter(d)
    check("a choice is made", call(d, "PUT", "big/choices", b'{"w": %d}' % (SIDE - 1))[0] == 200)
    readers = [d.connect(rcvbuf=4096) for _ in range(40)]
    for s in readers:
        s.sendall(b"GET /v1/supernets/big/export?format=safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heads = [s.recv(512) for s in readers]
    check("forty slow readers are served", all(h.startswith(b"HTTP/1.1 200") for h in heads), heads)
    with d.connect() as s:
        status, _, whole = ask(s, "GET", "/v1/supernets/big/export?format=safetensors")
    n_header = struct.unpack("<Q", whole[:8])[0]
    check("a quick one gets all of it beside them", status == 200 and
          len(whole) == 8 + n_header + 4 * SIDE * (SIDE - 1) + 4 * (SIDE - 1), len(whole))
    with d.connect() as s:
        status, headers, body = ask(s, "HEAD", "/v1/supernets/big/export?format=safetensors")
    check("HEAD says how much it is", status == 200 and int(headers["content-length"]) == len(whole), headers)
    # the mapped file, which is the kernel's to drop, and 1 MB of buffers
    meter.below("forty slow readers of 20 MB", 20 * MB + MB + RESERVE)
    for s in readers:
        s.close()
    d.stop()


def large_bodies(root):
    d = Daemon("--workers", "2", "--max-scratch", "8M", "--plan-cache", "8M", "--buffer-memory", "40M")
    meter = Meter(d)
    million = 1000000
    rows = (
        ("subnets", "forward", "POST", b'{"inputs": {}, "subnets": [' + b"{}," * (10 * million) + b"{}]}", 413, "256"),
        ("a list as a choice", "forward", "POST",
         b'{"inputs": {}, "choices": {"width": [' + b"1," * (3 * million) + b"1]}}", 413, "buffer-memory"),
        ("logits", "forward", "POST",
         b'{"inputs": {}, "alpha": {"width": [' + b"1," * (2 * million) + b"1]}}", 413, "buffer-memory"),
        ("a state", "policies/default/state", "PUT",
         b'{"alpha": {"width": [' + b"1," * (2 * million) + b"1]}}", 413, "buffer-memory"),
        ("members", "forward", "POST", b'{"inputs": {}, ' + b'"a": {},' * million + b'"b": 1}', 422, "'a'"),
        ("options", "policies/p", "PUT",
         b'{"policy": "gumbel", "alpha": {"width": [' + b"{}," * (300 * 1000) + b"1]}}", 413, "buffer-memory"),
        ("a memo", "resample", "POST", b'{"memo": {"width": [' + b"1," * (500 * 1000) + b"1]}}", 422, "is not one of"),
    )
    for name, path, method, body, want, word in rows:
        status, data = call(d, method, "digits/" + path, body)
        check("megabytes of %s are refused" % name, status == want and word in data.decode(), (status, data[:300]))
    meter.below("bodies of up to 30 MB", 40 * MB + RESERVE)
    meter.back("bodies of up to 30 MB")
    for purpose in ("bodies", "requests"):
        check("no %s are charged any more" % purpose, held(d, purpose) == 0, held(d, purpose))
    d.stop()


def kept(root):
    """Subnets, supernets and policies share what the other limits leave."""
    d = Daemon("--supernet", "wide=%s/wide" % root, "--model-dir", root, "--workers", "2", "--max-scratch", "8M",
               "--plan-cache", "8M", "--buffer-memory", "32M", "--max-connections", "32", "--subnet-cache", "8192",
               "--memory-limit", "150M")
    meter = Meter(d)
    limit = int(re.search(r'limit_bytes\{pot="kept",purpose="subnets"\} (\d+)', metrics(d)).group(1))
    for i in range(8):
        status, _ = call(d, "POST", "wide/resample", b'{"count": 100, "seed": %d}' % i)
        check("100 subnets more of 1 500 labels", status == 200, status)
    subnets = held(d, "subnets")
    check("they stay below the limit", 0 < subnets <= limit, (subnets, limit))
    meter.below("subnets of 1 500 labels", 150 * MB)

    status, data = call(d, "PUT", "wide/policies/huge", b'{"policy": "enas", "lstm_size": 512, "lstm_num_layers": 4}')
    check("a controller of millions of numbers is refused", status in (413, 503), (status, data[:300]))
    refused = 0
    for i in range(60):
        status, data = call(d, "PUT", "wide/policies/p%d" % i, b'{"policy": "enas", "lstm_size": 8}')
        refused += status in (413, 503)
        check("controllers come in or are refused", status in (201, 413, 503), (status, data[:300]))
    check("some of them fit, not all", 0 < refused < 60, refused)
    check("policies stay below the limit", 0 < held(d, "policies") <= limit, (held(d, "policies"), limit))
    meter.below("controllers", 150 * MB)
    status, _ = call(d, "POST", "wide/resample", b'{"seed": 1}')
    check("subnets are drawn all the same", status == 200, status)
    for i in range(60):
        call(d, "DELETE", "wide/policies/p%d" % i)
    check("nothing of them is left", held(d, "policies") == 0, held(d, "policies"))
    check("and there is room again", call(d, "POST", "wide/resample", b'{"seed": 1}')[0] == 200)
    d.stop()


def loads(root):
    d = Daemon("--model-dir", root, "--workers", "2", "--max-supernets", "100")
    meter = Meter(d)
    with d.connect() as s:
        statuses = [ask(s, "PUT", "/v1/supernets/name%d" % i, b'{"path": "big"}', JSON)[::2] for i in range(1000)]
    good = sum(status == 201 for status, _ in statuses)
    check("as many are loaded as was allowed", good == 99, good)
    check("the others are told why", all(status == 413 and b"--max-supernets" in data for status, data in statuses[99:]),
          statuses[-1])
    series = re.findall(r'supernet="(\w+)"', metrics(d))
    check("there are series of what is loaded only", len(set(series)) == 100, len(set(series)))
    meter.below("1 000 loads", 24 * MB + RESERVE)
    for i in range(99):
        call(d, "DELETE", "name%d" % i)
    check("series go with the supernets", set(re.findall(r'supernet="(\w+)"', metrics(d))) == {"digits"}, "")
    check("a load of the same name needs no new place", call(d, "PUT", "name1", b'{"path": "big"}')[0] == 201 and
          call(d, "PUT", "name1", b'{"path": "big"}')[0] == 200)
    d.stop()


def many_at_once(root):
    """Replies that are large are charged as they grow: what has no room is 503, the rest is right."""
    d = Daemon("--supernet", "wide=%s/wide" % root, "--workers", "2", "--buffer-memory", "4M", "--max-body", "1M",
               "--plan-cache", "1M", "--max-scratch", "4M")
    meter = Meter(d)
    results = []

    def run():
        for _ in range(2):
            with d.connect() as s:
                status, _, data = ask(s, "POST", "/v1/supernets/wide/resample", b'{"count": 12, "seed": 1}', JSON)
                results.append((status, len(data), data[:200] if status != 200 else b""))

    threads = [threading.Thread(target=run) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    good = {r[1] for r in results if r[0] == 200}
    check("answers are whole, or 503", len(good) == 1 and all(r[0] in (200, 503) for r in results), results[:3])
    status, data = call(d, "POST", "wide/resample", b'{"count": 200, "seed": 1}')
    check("what never fits is 413", status == 413 and b"buffer-memory" in data, (status, data[:300]))
    meter.below("large answers at once", 4 * MB + 16 * MB + RESERVE)
    check("no replies are charged any more", held(d, "replies") <= 64 << 10, held(d, "replies"))
    d.stop()


with tempfile.TemporaryDirectory() as folder:
    write_models(folder)
    for scenario in (slow_readers, large_bodies, kept, loads, many_at_once):
        if scenario.__name__ in sys.argv[2:] or not sys.argv[2:]:
            scenario(folder)
finish()
