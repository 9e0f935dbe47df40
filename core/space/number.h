/* number: Python's arithmetic on int64 and double.
 *
 * What can fail returns NULL, or the reason as a sentence; results on success only.
 * An integer that leaves 64 bits is a failure, never wrapped. */
#ifndef SPACE_NUMBER_H
#define SPACE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "space/value.h"

extern const char number_too_large[];
extern const char number_division_by_zero[];

/* Division rounds toward minus infinity; the remainder has the sign of b. */
const char *number_int_divmod(int64_t a, int64_t b, int64_t *ret_quotient, int64_t *ret_rest);
const char *number_int_mod(int64_t a, int64_t b, int64_t *ret_rest);
const char *number_real_divmod(double a, double b, double *ret_quotient, double *ret_rest);

/* The correctly rounded quotient, also of integers that no double holds. */
const char *number_int_ratio(int64_t a, int64_t b, double *ret_ratio);

const char *number_int_pow(int64_t a, uint64_t b, int64_t *ret_power);
const char *number_int_pow_mod(int64_t a, int64_t b, int64_t m, int64_t *ret_power);
const char *number_real_pow(double a, double b, double *ret_power);

const char *number_shift_left(int64_t a, int64_t n, int64_t *ret_shifted);
const char *number_shift_right(int64_t a, int64_t n, int64_t *ret_shifted);

/* Toward zero; fails for inf, NaN and what has more than 64 bits. */
const char *number_real_to_int(double x, int64_t *ret_integer);

/* Half to even, correctly rounded in the decimal sense; digits may be negative. */
const char *number_int_round(int64_t x, int64_t digits, int64_t *ret_rounded);
const char *number_real_round(double x, int64_t digits, double *ret_rounded);
double      number_real_round_whole(double x);

/* Exact: neither is converted to the other. */
enum value_order number_compare(int64_t a, double b);

/* What int(text) and float(text) read: blanks around, signs, underscores. */
const char *number_text_to_int(const char *text, int64_t *ret_integer);
const char *number_text_to_real(const char *text, double *ret_real);

/* Digits [. digits] [e [+-] digits] with underscores between digits, n bytes in
 * all; false if it is not that. */
bool number_parse_real(const char *text, size_t n, double *ret_real);

#endif
