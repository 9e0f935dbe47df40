"""Who sends little, or nothing, or reads nothing, takes nothing from the others."""
import json
import socket
import struct
import time

from client import Daemon, answer, ask, check, closed_within, finish

FORWARD = "/v1/supernets/digits/forward"
RESAMPLE = "/v1/supernets/digits/resample"
JSON = "Content-Type: application/json"
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"


def announce(d, n, data=b""):
    s = d.connect()
    s.sendall(b"POST " + FORWARD.encode() + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % n + data)
    return s


def bodies():
    d = Daemon("--buffer-memory", "4M", "--max-body", "1M")
    held = [announce(d, 1 << 20) for _ in range(8)]
    time.sleep(0.3)
    with d.connect() as s:
        status, _, got = ask(s, "POST", FORWARD, b"x" * 900000, JSON)
        check("what is announced and not sent takes no memory", status == 400, (status, got))
    for s in held:
        s.close()

    held = [announce(d, 1 << 20, b"x" * 1000000) for _ in range(4)]
    time.sleep(0.3)
    started, statuses = time.monotonic(), []
    while time.monotonic() - started < 15 and statuses[-1:] != [400]:
        with d.connect() as s:
            statuses.append(ask(s, "POST", FORWARD, b"x" * 500000, JSON)[0])
        time.sleep(0.2)
    check("bodies that stop half way hold the memory at first", statuses[0] == 503, statuses)
    check("and soon have to give it back", statuses[-1] == 400, statuses)
    for s in held:
        s.close()
    check("it stops with status 0", d.stop()[0] == 0)


def connections():
    d = Daemon("--max-connections", "64")
    held = [d.connect() for _ in range(200)]
    started = time.monotonic()
    with d.connect() as s:
        check("health is answered beside 200 idle connections", ask(s, "GET", "/healthz")[0] == 200)
        check("promptly", time.monotonic() - started < 2, time.monotonic() - started)
        for _ in range(100):
            held.append(d.connect())
            check("a connection in use stays", ask(s, "GET", "/healthz")[0] == 200)
    for s in held:
        s.close()
    held = [announce(d, 1000, b"half") for _ in range(100)]
    time.sleep(2.5)
    started = time.monotonic()
    with d.connect() as s:
        check("health is answered beside 100 half bodies", ask(s, "GET", "/healthz")[0] == 200)
        check("promptly too", time.monotonic() - started < 4, time.monotonic() - started)
    for s in held:
        s.close()
    check("it stops with status 0", d.stop()[0] == 0)


def slow():
    d = Daemon("--idle-timeout", "1s")
    readers = d.connect(rcvbuf=4096)
    readers.sendall((b"GET /openapi.json" + HOST + b"\r\n") * 200)
    for sentence, start, byte in (
            ("a request line", b"", b"G"),
            ("headers", b"GET /healthz" + HOST + b"X: ", b"x"),
            ("a body", b"POST " + RESAMPLE.encode() + HOST + b"Content-Length: 500\r\n\r\n", b"x"),
            ("a chunked body", b"POST " + RESAMPLE.encode() + HOST + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n", b"x"),
            ("a body that is refused", b"POST /nothing" + HOST + b"Content-Length: 500\r\n\r\n", b"x")):
        with d.connect() as s:
            s.sendall(start)
            started, closed = time.monotonic(), False
            while not closed and time.monotonic() - started < 8:
                try:
                    s.sendall(byte)
                    closed = closed_within(s, 0.2)
                except OSError:
                    closed = True
            check("%s in trickles is not waited for" % sentence, closed)
    first = announce(d, 30 << 20, b"x" * (8 << 20))  # fast, then nothing: the past earns no future
    check("a body that was fast and stops is not waited for", closed_within(first, 6))
    # By now it has read nothing for seconds; a byte now and then does not help.
    started = time.monotonic()
    try:
        while time.monotonic() - started < 10 and readers.recv(4096):
            time.sleep(0.001)
    except OSError:
        pass
    check("a client that does not read is not waited for", time.monotonic() - started < 10)
    readers.close()
    check("it stops with status 0", d.stop()[0] == 0)


def gone():
    d = Daemon("--workers", "1", "--deadline", "60s")
    n, took = 1, 0
    while took < 1 and n <= 256:
        with d.connect() as s:
            _, _, got = ask(s, "POST", RESAMPLE, b'{"seed": 1, "count": %d}' % n, JSON)
            subnets = [x["choices"] for x in json.loads(got)["subnets"]]
            heavy = json.dumps({"inputs": {"image": [[[[0.5] * 8] * 8]] * 512}, "subnets": subnets}).encode()
            started = time.monotonic()
            ask(s, "POST", FORWARD, heavy, JSON)
            took = time.monotonic() - started
        n *= 2

    for sentence, leave in (("reset", lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))),
                            ("close", lambda s: None)):
        clients = [d.connect() for _ in range(6)]
        for s in clients:
            s.sendall(b"POST " + FORWARD.encode() + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(heavy) + heavy)
        time.sleep(0.3)
        for s in clients:
            leave(s)
            s.close()
        started = time.monotonic()
        with d.connect() as s:
            status, _, _ = ask(s, "POST", RESAMPLE, b'{"seed": 1}', JSON)
        check("work of clients that %s is not finished" % sentence,
              status == 200 and time.monotonic() - started < 1 + 2.5 * took, (status, time.monotonic() - started, took))
    with d.connect() as s:
        s.sendall(b"POST " + FORWARD.encode() + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(heavy) + heavy)
        s.shutdown(socket.SHUT_WR)
        status, _, _ = answer(s, skip_100=True)
        check("who has only finished to send gets the answer", status == 200, status)
    check("it stops with status 0", d.stop()[0] == 0)


