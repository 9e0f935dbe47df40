"""compare.py DIR: what the library answered (dump.c) beside supernet1.py.

For each output: max|a - b| / max|b| <= max(1e-5, 20 * |float32 - float64 of PyTorch|). One line for
each document that differs, and the median and largest error of all.
"""
import glob
import json
import os
import statistics
import sys
import traceback

import torch

from supernet1 import Network

sys.path.insert(0, os.path.dirname(__file__))
DTYPES = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
          "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}


def read_safetensors(path):
    data = open(path, "rb").read()
    n = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, t in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        start, end = (8 + n + o for o in t["data_offsets"])
        flat = torch.frombuffer(bytearray(data[start:end]), dtype=DTYPES[t["dtype"]]) if end > start else torch.empty(0)
        tensors[name] = flat.reshape(t["shape"])
    return tensors


def run(base, dtype):
    spec = json.load(open(base + ".spec.json"))
    choices = json.load(open(base + ".choices.json"))
    weights = {k: v.float() if v.is_floating_point() else v for k, v in read_safetensors(base + ".weights.safetensors").items()}
    io = read_safetensors(base + ".io.safetensors")
    inputs = {k[3:]: v.to(dtype) if v.dtype == torch.float32 else v for k, v in io.items() if k.startswith("in.")}
    with torch.no_grad():
        return Network(spec, weights, choices, dtype).run(inputs), io


def distance(a, b):
    a, b = a.double(), b.double()
    if not torch.equal(torch.isnan(a), torch.isnan(b)) or not torch.equal(torch.isinf(a), torch.isinf(b)):
        return float("inf")
    finite = torch.isfinite(a) & torch.isfinite(b)
    if not finite.any():
        return 0.0
    largest = b[finite].abs().max().item()
    error = (a[finite] - b[finite]).abs().max().item()
    return error / largest if largest else (0.0 if error == 0 else float("inf"))


def check(base):
    """Largest error and what is allowed, over all outputs."""
    want, io = run(base, torch.float64)
    plain, _ = run(base, torch.float32)
    worst = (0.0, 1e-5)
    for i, w in enumerate(want):
        got = io.get(f"out.{i}")
        if w is None or got is None:
            if (w is None) != (got is None):
                raise ValueError(f"output {i} is there in one, absent in the other")
            continue
        if tuple(got.shape) != tuple(w.shape):
            raise ValueError(f"output {i} has the shape {tuple(got.shape)} instead of {tuple(w.shape)}")
        if not got.is_floating_point():
            if not torch.equal(got, w.to(got.dtype)):
                raise ValueError(f"output {i} differs")
            continue
        error, allowed = distance(got, w), max(1e-5, 20 * distance(plain[i], w))
        if error / allowed > worst[0] / worst[1]:
            worst = (error, allowed)
    return worst


def main():
    passed, failed, errors = 0, 0, []
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.spec.json"))):
        base = path[:-len(".spec.json")]
        try:
            error, allowed = check(base)
            said = f"differs by {error:.3g}, allowed are {allowed:.3g}"
        except Exception as e:
            error, allowed = float("inf"), 0
            said = f"{type(e).__name__}: {e}"
            if os.environ.get("VERBOSE"):
                traceback.print_exc()
        if error <= allowed:
            passed += 1
            errors.append(error)
        else:
            failed += 1
            print(f"not ok: {base}: {said}")
    if errors:
        print(f"interpreter: median error {statistics.median(errors):.2g}, largest {max(errors):.2g} of {len(errors)} networks")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0 or passed == 0)


main()
