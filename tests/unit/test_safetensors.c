/* safetensors: every way a document can be wrong has its sentence, and what the
 * writer writes the reader reads. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "supernet/host.h"
#include "supernet/op.h"
#include "support/alloc.h"

#define F32_3(name, from, to)                                                                      \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[" from "," to "]}"

/* A header and so many bytes of data are refused with this sentence. `where` is
 * what follows the name of the document. */
static const struct {
    const char *name, *header;
    size_t      data_bytes;
    sn_status   status;
    const char *where, *text;
} wrong[] = {
    /* the header as a whole */
    {"no object", "[]", 0, SN_E_SYNTAX, "", "the header does not start with \"{\""},
    {"blanks first", " {}", 0, SN_E_SYNTAX, "", "the header does not start with \"{\""},
    {"an empty header", "", 0, SN_E_SYNTAX, "", "the header does not start with \"{\""},
    {"cut JSON", "{\"a\":", 0, SN_E_SYNTAX, ", header",
     "line 1, column 6: expected '{', but the text ends"},
    {"two documents", "{}{}", 0, SN_E_SYNTAX, ", header",
     "line 1, column 3: expected nothing more, found '{'"},
    {"a tensor twice", "{" F32_3("a", "0", "12") "," F32_3("a", "12", "24") "}", 24, SN_E_SYNTAX,
     "", "tensor \"a\": is there twice"},
    {"no UTF-8", "{\"\xff\":1}", 0, SN_E_SYNTAX, ", header",
     "line 1, column 3: byte 0xff is not UTF-8"},

    /* one tensor */
    {"no name", "{" F32_3("", "0", "12") "}", 12, SN_E_SYNTAX, "", "a tensor has an empty name"},
    {"a tensor that is a number", "{\"a\":1}", 0, SN_E_SYNTAX, "",
     "tensor \"a\": must be an object, not the number 1"},
    {"a strange member", "{\"a\":{\"dtype\":\"F32\",\"shap\":[3],\"data_offsets\":[0,12]}}", 12,
     SN_E_INVALID, ", tensor \"a\"", "there is no member \"shap\"; did you mean \"shape\"?"},
    {"no type", "{\"a\":{\"shape\":[3],\"data_offsets\":[0,12]}}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": \"dtype\" is missing"},
    {"a type that is a number", "{\"a\":{\"dtype\":4,\"shape\":[3],\"data_offsets\":[0,12]}}", 12,
     SN_E_SYNTAX, "", "tensor \"a\": \"dtype\" must be a text, not the number 4"},
    {"a type nobody knows", "{\"a\":{\"dtype\":\"float32\",\"shape\":[3],\"data_offsets\":[0,12]}}",
     12, SN_E_SYNTAX, "",
     "tensor \"a\": \"float32\" is not an element type; known are F32, F16, BF16, F64, I64, I32, "
     "I16, I8, U8, BOOL"},
    {"a type we cannot use", "{\"a\":{\"dtype\":\"F8_E5M2\",\"shape\":[3],\"data_offsets\":[0,3]}}",
     3, SN_E_UNSUPPORTED, "",
     "tensor \"a\": elements of type F8_E5M2 are not supported; supported are F32, F16, BF16, F64, "
     "I64, I32, I16, I8, U8, BOOL"},
    {"no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,12]}}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": \"shape\" is missing"},
    {"a shape that is a number", "{\"a\":{\"dtype\":\"F32\",\"shape\":3,\"data_offsets\":[0,12]}}",
     12, SN_E_SYNTAX, "", "tensor \"a\": \"shape\" must be an array, not the number 3"},
    {"a negative dimension", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-3],\"data_offsets\":[0,12]}}",
     12, SN_E_SYNTAX, "",
     "tensor \"a\": \"shape\" must hold integers from 0 on, not the number -3"},
    {"a broken dimension", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3.0],\"data_offsets\":[0,12]}}",
     12, SN_E_SYNTAX, "",
     "tensor \"a\": \"shape\" must hold integers from 0 on, not the number 3.0"},
    {"nine dimensions",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
     SN_E_UNSUPPORTED, "", "tensor \"a\": has more than 8 dimensions, as many as are supported"},
    {"more elements than can be counted",
     "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
     SN_E_SYNTAX, "",
     "tensor \"a\": shape [4294967296, 4294967296] has too many elements to count"},
    {"more bytes than can be counted",
     "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
     SN_E_SYNTAX, "", "tensor \"a\": shape [4611686018427387904] has too many elements to count"},
    {"no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3]}}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": \"data_offsets\" is missing"},
    {"one offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0]}}", 12,
     SN_E_SYNTAX, "", "tensor \"a\": \"data_offsets\" must be [start, end], not 1 numbers"},
    {"three offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12,12]}}", 12,
     SN_E_SYNTAX, "", "tensor \"a\": \"data_offsets\" must be [start, end], not 3 numbers or more"},
    {"a negative offset", "{" F32_3("a", "-4", "8") "}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": \"data_offsets\" must hold integers from 0 on, not the number -4"},
    {"an offset in quotes", "{" F32_3("a", "\"0\"", "12") "}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": \"data_offsets\" must hold integers from 0 on, not the text \"0\""},
    {"offsets that run backwards", "{" F32_3("a", "12", "0") "}", 12, SN_E_SYNTAX, "",
     "tensor \"a\": data_offsets [12, 0] run backwards"},
    {"offsets that leave the data", "{" F32_3("a", "0", "12") "}", 11, SN_E_SYNTAX, "",
     "tensor \"a\": data_offsets [0, 12] leave the data, which has 11 bytes"},
    {"huge offsets", "{" F32_3("a", "9223372036854775795", "9223372036854775807") "}", 12,
     SN_E_SYNTAX, "",
     "tensor \"a\": data_offsets [9223372036854775795, 9223372036854775807] leave the data, "
     "which has 12 bytes"},
    {"too few bytes for the shape", "{" F32_3("a", "0", "8") "}", 8, SN_E_SYNTAX, "",
     "tensor \"a\": F32 of shape [3] takes 12 bytes, but data_offsets [0, 8] are 8"},

    /* tensors together */
    {"a tensor on top of another", "{" F32_3("a", "0", "12") "," F32_3("b", "8", "20") "}", 20,
     SN_E_SYNTAX, "", "tensor \"b\": data_offsets [8, 20] overlap those of \"a\", [0, 12]"},
    {"the same bytes twice", "{" F32_3("a", "0", "12") "," F32_3("b", "0", "12") "}", 12,
     SN_E_SYNTAX, "", NULL},
    {"an empty tensor inside another",
     "{" F32_3("a", "0", "12") ",\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
     12, SN_E_SYNTAX, "", "tensor \"b\": data_offsets [4, 4] overlap those of \"a\", [0, 12]"},
    {"a gap", "{" F32_3("b", "16", "28") "," F32_3("a", "0", "12") "}", 28, SN_E_SYNTAX, "",
     "tensor \"b\": starts at byte 16, but the 4 bytes before it belong to no tensor"},
    {"a gap at the start", "{" F32_3("a", "4", "16") "}", 16, SN_E_SYNTAX, "",
     "tensor \"a\": starts at byte 4, but the 4 bytes before it belong to no tensor"},
    {"bytes behind the last", "{" F32_3("a", "0", "12") "}", 17, SN_E_SYNTAX, "",
     "the last 5 of 17 data bytes belong to no tensor"},
    {"data of nobody", "{}", 1, SN_E_SYNTAX, "", "the last 1 of 1 data bytes belong to no tensor"},

    /* metadata */
    {"metadata that is a text", "{\"__metadata__\":\"x\"}", 0, SN_E_SYNTAX, "",
     "__metadata__ must be an object, not the text \"x\""},
    {"metadata with a number", "{\"__metadata__\":{\"step\":7}}", 0, SN_E_SYNTAX, "",
     "__metadata__: \"step\" must be a text, not the number 7"},
};

