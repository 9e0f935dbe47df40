/* fuzz_tensor_json: whatever the bytes of a forward's body are, the request is answered
 * with outputs or refused with a sentence, never with 500; and a tensor that was read
 * is written and read again as the same bits. The first byte chooses the element type. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "api.h"
#include "http/tensor_json.h"
#include "supernet/supernet.h"
#include "supernet/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) abort();
}

static struct api *api_of_demo(void)
{
    static struct api      *api;
    const struct api_config config = {.plan_cache_bytes = 16 << 20,
                                      .subnet_cache = 100,
                                      .max_body_bytes = 1 << 20,
                                      .max_scratch_bytes = 16 << 20,
                                      .max_batch = 4,
                                      .max_subnets = 4,
                                      .blas_threads = 1};
    char                    why[256];

    if (!api) {
        api = api_create(&config, why, sizeof why);
        require(api && api_load(api, "digits", NULL, why, sizeof why));
    }
    return api;
}

static void check_tensor(const char *text, size_t n, sn_dtype dtype)
{
    const sn_port      port = {.name = "x", .desc = {dtype, {2, {-1, 2}}}, .symbol = {"N"}};
    struct json_cursor c = {.start = text, .at = text, .end = text + n};
    struct problem     p = {0};
    struct api_buf     b = {0}, data = {0}, data_again = {0};
    sn_tensor          t, again;
    size_t             n_bytes;

    if (api_tensor_json_read(&c, &port, "x", &data, &t, &p) != P_OK) {
        require(p.text[0] && api_problem_status(p.code) < 500);
        api_buf_fini(&data);
        return;
    }
    require(c.at <= c.end);
    n_bytes = (size_t)sn_shape_count(&t.shape) * sn_dtype_bytes(dtype);
    require(api_tensor_json_write(&b, &t, "x", &p) == P_OK);
    api_buf_byte(&b, ']'); /* a number must be followed by something */
    require(!b.failed);
    c = (struct json_cursor){.start = b.at, .at = b.at, .end = b.at + b.n};
    require(api_tensor_json_read(&c, &port, "x", &data_again, &again, &p) == P_OK);
    require(sn_shape_equal(&t.shape, &again.shape));
    require(n_bytes == 0 || memcmp(t.data, again.data, n_bytes) == 0);
    api_buf_fini(&data);
    api_buf_fini(&data_again);
    api_buf_fini(&b);
}

static void check_request(const char *body, size_t n)
{
    static struct api_worker worker;
    const struct api_request req = {.method = "POST",
                                    .path = "/v1/supernets/digits/forward",
                                    .request_id = "fuzz",
                                    .body = body,
                                    .n_body = n};
    struct api_response      resp;
    json_t                  *json;

    api_handle(api_of_demo(), &worker, &req, &resp);
    require(resp.status == 200 || (resp.status >= 400 && resp.status < 500));
    json = json_loadb(resp.body, resp.n_body, JSON_REJECT_DUPLICATES, NULL);
    require(json && json_object_get(json, resp.status == 200 ? "results" : "error"));
    json_decref(json);
    api_response_fini(&resp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sn_dtype dtypes[] = {SN_F32, SN_F64, SN_I64, SN_I32, SN_I8, SN_U8, SN_BOOL};
    char                 *copy; /* at the end of its memory, so that reading on is seen */

    if (size == 0) return 0;
    copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    copy = realloc(copy, size - 1 ? size - 1 : 1);
    require(copy != NULL);
    check_tensor(copy, size - 1, dtypes[data[0] % (sizeof dtypes / sizeof dtypes[0])]);
    check_request(copy, size - 1);
    free(copy);
    return 0;
}
