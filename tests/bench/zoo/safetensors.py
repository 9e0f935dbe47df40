"""Files of safetensors, as far as the benchmark needs them: F32 and numpy."""
import json
import struct

import numpy


def read(path):
    """{name: array}; what is not F32 (counters) is left out."""
    blob = numpy.fromfile(path, numpy.uint8)
    size = struct.unpack("<Q", blob[:8].tobytes())[0]
    tensors = {}
    for name, entry in json.loads(blob[8:8 + size].tobytes()).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, stop = (8 + size + offset for offset in entry["data_offsets"])
            tensors[name] = blob[start:stop].view(numpy.float32).reshape(entry["shape"])
    return tensors


def write(path, tensors):
    header, at = {}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            f.write(value.astype("<f4").tobytes())
