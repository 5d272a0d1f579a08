/* Numbers in byte strings, whatever the machine's order and alignment. */
#ifndef IQ_BASE_BYTES_H
#define IQ_BASE_BYTES_H

#include <stdint.h>

static inline uint16_t iq_load_be16(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t iq_load_be32(const uint8_t *p)
{
    return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t iq_load_be64(const uint8_t *p)
{
    return ((uint64_t)iq_load_be32(p) << 32) | iq_load_be32(p + 4);
}

static inline void iq_store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void iq_store_be32(uint8_t *p, uint32_t v)
{
    iq_store_be16(p, (uint16_t)(v >> 16));
    iq_store_be16(p + 2, (uint16_t)v);
}

static inline void iq_store_be64(uint8_t *p, uint64_t v)
{
    iq_store_be32(p, (uint32_t)(v >> 32));
    iq_store_be32(p + 4, (uint32_t)v);
}

static inline uint16_t iq_load_le16(const uint8_t *p)
{
    return (uint16_t)((p[1] << 8) | p[0]);
}

static inline uint32_t iq_load_le32(const uint8_t *p)
{
    return ((uint32_t)p[3] << 24) | ((uint32_t)p[2] << 16) | ((uint32_t)p[1] << 8) | p[0];
}

static inline uint64_t iq_load_le64(const uint8_t *p)
{
    return ((uint64_t)iq_load_le32(p + 4) << 32) | iq_load_le32(p);
}

#endif
