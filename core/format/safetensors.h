/* safetensors: a document of named tensors, what it says, checked.
 *
 *   8 bytes   length of the header, little endian
 *   header    {"name": {"dtype": "F32", "shape": [8, 3], "data_offsets": [0, 96]}, ...}
 *   data      every byte belongs to exactly one tensor
 */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include "base/base.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the data of safetensors is little endian and is used in place"
#endif

enum { SAFETENSORS_MAX_HEADER_BYTES = 100000000, SAFETENSORS_LENGTH_BYTES = 8 };

struct tensor_entry {
    const char *name;
    sn_desc     desc;
    size_t      start, stop; /* bytes of the data */
};

struct metadata_entry {
    const char *key, *text;
};

struct safetensors {
    size_t                 data_start; /* bytes before the data */
    size_t                 n_tensors;
    struct tensor_entry   *tensor; /* in the order of the header */
    size_t                 n_metadata;
    struct metadata_entry *metadata;
};

/* Names and tables live in `mem`. `what` names the document in messages. */
sn_status safetensors_parse(const void *bytes, size_t n_bytes, const char *what, sn_arena *mem,
                            struct safetensors *ret_header, sn_error *err);

#endif
