#!/bin/bash
# The daemon serves what was trained: the logits and the accuracy of eight subnets, as the
# training script's own implementation (PyTorch) wrote them into deploy/demo/expected.json.
. "$(dirname "$0")/lib.sh"
start_daemon
m=$url/v1/supernets/digits

# How far two lists of logits are apart, and how many labels the logits of all images hit.
cat >"$work/compare.py" <<'PY'
import json, struct, sys

def tensor(path, name):
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + n])[name]
    a, b = entry["data_offsets"]
    kind = {"F32": "f", "I64": "q"}[entry["dtype"]]
    return struct.unpack("<%d%s" % ((b - a) // struct.calcsize(kind), kind), data[8 + n:][a:b])

case, answer, labels = json.loads(sys.argv[1]), tensor(sys.argv[2], "output"), tensor(sys.argv[3], "label")
want = [x for row in case["logits"] for x in row]
print("%.1e" % max(abs(a - b) / max(1, abs(b)) for a, b in zip(answer, want)))
rows = [answer[10 * i:10 * i + 10] for i in range(len(labels))]
print(sum(row.index(max(row)) == label for row, label in zip(rows, labels)))
PY

n=$(jq '.cases | length' deploy/demo/expected.json)
for i in $(seq 0 $((n - 1))); do
    case=$(jq -c ".cases[$i]" deploy/demo/expected.json)
    name=$(jq -r .name <<<"$case")
    sealed=$(jq -c '{choices}' <<<"$case" | curl -fs "$m/subnets" -d @-)
    check "$name: the active choices are those that the network reads" \
        equal "$(jq -cS .active <<<"$case")" "$(jq -cS .choices <<<"$sealed")"
    curl -fs "$m/forward?subnet=$(jq -r .id <<<"$sealed")" -H 'Content-Type: application/x-safetensors' \
        --data-binary @deploy/demo/test-images.safetensors -o "$work/answer"
    got=$(python3 "$work/compare.py" "$case" "$work/answer" deploy/demo/test-labels.safetensors)
    check "$name: the logits are those of PyTorch" python3 -c "import sys; sys.exit(not float('${got%%$'\n'*}') < 1e-4)"
    check "$name: as many digits are read right" equal "$(jq .correct <<<"$case")" "${got##*$'\n'}"
done
finish
