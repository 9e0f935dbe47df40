/* Every network with every batch up to the largest, on one thread and on several: a plan made for
 * more gives the bits that a plan made for just this batch gives.
 *
 * In builds that fence memory (core/run/fence.h) every read and write of it is watched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/plan.h"
#include "support/threads.h"
#include "support/whole.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LARGEST = 7, LARGE = 4, DRAWS = 1 }; /* they make all of it ten times slower */
#else
enum { LARGEST = 17, LARGE = 9, DRAWS = 3 };
#endif

enum { MOST_PORTS = 8, MOST_CHOICES = 64, MOST_CANDIDATES = 64, SIZE_OF_SYMBOLS = 3 };

#define DOC(choices, inputs, model)                                                                \
    "{'format':'supernet/1','name':'t','choices':{" choices "},'inputs':[" inputs                  \
    "],'model':" model "}"
#define X(shape)             "{'name':'x','shape':[" shape "]}"
#define Y(shape)             "{'name':'y','shape':[" shape "]}"
#define INPUT(name, rest)    "{'name':'" name "'," rest "}"
#define SEQ(layers)          "{'type':'Sequential','layers':[" layers "]}"
#define NODE(name, rest, in) "{'name':'" name "'," rest ",'inputs':[" in "]}"
#define TWO(op)                                                                                    \
    "{'type':'Graph','inputs':['x','y'],'outputs':['z'],'nodes':["                                 \
    "{'name':'z','type':'" op "','inputs':['x','y']}]}"

