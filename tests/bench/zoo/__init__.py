"""The networks of the benchmark: specifications with real choices, the subnet that is timed, and weights."""
from .autoformer import autoformer
from .mobilenet import mobilenet, tiny
from .resnet import resnet

# name -> (specification, {label: value}) of what has random weights; "demo" comes with weights and images.
NETWORKS = {
    "tiny": tiny,
    "ofa-mbv3-small": lambda: mobilenet(1.0, (2, 2, 3, 2, 3)),
    "ofa-mbv3-large": lambda: mobilenet(1.2, (3, 4, 2, 3, 4)),
    "ofa-resnet50": resnet,
    "autoformer-tiny": lambda: autoformer(rpe=False),
    "autoformer-tiny-rpe": lambda: autoformer(rpe=True),
}

DEMO_CHOICES = {"width": 24, "kernel": 5, "depth": 3, "op0": "mbconv", "kernel0": 3, "expand0": 2, "op1": "mbconv",
                "kernel1": 5, "expand1": 2, "op2": "depthwise", "kernel2": 3, "layers": 2, "heads0": 4, "ratio0": 2,
                "heads1": 2, "ratio1": 1.5}
