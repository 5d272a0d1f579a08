/* SHA-256, SHA-1 digests and base64, by OpenSSL; random bytes, by the kernel. */
#ifndef IQ_BASE_CRYPTO_H
#define IQ_BASE_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include <imgq/env.h>

#include "base/shared.h"

typedef struct iq_sha256 iq_sha256;

/** Owned, iq_sha256_end(). @return NULL when memory ran out */
IQ_SHARED iq_sha256 *iq_sha256_begin(void);
IQ_SHARED void iq_sha256_add(iq_sha256 *hash, const void *bytes, size_t len);
/** Frees hash. */
IQ_SHARED void iq_sha256_end(iq_sha256 *hash, uint8_t digest[32]);
/** One block at once. @return IMGQ_OK; IMGQ_E_NOMEM */
IQ_SHARED imgq_status iq_sha256_of(const void *bytes, size_t len, uint8_t digest[32],
                                   imgq_error *err);
/** 2 x len lower-case digits and a zero. */
IQ_SHARED void iq_hex(char *out, const uint8_t *bytes, size_t len);

/** Characters that len bytes become, without the zero. */
IQ_SHARED size_t iq_base64_encoded_size(size_t len);
/** @param out iq_base64_encoded_size(len) + 1 bytes */
IQ_SHARED void iq_base64_encode(char *out, const uint8_t *bytes, size_t len);
/** Strict: no blanks, padding where it belongs.
 *  @param out room for len / 4 * 3 bytes @return IMGQ_OK; IMGQ_E_FORMAT */
IQ_SHARED imgq_status iq_base64_decode(uint8_t *out, size_t *out_len, const char *text, size_t len,
                                       imgq_error *err);
/** Never fails on Linux; blocks only while the kernel starts. */
IQ_SHARED void iq_random(void *out, size_t len);

#endif
