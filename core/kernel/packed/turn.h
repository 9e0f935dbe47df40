/* turn: an image from one layout to the other, which is a transposition; and repeating numbers (a
 * part of set_*.c). Squares of VL x VL are transposed in registers: log2(VL) times, vectors i and i
 * + VL / 2 are interleaved into vectors 2 i and 2 i + 1. */

/* Rows i and on of y [columns, ldy], i < columns, are columns i and on of x [rows, ldx]; no more
 * than VL of either. */
INLINE void turn_square(long rows, long columns, const float *x, long ldx, float *y, long ldy)
{
    vec v[VL], w[VL];

    for (long i = 0; i < VL; i++)
        v[i] = i >= rows      ? vec_set(0.0f)
               : columns < VL ? vec_load_n(x + i * ldx, columns)
                              : vec_load(x + i * ldx);
#pragma GCC unroll 4
    for (long half = VL; half > 1; half /= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < VL / 2; i++) {
            w[2 * i] = vec_zip_low(v[i], v[i + VL / 2]);
            w[2 * i + 1] = vec_zip_high(v[i], v[i + VL / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            v[i] = w[i];
    }
    for (long i = 0; i < columns; i++)
        if (rows < VL)
            vec_store_n(y + i * ldy, v[i], rows);
        else
            vec_store(y + i * ldy, v[i]);
}

/* The same for the few channels of an image: rows of x become pixels of 2 to 4 numbers. */
INLINE void turn_few(const int rows, long columns, const float *x, long ldx, float *y, long ldy)
{
    long j = 0;

    for (; j + VL <= columns; j += VL) {
        const vec a = vec_load(x + j), b = vec_load(x + ldx + j);
        const vec c = rows > 2 ? vec_load(x + 2 * ldx + j) : a;
        const vec d = rows > 3 ? vec_load(x + 3 * ldx + j) : b;
        const vec ac[2] = {vec_zip_low(a, c), vec_zip_high(a, c)};
        const vec bd[2] = {vec_zip_low(b, d), vec_zip_high(b, d)};
        float     pixel[VL][4];

        for (int i = 0; i < 2; i++) {
            vec_store(pixel[i * VL / 2], vec_zip_low(ac[i], bd[i]));
            vec_store(pixel[i * VL / 2 + VL / 4], vec_zip_high(ac[i], bd[i]));
        }
        for (int i = 0; i < VL; i++, y += ldy)
            memcpy(y, pixel[i], (size_t)rows * sizeof *y);
    }
    for (; j < columns; j++, y += ldy)
        for (int i = 0; i < rows; i++)
            y[i] = x[i * ldx + j];
}

/* y [columns, ldy] = x [rows, ldx]^T. A square reads whole lines of x, and those beside it in y are
 * its neighbours'. */
static void turn(long rows, long columns, const float *x, long ldx, float *y, long ldy)
{
    for (long j = 0; j < columns; j += VL)
        for (long i = 0; i < rows; i += VL) {
            const long   m = rows - i, n = columns - j;
            const float *from = x + i * ldx + j;
            float       *to = y + j * ldy + i;

            if (m >= VL && n >= VL)
                turn_square(VL, VL, from, ldx, to, ldy);
            else
                turn_square(m < VL ? m : VL, n < VL ? n : VL, from, ldx, to, ldy);
        }
}

static void to_nhwc(long c, long pixels, long p0, long p1, const float *x, float *y, long ldy)
{
    x += p0;
    y += p0 * ldy;
    if (c == 2)
        turn_few(2, p1 - p0, x, pixels, y, ldy);
    else if (c == 3)
        turn_few(3, p1 - p0, x, pixels, y, ldy);
    else if (c == 4)
        turn_few(4, p1 - p0, x, pixels, y, ldy);
    else
        turn(c, p1 - p0, x, pixels, y, ldy);
}

static void to_nchw(long c, long pixels, long p0, long p1, const float *x, long ldx, float *y)
{
    turn(p1 - p0, c, x + p0 * ldx, ldx, y + p0, pixels);
}

/* Whole vectors, zipped with themselves: `times` is 2, 4 or 8. Returns how many numbers. */
INLINE long repeat_vectors(const int times, long n, const float *x, float *y)
{
    long i = 0;

    for (; i + VL <= n; i += VL) {
        vec v[8];

        v[0] = vec_load(x + i);
#pragma GCC unroll 3
        for (int have = 1; have < times; have *= 2)
#pragma GCC unroll 4
            for (int j = have - 1; j >= 0; j--) {
                v[2 * j + 1] = vec_zip_high(v[j], v[j]);
                v[2 * j] = vec_zip_low(v[j], v[j]);
            }
#pragma GCC unroll 8
        for (int j = 0; j < times; j++)
            vec_store(y + i * times + j * VL, v[j]);
    }
    return i;
}

static void repeat(long n, long times, const float *x, float *y)
{
    long i = times == 2   ? repeat_vectors(2, n, x, y)
             : times == 4 ? repeat_vectors(4, n, x, y)
             : times == 8 ? repeat_vectors(8, n, x, y)
                          : 0;

    for (; i < n; i++)
        for (long t = 0; t < times; t++)
            y[i * times + t] = x[i];
}
