#include "base_tests.h"

#include "base/crypto.h"
#include "base/id.h"

#include "support/check.h"

#include <stdlib.h>
#include <string.h>

void sha256_matches_its_published_vectors(void)
{
    /* FIPS 180-4, examples of the SHA-256 page of NIST: "abc" and the empty message */
    uint8_t digest[32];
    char hex[65];
    imgq_error err;
    CHECK_OK(iq_sha256_of("abc", 3, digest, &err));
    iq_hex(hex, digest, sizeof digest);
    CHECK_EQ_STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
    iq_sha256 *hash = iq_sha256_begin();
    iq_sha256_add(hash, "a", 1);
    iq_sha256_add(hash, "bc", 2);
    iq_sha256_end(hash, digest);
    iq_hex(hex, digest, sizeof digest);
    CHECK_EQ_STR("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
    CHECK_OK(iq_sha256_of("", 0, digest, &err));
    iq_hex(hex, digest, sizeof digest);
    CHECK_EQ_STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex);
}

void base64_round_trips_every_length(void)
{
    imgq_error err;
    for (size_t len = 0; len <= 260; len++) {
        /* Exact allocations: the sanitizer sees a byte written past the end. */
        uint8_t *bytes = malloc(len + 1), *back = malloc(len + 1);
        size_t text_len = iq_base64_encoded_size(len), back_len = 0;
        char *text = malloc(text_len + 1);
        iq_random(bytes, len);
        iq_base64_encode(text, bytes, len);
        CHECK_EQ_SIZE(text_len, strlen(text));
        CHECK_OK(iq_base64_decode(back, &back_len, text, text_len, &err));
        CHECK_EQ_SIZE(len, back_len);
        CHECK_EQ_MEM(bytes, back, len);
        free(bytes);
        free(back);
        free(text);
    }
    size_t large = ((size_t)3 << 20) + 1000, got = 0;
    uint8_t *bytes = calloc(large, 1), *back = malloc(large + 2);
    char *text = malloc(iq_base64_encoded_size(large) + 1);
    bytes[large - 1] = 9;
    iq_base64_encode(text, bytes, large);
    CHECK_OK(iq_base64_decode(back, &got, text, strlen(text), &err));
    CHECK(got == large && memcmp(bytes, back, large) == 0);
    free(bytes);
    free(back);
    free(text);
}

void base64_refuses_what_is_none(void)
{
    static const char *const bad[] = {"A", "AAA", "AA=A", "=AAA", "A===", "AA A", "AAA\n", " AAA", "AA-_", "===="};
    uint8_t out[16];
    size_t len;
    imgq_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STATUS(IMGQ_E_FORMAT, iq_base64_decode(out, &len, bad[i], strlen(bad[i]), &err));
}

void ids_are_valid_unique_and_sort_by_time(void)
{
    char a[33], b[33], uuid[37];
    iq_id_make(a, 0);
    iq_id_make(b, 0);
    CHECK_EQ_SIZE(32, strlen(a));
    CHECK(iq_id_is_valid(a, 32) && a[0] == '_' && strcmp(a, b) != 0 && strncmp(a, b, 15) <= 0);
    CHECK(!iq_id_is_valid("", 0) && !iq_id_is_valid("a b", 3) && !iq_id_is_valid("a{b", 3));
    char longest[65];
    memset(longest, 'x', sizeof longest);
    CHECK(iq_id_is_valid(longest, 64) && !iq_id_is_valid(longest, 65));
    iq_uuid_make(uuid);
    CHECK(strlen(uuid) == 36 && uuid[14] == '4' && strchr("89ab", uuid[19]) != NULL && uuid[8] == '-');
}
