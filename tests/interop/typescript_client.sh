#!/bin/bash
# A TypeScript client generated from the document that the daemon serves: it compiles, strictly, and
# sends and receives both forms.
. "$(dirname "$0")/../server/lib.sh"
node=build/interop/typescript
start_daemon
curl -fs "$url/openapi.json" >"$work/openapi.json"
mkdir -p "$node/out"
cp tests/interop/typescript/client.ts tests/interop/typescript/generate.mjs "$node/"
(cd "$node" && node generate.mjs "$work/openapi.json" schema.d.ts) >"$work/generated" 2>&1 ||
    { cat "$work/generated"; check "types are generated" false; finish; }
check "the client compiles" "$node/node_modules/.bin/tsc" --noEmit false --strict --target es2022 --module esnext \
    --moduleResolution bundler --lib es2022,dom --skipLibCheck --outDir "$node/out" "$node/client.ts"
cp "$node/package.json" "$node/out/"
node "$node/out/client.js" "$url" >"$work/ran" 2>&1
status=$?
cat "$work/ran"
read -r ok bad < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$work/ran" | awk '{print $1, $3}')
[ "$status" -eq 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-0}))
finish
