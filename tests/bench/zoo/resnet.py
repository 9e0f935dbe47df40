"""OFA-ResNet50: elastic expansion of the bottlenecks and elastic depth."""
from .layers import conv, conv_norm, document, graph, linear, norm, plain, repeat, sequential

EXPANDS = [0.2, 0.25, 0.35]
#         channels, stride, depths
STAGES = [(256, 1, [2, 3, 4]), (512, 2, [2, 3, 4]), (1024, 2, [4, 5, 6]), (2048, 2, [2, 3, 4])]

# The subnet of the benchmark.
DEPTH = [3, 4, 6, 3]
EXPAND = [[0.25, 0.2, 0.35, 0.2], [0.25, 0.2, 0.25, 0.35], [0.25, 0.25, 0.2, 0.35, 0.25, 0.2], [0.25, 0.25, 0.35, 0.2]]


def bottleneck(c_in, c_out, expand, stride):
    middle = "(round(%d * %s) + 4) // 8 * 8" % (c_out, expand)
    body = sequential("body", [conv_norm("reduce", c_in, middle), conv_norm("conv", middle, middle, 3, stride),
                               conv_norm("expand", middle, c_out, act=None)])
    nodes, shortcut = [(body, ["x"])], "x"
    if stride != 1 or c_in != c_out:
        layers = [plain("pool", "AvgPool2d", kernel_size=stride, ceil_mode=True)] if stride != 1 else []
        layers += [conv("conv", c_in, c_out), norm("norm", c_out)]
        nodes.append((sequential("shortcut", layers), ["x"]))
        shortcut = "shortcut"
    nodes += [(plain("sum", "Add"), ["body", shortcut]), (plain("act", "ReLU"), ["sum"])]
    return graph("", nodes, "act")


def resnet():
    second = graph("second", [(conv_norm("body", 32, 32, 3), ["x"]), (plain("sum", "Add"), ["x", "body"])], "sum")
    layers = [conv_norm("first", 3, 32, 3, 2), second, conv_norm("third", 32, 64, 3),
              plain("pool", "MaxPool2d", kernel_size=3, stride=2, padding=1)]
    choices, chosen, c_in = {}, {}, 64
    for i, (c_out, stride, depths) in enumerate(STAGES):
        blocks = []
        for j in range(max(depths)):
            label = "expand%d_%d" % (i, j)
            blocks.append(bottleneck(c_in, c_out, label, stride if j == 0 else 1))
            choices[label], chosen[label] = EXPANDS, EXPAND[i][j]
            c_in = c_out
        choices["depth%d" % i], chosen["depth%d" % i] = depths, DEPTH[i]
        layers.append(repeat("stage%d" % i, "depth%d" % i, blocks))
    layers += [plain("mean", "AdaptiveAvgPool2d", output_size=1), plain("flat", "Flatten"), linear("head", c_in, 1000)]
    return document("OFA-ResNet50", (3, 224, 224), choices, layers), chosen
