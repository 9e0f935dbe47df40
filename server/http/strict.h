/* strict.h - are the lines of a request what HTTP says?
 *
 * The HTTP library takes lines that end in a bare LF, values that go on in the next line, a NUL
 * within them, and more than one space between the words of the first line. A proxy in front may
 * read each of them differently, and then one request could hide in another. The library gives us
 * names and values only, but it gives them where they lie in its buffer, one behind the other,
 * with a NUL for each byte of a line's end. So how far apart they are says what stood between. */
#ifndef SERVER_HTTP_STRICT_H
#define SERVER_HTTP_STRICT_H

#include <stdbool.h>
#include <stddef.h>

struct strict {
    const char *at;    /* where the next line begins, if all is well */
    const char *wrong; /* NULL, or what is */
    bool        adjacent;
};

/* Has it no space and no control character? To be asked before the library decodes the query,
 * which it does in place. */
bool strict_uri(const char *uri);

/* `adjacent`: it is a version of the library that keeps lines as said above. */
void strict_begin(struct strict *s, bool adjacent, const char *method, const char *uri,
                  size_t n_uri, const char *version);
void strict_header(struct strict *s, const char *name, size_t n_name, const char *value,
                   size_t n_value);

/* The head of the request ends `n_head` bytes after the method began. */
void strict_end(struct strict *s, const char *method, size_t n_head);

#endif
