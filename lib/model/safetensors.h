/* The safetensors format: 8 bytes of length, a JSON header, and the tensors' bytes without a hole. */
#ifndef IQ_MODEL_SAFETENSORS_H
#define IQ_MODEL_SAFETENSORS_H

#include "model/weights.h"

/** Adds all tensors and metadata of a file in memory to the set. @param bytes borrowed until the set dies
 *  @return IMGQ_OK; IMGQ_E_FORMAT (no safetensors file: what it looks like); IMGQ_E_CORRUPT; IMGQ_E_LIMIT;
 *          IMGQ_E_NOMEM */
IMGQ_CHECKED imgq_status iq_safetensors_parse(iq_weights *set, const uint8_t *bytes, size_t len, imgq_error *err);

#endif