/* A document in memory that ends where it ends: the sanitizer sees a byte too far. */
struct document {
    unsigned char *bytes;
    size_t         n_bytes;
};

static struct document build(const char *header, size_t data_bytes)
{
    const size_t    length = strlen(header);
    struct document d = {.n_bytes = 8 + length + data_bytes};

    d.bytes = malloc(d.n_bytes);
    assert_non_null(d.bytes);
    for (int i = 0; i < 8; i++)
        d.bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(d.bytes + 8, header, length);
    for (size_t i = 0; i < data_bytes; i++)
        d.bytes[8 + length + i] = (unsigned char)(i + 1);
    return d;
}

/* Bytes that are there, but nobody has written: each kind is called by its name. */
static void padding_of_nul_bytes_is_called_that(void **state)
{
    static const char spaces[] = "{" F32_3("a", "0", "12") "}  ";
    static const struct {
        size_t length, first, end, more; /* of the header; its bytes that become NUL; of data */
        const char *text;
    } row[] = {
        {sizeof spaces - 1, 0, 0, 0, NULL}, /* as it should be */
        {sizeof spaces - 1, sizeof spaces - 3, sizeof spaces - 1, 0,
         "the last 2 of 57 bytes of the header are NUL; what pads it is spaces"},
        {sizeof spaces - 1, 0, 0, 5,
         "the last 5 of 17 data bytes belong to no tensor; all are NUL: is the file padded?"},
        {0, 0, sizeof spaces - 1, 0,
         "the file begins with NUL bytes where safetensors have a length and a header: was it "
         "written to the end?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        unsigned char bytes[128] = {0};
        sn_weights   *w = NULL;
        sn_error      err = {0};

        bytes[0] = (unsigned char)row[i].length;
        memcpy(bytes + 8, spaces, sizeof spaces - 1);
        memset(bytes + 8 + row[i].first, 0, row[i].end - row[i].first);
        if (sn_weights_borrow(bytes, 8 + sizeof spaces - 1 + 12 + row[i].more, "file", &w, &err) ==
            SN_OK)
            assert_null(row[i].text);
        else
            assert_string_equal(err.text, row[i].text ? row[i].text : "");
        sn_weights_unref(w);
    }
}

static void check_wrong(void **state)
{
    const size_t    i = (size_t)*state;
    struct document d = build(wrong[i].header, wrong[i].data_bytes);
    sn_weights     *w = NULL;
    sn_error        err = {0};
    char            where[300];

    snprintf(where, sizeof where, "body%s", wrong[i].where);
    assert_int_equal(sn_weights_borrow(d.bytes, d.n_bytes, "body", &w, &err), wrong[i].status);
    assert_null(w);
    assert_int_equal(err.code, wrong[i].status);
    assert_string_equal(err.where, where);
    if (wrong[i].text) /* which of two equal ones comes first is nobody's promise */
        assert_string_equal(err.text, wrong[i].text);
    else
        assert_non_null(strstr(err.text, "data_offsets [0, 12] overlap those of"));
    free(d.bytes);
}

/* What comes before the header. */
static void lengths_are_checked(void **state)
{
    static const struct {
        const char *bytes;
        size_t      n_bytes;
        const char *text;
    } row[] = {
        {"", 0, "0 bytes are too few for safetensors, which start with a length of 8"},
        {"\2\0\0\0\0\0\0", 7,
         "7 bytes are too few for safetensors, which start with a length of 8"},
        {"\0\0\0\0\0\0\0\0", 8, "the header does not start with \"{\""},
        {"\3\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes is announced, but only 2 follow"},
        {"\377\377\377\377\377\377\377\377{}", 10,
         "a header of 18446744073709551615 bytes is announced, allowed are 100000000: is this a "
         "safetensors document?"},
        {"\1\341\365\5\0\0\0\0{}", 10,
         "a header of 100000001 bytes is announced, allowed are 100000000: is this a safetensors "
         "document?"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(row); i++) {
        sn_weights *w = NULL;
        sn_error    err = {0};

        assert_int_equal(sn_weights_borrow(row[i].bytes, row[i].n_bytes, "body", &w, &err),
                         SN_E_SYNTAX);
        assert_null(w);
        assert_string_equal(err.text, row[i].text);
    }
}

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\xc3\xa9\"},"
    "\"z.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[3,27]},"
    "\"flags\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]},"
    "\"none\":{\"dtype\":\"F64\",\"shape\":[4,0],\"data_offsets\":[27,27]},"
    "\"steps\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[27,35]}}  \n ";

/* Wherever the document lies in memory, every view is aligned and right. */
static void views_are_aligned(void **state)
{
    struct document d = build(good, 35);
    unsigned char   want[35];

    (void)state;
    for (size_t i = 0; i < sizeof want; i++)
        want[i] = (unsigned char)(i + 1);
    for (size_t shift = 0; shift < 9; shift++) {
        unsigned char *const at = malloc(d.n_bytes + shift);
        sn_weights          *w = NULL;
        sn_error             err = {0};
        sn_tensor            t;
        const char          *text;

        memcpy(at + shift, d.bytes, d.n_bytes);
        assert_int_equal(sn_weights_borrow(at + shift, d.n_bytes, "body", &w, &err), SN_OK);
        assert_int_equal(sn_weights_count(w), 4);
        assert_int_equal(sn_weights_bytes(w), d.n_bytes);
        assert_string_equal(sn_weights_at(w, 0, &t), "z.weight");
        assert_string_equal(sn_weights_at(w, 3, &t), "steps");
        assert_int_equal(t.shape.rank, 0);
        assert_memory_equal(t.data, want + 27, 8);
        assert_null(sn_weights_at(w, 4, &t));
        for (size_t i = 0; i < sn_weights_count(w); i++) {
            assert_non_null(sn_weights_at(w, i, &t));
            assert_non_null(t.data);
            assert_int_equal((uintptr_t)t.data % sn_dtype_bytes(t.dtype), 0);
        }
        assert_true(sn_weights_find(w, "z.weight", &t));
        assert_int_equal(t.dtype, SN_F32);
        assert_int_equal(t.shape.dim[1], 3);
        assert_true(sn_tensor_is_dense(&t));
        assert_memory_equal(t.data, want + 3, 24);
        assert_true(sn_weights_find(w, "flags", &t));
        assert_memory_equal(t.data, want, 3);
        assert_true(sn_weights_find(w, "none", &t));
        assert_false(sn_weights_find(w, "z.weigh", &t));
        assert_false(sn_weights_find(w, "__metadata__", &t));
        assert_string_equal(sn_weights_metadata(w, "format"), "pt");
        assert_string_equal(sn_weights_metadata(w, "note"), "\xc3\xa9");
        assert_null(sn_weights_metadata(w, "z.weight"));
        assert_string_equal(sn_weights_metadata_at(w, 0, &text), "format");
        assert_string_equal(text, "pt");
        assert_string_equal(sn_weights_metadata_at(w, 1, &text), "note");
        assert_null(sn_weights_metadata_at(w, 2, &text));
        assert_ptr_equal(sn_weights_ref(w), w);
        assert_null(sn_weights_unref(w));
        assert_int_equal(sn_weights_count(w), 4); /* one owner is left */
        assert_null(sn_weights_unref(w));
        free(at);
    }
    assert_null(sn_weights_unref(NULL));
    free(d.bytes);
}

static void aligned_data_is_not_copied(void **state)
{
    struct document d = build("{" F32_3("a", "0", "12") "}     ", 12);
    sn_weights     *w = NULL;
    sn_tensor       t;

    (void)state;
    assert_int_equal((d.n_bytes - 12) % 4, 0);
    assert_int_equal(sn_weights_borrow(d.bytes, d.n_bytes, "body", &w, NULL), SN_OK);
    assert_true(sn_weights_find(w, "a", &t));
    assert_ptr_equal(t.data, d.bytes + d.n_bytes - 12);
    sn_weights_unref(w);
    free(d.bytes);
}

/* ---- files ---- */

static void files_are_mapped(void **state)
{
    char            path[] = "/tmp/test_safetensors.XXXXXX", pipe_path[64];
    const int       fd = mkstemp(path);
    struct document d = build(good, 35);
    sn_weights     *w = NULL;
    sn_error        err = {0};
    sn_tensor       t;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, d.bytes, d.n_bytes), d.n_bytes);
    assert_int_equal(sn_weights_open(path, &w, &err), SN_OK);
    assert_int_equal(unlink(path), 0); /* replaced by rename: the mapping stays */
    assert_true(sn_weights_find(w, "z.weight", &t));
    assert_int_equal(*(unsigned char *)t.data, 4);
    w = sn_weights_unref(w);
    free(d.bytes);
    close(fd);

    assert_int_equal(sn_weights_open(path, &w, &err), SN_E_IO);
    assert_string_equal(err.where, path);
    assert_string_equal(err.text, "cannot be opened: No such file or directory");
    err = (sn_error){0};
    assert_int_equal(sn_weights_open("/tmp", &w, &err), SN_E_IO);
    assert_string_equal(err.text, "is not a regular file");
    err = (sn_error){0};
    snprintf(pipe_path, sizeof pipe_path, "%s.pipe", path);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(sn_weights_open(pipe_path, &w, &err), SN_E_IO); /* and does not wait */
    assert_string_equal(err.text, "is not a regular file");
    unlink(pipe_path);
    err = (sn_error){0};
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(sn_weights_open(path, &w, &err), SN_E_SYNTAX);
    assert_string_equal(err.text,
                        "0 bytes are too few for safetensors, which start with a length of 8");
    unlink(path);
    assert_null(w);
}

