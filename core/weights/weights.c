/* weights: open a document, find its tensors by name.
 *
 * Tensors are views of the mapped or borrowed bytes. The format allows a tensor
 * at any offset; those that are not aligned to their element are copied once, so
 * that kernels and compilers may rely on it.
 *
 * Weights that are made in memory get their tensors one by one, as copies, as views of a caller's
 * memory or of other weights, which are then kept alive. */
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "tensor/tensor.h"
#include "weights/weights.h"

struct named_tensor {
    const char *name;
    sn_tensor   view;
};

struct sn_weights {
    atomic_size_t         n_refs;
    sn_arena             *mem;     /* names, copies, tables of what was opened */
    struct mapping       *file;    /* of sn_weights_open(); NULL: borrowed, or made */
    size_t                n_bytes; /* of the document, or of what was added */
    struct safetensors    header;
    size_t                n, cap;
    struct named_tensor **tensor;  /* in the order of the header, or as added */
    struct named_tensor **by_name; /* sorted: no choice of names makes looking up slow */
    size_t                n_sources;
    sn_weights          **source; /* that tensors were taken from */
    bool                  made;   /* tensors may be added, until it is in use */
    atomic_bool           in_use;
};

enum {
    COPY_ALIGN = 8, /* the largest element */
    TABLES_BYTES =
        64 << 20 /* names, shapes and metadata: a tensor has about 700 while it is read */
};

static bool is_aligned(const void *p, size_t n)
{
    return (uintptr_t)p % n == 0;
}

static size_t round_up(size_t n)
{
    return (n + COPY_ALIGN - 1) / COPY_ALIGN * COPY_ALIGN;
}

static const char *data_of(const void *bytes, const struct safetensors *h, size_t i)
{
    return (const char *)bytes + h->data_start + h->tensor[i].start;
}

static bool needs_copy(const void *bytes, const struct safetensors *h, size_t i)
{
    return !is_aligned(data_of(bytes, h, i), sn_dtype_bytes(h->tensor[i].desc.dtype));
}

/* Views of what is aligned, copies of the rest. */
static sn_status make_views(sn_weights *w, struct named_tensor *to, const void *bytes,
                            const char *what, sn_error *err)
{
    const struct safetensors *const h = &w->header;
    size_t                          copy_bytes = 0;
    char                           *copy = NULL;

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
            data = n > 0 ? memcpy(copy, data, n) : (const char *)to;
            if (n > 0) copy += round_up(n);
        }
        to[i].name = t->name;
        to[i].view = sn_tensor_dense(t->desc.dtype, &t->desc.shape, (void *)data);
    }
    return SN_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct named_tensor *const *)a)->name,
                  (*(const struct named_tensor *const *)b)->name);
}

static sn_weights *destroy(sn_weights *w)
{
    if (!w) return NULL;
    mapping_close(w->file);
    for (size_t i = 0; i < w->n_sources; i++)
        sn_weights_unref(w->source[i]);
    free(w->source);
    free(w->tensor);
    free(w->by_name);
    sn_arena_free(w->mem);
    free(w);
    return NULL;
}

/* Room for n tensors in both tables. */
static bool reserve(sn_weights *w, size_t n)
{
    struct named_tensor **tensor, **by_name;
    size_t                cap = w->cap ? w->cap : 16;

    while (cap < n)
        cap *= 2;
    if (cap == w->cap) return true;
    if (cap > SIZE_MAX / sizeof *tensor) return false;
    tensor = realloc(w->tensor, cap * sizeof *tensor);
    if (tensor) w->tensor = tensor;
    by_name = realloc(w->by_name, cap * sizeof *by_name);
    if (by_name) w->by_name = by_name;
    if (tensor && by_name) w->cap = cap;
    return tensor && by_name;
}

static sn_status create_empty(const char *what, sn_weights **ret_weights, sn_error *err)
{
    sn_weights *w = calloc(1, sizeof *w);

    if (w) w->mem = sn_arena_create();
    if (!w || !w->mem) {
        free(w);
        return fail_no_memory(err, what);
    }
    atomic_init(&w->n_refs, 1);
    atomic_init(&w->in_use, false);
    *ret_weights = w;
    return SN_OK;
}

