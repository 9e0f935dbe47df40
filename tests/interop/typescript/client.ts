// client.ts URL: what a program does with the generated types: both forms of forward and export,
// creations, refusals. The compiler holds every name and type here against the document.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

declare const process: { argv: string[]; exit(code: number): never };

const client = createClient<paths>({ baseUrl: process.argv[2] });
const params = { path: { m: "digits" } };
const binary = "application/x-safetensors";
let passed = 0;
let failed = 0;

function check(sentence: string, good: boolean): void {
  if (good) passed++;
  else {
    failed++;
    console.log(`not ok: ${sentence}`);
  }
}

const image = [Array.from({ length: 8 }, (_, r) => Array.from({ length: 8 }, (_, c) => (r * c) % 16))];

function safetensors(metadata: Record<string, string>): Blob {
  const data = new Float32Array(image.flat(2));
  const tensor = { dtype: "F32", shape: [1, 1, 8, 8], data_offsets: [0, data.byteLength] };
  const header = JSON.stringify({ __metadata__: metadata, image: tensor });
  const padded = new TextEncoder().encode(header.padEnd(Math.ceil(header.length / 8) * 8));
  const length = new BigUint64Array([BigInt(padded.length)]);
  return new Blob([length, padded, data]);
}

// Names, shapes and data of F32 tensors, and the metadata.
function tensors(bytes: ArrayBuffer) {
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  const metadata: Record<string, string> = header.__metadata__ ?? {};
  delete header.__metadata__;
  const names = Object.keys(header);
  return {
    metadata,
    names,
    floats: (name: string) => {
      const [from, to] = header[name].data_offsets;
      return Array.from(new Float32Array(bytes.slice(8 + length + from, 8 + length + to)));
    },
  };
}

// The answer of a forward has two forms; this one was asked for as JSON.
function results(data: object | undefined) {
  return (data as components["schemas"]["ForwardResponse"]).results;
}

const drawn = await client.POST("/v1/supernets/{m}/resample", { params, body: { seed: 7 } });
check("resample", drawn.response.status === 200);
const id = drawn.data!.subnets[0].id;
const choices = drawn.data!.subnets[0].choices;
check("an answer has its id", (drawn.response.headers.get("X-Request-Id") ?? "") !== "");

const sealed = await client.POST("/v1/supernets/{m}/subnets", {
  params: { ...params, header: { "X-Request-Id": "mine-1" } },
  body: { choices: { ...choices, width: choices.width === 12 ? 16 : 12 }, complete: { seed: 3 } },
});
check("a new subnet is created", sealed.response.status === 201);
const other = sealed.data!.id;
check("its place is said", sealed.response.headers.get("Location") === `/v1/supernets/digits/subnets/${other}`);
check("the id that was sent comes back", sealed.response.headers.get("X-Request-Id") === "mine-1");

const json = await client.POST("/v1/supernets/{m}/forward", { params, body: { inputs: { image: [image] }, subnet: id } });
check("forward, JSON in and out", results(json.data)[0].subnet === id);
const logits = Object.values(results(json.data)[0].outputs)[0] as number[][];

const raw = await client.POST("/v1/supernets/{m}/forward", {
  params,
  body: safetensors({ subnet: id }),
  bodySerializer: (body) => body,
  headers: { "Content-Type": binary, Accept: binary },
  parseAs: "arrayBuffer",
});
check("forward, binary in and out", raw.response.headers.get("Content-Type") === binary);
const out = tensors(raw.data!);
check("the answer says what ran", out.metadata.subnet === id);
check("both forms give the same bits", out.floats(out.names[0]).every((x, i) => x === Math.fround(logits[0][i])));

const mixed = await client.POST("/v1/supernets/{m}/forward", {
  params: { path: { m: "digits" }, query: { mode: "eval" } },
  body: safetensors({ choices: JSON.stringify(choices), mode: "eval", format: "pt" }),
  bodySerializer: (body) => body,
  headers: { "Content-Type": binary, Accept: "application/json" },
});
check("forward, binary in and JSON out", results(mixed.data)[0].subnet === id);

const misspelt = await client.POST("/v1/supernets/{m}/forward", {
  params,
  body: safetensors({ chioces: JSON.stringify(choices) }),
  bodySerializer: (body) => body,
  headers: { "Content-Type": binary },
});
check("a misspelt key is refused", misspelt.response.status === 422 && misspelt.error!.error.text.includes("'choices'"));

const weights = await client.GET("/v1/supernets/{m}/export", {
  params: { ...params, query: { format: "safetensors", subnet: id } },
  parseAs: "arrayBuffer",
});
check("export, binary", tensors(weights.data!).names.length > 0);
const spec = await client.GET("/v1/supernets/{m}/export", { params: { ...params, query: { format: "spec", subnet: id } } });
check("export, JSON", (spec.data as { format?: string } | undefined)?.format === "supernet/1");

const gone = await client.GET("/v1/supernets/{m}", { params: { path: { m: "nobody" } } });
check("a refusal has its code", gone.error?.error.code === "unknown_supernet");

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
