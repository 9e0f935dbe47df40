/* weights: open a document, find its tensors by name.
 *
 * Tensors are views of the mapped or borrowed bytes. The format allows a tensor
 * at any offset; those that are not aligned to their element are copied once, so
 * that kernels and compilers may rely on it. */
#include <stdlib.h>
#include <string.h>

#include "tensor/tensor.h"
#include "weights/weights.h"

struct named_tensor {
    const char *name;
    sn_tensor   view;
};

struct sn_weights {
    atomic_size_t         n_refs;
    sn_arena             *mem;     /* everything below but the mapping, and this struct's tables */
    struct mapping       *file;    /* of sn_weights_open(); NULL: borrowed */
    size_t                n_bytes; /* of the document */
    struct weights_header header;
    struct named_tensor  *tensor;  /* in the order of the header */
    struct named_tensor **by_name; /* sorted: no choice of names makes looking up slow */
};

enum { COPY_ALIGN = 8 }; /* the largest element */

static bool is_aligned(const void *p, size_t n)
{
    return (uintptr_t)p % n == 0;
}

static size_t round_up(size_t n)
{
    return (n + COPY_ALIGN - 1) / COPY_ALIGN * COPY_ALIGN;
}

static const char *data_of(const void *bytes, const struct weights_header *h, size_t i)
{
    return (const char *)bytes + h->data_start + h->tensor[i].start;
}

static bool needs_copy(const void *bytes, const struct weights_header *h, size_t i)
{
    return !is_aligned(data_of(bytes, h, i), sn_dtype_bytes(h->tensor[i].desc.dtype));
}

/* Views of what is aligned, copies of the rest. */
static sn_status make_views(sn_weights *w, const void *bytes, const char *what, sn_error *err)
{
    const struct weights_header *const h = &w->header;
    size_t                             copy_bytes = 0;
    char                              *copy = NULL;

    for (size_t i = 0; i < h->n_tensors; i++) /* no overflow: the data is in memory, once */
        if (needs_copy(bytes, h, i)) copy_bytes += round_up(h->tensor[i].stop - h->tensor[i].start);
    if (copy_bytes > 0) {
        copy = sn_arena_alloc(w->mem, copy_bytes);
        if (!copy) return fail_no_memory(err, what);
    }
    for (size_t i = 0; i < h->n_tensors; i++) {
        const struct tensor_entry *const t = &h->tensor[i];
        const char                      *data = data_of(bytes, h, i);
        const size_t                     n = t->stop - t->start;

        if (needs_copy(bytes, h, i)) {
            /* An empty tensor has nothing to copy, but its address must be aligned, too. */
            data = n > 0 ? memcpy(copy, data, n) : (const char *)w->tensor;
            copy += round_up(n);
        }
        w->tensor[i].name = t->name;
        w->tensor[i].view = sn_tensor_dense(t->desc.dtype, &t->desc.shape, (void *)data);
    }
    return SN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct named_tensor *const *)a)->name,
                  (*(const struct named_tensor *const *)b)->name);
}

static int compare_key(const void *key, const void *element)
{
    return strcmp(key, (*(const struct named_tensor *const *)element)->name);
}

static sn_weights *destroy(sn_weights *w)
{
    if (!w) return NULL;
    mapping_close(w->file);
    sn_arena_free(w->mem);
    free(w);
    return NULL;
}

static sn_status create(const void *bytes, size_t n_bytes, const char *what,
                        sn_weights **ret_weights, sn_error *err)
{
    sn_weights *w = calloc(1, sizeof *w);
    sn_status   rc;

    if (!w) return fail_no_memory(err, what);
    atomic_init(&w->n_refs, 1);
    w->n_bytes = n_bytes;
    w->mem = sn_arena_create();
    if (!w->mem) {
        rc = fail_no_memory(err, what);
        goto out;
    }
    rc = header_parse(bytes, n_bytes, what, w->mem, &w->header, err);
    if (rc != SN_OK) goto out;

    w->tensor = arena_array(w->mem, w->header.n_tensors, sizeof *w->tensor);
    w->by_name = arena_array(w->mem, w->header.n_tensors, sizeof(struct named_tensor *));
    if (!w->tensor || !w->by_name) {
        rc = fail_no_memory(err, what);
        goto out;
    }
    rc = make_views(w, bytes, what, err);
    if (rc != SN_OK) goto out;
    for (size_t i = 0; i < w->header.n_tensors; i++)
        w->by_name[i] = &w->tensor[i];
    qsort(w->by_name, w->header.n_tensors, sizeof(struct named_tensor *), compare_names);

    *ret_weights = w;
    w = NULL;
out:
    destroy(w);
    return rc;
}

