"""Whatever one connection does, the others are served, time passes and signals arrive."""
import json
import os
import signal
import subprocess
import threading
import time

from client import Daemon, answer, ask, check, closed_within, finish, tell

RESAMPLE = "/v1/supernets/digits/resample"
JSON = "Content-Type: application/json"
CHUNKED = (b"POST /v1/supernets/digits/resample HTTP/1.1\r\nHost: localhost\r\n"
           b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")


def pipeline(s, stop):
    """GET /healthz without a pause and without waiting; a second thread reads the answers."""
    def read():
        try:
            while s.recv(1 << 20):
                pass
        except OSError:
            pass

    t = threading.Thread(target=read)
    t.start()
    many = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
    try:
        while not stop.is_set():
            s.sendall(many)
    except OSError:
        pass
    s.close()
    t.join()


def send_and_hold(data, gone=False):
    def attack(s, stop):
        s.settimeout(0.5)
        tell(s, data)
        if gone:
            s.close()
        stop.wait()
        s.close()
    return attack


def cpu_seconds(d):
    with open("/proc/%d/stat" % d.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


ATTACKS = (
    ("health checks pipelined without pause", pipeline),
    ("70 KB of chunk extension", send_and_hold(CHUNKED + b"4;" + b"x" * 70000)),
    ("70 KB of zeros as a chunk's size", send_and_hold(CHUNKED + b"0" * 70000)),
    ("a chunk extension of a client that is gone", send_and_hold(CHUNKED + b"4;" + b"x" * 70000, gone=True)),
)


def others_are_served():
    for sentence, attack in ATTACKS:
        d = Daemon("--workers", "1", "--deadline", "200ms", "--grace", "2s")
        stop = threading.Event()
        t = threading.Thread(target=attack, args=(d.connect(), stop))
        t.start()
        time.sleep(0.3)
        slowest = 0
        try:
            with d.connect() as s:
                s.settimeout(5)
                for seed in range(5):
                    started = time.monotonic()
                    status, _, _ = ask(s, "POST", RESAMPLE, b'{"seed": %d}' % seed, JSON)
                    check("%s: the pool's replies arrive" % sentence, status == 200, status)
                    slowest = max(slowest, time.monotonic() - started)
                # 256 subnets with a large batch: longer than the deadline
                status, _, got = ask(s, "POST", "/v1/supernets/digits/forward", HEAVY, JSON)
                check("%s: a deadline fires" % sentence, status == 504, (status, got))
        except (OSError, EOFError) as e:
            check("%s: the others are served" % sentence, False, e)
        check("%s: promptly" % sentence, slowest < 3, slowest)
        d.process.send_signal(signal.SIGTERM)
        try:
            check("%s: SIGTERM drains" % sentence, d.process.wait(10) == 0)
        except subprocess.TimeoutExpired as e:
            check("%s: SIGTERM drains" % sentence, False, e)
            d.process.kill()
        stop.set()
        t.join()
        d.stop()


def without_progress():
    d = Daemon("--idle-timeout", "4s")
    held = []
    for data in (CHUNKED + b"4;" + b"x" * 70000, CHUNKED + b"0" * 70000, CHUNKED + b"4;" + b"x" * 31000):
        s = d.connect()
        s.settimeout(0.5)
        tell(s, data)
        held.append(s)
    time.sleep(0.5)
    before, started = cpu_seconds(d), time.monotonic()
    time.sleep(2)
    share = (cpu_seconds(d) - before) / (time.monotonic() - started)
    check("what cannot get on costs no processor", share < 0.2, share)
    for s in held:
        check("who cannot get on is hung up on", closed_within(s, 10))
        s.close()
    time.sleep(0.3)
    before = cpu_seconds(d)
    time.sleep(1)
    check("afterwards the daemon sleeps", cpu_seconds(d) - before < 0.05, cpu_seconds(d) - before)
    with d.connect() as s:
        check("and serves", ask(s, "GET", "/healthz")[0] == 200)
    check("it stops with status 0", d.stop()[0] == 0)


def large_and_slow():
    """What only looks like no progress: a long header, a body in pieces, a long answer read slowly."""
    d = Daemon()
    with d.connect() as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(30):
            s.sendall(b"X-Filler: " + b"x" * 700 + b"\r\n")
            time.sleep(0.02)
        s.sendall(b"\r\n")
        check("a long header in pieces is a header", answer(s)[0] == 200)
        s.sendall(CHUNKED)
        for c in b'{"seed": 7}':
            s.sendall(b"1\r\n" + bytes([c]) + b"\r\n")
            time.sleep(0.05)
        s.sendall(b"0\r\n\r\n")
        check("a body of chunks of one byte is a body", answer(s)[0] == 200)
    check("it stops with status 0", d.stop()[0] == 0)


def make_heavy():
    d = Daemon()
    with d.connect() as s:
        _, _, got = ask(s, "POST", RESAMPLE, b'{"seed": 1, "count": 256}', JSON)
        subnets = [x["choices"] for x in json.loads(got)["subnets"]]
    d.stop()
    return json.dumps({"inputs": {"image": [[[[0.5] * 8] * 8]] * 512}, "subnets": subnets}).encode()


HEAVY = make_heavy()
others_are_served()
without_progress()
large_and_slow()
finish()
