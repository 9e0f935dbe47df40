/* weights.h - tensors, and named ones: made in memory, looked through, written; and which of them a
 * supernet needs. For readers and writers of files. */
#ifndef SUPERNET_WEIGHTS_H
#define SUPERNET_WEIGHTS_H

#include "supernet/supernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tensors -------------------------------------------------------------- */

/* The name of safetensors: "F32". */
const char *sn_dtype_name(sn_dtype dtype);
bool        sn_dtype_find(const char *name, sn_dtype *ret_dtype);

/* "[2, 3, 8, 8]" into buf; returns buf. */
const char *sn_shape_text(const sn_shape *shape, char *buf, size_t n_bytes);

bool sn_shape_equal(const sn_shape *a, const sn_shape *b);
bool sn_tensor_is_dense(const sn_tensor *t);

/* ---- looked through ------------------------------------------------------- */

/* Tensors in the order of the header, or as they were added. The view is valid while the weights
 * live; its data is aligned to its element. */
size_t      sn_weights_count(const sn_weights *w);
const char *sn_weights_at(const sn_weights *w, size_t i, sn_tensor *ret_tensor);
bool        sn_weights_find(const sn_weights *w, const char *name, sn_tensor *ret_tensor);

/* A text of the header's __metadata__, or NULL; and by index the key and the text of all of
 * them, NULL past the end. */
const char *sn_weights_metadata(const sn_weights *w, const char *key);
const char *sn_weights_metadata_at(const sn_weights *w, size_t i, const char **ret_text);

/* ---- made and written ----------------------------------------------------- */

/* Weights made in memory: none to begin with. Tensors are added under names until a supernet is
 * loaded with them, by one thread at a time; all element types may be (SN_E_DTYPE comes with the
 * load). A copy takes a tensor with any strides. A view is dense and aligned to its element, and
 * the caller keeps its memory alive and unchanged as long as the weights. From other weights: one
 * of their tensors, under a name of its own and without copying it; they are kept alive, and
 * nothing can be added to them any more.
 * SN_E_INVALID: the name is empty or taken, or nothing can be added to these weights.
 * SN_E_SHAPE, SN_E_DTYPE: the tensor is none. SN_E_UNSUPPORTED: only a copy of it can be used.
 * SN_E_UNKNOWN_NAME: `from` has no such tensor. */
sn_status sn_weights_create(sn_weights **ret_weights, sn_error *err);
sn_status sn_weights_add_copy(sn_weights *w, const char *name, const sn_tensor *tensor,
                              sn_error *err);
sn_status sn_weights_add_view(sn_weights *w, const char *name, const sn_tensor *tensor,
                              sn_error *err);
sn_status sn_weights_add_from(sn_weights *w, const char *name, sn_weights *from,
                              const char *name_there, sn_error *err);

/* Named tensors (strided or dense) as one safetensors document, with `n_meta`
 * pairs of metadata. */
sn_status sn_tensors_write(const char *const *names, const sn_tensor *tensors, size_t n,
                           const char *const *meta_keys, const char *const *meta_values,
                           size_t n_meta, const sn_sink *sink, sn_error *err);

/* ---- what a supernet needs ------------------------------------------------ */

/* What a document is built of: operators, and the containers around them. */
typedef struct sn_module {
    const char *path;  /* prefix of its tensors: "body.blocks.0.op0" */
    const char *where; /* place in the specification: "model.layers[3]" */
    const char *type;
    int         parent;   /* index of the module it is in; -1 for the root */
    uint64_t    n_params; /* elements it owns itself, at full size */
} sn_module;

size_t           sn_supernet_n_modules(const sn_supernet *net); /* depth first, parents first */
const sn_module *sn_supernet_module(const sn_supernet *net, size_t i);

/* A tensor that the document needs, as large as the largest values make it. */
typedef struct sn_tensor_info {
    const char *name;     /* "body.0.conv.weight" */
    sn_desc     desc;     /* F32, for which F16 and BF16 are taken too, or I64 */
    size_t      module;   /* whose it is: index for sn_supernet_module() */
    bool        optional; /* may be missing: num_batches_tracked */
    bool        state;    /* a buffer that training mode updates: running_mean */
} sn_tensor_info;

/* All of them, module by module, also without weights; NULL past the end. */
size_t                sn_supernet_n_tensors(const sn_supernet *net);
const sn_tensor_info *sn_supernet_tensor(const sn_supernet *net, size_t i);

#ifdef __cplusplus
}
#endif
#endif
