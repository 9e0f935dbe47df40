"""Everything at once that a client can do to a connection, while another one works and looks at
the clock. The attackers are processes of their own; one at a time, then all together."""
import multiprocessing
import os
import random
import signal
import socket
import struct
import time

from client import Daemon, answer, ask, check, finish

SECONDS = 1.5
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /openapi.json" + HOST + b"\r\n"
POST = b"POST /v1/supernets/digits/forward" + HOST + b"Content-Type: application/json\r\n"
RESET = struct.pack("ii", 1, 0)


def connect(port, rcvbuf=0):
    s = socket.socket()
    s.settimeout(1)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.connect(("127.0.0.1", port))
    return s


def keep_trying(action):
    """Again and again, whatever the daemon does about it."""
    def run(port):
        held = []
        while True:
            try:
                action(port, held)
            except OSError:
                time.sleep(0.005)
            del held[:-400]
    return run


def slow_headers(port, held):
    if len(held) < 300:
        held.append(connect(port))
        held[-1].sendall(b"GET /healthz" + HOST)
    for s in held[:]:
        try:
            s.send(b"X")
        except OSError:
            held.remove(s)


def slow_bodies(port, held):
    if len(held) < 300:
        held.append(connect(port))
        held[-1].sendall(POST + b"Content-Length: 1000000\r\n\r\n")
    for s in held[:]:
        try:
            s.send(b"[")
        except OSError:
            held.remove(s)


def pipeline_unread(port, held):
    s = connect(port, 4096)
    held.append(s)
    s.setblocking(False)
    try:
        while True:
            s.send(GET * 50)
    except BlockingIOError:
        pass


def idle(port, held):
    held.append(connect(port))


def half_closed(port, held):
    s = connect(port)
    s.sendall(random.choice((b"GET /heal", GET, POST + b"Content-Length: 50\r\n\r\n[")))
    s.shutdown(socket.SHUT_WR)
    held.append(s)


def huge_headers(port, held):
    s = connect(port)
    for _ in range(40):
        s.sendall(b"GET /healthz" + HOST + b"X: " + b"x" * 8000 + b"\r\n")
    s.close()


def reset_in_reply(port, held):
    s = connect(port, 4096)
    s.sendall(GET * 20)
    s.recv(2000)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    s.close()


def reset_in_work(port, held):
    s = connect(port)
    body = b'{"seed": 1, "count": 200}'
    s.sendall(b"POST /v1/supernets/digits/resample" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    s.close()


def stuck_chunks(port, held):
    s = connect(port)
    s.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n4;" + b"x" * 40000)
    held.append(s)


def noise(port, held):
    s = connect(port)
    s.sendall(os.urandom(random.choice((1, 100, 60000))) + random.choice((b"", b"\r\n\r\n", b"\n\n")))
    s.close()


ATTACKS = (slow_headers, slow_bodies, pipeline_unread, idle, half_closed, huge_headers, reset_in_reply,
           reset_in_work, stuck_chunks, noise)


def stopped_client(port):
    """Asks for a lot and is stopped (SIGSTOP) by the test: its sockets stay, nobody reads them."""
    socks = [connect(port, 4096) for _ in range(50)]
    for s in socks:
        s.sendall(GET * 100)
    time.sleep(3600)


def resident(d):
    with open("/proc/%d/statm" % d.process.pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure(d, sentence, seconds):
    slowest, n, failed = 0, 0, []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for method, path, body in (("GET", "/healthz", b""), ("POST", "/v1/supernets/digits/resample", b'{"seed": 1}'),
                                   ("GET", "/metrics", b"")):
            started = time.monotonic()
            try:
                with d.connect() as s:
                    s.settimeout(10)
                    status, _, got = ask(s, method, path, body, *(["Content-Type: application/json"] if body else []))
                # a full queue is an answer, too
                if status != 200 and not (status == 503 and path.endswith("resample")):
                    failed.append((path, status, got))
            except (OSError, EOFError) as e:
                failed.append((path, repr(e)))
            slowest = max(slowest, time.monotonic() - started)
            n += 1
    print("# %-16s %5d requests, slowest %.3f s" % (sentence, n, slowest))
    check("%s: the others are answered" % sentence, not failed, failed[:3])
    # a machine that builds something else beside this is slow; a daemon that starves is slower
    check("%s: soon" % sentence, slowest < 5 and n >= 3, (slowest, n))


d = Daemon("--idle-timeout", "5s", "--queue", "32")
started_with = resident(d)
for attack in ATTACKS:
    p = multiprocessing.Process(target=keep_trying(attack), args=(d.port,), daemon=True)
    p.start()
    time.sleep(0.3)
    measure(d, attack.__name__, SECONDS)
    p.kill()
    p.join()

stopped = multiprocessing.Process(target=stopped_client, args=(d.port,), daemon=True)
stopped.start()
time.sleep(0.3)
os.kill(stopped.pid, signal.SIGSTOP)
measure(d, "stopped_client", SECONDS)
all_of_them = [multiprocessing.Process(target=keep_trying(a), args=(d.port,), daemon=True) for a in ATTACKS]
for p in all_of_them:
    p.start()
measure(d, "all of them", 4)
more = resident(d) - started_with
check("memory stays bounded", more < 300 << 20, more)
d.process.send_signal(signal.SIGTERM)
started = time.monotonic()
check("SIGTERM drains under attack", d.process.wait(40) == 0)
print("# drained in %.1f s, %d MB more than at first" % (time.monotonic() - started, more >> 20))
for p in all_of_them + [stopped]:
    p.kill()
d.stop()
finish()