/* clang-format off */
/* Quotes are single here. Sizes are odd, so that vectors have ends. */
static const struct {
    const char *name, *spec;
    int64_t     most; /* 0: LARGEST */
} networks[] = {
    {"linear",
     DOC("'w':[5,8,19]", X("'N',7"),
         SEQ("{'type':'Linear','in_features':7,'out_features':'w'},{'type':'ReLU'},"
             "{'type':'LayerNorm','normalized_shape':'w'},"
             "{'type':'Linear','in_features':'w','out_features':33},{'type':'GELU'},"
             "{'type':'Linear','in_features':33,'out_features':3,'bias':false}")),                                                   0},
    {"elementwise",
     DOC("", X("'N',11"),
         SEQ("{'type':'ReLU6'},{'type':'Hardswish'},{'type':'SiLU'},{'type':'Tanh'},"
             "{'type':'Sigmoid'},{'type':'GELU','approximate':'tanh'},{'type':'Hardsigmoid'},"
             "{'type':'Softmax','dim':1},{'type':'Dropout','p':0.0},{'type':'Identity'}")), 0},
    {"images",
     DOC("'w':[4,9],'k':[3,5]", X("'N',3,9,7"),
         SEQ("{'type':'Conv2d','in_channels':3,'out_channels':'w','kernel_size':'k',"
             "'padding':'k//2','bias':false},{'type':'BatchNorm2d','num_features':'w'},"
             "{'type':'ReLU'},{'type':'Conv2d','in_channels':'w','out_channels':6,"
             "'kernel_size':3,'stride':2,'padding':1},"
             "{'type':'GroupNorm','num_groups':3,'num_channels':6},{'type':'MaxPool2d',"
             "'kernel_size':3,'stride':2,'padding':1,'ceil_mode':true},"
             "{'type':'AdaptiveAvgPool2d','output_size':[2,1]},{'type':'Flatten'},"
             "{'type':'Linear','in_features':12,'out_features':5}")), 0},
    {"convolutions",
     DOC("", X("'N',4,10,9"),
         SEQ("{'type':'Conv2d','in_channels':4,'out_channels':6,'kernel_size':[1,3],'groups':2,"
             "'padding':[0,1],'padding_mode':'circular'},"
             "{'type':'Conv2d','in_channels':6,'out_channels':6,'kernel_size':3,'groups':6,"
             "'padding':1,'padding_mode':'reflect'},"
             "{'type':'Conv2d','in_channels':6,'out_channels':17,'kernel_size':3,'dilation':2,"
             "'padding':'same'},{'type':'AvgPool2d','kernel_size':2,'stride':1},"
             "{'type':'Conv2d','in_channels':17,'out_channels':3,'kernel_size':5,'stride':3}")), 0},
    {"inverted bottleneck",
     DOC("'k':[3,5]", X("'N',8,9,7"),
         "{'type':'Graph','inputs':['x'],'outputs':['sum'],'nodes':[" NODE(
             "e",
             "'type':'Conv2d','in_channels':8,'out_channels':24,'kernel_size':1,"
             "'bias':false", "'x'") "," NODE("n", "'type':'BatchNorm2d','num_features':24", "'e'")
         "," NODE("a", "'type':'Hardswish'", "'n'") "," NODE(
             "d",
             "'type':'Conv2d','in_channels':24,'out_channels':24,'kernel_size':'k',"
             "'padding':'k//2','groups':24", "'a'") "," NODE("b", "'type':'Hardswish'", "'d'")
         "," NODE("m", "'type':'Mean','dim':[2,3],'keepdim':true", "'b'") "," NODE(
             "r", "'type':'Conv2d','in_channels':24,'out_channels':5,'kernel_size':1", "'m'")
         "," NODE("c", "'type':'ReLU'", "'r'") "," NODE(
             "s", "'type':'Conv2d','in_channels':5,'out_channels':24,'kernel_size':1", "'c'")
         "," NODE("g", "'type':'Hardsigmoid'", "'s'") "," NODE("p", "'type':'Mul'", "'b','g'")
         "," NODE("o", "'type':'Conv2d','in_channels':24,'out_channels':8,'kernel_size':1", "'p'")
         "," NODE("sum", "'type':'Add'", "'x','o'") "]}"), 0},
    {"channels",
     DOC("", X("'N',5,4,3"),
         SEQ("{'type':'Zero','C_in':5,'C_out':7,'stride':2},{'type':'Truncate','channels':3},"
             "{'type':'Conv2d','in_channels':3,'out_channels':2,'kernel_size':1}")), 0},
    /* Broadcasts. */
    {"a row for all", DOC("", X("'N',5") "," Y("5"), TWO("Add")), 0},
    {"rows and columns", DOC("", X("'N',1,5") "," Y("'N',3,1"), TWO("Mul")), 0},
    {"four or one", DOC("", X("'N',4") "," Y("4,4"), TWO("Add")), 0},
    {"batch against a length", DOC("", X("'N'") "," Y("'N','L'"), TWO("Add")), 0},
    {"two batches", DOC("", X("'N',2") "," Y("'M',2"), TWO("Add")), 0},
    {"a matrix of the batch", DOC("", X("'N',1") "," Y("1,'N'"), TWO("Mul")), 0},
    {"average", DOC("", X("'N',5") "," Y("'N',5"), TWO("Average")), 0},
    {"joined rows", DOC("", X("'N',4") "," Y("3,4"),
         "{'type':'Graph','inputs':['x','y'],'outputs':['l'],'nodes':["
         NODE("c", "'type':'Concat','dim':0", "'x','y'") ","
         NODE("l", "'type':'Linear','in_features':4,'out_features':3", "'c'") "]}"), 0},
    {"joined columns", DOC("", X("'N',4,3") "," Y("'N',2,3"),
         "{'type':'Graph','inputs':['x','y'],'outputs':['c','x'],'nodes':["
         NODE("c", "'type':'Concat'", "'x','y'") "]}"), 0},
    /* The batch in other places. */
    {"three by three", DOC("", X("'N',6"),
         SEQ("{'type':'Reshape','shape':[-1,3]},"
             "{'type':'Linear','in_features':3,'out_features':5}")), 0},
    {"every other batch", DOC("", X("'N',6"), "{'type':'Reshape','shape':[-1,4]}"), 0},
    {"rows become columns", DOC("", X("'N',3,4"),
         SEQ("{'type':'Permute','dims':[1,0,2]},"
             "{'type':'Linear','in_features':4,'out_features':9},{'type':'Softmax','dim':1},"
             "{'type':'Mean','dim':0}")), 0},
    {"mean of the batch", DOC("", X("'N',5"), "{'type':'Mean','dim':0,'keepdim':true}"), 0},
    {"an image of batches", DOC("", X("2,3,'N',5"),
         "{'type':'Conv2d','in_channels':3,'out_channels':4,'kernel_size':3,'padding':1}"), 0},
    {"a window over batches", DOC("", X("2,3,'N',5"),
         SEQ("{'type':'Conv2d','in_channels':3,'out_channels':4,'kernel_size':3,'stride':2},"
             "{'type':'ReLU'}")), 0},
    {"statistics of the batch", DOC("", X("'N',3,2,2"),
         "{'type':'BatchNorm2d','num_features':3,'track_running_stats':false}"), 0},
    {"one image", DOC("", X("3,'N',7"),
         "{'type':'MaxPool2d','kernel_size':2,'ceil_mode':true}"), 0},
    /* Attention. */
    {"masks", DOC("'h':[1,2,4]",
         INPUT("query", "'shape':['N',5,8]") "," INPUT("key", "'shape':['N',3,8]") ","
         INPUT("value", "'shape':['N',3,8]") ","
         INPUT("key_padding_mask", "'dtype':'BOOL','shape':['N',3]") ","
         INPUT("attn_mask", "'shape':[5,3]"),
         "{'type':'MultiheadAttention','embed_dim':8,'num_heads':'h','batch_first':true}"), 0},
    {"a mask for each sample", DOC("",
         INPUT("query", "'shape':[5,'N',6]") "," INPUT("key", "'shape':[5,'N',6]") ","
         INPUT("value", "'shape':[5,'N',6]") ","
         INPUT("key_padding_mask", "'dtype':'BOOL','shape':['N',5]") ","
         INPUT("attn_mask", "'dtype':'BOOL','shape':['N',5,5]"),
         "{'type':'MultiheadAttention','embed_dim':6,'num_heads':1,'add_bias_kv':true,"
         "'add_zero_attn':true}"), 0},
    {"a sequence of batches", DOC("",
         INPUT("query", "'shape':['N',2,8]") "," INPUT("key", "'shape':['N',2,8]") ","
         INPUT("value", "'shape':['N',2,8]"),
         "{'type':'MultiheadAttention','embed_dim':8,'num_heads':2}"), 0},
    {"a mask of the batch", DOC("",
         INPUT("query", "'shape':['N',2,8]") "," INPUT("key", "'shape':['S',2,8]") ","
         INPUT("value", "'shape':['S',2,8]") "," INPUT("key_padding_mask", "'optional':true,"
         "'dtype':'BOOL','shape':[2,'S']") "," INPUT("attn_mask", "'shape':['N','S']"),
         "{'type':'MultiheadAttention','embed_dim':8,'num_heads':2,'need_weights':false}"), 0},
    {"relative positions", DOC("'h':[1,2]", X("'N',10,8"),
         "{'type':'RelativePositionSelfAttention','embed_dim':8,'num_heads':'h','head_dim':4,"
         "'rpe':true,'rpe_length':2,'qkv_bias':true}"), 0},
    {"relative positions of the batch", DOC("", X("1,'N',8"),
         "{'type':'RelativePositionSelfAttention','embed_dim':8,'num_heads':2,'head_dim':4,"
         "'rpe':true,'rpe_length':3}"), 33},
    {"tokens", DOC("'e':[6,11]", X("'N',4,5"),
         SEQ("{'type':'Linear','in_features':5,'out_features':'e'},"
             "{'type':'ClassToken','embed_dim':'e'},"
             "{'type':'AbsolutePositionEmbedding','length':5,'embed_dim':'e'},"
             "{'type':'LayerNorm','normalized_shape':'e'},{'type':'Mean','dim':1}")), 0},
    /* Structures. */
    {"structures", DOC("", X("'N',4"),
         SEQ("{'type':'Repeat','depth':[0,3],'label':'d','blocks':["
             "{'type':'Linear','in_features':4,'out_features':4},{'type':'ReLU'},"
             "{'type':'LayerChoice','label':'op','candidates':[{'name':'a','type':'Tanh'},"
             "{'name':'b','type':'Linear','in_features':4,'out_features':4},"
             "{'name':'c','type':'Identity'}]}]},"
             "{'name':'g','type':'Graph','inputs':['x'],'outputs':['i'],'nodes':["
             NODE("l", "'type':'Linear','in_features':4,'out_features':4", "'x'") ","
             NODE("i", "'type':'InputChoice','label':'in','n_candidates':3,'n_chosen':null,"
                       "'reduction':'mean'", "'x','l','x'") "]}")), 0},
    {"sums of inputs", DOC("", X("'N',4") "," Y("'N',1"),
         "{'type':'Graph','inputs':['x','y'],'outputs':['i','j'],'nodes':["
         NODE("i", "'type':'InputChoice','label':'a','n_candidates':2,'n_chosen':2", "'x','y'") ","
         NODE("j", "'type':'InputChoice','label':'b','n_candidates':2,'n_chosen':2,"
                   "'reduction':'concat'", "'x','y'") "]}"), 0},
    {"sums with a fixed input", DOC("", X("'N',4") "," Y("4,4"),
         "{'type':'Graph','inputs':['x','y'],'outputs':['i'],'nodes':["
         NODE("i", "'type':'InputChoice','label':'a','n_candidates':2,'n_chosen':2", "'x','y'")
         "]}"), 0},
    {"optional", DOC("", X("'N',4") "," INPUT("y", "'shape':['N',4],'optional':true"),
         "{'type':'Graph','inputs':['x','y'],'outputs':['i'],'nodes':["
         NODE("i", "'type':'InputChoice','label':'a','n_candidates':2,'n_chosen':1", "'x','y'")
         "]}"), 0},
    /* Large enough to be shared by threads, and to go through in parts. */
    {"shared images", DOC("", X("'N',8,16,15"),
         SEQ("{'type':'Conv2d','in_channels':8,'out_channels':24,'kernel_size':3,'padding':1},"
             "{'type':'BatchNorm2d','num_features':24},{'type':'ReLU'},"
             "{'type':'Conv2d','in_channels':24,'out_channels':24,'kernel_size':5,'padding':2,"
             "'groups':24},{'type':'GELU'},{'type':'Mean','dim':[2,3]},"
             "{'type':'Linear','in_features':24,'out_features':10}")), LARGE},
    {"shared tokens", DOC("", X("'N',131,24"),
         "{'type':'Graph','inputs':['x'],'outputs':['s'],'nodes':["
         NODE("n", "'type':'LayerNorm','normalized_shape':24", "'x'") ","
         "{'name':'a','type':'MultiheadAttention','embed_dim':24,'num_heads':3,"
         "'batch_first':true,'need_weights':false,"
         "'inputs':{'query':'n','key':'n','value':'n'}},"
         NODE("r", "'type':'Add'", "'x','a'") "," NODE("o", "'type':'LayerNorm',"
         "'normalized_shape':24", "'r'") "," NODE("p", "'type':'Linear','in_features':24,"
         "'out_features':96", "'o'") "," NODE("q", "'type':'GELU'", "'p'") ","
         NODE("t", "'type':'Linear','in_features':96,'out_features':24", "'q'") ","
         NODE("s", "'type':'Add'", "'r','t'") "]}"), LARGE},
    {"parts", DOC("", X("'N',3,256,258"),
         SEQ("{'type':'Conv2d','in_channels':3,'out_channels':7,'kernel_size':3,'stride':2,"
             "'padding':1},{'type':'ReLU'},{'type':'MaxPool2d','kernel_size':2},"
             "{'type':'Conv2d','in_channels':7,'out_channels':11,'kernel_size':3,'stride':2},"
             "{'type':'AdaptiveAvgPool2d','output_size':1},{'type':'Flatten'},"
             "{'type':'Linear','in_features':11,'out_features':4}")), 5},
    {"one image on threads", DOC("", X("'N',48,11,11"),
         SEQ("{'type':'Conv2d','in_channels':48,'out_channels':288,'kernel_size':1,'bias':false},"
             "{'type':'Hardswish'},{'type':'Conv2d','in_channels':288,'out_channels':288,"
             "'kernel_size':5,'padding':2,'groups':288,'bias':false},"
             "{'type':'AdaptiveAvgPool2d','output_size':1}")), 2},
};
/* clang-format on */

