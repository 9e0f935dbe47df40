#!/bin/bash
# layers.sh BUILD: hold the arrows between the folders of core/ against the compiler's
# dependency files, and the foreign headers against the one file that may include each.
set -u
build=$1 passed=0 failed=0

# folder: what its files may include beside themselves and the public header
declare -A may=(
    [base]=""
    [tensor]="base"
    [space]="base"
    [weights]="base tensor"
    [kernel]=""
    [op]="base tensor kernel"
    [structure]="base tensor space op weights model"
    [model]="base tensor space op weights structure policy"
    [subnet]="base tensor space model"
    [policy]="base tensor space model"
    [plan]="base tensor space weights op kernel model subnet"
    [export]="base tensor space weights model subnet plan"
)

check() { # sentence, condition's exit status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi
}

for folder in core/*/; do
    name=$(basename "$folder")
    [ "$name" = include ] && continue
    [ -n "${may[$name]+set}" ]
    check "core/$name stands in the table of tests/layers.sh" $?
done

while read -r file; do
    from=$(cut -d/ -f2 <<<"${file#"$build"/}")
    for header in $(tr ' \\' '\n\n' <"$file" | grep -o '^core/[a-z]*/[a-z0-9_]*\.h$' | sort -u); do
        to=$(cut -d/ -f2 <<<"$header")
        [ "$to" = "$from" ] || [[ " ${may[$from]-} " == *" $to "* ]]
        check "${file#"$build"/} may not include $header" $?
    done
done < <(find "$build/core" -name '*.d')

# header: the files that may include it
only() {
    local header=$1 where=$2 found
    found=$(grep -rlE "#include [<\"]$header[>\"]" core api server --include='*.[ch]' | grep -vE "$where")
    [ -z "$found" ]
    check "<$header> is included by $found" $?
}
only cblas.h '^core/kernel/gemm_blas\.c$'
only sha2.h '^core/base/digest\.[ch]$'
only jansson.h '^(core/(base/json|model/|structure/|policy/)|api/api\.c$)'
only dlfcn.h '^(core/model/plugin|server/http/conn)\.c$' # plug-ins; what the HTTP library calls
only uv.h '^server/(http/|config/resources\.c|loop\.c)'
only microhttpd.h '^server/http/(httpd|conn|headers)\.[ch]$'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
