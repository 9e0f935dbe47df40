/* names: lists of names in messages, and "did you mean". */
#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum { LONGEST_NAME = 48, LISTED_NAMES = 10 };

/* Letters to insert, remove, replace or swap (two neighbours) to turn a into b. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t row[3][LONGEST_NAME + 1]; /* of i - 2, i - 1, i, by i mod 3 */

    for (size_t j = 0; j <= n_b; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        const size_t *const before = row[(i + 1) % 3], *const above = row[(i + 2) % 3];
        size_t *const now = row[i % 3];

        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

            if (above[j] + 1 < best) best = above[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n_a % 3][n_b];
}

const char *names_closest(const char *name, const char *const *known, size_t n)
{
    const size_t n_name = strlen(name);
    const char  *closest = NULL;
    size_t       least = n_name < 6 ? 2 : 3; /* below: one typing slip, two in longer names */

    if (n_name < 2 || n_name > LONGEST_NAME) return NULL;
    for (size_t i = 0; i < n; i++) {
        const size_t n_known = strlen(known[i]);
        size_t       d;

        if (n_known > LONGEST_NAME) continue;
        d = distance(name, n_name, known[i], n_known);
        if (d < least) {
            least = d;
            closest = known[i];
        }
    }
    return closest;
}

const char *names_list(const char *const *names, size_t n, char *buf, size_t n_bytes)
{
    size_t used = 0, i = 0;

    if (n_bytes > 0) buf[0] = '\0';
    for (; i < n && i < LISTED_NAMES; i++) {
        const size_t rest = sizeof ", and 18446744073709551615 more";
        const size_t need = strlen(names[i]) + 2;

        if (used + need + rest > n_bytes) break;
        used += (size_t)snprintf(buf + used, n_bytes - used, "%s%s", i ? ", " : "", names[i]);
    }
    if (i < n)
        snprintf(buf + used, n_bytes - used, "%s%zu%s", i ? " and " : "", n - i,
                 i ? " more" : " names");
    return buf;
}
