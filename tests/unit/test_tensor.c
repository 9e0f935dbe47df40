/* tensor: types, shapes, slices and copies, each against the obvious loop. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/tensor.h"

static void types_have_names_and_sizes(void **state)
{
    sn_dtype found = SN_NONE;

    (void)state;
    for (int i = SN_NONE + 1; i < SN_DTYPE_COUNT; i++) {
        assert_true(sn_dtype_find(sn_dtype_name((sn_dtype)i), &found));
        assert_int_equal(found, i);
        assert_in_range(sn_dtype_bytes((sn_dtype)i), 1, 8);
    }
    assert_int_equal(sn_dtype_bytes(SN_NONE), 0);
    assert_int_equal(sn_dtype_bytes((sn_dtype)99), 0);
    assert_int_equal(sn_dtype_bytes(SN_F64), 8);
    assert_false(sn_dtype_find("none", &found));
    assert_false(sn_dtype_find("f32", &found));
    assert_string_equal(sn_dtype_name((sn_dtype)99), "unknown");
}

static const struct {
    sn_shape    shape;
    int64_t     count;
    const char *text;
} shapes[] = {
    {{0, {0}}, 1, "[]"},
    {{1, {7}}, 7, "[7]"},
    {{4, {2, 3, 8, 8}}, 384, "[2, 3, 8, 8]"},
    {{2, {5, 0}}, 0, "[5, 0]"},
    {{2, {-1, 3}}, -1, "[-1, 3]"},
    {{2, {INT64_MAX, 2}}, -1, "[9223372036854775807, 2]"},
    {{3, {INT64_MAX, 2, 0}}, 0, "[9223372036854775807, 2, 0]"},
    {{3, {1ll << 32, 1ll << 31, 1}}, -1, "[4294967296, 2147483648, 1]"},
};

static void shapes_are_counted_and_printed(void **state)
{
    char buf[64];

    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        assert_true(sn_shape_count(&shapes[i].shape) == shapes[i].count);
        assert_string_equal(sn_shape_text(&shapes[i].shape, buf, sizeof buf), shapes[i].text);
    }
    assert_string_equal(sn_shape_text(&shapes[2].shape, buf, 6), "[2, 3");
    assert_string_equal(sn_shape_text(&shapes[2].shape, buf, 1), "");
    assert_true(sn_shape_equal(&shapes[2].shape, &shapes[2].shape));
    assert_false(sn_shape_equal(&shapes[1].shape, &shapes[2].shape));
    assert_false(sn_shape_equal(&shapes[3].shape, &shapes[4].shape));
}

/* ---- slices ---- */

/* A slice of x [6, 5, 4], by axis, and what is wrong with it. */
static const struct {
    const char *name;
    sn_slice    slice;
    sn_status   view, pieces; /* of sn_tensor_slice(), of slice_shape() */
    const char *text;
} slices[] = {
    {"everything", {3, {{1, {{0, 6}}}, {1, {{0, 5}}}, {1, {{0, 4}}}}}, SN_OK, SN_OK, ""},
    {"a prefix", {3, {{1, {{0, 3}}}, {1, {{0, 5}}}, {1, {{0, 4}}}}}, SN_OK, SN_OK, ""},
    {"two prefixes", {3, {{1, {{0, 3}}}, {1, {{0, 2}}}, {1, {{0, 4}}}}}, SN_OK, SN_OK, ""},
    {"the centre", {3, {{1, {{0, 6}}}, {1, {{1, 4}}}, {1, {{1, 3}}}}}, SN_OK, SN_OK, ""},
    {"one element", {3, {{1, {{5, 6}}}, {1, {{4, 5}}}, {1, {{3, 4}}}}}, SN_OK, SN_OK, ""},
    {"nothing", {3, {{1, {{6, 6}}}, {1, {{0, 5}}}, {1, {{0, 4}}}}}, SN_OK, SN_OK, ""},
    {"two pieces",
     {3, {{2, {{0, 2}, {3, 5}}}, {1, {{0, 5}}}, {1, {{0, 4}}}}},
     SN_E_UNSUPPORTED,
     SN_OK,
     "axis 0 has 2 pieces: that is no view"},
    {"three pieces, last axis too",
     {3, {{3, {{4, 6}, {0, 1}, {2, 2}}}, {1, {{1, 5}}}, {2, {{3, 4}, {0, 2}}}}},
     SN_E_UNSUPPORTED,
     SN_OK,
     "axis 0 has 3 pieces: that is no view"},
    {"too long",
     {3, {{1, {{0, 7}}}, {1, {{0, 5}}}, {1, {{0, 4}}}}},
     SN_E_SHAPE,
     SN_E_SHAPE,
     "axis 0: [0, 7) is not within [0, 6)"},
    {"before the start",
     {3, {{1, {{0, 6}}}, {1, {{-1, 5}}}, {1, {{0, 4}}}}},
     SN_E_SHAPE,
     SN_E_SHAPE,
     "axis 1: [-1, 5) is not within [0, 5)"},
    {"backwards",
     {3, {{1, {{0, 6}}}, {1, {{0, 5}}}, {1, {{3, 2}}}}},
     SN_E_SHAPE,
     SN_E_SHAPE,
     "axis 2: [3, 2) is not within [0, 4)"},
    {"another rank",
     {2, {{1, {{0, 6}}}, {1, {{0, 5}}}}},
     SN_E_SHAPE,
     SN_E_SHAPE,
     "the slice has 2 axes, the tensor 3"},
    {"no piece",
     {3, {{1, {{0, 6}}}, {0, {{0, 0}}}, {1, {{0, 4}}}}},
     SN_E_UNSUPPORTED,
     SN_E_UNSUPPORTED,
     "axis 1 has 0 pieces, allowed are 1 to 3"},
};