/* ---- writing ---- */

static int append(void *cls, const void *bytes, size_t n_bytes)
{
    text_add(cls, bytes, n_bytes);
    return 0;
}

static void written_tensors_are_read(void **state)
{
    enum { ROWS = 300, COLUMNS = 40 };
    static float             big[ROWS * COLUMNS];
    static const char *const name[] = {"b\"ig", "bytes", "empty", "scalar", "turned", "\xc3\xa9"};
    static const char *const key[] = {"choices", "note"}, *const value[] = {"{\"k\": 3}", ""};
    uint8_t        bytes[] = {1, 2, 3};
    int64_t        scalar = -7;
    sn_tensor      t[COUNT(name)], got;
    struct text    doc = {0};
    const sn_sink  sink = {append, &doc};
    sn_weights    *w = NULL;
    sn_error       err = {0};
    const sn_slice part = {2, {{1, {{10, 290}}}, {1, {{5, 38}}}}};

    (void)state;
    for (int i = 0; i < ROWS * COLUMNS; i++)
        big[i] = (float)i;
    t[0] = sn_tensor_dense(SN_F32, &(sn_shape){2, {ROWS, COLUMNS}}, big);
    t[4] = t[0];
    t[4].shape = (sn_shape){3, {1, COLUMNS, ROWS}}; /* x[0, i, j] = big[j, i] */
    t[4].stride[0] = 0, t[4].stride[1] = 1, t[4].stride[2] = COLUMNS;
    t[5] = t[0];
    t[5].shape = (sn_shape){1, {ROWS * COLUMNS / 2}}; /* every second element */
    t[5].stride[0] = 2;
    assert_int_equal(sn_tensor_slice(&t[0], &part, &t[0], &err), SN_OK);
    t[1] = sn_tensor_dense(SN_U8, &(sn_shape){1, {3}}, bytes);
    t[2] = sn_tensor_dense(SN_F16, &(sn_shape){2, {0, 5}}, NULL);
    t[3] = sn_tensor_dense(SN_I64, &(sn_shape){0, {0}}, &scalar);

    assert_int_equal(sn_tensors_write(name, t, COUNT(name), key, value, 2, &sink, &err), SN_OK);
    assert_false(doc.failed);
    assert_int_equal(doc.at[0] % 8, 0); /* the data starts aligned */
    assert_int_equal(sn_weights_borrow(doc.at, doc.n, "body", &w, &err), SN_OK);
    assert_int_equal(sn_weights_count(w), COUNT(name));
    for (size_t i = 0; i < COUNT(name); i++) {
        assert_string_equal(sn_weights_at(w, i, &got), name[i]);
        assert_int_equal(got.dtype, t[i].dtype);
        assert_true(sn_shape_equal(&got.shape, &t[i].shape));
    }
    sn_weights_at(w, 0, &got);
    for (int i = 0; i < 280; i++)
        for (int j = 0; j < 33; j++)
            assert_true(((float *)got.data)[i * 33 + j] == big[(i + 10) * COLUMNS + j + 5]);
    sn_weights_at(w, 1, &got);
    assert_memory_equal(got.data, bytes, 3);
    sn_weights_at(w, 3, &got);
    assert_true(*(int64_t *)got.data == -7);
    sn_weights_at(w, 4, &got);
    for (int i = 0; i < COLUMNS; i++)
        for (int j = 0; j < ROWS; j++)
            assert_true(((float *)got.data)[i * ROWS + j] == big[j * COLUMNS + i]);
    sn_weights_at(w, 5, &got);
    for (int i = 0; i < ROWS * COLUMNS / 2; i++)
        assert_true(((float *)got.data)[i] == big[2 * i]);
    assert_string_equal(sn_weights_metadata(w, "choices"), "{\"k\": 3}");
    assert_string_equal(sn_weights_metadata(w, "note"), "");
    sn_weights_unref(w);
    free(doc.at);

    doc = (struct text){0}; /* nothing at all is a document, too */
    assert_int_equal(sn_tensors_write(NULL, NULL, 0, NULL, NULL, 0, &sink, &err), SN_OK);
    assert_int_equal(sn_weights_borrow(doc.at, doc.n, "body", &w, &err), SN_OK);
    assert_int_equal(sn_weights_count(w), 0);
    assert_false(sn_weights_find(w, "", &got));
    sn_weights_unref(w);
    free(doc.at);
}

