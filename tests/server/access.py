"""Pages of other sites, names that are not ours, and what is allowed from afar."""
import json
import socket

from client import Daemon, answer, check, finish, tell

M = "/v1/supernets/digits"
SEED = b'{"seed": 1}'
EVIL = "Origin: http://evil.example"


def request(d, method, path, *headers, host="localhost", body=b"", version="HTTP/1.1"):
    lines = ["%s %s %s" % (method, path, version)]
    if host is not None:
        lines.append("Host: " + host)
    if body:
        lines += ["Content-Type: application/json", "Content-Length: %d" % len(body)]
    with d.connect() as s:
        tell(s, "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body)
        return answer(s, method)


def outcome(got):
    """200, or what was refused: "403 forbidden_host Host"."""
    status, _, body = got
    if status < 400:
        return str(status)
    error = json.loads(body)["error"]
    return "%d %s %s" % (status, error["code"], error["where"])


def row(d, sentence, want, *args, **more):
    got = outcome(request(d, *args, **more))
    check(sentence, got == want, "want %s, got %s" % (want, got))


def hosts():
    d = Daemon("--allow-host", "Nets.example", "--allow-host", "other")
    here = "127.0.0.1:%d" % d.port
    for sentence, host, want in (
            ("localhost", "localhost", "200"), ("localhost with a port", "LocalHost:%d" % d.port, "200"),
            ("localhost, absolute", "localhost.", "200"), ("an address", here, "200"),
            ("another address", "10.1.2.3", "200"), ("an IPv6 address", "[::1]:%d" % d.port, "200"),
            ("the machine's name", socket.gethostname(), "200"),
            ("a name that is allowed", "nets.example:8080", "200"), ("another that is allowed", "OTHER", "200"),
            ("a foreign name", "evil.example", "403 forbidden_host Host"),
            ("a foreign name with our port", "evil.example:%d" % d.port, "403 forbidden_host Host"),
            ("one that ends like ours", "xlocalhost", "403 forbidden_host Host"),
            ("one that begins like ours", "localhost.evil.example", "403 forbidden_host Host"),
            ("an address within a name", "127.0.0.1.evil.example", "403 forbidden_host Host"),
            ("a name of nothing", "", "403 forbidden_host Host"),
            ("a port that is none", "localhost:80a", "403 forbidden_host Host"),
            ("a user before the name", "localhost@evil.example", "403 forbidden_host Host"),
            ("brackets around a name", "[localhost]", "403 forbidden_host Host")):
        row(d, sentence, want, "GET", "/v1/supernets", host=host)
    row(d, "a foreign name in the request line", "403 forbidden_host Host", "GET", "http://evil.example/v1/supernets")
    row(d, "ours in the request line wins", "200", "GET", "http://localhost/v1/supernets", host="evil.example")
    row(d, "HTTP/1.0 needs none", "200", "GET", "/v1/supernets", host=None, version="HTTP/1.0")
    row(d, "nor may it lie", "403 forbidden_host Host", "GET", "/v1/supernets", host="evil.example", version="HTTP/1.0")
    row(d, "not even a 404 for foreign names", "403 forbidden_host Host", "GET", "/nothing", host="evil.example")
    row(d, "nor what may be asked", "403 forbidden_host Host", "OPTIONS", M, host="evil.example")
    for path in ("/healthz", "/readyz", "/metrics"):
        row(d, path + " has any name", "200", "GET", path, host="evil.example")
    row(d, "a large body of a foreign name is refused", "403 forbidden_host Host", "POST", M + "/forward",
        host="evil.example", body=b"x" * 2000000)
    check("it stops with status 0", d.stop()[0] == 0)
    d = Daemon("--allow-host", "*")
    row(d, "* is any name", "200", "GET", "/v1/supernets", host="evil.example")
    check("it stops with status 0", d.stop()[0] == 0)


def pages():
    d = Daemon("--allow-origin", "https://app.example")
    ours, port = "localhost:%d" % d.port, d.port
    foreign = "403 forbidden_origin Origin"
    for sentence, origin, want in (
            ("our own origin", "http://" + ours, "200"), ("our own behind TLS", "https://" + ours, "200"),
            ("an origin that is allowed", "https://app.example", "200"),
            ("a foreign origin", "http://evil.example", foreign), ("a page of nowhere", "null", foreign),
            ("another port of this machine", "http://localhost:%d" % (port % 65535 + 1), foreign),
            ("another name of this machine", "http://127.0.0.1:%d" % port, foreign),
            ("an allowed origin's other scheme", "http://app.example", foreign),
            ("an allowed origin's subdomain", "https://x.app.example", foreign),
            ("an allowed origin as a prefix", "https://app.example.evil.example", foreign),
            ("an extension", "chrome-extension://abc", foreign), ("nothing", "", foreign)):
        row(d, sentence + " posts", want, "POST", M + "/resample", "Origin: " + origin, host=ours, body=SEED)
        row(d, sentence + " reads", want, "GET", M + "/space", "Origin: " + origin, host=ours)
    row(d, "the usual port may be left out", "200", "GET", M, "Origin: http://localhost", host="localhost:80")
    row(d, "and said", "200", "GET", M, "Origin: https://localhost:443", host="localhost")
    row(d, "a Blob without a type of a foreign page", foreign, "POST", M + "/resample", EVIL, body=SEED)
    cross = "Sec-Fetch-Site: cross-site"
    row(d, "a link on another site", "403 forbidden_origin Sec-Fetch-Site", "GET", M, cross)
    row(d, "an image on another site", "403 forbidden_origin Sec-Fetch-Site", "GET", M, cross, "Sec-Fetch-Mode: no-cors")
    row(d, "a page of an allowed origin is of another site", "200", "GET", M, cross, "Origin: https://app.example")
    for site in ("same-origin", "same-site", "none"):
        row(d, "Sec-Fetch-Site: " + site, "200", "GET", M, "Sec-Fetch-Site: " + site)
    row(d, "health is for every page", "200", "GET", "/healthz", EVIL, cross)

    allowed = "Origin: https://app.example"
    status, headers, body = request(d, "OPTIONS", M + "/forward", allowed, "Access-Control-Request-Method: POST",
                                    "Access-Control-Request-Headers: content-type")
    check("a preflight of an allowed origin: 204, the origin, methods, headers, a time",
          status == 204 and not body and headers["access-control-allow-origin"] == "https://app.example"
          and "POST" in headers["access-control-allow-methods"] and "Origin" in headers["vary"]
          and "content-type" in headers["access-control-allow-headers"].lower()
          and int(headers["access-control-max-age"]) > 0, (status, headers))
    status, headers, _ = request(d, "OPTIONS", M + "/forward", EVIL, "Access-Control-Request-Method: POST")
    check("a preflight of a foreign one: 403, nothing allowed",
          status == 403 and not any(h.startswith("access-control") for h in headers), (status, headers))
    for path, want in ((M, 200), ("/v1/supernets/nothing", 404)):
        status, headers, _ = request(d, "GET", path, allowed)
        check("an allowed origin may read a %d and the request's id" % want,
              status == want and headers["access-control-allow-origin"] == "https://app.example"
              and "X-Request-Id" in headers["access-control-expose-headers"], (status, headers))
    status, headers, _ = request(d, "GET", M, "Origin: http://" + ours, host=ours)
    check("our own pages need no word", "access-control-allow-origin" not in headers, headers)
    check("it stops with status 0", d.stop()[0] == 0)
    d = Daemon("--allow-origin", "*")
    row(d, "* is any page", "200", "GET", M, EVIL)
    row(d, "but not a page of nowhere", foreign, "GET", M, "Origin: null")
    check("it stops with status 0", d.stop()[0] == 0)


def classes():
    no = "403 forbidden method"
    for options, may in ((("--host", "127.0.0.1"), ("read", "run", "change", "admin")),
                         (("--host", "::1"), ("read", "run", "change", "admin")),
                         (("--host", "0.0.0.0"), ("read", "run")),
                         (("--host", "0.0.0.0", "--allow", "all"), ("read", "run", "change", "admin")),
                         (("--host", "127.0.0.1", "--allow", "read"), ("read",)),
                         (("--host", "127.0.0.1", "--allow", "run,admin"), ("run", "admin"))):
        d = Daemon(*options, family=socket.AF_INET6 if "::1" in options else socket.AF_INET)
        for name, method, path, body, want in (
                ("read", "GET", M + "/space", b"", "200"),
                ("run", "POST", M + "/resample", SEED, "200"),
                ("run", "POST", M + "/forward", b"{}", None),
                ("change", "PUT", M + "/choices", b'{"choices": {}}', None),
                ("change", "DELETE", M + "/subnets/x", b"", None),
                ("change", "PUT", M + "/policies/p", b'{"policy": "path"}', None),
                ("admin", "PUT", "/v1/supernets/x", b'{"path": "x"}', None),
                ("admin", "DELETE", "/v1/supernets/nothing", b"", None)):
            got = outcome(request(d, method, path, body=body))
            good = got == no if name not in may else got != no and (want is None or got == want)
            # not allowed to load for another reason: no --model-dir
            check("%s: %s %s" % (" ".join(options), method, path), good or (name in may and "model" in got), got)
        row(d, "health is always allowed", "200", "GET", "/healthz")
        check("it stops with status 0", d.stop()[0] == 0)


hosts()
pages()
classes()
finish()
