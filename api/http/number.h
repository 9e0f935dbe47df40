/* number: JSON numbers to and from text, exactly and without allocation. */
#ifndef API_HTTP_NUMBER_H
#define API_HTTP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { API_NUMBER_BYTES = 32 }; /* room for any number below, with its '\0' */

/* The end of the JSON number at p; NULL if there is none. The number must be
 * followed by another byte of the text (in JSON an array or object always does). */
const char *api_number_scan(const char *p, const char *end, bool *ret_is_integer);

/* The value of a scanned number: correctly rounded, may overflow to infinity. */
double api_number_parse(const char *p, const char *end);

/* False if the integer is outside int64. */
bool api_number_parse_int(const char *p, const char *end, int64_t *ret_integer);

/* Shortest decimal that reads back as the same (finite) number; returns its length. */
size_t api_number_float(char *to, float x);
size_t api_number_double(char *to, double x);

#endif
