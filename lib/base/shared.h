/* Marks what our libraries keep for each other and for the programs: exported under the version node IMGQ_PRIVATE, no
 * API. */
#ifndef IQ_BASE_SHARED_H
#define IQ_BASE_SHARED_H

#define IQ_SHARED __attribute__((visibility("default")))

#endif
