/**
 * @file tte_tokenizer.h  Text as tokens, and back: byte-pair encoding, as tte/language/tokenizer.py does it.
 * Source: github.com/karpathy/llama2.c, run.c.
 */
#ifndef TTE_TOKENIZER_H
#define TTE_TOKENIZER_H

#include "tte/tte.h"

/** The tokens that begin and end a text, and the first of 256 that stand for a byte each. */
enum { TTE_BOS = 1, TTE_EOS = 2, TTE_BYTES = 3 };

/**
 * The tokens of a model: the text of token i is text[starts[i]] to text[starts[i + 1]], and of two neighbours those are
 * joined that make the one with the best of `scores`. `order` has all tokens sorted by their text.
 */
typedef struct {
    const uint8_t *text;
    const int32_t *starts;
    const float *scores;
    const int32_t *order;
    int32_t size;
} tte_tokenizer;

/** Some text. */
typedef struct { const uint8_t *at; size_t bytes; } tte_text;

/** The text of a token. */
static inline tte_text tte_piece(const tte_tokenizer *t, int32_t token)
{
    const tte_text found = {t->text + t->starts[token], (size_t)(t->starts[token + 1] - t->starts[token])};
    return found;
}

/** Below 0, 0 or above 0 as a token's text comes before that of a, then b; equals it; or comes after it. */
static inline int32_t tte_compare(tte_text piece, tte_text a, tte_text b)
{
    for (size_t i = 0; i < piece.bytes && i < a.bytes + b.bytes; i++) {
        const int32_t difference = (int32_t)piece.at[i] - (int32_t)(i < a.bytes ? a.at[i] : b.at[i - a.bytes]);
        if (difference != 0) {
            return difference;
        }
    }
    return (piece.bytes > a.bytes + b.bytes) - (piece.bytes < a.bytes + b.bytes);
}

/** The first token whose text is that of a, then b; -1 if there is none. */
static inline int32_t tte_token_of(const tte_tokenizer *t, tte_text a, tte_text b)
{
    int32_t low = 0, high = t->size;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (tte_compare(tte_piece(t, t->order[middle]), a, b) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < t->size && tte_compare(tte_piece(t, t->order[low]), a, b) == 0 ? t->order[low] : -1;
}

/** Append a token for each character of UTF-8, or where there is none, for each of its bytes; the number of all. */
static inline int32_t tte_characters(const tte_tokenizer *t, tte_text text, int32_t *tokens, int32_t n)
{
    const tte_text none = {text.at, 0};
    for (size_t at = 0; at < text.bytes;) {
        tte_text one = {text.at + at, 1};
        while (one.bytes < 4 && at + one.bytes < text.bytes && (one.at[one.bytes] & 0xC0u) == 0x80u) {
            one.bytes++;
        }
        const int32_t whole = tte_token_of(t, one, none);
        for (size_t i = 0; whole < 0 && i < one.bytes; i++) {
            tokens[n++] = TTE_BYTES + (int32_t)one.at[i];
        }
        if (whole >= 0) {
            tokens[n++] = whole;
        }
        at += one.bytes;
    }
    return n;
}

/**
 * Write TTE_BOS and the tokens of a text with a space before it (of an empty text none) to `tokens`, which has room for
 * bytes + 2; their number. The text holds less than 2^31 - 2 bytes. Takes time in proportion to their square.
 */
static inline int32_t tte_encode(const tte_tokenizer *t, const uint8_t *text, size_t bytes, int32_t *tokens)
{
    const tte_text space = {(const uint8_t *)" ", bytes > 0}, given = {text, bytes};
    tokens[0] = TTE_BOS;
    int32_t n = tte_characters(t, given, tokens, tte_characters(t, space, tokens, 1));
    for (;;) {
        int32_t best = -1, place = 0;
        for (int32_t i = 1; i + 1 < n; i++) {
            const int32_t joined = tte_token_of(t, tte_piece(t, tokens[i]), tte_piece(t, tokens[i + 1]));
            if (joined >= 0 && (best < 0 || t->scores[joined] > t->scores[best])) {
                best = joined;
                place = i;
            }
        }
        if (best < 0) {
            return n;
        }
        tokens[place] = best;
        n--;
        for (int32_t i = place + 1; i < n; i++) {
            tokens[i] = tokens[i + 1];
        }
    }
}

/**
 * The text that a token adds after another, `before`; the space that begins a text is none of it. `byte` is room for
 * text that is only one byte, and may be what is returned.
 */
static inline tte_text tte_decode(const tte_tokenizer *t, int32_t before, int32_t token, uint8_t *byte)
{
    if (token >= TTE_BYTES && token < TTE_BYTES + 256) {
        *byte = (uint8_t)(token - TTE_BYTES);
        const tte_text one = {byte, 1};
        return one;
    }
    tte_text found = tte_piece(t, token);
    if (before == TTE_BOS && found.bytes > 0 && found.at[0] == ' ') {
        found.at++;
        found.bytes--;
    }
    return found;
}

#endif