static void unwritable_tensors_are_refused(void **state)
{
    static const struct {
        const char *name[2];
        sn_dtype    dtype;
        int64_t     dim;
        sn_status   status;
        const char *where, *text;
    } row[] = {
        {{"a", "a"}, SN_F32, 1, SN_E_INVALID, "a", "two of the tensors have this name"},
        {{"a", ""}, SN_F32, 1, SN_E_INVALID, "", "a tensor has an empty name"},
        {{"a", "__metadata__"},
         SN_F32,
         1,
         SN_E_INVALID,
         "__metadata__",
         "a tensor cannot have this name"},
        {{"a", "b"},
         SN_NONE,
         1,
         SN_E_DTYPE,
         "a",
         "a tensor without an element type cannot be written"},
        {{"a", "b"}, SN_F32, -1, SN_E_SHAPE, "a", "shape [-1] has too many elements to write"},
        {{"a", "b"},
         SN_U8,
         INT64_MAX,
         SN_E_SHAPE,
         "b",
         "shape [9223372036854775807] has too many elements to write"},
    };
    struct text   doc = {0};
    const sn_sink sink = {append, &doc};
    float         data = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(row); i++) {
        const sn_tensor t = sn_tensor_dense(row[i].dtype, &(sn_shape){1, {row[i].dim}}, &data);
        const sn_tensor both[] = {t, t};
        sn_error        err = {0};

        assert_int_equal(sn_tensors_write(row[i].name, both, 2, NULL, NULL, 0, &sink, &err),
                         row[i].status);
        assert_string_equal(err.where, row[i].where);
        assert_string_equal(err.text, row[i].text);
        assert_int_equal(doc.n, 0);
    }
}

