#include "base/options.h"

#include "base/fail.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

imgq_status iq_options_copy(void *dst, size_t dst_size, const void *src, imgq_error *err)
{
    size_t src_size = dst_size;
    memset(dst, 0, dst_size);
    if (src != NULL) {
        memcpy(&src_size, src, sizeof src_size);
        if (src_size < sizeof src_size)
            return iq_fail(err, IMGQ_E_INVALID, 0, "options whose size field is not set (use the _INIT macro)");
        if (src_size > dst_size && !all_zero((const uint8_t *)src + dst_size, src_size - dst_size))
            return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "an option newer than this library is set");
        memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
    }
    memcpy(dst, &dst_size, sizeof dst_size);
    return IMGQ_OK;
}

imgq_status iq_options_give(void *dst, const void *src, size_t src_size, imgq_error *err)
{
    size_t dst_size;
    memcpy(&dst_size, dst, sizeof dst_size);
    if (dst_size < sizeof dst_size)
        return iq_fail(err, IMGQ_E_INVALID, 0, "a struct whose size field is not set (use the _INIT macro)");
    if (dst_size > src_size)
        memset((uint8_t *)dst + src_size, 0, dst_size - src_size);
    memcpy((uint8_t *)dst + sizeof dst_size, (const uint8_t *)src + sizeof dst_size,
           (dst_size < src_size ? dst_size : src_size) - sizeof dst_size);
    return IMGQ_OK;
}