/* ---- inputs and outputs ------------------------------------------------------------------- */

static uint32_t drawn;

static uint32_t draw(void)
{
    drawn = drawn * 1664525 + 1013904223;
    return drawn >> 8;
}

struct tensors {
    size_t    n;
    sn_desc   desc[MOST_PORTS];
    sn_tensor at[MOST_PORTS];
};

static void tensors_of(struct tensors *t, const sn_desc *desc, size_t n)
{
    assert_true(n <= MOST_PORTS);
    *t = (struct tensors){.n = n};
    for (size_t i = 0; i < n; i++) {
        t->desc[i] = desc[i];
        if (desc[i].dtype == SN_NONE) continue;
        t->at[i] = sn_tensor_dense(
            desc[i].dtype, &desc[i].shape,
            malloc((size_t)sn_shape_count(&desc[i].shape) * sn_dtype_bytes(desc[i].dtype)));
    }
}

static void tensors_free(struct tensors *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->at[i].data);
}

/* For a batch; optional inputs are absent. */
static void describe(const sn_supernet *net, int64_t batch, sn_desc *desc)
{
    for (size_t i = 0; i < sn_supernet_n_inputs(net); i++) {
        const sn_port *port = sn_supernet_input(net, i);

        desc[i] = port->desc;
        if (port->optional) desc[i].dtype = SN_NONE;
        for (int d = 0; d < desc[i].shape.rank; d++)
            if (port->symbol[d])
                desc[i].shape.dim[d] = strcmp(port->symbol[d], "N") ? SIZE_OF_SYMBOLS : batch;
    }
}

