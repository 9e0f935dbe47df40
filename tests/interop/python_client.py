"""python_client.py URL: what a program does with the generated Python client."""
import io
import json
import sys

import numpy
from safetensors.numpy import load, save

from supernet_client import Client
from supernet_client.api.inference import export, forward
from supernet_client.api.policies import get_policy_state, put_policy, put_policy_state, reward
from supernet_client.api.search import create_subnet, get_subnet, resample
from supernet_client.api.supernets import get_supernet, list_supernets
from supernet_client.models import (
    ChoicesRequestType0,
    Error,
    ExportFormat,
    ForwardRequest,
    PolicyRequest,
    ResampleRequest,
)
from supernet_client.types import File

BINARY = "application/x-safetensors"
M = "digits"
passed = failed = 0


def check(sentence, good):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("not ok:", sentence)


client = Client(base_url=sys.argv[1])


def raw(endpoint, *path, accept, **arguments):
    """The generator reads one form of an answer for each status, the first in the document. The
    other one is the body of the same request, sent with the client's own connection."""
    kwargs = endpoint._get_kwargs(*path, **arguments)
    kwargs["headers"] = {**kwargs.get("headers", {}), "Accept": accept}
    return client.get_httpx_client().request(**kwargs)


check("what is loaded", [s.name for s in list_supernets.sync(client=client).supernets] == [M])
check("one of them", get_supernet.sync(M, client=client).modules[0].type_ != "")
drawn = resample.sync(M, client=client, body=ResampleRequest(seed=7)).subnets[0]
same = get_subnet.sync_detailed(M, drawn.id, client=client, x_request_id="mine-1")
check("a subnet by its id", same.parsed.choices == drawn.choices)
check("the id of the request", same.headers["X-Request-Id"] == "mine-1")

made = create_subnet.sync_detailed(
    M, client=client,
    body=ChoicesRequestType0.from_dict({"choices": {"width": 24}, "complete": {"seed": 9}}),
)
check("a subnet is created", made.status_code == 201)
check("and says where", made.headers["Location"].endswith("/subnets/" + made.parsed.id))

image = numpy.random.default_rng(0).random((3, 1, 8, 8), dtype=numpy.float32)
answer = forward.sync(
    M, client=client,
    body=ForwardRequest.from_dict({"inputs": {"image": image.tolist()}, "subnet": drawn.id}),
)
check("forward, JSON in and out", answer.results[0].subnet == drawn.id)
name, rows = next(iter(answer.results[0].outputs.to_dict().items()))


def tensors(**metadata):
    return File(payload=io.BytesIO(save({"image": image}, metadata=metadata)), mime_type=BINARY)


got = raw(forward, M, accept=BINARY, body=tensors(choices=json.dumps(drawn.choices.to_dict())))
check("forward, binary in and out", got.headers["Content-Type"] == BINARY)
check("both forms give the same bits",
      (load(got.content)[name] == numpy.array(rows, dtype=numpy.float32)).all())
length = int.from_bytes(got.content[:8], "little")
check("the answer says what ran",
      json.loads(got.content[8:8 + length])["__metadata__"]["subnet"] == drawn.id)
answer = raw(forward, M, accept="application/json", body=tensors(subnet=drawn.id, mode="eval"))
check("forward, binary in and JSON out", answer.json()["results"][0]["outputs"][name] == rows)
refused = forward.sync(M, client=client, body=tensors(polcy="path"))
check("a misspelt key is refused",
      isinstance(refused, Error) and "did you mean 'policy'" in refused.error.text)

got = raw(export, M, accept=BINARY, format_=ExportFormat.SAFETENSORS, subnet=drawn.id)
check("export, binary", len(load(got.content)) > 0)
spec = export.sync(M, client=client, format_=ExportFormat.SPEC, subnet=drawn.id)
check("export, JSON", spec["format"] == "supernet/1")

made = put_policy.sync_detailed(M, "mine", client=client,
                                body=PolicyRequest.from_dict({"policy": "enas", "lstm_size": 8}))
check("a policy is created", made.status_code == 201)
state = get_policy_state.sync(M, "mine", client=client)
check("its state goes back", put_policy_state.sync_detailed(M, "mine", client=client, body=state)
      .status_code == 200)
refused = get_supernet.sync("nobody", client=client)
check("a refusal has its code", refused.error.code == "unknown_supernet")

print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
