/* Characters of UTF-8 in bytes that may be none. */
#ifndef IQ_BASE_UTF8_H
#define IQ_BASE_UTF8_H

#include <stddef.h>

#include "base/shared.h"

/** Length of the character at text, 1-4, RFC 3629 (no overlong forms, no surrogates); 0 if there is none.
 *  @param len at least 1 */
IQ_SHARED size_t iq_utf8_length(const unsigned char *text, size_t len);

#endif