static void fill(struct tensors *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const int64_t n = t->at[i].data ? sn_shape_count(&t->desc[i].shape) : 0;

        for (int64_t k = 0; k < n; k++)
            if (t->desc[i].dtype == SN_F32)
                ((float *)t->at[i].data)[k] = (float)(draw() % 2001) / 1000.0f - 1.0f;
            else if (t->desc[i].dtype == SN_I64)
                ((int64_t *)t->at[i].data)[k] = draw() % 3;
            else
                ((unsigned char *)t->at[i].data)[k] = draw() % 4 == 0;
    }
}

/* ---- one subnet ----------------------------------------------------------------------------- */

struct subject {
    const char         *name;
    sn_subnet          *subnet;
    const float *const *probs;
    sn_mode             mode;
    int                 n_threads;
};

static int n_runs, n_plans_of_all, n_soft, n_parts;
static int n_spans, n_lanes, n_chains_of_rows, n_chains_of_channels; /* plans with them */

static void count(const sn_plan *p)
{
    bool rows = false, channels = false;

    for (size_t i = 0; i < p->n_tasks; i++) {
        rows = rows || (p->task[i].chain && !p->task[i].chain_of_channels);
        channels = channels || (p->task[i].chain && p->task[i].chain_of_channels);
    }
    n_spans += p->n_spans > 1;
    n_lanes += p->n_lanes > 1;
    n_chains_of_rows += rows;
    n_chains_of_channels += channels;
}

