"""What the tests of the running daemon share: a daemon, a socket, a request, a count.

Sockets by hand, since no HTTP library would send what is tested here."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
passed = failed = 0


def finish():
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0 or passed == 0)


def check(sentence, good, seen=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("not ok: %s: %s" % (sentence, seen))


class Daemon:
    """One that runs, on a free port; its log is in a file."""

    def __init__(self, *options, family=socket.AF_INET, stderr=None, **env):
        self.family = family
        self.log_file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([PROGRAM, "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=stderr or self.log_file, stdin=subprocess.DEVNULL, text=True, env={**os.environ, **env})
        first = self.process.stdout.readline()
        found = re.search(r"http://(?:127\.0\.0\.1|\[::1\]):(\d+)", first)
        if not found:
            sys.exit("the daemon does not start: %s%s" % (first, self.log()))
        self.port = int(found.group(1))

    def log(self):
        self.log_file.flush()
        self.log_file.seek(0)
        return self.log_file.read()

    def connect(self, rcvbuf=0):
        s = socket.socket(self.family)
        s.settimeout(60)
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.connect(("::1" if self.family == socket.AF_INET6 else "127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def send(self, data):
        """Everything that comes back until the daemon closes, or is silent for a second."""
        with self.connect() as s:
            s.settimeout(1)
            tell(s, data)
            answer = b""
            try:
                while part := s.recv(65536):
                    answer += part
            except OSError:
                return answer, False
            return answer, True

    def stop(self, *signals):
        started = time.monotonic()
        for number in signals or (signal.SIGTERM,):
            self.process.send_signal(number)
            time.sleep(0.2)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        log = self.log()
        check("no sanitizer reports anything", "Sanitizer" not in log and "runtime error" not in log, log)
        return status, time.monotonic() - started


def tell(s, data):
    """Send `data`, or as much as the daemon takes: it may refuse, and close, before it has read all."""
    try:
        s.sendall(data)
    except OSError:
        pass  # what it said before is still there to be read


def ask(s, method, path, body=b"", *headers):
    """One request on an open connection: status, headers in lower case, body."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: localhost", "Content-Length: %d" % len(body), *headers]
    tell(s, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return answer(s, method)


def answer(s, method="GET", skip_100=False):
    data = b""
    while b"\r\n\r\n" not in data:
        part = s.recv(65536)
        if not part:
            raise EOFError("closed after %r" % data)
        data += part
    head, data = data.split(b"\r\n\r\n", 1)
    if skip_100 and head.startswith(b"HTTP/1.1 100"):
        while b"\r\n\r\n" not in data:
            data += s.recv(65536)
        head, data = data.split(b"\r\n\r\n", 1)
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}
    missing = 0 if method == "HEAD" else int(headers.get("content-length", 0)) - len(data)
    while missing > 0:
        part = s.recv(min(missing, 65536))
        if not part:
            raise EOFError("the body ends early")
        data += part
        missing -= len(part)
    return int(first.split()[1]), headers, data


def closed_within(s, seconds):
    """Does the other side end the connection, whatever it sends before?"""
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True
