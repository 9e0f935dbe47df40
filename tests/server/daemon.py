"""The daemon as a program: what it does with bytes, with too much, with time and with signals."""
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from client import PROGRAM, Daemon, answer, ask, check, finish

FORWARD = "/v1/supernets/digits/forward"
JSON = "Content-Type: application/json"


def make_heavy():
    """The body of a forward that keeps one worker busy for about a second, on any machine."""
    image, n = [[[[0.5] * 8] * 8]] * 256, 1
    d = Daemon("--workers", "1")
    while True:
        with d.connect() as s:
            _, _, sampled = ask(s, "POST", "/v1/supernets/digits/resample", b'{"seed": 1, "count": %d}' % n, JSON)
            subnets = [x["choices"] for x in json.loads(sampled)["subnets"]]
            body = json.dumps({"inputs": {"image": image}, "subnets": subnets}).encode()
            started = time.monotonic()
            ask(s, "POST", FORWARD, body, JSON)
            if time.monotonic() - started > 0.8 or n == 256:
                d.stop()
                return body
        n *= 2


def in_background(d, body, results, *headers):
    def run():
        started = time.monotonic()
        try:
            with d.connect() as s:
                status, got, data = ask(s, "POST", FORWARD, body, JSON, *headers)
                results.append((status, time.monotonic() - started, got, data))
        except (OSError, EOFError) as e:
            results.append((str(e), time.monotonic() - started, {}, b""))

    t = threading.Thread(target=run)
    t.start()
    return t