static sn_status fill(sn_weights *w, const void *bytes, const char *what, sn_error *err)
{
    struct budget        budget = budget_of(NULL, NULL, TABLES_BYTES, 0);
    struct named_tensor *tensor = NULL;
    sn_status            rc = arena_limit(w->mem, &budget) ? SN_OK : SN_E_NO_MEMORY;

    if (rc == SN_OK) rc = safetensors_parse(bytes, w->n_bytes, what, w->mem, &w->header, err);
    if (rc == SN_OK) {
        w->n = w->header.n_tensors;
        tensor = arena_array(w->mem, w->n + 1, sizeof *tensor);
        if (!tensor || !reserve(w, w->n)) rc = fail_no_memory(err, what);
    }
    arena_limit(w->mem, NULL);
    rc = budget_settle(&budget, rc, err);
    if (rc != SN_OK) return rc;
    rc = make_views(w, tensor, bytes, what, err);
    if (rc != SN_OK) return rc;
    for (size_t i = 0; i < w->n; i++)
        w->tensor[i] = w->by_name[i] = &tensor[i];
    qsort(w->by_name, w->n, sizeof *w->by_name, compare_names);
    return SN_OK;
}

static sn_status create(const void *bytes, size_t n_bytes, const char *what,
                        sn_weights **ret_weights, sn_error *err)
{
    sn_weights *w = NULL;
    sn_status   rc = create_empty(what, &w, err);

    if (rc != SN_OK) return rc;
    w->n_bytes = n_bytes;
    rc = fill(w, bytes, what, err);
    if (rc == SN_OK)
        *ret_weights = w;
    else
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

SN_EXPORT sn_status sn_weights_open_fd(int fd, const char *path, const sn_weights_options *options,
                                       sn_weights **ret_weights, sn_error *err)
{
    struct mapping    *file = NULL;
    sn_weights_options o;
    sn_status          rc;

    options_read(&o, sizeof o, options);
    rc = mapping_open_fd(fd, path, &o, &file, err);
    return rc == SN_OK ? create_over(file, path, ret_weights, err) : rc;
}

SN_EXPORT sn_status sn_weights_borrow(const void *bytes, size_t n_bytes, const char *what,
                                      sn_weights **ret_weights, sn_error *err)
{
    return create(bytes, n_bytes, what ? what : "", ret_weights, err);
}

/* ---- made in memory ------------------------------------------------------------------- */

SN_EXPORT sn_status sn_weights_create(sn_weights **ret_weights, sn_error *err)
{
    const sn_status rc = create_empty("weights", ret_weights, err);

    if (rc == SN_OK) (*ret_weights)->made = true;
    return rc;
}

/* Where `name` stands, or would stand, among the sorted ones. */
static bool find_place(const sn_weights *w, const char *name, size_t *ret_i)
{
    size_t from = 0, to = w->n;

    while (from < to) {
        const size_t i = from + (to - from) / 2;
        const int    c = strcmp(name, w->by_name[i]->name);

        if (c == 0) {
            *ret_i = i;
            return true;
        }
        if (c < 0)
            to = i;
        else
            from = i + 1;
    }
    *ret_i = from;
    return false;
}

static sn_status check_new(const sn_weights *w, const char *name, const sn_tensor *t, sn_error *err)
{
    char          shape[192];
    const int64_t n =
        t->shape.rank >= 0 && t->shape.rank <= SN_MAX_RANK ? sn_shape_count(&t->shape) : -1;
    size_t at;

    if (!w->made || atomic_load(&w->in_use))
        return sn_fail(err, SN_E_INVALID, name,
                       w->made ? "these weights are in use by a supernet: nothing can be added"
                               : "these weights are a file's, or borrowed: nothing can be added");
    if (!*name) return sn_fail(err, SN_E_INVALID, "weights", "a tensor has an empty name");
    if (find_place(w, name, &at))
        return sn_fail(err, SN_E_INVALID, name, "there is a tensor \"%s\" already", name);
    if (sn_dtype_bytes(t->dtype) == 0)
        return sn_fail(err, SN_E_DTYPE, name, "the tensor \"%s\" has no element type", name);
    if (n < 0 || n > (INT64_MAX - SN_ALIGN_BYTES) / 8)
        return sn_fail(err, SN_E_SHAPE, name, "the tensor \"%s\" cannot have the shape %s", name,
                       t->shape.rank >= 0 && t->shape.rank <= SN_MAX_RANK
                           ? sn_shape_text(&t->shape, shape, sizeof shape)
                           : "of a rank beyond 0 to 8");
    if (!t->data && n > 0)
        return sn_fail(err, SN_E_INVALID, name, "the tensor \"%s\" has no data", name);
    return SN_OK;
}

/* A checked tensor into both tables. */
static sn_status insert(sn_weights *w, const char *name, const sn_tensor *view, sn_error *err)
{
    struct named_tensor *t = ARENA_NEW(w->mem, struct named_tensor);
    size_t               at;

    if (t) t->name = arena_strdup(w->mem, name);
    if (!t || !t->name || !reserve(w, w->n + 1)) return fail_no_memory(err, name);
    t->view = *view;
    find_place(w, name, &at);
    memmove(w->by_name + at + 1, w->by_name + at, (w->n - at) * sizeof *w->by_name);
    w->by_name[at] = w->tensor[w->n++] = t;
    w->n_bytes += (size_t)sn_shape_count(&view->shape) * sn_dtype_bytes(view->dtype);
    return SN_OK;
}

SN_EXPORT sn_status sn_weights_add_copy(sn_weights *w, const char *name, const sn_tensor *t,
                                        sn_error *err)
{
    sn_status rc = check_new(w, name, t, err);
    sn_tensor copy;
    size_t    n_bytes;
    char     *data;

    if (rc != SN_OK) return rc;
    n_bytes = (size_t)sn_shape_count(&t->shape) * sn_dtype_bytes(t->dtype);
    data = sn_arena_alloc(w->mem, n_bytes + SN_ALIGN_BYTES);
    if (!data) return fail_no_memory(err, name);
    data += -(uintptr_t)data & (SN_ALIGN_BYTES - 1);
    copy = sn_tensor_dense(t->dtype, &t->shape, data);
    tensor_copy(t, &copy);
    return insert(w, name, &copy, err);
}

SN_EXPORT sn_status sn_weights_add_view(sn_weights *w, const char *name, const sn_tensor *t,
                                        sn_error *err)
{
    sn_status rc = check_new(w, name, t, err);

    if (rc != SN_OK) return rc;
    if (!sn_tensor_is_dense(t) || !is_aligned(t->data, sn_dtype_bytes(t->dtype)))
        return sn_fail(err, SN_E_UNSUPPORTED, name,
                       "the tensor \"%s\" is strided or not aligned to its element: only a copy of "
                       "it can be used",
                       name);
    return insert(w, name, t, err);
}

static sn_status keep_source(sn_weights *w, sn_weights *from, sn_error *err)
{
    sn_weights **list;

    for (size_t i = 0; i < w->n_sources; i++)
        if (w->source[i] == from) return SN_OK;
    list = realloc(w->source, (w->n_sources + 1) * sizeof *list);
    if (!list) return fail_no_memory(err, "weights");
    w->source = list;
    w->source[w->n_sources++] = sn_weights_ref(from);
    return SN_OK;
}

SN_EXPORT sn_status sn_weights_add_from(sn_weights *w, const char *name, sn_weights *from,
                                        const char *name_there, sn_error *err)
{
    sn_tensor t;
    sn_status rc;

    if (from == w)
        return sn_fail(err, SN_E_INVALID, name, "weights cannot take tensors from themselves");
    if (!sn_weights_find(from, name_there, &t))
        return sn_fail(err, SN_E_UNKNOWN_NAME, name, "there is no tensor \"%s\" to take",
                       name_there);
    rc = check_new(w, name, &t, err);
    if (rc == SN_OK) rc = keep_source(w, from, err);
    if (rc != SN_OK) return rc;
    atomic_store(&from->in_use, true); /* or it could take from this one, in a circle */
    return insert(w, name, &t, err);
}

void weights_use(sn_weights *w)
{
    if (w) atomic_store(&w->in_use, true);
}

/* ---- what there is ---------------------------------------------------------------------- */

SN_EXPORT size_t sn_weights_count(const sn_weights *w)
{
    return w->n;
}

SN_EXPORT const char *sn_weights_at(const sn_weights *w, size_t i, sn_tensor *ret_tensor)
{
    if (i >= w->n) return NULL;
    *ret_tensor = w->tensor[i]->view;
    return w->tensor[i]->name;
}

SN_EXPORT bool sn_weights_find(const sn_weights *w, const char *name, sn_tensor *ret_tensor)
{
    size_t i;

    if (!find_place(w, name, &i)) return false;
    *ret_tensor = w->by_name[i]->view;
    return true;
}

bool weights_has_prefix(const sn_weights *w, const char *prefix)
{
    size_t i;

    find_place(w, prefix, &i); /* the first name that is not less */
    return i < w->n && strncmp(w->by_name[i]->name, prefix, strlen(prefix)) == 0;
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
    for (size_t i = 0; i < w->n_sources; i++)
        weights_release(w->source[i], at, n_bytes);
}

SN_EXPORT sn_status sn_weights_check(const sn_weights *w, sn_error *err)
{
    sn_status rc = w ? mapping_check(w->file, err) : SN_OK;

    for (size_t i = 0; rc == SN_OK && w && i < w->n_sources; i++)
        rc = sn_weights_check(w->source[i], err);
    return rc;
}

SN_EXPORT bool sn_weights_is_changed(const sn_weights *w)
{
    bool changed = w && mapping_is_changed(w->file);

    for (size_t i = 0; !changed && w && i < w->n_sources; i++)
        changed = sn_weights_is_changed(w->source[i]);
    return changed;
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
