/* program: put the program of an expression together, step by step. */
#include "space/program.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more item at *vector. */
static sn_status grow(struct program *p, void *vector, size_t n, size_t *cap, size_t size)
{
    void  *old, *bigger;
    size_t more = *cap == 0 ? 16 : *cap * 2;

    if (n < *cap) return SN_OK;
    if (n >= EXPR_MAX_CODE)
        return sn_fail(p->err, SN_E_LIMIT, p->where, "the expression has more than %d parts",
                       EXPR_MAX_CODE);
    memcpy(&old, vector, sizeof old);
    bigger = realloc(old, more * size);
    if (!bigger) return fail_no_memory(p->err, p->where);
    memcpy(vector, &bigger, sizeof bigger);
    *cap = more;
    return SN_OK;
}

sn_status program_emit(struct program *p, enum step step, int what, size_t n, uint32_t index)
{
    TRY(grow(p, &p->code, p->n_code, &p->cap_code, sizeof *p->code));
    p->code[p->n_code++] = (struct code){
        .step = (uint8_t)step, .what = (uint8_t)what, .n = (uint16_t)n, .to.index = index};
    return SN_OK;
}

sn_status program_constant(struct program *p, const sn_value *v)
{
    TRY(grow(p, &p->constant, p->n_constants, &p->cap_constants, sizeof *p->constant));
    p->constant[p->n_constants] = *v;
    return program_emit(p, STEP_CONSTANT, 0, 0, (uint32_t)p->n_constants++);
}

/* The index of a label, n_labels if it is new. One by one while they are few. */
static size_t find_label(const struct program *p, const char *label)
{
    size_t i = 0;

    if (p->tmp) return table_find(&p->by_label, label, &i) ? i : p->n_labels;
    while (i < p->n_labels && strcmp(p->label[i]->label, label) != 0)
        i++;
    return i;
}

static sn_status add_label(struct program *p, const sn_choice *choice)
{
    enum { FEW = 16 };
    size_t from = p->n_labels;

    TRY(grow(p, &p->label, p->n_labels, &p->cap_labels, sizeof(const sn_choice *)));
    p->label[p->n_labels++] = choice;
    if (p->n_labels < FEW) return SN_OK;
    if (!p->tmp) {
        p->tmp = sn_arena_create();
        from = 0;
        if (!p->tmp) return fail_no_memory(p->err, p->where);
    }
    for (; from < p->n_labels; from++)
        if (!table_add(&p->by_label, p->tmp, p->label[from]->label, from))
            return fail_no_memory(p->err, p->where);
    return SN_OK;
}

sn_status program_label(struct program *p, const sn_choice *choice)
{
    const size_t i = find_label(p, choice->label);

    if (i == p->n_labels) TRY(add_label(p, choice));
    TRY(grow(p, &p->leaf, p->n_leaves, &p->cap_leaves, sizeof *p->leaf));
    p->leaf[p->n_leaves++] = (uint32_t)i;
    return program_emit(p, STEP_LABEL, 0, 0, (uint32_t)i);
}

void program_land(struct program *p, size_t at)
{
    p->code[at].to.jump = (int32_t)(p->n_code - at - 1);
}

/* [a | b] -> [b | a], with `size` bytes for an item. */
static sn_status swap(struct program *p, void *a, size_t n_a, size_t n_b, size_t size)
{
    char *left;

    if (n_a == 0 || n_b == 0) return SN_OK;
    left = malloc(n_a * size);
    if (!left) return fail_no_memory(p->err, p->where);
    memcpy(left, a, n_a * size);
    memmove(a, (char *)a + n_a * size, n_b * size);
    memcpy((char *)a + n_b * size, left, n_a * size);
    free(left);
    return SN_OK;
}

sn_status program_swap_code(struct program *p, size_t start, size_t n)
{
    return swap(p, p->code + start, n, p->n_code - start - n, sizeof *p->code);
}

sn_status program_swap_leaves(struct program *p, size_t start, size_t n_first, size_t n_second)
{
    if (n_first == 0) return SN_OK; /* maybe there is no leaf at all yet */
    return swap(p, p->leaf + start, n_first, n_second, sizeof *p->leaf);
}

sn_status program_splice(struct program *p, const sn_expr *e)
{
    const size_t first_leaf = p->n_leaves, first_constant = p->n_constants;

    for (size_t i = 0; i < e->n_constants; i++) {
        TRY(grow(p, &p->constant, p->n_constants, &p->cap_constants, sizeof *p->constant));
        p->constant[p->n_constants++] = e->constant[i];
    }
    for (size_t i = 0; i < e->n_code; i++) {
        if (e->code[i].step == STEP_LABEL) {
            TRY(program_label(p, e->label[e->code[i].to.index]));
            continue;
        }
        TRY(program_emit(p, STEP_CONSTANT, 0, 0, 0));
        p->code[p->n_code - 1] = e->code[i];
        if (e->code[i].step == STEP_CONSTANT)
            p->code[p->n_code - 1].to.index += (uint32_t)first_constant;
    }
    /* Reading order is not the order of the program: of `cond`, for one. */
    for (size_t i = 0; i < e->n_leaves; i++)
        p->leaf[first_leaf + i] = (uint32_t)find_label(p, e->label[e->leaf[i]]->label);
    return SN_OK;
}

