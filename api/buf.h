/* buf: bytes that grow, and the JSON that is written into them by hand.
 *
 * A response body is one such buffer; it is handed over without a copy. Running
 * out of memory is remembered in `failed` and asked for once, at the end. */
#ifndef API_BUF_H
#define API_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supernet/supernet.h"

struct api_buf {
    char  *at; /* malloc()ed */
    size_t n, cap;
    bool   failed; /* memory ran out: the contents are incomplete */
};

void api_buf_fini(struct api_buf *b);

/* Room for n more bytes; NULL if there is none. Add what was written to b->n. */
char *api_buf_reserve(struct api_buf *b, size_t n);

void api_buf_add(struct api_buf *b, const char *bytes, size_t n);
void api_buf_text(struct api_buf *b, const char *text);
void api_buf_byte(struct api_buf *b, char byte);
__attribute__((format(printf, 2, 3))) void api_buf_printf(struct api_buf *b, const char *fmt, ...);

/* Quoted and escaped. Bytes that are no UTF-8 become U+FFFD, so that what is
 * quoted from a request cannot make the answer malformed. */
void api_buf_string(struct api_buf *b, const char *text);

/* The inverse of reading a choice: 2, 2.0 and true stay what they are. */
void api_buf_value(struct api_buf *b, const sn_value *value);

/* A sink of the library that appends; a failed allocation ends the export. */
sn_sink api_buf_sink(struct api_buf *b);

#endif
