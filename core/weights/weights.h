/* weights: named tensors over the bytes of one safetensors document.
 *
 *   8 bytes   length of the header, little endian
 *   header    {"name": {"dtype": "F32", "shape": [8, 3], "data_offsets": [0, 96]}, ...}
 *   data      every byte belongs to exactly one tensor
 */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include "base/base.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the data of safetensors is little endian and is used in place"
#endif

enum { WEIGHTS_MAX_HEADER_BYTES = 100000000, WEIGHTS_LENGTH_BYTES = 8 };

/* ---- mapping.c: a file as read-only memory ---- */

struct mapping {
    const void *bytes;
    size_t      n_bytes;
};

sn_status mapping_open(const char *path, struct mapping *ret_mapping, sn_error *err);
void      mapping_close(struct mapping *m);

/* Give memory back: the pages that hold nothing but these bytes. They come from the file again
 * when they are read. */
void mapping_release(const struct mapping *m, const void *at, size_t n_bytes);

/* ---- weights.c ---- */

/* These bytes have been copied to where they will be read from now on: do not keep them twice.
 * Nothing happens if they are not in a mapped file. */
void weights_release(const sn_weights *w, const void *at, size_t n_bytes);

/* ---- header.c: what the document says, checked ---- */

struct tensor_entry {
    const char *name;
    sn_desc     desc;
    size_t      start, stop; /* bytes of the data */
};

struct metadata_entry {
    const char *key, *text;
};

struct weights_header {
    size_t                 data_start; /* bytes before the data */
    size_t                 n_tensors;
    struct tensor_entry   *tensor; /* in the order of the header */
    size_t                 n_metadata;
    struct metadata_entry *metadata;
};

/* Names and tables live in `mem`. `what` names the document in messages. */
sn_status header_parse(const void *bytes, size_t n_bytes, const char *what, sn_arena *mem,
                       struct weights_header *ret_header, sn_error *err);

#endif