/* Takes `file`. */
static sn_status create_over(struct mapping *file, const char *path, sn_weights **ret_weights,
                             sn_error *err)
{
    sn_weights *w = NULL;
    sn_error    why = {0};
    size_t      n_bytes;
    const void *bytes = mapping_bytes(file, &n_bytes);
    sn_status   rc = create(bytes, n_bytes, path, &w, &why);

    /* What was wrong with zeros that stand for lost pages does not matter. */
    if (mapping_check(file, err) != SN_OK)
        rc = SN_E_CHANGED;
    else if (rc != SN_OK)
        rc = sn_fail(err, rc, why.where, "%s", why.text);
    if (rc != SN_OK) {
        destroy(w);
        mapping_close(file);
        return rc;
    }
    w->file = file;
    *ret_weights = w;
    return SN_OK;
}

SN_EXPORT sn_status sn_weights_open(const char *path, sn_weights **ret_weights, sn_error *err)
{
    struct mapping *file = NULL;
    sn_status       rc = mapping_open(path, &file, err);

    return rc == SN_OK ? create_over(file, path, ret_weights, err) : rc;
}

SN_EXPORT sn_status sn_weights_open_fd(int fd, const char *path, sn_weights_mode mode,
                                       sn_weights **ret_weights, sn_error *err)
{
    struct mapping *file = NULL;
    sn_status       rc = mapping_open_fd(fd, path, mode == SN_WEIGHTS_COPY, &file, err);

    return rc == SN_OK ? create_over(file, path, ret_weights, err) : rc;
}

SN_EXPORT sn_status sn_weights_borrow(const void *bytes, size_t n_bytes, const char *what,
                                      sn_weights **ret_weights, sn_error *err)
{
    return create(bytes, n_bytes, what ? what : "", ret_weights, err);
}

SN_EXPORT size_t sn_weights_count(const sn_weights *w)
{
    return w->header.n_tensors;
}

SN_EXPORT const char *sn_weights_at(const sn_weights *w, size_t i, sn_tensor *ret_tensor)
{
    if (i >= w->header.n_tensors) return NULL;
    *ret_tensor = w->tensor[i].view;
    return w->tensor[i].name;
}

SN_EXPORT bool sn_weights_find(const sn_weights *w, const char *name, sn_tensor *ret_tensor)
{
    struct named_tensor **found =
        bsearch(name, w->by_name, w->header.n_tensors, sizeof(struct named_tensor *), compare_key);

    if (!found) return false;
    *ret_tensor = (*found)->view;
    return true;
}

bool weights_has_prefix(const sn_weights *w, const char *prefix)
{
    size_t low = 0, high = w->header.n_tensors;

    while (low < high) { /* the first name that is not less */
        const size_t middle = low + (high - low) / 2;

        if (strcmp(w->by_name[middle]->name, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->header.n_tensors &&
           strncmp(w->by_name[low]->name, prefix, strlen(prefix)) == 0;
}

SN_EXPORT const char *sn_weights_metadata(const sn_weights *w, const char *key)
{
    for (size_t i = 0; i < w->header.n_metadata; i++)
        if (strcmp(w->header.metadata[i].key, key) == 0) return w->header.metadata[i].text;
    return NULL;
}

SN_EXPORT const char *sn_weights_metadata_at(const sn_weights *w, size_t i, const char **ret_text)
{
    if (i >= w->header.n_metadata) return NULL;
    *ret_text = w->header.metadata[i].text;
    return w->header.metadata[i].key;
}

SN_EXPORT size_t sn_weights_bytes(const sn_weights *w)
{
    return w->n_bytes;
}

void weights_release(const sn_weights *w, const void *at, size_t n_bytes)
{
    mapping_release(w->file, at, n_bytes);
}

SN_EXPORT sn_status sn_weights_check(const sn_weights *w, sn_error *err)
{
    return w ? mapping_check(w->file, err) : SN_OK;
}

SN_EXPORT bool sn_weights_is_changed(const sn_weights *w)
{
    return w && mapping_is_changed(w->file);
}

SN_EXPORT sn_weights *sn_weights_ref(sn_weights *w)
{
    ref_take(&w->n_refs);
    return w;
}

SN_EXPORT sn_weights *sn_weights_unref(sn_weights *w)
{
    if (w && ref_drop(&w->n_refs)) destroy(w);
    return NULL;
}