def wire():
    d = Daemon("--max-body", "1M")
    with d.connect() as s:
        status, headers, body = ask(s, "GET", "/healthz", b"", "X-Request-Id: client-7")
        check("the client's request id comes back", headers["x-request-id"] == "client-7", headers)
        status, headers, _ = ask(s, "HEAD", "/healthz")
        check("HEAD is GET without the body",
              status == 200 and int(headers["content-length"]) == len(body), headers)
        status, headers, _ = ask(s, "GET", "/healthz", b"", "X-Request-Id: two words")
        check("an id with a space is replaced", re.fullmatch("[0-9a-f]{16}", headers["x-request-id"]), headers)
        status, headers, _ = ask(s, "GET", "/healthz", b"", "X-Request-Id: " + "x" * 65)
        check("a long id is replaced", len(headers["x-request-id"]) == 16, headers)
        status, _, body = ask(s, "POST", "/nothing", b"x" * 1000)
        check("a refused small body leaves the connection open", status == 404, status)
        check("it still answers on that connection", ask(s, "GET", "/healthz")[0] == 200)
        status, headers, _ = ask(s, "DELETE", FORWARD)
        check("405 says what is allowed", status == 405 and "POST" in headers["allow"], headers)

    host = b" HTTP/1.1\r\nHost: localhost\r\n"
    got, _ = d.send(b"GET /healthz" + host + b"\r\n" + b"HEAD /healthz" + host + b"\r\nGET /healthz" + host + b"\r\n")
    check("pipelined requests are answered in turn", got.count(b"HTTP/1.1 200") == 3, got)
    got, _ = d.send(b"GET http://localhost/healthz" + host + b"\r\n")
    check("an absolute URI is a path", got.startswith(b"HTTP/1.1 200"), got)
    got, closed = d.send(b"POST " + FORWARD.encode() + host + b"Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n")
    check("413 comes instead of 100 Continue", got.startswith(b"HTTP/1.1 413") and closed, got)
    got, _ = d.send(b"POST /v1/supernets/digits/resample" + host +
                    b"Content-Type: application/json\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n" + b'{"seed": 1}')
    check("100 Continue, then the answer", got.startswith(b"HTTP/1.1 100") and b"HTTP/1.1 200" in got, got)
    got, _ = d.send(b"POST /v1/supernets/digits/resample" + host + b"Content-Type: application/json\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n4\r\n{\"se\r\n7\r\ned\": 1}\r\n0\r\n\r\n")
    check("a chunked body is one body", got.startswith(b"HTTP/1.1 200"), got)

    smuggled = b"GET /smuggled" + host + b"\r\n"
    for sentence, request in (
            ("a length and chunks", b"POST /healthz" + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("two lengths", b"POST /healthz" + host + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
            ("an unknown coding", b"POST /healthz" + host + b"Transfer-Encoding: gzip\r\n\r\n"),
            ("a space before the colon", b"POST /healthz" + host + b"Content-Length : 5\r\n\r\n"),
            ("no host", b"GET /healthz HTTP/1.1\r\n\r\n"),
            ("two hosts", b"GET /healthz" + host + b"Host: other\r\n\r\n")):
        got, closed = d.send(request + smuggled)
        document = got.split(b"\r\n\r\n", 1)[-1]
        check("%s: 400, one document, closed" % sentence,
              got.startswith(b"HTTP/1.1 400") and b'"malformed"' in document and closed and got.count(b"HTTP/1.1") == 1, got)
    got, closed = d.send(b"DELETE /healthz" + host + b"Content-Length: 3000000\r\n\r\n" + smuggled)
    check("an unread body is no request", got.count(b"HTTP/1.1") == 1 and closed, got)

    d.send(b"GET /a%0alevel=error\" x=\x1b[2J" + host + b"\r\n")
    status, _ = d.stop()
    log = d.log()
    check("it stops with status 0", status == 0, status)
    check("nothing smuggled was served", "/smuggled" not in log, log)
    check("every line of the log is one of ours",
          all(re.match(r"time=\S+Z level=(error|warn|info) event=\w+( |$)", line) for line in log.splitlines()), log)
    check("the log shows the id that the client sent", "request=client-7 " in log, log)


def too_much(body):
    d = Daemon("--workers", "1", "--queue", "1", "--max-connections", "8", "--idle-timeout", "1s")
    results, threads = [], []
    for _ in range(4):
        threads.append(in_background(d, body, results))
        time.sleep(0.1)
    with d.connect() as s:
        started = time.monotonic()
        check("health is answered while workers are busy",
              ask(s, "GET", "/healthz")[0] == 200 and time.monotonic() - started < 0.5)
    for t in threads:
        t.join()
    statuses = sorted(r[0] for r in results)
    refused = [r for r in results if r[0] == 503]
    check("one runs, one waits, the others are refused", statuses == [200, 200, 503, 503], statuses)
    check("a refusal comes before any of the answers",
          max((r[1] for r in refused), default=9) < min(r[1] for r in results if r[0] == 200), results)
    check("a refusal says when to come back",
          all(int(r[2].get("retry-after", 0)) >= 1 and b'"busy"' in r[3] for r in refused), refused)

    for name, start in (("headers", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "),
                        ("a body", b"POST /v1/supernets/digits/resample HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n")):
        with d.connect() as s:
            s.settimeout(0.2)
            s.sendall(start)
            started, closed = time.monotonic(), False
            while not closed and time.monotonic() - started < 8:
                try:
                    s.sendall(b"x")
                    closed = s.recv(100) == b""
                except TimeoutError:
                    pass
                except OSError:
                    closed = True
            check("%s that trickle in are not waited for" % name, closed)

    check("it stops with status 0", d.stop()[0] == 0)

    d = Daemon("--buffer-memory", "1M", "--max-body", "1M")
    with d.connect() as first, d.connect() as second:
        first.sendall(b"POST " + FORWARD.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 900000)
        time.sleep(0.4)
        status, headers, data = ask(second, "POST", FORWARD, b"x" * 500000, JSON)
        check("memory that is taken is 503 with Retry-After", status == 503 and "retry-after" in headers, data)
        first.close()
        time.sleep(0.2)
        check("and is there again when it is given back", ask(second, "POST", FORWARD, b"x" * 500000, JSON)[0] == 400)
    check("it stops with status 0", d.stop()[0] == 0)


def time_is_over(body):
    d = Daemon("--workers", "1", "--queue", "4", "--deadline", "300ms")
    results = []
    threads = [in_background(d, body, results) for _ in range(3)]
    for t in threads:
        t.join()
    check("all are answered 504", [r[0] for r in results] == [504] * 3, [r[:2] for r in results])
    check("soon after the deadline", all(0.2 < r[1] < 5 for r in results), [r[:2] for r in results])
    check("with a code of its own", all(json.loads(r[3])["error"]["code"] == "deadline" for r in results))
    with d.connect() as s:
        check("the worker is free again",
              ask(s, "POST", "/v1/supernets/digits/resample", b'{"seed": 1}', JSON)[0] == 200)
    check("it stops with status 0", d.stop()[0] == 0)


def signals(body):
    d = Daemon("--workers", "1", "--grace", "30s")
    results = []
    with d.connect() as idle:
        ask(idle, "GET", "/readyz")
        t = in_background(d, body, results)
        time.sleep(0.3)
        d.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        status, headers, _ = ask(idle, "GET", "/readyz")
        check("while it drains it is not ready, and says that the connection ends",
              status == 503 and headers.get("connection") == "close", (status, headers))
        try:
            d.connect().close()
            check("while it drains nobody can connect", False)
        except ConnectionRefusedError:
            check("while it drains nobody can connect", True)
    t.join()
    check("what was in flight is answered", results[0][0] == 200, results[0][:2])
    check("it ends by itself with status 0", d.process.wait(10) == 0)

    for sentence, options, numbers in (("the end of the grace period", ("--grace", "200ms"), (signal.SIGTERM,)),
                                       ("a second signal", ("--grace", "60s"), (signal.SIGINT, signal.SIGTERM))):
        d = Daemon("--workers", "1", *options)
        results = []
        t = in_background(d, body, results)
        t2 = in_background(d, body, results)
        time.sleep(0.3)
        status, seconds = d.stop(*numbers)
        t.join()
        t2.join()
        check("%s stops what runs: status 0" % sentence, status == 0, status)
        check("%s stops what runs: soon" % sentence, seconds < 10, seconds)
        check("%s stops what runs: 503 and a document" % sentence,
              [r[0] for r in results] == [503, 503] and all(b'"draining"' in r[3] for r in results), results)

    d = Daemon("--grace", "60s")
    with d.connect() as s:
        s.sendall(b"POST " + FORWARD.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nhalf")
        time.sleep(0.2)
        status, seconds = d.stop(signal.SIGTERM, signal.SIGTERM)
        check("a second signal does not wait for a client that sends nothing", status == 0 and seconds < 10, (status, seconds))


def unread_log():
    """Nobody reads the log: requests are answered all the same, and later it says what is missing."""
    r, w = os.pipe()
    d = Daemon(stderr=w)
    os.close(w)
    with d.connect() as s:
        s.settimeout(20)
        started = time.monotonic()
        for _ in range(10):
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500)
            got = b""
            while got.count(b"HTTP/1.1 200") < 500:
                got += s.recv(1 << 16)
        for seed in range(200):
            status = ask(s, "POST", "/v1/supernets/digits/resample", b'{"seed": %d}' % seed, JSON)[0]
            if status != 200:
                break
        check("an unread log does not stop the daemon", status == 200, status)
        _, _, text = ask(s, "GET", "/metrics")
        dropped = int(re.search(rb"supernetd_log_dropped_total (\d+)", text).group(1))
        check("what is dropped is counted", dropped > 100, dropped)
    log = []
    t = threading.Thread(target=lambda: log.extend(iter(lambda: os.read(r, 1 << 16), b"")))
    t.start()
    time.sleep(0.5)
    with d.connect() as s:
        ask(s, "GET", "/readyz", b"", "X-Request-Id: after")
    d.process.send_signal(signal.SIGTERM)
    check("it stops with status 0", d.process.wait(10) == 0)
    t.join()
    os.close(r)
    text = b"".join(log).decode()
    lines = re.findall(r"event=log_dropped lines=(\d+)", text)
    # the line of that request for the metrics may be missing, too
    check("the log says how many lines are missing", dropped <= sum(map(int, lines)) <= dropped + 1, (lines, dropped))
    check("and goes on", "request=after" in text and "event=stopped" in text, text[-1000:])
    check("every line is whole", all(re.match(r"time=\S+Z level=\w+ event=\w+( |$)", x) for x in text.splitlines()))

    r, w = os.pipe()
    d = Daemon(stderr=w)
    os.close(w)
    with d.connect() as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        got = b""
        while got.count(b"HTTP/1.1 200") < 2000:
            got += s.recv(1 << 16)
    started = time.monotonic()
    d.process.send_signal(signal.SIGTERM)
    check("nor does it keep the daemon from its end", d.process.wait(10) == 0 and time.monotonic() - started < 5)
    os.close(r)

    d = Daemon()
    d.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    with d.connect() as s:
        check("SIGHUP changes nothing", ask(s, "GET", "/readyz")[0] == 200)
    check("it stops with status 0", d.stop()[0] == 0)
    check("and is logged", "event=hangup" in d.log(), d.log())


def service_manager():
    with tempfile.TemporaryDirectory() as folder:
        for path in (folder + "/notify", "@supernetd-test-%d" % os.getpid()):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind(path.replace("@", "\0", 1))
            s.settimeout(10)
            d = Daemon(NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
            check("READY=1 when it listens", s.recv(1000).startswith(b"READY=1\nSTATUS=serving on http://"))
            check("WATCHDOG=1 in time", s.recv(1000).startswith(b"WATCHDOG=1\n"))
            check("it stops with status 0", d.stop()[0] == 0)
            seen = b""
            while b"STOPPING=1" not in seen:
                seen = s.recv(1000)
            check("STOPPING=1 when told to", seen.startswith(b"STOPPING=1\n"), seen)
            s.close()


def start_up():
    def run(*options, **env):
        p = subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=30, env={**os.environ, **env})
        return p.returncode, p.stdout, p.stderr

    check("a wrong option is status 2 and one sentence",
          run("--port", "x") == (2, "", "supernetd: --port x: allowed is a whole number from 0 to 65535\n"))
    status, _, err = run("--memory-limit", "64M")
    check("limits that do not fit are status 2", status == 2 and "add up to" in err, err)
    status, _, err = run("--supernet", "x=/nowhere/at/all")
    check("a supernet that is not there is status 1", status == 1 and "/nowhere/at/all" in err, err)
    d = Daemon(SUPERNETD_WORKRS="3")
    status, _, err = run("--port", str(d.port))
    check("a port that is taken is status 1", status == 1 and "Address already in use" in err, err)
    check("a misspelt variable is warned of", 'SUPERNETD_WORKRS=3 is none' in d.log(), d.log())
    printed = [d.process.stdout.readline().strip() for _ in range(4)]
    check("what is printed are three commands to try", sum(line.startswith("curl ") for line in printed) == 3, printed)
    check("it stops with status 0", d.stop()[0] == 0)
    status, out, err = run("--version")
    check("--version names daemon and BLAS", status == 0 and out.startswith("supernetd (") and not err, out)
    with open("deploy/supernetd.conf") as f:
        check("--print-config is the sample file", run("--print-config") == (0, f.read(), ""))


heavy = make_heavy()
wire()
too_much(heavy)
time_is_over(heavy)
signals(heavy)
unread_log()
service_manager()
start_up()
finish()