static sn_status compile(const struct subject *s, int64_t batch, sn_plan **ret_plan, sn_error *err)
{
    const sn_supernet *net = sn_subnet_supernet(s->subnet);
    sn_desc            desc[MOST_PORTS];
    sn_compile_options options = {.size = sizeof options,
                                  .in = desc,
                                  .n_in = sn_supernet_n_inputs(net),
                                  .mode = s->mode,
                                  .n_threads = s->n_threads};

    assert_true(options.n_in <= MOST_PORTS);
    describe(net, batch, desc);
    return sn_plan_compile(s->subnet, &options, ret_plan, err);
}

/* On new memory, with new statistics. */
static sn_status run(const struct subject *s, sn_plan *plan, const struct tensors *in,
                     int64_t batch, int n_threads, struct tensors *ret_out, sn_error *err)
{
    const sn_plan_info *info = sn_plan_describe(plan);
    const size_t        n_bytes = (info->scratch_bytes + 63) / 64 * 64;
    const sn_parallel   threads = threads_of(n_threads);
    sn_run_options      options = {.size = sizeof options,
                                   .scratch = aligned_alloc(64, n_bytes ? n_bytes : 64),
                                   .probs = s->probs,
                                   .parallel = n_threads > 1 ? &threads : NULL};
    sn_desc             desc[MOST_PORTS];
    sn_status           rc;

    assert_true(info->n_out <= MOST_PORTS);
    sn_plan_outputs(plan, batch, desc);
    tensors_of(ret_out, desc, info->n_out);
    memset(options.scratch, 0xff, n_bytes);
    if (s->mode == SN_TRAIN)
        assert_int_equal(sn_state_create(sn_subnet_supernet(s->subnet), &options.state, err),
                         SN_OK);
    n_runs++;
    count(plan);
    rc = sn_plan_forward(plan, in->at, ret_out->at, &options, err);
    sn_state_free(options.state);
    free(options.scratch);
    return rc;
}

