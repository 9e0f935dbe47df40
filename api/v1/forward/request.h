/* request: what a forward was asked, in whichever form. JSON and safetensors are two readers of it;
 * nothing behind them knows which it was. */
#ifndef API_V1_FORWARD_REQUEST_H
#define API_V1_FORWARD_REQUEST_H

#include "http/body.h"

/* All that a request can say beside its inputs, see said.c. */
enum said_word {
    SAID_SUBNET,
    SAID_CHOICES,
    SAID_SUBNETS,
    SAID_POLICY,
    SAID_ALPHA,
    SAID_SEED,
    SAID_VERSION,
    SAID_MODE,
    SAID_COUNT
};
#define API_FORWARD_WORDS "subnet|choices|subnets|policy|alpha|seed|version|mode"

enum said_form { SAID_NOWHERE, IN_QUERY, IN_BODY, IN_METADATA };

/* One of them: a text, a number or a piece of JSON, whatever the word has. */
struct said {
    enum said_form   in;
    const char      *text;
    int64_t          number;
    struct json_text json;
};

struct forward_request {
    struct call *call;
    struct said  said[SAID_COUNT];

    /* Inputs, one for each port; dtype SN_NONE: not sent. */
    sn_tensor      in[SN_MAX_PORTS];
    struct api_buf owned[SN_MAX_PORTS]; /* the data of inputs that are no views into the body */
    sn_weights    *weights;             /* a safetensors body; NULL for JSON */
};

/* ---- read_json.c, read_safetensors.c ---- */

enum problem_code api_forward_read_json(struct forward_request *r);
enum problem_code api_forward_read_safetensors(struct forward_request *r);

/* ---- said.c ---- */

/* Collect what one form says: a member of the body; all keys of the metadata; all parameters of the
 * query. A word that is unknown, or said differently elsewhere, is refused. */
enum problem_code api_forward_say_json(struct forward_request *r, struct json_text name,
                                       struct json_text value);
enum problem_code api_forward_say_metadata(struct forward_request *r);
enum problem_code api_forward_say_query(struct forward_request *r);

bool        api_forward_is_said(const struct forward_request *r, enum said_word w);
const char *api_forward_where(const struct forward_request *r, enum said_word w);

#endif
