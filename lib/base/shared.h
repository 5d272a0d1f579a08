/* Marks what libimgq-client keeps for libimgq alone: exported under the version node IMGQ_PRIVATE, no API. */
#ifndef IQ_BASE_SHARED_H
#define IQ_BASE_SHARED_H

#define IQ_SHARED __attribute__((visibility("default")))

#endif