static void same(const struct subject *s, const struct tensors *a, const struct tensors *b,
                 int64_t batch, const char *what)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const int64_t n = a->at[i].data ? sn_shape_count(&a->desc[i].shape) : 0;

        if (!sn_shape_equal(&a->desc[i].shape, &b->desc[i].shape) ||
            a->desc[i].dtype != b->desc[i].dtype)
            fail_msg("%s, batch %d: output %zu has another shape, %s", s->name, (int)batch, i,
                     what);
        if (n &&
            memcmp(a->at[i].data, b->at[i].data, (size_t)n * sn_dtype_bytes(a->desc[i].dtype)) != 0)
            fail_msg("%s, batch %d: output %zu has other bits, %s", s->name, (int)batch, i, what);
    }
}

/* One batch: a plan of its own, on one thread and on all, and the plan of more samples. */
static void check_batch(const struct subject *s, int64_t batch, sn_plan *wide)
{
    const sn_supernet *net = sn_subnet_supernet(s->subnet);
    sn_plan           *own = NULL;
    sn_error           err = {0};
    sn_desc            desc[MOST_PORTS];
    struct tensors     in, want, got;
    const bool         fits = compile(s, batch, &own, &err) == SN_OK;

    if (!fits && wide)
        fail_msg("%s, batch %d is refused alone, not beside others: %s", s->name, (int)batch,
                 err.text);
    if (!fits) return;
    describe(net, batch, desc);
    tensors_of(&in, desc, sn_supernet_n_inputs(net));
    fill(&in);
    if (run(s, own, &in, batch, 1, &want, &err) != SN_OK)
        fail_msg("%s, batch %d: %s: %s", s->name, (int)batch, err.where, err.text);
    for (int n_threads = 1; n_threads <= s->n_threads; n_threads += 2) {
        if (s->mode == SN_TRAIN && n_threads > 1) continue; /* its bits may depend on them */
        if (n_threads > 1) {
            assert_int_equal(run(s, own, &in, batch, n_threads, &got, &err), SN_OK);
            same(s, &got, &want, batch, "on threads");
            tensors_free(&got);
        }
        if (!wide) continue;
        if (run(s, wide, &in, batch, n_threads, &got, &err) != SN_OK)
            fail_msg("%s, batch %d of more: %s: %s", s->name, (int)batch, err.where, err.text);
        same(s, &got, &want, batch,
             n_threads > 1 ? "in a wider plan on threads" : "in a wider plan");
        tensors_free(&got);
    }
    tensors_free(&want);
    tensors_free(&in);
    sn_plan_unref(own);
}

/* Every batch up to `most` in eval or train mode. */
static void check_subject(const struct subject *s, int64_t most)
{
    const int parts = threads_parts();
    sn_plan  *wide = NULL;
    sn_error  err = {0};

    drawn = 7;
    if (compile(s, most, &wide, &err) == SN_OK && sn_plan_describe(wide)->fixed_batch)
        wide = sn_plan_unref(wide);
    n_plans_of_all += wide != NULL;
    for (int64_t batch = 1; batch <= most; batch++)
        check_batch(s, batch, wide && sn_plan_describe(wide)->max_batch >= batch ? wide : NULL);
    sn_plan_unref(wide);
    n_parts += threads_parts() - parts;
}

static void check_subnet(const char *name, sn_subnet *subnet, const float *const *probs,
                         int64_t most)
{
    for (int n_threads = 1; n_threads <= 3; n_threads += 2)
        for (int train = 0; train < 2; train++) {
            const struct subject s = {name, subnet, probs, train ? SN_TRAIN : SN_EVAL, n_threads};

            check_subject(&s, most);
        }
}

/* ---- one network --------------------------------------------------------------------------------
 */

