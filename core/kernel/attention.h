/* attention: softmax(q k^T + bias) v of one head of one batch element.
 *
 *   q    [L, d]  row stride ldq, already scaled       k, v [S, d]  row strides ldk, ldv
 *   bias [L, S]  dense, added to the scores (-inf masks); NULL: none
 *   p    [L, S]  dense: receives the weights           y    [L, d]  row stride ldy
 *
 * y may be q. A row that is masked everywhere becomes NaN. */
#ifndef KERNEL_ATTENTION_H
#define KERNEL_ATTENTION_H

void kernel_attention(int l, int s, int d, const float *q, int ldq, const float *k, int ldk,
                      const float *v, int ldv, const float *bias, float *p, float *y, int ldy);
void ref_attention(int l, int s, int d, const float *q, int ldq, const float *k, int ldk,
                   const float *v, int ldv, const float *bias, float *p, float *y, int ldy);

#endif
