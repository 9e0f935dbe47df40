/* tensor_json: nested arrays <-> tensors, for people and small inputs.
 *
 * Straight from text to elements and back: a tensor as a tree of JSON objects
 * would be an allocation for every number. */
#ifndef API_HTTP_TENSOR_JSON_H
#define API_HTTP_TENSOR_JSON_H

#include "http/buf.h"
#include "http/json_cursor.h"

/* Read nested arrays as `port` wants them. `where` is put into messages; the elements are appended
 * to `data`, which is empty, and ret_tensor is a view of them. data->stop ends it. Dimensions with
 * a symbol are whatever the arrays say. */
enum problem_code api_tensor_json_read(struct json_cursor *c, const sn_port *port,
                                       const char *where, struct api_buf *data,
                                       sn_tensor *ret_tensor, struct problem *p);

/* Append a dense tensor. JSON has no infinity and no NaN: P_NOT_FINITE with the index. */
enum problem_code api_tensor_json_write(struct api_buf *b, const sn_tensor *t, const char *where,
                                        struct problem *p);

/* "[N, 1, 8, 8]", as the specification has it. */
const char *api_port_shape_text(const sn_port *port, char *buf, size_t n_bytes);

#endif