enum { N0 = 6, N1 = 5, N2 = 4 };
static const sn_shape cube = {3, {N0, N1, N2}};

/* The slice by the obvious loops over t, however strided. */
static size_t naive_gather(const sn_tensor *t, const sn_slice *s, float *out)
{
    const float *data = t->data;
    size_t       n = 0;

    for (int a = 0; a < s->axis[0].n; a++)
        for (int64_t i = s->axis[0].piece[a].start; i < s->axis[0].piece[a].stop; i++)
            for (int b = 0; b < s->axis[1].n; b++)
                for (int64_t j = s->axis[1].piece[b].start; j < s->axis[1].piece[b].stop; j++)
                    for (int c = 0; c < s->axis[2].n; c++)
                        for (int64_t k = s->axis[2].piece[c].start; k < s->axis[2].piece[c].stop;
                             k++)
                            out[n++] = data[i * t->stride[0] + j * t->stride[1] + k * t->stride[2]];
    return n;
}

/* [6, 5, 4] in four layouts: dense, with gaps, transposed, and a broadcast axis. */
static const int64_t layouts[][3] = {{20, 4, 1}, {40, 6, 1}, {1, 6, 30}, {4, 0, 1}};

static void check_slice(const sn_tensor *t, size_t row)
{
    const sn_slice *s = &slices[row].slice;
    sn_error        err = {0}, shape_err = {0};
    sn_shape        shape = {-1, {0}};
    sn_tensor       view = {0};
    float           want[N0 * N1 * N2], got[N0 * N1 * N2 + 1];
    size_t          n;

    assert_int_equal(sn_tensor_slice(t, s, &view, &err), slices[row].view);
    assert_string_equal(err.text, slices[row].text);
    assert_int_equal(slice_shape(&t->shape, s, &shape, &shape_err), slices[row].pieces);
    if (slices[row].pieces != SN_OK) {
        assert_int_equal(shape.rank, -1); /* untouched on failure */
        return;
    }
    n = naive_gather(t, s, want);
    assert_int_equal(sn_shape_count(&shape), n);
    got[n] = -1;
    tensor_gather(t, s, got);
    assert_memory_equal(got, want, n * sizeof *want);
    assert_true(got[n] == -1);

    if (slices[row].view != SN_OK) {
        assert_int_equal(view.dtype, SN_NONE);
        return;
    }
    const sn_tensor packed = sn_tensor_dense(SN_F32, &shape, got);
    assert_true(sn_shape_equal(&view.shape, &shape));
    memset(got, 0, n * sizeof *got);
    tensor_copy(&view, &packed);
    assert_memory_equal(got, want, n * sizeof *want);
    assert_true(got[n] == -1);
}

static void slices_are_what_loops_say(void **state)
{
    float data[400];

    (void)state;
    for (size_t i = 0; i < COUNT(data); i++)
        data[i] = (float)i;
    for (size_t l = 0; l < COUNT(layouts); l++)
        for (size_t i = 0; i < COUNT(slices); i++) {
            sn_tensor t = sn_tensor_dense(SN_F32, &cube, data);

            memcpy(t.stride, layouts[l], sizeof layouts[l]);
            check_slice(&t, i);
        }
}

static void a_prefix_of_rows_is_dense(void **state)
{
    float     data[N0 * N1 * N2];
    sn_tensor t = sn_tensor_dense(SN_F32, &cube, data), view;

    (void)state;
    assert_true(sn_tensor_is_dense(&t));
    assert_int_equal(sn_tensor_slice(&t, &slices[1].slice, &view, NULL), SN_OK);
    assert_true(sn_tensor_is_dense(&view));
    assert_ptr_equal(view.data, data);
    assert_int_equal(sn_tensor_slice(&t, &slices[2].slice, &view, NULL), SN_OK);
    assert_false(sn_tensor_is_dense(&view));
    assert_int_equal(sn_tensor_slice(&t, &slices[4].slice, &view, NULL), SN_OK);
    assert_true(sn_tensor_is_dense(&view)); /* one element, whatever its strides */
    assert_ptr_equal(view.data, data + N0 * N1 * N2 - 1);
    assert_int_equal(sn_tensor_slice(&t, &slices[5].slice, &view, NULL), SN_OK);
    assert_true(sn_tensor_is_dense(&view));
    assert_ptr_equal(view.data, data); /* empty: no address outside */
}