/* Takes so many pieces and refuses the next. */
static int take_some(void *cls, const void *bytes, size_t n_bytes)
{
    int *const left = cls;

    (void)bytes, (void)n_bytes;
    return (*left)-- > 0 ? 0 : -1;
}

static void a_receiver_that_refuses_ends_the_document(void **state)
{
    static const char *const name[] = {"a"};
    static float             data[9000];
    sn_tensor                t = sn_tensor_dense(SN_F32, &(sn_shape){1, {9000}}, data);
    int                      n = 0;

    (void)state;
    t.shape.dim[0] = 4500;
    t.stride[0] = 2; /* 18000 bytes: two parts, behind length and header */
    for (; n < 3; n++) {
        int           left = n;
        const sn_sink sink = {take_some, &left};
        sn_error      err = {0};

        assert_int_equal(sn_tensors_write(name, &t, 1, NULL, NULL, 0, &sink, &err), SN_E_IO);
        assert_int_equal(left, -1); /* and is not asked again */
    }
    const sn_sink sink = {take_some, &n};
    assert_int_equal(sn_tensors_write(name, &t, 1, NULL, NULL, 0, &sink, NULL), SN_OK);
    assert_int_equal(n, 0);
}

/* ---- memory ---- */

/* Fails the 1st, 2nd, 3rd ... allocation until the document gets through. */
static void reading_survives_out_of_memory(void **state)
{
    struct document d = build(good, 35);
    sn_weights     *w = NULL;
    size_t          n = 1;

    (void)state;
    for (;; n++) {
        sn_error  err = {0};
        sn_status rc;

        alloc_fail_at(n);
        rc = sn_weights_borrow(d.bytes, d.n_bytes, "body", &w, &err);
        if (!alloc_failed()) {
            assert_int_equal(rc, SN_OK);
            break;
        }
        assert_int_equal(rc, SN_E_NO_MEMORY);
        assert_int_equal(err.code, SN_E_NO_MEMORY);
        assert_null(w);
    }
    alloc_fail_at(0);
    assert_true(n > 3);
    sn_weights_unref(w);
    free(d.bytes);
}

