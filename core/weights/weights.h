/* weights: named tensors, over the bytes of a safetensors document (format/safetensors.h), which
 * may be a mapped file, or put together in memory. */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include "format/safetensors.h"
#include "supernet/host.h"
#include "supernet/weights.h"

/* ---- mapping.c: a file as read-only memory ---- */

struct mapping;

sn_status mapping_open(const char *path, struct mapping **ret_mapping, sn_error *err);

/* Of a file that is open and stays the caller's; `path` is where, for messages and to see whether
 * it was replaced. */
sn_status mapping_open_fd(int fd, const char *path, const sn_weights_options *o,
                          struct mapping **ret_mapping, sn_error *err);

/* Accepts NULL, returns NULL. */
struct mapping *mapping_close(struct mapping *m);
const void     *mapping_bytes(const struct mapping *m, size_t *ret_n);

/* Give memory back: the pages that hold nothing but these bytes. They come from the file again
 * when they are read. */
void mapping_release(const struct mapping *m, const void *at, size_t n_bytes);

/* SN_E_CHANGED if the bytes are not those that were opened any more, and from then on. The second
 * only says what is known already. NULL has not changed. */
sn_status mapping_check(struct mapping *m, sn_error *err);
bool      mapping_is_changed(const struct mapping *m);

/* ---- guard.c: mapped ranges, for the handler of SIGBUS ---- */

struct guard_range;

struct guard_range *guard_add(const void *bytes, size_t n_bytes); /* NULL when memory is out */
void                guard_remove(struct guard_range *r);

/* Has somebody read pages of it that are gone, and got zeros? */
bool guard_is_lost(const struct guard_range *r);

/* ---- weights.c ---- */

/* These bytes have been copied to where they will be read from now on: do not keep them twice.
 * Nothing happens if they are not in a mapped file. */
void weights_release(const sn_weights *w, const void *at, size_t n_bytes);

/* Is there a tensor whose name starts with this? */
bool weights_has_prefix(const sn_weights *w, const char *prefix);

/* A supernet has been loaded with them: no tensor can be added any more. NULL is none. */
void weights_use(sn_weights *w);

/* ---- writer.c, reader.c: named tensors as a document ---- */

struct named_tensors {
    size_t             n;
    const char *const *name;
    const sn_tensor   *tensor; /* strided or dense */
    size_t             n_meta;
    const char *const *meta_key, *const *meta_value;
};

/* What stands before the data: the length, and the padded header. And the bytes of the data. The
 * caller frees header->at, also after a failure. */
sn_status weights_describe(const struct named_tensors *all, struct text *header, int64_t *ret_bytes,
                           sn_error *err);

/* Bytes [at, at + n) of a tensor as it lies in a document, which must be inside it. */
void weights_read_part(const sn_tensor *t, uint64_t at, size_t n, void *to);

#endif
