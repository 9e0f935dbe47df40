#!/usr/bin/python3
"""PyTorch's side of compare.py: peer_torch.py FOLDER THREADS, with the environment pinned to THREADS.

Commands, a line each, answered by a line; KIND is "eager" or "jit" (traced and frozen):

    run KIND BATCH N          microseconds of N runs
    output KIND BATCH PATH    the output to PATH, as floats
"""
import functools
import json
import os
import sys
import time

import numpy
import torch

import torch_net


def main():
    folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(False)
    with open(os.path.join(folder, "spec.json")) as f:
        shape = json.load(f)["inputs"][0]["shape"][1:]
    images = torch.from_numpy(numpy.fromfile(os.path.join(folder, "images"), numpy.float32)).reshape([-1] + shape)
    eager = torch_net.load(os.path.join(folder, "subnet"))

    @functools.lru_cache(None)
    def network(kind, batch):
        return eager if kind == "eager" else torch.jit.freeze(torch.jit.trace(eager, images[:batch]))

    for line in sys.stdin:
        command, kind, batch, argument = line.split()
        net, image = network(kind, int(batch)), images[:int(batch)]
        if command == "output":
            net(image).numpy().tofile(argument)
            print("ok", flush=True)
            continue
        times = []
        for _ in range(int(argument)):
            start = time.perf_counter()
            net(image)
            times.append("%.2f" % ((time.perf_counter() - start) * 1e6))
        print(*times, flush=True)


if __name__ == "__main__":
    main()
