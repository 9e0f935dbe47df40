#!/bin/bash
# pages.sh: what pages name exists. In backticks: a path of this tree, a file by its last name, a
# function(), a struct, a name of the library; `file`: `function()`, and `function()` in or of
# `file`, are held together; links lead somewhere. Blocks of code are not looked at.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { # sentence, condition's exit status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "not ok: $1"; fi
}

# ---- what there is ----------------------------------------------------------------------------

git ls-files -c -o --exclude-standard >"$work/files" 2>/dev/null
[ -s "$work/files" ] || find . -type f -not -path './build/*' -not -path './.git/*' -printf '%P\n' >"$work/files"

# "function file" for every definition: in a source it begins its line; in a header it is static,
# a macro, or a part of a set of kernels.
sources=$(grep -E '^(core|api|server|tests)/.*\.[ch]$' "$work/files")
# shellcheck disable=SC2086  # files
awk '
    /^[ \t}\/]/ || /^#/ && !/^#define [a-z_]+\(/ { next }
    FILENAME ~ /\.h$/ && !/^(static|INLINE|OUTLINE|#define)/ { next }
    match($0, /[A-Za-z_][A-Za-z0-9_]*\(/) {
        line = $0
        sub(/__attribute__\(\([^)]*\)*/, "", line)
        if (match(line, /[A-Za-z_][A-Za-z0-9_]*\(/)) print substr(line, RSTART, RLENGTH - 1), FILENAME
    }' $sources | sort -u >"$work/functions"
cut -d' ' -f1 "$work/functions" | sort -u >"$work/defined"
# shellcheck disable=SC2086
grep -ohE '\b(struct [a-z_0-9]+|(sn_|SN_)[A-Za-z_0-9]+|[A-Z][A-Z0-9]*_[A-Z0-9_]+)\b' $sources | sort -u >"$work/names"

exists() { # path: a file, a folder, or with < or * for a part of it, one like it
    local pattern
    [ -e "$1" ] && return 0
    case $1 in *[\<*]*) ;; *) return 1 ;; esac
    pattern=$(sed 's/[.+]/\\&/g; s/<[^>]*>/[^\/]+/g; s/\*/[^\/]*/g' <<<"${1%/}")
    grep -qE "^$pattern(/|$)" "$work/files"
}

# ---- what a page says -------------------------------------------------------------------------

# One thing a line: "name X", "pair FILE FUNCTION", "link TARGET".
said() { # page
    awk '/^ *```/ { code = !code; next } !code { printf "%s ", $0 }' "$1" | awk '{
        n = split($0, part, "`")
        for (i = 2; i <= n; i += 2) {
            print "name", part[i]
            if (i + 2 > n) continue
            here = part[i]; next_ = part[i + 2]
            if (part[i + 1] ~ /^: *$/ && next_ ~ /\(\)$/ && here ~ /\//) print "pair", here, next_
            if (part[i + 1] ~ /^ (in|of) $/ && here ~ /\(\)$/ && next_ ~ /\//) print "pair", next_, here
        }
        for (i = 1; i <= n; i += 2) {
            text = part[i]
            while (match(text, /\]\([^)]+\)/)) {
                print "link", substr(text, RSTART + 2, RLENGTH - 3)
                text = substr(text, RSTART + RLENGTH)
            }
        }
    }'
}

# Sentences about what a page names and is not there, and a last line with how much was looked at.
judge() { # page, folder that its links start from
    local page=$1 from=$2 kind word more n=0
    while read -r kind word more; do
        case $kind in
        pair)
            n=$((n + 1))
            grep -qxF "${more%()} $word" "$work/functions" || echo "$page: there is no $more in $word"
            continue
            ;;
        link)
            case $word in http*|\#*) continue ;; esac
            n=$((n + 1))
            [ -e "$from/${word%%\#*}" ] || echo "$page: the link to $word leads nowhere"
            continue
            ;;
        esac
        if [[ $word == struct && -n $more ]]; then
            n=$((n + 1))
            grep -qxF "struct $more" "$work/names" || echo "$page: there is no struct $more"
        elif [ -n "$more" ]; then
            continue # a command, or a sentence
        elif [[ $word =~ ^(core|api|server|tests|deploy|\.ci)/[][A-Za-z0-9_.\<\>*/-]*$ ]]; then
            n=$((n + 1))
            exists "$word" || echo "$page: there is no $word"
        elif [[ $word =~ ^[a-z_][a-z0-9_]*\(\)$ ]]; then
            n=$((n + 1))
            grep -qxF "${word%()}" "$work/defined" || echo "$page: nothing defines $word"
        elif [[ $word =~ ^[a-z0-9_]+\.[ch]$ ]]; then
            n=$((n + 1))
            grep -qE "(^|/)${word//./\\.}$" "$work/files" || echo "$page: no file is called $word"
        elif [[ $word =~ ^(sn_|SN_)[A-Za-z0-9_]+$ ]]; then
            n=$((n + 1))
            grep -qxF "$word" "$work/names" || echo "$page: the sources have no $word"
        fi
    done < <(said "$page")
    echo "$n"
}

# Pages of results and of data name what is elsewhere; the files in the page about plug-ins are the
# reader's.
pages=$(grep '\.md$' "$work/files" | grep -vE '^(tests/bench/RESULTS|tests/conformance/.*|deploy/demo/README|api/plugins)\.md$')
for page in $pages; do
    found=$(judge "$page" "$(dirname "$page")")
    passed=$((passed + $(tail -n 1 <<<"$found")))
    while read -r sentence; do
        [ -z "$sentence" ] || { check "$sentence" 1; passed=$((passed - 1)); }
    done < <(sed '$d' <<<"$found")
done
for page in core/README.md core/GLOSSARY.md core/compile/README.md core/thread/README.md server/README.md tests/README.md tests/DEBUGGING.md; do
    [ -f "$page" ]
    check "$page is there" $?
done

# The walk of a request: a dozen steps, each with its file and its function.
walk=$(grep -cE '^[0-9]+\. `[^`]+`: `[a-z_0-9]+\(\)`' core/README.md)
[ "$walk" -eq 12 ]
check "core/README.md walks through a dozen files ($walk)" $?

# ---- the checks above would notice -----------------------------------------------------------

cat >"$work/forged.md" <<'PAGE'
`core/base/forged.c`, `core/forged/`, `tests/unit/test_forged_<name>.c`, `forged()`, `forged_file.c`, `struct forged_struct`,
`sn_forged_name`, [a page](forged_page.md); `core/run/run.c`:
`run_task()`, and `choose()` in
`core/compile/fuse.c`. All of these are true: `core/run/task.c`: `run_task()`, `choose()` in `core/compile/select.c`,
`core/op/`, `tests/unit/test_<name>.c`, `struct job`, `sn_parallel`, `conn.c`, `make -j2 all`, [here](forged.md).
```
`forged_code()`
```
PAGE
forged=$(judge "$work/forged.md" "$work")
for word in core/base/forged.c core/forged/ 'test_forged_<name>.c' 'forged()' forged_file.c forged_struct sn_forged_name forged_page.md \
    'run_task() in core/run/run.c' 'choose() in core/compile/fuse.c'; do
    grep -qF "$word" <<<"$forged"
    check "a forged $word is found" $?
done
[ "$(sed '$d' <<<"$forged" | wc -l)" -eq 10 ]
check "what is true in a forged page is not found" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
