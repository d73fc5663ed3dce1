/**
 * @file decode_plain.c  A transformer in plain float C, in the order of llama2.c: one token at a time, every product a dot
 * product of a row, libm's expf. The rotations come from a table, and only the last token of a prompt is classified:
 * both make it faster than llama2.c. Arguments: a checkpoint, how many tokens, how often; prints what decode_ours.c prints.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct { int32_t dim, hidden, layers, heads, kv_heads, vocab, seq; } c;
static float *embedding, *norm1, *wq, *wk, *wv, *wo, *norm2, *w1, *w2, *w3, *norm3;
static float *x, *xb, *q, *hb, *hb2, *scores, *logits, *keys, *values, *turns;
static int32_t *tokens;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *room(size_t n)
{
    float *found = calloc(n, sizeof *found);
    if (found == NULL) {
        exit(1);
    }
    return found;
}

static float *part(FILE *file, size_t n)
{
    float *found = room(n);
    if (fread(found, sizeof *found, n, file) != n) {
        exit(1);
    }
    return found;
}

static void matmul(float *y, const float *v, const float *w, int n, int d)
{
    for (int i = 0; i < d; i++) {
        float sum = 0.0f;
        for (int j = 0; j < n; j++) {
            sum += w[i * n + j] * v[j];
        }
        y[i] = sum;
    }
}

static void rms_norm(float *y, const float *v, const float *w, int n)
{
    float sum = 0.0f;
    for (int j = 0; j < n; j++) {
        sum += v[j] * v[j];
    }
    sum = 1.0f / sqrtf(sum / (float)n + 1e-5f);
    for (int j = 0; j < n; j++) {
        y[j] = w[j] * (sum * v[j]);
    }
}

static void turn(float *v, int n, int at, int head)
{
    for (int i = 0; i < n; i += 2) {
        const float *t = turns + at * head + i % head;
        const float a = v[i], b = v[i + 1];
        v[i] = a * t[0] - b * t[1];
        v[i + 1] = a * t[1] + b * t[0];
    }
}

static void attention(const float *k, const float *v, int at, int head, int kv)
{
    for (int h = 0; h < c.heads; h++) {
        const int first = h / (c.heads / c.kv_heads) * head;
        float most = -INFINITY, total = 0.0f;
        for (int t = 0; t <= at; t++) {
            float sum = 0.0f;
            for (int i = 0; i < head; i++) {
                sum += q[h * head + i] * k[t * kv + first + i];
            }
            scores[t] = sum / sqrtf((float)head);
            most = scores[t] > most ? scores[t] : most;
        }
        for (int t = 0; t <= at; t++) {
            scores[t] = expf(scores[t] - most);
            total += scores[t];
        }
        for (int i = 0; i < head; i++) {
            xb[h * head + i] = 0.0f;
        }
        for (int t = 0; t <= at; t++) {
            const float a = scores[t] / total;
            for (int i = 0; i < head; i++) {
                xb[h * head + i] += a * v[t * kv + first + i];
            }
        }
    }
}

static void forward(int token, int at, int classify)
{
    const int d = c.dim, head = d / c.heads, kv = c.kv_heads * head, h = c.hidden;
    for (int i = 0; i < d; i++) {
        x[i] = embedding[token * d + i];
    }
    for (int l = 0; l < c.layers; l++) {
        float *k = keys + l * c.seq * kv, *v = values + l * c.seq * kv;
        rms_norm(xb, x, norm1 + l * d, d);
        matmul(q, xb, wq + l * d * d, d, d);
        matmul(k + at * kv, xb, wk + l * d * kv, d, kv);
        matmul(v + at * kv, xb, wv + l * d * kv, d, kv);
        turn(q, d, at, head);
        turn(k + at * kv, kv, at, head);
        attention(k, v, at, head, kv);
        matmul(hb, xb, wo + l * d * d, d, d);
        for (int i = 0; i < d; i++) {
            x[i] += hb[i];
        }
        rms_norm(xb, x, norm2 + l * d, d);
        matmul(hb, xb, w1 + l * d * h, d, h);
        matmul(hb2, xb, w3 + l * d * h, d, h);
        for (int i = 0; i < h; i++) {
            hb[i] = hb[i] * (1.0f / (1.0f + expf(-hb[i]))) * hb2[i];
        }
        matmul(xb, hb, w2 + l * d * h, h, d);
        for (int i = 0; i < d; i++) {
            x[i] += xb[i];
        }
    }
    if (classify) {
        rms_norm(x, x, norm3, d);
        matmul(logits, x, embedding, d, c.vocab);
    }
}

static int best(void)
{
    int found = 0;
    for (int i = 1; i < c.vocab; i++) {
        found = logits[i] > logits[found] ? i : found;
    }
    return found;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(&c, sizeof c, 1, file) != 1) {
        exit(1);
    }
    const size_t d = (size_t)c.dim, n = (size_t)c.layers, h = (size_t)c.hidden, head = d / (size_t)c.heads;
    const size_t kv = (size_t)c.kv_heads * head, s = (size_t)c.seq;
    embedding = part(file, (size_t)c.vocab * d);
    norm1 = part(file, n * d);
    wq = part(file, n * d * d);
    wk = part(file, n * d * kv);
    wv = part(file, n * d * kv);
    wo = part(file, n * d * d);
    norm2 = part(file, n * d);
    w1 = part(file, n * d * h);
    w2 = part(file, n * d * h);
    w3 = part(file, n * d * h);
    norm3 = part(file, d);
    fclose(file);
    x = room(d), xb = room(d), q = room(d), hb = room(h), hb2 = room(h);
    scores = room(s), logits = room((size_t)c.vocab);
    keys = room(n * s * kv), values = room(n * s * kv), turns = room(s * head);
    tokens = calloc(s + 1, sizeof *tokens);
    for (size_t t = 0; t < s; t++) {
        for (size_t i = 0; i < head; i += 2) {
            const double angle = (double)t * pow(10000.0, -(double)i / (double)head);
            turns[t * head + i] = (float)cos(angle);
            turns[t * head + i + 1] = (float)sin(angle);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 1;
    }
    load(argv[1]);
    const int count = atoi(argv[2]), rounds = atoi(argv[3]);
    tokens[0] = 1;
    for (int i = 0; i < rounds; i++) {
        const double begun = now();
        for (int at = 0; at < count; at++) {
            forward(tokens[at], at, 1);
            tokens[at + 1] = best();
        }
        const double between = now();
        for (int at = 0; at < count; at++) {
            forward(tokens[at], at, at == count - 1);
        }
        printf("%.9f %.9f\n", between - begun, now() - between);
    }
    for (int i = 0; i <= count; i++) {
        printf("%d ", (int)tokens[i]);
    }
    printf("%d\n", best());
    for (int i = 0; i < c.vocab; i++) {
        printf("%.9g ", (double)logits[i]);
    }
    return 0;
}
