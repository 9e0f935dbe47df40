#!/bin/bash
# check.sh [all]: what is judged without running it, in the files that changed against the base
# (main, as far as it is not this very commit) or in all: their form (clang-format), what clang
# sees beyond the compiler's warnings, shell that cannot be parsed, and the subjects of the
# commits that the base does not have.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
check() { if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi; }

git rev-parse -q --verify HEAD >/dev/null || { echo "check: this is no clone, nothing says what changed" >&2; exit 1; }
head=$(git rev-parse HEAD)
# Without a main that is behind, as in a shallow clone or after landing: the newest commit.
commits=(-n 1 HEAD) base=
for ref in ${BASE:-origin/main main}; do
    base=$(git merge-base "$ref" HEAD 2>/dev/null) && [ "$base" != "$head" ] || { base=; continue; }
    commits=("$base..HEAD")
    break
done
: "${base:=$(git rev-parse -q --verify HEAD~ || echo HEAD)}"

if [ "${1-}" = all ]; then
    files=$(git ls-files -c -o --exclude-standard)
else
    files=$(git diff --name-only --diff-filter=d "$base" && git ls-files -o --exclude-standard)
fi
sources=$(grep -E '^(core|api|server|tests)/.*\.[ch]$' <<<"$files")

# Warnings that are right nearly always; the others of -Weverything are for the curious.
lint=(-std=gnu11 -fsyntax-only -Werror -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
    -Wunreachable-code-aggressive -Wunused-macros -Wassign-enum -Wenum-conversion -Wshorten-64-to-32 -Wloop-analysis -Wno-string-concatenation
    -Wpointer-arith -Icore/include -Iapi/include -iquote core -iquote api -iquote server -iquote tests)
for file in $sources; do
    [ -f "$file" ] || continue # deleted, but not committed
    clang-format --dry-run -Werror "$file" 2>&1 | head -n 6
    check "$file is as clang-format leaves it (make format)" "${PIPESTATUS[0]}"
    case $file in *.h) continue ;; esac
    clang "${lint[@]}" "$file"
    check "$file: clang has nothing to say" $?
done
for file in $(grep -E '\.sh$|^\.ci/run$' <<<"$files"); do
    [ -f "$file" ] || continue
    bash -n "$file"
    check "$file is shell" $?
done
while IFS= read -r subject; do
    [ ${#subject} -le 72 ]
    check "a subject has at most 72 characters: $subject" $?
done < <(git log --no-merges --format=%s "${commits[@]}")

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
