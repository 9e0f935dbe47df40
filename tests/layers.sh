#!/bin/bash
# layers.sh BUILD: hold the arrows between the rooms of core/, api/ and server/ against what the
# compiler saw (the headers of each object) and what the linker will (the symbols it leaves to
# others), and the foreign headers against the one file that may include each.
#
# A room of core/ is a folder, nested ones too: core/op/conv is another one than core/op. In api/
# and server/ it is the first folder; what lies at the top of these may use all of them.
set -u
build=$1 passed=0 failed=0

# room: the rooms whose headers its files may see beside its own and the public ones
op="base thread tensor space kernel"
run="$op model live subnet"
declare -A core_may=(
    [base]=""
    [thread]="base"
    [tensor]="base"
    [space]="base"
    [format]="base tensor"
    [weights]="base tensor format"
    [kernel]=""
    [kernel/ref]="kernel"
    [kernel/blas]="kernel"
    [kernel/packed]="kernel"
    [kernel/plain]="kernel"
    [op]="$op"
    [op/attention]="$op op"
    [op/conv]="$op op"
    [op/embedding]="$op op"
    [op/linear]="$op op"
    [op/norm]="$op op"
    [op/pointwise]="$op op"
    [op/pool]="$op op"
    [op/shape]="$op op"
    [registry]="base"
    [builtin]="base registry"
    [model]="base space weights registry"
    [document]="base tensor space format weights registry model"
    [structure]="base tensor space format weights registry model document"
    [live]="base tensor space model"
    [subnet]="base space model live"
    [policy]="base space registry model subnet"
    [run]="$run"
    [compile]="$run format weights run"
    [measure]="$run format weights run compile"
    [export]="base tensor space format model live subnet weights"
)
# room: what it may call besides, through headers of others: an operator sees kernel/conv.h, and
# not who computes it; builtin knows its tables by name
kernels="kernel/plain kernel/blas kernel/packed"
declare -A core_calls=(
    [kernel/blas]="kernel/ref"
    [kernel/plain]="kernel/blas kernel/packed"
    [op]="$kernels"
    [op/attention]="$kernels"
    [op/conv]="$kernels"
    [op/linear]="$kernels"
    [op/norm]="$kernels"
    [op/pointwise]="$kernels"
    [op/pool]="$kernels"
    [op/shape]="$kernels"
    [run]="kernel/packed"
    [builtin]="structure policy op/attention op/conv op/embedding op/linear op/norm op/pointwise op/pool op/shape"
)
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
declare -A api_calls=() server_calls=()

check() { # sentence, condition's exit status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi
}

# Room, room and what it is about, for every header that an object of the module has seen.
includes() { # folder with the compiler's dependency files, module, sources
    local from=$1 module=$2
    shift 2
    awk -v from="$from/" -v module="$module" "$awk_room"'
        FNR == 1 { source = substr(FILENAME, length(from) + 1); sub(/\.d$/, ".c", source) }
        {
            for (i = 1; i <= NF; i++)
                if ($i ~ "^" module "/.*\\.h$" && $i !~ "^" module "/include/" && !seen[source, $i]++)
                    print room(source), room($i), source, "may not include", $i
        }' $(printf '%s\n' "$@" | sed "s|^\(.*\)\.c$|$from/\1.d|") | sort -u
}

