"""AutoFormer-tiny: elastic embedding, heads, MLP and depth; with and without relative positions."""
from .layers import document, graph, linear, plain, repeat, sequential

EMBEDS, HEADS, RATIOS, DEPTHS = [192, 216, 240], [3, 4], [3.5, 4], [12, 13, 14]

# The subnet of the benchmark.
EMBED, DEPTH = 216, 13
HEAD = [3, 4, 3, 4, 4, 3, 3, 4, 3, 4, 4, 3, 4, 3]
RATIO = [4, 3.5, 4, 4, 3.5, 3.5, 4, 4, 3.5, 4, 3.5, 4, 4, 4]


def block(i, rpe):
    attention = plain("attn", "RelativePositionSelfAttention", embed_dim="embed", num_heads="heads%d" % i,
                      qkv_bias=True, rpe=rpe)
    hidden = "to_int(embed * ratio%d)" % i
    mlp = sequential("mlp", [plain("norm", "LayerNorm", normalized_shape="embed"), linear("fc1", "embed", hidden),
                             plain("act", "GELU"), linear("fc2", hidden, "embed")])
    return graph("", [(plain("norm", "LayerNorm", normalized_shape="embed"), ["x"]), (attention, ["norm"]),
                      (plain("sum1", "Add"), ["x", "attn"]), (mlp, ["sum1"]), (plain("sum2", "Add"), ["sum1", "mlp"])],
                 "sum2")


def autoformer(rpe):
    choices, chosen = {"embed": EMBEDS, "depth": DEPTHS}, {"embed": EMBED, "depth": DEPTH}
    for i in range(max(DEPTHS)):
        choices["heads%d" % i], choices["ratio%d" % i] = HEADS, RATIOS
        chosen["heads%d" % i], chosen["ratio%d" % i] = HEAD[i], RATIO[i]
    layers = [
        plain("patches", "Conv2d", in_channels=3, out_channels="embed", kernel_size=16, stride=16),
        plain("flat", "Flatten", start_dim=2), plain("turn", "Permute", dims=[0, 2, 1]),
        plain("token", "ClassToken", embed_dim="embed"),
        plain("position", "AbsolutePositionEmbedding", length=197, embed_dim="embed"),
        repeat("body", "depth", [block(i, rpe) for i in range(max(DEPTHS))]),
        plain("norm", "LayerNorm", normalized_shape="embed"),
        plain("first", "Truncate", channels=1), plain("vector", "Flatten"), linear("head", "embed", 1000)]
    return document("AutoFormer-tiny" + (" with relative positions" if rpe else ""), (3, 224, 224), choices,
                    layers), chosen