/* Random subnets, and one that leaves every choice that it can to a distribution. */
static void check_net(const char *name, sn_supernet *net, int64_t most)
{
    const size_t n = sn_supernet_n_choices(net);
    sn_policy   *path, *soft;
    sn_rng       rng;
    sn_error     err = {0};

    assert_int_equal(sn_policy_create(net, "path", NULL, &path, &err), SN_OK);
    sn_rng_seed(&rng, 1);
    for (int i = 0; i < (n > 0 ? DRAWS : 1); i++) {
        sn_draft  *draft;
        sn_subnet *subnet;

        assert_int_equal(sn_draft_create(net, &draft, &err), SN_OK);
        assert_int_equal(sn_policy_resample(path, &rng, draft, &err), SN_OK);
        if (sn_draft_seal(draft, &subnet, &err) == SN_OK) {
            check_subnet(name, subnet, NULL, most);
            sn_subnet_unref(subnet);
        }
        sn_draft_free(draft);
    }
    if (n > 0 && n <= MOST_CHOICES &&
        sn_policy_create(net, "differentiable", NULL, &soft, NULL) == SN_OK) {
        float        probs[MOST_CHOICES][MOST_CANDIDATES] = {{0}};
        const float *at[MOST_CHOICES] = {0};
        sn_draft    *draft;
        sn_subnet   *subnet = NULL;

        assert_int_equal(sn_draft_create(net, &draft, &err), SN_OK);
        /* heads cannot follow a distribution */
        if (strstr(sn_supernet_spec(net), "\"h\"")) {
            const sn_value two = {.kind = SN_KIND_INT, .as.integer = 2};

            assert_int_equal(sn_draft_set(draft, "h", &two, &err), SN_OK);
        }
        if (sn_policy_resample(soft, &rng, draft, NULL) == SN_OK &&
            sn_draft_seal(draft, &subnet, NULL) == SN_OK) {
            for (size_t i = 0; i < n; i++) {
                if (!sn_draft_is_soft(draft, i)) continue;
                assert_true(sn_supernet_choice(net, i)->n_candidates <= MOST_CANDIDATES);
                assert_int_equal(sn_policy_probs(soft, &rng, i, probs[i], &err), SN_OK);
                at[i] = probs[i];
            }
            n_soft++;
            check_subnet(name, subnet, at, most);
            sn_subnet_unref(subnet);
        }
        sn_draft_free(draft);
        sn_policy_free(soft);
    }
    sn_policy_free(path);
}

static void every_batch_gives_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        char        *spec = strdup(networks[i].spec);
        struct whole w;

        for (char *at = spec; *at; at++)
            if (*at == '\'') *at = '"';
        whole_load(&w, spec);
        check_net(networks[i].name, w.net, networks[i].most ? networks[i].most : LARGEST);
        whole_fini(&w);
        free(spec);
    }
    assert_true(n_runs > 3000 / (LARGEST == 7 ? 4 : 1));
    assert_true(n_plans_of_all > 100 / (LARGEST == 7 ? 2 : 1)); /* one plan for all batches */
    assert_true(n_soft >= 5);
    assert_true(n_parts > 100); /* work was shared at all */
    assert_true(n_spans && n_lanes && n_chains_of_rows && n_chains_of_channels);
}

static void every_batch_of_the_demo(void **state)
{
    sn_supernet *net = net_demo();

    (void)state;
    check_net("demo", net, LARGE);
    sn_supernet_unref(net);
}

/* Documents that the fuzzer starts from, if they are valid. */
static void every_batch_of_the_corpus(void **state)
{
    static const char *const names[] = {
        "attention", "cell",   "cell_choices", "choices", "conv",   "cycle",
        "graph",     "linear", "nasbench201",  "repeat",  "syntax", "unicode",
    };
    int n_loaded = 0;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static char  spec[1 << 16];
        char         path[128];
        FILE        *f;
        sn_registry *reg;
        sn_supernet *bare;
        struct whole w;
        size_t       n;

        snprintf(path, sizeof path, "tests/fuzz/corpus/fuzz_spec/%s.json", names[i]);
        f = fopen(path, "rb");
        assert_non_null(f);
        n = fread(spec, 1, sizeof spec - 1, f);
        spec[n] = 0;
        fclose(f);
        assert_int_equal(sn_registry_create(&reg, NULL), SN_OK);
        if (sn_supernet_load(spec, n, NULL, reg, &bare, NULL) == SN_OK) {
            sn_supernet_unref(bare);
            whole_load(&w, spec);
            check_net(names[i], w.net, LARGE);
            whole_fini(&w);
            n_loaded++;
        }
        sn_registry_unref(reg);
    }
    assert_true(n_loaded >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_gives_the_same_bits),
        cmocka_unit_test(every_batch_of_the_demo),
        cmocka_unit_test(every_batch_of_the_corpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
