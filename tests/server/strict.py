"""What is no HTTP is refused with our document, once, and nothing behind it is served."""
import json
import random
import re

from client import Daemon, answer, check, finish, tell

OK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/supernets/digits/resample HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

# name, bytes, status, code
REFUSED = (
    ("a bare LF behind the first line", b"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    ("a bare LF behind a header", b"GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400),
    ("a bare LF behind the last header", b"GET /healthz HTTP/1.1\r\nX: y\r\nHost: localhost\n\r\n", 400),
    ("a bare LF as the empty line", OK + b"\n", 400),
    ("bare LF everywhere", b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
    ("a bare CR in a value", OK + b"X: a\rb\r\n\r\n", 400),
    ("a value that goes on in the next line", OK + b"X: a\r\n b\r\n\r\n", 400),
    ("one that goes on behind a tab", OK + b"X: a\r\n\tb\r\n\r\n", 400),
    ("a coding that goes on", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("a line that goes on, with bare LF to make up for it", OK + b"X: a\r\n b\nY: c\nZ: d\r\n\r\n", 400),
    ("a NUL in a coding", POST + b"Transfer-Encoding: chunked\0x\r\n\r\n0\r\n\r\n", 400),
    ("a NUL in a length", POST + b"Content-Length: 1\0\r\n\r\n1", 400),
    ("a NUL in a name", OK + b"X\0: y\r\n\r\n", 400),
    ("a NUL in the path", b"GET /healthz\0x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("an escape in a value", OK + b"X: \x1b[2J\r\n\r\n", 400),
    ("chunks in HTTP/1.0", POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("two codings", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("the same coding twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding and a length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 400),
    ("two lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    ("the same length twice", POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
    ("a list of lengths", POST + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    ("a length with a sign", POST + b"Content-Length: +2\r\n\r\n{}", 400),
    ("a negative length", POST + b"Content-Length: -2\r\n\r\n{}", 400),
    ("a hexadecimal length", POST + b"Content-Length: 0x2\r\n\r\n{}", 400),
    ("an empty length", POST + b"Content-Length:\r\n\r\n", 400),
    ("a length of words", POST + b"Content-Length: two\r\n\r\n{}", 400),
    ("a length beyond 64 bits", POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    ("a header without a colon", OK + b"no colon\r\n\r\n", 400),
    ("a header without a colon at first", b"GET /healthz HTTP/1.1\r\nno colon\r\nHost: localhost\r\n\r\n", 400),
    ("a header without a name", OK + b": x\r\n\r\n", 400),
    ("a space before the colon", OK + b"X : y\r\n\r\n", 400),
    ("a space in a name", OK + b"X Y: z\r\n\r\n", 400),
    ("a space before the first header", b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n", 400),
    ("two spaces in the first line", b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("two spaces before the version", b"GET /healthz  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a space behind the version", b"GET /healthz HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400),
    ("a space in the path", b"GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a tab in the path", b"GET /health\tz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a query without a path", b"GET ?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a path without a slash", b"GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a tunnel", b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("another scheme", b"GET ftp://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a method that is no word", b"G(T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("a version of letters", b"GET /healthz HTTP/x.y\r\nHost: localhost\r\n\r\n", 400),
    ("HTTP/2", b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    ("HTTP/0.9", b"GET /healthz HTTP/0.9\r\nHost: localhost\r\n\r\n", 505),
    ("no host", b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    ("two hosts", OK + b"Host: localhost\r\n\r\n", 400),
    ("a long header", OK + b"X: " + b"x" * 100000 + b"\r\n\r\n", 431),
    ("many headers", OK + b"".join(b"X%d: y\r\n" % i for i in range(20000)) + b"\r\n", 431),
    ("a long path", b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    ("a chunk that is no number", POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n", 400),
    ("a chunk beyond 64 bits", POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}", 413),
    ("a chunk that does not end", POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", 400),
    ("a negative chunk", POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400),
)

WORDS = {400: "malformed", 413: "too_large", 414: "uri_too_long", 431: "headers_too_large", 505: "http_version"}


def refused():
    d = Daemon()
    for sentence, data, want in REFUSED:
        with d.connect() as s:
            s.settimeout(5)
            got, closed = b"", False
            tell(s, data + NEXT)
            try:
                while part := s.recv(65536):
                    got += part
                closed = True
            except TimeoutError:
                pass
            except OSError:
                closed = True # reset: something unread was left
        head, _, body = got.partition(b"\r\n\r\n")
        try:
            error = json.loads(body)["error"]
        except ValueError:
            error = {}
        request = re.search(rb"(?i)X-Request-Id: (\S+)", head)
        check("%s: %d" % (sentence, want), head.startswith(b"HTTP/1.1 %d " % want), got[:300])
        check("%s: our document, once, with the id of the request" % sentence,
              error.get("code") == WORDS[want] and len(error.get("text", "")) > 8 and request
              and error.get("request") == request.group(1).decode() and got.count(b"HTTP/1.1 ") == 1
              and b"<html" not in got, got[:300])
        check("%s: closed" % sentence, closed, got[:300])
    got, _ = d.send(OK + b"X-Request-Id: mine\r\nno colon\r\n\r\n")
    check("the client's id is in the document, if it came before", b'"request": "mine"' in got, got)
    status, _ = d.stop()
    check("it stops with status 0", status == 0, status)
    check("nothing behind a refused request was served", "/smuggled" not in d.log(), d.log()[-2000:])


def accepted():
    """Whatever the size of names and values, and wherever the pieces end, it is HTTP."""
    d = Daemon()
    rng = random.Random(7)
    for i in range(150):
        n = rng.choice((0, 1, 3, 20, 60))
        headers = [b"X-%d:%s%s" % (k, rng.choice((b"", b" ", b"\t ", b"   ")),
                                   bytes(rng.choice(b"abc:;,=\t\xe4 ~") for _ in range(rng.choice((0, 1, 7, 300)))).strip())
                   for k in range(n)]
        headers.insert(rng.randint(0, n), b"Host: localhost")
        if i % 3 == 0:
            headers.append(b"Cookie: a=b; c=\"d\"; e")
        path = rng.choice((b"/healthz", b"/healthz?a=b&c=%20d", b"/readyz", b"/metrics"))
        data = b"GET %s HTTP/1.%d\r\n%s\r\n\r\n" % (path, rng.randint(0, 1), b"\r\n".join(headers))
        if i % 4 == 0:
            data = b"\r\n" + data  # an empty line before a request is tolerated
        with d.connect() as s:
            for _ in range(3):
                at = 0
                while at < len(data):
                    step = rng.choice((1, 2, 17, 500, 5000, len(data)))
                    s.sendall(data[at:at + step])
                    at += step
                status, got, body = answer(s)
                # the parameters of a query are not known there, which is a sentence of another kind
                good = status == 200 or (b"?" in path and b'"malformed"' not in body)
                check("request %d is HTTP" % i, good, (status, body, data[:200]))
                if got.get("connection") == "close" or b"HTTP/1.0" in data:
                    break
    check("it stops with status 0", d.stop()[0] == 0)


refused()
accepted()
finish()
