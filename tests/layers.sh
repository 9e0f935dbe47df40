#!/bin/bash
# layers.sh BUILD: hold the arrows between the folders of core/ against the compiler's
# dependency files, and the foreign headers against the one file that may include each.
set -u
build=$1 passed=0 failed=0

# room: the rooms that its files may include beside itself and the public header
declare -A may=(
    [base]=""
    [thread]="base"
    [tensor]="base"
    [space]="base"
    [format]="base tensor weights"
    [weights]="base tensor"
    [kernel]=""
    [kernel/ref]="kernel"
    [kernel/blas]="kernel"
    [kernel/plain]="kernel"
    [kernel/packed]="kernel"
    [op]="base thread tensor kernel"
    [op/attention]="base thread tensor kernel op"
    [op/conv]="base thread tensor kernel op"
    [op/embedding]="base thread tensor kernel op"
    [op/linear]="base thread tensor kernel op"
    [op/norm]="base thread tensor kernel op"
    [op/pointwise]="base thread tensor kernel op"
    [op/pool]="base thread tensor kernel op"
    [op/shape]="base thread tensor kernel op"
    [registry]="base space model document builtin"
    [builtin]="base space model document structure"
    [model]="base space"
    [document]="base tensor space weights model"
    [structure]="base tensor space weights model document"
    [live]="base space model subnet"
    [subnet]="base space model live"
    [policy]="base space model"
    [run]="base thread tensor space kernel model subnet live"
    [compile]="base tensor space weights model subnet live run"
    [measure]="base space model subnet live run"
    [export]="base space weights model subnet live run"
)

check() { # sentence, condition's exit status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi
}

for folder in $(find core -mindepth 1 -type d -not -path 'core/include*' | cut -d/ -f2-); do
    [ -n "${may[$folder]+set}" ]
    check "core/$folder stands in the table of tests/layers.sh" $?
done

for source in $(find core -name '*.c'); do
    from=$(dirname "${source#core/}") file=$build/${source%.c}.d
    [ -f "$file" ] || continue # one of two back ends
    for header in $(tr ' \\' '\n\n' <"$file" | grep '^core/.*\.h$' | grep -v '^core/include/' | sort -u); do
        to=$(dirname "${header#core/}")
        [ "$to" = "$from" ] || [[ " ${may[$from]-} " == *" $to "* ]]
        check "$source may not include $header" $?
    done
done

# ---- api/ and server/: rooms, by what is included and by what is called -----------------------

# room: the rooms that its files may use beside itself; what lies at the top may use all of them
declare -A api_may=(
    [http]=""
    [resident]="http"
    [v1]="http resident"
    [daemon]="http resident"
)
declare -A server_may=(
    [log]=""
    [work]=""
    [config]="log work"
    [http]="log work config"
)

# The room of a path such as api/v1/forward/json.c: the folder below the module; "top" for none.
room() { local rest=${1#*/}; [ "$rest" = "${rest%%/*}" ] && echo top || echo "${rest%%/*}"; }

allowed() { # table, from, to
    local -n table=$1
    [ "$2" = "$3" ] || [ "$2" = top ] || [[ " ${table[$2]-} " == *" $3 "* ]]
}

# Nobody uses himself by way of others.
circles() { # table
    local -n table=$1
    for room in "${!table[@]}"; do
        local seen=" " next="${table[$room]}"
        while [ -n "$next" ]; do
            local more=""
            for to in $next; do [[ $seen == *" $to "* ]] || { seen+="$to "; more+=" ${table[$to]-}"; }; done
            next=${more# }
        done
        [[ $seen != *" $room "* ]]
        check "$1: $room uses itself by way of others" $?
    done
}

rooms() { # module, table
    local module=$1 may_use=$2 from to header sources
    local -n listed=$2
    for folder in "$module"/*/; do
        from=$(basename "$folder")
        [ "$from" = include ] || [ -n "${listed[$from]+set}" ]
        check "$module/$from stands in the table of tests/layers.sh" $?
    done
    circles "$may_use"
    sources=$(find "$module" -name '*.c')
    for source in $sources; do
        from=$(room "$source")
        for header in $(tr ' \\' '\n\n' <"$build/${source%.c}.d" | grep -E "^$module/[a-z0-9_/]*\\.h\$" | grep -v "^$module/include/" | sort -u); do
            allowed "$may_use" "$from" "$(room "$header")"
            check "$source may not include $header" $?
        done
    done
    while read -r source from to symbol; do
        allowed "$may_use" "$from" "$to"
        check "$source may not use $symbol of $module/$to" $?
    done < <(nm -A -g $(sed "s|\(.*\)\.c|$build/\1.o|" <<<"$sources") | awk -v build="$build/" '
        {
            colon = index($1, ":"); file = substr($1, length(build) + 1, colon - length(build) - 1)
            n = split(file, part, "/"); room = n > 2 ? part[2] : "top"
            if ($(NF - 1) == "U") { use[++uses] = file " " room " " $NF } else home[$NF] = room
        }
        END {
            for (i = 1; i <= uses; i++) {
                split(use[i], u, " ")
                if (u[3] in home) print u[1], u[2], home[u[3]], u[3]
            }
        }')
}
rooms api api_may
rooms server server_may

# The checks above would notice.
! allowed api_may "$(room api/http/buf.c)" "$(room api/v1/forward/forward.h)"
check "a room may include what is above it" $?
! allowed server_may "$(room server/http/conn.c)" "$(room server/loop.h)"
check "a room may include what lies at the top" $?

# header: the files that may include it
only() {
    local header=$1 where=$2 found
    found=$(grep -rlE "#include [<\"]$header[>\"]" core api server --include='*.[ch]' | grep -vE "$where")
    [ -z "$found" ]
    check "<$header> is included by $found" $?
}
only cblas.h '^core/kernel/blas/gemm_blas\.c$'
only sha2.h '^core/base/digest\.[ch]$'
only jansson.h '^(core/(base/json|document/|structure/|policy/)|api/api\.c$)'
only dlfcn.h '^(core/registry/plugin|server/http/conn)\.c$' # plug-ins; what the HTTP library calls
only uv.h '^server/(http/|config/resources\.c|loop\.c)'
# Readers of a forward's request, what computes it, and writers of its result do not know each other.
only v1/forward/request.h '^api/v1/forward/(forward\.h|said\.c|read_[a-z]+\.c)$'
only v1/forward/result.h '^api/v1/forward/(forward\.h|result\.c|write_[a-z]+\.c)$'
only v1/forward/forward.h '^api/v1/forward/(forward|decide|policy|inputs|compute)\.c$'
only microhttpd.h '^server/http/(httpd|conn|headers)\.[ch]$'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
