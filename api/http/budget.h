/* budget: who pays for what a call makes, and who may stop it. */
#ifndef API_HTTP_BUDGET_H
#define API_HTTP_BUDGET_H

#include "account.h"
#include "http/problem.h"

struct budget {
    struct account    *account;
    const atomic_bool *stop; /* NULL: nobody */
};

/* Bytes that a call is offered first, before it may take all there is. */
enum { BUDGET_USUAL = 8 << 20 };

/* What the library asks; `cls` is the flag. */
bool api_budget_stopped(void *cls);

/* SN_E_LIMIT of a call that was given `got` bytes, and would have been given `most`: the call's own
 * limit, or the account's, now or for ever. Other errors as api_fail_library(). */
enum problem_code api_fail_budget(struct problem *p, const struct budget *b,
                                  enum account_purpose purpose, size_t got, size_t most,
                                  const sn_error *err, const char *what);

#endif
