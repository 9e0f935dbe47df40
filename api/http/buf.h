/* buf: bytes that grow, and the JSON that is written into them by hand.
 *
 * A response body is one such buffer; it is handed over without a copy. Running
 * out of memory is remembered in `failed` and asked for once, at the end.
 *
 * With an account, growing is charged before memory is taken: what the account has no room for
 * fails as well, and `refused` says how much it would have been. */
#ifndef API_HTTP_BUF_H
#define API_HTTP_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account.h"
#include "supernet/supernet.h"

struct api_buf {
    char  *at; /* malloc()ed */
    size_t n, cap;
    bool   failed; /* memory ran out: the contents are incomplete */

    struct account *account; /* NULL: nobody counts; whoever sets it ends with api_buf_fini() */
    enum account_purpose purpose;
    size_t               charged;
    size_t               refused; /* bytes that the account had no room for; 0: it was not asked */
    const atomic_bool   *stop;    /* a sink ends when it is set; may be NULL */
    size_t               most;    /* bytes that are of use: one more fails; 0: any number */
    bool                 is_full; /* has failed for that */
};

/* Bytes that a buffer with an account always may have, so that a short answer never fails. */
enum { API_BUF_FREE_BYTES = 4 << 10 };

void api_buf_fini(struct api_buf *b);

/* Give back what it does not need. */
void api_buf_shrink(struct api_buf *b);

/* Room for n more bytes; NULL if there is none. Add what was written to b->n. */
char *api_buf_reserve(struct api_buf *b, size_t n);

void api_buf_add(struct api_buf *b, const char *bytes, size_t n);
void api_buf_text(struct api_buf *b, const char *text);
void api_buf_byte(struct api_buf *b, char byte);
__attribute__((format(printf, 2, 3))) void api_buf_printf(struct api_buf *b, const char *fmt, ...);

/* Bytes of the UTF-8 sequence at `at`, of which n can be read; 0 if it is none. */
size_t api_utf8_bytes(const char *at, size_t n);

/* Quoted and escaped. Bytes that are no UTF-8 become U+FFFD, so that what is
 * quoted from a request cannot make the answer malformed. */
void api_buf_string(struct api_buf *b, const char *text);

/* The inverse of reading a choice: 2, 2.0 and true stay what they are. */
void api_buf_value(struct api_buf *b, const sn_value *value);

/* A sink of the library that appends; a failed allocation or b->stop ends the export. */
sn_sink api_buf_sink(struct api_buf *b);

#endif
