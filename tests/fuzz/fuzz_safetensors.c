/* fuzz_safetensors: whatever the bytes are, a document is refused with a sentence,
 * or every byte of every tensor can be read and writing it again gives the same
 * tensors. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "supernet/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) abort();
}

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static size_t tensor_bytes(const sn_tensor *t)
{
    return (size_t)sn_shape_count(&t->shape) * sn_dtype_bytes(t->dtype);
}

static void same_tensor(const sn_tensor *a, const sn_tensor *b)
{
    require(a->dtype == b->dtype && sn_shape_equal(&a->shape, &b->shape));
    require(memcmp(a->data, b->data, tensor_bytes(a)) == 0);
}

/* Documents of many tensors are left out: writing them is no other case. */
static void write_and_compare(const sn_weights *w)
{
    enum { MANY = 64 };
    const size_t  n = sn_weights_count(w);
    const char   *name[MANY];
    sn_tensor     tensor[MANY], copy;
    struct text   doc = {0};
    const sn_sink sink = {append, &doc};
    sn_weights   *again = NULL;

    if (n > MANY) return;
    for (size_t i = 0; i < n; i++)
        name[i] = sn_weights_at(w, i, &tensor[i]);
    require(sn_tensors_write(name, tensor, n, NULL, NULL, 0, &sink, NULL) == SN_OK);
    require(sn_weights_borrow(doc.at, doc.n, "again", &again, NULL) == SN_OK);
    require(sn_weights_count(again) == n);
    for (size_t i = 0; i < n; i++) {
        require(strcmp(sn_weights_at(again, i, &copy), name[i]) == 0);
        same_tensor(&tensor[i], &copy);
    }
    sn_weights_unref(again);
    free(doc.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sn_weights *w = NULL;
    sn_error    err = {0};

    if (sn_weights_borrow(data, size, "fuzz", &w, &err) != SN_OK) {
        require(!w && err.code != SN_OK && err.text[0]);
        return 0;
    }
    require(err.code == SN_OK);
    for (size_t i = 0; i < sn_weights_count(w); i++) {
        sn_tensor         t, found;
        const char *const name = sn_weights_at(w, i, &t);

        require(name && *name && sn_weights_find(w, name, &found));
        require((uintptr_t)t.data % sn_dtype_bytes(t.dtype) == 0);
        same_tensor(&t, &found);
    }
    write_and_compare(w);
    sn_weights_unref(w);
    return 0;
}
