/* strict: characters of words, and the places of lines. */
#include "http/strict.h"

#include <string.h>

static void say(struct strict *s, const char *wrong)
{
    if (!s->wrong) s->wrong = wrong;
}

/* RFC 9110, 5.6.2 */
static bool is_token(const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char c = word[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !(c && strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return n > 0;
}

bool strict_uri(const char *uri)
{
    for (; *uri; uri++)
        if ((unsigned char)*uri <= 0x20 || *uri == 0x7f) return false;
    return true;
}

void strict_begin(struct strict *s, bool adjacent, const char *method, const char *uri,
                  size_t n_uri, const char *version)
{
    *s = (struct strict){.adjacent = adjacent, .at = version + strlen(version) + 2};
    if (!is_token(method, strlen(method))) say(s, "the method is no word");
    if (adjacent && (method + strlen(method) + 1 != uri || uri + n_uri + 1 != version))
        say(s, "the first line is not made of a method, a path and a version with one space "
               "between them");
}

void strict_header(struct strict *s, const char *name, size_t n_name, const char *value,
                   size_t n_value)
{
    if (!is_token(name, n_name)) say(s, "the name of a header is no word");
    for (size_t i = 0; i < n_value; i++)
        if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
            say(s, "the value of a header contains a control character");
    if (!s->adjacent) return;
    if (name != s->at)
        say(s, "a line of the headers does not end in CR LF, or goes on in the next one");
    s->at = value + n_value + 2;
}

void strict_end(struct strict *s, const char *method, size_t n_head)
{
    if (s->adjacent && s->at + 2 != method + n_head)
        say(s, "a line of the headers does not end in CR LF, or goes on in the next one");
}
