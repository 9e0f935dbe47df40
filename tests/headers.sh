#!/bin/bash
# headers.sh BUILD: the public headers stand alone, in strict C11 and C++17, and the
# shared library exports exactly what the header promises.
set -u
build=$1 passed=0 failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }

for header in core/include/supernet/supernet.h api/include/api.h; do
    gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c "$header"
    check "$header is strict C11" $?
done
g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ core/include/supernet/supernet.h
check "supernet.h is strict C++17" $?

g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -Icore/include -x c++ - -o "$build/plugin_cxx.so" <<'PLUGIN'
#include <supernet/supernet.h>
SN_PLUGIN;
extern "C" SN_PLUGIN_EXPORT sn_status sn_plugin_main(sn_registry *, sn_error *);
extern "C" sn_status sn_plugin_main(sn_registry *, sn_error *) { return SN_OK; }
PLUGIN
[ $? -eq 0 ] && [ "$(nm -D --defined-only "$build/plugin_cxx.so" | grep -c ' sn_plugin_\(abi\|main\)$')" = 2 ]
check "a plug-in may be C++" $?

promised=$(gcc -E -P core/include/supernet/supernet.h | tr '\n' ' ' |
    grep -oE '\bsn_[a-z0-9_]+\(' | tr -d ' (' | sort -u)
exported=$(nm -D --defined-only "$build/libsupernet.so" | awk '{print $3}' | sort -u)
diff <(printf '%s\n' "$promised") <(printf '%s\n' "$exported")
check "libsupernet.so exports what supernet.h declares, and nothing else" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
