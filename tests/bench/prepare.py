#!/usr/bin/python3
"""What compare.py needs of one network, below a folder of its own.

    prepare.py BENCH_SUBNET MODEL FOLDER

    spec.json, weights.safetensors, choices, images    the supernet, the subnet, 16 inputs
    subnet/spec.json, subnet/weights.safetensors       the subnet as the library exports it
    batch1.onnx, batch16.onnx                          the same from PyTorch
    identity1.onnx, identity16.onnx                    a network that hands back a corner of such inputs
    reference1, reference16                            its outputs in float64
"""
import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy
import torch

import torch_net
import zoo
from zoo import safetensors, weights

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "demo")
BATCHES = 1, 16
N_IMAGES = 16


def write_supernet(model, folder):
    """The supernet with its inputs; returns the shape of one input."""
    at = lambda name: os.path.join(folder, name)
    if model == "demo":
        for name in "spec.json", "weights.safetensors":
            shutil.copyfile(os.path.join(DEMO, name), at(name))
        chosen = zoo.DEMO_CHOICES
        images = safetensors.read(os.path.join(DEMO, "test-images.safetensors"))["image"][:N_IMAGES]
    else:
        spec, chosen = zoo.NETWORKS[model]()
        shape = [N_IMAGES] + spec["inputs"][0]["shape"][1:]
        images = numpy.random.default_rng(1).standard_normal(shape, numpy.float32)
        safetensors.write(at("weights.safetensors"), weights.random_weights(spec))
        with open(at("spec.json"), "w") as f:
            json.dump(spec, f, indent=1)
    images.tofile(at("images"))
    with open(at("choices"), "w") as f:
        f.writelines("%s %r\n" % choice for choice in chosen.items())
    return images


def command(bench_subnet, folder, text):
    answer = subprocess.run([bench_subnet, folder], input=text + "\n", capture_output=True, text=True)
    if answer.stdout != "ok\n":
        sys.exit(answer.stderr)


def calibrate(bench_subnet, folder):
    """Normalisation statistics of these inputs: random ones would let activations, and errors, grow."""
    path = os.path.join(folder, "calibrated")
    command(bench_subnet, folder, "calibrate " + path)
    os.replace(path, os.path.join(folder, "weights.safetensors"))


class Identity(torch.nn.Module):
    """The input is passed in whole; the output is as small as those of the networks."""

    def forward(self, x):
        return x[:, :, :1, :1]


def export_onnx(net, image, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, image, path, opset_version=14, input_names=["image"], output_names=["output"])


def main():
    bench_subnet, model, folder = sys.argv[1:]
    at = lambda name: os.path.join(folder, name)
    os.makedirs(at("subnet"), exist_ok=True)
    images = torch.tensor(write_supernet(model, folder))
    if model != "demo":
        calibrate(bench_subnet, folder)
    command(bench_subnet, folder, "export " + at("subnet"))
    net = torch_net.load(at("subnet"))
    for batch in BATCHES:
        export_onnx(net, images[:batch], at("batch%d.onnx" % batch))
        export_onnx(Identity(), images[:batch], at("identity%d.onnx" % batch))
    twin = net.double()
    with torch.no_grad():
        for batch in BATCHES:
            twin(images[:batch].double()).numpy().tofile(at("reference%d" % batch))


if __name__ == "__main__":
    main()
