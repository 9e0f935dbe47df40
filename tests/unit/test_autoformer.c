/* ClassToken, AbsolutePositionEmbedding and RelativePositionSelfAttention against PyTorch:
 * the numbers are those of autoformer_reference.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "op/op_internal.h"
#include "support/floats.h"
#include "support/op_call.h"
#include "support/threads.h"
#include "support/whole.h"

extern const sn_op sn_op_relative_attention;

#define DOC(shape, model)                                                                          \
    "{\"format\": \"supernet/1\", \"name\": \"t\", \"inputs\": [{\"name\": \"x\", "                \
    "\"shape\": " shape "}], \"choices\": {\"e\": [2, 4, 6], \"h\": [1, 2]}, \"model\": {" model   \
    "}}"
#define ATTENTION(more)                                                                            \
    "\"type\": \"RelativePositionSelfAttention\", \"embed_dim\": \"e\", \"num_heads\": \"h\", "    \
    "\"head_dim\": 2" more

/* clang-format off */
static const float class_token[] = {
    0.388000011f, 0.421000004f, 0.859000027f, 0.89200002f, -1.0f, 1.0f, 0.888888896f,
    0.777777791f, 0.666666687f, 0.555555582f, 0.444444448f, 0.333333343f, 0.388000011f,
    0.421000004f, 0.859000027f, 0.89200002f, 0.222222224f, 0.111111112f, 0.0f, -0.111111112f,
    -0.222222224f, -0.333333343f, -0.444444448f, -0.555555582f,
};
static const float position[] = {
    -0.769999981f, 1.26300001f, 1.18388891f, 1.56977773f, 1.01966667f, 0.941555619f,
    1.32644451f, 1.24833333f, 0.452222228f, 0.374111116f, 0.294999987f, 0.680888891f,
    0.130777761f, 0.0526666641f, 0.437555581f, 0.359444439f,
};
static const float plain[] = {
    1.11508441f, 0.563347936f, 0.758114755f, 1.5822134f, 1.07590473f, 0.53025651f, 0.755395532f,
    1.48068142f, 0.718211055f, 0.227638215f, 0.727627099f, 0.558940053f, 0.594050944f,
    0.122686133f, 0.718513668f, 0.238062918f,
};
static const float biased[] = {
    3.9932003f, 2.76380038f, 2.21012449f, 4.4282198f, 3.10448098f, 3.33229518f, 3.13693428f,
    2.1756053f, 1.81334209f, 3.37960029f, 2.48448491f, 2.64546633f, 0.667609394f, 0.44341284f,
    0.752136528f, 0.0686102509f, 0.622104585f, 0.477098942f,
};
static const float relative[] = {
    7.64955807f, 5.30785275f, 3.75721312f, 9.4691925f, 6.63636398f, 4.78844261f, 3.33366823f,
    7.85955572f, 5.51407433f, 3.88171244f, 2.84159184f, 6.50389099f, 3.14488411f, 2.11241698f,
    1.8051095f, 3.50406671f, 2.60337305f, 1.81713796f, 1.46996498f, 3.08683085f, 6.94578171f,
    4.88252211f, 3.41347957f, 8.61216736f, 5.99119282f, 4.26035118f, 3.00394893f, 7.27390146f,
    4.80705309f, 3.35772872f, 2.54510522f, 5.55643463f, 2.50551891f, 1.6269536f, 1.50316405f,
    2.79548931f, 2.85548115f, 1.80746543f, 1.77234936f, 2.87233639f,
};
static const float wide[] = {
    2.14408684f, 1.435987f, 1.90879726f, 1.23506355f, 1.98722553f, 1.30192673f, 1.91401803f,
    1.23935187f, 1.9669714f, 1.28463066f, 1.28325772f, 0.707528114f, 1.05205309f, 0.509643734f,
    1.06808436f, 0.523572743f, 0.972821712f, 0.442268133f, 0.982300401f, 0.450507283f,
};

static const struct row {
    const char  *name, *spec, *choices;
    const float *want;
    size_t       n_want;
} rows[] = {
    {"a class token is put before the others",
     DOC("[2, 2, 4]", "\"type\": \"ClassToken\", \"embed_dim\": \"e\""),
     "e=4", class_token, sizeof class_token / sizeof *class_token},
    {"every token gets the vector of its place",
     DOC("[2, 2, 4]", "\"type\": \"AbsolutePositionEmbedding\", \"length\": 2, \"embed_dim\": \"e\""),
     "e=4", position, sizeof position / sizeof *position},
    {"heads of a fixed size, one of two",
     DOC("[2, 2, 4]", ATTENTION("")),
     "e=4 h=1", plain, sizeof plain / sizeof *plain},
    {"the whole, with biases and a scale of its own",
     DOC("[1, 3, 6]", ATTENTION(", \"qkv_bias\": true, \"qk_scale\": 0.25")),
     "e=6 h=2", biased, sizeof biased / sizeof *biased},
    {"distances beyond the length are clipped",
     DOC("[1, 10, 4]", ATTENTION(", \"qkv_bias\": true, \"rpe\": true, \"rpe_length\": 1")),
     "e=4 h=2", relative, sizeof relative / sizeof *relative},
    {"distances of every token in a batch",
     DOC("[2, 5, 2]", ATTENTION(", \"rpe\": true, \"rpe_length\": 2")),
     "e=2 h=1", wide, sizeof wide / sizeof *wide},
};
/* clang-format on */