sn_status program_tuple(struct program *p, size_t start, size_t n)
{
    bool      all_constant = p->n_code - start == n;
    sn_value *item = NULL;

    for (size_t i = start; i < p->n_code && all_constant; i++)
        all_constant = p->code[i].step == STEP_CONSTANT;
    if (!all_constant) return program_emit(p, STEP_TUPLE, 0, n, 0);
    if (n > 0) {
        item = arena_array(p->mem, n, sizeof *item);
        if (!item) return fail_no_memory(p->err, p->where);
        for (size_t i = 0; i < n; i++)
            item[i] = p->constant[p->code[start + i].to.index];
    }
    p->n_code = start;
    return program_constant(p, &(sn_value){.kind = SN_KIND_TUPLE, .as.tuple = {item, n}});
}

/* ---- the finished expression ---------------------------------------------------------- */

/* How many values wait at once. Branches leave as many behind as they found, so one
 * walk through the program sees every depth. */
static sn_status check_stack(struct program *p)
{
    long depth = 0, most = 0;

    for (size_t i = 0; i < p->n_code; i++) {
        switch ((enum step)p->code[i].step) {
        case STEP_CONSTANT:
        case STEP_LABEL:
            depth++;
            break;
        case STEP_UNARY:
            break;
        case STEP_CALL:
        case STEP_TUPLE:
            depth += 1 - (long)p->code[i].n;
            break;
        default:
            depth--;
        }
        most = depth > most ? depth : most;
    }
    if (most <= EXPR_MAX_STACK) return SN_OK;
    return sn_fail(p->err, SN_E_SYNTAX, p->where,
                   "column 1: %ld values wait for their operators at once; %d are allowed", most,
                   EXPR_MAX_STACK);
}

/* n items in the arena; NULL only for want of memory. */
static void *keep(struct program *p, const void *from, size_t n, size_t size)
{
    void *copy = arena_array(p->mem, n + 1, size);

    if (copy && n > 0) memcpy(copy, from, n * size);
    return copy;
}

/* Number the labels by first appearance among the leaves. */
static sn_status renumber(struct program *p)
{
    const sn_choice **label = p->label;
    uint32_t         *number = malloc((p->n_labels + 1) * sizeof *number);
    uint32_t          next = 0;

    p->label = calloc(p->n_labels + 1, sizeof(const sn_choice *));
    if (!number || !p->label) {
        free(number);
        free(label);
        return fail_no_memory(p->err, p->where);
    }
    for (size_t i = 0; i < p->n_labels; i++)
        number[i] = UINT32_MAX;
    for (size_t i = 0; i < p->n_leaves; i++) {
        uint32_t *to = &number[p->leaf[i]];

        if (*to == UINT32_MAX) {
            *to = next;
            p->label[next++] = label[p->leaf[i]];
        }
        p->leaf[i] = *to;
    }
    for (size_t i = 0; i < p->n_code; i++)
        if (p->code[i].step == STEP_LABEL) p->code[i].to.index = number[p->code[i].to.index];
    free(number);
    free(label);
    return SN_OK;
}

sn_status program_finish(struct program *p, const char *text, sn_expr **ret_expr)
{
    sn_expr *e;

    TRY(check_stack(p));
    TRY(renumber(p));
    e = ARENA_NEW(p->mem, sn_expr);
    if (!e) return fail_no_memory(p->err, p->where);
    *e = (sn_expr){
        .text = arena_strdup(p->mem, text),
        .where = arena_strdup(p->mem, p->where ? p->where : ""),
        .code = keep(p, p->code, p->n_code, sizeof *p->code),
        .n_code = p->n_code,
        .constant = keep(p, p->constant, p->n_constants, sizeof *p->constant),
        .n_constants = p->n_constants,
        .label = keep(p, p->label, p->n_labels, sizeof(const sn_choice *)),
        .n_labels = p->n_labels,
        .leaf = keep(p, p->leaf, p->n_leaves, sizeof *p->leaf),
        .n_leaves = p->n_leaves,
    };
    if (!e->text || !e->where || !e->code || !e->constant || !e->label || !e->leaf)
        return fail_no_memory(p->err, p->where);
    *ret_expr = e;
    return SN_OK;
}

void program_fini(struct program *p)
{
    free(p->code);
    free(p->constant);
    free(p->leaf);
    free(p->label);
    sn_arena_free(p->tmp);
}
