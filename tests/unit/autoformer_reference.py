"""The numbers of test_autoformer.c, from PyTorch: python3 tests/unit/autoformer_reference.py

Weights are those of tests/support/net.c, inputs those of the test."""
import torch


def number(name, i):
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 % 2**32
    h = (h ^ i) * 2654435761 % 2**32
    return ((h >> 16) % 1000 + 1) / 1000


def weight(name, *shape):
    n = torch.Size(shape).numel()
    return torch.tensor([number(name, i) for i in range(n)], dtype=torch.float32).reshape(shape)


def tokens(n, t, e):
    return torch.tensor([(i * 37) % 19 / 9 - 1 for i in range(n * t * e)],
                        dtype=torch.float32).reshape(n, t, e)


def distances(t, length, part, d):
    """table_v and table_h by the clipped distance of rows and columns; 0: the class token."""
    side = int((t - 1) ** 0.5)
    at = torch.arange(t - 1)
    index_v = torch.zeros(t, t, dtype=torch.long)
    index_h = torch.zeros(t, t, dtype=torch.long)
    index_v[1:, 1:] = (at[None] // side - at[:, None] // side).clamp(-length, length) + length + 1
    index_h[1:, 1:] = (at[None] % side - at[:, None] % side).clamp(-length, length) + length + 1
    table_v = weight(f"{part}.embeddings_table_v", 2 * length + 2, d)
    table_h = weight(f"{part}.embeddings_table_h", 2 * length + 2, d)
    return table_v[index_v] + table_h[index_h]


def attention(x, e, heads, d, max_e, max_heads, rpe, bias, scale, length=1):
    n, t, _ = x.shape
    inner = heads * d

    def project(part):
        y = x @ weight(f"{part}.weight", max_heads * d, max_e)[:inner, :e].T
        if bias:
            y = y + weight(f"{part}.bias", max_heads * d)[:inner]
        return y.reshape(n, t, heads, d).transpose(1, 2)

    q, k, v = project("q"), project("k"), project("v")
    score = q @ k.transpose(-2, -1)
    if rpe:
        score = score + torch.einsum("nhid,ijd->nhij", q, distances(t, length, "rel_pos_embed_k", d))
    p = (score * (scale or d ** -0.5)).softmax(-1)
    y = p @ v
    if rpe:
        y = y + torch.einsum("nhij,ijd->nhid", p, distances(t, length, "rel_pos_embed_v", d))
    y = y.transpose(1, 2).reshape(n, t, inner)
    return y @ weight("proj.weight", max_e, max_heads * d)[:e, :inner].T + weight("proj.bias", max_e)[:e]


def show(what, y):
    print(f"/* {what} */")
    print(", ".join("%.9gf" % v if "." in "%.9g" % v else "%.1ff" % v for v in y.flatten().tolist()))


show("class token", torch.cat([weight("cls_token", 1, 1, 6)[..., :4].expand(2, -1, -1), tokens(2, 2, 4)], 1))
show("position", tokens(2, 2, 4) + weight("pos_embed", 1, 2, 6)[..., :4])
show("plain", attention(tokens(2, 2, 4), 4, 1, 2, 6, 2, False, False, None))
show("whole, bias, scale", attention(tokens(1, 3, 6), 6, 2, 2, 6, 2, False, True, 0.25))
show("relative", attention(tokens(1, 10, 4), 4, 2, 2, 6, 2, True, True, None))
show("relative, clipped nowhere", attention(tokens(2, 5, 2), 2, 1, 2, 6, 2, True, False, None, 2))
