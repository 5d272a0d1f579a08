/* Ids of jobs: 1-64 of [A-Za-z0-9_.:-]. */
#ifndef IQ_BASE_ID_H
#define IQ_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/shared.h"

enum { IQ_ID_MAX = 64 };

IQ_SHARED bool iq_id_is_valid(const char *text, size_t len);
/** '_' and 31 hex digits: partition (2), 48-bit ms clock (12), random (17); sorts by time within a partition. */
IQ_SHARED void iq_id_make(char out[33], uint8_t partition);
/** A random UUID, version 4, 36 characters and a zero. */
IQ_SHARED void iq_uuid_make(char out[37]);

#endif
