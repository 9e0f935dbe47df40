"""What mapped.sh needs beside curl.

    mapped.py make DIR SEED                      a supernet with weights of many pages, and a request
    mapped.py large DIR                          weights of 16 MB, more than a connection holds on its way
    mapped.py hammer URL BODY FILE HOW OTHER     requests from four threads while FILE is damaged
"""
import http.client
import json
import os
import random
import struct
import sys
import threading
import time
import urllib.parse

WIDTH = 256


def make(folder, seed):
    os.makedirs(folder)
    layers = [{"name": f"fc{i}", "type": "Linear", "in_features": WIDTH, "out_features": WIDTH} for i in range(4)]
    spec = {"format": "supernet/1", "name": "big", "inputs": [{"name": "x", "dtype": "F32", "shape": ["N", WIDTH]}],
            "model": {"type": "Sequential", "layers": layers}}
    rng = random.Random(seed)
    header, data = {}, b""
    for layer in layers:
        for name, shape in (("weight", [WIDTH, WIDTH]), ("bias", [WIDTH])):
            n = shape[0] * (shape[1] if len(shape) > 1 else 1)
            more = struct.pack(f"<{n}f", *(rng.uniform(-0.1, 0.1) for _ in range(n)))
            header[f"{layer['name']}.{name}"] = {"dtype": "F32", "shape": shape,
                                                 "data_offsets": [len(data), len(data) + len(more)]}
            data += more
    text = json.dumps(header).encode()
    with open(f"{folder}/spec.json", "w") as f:
        json.dump(spec, f)
    with open(f"{folder}/weights.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(f"{folder}/body.json", "w") as f:
        json.dump({"inputs": {"x": [[rng.uniform(-1, 1) for _ in range(WIDTH)]]}}, f)


def large(folder):
    os.makedirs(folder)
    n = 2048
    spec = {"format": "supernet/1", "name": "large", "inputs": [{"name": "x", "dtype": "F32", "shape": ["N", n]}],
            "model": {"type": "Linear", "in_features": n, "out_features": n, "bias": False}}
    text = json.dumps({"weight": {"dtype": "F32", "shape": [n, n], "data_offsets": [0, 4 * n * n]}}).encode()
    with open(f"{folder}/spec.json", "w") as f:
        json.dump(spec, f)
    with open(f"{folder}/weights.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + struct.pack(f"<{n}f", *range(n)) * n)


def damage(path, how, other):
    if how == "empty":
        open(path, "wb").close()
    elif how == "truncate":
        os.truncate(path, 4096)
    else:  # as cp does
        with open(path, "wb") as to, open(other, "rb") as source:
            to.write(source.read())


def hammer(url, body, path, how, other):
    at = urllib.parse.urlparse(url)
    with open(body, "rb") as f:
        body = f.read()
    seen, lock, stop = {"right": 0, "changed": 0}, threading.Lock(), threading.Event()
    wrong, right = [], []

    def ask(connection):
        connection.request("POST", "/v1/supernets/big/forward", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def client():
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        while not stop.is_set():
            begun_after = damaged.is_set()
            try:
                status, answer = ask(connection)
            except Exception as e:  # the daemon is gone
                wrong.append(repr(e))
                return
            if status == 503 and answer["error"]["code"] == "weights_changed":
                kind = "changed"
            elif status == 200 and answer["results"][0]["outputs"] == right[0] and not begun_after:
                kind = "right"
            else:
                wrong.append(f"{status} {str(answer)[:200]}{' too late' if begun_after else ''}")
                return
            with lock:
                seen[kind] += 1

    damaged = threading.Event()
    right.append(ask(http.client.HTTPConnection(at.hostname, at.port))[1]["results"][0]["outputs"])
    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(0.4)
    damage(path, how, other)
    damaged.set()
    time.sleep(0.4)
    stop.set()
    for t in threads:
        t.join()
    if wrong:
        print(wrong[0])
    else:
        print("ok" if seen["right"] and seen["changed"] else f"not tested: {seen}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "large":
        large(sys.argv[2])
    else:
        hammer(*sys.argv[2:])
