#!/bin/bash
# A Python client generated from the document that the daemon serves: nothing of the document is left
# out of it, and it sends and receives both forms.
. "$(dirname "$0")/../server/lib.sh"
venv=build/interop/venv
start_daemon
curl -fs "$url/openapi.json" >"$work/openapi.json"
version=$("$SUPERNETD" --version | sed 's/.*supernet \([0-9.]*\),.*/\1/')
check "one version for binary and document" equal "$version" "$(jq -r .info.version "$work/openapi.json")"
check "and for health" equal "$version" "$(curl -fs "$url/healthz" | jq -r .version)"
cat >"$work/config.yaml" <<'EOF'
package_name_override: supernet_client
post_hooks: []
content_type_overrides:
  application/x-safetensors: application/octet-stream
EOF
"$venv/bin/openapi-python-client" generate --path "$work/openapi.json" --config "$work/config.yaml" --meta none \
    --output-path "$work/supernet_client" --fail-on-warning >"$work/generated" 2>&1
check "the generator has nothing to complain about" test $? -eq 0
[ "$failed" -eq 0 ] || head -n 40 "$work/generated"
PYTHONPATH=$work "$venv/bin/python" tests/interop/python_client.py "$url" >"$work/ran" 2>&1
status=$?
cat "$work/ran"
read -r ok bad < <(grep -E '^[0-9]+ passed, [0-9]+ failed' "$work/ran" | awk '{print $1, $3}')
[ "$status" -eq 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
passed=$((passed + ${ok:-0})) failed=$((failed + ${bad:-0}))
finish
