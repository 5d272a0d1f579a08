#include "base/crypto.h"

#include "base/alloc.h"
#include "base/fail.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

/* iq_sha256 is never defined: behind the pointer stands OpenSSL's own opaque context. */

iq_sha256 *iq_sha256_begin(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    return (iq_sha256 *)context;
}

void iq_sha256_add(iq_sha256 *hash, const void *bytes, size_t len)
{
    EVP_DigestUpdate((EVP_MD_CTX *)hash, bytes, len);
}

void iq_sha256_end(iq_sha256 *hash, uint8_t digest[32])
{
    unsigned len = 0;
    EVP_DigestFinal_ex((EVP_MD_CTX *)hash, digest, &len);
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
}

imgq_status iq_sha256_of(const void *bytes, size_t len, uint8_t digest[32], imgq_error *err)
{
    unsigned digest_len = 0;
    if (EVP_Digest(bytes, len, digest, &digest_len, EVP_sha256(), NULL) != 1)
        return iq_fail_nomem(err, 256);
    return IMGQ_OK;
}

void iq_hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

/* OpenSSL counts base64 in int; whole groups of 3 and 4 in slices keep any size right. */
enum { ENCODE_SLICE = 3 << 20, DECODE_SLICE = 4 << 20 };

size_t iq_base64_encoded_size(size_t len)
{
    return len / 3 * 4 + (len % 3 != 0 ? 4 : 0);
}

void iq_base64_encode(char *out, const uint8_t *bytes, size_t len)
{
    *out = '\0';
    while (len > 0) {
        size_t slice = len < ENCODE_SLICE ? len : ENCODE_SLICE;
        out += EVP_EncodeBlock((unsigned char *)out, bytes, (int)slice);
        bytes += slice;
        len -= slice;
    }
}

static bool is_base64_text(const char *text, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bool known[256] = {false};
    for (const char *c = alphabet; *c != '\0'; c++)
        known[(unsigned char)*c] = true;
    for (size_t i = 0; i < len; i++)
        if (!known[(unsigned char)text[i]])
            return false;
    return true;
}

imgq_status iq_base64_decode(uint8_t *out, size_t *out_len, const char *text, size_t len, imgq_error *err)
{
    *out_len = 0;
    if (len % 4 != 0)
        return iq_fail(err, IMGQ_E_FORMAT, 0, "base64 of %zu characters, not a multiple of 4", len);
    size_t padding = len == 0 ? 0 : (text[len - 1] == '=') + (size_t)(text[len - 1] == '=' && text[len - 2] == '=');
    /* OpenSSL's decoder lets blanks pass at both ends. */
    if (!is_base64_text(text, len - padding))
        return iq_fail(err, IMGQ_E_FORMAT, 0, "base64 with a character that is none of its alphabet");
    while (len > 0) {
        size_t slice = len < DECODE_SLICE ? len : DECODE_SLICE;
        uint8_t last[3];
        /* The last group may be padded: OpenSSL writes its zero bytes too, where the caller has no room for them. */
        bool ends_padded = slice == len && padding > 0;
        size_t whole = ends_padded ? slice - 4 : slice;
        if (whole > 0 && EVP_DecodeBlock(out, (const unsigned char *)text, (int)whole) != (int)(whole / 4 * 3))
            return iq_fail(err, IMGQ_E_FORMAT, 0, "base64 that cannot be read");
        out += whole / 4 * 3;
        *out_len += whole / 4 * 3;
        if (ends_padded) {
            if (EVP_DecodeBlock(last, (const unsigned char *)text + whole, 4) != 3)
                return iq_fail(err, IMGQ_E_FORMAT, 0, "base64 that cannot be read");
            memcpy(out, last, 3 - padding);
            *out_len += 3 - padding;
        }
        text += slice;
        len -= slice;
    }
    return IMGQ_OK;
}

void iq_random(void *out, size_t len)
{
    uint8_t *bytes = out;
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);
        if (got < 0 && errno != EINTR)
            continue; /* ENOSYS alone is left, which no supported kernel answers */
        if (got > 0) {
            bytes += got;
            len -= (size_t)got;
        }
    }
}
