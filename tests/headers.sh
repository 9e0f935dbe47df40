#!/bin/bash
# headers.sh BUILD: each public header stands alone, in strict C11 and C++17, a program is not shown
# more than it calls, and the shared library exports exactly what the headers promise.
set -u
build=$1 passed=0 failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }

headers=(core/include/supernet/*.h)
for header in "${headers[@]}" api/include/api.h; do
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Icore/include -x c "$header"
    check "$header is strict C11" $?
done
for header in "${headers[@]}"; do
    g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -Icore/include -x c++ "$header"
    check "$header is strict C++17" $?
done

g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -Icore/include -x c++ - -o "$build/plugin_cxx.so" <<'PLUGIN'
#include <supernet/op.h>
SN_PLUGIN;
extern "C" SN_PLUGIN_EXPORT sn_status sn_plugin_main(sn_registry *, sn_error *);
extern "C" sn_status sn_plugin_main(sn_registry *, sn_error *) { return SN_OK; }
PLUGIN
[ $? -eq 0 ] && [ "$(nm -D --defined-only "$build/plugin_cxx.so" | grep -c ' sn_plugin_\(abi\|main\)$')" = 2 ]
check "a plug-in may be C++" $?

# Names of the functions in headers and what they include.
functions() {
    printf '#include "%s"\n' "${@/#/$PWD/}" | gcc -E -P -Icore/include -x c - | tr '\n' ' ' |
        grep -oE '\bsn_[a-z0-9_]+\(' | tr -d ' (' | sort -u
}
# who sees more than a screen or two of functions reads none of them
n=$(functions core/include/supernet/supernet.h | wc -l)
[ "$n" -le 60 ]
check "supernet.h has $n functions, 60 at most: what few programs call stands in a header beside it" $?
for word in sn_op sn_variant sn_policy_class sn_expr sn_slice; do
    ! gcc -E -P -Icore/include core/include/supernet/supernet.h | grep -qw "$word"
    check "supernet.h does not show $word" $?
done
! gcc -E -P -Icore/include core/include/supernet/op.h | grep -qw sn_layout
check "op.h does not show what engine.h does" $?
twice=$(for header in "${headers[@]}"; do
    gcc -fpreprocessed -dD -E -P "$header" 2>/dev/null | grep -v '^#' | tr '\n' ' ' | grep -oE '\bsn_[a-z0-9_]+\(' | sort -u
done | sort | uniq -d)
[ -z "$twice" ]
check "each function stands in one header: $twice" $?

promised=$(functions "${headers[@]}")
exported=$(nm -D --defined-only "$build/libsupernet.so" | awk '{print $3}' | sort -u)
diff <(printf '%s\n' "$promised") <(printf '%s\n' "$exported")
check "libsupernet.so exports what the headers declare, and nothing else" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