def metrics(d):
    with d.connect() as s:
        _, _, text = ask(s, "GET", "/metrics")
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in text.decode().splitlines() if line[0] != "#")}


def figures():
    """Overload is seen: every reply is counted, whoever made it, and what is there has a gauge."""
    d = Daemon("--workers", "1", "--queue", "1", "--deadline", "1s", "--max-body", "1M")
    with d.connect() as s:
        _, _, got = ask(s, "POST", RESAMPLE, b'{"seed": 1, "count": 256}', JSON)
    subnets = [x["choices"] for x in json.loads(got)["subnets"]]
    heavy = json.dumps({"inputs": {"image": [[[[0.5] * 8] * 8]] * 512}, "subnets": subnets}).encode()
    clients = []
    for _ in range(4):
        clients.append(announce(d, len(heavy), heavy))
        time.sleep(0.15)
    busy = metrics(d)
    for s in clients:
        answer(s)
        s.close()
    with d.connect() as s:
        ask(s, "POST", FORWARD, b"{", JSON)
    with d.connect() as s:
        ask(s, "GET", "/nothing")
    with d.connect() as s:
        s.sendall(b"GET /v1/supernets HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        answer(s)
    announce(d, 2 << 20).close()
    with d.connect() as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n")
        answer(s)
    m = metrics(d)
    count = lambda route, code: m.get('supernetd_requests_total{route="%s",status="%dxx",code="%d"}' % (route, code // 100, code), 0)
    for route, code, n in (("forward", 504, 2), ("forward", 503, 2), ("forward", 400, 1), ("none", 404, 1),
                           ("list_supernets", 403, 1), ("forward", 413, 1), ("none", 400, 1), ("resample", 200, 1)):
        check("every %d of %s is counted" % (code, route), count(route, code) == n, count(route, code))
    check("gauges show a busy daemon", busy["supernetd_requests_running"] == 1 and busy["supernetd_queue_length"] == 1
          and busy["supernetd_workers"] == 1 and busy["supernetd_connections"] >= 3
          and busy["supernetd_requests_in_flight"] >= 3, busy)
    check("and an idle one", m["supernetd_requests_running"] == 0 and m["supernetd_queue_length"] == 0, m)
    check("bodies are counted while they are held", busy['supernetd_memory_bytes{purpose="bodies"}'] > len(heavy), busy)
    check("waiting is measured", m["supernetd_queue_seconds_count"] >= 4 and m["supernetd_queue_seconds_sum"] > 0.2, m)
    check("the process is described", m["process_resident_memory_bytes"] > 1e6 and m["process_open_fds"] > 5, m)
    check("it stops with status 0", d.stop()[0] == 0)


figures()
bodies()
connections()
slow()
gone()
finish()