static void writing_survives_out_of_memory(void **state)
{
    static const char *const name[] = {"a.weight", "b.weight"};
    float                    data[4] = {1, 2, 3, 4};
    const sn_tensor          one = sn_tensor_dense(SN_F32, &(sn_shape){1, {4}}, data);
    const sn_tensor          t[] = {one, one};
    int                      many = 1 << 20;
    const sn_sink            sink = {take_some, &many};
    size_t                   n = 1;

    (void)state;
    for (;; n++) {
        sn_error  err = {0};
        sn_status rc;

        alloc_fail_at(n);
        rc = sn_tensors_write(name, t, 2, name, name, 2, &sink, &err);
        if (!alloc_failed()) {
            assert_int_equal(rc, SN_OK);
            break;
        }
        assert_int_equal(rc, SN_E_NO_MEMORY);
    }
    alloc_fail_at(0);
    assert_true(n > 3);
}

int main(void)
{
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(padding_of_nul_bytes_is_called_that),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(views_are_aligned),
        cmocka_unit_test(aligned_data_is_not_copied),
        cmocka_unit_test(files_are_mapped),
        cmocka_unit_test(written_tensors_are_read),
        cmocka_unit_test(unwritable_tensors_are_refused),
        cmocka_unit_test(a_receiver_that_refuses_ends_the_document),
        cmocka_unit_test(reading_survives_out_of_memory),
        cmocka_unit_test(writing_survives_out_of_memory),
    };
    struct CMUnitTest tests[COUNT(wrong) + COUNT(fixed)];

    for (size_t i = 0; i < COUNT(wrong); i++)
        tests[i] = (struct CMUnitTest){
            .name = wrong[i].name, .test_func = check_wrong, .initial_state = (void *)i};
    memcpy(tests + COUNT(wrong), fixed, sizeof fixed);
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
