#!/bin/bash
# names.sh WORD NAME...: the names that are like the word, the likest first: those that share most
# groups of three letters with it.
set -u
word=$1
shift
printf '%s\n' "$@" | awk -v word="$word" '
    function triples(s, into,   i, n) {
        n = 0
        for (i = 1; i <= length(s) - 2; i++) if (!(substr(s, i, 3) in into)) { into[substr(s, i, 3)]; n++ }
        return n
    }
    BEGIN { of_word = triples(word, wanted) }
    {
        shared = 0
        split("", have)
        mine = triples($0, have)
        for (t in have) shared += t in wanted
        if (shared > 0) printf "%.4f %s\n", 2 * shared / (mine + of_word), $0
    }' | sort -rn | head -n 5 | cut -d" " -f2
