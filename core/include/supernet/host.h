/* host.h - for a program that serves what others send, and stays up: limits, memory, files that
 * change, weights that are replaced. */
#ifndef SUPERNET_HOST_H
#define SUPERNET_HOST_H

#include "supernet/supernet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- documents of others -------------------------------------------------- */

/* What a load may take. A document decides how much work and memory it needs, so whoever takes
 * documents from others sets limits; zeros are the defaults. */
typedef struct sn_load_options {
    size_t size;
    bool (*stop)(void *cls); /* asked every 100 microseconds or so, by the calling thread; true
                              * ends the load with SN_E_STOPPED. NULL: never */
    void *stop_cls;
    /* SN_E_LIMIT above: everything but the weights, while it is loaded. 0: 48 MiB. */
    size_t memory_limit_bytes;
    /* SN_E_LIMIT above; a step is about 10 ns. 0: 2^26. */
    uint64_t step_limit;
} sn_load_options;

/* As sn_supernet_load(), which is this with NULL for the options. */
sn_status sn_supernet_load_with(const char *spec_json, size_t spec_bytes, sn_weights *weights,
                                sn_registry *reg, const sn_load_options *options,
                                sn_supernet **ret_net, sn_error *err);

/* What a policy, or a draft, may take: its calls end with SN_E_STOPPED when `stop` says so, and
 * with SN_E_LIMIT above the limits; a policy is then as before the call. */
typedef struct sn_limits {
    size_t size;
    bool (*stop)(void *cls); /* as in sn_load_options */
    void *stop_cls;
    /* 0: 256 MiB of all that a policy holds; 64 MiB for sealing a draft, and for reading choices.
     */
    size_t   memory_limit_bytes;
    uint64_t step_limit; /* of one call, a step being about 10 ns. 0: none for a policy, 2^26 for a
                          * draft */
} sn_limits;

/* As sn_policy_create(), under limits, which hold for later calls too. NULL: the defaults. */
sn_status sn_policy_create_with(sn_supernet *net, const char *name, const char *options_json,
                                const sn_limits *limits, sn_policy **ret_policy, sn_error *err);

/* Other limits for the calls to come; NULL: the defaults. */
void sn_policy_limits(sn_policy *policy, const sn_limits *limits);
void sn_draft_limits(sn_draft *draft, const sn_limits *limits);

/* ---- files that others change --------------------------------------------- */

/* MAP: the kernel reads pages when they are needed and may drop them, all processes share them.
 * COPY: private memory, the whole file is read once; nothing can happen to it afterwards. */
typedef enum sn_weights_mode { SN_WEIGHTS_MAP, SN_WEIGHTS_COPY } sn_weights_mode;

typedef struct sn_weights_options {
    size_t          size;
    sn_weights_mode mode;
    uint64_t        limit_bytes; /* SN_E_LIMIT for a larger file. 0: none */
    bool (*stop)(void *cls); /* asked while a copy is made, every few MB: SN_E_STOPPED; or NULL */
    void *stop_cls;
} sn_weights_options;

/* As sn_weights_open(), from a descriptor, which stays the caller's and may be closed right after:
 * for programs that have rules about where files may be. `path` is where it was opened, for
 * messages and to see whether it was replaced by rename. NULL for the options: the defaults. */
sn_status sn_weights_open_fd(int fd, const char *path, const sn_weights_options *options,
                             sn_weights **ret_weights, sn_error *err);

/* Are the bytes still those that were opened? SN_E_CHANGED if the mapped file was truncated or
 * overwritten in place since, now and for ever after. Costs one fstat(). Replacing, moving,
 * deleting and linking the file are no changes. Look after a run, before its result is used;
 * always SN_OK for copies, borrowed memory and NULL. sn_weights_is_changed() asks nobody: it says
 * what was found so far, by this or by the handler of SIGBUS. */
sn_status sn_weights_check(const sn_weights *w, sn_error *err);
bool      sn_weights_is_changed(const sn_weights *w);

/* Reading pages that a truncated file does not have any more raises SIGBUS, which ends the process.
 * After this call zeros are read instead, and sn_weights_check() says it; load, compile,
 * forward and export return SN_E_CHANGED. Faults elsewhere keep the handler that was there
 * before. For the program to call, once, before it has threads; none of them may block SIGBUS. */
sn_status sn_sigbus_install(sn_error *err);

/* ---- memory --------------------------------------------------------------- */

/* Memory that the supernet holds by itself: no mapped file, and what plans have prepared is
 * counted by sn_supernet_packed_bytes(). */
size_t sn_supernet_bytes(const sn_supernet *net);

/* Memory of weights that plans had prepared so far (sn_variant.pack), shared by all of them
 * and kept as long as the supernet. Each takes the place of its pages of a mapped file. */
size_t sn_supernet_packed_bytes(const sn_supernet *net);

/* What the others hold by themselves; of weights all their bytes, mapped or not. */
size_t sn_weights_bytes(const sn_weights *w);
size_t sn_subnet_bytes(const sn_subnet *subnet);
size_t sn_policy_bytes(const sn_policy *policy);

/* ---- what belongs to what ------------------------------------------------- */

const char    *sn_supernet_spec(const sn_supernet *net);   /* the document it was loaded from */
const uint8_t *sn_supernet_digest(const sn_supernet *net); /* SHA-256 of the document, 32 bytes */

/* The weights it was loaded with, borrowed; NULL without. */
const sn_weights *sn_supernet_weights(const sn_supernet *net);

sn_supernet *sn_subnet_supernet(const sn_subnet *subnet); /* borrowed */
sn_subnet   *sn_plan_subnet(const sn_plan *plan);         /* borrowed */
const char  *sn_policy_name(const sn_policy *policy);

/* The same decisions over the same document: equal ids are so all but surely. */
bool sn_subnet_equal(const sn_subnet *a, const sn_subnet *b);

/* What is decided so far, as sn_subnet_write_choices() writes all of it. */
sn_status sn_draft_write_choices(const sn_draft *draft, const sn_sink *sink, sn_error *err);

/* ---- policies over new weights -------------------------------------------- */

/* Go on over another load of the same document (new weights) with the state as it is, at no cost.
 * SN_E_INVALID: another document, or another registry. SN_E_UNSUPPORTED: the class is not movable;
 * save and load instead. Nobody else uses the policy meanwhile. */
sn_status sn_policy_move(sn_policy *policy, sn_supernet *net, sn_error *err);
bool      sn_policy_is_movable(const sn_policy *policy);

/* ---- weights of a subnet, piece by piece ---------------------------------- */

/* What sn_subnet_write_weights() writes, to be read in pieces of any size from any place: nothing
 * is copied before it is asked for, but what is no part of the supernet's weights (the centre of a
 * kernel). Holds the subnet alive. */
typedef struct sn_weights_reader sn_weights_reader;

sn_status sn_subnet_read_weights(sn_subnet *subnet, sn_weights_reader **ret_reader, sn_error *err);
uint64_t  sn_weights_reader_bytes(const sn_weights_reader *r);      /* of the whole document */
size_t    sn_weights_reader_held_bytes(const sn_weights_reader *r); /* memory of the reader */

/* Bytes from `at` on into `to`: n of them, or fewer at the end of the document; 0 before it if the
 * file of the weights has changed. Any thread, also several at once. */
size_t sn_weights_reader_read(const sn_weights_reader *r, uint64_t at, void *to, size_t n);
sn_weights_reader *sn_weights_reader_free(sn_weights_reader *r);

#ifdef __cplusplus
}
#endif
#endif