static void scalars_are_copied(void **state)
{
    const sn_shape scalar = {0, {0}};
    const sn_slice all = {0};
    float          a = 3, b = 0, c = 0;
    sn_tensor      from = sn_tensor_dense(SN_F32, &scalar, &a);
    sn_tensor      to = sn_tensor_dense(SN_F32, &scalar, &b);

    (void)state;
    assert_true(sn_tensor_is_dense(&from));
    tensor_copy(&from, &to);
    tensor_gather(&from, &all, &c);
    assert_true(b == 3 && c == 3);
}

/* Every element size, into and out of strided memory. */
static void every_type_is_copied(void **state)
{
    const sn_shape shape = {2, {3, 4}};
    unsigned char  from[3 * 4 * 8], to[3 * 5 * 8];

    (void)state;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i + 1);
    for (int d = SN_NONE + 1; d < SN_DTYPE_COUNT; d++) {
        const size_t    n = sn_dtype_bytes((sn_dtype)d);
        const sn_tensor src = sn_tensor_dense((sn_dtype)d, &shape, from);
        sn_tensor       dst = sn_tensor_dense((sn_dtype)d, &shape, to);

        dst.stride[0] = 5; /* a gap behind each row */
        memset(to, 0, sizeof to);
        tensor_copy(&src, &dst);
        for (size_t i = 0; i < 3; i++) {
            assert_memory_equal(to + i * 5 * n, from + i * 4 * n, 4 * n);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(to[(i * 5 + 4) * n + k], 0);
        }
    }
}

/* ---- 16-bit floats ---- */

static const struct {
    const char *name;
    uint16_t    bits;
    uint32_t    half, bfloat; /* as float32 */
} wide[] = {
    {"zero", 0x0000, 0x00000000, 0x00000000},
    {"minus zero", 0x8000, 0x80000000, 0x80000000},
    {"the smallest subnormal", 0x0001, 0x33800000, 0x00010000},
    {"the largest subnormal", 0x03ff, 0x387fc000, 0x03ff0000},
    {"minus a subnormal", 0x8200, 0xb8000000, 0x82000000},
    {"the smallest normal", 0x0400, 0x38800000, 0x04000000},
    {"one in F16", 0x3c00, 0x3f800000, 0x3c000000},
    {"one in BF16", 0x3f80, 0x3ff00000, 0x3f800000},
    {"minus two in F16", 0xc000, 0xc0000000, 0xc0000000},
    {"the largest in F16", 0x7bff, 0x477fe000, 0x7bff0000},
    {"infinity in F16", 0x7c00, 0x7f800000, 0x7c000000},
    {"minus infinity in F16", 0xfc00, 0xff800000, 0xfc000000},
    {"a NaN in F16 with payload", 0x7e01, 0x7fc02000, 0x7e010000},
    {"a signalling NaN in F16", 0x7c01, 0x7f802000, 0x7c010000},
    {"infinity in BF16", 0x7f80, 0x7ff00000, 0x7f800000},
    {"a NaN in BF16", 0xffc1, 0xfff82000, 0xffc10000},
};

static uint32_t bits_of(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static void halves_widen_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wide); i++) {
        if (bits_of(half_to_float(wide[i].bits)) != wide[i].half ||
            bits_of(bfloat_to_float(wide[i].bits)) != wide[i].bfloat)
            fail_msg("%s: %08x %08x", wide[i].name, bits_of(half_to_float(wide[i].bits)),
                     bits_of(bfloat_to_float(wide[i].bits)));
    }
    for (uint32_t bits = 0; bits < 0x8000; bits++) { /* all finite ones, by the definition */
        const int   exponent = (int)(bits >> 10), mantissa = (int)(bits & 0x3ff);
        const float want = exponent ? ldexpf((float)(1024 + mantissa), exponent - 25)
                                    : ldexpf((float)mantissa, -24);

        if (exponent < 31) assert_true(half_to_float((uint16_t)bits) == want);
    }
}

static void halves_widen_while_copied(void **state)
{
    const sn_shape shape = {2, {2, 3}};
    uint16_t       half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x0000, 0x3800};
    float          want[] = {1, -2, 0x1p-24f, 65504, 0, 0.5f}, got[6];
    sn_tensor      from = sn_tensor_dense(SN_F16, &shape, half);
    sn_tensor      to = sn_tensor_dense(SN_F32, &shape, got);

    (void)state;
    tensor_copy(&from, &to);
    assert_memory_equal(got, want, sizeof want);

    from.dtype = SN_BF16;
    from.stride[0] = 1; /* x[i, j] = half[i + 2 j] */
    from.stride[1] = 2;
    tensor_copy(&from, &to);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            assert_true(got[i * 3 + j] == bfloat_to_float(half[i + 2 * j]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(shapes_are_counted_and_printed),
        cmocka_unit_test(slices_are_what_loops_say),
        cmocka_unit_test(a_prefix_of_rows_is_dense),
        cmocka_unit_test(scalars_are_copied),
        cmocka_unit_test(every_type_is_copied),
        cmocka_unit_test(halves_widen_exactly),
        cmocka_unit_test(halves_widen_while_copied),
    };

    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
