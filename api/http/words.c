/* words: what may be said, as lists "a|b|c": members of a body, parameters of a query, keys of
 * metadata, names of supernets and policies. */
#include <stdio.h>
#include <string.h>

#include "http/words.h"

bool api_word_in(const char *list, const char *word, size_t n_word)
{
    while (*list) {
        const size_t n = strcspn(list, "|");

        if (n == n_word && memcmp(list, word, n) == 0) return true;
        list += n + (list[n] == '|');
    }
    return false;
}

const char *api_words_text(const char *list, char *buf, size_t n_bytes)
{
    size_t n = 0;

    for (; *list && n + 3 < n_bytes; list++) {
        buf[n++] = *list == '|' ? ',' : *list;
        if (*list == '|') buf[n++] = ' ';
    }
    buf[n] = '\0';
    return buf;
}

enum { MAX_WORD = 31 };

/* Letters to add, drop or change to make b of a; a swap of neighbours counts once. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t d[MAX_WORD + 1][MAX_WORD + 1];

    for (size_t i = 0; i <= n_a; i++)
        for (size_t k = 0; k <= n_b; k++) {
            if (i == 0 || k == 0) {
                d[i][k] = i + k;
                continue;
            }
            d[i][k] = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            if (d[i - 1][k] + 1 < d[i][k]) d[i][k] = d[i - 1][k] + 1;
            if (d[i][k - 1] + 1 < d[i][k]) d[i][k] = d[i][k - 1] + 1;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                d[i - 2][k - 2] + 1 < d[i][k])
                d[i][k] = d[i - 2][k - 2] + 1;
        }
    return d[n_a][n_b];
}

struct word {
    const char *at;
    size_t      n;
};

/* The word of the list that is most like `word`, if a slip of the hand can be meant. */
static struct word nearest(const char *list, const char *word)
{
    const size_t n_word = strlen(word);
    struct word  best = {0};
    size_t       least = n_word < 6 ? 2 : 3;

    while (*list && n_word <= MAX_WORD) {
        const size_t n = strcspn(list, "|"), d = distance(word, n_word, list, n);

        if (d <= least && d < n && d < n_word) {
            best = (struct word){list, n};
            least = d - 1;
        }
        list += n + (list[n] == '|');
    }
    return best;
}

enum problem_code api_fail_unknown(struct problem *p, const char *where, const char *word,
                                   const char *allowed)
{
    const struct word like = nearest(allowed, word);
    char              known[256], meant[64] = "";

    if (!allowed[0])
        return api_fail(p, P_INVALID, where, "'%.200s' is unknown; there are no parameters here",
                        word);
    if (like.n) snprintf(meant, sizeof meant, "; did you mean '%.*s'?", (int)like.n, like.at);
    return api_fail(p, P_INVALID, where, "'%.200s' is unknown%s%s are %s", word, meant,
                    like.n ? " Known" : "; known", api_words_text(allowed, known, sizeof known));
}

enum problem_code api_whole_number(const char *text, const char *where, int64_t *ret_number,
                                   struct problem *p)
{
    const size_t n = strspn(text, "0123456789");
    int64_t      x = 0;

    if (n == 0 || text[n] || (n > 1 && text[0] == '0'))
        return api_fail(p, P_INVALID, where, "'%.200s' is no whole number from 0 on", text);
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(x, (int64_t)10, &x) ||
            __builtin_add_overflow(x, (int64_t)(text[i] - '0'), &x))
            return api_fail(p, P_LIMIT, where, "%.200s is above the limit of %lld", text,
                            (long long)INT64_MAX);
    *ret_number = x;
    return P_OK;
}

bool api_name_is_valid(const char *name, size_t n)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    if (n < 1 || n > API_NAME_BYTES || name[0] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (!name[i] || !strchr(allowed, name[i])) return false;
    return true;
}

enum problem_code api_check_name(const char *name, struct problem *p)
{
    if (api_name_is_valid(name, strlen(name))) return P_OK;
    return api_fail(p, P_INVALID, "name", "'%.200s' is no name: " API_NAME_RULE, name);
}
