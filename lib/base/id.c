#include "base/id.h"

#include "base/clock.h"
#include "base/crypto.h"

#include <stdio.h>

bool iq_id_is_valid(const char *text, size_t len)
{
    if (len == 0 || len > IQ_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
                  c == ':' || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

void iq_id_make(char out[33], uint8_t partition)
{
    uint8_t random[9];
    uint64_t ms = (uint64_t)iq_clock_unix_ms() & 0xFFFFFFFFFFFF;
    char digits[19];
    iq_random(random, sizeof random);
    iq_hex(digits, random, sizeof random);
    snprintf(out, 33, "_%02x%012llx%.17s", partition, (unsigned long long)ms, digits);
}

void iq_uuid_make(char out[37])
{
    uint8_t r[16];
    char hex[33];
    iq_random(r, sizeof r);
    r[6] = (uint8_t)((r[6] & 0x0F) | 0x40); /* version 4, RFC 4122 section 4.4 */
    r[8] = (uint8_t)((r[8] & 0x3F) | 0x80);
    iq_hex(hex, r, sizeof r);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