# The same for every symbol that one object of the module has and another needs.
calls() { # folder with objects, module, sources
    local from=$1 module=$2
    shift 2
    nm -A -g $(printf '%s\n' "$@" | sed "s|^\(.*\)\.c$|$from/\1.o|") | awk -v from="$from/" "$awk_room"'
        {
            colon = index($1, ":"); source = substr($1, 1, colon - 1)
            sub(/\.o$/, ".c", source); source = substr(source, length(from) + 1)
            if ($(NF - 1) == "U") use[++uses] = source " " $NF
            else home[$NF] = room(source)
        }
        END {
            for (i = 1; i <= uses; i++) {
                split(use[i], u, " ")
                if (u[2] in home) print room(u[1]), home[u[2]], u[1], "may not use", u[2], "of", home[u[2]]
            }
        }'
}
awk_room='function room(path,   n, part) {
    n = split(path, part, "/")
    if (part[1] == "core") { sub(/^core\//, "", path); sub(/\/[^\/]*$/, "", path); return path }
    return n > 2 ? part[2] : "top"
}'

# Standard input: room, room, sentence. The sentences of those that the tables do not have.
forbidden() { # tables
    local from to sentence
    local -n see=$1 call=$2
    while read -r from to sentence; do
        [ "$from" = "$to" ] || [ "$from" = top ] || [[ " ${see[$from]-} ${call[$from]-} " == *" $to "* ]] ||
            echo "$sentence"
    done
}

# Rooms that use themselves by way of others.
circles() { # tables
    local room to seen next more
    local -n see=$1 call=$2
    for room in "${!see[@]}"; do
        seen=" " next="${see[$room]} ${call[$room]-}"
        while [ -n "${next// /}" ]; do
            more=""
            for to in $next; do
                [[ $seen == *" $to "* ]] || { seen+="$to "; more+=" ${see[$to]-} ${call[$to]-}"; }
            done
            next=$more
        done
        [[ $seen != *" $room "* ]] || echo "$room"
    done
}

declare -A none=()
rooms() { # module, depth of its rooms
    local module=$1 depth=$2 folder sources found
    local -n listed=${module}_may
    for folder in $(find "$module" -mindepth 1 -maxdepth "$depth" -type d -printf '%P\n' | grep -v '^include'); do
        [ -n "${listed[$folder]+set}" ]
        check "$module/$folder stands in the table of tests/layers.sh" $?
    done
    found=$(circles "${module}_may" "${module}_calls" | tr '\n' ' ')
    [ -z "$found" ]
    check "$module: by way of others these use themselves: $found" $?
    sources=$(find "$module" -name '*.c' | while read -r file; do [ -f "$build/${file%.c}.o" ] && echo "$file"; done)
    check_all "headers of $module" "$(includes "$build" "$module" $sources)" "${module}_may" none
    check_all "symbols of $module" "$(calls "$build" "$module" $sources)" "${module}_may" "${module}_calls"
}

check_all() { # what, arrows, tables
    local sentence
    [ -n "$2" ]
    check "there are $1" $?
    while read -r sentence; do check "$sentence" 1; done < <(forbidden "$3" "$4" <<<"$2")
    passed=$((passed + $(wc -l <<<"$2")))
}

rooms core 2
rooms api 1
rooms server 1

# ---- the checks above would notice -----------------------------------------------------------

forged=$(mktemp -d)
trap 'rm -rf "$forged"' EXIT
forge_include() { # a source, the header that it should not have included
    mkdir -p "$forged/$(dirname "$1")"
    sed "1s|:|: $2|" "$build/${1%.c}.d" >"$forged/${1%.c}.d"
    [ "$(includes "$forged" "${1%%/*}" "$1" | forbidden "${1%%/*}_may" none)" = "$1 may not include $2" ]
    check "$2 forged into $1 is found" $?
}
forge_include core/base/arena.c core/kernel/packed/tile.h
forge_include core/op/conv/conv2d.c core/kernel/packed/tile.h
forge_include core/op/conv/conv2d.c core/op/attention/heads.h
forge_include core/run/run.c core/compile/compile.h
forge_include core/tensor/shape.c core/forged/deeper/room.h
forge_include api/http/buf.c api/v1/forward/forward.h
forge_include server/http/conn.c server/loop.h

mkdir -p "$forged/core/base" "$forged/core/compile"
cc -c -x c - -o "$forged/core/base/forged.o" <<<'void plan_forged(void); void base_forged(void) { plan_forged(); }'
cc -c -x c - -o "$forged/core/compile/forged.o" <<<'void plan_forged(void) {}'
[ "$(calls "$forged" core core/base/forged.c core/compile/forged.c | forbidden core_may core_calls)" = \
    "core/base/forged.c may not use plan_forged of compile" ]
check "a call forged into core/base is found" $?

declare -A forged_may=([a]="" [b]="a" [c]="a b") forged_calls=([a]="c")
[ -z "$(circles forged_may none)" ] && [ "$(circles forged_may forged_calls | sort | tr -d '\n')" = abc ]
check "a circle forged into a table is found" $?

# ---- foreign headers --------------------------------------------------------------------------

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
only dlfcn.h '^(core/registry/plugin|server/http/unreadable)\.c$' # plug-ins; what the HTTP library calls
only uv.h '^server/(http/|config/resources\.c|loop\.c)'
found=$(grep -rlw pthread_create core api --include='*.[ch]' | grep -v '^core/thread/pool\.c$')
[ -z "$found" ]
check "threads of the library or the API are started by $found" $?
# Operators' tables are for who has operators, the engine's for who runs them. A program sees neither.
unseen() { # public header, files that never see it, the ones among them that do
    local found
    found=$(cd "$build" && grep -rlF "core/include/supernet/$1" core api server --include='*.d' | grep -E "$2" | grep -vE "${3:-^$}")
    [ -z "$found" ]
    check "supernet/$1 is seen by $found" $?
}
unseen op.h '^(core/(base|thread|space|format|kernel)|api|server)/' '^api/(resident|v1)/policies\.d$'
unseen engine.h '^(core/(base|thread|tensor|space|format|weights|kernel|live|subnet|policy|structure)|api|server)/'
unseen host.h '^core/(base|thread|tensor|space|format|kernel|op)/'
# Readers of a forward's request, what computes it, and writers of its result do not know each other.
only v1/forward/request.h '^api/v1/forward/(forward\.h|said\.c|read_[a-z]+\.c)$'
only v1/forward/result.h '^api/v1/forward/(forward\.h|result\.c|write_[a-z]+\.c)$'
only v1/forward/forward.h '^api/v1/forward/(forward|decide|policy|inputs|compute)\.c$'
only compile/compile.h '^core/compile/' # cost sees compile/shapes.h: nothing that reads weights
only microhttpd.h '^server/http/(httpd|conn|headers|unreadable)\.[ch]$'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
