/* policies: who decides, as requests name it. */
#ifndef API_RESIDENT_POLICIES_H
#define API_RESIDENT_POLICIES_H

#include "http/call.h"
#include "resident/resident.h"

/* A policy in the hands of one call: an instance, locked, or a fresh one of a class. */
struct policy_use {
    sn_policy         *policy;
    struct instance   *instance; /* NULL: `policy` is this call's own */
    struct budget      budget;
    size_t             charged; /* for one of its own */
    struct policy_turn turn;    /* from open to close: the library's functions can be called */
};

/* A kind of policy; NULL if there is none of this name, which the second says. */
const struct sn_policy_class *api_policy_class(const struct api *api, const char *name);
enum problem_code api_fail_policy_class(struct call *call, const char *name, const char *where);

/* By the name of an instance or else of a class. The instance "default" is created if
 * need be. `where` is the place of the name. */
enum problem_code api_policy_open(struct call *call, const char *name, const char *where,
                                  struct policy_use *use);

/* A fresh one of a class, with options. */
enum problem_code api_policy_open_own(struct call *call, const char *cls, const char *options,
                                      struct policy_use *use);
void              api_policy_close(struct policy_use *use);

/* The instance that a path names, referenced; 404 if there is none. */
enum problem_code api_policy_instance(struct call *call, const char *name,
                                      struct instance **ret_instance);

/* Hand `text` to a function of the library that changes the policy of `i`, which is locked: all of
 * it, or nothing. */
typedef sn_status api_teacher(sn_policy *policy, const char *text, sn_error *err);
enum problem_code api_instance_teach(struct call *call, struct instance *i, api_teacher *teach,
                                     const char *text);

/* The state of a policy as text, terminated. */
enum problem_code api_policy_save(const sn_policy *policy, struct api_buf *ret_text,
                                  struct problem *p);

#endif
