/* json_cursor: walk over JSON text without building anything. */
#include <string.h>

#include "tensor_json.h"

void api_json_space(struct json_cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

bool api_json_eat(struct json_cursor *c, char byte)
{
    api_json_space(c);
    if (c->at == c->end || *c->at != byte) return false;
    c->at++;
    return true;
}

enum problem_code api_json_expected(const struct json_cursor *c, const char *what,
                                    struct problem *p)
{
    int line = 1, column = 1;

    for (const char *at = c->start; at < c->at; at++) {
        column++;
        if (*at == '\n') {
            line++;
            column = 1;
        }
    }
    if (c->at == c->end)
        return api_fail(p, P_SYNTAX, "body", "line %d column %d: expected %s, but the body ends",
                        line, column, what);
    if (*c->at < ' ' || *c->at > '~')
        return api_fail(p, P_SYNTAX, "body", "line %d column %d: expected %s, not byte 0x%02x",
                        line, column, what, (unsigned char)*c->at);
    return api_fail(p, P_SYNTAX, "body", "line %d column %d: expected %s, not '%c'", line, column,
                    what, *c->at);
}

static enum problem_code skip_string(struct json_cursor *c, struct problem *p)
{
    for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
        if (*c->at == '\\' && ++c->at == c->end) break;
    if (c->at == c->end) return api_json_expected(c, "the end of a string", p);
    c->at++;
    return P_OK;
}

enum problem_code api_json_skip(struct json_cursor *c, struct problem *p)
{
    const char *first;
    size_t      depth = 0;

    api_json_space(c);
    first = c->at;
    do {
        if (c->at == c->end)
            return api_json_expected(c, depth ? "the end of an array or object" : "a value", p);
        switch (*c->at) {
        case '"':
            if (skip_string(c, p) != P_OK) return p->code;
            break;
        case '[':
        case '{':
            depth++;
            c->at++;
            break;
        case ']':
        case '}':
            if (depth == 0) return api_json_expected(c, "a value", p);
            depth--;
            c->at++;
            break;
        default:
            if (depth) { /* numbers, words, commas, space */
                c->at++;
                break;
            }
            while (c->at < c->end && !memchr(",]} \t\r\n", *c->at, 7))
                c->at++;
            if (c->at == first) return api_json_expected(c, "a value", p);
        }
    } while (depth);
    return P_OK;
}