static void agrees_with_pytorch(void **state)
{
    const struct row *row = *state;
    float             x[64], y[64], again[64];
    struct whole      w, alone;
    sn_subnet        *subnet, *only;

    for (int i = 0; i < 64; i++)
        x[i] = (float)((i * 37) % 19) / 9.0f - 1.0f;
    whole_load(&w, row->spec);
    subnet = net_choose(w.net, row->choices);
    assert_int_equal(whole_run(subnet, x, y, 64), row->n_want);
    for (size_t i = 0; i < row->n_want; i++)
        assert_float_equal(y[i], row->want[i], 1e-5);

    whole_export(&alone, subnet);
    only = whole_seal(&alone);
    assert_int_equal(whole_run(only, x, again, 64), row->n_want);
    for (size_t i = 0; i < row->n_want; i++)
        assert_float_equal(again[i], y[i], 1e-6);
    sn_subnet_unref(only);
    whole_fini(&alone);
    sn_subnet_unref(subnet);
    whole_fini(&w);
}

/* ---- the variant over packed weights ------------------------------------------------------ */

/* clang-format off */
static const struct packed_row {
    const char *name, *args;
    int         batch, tokens, embed;
} packed_rows[] = {
    {"packed: one token", "embed_dim = 8; num_heads = 2; head_dim = 4; rpe = true", 1, 1, 8},
    {"packed: two tokens", "embed_dim = 8; num_heads = 2; head_dim = 4; rpe = true", 3, 2, 8},
    {"packed: a grid and half a row, clipped",
     "embed_dim = 8; num_heads = 2; head_dim = 4; rpe = true; rpe_length = 2; qkv_bias = true", 2,
     33, 8},
    {"packed: a narrower choice of fewer heads",
     "embed_dim = 24 of 24, 36; num_heads = 2 of 2, 3; head_dim = 20; rpe = true; qkv_bias = true",
     2, 50, 24},
    {"packed: without relative position",
     "embed_dim = 24 of 24, 36; num_heads = 2 of 2, 3; head_dim = 20; qk_scale = 0.25", 2, 50, 24},
    {"packed: as AutoFormer has it",
     "embed_dim = 216 of 192, 216, 240; num_heads = 3 of 3, 4; rpe = true; qkv_bias = true", 1,
     197, 216},
};
/* clang-format on */

/* What forward gives; with a residual and an activation; the same bits from any number of
 * threads. */
static void packed_agrees_with_plain(void **state)
{
    const struct packed_row *t = *state;
    const sn_shape           shape = SHAPE(t->batch, t->tokens, t->embed);
    const size_t             n = (size_t)sn_shape_count(&shape);
    float *x = floats_random(n, 0, 1), *add = floats_random(n, 0, 2), *want = floats_of(n, 0, 0);
    const sn_tensor   in = sn_tensor_dense(SN_F32, &shape, x);
    const sn_tensor   residual = sn_tensor_dense(SN_F32, &shape, add);
    const sn_epilogue epilogue = {.residual = &residual, .act = SN_ACT_RELU};
    const float      *without, *one;
    struct op_call    c;

    op_call_init(&c, &sn_op_relative_attention, t->args, false, SN_EVAL);
    assert_int_equal(op_call_load(&c, NULL), SN_OK);
    op_call_temper(&c);
    assert_int_equal(op_call_infer(&c, shape, NULL), SN_OK);
    without = op_call_run(&c, x);
    op_call_run_variant(&c, 0, &in, NULL, NULL);
    assert_floats_close(c.result[0].data, without, 1, n, n, 3e-6, "packed");
    for (size_t i = 0; i < n; i++)
        want[i] = without[i] + add[i] > 0 ? without[i] + add[i] : 0;
    op_call_run_variant(&c, 0, &in, &epilogue, NULL);
    one = c.result[0].data;
    assert_floats_close(one, want, 1, n, n, 3e-6, "fused");
    for (c.call.n_threads = 2; c.call.n_threads <= 3; c.call.n_threads++) {
        const sn_parallel threads = threads_of(c.call.n_threads);
        const int         before = threads_parts();

        op_call_run_variant(&c, 0, &in, &epilogue, &threads);
        assert_memory_equal(c.result[0].data, one, n * sizeof *one);
        assert_true(t->tokens < 197 || threads_parts() > before);
    }
    op_call_fini(&c);
    floats_free(x);
    floats_free(add);
    floats_free(want);
}

int main(void)
{
    enum {
        N_ROWS = sizeof rows / sizeof *rows,
        N_PACKED = sizeof packed_rows / sizeof *packed_rows
    };
    struct CMUnitTest tests[N_ROWS + N_PACKED];

    for (size_t i = 0; i < N_ROWS; i++)
        tests[i] = (struct CMUnitTest){.name = rows[i].name,
                                       .test_func = agrees_with_pytorch,
                                       .initial_state = (void *)&rows[i]};
    for (size_t i = 0; i < N_PACKED; i++)
        tests[N_ROWS + i] = (struct CMUnitTest){.name = packed_rows[i].name,
                                                .test_func = packed_agrees_with_plain,
                                                .initial_state = (void *)&packed_rows[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
